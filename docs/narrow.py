"""Sizes of figures: text of one size, and a version in one column for narrow screens."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

#: Pixels of a page for each inch of a figure: those of the figures of notebooks.
PER_INCH = 100


class NarrowFigures(SphinxTransform):
    """Show each PNG at the size it was drawn for, and ``x_narrow.png`` behind ``x.png``.

    The style shows one of the two.
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


def width_in_inches(path: Path) -> float:
    """Return the width of a PNG that states its pixels per metre, else 0."""
    data = path.read_bytes() if path.suffix == ".png" and path.exists() else b""
    at = data.find(b"pHYs", 0, 1000)
    if at < 0:
        return 0.0
    (pixels,) = struct.unpack(">I", data[16:20])
    (per_metre,) = struct.unpack(">I", data[at + 4 : at + 8])
    return float(pixels / per_metre / 0.0254) if per_metre else 0.0
