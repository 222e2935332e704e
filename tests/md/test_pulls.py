"""Errors of a trajectory's averages: (found − exact)/std over 300 trajectories of a gas."""

from __future__ import annotations

import functools
from collections.abc import Callable

import dask
import numpy as np
import pytest
import scipy.signal
import xarray as xr

import xbp
from xbp.core import constants

DRAWS, N, N_FRAMES = 300, 10, 320
SIDE, T, MASS, STEP, TAU = 4.0, 300.0, 40.0, 0.1, 0.2
#: Frames of a window, 2 ps; density waves relax much faster here.
LENGTH = 20
V2 = constants.BOLTZMANN * T / MASS
#: Velocities are those about the centre of mass.
REST = 1 - 1 / N
LAG = STEP * np.arange(LENGTH)
MEV = constants.PLANCK

pytestmark = pytest.mark.slow


def brownian_gas(seed: int, side: float = SIDE) -> xr.Dataset:
    """Draw free atoms that Langevin's friction 1/τ and noise keep at T, exact at any step.

    References
    ----------
    S. Chandrasekhar, Rev. Mod. Phys. 15, 1 (1943), doi:10.1103/RevModPhys.15.1.
    """
    rng = np.random.default_rng([18, seed])
    decay = np.exp(-STEP / TAU)
    joint = TAU * (1 - decay) ** 2
    kick = V2 * np.array(
        [
            [1 - decay**2, joint],
            [joint, TAU**2 * (2 * STEP / TAU - 3 + 4 * decay - decay**2)],
        ]
    )
    root = np.linalg.cholesky(kick)
    noise = rng.standard_normal((2, N_FRAMES, N, 3))
    pushed = root[0, 0] * noise[0]
    pushed[0] = np.sqrt(V2) * noise[0, 0]
    velocity = scipy.signal.lfilter([1.0], [1.0, -decay], pushed, axis=0)
    step = TAU * (1 - decay) * velocity[:-1] + np.einsum(
        "i,i...->...", root[1], noise[:, 1:]
    )
    position = side * rng.random((1, N, 3)).repeat(N_FRAMES, axis=0)
    position[1:] += np.cumsum(step, axis=0)
    return xbp.md.models.new_trajectory(
        position, time=STEP * np.arange(N_FRAMES), cell=side * np.eye(3),
        velocity=velocity, element=["Ar"] * N, mass=np.full(N, MASS),
    )  # fmt: skip


@pytest.fixture(scope="module")
def gases() -> list[xr.Dataset]:
    return [brownian_gas(seed) for seed in range(DRAWS)]


def squared(t: np.ndarray) -> np.ndarray:
    """Return the mean-square displacement per axis about the centre of mass, Å²."""
    x = abs(t) / TAU
    return REST * 2 * V2 * TAU**2 * (x - 1 + np.exp(-x))


def density(Q: float) -> np.ndarray:
    """Return F(Q,t), coherent and incoherent: different atoms are independent."""
    return np.exp(-(Q**2) * squared(LAG) / 2)


def along(Q: float) -> np.ndarray:
    """Return ⟨v_L(t) v_L(0) e^{iQx}⟩ of Gaussian v and x."""
    v_x = REST * V2 * TAU * (1 - np.exp(-LAG / TAU))
    return density(Q) * (REST * V2 * np.exp(-LAG / TAU) - (Q * v_x) ** 2)


def across(Q: float) -> np.ndarray:
    """Return the same of velocities normal to Q, which do not know x."""
    return density(Q) * REST * V2 * np.exp(-LAG / TAU)


def spectrum(correlation: np.ndarray, taper: np.ndarray) -> np.ndarray:
    """Return (1/2πħ) ∫ C(t) W(t) cos(Et/ħ) dt at E = k h/window."""
    shape = np.correlate(taper, taper, "full")[LENGTH - 1 :] / (taper**2).sum()
    E = MEV / (LENGTH * STEP) * np.arange(LENGTH // 2 + 1)
    waves = np.cos(2 * np.pi / MEV * np.outer(E, LAG)) * (2 * STEP / MEV)
    waves[:, 0] /= 2
    return np.asarray(waves @ (correlation * shape))


def of_shells(
    function: Callable[[float], np.ndarray], side: float = SIDE
) -> np.ndarray:
    """Return what two shells have, each of allowed wave vectors of one length."""
    return np.stack([function(2 * np.pi / side * np.sqrt(n)) for n in (1, 2)])


HANN, BOXCAR = np.hanning(LENGTH + 1)[:LENGTH], np.ones(LENGTH)
SHELLS = {"Q_max": 2.5, "dQ": 0.5, "weights": "unit", "window": "2 ps"}


def vdos_of_steps() -> np.ndarray:
    """Return g(E) of velocities that are steps over the time between frames."""
    twice = squared(LAG + STEP) + squared(LAG - STEP) - 2 * squared(LAG)
    E = MEV / (LENGTH * STEP) * np.arange(LENGTH // 2 + 1)
    g = spectrum(twice / 2, HANN) / np.sinc(E * STEP / MEV) ** 2
    width = np.full(E.size, E[1])
    width[[0, -1]] /= 2
    return np.asarray(g / (g @ width))


CASES: dict[str, tuple[Callable[[xr.Dataset], xr.DataArray | xr.Dataset], dict[str, object]]] = {
    "msd": (
        lambda gas: gas.bp.msd(window="2 ps").isel(time=slice(1, None)),
        {"msd": 3 * squared(LAG[1:11]), "u2": squared(LAG[5:11]).mean() / 2},
    ),
    "vdos": (
        lambda gas: gas.bp.vdos(window="2 ps", folding=None),
        {"g": 2 * spectrum(np.exp(-LAG / TAU), HANN)},
    ),
    "vdos of adjacent segments": (
        lambda gas: gas.bp.vdos(window="2 ps", folding=None, taper="boxcar"),
        {"g": 2 * spectrum(np.exp(-LAG / TAU), BOXCAR)},
    ),
    "vdos of positions": (
        lambda gas: gas.drop_vars("velocity").bp.vdos(window="2 ps", folding=None),
        {"g": vdos_of_steps()},
    ),
    "S(Q,E)": (
        lambda gas: gas.bp.dynamic_structure_factor(**SHELLS, folding=None),
        {"S": of_shells(lambda Q: spectrum(density(Q), HANN)), "Sq": 1.0},
    ),
    "incoherent S(Q,E)": (
        lambda gas: gas.bp.dynamic_structure_factor(
            **SHELLS, folding=None, part="incoherent"
        ).drop_vars(["Sq", "Sq_std"]),
        {"S": of_shells(lambda Q: spectrum(density(Q), HANN))},
    ),
    "F(Q,t)": (
        lambda gas: gas.bp.intermediate_scattering_function(**SHELLS),
        {"F": of_shells(density)[:, :11]},
    ),
    "currents": (
        lambda gas: gas.bp.current_spectra(**SHELLS, folding=None),
        {
            "C_L": of_shells(lambda Q: spectrum(along(Q), HANN)),
            "C_T": of_shells(lambda Q: spectrum(across(Q), HANN)),
        },
    ),
    # Frames that are independent of one another.
    "S(Q)": (
        lambda gas: gas.isel(time=slice(None, None, 8)).bp.structure_factor(
            3, 1, weights="unit"
        ),
        {"Sq": 1.0},
    ),
    "g(r)": (
        lambda gas: gas.isel(time=slice(None, None, 8)).bp.radial_distribution(2, 0.5),
        {"rdf": 1.0},
    ),
}  # fmt: skip
#: Of two shells of Q, whose bins are so many that fewer draws show the same.
OF_SHELLS = ("S(Q,E)", "incoherent S(Q,E)", "F(Q,t)", "currents")


@pytest.fixture(scope="module")
def found(gases: list[xr.Dataset]) -> Callable[[str], list[xr.Dataset]]:
    """Return what a case finds of each gas."""

    @functools.cache
    def of(case: str) -> list[xr.Dataset]:
        some = gases[: DRAWS // 3] if case in OF_SHELLS else gases
        with dask.config.set(scheduler="synchronous"):
            return [CASES[case][0](gas) for gas in some]

    return of


@pytest.mark.parametrize("case", CASES)
def test_errors_are_those_of_independent_trajectories(
    case: str, found: Callable[[str], list[xr.Dataset]]
) -> None:
    """Mean 0 and width 1 over all bins, and no bin far from that.

    Windows as if independent are 1.35–1.5 wide in the mean over bins.
    """
    for name, truth in CASES[case][1].items():
        mean, width = moments_of_pulls(found(case), name, truth)
        assert abs(mean.mean()) < 0.2, name
        assert 0.75 < width.mean() < 1.2, name
        # One bin of n draws scatters by 1/√n, and its width by 1/√2n.
        n = len(found(case))
        assert abs(mean).max() < 5 / np.sqrt(n), name
        # Too wide is the error of bins whose windows share less than is assumed.
        assert (width > 0.6).all(), name
        assert (width < 1 + 4.6 / np.sqrt(2 * n)).all(), name


def moments_of_pulls(
    found: list[xr.Dataset], name: str, truth: object
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and width of the pulls of every bin."""
    pulls = np.stack(
        [((one[name] - truth) / one[f"{name}_std"]).values for one in found]
    ).reshape(len(found), -1)
    return pulls.mean(axis=0), pulls.std(axis=0)


def test_errors_of_four_segments(gases: list[xr.Dataset]) -> None:
    """Student's t of three degrees of freedom is 1.73 wide."""
    with dask.config.set(scheduler="synchronous"):
        found = [
            gas.isel(time=slice(50)).bp.vdos(window="2 ps", folding=None)
            for gas in gases
        ]
    truth = 2 * spectrum(np.exp(-LAG / TAU), HANN)
    _, width = moments_of_pulls(found, "g", truth)
    assert found[0].attrs["segments"] == 4
    assert width.mean() == pytest.approx(1, abs=0.15)


def test_a_density_that_relaxes_as_slowly_as_a_window() -> None:
    """D Q² times the window is 1; segments as if independent are 1.35–1.5 wide."""
    side = 10.0
    with dask.config.set(scheduler="synchronous"):
        found = [
            brownian_gas(seed, side).bp.dynamic_structure_factor(
                0.95, 0.2, weights="unit", window="2 ps", folding=None
            )
            for seed in range(DRAWS // 3)
        ]
    truth = of_shells(lambda Q: spectrum(density(Q), HANN), side)
    mean, width = moments_of_pulls(found, "S", truth)
    assert abs(mean.mean()) < 0.15
    assert width.mean() == pytest.approx(1, abs=0.15)


def test_temperature_of_velocities(
    found: Callable[[str], list[xr.Dataset]],
) -> None:
    measured = [one.temperature for one in found("msd")]
    pulls = [(float(kelvin) - T) / kelvin.attrs["std"] for kelvin in measured]
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1, abs=0.15)
