"""Spectra at another temperature, if the vibrations are harmonic."""

from __future__ import annotations

from typing import Any

from xbp.core.common_errors import carries_common_errors
from xbp.core.data import Data
from xbp.core.errors import QuantityError
from xbp.core.operation import operation
from xbp.core.signal import read
from xbp.reduction.gdos import leave_temperature, to_bqe, to_sqe

__all__ = ["at_temperature"]


@operation(takes="dynamic_structure_factor", gives=None, over="QE")
@carries_common_errors(linear=True)
def at_temperature(data: Data, T: Any, u2: Any = None) -> Data:
    r"""Return the S(Q,E) that the same harmonic vibrations give at another temperature.

    .. math:: S'(Q,E) = \frac{\langle n\rangle(E, T)}{\langle n\rangle(E, T')}\,
              e^{Q^2(u^2 - u'^2)} S(Q,E), \quad \langle n\rangle = 1 - e^{-E/k_BT}

    B(Q,E) stays as it is. Relaxation, anharmonic and elastic scattering do not follow
    this law: take the elastic line off first.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) with its temperature.
    T : scalar with units
        The new temperature T' (bare: K).
    u2 : scalar with units, optional
        Mean-square displacement per axis at T' (bare: inverse square of the data's Q
        unit), for data with the coordinate ``u2``. By default it stays the same.

    Returns
    -------
    same type as `data`
        S'(Q,E) in the units of S, with T' and u'². As for `to_bqe`, NaN where the data
        have E < −3 k_BT. An error of T or of u² that the data carry remains, as one
        that all bins share. `diagnostics` lists the change as ``harmonic``.

    Raises
    ------
    TemperatureError, QuantityError, UnitsError, CoordinateError
        If the temperature of the data or u² is missing, they are over several
        temperatures, or an argument is invalid.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 1, used
    in both directions.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.models.dynamic_structure_factor([4], [-5, 5], energy=5, width=6, T=30,
    ...     u2=0.01).S
    >>> (S.bp.at_temperature("20 K") / S).values.round(4)
    array([[0.3442, 0.9052]])
    """
    signal = read(data, "dynamic_structure_factor")
    if u2 is not None and "u2" not in signal.value.coords:
        raise QuantityError(
            "the data have no u2 at their own temperature (u2= is the new one)",
            fix="data.assign_coords(u2=((), 0.01, {'units': 'angstrom**2'}))",
        )
    own: list[str] = [n for n in ("u2", "u2_std") if n in data.coords]
    # Where u² stays the same it cancels, and its error with it.
    kept = {} if u2 is not None else {n: data.coords[n].variable for n in own}
    start = data.drop_vars(list(kept))
    b = to_bqe(start, u2=None if u2 is not None else 0.0)
    b = leave_temperature(b, T, u2_stays=False)
    b = b.drop_vars([*own, "u2", "temperature_std"], errors="ignore")
    found = to_sqe(b, T, u2=0.0 if u2 is None else u2)
    if u2 is None:
        found = found.drop_vars("u2").assign_coords(kept)
    return found
