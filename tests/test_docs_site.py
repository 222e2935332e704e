"""What the site makes of the pages: breaks in names, defaults, lines of code, indices."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = DOCS.parent / "notebooks"
LIMIT = 1.5
#: Columns of code that a page shows at its full width.
COLUMNS = 100


def module_of_docs(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def example(
    data: Any, limit: float = LIMIT, level: float = float("1"), flag: bool = True
) -> Any:
    """Take defaults that are a constant's name, an expression and a value."""


@dataclass
class Options:
    names: dict[str, float] = field(default_factory=dict)


def test_signatures_show_the_values_of_constants() -> None:
    autodoc = pytest.importorskip("sphinx.ext.autodoc.preserve_defaults")
    autodoc.update_default_value(example, bound_method=False)
    assert "limit: 'float' = LIMIT" in str(inspect.signature(example))
    show_values = module_of_docs("signatures").show_values
    for thing in (example, Options.__init__):
        show_values(None, thing, False)
    assert str(inspect.signature(example)).endswith(
        "limit: 'float' = 1.5, level: 'float' = float(\"1\"), "
        "flag: 'bool' = True) -> 'Any'"
    )
    assert inspect.signature(Options.__init__).parameters["names"].default == {}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("xbp.boson_peak", ["xbp.", "boson_", "peak"]),
        ("e.g. 0.25 S_std of E_BP_std", ["e.g. 0.25 S_std of E_BP_", "std"]),
    ],
)
def test_names_in_titles_break_between_their_parts(text: str, parts: list[str]) -> None:
    pytest.importorskip("sphinx")
    breaks = module_of_docs("breaks")
    writer = breaks.NamesBreak.__new__(breaks.NamesBreak)
    writer.body, writer.in_mailto, writer.protect_literal_text = [], False, 0
    title = breaks.nodes.title(text, text)
    writer.visit_Text(title[0])
    assert writer.body == ["<wbr>".join(parts)]
    writer.body, writer.protect_literal_text = [], 1
    writer.visit_Text(breaks.nodes.title("", "boson_peak")[0])
    assert writer.body == ['<span class="pre">boson_<wbr>peak</span>']


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("xbp.open_dataset('glass')", ["xbp.", "open_", "dataset(", "'glass')"]),
        ("isel(T=0).bp", ["isel(", "T=0).bp"]),
        ("S(Q,E)", ["S(Q,E)"]),
    ],
)
def test_code_in_running_text_breaks_between_its_parts(
    text: str, parts: list[str]
) -> None:
    pytest.importorskip("sphinx")
    breaks = module_of_docs("breaks")
    writer = breaks.NamesBreak.__new__(breaks.NamesBreak)
    writer.body, writer.in_mailto, writer.protect_literal_text = [], False, 1
    writer.visit_Text(breaks.nodes.paragraph("", text)[0])
    assert writer.body == [f'<span class="pre">{"<wbr>".join(parts)}</span>']
    writer.body, writer.protect_literal_text = [], 0
    writer.visit_Text(breaks.nodes.paragraph("", text)[0])
    assert writer.body == [text]


def test_code_is_as_wide_as_a_page() -> None:
    wide = []
    for page in DOCS.rglob("*.md"):
        for code in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M):
            wide += [(page.name, n) for n in code.splitlines() if len(n) > COLUMNS]
    for path in NOTEBOOKS.glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                lines = "".join(cell["source"]).splitlines()
                wide += [(path.name, n) for n in lines if len(n) > COLUMNS]
    assert not wide


def test_every_index_says_what_its_pages_are_for() -> None:
    for page in {*DOCS.rglob("*.md")} - {DOCS / "index.md"}:
        text = page.read_text()
        described = re.findall(r"^- \{doc\}`([^`]+)`: .{15,}[.?]$", text, re.M)
        for names in re.findall(r"```\{toctree\}\n(.*?)```", text, re.S):
            placed = [n for n in names.splitlines() if n and n[0] != ":"]
            assert described == [n.removesuffix(".rst") for n in placed], page
