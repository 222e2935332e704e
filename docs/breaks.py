"""Lines may break after the dots and underscores of names: xbp.boson_peak, E_BP_std."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.writers.html5 import HTML5Translator

#: Between the parts of a name, none of which is a single letter or a number.
_PARTS = re.compile(r"(?<=[A-Za-z]{2}[._])(?=[A-Za-z]{2})")


class NamesBreak(HTML5Translator):
    """Write ``<wbr>`` between the parts of names, in text and in code within it.

    Where a word does not fit, browsers break there and not in the middle of a part.
    """

    def visit_Text(self, node: nodes.Text) -> Any:
        """Write a text."""
        start = len(self.body)
        super().visit_Text(node)
        code = bool(self.protect_literal_text)
        between = '</span><wbr><span class="pre">' if code else "<wbr>"
        self.body[start:] = [_PARTS.sub(between, text) for text in self.body[start:]]
