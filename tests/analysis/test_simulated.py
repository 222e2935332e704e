"""The rule for maxima of simulated spectra, on curves whose nature is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.analysis.simulated import (
    BOX_LIMITS,
    BoxLimits,
    excess_over,
    judge_maximum,
)
from xbp.errors import QuantityError, RangeError
from xbp.fitting.sampled import sampled_std

E = np.arange(0.25, 20.01, 0.25)


def spectrum(
    values: np.ndarray,
    *,
    error: float = 0.03,
    box: float | None = None,
    fwhm: float | None = None,
    seed: int | None = 0,
    simulated: bool = True,
) -> xr.Dataset:
    std = error * np.abs(values) + 1e-3 * values.max()
    if seed is not None:
        values = values + std * np.random.default_rng(seed).normal(size=E.size)
    made = xbp.new_dataset(
        "reduced_dos", values, std=std, units="1/meV**3", coords={"E": (E, "meV")}
    )
    if simulated:
        made["B"].attrs["origin"] = "simulation"
    marks = {"box_phonon": box, "resolution_fwhm": fwhm}
    return made.assign_coords(
        {n: ((), v, {"units": "meV"}) for n, v in marks.items() if v is not None}
    )


def lognormal(energy: float = 5.0, sigma: float = 0.5) -> np.ndarray:
    return np.exp(-(np.log(E / energy) ** 2) / (2 * sigma**2))


def test_a_peak_far_above_the_box_phonon_is_one() -> None:
    peak = spectrum(lognormal(), box=1.7, fwhm=0.5).bp.boson_peak()
    assert peak.status == "ok"
    assert float(peak.energy) == pytest.approx(5.0, abs=4 * float(peak.energy_std))
    assert float(peak.excess_energy) == pytest.approx(5.0, abs=1.0)


@pytest.mark.parametrize("E_range", [(1.2, 6), (1.2, 8), (1.2, 12)])
def test_the_gap_of_a_box_of_4000_atoms_is_no_peak(
    E_range: tuple[float, float],
) -> None:
    """One bin at 1.24 meV, in the gap below the phonon at 1.72, makes a maximum."""
    cut = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe().bp.cut_Q((2.1, 8.5))
    if "origin" in cut["B"].attrs:
        del cut["B"].attrs["origin"]
    assert cut.bp.boson_peak(E_range=E_range).status == "ok"
    cut["B"].attrs |= {"origin": "simulation", "n_atoms": 4000}
    peak = cut.bp.boson_peak(E_range=E_range)
    assert peak.status in ("plateau", "box phonon", "maximum at edge", "no maximum")
    assert np.isnan(peak.energy)
    assert 2.5 < float(peak.excess_energy) < 4


def test_boxes_of_several_sizes_have_each_their_own_counting_error() -> None:
    both = xbp.tutorial.open_datatree("kob_andersen_series")["n_atoms"].to_dataset()
    table = both.bp.to_bqe().bp.cut_Q((1.4, 4.2)).bp.boson_peak(E_range=(0.25, 1.5))
    for n in (4000, 16000):
        alone = both.sel(n_atoms=n).drop_vars("n_atoms").bp.to_bqe()
        alone.B.attrs["n_atoms"] = n
        one = alone.bp.cut_Q((1.4, 4.2)).bp.boson_peak(E_range=(0.25, 1.5))
        assert one.status == table.status.sel(n_atoms=n) != "ok"
        np.testing.assert_array_equal(
            one.excess_energy, table.excess_energy.sel(n_atoms=n)
        )


@pytest.mark.slow
def test_how_often_a_plateau_passes_for_a_peak() -> None:
    """Noise alone: at most one in twenty is 'ok'."""
    flat = 1 / (1 + (E / 12) ** 6)
    found = [
        str(
            spectrum(flat, box=1.0, seed=s).bp.boson_peak(E_range=(1, 12)).status.values
        )
        for s in range(100)
    ]
    assert found.count("ok") <= 5


def test_noise_at_zero_energy_says_nothing_about_the_low_side() -> None:
    """g(E)/E² of modes that are counted is as uncertain there as 1/E²."""
    values = np.where(E < 1, 0.5, 0.7 + 0.3 * lognormal(5.0, 0.35))
    values = np.where(E > 9, values * np.exp(-(((E - 9) / 5) ** 2)), values)
    data = spectrum(values, box=0.0, seed=None)
    data["B_std"] = data.B_std + 0.3 / E.astype(float) ** 2
    assert data.bp.boson_peak(E_range=(1, 12)).status == "ok"
    # But a side must be seen to be lower somewhere.
    data["B_std"] = data.B_std.where(data.E > 4, 1.0)
    assert data.bp.boson_peak(E_range=(1, 12)).status != "ok"


@pytest.mark.slow
def test_how_often_a_peak_is_found() -> None:
    """A maximum 30 % above its shoulders with errors of 3 % is found nearly always."""
    bump = 0.7 + 0.3 * lognormal(5.0, 0.35)
    bump = np.where(E > 9, bump * np.exp(-(((E - 9) / 5) ** 2)), bump)
    found = [
        str(spectrum(bump, box=1.0, seed=s).bp.boson_peak().status.values)
        for s in range(60)
    ]
    assert found.count("ok") >= 54


def test_a_peak_at_the_box_phonon_is_that() -> None:
    sharp = lognormal(2.2, 0.3)
    ends = (0.5, 5)
    near = spectrum(sharp, box=1.7)
    assert near.bp.boson_peak(E_range=ends).status == "box phonon"
    assert spectrum(sharp, box=1.2).bp.boson_peak(E_range=ends).status == "ok"
    # The resolution counts: 1.2 + 1.3 meV is above 2.2.
    data = spectrum(sharp, box=1.2, fwhm=1.3)
    assert data.bp.boson_peak(E_range=ends).status == "box phonon"


def test_the_box_must_be_known() -> None:
    data = spectrum(lognormal())
    peak = data.bp.boson_peak()
    assert peak.status == "box unknown"
    assert np.isnan(peak.energy)
    assert data.bp.boson_peak(box_phonon=0).status == "ok"
    assert data.bp.boson_peak(box_phonon="2 meV").status == "ok"
    near = data.bp.boson_peak(box_phonon="0.004 eV", E_range=(1, 15))
    assert near.status == "box phonon"
    table = xr.Dataset(
        {"energy": ((), 4.0, {"units": "meV"}), "status": ((), "ok")},
        attrs={"quantity": "box_phonon"},
    )
    again = data.bp.boson_peak(box_phonon=table, E_range=(1, 15))
    assert again.status == "box phonon"
    with pytest.raises(QuantityError, match="not found: no maximum"):
        data.bp.boson_peak(box_phonon=table.assign(status="no maximum"))
    measured = spectrum(lognormal(), simulated=False)
    assert measured.bp.boson_peak().status == "ok"
    assert "excess_energy" not in measured.bp.boson_peak()
    with pytest.raises(QuantityError, match="simulation"):
        measured.bp.boson_peak(box_phonon=0)
    with pytest.raises(RangeError):
        data.bp.boson_peak(box_phonon=-1)


def test_without_errors_no_simulated_maximum_passes() -> None:
    """The mean of four glasses has no maximum within errors, and one without them."""
    dos = xbp.tutorial.open_dataset("zr46cu46al8")[["g", "g_std"]].bp.to_bqe()
    for ends in ((0.9, 6), (0.9, 8), (0.9, 12), (1.5, 8)):
        alone = dos.B.bp.boson_peak(E_range=ends, debye_level="3.54e-4 1/meV**3")
        assert alone.status == "errors unknown"
        assert np.isnan(alone.energy)
        assert float(alone.excess) > 2
        assert np.isnan(alone[["excess_std", "excess_low"]].to_array()).all()
        assert dos.bp.boson_peak(E_range=ends).status == "no maximum"
    assert "pass the Dataset" in str(alone.bp)
    # A box whose atoms are counted has the errors of that.
    alone = dos.B.assign_attrs(n_atoms=1500)
    found = alone.bp.boson_peak(E_range=(0.9, 8)).status
    assert found not in ("ok", "errors unknown")


@pytest.mark.slow
def test_the_excess_is_printed_with_its_error_and_range() -> None:
    dos = xbp.tutorial.open_datatree("zr46cu46al8_glasses")
    large = dos["zr46cu46al8_10k_glass/dos"].to_dataset().bp.to_bqe()
    peak = large.bp.boson_peak(E_range=(0.9, 8), debye_level="3.48e-4 1/meV**3")
    assert "energy 2.25 ± 0.28 meV" in str(peak.bp)
    assert "excess 2.47 ± 0.12 from 1.1 to 7.7 meV" in str(peak.bp)


def test_excess_over_the_debye_level() -> None:
    values = 1 + 0.8 * lognormal(3.5, 0.3)
    values = values * np.exp(-((E / 14) ** 4))
    data = spectrum(values, box=0.8, seed=3)
    peak = data.bp.boson_peak(debye_level="1 1/meV**3")
    assert float(peak.excess) == pytest.approx(1.79, abs=3 * float(peak.excess_std))
    assert float(peak.excess_energy) == pytest.approx(3.5, abs=0.76)
    assert 1.5 < float(peak.excess_low) < 2.6
    assert 4.5 < float(peak.excess_high) < 7.5
    assert peak.excess.attrs["units"] == "1"
    assert peak.excess_low.attrs["units"] == "meV"
    same = data.bp.boson_peak(debye_level="1e9 1/eV**3")
    assert float(same.excess) == pytest.approx(float(peak.excess), rel=1e-10)
    with pytest.raises(RangeError):
        data.bp.boson_peak(debye_level=-1)


def test_a_series_has_a_box_phonon_for_each() -> None:
    both = xr.concat(
        [spectrum(lognormal(), box=1.0), spectrum(lognormal(), box=4.0)],
        "size", data_vars="all", coords="different", compat="equals",
    )  # fmt: skip
    peaks = both.bp.boson_peak(E_range=(1.2, 15))
    assert peaks.status.values.tolist() == ["ok", "box phonon"]


def test_a_cut_leaves_the_counting_errors_alone(glass: xr.Dataset) -> None:
    b = glass[["g", "g_std"]].bp.to_bqe()
    b["B_std"] = 1e-6 * b.B  # as if the segments said so
    level = "3.5e-4 1/meV**3"
    whole = b.bp.boson_peak(debye_level=level)
    cut = b.sel(E=slice(0, 8)).bp.boson_peak(debye_level=level)
    assert float(whole.excess_std) > 1e-3 * float(whole.excess)
    assert float(cut.excess_std) == pytest.approx(float(whole.excess_std), rel=1e-9)


def test_errors_contain_the_sampling_of_modes() -> None:
    """n modes in a bin are worth 1/√n, whatever the segments say."""
    g = E**2 * np.exp(-((E / 12) ** 6))
    B = g / E**2
    n_modes = 3000.0
    found = sampled_std(E, B[None], np.zeros((1, E.size)), np.array([n_modes]), 2)[0]
    modes = n_modes * g / g.sum()
    # One mode is the least: a bin without any has an error too.
    expected = B / modes * np.sqrt(np.maximum(modes, 1))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    large = np.full((1, E.size), 70.0)
    np.testing.assert_array_equal(
        sampled_std(E, B[None], large, np.array([n_modes]), 2), large
    )
    # A cut does not change how many modes a bin has, where the area says it.
    low, area = E < 8, float((g * np.gradient(E)).sum())
    cut = (E[low], B[None, low], np.zeros((1, low.sum())), np.array([n_modes]), 2)
    np.testing.assert_allclose(sampled_std(*cut, area)[0, :-1], found[low][:-1])
    data = spectrum(lognormal(), box=1.0, error=1e-4)
    tight = data.bp.boson_peak()
    data["B"].attrs["n_atoms"] = 20_000
    assert float(data.bp.boson_peak().energy_std) > 3 * float(tight.energy_std)


def test_a_second_fit_must_agree_within_twice_the_larger_error() -> None:
    B, std = lognormal(), np.full(E.size, 1e-3)
    for second, expected in (
        ((5.19, 0.1), "ok"),
        ((5.21, 0.1), "plateau"),
        ((5.39, 0.2), "ok"),
        ((5.41, 0.2), "plateau"),
    ):
        found = judge_maximum(E, B, std, (5.0, 0.1), second, 1.0, 0.0, 20.0, BOX_LIMITS)
        assert found == expected


def test_an_excess_is_above_the_level_not_at_it() -> None:
    """Means of three bins of 1, 1, 1, 4, 1, … on a level of 1."""
    x, B = np.arange(2.0, 10.0), np.array([1.0, 1, 1, 4, 1, 1, 1, 1])
    limits = BoxLimits(significance=0.0)
    found = excess_over(x, B, 0 * B, 1.0, 0.0, 0.0, 20.0, limits)
    assert found == pytest.approx((4.0, 2.0, 0.0, 4.0, 6.0))
