"""MDMC's XML: S(q,ω) with errors and units."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal
from xml.etree import ElementTree

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.units import convert_factor
from xbp.io.guide import Guide, example
from xbp.io.masks import measured
from xbp.io.reader import Format, density_per_mev
from xbp.io.rows import as_map
from xbp.io.text import check, header_matches, number

__all__ = ["FORMAT", "MdmcBackend", "open_mdmc"]

_HEADER: Final = r"(?i)\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?s:.*?)-->\s*)?<s-q-omega\b"
#: A power of ten, and seconds or picoseconds, as a time.
_TIME: Final = re.compile(r"(?:(10\^?-\d+|\d*\.?\d+(?:e-?\d+)?)\s*)?(s|ps|fs|ns)")
_SECONDS: Final = {"s": 1e12, "ps": 1.0, "fs": 1e-3, "ns": 1e3}
#: The value of a point that was not measured.
_MISSING: Final = "no data"


def _find(lines: list[str]) -> bool:
    return header_matches(lines, _HEADER)


FORMAT = Format(
    "MDMC XML",
    "text",
    _find,
    "it has no element <s-q-omega>",
    resembles=r"(?i)<s-q-omega\b",
    whole=False,
    guide=Guide(
        "neutrons",
        "MDMC: `s-q-omega`",
        "S(Q,E) with errors, from an angular frequency; units are in the file; it does "
        "not say whether S is symmetrised (`statistics=`)",
        example(
            "S",
            '"Ar.xml", T="120 K", statistics="classical"',
            'S.bp.cut_Q(("1.5 1/angstrom", "3 1/angstrom"))',
        ),
        asks=("statistics", "T"),
    ),
)


@FORMAT.reader
def open_mdmc(
    path: Path,
    lines: list[str],
    *,
    statistics: Literal["quantum", "classical"] | None = None,
    T: Any = None,
) -> xr.Dataset:
    """Read S(q,ω) in the XML of MDMC.

    Parameters
    ----------
    path : path-like
        An element ``s-q-omega`` with the units of S, omega and q, and an element
        ``SQomega`` for each point; "no data" where nothing was measured.
    statistics : {"quantum", "classical"}, optional
        "classical" for a symmetrised S, "quantum" as measured; not in the file. Needed
        before S is reduced.
    T : scalar with units, optional
        Temperature of the sample, which the file does not contain (bare: K).

    Returns
    -------
    xarray.Dataset
        ``S(Q,E)`` with ``S_std``, per meV, ∫S dE = ∫S dω; Q in 1/angstrom.

    Raises
    ------
    FileFormatError
        If the file is damaged, a point is missing or there twice, or units are not
        those of a time, an angular frequency and 1/angstrom.

    References
    ----------
    A. A. van Well et al., Phys. Rev. A 31, 3391 (1985), doi:10.1103/PhysRevA.31.3391.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> text = '''<s-q-omega S-unit="0.1ps" omega-unit="1/[10^-13 s]" q-unit="AA^-1"
    ...  n-omega-points="1" n-q-points="1">
    ...  <SQomega S="6.0" error="0.3" omega="0.1" q="0.42"/></s-q-omega>'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "Ar.xml")
    ...     _ = path.write_text(text)
    ...     S = open_mdmc(path).S
    >>> S.E.values.round(4), S.values.round(4), S.attrs["units"]
    (array([0.6582]), array([[0.9116]]), '1/meV')
    """
    content = "\n".join(lines)
    entities = re.search(r"<!(?:DOCTYPE|ENTITY)", content, re.IGNORECASE)
    check(not entities, "it declares XML entities, which are not read")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is not whole XML ({error})") from None
    check(root.tag == "s-q-omega", f"its root element is <{root.tag}>, not <s-q-omega>")
    is_log = root.get("S-value-log", "false").lower() not in ("false", "0", "no")
    check(not is_log, "its S are logarithms (S-value-log): convert them")
    q_unit = root.get("q-unit", "").replace("AA", "angstrom").replace("^-1", "")
    check(q_unit in ("angstrom", "1/angstrom", "nm", "1/nm"), f"its q is in {q_unit!r}")
    per_q = 10.0 if q_unit.endswith("angstrom") else 1.0  # 1/nm
    omega_unit = root.get("omega-unit", "").strip()
    inverse = re.fullmatch(r"1\s*/\s*\[?([^\[\]]*)\]?", omega_unit)
    check(inverse, f"its omega is in {omega_unit!r}, not an inverse time")
    frequency = 1 / _time(inverse[1] if inverse else "")
    time = _time(root.get("S-unit", ""))
    rows = [
        [_value(node, name) for name in ("q", "omega", "S", "error")]
        for node in root.iter("SQomega")
    ]
    check(rows, "it has no points")
    table = np.array(rows, dtype=float)
    Q, w, (values, std) = as_map(table, ("q", "omega"))
    counts = [root.get(f"n-{name}-points") for name in ("q", "omega")]
    stated = [None if n is None else int(n) for n in counts]
    right = all(n in (None, m) for n, m in zip(stated, values.shape, strict=True))
    check(right, f"it has {Q.size} q and {w.size} omega, not {counts}")
    measured_values, errors = measured(values, std)
    # One rad/ps is ħ/ps; S dω is a pure number.
    to_mev = convert_factor("rad/ps", "meV", energy=True, frequency="angular")
    values, errors, _ = density_per_mev(
        measured_values * time,
        None if errors is None else errors * time,
        axis=to_mev,
    )
    remark = " ".join((root.findtext("description") or "").split())
    attrs = {"source": f"MDMC file {path.name}"} | (
        {"comment": remark} if remark else {}
    )
    return new_dataset(
        "dynamic_structure_factor",
        values,
        std=errors,
        units="1/meV",
        coords={
            "Q": (Q * per_q / 10, "1/angstrom"),
            "E": (w * frequency * to_mev, "meV"),
        },
        temperature=T,
        statistics=statistics or "unknown",
        attrs=attrs,
    )


def _time(text: str) -> float:
    """Return a time such as ``0.1ps`` or ``10^-13 s`` in ps."""
    found = _TIME.fullmatch(text.strip())
    check(found, f"{text!r} is not a time, such as 0.1ps or 10^-13 s")
    assert found is not None
    power = (found[1] or "1").replace("10^", "1e").replace("10-", "1e-")
    value = float(power) * _SECONDS[found[2]]
    check(value > 0, f"{text!r} is not a positive time")
    return value


def _value(node: ElementTree.Element, name: str) -> float:
    """Return an attribute as a number; NaN where there are no data."""
    text = (node.get(name) or "").strip()
    missing = name in ("S", "error") and _MISSING in (node.get("S"), text)
    value = float("nan") if missing else number(text)
    check(value is not None, f"{name}={text!r} is not a number")
    return float("nan" if value is None else value)


MdmcBackend = FORMAT.backend()
