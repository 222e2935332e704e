"""A chain of calls written in a TOML file, for those who do not write Python.

Each step is a method of ``.bp`` or ``.bp.plot``; its arguments are those of the method,
and the history of each result records them.
"""

from __future__ import annotations

import functools
import operator
import tomllib
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import Parameter
from pathlib import Path
from typing import Any, Final

import xarray as xr

import xbp
from xbp.core.calls import require_arguments
from xbp.core.errors import (
    ArgumentsError,
    FileFormatError,
    QuantityError,
    XbpError,
    kind_of,
    nearest,
    require,
)
from xbp.core.guards import choose
from xbp.core.index import MODULES
from xbp.core.operation import (
    Operation,
    applicable,
    find_operation,
    kinds_of,
)
from xbp.core.schema import QUANTITIES, quantity_name
from xbp.io.publish import check_target, new_folder
from xbp.io.zarr_store import why_no_store

__all__ = ["Outcome", "run"]

#: What a step contains besides the arguments of its method.
_OWN: Final = ("do", "on", "name", "save", "figure")
_TABLES: Final = ("data", "step")
#: The methods that write a result, by the ending of ``save``.
_SAVED: Final = {".nc": "to_netcdf", ".csv": "to_csv", ".zarr": "to_zarr"}


@dataclass
class Outcome:
    """What a recipe did.

    Attributes
    ----------
    data : tuple of str
        The names of the data.
    results : dict
        Data and results by name; that of a step without one is ``step 1`` and so on.
    files : list of pathlib.Path
        What was written.
    """

    data: tuple[str, ...]
    results: dict[str, Any] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class _Step:
    """A step whose names, arguments and files are known to be right.

    Attributes
    ----------
    place : str
        Its number and method, for errors.
    title : str
        The name of its result.
    on : str
        The name of the data that it works on.
    one : Operation
        Its method.
    call : dict
        The arguments; "@name" is not replaced yet.
    files : dict
        What is written, by the key of the step that names it.
    """

    place: str
    title: str
    on: str
    one: Operation
    call: dict[str, Any]
    files: dict[str, Path]

    @property
    def writes(self) -> bool:
        """Whether the method only writes its data to ``path``."""
        return "path" in self.files


def run(
    path: str | Path,
    *,
    overwrite: bool = False,
    finished: Callable[[str, Any], object] = lambda name, result: None,
) -> Outcome:
    """Run a recipe.

    All of it is checked before anything is opened, and files are written after the last
    step, so that a recipe that fails leaves none. The exception is ``out`` of a method
    that computes into a file.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file. ``[data.NAME]`` has the ``path`` of a file and options of
        `xbp.open_dataset`; ``path = "tutorial:NAME"`` is embedded data. Each
        ``[[step]]`` has ``do``, a method of ``.bp`` or ``.bp.plot``, and its arguments.
        ``on`` names the data or the step it works on (by default the step before),
        ``name`` the result. ``save`` is a file for it, netCDF, Zarr or CSV, ``figure``
        one for its figure. An argument ``"@NAME"`` is another result,
        ``"@NAME.VARIABLE"`` a variable of it, with its standard deviations if it is a
        signal. Paths are relative to the recipe, those that a method writes to as well.
    overwrite : bool
        Replace files that exist.
    finished : callable
        Called with the name and the result of every step when it is finished.

    Returns
    -------
    Outcome

    Raises
    ------
    FileFormatError
        If the recipe is not valid TOML, has unknown tables, or a file exists.
    ArgumentsError
        If a name is unknown.
    XbpError
        As the steps raise it, with the number of the step.
    """
    where = Path(path)
    data, tables = _tables(where)
    steps = list(_checked(data, tables, where.parent, overwrite))
    done = Outcome(tuple(data))
    for name, options in data.items():
        done.results[name] = _opened(name, options, where.parent)
    outputs: list[tuple[_Step, Path, Callable[[Path], None]]] = []
    for step in steps:
        with _placed(step.place):
            source = _data(step.on, done.results)
            call = {k: _named(v, done.results) for k, v in step.call.items()}
            method = operator.attrgetter(step.one.method)(xbp.bp(source))
            if step.writes:
                write_data = functools.partial(_write, method, call)
                outputs.append((step, step.files["path"], write_data))
                continue
            result = done.results[step.title] = method(**call)
            if "out" in step.files:
                done.files.append(step.files["out"])
            outputs += [(step, *one) for one in _outputs(step, source, result)]
        finished(step.title, result)
    with ExitStack() as published:
        for step, target, write in outputs:
            with _placed(step.place):
                temporary, _ = published.enter_context(
                    new_folder(target, overwrite=overwrite, replaceable=why_no_store)
                )
                write(temporary)
    done.files += [target for _, target, _ in outputs]
    return done


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Raise errors as they are, with the place."""
    try:
        yield
    except XbpError as error:
        raise type(error)(
            f"{place}: {error.summary}", reason=error.reason, fix=error.fix
        ).with_traceback(error.__traceback__) from error.__cause__


# Before anything is opened


def _tables(where: Path) -> tuple[dict[str, Any], list[Any]]:
    """Read the data and the steps of a recipe."""
    try:
        recipe = tomllib.loads(where.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{where} is not valid TOML: {error}") from error
    for table in recipe:
        choose(table, _TABLES, f"{where.name}: table", error=FileFormatError)
    data, steps = recipe.get("data", {}), recipe.get("step", [])
    if not (isinstance(data, dict) and data and isinstance(steps, list)):
        raise FileFormatError(
            f"{where} has no data, or steps that are not a list",
            fix='write [data.glass], path = "glass.nc", and [[step]] for each step',
        )
    return data, steps


def _checked(
    data: dict[str, Any], tables: list[Any], folder: Path, overwrite: bool
) -> Iterator[_Step]:
    """Yield the steps after checking all that is known without data."""
    known = [*data]
    before = known[0] if len(known) == 1 else None
    targets: set[Path] = set()
    for number, table in enumerate(tables, 1):
        if not isinstance(table, dict):
            raise FileFormatError(f"step {number} is not a table", fix="write [[step]]")
        with _placed(f"step {number}" + (f", {table['do']}" if "do" in table else "")):
            title = str(table.get("name", f"step {number}"))
            if title in known:
                raise ArgumentsError(
                    f"the name {title!r} is used twice", fix='name = "another"'
                )
            step = _step(number, table, title, before, folder)
            for key, path in step.files.items():
                store = why_no_store if path.suffix == ".zarr" else None
                target = check_target(path, overwrite=overwrite, replaceable=store)
                if target in targets:
                    raise ArgumentsError(f"{key}: another step writes {target}, too")
                targets.add(target)
            if "overwrite" in step.one.signature.parameters:
                step.call["overwrite"] = overwrite
            choose(step.on.partition(".")[0], known, "on", error=ArgumentsError)
            for name in _references(step.call):
                choose(name.partition(".")[0], known, "@", error=ArgumentsError)
        yield step
        if not step.writes:
            known.append(title)
            before = title


def _step(
    number: int, table: dict[str, Any], title: str, before: str | None, folder: Path
) -> _Step:
    """Check the keys of one step."""
    if "do" not in table:
        raise ArgumentsError("it has no method", fix='do = "to_bqe"')
    methods = [*MODULES["data"], *(f"plot.{name}" for name in MODULES["plot"])]
    do: str = choose(table["do"], methods, "do", error=ArgumentsError)
    draws, name = do.startswith("plot."), do.removeprefix("plot.")
    one = find_operation("plot" if draws else "data", name)
    parameters = one.signature.parameters
    written = [k for k in ("path", "out") if {k, "overwrite"} <= {*parameters}]
    # What a method itself writes or draws is not written a second time.
    own = ["figure"] if draws else ["save", "figure"] * ("path" not in written)
    call = {k: v for k, v in table.items() if k not in ("do", "on", "name", *own)}
    if "overwrite" in call:
        # Whoever runs a recipe decides this, not who wrote it.
        raise ArgumentsError(
            "a recipe cannot pass overwrite=",
            fix="xbp run recipe.toml --overwrite",
        )
    _require_keys(one, call, ("do", "on", "name", *own))
    require_arguments(one, **call)
    if "on" not in table and before is None:
        raise ArgumentsError("it does not name its data", fix='on = "glass"')
    files = {k: _path(table, k, folder) for k in (*own, *written) if k in table}
    if draws and not files:
        raise ArgumentsError("it has no file for its figure", fix='figure = "map.png"')
    if "save" in files:
        _require_ending("save", files["save"], _SAVED)
    if "figure" in files:
        endings = [".html"] if do == "plot.explore" else _picture_endings()
        _require_ending("figure", files["figure"], endings)
    call |= {key: files[key] for key in written if key in files}
    on = str(table.get("on", before))
    return _Step(f"step {number}, {do}", title, on, one, call, files)


def _require_keys(one: Operation, call: Collection[str], own: Collection[str]) -> None:
    """Refuse a key that is neither one of a step nor an argument of its method."""
    parameters = list(one.signature.parameters.values())[1:]
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return
    known = [*own, *(p.name for p in parameters if p.name != "overwrite")]
    for key in call:
        if key not in known:
            near = " or ".join(f"{name} = …" for name in nearest(key, known))
            raise ArgumentsError(
                f"{key!r} is not a key of this step",
                reason=f"it can have {', '.join(known)}",
                fix=near,
            )


def _path(table: dict[str, Any], key: str, folder: Path) -> Path:
    name = table[key]
    if not isinstance(name, str):
        raise ArgumentsError(
            f"{key} = {name!r} is not the name of a file", fix=f'{key} = "b.nc"'
        )
    return folder / name


def _require_ending(key: str, path: Path, endings: Collection[str]) -> None:
    if path.suffix not in endings:
        raise ArgumentsError(
            f"{key} = {path.name!r} does not end in {', '.join(endings)}",
            fix=f"{key} = {str(path.with_suffix(next(iter(endings))).name)!r}",
        )


def _picture_endings() -> list[str]:
    bases = require("matplotlib.backend_bases", "draw figures", "plot")
    kinds = {".png": 0, **{f".{k}": 0 for k in bases.FigureCanvasBase.filetypes}}
    return list(kinds)


def _references(value: Any) -> Iterator[str]:
    """Yield what "@name" and "@name.variable" name, also within lists."""
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, str) and one.startswith("@"):
            yield one[1:]
        elif isinstance(one, list | dict):
            yield from _references(one)


# With the data


def _opened(name: str, options: Any, folder: Path) -> xr.Dataset:
    if not isinstance(options, dict) or not isinstance(options.get("path"), str):
        raise FileFormatError(f"[data.{name}] has no path", fix='path = "glass.nc"')
    rest = {key: value for key, value in options.items() if key != "path"}
    kind, _, embedded = options["path"].partition("tutorial:")
    if embedded and not kind:
        for option in rest:
            raise ArgumentsError(
                f"[data.{name}]: embedded data have no {option}", fix="leave it out"
            )
        return xbp.tutorial.open_dataset(embedded)
    return xbp.open_dataset(folder / options["path"], **rest)


def _data(name: str, results: dict[str, Any]) -> xr.DataArray | xr.Dataset:
    found = _named(f"@{name}", results)
    if not isinstance(found, xr.DataArray | xr.Dataset):
        kind = type(found).__name__
        raise ArgumentsError(f"{name!r} is not data, but of type {kind}")
    return found


def _named(value: Any, results: dict[str, Any]) -> Any:
    """Replace "@name" by the result of that name, also within lists."""
    if isinstance(value, list):
        return [_named(one, results) for one in value]
    if isinstance(value, dict):
        return {key: _named(one, results) for key, one in value.items()}
    if not (isinstance(value, str) and value.startswith("@")):
        return value
    name, _, variable = value[1:].partition(".")
    found = results[name]
    if not variable:
        return found
    names = found.variables if isinstance(found, xr.Dataset) else found.coords
    one = found[choose(variable, [*names], "@", error=ArgumentsError)]
    if quantity_name(one) not in QUANTITIES or one.name not in found.data_vars:
        return one
    return found[
        [n for n in found if n == variable or f"{n}".startswith(f"{variable}_std")]
    ]


def _write(method: Any, call: dict[str, Any], path: Path) -> None:
    method(**call | {"path": path})


def _outputs(
    step: _Step, source: Any, result: Any
) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """Yield the files of a result, each with the function that writes it."""
    if "save" in step.files:
        path = step.files["save"]
        if not isinstance(result, xr.DataArray | xr.Dataset):
            raise ArgumentsError(f"save: the result is {kind_of(result)}, not data")
        saved = _SAVED[path.suffix]
        yield path, lambda temporary: getattr(xbp.bp(result), saved)(temporary)
    if "figure" in step.files:
        draws = step.one.where == "plot"
        yield (
            step.files["figure"],
            lambda temporary: _write_figure(
                result if draws else _figure(source, result), temporary
            ),
        )


def _write_figure(drawn: Any, path: Path) -> None:
    """Write axes, a figure, or the page of `xbp.plot.explore`."""
    if path.suffix == ".html":
        drawn.save(path)
        return
    pyplot = require("matplotlib.pyplot", "draw figures", "plot")
    drawn.figure.savefig(path, dpi=150)
    pyplot.close(drawn.figure)


def _figure(source: Any, result: Any) -> Any:
    """Draw a result; that of one spectrum with the spectrum."""
    try:
        return xbp.bp(result).plot()
    except QuantityError:
        for kind in kinds_of(result):
            for name in applicable(result, "plot"):
                one = find_operation("plot", name)
                if kind in one.suggested and "signal" in one.takes:
                    return getattr(xbp.bp(source).plot, name)(result)
        raise
