"""WDF of Renishaw's WiRE, read by the package of its maker."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import require
from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.spectrum import kept, raman_dataset
from xbp.io.text import check

__all__ = ["FORMAT", "WdfBackend", "open_wdf"]

_HEADER, _BLOCK = 512, 16
#: Units of the axis, of the intensities and of places, as WiRE numbers them.
_AXES: Final = {1: "1/cm", 3: "nm", 5: "um"}
_VALUES: Final = (0, 6, 17, 18)
_LENGTHS: Final = {5: "um", 8: "mm", 9: "m"}
_TIMES: Final = {12: "s", 13: "ms"}
#: Places of the spectra: kind of origin, name, and the units it can have.
_PLACES: Final = (
    (3, "x", _LENGTHS),
    (4, "y", _LENGTHS),
    (5, "z", _LENGTHS),
    (18, "elapsed", _TIMES),
)
#: Flags of files in which each spectrum has an axis of its own.
_OWN_AXES: Final = 1 | 8

FORMAT = Format(
    "a WDF file",
    "binary",
    lambda content: content.startswith(b"WDF1"),
    "it does not begin with 'WDF1'",
    guide=Guide(
        "light",
        "Renishaw WiRE: `.wdf`",
        "a spectrum, or the spectra of a map or series with their places, "
        "`I(spectrum, E)`; laser, grating, exposure, objective",
        example("I", '"glass.wdf", T="295 K"'),
        asks=("T", "laser"),
        extra="raman",
    ),
)


@FORMAT.reader
def open_wdf(
    path: Path, content: bytes, *, T: Any = None, laser: Any = None
) -> xr.Dataset:
    """Read the Raman spectra in a WDF file of Renishaw's WiRE.

    Parameters
    ----------
    path : path-like
        One spectrum, a series or a map.
    T : scalar with units, optional
        Temperature of the sample (bare: K).
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), for an axis in wavelengths.

    Returns
    -------
    xarray.Dataset
        ``I(E)``, or ``I(spectrum, E)`` with the coordinates x, y, z of a map, of the
        spectra that were collected. Attributes: title, ``laser``, ``grating``,
        ``integration_time`` of one scan, ``accumulations``, and ``wire_...``.

    Raises
    ------
    MissingDependencyError
        If the extra `raman` is not installed.
    FileFormatError
        If the file is damaged, has several tracks, or its axis is not that of a Raman
        spectrum.
    """
    blocks = _require_blocks(content)
    check({b"DATA", b"XLST"} <= set(blocks), "it has no spectra, or no axis")
    wdf = require("wdf", "read WDF files", "raman")
    file = wdf.Wdf()
    file.open_fd(io.BytesIO(content))
    head = file.hdr
    n, collected = head.npoints, head.ncollected
    check(not head.flags_ & _OWN_AXES, "its spectra have axes of their own")
    check(head.xlistcount == n, f"its axis has {head.xlistcount} points, not {n}")
    some = 0 < collected <= head.nspectra
    check(some, f"it has {collected} spectra, where it declares {head.nspectra}")
    for name, size in ((b"DATA", head.nspectra * n), (b"XLST", n + 2)):
        right = 4 * size <= blocks[name] - _BLOCK
        check(right, f"its block {name.decode()} ends before its {n} points")
    x = file.xlist()
    check(x.units.value in _AXES, f"its axis is in {x.units.name}, not a Raman shift")
    check(head.units_ in _VALUES, f"its values are in WiRE's unit {head.units_}")
    _, at = file.find_section(wdf.WdfBlockId.DATA)
    stored = np.frombuffer(content, "<f4", collected * n, at + _BLOCK)
    values = stored.reshape(collected, n).astype(float)
    several = head.nspectra > 1
    return raman_dataset(
        path,
        "WDF file",
        np.array(x),
        values if several else values[0],
        units=_AXES[x.units.value],
        laser=laser,
        T=T,
        attrs=dict(_metadata(wdf, file)),
        places=dict(_places(file, collected)) if several else None,
    )


def _require_blocks(content: bytes) -> dict[bytes, int]:
    """Return the size of the first block of each kind, whose sizes fill the file."""
    found: dict[bytes, int] = {}
    at = 0
    while at < len(content):
        check(at + _BLOCK <= len(content), "it ends within a block")
        name, _, size = struct.unpack_from("<4sIQ", content, at)
        check(_BLOCK <= size <= len(content) - at, f"its block {name!r} is cut")
        found.setdefault(name, size)
        at += size
    check(found.get(b"WDF1") == _HEADER, "its header is damaged")
    return found


def _places(file: Any, n: int) -> Iterator[tuple[str, tuple[np.ndarray, str]]]:
    """Yield where, and when, the spectra were measured."""
    origins = {kind.value: origin for kind, origin in file.origins.items()}
    for kind, name, units in _PLACES:
        origin = origins.get(kind)
        if origin is not None and origin.dataunit.value in units:
            yield name, (np.array(origin[:n], float), units[origin.dataunit.value])


def _metadata(wdf: Any, file: Any) -> Iterator[tuple[str, str]]:
    """Yield what the file says of the instrument.

    Other versions of WiRE have other properties: what is not there is left out.
    """
    head = file.hdr
    if head.laser_wavenumber > 0:
        yield "laser", f"{1e7 / head.laser_wavenumber:.6g} nm"
    yield "accumulations", str(head.naccum)
    instrument, measurement = (
        _properties(file, getattr(wdf.WdfBlockId, name))
        for name in ("INSTRUMENT", "MEASUREMENT")
    )
    grating = _property(instrument, "System Configuration", "Grating")
    lens = _property(instrument, "Microscope", "Objective name")
    exposure = _property(measurement, "NamedItems", "Scan", "Exposure Time")
    if isinstance(exposure, int):
        yield "integration_time", f"{exposure / 1000:g} s"
    rows = {"title": head.title, "grating": grating}
    yield from ((key, str(text)) for key, text in rows.items() if text)
    own = {"Objective": lens, "Operator": head.user, "Version": head.appversion}
    yield from kept("wire", {key: text for key, text in own.items() if text}).items()


def _properties(file: Any, block: Any) -> Any:
    """Return the properties of a block; None if they cannot be read."""
    # The package refuses all properties of a block if it does not know one of them.
    with contextlib.suppress(Exception):
        return file.get_section_properties(block, -1)
    return None


def _property(properties: Any, *names: str) -> Any:
    """Return one property; None if it is not there."""
    with contextlib.suppress(Exception):
        for name in names:
            properties = properties[name]
        return properties.value
    return None


WdfBackend = FORMAT.backend()
