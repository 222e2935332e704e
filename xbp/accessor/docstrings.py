"""What ``help`` and notebooks show of a method.

The docstring of the function that it delegates to.
"""

from __future__ import annotations

import inspect
import operator
import re
from types import ModuleType

__all__ = ["adopt_docstrings"]

_LINE = "\n"
_POINTER = re.compile(r"See `xbp\.(?P<function>[\w.]+)`: ")


def adopt_docstrings(package: ModuleType, *accessors: type) -> None:
    """Give every method that points to a function of the package that function's parameters, returns and errors.

    The first parameter, which is what the accessor stands on, is left out; so are the
    examples, which are tested where they stand.
    """
    for method in {
        m
        for accessor in accessors
        for _, m in inspect.getmembers(accessor, inspect.isfunction)
    }:
        pointer = _POINTER.match(
            method.__doc__ or ""
        )  # nothing is left of it under python -OO
        if pointer is not None:
            text = (
                inspect.getdoc(operator.attrgetter(pointer["function"])(package)) or ""
            )
            summary, _, body = text.partition("\n\n")
            body = body.partition("\nExamples\n--------")[0]
            method.__doc__ = (
                f"{summary}\n\nSame as "
                f"`xbp.{pointer['function']}`.\n\n{_without_first(body)}"
            )


def _without_first(body: str) -> str:
    """Drop the first of the parameters, and their heading where there is no other."""
    before, heading, after = body.partition("Parameters\n----------\n")
    first, *lines = after.split("\n")
    own, several, others = first.partition(", ")
    if several and " : " not in own:
        return f"{before}{heading}{others}\n" + "\n".join(lines)
    end = next(
        (i for i, line in enumerate(lines) if line and not line.startswith(" ")),
        len(lines),
    )
    further = lines[end:]
    headed = further[1:2] == ["-" * len(further[0])] if further else True
    return f"{before}{'' if headed else heading}{_LINE.join(further)}".strip() + "\n"
