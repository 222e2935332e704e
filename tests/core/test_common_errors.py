"""Errors of common factors: apart, signed, by name, through the chain, and as large as draws scatter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.common_errors import fingerprint
from xbp.core.operation import CARRIER, all_operations
from xbp.errors import QuantityError

Q, E = np.arange(2.1, 8.5, 0.4), np.arange(0.5, 22, 0.5)
U2, T, SCALE = 0.012, 300.0, 0.9
U2_STD, T_STD, SCALE_STD = 0.002, 5.0, 0.1


def model() -> tuple[xr.Dataset, xr.Dataset]:
    """S(Q,E) of a glass in a can, with the noise of counting, and the can."""
    exact = xbp.models.dynamic_structure_factor(
        Q, E, energy="5.5 meV", width="6 meV", T=T, u2=U2
    ).S
    level = float(exact.mean())
    can = xr.zeros_like(exact) + 0.5 * level * np.exp(-exact.E / 10)
    can.attrs = exact.attrs
    return with_std(exact + SCALE * can, 0.03 * level), with_std(can, 1e-4 * level)


def with_std(S: xr.DataArray, std: float) -> xr.Dataset:
    S.attrs = {
        "units": "1/meV",
        "quantity": "dynamic_structure_factor",
        "statistics": "quantum",
    }
    ds = S.rename("S").drop_vars(["temperature", "u2"], errors="ignore").to_dataset()
    return ds.assign(S_std=xr.full_like(ds.S, std).assign_attrs(units="1/meV"))


def sq() -> xr.Dataset:
    return xbp.new_dataset(
        "static_structure_factor",
        np.ones(Q.size),
        units="1",
        coords={"Q": (Q, "1/angstrom")},
    )


def draws(
    n: int, rng: np.random.Generator
) -> tuple[xr.Dataset, xr.Dataset, dict[str, xr.DataArray]]:
    """n measurements, each with noise, a scale of the can, a T and a u² of its own as they were measured."""
    sample, can = model()
    names = {"draw": [f"{i}" for i in range(n)]}
    noise = xr.DataArray(
        rng.standard_normal((n, Q.size, E.size)), dims=("draw", "Q", "E"), coords=names
    )
    std = float(sample.S_std[0, 0])
    measured = with_std((sample.S + std * noise).transpose("draw", "Q", "E"), std)
    found = {
        name: xr.DataArray(
            value + error * rng.standard_normal(n), dims="draw", coords=names
        )
        for name, value, error in (
            ("scale", SCALE, SCALE_STD),
            ("T", T, T_STD),
            ("u2", U2, U2_STD),
        )
    }
    at = {
        "temperature": ("draw", found["T"].values, {"units": "K"}),
        "u2": ("draw", found["u2"].values, {"units": "angstrom**2"}),
    }
    return measured.assign_coords(at), can, found


def ratio(value: xr.DataArray, std: xr.DataArray, truth: float | None = None) -> None:
    """Hold the scatter of draws to their errors, and where the truth is known the mean of the pulls to 0."""
    width = float(value.std("draw") / np.sqrt((std**2).mean("draw")))
    assert 0.85 < width < 1.15, (value.name, width)
    if truth is not None:
        assert abs(float(((value - truth) / std).mean("draw"))) < 0.15, value.name


@pytest.mark.slow
def test_errors_of_the_chain_are_as_large_as_draws_scatter() -> None:
    measured, can, found = draws(300, np.random.default_rng(18))
    S = measured.bp.subtract(can, scale=found["scale"], scale_std=SCALE_STD)
    for B in (
        S.bp.to_gdos(T_std=T_STD, u2_std=U2_STD).bp.to_bqe(),
        S.bp.to_bqe(T_std="5 K", u2_std="0.002 angstrom^2"),
    ):
        cut, at_peak = B.bp.cut_Q((2.4, 7.6)), B.bp.cut_E(5.5, width=1)
        assert cut.sizes["source"] == 3
        ratio(cut.B.sel(E=5), cut.B_std.sel(E=5))
        ratio(
            at_peak.B.sel(Q=4.1, method="nearest"),
            at_peak.B_std.sel(Q=4.1, method="nearest"),
        )
        # The whole of a cut over everything is one common error: independent ones have averaged away.
        everything = cut.bp.cut_E((2, 15))
        ratio(everything.B, everything.B_std)
        common = (everything.B_std_common**2).sum("source")
        assert float((common / everything.B_std**2).min()) > 0.9
    peak = cut.isel(draw=slice(0, 150)).bp.boson_peak(E_range=(2, 15))
    assert (peak.status == "ok").all()
    for name in ("energy", "height", "width"):
        value, std = peak[name], peak[f"{name}_std"]
        width = float(value.std("draw") / np.sqrt((std**2).mean("draw")))
        # A wrong scale, T or u² makes another shape too, and the errors include both,
        # and the shapes that noise hides.
        assert 0.5 < width < 1.15, (name, width)
    scaled = at_peak.isel(draw=slice(0, 150)).bp.scale_to_sq(sq())
    width = float(
        scaled.scale.std("draw") / np.sqrt((scaled.scale_std**2).mean("draw"))
    )
    # B is not proportional to this S(Q), and the std contains it.
    assert 0.7 < width < 1.15


def test_a_common_error_is_the_total_less_the_independent_one() -> None:
    sample, can = model()
    S = sample.bp.subtract(can, scale=SCALE, scale_std=SCALE_STD)
    assert S.S_std_common.dims == ("source", "Q", "E")
    np.testing.assert_allclose(S.S_std_common[0], -SCALE_STD * can.S)
    np.testing.assert_allclose(
        S.S_std**2,
        sample.S_std**2 + (SCALE * can.S_std) ** 2 + (SCALE_STD * can.S) ** 2,
        rtol=1e-12,
    )
    assert S.S_std_common.attrs["units"] == "1/meV"
    cut = S.bp.cut_Q((2.4, 7.6))
    np.testing.assert_allclose(
        cut.S_std_common[0], -SCALE_STD * can.bp.cut_Q((2.4, 7.6)).S, rtol=1e-9
    )
    fine = S.bp.rebin(E="0.1 meV").bp.cut_E((2.25, 10.25))
    np.testing.assert_allclose(fine.S_std, S.bp.cut_E((2.25, 10.25)).S_std, rtol=1e-9)
    in_thz = S.bp.convert(E="THz")
    np.testing.assert_allclose(in_thz.S_std_common / in_thz.S, S.S_std_common / S.S)


@pytest.mark.slow
def test_one_factor_is_one_error_in_two_data_sets() -> None:
    sample, can = model()
    one, two = (
        sample.bp.scale(k).bp.subtract(can, scale=SCALE, scale_std=SCALE_STD)
        for k in (1, 3)
    )
    assert one.source.values.tolist() == two.source.values.tolist()
    # In the difference the can is not there any more, and its error neither.
    difference = two.bp.subtract(one)
    assert "S_std_common" not in difference
    np.testing.assert_allclose(difference.S, 2 * sample.S)
    # Nor is it if the same can was put in chunks meanwhile.
    scaled, chunks = sample.bp.scale(3), can.chunk(E=7)
    later = scaled.bp.subtract(chunks, scale=SCALE, scale_std=SCALE_STD)
    assert later.source.values.tolist() == one.source.values.tolist()
    # Nor if one was opened lazily, or is still to be computed.
    lazy = can.chunk(E=5).map(lambda v: (v * 3.0) / 3.0, keep_attrs=True)
    later = scaled.bp.subtract(lazy, scale=SCALE, scale_std=SCALE_STD)
    assert later.source.values.tolist() == one.source.values.tolist()
    # Another scale is another error: they add in squares.
    other = sample.bp.subtract(can, scale=0.8, scale_std=SCALE_STD)
    apart = one.bp.subtract(other)
    assert apart.sizes["source"] == 2
    np.testing.assert_allclose(
        (apart.S_std_common**2).sum("source"), 2 * (SCALE_STD * can.S) ** 2
    )
    # Divided by itself nothing is left of u² either.
    G = sample.bp.to_gdos(T=T, u2=U2, u2_std=U2_STD)
    assert G.sizes["source"] == 1
    back = G.bp.to_sqe()
    assert (
        "S_std_common" not in back
        or float(abs(back.S_std_common / back.S).max()) < 0.01
    )
    np.testing.assert_allclose(back.S_std, sample.S_std, rtol=0.01)


def test_components_of_T_u2_and_factors_are_derivatives() -> None:
    sample, _ = model()
    B = sample.bp.to_bqe(T=T, u2=U2, T_std=0.01, u2_std=1e-6)
    names = dict(
        zip(
            [name.split()[0] for name in B.source.values.tolist()],
            B.B_std_common,
            strict=True,
        )
    )
    x = sample.E / (xbp.core.constants.BOLTZMANN_MEV * T)
    np.testing.assert_allclose(names["u2"], 1e-6 * sample.Q**2 * B.B, rtol=1e-5)
    np.testing.assert_allclose(
        names["temperature"], B.B * (-0.01 / T * x / np.expm1(x)), rtol=1e-5
    )
    assert float(B.u2_std) == 1e-6
    scaled = sample.bp.scale(2, factor_std=0.1)
    np.testing.assert_allclose(scaled.S_std_common[0], 0.1 * sample.S)
    with pytest.raises(QuantityError, match="factor_std"):
        sample.bp.scale(2, factor_std=-1)
    with pytest.raises(QuantityError, match="u2_std"):
        sample.bp.to_bqe(T=T, u2=U2, u2_std=-1)


@pytest.mark.slow
def test_means_of_fits_do_not_shrink_a_common_error() -> None:
    sample, can = model()
    S = sample.bp.subtract(can, scale=SCALE, scale_std=SCALE_STD)
    B = S.bp.to_bqe(T=T, u2=U2)
    peaks = B.bp.boson_peak(E_range=(2, 15))
    flat = peaks.bp.dispersion()
    common = abs(float(flat.mean_energy_std_common.sum("source")))
    assert float(flat.mean_energy_std) > common
    weights = 1 / (peaks.energy_std**2 - (peaks.energy_std_common**2).sum("source"))
    expected = float(
        abs((weights * peaks.energy_std_common.sum("source")).sum() / weights.sum())
    )
    assert common == pytest.approx(expected, rel=0.05)
    line = B.bp.cut_Q((2.4, 7.6)).bp.fit("lognormal", x_range=(2, 15))
    assert float(abs(line.height_std_common).sum()) < float(line.height_std)
    assert float(line.height_std_common.sum() / line.height) == pytest.approx(
        float(
            B.bp.cut_Q((2.4, 7.6))
            .bp.boson_peak(E_range=(2, 15))
            .pipe(lambda p: p.height_std_common.sum() / p.height)
        ),
        rel=0.05,
    )


@pytest.mark.slow
def test_files_dask_and_normalizations_keep_it(tmp_path: Path) -> None:
    sample, can = model()
    S = sample.bp.subtract(can, scale=SCALE, scale_std=SCALE_STD)
    S.bp.to_netcdf(tmp_path / "S.nc")
    read = xbp.open_dataset(tmp_path / "S.nc")
    xr.testing.assert_allclose(read.bp.cut_Q((2.4, 7.6)), S.bp.cut_Q((2.4, 7.6)))
    lazily = (
        sample.chunk(Q=4)
        .bp.subtract(can, scale=SCALE, scale_std=SCALE_STD)
        .bp.cut_Q((2.4, 7.6))
    )
    assert lazily.S_std_common.chunks is not None
    np.testing.assert_allclose(lazily.S_std, S.bp.cut_Q((2.4, 7.6)).S_std)
    line = xbp.models.elastic_line(
        np.linspace(1, 8, 8), np.linspace(-4, 4, 41), u2=0.0067, resolution="1 meV"
    )
    noisy = xbp.models.with_counting_noise(line, counts=100, rng=0)
    amounts: dict[str, Any] = {
        "amount": "1 mol",
        "vanadium_amount": "1 mol",
        "E_range": (-4, 4),
        "u2": "0.0067 angstrom^2",
    }
    absolute = [
        d.bp.normalize_to_vanadium(noisy, **amounts) for d in (noisy, noisy.bp.scale(2))
    ]
    assert absolute[0].source.values.tolist() == absolute[1].source.values.tolist()
    np.testing.assert_allclose(
        absolute[0].S_std_common[0],
        absolute[0].S * absolute[0].S.attrs["normalization_std"],
        rtol=1e-9,
    )


def test_a_baseline_is_one_error_of_all_shifts() -> None:
    shift = np.arange(1.0, 60, 1)
    rng = np.random.default_rng(4)
    n = 300
    I = 5 + 0.2 * rng.standard_normal((n, shift.size))  # noqa: E741
    data = xbp.new_dataset(
        "raman_intensity", I, std=np.full(I.shape, 0.2), units="1",
        coords={"draw": [f"{i}" for i in range(n)], "E": (shift, "meV")}, temperature="300 K",
    )  # fmt: skip
    cut = data.bp.to_reduced_raman(
        baseline=[("40 meV", "45 meV"), ("50 meV", "55 meV")]
    ).bp.cut_E((2, 30))
    ratio(cut.B, cut.B_std, 0.0)


def test_nothing_is_added_where_there_is_nothing_in_common() -> None:
    sample, can = model()
    for data in (
        sample.bp.subtract(can),
        sample.bp.scale(2),
        sample.bp.to_bqe(T=T, u2=U2),
    ):
        assert not [
            name for name in data.variables if "common" in str(name) or name == "source"
        ]


def scaled(std: float = 0.2) -> xr.Dataset:
    """S(Q,E) on both sides of E, of a factor that is known to 20 %."""
    S = xbp.models.dynamic_structure_factor(
        Q, np.arange(-20, 20.5, 0.5), energy="5.5 meV", width="6 meV", T=T, u2=U2
    ).S
    ds = S.to_dataset().assign(S_std=(0.01 * S).assign_attrs(units="1/meV"))
    out: xr.Dataset = ds.bp.scale(1, std)
    return out


def test_folding_does_not_average_a_common_error_away() -> None:
    mean = scaled().bp.fold().bp.cut_Q((3, 7)).bp.cut_E((1, 15))
    assert float(mean.S_std / mean.S) == pytest.approx(0.2, rel=1e-3)


def test_scipp_carries_common_errors_with_the_values() -> None:
    pytest.importorskip("scipp")
    ds = scaled()
    there = ds.bp.to_scipp()
    back = xbp.from_scipp(there)
    xr.testing.assert_allclose(back, ds, rtol=1e-12)
    assert back.S_std_common.attrs == ds.S_std_common.attrs
    mean = xbp.from_scipp(there * 3.0).bp.cut_Q((3, 7)).bp.cut_E((1, 15))
    assert float(mean.S_std / mean.S) == pytest.approx(0.2, rel=1e-3)


def test_every_operation_on_data_carries_common_errors() -> None:
    """But for those that write, draw, or compute from no errors."""

    bare = {
        o.name
        for o in all_operations()
        if o.where == "data"
        and o.takes[0] not in ("trajectory", "force_constants", "bloch_modes")
        # The mark is below the decorator that reads it.
        and CARRIER not in o.function.__wrapped__.__dict__  # type: ignore[attr-defined]
    }
    written = {
        "to_netcdf",
        "to_zarr",
        "to_columns",
        "to_sqw",
        "to_nxspe",
        "to_spe",
        "to_csv",
        "to_scipp",
        "to_euphonic",
        "to_mantid",
    }
    assert bare <= written | {
        "to_dataframe", "explore", "diagnostics", "kinematic_limits", "label",
        "dispersion",  # which fits with them
    }  # fmt: skip


def test_one_background_cannot_count_as_two() -> None:
    """√(0.1² + (2·0.1)²), not √3·0.1: refused, and right where it is done at once."""
    E = np.arange(0.5, 40.5, 1.0)
    counts = np.random.default_rng(1).normal(1.0, 0.1, (2, E.size))
    S, can = (
        xbp.new_dataset(
            "dynamic_structure_factor", values, statistics="unknown", units="1/meV",
            std=np.full(E.size, 0.1), coords={"E": (E, "meV")},
        )
        for values in counts
    )  # fmt: skip
    once = S.bp.subtract(can, scale=2)
    np.testing.assert_allclose(once.S_std, 0.1 * 5**0.5)
    with pytest.raises(QuantityError, match="subtracted already"):
        S.bp.subtract(can).bp.scale(3).bp.subtract(can)
    exact = S.bp.subtract(can).bp.subtract(can.S)
    np.testing.assert_allclose(exact.S_std, 0.1 * 2**0.5)
    # The data themselves: (1 − s)² σ².
    np.testing.assert_allclose(S.bp.subtract(S, scale=0.9).S_std, 0.01)
    # Both have the can: in their difference it cancels, in their sum it does not.
    other = can.assign(S=(can.S + S.S).assign_attrs(S.S.attrs)).bp.subtract(can)
    assert (S.bp.subtract(can).bp.subtract(other).S_std >= 0.1 * 2**0.5).all()
    with pytest.raises(QuantityError, match="subtracted already"):
        S.bp.subtract(can).bp.subtract(other, scale=-1)


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_one_background_is_one_after_cuts_and_rebins(lazy: bool, cut: bool) -> None:
    def between(ds: xr.Dataset) -> xr.Dataset:
        coarse = ds.bp.rebin(E="2 meV")
        return coarse.bp.rebin(E="4 meV").bp.cut_E((8.5, 20.5)) if cut else coarse

    E = np.arange(0.5, 40.5, 1.0)
    S, can, other = (
        xbp.new_dataset(
            "dynamic_structure_factor", values, statistics="unknown", units="1/meV",
            std=np.full(E.size, 0.1), coords={"E": (E, "meV")},
        )
        for values in np.random.default_rng(1).normal(1.0, 0.1, (3, E.size))
    )  # fmt: skip
    if lazy:
        S, can, other = (ds.chunk() for ds in (S, can, other))
    once = between(S.bp.subtract(can))
    with pytest.raises(QuantityError, match="subtracted already"):
        once.bp.subtract(between(can))
    # Another can, or other numbers in its place, are another measurement.
    once.bp.subtract(between(other))
    template = between(can)
    once.bp.subtract(template.assign(S=template.S.copy(data=template.S.data + 0.01)))


def test_two_parts_of_one_background_are_two() -> None:
    """Their counts are others; each of them still counts once."""
    E = np.arange(0.5, 40.5, 1.0)
    S, can = (
        xbp.new_dataset(
            "dynamic_structure_factor", values, statistics="unknown", units="1/meV",
            std=np.full(E.size, 0.1), coords={"E": (E, "meV")},
        )
        for values in np.random.default_rng(1).normal(1.0, 0.1, (2, E.size))
    )  # fmt: skip
    low = S.bp.cut_E((4, 8)).bp.subtract(can.bp.cut_E((4, 8)))
    both = low.bp.subtract(can.bp.cut_E((20, 24)))
    np.testing.assert_allclose(both.S_std, 0.05 * 3**0.5)
    with pytest.raises(QuantityError, match="subtracted already"):
        both.bp.subtract(can.bp.cut_E((20, 24)))


def test_one_factor_applied_twice_is_one_error() -> None:
    """Two errors of 10 % were 14 % of the product, where one factor squared has 20 %."""
    sample = with_std(model()[0].S, 0.1)
    twice = sample.bp.scale(2, factor_std=0.2).bp.scale(2, factor_std=0.2)
    assert twice.sizes["source"] == 1
    np.testing.assert_allclose(twice.S_std_common[0], 0.2 * twice.S, rtol=1e-9)
    other = sample.bp.scale(2, factor_std=0.2).bp.scale(3, factor_std=0.2)
    assert other.sizes["source"] == 2


@pytest.mark.slow
def test_names_of_factors_are_those_of_their_values() -> None:
    """Lazy or not, whatever their unit; of more than 10⁶ values the middle is computed."""
    rng = np.random.default_rng(1)
    few = rng.normal(size=(300, 200))
    patched = few.copy()
    patched[0, 0] += 1e-3
    assert fingerprint("can", few) != fingerprint("can", patched)
    values = rng.normal(size=(1200, 1000))
    name = fingerprint("can", values)
    lazy = xr.Variable(("Q", "E"), values).chunk(Q=30)
    assert fingerprint("can", lazy) == name
    assert fingerprint("can", lazy * 3.0 / 3.0) == name
    assert len({name, *(fingerprint("can", values * k) for k in (2, 1e-60))}) == 3
    touched = []

    def seen(block: np.ndarray) -> np.ndarray:
        touched.append(block.shape)
        return block

    counted = lazy.copy(data=lazy.data.map_blocks(seen, meta=np.empty((0, 0))))
    assert fingerprint("can", counted) == name
    assert len(touched) < 5
    # What is masked in the middle is known by the rest.
    hollow = values.copy()
    hollow[400:800, 300:700] = np.nan
    other = hollow.copy()
    other[0, 0] += 1
    names = {fingerprint("can", each) for each in (hollow, other, hollow.copy())}
    assert len(names) == 2
    assert fingerprint("can", np.array(["a", "b"])) != fingerprint(
        "can", np.array(["a"])
    )


def test_components_and_errors_in_other_units_than_their_values() -> None:
    """Any of the three may be in units of its own: each is read in its own."""
    S = xbp.new_dataset(
        "dynamic_structure_factor",
        np.full((2, 3), 2.0),
        std=np.full((2, 3), 0.5),
        units="1/meV",
        coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": ([1.0, 2.0, 3.0], "meV")},
        statistics="quantum",
        temperature=300,
    )
    S = S.bp.scale(1, factor_std=0.2)
    right = S.bp.cut_E((0.5, 3.5))
    assert float(right.S_std_common[0, 0]) == pytest.approx(0.4)
    for name in ("S", "S_std", "S_std_common"):
        other = S.assign({name: S[name] / 1e3})
        other[name].attrs = S[name].attrs | {"units": "1/ueV"}
        cut = other.bp.cut_E((0.5, 3.5))
        factor = 1e3 if name == "S" else 1.0  # errors follow their values
        np.testing.assert_allclose(cut.S * factor, right.S)
        np.testing.assert_allclose(cut.S_std * factor, right.S_std)
        np.testing.assert_allclose(cut.S_std_common * factor, right.S_std_common)
    S.S_std_common.attrs["units"] = "angstrom"
    with pytest.raises(xbp.errors.UnitsError, match="S_std_common"):
        S.bp.cut_E((0.5, 3.5))
