"""Vibrations at any wave vector, against crystals whose modes are known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.md.lattice.crystals import (
    K,
    M,
    crystal,
    disordered,
    fcc,
    primitive,
    second_derivatives,
)
from xbp.core import constants
from xbp.errors import RangeError
from xbp.md.lattice.modes import (
    amplitudes,
    bloch_modes,
    draw_wavevector,
    participation_ratio,
    springs_of,
    wave_vectors,
)
from xbp.md.lattice.strain import field_amplitudes
from xbp.md.lattice.strengths import Bins, mode_strengths


@pytest.mark.slow
def test_a_supercell_has_the_modes_of_the_primitive_cell() -> None:
    springs = crystal()
    k = np.array([0.11, -0.23, 0.05])
    energy, _ = bloch_modes(springs, k, vectors=False)
    rng = np.random.default_rng(0)
    G, _, _ = wave_vectors(springs.cell, k, np.array([0.0, 8.0]), None, rng)
    folded = np.sort(np.concatenate([primitive(k + g)[0] for g in G]))
    # Every mode of the box is one of the primitive cell at some k + G.
    at = np.searchsorted(folded, energy)
    nearest = np.minimum(
        np.abs(energy - folded[np.clip(at, 0, folded.size - 1)]),
        np.abs(energy - folded[np.clip(at - 1, 0, folded.size - 1)]),
    )
    assert nearest.max() < 1e-8
    assert energy.size == 324
    wanted = 324 * constants.HBAR_ROOT_EV_PER_U**2 * 4 * K / M
    assert (energy**2).sum() == pytest.approx(wanted, rel=1e-10)


def test_scattering_is_that_of_three_modes() -> None:
    """At Q only the three modes with this wave vector scatter, with (Q·e)²."""
    springs = crystal()
    k = np.array([0.07, 0.19, -0.13])
    energy, vectors = bloch_modes(springs, k)
    edges = np.array([1.0, 3.0])
    G, _, _ = wave_vectors(springs.cell, k, edges, 40, np.random.default_rng(1))
    F = amplitudes(springs, vectors, G, np.ones((1, 108)))[0]
    for at, q in enumerate(k + G):
        power = np.abs(np.tensordot(q, F[:, at], axes=1)) ** 2 / 108
        own, e = primitive(q)
        weights = (q @ e) ** 2 / M
        for E in own:
            same = np.abs(energy - E) < 1e-7
            both = weights[np.abs(own - E) < 1e-7].sum()
            assert power[same].sum() == pytest.approx(both, abs=1e-10)
        assert power.sum() == pytest.approx(q @ q / M, rel=1e-10)


def test_f_sum_holds_in_every_shell_for_every_pair() -> None:
    springs = disordered()
    k = np.array([0.2, 0.1, -0.3])
    energy, vectors = bloch_modes(springs, k)
    groups = (np.arange(108) % 3 == np.arange(2)[:, None]).astype(float)
    bins = Bins(np.arange(0.5, 6.1, 0.5), np.arange(0, 80.0, 1), 5)
    rng = np.random.default_rng(2)
    found = mode_strengths(springs, k, energy, vectors, groups, bins, None, rng)
    own = (groups / springs.mass).sum(axis=1) / 108
    for name in ("strength", "transverse_strength"):
        total = found[name].sum(axis=-1)
        np.testing.assert_allclose(total[0], own[0], rtol=1e-10)
        np.testing.assert_allclose(total[1], 0, atol=1e-12)
        np.testing.assert_allclose(total[2], own[1], rtol=1e-10)


def test_strain_of_a_plane_wave_is_its_gradient() -> None:
    """In a crystal strain at Q = k is sym(Q ⊗ u), for small Q."""
    springs = crystal()
    k = np.array([0.02, 0.01, -0.015])
    energy, vectors = bloch_modes(springs, k)
    first, second = springs.first, springs.second
    bonded = first != second
    bond, first = springs.bond[bonded], first[bonded]
    moment = np.zeros((108, 3, 3))
    np.add.at(moment, first, bond[:, :, None] * bond[:, None])
    weight = np.einsum("nab,nb->na", np.linalg.inv(moment)[first], bond)
    bonds = (first, second[bonded], weight)
    strain = field_amplitudes(springs, vectors[:, :3], k, np.zeros((1, 3)), bonds)
    moved = amplitudes(springs, vectors[:, :3], np.zeros((1, 3)), np.ones((1, 108)))
    gradient = 1j * moved[0][:, None] * k[None, :, None, None]
    wanted = (gradient + np.swapaxes(gradient, 0, 1)) / 2
    np.testing.assert_allclose(strain, wanted, atol=2e-3 * np.abs(wanted).max())
    bins = Bins(np.array([0.0, 0.06]), np.array([0.0, energy[2] + 0.1]), None)
    rng = np.random.default_rng(0)
    found = mode_strengths(
        springs, k, energy, vectors, np.ones((1, 108)), bins, bonds, rng
    )
    assert found["count"] == [1]
    total = (np.abs(wanted) ** 2).sum() / 108
    trace = np.abs(np.trace(wanted)) ** 2
    volumetric, shear = found["field_strength"][:, 0, 0] * bins.E[1]
    assert volumetric == pytest.approx(trace.sum() / 9 / 108, rel=1e-2)
    assert shear == pytest.approx(total - trace.sum() / 3 / 108, rel=1e-2)


def test_participation_ratio_of_waves_and_of_single_atoms() -> None:
    springs = disordered()
    _, vectors = bloch_modes(springs, np.array([0.01, 0.0, 0.0]))
    ratio = participation_ratio(vectors)
    power = (np.abs(vectors[:, 50].reshape(-1, 3)) ** 2).sum(axis=1)
    assert ratio[50] == pytest.approx(1 / (108 * (power**2).sum()), rel=1e-10)
    assert ratio[0] > 0.5
    assert ratio.min() >= 1 / 108 - 1e-12
    assert ratio.max() <= 1


def test_modes_up_to_an_energy_are_the_first_of_all() -> None:
    springs = disordered()
    k = np.array([0.1, 0.0, 0.05])
    energy, vectors = bloch_modes(springs, k)
    few, some = bloch_modes(springs, k, E_max=15.0)
    assert 5 < few.size < 100
    np.testing.assert_allclose(few, energy[: few.size], rtol=1e-10)
    assert energy[few.size] > 15
    overlap = np.abs((some.conj() * vectors[:, : few.size]).sum(axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-6)


def test_single_precision_suffices_above_a_twentieth_of_the_band() -> None:
    springs, k = disordered(), np.array([0.05, 0.02, 0.01])
    double, single = (
        bloch_modes(springs, k, dtype=dtype)[0] for dtype in (complex, np.complex64)
    )
    slow = double > double[-1] / 20
    np.testing.assert_allclose(single[slow], double[slow], rtol=1e-3)


def test_the_sum_rule_is_imposed_and_its_violation_kept() -> None:
    position, cell = fcc(3)
    mass = np.full(108, M)
    matrix = second_derivatives(position, cell).tolil()
    matrix[0, 0] += 0.01 * K
    springs, violation = springs_of(matrix.tocsr(), position, cell, mass)
    assert 0.001 < violation < 0.01
    assert np.abs(bloch_modes(springs, np.zeros(3))[0][:3]).max() < 1e-5


def test_forces_that_reach_half_the_box_are_refused() -> None:
    position, cell = fcc(1)
    matrix = second_derivatives(position, cell)
    with pytest.raises(RangeError, match="reach"):
        springs_of(matrix, position, cell, np.full(4, M))


def test_wave_vectors_are_those_of_the_shells() -> None:
    cell = np.array([[12.0, 0, 0], [2, 11, 0], [1, -1, 10]])
    k = np.array([0.1, 0.0, -0.2])
    edges = np.arange(1.0, 3.01, 0.25)
    G, shell, count = wave_vectors(cell, k, edges, None, np.random.default_rng(0))
    whole = G @ cell.T / (2 * np.pi)
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-9)
    q = np.linalg.norm(k + G, axis=1)
    assert ((q >= edges[shell]) & (q < edges[shell + 1])).all()
    volume = 4 / 3 * np.pi * (3**3 - 1) * np.linalg.det(cell) / (2 * np.pi) ** 3
    assert len(G) == pytest.approx(volume, rel=0.05)
    np.testing.assert_array_equal(np.bincount(shell), count)
    few, few_shell, same = wave_vectors(cell, k, edges, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(same, count)
    assert (np.bincount(few_shell) == np.minimum(count, 4)).all()
    assert len(np.unique(few.round(9), axis=0)) == len(few)


@pytest.mark.slow
def test_wave_vectors_of_the_zone_fill_it_by_parts() -> None:
    cell = np.array([[12.0, 0, 0], [2, 11, 0], [1, -1, 10]])
    drawn = [draw_wavevector(cell, i, seed=4, inner=0.8) for i in range(4000)]
    k = np.array([one[0] for one in drawn])
    inside = np.array([one[1] for one in drawn]) == 1
    radius = 0.8 * np.pi / np.linalg.norm(cell, axis=1).max()
    length = np.linalg.norm(k, axis=1)
    assert length[inside].max() < radius
    assert length[~inside].min() >= radius
    assert inside.sum() == 1000
    # Together the parts are the zone: its second moment by weights.
    reduced = k @ cell.T / (2 * np.pi)
    assert np.abs(reduced).max() <= 0.5
    share = np.array([one[2] for one in drawn])
    assert share[inside][0] + share[~inside][0] == pytest.approx(1)
    weight = share / np.where(inside, inside.sum(), (~inside).sum())
    moment = (weight[:, None] * reduced**2).sum(axis=0)
    np.testing.assert_allclose(moment, 1 / 12, rtol=0.05)
    assert np.mean(length[inside] ** 3) == pytest.approx(radius**3 / 2, rel=0.05)
