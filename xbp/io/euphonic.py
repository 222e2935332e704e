"""Euphonic's JSON: densities of states, and powder averages of S(Q,E)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import FileFormatError, QuantityError, shown
from xbp.core.guards import not_used
from xbp.core.units import convert_factor, format_unit, is_energy_like, parse_unit
from xbp.io.guide import Guide, example
from xbp.io.reader import Format
from xbp.io.text import LARGEST, check, header_matches

__all__ = ["FORMAT", "EuphonicBackend", "open_euphonic"]

_HEADER = r'\A\s*\{(?s:.*)"(?:__euphonic_class__|[xy]_data)"\s*:'


def _find(lines: list[str]) -> bool:
    return header_matches(lines, _HEADER)


FORMAT = Format(
    "Euphonic JSON",
    "text",
    _find,
    "it has no '__euphonic_class__'",
    resembles=r'\A\s*\{(?s:.*)"__euphonic_(?:class|version)__"',
    whole=False,
    guide=Guide(
        "neutrons",
        "Euphonic: Spectrum1D, a line of a Spectrum1DCollection, Spectrum2D",
        "g(E) with edges; S(Q,E) of a powder, over |Q|: the file does not say that it "
        "is one, so `powder=True`; a map along a path or a direction is refused",
        example("g", '"dos.json"'),
        asks=("powder", "line", "quantity", "T"),
    ),
)


@FORMAT.reader
def open_euphonic(
    path: Path,
    lines: list[str],
    *,
    powder: bool | None = None,
    line: str | int | None = None,
    quantity: Literal["vibrational_dos", "dynamic_structure_factor"] | None = None,
    T: Any = None,
) -> xr.Dataset:
    """Read a spectrum of Euphonic in JSON.

    Parameters
    ----------
    path : path-like
        File of ``to_json_file``.
    powder : bool, optional
        True for a Spectrum2D whose x is the modulus of Q of a powder average, with the
        Bose factor of `T` in it: neither is recorded.
    line : int or str, optional
        Which line of a Spectrum1DCollection: its number, or its label or species.
    quantity : {"vibrational_dos", "dynamic_structure_factor"}, optional
        What a Spectrum1D is whose values are not per energy alone but, like a neutron-
        weighted density of states and an averaged structure factor, barn per energy.
    T : scalar with units, optional
        Temperature, which the file does not contain (bare: K).

    Returns
    -------
    xarray.Dataset
        ``g(E)`` or ``S(E)`` of a Spectrum1D, ``S(Q,E)`` of a Spectrum2D, statistics
        "quantum", in the units of the file; edges as CF bounds.

    Raises
    ------
    FileFormatError
        If the file is damaged, a dispersion, a map along a path or in one direction, or
        another object of Euphonic.
    QuantityError
        If `powder`, `line` or `quantity` is needed.

    References
    ----------
    R. Fair et al., J. Appl. Cryst. 55, 1689 (2022), doi:10.1107/S1600576722009256.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> content = {"__euphonic_class__": "Spectrum1D", "x_data": [0.0, 1.0, 2.0],
    ...            "x_data_unit": "millielectron_volt", "y_data": [0.2, 0.8],
    ...            "y_data_unit": "1 / millielectron_volt"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "dos.json")
    ...     _ = path.write_text(json.dumps(content))
    ...     g = open_euphonic(path).g
    >>> g.E.values, g.values, g.attrs["units"]
    (array([0.5, 1.5]), array([0.2, 0.8]), '1/meV')
    """
    try:
        content = json.loads("\n".join(lines))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    content = content if isinstance(content, dict) else {}
    kind = content.get("__euphonic_class__")
    ndim = 2 if "z_data" in content else 1
    check(kind or "x_data" in content, "it is not an object of Euphonic")
    if kind not in (None, "Spectrum1D", "Spectrum1DCollection", "Spectrum2D"):
        raise FileFormatError(
            f"{path} is a Euphonic {shown(kind)}, not a spectrum",
            fix="save a Spectrum1D, or a Spectrum2D of a powder",
        )
    missing = {"x_data", "x_data_unit", "y_data", "y_data_unit"} - set(content)
    check(not missing, f"it lacks {', '.join(sorted(missing))}")
    metadata = content.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    attrs = {"source": f"Euphonic {kind or 'spectrum'} file {path.name}"}
    attrs |= {
        f"euphonic_{key}": value for key, value in metadata.items()
        if isinstance(value, str) and key.isidentifier()
    }  # fmt: skip
    given = {"temperature": T, "attrs": attrs}
    if ndim == 2:
        return _map(path, content, metadata, powder, given)
    x, units, y = (content[key] for key in ("x_data", "x_data_unit", "y_data_unit"))
    if not is_energy_like(parse_unit(str(units), like="meV")):
        raise FileFormatError(
            f"the x axis of {path} is in {str(units)!r}, not in units of energy",
            fix="save a density of states",
        )
    values = np.asarray(content["y_data"])
    check(values.dtype.kind in "fiu", "its values are not numbers")
    if values.ndim == 2:
        values = values[_line(path, values, metadata, line)]
    elif line is not None:
        not_used(f"{path} has one line", line=line)
    per = parse_unit(str(y), like="1/meV")
    is_dos = is_energy_like(parse_unit(format_unit(per**-1)))
    if not is_dos and quantity is None:
        raise QuantityError(
            f"{path} is in '{format_unit(per)}' over energy",
            reason="that may be a weighted density of states or a structure factor",
            fix="quantity='vibrational_dos', or 'dynamic_structure_factor'",
        )
    name = quantity or "vibrational_dos"
    statistics = None if name == "vibrational_dos" else "quantum"
    written = format_unit(per)
    if is_dos:  # per unit of the axis
        own, written = format_unit(per**-1), f"1/({units})"
        values = values * convert_factor(str(units), own, energy=True)
    return _dataset(
        name, values, written, {"E": (x, str(units))}, statistics=statistics, **given
    )


def _line(
    path: Path, values: np.ndarray, metadata: Mapping[str, Any], line: str | int | None
) -> int:
    """Return the number of a line of a collection."""
    rows = metadata.get("line_data", [])
    rows = rows if isinstance(rows, list) and len(rows) == len(values) else []
    labels = [
        {str(row[key]) for key in ("label", "species") if key in row}
        if isinstance(row, dict)
        else set()
        for row in rows
    ]
    if isinstance(line, int) and 0 <= line < len(values):
        return int(line)
    found = [i for i, label in enumerate(labels) if line in label]
    if len(found) == 1:
        return found[0]
    names = "; ".join(" ".join(sorted(label)) for label in labels[:6])
    raise QuantityError(
        f"{path} has {len(values)} lines"
        + (f", of which {len(found)} are {line!r}" if found else ""),
        reason=f"they are labelled {names}" if any(labels) else "they have no labels",
        fix="line=0, or one of the labels",
    )


def _map(
    path: Path,
    content: Mapping[str, Any],
    metadata: Mapping[str, Any],
    powder: bool | None,
    given: Mapping[str, Any],
) -> xr.Dataset:
    """Label S(|Q|,E) of a powder."""
    units = parse_unit(str(content["x_data_unit"]), like="1/angstrom")
    is_Q = units.is_compatible_with("1/angstrom")
    is_path = "x_tick_labels" in content or "q_direction" in metadata
    if is_path or not is_Q:
        what = "along a path or one direction of a crystal"
        raise FileFormatError(
            f"{path} is a map {what if is_Q else f'over {format_unit(units)}'}, not "
            "S(|Q|,E)",
            reason="its x is the length of the path" if is_Q and is_path else "",
            fix="average over the directions of Q: euphonic-powder-map",
        )
    if powder is not True:
        raise QuantityError(
            f"{path} does not state whether its x is |Q| of a powder average, nor "
            "whether the Bose factor is in it",
            fix="powder=True, T='300 K' if both are true",
        )
    return _dataset(
        "dynamic_structure_factor",
        np.asarray(content["z_data"]),
        str(content["z_data_unit"]),
        {
            "Q": (content["x_data"], str(content["x_data_unit"])),
            "E": (content["y_data"], str(content["y_data_unit"])),
        },
        statistics="quantum",
        **given,
    )


def _dataset(
    quantity: str,
    values: np.ndarray,
    units: str,
    axes: Mapping[str, tuple[Any, str]],
    **others: Any,
) -> xr.Dataset:
    """Label values over axes that are edges or points."""
    coords, edges = {}, {}
    check(values.dtype.kind in "fiu", "its values are not numbers")
    check(not (np.abs(values) > LARGEST).any(), "some of its values are too large")
    check(values.ndim == len(axes), f"its values have {values.ndim} dimensions")
    for (dim, (given, own)), size in zip(axes.items(), values.shape, strict=True):
        points = np.asarray(given)
        check(points.dtype.kind in "fiu", f"its axis {dim} is not numbers")
        points = points.astype(float)
        check((np.abs(points) <= LARGEST).all(), f"its axis {dim} is not finite")
        check(
            points.ndim == 1 and points.size in (size, size + 1),
            f"its axis {dim} has {points.size} points for {size} values",
        )
        check((np.diff(points) > 0).all(), f"its axis {dim} is not ascending")
        if points.size == size + 1:
            edges[dim] = points
            points = (points[1:] + points[:-1]) / 2
        unit = format_unit(parse_unit(own, like="meV" if dim == "E" else "1/angstrom"))
        coords[dim] = (points, unit)
    return new_dataset(
        quantity,
        values.astype(float),
        units=units,
        coords=coords,
        edges=edges,
        **others,
    )


EuphonicBackend = FORMAT.backend()
