"""Errors for files that no reader takes: what they are, and what is nearest."""

from __future__ import annotations

import contextlib
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader

from xbp.core.errors import FileFormatError
from xbp.io.foreign import REMEDIES, TRAJECTORIES
from xbp.io.reader import Format
from xbp.io.spelling import is_wide

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["binary_trajectory", "foreign_signature", "hdf5_refusal", "refusal"]

_REDUCE: Final = "reduce it in Mantid, then SaveNXSPE or SaveNexus"
_TRAJECTORY: Final = "xbp.md.open_trajectory(path, ...)"
_UNPACK: Final = "unpack it"
_PASS: Final = "pass its numbers to xbp.new_dataset(...)"
_SHEET: Final = "save it as CSV, or xbp.from_pandas(pandas.read_excel(path), ...)"
#: How binary files begin, what they are, and what to do with them.
_SIGNATURES: Final = (
    (
        b"\x06\x00\x00\x00horace",
        "a Horace .sqw of pixels, not the S(q,ω) text of McStas",
        "open the .nxspe of its runs; or save the S, E and |Q| of a 2-D cut as text",
    ),
    (
        b"\x0e\x03\x13\x01",
        "HDF4, as old versions of LAMP and of NeXus wrote it",
        "save it again as HDF5, or convert it with h4toh5",
    ),
    (b"SR\x00\x04", "an IDL file, such as a project of DAVE", "save it as .grp"),
    (b"Spectral Data File", "a spectrum of OMNIC", "export it as JCAMP-DX or CSV"),
    (b"Spectral Exte File", "a series of OMNIC", "export it as JCAMP-DX or CSV"),
    *(
        (begin, "a surface or map of Digital Surf", "export the spectra as text")
        for begin in (b"DSCOMPRESSED", b"DIGITAL SURF")
    ),
    (
        b"MATLAB ",
        "a MATLAB file",
        "arrays = scipy.io.loadmat(path), or of version 7.3 h5py.File(path); then "
        "xbp.new_dataset(...)",
    ),
    (b"\x93NUMPY", "a NumPy array", "xbp.new_dataset(..., numpy.load(path), ...)"),
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", _SHEET),
    (b"PAR1", "a table in Parquet", "xbp.from_pandas(pandas.read_parquet(path), ...)"),
    *(
        (
            b"\x80" + bytes([protocol]),
            "a pickle of Python, which can run any program when it is opened",
            "open it where it was made and save its arrays: xbp.new_dataset(...)."
            "bp.to_netcdf(path)",
        )
        for protocol in range(2, 6)
    ),
    (b"\x1f\x8b", "compressed (gzip)", _UNPACK),
    (b"BZh", "compressed (bzip2)", _UNPACK),
    (b"\xfd7zXZ", "compressed (xz)", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", _UNPACK),
)
#: The same for HDF5, by the path of an object in it.
_OBJECTS: Final = (
    (
        r"(?:.*/)?(?:bank\d+_events|event_id|event_time_offset)",
        "a file of raw events (SNS, ISIS, ESS), before reduction",
        _REDUCE,
    ),
    (r"raw_data_1", "a raw run of ISIS, before reduction", _REDUCE),
    (r"entry0/(?:instrument|data\w*|monitor)", "a raw run of the ILL", _REDUCE),
    (
        r"mantid_workspace_\d+/event_workspace",
        "a Mantid workspace of events",
        "Rebin with PreserveEvents=False, then SaveNexus",
    ),
    (
        r"MD(?:Event|Histo)Workspace",
        "a multi-dimensional workspace of Mantid",
        "save S(Q,E) as a Workspace2D, with SaveNexus",
    ),
    (r"mantid_workspace_\d+/table_workspace", "a table of Mantid", "save it as text"),
    (
        r"(?:.*/)?(?:block0_values|axis0|_i_table)",
        "a table of pandas",
        "xbp.from_pandas(pandas.read_hdf(path), ...)",
    ),
    (r"h5md", "an H5MD trajectory", _TRAJECTORY),
    (
        r"(?:.*/)?force_constants",
        "force constants of phonopy",
        "xbp.md.lattice.from_phonopy(phonopy.load(...))",
    ),
    (
        r"qpoint",
        "phonons of phonopy",
        "xbp.from_phonopy(phonopy.load(...)), or its dos",
    ),
    (
        r"topology",
        "a trajectory of MDTraj",
        "mdtraj.load(path).save_xtc(...), then " + _TRAJECTORY,
    ),
    (r"configuration/coordinates", "a trajectory of MDANSE (.mdt)", _TRAJECTORY),
)
#: Objects of a file that are looked at.
_MOST: Final = 10_000


def hdf5_refusal(
    file: h5py.File, formats: Iterable[Format], reasons: Mapping[str, str]
) -> tuple[str, str, str]:
    """Return what an HDF5 file is that no reader takes, why, and what to do.

    The nearest format is that of which most names are in the file, half at least.
    """
    paths: list[str] = []

    def look(name: str) -> bool | None:
        paths.append(name)
        return True if len(paths) >= _MOST else None  # ends the visit

    file.visit(look)
    for pattern, what, fix in _OBJECTS:
        if any(re.fullmatch(pattern, path) for path in paths):
            return f"is {what}", "", fix
    names = {path.rpartition("/")[2] for path in paths}
    shares = {
        f: sum(part in names for part in f.parts) / len(f.parts)
        for f in map(_Key, formats)
        if f.parts
    }
    near = max(shares, key=lambda f: shares[f], default=None)
    first = ", ".join(list(file)[:6]) + (", …" if len(file) > 6 else "")
    what = f"is an HDF5 file with {first or 'nothing in it'}, of no known format"
    if near is None or shares[near] < 0.5:
        return what, "", _PASS
    why = f"nearest to {near.format.name}, but {reasons[near.format.name]}"
    return what, why, f"engine={near.format.engine!r} shows what is missing"


class _Key:
    """A format as a key: dataclasses that compare by value have no hash."""

    def __init__(self, format_: Format) -> None:
        self.format = format_
        self.parts = format_.parts


def refusal(
    where: Path,
    found: tuple[str, str, str] | None,
    reasons: Mapping[str, str],
    *,
    is_table: bool,
) -> FileFormatError:
    """Return the error for a file that no reader takes.

    Parameters
    ----------
    where : path
        Of the file.
    found : tuple of str, optional
        What `hdf5_refusal` has found.
    reasons : mapping of str to str
        Why each reader declined.
    is_table : bool
        Whether it is a table of numbers, which needs arguments.
    """
    with where.open("rb") as stream:
        start = stream.read(64)
    known = reasons.get("columns", "")
    if found is not None:
        what, why, fix = found
        return FileFormatError(f"{where} {what}", reason=why, fix=fix)
    if _is_trajectory(where):
        return FileFormatError(f"{where} is a trajectory of atoms", fix=_TRAJECTORY)
    if (signature := foreign_signature(start)) is not None:
        what, fix = _in_archive(where) or signature
        return FileFormatError(f"{where} is {what}", fix=fix)
    if is_table:
        return FileFormatError(
            f"{where} is a table of numbers without quantity and units",
            fix="xbp.open_dataset(path, quantity='raman_intensity', units='1', "
            "coordinate_units='1/cm'), or quantity='S(E)', 'g(E)', 'S(Q)', 'C_p(T)' … "
            "with their units",
        )
    fix = REMEDIES.get(known.removeprefix("it is "), _PASS)
    fix = _TRAJECTORY if known.endswith(TRAJECTORIES) else fix
    if known.startswith("it looks like "):
        fix = "export it again: it may be damaged, or of another version"
    if known.startswith(("it is ", "it looks like ")):
        return FileFormatError(f"{where} cannot be read: {known}", fix=fix)
    for name in ("netCDF", "HDF5"):
        if name in reasons:
            return FileFormatError(
                f"{where} cannot be read as {name}", reason=reasons[name], fix=fix
            )
    line = start.partition(b"\n")[0].decode("latin-1").replace("\t", " ").strip()[:40]
    shown = f"text that begins with {line!r}" if line.isprintable() else "binary"
    if not start:
        shown, fix = "empty", "copy it again"
    if is_wide(start):
        shown, fix = "text in UTF-16 without a byte order mark", "save it as UTF-8"
    return FileFormatError(f"{where} has an unknown format: it is {shown}", fix=fix)


def foreign_signature(start: bytes) -> tuple[str, str] | None:
    """Return what a file is that no reader takes, by how it begins, and what to do.

    Examples
    --------
    >>> foreign_signature(b"BZh9")
    ('compressed (bzip2)', 'unpack it')
    """
    found = (rest for begin, *rest in _SIGNATURES if start.startswith(begin))
    what, fix = next(found, (None, ""))
    return None if what is None else (what, fix)


def _in_archive(where: Path) -> tuple[str, str] | None:
    """Return what a zip archive is, by the names in it; None of other files."""
    try:
        with zipfile.ZipFile(where) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    arrays = [name.removesuffix(".npy") for name in names if name.endswith(".npy")]
    if arrays and len(arrays) == len(names):
        x, y = repr(arrays[0]), repr(arrays[-1])
        return (
            f"a NumPy archive of {', '.join(arrays[:6])}{', …' * (len(arrays) > 6)}",
            f"arrays = numpy.load(path); xbp.new_dataset('g(E)', arrays[{y}], "
            f"units='1/meV', coords={{'E': (arrays[{x}], 'meV')}}), if it is a g(E)",
        )
    if {"xl/workbook.xml", "xl/workbook.bin"} & {*names}:
        return "an Excel workbook", _SHEET
    if names[:1] == ["mimetype"]:
        return "an OpenDocument file", _SHEET
    return None


#: How binary trajectories begin, from some byte on.
_BINARY_TRAJECTORIES: Final = (
    *((at, kind, "a DCD") for at in (4, 8) for kind in (b"CORD", b"VELD")),
    (0, b"\x00\x00\x07\xc9", "a TRR of GROMACS"),
    (0, b"\x00\x00\x07\xcb", "an XTC of GROMACS"),
    (0, b"\xdf\x65\xdf\x65\xdf\x65\xdf\x65", "GSD"),
    (8, b"VERSION ", "a TPR of GROMACS"),
    (40, b"GENERAL INFO", "TNG"),
)


def binary_trajectory(start: bytes) -> str | None:
    r"""Name a binary trajectory, by how it begins; None for others.

    Examples
    --------
    >>> binary_trajectory(b"T\0\0\0CORD")
    'a DCD'
    """
    for at, mark, name in _BINARY_TRAJECTORIES:
        if start[at:].startswith(mark):
            return name
    return None


def _is_trajectory(path: Path) -> bool:
    """Return whether it begins like a LAMMPS file or extended XYZ, also compressed.

    Or like a binary trajectory.
    """
    start = b""
    openers: tuple[Any, ...] = (open, gzip.open)
    for opened in openers:
        with (
            contextlib.suppress(OSError, EOFError, zlib.error),
            opened(path, "rb") as stream,
        ):
            start = stream.read(4096)
    first, _, rest = start.partition(b"\n")
    xyz = first.strip().isdigit() and b"Lattice=" in rest.partition(b"\n")[0]
    data = b"xlo xhi" in start and b"atom types" in start
    binary = binary_trajectory(start) is not None
    marked = start.startswith((b"ITEM: ", b"- of UlmASE-Traj"))
    return marked or data or xyz or binary
