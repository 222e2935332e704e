"""Logs, instrument parameters and recorded algorithms of a Mantid workspace."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

import lazy_loader
import numpy as np

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.errors import FileFormatError, UnitsError
from xbp.core.units import convert_factor, to_kelvin
from xbp.io.hdf5 import attribute, group, number, numbers, text, units_of
from xbp.io.text import check

if TYPE_CHECKING:
    import h5py
else:
    h5py = lazy_loader.load("h5py")

__all__ = ["Run"]

#: Names of the log of the sample's temperature, without case, underscores and dots.
_TEMPERATURE_LOGS: Final = re.compile(
    r"samp(?:le)?temp|sampletemperature|tempsample|tsample|samplet|temperature"
)


class Run:
    """Logs, instrument parameters and recorded algorithms of a workspace.

    Attributes
    ----------
    entry : h5py.Group
        The workspace.
    logs : dict of str to h5py.Group
        Logs by name; files of before 2011 have them in the sample.
    geometry : {"direct", "indirect"} or None
        ``deltaE-mode`` of the logs, else of the parameters, else of the definition of
        the instrument.
    incident_energy : float or None
        In meV.
    masked : list of int
        Masked detectors.
    """

    def __init__(self, entry: h5py.Group) -> None:
        self.entry = entry
        self.logs: dict[str, h5py.Group] = {
            name: log
            for place in ("sample", "logs")
            for name in group(entry, place) or ()
            if "value" in ((log := group(entry[place], name)) or ())
        }
        # Component, name and value: ``|IRIS;double;efixed-val;1.845|detID:3;...``.
        self._parameters: list[tuple[int | None, str, str]] = []
        for name in ("instrument/instrument_parameter_map", "instrument_parameter_map"):
            for part in (text(group(entry, name), "data") or "").split("|"):
                fields = [field.strip() for field in part.split(";", 3)]
                if len(fields) == 4:
                    kind, _, n = (word.strip() for word in fields[0].partition(":"))
                    detector = int(n) if kind == "detID" and n.isdigit() else None
                    self._parameters.append((detector, fields[2], fields[3]))
        self._xml = text(group(entry, "instrument/instrument_xml"), "data") or ""
        mode = "deltaE-mode"
        modes = [self.log_text(mode) or "", *self._of_run(mode), *self._of_xml(mode)]
        known = (kind for m in modes if (kind := m.strip().lower()) in FIXED_ENERGY)
        self.geometry = next(known, None)
        self.incident_energy = self._log_energy("Ei") or self._converted.get("direct")
        self.masked = [
            detector
            for detector, name, value in self._parameters
            if detector is not None and name == "masked" and value in ("1", "true")
        ]

    def log_text(self, name: str) -> str | None:
        """Return the text of a log; None if it is missing."""
        return text(self.logs.get(name), "value")

    def _log_energy(self, name: str) -> float | None:
        """Return an energy in meV, in whose units Mantid writes it if it names none."""
        value = number(self.logs[name], "value") if name in self.logs else None
        if value is None:
            return None
        units = units_of(self.logs[name], "value", "meV")
        return value * convert_factor(units, "meV", name=f"log '{name}'", energy=True)

    def _of_run(self, *names: str) -> list[str]:
        """Return parameters that are not of one detector."""
        rows = self._parameters
        return [value for n, name, value in rows if n is None and name in names]

    def _of_xml(self, name: str) -> list[str]:
        return re.findall(
            rf'(?i)<parameter\s[^>]*name="{name}"[^>]*>\s*<value\s[^>]*val="([^"]+)"',
            self._xml,
        )

    def attributes(self) -> dict[str, str | int]:
        """Return title, instrument, sample and run number."""
        found = {
            "title": text(self.entry, "title") or text(self.entry, "workspace_name"),
            "instrument": text(group(self.entry, "instrument"), "name"),
            "sample": text(group(self.entry, "sample"), "name"),
            "run_number": self.log_text("run_number"),
        }
        stripped = {name: (value or "").strip() for name, value in found.items()}
        return {
            name: int(value) if name == "run_number" and value.isdigit() else value
            for name, value in stripped.items()
            if value
        }

    @functools.cached_property
    def _steps(self) -> list[tuple[str, dict[str, str]]]:
        """The recorded algorithms in their order, with their arguments."""
        process = group(self.entry, "process")
        numbered = [
            (int(step[1]), text(group(process, name), "data") or "")
            for name in process or ()
            if (step := re.fullmatch(r"MantidAlgorithm_(\d+)", name))
        ]
        records = (record.partition("\n") for _, record in sorted(numbered))
        return [
            (
                first.removeprefix("Algorithm: ").split(" v")[0].strip(),
                dict(re.findall(r"Name: (\w+), Value: ([^,\n]*)", rest)),
            )
            for first, _, rest in records
        ]

    @property
    def quantity(self) -> str | None:
        """What the last algorithm made of S, if it is another quantity."""
        steps = [name for name, _ in self._steps if not name.startswith(_KEEPING)]
        return _OTHERS.get(steps[-1]) if steps else None

    def geometry_of(self, algorithm: str, **needed: str) -> str | None:
        """Return the geometry given to the last run of an algorithm, if it was run."""
        modes = [
            arguments.get("EMode", "").lower()
            for name, arguments in self._steps
            if name == algorithm and needed.items() <= arguments.items()
        ]
        return modes[-1] if modes else None

    @functools.cached_property
    def _converted(self) -> dict[str, float]:
        """The fixed energies with which the axis was made, by geometry."""
        found = {}
        for algorithm, arguments in self._steps:
            mode = arguments.get("EMode", "").lower()
            to_energy = arguments.get("Target", "").startswith("DeltaE")
            if algorithm == "ConvertUnits" and to_energy and mode in FIXED_ENERGY:
                energy = float(arguments.get("EFixed", "nan"))
                # Mantid writes its largest number, or 0, for an argument not given.
                if 0 < energy < 1e30:
                    found[mode] = energy
        return found

    def final_energies(
        self, detectors: np.ndarray
    ) -> float | np.ndarray | FileFormatError | None:
        """Return the final energy, one or one for each detector; an error if ambiguous.

        It is that of the conversion of the axis, else of the logs, else of the
        parameters.
        """
        if "indirect" in self._converted:
            return self._converted["indirect"]
        for name in self.logs:
            if name.lower() in ("efixed", "ef") and (own := self._log_energy(name)):
                return own
        rows = [row for row in self._parameters if row[1].lower() in _FINAL]
        try:
            own_energies = {n: float(value) for n, _, value in rows if n is not None}
            others = {float(value) for n, _, value in rows if n is None}
            others = others or set(map(float, self._of_xml("Efixed")))
        except ValueError as error:
            return FileFormatError(f"a final energy is not a number: {error}")
        each = np.array([own_energies.get(int(n), np.nan) for n in detectors], float)
        known = set(each[np.isfinite(each)].tolist())
        # Of equal energies the one with the most digits: 1.845 rather than 1.84.
        one = max(others, key=lambda energy: len(repr(energy)), default=None)
        consistent = all(_same(one, energy) for energy in others)
        if len(known) > 1:
            missing = one if one and consistent else np.nan
            return np.asarray(np.where(np.isfinite(each), each, missing))
        if known and not (others and consistent):
            return float(known.pop())
        if all(_same(one, energy) for energy in known | others):
            return one
        return FileFormatError(
            f"its parameters give several final energies: {sorted(known | others)} meV",
            fix="final_energy='1.845 meV', that of the analyser",
        )

    def temperature(self, name: str | None, spread: float) -> float | None:
        """Return the temperature in K, the median of its log during the run."""
        names = [
            n
            for n in self.logs
            if _TEMPERATURE_LOGS.fullmatch(re.sub(r"[\W_]", "", n.lower()))
        ]
        if name is not None:
            check(
                name in self.logs, f"it has no log '{name}', but {', '.join(self.logs)}"
            )
            names = [name]
        if len(names) != 1:  # several sensors, of which one is at the sample
            return None
        places = (group(self.entry, place) for place in ("logs", "sample"))
        logs = [log for place in places if (log := group(place, names[0])) is not None]
        found = [kelvin for log in logs for kelvin in self._quartiles(names[0], log)]
        if not found:
            return None
        least, most = min(found), max(found)
        check(
            most - least <= spread * np.median(found),
            f"the log '{names[0]}' has temperatures of {least:g} and {most:g} K: pass "
            "T=, or temperature_spread= for the median",
        )
        return found[1]

    def _quartiles(self, name: str, log: h5py.Group) -> list[float]:
        """Return the quartiles of a log during the run in K, or nothing."""
        if "value" not in log:
            return []
        values = numbers(log, "value").reshape(-1)
        during = np.ones(values.size, dtype=bool)
        limits = [self.log_text(part) for part in ("run_start", "run_end")]
        if "time" in log and all(limits):
            seconds = numbers(log, "time", shape=values.shape)
            zero = np.datetime64(str(attribute(log["time"], "start"))[:19])
            start, end = (
                (np.datetime64(str(limit)[:19]) - zero) / np.timedelta64(1, "s")
                for limit in limits
            )
            during = (seconds >= start) & (seconds <= end)
            if not during.any():
                # A log contains only changes: the last one before the run is valid.
                last = seconds[seconds <= end].max(initial=seconds.min())
                during = seconds == last
        known = values[during & np.isfinite(values)]
        if not known.size:
            return []
        low, high = np.percentile(known, [25, 75], method="nearest")
        units = str(attribute(log["value"], "units") or "").strip() or "K"
        try:
            kelvin = to_kelvin(
                np.array([low, np.median(known), high]), units, name=f"log '{name}'"
            )
        except UnitsError:
            return []
        # A sensor that is not connected writes zeros.
        return kelvin.tolist() if kelvin[1] > 0 else []


#: Algorithms that do not change spectra, and those that make other quantities.
_KEEPING: Final = ("Save", "Rename", "Clone", "Add", "Crop", "Delete", "Load", "Rebin")
_OTHERS: Final = {
    "Logarithm": "a logarithm",
    "ApplyDetailedBalance": "a susceptibility",
    "ComputeIncoherentDOS": "a density of states",
}
_FINAL: Final = ("efixed", "efixed-val")


def _same(one: float | None, other: float) -> bool:
    """Return whether energies agree within the digits of the shorter: 1.845, 1.84."""
    if one is None:
        return False
    decimals = [len(repr(energy).partition(".")[2]) for energy in (one, other)]
    return abs(one - other) <= 0.5001 * 10.0 ** -min(decimals)
