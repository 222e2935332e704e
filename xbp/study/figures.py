"""The figure of a study: every leaf with its peak, and all of them on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.analysis.heat_capacity import fitted_dos
from xbp.core.conditions import dimension_of
from xbp.core.errors import QuantityError, kind_of
from xbp.core.guards import require_whole
from xbp.core.numbers import with_error
from xbp.core.operation import operation
from xbp.core.signal import is_computed, read
from xbp.core.status import Status, diagnostics, is_poor
from xbp.models.dimension import debye_level
from xbp.plot import heat_capacity as draw_heat_capacity
from xbp.plot import peak as draw_peak
from xbp.plot.axes import show_legend
from xbp.plot.heights import height_without_outliers, limit_height
from xbp.plot.style import COLORS, GREEN, GREY, ORANGE, label, pyplot, set_title
from xbp.plot.tables import peak_of
from xbp.reduction import to_bqe
from xbp.reduction.dos_area import area_of_all_modes
from xbp.study.compare import EinsteinOr, compare
from xbp.study.leaf import Leaf, leaves_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

#: A panel and the reduced axis reach to this multiple of the peak energy; their height
#: is scaled to what is beyond this part of it.
_REACH, _FROM = 4.0, 0.3


@operation(takes="study", where="study")
def plot(
    study: xr.DataTree,
    among: Sequence[str] | None = None,
    *,
    heat_capacity: EinsteinOr = "peak",
    columns: int | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw a study: a panel for each curve, the energies, and all curves over E/E_BP.

    Panels that would be empty are left out.

    The panel of a spectrum shows B(E) with the fitted peak, the Debye level if it is
    known, and energies from the literature. That of a fitted heat capacity shows
    (C − γT)/T³ with its fit and the Debye part (or g/E², if the table of the fit
    contains no data). The panel of energies shows every leaf; a leaf without a peak has
    its status instead. On the reduced axis are B(E)/B(E_BP) over E/E_BP, dashed if the
    curve is a formula: a model, or the g/E² of a fit to C_p. All errors are those of
    `compare`.

    Parameters
    ----------
    study : xarray.DataTree
        From `new_study`.
    among, heat_capacity
        As for `compare`: the leaves from which the mean is computed, and which energy
        of a heat capacity is compared.
    columns : int, optional
        Number of panels beside one another; by default three or four.
    figure : matplotlib.figure.Figure, optional
        The figure to draw in; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    QuantityError
        If `study` is not a study, or has more than 100 leaves.
    MissingDependencyError
        If matplotlib is not installed.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Fig. 2.
    """
    if figure is not None and not hasattr(figure, "subplots"):
        raise QuantityError(
            f"figure is {kind_of(figure)}, not one of matplotlib",
            fix="figure=plt.figure()",
        )
    leaves = leaves_of(study)
    if len(leaves) > 100:
        raise QuantityError(
            f"the study has {len(leaves)} leaves; a figure has room for 100",
            fix="draw a study of some of them",
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
    panels = len(curves) + 1 + bool(reduced)
    rows, wide = _grid(panels)
    if columns is not None:
        wide = require_whole(columns, "columns", least=1)
        rows = -(-panels // wide)
    panel = 3.4 if wide == 1 else 2.87  # three are as wide as a page
    canvas = (
        pyplot().figure(figsize=(panel * wide, 2.8 * rows), layout="constrained")
        if figure is None
        else figure
    )
    axes = canvas.subplots(rows, wide, squeeze=False).ravel()
    for leaf, ax in zip(
        [leaf for leaf in leaves if leaf.name in curves], axes, strict=False
    ):
        _panel(ax, leaf, curves[leaf.name], table.sel(leaf=leaf.name))
        _mark_stated(ax, leaf, table)
    _draw_energies(axes[len(curves)], table)
    if reduced:
        _draw_reduced(axes[len(curves) + 1], reduced)
    for ax in axes[len(curves) + 1 + bool(reduced) :]:
        ax.remove()
    for ax in canvas.axes:  # a long label is not cut at the height of a panel
        ax.set_xlabel(ax.get_xlabel(), fontsize="small")
        ax.set_ylabel(ax.get_ylabel(), fontsize="small")
        ax.tick_params(labelsize="small")
    return canvas


def _grid(panels: int) -> tuple[int, int]:
    """Return rows and columns for panels, so that no panel is alone in the last row.

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
    """Write the name of a leaf for people, never as a formula."""
    return name.replace("_", " ").replace("\\", "/").replace("$", "\\$")


def _curve(leaf: Leaf) -> xr.Dataset | None:
    """Return B(E) of a leaf, or g/E² of its fit, or None."""
    if leaf.kind != "fit_heat_capacity":
        return leaf.spectrum()
    if str(leaf.data.status.values) != Status.OK:
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
        show_legend(ax, fontsize="x-small")
        set_title(ax, _plain(leaf.name), _heat_capacity_title(leaf.data, row))
        return
    if leaf.kind == "fit_heat_capacity":
        ax.plot(value.E, value, color=COLORS[0], lw=1.6)
        for energy, color, text in (
            (row.dos_peak, GREY, "maximum of $g/E^2$"),
            (row.einstein_energy, ORANGE, "$k_Bθ_E$"),
        ):
            if np.isfinite(energy):
                ax.axvline(float(energy), color=color, lw=0.9, ls="--", label=text)
        ax.set(xlabel=label("$E$", "meV"), title="")
    else:
        draw_peak(curve, leaf.peak(curve), ax)
    at = float(row.energy)
    top = (
        _REACH * at
        if np.isfinite(at)
        else min(float(value.E[-1]), max(25.0, 2 * float(value.E[0])))
    )
    bottom = _FROM * at if np.isfinite(at) else 0.0
    shown = value.where((bottom < value.E) & (top >= value.E))
    level = _debye_level(leaf, curve)
    # Without a peak, the elastic line does not set the height.
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
    show_legend(ax, fontsize="x-small")
    title = ax.get_title()
    if leaf.kind == "fit_heat_capacity":
        title = _heat_capacity_title(leaf.data, row)
    elif np.isfinite(at):
        # With the error of `compare`, not that of the fit alone.
        energy = with_error(at, float(row.energy_std))
        quality = title.partition("\n")[2]
        title = f"$E_\\mathrm{{BP}}$ = {energy} meV\n{quality}"
    set_title(ax, _plain(leaf.name), title)


def _heat_capacity_title(table: xr.Dataset, row: xr.Dataset) -> str:
    """Format the energy of a heat capacity with its error from `compare`."""
    if str(table.status.values) != Status.OK:
        return f"no fit: {table.status.values}"
    text = peak_of(table)
    if np.isfinite(row.energy):
        name = str(row.method.values).replace("g/E2", "$g/E^2$")
        text = f"{name}: {with_error(float(row.energy), float(row.energy_std))} meV"
    return f"{text}{' (poor)' if is_poor(table) else ''}"


def _mark_stated(ax: Axes, leaf: Leaf, table: xr.Dataset) -> None:
    """Mark the energies from the literature, with their errors, in a panel over E."""
    if leaf.kind == "fit_heat_capacity" and "C" in leaf.data:
        return  # over temperature
    stated = table.isel(leaf=(table.kind == "stated").values)
    inside = stated.isel(leaf=(stated.energy <= ax.get_xlim()[1]).values)
    names = inside.leaf.values.tolist()
    few = len(names) <= 3  # many are named in the panel of energies
    for i, name in enumerate(names):
        energy, std = (
            float(inside[k].sel(leaf=name)) for k in ("energy", "energy_std")
        )
        text = None if i else "stated energies"
        color = COLORS[3 + i % 3]
        if np.isfinite(std):
            band: dict[str, Any] = {"color": color, "alpha": 0.15, "lw": 0, "zorder": 0}
            ax.axvspan(energy - std, energy + std, **band)
        line: dict[str, Any] = {"color": color, "lw": 1.1, "ls": (0, (5, 1, 1, 1))}
        text = f"{_plain(name)} (stated)" if few else text
        ax.axvline(energy, label=text, zorder=1, **line)
    if names:
        show_legend(ax, fontsize="x-small")


def _debye_level(leaf: Leaf, curve: xr.Dataset) -> float | None:
    """Return the Debye g/E² of the sound waves in the units of the curve, if known."""
    if leaf.kind == "fit_heat_capacity":
        return float(leaf.data.debye_level) if "debye_level" in leaf.data else None
    if leaf.option("debye_energy") is None:
        return None
    area = area_of_all_modes(read(leaf.data, "vibrational_dos"))
    energy = float(leaf.option("debye_energy"))
    return area * debye_level(energy, dimension_of(curve.B))


def _draw_energies(ax: Axes, table: xr.Dataset) -> None:
    places = np.arange(table.sizes["leaf"])[::-1]
    for place, name in zip(places, table.leaf.values.tolist(), strict=True):
        row = table.sel(leaf=name)
        energy, std = float(row.energy), float(row.energy_std)
        if np.isfinite(energy):
            color = COLORS[0] if int(row.compared) else "#AAAAAA"
            style: dict[str, Any] = {"fmt": "o", "ms": 4, "color": color, "capsize": 2}
            ax.errorbar(energy, place, xerr=std if np.isfinite(std) else None, **style)
        else:
            box = {"fc": "white", "ec": "none", "pad": 1}
            at = ax.get_yaxis_transform()
            middle: dict[str, Any] = {"ha": "center", "va": "center", "color": GREY}
            text = str(row.status.values)
            ax.text(0.5, place, text, transform=at, bbox=box, **middle)
    mean, std = float(table.mean_energy), float(table.mean_energy_std)
    if any(one.code == "energies_differ" for one in diagnostics(table)):
        ax.set_title(
            f"not one energy: p = {float(table.p_value):.1g}", fontsize="small"
        )
    elif np.isfinite(mean) and int(table.n_energies) > 1:
        ax.axvspan(mean - std, mean + std, color=ORANGE, alpha=0.2, lw=0)
        ax.axvline(mean, color=ORANGE, lw=1)
        left_out = int((table.energy.notnull() & (table.compared == 0)).sum())
        some = f"\nof {int(table.n_energies)}, without the grey ones"
        title = f"mean {with_error(mean, std)} meV{some if left_out else ''}"
        ax.set_title(title, fontsize="small")
    # They may be larger than those above the curves.
    if (table.energy_std > 1.01 * table.statistical_std).any():
        note = "errors with misfit and systematic ones"
        ax.set_title(f"{ax.get_title()}\n{note}".strip(), fontsize="small")
    ax.set_yticks(places, [_plain(name) for name in table.leaf.values.tolist()])
    ax.set_ylim(-0.7, places.max() + 0.7)
    ax.set_xlabel(label(r"$E_\mathrm{BP}$", "meV"))


def _on_reduced_axis(
    leaves: list[Leaf], curves: dict[str, xr.Dataset], table: xr.Dataset
) -> list[tuple[str, xr.DataArray, bool]]:
    """Return name, curve over E/E_BP, and whether it is a formula, for each leaf."""
    scaled = []
    for leaf in leaves:
        row = table.sel(leaf=leaf.name)
        # A curve is scaled by its own maximum, not by the mean of Einstein modes.
        at = float(row.dos_peak if np.isfinite(row.dos_peak) else row.energy)
        value = read(curves[leaf.name], "reduced_dos").value
        inside = float(value.E[0]) <= at <= float(value.E[-1])
        height = float(value.interp(E=at)) if inside else np.nan
        if not np.isfinite(row.energy) or not np.isfinite(height) or height <= 0:
            continue
        kind = " (model)" if is_computed(value) else ""
        if leaf.kind == "fit_heat_capacity":
            kind = " (fit to $C_p$)"
        curve = value.where(_FROM * at < value.E) / height  # without the elastic line
        curve = curve.assign_coords(E=value.E / at)
        scaled.append((_plain(leaf.name) + kind, curve, bool(kind)))
    return scaled


def _draw_reduced(ax: Axes, scaled: list[tuple[str, xr.DataArray, bool]]) -> None:
    for i, (name, curve, formula) in enumerate(scaled):
        color, dashes = COLORS[i % len(COLORS)], "--" if formula else "-"
        ax.plot(curve.E, curve, lw=1.3, ls=dashes, color=color, label=name)
    # Room for the legend above the curves.
    top = 1.3 + 0.15 * min(len(ax.lines), 6)
    ax.set(xlim=(0, _REACH), ylim=(0, top))
    ax.set(xlabel=r"$E/E_\mathrm{BP}$", ylabel=r"$B(E)/B(E_\mathrm{BP})$")
    ax.set_title("reduced axis", fontsize="small")
    show_legend(ax, fontsize="x-small")
