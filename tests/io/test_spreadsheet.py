from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError


def test_one_row_for_each_value(glass: xr.Dataset) -> None:
    table = glass.bp.to_dataframe()
    assert list(table.columns) == [
        "Q (1/angstrom)",
        "E (meV)",
        "S (1/meV)",
        "S_std (1/meV)",
    ]
    assert len(table) == glass.S.size
    row = table.iloc[3 * glass.sizes["E"] + 5]
    assert row.tolist() == [
        float(glass.Q[3]),
        float(glass.E[5]),
        float(glass.S[3, 5]),
        float(glass.S_std[3, 5]),
    ]


def test_one_column_for_each_curve(glass: xr.Dataset) -> None:
    few = glass[["S", "S_std"]].bp.convert(E="THz").isel(Q=slice(20, 22))
    table = few.bp.to_dataframe("wide")
    at = [float(q) for q in few.Q]
    assert list(table.columns) == ["E (THz)"] + [
        f"{n} (1/THz) at Q = {q} 1/angstrom" for q in at for n in ("S", "S_std")
    ]
    np.testing.assert_array_equal(table.iloc[:, 3], few.S[1])
    np.testing.assert_array_equal(table.iloc[:, 4], few.S_std[1])


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_twelve_digits_are_written(
    tmp_path: Path, glass: xr.Dataset, layout: str
) -> None:
    data = glass[["S", "S_std"]].bp.to_bqe().isel(Q=slice(10, 20))
    data.B[3, 4] = np.nan
    data.bp.to_csv(tmp_path / "b.csv", layout)
    with open(tmp_path / "b.csv", newline="") as stream:
        titles, *rows = csv.reader(stream)
    table = data.bp.to_dataframe(layout)
    assert titles == list(table.columns)
    read = [[float(cell or "nan") for cell in row] for row in rows]
    np.testing.assert_allclose(read, table.values, rtol=1e-11)
    # What 0.1 + 0.2 adds in the 17th digit is not written.
    assert max(len(cell) for row in rows for cell in row) <= 18
    with pytest.raises(FileFormatError, match="exists"):
        data.bp.to_csv(tmp_path / "b.csv")
    data.bp.to_csv(tmp_path / "b.csv", overwrite=True)


def test_a_cut_is_read_back_as_columns(tmp_path: Path, glass: xr.Dataset) -> None:
    cut = glass.bp.to_bqe().bp.cut_Q((2, 8))
    cut.bp.to_csv(tmp_path / "cut.csv")
    back = xr.open_dataset(
        tmp_path / "cut.csv",
        engine="columns",
        quantity="reduced_dos",
        units=cut.B.attrs["units"],
        coordinate_units="meV",
    )
    np.testing.assert_allclose(back.B, cut.B, rtol=1e-11)
    np.testing.assert_allclose(back.B_std, cut.B_std, rtol=1e-11)


def test_what_makes_no_table(tmp_path: Path, glass: xr.Dataset) -> None:
    three = xr.concat([glass.S, glass.S], dim="sample")
    assert (
        len(three.bp.to_dataframe()) == 2 * glass.S.size
        if "sample" in three.coords
        else True
    )
    with pytest.raises(QuantityError, match="wide"):
        three.assign_coords(sample=[1, 2]).bp.to_dataframe("wide")
    with pytest.raises(QuantityError, match="layout"):
        glass.bp.to_csv(tmp_path / "x.csv", "tall")  # type: ignore[arg-type]
    with pytest.raises(QuantityError):
        glass.bp.cut_E(3, width=1).bp.cut_Q((2, 8)).bp.to_dataframe()
    assert not list(tmp_path.iterdir())
    long = three.assign_coords(sample=["a", "b"]).bp.to_dataframe()
    assert list(long.columns)[:2] == ["sample", "Q (1/angstrom)"]


@pytest.mark.slow
def test_tables_of_results_have_a_row_for_each_fit(
    unmarked: xr.Dataset, tmp_path: Path
) -> None:
    """Whatever is not of one row, such as bounds, correlations and totals, stays behind."""
    glass = unmarked
    peaks = glass.bp.to_bqe().isel(Q=slice(60, 64)).bp.boson_peak(E_range=(1.2, 12))
    frame = peaks.bp.to_dataframe()
    assert list(frame["Q (1/angstrom)"]) == peaks.Q.values.tolist()
    assert list(frame["energy_std (meV)"]) == peaks.energy_std.values.tolist()
    assert list(frame["status"]) == ["ok"] * 4
    peaks.bp.to_csv(tmp_path / "peaks.csv")
    lines = (tmp_path / "peaks.csv").read_text().splitlines()
    assert lines[0].startswith("Q (1/angstrom),energy (meV),energy_std (meV),")
    assert len(lines) == 5
    one = glass.bp.to_bqe().bp.cut_Q((2, 8)).bp.fit("lognormal", x_range=(1.2, 12))
    assert one.bp.to_dataframe()["sigma"].tolist() == [float(one.sigma)]
    energies = {
        name: xbp.stated_energy(E, "0.4 meV", reference="doi")
        for name, E in (("a", "5 meV"), ("b", "6 meV"))
    }
    table = xbp.new_study(energies).bp.compare().bp.to_dataframe()
    assert table[["leaf", "energy (meV)"]].values.tolist() == [["a", 5.0], ["b", 6.0]]
    assert not {"chi2", "mean_energy (meV)"} & set(table.columns)
    with pytest.raises(QuantityError, match="layout='wide'"):
        peaks.bp.to_dataframe("wide")
