"""Trajectories read by ASE and MDAnalysis, in formats whose results were verified."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from xbp.core.errors import require
from xbp.io.foreign import CONFIG, REMEDIES, TINKER, YAML_DUMP, foreign_format
from xbp.io.refusal import binary_trajectory, foreign_signature
from xbp.io.text import head
from xbp.md.extxyz import require_consecutive
from xbp.md.found import Found
from xbp.md.frames import Frames, Rows
from xbp.md.given import Given, at_once
from xbp.md.objects import ASE_SPEED, found_of_images
from xbp.md.source import Source, reading, require_file
from xbp.md.topology import elements_of, open_universe, read_topology

__all__ = ["open_with_ase", "open_with_mdanalysis", "require_plain"]

#: Formats of which ASE returns every frame, and velocities, as the file has them: each
#: has a test by hand.
_ASE_MOVING: Final = ("traj", "vasp", "vasp-xml", "vasp-out", "castep-md")
#: Formats that ASE reads wrongly, or whose elements it guesses from names: what they
#: are, and what to do. Those that xbp reads itself do not begin as they should.
_TOPOLOGY, _DAMAGED = "pass topology= and elements=", "correct its first lines"
_ITSELF = "pass topology= (this file, too, names its atoms) and elements="
_ASE_WRONG: Final = {
    "cp2k-dcd": ("a DCD: it names no atoms", _TOPOLOGY),
    "dlp-history": ("a HISTORY of DL_POLY whose first lines are damaged", _DAMAGED),
    "dlp4": ("a CONFIG or REVCON of DL_POLY, one configuration", "write a HISTORY"),
    "extxyz": (
        "XYZ, but its third line is not a name and three numbers",
        "write extended XYZ, with a Lattice in the second line",
    ),
    "gromacs": ("a GRO, which has no elements", _ITSELF),
    "lammps-data": ("a LAMMPS data file whose first lines are damaged", _DAMAGED),
    "lammps-dump-binary": ("a binary LAMMPS dump", "convert it with binary2txt"),
    "lammps-dump-text": ("a LAMMPS dump", "begin it with ITEM: TIMESTEP"),
    "netcdftrajectory": ("netCDF of AMBER, which names no atoms", _TOPOLOGY),
    "proteindatabank": ("PDB, whose elements are not certain", _ITSELF),
    "vasp-xdatcar": ("an XDATCAR whose first lines are damaged", _DAMAGED),
    "xyz": ("XYZ whose first lines are damaged", "write extended XYZ, with a Lattice"),
}
#: Texts that neither reads.
_UNREAD: Final = (CONFIG, TINKER, YAML_DUMP)
#: MDAnalysis's formats that state times, in ps, and those that do not.
_MDA_TIMED: Final = ("XTC", "TRR")
_MDA_UNTIMED: Final = ("DCD", "TRJ", "MDCRD", "CRDBOX", "XYZ", "PDB", "GRO")
_CONVERT: Final = "convert it to extended XYZ, or pass topology= for MDAnalysis"
_PURPOSE: Final = "read this format"


def require_plain(path: Path, head: bytes) -> None:
    """Refuse an empty file, and a text that begins with a byte order mark."""
    require_file(bool(head.strip()), path, "it is empty")
    marked = head.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    fix = "save it as UTF-8 without the mark"
    require_file(not marked, path, "it begins with a byte order mark", fix=fix)


def open_with_ase(source: Source, given: Given) -> Found:
    """Open what ASE reads; it is kept in memory, as ASE's formats cannot seek."""
    path = source.path
    if given.format is None:
        _require_unnamed(source)
    hint = "pass topology= to read it with MDAnalysis"
    with reading(path, hint, "is not a trajectory that xbp or ASE reads"):
        formats = require("ase.io.formats", _PURPOSE, "formats")
        kind = str(given.format or formats.filetype(str(path)))
        what, fix = _ASE_WRONG.get(kind, ("", ""))
        require_file(not what, path, what, fix=fix)
        if kind == "vasp":
            _require_counts(source)
        options = given.reader_options or {}
        images = list(formats.iread(str(path), index=":", format=kind, **options))
    require_file(bool(images and len(images[0])), path, f"ASE ({kind}) finds no atoms")
    _require_whole(source, kind, len(images), _ENDS.get(kind))
    chosen = given.choose(len(images))
    picked = [images[i] for i in chosen]
    require_consecutive(path, [image.info for image in picked], timed=False)
    first = picked[0]
    require_file(
        kind in _ASE_MOVING or (len(images) == 1 and not first.has("momenta")),
        path,
        f"ASE's reader of {kind} is tested only for one frame at rest",
        fix="write extended XYZ, or xbp.md.new_trajectory(position, time=…, cell=…)",
    )
    own = [image.info.get("time") for image in images if kind == "castep-md"]
    # ASE's unit of time is Å √(u/eV) / Å.
    times = np.array(own, dtype=float) / ASE_SPEED if own and None not in own else None
    return found_of_images(images, given, times=times)


def _require_unnamed(source: Source) -> None:
    """Refuse what neither xbp nor ASE reads, by its name."""
    path, start = source.path, source.read(0, 64)
    what, fix = foreign_signature(start) or ("", "")
    require_file(not what, path, what, fix=fix)
    name = binary_trajectory(start) or ""
    problem = f"{name}, a topology" if "TPR" in name else f"{name}: it names no atoms"
    fix = "pass it as topology= of a trajectory" if "TPR" in name else _TOPOLOGY
    require_file(not name, path, problem, fix=fix)
    name = foreign_format(head(path)) or ""
    problem, fix = f"{name}, which xbp does not read", REMEDIES.get(name, _CONVERT)
    require_file(name not in _UNREAD, path, problem, fix=fix)


def open_with_mdanalysis(source: Source, given: Given) -> Found:
    """Open what MDAnalysis reads; every task opens the files anew."""
    path = source.path
    topology = read_topology(given)
    assert topology is not None
    options = dict(given.reader_options or {})
    if isinstance(given.format, str):
        options["format"] = given.format
    n_atoms = topology.names.size
    universe = partial(open_universe, str(path), n_atoms=n_atoms, **options)
    hint = "check that topology= is of the same atoms"
    with reading(path, hint, "is not a trajectory that MDAnalysis reads"):
        trajectory = universe().trajectory
        kind = str(np.atleast_1d(trajectory.format)[0]).upper()
        require_file(
            kind in (*_MDA_TIMED, *_MDA_UNTIMED),
            path,
            f"MDAnalysis's reader of {kind} is not tested",
            fix="xbp.md.new_trajectory(position, time=…, cell=…)",
        )
        n_frames = len(trajectory)
        if source.keep_part:
            try:
                _ = trajectory[n_frames - 1]
            except Exception:  # its last frame is cut short
                n_frames -= 1
        chosen = given.choose(n_frames)
        moving = bool(trajectory[chosen[0]].has_velocities)
        times, cells = [], []
        for number in chosen:
            step = trajectory[number]
            empty = step.dimensions is None
            times.append(float(step.time))
            cells.append(np.zeros((3, 3)) if empty else step.triclinic_dimensions)
        header = dict(trajectory._file.header) if kind == "DCD" else {}
        whole = _ENDS.get(kind)
        if kind in ("XTC", "TRR"):
            _ = trajectory[n_frames - 1]
            end = trajectory._xdr._bytes_tell()
            whole = lambda *_: end == path.stat().st_size  # noqa: E731
        _require_whole(source, kind, n_frames, whole)
    own = np.array(times) if kind in _MDA_TIMED and np.ptp(times) > 0 else None
    length, marks, style, needs_units = 1.0, None, None, False
    arguments = ["elements", "masses", "time_between_frames", "topology", "cell"]
    arguments += ["atom_style", "reader_options"]
    if kind == "DCD":
        # The header has the time between frames in units that programs do not agree on,
        # and placeholders: it is not used. LAMMPS, CHARMM and NAMD count MD steps.
        title = str(header.get("remarks", "")).upper()
        by_lammps = "LAMMPS" in title
        counted = by_lammps or "CHARMM" in title or "NAMD" in title
        arguments += ["units", "lj", *(["timestep"] if counted else [])]
        if counted and header.get("nsavc", 0) > 0:
            marks = header["istart"] + np.array(chosen, dtype=float) * header["nsavc"]
        needs_units = by_lammps or given.units is not None or given.lj is not None
    given.allow(f"read by MDAnalysis as {kind}", *arguments)
    if needs_units and given.units is not None:
        style = given.style(None)
        length = style.length
        topology = topology._replace(weigh=style.name != "lj")
    boxes = np.array(cells, dtype=float) * length
    _, found, element, time = at_once(
        lambda: given.style(None) if needs_units else None,
        lambda: boxes if needs_units and style is None else given.cells(boxes),
        lambda: elements_of(given, topology, n_atoms),
        lambda: given.times(len(chosen), own=own, marks=marks, style=style),
    )
    names = topology.names

    def rows(numbers: range) -> Iterator[Rows]:
        frames = universe().trajectory
        for number in numbers:
            step = frames[number]
            v = step.velocities if moving else None
            yield Rows(names, None, step.positions * length, v)

    return Found(
        Frames(path, chosen, rows),
        found,
        element,
        topology.masses,
        time,
    )


def _require_counts(source: Source) -> None:
    """Refuse a POSCAR with more atoms than bytes: ASE makes a list of them first."""
    words = b" ".join(source.read(0, 2**12).split(b"\n")[5:7]).split()
    count = sum(int(word) for word in words if word.isdigit())
    whole = count <= source.path.stat().st_size
    require_file(whole, source.path, f"it declares {count} atoms")


def _require_whole(
    source: Source, kind: str, n_frames: int, whole: Callable[..., bool] | None
) -> None:
    """Refuse a file that ends within a frame, which libraries leave out silently."""
    if whole is None or source.keep_part:
        return
    with reading(source.path):
        complete = whole(source, n_frames)
    require_file(
        complete,
        source.path,
        f"it is cut short ({kind}) after {n_frames} whole frames",
        fix="truncated='drop' opens these",
    )


def _dcd_is_whole(source: Source, n_frames: int) -> bool:
    """Return whether a DCD has all the frames it declares, and ends with one."""
    head = source.read(0, 2**16)
    order = "<" if head[:4] == struct.pack("<i", 84) else ">"

    def number(at: int) -> int:
        return int(struct.unpack_from(f"{order}i", head, at)[0])

    control = [number(8 + 4 * i) for i in range(20)]
    at = 0
    for _ in range(3):  # control, title, number of atoms
        at += number(at) + 8
    n_atoms = number(at - 8)
    # Cell and fourth dimension are CHARMM's; fixed atoms are in frame 0 only.
    cell, fourth = (bool(control[19] and control[i]) for i in (10, 11))
    size = 56 * cell + (3 + fourth) * (4 * n_atoms + 8)
    rest = source.path.stat().st_size - at
    return control[0] <= n_frames and (control[8] > 0 or rest % size == 0)


def _castep_is_whole(source: Source, n_frames: int) -> bool:
    """Return whether all blocks of a CASTEP .md file are of the same length."""
    raw = source.whole().rstrip()
    blocks = re.split(rb"\n\s*\n", raw.partition(b"END header")[2].strip())
    counts = {block.count(b"<--") for block in blocks}
    return len(blocks) == n_frames and len(counts) == 1 and raw[-5:-1] == b"<-- "


def _outcar_is_whole(source: Source, n_frames: int) -> bool:
    """Return whether every ionic step that begins in an OUTCAR was read."""
    begun = re.findall(rb"Iteration\s+[\d*]+\(\s*1\)", source.whole())
    return len(begun) <= n_frames


def _amber_is_whole(source: Source, n_frames: int) -> bool:
    """Return whether all frames of an AMBER text trajectory have as many lines."""
    lines = sum(block.count(b"\n") for block in source.blocks())
    size = source.path.stat().st_size
    return source.read(size - 1, size) == b"\n" and (lines - 1) % n_frames == 0


def _pdb_is_whole(source: Source, n_frames: int) -> bool:
    """Return whether the models of a PDB file end."""
    size = source.path.stat().st_size
    last = source.read(max(0, size - 4096), size).rstrip().rpartition(b"\n")[2]
    models = re.search(rb"^MODEL", source.read(0, 2**20), re.MULTILINE)
    return last.startswith((b"END", b"MASTER", b"CONECT")) or not models


def _vasprun_is_whole(source: Source, n_frames: int) -> bool:
    """Return whether the outermost element of a vasprun.xml ends."""
    size = source.path.stat().st_size
    return b"</modeling>" in source.read(max(0, size - 200), size)


#: Checks of formats whose readers leave out a frame that is cut short, silently.
_ENDS: Final[dict[str, Callable[[Source, int], bool]]] = {
    "DCD": _dcd_is_whole,
    "TRJ": _amber_is_whole,
    "MDCRD": _amber_is_whole,
    "CRDBOX": _amber_is_whole,
    "PDB": _pdb_is_whole,
    "castep-md": _castep_is_whole,
    "vasp-out": _outcar_is_whole,
    "vasp-xml": _vasprun_is_whole,
}
