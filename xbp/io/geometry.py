"""Spectra of detectors at their angles, and the fixed energy of the instrument."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.common_errors import common_name
from xbp.core.conditions import FIXED_ENERGY
from xbp.core.construct import measured_dataset
from xbp.core.errors import FileFormatError, QuantityError
from xbp.core.guards import at_most_one, choose, require_positive
from xbp.core.independence import independence_name
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal, as_stored, read
from xbp.core.units import magnitude, values_in
from xbp.io.masks import Extremes, counted, measured, survey
from xbp.io.text import check
from xbp.reduction.arithmetic import convert

__all__ = [
    "KI_OVER_KF",
    "Asked",
    "Bins",
    "angle_dataset",
    "find_geometry",
    "geometry_of_instrument",
    "masked_rows",
    "of_detectors",
    "require_own_errors",
    "spectra_to_write",
    "with_fixed_energy",
]

#: Whether the spectra were multiplied by k_i/k_f, which leaves S of the cross section.
KI_OVER_KF: Final = {True: "applied", False: "not applied"}
_ANGLES: Final = {
    "detector": ("1", "detector"),
    "two_theta": ("degree", COORDINATES["two_theta"][1]),
    "two_theta_width": ("degree", "width of the detector in scattering angle"),
    "azimuth": ("degree", "azimuthal angle"),
    "azimuth_width": ("degree", "width of the detector in azimuthal angle"),
    "distance": ("m", "distance from the sample"),
}
#: Chopper spectrometers, which fix the incident energy: names, and short names in
#: files.
DIRECT: Final = frozenset(
    (
        "4SEASONS", "4SEASON", "AMATERAS", "ARCS", "BRISP", "CNCS", "CSPEC", "DCS",
        "DCTOF", "DIN2PI", "DNS", "FCS", "FOCUS", "HET", "HRC", "HRMECS", "HYS",
        "HYSPEC", "IN4", "IN4C", "IN5", "IN5B", "IN6", "IN6SHARP", "LET", "LRMECS",
        "MAP", "MAPS", "MAR", "MARI", "MER", "MERLIN", "MIBEMOL", "NEAT", "NEATII",
        "NEAT2", "PANTHER", "PELICAN", "PHAROS", "SEQ", "SEQUOIA", "SHARP", "TOFTOF",
        "TREX", "VOR",
    )
)  # fmt: skip
#: Crystal-analyser, filter and backscattering spectrometers, which fix the final
#: energy.
INDIRECT: Final = frozenset(
    (
        "BASIS", "BIFROST", "BSS", "CAMEA", "DNA", "EMU", "FANS", "FDS", "HFBS",
        "IN1LAGRANGE", "IN10", "IN13", "IN16", "IN16B", "IRIS", "IRS", "LAGRANGE",
        "LAM40", "LAM80", "LAMD", "MARS", "MIRACLES", "MUSHROOM", "NERA", "OSI",
        "OSIRIS", "PRISMA", "QENS", "SPHERES", "TFX", "TFXA", "TOSCA", "TSC", "VESPA",
        "VIS", "VISION",
    )
)  # fmt: skip


#: What to do about the other sign of E, by which is `Asked.positive`.
_SIGN: Final = {
    "loss": "positive='gain'",
    "gain": "positive='loss'",
    None: "reverse E in the program that wrote it",
}


@dataclass(frozen=True)
class Asked:
    """Geometry arguments given to a reader.

    Attributes
    ----------
    geometry : {"direct", "indirect"} or None
        Which energy is fixed.
    incident_energy, final_energy : scalar with units or None
        The fixed energy (bare: meV), overriding that in the file.
    direct_above : scalar with units
        A fixed energy above this is taken as incident: no analyser selects it (bare:
        meV).
    positive : {"loss", "gain"} or None
        Which energy transfer of the neutron the file counts as positive; None if its
        format settles that.
    """

    geometry: str | None = None
    incident_energy: Any = None
    final_energy: Any = None
    direct_above: Any = "30 meV"
    positive: str | None = None

    def kind(self) -> str | None:
        """Return the geometry implied by the arguments; None if they imply none.

        Raises
        ------
        QuantityError
            If they are not valid, or contradict one another.
        """
        given = {name: getattr(self, name) for name in FIXED_ENERGY.values()}
        name = at_most_one(**given)
        if self.geometry is not None:
            choose(self.geometry, FIXED_ENERGY, "geometry")
        kind = next((k for k, n in FIXED_ENERGY.items() if n == name), self.geometry)
        if self.geometry not in (None, kind):
            raise QuantityError(f"geometry={self.geometry!r} contradicts {name}=")
        return kind


@dataclass(frozen=True)
class Bins:
    """Energy bins of the spectra, and which of them were measured.

    Attributes
    ----------
    lower, upper : numpy.ndarray, shape (n_E,)
        Limits in meV; both equal the point if there are no edges.
    seen : numpy.ndarray of bool, shape (n_spectra, n_E) or (n_spectra, 1)
        Bins with a value other than 0, or with an error; see `survey`.
    measured : numpy.ndarray of bool, shape (n_spectra, n_E) or (n_spectra, 1)
        These, and those of zero counts.
    """

    lower: np.ndarray
    upper: np.ndarray
    seen: np.ndarray
    measured: np.ndarray

    @classmethod
    def of(
        cls,
        values: np.ndarray,
        std: np.ndarray | None,
        energy: np.ndarray,
        mask: np.ndarray | None = None,
        known: tuple[Extremes, Extremes] | None = None,
    ) -> Bins:
        """Build from arrays (n_spectra, n_E) of a file, and energy edges or points."""
        there, seen = survey(values, std, known=known)
        if mask is not None:
            seen = seen & ~mask
        edges = energy.size == values.shape[-1] + 1
        lower, upper = (energy[:-1], energy[1:]) if edges else (energy, energy)
        return cls(lower, upper, seen, there)

    @property
    def empty(self) -> np.ndarray:
        """The spectra without any of them, shape (n_spectra,)."""
        return np.asarray(~self.seen.any(axis=1))


def geometry_of_instrument(name: str | None) -> str | None:
    """Return the geometry of a named instrument; None if it is not in the table.

    Examples
    --------
    >>> [geometry_of_instrument(name) for name in ("OSIRIS", "T-REX", "")]
    ['indirect', 'direct', None]
    """
    words = re.findall(r"[A-Z0-9]+", (name or "").upper())
    for candidate in ("".join(words), *words[:1]):
        if candidate in DIRECT | INDIRECT:
            return "direct" if candidate in DIRECT else "indirect"
    return None


def find_geometry(
    where: object,
    asked: Asked,
    *,
    stated: str | None,
    instrument: str | None,
    energy: float | np.ndarray | None,
    bins: Bins,
) -> dict[str, Any]:
    """Decide which energy is fixed: the incident or the final one.

    From the file, else the caller, the instrument's name, or the energies.

    Parameters
    ----------
    where : path
        Path of the file, for messages.
    asked : Asked
        Arguments of the caller.
    stated : {"direct", "indirect"} or None
        Geometry stated explicitly in the file.
    instrument : str or None
        Name of the instrument.
    energy : float or numpy.ndarray, shape (n_spectra,), or None
        Fixed energy of the file in meV.
    bins : Bins
        Measured energies.

    Returns
    -------
    dict
        ``{"geometry": ...}``, empty if neither the geometry nor an energy is known, and
        ``incident_energy`` or ``final_energy`` in meV.

    Raises
    ------
    FileFormatError
        If the geometry of a fixed energy is not known, or file, caller and energies
        contradict one another.
    """
    given = asked.kind()
    if None not in (given, stated) and given != stated:
        raise FileFormatError(
            f"{where} has {stated} geometry, but the arguments imply {given} geometry",
            fix="leave geometry= and the energies out",
        )
    kind = stated or given or geometry_of_instrument(instrument)
    name = FIXED_ENERGY.get(str(given), "")
    if (own := getattr(asked, name, None)) is not None:
        energy = require_positive(own, name, "meV", energy=True)
    if energy is None:
        return {} if kind is None else {"geometry": kind}
    each = np.broadcast_to(np.reshape(energy, (-1, 1)), (len(bins.seen), 1))
    finite = each[np.isfinite(each)]
    low, high = finite.min(initial=np.inf), finite.max(initial=0)
    text = f"{low:.6g} meV" if low == high else f"{low:.6g} to {high:.6g} meV"
    check(0 < low < np.inf, f"its fixed energy is {text}, not a positive one")
    limit = magnitude(asked.direct_above, "meV", name="direct_above", energy=True)
    # Beyond rounding; with one energy for all, their bins are looked at together.
    most = each * (1 + 1e-9)
    seen = bins.seen
    if low == high and finite.size == each.size:
        most, seen = most[:1], np.asarray(seen.any(axis=0, keepdims=True))
    if kind is None and (seen & (bins.lower > most)).any():
        kind = "indirect"
    if kind is None and low > limit:
        kind = "direct"
    if kind is None:
        raise FileFormatError(
            f"{where} does not state whether its fixed energy, {text}, is incident or "
            "final",
            reason="the energies allow both, and the instrument"
            f"{f' {instrument!r}' if instrument else ''} is unknown",
            fix="geometry='direct' (choppers) or geometry='indirect' (analysers)",
        )
    edge = bins.upper if given is None else bins.lower
    impossible = edge > most if kind == "direct" else bins.upper < -most
    if (seen & impossible).any():
        extreme = edge[impossible.any(axis=0)]
        raise FileFormatError(
            f"{where} has energy transfers from {extreme[0]:g} to {extreme[-1]:g} meV, "
            f"impossible for a fixed energy of {text} in {kind} geometry",
            fix="pass final_energy= or incident_energy=; if its E has the other "
            f"sign, {_SIGN[asked.positive]}",
        )
    return {"geometry": kind, FIXED_ENERGY[kind]: energy}


def of_detectors(value: xr.DataArray, name: str) -> np.ndarray:
    """Return an angle of each detector in degrees, or its distance in m."""
    found = values_in(value[name], _ANGLES[name][0], name=f"coordinate '{name}'")
    return np.asarray(found, dtype=float)


def masked_rows(values: np.ndarray, std: np.ndarray | None) -> np.ndarray:
    """Return the detectors with only zeros without an error, NaN or sentinels."""
    return np.asarray(~counted(values, std).any(axis=1))


def angle_dataset(
    values: np.ndarray,
    std: np.ndarray | None,
    *,
    detector: np.ndarray,
    angles: Mapping[str, np.ndarray],
    E: np.ndarray,
    temperature: Any = None,
    ki_over_kf: bool | None = None,
    units: str = "1/meV",
    attrs: Mapping[str, str | int],
    bins: Bins | None = None,
    further: Mapping[str, Any] | None = None,
    **fixed: Any,
) -> xr.Dataset:
    """Label spectra over detectors and energy transfer.

    Parameters
    ----------
    values, std : numpy.ndarray, shape (n_detector, n_E)
        Spectra per meV, and their standard deviations, as `measured` takes them.
    detector : numpy.ndarray of int, shape (n_detector,)
        Numbers of the detectors.
    angles : mapping of str to numpy.ndarray, shape (n_detector,)
        ``two_theta`` (degrees, NaN where not known) and any of ``two_theta_width``,
        ``azimuth``, ``azimuth_width`` (degrees) and ``distance`` (m).
    E : numpy.ndarray, shape (n_E + 1,) or (n_E,)
        Bin edges or centres in meV.
    temperature : scalar with units, optional
        Of the sample.
    ki_over_kf : bool, optional
        Whether k_i/k_f is applied; None where that is not known.
    units : str
        Of the spectra.
    attrs : mapping
        Of the Dataset.
    bins : Bins, optional
        Those of values and std, without a mask, if they are known.
    further : mapping, optional
        Coordinates to add, as xarray takes them.
    **fixed
        As for `with_fixed_energy`.

    Returns
    -------
    xarray.Dataset
        ``S(detector, E)``, with the angles and ``masked`` as coordinates of the
        detectors. Masked detectors, and bins that were not measured, are NaN.

    Raises
    ------
    ValueError
        If a scattering angle is not between 0 and 180 degrees.
    """
    polar = angles["two_theta"]
    outside = ((polar < 0) | (polar > 180)).any()
    check(not outside, "some scattering angles are not from 0 to 180 degrees")
    infinite = [name for name, angle in angles.items() if np.isinf(angle).any()]
    energies = {n: e for n, e in fixed.items() if not isinstance(e, str | None)}
    infinite += [name for name, e in energies.items() if np.isinf(e).any()]
    check(not infinite, f"{', '.join(infinite)} is infinite for some detectors")
    bins = Bins.of(values, std, E) if bins is None else bins
    masked = bins.empty | np.isnan(polar)
    mask = masked[:, np.newaxis]
    values, std = measured(values, std, mask=mask, seen=bins.measured)
    edges = E.size == values.shape[1] + 1
    centres = (E[1:] + E[:-1]) / 2 if edges else E
    columns = {name: np.asarray(angle, dtype=float) for name, angle in angles.items()}
    columns["detector"] = detector.astype(np.int64)
    coords: dict[str, Any] = {
        name: ("detector", columns[name], {"units": own, "long_name": long_name})
        for name, (own, long_name) in _ANGLES.items()
        if name in columns
    }
    coords["masked"] = ("detector", masked, {"long_name": "detectors without data"})
    own, geometry = _fixed_energy(**fixed)
    ds = measured_dataset(
        "detector_spectra",
        values,
        std=std,
        units=units,
        coords={"detector": (detector, "1"), "E": (centres, "meV")},
        edges={"E": E} if edges else None,
        temperature=temperature,
        statistics="quantum",
        attrs=attrs,
        further={**coords, **(further or {}), **own},
    )
    labels = ds.variables["S"].attrs
    if ki_over_kf is not None:
        labels["ki_over_kf"] = KI_OVER_KF[ki_over_kf]
    if geometry is not None:
        labels["geometry"] = geometry
    return ds


def with_fixed_energy(ds: xr.Dataset, **fixed: Any) -> xr.Dataset:
    """Add the fixed energy, in meV, and the geometry, where they are known.

    An energy that all detectors have in common becomes a scalar.

    Parameters
    ----------
    ds : xarray.Dataset
        With ``S``.
    **fixed
        ``incident_energy`` or ``final_energy`` (meV), or ``geometry`` alone.
    """
    added, geometry = _fixed_energy(**fixed)
    ds = ds.assign_coords(added)
    if geometry is not None:
        ds.S.attrs["geometry"] = geometry
    return ds


def _fixed_energy(
    incident_energy: float | np.ndarray | None = None,
    final_energy: float | np.ndarray | None = None,
    geometry: str | None = None,
) -> tuple[dict[str, Any], str | None]:
    """Return the coordinate of the fixed energy, and the geometry."""
    added = dict[str, Any]()
    for kind, energy in (("direct", incident_energy), ("indirect", final_energy)):
        if energy is None:
            continue
        geometry = kind
        values = np.unique(np.asarray(energy)[np.isfinite(energy)])
        own: Any = ((), values[0]) if values.size == 1 else ("detector", energy)
        units, long_name = COORDINATES[FIXED_ENERGY[kind]]
        labels = {"units": units, "long_name": long_name}
        added[FIXED_ENERGY[kind]] = (*own, labels)
    return added, geometry


def spectra_to_write(data: xr.Dataset, format_: str) -> tuple[Signal, xr.DataArray]:
    """Return S(detector, E) in meV and its standard deviation, for a writer.

    Raises
    ------
    QuantityError
        If the data are not S(2θ,E), have no standard deviation, or further dimensions;
        if bins share errors (``S_std_common``, ``E_independence``).
    """
    signal = as_stored(read(convert(data, E="meV"), "detector_spectra"))
    value, std = signal.value, signal.std
    if set(value.dims) != {"detector", "E"} or std is None:
        raise QuantityError(
            f"'{value.name}' over {tuple(value.dims)} "
            f"{'without' if std is None else 'with'} errors cannot be written as "
            f"{format_}",
            fix="pass S and S_std over detector and E",
        )
    require_own_errors(signal, format_)
    return signal, std


def require_own_errors(signal: Signal, format_: str) -> None:
    """Refuse bins that share errors, for formats that have no place for that.

    Raises
    ------
    QuantityError
    """
    dims = map(str, signal.value.dims)
    shared = [common_name(str(signal.value.name)), *map(independence_name, dims)]
    if lost := [name for name in shared if name in signal.source.variables]:
        raise QuantityError(
            f"{format_} cannot store {' and '.join(lost)}, without which errors of "
            "means are too small",
            fix=f"to_netcdf(), or data.drop_vars({lost})",
        )
