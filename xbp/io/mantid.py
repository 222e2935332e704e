"""Mantid processed NeXus: workspaces S(2θ,E) and S(Q,E) that SaveNexus wrote."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError
from xbp.core.schema import COORDINATES
from xbp.core.status import Diagnostic, diagnosed
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
from xbp.io.guide import Guide, example
from xbp.io.hdf5 import attribute, chosen, group, names_in, numbers, text, units_of
from xbp.io.mantid_run import Run
from xbp.io.masks import measured
from xbp.io.reader import Format, density_per_mev
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
    "Degrees": ("two_theta", "degree"),
}


def _workspaces(file: h5py.File) -> dict[str, h5py.Group]:
    """Return the workspaces with spectra, by their names if these differ."""
    places = {
        int(place[1]): name
        for name in names_in(file)
        if (place := re.fullmatch(r"mantid_workspace_(\d+)", name))
        and "values" in (group(group(file, name), "workspace") or ())
    }
    found = {name: file[name] for _, name in sorted(places.items())}
    named = {text(entry, "workspace_name") or "": entry for entry in found.values()}
    return found if len(named) < len(found) or not all(named) else named


def _find(file: h5py.File) -> h5py.Group | None:
    return next(iter(_workspaces(file).values()), None)


FORMAT = Format(
    "Mantid processed NeXus",
    "hdf5",
    _find,
    "it has no 'mantid_workspace_N' with 'workspace/values'",
    guesses=False,
    parts=("mantid_workspace_1", "workspace", "values", "axis1"),
    guide=Guide(
        "neutrons",
        "Mantid (SaveNexus)",
        "S(2θ,E) or S(Q,E), run number, geometry, E_i or E_f, T from the logs, k_i/k_f "
        "from the recorded algorithms; counts are divided by the bin width; E in meV, "
        "wavenumbers or frequency",
        example("S", '"run.nxs", T="290 K"', "print(S.bp.kinematic_limits())"),
        asks=("geometry", "T"),
    ),
)


@FORMAT.reader
def open_mantid(
    path: Path,
    entry: h5py.Group,
    *,
    T: Any = None,
    temperature_log: str | None = None,
    geometry: str | None = None,
    incident_energy: Any = None,
    final_energy: Any = None,
    direct_above: Any = "30 meV",
    temperature_spread: float = 0.5,
    name: str | None = None,
) -> xr.Dataset:
    """Read a processed NeXus file of Mantid.

    Parameters
    ----------
    path : path-like
        A file of SaveNexus or SaveNexusProcessed: spectra over energy transfer, or a
        map over Q and energy transfer, in bins that are common to all.
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
    name : str, optional
        Which workspace of a file that has several.

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
    QuantityError
        If `name` is needed, or is not one of those of the file.

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
    entry = chosen(_workspaces(entry.file), name)
    run = Run(entry)
    check(not run.quantity, f"it is {run.quantity}, not S")
    if T is None:
        T = run.temperature(temperature_log, temperature_spread)
    values, std, axes, is_edges = _spectra(entry["workspace"])
    attrs = run.attributes() | {"source": f"Mantid processed NeXus file {path.name}"}
    fixed_energy = functools.partial(_fixed, path, asked, run, attrs)
    if "Q" not in axes:
        n = values.shape[0]
        spectrum, member, detectors = _members(entry, n)
        hidden = np.isin(detectors[member], run.masked)
        masked = _of_spectra(hidden.astype(float), spectrum, n)[:, np.newaxis] == 1
        final = run.final_energies(detectors[member])
        if isinstance(final, np.ndarray):
            final = _of_spectra(final, spectrum, n)
        fixed = fixed_energy(Bins.of(values, std, axes["E"], masked), final)
        corrected = run.geometry_of("CorrectKiKf")
        return angle_dataset(
            np.where(masked, np.nan, values),
            std,
            detector=axes.get("detector", np.arange(n)).astype(np.int64),
            angles=_angles(entry, spectrum, member, detectors, n)
            | ({"two_theta": np.abs(axes["two_theta"])} if "two_theta" in axes else {}),
            E=axes["E"],
            temperature=T,
            ki_over_kf=_agree(corrected, fixed) or None,
            attrs=attrs,
            **fixed,
        )
    dims = tuple(axes)
    # No detector reached bins below the first and above the last count in Q.
    counted, Q_axis = (values != 0) | (std != 0), dims.index("Q")
    below = np.logical_or.accumulate(counted, axis=Q_axis)
    above = np.logical_or.accumulate(np.flip(counted, Q_axis), axis=Q_axis)
    seen = below & np.flip(above, Q_axis)
    by_Q = [array if Q_axis == 0 else array.T for array in (values, std, ~seen)]
    bins = Bins.of(by_Q[0], by_Q[1], axes["E"], by_Q[2])
    final = run.final_energies(np.zeros(0, dtype=int))
    fixed = fixed_energy(bins, None if isinstance(final, np.ndarray) else final)
    measured_values, errors = measured(values, std, mask=~seen)
    ds = new_dataset(
        "dynamic_structure_factor",
        measured_values,
        std=errors,
        units="1/meV",
        coords={
            dim: ((p[1:] + p[:-1]) / 2 if dim in is_edges else p, COORDINATES[dim][0])
            for dim, p in axes.items()
        },
        edges={dim: axes[dim] for dim in is_edges},
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


def _spectra(
    workspace: h5py.Group,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[str]]:
    """Return spectra per meV, errors, axes of rows and columns, those with edges."""
    values = numbers(workspace, "values", ndim=2)
    std = numbers(workspace, "errors", shape=values.shape)
    found = [_axis(workspace, name) for name in ("axis2", "axis1")]
    axes = {dim: points for dim, points, _ in found}
    ((row_dim, _, row_factor), (column_dim, columns, column_factor)) = found
    of_spectra = row_dim in ("detector", "two_theta")
    known = {row_dim, column_dim} == {"Q", "E"} or (of_spectra and column_dim == "E")
    check(known, f"its axes are {row_dim} and {column_dim}, not spectra or Q and E")
    if row_dim == "detector":
        axes["detector"] = numbers(workspace, "axis2", whole=True)
    elif row_dim == "two_theta" and axes[row_dim].size == len(values) + 1:
        axes[row_dim] = (axes[row_dim][1:] + axes[row_dim][:-1]) / 2
    if columns.ndim == 2:
        same = (columns == columns[0]).all()
        check(same, "its spectra have different bins: Rebin them first")
        axes[column_dim] = columns = columns[0]
    is_edges = []
    for (dim, points), size in zip(axes.items(), values.shape, strict=True):
        is_edge = points.size == size + 1 and not (of_spectra and dim == row_dim)
        is_edges += [dim] if is_edge else []
        fits = points.ndim == 1 and points.size == size + (dim in is_edges)
        check(fits, f"its axis '{dim}' has the shape {points.shape} for {size} bins")
        ascending = np.isfinite(points).all() and (np.diff(points) > 0).all()
        unordered = of_spectra and dim == row_dim
        check(ascending or unordered, f"its axis '{dim}' is not ascending")
    # A distribution is divided by the width of its bins in the units of the file;
    # counts are not.
    stated = str(attribute(workspace["axis1"], "distribution") or "0").strip().lower()
    known = stated in ("0", "1", "false", "true")
    check(known, f"the attribute 'distribution' is {stated!r}, not 0 or 1")
    if stated in ("1", "true"):
        factor = column_factor if column_dim == "E" else row_factor
        values, spread, _ = density_per_mev(values, std, axis=factor)
        return values, np.asarray(spread), axes, is_edges
    widths = np.diff(columns)
    if "E" not in is_edges and column_dim == "E":
        # Points are counts of bins as wide as their distance, if that is the same.
        even = np.allclose(widths, widths[:1], rtol=1e-4)
        check(
            even and widths.size,
            "it has counts at uneven points: ConvertToDistribution before "
            "ConvertToPointData",
        )
        widths = widths[:1]
    check(
        column_dim == "E",
        "it is not a distribution: ConvertToDistribution before saving",
    )
    return values / widths, std / widths, axes, is_edges


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
    energy: Any = None if kind == "indirect" else run.incident_energy
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
    first, last = ends = ds.E.values[[0, -1]]
    true = momentum_transfer(ends[:, np.newaxis], energy, angle, geometry)
    off = float(np.nanmax(np.abs(true / Q - 1), initial=0.0))
    text = f"Q was computed for E = 0; from {first:.3g} to {last:.3g} meV it is wrong "
    fix = "open the spectra over angle and use angle_to_Q"
    return [Diagnostic("elastic_Q", "warning", f"{text}by up to {off:.1%}", fix)]


def _axis(workspace: h5py.Group, name: str) -> tuple[str, np.ndarray, float]:
    """Return the dimension of an axis, its points in canonical units, the factor."""
    label = str(attribute(workspace[name], "units"))
    known = label in _AXES
    check(known, f"its '{name}' is in {label!r}, not energy transfer, Q or spectra")
    dim, units = _AXES[label]
    factor = convert_factor(units, "meV", energy=True) if dim == "E" else 1.0
    return dim, numbers(workspace, name) * factor, factor


def _members(
    entry: h5py.Group, n_spectra: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return spectrum and place in the list of each detector, and the list."""
    detector = entry["instrument/detector"]
    count, first = (
        numbers(detector, f"detector_{name}", shape=(n_spectra,), whole=True)
        for name in ("count", "index")
    )
    listed = numbers(detector, "detector_list", ndim=1)
    most = max((first + count).max(), count.sum())
    fits = min(count.min(), first.min()) >= 0 and most <= listed.size
    check(fits, "its spectra name detectors that are not listed")
    spectrum = np.repeat(np.arange(n_spectra), count)
    begin = np.repeat(first - (np.cumsum(count) - count), count)
    return spectrum, np.arange(count.sum()) + begin, listed


def _angles(
    entry: h5py.Group,
    spectrum: np.ndarray,
    member: np.ndarray,
    listed: np.ndarray,
    n_spectra: int,
) -> dict[str, np.ndarray]:
    """Return mean angle and distance of the detectors of each spectrum, or NaN."""
    instrument = entry["instrument"]
    physical = group(instrument, "physical_detectors")
    if physical is not None:
        identity = numbers(physical, "detector_number", ndim=1)
        order = np.argsort(identity)
        place = np.searchsorted(identity, listed, sorter=order)
        at = order[np.minimum(place, identity.size - 1)]
        known = identity[at] == listed
        polar, distance = (
            np.where(
                known,
                numbers(physical, name, shape=identity.shape)[at]
                * convert_factor(units_of(physical, name, own), own, name=name),
                np.nan,
            )
            for name, own in (("polar_angle", "degree"), ("distance", "m"))
        )
    else:
        shape = listed.size, 3
        positions = numbers(instrument["detector"], "detector_positions", shape=shape)
        distance, polar = positions[:, 0], positions[:, 1]
    return {
        name: _of_spectra(column[member], spectrum, n_spectra)
        for name, column in (("two_theta", polar), ("distance", distance))
    }


def _of_spectra(each: np.ndarray, spectrum: np.ndarray, n_spectra: int) -> np.ndarray:
    """Return the mean over the known detectors of each spectrum, or NaN."""
    known = np.isfinite(each)
    n_known = np.bincount(spectrum[known], minlength=n_spectra)
    total = np.bincount(spectrum[known], each[known], n_spectra)
    return np.where(n_known, total / np.maximum(n_known, 1), np.nan)


MantidBackend = FORMAT.backend()
