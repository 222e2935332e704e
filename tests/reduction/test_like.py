"""A simulation as an instrument sees it."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError, TemperatureError

KT = 25.852
OPERATIONS = (xbp.like, xbp.convolve)


@pytest.fixture
def experiment() -> xr.Dataset:
    data = xbp.models.dynamic_structure_factor(
        np.arange(2.5, 8.01, 0.25), np.arange(-20, 20.1, 0.5), energy="5.5 meV", width="6 meV", T="300 K",
        u2="0.012 angstrom^2",
    )  # fmt: skip
    data["S"] = data.S.where(data.E < 5 * data.Q)  # what the instrument does not reach
    return data


def test_detailed_balance_is_given_and_the_reduction_left_as_it_is(
    glass: xr.Dataset,
) -> None:
    quantum = glass.bp.to_quantum()
    assert quantum.S.attrs["statistics"] == "quantum"
    assert quantum.sizes["E"] == 2 * glass.sizes["E"] - 1
    gain, loss = (
        quantum.S.sel(E=slice(None, -0.1))[:, ::-1],
        quantum.S.sel(E=slice(0.1, None)),
    )
    np.testing.assert_allclose(
        gain.values / loss.values,
        np.exp(-loss.E.values / KT)[None] * np.ones((169, 1)),
        rtol=1e-4,
    )
    np.testing.assert_allclose(
        quantum.bp.to_bqe().B.sel(E=slice(0, None)),
        glass.bp.to_bqe().B,
        rtol=1e-9,
        equal_nan=True,
    )
    np.testing.assert_allclose(quantum.S_std.sel(E=0), glass.S_std.sel(E=0))
    implied = quantum.bp.detailed_balance(
        E_range=(1, 20), Q_range=(2, 8)
    ).implied_temperature
    assert float(implied) == pytest.approx(300, rel=1e-3)
    np.testing.assert_allclose(quantum.E_bnds[0], -quantum.E_bnds[-1, ::-1])


def test_half_bins_at_zero_are_mirrored_whole() -> None:
    E = np.arange(0.25, 10, 0.5)
    data = xbp.new_dataset(
        "dynamic_structure_factor", np.ones((1, E.size)), units="1/meV",
        coords={"Q": ([1.0], "1/angstrom"), "E": (E, "meV")}, temperature="300 K", statistics="classical",
    )  # fmt: skip
    both = data.bp.to_quantum()
    assert both.E.values.tolist() == [*(-E[::-1]), *E]
    np.testing.assert_allclose(
        both.bp.to_gdos(u2=0).G.sel(E=slice(0, None)), data.bp.to_gdos(u2=0).G
    )
    np.testing.assert_allclose(
        data.bp.to_quantum().S.sel(E=-0.25), 1 - 0.25 / KT / 2, rtol=1e-4
    )


def test_on_the_grid_and_in_the_mask_of_the_experiment(
    glass: xr.Dataset, experiment: xr.Dataset
) -> None:
    md = glass.bp.like(experiment, "1.5 meV")
    np.testing.assert_array_equal(md.Q, experiment.Q)
    np.testing.assert_array_equal(md.E, experiment.E)
    assert not (md.S.notnull() & experiment.S.isnull()).any()
    assert (
        md.S.where(experiment.S.notnull()).notnull().sum()
        == experiment.S.notnull().sum()
    )
    assert md.S_std.notnull().equals(md.S.notnull())
    difference = experiment.bp.subtract(experiment.bp.scale(0.5))
    assert difference.S.shape == md.S.shape


@pytest.mark.slow
def test_it_is_the_chain_of_its_steps(
    glass: xr.Dataset, experiment: xr.Dataset
) -> None:
    md = glass.bp.like(experiment, "1.5 meV").S
    E_edges = np.append(experiment.E - 0.25, 20.25)
    by_hand = (
        glass.bp.to_quantum()
        .bp.convolve("1.5 meV")
        .bp.rebin(E=E_edges)
        .bp.rebin(Q=np.arange(2.375, 8.2, 0.25))
        .S
    )
    # Bins are broadened into bins at once, which saves one averaging over bins: it matters on the elastic line's flanks.
    near = (abs(md.E) < 18) & (abs(md.E) > 6)
    np.testing.assert_allclose(
        md.where(near, drop=True),
        by_hand.where(experiment.S.notnull()).where(near, drop=True),
        rtol=0.03,
    )


def test_a_model_is_seen_with_its_own_answer() -> None:
    fine = xbp.models.dynamic_structure_factor(
        np.arange(2.3, 8.3, 0.05), np.arange(-40, 40.05, 0.1), energy="5.5 meV", width="6 meV", T="300 K",
        u2="0.012 angstrom^2",
    )  # fmt: skip
    coarse = fine.bp.rebin(E=np.arange(-20.05, 20, 0.5), Q=np.arange(2.375, 8.2, 0.25))
    seen = fine.bp.like(coarse, "0.02 meV", scale="fit").S
    np.testing.assert_allclose(seen, coarse.S, rtol=1e-6)
    twice = fine.bp.like(coarse.bp.scale(2.0), "0.02 meV", scale="fit").S
    np.testing.assert_allclose(twice, 2 * seen, rtol=1e-9)
    # An elastic line within one FWHM, 4 meV, is no part of the factor.
    wide = fine.bp.like(coarse, "4 meV").S
    line = coarse.assign(
        S=(wide * 3 + 50.0 * (abs(wide.E) < 3.8)).assign_attrs(wide.attrs)
    )
    thrice = fine.bp.like(line, "4 meV", scale="fit").S
    np.testing.assert_allclose(thrice, 3 * wide, rtol=1e-9)


def test_one_bin_of_few_counts_does_not_set_the_scale(
    glass: xr.Dataset, experiment: xr.Dataset
) -> None:
    rng = np.random.default_rng(4)
    exact = glass.bp.like(experiment, "1.5 meV").S
    counts = xr.DataArray(
        rng.poisson((3000 * exact).fillna(0)), exact.coords, exact.dims
    ).where(exact.notnull())
    measured = experiment.assign(
        S=experiment.S.copy(data=counts), S_std=np.sqrt(counts).clip(1e-9)
    )
    measured["S_std"].attrs["units"] = measured.S.attrs["units"]
    fitted = glass.bp.like(measured, "1.5 meV", scale="fit").S
    assert fitted.attrs["scale_factor"] == pytest.approx(3000, rel=0.02)
    np.testing.assert_allclose(fitted, 3000 * exact, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("E", "Q"), [("THz", "1/nm"), ("1/cm", "1/angstrom")])
def test_units_of_either_side_do_not_matter(
    glass: xr.Dataset, experiment: xr.Dataset, E: str, Q: str
) -> None:
    want = glass.bp.like(experiment, "1.5 meV").S
    other = glass.bp.like(experiment.bp.convert(E=E, Q=Q), "1.5 meV")
    np.testing.assert_allclose(
        other.bp.convert(E="meV", Q="1/angstrom").S, want, rtol=1e-9
    )
    again = glass.bp.convert(E=E, Q=Q).bp.like(experiment, "1.5 meV").S
    np.testing.assert_allclose(again, want, rtol=1e-9)
    assert other.Q.attrs["units"] == Q


@pytest.mark.slow
def test_what_does_not_fit_together_is_refused(
    glass: xr.Dataset, experiment: xr.Dataset
) -> None:
    with pytest.raises(
        TemperatureError, match="the simulation is at 300 K, the experiment at 200 K"
    ):
        glass.bp.like(
            experiment.assign_coords(temperature=experiment.temperature * 0 + 200),
            "1.5 meV",
        )
    with pytest.raises(TemperatureError, match="not known"):
        glass.drop_vars("temperature").bp.like(experiment, "1.5 meV")
    with pytest.raises(QuantityError, match="must be classical"):
        experiment.bp.to_quantum()
    with pytest.raises(RangeError, match="no bin in common"):
        glass.bp.like(experiment.assign_coords(E=experiment.E + 200), "1.5 meV")
    with pytest.raises(RangeError, match="one map over Q and E"):
        glass.bp.like(experiment.bp.cut_E(3, 1), "1.5 meV")
    with pytest.raises(QuantityError, match="scale='best'"):
        glass.bp.like(experiment, "1.5 meV", scale="best")
    with pytest.raises(RangeError, match="no scale can be fitted"):
        glass.bp.like(experiment.where(abs(experiment.E) < 1), "1.5 meV", scale="fit")
    with pytest.raises(
        QuantityError, match=r"S\(Q,E\) is needed|'dynamic_structure_factor'"
    ):
        glass.bp.to_bqe().bp.like(experiment, "1.5 meV")


def test_on_the_grid_of_a_measured_file(glass: xr.Dataset, shared_data: Path) -> None:
    vanadium = xbp.open_dataset(shared_data / "ins" / "V_ARCS_Ei120_iqe.h5")
    curve = xbp.direct_geometry_resolution(
        np.arange(-65.0, 66.0), "120 meV", moderator_to_chopper="11.6 m", chopper_to_sample="2 m",
        sample_to_detector="3 m", moderator_time="7 us", chopper_time="4 us",
    )  # fmt: skip
    md = glass.bp.like(vanadium.drop_vars("temperature", errors="ignore"), curve)
    name = next(
        str(n)
        for n, v in vanadium.data_vars.items()
        if v.attrs.get("quantity") == "dynamic_structure_factor"
    )
    known = md.S.notnull()
    assert not (known & vanadium[name].isnull()).any()
    assert int(known.sum()) > 1000
    # Broadened, the first maximum of S(Q) still stands out of the elastic line.
    line = md.S.sel(E=0, method="nearest").dropna("Q")
    assert float(line.Q[line.argmax("Q")]) == pytest.approx(2.75, abs=0.15)


def test_the_ends_are_those_of_a_convolution() -> None:
    tail = [inspect.signature(f).parameters["tail"].default for f in OPERATIONS]
    assert tail == [1e-3, 1e-3]
