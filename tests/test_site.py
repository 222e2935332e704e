"""The built site in a browser: on a narrow screen nothing is wider than its page.

``XBP_SITE`` names the folder of the site.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

SITE = Path(os.environ.get("XBP_SITE", "nowhere"))
#: What a page shows beyond its right edge, unless it is in a box that scrolls by itself.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const scrolls = (e) => e.tagName !== "ARTICLE" &&
    (["auto", "scroll"].includes(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const found = [...document.querySelectorAll("article :is(table, img, svg, pre, h1, h2, p, li)")]
    .filter((e) => e.getBoundingClientRect().right > width + 1 && !scrolls(e))
    .map((e) => `${e.tagName} ${(e.src || e.textContent).slice(0, 60)}`);
  const whole = document.documentElement.scrollWidth;
  return whole > width ? [...found, `the page, ${whole} pixels`] : found;
}"""


@pytest.mark.slow
@pytest.mark.skipif(not SITE.is_dir(), reason="XBP_SITE names no built site")
def test_nothing_is_wider_than_a_narrow_page(browser: Any) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    pages = [
        p for p in SITE.rglob("*.html") if not {"_static", "generated"} & {*p.parts}
    ]
    assert len(pages) > 50
    wrong = {}
    for path in sorted(pages):
        page.goto(path.resolve().as_uri(), wait_until="load")
        if found := page.evaluate(TOO_WIDE):
            wrong[str(path.relative_to(SITE))] = found
    page.close()
    assert not wrong
