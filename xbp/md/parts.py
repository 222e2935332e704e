"""Trajectories in several files, such as a run and its restarts, joined in time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError
from xbp.core.signal import extend_history

__all__ = ["joined"]

_APART = "open them one by one: [xbp.md.open_trajectory(path, ...) for path in paths]"


def joined(found: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Return trajectories of the same atoms as one, in the order of their times.

    From where a part begins it is used, so that frames before a restart which the run
    made a second time are left out.

    Parameters
    ----------
    found : mapping of str to xarray.Dataset
        Each part by the name of its file.

    Raises
    ------
    FileFormatError
        If two parts begin at the same time, one ends before the part that begins before
        it does, or their atoms or variables differ.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     5, 4, cell=10, T=300, mass=40, time_step="20 fs", rng=1)
    >>> parts = {"b": gas.isel(time=[2, 3]), "a": gas.isel(time=[0, 1, 2])}
    >>> joined(parts).time.values
    array([0.  , 0.02, 0.04, 0.06])
    """
    parts = sorted(found.items(), key=lambda part: float(part[1].time[0]))
    kept, units = [], parts[0][1].time.attrs.get("units", "ps")
    for (name, one), (after, other) in pairwise(parts):
        begin = float(other.time[0])
        if float(one.time[0]) == begin:
            raise FileFormatError(
                f"{name} and {after} both begin at {begin:g} {units}, so they do not "
                "follow each other",
                fix=_APART,
            )
        if float(one.time[-1]) > float(other.time[-1]):
            raise FileFormatError(
                f"{after}, from {begin:g} {units}, ends before {name} does", fix=_APART
            )
        # Times that differ by rounding are of one frame.
        slack = 1e-3 * np.diff(one.time.values).min(initial=np.inf)
        slack = slack if np.isfinite(slack) else 0.0
        kept.append(one.isel(time=one.time.values < begin - slack))
    kept.append(parts[-1][1])
    first = kept[0]
    for (name, _), one in zip(parts, kept, strict=True):
        if one.sizes["atom"] != first.sizes["atom"] or {*one} != {*first}:
            raise FileFormatError(
                f"{name} has {_contents(one)}, but {parts[0][0]} {_contents(first)}",
                fix=_APART,
            )
    try:
        ds = xr.concat(
            _with_cells(kept), "time", data_vars="minimal", coords="minimal",
            compat="equals", join="exact", combine_attrs="override",
        )  # fmt: skip
    except ValueError as error:
        names = ", ".join(name for name, _ in parts)
        reason = str(error).partition("\n")[0][:200]
        raise FileFormatError(
            f"{names} are not of the same atoms", reason=reason, fix=_APART
        ) from error
    arguments = {"files": [name for name, _ in parts]}
    ds.attrs["history"] = extend_history(first.attrs.get("history"), "join", arguments)
    return ds


def _contents(part: xr.Dataset) -> str:
    return f"{part.sizes['atom']} atoms with {', '.join(map(str, part.data_vars))}"


def _with_cells(parts: list[xr.Dataset]) -> list[xr.Dataset]:
    """Return parts with one cell, or with that of each frame if it changes."""
    cells = [part["cell"] for part in parts]
    fixed = all("time" not in cell.dims for cell in cells)
    if fixed and all(np.allclose(cells[0], c, rtol=1e-9, atol=0) for c in cells[1:]):
        return [part.assign(cell=cells[0]) for part in parts]
    return [
        part.assign(
            cell=part["cell"].broadcast_like(part["time"]).transpose("time", ...)
        )
        for part in parts
    ]
