"""Pages of the documentation that are made from the package.

Reference, gallery, the notebooks of the tutorial.
"""

from __future__ import annotations

import base64
import inspect
import re
import shutil
import struct
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import nbformat
from nbclient import NotebookClient

import xbp
from xbp import cli
from xbp.core.operation import all_operations

HERE = Path(__file__).parent
#: What stands for the address, written so that the check before a release passes over it.
PLACEHOLDER = "REPLACE" + "-ME"

#: Pixels of a page for each inch of a figure: those of the figures of notebooks.
PER_INCH = 100
#: Figures that are wider, in pixels, have a row of the gallery for themselves.
ROW = 720

#: Title of a page, and the packages whose functions stand on it.
GROUPS = (
    (
        "Reduction",
        "reduction",
        ("xbp.reduction",),
        "From what was measured or simulated to G(Q,E), B(Q,E) and cuts.",
    ),
    (
        "Analysis",
        "analysis",
        ("xbp.analysis", "xbp.fitting", "xbp.study.series"),
        "Positions, dispersion, scaling with S(Q), phonons, heat capacities, fields "
        "compared.",
    ),
    (
        "Files and data",
        "files",
        ("xbp.io", "xbp.core.construct", "xbp.tutorial"),
        "Opening, making and archiving.",
    ),
)
#: Modules listed with all that they export.
MODULES = (
    ("Molecular dynamics", xbp.md),
    ("Glasses in LAMMPS", xbp.md.lammps),
    ("Lattice dynamics at any wave vector", xbp.md.lattice),
    ("Trajectories with known answers", xbp.md.models),
    ("Models", xbp.models),
    ("Figures", xbp.plot),
    ("Embedded data", xbp.tutorial),
    ("Errors", xbp.errors),
)


def public_names() -> dict[str, object]:
    """Return every public object of xbp by its full name."""
    modules = (xbp, *(module for _, module in MODULES))
    names = {f"{m.__name__}.{n}": getattr(m, n) for m in modules for n in m.__all__}
    return {
        name: thing
        for name, thing in names.items()
        if not isinstance(thing, ModuleType)
    }


def accessor_methods() -> list[str]:
    """Return the names of the methods of ``.bp``."""
    return sorted(one.name for one in all_operations() if one.where == "data")


def reference_pages() -> dict[str, str]:
    """Return the text of each page of the reference, by its name."""
    here = {
        n: getattr(xbp, n)
        for n in xbp.__all__
        if not isinstance(getattr(xbp, n), ModuleType)
    }
    pages: dict[str, str] = {}
    for title, page, packages, says in GROUPS:
        names = [n for n, f in here.items() if f.__module__.startswith(packages)]
        pages[page] = _page(title, says, [("xbp", names)])
    placed = {
        n
        for n, f in here.items()
        if any(f.__module__.startswith(p) for _, _, p, _ in GROUPS)
    }
    pages["others"] = _page(
        "Others",
        "What belongs to none of these.",
        [("xbp", sorted(set(here) - placed))],
    )
    for title, module in MODULES:
        names = [
            n for n in module.__all__ if not isinstance(getattr(module, n), ModuleType)
        ]
        constants = [n for n in names if not callable(getattr(module, n))]
        text = _page(
            title,
            inspect.getdoc(module) or "",
            [(module.__name__, [n for n in names if n not in constants])],
        )
        pages[module.__name__] = text + "".join(
            _constant(module.__name__, n, getattr(module, n)) for n in constants
        )
    pages["xbp.models"] += model_table()
    methods = accessor_methods()
    figures = sorted(one.name for one in all_operations() if one.where == "plot")
    pages["accessor"] = (
        _title("The accessor .bp")
        + "``import xbp`` puts ``.bp`` on every DataArray and Dataset. Each method is "
        "the function of the same name,\n"
        "the data being its first argument; a Dataset carries standard deviations "
        "along, a DataArray values alone.\n"
        "Methods of a Dataset are listed; those of a DataArray are the same.\n\n"
        + _table(
            "xarray",
            [f"Dataset.bp.{n}" for n in methods],
            template="autosummary/accessor_method.rst",
        )
        + _title("Figures: .bp.plot", "-")
        + "Each method of ``.bp.plot`` is the function of the same name in "
        "``xbp.plot``.\n\n"
        + _table("xbp.accessor", [f"PlotAccessor.{n}" for n in figures])
    )
    return pages


def model_table() -> str:
    """Return the table of the models by name, from their rows in the catalogue."""
    lines = [
        _title("Models by name", "-"),
        "``xbp.models.evaluate(name, x, ...)`` gives labelled data, "
        "``data.bp.fit(name)`` a fit, ``xbp.models.lmfit_model(name)`` an lmfit Model.\n"
        "Units of parameters: x those of the axis, y those of the values.\n\n"
        ".. list-table::\n   :header-rows: 1\n\n"
        "   * - name\n     - what, and its source\n     - quantity\n"
        "     - parameters, their units and meaning\n",
    ]
    for row in xbp.models.MODELS.values():
        axis = f"; x in {row.x_units}" if row.x_units else ""
        axis += f", y in {row.y_units}" if row.y_units else ""
        units = "; ".join(
            f"{name} ({rule.replace('*', '·')}): {row.meaning[name]}"
            for name, rule in row.parameters.items()
        )
        cells = (f"``{row.name}``", row.about, f"``{row.quantity}``", units + axis)
        lines.append("   * - " + "\n     - ".join(cells) + "\n")
    return "".join(lines) + "\n"


def write_reference(folder: Path) -> None:
    """Write the pages of the reference anew."""
    shutil.rmtree(folder, ignore_errors=True)  # what is public no more has no page
    folder.mkdir(parents=True)
    for name, text in reference_pages().items():
        _write(folder / f"{name}.rst", text)


def write_commands(path: Path) -> None:
    """Write the help of every command."""
    parts = []
    for name, command in cli.main.commands.items():
        context = click.Context(command, info_name=f"xbp {name}", max_content_width=80)
        context.terminal_width = 80
        parts.append(f"## xbp {name}\n\n```text\n{command.get_help(context)}\n```\n")
    _write(path, "\n".join(parts))


def write_gallery(docs: Path, folder: Path) -> None:
    """Write the page of every figure, of the notebooks that have been run and of the guides, with links to them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    parts = [
        "# Gallery\n\nEvery figure of the tutorials with the code of its cell, and those of "
        "the guides; a figure leads to its page.\n"
    ]
    notebooks = (docs / "tutorial").glob("*.ipynb")
    for path in sorted(notebooks, key=lambda p: int(p.name.partition("_")[0])):
        figures = list(_figures(path))
        if figures:
            first = nbformat.read(path, as_version=4).cells[0].source
            parts.append(
                f"## {first.splitlines()[0].lstrip('# ')}\n\n:::::{{container}} gallery\n"
            )
            for i, (title, code, image) in enumerate(figures):
                name = f"{path.stem}_{i}.png"
                (folder / name).write_bytes(image)
                target = f"../tutorial/{path.stem}.html"
                both = _figure(name, title, target) + _folded(code)
                width = struct.unpack(">I", image[16:20])[0]
                whole_row = " row" if width > ROW else ""
                parts.append(f"::::{{container}} one{whole_row}\n{both}::::\n")
            parts.append(":::::\n")
    parts.append("## The guides\n\n:::::{container} gallery\n")
    shown: set[str] = set()
    for page in sorted(
        (*docs.glob("*.md"), *docs.glob("howto/*.md")),
        key=lambda p: (p.name == "benchmarks.md", p.name),
    ):
        for alt, image in re.findall(
            r"!\[([^\]]*)\]\((?:\.\./)?(images/[^)]+)\)", page.read_text()
        ):
            if image not in shown:
                shown.add(image)
                target = page.relative_to(docs).with_suffix(".html")
                one = _figure(f"../{image}", alt, f"../{target.as_posix()}")
                whole_row = (
                    " row" if PER_INCH * width_in_inches(docs / image) > ROW else ""
                )
                parts.append(f"::::{{container}} one{whole_row}\n{one}::::\n")
    parts.append(":::::\n")
    _write(folder / "figures.md", "\n".join(parts))


def _figures(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Give the figures of a notebook: the caption of each, its cell, and its PNG.

    The caption is the heading above it, below that of the notebook, and what draws it.
    """
    cells, heading = nbformat.read(path, as_version=4).cells, ""
    name = cells[0].source.splitlines()[0].lstrip("# ")
    for cell in cells:
        if cell.cell_type == "markdown":
            below = re.findall(r"^##+ (.*)", cell.source, re.M)
            heading = below[0] if below else heading
            continue
        drawn = dict.fromkeys(re.findall(r"\.bp\.plot(?:\.\w+)?(?=\()", cell.source))
        title = ": ".join(filter(None, (heading, ", ".join(f"`{d}`" for d in drawn))))
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                image = base64.b64decode(output.data["image/png"])
                yield title or name, cell.source, image


def width_in_inches(path: Path) -> float:
    """Return the width of an SVG, or of a PNG that states its pixels per metre, else 0."""
    if path.suffix == ".svg" and path.exists():
        stated = re.search(r'<svg[^>]* width="([\d.]+)"', path.read_text())
        return float(stated[1]) / PER_INCH if stated else 0.0
    data = path.read_bytes() if path.suffix == ".png" and path.exists() else b""
    at = data.find(b"pHYs", 0, 1000)
    if at < 0:
        return 0.0
    (pixels,) = struct.unpack(">I", data[16:20])
    (per_metre,) = struct.unpack(">I", data[at + 4 : at + 8])
    return float(pixels / per_metre / 0.0254) if per_metre else 0.0


def _folded(code: str) -> str:
    """Return the code of a figure, which opens where it is pressed."""
    return f":::{{dropdown}} Code\n```python\n{code}\n```\n:::\n"


def _figure(image: str, caption: str, target: str) -> str:
    return (
        f"```{{figure}} {image}\n:target: {target}\n:alt: "
        f"{caption.replace('`', '')}\n\n{caption}\n```\n"
    )


def copy_notebooks(source: Path, folder: Path, *, run: bool) -> None:
    """Copy notebooks into the tutorial with their output.

    That of the tests where they left it, or run here.
    """
    for old in folder.glob("*.ipynb"):
        old.unlink()
    found = sorted(source.glob("*.ipynb"))
    if not found:
        raise FileNotFoundError(f"no notebooks in {source}")
    for path in found:
        notebook = nbformat.read(path, as_version=4)
        if run:
            # Figures whatever the environment says of matplotlib.
            inline = nbformat.v4.new_code_cell("%matplotlib inline")
            notebook.cells.insert(0, inline)
            with tempfile.TemporaryDirectory() as elsewhere:
                NotebookClient(
                    notebook, timeout=300, resources={"metadata": {"path": elsewhere}}
                ).execute()
            del notebook.cells[0]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = re.sub(r"`docs/([\w/]+\.md)`", _link, cell.source)
        notebook.cells.append(nbformat.v4.new_markdown_cell(_ways_to_run(path.name)))
        nbformat.write(notebook, folder / path.name)


def _ways_to_run(name: str) -> str:
    """Return how to run a notebook: by download, and by Binder once there is a repository."""
    text = f"{{download}}`Download this notebook <{name}>`, and run it with JupyterLab"
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    link = binder(project["urls"]["Repository"], name)
    return text + (f", or [open it in Binder]({link})." if link else ".")


def binder(repository: str, name: str) -> str:
    """Return where Binder opens a notebook, or nothing while the address is not known."""
    if PLACEHOLDER in repository:
        return ""
    place = repository.removeprefix("https://github.com/").strip("/")
    return f"https://mybinder.org/v2/gh/{place}/HEAD?labpath=notebooks%2F{name}"


def _link(page: re.Match[str]) -> str:
    """Return a link from a notebook to a page, which the repository's path named."""
    title = (HERE / page[1]).read_text().partition("\n")[0].lstrip("# ")
    return f"[{title}](../{page[1]})"


def _page(title: str, says: str, tables: list[tuple[str, list[str]]]) -> str:
    return _title(title) + says + "\n\n" + "".join(_table(*t) for t in tables)


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _table(module: str, names: list[str], template: str = "") -> str:
    if not names:
        return ""
    head = f".. currentmodule:: {module}\n\n.. autosummary::\n   :toctree: generated\n"
    head += f"   :template: {template}\n" if template else ""
    return head + "\n" + "".join(f"   {n}\n" for n in names) + "\n"


def _constant(module: str, name: str, value: object) -> str:
    """Describe a dictionary: its keys are what a user needs to know."""
    keys = (
        ", ".join(f"``{key}``" for key in value)
        if isinstance(value, dict)
        else repr(value)
    )
    return f".. py:data:: {name}\n   :module: {module}\n\n   {keys}\n\n"


def _write(path: Path, text: str) -> None:
    # Sphinx reads again what is newer than its pickle: an unchanged page keeps its
    # time.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
