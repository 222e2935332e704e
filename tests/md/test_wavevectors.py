from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbp.errors import RangeError
from xbp.md.wavevectors import allowed_wavevectors

TRICLINIC = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.5, 1.0, 11.0]])


def brute_force(cell: np.ndarray, Q_max: float) -> np.ndarray:
    n = np.arange(-12, 13)
    hkl = np.stack(np.meshgrid(n, n, n, indexing="ij"), axis=-1).reshape(-1, 3)
    Q = np.linalg.norm(hkl @ (2 * np.pi * np.linalg.inv(cell).T), axis=1)
    return hkl[(Q > 0) & (Q_max >= Q)]


@pytest.mark.parametrize(
    "cell", [7.0 * np.eye(3), np.diag([5.0, 9.0, 12.0]), TRICLINIC]
)
def test_every_allowed_vector_is_there_once_up_to_inversion(cell: np.ndarray) -> None:
    shells = allowed_wavevectors(cell, 3.0, 0.3)
    both = {tuple(v) for v in np.concatenate([shells.hkl, -shells.hkl]).tolist()}
    assert len(both) == 2 * len(shells.hkl)
    assert both == {tuple(v) for v in brute_force(cell, 3.0).tolist()}


def test_shells_hold_what_their_limits_say() -> None:
    shells = allowed_wavevectors(TRICLINIC, 3.0, 0.3)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(TRICLINIC).T)
    magnitude = np.linalg.norm(Q, axis=1)
    assert (np.diff(shells.shell) >= 0).all()
    low, high = shells.edges[shells.shell].T
    assert ((low <= magnitude + 1e-12) & (magnitude < high)).all()
    for i in range(shells.Q.size):
        assert shells.Q[i] == pytest.approx(magnitude[shells.shell == i].mean())
        assert shells.n_wavevectors[i] == 2 * (shells.shell == i).sum()
    np.testing.assert_allclose(shells.direction * magnitude[:, None], Q, atol=1e-12)


@pytest.mark.slow
@given(st.integers(2, 40), st.integers(0, 5))
def test_a_limit_is_kept_and_drawn_from_what_there_is(limit: int, seed: int) -> None:
    whole = allowed_wavevectors(7.0 * np.eye(3), 4.0, 0.5)
    some = allowed_wavevectors(7.0 * np.eye(3), 4.0, 0.5, max_per_shell=limit, rng=seed)
    assert (some.n_wavevectors <= np.maximum(2, limit)).all()
    np.testing.assert_array_equal(
        some.n_wavevectors, np.minimum(whole.n_wavevectors, 2 * (limit // 2))
    )
    assert {tuple(v) for v in some.hkl} <= {tuple(v) for v in whole.hkl}


def test_a_draw_is_spread_over_the_directions() -> None:
    some = allowed_wavevectors(20.0 * np.eye(3), 4.0, 0.5, max_per_shell=400)
    tensor = np.einsum("ni,nj->ij", some.direction, some.direction) / len(some.hkl)
    np.testing.assert_allclose(tensor, np.eye(3) / 3, atol=0.03)


def test_a_rounding_on_an_edge_does_not_move_a_vector() -> None:
    exact = allowed_wavevectors(2 * np.pi * np.eye(3), 4.0, 1.0)
    nudged = allowed_wavevectors(2 * np.pi * (1 + 1e-13) * np.eye(3), 4.0, 1.0)
    np.testing.assert_array_equal(exact.n_wavevectors, nudged.n_wavevectors)


def test_nothing_allowed_is_said() -> None:
    with pytest.raises(RangeError, match=r"Q_max=0\.5 .*smallest wave vector.*0\.8976"):
        allowed_wavevectors(7.0 * np.eye(3), 0.5, 0.1)
