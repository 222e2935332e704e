"""The description of a format for users: a row of the tables in docs/files.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

__all__ = ["GROUPS", "Described", "Guide", "example", "tables"]

Group = Literal["neutrons", "light", "calorimetry", "any", "trajectories", "archives"]

#: Titles of the tables, in their order.
GROUPS: Final[dict[Group, str]] = {
    "neutrons": "Neutrons",
    "light": "Raman spectra",
    "calorimetry": "Heat capacities",
    "any": "Columns of numbers",
    "trajectories": "Trajectories",
    "archives": "Archives",
}
_COLUMNS: Final = ("format", "producer", "engine", "extra", "what is read", "options")
#: What is done with data of a name, after they are opened.
_NEXT: Final = {
    "I": "I.bp.to_reduced_raman()",
    "S": 'S.bp.cut_Q(("1 1/angstrom", "3 1/angstrom"))',
    "g": "print(g.bp)",
}


def example(name: str, arguments: str, then: str = "") -> str:
    """Return two lines of Python: a file is opened and used.

    Examples
    --------
    >>> print(example("g", '"dos.json"'))
    g = xbp.open_dataset("dos.json").g
    print(g.bp)
    """
    return f"{name} = xbp.open_dataset({arguments}).{name}\n{then or _NEXT[name]}"


@dataclass(frozen=True)
class Guide:
    """What the table of formats says about one of them.

    Attributes
    ----------
    group : {"neutrons", "light", "calorimetry", "any", "trajectories", "archives"}
        The table that it is in.
    producer : str
        Programs and instruments that write it.
    reads : str
        What is read, and what is dealt with, in one or two sentences.
    example : str
        Two lines of Python. The first opens a file, whose name is its first text; a
        test runs them on a file of this format.
    asks : tuple of str
        Options that are asked for if the file does not answer them.
    extra : str
        Extra of the package that is needed besides xbp's own.
    """

    group: Group
    producer: str
    reads: str
    example: str
    asks: tuple[str, ...] = ()
    extra: str = ""


class Described(Protocol):
    """A format with a guide: a `Format`, or one of trajectories."""

    @property
    def name(self) -> str:
        """Name of the format."""

    @property
    def engine(self) -> str:
        """Name for ``engine=``; empty without one."""

    @property
    def options(self) -> Sequence[str]:
        """Names of the keyword arguments of the reader."""

    @property
    def guide(self) -> Guide | None:
        """What the table says about it."""


def tables(formats: Iterable[Described]) -> str:
    """Return Markdown: for each group a table, and the examples below it.

    Options that are asked for are in bold type, and come first.

    Examples
    --------
    >>> import xbp
    >>> print(tables(xbp.io.FORMATS).partition(chr(10))[0])
    ### Neutrons
    """
    return "\n".join(
        line
        for group, title in GROUPS.items()
        if (found := [f for f in formats if f.guide and f.guide.group == group])
        for line in _table(title, found)
    )


def _table(title: str, formats: Sequence[Described]) -> Iterator[str]:
    yield from (f"### {title}", "", f"| {' | '.join(_COLUMNS)} |", "|---" * 6 + "|")
    for format_ in formats:
        yield _row(format_)
    yield from ("", "```text")
    for format_ in formats:
        assert format_.guide is not None
        yield from (f"# {_name(format_)}", format_.guide.example)
    yield from ("```", "")


def _name(format_: Described) -> str:
    """Return the name, which in messages may have an article."""
    name = re.sub(r"^an? ", "", format_.name)
    return name[0].upper() + name[1:]


def _row(format_: Described) -> str:
    guide = format_.guide
    assert guide is not None
    asked = [f"**`{name}=`**" for name in guide.asks]
    others = [f"`{name}=`" for name in format_.options if name not in guide.asks]
    extra, engine = (
        f"`{word}`" if word else "" for word in (guide.extra, format_.engine)
    )
    cells = (_name(format_), guide.producer, engine, extra, guide.reads)
    row = (*cells, ", ".join(asked + others))
    escaped = (cell.replace("|", "\\|") for cell in row)
    return f"| {' | '.join(escaped)} |"
