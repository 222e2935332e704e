"""Sizes of figures: text of one size, and a version in one column for narrow screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from pages import PER_INCH, width_in_inches
from sphinx.transforms import SphinxTransform


class NarrowFigures(SphinxTransform):
    """Show each PNG at the size it was drawn for, and ``x_narrow.png`` behind ``x.png``.

    Diagrams (SVG) have such versions too. The style shows one of the two.
    """

    default_priority = 400

    def apply(self, **_: Any) -> None:
        """Change the document."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for wide in list(self.document.findall(nodes.image)):
            path = Path(wide["uri"])
            uri = str(path.with_stem(f"{path.stem}_narrow"))
            linked = isinstance(wide.parent, nodes.reference)  # in the gallery
            if not linked and (inches := width_in_inches(folder / path)):
                wide["width"] = f"{PER_INCH * inches:.0f}px"
            if not linked and (folder / uri).exists():
                one_column = wide.deepcopy()
                one_column["uri"] = uri
                one_column["width"] = "100%"
                one_column["classes"].append("narrow")
                wide["classes"].append("wide")
                wide.parent.insert(wide.parent.index(wide) + 1, one_column)
