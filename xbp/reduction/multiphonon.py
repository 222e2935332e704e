"""S(Q,E) of a density of states with all its phonons, incoherent approximation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import resolve_temperature
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits, given_axis
from xbp.core.guards import (
    at_most_one,
    choose,
    require_dims,
    require_number,
    require_positive,
    require_whole,
)
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.schema import labels, per_unit
from xbp.core.signal import Signal, over_spectra, read
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.models.multiphonon import (
    MAX_ORDERS,
    Below,
    Modes,
    expansion,
    onto_bins,
    order_weights,
    orders_needed,
)
from xbp.reduction.detailed_balance import REVERSED_BELOW
from xbp.reduction.dos_area import (
    is_absolute,
    known_area,
    modes_of,
    real_modes,
    require_fallen,
    require_known_area,
)
from xbp.reduction.sample import mass_or_u2
from xbp.reduction.vibrational_dos import Task

__all__ = ["correct_multiphonon", "multiphonon_sqe"]

#: Which phonons: the first of the orders, and the one after the last.
_PARTS = {"all": (0, None), "elastic": (0, 1), "one": (1, 2), "many": (2, None)}
Part = Literal["all", "elastic", "one", "many"]


@operation(takes="vibrational_dos", gives="dynamic_structure_factor", step=33)
@carries_common_errors()
def multiphonon_sqe(
    data: Data,
    Q: Any,
    E: Any = None,
    T: Any = None,
    *,
    mass: Any = None,
    composition: str | Mapping[str, float] | None = None,
    u2: Any = None,
    orders: int | None = None,
    tolerance: float = 1e-6,
    below: Below = "debye",
    part: Part = "all",
    area: float | None = None,
    n_atoms: float | None = None,
    area_tolerance: float = 0.01,
    end: float = 1.0,
) -> Data:
    r"""Return S(Q,E) of a density of states: the elastic line, one phonon, and many.

    .. math:: S(Q,E) = e^{-2W}\sum_n \frac{(2W)^n}{n!} A_n(E),\quad
              A_1 = \frac{g(|E|)}{\gamma_0 E\,(1-e^{-E/k_BT})},\quad A_n = A_1 * A_{n-1}

    with A_0 = δ(E), 2W = Q²u², γ₀ = ∫g/E coth(E/2k_BT) dE and u² = γ₀ħ²/2M. This is the
    incoherent approximation: exact for the self part of a harmonic cubic crystal of one
    element, the mean over Q for others. No resolution is applied.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``vibrational_dos`` g(E) of all modes, over E and any further dimensions; E ≤ 0
        is left out, and `diagnostics` lists the imaginary modes, E < 0. Its scale is
        free where its units are ("1").
    Q : 1-D array, or DataArray with units
        Momentum transfers; a bare array is in 1/angstrom.
    E : 1-D array, or DataArray with units, optional
        Centres of the bins of the answer, evenly or unevenly spaced; a bare array is in
        the units of g's E. By default both signs, to twice the highest energy of g. S
        is the mean over each bin.
    T : scalar with units, optional
        Temperature (bare: K), where g does not carry it.
    mass, composition, u2
        What sets 2W, one of three: the mass of the scatterer (bare: u), the composition
        it follows from (`effective_mass`), or u² itself per axis (bare: angstrom²), as
        from `debye_waller` or where g carries it.
    orders : int, optional
        Most phonons at once. By default as many as leave less than `tolerance` of ∫S dE
        out at the highest Q.
    tolerance : float
        See `orders`.
    below : {"debye", "nothing"}
        g below the lowest energy at which it is known: a law of E² through its three
        lowest points, or 0.
    part : {"all", "elastic", "one", "many"}
        Which phonons: all, none, one, or two and more.
    area, n_atoms : number, optional
        ``area=1`` states that g contains all modes, whatever its area; `n_atoms` that
        it is that of a cell of so many atoms, with an area of 3N. Needed if g does not
        state its area (``attrs["area"]``, which xbp sets) and, in one over energy, has
        an area of neither 1 nor 3.
    area_tolerance : float
        Largest relative deviation from an area that is recognised.
    end : float
        Largest last value of such a g, as a fraction of its maximum; the default admits
        all, 0.1 refuses a g that was cut off within the band.

    Returns
    -------
    same type as `data`
        ``S(Q,E)`` in one over the unit of E, of area 1 at every Q but for what lies
        beyond the bins; the elastic line fills the bin that holds E = 0.
        ``S.attrs["orders"]`` is how many were used, the coordinate ``u2`` the u² used.
        There is no standard deviation: that of g is not propagated.

    Raises
    ------
    QuantityError
        If none or several of mass, composition and u² are given, g has no area, or may
        lack modes at high energy.
    RangeError
        If more than 200 orders are needed, or the bins are not ascending.
    TemperatureError
        If the temperature is missing.

    References
    ----------
    A. Sjölander, Ark. Fys. 14, 315 (1958); G. L. Squires, Introduction to the Theory of
    Thermal Neutron Scattering (1978), ch. 3; Appendix of M. Kresch et al., Phys. Rev. B
    75, 104301 (2007), doi:10.1103/PhysRevB.75.104301.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.arange(0.5, 30, 0.5)
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E,
    ...     "meV")}, temperature="300 K")
    >>> S = g.bp.multiphonon_sqe([2.0, 8.0], composition="V", area=1)
    >>> S.S.attrs["orders"], (S.S.sum("E") * 0.5).values.round(3)
    (6, array([1.   , 0.999]))
    """
    signal = real_modes(read(data, "vibrational_dos"))
    value = signal.value
    require_dims(value, "E", "g(E)", error=CoordinateError)
    temperature = resolve_temperature(value, T)
    per_gamma, displacement = mass_or_u2(
        value, mass=mass, composition=composition, u2=u2
    )
    if orders is not None:
        orders = require_whole(orders, "orders", most=MAX_ORDERS)
    require_number(tolerance, "tolerance", above=0, below=1)
    choose(below, Below, "below")
    first, last = _PARTS[choose(part, _PARTS, "part")]
    energy = value["E"].values * per_unit(value, "E")
    if not (energy > 0).any():
        raise CoordinateError("g(E) has no positive energies", fix="pass g over E > 0")
    _require_all_modes(signal, area, n_atoms, area_tolerance, end)
    q_values, q_units = given_axis(Q, "Q", error=RangeError)
    require_number(q_values[0], "Q", least=0)
    momenta = q_values * convert_factor(q_units, "1/angstrom", name="Q")
    if E is None:
        step = Modes.of(energy, np.ones(energy.size), 1.0, below="nothing").step
        n = int(np.ceil(2 * energy[-1] / step))
        e_values, e_units = step * np.arange(-n, n + 1), "meV"
    else:
        units = str(value["E"].attrs["units"])
        e_values, e_units = given_axis(E, "E", units, error=RangeError)
    e_mev = convert_factor(e_units, "meV", name="E", energy=True)
    lower, upper = bin_limits(
        xr.DataArray(e_values, dims="E", coords={"E": e_values}), "E"
    )
    edges = np.append(lower, upper[-1]) * e_mev

    def forward(
        g: np.ndarray, kelvin: float, u2_given: float
    ) -> tuple[np.ndarray, ...]:
        modes = None
        if np.isfinite(g[energy > 0]).any():
            modes = Modes.of(energy, g, constants.BOLTZMANN_MEV * kelvin, below=below)
        if modes is None or not modes.area > 0:
            raise QuantityError("g(E) has no area: it is NaN, or its values cancel")
        u2_used = u2_given if np.isfinite(u2_given) else per_gamma * modes.gamma
        two_w = momenta**2 * u2_used
        count = orders or orders_needed(float(two_w.max()), tolerance)
        if count > MAX_ORDERS:
            raise RangeError(
                f"2W reaches {two_w.max():.3g}, which needs more than {MAX_ORDERS} "
                "orders",
                fix="lower the highest Q, or give orders=",
            )
        binned = np.stack(
            [onto_bins(A, modes.step, edges) for A in expansion(modes, count)]
        )[first:last]
        total = order_weights(two_w, count)[:, first:last] @ binned
        return total, np.array(u2_used), np.array(count)

    total, u2_used, count = over_spectra(
        forward,
        value.drop_vars(["area", "u2_status"], errors="ignore"),
        temperature,
        displacement,
        gives=[("Q", "_E"), (), ()],
        sizes={"Q": q_values.size, "_E": e_values.size},
    )
    coords: dict[str, Any] = {
        name: (c.dims, c.data, labels(name))
        for name, c in (("temperature", temperature), ("u2", u2_used))
    }
    coords["Q"] = ("Q", q_values, labels("Q") | {"units": q_units})
    coords["E"] = ("E", e_values, labels("E") | {"units": e_units})
    answer: Data = signal.answer(
        (total * e_mev).rename(_E="E").assign_coords(coords),
        None,
        operation="multiphonon_sqe",
        arguments={
            "T": T, "mass": mass, "composition": composition, "u2": u2,
            "tolerance": tolerance, "orders": orders, "below": below, "part": part,
        },
        units=format_unit(parse_unit(e_units) ** -1),
        quantity="dynamic_structure_factor",
        attrs={
            "statistics": "quantum",
            "orders": None if count.chunks else int(count.max()),
            "area": None, "area_of": None, "weighting": None,
            "energy_zero": "used by multiphonon_sqe",
        },
    )  # fmt: skip
    return answer


def _require_all_modes(
    signal: Signal, area: Any, n_atoms: Any, tolerance: float, end: float
) -> None:
    """Refuse a g(E) not known to contain all modes, on which 2W depends."""
    require_number(tolerance, "area_tolerance", above=0, below=1)
    at_most_one(area=area, n_atoms=n_atoms)
    if area is not None:
        require_positive(area, "area", error=QuantityError)
        return
    require_known_area(signal.value, f"'{signal.value.name}'")
    if n_atoms is None and not is_absolute(signal) and not known_area(signal.value):
        require_fallen(signal, end)
        return
    missing = modes_of(
        signal, n_atoms=n_atoms, tolerance=tolerance, weighted=True, end=end
    ).missing
    if missing.chunks is None and bool((missing > tolerance).any()):
        raise QuantityError(
            f"'{signal.value.name}' contains only "
            f"{100 * (1 - float(missing.max())):.3g} % of its modes",
            fix="pass g over all energies; area=1 uses it as it is",
        )


@operation(takes="dynamic_structure_factor")
@carries_common_errors()
def correct_multiphonon(
    data: Data,
    T: Any = None,
    E_range: Any = None,
    Q_range: Any = None,
    *,
    mass: Any = None,
    composition: str | Mapping[str, float] | None = None,
    u2: Any = None,
    multiple_scattering: float | Literal["fit"] = 0.0,
    below: Below = "debye",
    tolerance: float = 1e-4,
    initial_dos: xr.DataArray | xr.Dataset | None = None,
    join_range: Any = None,
    end: float = 0.25,
    background: float = 0.5,
    uncertain: float = 0.3,
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    """Take multiphonon and multiple scattering off S(Q,E), leaving one phonon.

    g(E) is found as by `to_vibrational_dos`; then N(1+C) Σ S_n of two and more phonons
    is subtracted at every Q and E, of either sign; the elastic line is left too. Bins
    that are NaN stay NaN.

    Parameters
    ----------
    data, T, E_range, Q_range, mass, composition, u2, multiple_scattering, below,
    tolerance, initial_dos, join_range, end, background, uncertain, reversed_below
        As for `to_vibrational_dos`; E_range is where g is found, the correction is made
        everywhere.

    Returns
    -------
    same type as `data`
        S(Q,E) on the same grid, with the coordinates ``u2`` (that of the last
        iteration, which `to_gdos` and `to_bqe` then use), ``temperature`` and
        ``status``, which is ``u2_status`` of `to_vibrational_dos`: what is subtracted
        is known if all modes are. NaN where it is not "ok". The standard deviation
        is that of the data: what is subtracted is taken as exact.

    Raises
    ------
    XbpError
        As for `to_vibrational_dos`.

    References
    ----------
    As for `to_vibrational_dos`.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.arange(1.0, 31)
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E,
    ...     "meV")}, temperature="300 K")
    >>> Q = np.arange(2, 10, 0.5)
    >>> S = g.bp.multiphonon_sqe(Q, composition="V", area=1)
    >>> left = S.bp.correct_multiphonon(E_range=(0.5, 30.5), composition="V")
    >>> one = g.bp.multiphonon_sqe(Q, composition="V", area=1, part="one")
    >>> bool(np.allclose(left.S.sel(E=slice(1, 60)), one.S.sel(E=slice(1, 60)),
    ...     atol=1e-6))
    True
    """
    task = Task.of(
        data, T, E_range, Q_range, mass=mass, composition=composition, u2=u2,
        multiple_scattering=multiple_scattering, below=below, tolerance=tolerance,
        initial_dos=initial_dos, join_range=join_range, end=end, background=background,
        uncertain=uncertain, reversed_below=reversed_below,
    )  # fmt: skip
    value = task.signal.value
    found = task.run(task.axis().taken)
    coords: dict[Any, Any] = {
        name: c.variable for name, c in value.coords.items() if name != "u2"
    }
    coords |= task.conditions(found)
    # What is subtracted depends on all modes: it is known if u² is.
    dims, words, _ = coords.pop("u2_status")
    label = "whether the multiphonon scattering was found"
    coords["status"] = (dims, words, {"long_name": label})
    left = value.drop_vars(list(value.coords)) - found["many"]
    left = left.where(found["u2_status"] == 0).transpose(*value.dims)
    answer: Data = task.signal.answer(
        left.drop_vars(list(left.coords)).assign_coords(coords),
        task.signal.std,
        operation="correct_multiphonon",
        arguments=task.arguments,
        attrs={"energy_zero": "used by correct_multiphonon"},
    )
    return answer
