"""A format as a contributor adds it: its reader, damaged files, other versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, FileFormatError, QuantityError
from xbp.io.reader import Format
from xbp.io.text import check, to_numbers

LABELS = {
    "quantity": "vibrational_dos",
    "units": "1/meV",
    "coordinate_units": "meV",
}


@pytest.fixture
def mylab(monkeypatch: pytest.MonkeyPatch) -> Format:
    """First line MYLAB 1, then the energies, then a Q and S on each line."""
    monkeypatch.setattr(Format, "made", [*Format.made])
    entry = Format(
        "MyLab text",
        "text",
        lambda lines: lines[:1] == ["MYLAB 1"],
        "its first line is not MYLAB 1",
        resembles=r"\AMYLAB\b",
    )

    @entry.reader
    def open_mylab(path: Path, lines: list[str], *, T: object = None) -> xr.Dataset:
        E = to_numbers(lines[1:2], "the energies")
        table = to_numbers(lines[2:], "the spectra").reshape(-1, E.size + 1)
        check(len(table) > 1, "it has one spectrum")
        return xbp.new_dataset(
            "dynamic_structure_factor",
            table[:, 1:],
            units="1",
            coords={"Q": (table[:, 0], "1/angstrom"), "E": (E, "meV")},
            temperature=T,
            statistics="quantum",
            attrs={"source": f"MyLab text {path.name}"},
        )

    monkeypatch.setattr("xbp.io.FORMATS", (entry, *xbp.io.FORMATS))
    return entry


def written(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.usefixtures("mylab")
def test_a_new_format_is_recognised(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "MYLAB 1", "1 2", "0.5 7 8", "1.0 9 10")
    S = xbp.open_dataset(path, T="300 K").S
    np.testing.assert_array_equal(S, [[7, 8], [9, 10]])
    assert float(S.temperature) == 300
    with pytest.raises(QuantityError, match="has no option quantity="):
        xbp.open_dataset(path, quantity="raman_intensity")


@pytest.mark.usefixtures("mylab")
def test_an_error_in_the_data_names_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "MYLAB 1", "1 2", "1.0 7 8", "0.5 9 10")
    with pytest.raises(CoordinateError) as caught:
        xbp.open_dataset(path)
    assert caught.value.summary.startswith(f"{path}: coordinate 'Q' is not ascending")
    assert caught.value.fix == ""
    with pytest.raises(CoordinateError, match=r"fix:  data\.sortby"):
        xbp.new_dataset(
            "raman_intensity", [1, 2], units="1", coords={"E": ([2, 1], "1/cm")}
        )


@pytest.mark.usefixtures("mylab")
@pytest.mark.parametrize("rows", [["1 2", "1 a 2"], ["1 2", "1 2 3 4"], ["1", "1 2"]])
def test_a_damaged_file_is_of_its_format(tmp_path: Path, rows: list[str]) -> None:
    path = written(tmp_path / "a", "MYLAB 1", *rows)
    with pytest.raises(FileFormatError, match="cannot be read as MyLab text"):
        xbp.open_dataset(path)


@pytest.mark.usefixtures("mylab")
def test_another_version_is_not_a_table_of_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "MYLAB 2", "1 2", "3 4")
    for options in ({}, LABELS):
        with pytest.raises(
            FileFormatError, match="looks like MyLab text, but its first line"
        ):
            xbp.open_dataset(path, **options)
    with pytest.raises(FileFormatError, match="looks like MyLab text"):
        xr.open_dataset(path, engine="columns", **LABELS)


def test_another_program_of_an_instrument(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "[Header]", "BYAPP,VSM,1.0", "[Data]", "1 2", "3 4")
    with pytest.raises(
        FileFormatError, match="a measurement by 'VSM' of Quantum Design"
    ):
        xbp.open_dataset(path, **LABELS)
