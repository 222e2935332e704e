"""Raman spectra in the own format of Horiba LabSpec 6 (``.l6s``)."""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.errors import MAYBE_DAMAGED, FileFormatError
from xbp.core.status import Diagnostic, diagnosed
from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.spectrum import kept, known, raman_dataset, shift_or_length
from xbp.io.text import check
from xbp.io.titles import Labels, require_titles

__all__ = [
    "AXES",
    "FORMAT",
    "NAME",
    "TYPE",
    "UNITS",
    "VALUE",
    "VALUES",
    "Axis",
    "Labspec6Backend",
    "axis_of",
    "labelled",
    "open_labspec6",
]

_SIGNATURE: Final = b"LabSpec6\x00"
#: Where the tree begins, and the size of one record: type, number, key, 0, content.
_ROOT, _RECORD = 0x4C, 24
#: Keys, which are the IDs of LabSpec's XML.
AXES, TYPE, UNITS, VALUES = 0x7B697861, 0x6D707974, 0x7C696E75, 0x7D6CD4DB
NAME, VALUE = 0x6D6D616E, 0x7D6C61DB
#: Bytes per item of the data behind the records: numbers, text, wide text.
_SIZES: Final = {6: 4, 7: 1, 8: 2}
_BEHIND, _LIST, _FLOATS, _TEXT, _WIDE = 0x1000, 9, 6, 7, 8
_NUMBERS: Final = {4: "<q", 5: "<d"}
_LEAVES: Final = (0, 4, 5, 7, _BEHIND | _TEXT, _BEHIND | _WIDE)
_DEEPEST = 20
#: Rows that other producers have, too.
_KNOWN: Final = {
    "Laser (nm)": "laser",
    "Grating": "grating",
    "Acq. time (s)": "integration_time",
    "Accumulations": "accumulations",
}
#: Wavenumbers of the light itself. In eV LabSpec writes 1240 eV nm / λ, too coarse.
_ABSOLUTE: Final = "1/cm abs"


class Axis(NamedTuple):
    """An axis: what is on it, its units, its points."""

    kind: str
    units: str
    points: np.ndarray


def axis_of(parts: Mapping[int, Any]) -> Axis:
    """Return an axis from its parts, by their keys."""
    kind, units = (str(parts.get(key) or "").strip() for key in (TYPE, UNITS))
    points = parts.get(VALUES)
    return Axis(kind, units, np.array([]) if points is None else points)


def labelled(
    path: Path,
    kind: str,
    intensity: Axis,
    axis: Axis,
    values: np.ndarray,
    rows: Mapping[str, Any],
    options: Mapping[str, Any],
) -> xr.Dataset:
    """Label the spectra of LabSpec's tree.

    Parameters
    ----------
    path, kind
        As for `raman_dataset`.
    intensity, axis : Axis
        Their kinds and units are checked.
    values : numpy.ndarray
        One spectrum, or several.
    rows : mapping
        What LabSpec calls parameters.
    options : mapping
        Of the reader.
    """
    if axis.units == _ABSOLUTE:
        axis = axis._replace(units="nm", points=1e7 / axis.points)
    units = shift_or_length(axis.units)
    if axis.units and units is None:
        raise FileFormatError(
            f"{path}: its axis is in {axis.units!r}, not a Raman shift or wavelength",
            fix="export it over 1/cm or nm",
        )
    check(axis.kind.startswith("Spectr"), f"its axis is {axis.kind!r}, not a spectrum")
    dim = "wavelength" if units and units != "1/cm" else "E"
    labels = Labels("raman_intensity", "1", dim, units or "1/cm")
    title = f"{intensity.kind} ({intensity.units})"
    require_titles(path.name, [], ["shift" if dim == "E" else "nm", title], labels)
    return raman_dataset(
        path,
        kind,
        axis.points,
        values,
        units=units,
        attrs=kept("labspec", rows) | known(rows, _KNOWN),
        **options,
    )


FORMAT = Format(
    "a LabSpec 6 file",
    "binary",
    lambda content: content.startswith(_SIGNATURE),
    "it does not begin with 'LabSpec6'",
    guide=Guide(
        "light",
        "Horiba LabSpec 6: `.l6s`",
        "one spectrum; laser, grating, acquisition time and every other parameter. "
        "A map (`.l6m`) is refused: export it as XML",
        example("I", '"glass.l6s", T="295 K"'),
        asks=("T", "laser"),
    ),
)


@FORMAT.reader
def open_labspec6(
    path: Path,
    content: bytes,
    *,
    T: Any = None,
    coordinate_units: str | None = None,
    laser: Any = None,
) -> xr.Dataset:
    """Read a Raman spectrum in the own format of Horiba LabSpec 6.

    The file is a tree of records; the layout follows from files beside their exports.

    Parameters
    ----------
    path : path-like
        One spectrum (``.l6s``).
    T : scalar with units, optional
        Temperature of the sample (bare: K). That of the detector, and of a stage that
        may not be there, are attributes.
    coordinate_units : str, optional
        Units of the axis, if the file has none.
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), for an axis in wavelengths.

    Returns
    -------
    xarray.Dataset
        ``I(E)``; every parameter as an attribute ``labspec_...``. A file cut behind its
        spectrum opens, as nothing in it shows its length, with a diagnostic if all
        parameters are lost.

    Raises
    ------
    FileFormatError
        If the file is damaged, a map, or its axis is not that of a Raman spectrum.
    """
    (kind,) = struct.unpack_from("<I", content, _ROOT)
    (count,) = struct.unpack_from("<I", content, _ROOT + 20)
    check(kind == _BEHIND | _LIST, "its first record is damaged")
    axes = _axes(_walk(content, _ROOT + _RECORD, count, set(), 0))
    check({0, 1} <= set(axes), f"it has {len(axes)} axes, not intensity and spectrum")
    intensity, axis = axes[0], axes[1]
    n = intensity.points.size
    check(
        n == axis.points.size,
        f"it has {n} intensities at {axis.points.size} points: a map, which LabSpec "
        "exports as XML",
    )
    options = {"T": T, "given": coordinate_units, "laser": laser}
    rows = dict(_parameters(content))
    ds = labelled(
        path, "LabSpec 6 file", intensity, axis, intensity.points, rows, options
    )
    if not rows:  # the file does not state how long it is
        text = "the file has no parameters: it may be cut after its spectrum"
        doubt = Diagnostic("no_parameters", "warning", text, MAYBE_DAMAGED)
        ds["I"].attrs |= diagnosed(ds["I"].attrs, doubt)
    return ds


def _walk(
    content: bytes, at: int, count: int, seen: set[int], depth: int
) -> Generator[tuple[int, int, Any], None, int]:
    """Yield depth, key and content of the records of a list; return where it ends.

    What records point to lies behind their list in the same order, once for each
    address. A list itself is yielded before its records, with None.
    """
    check(depth < _DEEPEST, "its records are nested too deeply")
    check(count <= (len(content) - at) // _RECORD, f"a list has {count} records")
    start, at = at, at + count * _RECORD
    for place in range(start, at, _RECORD):
        kind, _, key, zero = struct.unpack_from("<IIII", content, place)
        inline = content[place + 16 : place + _RECORD]
        behind, kind = kind & _BEHIND, kind & ~_BEHIND
        check(zero == 0 and kind <= _LIST, "a record is damaged")
        if not behind:
            yield depth, key, _value(kind, inline)
            continue
        address, n = struct.unpack("<II", inline)
        if address in seen:
            continue
        seen.add(address)
        if kind == _LIST:
            yield depth, key, None
            at = yield from _walk(content, at, n, seen, depth + 1)
            continue
        size = n * _SIZES.get(kind, 0)
        check(
            0 < size <= len(content) - at, "a record points beyond the end of the file"
        )
        yield depth, key, _value(kind, content[at : at + size])
        at += size
    return at


def _value(kind: int, stored: bytes) -> Any:
    """Return numbers or text; other kinds are not needed."""
    if kind == _FLOATS:
        return np.frombuffer(stored, "<f4").astype(float)
    if kind in _NUMBERS:
        return struct.unpack_from(_NUMBERS[kind], stored)[0]
    if kind == _TEXT:
        return stored.partition(b"\x00")[0].decode("latin-1").strip()
    return stored.decode("utf-16-le", "replace").rstrip("\x00") if kind == _WIDE else ""


def _axes(nodes: Iterator[tuple[int, int, Any]]) -> dict[int, Axis]:
    """Return the axes, by their keys: 0 is the intensity, 1 the spectrum."""
    found: dict[int, dict[int, Any]] = {}
    within: int | None = None
    for depth, key, value in nodes:
        if within is not None and depth <= within:
            break
        if within is None:
            within = depth if key == AXES else None
        elif depth == within + 1:
            check(value is None and key not in found, "an axis is damaged")
            parts = found[key] = {}
        elif depth == within + 2:
            parts.setdefault(key, value)
    return {key: axis_of(parts) for key, parts in found.items()}


def _parameters(content: bytes) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each parameter.

    Records of a name and a value stand side by side, with their texts behind them. They
    are found by the key of the name, because some lists are not where others are.
    """
    end = 0
    while (at := content.find(struct.pack("<II", NAME, 0), end)) >= 0:
        start, stop = at - 8, at - 8 + _RECORD
        while start - _RECORD >= end and _is_leaf(content, start - _RECORD):
            start -= _RECORD
        while _is_leaf(content, stop):
            stop += _RECORD
        nodes, end = [], stop
        texts: dict[int, bytes] = {}
        for place in range(start, stop, _RECORD):
            kind, _, key = struct.unpack_from("<III", content, place)
            stored = content[place + 16 : place + _RECORD]
            if kind & _BEHIND:
                address, n = struct.unpack("<II", stored)
                if address not in texts:
                    size = n * _SIZES[kind & ~_BEHIND]
                    check(end + size <= len(content), "it is cut short")
                    texts[address] = content[end : end + size]
                    end += size
                stored = texts[address]
            nodes.append((key, _value(kind & ~_BEHIND, stored)))
        used = set()
        for i, (key, name) in enumerate(nodes):
            if key != NAME or not isinstance(name, str) or not name.isprintable():
                continue
            for j in (i - 1, i + 1):  # the value is before its name, or after it
                if 0 <= j < len(nodes) and j not in used and nodes[j][0] == VALUE:
                    used.add(j)
                    if str(nodes[j][1]).isprintable():  # others are of another layout
                        yield name, nodes[j][1]
                    break


def _is_leaf(content: bytes, place: int) -> bool:
    """Return whether a record of a number or a text is at a place."""
    if place + _RECORD > len(content):
        return False
    kind, _, _, zero = struct.unpack_from("<IIII", content, place)
    return zero == 0 and kind in _LEAVES


Labspec6Backend = FORMAT.backend()
