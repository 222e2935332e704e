"""Raman spectra exported as XML by Horiba LabSpec."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import numpy as np
import xarray as xr

from xbp.io.guide import Guide, example
from xbp.io.labspec6 import AXES, NAME, TYPE, UNITS, VALUE, VALUES, axis_of, labelled
from xbp.io.reader import Format
from xbp.io.text import check, header_matches, to_numbers

__all__ = ["FORMAT", "LabspecXmlBackend", "open_labspec_xml"]

_HEADER: Final = r"\A\s*(?:<\?xml[^>]*>\s*)?<LSX_Data\b"


def _find(lines: list[str]) -> bool:
    return header_matches(lines, _HEADER)


FORMAT = Format(
    "LabSpec XML",
    "text",
    _find,
    "it has no element <LSX_Data>",
    resembles=r"<LSX_Data\b",
    whole=False,
    guide=Guide(
        "light",
        "Horiba LabSpec 5 and 6: `.xml`",
        "one spectrum, or a line, a map or a series of them, `I(spectrum, E)`; laser, "
        "grating, acquisition time and every other parameter",
        example("I", '"glass.xml", T="295 K"'),
        asks=("T", "laser"),
    ),
)


@FORMAT.reader
def open_labspec_xml(
    path: Path,
    lines: list[str],
    *,
    T: Any = None,
    coordinate_units: str | None = None,
    laser: Any = None,
) -> xr.Dataset:
    """Read Raman spectra exported as XML by Horiba LabSpec.

    Parameters
    ----------
    path : path-like
        The export: a tree of elements ``LSX``, and one ``LSX_Row`` for each spectrum.
    T : scalar with units, optional
        Temperature of the sample (bare: K). That of the detector, and of a stage that
        may not be there, are attributes.
    coordinate_units : str, optional
        Units of the axis, if the file has none.
    laser : scalar with units, optional
        Wavelength of the laser (bare: nm), for an axis in wavelengths.

    Returns
    -------
    xarray.Dataset
        ``I(E)``, or ``I(spectrum, E)`` in the order of the rows; over one further axis,
        its points are beside them, named as it is. Every parameter is an attribute
        ``labspec_...``.

    Raises
    ------
    FileFormatError
        If the file is damaged, rows are missing, or its axis is not that of a Raman
        spectrum.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> text = '''<LSX_Data><LSX_Tree><LSX ID="0x7B697861" Format="9">
    ...  <LSX ID="0x0" Format="9"><LSX ID="0x6D707974" Format="7">Intens</LSX></LSX>
    ...  <LSX ID="0x1" Format="9"><LSX ID="0x6D707974" Format="7">Spectr</LSX>
    ...   <LSX ID="0x7C696E75" Format="7">1/cm</LSX>
    ...   <LSX ID="0x7D6CD4DB" Format="6">20 30</LSX></LSX></LSX></LSX_Tree>
    ...  <LSX_Matrix><LSX_Row Index="0">5 7</LSX_Row></LSX_Matrix></LSX_Data>'''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "glass.xml")
    ...     _ = path.write_text(text)
    ...     I = open_labspec_xml(path).I
    >>> I.values, I.E.values
    (array([5., 7.]), array([20., 30.]))
    """
    content = "\n".join(lines)
    entities = re.search(r"<!(?:DOCTYPE|ENTITY)", content, re.IGNORECASE)
    check(not entities, "it declares XML entities, which are not read")
    content = re.sub(r"\A\s*<\?xml[^>]*\?>", "", content)  # its encoding was used
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is not whole XML ({error})") from None
    nodes = [node for node in root.iter("LSX") if _key(node) == AXES]
    check(len(nodes) == 1, f"it has {len(nodes)} lists of axes")
    axes = {}
    for node in nodes[0]:
        parts: dict[int, Any] = {_key(part): part.text for part in node}
        parts[VALUES] = to_numbers([parts.get(VALUES) or ""], "an axis")
        axes[_key(node)] = axis_of({key: parts.get(key) for key in _PARTS})
    check({0, 1} <= set(axes), f"it has {len(axes)} axes, not intensity and spectrum")
    rows = [
        node for matrix in root.iter("LSX_Matrix") for node in matrix.iter("LSX_Row")
    ]
    check(rows, "it has no intensities")
    indices = [node.get("Index", str(i)) for i, node in enumerate(rows)]
    check(indices == [str(i) for i in range(len(rows))], "its rows are not in order")
    n = axes[1].points.size
    values = np.array([to_numbers([node.text or ""], "a row", size=n) for node in rows])
    others = [axis for key, axis in sorted(axes.items()) if key > 1]
    further = [axis for axis in others if axis.points.size > 1]
    number = np.prod([axis.points.size for axis in further], dtype=int)
    check(number == len(rows), f"it has {len(rows)} rows, its axes {number} places")
    places = {}
    if len(further) == 1:
        name = re.sub(r"\W+", "_", further[0].kind.lower()).strip("_") or "place"
        name = f"{name}_axis" if name in ("e", "time", "temperature") else name
        places[name] = (further[0].points, further[0].units or "1")
    options = {"T": T, "given": coordinate_units, "laser": laser, "places": places}
    return labelled(
        path,
        "LabSpec XML",
        axes[0],
        axes[1],
        values if further else values[0],
        dict(_parameters(root)),
        options,
    )


_PARTS: Final = (TYPE, UNITS, VALUES)


def _key(node: ElementTree.Element) -> int:
    """Return the ID of an element, such as 0x7B697861."""
    text = node.get("ID", "")
    check(re.fullmatch(r"0x[0-9A-Fa-f]{1,8}", text), f"the ID {text!r} is damaged")
    return int(text, 16)


def _parameters(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield name and value of each parameter."""
    for node in root.iter("LSX"):
        parts = {_key(part): part.text or "" for part in node.findall("LSX")}
        if parts.get(NAME) and parts.get(VALUE):
            yield parts[NAME].strip(), parts[VALUE].strip()


LabspecXmlBackend = FORMAT.backend()
