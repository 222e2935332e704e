"""Write xbp/accessor.pyi, the types of the accessors, from the registry of operations.

`python .ci/make_stub.py` writes it; tests/test_accessor.py checks that it is current.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from pathlib import Path
from typing import get_origin

import xbp
from xbp.core.operation import OPERATIONS, Operation

TARGET = Path(xbp.__file__).parent / "accessor.pyi"
HEAD = '''"""Types of the accessors; made by .ci/make_stub.py, not by hand."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, Union, overload

import numpy
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from xbp.core.diagnostic import Diagnostic
from xbp.core.pint_data import Data

class PlotAccessor:
    def __init__(self, data: xr.DataArray | xr.Dataset) -> None: ...
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


def stub() -> str:
    """Return the text of the stub."""
    methods: dict[str, list[str]] = {"plot": [], "data": [], "study": []}
    for one in sorted(OPERATIONS.values(), key=lambda one: one.name):
        methods[one.where].append(_method(one))
    return HEAD.format(**{where: "".join(text) for where, text in methods.items()})


def _method(one: Operation) -> str:
    parts, star = ["self"], False
    for p in list(one.signature.parameters.values())[1:]:
        if p.kind is p.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        before = "**" if p.kind is p.VAR_KEYWORD else ""
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
            return ast.parse(text, mode="eval").body

    return ast.unparse(Expand().visit(ast.parse(annotation, mode="eval")))


if __name__ == "__main__":
    TARGET.write_text(stub())
