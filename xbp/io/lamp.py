"""LAMP's HDF5: S(Q,E) or S(2θ,E) of the spectrometers of the ILL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import lazy_loader
import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import not_used
from xbp.core.schema import COORDINATES
from xbp.core.units import convert_factor, parse_unit
from xbp.io.geometry import (
    Asked,
    Bins,
    angle_dataset,
    find_geometry,
    geometry_of_instrument,
    with_fixed_energy,
)
from xbp.io.guide import Guide, example
from xbp.io.hdf5 import group, groups, numbers, text
from xbp.io.masks import measured
from xbp.io.reader import Format, density_per_mev
from xbp.io.text import check
from xbp.reduction.kinematics import wave_number

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["FORMAT", "LampBackend", "open_lamp"]

#: What the label of an axis contains, with its dimension and its usual unit.
_LABELS: Final = (
    (r"energy|hw|ħω", "E", "meV"),
    (r"wave ?vector|momentum|^q\b", "Q", "1/angstrom"),
    (r"angle|two ?theta|2 ?theta|2θ", "two_theta", "degree"),
)
#: IDL's commands to raise and lower text, and its name of an angstrom.
_IDL: Final = ((r"!U-1!N", "^-1"), (r"![A-Z0-9]", ""), (r"\bA\b|Å", "angstrom"))
_PARAMETER: Final = re.compile(r"\s*(?:\d+\)\s*)?(.*?)\s*=\s*([-+\d.eE]+)\s*")
_TEMPERATURE: Final = re.compile(r"(?i)sample\s+temperature\b.*|\(sample\) temperature")
_WAVELENGTH: Final = re.compile(r"(?i)wavelength\b.*|\(entry\) wavelength")


def _find(file: h5py.File) -> h5py.Group | None:
    for entry in groups(file).values():
        data = group(entry, "data1") or group(entry, "data")
        if data is not None and "DATA" in data and "X" in data:
            return data
    return None


FORMAT = Format(
    "LAMP HDF5",
    "hdf5",
    _find,
    "it has no 'entry1/data1' with 'DATA' and 'X'",
    guesses=False,
    parts=("entry1", "data1", "DATA", "SNAPSHOT"),
    guide=Guide(
        "neutrons",
        "LAMP (IN4, IN5, IN6, IN16B …): `.hdf` in HDF5",
        "S(Q,E) or S(2θ,E), errors (−1: not measured), T and wavelength of the "
        "parameters; axes without units: `x_units=`, `y_units=`; raw data over times "
        "of flight are refused",
        example("S", '"water.hdf"', 'S.bp.cut_Q(("1 1/angstrom", "2 1/angstrom"))'),
        asks=("x_units", "y_units", "T", "geometry"),
    ),
)


@FORMAT.reader
def open_lamp(
    path: Path,
    data: h5py.Group,
    *,
    x_units: str | None = None,
    y_units: str | None = None,
    T: Any = None,
    geometry: str | None = None,
    incident_energy: Any = None,
    final_energy: Any = None,
    positive: Literal["loss", "gain"] = "loss",
) -> xr.Dataset:
    """Read a workspace of LAMP in HDF5.

    Parameters
    ----------
    path : path-like
        A workspace over energy transfer, and Q or scattering angle.
    x_units, y_units : str, optional
        Units of the axes, if their labels have none, which also tells what they are:
        those of an energy, of an inverse length, or degrees.
    T : scalar with units, optional
        Temperature of the sample (bare: K), instead of that in the parameters.
    geometry : {"direct", "indirect"}, optional
        Whether the energy of the wavelength in the parameters is the incident one;
        needed for angles if the name of the instrument does not decide it.
    incident_energy, final_energy : scalar with units, optional
        The fixed energy, overriding that of the file (bare: meV).
    positive : {"loss", "gain"}
        Which energy transfer of the neutron is positive in the file; gains are
        reversed.

    Returns
    -------
    xarray.Dataset
        ``S(Q,E)``, or ``S(detector,E)`` with the angles in ``two_theta``, with
        ``S_std``, per meV on an arbitrary scale; E in meV, with energy loss of the
        neutron positive. Bins with the error -1 are NaN. The incident energy of a
        direct spectrometer is that of its wavelength.

    Raises
    ------
    FileFormatError
        If the file is damaged, its axes are others, or a bin is at a Q that no
        scattering angle reaches: its E has the other sign.
    QuantityError
        If units of an axis are needed.

    References
    ----------
    D. Richard, M. Ferrand and G. J. Kearley, J. Neutron Res. 4, 33 (1996),
    doi:10.1080/10238169608200065.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/a.hdf", "w") as file:
    ...         data = file.create_group("entry1/data1")
    ...         data["DATA"], data["errors"] = [[4.0, 9.0]], [[0.2, -1.0]]
    ...         data["X"], data["Y"] = [0.0, 0.5], [1.0]
    ...     ds = open_lamp(
    ...         f"{folder}/a.hdf", x_units="meV", y_units="1/angstrom", T=290)
    >>> ds.S.values, ds.Q.values
    (array([[ 4., nan]]), array([1.]))
    """
    asked = Asked(geometry, incident_energy, final_energy, positive=positive)
    asked.kind()
    values = numbers(data, "DATA")
    if values.ndim == 1:
        values = values[np.newaxis]
    check(values.ndim == 2, f"its data have {values.ndim} dimensions")
    names = {name.lower(): name for name in data}
    std = None
    if "errors" in names:
        std = numbers(data, names["errors"]).reshape(values.shape)
    axes = _axes(path, data, {"Y": y_units, "X": x_units})
    other = next((dim for dim in axes if dim != "E"), None)
    known = set(axes) == {"E", other} and other in ("Q", "two_theta")
    check(known, f"its axes are {' and '.join(axes)}, not E and Q or an angle")
    if next(iter(axes)) == "E":
        values, std = values.T, None if std is None else std.T
    (E, to_mev), (second, factor) = axes["E"], axes[str(other)]
    E, second = E * (to_mev if positive == "loss" else -to_mev), second * factor
    fits = values.shape == (second.size, E.size)
    check(fits, f"its data have the shape {values.shape}, unlike its axes")
    ascending = (np.diff(E) > 0).all()
    if not ascending:
        E, values = E[::-1], values[:, ::-1]
        std = None if std is None else std[:, ::-1]
    check((np.diff(E) > 0).all(), "its energies are neither ascending nor descending")
    values, std = measured(values, std)
    values, std, _ = density_per_mev(values, std, axis=to_mev)
    parameters = _parameters(data)
    if T is None:
        T = _parameter(parameters, _TEMPERATURE)
    source = _label(data.file, "SOURCE")
    instrument = None if source in ("", "?") else source
    title = _label(data["DATA"], "long_name") or _label(data.file, "TITLES")
    attrs = {"title": title, "source": f"LAMP file {path.name}"}
    attrs |= {"instrument": instrument} if instrument else {}
    wavelength = _parameter(parameters, _WAVELENGTH)
    bins = Bins.of(values, std, E)
    kind = asked.kind() or geometry_of_instrument(instrument)
    fixed: dict[str, Any] = {}
    if kind is not None or other == "two_theta":
        # h²/2mλ²: E = 2.0721 (2π/λ)².
        energy = _energy_of(wavelength) if kind != "indirect" and wavelength else None
        fixed = find_geometry(
            path, asked, stated=None, instrument=instrument, energy=energy, bins=bins
        )
    common: dict[str, Any] = {"units": "1", "temperature": T, "attrs": attrs}
    if other == "two_theta":
        return angle_dataset(
            values,
            std,
            detector=np.arange(second.size),
            angles={"two_theta": second},
            E=E,
            **common,
            **fixed,
        )
    if "incident_energy" in fixed:
        _require_reached(second, E, bins.seen, fixed["incident_energy"])
    ds = new_dataset(
        "dynamic_structure_factor",
        values,
        std=std,
        coords={"Q": (second, "1/angstrom"), "E": (E, "meV")},
        statistics="quantum",
        **common,
    )
    return with_fixed_energy(ds, **fixed)


def _energy_of(wavelength: float) -> float:
    """Return the energy in meV of a neutron of a wavelength in angstrom."""
    return float((2 * np.pi / wavelength / wave_number(1.0)) ** 2)


def _require_reached(
    Q: np.ndarray, E: np.ndarray, seen: np.ndarray, incident: float
) -> None:
    """Refuse bins at a Q that no angle reaches, which are in the order of energy gain.

    Q is from |k_i - k_f| to k_i + k_f; half a bin more is allowed.
    """
    widths = [np.abs(np.gradient(axis)) if axis.size > 1 else 0.0 for axis in (E, Q)]
    k_f = wave_number(np.maximum(incident - E + widths[0] / 2, 0))
    lowest = (Q - widths[1] / 2)[:, np.newaxis]
    beyond = seen & (lowest > wave_number(incident) + k_f)
    i = int(beyond.any(axis=0).argmax())
    farthest = Q[beyond[:, i]].max(initial=0)
    check(
        not beyond.any(),
        f"at E = {E[i]:.3g} meV no angle reaches Q = {farthest:.3g}"
        f" 1/angstrom with {incident:.4g} meV: its E has the other sign (positive=), "
        "or incident_energy= is wrong",
    )


def _axes(
    path: Path, data: h5py.Group, given: dict[str, str | None]
) -> dict[str, tuple[np.ndarray, float]]:
    """Return the dimensions of Y and X, their points and factors to canonical units."""
    found: dict[str, tuple[np.ndarray, float]] = {}
    asked = []
    for name, units in given.items():
        if name not in data:
            continue
        label = _label(data[name], "long_name")
        for pattern, new in _IDL:
            label = re.sub(pattern, new, label)
        raw = re.search(r"(?i)time|channel|tof|wavelength", label)
        check(not raw, f"its axis {name} is {label!r}: reduce it to energy transfer")
        named = [row for row in _LABELS if re.search(row[0], label, re.IGNORECASE)]
        own = re.search(r"[(\[]([^()\[\]]+)[)\]]", label)
        if named:
            not_used(f"axis {name} is {label!r}", **{f"{name.lower()}_units": units})
            _, dim, usual = named[0]
            written = (own[1] if own else usual).strip().lower().replace("ev", "eV")
            units = usual if re.match(r"deg", written) else written
        elif units is None:
            asked.append(f"{name.lower()}_units")
            continue
        else:
            dim = _dimension(units, f"{name.lower()}_units")
        factor = convert_factor(
            units, COORDINATES[dim][0], name=f"axis {name}", energy=dim == "E"
        )
        check(dim not in found, f"both of its axes are {dim}")
        found[dim] = (numbers(data, name, ndim=1), factor)
    if asked:
        raise QuantityError(
            f"{path} needs {' and '.join(f'{name}=' for name in asked)}",
            reason="its axes are not labelled",
            fix="x_units='meV', y_units='1/angstrom', or 'degree'",
        )
    return found


def _dimension(units: str, name: str) -> str:
    """Return what an axis in some units is."""
    for dim, like in (("Q", "1/angstrom"), ("two_theta", "degree"), ("E", "meV")):
        unit = parse_unit(units, like=like, name=f"{name}=")
        if unit.is_compatible_with(like) and not unit.dimensionless ^ (
            like == "degree"
        ):
            return dim
    raise UnitsError(
        f"{name}={units!r} is not that of an energy, of Q or of an angle",
        fix=f"{name}='meV', '1/angstrom' or 'degree'",
    )


def _label(node: Any, name: str) -> str:
    """Return a text attribute, which IDL writes as a list of one."""
    value = node.attrs.get(name)
    first = value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value
    known = first.decode("latin-1") if isinstance(first, bytes) else first
    return known.strip()[:200] if isinstance(known, str) else ""


def _parameters(data: h5py.Group) -> list[tuple[str, float]]:
    """Return names and numbers of LAMP's table of parameters."""
    rows = map(_PARAMETER.fullmatch, (text(data, "PARAMETERS") or "").split("\n"))
    return [(row[1], float(row[2])) for row in rows if row is not None]


def _parameter(rows: list[tuple[str, float]], name: re.Pattern[str]) -> float | None:
    """Return a parameter; None if it is missing or 0, or two values differ."""
    values = {value for own, value in rows if name.fullmatch(own) and value > 0}
    low, high = min(values, default=0.0), max(values, default=0.0)
    return high if high > 0 and high - low < 1e-3 * high else None


LampBackend = FORMAT.backend()
