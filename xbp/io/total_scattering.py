"""Total scattering in text: of Gudrun, NOMAD, McStas, PDFgetN, PDFgetX, RMCProfile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import at_most_one, require_positive
from xbp.core.schema import QUANTITIES
from xbp.core.signal import extend_history
from xbp.core.units import convert_factor, parse_unit
from xbp.io.grammar import parse_title, read_units
from xbp.io.guide import Guide
from xbp.io.masks import measured
from xbp.io.reader import Format, named_format, value_units
from xbp.io.text import check, to_numbers
from xbp.io.titles import Labels, column_titles, require_titles, third_is_an_error
from xbp.reduction.sample import mean_scattering_lengths, numbers_of

__all__ = [
    "FORMAT",
    "TotalScatteringBackend",
    "open_total_scattering",
    "require_normalization",
]

#: Gudrun's first comment is the name of its file, and NOMAD's names the column; McStas
#: numbers the columns from 1.
_GUDRUN: Final = re.compile(r"#\s*\S+\.(?:mint|mdor)\d\d\s*$", re.IGNORECASE)
_OTHER_GUDRUN: Final = re.compile(r"#\s*\S+(\.m[a-z]{2,5}\d\d)\s*$", re.IGNORECASE)
_NOMAD: Final = re.compile(
    r"#\s*L?\s*Q\W.*(?<![a-z\[(])S\(Q\)(?!\s*-\s*1)", re.IGNORECASE
)
_PER_NM: Final = re.compile(r"\bnm\s*(?:\^?\s*[-\u2212]|\u207b)\s*[1¹]|1/nm\b")
#: What follows is the table, in PDFgetN and PDFgetX.
_START: Final = re.compile(r"#+\s*start data", re.IGNORECASE)
#: Their tables of four columns have the errors of Q and of the function.
_FOUR: Final = re.compile(r"#L\s+\S+\s+\S+\s+d\S+\s+d\S+\s*$|#.*PDFgetN")
Kind = Literal["S(Q)", "S(Q)-1", "Q[S(Q)-1]", "F(Q)"]
#: PDFgetX3, N3 and S3 begin with their configuration, which names what is written.
_PDFGET3: Final = re.compile(r"version\s*=\s*(pdfget[xns]3)\b", re.IGNORECASE)
_OUTPUT: Final = re.compile(r"outputtype\s*=\s*(\w+)\s*$", re.IGNORECASE)
_OUTPUTS: Final = {"sq": "S(Q)", "fq": "Q[S(Q)-1]"}
_MCSTAS: Final = re.compile(r"#\s*column_(q|Sq)\s+([1-9])\b", re.IGNORECASE)


def _mcstas_columns(lines: list[str]) -> dict[str, int]:
    """Return the columns of Q and S(Q), counted from 0."""
    rows = filter(None, map(_MCSTAS.match, lines))
    return {row[1].lower(): int(row[2]) - 1 for row in rows}


def _q_factor(lines: list[str]) -> float:
    """Return the unit of Q that McStas' label names, in 1/angstrom; 1 by default.

    In free text a unit of Q in 1/nm is refused.
    """
    factor = 1.0
    for line in lines:
        row = _MCSTAS.match(line)
        rest = line[row.end() :].strip(" #:,()[]") if row else ""
        rest = rest.removeprefix("in ").strip(" ()[]")
        if row and rest and row[1].lower() == "q":
            units = read_units(rest, "1/angstrom")
            check(units, f"{line!r} is not in units of 1/angstrom")
            factor = convert_factor(str(units[0]), "1/angstrom", name=repr(line))
        elif row and rest:
            title = parse_title(f"S(Q) ({rest})", "static_structure_factor", "1")
            check(not (title.rest or title.units), f"{line!r} is not S(Q)")
        else:
            strange = line.startswith("#") and _PER_NM.search(line)
            check(not strange, f"{line!r}: Q must be in 1/angstrom")
    return factor


def _source(lines: list[str]) -> str | None:
    if lines and _GUDRUN.match(lines[0]):
        return "Gudrun"
    if len(_mcstas_columns(lines)) == 2:
        return "McStas"
    if any(map(_PDFGET3.match, lines)) and _output(lines):
        return "PDFgetX3"
    return "NOMAD" if any(map(_NOMAD.match, lines)) else None


def _lacks(lines: list[str]) -> str:
    """Return why a text is not S(Q) or F(Q): what else Gudrun has written."""
    other = _OTHER_GUDRUN.match("".join(lines[:1]))
    if other:
        return (
            f"it is Gudrun's {other[1]}, whose F(Q) is in the .mint01; "
            "engine='total_scattering', kind='F(Q)' reads it as F(Q)"
        )
    return "no comment names Gudrun's .mint01, PDFgetX3 or a column S(Q)"


def _output(lines: list[str]) -> str | None:
    """Return what PDFgetX3 has written: sq, fq, gr or iq."""
    found = {row[1].lower() for row in map(_OUTPUT.match, lines) if row}
    return found.pop() if len(found) == 1 else None


FORMAT = Format(
    "total scattering text",
    "text",
    _source,
    _lacks,
    resembles=r"(?i)^#[ \t]*column_(?:q|Sq)\b|\A#[ \t]*\S+\.m[a-z]{2,5}\d\d[ \t]*$",
    is_table=True,
    strict=False,
    guide=Guide(
        "neutrons",
        "Gudrun `.mint01`, NOMAD, McStas `.qSq`, PDFgetN, PDFgetX, RMCProfile",
        "F(Q), which tends to 0, or S(Q), which tends to 1; `composition=` makes "
        "[S(Q) of F(Q)](files_columns.md#total-scattering); rows of zeros become NaN; "
        'a header that does not name the function: `engine="total_scattering", kind=`',
        'sq = xbp.open_dataset("glass.mint01", composition="SiO2").Sq\n'
        'sq.bp.to_radial_distribution("10 Å", number_density="0.066 1/Å^3")',
        asks=("kind", "composition"),
        extra="neutron",
    ),
)


@FORMAT.reader
def open_total_scattering(
    path: Path,
    lines: list[str],
    *,
    kind: Kind | None = None,
    units: str = "barn",
    per: Literal["atom", "formula unit"] = "atom",
    b_mean_squared: Any = None,
    composition: str | Mapping[str, float] | None = None,
    T: Any = None,
    lowest: float | None = -0.05,
    tail: tuple[float, float] | None = (0.5, 2.0),
    check_titles: bool = True,
) -> xr.Dataset:
    r"""Read the total scattering of a liquid or glass.

    .. math:: S(Q) = 1 + \frac{F(Q)}{\langle b\rangle^2}, \quad
              S(Q) \ge 1 - \frac{\langle b^2\rangle}{\langle b\rangle^2}

    is Faber and Ziman's S(Q), for F(Q) without self scattering, as Gudrun writes it.
    The bound is 0 if all scattering lengths are equal.

    Parameters
    ----------
    path : path-like
        Comments, then Q (1/angstrom), value and, in a third column, its standard
        deviation.
    kind : {"S(Q)", "S(Q)-1", "Q[S(Q)-1]", "F(Q)"}, optional
        What the second column is, if the header is not that of Gudrun, NOMAD, McStas or
        PDFgetX3, with ``engine="total_scattering"``. F(Q) is ⟨b⟩² [S(Q) - 1]; that of
        PDFgetX3 is Q[S(Q) - 1].
    units : str
        Of F(Q), not in the file: "barn" (per steradian and atom) without a
        normalisation, "1" where it was divided by ⟨b⟩².
    per : {"atom", "formula unit"}
        What F(Q) in barn is divided by; a formula unit needs `composition`.
    b_mean_squared : scalar with units, optional
        ⟨b⟩² of the sample, in `units` if it is a bare number. With it Gudrun's F(Q) → 0
        becomes the Faber-Ziman S(Q) → 1.
    composition : str or mapping of str to float, optional
        ``"SiO2"`` or ``{"Si": 1, "O": 2}``: ⟨b⟩² follows from the tables, instead of
        `b_mean_squared`.
    T : scalar with units, optional
        Temperature of the sample; a bare number is in K.
    lowest : float, optional
        An S(Q) of the file that falls below it by more than five standard deviations is
        refused: it is S(Q) - 1, F(Q) or the like. Lower it where scattering lengths
        have both signs; None: no limit.
    tail : pair of float, optional
        An S(Q) that is negative somewhere and whose mean over the upper third of Q is
        outside these bounds is S(Q) - 1 or the like, and refused, unless `lowest` is
        below -0.05. None: no limit.
    check_titles : bool
        Whether column titles of another function or unit are refused.

    Returns
    -------
    xarray.Dataset
        ``FQ(Q)``, the interference function that tends to 0, of Gudrun; ``Sq(Q)`` of
        NOMAD and McStas, or where `b_mean_squared` or `composition` is given; with its
        standard deviation. Rows of zeros at both ends, with which Gudrun fills its
        grid, are NaN, and so are infinities, sentinels and values with negative errors.

    Raises
    ------
    FileFormatError
        If the file is truncated or of another kind.
    UnitsError
        If `units` are not those of an F(Q).
    RangeError
        If S(Q) is negative under `kind`; if ⟨b⟩² is not positive, or given for an S(Q);
        if S(Q) falls below its bound by more than five standard deviations and 0.05,
        for then ⟨b⟩² is too small for this F(Q). One that is too large makes S(Q) flat,
        and is not detected.
    QuantityError
        If `kind` is needed, or contradicts the header; if both `b_mean_squared` and
        `composition` are given, or the composition cannot be read.

    References
    ----------
    V. F. Sears, Neutron News 3(3), 26 (1992): scattering lengths.
    D. A. Keen, J. Appl. Cryst. 34, 172 (2001), doi:10.1107/S0021889800019993: F(Q), its
    Eq. 8, and the Faber-Ziman normalisation.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.txt")
    ...     rows = "# Q S(Q) error", "1.0 0.5 0.1", "2.0 1.5 0.1"
    ...     _ = path.write_text(chr(10).join(rows) + chr(10))
    ...     Sq = open_total_scattering(path).Sq
    >>> Sq.values, Sq.Q.attrs["units"]
    (array([0.5, 1.5]), '1/angstrom')
    """
    units = value_units(units, "interference_function", name="units")
    source = _source(lines)
    named = {"Gudrun": "F(Q)", "McStas": "S(Q)", "NOMAD": "S(Q)"}.get(str(source), kind)
    if source == "PDFgetX3":
        output = str(_output(lines))
        check(
            output in _OUTPUTS,
            f"it is {output!r} of PDFgetX3, not 'sq' or 'fq': write S(Q) or F(Q)",
        )
        named = _OUTPUTS[output]
    if named is None or kind not in (None, named):
        does = f"states that it is {named}" if source else "does not state its function"
        kinds = ", ".join(map(repr, get_args(Kind)))
        asked = f"kind= one of {kinds}; composition= to make S(Q) of F(Q)"
        fix = "leave kind= out" if source else asked
        raise QuantityError(f"{path} {does}", fix=fix)
    unnamed = source is None and not _OTHER_GUDRUN.match(lines[0])
    foreign = named_format(lines) if unnamed else None
    check(foreign is None, str(foreign))
    lines = [line.strip() for line in lines]
    start = [i for i, line in enumerate(lines) if _START.match(line)]
    header, lines = lines, lines[start[-1] :] if start else lines
    rows = [line for line in lines if line and not line.startswith("#")]
    if source == "Gudrun":
        _require_announced(lines, rows)
    # Some programs begin with the number of rows, RMCProfile with a title below it.
    for above in (1, 2):
        rows = rows[above:] if rows and rows[0] == str(len(rows) - above) else rows
    sizes = {len(row.split()) for row in rows}
    four = sizes == {4} and any(map(_FOUR.match, header))
    check(sizes in ({2}, {3}) or four, "its rows do not have two or three columns")
    (n_columns,) = sizes
    if source == "NOMAD":
        first = next(i for i, line in enumerate(lines) if line[:1] not in ("", "#"))
        titles = column_titles(lines, first, n_columns)
        labels = Labels("static_structure_factor", "1", "Q", "1/angstrom")
        if check_titles:
            require_titles(path.name, lines[:first], titles, labels)
        known = n_columns == 2 or third_is_an_error(titles)
        check(known, f"the third title of {titles!r} is not that of an error")
    table = to_numbers(rows, "the table").reshape(-1, n_columns)
    if source == "McStas":
        columns = _mcstas_columns(lines)
        last = max(columns.values()) + 1
        check(
            last <= n_columns,
            f"its header refers to column {last}, but there are {n_columns}",
        )
        table = table[:, [columns["q"], columns["sq"]]]
    table = table[:, [0, 1, 3]] if four else table
    Q, values, *errors = table.T
    Q = Q * (_q_factor(lines) if source != "NOMAD" else 1.0)
    # Gudrun fills its grid with zeros at both ends.
    counted = np.flatnonzero((table[:, 1:] != 0).any(axis=1))
    check(counted.size, "all of its values are zero")
    place = np.arange(values.size)
    outside = (place < counted[0]) | (place > counted[-1])
    values, std = measured(values, *errors, mask=outside)
    is_F = named == "F(Q)"
    quantity = "interference_function" if is_F else "static_structure_factor"
    low = float(np.nanmin(values))
    if named in ("S(Q)-1", "Q[S(Q)-1]"):
        divisor = np.where(Q > 0, Q, np.nan) if named != "S(Q)-1" else np.ones_like(Q)
        values, std = 1 + values / divisor, None if std is None else std / divisor
    about = path.name if source else f"{path.name}, whose minimum is {low:.4g},"
    about += f" with kind={kind!r}" if kind else ""
    require_normalization(about, quantity, values, std, lowest=lowest, tail=tail)
    how = {"source": f"total scattering file {path.name}"}
    title = "".join(lines[1:2]).strip("# ") if source == "Gudrun" else ""
    if per == "formula unit":
        if composition is None:
            raise QuantityError(f"per={per!r} needs composition=")
        n_atoms = sum(numbers_of(composition).values())
        values, std = values / n_atoms, None if std is None else std / n_atoms
        how["normalization"] = f"per atom, from per formula unit of {n_atoms:g} atoms"
    if b_mean_squared is not None or composition is not None:
        given = {"b_mean_squared": b_mean_squared, "composition": composition}
        if not is_F:
            what = next(
                f"{k}={value!r}" for k, value in given.items() if value is not None
            )
            raise RangeError(f"{what} is not used: S(Q) of {path.name} is normalised")
        level, square = _levels(b_mean_squared, composition, units)
        least = f"{float(np.nanmin(values)):.4g} {units} per atom"
        values, std = 1 + values / level, None if std is None else std / level
        _require_bound(values, std, level, square, units, composition, least)
        quantity = "static_structure_factor"
        how["normalization"] = f"Faber-Ziman, 1 + F(Q)/({level:.6g} {units})"
        used = {
            "units": units,
            "b_mean_squared": f"{level:.10g} {units}",
            "composition": composition,
        }
        how["history"] = extend_history(None, "open_total_scattering", used)
        if isinstance(composition, Mapping):
            composition = " ".join(f"{name}{n:g}" for name, n in composition.items())
        how |= {} if composition is None else {"composition": composition}
    ds = new_dataset(
        quantity,
        values,
        std=std,
        units=units if quantity == "interference_function" else "1",
        coords={"Q": (Q, "1/angstrom")},
        temperature=T,
        attrs=({"title": title} if title else {}) | how,
    )
    # A DataArray loses the attributes of its Dataset.
    ds[QUANTITIES[quantity].variable].attrs.update(how)
    return ds


def _require_announced(lines: list[str], rows: list[str]) -> None:
    """Refuse fewer rows than Gudrun announces, except where the first were taken out.

    Its Q are 0, and from half a step on equally spaced.
    """
    announced = re.match(r"#\s*\d+\s+(\d+)\s*$", "".join(lines[2:3]))
    missing = int(announced[1]) - len(rows) if announced else 0
    if missing > 0 and len(rows) > 1:
        first, second = to_numbers((row.split()[0] for row in rows[:2]), "Q")
        missing -= round(first / (second - first) + 0.5) if second > first else 0
    check(missing == 0, f"it has {len(rows)} rows, not as announced")


def _levels(
    b_mean_squared: Any, composition: str | Mapping[str, float] | None, units: str
) -> tuple[float, float | None]:
    """Return ⟨b⟩², and ⟨b²⟩ if it is known, in the units of F(Q)."""
    at_most_one(b_mean_squared=b_mean_squared, composition=composition)
    if composition is None:
        return require_positive(b_mean_squared, "b_mean_squared", units), None
    if parse_unit(units).dimensionless:
        raise QuantityError(
            f"composition={composition!r} does not go with units={units!r}",
            reason="an F(Q) without units was already divided by ⟨b⟩²",
            fix="b_mean_squared=1, or units='barn'",
        )
    mean, square = mean_scattering_lengths(composition)
    factor = convert_factor("fm^2", units, name="⟨b⟩²")
    # Lengths are known to about 0.01 fm, of some 5 fm.
    if not mean > 1e-3 * square:
        raise QuantityError(
            f"⟨b⟩² of composition={composition!r} is 0 within the digits of b: "
            "F(Q) has no S(Q)",
            fix="leave composition= out, or pass b_mean_squared=",
        )
    return mean * factor, square * factor


def _require_bound(
    values: np.ndarray,
    std: np.ndarray | None,
    level: float,
    square: float | None,
    units: str,
    composition: str | Mapping[str, float] | None,
    least: str,
) -> None:
    """Refuse an S(Q) with a negative intensity, F(Q) + ⟨b²⟩."""
    bound = 0.0 if square is None else 1 - square / level
    below = bound - values - (0.0 if std is None else 5 * std)
    # Errors are those of the counts alone: F(Q) is hardly ever on a better scale.
    if not np.nanmax(below) > 0.05:
        return
    # Rounded up, to four digits.
    lowest = float(np.nanmin(values))
    exact = (1 - lowest) * level
    digit = 10.0 ** (np.floor(np.log10(exact)) - 3)
    needed = float(np.ceil(exact / digit) * digit)
    what, symbol = f"b_mean_squared={level:.6g} {units}", "⟨b⟩²"
    fix = "composition='SiO2' gives ⟨b⟩²"
    if square is not None:
        what = f"⟨b⟩²={level:.6g} {units} of composition={composition!r}"
        fix, symbol = "pass isotopes, {'62-Ni': 66, 'B': 34}", "⟨b²⟩"
    raise RangeError(
        f"{what} is too small for this F(Q), whose minimum is {least}: S(Q) falls to "
        f"{lowest:.3g}",
        reason=f"S(Q) is at least {bound:.3g}, {symbol} at least {needed:g} {units}",
        fix=f"{fix}; units='1', b_mean_squared=1 if F(Q) was divided by ⟨b⟩²",
    )


def require_normalization(
    name: str,
    quantity: str,
    values: np.ndarray,
    std: np.ndarray | None,
    *,
    lowest: float | None = -0.05,
    tail: tuple[float, float] | None = (0.5, 2.0),
) -> None:
    r"""Refuse values that cannot be the labelled function.

    S(Q) is a normalised intensity and never negative, and tends to 1, whereas S(Q) − 1,
    F(Q) and Q[S(Q) − 1] are, and tend to 0. g(r) tends to 1, whereas g(r) − 1 and G(r)
    tend to 0, and T(r) and the radial distribution function grow. F(Q) oscillates about
    0.

    Parameters
    ----------
    name : str
        Name of the file, for the message.
    quantity : str
        Name in the vocabulary; only these three are checked.
    values, std : numpy.ndarray
        Over an ascending axis; NaN are left out.
    lowest : float, optional
        S(Q) may fall to it, or below it by up to five standard deviations. None: no
        limit.
    tail : pair of float, optional
        Bounds on the mean of g(r) over the upper third of its points, and on that of an
        S(Q) that is negative somewhere, unless `lowest` allows less than -0.05, as for
        partial S(Q). None: no limit.

    Raises
    ------
    RangeError
        If a value is impossible for the function.

    Examples
    --------
    >>> values = np.array([-0.9, 0.5, 0.1])
    >>> require_normalization("a.txt", "static_structure_factor", values, None)
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: ...
    """
    known = np.isfinite(values)
    if not known.any():
        return
    numbers, least = values[known], float(values[known].min())
    upper = numbers[-max(1, numbers.size // 3) :]
    mean = float(upper.mean())
    outside = tail is not None and not tail[0] <= mean <= tail[1]
    level = f"has a mean of {mean:.4g} over the upper third"
    found = None
    if quantity == "static_structure_factor" and lowest is not None:
        error = np.zeros_like(numbers) if std is None else np.nan_to_num(std[known])
        if (numbers + 5 * error < lowest).any():
            found = (
                f"S(Q) falls to {least:.4g}, but cannot be negative",
                "quantity='interference_function' for F(Q); "
                f"lowest={np.floor(least * 10) / 10:.1f} for a partial S(Q)",
            )
        elif outside and -0.05 <= lowest <= least < 0:
            found = (
                f"S(Q) {level}, not 1, and is negative elsewhere, as S(Q) - 1 is",
                "convert it; tail=None if Q ends before S(Q) reaches 1",
            )
    elif quantity == "radial_distribution" and outside:
        found = (
            f"g(r) {level}, not 1",
            "convert it; tail=None if r ends before g(r) reaches 1",
        )
    elif quantity == "interference_function" and least >= 0 and upper.std() < mean / 4:
        found = (
            f"F(Q) {level}, not 0",
            "quantity='static_structure_factor'",
        )
    if found is not None:
        raise RangeError(f"{name}: {found[0]}", fix=found[1])


TotalScatteringBackend = FORMAT.backend()
