"""The examples of docs/files_columns.md and docs/files_writing.md run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "files_columns.md").read_text()
    text += (DOCS / "files_writing.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "page", "exec"), names)
    cut, glass, mine = names["cut"], names["glass"], names["mine"]
    first = names["first"]
    assert isinstance(first, xr.Dataset)
    assert 2.7 < float(first.energy) < 3.3
    assert isinstance(cut, xr.Dataset)
    assert isinstance(glass, xr.Dataset)
    assert isinstance(mine, xr.Dataset)
    companions = [name for name in cut.data_vars if name not in ("B", "B_std")]
    xr.testing.assert_identical(names["back"], cut.drop_vars(companions))
    with xbp.open_dataset("glass.nc") as back:
        xr.testing.assert_identical(back.load(), glass)
    assert Path("curves.csv").read_text().count("\n") == glass.sizes["E"] + 1
    np.testing.assert_array_equal(mine.S_std, 0.1)
