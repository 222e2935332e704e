"""The header of a table: titles of columns, remarks, their units."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pint

from xbp.core.errors import FileFormatError, QuantityError, UnitsError
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.core.units import convert_factor, format_unit, is_energy_like, parse_unit
from xbp.io.grammar import SUPERSCRIPTS, parse_title, read_units
from xbp.io.text import Table, is_ambiguous

__all__ = [
    "Labels",
    "column_titles",
    "require_titles",
    "third_is_an_error",
    "used_columns",
]

#: What to do where the titles are wrong, and the arguments are right.
_UNCHECKED: Final = "pass check_titles=False"
_TITLE: Final = re.compile(
    r"[^\s,;()\[\]]+(?:\s*(?:\([^()]*\)|\[[^\[\]]*(?:\([^()]*\)[^\[\]]*)?\])\S*)*"
)
#: Titles of two words.
_TWO_WORDS: Final = re.compile(
    r"\b(absolute|angular|raman|optical|heat|specific|delta|(?:log|ln|lg)(?= [teq]\b)"
    r"|neutron(?= energy)|energy(?= (?:gain|loss|transfer))) (?=\w)",
    re.IGNORECASE,
)
_ERROR: Final = re.compile(
    r"err|std|sig|unc|dev|esd|rms|noise|fehl|unsich|incert|fout|sem\b|s\.?d\.?\b|±"
    r"|\+/?-|σ|δ|^\W*[de]$|^\W*d\W?[a-z(]{1,3}|_e$|^e[_ ]",
    re.IGNORECASE,
)
#: A variance, several standard deviations, or an error in parts of the value.
_VARIANCE: Final = re.compile(
    r"^[2-9] ?[*x·]? ?(?:σ|sig|std|s\.?d)|var(?![a-z]*l)|σ\^?[2²]"
    r"|sig\w*\^?[2²]|%|\bk\s*=\s*[2-9]|\brel|percent|relative",
    re.IGNORECASE,
)
#: Lines of Grace and of phonopy that show that the third column is a second curve.
_SECOND_CURVE: Final = re.compile(
    r"@\s*s1\s|#\s*(?:Tetrahedron method|Sigma\s*=)", re.IGNORECASE
)
_ERRORS_OF_GRACE: Final = re.compile(r"@\s*type\s+xydy\b", re.IGNORECASE)
_WAVELENGTH: Final = re.compile(r"(?:wave ?length|lambda|λ)(?![a-z])", re.IGNORECASE)
#: Labels of the axes in Grace (.xvg of GROMACS), with a unit in brackets at the end.
_GRACE_AXIS: Final = re.compile(r'@\s*xaxis\s+label\s+".*\(([^()]+)\)\s*"')
_SINE: Final = re.compile(r"sin\s*\(?(?:theta|θ)\)?\s*/\s*(?:lambda|λ)", re.IGNORECASE)
#: Rows of LabSpec's header that give the units of the axis, and of Ocean Optics.
_LABSPEC_AXIS: Final = re.compile(
    r"#(?:Spectro \(([^)]+)\)|AxisUnit\[1\])=(?:\s*(\S+))?"
)
_OCEAN_AXIS: Final = re.compile(r"X-?Axis mode\s*:\s*(wavelength)", re.IGNORECASE)
_SUSCEPTIBILITY: Final = re.compile(
    r"susceptib|bose|(?<![a-z])(?:chi|χ)(?![a-z])|^reduced", re.IGNORECASE
)
#: Titles of other functions than the quantity.
_OTHERS: Final = {
    "static_structure_factor": re.compile(
        r"s\(q\)\s*-\s*1|q\s*[*.·]?\s*[\[(]\s*s\(?q?\)?\s*-\s*1|^[fih]\(q\)|^sq-1"
        r"|^fq?$",
        re.IGNORECASE,
    ),
    "radial_distribution": re.compile(
        r"^[GDT]\(?r?\)?$|g\(r\)\s*-\s*1|^h\(r\)|rdf$|r\(r\)|tdf|4\s*[πp]i?\s*r"
    ),
    "interference_function": re.compile(
        r"^s\(q\)$|^s$|^sq$|q\s*[*.·]?\s*[\[(]\s*s\(?q?\)?\s*-\s*1", re.IGNORECASE
    ),
    "raman_intensity": _SUSCEPTIBILITY,
    "dynamic_structure_factor": _SUSCEPTIBILITY,
}
#: Axes of the other sign, and powers of one.
_OTHER_AXIS: Final = re.compile(
    r"\be_?f\s*-\s*e_?i\b|^(?:neutron )?energy gain|^[a-zωνθ]\s?[²³⁴2-9](?!\w)",
    re.IGNORECASE,
)
#: Titles of values that are not in the vocabulary.
_FOREIGN: Final = re.compile(
    r"transmi(?:ttance|ssion)|absorb(?:ance|tion)|absorption|reflect(?:ance|ivity)"
    r"|optical density|extinction|derivative|cumulative|^int\w* .*\bd[a-zω]\b"
    r"|(?<![a-z])d\w*(?:\([^()]*\))?\s*/\s*d[a-z]",
    re.IGNORECASE,
)
#: What a first column is called, by its dimension; the last three cannot be read.
_AXES: Final = {
    "E": r"e|en|energy(?: (?:loss|transfer))?|energies|d(?:elta)? ?e|δe|w|hw|ħω|ω|ν|nu"
    r"|omega|freq\w*|wave ?numbers?|raman(?: shift)?|shift",
    "Q": r"q|k|momentum|wave ?vector",
    "temperature": r"t|k|temp|temperature",
    "time": r"t|time",
    "r": r"r|distance|radius",
    "wavelength": r"wave ?length|lambda|λ",
    "a scattering angle": r"two.?theta|2.?theta|2?θ|tth",
    "a lattice spacing": r"d|d.?spacing",
    "an absolute wavenumber": r"abs(?:olute|\.)?\s*(?:wave ?num\w*|freq\w*)|absolute",
}
#: Titles of a first column; other lines above a table are remarks with as many words.
_AXIS: Final = re.compile(
    rf"(?:{'|'.join(_AXES.values())}"
    r"|x|f|angular freq\w*|wave|log(?:_?10|_?2)?|ln|lg|10* ?/ ?[tqe]|neutron energy"
    r"|e_?f ?[-\u2212] ?e_?i"
    r"|[-\u2212](?:e|hw|w|ω|ħω))(?![a-z])",
    re.IGNORECASE,
)
#: The same, with a unit, before further words; and what these must contain.
_AXIS_ALONE: Final = re.compile(
    rf"((?:{'|'.join(_AXES.values())})(?:\s*[(\[][^()\[\]]*[)\]]|\s*/\s*\S+)?)"
    r"\s+(?=[^\s,;(\[])",
    re.IGNORECASE,
)
_LAST_WORD: Final = re.compile(
    r"(\S.*?)\s+((?:(?:rel\w*\.?|std\.?|standard|\+/?-|±|[2-9])\s+)?"
    r"\S+(?:\s*[(\[][^()\[\]]*[)\]])?)"
)
_A_VALUE: Final = re.compile(
    r"(?<![a-z])(?:[sicgbf]|chi|χ|v?dos|counts?|intensity|c_?[pv]|msd"
    r"|(?:specific )?heat(?: capacity)?)(?![a-z])",
    re.IGNORECASE,
)
#: Titles of values that may stand, by mistake, above the first column.
_VALUE: Final = re.compile(
    r"(?:(?:raman )?intensity|counts?|heat capacity|specific heat|[sicgb]|c_?[pv])"
    r"(?:\([^()]*\))?\s*(?:[(\[].*)?$",
    re.IGNORECASE,
)
#: Titles of columns that count rows; pandas writes none, or "Unnamed: 0".
_INDEX: Final = re.compile(
    r"|unnamed: ?0|ind(?:ex|\.)|idx|no\.?|nr\.?|number|point|pixel|channel|row|record",
    re.IGNORECASE,
)
#: Titles that name one quantity.
_VALUES: Final = {
    "dynamic_structure_factor": r"s\((?:\w,\s*)?[ewω]\w?\)",
    "static_structure_factor": r"s\(q\)$|^sq$",
    "interference_function": r"^[fi]\(q\)",
    "intermediate_scattering_function": r"[fi]\(q,\s*t\)",
    "radial_distribution": r"^g\(r\)|^rdf$",
    "vibrational_dos": r"^g\([eωwν]\)|dos(?![a-z])|density of (?:vibr\w+ )?states",
    "heat_capacity": r"^c_?[pv](?![a-z])|heat capacity|specific heat",
    "mean_square_displacement": r"^msd|mean.square",
    "raman_intensity": r"raman intensity",
}
#: One of Gudrun's comments is the name of its file of F(Q).
_GUDRUN: Final = re.compile(r"#\s*\S+\.(?:mint|mdor|mdcs)\d\d\s*$", re.IGNORECASE)
#: Remarks that the values were multiplied, or are logarithms.
_SCALED: Final = re.compile(
    r"\b(?:multiplied|divided|scaled)\b(?: by)?\s*[x×*]?\s*\d", re.IGNORECASE
)
_LOGARITHM: Final = re.compile(r"\b(?:log(?:10)?|ln)\s*\(|\blog10\b", re.IGNORECASE)
#: McStas numbers its columns.
_MCSTAS: Final = re.compile(r"#\s*column_(?:q\s+[02-9]|Sq\s+(?!2\b)\d)", re.IGNORECASE)
#: G(r) of PDFgetX and of others is 4πρr[g(r) − 1], in these units.
_PER_AREA: Final = re.compile(
    r"(?:Å|angstrom|\\AA|\bA|AA)[$\s{]*\^?[\s{]*(?:-|\u2212|⁻)\s*(?:2|²)", re.IGNORECASE
)


def column_titles(
    lines: Sequence[str], start: int, n_columns: int, first: re.Pattern[str] = _AXIS
) -> list[str] | None:
    """Return the titles of the columns, from the last line above that has as many.

    Parameters
    ----------
    lines : sequence of str
        The text.
    start : int
        Line of the first row, counted from 0.
    n_columns : int
        Columns of the rows.
    first : re.Pattern
        What the first title begins with.

    Examples
    --------
    >>> column_titles(["# E (meV)  S(Q,E) (1/meV)  error", "1 2 3"], 1, 3)
    ['E (meV)', 'S(Q,E) (1/meV)', 'error']
    >>> column_titles(["# measured in Grenoble", "1 2 3"], 1, 3) is None
    True
    """
    for line in reversed(lines[max(0, start - 5) : start]):
        bare = re.sub(r"^[#%!/\s]*(?:L\s)?", "", line).strip()
        outside = re.sub(r"[\(\[][^\)\]]*[\)\]]", "", bare)
        mark = next((mark for mark in ("\t", ";", ",") if mark in outside), None)
        ways = [bare.split(mark)]
        if mark in (None, ","):
            joined = _TWO_WORDS.sub(r"\1~", bare)
            ways = [re.split(r"\s{2,}", bare), *(ways if mark else ())]
            ways += [] if mark else map(_TITLE.findall, (bare, joined))
        above = line is lines[start - 1] and first is _AXIS
        if above and mark == "," and (split := _split_after_axis(bare, n_columns)):
            return split
        for words in ways:
            titles = [word.replace("~", " ").strip(' #"') for word in words]
            titles = [re.sub(r"^'(.*)'$", r"\1", title) for title in titles]
            titles = list(filter(None, titles))
            if len(titles) == n_columns and first.match(titles[0].lstrip("#")):
                return titles
        if above and mark is None:
            return _split_after_axis(bare, n_columns)
    return None


def _split_after_axis(line: str, n_columns: int) -> list[str] | None:
    """Return the titles of a line with more words: axis, value, and an error."""
    axis = _AXIS_ALONE.match(line)
    if axis is None or re.search(r"[=:?!]", line):
        return None
    titles = [axis[1], line[axis.end() :]]
    if n_columns == 3:
        last = _LAST_WORD.fullmatch(titles.pop())
        if last is None or not _ERROR.search(last[2]):
            return None
        titles += [last[1], last[2]]
    return titles if _A_VALUE.search(titles[1]) else None


def third_is_an_error(titles: Sequence[str] | None) -> bool:
    """Return whether a third column has no title, or that of an error.

    Examples
    --------
    >>> [third_is_an_error(t) for t in (None, ["E", "g", "dg"], ["E", "Zr", "Cu"])]
    [True, True, False]
    """
    return titles is None or (
        _VARIANCE.search(titles[2]) is None and _ERROR.search(titles[2]) is not None
    )


class Labels(NamedTuple):
    """What the columns of a table are to be read as."""

    quantity: str
    units: str
    dim: str
    coordinate_units: str


def require_titles(
    where: str, lines: Sequence[str], titles: Sequence[str] | None, labels: Labels
) -> None:
    """Refuse a header that names another quantity, axis or unit, or a function of them.

    Parameters
    ----------
    where : str
        Name of the file.
    lines : sequence of str
        The header.
    titles : sequence of str, optional
        Titles of the columns.
    labels : Labels
        What the columns are to be read as.

    Raises
    ------
    FileFormatError
        If the quantity or the axis differ.
    UnitsError
        If units differ.
    """
    for n in (2, 3) if titles is None else ():
        exchanged = column_titles(lines, len(lines), n, _VALUE) or []
        if any(_named(title, labels.dim) for title in exchanged[1:]):
            raise FileFormatError(
                f"{where}: the first column has the title {exchanged[0]!r}, not that "
                f"of {labels.dim}",
                fix=f"exchange the columns, or {_UNCHECKED}",
            )
    if titles is None and (index := _index(lines, labels.dim)) is not None:
        raise FileFormatError(
            f"{where}: the first column has the title {index!r}, not that of "
            f"{labels.dim}, which follows",
            fix=f"leave the first column out, or {_UNCHECKED}",
        )
    _refuse(where, _other_programs(lines, labels.quantity))
    _refuse(where, _remarks(lines, labels))
    rows = [row for row in map(_LABSPEC_AXIS.match, lines) if row is not None]
    for row in rows[-1:]:
        _require_units(where, f"{labels.dim} ({row[1] or row[2]})", labels, 0)
    for row in filter(None, map(_GRACE_AXIS.match, lines)):
        if read_units(row[1], COORDINATES[labels.dim][0]):
            _require_units(where, f"{labels.dim} ({row[1]})", labels, 0)
    for row in filter(None, map(_OCEAN_AXIS.match, lines)):
        _require_units(where, row[1], labels, 0)
    for column, title in enumerate(titles or ()):
        # dB beside B(E) is its error, not decibels.
        if column == 2 and re.match(rf"d{re.escape((titles or ())[1][:1])}\b", title):
            title = title[1:]
        _require_units(where, title, labels, column)
    if titles is not None:
        _refuse(where, _contradictions(titles, labels))


def _index(lines: Sequence[str], dim: str) -> str | None:
    """Return the title of a column of numbers of rows, before that of the axis."""
    for line in lines[-1:]:
        bare = re.sub(r"^[#%!/\s]+", "", line) if line[:1] not in ",;\t" else line
        mark = next((mark for mark in "\t;," if mark in bare), None)
        first, *others = (word.strip(" \"'\t") for word in bare.split(mark) or [""])
        if _INDEX.fullmatch(first) and any(_named(word, dim) for word in others):
            return first
    return None


def _named(title: str, dim: str) -> bool:
    """Return whether a title, without its unit, is that of an axis."""
    title = title.replace("_", " ")
    name = parse_title(title, dim, COORDINATES[dim][0]).name
    return re.fullmatch(_AXES.get(dim, dim), name, re.IGNORECASE) is not None


def _refuse(where: str, found: Iterator[tuple[str, str, str]]) -> None:
    for title, asked, what in found:
        raise FileFormatError(
            f"{where}: the header {title.strip()[:80]!r} names {what}, not {asked}",
            fix=f"convert the numbers, or {_UNCHECKED}",
        )


def _other_programs(
    lines: Sequence[str], quantity: str
) -> Iterator[tuple[str, str, str]]:
    """Yield lines by which programs mark another function, and what they name."""
    if quantity == "radial_distribution":
        for line in filter(_PER_AREA.search, lines):
            yield line, "g(r)", "4πρr[g(r) - 1]"
    if quantity in ("static_structure_factor", "interference_function"):
        for line in filter(_SINE.search, lines):
            yield line, "Q", "sin(θ)/λ, which is Q/4π"
    if quantity == "static_structure_factor":
        for line in filter(_GUDRUN.match, lines):
            yield line, "S(Q)", "Gudrun's F(Q)"
    for line in filter(_MCSTAS.match, lines):
        yield line, "Q and S(Q) in columns 1 and 2", "others"


def _remarks(lines: Sequence[str], labels: Labels) -> Iterator[tuple[str, str, str]]:
    """Yield remarks that name other units, a factor or a logarithm."""
    arbitrary = _is_arbitrary(labels)
    names = {labels.dim: (_AXES.get(labels.dim, labels.dim), labels.coordinate_units)}
    names[labels.quantity] = (_A_VALUE.pattern, labels.units)
    for line in lines:
        for what, (words, given) in names.items():
            found = re.search(
                rf"(?i)\b(?:{words})(?:\(\S*\))?(?: axis| column| transfer| units?)*"
                rf"\s*(?::|=|\b(?:is |are )?in\b)\s*(?:units? of )?([^\s,;()]+)",
                line,
            )
            own, is_axis = parse_unit(given), what == labels.dim
            for unit in read_units(found[1], given) if found else ():
                if _same_kind(unit, own, is_axis) and not own.dimensionless:
                    energy = is_axis and what == "E"
                    factor = convert_factor(str(unit), given, name=line, energy=energy)
                    if abs(factor - 1) > 1e-6:
                        yield line, given, f"{what} in {found and found[1]}"
                    break
        if _LOGARITHM.search(line) or (not arbitrary and _SCALED.search(line)):
            yield line, labels.quantity, "a factor or a logarithm"


def _contradictions(
    titles: Sequence[str], labels: Labels
) -> Iterator[tuple[str, str, str]]:
    """Yield titles that are not those of the quantity or axis, and what they name."""
    quantity, _, dim, _ = labels
    axis, value = titles[0].lstrip("#"), titles[1]
    if _OTHER_AXIS.search(axis.translate(SUPERSCRIPTS)):
        yield axis, dim, "a power or the other sign"
    named = [
        name
        for name, words in _AXES.items()
        if re.match(rf"(?:{words})(?![a-zµ])", axis, re.IGNORECASE)
        and not (name == "temperature" and axis.startswith("k"))
    ]
    if named and dim not in named:
        yield axis, dim, named[0]
    bare = parse_title(value, quantity, QUANTITIES[quantity].units).name

    def called(pattern: str | re.Pattern[str]) -> bool:
        return any(re.search(pattern, way) for way in (value, bare))

    found = [n for n, words in _VALUES.items() if called(f"(?i){words}")]
    own = {"detector_spectra": "dynamic_structure_factor"}.get(quantity, quantity)
    if quantity in _OTHERS and called(_OTHERS[quantity]):
        yield value, quantity, "another function"
    if _FOREIGN.search(value) or (own in _VALUES and found and own not in found):
        yield value, quantity, found[0] if found else "another quantity"


def _require_units(where: str, title: str, labels: Labels, column: int) -> None:
    """Refuse a title with other units than given, or with a factor or a function."""
    quantity, dim = QUANTITIES[labels.quantity], labels.dim
    is_axis = column == 0
    asked = dim if is_axis else quantity.name
    if dim == "E" and is_axis and _WAVELENGTH.match(title):
        raise UnitsError(
            f"{where}: coordinate_units={labels.coordinate_units!r} contradicts the "
            f"title of the E column, {title!r}",
            fix="coordinate='wavelength', coordinate_units='nm', then to_raman_shift",
        )
    name, given = "units", labels.units
    if is_axis:
        name, given = "coordinate_units", labels.coordinate_units
    like = COORDINATES[dim][0] if is_axis else quantity.units
    bare = re.sub(r"\+/?-|±", "std", title) if column == 2 else title
    _, units, rest = parse_title(bare, asked, like)
    if column == 2 and not rest and (wrong := _VARIANCE.search(title)):
        rest = wrong[0]
    if rest:
        raise FileFormatError(
            f"{where}: {rest!r} in the column title {title!r} is not a unit, but a "
            f"factor or function of {asked}",
            fix=f"convert the numbers, or {_UNCHECKED}",
        )
    own = parse_unit(given)
    arbitrary = _is_arbitrary(labels)
    for readings in units:
        unit = next((u for u in readings if _same_kind(u, own, is_axis)), readings[0])
        if _same_kind(unit, own, is_axis):
            energies = is_axis and dim == "E"
            factor = convert_factor(str(unit), given, name=title, energy=energies)
            if abs(factor - 1) < 1e-6:  # rounding of the factor
                continue
        elif unit.dimensionless and convert_factor(str(unit), "1") == 1:
            continue  # counts
        elif arbitrary and not is_axis and not unit.dimensionless:
            continue
        raise UnitsError(
            f"{where}: {name}={given!r} contradicts the column title {title!r}",
            fix=f"{name}={format_unit(unit)!r}, or correct the title",
        )


def _is_arbitrary(labels: Labels) -> bool:
    """Return whether units are arbitrary, those of any detector."""
    quantity = QUANTITIES[labels.quantity]
    absolute = (quantity.units, quantity.also) == ("1", ())
    return parse_unit(labels.units).dimensionless and not absolute


def _same_kind(unit: pint.Unit, own: pint.Unit, is_axis: bool) -> bool:
    energies = is_axis and is_energy_like(unit) and is_energy_like(own)
    return energies or unit.is_compatible_with(own)


def used_columns(
    where: Path,
    lines: list[str],
    table: Table,
    titles: list[str] | None,
    has_std: bool | None,
) -> int:
    """Return how many columns are read: two if the third is not an error.

    Raises
    ------
    FileFormatError, QuantityError
        If this is ambiguous and `has_std` is needed.
    """
    fix = "has_std=True if the third is the standard deviation"
    if has_std is None and is_ambiguous(table, lines):
        raise FileFormatError(
            f"{where}, line {table.start + 1}: {lines[table.start].strip()[:60]!r} is "
            "ambiguous: two numbers may be one",
            fix=f"{fix}; or use decimal points",
        )
    if has_std is False or table.values.shape[1] == 2:
        return 2
    above = lines[: table.start]
    second = next((line for line in above if _SECOND_CURVE.match(line)), None)
    if second is not None and any(map(_ERRORS_OF_GRACE.match, above)):
        second = None
    if has_std is None and (second is not None or not third_is_an_error(titles)):
        title = titles[-1] if titles is not None else second
        raise QuantityError(
            f"the third column of {where.name} has the title {title!r}, not that of an "
            "error",
            fix=f"{fix}, has_std=False to ignore it",
        )
    return 3
