"""Fits: a spectrum with its fitted curve, numbers of many fits, energies of peaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.core.data import require_columns, require_over
from xbp.core.errors import QuantityError, RangeError, UnitsError, kind_of
from xbp.core.grid import interval
from xbp.core.guards import choose, not_used
from xbp.core.operation import operation, steps_after
from xbp.core.schema import quantity_name
from xbp.core.signal import Signal, read
from xbp.core.status import Status
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.many import evaluate
from xbp.fitting.shapes import SHAPES
from xbp.models.catalogue import MODELS, find_model
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian
from xbp.models.model import Model, parameter_units
from xbp.plot.axes import show_legend
from xbp.plot.curves import draw_cut, draw_parameter, own_figure
from xbp.plot.heights import (
    HEADROOM,
    adjust_height,
    height_without_outliers,
    limit_height,
    show_fitted,
)
from xbp.plot.style import (
    GREY,
    ORANGE,
    energy_text,
    figure,
    fit_quality,
    mark_box_phonon,
    parameter_text,
    read_table,
    set_title,
    systematic_error,
)
from xbp.reduction import cut_Q

if TYPE_CHECKING:
    import lmfit
    from matplotlib.axes import Axes
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["draw_energies", "fit", "peak"]

#: Tables that `fit` draws.
FITS = ("fit", "fit_elastic_line")
_ELASTIC_LINE = {
    "energy": "$E_0$",
    "fwhm": "FWHM",
    "height": "height",
    "background": "background",
}


@operation(
    takes=("signal", "fit", "fit_elastic_line"),
    step=50,
    suggested=("fit", "fit_elastic_line"),
    where="plot",
)
@figure
def fit(
    data: xr.DataArray | xr.Dataset,
    table: xr.DataArray | xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    model: Any = None,
    parameter: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw a spectrum with the curve fitted to it, and the range fitted in grey.

    For many fits, over Q, temperature or any other one dimension, draw what they found
    against it: ``table.bp.plot.fit()`` the centres of elastic lines,
    ``table.bp.plot.fit(parameter="fwhm")`` their widths.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        The signal that was fitted, over one dimension; or, for a table that is of an
        average over Q, the map, which is averaged as the table was.
        ``table.bp.plot.fit(data)`` is the same. Or a table of fits over one dimension.
    table : xarray.Dataset, optional
        What `fit` or `fit_elastic_line` returned for one spectrum. For many fits it is
        left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    model : Model, lmfit.Model or callable, optional
        The model that was fitted, if it has no name in `xbp.models.MODELS`: a table
        contains numbers, no functions.
    parameter : str, optional
        Which of the numbers of many fits to draw, by default the first. Fits that are
        not ok are left out.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If `table` is not such a table, is of many fits and comes with data, or of one
        fit and comes without; if the function fitted or the parameter is not
        known.
    RangeError
        If the data have further dimensions.
    UnitsError
        If the data are in other units than those fitted.
    """
    if isinstance(data, xr.Dataset) and quantity_name(data) in FITS:
        if table is None:
            return _draw_many(data, parameter, ax, **kwargs)
        data, table = table, data
    numbers, along = _one_fit(table)
    not_used("the table has one fit", parameter=parameter)
    signal = _fitted_part(read(data), numbers, along)
    value = signal.value
    x = value[along]
    own_units, units = (c.attrs["units"] for c in (numbers[f"{along}_low"], x))
    factor = convert_factor(own_units, units, name=along, energy=along == "E")
    low, high = (float(numbers[f"{along}_{end}"]) * factor for end in ("low", "high"))
    found = str(numbers.status.values) == Status.OK
    places = np.linspace(low, high, 400)
    curve = None
    if found:
        curve = _curve(numbers, model, places / factor, value, str(own_units))
    axes = draw_cut(signal.source, ax, **kwargs)
    if curve is not None:
        axes.plot(places, curve, color=ORANGE, lw=1.6, zorder=3)
    show_fitted(axes, value, (low, high), curve)
    set_title(axes, *_title(numbers, found))
    return axes


def _draw_many(
    table: xr.Dataset, parameter: str | None, ax: Axes | None, **kwargs: Any
) -> Axes:
    """Draw what many fits found against the dimension that they are over."""
    kind = str(quantity_name(table))
    plain, status = read_table(table, kind, "status")
    if status.ndim != 1:
        own = "draws what they found" if status.ndim else "draws it in its data"
        raise QuantityError(
            f"the fits have dimensions {status.dims}; a figure needs one",
            fix=f"table{steps_after(plain)[0]} {own}",
        )
    known = _parameters(plain)
    name: str = choose(known[0] if parameter is None else parameter, known, "parameter")
    kwargs |= {"what": f"{name} of {kind}", "symbol": _symbols(plain)[name]}
    axes = draw_parameter(ax, plain, name, **kwargs)
    good = int((status == Status.OK).sum())
    set_title(axes, f"{_model_name(plain)}: {good} of {status.size} fits are ok")
    show_legend(axes)
    return axes


def _one_fit(table: Any) -> tuple[xr.Dataset, str]:
    """Return the table of one fit, and the dimension it was along."""
    given = quantity_name(table) if isinstance(table, xr.Dataset) else None
    if given not in FITS:
        what = repr(given) if given else kind_of(table)
        raise QuantityError(
            f"{'no table is given' if table is None else f'got {what}'}: plot.fit "
            "needs a table of .bp.fit",
            fix=own_figure(table) or "data.bp.plot.fit(data.bp.fit_elastic_line())",
        )
    plain, status = read_table(table, str(given), "status", "n_points")
    at = ", ".join(f"{dim}=0" for dim in status.dims)
    require_over(
        status,
        (),
        "one spectrum has one fit",
        fix=f"table{steps_after(plain)[0]} draws what they found; or "
        f"data.isel({at}).bp.plot.fit(table.isel({at}))",
        error=QuantityError,
    )
    ends = [str(name) for name in plain.variables if str(name).endswith("_low")]
    require_columns(plain, ends or ["E_low"], str(given))
    return plain, ends[0].removesuffix("_low")


def _fitted_part(signal: Signal, table: xr.Dataset, along: str) -> Signal:
    """Return the spectrum of the fit: of a map, the average over the table's Q."""
    bounds = table.coords.get("Q_bnds")
    is_map = "Q" in signal.value.dims and along == "E"
    if is_map and bounds is not None and bounds.dims == ("bnds",):
        units = str(table.Q.attrs["units"])
        ends = tuple(f"{float(end)!r} {units}" for end in bounds.values)
        signal = read(cut_Q(signal.source, ends))  # type: ignore[type-var]
    _require_spectrum(signal.value, along)
    return signal


def _require_spectrum(value: xr.DataArray, along: str) -> None:
    wanted = f"a fit is drawn in a spectrum over {along}"
    require_over(value, (along,), wanted, fix="data.bp.cut_Q(...), or data.isel(...)")


def _curve(
    table: xr.Dataset,
    model: Any,
    x: npt.NDArray[Any],
    value: xr.DataArray,
    x_units: str,
) -> npt.NDArray[Any]:
    """Return the fitted curve in the units of the data, at x in those of the table."""
    numbers = {name: float(table[name]) for name in _parameters(table)}
    units = str(value.attrs["units"])
    if quantity_name(table) == "fit_elastic_line":
        _require_units(table, {"energy": x_units, "height": units})
        sigma = numbers["fwhm"] / FWHM_PER_SIGMA
        line = gaussian(x, numbers["energy"], numbers["height"], sigma)
        return np.asarray(line + numbers["background"])
    name = str(table.attrs.get("model"))
    if name in MODELS or isinstance(model, Model):
        row = find_model(model if isinstance(model, Model) else name)
        own = row.y_units or units
        _require_units(table, parameter_units(row, x_units, own))
        factor = convert_factor(own, units, name="the model")
        return np.asarray(row.function(x, **numbers)) * factor
    if not isinstance(model, lmfit.Model) and not callable(model):
        raise QuantityError(
            f"the model {name!r} is not one of xbp.models.MODELS",
            fix="pass it again: data.bp.plot.fit(table, model=...)",
        )
    worker = model if isinstance(model, lmfit.Model) else lmfit.Model(model)
    if set(worker.param_names) != set(numbers):
        raise QuantityError(
            f"the model has the parameters {', '.join(worker.param_names)}, the table "
            f"{', '.join(numbers)}",
            fix="pass the model= of .bp.fit(...)",
        )
    return np.broadcast_to(evaluate(worker, worker.make_params(**numbers), x), x.shape)


def _parameters(table: xr.Dataset) -> list[str]:
    return [str(name) for name in table.data_vars if f"{name}_std" in table]


def _require_units(table: xr.Dataset, expected: dict[str, Any]) -> None:
    """Refuse data that are in other units than those fitted."""
    for name, given in expected.items():
        units = str(getattr(given, "attrs", {"units": given})["units"])
        fitted = str(table[name].attrs.get("units", "1"))
        if parse_unit(fitted) != parse_unit(units):
            raise UnitsError(
                f"the fit's {name} is in '{fitted}', the data in '{units}'",
                fix="pass the data that were fitted, or fit these",
            )


def _symbols(table: xr.Dataset) -> dict[str, str]:
    """Return how the parameters of a fit are written."""
    if quantity_name(table) == "fit_elastic_line":
        return _ELASTIC_LINE
    # Over another axis than E, such as C/T³ over T, "energy" is another number.
    over_E = "E_low" in table.variables
    energy = "energy" if over_E else "position of the maximum"
    return {n: energy if n == "energy" else n for n in _parameters(table)}


def _model_name(table: xr.Dataset) -> str:
    if quantity_name(table) == "fit_elastic_line":
        return "elastic line"
    return str(table.attrs.get("model", "fit")).removeprefix("Model").strip("()")


def _title(table: xr.Dataset, found: bool) -> list[str]:
    """Write what was fitted, its numbers, and how good it is."""
    what = _model_name(table)
    if not found:
        limiting = str(table.get("limiting_parameter", xr.DataArray("")).values)
        return [f"{what}: {table.status.values}{limiting and f' ({limiting})'}"]
    symbols = _symbols(table).items()
    each = [
        f"{s} = {parameter_text(table, n)}" for n, s in symbols if n != "background"
    ]
    # Lines end between numbers, not within one.
    numbers = ", ".join(one.replace(" ", "\xa0") for one in each)
    return [f"{what}: {numbers}", fit_quality(table)]


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
                f"got the table of .bp.{quantity_name(table)}(), not boson_peak()",
                fix=own_figure(table),
            )
    if isinstance(data, xr.Dataset) and quantity_name(data) == "boson_peak":
        return draw_energies(data, ax, **kwargs)
    if peak is None:
        shown = None if E_range is None else _limits(read(data), E_range, np.nan)
        axes = draw_cut(data, ax, **kwargs)
        if shown is not None:
            _show(axes, read(data), shown)
        return axes
    table, energies = read_table(peak, "boson_peak", "energy", *_COLUMNS, "status")
    wanted = "one spectrum has one peak"
    require_over(energies, (), wanted, fix="peak.isel(...)", error=QuantityError)
    signal = read(data)
    value = signal.value
    _require_spectrum(value, "E")
    _require_units(table, {"energy": value["E"], "height": value})
    shown = _limits(signal, E_range, float(table.E_high))
    axes = draw_cut(data, ax, **kwargs)
    mark_box_phonon(axes.axvline, value)
    if "box_phonon" in value.coords:
        show_legend(axes)
    if str(table.status.values) != Status.OK:
        set_title(axes, f"$E_\\mathrm{{BP}}$: {table.status.values}")
        low, high = float(table.E_low), float(table.E_high)
        if np.isfinite(low):
            # A fit shows its range by its curve.
            grey: dict[str, Any] = {"color": GREY, "alpha": 0.12, "lw": 0, "zorder": 0}
            axes.axvspan(low, high, label="range of the fit", **grey)
            # Its grey is seen on white.
            white = {"frameon": True, "facecolor": "white", "edgecolor": "none"}
            show_legend(axes, framealpha=1.0, **white)
        _show(axes, signal, shown)
        return axes
    E = np.linspace(float(table.E_low), float(table.E_high), 300)
    scalars = [(str(n), v) for n, v in table.data_vars.items() if not v.ndim]
    numbers = {name: float(v) for name, v in scalars if v.dtype.kind == "f"}
    curve = SHAPES[table.attrs["method"]].curve(E, numbers)
    energy, spread = numbers["energy"], systematic_error(table)
    axes.plot(E, curve, color=ORANGE, lw=1.6, zorder=3)
    axes.axvline(energy, color=GREY, lw=0.8, ls="--")
    if spread:
        band: dict[str, Any] = {"color": ORANGE, "alpha": 0.2, "lw": 0, "zorder": 0}
        axes.axvspan(energy - spread, energy + spread, **band)
    set_title(axes, f"$E_\\mathrm{{BP}}$ = {energy_text(table)}", fit_quality(table))
    _show(axes, signal, shown, numbers["height"])
    return axes


def _limits(signal: Signal, E_range: Any, fitted_to: float) -> tuple[float, float]:
    """Return the energies to show: those asked for, or twice those fitted."""
    if E_range is not None:
        return interval(E_range, signal.source, "E", name="E_range")
    E = signal.value["E"]
    if not np.isfinite(fitted_to):  # no fit: to 30 meV, where boson peaks are sought
        fitted_to = 15 * convert_factor("meV", str(E.attrs["units"]), energy=True)
    first, last = float(E[0]), float(E[-1])
    right = min(2 * fitted_to, last)
    return (first, last) if right <= first else (0.0, right)


def _show(
    axes: Axes,
    signal: Signal,
    limits: tuple[float, float],
    height: float | None = None,
) -> None:
    """Set the limits of both axes to what is about the peak."""
    value, (left, right) = signal.value, limits
    if left < right:
        axes.set_xlim(left, right)
    inside = (left <= value.E) & (right >= value.E) & (abs(value) < np.inf)
    shown = value.where(inside)
    highest = float(shown.where(value.E > 0).max())
    if height is not None and highest > 2 * HEADROOM * height:
        top = HEADROOM * height
    elif highest > 0:
        std = np.zeros(value.size) if signal.std is None else signal.std.values
        # Without a peak, to the top of what no elastic line dwarfs.
        rest = highest
        if height is None:
            rest = height_without_outliers(shown, np.nan_to_num(std))
        top = HEADROOM * rest if rest < highest else 1.1 * highest
    else:
        return
    limit_height(axes, shown, top, (float(shown.min()), float(shown.max())))


def draw_energies(
    table: xr.Dataset, ax: Axes | None, like: xr.DataArray | None = None, **kwargs: Any
) -> Axes:
    """Draw energies over their one dimension; on a map `like`, its labels stay."""
    plain, energy = read_table(table, "boson_peak", "energy", "energy_std", "status")
    if energy.ndim != 1 or (like is not None and energy.dims[0] not in like.dims):
        raise RangeError(
            f"the peaks have dimensions {energy.dims}; a figure needs one"
            + ("" if like is None else ", which the map has"),
            fix="peak.isel(...)",
        )
    if like is not None:
        dim = str(energy.dims[0])
        _require_units(plain, {"energy": like["E"], dim: like[dim]})
    systematic = "systematic" if "systematic" in plain else None
    kwargs |= {"what": "E", "symbol": r"$E_\mathrm{BP}$", "general": "$E$"}
    axes = draw_parameter(ax, plain, "energy", systematic=systematic, **kwargs)
    statuses, counts = np.unique(plain["status"].values, return_counts=True)
    if like is None and Status.OK not in statuses:
        said = ", ".join(
            f"{n} {status}" for status, n in zip(statuses, counts, strict=True)
        )
        set_title(axes, f"no $E_\\mathrm{{BP}}$: {said}")
        at = plain[energy.dims[0]]
        if at.dtype.kind in "fiu":
            axes.set_xlim(float(at.min()), float(at.max()))
    if like is None:
        mark_box_phonon(axes.axhline, energy)
        adjust_height(axes, from_zero=True)
        show_legend(axes)
    return axes
