"""NXSPE: S(2θ,E) as Mantid and Horace exchange it, in and out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.conditions import FIXED_ENERGY, resolve_fixed_energy
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.grid import bin_limits
from xbp.core.guards import not_used
from xbp.core.operation import operation
from xbp.core.units import convert_factor, magnitude, parse_unit, to_kelvin
from xbp.io.geometry import (
    KI_OVER_KF,
    Asked,
    Bins,
    angle_dataset,
    find_geometry,
    masked_rows,
    of_detectors,
    spectra_to_write,
)
from xbp.io.guide import Guide, example
from xbp.io.hdf5 import (
    HDF5_ERRORS,
    attribute,
    chosen,
    flag,
    group,
    groups,
    names_in,
    number,
    numbers,
    numbers_of_each,
    text,
    units_of,
)
from xbp.io.masks import Extremes
from xbp.io.publish import new_file
from xbp.io.reader import Format, density_per_mev
from xbp.io.text import check, translated

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


def _entries(file: h5py.File) -> dict[str, h5py.Group]:
    needed = {"data", "error", "energy", "polar"}
    return {
        name: entry
        for name, entry in groups(file).items()
        if group(entry, "NXSPE_info")
        and (data := group(entry, "data"))
        and needed <= {*names_in(data)}
    }


FORMAT = Format(
    "NXSPE",
    "hdf5",
    _entries,
    "it has no entry with 'NXSPE_info' and 'data/polar'",
    guesses=False,
    finite=True,
    parts=("NXSPE_info", "data", "polar", "fixed_energy"),
    guide=Guide(
        "neutrons",
        "Mantid, Horace, PACE, xbp (NXSPE 1.0 to 1.3)",
        "S(2θ,E), errors, angles, E_i or E_f, T, ψ, k_i/k_f, masks; the format does "
        "not record [whether E_i or E_f is fixed](#geometry); Mantid writes no T",
        example("S", '"run.nxspe", T="290 K"', 'S.bp.angle_to_Q("0.2 1/angstrom")'),
        asks=("geometry", "T"),
    ),
)


@FORMAT.reader
def open_nxspe(
    path: Path,
    entries: dict[str, h5py.Group],
    *,
    T: Any = None,
    geometry: str | None = None,
    incident_energy: Any = None,
    final_energy: Any = None,
    direct_above: Any = "30 meV",
    angle_units: Literal["degree", "rad"] | None = None,
    name: str | None = None,
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
    angle_units : {"degree", "rad"}, optional
        Units of the angles, if the file has none; needed if no scattering angle exceeds
        π, since some programs write radians; degrees otherwise, as the format
        prescribes.
    name : str, optional
        Which entry of a file that has several.

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
    QuantityError
        If `name` is needed, or is not one of those of the file.

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
    entry = chosen(entries, name)
    data, info = entry["data"], entry["NXSPE_info"]
    there = names_in(data)
    known = Extremes(), Extremes()
    looks = {"data": known[0].look, "error": known[1].look}
    of_file, errors = numbers_of_each(data, looks, ndim=2)
    n_detector, n_energy = of_file.shape
    axis = attribute(data, "units", of="energy") or "meV"
    to_mev = convert_factor(axis, "meV", name="'energy'", energy=True)
    energy = numbers(data, "energy", ndim=1) * to_mev
    ascending = np.isfinite(energy).all() and (np.diff(energy) > 0).all()
    fits = energy.size in (n_energy, n_energy + 1)
    check(fits and ascending, f"'energy' is not ascending, or not of {n_energy} bins")
    units = attribute(data, "units", of="data") or f"1/({axis})"
    own = parse_unit(attribute(data, "units", of="error") or units, name="'error'")
    same = own in (parse_unit(units), parse_unit("1"))
    check(same, f"its errors are in {own}, its spectra in {units}")
    label = attribute(data, "long_name", of="error") or ""
    squares = re.search(r"(?i)varian|squared?\b|\^ ?2|²", label)
    check(squares is None, f"its errors are called {label!r}, not standard deviations")
    values, std, units = density_per_mev(of_file, errors, axis=to_mev, units=units)
    assert std is not None
    # Without a detector Mantid writes zeros, for a masked one NaN; other programs NaN
    # for both.
    bins = Bins.of(values, std, energy, known=known if values is of_file else None)
    zero = bins.empty.copy()
    zero[zero] = ~(values[zero].any(axis=1) | std[zero].any(axis=1))
    may_lack = (zero, bins.empty)
    instrument, sample = group(entry, "instrument"), group(entry, "sample")
    attrs: dict[str, str | int] = {"title": entry.name.strip("/")}
    attrs["source"] = f"NXSPE file {path.name}"
    if station := text(instrument, "name"):
        attrs["instrument"] = station
    if of := text(sample, "name"):
        attrs["sample"] = of
    # Mantid writes 0 for an unknown run.
    if instrument is not None and (run := number(instrument, "run_number")):
        attrs["run_number"] = int(run)
    # The format itself has no field for the geometry; xbp writes one.
    stated = text(info, "geometry") or text(info, "deltaE-mode") or ""
    stated = stated.strip().lower()
    if T is None and sample is not None:
        T = number(sample, "temperature")
        if T is not None:
            T = to_kelvin(T, units_of(sample, "temperature", "K"), name="'temperature'")
    angle = _angle_units(path, entry, angle_units)
    psi = number(info, "psi")
    rotation = {"units": "degree", "long_name": "rotation of the sample"}
    return angle_dataset(
        values,
        std,
        detector=np.arange(n_detector),
        angles={
            name: _per_detector(_converted(data, column, angle), column, *may_lack)
            for column, name in _COLUMNS.items()
            if column in there
        },
        E=energy,
        temperature=T,
        ki_over_kf=flag(info, "ki_over_kf_scaling"),
        units=units,
        attrs=attrs,
        bins=bins,
        further={}
        if psi is None
        else {"psi": ((), psi * _factor(info, "psi", "degree"), rotation)},
        **find_geometry(
            path,
            asked,
            stated=stated if stated in FIXED_ENERGY else None,
            instrument=station,
            energy=_fixed_energy(info, *may_lack),
            bins=bins,
        ),
    )


def _factor(parent: h5py.Group, name: str, canonical: str) -> float:
    return convert_factor(
        units_of(parent, name, canonical), canonical, name=f"'{name}'"
    )


def _angle_units(path: Path, entry: h5py.Group, given: str | None) -> str:
    """Return the units of angles without an attribute."""
    data = entry["data"]
    if attribute(data, "units", of="polar") is not None:
        not_used(f"{path} has units of angles", angle_units=given)
        return units_of(data, "polar", "degree")
    largest = np.fmax.reduce(numbers(data, "polar", ndim=1), initial=0)
    if given is None and 0 < largest <= np.pi and text(entry, "program_name") != "xbp":
        raise QuantityError(
            f"{path} has angles without units up to {largest:.3g}: degrees or radians?",
            fix="angle_units='rad', or 'degree'",
        )
    return given or "degree"


def _converted(data: h5py.Group, column: str, angle: str) -> np.ndarray:
    """Return a column of the detectors, in degrees or m; `angle` is the default."""
    values: np.ndarray = numbers(data, column, ndim=1)
    if column == "distance":
        return values * _factor(data, column, "m")
    units = units_of(data, column, angle)
    return values * convert_factor(units, "degree", name=f"'{column}'")


def _per_detector(given: np.ndarray, column: str, *may_lack: np.ndarray) -> np.ndarray:
    """Assign numbers to spectra; if there are too few, a mask shows which lack one."""
    each = np.full(may_lack[0].size, np.nan)
    for having in (np.isnan(each), *np.logical_not(may_lack)):
        if given.size == having.sum():
            each[having] = given
            return each
    raise ValueError(f"'{column}' has {given.size} values for {each.size} spectra")


def _fixed_energy(info: h5py.Group, *may_lack: np.ndarray) -> float | np.ndarray | None:
    """Return the fixed energy in meV, one or one for each spectrum, if it is known."""
    if "fixed_energy" not in info:
        return None
    units = attribute(info, "units", of="fixed_energy") or "meV"
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
        If the data are not S(2θ,E), have no standard deviation, or further dimensions;
        if bins share errors (``S_std_common``, ``E_independence``).
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
    signal, std = spectra_to_write(data, "NXSPE")
    value, attrs = signal.value, signal.source.attrs
    known = value.coords.get("two_theta", value.detector * np.nan).notnull().values
    geometry, fixed = resolve_fixed_energy(value)
    S, errors = (
        array.transpose("detector", "E").values.astype(float) for array in (value, std)
    )
    lower, upper = bin_limits(signal.source, "E")
    measured, empty = np.isfinite(S), masked_rows(S, errors)
    if n_lost := int(measured[~known].any(axis=1).sum()):
        raise CoordinateError(
            f"{n_lost} detectors with data have no angle 'two_theta'",
            fix="mask them: data.where(data.two_theta.notnull())",
        )
    S[empty], S[~known] = np.nan, 0.0
    parts: dict[str, Any] = {
        "definition": b"NXSPE",
        "program_name": b"xbp",
        "NXSPE_info/fixed_energy": fixed.values[known] if fixed.ndim else float(fixed),
        "NXSPE_info/geometry": geometry.encode(),
        "NXSPE_info/psi": np.nan,
        "instrument/name": str(attrs.get("instrument", "")).encode(),
        "data/data": S,
        "data/error": np.where(measured, errors, 0.0),
        "data/energy": np.append(lower, upper[-1]),
    }
    if geometry == "direct" and not fixed.ndim:
        parts["instrument/fermi/energy"] = float(fixed)
    if "ki_over_kf" in value.attrs:
        applied = value.attrs["ki_over_kf"] == KI_OVER_KF[True]
        parts["NXSPE_info/ki_over_kf_scaling"] = int(applied)
    if attrs.get("sample"):
        parts["sample/name"] = str(attrs["sample"]).encode()
    run = attrs.get("run_number")
    if isinstance(run, int | np.integer):
        parts["instrument/run_number"] = run
    for name, place, units in (
        ("psi", "NXSPE_info/psi", "degree"),
        ("temperature", "sample/temperature", "K"),
    ):
        if name in value.coords:
            parts[place] = magnitude(value[name], units, name=f"coordinate '{name}'")
    for column, name in _COLUMNS.items():
        if name in value.coords:
            parts[f"data/{column}"] = of_detectors(value, name)[known]
    # The name of the entry is the title; slashes and lone dots are paths in HDF5.
    title = str(attrs.get("title", "")).replace("/", "_")
    title = title if title.strip(".") else "xbp"
    fix = "use only text and integers in attributes"
    with (
        new_file(path, overwrite=overwrite) as (temporary, target),
        translated(f"cannot write {target}", *HDF5_ERRORS, fix=fix),
    ):
        _write(temporary, title, parts, signal.units)


def _write(path: str, title: str, parts: dict[str, Any], units: str) -> None:
    classes = {
        "": "NXentry",
        "NXSPE_info": "NXcollection",
        "data": "NXdata",
        "instrument": "NXinstrument",
        "instrument/fermi": "NXfermi_chopper",
        "sample": "NXsample",
    }
    attrs: dict[str, dict[str, Any]] = {
        "definition": {"version": "1.3"},
        "NXSPE_info/fixed_energy": {"units": "meV"},
        "NXSPE_info/psi": {"units": "degrees"},
        **{f"data/{name}": {"units": "degrees"} for name in _COLUMNS},
        "data/distance": {"units": "m"},
        "data/energy": {"units": "meV"},
        "data/data": {"signal": 1, "axes": "polar:energy", "units": units},
    }
    with h5py.File(path, "w") as file:
        entry = file.create_group(title)
        for name, values in parts.items():
            entry[name] = np.atleast_1d(values)
        for name, kind in classes.items():
            if name in ("", "sample") or name in entry:
                node = entry.require_group(name) if name else entry
                node.attrs["NX_class"] = np.bytes_(kind)
        for name, labels in attrs.items():
            for key, label in labels.items() if name in entry else ():
                is_text = isinstance(label, str)
                entry[name].attrs[key] = np.bytes_(label.encode()) if is_text else label


NxspeBackend = FORMAT.backend()
