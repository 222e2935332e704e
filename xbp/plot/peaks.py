"""Peaks: a spectrum with what was fitted to it, and the energies of many fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.grid import interval
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import quantity_name
from xbp.core.signal import read, table_signal
from xbp.core.status import OK
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.peak import evaluate
from xbp.plot.axes import GREY, ORANGE, axes_of, label, like_xarray, mark_box_phonon
from xbp.plot.cuts import draw_cut
from xbp.plot.fits import FITS
from xbp.plot.legends import show_legend
from xbp.plot.limits import HEADROOM, rest_of, up_to
from xbp.plot.many import draw_numbers
from xbp.plot.shown import label_axes
from xbp.plot.titles import energy_of, entitle, quality, systematic_of
from xbp.summary.results import steps_after

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_energies", "peak"]

_NEEDS = (
    "energy_std",
    "height",
    "width",
    "relative_residual",
    "E_low",
    "E_high",
    "status",
)
#: The figure of a peak reaches to this multiple of the highest energy fitted.
_REACH = 2.0
#: In meV, where a boson peak would be if none is found.
_SOUGHT = 15.0


@operation(
    takes=("signal", "boson_peak"),
    step=50,
    suggested="boson_peak",
    when=lambda table: table.energy.ndim == 1 or "Q" in table.energy.dims,
    where="plot",
)
@like_xarray
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
    RangeError
        If the spectrum has more than one dimension.
    """
    for table in (data, peak):
        if isinstance(table, xr.Dataset) and quantity_name(table) in FITS:
            raise QuantityError(
                f"got the table of .bp.{quantity_name(table)}(...)",
                reason="plot.peak draws what .bp.boson_peak() found; other fits have "
                "a figure of their own",
                fix=f"table{steps_after(table)[0]}",
            )
    if isinstance(data, xr.Dataset) and quantity_name(data) == "boson_peak":
        return draw_energies(data, ax, **kwargs)
    if peak is None:
        shown = None if E_range is None else _limits(data, E_range, np.nan)
        axes = draw_cut(data, ax, shown, **kwargs)
        if shown is not None:
            _show(axes, data, shown)
        return axes
    table = unwrap(peak)[0].compute()
    energies = table_signal(table, "boson_peak", "energy", needs=_NEEDS).value
    if energies.ndim:
        raise QuantityError(
            f"the peaks are over {energies.dims}",
            reason="one spectrum has one peak",
            fix="choose one: peak.isel(...)",
        )
    value = read(data).value
    if value.dims != ("E",):
        raise RangeError(
            f"'{value.name}' is over {value.dims}",
            reason="a peak is drawn in the spectrum over E that it was found in",
            fix="pass that spectrum, or choose one: data.isel(...)",
        )
    _require_units(energies, value["E"])
    _require_units(table.height, value)
    shown = _limits(data, E_range, float(table.E_high))
    axes = draw_cut(data, ax, shown, **kwargs)
    mark_box_phonon(axes.axvline, value)
    if "box_phonon" in value.coords:
        show_legend(axes)
    if str(table.status.values) != OK:
        entitle(axes, f"no peak: {table.status.values}")
        _show(axes, data, shown)
        return axes
    E = np.linspace(float(table.E_low), float(table.E_high), 300)
    numbers = {
        str(name): float(v)
        for name, v in table.data_vars.items()
        if name != "status" and not v.ndim
    }
    energy = numbers["energy"]
    axes.plot(
        E, evaluate(table.attrs["method"], E, numbers), color=ORANGE, lw=1.6, zorder=3
    )
    axes.axvline(energy, color=GREY, lw=0.8, ls="--")
    if spread := systematic_of(table):
        axes.axvspan(
            energy - spread, energy + spread, color=ORANGE, alpha=0.2, lw=0, zorder=0
        )
    entitle(axes, f"$E_\\mathrm{{BP}}$ = {energy_of(table)}", quality(table))
    _show(axes, data, shown, numbers["height"])
    return axes


def _limits(data: Any, E_range: Any, fitted_to: float) -> tuple[float, float]:
    """Return the energies to show.

    Those asked for, or where the peak is or would be.
    """
    signal = read(data)
    value = signal.value
    if E_range is not None:
        return interval(E_range, signal.source, "E", name="E_range")
    if not np.isfinite(fitted_to):
        fitted_to = _SOUGHT * convert_factor(
            "meV", str(value["E"].attrs["units"]), name="E", energy=True
        )
    first, last = float(value.E[0]), float(value.E[-1])
    right = min(_REACH * fitted_to, last)
    # Far above boson peaks there is something else to see.
    return (first, last) if right <= first else (0.0, right)


def _show(
    axes: Axes, data: Any, limits: tuple[float, float], height: float | None = None
) -> None:
    """Set the limits; what lies far above the peak or beside it would make it small."""
    signal = read(data)
    value = signal.value
    left, right = limits
    if left < right:
        axes.set_xlim(left, right)
    shown = value.where((left <= value.E) & (right >= value.E) & (abs(value) < np.inf))
    highest = float(shown.where(value.E > 0).max())
    if height is not None and highest > 2 * HEADROOM * height:
        up_to(axes, shown, HEADROOM * height)
    elif highest > 0:
        # Without a peak, to the top of what no elastic line outshines.
        rest = rest_of(shown, signal.std) if height is None else highest
        up_to(axes, shown, HEADROOM * rest if rest < highest else 1.1 * highest)


def _require_units(drawn: xr.DataArray, axis: xr.DataArray) -> None:
    if parse_unit(drawn.attrs["units"]) != parse_unit(axis.attrs["units"]):
        raise UnitsError(
            f"the peak's {drawn.name} is in '{drawn.attrs['units']}', the axis in "
            f"'{axis.attrs['units']}'",
            reason="drawn together they would not fit",
            fix="find the peak in the data drawn, or convert those first: "
            "data.bp.convert(E=...)",
        )


def draw_energies(
    table: xr.Dataset, ax: Axes | None, like: xr.DataArray | None = None, **kwargs: Any
) -> Axes:
    """Draw energies over their one dimension.

    On the axes of a map `like` names, its labels and limits stay.
    """
    plain = unwrap(table)[0].compute()
    energy = table_signal(
        plain, "boson_peak", "energy", needs=("energy_std", "status")
    ).value
    if energy.ndim != 1 or (like is not None and energy.dims[0] not in like.dims):
        raise RangeError(
            f"the peaks are over {energy.dims}",
            reason="they are drawn against one dimension, on a map against that of "
            "the map",
            fix="choose one of each other dimension: peak.isel(...)",
        )
    axes = axes_of(ax)
    systematic = "systematic" if "systematic" in plain else None
    if like is not None:
        dim = energy.dims[0]
        _require_units(energy, like["E"])
        _require_units(plain[dim], like[dim])
    draw_numbers(axes, plain, "energy", systematic, what="E", **kwargs)
    if like is not None:
        return axes
    mark_box_phonon(axes.axhline, energy)
    label_axes(
        axes,
        y=label(r"$E_\mathrm{BP}$", energy.attrs["units"]),
        general=label("$E$", energy.attrs["units"]),
    )
    axes.set_ylim(0, None)
    return axes
