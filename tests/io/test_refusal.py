"""Files that no reader takes are named, in three lines at most."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import xbp
from xbp.errors import FileFormatError, QuantityError


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
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "Excel"),
        (b"PAR1\x15\x04", "read_parquet"),
        (b"\x80\x04\x95\x00", "pickle"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"Spectral Data File\0", "a spectrum of OMNIC"),
        (b"DSCOMPRESSED\0\0\1", "Digital Surf"),
        (b"T\0\0\0CORDd\0\0\0", "a trajectory of atoms"),  # DCD
        (b"- of UlmASE-Trajectory", "a trajectory of atoms"),
        (b"\0\0\x07\xcb\0\0\0\n", "a trajectory of atoms"),  # XTC
        (b"\0\0\0-\0\0\0,VERSION 2020", "a trajectory of atoms"),  # TPR
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
        ("topology", "MDTraj"),
        ("force_constants", "force constants of phonopy"),
        ("qpoint", "phonons of phonopy"),
        ("df/block0_values", "read_hdf"),
        ("apples/pears", "apples"),
        ("run/NXSPE_info/fixed_energy", "of no known format"),
    ],
)
def test_other_hdf5(tmp_path: Path, name: str, match: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = [1.0]
    assert match in refused(tmp_path / "a.h5")


_THREE = "1.0 0.0 0.0\n0.0 1.0 0.0\n0.0 0.0 1.0\n"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "<html><head><title>LAMP_FORMAT Wed</title></head>\n",
            "header of a text or binary of LAMP",
        ),
        ("<!--TriVista-File. -->\n<XmlMain>\n", "XML of TriVista"),
        ("title\n 2 1 2\n" + _THREE + "Ar 1\n1.0 2.0 3.0\n", "CONFIG or REVCON"),
        ("title\n 1 1 2\ntimestep 1 2 1 1 0.1\n" + _THREE, "open_trajectory"),
        (" 2 water\n 1 O 0.1 0.2 0.3 1 2\n 2 H 1.0 1.0 1.0 2 1\n", "XYZ of TINKER"),
        ("water\n 3\n    1SOL OW 1 0.1 0.2 0.3\n", "GRO of GROMACS"),
        ("3\n\nBenzene 0.1 0.2 0.3\n", "open_trajectory"),
        ("2\nAtoms. Timestep: 0\n1 0.1 0.2 0.3\n2 1 2 3\n", "open_trajectory"),
        (
            "glass\n 1\n"
            + _THREE
            + " O Mo\n 1 1\n\n 0.1 0.2 0.3\n 0.5 0.6 0.7\n\n 0.1 0.2 0.3\n",
            "XDATCAR",
        ),
        ("CRYST1   10.000   10.000\nATOM      1  CU\n", "topology=path"),
        ("---\ncreator: LAMMPS\ntimestep: 0\n", "YAML dump of LAMMPS"),
        (" BEGIN header\n  Number of ions  2\n", "phonons of CASTEP"),
        ("phonopy:\n  version: 2.0\n", "YAML of phonopy"),
        ("# Npoints\n#L r G(r) dr dG(r)\n0.1 1 0 0.1\n0.2 2 0 0.1\n", "G(r) of PDFget"),
        ("#WXD0000\n", "Renishaw"),
    ],
)
def test_other_texts(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert match in refused(tmp_path / "a.txt")


def test_an_archive_of_numpy_is_no_spc_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", E=np.arange(5.0), S=np.ones(5))
    text = refused(tmp_path / "a.npz")
    assert "NumPy archive of E, S" in text
    line = text.partition("fix:")[2].partition(", if it")[0].strip()
    scope = {"numpy": np, "xbp": xbp, "path": tmp_path / "a.npz"}
    assignment, _, call = line.partition("; ")
    exec(assignment, scope)
    assert list(eval(call, scope).g.values) == [1.0] * 5
    scope[assignment.partition(" ")[0]].close()


@pytest.mark.parametrize(
    ("member", "match"),
    [
        ("xl/workbook.xml", "read_excel"),
        ("mimetype", "OpenDocument"),
        ("a.csv", "zip archive"),
    ],
)
def test_other_archives(tmp_path: Path, member: str, match: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr(member, "1,2\n")
    assert match in refused(tmp_path / "a.xlsx")


def test_a_table_is_asked_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2.1,0.0074\n3.2,0.0171\n4.4,0.04\n")
    text = refused(tmp_path / "a.csv")
    for name in set(re.findall(r"'(.+?)'", text)) - {"1", "1/cm"}:
        with pytest.raises(QuantityError, match="units="):
            xbp.open_dataset(tmp_path / "a.csv", quantity=name)
    assert "C_p(T)" in text


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
