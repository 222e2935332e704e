from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xbp
from xbp.cli import main
from xbp.errors import FileFormatError
from xbp.md import convert, open_trajectory, storage

from .test_open import METAL, SCALED, STYLES, VELOCITY, dump, written

conversion = importlib.import_module("xbp.md.conversion")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_a_copy_is_the_trajectory_in_single_precision(
    tmp_path: Path, name: str
) -> None:
    source = written(tmp_path, dump(SCALED, VELOCITY, STYLES["element"]))
    convert(source, tmp_path / name, chunk_frames=2, temperature="300 K", **METAL)
    first, second = (
        open_trajectory(source, temperature="300 K", **METAL),
        open_trajectory(tmp_path / name),
    )
    np.testing.assert_allclose(
        second.position.values, first.position.values, rtol=1e-6, atol=1e-5
    )
    for quantity in ("cell", "mass", "time", "element", "temperature"):
        xr.testing.assert_identical(first[quantity].variable, second[quantity].variable)
    with (xr.open_zarr if name.endswith("zarr") else xr.open_dataset)(
        tmp_path / name
    ) as plain:
        assert plain.position.encoding.get(
            "chunksizes", plain.position.encoding.get("chunks")
        ) == (2, 6, 3)
        assert plain.position.dtype == np.float32
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["a.lammpstrj", name])
    with pytest.raises(FileFormatError, match="exists"):
        convert(source, tmp_path / name, **METAL)
    convert(source, tmp_path / name, overwrite=True, **METAL)


@pytest.mark.slow
def test_an_interrupted_copy_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
) -> None:
    text = dump(SCALED, VELOCITY, STYLES["element"])
    at = text.rindex("\n8 Cu")
    good, bad = (
        written(tmp_path, text, "good"),
        written(tmp_path, text[:at] + "\n8 Zr" + text[at + 5 :], "bad"),
    )
    convert(good, tmp_path / "a.nc", **METAL)
    before = (tmp_path / "a.nc").read_bytes()
    with pytest.raises(FileFormatError, match="not contain the atoms"):
        convert(bad, tmp_path / "a.nc", overwrite=True, chunk_frames=1, **METAL)
    assert (tmp_path / "a.nc").read_bytes() == before
    with pytest.raises(FileFormatError, match="not contain the atoms"):
        convert(bad, tmp_path / "b.nc", chunk_frames=1, **METAL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc", "bad", "good"]
    with pytest.raises(FileFormatError, match=r"the folder .* does not exist"):
        convert(good, tmp_path / "nowhere" / "a.nc", **METAL)


@pytest.mark.slow
def test_a_killed_copy_leaves_no_file_that_opens(tmp_path: Path) -> None:
    written(tmp_path, dump(SCALED, VELOCITY, STYLES["element"]))
    code = (
        "import importlib, os, xbp\n"
        "c = importlib.import_module('xbp.md.conversion')\n"
        "real = c.write_trajectory\n"
        "def write(*a, **k):\n    real(*a, **k); os._exit(9)\n"
        "c.write_trajectory = write\n"
        "c.convert('a.lammpstrj', 'a.nc', units='metal', timestep='2 fs')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert done.returncode == 9
    assert not (tmp_path / "a.nc").exists()


@pytest.mark.slow
def test_a_killed_copy_to_zarr_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path, dump(SCALED, VELOCITY, STYLES["element"]))
    how: Any = {"chunk_frames": 1, **METAL}
    convert(source, tmp_path / "whole.zarr", **how)
    monkeypatch.setattr(storage, "_BATCH", 1)
    target, part = tmp_path / "a.zarr", tmp_path / "a.zarr.part"

    class Killed(BaseException):
        pass

    def killed(self: Any, done: int) -> None:
        record(self, done)
        if done == 2:
            raise Killed

    record = conversion._Unfinished.record
    monkeypatch.setattr(conversion._Unfinished, "record", killed)
    with pytest.raises(Killed):
        convert(source, target, **how)
    assert not target.exists()
    state = json.loads((part / "job.json").read_text())
    assert state["done"] == 2
    batches: list[int] = []
    monkeypatch.setattr(
        conversion._Unfinished, "record", lambda self, done: batches.append(done)
    )
    convert(source, target, **how)
    assert batches == list(range(3, len(SCALED) + 1))
    whole, found = (xr.open_zarr(tmp_path / f"{n}.zarr") for n in ("whole", "a"))
    xr.testing.assert_identical(whole.load(), found.load())
    assert not part.exists()
    # Another call begins anew; a folder of somebody else is left alone.
    part.mkdir()
    (part / "job.json").write_text(json.dumps({"job": {}, "done": 2}))
    convert(source, target, overwrite=True, **how)
    assert batches[-len(SCALED) :] == list(range(1, len(SCALED) + 1))
    part.mkdir()
    (part / "mine").touch()
    with pytest.raises(FileFormatError, match="files that xbp did not write"):
        convert(source, target, overwrite=True, **how)
    assert (part / "mine").exists()


def test_chunks_of_large_boxes_have_some_of_the_atoms() -> None:
    assert storage.chunk_sizes(50, 4000) == (50, 4000, 3)
    assert storage.chunk_sizes(50, 10**6) == (10, 2**15, 3)
    # A multiple of what is read at a time, however large.
    assert storage.chunk_sizes(1000, 4000, 40) == (80, 4000, 3)
    assert storage.chunk_sizes(1000, 4000, 500) == (500, 4000, 3)


@pytest.mark.slow
def test_memory_is_that_of_chunks_and_not_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.random((1, 1500, 3)) + 0.001 * rng.random((400, 1500, 3))
    source = written(
        tmp_path,
        dump(
            frames,
            np.random.default_rng(1).normal(size=frames.shape),
            STYLES["element"],
        ),
    )
    tracemalloc.start()
    convert(
        source, tmp_path / "a.nc", chunk_frames=5, densest="0.5 angstrom^3", **METAL
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert os.path.getsize(source) > 60e6
    # Read, parse and write some chunks at once: the whole would be 29 MB in arrays alone, and as much in text.
    assert peak < 25e6


@pytest.mark.slow
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, dump(SCALED, VELOCITY, STYLES["xu"]))
    arguments = [
        "convert",
        "a.lammpstrj",
        "a.nc",
        "--units",
        "metal",
        "--timestep",
        "2 fs",
        "--temperature",
        "300 K",
    ]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 1
    assert "elements={1: 'Zr'" in refused.output
    assert (
        "--element" in CliRunner().invoke(main, [*arguments, "--element", "Zr"]).output
    )
    done = CliRunner().invoke(
        main, [*arguments, "--element", "1=Zr", "--element", "2=Cu"]
    )
    assert done.exit_code == 0, done.output
    assert "a.lammpstrj → a.nc" in done.output
    with xbp.md.open_trajectory("a.nc") as traj:
        assert traj.element.values.tolist() == ["Zr", "Cu"] * 3


def stored(tmp_path: Path, name: str = "a.zarr") -> Path:
    written(tmp_path, dump(SCALED, VELOCITY, STYLES["element"]))
    convert(tmp_path / "a.lammpstrj", tmp_path / name, **METAL)
    return tmp_path / name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.nc", "b.zarr"])
def test_no_folder_but_a_store_of_a_trajectory_is_replaced(
    name: str, tmp_path: Path
) -> None:
    """A folder of results was deleted by overwrite=True, with the source in it."""
    source = stored(tmp_path)
    target = tmp_path / name
    target.mkdir()
    (target / "thesis.txt").write_text("all of it")
    for inside in ("results", "0"):
        (target / inside).mkdir()
    xr.Dataset({"a": ("x", [1.0, 2.0])}).to_zarr(tmp_path / "other.zarr", zarr_format=2)
    with pytest.raises(FileFormatError, match="it is a folder"):
        convert(source, target, overwrite=True)
    assert (target / "thesis.txt").read_text() == "all of it"
    (target / "thesis.txt").unlink()
    with pytest.raises(FileFormatError, match="it is a folder"):
        convert(source, target, overwrite=True)
    assert sorted(p.name for p in target.iterdir()) == ["0", "results"]
    with pytest.raises(FileFormatError, match="without a trajectory"):
        convert(source, tmp_path / "other.zarr", overwrite=True)
    # A store with a file of the user's in it is not the user's to lose.
    kept = stored(tmp_path, "c.zarr")
    (kept / "position" / "notes.md").write_text("mine")
    with pytest.raises(FileFormatError, match=r"contains position/notes\.md"):
        convert(source, kept, overwrite=True)
    assert (kept / "position" / "notes.md").read_text() == "mine"
    (tmp_path / "link.zarr").symlink_to(target)
    with pytest.raises(FileFormatError, match="it is a folder"):
        convert(source, tmp_path / "link.zarr", overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileFormatError, match="pipe"):
        convert(source, tmp_path / "pipe", overwrite=True)
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.nc", "a.zarr"])
def test_the_source_is_not_replaced(name: str, tmp_path: Path) -> None:
    source = stored(tmp_path, name)
    before = open_trajectory(source).load()
    (tmp_path / f"link.{name}").symlink_to(source)
    targets = [source, tmp_path / "." / name, tmp_path / f"link.{name}"]
    if source.is_file():
        os.link(source, tmp_path / "hard.nc")
        targets.append(tmp_path / "hard.nc")
    else:
        targets.append(source / "copy.nc")
    for target in targets:
        with pytest.raises(FileFormatError, match="overwritten while it is read"):
            convert(source, target, overwrite=True)
    xr.testing.assert_identical(open_trajectory(source).load(), before)


@pytest.mark.slow
def test_a_store_is_replaced_as_a_whole(tmp_path: Path) -> None:
    store = stored(tmp_path)
    convert(
        tmp_path / "a.lammpstrj", store, overwrite=True, frames=slice(0, 2), **METAL
    )
    assert open_trajectory(store).sizes["time"] == 2
    (tmp_path / "file.zarr").write_text("a file")
    convert(tmp_path / "a.lammpstrj", tmp_path / "file.zarr", overwrite=True, **METAL)
    assert open_trajectory(tmp_path / "file.zarr").sizes["time"] > 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.lammpstrj",
        "a.zarr",
        "file.zarr",
    ]


@pytest.mark.slow
def test_a_killed_overwrite_of_a_store_leaves_one_whole(tmp_path: Path) -> None:
    store = stored(tmp_path)
    # One process begins all: each is a fork of it, which dies at its n-th rename.
    code = (
        "import os, sys, xbp\n"
        "from xbp.io import publish\n"
        "from xbp.md import convert\n"
        "def dying(real):\n"
        "    def call(*args):\n"
        "        global left\n"
        "        left -= 1\n"
        "        if not left: os._exit(9)\n"
        "        return real(*args)\n"
        "    return call\n"
        "for left in (1, 2, 3):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        publish._rename, os.rename, os.replace = map(dying, (publish._rename, os.rename, os.replace))\n"
        "        convert('a.lammpstrj', 'a.zarr', overwrite=True, units='metal', timestep='2 fs')\n"
        "        os._exit(0)\n"
        "    _, status = os.waitpid(child, 0)\n"
        "    print(os.waitstatus_to_exitcode(status), flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        for _ in range(3):
            assert process.stdout.readline().strip() in ("0", "9")
            assert np.isfinite(open_trajectory(store).position.values).all()
            process.stdin.write("\n")
            process.stdin.flush()
    convert(tmp_path / "a.lammpstrj", store, overwrite=True, **METAL)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.lammpstrj", "a.zarr"]
