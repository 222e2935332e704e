"""Instrument of a Mantid workspace.

Geometry, fixed energy, masked detectors, k_i/k_f.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lazy_loader
import numpy as np

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.errors import FileFormatError
from xbp.io.hdf5 import number, text

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["Instrument", "logs_of", "read_instrument"]

_XML_MODE = re.compile(
    r'<parameter\s[^>]*name="deltaE-mode"[^>]*>\s*<value\s[^>]*val="(\w+)"',
    re.IGNORECASE,
)
_XML_ENERGY = re.compile(
    r'<parameter\s[^>]*name="Efixed"[^>]*>\s*<value\s[^>]*val="([^"]+)"', re.IGNORECASE
)
_STEP = re.compile(r"MantidAlgorithm_(\d+)")
_ARGUMENT = re.compile(r"Name: (\w+), Value: ([^,\n]*)")


@dataclass(frozen=True)
class Instrument:
    """Properties of the instrument recorded in the workspace.

    Attributes
    ----------
    geometry : {"direct", "indirect"} or None
        ``deltaE-mode`` of the logs, else of the parameters, else of the definition of
        the instrument.
    incident_energy : float or None
        In meV.
    final_energy : callable
        Returns the final energy in meV, one, or one for each of the detectors that were
        asked for, or None.
    masked : numpy.ndarray of bool
        Detectors, of those that were asked for, that are masked.
    ki_over_kf : {"direct", "indirect"} or None
        Geometry with which the last correction by k_i/k_f was made; None where there
        was none.
    elastic_Q : {"direct", "indirect"} or None
        Geometry with which Q was computed for E = 0 alone; None where it was not.
    """

    geometry: str | None
    incident_energy: float | None
    final_energy: Callable[[], float | np.ndarray | None]
    masked: np.ndarray
    ki_over_kf: str | None
    elastic_Q: str | None


def logs_of(entry: h5py.Group) -> dict[str, h5py.Group]:
    """Return the logs of a run; files of before 2011 have them in the sample."""
    found: dict[str, h5py.Group] = {}
    for place in ("sample", "logs"):
        node = entry.get(place)
        if isinstance(node, h5py.Group):
            found |= {
                n: log
                for n in node
                if isinstance(log := node.get(n), h5py.Group) and "value" in log
            }
    return found


def read_instrument(
    entry: h5py.Group, logs: Mapping[str, h5py.Group], detectors: np.ndarray
) -> Instrument:
    """Read logs, parameters and recorded algorithms of a workspace.

    Parameters
    ----------
    entry : h5py.Group
        The workspace.
    logs : mapping of str to h5py.Group
        Its logs, `logs_of`.
    detectors : numpy.ndarray of int
        Detectors whose energies are asked for.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    parameters = list(_parameters(entry))
    xml = _definition(entry)
    converted = _converted(entry)
    modes = [
        *_texts(logs, "deltaE-mode"),
        *(
            value
            for who, name, value in parameters
            if name == "deltaE-mode" and not who.startswith("detID")
        ),
        *_XML_MODE.findall(xml),
    ]
    geometry = next(
        (mode for mode in (m.strip().lower() for m in modes) if mode in FIXED_ENERGY),
        None,
    )
    masked_numbers = [
        _detector(who)
        for who, name, value in parameters
        if name == "masked" and value in ("1", "true")
    ]
    return Instrument(
        geometry=geometry,
        incident_energy=_log_number(logs, "Ei") or converted.get("direct"),
        final_energy=lambda: _final_energy(parameters, xml, converted, logs, detectors),
        masked=np.isin(detectors, [n for n in masked_numbers if n is not None]),
        ki_over_kf=_mode_of_last(entry, "CorrectKiKf"),
        elastic_Q=_mode_of_last(entry, "ConvertSpectrumAxis", Target="ElasticQ"),
    )


def _final_energy(
    parameters: list[tuple[str, str, str]],
    xml: str,
    converted: Mapping[str, float],
    logs: Mapping[str, h5py.Group],
    detectors: np.ndarray,
) -> float | np.ndarray | None:
    """Return the final energy.

    With which the axis was made, else of the logs, else of the parameters.

    Raises
    ------
    FileFormatError
        If the parameters name several.
    """
    if "indirect" in converted:
        return converted["indirect"]
    for name in logs:
        if name.lower() in ("efixed", "ef") and (logged := _log_number(logs, name)):
            return logged
    energies = [
        (who, _number(value))
        for who, name, value in parameters
        if name.lower() in ("efixed", "efixed-val")
    ]
    of_detectors = {
        n: energy for who, energy in energies if (n := _detector(who)) is not None
    }
    others = {energy for who, energy in energies if _detector(who) is None}
    others = others or set(map(_number, _XML_ENERGY.findall(xml)))
    each = np.array([of_detectors.get(int(n), np.nan) for n in detectors], dtype=float)
    known = each[np.isfinite(each)]
    # Of equal energies the one with the most digits: 1.845 rather than 1.84.
    one = max(others, key=lambda energy: len(repr(energy)), default=None)
    if any(not _same(one, energy) for energy in others):
        one = None
    if not known.size:
        if others and one is None:
            raise _several(sorted(others))
        return one
    if np.ptp(known) > 1e-9 * known.max():
        return np.where(np.isfinite(each), each, np.nan if one is None else one)
    if one is None:
        return float(known[0])
    if not _same(one, float(known[0])):
        raise _several([one, float(known[0])])
    return one


def _same(one: float | None, other: float) -> bool:
    """Return whether two energies agree within the last digit of the shorter one, as 1.845 and 1.84."""
    decimals = [len(repr(energy).partition(".")[2]) for energy in (one, other)]
    return one is not None and abs(one - other) <= 0.5001 * 10.0 ** -min(decimals)


def _several(energies: list[float]) -> FileFormatError:
    return FileFormatError(
        f"the instrument parameters give several final energies: {energies} meV",
        reason="Q depends on the analyser that was used",
        fix="final_energy='1.845 meV'",
    )


def _parameters(entry: h5py.Group) -> Iterator[tuple[str, str, str]]:
    """Yield component, name and value of the parameter map.

    ``|IRIS;double;efixed-val;1.845|detID:3;...``.
    """
    for place in ("instrument/instrument_parameter_map", "instrument_parameter_map"):
        node = entry.get(place)
        for part in (
            (text(node, "data") if isinstance(node, h5py.Group) else None) or ""
        ).split("|"):
            fields = part.split(";", 3)
            if len(fields) == 4:
                yield fields[0].strip(), fields[2].strip(), fields[3].strip()


def _definition(entry: h5py.Group) -> str:
    node = entry.get("instrument/instrument_xml")
    return (text(node, "data") if isinstance(node, h5py.Group) else None) or ""


def _steps(entry: h5py.Group) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the algorithms that were run, in order, with their arguments."""
    process = entry.get("process")
    if not isinstance(process, h5py.Group):
        return
    numbered = sorted(
        (int(step[1]), name) for name in process if (step := _STEP.fullmatch(name))
    )
    for _, name in numbered:
        node = process.get(name)
        record = text(node, "data") if isinstance(node, h5py.Group) else None
        if record:
            first, _, rest = record.partition("\n")
            yield (
                first.removeprefix("Algorithm: ").split(" v")[0].strip(),
                dict(_ARGUMENT.findall(rest)),
            )


def _converted(entry: h5py.Group) -> dict[str, float]:
    """Return the fixed energy with which the axis was made, by its geometry, where it was named."""
    found = {}
    for algorithm, arguments in _steps(entry):
        mode = arguments.get("EMode", "").lower()
        if (
            algorithm == "ConvertUnits"
            and arguments.get("Target", "").startswith("DeltaE")
            and mode in FIXED_ENERGY
        ):
            energy = _number(arguments.get("EFixed", "nan"))
            # Mantid writes its largest number, or 0, for what was not given.
            if 0 < energy < 1e30:
                found[mode] = energy
    return found


def _mode_of_last(entry: h5py.Group, algorithm: str, **needed: str) -> str | None:
    """Return the geometry that the last run of an algorithm was given.

    None where it was not run.
    """
    modes = [
        arguments.get("EMode", "").lower()
        for name, arguments in _steps(entry)
        if name == algorithm
        and all(arguments.get(key) == value for key, value in needed.items())
    ]
    return modes[-1] if modes else None


def _detector(who: str) -> int | None:
    kind, _, name = who.partition(":")
    return int(name) if kind == "detID" and name.strip().isdigit() else None


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(
            f"its parameters contain the energy {value!r}, which is not a number"
        ) from None


def _texts(logs: Mapping[str, h5py.Group], name: str) -> list[str]:
    found = text(logs[name], "value") if name in logs else None
    return [] if found is None else [found]


def _log_number(logs: Mapping[str, h5py.Group], name: str) -> float | None:
    return number(logs[name], "value") if name in logs else None
