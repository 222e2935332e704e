"""The scale of S(Q,E), from known answers and from vanadium as measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.constants as const
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    XbpError,
)

Q = np.arange(1.25, 8, 0.5)
AMOUNTS = {"amount": "0.2 mol", "vanadium_amount": "0.1 mol"}


def vanadium(per_mole: float = 3.0, E: np.ndarray | None = None) -> xr.Dataset:
    """The elastic line of 0.1 mol of vanadium as an instrument of unknown efficiency sees it."""
    line = xbp.models.elastic_line(
        Q,
        np.linspace(-4, 4, 81) if E is None else E,
        u2="0.0067 angstrom^2",
        resolution="1 meV",
    )
    return line.bp.scale(0.1 * per_mole * 5.08 / 4 / np.pi)


@pytest.fixture
def sqe() -> xr.Dataset:
    E = np.arange(1.0, 31)
    g = xbp.new_dataset(
        "vibrational_dos",
        E**2,
        units="1",
        coords={"E": (E, "meV")},
        temperature="300 K",
    )
    return g.bp.multiphonon_sqe(
        Q, np.arange(-120.0, 151.0), composition="V", area=1, tolerance=1e-12
    ).drop_vars("u2")


def test_vanadium_gives_the_cross_section(model: xr.Dataset) -> None:
    """An instrument that counts 3 per mole and barn/sr/meV: whatever the sample scatters comes out."""
    cross_section = model.bp.scale(0.7)
    counted = cross_section.bp.scale(3.0 * 0.2)
    out = counted.bp.normalize_to_vanadium(
        vanadium(), **AMOUNTS, E_range=("-4 meV", "4 meV"), u2="0.0067 angstrom^2"
    )
    np.testing.assert_allclose(
        out.S, cross_section.S, rtol=1e-4
    )  # a Gaussian, cut at eight half widths
    assert out.S.attrs["units"] == "b/meV/sr"
    assert "normalization_std" not in out.S.attrs


def test_masses_and_other_units(model: xr.Dataset) -> None:
    options = {"E_range": ("-4 meV", "4 meV"), "u2": "0.0067 angstrom^2"}
    by_moles = model.bp.normalize_to_vanadium(
        vanadium(), amount="0.2 mol", vanadium_amount="0.1 mol", **options
    )
    grams = 0.2 * (46 * 91.224 + 46 * 63.546 + 8 * 26.9815385) / 100
    by_mass = model.bp.normalize_to_vanadium(
        vanadium(),
        amount=f"{grams} g",
        vanadium_amount="5094.15 mg",
        composition="Zr46Cu46Al8",
        **options,
    )
    np.testing.assert_allclose(by_mass.S, by_moles.S, rtol=1e-5)
    elsewhere = vanadium().bp.convert(E="THz", Q="1/nm")
    np.testing.assert_allclose(
        model.bp.normalize_to_vanadium(elsewhere, **AMOUNTS, **options).S,
        by_moles.S,
        rtol=1e-9,
    )
    in_thz = model.bp.convert(E="THz").bp.normalize_to_vanadium(
        vanadium(), **AMOUNTS, **options
    )
    assert in_thz.S.attrs["units"] == "b/sr/THz"
    np.testing.assert_allclose(in_thz.bp.convert(E="meV").S, by_moles.S, rtol=1e-9)


@pytest.mark.slow
def test_the_error_of_the_vanadium_is_told(model: xr.Dataset) -> None:
    factors, told = [], []
    for seed in range(40):
        noisy = xbp.models.with_counting_noise(vanadium(), counts=100, rng=seed)
        out = model.bp.normalize_to_vanadium(
            noisy, **AMOUNTS, E_range=(-2, 2), u2="0.0067 angstrom^2"
        )
        factors.append(float((out.S / model.S).mean()))
        told.append(out.S.attrs["normalization_std"])
    assert np.std(factors) / np.mean(factors) == pytest.approx(np.mean(told), rel=0.3)


def test_vanadium_by_vanadium(shared_data: Path) -> None:
    """Its own elastic line makes the whole spectrum that of 5.08 barn, but for background and phonons under the line."""
    measured = xbp.open_dataset(shared_data / "ins" / "V_ARCS_Ei120_iqe.h5")
    out = measured.bp.normalize_to_vanadium(
        measured,
        amount="1 mol",
        vanadium_amount="1 mol",
        E_range=(-7, 7),
        Q_range=(2, 10),
        u2="0.00659 angstrom^2",
    )
    line = (out.S.sel(E=slice(-7, 7)) * 1.2).sum("E").sel(Q=slice(2, 9))
    np.testing.assert_allclose(
        line * np.exp(line.Q**2 * 0.00659), 5.08 / 4 / np.pi, rtol=0.15
    )
    whole = (
        (out.S.sel(E=slice(-20, 80)) * 1.2)
        .sum("E", skipna=False)
        .sel(Q=slice(6, 9))
        .mean()
    )
    assert float(whole) == pytest.approx(5.08 / 4 / np.pi, rel=0.3)
    assert 0 < out.S.attrs["normalization_std"] < 0.01


@pytest.mark.parametrize("rule", ["incoherent", "f-sum"])
@pytest.mark.parametrize("folded", [False, True])
def test_sum_rules(sqe: xr.Dataset, rule: str, folded: bool) -> None:
    mass = "50.9415 u" if rule == "f-sum" else None
    counted = sqe.bp.scale("40 barn")
    out = (counted.bp.fold() if folded else counted).bp.normalize_to_sum_rule(
        rule, mass=mass
    )
    np.testing.assert_allclose(out.S, sqe.S.sel(E=out.E), rtol=1e-4)
    assert out.S.attrs["units"] == "1/meV"
    thz = (
        counted.bp.convert(E="THz", Q="1/nm")
        .bp.normalize_to_sum_rule(rule, mass=mass)
        .bp.convert(E="meV")
    )
    np.testing.assert_allclose(thz.S, sqe.S, rtol=1e-4)


def test_the_f_sum_needs_no_elastic_line(sqe: xr.Dataset) -> None:
    masked = sqe.bp.scale(7).bp.mask_elastic("1 meV", widths=1.5)
    out = masked.bp.normalize_to_sum_rule(
        "f-sum", composition="V", E_range=("1.5 meV", "150 meV")
    )
    np.testing.assert_allclose((out.S / sqe.S).max(), 1, rtol=2e-3)
    with pytest.raises(RangeError, match="no bin of Q"):
        masked.bp.normalize_to_sum_rule("incoherent")


def test_structure_factor(sqe: xr.Dataset) -> None:
    sq = xbp.models.hard_sphere_structure_factor(np.linspace(0.5, 9, 400))
    coherent = sqe * sq.Sq.interp(Q=sqe.Q)
    coherent.S.attrs = sqe.S.attrs
    out = coherent.bp.scale(0.01).bp.normalize_to_sum_rule("structure factor", sq)
    np.testing.assert_allclose(out.S, coherent.S, rtol=1e-3)
    with pytest.raises(RangeError, match="the factor is -"):
        coherent.bp.scale(10).bp.normalize_to_sum_rule("structure factor", -sq)
    half = sq.sel(Q=slice(0, 5))
    out = coherent.bp.scale(0.01).bp.normalize_to_sum_rule("structure factor", half)
    np.testing.assert_allclose(out.S, coherent.S, rtol=1e-3)


@pytest.mark.slow
@given(
    scale=st.floats(1e-6, 1e6),
    unit=st.sampled_from(["meV", "THz", "1/cm"]),
    T=st.floats(20, 1000),
)
def test_whatever_the_scale_it_was_on(scale: float, unit: str, T: float) -> None:
    line = xbp.models.elastic_line(
        [1.0, 2.0, 3.0], np.linspace(-5, 5, 101), u2=0, resolution="1 meV", T=f"{T} K"
    )
    out = line.bp.scale(scale).bp.convert(E=unit).bp.normalize_to_sum_rule("incoherent")
    np.testing.assert_allclose(out.bp.convert(E="meV").S, line.S, rtol=1e-6, atol=1e-30)


@pytest.mark.slow
def test_errors_further_dimensions_and_dask(sqe: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(sqe, counts=100, rng=0)
    two = xr.concat([noisy, noisy.bp.scale(5)], dim="sample")
    out = two.bp.normalize_to_sum_rule("incoherent")
    np.testing.assert_allclose(out.S[0], out.S[1])
    factor = out.S.attrs["normalization_std"]
    np.testing.assert_allclose(
        out.S_std_common.sum("source"), factor * out.S, rtol=0.01
    )
    alone = (out.S_std**2 - (out.S_std_common**2).sum("source")) ** 0.5
    np.testing.assert_allclose(alone / out.S, two.S_std / two.S, rtol=1e-6)
    assert 0 < out.S.attrs["normalization_std"] < 0.05
    lazy = two.chunk({"sample": 1}).bp.normalize_to_sum_rule("incoherent")
    assert lazy.S.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), out)
    v = two.bp.normalize_to_vanadium(
        vanadium(), **AMOUNTS, E_range=(-2, 2), u2="0.0067 angstrom^2"
    )
    assert v.S.dims == two.S.dims
    assert isinstance(sqe.S.bp.normalize_to_sum_rule("incoherent"), xr.DataArray)


@pytest.mark.parametrize(
    "arguments",
    [
        {"rule": "none"}, {"rule": "f-sum"}, {"rule": "incoherent", "mass": 50}, {"rule": "structure factor"},
        {"rule": "f-sum", "mass": "-1 u"}, {"rule": "f-sum", "mass": "1 kg"}, {"rule": "f-sum", "mass": "0.05 u"},
        {"rule": "f-sum", "mass": 50, "composition": "V"},
        {"rule": "incoherent", "E_range": (200, 300)}, {"rule": "incoherent", "Q_range": (50, 60)},
        {"rule": "f-sum", "mass": 50, "E_range": (-30, -5)}, {"rule": "f-sum", "mass": 50, "T": "5 K"},
    ],
    ids=str,
)  # fmt: skip
def test_sum_rules_refused(sqe: xr.Dataset, arguments: dict[str, object]) -> None:
    with pytest.raises(XbpError):
        sqe.bp.normalize_to_sum_rule(**arguments)


def test_a_bin_that_overflowed_sets_no_scale(sqe: xr.Dataset) -> None:
    odd = sqe.copy(deep=True)
    odd.S[3, 100] = np.inf
    np.testing.assert_allclose(
        odd.bp.normalize_to_sum_rule("incoherent").S[4], sqe.S[4], rtol=1e-4
    )


def test_data_without_a_scale(sqe: xr.Dataset, glass: xr.Dataset) -> None:
    with pytest.raises(TemperatureError):
        sqe.drop_vars("temperature").bp.normalize_to_sum_rule("f-sum", mass=50)
    with pytest.raises(RangeError, match="not positive"):
        sqe.S.bp.scale(-1).bp.normalize_to_sum_rule("incoherent")
    with pytest.raises(RangeError, match="Q"):
        sqe.bp.cut_Q((2, 5)).bp.normalize_to_sum_rule("incoherent")
    far = xbp.models.hard_sphere_structure_factor(np.linspace(50, 60, 10))
    with pytest.raises(RangeError, match="not positive"):
        sqe.bp.normalize_to_sum_rule("structure factor", far)
    # E >= 0 straight from MD, classical: even, so it counts twice.
    out = glass.bp.normalize_to_sum_rule("structure factor", glass.Sq)
    assert float((out.S / glass.S).median()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"E_range": None}, {"amount": "5 g"}, {"amount": "0 mol"}, {"amount": "5 meV"}, {"vanadium_amount": "-1 g"},
        {"u2": None}, {"u2": -1}, {"E_range": (10, 20)}, {"Q_range": (50, 60)}, {"composition": "Zz", "amount": "1 g"},
    ],
    ids=str,
)  # fmt: skip
def test_vanadium_refused(model: xr.Dataset, arguments: dict[str, object]) -> None:
    good = AMOUNTS | {"E_range": (-2, 2), "u2": 0.0067}
    model.bp.normalize_to_vanadium(vanadium(), **good)
    with pytest.raises(XbpError):
        model.bp.normalize_to_vanadium(vanadium(), **(good | arguments))


def test_vanadium_reduced_otherwise(model: xr.Dataset) -> None:
    good = AMOUNTS | {"E_range": (-2, 2), "u2": 0.0067}
    mine, its = (
        d.assign(S=d.S.assign_attrs(ki_over_kf=k))
        for d, k in ((model, "applied"), (vanadium(), "not applied"))
    )
    with pytest.raises(QuantityError, match="the vanadium has ki_over_kf"):
        mine.bp.normalize_to_vanadium(its, **good)
    with pytest.raises(RangeError, match="elastic intensity of vanadium"):
        model.bp.normalize_to_vanadium(
            xr.concat([vanadium(), vanadium()], dim="run"), **good
        )
    with pytest.raises(RangeError, match="elastic intensity of vanadium"):
        model.bp.normalize_to_vanadium(vanadium().bp.scale(-1), **good)


def test_what_was_done_is_told(sqe: xr.Dataset) -> None:
    out = sqe.bp.scale(0.5).bp.normalize_to_sum_rule("f-sum", composition="V")
    assert (
        out.S.attrs["normalization"]
        == "by the f-sum rule, times 2, M = 50.9415 u (composition=)"
    )
    used = json.loads(out.S.attrs["history"].splitlines()[-1])["arguments"]
    assert used["factor"] == pytest.approx(2, rel=1e-4)
    assert used["mass"] == "50.9415 u"
    assert "  normalization: by the f-sum rule, times 2, M" in repr(out.bp)
    two = xr.concat([sqe, sqe.bp.scale(4)], dim="sample").bp.normalize_to_sum_rule(
        "incoherent"
    )
    assert "times 0.25" in two.S.attrs["normalization"]
    line = vanadium()
    v = line.bp.normalize_to_vanadium(
        line, **AMOUNTS, E_range=(-4, 4), u2="0.0067 angstrom^2"
    )
    assert "by vanadium, times " in repr(v.bp)


@pytest.mark.slow
def test_the_mass_in_the_file_is_used(sqe: xr.Dataset) -> None:
    given = sqe.bp.normalize_to_sum_rule("f-sum", mass="50.9415 u")
    by_dataset = sqe.assign_attrs(weight=50.9415)
    by_variable = sqe.S.assign_attrs(weight=50.9415)
    np.testing.assert_allclose(by_dataset.bp.normalize_to_sum_rule("f-sum").S, given.S)
    np.testing.assert_allclose(by_variable.bp.normalize_to_sum_rule("f-sum"), given.S)
    assert (
        "M = 50.9415 u (weight in the file)"
        in by_dataset.bp.normalize_to_sum_rule("f-sum").S.attrs["normalization"]
    )
    # The argument wins where it is the same but for digits, and where it is an effective mass; another is an error.
    np.testing.assert_allclose(
        by_dataset.bp.normalize_to_sum_rule("f-sum", mass="51 u").S,
        given.S * 50.9415 / 51,
    )
    alloy = by_dataset.bp.normalize_to_sum_rule("f-sum", composition="NiTi")
    np.testing.assert_allclose(
        alloy.S, sqe.bp.normalize_to_sum_rule("f-sum", composition="NiTi").S
    )
    for other in ({"mass": "60 u"}, {"composition": "Cu"}):
        with pytest.raises(QuantityError, match="have weight=50"):
            by_dataset.bp.normalize_to_sum_rule("f-sum", **other)
    with pytest.raises(QuantityError, match="takes mass= or composition="):
        sqe.assign_attrs(weight="heavy").bp.normalize_to_sum_rule("f-sum")
    by_dataset.bp.normalize_to_sum_rule("incoherent")  # which needs none


def test_the_incoherent_rule_doubts_coherent_scattering(sqe: xr.Dataset) -> None:
    def doubted(data: xr.Dataset, rule: str = "incoherent", **options: object) -> bool:
        found = data.bp.normalize_to_sum_rule(rule, **options).bp.diagnostics()
        return "coherent_scattering" in [one.code for one in found]

    coherent = sqe.assign_attrs(sigma_coh=6.32, sigma_inc=0.5)
    assert doubted(coherent)
    assert "93 %" in repr(coherent.bp.normalize_to_sum_rule("incoherent").bp)
    assert not doubted(coherent, "f-sum", mass="50.94 u")
    assert not doubted(sqe)
    assert not doubted(sqe.assign_attrs(sigma_coh=0.02, sigma_inc=5.08))
    # A simulation states which part it is of.
    assert doubted(sqe.assign_attrs(part="coherent"))
    assert not doubted(sqe.assign_attrs(part="incoherent"))


def test_a_factor_from_one_Q_has_an_unknown_spread(sqe: xr.Dataset) -> None:
    out = sqe.bp.normalize_to_sum_rule(
        "f-sum",
        mass="50.94 u",
        Q_range=(float(sqe.Q[3]) - 0.01, float(sqe.Q[3]) + 0.01),
    )
    assert "sum_rule_one_Q" in [found.code for found in out.bp.diagnostics()]
    assert "normalization_spread" not in out.S.attrs
    several = sqe.bp.normalize_to_sum_rule("f-sum", mass="50.94 u")
    assert several.bp.diagnostics() == []
    assert several.S.attrs["normalization_spread"] < 0.01


@pytest.mark.parametrize("name", ["most_missing", "most_spread"])
@pytest.mark.parametrize("value", [None, "abc", np.nan, -1, 0])
def test_absurd_limits_of_a_sum_rule(sqe: xr.Dataset, name: str, value: object) -> None:
    with pytest.raises(XbpError, match=name):
        sqe.bp.normalize_to_sum_rule("f-sum", mass="50.94 u", **{name: value})


def test_liquid_rubidium_is_on_one_scale_by_both_rules(shared_data: Path) -> None:
    data = xbp.open_dataset(shared_data / "sqw" / "Rb_liq_tot.sqw")
    f_sum = data.S.bp.normalize_to_sum_rule("f-sum")
    np.testing.assert_allclose(
        f_sum, data.bp.normalize_to_sum_rule("f-sum", composition="Rb").S, rtol=1e-4
    )
    assert "weight in the file" in f_sum.attrs["normalization"]
    mean = f_sum.bp.integrate_E().sel(Q=slice(4, 5.5)).mean()
    assert float(mean) == pytest.approx(1, abs=0.15)
    assert "93 % of the scattering is coherent" in repr(
        data.bp.normalize_to_sum_rule("incoherent").bp
    )


def test_a_structure_factor_that_is_no_curve(model: xr.Dataset) -> None:
    """Where S(Q) is infinite nothing is known of it; several of them, or one number, are refused."""
    sq = xbp.models.hard_sphere_structure_factor(model.Q.values)
    whole = model.bp.normalize_to_sum_rule("structure factor", sq)
    broken = sq.copy(deep=True)
    broken["Sq"][5] = np.inf
    without = sq.copy(deep=True)
    without["Sq"][5] = np.nan
    scaled, expected = (
        model.bp.normalize_to_sum_rule("structure factor", s) for s in (broken, without)
    )
    xr.testing.assert_equal(scaled.S, expected.S)
    assert np.isfinite(scaled.S).all() == np.isfinite(whole.S).all()
    two = xr.concat([sq, sq], "sample")
    with pytest.raises(CoordinateError, match="dimension 'sample'"):
        model.bp.normalize_to_sum_rule("structure factor", two)
    other = sq.isel(Q=3)
    with pytest.raises(RangeError, match="dimension 'Q'"):
        model.bp.normalize_to_sum_rule("structure factor", other)
    with pytest.raises(RangeError, match="the dimension 'Q'"):
        model.bp.to_bqe().bp.cut_E(("4 meV", "6 meV")).bp.scale_to_sq(other)


@pytest.mark.parametrize(
    "energies",
    [np.linspace(-150, 150, 1501), np.linspace(0, 150, 751)],
    ids=["both", "loss"],
)
def test_the_f_sum_of_classical_data_is_their_second_moment(
    energies: np.ndarray,
) -> None:
    """Ideal gas: <E^2> = k_BT hbar^2 Q^2/M, whatever the scale; and the factor is that of `to_quantum`."""
    kt, recoil = (
        const.k * 300 / const.e * 1e3,
        const.hbar**2 / (2 * const.atomic_mass) / const.e * 1e23 / 20 * Q**2,
    )
    variance = 2 * recoil[:, None] * kt
    S = np.exp(-(energies**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
    gas = xbp.new_dataset(
        "dynamic_structure_factor", 7 * S, units="1/meV", coords={"Q": (Q, "1/angstrom"), "E": (energies, "meV")},
        temperature="300 K", statistics="classical",
    )  # fmt: skip
    out = gas.bp.normalize_to_sum_rule("f-sum", mass="20 u")
    np.testing.assert_allclose(out.S, S, rtol=1e-6)
    assert out.S.attrs["normalization"].startswith(
        "by the f-sum rule of classical data, times 0.142857"
    )
    quantum = gas.bp.to_quantum().bp.normalize_to_sum_rule("f-sum", mass="20 u")
    factors = [
        json.loads(ds.S.attrs["history"].splitlines()[-1])["arguments"]["factor"]
        for ds in (out, quantum)
    ]
    assert factors[0] == pytest.approx(factors[1], rel=1e-9)
    with pytest.raises(TemperatureError):
        gas.drop_vars("temperature").bp.normalize_to_sum_rule("f-sum", mass="20 u")


def test_liquid_germanium_is_on_its_scale_and_has_a_g_of_r(shared_data: Path) -> None:
    data = xbp.open_dataset(shared_data / "sqw" / "Ge_liq_coh.sqw")
    with pytest.raises(QuantityError, match=r"does not tend to 1[\s\S]*scale\(0\.48"):
        data.bp.integrate_E().bp.to_radial_distribution("10 angstrom")
    sq = data.bp.normalize_to_sum_rule("f-sum").bp.integrate_E()
    said = sq.Sq.attrs["normalization"]
    assert said.startswith("∫S(Q,E) dE from")
    assert "normalized by the f-sum rule" in said
    assert "M = 72.64 u" in said
    assert not {d.code for d in sq.bp.diagnostics()} & {"sq_limit", "other_sample"}
    assert float(sq.Sq.sel(Q=slice(7, 10)).mean()) == pytest.approx(1, abs=0.02)
    g = sq.bp.to_radial_distribution("10 angstrom")
    assert float(g.rdf.idxmax()) == pytest.approx(2.75, abs=0.1)
    assert abs(float(g.rdf[0])) < 1.5
    assert g.rdf.attrs["number_density"] == 0.0441
    assert "(attrs['V_rho'])" in g.rdf.attrs["history"].splitlines()[-1]


def test_what_lacks_the_line_or_a_side_is_refused(sqe: xr.Dataset) -> None:
    """An inelastic part is no ∫S dE, of either sign; the f-sum needs E ≥ 0 and no line."""
    loss, gain = sqe.sel(E=slice(3, None)), sqe.sel(E=slice(None, -2))
    sq = xbp.models.hard_sphere_structure_factor(np.linspace(0.1, 9, 200))
    for rule, options in (("incoherent", {}), ("structure factor", {"sq": sq})):
        with pytest.raises(RangeError, match=r"begin at E = 2\.5 meV[\s\S]*f-sum"):
            loss.bp.normalize_to_sum_rule(rule, **options)
        with pytest.raises(RangeError, match=r"end at E = -1\.5 meV"):
            gain.bp.normalize_to_sum_rule(rule, **options)
        with pytest.raises(RangeError, match=r"begin at E = 4\.5 meV"):
            sqe.bp.normalize_to_sum_rule(rule, E_range=(4.6, 40), **options)
    with pytest.raises(
        RangeError, match=r"end at E = -1\.5 meV[\s\S]*inelastic part alone"
    ):
        gain.bp.integrate_E()
    assert gain.bp.integrate_E((-30, -2)).Sq.notnull().all()
    loss.bp.normalize_to_sum_rule("f-sum", composition="V")
    for data, E_range in ((gain, None), (sqe, (-30, -2))):
        with pytest.raises(RangeError, match="no energy E ≥ 0"):
            data.bp.normalize_to_sum_rule("f-sum", composition="V", E_range=E_range)


def test_what_is_not_whole_says_how_much_is_known(sqe: xr.Dataset) -> None:
    masked = sqe.where(abs(sqe.E) > 4.5)
    masked.S.attrs = sqe.S.attrs
    with pytest.raises(
        RangeError, match=r"at best 146 of 151 bins have a value, 5 to 150 meV"
    ):
        masked.bp.normalize_to_sum_rule("f-sum", composition="V")
    two = xr.concat([sqe, masked, masked], dim="sample")
    for data in (two, two.chunk(sample=1)):
        with pytest.raises(
            RangeError,
            match=r"in 2 of 3 maps; at best.*, 5 to 150 meV",
        ):
            data.bp.normalize_to_sum_rule("f-sum", composition="V")
    with pytest.raises(RangeError, match=r"at best 0 of 151 bins have a value\n"):
        (sqe.where(sqe.E < -1e3)).assign(
            S=(sqe.S * np.nan).assign_attrs(sqe.S.attrs)
        ).bp.normalize_to_sum_rule("f-sum", composition="V")


@pytest.mark.parametrize(
    "method",
    [
        lambda d: d.bp.normalize_to_sum_rule("f-sum", composition="V"),
        lambda d: d.bp.normalize_to_sum_rule("incoherent"),
        lambda d: d.bp.integrate_E(),
        lambda d: d.bp.shift_E("0.1 meV"),
        lambda d: d.bp.fold("300 K"),
    ],
)
def test_cuts_say_what_to_do(
    sqe: xr.Dataset, method: Callable[[xr.Dataset], object]
) -> None:
    with pytest.raises(
        XbpError, match=r"(dimension 'E'|both signs of E)[\s\S]*fix: .*(before|then)"
    ):
        method(sqe.bp.cut_E((1, 3)))
    with pytest.raises(RangeError, match=r"dimension 'E'; 'Sq' has"):
        sqe.bp.integrate_E().bp.shift_E("0.1 meV")
    with pytest.raises(RangeError, match=r"normalize S\(Q,E\) first, then cut"):
        sqe.bp.cut_Q((2, 5)).bp.normalize_to_sum_rule("f-sum", composition="V")


def test_the_error_by_vanadium_undoes_its_debye_waller_factor(
    model: xr.Dataset,
) -> None:
    """Each Q counts e^{Q²u²} times, and so does its error: σ of ∫S e^{Q²u²} dE over the mean of that itself."""
    u2, sigma = 0.03, 2e-3
    line = xbp.models.elastic_line(
        Q, np.linspace(-4, 4, 81), u2=f"{u2} angstrom^2", resolution="1 meV"
    )
    counted = line.assign(S_std=xr.full_like(line.S, sigma))
    out = model.bp.normalize_to_vanadium(
        counted, **AMOUNTS, E_range=("-4 meV", "4 meV"), u2=f"{u2} angstrom^2"
    )
    undo = np.exp(Q**2 * u2)
    of_one = sigma * np.sqrt(81) * 0.1
    strength = (undo * line.S.sum("E").values * 0.1).mean()
    expected = np.sqrt(((undo * of_one) ** 2).sum()) / Q.size / strength
    assert undo.max() > 4
    assert float(out.S.attrs["normalization_std"]) == pytest.approx(expected, rel=1e-3)


def ideal_gas(
    mass: float,
    T: float,
    Q: np.ndarray,
    E: np.ndarray,
    scale: float = 1.0,
    **attrs: object,
) -> xr.Dataset:
    """Atoms of one mass that fly freely: a Gaussian about the recoil, exactly."""
    recoil = (
        const.hbar**2
        * (Q[:, None] * 1e10) ** 2
        / (2 * mass * const.atomic_mass)
        / const.e
        * 1e3
    )
    kT = const.k / const.e * 1e3 * T
    S = np.exp(-((E - recoil) ** 2) / (4 * recoil * kT)) / np.sqrt(
        4 * np.pi * recoil * kT
    )
    ds = xbp.new_dataset(
        "dynamic_structure_factor", S * scale, units="1", coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        temperature=f"{T} K", statistics="quantum",
    )  # fmt: skip
    return ds.assign_attrs(attrs)


@pytest.mark.slow
def test_the_f_sum_of_a_molecule_has_the_effective_mass() -> None:
    """Heavy water: 20.03 g/mol in the file, 2.49 u in the sum rule, Σcσ/Σ(cσ/M) by hand."""
    sigma = {"D": (2, 7.64, 2.0141), "O": (1, 4.232, 15.999)}
    mass = sum(n * s for n, s, _ in sigma.values()) / sum(
        n * s / m for n, s, m in sigma.values()
    )
    assert mass == pytest.approx(2.49, abs=0.01)
    gas = ideal_gas(
        mass, 300.0, np.arange(0.5, 4, 0.1), np.arange(-200, 201.0), 0.2, weight=20.03
    )
    for said in ({"composition": "D2O"}, {"mass": f"{mass} u"}):
        out = gas.bp.normalize_to_sum_rule("f-sum", **said)
        assert float((out.S.sum("E")).mean()) == pytest.approx(1, abs=0.01)
        assert out.S.attrs["normalization_spread"] < 0.01
    carried = gas.assign_attrs(composition="D2O").bp.normalize_to_sum_rule("f-sum")
    assert "M = 2.4" in carried.S.attrs["normalization"]
    with pytest.raises(QuantityError, match=r"weight=20\.03"):
        gas.bp.normalize_to_sum_rule("f-sum")
    # Neon has nearly the weight; the cross sections in the file tell them apart.
    for coherent, incoherent in ((2.62, 0.008), (15.4, 4.1)):
        neon = gas.assign_attrs(
            weight=20.1797, sigma_coh=coherent, sigma_inc=incoherent
        )
        if coherent < 3:
            assert (
                "M = 20.1797 u"
                in neon.bp.normalize_to_sum_rule("f-sum").S.attrs["normalization"]
            )
        else:
            with pytest.raises(QuantityError, match="weight"):
                neon.bp.normalize_to_sum_rule("f-sum")
    deuterium = ideal_gas(
        2.0141, 300.0, np.arange(0.5, 4, 0.1), np.arange(-200, 201.0), 0.2, weight=4.028
    )
    for said in ({"composition": "D2"}, {"composition": "D"}, {"mass": "2.0141 u"}):
        out = deuterium.bp.normalize_to_sum_rule("f-sum", **said)
        assert float((out.S.sum("E")).mean()) == pytest.approx(1, abs=0.01)
    for wrong in ({"mass": "5 u"}, {"composition": "Cu"}):
        with pytest.raises(QuantityError, match="have weight=4"):
            deuterium.bp.normalize_to_sum_rule("f-sum", **wrong)


@pytest.mark.parametrize("classical", [False, True])
def test_the_f_sum_leaves_out_what_recoils_beyond_the_energies(classical: bool) -> None:
    """Neon at 40 K to 20 meV: from 8 1/angstrom on a part of the Gaussian is beyond; half of it at 14."""
    Q, E, true = np.arange(0.5, 15, 0.1), np.arange(-20, 20.1, 0.1), 3.0
    gas = ideal_gas(20.18, 40.0, Q, E, 1 / true)
    if classical:
        recoil = (
            const.hbar**2
            * (Q[:, None] * 1e10) ** 2
            / (2 * 20.18 * const.atomic_mass)
            / const.e
            * 1e3
        )
        kT = const.k / const.e * 1e3 * 40
        gas = gas.assign(
            S=(
                ("Q", "E"),
                np.exp(-(E**2) / (4 * recoil * kT))
                / np.sqrt(4 * np.pi * recoil * kT)
                / true,
            )
        )
        gas.S.attrs = {
            "quantity": "dynamic_structure_factor",
            "units": "1",
            "statistics": "classical",
        }
    out = gas.bp.normalize_to_sum_rule("f-sum", mass="20.18 u")
    factor = float((out.S / gas.S).mean())
    assert factor == pytest.approx(true, rel=0.005)
    assert out.S.attrs["normalization_spread"] < 0.005
    assert not out.bp.diagnostics()
    highest = float(out.S.attrs["normalization_Q"].split()[2])
    assert 5 < highest < 11
    # All Q together are wrong by far, and the spread says so.
    everything = gas.bp.normalize_to_sum_rule(
        "f-sum", mass="20.18 u", most_missing=1, end=1
    )
    assert float((everything.S / gas.S).mean()) > 1.3 * true
    assert everything.S.attrs["normalization_spread"] > 0.2
    assert [one.code for one in everything.bp.diagnostics()] == ["sum_rule_spread"]
    with pytest.raises(RangeError, match=r"beyond 20.05 meV at the lowest Q, 1[23]"):
        gas.bp.normalize_to_sum_rule("f-sum", mass="20.18 u", Q_range=(13, 15))


def test_the_f_sum_of_bound_atoms_is_that_of_all_their_phonons(sqe: xr.Dataset) -> None:
    """Vanadium in a crystal: far from free, and the rule holds all the same, at every Q."""
    out = sqe.bp.scale(0.3).bp.normalize_to_sum_rule("f-sum", composition="V")
    np.testing.assert_allclose(out.S, sqe.S, rtol=1e-4)
    assert out.S.attrs["normalization_spread"] < 1e-3


@pytest.mark.parametrize("turned", [lambda d: d, lambda d: d.sel(E=slice(0, None)), lambda d: d.bp.convert(E="1/cm"), lambda d: d.chunk(Q=2)])  # fmt: skip
def test_an_f_sum_that_goes_on_beyond_the_energies_is_refused(turned: Any) -> None:
    """A band to 30 meV: to 20 meV half of its f-sum is missing, to 60 none."""
    E = np.arange(1.0, 31)
    g = xbp.new_dataset(
        "vibrational_dos", E**2, units="1", coords={"E": (E, "meV")}, temperature=300
    )
    S = g.bp.multiphonon_sqe(np.arange(1.0, 5.0), composition="V", area=1)
    whole = turned(S.bp.scale(1 / 40))
    out = whole.bp.normalize_to_sum_rule("f-sum", composition="V", E_range=("0 meV", "60 meV"))  # fmt: skip
    assert float((out.S / whole.S).mean()) == pytest.approx(40, rel=0.005)
    short = {"composition": "V", "E_range": ("0 meV", "20 meV")}
    with pytest.raises(RangeError, match="f-sum does not end"):
        whole.bp.normalize_to_sum_rule("f-sum", **short)
    with pytest.raises(RangeError, match="f-sum does not end"):
        whole.bp.normalize_to_sum_rule("f-sum", most_missing=1, **short)
    forced = whole.bp.normalize_to_sum_rule("f-sum", end=1, **short)
    assert float((forced.S / whole.S).mean()) > 60
