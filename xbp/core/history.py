"""Histories: how they are written and parsed.

A history is for people: nothing that is computed depends on it. What a later operation
must know is an attribute of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.data import is_lazy
from xbp.core.errors import VERSION

__all__ = ["Step", "extend_history", "parse_history", "range_used"]


@dataclass(frozen=True)
class Step:
    """One line of a history.

    Attributes
    ----------
    operation : str
        Name of the operation; empty in a line of another program.
    arguments : dict
        Its arguments.
    version : str
        Version of xbp that did it.
    text : str
        The line as it is written.
    """

    operation: str
    arguments: dict[str, Any]
    version: str
    text: str


def extend_history(
    history: object, operation: str, arguments: Mapping[str, Any]
) -> str:
    """Add a line to a history: JSON of the operation, its arguments and the version.

    Examples
    --------
    >>> print(extend_history(None, "scale", {"factor": "2"}))  # doctest: +ELLIPSIS
    {"operation": "scale", "arguments": {"factor": "2"}, "xbp": "..."}
    """
    line = json.dumps(
        {
            "operation": operation,
            "arguments": {k: v for k, v in arguments.items() if v is not None},
            "xbp": VERSION,
        },
        ensure_ascii=False,
        default=str,
    )
    before = "" if history is None else str(history)  # a file may have anything there
    return f"{before}\n{line}" if before else line


def parse_history(attrs: Mapping[Any, Any]) -> list[Step]:
    r"""Read the history in the attributes of data, for display.

    Examples
    --------
    >>> line = extend_history(None, "scale", {"factor": "2"})
    >>> attrs = {"history": "made by hand\n" + line}
    >>> [(step.operation, step.arguments) for step in parse_history(attrs)]
    [('', {}), ('scale', {'factor': '2'})]
    """
    steps = []
    for line in str(attrs.get("history", "")).splitlines():
        try:
            parts = json.loads(line)
            step = Step(
                str(parts["operation"]),
                dict(parts["arguments"]),
                str(parts["xbp"]),
                line,
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            step = Step("", {}, "", line)  # another program wrote it
        steps.append(step)
    return steps


def range_used(
    name: str, given: Any, low: Any, high: Any, units: str
) -> dict[str, Any]:
    """Return the entry of a history for a range: as given, or as chosen instead.

    Parameters
    ----------
    name : str
        Name of the argument.
    given : pair of scalars with units, or None
        What the caller passed.
    low, high : float or DataArray
        The range used. Each of many fits has its own, in the table of results; for
        dask arrays it is not known yet.
    units : str
        Units of `low` and `high`.

    Examples
    --------
    >>> range_used("E_range", None, 2.0, 8.5, "meV")
    {'E_range': ['2 meV', '8.5 meV'], 'E_range_chosen': 'automatically'}
    >>> range_used("E_range", ("2 meV", "9 meV"), 2.0, 8.5, "meV")
    {'E_range': ('2 meV', '9 meV')}
    """
    if given is not None:
        return {name: given}
    if np.ndim(low) or (isinstance(low, xr.DataArray | xr.Variable) and is_lazy(low)):
        return {
            name: "each fit its own, see the table",
            f"{name}_chosen": "automatically",
        }
    if not np.isfinite(float(low)):
        return {name: "none found", f"{name}_chosen": "automatically"}
    return {
        name: [f"{float(end):.6g} {units}" for end in (low, high)],
        f"{name}_chosen": "automatically",
    }
