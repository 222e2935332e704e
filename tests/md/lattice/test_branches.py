"""g(E) split into longitudinal and transverse waves, and modes counted as quasilocalised."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from tests.md.lattice.crystals import A, fcc, second_derivatives
from tests.md.lattice.test_elastic import at_rest
from tests.md.lattice.test_spectra import rest, springs
from xbp.core import constants
from xbp.errors import QuantityError, RangeError
from xbp.md import lattice
from xbp.md.lattice.modes import bloch_modes as modes_at
from xbp.md.lattice.modes import springs_of

Q_D = (6 * np.pi**2 * 4 / A**3) ** (1 / 3)


@pytest.fixture(scope="module")
def alloy() -> xr.Dataset:
    """Return a crystal of springs with two elements of different masses at random."""
    heavy = np.random.default_rng(3).random(108) < 0.5
    one = rest(np.where(heavy, 91.2, 27.0))
    return springs(one.assign_coords(element=("atom", np.where(heavy, "Zr", "Al"))))


@pytest.fixture(scope="module")
def modes(alloy: xr.Dataset) -> xr.Dataset:
    return alloy.bp.bloch_modes(
        n_wavevectors=2, Q_max=1.6, dQ=0.4, dE="1 meV", precision="double",
        max_wavevectors_per_shell=5,
    )  # fmt: skip


@pytest.mark.slow
def test_the_two_parts_add_up(modes: xr.Dataset) -> None:
    g = modes.bp.bloch_vdos("2 meV").g
    both = modes.bp.bloch_branches("2 meV")
    np.testing.assert_allclose(both.g.sum("branch"), g, rtol=1e-12)
    currents = modes.bp.bloch_branches("2 meV", source="currents").g
    assert float(currents.sum() * 2) == pytest.approx(1, rel=1e-6)
    # One direction along Q and two across, of every plane wave.
    np.testing.assert_allclose(currents.sum("E") * 2, [1 / 3, 2 / 3], rtol=1e-6)
    assert (both.g_std > 0).all()
    few = lattice.jackknife(modes, lambda m: m.bp.bloch_branches("2 meV"))
    assert (few.g_std <= both.g_std * (1 + 1e-9)).all()


@pytest.mark.slow
def test_currents_are_those_of_the_eigenvectors_one_by_one(alloy: xr.Dataset) -> None:
    """Explicit sums over all Q below q_D, for one k."""
    k = np.array([0.21, -0.4, 0.13])
    modes = alloy.bp.bloch_modes(
        k=[k], Q_max=Q_D, dQ=Q_D / 4, dE="1.5 meV", precision="double",
        max_wavevectors_per_shell=None,
    )  # fmt: skip
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell)
    mass = alloy.mass.values
    own, _ = springs_of(matrix, position, cell, mass)
    at = k @ (2 * np.pi * np.linalg.inv(cell).T)
    energy, vectors = modes_at(own, at)
    parts = np.zeros((2, int(energy.max() / 3) + 1))
    bins, number = (energy / 3).astype(int), 0
    for n in np.ndindex(13, 13, 13):
        G = (np.array(n) - 6) * 2 * np.pi / cell[0, 0]
        Q = at + G
        if np.linalg.norm(Q) >= Q_D:
            continue
        number += 1
        wave = np.exp(-1j * position @ G)
        F = np.einsum("j,jas->as", wave, vectors.reshape(108, 3, -1))
        along = abs(Q @ F / np.linalg.norm(Q)) ** 2
        parts[0] += np.bincount(bins, along, parts.shape[1])
        parts[1] += np.bincount(bins, (abs(F) ** 2).sum(axis=0) - along, parts.shape[1])
    found = modes.bp.bloch_branches("3 meV", source="currents").g
    expected = parts / (number * 108 * 3 * 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-9)
    divided = modes.bp.bloch_branches("3 meV").g
    g = np.bincount(bins) / (324 * 3)
    total = np.where(g > 0, expected.sum(axis=0), 1.0)
    np.testing.assert_allclose(divided, expected / total * g, rtol=1e-5, atol=1e-9)


def test_long_waves_divide_as_debyes() -> None:
    """Modes of one small k: one of three is longitudinal, whatever their energies."""
    modes = springs(rest()).bp.bloch_modes(
        k=[[0.05, 0, 0]], Q_max=1.6, dQ=0.4, dE="0.05 meV", precision="double", E_max=3
    )
    found = modes.bp.bloch_branches("0.05 meV").g
    lowest = modes.mode_energy.values[0, :3]
    counts = (found * 0.05 * 324).sel(E=slice(0, 3)).cumsum("E")
    # Two slow transverse waves, then a longitudinal one, √2 times faster along (100).
    assert lowest[2] / lowest[:2].mean() == pytest.approx(2**0.5, rel=2e-2)
    at = counts.sel(E=lowest[1] + 0.05, method="nearest")
    np.testing.assert_allclose(at, [0, 2], atol=1e-6)
    at = counts.sel(E=lowest[2] + 0.05, method="nearest")
    np.testing.assert_allclose(at, [1, 2], atol=1e-6)


@pytest.mark.slow
def test_bad_input(modes: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="multiple"):
        modes.bp.bloch_branches("0.7 meV")
    with pytest.raises(QuantityError, match="source"):
        modes.bp.bloch_branches(source="waves")
    few = springs(rest()).bp.bloch_modes(n_wavevectors=1, Q_max=1, dQ=0.5, E_max=9)
    with pytest.raises(RangeError, match="Debye wave number") as short:
        few.bp.bloch_branches("1 meV")
    (Q_max,) = re.findall(r"Q_max=([\d.]+)", short.value.fix)
    enough = {"n_wavevectors": 1, "Q_max": float(Q_max), "dQ": 0.5, "E_max": 9}
    assert springs(rest()).bp.bloch_modes(**enough).bp.bloch_branches("1 meV")
    mixed = springs(rest(np.where(np.arange(108) < 50, 20.0, 40.0)))
    with pytest.raises(QuantityError, match="different masses"):
        mixed.bp.bloch_modes(
            n_wavevectors=1, Q_max=2, dQ=0.5, E_max=9
        ).bp.bloch_branches("1 meV")


def test_one_loose_atom_is_three_quasilocalised_modes() -> None:
    """An atom on springs 1/100 as stiff vibrates alone, at its own energy."""
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell).toarray().reshape(108, 3, 108, 3)
    loose = np.ones(108)
    loose[40] = 0.01
    scaled = matrix * loose[:, None, None, None] * loose[:, None]
    every = np.arange(108)
    scaled[every, :, every, :] = 0
    scaled[every, :, every, :] = -scaled.sum(axis=2)
    phi = lattice.new_force_constants(scaled.reshape(324, 324), at_rest(position, cell))
    modes = phi.bp.bloch_modes(k=[[0.2, 0.1, 0.3]], Q_max=1, dQ=0.5)
    own = constants.HBAR_ROOT_EV_PER_U * np.sqrt(0.01 * 12 / 3 * 3.0 / 60)
    found = modes.bp.bloch_vdos("0.5 meV", localized_below=0.1)
    low = found.quasilocalized.sel(E=slice(0, 2 * own))
    assert float(low.sum()) == 3
    assert abs(float(low.E[int(np.argmax(low.values))]) - own) < 0.5
    ratio = modes.participation_ratio.values[0]
    assert float(found.quasilocalized.sum()) == (ratio < 0.1).sum()
    assert (found.quasilocalized_std >= 1).all()
    assert float(modes.bp.bloch_vdos(localized_below=0).quasilocalized.sum()) == 0


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("bloch_branches", {"dE": 1e9}),
        ("bloch_branches", {"dE": 1e300}),
        ("bloch_vdos", {"dE": 1e-9}),
        ("bloch_vdos", {"dE": 1e-300}),
        ("bloch_vdos", {"dE": "1 keV"}),
    ],
)
def test_bins_that_no_memory_holds_are_refused(
    modes: xr.Dataset, method: str, given: dict
) -> None:
    with pytest.raises(RangeError, match="dE="):
        getattr(modes.bp, method)(**given)


@pytest.mark.parametrize(
    ("method", "given", "named"),
    [
        ("kernel_polynomial_vdos", {"n_vectors": 10**13}, "n_vectors"),
        ("kernel_polynomial_vdos", {"resolution": 1e9}, "resolution"),
        ("kernel_polynomial_vdos", {"resolution": 1e-9}, "resolution"),
        ("kernel_polynomial_vdos", {"dE": 1e-300}, "dE"),
        ("bloch_modes", {"Q_max": 1.0, "dQ": 1e9}, "dQ"),
        ("bloch_modes", {"Q_max": 1e-15}, "dQ"),
        ("bloch_modes", {"n_wavevectors": 10**15}, "n_wavevectors|memory"),
        ("vibration_map", {"T": "300 K", "cutoff": 1e-9}, "1e-09"),
    ],
)
def test_sizes_of_lattice_runs_are_refused(
    alloy: xr.Dataset, method: str, given: dict, named: str
) -> None:
    with pytest.raises(RangeError, match=named):
        getattr(alloy.bp, method)(**given)
