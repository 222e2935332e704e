"""Scattering geometry.

The instrument fixes the incident (direct) or the final (indirect) neutron energy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.errors import FileFormatError, QuantityError
from xbp.core.units import magnitude

__all__ = [
    "DIRECT",
    "INDIRECT",
    "Asked",
    "Bins",
    "find_geometry",
    "geometry_of_instrument",
]

#: Chopper spectrometers: they fix the incident energy. Names and the short names that
#: files carry.
DIRECT: Final = frozenset(
    (
        "4SEASONS", "4SEASON", "AMATERAS", "ARCS", "BRISP", "CNCS", "CSPEC", "DCS", "DCTOF",
        "DIN2PI", "DNS", "FCS", "FOCUS", "HET", "HRC", "HRMECS", "HYS", "HYSPEC", "IN4", "IN4C",
        "IN5", "IN5B", "IN6", "IN6SHARP", "LET", "LRMECS", "MAP", "MAPS", "MAR", "MARI", "MER",
        "MERLIN", "MIBEMOL", "NEAT", "NEATII", "NEAT2", "PANTHER", "PELICAN", "PHAROS", "SEQ",
        "SEQUOIA", "SHARP", "TOFTOF", "TREX", "VOR",
    )
)  # fmt: skip
#: Crystal-analyser, filter and backscattering spectrometers: they fix the final energy.
INDIRECT: Final = frozenset(
    (
        "BASIS", "BIFROST", "BSS", "CAMEA", "DNA", "EMU", "FANS", "FDS", "HFBS", "IN1LAGRANGE",
        "IN10", "IN13", "IN16", "IN16B", "IRIS", "IRS", "LAGRANGE", "LAM40", "LAM80", "LAMD",
        "MARS", "MIRACLES", "MUSHROOM", "NERA", "OSI", "OSIRIS", "PRISMA", "QENS", "SPHERES", "TFX",
        "TFXA", "TOSCA", "TSC", "VESPA", "VIS", "VISION",
    )
)  # fmt: skip


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
    """

    geometry: str | None = None
    incident_energy: Any = None
    final_energy: Any = None
    direct_above: Any = "30 meV"

    def kind(self) -> str | None:
        """Return the geometry implied by the arguments; None if they imply none.

        Raises
        ------
        QuantityError
            If they are not valid, or contradict one another.
        """
        if self.geometry not in (None, *FIXED_ENERGY):
            raise QuantityError(
                f"geometry={self.geometry!r} is not valid",
                reason="a spectrometer has direct or indirect geometry",
                fix="geometry='direct' (fixed incident energy) or 'indirect' (fixed "
                "final energy)",
            )
        said = {self.geometry} | {
            kind
            for kind, name in FIXED_ENERGY.items()
            if getattr(self, name) is not None
        }
        said -= {None}
        if len(said) > 1:
            raise QuantityError(
                f"geometry={self.geometry!r}, "
                f"incident_energy={self.incident_energy!r} and "
                f"final_energy={self.final_energy!r} contradict one another",
                reason="an instrument fixes one of the two energies",
                fix="give incident_energy= (direct) or final_energy= (indirect)",
            )
        return said.pop() if said else None


@dataclass(frozen=True)
class Bins:
    """Energy bins of the spectra, and which of them were measured.

    Attributes
    ----------
    lower, upper : numpy.ndarray, shape (n_E,)
        Limits in meV; both equal the point if there are no edges.
    seen : numpy.ndarray of bool, shape (n_spectra, n_E)
        Bins with a value other than 0, or with an error.
    """

    lower: np.ndarray
    upper: np.ndarray
    seen: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, std: np.ndarray | None, energy: np.ndarray) -> Bins:
        """Build from arrays (n_spectra, n_E), NaN where not measured, and energy edges or points."""
        edges = energy.size == values.shape[-1] + 1
        seen = np.isfinite(values) & (
            (values != 0) | (np.nan_to_num(0.0 if std is None else std) > 0)
        )
        return cls(
            energy[:-1] if edges else energy, energy[1:] if edges else energy, seen
        )


def geometry_of_instrument(name: str | None) -> str | None:
    """Return the geometry of a named instrument; None if it is not in the table.

    Examples
    --------
    >>> geometry_of_instrument("OSIRIS"), geometry_of_instrument("T-REX"), geometry_of_instrument("")
    ('indirect', 'direct', None)
    """
    words = re.findall(r"[A-Z0-9]+", (name or "").upper())
    for candidate in ("".join(words), *words[:1]):
        if candidate in DIRECT:
            return "direct"
        if candidate in INDIRECT:
            return "indirect"
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
    """Decide which energy is fixed.

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
    said = asked.kind()
    if said is not None and stated is not None and said != stated:
        raise FileFormatError(
            f"{where} has {stated} geometry, but the arguments imply {said} geometry",
            reason="Q would be computed for the wrong geometry",
            fix="leave geometry=, incident_energy= and final_energy= out",
        )
    kind = stated or said or geometry_of_instrument(instrument)
    given = None if said is None else getattr(asked, FIXED_ENERGY[said])
    if given is not None:
        energy = magnitude(given, "meV", name=FIXED_ENERGY[str(said)], energy=True)
    if energy is None:
        return {} if kind is None else {"geometry": kind}
    each = np.broadcast_to(
        np.asarray(energy, dtype=float).reshape(-1, 1), (bins.seen.shape[0], 1)
    )
    if not (each[np.isfinite(each)] > 0).all() or not np.isfinite(each).any():
        raise FileFormatError(
            f"{where} has a fixed energy of {np.nanmin(each):g} meV",
            reason="a neutron has a positive energy",
        )
    limit = magnitude(asked.direct_above, "meV", name="direct_above", energy=True)
    if kind is None and (bins.seen & (bins.lower > each * (1 + 1e-9))).any():
        kind = "indirect"
    if kind is None and np.nanmin(each) > limit:
        kind = "direct"
    if kind is None:
        raise FileFormatError(
            f"{where} does not state whether its fixed energy of {_text(each)} meV is "
            "the incident or the final energy",
            reason=f"Q depends on it; instrument {instrument!r} is unknown, no energy "
            "transfer is above the fixed one, "
            f"and that is not above direct_above={limit:g} meV",
            fix="geometry='direct' (chopper spectrometers) or geometry='indirect' "
            "(crystal analysers, backscattering)",
        )
    edge = bins.upper if said is None else bins.lower
    impossible = (
        (edge > each * (1 + 1e-9))
        if kind == "direct"
        else (bins.upper < -each * (1 + 1e-9))
    )
    if (bins.seen & impossible).any():
        extreme = edge[impossible.any(axis=0)]
        raise FileFormatError(
            f"{where} has energy transfers from {extreme[0]:g} to {extreme[-1]:g} meV "
            f"with a fixed energy of {_text(each)} meV",
            reason=f"neutrons of {kind} geometry cannot "
            f"{'lose' if kind == 'direct' else 'gain'} more than that",
            fix="check the energies, or pass final_energy= or incident_energy=",
        )
    return {"geometry": kind, FIXED_ENERGY[kind]: energy}


def _text(energies: np.ndarray) -> str:
    low, high = np.nanmin(energies), np.nanmax(energies)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
