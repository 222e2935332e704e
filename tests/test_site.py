"""The built site in a browser: nothing is wider than its page, cut, or broken in a word.

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
#: Names with a line break between two letters that stand in one of their parts.
BROKEN = """() => {
  const found = [];
  const places = "article :is(h1, h2, h3, code, dt), .sidebar-tree a, .toc-tree a";
  for (const element of document.querySelectorAll(places)) {
    const lines = element.getBoundingClientRect().height /
      parseFloat(getComputedStyle(element).fontSize);
    if (lines < 2 || element.closest("pre")) continue;
    const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      const top = (i) => {
        const range = document.createRange();
        range.setStart(text, i);
        range.setEnd(text, i + 1);
        return range.getBoundingClientRect().top;
      };
      for (let i = 1; i < text.data.length; i++) {
        const within = /^[A-Za-z]{2}$/.test(text.data.slice(i - 1, i + 1));
        if (within && top(i) > top(i - 1) + 5) {
          found.push(`${text.data.slice(0, i)}|${text.data.slice(i)}`);
        }
      }
    }
  }
  return found;
}"""
#: Code and output that is cut at the right edge of its box.
CUT = """() => [...document.querySelectorAll("article pre")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1)
  .map((e) => e.textContent.slice(0, 200))"""
#: Open what is folded, and wait until the page is arranged anew.
UNFOLD = """() => new Promise((done) => {
  document.querySelectorAll("article details").forEach((e) => { e.open = true; });
  requestAnimationFrame(() => setTimeout(done));
})"""
#: Figures that are wider than their box, and those in which text is set too small.
FIGURES = """() => [...document.querySelectorAll("article img")]
  .filter((e) => e.src.endsWith(".svg") && e.clientWidth)
  .filter((e) => e.parentElement.scrollWidth > e.parentElement.clientWidth + 1 ||
    e.clientWidth < 0.85 * e.naturalWidth)
  .map((e) => e.src.split("/").pop())"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SITE.is_dir(), reason="XBP_SITE names no built site"),
]


def wrong(browser: Any, width: int, *scripts: str) -> dict[str, list[str]]:
    """Return what scripts find on each page of the site, those without any left out."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    longest = {"xbp.compare_fluctuations.html", "xbp.boson_peak.html"}
    pages = [
        p
        for p in SITE.rglob("*.html")
        if not {"_static", "generated"} & {*p.parts} or p.name in longest
    ]
    assert len(pages) > 50
    found = {}
    for path in sorted(pages):
        page.goto(path.resolve().as_uri(), wait_until="load")
        page.evaluate(UNFOLD)
        if here := [one for script in scripts for one in page.evaluate(script)]:
            found[str(path.relative_to(SITE))] = here
    page.close()
    return found


def test_nothing_is_wider_or_broken_on_a_narrow_page(browser: Any) -> None:
    assert not wrong(browser, 400, TOO_WIDE, BROKEN, FIGURES)


def test_nothing_is_cut_or_broken_on_a_wide_page(browser: Any) -> None:
    assert not wrong(browser, 1440, TOO_WIDE, BROKEN, CUT, FIGURES)
