"""Errors of peaks over Q: one shape, which noise hides, is that of all spectra."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian, lognormal

E = np.arange(0.25, 25, 0.5)
Q = np.linspace(2.2, 8, 12)
N = 300
COLUMNS = ("energy", "height", "width")

#: Peaks of height 1 with their energies and widths.
SHAPES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, float]] = {
    "lognormal": (lambda E: lognormal(E, 5.5, 1, 0.6), 5.5, 11 * np.sinh(0.3 * FWHM_PER_SIGMA)),
    "gaussian": (lambda E: gaussian(E, 7.0, 1, 2.5), 7.0, 2.5 * FWHM_PER_SIGMA),
    "lorentz": (lambda E: 1 / (1 + ((E - 7) / 3) ** 2), 7.0, 6.0),
    "oscillator": (lambda E: 9 * E**2 / ((E**2 - 25) ** 2 + 9 * E**2), 5.0, 3.0),
    "gamma": (lambda E: (E / 6) ** 3 * np.exp(3 - E / 2), 6.0, 8.4838),
    "rayleigh": (lambda E: E / 6 * np.exp((1 - (E / 6) ** 2) / 2), 6.0, 9.8007),
}  # fmt: skip


def maps(
    curve: Callable[[np.ndarray], np.ndarray], noise: float, seed: int = 3
) -> xr.Dataset:
    """Return `N` draws of B(Q,E) with one shape."""
    rng = np.random.default_rng(seed)
    B = curve(E) + noise * rng.standard_normal((N, Q.size, E.size))
    return xbp.new_dataset(
        "reduced_dos", B, units="1", std=np.full(B.shape, noise),
        coords={"run": (np.arange(N), "1"), "Q": (Q, "1/angstrom"), "E": (E, "meV")},
    )  # fmt: skip


def common_of(table: xr.Dataset, name: str) -> xr.DataArray:
    return table[f"{name}_std_common"].where(table.status == "ok")


def own_std(table: xr.Dataset, name: str) -> xr.DataArray:
    common = (common_of(table, name) ** 2).sum("source")
    return (table[f"{name}_std"].where(table.status == "ok") ** 2 - common) ** 0.5


def rms(pulls: xr.DataArray) -> float:
    return float((pulls**2).mean()) ** 0.5


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("name", SHAPES)
def test_pulls_of_maps(name: str, noise: float) -> None:
    """The mean energy of 12 Q was up to 5.1 of its errors off."""
    curve, energy, width = SHAPES[name]
    peaks = maps(curve, noise).bp.boson_peak()
    ok = peaks.status == "ok"
    assert float(ok.mean()) > 0.9
    for column, true in zip(COLUMNS, (energy, 1.0, width), strict=True):
        # As of single spectra: to first order the shape moves heights too little.
        most = 1.35 if column == "height" else 1.25
        assert 0.1 < rms((peaks[column] - true) / peaks[f"{column}_std"]) < most
        own = own_std(peaks, column)
        weight = (1 / own**2).fillna(0.0)
        mean, common = (
            (a * weight).sum("Q") / weight.sum("Q")
            for a in (peaks[column].fillna(0.0), common_of(peaks, column).fillna(0.0))
        )
        of_mean = (1 / weight.sum("Q") + (common**2).sum("source")) ** 0.5
        pulls = (mean - true) / of_mean
        assert rms(pulls) < (1.2 if column == "energy" else most), column
        if name == "lognormal":  # what each has of its own scatters as it says
            chi2 = (weight * (peaks[column] - mean) ** 2).sum("Q") / (ok.sum("Q") - 1)
            assert float(chi2.mean()) == pytest.approx(1, abs=0.06)
    flat = peaks.bp.dispersion()
    assert rms((flat.mean_energy - energy) / flat.mean_energy_std) < 1.2
    assert 0.1 < rms(flat.slope / flat.slope_std) < 1.15
    # Ranges that are found move the energy of another shape: of Rayleigh's by so much
    # that a test without what all have in common failed in 83 of 100 maps at 3 %.
    assert float((flat.p_value < 0.05).mean()) < 0.1


@pytest.mark.parametrize("noise", [0.01, 0.1])
@pytest.mark.parametrize("known", [True, False], ids=["errors", "none"])
def test_a_map_of_one_spectrum_is_as_that(noise: float, known: bool) -> None:
    data = maps(SHAPES["gamma"][0], noise).isel(run=slice(3))
    one = data if known else data.drop_vars("B_std")
    alone, among = one.isel(Q=4).bp.boson_peak(), one.isel(Q=[4]).bp.boson_peak()
    for column in COLUMNS:
        std = f"{column}_std"
        np.testing.assert_allclose(among[std][:, 0], alone[std], rtol=1e-9)


def test_spectra_of_different_points_and_chunks() -> None:
    """Each tells of the shape what its points do."""
    data = maps(SHAPES["gaussian"][0], 0.05).isel(run=slice(4)).copy(deep=True)
    data.B[:, 2, ::3] = np.nan
    data.B[:, 5, 20:] = np.nan
    data.B[:, 7] = np.nan
    data.B_std[:, 3] *= 3
    data.B[:, 3] += 0.1 * np.random.default_rng(0).standard_normal((4, E.size))
    whole = data.bp.boson_peak()
    assert (whole.status[:, 7] != "ok").all()
    assert np.isnan(whole.energy_std[:, 7]).all()
    parts = data.chunk(run=3, Q=5, E=11).bp.boson_peak().compute()
    few = data.isel(Q=[2, 5]).bp.boson_peak()
    every = data.isel(Q=[2, 5, 7]).bp.boson_peak()
    for column in COLUMNS:
        for name in (f"{column}_std", f"{column}_std_common"):
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-9, atol=1e-12)
        own = few[f"{column}_std"]
        np.testing.assert_allclose(every[f"{column}_std"][:, :2], own, rtol=1e-9)


def test_more_spectra_know_the_shape_better() -> None:
    data = maps(SHAPES["lognormal"][0], 0.03)
    errors = [
        float((common_of(few, "energy") ** 2).sum("source").mean() ** 0.5)
        for few in (data.isel(Q=slice(n)).bp.boson_peak() for n in (1, 4, 12))
    ]
    assert errors[0] > 1.3 * errors[1] > 1.3 * 1.3 * errors[2]


def test_spectra_of_the_same_modes_know_the_shape_as_one() -> None:
    """Counting errors of a simulated box are common to all Q."""
    data = maps(SHAPES["lognormal"][0], 0.001).isel(run=0, Q=[0] * 8)
    data = data.assign_coords(Q=("Q", Q[:8], {"units": "1/angstrom"}))
    data.B.attrs |= {"origin": "simulation", "n_atoms": 2000}
    data = data.assign_coords(box_phonon=((), 0.0, {"units": "meV"}))
    many, one = data.bp.boson_peak(), data.isel(Q=[0]).bp.boson_peak()
    assert (many.status == "ok").all()
    for column in COLUMNS:
        std = f"{column}_std"
        np.testing.assert_allclose(many[std], one[std].values[0], rtol=1e-6)


def test_energies_that_move_with_Q_are_seen_whatever_the_shape() -> None:
    """The slope is that of the energies, since one shape misses all by as much."""
    for curve, at in ((gaussian, 7.0), (lognormal, 5.5)):
        tops = at + 0.1 * (Q[:, None] - Q.mean())
        rng = np.random.default_rng(5)
        B = curve(E, tops, 1, 2.5 if curve is gaussian else 0.6)
        B = B + 0.02 * rng.standard_normal((50, *B.shape))
        flat = maps(SHAPES["gaussian"][0], 0.02).isel(run=slice(50))
        flat["B"] = flat.B.copy(data=B)
        found = flat.bp.boson_peak().bp.dispersion()
        assert rms((found.slope - 0.1) / found.slope_std) < 1.2
        assert float((found.p_value < 0.01).mean()) > 0.9
