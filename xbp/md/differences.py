"""Second derivatives of the energy of a box, from differences of the forces.

Atoms that no common neighbour feels are moved together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

__all__ = ["Differences", "Evaluate", "second_derivatives"]

#: ``evaluate(positions, count, take)`` calls ``take(forces)`` for each of `count`
#: positions, in turn; positions in Å, forces in eV/Å, both of shape (n_atoms, 3).
Evaluate = Callable[
    [Iterator[np.ndarray], int, Callable[[np.ndarray], None]],
    None,
]


@dataclass(frozen=True)
class Differences:
    """Second derivatives of two steps.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array, shape (3 n_atoms, 3 n_atoms)
        ∂²U/∂r_i∂r_j from the first step, symmetric, eV/Å².
    apart : float
        By how much the two steps differ: the largest sum of the absolute differences
        in a row, relative to the largest such sum of the matrix. It bounds what any
        mode gets from many small jumps of the force.
    where : (int, int)
        The atom of that row, and the one whose element of it differs most.
    """

    matrix: Any
    apart: float
    where: tuple[int, int]


def second_derivatives(
    evaluate: Evaluate,
    position: np.ndarray,
    cell: np.ndarray,
    steps: tuple[float, float],
    *,
    dimension: int = 3,
    n_probes: int = 32,
    margin: float = 1.02,
) -> Differences:
    """Differentiate the forces of a box.

    Parameters
    ----------
    evaluate : Evaluate
        Computes the forces.
    position : numpy.ndarray, shape (n_atoms, 3)
        Å.
    cell : numpy.ndarray, shape (3, 3)
        Rows are the vectors of the cell, Å; all periodic.
    steps : (float, float)
        By which atoms are moved to either side, Å.
    dimension : int
        2 for atoms of a plane, which are moved in it.
    n_probes : int
        Number of atoms that are moved singly first, to see how far forces reach; the
        atoms of as many elements that differ most between the steps are so moved
        afterwards.
    margin : float
        Factor to that distance.

    Returns
    -------
    Differences
    """
    n = len(position)
    inverse = np.linalg.inv(cell)

    def distance(atom: int) -> np.ndarray:
        bond = position - position[atom]
        return np.asarray(
            np.linalg.norm(bond - np.round(bond @ inverse) @ cell, axis=1)
        )

    rng = np.random.default_rng(0)

    def reach_of(atoms: np.ndarray) -> float:
        """Move atoms singly, and see how far away their moves are felt."""
        ways = rng.normal(size=(atoms.size, 3))
        ways[:, dimension:] = 0
        ways *= steps[0] / np.linalg.norm(ways, axis=1)[:, None]
        felt = [0.0]

        def feel(index: int, change: np.ndarray) -> None:
            size = np.abs(change).max(axis=1)
            felt.append(distance(atoms[index])[size > 1e-12 * size.max()].max())

        moves = [(atoms[i : i + 1], way) for i, way in enumerate(ways)]
        _each_difference(evaluate, position, moves, feel)
        return margin * max(felt)

    reach = reach_of(rng.permutation(n)[:n_probes])
    while True:
        groups = _far_apart(distance, n, 2 * reach)
        # No two atoms are moved together by both steps: a spring between two that are
        # moved together is lost from one matrix, but not from the other.
        others = _far_apart(distance, n, 2 * reach, parted=groups)
        matrix, again = (
            _matrix(evaluate, position, distance, parts, step, dimension)
            for parts, step in zip((groups, others), steps, strict=True)
        )
        off = abs(matrix - again)
        each = off.tocoo()
        most = np.argsort(each.data)[::-1][:n_probes]
        farther = reach_of(np.unique([each.row[most] // 3, each.col[most] // 3]))
        if farther <= reach:
            break
        reach = farther
    sums, whole = (abs(one).sum(axis=1) for one in (off, matrix))
    row = int(np.argmax(sums))
    where = row // 3, int(np.argmax(off[[row]].toarray())) // 3
    top = float(whole.max())
    apart = float(sums[row]) / top if top else 0.0
    return Differences((matrix + matrix.T) / 2, apart, where)


def _matrix(
    evaluate: Evaluate,
    position: np.ndarray,
    distance: Callable[[int], np.ndarray],
    groups: Sequence[np.ndarray],
    step: float,
    dimension: int,
) -> Any:
    """Move groups of atoms along each axis; a change belongs to the nearest of them."""
    axes = np.eye(3)[:dimension]
    moves = [(group, step * axis) for group in groups for axis in axes]
    owner = np.zeros(len(position), dtype=int)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def keep(index: int, change: np.ndarray) -> None:
        group, axis = moves[index][0], index % dimension
        if axis == 0:
            owner[:] = group[np.argmin([distance(atom) for atom in group], axis=0)]
        rows, columns = np.nonzero(change)
        parts.append(
            (
                (3 * rows + columns).astype(np.int32),
                (3 * owner[rows] + axis).astype(np.int32),
                change[rows, columns] / (2 * step),
            )
        )

    _each_difference(evaluate, position, moves, keep)
    rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return scipy.sparse.csr_array((values, (rows, columns)), shape=(position.size,) * 2)


def _each_difference(
    evaluate: Evaluate,
    position: np.ndarray,
    moves: Sequence[tuple[np.ndarray, np.ndarray]],
    take: Callable[[int, np.ndarray], None],
) -> None:
    """Give the forces at −move less those at +move, for each move of some atoms."""
    held: list[np.ndarray] = []
    indices = iter(range(len(moves)))

    def positions() -> Iterator[np.ndarray]:
        for atoms, way in moves:
            for side in (1, -1):
                moved = position.copy()
                moved[atoms] += side * way
                yield moved

    def collect(forces: np.ndarray) -> None:
        if held:
            take(next(indices), forces - held.pop())
        else:
            held.append(forces)

    evaluate(positions(), 2 * len(moves), collect)


def _far_apart(
    distance: Callable[[int], np.ndarray],
    n: int,
    apart: float,
    *,
    parted: Sequence[np.ndarray] = (),
) -> list[np.ndarray]:
    """Divide atoms into groups whose members are farther apart than a distance.

    No two atoms of a group of `parted` are in the same group again.
    """
    groups, left = [], np.ones(n, dtype=bool)
    before = np.arange(n)
    for number, group_before in enumerate(parted):
        before[group_before] = number
    while left.any():
        group = [int(np.argmax(left))]
        nearest = distance(group[0])
        while True:
            left[group[-1]] = False
            nearest[before == before[group[-1]]] = 0
            free = np.flatnonzero(left & (nearest > apart))
            if not free.size:
                break
            # The closest that is allowed leaves most room for others.
            group.append(int(free[np.argmin(nearest[free])]))
            nearest = np.minimum(nearest, distance(group[-1]))
        groups.append(np.array(group))
    return groups
