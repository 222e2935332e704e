"""Mantid processed NeXus: workspaces S(2θ,E) and S(Q,E) that SaveNexus wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.construct import new_dataset
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import FileFormatError
from xbp.core.units import convert_factor
from xbp.io.geometry import (
    KI_OVER_KF,
    Asked,
    Bins,
    angle_dataset,
    find_geometry,
    geometry_of_instrument,
    with_fixed_energy,
)
from xbp.io.hdf5 import attribute, group, numbers, open_hdf5
from xbp.io.mantid_run import Run
from xbp.io.reader import Format, density_per_mev, measured, reader
from xbp.io.text import check
from xbp.reduction.kinematics import momentum_transfer, wave_number

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["FORMAT", "MantidBackend", "open_mantid"]

#: Mantid's names of the units of an axis.
_AXES: Final = {
    "DeltaE": ("E", "meV"),
    "DeltaE_inWavenumber": ("E", "1/cm"),
    "DeltaE_inFrequency": ("E", "GHz"),
    "MomentumTransfer": ("Q", "1/angstrom"),
    "spectraNumber": ("detector", "1"),
}
_LACKS: Final = "it has no 'mantid_workspace_1' with 'workspace/values'"


def declined(file: h5py.File) -> str | None:
    """Return why a file is not a Mantid processed workspace, or None if it is."""
    return None if _find(file) is not None else _LACKS


@reader("a Mantid workspace")
def open_mantid(
    path: Path,
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
        The log with the temperature of the sample in K (or in the units it
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
    ...         space["axis1"].attrs["units"] = "DeltaE"
    ...         space["axis2"].attrs["units"] = "MomentumTransfer"
    ...         space["axis1"].attrs["distribution"] = "1"
    ...     ds = open_mantid(f"{folder}/map.nxs", T="5 K")
    >>> dict(ds.S.sizes), ds.E.values, ds.Q.values, float(ds.temperature)
    ({'Q': 1, 'E': 2}, array([0., 2.]), array([1.5]), 5.0)
    """
    asked = Asked(geometry, incident_energy, final_energy, direct_above)
    asked.kind()
    with open_hdf5(path) as file:
        entry = _find(file)
        if entry is None:
            raise ValueError(_LACKS)
        check(
            "mantid_workspace_2" not in file,
            "it contains several workspaces: save one of them alone",
        )
        run = Run(entry)
        if T is None:
            T = run.temperature(temperature_log, temperature_spread)
        return _read(run, path, T, asked)


def _find(file: h5py.File) -> h5py.Group | None:
    entry = group(file, "mantid_workspace_1")
    return entry if "values" in (group(entry, "workspace") or ()) else None


def _read(run: Run, path: Path, T: Any, asked: Asked) -> xr.Dataset:
    workspace = run.entry["workspace"]
    values = numbers(workspace, "values", ndim=2)
    std = numbers(workspace, "errors", shape=values.shape)
    columns, column_dim, column_factor = _axis(workspace, "axis1")
    if columns.ndim == 2:
        check(
            (columns == columns[0]).all(),
            "its spectra have different bins: Rebin them to common bins before saving",
        )
        columns = columns[0]
    rows, row_dim, row_factor = _axis(workspace, "axis2")
    check(
        (row_dim, column_dim) in (("Q", "E"), ("E", "Q"), ("detector", "E")),
        f"its axes are {row_dim} and {column_dim}, not spectra or Q and E",
    )
    axes = {row_dim: rows, column_dim: columns}
    for (dim, points), size in zip(axes.items(), values.shape, strict=True):
        check(
            points.ndim == 1 and points.size in (size, size + (dim != "detector")),
            f"its axis '{dim}' has the shape {points.shape} for {size} bins",
        )
        check(
            dim == "detector"
            or (np.isfinite(points).all() and (np.diff(points) > 0).all()),
            f"its axis '{dim}' is not ascending",
        )
    # A distribution is divided by the width of its bins in the units of the file;
    # counts are not.
    is_edges = columns.size == values.shape[1] + 1
    if attribute(workspace["axis1"], "distribution") in ("1", 1):
        E_factor = column_factor if column_dim == "E" else row_factor
        values, std, _ = density_per_mev(values, std, axis=E_factor)
    else:
        check(
            is_edges and column_dim == "E",
            "it is not a distribution: ConvertToDistribution before saving",
        )
        values, std = values / np.diff(columns), std / np.diff(columns)
    attrs = run.attributes() | {"source": f"Mantid processed NeXus file {path.name}"}
    energies = axes["E"]
    if row_dim == "detector":
        n = values.shape[0]
        spectrum, member, detectors = _members(run.entry, n)
        hidden = np.isin(detectors[member], run.masked)
        masked = _of_spectra(hidden.astype(float), spectrum, n)[:, np.newaxis] == 1
        bins = Bins.of(*measured(values, std, mask=masked), energies)
        final = run.final_energies(detectors[member])
        if isinstance(final, np.ndarray):
            final = _of_spectra(final, spectrum, n)
        fixed = _fixed(path, asked, run, attrs, bins, final)
        corrected = run.geometry_of("CorrectKiKf")
        return angle_dataset(
            np.where(masked, np.nan, values),
            std,
            detector=numbers(workspace, "axis2", whole=True),
            angles=_angles(run.entry, spectrum, member, detectors, n),
            E_edges=columns if is_edges else None,
            E=None if is_edges else columns,
            temperature=T,
            ki_over_kf=_agree(corrected, fixed) or None,
            attrs=attrs,
            **fixed,
        )
    edges = {
        dim: p
        for (dim, p), n in zip(axes.items(), values.shape, strict=True)
        if p.size == n + 1
    }
    # No detector reached bins below the first and above the last count in Q.
    counted, Q_axis = (values != 0) | (std != 0), int(column_dim == "Q")
    below = np.logical_or.accumulate(counted, axis=Q_axis)
    above = np.flip(
        np.logical_or.accumulate(np.flip(counted, Q_axis), axis=Q_axis), Q_axis
    )
    values, std = measured(values, std, mask=~(below & above))
    parts = (values, std) if Q_axis == 0 else (values.T, None if std is None else std.T)
    final = run.final_energies(np.zeros(0, dtype=int))
    fixed = _fixed(
        path,
        asked,
        run,
        attrs,
        Bins.of(*parts, energies),
        None if isinstance(final, np.ndarray) else final,
    )
    units = {"Q": "1/angstrom", "E": "meV"}
    ds = new_dataset(
        "dynamic_structure_factor",
        values,
        std=std,
        units="1/meV",
        coords={
            dim: ((p[1:] + p[:-1]) / 2 if dim in edges else p, units[dim])
            for dim, p in axes.items()
        },
        edges=edges,
        temperature=T,
        statistics="quantum",
        attrs=attrs,
    ).transpose("Q", "E", ...)
    if _agree(run.geometry_of("CorrectKiKf"), fixed):
        ds.S.attrs["ki_over_kf"] = KI_OVER_KF[True]
    ds = with_fixed_energy(ds, **fixed)
    if _agree(run.geometry_of("ConvertSpectrumAxis", Target="ElasticQ"), fixed):
        ds.S.attrs |= diagnosed(ds.S.attrs, *_elastic_Q(ds, **fixed))
    return ds


def _agree(kind: str | None, fixed: dict[str, Any]) -> bool:
    """Return whether a recorded algorithm was run for the geometry of the data."""
    return kind in FIXED_ENERGY and kind == fixed.get("geometry")


def _fixed(
    path: Path,
    asked: Asked,
    run: Run,
    attrs: dict[str, str | int],
    bins: Bins,
    final: float | np.ndarray | FileFormatError | None,
) -> dict[str, Any]:
    """Decide on the geometry and the fixed energy."""
    name = str(attrs.get("instrument", ""))
    kind = run.geometry or asked.kind() or geometry_of_instrument(name)
    energy: Any = run.incident_energy if kind != "indirect" else None
    if energy is None and kind != "direct" and asked.final_energy is None:
        if isinstance(final, FileFormatError):
            raise final
        energy = final
    return find_geometry(
        path, asked, stated=run.geometry, instrument=name, energy=energy, bins=bins
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
    off = np.abs(momentum_transfer(ends, energy, angle, geometry) / Q - 1)
    return [
        Diagnostic(
            "elastic_Q",
            "warning",
            f"Q was computed for E = 0; at {ends[0, 0]:.3g} and {ends[1, 0]:.3g} meV "
            f"it is wrong by up to {float(np.nanmax(off, initial=0.0)):.1%}",
            "if that matters, open the spectra over angle and use angle_to_Q",
        )
    ]


def _axis(workspace: h5py.Group, name: str) -> tuple[np.ndarray, str, float]:
    """Return the points of an axis in canonical units, its dimension, its factor."""
    points = numbers(workspace, name)
    label = str(attribute(workspace[name], "units"))
    check(
        label in _AXES,
        f"its '{name}' is in {label!r}, not energy transfer, Q or spectra",
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
    check(
        min(count.min(), first.min()) >= 0
        and (first + count).max() <= listed.size
        and count.sum() <= listed.size,
        "its spectra name detectors that are not listed",
    )
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
    physical = group(entry["instrument"], "physical_detectors")
    if physical is not None:
        identity = numbers(physical, "detector_number", ndim=1)
        order = np.argsort(identity)
        place = np.searchsorted(identity, listed, sorter=order)
        at = order[np.minimum(place, identity.size - 1)]
        known = identity[at] == listed
        polar = numbers(physical, "polar_angle", shape=identity.shape)[at]
        distance = numbers(physical, "distance", shape=identity.shape)[at]
    else:
        positions = numbers(
            entry["instrument/detector"], "detector_positions", shape=(listed.size, 3)
        )
        known = np.ones(listed.size, dtype=bool)
        distance, polar = positions[:, 0], positions[:, 1]
    angles = {
        name: _of_spectra(
            np.where(known[member], column[member], np.nan), spectrum, n_spectra
        )
        for name, column in (("two_theta", polar), ("distance", distance))
    }
    outside = (angles["two_theta"] < 0) | (angles["two_theta"] > 180)
    check(
        not outside.any(), "some of its polar angles are not between 0 and 180 degrees"
    )
    return angles


def _of_spectra(each: np.ndarray, spectrum: np.ndarray, n_spectra: int) -> np.ndarray:
    """Return the mean over the known detectors of each spectrum, or NaN."""
    known = np.isfinite(each)
    n_known = np.bincount(spectrum[known], minlength=n_spectra)
    total = np.bincount(spectrum[known], each[known], n_spectra)
    return np.where(n_known, total / np.maximum(n_known, 1), np.nan)


FORMAT = Format("Mantid processed NeXus", "hdf5", declined, open_mantid, guesses=False)
MantidBackend = FORMAT.backend()
