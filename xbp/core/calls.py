"""How operations are called: the errors of calls that do not fit, with what would."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

import xarray as xr

from xbp.core.errors import ArgumentsError, QuantityError, nearest, shown
from xbp.core.index import MODULES, Where
from xbp.core.operation import Operation, kinds_of, kinds_text, step_to
from xbp.core.schema import QUANTITIES

__all__ = [
    "LISTS",
    "require_arguments",
    "require_labelled",
    "unknown_method",
    "wrong_kind",
]

#: What to do where no method is near.
LISTS: Final = "print(data.bp) lists what can be done"
#: The annotation of arguments that are labelled data, as the modules write it.
_LABELLED: Final = "xr.DataArray | xr.Dataset"


def require_arguments(one: Operation, /, *args: Any, **kwargs: Any) -> None:
    """Raise an error if an operation cannot be called with these arguments.

    Raises
    ------
    ArgumentsError
        It shows how the method is called, and the name nearest to an unknown one.

    Examples
    --------
    >>> from xbp.core.operation import find_operation
    >>> require_arguments(find_operation("data", "cut_E"), width="1 meV")
    Traceback (most recent call last):
        ...
    xbp.core.errors.ArgumentsError: .bp.cut_E(): missing a required argument: 'E'
      why:  call it as .bp.cut_E(E, width=None)
      fix:  E=: Centre of the interval, with width; or its two limits (scalar with ...
    """
    try:
        one.signature.bind(None, *args, **kwargs)
    except TypeError as misfit:
        raise _misfit(one, str(misfit), kwargs) from misfit


def require_labelled(one: Operation, /, *args: Any, **kwargs: Any) -> None:
    """Raise an error if an argument that must be labelled data is not.

    Examples
    --------
    >>> from xbp.core.operation import find_operation
    >>> require_labelled(find_operation("data", "subtract"), 3.0)
    Traceback (most recent call last):
        ...
    xbp.core.errors.QuantityError: background=3.0 must be a DataArray or Dataset
      fix:  background=: The same quantity on the same grid; the background is ...
    """
    given = one.signature.bind(None, *args, **kwargs).arguments
    for name in list(given)[1:]:
        own = one.signature.parameters[name]
        values = given[name] if own.kind is own.VAR_POSITIONAL else (given[name],)
        for value in values if own.annotation == _LABELLED else ():
            if not isinstance(value, xr.DataArray | xr.Dataset):
                raise QuantityError(
                    f"{name}={shown(value)} must be a DataArray or Dataset",
                    fix=_described(one, name),
                ) from None


def _misfit(one: Operation, misfit: str, given: dict[str, Any]) -> ArgumentsError:
    """Return the error of a call whose arguments are not those of the operation.

    Of an argument that is missing it shows what the docstring tells.
    """
    own = list(one.signature.parameters.values())[1:]
    names = [p.name for p in own]
    unknown = [key for key in given if key not in names]
    near = [one for key in unknown for one in nearest(key, names)[:1]]
    bare = [p.replace(annotation=p.empty) for p in own]
    called = inspect.Signature(bare)
    missing = next((p.name for p in own if misfit.endswith(f"'{p.name}'")), "")
    return ArgumentsError(
        f".bp.{one.method}(): {misfit}",
        reason=f"call it as .bp.{one.method}{called}",
        fix=f"did you mean {near[0]}=?" if near else _described(one, missing),
    )


def _described(one: Operation, argument: str) -> str:
    """Write type and first sentence of an argument, as its docstring has them."""
    text = inspect.getdoc(one.function) or ""
    entry = re.search(
        rf"^(?:\w+, )*{argument}(?:, \w+)*(?: : (.+))?\n((?:[ ]+.*\n)*)",
        text,
        re.MULTILINE,
    )
    if not argument or entry is None:
        return ""
    sentence = " ".join(entry[2].split()).partition(". ")[0].removesuffix(".")
    kind = f" ({entry[1]})" if entry[1] else ""
    return f"{argument}=: {sentence}{kind}".replace("`", "")


def wrong_kind(data: Any, one: Operation) -> QuantityError:
    """Return the error for data that an operation does not accept.

    Its fix shows the calls that convert the data to the right kind, if any.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> from xbp.core.operation import find_operation
    >>> print(wrong_kind(S, find_operation("data", "structure_factor")))
    .bp.structure_factor() needs a trajectory, not S(Q,E)
      fix:  data.bp.integrate_E() gives a 'static_structure_factor'
    """
    kinds = kinds_of(data)
    if one.gives in kinds:
        fix = (
            f"they are {kinds_text([one.gives])} already"
            if isinstance(data, xr.DataArray)
            else f"data[{kinds[one.gives]!r}] is {kinds_text([one.gives])} already"
        )
    else:
        wanted = [(one.gives,)] if one.gives else []
        steps = (
            step_to(kind, goal, _signal_of(data, name))
            for goal in [*wanted, one.takes]
            for kind, name in kinds.items()
        )
        fix = next(filter(None, steps), None) or (
            "open one with xbp.md.open_trajectory(path)"
            if one.takes == ("trajectory",)
            else LISTS
        )
    return QuantityError(
        f".bp.{one.method}() needs {' or '.join(map(_named, one.takes))}, not "
        f"{' and '.join(map(_named, kinds)) or kinds_text(kinds)}",
        fix=fix,
    )


def _named(kind: str) -> str:
    """Write what data are: a signal by its symbol."""
    if kind in QUANTITIES and kind != "trajectory":
        return QUANTITIES[kind].label
    return kinds_text([kind])


def _signal_of(data: Any, name: str) -> xr.DataArray | None:
    """Return the variable of this name; None of a table of results."""
    return data if isinstance(data, xr.DataArray) else data[name] if name else None


def unknown_method(where: Where, name: str) -> AttributeError:
    """Return the error for a method that the accessor does not have.

    Examples
    --------
    >>> print(unknown_method("data", "to_nexus"))
    .bp.to_nexus does not exist; the nearest: .bp.to_nxspe
    """
    prefixes = {"data": ".bp", "plot": ".bp.plot", "study": ".bp"}
    beside: tuple[Where, ...] = ("study",) if where == "study" else ("data", "plot")
    known = {one: f"{prefixes[kind]}.{one}" for kind in beside for one in MODULES[kind]}
    near = [known[one] for one in nearest(name, known)]
    given = f"{prefixes[where]}.{name}"
    hint = f"the nearest: {', '.join(near)}" if near else LISTS
    return AttributeError(f"{given} does not exist; {hint}")
