"""Defaults in signatures: that of a constant is shown by its value."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any


def show_values(app: Any, thing: Any, bound: bool) -> None:
    """Put values in the place of names that the source gives as defaults.

    Sphinx calls this with each function, after it has replaced its defaults by their
    source. Other expressions, such as ``math.exp(-1)``, stay as they are written.
    """
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return
    function = inspect.unwrap(thing)
    known = getattr(function, "__globals__", {})
    owner = known.get(getattr(function, "__qualname__", "").partition(".")[0])
    made = {
        field.name: field.default_factory()
        for field in (
            dataclasses.fields(owner) if dataclasses.is_dataclass(owner) else ()
        )
        if field.default_factory is not dataclasses.MISSING
    }

    def shown(parameter: inspect.Parameter) -> inspect.Parameter:
        default = parameter.default
        if repr(default) == "<factory>":
            return parameter.replace(default=made.get(parameter.name, default))
        return parameter.replace(default=known.get(repr(default), default))

    thing.__signature__ = signature.replace(
        parameters=[shown(p) for p in signature.parameters.values()]
    )
