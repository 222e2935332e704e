"""HDF5 and netCDF that are valid and not what they should be: no crash, no hang, no raw error, nothing infinite."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from apart import Case, apart, opened
from test_fuzz import histogram, mantid, map_, of_kind, of_kinds, shape_of, spectra

import xbp
from xbp.errors import FileFormatError


def became(paths: list[Path]) -> dict[str, list[str]]:
    """Return what became of files, opened as data and as a study, by their names."""
    said = apart(opened, *map(str, paths))
    return {
        path.name: [said[f"{kind} {path.name}"] for kind in ("data", "study")]
        for path in paths
    }


def netcdf(path: Path) -> None:
    ds = map_().assign_coords(sample=((), "a"))
    ds.bp.to_netcdf(path)


def references(file: h5py.File, name: str, targets: list[list[Any]]) -> None:
    """Write the list of the dimensions of a variable anew."""
    del file[name].attrs["DIMENSION_LIST"]
    lists = np.empty(len(targets), dtype=object)
    for i, scales in enumerate(targets):
        lists[i] = np.array(
            [s if isinstance(s, h5py.Reference) else s.ref for s in scales],
            dtype=h5py.ref_dtype,
        )
    file[name].attrs.create(
        "DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(h5py.ref_dtype)
    )


def swap(new: Any, name: str = "E") -> Callable[[h5py.File], None]:
    """Replace a dataset by an array or a link, or (None) leave it out."""

    def change(file: h5py.File) -> None:
        del file[name]
        if new is not None:
            file[name] = new

    return change


def attribute(
    name: str, value: Any, of: str = "S", **kind: Any
) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        if name in file[of].attrs:
            del file[of].attrs[name]
        if value is not None:
            file[of].attrs.create(name, value, **kind)

    return change


def attached(file: h5py.File) -> None:
    """A new scale, attached as HDF5 wants it; of netCDF's own numbering it knows nothing."""
    values = file["E"][()]
    del file["E"]
    file["E"] = values
    file["E"].make_scale("E")
    for name in ("S", "S_std"):
        del file[name].attrs["DIMENSION_LIST"]
        for axis, scale in enumerate(("Q", "E")):
            file[name].dims[axis].attach_scale(file[scale])


def absurd(file: h5py.File, chunks: tuple[int, int] | None = None) -> None:
    del file["S_std"]
    file.create_dataset("S_std", shape=(10**6, 10**9), dtype="f8", chunks=chunks)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 5), "f8")
    layout[:] = h5py.VirtualSource("whole.nc", "S", (3, 5))
    del file["S_std"]
    file.create_virtual_dataset("S_std", layout)


def stored_elsewhere(file: h5py.File) -> None:
    del file["S_std"]
    file.create_dataset("S_std", (3, 5), "f8", external=[("/etc/passwd", 0, 120)])


def of_type(dtype: Any, **options: Any) -> Callable[[h5py.File], None]:
    return lambda file: (
        file.create_dataset("further", (3,), dtype=dtype, **options) and None
    )


ENUM = h5py.enum_dtype({"A": 0, "B": 1}, "i4")
# Each of these made the netCDF library end the process, or raise what is no error of xbp, or reads another file.
BROKEN: dict[str, Callable[[h5py.File], None]] = {
    "scale replaced by plain numbers": swap(np.arange(5.0)),
    "scale replaced by a matrix": swap(np.zeros((5, 5))),
    "scale replaced by words": swap(np.array([b"a"] * 5)),
    "scale replaced by a longer one": swap(np.arange(9.0)),
    "scale replaced by a number": swap(3.0),
    "scale lost": swap(None),
    "scale replaced by a group": lambda file: (
        swap(None)(file),
        file.create_group("E"),
    )[0],
    "scale attached anew": attached,
    "scale that is a link": swap(h5py.SoftLink("/Q")),
    "link to nowhere": swap(h5py.SoftLink("/nowhere")),
    "link to itself": swap(h5py.SoftLink("/E")),
    "link to another file": swap(h5py.ExternalLink("whole.nc", "/E")),
    "scale without its class": attribute("CLASS", None, "E"),
    "scale with a number for its class": attribute("CLASS", 5, "E"),
    "two scales of one number": attribute("_Netcdf4Dimid", 0, "E"),
    "scale of an unknown number": attribute("_Netcdf4Dimid", 77, "E"),
    "scale numbered by a word": attribute("_Netcdf4Dimid", "x", "E"),
    "dimensions of unknown numbers": attribute(
        "_Netcdf4Coordinates", np.array([9, 9], "i4")
    ),
    "dimensions too few": attribute("_Netcdf4Coordinates", np.array([0], "i4")),
    "dimensions too many": attribute("_Netcdf4Coordinates", np.array([0, 1, 2], "i4")),
    "list of dimensions that is numbers": attribute("DIMENSION_LIST", np.array([1, 2])),
    "list of dimensions too short": lambda file: references(file, "S", [[file["Q"]]]),
    "list of dimensions with a null": lambda file: references(
        file, "S", [[file["Q"]], [h5py.Reference()]]
    ),
    "list of dimensions with the variable": lambda file: references(
        file, "S", [[file["Q"]], [file["S"]]]
    ),
    "list of dimensions with a group": lambda file: references(
        file, "S", [[file["Q"]], [file.create_group("g")]]
    ),
    "list of dimensions the wrong way round": lambda file: references(
        file, "S", [[file["E"]], [file["Q"]]]
    ),
    "group within itself": lambda file: file.create_group("g").__setitem__(
        "up", file["/"]
    ),
    "half precision": of_type("f2"),
    "extended precision": of_type(np.longdouble),
    "absurd shape": absurd,
    "absurd shape in chunks": lambda file: absurd(file, (1000, 1000)),
    "stored in a virtual dataset": virtual,
    "stored in a file of its own": stored_elsewhere,
    "compressed as netCDF cannot": of_type("f8", chunks=(3,), compression="lzf"),
    "scale factor in words": attribute("scale_factor", "abc"),
    "days since nowhere": attribute("units", "days since xx", "E"),
    "infinite signal": lambda file: file["S"].__setitem__((1, 2), np.inf),
    "infinite error": lambda file: file["S_std"].__setitem__((1, 2), np.inf),
}
# And these are odd, and read.
ODD: dict[str, Callable[[h5py.File], None]] = {
    "enumeration": of_type(ENUM),
    "compound": of_type([("a", "f8"), ("b", "i4")]),
    "boolean": of_type(bool),
    "references": of_type(h5py.ref_dtype),
    "empty attribute": attribute("x", h5py.Empty("f8")),
    "attribute of enumeration": attribute("x", 1, dtype=ENUM),
    "not a number": lambda file: file["S"].__setitem__((1, 2), np.nan),
    "second name": lambda file: file.__setitem__("E2", file["E"]),
    "one scale of two": lambda file: references(file, "S", [[file["Q"]], []]),
}


@pytest.mark.slow
def test_netcdf_is_looked_through_before_the_library_sees_it(tmp_path: Path) -> None:
    netcdf(tmp_path / "whole.nc")
    whole = (tmp_path / "whole.nc").read_bytes()
    paths = {}
    for i, (name, change) in enumerate((BROKEN | ODD).items()):
        paths[name] = tmp_path / f"{i}.nc"
        paths[name].write_bytes(whole)
        with h5py.File(paths[name], "a") as file:
            change(file)
    result = became([tmp_path / "whole.nc", *paths.values()])
    assert result["whole.nc"] == ["opened", "refused"]  # it is no study
    wrong = {
        name: said
        for name in BROKEN
        if (said := result[paths[name].name]) != ["refused", "refused"]
    }
    assert not wrong
    wrong = {
        name: said
        for name in ODD
        if (said := result[paths[name].name]) != ["opened", "refused"]
    }
    assert not wrong


@pytest.mark.slow
def test_a_study_is_looked_through_too(tmp_path: Path) -> None:
    peak = xbp.stated_energy("5.5 meV", reference="doi:10.1038/s41467-025-67574-y")
    study = xbp.new_study({"map": map_(), "stated": peak}, Q_range={"map": (0.5, 3.5)})
    paths = [tmp_path / name for name in ("study.nc", "broken.nc")]
    for path in paths:
        study.bp.to_netcdf(path)
    with h5py.File(paths[1], "a") as file:
        swap(np.arange(5.0), "map/E")(file)
    found = became(paths)
    assert found["study.nc"] == ["refused", "opened"]
    assert found["broken.nc"] == ["refused", "refused"]


TOKENS = [np.inf, -np.inf, np.nan, -1e30, 1e308, -1.0, 0.0]
TEXTS = [b"inf", b"furlong", b"", b"\xff\xfe", b"meV" * 90]


def mutate(file: h5py.File, rng: random.Random) -> None:
    """Change one thing: a number, a type, a shape, a link, an attribute."""
    names: list[str] = []
    file.visititems(
        lambda name, node: (
            names.append(name) if isinstance(node, h5py.Dataset) else None
        )
    )
    name = rng.choice(names)
    node = file[name]
    kind = rng.choice(["number", "type", "shape", "link", "attribute", "lost"])
    values = np.asarray(node[()])
    if kind == "number" and values.dtype.kind in "fiu":
        changed = values.astype(float)
        if changed.ndim and rng.random() < 0.7:
            changed[tuple(rng.randrange(n) for n in changed.shape)] = rng.choice(TOKENS)
        else:
            changed = np.full_like(changed, rng.choice(TOKENS))
        del file[name]
        file[name] = changed
    elif kind == "type":
        dtype = rng.choice(
            [
                ENUM,
                "S3",
                h5py.string_dtype(),
                "f2",
                "c16",
                bool,
                "u8",
                [("a", "f8")],
                h5py.ref_dtype,
            ]
        )
        del file[name]
        file.create_dataset(name, shape=values.shape, dtype=dtype)
    elif kind == "shape":
        shape = rng.choice(
            [
                (),
                (0,),
                (1,),
                (2, 2, 2),
                values.shape[::-1],
                (*values.shape, 1),
                (10**15,),
                (10**8, 10**7),
            ]
        )
        del file[name]
        chunks = (1000,) * len(shape) if np.prod(shape, dtype=float) > 1e9 else None
        file.create_dataset(name, shape=shape, dtype="f8", chunks=chunks)
    elif kind == "link":
        del file[name]
        other = rng.choice(names)
        file[name] = rng.choice(
            [
                h5py.SoftLink(f"/{other}"),
                h5py.SoftLink("/nowhere"),
                h5py.ExternalLink("fifo", "/x"),
                h5py.ExternalLink("no", "/"),
            ]
        )
    elif kind == "attribute":
        holder = file[rng.choice([name, name.rpartition("/")[0] or "/"])]
        key = rng.choice([*holder.attrs, "units", "unit"])
        if key in holder.attrs:
            del holder.attrs[key]
        value = rng.choice([None, np.inf, 3, h5py.Empty("f8"), np.zeros(3), *TEXTS])
        if isinstance(value, bytes):
            value = np.bytes_(value) if value else h5py.Empty("S1")
        if value is not None:
            holder.attrs[key] = value
    else:
        del file[name]


HDF5: dict[str, Callable[[Path], None]] = {
    "nxspe": lambda path: spectra().bp.to_nxspe(path),
    "mantid": mantid,
    "histogram": histogram,
}


#: Files of every kind.
MUTATIONS = 100
#: What h5py raises where what was changed before cannot be changed again.
CANNOT = (KeyError, OSError, ValueError, TypeError, RuntimeError, MemoryError)


def mutated(kind: str, folder: str) -> Iterator[Case]:
    if kind == "netcdf":
        yield from mutated_netcdf(folder)
        return
    HDF5[kind](Path(folder) / "whole")
    whole = (Path(folder) / "whole").read_bytes()
    os.mkfifo(Path(folder) / "fifo")
    rng = random.Random(5)
    path = Path(folder) / "part"
    for i in range(MUTATIONS):
        path.write_bytes(whole)
        with h5py.File(path, "a") as file, contextlib.suppress(*CANNOT):
            for _ in range(rng.choice([1, 1, 2])):
                mutate(file, rng)
        yield f"{kind} {i}", lambda: bool(shape_of(path)) or True


def all_mutated(folder: str) -> Iterator[Case]:
    yield from of_kinds(mutated, [*HDF5, "netcdf"], folder)


@pytest.fixture(scope="module")
def mutations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what became of all files, which one process opens."""
    begin = time.perf_counter()
    said = apart(all_mutated, str(tmp_path_factory.mktemp("mutated")))
    assert time.perf_counter() - begin < 240
    return said


@pytest.mark.slow
@pytest.mark.parametrize("kind", HDF5)
def test_mutated_files(kind: str, mutations: dict[str, Any]) -> None:
    said = of_kind(mutations, kind)
    assert set(said.values()) == {"refused", True}, said
    assert len(said) == MUTATIONS


def mutated_netcdf(folder: str) -> Iterator[Case]:
    netcdf(Path(folder) / "whole.nc")
    whole = (Path(folder) / "whole.nc").read_bytes()
    rng = random.Random(6)
    for i in range(MUTATIONS):
        path = Path(folder) / f"{i}.nc"
        path.write_bytes(whole)
        with h5py.File(path, "a") as file, contextlib.suppress(*CANNOT):
            mutate(file, rng)
        yield from opened(str(path))


@pytest.mark.slow
def test_mutated_netcdf(mutations: dict[str, Any]) -> None:
    said = of_kind(mutations, "netcdf")
    assert len(said) == 2 * MUTATIONS
    assert set(said.values()) == {"opened", "refused"}, said


@pytest.mark.slow
def test_mutated_classic_netcdf(tmp_path: Path) -> None:
    map_().to_netcdf(tmp_path / "whole.nc", engine="netcdf4", format="NETCDF3_64BIT")
    whole = (tmp_path / "whole.nc").read_bytes()
    rng = random.Random(7)
    paths = []
    for i in range(100):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3])):
            damaged[rng.randrange(min(len(whole), 600))] ^= rng.randrange(1, 256)
        paths.append(tmp_path / f"{i}.nc")
        paths[-1].write_bytes(damaged)
    result = became(paths)
    odd = {
        name: said for name, said in result.items() if set(said) - {"opened", "refused"}
    }
    assert not odd


@pytest.mark.parametrize("kind", HDF5)
def test_a_link_to_a_pipe_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    HDF5[kind](tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "file", "a") as file:
        (group,) = file.values()
        name = {
            "nxspe": "data/error",
            "mantid": "workspace/errors",
            "histogram": "errors",
        }[kind]
        del group[name]
        group[name] = h5py.ExternalLink(str(tmp_path / "pipe"), "/x")
    begin = time.perf_counter()
    with pytest.raises(FileFormatError):
        xbp.open_dataset(tmp_path / "file")
    assert time.perf_counter() - begin < 20


@pytest.mark.slow
def test_a_dimension_that_was_replaced_by_another_length(tmp_path: Path) -> None:
    """The list of dimensions still leads to the old one, which is not in the file."""
    path = tmp_path / "a.nc"
    xr.Dataset({"cell": (("vector", "xyz"), np.ones((3, 3)))}).to_netcdf(path)
    with h5py.File(path, "a") as file:
        attrs = {k: file["vector"].attrs[k] for k in ("CLASS", "NAME", "_Netcdf4Dimid")}
        del file["vector"]
        file["vector"] = np.zeros(4)
        for key, value in attrs.items():
            file["vector"].attrs[key] = value
    assert became([path]) == {"a.nc": ["refused", "refused"]}


def crashing() -> Iterator[Case]:
    yield "a good file", lambda: "opened"
    yield "a bad file", os.abort


@pytest.mark.slow
def test_a_crash_is_a_failure_that_names_its_file() -> None:
    with pytest.raises(AssertionError, match="a bad file"):
        apart(crashing)
