"""Names of functions in the text of the pages become links to the reference."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pages
from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

_CALL = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?P<call>\(.*\))?", re.S)
#: What comes before the name of a method.
_OWNERS = re.compile(r"^(data|b|study|table|traj|S|g|peaks?|[a-z]+)?\.bp\.")


def target(text: str, known: dict[str, str]) -> str | None:
    """Return the full name of the function that a text in code names, if it is one.

    A bare word is one only with an underscore or as a call, since others are often
    variables.
    """
    found = _CALL.fullmatch(_OWNERS.sub(".bp.", text).removeprefix(".bp."))
    if found is None:
        return None
    name = found["name"].removeprefix("plot.") if ".plot." in text else found["name"]
    is_method = ".bp." in text
    clear = is_method or found["call"] or "_" in name or "." in name
    if not clear:
        return None
    full = known.get(f"plot.{name}" if ".plot." in text else name)
    return full or known.get(name.removeprefix("xbp."))


def known_names() -> dict[str, str]:
    """Return public functions by the names that pages use."""
    names: dict[str, str] = {}
    for full in pages.public_names():
        short = full.removeprefix("xbp.")
        names.setdefault(short, full)
        if "." not in short:
            names[short] = full
    for name in pages.accessor_methods():
        names.setdefault(name, f"xarray.Dataset.bp.{name}")
    for full in list(names.values()):
        names.setdefault(full.rpartition(".")[2], full)
    return names


class LinkNames(SphinxTransform):
    """Wrap literals that are names of functions in references to them."""

    default_priority = 400
    known: ClassVar[dict[str, str]] = {}

    def apply(self, **_: Any) -> None:
        """Change the document."""
        if self.env.docname.startswith("reference/api"):
            return
        if not LinkNames.known:
            LinkNames.known.update(known_names())
        for literal in list(self.document.findall(nodes.literal)):
            if isinstance(literal.parent, nodes.reference | addnodes.pending_xref):
                continue
            if isinstance(literal.parent, nodes.title):
                continue
            if full := target(literal.astext(), LinkNames.known):
                link = addnodes.pending_xref(
                    "", refdomain="py", reftype="obj", reftarget=full, refwarn=False,
                    refdoc=self.env.docname,
                )  # fmt: skip
                literal.replace_self(link)
                link += literal
