"""The area of a density of states, and which modes it counts.

No absolute value is computed from an assumed area.

``attrs["area"]`` of a g(E) is ∫g dE over all its modes: 1, 3 (per atom) or 3N (for a
cell), in the units of g times those of E; or "unknown", for example if g was determined
over a range that ends inside the band. ``attrs["area_of"]`` states which modes. The
coordinate ``area`` is ∫g dE of each of several maps, NaN if unknown; for a fit it may
differ from that of all modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.grid import bin_limits
from xbp.core.schema import AREA_UNKNOWN, COORDINATES
from xbp.core.signal import Signal
from xbp.core.units import convert_factor, format_unit, magnitude, parse_unit
from xbp.models.debye_einstein import dos_weights

__all__ = [
    "Modes",
    "area_attributes",
    "area_coordinate",
    "area_of_all_modes",
    "is_absolute",
    "known_area",
    "modes_of",
    "require_known_area",
    "scaled_area",
    "to_pure_number",
]

#: Which modes: every mode once; the modes of one element; modes that count by how they
#: scatter, or by other weights.
AreaOf = Literal["all modes", "modes of an element", "weighted modes"]
#: Areas of a density of states of all modes: normalised, and per atom.
_RECOGNISED: Final = (1.0, 3.0)
_ASK: Final = (
    "area=1 if these are all the modes; n_atoms= if g is that of a cell "
    "with that many atoms (area 3N)"
)
#: A g that was cut off is no smaller, where it ends, than this part of its maximum.
_CUT_OFF: Final = 0.05


def area_attributes(area: float | None, of: AreaOf) -> dict[str, Any]:
    """Return the attributes of a g(E) of that area; None where it is not known."""
    return {"area": AREA_UNKNOWN if area is None else float(area), "area_of": of}


def area_coordinate(area: xr.DataArray) -> xr.Variable:
    """Return the coordinate that says which area each of several g(E) has."""
    return xr.Variable(
        area.dims, area.data, {"units": "1", "long_name": COORDINATES["area"][1]}
    )


def scaled_area(
    g: xr.DataArray, factor: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes and the coordinates that say which area g(E) has once it is multiplied."""
    said = _number(g.attrs.get("area"))
    if not factor > 0 and said is not None:
        return {"area": AREA_UNKNOWN}, {}
    coords = (
        {"area": area_coordinate(g.coords["area"] * factor)}
        if "area" in g.coords
        else {}
    )
    return ({} if said is None else {"area": said * factor}), coords


def require_known_area(g: xr.DataArray, name: str) -> None:
    """Refuse a g(E) whose area is recorded as unknown.

    Raises
    ------
    QuantityError
        If the area is unknown.
    """
    stated = _stated(g)
    if (
        stated is not None
        and stated[0].chunks is None
        and bool(stated[0].isnull().all())
    ):
        raise QuantityError(
            f"the area of {name} is unknown",
            reason="g(E) was determined over a range that ends inside the phonon band",
            fix="determine it over a range with all modes, or with initial_dos=; "
            "area=1 if it contains all modes",
        )


def area_of_all_modes(signal: Signal, tolerance: float = 0.01) -> float:
    """Return what ∫g dE of all modes is on the scale of one g(E), which may hold only a part of them.

    Raises
    ------
    QuantityError
        As for `modes_of`, where g does not say it.
    """
    stated = _stated(signal.value)
    require_known_area(signal.value, f"'{signal.value.name}'")
    return float(
        modes_of(signal, tolerance=tolerance).unit if stated is None else stated[0]
    )


@dataclass(frozen=True)
class Modes:
    """Number of modes in a g(E).

    Attributes
    ----------
    unit : xarray.DataArray
        ∫g dE of all modes on the scale of g, over its dimensions but E; NaN where it is
        unknown.
    missing : xarray.DataArray
        The part of all modes that the energies of g do not hold, though it stands for
        them.
    above : xr.DataArray
        Whether those that are missing are above the highest energy.
    """

    unit: xr.DataArray
    missing: xr.DataArray
    above: xr.DataArray


def modes_of(
    signal: Signal,
    *,
    n_atoms: Any = None,
    tolerance: float = 0.01,
    weighted: bool = False,
) -> Modes:
    """Find how many modes a g(E) contains.

    From its attributes, from `n_atoms`, or from an area of 1 or 3.

    Parameters
    ----------
    signal : Signal
        g(E) over E and further dimensions.
    n_atoms : number, optional
        Atoms of the cell that g is of: its area is 3N.
    tolerance : float
        How far an area may be from the one that it is recognised as, as a part of it.
    weighted : bool
        Whether modes that count by how they scatter are welcome.

    Raises
    ------
    QuantityError
        If the area is unknown, not recognised, or contradicts the attributes of g.
    """
    g = signal.value
    held = _held(signal)
    if n_atoms is not None:
        atoms = magnitude(n_atoms, "1", name="n_atoms")
        if not atoms > 0:
            raise QuantityError(
                f"n_atoms={n_atoms!r}",
                reason="a cell has at least one atom",
                fix="n_atoms=2",
            )
        return _recognised(g, held.areas, (3 * atoms,), tolerance)
    stated = _stated(g)
    if stated is None:
        return _recognised(g, held.areas, _RECOGNISED, tolerance)
    require_known_area(g, f"'{g.name}'")
    if g.attrs.get("area_of") == "weighted modes" and not weighted:
        raise QuantityError(
            f"'{g.name}' is a density of modes weighted by "
            f"{g.attrs.get('weighting', 'neutron')!r}",
            reason="modes of light or strongly scattering atoms have more weight in it",
            fix="traj.bp.vdos(weights='mass'), "
            "g.bp.correct_neutron_weighting(partials); area=1 uses it as it is",
        )
    unit, total = stated
    near = _nearest(held.areas, total)
    missing = ((total - near) / unit).clip(min=0.0)
    wrong = (near > total * (1 + tolerance)) | (
        (missing > tolerance) & ~(held.last > _CUT_OFF)
    )
    if wrong.chunks is None and bool(wrong.any()):
        raise QuantityError(
            f"the integral of '{g.name}' over E is "
            f"{float(near.where(wrong).max()):.4g}, but its recorded area is "
            f"{float(total.where(wrong).max()):.4g}",
            reason="it was changed after xbp computed it, or its bins are too wide",
            fix=f"g.bp.scale(factor) updates the area; or pass {_ASK}",
        )
    # Below the lowest energy Debye's law stands in: of much of it nothing is known.
    return Modes(unit.where(~wrong), missing, held.below < tolerance)


def known_area(g: xr.DataArray) -> bool:
    """Tell whether a g(E) says which area it has."""
    stated = _stated(g)
    return (
        stated is not None
        and stated[0].chunks is None
        and bool(stated[0].notnull().all())
    )


def _stated(g: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Return what ∫g dE of all modes is on the scale of g, and ∫g dE of g itself.

    None where g says nothing.
    """
    said = g.attrs.get("area")
    if said is None and "area" not in g.coords:
        return None
    number = _number(said)
    unit = xr.DataArray(np.nan if number is None else number)
    if "area" not in g.coords:
        return unit, unit
    total = g.coords["area"].drop_vars(list(g.coords["area"].coords))
    return (total if number is None else unit.where(total.notnull())), total


def _number(said: Any) -> float | None:
    known = isinstance(said, int | float | np.number) and not isinstance(said, bool)
    return float(said) if known and np.isfinite(said) else None


def _recognised(
    g: xr.DataArray,
    held: tuple[xr.DataArray, xr.DataArray],
    areas: tuple[float, ...],
    tolerance: float,
) -> Modes:
    """Return the one of some areas that g has, within a tolerance.

    NaN where it has none.
    """
    unit = xr.full_like(held[0], np.nan, dtype=float)
    for area in areas:
        close = abs(_nearest(held, xr.full_like(held[0], area)) / area - 1) <= tolerance
        unit = unit.where(~close, area)
    unit = unit.where(
        held[0].notnull(), 1.0
    )  # g is NaN, and so is what follows from it
    if unit.chunks is None and bool(unit.isnull().any()):
        odd = float(held[0].where(unit.isnull()).max())
        said = " or ".join(f"{area:g}" for area in areas)
        raise QuantityError(
            f"the area of '{g.name}' is {odd:.4g}, which is not {said} within "
            f"{100 * tolerance:.2g} %",
            reason="the scale is unknown: the area should be 1 (normalised), 3 (per "
            "atom) or 3N (per cell)",
            fix=_ASK,
        )
    return Modes(unit, xr.zeros_like(unit), xr.ones_like(unit, dtype=bool))


@dataclass(frozen=True)
class _Held:
    """What the energies of g(E) hold, over its other dimensions.

    `areas` are ∫g dE with g/E² linear between its numbers, and as a sum over bins;
    `below` is the part of the first that Debye's law has below the lowest number,
    `last` the last number over the largest.
    """

    areas: tuple[xr.DataArray, xr.DataArray]
    below: xr.DataArray
    last: xr.DataArray


def _held(signal: Signal) -> _Held:
    g = signal.value
    lower, upper = np.full((2, g.sizes["E"]), np.nan)
    if (
        g.sizes["E"] > 1
        or str(g["E"].attrs.get("bounds", "E_bnds")) in signal.source.coords
    ):
        lower, upper = bin_limits(signal.source, "E")
    E, width = (
        g["E"].values.astype(float),
        np.clip(upper, 0, None) - np.clip(lower, 0, None),
    )
    per_unit = to_pure_number(signal)

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is no area
    def of_one(values: np.ndarray) -> tuple[np.float64, ...]:
        known = np.isfinite(values) & (E > 0)
        if not known.any():
            return (np.float64(np.nan),) * 4
        at, there = E[known], values[known]
        smooth = dos_weights(at, np.array([np.inf]))[0] @ there
        binned = np.nansum(values * width) if np.isfinite(width).all() else smooth
        return (
            np.float64(smooth * per_unit), np.float64(binned * per_unit), np.float64(there[0] * at[0] / 3 / smooth),
            np.float64(there[-1] / there.max()),
        )  # fmt: skip

    smooth, binned, below, last = xr.apply_ufunc(
        of_one, g.drop_vars(list(g.coords)), input_core_dims=[["E"]], output_core_dims=[[]] * 4, vectorize=True,
        dask="parallelized", output_dtypes=[float] * 4, dask_gufunc_kwargs={"allow_rechunk": True},
    )  # fmt: skip
    return _Held((smooth, binned), below, last)


def is_absolute(signal: Signal) -> bool:
    """Tell whether g(E) is in one over energy; else its scale is arbitrary."""
    return bool(
        parse_unit(signal.units).is_compatible_with(
            parse_unit(signal.value["E"].attrs["units"]) ** -1
        )
    )


def to_pure_number(signal: Signal, *, free: bool = True) -> float:
    """Return what makes g times E a pure number.

    1 where the scale of g is arbitrary, and may be (`free`).
    """
    inverse = parse_unit(signal.value["E"].attrs["units"]) ** -1
    if free and not is_absolute(signal):
        return 1.0
    return convert_factor(
        signal.units, format_unit(inverse), name=f"'{signal.value.name}'"
    )


def _nearest(
    held: tuple[xr.DataArray, xr.DataArray], area: xr.DataArray
) -> xr.DataArray:
    near = held[0]
    for other in held[1:]:
        near = near.where(abs(near - area) <= abs(other - area), other)
    return near
