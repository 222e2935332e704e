"""u² from the Q dependence of spectra: its pulls, and what S(Q) does to it."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.reduction.q_dependence import UNKNOWN, FromQ, displacement_of_Q

Q, E = np.linspace(1.0, 7.0, 24)[:, np.newaxis], np.arange(1.0, 21)
U2, EVEN = 0.012, np.ones((24, 20))
G = E * np.exp(-E / 8)


def one_phonon(u2: float) -> np.ndarray:
    return np.asarray(G * Q**2 * np.exp(-u2 * Q**2))


ONE = one_phonon(U2)


def of(S: np.ndarray, std: np.ndarray, weight: np.ndarray = EVEN) -> FromQ:
    return displacement_of_Q(S - ONE, std, ONE, -U2 * Q**2 * ONE, weight, Q * EVEN)


@pytest.mark.parametrize("factor", [0.97, 1.0, 1.03])
def test_pulls(factor: float) -> None:
    std, rng = 0.05 * ONE + 0.2, np.random.default_rng(18)
    found = [
        of(one_phonon(factor * U2) + std * rng.standard_normal(std.shape), std)
        for _ in range(300)
    ]
    pulls = np.array([(one.shift - np.log(factor)) / one.std for one in found])
    assert abs(pulls.mean()) < 0.15
    # The error is the larger of two, each with its own scatter.
    assert 0.75 < pulls.std() < 1.0
    if factor == 1:
        assert np.count_nonzero([one.beyond_chance for one in found]) < 15


def test_the_scale_of_S_or_of_a_spectrum_does_not_matter() -> None:
    S, std = one_phonon(1.1 * U2) * (1 + 0.3 * np.sin(E)), 0.4 * ONE
    found = of(S, std)
    assert found.shift == pytest.approx(np.log(1.1), abs=0.005)
    assert found.beyond_chance == 0.0
    exact = of(S, std / 1000)
    z = exact.shift / exact.std
    assert exact.beyond_chance == pytest.approx(exact.shift * np.sqrt(1 - z**-2))
    unknown = of(S, np.nan * std)
    assert unknown.shift == pytest.approx(np.log(1.1), abs=0.005)
    twice = np.where(np.arange(24)[:, np.newaxis] < 12, 1.0, 0.0) * EVEN
    assert of(S, std, 7 * twice).shift == pytest.approx(of(S, std, twice).shift)


def test_peaks_of_S_of_Q_are_no_evidence() -> None:
    """They are common to all energies: 480 bins are not 480 measurements of them."""
    peaks = 1 + 0.5 * np.cos(2.5 * Q)
    found = of(ONE * peaks, 1e-3 * ONE)
    assert abs(found.shift) > 0.01
    assert abs(found.shift) < 2 * found.std
    assert found.beyond_chance == 0.0


def test_spectra_whose_Q_tells_nothing() -> None:
    assert of(ONE[:1], ONE[:1], EVEN[:1] * (np.arange(24) < 1)[:, None])[2] == 0
    assert UNKNOWN.beyond_chance == 0.0
    nothing = displacement_of_Q(ONE, ONE, ONE, 0 * ONE, EVEN, Q * EVEN)
    assert np.isnan(nothing.shift)
    assert nothing.beyond_chance == 0.0


def test_without_errors_each_energy_counts_by_how_it_depends_on_Q() -> None:
    """Not by how strong it is: peaks of g, and its unit, do not decide of u²."""
    left = one_phonon(1.1 * U2) - ONE
    left[:, 10:] += 0.1 * ONE[:, 10:] * np.cos(2 * Q)
    high = 1.0 + 1000 * (np.arange(20) == 12)
    parts = left, np.nan * ONE, ONE, -U2 * Q**2 * ONE
    one, other = (
        displacement_of_Q(*(part * by for part in parts), EVEN, Q * EVEN)
        for by in (1.0, high)
    )
    assert other.shift == pytest.approx(one.shift, rel=1e-9)
    assert other.std == pytest.approx(one.std, rel=1e-9)
