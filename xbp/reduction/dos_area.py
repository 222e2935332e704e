"""The area of a density of states, which modes it contains, and imaginary modes.

No absolute value is computed from an assumed area.

``attrs["area"]`` of a g(E) is ∫g dE over all its modes: 1, 3 (per atom) or 3N (for a
cell; in a plane 2 or 2N), in the units of g times those of E; or "unknown", for example
if g was determined over a range that ends inside the band. ``attrs["area_of"]`` states
which modes. The coordinate ``area`` is ∫g dE of each of several maps, NaN if unknown;
for a fit it may
differ from that of all modes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.conditions import dimension_of
from xbp.core.data import is_lazy, refuse_where, require_some, require_values
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits
from xbp.core.guards import (
    at_most_one,
    require_fraction,
    require_number,
    require_positive,
)
from xbp.core.schema import AREA_UNKNOWN, labels
from xbp.core.signal import Signal, over_spectra, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.models.debye_einstein import dos_weights
from xbp.models.dimension import mode_count

__all__ = [
    "Modes",
    "area_attributes",
    "area_coordinate",
    "area_of_all_modes",
    "imaginary_modes",
    "is_absolute",
    "known_area",
    "known_bins",
    "modes_of",
    "positive_area",
    "read_dos",
    "real_modes",
    "require_all_modes",
    "require_known_area",
    "scaled_area",
    "to_pure_number",
]

#: Which modes: every mode once; the modes of one element, or one branch; modes that
#: count by how they scatter, or by other weights.
AreaOf = Literal[
    "all modes", "modes of an element", "modes of a branch", "weighted modes"
]
_ASK: Final = "area=1 if g has all modes, or n_atoms= of the cell"


def area_attributes(area: float | None, of: AreaOf) -> dict[str, Any]:
    """Return the attributes of a g(E) of that area; None if it is unknown."""
    return {"area": AREA_UNKNOWN if area is None else float(area), "area_of": of}


def area_coordinate(area: xr.DataArray) -> xr.Variable:
    """Return the coordinate with the area of each of several g(E)."""
    return xr.Variable(area.dims, area.data, labels("area") | {"units": "1"})


def scaled_area(
    g: xr.DataArray, factor: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes and coordinates of the area of g(E) times a factor."""
    area = _number(g.attrs.get("area"))
    if area is not None and not factor > 0:
        return {"area": AREA_UNKNOWN}, {}
    attrs = {} if area is None else {"area": area * factor}
    if "area" not in g.coords:
        return attrs, {}
    return attrs, {"area": area_coordinate(g.coords["area"] * factor)}


def known_area(g: xr.DataArray) -> bool:
    """Return whether a g(E) states its area, as everything that xbp computes does."""
    stated = _stated(g)
    if stated is None or is_lazy(stated[0]):
        return False
    return bool(stated[0].notnull().all())


def require_known_area(g: xr.DataArray, name: str) -> None:
    """Refuse a g(E) whose area is recorded as unknown."""
    stated = _stated(g)
    if stated:
        refuse_where(
            stated[0].isnull().all(),
            lambda: f"the area of {name} is unknown: its range lacks some modes",
            fix="determine it with initial_dos=, or area=1 if it has all modes",
        )


def area_of_all_modes(signal: Signal, tolerance: float = 0.01) -> float:
    """Return ∫g dE of all modes on the scale of one g(E), which may contain a part.

    Raises
    ------
    QuantityError
        As for `modes_of`, if g does not state it.
    """
    require_known_area(signal.value, f"'{signal.value.name}'")
    stated = _stated(signal.value)
    return float(stated[0] if stated else modes_of(signal, tolerance=tolerance).unit)


@dataclass(frozen=True)
class Modes:
    """Number of modes in a g(E).

    Attributes
    ----------
    unit : xarray.DataArray
        ∫g dE of all modes on the scale of g, over its dimensions but E; NaN if unknown.
    missing : xarray.DataArray
        Fraction of all modes that is not at the energies of g.
    above : xr.DataArray
        Whether the missing modes are above the highest energy.
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
    end: float = 1.0,
) -> Modes:
    """Find how many modes a g(E) contains.

    From its attributes, from `n_atoms`, or from an area of 1 or 3 (in a plane 2).

    Parameters
    ----------
    signal : Signal
        g(E) over E and further dimensions.
    n_atoms : number, optional
        Atoms of the cell that g describes: its area is 3N.
    tolerance : float
        Largest relative deviation from an area that is recognised.
    weighted : bool
        Whether modes weighted by how they scatter are accepted.
    end : float
        As for `require_fallen`, if g does not state its area and `n_atoms` is missing.

    Raises
    ------
    QuantityError
        If the area is unknown, not recognised, or contradicts the attributes of g; if g
        does not state it and may lack modes.
    """
    g = signal.value
    require_number(tolerance, "area_tolerance", above=0, below=1)
    content, d = _content(signal), dimension_of(g)
    if n_atoms is not None:
        atoms = require_positive(n_atoms, "n_atoms", error=QuantityError)
        return _recognised(g, content.areas, (mode_count(atoms, d),), tolerance)
    stated = _stated(g)
    if stated is None:
        each = float(mode_count(1, d))
        modes = _recognised(g, content.areas, (1.0, each), tolerance)
        require_fallen(signal, end)
        return modes
    require_known_area(g, f"'{g.name}'")
    if g.attrs.get("area_of") == "weighted modes" and not weighted:
        raise QuantityError(
            f"'{g.name}' is a density of modes weighted by "
            f"{g.attrs.get('weighting', 'neutron')!r}",
            fix="g.bp.correct_neutron_weighting(partials), or area=1",
        )
    unit, total = stated
    near = _nearest(content.areas, total)
    missing = ((total - near) / unit).clip(min=0.0)
    # Modes may be missing where g was cut off, at more than 5 % of its maximum.
    wrong = (near > total * (1 + tolerance)) | (
        (missing > tolerance) & ~(content.last > 0.05)
    )
    refuse_where(
        wrong,
        lambda: (
            f"the integral of '{g.name}' over E is {float(near.where(wrong).max()):.4g}"
            f", but its recorded area is {float(total.where(wrong).max()):.4g}"
        ),
        fix=f"g.bp.scale(factor), or {_ASK}",
    )
    # If much lies below the lowest energy, by Debye's law, modes may be missing there.
    return Modes(unit.where(~wrong), missing, content.below < tolerance)


def require_fallen(signal: Signal, end: float) -> None:
    """Refuse a g(E) that may end inside the band, as its area cannot show that.

    Parameters
    ----------
    signal : Signal
        g(E).
    end : float
        Largest last value of a complete g, as a fraction of its maximum.

    Raises
    ------
    QuantityError
        If the last value of g is larger.
    """
    end = require_fraction(end, "end")
    last = _content(signal).last
    refuse_where(
        last > end,
        lambda: (
            f"'{signal.value.name}' ends at {100 * float(last.max()):.3g} % of its "
            "maximum: modes above may be missing"
        ),
        fix=_ASK,
    )


def _stated(g: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray] | None:
    """Return the stated area of all modes on the scale of g, and that of g itself."""
    if "area" not in g.attrs and "area" not in g.coords:
        return None
    number = _number(g.attrs.get("area"))
    unit = xr.DataArray(np.nan if number is None else number)
    if "area" not in g.coords:
        return unit, unit
    total = g.coords["area"].drop_vars(list(g.coords["area"].coords))
    return (total if number is None else unit.where(total.notnull())), total


def _number(value: Any) -> float | None:
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if real and np.isfinite(value) else None


def _recognised(
    g: xr.DataArray,
    found: tuple[xr.DataArray, xr.DataArray],
    areas: tuple[float, ...],
    tolerance: float,
) -> Modes:
    """Return which of some areas g has, within a tolerance; refuse any other."""
    unit = xr.full_like(found[0], np.nan, dtype=float)
    for area in areas:
        near = _nearest(found, xr.full_like(found[0], area))
        unit = unit.where(abs(near / area - 1) > tolerance, area)
    unit = unit.where(found[0].notnull(), 1.0)  # g is NaN, and so is what follows
    odd = unit.isnull()
    refuse_where(
        odd,
        lambda: (
            f"the area of '{g.name}' is {float(found[0].where(odd).max()):.4g}"
            f", not {' or '.join(f'{area:g}' for area in areas)} within "
            f"{100 * tolerance:.2g} %"
        ),
        fix=_ASK,
    )
    return Modes(unit, xr.zeros_like(unit), xr.ones_like(unit, dtype=bool))


class _Content(NamedTuple):
    """What the energies of g(E) contain, over its other dimensions.

    `areas` are ∫g dE with g/E² (in a plane g/E) linear between its numbers, and as a
    sum over bins; `below` is the fraction of the first below the lowest number, by
    Debye's law; `last` is the last number over the largest.
    """

    areas: tuple[xr.DataArray, xr.DataArray]
    below: xr.DataArray
    last: xr.DataArray


def _content(signal: Signal) -> _Content:
    g = signal.value
    width = np.full(g.sizes["E"], np.nan)
    if width.size > 1 or g["E"].attrs.get("bounds", "E_bnds") in signal.source.coords:
        lower, upper = np.clip(bin_limits(signal.source, "E"), 0, None)
        width = upper - lower
    E, d = g["E"].values.astype(float), dimension_of(g)
    scale = to_pure_number(signal)

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is not an area
    def of_one(values: np.ndarray) -> tuple[np.float64, ...]:
        known = np.isfinite(values) & (E > 0)
        if not known.any():
            return (np.float64(np.nan),) * 4
        at, y = E[known], values[known]
        smooth = dos_weights(at, np.array([np.inf]), d)[0] @ y
        binned = np.nansum(values * width) if np.isfinite(width).all() else smooth
        below, last = y[0] * at[0] / d / smooth, np.float64(y[-1] / y.max())
        return smooth * scale, binned * scale, below, last

    bare = g.drop_vars(list(g.coords))
    smooth, binned, below, last = over_spectra(of_one, bare, gives=[()] * 4)
    return _Content((smooth, binned), below, last)


def _nearest(
    found: tuple[xr.DataArray, xr.DataArray], area: xr.DataArray
) -> xr.DataArray:
    first, other = found
    return first.where(abs(first - area) <= abs(other - area), other)


def is_absolute(signal: Signal) -> bool:
    """Return whether g(E) is in one over energy; otherwise its scale is arbitrary."""
    inverse = parse_unit(signal.value["E"].attrs["units"]) ** -1
    return bool(parse_unit(signal.units).is_compatible_with(inverse))


def to_pure_number(signal: Signal, *, free: bool = True) -> float:
    """Return the factor that makes g times E a pure number.

    1 if the scale of g is arbitrary, and may be (`free`).
    """
    if free and not is_absolute(signal):
        return 1.0
    inverse = format_unit(parse_unit(signal.value["E"].attrs["units"]) ** -1)
    return convert_factor(signal.units, inverse, name=f"'{signal.value.name}'")


def imaginary_modes(
    value: xr.DataArray, source: xr.DataArray | xr.Dataset
) -> Diagnostic | None:
    """Report the modes of a g(E) at E < 0, where lattice dynamics puts imaginary ones.

    Parameters
    ----------
    value : xarray.DataArray
        g(E), over E and any further dimensions.
    source : xarray.DataArray or xarray.Dataset
        Contains the bounds of E, if there are any.

    Returns
    -------
    Diagnostic or None

    Examples
    --------
    >>> import xbp
    >>> g = xbp.new_dataset("vibrational_dos", [1.0, 2.0, 5.0], units="1/meV",
    ...                     coords={"E": ([-1.0, 1.0, 3.0], "meV")})
    >>> print(imaginary_modes(g.g, g).message)
    12.5 % of the modes of g(E) are imaginary (E < 0, down to -1 meV) and left out
    """
    E = value["E"].values if "E" in value.dims else np.zeros(1)
    below = E < 0
    if not below.any() or below.all():
        return None
    message = "the modes of g(E) at E < 0 are imaginary"
    if not is_lazy(value):  # dask arrays are not computed for a message
        lower, upper = bin_limits(source, "E")
        each = np.nan_to_num(value.transpose(..., "E").values).reshape(-1, E.size)
        numbers = each.sum(axis=0) * (upper - lower)
        if not numbers[below].any():
            return None
        part = numbers[below].sum() / numbers.sum() if numbers.sum() else np.nan
        lowest = E[below][np.flatnonzero(numbers[below])[0]]
        message = (
            f"{100 * part:.3g} % of the modes of g(E) are imaginary "
            f"(E < 0, down to {lowest:.4g} {value['E'].attrs['units']})"
        )
    return Diagnostic(
        "imaginary_modes",
        "warning",
        f"{message} and left out",
        "relax the structure",
    )


def read_dos(data: xr.DataArray | xr.Dataset) -> Signal:
    """Read a g(E) that heat capacities follow from, without its imaginary modes.

    Raises
    ------
    CoordinateError
        If it is not over E, or over temperatures too.
    """
    signal = real_modes(read(data, "vibrational_dos"))
    value = signal.value
    if "E" not in value.dims or "temperature" in value.dims:
        raise CoordinateError(
            f"'{value.name}' has dimensions {tuple(value.dims)}; only E is allowed",
            fix="g.isel(temperature=0, drop=True)",
        )
    return signal


def real_modes(signal: Signal) -> Signal:
    """Return a g(E) without its energies below zero, with a diagnostic.

    Any other quantity is returned unchanged.

    Parameters
    ----------
    signal : Signal
        Of any quantity.

    Returns
    -------
    Signal

    Examples
    --------
    >>> import xbp
    >>> from xbp.core.signal import read
    >>> g = xbp.new_dataset("vibrational_dos", [1.0, 2.0, 5.0], units="1/meV",
    ...                     coords={"E": ([-1.0, 1.0, 3.0], "meV")})
    >>> real_modes(read(g)).value.E.values
    array([1., 3.])
    """
    value, source = signal.value, signal.source
    E = value["E"].values if "E" in value.dims else np.zeros(1)
    if signal.quantity.name != "vibrational_dos" or not (E < 0).any() or (E < 0).all():
        return signal
    found = imaginary_modes(value, source)
    kept: Any = {"E": E >= 0}
    out = value.isel(kept)
    if found is not None:
        out.attrs = {**value.attrs, **diagnosed(value.attrs, found)}
    std = None if signal.std is None else signal.std.isel(kept)
    whole: Any = source.isel(kept) if "E" in source.dims else source
    whole = (
        whole.assign({str(value.name): out}) if isinstance(whole, xr.Dataset) else out
    )
    return dataclasses.replace(signal, value=out, std=std, source=whole)


def require_all_modes(
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
    refuse_where(
        missing > tolerance,
        lambda: (
            f"'{signal.value.name}' contains only "
            f"{100 * (1 - float(missing.max())):.3g} % of its modes"
        ),
        fix="pass all of g, or area=1",
    )


def positive_area(g: xr.DataArray, norm: xr.DataArray) -> xr.DataArray:
    """Return ∫ g dE, which must be positive; NaN where g contains NaN."""
    with np.errstate(over="ignore"):
        area: xr.DataArray = (g * norm).sum("E", skipna=False)
    if not is_lazy(area):  # dask arrays are not computed for a check
        name, known = "the area of g(E)", area.values[~np.isnan(area.values)]
        require_values(known, name, above=1e-150, below=1e150, error=QuantityError)
    return area


def known_bins(g: xr.DataArray, below: str | None) -> np.ndarray:
    """Return E > 0 without the bins before the first and after the last value of g."""
    positive = g["E"].values > 0
    extent = g["E"].values, g["E"].attrs["units"]
    require_some(positive, "positive E", *extent, error=CoordinateError)
    some = positive & g.notnull().any([d for d in g.dims if d != "E"]).values
    require_some(some, "value of g(E)", *extent)
    first, last = np.flatnonzero(some)[[0, -1]]
    empty = g["E"].values[positive & (np.arange(some.size) < first)]
    if empty.size and below is None:
        raise RangeError(
            f"g(E) is NaN from {empty[0]:g} to {empty[-1]:g} {g['E'].attrs['units']}, "
            "which decides C at low temperature",
            fix="below='debye' uses Debye's law there",
        )
    positive[:first], positive[last + 1 :] = False, False
    return positive
