"""Mantid processed NeXus: workspaces S(2θ,E) and S(Q,E) that SaveNexus wrote."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.construct import new_dataset
from xbp.errors import FileFormatError, UnitsError, XbpError
from xbp.io.angles import KI_OVER_KF, angle_dataset
from xbp.io.arguments import to_path, without
from xbp.io.hdf5 import HDF5_ERRORS, attribute, number, numbers, text
from xbp.units import convert_factor, to_kelvin

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["MantidBackend", "decline", "open_mantid"]

# Mantid's names of the units of an axis, and what they are here.
_AXES = {
    "DeltaE": ("E", "meV"),
    "DeltaE_inWavenumber": ("E", "1/cm"),
    "DeltaE_inFrequency": ("E", "GHz"),
    "MomentumTransfer": ("Q", "1/angstrom"),
    "spectraNumber": ("detector", "1"),
}

#: Names that instruments give to the log of the sample's temperature, without case and underscores.
_TEMPERATURE_LOGS = ("sampletemp", "sampletemperature", "tempsample", "tsample", "samplet", "samptemp", "temperature")


def decline(path: Path) -> str | None:
    """Say why a file is not a Mantid processed workspace, or None where it is."""
    try:
        with h5py.File(path, "r") as file:
            return None if _find(file) is not None else "it holds no 'mantid_workspace_1' with 'workspace/values'"
    except HDF5_ERRORS as error:
        return f"HDF5 cannot read it ({error})"


def open_mantid(path: str | os.PathLike[str], *, T: Any = None, temperature_log: str | None = None) -> xr.Dataset:
    """Read a processed NeXus file of Mantid.

    Parameters
    ----------
    path : path-like
        A file of SaveNexus or SaveNexusProcessed with one workspace: spectra over energy transfer,
        or a map over Q and energy transfer, in bins that are common to all.
    T : scalar with units, optional
        Temperature of the sample, instead of that of the logs; a bare number is in K.
    temperature_log : str, optional
        The log that holds the temperature of the sample in K (or in the units it names). By default
        the one with a common name, such as ``sample_temp`` or ``T_sample``.

    Returns
    -------
    xarray.Dataset
        ``S(detector, E)`` as `open_nxspe` gives it, with the mean angle of the detectors of each
        spectrum; or ``S(Q, E)``, NaN below the first and above the last count in Q at each energy,
        where Mantid writes zeros. The temperature is the median of its log during the run.
        ``S.attrs["ki_over_kf"]`` is there where the recorded algorithms tell.

    Raises
    ------
    FileFormatError
        If the file is truncated, of another kind, its parts do not fit together, or its axes are
        not energy transfer and spectra or Q.

    References
    ----------
    O. Arnold et al., Nucl. Instrum. Methods A 764, 156 (2014), doi:10.1016/j.nima.2014.07.029.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/map.nxs", "w") as file:
    ...         space = file.create_group("mantid_workspace_1/workspace")
    ...         space["values"], space["errors"] = [[4.0, 9.0]], [[0.2, 0.3]]
    ...         space["axis1"], space["axis2"] = [-1.0, 1.0, 3.0], [1.0, 2.0]
    ...         space["axis1"].attrs["units"], space["axis2"].attrs["units"] = "DeltaE", "MomentumTransfer"
    ...         space["axis1"].attrs["distribution"] = "1"
    ...     ds = open_mantid(f"{folder}/map.nxs", T="5 K")
    >>> dict(ds.S.sizes), ds.E.values, ds.Q.values, float(ds.temperature)
    ({'Q': 1, 'E': 2}, array([0., 2.]), array([1.5]), 5.0)
    """
    where = to_path(path)
    try:
        with h5py.File(where, "r") as file:
            entry = _find(file)
            if entry is None:
                raise ValueError("it holds no 'mantid_workspace_1' with 'workspace/values'")
            if "mantid_workspace_2" in file:
                raise ValueError("it holds several workspaces: save the one that is meant by itself")
            return _read(entry, where, T, temperature_log)
    except XbpError:
        raise
    except HDF5_ERRORS as error:
        raise FileFormatError(
            f"{where} cannot be read as a Mantid workspace",
            reason=str(error) or type(error).__name__,
            fix="it may be truncated, or of another kind: copy it again, or see what xbp.open_dataset(path) says",
        ) from error


def _find(file: h5py.File) -> h5py.Group | None:
    entry = file.get("mantid_workspace_1")
    if isinstance(entry, h5py.Group) and isinstance(entry.get("workspace"), h5py.Group):
        return entry if "values" in entry["workspace"] else None
    return None


def _read(entry: h5py.Group, path: Path, T: Any, temperature_log: str | None) -> xr.Dataset:
    workspace = entry["workspace"]
    values = numbers(workspace, "values", ndim=2)
    std = numbers(workspace, "errors", shape=values.shape)
    if (std < 0).any():
        raise ValueError("some of its errors are negative")
    columns, column_dim = _axis(workspace, "axis1")
    if columns.ndim == 2:
        if not (columns == columns[0]).all():
            raise ValueError("its spectra have bins of their own: Rebin them to common bins before saving")
        columns = columns[0]
    rows, row_dim = _axis(workspace, "axis2")
    if {column_dim, row_dim} == {"Q", "E"} or (column_dim, row_dim) == ("E", "detector"):
        axes = {row_dim: rows, column_dim: columns}
    else:
        raise ValueError(f"its axes are {row_dim} and {column_dim}, not spectra or Q and energy transfer")
    for (dim, points), size in zip(axes.items(), values.shape, strict=True):
        if points.ndim != 1 or points.size not in (size, size + (dim != "detector")):
            raise ValueError(f"its axis '{dim}' has the shape {points.shape} for {size} bins")
        if dim != "detector" and not (np.isfinite(points).all() and (np.diff(points) > 0).all()):
            raise ValueError(f"its axis '{dim}' is not ascending")
    logs = entry["logs"] if isinstance(entry.get("logs"), h5py.Group) else {}
    temperature = T if T is not None else _temperature(logs, temperature_log)
    # A distribution is divided by the width of its bins; counts are not.
    if attribute(workspace["axis1"], "distribution") not in (b"1", "1", 1):
        widths = np.diff(columns) if columns.size == values.shape[1] + 1 else None
        if widths is None or column_dim != "E":
            raise ValueError("it is no distribution: ConvertToDistribution before saving")
        values, std = values / widths, std / widths
    incident = _log_number(logs, "Ei")
    attrs = _attributes(entry, logs, path)
    scaled = _ki_over_kf(entry)
    if row_dim == "detector":
        binned = columns.size == values.shape[1] + 1
        return angle_dataset(
            values,
            std,
            detector=numbers(workspace, "axis2", whole=True),
            angles=_angles(entry, values.shape[0]),
            **({"E_edges": columns} if binned else {"E": columns}),
            incident_energy=incident,
            temperature=temperature,
            ki_over_kf=scaled,
            attrs=attrs,
        )
    edges = {dim: p for (dim, p), n in zip(axes.items(), values.shape, strict=True) if p.size == n + 1}
    hidden = ~np.isfinite(values) | _uncovered(values, std, list(axes).index("Q"))
    ds = new_dataset(
        "dynamic_structure_factor",
        np.where(hidden, np.nan, values),
        std=np.where(hidden, np.nan, std),
        units="1/meV",
        coords={
            dim: ((p[1:] + p[:-1]) / 2 if dim in edges else p, {"Q": "1/angstrom", "E": "meV"}[dim])
            for dim, p in axes.items()
        },
        edges=edges,
        temperature=temperature,
        statistics="quantum",
        attrs=attrs,
    ).transpose("Q", "E", ...)
    if scaled is not None:
        ds.S.attrs["ki_over_kf"] = KI_OVER_KF[scaled]
    if incident is not None:
        ds = ds.assign_coords(incident_energy=((), incident, {"units": "meV", "long_name": "incident energy"}))
    return ds


def _uncovered(values: np.ndarray, std: np.ndarray, Q_axis: int) -> np.ndarray:
    """Tell the bins that no detector reached: at each energy those below the first and above the last count in Q."""
    counted = (values != 0) | (std != 0)
    below = np.logical_or.accumulate(counted, axis=Q_axis)
    above = np.flip(np.logical_or.accumulate(np.flip(counted, Q_axis), axis=Q_axis), Q_axis)
    return ~(below & above)


def _axis(workspace: h5py.Group, name: str) -> tuple[np.ndarray, str]:
    """Return the points of an axis in its canonical units, and what it is."""
    points = numbers(workspace, name)
    label = attribute(workspace[name], "units")
    label = label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
    if label not in _AXES:
        raise ValueError(f"its '{name}' is in {label!r}, not energy transfer, Q or spectra")
    dim, units = _AXES[label]
    return points * (convert_factor(units, "meV", energy=True) if dim == "E" else 1.0), dim


def _angles(entry: h5py.Group, n_spectra: int) -> dict[str, np.ndarray]:
    """Return the mean angle and distance of the detectors of each spectrum; NaN without a detector."""
    detector = entry["instrument/detector"]
    count = numbers(detector, "detector_count", shape=(n_spectra,), whole=True)
    first = numbers(detector, "detector_index", shape=(n_spectra,), whole=True)
    listed = numbers(detector, "detector_list", ndim=1)
    if min(count.min(), first.min()) < 0 or (first + count).max() > listed.size or count.sum() > listed.size:
        raise ValueError("its spectra name detectors that are not listed")
    if "physical_detectors" in entry["instrument"]:
        physical = entry["instrument/physical_detectors"]
        identity = numbers(physical, "detector_number", ndim=1)
        order = np.argsort(identity)
        at = order[np.minimum(np.searchsorted(identity, listed, sorter=order), identity.size - 1)]
        known = identity[at] == listed
        each = {
            "two_theta": numbers(physical, "polar_angle", shape=identity.shape)[at],
            "distance": numbers(physical, "distance", shape=identity.shape)[at],
        }
    else:
        positions = numbers(detector, "detector_positions", shape=(listed.size, 3))
        known = np.ones(listed.size, dtype=bool)
        each = {"two_theta": positions[:, 1], "distance": positions[:, 0]}
    spectrum = np.repeat(np.arange(n_spectra), count)
    member = np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)
    spectrum, member = spectrum[known[member]], member[known[member]]
    n_known = np.bincount(spectrum, minlength=n_spectra)
    angles = {
        name: np.where(n_known, np.bincount(spectrum, column[member], n_spectra) / np.maximum(n_known, 1), np.nan)
        for name, column in each.items()
    }
    if (angles["two_theta"] < 0).any() or (angles["two_theta"] > 180).any():
        raise ValueError("some of its polar angles are not between 0 and 180 degrees")
    return angles


def _log_number(logs: Any, name: str) -> float | None:
    return number(logs[name], "value") if name in logs and isinstance(logs[name], h5py.Group) else None


def _temperature(logs: Any, name: str | None) -> float | None:
    """Return the median of the temperature's log between start and end of the run, in K."""
    if name is None:
        found = [n for n in logs if n.lower().replace("_", "") in _TEMPERATURE_LOGS]
        if len(found) != 1:
            return None
        name = str(found[0])
    if name not in logs or "value" not in logs[name]:
        raise ValueError(f"it holds no log '{name}'; its logs are {', '.join(logs)}")
    log = logs[name]
    values = numbers(log, "value").reshape(-1)
    during = np.ones(values.size, dtype=bool)
    start, end = (_log_text(logs, part) for part in ("run_start", "run_end"))
    if "time" in log and start and end:
        seconds = numbers(log, "time", shape=values.shape)
        begin = attribute(log["time"], "start")
        zero = np.datetime64(begin.decode()[:19] if isinstance(begin, bytes) else str(begin)[:19])
        limits = [(np.datetime64(part[:19]) - zero) / np.timedelta64(1, "s") for part in (start, end)]
        during = (seconds >= limits[0]) & (seconds <= limits[1])
        if not during.any():
            # A log writes changes only: the last one before the run holds.
            during = seconds == seconds[seconds <= limits[1]].max(initial=seconds.min())
    units = attribute(log["value"], "units")
    units = units.decode("utf-8", "replace").strip() if isinstance(units, bytes) else ""
    during &= np.isfinite(values)
    if not during.any():
        return None
    median = float(np.median(values[during]))
    try:
        kelvin = float(to_kelvin(median, units, name=f"log '{name}'")) if units else median
    except UnitsError:
        return None
    # A sensor that is not connected writes zeros.
    return kelvin if kelvin > 0 else None


def _log_text(logs: Any, name: str) -> str | None:
    return text(logs[name], "value") if name in logs and isinstance(logs[name], h5py.Group) else None


def _attributes(entry: h5py.Group, logs: Any, path: Path) -> dict[str, str | int]:
    instrument = entry.get("instrument")
    sample = entry.get("sample")
    found = {
        "title": text(entry, "title") or text(entry, "workspace_name"),
        "instrument": text(instrument, "name") if isinstance(instrument, h5py.Group) else None,
        "sample": text(sample, "name") if isinstance(sample, h5py.Group) else None,
        "run_number": _log_text(logs, "run_number"),
        "source": f"Mantid processed NeXus file {path.name}",
    }
    attrs: dict[str, str | int] = {name: value.strip() for name, value in found.items() if value and value.strip()}
    if str(attrs.get("run_number", "")).isdigit():
        attrs["run_number"] = int(attrs["run_number"])
    return attrs


def _ki_over_kf(entry: h5py.Group) -> bool | None:
    """Tell from the recorded algorithms whether k_i/k_f was applied; None where none of them did."""
    process = entry.get("process")
    if not isinstance(process, h5py.Group):
        return None
    steps = {}
    for name, node in process.items():
        step = re.fullmatch(r"MantidAlgorithm_(\d+)", name)
        record = text(node, "data") if step and isinstance(node, h5py.Group) else None
        if step and record and record.startswith("Algorithm: CorrectKiKf"):
            steps[int(step[1])] = "Name: EMode, Value: Direct" in record
    return True if steps and steps[max(steps)] else None


class MantidBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="mantid")``."""

    description = "Mantid processed NeXus files of S(2θ,E) and S(Q,E)"
    url = "https://docs.mantidproject.org/nightly/algorithms/SaveNexusProcessed-v1.html"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "T", "temperature_log")

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        T: Any = None,
        temperature_log: str | None = None,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_mantid`."""
        return without(open_mantid(filename_or_obj, T=T, temperature_log=temperature_log), drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Never guess: an HDF5 file without ``engine=`` is netcdf4's to xarray."""
        return False
