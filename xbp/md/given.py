"""Arguments for opening a trajectory, checked against the contents of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xbp.core.errors import QuantityError, UnitsError
from xbp.md.labels import positive

__all__ = ["Given", "frame_times", "named"]

#: Relative; times in files are rounded to this or better.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Given:
    """Arguments of `open_trajectory` that supply what a file may lack.

    None if not given.
    """

    path: Path
    units: str | None = None
    elements: Mapping[Any, str] | Sequence[str] | None = None
    masses: Mapping[str, Any] | None = None
    timestep: Any = None
    time_between_frames: Any = None
    lj: Any = None
    topology: Any = None

    def allow(self, kind: str, *names: str, why: str = "") -> None:
        """Refuse arguments that do not apply to this kind of file.

        Parameters
        ----------
        kind : str
            Of the file, for the message.
        *names : str
            Arguments that apply.
        why : str
            What the file itself states.

        Raises
        ------
        QuantityError
            If another is given.
        """
        others = (
            "units",
            "elements",
            "masses",
            "timestep",
            "time_between_frames",
            "lj",
            "topology",
        )
        for name in others:
            value = getattr(self, name)
            if name not in names and value is not None:
                raise QuantityError(
                    f"{name}={value!r} does not apply to {self.path}",
                    reason=f"it is {kind}{f', {why}' if why else ''}",
                    fix=f"leave {name}= out"
                    + (f"; {', '.join(names)} can be given" if names else ""),
                )

    @property
    def between(self) -> float | None:
        """Time between frames, ps."""
        value = self.time_between_frames
        return None if value is None else positive(value, "ps", "time_between_frames")

    @property
    def step(self) -> float | None:
        """MD step, ps."""
        return (
            None if self.timestep is None else positive(self.timestep, "ps", "timestep")
        )


def frame_times(
    path: Path,
    n: int,
    *,
    own: np.ndarray | None = None,
    marks: np.ndarray | None = None,
    step: float | None = None,
    between: float | None = None,
    ask: str = "time_between_frames='20 fs'",
) -> np.ndarray:
    """Return the times of frames, from the file or the arguments, which must agree.

    Parameters
    ----------
    path : Path
    n : int
        Number of frames.
    own : numpy.ndarray, shape (n,), optional
        Times in the file, ps.
    marks : numpy.ndarray, shape (n,), optional
        Numbers in the file proportional to time: MD steps.
    step : float, optional
        ps, for each unit of the marks.
    between : float, optional
        ps, from each frame to the next.
    ask : str
        Argument to suggest if the time is unknown.

    Returns
    -------
    numpy.ndarray, shape (n,)
        ps.

    Raises
    ------
    UnitsError
        If the time is not known.
    QuantityError
        If what is given contradicts the file.

    Examples
    --------
    >>> frame_times(Path("a"), 3, marks=np.array([1, 2, 4]), step=0.5).tolist()
    [0.5, 1.0, 2.0]
    """
    if marks is not None and (~np.isfinite(marks).all() or (np.diff(marks) <= 0).any()):
        raise QuantityError(
            f"{path}: frame {int(np.argmax(np.diff(marks) <= 0)) + 1} does not follow "
            "the frame before it",
            reason="the frame numbers do not increase, so the frames are not in order "
            "of time",
            fix="sort the frames, or open one at a time: frames=slice(0, 1)",
        )
    if marks is None and step is not None and n > 1:
        raise QuantityError(
            f"timestep={step:g} ps does not apply to {path}",
            reason="its frames are not numbered by MD steps",
            fix="leave it out" if own is not None else ask,
        )
    times = own
    if marks is not None and step is not None:
        times = marks * step
        if own is not None:
            _agree(path, own, np.diff(times), f"timestep={step:g} ps")
            times = own
    if between is not None:
        if times is None and marks is not None and n > 1:
            hops = np.diff(marks)
            if np.ptp(hops) > _ROUNDING * hops.mean():
                raise QuantityError(
                    f"time_between_frames={between:g} ps contradicts {path}",
                    reason=f"its frames are not equally spaced: steps {_listed(marks)}",
                    fix="timestep=, the time of one of these steps",
                )
        if times is not None:
            _agree(
                path,
                times,
                np.full(n - 1, between),
                f"time_between_frames={between:g} ps",
            )
        else:
            times = np.arange(n) * between
    if times is None:
        if n > 1:
            raise UnitsError(
                f"{path} does not give the time between its frames"
                if marks is None
                else f"the time step of {path} is unknown",
                reason="spectra need it"
                if marks is None
                else "its frames have step numbers, not times",
                fix=ask,
            )
        times = np.zeros(n)
    return times


def _agree(path: Path, times: np.ndarray, other: np.ndarray, what: str) -> None:
    """Check a given spacing against the times in the file, to rounding and single precision."""
    own = np.diff(times)
    single = 2 * float(np.spacing(np.float32(np.abs(times).max(initial=0.0))))
    wrong = np.abs(own - other) > _ROUNDING * np.abs(own) + single
    if wrong.any():
        at = int(np.argmax(wrong))
        raise QuantityError(
            f"{what} contradicts {path}",
            reason=f"it puts frame {at + 1} {other[at]:.6g} ps after the one before, "
            f"the file {own[at]:.6g} ps",
            fix="leave it out to use the times in the file, or correct the file",
        )


def _listed(marks: np.ndarray) -> str:
    return ", ".join(f"{mark:g}" for mark in marks[:4]) + (
        ", …" if marks.size > 4 else ""
    )


def named(
    path: Path, names: np.ndarray, given: Mapping[Any, str] | Sequence[str] | None
) -> np.ndarray:
    """Return the elements of atoms that a file identifies by names or type numbers.

    Parameters
    ----------
    path : Path
    names : numpy.ndarray of str, shape (n_atoms,)
        As in the file.
    given : mapping of name or type to symbol, or sequence of symbols of types 1, 2, …,
    optional

    Raises
    ------
    QuantityError
        If an argument names an unknown type, or a type has no element.

    Examples
    --------
    >>> named(Path("a"), np.array(["1", "2", "1"]), ["Cu", "Zr"]).tolist()
    ['Cu', 'Zr', 'Cu']
    """
    there = np.unique(names).tolist()
    types = all(name.isdigit() for name in there)
    if given is None:
        mapping: dict[str, str] = {}
    elif isinstance(given, Mapping):
        mapping = {str(name): symbol for name, symbol in given.items()}
    elif types:
        mapping = {str(number): symbol for number, symbol in enumerate(given, start=1)}
    else:
        raise QuantityError(
            f"elements={given} is a list, for types numbered 1, 2, …",
            reason=f"the atoms of {path} have names: {', '.join(there)}",
            fix=f"elements={{{there[0]!r}: 'Zr'}}",
        )
    missing = [name for name in there if types and name not in mapping]
    if missing:
        raise QuantityError(
            f"the elements of {path} are unknown"
            if given is None
            else f"elements={given} does not name {missing[0]}",
            reason=f"its atoms are called {', '.join(there)}",
            fix="elements={1: 'Zr', 2: 'Cu'}, or ['Zr', 'Cu'] in the order of the "
            "types",
        )
    unused = [name for name in mapping if name not in there and not types]
    if unused:
        raise QuantityError(
            f"elements= names {unused[0]!r}",
            reason=f"the atoms of {path} are called {', '.join(there)}",
            fix="correct it",
        )
    return np.array([mapping.get(name, name) for name in names.tolist()], dtype=str)
