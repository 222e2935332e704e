"""The map with a point to drag: its cuts are those of `cut_E` and `cut_Q`, in a browser too."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, RangeError

pytest.importorskip("bokeh")
WIDTHS = {"E_width": "0.7 meV", "Q_width": "0.5 1/angstrom"}


@pytest.fixture(scope="module")
def S() -> xr.Dataset:
    """Uneven bins that share counts along E, a hole, and an error common to all bins."""
    Q, E = np.array([1.0, 1.4, 1.9, 2.5, 3.0, 3.6]), np.linspace(1.0, 9.0, 17)
    rng = np.random.default_rng(3)
    values = 5e-4 * (1 + rng.random((Q.size, E.size)))
    values[2, 5] = np.nan
    axes = {"Q": (Q, "1/angstrom"), "E": (E, "meV")}
    data = xbp.new_dataset(
        "dynamic_structure_factor", values, std=0.1 * values, units="1/meV",
        coords=axes, statistics="quantum", temperature="300 K",
    )  # fmt: skip
    return data.bp.rebin(E="0.25 meV").bp.scale(2.0, factor_std=0.1)


@pytest.fixture(scope="module")
def sq() -> xr.Dataset:
    coords = {"Q": ([10.0, 20.0, 36.0], "1/nm")}
    return xbp.new_dataset(
        "static_structure_factor", [0.5, 2.0, 1.0], units="1", coords=coords
    )


def source(explorer: Any, name: str) -> dict[str, np.ndarray]:
    return {k: np.asarray(v) for k, v in explorer.layout.select_one({"name": name}).data_source.data.items()}  # fmt: skip


def wanted(S: xr.Dataset, Q: float, E: float) -> dict[str, xr.Dataset]:
    return {
        "over_E": S.bp.cut_Q(Q, "0.5 1/angstrom"),
        "over_Q": S.bp.cut_E(E, "0.7 meV"),
    }


def agrees(found: dict[str, Any], cut: xr.Dataset, power: int) -> None:
    value = cut.S.values / 10.0**power
    std = cut.S_std.values / 10.0**power
    seen = np.isfinite(value)
    np.testing.assert_allclose(found["x"], cut[cut.S.dims[0]].values[seen])
    np.testing.assert_allclose(found["y"], value[seen], rtol=1e-12)
    half = (np.asarray(found["high"]) - np.asarray(found["low"])) / 2
    np.testing.assert_allclose(half, std[seen], rtol=1e-9)


@pytest.mark.slow
def test_the_first_cuts_are_those_of_the_functions(
    S: xr.Dataset, sq: xr.Dataset
) -> None:
    explorer = S.bp.plot.explore(sq, **WIDTHS)
    (point,) = (r for r in explorer.layout.select({"name": "point"}))
    at = {dim: column[0] for dim, column in point.data.items()}
    for name, cut in wanted(S, at["Q"], at["E"]).items():
        found = explorer.layout.select_one({"name": name}).data
        agrees(found, cut, -3)
    shown = explorer.layout.select_one({"name": "map"})
    assert shown.title.text == "S(Q,E) (10⁻³ meV⁻¹)"
    assert shown.extra_y_ranges["sq"].end == pytest.approx(2.1)


@pytest.mark.slow
def test_values_alone_have_no_error_bars(S: xr.Dataset) -> None:
    explorer = S.S.bp.plot.explore(**WIDTHS)
    found = explorer.layout.select_one({"name": "over_E"}).data
    np.testing.assert_array_equal(found["low"], found["y"])


@pytest.mark.slow
def test_a_page_is_written_once(S: xr.Dataset, tmp_path: Path) -> None:
    explorer = S.bp.plot.explore()
    explorer.save(tmp_path / "map.html")
    assert "cdn." not in (tmp_path / "map.html").read_text().partition("<script")[0]
    with pytest.raises(FileFormatError, match="exists"):
        explorer.save(tmp_path / "map.html")


def test_explore_refuses_what_is_no_map(S: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="a map has Q and E"):
        S.bp.cut_E(3, 0.5).bp.plot.explore()
    with pytest.raises(RangeError, match="E_width=100"):
        S.bp.plot.explore(E_width="100 meV")


# In a browser


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def exported_notebook(explorer: Any) -> str:
    nbformat = pytest.importorskip("nbformat")
    nbconvert = pytest.importorskip("nbconvert")
    output = nbformat.v4.new_output(
        "execute_result", {"text/html": explorer._repr_html_()}
    )
    cell = nbformat.v4.new_code_cell(
        "b.bp.plot.explore()", outputs=[output], execution_count=1
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    return str(nbconvert.HTMLExporter().from_notebook_node(notebook)[0])


@pytest.mark.parametrize("kind", ["page", "notebook"])
def test_both_cuts_follow_the_pointer(
    browser: Any, served: str, S: xr.Dataset, sq: xr.Dataset, tmp_path: Path, kind: str
) -> None:
    explorer = S.bp.plot.explore(sq, **WIDTHS)
    if kind == "page":
        explorer.save(tmp_path / "map.html")
    else:
        (tmp_path / "map.html").write_text(exported_notebook(explorer))
    page = browser.new_page(viewport={"width": 1300, "height": 700})
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(f"{served}/map.html")
    frame = page.frames[-1]
    frame.wait_for_function("window.Bokeh && Bokeh.documents.length > 0")
    frame.wait_for_selector(".bk-Figure")
    box = frame.locator(".bk-Figure").first.bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    read = """() => Object.fromEntries(["point", "over_E", "over_Q"].map(name => [name,
        Object.fromEntries(Object.entries(Bokeh.documents[0].get_model_by_name(name).data)
        .map(([key, column]) => [key, Array.from(column)]))]))"""
    places = []
    for dx, dy in ((40, -30), (-60, 50), (1000, 0)):  # the last one far off the map
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx, y + dy, steps=4)
        page.mouse.up()
        frame.wait_for_timeout(60)
        found = frame.evaluate(read)
        place = {dim: found["point"][dim][0] for dim in ("Q", "E")}
        places.append(place)
        # The last cuts that fit.
        for dim, width in (("Q", 0.5), ("E", 0.7)):
            low, high = xbp.core.grid.bin_limits(S, dim)
            place[dim] = np.clip(place[dim], low[0] + width / 2, high[-1] - width / 2)
        for name, cut in wanted(S, place["Q"], place["E"]).items():
            agrees(found[name], cut, -3)
    assert len({tuple(place.values()) for place in places}) == 3
    assert not broken
    page.close()


@pytest.mark.slow
def test_the_first_cut_is_where_there_is_data() -> None:
    """A masked elastic line may lie at the energy where the cut would be."""
    b = xbp.tutorial.open_dataset("zr46cu46al8").bp.to_bqe()
    low, high = float(b.E[0]), float(b.E[-1])
    hidden = abs(b.E - (low + (high - low) / 5)) < 3
    explorer = b.where(~hidden).bp.plot.explore()
    first = explorer.layout.select_one({"name": "over_Q"}).data
    assert len(first["x"]) > 100
    assert np.isfinite(first["y"]).all()
