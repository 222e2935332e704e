"""Headers of the frames of a LAMMPS text dump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbp.md.lazy import cell_volume

__all__ = [
    "INCOMPLETE",
    "MAX_HEADER",
    "Header",
    "HeaderError",
    "first_item",
    "read_header",
]

#: Bytes: a header holds some numbers and the names of columns; no dump of MD has more
#: than this of it.
MAX_HEADER = 16384
#: What is wrong with the header of a frame at which the file ends.
INCOMPLETE = "it is incomplete"


@dataclass(frozen=True)
class Header:
    """What the header of a frame says.

    Attributes
    ----------
    step : int
        MD step.
    time : float or None
        Where the dump writes it.
    cell, origin : numpy.ndarray, shapes (3, 3) and (3,)
        Rows are the cell vectors, in the dump's units of length.
    periodic : str or None
        One digit for each cell vector, "1" where it repeats and "0" where not; None
        where the dump does not say.
    units : str or None
        LAMMPS's units, where they are written.
    size : int
        Bytes of the header.
    n_atoms : int
    columns : tuple of str
    """

    step: int
    time: float | None
    cell: np.ndarray
    origin: np.ndarray
    periodic: str | None
    units: str | None
    size: int
    n_atoms: int
    columns: tuple[str, ...]


class HeaderError(Exception):
    """A header cannot be read."""


def read_header(text: bytes) -> Header:
    """Read the header that a frame begins with; what follows it is ignored.

    Raises
    ------
    HeaderError
        If it is not complete, or cannot be.
    """
    step, time, units, n_atoms, box, periodic = None, None, None, None, None, None
    at = 0
    while True:
        line, at = _line(text, at)
        item = line.removeprefix("ITEM: ")
        try:
            if item == "TIMESTEP":
                value, at = _line(text, at)
                step = _step(value)
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
                raise HeaderError(f"'{line[:40]}' is not understood")
        except ValueError as error:
            raise HeaderError(f"{item}: {error}") from None
    if step is None or n_atoms is None or box is None:
        raise HeaderError("TIMESTEP, NUMBER OF ATOMS or BOX BOUNDS is missing")
    if n_atoms < 1:
        raise HeaderError(f"it has {n_atoms} atoms")
    cell, origin = box
    if not (cell_volume(cell) > 0 and np.isfinite(origin).all()):
        raise HeaderError(
            "the box has the sides "
            f"{', '.join(f'{side:g}' for side in np.abs(cell).max(axis=1))}"
        )
    if len(set(columns)) != len(columns):
        raise HeaderError(f"columns repeat: {' '.join(columns)}")
    return Header(step, time, cell, origin, periodic, units, at, n_atoms, columns)


def first_item(head: bytes) -> bytes | None:
    """Return the line that every frame begins with.

    TIMESTEP, or the TIME that is written before it.
    """
    for line in head.splitlines(keepends=True):
        if line.startswith(b"ITEM: TIME"):
            return line
        if line.startswith(b"ITEM: ") and line.strip() != b"ITEM: UNITS":
            return None
    return None


def _line(text: bytes, at: int) -> tuple[str, int]:
    stop = text.find(b"\n", at)
    if stop < 0:
        raise HeaderError(INCOMPLETE)
    return text[at:stop].decode("ascii", "replace").strip(), stop + 1


def _step(value: str) -> int:
    try:
        return int(np.int64(int(value)))
    except OverflowError:
        raise ValueError(
            f"{value[:20]}… is beyond the 64 bits of LAMMPS's steps"
        ) from None


def _periodic(item: str) -> str | None:
    """Read the boundaries, two letters for each direction: ``p`` repeats.

    Fixed and shrink-wrapped ones do not.

    Examples
    --------
    >>> _periodic("BOX BOUNDS xy xz yz pp pp ss"), _periodic("BOX BOUNDS")
    ('110', None)
    """
    sides = [
        word for word in item.split() if len(word) == 2 and set(word) <= set("pfsm")
    ]
    return (
        "".join("1" if side == "pp" else "0" for side in sides)
        if len(sides) == 3
        else None
    )


def _box(item: str, rows: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Turn bounds into cell vectors and origin.

    LAMMPS writes the box around a tilted cell, not the cell.
    """
    if "abc origin" in item:
        general = np.array(rows)
        if general.shape != (3, 4):
            raise ValueError("three vectors and an origin are needed")
        return general[:, :3], general[:, 3]
    if len({len(row) for row in rows}) != 1 or len(rows[0]) not in (2, 3):
        raise ValueError(
            "two bounds in three lines are needed, and a tilt in each where the cell "
            "is tilted"
        )
    bounds = np.array(rows)
    low, high = bounds[:, 0].copy(), bounds[:, 1].copy()
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    if (high <= low).any():
        side = int(np.argmax(high <= low))
        begin, end = bounds[side, :2]
        raise ValueError(
            f"the bounds {begin:g} {end:g} along {'xyz'[side]} give the cell a side "
            f"of {high[side] - low[side]:g}"
        )
    cell = np.diag(high - low)
    cell[1, 0], cell[2, 0], cell[2, 1] = xy, xz, yz
    return cell, low
