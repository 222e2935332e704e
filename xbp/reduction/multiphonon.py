"""S(Q,E) of a density of states with all its phonons, incoherent approximation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import resolve_temperature, resolve_u2
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits
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
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, format_unit, parse_unit, split_quantity
from xbp.models.multiphonon import (
    MAX_ORDERS,
    Below,
    Modes,
    expansion,
    onto_bins,
    order_weights,
    orders_needed,
)
from xbp.reduction.dos_area import (
    is_absolute,
    known_area,
    modes_of,
    real_modes,
    require_fallen,
    require_known_area,
)
from xbp.reduction.sample import resolve_mass

__all__ = ["energies", "multiphonon_sqe", "scatterer"]

#: Which phonons.
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
    to_mev = energies(value)
    temperature = resolve_temperature(value, T)
    per_gamma, displacement = scatterer(
        value, mass=mass, composition=composition, u2=u2
    )
    if orders is not None:
        orders = require_whole(orders, "orders", most=MAX_ORDERS)
    require_number(tolerance, "tolerance", above=0, below=1)
    choose(below, Below, "below")
    first, last = {
        "all": (0, None),
        "elastic": (0, 1),
        "one": (1, 2),
        "many": (2, None),
    }[choose(part, Part, "part")]
    energy = value["E"].values * to_mev
    if not (energy > 0).any():
        raise CoordinateError("g(E) has no positive energies", fix="pass g over E > 0")
    _require_all_modes(signal, area, n_atoms, area_tolerance, end)
    q_values, q_units, to_angstrom = _axis(Q, "Q")
    require_number(q_values[0], "Q", least=0)
    if E is None:
        step = Modes.of(energy, np.ones(energy.size), 1.0, below="nothing").step
        n = int(np.ceil(2 * energy[-1] / step))
        e_values, e_units, e_mev = step * np.arange(-n, n + 1), "meV", 1.0
    else:
        e_values, e_units, e_mev = _axis(E, "E", value["E"].attrs["units"])
    lower, upper = bin_limits(
        xr.DataArray(e_values, dims="E", coords={"E": e_values}), "E"
    )
    edges = np.append(lower, upper[-1]) * e_mev

    def forward(
        g: np.ndarray, kelvin: float, u2_given: float
    ) -> tuple[np.ndarray, ...]:
        known = np.isfinite(g[energy > 0]).any()
        modes = (
            Modes.of(energy, g, constants.BOLTZMANN_MEV * kelvin, below=below)
            if known
            else None
        )
        if modes is None or not modes.area > 0:
            raise QuantityError("g(E) has no area: it is NaN, or its values cancel")
        u2_used = u2_given if np.isfinite(u2_given) else per_gamma * modes.gamma
        two_w = (q_values * to_angstrom) ** 2 * u2_used
        count = orders or orders_needed(float(two_w.max()), tolerance)
        if count > MAX_ORDERS:
            raise RangeError(
                f"2W reaches {two_w.max():.3g}, which needs more than {MAX_ORDERS} "
                "orders",
                reason="S is a Gaussian about ħ²Q²/2M there",
                fix="lower the highest Q, or give orders=",
            )
        binned = np.stack(
            [onto_bins(A, modes.step, edges) for A in expansion(modes, count)]
        )[first:last]
        total = order_weights(two_w, count)[:, first:last] @ binned
        return total, np.array(u2_used), np.array(count)

    foreign = [
        c for c in value.coords if c in ("area", "u2_status") or "E" in value[c].dims
    ]
    total, u2_used, count = xr.apply_ufunc(
        forward, value.drop_vars(foreign), temperature, displacement,
        input_core_dims=[["E"], [], []], output_core_dims=[["Q", "_E"], [], []],
        vectorize=True, dask="parallelized", output_dtypes=[float] * 3,
        dask_gufunc_kwargs={
            "output_sizes": {"Q": q_values.size, "_E": e_values.size},
            "allow_rechunk": True,
        },
    )  # fmt: skip
    spectrum = (total * e_mev).rename(_E="E").assign_coords(
        Q=("Q", q_values, {"units": q_units, "long_name": COORDINATES["Q"][1]}),
        E=("E", e_values, {"units": e_units, "long_name": COORDINATES["E"][1]}),
        **{
            name: (c.dims, c.data, {"units": COORDINATES[name][0],
            "long_name": COORDINATES[name][1]})
            for name, c in (("temperature", temperature), ("u2", u2_used))
        },
    )  # fmt: skip
    answer: Data = signal.answer(
        spectrum, None, operation="multiphonon_sqe",
        arguments={
            "T": T, "mass": mass, "composition": composition, "u2": u2,
            "tolerance": tolerance,
            "orders": orders, "below": below, "part": part,
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


def scatterer(
    value: xr.DataArray,
    *,
    mass: Any,
    composition: str | Mapping[str, float] | None,
    u2: Any,
) -> tuple[float, xr.DataArray]:
    """Return ħ²/2M in meV angstrom² and u² in angstrom².

    NaN for the one that follows from the other.
    """
    at_most_one(mass=mass, composition=composition, u2=u2)
    atomic = resolve_mass(mass, composition)
    if atomic is not None:
        return constants.HBAR2_OVER_2U / atomic, xr.DataArray(np.nan)
    if u2 is None and "u2" not in value.coords:
        raise QuantityError(
            "none of mass=, composition=, u2= is given",
            reason="2W follows from g(E) and the mass, or is Q²u2",
            fix="composition='Zr46Cu46Al8', mass='50.94 u' or u2='0.0066 angstrom^2' "
            "(per axis)",
        )
    return np.nan, resolve_u2(value, u2=u2)


def energies(value: xr.DataArray) -> float:
    """Return the meV that one unit of E is; refuse data without E."""
    require_dims(
        value,
        "E",
        "a spectrum",
        error=CoordinateError,
        fix="pass the data before they were cut",
    )
    return convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )


def _axis(
    values: Any, dim: str, default: str | None = None
) -> tuple[np.ndarray, str, float]:
    """Return bin centres, their units, and the factor to the canonical unit."""
    canonical = COORDINATES[dim][0]
    numbers, units = (
        (values, None)
        if isinstance(values, list | tuple)
        else split_quantity(values, dim)
    )
    try:
        array = np.atleast_1d(np.asarray(getattr(numbers, "values", numbers), float))
    except (TypeError, ValueError):
        array = np.empty(0)
    if (
        array.ndim != 1
        or not array.size
        or not np.isfinite(array).all()
        or (np.diff(array) <= 0).any()
    ):
        raise RangeError(
            f"{dim} is not a row of ascending numbers, the centres of bins",
            fix=f"{dim}=np.arange(start, stop, step), in {canonical}",
        )
    units = units or default or canonical
    return array, units, convert_factor(units, canonical, name=dim, energy=dim == "E")
