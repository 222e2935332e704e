"""Numbers are not broken at the end of a line: 10 000, 2.5 meV, 0.25 ± 0.02, 5 %."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

_THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}\b)")
_ERROR = re.compile(r"(?<=\d) ± (?=\d)")
_UNITS = re.compile(r"(?<=\d) (?=(?:%|meV|cm⁻¹|Å|K|K/s|m/s|ps|nm|THz)(?![\w/]))")
_CODE = nodes.literal | nodes.literal_block | nodes.math | nodes.math_block | nodes.raw


class WholeNumbers(SphinxTransform):
    """Join numbers with their units and errors by spaces that do not break."""

    default_priority = 410

    def apply(self, **_: Any) -> None:
        """Change the document."""
        for text in list(self.document.findall(nodes.Text)):
            if isinstance(text.parent, _CODE):
                continue
            joined = _THOUSANDS.sub("\u202f", text)
            joined = _UNITS.sub("\xa0", _ERROR.sub("\xa0±\xa0", joined))
            if joined != text:
                text.parent.replace(text, nodes.Text(joined))
