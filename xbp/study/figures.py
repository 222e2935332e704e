"""The figure of a study.

Every leaf with its peak and Debye level, and all of them on one reduced axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xbp.analysis.fitted_dos import fitted_dos
from xbp.core.errors import QuantityError
from xbp.core.format import with_error
from xbp.core.operation import operation
from xbp.core.signal import is_computed, read
from xbp.core.status import OK
from xbp.plot import heat_capacity as draw_heat_capacity
from xbp.plot import peak as draw_peak
from xbp.plot.curves import height_without_outliers, limit_height
from xbp.plot.heat_capacity import peak_of
from xbp.plot.style import COLORS, GREEN, GREY, ORANGE, label, pyplot, set_title
from xbp.reduction import to_bqe
from xbp.reduction.dos_area import area_of_all_modes
from xbp.study.compare import EinsteinOr, compare
from xbp.study.leaf import Leaf, leaves_of
from xbp.summary.energies import is_poor_heat_capacity
from xbp.summary.numbers import UNLIKELY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

#: A panel reaches to this multiple of the peak energy, and its height is scaled to what
#: is beyond this part of it.
_REACH, _FROM = 4.0, 0.3
#: What is not compared.
_LEFT_OUT = "#AAAAAA"
#: Of energies that come without a curve; more than a few are not named beside every
#: curve.
_STATED, _FEW = ("#CC79A7", "#56B4E9", "#E69F00"), 3
#: Where there is no peak, to this energy in meV.
_WITHOUT = 25.0
#: More leaves make a figure that no one reads and no program draws.
_MOST = 100


@operation(takes="study", where="study")
def plot(
    study: xr.DataTree,
    among: Sequence[str] | None = None,
    *,
    heat_capacity: EinsteinOr = "peak",
    figure: Figure | None = None,
) -> Figure:
    """Draw a study: a panel for each leaf that has a curve, its energies, and all curves over E/E_BP.

    A panel in which nothing would be seen is left out, as the last of a study of
    energies alone.

    A panel shows B(E) with the peak fitted, the Debye level where it is known, and the
    energies that are stated; of a fitted heat capacity (C − γT)/T³ with its fit and the
    Debye part (or g/E², where the table of the fit holds no data). The panel of
    energies shows every leaf, those without a peak by their status. Curves on the
    reduced axis are B(E)/B(E_BP) over E/E_BP, dashed where they are of a formula: a
    model, or the g/E² of a fit to C_p. Errors are those of `compare`, with misfit and
    systematic, everywhere.

    Parameters
    ----------
    study : xarray.DataTree
        From `new_study`.
    among, heat_capacity
        As for `compare`: what the mean is of, and which energy stands for a heat
        capacity.
    figure : matplotlib.figure.Figure, optional
        Where to draw.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    QuantityError
        If it is no study, or has more than 100 leaves.
    MissingDependencyError
        If matplotlib is not installed.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Fig. 2.
    """
    if figure is not None and not hasattr(figure, "subplots"):
        raise QuantityError(
            f"figure is a {type(figure).__name__}",
            reason="its panels are drawn on a whole figure",
            fix="figure=plt.figure()",
        )
    leaves = leaves_of(study)
    if len(leaves) > _MOST:
        raise QuantityError(
            f"the study has {len(leaves)} leaves",
            reason=f"a figure has room for {_MOST}",
            fix="make a study of those that are to be seen",
        )
    table = compare(study, among, heat_capacity=heat_capacity)
    curves = {
        leaf.name: curve
        for leaf in leaves
        if (curve := _curve(leaf)) is not None and _has_numbers(curve)
    }
    reduced = _on_reduced_axis(
        [leaf for leaf in leaves if leaf.name in curves], curves, table
    )
    rows, columns = _grid(len(curves) + 1 + bool(reduced))
    canvas = (
        pyplot().figure(figsize=(3.4 * columns, 2.9 * rows), layout="constrained")
        if figure is None
        else figure
    )
    axes = canvas.subplots(rows, columns, squeeze=False).ravel()
    for leaf, ax in zip(
        [leaf for leaf in leaves if leaf.name in curves], axes, strict=False
    ):
        _panel(ax, leaf, curves[leaf.name], table.sel(leaf=leaf.name))
        _stated(ax, leaf, table)
    _energies(axes[len(curves)], table)
    if reduced:
        _reduced(axes[len(curves) + 1], reduced)
    for ax in axes[len(curves) + 1 + bool(reduced) :]:
        ax.remove()
    return canvas


def _grid(panels: int) -> tuple[int, int]:
    """Return rows and columns for so many panels.

    Rows as even as can be, and no panel alone in the last.

    Examples
    --------
    >>> [_grid(panels) for panels in (1, 2, 3, 4, 5, 7, 8, 9, 10)]
    [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (2, 4), (2, 4), (3, 3), (3, 4)]
    """
    if panels in (1, 2, 4):
        return -(-panels // 2), min(panels, 2)
    columns = min(
        (3, 4), key=lambda columns: (panels % columns == 1, -panels % columns, columns)
    )
    return -(-panels // columns), columns


def _plain(name: str) -> str:
    """Return a name from a file as text that matplotlib takes for no formula."""
    return name.replace("\\", "/").replace("$", "\\$")


def _curve(leaf: Leaf) -> xr.Dataset | None:
    """Return B(E) of a leaf, or g/E² of its fit; None where there is none."""
    if leaf.kind != "fit_heat_capacity":
        return leaf.spectrum()
    if str(leaf.data.status.values) != OK:
        return None
    top = (
        _REACH * float(leaf.data.energy_E)
        if str(leaf.data.energy_E.attrs["units"]) == "meV"
        else 25.0
    )
    dos: xr.Dataset = fitted_dos(leaf.data, np.linspace(top / 40, top, 400))
    b: xr.Dataset = to_bqe(dos)
    return b


def _has_numbers(curve: xr.Dataset) -> bool:
    return bool(np.isfinite(read(curve, "reduced_dos").value).any())


def _panel(ax: Axes, leaf: Leaf, curve: xr.Dataset, row: xr.Dataset) -> None:
    value = read(curve, "reduced_dos").value
    if leaf.kind == "fit_heat_capacity" and "C" in leaf.data:
        draw_heat_capacity(leaf.data, ax=ax)
        ax.legend(frameon=False, fontsize="x-small")
        set_title(ax, _plain(leaf.name), _of_heat_capacity(leaf.data, row))
        return
    if leaf.kind == "fit_heat_capacity":
        ax.plot(value.E, value, color=COLORS[0], lw=1.6)
        for energy, colour, text in (
            (row.dos_peak, GREY, "maximum of $g/E^2$"),
            (row.einstein_energy, ORANGE, "$k_Bθ_E$"),
        ):
            if np.isfinite(energy):
                ax.axvline(float(energy), color=colour, lw=0.9, ls="--", label=text)
        ax.set(xlabel=label("$E$", "meV"), title="")
    else:
        draw_peak(curve, leaf.peak(curve), ax)
    at = float(row.energy)
    top = (
        _REACH * at
        if np.isfinite(at)
        else min(float(value.E[-1]), max(_WITHOUT, 2 * float(value.E[0])))
    )
    bottom = _FROM * at if np.isfinite(at) else 0.0
    shown = value.where((bottom < value.E) & (top >= value.E))
    level = _debye_level(leaf, curve)
    # Without a peak, to the top of what no elastic line outshines.
    high = float(shown.max())
    if not np.isfinite(at):
        high = height_without_outliers(shown, np.zeros(shown.size))
    if level is not None:
        ax.axhline(level, color=GREEN, lw=1.2, ls="-.", label="Debye level")
        high = max(high, level)
    ax.set_xlim(0, top)
    if np.isfinite(high) and high > 0:
        drawn = value.where((value.E > 0) & (top >= value.E))
        limit_height(ax, drawn, 1.25 * high, (float(drawn.min()), float(drawn.max())))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="x-small")
    said = ax.get_title()
    if np.isfinite(at) and leaf.kind != "fit_heat_capacity":
        # With the error that the table and the panel of energies have, not that of the
        # fit alone.
        quality = said.partition("\n")[2]
        said = (
            f"$E_\\mathrm{{BP}}$ = {with_error(at, float(row.energy_std))} "
            f"meV\n{quality}"
        )
    if leaf.kind == "fit_heat_capacity":
        said = _of_heat_capacity(leaf.data, row)
    set_title(ax, _plain(leaf.name), said)


def _of_heat_capacity(table: xr.Dataset, row: xr.Dataset) -> str:
    """Write the energy that stands for a heat capacity, with the error of the study, and whether its fit is poor."""
    if str(table.status.values) != OK:
        return f"no fit: {table.status.values}"
    said = peak_of(table)
    if np.isfinite(row.energy):
        name = str(row.method.values).replace("g/E2", "$g/E^2$")
        said = f"{name}: {with_error(float(row.energy), float(row.energy_std))} meV"
    return f"{said}{' (poor)' if is_poor_heat_capacity(table) else ''}"


def _stated(ax: Axes, leaf: Leaf, table: xr.Dataset) -> None:
    """Mark the energies that come without a curve, with their errors, in a panel over E."""
    if leaf.kind == "fit_heat_capacity" and "C" in leaf.data:
        return  # over temperature
    stated = table.isel(leaf=(table.kind == "stated").values)
    inside = stated.isel(leaf=(stated.energy <= ax.get_xlim()[1]).values)
    names = inside.leaf.values.tolist()
    for i, name in enumerate(names):
        row = inside.sel(leaf=name)
        energy, std = float(row.energy), float(row.energy_std)
        # Many are told apart in the panel of energies.
        said = (
            f"{_plain(name)} (stated)"
            if len(names) <= _FEW
            else "stated energies"
            if i == 0
            else None
        )
        colour = _STATED[i % len(_STATED)]
        if np.isfinite(std):
            ax.axvspan(
                energy - std, energy + std, color=colour, alpha=0.15, lw=0, zorder=0
            )
        ax.axvline(
            energy, color=colour, lw=1.1, ls=(0, (5, 1, 1, 1)), label=said, zorder=1
        )
    if names:
        ax.legend(frameon=False, fontsize="x-small")


def _debye_level(leaf: Leaf, curve: xr.Dataset) -> float | None:
    """Return g/E² of the sound waves where it is known, in the units of the curve."""
    if leaf.kind == "fit_heat_capacity":
        return float(leaf.data.debye_level) if "debye_level" in leaf.data else None
    if leaf.option("debye_energy") is None:
        return None
    # The leaf is g(E), on whose scale all modes have this area.
    return (
        area_of_all_modes(read(leaf.data, "vibrational_dos"))
        * 3
        / float(leaf.option("debye_energy")) ** 3
    )


def _energies(ax: Axes, table: xr.Dataset) -> None:
    places = np.arange(table.sizes["leaf"])[::-1]
    for place, name in zip(places, table.leaf.values.tolist(), strict=True):
        row = table.sel(leaf=name)
        if np.isfinite(row.energy):
            std = float(row.energy_std)
            error = std if np.isfinite(std) else None
            colour = COLORS[0] if int(row.compared) else _LEFT_OUT
            ax.errorbar(
                float(row.energy),
                place,
                xerr=error,
                fmt="o",
                ms=4,
                color=colour,
                capsize=2,
            )
        else:
            ax.text(
                0.5,
                place,
                str(row.status.values),
                transform=ax.get_yaxis_transform(),
                ha="center",
                va="center",
                color=GREY,
                bbox={"fc": "white", "ec": "none", "pad": 1},
            )
    mean, std = float(table.mean_energy), float(table.mean_energy_std)
    if float(table.p_value) < UNLIKELY:
        ax.set_title(
            f"not one energy: p = {float(table.p_value):.1g}", fontsize="small"
        )
    elif np.isfinite(mean) and int(table.n_energies) > 1:
        ax.axvspan(mean - std, mean + std, color=ORANGE, alpha=0.2, lw=0)
        ax.axvline(mean, color=ORANGE, lw=1)
        left_out = int((table.energy.notnull() & (table.compared == 0)).sum())
        said = (
            f"\nof {int(table.n_energies)}, without the grey ones" if left_out else ""
        )
        ax.set_title(f"mean {with_error(mean, std)} meV{said}", fontsize="small")
    # They may be larger than those above the curves.
    note = (
        "errors: statistical, misfit, systematic"
        if (table.energy_std > 1.01 * table.statistical_std).any()
        else ""
    )
    ax.set_yticks(places, [_plain(name) for name in table.leaf.values.tolist()])
    ax.set_ylim(-0.7, places.max() + 0.7)
    ax.set_xlabel("\n".join(filter(None, (label(r"$E_\mathrm{BP}$", "meV"), note))))


def _on_reduced_axis(
    leaves: list[Leaf], curves: dict[str, xr.Dataset], table: xr.Dataset
) -> list[tuple[str, xr.DataArray, bool]]:
    """Return what has a peak to be scaled by.

    Its name, the curve over E/E_BP, and whether it is of a formula.
    """
    scaled = []
    for leaf in leaves:
        row = table.sel(leaf=leaf.name)
        # A curve is scaled by its own maximum, which is not the mean of Einstein modes.
        at = float(row.dos_peak) if np.isfinite(row.dos_peak) else float(row.energy)
        value = read(curves[leaf.name], "reduced_dos").value
        if not (
            np.isfinite(row.energy)
            and np.isfinite(at)
            and float(value.E[0]) <= at <= float(value.E[-1])
        ):
            continue
        height = float(value.interp(E=at))
        if np.isfinite(height) and height > 0:
            # What is a formula is not to be taken for what was measured.
            fitted = leaf.kind == "fit_heat_capacity"
            said = (
                " (fit to $C_p$)"
                if fitted
                else " (model)"
                if is_computed(value)
                else ""
            )
            value = (
                value.where(_FROM * at < value.E) / height
            )  # below, there is the elastic line
            scaled.append(
                (
                    _plain(leaf.name) + said,
                    value.assign_coords(E=value.E / at),
                    bool(said),
                )
            )
    return scaled


def _reduced(ax: Axes, scaled: list[tuple[str, xr.DataArray, bool]]) -> None:
    for i, (name, curve, formula) in enumerate(scaled):
        ax.plot(
            curve.E,
            curve,
            lw=1.3,
            ls="--" if formula else "-",
            color=COLORS[i % len(COLORS)],
            label=name,
        )
    # Room for the legend above the curves, as far as that goes.
    top = 1.3 + 0.15 * min(len(ax.lines), 6)
    ax.set(
        xlim=(0, _REACH), ylim=(0, top), xlabel=r"$E/E_\mathrm{BP}$", ylabel=r"$B(E)/B(E_\mathrm{BP})$",
        title="reduced axis",
    )  # fmt: skip
    ax.title.set_fontsize("small")
    ax.legend(frameon=False, fontsize="x-small")
