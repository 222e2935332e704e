"""Figures of signals: maps, cuts and peaks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.describe.results import is_poor
from xbp.errors import QuantityError, RangeError, UnitsError
from xbp.grid import bin_limits, interval, select_range
from xbp.peaks.fits import evaluate
from xbp.pint_data import unwrap
from xbp.plot.axes import (
    BLUE,
    COLORS,
    GREY,
    ORANGE,
    SYMBOLS,
    axes_of,
    in_powers,
    label,
    lay_over,
    like_xarray,
    mark_box_phonon,
    power_of,
    signal_label,
    units_label,
)
from xbp.schema import quantity_name
from xbp.signal import read, table_signal
from xbp.status import OK
from xbp.units import convert_factor, parse_unit, percent, with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cut", "map", "peak"]


_BEYOND = "beyond the axis"
#: More points without error bars than this touch one another at the width of a column.
_DENSE = 150
#: The figure of a peak reaches to this multiple of the highest energy fitted, and up to this multiple of its height
#: where there is something higher, as an elastic line is.
_REACH, _HEADROOM = 2.0, 1.6
#: B(E) falls off so fast that an elastic line is this many times higher than the rest, nineteen of twenty bins.
_OUTSHINES, _REST = 8.0, 95
#: Functions of distance or time, whose bins are so many that points would make one smear.
_CURVES = ("radial_distribution", "mean_square_displacement", "intermediate_scattering_function")
#: Densities, whose height above 0 is what they say.
_FROM_NOTHING = ("vibrational_dos", "generalized_dos")


@like_xarray
def map(  # the method users know from xarray-like libraries
    data: xr.DataArray | xr.Dataset,
    sq: xr.DataArray | xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    E_range: Any = None,
    peak: xr.Dataset | None = None,
    add_colorbar: bool = True,
    **kwargs: Any,
) -> Axes:
    """Draw B(Q,E), or any signal over Q and E, in colours, as the paper's Fig. 1.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over Q and E.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q) to lay over the map, on an axis of its own at the right.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    E_range : pair of scalars with units, optional
        Energies to show; the colours are scaled to what is shown. Where a few bins outshine the rest, as an elastic
        line does, the scale ends below them, and its end is a point.
    peak : xarray.Dataset, optional
        Peaks over Q from `boson_peak`, drawn with their error bars.
    add_colorbar : bool
        Draw the scale of the colours.
    **kwargs
        For `matplotlib.axes.Axes.pcolormesh`, such as ``norm="log"`` where an elastic line outshines the rest; and
        ``figsize``, ``xlim``, ``ylim``, ``xscale``, ``yscale``, ``xticks``, ``yticks`` as xarray's own figures take
        them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RangeError
        If the data have not just the dimensions Q and E.
    """
    signal = read(data)
    value = signal.value
    if set(value.dims) != {"Q", "E"}:
        raise RangeError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}",
            reason="a map has Q and E",
            fix="choose one element of every other dimension first: data.isel(...)",
        )
    axes = axes_of(ax)
    value = value.transpose("E", "Q")
    q_edges, e_edges = (np.append(lo, hi[-1]) for lo, hi in (bin_limits(signal.source, d) for d in ("Q", "E")))
    shown = value.values[select_range(signal.source, "E", E_range, name="E_range")]
    finite = shown[np.isfinite(shown)]
    # A single elastic bin or noisy corner, or a whole elastic line, must not take all the colours.
    limits: dict[str, Any] = {}
    if finite.size:
        most, usual = np.percentile(finite, [99.5, 75])
        limits = {"vmin": 0.0, "vmax": float(min(most, 10 * usual) if usual > 0 else most)}
    if "norm" in kwargs:
        limits = {}
    mesh = axes.pcolormesh(
        q_edges, e_edges, value.values, **(limits | {"cmap": "viridis", "rasterized": True} | kwargs)
    )
    if add_colorbar:
        power = power_of(mesh.get_clim()[1])
        # On top, since the axis of S(Q) is at the right.
        beyond = "max" if finite.size and finite.max() > mesh.get_clim()[1] else "neither"
        bar = axes.figure.colorbar(mesh, ax=axes, location="top", format=in_powers(power), aspect=30, extend=beyond)
        bar.set_label(signal_label(value.transpose("Q", "E"), power))
    axes.set(xlabel=label(SYMBOLS["Q"], value.Q.attrs["units"]), ylabel=label(SYMBOLS["E"], value.E.attrs["units"]))
    if E_range is not None:
        axes.set_ylim(*interval(E_range, signal.source, "E", name="E_range"))
    if peak is not None:
        _peak_energies(peak, axes, like=value, ms=3, lw=0.7, color="white")
    if sq is not None:
        curve = read(sq, "static_structure_factor").value
        if curve.dims != ("Q",):
            raise RangeError(f"S(Q) is over {curve.dims}", reason="one curve is drawn", fix="choose one: sq.isel(...)")
        q = curve.Q * convert_factor(curve.Q.attrs["units"], value.Q.attrs["units"])
        twin = lay_over(axes, q, curve)
        twin.set_ylabel("$S(Q)$", color=ORANGE)
        axes.set_xlim(q_edges[0], q_edges[-1])
    return axes


@like_xarray
def cut(data: xr.DataArray | xr.Dataset, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw a signal over one dimension, with error bars where they are known.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over Q or E alone, or such curves over one further dimension, as of pairs or samples, which a legend
        names.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`; and ``figsize``, ``xlim``, ``ylim``, ``xscale``, ``yscale``, ``xticks``,
        ``yticks`` as xarray's own figures take them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RangeError
        If the data have other dimensions, or more curves than there are colours to tell apart.
    """
    signal = read(data)
    value = signal.value
    along = [d for d in value.dims if d in signal.quantity.dims] if value.ndim > 1 else list(value.dims)
    others = [d for d in value.dims if d not in along]
    if len(along) != 1 or len(others) > 1 or any(value.sizes[d] > len(COLORS) for d in others):
        raise RangeError(
            f"'{value.name}' has the dimensions {dict(value.sizes)}",
            reason=f"a cut has one, and at most {len(COLORS)} curves are told apart",
            fix="cut first, data.bp.cut_E(...) or .bp.cut_Q(...), or choose some, data.isel(...)",
        )
    axes = axes_of(ax)
    dim = str(along[0])
    for i in range(value.sizes[others[0]] if others else 1):
        at = dict.fromkeys(others, i)
        name = {"label": f"{value[others[0]].values[i]}"} if others else {}
        style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.8, "color": COLORS[i]} | name | kwargs
        std = None if signal.std is None else signal.std.isel(at)
        if _is_line(value, std):
            # Points that touch hide what lies between them and their error bars.
            y, x = value.isel(at), value[dim]
            if std is not None:
                axes.fill_between(x, y - std, y + std, color=style["color"], alpha=0.25, lw=0)
            style = {"fmt": "-", "lw": 1.4} | {k: v for k, v in style.items() if k not in ("fmt", "ms", "lw")} | kwargs
            std = None
        axes.errorbar(value[dim], value.isel(at), std, **style)
    if others:
        axes.legend(frameon=False, fontsize="small", title=str(others[0]).replace("_", " "))
    power = power_of(value)
    axes.yaxis.set_major_formatter(in_powers(power))
    axes.set(xlabel=label(SYMBOLS.get(dim, dim), value[dim].attrs.get("units", "1")), ylabel=signal_label(value, power))
    if signal.quantity.name in _FROM_NOTHING and "ylim" not in kwargs and not (value < 0).any():
        axes.set_ylim(0, None)
    if dim == "E" and signal.quantity.name == "reduced_dos":
        # On the side of energy gain B is noise over next to nothing.
        loss = value.where(value.E > 0).values
        rest = float(np.percentile(loss[np.isfinite(loss)], _REST)) if np.isfinite(loss).any() else 0.0
        if float(value.max()) > _OUTSHINES * rest > 0:
            _up_to(axes, value, _HEADROOM * rest)
    return axes


def _is_line(value: xr.DataArray, std: xr.DataArray | None) -> bool:
    """Whether a signal is a curve, not points: computed from a formula, or dense and without errors."""
    try:
        last = json.loads(str(value.attrs.get("history", "")).splitlines()[-1])["operation"]
    except (IndexError, ValueError, KeyError, TypeError, RecursionError):
        last = ""
    if value.attrs["quantity"] in _CURVES:
        return True
    return last == "fitted_dos" or str(last).startswith("models.") or (std is None and value.size > _DENSE)


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
        B(E), a spectrum over E alone; or the peaks over Q from `boson_peak`, whose energies are
        then drawn against Q.
    peak : xarray.Dataset, optional
        What `boson_peak` returned for this spectrum.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    E_range : pair of scalars with units, optional
        Energies to show, in place of those.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`; and ``figsize``, ``xlim``, ``ylim``, ``xscale``, ``yscale``, ``xticks``,
        ``yticks`` as xarray's own figures take them.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    RangeError
        If the spectrum has more than one dimension.
    """
    if isinstance(data, xr.Dataset) and quantity_name(data) == "boson_peak":
        return _peak_energies(data, ax, **kwargs)
    axes = cut(data, ax, **kwargs)
    if peak is None:
        if E_range is not None:
            _show(axes, data, E_range, np.nan)
        return axes
    table = unwrap(peak)[0].compute()
    energies = table_signal(table, "boson_peak", "energy").value
    if energies.ndim:
        raise QuantityError(
            f"the peaks are over {energies.dims}", reason="one spectrum has one peak", fix="choose one: peak.isel(...)"
        )
    units = energies.attrs["units"]
    _require_units(energies, read(data).value["E"])
    _require_units(table.height, read(data).value)
    if str(table.status.values) != OK:
        axes.set_title(f"no peak: {table.status.values}", fontsize="small")
        _show(axes, data, E_range, float(table.E_high))
        return axes
    E = np.linspace(float(table.E_low), float(table.E_high), 300)
    numbers = {str(name): float(v) for name, v in table.data_vars.items() if name != "status"}
    energy, std = numbers["energy"], numbers["energy_std"]
    axes.plot(E, evaluate(table.attrs["method"], E, numbers), color=ORANGE, lw=1.6, zorder=3)
    axes.axvline(energy, color=GREY, lw=0.8, ls="--")
    mark_box_phonon(axes.axvline, read(data).value)
    quality = f", rms residual {percent(numbers['relative_residual'])}"
    if "chi2_reduced" in numbers:
        quality = f", $\\chi^2_\\mathrm{{red}}$ = {numbers['chi2_reduced']:.3g}"
    if is_poor(table):
        quality += " (poor)"
    axes.set_title(f"$E_\\mathrm{{BP}}$ = {with_error(energy, std)} {units_label(units)}{quality}", fontsize="small")
    _show(axes, data, E_range, float(table.E_high), numbers["height"])
    return axes


def _show(axes: Axes, data: Any, E_range: Any, fitted_to: float, height: float | None = None) -> None:
    """Set the limits to where the peak is; what lies far above and beside it would make it small."""
    value = read(data).value
    left, right = 0.0, min(_REACH * fitted_to, float(value.E[-1])) if np.isfinite(fitted_to) else float(value.E[-1])
    if E_range is not None:
        left, right = interval(E_range, read(data).source, "E", name="E_range")
    axes.set_xlim(left, right)
    shown = value.where((left <= value.E) & (right >= value.E))
    highest = float(shown.where(value.E > 0).max())
    if height is not None and highest > 2 * _HEADROOM * height:
        _up_to(axes, shown, _HEADROOM * height)
    elif highest > 0 and float(value.max()) > highest:
        _up_to(axes, shown, 1.05 * highest)


def _up_to(axes: Axes, value: xr.DataArray, top: float) -> None:
    """End the axis below what outshines the rest, and say that there is more."""
    axes.set_ylim(min(0.0, 1.1 * float(value.min())), top)
    power = power_of(top)
    axes.yaxis.set_major_formatter(in_powers(power))
    axes.set_ylabel(signal_label(value, power))
    said = f"up to {float(value.max()) / 10.0**power:.3g} beyond the axis"
    for text in [text for text in axes.texts if text.get_gid() == _BEYOND]:
        text.remove()
    if float(value.max()) <= top:
        return
    axes.text(0.02, 0.98, said, transform=axes.transAxes, va="top", fontsize="x-small", color=GREY, gid=_BEYOND,
              bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip


def _require_units(drawn: xr.DataArray, axis: xr.DataArray) -> None:
    if parse_unit(drawn.attrs["units"]) != parse_unit(axis.attrs["units"]):
        raise UnitsError(
            f"the peak's {drawn.name} is in '{drawn.attrs['units']}', the axis in '{axis.attrs['units']}'",
            reason="drawn together they would not fit",
            fix="find the peak in the data drawn, or convert those first: data.bp.convert(E=...)",
        )


def _peak_energies(table: xr.Dataset, ax: Axes | None, like: xr.DataArray | None = None, **kwargs: Any) -> Axes:
    """Draw energies over Q; on the axes of a map `like` names, its labels and limits stay."""
    plain = unwrap(table)[0].compute()
    energy = table_signal(plain, "boson_peak", "energy").value
    if energy.dims != ("Q",):
        raise RangeError(
            f"the peaks are over {energy.dims}", reason="they are drawn against Q", fix="choose one: peak.isel(...)"
        )
    axes = axes_of(ax)
    ok = plain.status == OK
    style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.8, "color": BLUE} | kwargs
    if like is not None:
        _require_units(energy, like["E"])
        _require_units(plain["Q"], like["Q"])
    axes.errorbar(plain.Q[ok], energy[ok], plain.energy_std[ok], **style)
    mark_box_phonon(axes.axhline, energy)
    if like is not None:
        return axes
    axes.set(
        xlabel=label(SYMBOLS["Q"], plain.Q.attrs["units"]),
        ylabel=label(r"$E_\mathrm{BP}$", energy.attrs["units"]),
    )
    axes.set_ylim(0, None)
    return axes
