"""Arguments for opening a trajectory, checked against the contents of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from xbp.core.errors import QuantityError, UnitsError, XbpError, shown
from xbp.core.guards import not_used, require_kind, require_positive
from xbp.core.units import is_one_of, split_quantity
from xbp.md.source import require_file
from xbp.md.styles import (
    ARGON,
    NAMED_STYLES,
    LennardJones,
    Style,
    cell_vectors,
    unit_factor,
)

__all__ = [
    "SITE",
    "Given",
    "at_once",
    "declared_style",
    "named",
]

#: What `elements` calls a site of a force field without an atom, as M of TIP4P water.
SITE: Final = "virtual"

#: A bare MD step above this, ps, may be meant in fs: an integration needs ten or more
#: in a period, and those of heavy atoms are below 1 ps (lead: 0.5 ps).
LONGEST_STEP: Final = 0.1


@dataclass(frozen=True)
class Given:
    """Arguments of `open_trajectory` that supply what a file may lack, or None."""

    path: Path
    frames: slice | None = None
    units: Any = None
    elements: Mapping[Any, str] | Sequence[str] | None = None
    masses: Mapping[str, Any] | None = None
    timestep: Any = None
    time_between_frames: Any = None
    lj: Any = None
    topology: Any = None
    cell: Any = None
    velocities: Any = None
    atom_style: Any = None
    group: Any = None
    format: Any = None
    reader_options: Any = None

    def __post_init__(self) -> None:
        if self.frames is not None:
            require_kind(self.frames, slice, "frames", "a slice")
            try:
                self.frames.indices(1)
            except (TypeError, ValueError) as error:
                raise QuantityError(f"frames={self.frames!r}: {error}") from None
        symbols, wanted = self.elements, "elements by type, or a list of elements"
        if symbols is not None:
            kind = type(None) if isinstance(symbols, str) else Iterable
            require_kind(symbols, kind, "elements", wanted)
            named = symbols.values() if isinstance(symbols, Mapping) else symbols
            for symbol in named:
                require_kind(symbol, str, "elements", f"{wanted}, not {shown(symbol)}")

    def allow(self, kind: str, *names: str) -> None:
        """Refuse arguments that do not apply to a kind of file.

        Raises
        ------
        QuantityError
        """
        others = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("path", "frames", "format", *names)
        }
        if self.velocities is False:  # leaves out what any file may have
            others.pop("velocities", None)
        others = {k: str(v) if isinstance(v, Path) else v for k, v in others.items()}
        not_used(f"{self.path} is {kind}", **others)

    @property
    def reduced(self) -> bool:
        """Whether the units are those of Lennard-Jones, as far as was said."""
        return is_one_of(self.units, "lj") or self.lj is not None

    def example(self, name: str) -> str:
        """Write how an argument is given, in the units of the file.

        Examples
        --------
        >>> Given(Path("a")).example("timestep")
        "timestep='2 fs'"
        >>> Given(Path("a"), units="lj").example("elements")
        "elements={1: 'A', 2: 'B'}, or ['A', 'B'] by type"
        """
        if name == "timestep":
            return "timestep=0.005 (in τ)" if self.reduced else "timestep='2 fs'"
        one, other = ("A", "B") if self.reduced else ("Zr", "Cu")
        by_type = f"{{1: {one!r}, 2: {other!r}}}"
        return f"elements={by_type}, or [{one!r}, {other!r}] by type"

    def choose(self, n: int) -> range:
        """Return the numbers of the frames to open, of `n`."""
        chosen = range(n)[slice(None) if self.frames is None else self.frames]
        require_file(
            len(chosen) > 0,
            self.path,
            f"frames={self.frames} selects none of its {n} frames",
            fix="select others",
        )
        return chosen

    def style(self, stated: str | None) -> Style:
        """Return the style of units that is given, or that the file states.

        Raises
        ------
        UnitsError
            If both are missing or differ, or σ, ε and m are missing, or given for other
            units.

        Examples
        --------
        >>> Given(Path("a"), units="real").style(None).speed
        1000.0
        """
        name = self.units if self.units is not None else stated
        known = isinstance(name, str) and name in (*NAMED_STYLES, "lj")
        if not known or stated not in (None, name):
            own = "does not state its units" if stated is None else f"states '{stated}'"
            raise UnitsError(
                f"units={shown(self.units)}: {self.path} {own}",
                fix="units='metal' (Å, ps), 'real' (Å, fs) or 'lj', as in LAMMPS",
            )
        sizes = ARGON if is_one_of(self.lj, "argon") else self.lj
        if name != "lj" and self.lj is not None:
            raise UnitsError(
                f"lj={shown(self.lj)} is only for units='lj', not '{name}'"
            )
        if name != "lj":
            return NAMED_STYLES[str(name)]
        if not isinstance(sizes, LennardJones):
            raise UnitsError(
                f"lj={shown(self.lj)} does not define σ, ε and m",
                fix="lj='argon', or lj=xbp.md.LennardJones(sigma=…, epsilon=…, mass=…)",
            )
        speed = sizes.length / sizes.time
        return Style("lj", sizes.length, sizes.time, speed, sizes.atomic_mass)

    @property
    def box(self) -> np.ndarray | None:
        """The cell that is given, Å: vectors in rows."""
        return None if self.cell is None else cell_vectors(self.cell)

    def cells(self, own: np.ndarray) -> np.ndarray:
        """Return the cells of frames: of the file, or where it has none, the given.

        Parameters
        ----------
        own : numpy.ndarray, shape (n_frames, 3, 3)
            Å; zeros where the file has none.

        Raises
        ------
        QuantityError
            If neither is there, or they contradict each other.
        """
        known = np.abs(own).any(axis=(1, 2))
        with np.errstate(invalid="ignore", over="ignore"):
            thick = np.abs(np.linalg.det(own)) > 1e-9 * np.abs(own).max((1, 2)) ** 3
        for at in np.flatnonzero(known & ~thick)[:1]:
            flat = f"{self.path}, frame {at}: the cell has no volume:"
            require_file(False, flat, str(own[at].round(4).tolist()))
        if self.cell is None and known.all():
            return own
        box = self.require_box()
        wrong = known & ~np.isclose(own, box, atol=0.01).all(axis=(1, 2))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise QuantityError(
                f"cell={shown(self.cell)} contradicts {self.path}: in frame {at} its "
                f"sides are {np.linalg.norm(own[at], axis=1).round(4).tolist()} Å",
                fix="leave cell= out",
            )
        return np.where(known[:, None, None], own, box)

    def require_box(self, why: str = "has no cell") -> np.ndarray:
        """Return the cell that is given; ask for it.

        Raises
        ------
        QuantityError
        """
        if self.cell is None:
            raise QuantityError(
                f"{self.path} {why}",
                fix="cell='20 angstrom', or three sides, or three vectors",
            )
        return cell_vectors(self.cell)

    @property
    def between(self) -> float | None:
        """Time between frames, ps."""
        value, name = self.time_between_frames, "time_between_frames"
        return None if value is None else require_positive(value, name, "ps")

    def step(self, style: Style | None = None) -> float | None:
        """Return the MD step, ps; a bare number is in τ with Lennard-Jones units."""
        if self.timestep is None:
            return None
        number, units = split_quantity(self.timestep, "timestep", "fs")
        name = None if style is None else style.name
        if style is None or name != "lj" or units is not None:
            step = require_positive(self.timestep, "timestep", "ps")
            long = step > LONGEST_STEP and name not in ("lj", "micro", "nano")
            if long and units is None:
                raise QuantityError(
                    f"timestep={shown(self.timestep)} without units would be in ps, "
                    "too long for atoms",
                    fix=f"timestep='{step:g} fs' or '{step:g} ps'",
                )
            return step
        return require_positive(number, "timestep") * style.time

    def times(
        self,
        n: int,
        *,
        own: np.ndarray | None = None,
        marks: np.ndarray | None = None,
        style: Style | None = None,
        rounding: float = 1e-3,
    ) -> np.ndarray:
        """Return the times of frames, from the file or the arguments, which must agree.

        Parameters
        ----------
        n : int
            Number of frames.
        own : numpy.ndarray, shape (n,), optional
            Times in the file, ps.
        marks : numpy.ndarray, shape (n,), optional
            Numbers in the file proportional to time: MD steps.
        style : Style, optional
            Units of the file.
        rounding : float
            Relative difference of intervals that counts as rounding.

        Returns
        -------
        numpy.ndarray, shape (n,)
            ps.

        Raises
        ------
        UnitsError
            If the time is not known.
        QuantityError
            If the arguments contradict the file, or frames are not in order.

        Examples
        --------
        >>> steps = np.array([1, 2, 4])
        >>> Given(Path("a"), timestep="0.5 ps").times(3, marks=steps).tolist()
        [0.5, 1.0, 2.0]
        """
        path, step, between = self.path, self.step(style), self.between
        counted = None
        if step is not None and marks is not None:
            with np.errstate(over="ignore"):  # infinite times are refused below
                counted = marks * step
        elif n > 1:
            because = f"the frames of {path} are not numbered by MD steps"
            not_used(because, timestep=self.timestep)
        times = own if own is not None else counted
        for order in (marks, times):
            if order is None:
                continue
            with np.errstate(invalid="ignore"):
                wrong = ~(np.diff(order, prepend=-np.inf) > 0) | ~np.isfinite(order)
            if wrong.any():
                at = int(np.argmax(wrong))
                raise QuantityError(
                    f"{path}: steps and times (by timestep= or the file) of frames "
                    f"must increase; frame {at} has {order[: at + 1][-2:]}",
                    fix="open a part in order with frames=",
                )
        if own is not None and counted is not None:
            self._require_spacing(own, np.diff(counted), "timestep", rounding)
        if between is None:
            if times is None and n > 1:
                ways = [] if marks is None else [self.example("timestep")]
                raise UnitsError(
                    f"{path} does not state the time between its frames",
                    fix=" or ".join([*ways, "time_between_frames='20 fs'"]),
                )
            return np.zeros(n) if times is None else times
        if times is not None:
            spacing = np.full(n - 1, between)
            self._require_spacing(times, spacing, "time_between_frames", rounding)
            return times
        hops = np.ones(1) if marks is None or n < 2 else np.diff(marks)
        if np.ptp(hops) > rounding * hops.mean():
            raise QuantityError(
                f"time_between_frames={self.time_between_frames} contradicts {path}: "
                f"frames are {hops.min():g} to {hops.max():g} steps apart, not equally "
                "spaced",
                fix="pass timestep=, the time of one step",
            )
        return np.arange(n) * between

    def _require_spacing(
        self, times: np.ndarray, other: np.ndarray, name: str, rounding: float
    ) -> None:
        """Compare a given spacing with that of the file, in single precision."""
        own = np.diff(times)
        single = 2 * float(np.spacing(np.float32(np.abs(times).max(initial=0.0))))
        wrong = ~(np.abs(own - other) <= rounding * np.abs(own) + single)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise QuantityError(
                f"{name}={getattr(self, name)} contradicts {self.path}: frame {at + 1} "
                f"is {own[at]:.6g} ps after the one before, not {other[at]:.6g} ps",
                fix=f"leave {name}= out",
            )


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return what calls return; ask at once for everything that they ask for.

    Raises
    ------
    QuantityError, UnitsError
        That of the only call that fails, or a UnitsError of several.
    """
    found: list[Any] = []
    asked: list[XbpError] = []
    for call in calls:
        try:
            found.append(call())
        except (QuantityError, UnitsError) as error:
            asked.append(error)
    if len(asked) == 1:
        raise asked[0]
    if asked:
        raise UnitsError(
            "; ".join(error.summary for error in asked),
            fix="; also ".join(error.fix for error in asked if error.fix),
        )
    return found


def declared_style(given: Given, texts: Mapping[str, str | None]) -> Style:
    """Return the units that a file declares, or else those that are given.

    Parameters
    ----------
    given : Given
    texts : mapping of str to str, or to None
        Units by field of `Style`; None of what the file has without a unit. Times
        without one are NaN.

    Raises
    ------
    UnitsError
        If units are neither declared nor given, or both differ.

    Examples
    --------
    >>> style = declared_style(Given(Path("a")), {"length": "nm", "speed": "nm ps-1"})
    >>> style.length, style.speed, style.time
    (10.0, 10.0, nan)
    """
    targets = {"length": "angstrom", "time": "ps", "speed": "angstrom/ps"}
    factors = {
        field: unit_factor(text, targets[field], f"{field} in {given.path}")
        for field, text in texts.items()
        if text
    }
    lacking = [field for field, text in texts.items() if not text and field != "time"]
    if not lacking and given.units is None and given.lj is None:
        return Style("declared", **{"time": np.nan, **factors})
    style = given.style(None)
    for field, factor in factors.items():
        if not np.isclose(getattr(style, field), factor):
            raise UnitsError(
                f"units={style.name!r} contradicts {given.path}: its {field} is in "
                f"{texts[field]!r}",
                fix="leave units= out",
            )
    return style


def named(given: Given, names: np.ndarray) -> np.ndarray:
    """Return the elements of atoms that a file identifies by names or type numbers.

    Parameters
    ----------
    given : Given
    names : numpy.ndarray of str, shape (n_atoms,)
        As in the file.

    Raises
    ------
    QuantityError
        If an argument names an unknown type, or a type has no element.

    Examples
    --------
    >>> given = Given(Path("a"), elements=["Cu", "Zr"])
    >>> named(given, np.array(["1", "2", "1"])).tolist()
    ['Cu', 'Zr', 'Cu']
    """
    there = np.unique(names).tolist()
    types = all(name.isdigit() for name in there)
    elements = given.elements or {}
    if not isinstance(elements, Mapping):
        elements = dict(enumerate(elements, start=1))
    mapping = {str(name): symbol for name, symbol in elements.items()}
    missing = [name for name in there if types and name not in mapping]
    unused = [name for name in mapping if name not in there and not types]
    if missing or unused:
        problem = f"elements= does not name {missing[:1] and missing[0]}"
        if unused:
            problem = f"elements= names {unused[0]!r}"
        elif not mapping:
            problem = "the elements of the atoms are unknown"
        raise QuantityError(
            f"{problem}; the atoms of {given.path} are called {', '.join(there)}",
            fix=given.example("elements")
            if types
            else f"elements={{{there[0]!r}: 'Zr'}}",
        )
    return np.array([mapping.get(name, name) for name in names.tolist()], dtype=str)
