"""The architecture, held: imports point down, never in circles, never hidden inside functions."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import xbp

PACKAGE = Path(xbp.__file__).parent
LAYERS = (
    {"core"},
    {"errors"},
    {"models"},
    {"fitting", "reduction"},
    {"md", "io", "tutorial", "data"},
    {"analysis", "summary", "missing"},
    {"plot"},
    {"study", "demo"},
    {"accessor", "recipe", "cli", "shell"},
)
OPTIONAL = {"matplotlib", "bokeh"}
MODULES = sorted(
    p
    for p in PACKAGE.rglob("*.py")
    if p.parent.name != "data" or p.name == "__init__.py"
)


def rank(module: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if module in layer)


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        if node.module == "xbp":
            return [f"xbp.{alias.name}" for alias in node.names]
        # `from xbp.io import netcdf` imports the module xbp.io.netcdf, not the package.
        folder = PACKAGE.parent.joinpath(*str(node.module).split("."))
        return [
            f"{node.module}.{a.name}"
            if (folder / f"{a.name}.py").exists() or (folder / a.name).is_dir()
            else str(node.module)
            for a in node.names
        ]
    return []


@functools.cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Parse a module once, for all tests of it."""
    return list(ast.walk(ast.parse(path.read_text())))


@pytest.mark.slow
@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    part = part_of(path)
    if part in ("__init__", "cli", "recipe"):
        return  # the top: they may see everything
    for node in nodes_of(path):
        for name in imported(node):
            if name.startswith("xbp."):
                target = name.split(".")[1]
                assert target == part or rank(target) <= rank(part), (
                    f"{path.name} imports {name} from above"
                )
                assert (
                    target == part
                    or target in LAYERS[rank(part)]
                    or rank(target) < rank(part)
                )


@pytest.mark.slow
def test_no_circles() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        name = ".".join(
            ("xbp", *path.relative_to(PACKAGE).with_suffix("").parts)
        ).removesuffix(".__init__")
        names = {n for node in nodes_of(path) for n in imported(node)}
        graph[name] = {n for n in names if n.startswith("xbp.")}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name in done:
            return
        for target in graph.get(name, ()):
            visit(target, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.slow
@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_stand_at_the_top(path: Path) -> None:
    functions = [
        n
        for n in nodes_of(path)
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for function in functions:
        for node in ast.walk(function):
            for name in imported(node):
                assert name.split(".")[0] in OPTIONAL, (
                    f"{path.name}:{function.name} hides an import of {name}"
                )


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_are_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 500


#: Third-party modules that take long to import: `import scipy` gives `scipy.stats` when
#: it is used; and the packages of xbp, each imported when it is first used.
HEAVY = (
    "scipy.stats", "scipy.optimize", "lmfit.model", "matplotlib", "distributed",
    "xbp.analysis", "xbp.fitting", "xbp.io", "xbp.md", "xbp.models", "xbp.plot", "xbp.reduction", "xbp.study",
)  # fmt: skip


@pytest.mark.slow
def test_importing_xbp_leaves_heavy_packages_alone() -> None:
    code = f"import sys, xbp; print(*[m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


@pytest.mark.slow
def test_an_operation_imports_its_own_package_alone() -> None:
    code = (
        "import sys, xbp; xbp.to_gdos; "
        "print(*[m for m in ('xbp.reduction', 'xbp.md', 'xbp.plot') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["xbp.reduction"]
