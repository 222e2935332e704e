"""Names may break between their parts: xbp.boson_peak, after the dot or the underscore.

In code, after the parenthesis of a call, too. The style moves a word of code to the next
line, and breaks it only if it is longer than that. Other text has such places where there
is little room: in titles, tables and lists of pages.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.writers.html5 import HTML5Translator

#: Between the parts of a name, none of which is a single letter or a number.
_PARTS = re.compile(r"(?<=[A-Za-z]{2}[._])(?=[A-Za-z]{2})|(?<=[a-z_]{2}\()(?=[^)])")
#: Narrow places, in which a name may not fit into a line.
_NARROW = nodes.title | nodes.entry | addnodes.compact_paragraph


class NamesBreak(HTML5Translator):
    """Write ``<wbr>`` between the parts of names."""

    def visit_Text(self, node: nodes.Text) -> Any:
        """Write a text."""
        start = len(self.body)
        super().visit_Text(node)
        above = node.parent
        while above is not None and not isinstance(above, _NARROW):
            above = above.parent
        if above is not None or self.protect_literal_text:
            new = self.body[start:]
            self.body[start:] = [_PARTS.sub("<wbr>", text) for text in new]
