"""What `.bp` prints: what data are, their values, what is missing and what can follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.numbers import with_error
from xbp.core.operation import RESULTS
from xbp.core.schema import QUANTITIES
from xbp.core.status import Diagnostic, diagnosed
from xbp.errors import QuantityError
from xbp.summary import describe, describe_html


def signal(name: str, **attrs: Any) -> xr.Dataset:
    row = QUANTITIES[name]
    axes = {"Q": (np.arange(1.0, 6.0), "1/angstrom"), "E": (np.arange(1.0, 9.0), "meV")}
    axes |= {"temperature": (np.arange(2.0, 9.0), "K")}
    coords = {dim: axes[dim] for dim in row.dims}
    shape = [coords[dim][0].size for dim in row.dims]
    ds = xbp.new_dataset(
        name, np.ones(shape), units=row.units, coords=coords, statistics="unknown"
    )
    ds[row.variable].attrs |= attrs
    return ds


def test_a_signal_and_what_it_lacks(glass: xr.Dataset) -> None:
    text = repr(glass.bp)
    assert "S: S(Q,E) in 1/meV: Q 169" in text
    assert "temperature 300 K" in text
    assert "to_gdos" in text
    assert "missing" not in text
    bare = glass.S.drop_vars("temperature").copy()
    del bare.attrs["units"], bare.attrs["statistics"], bare.E.attrs["units"]
    for word in ("units (data.attrs", "units of E", "temperature", "statistics", "standard deviations"):  # fmt: skip
        assert f"missing: {word}" in repr(bare.bp).replace("missing: the ", "missing: ")


def test_a_temperature_that_is_missing_may_be_estimated(
    model: xr.Dataset, glass: xr.Dataset
) -> None:
    bare = model.drop_vars("temperature")
    assert "detailed_balance() estimates it" in repr(bare.bp)
    for other in (bare.sel(E=slice(0, None)), glass.drop_vars("temperature")):
        assert (
            "missing: the temperature (T= of xbp.open_dataset or .bp.to_gdos)"
            in repr(other.bp)
        )


def test_every_quantity_and_table_is_described() -> None:
    assert "data.attrs['quantity']" in repr(xr.DataArray([1.0], dims="E").bp)
    for result in RESULTS:
        table = xr.Dataset(attrs={"quantity": result})
        if result != "local_fields":
            assert repr(table.bp).startswith(result.replace("_", " "))
    with pytest.raises(QuantityError, match="list"):
        describe([1])  # type: ignore[arg-type]


def test_force_constants_and_their_modes_are_described() -> None:
    pair = xbp.md.new_trajectory(
        [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3), mass=[40, 40],
        element=["Ar", "Ar"],
    )  # fmt: skip
    spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.diag([1.0, 0, 0]))
    phi = xbp.md.lattice.new_force_constants(spring, pair)
    assert repr(phi.bp) == (
        "force constants: 2 atoms at rest, 4 pairs\n  next: .bp.bloch_modes()"
    )
    lines = repr(phi.bp.bloch_modes(n_wavevectors=3, Q_max=None).bp).split("\n")
    # √(2/40) of ħ√(eV/Å²/u)
    assert lines[0].startswith("modes at 3 wave vectors of 1 glass of 2 atoms")
    assert lines[0].endswith("14.46 meV")
    assert "Q_max=" in lines[1]
    assert ".bp.bloch_vdos()" in lines[2]


def test_a_table_of_one_fit(unmarked: xr.Dataset) -> None:
    b = unmarked.bp.to_bqe()
    peak = b.bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(1.2, 8))
    text = repr(peak.bp)
    energy = with_error(float(peak.energy), float(peak.energy_std))
    assert text.startswith(f"boson peak: energy {energy} meV, height ")
    assert "E 1.235 to 7.859 meV" in text or "E 1.2" in text
    assert f"{int(peak.n_points)} points" in text
    assert "reduced chi2" in text
    lost = b.bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(6, 20))
    assert repr(lost.bp).startswith(f"boson peak: {lost.status.item()} (E 6.")
    assert "energy" in repr(peak[["energy", "energy_std"]].assign_attrs(peak.attrs).bp)
    unfitted = lost.assign(n_points=0, E_low=np.nan, E_high=np.nan)
    assert repr(unfitted.bp).splitlines()[0] == f"boson peak: {lost.status.item()}"


@pytest.mark.slow
def test_a_table_of_many_fits(unmarked: xr.Dataset) -> None:
    b = unmarked.bp.to_bqe()
    peaks = b.bp.boson_peak(E_range=(1.2, 12))
    ok = int((peaks.status == "ok").sum())
    text = repr(peaks.bp)
    assert f"energy: {ok} of 169 found, median " in text
    assert f"{ok} ok" in text
    assert "next: .bp.dispersion() .bp.plot.peak()" in text
    assert "next" not in repr(peaks.isel(Q=50).bp)
    flat = peaks.bp.dispersion((2.6, 8.2))
    assert f"slope {with_error(float(flat.slope), float(flat.slope_std))}" in repr(flat.bp)  # fmt: skip


@pytest.mark.slow
def test_a_table_with_labels() -> None:
    tree = xbp.tutorial.open_datatree("CuZr")
    assert "Tg 919 ± 19 K" in repr(tree["transition"].to_dataset().bp)
    assert "shear_strain: chi energy 3.4" in repr(tree["fluctuations"].to_dataset().bp)
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory")
    assert "400 atoms, 400 frames 0.1 ps apart" in repr(traj.bp)
    assert "missing: velocities" in repr(traj.drop_vars("velocity").bp)
    branches = traj.bp.current_spectra("1 1/angstrom").bp.phonon_dispersion()
    sound = repr(branches.bp.sound_velocity().bp)
    assert "debye energy 5.0" in sound
    assert "  longitudinal: velocity" in sound


def test_errors_are_written_sanely_and_systematic_ones_are_shown() -> None:
    table = xr.Dataset(
        {"energy": ((), 5.5, {"units": "meV"}), "energy_std": 0.02, "systematic": 0.2},
        attrs={"quantity": "boson_peak"},
    )
    assert "energy 5.500 ± 0.020 ± 0.2 (systematic) meV" in describe(table)
    common = table.drop_vars("systematic").assign(energy_std_common=("source", [0.01]))
    assert "5.500 ± 0.020 meV (including 0.01 from common factors)" in describe(common)
    named = common.assign_coords(source=["subtract scale 5b72b8c21a"])
    assert "(including 0.01 from subtract scale)" in describe(named)
    assert with_error(0.02, 1234.0) == "0 ± 1200"
    assert with_error(1.845, np.nan) == "1.845"
    assert with_error(1.2e-9, 3e-11) == "(1.200 ± 0.030)e−09"
    assert with_error(2.5, np.inf) == "2.5"


def test_diagnostics_are_rendered() -> None:
    doubt = Diagnostic("coarse", "warning", "bins of 3 meV", "rebin(E='0.5 meV')")
    ds = signal("dynamic_structure_factor")
    ds.S.attrs |= diagnosed({}, doubt)
    assert repr(ds.bp).splitlines()[-1] == f"  {doubt}"


def test_nothing_of_dask_is_computed(glass: xr.Dataset) -> None:
    pytest.importorskip("dask")
    import dask

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    lazy = glass.chunk(E=20)
    with dask.config.set(scheduler=refuse):
        assert "S(Q,E)" in repr(lazy.bp)
        peaks = lazy.bp.to_bqe().bp.boson_peak(E_range=(1.2, 12))
        assert "not computed yet" in repr(peaks.bp)


def test_html_escapes_what_came_out_of_a_file() -> None:
    data = signal("dynamic_structure_factor").S.rename("<script>")
    data.attrs["units"] = "<b>"
    assert "<script>" not in describe_html(data.to_dataset())
    assert "&lt;b&gt;" in describe_html(data)
    assert data.bp._repr_html_() == describe_html(data)
    assert repr(data.bp) == describe(data)


def test_next_steps_fit_the_dimensions_and_show_that_they_ask(
    glass: xr.Dataset,
) -> None:
    b = glass.bp.to_bqe().B
    assert ".bp.cut_Q(…)" in repr(b.bp)
    assert ".bp.boson_peak()" in repr(b.bp)
    assert "scale_to_sq" not in repr(b.bp)
    spectrum, cut = repr(b.bp.cut_Q((2.1, 8.5)).bp), repr(b.bp.cut_E(3, 0.5).bp)
    assert "cut_Q" not in spectrum
    assert "plot.map" not in spectrum
    assert "boson_peak" in spectrum
    assert "scale_to_sq(…)" in cut
    assert "boson_peak" not in cut


def test_the_sample_and_the_amount_of_a_heat_capacity() -> None:
    C = signal("heat_capacity", sample_mass="7.76 mg", molar_mass="60 g/mol")
    assert "  mass: 7.76 mg" in repr(C.bp)
    assert "missing: per mole of what (data['C'].attrs['amount']" in repr(C.bp)
    assert "per mole of atoms" in repr(signal("heat_capacity", amount="atoms").bp)
    assert "per mole" not in repr(signal("heat_capacity", units="uJ/K").bp)


def test_a_temperature_is_not_called_an_energy() -> None:
    T = np.geomspace(2, 60, 80)
    numbers = {"gamma": 0, "n_D": 0.8, "theta_D": 260, "n_E": 0.2, "theta_E": 71.95}
    C = xbp.models.evaluate("debye_einstein", T, sigma_E=15, **numbers)
    hump = C.bp.reduced_heat_capacity().bp.fit("lognormal", x_range=("6 K", "30 K"))
    assert repr(hump.bp).startswith("lognormal: maximum at 12.8")


def test_a_trajectory_names_what_it_is_enough_for() -> None:
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory")
    one = repr(traj.isel(time=[0]).bp)
    assert ".bp.structure_factor(…) .bp.radial_distribution() .bp.local_fields(…)\n" in one  # fmt: skip
    fields = traj.isel(time=slice(0, 60)).bp.local_fields(
        ["coordination", "shear_strain"], cutoff="4.7 angstrom"
    )
    text = repr(fields.bp)
    assert text.startswith("local fields of the atoms, coordination, shear_strain: time 60, atom 400")  # fmt: skip
    assert "cutoff 4.7 angstrom" in text


def test_what_no_field_has_is_one_line() -> None:
    """The energies of five fields without a maximum, and why."""
    names = ["coordination", "d2min"]
    table = xr.Dataset(
        {
            "chi_energy": ("field", [np.nan, np.nan], {"units": "meV"}),
            "chi_status": ("field", ["no maximum", "no maximum"]),
            "r_at_boson_peak": ("field", [0.5, np.nan]),
        },
        {"field": names},
        {"quantity": "compare_fluctuations"},
    )
    text = repr(table.bp)
    assert "chi energy: not found (no maximum), for each of 2" in text
    assert "coordination: r at boson peak 0.5" in text


def test_a_table_names_one_maximum_of_r(glass: xr.Dataset) -> None:
    """That of a running median; the bin of the highest r was printed beside it."""
    table = glass.bp.to_bqe().bp.correlation_map(glass.Sq, Q_range=(2.1, 8.5))
    text = repr(table.bp)
    assert "highest r 0.975, highest r energy 2.068 meV" in text
    assert "highest at" not in text


@pytest.mark.parametrize("state", ["applied", "not applied"])
def test_whether_the_flux_factor_is_applied_is_printed(state: str) -> None:
    data = signal("dynamic_structure_factor")
    assert "kᵢ/k_f" not in repr(data.bp)
    data.S.attrs["ki_over_kf"] = state
    assert f"\n  kᵢ/k_f: {state}\n" in repr(data.bp)
