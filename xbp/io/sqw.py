"""S(q,ω) text of McStas ``Isotropic_Sqw`` and iFit (``.sqw``), in and out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint

from xbp.core.construct import new_dataset
from xbp.core.errors import (
    FileFormatError,
    QuantityError,
    RangeError,
    UnitsError,
    XbpError,
)
from xbp.core.operation import operation
from xbp.core.signal import extend_history, read
from xbp.core.units import convert_factor, magnitude, parse_unit, to_kelvin
from xbp.io.arguments import can_open, to_path, without
from xbp.io.measured import density_per_mev, measured
from xbp.io.text import (
    TEXT_ERRORS,
    head,
    read_lines,
    to_numbers,
    unreadable,
    write_text,
)
from xbp.reduction import convert

__all__ = ["SqwBackend", "decline", "open_sqw", "to_sqw"]

#: Physical parameters of the header that are kept as attributes, under the names the
#: format gives them.
PARAMETERS: Final = {
    "V_rho": "atom density per Angs^3",
    "density": "in [g/cm^3]",
    "weight": "in [g/mol]",
    "sigma_abs": "absorption scattering cross section in [barn]",
    "sigma_coh": "coherent scattering cross section in [barn]",
    "sigma_inc": "incoherent scattering cross section in [barn]",
    "v_sound": "in [m/s]",
}
_SAME_NUMBER: Final = 1e-6
_PARAMETER = re.compile(
    r"#\s*([A-Za-z_]+)\s*[:=]?\s+([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\s|$)"
)
_CLASSICAL = re.compile(r"#\s*classical\s*[:=]?\s+[-+]?(?:\d|inf|nan)", re.IGNORECASE)
_FIRST_LINE = re.compile(r"#.*\bsqw\b", re.IGNORECASE)


def decline(path: Path) -> str | None:
    """Say why a file is not McStas S(q,ω), or None where it is."""
    lines = head(path)
    return (
        None
        if lines and _FIRST_LINE.match(lines[0])
        else "its first line is no comment that says Sqw"
    )


def open_sqw(
    path: str | os.PathLike[str], *, T: Any = None, filler: Any = None
) -> xr.Dataset:
    """Read a McStas or iFit S(q,ω) file.

    Parameters
    ----------
    path : path-like
        Text with comments, and the vector of q (1/angstrom), that of ω (meV) and the
        matrix, one line per q. Units that the comment above a vector names, such as THz
        or 1/nm, are converted, and S with them.
    T : scalar with units, optional
        Temperature of the sample, instead of that of the header; a bare number is in K.
        In the header it is in K unless it names other units there, such as [degC].
    filler : scalar with units, optional
        The number that stands in the file for what was not measured (bare: per meV).
        Bins that hold it, to a part in a million, are NaN; others are kept, however
        small. The format has no other way to say so, and nothing is taken for a filler
        unasked; ``print(data.bp)`` shows a lowest number that many bins have. Several
        bins with the same negative number, far below all others, need it: ``filler=-999``,
        or ``filler=False`` if they were measured.

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
        ``sigma_coh``, ``sigma_inc`` (barn), ``v_sound`` (m/s); what the header says
        before is ``comment``.

    Raises
    ------
    FileFormatError
        If the file is truncated or of another kind, or its header gives two
        temperatures, or one in other units.
    RangeError
        If no bin holds the filler, or all do.

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
    where = to_path(path)
    try:
        return _read(where, T, filler)
    except XbpError:
        raise
    except TEXT_ERRORS as error:
        raise unreadable(where, "S(q,ω) text", error) from error


def _read(path: Path, T: Any, filler: Any) -> xr.Dataset:
    comments: list[str] = []
    blocks: list[list[str]] = []
    factors: list[float] = []
    previous = ""
    for line in map(str.strip, read_lines(path)):
        if line.startswith("#"):
            comments.append(line)
        elif line:
            if not blocks or previous.startswith("#"):
                # The comment above the vectors of q and w may name units other than
                # 1/angstrom and meV.
                if len(blocks) < 2:
                    factors.append(
                        _factor(comments, ("1/angstrom", "meV")[len(blocks)])
                    )
                blocks.append([])
            blocks[-1].append(line)
        previous = line or previous
    if not comments or not _FIRST_LINE.match(comments[0]) or len(blocks) < 3:
        raise ValueError(
            "a comment that says Sqw, and the parts q, w and S(q,w), each below a "
            "comment, are needed"
        )
    q, w = (
        to_numbers(blocks[i], name) * factors[i]
        for i, name in enumerate(("the vector of q", "the vector of w"))
    )
    values = to_numbers(
        [line for block in blocks[2:] for line in block], "S(q,w)", size=q.size * w.size
    )
    values, _ = measured(values)
    values, _, _ = density_per_mev(values, None, axis=factors[1], units="1")
    history: dict[str, str] = {}
    if filler is None:
        _require_no_filler(values)
    elif filler is not False:
        values, history["history"] = _without_filler(values, filler)
    found: dict[str, float] = {}
    for match in filter(None, map(_PARAMETER.match, comments)):
        found.setdefault(match[1].lower(), float(match[2]))
    if T is None:
        T = _temperature(path, comments)
    classical = found.get("classical")
    stated = next((line for line in comments if _CLASSICAL.match(line)), None)
    if classical not in (0.0, 1.0) and (classical is not None or stated is not None):
        raise ValueError(f"its header has {stated!r}, which is neither 0 nor 1")
    known: dict[str, Any] = {
        name: found[name.lower()] for name in PARAMETERS if name.lower() in found
    }
    known["source"] = f"S(q,w) text file {path.name}"
    comment = [line.lstrip("# ") for line in _before_parameters(comments)]
    ds = new_dataset(
        "dynamic_structure_factor",
        values.reshape(q.size, w.size),
        units="1/meV",
        coords={"Q": (q, "1/angstrom"), "E": (w, "meV")},
        temperature=T,
        statistics=None
        if classical is None
        else ("classical" if classical else "quantum"),
        attrs=known | ({"comment": "\n".join(comment)} if comment else {}) | history,
    )
    # A DataArray goes on without the attributes of its Dataset.
    ds.S.attrs.update(known | history)
    return ds


def _temperature(path: Path, comments: list[str]) -> float | None:
    """Return the temperature of the header in K; None where it has none.

    Raises
    ------
    FileFormatError
        If it is in units of something else, or is there twice and differently.
    """
    found: dict[str, float] = {}
    for line, match in ((line, _PARAMETER.match(line)) for line in comments):
        if match is None or match[1].lower() not in ("temperature", "t"):
            continue
        said, rest = line.lstrip("# "), line[match.end() :].strip()
        # A unit stands in brackets, is spelled out, or follows the number; other words
        # need not be one.
        unit = (
            re.search(r"\[\s*([^\]]*?)\s*\]", rest)
            or re.search(r"\b(celsius|fahrenheit)\b", rest.lower())
            or re.fullmatch(r"(?:in\s+)?(\S+)", rest)
            or re.match(r"(?:in\s+)?(?:deg\s+)?([KCF])\b", rest)
        )
        try:
            kelvin = float(
                to_kelvin(float(match[2]), unit[1] if unit else "K", name="Temperature")
            )
        except UnitsError as error:
            raise FileFormatError(
                f"{path} says '{said}', whose units are not those of a temperature",
                reason=error.summary,
                fix=f"T='{match[2]} degC', or T= with the units that are meant",
            ) from None
        found[said] = kelvin
    first = next(iter(found), None)
    for said in found:
        if first is not None and not np.isclose(
            found[said], found[first], rtol=_SAME_NUMBER, atol=0.0
        ):
            raise FileFormatError(
                f"{path} says '{first}' and '{said}'",
                reason=f"these are {found[first]:g} K and {found[said]:g} K",
                fix=f"T='{found[first]:g} K', or whichever of them is right",
            )
    return None if first is None else found[first]


def _factor(comments: list[str], canonical: str) -> float:
    """Return what the unit that a vector's comment names is in canonical ones.

    1 where it names none.

    Raises
    ------
    ValueError
        If the units are those of another quantity.
    """
    words = re.findall(
        r"(?:\[|\bin\s+\[?)([^\s\[\],:;()]+)", comments[-1] if comments else ""
    )
    for word in words:
        word = re.sub(
            r"^(?:Angs?|Angst|AA|Angstr(?:o|oe|ö)ms?)(?![a-z])", "angstrom", word
        )
        try:
            parse_unit(word, like=canonical)
        except UnitsError:
            continue  # a word that is no unit
        try:
            return convert_factor(
                word, canonical, name="the vector", energy=canonical == "meV"
            )
        except UnitsError:
            raise ValueError(
                f"its vector in '{word}' does not convert to '{canonical}'"
            ) from None
    return 1.0


def _require_no_filler(values: np.ndarray) -> None:
    """Refuse several bins of the same negative number, far below all others, such as -999.

    Raises
    ------
    RangeError
    """
    known = values[np.isfinite(values)]
    lowest = known.min()
    others = known[known > lowest]
    if (
        lowest < 0
        and known.size - others.size > 1
        and others.size
        and lowest < 2 * others.min()
        and -lowest > 0.01 * others.max()
    ):
        raise RangeError(
            f"S is {lowest:g} in {known.size - others.size} bins, and at least "
            f"{others.min():g} elsewhere",
            reason="S is not negative: this number marks bins that were not measured",
            fix=f"filler={lowest:g}; filler=False if it was measured",
        )


def _without_filler(values: np.ndarray, filler: Any) -> tuple[np.ndarray, str]:
    """Make NaN what holds the filler, and say how many bins did."""
    number = magnitude(filler, "1/meV", name="filler")
    same = np.isclose(values, number, rtol=_SAME_NUMBER, atol=0.0)
    if not same.any() or same.all():
        lowest = np.nanmin(values)
        raise RangeError(
            f"filler={filler!r} is in {'all' if same.any() else 'none'} of the bins",
            reason=f"the lowest number of the file is {lowest:.8g}, in "
            f"{int((values == lowest).sum())} bins",
            fix="give the number itself, with its digits, or leave filler= out",
        )
    used = {
        "filler": f"{number:.10g} 1/meV",
        "bins": f"{int(same.sum())} of {values.size} made NaN",
    }
    return np.where(same, np.nan, values), extend_history(None, "open_sqw", used)


def _before_parameters(comments: list[str]) -> list[str]:
    lines = []
    for line in comments[1:]:
        if (
            not line.strip("# ")
            or "parameters" in line.lower()
            or _PARAMETER.match(line)
            or "vector" in line.lower()
        ):
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
    exactly. Standard deviations and history have no place in the format.

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
        it is not said whether the data are classical.
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
    converted: Any = convert(data, E="meV", Q="1/angstrom")  # type: ignore[type-var]  # either kind
    signal = read(converted, "dynamic_structure_factor")
    value = signal.value
    statistics = value.attrs.get("statistics")
    if (
        set(value.dims) != {"Q", "E"}
        or value.isnull().any()
        or statistics not in ("classical", "quantum")
    ):
        raise QuantityError(
            f"'{value.name}' over {tuple(value.dims)} with statistics {statistics!r} "
            "and "
            f"{int(value.isnull().sum())} NaN cannot be written as S(q,w) text",
            reason="the format holds a full matrix over Q and E, and says whether it "
            "is classical",
            fix="select one spectrum of further dimensions, fill or cut away what was "
            "not measured, and set "
            "data.S.attrs['statistics'] to 'classical' or 'quantum'",
        )
    attrs = signal.source.attrs if isinstance(signal.source, xr.Dataset) else {}
    lines = [
        "# Sqw data file for Isotropic_Sqw",
        *(f"# {line}" for line in str(attrs.get("comment", "")).splitlines()),
    ]
    lines += ["#", "# Physical parameters:"]
    lines += [
        f"# {name} {float(attrs[name])!r} {meaning}"
        for name, meaning in PARAMETERS.items()
        if name in attrs
    ]
    if "temperature" in value.coords:
        lines.append(f"# Temperature {float(value.temperature)!r} in [K]")
    lines.append(f"# classical {int(statistics == 'classical')} {statistics}")
    S = value.transpose("Q", "E").values.astype(float)
    for name, rows in (
        ("vector of q in Angstroem-1", [value.Q.values]),
        ("vector of w in meV", [value.E.values]),
        (f"matrix of S(q,w), one line per q value, {S.shape[0]}x{S.shape[1]}", S),
    ):
        lines += [
            f"# {name}",
            *(
                " ".join(map(repr, np.asarray(row, dtype=float).tolist()))
                for row in rows
            ),
        ]
    write_text(path, [*lines, "# end of Sqw data"], overwrite=overwrite)


class SqwBackend(BackendEntrypoint):
    """``xarray.open_dataset(path, engine="sqw")``."""

    description = "S(q,ω) text files of McStas Isotropic_Sqw and iFit"
    url = "https://www.mcstas.org"
    open_dataset_parameters = ("filename_or_obj", "drop_variables", "T", "filler")

    def open_dataset(  # type: ignore[override]  # a backend names its own keywords
        self,
        filename_or_obj: str | os.PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        T: Any = None,
        filler: Any = None,
    ) -> xr.Dataset:
        """Open a file; keywords as for `open_sqw`."""
        return without(open_sqw(filename_or_obj, T=T, filler=filler), drop_variables)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Tell by the first line, so that ``xarray.open_dataset(path)`` needs no ``engine=``."""
        return can_open(filename_or_obj, decline)
