from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, FileFormatError, QuantityError, UnitsError
from xbp.io.columns import ColumnsBackend, open_columns

RAMAN = {"quantity": "raman_intensity", "units": ("1/cm", "1")}


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "10 1\n20 2\n30 3\n", "10\t1\r\n20\t2\r\n30\t3\r\n", "10,1\n20,2\n30,3", "30;3\n20;2\n10;1\n",
        "# x y\n 10 1\n\n# more\n20 2\n30 3\n", "TITLE\t\nLOCALE 1033\nXYDATA\n10 1\n20 2\n30 3\n\n##### Information\nLaser 532 nm\n",
        "\ufeff10, 1\n20, 2\n30, 3\n",
    ],
    ids=repr,
)  # fmt: skip
def test_every_way_to_write_two_columns(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.txt", text)
    ds = xr.open_dataset(path, engine=ColumnsBackend, **RAMAN)
    np.testing.assert_array_equal(ds.E, [10, 20, 30])
    np.testing.assert_array_equal(ds.I, [1, 2, 3])
    assert (ds.E.attrs["units"], ds.I.attrs["quantity"]) == ("1/cm", "raman_intensity")


def test_header_in_latin_1_is_kept(tmp_path: Path) -> None:
    ds = open_columns(write(tmp_path / "a.txt", b"Temp (\xb0C)\tI\n10 1\n20 2\n"), **RAMAN)
    assert ds.attrs["header"] == "Temp (°C)\tI"


def test_errors_and_temperature(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "2 10 0.1 7\n1 20 0.2 8\n")
    ds = open_columns(
        path, quantity="raman_intensity", units=("1/cm", "percent", "1"), columns=(0, 1, 2), temperature="300 K"
    )
    np.testing.assert_array_equal(ds.I_std, [0.2, 0.1])
    assert ds.I_std.attrs["units"] == "1"
    assert float(ds.temperature) == 300
    swapped = open_columns(path, columns=(0, 3), **RAMAN)
    np.testing.assert_array_equal(swapped.I, [8, 7])


def test_other_quantities(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "300,20\n4,0.1\n")
    ds = open_columns(path, quantity="heat_capacity", units=("K", "J/mol/K"))
    np.testing.assert_array_equal(ds.C, [0.1, 20])
    assert open_columns(path, quantity="vibrational_dos", units=("THz", "1/THz")).g.dims == ("E",)


def test_wavelengths(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "532 1\n533 2\n534 3\n")
    raw = open_columns(path, quantity="raman_intensity", units=("nm", "1"))
    assert raw.I.dims == ("wavelength",)
    ds = open_columns(path, quantity="raman_intensity", units=("nm", "1"), laser="532 nm")
    xr.testing.assert_allclose(ds.E, raw.bp.to_raman_shift("532 nm").E)
    np.testing.assert_allclose(ds.E[1], 1e7 / 532 - 1e7 / 533)


@pytest.mark.parametrize(
    "text",
    [
        "10 1\n20 2\n30\n", "10 1\n20 2 5\n", "10 1\n20\n30 3\n", "10 1\ntext\n30 3\n", "10 1\n20 x\n30 3\n", "",
        "no numbers\n", "1\n2\n3\n", "10,5\t1,5\n", b"\x00\x01\x02", "10;1,5\n20;2,5\n",
    ],
    ids=repr,
)  # fmt: skip
def test_ragged_and_foreign_files(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(FileFormatError):
        open_columns(write(tmp_path / "a.txt", text), **RAMAN)


def test_cut_anywhere_it_never_reads_a_wrong_column(tmp_path: Path) -> None:
    whole = "x y z\n" + "".join(f"{i} {100 + i} {200 + i}\n" for i in range(5))
    full = open_columns(write(tmp_path / "a.txt", whole), columns=(0, 2), **RAMAN)
    for cut in range(len(whole)):
        path = write(tmp_path / "a.txt", whole[:cut])
        try:
            ds = open_columns(path, columns=(0, 2), **RAMAN)
        except FileFormatError:
            continue
        # Every row but the last one, which may have lost digits, is what it was.
        np.testing.assert_array_equal(ds.I[:-1], full.I[: ds.sizes["E"] - 1])


def test_bad_arguments(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "10 1 5 6\n20 2 6 7\n")
    for kw in (
        {}, {"quantity": "raman_intensity"}, RAMAN, {**RAMAN, "columns": (0, 9)}, {**RAMAN, "columns": (0, 1, 2)},
        {"quantity": "raman_intensity", "units": "1/cm"}, {**RAMAN, "columns": ("x", "y")},
    ):  # fmt: skip
        with pytest.raises(FileFormatError):
            open_columns(path, **kw)
    with pytest.raises(QuantityError):
        open_columns(path, quantity="dynamic_structure_factor", units=("meV", "1"), columns=(0, 1))
    for units in (("K", "1"), ("furlongs per", "1"), ("meV", "??")):
        with pytest.raises(UnitsError):
            open_columns(path, quantity="raman_intensity", units=units, columns=(0, 1))
    twice = write(tmp_path / "b.txt", "10 1\n10 2\n")
    with pytest.raises(CoordinateError, match="duplicates"):
        open_columns(twice, **RAMAN)
    with pytest.raises(CoordinateError):
        open_columns(write(tmp_path / "b.txt", "nan 1\n10 2\n"), **RAMAN)


def test_open_dataset_says_what_it_must_be_told(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="engine='columns'"):
        xbp.open_dataset(write(tmp_path / "a.txt", "10 1\n20 2\n"))


def test_measured_files(shared_data: Path) -> None:
    for name, n, first in (("ae0202", 5307, 19.9309), ("BD1469", 2122, 25.061272), ("LS4", 3988, 580.2513)):
        ds = open_columns(shared_data / "raman" / f"{name}.txt", **RAMAN)
        assert abs(ds.sizes["E"] - n) <= 1
        assert float(ds.E[0]) == first
    cp = open_columns(shared_data / "cp" / "example_data.csv", quantity="heat_capacity", units=("K", "J/mol/K"))
    assert cp.sizes["temperature"] == 180
    assert float(cp.C[-1]) == 21.09914182
