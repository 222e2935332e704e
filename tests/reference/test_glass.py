"""The embedded glass gives what a rough hand analysis of the same numbers gave, and what the README says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

Q_RANGE = ("2.1 1/angstrom", "8.5 1/angstrom")
PEAK_Q_RANGE = ("2.6 1/angstrom", "8.2 1/angstrom")


@pytest.mark.parametrize(
    ("E", "r"),
    [
        (2.1, 0.97),
        (3.3, 0.96),
        (4.1, 0.94),
        (5, 0.91),
        (8, 0.75),
        (10, 0.57),
        (15, -0.06),
        (20, -0.35),
        (25, -0.39),
        (40, -0.18),
    ],
)
def test_correlation_with_sq(glass: xr.Dataset, E: float, r: float) -> None:
    fit = (
        glass.bp.to_bqe().bp.cut_E(E, width="0.5 meV").bp.scale_to_sq(glass.Sq, Q_RANGE)
    )
    # By other code from these frames and as many more, with u² = 0.01416 Å² where this has 0.01345: in the
    # foot of the peak, where r falls steeply, it shows.
    assert float(fit.pearson_r) == pytest.approx(r, abs=0.06 if E in (8, 10) else 0.025)
    assert float(fit.Q_min) >= 2.1
    assert float(fit.Q_max) <= 8.5


def test_correlation_map_has_the_contrast(glass: xr.Dataset) -> None:
    r = glass.bp.to_bqe().bp.correlation_map(glass.Sq, Q_RANGE).pearson_r
    assert float(r.sel(E=slice(1.5, 4)).min()) > 0.93
    assert float(np.abs(r.sel(E=slice(14, 16))).max()) < 0.15
    assert float(r.sel(E=slice(18, 60)).max()) < 0


def test_the_peak_does_not_disperse(glass: xr.Dataset) -> None:
    peaks = glass.bp.to_bqe().B.bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    inside = peaks.sel(Q=slice(2.6, 8.2))
    assert (inside.status == "ok").all()
    assert float(abs(inside.energy - 2.6).max()) < 0.3
    flat = peaks.bp.dispersion(PEAK_Q_RANGE)
    assert float(flat.mean_energy) == pytest.approx(2.60, abs=0.02)
    assert float(flat.scatter) < 0.1
    assert abs(float(flat.slope)) < 3 * float(flat.slope_std)


def test_weighted_fits_equal_scipys(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    peaks = b.bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    for i in (60, 90, 140):
        at = b.isel(Q=i).sel(E=slice(1.2, 12))
        popt, cov = scipy.optimize.curve_fit(
            lambda E, h, e, s: h * np.exp(-(np.log(E / e) ** 2) / (2 * s**2)),
            at.E.values, at.B.values, [float(at.B.max()), 3, 1], sigma=at.B_std.values, absolute_sigma=True,
        )  # fmt: skip
        assert float(peaks.energy[i]) == pytest.approx(popt[1], rel=1e-4)
        # What scipy gives is the error without that of the shape.
        std = (peaks.energy_std**2 - (peaks.energy_std_common**2).sum("source")) ** 0.5
        assert float(std[i]) == pytest.approx(cov[1, 1] ** 0.5, rel=1e-2)
        assert float(peaks.height[i]) == pytest.approx(popt[0], rel=1e-4)


@pytest.mark.slow
def test_what_the_fit_range_does(glass: xr.Dataset) -> None:
    """The box's first transverse phonon holds the low side: without it no maximum is left below 12 meV."""
    b = glass.bp.to_bqe()
    wide = b.bp.boson_peak(E_range=(1.2, 20)).bp.dispersion(PEAK_Q_RANGE)
    assert float(wide.mean_energy) == pytest.approx(3.81, abs=0.05)
    above = b.bp.boson_peak(E_range=(2.2, 12)).sel(Q=slice(2.6, 8.2))
    assert (above.status != "ok").all()


def test_static_structure_factor_and_sum_rule(glass: xr.Dataset) -> None:
    assert float(glass.Sq.idxmax()) == pytest.approx(2.72, abs=0.03)
    assert float(glass.Sq.max()) == pytest.approx(3.16, abs=0.01)
    assert float(glass.g.integrate("E")) == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_the_readme_says_these_numbers(glass: xr.Dataset) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text()
    b = glass.bp.to_bqe()
    for data, form in (
        (b.B, "**E_BP = {:.2f} meV with a scatter of {:.2f} meV**"),
        (b, "{:.2f} ± {:.2f} meV weighted"),
    ):
        flat = data.bp.boson_peak(E_range=("1.2 meV", "12 meV")).bp.dispersion(
            PEAK_Q_RANGE
        )
        assert form.format(float(flat.mean_energy), float(flat.scatter)) in " ".join(
            text.split()
        )
    r = {
        E: float(b.bp.cut_E(E, 0.5).bp.scale_to_sq(glass.Sq, Q_RANGE).pearson_r)
        for E in (3, 5, 8, 10, 15, 20, 25, 40)
    }
    said = (
        f"**{r[3]:.2f} at 3 meV**, {r[5]:.2f} at 5, {r[8]:.2f} at 8, {r[10]:.2f} at 10, {r[15]:.2f} at 15, "
        f"{r[20]:.2f} at 20, {r[25]:.2f} at 25, {r[40]:.2f} at 40 meV"
    )
    assert said.replace("-", "−") in " ".join(text.split())
