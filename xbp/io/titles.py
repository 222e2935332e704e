"""Titles of the columns of a table: what the columns are, and their units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from xbp.core.errors import FileFormatError, QuantityError, UnitsError, XbpError
from xbp.core.schema import COORDINATES
from xbp.core.units import convert_factor, is_energy_like, parse_unit
from xbp.io.table import Table, is_ambiguous

__all__ = [
    "column_titles",
    "labelled_rows",
    "require_quantity_of_titles",
    "require_units_of_titles",
    "third_is_an_error",
    "used_columns",
]

#: A first column is called one of these; other lines above a table are remarks of as
#: many words.
_AXIS: Final = re.compile(
    r"(?:e|q|k|t|r|x|w|hw|ħω|ω|ν|nu|en|energy|energies|freq|frequency|omega|wave|wave "
    r"?numbers?|wave ?vector|wavelength|raman|d|d.?spacing|abs(?:olute|\.)?\s*(?:wave ?num\w*|freq\w*)|absolute|"
    r"log(?:_?10|_?2)?|ln|lg|momentum|1 ?/ ?[tqe]|"
    r"raman "
    r"?shift|shift|temp|temperature|time|two.?theta|2.?theta|2?θ|tth|λ|lambda|delta "
    r"?e|δe|de|distance|radius)"
    r"(?![a-z])",
    re.IGNORECASE,
)
_TITLE: Final = re.compile(
    r"[^\s,;()\[\]]+(?:\s*(?:\([^()]*\)|\[[^\[\]]*(?:\([^()]*\)[^\[\]]*)?\])\S*)*"
)
_BRACKET: Final = re.compile(r"[\(\[]([^()\[\]]*)[\)\]]\s*$")
_ERROR: Final = re.compile(
    r"err|std|sig|unc|dev|esd|rms|noise|fehl|unsich|incert|fout|sem\b|s\.?d\.?\b|±|\+/?-|σ|δ|^\W*[de]$|^\W*d\W?[a-z(]{1,3}|"
    r"_e$|^e[_ ]",
    re.IGNORECASE,
)
#: A variance, or an error in parts of the value.
_VARIANCE: Final = re.compile(
    r"var(?![a-z]*l)|σ\^?[2²]|sig\w*\^?[2²]|%|\brel|percent|relative", re.IGNORECASE
)
#: Lines that say that a second column of values, and no error, stands in the third: of
#: Grace, and of phonopy.
_SECOND_CURVE: Final = re.compile(
    r"@\s*s1\s|#\s*(?:Tetrahedron method|Sigma\s*=)", re.IGNORECASE
)
_ERRORS_OF_GRACE: Final = re.compile(r"@\s*type\s+xydy\b", re.IGNORECASE)
_WAVELENGTH: Final = re.compile(r"(?:wave ?length|lambda|λ)(?![a-z])", re.IGNORECASE)
_SLASH: Final = re.compile(r"^[^/()\[\]]+/\s*([^()\[\]]+)$")
_ALIKE: Final = 1e-6
#: Rows of LabSpec's header that give the units of the axis.
_LABSPEC_AXIS: Final = re.compile(
    r"#(?:Spectro \(([^)]+)\)|AxisUnit\[1\])=(?:\s*(\S+))?"
)
_SUPERSCRIPTS: Final = str.maketrans({"¹": "1", "\u207b": "-"})

#: What a second column may be called that is no S(Q), no g(r), no F(Q) of the
#: vocabulary.
_OTHERS: Final = {
    "static_structure_factor": re.compile(
        r"s\(q\)\s*-\s*1|q\s*[*.·]?\s*[\[(]\s*s\(?q?\)?\s*-\s*1|^f\(q\)|^i\(q\)|^h\(q\)|^sq-1|^fq$|^f$",
        re.IGNORECASE,
    ),
    "radial_distribution": re.compile(
        r"^[GDT]\(?r?\)?$|g\(r\)\s*-\s*1|^h\(r\)|rdf$|r\(r\)|tdf|4\s*[πp]i?\s*r"
    ),
    "interference_function": re.compile(
        r"^s\(q\)$|^s$|^sq$|q\s*[*.·]?\s*[\[(]\s*s\(?q?\)?\s*-\s*1", re.IGNORECASE
    ),
}
#: Functions of a quantity, and ratios, in a title.
_FUNCTION: Final = re.compile(
    r"(?<![a-z])(?:log(?:[_ ]?\{?(?:10|2|e)\}?)?|ln|lg|sqrt|asinh|arcsinh)(?![a-z])"
    r"|√|(?<![a-z])exp\s*\(|[(\[]\s*(?:db\w?|%|per ?cent)\s*[)\]]|%\s*$|\bper ?cent|\bdb$"
    r"|^1\s*/\s*(?:[tqsicg]|s\(\S*)(?![a-z])|^[a-z](?:\(\S*\))?\s*(?:\^|\*\*)\s*[-+]?\d|^[a-z][²³]",
    re.IGNORECASE,
)
#: Values that no quantity of the vocabulary is.
_FOREIGN: Final = re.compile(
    r"transmi(?:ttance|ssion)|absorb(?:ance|tion)|absorption|reflect(?:ance|ivity)"
    r"|optical density|extinction|derivative|(?<![a-z])d\w*/d[a-z]|cumulative",
    re.IGNORECASE,
)
#: What a first column is called, by its dimension; the last three are none of xbp's.
_AXES: Final = {
    "E": r"e|en|energy|energies|d(?:elta)? ?e|δe|w|hw|ħω|ω|ν|nu|omega|freq\w*|wave ?numbers?|raman|(?:raman )?shift",
    "Q": r"q|k|momentum|wave ?vector",
    "temperature": r"t|k|temp|temperature",
    "time": r"t|time",
    "r": r"r|distance|radius",
    "wavelength": r"wave ?length|lambda|λ",
    "a scattering angle": r"two.?theta|2.?theta|2?θ|tth",
    "a lattice spacing": r"d|d.?spacing",
    "an absolute wavenumber": r"abs(?:olute|\.)?\s*(?:wave ?num\w*|freq\w*)|absolute",
}
#: How the values of a quantity are called, where that is one of a kind.
_VALUES: Final = {
    "dynamic_structure_factor": r"s\(\w,\s*[ewω]\w?\)",
    "static_structure_factor": r"s\(q\)$|^sq$",
    "interference_function": r"^[fi]\(q\)",
    "intermediate_scattering_function": r"[fi]\(q,\s*t\)",
    "radial_distribution": r"^g\(r\)|^rdf$",
    "vibrational_dos": r"^g\([eωwν]\)|dos(?![a-z])|density of (?:vibrational )?states",
    "heat_capacity": r"^c_?[pv](?![a-z])|heat capacity|specific heat",
    "mean_square_displacement": r"^msd|mean.square",
    "raman_intensity": r"raman intensity",
}
#: Gudrun's first comment is the name of its file of F(Q).
_GUDRUN: Final = re.compile(r"#\s*\S+\.(?:mint|mdor|mdcs)\d\d\s*$", re.IGNORECASE)
#: G(r) of PDFgetX and of others is 4πρr[g(r) − 1], in these units.
_PER_AREA: Final = re.compile(
    r"(?:Å|angstrom|\\AA|\bA|AA)[$\s{]*\^?[\s{]*(?:-|\u2212|⁻)\s*(?:2|²)", re.IGNORECASE
)


def column_titles(lines: Sequence[str], start: int, n_columns: int) -> list[str] | None:
    """Return the titles of the columns, from the last line above the rows that has as many; None if there are none.

    Parameters
    ----------
    lines : sequence of str
        The text.
    start : int
        Line of the first row, counted from 0.
    n_columns : int
        Columns of the rows.

    Returns
    -------
    list of str or None

    Examples
    --------
    >>> column_titles(["# E (meV)  S(Q,E) (1/meV)  error", "1 2 3"], 1, 3)
    ['E (meV)', 'S(Q,E) (1/meV)', 'error']
    >>> column_titles(["# measured in Grenoble", "1 2 3"], 1, 3) is None
    True
    """
    for line in reversed(lines[max(0, start - 5) : start]):
        bare = re.sub(r"^[#%!/\s]*(?:L\s)?", "", line).strip()
        mark = next(
            (
                mark
                for mark in ("\t", ";", ",")
                if mark in re.sub(r"[\(\[][^\)\]]*[\)\]]", "", bare)
            ),
            None,
        )
        ways = (
            (bare.split(mark),)
            if mark
            else (
                re.split(r"\s{2,}", bare),
                _TITLE.findall(bare),
                _TITLE.findall(
                    re.sub(
                        r"(?i)\b(absolute|raman|optical|heat|specific|delta) (?=\w)",
                        r"\1~",
                        bare,
                    )
                ),
            )
        )
        for words in ways:
            titles = [
                title
                for word in words
                if (title := word.replace("~", " ").strip(" #\"'"))
            ]
            if len(titles) == n_columns and _AXIS.match(titles[0].lstrip("#")):
                return titles
    return None


def third_is_an_error(titles: Sequence[str] | None) -> bool:
    """Return whether a third column may be a standard deviation.

    It has no title, or that of an error.

    Examples
    --------
    >>> third_is_an_error(None), third_is_an_error(["E", "g", "dg"]), third_is_an_error(["E", "Zr", "Cu"])
    (True, True, False)
    """
    return titles is None or (
        _VARIANCE.search(titles[2]) is None and _ERROR.search(titles[2]) is not None
    )


def require_quantity_of_titles(
    where: str,
    lines: Sequence[str],
    titles: Sequence[str] | None,
    quantity: str,
    dim: str,
) -> None:
    """Refuse titles that name another quantity, another axis, or a function of them.

    Raises
    ------
    FileFormatError
    """
    _require_plain_titles(where, titles, quantity, dim)
    others = _OTHERS.get(quantity)
    if others is None:
        return
    named = titles[1] if titles is not None else ""
    other = quantity == "radial_distribution" and next(
        (line for line in lines if _PER_AREA.search(line)), None
    )
    if quantity == "static_structure_factor" and lines and _GUDRUN.match(lines[0]):
        other = lines[0]
    bare = (
        _BRACKET.sub("", named).strip()
        if not re.fullmatch(r"\w\(\w\)", named)
        else named
    )
    if other or (named and (others.search(named) or others.search(bare))):
        raise FileFormatError(
            f"{where}: the header {(other or named).strip()[:80]!r} is not that of "
            f"{quantity}",
            reason="S(Q) and g(r) tend to 1 and are not negative; S(Q) - 1, F(Q) and "
            "G(r) are other functions",
            fix="convert it, or correct the header: S(Q) = 1 + [S(Q) - 1]; g(r) = 1 + "
            "G(r)/4πρr",
        )


def _require_plain_titles(
    where: str, titles: Sequence[str] | None, quantity: str, dim: str
) -> None:
    if titles is None:
        return

    def refused(title: str, asked: str, what: str) -> FileFormatError:
        return FileFormatError(
            f"{where}: the column {title!r} is not {asked}: it is {what}",
            reason="the numbers would be read as something that they are not",
            fix="convert them, or pass check_titles=False if the title is wrong",
        )

    for title, asked in zip(titles, (dim, quantity), strict=False):
        if _FUNCTION.search(title):
            raise refused(title, asked, "a function or a ratio")
    axis, value = titles[0].lstrip("#"), titles[1]
    named = [
        name
        for name, words in _AXES.items()
        if re.match(rf"(?:{words})(?![a-zµ])", axis, re.IGNORECASE)
    ]
    if axis.startswith("k"):
        named = [name for name in named if name != "temperature"]
    if len(named) > 1 and "an absolute wavenumber" in named:
        named = ["an absolute wavenumber"]
    if named and dim not in named:
        raise refused(titles[0], dim, named[0])
    bare = _BRACKET.sub("", value).strip() if value.count("(") > 1 else value
    if _FOREIGN.search(value):
        raise refused(value, quantity, "another quantity")
    found = [
        name
        for name, words in _VALUES.items()
        if any(re.search(words, text, re.IGNORECASE) for text in (value, bare))
    ]
    own = {"detector_spectra": "dynamic_structure_factor"}.get(quantity, quantity)
    if own in _VALUES and found and own not in found:
        raise refused(value, quantity, found[0])


def require_units_of_titles(
    where: str,
    lines: Sequence[str],
    titles: Sequence[str] | None,
    units: str,
    coordinate_units: str,
    dim: str,
) -> None:
    """Refuse units that contradict those in the titles of the columns, or in a row of LabSpec.

    Raises
    ------
    UnitsError
    """
    if dim == "E" and titles is not None and _WAVELENGTH.match(titles[0]):
        raise UnitsError(
            f"{where}: coordinate_units={coordinate_units!r} contradicts the title of "
            f"the E column, {titles[0]!r}",
            reason="a wavelength is neither a shift nor an energy",
            fix="coordinate='wavelength', coordinate_units='nm', then "
            ".bp.to_raman_shift(laser='532 nm')",
        )
    rows = [row for row in map(_LABSPEC_AXIS.match, lines) if row is not None]
    stated = [
        (f"{dim} ({(row[1] or row[2]).translate(_SUPERSCRIPTS)})", coordinate_units)
        for row in rows[-1:]
    ]
    stated += list(zip(titles or (), (coordinate_units, units), strict=False))
    for i, (title, given) in enumerate(stated):
        name = "units" if i == len(rows[-1:]) + 1 else "coordinate_units"
        slash = _SLASH.search(title)
        bracket = _BRACKET.search(title) or slash
        written = (
            re.sub(r"[$\\{}]", "", bracket[1].replace("\u2212", "-")).replace(
                "AA", "angstrom"
            )
            if bracket
            else ""
        )
        if not re.search(r"[A-Za-zµμÅ°]", written):
            continue
        try:
            unit = parse_unit(
                written,
                like=COORDINATES[dim][0] if name == "coordinate_units" else None,
            )
        except XbpError:
            continue
        own = parse_unit(given)
        if unit.dimensionless or own.dimensionless:
            continue
        energies = (
            name == "coordinate_units" and is_energy_like(unit) and is_energy_like(own)
        )
        if energies or unit.is_compatible_with(own):
            factor = convert_factor(str(unit), given, name=title, energy=energies)
            if abs(factor - 1) < _ALIKE:
                continue
        elif slash is not None:
            continue  # a ratio, such as counts/s
        raise UnitsError(
            f"{where}: {name}={given!r} contradicts the column title {title!r}",
            reason="the units must agree",
            fix=f"{name}={written!r}, or correct the title",
        )


def used_columns(
    where: Path,
    lines: list[str],
    table: Table,
    titles: list[str] | None,
    has_std: bool | None,
) -> int:
    """Return how many columns are read.

    Three, or two if the third is not a standard deviation.

    Raises
    ------
    FileFormatError, QuantityError
        If this is ambiguous and `has_std` is needed.
    """
    if has_std is False or table.values.shape[1] == 2:
        return 2
    if has_std is None and is_ambiguous(table, lines):
        raise FileFormatError(
            f"{where}, line {table.start + 1}: {lines[table.start].strip()[:60]!r}",
            reason="three columns of integers may be two numbers with decimal commas "
            "or thousands separators",
            fix="has_std=True if the third is the standard deviation; otherwise use "
            "decimal points and no "
            "thousands separators",
        )
    above = lines[: table.start]
    second = next((line for line in above if _SECOND_CURVE.match(line)), None)
    if second is not None and any(map(_ERRORS_OF_GRACE.match, above)):
        second = None
    if has_std is None and (second is not None or not third_is_an_error(titles)):
        raise QuantityError(
            f"the third column of {where.name} has the title "
            f"{(titles[-1] if titles is not None else second)!r}",
            reason="a third column is read as the standard deviation, but its title "
            "names something else",
            fix="has_std=True if it is the standard deviation, has_std=False to "
            "ignore it",
        )
    return 3


def labelled_rows(lines: list[str]) -> dict[str, str]:
    """Return header rows such as RRUFF's ``##NAMES=Quartz``, by names that netCDF takes.

    Examples
    --------
    >>> labelled_rows(["##NAMES=Quartz", "##IDEAL CHEMISTRY=SiO_2_", "# a remark"])
    {'names': 'Quartz', 'ideal_chemistry': 'SiO_2_'}
    """
    rows = (re.match(r"##\s*([A-Za-z][\w /-]*?)\s*=\s*(.*\S)", line) for line in lines)
    return {
        re.sub(r"[^a-z0-9]+", "_", match[1].lower()): match[2]
        for match in rows
        if match is not None
    }
