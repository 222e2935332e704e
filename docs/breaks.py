"""Names may break between their parts in titles, tables, lists of pages and calls.

``xbp.boson_peak`` breaks after the dot or the underscore; running text keeps it whole.
Calls, ``data.bp.cut_E("3 meV")``, break after the parenthesis, too, wherever they are.
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
    """Write ``<wbr>`` between the parts of names where there is little room."""

    def visit_Text(self, node: nodes.Text) -> Any:
        """Write a text."""
        start = len(self.body)
        super().visit_Text(node)
        code = bool(self.protect_literal_text)
        above = node.parent
        while above is not None and not isinstance(above, _NARROW):
            above = above.parent
        if above is not None or (code and "(" in node):
            between = '</span><wbr><span class="pre">' if code else "<wbr>"
            new = self.body[start:]
            self.body[start:] = [_PARTS.sub(between, text) for text in new]
