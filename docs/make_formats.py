"""Writes the tables of formats in docs/files.md from the readers themselves.

Usage: python docs/make_formats.py; with --check it only says whether they are current.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xbp
from xbp.io.guide import tables
from xbp.md.guides import FILES

PAGE = Path(__file__).with_name("files.md")
BEGIN, END = (
    f"<!-- formats: {word} (python docs/make_formats.py) -->"
    for word in ("begin", "end")
)


def made(page: str) -> str:
    """Return the page with the tables as they should be."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{tables((*xbp.io.FORMATS, *FILES))}\n{END}{after}"


if __name__ == "__main__":
    old = PAGE.read_text(encoding="utf-8")
    new = made(old)
    if "--check" in sys.argv:
        sys.exit(0 if new == old else "run python docs/make_formats.py")
    PAGE.write_text(new, encoding="utf-8")
