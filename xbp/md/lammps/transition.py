"""Where the liquid became a glass: the kink in the density or energy of a quench."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.schema import CONVENTIONS, SCHEMA_VERSION
from xbp.core.signal import extend_history
from xbp.core.status import FAILED, NO_KINK, OK, TOO_FEW

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["glass_transition"]

#: Bins of temperature, whose means are fitted: neighbouring times of a quench are not
#: independent.
_BINS = 40
_FEWEST = 12
#: Two slopes that differ by less than this many standard deviations are one.
_SIGNIFICANT = 4


def glass_transition(thermo: xr.Dataset) -> xr.Dataset:
    r"""Estimate the glass transition temperature from the kink in a quench.

    Two straight lines that meet at T_g are fitted to the density against temperature,
    or, where the volume was kept, to the potential energy:

    .. math:: y = y_g + a_g \min(T - T_g, 0) + a_l \max(T - T_g, 0)

    Parameters
    ----------
    thermo : xarray.Dataset
        What `open_thermo` returned.

    Returns
    -------
    xarray.Dataset
        ``Tg`` (K) with ``_std`` from the scatter about the fit, the slopes
        ``glass_slope`` and ``liquid_slope``, and ``status``. T_g is that of the cooling
        rate, which the data carry, and the curves bend where the fit has a kink: the
        choice of the range matters more than the std.

    Raises
    ------
    QuantityError
        If these are no thermodynamics of a quench.

    Examples
    --------
    >>> T = np.linspace(2000, 300, 500)
    >>> density = 7 - 1e-4 * np.minimum(T - 750, 0) - 4e-4 * np.maximum(T - 750, 0)
    >>> columns = {"temperature": ("time", T, {"units": "K"}),
    ...            "density": ("time", density, {"units": "g/cm**3"})}
    >>> thermo = xr.Dataset(columns, coords={"stage": ("time", ["quench"] * 500)},
    ...                     attrs={"quantity": "thermodynamics"})
    >>> abs(float(glass_transition(thermo).Tg) - 750) < 5
    True
    """
    if (
        not isinstance(thermo, xr.Dataset)
        or thermo.attrs.get("quantity") != "thermodynamics"
    ):
        raise QuantityError(
            "these are not thermodynamics, the Dataset that open_thermo returns",
            fix="xbp.md.lammps.open_thermo(path)",
        )
    quench = thermo.isel(time=np.flatnonzero(thermo.stage.values == "quench"))
    temperature = quench.temperature.values
    density = quench["density"].values
    free = density.size > 0 and float(np.ptp(density)) > 1e-9 * float(density.mean())
    name = "density" if free else "potential_energy"
    found = np.full(4, np.nan)
    status = TOO_FEW
    if temperature.size >= _FEWEST:
        edges = np.linspace(temperature.min(), temperature.max(), _BINS + 1)
        place = np.clip(np.searchsorted(edges, temperature) - 1, 0, _BINS - 1)
        count = np.bincount(place, minlength=_BINS)
        full = count > 0
        x = np.bincount(place, temperature, _BINS)[full] / count[full]
        y = np.bincount(place, quench[name].values, _BINS)[full] / count[full]
        found, status = _kink(x, y)
    units = quench[name].attrs["units"]
    labels = {
        "Tg": ("K", "glass transition temperature"),
        "Tg_std": ("K", "standard deviation of glass transition temperature"),
        "glass_slope": (
            f"{units}/K",
            f"slope of the {name.replace('_', ' ')} of the glass",
        ),
        "liquid_slope": (
            f"{units}/K",
            f"slope of the {name.replace('_', ' ')} of the liquid",
        ),
    }
    ds = xr.Dataset(
        {
            key: ((), value, {"units": u, "long_name": text})
            for (key, (u, text)), value in zip(labels.items(), found, strict=True)
        }
    )
    ds["status"] = ((), status)
    ds.Tg.attrs["ancillary_variables"] = "Tg_std"
    scalars = {key: c for key, c in thermo.coords.items() if c.ndim == 0}
    ds.attrs = {
        "Conventions": CONVENTIONS,
        "xbp_schema": SCHEMA_VERSION,
        "quantity": "glass_transition",
        "from": name,
        "history": extend_history(
            thermo.attrs.get("history"), "glass_transition", {"from": name}
        ),
    }
    return ds.assign_coords(scalars)


def _kink(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, str]:
    def lines(
        T: np.ndarray, Tg: float, level: float, glass: float, liquid: float
    ) -> np.ndarray:
        return np.asarray(
            level + glass * np.minimum(T - Tg, 0) + liquid * np.maximum(T - Tg, 0)
        )

    # In units of their own spread: the least squares of numbers far from 1 stop early.
    scale, size = float(np.ptp(x)), float(np.ptp(y)) or 1.0
    u, v = (x - x.min()) / scale, (y - y.mean()) / size
    best = None
    for start in (0.25, 0.5, 0.75):  # the valley of a kink has more than one floor
        model = lmfit.Model(lines, independent_vars=["T"])
        guess = np.polyfit(u, v, 1)[0]
        parameters = model.make_params(
            Tg=start, level=float(np.interp(start, u, v)), glass=guess, liquid=guess
        )
        parameters["Tg"].set(min=0.03, max=0.97)
        fit = model.fit(v, parameters, T=u)
        if best is None or fit.chisqr < best.chisqr:
            best = fit
    assert best is not None
    Tg = best.params["Tg"]
    if not best.success or Tg.stderr is None or not 0.04 < Tg.value < 0.96:
        return np.full(4, np.nan), FAILED
    glass, liquid = best.params["glass"], best.params["liquid"]
    if not abs(glass.value - liquid.value) > _SIGNIFICANT * np.hypot(
        glass.stderr, liquid.stderr
    ):
        return np.full(4, np.nan), NO_KINK
    slopes = [best.params[name].value * size / scale for name in ("glass", "liquid")]
    return np.array([Tg.value * scale + x.min(), Tg.stderr * scale, *slopes]), OK
