"""Compressed and damaged files: read in place and in bounds, or refused by the name of the user's file."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import lzma
import os
import pickle
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from xbp.errors import FileFormatError, MissingDependencyError, QuantityError, XbpError
from xbp.io.spelling import ends_whole
from xbp.md import lammps_text, open_trajectory
from xbp.md.source import BLOCK, Lines, open_source, release

from .test_open import CELL, METAL, SCALED, STYLES, VELOCITY, dump, motion, written

TEXT = dump(SCALED, VELOCITY, STYLES["element"]).encode()
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
OPENERS = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the machine, empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def same(path: Path, n: int = 5, **options: str) -> None:
    with open_trajectory(path, **METAL, **options) as traj:
        np.testing.assert_allclose(traj.position.values, SCALED[:n] @ CELL, atol=1e-12)
        np.testing.assert_allclose(traj.velocity.values, VELOCITY[:n])
        assert traj.element.values.tolist() == ["Zr", "Cu"] * 3
        np.testing.assert_allclose(traj.time.values, 0.02 * np.arange(n))


@pytest.mark.slow
@pytest.mark.parametrize("kind", PACKERS)
def test_compressed_dumps_are_dumps(tmp_path: Path, scratch: Path, kind: str) -> None:
    """By content and not by name; in one piece or several, whatever fills the file up at its end."""
    pack = PACKERS[kind]
    same(written(tmp_path, pack(TEXT), f"a.lammpstrj.{kind}"))
    same(written(tmp_path, pack(TEXT), "no name"))
    same(written(tmp_path, pack(TEXT[:3000]) + pack(TEXT[3000:]), "pieces"))
    same(written(tmp_path, pack(TEXT) + bytes(512), "padded"))
    same(written(tmp_path, pack(TEXT + b"\n  \n") + b" \n", "blanks"))
    with pytest.raises(FileFormatError, match="cut short"):
        open_trajectory(written(tmp_path, pack(TEXT[:-60]), "cut"), **METAL)
    same(tmp_path / "cut", 4, truncated="drop")
    assert not list(scratch.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("kind", PACKERS)
def test_parts_are_read_in_any_order(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of a file of several are kept, unpacked again, or found from a mark."""
    BLOCK = 2**13
    monkeypatch.setattr("xbp.md.source.BLOCK", BLOCK)
    rng = np.random.default_rng(3)
    raw = rng.integers(97, 123, 40 * BLOCK + 1000, dtype=np.uint8).tobytes()
    source = open_source(written(tmp_path, PACKERS[kind](raw)))
    for begin in (20 * BLOCK - 7, 0, 39 * BLOCK, 18 * BLOCK + 5, BLOCK):
        assert source.read(begin, begin + 20) == raw[begin : begin + 20]
    release(source)
    assert pickle.loads(pickle.dumps(source)).read(0, 9) == raw[:9]
    assert source.read(40 * BLOCK + 990, 41 * BLOCK) == raw[-10:]
    assert b"".join(source.blocks()) == raw


@pytest.mark.slow
def test_many_blocks_are_not_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BLOCK = 2**16
    monkeypatch.setattr("xbp.md.source.BLOCK", BLOCK)
    raw = (
        np.random.default_rng(3).integers(97, 101, 60 * BLOCK, dtype=np.uint8).tobytes()
    )
    source = open_source(written(tmp_path, gzip.compress(raw, 1)))
    tracemalloc.start()
    n = sum(len(block) for block in source.blocks())
    assert source.read(17 * BLOCK, 17 * BLOCK + 9) == raw[17 * BLOCK : 17 * BLOCK + 9]
    assert source.read(5, 14) == raw[5:14]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == len(raw)
    assert peak < 40 * BLOCK


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("damage", ["flipped", "cut", "garbage"])
def test_damage_is_named(tmp_path: Path, scratch: Path, kind: str, damage: str) -> None:
    packed = bytearray(PACKERS[kind](TEXT))
    if damage == "flipped":
        packed[len(packed) // 2] ^= 0x55
    packed = (
        packed[:-30]
        if damage == "cut"
        else packed + b"garbage"
        if damage == "garbage"
        else packed
    )
    path = written(tmp_path, bytes(packed), "user's file")
    begun = time.perf_counter()
    with pytest.raises(FileFormatError, match="user's file"):
        open_trajectory(path, **METAL)
    assert time.perf_counter() - begun < 5
    assert not list(scratch.iterdir())


HEAD = TEXT[: TEXT.index(b"vz\n") + 3]
MANY = HEAD.replace(b"ATOMS\n6", b"ATOMS\n%d" % 10**12)
XYZ = b'%d\nLattice="10 0 0 0 10 0 0 0 10" Properties=species:S:1:pos:R:3\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "head", "filling", "problem"),
    [
        ("gz", HEAD, b"\0", "a line after byte 0 is longer"),
        ("gz", HEAD, b"\n", "decompression bomb"),
        ("xz", MANY, b"\n", "decompression bomb"),
        ("bz2", MANY, b"7 Zr 1.0 2.0 3.0 0 0 0\n", "decompression bomb"),
        ("gz", TEXT, TEXT, "must increase"),
        ("xz", XYZ % 6, b"\0", "a line after byte 0 is longer"),
        ("gz", XYZ % 10**6, b"Cu 1 2 3\n", "number of atoms"),
        ("gz", XYZ % 10**11, b"Cu 1 2 3\n", "decompression bomb"),
        (
            "gz",
            b"title\n\n1 atoms\n1 atom types\n0 9 xlo xhi\n",
            b"0 9 xlo xhi\n",
            "one configuration",
        ),
        ("gz", b"", b" ", "it is empty"),
    ],
)
def test_a_bomb_fills_neither_disk_nor_memory(
    tmp_path: Path, scratch: Path, kind: str, head: bytes, filling: bytes, problem: str
) -> None:
    chunk = filling * (2**20 // len(filling))
    path = tmp_path / "packed"
    # Whole frames are listed one by one, which takes its time under tracemalloc.
    frames = filling is TEXT
    quickly = {"gz": {"compresslevel": 1}, "xz": {"preset": 0}, "bz2": {}}[kind]
    with OPENERS[kind](path, "wb", **quickly) as stream:
        stream.write(head)
        for _ in range(2 if frames else 8 if kind == "bz2" else 80):
            stream.write(chunk)
    tracemalloc.start()
    with pytest.raises(XbpError, match=problem):
        open_trajectory(path, **METAL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (
        10e6 if frames else 130e6
    )  # blocks of a file, and the list of frames
    assert not list(scratch.iterdir())


def test_zstd_is_read_or_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, b"\x28\xb5\x2f\xfd and what follows")
    there = any(
        importlib.util.find_spec(name.split(".")[0])
        for name in ("compression", "backports")
    )
    with pytest.raises(
        FileFormatError if there else MissingDependencyError, match=r"zstd"
    ):
        open_trajectory(path, **METAL)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(FileFormatError, match=str(path)):
            open_trajectory(path)


def last(old: bytes, new: bytes) -> Callable[[], bytes]:
    at = TEXT.rindex(old)
    return lambda: TEXT[:at] + new + TEXT[at + len(old) :]


BOX = TEXT[TEXT.index(b"pp pp pp\n") + 9 :].split(b"\n", 1)[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: TEXT.replace(b"ATOMS\n6", b"ATOMS\n0"), "0 atoms"),
        (last(b"ATOMS\n6", b"ATOMS\n0"), "0 atoms"),
        (last(b"ATOMS\n6", b"ATOMS\n-3"), "-3 atoms"),
        (last(BOX, b"nan nan 0"), "nan"),
        (last(BOX, b"1 1 0"), "the bounds 1 1 along x"),
        (last(BOX, b"10 0 0"), "the bounds 10 0 along x"),
        (lambda: TEXT.replace(BOX, b"10 0 0"), r"frame 0: .*the bounds 10 0 along x"),
        (
            lambda: TEXT.replace(b"ATOMS\n6", b"ATOMS\n" + b"9" * 6000),
            "NUMBER OF ATOMS",
        ),
        (
            last(b"TIMESTEP\n40", b"TIMESTEP\n" + b"9" * 400),
            r"a\.lammpstrj(.|\n)*TIMESTEP: 9{20}… is too large",
        ),
        (
            lambda: TEXT.replace(b"TIMESTEP\n10\n", b"TIMESTEP\n" + b"9" * 400 + b"\n"),
            r"a\.lammpstrj, frame 1: TIMESTEP",
        ),
        (
            lambda: TEXT.replace(b"TIMESTEP\n0\n", b"TIMESTEP\n0\n" + b"x" * 2**17),
            "a.lammpstrj",
        ),
    ],
)
def test_headers_that_cannot_be_are_refused(
    tmp_path: Path, change: Callable[[], bytes], says: str
) -> None:
    with pytest.raises((FileFormatError, QuantityError), match=says):
        open_trajectory(written(tmp_path, change()), **METAL)


def test_trailing_blanks_are_nothing(tmp_path: Path) -> None:
    same(written(tmp_path, TEXT + b"\n \n\t\n"))


def test_shapes_that_the_bytes_cannot_hold_are_refused(tmp_path: Path) -> None:
    for shape in ((10**12, 5, 3), (3, 10**10, 3)):
        with h5py.File(tmp_path / "a.nc", "w") as file:
            file.attrs["_NCProperties"] = "version=2"
            file.create_dataset("position", shape=shape, chunks=(1, 5, 3), dtype="f4")
        with pytest.raises(FileFormatError, match="position' declares"):
            open_trajectory(tmp_path / "a.nc")


def test_long_lines_are_no_text(tmp_path: Path) -> None:
    lines = Lines(
        open_source(written(tmp_path, b"short\n" + b"y" * 2**17 + b"\nend\n"))
    )
    with pytest.raises(FileFormatError, match="longer"):
        lines.next()


@pytest.mark.slow
def test_a_compressed_file_of_several_blocks_reads_as_the_plain_one(
    tmp_path: Path,
) -> None:
    scaled, velocity = motion(np.random.default_rng(2), 60, 1250)
    text = dump(scaled, velocity, STYLES["element"]).encode()
    assert len(text) > 2 * BLOCK
    traj = open_trajectory(
        written(tmp_path, gzip.compress(text, 1)),
        chunk_frames=1,
        densest="0.5 angstrom^3",
        **METAL,
    )
    np.testing.assert_allclose(
        traj.position[::-1].values, scaled[::-1] @ CELL, atol=1e-11
    )


@pytest.mark.slow
def test_a_quantity_reads_every_frame_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks of dimension, motion and folding use chunks that were read already."""
    counts = [0]
    read = lammps_text.read_table

    def counted(*args: Any, **kwargs: Any) -> object:
        counts[0] += 1
        return read(*args, **kwargs)

    monkeypatch.setattr(lammps_text, "read_table", counted)
    scaled, velocity = motion(np.random.default_rng(2), 60, 6)
    text = dump(scaled, velocity, STYLES["element"]).encode()
    path = written(tmp_path, bz2.compress(text))
    traj = open_trajectory(path, **METAL)
    assert counts[0] <= 6  # the atoms, and the first and last two frames
    counts[0] = 0
    traj.bp.vdos(window="0.4 ps", folding=0.5)
    assert counts[0] == 60
    cut = open_trajectory(path, chunk_frames=10, **METAL)
    counts[0] = 0
    cut.bp.vdos(window="0.4 ps", folding=0.5)
    cut.bp.msd(window="0.4 ps")
    assert counts[0] == 60


def test_what_a_user_changes_is_not_read_again(tmp_path: Path) -> None:
    traj = open_trajectory(written(tmp_path, TEXT), **METAL)
    first = traj.position.values
    first[:] = 0
    np.testing.assert_allclose(traj.position.values, SCALED @ CELL, atol=1e-12)


@pytest.mark.parametrize(
    ("rows", "whole"),
    [
        ("1 1.25 -12\n2 3.55 -12\n3 1.25 -1", False),  # image flags have any length
        ("a 1.25\nb 2.50", True),
        ("a 1.25\nb 2.5", False),
        ("a 1.23456\nb 12.3456\nc 0.12345", False),
        ("a 1.23456\nb 12.3456\nc 0.123456", True),
        ("a 1.25e-05\nb 2.50e-0", False),
        ("a 1.25e-05\nb 2.50e-01", True),
        ("a", False),
    ],
)
def test_a_last_row_without_a_line_end(rows: str, whole: bool) -> None:
    assert ends_whole(rows.encode(), alone=False) == whole
