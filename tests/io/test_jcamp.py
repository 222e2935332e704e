from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, UnitsError

HEADER = {
    "TITLE": "glass", "JCAMP-DX": "4.24 $$ a remark", "DATA TYPE": "RAMAN SPECTRUM", "XUNITS": "1/CM", "YUNITS": "ARBITRARY UNITS",
    "XFACTOR": "0.5", "YFACTOR": "2.0", "FIRSTX": "20", "LASTX": "30", "NPOINTS": "6", "FIRSTY": "10",
}  # fmt: skip
FORM, LINES = "(X++(Y..Y))", ["40 5 6 7 8", "56 9 ?"]


def write(
    path: Path, lines: list[str] = LINES, form: str = FORM, **header: str | None
) -> Path:
    given = HEADER | {name.replace("_", " "): value for name, value in header.items()}
    rows = [f"##{name}={value}" for name, value in given.items() if value is not None]
    table = "XYPOINTS" if form == "(XY..XY)" else "XYDATA"
    path.write_text("\n".join([*rows, f"##{table}={form}", *lines, "##END="]) + "\n")
    return path


def test_factors_and_many_values_a_line(tmp_path: Path) -> None:
    ds = xbp.open_dataset(write(tmp_path / "a.jdx"))
    np.testing.assert_array_equal(ds.E, [20, 22, 24, 26, 28, 30])
    np.testing.assert_array_equal(ds.I, [10, 12, 14, 16, 18, np.nan])
    assert list(ds.data_vars) == ["I"]
    assert (ds.E.attrs["units"], ds.I.attrs["quantity"], ds.attrs["title"]) == (
        "1/cm",
        "raman_intensity",
        "glass",
    )
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "a.jdx", engine="jcamp"), ds)
    labels = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.jdx", **labels), ds)
    assert float(xbp.open_dataset(tmp_path / "a.jdx", T="300 K").temperature) == 300


def test_descending_packed_and_pairs(tmp_path: Path) -> None:
    ds = xbp.open_dataset(
        write(tmp_path / "a.jdx", ["60+5+6+7", "48+8+9+10"], FIRSTX="30", LASTX="20")
    )
    np.testing.assert_array_equal(ds.E, [20, 22, 24, 26, 28, 30])
    np.testing.assert_array_equal(ds.I, [20, 18, 16, 14, 12, 10])
    pairs = write(
        tmp_path / "b.jdx", ["40,5; 44,6", "50,7 60,8"], "(XY..XY)", NPOINTS="4"
    )
    ds = xbp.open_dataset(pairs)
    np.testing.assert_array_equal(ds.E, [20, 22, 25, 30])
    np.testing.assert_array_equal(ds.I, [10, 12, 14, 16])


def test_the_temperature_of_the_file_is_not_believed(tmp_path: Path) -> None:
    """The format has it in °C, and some write kelvin."""
    ds = xbp.open_dataset(write(tmp_path / "a.jdx", TEMPERATURE="298"))
    assert "temperature" not in ds.coords
    assert ds.attrs["jcamp_temperature"] == "298"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"DATA TYPE": "INFRARED SPECTRUM"}, "INFRARED"), ({"XUNITS": "NANOMETERS"}, "NANOMETERS"), ({"YUNITS": "TRANSMITTANCE"}, "TRANSMITTANCE"),
        ({"NPOINTS": "7"}, "NPOINTS=7"), ({"FIRSTX": "22"}, "begins with X"), ({"LASTX": "50"}, "begins with X"), ({"FIRSTX": None}, "FIRSTX"),
        ({"FIRSTY": "100"}, "FIRSTY=100"), ({"XFACTOR": "1"}, "begins with X"), ({"YFACTOR": "0"}, "YFACTOR"), ({"DELTAX": "1"}, "DELTAX"),
        ({"YFACTOR": "inf"}, "inf"), ({"XUNITS": None}, "XUNITS"),
        ({"YUNITS": "LOG COUNTS"}, "LOG"), ({"YUNITS": "LOG(COUNTS)"}, "LOG"), ({"YUNITS": "1ST DERIVATIVE"}, "DERIVATIVE"), ({"YUNITS": "D(COUNTS)/D(X)"}, "column title"),
        ({"YUNITS": "COUNTS*1000"}, "1000"), ({"YLABEL": "Absorbance"}, "Absorbance"), ({"YUNITS": "PERCENT"}, "PERCENT"), ({"DATA TYPE": "RAMAN SPECTRUM (2ND DERIVATIVE)"}, "DERIVATIVE"),
        ({"DATA PROCESSING": "second derivative"}, "derivative"), ({"XLABEL": "Absolute wavenumber"}, "Absolute"), ({"MINY": "5"}, "MINY"), ({"MAXY": "9"}, "MAXY"), ({"MINX": "10"}, "MINX"), ({"MAXX": "60"}, "MAXX"),
    ],
    ids=str,
)  # fmt: skip
def test_headers_that_do_not_fit(
    tmp_path: Path, change: dict[str, str | None], says: str
) -> None:
    with pytest.raises(FileFormatError, match=says):
        xbp.open_dataset(write(tmp_path / "a.jdx", **change))


def test_a_wavelength_is_no_shift(tmp_path: Path) -> None:
    with pytest.raises(UnitsError, match="Wavelength"):
        xbp.open_dataset(write(tmp_path / "a.jdx", XLABEL="Wavelength"))


@pytest.mark.parametrize(
    "change",
    [
        {"MINX": "20", "MAXX": "30", "MINY": "10", "MAXY": "18"}, {"XLABEL": "Raman Shift (cm-1)"}, {"XLABEL": "Wavenumber"}, {"YLABEL": "Intensity [a.u.]"},
        {"YUNITS": "COUNTS"}, {"YUNITS": "Counts/s"}, {"YUNITS": "RAMAN INTENSITY"}, {"YUNITS": "RELATIVE INTENSITY"}, {"YUNITS": "cps"}, {"YUNITS": "Arbitrary"},
        {"DATA PROCESSING": "baseline, smoothed"}, {"YUNITS": "INTENSITY (CCD COUNTS)"}, {"XUNITS": "RAMAN SHIFT (CM-1)"}, {"XUNITS": "cm^-1"},
    ],
    ids=str,
)  # fmt: skip
def test_headers_that_fit(tmp_path: Path, change: dict[str, str | None]) -> None:
    assert float(xbp.open_dataset(write(tmp_path / "a.jdx", **change)).I[0]) == 10


@pytest.mark.parametrize(
    ("lines", "form"),
    [
        (["40A5B3C7"], FORM), (["40 5 %JK6 7 8", "56 9 10"], FORM), (["40 5 6 7 8", "56 9"], FORM), (["40 5 6 7", "56 9 10"], FORM),
        (["40 5 6 7 8", "50 9 10"], FORM), (["40 5 6 7 8", "56 9 inf"], FORM), (["40 5 6 7 8", "56 9 1e300"], FORM), (LINES, "(X++(R..R))"),
        (["1 2 3"], "(XY..XY)"), ([*LINES, "##END=", "##TITLE=second"], FORM), ([*LINES, "##XYDATA=(X++(Y..Y))", *LINES], FORM),
    ],
    ids=str,
)  # fmt: skip
def test_tables_that_are_not_read(tmp_path: Path, lines: list[str], form: str) -> None:
    with pytest.raises(FileFormatError):
        xbp.open_dataset(write(tmp_path / "a.jdx", lines, form))


def test_truncated(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.jdx").read_text()
    (tmp_path / "a.jdx").write_text(whole.removesuffix("##END=\n"))
    with pytest.raises(FileFormatError, match="END"):
        xbp.open_dataset(tmp_path / "a.jdx")


#: Ten ordinates in each form of JCAMP-DX 4.24 (A = 1, a = -1; J = +1, j = -1, % = 0;
#: S repeats once, X six times), and the lines of X = 40, 44, ... that they make.
TEN = [1, 2, 3, 3, 2, 1, 0, -1, -2, -3]
FORMS = {
    "AFFN": ["40 1 2 3 3 2", "60 1 0 -1 -2 -3"],
    "PAC": ["40+1+2+3+3+2", "60+1+0-1-2-3"],
    "SQZ": ["40ABCCB", "60A@abc"],
    "SQZ, DUP": ["40ABCTB", "60A@abc"],
    "DIF": ["40AJJ%j", "56Bjjjjj"],
    "DIF, DUP": ["40AJJ%j", "56BjW"],
    "DIF, DUP in one line": ["40AJJ%jX"],
    "DIF with a last line of the check alone": ["40AJJ%jX", "76c"],
    "DIF, X of the next point": ["40AJJ%j", "60BjW"],
    "mixed": ["40ABJ%j", "56BA@jb", "76c"],
}


@pytest.mark.parametrize("lines", FORMS.values(), ids=list(FORMS))
def test_every_form_of_compression(tmp_path: Path, lines: list[str]) -> None:
    header = {"LASTX": "38", "NPOINTS": "10", "FIRSTY": "2", "MINY": "-6", "MAXY": "6"}
    ds = xbp.open_dataset(write(tmp_path / "a.jdx", lines, **header))
    np.testing.assert_array_equal(ds.I, 2.0 * np.array(TEN))
    np.testing.assert_array_equal(ds.E, np.arange(20, 39, 2))


def test_ordinates_of_several_digits(tmp_path: Path) -> None:
    """A23 is 123, b5 -25, N3 a step of +53, o07 of -607, %U a Y three times."""
    lines = ["40A23b5N3o07%U", "64e79?D"]
    header = {"LASTX": "36", "NPOINTS": "9", "FIRSTY": "246"}
    ds = xbp.open_dataset(write(tmp_path / "a.jdx", lines, **header))
    Y = [123, -25, 28, -579, -579, -579, -579, np.nan, 4]
    np.testing.assert_array_equal(ds.I, 2.0 * np.array(Y))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["40AJ%j", "56BjW"], "does not repeat"), (["40AJJ%j", "56AjW"], "does not repeat"), (["40AJJ%j", "60ABjV"], "does not repeat"),
        (["40AJJ%j", "48BjW"], "begins with X"), (["40AJJ%j", "56BjV"], "NPOINTS|begins with X"), (["40AJJ%jX", "76b"], "does not repeat"),
        (["40JJJ%j", "56BjW"], "begins with a difference"), (["40TAJJ", "56BjW"], "repeats nothing"), (["40AJJ%j", "56BjW!"], "not a number"),
    ],
    ids=str,
)  # fmt: skip
def test_differences_that_were_lost(
    tmp_path: Path, lines: list[str], says: str
) -> None:
    header = {"LASTX": "38", "NPOINTS": "10", "FIRSTY": "2"}
    with pytest.raises(FileFormatError, match=says):
        xbp.open_dataset(write(tmp_path / "a.jdx", lines, **header))


def test_rounded_steps_and_cut_digits(tmp_path: Path) -> None:
    """NIST writes ##DELTAX=0.241 for 0.24106; others cut digits of X off."""
    y = " ".join(["5"] * 3000)
    options = {"FIRSTX": "20", "LASTX": "743.18", "NPOINTS": "3000", "FIRSTY": None}
    for delta, opens in (("0.241", True), ("0.2411", True), ("0.245", False)):
        path = write(tmp_path / "a.jdx", [f"40 {y}"], DELTAX=delta, **options)
        if opens:
            assert xbp.open_dataset(path).E.values[-1] == 743.18
            continue
        with pytest.raises(FileFormatError, match=r"##DELTAX=0.245"):
            xbp.open_dataset(path)
    cut = {"XFACTOR": "1", "FIRSTX": "20.9", "LASTX": "45.9"}
    ds = xbp.open_dataset(write(tmp_path / "b.jdx", ["20 5 6 7", "35 8 9 1"], **cut))
    np.testing.assert_allclose(ds.E, [20.9, 25.9, 30.9, 35.9, 40.9, 45.9])


def test_a_last_row_and_private_rows(tmp_path: Path) -> None:
    """##END= is the end, also without a line end; rows of ##$ may repeat."""
    path = write(tmp_path / "a.jdx")
    wanted = xbp.open_dataset(path)
    text = path.read_text().replace("##XYDATA", "##$AXIS= 1\n##$AXIS= 2\n##XYDATA")
    path.write_text(text.rstrip("\n"))
    xr.testing.assert_equal(xbp.open_dataset(path), wanted)
    path.write_text(path.read_text().replace("##JCAMP-DX", "##VERSION"))
    xr.testing.assert_equal(xbp.open_dataset(path), wanted)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("RAMAN SPECTRUM", "NMR SPECTRUM", "no Raman spectrum, but ##DATATYPE=NMR"),
        ("##XYDATA=(X++(Y..Y))", "##PEAK TABLE=(XY..XY)", "not one spectrum"),
        ("##XUNITS", "##BLOCKS=2\n##XUNITS", "not one spectrum"),
        ("##END=", "##END=\n##TITLE=another", "several spectra"),
    ],
)
def test_other_files_are_not_called_damaged(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    path = write(tmp_path / "a.jdx")
    for name in ("##JCAMP-DX", "##VERSION"):
        text = path.read_text().replace(old, new).replace("##JCAMP-DX", name)
        other = tmp_path / "b.jdx"
        other.write_text(text)
        with pytest.raises(FileFormatError, match=says) as caught:
            xbp.open_dataset(other)
        assert "damaged" not in str(caught.value)
