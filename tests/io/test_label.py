"""Arrays without labels, and tables of pandas, become data of xbp; what they lack is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, UnitsError, XbpError

BARE = xr.DataArray(
    [[1.0, 2, 3], [4, 5, 6]],
    dims=("q", "energy"),
    coords={"q": [1.0, 2.0], "energy": [0.0, 1.0, 2.0]},
    name="sqw",
)
RENAME = {"rename": {"q": "Q", "energy": "E"}}
UNITS = {"Q": "1/angstrom", "E": "meV"}


def test_an_array_without_labels() -> None:
    told = {
        **RENAME,
        "units": "1/meV",
        "coordinate_units": UNITS,
        "statistics": "quantum",
    }
    S = BARE.bp.label("S(Q,E)", T=300, **told)
    assert S.S.attrs["quantity"] == "dynamic_structure_factor"
    np.testing.assert_array_equal(S.S, BARE)
    assert (float(S.temperature), S.S.attrs["statistics"]) == (300, "quantum")
    assert S.bp.to_bqe(u2=0).B.shape == (2, 3)
    errors = BARE.bp.label("dynamic_structure_factor", std=0.1 * BARE, **told)
    np.testing.assert_allclose(errors.S_std, 0.1 * BARE)
    both = xr.Dataset({"sqw": BARE, "sqw_std": 0.1 * BARE.T})
    np.testing.assert_allclose(
        both.bp.label("dynamic_structure_factor", **told).S_std, 0.1 * BARE
    )
    partly = BARE.rename(q="Q", energy="E").assign_attrs(units="1/meV")
    partly["E"].attrs["units"] = "meV"
    rest = {"coordinate_units": {"Q": "1/angstrom"}, "statistics": "quantum"}
    assert partly.bp.label("dynamic_structure_factor", **rest).S.dims == ("Q", "E")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({}, UnitsError, "lack quantity, units, coordinate_units\n.*'q': 'meV', 'energy'"),
        (RENAME, UnitsError, r"label\('dynamic_structure_factor', units='1/meV', coordinate_units={'Q': '1/angstrom', 'E': 'meV'}\)"),
        ({"quantity": "dynamic_structure_factor", **RENAME, "units": "1/meV"}, UnitsError, "lack coordinate_units, statistics"),
        ({"quantity": "spectrum", "units": "1", "coordinate_units": UNITS, **RENAME}, QuantityError, "quantity='spectrum'"),
        ({"rename": {"Q": "q"}}, QuantityError, "rename"),
        ({"variable": "S"}, QuantityError, "variable='S' is not used"),
    ],
)  # fmt: skip
def test_what_lacks_is_asked_for_at_once(
    options: dict[str, Any], error: type[XbpError], says: str
) -> None:
    with pytest.raises(error, match=says):
        BARE.bp.label(**options)


def test_labels_that_contradict() -> None:
    S = xbp.tutorial.open_dataset("zr46cu46al8_md")
    with pytest.raises(QuantityError, match="labelled as a 'dynamic_structure_factor'"):
        S.S.bp.label()
    with pytest.raises(UnitsError, match="has the units '1/meV', not '1/THz'"):
        S.S.bp.label(units="1/THz")
    with pytest.raises(QuantityError, match="labelled as a 'dynamic_structure_factor'"):
        S.S.bp.label("vibrational_dos", units="1/meV")
    with pytest.raises(QuantityError, match="the Dataset has the variables"):
        xr.Dataset({"a": BARE, "b": BARE}).bp.label("vibrational_dos")


@pytest.mark.parametrize("indexed", [True, False])
def test_a_table_of_pandas_and_back(indexed: bool) -> None:
    S = xbp.tutorial.open_dataset("zr46cu46al8_md")[["S", "S_std"]].isel(
        Q=slice(3), E=slice(4)
    )
    table = S.bp.to_dataframe()
    if indexed:
        table = table.set_index(list(table.columns[:2]))
    told = {"statistics": "classical", "T": "300 K"}
    back = xbp.from_pandas(table, "dynamic_structure_factor", **told)
    for name in ("S", "S_std", "Q", "E"):
        np.testing.assert_array_equal(back[name], S[name])
        assert back[name].attrs["units"] == S[name].attrs["units"]
    cut = S.isel(Q=0, drop=True)
    series = cut.bp.to_dataframe().set_index("E (meV)")["S (1/meV)"]
    again = xbp.from_pandas(series, "dynamic_structure_factor", statistics="classical")
    np.testing.assert_array_equal(again.S, cut.S)


def test_a_table_of_pandas_without_units() -> None:
    table = pd.DataFrame({"omega": [2.0, 1.0], "dos": [0.2, 0.1], "err": [0.02, 0.01]})
    names = {"rename": {"omega": "E", "dos": "g", "err": "g_std"}}
    with pytest.raises(UnitsError, match="lack units, coordinate_units"):
        xbp.from_pandas(table, "vibrational_dos", **names)
    told = {**names, "units": "1/THz", "coordinate_units": {"E": "THz"}}
    g = xbp.from_pandas(table, "vibrational_dos", **told)
    assert g.E.values.tolist() == [1, 2]
    assert (g.g.values.tolist(), g.g_std.values.tolist()) == ([0.1, 0.2], [0.01, 0.02])
    for wrong, says in (
        (table, "rename={'omega': 'g'}"),
        (table.rename(columns={"omega": "E", "dos": "g"}), "rename={'err': 'g_std'}"),
        (pd.concat([table, table]), "several rows"),
        (3, "not a pandas DataFrame"),
    ):
        with pytest.raises(QuantityError, match=says):
            xbp.from_pandas(
                wrong, "vibrational_dos", **(told if says == "several rows" else {})
            )
