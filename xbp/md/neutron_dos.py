"""Neutron-weighted densities of states, and measured ones corrected by a simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import resolve
from xbp.core.data import Data, is_lazy, require_dims
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import interpolate
from xbp.core.operation import operation
from xbp.core.signal import Signal, read, result_table
from xbp.core.units import convert_factor, magnitude
from xbp.md.weights import atomic_mass, neutron_cross_sections
from xbp.reduction.dos_area import area_attributes, modes_of

__all__ = ["correct_neutron_weighting", "neutron_weighted_dos"]


@operation(takes="vibrational_dos", gives="neutron_weighted_dos")
@carries_common_errors(linear=True)
def neutron_weighted_dos(
    partials: xr.Dataset | xr.DataArray,
    *,
    Q: Any = None,
    u2: Any = None,
    b: Any = None,
    area_tolerance: float = 0.1,
) -> xr.Dataset:
    r"""Weight the partial densities of states of an alloy as neutron scattering does.

    .. math:: G(E) = \frac{\sum_i w_i\, g_i(E)}{\sum_i w_i}, \quad
              w_i = c_i \frac{\sigma_i}{M_i} e^{-Q^2 u_i^2}, \qquad R(E) = \frac{\sum_i
              c_i g_i(E)}{G(E)}

    with σ = 4π|b|² + σ_inc. A measured, multiphonon-corrected GDOS times R is the true
    density of states, as far as the simulation has the partials right.

    Parameters
    ----------
    partials : xarray.Dataset or xarray.DataArray
        g_i(E) of unit area over ``element`` and E, from
        ``traj.bp.vdos(partials=True)``: with ``weights="mass"`` the coordinate
        ``weight`` is the concentration c_i.
    Q : scalar with units, optional
        Momentum transfer of the Debye–Waller factors (bare: 1/angstrom); an average
        over the range measured.
    u2 : DataArray, optional
        Mean-square displacement per axis of each element over ``element``, as
        ``traj.bp.msd(partials=True).u2``. Both or neither: without them the
        Debye–Waller factors are left out.
    area_tolerance : float, optional
        Largest relative difference from 1 (or 3) of the area of a partial whose
        attributes do not state it.
    b : mapping of symbol to number, optional
        Scattering lengths in place of tabulated ones, as for
        `dynamic_structure_factor`.

    Returns
    -------
    xarray.Dataset
        ``g``, the neutron-weighted G (1/meV), and ``correction``, R; with ``_std``
        where the partials have them. R is NaN where G is not positive.

    Raises
    ------
    QuantityError
        If the partials have no ``element``, are not weighted by mass or not on one
        scale, or an element has no cross section.
    RangeError
        If one of Q and u2 is missing.

    References
    ----------
    J. M. Carpenter & C. A. Pelizzari, Phys. Rev. B 12, 2391 (1975),
    doi:10.1103/PhysRevB.12.2391; S. N. Taraskin & S. R. Elliott, Phys. Rev. B 55, 117
    (1997), doi:10.1103/PhysRevB.55.117.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xbp
    >>> E = np.arange(0.5, 40)
    >>> gauss = lambda c: np.exp(-((E - c) ** 2) / 32) / np.sqrt(32 * np.pi)
    >>> coords = {"element": ["Cu", "Zr"], "E": ("E", E, {"units": "meV"}),
    ...           "weight": ("element", [0.5, 0.5])}
    >>> attrs = {"quantity": "vibrational_dos", "units": "1/meV"}
    >>> g = xr.DataArray([gauss(15), gauss(25)], coords, ("element", "E"), "g", attrs)
    >>> table = xbp.md.neutron_weighted_dos(g)
    >>> bool(table.g.sel(E=15.5) > table.g.sel(E=25.5))
    True
    """
    signal = read(partials, "vibrational_dos")
    value = signal.value
    share = _concentrations(value)
    symbols = value["element"].values
    each = modes_of(signal, tolerance=area_tolerance, weighted=True).unit
    unit = float(each.values.flat[0]) if not is_lazy(each) else 1.0
    if not is_lazy(each) and not np.allclose(each, unit):
        areas = ", ".join(f"{area:g}" for area in each.values.flat)
        raise QuantityError(
            f"the partials have different areas: {areas}",
            fix="g / g.integrate('E')",
        )
    masses = np.array([atomic_mass(str(symbol)) for symbol in symbols])
    weights = share * neutron_cross_sections(symbols, b) / masses
    if (Q is None) != (u2 is None):
        raise RangeError("only one of Q and u2 is given", fix="pass both, or neither")
    if Q is not None:
        displacement = resolve(value.drop_vars("u2", errors="ignore"), "u2", u2=u2)
        square = magnitude(Q, "1/angstrom", name="Q") ** 2
        weights = weights * np.exp(-square * displacement.values)
    weights = weights / weights.sum()
    c = xr.DataArray(share / share.sum(), dims="element")
    w = xr.DataArray(weights, dims="element")
    bare = value.drop_vars(["weight", "element"])
    true, weighted = (xr.dot(bare, over, dim="element") for over in (c, w))
    positive = weighted.where(weighted > 0)
    text = "true over neutron-weighted density of states"
    variables: dict[str, tuple[Any, str, str]] = {
        "g": (weighted, signal.units, "neutron-weighted g(E)"),
        "correction": (true / positive, "1", text),
    }
    if signal.std is not None:
        variance = signal.std.drop_vars(["weight", "element"], errors="ignore") ** 2
        slope = (c * positive - w * true) / positive**2
        spread = (variance * slope**2).sum("element", skipna=False) ** 0.5
        g_std = xr.dot(variance, w**2, dim="element") ** 0.5
        variables["g_std"] = (g_std, signal.units, "")
        variables["correction_std"] = (spread, "1", "")
    named = {str(s): f"{part:.6g}" for s, part in zip(symbols, weights, strict=True)}
    table: xr.Dataset = result_table(
        signal, variables, quantity="neutron_weighted_dos",
        operation="neutron_weighted_dos", arguments={"Q": Q, "weights": named},
    )  # fmt: skip
    table["g"].attrs |= {
        "quantity": "vibrational_dos",
        "weighting": "neutron",
        **area_attributes(unit, "weighted modes"),
        "history": table.attrs["history"],
    }
    return table


def _concentrations(value: xr.DataArray) -> np.ndarray:
    """Return the concentrations of the elements, which partials by mass carry."""
    weighting = value.attrs.get("weighting", "mass")
    if "element" not in value.dims or "weight" not in value.coords:
        problem = "the partial g(E) of all elements are needed"
    elif weighting != "mass":
        problem = f"the concentrations are weighted by {weighting!r}"
    else:
        share = value.coords["weight"].values.astype(float)
        if np.isclose(share.sum(), 1, atol=1e-3):
            return np.asarray(share)
        problem = f"the concentrations add up to {share.sum():g}, not 1"
    raise QuantityError(problem, fix="pass all of traj.bp.vdos(partials=True)")


@operation(takes=("vibrational_dos", "generalized_dos"))
@carries_common_errors()
def correct_neutron_weighting(
    data: Data,
    partials: xr.Dataset | xr.DataArray,
    *,
    Q: Any = None,
    u2: Any = None,
    b: Any = None,
) -> Data:
    """Correct a measured density of states for its neutron weighting, by a simulation.

    g = G · R with R of `neutron_weighted_dos`, interpolated to the energies of the
    data.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``vibrational_dos`` or ``generalized_dos`` over E, corrected for multiphonon
        scattering.
    partials, Q, u2, b
        As for `neutron_weighted_dos`.

    Returns
    -------
    same type as `data`
        NaN beyond the energies of the simulation; the standard deviations include those
        of R.

    Raises
    ------
    XbpError
        As for `neutron_weighted_dos`; RangeError if they have no energies in common.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xbp
    >>> E = np.arange(0.5, 40)
    >>> gauss = lambda c: np.exp(-((E - c) ** 2) / 32) / np.sqrt(32 * np.pi)
    >>> coords = {"element": ["Cu", "Zr"], "E": ("E", E, {"units": "meV"}),
    ...           "weight": ("element", [0.5, 0.5])}
    >>> attrs = {"quantity": "vibrational_dos", "units": "1/meV"}
    >>> g = xr.DataArray([gauss(15), gauss(25)], coords, ("element", "E"), "g", attrs)
    >>> measured = xbp.md.neutron_weighted_dos(g).g
    >>> true = measured.bp.correct_neutron_weighting(g)
    >>> bool(np.allclose(true, g.mean("element")))
    True
    """
    signal: Signal = read(data, "vibrational_dos", "generalized_dos")
    require_dims(signal.value, "E", "the neutron weighting")
    table = neutron_weighted_dos(partials, Q=Q, u2=u2, b=b)
    units, other = signal.value["E"].attrs["units"], table["E"].attrs["units"]
    factor = convert_factor(units, other, name="coordinate 'E'", energy=True)
    at = signal.value["E"].values * factor
    ratio, std_of_ratio = interpolate(
        table.correction, table.get("correction_std"), "E", at
    )
    if not bool(ratio.notnull().any()):
        raise RangeError(
            f"the simulation, {float(table.E[0]):g} to {float(table.E[-1]):g} {other}, "
            "and the data do not overlap in E",
            fix="raise E_max= of vdos()",
        )
    R = ratio.variable
    value = (signal.value * R).transpose(*signal.value.dims)
    std = signal.std
    if std is not None:
        spread = (std * R) ** 2
        if std_of_ratio is not None:
            spread = spread + (signal.value * std_of_ratio.variable) ** 2
        std = (spread**0.5).transpose(*signal.value.dims)
    attrs = {}
    if "area" in signal.value.attrs:
        attrs = {"area_of": "all modes", "weighting": None}
    answer: Data = signal.answer(
        value, std, operation="correct_neutron_weighting",
        arguments={"Q": Q, "with": table.attrs["history"]}, attrs=attrs,
    )  # fmt: skip
    return answer
