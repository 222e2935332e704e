"""The excess of a density of states over Debye's, as a curve of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.conditions import dimension_of
from xbp.core.data import Data, require_dims
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.grid import bin_limits
from xbp.core.guards import require_number, require_positive
from xbp.core.operation import operation
from xbp.core.signal import read
from xbp.reduction.dos_area import modes_of, real_modes, to_pure_number

__all__ = ["debye_density", "excess_dos"]


@operation(takes="vibrational_dos", gives="excess_dos", over="E")
@carries_common_errors(linear=True)
def excess_dos(
    data: Data,
    debye_energy: Any,
    debye_energy_std: Any = None,
    *,
    n_atoms: float | None = None,
) -> Data:
    r"""Return g(E) less that of Debye's phonons.

    .. math:: g_{ex}(E) = g(E) - A\,\frac{3E^2}{E_D^3}\quad (E < E_D),\quad
              A = \int g\,dE\ \text{of all modes}

    Its maximum is not that of g/E²: dividing by E² moves it to lower energy, and both
    are called the boson peak. ``g.bp.excess_dos(E_D).bp.boson_peak()`` has the one,
    ``g.bp.to_bqe().bp.boson_peak()`` the other.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        g(E) of all modes, over E and any further dimensions; its area is stated
        (``attrs["area"]``), 1 or 3, or 3N of `n_atoms`.
    debye_energy : scalar with units
        E_D (bare: the unit of E), such as that of `sound_velocity`.
    debye_energy_std : scalar with units, optional
        Its standard deviation: one error of all bins, in ``g_excess_std_common``.
    n_atoms : number, optional
        As for `heat_capacity`.

    Returns
    -------
    same type as `data`
        ``excess_dos`` g_ex(E) in the units of g. Bins with bounds have the mean of
        Debye's g over each, points its value. In a plane it is 2E/E_D².

    Raises
    ------
    QuantityError, UnitsError
        If the number of modes in g is unknown, or the energy is not positive.
    CoordinateError
        If g is not over E.

    References
    ----------
    P. Debye, Ann. Phys. 344, 789 (1912), doi:10.1002/andp.19123441404.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.linspace(0.25, 25, 100)
    >>> g = xbp.models.evaluate("debye_phonons_dos", E, n_D=1, energy_D="25 meV")
    >>> bool(abs(g.bp.excess_dos("25 meV", n_atoms=1/3).g_excess).max() < 1e-15)
    True
    """
    signal = real_modes(read(data, "vibrational_dos"))
    value = signal.value
    require_dims(value, "E", "the excess of g(E)", error=CoordinateError)
    units = str(value["E"].attrs["units"])
    energy, error = (
        require_positive(debye_energy, "debye_energy", units, energy=True),
        0.0
        if debye_energy_std is None
        else require_number(
            debye_energy_std, "debye_energy_std", units, least=0, energy=True,
            error=QuantityError,
        ),
    )  # fmt: skip
    unit = modes_of(signal, n_atoms=n_atoms).unit
    scale = xr.DataArray(unit / to_pure_number(signal)).variable
    edges = None
    if value["E"].attrs.get("bounds", "E_bnds") in signal.source.coords:
        edges = bin_limits(signal.source, "E")
    E, d = value["E"].values.astype(float), dimension_of(value)
    debye = scale * xr.Variable("E", debye_density(E, energy, d, edges))
    common = {}
    if error and signal.std is not None:
        # E_D moves the level; where the phonons end it moves the end too.
        high, low = (
            debye_density(E, energy + by * error, d, edges) for by in (0.5, -0.5)
        )
        part = -scale * xr.Variable("E", high - low) + 0.0 * value.variable
        common[fingerprint("Debye energy", energy, error)] = part
    answer: Data = signal.answer(
        (value.variable - debye).transpose(*value.dims),
        signal.std,
        operation="excess_dos",
        arguments={
            "debye_energy": f"{energy:.10g} {units}",
            "debye_energy_std": f"{error:.10g} {units}" if error else None,
            "n_atoms": n_atoms,
        },
        quantity="excess_dos",
        attrs={"area": None, "area_of": None},
        common=common,
    )
    return answer


def debye_density(
    E: np.ndarray,
    energy: float,
    dimension: int,
    edges: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Return d E^(d−1)/E_D^d up to E_D, Debye's g(E) of unit area.

    Parameters
    ----------
    E : numpy.ndarray, shape (n,)
        Energies.
    energy : float
        E_D, in the same unit.
    dimension : int
        d.
    edges : pair of numpy.ndarray, shape (n,), optional
        Lower and upper limits of bins: the answer is then the mean over each.

    Examples
    --------
    >>> debye_density(np.array([5.0, 15.0]), 10.0, 3).round(3)
    array([0.075, 0.   ])
    >>> edges = np.array([0.0, 8.0]), np.array([8.0, 16.0])
    >>> debye_density(np.array([4.0, 12.0]), 10.0, 3, edges)
    array([0.064, 0.061])
    """
    if edges is None:
        inside = energy * (1 + 1e-12) >= E
        return np.where(inside, dimension * E ** (dimension - 1.0), 0.0) / (
            energy**dimension
        )
    low, high = (np.clip(edge / energy, 0, 1) ** dimension for edge in edges)
    return np.asarray((high - low) / (edges[1] - edges[0]))
