"""Write what follows from the code: types, index of operations, and the map.

xbp/accessor.pyi has the types of the accessors, xbp/core/index.py the module of each
operation, CONTRIBUTING.md the first line of every module. `python .ci/make_stub.py`
writes them; tests/test_accessor.py checks that they are current.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import get_origin

import xbp
from xbp.core.operation import Operation, registered_operations

ROOT = Path(xbp.__file__).parent
PAGE = ROOT.parent / "CONTRIBUTING.md"
#: A folder, the head of its table, and the rows.
FOLDER = re.compile(r"(`(xbp/[\w/]*)`.*\n\n\| file \|.*\n\|[-|]+\|\n)((?:\|.*\n)+)")
HEAD = '''"""Types of the accessors; made by .ci/make_stub.py, not by hand."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, Union, overload

import numpy
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from xbp.core.data import Data
from xbp.core.status import Diagnostic
from xbp.md.long_runs import Cost
from xbp.models.model import Model
from xbp.plot.explorer import Explorer

class PlotAccessor:
    def __init__(self, data: xr.DataArray | xr.Dataset) -> None: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Draw the figure that suits these data."""
{plot}
class BosonPeakAccessor(Generic[Data]):
    def __init__(self, data: Data) -> None: ...
    @property
    def plot(self) -> PlotAccessor: ...
{data}
class StudyAccessor:
    def __init__(self, tree: xr.DataTree) -> None: ...
{study}
@overload
def bp(data: xr.DataTree) -> StudyAccessor: ...
@overload
def bp(data: Data) -> BosonPeakAccessor[Data]: ...
'''


INDEX = '''"""Where each operation is defined; made by .ci/make_stub.py, not by hand.

``import xbp`` imports none of these modules: each is imported when one of its
operations is first used.
"""

from typing import Final, Literal

Where = Literal["data", "plot", "study"]

MODULES: Final[dict[Where, dict[str, str]]] = {{
{rows}}}
'''


def operations() -> list[Operation]:
    """Import every module of xbp that has operations, and return these by name."""
    for path in sorted(ROOT.rglob("*.py")):
        if "\n@operation(" in path.read_text(encoding="utf-8"):
            parts = path.relative_to(ROOT.parent).with_suffix("").parts
            importlib.import_module(".".join(parts))
    return sorted(registered_operations(), key=lambda one: one.name)


def generated() -> dict[Path, str]:
    """Return the text of each file that follows from the registry."""
    methods: dict[str, list[str]] = {"data": [], "plot": [], "study": []}
    modules: dict[str, list[str]] = {"data": [], "plot": [], "study": []}
    for one in operations():
        methods[one.where].append(_method(one))
        modules[one.where].append(
            f'        "{one.name}": "{one.function.__module__.removeprefix("xbp.")}",\n'
        )
    rows = "".join(
        f'    "{where}": {{\n{"".join(lines)}    }},\n'
        for where, lines in modules.items()
    )
    stub = HEAD.format(**{where: "".join(text) for where, text in methods.items()})
    return {
        ROOT / "accessor.pyi": stub,
        ROOT / "core" / "index.py": INDEX.format(rows=rows),
        PAGE: FOLDER.sub(_of_folder, PAGE.read_text(encoding="utf-8")),
    }


def _of_folder(found: re.Match[str]) -> str:
    """Return the table of a folder: docstrings of modules, other rows as they are."""
    head, folder, table = found.groups()
    by_hand = re.findall(r"(\| `(?:__init__\.\w+|\S+\.(?!py`)\w+)` .*\n)", table)
    rows = [
        f"| `{path.name}` | {_summary(path)} |\n"
        for path in (ROOT.parent / folder).glob("*.py")
        if path.name != "__init__.py"
    ]
    return head + "".join(sorted(rows + by_hand))


def _summary(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def _method(one: Operation) -> str:
    parts, star = ["self"], False
    for p in list(one.signature.parameters.values())[1:]:
        if p.kind is p.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        before = {p.VAR_KEYWORD: "**", p.VAR_POSITIONAL: "*"}.get(p.kind, "")
        star |= p.kind is p.VAR_POSITIONAL
        default = "" if p.default is p.empty else " = ..."
        parts.append(f"{before}{p.name}: {_plain(p.annotation, one)}{default}")
    returns = _plain(one.signature.return_annotation, one)
    summary = (inspect.getdoc(one.function) or "").partition("\n")[0]
    return (
        f"    def {one.name}({', '.join(parts)}) -> {returns}:\n"
        f'        """{summary}\n\n        See `{one.path}`.\n        """\n'
    )


def _plain(annotation: str, one: Operation) -> str:
    """Write an annotation with its aliases replaced by what they stand for."""
    known = vars(sys.modules[one.function.__module__])

    class Expand(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            value = known.get(node.id, getattr(builtins, node.id, None))
            if get_origin(value) is None:
                return node
            text = repr(value).replace("typing.", "").replace("collections.abc.", "")
            text = text.replace("random._generator.", "random.")
            return ast.parse(text, mode="eval").body

    return ast.unparse(Expand().visit(ast.parse(annotation, mode="eval")))


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
