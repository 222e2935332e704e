"""Figures of signals: maps, cuts and peaks."""

from __future__ import annotations

import functools
from collections.abc import Hashable
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
    axes_of,
    axis_label,
    in_powers,
    label,
    lay_over,
    like_xarray,
    logarithmic,
    mark_box_phonon,
    power_of,
    require_no_table,
    signal_label,
    units_label,
)
from xbp.schema import quantity_name
from xbp.signal import is_computed, read, table_signal
from xbp.status import OK
from xbp.units import convert_factor, parse_unit, percent, with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cut", "map", "peak", "up_to"]


_NEEDS = ("energy_std", "height", "width", "relative_residual", "E_low", "E_high", "status")
_BEYOND = "beyond the axis"
#: More points without error bars than this touch one another at the width of a column.
_DENSE = 150
#: A step this many times the usual one is a gap.
_GAP, _USUAL = 8.0, 90
#: The figure of a peak reaches to this multiple of the highest energy fitted, and up to this multiple of its height
#: where there is something higher, as an elastic line is.
_REACH, _HEADROOM = 2.0, 1.6
#: In meV, where a boson peak would be if none is found.
_SOUGHT = 15.0
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
    """Draw B(Q,E), or any signal over E and one other dimension, in colours, as the paper's Fig. 1.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A signal over E and Q, or over E and any other axis of numbers, such as temperature.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q) to lay over the map, on an axis of its own at the right.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    E_range : pair of scalars with units, optional
        Energies to show; the colours are scaled to what is shown. Where a few bins outshine the rest, as an elastic
        line does, the scale ends below them, and its end is a point.
    peak : xarray.Dataset, optional
        Peaks over that axis from `boson_peak`, drawn with their error bars.
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
        If the data have not E and one other axis of numbers.
    """
    signal = read(data)
    value = signal.value
    other = str(next((d for d in value.dims if d != "E"), "Q"))
    # Detectors have numbers, and no order along an axis.
    numbers = other != "detector" and value[other].dtype.kind in "fiu"
    if set(value.dims) != {other, "E"} or not numbers:
        raise RangeError(
            f"'{value.name}' has the dimensions {tuple(value.dims)}",
            reason="a map has E and one other axis of numbers",
            fix="data.bp.angle_to_Q('0.05 1/angstrom') first"
            if signal.quantity.name == "detector_spectra"
            else "choose one element of every other dimension first: data.isel(...)",
        )
    axes = axes_of(ax)
    value = value.transpose("E", other)
    q_edges, e_edges = (np.append(lo, hi[-1]) for lo, hi in (bin_limits(signal.source, d) for d in (other, "E")))
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
        bar.set_label(signal_label(value.transpose(other, "E"), power))
    axes.set(xlabel=axis_label(value[other]), ylabel=axis_label(value["E"]))
    if E_range is not None:
        axes.set_ylim(*interval(E_range, signal.source, "E", name="E_range"))
    if peak is not None:
        _peak_energies(peak, axes, like=value, ms=3, lw=0.7, color="white")
    if "box_phonon" in value.coords and value.coords["box_phonon"].ndim == 0:
        mark_box_phonon(functools.partial(axes.axhline, zorder=2), value, "white")
    if sq is not None:
        if other != "Q":
            raise RangeError(f"S(Q) is laid over a map of {other}", reason="it is of Q", fix="leave sq out")
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
        A signal over Q or E alone, or such curves over one further dimension, as of pairs, samples or a few energies,
        which a legend names.
    ax : matplotlib.axes.Axes, optional
        Where to draw; beside the cuts that are there already, in another colour.
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
    require_no_table(data)
    signal = read(data)
    value = signal.value
    # Of cuts at a few energies, E; of samples, sample.
    others = [d for d in value.dims if d not in signal.quantity.dims] if value.ndim > 1 else []
    others = others or sorted(value.dims, key=lambda d: value.sizes[d])[: value.ndim - 1]
    along = [d for d in value.dims if d not in others]
    if len(along) != 1 or len(others) > 1 or any(value.sizes[d] > len(COLORS) for d in others):
        raise RangeError(
            f"'{value.name}' has the dimensions {dict(value.sizes)}",
            reason=f"a curve is drawn along one, and of another at most {len(COLORS)} curves are told apart",
            fix="cut first, data.bp.cut_E(...) or .bp.cut_Q(...), or choose some, data.isel(...)",
        )
    axes = axes_of(ax)
    dim = str(along[0])
    # Onto axes that hold cuts another one comes in another colour.
    before = len(axes.containers)
    for i in range(value.sizes[others[0]] if others else 1):
        at = dict.fromkeys(others, i)
        name = _name(value.isel(at), others)
        style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.8, "color": COLORS[(before + i) % len(COLORS)]}
        style |= {"label": name} | kwargs
        std = None if signal.std is None else signal.std.isel(at)
        if _is_line(value, std):
            # Points that touch hide what lies between them and their error bars.
            y, x = value.isel(at), value[dim]
            if std is not None:
                axes.fill_between(x, y - std, y + std, color=style["color"], alpha=0.25, lw=0)
            points = ("fmt", "ms", "lw")
            style = dict[str, Any](fmt="-", lw=1.4) | {k: v for k, v in style.items() if k not in points} | kwargs
            axes.errorbar(*_parted(value[dim].values, y.values.astype(float)), **style)
            continue
        axes.errorbar(value[dim], value.isel(at), std, **style)
    if len(axes.containers) > 1 and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize="small", title=str(others[0]).replace("_", " ") if others else None)
    power = power_of(value)
    axes.yaxis.set_major_formatter(in_powers(power))
    axes.set(xlabel=axis_label(value[dim]), ylabel=signal_label(value, power))
    if signal.quantity.name == "reduced_heat_capacity":
        logarithmic(axes)
    if signal.quantity.name in _FROM_NOTHING and "ylim" not in kwargs and not (value < 0).any():
        axes.set_ylim(0, None)
    if dim == "E" and signal.quantity.name == "reduced_dos":
        # On the side of energy gain B is noise over next to nothing.
        loss = value.where(value.E > 0).values
        rest = float(np.percentile(loss[np.isfinite(loss)], _REST)) if np.isfinite(loss).any() else 0.0
        if float(value.max()) > _OUTSHINES * rest > 0:
            up_to(axes, value, _HEADROOM * rest)
    return axes


def _name(curve: xr.DataArray, others: list[Hashable]) -> str | None:
    """Write which of several curves one is: by the dimension they are of, or by where it was cut."""
    for dim in [*others, *(d for d in ("E", "Q") if d in curve.coords and curve[d].ndim == 0)]:
        at = curve[dim].values if dim in curve.coords else None
        if at is not None and at.dtype.kind in "fiu":
            units = units_label(str(curve[dim].attrs.get("units", "1")))
            return f"{float(at):.4g} {units}".strip().replace("-", "−")
        return None if at is None else str(at)
    return None


def _is_line(value: xr.DataArray, std: xr.DataArray | None) -> bool:
    """Whether a signal is a curve, not points: computed from a formula, or dense and without errors."""
    if is_computed(value) or value.attrs["quantity"] in _CURVES:
        return True
    return std is None and value.size > _DENSE


def _parted(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part a curve where nothing was measured, so that no line is drawn across."""
    steps = np.diff(x)
    # Held against the wider of the usual steps: of points in clusters the median is that within one.
    gaps = np.flatnonzero(steps > _GAP * np.percentile(steps, _USUAL)) + 1 if x.size > 2 else np.zeros(0, dtype=int)
    return np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan)


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
        B(E), a spectrum over E alone; or the peaks from `boson_peak` over Q, temperature, samples or any other one
        dimension, against which their energies are then drawn.
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
    axes = cut(data, ax, **({"label": None} | kwargs))
    if peak is None:
        if E_range is not None:
            _show(axes, data, E_range, np.nan)
        return axes
    table = unwrap(peak)[0].compute()
    energies = table_signal(table, "boson_peak", "energy", needs=_NEEDS).value
    if energies.ndim:
        raise QuantityError(
            f"the peaks are over {energies.dims}", reason="one spectrum has one peak", fix="choose one: peak.isel(...)"
        )
    units = energies.attrs["units"]
    value = read(data).value
    if value.dims != ("E",):
        raise RangeError(
            f"'{value.name}' is over {value.dims}",
            reason="a peak is drawn in the spectrum over E that it was found in",
            fix="pass that spectrum, or choose one: data.isel(...)",
        )
    _require_units(energies, value["E"])
    _require_units(table.height, value)
    mark_box_phonon(axes.axvline, value)
    if "box_phonon" in value.coords:
        axes.legend(frameon=False, fontsize="small")
    if str(table.status.values) != OK:
        axes.set_title(f"no peak: {table.status.values}", fontsize="small")
        _show(axes, data, E_range, float(table.E_high))
        return axes
    E = np.linspace(float(table.E_low), float(table.E_high), 300)
    numbers = {str(name): float(v) for name, v in table.data_vars.items() if name != "status"}
    energy, std = numbers["energy"], numbers["energy_std"]
    axes.plot(E, evaluate(table.attrs["method"], E, numbers), color=ORANGE, lw=1.6, zorder=3)
    axes.axvline(energy, color=GREY, lw=0.8, ls="--")
    quality = f", rms residual {percent(numbers['relative_residual'])}"
    if "chi2_reduced" in numbers:
        quality = f", $\\chi^2_\\mathrm{{red}}$ = {numbers['chi2_reduced']:.3g}"
    if is_poor(table):
        quality += " (poor)"
    axes.set_title(f"$E_\\mathrm{{BP}}$ = {with_error(energy, std)} {units_label(units)}{quality}", fontsize="small")
    _show(axes, data, E_range, float(table.E_high), numbers["height"])
    return axes


def _show(axes: Axes, data: Any, E_range: Any, fitted_to: float, height: float | None = None) -> None:
    """Set the limits to where the peak is, or would be; what lies far above and beside it would make it small."""
    value = read(data).value
    units = str(value["E"].attrs["units"])
    if not np.isfinite(fitted_to):
        fitted_to = _SOUGHT * convert_factor("meV", units, name="E", energy=True)
    first, last = float(value.E[0]), float(value.E[-1])
    right = min(_REACH * fitted_to, last)
    # Far above boson peaks there is something else to see.
    left, right = (first, last) if right <= first else (0.0, right)
    if E_range is not None:
        left, right = interval(E_range, read(data).source, "E", name="E_range")
    if left < right:
        axes.set_xlim(left, right)
    shown = value.where((left <= value.E) & (right >= value.E))
    highest = float(shown.where(value.E > 0).max())
    if height is not None and highest > 2 * _HEADROOM * height:
        up_to(axes, shown, _HEADROOM * height)
    elif highest > 0:
        up_to(axes, shown, 1.1 * highest)


def up_to(axes: Axes, value: xr.DataArray, top: float) -> None:
    """Let the axis go from 0 to below what outshines the rest, and say that there is more.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where the signal is drawn.
    value : xarray.DataArray
        What is shown of the signal; NaN where it is beside the limits of the other axis.
    top : float
        Where the axis ends.
    """
    axes.set_ylim(min(0.0, 1.1 * float(value.min())), top)
    power = power_of(top)
    axes.yaxis.set_major_formatter(in_powers(power))
    axes.set_ylabel(signal_label(value, power))
    for text in [text for text in axes.texts if text.get_gid() == _BEYOND]:
        text.remove()
    if float(value.max()) <= top:
        return
    axes.text(0.5, 0.98, f"up to {float(value.max()) / 10.0**power:.3g} beyond the axis", transform=axes.transAxes,
              ha="center", va="top", fontsize="x-small", color=GREY, gid=_BEYOND,
              bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip


def _require_units(drawn: xr.DataArray, axis: xr.DataArray) -> None:
    if parse_unit(drawn.attrs["units"]) != parse_unit(axis.attrs["units"]):
        raise UnitsError(
            f"the peak's {drawn.name} is in '{drawn.attrs['units']}', the axis in '{axis.attrs['units']}'",
            reason="drawn together they would not fit",
            fix="find the peak in the data drawn, or convert those first: data.bp.convert(E=...)",
        )


def _peak_energies(table: xr.Dataset, ax: Axes | None, like: xr.DataArray | None = None, **kwargs: Any) -> Axes:
    """Draw energies over their one dimension; on the axes of a map `like` names, its labels and limits stay."""
    plain = unwrap(table)[0].compute()
    energy = table_signal(plain, "boson_peak", "energy", needs=("energy_std", "status")).value
    if energy.ndim != 1 or (like is not None and energy.dims[0] not in like.dims):
        raise RangeError(
            f"the peaks are over {energy.dims}",
            reason="they are drawn against one dimension, on a map against that of the map",
            fix="choose one of each other dimension: peak.isel(...)",
        )
    axes = axes_of(ax)
    dim = str(energy.dims[0])
    ok = plain.status == OK
    style: dict[str, Any] = {"fmt": ".", "ms": 4, "lw": 0.8, "color": BLUE} | kwargs
    if like is not None:
        _require_units(energy, like["E"])
        _require_units(plain[dim], like[dim])
    x = plain[dim] if dim in plain.coords and plain[dim].dtype.kind in "fiu" else np.arange(energy.size)
    axes.errorbar(x[ok.values], energy[ok], plain.energy_std[ok], **style)
    if like is not None:
        return axes
    if isinstance(x, np.ndarray):
        axes.set_xticks(x, [str(name) for name in plain[dim].values])
    mark_box_phonon(axes.axhline, energy)
    axes.set(xlabel=axis_label(plain[dim]), ylabel=label(r"$E_\mathrm{BP}$", energy.attrs["units"]))
    axes.set_ylim(0, None)
    return axes
