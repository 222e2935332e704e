"""Pulls of factors, differences, the kink of a quench and the mean of a study."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.md.lammps import glass_transition
from xbp.study import compare, new_study, stated_energy

N = 300
pytestmark = pytest.mark.slow


def assert_pulls(pulls: np.ndarray, name: str, *, least: float = 0.85) -> None:
    assert np.isfinite(pulls).all(), name
    assert abs(np.mean(pulls)) < 0.15, name
    assert least < np.std(pulls) < 1.15, name


def spectra(
    S: np.ndarray, Q: np.ndarray, E: np.ndarray, std: float, rng: int
) -> xr.Dataset:
    """Draws of S(Q,E), or without an error S itself."""
    coords = {"Q": (Q, "1/angstrom"), "E": (E, "meV")}
    call = {"units": "1/meV", "statistics": "quantum"}
    if not std:
        return xbp.new_dataset("dynamic_structure_factor", S, coords=coords, **call)
    noise = std * np.random.default_rng(rng).standard_normal((N, *S.shape))
    return xbp.new_dataset(
        "dynamic_structure_factor", S + noise, std=np.full(noise.shape, std),
        coords={"run": (np.arange(N), "1"), **coords}, **call,
    )  # fmt: skip


def test_normalization_by_vanadium() -> None:
    """Of which the whole line is known to 9 %."""
    Q, E = np.linspace(1, 8, 20), np.linspace(-4, 4, 41)
    u2 = "0.0067 angstrom^2"
    line = xbp.models.elastic_line(Q, E, u2=u2, resolution="1 meV")
    draws = spectra(line.S.values, Q, E, 0.3 * float(line.S.max()), 7)
    call = {"amount": "0.1 mol", "vanadium_amount": "0.1 mol", "E_range": (-4, 4)}
    at = {"Q": 0, "E": 20}
    true = float(line.bp.normalize_to_vanadium(line, u2=u2, **call).S.isel(at))
    pulls = []
    for i in range(N):
        vanadium = draws.isel(run=i, drop=True)
        S = line.bp.normalize_to_vanadium(vanadium, u2=u2, **call).S
        found = float(S.isel(at))
        pulls.append((found - true) / found / S.attrs["normalization_std"])
    assert_pulls(np.array(pulls), "factor")


def test_subtraction_of_the_elastic_line() -> None:
    """Also of means over E, and over Q, whose bins share errors."""
    Q, E = np.arange(1, 8, 0.5), np.arange(-20, 20.1, 0.5)
    line = xbp.models.elastic_line(Q, E, u2="0.01 angstrom^2", resolution="2 meV")
    one = line.S.values
    std = 0.01 * one.max()
    waves = 2 * std * np.exp(-(((abs(E) - 6) / 3) ** 2)) * (Q[:, None] / 8) ** 2
    both = [
        spectra(one + waves, Q, E, error, 1).bp.subtract_elastic(
            spectra(one, Q, E, 3 * error, 2), E_range=(-1, 1)
        )
        for error in (std, 0.0)
    ]
    for cut in (None, "cut_E", "cut_Q"):
        found, true = (
            one if cut is None else getattr(one.bp, cut)((2, 7)) for one in both
        )
        pulls = ((found.S - true.S) / found.S_std).transpose("run", ...)
        pulls = pulls.values.reshape(N, -1)
        pulls = pulls[:, np.isfinite(pulls).all(axis=0)]
        assert pulls.shape[1] > 10
        assert_pulls(pulls, str(cut))
        # Of each bin, as far as 300 draws tell.
        assert np.std(pulls, axis=0).max() < 1.25


@pytest.mark.parametrize("noise", [1e-4, 5e-3])
def test_glass_transition(noise: float) -> None:
    """One of the bins of temperature has the kink in it: its mean is on no line.

    A fit of the lines to the means was 1.2 K too high, 3 errors at the lower noise.
    """
    rng, T = np.random.default_rng(1), np.linspace(2000, 300, 500)
    density = 7 - 1e-4 * np.minimum(T - 750, 0) - 4e-4 * np.maximum(T - 750, 0)
    pulls = []
    for _ in range(N):
        y = density + noise * rng.standard_normal(T.size)
        thermo = xr.Dataset(
            {"temperature": ("time", T, {"units": "K"}),
             "density": ("time", y, {"units": "g/cm**3"})},
            coords={"stage": ("time", ["quench"] * T.size)},
            attrs={"quantity": "thermodynamics"},
        )  # fmt: skip
        found = glass_transition(thermo)
        pulls.append(float((found.Tg - 750) / found.Tg_std))
    assert_pulls(np.array(pulls), "Tg")


def test_mean_and_discrepancy_of_a_study() -> None:
    """Of equal energies, whose χ² may widen the error of the mean, and different ones."""
    rng = np.random.default_rng(3)
    std = np.array([0.05, 0.1, 0.1])

    def table(energies: np.ndarray) -> xr.Dataset:
        drawn = energies + std * rng.standard_normal(3)
        leaves = {
            name: stated_energy(f"{x:.9g} meV", std=f"{s} meV", reference="a draw")
            for name, x, s in zip("abc", drawn, std, strict=True)
        }
        return compare(new_study(leaves))

    equal = [table(np.full(3, 6.0)) for _ in range(N)]
    apart = [table(np.array([5.5, 6.0, 6.6])) for _ in range(N)]
    pulls = [float((one.mean_energy - 6) / one.mean_energy_std) for one in equal]
    assert_pulls(np.array(pulls), "mean", least=0.7)
    pulls = [
        float((one.discrepancy - 1.1 / 6.6) / one.discrepancy_std) for one in apart
    ]
    assert_pulls(np.array(pulls), "discrepancy")
    p = np.array([float(one.p_value) for one in equal])
    assert np.histogram(p, 5, (0, 1))[0] == pytest.approx(60, abs=25)
