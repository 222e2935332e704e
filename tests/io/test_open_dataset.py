from __future__ import annotations

import gzip
import importlib
import tomllib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import test_fuzz
import xarray as xr
from apart import apart, opened
from xarray.backends import BackendEntrypoint

import xbp
from xbp.errors import FileFormatError, QuantityError
from xbp.io.hdf5 import open_hdf5
from xbp.io.netcdf import open_classic
from xbp.io.text import head, start_of


def test_content_decides_and_not_the_name(glass: xr.Dataset, tmp_path: Path) -> None:
    glass.bp.to_netcdf(tmp_path / "really.h5")
    with xbp.open_dataset(tmp_path / "really.h5") as back:
        xr.testing.assert_identical(back, glass)


def test_classic_netcdf_opens(tmp_path: Path) -> None:
    with scipy.io.netcdf_file(tmp_path / "old.nc", "w") as file:
        file.createDimension("E", 2)
        file.createVariable("E", "d", ("E",))[:] = [1, 2]
    with xbp.open_dataset(tmp_path / "old.nc") as back:
        np.testing.assert_array_equal(back.E, [1, 2])


@pytest.mark.parametrize(
    "content",
    [b"", b"Q E S\n1 2 3\n", b"\x89HDF\r\n\x1a\n", b"CDF\x01 and no more"],
    ids=str,
)
def test_files_of_no_known_kind(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data.h5"
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        xbp.open_dataset(path)
    assert "data.h5" in str(caught.value)


def test_no_such_file_and_folders(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path / "nothing.nc", "does not exist"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(FileFormatError, match=says):
            xbp.open_dataset(path)


@pytest.mark.slow
def test_truncated_netcdf(glass: xr.Dataset, tmp_path: Path) -> None:
    glass.bp.to_netcdf(tmp_path / "glass.nc")
    whole = (tmp_path / "glass.nc").read_bytes()
    for part in range(1, 10):
        (tmp_path / f"{part}.nc").write_bytes(whole[: len(whole) * part // 10])
    said = apart(opened, *map(str, tmp_path.glob("?.nc")))
    assert len(said) == 18
    assert set(said.values()) == {"refused"}


@pytest.mark.parametrize(
    "text",
    [
        "ITEM: TIMESTEP\n0\n",
        "LAMMPS data file\n\n2 atoms\n1 atom types\n0 10 xlo xhi\n",
        '1\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\nCu 0 0 0\n',
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_trajectory_is_pointed_to_what_opens_it(
    text: str, packed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(FileFormatError, match=r"xbp\.md\.open_trajectory\(path"):
        xbp.open_dataset(path)


ENGINES = [entry.engine for entry in xbp.io.FORMATS if entry.name != "netCDF"]
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def backend_of(engine: str) -> BackendEntrypoint:
    """Return the backend that pyproject.toml names."""
    known = PROJECT["project"]["entry-points"]["xarray.backends"]
    assert engine in known, f"add {engine} to xarray.backends in pyproject.toml"
    assert engine in xr.backends.list_engines(), "run pip install -e . again"
    module, _, name = known[engine].partition(":")
    backend: BackendEntrypoint = getattr(importlib.import_module(module), name)()
    return backend


@pytest.mark.parametrize("engine", ENGINES)
def test_every_format_is_tested_and_described(engine: str) -> None:
    assert engine in test_fuzz.FORMATS
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    assert f"| `{engine}` |" in page, "run python docs/make_formats.py"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_good_file_is_of_one_format(engine: str, tmp_path: Path) -> None:
    test_fuzz.FORMATS[engine](tmp_path / "good")
    content = test_fuzz.CONTENT[engine]
    opened_as: AbstractContextManager[object]
    others = [one for one in xbp.io.FORMATS if one.content == content]
    if content == "classic":
        opened_as = open_classic(tmp_path / "good")
    elif content == "hdf5":
        opened_as = open_hdf5(tmp_path / "good")
    else:
        start = head if content == "text" else start_of
        opened_as = nullcontext(start(tmp_path / "good"))
    with opened_as as found:
        assert [one.engine for one in others if not one.declined(found)] == [engine]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "path",
    [None, 5, b"x", [], object()],
    ids=["none", "number", "bytes", "list", "object"],
)
def test_invalid_path_raises(engine: str, path: object) -> None:
    module = importlib.import_module(f"xbp.io.{engine}")
    with pytest.raises(FileFormatError, match="is not a path"):
        getattr(module, f"open_{engine}")(path)
    backend = backend_of(engine)
    with pytest.raises(FileFormatError, match="is not a path"):
        backend.open_dataset(path)
    assert not backend.guess_can_open(path)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_engine_guesses_where_there_is_no_file(engine: str, tmp_path: Path) -> None:
    assert not backend_of(engine).guess_can_open(tmp_path / "none.txt")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="it is Linux's")
def test_a_file_that_the_system_does_not_let_read() -> None:
    with pytest.raises(FileFormatError, match="cannot be read"):
        xbp.open_dataset("/proc/self/mem")
    for engine in ENGINES:
        with pytest.raises(FileFormatError):
            xr.open_dataset("/proc/self/mem", engine=engine)


@pytest.mark.parametrize("names", [5, "other", ["g", "other"], [["g"]]], ids=str)
def test_names_to_drop(tmp_path: Path, names: object) -> None:
    (tmp_path / "a.txt").write_text("1 2\n3 4\n")
    options = {
        "engine": "columns",
        "quantity": "vibrational_dos",
        "units": "1",
        "coordinate_units": "meV",
    }
    assert not xr.open_dataset(
        tmp_path / "a.txt", drop_variables=["g"], **options
    ).data_vars
    with pytest.raises(QuantityError, match="drop_variables="):
        xr.open_dataset(tmp_path / "a.txt", drop_variables=names, **options)


def test_options_go_to_the_reader_that_the_content_names(tmp_path: Path) -> None:
    """What a format leaves open is said without naming it; an option of another reader is told what this one takes."""
    path = tmp_path / "glass.dat"
    path.write_text("50 2.0\n60 4.0\n70 3.0\n")
    with pytest.raises(
        FileFormatError, match=r"is a table of numbers(.|\n)*quantity='raman_intensity'"
    ):
        xbp.open_dataset(path)
    said = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
    xr.testing.assert_identical(
        xbp.open_dataset(path, **said), xr.open_dataset(path, engine="columns", **said)
    )
    assert float(xbp.open_dataset(path, **said, T="295 K").temperature) == 295
    with pytest.raises(
        QuantityError,
        match=r"the reader for columns has no option composition=(.|\n)*quantity=",
    ):
        xbp.open_dataset(path, **said, composition="SiO2")


def test_netcdf_has_no_options(glass: xr.Dataset, tmp_path: Path) -> None:
    glass.bp.to_netcdf(tmp_path / "glass.nc")
    with pytest.raises(
        QuantityError,
        match=r"the reader for netCDF has no option mass=(.|\n)*options: none",
    ):
        xbp.open_dataset(tmp_path / "glass.nc", mass="1 g")


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ("sqww", "fix:  engine='sqw'"),
        (5, r"engine=5(.|\n)*total_scattering"),
        ("netcdf4", r"cannot be read with engine=(.|\n)*total_scattering"),
    ],
)
def test_readers_that_are_none(tmp_path: Path, engine: object, says: str) -> None:
    path = tmp_path / "glass.dat"
    path.write_text("50 2.0\n60 4.0\n70 3.0\n")
    with pytest.raises(FileFormatError, match=says):
        xbp.open_dataset(path, engine=engine)
    with pytest.raises(
        QuantityError, match="the reader for columns has no option foo="
    ):
        xbp.open_dataset(path, engine="columns", foo=1)


def test_a_sound_file_of_another_format_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("1 2\n3 4\n")
    with pytest.raises(FileFormatError, match=r"no \[Header\](.|\n)*finds the format"):
        xr.open_dataset(path, engine="ppms")


@pytest.mark.parametrize("options", [{}, {"T": "290 K"}])
def test_a_closed_netcdf_file_can_be_written_again(
    tmp_path: Path, model: xr.Dataset, options: dict[str, Any]
) -> None:
    path = tmp_path / "a.nc"
    model[["S"]].drop_vars("temperature").bp.to_netcdf(path)
    with xbp.open_dataset(path, **options) as ds:
        ds.S.isel(E=0).load()
    with h5py.File(path, "r+") as file:
        file["S"][0, 0] = 7.0
