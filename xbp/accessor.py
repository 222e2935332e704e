"""The accessor ``.bp``: every registered operation as a method of the data."""

from __future__ import annotations

import functools
import html
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import xarray as xr

from xbp.core.calls import (
    LISTS,
    require_arguments,
    require_labelled,
    unknown_method,
    wrong_kind,
)
from xbp.core.errors import QuantityError
from xbp.core.index import MODULES, Where
from xbp.core.operation import (
    RESULTS,
    Operation,
    applicable,
    find_operation,
    kinds_of,
    kinds_text,
    next_operations,
)
from xbp.core.signal import read
from xbp.summary import describe, describe_html

__all__ = ["BosonPeakAccessor", "PlotAccessor", "StudyAccessor", "bp"]


class _Lazy:
    """A method of an accessor; its module is imported when it is first used."""

    def __init__(self, where: Where, name: str) -> None:
        self.where, self.name = where, name

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        setattr(owner, self.name, _method(owner, find_operation(self.where, self.name)))
        return getattr(instance or owner, self.name)  # type: ignore[no-any-return]


def _filled(where: Where) -> Callable[[type], type]:
    """Give a class a method for each operation of one accessor, and hints to others."""

    def fill(cls: type) -> type:
        for name in MODULES[where]:
            setattr(cls, name, _Lazy(where, name))

        def unknown(self: Any, name: str) -> Any:
            if name in MODULES[where]:  # an error of Python's own, inside of it
                return object.__getattribute__(self, name)
            raise unknown_method(where, name)

        cls.__getattr__ = unknown  # type: ignore[attr-defined]
        return cls

    return fill


def _method(cls: type, one: Operation) -> Callable[..., Any]:
    @functools.wraps(one.function)
    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        # Before the arguments are checked: those of another method may be right.
        if one.where == "data" and not one.accepts(kinds_of(self._data)):
            raise wrong_kind(self._data, one)
        try:
            return one.function(self._data, *args, **kwargs)
        except TypeError:
            require_arguments(one, *args, **kwargs)
            raise
        except QuantityError:
            require_labelled(one, *args, **kwargs)
            raise

    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = list(one.signature.parameters.values())[1:]
    signature = one.signature.replace(parameters=[this, *own])
    method.__signature__ = signature  # type: ignore[attr-defined]
    method.__qualname__ = f"{cls.__name__}.{one.name}"
    method.__doc__ = _docstring(one)
    return method


def _docstring(one: Operation) -> str:
    """Leave the data and the examples out of the docstring of an operation."""
    text = inspect.getdoc(one.function) or ""
    summary, _, body = text.partition("\n\n")
    body = body.partition("\nExamples\n--------")[0]
    before, heading, after = body.partition("Parameters\n----------\n")
    first, *lines = after.split("\n")
    _, several, others = first.partition(" : ")[0].partition(", ")
    if several:  # "data, background : DataArray" documents two at once
        rest = [f"{others} :{first.partition(' :')[2]}", *lines]
    else:
        is_next = (i for i, line in enumerate(lines) if line and line[0] != " ")
        rest = lines[next(is_next, len(lines)) :]
        if not rest or rest[1:2] == ["-" * len(rest[0])]:
            heading = ""
    body = f"{before}{heading}" + "\n".join(rest)
    return f"{summary}\n\nSame as `{one.path}`.\n\n{body.strip()}\n"


@_filled("plot")
class PlotAccessor:
    """Figures of one data set: every method is a function of `xbp.plot`."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the figure that suits these data.

        A map for a signal of Q and E, curves for other signals, and for a table of
        results its own figure.

        Parameters
        ----------
        *args, **kwargs
            As for the method that is chosen, such as `xbp.plot.map`.

        Returns
        -------
        matplotlib.axes.Axes or matplotlib.figure.Figure

        Raises
        ------
        QuantityError
            If no figure of these data can be drawn without others.

        Examples
        --------
        >>> import xbp
        >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
        >>> glass.bp.to_bqe().bp.plot().get_ylabel()
        '$E$ (meV)'
        """
        kinds = kinds_of(self._data)
        kind, data = next(iter(kinds), ""), self._data
        if kind not in RESULTS and kind != "trajectory":
            signal = read(self._data)
            kind, data = signal.quantity.name, signal.value
        for one in next_operations(data, kind):
            if one.where == "plot":
                return getattr(self, one.name)(*args, **kwargs)
        named = [f"data.bp.plot.{name}(…)" for name in applicable(data, "plot")]
        if kind not in RESULTS:
            steps = [one for one in next_operations(data, kind) if one.gives]
            named = [f"data.bp.{one.call} first" for one in steps[:1]] or named
        raise QuantityError(
            f"no figure shows {kinds_text(kinds)} alone",
            fix=" or ".join(named) or LISTS,
        )


@xr.register_dataarray_accessor("bp")  # type: ignore[no-untyped-call]
@xr.register_dataset_accessor("bp")  # type: ignore[no-untyped-call]
@_filled("data")
class BosonPeakAccessor:
    """Boson-peak analysis of labelled data: every method is a function of xbp."""

    def __init__(self, data: xr.DataArray | xr.Dataset) -> None:
        self._data = data

    def __repr__(self) -> str:
        return describe(self._data)

    def __dir__(self) -> list[str]:
        own = [name for name in super().__dir__() if name not in MODULES["data"]]
        if not any(applicable(self._data, "plot")):
            own.remove("plot")
        return [*own, *applicable(self._data, "data")]

    def _repr_html_(self) -> str:
        return describe_html(self._data)

    @property
    def plot(self) -> PlotAccessor:
        """Figures of these data: the methods of `PlotAccessor`."""
        return PlotAccessor(self._data)


@xr.register_datatree_accessor("bp")  # type: ignore[no-untyped-call]
@_filled("study")
class StudyAccessor:
    """A study: every method is a function of `xbp.study`."""

    def __init__(self, tree: xr.DataTree) -> None:
        self._data = tree

    def __repr__(self) -> str:
        # Imported when a study is first printed.
        return str(importlib.import_module("xbp.study").summary(self._data))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def bp(data: xr.DataArray | xr.Dataset | xr.DataTree) -> Any:
    """Return ``data.bp``, with a type that editors and mypy know.

    Parameters
    ----------
    data : xarray.DataArray, xarray.Dataset or xarray.DataTree
        Any labelled data, or a study.

    Returns
    -------
    BosonPeakAccessor or StudyAccessor

    Examples
    --------
    >>> import xbp
    >>> xbp.bp(xbp.tutorial.open_dataset("zr46cu46al8_md").S).to_bqe().name
    'B'
    """
    return data.bp  # type: ignore[union-attr]
