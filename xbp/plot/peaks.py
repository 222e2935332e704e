"""A spectrum with its fitted peak, the energies of many fits, phonon branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.grid import interval
from xbp.core.operation import operation, steps_after
from xbp.core.pint_data import unwrap
from xbp.core.schema import quantity_name
from xbp.core.signal import Signal, read, table_signal
from xbp.core.status import OK
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.peak import evaluate
from xbp.plot.curves import (
    HEADROOM,
    draw_curve,
    draw_parameter,
    height_without_outliers,
    limit_height,
)
from xbp.plot.cuts import draw_cut
from xbp.plot.fits import FITS
from xbp.plot.legends import show_legend
from xbp.plot.shown import label_axes, require_same
from xbp.plot.style import (
    COLORS,
    GREY,
    ORANGE,
    SYMBOLS,
    axes_of,
    energy_text,
    figure,
    fit_quality,
    label,
    mark_box_phonon,
    set_title,
    systematic_error,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_energies", "peak", "phonons"]

_COLUMNS = "energy_std", "height", "width", "relative_residual", "E_low", "E_high"


@operation(
    takes=("signal", "boson_peak"),
    step=50,
    suggested="boson_peak",
    when=lambda table: table.energy.ndim == 1 or "Q" in table.energy.dims,
    where="plot",
)
@figure
def peak(
    data: xr.DataArray | xr.Dataset,
    peak: xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    E_range: Any = None,
    **kwargs: Any,
) -> Axes:
    """Draw a spectrum with the peak fitted to it, from 0 to twice the energies fitted.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        B(E), a spectrum over E alone; or the peaks from `boson_peak` over Q,
        temperature, samples or any other one dimension, against which their energies
        are then drawn.
    peak : xarray.Dataset, optional
        What `boson_peak` returned for this spectrum; or `scan_boson_peak`, whose
        systematic error is in the title and a band about the energy.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    E_range : pair of scalars with units, optional
        Energies to show, in place of those.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If the table is of another kind, or of many fits.
    RangeError
        If the spectrum has more than one dimension.
    UnitsError
        If the peak is in other units than the spectrum.
    """
    for table in (data, peak):
        if isinstance(table, xr.Dataset) and quantity_name(table) in FITS:
            raise QuantityError(
                f"got the table of .bp.{quantity_name(table)}(...); plot.peak draws "
                "that of .bp.boson_peak()",
                fix=f"table{steps_after(table)[0]}",
            )
    if isinstance(data, xr.Dataset) and quantity_name(data) == "boson_peak":
        return draw_energies(data, ax, **kwargs)
    if peak is None:
        shown = None if E_range is None else _limits(read(data), E_range, np.nan)
        axes = draw_cut(data, ax, shown, **kwargs)
        if shown is not None:
            _show(axes, read(data), shown)
        return axes
    table = unwrap(peak)[0].compute()
    needs = (*_COLUMNS, "status")
    energies = table_signal(table, "boson_peak", "energy", needs=needs).value
    if energies.ndim:
        raise QuantityError(
            f"the peaks are over {energies.dims}; a spectrum has one",
            fix="choose one: peak.isel(...)",
        )
    signal = read(data)
    value = signal.value
    if value.dims != ("E",):
        raise RangeError(
            f"'{value.name}' is over {value.dims}; a peak is drawn in the spectrum "
            "over E that it was found in",
            fix="pass that spectrum, or choose one: data.isel(...)",
        )
    _require_units(energies, value["E"])
    _require_units(table.height, value)
    shown = _limits(signal, E_range, float(table.E_high))
    axes = draw_cut(data, ax, shown, **kwargs)
    mark_box_phonon(axes.axvline, value)
    if "box_phonon" in value.coords:
        show_legend(axes)
    if str(table.status.values) != OK:
        set_title(axes, f"no peak: {table.status.values}")
        _show(axes, signal, shown)
        return axes
    E = np.linspace(float(table.E_low), float(table.E_high), 300)
    scalars = {str(n): v for n, v in table.data_vars.items() if v.dtype.kind == "f"}
    numbers = {name: float(v) for name, v in scalars.items() if not v.ndim}
    energy, curve = numbers["energy"], evaluate(table.attrs["method"], E, numbers)
    axes.plot(E, curve, color=ORANGE, lw=1.6, zorder=3)
    axes.axvline(energy, color=GREY, lw=0.8, ls="--")
    if spread := systematic_error(table):
        band: dict[str, Any] = {"color": ORANGE, "alpha": 0.2, "lw": 0, "zorder": 0}
        axes.axvspan(energy - spread, energy + spread, **band)
    set_title(axes, f"$E_\\mathrm{{BP}}$ = {energy_text(table)}", fit_quality(table))
    _show(axes, signal, shown, numbers["height"])
    return axes


def _limits(signal: Signal, E_range: Any, fitted_to: float) -> tuple[float, float]:
    """Return the energies to show: those asked for, or twice those fitted."""
    value = signal.value
    if E_range is not None:
        return interval(E_range, signal.source, "E", name="E_range")
    if not np.isfinite(fitted_to):  # no fit: to 30 meV, where boson peaks are sought
        units = str(value["E"].attrs["units"])
        fitted_to = 15 * convert_factor("meV", units, name="E", energy=True)
    first, last = float(value.E[0]), float(value.E[-1])
    right = min(2 * fitted_to, last)
    return (first, last) if right <= first else (0.0, right)


def _show(
    axes: Axes,
    signal: Signal,
    limits: tuple[float, float],
    height: float | None = None,
) -> None:
    """Set the limits of both axes to what is about the peak."""
    value, std = signal.value, signal.std
    left, right = limits
    if left < right:
        axes.set_xlim(left, right)
    inside = (left <= value.E) & (right >= value.E) & (abs(value) < np.inf)
    shown = value.where(inside)
    ends = float(shown.min()), float(shown.max())
    highest = float(shown.where(value.E > 0).max())
    if height is not None and highest > 2 * HEADROOM * height:
        limit_height(axes, shown, HEADROOM * height, ends)
    elif highest > 0:
        error = np.zeros(value.size) if std is None else np.nan_to_num(std.values)
        # Without a peak, to the top of what no elastic line dwarfs.
        rest = height_without_outliers(shown, error) if height is None else highest
        top = HEADROOM * rest if rest < highest else 1.1 * highest
        limit_height(axes, shown, top, ends)


def _require_units(drawn: xr.DataArray, axis: xr.DataArray) -> None:
    if parse_unit(drawn.attrs["units"]) != parse_unit(axis.attrs["units"]):
        raise UnitsError(
            f"the peak's {drawn.name} is in '{drawn.attrs['units']}', the axis in "
            f"'{axis.attrs['units']}'",
            fix="find the peak in the data drawn, or convert those first: "
            "data.bp.convert(E=...)",
        )


def draw_energies(
    table: xr.Dataset, ax: Axes | None, like: xr.DataArray | None = None, **kwargs: Any
) -> Axes:
    """Draw energies over their one dimension; on a map `like`, its labels stay."""
    plain = unwrap(table)[0].compute()
    needs = "energy_std", "status"
    energy = table_signal(plain, "boson_peak", "energy", needs=needs).value
    if energy.ndim != 1 or (like is not None and energy.dims[0] not in like.dims):
        raise RangeError(
            f"the peaks are over {energy.dims}; they are drawn against one dimension"
            + ("" if like is None else ", which the map has"),
            fix="choose one of each other dimension: peak.isel(...)",
        )
    axes = axes_of(ax)
    if like is not None:
        _require_units(energy, like["E"])
        _require_units(plain[energy.dims[0]], like[energy.dims[0]])
    systematic = "systematic" if "systematic" in plain else None
    draw_parameter(axes, plain, "energy", what="E", systematic=systematic, **kwargs)
    if like is not None:
        return axes
    mark_box_phonon(axes.axhline, energy)
    units = str(energy.attrs["units"])
    label_axes(axes, y=label(r"$E_\mathrm{BP}$", units), general=label("$E$", units))
    axes.set_ylim(0, None)
    return axes


@operation(takes="phonon_dispersion", step=50, where="plot")
@figure
def phonons(branches: xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the energies of phonon branches over Q, with their errors.

    Parameters
    ----------
    branches : xarray.Dataset
        What `phonon_dispersion` returned. Fits whose status is not "ok" are left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If these are not phonon branches.
    RangeError
        If they have a further dimension.
    """
    table = (
        unwrap(branches)[0].compute() if isinstance(branches, xr.Dataset) else branches
    )
    energy = table_signal(table, "phonon_dispersion", "energy").value
    if not {"Q"} <= set(energy.dims) <= {"Q", "branch"}:
        raise RangeError(
            f"the branches are over {energy.dims}; they are drawn against Q",
            fix="choose one of every other dimension: branches.isel(...)",
        )
    axes = axes_of(ax)
    Q_units, E_units = str(energy.Q.attrs["units"]), str(energy.attrs["units"])
    require_same(axes, ("Q", Q_units), ("E", E_units))
    names = np.atleast_1d(table.branch.values).tolist()
    for color, marker, name in zip(COLORS, "os", names, strict=False):
        one = table.sel(branch=name) if "branch" in table.dims else table
        one = one.isel(Q=np.flatnonzero(one.status == OK))
        style: dict[str, Any] = {"fmt": marker, "ms": 4, "color": color, "label": name}
        draw_curve(axes, one.energy, one.energy_std, line=False, **(style | kwargs))
    E = label(SYMBOLS["E"], E_units)
    label_axes(axes, label(SYMBOLS["Q"], Q_units), E, general=E)
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False, fontsize="small")
    return axes
