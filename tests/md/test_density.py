from __future__ import annotations

import numpy as np
import pytest

from xbp.md.density import Slab, _grouped, slabs
from xbp.md.wavevectors import allowed_wavevectors

HKL = allowed_wavevectors(
    np.array([[9.0, 0, 0], [2.0, 8.0, 0], [-1.5, 1.0, 12.0]]), 4.0, 0.5
).hkl
RNG = np.random.default_rng(3)
SCALED = RNG.uniform(-2, 3, (4, 3, 60))  # wrapped or not
WEIGHTS = RNG.standard_normal((4, 2, 60))
EXACT = np.stack(
    [w @ np.exp(2j * np.pi * (HKL @ s)).T for s, w in zip(SCALED, WEIGHTS, strict=True)]
)


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("single", 3e-3), ("double", 1e-7)]
)
def test_densities_are_the_sums(direct: bool, precision: str, tolerance: float) -> None:
    found = np.full(EXACT.shape, np.nan, dtype=complex)
    # Slabs that begin above h = 0, too.
    for index in np.array_split(np.arange(len(HKL)), 3):
        slab = Slab(index, HKL[index], direct, precision)
        found[:, :, index] = slab.densities(4, zip(SCALED, WEIGHTS, strict=True))
    assert np.abs(found - EXACT).max() < tolerance * np.sqrt(
        (WEIGHTS**2).sum(axis=-1).max()
    )


@pytest.mark.parametrize("n_frames", [1, 500])
def test_slabs_contain_every_vector_once_and_fit_in_memory(n_frames: int) -> None:
    found = slabs(HKL, 4000, 1, n_frames, "double", most=2**16)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([s.index for s in found])), np.arange(len(HKL))
    )
    for slab in found:
        assert (np.diff(slab.index) > 0).all()
        np.testing.assert_array_equal(slab.hkl, HKL[slab.index])
        planes = np.unique(slab.hkl[:, 0]).size
        assert planes == 1 or slab.index.size * n_frames <= 2 * 2**16


def test_the_cheaper_way_is_taken() -> None:
    assert slabs(HKL[:5], 100, 1, 10, "double")[0].direct
    many = allowed_wavevectors(40.0 * np.eye(3), 6.0, 0.5).hkl
    assert not slabs(many, 4000, 1, 10, "double")[0].direct


def test_small_frames_are_summed_together_and_large_ones_in_parts() -> None:
    sizes = (2, 3, 7, 1)
    frames = [(np.random.default_rng(n).random((3, n)), np.ones((1, n))) for n in sizes]
    groups = list(_grouped(iter(frames), 5, 3))
    parts = [[(t, scaled.shape[1]) for t, scaled, _ in group] for group in groups]
    assert parts == [[(0, 2), (1, 3)], [(2, 3)], [(2, 3)], [(2, 1)], [(3, 1)]]
    for t, (scaled, _) in enumerate(frames):
        found = [one for group in groups for at, one, _ in group if at == t]
        np.testing.assert_array_equal(np.concatenate(found, axis=1), scaled)


@pytest.mark.slow
def test_large_boxes_are_not_spread_many_times() -> None:
    hkl = allowed_wavevectors(40.0 * np.eye(3), 8.5, 0.5).hkl
    planes = int(np.ptp(hkl[:, 0])) + 1
    assert planes > 48
    small, large = (
        slabs(hkl, n_atoms, 1, 10, "single") for n_atoms in (4000, 1_000_000)
    )
    assert len(small) == -(-planes // 16)
    assert len(large) == 1
    # What all densities take decides, then all slabs have about as many.
    several = slabs(hkl, 1_000_000, 1, 10, "single", most=len(hkl))
    sizes = [slab.index.size for slab in several]
    assert len(several) == 10
    assert max(sizes) < 1.5 * min(sizes)
