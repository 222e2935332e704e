"""Raman files of every producer: variants written by hand, and damaged ones."""

from __future__ import annotations

import contextlib
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import raman_files as files
from raman_files import E, I

import xbp
from xbp.errors import FileFormatError, QuantityError, UnitsError, XbpError

LABELS = {"coordinate_units": "1/cm"}
#: Every format, with what its files do not say.
FILES: dict[Callable[..., None], dict[str, Any]] = {
    files.spc: {},
    files.wdf: {},
    files.opus: {},
    files.labspec6: {},
    files.labspec_xml: {},
    files.rruff: {},
    files.witec: {},
    files.renishaw_text: LABELS,
}


def opened(path: Path, **options: Any) -> Any:
    return xbp.open_dataset(path, **options)


@pytest.mark.parametrize("write", FILES, ids=lambda f: f.__name__)
def test_one_spectrum(write: Callable[..., None], tmp_path: Path) -> None:
    write(tmp_path / "a")
    ds = opened(tmp_path / "a", T="295 K", **FILES[write])
    np.testing.assert_allclose(ds.E, E)
    np.testing.assert_allclose(ds.I, I)
    assert ds.E.attrs["units"] == "1/cm"
    assert float(ds.temperature) == 295


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 16}, {"bits": 32}, {"bits": 32, "exponent": 12}, {"order": ">"}, {"order": ">", "bits": 16},
        {"x": E}, {"axis": 1, "given": "1/cm"}, {"axis": 0, "label": b"Raman Shift (cm-1)\0Counts\0"},
        {"log": b"Laser=Laser: 785 nm edge\r\nGrating_grooves=Grating: 1200 l/mm\r\n"}, {"technique": 0}, {"value": 0},
    ],
    ids=str,
)  # fmt: skip
def test_spc(tmp_path: Path, options: dict[str, Any]) -> None:
    given = {"coordinate_units": options.pop("given")} if "given" in options else {}
    files.spc(tmp_path / "a.spc", **options)
    ds = opened(tmp_path / "a.spc", **given)
    np.testing.assert_allclose(ds.E, E)
    np.testing.assert_allclose(ds.I, I)
    if "log" in options:
        assert (ds.attrs["laser"], ds.attrs["grating"]) == ("785 nm edge", "1200 l/mm")


@pytest.mark.parametrize("bits", [0, 16, 32])
def test_several_spectra_of_spc(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.spc"
    files.spc(path, [I, 2 * I, I + 1], bits=bits)
    ds = opened(path)
    assert ds.I.dims == ("spectrum", "E")
    np.testing.assert_allclose(ds.I, [I, 2 * I, I + 1])
    np.testing.assert_allclose(ds.z, [0, 1.5, 3])
    assert ds.z.attrs["units"] == "s"
    np.testing.assert_allclose(opened(path, spectrum=1).I, 2 * I)
    files.spc(path, [I, 2 * I], x=E, own=True, bits=bits)
    with pytest.raises(FileFormatError, match="spectrum=0"):
        opened(path)
    ds = opened(path, spectrum=1)
    np.testing.assert_allclose(ds.E, E + 1)
    np.testing.assert_allclose(ds.I, 2 * I)


def test_spc_before_1996_is_named(tmp_path: Path) -> None:
    """A header of 256 bytes: flags, version, exponent, and then floats."""
    path = tmp_path / "a.spc"
    head = struct.pack("<BBhfffBB", 4, 0x4D, -5, 6.0, 20.0, 30.0, 13, 4)
    path.write_bytes(head.ljust(256, b"\0") + bytes(24))
    with pytest.raises(FileFormatError, match="is SPC of the version before 1996"):
        xbp.open_dataset(path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"axis": 2}, ""), ({"axis": 29}, "an axis of type 29"), ({"value": 2}, "an absorbance over"), ({"technique": 9}, "technique 9"),
        ({"axis": 0, "label": b"Raman Shift (cm-1)\0Log counts\0"}, "(?i)log"),
    ],
)  # fmt: skip
def test_spc_of_something_else(tmp_path: Path, options: dict[str, Any], says: str) -> None:  # fmt: skip
    files.spc(tmp_path / "a.spc", **options)
    if not says:
        assert opened(tmp_path / "a.spc").I.dims == ("wavelength",)
        return
    with pytest.raises((FileFormatError, UnitsError), match=says):
        opened(tmp_path / "a.spc")


def test_an_axis_that_is_not_said_to_be_a_shift(tmp_path: Path) -> None:
    files.spc(tmp_path / "a.spc", axis=1)
    files.renishaw_text(tmp_path / "a.txt")
    for path in tmp_path.iterdir():
        with pytest.raises(QuantityError, match="coordinate_units='1/cm'"):
            opened(path)
    ds = opened(tmp_path / "a.txt", coordinate_units="nm")
    assert ds.I.dims == ("wavelength",)
    with pytest.raises(XbpError, match="laser"):
        opened(tmp_path / "a.txt", coordinate_units="1/cm", laser="532 nm")
    files.rruff(tmp_path / "b.txt")
    with pytest.raises(FileFormatError, match="is not a Raman shift"):
        opened(tmp_path / "b.txt", quantity="heat_capacity", units="J/K", coordinate_units="meV")  # fmt: skip


def test_wdf(tmp_path: Path) -> None:
    path = tmp_path / "a.wdf"
    files.wdf(path)
    ds = opened(path)
    assert ds.attrs["laser"] == "785 nm"
    assert (ds.attrs["title"], ds.attrs["accumulations"]) == ("glass", "8")
    files.wdf(path, [I, 2 * I, I + 1], places=[0, 0.5, 1])
    ds = opened(path)
    np.testing.assert_allclose(ds.I, [I, 2 * I, I + 1])
    np.testing.assert_allclose(ds.x, [0, 0.5, 1])
    assert ds.x.attrs["units"] == "um"
    files.wdf(path, [I, 2 * I, I + 1], collected=2, places=[0, 0.5, 1])
    assert opened(path).I.sizes == {"spectrum": 2, "E": 6}
    files.wdf(path, axis=16)
    with pytest.raises(FileFormatError, match="Pixels"):
        opened(path)
    files.wdf(path, flags=8)
    with pytest.raises(FileFormatError, match="axes of their own"):
        opened(path)


def test_opus(tmp_path: Path) -> None:
    path = tmp_path / "a.0"
    for options in (
        {"units": "RSH"},
        {"number": 2},
        {"form": 4},
        {"whats": (1, 10, 4)},
    ):
        files.opus(path, **options)
        np.testing.assert_allclose(opened(path).I, I)
    attrs = opened(path).attrs
    assert attrs["laser"] == "9394.9 1/cm"
    assert (attrs["accumulations"], attrs["opus_instrument"]) == ("50", "VERTEX 70")
    for options, says in (
        ({"whats": (4, 1)}, "but a single-channel spectrum, an absorbance"),
        ({"derivative": 1}, "derivative"),
        ({"form": 2}, "series"),
        ({"units": "MI"}, "MI, not a Raman shift"),
        ({"whats": (10, 10)}, "spectrum=0"),
    ):
        files.opus(path, **options)
        with pytest.raises(XbpError, match=says):
            opened(path)
    files.opus(path)
    count = b"NPT\0" + struct.pack("<2h", 0, 2)
    assert path.read_bytes().count(count + struct.pack("<i", I.size)) == 1
    fewer = path.read_bytes().replace(count + struct.pack("<i", I.size), count + struct.pack("<i", 2))  # fmt: skip
    path.write_bytes(fewer)
    with pytest.raises(XbpError, match=f"{I.size} numbers, not its 2 points"):
        opened(path)


def test_labspec(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.labspec6(path)
    attrs = opened(path).attrs
    assert attrs["integration_time"] == "8.0 s"
    assert (attrs["laser"], attrs["grating"]) == ("785 nm, edge", "300")
    files.labspec6(path, unit="nm")
    assert opened(path).I.dims == ("wavelength",)
    for options, says in (
        ({"points": 3}, "a map"),
        ({"unit": "eV"}, "'eV'"),
        ({"kind": "Time"}, "not a spectrum"),
        ({"counts": "log Cnt"}, "log"),
    ):
        files.labspec6(path, **options)
        with pytest.raises(XbpError, match=says):
            opened(path)
    files.labspec_xml(path, points=3)
    ds = opened(path)
    assert ds.I.sizes == {"spectrum": 3, "E": 6}
    np.testing.assert_array_equal(ds.x, [0, 1, 2])
    assert ds.attrs["laser"] == "532 nm"
    files.labspec_xml(path, unit="1/cm abs")
    ds = opened(path)
    np.testing.assert_allclose(ds.wavelength, 1e7 / files.E[::-1])
    np.testing.assert_array_equal(ds.I, files.I[::-1])
    for rows, says in (([0, 2, 1], "not in order"), ([0, 1], "has 2 rows")):
        files.labspec_xml(path, points=3, rows=rows)
        with pytest.raises(FileFormatError, match=says):
            opened(path)


def test_rruff(tmp_path: Path) -> None:
    files.rruff(tmp_path / "a.txt", "##DESCRIPTION=White powder")
    ds = opened(tmp_path / "a.txt", T="295 K", quantity="raman_intensity", units="1", **LABELS)  # fmt: skip
    assert (ds.attrs["sample"], ds.attrs["rruff_rruffid"]) == ("Coesite", "R070565")
    assert ds.attrs["rruff_description"] == "White powder"
    files.rruff(tmp_path / "Coesite__Infrared__.txt")
    files.rruff(tmp_path / "b.txt", "##X-RAY WAVELENGTH=1.541838")
    for name in ("Coesite__Infrared__.txt", "b.txt"):
        with pytest.raises(FileFormatError, match="not a Raman spectrum"):
            opened(tmp_path / name)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_rruff_net(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "Siderite__R000003__Broad_Scan__532__0____Raman_Data_RAW__0f.txt"
    files.rruff_net(path, encoding=encoding)
    ds = opened(path)
    np.testing.assert_allclose(ds.E, files.E)
    np.testing.assert_allclose(ds.I, files.I)
    assert (ds.attrs["sample"], ds.attrs["laser"]) == ("Sidérite", "785 nm")
    assert ds.attrs["rruff_locality"] == "Mazarrón, Murcia, Spain"
    assert ds.attrs["rruff_cell_parameters"] == "a: 4.69; a: 4.6916(2)"
    assert ds.attrs["rruff_acq_time_s"] == "2.5"
    files.rruff_net(path, kind="Infrared Processed")
    with pytest.raises(FileFormatError, match="Infrared Processed"):
        opened(path)
    named = (
        tmp_path / "Coesite__R070565__Raman__514__0__unoriented__Raman_Data_RAW__1.txt"
    )
    files.rruff(named)
    assert opened(named).attrs["laser"] == "514 nm"


def test_bwtek(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for comma in (True, False):
        files.bwtek(path, comma=comma)
        ds = opened(path)
        np.testing.assert_allclose(
            ds.E, E + 0.5
        )  # the pixel without a shift is not there
        np.testing.assert_allclose(ds.I, I)
        assert ds.attrs["laser"] == "785.02 nm"
        assert ds.attrs["integration_time"] == "500000 us"
        assert ds.attrs["accumulations"] == "5"
    np.testing.assert_allclose(opened(path, column="Raw data #1").I, 1000 + I)
    files.bwtek(path, spectra=2)
    with pytest.raises(QuantityError, match="Dark Subtracted #2"):
        opened(path)
    np.testing.assert_allclose(opened(path, column="Dark Subtracted #2").I, I)


@pytest.mark.parametrize("comma", [False, True])
@pytest.mark.parametrize("marked", [False, True])
def test_witec(tmp_path: Path, comma: bool, marked: bool) -> None:
    path = tmp_path / "a.txt"
    files.witec(path, spectra=3, comma=comma, marked=marked)
    ds = opened(path)
    np.testing.assert_allclose(ds.I, [I, I, I])
    assert ds.title.values.tolist() == ["glass 0", "glass 1", "glass 2"]
    files.witec(path, comma=comma, marked=marked, unit="nm")
    assert opened(path).I.dims == ("wavelength",)


def test_witec_without_units(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.witec(path)
    assert opened(path).attrs["laser"] == "532.1 nm"
    path.write_text(path.read_text().replace("rel. 1/cm\tCCD cts\n", ""))
    with pytest.raises(QuantityError, match="coordinate_units="):
        opened(path)
    np.testing.assert_allclose(opened(path, **LABELS).I, I)


def test_a_map_of_wire_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.renishaw_text(path, places=3)
    ds = opened(path, **LABELS)
    np.testing.assert_allclose(ds.I, [I, I + 1, I + 2])
    np.testing.assert_allclose(ds.x, [0, 2, 4])
    rows = path.read_text().splitlines()
    path.write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(FileFormatError, match="different lengths"):
        opened(path, **LABELS)


@pytest.mark.parametrize(
    "write", [*FILES, files.bwtek], ids=lambda f: getattr(f, "__name__", "")
)
def test_damaged(write: Callable[..., None], tmp_path: Path) -> None:
    """Refused, or the same points, within a moment; `test_fuzz` has many more."""
    path = tmp_path / "a"
    write(path)
    whole, options = path.read_bytes(), FILES.get(write, {})
    reference = opened(path, **options)
    begin, rng = time.perf_counter(), random.Random(1)
    for part in range(1, 6):
        path.write_bytes(whole[: len(whole) * part // 6])
        if write is files.labspec6:
            with contextlib.suppress(XbpError):  # parameters may be cut off
                ds = opened(path)
                np.testing.assert_array_equal(ds.I, reference.I)
                codes = [doubt.code for doubt in ds.bp.diagnostics()]
                lost = not any("labspec_" in name for name in ds.attrs)
                assert codes == ["no_parameters"] * lost
        elif b"\0" in whole:
            with pytest.raises(XbpError):
                opened(path, **options)
    for _ in range(8):
        changed = bytearray(whole)
        changed[rng.randrange(min(700, len(whole)))] ^= rng.randrange(1, 256)
        path.write_bytes(changed)
        with contextlib.suppress(XbpError):
            assert opened(path, **options).I.dims == reference.I.dims
    assert time.perf_counter() - begin < 10


def test_huge_claims_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for write, at, form in (
        (files.spc, 4, "<I"),
        (files.spc, 24, "<I"),
        (files.wdf, 60, "<I"),
        (files.wdf, 64, "<Q"),
        (files.opus, 20, "<i"),
        (files.labspec6, 0x60, "<I"),
    ):
        write(path)
        changed = bytearray(path.read_bytes())
        struct.pack_into(form, changed, at, 2**31 - 1)
        path.write_bytes(changed)
        begin = time.perf_counter()
        with pytest.raises(XbpError):
            opened(path)
        assert time.perf_counter() - begin < 2


@pytest.fixture
def doors(shared_data: Path) -> Path:
    return shared_data / "doors"


def test_files_of_others(doors: Path) -> None:
    """Beside the exports of the programs that wrote them."""
    name = "nCal_Qontor785_z005H12_100_1x3s"
    E_, I_ = np.loadtxt(doors / f"{name}.txt")[::-1].T
    ds = opened(doors / f"{name}.wdf")
    np.testing.assert_allclose(ds.E, E_, atol=1e-6)
    np.testing.assert_allclose(ds.I, I_, atol=1e-6)
    assert (ds.attrs["laser"], ds.attrs["integration_time"]) == ("785.016 nm", "3 s")
    assert ds.attrs["grating"] == "1200 l/mm (633/780)"
    ds = opened(doors / f"{name}.spc")  # WiRE interpolates on an even axis
    np.testing.assert_allclose(ds.I, np.interp(ds.E, E_, I_), rtol=1e-4)
    assert float(ds.I[-1]) == pytest.approx(1729.160645)
    ds = opened(doors / f"{name}.txt", **LABELS)
    np.testing.assert_array_equal(ds.I, I_)
    name = "PST10_iR785_OP01_8000msx8"
    E_, I_ = np.loadtxt(doors / f"{name}.txt").T
    ds = opened(doors / f"{name}.l6s")
    np.testing.assert_allclose(ds.E, E_, atol=0.006)
    np.testing.assert_allclose(ds.I, I_, atol=0.006)
    found = [ds.attrs[key] for key in ("integration_time", "accumulations", "grating")]
    assert found == ["8.0 s", "8", "300"]
    assert all(str(value).isprintable() for value in ds.attrs.values())
    ds = opened(doors / "test_opus.0")
    assert ds.sizes == {"E": 4096}
    np.testing.assert_allclose(ds.E[[0, -1]], [51.892564645936, 4000.660966687866])
    np.testing.assert_allclose(ds.I[-3:], [0.00144794, 0.00197453, 0.00231467], rtol=1e-5)  # fmt: skip
    assert float(ds.I.max()) == pytest.approx(0.07590587437)
    ds = opened(doors / "rruff.txt")
    np.testing.assert_array_equal(ds.I[:2], [63.534, 63.003])
    assert (ds.E.values[-1], ds.attrs["sample"]) == (1199.5, "Coesite")


@pytest.mark.parametrize("units", ["(1/cm)", "[rel. 1/cm]", "rel. 1/cm"])
def test_units_of_witec_in_brackets_and_damaged_rows(
    tmp_path: Path, units: str
) -> None:
    """A row of units is not a damaged row; a first row of one number is."""
    rows = [
        "//Exported ASCII-File", "[Header]", "XAxisUnit = rel. 1/cm", "[Data]",
        "X-Axis\tglass", f"{units}\tCCD cts", "20.5\t1100", "22.5\t1104", "",
    ]  # fmt: skip
    path = tmp_path / "glass.txt"
    path.write_text("\n".join(rows))
    assert xbp.open_dataset(path).I.values.tolist() == [1100, 1104]
    # Without a header, a row of units alone is enough.
    path.write_text("\n".join(["rel. 1/cm\tCCD cts", *rows[-3:]]))
    assert xbp.open_dataset(path).I.values.tolist() == [1100, 1104]
    one = ["[SpectrumHeader]", "ExcitationWavelength = 532.2", "XDataKind = nm", "", "[SpectrumData]", "533.5\t3", "534.5\t4", ""]  # fmt: skip
    path.write_text("\n".join(["[WITEC_TRUEMATCH_ASCII_HEADER]", *one]))
    assert xbp.open_dataset(path).wavelength.values.tolist() == [533.5, 534.5]
    path.write_text("\n".join(["[WITEC_TRUEMATCH_ASCII_HEADER]", *one, *one]))
    with pytest.raises(FileFormatError, match="2 spectra, each over an axis"):
        xbp.open_dataset(path)
    path.write_text("\n".join(rows).replace("20.5\t", "-\t"))
    with pytest.raises(FileFormatError, match="neither a title nor numbers"):
        xbp.open_dataset(path)
