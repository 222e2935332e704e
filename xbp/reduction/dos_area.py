"""The area of a density of states, and what it is of: nothing absolute is computed from an area that was assumed."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from xbp.errors import QuantityError
from xbp.schema import AREA_UNKNOWN
from xbp.units import magnitude

__all__ = ["AreaOf", "area_attributes", "modes_of", "require_known_area", "stated_area"]

#: What the area is of: every mode once; the modes of one element each; modes that count by how they scatter or by
#: other weights; or a fit, on whose scale 1 is all modes, whatever its own area.
AreaOf = Literal["all modes", "modes of an element", "weighted modes", "fit"]
#: Areas of a density of states that is of all modes: normalised, and per atom.
_RECOGNISED: Final = (1.0, 3.0)
_ASK: Final = "area=1 if these are all the modes, or n_atoms= if g is of a cell of so many atoms (area 3N)"


def area_attributes(area: float | None, of: AreaOf) -> dict[str, Any]:
    """Return the attributes of a g(E) of that area; None where it is not known."""
    return {"area": AREA_UNKNOWN if area is None else float(area), "area_of": of}


def stated_area(g: xr.DataArray) -> xr.DataArray | None:
    """Return the area that g(E) says it has, NaN where it is unknown; None where it says nothing.

    The coordinate ``area`` tells each of several maps, ``attrs["area"]`` one for all.

    Examples
    --------
    >>> float(stated_area(xr.DataArray([1.0], dims="E", attrs={"area": 3.0})))
    3.0
    """
    if "area" in g.coords:
        area = g.coords["area"]
        bare: xr.DataArray = area.drop_vars(list(area.coords))
        return bare
    said = g.attrs.get("area")
    if said is None:
        return None
    number = said if isinstance(said, int | float | np.number) and not isinstance(said, bool) else np.nan
    return xr.DataArray(float(number))


def require_known_area(g: xr.DataArray, name: str) -> None:
    """Refuse a g(E) that is not of all modes, or says that its area is unknown.

    Raises
    ------
    QuantityError
        Naming it.
    """
    area = stated_area(g)
    if area is not None and area.chunks is None and bool(area.isnull().any()):
        raise QuantityError(
            f"the area of {name} is unknown",
            reason="the range in which it was found ended inside the band of phonons",
            fix="find it over a range that holds all modes, or with initial_dos=; area=1 if it does hold them all",
        )


def modes_of(
    g: xr.DataArray, held: tuple[xr.DataArray, ...], *, n_atoms: Any = None, tolerance: float = 0.01
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return what g(E) is divided by to be of unit area, and the part of that area which its energies do not hold.

    Parameters
    ----------
    g : xarray.DataArray
        g(E) over E and further dimensions.
    held : tuple of xarray.DataArray
        ∫g dE over its energies by several rules; that which is nearest counts.
    n_atoms : number, optional
        Atoms of the cell that g is of: its area is 3N.
    tolerance : float
        How far an area may be from the one that it is recognised as, as a part of it.

    Raises
    ------
    QuantityError
        If the area is unknown, is none that is recognised, or contradicts what g says of itself.
    """
    of, stated = g.attrs.get("area_of", "all modes"), stated_area(g)
    if n_atoms is not None:
        atoms = magnitude(n_atoms, "1", name="n_atoms")
        if not atoms > 0:
            raise QuantityError(f"n_atoms={n_atoms!r}", reason="a cell has atoms", fix="n_atoms=2")
        return _recognised(g, held, (3 * atoms,), tolerance)
    if stated is None:
        return _recognised(g, held, _RECOGNISED, tolerance)
    require_known_area(g, f"'{g.name}'")
    if of == "weighted modes":
        raise QuantityError(
            f"'{g.name}' is a density of modes weighed by {g.attrs.get('weighting', 'their scattering')!r}",
            reason="light or strongly scattering atoms count more in it than others",
            fix="traj.bp.vdos(weights='mass'), g.bp.correct_neutron_weighting(partials); area=1 takes it as it is",
        )
    near = _nearest(held, stated)
    if near.chunks is None and bool((near > stated * (1 + tolerance)).any()):
        raise QuantityError(
            f"the area of '{g.name}' is {float(near.max()):.4g}, and g says {float(stated.max()):.4g}",
            reason="it was changed after xbp made it",
            fix=f"g.bp.scale(factor) keeps count of the area; or say {_ASK}",
        )
    unit = xr.ones_like(stated) if of == "fit" else stated
    return unit, ((stated - near) / unit).clip(min=0.0)


def _recognised(
    g: xr.DataArray, held: tuple[xr.DataArray, ...], areas: tuple[float, ...], tolerance: float
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the one of some areas that g has, within a tolerance; NaN where it has none."""
    known = xr.full_like(held[0], np.nan, dtype=float)
    for area in areas:
        close = abs(_nearest(held, xr.DataArray(area)) / area - 1) <= tolerance
        known = known.where(~close, area)
    known = known.where(held[0].notnull(), 1.0)  # g is NaN, and so is what follows from it
    if known.chunks is None and bool(known.isnull().any()):
        odd = float(held[0].where(known.isnull()).max())
        said = " or ".join(f"{area:g}" for area in areas)
        raise QuantityError(
            f"the area of '{g.name}' is {odd:.4g}, which is not {said} within {tolerance:.2g} of it",
            reason="1 is all modes, 3 those of an atom, 3N those of a cell: the scale is not known",
            fix=_ASK,
        )
    return known, xr.zeros_like(known)


def _nearest(held: tuple[xr.DataArray, ...], area: xr.DataArray) -> xr.DataArray:
    near = held[0]
    for other in held[1:]:
        near = near.where(abs(near - area) <= abs(other - area), other)
    return near
