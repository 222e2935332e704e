"""g(E) back out of S(Q,E): known answers, noise, masks, and vanadium as measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from samples import vibrations

import xbp
from xbp.core.constants import BOLTZMANN_MEV
from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    XbpError,
)
from xbp.models.multiphonon import Modes, law_variance
from xbp.reduction.dos_doubts import dos_doubts
from xbp.reduction.inversion import Inversion
from xbp.reduction.one_map import Map

Q = np.arange(1.25, 12, 0.5)
E_BINS = np.arange(-40.0, 61.0)


@pytest.fixture
def dos() -> xr.Dataset:
    return vibrations(31, 12)


@pytest.fixture
def sqe(dos: xr.Dataset) -> xr.Dataset:
    """All phonons of `dos`, in vanadium, on a scale of its own, elastic line and all."""
    return (
        dos.bp.multiphonon_sqe(Q, E_BINS, composition="V", area=1, tolerance=1e-9)
        .drop_vars("u2")
        .bp.scale(170)
    )


def test_g_comes_back(dos: xr.Dataset, sqe: xr.Dataset) -> None:
    back = sqe.bp.to_vibrational_dos(
        E_range=(0.5, 30.5), composition="V", tolerance=1e-9
    )
    np.testing.assert_allclose(back.g[:30], dos.g, rtol=1e-5)
    assert back.g[30:].isnull().all()
    assert str(back.status.values) == "ok"
    assert float(back.u2) == pytest.approx(
        float(dos.bp.multiphonon_sqe([1.0], composition="V", area=1).u2), rel=1e-6
    )
    assert float(back.scale) == pytest.approx(170, rel=1e-5)
    assert float(back.extended) == pytest.approx(0, abs=1e-12)
    assert back.g.attrs["units"] == "1/meV"
    assert back.u2.attrs["units"] == "angstrom**2"
    assert int(back.orders) > 2
    assert 0 <= float(back.change) < 1e-9


def test_without_the_correction_it_would_not(dos: xr.Dataset, sqe: xr.Dataset) -> None:
    """The test of the tests: one iteration without multiphonons is wrong by far more than the answer is."""
    G = (
        sqe.bp.to_gdos(u2="0.007 angstrom^2")
        .bp.cut_Q((1.5, 11.5))
        .G.sel(E=slice(1, 30))
    )
    naive = G / G.sum()
    assert float(abs(naive / dos.g - 1).max()) > 0.1
    corrected = sqe.bp.correct_multiphonon(E_range=(0.5, 30.5), composition="V")
    G = corrected.bp.to_gdos().bp.cut_Q((1.5, 11.5)).G.sel(E=slice(1, 30))
    np.testing.assert_allclose(G / G.sum(), dos.g, rtol=2e-3)


def test_what_is_left_is_one_phonon_and_the_line(
    dos: xr.Dataset, sqe: xr.Dataset
) -> None:
    left = sqe.bp.correct_multiphonon(
        E_range=(0.5, 30.5), composition="V", tolerance=1e-9
    )
    parts = [
        dos.bp.multiphonon_sqe(
            Q, E_BINS, composition="V", area=1, part=p, tolerance=1e-9
        ).S
        * 170
        for p in ("elastic", "one")
    ]
    np.testing.assert_allclose(left.S, sum(parts), atol=1e-4)
    assert left.S.dims == sqe.S.dims
    assert left.S.attrs["units"] == sqe.S.attrs["units"]
    assert str(left.status.values) == "ok"


@pytest.mark.slow
def test_multiple_scattering_is_a_multiple_of_the_multiphonons(
    dos: xr.Dataset, sqe: xr.Dataset
) -> None:
    many = (
        dos.bp.multiphonon_sqe(
            Q, E_BINS, composition="V", area=1, part="many", tolerance=1e-9
        ).S
        * 170
    )
    more = sqe.assign(S=(sqe.S + 0.3 * many).assign_attrs(sqe.S.attrs))
    back = more.bp.to_vibrational_dos(
        E_range=(0.5, 30.5), composition="V", multiple_scattering=0.3, tolerance=1e-9
    )
    np.testing.assert_allclose(back.g[:30], dos.g, rtol=1e-4)
    fitted = more.bp.to_vibrational_dos(
        E_range=(0.5, 30.5), composition="V", multiple_scattering="fit", tolerance=1e-9
    )
    assert float(fitted.multiple_scattering) == pytest.approx(0.3, abs=1e-4)
    np.testing.assert_allclose(fitted.g[:30], dos.g, rtol=1e-4)
    none = sqe.bp.to_vibrational_dos(
        E_range=(0.5, 30.5), composition="V", multiple_scattering="fit", tolerance=1e-9
    )
    assert float(none.multiple_scattering) == pytest.approx(0, abs=1e-4)
    left = more.bp.correct_multiphonon(
        E_range=(0.5, 30.5), composition="V", multiple_scattering="fit", tolerance=1e-9
    )
    np.testing.assert_allclose(left.S, sqe.S - many, atol=1e-3)
    with pytest.raises(RangeError, match="no data beyond"):
        more.bp.to_vibrational_dos(composition="V", multiple_scattering="fit")
    blind = more.where(more.E < 31)
    blind.S.attrs = more.S.attrs
    found = blind.bp.to_vibrational_dos(
        E_range=(0.5, 30.5), composition="V", multiple_scattering="fit"
    )
    assert str(found.status.values) == "no data"


@pytest.mark.slow
def test_a_background_taken_for_multiple_scattering_says_where_the_phonons_end(
    dos: xr.Dataset, sqe: xr.Dataset
) -> None:
    """Beyond 30 meV there is next to nothing but the background, of which C makes more than there is below."""
    flat = sqe.assign(S=(sqe.S + 0.02 * (sqe.E > 32)).assign_attrs(sqe.S.attrs))
    lost = flat.bp.to_vibrational_dos(
        E_range=(4.5, 45.5), composition="V", multiple_scattering="fit"
    )
    assert str(lost.status.values) == "no multiple scattering"
    assert np.isnan(float(lost.multiple_scattering))
    assert float(lost.highest_phonon) == pytest.approx(30.5)
    assert lost.highest_phonon.attrs["units"] == "meV"
    assert (float(lost.E_low), float(lost.E_high)) == (4.5, 45.5)
    (doubt,) = lost.bp.diagnostics()
    assert doubt.code == "background_in_multiple_scattering"
    assert "30.5 meV" in doubt.fix
    # Without C to be found the same data are no such case, and C that is found says where the phonons ended.
    assert (
        str(
            flat.bp.to_vibrational_dos(
                E_range=(4.5, 45.5), composition="V"
            ).status.values
        )
        == "ok"
    )
    found = sqe.bp.to_vibrational_dos(
        E_range=(4.5, 35.5), composition="V", multiple_scattering="fit"
    )
    assert float(found.highest_phonon) == pytest.approx(30.5)
    # A g that does not fall tells no end.
    short = sqe.bp.to_vibrational_dos(
        E_range=(4.5, 30.5), composition="V", multiple_scattering="fit"
    )
    assert np.isnan(float(short.highest_phonon))
    higher = sqe.assign(S=(sqe.S + 0.1 * (sqe.E > 32)).assign_attrs(sqe.S.attrs))
    lost = higher.bp.to_vibrational_dos(
        E_range=(4.5, 45.5), composition="V", multiple_scattering="fit"
    )
    assert "end E_range at the highest phonon" in repr(lost.bp)
    with pytest.raises(
        RangeError, match=r"4.5 to 60.5 meV.*\n*.*\n*.*E_range=\('4.5 meV'"
    ):
        flat.bp.to_vibrational_dos(
            E_range=(4.5, 90), composition="V", multiple_scattering="fit"
        )


@pytest.mark.slow
def test_the_elastic_line_is_left_out_and_nothing_filled_in(
    dos: xr.Dataset, sqe: xr.Dataset
) -> None:
    masked = sqe.where(abs(sqe.E) > 4.5)
    masked.S.attrs = sqe.S.attrs
    back = masked.bp.to_vibrational_dos(E_range=(0, 30.5), composition="V")
    assert back.g.sel(E=slice(0, 4.5)).isnull().all()
    assert back.g.sel(E=slice(5, 30)).notnull().all()
    # Below 5 meV this g is not quite E²: what stands in for it is told, and nearly right.
    np.testing.assert_allclose(
        back.g.sel(E=slice(5, 30)), dos.g.sel(E=slice(5, 30)), rtol=0.01
    )
    assert float(back.extended) == pytest.approx(
        float(dos.g.sel(E=slice(0, 4.5)).sum()), rel=0.2
    )
    left = masked.bp.correct_multiphonon(E_range=(0, 30.5), composition="V")
    assert (left.S.isnull() == masked.S.isnull()).all()
    cut = masked.bp.to_vibrational_dos(
        E_range=(0, 30.5), composition="V", below="nothing"
    )
    assert float(cut.extended) == 0
    assert float(cut.u2) < float(back.u2)
    assert '"below": "nothing"' in cut.g.attrs["history"]


def test_u2_that_is_given_stays(dos: xr.Dataset, sqe: xr.Dataset) -> None:
    true = dos.bp.multiphonon_sqe([1.0], composition="V", area=1).u2
    back = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), u2=true, tolerance=1e-9)
    np.testing.assert_allclose(back.g[:30], dos.g, rtol=1e-4)
    assert float(back.u2) == float(true)
    carried = sqe.assign_coords(u2=true).bp.to_vibrational_dos(
        E_range=(0.5, 30.5), tolerance=1e-9
    )
    np.testing.assert_allclose(carried.g, back.g)


@pytest.mark.slow
def test_errors_of_g_are_right(dos: xr.Dataset, sqe: xr.Dataset) -> None:
    pulls = []
    true = dos.bp.multiphonon_sqe([1.0], composition="V", area=1).u2
    inelastic = sqe.where(abs(sqe.E) > 0.5)
    inelastic.S.attrs = sqe.S.attrs
    for seed in range(30):
        noisy = xbp.models.with_counting_noise(inelastic, counts=200, rng=seed)
        back = noisy.bp.to_vibrational_dos(E_range=(0.5, 30.5), u2=true)
        pulls.append(((back.g - 0) / back.g_std)[2:29].values)
    # At a fixed u² g is linear in S but for the area and the multiphonons it feeds back.
    scatter = np.std(np.array(pulls) - np.mean(pulls, axis=0), axis=0)
    assert np.median(scatter) == pytest.approx(1, abs=0.15)


def test_holes_are_left_out(dos: xr.Dataset, sqe: xr.Dataset) -> None:
    holes = sqe.copy(deep=True)
    holes.S[:7, 60:] = np.nan
    holes.S[15:, :55] = np.nan
    back = holes.bp.to_vibrational_dos(
        E_range=(0.5, 30.5), composition="V", tolerance=1e-9
    )
    np.testing.assert_allclose(back.g[:30], dos.g, rtol=1e-5)


@pytest.mark.slow
@given(
    unit=st.sampled_from(["THz", "1/cm"]),
    q_unit=st.sampled_from(["1/nm", "1/angstrom"]),
    scale=st.floats(1e-6, 1e6),
)
def test_units_and_scale_do_not_matter(unit: str, q_unit: str, scale: float) -> None:
    E = np.arange(1.0, 21.0)
    g = xbp.new_dataset(
        "vibrational_dos",
        E**2,
        units="1",
        coords={"E": (E, "meV")},
        temperature="200 K",
    )
    S = g.bp.multiphonon_sqe(
        np.arange(1.0, 8.0), np.arange(-20.0, 31.0), mass=30, area=1
    ).drop_vars("u2")
    options = {"E_range": ("0.5 meV", "20.5 meV"), "mass": "30 u"}
    here = S.bp.to_vibrational_dos(**options)
    there = (
        S.bp.scale(scale).bp.convert(E=unit, Q=q_unit).bp.to_vibrational_dos(**options)
    )
    np.testing.assert_allclose(there.bp.convert(E="meV").g, here.g, rtol=1e-7)
    assert float(there.u2) == pytest.approx(float(here.u2), rel=1e-7)
    assert there.scale.attrs["units"] == "1"
    assert float(there.scale) == pytest.approx(float(here.scale) * scale, rel=1e-7)


@pytest.mark.slow
def test_further_dimensions_dask_and_kind(sqe: xr.Dataset) -> None:
    two = xr.concat([sqe, sqe.bp.scale(2)], dim="sample")
    noisy = two.assign(S_std=(two.S * 0.01).assign_attrs(two.S.attrs))
    options = {"E_range": (0.5, 30.5), "composition": "V"}
    back = noisy.bp.to_vibrational_dos(**options)
    assert back.g.dims == ("sample", "E")
    assert back.g_std.dims == ("sample", "E")
    np.testing.assert_allclose(back.g[1], back.g[0])
    np.testing.assert_allclose(back.scale[1], 2 * back.scale[0])
    lazy = noisy.chunk({"sample": 1, "Q": 5}).bp.to_vibrational_dos(**options)
    assert lazy.g.chunks is not None
    # Whether u2 agrees with Q is not known before they are computed.
    assert not lazy.g_std_common.fillna(0).any()
    lazy = lazy.compute().drop_vars(["g_std_common", "source"])
    xr.testing.assert_allclose(lazy.drop_attrs(), back.drop_attrs())
    left = noisy.chunk({"sample": 1}).bp.correct_multiphonon(**options)
    xr.testing.assert_allclose(
        left.compute().S, noisy.bp.correct_multiphonon(**options).S
    )
    xr.testing.assert_allclose(
        sqe.S.bp.to_vibrational_dos(**options), sqe.bp.to_vibrational_dos(**options).g
    )


def test_archive(sqe: xr.Dataset, tmp_path: Path) -> None:
    back = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V")
    back.bp.to_netcdf(tmp_path / "g.nc")
    with xr.open_dataset(tmp_path / "g.nc") as again:
        xr.testing.assert_identical(again, back)


@pytest.mark.slow
def test_status_instead_of_numbers(sqe: xr.Dataset) -> None:
    negative = sqe.assign(S=(-sqe.S).assign_attrs(sqe.S.attrs))
    nothing = sqe.assign(S=(sqe.S * np.nan).assign_attrs(sqe.S.attrs))
    three = xr.concat([sqe, negative, nothing], dim="sample")
    back = three.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V")
    assert back.status.values.tolist() == ["ok", "fit failed", "no data"]
    assert back.g[1:].isnull().all()
    assert back.u2[1:].isnull().all()
    left = three.bp.correct_multiphonon(E_range=(0.5, 30.5), composition="V")
    assert left.S[1:].isnull().all()
    # More multiple scattering than there is scattering: no g explains it.
    too_much = sqe.bp.to_vibrational_dos(
        E_range=(0.5, 30.5), composition="V", multiple_scattering=50
    )
    assert str(too_much.status.values) in ("fit failed", "not converged")
    assert too_much.g.isnull().all()


@pytest.mark.parametrize(
    "arguments",
    [
        {}, {"mass": 1, "composition": "V"}, {"mass": "x"}, {"composition": "V", "E_range": (100, 200)},
        {"composition": "V", "E_range": (-30, -5)}, {"composition": "V", "E_range": 5}, {"composition": "V", "T": "5 K"},
        {"composition": "V", "Q_range": (20, 30)}, {"composition": "V", "multiple_scattering": -1},
        {"composition": "V", "multiple_scattering": "1 meV"}, {"composition": "V", "multiple_scattering": "all"}, {"composition": "V", "below": "power law"},
        {"composition": "V", "tolerance": 2}, {"u2": "-1 angstrom^2"},
    ],
    ids=str,
)  # fmt: skip
def test_refusals(sqe: xr.Dataset, arguments: dict[str, object]) -> None:
    for method in (sqe.bp.to_vibrational_dos, sqe.bp.correct_multiphonon):
        with pytest.raises(XbpError):
            method(**arguments)


def test_data_it_cannot_work_on(sqe: xr.Dataset) -> None:
    with pytest.raises(TemperatureError):
        sqe.drop_vars("temperature").bp.to_vibrational_dos(composition="V")
    with pytest.raises(QuantityError, match="classical"):
        sqe.S.assign_attrs(statistics="classical").bp.to_vibrational_dos(
            composition="V"
        )
    with pytest.raises(XbpError, match="dimension 'Q'"):
        sqe.bp.cut_Q((2, 8)).bp.to_vibrational_dos(composition="V")
    with pytest.raises(RangeError, match="E > 0"):
        sqe.sel(E=slice(-30, -1)).bp.to_vibrational_dos(composition="V")


@pytest.mark.slow
def test_the_range_told_is_the_one_that_holds_numbers(sqe: xr.Dataset) -> None:
    masked = sqe.where(abs(sqe.E) > 4.5)
    masked.S.attrs = sqe.S.attrs
    for E_range in (None, (0, 40)):
        found = masked.sel(E=slice(None, 34)).bp.to_vibrational_dos(
            E_range=E_range, composition="V"
        )
        assert (float(found.E_low), float(found.E_high)) == (4.5, 34.5)
    # Q that are left out do not count, and every map has its own.
    high = sqe.where((abs(sqe.E) > 4.5) | (sqe.Q < 5))
    high.S.attrs = sqe.S.attrs
    options = {"E_range": (1, 30.5), "composition": "V", "Q_range": (5, 10)}
    assert float(high.bp.to_vibrational_dos(**options).E_low) == 4.5
    two = xr.concat([sqe, masked], dim="sample")
    for data in (two, two.chunk(sample=1)):
        found = data.bp.to_vibrational_dos(**options)
        assert found.E_low.values.tolist() == [0.5, 4.5]
        assert found.E_high.dims == ("sample",)


def test_a_density_that_rises_to_its_end_is_told(sqe: xr.Dataset) -> None:
    rising = sqe.assign(
        S=(sqe.S + 1e-2 * np.exp((sqe.E - 30) / 6).where(sqe.E > 30, 0.0)).assign_attrs(
            sqe.S.attrs
        )
    )
    found = rising.bp.to_vibrational_dos(E_range=(0, 55.5), composition="V")
    assert "rises_at_end" in {d.code for d in found.bp.diagnostics()}
    fitting = rising.bp.to_vibrational_dos(E_range=(0, 35.5), composition="V")
    assert "rises_at_end" not in {d.code for d in fitting.bp.diagnostics()}


@pytest.mark.slow
def test_vanadium(shared_data: Path) -> None:
    """ARCS, 120 meV: the two bands, where and how high the reference has them, and u² of 0.0066 Å² within 5 %."""
    measured = xbp.open_dataset(shared_data / "ins" / "V_ARCS_Ei120_iqe.h5")
    reference = xr.open_dataset(
        shared_data / "ins" / "V-dos.dat", engine="columns",
        quantity="vibrational_dos", units="1", coordinate="E", coordinate_units="THz",
    ).bp.convert(E="meV").g  # fmt: skip
    found = measured.bp.to_vibrational_dos(
        "300 K", E_range=("6.7 meV", "55 meV"), composition="V", multiple_scattering=0.2
    )
    assert str(found.status.values) == "ok"
    assert float(found.u2) == pytest.approx(0.00659, rel=0.05)
    assert float(found.extended) < 0.02
    # The elastic line, 4 meV wide, stands at +0.5 meV: so does everything else, by as much.
    E = np.arange(-60, 60.05, 0.1)
    density = np.interp(np.abs(E), reference.E, reference, right=0.0)
    kernel = np.exp(-4 * np.log(2) * (np.arange(-10, 10.05, 0.1) / 4) ** 2)
    broadened = np.convolve(density, kernel / kernel.sum(), mode="same")
    broadened /= broadened[E > 0].sum() * 0.1
    g = found.g.sel(E=slice(7, 40))
    expected = np.interp(g.E - 0.5, E, broadened)
    residual = g.values - expected
    assert np.sqrt((residual**2).mean()) / expected.max() < 0.12
    assert np.corrcoef(g, expected)[0, 1] > 0.95
    for low, high, at in ((15, 24, 19.2), (25, 32, 27.2)):
        assert float(found.g.sel(E=slice(low, high)).idxmax()) == pytest.approx(
            at + 0.5, abs=1.5
        )  # bins of 1.2
    # Beyond the highest phonon, where it should be 0, it is small; without the correction it is not.
    beyond = found.g.sel(E=slice(38, 55)).mean() / found.g.max()
    plain = measured.bp.to_gdos(T="300 K", u2="0.0066 angstrom^2").bp.cut_Q((6, 10)).G
    assert float(beyond) < 0.05
    assert (
        float(plain.sel(E=slice(38, 55)).mean() / plain.sel(E=slice(15, 32)).max())
        > 0.2
    )


@pytest.mark.slow
def test_the_multiple_scattering_of_the_whole_vanadium(shared_data: Path) -> None:
    """What is printed where C is not found leads to where it is."""
    measured = xbp.open_dataset(shared_data / "ins" / "V_ARCS_Ei120_iqe.h5")
    options = {"composition": "V", "multiple_scattering": "fit"}
    lost = measured.bp.to_vibrational_dos(
        "300 K", E_range=("6.7 meV", "55 meV"), **options
    )
    assert any("39.6 meV" in doubt.fix for doubt in lost.bp.diagnostics())
    found = measured.sel(E=slice(None, 55.4)).bp.to_vibrational_dos(
        "300 K", E_range=("7.2 meV", "39.6 meV"), **options
    )
    assert str(found.status.values) == "ok"
    assert 0.2 < float(found.multiple_scattering) < 0.4


@pytest.mark.slow
def test_aluminium_at_five_kelvin(shared_data: Path) -> None:
    """MARI, 60 meV: aluminium's transverse band about 20 meV and its longitudinal peak near 36, from angles to g(E)."""
    spectra = xbp.open_dataset(shared_data / "ins" / "MAR21335_Ei60meV.nxs")
    sqe = spectra.bp.angle_to_Q("0.05 1/angstrom").bp.mask_elastic(
        "3.6 meV", widths=1.2
    )
    options = {"E_range": ("4 meV", "42 meV"), "composition": "Al"}
    found = sqe.bp.to_vibrational_dos(**options)
    assert str(found.status.values) == "ok"
    assert float(found.extended) < 0.01
    smooth = found.g.dropna("E").rolling(E=5, center=True).mean()
    half = smooth.sel(E=slice(10, 28)) > smooth.sel(E=slice(10, 28)).max() / 2
    band = smooth.E.sel(E=slice(10, 28))[half]
    assert float(band.mean()) == pytest.approx(20.5, abs=1.5)
    assert float(smooth.sel(E=slice(30, 41)).idxmax()) == pytest.approx(36, abs=1)
    assert float(found.g.sel(E=slice(41, 42)).mean()) < 0.1 * float(smooth.max())
    # Debye's zero-point motion, 3ħ²/4Mk_Bθ with θ = 400 K, is 0.0034 angstrom².
    assert float(found.u2) == pytest.approx(0.0034, rel=0.08)
    # G(E) of what is left by the multiphonons has the same shape, and hardly depends on Q.
    left = sqe.bp.correct_multiphonon(**options)
    G = left.bp.to_gdos()
    shapes = [G.bp.cut_Q(q).G.sel(E=slice(12, 40)) for q in ((4, 6.5), (6.5, 9))]
    shapes = [s / s.mean() for s in shapes]
    reference = found.g.sel(E=slice(12, 40)) / found.g.sel(E=slice(12, 40)).mean()
    for shape in shapes:
        assert np.corrcoef(shape, reference)[0, 1] > 0.95
    # The coherent peaks of a powder are not averaged out by one half of the range.
    assert np.sqrt(((shapes[0] - shapes[1]) ** 2).mean()) < 0.3


@pytest.mark.slow
def test_the_error_of_u2_is_the_scatter_of_many_measurements() -> None:
    E = np.arange(0.5, 36, 0.5)
    g = xbp.new_dataset(
        "vibrational_dos",
        E**2 / (1 + np.exp((E - 28) / 1.5)),
        units="1",
        coords={"E": (E, "meV")},
        temperature="300 K",
    )
    S = g.bp.multiphonon_sqe(
        np.arange(2, 8, 0.25), np.arange(-35.5, 36, 0.5), composition="V", area=1
    )
    S = S.drop_vars("u2")
    found = []
    for seed in range(40):
        noisy = xbp.models.with_counting_noise(S, counts=300, rng=seed)
        found.append(
            noisy.bp.to_vibrational_dos(E_range=("3 meV", "34 meV"), composition="V")
        )
    assert all(str(one.status.values) == "ok" for one in found)
    scatter = np.std([float(one.u2) for one in found], ddof=1)
    told = np.mean([float(one.u2_std) for one in found])
    assert told == pytest.approx(scatter, rel=0.35)
    assert found[0].u2_std.attrs["units"] == "angstrom**2"
    assert np.isnan(
        noisy.bp.to_vibrational_dos(
            E_range=("3 meV", "34 meV"), u2="0.007 angstrom^2"
        ).u2_std
    )
    assert "u2_std" not in S.bp.to_vibrational_dos(
        E_range=("3 meV", "34 meV"), composition="V"
    )


def test_the_error_of_u2_covers_the_law_below_the_range() -> None:
    """From 4.5 meV on a tenth of u² is that of a law of E², which this g does not follow."""
    E = np.arange(0.5, 36)
    g = E**2 / (1 + np.exp((E - 22) / 1.5)) * (1 + (E / 15) ** 2)
    dos = xbp.new_dataset(
        "vibrational_dos", g, units="1", coords={"E": (E, "meV")}, temperature="300 K"
    )
    S = dos.bp.multiphonon_sqe(
        np.arange(2, 8, 0.25), np.arange(-35.5, 36), composition="V"
    )
    true = float(S.u2)
    for counts in (300, 30_000):
        noisy = xbp.models.with_counting_noise(S.drop_vars("u2"), counts=counts, rng=1)
        found = noisy.bp.to_vibrational_dos(E_range=(4.6, 35.5), composition="V")
        assert abs(float(found.u2) - true) < 1.5 * float(found.u2_std)
        assert float(found.u2_std) > 1e-3 * true


@pytest.mark.parametrize(
    ("falls", "bump", "low"), [(10, 0, 1.0), (10, 0, 4.0), (1e9, 2, 2.6)]
)
def test_the_error_of_u2_covers_what_the_range_does_not_show(
    falls: float, bump: float, low: float
) -> None:
    """g/E² that falls, or has a maximum right above the range: pulls were −1.5 and +1.9."""
    E = np.arange(0.1, 40, 0.2)
    peak = bump * np.exp(-(np.log(E / 3.3) ** 2) / (2 * 0.45**2))
    g = E**2 * np.exp(-E / falls) * (1 + peak) / (1 + np.exp((E - 28) / 1.5))
    dos = xbp.new_dataset(
        "vibrational_dos", g, units="1", coords={"E": (E, "meV")}, temperature="300 K"
    )
    S = dos.bp.multiphonon_sqe(
        np.arange(1, 8, 0.25), np.arange(-35.9, 50, 0.4), composition="V", area=1
    )
    true = float(S.u2)
    noisy = xbp.models.with_counting_noise(S.drop_vars("u2"), counts=10_000, rng=1)
    found = noisy.bp.to_vibrational_dos(E_range=(low, 49), composition="V")
    assert str(found.u2_status.values) == "ok"
    assert abs(float(found.u2) - true) < 1.3 * float(found.u2_std)
    assert float(found.u2_std) < 0.2 * true


def test_counting_is_no_change_of_the_law_below_the_range() -> None:
    """A level that does not change adds little; one linear in log E, what it changes by."""
    E = np.arange(2.0, 9, 0.02)
    rng = np.random.default_rng(18)
    std = 0.3 * E**2
    flat = [
        law_variance(E, E**2 + std * rng.normal(size=E.size), std) for _ in range(200)
    ]
    groups = [np.count_nonzero(np.floor(2 * np.log2(E / 2)) == k) for k in range(4)]
    counting = 2.5**2 * np.mean(0.09 / np.array(groups))
    assert np.mean(flat) < 0.6 * counting
    slope = 0.1
    trend = law_variance(E, E**2 * (1 + slope * np.log2(E / 2)), 0 * E)
    below = slope / np.log(2)  # the mean of −log2(E/2) from 0 to 2
    assert 0.5 * below < np.sqrt(trend) < 1.2 * below
    # What varies far above the range only is not carried on below it.
    far = E**2 * (1 + np.where(E > 4.5, 0.5 * (E - 4.5), 0))
    assert law_variance(E, far, 1e-3 * E**2) < 1e-3
    assert np.isnan(law_variance(E[:3], E[:3] ** 2, 0 * E[:3]))


def loose(u2_at_least: float) -> tuple[xr.Dataset, xr.Dataset]:
    """A density of states that moves atoms of 50 u so much that the plain iteration runs away, and its S(Q,E)."""
    E = np.arange(0.5, 40, 0.5)
    g = E**2 * np.exp(-((E / 18) ** 4))
    dos = xbp.new_dataset(
        "vibrational_dos", g / g.sum() / 0.5, units="1/meV", coords={"E": (E, "meV")}
    )
    S = dos.bp.multiphonon_sqe(
        np.arange(0.5, 8.1, 0.25),
        np.arange(-40, 80.1, 0.5),
        T="300 K",
        mass="50 u",
        area=1,
    )
    assert float(S.u2) > u2_at_least
    return dos, S


@pytest.mark.slow
def test_it_converges_where_the_multiphonons_are_strong() -> None:
    """2W reaches 1.4 at the highest Q: the iteration alone oscillates until no positive area is left."""
    dos, S = loose(0.0195)
    back = S.drop_vars("u2").bp.to_vibrational_dos(
        E_range=(0.5, 40), mass="50 u", tolerance=1e-7
    )
    assert str(back.status.values) == "ok"
    assert str(back.u2_status.values) == "ok"
    assert int(back.iterations) < 40
    assert float(back.u2) == pytest.approx(float(S.u2), rel=1e-4)
    np.testing.assert_allclose(
        back.g.sel(E=dos.E), dos.g, atol=1e-4 * float(dos.g.max())
    )


@pytest.mark.slow
@pytest.mark.parametrize("stop", [16, 21, 26])
@pytest.mark.parametrize("beyond", [True, False])
def test_a_range_that_ends_inside_the_band_has_no_u2(
    dos: xr.Dataset, sqe: xr.Dataset, stop: int, beyond: bool
) -> None:
    """Whether the data go on beyond E_range or end there: the modes to 30 meV are missing."""
    true = float(dos.bp.multiphonon_sqe([1.0], composition="V", area=1).u2)
    data = sqe if beyond else sqe.sel(E=slice(None, stop + 0.5))
    back = data.bp.to_vibrational_dos(E_range=(0.5, stop + 0.5), composition="V")
    assert str(back.status.values) == "ok"
    assert str(back.u2_status.values) == "range truncated"
    assert np.isnan(back.u2)
    assert back.g.attrs["area"] == "unknown"
    assert np.isnan(back.scale)
    # The shape of g stays, but for the multiphonons, which are not well known.
    shape = back.g.sel(E=slice(4, stop))
    assert np.corrcoef(shape, dos.g.sel(E=shape.E))[0, 1] > 0.98
    assert "u2_status: range truncated" in repr(back.bp)
    left = data.bp.correct_multiphonon(E_range=(0.5, stop + 0.5), composition="V")
    assert str(left.status.values) == "range truncated"
    assert left.S.isnull().all()
    given = data.bp.to_vibrational_dos(
        E_range=(0.5, stop + 0.5), u2=f"{true} angstrom^2"
    )
    assert float(given.u2) == true
    assert str(given.u2_status.values) == "range truncated"
    assert "u2_status: range truncated" in repr(given.bp)


@pytest.mark.slow
def test_a_u2_that_the_fall_with_Q_contradicts() -> None:
    """Modes of light atoms far above the range: a g of 5 to 25 meV alone moves them 50 times too much."""
    E = np.arange(1.0, 200.0)
    g = E**2 / (1 + (E / 60) ** 4)
    dos = xbp.new_dataset(
        "vibrational_dos", g, units="1", coords={"E": (E, "meV")}, temperature="300 K"
    )
    S = dos.bp.multiphonon_sqe(
        np.arange(0.5, 7.1, 0.1), np.arange(-28.0, 28.0), mass="12 u", area=1
    ).drop_vars("u2")
    for E_range in ((3, 25), (5, 25), (8, 27), (5, 20)):
        back = S.bp.to_vibrational_dos(E_range=E_range, mass="12 u")
        assert str(back.u2_status.values) != "ok", E_range
        assert np.isnan(back.u2)
        assert back.g.attrs["area"] == "unknown"


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_two_incident_energies_are_stitched(
    dos: xr.Dataset, sqe: xr.Dataset, scale: float
) -> None:
    """A fine measurement to 15 meV, a coarse one above: together they have all modes."""
    fine = dos.bp.multiphonon_sqe(
        Q, np.arange(-16.0, 16.0, 0.5), composition="V", area=1, tolerance=1e-9
    ).drop_vars("u2")
    E_range = (0.9, 15.5)  # the elastic line is as wide as a step of g
    alone = fine.bp.to_vibrational_dos(E_range=E_range, composition="V")
    assert np.isnan(alone.u2)
    coarse = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V")
    other = coarse.g.fillna(0) * scale
    other.attrs = {"quantity": "vibrational_dos", "units": "1"}
    back = fine.bp.to_vibrational_dos(
        E_range=E_range, composition="V", initial_dos=other, tolerance=1e-8
    )
    assert (str(back.status.values), str(back.u2_status.values)) == ("ok", "ok")
    assert float(back.u2) == pytest.approx(float(coarse.u2), rel=2e-3)
    assert back.g.attrs["area"] == 1
    width = np.diff(back.E_bnds, axis=1)[:, 0]
    assert float((back.g.fillna(0) * width).sum()) == pytest.approx(1, abs=2e-3)
    assert (np.diff(back.E_bnds.values.ravel()) >= 0).all()
    expected = np.interp(back.E[1:], dos.E, dos.g, right=0.0)
    np.testing.assert_allclose(back.g[1:], expected, atol=0.02 * float(dos.g.max()))
    # What follows from all modes can be computed of both, and of neither alone.
    left = fine.bp.correct_multiphonon(
        E_range=E_range, composition="V", initial_dos=other
    )
    one = dos.bp.multiphonon_sqe(Q, fine.E.values, composition="V", area=1, part="one")
    inside = left.S.sel(E=slice(1, 15))
    np.testing.assert_allclose(
        inside, one.S.sel(E=slice(1, 15)), atol=2e-3 * float(one.S.max())
    )


@pytest.mark.slow
def test_a_third_incident_energy_joins_the_two(
    dos: xr.Dataset, sqe: xr.Dataset
) -> None:
    coarse = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V")
    found = coarse
    for stop in (15.5, 8.5):
        found = sqe.bp.to_vibrational_dos(
            E_range=(0.5, stop), composition="V", initial_dos=found
        )
    assert float(found.u2) == pytest.approx(float(coarse.u2), rel=2e-3)
    two = xr.concat([sqe, sqe.bp.scale(2)], dim="sample").chunk(sample=1)
    lazy = two.bp.to_vibrational_dos(
        E_range=(0.5, 15.5), composition="V", initial_dos=coarse, join_range=(5, 15)
    )
    assert lazy.u2_status.values.tolist() == ["ok", "ok"]
    np.testing.assert_allclose(lazy.u2, coarse.u2, rtol=2e-3)


@pytest.mark.slow
def test_what_cannot_be_stitched(dos: xr.Dataset, sqe: xr.Dataset) -> None:
    options = {"E_range": (0.5, 15.5), "composition": "V"}
    coarse = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V")
    # One bin beyond the data is enough.
    longer = sqe.bp.to_vibrational_dos(
        E_range=(0.5, 29.5), composition="V", initial_dos=coarse
    )
    assert float(longer.u2) == pytest.approx(float(coarse.u2), rel=1e-3)
    with pytest.raises(RangeError, match=r"ends at 12\.5 meV"):
        sqe.bp.to_vibrational_dos(**options, initial_dos=coarse.sel(E=slice(0, 12)))
    with pytest.raises(RangeError, match="30 to 40 meV"):
        sqe.bp.to_vibrational_dos(**options, initial_dos=coarse, join_range=(30, 40))
    short = sqe.bp.to_vibrational_dos(E_range=(0.5, 20.5), composition="V")
    with pytest.raises(QuantityError, match="area of initial_dos is unknown"):
        sqe.bp.to_vibrational_dos(**options, initial_dos=short)
    with pytest.raises(CoordinateError, match="dimension 'run'"):
        sqe.bp.to_vibrational_dos(**options, initial_dos=coarse.expand_dims(run=2))
    with pytest.raises(RangeError, match="end=2"):
        sqe.bp.to_vibrational_dos(**options, end=2)


@pytest.mark.slow
def test_each_of_several_maps_has_its_area(sqe: xr.Dataset) -> None:
    short = sqe.where(sqe.E < 16)
    short.S.attrs = sqe.S.attrs
    both = xr.concat([sqe, short], dim="sample")
    for data in (both, both.chunk(sample=1)):
        found = data.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V")
        assert found.u2_status.values.tolist() == ["ok", "range truncated"]
        np.testing.assert_array_equal(np.isnan(found.u2), [False, True])
        np.testing.assert_array_equal(found.area, [1, np.nan])


@pytest.mark.slow
def test_measured_ranges_inside_the_band(shared_data: Path) -> None:
    """Vanadium's upper band is at 27 meV, aluminium's at 36: u2 comes of neither without it."""
    measured = xbp.open_dataset(shared_data / "ins" / "V_ARCS_Ei120_iqe.h5")
    for stop in (20, 25, 29):
        found = measured.bp.to_vibrational_dos(
            "300 K", E_range=("6.7 meV", f"{stop} meV"), composition="V"
        )
        assert str(found.u2_status.values) != "ok"
        assert np.isnan(found.u2)
    measured = xbp.open_dataset(shared_data / "ins" / "Al_ARCS_Ei80_iqe.h5")
    whole = measured.bp.to_vibrational_dos(
        "300 K", E_range=("4 meV", "42 meV"), composition="Al"
    )
    assert float(whole.u2) == pytest.approx(0.0118, abs=1e-4)
    for stop in (25, 30, 37):
        found = measured.bp.to_vibrational_dos(
            "300 K", E_range=("4 meV", f"{stop} meV"), composition="Al"
        )
        assert np.isnan(found.u2)
        assert str(found.u2_status.values) != "ok"
        again = measured.bp.to_vibrational_dos(
            "300 K",
            E_range=("4 meV", f"{stop} meV"),
            composition="Al",
            initial_dos=whole,
        )
        assert float(again.u2) == pytest.approx(float(whole.u2), rel=0.02)
    # The limit is the user's: g is half its maximum at 38 meV.
    options = {"T": "300 K", "E_range": ("4 meV", "37 meV"), "composition": "Al"}
    assert float(measured.bp.to_vibrational_dos(**options, end=0.9).u2) > 1.02 * float(
        whole.u2
    )


@pytest.mark.slow
@pytest.mark.parametrize("Q_range", [None, (2, 7)])
def test_graphite_to_25_meV_has_no_u2(
    shared_data: Path, Q_range: tuple[float, float] | None
) -> None:
    """Its phonons reach to 200 meV: u2, 0.0042 Å², is not in data to 27 meV, whatever is said of T and range."""
    graphite = xbp.open_dataset(shared_data / "doors" / "graphite-Ei_30-iqe.h5")
    for E_range in ((3, 25), (5, 25), (8, 27)):
        for T in ("300 K", "100 K"):
            found = graphite.bp.to_vibrational_dos(
                T, E_range=E_range, Q_range=Q_range, composition="C"
            )
            assert np.isnan(found.u2), (E_range, T)
            assert str(found.u2_status.values) != "ok"
            assert found.g.attrs["area"] == "unknown"


@pytest.mark.slow
def test_a_g_with_a_spoiled_multiphonon_part_is_unknown(shared_data: Path) -> None:
    """Graphite to 20 meV: 29 orders at u2 = 0.2 Å², for 0.0042, take most of S off."""
    graphite = xbp.open_dataset(shared_data / "doors" / "graphite-Ei_30-iqe.h5")
    options = {"E_range": (4, 20), "T": "300 K"}
    found = graphite.bp.to_vibrational_dos(composition="C", **options)
    assert str(found.status.values) == "multiphonons unknown"
    assert found.g.isnull().all()
    assert found.g_std.isnull().all()
    # With its u2 the multiphonon part is small, and known.
    given = graphite.bp.to_vibrational_dos(u2="0.0042 angstrom^2", **options)
    assert str(given.status.values) == "ok"
    assert given.g.sel(E=slice(4, 20)).notnull().all()
    assert str(given.u2_status.values) == "range truncated"


@pytest.mark.slow
def test_a_background_without_Q_makes_u2_unknown(sqe: xr.Dataset) -> None:
    options = {"E_range": (0.5, 30.5), "composition": "V"}
    assert abs(float(sqe.bp.to_vibrational_dos(**options).background)) < 0.01
    level = 3 * sqe.S.mean("Q").where(abs(sqe.E) < 30.5, 0.0)
    flat = sqe.assign(S=(sqe.S + level).assign_attrs(sqe.S.attrs))
    found = flat.bp.to_vibrational_dos(**options)
    assert float(found.background) > 0.5
    assert str(found.u2_status.values) == "disagrees with Q"
    assert np.isnan(found.u2)
    assert found.g.attrs["area"] == "unknown"
    assert "background_in_dos" in [one.code for one in found.bp.diagnostics()]
    small = sqe.assign(S=(sqe.S + level / 30).assign_attrs(sqe.S.attrs))
    assert float(small.bp.to_vibrational_dos(**options).u2) > 0


@pytest.mark.parametrize("name", ["tolerance", "end", "background", "uncertain"])
@pytest.mark.parametrize("value", [None, "abc", np.nan, -1, 0])
def test_absurd_limits(sqe: xr.Dataset, name: str, value: object) -> None:
    with pytest.raises(XbpError, match=name):
        xbp.to_vibrational_dos(sqe, composition="V", **{name: value})


@pytest.mark.slow
def test_measured_energies_are_stitched(shared_data: Path) -> None:
    """20 meV of an alloy joined to g(E) of 80 meV, which has u2 = 0.0160 Å².

    Nearly all of what was measured with 20 meV does not depend on Q: the u2 of the two,
    0.016 to 0.028 Å² for ranges that begin between 2 and 6 meV, is not known.
    """
    low = xbp.open_dataset(shared_data / "doors" / "XYZ2-iqe-Ei_20.h5")
    options = {"T": "300 K", "E_range": (6, 18), "mass": "79.452 u"}
    assert np.isnan(low.bp.to_vibrational_dos(**options).u2)
    with h5py.File(shared_data / "doors" / "XYZ2-initdos-Ei_80.h5") as file:
        edges, g = file["DOS/grid/E/bin boundaries"][1:], file["DOS/data"][1:]
    high = xbp.new_dataset(
        "vibrational_dos",
        g,
        units="1/meV",
        coords={"E": ((edges[1:] + edges[:-1]) / 2, "meV")},
        edges={"E": edges},
    )
    assert float(
        high.bp.multiphonon_sqe([1.0], T="300 K", mass="79.452 u").u2
    ) == pytest.approx(0.0160, abs=1e-4)
    found = low.bp.to_vibrational_dos(**options, initial_dos=high)
    assert str(found.status.values) == "ok"
    assert str(found.u2_status.values) == "range truncated"
    assert float(found.background) > 0.8
    assert np.isnan(found.u2)
    assert found.g.attrs["area"] == "unknown"
    # Where the two are joined they have one area, and beyond they are one.
    width = 0.2
    joined = found.g.sel(E=slice(12, 18)).sum() * width
    scale = float(
        found.g.sel(E=30, method="nearest") / high.g.sel(E=30, method="nearest")
    )
    assert float(joined) == pytest.approx(
        scale * float(high.g.sel(E=slice(12, 18)).sum() * width), rel=0.03
    )


@pytest.mark.parametrize(
    ("n", "highest", "found"),
    [(40, np.nan, True), (40, 30.0, False), (9, np.nan, False)],
)
def test_what_rises_again_has_fallen_before(
    n: int, highest: float, found: bool
) -> None:
    """Tenths of g: 1, ..., 5, 1, 2. Known ends of the phonons make no doubt."""
    g = np.ones(n)
    g[-12:-8], g[-4:] = 5.0, 2.0
    ds = xr.Dataset(
        {
            "g": ("E", g), "status": ((), "ok"), "highest_phonon": ((), highest),
            "extended": ((), 0.0), "multiple_scattering": ((), 0.1),
        },
        coords={"E": ("E", np.arange(1.0, n + 1), {"units": "meV"})},
    )  # fmt: skip
    assert ("rises_at_end" in {d.code for d in dos_doubts(ds)}) is found


@pytest.mark.slow
def test_what_is_stitched_on_counts_above_the_range_only(
    dos: xr.Dataset, sqe: xr.Dataset
) -> None:
    """Below the bins that join them, another g(E) may have any values."""
    other = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V").g.fillna(0)
    other.attrs = {"quantity": "vibrational_dos", "units": "1"}
    wrong = other.where(other.E > 12.4, 0.01).assign_attrs(other.attrs)
    one, two = (
        sqe.bp.to_vibrational_dos(
            E_range=(0.5, 15.5), composition="V", initial_dos=g, join_range=(13, 15),
            tolerance=1e-8,
        )
        for g in (other, wrong)
    )  # fmt: skip
    assert float(two.u2) == pytest.approx(float(one.u2), rel=1e-5)
    np.testing.assert_allclose(two.g, one.g, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("low", "status"), [(2, "ok"), (10, "range truncated")])
def test_a_range_that_begins_within_the_band(low: float, status: str) -> None:
    """g/E² falls by e every 10 meV: u2 from 10 meV was 26 % too small, from 20 half."""
    E = np.linspace(0.25, 40, 160)
    g = xbp.new_dataset(
        "vibrational_dos", E**2 * np.exp(-E / 10), units="1", coords={"E": (E, "meV")}
    )
    Q, at = np.arange(0.5, 8, 0.5), np.arange(0.25, 60, 0.25)
    S = g.bp.multiphonon_sqe(Q, at, T="300 K", mass="50 u", area=1)
    for part in (S, S.drop_vars("u2")):
        found = part.bp.to_vibrational_dos(E_range=(low, 50), mass="50 u")
        assert str(found.u2_status.values) == status
        assert str(found.status.values) == "ok"
    if status == "ok":
        assert float(found.u2) == pytest.approx(float(S.u2), rel=0.03)
    else:
        assert np.isnan(found.u2)
        assert found.g.attrs["area"] == "unknown"


def test_bins_right_beyond_the_range_are_those_of_its_last_twentieth() -> None:
    """g ends high, and falls within 5 % of the range beyond: by the mean of five bins."""
    E = np.arange(0.5, 40.0)
    inside, beyond = np.full(40, 1.0), np.full(40, np.nan)
    inside[:3] = 0.1
    E = np.concatenate([E, 40.1 + 0.3 * np.arange(5)])
    g = np.concatenate([inside, np.full(5, np.nan)])
    beyond = np.concatenate([beyond, [0.3, 0.3, 0.3, -0.2, -0.2]])
    grid = SimpleNamespace(E=E, initial_E=np.empty(0), end=0.15, whole=False)
    assert Inversion.falls(grid, g, np.empty(0), beyond)  # type: ignore[arg-type]
    beyond[-2:] = np.nan
    assert not Inversion.falls(grid, g, np.empty(0), beyond)  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_densities_are_joined_over_the_upper_half_of_the_range(
    sqe: xr.Dataset,
) -> None:
    other = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V").g.fillna(0)
    bent = other * (1 + 0.02 * other.E)
    bent.attrs = {"quantity": "vibrational_dos", "units": "1"}
    default, half, less = (
        float(
            sqe.bp.to_vibrational_dos(
                E_range=(0.5, 15.5), composition="V", initial_dos=bent, join_range=join
            ).u2
        )
        for join in (None, (8, 15.5), (8.6, 15.5))
    )
    assert default == half != less


def one_step(S: np.ndarray) -> Map:
    """Vanadium at 300 K, in bins of 1 meV to 30 meV."""
    E = np.arange(1.0, 31.0)
    nowhere, everywhere = np.zeros(30, dtype=bool), np.ones(30, dtype=bool)
    grid = Inversion(
        E=E, edges=np.arange(0.5, 31), Q=Q[:, None], weight=np.ones((Q.size, 1)), used=everywhere,
        tail=nowhere, constant=0.0, per_gamma=2.0901 / 50.9415, below="debye",
        tolerance=1e-6, end=0.1, background=0.05, uncertain=0.1,
        initial_E=np.empty(0), joined=nowhere, whole=False,
    )  # fmt: skip
    return Map(grid, S, 300.0, np.nan, np.empty(0))


def test_what_is_no_density_of_states_has_no_phonons(dos: xr.Dataset) -> None:
    """Its area, or the sum of its displacements, is negative."""
    S = dos.bp.multiphonon_sqe(Q, dos.E.values, composition="V", area=1).S.values
    step, g = one_step(S), dos.g.values
    assert step.follow(g) is not None
    assert step.follow(-0.5 * g) is None
    spoiled = g.copy()
    kT = 25.852
    while Modes.of(dos.E.values, spoiled, kT, below="debye").gamma > 0:
        spoiled[0] -= 1e-4
    modes = Modes.of(dos.E.values, spoiled, kT, below="debye")
    assert modes.area > 0 > modes.gamma > -1
    assert step.follow(spoiled) is None


def test_a_background_is_found_where_it_is_more_than_noise(dos: xr.Dataset) -> None:
    S = dos.bp.multiphonon_sqe(Q, dos.E.values, composition="V", area=1).S.values
    g = dos.g.values
    for seed in range(6):
        noise = 1e-3 * S.max() * np.random.default_rng(seed).standard_normal(S.shape)
        state = one_step(S).follow(g)
        assert state is not None
        unit = state.scale * state.per_gamma
        left, background = one_step(S + noise).residuals(unit * g, state)
        assert left == pytest.approx((noise**2).sum(), rel=0.2)
        assert background == 0.0
        level = 0.02 * S.max()
        _, found = one_step(S + noise + level).residuals(unit * g, state)
        expected = level * S.size / (S + noise + level).sum()
        assert found == pytest.approx(expected, rel=0.1)


def test_the_range_that_joins_is_in_the_units_of_the_data(sqe: xr.Dataset) -> None:
    """Twelve to fifteen meV in THz: the same u² as in meV."""
    other = sqe.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V").g.fillna(0)
    bent = other * (1 + 0.02 * other.E)
    bent.attrs = {"quantity": "vibrational_dos", "units": "1"}
    factor = 1 / 4.135667696923859
    in_thz = sqe.bp.convert(E="THz")
    one, same = (
        data.bp.to_vibrational_dos(
            E_range=(0.5 * by, 15.5 * by), composition="V", initial_dos=bent,
            join_range=(12 * by, 15.5 * by),
        )
        for data, by in ((sqe, 1.0), (in_thz, factor))
    )  # fmt: skip
    assert float(same.u2) == pytest.approx(float(one.u2), rel=1e-6)


def test_u2_of_the_Q_dependence_does_not_depend_on_the_unit_of_S(
    dos: xr.Dataset,
) -> None:
    """Its error is proportional to those of counting, where these are large."""
    S = dos.bp.multiphonon_sqe(Q, dos.E.values, composition="V", area=1).S.values
    S = S * (1 + 0.02 * (Q[:, None] / 10) ** 2)  # it asks for another u²
    one, scaled, twice = (
        one_step(by * S).invert(by * error * S)
        for by, error in ((1.0, 0.5), (1000.0, 0.5), (1.0, 1.0))
    )
    assert one.u2_of_Q == pytest.approx(0.00733, abs=0.002)
    assert scaled.u2_of_Q == pytest.approx(one.u2_of_Q, rel=1e-9)
    assert one.u2_of_Q_std > 0
    assert twice.u2_of_Q_std == pytest.approx(2 * one.u2_of_Q_std, rel=1e-9)


def test_the_change_of_gamma_with_the_law_below_the_range(dos: xr.Dataset) -> None:
    """By a difference: more modes below the range, all scaled to the same area."""
    E, kT = np.arange(6.0, 31.0), BOLTZMANN_MEV * 300
    g = dos.g.values[5:]
    grid = one_step(np.ones((Q.size, 30))).grid
    S = np.where(grid.E >= 6, 1.0, np.nan) * np.ones((Q.size, 1))
    one = Map(grid, S, 300.0, np.nan, np.empty(0))
    modes = Modes.of(E, g, kT, below="debye", step=1.0)
    under, step = np.where(np.arange(modes.density.size) < 6, 1.0, 0.0), 1e-4

    def gamma(law: float) -> float:
        at = modes.step * np.arange(modes.density.size)
        density = modes.density + law * under * at**2
        area = density.sum() * modes.step
        curvature = (modes.curvature + law) / area
        changed = replace(modes, density=density / area, curvature=curvature)
        return changed.gamma

    slope = (gamma(step) - gamma(-step)) / (2 * step)
    assert one.gamma_of_law(modes) == pytest.approx(slope, rel=1e-4)
