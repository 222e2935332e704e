"""Pieces of work that do not depend on each other, on all cores."""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_threads"]

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")


def in_threads(
    function: Callable[[Piece], Answer], pieces: Sequence[Piece]
) -> list[Answer]:
    """Return the answers of a function of numpy arrays, in the order of the pieces.

    Called from a thread other than the first, as dask's are, it works in that one:
    the others are busy with other chunks.

    Parameters
    ----------
    function : callable
        It must be safe to run in several threads.
    pieces : sequence
        What to call it with.

    Examples
    --------
    >>> in_threads(lambda n: n * n, range(4))
    [0, 1, 4, 9]
    """
    threads = min(len(pieces), os.cpu_count() or 1)
    if threads < 2 or threading.current_thread() is not threading.main_thread():
        return [function(piece) for piece in pieces]
    # As here, errors of floating-point numbers are ignored there.
    here = contextvars.copy_context()
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda piece: here.copy().run(function, piece), pieces))
