"""Thermodynamics of a run, and the temperature where a liquid became a glass."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError, require
from xbp.core.schema import DATASET_LABELS
from xbp.core.signal import extend_history
from xbp.core.status import Status
from xbp.io.zarr_store import require_stored
from xbp.md.lammps.worker import THERMO

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["glass_transition", "open_thermo", "quench_rate", "write_thermo"]

#: The group of a trajectory's file, or store, that holds them.
_GROUP = "thermo"
_THERMO_UNITS = {
    "temp": ("temperature", "K"),
    "press": ("pressure", "bar"),
    "density": ("density", "g/cm**3"),
    "pe": ("potential_energy", "eV"),
    "etotal": ("total_energy", "eV"),
    "vol": ("volume", "angstrom**3"),
}
#: In a plane, volumes are areas.
_PLANE_UNITS = {
    "press": "bar*angstrom",
    "density": "g/cm**3*angstrom",
    "vol": "angstrom**2",
}


def write_thermo(folder: Path, job: Mapping[str, Any], path: Path) -> None:
    """Write the thermodynamics of a run into the file or store of its trajectory."""
    ds = _thermo(folder, job)
    if path.suffix == ".zarr":
        ds.to_zarr(path, mode="a", group=_GROUP, zarr_format=2)
    else:
        ds.to_netcdf(path, engine="netcdf4", mode="a", group=_GROUP)


def _thermo(folder: Path, job: Mapping[str, Any]) -> xr.Dataset:
    rows = np.fromfile(folder / "thermo.f64").reshape(-1, len(THERMO) + 2)
    names = np.array([stage["name"] for stage in job["stages"]])
    columns: dict[str, Any] = {}
    flat = job["dimension"] == 2
    for column, key in enumerate(THERMO):
        name, units = _THERMO_UNITS[key]
        units = _PLANE_UNITS.get(key, units) if flat else units
        attrs = {"units": units, "long_name": name.replace("_", " ")}
        columns[name] = ("time", rows[:, 2 + column], attrs)
    time = {"units": "ps", "long_name": "time"}
    return xr.Dataset(
        columns,
        {
            "time": ("time", rows[:, 1] * job["timestep"], time),
            "stage": ("time", names[rows[:, 0].astype(int)]),
            **quench_rate(job),
        },
        {
            **DATASET_LABELS,
            "quantity": "thermodynamics",
            "n_atoms": sum(job["counts"]),
            "system": job["system"],
            **({"dimension": 2} if flat else {}),
        },
    )


def quench_rate(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the coordinate of a quench; nothing for a run without one."""
    rate, attrs = job["cooling_rate"], {"units": "K/s", "long_name": "cooling rate"}
    return {} if rate is None else {"cooling_rate": ((), rate * 1e12, attrs)}


def open_thermo(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open the thermodynamics of a run of `make_glass`.

    Parameters
    ----------
    path : path-like
        The file, or Zarr store, that `make_glass` or `collect` made.

    Returns
    -------
    xarray.Dataset
        ``temperature`` (K), ``pressure`` (bar), ``density`` (g/cm³),
        ``potential_energy`` and ``total_energy`` (eV, of all atoms) and ``volume``
        (angstrom³) over time (ps), with the ``stage``: melt, quench, relax, collect.
        Of a plane ``pressure`` (bar·angstrom) is a force per length, ``density``
        (g/cm³·angstrom) a mass per area and ``volume`` (angstrom²) the area.

    Raises
    ------
    FileFormatError
        If it is another file.
    """
    where = Path(path)
    try:
        if not where.is_dir():
            return xr.load_dataset(where, engine="netcdf4", group=_GROUP)
        require("zarr", "read Zarr stores", "md")
        require_stored(where / _GROUP)
        stored: xr.Dataset = xr.open_zarr(where, group=_GROUP, chunks=None)
        return stored.load()
    except (OSError, KeyError) as error:
        fix = "open a file written by make_glass"
        raise FileFormatError(f"{path} has no thermodynamics", fix=fix) from error


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
    attrs = getattr(thermo, "attrs", {})
    if attrs.get("quantity") != "thermodynamics":
        raise QuantityError(
            "thermo= is not a table of thermodynamics",
            fix="xbp.md.lammps.open_thermo(path)",
        )
    quench = thermo.isel(time=np.flatnonzero(thermo.stage.values == "quench"))
    temperature = quench.temperature.values
    density = quench["density"].values
    free = density.size > 0 and float(np.ptp(density)) > 1e-9 * float(density.mean())
    name = "density" if free else "potential_energy"
    found = np.full(4, np.nan)
    status = Status.TOO_FEW
    if temperature.size >= _FEWEST:
        edges = np.linspace(temperature.min(), temperature.max(), _BINS + 1)
        place = np.clip(np.searchsorted(edges, temperature) - 1, 0, _BINS - 1)
        count = np.bincount(place, minlength=_BINS)
        full = count > 0

        def means(each: np.ndarray) -> np.ndarray:
            return np.asarray(np.bincount(place, each, _BINS)[full] / count[full])

        found, status = _kink(temperature, quench[name].values, means)
    slope = f"{quench[name].attrs['units']}/K"
    text, of = "glass transition temperature", f"slope of the {name.replace('_', ' ')}"
    labels = {
        "Tg": ("K", text),
        "Tg_std": ("K", f"standard deviation of {text}"),
        "glass_slope": (slope, f"{of} of the glass"),
        "liquid_slope": (slope, f"{of} of the liquid"),
    }
    ds = xr.Dataset()
    for (key, (units, label)), value in zip(labels.items(), found, strict=True):
        ds[key] = ((), value, {"units": units, "long_name": label})
    ds["status"] = ((), status)
    ds.Tg.attrs["ancillary_variables"] = "Tg_std"
    scalars = {key: c for key, c in thermo.coords.items() if c.ndim == 0}
    ds.attrs = {
        **DATASET_LABELS,
        "quantity": "glass_transition",
        "from": name,
        "history": extend_history(
            attrs.get("history"), "glass_transition", {"from": name}
        ),
    }
    return ds.assign_coords(scalars)


def _kink(
    T: np.ndarray, value: np.ndarray, means: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, Status]:
    """Fit the means of two lines to the means over bins: one bin has the kink."""

    def lines(T: Any, Tg: float, level: float, glass: float, liquid: float) -> Any:
        below, above = np.minimum(T - Tg, 0), np.maximum(T - Tg, 0)
        return level + means(glass * below + liquid * above)

    x, y = means(T), means(value)
    # In units of their own spread: the least squares of numbers far from 1 stop early.
    scale, size = float(np.ptp(x)), float(np.ptp(y)) or 1.0
    u, v = (x - x.min()) / scale, (y - y.mean()) / size
    each = (T - x.min()) / scale
    best = None
    for start in (0.25, 0.5, 0.75):  # the valley of a kink has more than one floor
        model = lmfit.Model(lines, independent_vars=["T"])
        guess = np.polyfit(u, v, 1)[0]
        parameters = model.make_params(
            Tg=start, level=float(np.interp(start, u, v)), glass=guess, liquid=guess
        )
        parameters["Tg"].set(min=0.03, max=0.97)
        fit = model.fit(v, parameters, T=each)
        if best is None or fit.chisqr < best.chisqr:
            best = fit
    assert best is not None
    Tg = best.params["Tg"]
    if not best.success or Tg.stderr is None or not 0.04 < Tg.value < 0.96:
        return np.full(4, np.nan), Status.FAILED
    glass, liquid = best.params["glass"], best.params["liquid"]
    if not abs(glass.value - liquid.value) > _SIGNIFICANT * np.hypot(
        glass.stderr, liquid.stderr
    ):
        return np.full(4, np.nan), Status.NO_KINK
    slopes = [best.params[name].value * size / scale for name in ("glass", "liquid")]
    return np.array([Tg.value * scale + x.min(), Tg.stderr * scale, *slopes]), Status.OK
