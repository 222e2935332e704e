"""The one family of errors xbp raises: what is wrong, why, and how to fix it.

Also how packages of optional extras are imported, and the name and version of xbp.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = [
    "DISTRIBUTION",
    "MAYBE_DAMAGED",
    "RELATIVE_TO",
    "VERSION",
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
    "install",
    "kind_of",
    "listed",
    "nearest",
    "require",
    "require_absolute",
    "shown",
    "with_article",
]


#: What to do with a file whose contents do not fit: nobody can tell a damaged one from
#: a sound one of another kind.
MAYBE_DAMAGED: Final = "copy it again if it is damaged, or save it in another format"
_NUMBER: Final = r"[-+]?(?:nan|inf|\d[\d.]*(?:e[-+]?\d+)?|\.\d+)"
#: A number as numpy writes it within a list.
_SCALAR: Final = re.compile(r"\bnp\.\w+\(([^()]*)\)")
#: A path, or another word, longer than any file's name may be.
_LONG_WORD: Final = re.compile(r"\S{256,}")
#: Numbers in a row, as of an array that was given as an argument.
_ROW: Final = re.compile(rf"({_NUMBER})((?:[,\s]+{_NUMBER}){{11,}})", re.IGNORECASE)


def shown(value: object, width: int = 60) -> str:
    """Write a value on one line, of twelve numbers or more in a row only their ends.

    Nobody reads 401 of them before the reason.

    Examples
    --------
    >>> shown("Å"), shown(list(range(401))), shown("a" * 99, 4)
    ("'Å'", '[0, 1, 2, …, 400]', "'aaa…")
    """

    def ends(row: re.Match[str]) -> str:
        numbers = re.split(r"[,\s]+", row[0])
        return ", ".join([*numbers[:3], "…", numbers[-1]])

    try:
        text = _SCALAR.sub(r"\1", " ".join(repr(value).split()))
    except Exception:  # a repr that fails, as that of a whole number of 5000 digits
        text = kind_of(value)
    text = _ROW.sub(ends, text)
    return text if len(text) <= width else f"{text[:width]}…"


def with_article(name: str) -> str:
    """Write a name, in quotation marks or not, after "a" or "an".

    Examples
    --------
    >>> with_article("Dataset"), with_article("'absorption'")
    ('a Dataset', "an 'absorption'")
    """
    bare = name.strip("'")
    vowel = bare[:1].lower() in set("aeiou") or bare == "ndarray"
    return f"{'an' if vowel else 'a'} {name}"


def kind_of(value: object) -> str:
    """Write the type of a value, such as "a Dataset"; None is "None".

    Examples
    --------
    >>> kind_of(3), kind_of(None)
    ('an int', 'None')
    """
    return "None" if value is None else with_article(type(value).__name__)


def nearest(name: object, known: Iterable[object], *, cutoff: float = 0.6) -> list[str]:
    """Return the one to three known names most like, or with, one that is unknown.

    Capitals do not count. `cutoff` is the least similarity, from 0 to 1, of difflib.

    Examples
    --------
    >>> nearest("boson_peek", ["boson_peak", "box_phonon", "fold"])
    ['boson_peak']
    >>> nearest("raman", ["raman_intensity", "absorption"])
    ['raman_intensity']
    """
    by_case = {one.casefold(): one for one in known if isinstance(one, str)}
    if not isinstance(name, str):
        return []
    text = name.casefold()
    found = difflib.get_close_matches(text, by_case, 3, cutoff)
    if not found and len(text) > 2:  # a part of a name
        found = [one for one in by_case if text in one][:3]
    return [by_case[one] for one in found]


def listed(name: object, known: Iterable[object]) -> str:
    """Write the names that are known, of more than twelve those most like `name`.

    Examples
    --------
    >>> listed("han", ["hann", "boxcar"])
    "'hann', 'boxcar'"
    >>> listed("q6", [f"Q{i}" for i in range(13)])
    "13 names, such as 'Q6', 'Q9', 'Q8'"
    """
    every = list(known)
    if len(every) <= 12:
        return ", ".join(map(repr, every))
    near = nearest(str(name), every, cutoff=0.0)
    return f"{len(every)} names, such as {', '.join(map(repr, near))}"


class XbpError(ValueError):
    """Base of every error raised by xbp.

    Parameters
    ----------
    summary : str
        What is wrong, with the name, the value and the units given.
    reason : str, optional
        Why it is wrong, where that helps.
    fix : str, optional
        What the user can type to fix it.

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
            _LONG_WORD.sub(lambda word: f"{word[0][:60]}…{word[0][-40:]}", text)
            for text in (summary, reason, fix)
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


#: What pip installs; "xbp" in the Python Package Index is another project.
DISTRIBUTION = "xarray-bosonpeak"
VERSION = "0.2.0"


def install(extra: str) -> str:
    """Write how an extra is installed, from the index or in a clone.

    Examples
    --------
    >>> print(install("md"))
    pip install "xarray-bosonpeak[md]", or ".[md]" in a clone
    """
    return f'pip install "{DISTRIBUTION}[{extra}]", or ".[{extra}]" in a clone'


def require(module: str, purpose: str, extra: str, instead: str = "") -> Any:
    """Import a package of an optional extra, or raise an error with how to install it.

    Parameters
    ----------
    module : str
        What to import.
    purpose : str
        What it is needed to do, such as "read netCDF".
    extra : str
        The extra of xbp that brings it.
    instead : str
        What to do without it, such as "give mass='26.98 u'".

    Raises
    ------
    MissingDependencyError
        If it is not installed.

    Examples
    --------
    >>> require("nowhere", "read netCDF", "md")  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    xbp.core.errors.MissingDependencyError: nowhere is needed to read netCDF and cannot
    be imported (No module named 'nowhere')
      fix:  pip install "xarray-bosonpeak[md]", or ".[md]" in a clone
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        raise MissingDependencyError(
            f"{package} is needed to {purpose} and cannot be imported ({error})",
            fix=f"{install(extra)}{instead and f'; or {instead}'}",
        ) from error


#: ``attrs`` of a difference: what was subtracted, as of u² above that of a reference.
RELATIVE_TO: Final = "relative_to"


def require_absolute(attrs: Mapping[Any, Any], name: str) -> None:
    """Refuse a number that is only the difference from that of another sample.

    Raises
    ------
    QuantityError
        If the attributes state what it is relative to.

    Examples
    --------
    >>> require_absolute({RELATIVE_TO: "the reference at 10 K"}, "u2")
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: u2 is relative to the reference at 10 K
    fix: ...
    """
    if RELATIVE_TO in attrs:
        raise QuantityError(
            f"{name} is relative to {attrs[RELATIVE_TO]}",
            fix="add that of the reference: u2='0.0085 angstrom^2', or for an array "
            f"u2=({name} + 0.002).drop_attrs()",
        )
