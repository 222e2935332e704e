"""Pieces of work in several threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from xbp.core import threads
from xbp.core.threads import in_threads


def test_threads_work_at_once_and_answers_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=30)

    def work(n: int) -> int:
        both.wait()  # for ever, if the pieces come one after another
        return 10 * n

    assert in_threads(work, range(4)) == [0, 10, 20, 30]


def test_a_thread_that_is_one_of_several_works_alone() -> None:
    def own(_: int) -> int:
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: (threading.get_ident(), in_threads(own, range(3))))
        alone, idents = found.result()
    assert idents == [alone] * 3


def test_what_numpy_ignores_is_ignored_in_threads() -> None:
    def divide(n: int) -> bool:
        return bool(np.isinf(np.ones(1) / np.full(1, n * 0.0)))

    with np.errstate(divide="ignore"):
        assert in_threads(divide, [1, 2, 3]) == [True] * 3


def test_an_error_in_a_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda n: 1 / n, [1, 0])
