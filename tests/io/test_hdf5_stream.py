"""Heaps of texts in HDF5 are read while they are whole, and refused where HDF5 would never end."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from xbp.io.hdf5_stream import checked_file

TEXTS = [f"text {'of many letters' * (i % 5)} {i}" for i in range(300)]


def written(path: Path, size_of_lengths: int = 8) -> bytes:
    plan = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plan.set_sizes(8, size_of_lengths)
    found = h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fcpl=plan)
    with h5py.File(found) as file:
        file.attrs["one"] = "a text"
        file.create_dataset("many", data=TEXTS, dtype=h5py.string_dtype())
        file["long"] = "x" * 9000
    return path.read_bytes()


def objects(whole: bytes, heap: int) -> list[int]:
    """Return where the objects of a heap are, what is free included."""
    end, at, places = heap + struct.unpack_from("<Q", whole, heap + 8)[0], heap + 16, []
    while end - at >= 16:
        number, size = struct.unpack_from("<HxxxxxxQ", whole, at)
        places.append(at)
        at += 16 + -(-size // 8) * 8 if number else size
    return places


def read(path: Path) -> tuple[str, list[str], str]:
    with checked_file(path) as file:
        many = [text.decode() for text in file["many"][()]]
        return file.attrs["one"], many, file["long"][()].decode()


@pytest.mark.parametrize("size_of_lengths", [8, 4])
def test_whole_heaps_are_read(tmp_path: Path, size_of_lengths: int) -> None:
    whole = written(tmp_path / "été.h5", size_of_lengths)
    assert whole.count(b"GCOL") > 2
    assert read(tmp_path / "été.h5") == ("a text", TEXTS, "x" * 9000)
    with checked_file(tmp_path / "été.h5") as file:
        assert file.filename == str(tmp_path / "été.h5")


@pytest.mark.parametrize("size", [0, 8, 2**64 - 16, 2**64 - 8, 2**63, 1 << 20])
def test_damaged_sizes(tmp_path: Path, size: int) -> None:
    """HDF5 2.0 hangs for ever where what is free has the size 0."""
    whole, path = written(tmp_path / "file.h5"), tmp_path / "damaged.h5"
    heap = whole.index(b"GCOL")
    tried = 0
    for at in objects(whole, heap)[-3:]:
        damaged = bytearray(whole)
        struct.pack_into("<Q", damaged, at + 8, size)
        is_free = whole[at : at + 2] == b"\0\0"
        if size in (0, 8) and not is_free:
            struct.pack_into("<H", damaged, at, 0)
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            read(path)
        tried += 1
    assert tried == 3


def test_a_heap_larger_than_its_file(tmp_path: Path) -> None:
    whole = bytearray(written(tmp_path / "file.h5"))
    struct.pack_into("<Q", whole, whole.index(b"GCOL") + 8, 2**50)
    (tmp_path / "file.h5").write_bytes(whole)
    with pytest.raises(ValueError, match="claims 1125899906842624 bytes"):
        read(tmp_path / "file.h5")


def test_numbers_that_look_like_a_heap(tmp_path: Path) -> None:
    """The bytes before the version of a heap may occur in numbers, and be no heap."""
    values = np.frombuffer(b"GCOL\x02\0\0\0" * 4)
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["numbers"] = values
    with checked_file(tmp_path / "file.h5") as file:
        assert file["numbers"][()].tobytes() == values.tobytes()
