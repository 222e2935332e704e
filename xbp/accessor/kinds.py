"""Methods of ``.bp`` that say what they are for, and how they are called, where a call does not fit."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from xbp.core.errors import ArgumentsError
from xbp.summary.methods import NEEDS, require_kind

__all__ = ["held_to_their_calls"]

Class = TypeVar("Class", bound=type)


def held_to_their_calls(accessor: Class) -> Class:
    """Have the methods of an accessor refuse data of another kind, and arguments that are none of theirs."""
    for name, method in inspect.getmembers(accessor, inspect.isfunction):
        if not name.startswith("_"):
            setattr(accessor, name, _checked(method))
    return accessor


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    name, signature = method.__name__, inspect.signature(method)

    @functools.wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if name in NEEDS:
            require_kind(self._data, name)
        try:
            return method(self, *args, **kwargs)
        except TypeError:
            # Of the call, or of something within?
            try:
                signature.bind(self, *args, **kwargs)
            except TypeError as misfit:
                raise _explained(name, signature, str(misfit), kwargs) from misfit
            raise

    return checked


def _explained(
    name: str, signature: inspect.Signature, misfit: str, given: dict[str, Any]
) -> ArgumentsError:
    """Return an error that says how a method is called."""
    own = [
        p.replace(annotation=inspect.Parameter.empty)
        for p in list(signature.parameters.values())[1:]
    ]
    names = [p.name for p in own]
    meant = [
        near[0]
        for key in given
        if key not in names and (near := difflib.get_close_matches(key, names, 1))
    ]
    called = signature.replace(
        parameters=own, return_annotation=inspect.Signature.empty
    )
    return ArgumentsError(
        f".bp.{name}(): {misfit}",
        reason=f"it is called as .bp.{name}{called}",
        fix=(f"{meant[0]}= may be meant; " if meant else "")
        + f"help(data.bp.{name}) says what each is",
    )
