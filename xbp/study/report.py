"""A study as one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from xbp.core.history import parse_history
from xbp.core.numbers import with_error
from xbp.core.operation import operation
from xbp.core.schema import symbol_of
from xbp.core.signal import read
from xbp.core.status import diagnostics, is_poor
from xbp.io.text import write_text
from xbp.plot.style import pyplot
from xbp.study.compare import EinsteinOr, compare
from xbp.study.figures import plot
from xbp.study.leaf import Leaf, leaves_of

__all__ = ["report"]

_STYLE = (Path(__file__).parent / "report.css").read_text("utf-8")
#: What a leaf is, if it is not a signal.
_KINDS = {
    "fit_heat_capacity": "C_p(T), fitted",
    "boson_peak": "peak, fitted before",
    "stated": "stated energy",
}
# Nothing is fetched or run, whatever a file contains.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@operation(takes="study", where="study")
def report(
    study: xr.DataTree,
    path: str | os.PathLike[str],
    *,
    among: Sequence[str] | None = None,
    heat_capacity: EinsteinOr = "peak",
    overwrite: bool = False,
) -> None:
    """Write a study as one HTML page: comparison, figure, provenance of every leaf.

    Parameters
    ----------
    study : xarray.DataTree
        From `new_study`.
    path : path-like
        The file to write.
    among, heat_capacity
        As for `compare`.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        If `study` is not a study, or an argument is not valid.
    FileFormatError
        If the file exists and `overwrite` is False, or if it cannot be written.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from xbp.study import new_study, stated_energy
    >>> energy = stated_energy("5.5 meV", "0.4 meV", reference="<b>doi</b>")
    >>> study = new_study({"ins": energy})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report(study, f"{folder}/report.html")
    ...     page = pathlib.Path(folder, "report.html").read_text(encoding="utf-8")
    >>> "<b>doi</b>" in page, "&lt;b&gt;doi&lt;/b&gt;" in page
    (False, True)
    """
    leaves = leaves_of(study)
    table = compare(study, among, heat_capacity=heat_capacity)
    title = _text(study.attrs.get("title", "Boson-peak study"))
    page = "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{title}</h1>",
            "<h2>Comparison</h2>",
            _comparison(table, {leaf.name: _kind(leaf) for leaf in leaves}),
            _totals(table),
            f"<p>{_figure(study, among, heat_capacity)}</p>",
            "<h2>Provenance</h2>",
            *map(_provenance, leaves),
            "<h2>How it was compared</h2>",
            _history(table.attrs["history"]),
            "</body></html>",
        ]
    )
    write_text(path, [page], overwrite=overwrite)


def _text(value: Any) -> str:
    """Escape a value from a file for use in HTML."""
    return html.escape(str(value))


def _number(value: Any, std: Any = float("nan"), units: str = "") -> str:
    number, error = float(value), float(std)
    if number != number:
        return "–"
    return _together(f"{with_error(number, error)} {units}".strip())


def _error(std: Any) -> str:
    """Format an error that has its own column."""
    return f"{float(std):.2g}" if float(std) > 0 else "–"


def _together(number: str) -> str:
    """Keep a number, its error and its units on one line."""
    return number.replace(" ", "\N{NO-BREAK SPACE}")


def _rows(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    kind: str = "words",
    faint: Sequence[bool] = (),
) -> str:
    """Return an HTML table; the cells are already HTML, and rows can be grey."""
    # On a narrow page every cell is a line of its own, and names its column.
    titles = [re.sub("<[^>]*>", "", cell.replace("<sub>", "_")) for cell in head]
    lines = []
    for row, is_faint in zip(rows, faint or [False] * len(rows), strict=True):
        opened = '<tr class="faint">' if is_faint else "<tr>"
        cells = "".join(
            f'<td data-title="{title}">{cell}</td>'
            for title, cell in zip(titles, row, strict=True)
        )
        lines.append(f"{opened}{cells}</tr>")
    heads = "".join(f"<th>{cell}</th>" for cell in head)
    return (
        '<div class="wide"><table '
        f'class="{kind}"><tr>{heads}</tr>{"".join(lines)}</table></div>'
    )


#: What light is named that measured a spectrum.
_PROBES = {"light": ", Raman", "infrared": ", infrared"}


def _kind(leaf: Leaf) -> str:
    """Name the kind of a leaf: for a spectrum its symbol, and what measured it."""
    if leaf.kind in _KINDS:
        return _KINDS[leaf.kind]
    value = read(leaf.data).value
    probe = _PROBES.get(str(value.attrs.get("probe")), "")
    return f"{symbol_of(value)}{probe}"


def _comparison(table: xr.Dataset, kinds: Mapping[str, str]) -> str:
    head = [
        "leaf",
        "E<sub>BP</sub> (meV)",
        "statistical (meV)",
        "systematic (meV)",
        "status",
        "what it is",
        "fitted",
        "range",
        "χ²/ν",
        "rms residual (%)",
        "box phonon (meV)",
        "compared",
    ]
    rows = []
    for name in table.leaf.values.tolist():
        row = table.sel(leaf=name)
        reach = _range(row, "E", "meV") or _range(row, "temperature", "K") or "–"
        energies = _number(row.energy, row.energy_std)
        # The energy of a heat capacity that is not compared.
        peak_stands = str(row.method.values) != "Einstein modes"
        key, said = (
            ("einstein_energy", "k<sub>B</sub>θ<sub>E</sub>")
            if peak_stands
            else ("dos_peak", "maximum of g/E²")
        )
        if row[key] > 0:
            energies += f"<br>{said} {_number(row[key], row[f'{key}_std'])}"
        left = (
            f"{100 * float(row.relative_residual):.2g}"
            if row.relative_residual > 0
            else "–"
        )
        if is_poor(row):
            left += " (poor)"
        no = ("no: it has no energy", "no: left out")
        rows.append(
            [
                _text(name), energies, _error(row.statistical_std),
                _error(row.systematic_std), _text(row.status.values),
                _text(kinds[name]), _text(row.method.values), reach,
                _number(row.chi2_reduced), left, _number(row.box_phonon),
                "yes" if int(row.compared) else no[bool(row.energy > 0)],
            ]
        )  # fmt: skip
    about = (
        "<p>Errors of E<sub>BP</sub>: √(b² statistical² + systematic²), b² = χ²/ν, at "
        "least 1. Grey: not compared. (poor): the curve misses the data.</p>"
    )
    return _rows(head, rows, "numbers", (table.compared.values == 0).tolist()) + about


def _range(row: xr.Dataset, dim: str, units: str) -> str:
    low, high = float(row[f"{dim}_low"]), float(row[f"{dim}_high"])
    return _together(f"{low:.3g} to {high:.3g} {units}") if low == low else ""


def _totals(table: xr.Dataset) -> str:
    rows = [
        ["energies compared", str(int(table.n_energies))],
        ["spread, largest less smallest", _number(table.spread, units="meV")],
        [
            "largest discrepancy, (E<sub>max</sub> − E<sub>min</sub>)/E<sub>max</sub>",
            _percent(table),
        ],
        ["weighted mean", _number(table.mean_energy, table.mean_energy_std, "meV")],
        [
            "χ² of “all one energy”",
            f"{_number(table.chi2)} with {_degrees(table)} of freedom",
        ],
        ["probability of a larger χ²", _number(table.p_value)],
    ]
    found = (one for one in diagnostics(table) if one.code == "energies_differ")
    rows += [["warning", _text(one.message)] for one in found]
    return _rows(["in all", ""], rows)


def _degrees(table: xr.Dataset) -> str:
    free = int(table.degrees_of_freedom)
    return f"{free} degree{'s' * (free != 1)}"


def _percent(table: xr.Dataset) -> str:
    return _number(
        100 * float(table.discrepancy), 100 * float(table.discrepancy_std), "%"
    )


def _figure(
    study: xr.DataTree, among: Sequence[str] | None, heat_capacity: EinsteinOr
) -> str:
    """Return the figure as HTML: one panel beside another where there is room."""
    with warnings.catch_warnings():
        # Names may contain characters that the font lacks.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        wide, narrow = (
            _png(plot(study, among, heat_capacity=heat_capacity, columns=columns))
            for columns in (None, 1)
        )
    return (
        f'<picture><source media="(max-width: 700px)" srcset="{narrow}">'
        '<img alt="B(E) of every leaf, their energies, and all on one reduced axis" '
        f'src="{wide}"></picture>'
    )


def _png(figure: Any) -> str:
    """Return a figure as the address of a PNG, and close it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    pyplot().close(figure)
    return (
        f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
    )


def _provenance(leaf: Leaf) -> str:
    attrs = {
        k: v
        for k, v in leaf.data.attrs.items()
        if k not in ("history", "Conventions", "xbp_schema")
    }
    cells = {
        key: ", ".join(map(str, value)) if isinstance(value, list) else value
        for key, value in attrs.items()
    }
    about = _rows(
        ["attribute", ""], [[_text(key), _text(value)] for key, value in cells.items()]
    )
    about = f"<details><summary>{len(cells)} attributes</summary>{about}</details>"
    # A history stands with the variable it is of; the Dataset's own is the same or
    # shorter. That of the peak found in a spectrum goes on from there.
    found = leaf.peak(leaf.spectrum()).attrs.get("history")
    known = [
        leaf.data.attrs.get("history"),
        *(v.attrs.get("history") for v in leaf.data.data_vars.values()),
        found,
    ]
    history = max((str(h) for h in known if h is not None), key=len, default="")
    steps = _history(history) if history else "<p>No history is known.</p>"
    return f"<h3>{_text(leaf.name)}</h3>{about}{steps}"


def _history(history: str) -> str:
    rows = []
    for step in parse_history({"history": history}):
        said = [f"{k} = {_argument(k, value)}" for k, value in step.arguments.items()]
        text = ", ".join(said) if step.operation else step.text
        rows.append([_text(step.operation), _text(text), _text(step.version)])
    return _rows(["operation", "arguments", "xbp"], rows)


def _argument(key: str, value: Any) -> str:
    """Format an argument: words, ranges and names as they are, all else as JSON."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(part, str) for part in value)
    ):
        return (" to " if key.endswith("range") and len(value) == 2 else ", ").join(
            value
        )
    return value if isinstance(value, str) else json.dumps(value)
