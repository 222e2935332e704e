"""Errors of means and fits over bins that share what was counted: they do not depend on the grid between."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr

import xbp


def flat(
    n_E: int = 100, n_Q: int = 3, std: float | np.ndarray = 0.1, **dims: int
) -> xr.Dataset:
    """S = 1 on bins of 1 meV and 1/angstrom that begin at 0."""
    Q, E = np.arange(n_Q) + 0.5, np.arange(n_E) + 0.5
    shape = (*dims.values(), n_Q, n_E)
    coords = {dim: ([f"{dim} {i}" for i in range(n)]) for dim, n in dims.items()}
    return xbp.new_dataset(
        "dynamic_structure_factor", np.ones(shape), std=np.broadcast_to(std, shape), units="1/meV",
        coords=coords | {"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        edges={"Q": np.arange(n_Q + 1.0), "E": np.arange(n_E + 1.0)}, statistics="quantum", temperature="300 K",
    )  # fmt: skip


@pytest.mark.parametrize("width", ["0.25 meV", "0.1 meV", "0.4 meV", "2 meV", "5 meV"])
def test_the_error_of_a_cut_is_that_without_the_rebinning(width: str) -> None:
    S = flat()
    cut = S.bp.rebin(E=width).bp.cut_E((10, 90))
    np.testing.assert_allclose(cut.S_std, 0.1 / np.sqrt(80), rtol=1e-12)
    np.testing.assert_allclose(S.bp.cut_E((10, 90)).S_std, 0.01118, rtol=1e-3)


def test_bins_tell_which_part_of_an_independent_one_they_hold() -> None:
    S = flat()
    np.testing.assert_allclose(S.bp.rebin(E="0.25 meV").E_independence, 0.25)
    moved = S.bp.rebin(E=np.arange(0.5, 99.6))
    np.testing.assert_allclose(moved.E_independence, 0.5)
    np.testing.assert_allclose(moved.S_std, 0.1 / np.sqrt(2))
    assert "E_independence" not in S.bp.rebin(E="2 meV").coords
    back = S.bp.rebin(E="0.25 meV").bp.rebin(E="1 meV")
    assert "E_independence" not in back.coords
    np.testing.assert_allclose(back.S_std, 0.1)
    # Two halves of one bin know what the bin knew.
    np.testing.assert_allclose(
        S.bp.rebin(E="0.25 meV").bp.rebin(E="0.5 meV").S_std, 0.1
    )


@pytest.mark.slow
@hypothesis.settings(max_examples=8, deadline=None)
@hypothesis.given(
    inner=st.lists(
        st.floats(0.05, 11.95), max_size=25, unique_by=lambda x: round(x, 2)
    ),
    over_Q=st.lists(st.floats(0.05, 3.95), max_size=6, unique_by=lambda x: round(x, 2)),
    ends=st.tuples(st.integers(0, 5), st.integers(6, 12)),
    seed=st.integers(0, 99),
    lazily=st.booleans(),
)
def test_a_cut_after_any_rebinning_has_the_error_of_the_cut(
    inner: list[float],
    over_Q: list[float],
    ends: tuple[int, int],
    seed: int,
    lazily: bool,
) -> None:
    S = flat(12, 4, np.random.default_rng(seed).uniform(0.05, 0.5, (4, 12)))
    # Whole bins of the source and of the new grid lie in the interval.
    edges = np.unique(np.round([0.0, *inner, *ends, 12.0], 2))
    q_edges = np.unique(np.round([0.0, *over_Q, 4.0], 2))
    rebinned = (S.chunk(Q=2) if lazily else S).bp.rebin(E=edges, Q=q_edges)
    direct = S.bp.cut_E(ends).bp.cut_Q((0, 4))
    along_E = S.bp.rebin(E=edges)
    np.testing.assert_allclose(
        along_E.bp.cut_E(ends).S_std, S.bp.cut_E(ends).S_std, rtol=1e-9
    )
    np.testing.assert_allclose(
        along_E.bp.cut_Q((0, 4)).bp.cut_E(ends).S_std, direct.S_std, rtol=1e-9
    )
    for cut in (
        rebinned.bp.cut_E(ends).bp.cut_Q((0, 4)),
        rebinned.bp.cut_Q((0, 4)).bp.cut_E(ends),
        rebinned.bp.rebin(Q=[0, 4.0])
        .bp.rebin(E=[float(end) for end in ends])
        .isel(E=0, Q=0),
    ):
        # What two bins share along E and along Q is taken as a product, which is exact where errors change slowly.
        np.testing.assert_allclose(cut.S_std, direct.S_std, rtol=0.05)


@pytest.mark.slow
def test_it_survives_further_dimensions_dask_and_files(tmp_path: Path) -> None:
    S = flat(40, 3, sample=2)
    expected = S.bp.cut_E((4, 36))
    for data in (S, S.chunk(sample=1, E=10)):
        fine = data.bp.rebin(E="0.2 meV", Q="0.5 1/angstrom")
        path = tmp_path / f"{len(data.chunks)}.nc"
        fine.bp.to_netcdf(path)
        for read in (fine, xbp.open_dataset(path), fine.isel(E=slice(20, 180))):
            cut = read.bp.cut_E((4, 36)).bp.rebin(Q="1 1/angstrom")
            np.testing.assert_allclose(cut.S_std, expected.S_std, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.01, 0.03, 0.1, 0.3])
def test_the_error_of_a_cut_in_Q_is_that_of_the_detectors(step: float) -> None:
    angles, E = np.arange(5.0, 131.0), np.arange(-20.0, 45.0)
    spectra = xbp.new_dataset(
        "detector_spectra", np.ones((angles.size, E.size)), std=np.full((angles.size, E.size), 0.1), units="1/meV",
        coords={"detector": (np.arange(angles.size), "1"), "E": (E, "meV")}, statistics="quantum",
    ).assign_coords(two_theta=("detector", angles, {"units": "degree"}))  # fmt: skip
    S = spectra.bp.angle_to_Q(
        step, incident_energy="50 meV", angle_width="1 degree", ki_over_kf="applied"
    )
    at_5 = S.sel(E=5.0)
    np.testing.assert_allclose(at_5.bp.cut_Q((2.1, 6.3)).S_std, 0.01327, rtol=1e-3)
    np.testing.assert_allclose(
        S.bp.rebin(Q="0.35 1/angstrom").bp.cut_Q((2.1, 6.3)).S_std.sel(E=5),
        0.01327,
        rtol=1e-3,
    )
    # Sums over E and Q do not depend on which comes first.
    both = [
        S.bp.rebin(E="5 meV").bp.cut_Q((2.1, 6.3)),
        S.bp.cut_Q((2.1, 6.3)).bp.rebin(E="5 meV"),
    ]
    np.testing.assert_allclose(both[0].S_std[:10], both[1].S_std[:10], rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "known"),
    [
        ("lognormal", True),
        ("gaussian", True),
        ("quadratic", True),
        ("lognormal", False),
        ("gaussian", False),
    ],
)
def test_finer_bins_do_not_make_a_peak_better_known(method: str, known: bool) -> None:
    E = np.arange(0.125, 30, 0.25)
    rng = np.random.default_rng(3)
    shape = np.log(E / 12) ** 2 / 0.6 if method != "gaussian" else (E - 12) ** 2 / 50
    data = xbp.new_dataset(
        "reduced_dos", 2 * np.exp(-shape) + 0.05 * rng.standard_normal(E.size), std=np.full(E.size, 0.05), units="1",
        coords={"E": (E, "meV")}, edges={"E": np.arange(121) / 4},
    )  # fmt: skip
    fine = data.bp.rebin(E="0.05 meV")
    direct, peak = (
        (d if known else d.B).bp.boson_peak(method, E_range=(4, 22))
        for d in (data, fine)
    )
    assert str(peak.status.values) == str(direct.status.values) == "ok"
    # Other bins are the top of a parabola.
    tolerance = 0.5 if method == "quadratic" else 0.05
    np.testing.assert_allclose(peak.energy_std, direct.energy_std, rtol=tolerance)
    np.testing.assert_allclose(peak.height_std, direct.height_std, rtol=tolerance)
    if known:
        np.testing.assert_allclose(peak.chi2_reduced, direct.chi2_reduced, rtol=0.15)


def test_too_few_independent_bins_are_no_peak() -> None:
    E = np.array([1.0, 2.0, 3.0])
    data = xbp.new_dataset(
        "reduced_dos", [1.0, 2.0, 1.0], std=[0.01] * 3, units="1", coords={"E": (E, "meV")}, edges={"E": [0.5, 1.5, 2.5, 3.5]}
    )  # fmt: skip
    for one in (data, data.B):
        peak = one.bp.rebin(E="0.1 meV").bp.boson_peak("lognormal", E_range=(0.5, 3.5))
        assert str(peak.status.values) != "ok"
        assert np.isnan(peak.energy)


def test_a_line_through_finer_bins_has_the_error_of_the_line() -> None:
    E = np.arange(0.5, 40)
    rng = np.random.default_rng(5)
    S = flat(40, 1, 0.1).assign(
        S=(("Q", "E"), (1 + 0.01 * E + 0.1 * rng.standard_normal(40))[np.newaxis])
    )
    S.S.attrs = flat(40, 1).S.attrs
    direct, fine = (
        d.bp.fit(lambda E, a=1.0, b=0.1: a + b * E)
        for d in (S, S.bp.rebin(E="0.25 meV"))
    )
    for name in ("a_std", "b_std", "chi2_reduced"):
        np.testing.assert_allclose(fine[name], direct[name], rtol=0.01)
    direct, fine = (
        d.bp.fit(lambda E, a=1.0, b=0.1: a + b * E)
        for d in (S.S, S.bp.rebin(E="0.25 meV").S)
    )
    for name in ("a_std", "b_std"):
        np.testing.assert_allclose(fine[name], direct[name], rtol=0.01)


def test_the_scale_of_S_Q_does_not_gain_by_finer_bins() -> None:
    Q = np.arange(0.25, 8, 0.5)
    edges = np.arange(0, 8.1, 0.5)
    rng = np.random.default_rng(11)
    curve = 1 + np.sin(Q)
    cut = xbp.new_dataset(
        "reduced_dos", 2 * curve + 0.05 * rng.standard_normal(16), std=np.full(16, 0.05), units="1",
        coords={"Q": (Q, "1/angstrom")}, edges={"Q": edges},
    )  # fmt: skip
    sq = xbp.new_dataset(
        "static_structure_factor", curve, std=np.full(16, 0.02), units="1", coords={"Q": (Q, "1/angstrom")},
        edges={"Q": edges},
    )  # fmt: skip
    direct = cut.bp.scale_to_sq(sq)
    for c, s in (
        (cut.bp.rebin(Q="0.1 1/angstrom"), sq.bp.rebin(Q="0.1 1/angstrom")),
        (cut, sq.bp.rebin(Q="0.1 1/angstrom")),
    ):
        fit = c.bp.scale_to_sq(s)
        np.testing.assert_allclose(fit.scale_std, direct.scale_std, rtol=0.02)
        np.testing.assert_allclose(fit.chi2_reduced, direct.chi2_reduced, rtol=0.1)
    np.testing.assert_allclose(
        cut.bp.rebin(Q="0.1 1/angstrom")
        .B.bp.scale_to_sq(sq.bp.rebin(Q="0.1 1/angstrom").Sq)
        .scale_std,
        cut.B.bp.scale_to_sq(sq.Sq).scale_std,
        rtol=0.02,
    )


def test_energies_at_neighbouring_Q_that_share_detectors_are_not_independent() -> None:
    E, Q = np.arange(0.25, 15, 0.5), np.arange(6) + 0.5
    B = np.broadcast_to(2 * np.exp(-(np.log(E / 5.5) ** 2) / 0.6), (6, E.size))
    data = xbp.new_dataset(
        "reduced_dos", B, std=np.full(B.shape, 0.05), units="1", coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        edges={"Q": np.arange(7.0)},
    )  # fmt: skip
    direct, fine = (
        d.bp.boson_peak().bp.dispersion()
        for d in (data, data.bp.rebin(Q="0.25 1/angstrom"))
    )
    np.testing.assert_allclose(fine.mean_energy_std, direct.mean_energy_std, rtol=1e-6)
    np.testing.assert_allclose(fine.slope_std, direct.slope_std, rtol=0.05)


@pytest.mark.slow
def test_pulls_of_a_peak_in_bins_that_were_moved_and_broadened() -> None:
    """Rebinned to bins that straddle the counted ones, and convolved: the errors are those of the draws."""
    E = np.arange(0.5, 30)
    rng = np.random.default_rng(18)
    n = 300
    exact = 2 * np.exp(-(np.log(E / 8) ** 2) / 0.8)
    draws = xbp.new_dataset(
        "reduced_dos", exact + 0.05 * rng.standard_normal((n, E.size)), std=np.full((n, E.size), 0.05), units="1",
        coords={"draw": [str(i) for i in range(n)], "E": (E, "meV")}, edges={"E": np.arange(31.0)},
    )  # fmt: skip
    truth = draws.isel(draw=[0]).assign(
        B=(("draw", "E"), exact[np.newaxis], draws.B.attrs)
    )
    for step in (lambda d: d.bp.rebin(E="0.4 meV"), lambda d: d.bp.convolve("2 meV")):
        peak = step(draws).bp.boson_peak(E_range=(3, 20))
        assert (peak.status == "ok").all()
        true = step(truth).bp.boson_peak(E_range=(3, 20)).isel(draw=0)
        # The error of the energy is mostly of the shapes that noise hides.
        for name, least in (("energy", 0.1), ("height", 0.6)):
            pulls = (peak[name] - float(true[name])) / peak[f"{name}_std"]
            assert abs(float(pulls.mean())) < 0.15, name
            assert least < float(pulls.std()) < 1.15, name


@pytest.mark.slow
def test_pulls_of_sums_after_folding_convolving_and_rebinning() -> None:
    """Means and integrals scatter as they say, whether bins were folded between their mirror images or broadened."""
    E, n = np.arange(-20, 20.1, 0.5), 300
    rng = np.random.default_rng(7)
    off = E + 0.1  # No bin is the mirror image of another.
    made = {}
    for name, e in (("even", E), ("off", off)):
        values = np.exp(-(e**2) / 8) + 0.05 * rng.standard_normal((n, 2, e.size))
        made[name] = xbp.new_dataset(
            "dynamic_structure_factor", values, std=np.full(values.shape, 0.05), units="1/meV",
            coords={"draw": [str(i) for i in range(n)], "Q": ([1.0, 2.0], "1/angstrom"), "E": (e, "meV")},
            statistics="classical", temperature="300 K",
        )  # fmt: skip
    means = [
        made[name].bp.rebin(E=width).bp.fold().bp.cut_E((1, 15)).S
        for name in made
        for width in ("0.2 meV", "0.5 meV")
    ]
    stds = [
        made[name].bp.rebin(E=width).bp.fold().bp.cut_E((1, 15)).S_std
        for name in made
        for width in ("0.2 meV", "0.5 meV")
    ]
    for step in (
        lambda d: d.bp.rebin(E="0.2 meV"),
        lambda d: d.bp.rebin(E=np.arange(-20, 20, 0.7)),
        lambda d: d.bp.convolve("2 meV").dropna("E"),
    ):
        data = step(made["even"])
        sq, cut = data.bp.integrate_E((-14, 14)), data.bp.cut_E((-5, 5))
        means += [sq.Sq, cut.S]
        stds += [sq.Sq_std, cut.S_std]
    for mean, std in zip(means, stds, strict=True):
        assert (
            0.85
            < float((mean.std("draw") / np.sqrt((std**2).mean("draw"))).mean())
            < 1.15
        )
