"""The title of a column: a name, units and decorations, and everything else."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from typing import Final, NamedTuple

import pint

from xbp.core.errors import XbpError
from xbp.core.units import is_energy_like, parse_unit

__all__ = ["SUPERSCRIPTS", "Title", "labelled_rows", "parse_title", "read_units"]

SUPERSCRIPTS: Final = str.maketrans({"¹": "1", "\u207b": "-", "\u2212": "-"})
#: Functions and factors applied to a quantity.
_FUNCTION: Final = re.compile(
    r"(?<![a-z])(?:log(?:[_ ]?\{?(?:10|2|e)\}?)?|ln|lg|sqrt|asinh|arcsinh)"
    r"(?![a-z])|(?<![a-z_])exp(?=\s*\()|√|per ?cent|%|\bdbm?\b"
    r"|\b(?:times|minus|plus)\s+\d|(?<![^\W\d_]{2})x\s?\d+(?![.\d])|x\s?10{2,}(?!\d)"
    r"|\b(?:milli|micro|kilo|mega)\b(?![- ]?[eh])",
    re.IGNORECASE,
)
_BRACKET: Final = re.compile(r"[(\[]((?:[^()\[\]]|[(\[][^()\[\]]*[)\]])*)[)\]]")
#: Arguments of a function, such as Q,E.
_SYMBOL: Final = (
    r"(?:[QqkETtrwωντxαβ]|hw|ħω|omega|nu|alpha|beta|2?(?:θ|theta))(?:\s*=\s*[\d.]+)?"
)
_ARGUMENTS: Final = re.compile(rf"{_SYMBOL}(?:\s*,\s*{_SYMBOL})*")
_WORD: Final = re.compile(r"[^\W\d_][\w.]*(?:-[^\W\d][\w.]*)*")
#: Conditions of the measurement (temperature, laser, ...), composition, or run number.
_CONDITION: Final = re.compile(
    r"(?:\b[^\W\d]\w*\s*=\s*)?(?<![\w.])(?:\d+\s*[x×]\s*)?\d+(?:\.\d+)?\s*(?:K|nm|m?W"
    r"|m?T|[kMG]?Pa|k?bar|m?s|sec|min|h|m?eV|cm-1|[AÅ]\^?-1|1/[AÅ]|°C?|deg\w*)\b"
    r"|#\d+\b|^#?\d$|\b[^\W\d]\w*\s*=\s*[\d.]+(?![*^/x×])"
    r"|(?<=[^\W_])(?<!times|minus)(?<![\s)\]]x)\s+#?\d+\s*$"
    r"|(?<![\w.])-?\d+(?:\.\d+)?(?:[A-Z][a-z]?[\d.]*){2,}(?!\w)"
)
#: Polarisations, and sums of them.
_POLARIZED: Final = re.compile(r"\b[VH]{2}(?:\s*[-+]\s*(?:4\s*/\s*3\s*)?[VH]{2})?\b")
#: Divisors of counts, and spellings of arbitrary units.
_NORMALIZATION: Final = re.compile(
    r"(?:[\d.^e ]*(?:s|sec|min|h|ms|m?W|[mµu]?A|[mµu]?Ah|m?C|m?g|kg|(?i:ch\w*|pixel"
    r"|det\w*|mon\w*|max\w*|[is]_?(?:0|max|el)|norm\w*|proton\w*|charge|time|mass|area"
    r"|counts?|cts))\.?\s*/?\s*)+"
)
_PER: Final = ("s", "W", "A", "C", "g", "meV", "meV/K", "J/mol/K", "J/g/K", "barn/meV")
_ARBITRARY: Final = re.compile(
    r"(?:[\d^eEx×*.\s-]*(?:counts?|cn?ts?|cps|a\.? ?u\.?|arb\w*\.?|rel\w*\.?)"
    r"(?:\s*units?)?)?|-+",
    re.IGNORECASE,
)
#: Names that contain a ratio or a power.
_OWN_NAMES: Final = {
    "reduced_dos": r"(?:v?dos|g)(?:\(\w\))?\s*/\s*(?:[ewων]|hw|ħω)\s*(?:\^|\*\*)?[2²]",
    "reduced_heat_capacity": r"\(?c_?[pv]?(?:\(t\))?"
    r"(?:\s*-\s*(?:gamma|[gγ])\s?\*?\s?t\))?\s*/\s*t\s*(?:\^|\*\*)?\s*[3³]",
    "intermediate_scattering_function": r"[sfi]\(q,\s*t\)\s*/\s*[sfi]\(q(?:,\s*0)?\)",
    "mean_square_displacement": r"[<⟨][^<>⟨⟩]*[2²][^<>⟨⟩]*[>⟩]|[urx]\s*\^?[2²]",
}
#: Hide the arguments while the rest of a title is parsed.
_HIDDEN: Final = str.maketrans("(),", "\x01\x02\x03")
_SHOWN: Final = str.maketrans("\x01\x02\x03", "(),")
_PREFIX: Final = re.compile(
    r"\b(milli|micro|nano|kilo|mega|giga|tera)[- ]?(?=e|hz)", re.IGNORECASE
)
#: Replacements for spellings of units that pint does not know.
_REPLACED: Final = (
    (r"(?i)\binv(?:erse)?\b[. ]*", "1/"),
    (r"(?<![A-Za-z])(?:AA|Angs?t?\.?)(?![a-z])", "angstrom"),
    (r"(?i)\s*\bper\b\s*", "/"),
    (r"(?i)\bg[-. ]?at(?:om)?\b\.?|\bmole?[-. ](?:at(?:om)?s?|f\.?u)\b\.?", "mol"),
    (r"(?i)\b(?:states?|modes?|atoms?|f\.u\.|fu|formula units?)(?![a-z])", "1"),
    (r"(?i)\bmole\b", "mol"),
    (r"(?<=[lg])(?=K\b)|(?<=J)(?=mol|k?g\b|k?g-)|(?<=-1)(?=[A-Za-z])", " "),
)


class Title(NamedTuple):
    """Parts of a title.

    Attributes
    ----------
    name : str
        The name without units and decorations.
    units : list of list of pint.Unit
        Each unit in the title, with all its possible readings.
    rest : str
        Whatever is not a name, a unit or a decoration, such as a factor or a function.
    """

    name: str
    units: list[list[pint.Unit]]
    rest: str


def parse_title(title: str, quantity: str, like: str) -> Title:
    """Parse the title of a column.

    Parameters
    ----------
    title : str
        As in the file.
    quantity : str
        Name of the quantity or coordinate in the column.
    like : str
        Any units of its dimension.

    Examples
    --------
    >>> name, ((unit,),), rest = parse_title("S(Q,E) (1/meV)", "detector_spectra", "1")
    >>> name, str(unit), rest
    ('S(Q,E)', '1 / millielectron_volt', '')
    >>> parse_title("S*1000", "detector_spectra", "1").rest
    '*1000'
    """
    title = title.replace("\\cdot", "·").replace("\\times", "×")
    text = re.sub(r"\\(?:mathrm|mathit|text|rm)\b|[$\\{}\"]", "", title).strip(" #")
    text = unicodedata.normalize("NFC", text.translate(SUPERSCRIPTS))
    # Drop the tilde of ν, the m of the molar C_p,m, and footnote marks.
    text = re.sub("[\\u0300-\\u036f]|(?<=')s |(?<=[pv]),\\s?m\\b|\\*$", "", text)
    text = _POLARIZED.sub("polarized", text)
    if not quantity.endswith("heat_capacity"):
        text = re.sub(r"(?<=\d)\s?C\b", " °C", text)
    if function := _FUNCTION.search(_CONDITION.sub(" ", text)):
        return Title(text, [], function[0])
    fits = is_energy_like if like == "meV" else parse_unit(like).is_compatible_with
    units: list[list[pint.Unit]] = []
    rest: list[str] = []

    def take(part: str, *also: str, words: bool = False) -> None:
        """Sort a part into units, decorations (if `words`), and the rest."""
        known = _CONDITION.sub(" ", part).strip() if words else part
        above, _, below = known.partition("/")
        counts = _ARBITRARY.fullmatch(above.strip())
        if counts and (not below or _NORMALIZATION.fullmatch(below)):
            return
        found = [unit for one in (part, *also) for unit in read_units(one, like)]
        before, _, last = known.rpartition(" ")
        if words and not found and not _left(before):  # rel. 1/cm
            found = [unit for unit in read_units(last, like) if fits(unit)]
        if len(part) > 1 and part.isalpha() and part.isupper() and words:
            found = [unit for unit in found if fits(unit)]  # MD, EXP
        # Short words below a slash may be variables, such as T in C/T.
        usual = (u for u in found for own in _PER if u.is_compatible_with(own))
        if found and (words or any(map(fits, found)) or any(usual)):
            units.append(found)
        elif not words or re.search(r"k_?B\b", part) or _left(known):
            number = re.fullmatch(r"\d+\s*([^\W\d]{3,})\.?", known)  # 5 acc.
            scale = number is None or any(map(fits, read_units(number[1], like)))
            rest.extend([part] if scale else [])

    def bracket(match: re.Match[str]) -> str:
        behind = match.start() > 0 and not match.string[match.start() - 1].isspace()
        if behind and _ARGUMENTS.fullmatch(match[1].strip()):
            return match[0].translate(_HIDDEN)
        for part in re.split(r"[,;:]", match[1]):
            take(part.strip().removeprefix("in "), words=True)
        return " "

    bare = re.sub(_OWN_NAMES.get(quantity, "$^"), "own", text, flags=re.IGNORECASE)
    at = _BRACKET.sub(lambda match: len(match[0]) * "\0", bare).find("/")
    name, below = (bare, "") if at < 0 else (bare[:at], bare[at + 1 :].strip())
    enclosed = _BRACKET.match(below)
    tail = below[enclosed.end() :] if enclosed else ""
    below = f"({enclosed[1]})" if enclosed else _BRACKET.sub(bracket, below).strip()
    name, *others = re.split(r",| in ", _BRACKET.sub(bracket, name).strip())
    parts = name.replace("_", " ").split()
    if others:
        *words, unit = map(str.strip, others)
        for part in (*words, "" if below else unit):
            take(part, words=True)
        if below:
            take(f"{unit}/{below}", below)
    elif below and not _NORMALIZATION.fullmatch(below):
        take(below, f"{parts[-1]}/{below}" if len(parts) > 1 else "")
    elif len(parts) > 1 and like != "1":
        for part in parts:
            # Titles of densities also contain the unit of E: THz DOS.
            of_axis = re.search(r"[A-Z\d]", part) and len(part) > 2
            found = [u for u in read_units(part, like) if fits(u)]
            found += [
                u for u in read_units(part, "meV") if of_axis and is_energy_like(u)
            ]
            units += [found] if found else []
    left = _left(re.sub("\x01[^\x02]*\x02", "", name)) + _left(tail)
    if product := re.match(rf"({_SYMBOL})(?:\s|\s*[*·]\s*)(?=\w+\x01)", name):
        left = left or product[1]
    if odd := re.match(r"-|\d+$", name.strip()) or re.search("[²³⁴]", name):
        left = left or odd[0]
    return Title(name.translate(_SHOWN), units, " ".join([left, *rest]).strip())


def _left(text: str) -> str:
    """Return what is left of a text after removing words and conditions."""
    text = re.sub(r"(?:\b|_)(?:cm|nm|[AÅ])\^?-1\b", " ", _CONDITION.sub(" ", text))
    text = _WORD.sub(" ", text)
    return re.sub(r"\s+", " ", text).strip(" .,:;_#@&|~-±°")


def read_units(text: str, like: str) -> list[pint.Unit]:
    """Return the possible readings of a unit: J/mol K is J/(mol K) or (J/mol) K.

    Examples
    --------
    >>> [str(unit) for unit in read_units("mJ/mol.K", "1")]
    ['millijoule / kelvin / mole', 'kelvin * millijoule / mole']
    """
    text = _PREFIX.sub(lambda match: match[1].lower(), text.translate(SUPERSCRIPTS))
    for pattern, new in _REPLACED:
        text = re.sub(pattern, new, text)
    lower = re.sub(r"ev(?![a-z])", "eV", text.lower()).replace("hz", "Hz")
    found: list[pint.Unit] = []
    for way in dict.fromkeys((text, lower if len(text) > 1 else text)):
        above, slash, below = way.partition("/")
        factors = re.split(r"[\s.·*-]+(?=[^\W\d])", below.strip("() "))
        ways = [f"{above}/{'/'.join(factors)}"] if slash and len(factors) > 1 else []
        for one in (*ways, way):
            with contextlib.suppress(XbpError):
                found.append(parse_unit(one, like=None if like == "1" else like))
        if found or not text:
            break
    return list(dict.fromkeys(found)) if text.strip() else []


def labelled_rows(lines: list[str]) -> dict[str, str]:
    """Return header rows such as RRUFF's ``##NAMES=Quartz``, by valid names.

    Examples
    --------
    >>> labelled_rows(["##NAMES=Quartz", "##IDEAL CHEMISTRY=SiO_2_", "# a remark"])
    {'names': 'Quartz', 'ideal_chemistry': 'SiO_2_'}
    """
    rows = (re.match(r"##\s*([A-Za-z][\w /-]*?)\s*=\s*(.*\S)", line) for line in lines)
    found = [(row[1].lower(), row[2]) for row in rows if row is not None]
    return {re.sub(r"[^a-z0-9]+", "_", name): value for name, value in found}
