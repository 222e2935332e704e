"""The command behind the table of docs/models.md, on the models that are fitted fastest."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from samples import ROOT, benchmark

FAST = ("lognormal", "exponential_flank", "soft_potential_dos", "soft_oscillators_dos")


@pytest.fixture
def theories(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = benchmark("theories")
    monkeypatch.setattr(module, "TRUE", {n: module.TRUE[n] for n in FAST})
    monkeypatch.setattr(module, "FIXED", {})  # they have neither area nor Debye energy
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_bic_chooses_the_true_model_at_one_percent(
    theories: ModuleType, name: str
) -> None:
    assert theories.chosen(name, 0.01, 2) == {name: 2}


def test_the_pair_that_the_page_names(theories: ModuleType) -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    assert "`soft_potential_dos` and `soft_oscillators_dos` (2.2 %)" in text
    apart = theories.distances("soft_potential_dos")
    assert apart["soft_oscillators_dos"] == pytest.approx(0.022, abs=5e-4)
    assert apart["exponential_flank"] > 0.03
    assert apart["soft_potential_dos"] < 1e-9


def test_a_run_goes_on_where_it_was_stopped(
    theories: ModuleType, tmp_path: Path
) -> None:
    calls = []

    def work(name: str, noise: float) -> dict[str, float]:
        calls.append(name)
        return {name: noise}

    for _ in range(2):
        results = theories.Results(tmp_path / "results.jsonl")
        assert results(work, "one", 0.1) == {"one": 0.1}
        assert results(work, "two", 0.1) == {"two": 0.1}
    assert calls == ["one", "two"]
    theories.Results(None)(work, "one", np.inf)
    assert len(calls) == 3
