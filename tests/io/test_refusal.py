"""Files that no reader takes are named, in three lines at most."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

import xbp
from xbp.errors import FileFormatError


def refused(path: Path, **options: object) -> str:
    with pytest.raises(FileFormatError) as caught:
        xbp.open_dataset(path, **options)
    text = str(caught.value)
    assert text.count("\n") <= 2
    return text


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\x06\x00\x00\x00horace\x00\x00\x00\x00\x00\x00\x08\x40", "Horace .sqw"),
        (b"\x0e\x03\x13\x01\x00\x04\x00\x00", "HDF4"),
        (b"SR\x00\x04\x00\x00", "IDL"),
        (b"MATLAB 7.3 MAT-file", "MATLAB"),
        (b"PK\x03\x04\x00", "zip"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"", "empty"),
        (b"\x00\x01\x02", "binary"),
        (b"three words of text\n", "three words"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "a.sqw").write_bytes(content)
    assert match in refused(tmp_path / "a.sqw")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("entry/bank12_events/event_id", "raw events"),
        ("raw_data_1/detector_1/counts", "raw run of ISIS"),
        ("entry0/instrument/PSD/data", "raw run of the ILL"),
        ("mantid_workspace_1/event_workspace/tof", "workspace of events"),
        ("MDHistoWorkspace/data/signal", "multi-dimensional"),
        ("mantid_workspace_1/table_workspace/column_1", "table of Mantid"),
        ("configuration/coordinates", "MDANSE (.mdt)"),
        ("h5md/version", "H5MD"),
        ("apples/pears", "apples"),
        ("run/NXSPE_info/fixed_energy", "of no known format"),
    ],
)
def test_other_hdf5(tmp_path: Path, name: str, match: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = [1.0]
    assert match in refused(tmp_path / "a.h5")


def test_the_nearest_format(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["run/NXSPE_info/fixed_energy"] = [1.0]
        file["run/data/data"] = [1.0]
        file["more"] = file["others"] = [1.0]
    text = refused(tmp_path / "a.h5")
    assert "nearest to NXSPE, but it has no entry" in text
    assert "with more, others, run," in text
    assert "Mantid" not in text


def test_options_of_another_format_do_not_hide_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.inx").write_text("  2 1 2 0 0 0 0 2\nglass\n 1 13.0 2.5 0.0\nx\n 1 2 3\n 4 5 6\n")  # fmt: skip
    assert "INX" in refused(tmp_path / "a.inx", group="Q", energy_units="meV")
