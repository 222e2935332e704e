"""Titles: the numbers of a fit and how good it is, in lines as long as the figure is wide."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xbp.core.format import percent, with_error
from xbp.plot.axes import power_of, units_label
from xbp.summary.numbers import is_poor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["energy_of", "entitle", "quality", "systematic_of", "value_of"]

#: In inches: what a letter of a small title takes, and what the numbers and label of
#: the y axis do beside it.
_LETTER, _BESIDE = 0.068, 0.7
#: What stands in a formula for one letter or for none.
_COMMAND, _SET = re.compile(r"\\mathrm|\\text"), re.compile(r"\\[a-zA-Z]+|[${}_^\\]")


def entitle(axes: Axes, *lines: str) -> None:
    """Set the title of axes, small, its lines broken where they would be wider than the axes and be cut off.

    A line is broken between words, of which a formula is one.
    """
    spec = axes.get_subplotspec()
    share = 1.0 if spec is None else len(spec.colspan) / spec.get_gridspec().ncols
    inches = axes.figure.bbox.width / axes.figure.dpi * share - _BESIDE
    most = max(int(inches / _LETTER), 20)
    whole = "\n".join(filter(None, lines))
    axes.set_title(
        "\n".join(_broken(line, most) for line in whole.split("\n")), fontsize="small"
    )


def _broken(line: str, most: int) -> str:
    """Break a line between words where it is longer than so many letters as they are seen."""
    if len(_seen(line)) <= most:
        return line
    # Formulas without their blanks and commands, in their places until the lines are
    # known.
    formulas = re.findall(r"\$[^$]*\$", line)
    stand_ins = [_seen(formula).replace(" ", "") or "x" for formula in formulas]
    marked = line
    for i, (formula, short) in enumerate(zip(formulas, stand_ins, strict=True)):
        marked = marked.replace(formula, f"{chr(0xE000 + i)}{short[1:]}", 1)
    # A number stays with its error.
    marked = marked.replace(" ± ", "\xa0±\xa0")
    broken = "\n".join(
        textwrap.wrap(marked, most, break_long_words=False, break_on_hyphens=False)
    )
    for i, (formula, short) in enumerate(zip(formulas, stand_ins, strict=True)):
        broken = broken.replace(f"{chr(0xE000 + i)}{short[1:]}", formula, 1)
    return broken.replace("\xa0", " ")


def _seen(text: str) -> str:
    """Return about the letters that are seen of a text with formulas."""
    return _SET.sub(lambda found: "x" if found[0].startswith("\\") and len(found[0]) > 1 else "",
                    _COMMAND.sub("", text))  # fmt: skip


def quality(table: xr.Dataset) -> str:
    """Write how well a curve fits.

    Reduced chi-squared, or the residual where no errors are known; and "(poor)".
    """
    if "chi2_reduced" in table and np.isfinite(chi2 := float(table.chi2_reduced)):
        said = (
            f"$\\chi^2_\\mathrm{{red}}$ = "
            f"{f'{chi2:.3g}' if chi2 < 1000 else f'{chi2:.0f}'}"
        )
    elif "relative_residual" in table and np.isfinite(
        rms := float(table.relative_residual)
    ):
        said = f"rms residual {percent(rms)}"
    else:
        return ""
    return f"{said}{' (poor)' if is_poor(table) else ''}"


def energy_of(table: xr.Dataset, name: str = "energy") -> str:
    """Write an energy with its error, its units, and of a scan what the choice of range and shape does to it.

    Examples
    --------
    >>> scan = {"energy": 5.5, "energy_std": 0.02, "systematic": 0.4, "scan_energy": ("range", [5.1, 5.9])}
    >>> table = xr.Dataset(scan)
    >>> table.energy.attrs["units"] = "meV"
    >>> energy_of(table), energy_of(table[["energy", "energy_std"]])
    ('5.500 ± 0.020 ± 0.4 (range) meV', '5.500 ± 0.020 meV')
    """
    said, spread = (
        with_error(float(table[name]), float(table[f"{name}_std"])),
        systematic_of(table, name),
    )
    if spread:
        tried = [
            what
            for dim, what in (("range", "range"), ("method", "shape"))
            if table.scan_energy.sizes.get(dim, 1) > 1
        ]
        said += f" ± {spread:.2g} ({', '.join(tried)})"
    return f"{said} {units_label(str(table[name].attrs['units']))}"


def systematic_of(table: xr.Dataset, name: str = "energy") -> float:
    """Return the systematic error that a scan found of an energy.

    0 of one fit, or where one fit alone was good.
    """
    key = {"energy": "systematic", "energy_E": "systematic_E"}[name]
    spread = float(table[key]) if key in table else np.nan
    return spread if np.isfinite(spread) else 0.0


def value_of(table: xr.Dataset, name: str) -> str:
    """Write a number of a table with its error and units."""
    value, std = float(table[name]), float(table.get(f"{name}_std", np.nan))
    units = units_label(str(table[name].attrs.get("units", "1")))
    power = power_of(value)
    # What was held has no error.
    if std == 0:
        number = f"{value / 10.0**power:.4g}".replace("-", "−")
    else:
        number = with_error(value / 10.0**power, std / 10.0**power)
        number = f"({number})" if power and "±" in number else number
    ten = f"10$^{{{power}}}$" if power else ""
    return " ".join(
        part for part in (number, ten, units, "(fixed)" if std == 0 else "") if part
    )
