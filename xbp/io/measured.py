"""Steps common to all readers.

Mark bins that were not measured, and convert densities with their axis.
"""

from __future__ import annotations

import numpy as np

from xbp.core.units import convert_factor, format_unit, is_energy_like, parse_unit

__all__ = ["SENTINEL", "density_per_mev", "measured"]

#: Programs without NaN write ±1e30 or the like for bins that were not measured; no
#: measured value is that large.
SENTINEL = 1e29


def measured(
    values: np.ndarray, std: np.ndarray | None = None, *, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Set bins that were not measured to NaN.

    Parameters
    ----------
    values, std : numpy.ndarray
        As in the file, in any units.
    mask : numpy.ndarray of bool, optional
        True where the file itself says that a bin is masked; broadcast against
        `values`.

    Returns
    -------
    values, std : numpy.ndarray
        Both are NaN where either is not finite or beyond ±1e29, where the error is
        negative, and where masked. An error of 0 stays. If all errors are 0, there are
        none and `std` is None.

    Raises
    ------
    ValueError
        If nothing was measured.

    Examples
    --------
    >>> measured(np.array([1.0, np.inf, -1e30, 4.0, 5.0]), np.array([0.1, 0.1, 0.0, -1.0, 0.0]))
    (array([ 1., nan, nan, nan,  5.]), array([0.1, nan, nan, nan, 0. ]))
    >>> measured(np.array([1.0, 2.0]), np.zeros(2))
    (array([1., 2.]), None)
    """
    hidden = ~(np.abs(values) < SENTINEL)
    if mask is not None:
        hidden = hidden | mask
    if std is not None:
        hidden = hidden | ~((std >= 0) & (std < SENTINEL))
    if np.all(hidden):
        raise ValueError(
            "no bin was measured: all are NaN, infinite, masked or without a valid "
            "error"
        )
    seen = np.where(hidden, np.nan, values)
    if std is None or not (std[~hidden] > 0).any():
        return seen, None
    return seen, np.where(hidden, np.nan, std)


def density_per_mev(
    values: np.ndarray, std: np.ndarray | None, *, axis: float, units: str = "1"
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Convert a density in E together with its axis to meV, preserving ∫S dE.

    Parameters
    ----------
    values, std : numpy.ndarray
        The density and its error.
    axis : float
        One energy unit of the file in meV.
    units : str
        Units of the density. If they contain no energy it is per unit of the axis, on
        an arbitrary scale.

    Returns
    -------
    values, std : numpy.ndarray
        Per meV.
    units : str
        Units of the converted density: "1/meV", "barn/meV", ...; unchanged if they
        contain no energy.

    Raises
    ------
    UnitsError
        If units are not known.

    Examples
    --------
    >>> density_per_mev(np.array([8.0]), None, axis=1.0, units="1/meV")
    (array([8.]), None, '1/meV')
    >>> density_per_mev(np.array([8.0]), None, axis=1e-3)
    (array([8000.]), None, '1')
    >>> density_per_mev(np.array([8.0]), None, axis=1e-3, units="barn/eV")
    (array([0.008]), None, 'b/meV')
    """
    parsed, factor = parse_unit(units, like="1/meV", name="the density"), axis
    # A cross section per steradian, or without one; pint takes steradians for 1.
    scales = ("1", "barn/sr" if "sr" in format_unit(parsed) else "barn")
    scale = next(
        (s for s in map(parse_unit, scales) if is_energy_like((parsed / s) ** -1)), None
    )
    if scale is not None:
        own = format_unit((parsed / scale) ** -1)
        factor = convert_factor(own, "meV", name="the density", energy=True)
        parsed = parsed if factor == 1 else scale / parse_unit("meV")
    if factor == 1:
        return values, std, format_unit(parsed)
    return values / factor, None if std is None else std / factor, format_unit(parsed)
