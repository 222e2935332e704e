"""One call passes through few functions: each has its place, and none twice."""

from __future__ import annotations

import pytest

calls = pytest.importorskip("benchmarks.calls")


def test_a_chain_enters_few_functions_and_parses_no_unit_again() -> None:
    S = calls.sample_map()
    calls.chain(S)
    counted = calls.calls_of(calls.chain, S)
    assert len(counted) <= 30, sorted(counted)
    assert counted["core/units.py:parse_unit"] <= 12
