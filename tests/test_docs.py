"""The code of the documentation's pages runs, block after block, without other files."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(("page", "blocks"), [("raman_and_heat_capacity.md", 3), ("study.md", 2), ("resolution.md", 2)])
def test_every_block_runs(
    page: str, blocks: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    code = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.S | re.M)
    assert len(code) == blocks
    for block in code:
        exec(compile(block, page, "exec"), names)
    plt.close("all")
    printed = capsys.readouterr().out
    if page == "study.md":
        assert "ins: 5.50 ± 0.40 meV" in printed
        assert (tmp_path / "study.html").stat().st_size > 10_000
    elif page == "resolution.md":
        assert names["rest"].S.notnull().any()  # type: ignore[attr-defined]
        partials = names["partials"]
        want = (partials.g * partials.weight).sum("element")  # type: ignore[attr-defined]
        np.testing.assert_allclose(names["true"].sel(E=slice(13, 17)), want.sel(E=slice(13, 17)))  # type: ignore[attr-defined]
    else:
        assert "linear 50.0" in printed
        assert float(re.findall(r"constant ([\d.]+)", printed)[0]) > 60
