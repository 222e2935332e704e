"""SaveAscii text of Mantid: a number of a spectrum, then its rows of X, Y and E."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError
from xbp.core.guards import not_used
from xbp.core.schema import QUANTITIES
from xbp.core.units import magnitude
from xbp.io.columns import ask_labels, without_sentinels
from xbp.io.guide import Guide, example
from xbp.io.masks import with_errors
from xbp.io.reader import Format
from xbp.io.text import check, header_matches, to_numbers
from xbp.io.total_scattering import require_normalization

__all__ = ["FORMAT", "MantidAsciiBackend", "open_mantid_ascii"]

_B: Final = r"[ \t]*"
#: Any mark of a comment; one separator for all; X, Y, their errors, perhaps that of X.
_TITLES: Final = (
    rf"[^\w\s]*{_B}X{_B}(?P<mark>[,;:]|\t|[ ]){_B}Y{_B}(?P=mark){_B}E"
    rf"(?:{_B}(?P=mark){_B}DX)?{_B}"
)
#: The number of a spectrum, and what else Mantid may say of it: two numbers at most,
#: with blanks about the separator, which rows have not.
_NUMBERED: Final = r"\d+(?: +[,;:\t ] +[-+\d.eE]+){0,2}[ \t]*"
_HEADER: Final = rf"^{_TITLES}\n{_NUMBERED}$"


class _Spectra(NamedTuple):
    """Numbers of the spectra, and the rows of each."""

    numbers: list[int]
    tables: list[np.ndarray]


FORMAT = Format(
    "SaveAscii text of Mantid",
    "text",
    lambda lines: header_matches(lines, _HEADER),
    "it has no titles 'X , Y , E' above the number of a spectrum",
    resembles=_HEADER,
    guide=Guide(
        "neutrons",
        "Mantid's SaveAscii with numbers of spectra",
        "one spectrum, or all over one X; the text states no quantity, no units and no "
        "Q. X is the centre of a bin",
        example(
            "S",
            '"run.txt", quantity="S(Q,E)", units="1", coordinate_units="meV", '
            'Q=[0.5, 0.7, 0.9], T="300 K"',
            'S.bp.cut_Q(("0.4 1/angstrom", "0.8 1/angstrom"))',
        ),
        asks=("quantity", "units", "coordinate_units", "Q", "T"),
    ),
)


@FORMAT.reader
def open_mantid_ascii(
    path: Path,
    lines: list[str],
    *,
    quantity: str | None = None,
    units: str | None = None,
    coordinate_units: str | None = None,
    Q: Any = None,
    spectrum: float | None = None,
    T: Any = None,
    statistics: str | None = None,
) -> xr.Dataset:
    """Read what SaveAscii of Mantid writes of one spectrum or several.

    Below the titles ``X , Y , E`` each spectrum begins with its number, with which
    Mantid may write Q or an angle; then follow rows of X, Y, the error of Y and, if it
    was asked for, that of X, which is left out.

    Parameters
    ----------
    path : path-like
        Text of SaveAscii, with any of its separators.
    quantity : str
        A name of the vocabulary, over Q and X, such as ``"S(Q,E)"``; for one spectrum
        it may be over X alone, such as ``"g(E)"``.
    units : str
        Of the values; "1" where they are arbitrary.
    coordinate_units : str
        Units of X.
    Q : array_like with units
        Q of each spectrum (bare: 1/angstrom), for a quantity over Q.
    spectrum : int, optional
        Number of the one spectrum to read.
    T : scalar with units, optional
        Temperature of the sample (bare: K).
    statistics : {"quantum", "classical"}, optional
        As for `new_dataset`.

    Returns
    -------
    xarray.Dataset
        The variable with its name in the vocabulary and ``<name>_std``, over ascending
        Q and X, in the units given. Errors that are all 0 are dropped; sentinels are
        NaN.

    Raises
    ------
    QuantityError, UnitsError
        If the quantity, its units, or Q is missing or does not fit.
    FileFormatError
        If the file is damaged, or its spectra are over different X.

    References
    ----------
    O. Arnold et al., Nucl. Instrum. Methods A 764, 156 (2014),
    doi:10.1016/j.nima.2014.07.029: Mantid.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> rows = "# X , Y , E", "1", "0.5,4,0.2", "1.5,9,0.3", "2", "0.5,5,0", "1.5,8,1"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "run.txt")
    ...     _ = path.write_text(chr(10).join([*rows, ""]))
    ...     labels = {"units": "1", "coordinate_units": "meV"}
    ...     S = open_mantid_ascii(path, quantity="S(Q,E)", Q=[0.7, 0.5], **labels).S
    >>> S.Q.values, S.E.values, S.values
    (array([0.5, 0.7]), array([0.5, 1.5]), array([[5., 8.],
           [4., 9.]]))
    """
    given = {"quantity": quantity, "units": units, "coordinate": None}
    labels = ask_labels(path, **given, coordinate_units=coordinate_units)
    found = _chosen(path, _spectra(lines), spectrum)
    x = found.tables[0][:, 0]
    same = all(np.array_equal(table[:, 0], x) for table in found.tables)
    check(same, "its spectra are over different X: rebin them to one in Mantid")
    one_way = np.sign(np.diff(x))
    check(one_way.all() and np.ptp(one_way) == 0, "its X is not in order")
    row = QUANTITIES[labels.quantity]
    values, std = (np.stack([t[:, n] for t in found.tables]) for n in (1, 2))
    coords: dict[str, Any] = {labels.dim: (x, labels.coordinate_units)}
    if row.dims == ("Q", labels.dim):
        at = _wave_vectors(path, found.numbers, Q)
        order = np.argsort(at, kind="stable")
        values, std = values[order], std[order]
        coords = {"Q": (at[order], "1/angstrom"), **coords}
    elif len(row.dims) == 1 and len(values) == 1:
        not_used(f"the {row.label} is not over Q", Q=Q)
        values, std = values[0], std[0]
    else:
        over = ", ".join(row.dims)
        raise QuantityError(
            f"{path} has {len(values)} spectra; {labels.quantity} is over {over}",
            fix="quantity='S(Q,E)' with Q=[…], or spectrum=… for one of them",
        )
    if np.any(one_way < 0):
        values, std = values[..., ::-1], std[..., ::-1]
        coords[labels.dim] = (x[::-1], labels.coordinate_units)
    values, seen = without_sentinels(values, std)
    errors = with_errors(seen)
    require_normalization(path.name, labels.quantity, values, errors)
    return new_dataset(
        labels.quantity,
        values,
        std=errors,
        units=labels.units,
        coords=coords,
        temperature=T,
        statistics=statistics or "unknown",
        attrs={"source": f"SaveAscii text {path.name}"},
    )


def _spectra(lines: list[str]) -> _Spectra:
    """Return every spectrum of the text, as the titles lay out its rows."""
    at, titles = next(
        (i, match)
        for i, line in enumerate(lines)
        if (match := re.fullmatch(_TITLES, line))
    )
    mark, columns = titles["mark"], 4 if "DX" in lines[at] else 3
    found = _Spectra([], [])
    block: list[str] = []

    def close() -> None:
        if found.numbers:
            what = f"spectrum {found.numbers[-1]}"
            apart = [line.replace(mark, " ") for line in block]
            size = columns * len(block)
            check(size, f"{what} has no rows")
            whole = all(len(line.split()) == columns for line in apart)
            check(whole, f"a row of {what} does not have {columns} numbers")
            table = to_numbers(apart, what, size=size)
            found.tables.append(table.reshape(-1, columns))

    for line in filter(str.strip, lines[at + 1 :]):
        if re.fullmatch(_NUMBERED, line):
            close()
            found.numbers.append(int(re.split(r"[^\d]", line)[0]))
            block.clear()
        else:
            block.append(line)
    close()
    return found


def _chosen(path: Path, found: _Spectra, spectrum: float | None) -> _Spectra:
    """Return the spectrum of a number, or all.

    Raises
    ------
    QuantityError
        If there is none of that number.
    """
    if spectrum is None:
        return found
    if found.numbers.count(int(spectrum)) != 1 or spectrum != int(spectrum):
        raise QuantityError(
            f"spectrum={spectrum} is not among the {len(found.numbers)} of {path}",
            fix=f"one of {found.numbers[:8]}",
        )
    at = found.numbers.index(int(spectrum))
    return _Spectra([found.numbers[at]], [found.tables[at]])


def _wave_vectors(path: Path, numbers: list[int], Q: Any) -> np.ndarray:
    """Return Q of every spectrum in 1/angstrom.

    Raises
    ------
    QuantityError
        If it is not given, or not for every spectrum.
    """
    wanted = f"Q=[…] of the {len(numbers)} spectra, in 1/angstrom or with units"
    if Q is None:
        raise QuantityError(
            f"{path} does not state Q of its spectra {numbers[0]} to {numbers[-1]}",
            fix=f"pass {wanted}",
        )
    each = Q if np.ndim(Q) else [Q]
    at = np.array([magnitude(one, "1/angstrom", name="Q") for one in each])
    if at.size != len(numbers):
        raise QuantityError(f"Q= has {at.size} values", fix=wanted)
    return at


MantidAsciiBackend = FORMAT.backend()
