"""NXSPE: S(2θ,E) as Mantid and Horace exchange it, in and out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.conditions import FIXED_ENERGY, resolve_fixed_energy
from xbp.core.errors import CoordinateError, FileFormatError, QuantityError
from xbp.core.grid import bin_limits
from xbp.core.operation import operation
from xbp.core.signal import as_stored, read
from xbp.core.units import convert_factor, magnitude
from xbp.io.geometry import (
    KI_OVER_KF,
    Asked,
    Bins,
    angle_dataset,
    find_geometry,
    masked_rows,
)
from xbp.io.hdf5 import (
    HDF5_ERRORS,
    attribute,
    flag,
    group,
    number,
    numbers,
    open_hdf5,
    text,
)
from xbp.io.publish import new_file
from xbp.io.reader import Format, density_per_mev, measured, reader
from xbp.io.text import check
from xbp.reduction import convert

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["FORMAT", "NxspeBackend", "open_nxspe", "to_nxspe"]

_COLUMNS: Final = {
    "polar": "two_theta",
    "polar_width": "two_theta_width",
    "azimuthal": "azimuth",
    "azimuthal_width": "azimuth_width",
    "distance": "distance",
}
_LACKS: Final = "it has no entry with 'NXSPE_info' and 'data/polar'"


def declined(file: h5py.File) -> str | None:
    """Return why a file is not NXSPE, or None if it is."""
    return None if _find(file) is not None else _LACKS


@reader("NXSPE")
def open_nxspe(
    path: Path,
    *,
    T: Any = None,
    geometry: str | None = None,
    incident_energy: Any = None,
    final_energy: Any = None,
    direct_above: Any = "30 meV",
) -> xr.Dataset:
    """Read an NXSPE file.

    Parameters
    ----------
    path : path-like
        NXSPE 1.0 to 1.3.
    T : scalar with units, optional
        Temperature of the sample, instead of that of the file (Mantid writes none); a
        bare number is in K.
    geometry : {"direct", "indirect"}, optional
        Whether ``fixed_energy`` is the incident or the final energy, which the format
        does not record. It is found from what xbp wrote, from the name of the
        instrument, from energy transfers above the fixed energy (indirect), or from a
        fixed energy above `direct_above`; otherwise it is required.
    incident_energy, final_energy : scalar with units, optional
        The fixed energy, overriding that in the file; it also sets the geometry (bare:
        meV).
    direct_above : scalar with units
        A fixed energy above this is an incident one: no analyser selects it (bare:
        meV).

    Returns
    -------
    xarray.Dataset
        ``S(detector, E)`` per meV on an arbitrary scale (unless the file states its
        units), with ``S_std`` where the file has errors other than 0; ``two_theta`` and
        the other angles in degrees, ``distance`` in m and ``masked`` over the
        detectors; ``incident_energy`` (direct geometry) or ``final_energy`` (indirect)
        in meV, a scalar or over the detectors, ``temperature`` and ``psi`` (degrees)
        where they are known. ``S.attrs["geometry"]`` is "direct" or "indirect",
        ``S.attrs["ki_over_kf"]`` "applied" or "not applied". Bins that were not
        measured are NaN: infinities, sentinels, negative errors. Detectors whose bins
        are all NaN, -1e30 or zero without an error are masked. If a file has fewer
        angles than spectra, the spectra that are zero throughout have no angle, as
        Mantid writes them.

    Raises
    ------
    FileFormatError
        If the file is truncated, of another kind, its parts do not fit together, or its
        geometry is not known.

    References
    ----------
    NeXus application definition NXspe,
    https://manual.nexusformat.org/classes/applications/NXspe.html

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, xbp
    >>> ds = xbp.new_dataset(
    ...     "detector_spectra", np.ones((2, 3)), std=np.ones((2, 3)), units="1/meV",
    ...     coords={"detector": ([0, 1], "1"), "E": ([0.5, 1.5, 2.5], "meV")},
    ...     statistics="quantum")
    >>> ds = ds.assign_coords(
    ...     two_theta=("detector", [10.0, 20.0], {"units": "degree"}),
    ...     incident_energy=((), 5.0, {"units": "meV"}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ds.bp.to_nxspe(f"{folder}/glass.nxspe")
    ...     back = open_nxspe(f"{folder}/glass.nxspe", T="290 K")
    >>> back.two_theta.values, float(back.incident_energy), float(back.temperature)
    (array([10., 20.]), 5.0, 290.0)
    >>> back.S.attrs["geometry"]
    'direct'
    """
    asked = Asked(geometry, incident_energy, final_energy, direct_above)
    asked.kind()
    with open_hdf5(path) as file:
        entry = _find(file)
        if entry is None:
            raise ValueError(_LACKS)
        return _read(entry, path, T, asked)


def _find(file: h5py.File) -> h5py.Group | None:
    needed = {"data", "error", "energy", "polar"}
    for entry in file.values():
        data = group(entry, "data")
        if data is not None and group(entry, "NXSPE_info") and needed <= set(data):
            return entry
    return None


def _read(entry: h5py.Group, path: Path, T: Any, asked: Asked) -> xr.Dataset:
    data, info = entry["data"], entry["NXSPE_info"]
    values = numbers(data, "data", ndim=2)
    std = numbers(data, "error", shape=values.shape)
    n_detector, n_energy = values.shape
    axis = attribute(data["energy"], "units") or "meV"
    to_mev = convert_factor(axis, "meV", name="'energy'", energy=True)
    energy = numbers(data, "energy", ndim=1) * to_mev
    check(
        energy.size in (n_energy, n_energy + 1)
        and (np.diff(energy) > 0).all()
        and np.isfinite(energy).all(),
        f"'energy' has {energy.size} values for {n_energy} bins, or is not ascending",
    )
    units = attribute(data["data"], "units") or f"1/({axis})"
    values, std, units = density_per_mev(values, std, axis=to_mev, units=units)
    # Without a detector Mantid writes zeros, for a masked one NaN; other programs NaN
    # for both.
    may_lack = (((values == 0) & (std == 0)).all(axis=1), masked_rows(values, std))
    instrument, sample = group(entry, "instrument"), group(entry, "sample")
    attrs: dict[str, str | int] = {
        "title": entry.name.strip("/"),
        "source": f"NXSPE file {path.name}",
    }
    if name := text(instrument, "name"):
        attrs["instrument"] = name
    # Mantid writes 0 for an unknown run.
    if instrument is not None and (run := number(instrument, "run_number")):
        attrs["run_number"] = int(run)
    # The format itself has no field for the geometry; xbp writes one.
    stated = text(info, "geometry") or text(info, "deltaE-mode") or ""
    stated = stated.strip().lower()
    if T is None and sample is not None:
        T = number(sample, "temperature")
    angles = {
        name: _per_detector(numbers(data, column, ndim=1), column, *may_lack)
        for column, name in _COLUMNS.items()
        if column in data
    }
    polar = angles["two_theta"]
    check(
        not ((polar < 0) | (polar > 180)).any(),
        "some of its polar angles are not between 0 and 180 degrees",
    )
    is_edges = energy.size == n_energy + 1
    ds = angle_dataset(
        values,
        std,
        detector=np.arange(n_detector),
        angles=angles,
        E_edges=energy if is_edges else None,
        E=None if is_edges else energy,
        **find_geometry(
            path,
            asked,
            stated=stated if stated in FIXED_ENERGY else None,
            instrument=name,
            energy=_fixed_energy(info, *may_lack),
            bins=Bins.of(*measured(values, std), energy),
        ),
        temperature=T,
        ki_over_kf=flag(info, "ki_over_kf_scaling"),
        units=units,
        attrs=attrs,
    )
    psi = number(info, "psi")
    if psi is not None:
        label = {"units": "degree", "long_name": "rotation of the sample"}
        ds = ds.assign_coords(psi=((), psi, label))
    return ds


def _per_detector(given: np.ndarray, column: str, *may_lack: np.ndarray) -> np.ndarray:
    """Assign numbers to spectra; if there are too few, a mask shows which lack one."""
    none = np.zeros_like(may_lack[0])
    for lacking in (none, *may_lack):
        if given.size == (~lacking).sum():
            each = np.full(none.size, np.nan)
            each[~lacking] = given
            return each
    empty = " or ".join(str(int(mask.sum())) for mask in may_lack)
    raise ValueError(
        f"'{column}' has {given.size} values for {none.size} spectra, {empty} of them "
        "empty"
    )


def _fixed_energy(info: h5py.Group, *may_lack: np.ndarray) -> float | np.ndarray | None:
    """Return the fixed energy in meV, one or one for each spectrum, if it is known."""
    if "fixed_energy" not in info:
        return None
    units = attribute(info["fixed_energy"], "units") or "meV"
    factor = convert_factor(units, "meV", name="'fixed_energy'", energy=True)
    given = numbers(info, "fixed_energy").reshape(-1) * factor
    if given.size > 1:
        return _per_detector(given, "fixed_energy", *may_lack)
    return float(given[0]) if np.isfinite(given[0]) else None


@operation(takes="detector_spectra")
def to_nxspe(
    data: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write S(2θ,E) as NXSPE 1.3, for Mantid, Horace, MSlice and PACE.

    As Mantid writes it: NaN with the error 0 for masked detectors, zeros for those
    without angles, whose places in the lists of angles are left out. `open_nxspe` gives
    the Dataset back: values, errors, angles, masks, geometry and fixed energy,
    temperature, psi, title, instrument and run. The format has no field for the
    history. The geometry is in ``NXSPE_info/geometry``, an extension of xbp.

    Parameters
    ----------
    data : xarray.Dataset
        ``S(detector, E)`` with its standard deviation and the coordinates that
        `open_nxspe` sets, ``two_theta`` and ``incident_energy`` or ``final_energy`` at
        least.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        If the data are not S(2θ,E), have no standard deviation, or further dimensions.
    CoordinateError
        If angles or the fixed energy are missing.
    FileFormatError
        If the file exists and `overwrite` is not given, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import xbp
    >>> ds = xbp.new_dataset(
    ...     "detector_spectra", np.ones((2, 3)), std=np.ones((2, 3)), units="1/meV",
    ...     coords={"detector": ([0, 1], "1"), "E": ([-1.0, 0.0, 1.0], "meV")},
    ...     statistics="quantum")
    >>> ds = ds.assign_coords(
    ...     two_theta=("detector", [30.0, 60.0], {"units": "degree"}),
    ...     incident_energy=((), 20.0, {"units": "meV"}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xbp.to_nxspe(ds, f"{folder}/a.nxspe")
    ...     back = xbp.open_dataset(f"{folder}/a.nxspe")
    >>> bool((back.S == ds.S).all()), back.two_theta.values
    (True, array([30., 60.]))
    """
    signal = as_stored(read(convert(data, E="meV"), "detector_spectra"))
    value, std = signal.value, signal.std
    if set(value.dims) != {"detector", "E"} or std is None:
        raise QuantityError(
            f"'{value.name}' over {tuple(value.dims)} "
            f"{'without' if std is None else 'with'} standard deviation",
            fix="pass a Dataset with S and S_std over detector and E",
        )
    if "two_theta" not in value.coords:
        raise CoordinateError(
            "the data have no coordinate 'two_theta'",
            fix="data = data.assign_coords(two_theta=('detector', angles, {'units': "
            "'degree'}))",
        )
    geometry, fixed = resolve_fixed_energy(value)
    S, errors = (
        array.transpose("detector", "E").values.astype(float) for array in (value, std)
    )
    lower, upper = bin_limits(signal.source, "E")
    known = value.two_theta.notnull().values
    measured, empty = np.isfinite(S), masked_rows(S, errors)
    if measured[~known].any():
        raise CoordinateError(
            f"{int(measured[~known].any(axis=1).sum())} detectors with data have no "
            "angle",
            fix="mask them: data.where(data.two_theta.notnull())",
        )
    parts: dict[str, object] = {
        "definition": [b"NXSPE"],
        "program_name": [b"xbp"],
        "NXSPE_info/fixed_energy": fixed.values[known]
        if fixed.ndim
        else [float(fixed)],
        "NXSPE_info/geometry": [geometry.encode()],
        "NXSPE_info/psi": [
            _number(value, "psi", "degree") if "psi" in value.coords else np.nan
        ],
        "instrument/name": [str(signal.source.attrs.get("instrument", "")).encode()],
        "data/data": np.where(
            known[:, np.newaxis], np.where(empty[:, np.newaxis], np.nan, S), 0.0
        ),
        "data/error": np.where(measured, errors, 0.0),
        "data/energy": np.append(lower, upper[-1]),
    }
    if geometry == "direct" and not fixed.ndim:
        parts["instrument/fermi/energy"] = [float(fixed)]
    if "ki_over_kf" in value.attrs:
        parts["NXSPE_info/ki_over_kf_scaling"] = [
            int(value.attrs["ki_over_kf"] == KI_OVER_KF[True])
        ]
    run = signal.source.attrs.get("run_number")
    if isinstance(run, int | np.integer):
        parts["instrument/run_number"] = [run]
    if "temperature" in value.coords:
        parts["sample/temperature"] = [_number(value, "temperature", "K")]
    for column, name in _COLUMNS.items():
        if name in value.coords:
            parts[f"data/{column}"] = value[name].values[known].astype(float)
    # The name of the entry is the title; slashes and lone dots are paths in HDF5.
    title = str(signal.source.attrs.get("title", "")).replace("/", "_")
    title = title if title.strip(".") else "xbp"
    with new_file(path, overwrite=overwrite) as (temporary, target):
        try:
            _write(temporary, title, parts, signal.units)
        except HDF5_ERRORS as error:
            raise FileFormatError(
                f"cannot write {target}",
                reason=f"{type(error).__name__}: {error}",
                fix="use only plain text and integer run numbers in attributes",
            ) from error


def _number(value: xr.DataArray, name: str, units: str) -> float:
    coordinate = value[name]
    if coordinate.ndim:
        raise CoordinateError(
            f"coordinate '{name}' has the shape {coordinate.shape}",
            fix="select one value",
        )
    return magnitude(coordinate, units, name=f"coordinate '{name}'")


def _write(path: str, title: str, parts: dict[str, object], units: str) -> None:
    classes = {
        "": "NXentry",
        "NXSPE_info": "NXcollection",
        "data": "NXdata",
        "instrument": "NXinstrument",
        "instrument/fermi": "NXfermi_chopper",
        "sample": "NXsample",
    }
    attrs: dict[str, dict[str, object]] = {
        "definition": {"version": np.bytes_(b"1.3")},
        "NXSPE_info/fixed_energy": {"units": np.bytes_(b"meV")},
        "NXSPE_info/psi": {"units": np.bytes_(b"degrees")},
        "data/energy": {"units": np.bytes_(b"meV")},
        "data/data": {
            "signal": 1,
            "axes": np.bytes_(b"polar:energy"),
            "units": np.bytes_(units.encode()),
        },
    }
    with h5py.File(path, "w") as file:
        entry = file.create_group(title)
        for name, kind in classes.items():
            if name == "instrument/fermi" and f"{name}/energy" not in parts:
                continue
            (entry.require_group(name) if name else entry).attrs["NX_class"] = (
                np.bytes_(kind.encode())
            )
        for name, values in parts.items():
            entry[name] = values
            entry[name].attrs.update(attrs.get(name, {}))


FORMAT = Format("NXSPE", "hdf5", declined, open_nxspe, guesses=False)
NxspeBackend = FORMAT.backend()
