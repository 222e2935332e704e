"""The command line: ``xbp demo``."""

from __future__ import annotations

from pathlib import Path

import click

import xbp
from xbp import demo as _demo
from xbp.errors import XbpError

__all__ = ["main"]


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Show xbp's errors as sentences, not as tracebacks."""
        try:
            return super().invoke(ctx)
        except XbpError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group)
@click.version_option(xbp.__version__, prog_name="xbp")
def main() -> None:
    """Boson-peak analysis of glasses."""


@main.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("xbp-demo"),
    show_default=True,
    help="Folder for the netCDF file and the figure.",
)
def demo(out: Path) -> None:
    """Run the whole chain on the embedded glass."""
    click.echo(_demo.run(out))
