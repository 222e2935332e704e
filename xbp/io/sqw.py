"""S(q,ω) text of McStas ``Isotropic_Sqw`` and iFit (``.sqw``), in and out."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, RangeError, UnitsError
from xbp.core.operation import operation
from xbp.core.signal import extend_history, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import (
    convert_factor,
    format_unit,
    is_energy_like,
    magnitude,
    parse_unit,
    to_kelvin,
    values_in,
)
from xbp.io.grammar import read_units
from xbp.io.guide import Guide, example
from xbp.io.masks import measured
from xbp.io.reader import Format, density_per_mev
from xbp.io.text import check, number, to_numbers, translated, write_text
from xbp.reduction import convert

__all__ = ["FORMAT", "SqwBackend", "open_sqw", "to_sqw"]

#: Physical parameters of the header that are kept as attributes, under their names in
#: the format.
PARAMETERS: Final = {
    "V_rho": "atom density per Angs^3",
    "density": "in [g/cm^3]",
    "weight": "in [g/mol]",
    "sigma_abs": "absorption scattering cross section in [barn]",
    "sigma_coh": "coherent scattering cross section in [barn]",
    "sigma_inc": "incoherent scattering cross section in [barn]",
    "v_sound": "in [m/s]",
}
#: Their units.
_UNITS: Final = {"V_rho": "1/angstrom^3", "density": "g/cm^3", "weight": "g/mol"} | {
    "sigma_abs": "barn", "sigma_coh": "barn", "sigma_inc": "barn", "v_sound": "m/s"
}  # fmt: skip
_PARAMETER: Final = re.compile(
    r"#\s*([A-Za-z_]+)\s*[:=]?\s+([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\s|$)"
)
_FIRST_LINE: Final = re.compile(r"#.*\bsqw\b", re.IGNORECASE)
#: S(q,−w) = S(q,w), as of classical data.
_SYMMETRISED: Final = re.compile(
    r"(?i)(?<!not )(?<!non)(?<!non-)(?<!un)\bsymmetri[sz]ed\b(?!\W*(?:0|no|false)\b)"
)
_CLASSICAL: Final = re.compile(r"(?i)#\s*classical\s*[:=]?\s+([-+]?(?:\d|inf|nan)\S*)")
#: How comments write an angstrom, and what stands before a slash and a unit.
_ANGSTROM: Final = re.compile(
    r"(?<![A-Za-z])(?:Angs?|Angst|AA|Angstr(?:o|oe|ö)ms?)(?![a-z])"
)
_SYMBOL: Final = re.compile(r"(?i)^(?:[hħ]?[wωe]|omega|energy|freq\w*)/")
_ENERGIES: Final = {"thz": "THz", "wavenumber": "1/cm", "wavenumbers": "1/cm"}
#: Units that cannot be converted, and powers of ten, which might belong to one.
_NO_ENERGY: Final = re.compile(r"(?i)\bkelvins?\b|\bk?J/mol|\bkcal|\b10\^-?\d")
_NO_MOMENTUM: Final = re.compile(
    r"(?i)\br\.?l\.?u\b|\breciprocal lattice|\b2\s*(?:pi|π)\s*/\s*\w|\b10\^-?\d"
)
#: Functions of S, and axes of the other sign.
_OTHER_MATRIX: Final = re.compile(
    r"\b(?:log(?:_?10)?|ln|lg|sqrt|times|chi)(?![a-z])|[*×]\s*\d|''|χ|suscept"
    r"|/\s*\(?n\b",
    re.IGNORECASE,
)
_OTHER_SIGN: Final = re.compile(r"(?i)energy gain|-\s*(?:h?w|ω|omega|energy)\b")
#: One unit in another is not the unit of the axis.
_EQUATION: Final = re.compile(r"[\d.]+\s*\S+\s*=\s*[\d.]+\s*[^\s,;()]+")


def _find(lines: list[str]) -> bool:
    return bool(_FIRST_LINE.match(next(filter(str.strip, lines), "").strip()))


FORMAT = Format(
    "S(q,ω) text",
    "text",
    _find,
    "its first line is not a comment with 'Sqw'",
    resembles=r"(?i)\A\s*#.*\bsqw data"
    r"|^#[ \t]*(?:vector of|[qw] axis values|matrix of S)",
    guide=Guide(
        "neutrons",
        "McStas, iFit, xbp: `.sqw` text",
        "S(Q,E), T, density, cross sections; `classical` 0 or 1 is `statistics` "
        "quantum or classical; the scale is its author's, not always ∫S dE → 1",
        example("S", '"glass.sqw"'),
        asks=("filler",),
    ),
)


@FORMAT.reader
def open_sqw(
    path: Path, lines: list[str], *, T: Any = None, filler: Any = None
) -> xr.Dataset:
    """Read a McStas or iFit S(q,ω) file.

    Parameters
    ----------
    path : path-like
        Text with comments, and the vector of q (1/angstrom), that of ω (meV) and the
        matrix, one line per q. Units that the comment above a vector names, such as THz
        or 1/nm, are converted, and S with them, unless the comment above the matrix
        names other units, such as 1/eV.
    T : scalar with units, optional
        Temperature of the sample, instead of that of the header; a bare number is in K.
        In the header it is in K unless it names other units there, such as [degC].
    filler : scalar with units, optional
        The number that marks bins that were not measured (bare: per meV). Bins with it,
        to a part in a million, are NaN; others are kept, however small. The format has
        no other mark; ``print(data.bp)`` shows a lowest number that many bins have.
        Several bins with the same negative number, far below all others, need it:
        ``filler=-999``, or ``filler=False`` if they were measured.

    Returns
    -------
    xarray.Dataset
        ``S(Q, E)`` per meV, NaN where it is infinite or a sentinel, without standard
        deviations, at the energies of the file (often E ≥ 0 alone, energy loss). Its
        statistics are "classical" or "quantum" as ``classical`` is 1 or 0 in the
        header, and left out where the header does not say. If a physical parameter
        other than the temperature is given twice, the first is kept. Parameters are
        attributes, of the variable too, under the names of the format: ``V_rho`` (atoms
        per angstrom³), ``density`` (g/cm³), ``weight`` (g/mol), ``sigma_abs``,
        ``sigma_coh``, ``sigma_inc`` (barn), ``v_sound`` (m/s); what the header has
        before is ``comment``.

    Raises
    ------
    FileFormatError
        If the file is truncated or of another kind, or transposed; if its header gives
        two temperatures, statistics or units of an axis, or unknown ones.
    RangeError
        If no bin has the filler, or all do, or it must be given.

    References
    ----------
    E. Farhi, V. Hugouvieux, M. R. Johnson, W. Kob, J. Comput. Phys. 228, 5251 (2009),
    doi:10.1016/j.jcp.2009.04.006.

    Examples
    --------
    >>> import tempfile, xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md")[["S"]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     S.bp.to_sqw(f"{folder}/glass.sqw")
    ...     back = open_sqw(f"{folder}/glass.sqw")
    >>> bool((back.S == S.S).all()), back.S.attrs["statistics"]
    (True, 'classical')
    """
    comments: list[str] = []
    blocks: list[list[str]] = []
    factors: list[float] = []
    previous, units, seen = "", "1", 0
    for line in filter(None, map(str.strip, lines)):
        if line.startswith("#"):
            comments.append(line)
        else:
            if not blocks or previous.startswith("#"):
                above = _above(comments[seen:])
                if len(blocks) < 2:
                    unit = ("1/angstrom", "meV")[len(blocks)]
                    factors.append(_factor(above, unit))
                elif len(blocks) == 2:
                    units = _density_units(above)
                seen = len(comments)
                blocks.append([])
            blocks[-1].append(line)
        previous = line
    check(len(blocks) > 2, "it needs q, w and S(q,w), each below a comment")
    q = to_numbers(blocks[0], "the vector of q") * factors[0]
    w = to_numbers(blocks[1], "the vector of w") * factors[1]
    matrix = [line for block in blocks[2:] for line in block]
    _require_rows([len(line.split()) for line in matrix], q.size, w.size)
    values, _ = measured(to_numbers(matrix, "S(q,w)", size=q.size * w.size))
    values, _, units = density_per_mev(values, None, axis=factors[1], units=units)
    values, doubts, history = _without_filler(values, filler)
    rows = filter(None, map(_PARAMETER.match, reversed(comments)))
    found = {row[1].lower(): row for row in rows}  # the first of each
    words = {m[1] for m in map(_CLASSICAL.match, comments) if m}
    kinds: dict[Any, str] = {0.0: "quantum", 1.0: "classical"}
    stated = {kinds.get(number(word)) for word in words}
    unclear = f"'classical {' and '.join(sorted(words))}' is not 0 or 1"
    check(len(stated) < 2 and None not in stated, unclear)
    statistics = stated.pop() if stated else None
    symmetric = next(filter(None, map(_SYMMETRISED.search, comments)), None)
    both = statistics != "quantum" or symmetric is None
    check(both, f"'classical 0' contradicts {symmetric and symmetric.string[:60]!r}")
    known: dict[str, Any] = {
        name: _parameter(found[name.lower()], _UNITS[name])
        for name in PARAMETERS
        if name.lower() in found
    }
    known |= {"source": f"S(q,w) text file {path.name}"} | history
    comment = "\n".join(line.lstrip("# ") for line in _before_parameters(comments))
    ds = new_dataset(
        "dynamic_structure_factor",
        values.reshape(q.size, w.size),
        units="1/meV" if units == "1" else units,
        coords={"Q": (q, "1/angstrom"), "E": (w, "meV")},
        temperature=_temperature(path, comments) if T is None else T,
        statistics=statistics or "unknown",
        attrs=known | ({"comment": comment} if comment else {}),
    )
    # A DataArray loses the attributes of its Dataset.
    ds.S.attrs.update(known | diagnosed({}, *doubts))
    return ds


def _parameter(row: re.Match[str], canonical: str) -> float:
    """Return a parameter of the header in its canonical units."""
    rest = _ANGSTROM.sub("angstrom", row.string[row.end() :])
    unit = re.search(r"\[\s*([^\]]*?)\s*\]|\bper (\S+)", rest)
    readings = read_units(unit[1] or f"1/{unit[2]}", canonical) if unit else []
    factors = [
        convert_factor(str(u), canonical)
        for u in readings
        if u.is_compatible_with(canonical)
    ]
    known = factors or not readings
    check(known, f"{row.string!r} is not in units of {canonical}")
    return float(row[2]) * (factors[0] if factors else 1.0)


def _temperature(path: Path, comments: list[str]) -> float | None:
    """Return the temperature of the header in K; None if it has none."""
    found: dict[str, float] = {}
    for line, match in ((line, _PARAMETER.match(line)) for line in comments):
        if match is None or match[1].lower() not in ("temperature", "t"):
            continue
        rest, row = line[match.end() :].strip(), line.lstrip("# ")
        # A unit is in brackets, is spelled out, or follows the number; other words need
        # not be one.
        unit = (
            re.search(r"\[\s*([^\]]*?)\s*\]", rest)
            or re.search(r"\b(celsius|fahrenheit)\b", rest.lower())
            or re.fullmatch(r"(?:in\s+)?(\S+)", rest)
            or re.match(r"(?:in\s+)?(?:deg\s+)?([KCF])\b", rest)
        )
        with translated(f"{path} has {row!r}", UnitsError, fix="pass T='300 K'"):
            units = unit[1] if unit else "K"
            found[row] = float(to_kelvin(float(match[2]), units, name="Temperature"))
    values = list(found.values())
    same = np.allclose(values, values[:1] or 0.0, rtol=1e-6, atol=0.0)
    stated = " and ".join(f"{value:g} K" for value in values)
    check(same, f"{', '.join(map(repr, found))}: these are {stated}; pass T=")
    return values[0] if values else None


def _above(comments: list[str]) -> list[str]:
    """Return the last two comments that describe a vector, not the sample."""
    return [line for line in comments[-2:] if not _PARAMETER.match(line)]


def _factor(comments: list[str], canonical: str) -> float:
    """Return the unit that comments name in canonical ones; 1 if they name none."""
    energy = canonical == "meV"
    factors: dict[str, float] = {}
    comments = [re.sub(r"(?i)\b(milli|micro|nano)[- ]e", r"\1e", c) for c in comments]
    last = comments[-1] if comments else ""
    placed = re.findall(r"(?:\[|\bin\s+\[?)([^\s\[\],:;()]+)", last)
    text = _EQUATION.sub(" ", " ".join(comments))
    reversed_ = _OTHER_SIGN.search(text) if energy else None
    check(not reversed_, f"its energies have the opposite sign: {text[:60]!r}")
    strange = (_NO_ENERGY if energy else _NO_MOMENTUM).search(text)
    check(not strange, f"{strange and strange[0]!r} does not convert to '{canonical}'")
    for word in [*placed, *re.split(r"[\s\[\](){},:;=#]+", text)]:
        unit = _ANGSTROM.sub("angstrom", word.strip("."))
        unit = _SYMBOL.sub("", unit) if energy else unit.removeprefix("q/")
        if energy:
            unit = _ENERGIES.get(unit.lower(), unit)
        if len(unit) > 6 and unit[1:].islower():
            unit = unit.lower()  # Terahertz
        try:
            parsed = parse_unit(unit, like=canonical)
        except UnitsError:
            continue  # a word that is not a unit
        # Other words need not be one: "a", "of", "vector".
        own = is_energy_like(parsed) if energy else parsed.is_compatible_with(canonical)
        if word not in placed and (not own or len(unit) < 2):
            continue
        with translated(f"'{word}' does not convert to '{canonical}'", UnitsError):
            factors[word] = convert_factor(unit, canonical, energy=energy)
    values = list(factors.values()) or [1.0]
    same = np.allclose(values, values[0], rtol=1e-6, atol=0.0)
    check(same, f"its comment names {' and '.join(factors)}")
    return values[0]


def _density_units(comments: list[str]) -> str:
    """Return the units of S that comments name, such as 1/eV; "1" if they name none."""
    text = " ".join(comments)
    function = _OTHER_MATRIX.search(text)
    check(not function, f"its matrix is not S(q,w), but {text[:60]!r}")
    words = [w for w in re.split(r"[\s\[\](){},:;=#]+", text) if re.search(r"/|-1", w)]
    found = {
        format_unit(unit)
        for unit in (u for word in words for u in read_units(word, "1"))
        if any(map(is_energy_like, (unit**-1, parse_unit("barn") / unit)))
    }
    check(len(found) < 2, f"its matrix is in {' and in '.join(found)}")
    return found.pop() if found else "1"


def _require_rows(sizes: list[int], n_q: int, n_w: int) -> None:
    """Refuse a matrix whose rows do not end at the ends of lines.

    Raises
    ------
    ValueError
        If it is transposed, with one line per energy, or cut at other places.
    """
    ends = {0, *np.cumsum(sizes).tolist()}
    transposed = n_q > 1 and sizes == [n_q] * n_w and n_q != n_w
    complete = len(sizes) == 1 or ends >= {n_w * i for i in range(n_q + 1)}
    check(
        sum(sizes) != n_q * n_w or (complete and not transposed),
        f"S(q,w) has {len(sizes)} lines of {sizes[0]} numbers where {n_q} lines of "
        f"{n_w} are needed, one per q",
    )


def _without_filler(
    values: np.ndarray, filler: Any
) -> tuple[np.ndarray, list[Diagnostic], dict[str, str]]:
    """Set bins with the filler to NaN, and record how many; find one not given.

    Raises
    ------
    RangeError
        If no bin has it, or all; if one negative number is far below all others.
    """
    known = values[np.isfinite(values)]
    lowest = float(known.min())
    n_lowest = int((known == lowest).sum())
    if filler is None:
        others = known[known > lowest]
        far = lowest < 2 * others.min(initial=np.inf)
        noise = -lowest <= 0.01 * others.max(initial=0.0)
        if lowest < 0 and n_lowest > 1 and others.size and far and not noise:
            raise RangeError(
                f"S is {lowest:g} in {n_lowest} bins, and at least {others.min():g} "
                "elsewhere",
                reason="S cannot be negative",
                fix=f"pass filler={lowest:g}, or filler=False if it was measured",
            )
        return values, _repeated_lowest(values), {}
    if filler is False:
        return values, [], {}
    marker = magnitude(filler, "1/meV", name="filler")
    same = np.isclose(values, marker, rtol=1e-6, atol=0.0)
    if not same.any() or same.all():
        raise RangeError(
            f"filler={filler!r} is in {'all' if same.any() else 'none'} of the bins",
            reason=f"the lowest number of the file is {lowest:.8g}, in {n_lowest} bins",
            fix="pass all digits of the number",
        )
    bins = f"{int(same.sum())} of {values.size} made NaN"
    used = {"filler": f"{marker:.10g} 1/meV", "bins": bins}
    history = {"history": extend_history(None, "open_sqw", used)}
    return np.where(same, np.nan, values), [], history


def _repeated_lowest(values: np.ndarray) -> list[Diagnostic]:
    """Find one number, far below all others, in many bins: not measured, perhaps."""
    known = values[np.isfinite(values) & (values != 0)]
    lowest = float(known.min(initial=np.inf))
    part = int((known == lowest).sum()) / max(values.size, 1)
    if not 0 < lowest < 1e-4 * float(known.max(initial=0.0)) or part < 0.05:
        return []
    text = f"{100 * part:.2g} % of the bins are {lowest:.8g}, the lowest value"
    fix = f"filler={lowest:.8g} makes them NaN if they were not measured"
    return [Diagnostic("repeated_lowest", "warning", text, fix)]


def _before_parameters(comments: list[str]) -> list[str]:
    lines = []
    for line in comments[1:]:
        ends = "parameters" in line.lower() or "vector" in line.lower()
        if ends or not line.strip("# ") or _PARAMETER.match(line):
            break
        lines.append(line)
    return lines


@operation(takes="dynamic_structure_factor")
def to_sqw(
    data: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write S(Q,E) as McStas ``Isotropic_Sqw`` and iFit read it.

    Every number is written with all its digits, so that `open_sqw` gives them back
    exactly. The format has no standard deviations and no history.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``S(Q, E)`` with the statistics known; other units of Q and E are converted to
        1/angstrom and meV. Of a Dataset the attributes that `open_sqw` sets go into the
        header.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        If there are further dimensions, NaN (which McStas would take for numbers), or
        the statistics are not known.
    FileFormatError
        If the file exists and `overwrite` is not given, or cannot be written.

    Examples
    --------
    >>> import tempfile, xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md")[["S"]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     xbp.to_sqw(S, f"{folder}/glass.sqw")
    ...     bool((xbp.open_dataset(f"{folder}/glass.sqw").S == S.S).all())
    True
    """
    converted: Any = convert(data, E="meV", Q="1/angstrom")  # type: ignore[type-var]
    signal = read(converted, "dynamic_structure_factor")
    value = signal.value
    statistics, missing = value.attrs.get("statistics"), int(value.isnull().sum())
    known = statistics in ("classical", "quantum")
    if set(value.dims) != {"Q", "E"} or missing or not known:
        raise QuantityError(
            f"'{value.name}' over {tuple(value.dims)} with statistics {statistics!r} "
            f"and {missing} NaN cannot be written as S(q,w) text",
            fix="data.S.attrs['statistics'] = 'quantum'; select bins without NaN",
        )
    attrs = signal.source.attrs if isinstance(signal.source, xr.Dataset) else {}
    comment = str(attrs.get("comment", "")).splitlines()
    lines = ["Sqw data file for Isotropic_Sqw", *comment, "", "Physical parameters:"]
    lines += [
        f"{name} {float(attrs[name])!r} {meaning}"
        for name, meaning in PARAMETERS.items()
        if name in attrs
    ]
    if "temperature" in value.coords:
        T = values_in(value.temperature, "K", name="temperature")
        lines.append(f"Temperature {float(T)!r} in [K]")
    lines.append(f"classical {int(statistics == 'classical')} {statistics}")
    lines = [f"# {line}".rstrip() for line in lines]
    S = value.transpose("Q", "E")
    shape = "x".join(map(str, S.shape))
    for name, rows in (
        ("vector of q in Angstroem-1", value.Q.values[np.newaxis]),
        ("vector of w in meV", value.E.values[np.newaxis]),
        (f"matrix of S(q,w), one line per q value, {shape}", S.values),
    ):
        numbers = rows.astype(float).tolist()
        lines += [f"# {name}", *(" ".join(map(repr, row)) for row in numbers)]
    write_text(path, [*lines, "# end of Sqw data"], overwrite=overwrite)


SqwBackend = FORMAT.backend()
