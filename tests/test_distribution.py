"""What pip installs: `xbp` in the Python Package Index is another project."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import xbp
from xbp.core.errors import DISTRIBUTION, VERSION, install

ROOT = Path(xbp.__file__).parent.parent
OLD = re.compile(r"""pip3? install (-\S+ )*["'\\]*xbp\b|(["'`,\s])xbp\[\w""")


def texts() -> list[Path]:
    kinds = ("*.py", "*.pyi", "*.md", "*.ipynb", "*.toml", "*.sh", "*.cff")
    folders = ("xbp", "docs", "notebooks", "benchmarks", ".ci")
    found = [p for f in folders for k in kinds for p in (ROOT / f).rglob(k)]
    found += [p for k in kinds for p in ROOT.glob(k)] + [ROOT / ".ci" / "run"]
    return [p for p in found if "_build" not in p.parts and p.exists()]


def project() -> dict[str, object]:
    path = ROOT / "pyproject.toml"
    if not path.exists():
        pytest.skip("not in a clone")
    table: dict[str, object] = tomllib.loads(path.read_text())["project"]
    return table


@pytest.mark.slow
def test_nothing_advises_to_install_another_project() -> None:
    assert OLD.search('pip install "xbp[md]"')
    assert OLD.search("pip install -e xbp")
    assert not OLD.search(install("md"))
    for path in texts():
        if found := OLD.search(path.read_text()):
            pytest.fail(f"{path}: {found[0]}")


def test_the_distribution_has_the_name_that_messages_give() -> None:
    assert project()["name"] == DISTRIBUTION
    assert xbp.__version__ == VERSION


@pytest.mark.slow
def test_every_extra_that_a_message_names_exists() -> None:
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    named = set()
    for path in (ROOT / "xbp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = {"require": 2, "install": 0}.get(node.func.id, 9)
                if len(node.args) > place:
                    named.add(ast.literal_eval(node.args[place]) if isinstance(node.args[place], ast.Constant) else "md")  # fmt: skip
    assert named <= set(extras)
    assert {"md", "formats", "lammps"} <= named


def test_what_users_run_has_no_package_under_the_gpl() -> None:
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    for extra, requirements in extras.items():
        if extra not in ("lammps", "resolution", "dev"):
            text = " ".join(requirements)
            assert not re.search(r"\b(lammps|resins|rampy|resolution)\b", text), extra
    assert "ase" not in " ".join(extras["md"]).replace("xarray-bosonpeak", "")
