"""Draws the figure of each how-to page from the variables of its own code.

``python docs/make_howto.py [FOLDER]``; the page "Take off what is not phonons" needs the
folder of the measured files that it names.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from one_column import STYLE, save

mpl.use("Agg")
PAGES = Path(__file__).parent / "howto"
Names = dict[str, Any]


def two() -> Any:
    """Return two axes side by side."""
    return plt.subplots(1, 2, figsize=(8.6, 3.3))[1]


def your_data(names: Names) -> None:
    """Draw S(Q) from S(Q,E), and a cut scaled to it."""
    left, right = two()
    names["sq"].bp.plot.cut(ax=left)
    names["fit"].bp.plot.scaling(ax=right)


def figures(names: Names) -> None:
    """Draw a map with its peaks, and a spectrum with its fit."""
    left, right = two()
    b, spectrum, limits = names["b"], names["spectrum"], names["E_range"]
    b.bp.plot.map(names["sq"], left, E_range=("1 meV", "14 meV"), peak=names["peaks"])
    spectrum.bp.plot.peak(spectrum.bp.boson_peak(E_range=limits), right)


def units(names: Names) -> None:
    """Draw one spectrum over meV and over THz."""
    left, right = two()
    Q = ("2.1 1/angstrom", "8.5 1/angstrom")
    for data, ax in ((names["glass"], left), (names["thz"], right)):
        cut = data.bp.to_bqe().bp.cut_Q(Q)
        cut.bp.plot.cut(ax=ax)
        ax.set_xlim(0, 20 if ax is left else 20 / 4.135667696)


def errors(names: Names) -> None:
    """Draw a spectrum without a peak, whose title says why."""
    b = names["glass"].bp.to_bqe().bp.cut_Q(("2.1 1/angstrom", "8.5 1/angstrom"))
    ax = b.bp.plot.peak(b.bp.boson_peak(E_range=("2.4 meV", "12 meV")))
    ax.set_xlim(0, 15)


def neutron_choices(names: Names) -> None:
    """Draw the temperature of each energy, and the elastic line."""
    left, right = two()
    names["balance"].bp.plot.detailed_balance(ax=left)
    names["found"].bp.plot.debye_waller(ax=right)


def u2(names: Names) -> None:
    """Draw the elastic line alone, and over that of the cold sample."""
    left, right = two()
    names["hot"].bp.debye_waller().bp.plot.debye_waller(ax=left)
    names["added"].bp.plot.debye_waller(ax=right)


def background(names: Names) -> None:
    """Draw the correlation with S(Q) once the rest is off."""
    names["r"].bp.plot.correlation()


def extend(names: Names) -> None:
    """Draw the spectrum of the field."""
    names["spectrum"].bp.plot()


TWO_PANELS: tuple[Callable[[Names], None], ...] = (
    your_data,
    figures,
    units,
    neutron_choices,
    u2,
)
ONE_PANEL: tuple[Callable[[Names], None], ...] = (errors, background, extend)


def main(folder: Path | None) -> None:
    """Run the code of each page and draw."""
    for draw in TWO_PANELS:
        draw(run(draw.__name__))
        save(plt.gcf(), f"howto_{draw.__name__}")
    for draw in ONE_PANEL:
        if draw is background and folder is None:
            continue
        draw(run(draw.__name__, folder if draw is background else None))
        save(plt.gcf(), f"howto_{draw.__name__}")


def run(page: str, folder: Path | None = None) -> Names:
    """Run the code of a page in a folder, by default an empty one."""
    names: Names = {"__name__": "page"}
    text = (PAGES / f"{page}.md").read_text()
    with tempfile.TemporaryDirectory() as elsewhere:
        os.chdir(folder or elsewhere)
        for block in re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M):
            exec(compile(block, page, "exec"), names)
    plt.close("all")
    return names


if __name__ == "__main__":
    with plt.style.context(STYLE):
        main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None)
