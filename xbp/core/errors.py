"""The one family of errors xbp raises: what is wrong, why, and how to fix it."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "ArgumentsError",
    "CoordinateError",
    "FileFormatError",
    "MissingDependencyError",
    "QuantityError",
    "RangeError",
    "SimulationError",
    "TemperatureError",
    "UnitsError",
    "XbpError",
]


_NUMBER: Final = r"[-+]?(?:nan|inf|\d[\d.]*(?:e[-+]?\d+)?|\.\d+)"
#: A number as numpy writes it within a list.
_SCALAR: Final = re.compile(r"np\.(?:float|u?int)\d+\(([^()]*)\)")
#: Numbers in a row, as of an array that was given as an argument.
_ROW: Final = re.compile(rf"({_NUMBER})((?:[,\s]+{_NUMBER}){{11,}})", re.IGNORECASE)


def shortened(text: str) -> str:
    """Leave the ends of a row of twelve numbers or more.

    Nobody reads 401 of them before the reason.

    Examples
    --------
    >>> shortened(f"r={list(range(401))} are no points")
    'r=[0, 1, 2, …, 400] are no points'
    """

    def ends(row: re.Match[str]) -> str:
        numbers = re.split(r"[,\s]+", row[0])
        return ", ".join([*numbers[:3], "…", numbers[-1]])

    return _ROW.sub(ends, _SCALAR.sub(r"\1", text))


class XbpError(ValueError):
    """Base of every error raised by xbp.

    Parameters
    ----------
    summary : str
        What is wrong, with the name, the value and the units given.
    reason : str, optional
        Why it is wrong, where that helps.
    fix : str, optional
        What the user can type to fix it. Long runs of numbers in any of these are
        shortened to their ends.

    Examples
    --------
    >>> error = XbpError("Q is empty", reason="no bin is inside", fix="widen the range")
    >>> print(error)
    Q is empty
      why:  no bin is inside
      fix:  widen the range
    """

    def __init__(self, summary: str, *, reason: str = "", fix: str = "") -> None:
        self.summary, self.reason, self.fix = (
            shortened(text) for text in (summary, reason, fix)
        )
        lines = [f"  why:  {self.reason}"] * bool(reason) + [
            f"  fix:  {self.fix}"
        ] * bool(fix)
        super().__init__("\n".join([self.summary, *lines]))

    def __reduce__(self) -> tuple[object, ...]:
        # The keyword-only constructor would otherwise lose the error on its way back
        # from a worker.
        return (_rebuild, (type(self), self.summary, self.reason, self.fix))


def _rebuild(kind: type[XbpError], summary: str, reason: str, fix: str) -> XbpError:
    return kind(summary, reason=reason, fix=fix)


class ArgumentsError(XbpError, TypeError):
    """A method is called without an argument it needs, or with an unknown one."""


class UnitsError(XbpError):
    """Units are missing, unknown, or of the wrong dimension."""


class QuantityError(XbpError):
    """The data are not what an operation needs, or do not follow the data model."""


class CoordinateError(XbpError):
    """A coordinate is missing, unordered, duplicated, infinite, or on another grid."""


class RangeError(XbpError):
    """An interval is empty, reversed, or without data."""


class TemperatureError(XbpError):
    """The temperature is missing, contradictory, or not positive."""


class FileFormatError(XbpError):
    """A file is not what it claims to be, is damaged, or would be overwritten."""


class SimulationError(XbpError):
    """A molecular-dynamics run failed, or is not the one that was begun."""


class MissingDependencyError(XbpError, ImportError):
    """An optional package is needed and is not installed."""
