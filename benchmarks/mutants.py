"""Random mutants of the numerical code, each run against its tests.

``python benchmarks/mutants.py --out FOLDER``.

A mutant is one small change in a copy of the package: an operator or a comparison
swapped, a constant moved by one or doubled, a sign or a factor dropped, ``and`` for
``or``, returned values swapped. It is killed if the module's own tests (doctests,
mirror tests and those of its importers, then tests/properties) fail on it, or take ten
times their usual time.
The tests that enter the changed function run, the quickest of them first; where none
does, as for a constant of the module, all run. A mutant survives when every one of them
has passed.

Which mutants are drawn, and their order, follows from the seed. Results are appended
to FOLDER/results.jsonl, and the same call continues from there.

Mutants that compute the same, which no test can see, are listed with the reason in
``equivalent_mutants.txt``. Tests marked slow are left out; ``--again`` runs the
other survivors once more, with these too, and with the tests and the code as they are
now. A survivor whose text is no longer in the code is counted as gone.

Needs a system with fork, and a Python in which xbp's test dependencies are installed.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("models", "reduction", "fitting", "analysis")
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


@dataclass(frozen=True)
class Mutant:
    """One change: file, function, the text before and after, and its bytes."""

    file: str
    function: str
    before: str
    after: str
    count: int
    span: tuple[int, int]
    line: int

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
        count = seen[function, before, after]
        found.append(Mutant(file, function, before, after, count, span, node.lineno))
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


def all_mutants(root: Path, packages: Iterable[str]) -> list[Mutant]:
    """Return every mutant of some packages."""
    return [
        mutant
        for package in packages
        for path in sorted((root / "xbp" / package).glob("*.py"))
        if path.name != "__init__.py"
        for mutant in mutants_of(path, f"xbp/{package}/{path.name}")
    ]


def tests_of(file: str, root: Path) -> list[str]:
    """Return the mirror tests of a module, those of its importers, and its other users.

    A user imports from it, or calls one of its public functions.
    """
    package, name = Path(file).parts[-2:]
    own = [f"from xbp.{package}.{name.removesuffix('.py')} import"]
    for node in ast.parse((root / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            own += [f"{prefix}.{node.name}(" for prefix in ("bp", "xbp", "models")]
    users = sorted((root / "tests" / package).glob("test_*.py"))
    found = {
        f"tests/{package}/{path.name}": None
        for path in users
        if any(call in path.read_text(encoding="utf-8") for call in own)
    }
    waiting, seen = [file], {file}
    while waiting:
        importer = waiting.pop()
        package, name = Path(importer).parts[-2:]
        mirror = f"tests/{package}/test_{name}"
        if (root / mirror).is_file():
            found[mirror] = None
            if importer != file:
                continue
        module = f"xbp.{package}.{name.removesuffix('.py')}"
        for part in PACKAGES:
            for path in sorted((root / "xbp" / part).glob("*.py")):
                other = f"xbp/{part}/{path.name}"
                if (
                    other not in seen
                    and path.name != "__init__.py"
                    and f"from {module} import" in path.read_text(encoding="utf-8")
                ):
                    seen.add(other)
                    waiting.append(other)
    return list(found) or [f"tests/{Path(file).parts[1]}"]


class Watch:
    """Pytest plugin: what each test took, and which functions of xbp it entered."""

    def __init__(self, tree: Path) -> None:
        self.folder = f"{tree.resolve()}/"
        self.codes: set[CodeType] = set()
        self.tests: dict[str, dict[str, Any]] = {}
        self.failed: set[str] = set()

    def trace(self, frame: FrameType, event: str, argument: object) -> None:
        """Keep what is called, without a trace of its lines."""
        self.codes.add(frame.f_code)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Begin with a test's fixtures."""
        self.begin = time.process_time()
        self.codes.clear()
        sys.settrace(self.trace)  # type: ignore[arg-type]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep what failed."""
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Keep what the test entered, unless it fails without a mutant too."""
        sys.settrace(None)
        entered = []
        for code in self.codes:
            if code.co_filename.startswith(self.folder + "xbp/"):
                lines = [line for *_, line in code.co_lines() if line]
                name = code.co_filename.removeprefix(self.folder)
                if code.co_name != "<module>":
                    entered.append((name, code.co_firstlineno, max(lines, default=0)))
        seconds = time.process_time() - self.begin
        if nodeid in self.failed:
            return
        self.tests[nodeid] = {"seconds": seconds, "entered": entered}


def run_tests(
    tree: Path, arguments: list[str], limit: float, watch: Path | None = None
) -> tuple[str, str]:
    """Run pytest in a child of this process, which has imported all but xbp itself.

    Parameters
    ----------
    limit : float
        Seconds of processor time.
    watch : Path, optional
        File for what `Watch` has seen.

    Returns
    -------
    str, str
        ``"passed"``, ``"failed"`` or ``"time"``, and the first test that failed.
    """
    log = tree.parent / "last.log"
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        code = 99
        try:
            _pytest_in(tree, arguments, log, watch)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            log.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    end = time.monotonic() + 20 * limit
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            time.sleep(0.05)
            continue
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return "passed", ""
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "time", ""
        lines = log.read_text(errors="replace").splitlines()
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        return "failed", failed[0][:200] if failed else f"ended with {code}"
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time", ""


def _pytest_in(tree: Path, arguments: list[str], log: Path, watch: Path | None) -> None:
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(tree), "CI": "1"}  # the same examples each time
    import pytest

    plugin = Watch(tree)
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning", "--timeout=0"]
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", *quiet]
    with log.open("w") as stream, redirect_stdout(stream), redirect_stderr(stream):
        if watch is None:
            raise SystemExit(pytest.main([*arguments, "-x", *options]))
        code = pytest.main([*arguments, *options], plugins=[plugin])
        # A file without doctests has no tests.
        ran = (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        )
        if code not in ran:
            raise SystemExit(code)
    if plugin.failed:
        print("fail without a mutant, left out:", *sorted(plugin.failed), flush=True)
    watch.write_text(json.dumps(plugin.tests))


def usual_tests(tree: Path, path: str, slow: bool) -> dict[str, dict[str, Any]]:
    """Return what the tests of one file take and enter without a mutant."""
    kept = tree.parent / "usual" / f"{path.replace('/', '+')}{'+slow' * slow}.json"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        marked = [] if slow else ["-m", "not slow"]
        status, failed = run_tests(tree, [path, *marked], 3600, watch=kept)
        if status != "passed":
            kept.unlink(missing_ok=True)
            raise SystemExit(f"without a mutant, {path} does not pass: {failed}")
    found: dict[str, dict[str, Any]] = json.loads(kept.read_text())
    return found


def tests_that_see(mutant: Mutant, tree: Path, slow: bool) -> tuple[list[str], float]:
    """Return the tests that enter it, the quickest first, and their usual seconds."""
    own: dict[str, dict[str, Any]] = {}
    for path in (mutant.file, *tests_of(mutant.file, tree), "tests/properties"):
        own |= usual_tests(tree, path, slow)
    entering = [
        test
        for test, seen in own.items()
        if any(
            file == mutant.file and first <= mutant.line <= last
            for file, first, last in seen["entered"]
        )
    ]
    tests = sorted(entering or own, key=lambda test: own[test]["seconds"])
    return tests, sum(own[test]["seconds"] for test in tests)


def preload() -> None:
    """Import what takes long, once for all children."""
    own = ["h5py", "hypothesis", "lmfit", "netCDF4", "pint", "pytest", "xarray"]
    for name in (*own, "dask.array", "matplotlib.pyplot", "scipy.stats"):
        importlib.import_module(name)
    for name in ("integrate", "optimize", "sparse.linalg"):
        importlib.import_module(f"scipy.{name}")
    assert "xbp" not in sys.modules


def copy_tree(tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    for part in ("xbp", "tests", "benchmarks", "docs"):
        shutil.copytree(
            ROOT / part,
            tree / part,
            ignore=shutil.ignore_patterns("__pycache__", ".part"),
        )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree)


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
        "--packages", nargs="*", default=list(PACKAGES), help="drawn from these"
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
            shutil.rmtree(options.out / "usual", ignore_errors=True)
        _run_all(options, tree, results, record)
    same = equivalent()
    survivors = [key for key, row in results.items() if row["status"] == "survived"]
    set_aside = [key for key in survivors if key in same]
    possible = {mutant.key for mutant in all_mutants(ROOT, PACKAGES)}
    gone = [key for key in survivors if key not in possible and key not in same]
    alive = [key for key in survivors if key in possible and key not in same]
    killed = sum(row["status"] == "killed" for row in results.values())
    differ = killed + len(alive)
    print(
        f"{len(results)} run, {killed} killed ({100 * killed / max(1, differ):.1f} "
        f"% of those that differ), {len(set_aside)} equivalent, {len(gone)} gone, "
        f"{len(alive)} survived:"
    )
    for key in alive:
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
    every = all_mutants(tree, options.packages)
    drawn = random.Random(options.seed).sample(every, min(options.n, len(every)))
    if options.again:
        same = equivalent()
        left = {k for k, row in results.items() if row["status"] == "survived"}
        drawn = [m for m in every if m.key in left and m.key not in same]
    print(f"{len(every)} possible, {len(drawn)} to run", flush=True)
    preload()
    for number, mutant in enumerate(drawn, start=1):
        if mutant.key in results and not options.again:
            continue
        tests, seconds = tests_that_see(mutant, tree, options.again)
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
            status, failed = run_tests(tree, tests, 30 + 10 * seconds)
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
