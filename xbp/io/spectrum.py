"""Raman spectra of every producer, labelled in one way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError
from xbp.core.guards import not_used, require_positive
from xbp.core.units import parse_unit
from xbp.io.grammar import SUPERSCRIPTS
from xbp.io.masks import measured
from xbp.io.reader import axis_units
from xbp.io.text import check, number
from xbp.reduction.raman import to_raman_shift

__all__ = ["decimal", "kept", "known", "raman_dataset", "shift_or_length"]

#: What to do with other spectra.
ONLY_RAMAN: Final = "pass its numbers to xbp.new_dataset(...) if they are Raman"
#: How programs write a Raman shift in 1/cm, without case and blanks.
_SHIFT: Final = re.compile(r"(?:ramanshift|rel\.?)?\(?(?:rel\.?)?(?:1/cm|cm\^?-1)\)?")


def shift_or_length(text: str) -> str | None:
    """Return "1/cm" for a Raman shift, the units of a wavelength, or None.

    Examples
    --------
    >>> [shift_or_length(text) for text in ("rel. 1/cm", "cm⁻¹", "nm", "Pixel")]
    ['1/cm', '1/cm', 'nm', None]
    """
    plain = re.sub(r"\s", "", text.translate(SUPERSCRIPTS)).lower()
    if _SHIFT.fullmatch(plain):
        return "1/cm"
    return plain if plain in ("nm", "um", "µm") else None


def decimal(word: str) -> float | None:
    """Return a number whose decimal point may be a comma; None if it is not one.

    Examples
    --------
    >>> decimal("785,02"), decimal("1.5"), decimal("1,234.5")
    (785.02, 1.5, None)
    """
    return number(word.replace(",", ".") if word.count(",") == 1 else word)


def kept(prefix: str, rows: Mapping[str, Any]) -> dict[str, str]:
    """Return what a header says as attributes, with names that netCDF accepts.

    Examples
    --------
    >>> kept("spc", {"Laser power": "100%", "Comment": " "})
    {'spc_laser_power': '100%'}
    """
    found = {}
    for key, value in rows.items():
        name = re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")
        text = " ".join(str(value).split())
        if name and text.isprintable() and text:
            found[f"{prefix}_{name}"] = text
    return found


def known(rows: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return what readers of all producers call by the same name.

    Examples
    --------
    >>> known({"Laser (nm)": 785, "Slit": "50"}, {"Laser (nm)": "laser"})
    {'laser': '785 nm'}
    """
    found = {}
    for key, name in names.items():
        unit = re.search(r"[(\[](nm|m?s|µs|us|sec|cm-1)[)\]]\s*$", key)
        text = " ".join(str(rows.get(key, "")).split())
        if text and text.isprintable():
            bare = unit is not None and decimal(text) is not None
            found[name] = f"{text} {unit[1]}" if bare and unit else text
    return found


def raman_dataset(
    path: Path,
    kind: str,
    x: np.ndarray,
    values: np.ndarray,
    *,
    units: str | None,
    given: str | None = None,
    laser: Any = None,
    T: Any = None,
    attrs: Mapping[str, str],
    places: Mapping[str, tuple[Any, str]] | None = None,
) -> xr.Dataset:
    """Label one Raman spectrum, or several over one axis.

    Parameters
    ----------
    path : path
        Of the file.
    kind : str
        What the file is, for ``attrs["source"]``.
    x : numpy.ndarray
        Shifts or wavelengths, ascending or descending.
    values : numpy.ndarray
        Intensities of shape (n,), or (spectra, n).
    units : str or None
        Units of x: "1/cm" for a shift, a length for a wavelength; None if the file does
        not say it.
    given : str, optional
        Units from the user, for a file without them.
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), for x in wavelengths.
    T : scalar with units, optional
        Temperature of the sample (bare: K).
    attrs : mapping
        What else the file says.
    places : mapping of str to (array, str), optional
        Where or when each of several spectra was measured, and the units of it.

    Returns
    -------
    xarray.Dataset
        ``I(E)`` or ``I(spectrum, E)``, E the shift, ascending; over ``wavelength``
        without a laser. Intensities that were not measured are NaN.

    Raises
    ------
    QuantityError
        If the units of x are neither in the file nor given.
    UnitsError, RangeError
        If they or the laser are not of their dimension.
    FileFormatError
        If nothing was measured.
    """
    if units is None:
        if given is None:
            raise QuantityError(
                f"{path} does not state the units of its axis",
                fix="pass coordinate_units='1/cm' for a Raman shift, or 'nm'",
            )
        units = given
    elif given is not None and shift_or_length(given) != shift_or_length(units):
        raise QuantityError(
            f"coordinate_units={given!r} contradicts {path}, which has {units!r}",
            fix="leave coordinate_units= out",
        )
    unit = parse_unit(units.translate(SUPERSCRIPTS), name="coordinate_units=")
    dim = "wavelength" if unit.is_compatible_with("nm") else "E"
    axis = axis_units(units, dim, name="coordinate_units", example="1/cm")
    if dim == "E":
        not_used("the axis is a Raman shift", laser=laser)
    if laser is not None:
        require_positive(laser, "laser", "nm")
    check(x.ndim == 1 and values.shape[-1:] == x.shape, "its axis has another size")
    check(x.size > 1, "it has fewer than two points")
    order = slice(None, None, -1) if x[0] > x[-1] else slice(None)
    several = values.ndim == 2
    intensity, _ = measured(values[..., order])
    names = {"spectrum": [str(i) for i in range(len(values))]} if several else {}
    ds = new_dataset(
        "raman_intensity",
        intensity,
        units="1",
        coords={**names, dim: (x[order], axis)},
        temperature=T,
        attrs={"source": f"{kind} {path.name}", **attrs},
    )
    for name, (where, unit_of) in (places or {}).items():
        ds = ds.assign_coords({name: ("spectrum", where, {"units": unit_of})})
    return to_raman_shift(ds, laser) if laser is not None else ds
