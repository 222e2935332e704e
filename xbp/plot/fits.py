"""Fits: a spectrum with the fitted curve, or the numbers of many fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.operation import operation, steps_after
from xbp.core.pint_data import unwrap
from xbp.core.schema import quantity_name
from xbp.core.signal import Signal, read, table_signal
from xbp.core.status import OK
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.many import evaluate
from xbp.models.catalogue import MODELS, find_model, parameter_units
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian
from xbp.plot.curves import HEADROOM, draw_parameter, limit_height
from xbp.plot.cuts import draw_cut
from xbp.plot.shown import label_axes
from xbp.plot.style import (
    GREY,
    ORANGE,
    axes_of,
    figure,
    fit_quality,
    label,
    parameter_text,
    set_title,
)
from xbp.reduction import cut_Q

if TYPE_CHECKING:
    import lmfit
    from matplotlib.axes import Axes
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["FITS", "fit"]

#: Tables that this figure draws.
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
    model : lmfit.Model or callable, optional
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
        fit and comes without; if the function fitted is not known; if there is no such
        parameter.
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
    if parameter is not None:
        raise QuantityError(
            f"parameter={parameter!r} is for tables of many fits", fix="leave it out"
        )
    signal = _fitted_part(read(data), numbers, along)
    value = signal.value
    own_units = str(numbers[f"{along}_low"].attrs["units"])
    axis_units = str(value[along].attrs["units"])
    factor = convert_factor(
        own_units, axis_units, name=f"coordinate '{along}'", energy=along == "E"
    )
    low, high = (float(numbers[f"{along}_{end}"]) * factor for end in ("low", "high"))
    first, last = float(value[along].min()), float(value[along].max())
    if np.isfinite(low) and low < high:
        beside = (high - low) / 2
        first, last = max(first, low - beside), min(last, high + beside)
    found = str(numbers.status.values) == OK
    x = np.linspace(low, high, 400)
    curve = _curve(numbers, model, x / factor, value, own_units) if found else None
    axes = draw_cut(signal.source, ax, (first, last), **kwargs)
    axes.set_xlim(first, last)
    if curve is not None:
        seen = value.where((value[along] >= first) & (value[along] <= last))
        inside = value.where((value[along] >= low) & (value[along] <= high))
        axes.axvspan(low, high, color=GREY, alpha=0.12, lw=0, zorder=0)
        axes.plot(x, curve, color=ORANGE, lw=1.6, zorder=3)
        top = max(float(inside.max()), float(curve.max()))
        bottom = min(float(seen.min()), float(curve.min()), 0.0)
        highest = max(float(seen.max()), top)
        end = highest + 0.1 * abs(highest) if highest else 1.0
        if float(seen.max()) > 2 * HEADROOM * top > 0:
            end = HEADROOM * top
        limit_height(axes, seen, end, (float(seen.min()), float(seen.max())))
        axes.set_ylim(1.1 * bottom, None)
    set_title(axes, *_title(numbers, found))
    return axes


def _draw_many(
    table: xr.Dataset, parameter: str | None, ax: Axes | None, **kwargs: Any
) -> Axes:
    """Draw what many fits found against the dimension that they are over."""
    plain: xr.Dataset = unwrap(table)[0].compute()
    kind = str(quantity_name(plain))
    status = table_signal(plain, kind, "status").value
    if status.ndim == 0:
        raise QuantityError(
            "the table is of one fit, which is drawn in its data",
            fix="table.bp.plot.fit(data)",
        )
    if status.ndim > 1:
        raise QuantityError(
            f"the fits are over {status.dims}; they are drawn against one dimension",
            fix=f"table{steps_after(plain)[0]} draws what they found",
        )
    known = _parameters(plain)
    name = known[0] if parameter is None else parameter
    if name not in known:
        raise QuantityError(
            f"the table has no parameter {parameter!r}",
            fix=f"parameter={' or '.join(map(repr, known))}",
        )
    axes = axes_of(ax)
    draw_parameter(axes, plain, name, what=f"{name} of {kind}", **kwargs)
    symbol = _symbols(plain)[name]
    symbol = "position of the maximum" if symbol == "maximum at" else symbol
    label_axes(axes, y=label(symbol, str(plain[name].attrs.get("units", "1"))))
    good = int((status == OK).sum())
    set_title(axes, f"{_model_name(plain)}: {good} of {status.size} fits are ok")
    return axes


def _one_fit(table: Any) -> tuple[xr.Dataset, str]:
    """Return the table of one fit, and the dimension it was along."""
    plain = unwrap(table)[0].compute() if isinstance(table, xr.Dataset) else table
    given = quantity_name(plain) if isinstance(plain, xr.Dataset) else None
    if given not in FITS:
        own = {
            "boson_peak": "spectrum.bp.plot.peak(table)",
            "fit_heat_capacity": "table.bp.plot.heat_capacity()",
        }
        what = f"got {'a ' + repr(given) if given else type(plain).__name__}"
        raise QuantityError(
            "no table is given" if plain is None else what,
            reason="this draws the table of .bp.fit(...) or .bp.fit_elastic_line(...)",
            fix=own.get(
                str(given), "line = data.bp.fit_elastic_line(); data.bp.plot.fit(line)"
            ),
        )
    status = table_signal(plain, str(given), "status", needs=("n_points",)).value
    if status.ndim:
        at = ", ".join(f"{dim}=0" for dim in status.dims)
        raise QuantityError(
            f"the fits are over {status.dims}; one spectrum has one fit",
            fix=f"table{steps_after(plain)[0]} draws what they found; or choose one "
            f"of each: data.isel({at}).bp.plot.fit(table.isel({at}))",
        )
    ends = [str(name) for name in plain.variables if str(name).endswith("_low")]
    if not ends:
        raise QuantityError(
            "the table lacks the range that was fitted",
            fix="pass it as it was returned",
        )
    return plain, ends[0].removesuffix("_low")


def _fitted_part(signal: Signal, table: xr.Dataset, along: str) -> Signal:
    """Return the spectrum of the fit: of a map, the average over the table's Q."""
    if (
        "Q" in signal.value.dims
        and along == "E"
        and "Q_bnds" in table.coords
        and table.Q_bnds.dims == ("bnds",)
    ):
        units = str(table.Q.attrs["units"])
        ends = tuple(f"{float(end)!r} {units}" for end in table.Q_bnds.values)
        signal = read(cut_Q(signal.source, ends))  # type: ignore[type-var]
    if signal.value.dims != (along,):
        raise RangeError(
            f"'{signal.value.name}' is over {signal.value.dims}; a fit is drawn in the "
            f"spectrum over {along} that it is of",
            fix="pass that spectrum, data.bp.cut_Q(...), or choose one: data.isel(...)",
        )
    return signal


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
    if name in MODELS:
        row = find_model(name)
        own = row.y_units or units
        _require_units(table, parameter_units(row, x_units, own))
        factor = convert_factor(own, units, name="the model")
        return np.asarray(row.function(x, **numbers)) * factor
    if not isinstance(model, lmfit.Model) and not callable(model):
        raise QuantityError(
            f"the model {name!r} of the table is not one of xbp.models.MODELS",
            reason="a table contains numbers, no functions",
            fix="pass the model again: data.bp.plot.fit(table, model=...)",
        )
    worker = model if isinstance(model, lmfit.Model) else lmfit.Model(model)
    if set(worker.param_names) != set(numbers):
        raise QuantityError(
            f"the model has the parameters {', '.join(worker.param_names)}, the table "
            f"{', '.join(numbers)}",
            fix="model= what .bp.fit(...) was given",
        )
    return np.broadcast_to(evaluate(worker, worker.make_params(**numbers), x), x.shape)


def _parameters(table: xr.Dataset) -> list[str]:
    return [str(name) for name in table.data_vars if f"{name}_std" in table]


def _require_units(table: xr.Dataset, expected: dict[str, str]) -> None:
    """Refuse data that are in other units than those fitted."""
    for name, units in expected.items():
        fitted = str(table[name].attrs.get("units", "1"))
        if parse_unit(fitted) != parse_unit(units):
            raise UnitsError(
                f"the fit's {name} is in '{fitted}', and for these data would be in "
                f"'{units}'",
                fix="pass the data that were fitted, or fit these",
            )


def _symbols(table: xr.Dataset) -> dict[str, str]:
    """Return how the parameters of a fit are written."""
    if quantity_name(table) == "fit_elastic_line":
        return _ELASTIC_LINE
    # Over another axis than E, such as C/T³ over T, "energy" is another number.
    energy = "energy" if "E_low" in table.variables else "maximum at"
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
    each = [f"{s} {parameter_text(table, n)}" for n, s in symbols if n != "background"]
    # Lines end between numbers, not within one.
    numbers = ", ".join(one.replace(" ", "\xa0") for one in each)
    return [f"{what}: {numbers}", fit_quality(table)]
