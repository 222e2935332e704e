"""Draws the diagrams of docs/images: boxes, arrows and text as SVG.

Each also in one column (``name_narrow.svg``), which narrow screens show.
"""

from __future__ import annotations

import html
import textwrap
from pathlib import Path

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
IMAGES = Path(__file__).parent / "images"
Place = tuple[float, float]


class Diagram:
    """A drawing of boxes and arrows on white, which is read on a dark page too."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.size, self.parts = (
            (width, height),
            [f"<title>{html.escape(title)}</title>"],
        )

    def box(
        self, x: float, y: float, w: float, h: float, *lines: str, color: str = BLUE
    ) -> None:
        """Draw a box with its text; the first line is bold."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{color}" '
            f'fill-opacity="0.10" stroke="{color}" stroke-width="1.5"/>'
        )
        first = y + h / 2 - 8.5 * (len(lines) - 1) + 5
        for i, line in enumerate(lines):
            weight = ' font-weight="bold"' if i == 0 else ' font-size="12"'
            self.text(x + w / 2, first + 17 * i, line, weight)

    def text(
        self, x: float, y: float, line: str, style: str = ' font-size="12"'
    ) -> None:
        """Write a line, centred."""
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="middle"{style}>{html.escape(line)}</text>'
        )

    def arrow(
        self, start: Place, end: Place, label: str = "", above: float = 7
    ) -> None:
        """Draw an arrow with a label over its middle."""
        (x, y), (u, v) = start, end
        self.parts.append(
            f'<line x1="{x}" y1="{y}" x2="{u}" y2="{v}" stroke="{GREY}" '
            'stroke-width="1.5" marker-end="url(#tip)"/>'
        )
        if label:
            self.text(
                (x + u) / 2,
                (y + v) / 2 - above,
                label,
                f' font-size="11.5" fill="{GREY}"',
            )

    def fork(self, start: Place, x: float, ends: list[Place]) -> None:
        """Draw arrows to several places from a line at x that begins at one place."""
        (u, v), last = start, ends[-1][1]
        self.parts.append(
            f'<polyline points="{u},{v} {x},{v} {x},{last}" fill="none" '
            f'stroke="{GREY}" stroke-width="1.5"/>'
        )
        for end in ends:
            self.arrow((x, end[1]), end)

    def join(self, starts: list[Place], x: float, end: Place) -> None:
        """Draw lines from several places to one at x, and an arrow from there."""
        top = starts[0][1]
        for u, v in starts:
            self.parts.append(
                f'<line x1="{u}" y1="{v}" x2="{x}" y2="{v}" stroke="{GREY}" stroke-width="1.5"/>'
            )
        self.parts.append(
            f'<line x1="{x}" y1="{top}" x2="{x}" y2="{end[1]}" stroke="{GREY}" stroke-width="1.5"/>'
        )
        self.arrow((x, end[1]), end)

    def save(self, name: str) -> None:
        """Write the file."""
        w, h = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" '
            'font-family="system-ui, sans-serif" font-size="14" fill="#111111">\n'
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{GREY}"/></marker></defs>\n'
            f'<rect width="{w}" height="{h}" rx="8" fill="white"/>\n'
        )
        (IMAGES / name).write_text(head + "\n".join(self.parts) + "\n</svg>\n")


#: Texts of boxes, for both versions of a diagram.
SIGNALS = (
    ("S(Q,E)", "measured or simulated"),
    ("G(Q,E)", "generalized density"),
    ("B(Q,E)", "reduced density, G/E²"),
)
STEPS = ((".bp.to_gdos()", "exp(Q²u²) E/Q² ⟨n⟩"), (".bp.to_bqe()", "1/E²"))
NEEDED = (
    "needs T (thermal factor ⟨n⟩) and u² (Debye–Waller factor);",
    "both are in the data or arguments",
)
QUESTIONS = (
    ("energy, width, height", "a peak, or why there is none", ".bp.boson_peak()"),
    ("does it disperse?", "slope of E_BP(Q)", ".bp.dispersion()"),
    ("does it follow S(Q)?", "r, scale, ratio", ".bp.scale_to_sq(), fit_bqe()"),
)
VALUES = ("S (Q, E)", "the values", "attrs: quantity, units,", "statistics, history")
STD = ("S_std (Q, E)", "one standard deviation,", "in the units of S")
AXES = ("Q, E", "centres of bins, with units;", "Q_bnds, E_bnds: their edges")
CONDITIONS = ("temperature, u2", "scalars with units,", "taken by each call")
COMMON = ("S_std_common", "errors that all bins share,", "such as that of a factor")
COMPANIONS = ("Sq, g", "companions: S(Q) and g(E)", "of the same sample")
CORRECTIONS = (
    ("counts", "S(2θ,E) of a file", "open_dataset()"),
    ("empty can", "background off", "subtract()"),
    ("S(Q,E)", "angles to Q", "angle_to_Q()"),
    ("scale", "vanadium, sum rule", "normalize_to_vanadium()"),
    ("elastic line", "fitted and masked", "mask_elastic()"),
    ("both signs of E", "one side, better counts", "fold()"),
    ("one phonon", "multiphonons off", "correct_multiphonon()"),
    ("B(Q,E)", "T and u²", "to_bqe()"),
)
LEAVES = (
    ("neutrons", "S, G or B(Q,E)", "Q_range, E_range"),
    ("raman", "B(E)", "E_range"),
    ("heat_capacity", "table of", "fit_heat_capacity()"),
    ("md", "S(Q,E) or g(E)", "debye_energy"),
    ("literature", "stated_energy()", "with its source"),
)
FUNCTIONS = (".bp.compare()", ".bp.plot()", ".bp.report()")
CHAIN = "From S(Q,E) to the boson peak"
MODEL = "What a Dataset of xbp contains"
ORDER = "Corrections of neutron data, in their order"
STUDY = "A study: one tree, a leaf for each measurement"
SMALL = f' font-size="11.5" fill="{GREY}"'
#: Width of the versions in one column.
NARROW = 360


def chain() -> None:
    """Draw S, G, B, and what is found in B."""
    d = Diagram(860, 270, CHAIN)
    places = ((15, 150), (335, 150), (655, 190))
    for (x, w), signal in zip(places, SIGNALS, strict=True):
        d.box(x, 30, w, 62, *signal)
    for (call, factor), x, end in zip(STEPS, (165, 485), (333, 653), strict=True):
        d.arrow((x, 61), (end, 61), call)
        d.text((x + end) / 2, 80, factor, SMALL)
    for x, question in zip((15, 300, 585), QUESTIONS, strict=True):
        d.box(x, 175, 260, 70, *question, color=ORANGE)
        d.arrow((750, 92), (x + 130, 173))
    for i, line in enumerate(NEEDED):
        d.text(190, 114 + 17 * i, line)
    d.save("chain.svg")

    d = Diagram(NARROW, 628, CHAIN)
    for i, signal in enumerate(SIGNALS):
        d.box(80, 15 + 116 * i, 200, 56, *signal)
    for i, (call, factor) in enumerate(STEPS):
        y = 71 + 116 * i
        d.arrow((180, y), (180, y + 58))
        d.text(120, y + 33, call, SMALL)
        d.text(245, y + 33, factor, SMALL)
    for i, line in enumerate(textwrap.wrap(" ".join(NEEDED), 34)):
        d.text(195, 324 + 17 * i, line)
    places = [(50.0, 415.0 + 84 * i) for i in range(3)]
    d.fork((80, 275), 16, places)
    for (x, y), question in zip(places, QUESTIONS, strict=True):
        d.box(x, y - 35, 290, 70, *question, color=ORANGE)
    d.save("chain_narrow.svg")


def model() -> None:
    """Draw a Dataset of the data model."""
    d = Diagram(860, 300, MODEL)
    d.box(15, 15, 830, 270, "", color=GREY)
    d.text(430, 38, "xarray.Dataset", ' font-weight="bold"')
    for x, w, upper, lower, color in (
        (40, 220, VALUES, STD, BLUE),
        (310, 240, AXES, CONDITIONS, ORANGE),
        (600, 220, COMMON, COMPANIONS, BLUE),
    ):
        d.box(x, 60, w, 90, *upper, color=color)
        d.box(x, 170, w, 90, *lower, color=color)
    d.arrow((310, 105), (262, 105))
    d.save("data_model.svg")

    d = Diagram(NARROW, 586, MODEL)
    d.box(10, 10, NARROW - 20, 566, "", color=GREY)
    d.text(NARROW / 2, 34, "xarray.Dataset", ' font-weight="bold"')
    y = 48
    for text, color in (
        (VALUES, BLUE), (AXES, ORANGE), (CONDITIONS, ORANGE), (STD, BLUE),
        (COMMON, BLUE), (COMPANIONS, BLUE),
    ):  # fmt: skip
        height = 20 + 17 * len(text)
        d.box(50, y, NARROW - 100, height, *text, color=color)
        if text is AXES:
            d.arrow((NARROW / 2, y), (NARROW / 2, y - 14))
        y += height + 15
    d.save("data_model_narrow.svg")


def corrections() -> None:
    """Draw the order of corrections of neutron data, each line of them turned back."""
    for name, columns, w, gap in (
        ("corrections_order", 4, 185, 30),
        ("corrections_order_narrow", 2, 162, 22),
    ):
        rows = len(CORRECTIONS) // columns
        size = 2 * 15 + columns * w + (columns - 1) * gap if columns > 2 else NARROW
        left = (size - columns * w - (columns - 1) * gap) / 2
        d = Diagram(size, 30 + 120 * rows - 20, ORDER)
        for i, step in enumerate(CORRECTIONS):
            row, column = divmod(i, columns)
            ahead = row % 2 == 0
            x = left + (w + gap) * (column if ahead else columns - 1 - column)
            y = 25 + 120 * row
            d.box(x, y, w, 76, *step, color=BLUE if i else GREY)
            if i == len(CORRECTIONS) - 1:
                break
            if column == columns - 1:
                d.arrow((x + w / 2, y + 76), (x + w / 2, y + 118))
            elif ahead:
                d.arrow((x + w, y + 38), (x + w + gap - 2, y + 38))
            else:
                d.arrow((x, y + 38), (x - gap + 2, y + 38))
        d.save(f"{name}.svg")


def study() -> None:
    """Draw the tree of a study."""
    d = Diagram(860, 270, STUDY)
    d.box(330, 15, 200, 54, "study", "xarray.DataTree", color=GREY)
    for i, leaf in enumerate(LEAVES):
        x = 12 + 170 * i
        d.box(x, 112, 156, 76, *leaf)
        d.arrow((430, 69), (x + 78, 110))
        d.arrow((x + 78, 188), (430 + 50 * (i - 2), 216))
    d.box(250, 218, 360, 40, ", ".join(FUNCTIONS), color=ORANGE)
    d.save("study.svg")

    d = Diagram(NARROW, 560, STUDY)
    d.box(80, 15, 200, 54, "study", "xarray.DataTree", color=GREY)
    heights = [120.0 + 82 * i for i in range(len(LEAVES))]
    d.fork((80, 42), 16, [(48, y) for y in heights])
    for y, leaf in zip(heights, LEAVES, strict=True):
        d.box(50, y - 36, NARROW - 100, 72, *leaf)
    d.join([(NARROW - 50, y) for y in heights], NARROW - 16, (302, 518))
    d.box(60, 498, 240, 44, FUNCTIONS[0], ", ".join(FUNCTIONS[1:]), color=ORANGE)
    d.save("study_narrow.svg")


if __name__ == "__main__":
    chain()
    model()
    corrections()
    study()
