"""Results of operations on trajectories as labelled data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import TemperatureError
from xbp.core.guards import require_agreement, require_positive, require_whole
from xbp.core.schema import CONVENTIONS, COORDINATES, QUANTITIES, SCHEMA_VERSION
from xbp.core.signal import extend_history, label_std
from xbp.md.trajectory import Trajectory

__all__ = [
    "Column",
    "label",
    "positive",
    "sample_temperature",
    "whole",
]


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
    """Build the Dataset of a result, with attributes of the trajectory and history.

    What was `found` (diagnostics, motion of the centre of mass) is recorded with each
    variable and the table.
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
    """Return the dimension 2, or a diagnostic of open sides."""
    if trajectory.dimension == 2:
        return {"dimension": 2}
    if not of_wave_vectors or trajectory.repeats.all():
        return {}
    sides = " and ".join("abc"[axis] for axis in np.flatnonzero(~trajectory.repeats))
    return dict(
        diagnosed(
            found,
            Diagnostic(
                "open_sides",
                "warning",
                f"the box is open along {sides}: only wave vectors "
                "along its other sides are used",
            ),
        )
    )


def composition(elements: np.ndarray) -> str:
    """Return the chemical formula of a box.

    Examples
    --------
    >>> composition(np.array(["Si", "O", "O"] * 40))
    'SiO2'
    >>> composition(np.array(["Zr"] * 700 + ["Cu"] * 301))
    'Zr69.9Cu30.1'
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
    return require_positive(value, name, units, energy=energy)


def whole(value: Any, name: str, least: int = 0) -> int:
    """Return a count."""
    return require_whole(value, name, least=least)


def sample_temperature(
    trajectory: Trajectory, T: Any, measured: tuple[float, float | None] | None = None
) -> xr.Variable | None:
    """Return the temperature (K): given, of the Dataset, or measured by velocities.

    Parameters
    ----------
    trajectory : Trajectory
    T : scalar with units, optional
        Bare: K.
    measured : (float, float or None), optional
        T = Σ m v² / (3 (N−1) k_B) with the centre of mass at rest, and its standard
        deviation; then ``attrs["source"]`` is ``"velocities"`` and ``attrs["std"]`` the
        latter. Below 1 mK and above 100 000 K velocities were never drawn, or are in
        other units: None.
    """
    carried = trajectory.temperature()
    given = None if T is None else float(temperature_coordinate(T).values)
    if given is not None and carried is not None:
        require_agreement(
            given,
            carried,
            "T",
            "K",
            source="the trajectory",
            tolerance=1e-9,
            error=TemperatureError,
        )
    if given is not None or carried is not None:
        return temperature_coordinate(given if given is not None else carried)
    if measured is None or not 1e-3 < measured[0] < 1e5:
        return None
    found = temperature_coordinate(measured[0])
    found.attrs["source"] = "velocities"
    if measured[1] is not None:
        found.attrs["std"] = measured[1]
    return found
