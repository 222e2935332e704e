"""Text formats that xbp does not read, recognised so that they are not columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xbp.io.text import header_matches

__all__ = ["foreign_format"]

_B: Final = r"[ \t]"
_N: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"


def _line(least: int, most: int | str) -> str:
    """Return a pattern of a line of numbers, from `least` to `most` of them."""
    most = most - 1 if isinstance(most, int) else most
    return rf"{_B}*(?:{_N}{_B}+){{{least - 1},{most}}}{_N}{_B}*\n"


#: Formats that xbp does not read, by a pattern in their headers. Those that it reads
#: have theirs in `Format.resembles`.
_FOREIGN_FORMATS: Final = {
    "HTML or XML": r"\A\s*<(?i:\?xml|!doctype|!--|html)|\A\s*<\w(?s:.*(?:</|/>))",
    "RTF": r"\A\s*\{\\rtf",
    "JSON": r"\A\s*(?:\{|\[\s*(?:\n|[\[{\"]|[-+]?\d[\d.eE+-]*\s*,))",
    "PDF or PostScript": r"\A\s*(?:%PDF|%!PS)",
    "LAMMPS output": rf"\A\s*LAMMPS \(|^Loop time of |^Per MPI rank memory"
    rf"|^Memory usage per processor|^{_B}*Step{_B}+(?:\S+{_B}+)?"
    r"(?:Temp|PotEng|TotEng|Press)\b",
    "a LAMMPS dump": r"\A\s*ITEM: ",
    "the output of a LAMMPS fix": r"^#[ \t]*(?:(?:Time|Spatial|Chunk)-averaged"
    r"|Histogrammed|Time-correlated) data ",
    "a LAMMPS data file": rf"^{_B}*\S+{_B}+\S+{_B}+xlo{_B}+xhi\b",
    "GSAS powder data": r"^BANK[ \t]+\d+[ \t]+\d+[ \t]+\d+",
    "a gnuplot script": rf"^{_B}*(?:s?plot{_B}+['\"$\[]|\$\w+{_B}*<<"
    rf"|set{_B}+(?:term\w*|output|[xy]label|[xy]range|multiplot)\b)",
    "PDB": r"^(?:CRYST1|HETATM|ATOM  )[\s\d]",
    "VASP's XDATCAR": r"^Direct configuration=",
    "a McStas reflection list": r"^#[ \t]*column_[hkjd]\b",
    "CIF": rf"\A(?=(?s:.*)^{_B}*data_\S*{_B}*$)(?=(?s:.*)^{_B}*(?:loop_{_B}*$|_\w))",
    "a list of detectors (.phx, .par)": rf"\A{_B}*\d+{_B}*\n" + _line(5, 7),
    "XYZ coordinates of atoms": rf"\A{_B}*\d+{_B}*\n.*\n{_B}*[A-Z][a-z]?\d*"
    rf"(?:{_B}+{_N}){{3}}(?!\S)",
    "VASP's POSCAR": r"\A.*\n"
    + _line(1, 1)
    + 3 * _line(3, 3)
    + rf"(?:.*\n){{0,3}}{_B}*(?i:selective|direct|cartesian)",
}


def foreign_format(lines: Sequence[str]) -> str | None:
    """Name the format of a text if xbp does not read it; None for others.

    Examples
    --------
    >>> foreign_format(["data_glass", "loop_", "_pd_meas_counts_total", "1.0"])
    'CIF'
    >>> foreign_format(["# E S", "1 2", "2 3"])
    """
    found = (name for name, p in _FOREIGN_FORMATS.items() if header_matches(lines, p))
    return next(found, None)
