"""SPC of Galactic, which GRAMS, WiRE, LabSpec and many others write."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError
from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.spectrum import ONLY_RAMAN, kept, known, raman_dataset, shift_or_length
from xbp.io.text import check
from xbp.io.titles import Labels, require_titles

__all__ = ["FORMAT", "SpcBackend", "open_spc"]

#: Flags of the first byte.
_SHORT, _MULTI, _LABELS, _OWN_X, _X = 1, 4, 32, 64, 128
_LITTLE, _BIG, _OLD = 0x4B, 0x4C, 0x4D
_HEADER, _SUBHEADER, _LOG = 512, 32, 64
#: Types of the axes that can be those of a Raman spectrum.
_AXES: Final = {0: None, 1: None, 2: "um", 3: "nm", 13: "1/cm"}
_VALUES: Final = {0: "arbitrary", 4: "counts", 12: "intensity", 13: "relative"}
#: Units of the third axis.
_THIRD: Final = {4: "s", 5: "min", 8: "1", 20: "degC", 21: "K", 23: "ms", 28: "m",
                 29: "mm"}  # fmt: skip
#: What other spectra are, by their types of y and of x.
_OTHER_VALUES: Final = {
    1: "an interferogram", 2: "an absorbance", 3: "a Kubelka-Munk spectrum",
    5: "a voltage", 7: "a current", 9: "a voltage", 10: "a logarithm of a reflectance",
    11: "a percentage", 14: "an energy", 128: "a transmittance", 129: "a reflectance",
    131: "an emission",
}  # fmt: skip
_OTHER_AXES: Final = {
    0: "an arbitrary axis", 1: "wavenumbers", 2: "µm", 3: "nm", 4: "s", 5: "minutes",
    6: "Hz", 7: "kHz", 8: "MHz", 9: "mass/charge", 10: "ppm", 13: "a Raman shift",
    14: "eV", 255: "two interferograms",
}  # fmt: skip
_RAMAN: Final = 11
#: Rows of the log of WiRE.
_KNOWN: Final = {
    "Laser": "laser",
    "Grating_grooves": "grating",
    "Accumulations": "accumulations",
}
#: Techniques that are not known, or can be Raman scattering.
_TECHNIQUES: Final = (0, 4, _RAMAN)


def _find(content: bytes) -> bool:
    if content[1:2] == bytes([_OLD]) and len(content) >= _HEADER // 2:
        # Before 1996: an exponent, and the number of points as a float.
        (points,) = struct.unpack_from("<f", content, 4)
        whole = 1 <= points <= 1e6 and float(points).is_integer()
        return bool(whole and (content[16] <= 30 or content[16] == 255))
    return (
        len(content) >= _HEADER
        and content[1] in (_LITTLE, _BIG)
        and content[2] <= 14  # technique
        and (content[28] <= 30 or content[28] == 255)  # type of x
        and b"\x00" in content[:32]
    )


FORMAT = Format(
    "an SPC file",
    "binary",
    _find,
    "it does not begin as an SPC file",
    guide=Guide(
        "light",
        "Galactic GRAMS, WiRE, LabSpec, many others: `.spc`",
        "one or several spectra, `I(spectrum, E)`; 16 or 32 bits, or floating point; "
        "an even or an uneven axis; the log (laser, grating, exposure). Spectra over "
        "axes of their own are read one by one (`spectrum=`)",
        example("I", '"glass.spc", T="295 K"'),
        asks=("T", "coordinate_units", "laser", "spectrum"),
    ),
)


class _Header(NamedTuple):
    """The main header, as far as it is used."""

    flags: int
    version: int
    technique: int
    exponent: int
    points: int
    first: float
    last: float
    spectra: int
    x: int
    y: int
    z: int


@FORMAT.reader
def open_spc(
    path: Path,
    content: bytes,
    *,
    T: Any = None,
    coordinate_units: str | None = None,
    laser: Any = None,
    spectrum: float | None = None,
) -> xr.Dataset:
    r"""Read the Raman spectra in an SPC file.

    Whole numbers of n bits are Y = y 2^(e − n), e the exponent in the header, or that
    of each spectrum if the file has several.

    Parameters
    ----------
    path : path-like
        Of the version of 1996 (4Bh, 4Ch), with one spectrum, or several.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).
    coordinate_units : str, optional
        "1/cm" for a Raman shift, or a length; asked for if the file has "wavenumbers",
        which can be absolute, or an arbitrary axis.
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), for an axis in wavelengths.
    spectrum : int, optional
        Which spectrum is read, counted from 0; needed if every spectrum has an axis of
        its own.

    Returns
    -------
    xarray.Dataset
        ``I(E)``, or ``I(spectrum, E)`` with the third axis as ``z``; the rows of the
        log are attributes ``spc_...``. WiRE interpolates on an even axis when it saves
        SPC: its other formats have the measured points.

    Raises
    ------
    QuantityError
        If `coordinate_units` or `spectrum` is needed.
    FileFormatError
        If it is of the older version, damaged, or not of Raman scattering.

    References
    ----------
    Galactic Industries Corp., "A Brief Guide to SPC File Format" (1997).
    """
    order = ">" if content[1] == _BIG else "<"
    if content[1] == _OLD:
        raise FileFormatError(
            f"{path} is SPC of the version before 1996", fix="save it again as SPC"
        )
    head = _Header(*struct.unpack_from(order + "BBBbIddIBBB", content))
    is_raman = head.technique in _TECHNIQUES and head.x in _AXES and head.y in _VALUES
    if not is_raman:
        y = _OTHER_VALUES.get(head.y, "an intensity")
        x = _OTHER_AXES.get(head.x, f"an axis of type {head.x}")
        what = f"it has {y} over {x} (technique {head.technique})"
        raise FileFormatError(f"{path}: {what}, not Raman scattering", fix=ONLY_RAMAN)
    units = _AXES[head.x]
    if head.flags & _LABELS:
        texts = content[218:248].decode("latin-1").split("\x00")
        within = re.search(r"(?i)wavelength\s*[(\[,/]\s*(\w+)", texts[0])
        named = shift_or_length(within[1] if within else texts[0])
        units = units or named
        titles = [texts[0] or "shift", (texts[1:2] or [""])[0] or "intensity"]
        dim = "wavelength" if units in ("nm", "um") else "E"
        labels = Labels("raman_intensity", "1", dim, units or "1/cm")
        require_titles(path.name, [], titles, labels)
    spectra, end = _spectra(head, content, order)
    places = {}
    several = len(spectra) > 1
    if spectrum is not None:
        right = float(spectrum).is_integer() and 0 <= spectrum < len(spectra)
        check(right, f"spectrum={spectrum:g} is not one of its {len(spectra)}, from 0")
        spectra, several = [spectra[int(spectrum)]], False
    xs, ys, z = zip(*spectra, strict=True)
    same = all(np.array_equal(xs[0], x) for x in xs)
    check(same, f"its {len(spectra)} spectra have axes of their own: pass spectrum=0")
    if several:
        places["z"] = (np.array(z), _THIRD.get(head.z, "1"))
    comment = content[88:218].split(b"\x00")[0].decode("latin-1")
    log = _log(content, order, end)
    attrs = kept("spc", {"comment": comment, **log}) | known(log, _KNOWN)
    return raman_dataset(
        path,
        "SPC file",
        xs[0],
        np.array(ys) if several else ys[0],
        units=units,
        given=coordinate_units,
        laser=laser,
        T=T,
        attrs=attrs,
        places=places,
    )


def _spectra(
    head: _Header, content: bytes, order: str
) -> tuple[list[tuple[np.ndarray, np.ndarray, float]], int]:
    """Return x, y and z of each spectrum, and where the last of them ends."""
    own_x = bool(head.flags & _OWN_X)
    check(head.flags & _MULTI or head.spectra == 1, f"it has {head.spectra} spectra")
    check(0 < head.spectra <= len(content) // _SUBHEADER, "it has no spectra")
    size = 2 if head.flags & _SHORT else 4
    at = _HEADER

    def floats(n: int) -> np.ndarray:
        check(at + 4 * n <= len(content), f"it ends before its {n} points")
        return np.frombuffer(content, f"{order}f4", n, at).astype(float)

    if not own_x:
        check(
            head.points * size <= len(content), f"it ends before {head.points} points"
        )
        if head.flags & _X:
            x = floats(head.points)
            at += 4 * head.points
        else:
            check(np.isfinite([head.first, head.last]).all(), "its axis is not finite")
            x = np.linspace(head.first, head.last, head.points)
    spectra = []
    for _ in range(head.spectra):
        check(at + _SUBHEADER <= len(content), "it ends before its last spectrum")
        _, exponent, _, z, _, _, n = struct.unpack_from(order + "BbhfffI", content, at)
        at += _SUBHEADER
        if own_x:
            x = floats(n)
            at += 4 * n
        e = exponent if head.flags & _MULTI else head.exponent
        if e == -128:
            check(not head.flags & _SHORT, "it mixes numbers of 16 and of 32 bits")
            y = floats(x.size)
            at += 4 * x.size
        else:
            check(at + size * x.size <= len(content), "it ends before its last point")
            whole = np.frombuffer(content, f"{order}i{size}", x.size, at)
            y = whole * 2.0 ** (e - 8 * size)
            at += size * x.size
        spectra.append((x, y, z))
    return spectra, at


def _log(content: bytes, order: str, end: int) -> dict[str, str]:
    """Return the rows of the log."""
    (start,) = struct.unpack_from(order + "I", content, 248)
    if not start:
        check(len(content) == end, f"{len(content) - end} bytes follow its spectra")
        return {}
    check(end <= start <= len(content) - _LOG, "its log does not follow its spectra")
    size, _, text = struct.unpack_from(order + "III", content, start)
    check(start + size <= len(content), "its log is cut short")
    lines = content[start + text : start + size].decode("latin-1").split("\x00")[0]
    rows = {}
    for line in re.split(r"[\r\n]+", lines):
        key, equals, value = line.partition("=")
        if equals:  # WiRE writes Exposure_time=Time: 3000
            rows[key.strip()] = value.split(": ", 1)[-1].strip()
    return rows


SpcBackend = FORMAT.backend()
