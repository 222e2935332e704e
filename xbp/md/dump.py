"""LAMMPS text dumps: an index of their frames, and frames as plain arrays."""

from __future__ import annotations

import io
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from xbp.errors import FileFormatError

__all__ = ["DumpIndex", "Frame", "index_dump", "read_frames"]

# A header holds some numbers and the names of columns; no dump of MD has more than this of it.
_MAX_HEADER = 16384


@dataclass(frozen=True)
class Frame:
    """Where one frame stands in the file, and what its header says.

    Attributes
    ----------
    step : int
        MD step.
    time : float or None
        Where the dump writes it.
    cell, origin : numpy.ndarray, shapes (3, 3) and (3,)
        Rows are the cell vectors, in the dump's units of length.
    begin, end : int
        Bytes of its atoms.
    periodic : str or None
        One digit for each cell vector, "1" where it repeats and "0" where not; None where the dump does not say.
    """

    step: int
    time: float | None
    cell: np.ndarray
    origin: np.ndarray
    begin: int
    end: int
    periodic: str | None = None


@dataclass(frozen=True)
class DumpIndex:
    """The frames of a dump, which all have the same atoms and columns.

    Attributes
    ----------
    path : Path
    frames : tuple of Frame
    columns : tuple of str
    n_atoms : int
    units : str or None
        LAMMPS's units, where the dump writes them.
    """

    path: Path
    frames: tuple[Frame, ...]
    columns: tuple[str, ...]
    n_atoms: int
    units: str | None

    @property
    def coordinates(self) -> tuple[str, str, str]:
        """Columns the positions are read from: unwrapped ones where there are any."""
        for style in (("xu", "yu", "zu"), ("xsu", "ysu", "zsu"), ("x", "y", "z"), ("xs", "ys", "zs")):
            if set(style) <= set(self.columns):
                return style
        raise FileFormatError(
            f"{self.path} has the columns {' '.join(self.columns)}",
            reason="positions are x y z, xu yu zu, xs ys zs or xsu ysu zsu",
            fix="dump them: dump ... custom ... id type xu yu zu vx vy vz",
        )

    @property
    def has_velocity(self) -> bool:
        """Whether velocities are written."""
        return {"vx", "vy", "vz"} <= set(self.columns)


def index_dump(path: Path, *, drop_truncated: bool) -> DumpIndex:
    """Find the frames of a dump and read their headers, without reading the atoms.

    Raises
    ------
    FileFormatError
        If it is no dump, its last frame is cut short (and not to be dropped), the number of atoms or
        the columns change, or steps repeat.
    """
    if path.stat().st_size == 0:
        raise FileFormatError(f"{path} is empty", reason="a dump begins with ITEM: TIMESTEP", fix="look at the path")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        marker = _first_item(data[:_MAX_HEADER])
        if marker is None:
            raise FileFormatError(
                f"{path} is no LAMMPS text dump",
                reason="it does not begin with ITEM: TIMESTEP",
                fix="name another file",
            )
        # What stands before the first marker, such as the units, belongs to the first frame.
        starts, at = [0], data.find(marker)
        while (at := data.find(b"\n" + marker, at + 1)) >= 0:
            starts.append(at + 1)
        ends = [*starts[1:], len(data)]
        truncated = None
        try:
            *_, begin, n_atoms, columns = _header(data, starts[-1], ends[-1])
            lines = data[begin : ends[-1]].splitlines()
            if len(lines) < n_atoms or (lines and len(lines[-1].split()) < len(columns)):
                truncated = f"its last frame has {len(lines)} of {n_atoms} atoms"
            elif len(starts) > 1 and data[ends[-1] - 1 : ends[-1]] != b"\n":
                # A number may be cut short: every other frame ends its last line.
                truncated = "its last line does not end"
        except _HeaderError as error:
            truncated = f"the header of its last frame: {error}"
        if truncated is not None:
            if not drop_truncated or len(starts) == 1:
                raise FileFormatError(
                    f"{path} is cut short: {truncated}",
                    reason="the simulation was stopped while writing, or the copy is not complete",
                    fix=f"truncated='drop' opens the {len(starts) - 1} whole frames before it"
                    if len(starts) > 1
                    else "copy it again; there is no whole frame in it",
                )
            starts, ends = starts[:-1], ends[:-1]
        frames: list[Frame] = []
        first, units = None, None
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            try:
                step, time, cell, origin, periodic, unit, begin, n_atoms, columns = _header(data, start, end)
            except _HeaderError as error:
                raise FileFormatError(
                    f"{path}, frame {number}: {error}", reason="the header is damaged", fix="copy the file again"
                ) from None
            if first is None:
                first, units = (n_atoms, columns), unit
            elif first != (n_atoms, columns):
                what = (
                    f"{n_atoms} atoms, the first has {first[0]}"
                    if n_atoms != first[0]
                    else f"the columns {' '.join(columns)}, the first has {' '.join(first[1])}"
                )
                raise FileFormatError(
                    f"{path}, frame {number} (step {step}) has {what}",
                    reason="one trajectory holds the same atoms throughout",
                    fix="dump a fixed group of atoms; lost atoms are a simulation that went wrong",
                )
            if frames and step <= frames[-1].step:
                raise FileFormatError(
                    f"{path}: step {step} (frame {number}) follows step {frames[-1].step}",
                    reason="the dump repeats itself, as after a restart that appended to it, or holds two runs",
                    fix=f"open one part of it: frames=slice(0, {number}), or split the file",
                )
            if frames and periodic != frames[0].periodic:
                raise FileFormatError(
                    f"{path}, frame {number} (step {step}): sides {periodic}, in the first {frames[0].periodic}",
                    reason="the wave vectors that the cell allows are those of all frames",
                    fix="split the file there",
                )
            frames.append(Frame(step, time, cell, origin, begin, end, periodic))
    assert first is not None
    return DumpIndex(path, tuple(frames), first[1], first[0], units)


class _HeaderError(Exception):
    """A header cannot be read."""


def _header(
    data: mmap.mmap, start: int, end: int
) -> tuple[int, float | None, np.ndarray, np.ndarray, str | None, str | None, int, int, tuple[str, ...]]:
    """Read one header: step, time, cell, origin, periodicity, units, first byte of the atoms, their number, columns."""
    text = data[start : min(end, start + _MAX_HEADER)]
    step, time, units, n_atoms, box, periodic = None, None, None, None, None, None
    at = 0
    while True:
        line, at = _line(text, at)
        item = line.removeprefix("ITEM: ")
        try:
            if item == "TIMESTEP":
                value, at = _line(text, at)
                step = int(value)
            elif item == "TIME":
                value, at = _line(text, at)
                time = float(value)
            elif item == "UNITS":
                units, at = _line(text, at)
            elif item == "NUMBER OF ATOMS":
                value, at = _line(text, at)
                n_atoms = int(value)
            elif item.startswith("BOX BOUNDS"):
                rows = []
                for _ in range(3):
                    value, at = _line(text, at)
                    rows.append([float(word) for word in value.split()])
                box, periodic = _box(item, rows), _periodic(item)
            elif item.startswith("ATOMS"):
                columns = tuple(item.split()[1:])
                break
            else:
                raise _HeaderError(f"'{line[:40]}' is not understood")
        except ValueError as error:
            raise _HeaderError(f"{item}: {error}") from None
    if step is None or n_atoms is None or box is None:
        raise _HeaderError("TIMESTEP, NUMBER OF ATOMS or BOX BOUNDS is missing")
    # An atom takes two bytes for each column at least: what the header claims must be there.
    if n_atoms < 1 or n_atoms * 2 * max(1, len(columns)) > end - start + 1:
        raise _HeaderError(f"it claims {n_atoms} atoms in {end - start} bytes")
    if len(set(columns)) != len(columns):
        raise _HeaderError(f"columns repeat: {' '.join(columns)}")
    return step, time, *box, periodic, units, start + at, n_atoms, columns


def _first_item(head: bytes) -> bytes | None:
    """Return the line that every frame begins with: TIMESTEP, or the TIME that is written before it."""
    for line in head.splitlines(keepends=True):
        if line.startswith(b"ITEM: TIME"):
            return line
        if line.startswith(b"ITEM: ") and line.strip() != b"ITEM: UNITS":
            return None
    return None


def _line(text: bytes, at: int) -> tuple[str, int]:
    stop = text.find(b"\n", at)
    if stop < 0:
        raise _HeaderError("it is not complete")
    return text[at:stop].decode("ascii", "replace").strip(), stop + 1


def _periodic(item: str) -> str | None:
    """Read the boundaries, two letters for each direction: ``p`` repeats; fixed and shrink-wrapped ones do not.

    Examples
    --------
    >>> _periodic("BOX BOUNDS xy xz yz pp pp ss"), _periodic("BOX BOUNDS")
    ('110', None)
    """
    sides = [word for word in item.split() if len(word) == 2 and set(word) <= set("pfsm")]
    return "".join("1" if side == "pp" else "0" for side in sides) if len(sides) == 3 else None


def _box(item: str, rows: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Turn bounds into cell vectors and origin; LAMMPS writes the box around a tilted cell, not the cell."""
    if "abc origin" in item:
        general = np.array(rows)
        if general.shape != (3, 4):
            raise ValueError("three vectors and an origin are needed")
        return general[:, :3], general[:, 3]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) not in (2, 3):
        raise ValueError("two bounds in three lines are needed, and a tilt in each where the cell is tilted")
    bounds = np.array(rows)
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell, low


def read_table(index: DumpIndex, number: int, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of one frame, sorted by id.

    Raises
    ------
    FileFormatError
        If atoms are missing or twice there, or a word stands where a number should.
    """
    frame = index.frames[number]
    with index.path.open("rb") as stream:
        stream.seek(frame.begin)
        text = stream.read(frame.end - frame.begin)
    kinds = {name: str if name == "element" else "int64" if name in ("id", "type") else float for name in columns}
    where = f"{index.path}, frame {number} (step {frame.step})"
    try:
        table = pd.read_csv(
            io.BytesIO(text), sep=r"\s+", header=None, names=list(index.columns), usecols=list(columns), dtype=kinds,
            engine="c", index_col=False, na_filter=False,
        )  # fmt: skip
    except (ValueError, TypeError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise FileFormatError(f"{where} cannot be read", reason=str(error), fix="copy the file again") from None
    if len(table) != index.n_atoms:
        raise FileFormatError(
            f"{where} holds {len(table)} atoms",
            reason=f"its header says {index.n_atoms}",
            fix="the file is damaged there: copy it again",
        )
    if "id" not in index.columns:
        raise FileFormatError(
            f"{where} has no column id",
            reason="LAMMPS writes atoms in any order",
            fix="dump it: dump ... custom ... id ...",
        )
    order = np.argsort(table["id"].to_numpy(), kind="stable")
    return table.iloc[order]


def read_frames(
    index: DumpIndex, numbers: range, ids: np.ndarray, kinds: np.ndarray, length: float, speed: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read positions (from the cell's origin, unwrapped where images tell) and velocities of some frames.

    Parameters
    ----------
    index : DumpIndex
    numbers : range
        Frames.
    ids, kinds : numpy.ndarray, shape (n_atoms,)
        What identifies the atoms: it is the same in every frame.
    length, speed : float
        Factors to Å and Å/ps.

    Returns
    -------
    position, velocity : numpy.ndarray, shape (n_frames, n_atoms, 3), or None
    """
    coordinates = list(index.coordinates)
    images = [c for c in ("ix", "iy", "iz") if c in index.columns]
    images = images if len(images) == 3 and not coordinates[0].endswith("u") else []
    velocities = ["vx", "vy", "vz"] if index.has_velocity else []
    kind = ["element"] if "element" in index.columns else ["type"] if "type" in index.columns else []
    position = np.empty((len(numbers), index.n_atoms, 3))
    velocity = np.empty_like(position) if velocities else None
    for place, number in enumerate(numbers):
        table = read_table(index, number, ["id", *kind, *coordinates, *images, *velocities])
        frame = index.frames[number]
        found = table["id"].to_numpy()
        if not np.array_equal(found, ids):
            _, times = np.unique(found, return_counts=True)
            odd = found[~np.isin(found, ids)] if (times == 1).all() else np.unique(found)[times > 1]
            raise FileFormatError(
                f"{index.path}, frame {number} (step {frame.step}) holds other atoms: id {odd[0]} is new or doubled",
                reason="one trajectory holds the same atoms throughout",
                fix="dump a fixed group of atoms",
            )
        if kind and not np.array_equal(table[kind[0]].to_numpy(), kinds):
            raise FileFormatError(
                f"{index.path}, frame {number} (step {frame.step}): atoms changed their {kind[0]}",
                reason="weights are given once for all frames",
                fix="simulations that swap or react need another analysis",
            )
        r = table[coordinates].to_numpy()
        r = r @ frame.cell if "s" in coordinates[0] else r - frame.origin
        if images:
            r = r + table[images].to_numpy() @ frame.cell
        position[place] = r * length
        if velocity is not None:
            velocity[place] = table[velocities].to_numpy() * speed
    return position, velocity
