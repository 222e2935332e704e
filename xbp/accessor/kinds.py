"""Methods of ``.bp`` that say what they are for before they ask for arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from xbp.describe.methods import NEEDS, require_kind

__all__ = ["for_their_kind"]

Class = TypeVar("Class", bound=type)


def for_their_kind(accessor: Class) -> Class:
    """Have the methods of an accessor that are for data of one kind refuse others, whatever they are called with."""
    for name in NEEDS:
        setattr(accessor, name, _checked(getattr(accessor, name)))
    return accessor


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        require_kind(self._data, method.__name__)
        return method(self, *args, **kwargs)

    return checked
