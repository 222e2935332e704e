"""Second derivatives of a crystal of springs, whose forces are exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.md.lattice.crystals import fcc, second_derivatives
from xbp.core.errors import SimulationError
from xbp.md import differences
from xbp.md.lammps.harmonic import require_same


@pytest.mark.slow
def test_distant_atoms_are_moved_together() -> None:
    """A box of 500 atoms with forces to 2.8 angstrom needs fewer moves than atoms."""
    position, cell = fcc(5)
    exact = second_derivatives(position, cell)
    calls = 0

    def evaluate(
        positions: Iterator[np.ndarray],
        count: int,
        take: Callable[[np.ndarray], None],
    ) -> None:
        nonlocal calls
        calls += count
        for at in positions:
            take(-(exact @ (at - position).ravel()).reshape(-1, 3))

    found = differences.second_derivatives(evaluate, position, cell, (0.01, 0.005))
    assert abs(found.matrix - exact).max() < 1e-9
    assert found.apart < 1e-9
    assert calls < 12 * 500 / 8


@pytest.mark.slow
def test_a_spring_longer_than_all_others_is_found() -> None:
    """Two atoms of 500, 8 angstrom apart, neither of which is moved singly first."""
    position, cell = fcc(5)
    exact = second_derivatives(position, cell).tolil()
    bond = position - position[0]
    bond -= np.round(bond @ np.linalg.inv(cell)) @ cell
    far = int(np.argmin(abs(np.linalg.norm(bond, axis=1) - 8)))
    for axis in range(3):
        i, j = axis, 3 * far + axis
        exact[i, i] += 0.3
        exact[j, j] += 0.3
        exact[i, j] -= 0.3
        exact[j, i] -= 0.3
    exact = exact.tocsr()

    def evaluate(
        positions: Iterator[np.ndarray],
        count: int,
        take: Callable[[np.ndarray], None],
    ) -> None:
        for at in positions:
            take(-(exact @ (at - position).ravel()).reshape(-1, 3))

    found = differences.second_derivatives(
        evaluate, position, cell, (0.01, 0.005), n_probes=4
    )
    assert abs(found.matrix - exact).max() < 1e-9
    assert found.apart < 1e-9


def test_steps_that_disagree_are_found_with_their_atoms() -> None:
    """A force that jumps by 0.02 once atom 7 has moved by more than 0.007."""
    position, cell = fcc(2)
    exact = second_derivatives(position, cell)

    def evaluate(
        positions: Iterator[np.ndarray],
        count: int,
        take: Callable[[np.ndarray], None],
    ) -> None:
        for at in positions:
            moved = at - position
            forces = -(exact @ moved.ravel()).reshape(-1, 3)
            forces[3, 1] += 0.02 * (moved[7, 0] > 0.007)
            take(forces)

    found = differences.second_derivatives(evaluate, position, cell, (0.01, 0.005))
    assert found.where == (3, 7)
    jump = 1 / (abs(exact).sum(axis=1).max() + 1)  # 0.02 / (2 · 0.01) = 1
    assert found.apart == pytest.approx(jump, rel=1e-6)
    with pytest.raises(SimulationError, match="for atoms 3 and 7"):
        require_same(found.apart, found.where, (0.01, 0.005), 0.01)
    require_same(found.apart, found.where, (0.01, 0.005), 1.01 * jump)


def test_small_jumps_of_many_pairs_add_up() -> None:
    """Each pair of a box on the cutoff, with a jump of a thousandth of the largest."""
    position, cell = fcc(2)
    exact = second_derivatives(position, cell)
    top = abs(exact).max()

    def evaluate(
        positions: Iterator[np.ndarray],
        count: int,
        take: Callable[[np.ndarray], None],
    ) -> None:
        for at in positions:
            moved = (at - position).ravel()
            crossed = 0.01 * 1e-3 * top * (np.abs(moved) > 0.007) * np.sign(moved)
            forces = -(exact @ moved)
            forces[3:45] += crossed.sum()
            take(forces.reshape(-1, 3))

    found = differences.second_derivatives(evaluate, position, cell, (0.01, 0.005))
    added = 1e-3 * top * position.size
    whole = abs(exact).sum(axis=1).max()
    assert found.apart == pytest.approx(added / (whole + added), rel=0.05)
    assert found.apart > 0.02  # where each element differs by a thousandth
