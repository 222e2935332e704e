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
        Largest difference of an element between the first two steps, relative to the
        largest element.
    where : (int, int)
        The atoms of that element.
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
    n_probes : int
        Number of atoms that are moved singly first, to see how far forces reach.
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
    probes = rng.permutation(n)[:n_probes]
    ways = rng.normal(size=(probes.size, 3))
    ways *= steps[0] / np.linalg.norm(ways, axis=1)[:, None]
    felt = []

    def feel(atom: int, change: np.ndarray) -> None:
        size = np.abs(change).max(axis=1)
        felt.append(distance(atom)[size > 1e-12 * size.max()].max())

    _each_difference(
        evaluate,
        position,
        [(np.array([atom]), way) for atom, way in zip(probes, ways, strict=True)],
        lambda index, change: feel(int(probes[index]), change),
    )
    groups = _far_apart(distance, n, 2 * margin * max(felt, default=0.0))
    moves = [
        (group, step * axis) for group in groups for axis in np.eye(3) for step in steps
    ]
    owner = np.zeros(n, dtype=int)
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    worst, most, top = 0.0, (0, 0), 0.0
    first: np.ndarray = np.empty(0)

    def keep(index: int, change: np.ndarray) -> None:
        nonlocal first, worst, most, top
        group, way = moves[index]
        found = change / (2 * np.linalg.norm(way))
        if index % 2 == 0:
            first = found
            if index % 6 == 0:
                nearest = np.argmin([distance(atom) for atom in group], axis=0)
                owner[:] = group[nearest]
            rows, columns = np.nonzero(found)
            axis = index % 6 // 2
            parts.append(
                (
                    (3 * rows + columns).astype(np.int32),
                    (3 * owner[rows] + axis).astype(np.int32),
                    found[rows, columns],
                )
            )
            top = max(top, float(np.abs(found).max()))
            return
        off = np.abs(found - first).max(axis=1)
        if off.max() > worst:
            worst, most = (
                float(off.max()),
                (int(owner[off.argmax()]), int(off.argmax())),
            )

    _each_difference(evaluate, position, moves, keep)
    rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    matrix = scipy.sparse.csr_array((values, (rows, columns)), shape=(3 * n, 3 * n))
    return Differences((matrix + matrix.T) / 2, worst / top if top else 0.0, most)


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
    distance: Callable[[int], np.ndarray], n: int, apart: float
) -> list[np.ndarray]:
    """Divide atoms into groups whose members are farther apart than a distance."""
    groups, left = [], np.ones(n, dtype=bool)
    while left.any():
        group = [int(np.argmax(left))]
        nearest = distance(group[0])
        while True:
            left[group[-1]] = False
            free = np.flatnonzero(left & (nearest > apart))
            if not free.size:
                break
            # The closest that is allowed leaves most room for others.
            group.append(int(free[np.argmin(nearest[free])]))
            nearest = np.minimum(nearest, distance(group[-1]))
        groups.append(np.array(group))
    return groups
