"""Text formats that xbp does not read, recognised so that they are not columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xbp.io.text import header_matches

__all__ = [
    "CONFIG",
    "REMEDIES",
    "TINKER",
    "TRAJECTORIES",
    "YAML_DUMP",
    "foreign_format",
]

_B: Final = r"[ \t]"
_N: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"


def _line(least: int, most: int | str) -> str:
    """Return a pattern of a line of numbers, from `least` to `most` of them."""
    most = most - 1 if isinstance(most, int) else most
    return rf"{_B}*(?:{_N}{_B}+){{{least - 1},{most}}}{_N}{_B}*\n"


#: Those that `xbp.md.open_trajectory` may read.
_XYZ, _GRO = "XYZ coordinates of atoms", "a GRO of GROMACS"
_DUMP, _DATA = "a LAMMPS dump", "a LAMMPS data file"
_HISTORY, _XDATCAR = "a HISTORY of DL_POLY", "VASP's XDATCAR"
_PDB: Final = "PDB"
TRAJECTORIES: Final = (_XYZ, _GRO, _DUMP, _DATA, _HISTORY, _XDATCAR)
LAMP: Final = "the header of a text or binary of LAMP"
YAML_DUMP: Final = "a YAML dump of LAMMPS"
CASTEP, PHONOPY = "phonons of CASTEP", "YAML of phonopy"
#: What to do with some that are not trajectories.
REMEDIES: Final = {
    LAMP: "save it in LAMP as HDF5 or INX",
    YAML_DUMP: "write it with dump custom",
    _PDB: "it names the atoms of a trajectory: xbp.md.open_trajectory(trajectory, "
    "topology=path, elements=…)",
    CASTEP: "xbp.from_euphonic(...) of what Euphonic makes of it",
    PHONOPY: "xbp.from_phonopy(phonopy.load(path) after run_total_dos()), or open its "
    "total_dos.dat",
}
CONFIG: Final = "a CONFIG or REVCON of DL_POLY"
TINKER: Final = "XYZ of TINKER"
#: Formats that xbp does not read, by a pattern in their headers. Those that it reads
#: have theirs in `Format.resembles`.
_FOREIGN_FORMATS: Final = {
    "XML of TriVista": r"\A<!--TriVista-File",
    LAMP: r"\A<html><head><title>LAMP_FORMAT",
    "HTML or XML": r"\A\s*<(?i:\?xml|!doctype|!--|html)|\A\s*<\w(?s:.*(?:</|/>))",
    "RTF": r"\A\s*\{\\rtf",
    "JSON": r"\A\s*(?:\{|\[\s*(?:\n|[\[{\"]|[-+]?\d[\d.eE+-]*\s*,))",
    "PDF or PostScript": r"\A\s*(?:%PDF|%!PS)",
    "LAMMPS output": rf"\A\s*LAMMPS \(|^Loop time of |^Per MPI rank memory"
    rf"|^Memory usage per processor|^{_B}*Step{_B}+(?:\S+{_B}+)?"
    r"(?:Temp|PotEng|TotEng|Press)\b",
    YAML_DUMP: r"\A---[ \t]*\ncreator: LAMMPS",
    _DUMP: r"\A\s*ITEM: ",
    "the output of a LAMMPS fix": r"^#[ \t]*(?:(?:Time|Spatial|Chunk)-averaged"
    r"|Histogrammed|Time-correlated) data ",
    _DATA: rf"^{_B}*\S+{_B}+\S+{_B}+xlo{_B}+xhi\b",
    "GSAS powder data": r"^BANK[ \t]+\d+[ \t]+\d+[ \t]+\d+",
    "a gnuplot script": rf"^{_B}*(?:s?plot{_B}+['\"$\[]|\$\w+{_B}*<<"
    rf"|set{_B}+(?:term\w*|output|[xy]label|[xy]range|multiplot)\b)",
    _PDB: r"^(?:CRYST1|HETATM|ATOM  )[\s\d]",
    _XDATCAR: r"^Direct configuration=|\A.*\n"
    + _line(1, 1)
    + 3 * _line(3, 3)
    + rf"{_B}*[A-Z][a-z]?\b.*\n{_B}*\d+\b.*\n{_B}*\n"
    + _line(3, 3),
    _HISTORY: rf"\A.*\n{_B}*\d+{_B}+\d+{_B}+\d+.*\ntimestep{_B}",
    _GRO: rf"\A.*\n{_B}*\d+{_B}*\n{_B}*\d+\w+{_B}+\S+{_B}*\d+"
    rf"(?:{_B}+{_N}){{3,6}}{_B}*$",
    TINKER: rf"\A{_B}*\d+(?:{_B}.*)?\n(?:{_B}*(?:{_N}{_B}+){{5}}{_N}{_B}*\n)?"
    rf"{_B}*1{_B}+[A-Za-z]\S*(?:{_B}+{_N}){{3}}{_B}+\d+\b",
    CONFIG: rf"\A.*\n{_B}*[0-2]{_B}+\d(?:{_B}+\d+)?\b.*\n"
    + 3 * _line(3, 3)
    + rf"{_B}*[A-Za-z]\S*{_B}+\d+",
    CASTEP: rf"\A{_B}*BEGIN header{_B}*\n{_B}*Number of ions\b",
    PHONOPY: r"\A(?:#.*\n)*(?:phonopy:|phono3py:|mesh:[ \t]*\[.*\nnqpoint:"
    r"|nqpoint:[ \t]*\d)",
    "G(r) of PDFgetN or PDFgetX2": rf"^#L{_B}+r{_B}+G\(r\)",
    "an old file of Renishaw (.wxd)": r"\A#WXD",
    "a McStas reflection list": r"^#[ \t]*column_[hkjd]\b",
    "CIF": rf"\A(?=(?s:.*)^{_B}*data_\S*{_B}*$)(?=(?s:.*)^{_B}*(?:loop_{_B}*$|_\w))",
    "a list of detectors (.phx, .par)": rf"\A{_B}*\d+{_B}*\n" + _line(5, 7),
    _XYZ: rf"\A{_B}*\d+{_B}*\n(?:.*\n{_B}*[A-Z]\w*"
    rf"(?:{_B}+{_N}){{3}}(?!\S)|{_B}*Atoms\. Timestep: \d)",
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
