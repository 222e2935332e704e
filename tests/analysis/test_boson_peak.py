from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.analysis.boson_peak import fit_peaks
from xbp.analysis.sides import peak_ranges
from xbp.errors import QuantityError, RangeError, UnitsError
from xbp.fitting.shapes import SHAPES, Method
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian, lognormal, lognormal_sigma

E = np.arange(0.25, 25, 0.5)


def codes(table: xr.Dataset) -> set[str]:
    return {doubt.code for doubt in table.bp.diagnostics()}


def spectrum(
    values: np.ndarray, std: np.ndarray | None = None, energies: np.ndarray = E
) -> xr.Dataset:
    ds = xbp.new_dataset(
        "reduced_dos",
        values,
        units="angstrom^2/meV^2",
        coords={"E": (energies, "meV")},
        std=std,
    )
    return ds


def test_lognormal_is_recovered_exactly() -> None:
    peak = spectrum(lognormal(E, 5.5, 3e-5, lognormal_sigma(5.5, 7.0))).bp.boson_peak(
        E_range=(1, 20)
    )
    assert peak.status == "ok"
    assert float(peak.energy) == pytest.approx(5.5, rel=1e-8)
    assert float(peak.height) == pytest.approx(3e-5, rel=1e-8)
    assert float(peak.width) == pytest.approx(7.0, rel=1e-7)


def test_gaussian_on_a_background_is_recovered_exactly() -> None:
    values = gaussian(E, 8.0, 3.0, 2.0) + 1.0 + 0.1 * E
    peak = spectrum(values).bp.boson_peak("gaussian", E_range=(1, 20))
    for name, expected in {
        "energy": 8,
        "height": 3,
        "width": 2 * FWHM_PER_SIGMA,
        "background": 1,
        "background_slope": 0.1,
    }.items():
        assert float(peak[name]) == pytest.approx(expected, rel=1e-6), name
    numbers = {str(k): float(v) for k, v in peak.data_vars.items() if k != "status"}
    np.testing.assert_allclose(SHAPES["gaussian"].curve(E, numbers), values, rtol=1e-6)


def test_parabola_is_recovered_exactly() -> None:
    peak = spectrum(4 - (E - 7) ** 2 / 10).bp.boson_peak("quadratic", E_range=(1, 20))
    assert float(peak.energy) == pytest.approx(7)
    assert float(peak.height) == pytest.approx(4)
    assert float(peak.width) == pytest.approx(2 * np.sqrt(20))


def test_the_mode_is_not_scipys_lognorm_parameter() -> None:
    """The maximum itself lies at `energy`."""
    fine = np.linspace(0.01, 20, 200001)
    assert fine[np.argmax(lognormal(fine, 5.5, 1.0, 0.8))] == pytest.approx(
        5.5, abs=1e-3
    )


@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
def test_pulls(method: str) -> None:
    """With noise of known std, (fit − truth)/std has mean 0 and width 1."""
    shapes = {
        "lognormal": lognormal(E, 5.5, 1.0, 0.6),
        "quadratic": 1 - ((E - 7) / 12) ** 2,
        "gaussian": gaussian(E, 8.0, 1.0, 2.0) + 0.2 + 0.01 * E,
    }
    truth = {"lognormal": 5.5, "quadratic": 7.0, "gaussian": 8.0}[method]
    std = np.full(E.size, 0.005)
    rng = np.random.default_rng(7)
    draws = shapes[method] + std * rng.standard_normal((200, E.size))
    ds = xbp.new_dataset(
        "reduced_dos", draws, units="1", std=np.broadcast_to(std, draws.shape),
        coords={"run": (np.arange(200), "1"), "E": (E, "meV")},
    )  # fmt: skip
    peak = ds.bp.boson_peak(method, E_range=(2, 14))
    assert (peak.status == "ok").all()
    # The parabola looks for its top first, which leaves its errors a little too small;
    # that of the log-normal contains the shapes that noise hides.
    least, most = {"quadratic": (0.65, 1.35), "lognormal": (0.35, 1.2)}.get(
        method, (0.8, 1.2)
    )
    for name, value in (("energy", truth),):
        pulls = (peak[name] - value) / peak[f"{name}_std"]
        assert abs(float(pulls.mean())) < 0.2, name
        assert least < float(pulls.std()) < most, name
    assert float(peak.chi2_reduced.mean()) == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_full_chain_pulls() -> None:
    """Counts on S(Q,E) of Eq. 3, reduced, cut and fitted: energy, scale and their errors are honest."""
    S = xbp.models.dynamic_structure_factor(
        np.linspace(2.1, 8.5, 20),
        np.arange(0.5, 20, 0.5),
        energy="5.5 meV",
        width="6 meV",
        T="300 K",
        u2="0.012 angstrom^2",
    )
    sq = xbp.models.hard_sphere_structure_factor(S.Q).Sq
    many = xr.concat([S] * 100, "run")
    b = xbp.models.with_counting_noise(many, counts=3000, rng=0).bp.to_bqe()
    peak = b.bp.cut_Q((2.0, 8.6)).bp.boson_peak(E_range=(1.5, 15))
    fit = b.bp.cut_E("5.5 meV", width="0.5 meV").bp.scale_to_sq(sq)
    for pulls in (
        ((peak.energy - 5.5) / peak.energy_std).rename("energy"),
        ((fit.scale - 1.0) / fit.scale_std).rename("scale"),
    ):
        assert abs(pulls.mean()) < 0.2
        # The error of the energy contains the shapes that noise hides.
        assert (0.35 if pulls.name == "energy" else 0.8) < pulls.std() < 1.2


def test_without_std_the_scatter_sets_the_errors() -> None:
    rng = np.random.default_rng(3)
    noisy = lognormal(E, 5.5, 1.0, 0.6) + 0.01 * rng.standard_normal(E.size)
    known = spectrum(noisy, std=np.full(E.size, 0.01)).bp.boson_peak(E_range=(1, 20))
    unknown = spectrum(noisy).B.bp.boson_peak(E_range=(1, 20))
    assert float(unknown.energy) == pytest.approx(float(known.energy), rel=1e-6)
    ratio = float(unknown.energy_std / known.energy_std)
    # The part of the shape, which noise hides, is not quite proportional to the noise.
    assert ratio == pytest.approx(np.sqrt(float(known.chi2_reduced)), rel=0.02)
    assert "chi2_reduced" not in unknown


@pytest.mark.parametrize("method", ["lognormal", "gaussian", "quadratic"])
def test_the_residual_is_what_the_curve_leaves_of_the_points_fitted(
    method: str,
) -> None:
    noise = 0.03 * np.random.default_rng(5).standard_normal(E.size)
    shape = (
        gaussian(E, 5.5, 1.0, 2.0) + 0.1
        if method == "gaussian"
        else lognormal(E, 5.5, 1.0, 0.6)
    )
    noisy = 7 * (shape + noise)
    peak = spectrum(noisy).B.bp.boson_peak(method, E_range=(1, 15))
    numbers = {str(k): float(v) for k, v in peak.data_vars.items() if k != "status"}
    inside = (numbers["E_low"] <= E) & (numbers["E_high"] >= E)
    assert inside.sum() == numbers["n_points"]
    if method == "quadratic":  # of the quartic whose top it is, which is the noise
        assert numbers["relative_residual"] == pytest.approx(0.03, rel=0.1)
        return
    left = noisy[inside] - SHAPES[method].curve(E[inside], numbers)
    assert numbers["relative_residual"] == pytest.approx(
        np.sqrt(np.mean(left**2)) / numbers["height"], rel=1e-9
    )
    assert 0.02 < numbers["relative_residual"] < 0.12
    exact = spectrum(lognormal(E, 5.5, 1.0, 0.6)).B.bp.boson_peak(E_range=(1, 15))
    assert float(exact.relative_residual) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
@pytest.mark.parametrize(
    ("values", "statuses"),
    [
        (np.full(E.size, np.nan), {"no data"}),
        (1 / E, {"maximum at edge", "no maximum", "fit failed"}),
        (E, {"maximum at edge", "no maximum", "fit failed"}),
        (np.zeros(E.size), {"no maximum"}),
        (-lognormal(E, 5.5, 1.0, 0.6), {"maximum at edge", "no maximum", "fit failed"}),
        (
            np.where(np.abs(E - 5) < 1, 1.0, np.nan),
            {"too few points", "no maximum", "fit failed"},
        ),
    ],
    ids=["nan", "falling", "rising", "zero", "valley", "few"],
)
def test_no_peak_is_said_and_gives_nan(
    method: str, values: np.ndarray, statuses: set[str]
) -> None:
    for std in (None, np.full(E.size, 0.01)):
        peak = spectrum(values, std=std).bp.boson_peak(method, E_range=(1, 20))
        assert str(peak.status.values) in statuses
        for name in ("energy", "energy_std", "height", "width"):
            assert np.isnan(peak[name])


@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
def test_three_points_are_too_few(method: str) -> None:
    peak = spectrum(
        np.array([1.0, 2.0, 1.0]), energies=np.array([1.0, 2.0, 3.0])
    ).bp.boson_peak(method, E_range=(0.5, 3.5))
    assert peak.status == "too few points"


def test_a_maximum_at_the_edge_is_no_peak() -> None:
    B = spectrum(lognormal(E, 5.5, 1.0, 0.6), std=np.full(E.size, 0.01))
    assert B.bp.boson_peak(E_range=(5.4, 15)).status == "maximum at edge"
    assert B.bp.boson_peak(E_range=(1, 5.6)).status == "maximum at edge"
    assert B.bp.boson_peak(E_range=(1, 15)).status == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("automatic", [False, True])
@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
@pytest.mark.parametrize(
    "shape",
    [0 * E, 1 + 0 * E, 2 / (1 + E), E / 10],
    ids=["zero", "flat", "falling", "rising"],
)
def test_noise_alone_is_hardly_ever_a_peak(
    method: str, shape: np.ndarray, automatic: bool
) -> None:
    std = np.full((200, E.size), 0.1)
    noise = std * np.random.default_rng(0).standard_normal(std.shape)
    ds = xbp.new_dataset(
        "reduced_dos", shape + noise, units="1", std=std,
        coords={"run": (np.arange(200), "1"), "E": (E, "meV")},
    )  # fmt: skip
    for data in (ds, ds.B):
        peak = data.bp.boson_peak(method, E_range=None if automatic else (1, 20))
        assert float((peak.status == "ok").mean()) <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
def test_a_falling_line_has_no_peak_however_well_a_broad_shape_fits_it(
    method: str,
) -> None:
    energies = np.linspace(0.25, 20, 60)
    values = 20 - energies + np.random.default_rng(1).standard_normal((200, 60))
    ds = xbp.new_dataset(
        "reduced_dos", values, units="1", std=np.ones(values.shape),
        coords={"run": (np.arange(200), "1"), "E": (energies, "meV")},
    )  # fmt: skip
    for data in (ds, ds.B):
        assert (
            float((data.bp.boson_peak(method, E_range=(1, 15)).status == "ok").mean())
            < 0.05
        )


def test_leftover_dims_and_a_failing_one_among_good() -> None:
    values = np.stack([lognormal(E, e, 1.0, 0.6) for e in (4.0, 6.0, 8.0)])
    values[1] = np.nan
    ds = xbp.new_dataset(
        "reduced_dos",
        values,
        units="1",
        coords={"sample": ([0.0, 1.0, 2.0], "1"), "E": (E, "meV")},
    )
    peak = ds.bp.boson_peak(E_range=(1, 20))
    assert peak.status.values.tolist() == ["ok", "no data", "ok"]
    np.testing.assert_allclose(peak.energy, [4.0, np.nan, 8.0], rtol=1e-6)


def test_automatic_range_finds_the_hump_beside_the_elastic_line() -> None:
    rng = np.random.default_rng(1)
    shape = (
        lognormal(E, 5.5, 1.0, 0.5)
        + 20 * np.exp(-((E / 0.6) ** 2))
        + 0.3 * gaussian(E, 18, 1, 1)
    )
    peak = spectrum(
        shape + 0.01 * rng.standard_normal(E.size), std=np.full(E.size, 0.01)
    ).bp.boson_peak()
    assert peak.status == "ok"
    assert float(peak.energy) == pytest.approx(5.5, abs=0.15)
    assert 1 < float(peak.E_low) < 4
    assert 8 < float(peak.E_high) < 14


def test_automatic_range_finds_nothing_where_nothing_is() -> None:
    assert spectrum(1 / E).bp.boson_peak().status == "no maximum"


def test_bins_without_a_known_error_are_left_out() -> None:
    std = np.full(E.size, 0.01)
    std[10:14] = np.nan
    std[15] = np.nan
    values = lognormal(E, 5.5, 1.0, 0.6)
    values[12] = 100
    peak = spectrum(values, std=std).bp.boson_peak(E_range=(1, 20))
    assert float(peak.energy) == pytest.approx(5.5, rel=1e-6)
    assert int(peak.n_points) == int(((E > 1) & (E < 20)).sum()) - 5


def test_bad_calls() -> None:
    B = spectrum(lognormal(E, 5.5, 1.0, 0.6))
    with pytest.raises(QuantityError, match="method='voigt'"):
        B.bp.boson_peak("voigt")
    with pytest.raises(RangeError, match="no data"):
        B.bp.boson_peak(E_range=(30, 40))
    with pytest.raises(RangeError, match="not a pair"):
        B.bp.boson_peak(E_range="5 meV")
    with pytest.raises(UnitsError):
        B.bp.boson_peak(E_range=("1 K", "3 K"))
    with pytest.raises(QuantityError, match=r"B\(Q,E\)"):
        xbp.tutorial.open_dataset("zr46cu46al8_md").Sq.bp.boson_peak()


@pytest.mark.parametrize("units", ["1", "angstrom^2/meV^2"])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_the_size_of_the_numbers_does_not_matter(size: float, units: str) -> None:
    values = lognormal(E, 5.5, 1.0, 0.6)
    ds = xbp.new_dataset(
        "reduced_dos",
        size * values,
        units=units,
        std=0.01 * size * np.ones(E.size),
        coords={"E": (E, "meV")},
    )
    peak = ds.bp.boson_peak(E_range=(1, 20))
    reference = spectrum(values, std=0.01 * np.ones(E.size)).bp.boson_peak(
        E_range=(1, 20)
    )
    assert float(peak.energy) == pytest.approx(5.5, rel=1e-6)
    assert float(peak.energy_std) == pytest.approx(
        float(reference.energy_std), rel=1e-6
    )
    assert float(peak.height_std / peak.height) == pytest.approx(
        float(reference.height_std / reference.height), rel=1e-6
    )


def test_each_box_of_a_series_has_its_own_phonon(model: xr.Dataset) -> None:
    b = model.sel(E=slice(0.1, None)).bp.to_bqe().bp.cut_Q((2, 8))
    series = xr.concat([b, b, b], dim="n_atoms").assign_coords(
        box_phonon=("n_atoms", [2.0, 5.4, np.nan], {"units": "meV"})
    )
    peaks = series.bp.boson_peak(E_range=(1, 15))
    assert peaks.status.values.tolist() == ["ok", "box phonon", "ok"]
    np.testing.assert_allclose(peaks.energy, [5.5, np.nan, 5.5], rtol=0.02)
    sought = series.bp.boson_peak()
    np.testing.assert_allclose(sought.energy[[0, 2]], 5.5, rtol=0.02)


def test_a_peak_on_a_plateau_is_found_where_it_is() -> None:
    """Beside Debye's plateau, which never falls to half of the peak, a range down to half height holds all the plateau."""
    g = xbp.models.evaluate(
        "fluctuating_elasticity_dos",
        np.linspace(0.1, 40, 400),
        area=1.0,
        energy_D="25 meV",
        disorder=0.21,
    )
    b = g.bp.to_bqe().B
    peak = b.bp.boson_peak()
    assert str(peak.status.values) == "ok"
    assert float(peak.energy) == pytest.approx(float(b.idxmax()), abs=0.1)
    assert float(peak.E_low) > 3


def test_a_spectrum_far_above_boson_peaks_holds_no_data_for_one() -> None:
    E = np.linspace(72, 170, 300)
    band = xbp.new_dataset(
        "reduced_dos",
        1 + np.exp(-(((E - 100) / 5) ** 2)),
        units="1",
        coords={"E": (E, "meV")},
    )
    assert str(band.bp.boson_peak().status.values) == "no data"


def test_the_history_says_which_range_was_used(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    cut = b.bp.cut_Q((2.1, 8.5))

    def said(peak: xr.Dataset) -> dict[str, object]:
        arguments: dict[str, object] = json.loads(
            peak.attrs["history"].splitlines()[-1]
        )["arguments"]
        return {
            key: value for key, value in arguments.items() if key.startswith("E_range")
        }

    found = xbp.models.evaluate(
        "lognormal", np.linspace(1, 25, 150), energy="6 meV", height=1, sigma=0.6
    )
    peak = found.bp.boson_peak()
    ends = [f"{float(peak[f'E_{end}']):.6g} meV" for end in ("low", "high")]
    assert said(peak) == {"E_range": ends, "E_range_chosen": "automatically"}
    assert said(cut.bp.boson_peak(E_range=("1.2 meV", "12 meV"))) == {
        "E_range": ["1.2 meV", "12 meV"]
    }
    many = {
        "E_range": "each fit its own, see the table",
        "E_range_chosen": "automatically",
    }
    assert said(b.isel(Q=slice(80, 82)).bp.boson_peak()) == many
    assert said(found.chunk().bp.boson_peak()) == many
    falls = found.copy(data={"B": np.linspace(2, 1, 150)}).bp.boson_peak()
    assert str(falls.status.values) != "ok"
    assert said(falls) == {"E_range": "none found", "E_range_chosen": "automatically"}


def test_a_parabola_is_fitted_to_the_top_alone_where_no_range_is_given() -> None:
    """A quarter of the way down both sides: half way down a side that falls little is far from the top."""
    E = np.arange(1, 30, 0.05)
    hump = 1 + 0.3 * np.exp(-(((E - 8) / np.where(E < 8, 1.5, 6)) ** 2))
    peak, half = (
        spectrum(hump, energies=E).bp.boson_peak(method)
        for method in ("quadratic", "lognormal")
    )
    assert str(peak.status.values) == "ok"
    for found, height in ((peak, 1.225), (half, 1.15)):
        np.testing.assert_allclose(
            np.interp([found.E_low, found.E_high], E, hump), height, atol=0.01
        )


def _density(g: np.ndarray, energies: np.ndarray) -> xr.Dataset:
    return xbp.new_dataset(
        "vibrational_dos",
        g / np.trapezoid(g, energies),
        units="1/meV",
        coords={"E": (energies, "meV")},
    )


def test_which_part_of_the_modes_lies_below_the_peak_tells_a_crystal_from_a_glass() -> (
    None
):
    energies = np.linspace(0.1, 45, 450)
    # Transverse phonons end at 18 meV, longitudinal ones at 35: a van Hove singularity, here with a resolution.
    crystal = _density(energies**2 * (1 / (1 + np.exp((energies - 19) / 1)) + 0.25 * (energies < 36))
                       + 60 * np.exp(-(((energies - 18) / 2) ** 2)), energies)  # fmt: skip
    glass = xbp.models.evaluate(
        "fluctuating_elasticity_dos",
        energies,
        area=1.0,
        energy_D="25 meV",
        disorder=0.21,
    )
    for g, sharp in ((crystal, True), (glass, False)):
        b = g.bp.to_bqe()
        peak = b.bp.boson_peak()
        assert str(peak.status.values) == "ok"
        below = g.g.where(peak.energy >= g.E, 0).integrate("E") / g.g.integrate("E")
        assert float(peak.modes_below) == pytest.approx(float(below), abs=0.01)
        assert (float(peak.modes_below) > 0.1) is sharp
        assert ("many_modes_below" in codes(peak)) is sharp
        # It is a part, whatever the units, and that of each of many.
        other = (b.bp.convert(E="THz")).bp.boson_peak()
        assert float(other.modes_below) == pytest.approx(
            float(peak.modes_below), abs=1e-6
        )
    both = xr.concat(
        [crystal.bp.to_bqe(), glass.bp.to_bqe()],
        "sample",
        coords="minimal",
        compat="override",
    )
    parts = both.bp.boson_peak().modes_below
    assert parts.dims == ("sample",)
    assert float(parts[0]) > 0.1 > float(parts[1])
    # Data that end before the modes do tell no part of them.
    assert np.isnan(glass.sel(E=slice(0, 12)).bp.to_bqe().bp.boson_peak().modes_below)


def _crystal(end: float = 60.0) -> tuple[np.ndarray, np.ndarray]:
    """Return energies and B of a crystal whose phonons end at 35 meV."""
    energies = np.arange(0.4, end, 0.8)
    g = energies**2 * (1 / (1 + np.exp((energies - 19) / 1)) + 0.25 * (energies < 36))
    return energies, (g + 200 * np.exp(-(((energies - 18) / 2) ** 2))) / energies**2


def _spectrum_over(energies: np.ndarray, B: np.ndarray) -> xr.Dataset:
    return xbp.new_dataset(
        "reduced_dos",
        B,
        units="angstrom^2/meV^2",
        coords={"E": (energies, "meV")},
        std=0.01 * B,
    )


@pytest.mark.slow
@pytest.mark.parametrize("where", [slice(-1, None), slice(-3, None), slice(40, 42)])
def test_a_few_outlying_bins_do_not_hide_a_van_hove_singularity(where: slice) -> None:
    energies, B = _crystal()
    right = _spectrum_over(energies, B).bp.boson_peak()
    assert float(right.modes_below) > 0.1
    B[where] = 3 * B.max()
    b = _spectrum_over(energies, B)
    assert float(b.bp.boson_peak().modes_below) == pytest.approx(
        float(right.modes_below), abs=0.01
    )
    for table in (
        b.bp.boson_peak(),
        b.bp.scan_boson_peak(),
    ):
        assert "many_modes_below" in codes(table)


def test_means_of_little_coverage_do_not_tell_where_the_modes_end() -> None:
    energies, B = _crystal()
    right = float(_spectrum_over(energies, B).bp.boson_peak().modes_below)
    # What a mean over a corner of Q, where a detector ends, adds: too broad to be a few bins.
    B[-12:] += 0.3 * B.max()
    coverage = np.where(np.arange(energies.size) < energies.size - 12, 1, 0.3)
    b = _spectrum_over(energies, B).assign(coverage=("E", coverage))
    assert float(b.bp.boson_peak().modes_below) == pytest.approx(right, abs=0.01)
    assert np.isnan(b.drop_vars("coverage").bp.boson_peak().modes_below)


def test_no_part_of_the_modes_is_told_of_what_does_not_hold_them() -> None:
    energies, B = _crystal(30.0)
    cut = _spectrum_over(energies, B).bp.boson_peak()
    assert cut.status == "ok"
    assert np.isnan(cut.modes_below)
    assert "many_modes_below" not in codes(cut)
    # Raman scattering sees C(E) g(E), and its area is no number of modes.
    energies, B = _crystal()
    spectrum_ = xbp.new_dataset(
        "raman_intensity", B * energies / (1 - np.exp(-energies / 25.4)), units="1", coords={"E": (energies, "meV")},
        temperature="295 K",
    )  # fmt: skip
    table = spectrum_.bp.to_reduced_raman(coupling="constant").bp.boson_peak()
    assert table.status == "ok"
    assert "modes_below" not in table


def test_a_sharp_maximum_is_hardly_a_boson_peak() -> None:
    for width, sharp in ((1.0, True), (2.4, False)):
        table = spectrum(
            lognormal(E, 5.5, 1.0, lognormal_sigma(5.5, width))
        ).bp.boson_peak(E_range=(2, 12))
        assert float(table.width) == pytest.approx(width, rel=1e-3)
        assert ("narrow_peak" in codes(table)) is sharp


def test_the_maximum_of_g_is_not_called_the_boson_peak() -> None:
    G = (
        xbp.tutorial.open_dataset("zr46cu46al8_md")
        .bp.to_gdos()
        .bp.cut_Q(("2.1 1/angstrom", "8.5 1/angstrom"))
    )
    table = G.bp.boson_peak(E_range=("5 meV", "30 meV"))
    assert "maximum_of_g" in codes(table)
    assert "modes_below" not in table
    reduced = G.bp.to_bqe().bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    assert "maximum_of_g" not in codes(reduced)


@pytest.mark.slow
def test_one_spectrum_at_small_Q_shows_the_longitudinal_phonon() -> None:
    glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    b = glass.bp.to_bqe()
    row, cut = b.isel(Q=10), b.bp.cut_Q((0.6, 0.75))
    for one in (row, cut):
        for data in (one, one.B, one.drop_vars("Q_bnds"), one.bp.convert(Q="1/nm")):
            peak = data.bp.boson_peak(sq=glass.Sq)
            assert str(peak.status.values) == "longitudinal phonon"
            assert np.isnan(peak.energy)
            codes = {doubt.code for doubt in peak.bp.diagnostics()}
            assert codes <= {"dominant_bin"}  # of the cut
        unchecked = one.bp.boson_peak()
        assert str(unchecked.status.values) == "ok"
        assert "longitudinal_phonon_unchecked" in unchecked.attrs["diagnostics"]
    # A mean over an interval is of more than sound where it reaches above half the first maximum, at 1.35. (A DataArray
    # does not carry its interval, and is judged by its centre.)
    for wide in (
        b.bp.cut_Q((0.6, 1.7)),
        b.bp.cut_Q((2.1, 8.5)),
        b.bp.cut_Q((2.1, 8.5)).B,
    ):
        peak = wide.bp.boson_peak(E_range=("1.2 meV", "12 meV"), sq=glass.Sq)
        assert str(peak.status.values) != "longitudinal phonon"
    assert "diagnostics" not in b.bp.cut_Q((2.1, 8.5)).bp.boson_peak().attrs
    with pytest.raises(QuantityError, match="dimension 'Q'"):
        row.bp.boson_peak(sq=glass.Sq.isel(Q=0))


@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
@pytest.mark.parametrize("limits", [None, (3, 30)])
def test_finer_bins_add_nothing(method: Method, limits: Any) -> None:
    """Parts of a bin have its value and share its error: fits see the whole bin."""
    E = np.arange(0.5, 40)
    noise = 0.1 * np.random.default_rng(4).standard_normal(E.size)
    data = spectrum(gaussian(E, 12, 3.0, 4) + noise, np.full(E.size, 0.1), E)
    hole = data.B.where((data.E < 4) | (data.E > 6))
    data = data.assign(B=hole.assign_attrs(data.B.attrs)).bp.rebin(E="1 meV")
    whole = data.bp.boson_peak(method, limits)
    assert str(whole.status.values) == "ok"
    for width in ("0.5 meV", "0.1 meV"):
        parts = data.bp.rebin(E=width).bp.boson_peak(method, limits)
        for name in whole.data_vars.keys() - {"status", "modes_below"}:
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-7)
    one = data.bp.fit("gaussian", x_range=(3, 30))
    parts = data.bp.rebin(E="0.2 meV").bp.fit("gaussian", x_range=(3, 30))
    for name in ("energy", "energy_std", "chi2_reduced"):
        np.testing.assert_allclose(parts[name], one[name], rtol=1e-6)


#: Shapes, with their true energy, height and width.
_SHAPES = {
    "lognormal": (lambda E: lognormal(E, 5, 1, 0.4), 5.0),
    "gaussian": (lambda E: gaussian(E, 6, 1, 2.0), 6.0),
    "parabola": (lambda E: np.clip(1 - ((E - 7) / 9) ** 2, 0, None), 7.0),
    "lorentzian": (lambda E: 1 / (1 + ((E - 6) / 2) ** 2), 6.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.003, 0.01])
@pytest.mark.parametrize("limits", [None, (1, 20)])
@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
@pytest.mark.parametrize("shape", _SHAPES)
def test_a_curve_of_another_shape_has_an_error_that_contains_it(
    shape: str, method: Method, limits: Any, noise: float
) -> None:
    """Within two of its std, known or not, where a Gaussian gave 5.56 ± 0.01 for 5."""
    E = np.arange(0.25, 25, 0.5)
    curve, true = _SHAPES[shape]
    rng = np.random.default_rng(1)
    values = curve(E) + noise * rng.standard_normal((30, E.size))
    std = np.full(values.shape, noise)
    for known in (std, None):
        data = xbp.new_dataset(
            "reduced_dos", values, units="1", std=known,
            coords={"run": (np.arange(30), "1"), "E": (E, "meV")},
        )  # fmt: skip
        peak = data.bp.boson_peak(method, limits)
        ok = (peak.status == "ok").values
        pulls = ((peak.energy - true) / peak.energy_std).values[ok]
        assert np.abs(pulls).mean() < 2 if pulls.size else True


def _pulls(y: Any, true: float, noise: float, method: Any) -> np.ndarray:
    """Return the pulls of the energy of 60 noisy spectra over 1 to 9 meV."""
    E = np.arange(0.6, 14, 0.2)
    rng = np.random.default_rng(1)
    draws = y(E) + noise * rng.normal(size=(60, E.size))
    B = xbp.new_dataset(
        "reduced_dos", draws, std=np.full(draws.shape, noise), units="1/meV^3",
        coords={"draw": (np.arange(60), "1"), "E": (E, "meV")},
    )  # fmt: skip
    peak = B.bp.boson_peak(method, E_range=(1, 9))
    pulls = (peak.energy - true) / peak.energy_std
    return np.asarray(pulls.values[(peak.status == "ok").values])


@pytest.mark.slow
def test_a_top_that_is_steeper_on_its_right_has_an_error_that_contains_it() -> None:
    """A long tail to the left: the pulls of a parabola alone were -3.7 ± 2."""
    x = np.linspace(0, 30, 3001)

    def tail(E: np.ndarray) -> np.ndarray:
        y = np.exp(-x / 3) @ np.exp(-((6 - E - x[:, np.newaxis]) ** 2) / 2)
        return np.asarray(y)

    E = np.linspace(3, 6, 3001)
    top, highest = float(E[tail(E).argmax()]), float(tail(E).max())
    pulls = _pulls(lambda E: tail(E) / highest, top, 0.02, "quadratic")
    assert pulls.size == 60
    assert abs(pulls.mean()) < 0.5
    assert 0.6 < pulls.std() < 1.2


def test_a_misfit_is_found_though_most_points_are_far_from_it() -> None:
    """Of 40 points few contradict a log-normal: chi-squared over all missed half."""

    def gamma(E: np.ndarray) -> np.ndarray:
        return np.asarray((E / 4) ** 2 * np.exp(2 - E / 2))

    pulls = _pulls(gamma, 4.0, 0.06, "lognormal")
    assert (pulls**2).mean() ** 0.5 < 1.3  # their mean was -4.6
    right = _pulls(
        lambda E: np.exp(-(np.log(E / 4) ** 2) / 0.72), 4.0, 0.06, "lognormal"
    )
    assert 0.35 < right.std() < 1.2


@pytest.mark.slow
def test_the_mean_of_peaks_that_a_shape_misses_keeps_its_error(
    unmarked: xr.Dataset,
) -> None:
    """One shape misses all Q in like manner: that does not average out."""
    peaks = unmarked.bp.to_bqe().bp.boson_peak(E_range=(1.2, 12))
    misfit = peaks.energy_std_common.squeeze().where(peaks.status == "ok")
    mean = peaks.bp.dispersion((2.6, 8.2)).mean_energy_std
    assert float(mean) > 0.5 * abs(float(misfit.sel(Q=slice(2.6, 8.2)).mean())) > 0.01
    assert float(mean) > 3 * float(peaks.energy_std.min()) / 112**0.5
    lazy = unmarked.chunk(Q=17).bp.to_bqe().bp.boson_peak(E_range=(1.2, 12)).compute()
    for name in ("energy_std", "energy_std_common"):
        np.testing.assert_allclose(lazy[name], peaks[name], rtol=1e-9)
    assert float(lazy.bp.dispersion((2.6, 8.2)).mean_energy_std) == pytest.approx(
        float(mean)
    )


def test_a_range_that_is_found_widens_by_a_power() -> None:
    E = np.arange(0.5, 40, 0.25)
    data = spectrum(lognormal(E, 12, 3.0, 0.4), np.full(E.size, 0.01), E)
    seen = data.sel(E=slice(0, 30))
    B, std = seen.B.values[None], seen.B_std.values[None]
    every = np.ones(B.shape, dtype=bool)
    found_range = peak_ranges(seen.E.values, B, std, every, SHAPES["lognormal"].depth)
    low, high = (float(end[0]) for end in found_range)
    for reach, further in ((1.0, 1.0), (1.5, (high / low) ** 0.25)):
        found = fit_peaks(data, "lognormal", None, reach)
        inside = E[(low / further <= E) & (high * further >= E)]
        assert float(found.E_low) == pytest.approx(inside[0])
        assert float(found.E_high) == pytest.approx(inside[-1])


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [{"E": 7}, {"Q": 1, "E": 5}])
@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
def test_the_errors_of_a_misfit_do_not_depend_on_chunks(
    method: Method, chunks: dict[str, int]
) -> None:
    E, Q = np.arange(0.15, 15, 0.3), np.array([1.0, 2.0, 3.0])
    y = lognormal(E, 4, 1, 0.5) ** 1.4 + 0.1 / E
    y = y + 0.01 * np.random.default_rng(0).normal(size=(3, E.size))
    B = xbp.new_dataset(
        "reduced_dos", y, std=np.full(y.shape, 0.01), units="angstrom^2/meV^2",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
    )  # fmt: skip
    for data in (B, B.bp.rebin(E="0.2 meV"), B.isel(Q=0, drop=True)):
        own = {dim: n for dim, n in chunks.items() if dim in data.dims}
        whole = data.bp.boson_peak(method, E_range=(1, 12))
        parts = data.chunk(own).bp.boson_peak(method, E_range=(1, 12)).compute()
        # Of dask arrays it is not known that a misfit moves the width alone.
        none = list(parts.data_vars.keys() - whole.data_vars.keys())
        assert not any(parts[name].any() for name in none)
        parts = parts.drop_vars(none)
        bare = [t.drop_vars("source", errors="ignore") for t in (parts, whole)]
        xr.testing.assert_allclose(*(t.drop_attrs() for t in bare))


@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
@pytest.mark.parametrize("E_range", [None, (1.0, 20.0)], ids=["found", "given"])
@pytest.mark.parametrize("known", [True, False], ids=["errors", "none"])
def test_a_spectrum_among_others_is_as_alone(
    method: Any, E_range: Any, known: bool
) -> None:
    """Whatever the others miss, and whatever their size."""
    rng = np.random.default_rng(11)
    E = np.linspace(0.4, 30, 70)
    B = np.array([
        lognormal(E, 5.0, 1.0, 0.5),
        lognormal(E, 3.0, 1e-6, 0.3) + 4e-7 * np.exp(-E / 2),
        1e3 * np.exp(-E / 8),
        lognormal(E, 4.0, 1.0, 0.4) + 0.6 * lognormal(E, 14.0, 1.0, 0.2),
        0.3 * lognormal(E, 6.0, 1.0, 0.3) + 1 / (1 + np.exp((6 - E) / 0.05)),
        lognormal(E, 6.0, 1.0, 0.6),
    ])  # fmt: skip
    std = 0.02 * B + 0.01 * B.max(axis=1, keepdims=True)
    B = B + std * rng.standard_normal(B.shape)
    B[3, ::5] = B[0, :6] = B[5, 40:] = np.nan
    coords = {"run": (np.arange(len(B)), "1"), "E": (E, "meV")}
    data = xbp.new_dataset(
        "reduced_dos", B, units="1", std=std if known else None, coords=coords
    )
    together = data.bp.boson_peak(method, E_range)
    alone = [data.isel(run=[i]).bp.boson_peak(method, E_range) for i in range(len(B))]
    apart = xr.concat(alone, "run")
    assert together.status.values.tolist() == apart.status.values.tolist()
    assert method == "gaussian" or len(set(together.status.values)) > 1
    for name in ("energy", "energy_std", "height_std", "width", "E_low", "E_high"):
        np.testing.assert_allclose(together[name], apart[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("E_range", "data", "said"),
    [
        (
            (5.2, 12),
            (0.0, 25.0),
            "the beginning of E_range, 5.25 meV (the first phonon",
        ),
        ((1, 4.5), (0.0, 25.0), "the end of E_range, 4.25 meV"),
        ((1, 20), (0.0, 4.5), "the end of the data, 4.25 meV"),
        ((5, 20), (5.2, 25.0), "the beginning of the data, 5.25 meV"),
    ],
)
def test_the_edge_of_a_maximum_is_named(
    E_range: tuple[float, float], data: tuple[float, float], said: str
) -> None:
    whole = spectrum(lognormal(E, 4.8, 3e-5, lognormal_sigma(4.8, 5.0)))
    marked = whole.assign_coords(box_phonon=((), 1.2, {"units": "meV"}))
    peak = marked.sel(E=slice(*data)).bp.boson_peak(E_range=E_range)
    assert peak.status == "maximum at edge"
    (found,) = (one for one in peak.bp.diagnostics() if one.code == "maximum_at_edge")
    assert said in found.message


def test_an_error_that_is_mostly_of_the_shape_says_so() -> None:
    """Of a Gaussian on the same axis the fit is a log-normal that misses it."""
    fine, std = np.arange(0.5, 12, 0.1), 1e-3
    for exact, misses in (
        (lognormal(fine, 5, 1.0, 0.4), False),
        (gaussian(fine, 5, 1.0, 1.6), True),
    ):
        draw = exact + std * np.random.default_rng(2).standard_normal(fine.size)
        peak = spectrum(draw, np.full(fine.size, std), fine).bp.boson_peak(
            E_range=(2, 9)
        )
        codes = [one.code for one in peak.bp.diagnostics()]
        assert ("shape_in_errors" in codes) is misses


def test_the_search_ends_where_it_is_told() -> None:
    E = np.arange(0.5, 60)
    data = spectrum(gaussian(E, 40, 3.0, 5) + 0.1, np.full(E.size, 0.02), E)
    assert str(data.bp.boson_peak().status.values) != "ok"
    found = data.bp.boson_peak("gaussian", search_below="480 1/cm")
    assert float(found.energy) == pytest.approx(40, abs=0.1)
    assert "480 1/cm" in found.attrs["history"]
    with pytest.raises(UnitsError, match="search_below"):
        data.bp.boson_peak(search_below="30 K/s")


def test_the_limits_of_a_phonon_of_the_box_are_arguments() -> None:
    E = np.arange(0.5, 20, 0.5)
    data = spectrum(gaussian(E, 6, 3.0, 2) + 0.1, np.full(E.size, 0.02), E)
    data.B.attrs["origin"] = "simulation"
    data = data.assign_coords(box_phonon=((), 4.5, {"units": "meV"}))
    ask = functools.partial(data.bp.boson_peak, "gaussian", E_range=(1, 19))
    statuses = [
        str(ask(**limits).status.values)
        for limits in (
            {}, {"above_box": 1.2}, {"above_box": 1.2, "box_margin": 0.5},
            {"above_box": 1.2, "significance": 200},
        )
    ]  # fmt: skip
    assert statuses == ["box phonon", "ok", "box phonon", "plateau"]
    for wrong in ({"above_box": 0.5}, {"box_margin": -1}, {"significance": "1 meV"}):
        with pytest.raises((QuantityError, UnitsError), match=next(iter(wrong))):
            ask(**wrong)


def test_no_maximum_is_told_what_can_be_done() -> None:
    falling = spectrum(1 / E).bp.boson_peak(E_range=(2, 15))
    rising = falling.assign(status=((), "no maximum"))
    assert "a wider range may show both sides" in repr(rising.bp)
