"""Labels of what follows from the modes of a glass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.schema import DATASET_LABELS, QUANTITIES, labels
from xbp.core.signal import extend_history, label_std
from xbp.core.status import Diagnostic, diagnosed
from xbp.md.plan import composition
from xbp.md.trajectory import Trajectory

__all__ = ["add_column", "begin_result", "finish_result", "glass_attributes"]


def begin_result(data: xr.Dataset, trajectory: Trajectory) -> xr.Dataset:
    """Begin a result over the axes of the modes."""
    names = [n for n in ("Q", "Q_bnds", "E", "E_bnds") if n in data.coords]
    ds = xr.Dataset(coords={name: data[name].variable for name in names})
    # 0: no box sets a lowest energy.
    ds = ds.assign_coords(box_phonon=((), 0.0, labels("box_phonon")))
    ds.attrs = glass_attributes(data, trajectory)
    return ds


def glass_attributes(
    data: xr.Dataset, trajectory: Trajectory, *doubts: Diagnostic
) -> dict[str, Any]:
    """Return the attributes of a result on a glass, with the doubts of its data."""
    return {
        **DATASET_LABELS,
        "origin": "simulation",
        **({"dimension": 2} if trajectory.dimension == 2 else {}),
        "composition": composition(trajectory.elements()),
        **diagnosed(data.attrs, *doubts),
    }


def add_column(
    ds: xr.Dataset,
    name: str,
    dims: tuple[str, ...],
    values: list[np.ndarray],
    stds: list[Any],
    units: str,
    quantity: str,
    **further: Any,
) -> None:
    """Add a variable and its standard deviation, one or a stack of them."""
    attrs = {
        "units": units,
        "quantity": quantity,
        "long_name": QUANTITIES[quantity].label,
        "origin": "simulation",
        **further,
    }
    stacked = "pair" in dims
    ds[name] = (dims, np.stack(values) if stacked else values[0], attrs)
    if stds[0] is not None:
        ds[f"{name}_std"] = (dims, np.stack(stds) if stacked else stds[0])
        label_std(ds, name)


def finish_result(
    ds: xr.Dataset, data: xr.Dataset, maker: str, arguments: Mapping[str, Any]
) -> xr.Dataset:
    """Record the operation in the history of the result and of its variables."""
    n = data.sizes["k"]
    glasses = np.unique(data["glass"].values).size
    history = extend_history(
        data.attrs.get("history"),
        maker,
        {**arguments, "n_wavevectors": n, "glasses": glasses},
    )
    if n < 4 and glasses < 4:
        text = f"errors come from the scatter between only {n} wave vectors"
        found = Diagnostic("few_wavevectors", "warning", text, "raise n_wavevectors=")
        ds.attrs |= diagnosed(ds.attrs, found)
    ds.attrs["history"] = history
    shared = {
        key: ds.attrs[key]
        for key in ("composition", "dimension", "diagnostics")
        if key in ds.attrs
    }
    for name in ds.data_vars:
        if not str(name).endswith("_std"):
            ds[name].attrs |= {**shared, "history": history}
    return ds
