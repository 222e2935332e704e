"""Packages that only some features need."""

from __future__ import annotations

import importlib
from typing import Any

from xbp.core.errors import MissingDependencyError

__all__ = ["require"]


def require(module: str, purpose: str, extra: str, instead: str = "") -> Any:
    """Import a package of an optional extra, or say what it is needed for and how to get it.

    Parameters
    ----------
    module : str
        What to import.
    purpose : str
        A clause, such as "the segments of a trajectory are computed as its tasks".
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
    >>> require("nowhere", "examples need it", "md")
    Traceback (most recent call last):
        ...
    xbp.core.errors.MissingDependencyError: ...
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"{package} cannot be imported ({error})",
            reason=purpose,
            fix=f'pip install "xbp[{extra}]"{instead and f", or {instead}"}',
        ) from error
