"""Recognise text formats that are not plain tables of columns, by their keywords or their layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from xbp.core.errors import FileFormatError

__all__ = ["named_format", "require_plain_table"]

#: Number of lines examined: instrument headers have up to some hundred.
_LOOKED_AT: Final = 400
_INTEGER: Final = re.compile(r"\d+")
_FLOAT: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?")

#: Patterns for the first line that is not blank.
_BEGINS: Final = (
    ("HTML or XML", r"<(?:\?xml|!doctype|!--|html)"),
    ("RTF", r"\{\\rtf"),
    ("JSON", r"\{|\[\s*(?:$|[\[{\"]|[-+]?\d[\d.eE+-]*\s*,)"),
    ("PDF or PostScript", r"%PDF|%!PS"),
    ("LAMMPS output", r"LAMMPS \("),
    ("a LAMMPS dump", r"ITEM: "),
)
#: Patterns for the beginning of any line.
_HOLDS: Final = (
    ("JCAMP-DX", r"##\s*JCAMP.?DX\s*="),
    ("LAMMPS output", r"Loop time of |Per MPI rank memory|Memory usage per processor"),
    ("LAMMPS output", r"\s*Step\s+(?:\S+\s+)?(?:Temp|PotEng|TotEng|Press)\b"),
    ("the output of a LAMMPS "
     "fix", r"#\s*(?:(?:Time|Spatial|Chunk)-averaged|Histogrammed|Time-correlated) "
                                   r"data "),
    ("a LAMMPS data file", r"\s*\S+\s+\S+\s+xlo\s+xhi\b"),
    ("GSAS powder data", r"BANK\s+\d+\s+\d+\s+\d+"),
    ("a file of the Quantum Design PPMS", r"BYAPP\s*,"),
    ("a gnuplot script", r"\s*(?:s?plot\s+['\"$\[]|\$\w+\s*<<)"),
    ("a gnuplot "
     "script", r"\s*set\s+(?:term\w*|output|[xy]label|[xy]range|multiplot)\b"),
    ("PDB", r"(?:CRYST1|HETATM|ATOM  )[\s\d]"),
    ("VASP's XDATCAR", r"Direct configuration="),
    ("a McStas reflection list", r"#\s*column_[hkjd]\b"),
)  # fmt: skip


def named_format(lines: Sequence[str]) -> str | None:
    """Name the format of a text from its keywords or layout; None for a plain table.

    Parameters
    ----------
    lines : sequence of str
        The text, or its beginning.

    Returns
    -------
    str or None

    Examples
    --------
    >>> named_format(["##TITLE=glass", "##JCAMP-DX=4.24"]), named_format(["# E S", "1 2", "2 3"])
    ('JCAMP-DX', None)
    """
    looked_at = lines[:_LOOKED_AT]
    filled = [line for line in looked_at if line.strip()]
    if not filled:
        return None
    for name, pattern in _BEGINS:
        if re.match(pattern, filled[0].lstrip(), re.IGNORECASE):
            return name
    for name, pattern in _HOLDS:
        if any(re.match(pattern, line) for line in filled):
            return name
    return next((name for name, has_shape in _SHAPES if has_shape(looked_at)), None)


def require_plain_table(where: Path, lines: Sequence[str]) -> None:
    """Refuse a text in a known format that is not, or not only, columns of numbers.

    Raises
    ------
    FileFormatError
    """
    known = named_format(lines)
    if known is not None:
        raise FileFormatError(
            f"{where} is {known}",
            reason="this is not a plain table of columns: factors, blocks and units "
            "would be lost",
            fix="use xbp.open_dataset(path) if xbp reads that format; otherwise "
            "export columns, or read the file "
            "yourself and label it with xbp.new_dataset(...)",
        )


def _are(words: Sequence[str], kind: re.Pattern[str]) -> bool:
    return all(kind.fullmatch(word) for word in words)


def _is_cif(lines: Sequence[str]) -> bool:
    bare = [line.strip() for line in lines]
    return any(re.match(r"data_\S*$", line) for line in bare) and any(
        re.match(r"loop_$|_\w+", line) for line in bare
    )


def _is_inx(lines: Sequence[str]) -> bool:
    """Tell blocks of four lines before the numbers.

    Eight whole numbers, a title, the values of the block.
    """
    if len(lines) < 5:
        return False
    first, block, next_ = lines[0].split(), lines[2].split(), lines[3].split()
    return (
        len(first) == 8
        and _are(first, _INTEGER)
        and len(block) >= 4
        and _are(block, _FLOAT)
        and 0 < len(next_) <= 3
        and _are(next_, _FLOAT)
    )


def _is_spe(lines: Sequence[str]) -> bool:
    """Tell a text of ``ndet ne`` and grids below lines of ###."""
    first = lines[0].split()
    return (
        len(lines) > 1
        and len(first) == 2
        and _are(first, _INTEGER)
        and lines[1].startswith("###")
    )


def _is_detectors(lines: Sequence[str]) -> bool:
    """Tell a list of detectors (.phx, .par).

    Their number, then five or more numbers each.
    """
    rows = [line.split() for line in lines[1:4]]
    return (
        _INTEGER.fullmatch(lines[0].strip()) is not None
        and bool(rows)
        and all(len(row) in (5, 6, 7) and _are(row, _FLOAT) for row in rows)
    )


def _is_dave(lines: Sequence[str]) -> bool:
    start = [line.strip() for line in lines[:6]]
    return (
        len(start) == 6
        and all(line.startswith("#") for line in start[::2])
        and all(line.isdigit() for line in start[1:4:2])
    )


def _is_xyz(lines: Sequence[str]) -> bool:
    if len(lines) < 3 or _INTEGER.fullmatch(lines[0].strip()) is None:
        return False
    words = lines[2].split()
    return (
        len(words) >= 4
        and re.fullmatch(r"[A-Z][a-z]?\d*", words[0]) is not None
        and _are(words[1:4], _FLOAT)
    )


def _is_poscar(lines: Sequence[str]) -> bool:
    if len(lines) < 8 or _FLOAT.fullmatch(lines[1].strip()) is None:
        return False
    cell = [line.split() for line in lines[2:5]]
    return all(len(row) == 3 and _are(row, _FLOAT) for row in cell) and any(
        re.match(r"\s*(?:selective|direct|cartesian)", line, re.IGNORECASE)
        for line in lines[5:9]
    )


def _is_markup(lines: Sequence[str]) -> bool:
    first = next(line.lstrip() for line in lines if line.strip())
    return re.match(r"<\w", first) is not None and any(
        "</" in line or "/>" in line for line in lines
    )


_SHAPES: Final[tuple[tuple[str, Callable[[Sequence[str]], bool]], ...]] = (
    ("HTML or XML", _is_markup),
    ("CIF", _is_cif),
    ("INX blocks, as LAMP writes them", _is_inx),
    ("SPE text, as mslice and Horace write it", _is_spe),
    ("a list of detectors (.phx, .par)", _is_detectors),
    ("DAVE ASCII", _is_dave),
    ("XYZ coordinates of atoms", _is_xyz),
    ("VASP's POSCAR", _is_poscar),
)
