from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, RangeError, UnitsError, XbpError
from xbp.io.labspec import LabspecBackend, open_labspec
from xbp.io.ppms import open_ppms

HEADER = (
    "#Acq. time (s)=\t30\n#Range=\tOff\n#Instrument=\tLabRAM\n#Detector temperature (°C)=\t-75\n"
    "#Laser (nm)=\t532 \n#Spectro (cm-¹)=\t289.988\n#Range=\tVisible\n#Project=\t\n#Full time(mm:ss)=\t1:06\n"
)
ROWS = "30\t3\n20\t2\n10\t1\n"


def write(
    path: Path, header: str = HEADER, rows: str = ROWS, encoding: str = "latin-1"
) -> Path:
    path.write_bytes((header + rows).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig"])
def test_header_and_columns(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.txt", encoding=encoding)
    ds = xbp.open_dataset(path)
    np.testing.assert_array_equal(ds.E, [10, 20, 30])
    np.testing.assert_array_equal(ds.I, [1, 2, 3])
    assert ds.E.attrs["units"] == "1/cm"
    assert ds.attrs["labspec_laser_nm"] == "532"
    assert (ds.attrs["labspec_range"], ds.attrs["labspec_range_2"]) == (
        "Off",
        "Visible",
    )
    assert "labspec_project" not in ds.attrs
    assert "temperature" not in ds.coords
    xr.testing.assert_identical(xr.open_dataset(path, engine=LabspecBackend), ds)
    ds.bp.to_netcdf(tmp_path / "a.nc")
    with xbp.open_dataset(tmp_path / "a.nc") as back:
        xr.testing.assert_identical(back, ds)


def test_maps_and_series(tmp_path: Path) -> None:
    """A row of the axis behind a tab for each column of places, then the spectra."""
    header = HEADER + "#AxisUnit[2]=\tµm\n"
    rows = "\t30\t20\t10\n0\t3\t2\t1\n1.5\t6\t5\t4\n"
    line = open_labspec(write(tmp_path / "a.txt", header, rows, encoding="utf-8"))
    assert line.I.sizes == {"spectrum": 2, "E": 3}
    np.testing.assert_array_equal(line.I, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(line.E, [10, 20, 30])
    assert line.place.values.tolist() == [0, 1.5]
    assert line.place.attrs["units"] == "µm"
    rows = "\t\t30\t20\t10\n-1\t7\t3\t2\t1\n"
    plane = open_labspec(write(tmp_path / "b.txt", rows=rows))
    assert (float(plane.place_0[0]), float(plane.place_1[0])) == (-1, 7)
    np.testing.assert_array_equal(plane.I, [[1, 2, 3]])
    for wrong in (rows[:-3] + "\n", "\t30\t20\n", "\t\t\t3\t2\n1\t2\t3\t4\t5\n"):
        with pytest.raises(FileFormatError, match=r"numbers|no spectra"):
            open_labspec(write(tmp_path / "c.txt", rows=wrong))


def test_a_series_of_labspec_5(tmp_path: Path) -> None:
    """Its header, without blanks, has no units of the axis."""
    header = "#Instrument=\tLabRam\n#Exposition=\t10\n#Spectro=\t980\n#Laser=\t532.1\n"
    path = write(tmp_path / "a.txt", header, "\t30\t20\n0\t3\t2\n60\t6\t5\n")
    with pytest.raises(FileFormatError, match="units of its axis are not stated"):
        xbp.open_dataset(path)
    ds = xbp.open_dataset(path, units="1/cm")
    np.testing.assert_array_equal(ds.I, [[2, 3], [5, 6]])
    assert (ds.attrs["labspec_laser"], ds.place.values.tolist()) == ("532.1", [0, 60])


def test_axis_in_wavelengths(tmp_path: Path) -> None:
    rows = "532\t1\n533\t2\n534\t3\n"
    path = write(tmp_path / "a.txt", HEADER.replace("cm-¹", "nm"), rows)
    ds = open_labspec(path, temperature="300 K")
    np.testing.assert_allclose(
        ds.E, 1e7 / 532 - 1e7 / np.array([532.0, 533, 534]), atol=1e-9
    )
    assert float(open_labspec(path, laser="531 nm").E[0]) > 30
    other = write(tmp_path / "b.txt", HEADER + "#AxisUnit[1]=\t1/cm\n")
    np.testing.assert_array_equal(open_labspec(other).E, [10, 20, 30])


def test_units_that_the_header_does_not_tell(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", HEADER.replace("Spectro (cm-¹)", "Spectro"))
    with pytest.raises(FileFormatError, match="units of its axis"):
        xbp.open_dataset(path)
    np.testing.assert_array_equal(open_labspec(path, units="1/cm").E, [10, 20, 30])


@pytest.mark.parametrize(
    "rows", ["", "10\t1\n20\n", "10\t1\t2\n20\t1\t2\n", "10\t1\nx\n20\t2\n"], ids=repr
)
def test_truncated_and_maps(tmp_path: Path, rows: str) -> None:
    with pytest.raises(FileFormatError):
        xbp.open_dataset(write(tmp_path / "a.txt", rows=rows))


def test_foreign(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"'#Acq\. time'"):
        open_labspec(write(tmp_path / "a.txt", "# x y\n"))
    assert not LabspecBackend().guess_can_open(str(tmp_path / "a.txt"))
    assert not LabspecBackend().guess_can_open(3)
    assert LabspecBackend().guess_can_open(str(write(tmp_path / "b.txt")))


def test_measured_file(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "raman" / "labram_wn.txt")
    assert ds.sizes["E"] == 1020
    assert (float(ds.E[0]), float(ds.I[0])) == (24.8558, 564.25)
    assert ds.attrs["labspec_laser_nm"] == "532"
    assert ds.attrs["labspec_grating"] == "1800 gr/mm"


@pytest.mark.parametrize(
    "rows", ["10,5\t1,2\n11,5\t5,4\n", "10,5\n11,5\n", "10;5\n11;5\n", "1_0\t1_000\n20\t5\n", "10\t1e999\n20\t5\n", "10\t1\n20\t23"]
)  # fmt: skip
def test_what_could_be_read_wrongly_is_not_read(tmp_path: Path, rows: str) -> None:
    with pytest.raises(FileFormatError):
        open_labspec(write(tmp_path / "a.txt", rows=rows))


@pytest.mark.slow
def test_long_headers_take_no_time(tmp_path: Path) -> None:
    """A header of blanks or of one key must not take the square of its length: it would outlive the time limit."""
    header = HEADER + "#" + " " * 300_000 + "x\n" + "#a=1\n" * 100_000
    assert (
        open_labspec(write(tmp_path / "a.txt", header)).attrs["labspec_a_100000"] == "1"
    )


@pytest.mark.parametrize("laser", ["1e308", "1e-308", "0.532", "200"])
def test_a_laser_in_other_units(tmp_path: Path, laser: str) -> None:
    header = HEADER.replace("cm-¹", "nm").replace("532 ", laser)
    with pytest.raises(RangeError, match=r"the wavelength with laser=.* ranges from"):
        open_labspec(write(tmp_path / "a.txt", header, "540\t1\n535\t2\n"))


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none.txt", "a\0b"):
        with pytest.raises(FileFormatError):
            open_labspec(path)
        with pytest.raises(FileFormatError):
            open_ppms(path)


@pytest.mark.parametrize("laser", ["abc", "532 K", -532, 0, [532]])
def test_a_laser_is_checked_on_a_shift_too(tmp_path: Path, laser: object) -> None:
    path = write(tmp_path / "a.txt")
    with pytest.raises(XbpError, match="laser"):
        open_labspec(path, laser=laser)
    xr.testing.assert_identical(open_labspec(path, laser="532 nm"), open_labspec(path))


@pytest.mark.parametrize("units", ["K", "1/angstrom", "furlongs of", ""])
def test_units_of_no_raman_axis_name_the_argument(tmp_path: Path, units: str) -> None:
    with pytest.raises(UnitsError, match="units=") as caught:
        open_labspec(write(tmp_path / "a.txt"), units=units)
    assert "attrs" not in caught.value.fix
    with pytest.raises(FileFormatError, match="engine='labspec', units='1/cm'"):
        open_labspec(write(tmp_path / "b.txt", HEADER.replace("cm-¹", units or "s")))


def test_an_infinite_intensity_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(
        "#Acq. time (s)=\t30\n#Instrument=\tLabRAM\n#Spectro (cm-1)=\t290\n30\t3\n20\tinf\n10\t1\n"
    )
    with pytest.raises(FileFormatError, match="line 5"):
        xbp.open_dataset(tmp_path / "a.txt")


def test_units_that_contradict_each_other(tmp_path: Path) -> None:
    both = HEADER + "#AxisUnit[1]=\tnm\n"
    with pytest.raises(FileFormatError, match="cm-¹ and nm"):
        open_labspec(write(tmp_path / "a.txt", both))
    ds = open_labspec(write(tmp_path / "a.txt", both), units="1/cm")
    np.testing.assert_array_equal(ds.E, [10, 20, 30])
    for intensity in ("log(Cnt)", "%", "Cnt*1000"):
        path = write(tmp_path / "b.txt", f"{HEADER}#AxisUnit[0]=\t{intensity}\n")
        with pytest.raises(XbpError, match=re.escape(intensity)):
            open_labspec(path)
    for row in ("AxisType[1]=\tAbs. wavenumber", "AxisType[0]=\tLog intensity"):
        with pytest.raises(FileFormatError):
            open_labspec(write(path, f"{HEADER}#{row}\n"))
    for intensity in ("Cnt", "Cnt/sec", "a.u.", ""):
        open_labspec(write(path, f"{HEADER}#AxisUnit[0]=\t{intensity}\n"))


def test_two_lasers(tmp_path: Path) -> None:
    header = HEADER.replace("cm-¹", "nm") + "#Laser (nm)=\t633\n"
    path = write(tmp_path / "a.txt", header, "640\t1\n650\t2\n")
    with pytest.raises(FileFormatError, match="laser="):
        open_labspec(path)
    assert float(open_labspec(path, laser=633).E[0]) == pytest.approx(172.79, abs=0.01)


def test_a_header_without_the_instrument(tmp_path: Path) -> None:
    header = HEADER.replace("#Instrument=\tLabRAM\n", "")
    ds = xbp.open_dataset(write(tmp_path / "a.txt", header))
    assert ds.attrs["labspec_laser_nm"] == "532"
