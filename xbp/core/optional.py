"""The name and version of the distribution, and packages for some features only."""

from __future__ import annotations

import importlib
from typing import Any

from xbp.core.errors import MissingDependencyError

__all__ = ["DISTRIBUTION", "VERSION", "install", "require"]

#: What pip installs; "xbp" in the Python Package Index is another project.
DISTRIBUTION = "xarray-bosonpeak"
VERSION = "0.1.0"


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
            fix=f"{install(extra)}{instead and f'; or {instead}'}",
        ) from error
