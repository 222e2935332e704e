from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xbp
from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    UnitsError,
    XbpError,
)
from xbp.reduction.comparable import off_scale

THZ = 0.2417989242084918  # THz per meV


def test_convert_is_the_jacobian_and_keeps_the_integral(glass: xr.Dataset) -> None:
    new = glass.bp.convert(E="THz", Q="1/nm")
    np.testing.assert_allclose(new.E, glass.E * THZ, rtol=1e-12)
    np.testing.assert_allclose(new.Q, glass.Q * 10, rtol=1e-12)
    for name, units in {
        "S": "1/THz",
        "S_std": "1/THz",
        "g": "1/THz",
        "g_std": "1/THz",
    }.items():
        np.testing.assert_allclose(
            new[name].values, glass[name].values / THZ, rtol=1e-12
        )
        assert new[name].attrs["units"] == units
    np.testing.assert_allclose(
        new.S.integrate("E").values, glass.S.integrate("E").values, rtol=1e-12
    )
    np.testing.assert_array_equal(new.Sq.values, glass.Sq.values)
    assert new.Q.attrs["units"] == "1/nm"


def test_convert_rescales_arbitrary_units_too(glass: xr.Dataset) -> None:
    S = glass.S.assign_attrs(units="1")
    new = S.bp.convert(E="1/cm")
    np.testing.assert_allclose(
        new.integrate("E").values, S.integrate("E").values, rtol=1e-12
    )
    assert new.bp.convert(E="meV").attrs["units"] == "1"
    np.testing.assert_allclose(new.bp.convert(E="meV").values, S.values, rtol=1e-12)


def test_convert_rewrites_b_but_not_g(glass: xr.Dataset) -> None:
    B = glass.bp.to_bqe().bp.convert(E="THz")
    np.testing.assert_allclose(
        B.B.values, glass.bp.to_bqe().B.values / THZ**2, rtol=1e-12
    )
    assert B.B.attrs["units"] == B.B_std.attrs["units"] == "angstrom**2/THz**2"
    G = glass.bp.to_gdos().bp.convert(E="THz")
    np.testing.assert_array_equal(G.G.values, glass.bp.to_gdos().G.values)


def test_convert_carries_bounds() -> None:
    S = xbp.new_dataset(
        "dynamic_structure_factor", np.ones(3), statistics="unknown", units="1/meV", coords={"E": ([1.0, 2.0, 3.0], "meV")},
        edges={"E": [0.5, 1.5, 2.5, 3.5]},
    )  # fmt: skip
    new = S.bp.convert(E="THz")
    np.testing.assert_allclose(new.E_bnds, S.E_bnds * THZ)
    assert new.E.attrs["bounds"] == "E_bnds"


def test_angular_frequency_is_named() -> None:
    S = xbp.new_dataset(
        "dynamic_structure_factor",
        np.ones(3),
        statistics="unknown",
        units="1",
        coords={"E": ([1.0, 2.0, 3.0], "rad/ps")},
    )
    with pytest.raises(UnitsError, match="ambiguous"):
        S.bp.convert(E="meV")
    np.testing.assert_allclose(
        S.bp.convert(E="THz", frequency="angular").E, np.array([1, 2, 3]) / (2 * np.pi)
    )


@pytest.mark.parametrize(
    ("kwargs"),
    [
        {"E": "K"},
        {"E": "1/angstrom**2"},
        {"Q": "meV"},
        {"E": "nonsense"},
        {"temperature": "K"},
    ],
)
def test_bad_conversions(kwargs: dict[str, str]) -> None:
    S = xbp.new_dataset(
        "dynamic_structure_factor",
        np.ones((2, 2)),
        statistics="unknown",
        units="1",
        coords={"Q": ([1, 2], "1/angstrom"), "E": ([1, 2], "meV")},
    )
    with pytest.raises(UnitsError):
        S.bp.convert(**kwargs)


def test_scale_takes_values_std_and_units(glass: xr.Dataset) -> None:
    new = glass.bp.scale("-2 barn")
    np.testing.assert_array_equal(new.S, -2 * glass.S)
    np.testing.assert_array_equal(new.S_std, 2 * glass.S_std)
    assert new.S.attrs["units"] == new.S_std.attrs["units"] == "b/meV"
    np.testing.assert_array_equal(new.g, glass.g)
    with pytest.raises(UnitsError):
        glass.bp.scale(np.nan)


def test_subtract_is_exact_with_errors_in_quadrature(glass: xr.Dataset) -> None:
    can = glass.bp.scale(0.3)
    new = glass.bp.subtract(can, scale=0.92)
    np.testing.assert_allclose(new.S, glass.S * (1 - 0.276), rtol=1e-12, atol=1e-18)
    np.testing.assert_allclose(new.S_std, glass.S_std * np.hypot(1, 0.276), rtol=1e-12)


def test_a_part_of_the_same_numbers_takes_its_errors_along(glass: xr.Dataset) -> None:
    left = glass.bp.subtract(glass, scale=0.25)
    np.testing.assert_allclose(left.S_std, 0.75 * glass.S_std, rtol=1e-12)


def test_subtract_converts_the_background(glass: xr.Dataset) -> None:
    S = glass.S
    other = (S * 1000).assign_attrs(S.attrs, units="1/eV")
    assert float(abs(S.bp.subtract(other)).max()) < 1e-12
    with pytest.raises(UnitsError, match="background"):
        S.bp.subtract(S.assign_attrs(units="barn"))
    with pytest.raises(UnitsError):
        S.bp.subtract(S, scale="2 meV")


@pytest.mark.slow
def test_a_factor_over_energy_or_momentum(glass: xr.Dataset) -> None:
    can = glass.bp.scale(0.3)
    transmission = xr.DataArray(
        np.linspace(0.9, 1, glass.sizes["E"]), dims="E", coords={"E": glass.E}
    )
    shielding = xr.DataArray(
        np.linspace(0.8, 1, glass.sizes["Q"]), dims="Q", coords={"Q": glass.Q}
    )
    for factor in (transmission, shielding, transmission * shielding):
        new = glass.bp.subtract(can, scale=factor)
        assert new.S.dims == glass.S.dims
        np.testing.assert_allclose(
            new.S, (glass.S - 0.3 * factor * glass.S).transpose(*new.S.dims), atol=1e-15
        )
        expected = (glass.S_std**2 + (0.3 * factor * glass.S_std) ** 2) ** 0.5
        np.testing.assert_allclose(new.S_std, expected.transpose(*new.S.dims))
    percent = (transmission * 100).assign_attrs(units="percent")
    xr.testing.assert_allclose(
        glass.bp.subtract(can, percent).S, glass.bp.subtract(can, transmission).S
    )
    assert "0.9...1" in glass.bp.subtract(can, transmission).S.attrs["history"]
    lazy = glass.chunk({"Q": 50}).bp.subtract(can.chunk({"Q": 50}), transmission)
    assert lazy.S.chunks is not None
    xr.testing.assert_allclose(
        lazy.compute().S_std, glass.bp.subtract(can, transmission).S_std
    )


def test_the_error_of_the_factor_counts(glass: xr.Dataset) -> None:
    can = glass.bp.scale(0.3)
    new = glass.bp.subtract(can, scale=0.92, scale_std=0.05)
    expected = np.sqrt(
        glass.S_std**2 + (0.92 * 0.3 * glass.S_std) ** 2 + (0.05 * 0.3 * glass.S) ** 2
    )
    np.testing.assert_allclose(new.S_std, expected)
    exact = glass.bp.subtract(can.S, scale=0.92, scale_std=0.05)  # a can without std
    np.testing.assert_allclose(
        exact.S_std, np.sqrt(glass.S_std**2 + (0.05 * 0.3 * glass.S) ** 2)
    )


@pytest.mark.slow
def test_errors_of_a_difference_are_those_of_its_counts(model: xr.Dataset) -> None:
    can = model.bp.scale(0.4)
    true = model.bp.subtract(can, scale=0.9)
    pulls = []
    for seed in range(20):
        sample = xbp.models.with_counting_noise(model, counts=300, rng=seed)
        background = xbp.models.with_counting_noise(can, counts=200, rng=1000 + seed)
        new = sample.bp.subtract(background, scale=0.9)
        pulls.append(((new.S - true.S) / new.S_std).values)
    assert np.mean(pulls) == pytest.approx(0, abs=0.02)
    assert np.std(pulls) == pytest.approx(1, abs=0.02)


def test_flux_factors_are_compared(glass: xr.Dataset) -> None:
    mine, its = (glass.S.assign_attrs(ki_over_kf=k) for k in ("applied", "not applied"))
    with pytest.raises(QuantityError, match="ki_over_kf 'not applied'"):
        mine.bp.subtract(its)
    assert float(abs(mine.bp.subtract(mine)).max()) == 0
    assert (
        float(abs(mine.bp.subtract(glass.S)).max()) == 0
    )  # one that does not say is taken as alike


@pytest.mark.parametrize("which", ["scale", "scale_std"])
def test_factors_that_are_none(glass: xr.Dataset, which: str) -> None:
    E = xr.DataArray(np.ones(glass.sizes["E"]), dims="E", coords={"E": glass.E + 1})
    for wrong in (
        E,
        E.rename(E="x"),
        E.astype(str),
        np.ones(3),
        np.nan,
        "0.9 meV",
        "a",
        E.assign_attrs(units="K"),
    ):
        with pytest.raises(XbpError):
            glass.bp.subtract(glass, **{which: wrong})
    with pytest.raises(QuantityError, match="scale_std=-1"):
        glass.bp.subtract(glass, scale_std=-1)


@pytest.mark.parametrize("wrong", ["0.92±0.03", (0.92, 0.03), [0.92, 0.03]])
def test_a_factor_with_its_error_in_one_argument(glass: xr.Dataset, wrong: Any) -> None:
    with pytest.raises(UnitsError, match=r"scale_std=0\.03"):
        glass.bp.subtract(glass, scale=wrong)
    with pytest.raises(UnitsError, match=r"factor_std=0\.03"):
        glass.bp.scale(wrong)


def test_an_error_in_percent_is_refused(glass: xr.Dataset) -> None:
    """It could be of the factor; the factor itself may be in percent."""
    for call in (
        lambda: glass.bp.subtract(glass, 0.9, scale_std="3 %"),
        lambda: glass.bp.scale(0.9, factor_std="3 %"),
    ):
        with pytest.raises(UnitsError, match="absolute, or relative"):
            call()
    glass.bp.subtract(glass, "90 %", scale_std=0.03)


def test_two_geometries_are_not_subtracted(glass: xr.Dataset) -> None:
    direct, indirect = (
        glass.assign(S=glass.S.assign_attrs(geometry=geometry))
        for geometry in ("direct", "indirect")
    )
    with pytest.raises(QuantityError, match="geometry 'indirect'"):
        direct.bp.subtract(indirect)
    direct.bp.subtract(direct)


def test_grids_off_by_a_rounding_are_refused_with_both_named(glass: xr.Dataset) -> None:
    other = glass.assign_coords(E=("E", glass.E.values + 1e-7, glass.E.attrs))
    with pytest.raises(
        CoordinateError, match=r"146 points from 0 .* 146 from 1e-07"
    ) as caught:
        glass.bp.subtract(other)
    assert "1e-07" in str(caught.value)
    with pytest.raises(CoordinateError, match="145 from"):
        glass.bp.subtract(glass.isel(E=slice(1, None)))


def test_another_quantity_is_no_background(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError):
        glass.bp.subtract(glass.bp.to_gdos())


def test_no_stale_unit_survives_the_chain(glass: xr.Dataset) -> None:
    """Raw arithmetic keeps attrs; no xbp function may trust them."""
    G = glass.S.bp.to_gdos()
    B = G.bp.to_bqe()
    assert [a.attrs["units"] for a in (glass.S, G, B, B.bp.to_sqe())] == [
        "1/meV",
        "angstrom**2",
        "angstrom**2/meV**2",
        "1/meV",
    ]
    assert B.bp.cut_E(3, width=1).bp.scale(2).attrs["units"] == "angstrom**2/meV**2"
    peak = B.bp.cut_Q((2, 8)).bp.boson_peak(E_range=(1.2, 12))
    assert [peak[n].attrs["units"] for n in ("energy", "height", "width")] == [
        "meV",
        "angstrom**2/meV**2",
        "meV",
    ]


@pytest.mark.slow
@settings(max_examples=20)
@given(
    unit=st.sampled_from(["meV", "THz", "1/cm"]),
    factor=st.floats(0.01, 2),
    error=st.floats(0, 0.5),
    percent=st.booleans(),
)
def test_a_difference_is_the_same_in_any_units(
    unit: str, factor: float, error: float, percent: bool
) -> None:
    line = xbp.models.elastic_line(
        [1.0, 2.0], np.arange(-5.0, 6), u2=0.01, resolution="2 meV"
    )
    data = xbp.models.with_counting_noise(line, counts=100, rng=1)
    can = xbp.models.with_counting_noise(line, counts=50, rng=2)
    here = data.bp.subtract(can, factor, scale_std=error)
    written = [
        f"{100 * number} percent" if percent else number for number in (factor, error)
    ]
    there = data.bp.convert(E=unit).bp.subtract(
        can.bp.convert(E=unit, Q="1/nm"), written[0], scale_std=written[1]
    )
    back = there.bp.convert(E="meV")
    np.testing.assert_allclose(back.S, here.S, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(back.S_std, here.S_std, rtol=1e-9, atol=1e-12)


def test_a_table_of_peaks_in_other_units() -> None:
    """The same as the peaks found in converted data."""
    E = np.linspace(10, 200, 120)
    values = 3 * np.exp(-(np.log(E / 45) ** 2) / 0.7)
    b = xbp.new_dataset(
        "reduced_dos",
        values,
        std=0.01 + 0 * E,
        units="angstrom^2*cm^2",
        coords={"E": (E, "1/cm")},
    )
    there = b.bp.boson_peak().bp.convert(E="meV")
    here = b.bp.convert(E="meV").bp.boson_peak()
    for name in ("energy", "energy_std", "height", "width", "E_low", "E_high"):
        assert float(there[name]) == pytest.approx(float(here[name]), rel=1e-6), name
        assert there[name].attrs["units"] == here[name].attrs["units"]
    assert there.attrs["history"].splitlines()[-1].startswith('{"operation": "convert"')
    with pytest.raises(UnitsError, match="E='angstrom'"):
        b.bp.boson_peak().bp.convert(E="angstrom")


MOMENTA, ENERGIES, RUNS = np.arange(0.5, 6.01, 0.25), np.arange(0.5, 20), np.arange(60)


def noisy(rng: np.random.Generator, *dims: str) -> xr.Dataset:
    axes = {"Q": (MOMENTA, "1/angstrom"), "E": (ENERGIES, "meV"), "run": (RUNS, "1")}
    coords = {dim: axes[dim] for dim in dims}
    shape = [axis.size for axis, _ in coords.values()]
    return xbp.new_dataset(
        "dynamic_structure_factor",
        3 + 0.1 * rng.standard_normal(shape),
        std=np.full(shape, 0.1),
        units="1/meV",
        dims=dims,
        coords=coords,
        temperature="300 K",
        statistics="quantum",
    )


@pytest.mark.slow
@pytest.mark.parametrize("along", ["Q", "E"])
def test_a_background_without_a_dimension_does_not_average_out_along_it(
    along: str,
) -> None:
    """Drawn: over all bins the errors are those of the scatter, over a part no less."""
    rng = np.random.default_rng(3)
    other = "E" if along == "Q" else "Q"
    net = noisy(rng, "run", "Q", "E").bp.subtract(noisy(rng, "run", other))
    cut = {"Q": net.bp.cut_Q, "E": net.bp.cut_E}[along]
    limits = {"Q": (0.375, 6.125), "E": (0, 20)}
    whole = cut(limits[along])
    both = {"Q": whole.bp.cut_Q, "E": whole.bp.cut_E}[other](limits[other])
    means = {"whole": whole, "part": cut((1.125, 4.125)), "both": both}
    pulls = {name: (mean.S / mean.S_std).values for name, mean in means.items()}
    assert np.std(pulls["whole"]) == pytest.approx(1, abs=0.06)
    assert np.std(pulls["both"]) == pytest.approx(1, abs=0.3)
    assert 0.6 < np.std(pulls["part"]) < 1.06


def test_errors_of_shared_backgrounds_by_hand() -> None:
    rng = np.random.default_rng(1)
    data, flat = noisy(rng, "Q", "E"), noisy(rng, "E").isel(E=0, drop=True)
    net = data.bp.subtract(noisy(rng, "E"))
    bins = MOMENTA.size
    mean = net.bp.cut_Q((0.375, 6.125)).S_std
    np.testing.assert_allclose(mean, np.sqrt(0.01 / bins + 0.01), rtol=1e-9)
    # Of a mean over a part, and with weights of a factor, as in B(Q,E).
    few = net.bp.cut_Q((1.125, 4.125)).S_std
    np.testing.assert_allclose(few, np.sqrt(0.01 / 12 + 0.01), rtol=1e-9)
    F = xr.DataArray(np.linspace(1, 9, bins), {"Q": net.Q}, "Q")
    steep = net.assign(S=(net.S * F).assign_attrs(net.S.attrs), S_std=net.S_std * F)
    mean = steep.bp.cut_Q((0.375, 6.125)).S_std
    exact = np.sqrt(0.01 * (F**2).sum() / bins**2 + 0.01 * F.mean() ** 2)
    np.testing.assert_allclose(mean, float(exact), rtol=1e-9)
    both = net.bp.cut_E((0, 20)).bp.cut_Q((0.375, 6.125)).S_std
    exact = np.sqrt((0.01 / bins + 0.01) / ENERGIES.size)
    assert float(both) == pytest.approx(exact, rel=1e-9)
    # One number for the whole map is one factor.
    one = data.bp.subtract(flat)
    assert list(one.S_std_common.dims) == ["source", "Q", "E"]
    part = one.bp.cut_Q((1.125, 4.125)).S_std
    np.testing.assert_allclose(part, np.sqrt(0.01 / 12 + 0.01), rtol=1e-9)
    # A background whose bins share counts makes those of the difference share them.
    fine, fine_can = (noisy(rng, "E").bp.rebin(E=0.25) for _ in range(2))
    alone = fine.drop_vars("E_independence").bp.subtract(fine_can).bp.cut_E((0, 20))
    exact = np.sqrt(0.01 / 80 + 0.01 / 20)
    assert float(alone.S_std) == pytest.approx(exact, rel=1e-9)


def test_one_background_for_all_detectors_is_refused() -> None:
    def spectra(*dims: str) -> xr.Dataset:
        axes = {"detector": ([0, 1], "1"), "E": (ENERGIES, "meV")}
        shape = [len(axes[dim][0]) for dim in dims]
        return xbp.new_dataset(
            "detector_spectra",
            np.ones(shape),
            std=np.ones(shape),
            units="1/meV",
            dims=dims,
            coords={dim: axes[dim] for dim in dims},
            statistics="quantum",
        )

    both = spectra("detector", "E")
    with pytest.raises(QuantityError, match="detectors"):
        both.bp.subtract(spectra("E"))
    exact = both.bp.subtract(spectra("E").drop_vars("S_std"))
    np.testing.assert_array_equal(exact.S_std, both.S_std)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Q": (4, 8)}, "Q 4 to 8 1/angstrom, the data 2 to 8"),
        ({"Q": (3, 7)}, "Q 3 to 7 1/angstrom, the data 2 to 8"),
        ({"T": 100.0}, "temperature 100 K, the data 300"),
        ({}, ""),
    ],
)
def test_a_background_of_elsewhere_is_told(
    glass: xr.Dataset, change: dict[str, Any], said: str
) -> None:
    can = glass.assign_coords(
        temperature=((), change.get("T", 300.0), {"units": "K"})
    ).bp.cut_Q(change.get("Q", (2, 8)))
    found = glass.bp.cut_Q((2, 8)).bp.subtract(can, scale=0.1).bp.diagnostics()
    assert [d.code for d in found] == ["background_elsewhere"] * bool(said)
    assert said in "".join(map(str, found))


@pytest.mark.parametrize("finer", [None, "0.25 meV"])
def test_a_background_of_all_Q_has_the_error_that_draws_scatter_by(
    finer: str | None,
) -> None:
    """Its own bins may share counts along E too; over parts of Q the error is wide."""
    rng, n = np.random.default_rng(0), 300
    Q, E = np.arange(1.25, 6, 0.5), np.arange(0.5, 20, 1.0)
    run, axis = (np.arange(n), "1"), (E, "meV")
    S = xbp.new_dataset(
        "dynamic_structure_factor", rng.normal(1, 0.1, (n, Q.size, E.size)),
        statistics="unknown", units="1/meV", std=np.full((n, Q.size, E.size), 0.1),
        coords={"run": run, "Q": (Q, "1/angstrom"), "E": axis},
    )  # fmt: skip
    can = xbp.new_dataset(
        "dynamic_structure_factor", rng.normal(0.5, 0.1, (n, E.size)), statistics="unknown", units="1/meV",
        std=np.full((n, E.size), 0.1), coords={"run": run, "E": axis},
    )  # fmt: skip
    if finer:
        S, can = S.bp.rebin(E=finer), can.bp.rebin(E=finer)
    left = S.bp.subtract(can)
    for cut, least in (
        (left.bp.cut_Q((1, 6)).isel(E=5), 0.85),
        (left.bp.cut_Q((1, 6)).bp.cut_E((3, 7)), 0.85),
        (left.bp.cut_E((3, 7)).isel(Q=3), 0.85),
        (left.bp.cut_Q((1, 3)).bp.cut_E((3, 7)), 0.7),
    ):
        width = float(cut.S.std("run") / np.sqrt((cut.S_std**2).mean("run")))
        assert least < width < 1.15


@pytest.mark.parametrize("with_std", [True, False])
def test_a_difference_below_its_errors_is_doubted(with_std: bool) -> None:
    """A scale of 92, or twice too large; 0.5 ± 0.5 leaves nothing to doubt."""
    axes = {"E": (np.arange(1.0, 101), "meV")}
    sample, can = (
        xbp.new_dataset(
            "S(Q,E)", np.full(100, level), std=np.full(100, 0.1) if with_std else None,
            units="1/meV", coords=axes, statistics="quantum",
        )
        for level in (2.0, 2.0)
    )  # fmt: skip

    def doubts(*args: Any, **kwargs: Any) -> set[str]:
        return {
            one.code for one in sample.bp.subtract(*args, **kwargs).bp.diagnostics()
        }

    assert "oversubtracted" in doubts(can, scale=92)
    assert "oversubtracted" in doubts(can, scale=2)
    assert "oversubtracted" not in doubts(can, scale=0.5)
    if with_std:
        assert "oversubtracted" not in doubts(can, scale=1.2, scale_std=0.2)
        assert "oversubtracted" not in doubts(can, scale=2, most_negative=1)
        with pytest.raises(RangeError, match="most_negative"):
            doubts(can, most_negative=3)
        # What is negative beyond its errors already, as an F(Q), is not doubted anew.
        low = sample.assign(S=-sample.S)
        assert low.bp.subtract(can, scale=1).bp.diagnostics() == []


def test_other_detectors_are_not_rebinned() -> None:
    axes = {"detector": (np.arange(4), "1"), "E": (np.arange(3.0), "meV")}
    S = xbp.new_dataset(
        "detector_spectra", np.ones((4, 3)), units="1/meV", coords=axes,
        statistics="quantum",
    )  # fmt: skip
    with pytest.raises(CoordinateError, match=r"angle_to_Q\(Q\) of both first"):
        S.bp.subtract(S.isel(detector=slice(3)), scale=1)


@pytest.mark.parametrize(("level", "expected"), [(0.1, "F(Q)"), (0.3, "arbitrary")])
def test_what_is_called_S_of_Q_but_has_another_limit(
    level: float, expected: str
) -> None:
    values = np.full(40, level)
    values[:5] = -0.5
    found = off_scale(xr.DataArray(values, dims="Q", attrs={"units": "1"}))
    assert found is not None
    assert expected in found


def test_equal_values_with_other_errors_are_another_measurement() -> None:
    """Two noise-free spectra are one only if their errors are too: σ² add otherwise."""

    def spectrum(std: float) -> xr.Dataset:
        return xbp.new_dataset(
            "reduced_dos", np.ones(9), std=np.full(9, std), units="1",
            coords={"E": (np.arange(1.0, 10), "meV")},
        )  # fmt: skip

    one, other = spectrum(0.3), spectrum(0.4)
    np.testing.assert_allclose(one.bp.subtract(other).B_std, 0.5)
    np.testing.assert_array_equal(one.bp.subtract(one).B_std, 0.0)
