"""OPUS of Bruker: its Raman spectra."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError
from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.spectrum import ONLY_RAMAN, kept, raman_dataset
from xbp.io.text import check

__all__ = ["FORMAT", "OpusBackend", "open_opus"]

_SIGNATURE: Final = b"\n\n\xfe\xfe"
_ENTRY = 12
#: Parameters that are kept: of the instrument, the measurement and the sample.
_KEPT: Final = {
    "INS": "instrument",
    "SNM": "sample name",
    "SFM": "sample form",
    "CNM": "operator",
    "DTC": "detector",
    "BMS": "beamsplitter",
    "APF": "apodization",
    "SRC": "source",
    "RLP": "laser power mW",
    "RES": "resolution 1/cm",
    "DUR": "duration s",
    "DAT": "date",
    "TIM": "time of day",
}
#: Kinds of data blocks.
_RAMAN_SPECTRUM, _REFERENCE = 10, 2
_WHATS: Final = {
    1: "a single-channel spectrum",
    2: "an interferogram",
    3: "a phase",
    4: "an absorbance",
    5: "a transmittance",
    6: "a Kubelka-Munk spectrum",
    11: "an emission",
    12: "a reflectance",
    15: "a logarithm of a reflectance",
    16: "an ATR spectrum",
    17: "a photoacoustic spectrum",
}
#: Forms of data blocks: plain, and with something else before the numbers.
_PLAIN, _COMPACT = 0, 4
_FORMS: Final = (_PLAIN, 1, _COMPACT)
_NUMBERS: Final = {1: "<f4", 2: "<i4"}
_NEEDED: Final = ("NPT", "DXU", "DPF", "FXV", "LXV", "CSF")
#: Units of the axis of a Raman spectrum: a shift in 1/cm.
_SHIFTS: Final = ("WN", "RSH")

FORMAT = Format(
    "an OPUS file",
    "binary",
    lambda content: content.startswith(_SIGNATURE),
    "it does not begin as an OPUS file",
    guide=Guide(
        "light",
        "Bruker OPUS: `.0`, `.1`, …",
        "the Raman spectrum; laser, scans, resolution, instrument, sample. "
        "A file with only absorption, reflection or interferograms is refused",
        example("I", '"glass.0", T="295 K"'),
        asks=("T", "spectrum"),
    ),
)


class _Kind(NamedTuple):
    """What a block contains, from the bits of its type."""

    parameters: int
    of: int
    what: int
    derivative: int
    form: int


@FORMAT.reader
def open_opus(
    path: Path, content: bytes, *, T: Any = None, spectrum: float | None = None
) -> xr.Dataset:
    """Read the Raman spectrum in an OPUS file of Bruker.

    Parameters
    ----------
    path : path-like
        A file with a block of a Raman spectrum.
    T : scalar with units, optional
        Temperature of the sample (bare: K). That of the scanner is not it.
    spectrum : int, optional
        Which spectrum is read, counted from 0, if the file has several.

    Returns
    -------
    xarray.Dataset
        ``I(E)``, times its scale. Attributes: ``laser``, ``accumulations`` and
        ``opus_...``.

    Raises
    ------
    FileFormatError
        If the file is damaged, or has no Raman spectrum, only a derivative of one, or a
        series; if it has several and `spectrum` is not one of them.
    """
    blocks = list(_blocks(content))
    found = [
        (kind, stored) for kind, stored in blocks if kind.what == _RAMAN_SPECTRUM
        and not kind.parameters
    ]  # fmt: skip
    if not found:
        raise FileFormatError(
            f"{path}: it has no Raman spectrum{_others(blocks)}", fix=ONLY_RAMAN
        )
    several = len(found) > 1
    if several and spectrum is None:
        raise QuantityError(f"{path} has {len(found)} spectra", fix="pass spectrum=0")
    place = 0.0 if spectrum is None else float(spectrum)
    right = place.is_integer() and 0 <= place < len(found)
    check(right, f"spectrum={spectrum} is not one of its {len(found)}, from 0")
    kind, stored = found[int(place)]
    check(not kind.derivative, "it is a derivative of a Raman spectrum")
    check(kind.form in _FORMS, "it is a series of spectra")
    labels = [
        _parameters(part)
        for other, part in blocks
        if other == kind._replace(parameters=1)
    ]
    check(len(labels) == 1, f"its spectrum has {len(labels)} lists of parameters")
    own = labels[0]
    missing = [name for name in _NEEDED if name not in own]
    check(not missing, f"its spectrum has no parameter {missing}")
    n, units, number = own["NPT"], own["DXU"], own["DPF"]
    check(units in _SHIFTS, f"its axis is in {units}, not a Raman shift")
    check(number in _NUMBERS, f"its numbers are of type {number}")
    check(0 < n <= len(stored) // 4, f"it ends before its {n} points")
    values = np.frombuffer(stored, _NUMBERS[number]).astype(float)
    values = (values[-n:] if kind.form == _COMPACT else values[:n]) * own["CSF"]
    if kind.form == _PLAIN and n < len(stored) // 4:
        # Of more numbers than points the header knows the extremes of the points.
        extremes = own.get("MNY", np.nan), own.get("MXY", np.nan)
        known = np.allclose((values.min(), values.max()), extremes, rtol=1e-4)
        check(known, f"it has {len(stored) // 4} numbers, not its {n} points")
    check(np.isfinite([own["FXV"], own["LXV"]]).all(), "its axis is not finite")
    x = np.linspace(own["FXV"], own["LXV"], n)
    rows: dict[str, Any] = {}
    for other, part in blocks:
        if other.parameters > 1 and other.of >> 2 != _REFERENCE:
            rows |= _parameters(part)
    laser = rows.get("RLW")
    attrs = kept(
        "opus", {_KEPT[key]: v for key, v in (rows | own).items() if key in _KEPT}
    )
    if isinstance(laser, float) and laser > 0:
        check(x.max() < laser, "its axis is an absolute wavenumber, not a shift")
        attrs["laser"] = f"{laser:.8g} 1/cm"
    if rows.get("NSS"):
        attrs["accumulations"] = str(rows["NSS"])
    return raman_dataset(path, "OPUS file", x, values, units="1/cm", T=T, attrs=attrs)


def _blocks(content: bytes) -> Iterator[tuple[_Kind, bytes]]:
    """Yield kind and content of each block in the directory."""
    start, most, n = struct.unpack_from("<3i", content, 12)
    check(0 < n <= most and start > 0, "its directory is damaged")
    check(start + _ENTRY * n <= len(content), "it ends within its directory")
    for place in range(start, start + _ENTRY * n, _ENTRY):
        bits, size, at = struct.unpack_from("<3i", content, place)
        check(size >= 0 and at >= 0, "a block has no place")
        check(at + 4 * size <= len(content), "it ends within a block")
        kind = _Kind(
            bits >> 4 & 0x3F,
            bits & 0xF,
            bits >> 10 & 0x7F,
            bits >> 17 & 3,
            bits >> 19 & 7,
        )
        yield kind, content[at : at + 4 * size]


def _parameters(block: bytes) -> dict[str, Any]:
    """Return a list of parameters: three letters, type, size, value, up to END."""
    found: dict[str, Any] = {}
    at = 0
    while block[at : at + 3] != b"END":
        check(at + 8 <= len(block), "a list of parameters has no end")
        name = block[at : at + 3].decode("latin-1")
        kind, size = struct.unpack_from("<2h", block, at + 4)
        check(0 <= kind <= 4 and size >= 0, f"its parameter {name!r} is damaged")
        stored = block[at + 8 : at + 8 + 2 * size]
        if kind < 2:
            (found[name],) = struct.unpack_from(("<i", "<d")[kind], stored)
        else:
            found[name] = stored.partition(b"\x00")[0].decode("latin-1")
        at += 8 + 2 * size
    return found


def _others(blocks: list[tuple[_Kind, bytes]]) -> str:
    """Return what a file has instead of a Raman spectrum, for the message."""
    names = {_WHATS.get(k.what, "") for k, _ in blocks if not k.parameters} - {""}
    return f", but {', '.join(sorted(names))}" if names else ""


OpusBackend = FORMAT.backend()
