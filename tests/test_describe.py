"""What `.bp` prints: what data are, what they can do next, what is missing, what a result says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.format import with_error
from xbp.core.operation import RESULTS
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.summary import describe, describe_html
from xbp.summary.results import SENTENCES

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "cut_E": (3.0, 1.0), "cut_Q": ((2.0, 4.0),), "subtract": (None,), "angle_to_Q": ("0.1 1/angstrom",),
    "heat_capacity": ([10.0, 20.0],), "fit": ("gaussian",), "mask_elastic": ("1 meV",), "convolve": ("1 meV",), "to_raman_shift": ("532 nm",), "to_molar": ("atoms",),
    "to_radial_distribution": (np.arange(0.1, 5, 0.1),), "to_structure_factor": (np.arange(0.1, 5, 0.1),),
    "scale": (2.0,), "scale_to_sq": (None,), "correlation_map": (None,), "structure_factor": (1.0,),
    "dynamic_structure_factor": (1.0,), "current_spectra": (1.0,), "compare_fluctuations": (1.0,),
    "multiphonon_sqe": ([1.0],),
}  # fmt: skip


def example(name: str) -> xr.DataArray:
    row = QUANTITIES[name]
    grids = {
        "Q": np.arange(1.0, 6.0, 0.25),
        "E": np.arange(0.5, 10.0, 0.25),
        "detector": np.arange(12),
    }
    coords = {
        d: (
            d,
            grids.get(d, np.arange(1.0, 9.0)),
            {"units": COORDINATES.get(d, ("1",))[0]},
        )
        for d in row.dims
    }
    shape = [np.size(coords[d][1]) for d in row.dims]
    values = np.random.default_rng(0).uniform(1, 2, shape)
    return xr.DataArray(
        values,
        coords,
        row.dims,
        row.variable,
        {"quantity": name, "units": row.units, "statistics": "quantum"},
    ).assign_coords(
        temperature=((), 300.0, {"units": "K"})
        if "temperature" not in row.dims
        else coords["temperature"]
    )


def test_every_quantity_and_every_result_is_described() -> None:
    assert set(SENTENCES) == set(RESULTS)


def test_a_signal_says_what_it_is_and_lacks(glass: xr.Dataset) -> None:
    text = repr(glass.bp)
    assert "S: S(Q,E) in 1/meV: Q 169" in text
    assert "temperature 300 K" in text
    assert "to_gdos" in text
    assert "missing" not in text
    bare = glass.S.drop_vars("temperature").copy()
    del bare.attrs["units"], bare.attrs["statistics"], bare.E.attrs["units"]
    text = repr(bare.bp)
    for word in (
        "units (data.attrs",
        "units of E",
        "temperature",
        "statistics",
        "standard deviations",
    ):
        assert word in text, word


def test_the_temperature_that_is_missing_may_be_estimated(
    model: xr.Dataset, glass: xr.Dataset
) -> None:
    bare = model.drop_vars("temperature")
    assert (
        "missing: the temperature (T= of the next call; .bp.detailed_balance() estimates it, to be trusted"
        in repr(bare.bp)
    )
    for other in (bare.sel(E=slice(0, None)), glass.drop_vars("temperature")):
        assert "missing: the temperature (T= of the next call)" in repr(other.bp)


def test_data_of_no_quantity_say_how_to_name_one() -> None:
    assert "data.attrs['quantity']" in repr(xr.DataArray([1.0], dims="E").bp)


def test_results_are_said_in_a_line(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    peaks = b.bp.boson_peak(E_range=(1.2, 12))
    said = repr(peaks.bp)
    n = int((peaks.status == "ok").sum())
    assert said.startswith(f"boson peak found in {n} of 169 fits")
    flat = peaks.bp.dispersion((2.6, 8.2))
    assert repr(flat.bp).startswith(f"boson peak {float(flat.mean_energy):.2f} ± ")
    assert "slope" in repr(flat.bp)
    level = flat.assign(slope=flat.slope * 0.1)
    assert "dispersionless within 0.0083 angstrom*meV" in repr(level.bp)
    fit = b.bp.cut_E(3, 0.5).bp.scale_to_sq(glass.Sq, (2.1, 8.5))
    assert f"Pearson r {float(fit.pearson_r):.2f}" in repr(fit.bp)
    assert "no u2: not a Debye-Waller decay" in repr(glass.bp.debye_waller().bp)
    assert "below 0 from 14.9 meV" in repr(
        b.bp.correlation_map(glass.Sq, (2.1, 8.5)).bp
    )


def test_a_peak_that_is_not_there_is_not_a_number(glass: xr.Dataset) -> None:
    peak = glass.bp.to_bqe().bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(6, 20))
    assert (
        repr(peak.bp)
        == f"no boson peak: {peak.status.item()} (fitted over 6.2 to 19.9 meV)"
    )


def test_embedded_results_are_described() -> None:
    tree = xbp.tutorial.open_datatree("CuZr")
    assert "glass transition at" in repr(tree["transition"].to_dataset().bp)
    assert "shear_strain: maximum of chi(E) 3.4" in repr(
        tree["fluctuations"].to_dataset().bp
    )
    assert "rows over" in repr(tree["thermodynamics"].to_dataset().bp)
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory")
    assert "400 atoms, 400 frames 0.1 ps apart" in repr(traj.bp)
    assert "missing: velocities" in repr(traj.drop_vars("velocity").bp)
    assert "0.266 1/angstrom" in repr(traj.bp.box_phonon("10 ps").bp)
    branches = traj.bp.current_spectra("1 1/angstrom").bp.phonon_dispersion()
    assert "longitudinal phonon found in 11 of 11" in repr(branches.bp)
    assert "Debye energy 5.0" in repr(branches.bp.sound_velocity().bp)
    assert "not found" in repr(branches.bp.ioffe_regel().bp)


def test_fits_are_said_in_a_line(model: xr.Dataset) -> None:
    heat = xbp.models.evaluate(
        "debye_einstein", np.geomspace(2, 300, 80), gamma="4 mJ/mol/K^2", n_D=0.8, theta_D="260 K", n_E=0.2,
        theta_E="71.95 K", sigma_E="15 K",
    )  # fmt: skip
    assert (
        "6.2 meV, maximum of g/E2 5.604 meV; gamma 0.004 J/K**2/mol, n_D 0.8, n_E 0.2, in all 1 (fitted over 2 to 300 K, "
        in repr(heat.bp.fit_heat_capacity().bp)
    )
    assert "theta_D 260" in repr(heat.bp.fit("debye_einstein").bp)
    balance = model.bp.detailed_balance(E_range=(2, 18))
    assert repr(balance.bp).startswith("detailed balance: the data say 300")
    assert repr(
        model.bp.to_bqe().bp.cut_Q((2, 8)).bp.boson_peak(E_range=(2, 12)).bp
    ).startswith("boson peak 5.5")
    peak = model.bp.to_bqe().bp.cut_Q((2, 8)).B.bp.boson_peak(E_range=(2, 12))
    assert "meV (fitted over 2.25 to 11.8 meV, rms residual below 0.01 %)" in repr(
        peak.bp
    )


def test_nothing_of_dask_is_computed(glass: xr.Dataset) -> None:
    pytest.importorskip("dask")
    import dask

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("computed")

    lazy = glass.chunk(E=20)
    with dask.config.set(scheduler=refuse):
        assert "S(Q,E)" in repr(lazy.bp)
        assert "not computed yet" in repr(
            lazy.bp.to_bqe().bp.boson_peak(E_range=(1.2, 12)).bp
        )


def test_html_escapes_what_came_out_of_a_file() -> None:
    data = example("dynamic_structure_factor").rename("<script>")
    data.attrs["units"] = "<b>"
    assert "<script>" not in describe_html(data.to_dataset())
    assert "&lt;b&gt;" in describe_html(data)
    assert data.bp._repr_html_() == describe_html(data)
    assert repr(data.bp) == describe(data)


def test_more_heat_than_a_solid_takes_up_is_pointed_out() -> None:
    C = example("heat_capacity").assign_attrs(amount="atoms")
    assert "beware" not in repr(C.bp)
    assert "per mole of atoms" in repr(C.bp)
    assert "2.8 times 3R" in repr((C * 0 + 69.6).assign_attrs(C.attrs).bp)


def test_next_steps_fit_the_dimensions_and_say_that_they_ask(glass: xr.Dataset) -> None:
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


def test_the_sample_of_a_heat_capacity_is_said() -> None:
    T = np.linspace(2, 20, 40)
    C = xbp.new_dataset(
        "heat_capacity", T**3, units="uJ/K", coords={"temperature": (T, "K")}
    )
    C["C"].attrs |= {"sample_mass": "7.76 mg", "molar_mass": "60 g/mol"}
    assert "  of the sample: mass 7.76 mg, molar mass 60 g/mol" in repr(C.bp)


def test_a_mole_of_what_is_asked_for() -> None:
    C = example("heat_capacity")
    assert "missing: per mole of what (data.attrs['amount'] = 'atoms'" in repr(C.bp)
    assert "missing: per mole of what (data['C'].attrs['amount']" in repr(
        C.to_dataset().bp
    )
    for settled in (
        C.assign_attrs(amount="atoms"),
        C.assign_attrs(units="uJ/K"),
        C.assign_attrs(units="1"),
    ):
        assert "per mole of what" not in repr(settled.bp)


def test_an_elastic_line_in_a_density_of_states_is_noticed() -> None:
    E = np.linspace(0.1, 40, 400)
    for center, expected in ((1.0, True), (20.0, False)):
        g = xbp.new_dataset(
            "vibrational_dos",
            np.exp(-((E - center) ** 2)),
            units="1/meV",
            coords={"E": (E, "meV")},
        )
        assert ("elastic line" in repr(g.bp)) is expected


def test_a_temperature_is_not_called_an_energy() -> None:
    T = np.geomspace(2, 60, 80)
    C = xbp.models.evaluate(
        "debye_einstein",
        T,
        gamma=0,
        n_D=0.8,
        theta_D=260,
        n_E=0.2,
        theta_E=71.95,
        sigma_E=15,
    )
    hump = C.bp.reduced_heat_capacity().bp.fit("lognormal", x_range=("6 K", "30 K"))
    assert repr(hump.bp).startswith("lognormal: maximum at 12.8")
    assert "energy" not in repr(hump.bp).splitlines()[0]
    E = np.linspace(1, 20, 80)
    b = xbp.models.evaluate("lognormal", E, energy="5 meV", height=1.0, sigma=0.5)
    assert repr(b.bp.fit("lognormal").bp).startswith("lognormal: energy 5")


def test_an_unphysical_heat_capacity_says_why() -> None:
    """Thrice the modes of a solid: whatever else is wrong with the peak, this is said."""
    C = xbp.models.evaluate(
        "debye_einstein",
        np.geomspace(2, 300, 80),
        gamma=0,
        n_D=2.4,
        theta_D=260,
        n_E=0.6,
        theta_E=72,
        sigma_E=40,
    )
    C["C"].attrs["amount"] = "atoms"
    fit = C.bp.fit_heat_capacity(fixed={"gamma": 0})
    assert str(fit.peak_status.values) == "unphysical"
    assert "in all 3 per mole of atoms" in repr(fit.bp)
    assert "molar mass" in repr(fit.bp)
    study = xbp.new_study({"cp": fit})
    for which in ("peak", "einstein"):
        assert (
            str(study.bp.compare(heat_capacity=which).status.values[0]) == "unphysical"
        )


def test_a_part_of_a_table_is_no_error(glass: xr.Dataset) -> None:
    peak = glass.bp.to_bqe().bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(1.2, 12))
    assert "a part of the table" in repr(peak[["energy", "energy_std"]].bp)
    for result in RESULTS:
        assert result.replace("_", " ") in repr(
            xr.Dataset(attrs={"quantity": result}).bp
        )


def test_results_say_what_follows(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    peaks = b.bp.boson_peak(E_range=(1.2, 12))
    assert "next: .bp.dispersion() .bp.plot.peak()" in repr(peaks.bp)
    assert "next" not in repr(peaks.isel(Q=50).bp)
    assert "next: .bp.plot.correlation()" in repr(b.bp.correlation_map(glass.Sq).bp)


def test_ranges_that_reach_beyond_the_data_are_told_by_what_was_used(
    glass: xr.Dataset,
) -> None:
    b = glass.bp.to_bqe()
    table = b.bp.correlation_map(glass.Sq, Q_range=(2.1, 20))
    assert float(table.Q_max.max()) == float(b.Q[-1])
    assert "Q 2.13 to 8.58" in repr(table.bp)
    flat = b.bp.boson_peak(E_range=(1.2, 12)).bp.dispersion(Q_range=(2.6, 20))
    assert float(flat.Q_max) <= float(b.Q[-1])
    assert float(flat.Q_min) > 2.6


def test_maxima_far_apart_are_not_one_peak(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    # Without S(Q) the longitudinal phonon of small Q is among them.
    assert "beware: so far apart" in repr(b[["B", "B_std"]].bp.boson_peak().bp)
    assert "beware" not in repr(
        b.sel(Q=slice(2.6, 8)).bp.boson_peak(E_range=(1.2, 12)).bp
    )


def test_local_fields_say_their_cutoff_and_whose_next_step_they_are() -> None:
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=slice(0, 60))
    local = traj.bp.local_fields(
        ["coordination", "shear_strain"], cutoff="4.7 angstrom"
    )
    said = repr(local.bp)
    assert said.startswith(
        "local fields of the atoms, coordination, shear_strain: time 60, atom 400"
    )
    assert "cutoff 4.7 angstrom, reference mean" in said
    assert (
        "next: traj.bp.fluctuation_spectrum(['coordination', 'shear_strain'], …)"
        in said
    )
    assert "fluctuation_spectrum('coordination', …)" in repr(local.coordination.bp)
    tree = traj.bp.fluctuation_spectrum(
        ["coordination", "shear_strain"], 1, cutoff=4.7, window="2 ps"
    )
    said = repr(tree.bp)
    assert (
        "a tree of fluctuation spectra, one of each field: coordination, shear_strain"
        in said
    )
    assert 'choose one, tree["coordination"].to_dataset().bp' in said
    assert "Ω(Q,E)" in repr(tree["shear_strain"].bp)
    assert 'tree["shear_strain"].to_dataset().bp' in repr(tree["shear_strain"].bp)
    assert "plot.cut" in repr(tree["shear_strain"].phi_Q.bp)


def test_bins_without_an_error_are_counted(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=100, seed=0)
    assert "standard deviation 0" not in repr(noisy.bp)
    noisy.S_std[:9] = 0.0
    assert "standard deviation 0 in 25 % of the bins" in repr(noisy.bp)
    assert "rebin first" in repr(noisy.bp)
    # Who has done that is not told it again.
    noisy["S"].attrs["history"] = '{"operation": "rebin", "arguments": {"E": "2 bins"}}'
    assert "rebin first" not in repr(noisy.bp)
    assert "data.where(data.S_std > 0)" in repr(noisy.bp)
    assert "standard deviation 0" not in repr(noisy.where(noisy.S_std > 0).bp)


def test_a_trajectory_names_what_it_is_enough_for() -> None:
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=slice(0, 50))
    one = repr(traj.isel(time=[0]).bp)
    assert one.startswith("trajectory: 400 atoms, 1 frame\n")
    assert (
        ".bp.structure_factor(…) .bp.radial_distribution() .bp.local_fields(…)\n" in one
    )
    still = repr(traj.drop_vars("velocity").bp)
    # The density of states follows from positions too.
    assert ".bp.vdos()" in still.split("missing")[0]
    assert "current_spectra" not in still.split("missing")[0]
    assert (
        "no current_spectra and box_phonon, and vdos takes differences of positions"
        in still
    )
    g = traj.bp.vdos(window="2 ps")
    assert ".bp.mark_box_phonon(traj.bp.box_phonon())" in repr(g.bp)
    assert "mark_box_phonon" not in repr(g.bp.mark_box_phonon("1.7 meV").bp)


def test_a_density_of_states_that_was_not_found_says_so() -> None:
    E = np.arange(1.0, 31)
    g = xbp.new_dataset(
        "vibrational_dos",
        E**2,
        units="1",
        coords={"E": (E, "meV")},
        temperature="300 K",
    )
    S = g.bp.multiphonon_sqe(np.arange(2, 10, 0.5), mass="50.94 u")
    found = S.bp.to_vibrational_dos(E_range=(4.5, 30.5), mass="50.94 u")
    assert "status" not in repr(found.bp)
    assert "beware" not in repr(found.bp)
    wide = S.bp.to_vibrational_dos(E_range=(15.5, 30.5), mass="50.94 u")
    assert "of the area was not measured" in repr(wide.bp)
    upside_down = S.bp.scale(-1)
    lost = upside_down.bp.to_vibrational_dos(E_range=(4.5, 30.5), mass="50.94 u")
    assert "  status: fit failed, so it is NaN: no positive area is left" in repr(
        lost.bp
    )
    both = xr.concat([S, upside_down], dim="sample").bp.to_vibrational_dos(
        E_range=(4.5, 30.5), mass="50.94 u"
    )
    assert "status: fit failed in 1 of 2" in repr(both.bp)


def test_a_density_of_states_says_what_it_rests_on() -> None:
    E = np.arange(1.0, 31)
    g = xbp.new_dataset(
        "vibrational_dos",
        E**2,
        units="1",
        coords={"E": (E, "meV")},
        temperature="300 K",
    )
    S = xbp.models.with_counting_noise(
        g.bp.multiphonon_sqe(np.arange(2, 10, 0.5), mass="50.94 u"), counts=1e6, seed=1
    )
    found = S.bp.to_vibrational_dos(E_range=(4.5, 30.5), mass="50.94 u")
    said = repr(found.bp)
    assert (
        f"found over 4.5 to 30.5 meV with u2 {with_error(float(found.u2), float(found.u2_std))} angstrom**2"
        in said
    )
    assert (
        f"up to {int(found.orders)} phonons at once taken off, but no multiple scattering (C 0)"
        in said
    )
    assert (
        f"below 4.5 meV a Debye law, E^2, stands in: {100 * float(found.extended):.3g} % of the area"
        in said
    )
    assert "Debye" not in repr(
        S.bp.to_vibrational_dos(E_range=(4.5, 30.5), mass="50.94 u", below="nothing").bp
    )
    much = S.bp.to_vibrational_dos(
        E_range=(4.5, 30.5), mass="50.94 u", multiple_scattering=0.6
    )
    assert "and multiple scattering, C 0.6" in repr(much.bp)
    assert "beware: so large a C" in repr(much.bp)
    two = xr.concat([S, S], dim="sample").bp.to_vibrational_dos(
        E_range=(4.5, 30.5), mass="50.94 u"
    )
    assert f"u2 {float(found.u2):.3g} angstrom**2; up to" in repr(two.bp)


def test_a_cut_of_s_of_q_and_e_is_not_the_static_one(glass: xr.Dataset) -> None:
    cut = glass[["S", "S_std"]].bp.cut_E("3 meV", width="0.5 meV")
    said = repr(cut.bp)
    assert "S: S(Q,E_0) in 1/meV" in said
    steps = said.split("next: ")[1].splitlines()[0]
    assert "plot.cut" in steps
    assert not any(
        step in steps for step in ("to_gdos", "to_bqe", "debye_waller", "plot.map")
    )
    assert "Sq: S(Q):" in repr(glass.bp)
    spectrum = repr(glass[["S", "S_std"]].bp.cut_Q((2.1, 8.5)).bp)
    assert "S(E)" in spectrum
    assert "to_bqe" not in spectrum
    assert "plot.cut" not in repr(glass.S.isel(Q=0, E=0).bp)


def test_the_correlation_is_sought_above_the_phonon_of_the_box(
    glass: xr.Dataset,
) -> None:
    b = glass.drop_vars("box_phonon", errors="ignore").bp.to_bqe()
    r = b.bp.correlation_map(glass.Sq, (2.1, 8.5))
    at, highest = float(r.highest_r_energy), float(r.highest_r)
    assert f"r is highest, {highest:.2f}, at {at:.3g} meV" in repr(r.bp)
    # Marked where r is highest, it is sought further up, in whatever units the mark is.
    for mark in (f"{at} meV", f"{at / 4.135667696923859} THz"):
        marked = b.bp.mark_box_phonon(mark).bp.correlation_map(glass.Sq, (2.1, 8.5))
        above = float(marked.highest_r_energy)
        assert above > 1.15 * at
        assert "r is highest above the box phonon" in repr(marked.bp)
        assert f"at {above:.3g} meV" in repr(marked.bp)


def test_spectra_of_one_window_say_why_they_have_no_errors() -> None:
    solid = xbp.md.models.einstein_solid(
        30,
        100,
        cell=10,
        energy="8 meV",
        T=300,
        mass=40,
        time_step="25 fs",
        element="Cu",
        seed=1,
    )
    for compute in (
        lambda window: solid.bp.vdos(window=window),
        lambda window: solid.bp.dynamic_structure_factor(2, 0.5, window=window),
        lambda window: solid.bp.current_spectra(2, 0.5, window=window),
        lambda window: solid.bp.msd(window=window),
    ):
        said = repr(compute("2 ps").bp)
        assert (
            "standard deviations: one window of 2 ps fits into the trajectory" in said
        )
        assert "(window='1 ps', or more frames)" in said
        assert "standard deviations" not in repr(compute("1 ps").bp)
    # Errors that were there and were dropped are no question of windows.
    g = solid.bp.vdos(window="1 ps").drop_vars("g_std")
    assert "(a variable 'g_std')" in repr(g.bp)
