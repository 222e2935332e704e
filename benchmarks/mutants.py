"""Random mutants of the numerical code, each run against its tests.

``python benchmarks/mutants.py --out FOLDER``.

A mutant is one small change in a copy of the package: an operator or a comparison
swapped, a constant moved by one or doubled, a sign or a factor dropped, ``and`` for
``or``, returned values swapped. It is killed if the module's own tests (doctests,
mirror tests, then tests/properties) fail on it, or take ten times their usual time.
Which mutants are drawn follows from the seed; what was run stands in
FOLDER/results.jsonl, and the same call goes on from there.

Mutants that compute the same, which no test can see, are listed with the reason in
``equivalent_mutants.txt``. ``--again`` runs the survivors once more, with the tests and
the code as they are now.

Needs a system with fork, and a Python in which xbp's test dependencies are installed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("models", "reduction", "peaks")
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.txt")

_COMPARE = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_BINARY = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


_FAILED = ("FAILED", "ERROR")


@dataclass(frozen=True)
class Mutant:
    """One change: the file, the function in it, what stands there, what is put there, and where."""

    file: str
    function: str
    before: str
    after: str
    count: int
    span: tuple[int, int]

    @property
    def key(self) -> str:
        """A name that stays the same where lines move."""
        return (
            f"{self.file}::{self.function}::{self.before} -> {self.after} #{self.count}"
        )


def mutants_of(path: Path, file: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of the source."""
    text = path.read_text(encoding="utf-8")
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for function, node, changed in _changes(ast.parse(text), "module"):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        span = (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )
        before, after = ast.unparse(node), f"({ast.unparse(changed)})"
        if isinstance(node, ast.Return):
            after = ast.unparse(changed)
        seen[function, before, after] += 1
        found.append(
            Mutant(file, function, before, after, seen[function, before, after], span)
        )
    return found


def _changes(
    node: ast.AST, function: str
) -> Iterator[tuple[str, ast.expr | ast.Return, ast.AST]]:
    """Walk the code that computes: not its messages, types, docstrings and imports."""
    if isinstance(
        node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom
    ):
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = node.name if function == "module" else f"{function}.{node.name}"
    if isinstance(node, ast.expr | ast.Return):
        for changed in _changed(node):
            yield function, node, changed
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _changes(child, function)


def _changed(node: ast.expr | ast.Return) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[op]):
            for table in (_COMPARE, _TURNED):
                if type(op) in table:
                    yield ast.Compare(node.left, [table[type(op)]()], node.comparators)
        case ast.BinOp():
            if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                return
            if type(node.op) in _BINARY:
                yield ast.BinOp(node.left, _BINARY[type(node.op)](), node.right)
            if isinstance(node.op, ast.Mult | ast.Div | ast.Pow):
                yield node.left
            if isinstance(node.op, ast.Mult):
                yield node.right
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield from (ast.Constant(node.value + 1), ast.Constant(node.value - 1))
        case ast.Constant(value=float()):
            yield ast.Constant(2 * node.value if node.value else 1.0)
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield node.operand
        case ast.BoolOp():
            yield ast.BoolOp(
                ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values
            )
        case ast.Return(value=ast.Tuple(elts=[first, second, *rest])):
            yield ast.Return(ast.Tuple([second, first, *rest], ast.Load()))
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)


def tests_of(file: str, root: Path) -> list[str]:
    """Return the mirror tests of a module.

    Of one that has none, those of the modules that import it.
    """
    found: dict[str, None] = {}
    waiting, seen = [file], {file}
    while waiting:
        package, name = Path(waiting.pop()).parts[-2:]
        mirror = f"tests/{package}/test_{name}"
        if (root / mirror).is_file():
            found[mirror] = None
            continue
        module = f"xbp.{package}.{name.removesuffix('.py')}"
        for part in PACKAGES:
            for path in sorted((root / "xbp" / part).glob("*.py")):
                other = f"xbp/{part}/{path.name}"
                if (
                    other not in seen
                    and path.name != "__init__.py"
                    and f"from {module} import" in path.read_text()
                ):
                    seen.add(other)
                    waiting.append(other)
    return list(found)


def run_tests(tree: Path, arguments: list[str], limit: float) -> tuple[str, str]:
    """Run pytest in a child of this process, which has imported what xbp needs and not xbp.

    Returns
    -------
    str, str
        ``"passed"``, ``"failed"`` or ``"time"``, and the first test that failed.
    """
    log = tree.parent / "last.log"
    child = os.fork()
    if child == 0:
        os.setsid()
        code = 99
        try:
            os.chdir(tree)
            sys.path.insert(0, str(tree))
            sys.dont_write_bytecode = True
            os.environ["PYTHONPATH"] = str(tree)
            import pytest

            with (
                log.open("w") as stream,
                redirect_stdout(stream),
                redirect_stderr(stream),
            ):
                quiet = [
                    "-W",
                    "ignore::pytest.PytestAssertRewriteWarning",
                    "-p",
                    "no:cacheprovider",
                    "--timeout=0",
                ]
                code = pytest.main([*arguments, "-x", "-q", "-n", "0", *quiet])
        except BaseException:
            log.write_text(traceback.format_exc())
        finally:
            os._exit(int(code))
    end = time.monotonic() + limit
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if os.waitstatus_to_exitcode(status) == 0:
                return "passed", ""
            lines = [
                line
                for line in log.read_text(errors="replace").splitlines()
                if line.startswith(_FAILED)
            ]
            return "failed", lines[0][
                :200
            ] if lines else f"ended with {os.waitstatus_to_exitcode(status)}"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time", ""


def preload() -> None:
    """Import what takes long, once for all children."""
    import dask.array
    import hypothesis
    import lmfit
    import matplotlib
    import netCDF4
    import pint
    import pytest
    import scipy.integrate
    import scipy.optimize
    import scipy.sparse.linalg
    import scipy.stats
    import xarray

    assert all(
        (dask, hypothesis, lmfit, matplotlib, netCDF4, pint, pytest, scipy, xarray)
    )
    assert "xbp" not in sys.modules


def copy_tree(tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    for part in ("xbp", "tests", "benchmarks"):
        shutil.copytree(
            ROOT / part,
            tree / part,
            ignore=shutil.ignore_patterns("__pycache__", ".part"),
        )
    shutil.copy(ROOT / "pyproject.toml", tree)


def equivalent() -> dict[str, str]:
    """Return the mutants that compute the same, with the reason."""
    lines = (
        EQUIVALENT.read_text(encoding="utf-8").splitlines()
        if EQUIVALENT.is_file()
        else []
    )
    pairs = [
        line.split("  # ", 1) for line in lines if line and not line.startswith("#")
    ]
    return {key.strip(): reason for key, reason in pairs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Mutants of the numerical code against its tests."
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder of the results; the same folder goes on",
    )
    parser.add_argument("--n", type=int, default=300, help="number of mutants")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument(
        "--packages", nargs="*", default=list(PACKAGES), help="in this order"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="run the survivors once more, with today's tests",
    )
    parser.add_argument("--list", action="store_true", help="only print what was found")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "results.jsonl"
    lines = record.read_text().splitlines() if record.is_file() else []
    results = {row["key"]: row for row in map(json.loads, lines)}
    if not options.list:
        tree = options.out / "tree"
        if options.again or not tree.is_dir():
            copy_tree(tree)
        _run_all(options, tree, results, record)
    same = equivalent()
    survivors = [key for key, row in results.items() if row["status"] == "survived"]
    set_aside = [key for key in survivors if key in same]
    killed = sum(row["status"] == "killed" for row in results.values())
    counted = len(results) - len(set_aside)
    print(
        f"{len(results)} run, {killed} killed ({100 * killed / max(1, counted):.1f} "
        "% of those that differ), "
        f"{len(set_aside)} equivalent, {len(survivors) - len(set_aside)} survived:"
    )
    for key in survivors:
        if key not in same:
            print(" ", key)


def _run_all(
    options: argparse.Namespace,
    tree: Path,
    results: dict[str, dict[str, str]],
    record: Path,
) -> None:
    kept = options.out / "original.json"
    if kept.is_file():
        name, text = json.loads(kept.read_text())
        (tree / name).write_text(text)
    every = [
        mutant
        for package in PACKAGES
        for path in sorted((tree / "xbp" / package).glob("*.py"))
        if path.name != "__init__.py"
        for mutant in mutants_of(path, f"xbp/{package}/{path.name}")
    ]
    drawn = random.Random(options.seed).sample(every, min(options.n, len(every)))
    if options.again:
        drawn = [m for m in every if results.get(m.key, {}).get("status") == "survived"]
    order = {package: i for i, package in enumerate(options.packages)}
    drawn = [m for m in drawn if m.file.split("/")[1] in order]
    drawn.sort(key=lambda m: (order[m.file.split("/")[1]], m.file, m.span))
    print(f"{len(every)} possible, {len(drawn)} to run", flush=True)
    preload()
    usual: dict[str, float] = {}
    for number, mutant in enumerate(drawn, start=1):
        if mutant.key in results and not options.again:
            continue
        stages = [[mutant.file, *tests_of(mutant.file, tree)], ["tests/properties"]]
        for stage in stages:
            if " ".join(stage) not in usual:
                begin = time.monotonic()
                status, failed = run_tests(tree, stage, 1800)
                if status != "passed":
                    raise SystemExit(
                        f"without a mutant, {stage} does not pass: {failed}"
                    )
                usual[" ".join(stage)] = time.monotonic() - begin
        path = tree / mutant.file
        original = path.read_bytes()
        begin = time.monotonic()
        try:
            # Kept aside: where this process is killed, the next one restores it.
            kept.write_text(json.dumps([mutant.file, original.decode()]))
            path.write_bytes(
                original[: mutant.span[0]]
                + mutant.after.encode()
                + original[mutant.span[1] :]
            )
            status, failed = "passed", ""
            for stage in stages:
                status, failed = run_tests(
                    tree, stage, 30 + 10 * usual[" ".join(stage)]
                )
                if status != "passed":
                    break
        finally:
            path.write_bytes(original)
            kept.unlink()
        row = {
            "key": mutant.key, "status": "survived" if status == "passed" else "killed", "by": failed or status,
            "seconds": f"{time.monotonic() - begin:.1f}",
        }  # fmt: skip
        results[mutant.key] = row
        with record.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        print(
            f"{number}/{len(drawn)} {row['status']} {row['seconds']} s  {mutant.key}  "
            f"{failed[:90]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
