"""Checks a built site.

Every public name has a page, and every link and picture within the site leads
somewhere.
"""

from __future__ import annotations

import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent))
import pages


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what a tag names and where it leads."""
        for key, value in attrs:
            if key == "id" and value:
                self.anchors.add(value)
            if (tag, key) in {("a", "href"), ("img", "src")} and value:
                self.links.append(value)


def main(site: Path) -> None:
    """Check, and say what is missing."""
    wrong: list[str] = []
    # Four lines of text, then compressed lines: name, kind, priority, place, title.
    inventory = zlib.decompress(
        (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    ).decode()
    documented = {
        line.split(" ")[0]
        for line in inventory.splitlines()
        if line.split(" ")[1].startswith("py:")
    }
    wanted = {
        *pages.public_names(),
        *(
            f"xarray.Dataset.bp.{name}"
            for name in pages.accessor_methods()
            if name != "plot"
        ),
    }
    wrong += [f"{name} is not in the reference" for name in sorted(wanted - documented)]
    parsed = {path: Page(path) for path in site.rglob("*.html")}
    for path, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (
                (path.parent / unquote(parts.path)).resolve() if parts.path else path
            )
            if not target.exists():
                wrong.append(f"{path.relative_to(site)}: {link} leads nowhere")
            elif (
                target in parsed
                and parts.fragment
                and parts.fragment not in parsed[target].anchors
            ):
                wrong.append(f"{path.relative_to(site)}: {link} has no such place")
    if wrong:
        sys.exit("\n".join(wrong))
    print(
        f"{len(wanted)} public names, {len(parsed)} pages, "
        f"{sum(len(p.links) for p in parsed.values())} links"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
