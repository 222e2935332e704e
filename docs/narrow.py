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
            if inches := width_in_inches(folder / path):
                wide["width"] = f"{PER_INCH * inches:.0f}px"
            if (folder / uri).exists():
                # In the gallery a figure is a link, of one image.
                linked = isinstance(wide.parent, nodes.reference)
                shown = wide.parent if linked else wide
                copy = shown.deepcopy()
                one_column = copy[0] if linked else copy
                one_column["uri"] = uri
                one_column["width"] = "100%"
                one_column["classes"].append("narrow")
                wide["classes"].append("wide")
                shown.parent.insert(shown.parent.index(shown) + 1, copy)
