"""The command line: ``xbp demo``, ``xbp convert``, ``xbp glass``, ``xbp report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import xbp
from xbp import demo as _demo
from xbp.core.errors import XbpError

__all__ = ["main"]


_UNITS = ["real", "metal", "lj", "si", "cgs", "electron", "micro", "nano"]
#: What errors advise, as it is typed in a shell.
_OPTIONS = {
    "overwrite=True": "--overwrite",
    "lj='argon'": "--argon",
    "units='metal'": "--units metal",
}


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Show xbp's errors as sentences, not as tracebacks."""
        try:
            return super().invoke(ctx)
        except XbpError as error:
            text = str(error)
            for argument, option in _OPTIONS.items():
                text = text.replace(argument, option)
            raise click.ClickException(text) from error
        except OSError as error:
            # A folder that cannot be made or written, a full disk.
            raise click.ClickException(
                f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
            ) from error


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
    help="Replace files of these names that are not the demo's, too.",
)
def demo(out: Path, overwrite: bool) -> None:
    """Run the whole chain on the embedded glass."""
    click.echo(_demo.run(out, overwrite=overwrite))


@main.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--units", type=click.Choice(_UNITS), help="Units of a LAMMPS dump.")
@click.option(
    "--element",
    "elements",
    multiple=True,
    metavar="TYPE=SYMBOL",
    help="Of a type or name; repeat it.",
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
@click.option("--temperature", metavar="T", help="Of the sample, like '300 K'.")
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
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="netCDF file to make.",
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
@click.option("--composition", metavar="A=0.5,B=0.5", help="Other than the system's.")
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
@click.option("--seed", type=int, default=1, show_default=True)
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
    help="Compare this leaf with the others named; repeat it.",
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
