"""A reversed axis of E is refused where detailed balance shows it, and never by noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError
from xbp.reduction.sign import asymmetry


def turned(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign_coords(E=("E", -ds.E.values, ds.E.attrs)).sortby("E")


OPERATIONS = {
    "to_gdos": lambda ds, **o: ds.bp.to_gdos(**o), "to_bqe": lambda ds, **o: ds.bp.to_bqe(**o), "fold": lambda ds, **o: ds.bp.fold(**o),
    "f-sum": lambda ds, **o: ds.bp.normalize_to_sum_rule("f-sum", mass="60 u", end=1, **o),
    "to_convention": lambda ds, **o: ds.bp.to_convention("S*n/(E*Q)", **o),
    "to_vibrational_dos": lambda ds, **o: ds.bp.to_vibrational_dos(E_range=(2, 19), **o),
    "correct_multiphonon": lambda ds, **o: ds.bp.correct_multiphonon(E_range=(2, 19), **o),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_reversed_axis_is_refused(model: xr.Dataset, name: str) -> None:
    operation = OPERATIONS[name]
    operation(model)
    with pytest.raises(CoordinateError, match="sign of E seems reversed"):
        operation(turned(model))
    operation(turned(model), reversed_below=None)
    back = turned(turned(model))
    xr.testing.assert_allclose(operation(back), operation(model))


@pytest.mark.parametrize("name", ["to_bqe", "fold", "to_convention", "f-sum"])
@pytest.mark.parametrize("chunks", [{"E": 20}, {"Q": 3}, {}])
def test_lazy_data_are_checked_when_they_are_computed(
    model: xr.Dataset, name: str, chunks: dict[str, int]
) -> None:
    operation = OPERATIONS[name]
    right = operation(model.chunk(chunks)).compute()
    xr.testing.assert_allclose(right, operation(model))
    with pytest.raises(CoordinateError, match="sign of E seems reversed"):
        operation(turned(model).chunk(chunks)).compute()
    operation(turned(model).chunk(chunks), reversed_below=None).compute()


@pytest.mark.parametrize(
    ("chunks", "most"), [({"run": 1}, 1), ({"run": 1, "Q": 2}, 64), ({"run": 2}, 1)]
)
def test_a_block_is_checked_without_the_others(
    model: xr.Dataset, chunks: dict[str, int], most: int
) -> None:
    """Data that do not fit into memory would be lost otherwise."""
    dask_array = pytest.importorskip("dask.array")
    read: list[tuple[int, ...]] = []

    def look(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:
            read.append(block_info[0]["chunk-location"])
        return block

    six = xr.concat([model.isel(Q=slice(8))] * 6, "run").chunk(chunks)
    one = six.S.copy(data=dask_array.map_blocks(look, six.S.data, dtype=float))
    ds = six[["S"]].assign(S=one).bp.to_bqe()
    ds.B.isel(run=5, Q=slice(2)).compute(scheduler="sync")
    assert {place[0] for place in read} == {one.data.numblocks[0] - 1}
    assert len(read) == len(set(read)) <= most
    bad = xr.concat([model, turned(model).assign_coords(E=model.E)], "run")
    wrong = bad[["S"]].chunk(run=1).bp.to_bqe()
    wrong.isel(run=0).compute()
    with pytest.raises(CoordinateError, match="sign of E seems reversed"):
        wrong.isel(run=1).compute()


def test_lazy_data_are_not_computed_for_the_check(model: xr.Dataset) -> None:
    wrong = turned(model).chunk(Q=3).bp.to_bqe()
    assert wrong.B.chunks
    light = xbp.new_dataset(
        "raman_intensity",
        model.S.isel(Q=0).values,
        units="1",
        coords={"E": (model.E.values, "meV")},
        temperature=model.temperature,
    )
    xr.testing.assert_allclose(
        light.chunk(E=20).bp.to_reduced_raman().compute(), light.bp.to_reduced_raman()
    )
    with pytest.raises(CoordinateError, match="sign of E seems reversed"):
        turned(light).chunk(E=20).bp.to_reduced_raman().compute()


def test_lazy_detectors_are_checked_too(model: xr.Dataset) -> None:
    angles = np.linspace(20, 110, 60)
    E = model.E.values[abs(model.E.values) < 15]
    Q = np.sqrt(np.maximum(40 - E - 2 * np.sqrt(20 * (20 - E)) * np.cos(np.radians(angles))[:, None], 0) / 2.0721)  # fmt: skip
    S = model.S.interp(Q=(("detector", "E"), Q), E=("E", E))
    spectra = xbp.new_dataset(
        "detector_spectra",
        S.transpose("detector", "E").values,
        units="1/meV",
        coords={"detector": (np.arange(60), "1"), "E": (E, "meV")},
        temperature=model.temperature,
        statistics="quantum",
    )
    spectra = spectra.assign_coords(
        two_theta=("detector", angles, {"units": "degree"}),
        incident_energy=((), 20.0, {"units": "meV"}),
    )
    spectra.S.attrs |= {"ki_over_kf": "applied", "geometry": "direct"}
    given = {"Q": "0.2 1/angstrom", "angle_width": "1.6 degree"}
    lazy = spectra.chunk(detector=20).bp.angle_to_Q(**given)
    xr.testing.assert_allclose(lazy.compute(), spectra.bp.angle_to_Q(**given))
    with pytest.raises(CoordinateError, match="sign of E"):
        turned(spectra).bp.angle_to_Q(**given)
    with pytest.raises(CoordinateError, match="sign of E"):
        turned(spectra).chunk(detector=20).bp.angle_to_Q(**given).compute()


def test_units_and_grids_do_not_matter(model: xr.Dataset) -> None:
    for unit in ("THz", "1/cm"):
        with pytest.raises(CoordinateError, match="reversed"):
            turned(model).bp.convert(E=unit).bp.to_bqe()
    uneven = turned(model).isel(E=slice(3, 74))
    with pytest.raises(CoordinateError, match="reversed"):
        uneven.isel(E=slice(None, None, 2)).bp.to_bqe()
    with pytest.raises(CoordinateError, match="reversed"):
        turned(model).expand_dims(sample=3).bp.to_bqe()


@pytest.mark.slow
@pytest.mark.parametrize("counts", [0.3, 3.0, 30.0, 3000.0])
def test_noise_is_no_reversed_axis(model: xr.Dataset, counts: float) -> None:
    found = []
    for seed in range(12):
        noisy = xbp.models.with_counting_noise(model, counts=counts, rng=seed)
        noisy.bp.to_bqe()
        k, error, *_ = asymmetry(noisy.S, noisy.S_std, noisy.temperature)
        found.append((float(k) - 1) / float(error))
        if counts >= 30:
            with pytest.raises(CoordinateError):
                turned(noisy).bp.to_bqe()
    assert abs(np.nanmean(found)) < 1.5


def test_a_background_on_both_sides_does_not_hide_it(model: xr.Dataset) -> None:
    level = 0.3 * float(model.S.mean())
    background = model.copy()
    background["S"] = (model.S + level).assign_attrs(model.S.attrs)
    background.bp.to_bqe()
    with pytest.raises(CoordinateError, match="reversed"):
        turned(background).bp.to_bqe()


def test_spectra_of_which_nothing_is_known(model: xr.Dataset) -> None:
    """Without energies between the line and 3 k_BT, of one sign, or of dask nothing is looked at."""
    cold = turned(model).assign_coords(temperature=((), 2.0, model.temperature.attrs))
    narrow = turned(model).sel(E=slice(-1.0, 1.0))
    for ds in (
        cold.sel(E=abs(model.E) > 1),
        narrow,
        turned(model).sel(E=slice(0, None)),
        turned(model).chunk(),
    ):
        ds.bp.to_bqe()


@pytest.mark.parametrize(
    ("name", "T"), [("V_ARCS_Ei120_iqe.h5", 295), ("Al_ARCS_Ei80_iqe.h5", 295)]
)  # fmt: skip
def test_measured_spectra(shared_data: Path, name: str, T: float) -> None:
    ds = xbp.open_dataset(shared_data / "ins" / name, T=T)
    ds.bp.to_bqe(u2="0.01 angstrom^2")
    with pytest.raises(CoordinateError, match="reversed"):
        turned(ds.drop_vars("E_bnds")).bp.to_bqe(u2="0.01 angstrom^2")


@pytest.mark.slow
def test_detailed_balance_ends_at_three_times_the_temperature() -> None:
    """A background of a tenth at 3 k_BT raises the temperature that all energies imply."""
    E = np.arange(-59.5, 60, 1.0)
    S = xbp.models.dynamic_structure_factor(
        np.linspace(1, 5, 9),
        E,
        energy="20 meV",
        width="25 meV",
        T="100 K",
        u2="0.01 angstrom^2",
    )
    for carried in (True, False):
        data = S if carried else S.drop_vars("temperature")
        table = data.bp.detailed_balance()
        assert float(table.implied_temperature) == pytest.approx(100, rel=1e-6)
        assert (
            table.attrs["E_range"] == "0 to 26 meV"
        )  # 3 k_BT is 25.85 meV, the bin's centre 25.5
        assert int(table.n_points) == 26
    spoiled = S.copy()
    spoiled["S"] = (S.S + 0.02 * float(S.S.max())).assign_attrs(S.S.attrs)
    by_all = spoiled.bp.detailed_balance(E_range=(0, 60))
    assert int(by_all.n_points) == 60
    assert str(by_all.status.values) == "undetermined"


def test_a_cold_sample_implies_no_temperature() -> None:
    S = xbp.models.dynamic_structure_factor(
        np.linspace(1, 5, 9),
        np.arange(-9.5, 10),
        energy="5 meV",
        width="5 meV",
        T="1 K",
        u2="0.01 angstrom^2",
    )
    spoiled = S.copy()
    spoiled["S"] = (S.S + 0.02 * float(S.S.max())).assign_attrs(S.S.attrs)
    table = spoiled.bp.detailed_balance()
    assert str(table.status.values) == "no data"
    assert np.isnan(table.implied_temperature)


def _at(T: float, counts: float = 1e5) -> xr.Dataset:
    S = xbp.models.dynamic_structure_factor(
        np.linspace(2, 8, 20), np.arange(-39.5, 40, 1.0), energy="5.5 meV",
        width="6 meV", T=T, u2="0.01 angstrom^2",
    )  # fmt: skip
    return xbp.models.with_counting_noise(S, counts=counts, rng=1)


@pytest.mark.parametrize(
    "label", [50.0, 110.0, 250.0, 300.0, 380.0, 900.0, 1200.0, 5000.0, 2e4]
)
def test_a_temperature_that_detailed_balance_contradicts_is_told(label: float) -> None:
    S = _at(300.0).assign_coords(temperature=((), label, {"units": "K"}))
    found = {d.code for d in S.bp.to_bqe().bp.diagnostics()}
    assert ("temperature_differs" in found) == (not 150 < label < 600)
    assert "temperature_differs" not in {
        d.code for d in S.bp.to_bqe(reversed_below=None).bp.diagnostics()
    }


def test_quantum_data_labelled_classical_are_refused(glass: xr.Dataset) -> None:
    S = _at(300.0)
    S["S"].attrs["statistics"] = "classical"
    for call in (S.bp.to_bqe, S.bp.to_gdos, S.bp.to_quantum, S.bp.fold):
        with pytest.raises(QuantityError, match="labelled classical"):
            call()
    assert "B" in S.bp.to_bqe(reversed_below=None)
    # Classical data are even, whatever their noise.
    half = glass.isel(E=slice(1, None))
    gain = half.assign_coords(E=("E", -half.E.values, half.E.attrs)).sortby("E")
    both = xr.concat([gain.S, half.S], "E") * np.random.default_rng(1).normal(
        1, 0.05, 2 * half.E.size
    )
    both = both.assign_attrs(glass.S.attrs)
    assert both.bp.to_bqe().attrs["quantity"] == "reduced_dos"


def test_misfit_is_how_far_the_sides_are_from_detailed_balance() -> None:
    """S of 300 K, judged at 300 K and at 200 K, at which x = E/k_BT is 1.5 times as large."""
    E = np.arange(-60.0, 61)
    x = E / (0.08617333262 * 300)
    S = xr.DataArray(
        np.exp(x / 2)[None], dims=("Q", "E"),
        coords={"E": ("E", E, {"units": "meV"})}, attrs={"units": "1/meV"},
    )  # fmt: skip
    right = asymmetry(S, None, xr.DataArray(300.0), end=5)
    assert right.factor == pytest.approx(1)
    assert right.misfit == pytest.approx(0, abs=1e-20)
    cold = asymmetry(S, None, xr.DataArray(200.0), end=5)
    used = x[(E > 5) & (1.5 * x <= 3)]
    square = (np.tanh(used / 2) - np.tanh(0.75 * used)) ** 2
    assert cold.misfit == pytest.approx(square.sum() / (used.size - 1), rel=1e-9)


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_a_narrow_spectrum_says_nothing_of_its_temperature(slope: float) -> None:
    """Below 0.2 k_BT sides differ by little; a slope of the background is no doubt."""
    E = np.linspace(-1.0, 1.0, 201)
    line = 1 / (1 + (E / 0.1) ** 2) + 0.05
    S = xbp.new_dataset(
        "dynamic_structure_factor",
        np.tile(line * (1 + slope * E), (5, 1)),
        std=np.full((5, 201), 1e-3),
        units="1/meV",
        coords={"Q": (np.linspace(0.5, 1.5, 5), "1/angstrom"), "E": (E, "meV")},
        temperature="300 K",
        statistics="quantum",
    )
    found = S.bp.to_gdos(u2="0.01 angstrom^2").bp.diagnostics()
    assert "temperature_differs" not in {d.code for d in found}
