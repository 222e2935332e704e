"""The figure of a heat capacity: (C − γT)/T³, and what was fitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xbp.core.diagnostic import is_poor
from xbp.core.errors import QuantityError
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import quantity_name
from xbp.core.signal import read, table_signal
from xbp.core.status import OK, UNPHYSICAL
from xbp.core.units import convert_factor
from xbp.models.debye_einstein import debye_einstein
from xbp.plot.curves import DENSE, HEADROOM, draw_curve, note_beyond
from xbp.plot.shown import label_axes, require_same
from xbp.plot.style import (
    BLUE,
    GREEN,
    ORANGE,
    axes_of,
    energy_text,
    figure,
    label,
    logarithmic,
    power_of,
    require_dims,
    set_title,
)
from xbp.reduction import reduced_heat_capacity
from xbp.reduction.heat_capacity import in_kelvin, kelvins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["heat_capacity", "peak_of"]

_NAMES = "gamma", "n_D", "theta_D", "n_E", "theta_E", "sigma_E"
_ENERGIES = "energy", "energy_std", "energy_E", "energy_E_std", "status", "peak_status"


@operation(
    takes=("heat_capacity", "fit_heat_capacity"),
    step=49,
    when=lambda C: "status" in C.coords or "mol" in str(C.attrs.get("units")),
    where="plot",
)
@figure
def heat_capacity(
    data: xr.DataArray | xr.Dataset,
    fit: xr.Dataset | None = None,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw (C − γT)/T³ against temperature, with its fit and the Debye part.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A heat capacity over temperature alone; or what `fit_heat_capacity` returned,
        which contains the data fitted.
    fit : xarray.Dataset, optional
        What `fit_heat_capacity` returned for it, whose γ is subtracted; without it γ
        is 0. For `scan_heat_capacity` the title gives the systematic errors, too.
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
        If `data` is not a heat capacity, or `fit` not a fit of one.
    RangeError
        If either has a further dimension.
    """
    if isinstance(data, xr.Dataset) and quantity_name(data) == "fit_heat_capacity":
        fit = data
        data = xr.Dataset({name: data[name] for name in ("C", "C_std") if name in data})
    signal = read(in_kelvin(data), "heat_capacity")
    require_dims(signal.value, "temperature")
    numbers: dict[str, float] = {}
    if fit is not None:
        table = unwrap(fit)[0].compute()
        needs = (*_NAMES, *_ENERGIES)
        theta = table_signal(table, "fit_heat_capacity", "theta_E", needs=needs).value
        if theta.ndim:
            raise QuantityError(
                "there are many fits; one is drawn", fix="choose one: fit.isel(...)"
            )
        numbers = {name: float(table[name]) for name in _NAMES}
    found = bool(numbers) and str(table["status"].values) == OK
    gamma: Any = f"{numbers['gamma']!r} J/mol/K^2" if found else 0.0
    source: Any = signal.source
    reduced = read(reduced_heat_capacity(source, gamma))
    value = reduced.value.compute()
    value = value.where(abs(value) < np.inf)
    T_units, units = str(value.temperature.attrs["units"]), str(value.attrs["units"])
    axes = axes_of(ax)
    require_same(axes, ("temperature", T_units), ("reduced_heat_capacity", units))
    axes.set_xscale("log")
    style: dict[str, Any] = {"color": BLUE, "label": "data"} | kwargs
    draw_curve(axes, value, reduced.std, line=value.size > DENSE, **style)
    shown = value
    if found:
        # Only where it was fitted: below, there may be an upturn of another cause.
        low, high = (float(table[f"temperature_{end}"]) for end in ("low", "high"))
        T = np.geomspace(low, high, 400)
        factor = convert_factor("J/mol/K^4", units, name="C/T³")
        without_gamma = numbers | {"gamma": 0.0}
        for name, color, dashes, own in (
            ("fit", ORANGE, "-", without_gamma),
            ("its Debye phonons", GREEN, "--", without_gamma | {"n_E": 0.0}),
        ):
            curve = debye_einstein(T, **own) / T**3 * factor
            axes.plot(T, curve, color=color, lw=1.5, ls=dashes, zorder=3, label=name)
        shown = value.where((kelvins(value) >= low) & (kelvins(value) <= high))
        poor = " (poor)" if is_poor(table) else ""
        energy = f"$k_B\\theta_E$ = {energy_text(table, 'energy_E')}"
        set_title(axes, energy, f"{peak_of(table)}{poor}")
    elif fit is not None:
        set_title(axes, f"no fit: {table['status'].values}")
    power = power_of(shown)
    symbol = r"$(C_p-\gamma T)/T^3$" if found and numbers["gamma"] else "$C_p/T^3$"
    general = label(r"$(C_p-\gamma T)/T^3$", units, power)
    y = label(symbol, units, power)
    label_axes(axes, label("$T$", T_units), y, power=power, general=general)
    logarithmic(axes)
    highest, seen = float(value.max()), float(shown.max())
    if np.isfinite(highest) and highest > 0:
        # The legend has room above the curves.
        top = (HEADROOM if highest > HEADROOM * seen else 1.35) * seen
        low = min(0.0, 1.1 * float(value.min()))
        if len(axes.containers) > 1:  # beside others
            low, top = min(low, axes.get_ylim()[0]), max(top, axes.get_ylim()[1])
        axes.set_ylim(low, top)
        note_beyond(axes, highest, top, power, height=0.88)
    names: dict[str, Any] = {"loc": "upper center", "ncols": 3, "columnspacing": 1.0}
    axes.legend(frameon=False, fontsize="small", handlelength=1.5, **names)
    return axes


def peak_of(table: xr.Dataset) -> str:
    """Write the maximum of g/E² of a fit, or why there is none."""
    status = str(table["peak_status"].values)
    if status == OK:
        return f"maximum of $g/E^2$: {energy_text(table)}"
    if status == UNPHYSICAL:
        negative = float(table["gamma"]) + 2 * float(table["gamma_std"]) < 0
        status = f"{status}, {'gamma below 0' if negative else 'too many modes'}"
    return f"$g/E^2$: {status}"
