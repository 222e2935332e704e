"""S(Q,E) of a density of states, with all its phonons, in the incoherent approximation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import resolve_temperature, resolve_u2
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal, read
from xbp.core.units import (
    convert_factor,
    format_unit,
    is_one_of,
    magnitude,
    parse_unit,
    split_quantity,
)
from xbp.models.multiphonon import (
    MAX_ORDERS,
    Below,
    Modes,
    expansion,
    onto_bins,
    order_weights,
    orders_needed,
)
from xbp.reduction.composition import resolve_mass
from xbp.reduction.dos_area import is_absolute, known_area, modes_of, require_known_area
from xbp.reduction.imaginary import real_modes

__all__ = ["energies", "multiphonon_sqe", "require_choice", "scatterer"]

#: Which of the phonons.
Part = Literal["all", "elastic", "one", "many"]
_ORDERS: Final = {
    "all": slice(0, None),
    "elastic": slice(0, 1),
    "one": slice(1, 2),
    "many": slice(2, None),
}


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
        What stands in for g below the lowest energy at which it is known: a law of E²
        through its three lowest points, or 0.
    part : {"all", "elastic", "one", "many"}
        Which of the phonons: all, none, one, or two and more.
    area, n_atoms : number, optional
        ``area=1`` says that g is of all modes, whatever its area; `n_atoms` that it is
        of a cell of so many atoms, with an area of 3N. Needed where g, in one over
        energy, has an area of neither 1 nor 3 and does not say so itself
        (``attrs["area"]``, as what xbp makes does).
    area_tolerance : float
        How far an area may be from the one that it is taken for.

    Returns
    -------
    same type as `data`
        ``S(Q,E)`` in one over the unit of E, of area 1 at every Q but for what lies
        beyond the bins; the elastic line fills the bin that holds E = 0.
        ``S.attrs["orders"]`` says how many were taken, the coordinate ``u2`` which u²
        was. There is no standard deviation: that of g is not propagated.

    Raises
    ------
    QuantityError
        If none or several of mass, composition and u² are given, or g has no area.
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
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E, "meV")}, temperature="300 K")
    >>> S = g.bp.multiphonon_sqe([2.0, 8.0], composition="V")
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
    if orders is not None and not (
        isinstance(orders, int) and 1 <= orders <= MAX_ORDERS
    ):
        raise RangeError(
            f"orders={orders!r}",
            reason=f"it is a number from 1 to {MAX_ORDERS}",
            fix="orders=5",
        )
    if not 0 < tolerance < 1:
        raise RangeError(
            f"tolerance={tolerance!r}",
            reason="it is a part of ∫S dE",
            fix="tolerance=1e-6",
        )
    require_choice("below", below, "debye", "nothing")
    require_choice("part", part, *_ORDERS)
    energy = value["E"].values * to_mev
    if not (energy > 0).any():
        raise CoordinateError(
            "g(E) has no positive energies",
            reason="its modes have none",
            fix="pass g over E > 0",
        )
    _require_all_modes(signal, area, n_atoms, area_tolerance)
    q_values, q_units, to_angstrom = _axis(Q, "Q", "1/angstrom")
    if (q_values < 0).any():
        raise RangeError(
            f"Q begins at {q_values.min():g}",
            reason="Q is a magnitude",
            fix="give Q >= 0",
        )
    if E is None:
        step, e_units = (
            Modes.of(energy, np.ones(energy.size), 1.0, below="nothing").step,
            "meV",
        )
        n = int(np.ceil(2 * energy[-1] / step))
        e_values, e_mev = step * np.arange(-n, n + 1), 1.0
    else:
        e_values, e_units, e_mev = _axis(E, "E", value["E"].attrs["units"])
    lower, upper = bin_limits(
        xr.DataArray(e_values, dims="E", coords={"E": e_values}), "E"
    )
    edges = np.append(lower, upper[-1]) * e_mev

    def forward(
        g: np.ndarray, kelvin: float, u2_given: float
    ) -> tuple[np.ndarray, ...]:
        modes = (
            Modes.of(energy, g, constants.BOLTZMANN_MEV * kelvin, below=below)
            if np.isfinite(g[energy > 0]).any()
            else None
        )
        if modes is None or not modes.area > 0:
            raise QuantityError(
                "g(E) has no area",
                reason="it is NaN or cancels",
                fix="pass a density of states with modes",
            )
        u2_used = u2_given if np.isfinite(u2_given) else per_gamma * modes.gamma
        two_w = (q_values * to_angstrom) ** 2 * u2_used
        count = (
            orders_needed(float(two_w.max()), tolerance) if orders is None else orders
        )
        if count > MAX_ORDERS:
            raise RangeError(
                f"2W reaches {two_w.max():.3g}, which takes more than {MAX_ORDERS} "
                "orders",
                reason="the expansion is of no use there; S is a Gaussian about "
                "ħ²Q²/2M",
                fix="lower the highest Q, or give orders=",
            )
        wanted = _ORDERS[part]
        binned = np.stack(
            [onto_bins(A, modes.step, edges) for A in expansion(modes, count)]
        )[wanted]
        return (
            order_weights(two_w, count)[:, wanted] @ binned,
            np.array(u2_used),
            np.array(count),
        )

    total, u2_used, count = xr.apply_ufunc(
        forward,
        value.drop_vars(
            [
                c
                for c in value.coords
                if c in ("area", "u2_status") or "E" in value[c].dims
            ]
        ),
        temperature,
        displacement,
        input_core_dims=[["E"], [], []],
        output_core_dims=[["Q", "_E"], [], []],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float] * 3,
        dask_gufunc_kwargs={
            "output_sizes": {"Q": q_values.size, "_E": e_values.size},
            "allow_rechunk": True,
        },
    )
    spectrum = (total * e_mev).rename(_E="E").assign_coords(
        Q=("Q", q_values, {"units": q_units, "long_name": COORDINATES["Q"][1]}),
        E=("E", e_values, {"units": e_units, "long_name": COORDINATES["E"][1]}),
        **{
            name: (c.dims, c.data, {"units": COORDINATES[name][0], "long_name": COORDINATES[name][1]})
            for name, c in (("temperature", temperature), ("u2", u2_used))
        },
    )  # fmt: skip
    used = {
        "T": T,
        "mass": mass,
        "composition": composition,
        "u2": u2,
        "tolerance": tolerance,
    }
    answer: Data = signal.answer(
        spectrum,
        None,
        operation="multiphonon_sqe",
        arguments=used | {"orders": orders, "below": below, "part": part},
        units=format_unit(parse_unit(e_units) ** -1),
        quantity="dynamic_structure_factor",
        # What dask holds is not computed to be told.
        attrs={
            "statistics": "quantum", "orders": None if count.chunks else int(count.max()),
            "area": None, "area_of": None, "weighting": None,
            "energy_zero": "used by multiphonon_sqe",
        },
    )  # fmt: skip
    return answer


def _require_all_modes(
    signal: Signal, area: float | None, n_atoms: float | None, tolerance: float
) -> None:
    """Refuse a g(E) that is not known to be of all modes, of which 2W and the multiphonons are."""
    if area is not None:
        if not magnitude(area, "1", name="area") > 0:
            raise QuantityError(
                f"area={area!r}",
                reason="it must be positive",
                fix="area=1 if g contains all modes",
            )
        return
    require_known_area(signal.value, f"'{signal.value.name}'")
    if n_atoms is None and not is_absolute(signal) and not known_area(signal.value):
        return
    modes = modes_of(signal, n_atoms=n_atoms, tolerance=tolerance, weighted=True)
    if modes.missing.chunks is None and bool((modes.missing > tolerance).any()):
        raise QuantityError(
            f"'{signal.value.name}' contains only "
            f"{100 * (1 - float(modes.missing.max())):.3g} % of its modes",
            reason="the others are at energies that were not computed or not selected",
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
    atomic = resolve_mass(mass, composition)
    if atomic is not None and u2 is not None:
        raise QuantityError(
            f"u2={u2!r} is given beside the mass",
            reason="with the mass u2 follows from g(E)",
            fix="leave one of them out",
        )
    if atomic is not None:
        return constants.HBAR2_OVER_2U / atomic, xr.DataArray(np.nan)
    if u2 is None and "u2" not in value.coords:
        raise QuantityError(
            "what scatters is not known",
            reason="2W follows from g(E) and the mass, or is Q²u2",
            fix="composition='Zr46Cu46Al8', mass='50.94 u' or u2='0.0066 angstrom^2' "
            "(per axis)",
        )
    return np.nan, resolve_u2(value, u2=u2)


def energies(value: xr.DataArray) -> float:
    """Return the meV that one unit of E is; refuse data without E."""
    if "E" not in value.dims:
        raise CoordinateError(
            f"'{value.name}' has no dimension 'E' (it has {tuple(value.dims)})",
            reason="the spectrum at every E is needed, of which a cut at constant E "
            "has one",
            fix="pass S(Q,E) before it was cut",
        )
    return convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )


def require_choice(name: str, given: str, *choices: str) -> None:
    """Refuse what is none of the choices."""
    if not is_one_of(given, *choices):
        raise QuantityError(
            f"{name}={given!r} is not known",
            reason="no such choice",
            fix=" or ".join(map(repr, choices)),
        )


def _axis(values: Any, dim: str, default: str) -> tuple[np.ndarray, str, float]:
    """Return bin centres, their units, and the factor to the canonical unit."""
    numbers, units = (
        split_quantity(values, dim)
        if not isinstance(values, list | tuple)
        else (values, None)
    )
    try:
        array = np.atleast_1d(
            np.asarray(getattr(numbers, "values", numbers), dtype=float)
        )
    except (TypeError, ValueError):
        array = np.empty(0)
    if (
        array.ndim != 1
        or array.size == 0
        or not np.isfinite(array).all()
        or (np.diff(array) <= 0).any()
    ):
        raise RangeError(
            f"{dim} is not an array of ascending numbers",
            reason="each is the centre of a bin",
            fix=f"np.arange(start, stop, step), in {default}",
        )
    units = units or default
    return (
        array,
        units,
        convert_factor(units, COORDINATES[dim][0], name=dim, energy=dim == "E"),
    )
