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

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.construct import new_dataset
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import FileFormatError, UnitsError, XbpError
from xbp.core.units import convert_factor, to_kelvin
from xbp.io.angles import KI_OVER_KF, angle_dataset, with_fixed_energy
from xbp.io.arguments import require_number, require_text, to_path, without
from xbp.io.geometry import Asked, Bins, find_geometry, geometry_of_instrument
from xbp.io.hdf5 import HDF5_ERRORS, attribute, numbers, open_hdf5, text
from xbp.io.mantid_instrument import Instrument, logs_of, read_instrument
from xbp.io.measured import density_per_mev, measured
from xbp.reduction.kinematics import momentum_transfer, wave_number

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

#: Names that instruments give to the log of the sample's temperature, without case,
#: underscores and dots.
_TEMPERATURE_LOGS = (
    "sampletemp",
    "sampletemperature",
    "tempsample",
    "tsample",
    "samplet",
    "samptemp",
    "temperature",
)


def decline(path: Path) -> str | None:
    """Say why a file is not a Mantid processed workspace, or None where it is."""
    try:
        with open_hdf5(path) as file:
            return (
                None
                if _find(file) is not None
                else "it holds no 'mantid_workspace_1' with 'workspace/values'"
            )
    except HDF5_ERRORS as error:
        return f"HDF5 cannot read it ({error})"


def open_mantid(
    path: str | os.PathLike[str],
    *,
    T: Any = None,
    temperature_log: str | None = None,
    geometry: str | None = None,
    incident_energy: Any = None,
    final_energy: Any = None,
    direct_above: Any = "30 meV",
    temperature_spread: float = 0.5,
) -> xr.Dataset:
    """Read a processed NeXus file of Mantid.

    Parameters
    ----------
    path : path-like
        A file of SaveNexus or SaveNexusProcessed with one workspace: spectra over
        energy transfer, or a map over Q and energy transfer, in bins that are common to
        all.
    T : scalar with units, optional
        Temperature of the sample, instead of that of the logs; a bare number is in K.
    temperature_log : str, optional
        The log that holds the temperature of the sample in K (or in the units it
        names). By default the one with a common name, such as ``sample_temp``,
        ``T_sample`` or ``sample.temperature``.
    geometry : {"direct", "indirect"}, optional
        Whether the fixed energy is the incident or the final one; needed if
        ``deltaE-mode``, the name of the instrument and the energies do not decide it.
    incident_energy, final_energy : scalar with units, optional
        The fixed energy, overriding that in the file; it also sets the geometry (bare:
        meV).
    direct_above : scalar with units
        A fixed energy above this is an incident one: no analyser selects it (bare:
        meV).
    temperature_spread : float
        Largest difference between the quartiles of the temperature log, relative to its
        median. Beyond it the temperature must be given.

    Returns
    -------
    xarray.Dataset
        ``S(detector, E)`` per meV as `open_nxspe` gives it, with the mean angle of the
        detectors of each spectrum; or ``S(Q, E)``, NaN below the first and above the
        last count in Q at each energy, where Mantid writes zeros. The temperature is
        the median of its log during the run. The incident energy is that of the log
        ``Ei``; the final energy is that of the recorded ConvertUnits, else of the logs,
        else of the parameters of instrument and detectors. ``S.attrs["ki_over_kf"]`` is
        there where the recorded algorithms show it. A diagnostic reports Q that was
        computed for E = 0 alone.

    Raises
    ------
    FileFormatError
        If the file is truncated, of another kind, its parts do not fit together, its
        axes are not energy transfer and spectra or Q, or its geometry is not known.

    References
    ----------
    O. Arnold et al., Nucl. Instrum. Methods A 764, 156 (2014),
    doi:10.1016/j.nima.2014.07.029.

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
    asked = Asked(geometry, incident_energy, final_energy, direct_above)
    spread = require_number(temperature_spread, "temperature_spread", least=0)
    if temperature_log is not None:
        require_text(temperature_log, "temperature_log")
    where = to_path(path)
    try:
        with open_hdf5(where) as file:
            entry = _find(file)
            if entry is None:
                raise ValueError(
                    "it holds no 'mantid_workspace_1' with 'workspace/values'"
                )
            if "mantid_workspace_2" in file:
                raise ValueError(
                    "it holds several workspaces: save the one that is meant by itself"
                )
            return _read(entry, where, T, temperature_log, asked, spread)
    except XbpError:
        raise
    except HDF5_ERRORS as error:
        raise FileFormatError(
            f"{where} cannot be read as a Mantid workspace",
            reason=str(error) or type(error).__name__,
            fix="it may be truncated, or of another kind: copy it again, or see what "
            "xbp.open_dataset(path) says",
        ) from error


def _find(file: h5py.File) -> h5py.Group | None:
    entry = file.get("mantid_workspace_1")
    if isinstance(entry, h5py.Group) and isinstance(entry.get("workspace"), h5py.Group):
        return entry if "values" in entry["workspace"] else None
    return None


def _read(
    entry: h5py.Group,
    path: Path,
    T: Any,
    temperature_log: str | None,
    asked: Asked,
    spread: float,
) -> xr.Dataset:
    workspace = entry["workspace"]
    values = numbers(workspace, "values", ndim=2)
    std = numbers(workspace, "errors", shape=values.shape)
    columns, column_dim, column_factor = _axis(workspace, "axis1")
    if columns.ndim == 2:
        if not (columns == columns[0]).all():
            raise ValueError(
                "its spectra have bins of their own: Rebin them to common bins before "
                "saving"
            )
        columns = columns[0]
    rows, row_dim, row_factor = _axis(workspace, "axis2")
    if {column_dim, row_dim} == {"Q", "E"} or (column_dim, row_dim) == (
        "E",
        "detector",
    ):
        axes = {row_dim: rows, column_dim: columns}
    else:
        raise ValueError(
            f"its axes are {row_dim} and {column_dim}, not spectra or Q and energy "
            "transfer"
        )
    for (dim, points), size in zip(axes.items(), values.shape, strict=True):
        if points.ndim != 1 or points.size not in (size, size + (dim != "detector")):
            raise ValueError(
                f"its axis '{dim}' has the shape {points.shape} for {size} bins"
            )
        if dim != "detector" and not (
            np.isfinite(points).all() and (np.diff(points) > 0).all()
        ):
            raise ValueError(f"its axis '{dim}' is not ascending")
    logs = logs_of(entry)
    temperature = T
    if temperature is None:
        temperature = _temperature(entry, logs, temperature_log, spread)
    # A distribution is divided by the width of its bins, in the units of the file;
    # counts are not.
    if attribute(workspace["axis1"], "distribution") in (b"1", "1", 1):
        E_factor = column_factor if column_dim == "E" else row_factor
        values, std, _ = density_per_mev(values, std, axis=E_factor)
    else:
        widths = np.diff(columns) if columns.size == values.shape[1] + 1 else None
        if widths is None or column_dim != "E":
            raise ValueError(
                "it is no distribution: ConvertToDistribution before saving"
            )
        values, std = values / widths, std / widths
    attrs = _attributes(entry, logs, path)
    energies = columns if column_dim == "E" else rows
    if row_dim == "detector":
        spectrum, member, detectors = _members(entry, values.shape[0])
        said = read_instrument(entry, logs, detectors[member])
        masked = _of_spectra(said.masked.astype(float), spectrum, values.shape[0]) == 1
        seen, errors = measured(values, std, mask=masked[:, np.newaxis])
        fixed = _fixed(
            path, asked, said, attrs, Bins.of(seen, errors, energies), spectrum
        )
        return angle_dataset(
            np.where(masked[:, np.newaxis], np.nan, values),
            std,
            detector=numbers(workspace, "axis2", whole=True),
            angles=_angles(entry, spectrum, member, detectors, values.shape[0]),
            E_edges=columns if columns.size == values.shape[1] + 1 else None,
            E=None if columns.size == values.shape[1] + 1 else columns,
            temperature=temperature,
            ki_over_kf=True
            if said.ki_over_kf in FIXED_ENERGY
            and said.ki_over_kf == fixed.get("geometry")
            else None,
            attrs=attrs,
            **fixed,
        )
    said = read_instrument(entry, logs, np.zeros(0, dtype=int))
    edges = {
        dim: p
        for (dim, p), n in zip(axes.items(), values.shape, strict=True)
        if p.size == n + 1
    }
    values, std = measured(
        values, std, mask=_uncovered(values, std, list(axes).index("Q"))
    )
    Q_first = row_dim == "Q"
    bins = Bins.of(
        values if Q_first else values.T,
        std if Q_first or std is None else std.T,
        energies,
    )
    fixed = _fixed(path, asked, said, attrs, bins, None)
    ds = new_dataset(
        "dynamic_structure_factor",
        values,
        std=std,
        units="1/meV",
        coords={
            dim: (
                (p[1:] + p[:-1]) / 2 if dim in edges else p,
                {"Q": "1/angstrom", "E": "meV"}[dim],
            )
            for dim, p in axes.items()
        },
        edges=edges,
        temperature=temperature,
        statistics="quantum",
        attrs=attrs,
    ).transpose("Q", "E", ...)
    if said.ki_over_kf in FIXED_ENERGY and said.ki_over_kf == fixed.get("geometry"):
        ds.S.attrs["ki_over_kf"] = KI_OVER_KF[True]
    ds = with_fixed_energy(ds, **fixed)
    if said.elastic_Q and said.elastic_Q == fixed.get("geometry"):
        ds.S.attrs |= diagnosed(ds.S.attrs, *_elastic_Q(ds, **fixed))
    return ds


def _fixed(
    path: Path,
    asked: Asked,
    said: Instrument,
    attrs: dict[str, str | int],
    bins: Bins,
    spectrum: np.ndarray | None,
) -> dict[str, Any]:
    """Decide on the geometry, and on which of the energies of the file is the fixed one."""
    name = str(attrs.get("instrument", ""))
    kind = said.geometry or asked.kind() or geometry_of_instrument(name)
    energy: float | np.ndarray | None = (
        said.incident_energy if kind != "indirect" else None
    )
    if energy is None and kind != "direct" and asked.final_energy is None:
        energy = said.final_energy()
    if isinstance(energy, np.ndarray):
        # A map over Q has no detectors any more.
        energy = (
            None
            if spectrum is None
            else _of_spectra(energy, spectrum, bins.seen.shape[0])
        )
    return find_geometry(
        path, asked, stated=said.geometry, instrument=name, energy=energy, bins=bins
    )


def _elastic_Q(ds: xr.Dataset, geometry: str, **fixed: Any) -> list[Diagnostic]:
    """Report the error in Q at the ends of E if it was computed for E = 0."""
    energy = fixed.get(FIXED_ENERGY[geometry])
    if energy is None or np.ndim(energy):
        return []
    k = wave_number(energy)
    Q = ds.Q.values[(ds.Q.values > 0) & (ds.Q.values <= 2 * k)]
    angle = 2 * np.degrees(np.arcsin(Q / (2 * k)))
    ends = np.array([[float(ds.E[0])], [float(ds.E[-1])]])
    off = float(
        np.nanmax(
            np.abs(momentum_transfer(ends, energy, angle, geometry) / Q - 1),
            initial=0.0,
        )
    )
    return [
        Diagnostic(
            "elastic_Q",
            "warning",
            f"Q was computed for E = 0; at {ends[0, 0]:.3g} and {ends[1, 0]:.3g} meV "
            f"it is wrong by up to {off:.1%}",
            "if that matters, open the spectra as a function of angle and use "
            "angle_to_Q",
        )
    ]


def _uncovered(values: np.ndarray, std: np.ndarray, Q_axis: int) -> np.ndarray:
    """Return the bins below the first and above the last count in Q at each energy."""
    counted = (values != 0) | (std != 0)
    below = np.logical_or.accumulate(counted, axis=Q_axis)
    above = np.flip(
        np.logical_or.accumulate(np.flip(counted, Q_axis), axis=Q_axis), Q_axis
    )
    return ~(below & above)


def _axis(workspace: h5py.Group, name: str) -> tuple[np.ndarray, str, float]:
    """Return the points of an axis in its canonical units, what it is, and the factor by which they were converted."""
    points = numbers(workspace, name)
    label = attribute(workspace[name], "units")
    label = label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
    if label not in _AXES:
        raise ValueError(
            f"its '{name}' is in {label!r}, not energy transfer, Q or spectra"
        )
    dim, units = _AXES[label]
    factor = convert_factor(units, "meV", energy=True) if dim == "E" else 1.0
    return points * factor, dim, factor


def _members(
    entry: h5py.Group, n_spectra: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return spectrum and place in the list of each detector, and the list."""
    detector = entry["instrument/detector"]
    count = numbers(detector, "detector_count", shape=(n_spectra,), whole=True)
    first = numbers(detector, "detector_index", shape=(n_spectra,), whole=True)
    listed = numbers(detector, "detector_list", ndim=1)
    if (
        min(count.min(), first.min()) < 0
        or (first + count).max() > listed.size
        or count.sum() > listed.size
    ):
        raise ValueError("its spectra name detectors that are not listed")
    spectrum = np.repeat(np.arange(n_spectra), count)
    member = np.arange(count.sum()) + np.repeat(
        first - (np.cumsum(count) - count), count
    )
    return spectrum, member, listed


def _angles(
    entry: h5py.Group,
    spectrum: np.ndarray,
    member: np.ndarray,
    listed: np.ndarray,
    n_spectra: int,
) -> dict[str, np.ndarray]:
    """Return mean angle and distance of the detectors of each spectrum, or NaN."""
    if "physical_detectors" in entry["instrument"]:
        physical = entry["instrument/physical_detectors"]
        identity = numbers(physical, "detector_number", ndim=1)
        order = np.argsort(identity)
        at = order[
            np.minimum(
                np.searchsorted(identity, listed, sorter=order), identity.size - 1
            )
        ]
        known = identity[at] == listed
        each = {
            "two_theta": numbers(physical, "polar_angle", shape=identity.shape)[at],
            "distance": numbers(physical, "distance", shape=identity.shape)[at],
        }
    else:
        positions = numbers(
            entry["instrument/detector"], "detector_positions", shape=(listed.size, 3)
        )
        known = np.ones(listed.size, dtype=bool)
        each = {"two_theta": positions[:, 1], "distance": positions[:, 0]}
    angles = {
        name: _of_spectra(
            np.where(known[member], column[member], np.nan), spectrum, n_spectra
        )
        for name, column in each.items()
    }
    if (angles["two_theta"] < 0).any() or (angles["two_theta"] > 180).any():
        raise ValueError("some of its polar angles are not between 0 and 180 degrees")
    return angles


def _of_spectra(each: np.ndarray, spectrum: np.ndarray, n_spectra: int) -> np.ndarray:
    """Return the mean over the known detectors of each spectrum, or NaN."""
    known = np.isfinite(each)
    n_known = np.bincount(spectrum[known], minlength=n_spectra)
    total = np.bincount(spectrum[known], each[known], n_spectra)
    return np.where(n_known, total / np.maximum(n_known, 1), np.nan)


def _temperature(
    entry: h5py.Group, logs: Any, name: str | None, spread: float
) -> float | None:
    """Return the temperature of the sample in K, from its log or logs."""
    if name is not None and (name not in logs or "value" not in logs[name]):
        raise ValueError(f"it has no log '{name}'; its logs are {', '.join(logs)}")
    names = [
        n
        for n in logs
        if n == name
        or (name is None and re.sub(r"[\W_]", "", n.lower()) in _TEMPERATURE_LOGS)
    ]
    if len(names) > 1:  # of different sensors, of which one is at the sample
        return None
    # Files of before 2011 have the logs in the sample; some have them in both places.
    nodes = {
        f"{place}/{n}": entry[place][n]
        for n in names
        for place in ("sample", "logs")
        if n in entry.get(place, ()) and "value" in entry[place][n]
    }
    found = {
        key: kelvin
        for key, log in nodes.items()
        if (kelvin := _median(key, log, logs, spread)) is not None
    }
    if not found:
        return None
    first = next(iter(found.values()))
    if max(found.values()) - min(found.values()) <= spread * first:
        return first
    raise _no_temperature(
        " and ".join(f"{value:g} K in '{key}'" for key, value in found.items())
    )


def _no_temperature(what: str) -> FileFormatError:
    return FileFormatError(
        f"the temperature of the sample is {what}",
        reason="the logs of the file contradict one another",
        fix="T='300 K', or temperature_spread= if the median is meant",
    )


def _median(name: str, log: h5py.Group, logs: Any, spread: float) -> float | None:
    """Return the median of a log between start and end of the run, in K."""
    values = numbers(log, "value").reshape(-1)
    during = np.ones(values.size, dtype=bool)
    start, end = (_log_text(logs, part) for part in ("run_start", "run_end"))
    if "time" in log and start and end:
        seconds = numbers(log, "time", shape=values.shape)
        begin = attribute(log["time"], "start")
        zero = np.datetime64(
            begin.decode()[:19] if isinstance(begin, bytes) else str(begin)[:19]
        )
        limits = [
            (np.datetime64(part[:19]) - zero) / np.timedelta64(1, "s")
            for part in (start, end)
        ]
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
    low, high = np.percentile(values[during], (25, 75), method="nearest")
    try:
        kelvin = (
            float(to_kelvin(median, units, name=f"log '{name}'")) if units else median
        )
    except UnitsError:
        return None
    if kelvin > 0 and high - low > spread * kelvin:
        raise _no_temperature(f"{low:g} and {high:g} in the log '{name}'")
    # A sensor that is not connected writes zeros.
    return kelvin if kelvin > 0 else None


def _log_text(logs: Any, name: str) -> str | None:
    return (
        text(logs[name], "value")
        if name in logs and isinstance(logs[name], h5py.Group)
        else None
    )


def _attributes(entry: h5py.Group, logs: Any, path: Path) -> dict[str, str | int]:
    instrument = entry.get("instrument")
    sample = entry.get("sample")
    found = {
        "title": text(entry, "title") or text(entry, "workspace_name"),
        "instrument": text(instrument, "name")
        if isinstance(instrument, h5py.Group)
        else None,
        "sample": text(sample, "name") if isinstance(sample, h5py.Group) else None,
        "run_number": _log_text(logs, "run_number"),
        "source": f"Mantid processed NeXus file {path.name}",
    }
    attrs: dict[str, str | int] = {
        name: value.strip() for name, value in found.items() if value and value.strip()
    }
    if str(attrs.get("run_number", "")).isdigit():
        attrs["run_number"] = int(attrs["run_number"])
    return attrs


class MantidBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="mantid")``."""

    description = "Mantid processed NeXus files of S(2θ,E) and S(Q,E)"
    url = "https://docs.mantidproject.org/nightly/algorithms/SaveNexusProcessed-v1.html"
    open_dataset_parameters = (
        "filename_or_obj",
        "drop_variables",
        "T",
        "temperature_log",
        "geometry",
        "incident_energy",
        "final_energy",
        "direct_above",
        "temperature_spread",
    )

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        T: Any = None,
        temperature_log: str | None = None,
        geometry: str | None = None,
        incident_energy: Any = None,
        final_energy: Any = None,
        direct_above: Any = "30 meV",
        temperature_spread: float = 0.5,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_mantid`."""
        ds = open_mantid(
            filename_or_obj,
            T=T,
            temperature_log=temperature_log,
            geometry=geometry,
            incident_energy=incident_energy,
            final_energy=final_energy,
            direct_above=direct_above,
            temperature_spread=temperature_spread,
        )
        return without(ds, drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Never guess: an HDF5 file without ``engine=`` is netcdf4's to xarray."""
        return False
