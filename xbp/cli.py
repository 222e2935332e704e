"""The command line, ``xbp``: each command is one function of the package."""

from __future__ import annotations

import json
import math
import tempfile
import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import xarray as xr

import xbp
from xbp import demo as _demo
from xbp import recipe as _recipe
from xbp.core.errors import XbpError
from xbp.core.operation import RESULTS, kinds_of, next_operations
from xbp.core.schema import symbol_of
from xbp.core.status import diagnostics
from xbp.missing import missing
from xbp.shell import advice, option_value
from xbp.summary import describe

__all__ = ["main"]


_UNITS = ["real", "metal", "lj", "si", "cgs", "electron", "micro", "nano"]


class _Command(click.Command):
    def invoke(self, ctx: click.Context) -> Any:
        """Show xbp's errors as sentences, not as tracebacks."""
        try:
            return super().invoke(ctx)
        except XbpError as error:
            file = ctx.params.get("file", "FILE")
            fix = advice(error.fix, self, str(file))
            shown = XbpError(error.summary, reason=error.reason, fix=fix)
            raise click.ClickException(str(shown)) from error
        except OSError as error:
            # A folder that cannot be made or written, a full disk.
            raise click.ClickException(
                f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
            ) from error


class _Group(click.Group):
    command_class = _Command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List the commands with their whole summaries."""
        rows = [
            (name, (command.help or "").partition("\n\n")[0].replace("\n", " "))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class _Folder(click.Path):
    """A folder by name; a name that a shell left empty is not the current folder."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Refuse an empty name, which a path reads as '.'."""
        if value == "":
            self.fail(
                "the name of the folder is empty; '.' is the current one", param, ctx
            )
        return super().convert(value, param, ctx)


@click.group(cls=_Group)
@click.version_option(xbp.__version__, prog_name="xbp")
def main() -> None:
    """Boson-peak analysis of glasses."""


@main.command()
@click.option(
    "--out",
    type=_Folder(file_okay=False, path_type=Path),
    default=Path("xbp-demo"),
    show_default=True,
    help="Folder for the netCDF file and the figure; those of an earlier demo are "
    "replaced.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    help="Also replace files that the demo did not write.",
)
def demo(out: Path, overwrite: bool) -> None:
    """Run the whole chain on the embedded glass.

    Prints a table, and writes a figure and a netCDF file.
    """
    click.echo(_demo.run(out, overwrite=overwrite))


_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_OPTION = click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of xbp.open_dataset, such as T='300 K'; may be repeated.",
)


def _opened(path: Path, options: tuple[str, ...]) -> xr.Dataset:
    """Open a file with the options of the command line."""
    given: dict[str, Any] = {}
    for option in options:
        name, sign, text = option.partition("=")
        if not (sign and name.isidentifier()) or name == "path":
            raise click.BadParameter(
                f"{option!r} is not like T='300 K'", param_hint="--option"
            )
        given[name] = option_value(name, text)
    return xbp.open_dataset(path, **given)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_OPTION
@_JSON
def info(file: Path, options: tuple[str, ...], as_json: bool) -> None:
    """Show what is in FILE, what is doubtful, and what can be done with it."""
    data = _opened(file, options)
    if as_json:
        click.echo(_json({"file": str(file), **_facts(data)}))
    else:
        click.echo(describe(data))


@main.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@_JSON
def run(recipe: Path, overwrite: bool, as_json: bool) -> None:
    """Run the chain of calls that the TOML file RECIPE lists.

    The page "Without writing Python" of the documentation explains recipes.
    """
    results: dict[str, Any] = {}

    def finished(name: str, result: Any) -> None:
        if not isinstance(result, xr.DataArray | xr.Dataset):
            return
        if as_json:
            results[name] = _facts(result)
        else:
            # What can be called next is for those who write Python.
            lines = describe(result).splitlines()
            own = [line for line in lines if not line.startswith("  next:")]
            click.echo("\n".join([f"{name}: {own[0]}", *own[1:], ""]))

    done = _recipe.run(recipe, overwrite=overwrite, finished=finished)
    if as_json:
        files = [str(path) for path in done.files]
        click.echo(_json({"results": results, "files": files}))
        return
    for path in done.files:
        click.echo(f"wrote {path}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_OPTION
@click.option("--bqe", is_flag=True, help="Show B(Q,E) in place of S(Q,E).")
@click.option("--u2", metavar="U2", help="For --bqe, like '0.014 angstrom^2'.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="HTML page to write; by default a temporary one.",
)
@click.option("--no-browser", is_flag=True, help="Write the page, and open nothing.")
@click.option("--overwrite", is_flag=True, help="Replace the page.")
def explore(
    file: Path,
    options: tuple[str, ...],
    bqe: bool,
    u2: str | None,
    out: Path | None,
    no_browser: bool,
    overwrite: bool,
) -> None:
    """Show the map in FILE with both cuts through a point that is dragged.

    It is a page for a browser, and needs no network. S(Q) of the file is drawn over the
    map.
    """
    data = _opened(file, options)
    sq = data.get(kinds_of(data).get("static_structure_factor", ""))
    if bqe and "reduced_dos" not in kinds_of(data):
        data = data.bp.to_bqe(**({} if u2 is None else {"u2": u2}))
    elif u2 is not None:
        raise click.BadParameter("it is only used with --bqe", param_hint="--u2")
    maps = {
        kind: name
        for kind, name in kinds_of(data).items()
        if {"Q", "E"} <= {*data[name].dims}
    }
    if maps:  # a file of xbp may have several
        shown = maps["reduced_dos"] if bqe else next(iter(maps.values()))
        data = data[[n for n in data if n == shown or str(n).startswith(f"{shown}_")]]
    page = data.bp.plot.explore(sq)
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="xbp-")) / f"{file.stem}.html"
    page.save(out, overwrite=overwrite)
    click.echo(str(out))
    if not no_browser:
        webbrowser.open(out.resolve().as_uri())


def _facts(data: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """Return what is in data, for JSON: no number is written that is not finite."""
    facts: dict[str, Any] = {}
    kinds = kinds_of(data)
    for kind, name in kinds.items():
        if kind in RESULTS:
            facts["table"] = kind
            facts["values"] = _columns(data, RESULTS[kind])
            facts["next"] = [f".bp.{one.call}" for one in next_operations(data, kind)]
            continue
        value = data if isinstance(data, xr.DataArray) else data[name]
        facts.setdefault("signals", []).append(
            {
                "name": name,
                "quantity": kind,
                "symbol": symbol_of(value.assign_attrs(quantity=kind)),
                "units": value.attrs.get("units"),
                "statistics": value.attrs.get("statistics"),
                "ki_over_kf": value.attrs.get("ki_over_kf"),
                "has_std": f"{name}_std" in getattr(data, "data_vars", {}),
                "dims": {str(dim): _axis(value, str(dim)) for dim in value.dims},
                "scalars": {
                    str(key): {"value": _plain(c), "units": c.attrs.get("units")}
                    for key, c in value.coords.items()
                    if not c.ndim
                },
                "next": [f".bp.{one.call}" for one in next_operations(value, kind)],
                "missing": [] if kind == "trajectory" else [*missing(value, data)],
            }
        )
    return facts | {"diagnostics": [asdict(one) for one in diagnostics(data)]}


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)


def _axis(value: xr.DataArray, dim: str) -> dict[str, Any]:
    size = {"size": value.sizes[dim]}
    if dim not in value.coords:
        return size
    axis = value[dim]
    ends = {"first": _plain(axis[0]), "last": _plain(axis[-1])}
    return size | ends | {"units": axis.attrs.get("units")}


def _columns(data: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the columns of a table that have one value, with errors and status."""
    columns = [
        key
        for name in ("status", *names)
        for key in (name, f"{name}_std")
        if key in data and not data[key].ndim
    ]
    return {
        key: {"value": _plain(data[key]), "units": data[key].attrs.get("units")}
        for key in columns
    }


def _plain(value: xr.DataArray) -> Any:
    """Return one value as JSON knows it: null in place of NaN."""
    one = value.item()
    if isinstance(one, float):
        return one if math.isfinite(one) else None
    return one if isinstance(one, int | bool) else str(one)


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--units", type=click.Choice(_UNITS), help="Units of a LAMMPS dump.")
@click.option(
    "--element",
    "elements",
    multiple=True,
    metavar="TYPE=SYMBOL",
    help="Element of an atom type or name; may be repeated.",
)
@click.option("--timestep", metavar="TIME", help="MD time step of a dump, like '2 fs'.")
@click.option(
    "--time-between-frames",
    metavar="TIME",
    help="For files without times, like '20 fs'.",
)
@click.option(
    "--argon", "lj", is_flag=True, help="With --units lj: take the values of argon."
)
@click.option(
    "--topology", type=click.Path(path_type=Path), help="Topology for MDAnalysis."
)
@click.option(
    "--temperature", metavar="T", help="Temperature of the sample, like '300 K'."
)
@click.option(
    "--drop-truncated", is_flag=True, help="Leave out a last frame that is cut short."
)
@click.option("--overwrite", is_flag=True, help="Replace TARGET.")
def convert(
    source: Path,
    target: Path,
    units: str | None,
    elements: tuple[str, ...],
    timestep: str | None,
    time_between_frames: str | None,
    lj: bool,
    topology: Path | None,
    temperature: str | None,
    drop_truncated: bool,
    overwrite: bool,
) -> None:
    """Copy the trajectory SOURCE to TARGET, netCDF or (named *.zarr) Zarr."""
    by_type: dict[int | str, str] = {}
    for given in elements:
        kind, _, symbol = given.partition("=")
        if not kind or not symbol:
            raise click.BadParameter(
                f"{given!r} is not like 1=Zr", param_hint="--element"
            )
        by_type[int(kind) if kind.isdecimal() else kind] = symbol
    xbp.md.convert(
        source,
        target,
        overwrite=overwrite,
        progress=True,
        units=units,
        elements=by_type or None,
        timestep=timestep,
        time_between_frames=time_between_frames,
        lj="argon" if lj else None,
        topology=topology,
        temperature=temperature,
        truncated="drop" if drop_truncated else "error",
    )


@main.command()
@click.argument("system")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File to make: netCDF, or Zarr if it ends in .zarr.",
)
@click.option(
    "--atoms",
    "n_atoms",
    type=int,
    default=2000,
    show_default=True,
    help="Number of atoms.",
)
@click.option("--cooling-rate", default="1e12 K/s", show_default=True, metavar="RATE")
@click.option(
    "--composition",
    metavar="A=0.5,B=0.5",
    help="Composition, if not that of the system.",
)
@click.option(
    "--potential", type=click.Path(path_type=Path), help="File of the potential."
)
@click.option("--melt", metavar="T", help="Temperature of the liquid.")
@click.option("--temperature", metavar="T", help="Temperature of the glass.")
@click.option("--melt-time", default="50 ps", show_default=True, metavar="TIME")
@click.option("--relax-time", default="50 ps", show_default=True, metavar="TIME")
@click.option("--collect-time", default="40 ps", show_default=True, metavar="TIME")
@click.option(
    "--time-between-frames", default="20 fs", show_default=True, metavar="TIME"
)
@click.option("--timestep", metavar="TIME", help="MD time step.")
@click.option(
    "--rng",
    type=int,
    default=1,
    show_default=True,
    help="Seed of the random positions and velocities.",
)
@click.option(
    "--processes", type=int, default=1, show_default=True, help="MPI processes."
)
@click.option(
    "--overwrite", is_flag=True, help="Replace the file, and forget an unfinished run."
)
def glass(system: str, out: Path, composition: str | None, **options: Any) -> None:
    """Make a glass of SYSTEM in LAMMPS.

    kob_andersen, inverse_power, CuZr, SiO2 or ZrCuAl.
    """
    fractions = None
    if composition is not None:
        fractions = {}
        for part in composition.split(","):
            species, _, fraction = part.partition("=")
            try:
                fractions[species.strip()] = float(fraction)
            except ValueError:
                raise click.BadParameter(
                    f"{part!r} is not like Zr=0.46", param_hint="--composition"
                ) from None
    lammps = xbp.md.lammps
    traj = lammps.make_glass(
        system, out, composition=fractions, progress=True, **options
    )
    tg = lammps.glass_transition(lammps.open_thermo(out))
    click.echo(f"{out}: {traj.sizes['atom']} atoms, {traj.sizes['time']} frames")
    if str(tg.status.values) == "ok":
        click.echo(
            f"glass transition at {float(tg.Tg):.0f} +- {float(tg.Tg_std):.0f} K, "
            f"from the {tg.attrs['from']}"
        )


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="HTML page to make.",
)
@click.option(
    "--among",
    multiple=True,
    metavar="LEAF",
    help="Compare this leaf with the others named; may be repeated.",
)
@click.option(
    "--heat-capacity",
    type=click.Choice(["peak", "einstein"]),
    default="peak",
    show_default=True,
    help="Energy that represents a fitted heat capacity.",
)
@click.option("--overwrite", is_flag=True, help="Replace the page.")
def report(
    study: Path, out: Path, among: tuple[str, ...], heat_capacity: Any, overwrite: bool
) -> None:
    """Write the study in the netCDF file STUDY as one self-contained HTML page."""
    tree = xbp.open_study(study)
    if out.exists() and out.samefile(study):
        raise click.BadParameter("the page would replace the study", param_hint="--out")
    xbp.study.report(
        tree, out, among=among or None, heat_capacity=heat_capacity, overwrite=overwrite
    )
    click.echo(f"{out}: {xbp.study.summary(tree).splitlines()[0]}")
