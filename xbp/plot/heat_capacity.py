"""The figure of a heat capacity: (C − γT)/T³, and what was fitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import quantity_name
from xbp.core.signal import read, table_signal
from xbp.core.status import OK, UNPHYSICAL
from xbp.core.units import convert_factor
from xbp.models.debye_einstein import debye_einstein
from xbp.plot.axes import (
    BLUE,
    GREEN,
    ORANGE,
    axes_of,
    label,
    like_xarray,
    logarithmic,
    power_of,
)
from xbp.plot.curves import DENSE, draw_curve
from xbp.plot.limits import HEADROOM, say_beyond
from xbp.plot.shown import label_axes, require_same
from xbp.plot.titles import energy_of, entitle
from xbp.reduction import reduced_heat_capacity
from xbp.reduction.heat_capacity import in_kelvin, kelvins
from xbp.summary.energies import is_poor_heat_capacity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heat_capacity", "peak_of"]

_NAMES = ("gamma", "n_D", "theta_D", "n_E", "theta_E", "sigma_E")
_NEEDS = (
    *_NAMES,
    "energy",
    "energy_std",
    "energy_E",
    "energy_E_std",
    "status",
    "peak_status",
)


@operation(
    takes=("heat_capacity", "fit_heat_capacity"),
    step=49,
    when=lambda C: "status" in C.coords or "mol" in str(C.attrs.get("units")),
    where="plot",
)
@like_xarray
def heat_capacity(
    data: xr.DataArray | xr.Dataset,
    fit: xr.Dataset | None = None,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw (C − γT)/T³ against temperature, with the curve fitted to it and its Debye part.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A heat capacity over temperature alone; or what `fit_heat_capacity` returned,
        which holds the data fitted.
    fit : xarray.Dataset, optional
        What `fit_heat_capacity` returned for it, whose γ is taken off; without it γ is
        0. Of `scan_heat_capacity` the title gives the systematic errors, too.
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
        If `data` is no heat capacity, or `fit` no fit of one.
    RangeError
        If either has a further dimension.
    """
    if isinstance(data, xr.Dataset) and quantity_name(data) == "fit_heat_capacity":
        fit = data
        data = xr.Dataset({name: data[name] for name in ("C", "C_std") if name in data})
    signal = read(in_kelvin(data), "heat_capacity")
    if signal.value.dims != ("temperature",):
        raise RangeError(
            f"the heat capacity is over {signal.value.dims}",
            reason="one curve is drawn",
            fix="choose one: data.isel(...)",
        )
    numbers: dict[str, float] = {}
    if fit is not None:
        table = unwrap(fit)[0].compute()
        if table_signal(table, "fit_heat_capacity", "theta_E", needs=_NEEDS).value.ndim:
            raise QuantityError(
                "there are many fits",
                reason="one curve is drawn",
                fix="choose one: fit.isel(...)",
            )
        numbers = {name: float(table[name]) for name in _NAMES}
    plain: Any = signal.source
    found = bool(numbers) and str(table["status"].values) == OK
    reduced = read(
        reduced_heat_capacity(
            plain, f"{numbers['gamma']!r} J/mol/K^2" if found else 0.0
        )
    )
    value = reduced.value.compute()
    value = value.where(abs(value) < np.inf)
    T, units = value["temperature"], value["temperature"].attrs["units"]
    axes = axes_of(ax)
    require_same(
        axes,
        ("temperature", str(units)),
        ("reduced_heat_capacity", str(value.attrs["units"])),
    )
    axes.set_xscale("log")
    style: dict[str, Any] = {"color": BLUE, "label": "data"} | kwargs
    draw_curve(axes, T, value, reduced.std, line=T.size > DENSE, **style)
    power, title = power_of(value), ""
    if fit is not None and not found:
        title = f"no fit: {table['status'].values}"
    if found:
        # The curve says nothing of what it was not fitted to, such as an upturn below.
        ends = float(table["temperature_low"]), float(table["temperature_high"])
        kelvin = np.geomspace(ends[0], ends[1], 400)
        scale = convert_factor("J/mol/K^4", value.attrs["units"], name="C/T³")
        whole = debye_einstein(kelvin, **(numbers | {"gamma": 0.0})) / kelvin**3 * scale
        debye = (
            debye_einstein(kelvin, **(numbers | {"gamma": 0.0, "n_E": 0.0}))
            / kelvin**3
            * scale
        )
        axes.plot(kelvin, whole, color=ORANGE, lw=1.6, zorder=3, label="fit")
        axes.plot(
            kelvin,
            debye,
            color=GREEN,
            lw=1.2,
            ls="--",
            zorder=3,
            label="its Debye phonons",
        )
        title = f"$k_B\\theta_E$ = {energy_of(table, 'energy_E')}"
        title += (
            f"\n{peak_of(table)}{' (poor)' if is_poor_heat_capacity(table) else ''}"
        )
    if fit is not None:
        entitle(axes, title)
    axes.legend(frameon=False, fontsize="small")
    symbol = r"$(C_p-\gamma T)/T^3$" if found and numbers["gamma"] else "$C_p/T^3$"
    general = label(r"$(C_p-\gamma T)/T^3$", value.attrs["units"], power)
    written = label(symbol, value.attrs["units"], power)
    label_axes(axes, label("$T$", units), written, power=power, general=general)
    logarithmic(axes)
    if value.notnull().any():
        axes.set_ylim(min(0.0, 1.1 * float(value.min())), None)
    fitted = (
        value.where((kelvins(value) >= ends[0]) & (kelvins(value) <= ends[1]))
        if found
        else value
    )
    if found and float(value.max()) > HEADROOM * float(fitted.max()):
        top = HEADROOM * float(fitted.max())
        axes.set_ylim(None, top)
        say_beyond(axes, float(value.max()), top, power)
    return axes


def peak_of(table: xr.Dataset) -> str:
    """Write the maximum of g/E² of a fit, or in few words why there is none.

    What to do then is printed, not drawn.
    """
    said = str(table["peak_status"].values)
    if said == OK:
        return f"maximum of $g/E^2$: {energy_of(table)}"
    if said == UNPHYSICAL:
        negative = float(table["gamma"]) + 2 * float(table["gamma_std"]) < 0
        said = f"{said}, {'gamma below 0' if negative else 'too many modes'}"
    return f"$g/E^2$: {said}"
