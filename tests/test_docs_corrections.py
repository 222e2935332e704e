"""The examples of docs/corrections.md run, in the folder of the files they name."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
def test_every_block_runs(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(
        r"```python\n(.*?)```", (DOCS / "corrections.md").read_text(), flags=re.DOTALL
    )
    assert len(blocks) == 4
    monkeypatch.chdir(shared_data / "ins")
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert str(names["found"].status.values) == "ok"  # type: ignore[attr-defined]
    assert names["absolute"].S.attrs["units"] == "b/meV/sr"  # type: ignore[attr-defined]
    assert names["b"].B.notnull().any()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_table_is_what_comes_out(
    shared_data: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    one_column = importlib.import_module("one_column")
    monkeypatch.setattr(one_column, "IMAGES", tmp_path)
    text = (DOCS / "corrections.md").read_text()
    importlib.import_module("make_corrections").main(shared_data / "ins")
    printed = capsys.readouterr().out
    found = re.findall(
        r"C = ([\d.]+): u2 = ([\d.]+), .* residual ([\d.]+) %.* r = ([\d.]+), beyond 38 meV (-?[\d.]+) %",
        printed,
    )
    assert len(found) == 4
    for row in zip(*found, strict=True):
        for number in row[1:]:
            assert number.replace("-", "−") in text
    assert (tmp_path / "corrections.png").stat().st_size > 10_000
