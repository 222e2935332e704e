from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_fuzz

import xbp
from xbp.errors import FileFormatError, QuantityError, XbpError

MAP = {
    "__euphonic_class__": "Spectrum2D", "x_data": [0.5, 1.5, 2.5], "x_data_unit": "1 / angstrom", "y_data": [0.0, 1.0, 2.0],
    "y_data_unit": "terahertz", "z_data": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "z_data_unit": "millibarn / terahertz",
}  # fmt: skip


def good(tmp_path: Path, content: dict[str, Any] | None = None, **changes: Any) -> Path:
    test_fuzz.euphonic(tmp_path / "a.json")
    own = json.loads((tmp_path / "a.json").read_text()) if content is None else content
    new = {k: v for k, v in (own | changes).items() if v is not None}
    (tmp_path / "a.json").write_text(json.dumps(new, sort_keys=True))
    return tmp_path / "a.json"


def test_a_density_of_states(tmp_path: Path) -> None:
    """Edges or points; per energy in other units than the axis."""
    g = xbp.open_dataset(good(tmp_path)).g
    np.testing.assert_array_equal(g.E, 3 + 6 * np.arange(9))
    edges = xbp.open_dataset(good(tmp_path)).E_bnds
    np.testing.assert_array_equal(edges[:, 0], 6 * np.arange(9))
    np.testing.assert_array_equal(g, [0.02 * i**2 for i in range(9)])
    points = xbp.open_dataset(good(tmp_path, x_data=list(range(9)))).g
    np.testing.assert_array_equal(points.E, np.arange(9))
    cm = xbp.open_dataset(good(tmp_path, y_data_unit="centimeter")).g
    np.testing.assert_allclose(cm, g * 8.065544)
    old = good(tmp_path, __euphonic_class__=None, __euphonic_version__=None)
    np.testing.assert_array_equal(xbp.open_dataset(old).g, g)


def test_weighted(tmp_path: Path) -> None:
    path = good(tmp_path, y_data_unit="millibarn / millielectron_volt")
    with pytest.raises(QuantityError, match="quantity="):
        xbp.open_dataset(path)
    g = xbp.open_dataset(path, quantity="vibrational_dos").g
    assert g.attrs["units"] == "mb/meV"
    assert "S" in xbp.open_dataset(path, quantity="dynamic_structure_factor")


def test_a_line_of_a_collection(tmp_path: Path) -> None:
    rows = [{"label": "Total"}, {"species": "O"}, {"species": "Si"}, {"species": "Si"}]
    path = good(
        tmp_path, __euphonic_class__="Spectrum1DCollection", y_data=[[float(i)] * 9 for i in range(4)],
        metadata={"line_data": rows, "desc": "quartz"},
    )  # fmt: skip
    for line, value in (("Total", 0), ("O", 1), (3, 3)):
        assert float(xbp.open_dataset(path, line=line).g[0]) == value
    for wrong in (None, "Si", "Zr", 4):
        with pytest.raises(QuantityError, match="4 lines"):
            xbp.open_dataset(path, line=wrong)
    with pytest.raises(QuantityError, match="line="):
        xbp.open_dataset(good(tmp_path), line=0)


def test_a_map_is_of_a_powder_or_refused(tmp_path: Path) -> None:
    with pytest.raises(QuantityError, match="powder=True"):
        xbp.open_dataset(good(tmp_path, MAP))
    with pytest.raises(QuantityError, match="powder=True"):
        xbp.open_dataset(good(tmp_path, MAP), powder=False)
    S = xbp.open_dataset(good(tmp_path, MAP), powder=True, T="300 K").S
    np.testing.assert_array_equal(S, MAP["z_data"])
    assert (S.attrs["units"], S.E.attrs["units"]) == ("mb/THz", "THz")
    assert S.attrs["statistics"] == "quantum"
    np.testing.assert_array_equal(S.E, [0.5, 1.5])
    for change in ({"x_tick_labels": [[0, "L"]]}, {"metadata": {"q_direction": "[5., 7., L]"}}):  # fmt: skip
        with pytest.raises(FileFormatError, match="path or one direction"):
            xbp.open_dataset(good(tmp_path, MAP, **change), powder=True)
    with pytest.raises(FileFormatError, match="not S"):
        xbp.open_dataset(good(tmp_path, MAP, x_data_unit="meter"), powder=True)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"__euphonic_class__": "ForceConstants"}, "not a spectrum"),
        ({"x_data_unit": "1 / angstrom"}, "not in units of energy"),
        ({"y_data": [1.0, 2.0]}, "points for"),
        ({"y_data": ["a"] * 9}, "not numbers"),
        ({"y_data": [[1.0], [1.0, 2.0]]}, None),
        ({"y_data": None}, "lacks y_data"),
        ({"y_data_unit": "furlong"}, None),
        ({"x_data": [1.0] * 9}, None),
    ],
)
def test_refused(tmp_path: Path, changes: dict[str, Any], match: str | None) -> None:
    with pytest.raises(XbpError, match=match):
        xbp.open_dataset(good(tmp_path, **changes))


def test_cut_or_nested_json(tmp_path: Path) -> None:
    path = good(tmp_path)
    text = path.read_text()
    for wrong in (text[:-5], text + "}", '{"x_data": ' + "[" * 100_000):
        path.write_text(wrong)
        with pytest.raises(FileFormatError):
            xbp.open_dataset(path)
