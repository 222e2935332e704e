"""TNG as `gmx mdrun` writes it: little-endian blocks with checksums."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np

#: Number of a block, by its name.
NUMBERS = {"GENERAL INFO": 0, "MOLECULES": 1, "TRAJECTORY FRAME SET": 2, "BOX SHAPE": 0x10000000,
           "POSITIONS": 0x10000001, "VELOCITIES": 0x10000002, "ATOM MASSES": 0x10000010}  # fmt: skip


def block(name: str, contents: bytes, version: int = 8) -> bytes:
    title = name.encode() + b"\0"
    size = 3 * 8 + 16 + len(title) + 8
    head = struct.pack("<3q", size, len(contents), NUMBERS[name])
    return head + hashlib.md5(contents).digest() + title + struct.pack("<q", version) + contents  # fmt: skip


def molecules(names: list[tuple[str, str]], n: int = 1, bonds: int = 1) -> bytes:
    """One molecule, in a chain of one residue, with a bond; or one for each atom."""
    each = [names] if bonds else [[name] for name in names]
    found = b"".join(molecule(some, n, bonds) for some in each)
    return struct.pack("<q", len(each)) + found


def molecule(names: list[tuple[str, str]], n: int, bonds: int) -> bytes:
    out = struct.pack("<q", 1) + b"M\0" + struct.pack("<5q", 1, n, 1, 1, len(names))
    out += struct.pack("<q", 1) + b"A\0" + struct.pack("<q", 1)
    out += struct.pack("<q", 1) + b"R\0" + struct.pack("<q", len(names))
    for number, (name, kind) in enumerate(names):
        out += struct.pack("<q", number) + f"{name}\0{kind}\0".encode()
    return out + struct.pack("<q", bonds) + bonds * struct.pack("<2q", 0, 1)


def masses(values: list[float], *, packed: bool = True) -> bytes:
    data = np.array(values, "<f4").tobytes()
    codec = struct.pack("<qd", 3, 1.0) if packed else struct.pack("<q", 0)
    head = struct.pack("<2bq", 2, 2, 1) + codec + struct.pack("<2q", 0, len(values))
    return head + (zlib.compress(data) if packed else data)


def frames(values: np.ndarray, stride: int, *, particles: bool = True) -> bytes:
    head = struct.pack("<3b2q", 2, 1 + 2 * particles, 1, values.shape[-1], 0)
    head += struct.pack("<2q", 0, stride)
    head += struct.pack("<2q", 0, values.shape[1]) if particles else b""
    return head + values.astype("<f4").tobytes()


def write(
    path: Path,
    position: np.ndarray,
    velocity: np.ndarray | None,
    *,
    names: list[tuple[str, str]],
    weights: list[float] | None = None,
    n: int = 1,
    bonds: int = 1,
    stride: int = 10,
    exponent: int = -9,
    packed: bool = True,
) -> Path:
    """Write frames in Å and Å/ps, every `stride` steps of 2 fs, in a box of 10, 11, 12 Å."""
    unit = 10.0 ** (exponent + 10)
    early = block("MOLECULES", molecules(names, n, bonds))
    if weights is not None:
        early += block("ATOM MASSES", masses(weights, packed=packed))
    steps = stride * (len(position) - 1) + 1

    def general(first: int) -> bytes:
        strings = b"gmx mdrun\0" + 8 * b"\0"
        rest = struct.pack("<qb6q", 0, 0, steps, first, first, 100, 10000, exponent)
        return block("GENERAL INFO", strings + rest)

    start = len(general(0)) + len(early)
    links = struct.pack("<2q6q2d", 0, steps, *[-1] * 6, 0.0, 2e-15)
    box = np.tile(np.diag([10.0, 11, 12]).ravel() / unit, (len(position), 1, 1))
    late = block("BOX SHAPE", frames(box[:, 0], stride, particles=False))
    late += block("POSITIONS", frames(position / unit, stride))
    if velocity is not None:
        late += block("VELOCITIES", frames(velocity / unit, stride))
    path.write_bytes(
        general(start) + early + block("TRAJECTORY FRAME SET", links) + late
    )
    return path
