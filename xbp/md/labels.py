"""Arguments of trajectory methods as plain numbers, and their results as labelled data."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import RangeError, TemperatureError
from xbp.core.schema import CONVENTIONS, COORDINATES, QUANTITIES, SCHEMA_VERSION
from xbp.core.signal import extend_history, label_std
from xbp.core.units import magnitude
from xbp.md.trajectory import Trajectory

__all__ = [
    "Column",
    "label",
    "positive",
    "sample_temperature",
    "whole",
]


#: Temperatures (K) of matter; velocities that tell others were never drawn, or are in
#: other units.
_COLDEST, _HOTTEST = 1e-3, 1e5


class Column(NamedTuple):
    """One variable of a result.

    Dimensions, values, standard deviation, units, quantity, further attributes.
    """

    dims: tuple[str, ...]
    values: np.ndarray
    std: np.ndarray | None
    units: str
    quantity: str | None
    attrs: Mapping[str, Any] = {}


def label(
    trajectory: Trajectory,
    columns: Mapping[str, Column],
    coords: Mapping[str, Any],
    *,
    operation: str,
    arguments: Mapping[str, Any],
    temperature: xr.Variable | None = None,
    attrs: Mapping[str, Any] | None = None,
    found: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Build the Dataset of a result, with the trajectory's attributes and a line of history.

    What was `found` about it (diagnostics, the motion of the whole) is recorded with
    each variable and the table.
    """
    history = extend_history(
        trajectory.source.attrs.get("history"), operation, arguments
    )
    found = {**(found or {}), **_of_the_box(trajectory, found or {}, "Q" in coords)}
    sample = (
        {}
        if trajectory.element is None
        else {"composition": composition(trajectory.element)}
    )
    ds = xr.Dataset(coords=dict(coords))
    for name, column in columns.items():
        labels: dict[str, Any] = {"units": column.units}
        if column.quantity is not None:
            labels |= {
                "quantity": column.quantity,
                "long_name": QUANTITIES[column.quantity].label,
            }
            labels |= {"statistics": "classical", **sample, **found}
        ds[name] = xr.Variable(
            column.dims, column.values, {**labels, **column.attrs, "history": history}
        )
        if column.std is not None:
            ds[f"{name}_std"] = xr.Variable(column.dims, column.std)
            label_std(ds, name)
    for dim, (units, long_name) in COORDINATES.items():
        if dim in ds.coords:
            ds[dim].attrs = {"units": units, "long_name": long_name, **ds[dim].attrs}
    if temperature is not None:
        ds = ds.assign_coords(temperature=temperature)
    kept = {
        key: trajectory.source.attrs[key]
        for key in ("title", "source")
        if key in trajectory.source.attrs
    }
    ds.attrs = {
        "Conventions": CONVENTIONS,
        "xbp_schema": SCHEMA_VERSION,
        **kept,
        **sample,
    }
    ds.attrs |= {**(attrs or {}), **found, "history": history}
    return ds


def _of_the_box(
    trajectory: Trajectory, found: Mapping[str, Any], of_wave_vectors: bool
) -> dict[str, Any]:
    """Record that there are two dimensions, or that no wave vectors are allowed across open sides."""
    if trajectory.dimension == 2:
        return {"dimension": 2}
    if not of_wave_vectors or trajectory.repeats.all():
        return {}
    sides = " and ".join("abc"[axis] for axis in np.flatnonzero(~trajectory.repeats))
    return dict(diagnosed(found, Diagnostic(
        "open_sides", "warning", f"the box is open along {sides}: only wave vectors "
                                 "along its other sides are used",
    )))  # fmt: skip


def composition(elements: np.ndarray) -> str:
    """Return the formula of a box, by which an S(Q) of another sample is told.

    Examples
    --------
    >>> composition(np.array(["Si", "O", "O"] * 40)), composition(np.array(["Zr"] * 700 + ["Cu"] * 301))
    ('SiO2', 'Zr69.9Cu30.1')
    """
    names, first, counts = np.unique(elements, return_index=True, return_counts=True)
    least = counts // np.gcd.reduce(counts)
    parts = least if least.sum() <= 100 else (100 * counts / counts.sum()).round(1)
    return "".join(
        f"{names[i]}{'' if parts[i] == 1 else format(parts[i], 'g')}"
        for i in np.argsort(first)
    )


def positive(value: Any, units: str, name: str, *, energy: bool = False) -> float:
    """Return a positive argument in given units."""
    number = magnitude(value, units, name=name, energy=energy)
    if number <= 0:
        raise RangeError(
            f"{name}={value}",
            reason="it must be positive",
            fix=f"give it like {name}='1 {units}'",
        )
    return number


def whole(value: Any, name: str, least: int = 0) -> int:
    """Return an argument that counts something."""
    try:
        number: int | None = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise RangeError(
            f"{name}={value!r}",
            reason=f"it must be a whole number, {least} or more",
            fix=f"{name}=1000",
        )
    return number


def sample_temperature(
    trajectory: Trajectory, T: Any, measured: tuple[float, float | None] | None = None
) -> xr.Variable | None:
    """Find the temperature (K).

    The argument or the Dataset's, else that of the velocities that an analysis read.

    Parameters
    ----------
    trajectory : Trajectory
    T : scalar with units, optional
        Bare: K.
    measured : (float, float or None), optional
        T = Σ m v² / (3 (N−1) k_B), the centre of mass being at rest, and its standard
        deviation; then ``attrs["source"]`` is ``"velocities"`` and ``attrs["std"]`` the
        latter. Velocities of no solid or liquid tell none.
    """
    carried = trajectory.temperature()
    given = None if T is None else float(temperature_coordinate(T).values)
    if (
        given is not None
        and carried is not None
        and not np.isclose(given, carried, rtol=1e-9, atol=0)
    ):
        raise TemperatureError(
            f"T={T} ({given:g} K) contradicts the trajectory's temperature "
            f"({carried:g} K)",
            reason="two different temperatures are given",
            fix="leave T= out, or traj.drop_vars('temperature') if it is wrong",
        )
    if given is not None or carried is not None:
        return temperature_coordinate(given if given is not None else carried)
    if measured is None or not _COLDEST < measured[0] < _HOTTEST:
        return None
    found = temperature_coordinate(measured[0])
    found.attrs["source"] = "velocities"
    if measured[1] is not None:
        found.attrs["std"] = measured[1]
    return found
