from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.core import constants
from xbp.errors import QuantityError, RangeError, UnitsError, XbpError


@pytest.mark.slow
def test_the_error_covers_what_bands_of_energy_disagree_by(model: xr.Dataset) -> None:
    """A ripple on one side: bands of E imply different temperatures."""
    noisy = xbp.models.with_counting_noise(model, counts=1e6, rng=3)
    ripple = 1 + 0.1 * np.sin(noisy.E) * (noisy.E > 0)
    rippled = noisy.assign(S=(noisy.S * ripple).assign_attrs(noisy.S.attrs))
    good, poor = (
        data.bp.detailed_balance(E_range=(2, 18)) for data in (noisy, rippled)
    )
    assert float(poor.chi2_reduced) > 10 > float(good.chi2_reduced)
    for table in (poor, good):
        each = table.E * table.ratio / table.ratio_std
        information = np.cumsum(each**2) - each**2 / 2
        band = (6 * information / float((each**2).sum())).astype(int)
        weight = each**2 / each.E
        beta = [
            float(-(weight * np.log(table.ratio)).where(band == b).sum())
            / float((each**2).where(band == b).sum())
            for b in range(6)
        ]
        T = float(table.implied_temperature)
        by_counting = (
            T**2 * constants.BOLTZMANN_MEV / float((each**2).sum()) ** 0.5
        ) * max(1.0, float(table.chi2_reduced)) ** 0.5
        by_bands = T**2 * constants.BOLTZMANN_MEV * np.ptp(beta) / 2
        if table is poor:
            assert by_bands > 3 * by_counting
        error = by_bands if table is poor else by_counting
        assert float(table.implied_temperature_std) == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("T", [290.0, None])
def test_a_temperature_that_depends_on_the_range_is_undetermined(
    shared_data: Path, T: float | None
) -> None:
    """Benzene at 290 K: bands of E imply -335 to 345 K, and 71 K, and all 149 K."""
    S = xbp.open_dataset(shared_data / "ins" / "benzene_290_360_inc.nxspe")
    S = S.bp.angle_to_Q(0.1, ki_over_kf="applied")
    if T is not None:
        S = S.assign_coords(temperature=((), T, {"units": "K"}))
    table = S.bp.detailed_balance()
    assert str(table.status.values) == "undetermined"
    assert np.isnan(table.implied_temperature)
    assert np.isnan(table.implied_temperature_std)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "T"),
    [("bmg_LRMECS_Ei78.nxspe", 300), ("vanadium_LRMECS_Ei78.nxspe", 300),
     ("Al_ARCS_Ei80_iqe.h5", 295), ("V_ARCS_Ei120_iqe.h5", 295)],
)  # fmt: skip
def test_measured_temperatures_lie_within_two_errors(
    shared_data: Path, name: str, T: float
) -> None:
    S = xbp.open_dataset(shared_data / "ins" / name).load()
    if "detector" in S.dims:
        S = S.bp.angle_to_Q(0.1)
    table = S.bp.detailed_balance()
    if str(table.status.values) == "ok":
        assert abs(table.implied_temperature - T) < 2 * table.implied_temperature_std
    else:
        assert np.isnan(table.implied_temperature)


@pytest.mark.parametrize(("relative", "status"), [(1.0, "ok"), (10.0, "undetermined")])
def test_an_error_as_large_as_the_value_is_undetermined(
    model: xr.Dataset, relative: float, status: str
) -> None:
    std = (relative * model.S).assign_attrs(units=model.S.attrs["units"])
    table = model.assign(S_std=std).bp.detailed_balance(E_range=(2, 18))
    assert str(table.status.values) == status
    assert np.isfinite(table.implied_temperature) == (status == "ok")
    assert np.isfinite(table.implied_temperature_std) == (status == "ok")


def test_the_temperature_comes_back_with_its_error(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e5, rng=3)
    result = noisy.bp.detailed_balance(E_range=("2 meV", "18 meV"))
    T, std = float(result.implied_temperature), float(result.implied_temperature_std)
    assert abs(T - 300) < 4 * std
    assert std < 1
    assert float(result.chi2_reduced) == pytest.approx(1, abs=0.8)


@pytest.mark.slow
def test_temperature_pulls() -> None:
    S = xbp.models.dynamic_structure_factor(
        np.linspace(2, 6, 9),
        np.arange(-14.75, 15, 0.5),
        energy=5,
        width=6,
        T="150 K",
        u2="0.01 angstrom^2",
    )
    many = xr.concat([S] * 100, "run")
    noisy = xbp.models.with_counting_noise(many, counts=1e5, rng=0)
    r = noisy.bp.detailed_balance(E_range=(2, 12))
    pulls = (r.implied_temperature - 150) / r.implied_temperature_std
    assert abs(pulls.mean()) < 0.2
    assert abs(pulls.std() - 1) < 0.2


def test_ratio_is_boltzmann_on_an_uneven_grid(model: xr.Dataset) -> None:
    uneven = model.isel(E=np.r_[0:30, 40:80])
    result = uneven.S.bp.detailed_balance(E_range=(6, 15))
    expected = np.exp(-result.E / (constants.BOLTZMANN_MEV * 300))
    np.testing.assert_allclose(result.ratio, expected, rtol=2e-3)
    assert float(result.implied_temperature) == pytest.approx(300, rel=2e-3)


def test_a_background_shows(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e6, rng=1)
    spoiled = noisy.assign(
        S=(noisy.S + 0.2 * noisy.S.max()).assign_attrs(noisy.S.attrs)
    )
    result = spoiled.bp.detailed_balance(E_range=("2 meV", "18 meV"))
    assert float(result.chi2_reduced) > 20
    assert str(result.status.values) == "undetermined"
    assert float(result.temperature_at_E.sel(E=slice(15, 18)).mean()) > 400


def test_q_bins_missing_on_one_side_are_left_out(model: xr.Dataset) -> None:
    holes = model.copy(deep=True)
    holes.S[:18, :40] = np.nan  # the lower half of Q was not measured in energy gain
    assert float(
        holes.bp.detailed_balance(E_range=(2, 18)).implied_temperature
    ) == pytest.approx(300, rel=1e-9)


def test_leftover_dimensions(model: xr.Dataset) -> None:
    bare = model.drop_vars("temperature")
    cold = xbp.models.dynamic_structure_factor(
        model.Q.values, model.E.values, energy=5.5, width=6, T=150, u2=0.012
    )
    both = xr.concat([bare, cold.drop_vars("temperature")], dim="sample")
    result = both.bp.detailed_balance(E_range=(2, 18))
    np.testing.assert_allclose(result.implied_temperature, [300, 150], rtol=1e-9)


def test_one_side_only_is_an_error(glass: xr.Dataset) -> None:
    measured = glass.S.assign_attrs(statistics="quantum")
    with pytest.raises(RangeError, match="both signs"):
        measured.bp.detailed_balance()


def test_no_counterpart_is_an_error(model: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="counterpart"):
        model.sel(E=slice(-5, 19)).bp.detailed_balance(E_range=(10, 18))


def test_folding_what_obeys_detailed_balance_changes_nothing(model: xr.Dataset) -> None:
    folded = model.bp.fold()
    assert folded.E.min() > 0
    np.testing.assert_allclose(folded.S, model.S.sel(E=slice(0, None)), rtol=1e-12)
    np.testing.assert_allclose(
        model.drop_vars("temperature").bp.fold("300 K").S, folded.S
    )
    assert float(model.drop_vars("temperature").bp.fold("300 K").temperature) == 300


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["variance", "counts"])
def test_pulls_of_the_folded_mean(model: xr.Dataset, weights: str) -> None:
    true = model.S.sel(E=slice(0, None))
    pulls, gained = [], []
    for seed in range(20):
        noisy = xbp.models.with_counting_noise(model, counts=400, rng=seed)
        folded = noisy.bp.fold(weights=weights)
        pulls.append(((folded.S - true) / folded.S_std).values)
        gained.append(float((folded.S_std / noisy.S_std.sel(E=slice(0, None))).mean()))
    assert np.mean(pulls) == pytest.approx(0, abs=0.02)
    assert np.std(pulls) == pytest.approx(1, abs=0.02)
    # Two countings of N and N exp(−x): the error falls by sqrt(1 + exp(−x)).
    by_law = 1 / np.sqrt(1 + np.exp(-true.E / constants.BOLTZMANN_MEV / 300))
    assert np.mean(gained) == pytest.approx(float(by_law.mean()), rel=1e-6)


@pytest.mark.slow
def test_weights_of_counts_are_without_bias(model: xr.Dataset) -> None:
    """With σ = √N of the very number drawn, as in files, 1/σ² favours what came out low; counts do not."""
    true = model.S.sel(E=slice(2, 8))
    ratio: dict[str, list[float]] = {"variance": [], "counts": []}
    for seed in range(10):
        noisy = xbp.models.with_counting_noise(model, counts=100, rng=seed)
        per_count = (noisy.S_std**2 / model.S).max()
        own = noisy.assign(
            S_std=((noisy.S * per_count) ** 0.5).assign_attrs(noisy.S_std.attrs)
        )
        for weights, values in ratio.items():
            values.append(
                float(
                    own.bp.fold(weights=weights).S.sel(E=slice(2, 8)).sum() / true.sum()
                )
            )
    assert np.mean(ratio["counts"]) == pytest.approx(1, abs=3e-3)
    assert 0.97 < np.mean(ratio["variance"]) < 0.99
    xr.testing.assert_allclose(noisy.S.bp.fold(), noisy.bp.fold(weights="counts").S)


@pytest.mark.slow
def test_one_side_stands_in_for_the_other(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e4, rng=2)

    def masked(hole: xr.DataArray, fill: float = np.nan) -> xr.Dataset:
        return noisy.assign(
            {
                n: noisy[n].where(~hole, fill).assign_attrs(noisy[n].attrs)
                for n in ("S", "S_std")
            }
        )

    E = noisy.E
    loss = noisy.sel(E=slice(10, None))
    gain = noisy.sel(E=slice(None, -10)).isel(E=slice(None, None, -1))
    boltz = np.exp(-gain.E.values / constants.BOLTZMANN_MEV / 300)
    for name in ("S", "S_std"):
        np.testing.assert_allclose(
            masked(E < -10).bp.fold()[name].sel(E=slice(10, None)), loss[name]
        )
        np.testing.assert_allclose(
            masked(E > 10).bp.fold()[name].sel(E=slice(10, None)), gain[name] * boltz
        )
    assert masked(abs(E) < 3).bp.fold().S.sel(E=slice(0, 3)).isnull().all()
    # A side with neither counts nor error, as of a detector that was off, is not averaged in.
    np.testing.assert_allclose(
        masked(E < 0, 0.0).bp.fold().S, noisy.S.sel(E=slice(0, None))
    )


def test_fold_over_zero_classical_uneven_and_cold() -> None:
    line = xbp.models.elastic_line(
        [1.0, 2.0], np.arange(-5.0, 9.0), u2=0.01, resolution="2 meV", T="1 K"
    )
    folded = line.S.assign_attrs(statistics="classical").bp.fold()
    np.testing.assert_allclose(folded, line.S.sel(E=slice(0, None)))
    np.testing.assert_allclose(line.bp.fold().S.sel(E=0), line.S.sel(E=0))
    cold = xbp.models.dynamic_structure_factor(
        [2.0], np.arange(-19.5, 20), energy=5, width=6, T="2 K", u2=0.01
    )
    np.testing.assert_allclose(
        cold.bp.fold().S, cold.S.sel(E=slice(0, None)), rtol=1e-9
    )  # x to 113
    frozen = cold.where(cold.E > 0, 0.0).assign_coords(
        temperature=((), 0.01, {"units": "K"})
    )  # x to 22 000
    frozen.S.attrs = cold.S.attrs
    np.testing.assert_allclose(
        frozen.bp.fold().S, cold.S.sel(E=slice(0, None)), rtol=1e-9
    )
    fine = xbp.models.dynamic_structure_factor(
        [2.0, 3.0],
        np.linspace(-20, 22, 421) + 0.037,
        energy=5,
        width=6,
        T="150 K",
        u2="0.01 angstrom^2",
    )
    np.testing.assert_allclose(
        fine.bp.fold().S.sel(E=slice(2, None)), fine.S.sel(E=slice(2, None)), rtol=5e-3
    )
    assert "E_bnds" in fine.bp.fold().coords


@pytest.mark.slow
def test_fold_in_other_units_lazily_and_over_temperatures(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=100, rng=5)
    folded = noisy.bp.fold()
    other = noisy.bp.convert(E="THz").bp.fold().bp.convert(E="meV")
    np.testing.assert_allclose(other.S, folded.S, rtol=1e-9)
    np.testing.assert_allclose(other.S_std, folded.S_std, rtol=1e-9)
    lazy = noisy.chunk({"Q": 10}).bp.fold()
    assert lazy.S.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), folded)
    two = xr.concat(
        [noisy, noisy.assign_coords(temperature=((), 400.0, {"units": "K"}))],
        dim="temperature",
    )
    two = two.transpose("E", "temperature", "Q", ...)
    both = two.bp.fold()
    assert both.S.dims == ("E", "temperature", "Q")
    np.testing.assert_allclose(both.S.isel(temperature=0).transpose("Q", "E"), folded.S)


def test_folds_that_cannot_be(glass: xr.Dataset, model: xr.Dataset) -> None:
    for data, arguments in (
        (glass, {}),
        (model, {"weights": "none"}),
        (model, {"T": "5 K"}),
        (model.drop_vars("temperature"), {}),
        (model.bp.to_bqe(), {}),
        (
            model.S.drop_attrs().assign_attrs(
                units="1/meV", quantity="dynamic_structure_factor"
            ),
            {},
        ),
    ):
        with pytest.raises(XbpError):
            data.bp.fold(**arguments)


@pytest.mark.parametrize("weights", ["variance", "counts"])
def test_a_background_in_energy_gain_of_a_cold_sample_stays_there(weights: str) -> None:
    """At 5 K exp(E/kT) makes 10³⁰ of it, where loss has no counts or was not measured."""
    cold = xbp.models.dynamic_structure_factor(
        [2.0, 3.0, 4.0],
        np.arange(-29.85, 30, 0.3),
        energy=5,
        width=6,
        T="5 K",
        u2="0.01 angstrom^2",
    )
    S = cold.S.where(cold.E > 0, 0.02 * cold.S.max()).assign_attrs(cold.S.attrs)
    S[1, -20:] = 0.0  # nothing was counted
    S[2, -20:] = np.nan
    std = (abs(S) ** 0.5 * 0.01).assign_attrs(units=S.attrs["units"])
    folded = xr.Dataset({"S": S, "S_std": std}).bp.fold(weights=weights)
    E = folded.E
    np.testing.assert_allclose(
        folded.S[0].where(E > 4), S[0].sel(E=slice(0, None)).where(E > 4), rtol=1e-3
    )
    assert (folded.S[1, -20:] == 0).all()
    assert folded.S[2, -20:].isnull().all()
    assert float(folded.S.max()) < 1.2 * float(cold.S.max())


@pytest.mark.parametrize("weights", ["variance", "counts"])
def test_loss_is_left_as_it_is_where_gain_is_left_out(weights: str) -> None:
    cold = xbp.models.dynamic_structure_factor(
        [2.0, 3.0, 4.0],
        np.arange(-29.85, 30, 0.3),
        energy=5,
        width=6,
        T="5 K",
        u2="0.01 angstrom^2",
    )
    noisy = xbp.models.with_counting_noise(cold + 0.01 * cold.max(), counts=50, rng=1)
    for name in ("S", "S_std"):
        noisy[name].attrs = cold.S.attrs
    # σ of loss may be so large that 1/σ² would let gain in, e^x or not.
    noisy["S_std"] = noisy.S_std.where(noisy.E < 0, 1e3 * noisy.S_std).assign_attrs(
        noisy.S_std.attrs
    )
    masked = noisy.bp.mask_elastic("1 meV", widths=1.5)
    folded, loss = masked.bp.fold(weights=weights), masked.sel(E=slice(0, None))
    for name in ("S", "S_std"):
        np.testing.assert_array_equal(folded[name], loss[name])
    # What is left out disagrees with nothing.
    assert np.isnan(float(folded.fold_chi2))
    assert not folded.bp.diagnostics()


def test_gain_stands_in_as_far_as_it_informs(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(
        model.assign_coords(temperature=((), 60.0, {"units": "K"})), counts=100, rng=0
    )
    alone = noisy.where(noisy.E < 0).assign_coords(noisy.coords)
    for name in ("S", "S_std"):
        alone[name].attrs = noisy[name].attrs
    for data in (alone, alone.S):
        kept = data.bp.fold()
        kept = kept.S if isinstance(kept, xr.Dataset) else kept
        np.testing.assert_array_equal(
            kept.notnull().all("Q"), kept.E <= 3 * constants.BOLTZMANN_MEV * 60
        )


def test_no_counts_are_averaged_in(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=100, rng=0)
    for n in ("S", "S_std"):
        noisy[n][4, 50] = 0.0  # +5.25 meV
    folded = noisy.bp.fold()
    E = float(noisy.E[50])
    boltz = np.exp(-E / constants.BOLTZMANN_MEV / 300)
    assert float(folded.S.sel(E=E)[4]) == pytest.approx(
        float(noisy.S.sel(E=-E)[4]) / (1 + boltz), rel=1e-9
    )
    one_count = float((noisy.S_std**2 / noisy.S)[4, [49, 51]].mean())
    both = np.hypot(float(noisy.S_std.sel(E=-E)[4]), one_count)
    assert float(folded.S_std.sel(E=E)[4]) == pytest.approx(
        both / (1 + boltz), rel=1e-9
    )


@pytest.mark.slow
def test_sides_that_disagree_are_told(model: xr.Dataset) -> None:
    agree = [
        xbp.models.with_counting_noise(model, counts=400, rng=s).bp.fold()
        for s in range(5)
    ]
    assert np.mean([float(f.fold_chi2) for f in agree]) == pytest.approx(1, abs=0.03)
    assert not agree[0].bp.diagnostics()
    noisy = xbp.models.with_counting_noise(model, counts=400, rng=0)
    spoiled = noisy.assign(
        S=(noisy.S + 0.1 * noisy.S.max()).assign_attrs(noisy.S.attrs)
    )
    for data in (spoiled, spoiled.chunk({"Q": 10})):
        folded = data.bp.fold().compute()
        assert float(folded.fold_chi2) > 3
    folded = spoiled.bp.fold()
    assert [d.code for d in folded.bp.diagnostics()] == ["fold_disagrees"]
    assert [d.code for d in folded.bp.to_bqe().bp.diagnostics()] == ["fold_disagrees"]
    two = xr.concat([noisy, spoiled], dim="sample").bp.fold()
    np.testing.assert_allclose(
        two.fold_chi2, [float(agree[0].fold_chi2), float(folded.fold_chi2)]
    )


def test_sides_that_differ_by_less_than_their_errors_are_told_too(
    model: xr.Dataset,
) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=400, rng=0)
    off = noisy.S_std.where(noisy.E > 0, 0.0) * 1.3
    folded = noisy.assign(S=(noisy.S + off).assign_attrs(noisy.S.attrs)).bp.fold()
    assert 1.5 < float(folded.fold_chi2) < 2
    assert [d.code for d in folded.bp.diagnostics()] == ["fold_disagrees"]
    few = noisy.assign(S=(noisy.S + off).assign_attrs(noisy.S.attrs)).isel(Q=[3])
    part = few.where((abs(few.E) > 5) & (abs(few.E) < 7), drop=True)
    assert part.sizes["E"] < 20
    assert not part.bp.fold().bp.diagnostics()  # so few may differ by chance


@pytest.mark.slow
def test_the_elastic_line_is_left_out_by_default(model: xr.Dataset) -> None:
    line = xbp.models.elastic_line(
        model.Q.values, model.E.values, u2=0.01, resolution="1.5 meV"
    )
    off = (
        line.S.interp(E=model.E - 0.3, kwargs={"fill_value": 0.0}).values
        * 30
        * float(model.S.max())
    )
    measured = xbp.models.with_counting_noise(
        model.assign(S=(model.S + off).assign_attrs(model.S.attrs)), counts=1e6, rng=0
    )
    result = measured.bp.detailed_balance()
    assert float(result.E[0]) > 2
    assert result.attrs["E_range"] == "4 to 20 meV"
    assert float(result.chi2_reduced) < 2
    assert float(result.implied_temperature) == pytest.approx(300, rel=0.05)
    spoiled = measured.bp.detailed_balance(E_range=(0.5, 18))
    assert float(spoiled.chi2_reduced) > 10
    assert float(measured.bp.fold().fold_chi2) < 1.2
    masked = measured.bp.mask_elastic("1.5 meV", widths=1.5)
    assert float(masked.bp.detailed_balance().E[0]) == pytest.approx(2.75)


def test_another_temperature_than_the_data_carry_is_told(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e5, rng=3)
    result = noisy.bp.detailed_balance(E_range=(2, 18))
    assert str(result.status.values) == "ok"
    assert "32 points, reduced chi2 " in repr(result.bp)
    assert not result.bp.diagnostics()
    warm = noisy.assign_coords(
        temperature=((), 360.0, {"units": "K"})
    ).bp.detailed_balance(E_range=(2, 18))
    (doubt,) = warm.bp.diagnostics()
    assert doubt.code == "temperature_differs"
    assert "360 K" in doubt.message


def test_no_temperature_has_a_status(model: xr.Dataset) -> None:
    upside_down = model.S.copy(data=model.S.values[:, ::-1])
    result = upside_down.bp.detailed_balance(E_range=(2, 18))
    assert str(result.status.values) == "no temperature"
    assert np.isnan(result.implied_temperature)
    assert repr(result.bp).startswith("detailed balance: no temperature (32 points")
    nothing = (
        model.S.where(model.E > 0)
        .assign_attrs(model.S.attrs)
        .bp.detailed_balance(E_range=(2, 18))
    )
    assert str(nothing.status.values) == "no data"


@pytest.mark.slow
@given(
    unit=st.sampled_from(["meV", "THz", "1/cm", "eV"]),
    T=st.floats(5, 1000),
    scale=st.floats(1e-6, 1e6),
    weights=st.sampled_from(["variance", "counts"]),
)
def test_folding_is_the_identity_in_any_units(
    unit: str, T: float, scale: float, weights: str
) -> None:
    S = xbp.models.dynamic_structure_factor(
        [2.0, 3.0],
        np.arange(-9.5, 10),
        energy=5,
        width=6,
        T=f"{T} K",
        u2="0.01 angstrom^2",
    )
    sure = (
        S.assign(S_std=(0.1 * S.S).assign_attrs(units=S.S.attrs["units"]))
        .bp.scale(scale)
        .bp.convert(E=unit)
    )
    folded = sure.bp.fold(weights=weights)
    np.testing.assert_allclose(folded.S, sure.S.sel(E=slice(0, None)), rtol=1e-9)
    # Two errors of a tenth make one of a fourteenth, as far as energy gain counts.
    if weights == "variance":
        counts = np.arange(0.5, 10) <= 3 * constants.BOLTZMANN_MEV * T
        expected = np.where(counts, 0.1 / np.sqrt(2), 0.1)
        np.testing.assert_allclose(
            folded.S_std / folded.S,
            np.broadcast_to(expected, folded.S.shape),
            rtol=1e-9,
        )


def test_classical_data_tell_no_temperature(glass: xr.Dataset) -> None:
    both = xr.concat(
        [
            glass[["S"]]
            .isel(E=slice(1, None))
            .assign_coords(E=-glass.E[1:])[{"E": slice(None, None, -1)}],
            glass[["S"]],
        ],
        "E",
    )
    both.E.attrs["units"] = "meV"
    with pytest.raises(QuantityError, match="is classical"):
        both.bp.detailed_balance()


@pytest.mark.slow
def test_nothing_in_chunks_tells_nothing_and_does_not_warn(model: xr.Dataset) -> None:
    table = (model * np.nan).assign_attrs(model.attrs)
    table["S"].attrs = model.S.attrs
    assert (
        str(table.chunk().bp.detailed_balance(E_range=(2, 18)).compute().status.values)
        == "no data"
    )


def boltzmann(Q: np.ndarray, E: np.ndarray, kelvin: float = 300.0) -> np.ndarray:
    """Return S(Q,E) of one temperature whose shape differs from Q to Q."""
    even = np.exp(-((E / 8) ** 2)) * Q[:, None] ** 3 + 0.2
    return np.asarray(even * np.exp(E / (2 * 0.08617333262 * kelvin)))


def spectra(S: np.ndarray, Q: np.ndarray, E: np.ndarray, **more: object) -> xr.Dataset:
    return xbp.new_dataset(
        "dynamic_structure_factor", S, units="1/meV",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")}, **{"statistics": "unknown"} | more,
    )  # fmt: skip


@pytest.mark.parametrize("missing", ["gain", "loss"])
def test_only_what_both_sides_hold_is_compared(missing: str) -> None:
    Q, E = np.array([1.0, 2.0, 4.0]), np.arange(-20, 20.5, 0.5)
    S = boltzmann(Q, E)
    side = E < -3 if missing == "gain" else E > 3
    S[2, side & (abs(E) < 12)] = np.nan
    for more in ({}, {"std": 0.01 * S}):
        found = spectra(S, Q, E, **more).bp.detailed_balance(E_range=(2, 18))
        assert float(found.implied_temperature) == pytest.approx(300, rel=1e-6)
        np.testing.assert_allclose(found.temperature_at_E, 300, rtol=1e-6)


@pytest.mark.parametrize("spoiled", [0.0, -1.0, np.nan])
def test_energies_without_a_ratio_do_not_count(spoiled: float) -> None:
    Q, E = np.array([1.0, 2.0]), np.arange(-20, 20.5, 0.5)
    S = boltzmann(Q, E)
    S[:, E == -7.5] = spoiled
    S[:, E == 10] = spoiled
    held = int(((E >= 2) & (E <= 18)).sum()) - 2
    for more in ({}, {"std": 0.01 * abs(S) + 0.01}):
        found = spectra(S, Q, E, **more).bp.detailed_balance(E_range=(1.75, 18.25))
        assert float(found.implied_temperature) == pytest.approx(300, rel=1e-6)
        assert int(found.n_points) == held
        assert found.temperature_at_E.sel(E=[7.5, 10]).isnull().all()


def test_chi2_of_folding_leaves_the_line_out_where_few_spectra_hold_it() -> None:
    """The line is as wide as in those spectra that were measured there."""
    Q, E = np.array([1.0, 2.0, 3.0, 4.0]), np.arange(-20, 20.5, 0.5)
    S = np.exp(-((E / 8) ** 2)) * np.ones((4, 1)) * np.exp(E / (2 * 25.852))
    line = abs(E) <= 4
    # Off balance within the line, and there alone.
    S[:, line] += 10 * (1 - abs(E[line]) / 4.5) * (1 + 0.3 * np.sign(E[line]))
    S[1:, (abs(E) > 0.1) & line] = np.nan
    data = spectra(
        S, Q, E, std=np.full(S.shape, 0.01), temperature="300 K", statistics="quantum"
    )
    assert float(data.bp.fold(reversed_below=None).fold_chi2) < 1e-3


@pytest.mark.parametrize("spoiled", [False, True])
def test_without_a_temperature_energies_to_three_kt_of_a_first_pass_are_used(
    spoiled: bool,
) -> None:
    """Beyond, a background with large errors does not count for the first pass."""
    E = np.arange(-59.5, 60.0)
    T = 100.0
    half_x = E / (2 * 0.08617333262 * T)
    S = np.exp(-abs(E) / 40 + half_x)
    std = 1e-3 * S
    if spoiled:
        far = abs(E) > 40
        S[far] += 1e-3
        std[far] = 10 * S[far]
    data = xbp.new_dataset(
        "dynamic_structure_factor",
        S,
        statistics="unknown",
        std=std,
        units="1/meV",
        coords={"E": (E, "meV")},
    )
    table = data.bp.detailed_balance()
    used = table.E[np.isfinite(table.temperature_at_E)]
    assert float(used.max()) == pytest.approx(3 * 0.08617333262 * T, abs=1.0)
    assert float(table.implied_temperature) == pytest.approx(T, rel=1e-3)


def test_the_bin_of_the_elastic_line_is_left_out_of_any_range() -> None:
    """It contains E = 0 and both sides; a range from 0, or from below, begins after it."""
    E = np.arange(-20, 20.5, 0.5)
    S = xbp.models.dynamic_structure_factor(
        [2.0, 3.0], E, energy="5 meV", width="4 meV", T="280 K", u2="0.01 angstrom^2"
    )
    for low in (0.0, -3.0):
        table = S.bp.detailed_balance(E_range=(low, 18))
        assert table.E.values[[0, -1]].tolist() == [0.5, 18]
        assert int(table.n_points) == 36


@pytest.mark.slow
def test_the_temperature_does_not_depend_on_the_unit_of_energy(
    model: xr.Dataset,
) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e4, rng=1)
    here = noisy.bp.detailed_balance(E_range=("2 meV", "18 meV"))
    there = noisy.bp.convert(E="THz").bp.detailed_balance(E_range=("2 meV", "18 meV"))
    for name in ("implied_temperature", "implied_temperature_std", "temperature_at_E"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-6)


@pytest.mark.parametrize("size", [1e8, 6.2, 7.2])
def test_three_energies_by_hand(size: float) -> None:
    """ln S(−E)/S(E) = −βE with β = 0.03, 0.05, 0.04 and 15, 10, 75 % of the weight."""
    E, beta = np.array([1.0, 2.0, 3.0]), np.array([0.03, 0.05, 0.04])
    part = np.array([0.15, 0.1, 0.75])
    mean = (part * beta).sum()
    information = part * (2 * size / (part * (beta - mean) ** 2).sum())
    relative = E / np.sqrt(2 * information)  # of each side
    gain = np.exp(-beta * E)
    S = np.concatenate([gain[::-1], [1.0], np.ones(3)])
    std = np.concatenate([(relative * gain)[::-1], [0.1], relative])
    data = xbp.new_dataset(
        "dynamic_structure_factor", S, statistics="unknown", std=std, units="1/meV",
        coords={"E": (np.arange(-3.0, 4), "meV")},
    )  # fmt: skip
    table = data.bp.detailed_balance(E_range=(1, 3))
    kelvin = 1 / (constants.BOLTZMANN_MEV * mean)
    assert float(table.implied_temperature) == pytest.approx(kelvin)
    assert float(table.chi2_reduced) == pytest.approx(size)
    # Each energy is a band of its own, and bands range from 0.03 to 0.05. Chance alone
    # gives χ² of two degrees of freedom above 13.8 in one of 1000 cases.
    counting = np.sqrt(size / information.sum())
    error = 0.01 if size > 13.8 / 2 else counting
    assert float(table.implied_temperature_std) == pytest.approx(kelvin * error / mean)
    each = 1 / (constants.BOLTZMANN_MEV * beta)
    np.testing.assert_allclose(table.temperature_at_E, each)
    of_each = each / (beta * np.sqrt(information))
    np.testing.assert_allclose(table.temperature_at_E_std, of_each)


@pytest.mark.slow
@pytest.mark.parametrize("E", [np.arange(-19.75, 20, 0.5), np.arange(-19.9, 20, 0.5)])
def test_means_of_folded_bins_have_the_error_of_what_was_measured(
    E: np.ndarray,
) -> None:
    """A mean is Σ c_i S_i of measured bins, and its variance Σ c_i² σ_i².

    On a grid that is not symmetric, energy gain is interpolated, and neighbours share
    measured bins.
    """

    def folded(values: np.ndarray, fine: bool) -> xr.Dataset:
        data = xbp.new_dataset(
            "dynamic_structure_factor", values, std=std, units="1/meV",
            coords={"E": (E, "meV")}, temperature="300 K",
            statistics="quantum",
        )  # fmt: skip
        data = data.bp.rebin(E="0.25 meV") if fine else data
        return data.bp.fold(weights="counts").bp.cut_E((4, 8))

    S = 1 + np.exp(-(E**2) / 50)
    std = 0.01 * (1 + 0.5 * np.sin(E))
    for fine in (False, True):
        one = folded(S, fine)
        slopes = [
            float(folded(S + 0.01 * np.eye(E.size)[i], fine).S - one.S) / 0.01
            for i in np.flatnonzero((abs(E) > 2) & (abs(E) < 10))
        ]
        sigma = std[(abs(E) > 2) & (abs(E) < 10)]
        exact = np.sqrt(((np.array(slopes) * sigma) ** 2).sum())
        assert float(one.S_std) == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize(
    ("change", "status"),
    [(0.0, "undetermined"), (0.3, "no temperature")],
)
def test_why_there_is_no_temperature(change: float, status: str) -> None:
    """Noise hides the ratio, or energy gain exceeds loss; what follows says so."""
    E = np.arange(-9.75, 10, 0.5)
    values = 5 + change * (E < 0) + 0.001 * E
    S = xbp.new_dataset(
        "S(Q,E)", values, std=np.full(E.size, 0.1 if change else 1.0), units="1/meV",
        coords={"E": (E, "meV")}, statistics="quantum",
    )  # fmt: skip
    table = S.bp.detailed_balance(E_range=(1, 9))
    assert table.status == status
    (doubt,) = table.bp.diagnostics()
    assert doubt.code == "no_temperature"
    assert doubt.fix
    with pytest.raises(UnitsError, match=f"the status of its table is '{status}'"):
        S.bp.fold(T=table.implied_temperature)
