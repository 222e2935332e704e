"""Blocks of a TNG file: their checksums, and what they say of units and atoms."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from xbp.md.source import BLOCK, Source, reading, require_file
from xbp.md.topology import Topology

__all__ = ["Description"]

#: Numbers of blocks that are read here: pytng does not return what they say.
_GENERAL, _MOLECULES, _MASSES = _READ = (0, 1, 0x10000010)
#: What data depend on, their types, and how they may be compressed.
_OF_PARTICLES: Final = 2
_TYPES: Final = {1: "i8", 2: "f4", 3: "f8"}
_PLAIN, _GZIP = 0, 3

#: Names and types of the atoms of a molecule, and how many of it there are.
_Molecule = tuple[list[tuple[str, str]], int]


class _Contents:
    """Numbers and texts of a block, one after the other."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data, self.order, self.at = data, order, 0

    def number(self, kind: str = "q") -> Any:
        """Return the next number, of a type of `struct`."""
        (value,) = struct.unpack_from(f"{self.order}{kind}", self.data, self.at)
        self.at += struct.calcsize(f"{self.order}{kind}")
        return value

    def text(self) -> str:
        """Return the next text."""
        end = self.data.index(b"\0", self.at)
        text = self.data[self.at : end].decode("utf-8", "replace")
        self.at = end + 1
        return text


def _blocks(source: Source) -> Iterator[tuple[int, int, _Contents]]:
    """Yield number, version and contents of some blocks, after checking each.

    A block is: bytes of its header and of its contents, its number, the MD5 of its
    contents (zero where it was not computed), its name and version, and the contents.
    """
    at, size = 0, source.path.stat().st_size
    # GROMACS writes the order of its machine, others that of networks.
    first = int.from_bytes(source.read(0, 8), "little")
    order = "<" if 40 <= first < 2**32 else ">"
    while at < size:
        head = source.read(at, at + 49)
        whole = len(head) == 49
        before, after, number = struct.unpack(f"{order}3q", head[:24].ljust(24, b"\0"))
        begin, end = at + before, at + before + after
        whole = whole and before >= 49 and after >= 0 and end <= size
        require_file(whole, source.path, f"it is cut short or damaged at byte {at}")
        digest, kept = hashlib.md5(usedforsecurity=False), []
        for place in range(begin, end, BLOCK):
            part = source.read(place, min(place + BLOCK, end))
            digest.update(part)
            kept += [part] if number in _READ else []
        same = head[24:40] in (bytes(16), digest.digest())
        require_file(same, source.path, f"its block at byte {at} is damaged")
        if number in _READ:
            version = _Contents(source.read(begin - 8, begin), order).number()
            yield number, version, _Contents(b"".join(kept), order)
        at = end


@dataclass(frozen=True)
class Description:
    """What a file says of its lengths and atoms.

    Attributes
    ----------
    length : float
        Its unit, Å.
    molecules : list of (list of (str, str), int)
        Names and types of the atoms of each, and how many of it there are.
    masses : numpy.ndarray or None
        Of all atoms, u.

    References
    ----------
    M. Lundborg et al., J. Comput. Chem. 35, 260 (2014), doi:10.1002/jcc.23495.
    """

    length: float
    molecules: list[_Molecule]
    masses: np.ndarray | None

    @classmethod
    def of(cls, source: Source) -> Description:
        """Read it, and compare all blocks with their checksums.

        Damaged ones crash the library that reads frames.

        Raises
        ------
        FileFormatError
            If a block is damaged.
        """
        length, fixed = 10.0, True
        molecules: list[_Molecule] = []
        masses = None
        with reading(source.path):
            for number, version, contents in _blocks(source):
                if number == _GENERAL:
                    for _ in range(9):  # programs, users, computers, keys, force field
                        contents.text()
                    contents.number()  # of seconds since 1970
                    fixed = not contents.number("b")
                    for _ in range(5):  # frames that stand together, and where
                        contents.number()
                    if version >= 3:  # a power of ten, in m
                        length = 10.0 ** (contents.number() + 10)
                elif number == _MOLECULES and fixed:
                    molecules = [_molecule(contents) for _ in range(contents.number())]
                elif number == _MASSES:
                    masses = _of_particles(contents)
        return cls(length, molecules, masses)

    def topology(self, n_atoms: int) -> Topology | None:
        """Return names, types and masses, if they are those of all atoms."""
        counts = [len(atoms) * n for atoms, n in self.molecules]
        if min(counts, default=0) < 0 or sum(counts) != n_atoms:
            return None
        every = [atom for atoms, n in self.molecules for atom in atoms * n]
        names, types = np.array(every, dtype=str).T
        if not any(names.tolist()):
            return None
        own = self.masses is not None and self.masses.size == n_atoms
        return Topology(names, self.masses if own else None, types=types)


def _molecule(contents: _Contents) -> _Molecule:
    """Return the next molecule: its chains, of residues, of atoms; its bonds follow."""
    contents.number(), contents.text(), contents.number()
    count, chains, residues, n_atoms = (contents.number() for _ in range(4))
    atoms: list[tuple[str, str]] = []

    def read_atoms(n: int) -> None:
        for _ in range(n):
            contents.number()
            atoms.append((contents.text(), contents.text()))

    def read_residues(n: int) -> None:
        for _ in range(n):
            contents.number(), contents.text()
            read_atoms(contents.number())

    for _ in range(chains):
        contents.number(), contents.text()
        read_residues(contents.number())
    if not chains:
        read_residues(residues)
    if not chains and not residues:
        read_atoms(n_atoms)
    bonds = contents.number()
    contents.at += 16 * bonds
    return atoms, count


def _of_particles(contents: _Contents) -> np.ndarray | None:
    """Return one number for each particle, if a block has such."""
    kind, depends = contents.number("b"), contents.number("b")
    if depends != _OF_PARTICLES or kind not in _TYPES:
        return None
    each, packing = contents.number(), contents.number()
    if packing != _PLAIN:
        contents.number("d")  # a factor for whole numbers
    first, n = contents.number(), contents.number()
    if first or each != 1 or packing not in (_PLAIN, _GZIP) or not 0 < n < 2**40:
        return None
    dtype = np.dtype(f"{contents.order}{_TYPES[kind]}")
    data = contents.data[contents.at :]
    if packing == _GZIP:
        data = zlib.decompressobj().decompress(data, n * dtype.itemsize)
    return np.frombuffer(data, dtype, n).astype(float)
