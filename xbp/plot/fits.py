"""The figure of a fit.

a spectrum with the curve that was fitted to it, in the range fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import numpy.typing as npt
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import quantity_name
from xbp.core.signal import Signal, read, table_signal
from xbp.core.status import OK
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.one_fit import call
from xbp.models.catalogue import MODELS, NamedModel, find_model, parameter_units
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian
from xbp.plot.axes import GREY, ORANGE, axes_of, label, like_xarray
from xbp.plot.cuts import draw_cut
from xbp.plot.limits import HEADROOM, up_to
from xbp.plot.many import draw_numbers
from xbp.plot.shown import label_axes
from xbp.plot.titles import entitle, quality, value_of
from xbp.reduction import cut_Q
from xbp.summary.numbers import called
from xbp.summary.results import steps_after

if TYPE_CHECKING:
    import lmfit
    from matplotlib.axes import Axes
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["FITS", "fit"]

#: Tables that this figure is of.
FITS = ("fit", "fit_elastic_line")
#: The figure reaches to this part of the range fitted beyond either end.
_BESIDE = 0.5
#: How the numbers of an elastic line are called.
_OF_A_LINE = {
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
@like_xarray
def fit(
    data: xr.DataArray | xr.Dataset,
    table: xr.DataArray | xr.Dataset | None = None,
    ax: Axes | None = None,
    *,
    model: Any = None,
    parameter: str | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw a spectrum with the curve that `fit` or `fit_elastic_line` fitted to it, and the range fitted in grey.

    Of many fits, over Q, temperature or any other one dimension, draw what they found
    against it: ``table.bp.plot.fit()`` the centres of elastic lines,
    ``table.bp.plot.fit(parameter="fwhm")`` their widths.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        The signal that was fitted, over one dimension; of a table for an average over Q
        the map will do, which is averaged as the table says.
        ``table.bp.plot.fit(data)`` is the same. Or a table of fits over one dimension.
    table : xarray.Dataset, optional
        What `fit` or `fit_elastic_line` returned: one fit. Of many it is left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    model : lmfit.Model or callable, optional
        The model that was fitted, where it has no name in `xbp.models.MODELS`: a table
        holds numbers, no functions.
    parameter : str, optional
        Which of the fitted numbers of many fits to draw, the first unless given. Fits
        that are not ok are left out.
    **kwargs
        For `matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    QuantityError
        If `table` is no such table, it is of many fits and comes with data, or of one
        fit and comes without, it does not tell which function was fitted, or has no
        such parameter.
    RangeError
        If the data have further dimensions.
    UnitsError
        If the data are in other units than those fitted.
    """
    if isinstance(data, xr.Dataset) and quantity_name(data) in FITS:
        if table is None:
            return _many(data, parameter, ax, **kwargs)
        data, table = table, data
    numbers, along = _one_fit(table)
    if parameter is not None:
        raise QuantityError(
            f"parameter={parameter!r} is given",
            reason="of one fit the curve is drawn",
            fix="leave it out",
        )
    signal = _fitted_part(read(data), numbers, along)
    value = signal.value
    axis_units, own_units = (
        str(v.attrs["units"]) for v in (value[along], numbers[f"{along}_low"])
    )
    factor = convert_factor(
        own_units, axis_units, name=f"coordinate '{along}'", energy=along == "E"
    )
    found = str(numbers.status.values) == OK
    low, high = (float(numbers[f"{along}_{end}"]) * factor for end in ("low", "high"))
    curve = None
    if found:
        x = np.linspace(low, high, 400)
        curve = _curve(numbers, model, x / factor, value, own_units)
    first, last = float(value[along].min()), float(value[along].max())
    shown = (first, last)
    if np.isfinite(low) and low < high:
        shown = (
            max(first, low - _BESIDE * (high - low)),
            min(last, high + _BESIDE * (high - low)),
        )
    axes = draw_cut(signal.source, ax, shown, **kwargs)
    seen = value.where((value[along] >= shown[0]) & (value[along] <= shown[1]))
    axes.set_xlim(*shown)
    if curve is not None:
        inside = value.where((value[along] >= low) & (value[along] <= high))
        axes.axvspan(low, high, color=GREY, alpha=0.12, lw=0, zorder=0)
        axes.plot(x, curve, color=ORANGE, lw=1.6, zorder=3)
        top, bottom = (
            max(float(inside.max()), float(curve.max())),
            min(float(seen.min()), float(curve.min()), 0.0),
        )
        up_to(
            axes,
            seen,
            HEADROOM * top
            if float(seen.max()) > 2 * HEADROOM * top > 0
            else _above(seen, top),
        )
        axes.set_ylim(1.1 * bottom, None)
    entitle(axes, *_said(numbers, found))
    return axes


def _many(
    table: xr.Dataset, parameter: str | None, ax: Axes | None, **kwargs: Any
) -> Axes:
    """Draw what many fits found against the dimension that they are over."""
    plain: xr.Dataset = unwrap(table)[0].compute()
    status = table_signal(plain, str(quantity_name(plain)), "status").value
    if status.ndim != 1:
        raise QuantityError(
            f"the fits are over {status.dims}"
            if status.ndim
            else "the table is of one fit",
            reason="numbers of fits are drawn against one dimension"
            if status.ndim
            else "it is drawn in its data",
            fix=f"table{steps_after(plain)[0]} draws what they found"
            if status.ndim
            else "table.bp.plot.fit(data)",
        )
    known = _parameters(plain)
    name = known[0] if parameter is None else parameter
    if name not in known:
        raise QuantityError(
            f"parameter={parameter!r} is none of the table",
            reason="a fitted number is drawn",
            fix=f"parameter={' or '.join(map(repr, known))}",
        )
    axes = axes_of(ax)
    draw_numbers(axes, plain, name, what=f"{name} of {quantity_name(plain)}", **kwargs)
    line = quantity_name(plain) == "fit_elastic_line"
    what = "position of the maximum" if called(plain, name) != name else name
    label_axes(
        axes,
        y=label(
            _OF_A_LINE[name] if line else what, str(plain[name].attrs.get("units", "1"))
        ),
    )
    good = int((status == OK).sum())
    entitle(axes, f"{_what(plain)}: {good} of {status.size} fits are ok")
    return axes


def _above(seen: xr.DataArray, top: float) -> float:
    """Return an end of the axis a little above all that is seen."""
    highest = max(float(seen.max()), top)
    return highest + 0.1 * abs(highest) if highest else 1.0


def _one_fit(table: Any) -> tuple[xr.Dataset, str]:
    """Return the table of one fit, and the dimension it was along."""
    plain = unwrap(table)[0].compute() if isinstance(table, xr.Dataset) else table
    given = quantity_name(plain) if isinstance(plain, xr.Dataset) else None
    if given not in FITS:
        own = {
            "boson_peak": "spectrum.bp.plot.peak(table)",
            "fit_heat_capacity": "table.bp.plot.heat_capacity()",
        }
        raise QuantityError(
            "no table is given"
            if plain is None
            else f"got {'a ' + repr(given) if given else type(plain).__name__}",
            reason="this draws the table that .bp.fit(...) or "
            ".bp.fit_elastic_line(...) returned",
            fix=own.get(
                str(given), "line = data.bp.fit_elastic_line(); data.bp.plot.fit(line)"
            ),
        )
    status = table_signal(plain, str(given), "status", needs=("n_points",)).value
    if status.ndim:
        at = ", ".join(f"{dim}=0" for dim in status.dims)
        raise QuantityError(
            f"the fits are over {status.dims}",
            reason="one spectrum has one fit",
            fix=f"table{steps_after(plain)[0]} draws what they found; or choose one "
            "of each: "
            f"data.isel({at}).bp.plot.fit(table.isel({at}))",
        )
    along = next(
        (
            str(name).removesuffix("_low")
            for name in plain.variables
            if str(name).endswith("_low")
        ),
        None,
    )
    if along is None:
        raise QuantityError(
            "the table has no range that was fitted",
            reason="it is read as a whole",
            fix="pass it as it was returned",
        )
    return plain, along


def _fitted_part(signal: Signal, table: xr.Dataset, along: str) -> Signal:
    """Return the one spectrum of the fit.

    Of a map, its average over the Q that the table is of.
    """
    value = signal.value
    averaged = (
        "Q" in value.dims
        and along == "E"
        and "Q_bnds" in table.coords
        and table.Q_bnds.dims == ("bnds",)
    )
    if averaged:
        units = str(table.Q.attrs["units"])
        ends = tuple(f"{float(end)!r} {units}" for end in table.Q_bnds.values)
        signal = read(cut_Q(signal.source, ends))  # type: ignore[type-var]
        value = signal.value
    if value.dims != (along,):
        raise RangeError(
            f"'{value.name}' is over {value.dims}",
            reason=f"a fit is drawn in the spectrum over {along} that it was made of",
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
    """Return the curve that was fitted, in the units of the data, at places in those of the table."""
    numbers = {name: float(table[name]) for name in _parameters(table)}
    if quantity_name(table) == "fit_elastic_line":
        _require_units(table, {"energy": x_units, "height": str(value.attrs["units"])})
        sigma = numbers["fwhm"] / FWHM_PER_SIGMA
        return np.asarray(
            gaussian(x, numbers["energy"], numbers["height"], sigma)
            + numbers["background"]
        )
    name = str(table.attrs.get("model"))
    if name in MODELS:
        row: NamedModel = find_model(name)
        own = row.y_units or str(value.attrs["units"])
        _require_units(table, parameter_units(row, x_units, own))
        return np.asarray(row.function(x, **numbers)) * convert_factor(
            own, str(value.attrs["units"]), name="the model"
        )
    if not isinstance(model, lmfit.Model) and not callable(model):
        raise QuantityError(
            f"the table is of the model {name!r}",
            reason="that is no name in xbp.models.MODELS, and a table holds numbers, "
            "no functions",
            fix="pass what was fitted once more: data.bp.plot.fit(table, model=...)",
        )
    worker = model if isinstance(model, lmfit.Model) else lmfit.Model(model)
    if set(worker.param_names) != set(numbers):
        raise QuantityError(
            f"the model has the parameters {', '.join(worker.param_names)}; those of "
            "the table are "
            f"{', '.join(numbers)}",
            reason="another function was fitted",
            fix="model= what .bp.fit(...) was given",
        )
    return np.broadcast_to(call(worker, worker.make_params(**numbers), x), x.shape)


def _parameters(table: xr.Dataset) -> list[str]:
    return [str(name) for name in table.data_vars if f"{name}_std" in table]


def _require_units(table: xr.Dataset, expected: dict[str, str]) -> None:
    """Refuse data that are in other units than those fitted."""
    for name, units in expected.items():
        fitted = str(table[name].attrs.get("units", "1"))
        if parse_unit(fitted) != parse_unit(units):
            raise UnitsError(
                f"the fit's {name} is in '{fitted}', and in these data would be in "
                f"'{units}'",
                reason="drawn together they would not fit",
                fix="pass the data that were fitted, or fit these",
            )


def _what(table: xr.Dataset) -> str:
    """Name what was fitted."""
    if quantity_name(table) == "fit_elastic_line":
        return "elastic line"
    return str(table.attrs.get("model", "fit")).removeprefix("Model").strip("()")


def _said(table: xr.Dataset, found: bool) -> list[str]:
    """Write the title: what was fitted, its numbers, and how good it is."""
    line, what = quantity_name(table) == "fit_elastic_line", _what(table)
    if not found:
        limiting = (
            str(table.limiting_parameter.values)
            if "limiting_parameter" in table
            else ""
        )
        return [f"{what}: {table.status.values}{limiting and f' ({limiting})'}"]
    names = (
        [name for name in _OF_A_LINE if name != "background"]
        if line
        else _parameters(table)
    )
    each = [
        f"{_OF_A_LINE[n] if line else called(table, n)} {value_of(table, n)}"
        for n in names
    ]
    # Lines end between numbers, not within one.
    return [
        f"{what}: {', '.join(one.replace(' ', chr(0xA0)) for one in each)}",
        quality(table),
    ]
