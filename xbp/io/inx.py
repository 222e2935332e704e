"""INX text of LAMP: blocks of a spectrum each (IN4 to IN6, IN16B, TOFTOF)."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError
from xbp.core.guards import not_used
from xbp.core.units import convert_factor, magnitude
from xbp.io.geometry import Asked, Bins, angle_dataset, find_geometry, with_fixed_energy
from xbp.io.guide import Guide, example
from xbp.io.masks import measured
from xbp.io.reader import Format, axis_units, density_per_mev
from xbp.io.text import check, header_matches, to_numbers

__all__ = ["FORMAT", "InxBackend", "open_inx"]

_N: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
_INTEGERS: Final = r"[ \t]*(?:-?\d+[ \t]+){7}\d+[ \t]*"
#: Eight integers, a title, four numbers or more, up to three or four, a row.
_HEADER: Final = (
    rf"\A{_INTEGERS}\n.*\n[ \t]*(?:{_N}[ \t]+){{3,}}{_N}[ \t]*\n"
    rf"[ \t]*(?:{_N}[ \t]*){{1,4}}\n[ \t]*{_N}"
)
#: Numbers in fixed columns may touch, 1.5000-2.3e-03; an exponent has no blank.
_TOUCHING: Final = re.compile(r"(?<=[\d.])(?=[-+]\d)(?<![eEdD])")
_FIX: Final = (
    "group='index', 'two_theta', 'Q' or 'temperature'; energy_units='meV' or 'ueV'"
)


def _find(lines: list[str]) -> bool:
    return header_matches(lines, _HEADER)


FORMAT = Format(
    "INX text (LAMP)",
    "text",
    _find,
    "it does not begin with a block of INX: eight integers, a title, four numbers",
    resembles=rf"\A{_INTEGERS}\n.*\n[ \t]*(?:{_N}[ \t]+){{3,}}{_N}",
    guide=Guide(
        "neutrons",
        "LAMP; IN4, IN5, IN6, IN16B, TOFTOF",
        "spectra with errors, E_i, T. The file states neither what numbers its blocks "
        "(2θ, Q, T or a plain index, with `Q=` of each) nor the unit of E; T = 0 is "
        "not recorded",
        example(
            "S",
            '"in.inx", group="Q", energy_units="meV", T="350 K"',
            'S.bp.cut_Q(("0.5 1/angstrom", "2.5 1/angstrom"))',
        ),
        asks=("group", "energy_units", "Q", "T"),
    ),
)


class _Block(NamedTuple):
    """One spectrum: title, label, E_i (meV), T (K), and the rows E, S, error."""

    title: str
    label: float
    energy: float
    temperature: float
    rows: np.ndarray


@FORMAT.reader
def open_inx(
    path: Path,
    lines: list[str],
    *,
    group: Literal["index", "two_theta", "Q", "temperature"] | None = None,
    energy_units: str | None = None,
    Q: Any = None,
    T: Any = None,
    geometry: str | None = None,
    incident_energy: Any = None,
    final_energy: Any = None,
    positive: Literal["loss", "gain"] = "loss",
) -> xr.Dataset:
    """Read an INX file.

    A block begins with eight integers, of which the last is the number of rows; a
    title; its label, E_i (meV), k_i (1/angstrom) and T (K); and a line of times of
    flight. Then follow rows of E, S and error, or of a channel number, E, S and error.

    Parameters
    ----------
    path : path-like
        File of LAMP, or of a program that writes for it.
    group : {"index", "two_theta", "Q", "temperature"}
        Meaning of the labels of the blocks: scattering angles in degrees, Q in
        1/angstrom, temperatures in K, or plain numbers.
    energy_units : str
        Units of E: "meV", or "ueV" from a backscattering spectrometer.
    Q : array_like with units, optional
        Q of each block, if the labels are plain numbers (bare: 1/angstrom).
    T : scalar with units, optional
        Temperature of the sample (bare: K). Needed if the file has 0 (unknown), or a
        different one in each block that is not its label.
    geometry : {"direct", "indirect"}, optional
        Whether the energy in the file is the incident one, as the format has it; an
        indirect spectrometer may have written the final one. Needed for angles if E is
        not in meV.
    incident_energy, final_energy : scalar with units, optional
        The fixed energy, overriding that in the file (bare: meV).
    positive : {"loss", "gain"}
        Which energy transfer of the neutron is positive in the file; gains are
        reversed.

    Returns
    -------
    xarray.Dataset
        ``S(Q,E)``, ``S(temperature,E)`` or ``S(detector,E)`` (angles in ``two_theta``),
        with ``S_std``, per meV on an arbitrary scale; E in meV, with energy loss of
        the neutron positive. Errors that are all 0 are dropped;
        negative errors, infinities and sentinels become NaN. Blocks may begin and end
        at different energies.

    Raises
    ------
    QuantityError
        If `group` or `energy_units` is not given.
    FileFormatError
        If the file is damaged, or the energies of its blocks do not agree.

    References
    ----------
    D. Richard, M. Ferrand and G. J. Kearley, J. Neutron Res. 4, 33 (1996),
    doi:10.1080/10238169608200065: LAMP.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> block = " 2 1 2 0 0 0 0 2", "glass", " 1.2 3.27 1.26 300. 1. 0", " 0. 4. 0."
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.inx")
    ...     _ = path.write_text(chr(10).join([*block, " 0. 4. .2", " 1. 9. .3", ""]))
    ...     ds = open_inx(path, group="Q", energy_units="meV")
    >>> ds.Q.values, ds.S.values, float(ds.temperature)
    (array([1.2]), array([[4., 9.]]), 300.0)
    """
    blocks = list(_blocks(lines))
    labels = np.array([block.label for block in blocks])
    recorded = sorted({block.temperature for block in blocks} - {0.0})
    if group is None or energy_units is None:
        rows = np.concatenate([block.rows[:, 0] for block in blocks])
        also = "" if recorded or T is not None else "; T='300 K', which is not recorded"
        raise QuantityError(
            f"{path} has {len(blocks)} blocks labelled {labels.min():g} to "
            f"{labels.max():g}, over E from {rows.min():g} to {rows.max():g}",
            reason="it does not state what the labels are, nor the unit of E",
            fix=f"{_FIX}{also}",
        )
    asked = Asked(geometry, incident_energy, final_energy, positive=positive)
    asked.kind()
    own = axis_units(energy_units, "E", name="energy_units", example="meV")
    to_mev = convert_factor(own, "meV", energy=True)
    if group != "index":
        not_used(f"the blocks are labelled by group={group!r}", Q=Q)
    elif Q is not None:
        labels = np.array([magnitude(each, "1/angstrom", name="Q") for each in Q])
        check(
            labels.size == len(blocks),
            f"Q= must have {len(blocks)} values, one per block",
        )
    if group == "temperature":
        same = len(recorded) < 2 or np.allclose(
            [block.temperature for block in blocks], labels, rtol=0.05
        )
        check(same and T is None, "its labels are not its recorded temperatures")
    elif T is None:
        check(
            len(recorded) < 2 or recorded[-1] - recorded[0] < 0.05 * recorded[-1],
            f"its blocks have temperatures from {min(recorded, default=0):g} to "
            f"{max(recorded, default=0):g} K: pass T=, or group='temperature'",
        )
        T = float(np.median(recorded)) if recorded else None
    energy, *spectra = _common(blocks)
    if positive == "gain":
        energy, *spectra = -energy[::-1], *(one[:, ::-1] for one in spectra)
    values, std = measured(*spectra)
    values, std, _ = density_per_mev(values, std, axis=to_mev)
    energy = energy * to_mev
    fixed = _fixed(path, asked, blocks, Bins.of(values, std, energy), own == "meV")
    attrs = {"title": blocks[0].title, "source": f"INX file {path.name}"}
    if group == "two_theta":
        check(fixed, "geometry='direct' or 'indirect' is needed for angles")
        return angle_dataset(
            values,
            std,
            detector=np.arange(len(blocks)),
            angles={"two_theta": labels},
            E=energy,
            temperature=T,
            units="1",
            attrs=attrs,
            **fixed,
        )
    names = {"Q": ("Q", "1/angstrom"), "temperature": ("temperature", "K")}
    dim, units = names.get("Q" if Q is not None else group, ("detector", "1"))
    order = np.argsort(labels, kind="stable")
    ds = new_dataset(
        "detector_spectra" if dim == "detector" else "dynamic_structure_factor",
        values[order],
        std=None if std is None else std[order],
        units="1",
        coords={dim: (labels[order], units), "E": (energy, "meV")},
        temperature=T,
        statistics="quantum",
        attrs=attrs,
    )
    return with_fixed_energy(ds, **fixed)


def _blocks(lines: list[str]) -> list[_Block]:
    """Return the blocks, whose headers say how long they are."""
    found: list[_Block] = []
    rest = iter(line for line in lines if line.strip())
    for first in rest:
        counts = to_numbers([first], "a line of eight integers", size=8)
        n = int(counts[-1])
        check(
            (counts == np.trunc(counts)).all() and n > 0,
            f"{first!r} is not the first line of a block",
        )
        title, third, fourth = (next(rest, "") for _ in range(3))
        numbers = to_numbers([third], "the line of E_i and T")
        check(numbers.size >= 4, f"{third!r} does not have label, E_i, k_i and T")
        to_numbers([fourth], "the line of times of flight")
        rows = [_TOUCHING.sub(" ", line) for line in itertools.islice(rest, n)]
        check(len(rows) == n, f"block {len(found) + 1} has {len(rows)} rows, not {n}")
        table = to_numbers(rows, f"block {len(found) + 1}")
        columns = table.size // n
        check(
            columns in (3, 4) and all(len(row.split()) == columns for row in rows),
            f"the rows of block {len(found) + 1} do not have three or four numbers",
        )
        table = table.reshape(n, columns)
        if columns == 4:  # IN16: numbers of the channels first
            channel = table[:, 0]
            whole = (np.diff(channel) == 1).all() and (channel == channel.round()).all()
            check(whole, "its first column of four is not a channel number")
        found.append(
            _Block(title.strip(), numbers[0], numbers[1], numbers[3], table[:, -3:])
        )
    return found


def _common(blocks: list[_Block]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the energies of all blocks, and spectra and errors over them."""
    energy = np.unique(np.concatenate([block.rows[:, 0] for block in blocks]))
    check(np.isfinite(energy).all(), "some of its energies are not finite")
    values = np.full((len(blocks), energy.size), np.nan)
    std = np.full_like(values, np.nan)
    for i, block in enumerate(blocks):
        at = np.searchsorted(energy, block.rows[:, 0])
        steps = np.diff(np.sort(at))
        check((steps != 0).all(), f"block {i + 1} has an energy twice")
        check(
            (steps == 1).all(), "its blocks have different energies: rebin them to one"
        )
        values[i, at], std[i, at] = block.rows[:, 1], block.rows[:, 2]
    return energy, values, std


def _fixed(
    path: Path, asked: Asked, blocks: list[_Block], bins: Bins, is_mev: bool
) -> dict[str, Any]:
    """Return the fixed energy: the format has E_i; a final one if the caller says so.

    A spectrum in µeV is that of a backscattering spectrometer, which fixes E_f.
    """
    given = {block.energy for block in blocks if block.energy > 0}
    energy = given.pop() if len(given) == 1 else None
    if asked.kind() is None and not is_mev:
        return {}
    return find_geometry(
        path,
        asked,
        stated=None if asked.kind() else "direct",
        instrument=None,
        energy=energy,
        bins=bins,
    )


InxBackend = FORMAT.backend()
