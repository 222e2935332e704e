"""Damaged files of every format, opened in processes of their own: see fuzz_files."""

from __future__ import annotations

import os

import pytest
from fuzz_files import SECONDS, run


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # HDF5 on closing what was damaged
def test_damaged_files_are_refused_or_follow_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No crash, no hang, no raw error, no infinity; XBP_FUZZ is the number of files."""
    monkeypatch.delenv("XBP_SHARED_DATA", raising=False)
    rows = run(range(int(os.environ.get("XBP_FUZZ", "100"))), seed=18)
    bad = [
        row
        for row in rows
        if row["said"] not in ("opened", "refused", "not made")
        or row.get("seconds", 0) > SECONDS
    ]
    assert not bad, bad[:5]
    # Neither is everything refused, nor everything opened.
    assert (
        min(sum(row["said"] == said for row in rows) for said in ("opened", "refused"))
        > len(rows) / 20
    )
