"""Draws the diagrams of docs/images: boxes, arrows and text as SVG."""

from __future__ import annotations

import html
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


def chain() -> None:
    """Draw S, G, B, and what is found in B."""
    d = Diagram(860, 270, "From S(Q,E) to the boson peak")
    d.box(15, 30, 150, 62, "S(Q,E)", "measured or simulated")
    d.box(335, 30, 150, 62, "G(Q,E)", "generalized density")
    d.box(655, 30, 190, 62, "B(Q,E)", "reduced density, G/E²")
    d.arrow((165, 61), (333, 61), ".bp.to_gdos()")
    d.text(249, 80, "exp(Q²u²) E/Q² ⟨n⟩", f' font-size="11.5" fill="{GREY}"')
    d.arrow((485, 61), (653, 61), ".bp.to_bqe()")
    d.text(569, 80, "1/E²", f' font-size="11.5" fill="{GREY}"')
    for x, first, second, call in (
        (15, "energy, width, height", "a peak, or why there is none", "boson_peak()"),
        (300, "does it disperse?", "slope of E_BP(Q)", "dispersion()"),
        (585, "does it follow S(Q)?", "r, scale, ratio", "scale_to_sq(), fit_bqe()"),
    ):
        d.box(x, 175, 260, 70, first, second, f".bp.{call}", color=ORANGE)
        d.arrow((750, 92), (x + 130, 173))
    d.text(190, 114, "needs T (thermal factor ⟨n⟩) and u² (Debye–Waller factor);")
    d.text(190, 131, "both are in the data or arguments")
    d.save("chain.svg")


def model() -> None:
    """Draw a Dataset of the data model."""
    d = Diagram(860, 300, "What a Dataset of xbp contains")
    d.box(15, 15, 830, 270, "", color=GREY)
    d.text(430, 38, "xarray.Dataset", ' font-weight="bold"')
    d.box(
        40,
        60,
        220,
        90,
        "S (Q, E)",
        "the values",
        "attrs: quantity, units,",
        "statistics, history",
    )
    d.box(
        40, 170, 220, 90, "S_std (Q, E)", "one standard deviation,", "in the units of S"
    )
    d.box(
        310,
        60,
        240,
        90,
        "Q, E",
        "centres of bins, with units;",
        "Q_bnds, E_bnds: their edges",
        color=ORANGE,
    )
    d.box(
        310,
        170,
        240,
        90,
        "temperature, u2",
        "scalars with units,",
        "taken by each call",
        color=ORANGE,
    )
    d.box(
        600,
        60,
        220,
        90,
        "S_std_common",
        "errors that all bins share,",
        "such as that of a factor",
    )
    d.box(600, 170, 220, 90, "Sq, g", "companions: S(Q) and g(E)", "of the same sample")
    d.arrow((310, 105), (262, 105))
    d.save("data_model.svg")


def corrections() -> None:
    """Draw the order of corrections of neutron data."""
    d = Diagram(860, 250, "Corrections of neutron data, in their order")
    steps = (
        ("counts", "S(2θ,E) of a file", "open_dataset()"),
        ("empty can", "background off", "subtract()"),
        ("S(Q,E)", "angles to Q", "angle_to_Q()"),
        ("scale", "vanadium, sum rule", "normalize_to_vanadium()"),
        ("elastic line", "fitted and masked", "mask_elastic()"),
        ("both signs of E", "one side, better counts", "fold()"),
        ("one phonon", "multiphonons off", "correct_multiphonon()"),
        ("B(Q,E)", "T and u²", "to_bqe()"),
    )
    for i, step in enumerate(steps):
        row, column = divmod(i, 4)
        x = 15 + 215 * (column if row == 0 else 3 - column)
        y = 25 + 120 * row
        d.box(x, y, 185, 76, *step, color=BLUE if i else GREY)
        if i in (0, 1, 2):
            d.arrow((x + 185, y + 38), (x + 213, y + 38))
        elif i == 3:
            d.arrow((x + 92, y + 76), (x + 92, y + 118))
        elif i < 7:
            d.arrow((x, y + 38), (x - 28, y + 38))
    d.save("corrections_order.svg")


def study() -> None:
    """Draw the tree of a study."""
    d = Diagram(860, 270, "A study: one tree, a leaf for each measurement")
    d.box(330, 15, 200, 54, "study", "xarray.DataTree", color=GREY)
    leaves = (
        ("neutrons", "S, G or B(Q,E)", "Q_range, E_range"),
        ("raman", "B(E)", "E_range"),
        ("heat_capacity", "table of", "fit_heat_capacity()"),
        ("md", "S(Q,E) or g(E)", "debye_energy"),
        ("literature", "stated_energy()", "with its source"),
    )
    for i, leaf in enumerate(leaves):
        x = 12 + 170 * i
        d.box(x, 112, 156, 76, *leaf)
        d.arrow((430, 69), (x + 78, 110))
        d.arrow((x + 78, 188), (430 + 50 * (i - 2), 216))
    d.box(250, 218, 360, 40, ".bp.compare()   .bp.plot()   .bp.report()", color=ORANGE)
    d.save("study.svg")


if __name__ == "__main__":
    chain()
    model()
    corrections()
    study()
