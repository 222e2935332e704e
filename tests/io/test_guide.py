"""The tables of formats in docs/files.md: they are those of the readers, and their examples run."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import test_fuzz

import xbp
from xbp.io.guide import tables
from xbp.io.reader import Format

ROOT = Path(__file__).parents[2]
MAKERS = {
    **test_fuzz.FORMATS,
    "netcdf4": lambda path: test_fuzz.map_().bp.to_netcdf(path),
    "columns": test_fuzz.table,  # without the labels that xbp writes
}


def test_the_page_has_the_tables_of_the_readers() -> None:
    module = runpy.run_path(str(ROOT / "docs" / "make_formats.py"))
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    assert module["made"](page) == page, "python docs/make_formats.py"
    assert [f.name for f in Format.made if f not in xbp.io.FORMATS] == []


@pytest.mark.parametrize("format_", xbp.io.FORMATS, ids=lambda f: f.engine)
def test_a_guide_is_right(
    format_: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = format_.guide
    assert guide is not None
    assert set(guide.asks) <= {*format_.options, "T"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert guide.extra in ("", *project["project"]["optional-dependencies"])
    assert guide.example.count("\n") == 1
    name = re.search(r'"(\S+\.\w+)"', guide.example)
    assert name is not None
    MAKERS[format_.engine](tmp_path / name[1])
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"xbp": xbp}
    exec(guide.example, names)
    for value in names.values():
        getattr(value, "close", lambda: None)()


def test_a_table_names_what_is_asked_first() -> None:
    rows = tables(xbp.io.FORMATS).splitlines()
    dave = next(row for row in rows if row.startswith("| DAVE"))
    assert dave.endswith("| **`T=`** |")
    assert "| format | producer | engine | extra | what is read | options |" in rows
