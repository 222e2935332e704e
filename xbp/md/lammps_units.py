"""LAMMPS's styles of units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from xbp.core.errors import UnitsError
from xbp.md.lj import lennard_jones

__all__ = ["Style", "Units", "style_of"]

#: The names of https://docs.lammps.org/units.html.
Units = Literal["real", "metal", "lj", "si", "cgs", "electron", "micro", "nano"]


@dataclass(frozen=True)
class Style:
    """What one unit of a style is.

    Attributes
    ----------
    name : str
    length, time, speed, mass : float
        Å, ps, Å/ps and u in one unit.
    """

    name: str
    length: float
    time: float
    speed: float
    mass: float


#: Å and ps; grams in u.
_GRAM: Final = 6.02214076e23
#: LAMMPS's unit of velocity in ``electron``: bohr in 1.03275 fs.
_BOHR: Final = 0.529177210544
_STYLES: Final = {
    "metal": (1.0, 1.0, 1.0, 1.0),
    "real": (1.0, 1e-3, 1e3, 1.0),
    "si": (1e10, 1e12, 1e-2, 1e3 * _GRAM),
    "cgs": (1e8, 1e12, 1e-4, _GRAM),
    "electron": (_BOHR, 1e-3, _BOHR / 1.03275e-3, 1.0),
    "micro": (1e4, 1e6, 1e-2, 1e-12 * _GRAM),
    "nano": (1e1, 1e3, 1e-2, 1e-18 * _GRAM),
}


def style_of(path: Path, given: str | None, stated: str | None, lj: Any) -> Style:
    """Return the style that is given, or that the file states.

    Parameters
    ----------
    path : Path
    given, stated : str or None
        By the argument ``units``, and by the file.
    lj : "argon", LennardJones or None
        What σ, ε and m are.

    Raises
    ------
    UnitsError
        If there is none, both differ, or σ, ε and m are missing, or given for other
        units.

    Examples
    --------
    >>> style_of(Path("a"), "real", None, None).speed
    1000.0
    """
    name = given or stated
    if name not in (*_STYLES, "lj") or (stated is not None and name != stated):
        raise UnitsError(
            f"the units of {path} are {'unknown' if name is None else repr(name)}",
            reason=f"the file gives units {stated}"
            if stated is not None
            else "the file does not state them",
            fix="pass units='metal' (Å, ps), 'real' (Å, fs) or 'lj', as in the LAMMPS "
            "input",
        )
    if name == "lj":
        mapping = lennard_jones(lj)
        return Style(
            "lj",
            mapping.length,
            mapping.time,
            mapping.length / mapping.time,
            mapping.atomic_mass,
        )
    if lj is not None:
        raise UnitsError(
            f"lj={lj!r} is given with units='{name}'",
            reason="σ, ε and m apply to units='lj' only",
            fix="leave one out",
        )
    return Style(str(name), *_STYLES[str(name)])
