"""A chain of calls written in a TOML file, for those who do not write Python.

Each step is a method of ``.bp``; its arguments are those of the method, and the history
of each result records them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

import xbp
from xbp.core.errors import (
    ArgumentsError,
    FileFormatError,
    QuantityError,
    XbpError,
    require,
)
from xbp.core.guards import choose
from xbp.core.index import MODULES
from xbp.core.operation import applicable, find_operation, kinds_of
from xbp.io.publish import new_file

__all__ = ["Outcome", "run"]

#: What a step contains besides the arguments of its method.
_OWN = ("do", "on", "name", "save", "figure")
_TABLES = ("data", "step")


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


def run(path: str | Path, *, overwrite: bool = False) -> Outcome:
    """Run a recipe.

    Parameters
    ----------
    path : str or pathlib.Path
        A TOML file. ``[data.NAME]`` has the ``path`` of a file and options of
        `xbp.open_dataset`; ``path = "tutorial:NAME"`` is embedded data. Each
        ``[[step]]`` has ``do``, a method of ``.bp``, and its arguments. ``on`` names
        the data or the step it works on (by default the step before), ``name`` the
        result. ``save`` is a file for it, netCDF or CSV, ``figure`` one for its figure.
        An argument ``"@NAME"`` is another result, ``"@NAME.VARIABLE"`` a variable of
        it. Paths are relative to the recipe, those that a method writes to as well.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    Outcome

    Raises
    ------
    FileFormatError
        If the recipe is not valid TOML, or has unknown tables.
    ArgumentsError
        If a name is unknown.
    XbpError
        As the steps raise it, with the number of the step.
    """
    where = Path(path)
    try:
        recipe = tomllib.loads(where.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{where} is not valid TOML: {error}") from error
    for table in recipe:
        choose(table, _TABLES, f"the table of {where.name}", error=FileFormatError)
    data, steps = recipe.get("data", {}), recipe.get("step", [])
    if not (isinstance(data, dict) and data and isinstance(steps, list)):
        raise FileFormatError(
            f"{where} has no data, or steps that are not a list",
            fix='write [data.glass], path = "glass.nc", and [[step]] for each step',
        )
    done = Outcome(tuple(data))
    for name, options in data.items():
        done.results[name] = _opened(name, options, where.parent)
    before = next(reversed(done.results)) if len(done.results) == 1 else None
    for number, step in enumerate(steps, 1):
        if not isinstance(step, dict):
            raise FileFormatError(f"step {number} is not a table", fix="write [[step]]")
        title = str(step.get("name", f"step {number}"))
        try:
            if title in done.results:
                raise ArgumentsError(
                    f"there is another {title!r}", fix='name = "another"'
                )
            call, files = _call(step, done.results, where.parent, overwrite)
            source, result = _result(step, call, done.results, before)
            done.results[title] = result
            files += _written(step, source, result, where.parent, overwrite)
            done.files += files
        except XbpError as error:
            # The same kind of error, with the place.
            raise type(error)(
                f"step {number}, {step.get('do', '')}: {error.summary}",
                reason=error.reason,
                fix=error.fix,
            ) from error
        before = title
    return done


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


def _call(
    step: dict[str, Any], results: dict[str, Any], folder: Path, overwrite: bool
) -> tuple[dict[str, Any], list[Path]]:
    """Return the arguments of a step, and the files that its method itself writes."""
    if "do" not in step:
        raise ArgumentsError("it has no method", fix='do = "to_bqe"')
    method: str = choose(step["do"], MODULES["data"], "do", error=ArgumentsError)
    call = {k: _named(v, results) for k, v in step.items() if k not in _OWN}
    if "overwrite" in call:
        # Whoever runs a recipe decides this, not who wrote it.
        raise ArgumentsError(
            "a recipe does not decide about overwrite=",
            fix="xbp run recipe.toml --overwrite",
        )
    known = find_operation("data", method).signature.parameters
    if "overwrite" not in known:
        return call, []
    call["overwrite"] = overwrite
    written = {key: _path(call, key, folder) for key in ("path", "out") if key in call}
    return call | written, list(written.values())


def _path(table: dict[str, Any], key: str, folder: Path) -> Path:
    name = table[key]
    if not isinstance(name, str):
        raise ArgumentsError(
            f"{key} = {name!r} is not the name of a file", fix=f'{key} = "b.nc"'
        )
    return folder / name


def _result(
    step: dict[str, Any],
    call: dict[str, Any],
    results: dict[str, Any],
    before: str | None,
) -> tuple[Any, Any]:
    """Return the data of a step, and its result."""
    if "on" not in step and before is None:
        raise ArgumentsError(
            "it does not name its data", fix=f'on = "{next(iter(results))}"'
        )
    source = _named(f"@{step.get('on', before)}", results)
    if isinstance(source, list | type(None)):
        raise ArgumentsError(f"{step.get('on', before)!r} is not data")
    return source, getattr(xbp.bp(source), step["do"])(**call)


def _named(value: Any, results: dict[str, Any]) -> Any:
    """Replace "@name" by the result of that name, also within a list."""
    if isinstance(value, list):
        return [_named(one, results) for one in value]
    if not (isinstance(value, str) and value.startswith("@")):
        return value
    name, _, variable = value[1:].partition(".")
    found = results[choose(name, results, "@", error=ArgumentsError)]
    if not variable:
        return found
    return found[choose(variable, list(found.variables), "@", error=ArgumentsError)]


def _written(
    step: dict[str, Any], source: Any, result: Any, folder: Path, overwrite: bool
) -> list[Path]:
    files = []
    if "save" in step:
        path = _path(step, "save", folder)
        as_table = path.suffix == ".csv"
        method = "to_csv" if as_table else "to_netcdf"
        getattr(xbp.bp(result), method)(path, overwrite=overwrite)
        files.append(path)
    if "figure" in step:
        path = _path(step, "figure", folder)
        pyplot = require("matplotlib.pyplot", "the figure is drawn with it", "plot")
        figure = _figure(source, result).figure
        with new_file(path, overwrite=overwrite) as (temporary, _):
            figure.savefig(temporary, format=path.suffix[1:] or "png", dpi=150)
        pyplot.close(figure)
        files.append(path)
    return files


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
