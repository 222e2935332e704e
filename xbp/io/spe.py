"""SPE text of mslice, Horace and Mantid, with detectors in PHX or PAR."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.grid import bin_limits
from xbp.core.guards import require_whole
from xbp.core.operation import operation
from xbp.core.status import Diagnostic, diagnosed
from xbp.io.geometry import (
    Asked,
    Bins,
    angle_dataset,
    find_geometry,
    of_detectors,
    spectra_to_write,
)
from xbp.io.guide import Guide, example
from xbp.io.masks import measured
from xbp.io.publish import to_path
from xbp.io.reader import Format
from xbp.io.text import (
    check,
    header_matches,
    read_lines,
    to_numbers,
    write_text,
)

__all__ = ["FORMAT", "SpeBackend", "open_spe", "to_spe"]

_HEADER: Final = r"\A[ \t]*\d+[ \t]+\d+[ \t]*\n###[ \t]*(?:Phi|Q)[ \t]Grid"
#: A number in its column: whatever lacks a digit of the exponent was cut.
_FIELD: Final = re.compile(
    r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[ed][-+]\d{2,3})?|[-+]?(?:nan|inf)", re.IGNORECASE
)
#: Numbers in a full line, and characters of a number in what is written.
_PER_LINE: Final = 8
_WIDTH: Final = 10
#: What is written for a bin that was not measured.
_MASKED: Final = -1e30


def _find(lines: list[str]) -> bool:
    return header_matches(lines, f"(?i){_HEADER}")


FORMAT = Format(
    "SPE text (mslice, Horace)",
    "text",
    _find,
    "it has no '### Phi Grid' below the numbers of detectors and energies",
    resembles=r"\A[ \t]*\d+[ \t]+\d+[ \t]*\n###",
    guide=Guide(
        "neutrons",
        "mslice, Horace, Mantid (SaveSPE): `.spe` with `.phx` or `.par`",
        "S(2θ,E), errors, edges; numbers in columns without blanks; angles of "
        "`detectors=`, else of the φ grid, unless that counts 1, 2, 3; a Q grid "
        "gives S(Q,E); written too, by `to_spe`",
        example(
            "S",
            '"run.spe", incident_energy="12 meV", T="5 K"',
            "print(S.bp.kinematic_limits())",
        ),
        asks=("incident_energy", "final_energy", "detectors", "T"),
    ),
)


@FORMAT.reader
def open_spe(
    path: Path,
    lines: list[str],
    *,
    incident_energy: Any = None,
    final_energy: Any = None,
    detectors: str | os.PathLike[str] | None = None,
    T: Any = None,
) -> xr.Dataset:
    """Read an SPE file.

    The numbers of detectors and of energies; a grid of angles (or of Q) and one of
    energies, each with one more; for each detector its spectrum and its errors. Eight
    numbers to a line, in columns of equal width without blanks between.

    Parameters
    ----------
    path : path-like
        File of mslice, Horace or Mantid.
    incident_energy, final_energy : scalar with units
        The energy that the instrument fixes, one of them, which the file does not
        contain (bare: meV). Not needed over Q.
    detectors : path-like, optional
        File ``.phx`` or ``.par`` with one row for each detector.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).

    Returns
    -------
    xarray.Dataset
        ``S(detector, E)`` with ``S_std`` as `open_nxspe` gives it, per meV on an
        arbitrary scale; of a file with a Q grid ``S(Q, E)``. Energies in meV. Without
        `detectors`, angles are the centres of the φ grid. -1e30, NaN and negative
        errors become NaN.

    Raises
    ------
    FileFormatError
        If the file is damaged, or has other numbers of detectors than `detectors`.
    QuantityError
        If no fixed energy is given, or the φ grid counts the detectors and `detectors`
        is not given.

    References
    ----------
    Mantid, algorithms SaveSPE, SavePHX and SavePAR,
    https://docs.mantidproject.org/nightly/algorithms/SaveSPE-v1.html

    Examples
    --------
    >>> import pathlib, tempfile
    >>> text = [" 1 2", "### Phi Grid", " 10.0 12.0", "### Energy Grid",
    ...         " -1.0 1.0 3.0", "### S(Phi,w)", "-1.00E-002-1.00E+030",
    ...         "### Errors", " 0.1 0.0"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "a.spe")
    ...     _ = path.write_text(chr(10).join(text) + chr(10))
    ...     ds = open_spe(path, incident_energy="12 meV")
    >>> ds.S.values, ds.two_theta.values, ds.E.values
    (array([[-0.01,   nan]]), array([11.]), array([0., 2.]))
    """
    n_detector, n_energy = _counts(lines[0])
    names = [line.strip("# ") for line in lines if line.startswith("#")]
    n_parts = 2 * n_detector + 2
    check(
        len(names) == n_parts, f"it has {len(names)} parts below '###', not {n_parts}"
    )
    sizes = (n_detector + 1, n_energy + 1, *(n_energy,) * (2 * n_detector))
    parts = [
        _numbers(*part) for part in zip(_parts(lines[1:]), names, sizes, strict=True)
    ]
    grid, E = parts[:2]
    ascending = np.isfinite(E).all() and (np.diff(E) > 0).all()
    check(ascending, "its energies are not ascending")
    values, std = np.array(parts[2::2]), np.array(parts[3::2])
    asked = Asked(None, incident_energy, final_energy)
    kind = asked.kind()
    attrs = {"source": f"SPE file {path.name}"}
    if re.match(r"###\s*Q", lines[1], re.IGNORECASE):
        return _over_Q(grid, E, values, std, T, attrs)
    # Programs that have no angles to write count instead.
    counted = n_detector > 1 and (np.abs(grid - 1 - np.arange(grid.size)) < 1e-6).all()
    lacks_angles = counted and detectors is None
    wanted = {} if kind else {"incident_energy= or final_energy=": "'12 meV'"}
    wanted |= {"detectors=": "'run.phx'"} if lacks_angles else {}
    if wanted:
        raise QuantityError(
            f"{path} needs {' and '.join(wanted)}",
            reason="it contains no fixed energy, and its φ grid "
            + ("counts the detectors" if counted else "has only angles"),
            fix="; ".join(f"{k.split()[0]}{v}" for k, v in wanted.items())
            + "; T='300 K', which it does not contain either",
        )
    angles = {"two_theta": (grid[1:] + grid[:-1]) / 2}
    if detectors is not None:
        angles = _of_detectors(to_path(detectors, exists=True), n_detector)
    else:
        check((np.diff(grid) > 0).all(), "its φ grid does not ascend: pass detectors=")
        angles["two_theta_width"] = np.diff(grid)
    fixed = find_geometry(
        path,
        asked,
        stated=None,
        instrument=None,
        energy=None,
        bins=Bins.of(values, std, E),
    )
    ds = angle_dataset(
        values,
        std,
        detector=np.arange(n_detector),
        angles=angles,
        E=E,
        temperature=T,
        attrs=attrs,
        **fixed,
    )
    if detectors is None and n_detector > 1 and (np.diff(grid) == 1).all():
        doubt = (
            f"the angles are {grid[0]:g}°, {grid[1]:g}° … {grid[-1]:g}°: they may be "
        )
        found = Diagnostic(
            "angles_count",
            "warning",
            f"{doubt}detector numbers",
            "detectors='run.phx', or a .par file",
        )
        ds.S.attrs |= diagnosed(ds.S.attrs, found)
    return ds


def _counts(line: str) -> tuple[int, int]:
    """Return the numbers of detectors and of energies."""
    counts = to_numbers([line], "the first line", size=2)
    whole = (counts == np.trunc(counts)).all() and (counts > 0).all()
    check(whole, f"its first line {line!r} is not two whole numbers")
    return int(counts[0]), int(counts[1])


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield the lines below each comment."""
    at = [i for i, line in enumerate(lines) if line.startswith("#")]
    for first, last in zip(at, [*at[1:], len(lines)], strict=True):
        yield [line for line in lines[first + 1 : last] if line.strip()]


def _numbers(lines: list[str], what: str, size: int) -> np.ndarray:
    """Return the numbers of a part, with blanks between or in columns of one width."""
    words = " ".join(lines).split()
    if len(words) != size:
        counts = [min(_PER_LINE, size - first) for first in range(0, size, _PER_LINE)]
        check(len(lines) == len(counts), f"{what} has {len(lines)} lines")
        found = _columns([line.rstrip() for line in lines], counts)
        check(found, f"{what} does not have {size} numbers in columns of one width")
        words = found or words
    return to_numbers(words, what, size=size)


def _columns(lines: list[str], counts: list[int]) -> list[str] | None:
    """Return the words in columns of one width, on their right or left sides.

    On the left, as mslice writes them, the last word of a line may be shorter.

    Examples
    --------
    >>> _columns(["-1.2E+00-2.3E+00", " 4.5E+00"], [2, 1])
    ['-1.2E+00', '-2.3E+00', '4.5E+00']
    >>> _columns(["-1.2E+004.5E+00 3.4E+00"], [3])
    ['-1.2E+00', '4.5E+00', '3.4E+00']
    """
    both = list(zip(lines, counts, strict=True))
    least = max(-(-len(line) // n) for line, n in both)
    # The next ones only if the last words are shorter.
    lengths = [(len(line) - 1) // (n - 1) for line, n in both if n > 1]
    most = min(lengths, default=least)
    for width in range(least, most + 1):
        cuts = [
            line[k * width : (k + 1) * width].strip()
            for line, n in both
            for k in range(n)
        ]
        if all(map(_FIELD.fullmatch, cuts)):
            return cuts
    return None


def _over_Q(
    grid: np.ndarray,
    E: np.ndarray,
    values: np.ndarray,
    std: np.ndarray,
    T: Any,
    attrs: dict[str, str],
) -> xr.Dataset:
    values, errors = measured(values, std)
    return new_dataset(
        "dynamic_structure_factor",
        values,
        std=errors,
        units="1/meV",
        coords={
            "Q": ((grid[1:] + grid[:-1]) / 2, "1/angstrom"),
            "E": ((E[1:] + E[:-1]) / 2, "meV"),
        },
        edges={"Q": grid, "E": E},
        temperature=T,
        statistics="quantum",
        attrs=attrs,
    )


def _of_detectors(path: Path, n: int) -> dict[str, np.ndarray]:
    """Return the columns of a PHX (7 columns) or PAR file (5, or 6 with a number)."""
    lines = [line for line in read_lines(path) if line.strip()]
    count = to_numbers(lines[:1], f"the first line of {path}")
    check(count.size == 1 and count[0] == n, f"{path.name} does not have {n} detectors")
    table = to_numbers(lines[1:], path.name)
    columns = table.size // n
    check(
        columns in (5, 6, 7)
        and all(len(line.split()) == columns for line in lines[1:])
        and len(lines) == n + 1,
        f"{path.name} does not have {n} rows of 5 to 7 numbers",
    )
    table = table.reshape(n, columns)
    if columns == 7:  # its distance is often made up
        two_theta, azimuth, *widths = table.T[2:6]
    else:  # the azimuth is of the other sense
        distance, two_theta, azimuth, *sizes = table.T[:5]
        check((distance > 0).all(), f"{path.name} has distances that are not positive")
        azimuth = -azimuth
        widths = [2 * np.degrees(np.arctan(size / (2 * distance))) for size in sizes]
    columns_ = {
        "two_theta": np.abs(two_theta),
        "azimuth": azimuth + np.where(two_theta < 0, 180.0, 0.0),
        "two_theta_width": widths[0],
        "azimuth_width": widths[1],
    }
    columns_ |= {"distance": distance} if columns < 7 else {}
    # Zeros mean unknown.
    return {k: v for k, v in columns_.items() if k == "two_theta" or v.any()}


@operation(takes="detector_spectra")
def to_spe(
    data: xr.Dataset,
    path: str | os.PathLike[str],
    detectors: str | os.PathLike[str],
    *,
    width: int = _WIDTH,
    overwrite: bool = False,
) -> None:
    """Write S(2θ,E) as SPE text, for Horace, mslice and Mantid, and its angles as PHX.

    The format has no place for units, the fixed energy, T and the history.

    Parameters
    ----------
    data : xarray.Dataset
        ``S(detector, E)`` with its standard deviation and ``two_theta``.
    path, detectors : path-like
        Where to: the spectra, ``.spe``, and the angles of the detectors, ``.phx``.
    width : int
        Characters of a number. The format has 10, into which 3 to 9 digits fit, and
        some programs read no other; with 25 every digit is kept.
    overwrite : bool
        Replace existing files.

    Raises
    ------
    QuantityError
        If the data have no standard deviation, or further dimensions; if bins share
        errors (``S_std_common``, ``E_independence``).
    CoordinateError
        If angles are missing, or energies coincide when written in `width` characters.
    FileFormatError
        If a file exists and `overwrite` is not given, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import xbp
    >>> ds = xbp.new_dataset(
    ...     "detector_spectra", [[1.5, np.nan]], std=[[0.1, np.nan]], units="1/meV",
    ...     coords={"detector": ([0], "1"), "E": ([-1.0, 1.0], "meV")},
    ...     statistics="quantum")
    >>> ds = ds.assign_coords(two_theta=("detector", [30.0], {"units": "degree"}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     names = f"{folder}/a.spe", f"{folder}/a.phx"
    ...     xbp.to_spe(ds, *names)
    ...     back = xbp.open_dataset(
    ...         names[0], detectors=names[1], incident_energy="20 meV")
    >>> back.S.values, back.two_theta.values
    (array([[1.5, nan]]), array([30.]))
    """
    require_whole(width, "width", least=_WIDTH)
    signal, std = spectra_to_write(data, "SPE")
    value = signal.value
    two_theta = value.coords.get("two_theta")
    if two_theta is None or two_theta.isnull().any():
        raise CoordinateError(
            "some detectors have no angle 'two_theta'",
            fix="data.sel(detector=data.two_theta.notnull())",
        )
    S, errors = (
        array.transpose("detector", "E").values.astype(float) for array in (value, std)
    )
    lower, upper = bin_limits(signal.source, "E")
    E = np.append(lower, upper[-1])
    if (np.diff([float(_field(e, width)) for e in E]) <= 0).any():
        raise CoordinateError(
            f"some energies are equal when written in {width} characters",
            fix="width=25",
        )
    seen = np.isfinite(S) & np.isfinite(errors)
    S, errors = np.where(seen, S, _MASKED), np.where(seen, errors, 0.0)
    n = value.sizes["detector"]
    lines = [f"{n:8d}{value.sizes['E']:8d}"]
    # Angles are those of the detectors; the grid counts, as of other programs.
    parts: list[tuple[str, np.ndarray]] = [
        ("Phi Grid", np.arange(1.0, n + 2)),
        ("Energy Grid", E),
    ]
    for spectrum, error in zip(S, errors, strict=True):
        parts += [("S(Phi,w)", spectrum), ("Errors", error)]
    for name, numbers in parts:
        fields = [_field(number, width) for number in numbers]
        lines.append(f"### {name}")
        lines += [
            "".join(fields[i : i + _PER_LINE]) for i in range(0, len(fields), _PER_LINE)
        ]
    names = ("distance", "", "two_theta", "azimuth", "two_theta_width", "azimuth_width")
    zero = np.zeros(n)
    columns = [
        of_detectors(value, name) if name in value.coords else zero for name in names
    ]
    rows = zip(*(column.tolist() for column in columns), range(1, n + 1), strict=True)
    table = [str(n), *(" ".join(map(repr, row)) for row in rows)]
    write_text(detectors, table, overwrite=overwrite)
    write_text(path, lines, overwrite=overwrite)


def _field(number: float, width: int) -> str:
    """Return a number in as many characters, with as many digits as they hold.

    Examples
    --------
    >>> _field(-1 / 3, 10), _field(2e-7 / 3, 10), _field(1.5, 10)
    ('-0.3333333', '6.6667e-08', '       1.5')
    """
    texts = [repr(float(number)), *(f"{number:.{n}g}" for n in range(17, 0, -1))]
    return next(text for text in texts if len(text) <= width).rjust(width)


SpeBackend = FORMAT.backend()
