from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import xbp
from xbp.errors import QuantityError
from xbp.models.lineshapes import lognormal

Q, E = np.linspace(2, 8, 30), np.arange(0.25, 20, 0.5)


def peaks(energies: np.ndarray, seed: int = 0, std: float = 0.01) -> xr.Dataset:
    values = np.stack([lognormal(E, e, 1.0, 0.6) for e in energies])
    values = values + std * np.random.default_rng(seed).standard_normal(values.shape)
    return xbp.new_dataset(
        "reduced_dos", values, units="1", std=np.full(values.shape, std),
        coords={"Q": (Q[: len(energies)], "1/angstrom"), "E": (E, "meV")},
    ).bp.boson_peak(E_range=(1, 15))  # fmt: skip


def test_numbers_are_those_of_the_textbook() -> None:
    table = peaks(np.full(30, 5.5))
    result = table.bp.dispersion()
    common = table.energy_std_common.transpose("source", "Q").values
    w = 1 / (table.energy_std.values**2 - (common**2).sum(axis=0))
    mean = (w * table.energy.values).sum() / w.sum()
    of_shape = common @ w / w.sum()  # one for all Q
    away, one = table.energy.values - mean, np.ones(30)
    inverse = np.linalg.inv(np.diag(1 / w) + common.T @ common)
    away = away - (one @ inverse @ away) / (one @ inverse @ one)
    chi2 = away @ inverse @ away
    assert float(result.mean_energy) == pytest.approx(mean, rel=1e-12)
    assert float(result.mean_energy_std) == pytest.approx(
        (1 / w.sum() + of_shape @ of_shape) ** 0.5, rel=1e-9
    )
    assert float(result.chi2_reduced) == pytest.approx(chi2 / 29, rel=1e-9)
    assert float(result.p_value) == pytest.approx(
        scipy.stats.chi2.sf(chi2, 29), rel=1e-9
    )
    assert result.slope.attrs["units"] == "angstrom*meV"


def test_constant_is_constant_and_a_slope_is_found() -> None:
    flat = peaks(np.full(30, 5.5)).bp.dispersion()
    assert abs(float(flat.slope)) < 4 * float(flat.slope_std)
    assert float(flat.p_value) > 1e-3
    steep = peaks(5.5 + 0.1 * (Q - 5)).bp.dispersion()
    assert float(steep.slope) == pytest.approx(0.1, abs=4 * float(steep.slope_std))
    assert float(steep.slope) > 10 * float(steep.slope_std)
    assert float(steep.p_value) < 1e-6


@pytest.mark.slow
def test_slope_pulls() -> None:
    noise = np.random.default_rng(0).standard_normal((50, 30, E.size))
    many = xbp.new_dataset(
        "reduced_dos", lognormal(E, 5.5, 1.0, 0.6) + 0.01 * noise, units="1",
        std=np.full(noise.shape, 0.01), coords={
            "run": (np.arange(50), "1"), "Q": (Q[:30], "1/angstrom"), "E": (E, "meV"),
        },
    )  # fmt: skip
    r = many.bp.boson_peak(E_range=(1, 15)).bp.dispersion()
    pulls = (r.slope / r.slope_std).values
    assert pulls.shape == (50,)
    assert abs(np.mean(pulls)) < 0.3
    assert abs(np.std(pulls) - 1) < 0.2


def test_failed_fits_and_other_q_are_left_out() -> None:
    table = peaks(np.full(30, 5.5))
    table.energy[4] = 100.0
    table.status[4] = "fit failed"
    assert int(table.bp.dispersion().n_points) == 29
    assert float(table.bp.dispersion().mean_energy) == pytest.approx(5.5, abs=0.05)
    assert int(
        table.bp.dispersion(Q_range=("3 1/angstrom", "50 1/nm")).n_points
    ) == int(((Q >= 3) & (Q <= 5)).sum())


def test_too_few_is_nan() -> None:
    result = peaks(np.full(2, 5.5)).bp.dispersion()
    assert np.isnan(result.mean_energy)
    assert int(result.n_points) == 2


def test_other_tables_are_refused(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="boson_peak"):
        glass.bp.dispersion()
    with pytest.raises(QuantityError, match="not of a cut"):
        glass.bp.to_bqe().bp.cut_Q((2, 8)).bp.boson_peak(
            E_range=(1.2, 12)
        ).bp.dispersion()


@pytest.mark.slow
def test_energies_that_scatter_by_more_than_their_errors_are_a_diagnostic(
    peaked: xr.Dataset,
) -> None:
    peaks = peaked.bp.to_bqe().bp.boson_peak(E_range=(0.9, 8))
    wide = peaks.assign(
        energy_std=(100 * peaks.energy_std).assign_attrs(peaks.energy_std.attrs)
    )
    for table, expected in ((peaks, True), (wide, False)):
        found = table.bp.dispersion((2.6, 8.2))
        assert (float(found.p_value) < 0.01) is expected
        codes = [one.code for one in found.bp.diagnostics()]
        assert ("scattered_energies" in codes) is expected
    assert peaks.bp.dispersion((2.6, 8.2), significance=0).bp.diagnostics() == []


def test_what_all_Q_have_in_common_is_in_the_mean_and_not_in_the_slope() -> None:
    """Pulls of both are 1 wide, and χ² is that of the differences between Q."""
    rng, Q, own, common = np.random.default_rng(4), np.linspace(2, 8, 25), 0.03, 0.12
    draws = 400
    energy = 5 + 0.02 * Q + rng.normal(0, own, (draws, Q.size))
    energy += rng.normal(0, common, (draws, 1))
    std = np.full(energy.shape, np.hypot(own, common))
    rho = common**2 / std[0, 0] ** 2
    f = std[0, 0] ** 2 / Q.size / (common**2 + own**2 / Q.size)
    table = xr.Dataset(
        {
            "energy": (("draw", "Q"), energy, {"units": "meV"}),
            "energy_std": (("draw", "Q"), std, {"units": "meV"}),
            "status": (("draw", "Q"), np.full(energy.shape, "ok")),
        },
        {
            "Q": ("Q", Q, {"units": "1/angstrom"}),
            "Q_independence": ("Q", np.full(Q.size, f), {"units": "1"}),
            "Q_common": ("Q", np.full(Q.size, rho), {"units": "1"}),
        },
        {"quantity": "boson_peak"},
    )
    flat = table.bp.dispersion()
    expected = {"mean_energy": 5 + 0.02 * Q.mean(), "slope": 0.02}
    for name, value in expected.items():
        pulls = (flat[name] - value) / flat[f"{name}_std"]
        assert float(pulls.std()) == pytest.approx(1, abs=0.12)
    straight = (flat.chi2_reduced * (Q.size - 1)).mean() / (Q.size - 1)
    tilt = 0.02**2 * Q.var() / own**2 * Q.size / (Q.size - 1)
    assert float(straight) == pytest.approx(1 + tilt, abs=0.1)
