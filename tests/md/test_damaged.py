"""Files that were changed at random open, or are refused by name; nothing hangs, and no other error comes out."""

from __future__ import annotations

import bz2
import gzip
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from xbp.errors import FileFormatError, XbpError
from xbp.md import open_trajectory
from xbp.md.source import reading

from .test_formats import DATA, HEADER, history, rows, timed, xyz
from .test_open import METAL, SCALED, STYLES, VELOCITY, dump, written

TEXT = dump(SCALED, VELOCITY, STYLES["element"])
SEEDS = {
    "dump": (TEXT, METAL),
    "times": (timed([0, 10, 20], [0.0, 0.02, 0.04]), {"units": "metal"}),
    "history": (history(), {}),
    "xdatcar": (
        HEADER
        + "Direct configuration= 1\n"
        + rows(0)
        + HEADER
        + "Direct configuration= 2\n"
        + rows(1),
        {},
    ),
    "blank": (HEADER + "\n" + rows(0) + "\n" + rows(1), {}),
    "gpumd": (xyz('Time={fs} pbc="T T T"', "vel", 1e-3, masses=True), {}),
    "momenta": (xyz("step={n}", "momenta", 0.01), {"timestep": "20 fs"}),
    "data": (DATA, {"units": "metal"}),
    "gzip": (gzip.compress(TEXT.encode()), METAL),
    "bzip2": (bz2.compress(TEXT.encode()), METAL),
}
TOKENS = [
    "nan", "inf", "-inf", "1e400", "1e308", "-1", "0", "99999999999999999999", "0x10", "ITEM:", "timestep", "Direct", "configuration=",
    "#", '"', "=", "\r\n", "", " ", "\n", "\0", "\n\n", "Å",
]  # fmt: skip


def changed(raw: bytes, rng: np.random.Generator) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.integers(1, 3)):
        at = int(rng.integers(len(data)))
        token = TOKENS[rng.integers(len(TOKENS))].encode()
        words = list(re.finditer(rb"\S+", bytes(data))) or [re.match(b"", b"")]
        word = words[rng.integers(len(words))]
        match rng.integers(5):
            case 0:
                data[at] = rng.integers(256)
            case 1:
                del data[at : at + int(rng.integers(1, 40))]
            case 2:
                data[at:at] = token
            case 3 if word is not None:
                data[word.start() : word.end()] = token
            case _:
                lines = bytes(data).split(b"\n")
                lines[rng.integers(len(lines))] = lines[rng.integers(len(lines))]
                data = bytearray(b"\n".join(lines))
        data = data or bytearray(b"x")
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_open_or_are_refused(tmp_path: Path, name: str) -> None:
    raw, options = SEEDS[name]
    raw = raw if isinstance(raw, bytes) else raw.encode()
    options = (
        {"time_between_frames": "2 fs", **options}
        if name in ("xdatcar", "blank")
        else options
    )
    rng = np.random.default_rng(list(SEEDS).index(name))
    assert (
        open_trajectory(written(tmp_path, raw, "user"), **options)
        .position.notnull()
        .all()
    )
    for _ in range(40):
        path = written(tmp_path, changed(raw, rng), "user")
        try:
            traj = open_trajectory(path, **options).compute()
        except XbpError as error:
            assert "user" in str(error)  # noqa: PT017
        else:
            for values in (
                traj[v].values
                for v in ("position", "velocity", "cell", "mass", "time")
                if v in traj
            ):
                assert np.isfinite(values).all()


CARRIAGE_RETURNS = (
    '6\rLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:999999999999\r'
    "Cu 1 1 1\r"
)
POSCAR = (
    "t\n1.0\n9 0 0\n0 9 0\n0 0 9\nCu\n1999999999\nDirect\n0.1 0.2 0.3\n0.5 0.6 0.7\n"
)
MANY_COLUMNS = (
    '2\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3'
    + "".join(f":a{i}:R:999" for i in range(4000))
    + "\nCu 0 0 0\nCu 1 1 1\n"
)
PLAIN = "1999999999\nt\nAr 0 0 0\nAr 1 1 1\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("user.xyz", CARRIAGE_RETURNS),
        ("POSCAR_user", POSCAR),
        ("user.xyz", MANY_COLUMNS),
        ("user.xyz", PLAIN),
    ],
)
def test_absurd_declared_sizes_are_refused_at_once(
    tmp_path: Path, name: str, text: str
) -> None:
    pytest.importorskip("ase")
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match="user"):
            open_trajectory(written(tmp_path, text.encode(), name))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_memory_that_a_library_lacks_is_an_error_of_the_file() -> None:
    with pytest.raises(FileFormatError, match="user"), reading("user"):
        raise MemoryError
