"""The cases of the golden table: every public function on embedded, made-up and measured data."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import xbp

SHARED = Path(
    os.environ.get("XBP_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")
)
Q_PAPER = ("2.1 1/angstrom", "8.5 1/angstrom")


@dataclass(frozen=True)
class Case:
    """One case: what makes its result, and how closely it is to come back."""

    name: str
    kind: str
    make: Callable[[], Any]
    needs: Path | None


CASES: dict[str, Case] = {}


def case(
    kind: str = "double", needs: str | None = None
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a case; of measured data by the file that it needs."""

    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        path = None if needs is None else SHARED / needs
        CASES[make.__name__] = Case(make.__name__, kind, make, path)
        return make

    return register


def glass() -> xr.Dataset:
    return xbp.tutorial.open_dataset("zr46cu46al8_md")


def unboxed() -> xr.Dataset:
    return xbp.tutorial.open_dataset("zr46cu46al8")


def model(**changed: Any) -> xr.Dataset:
    known = {
        "energy": "5.5 meV",
        "width": "6 meV",
        "T": "300 K",
        "u2": "0.012 angstrom^2",
    } | changed
    return xbp.models.dynamic_structure_factor(
        np.linspace(1.5, 8.5, 36), np.arange(-19.75, 20, 0.5), **known
    )


def counted(counts: float = 1e6, **changed: Any) -> xr.Dataset:
    return xbp.models.with_counting_noise(model(**changed), counts=counts, rng=3)


@functools.cache
def solid(n_frames: int = 1100) -> xr.Dataset:
    traj = xbp.md.models.einstein_solid(
        32, n_frames, cell=8, energy="6 meV", T=300, mass=60, time_step="20 fs", rng=1
    )
    return traj.assign_coords(element=("atom", ["Cu"] * 16 + ["Zr"] * 16))


@functools.cache
def kob_andersen() -> xr.Dataset:
    return xbp.tutorial.open_dataset("kob_andersen_trajectory")


def shared(name: str, **options: Any) -> xr.Dataset:
    return xbp.open_dataset(SHARED / name, **options)


# ---------------------------------------------------------------- the chain


@case()
def chain_on_the_glass() -> Any:
    data = glass()
    return {
        "G": xbp.to_gdos(data).G,
        "B": xbp.to_bqe(data).B,
        "back": xbp.to_sqe(xbp.to_bqe(data)).S,
        **{name: xbp.to_convention(data, name) for name in ("S*E/Q", "S*n/(E*Q)")},  # type: ignore[arg-type]
        "cold": xbp.at_temperature(data, "20 K", u2="0.004 angstrom^2"),
    }


@case()
def chain_on_both_sides_of_zero() -> Any:
    data = counted()
    return {
        "G": data.bp.to_gdos(),
        "B": data.bp.to_bqe(),
        "fold": xbp.fold(data),
        "quantum": xbp.to_quantum(glass()),
    }


@case()
def backgrounds() -> Any:
    data = counted()
    return {
        "line": xbp.subtract_elastic(data, E_range=(-2, 2), Q_range=(1.4, 2)),
        "constant": xbp.subtract_Q_independent(data, Q_range=(2, 8)),
    }


@case()
def relaxation_of_a_decay() -> Any:
    t, Q = np.linspace(0, 6, 61), np.array([0.5, 1.0, 2.0])
    F = np.exp(-((t * Q[:, None] / 3) ** 0.7))
    coords = {"Q": (Q, "1/angstrom"), "time": (t, "ps")}
    given = {"units": "1", "coords": coords, "std": 0.01 + 0 * F}
    decay = xbp.new_dataset("intermediate_scattering_function", F, **given)
    return xbp.relaxation_time(decay)


@case()
def thermodynamics_of_modes() -> Any:
    E = np.arange(0.5, 26, 0.5)
    g = 3 * E**2 / 25.5**3 * (1 + 0.2 * np.exp(-((E - 5) ** 2) / 8))
    given = {"units": "1/meV", "coords": {"E": (E, "meV")}, "std": 0.05 * g}
    dos = xbp.new_dataset("vibrational_dos", g, **given)
    C = dos.bp.heat_capacity([5.0, 100.0], area=1)
    film = xbp.new_dataset("absorption", E**3, units="1/cm", coords={"E": (E, "meV")})
    T = [5.0, 100.0]
    return {
        "table": xbp.harmonic_thermodynamics(dos, T, mass="60 u", area=1),
        "theta": xbp.debye_temperature(C),
        "excess": xbp.excess_dos(dos, "24 meV", "1 meV"),
        "absorption": xbp.to_reduced_absorption(film, (1, 0.1)),
    }


@case()
def displacement_conventions() -> Any:
    data = model().drop_vars("u2")
    given = {"u2": 0.012, "u2_total": 0.036, "msd": 0.072, "B_iso": 0.9474820225}
    return {
        name: data.bp.to_bqe(**{name: f"{value} angstrom^2"}).B
        for name, value in given.items()
    }


@case()
def cuts_and_bins() -> Any:
    b, data = counted().bp.to_bqe(), counted()
    return {
        "cut_E": xbp.cut_E(b, "5.5 meV", width="0.7 meV"),
        "cut_Q": xbp.cut_Q(b, Q_PAPER),
        "rebin_E": xbp.rebin(data, E="1 meV"),
        "rebin_Q": xbp.rebin(data, Q="0.5 1/angstrom"),
        "rebin_both": xbp.rebin(data, E=[-10.0, 0.0, 3.3, 12.0], Q=[2.0, 3.05, 7.0]),
        "convert": xbp.convert(data, E="THz", Q="1/nm"),
        "scale": xbp.scale(data, "2 barn"),
        "shift": xbp.shift_E(data, "0.2 meV"),
    }


@case()
def background() -> Any:
    data, can = counted(), counted(counts=1e5, width="9 meV")
    return {
        "plain": xbp.subtract(data, can, scale=0.3),
        "uncertain": xbp.subtract(data, can, 0.3, scale_std=0.02),
    }


@case()
def integral_over_energy() -> Any:
    return {
        "glass": xbp.integrate_E(glass()),
        "part": xbp.integrate_E(counted(), ("-15 meV", "15 meV")),
    }


@case("fitted")
def boson_peak_of_the_glass() -> Any:
    b = unboxed().bp.to_bqe()
    peaks = xbp.boson_peak(b, E_range=("0.9 meV", "8 meV"))
    cut = b.bp.cut_Q(Q_PAPER)
    return {
        "peaks": peaks,
        **{
            f"glass {i}": xbp.boson_peak(
                one["dos"].to_dataset().bp.to_bqe(), E_range=(0.9, 8)
            )
            for i, one in enumerate(
                xbp.tutorial.open_datatree("zr46cu46al8_glasses").children.values()
            )
        },
        **{
            method: cut.bp.boson_peak(method, E_range=(0.9, 8))
            for method in ("lognormal", "quadratic", "gaussian")
        },
        "alike": cut.B.bp.boson_peak(E_range=(0.9, 8)),
        "scan": xbp.scan_boson_peak(
            cut, [(0.9, 8), (0.9, 12), (1.5, 8)], ["lognormal"]
        ),
        "in a box": xbp.boson_peak(
            glass().bp.to_bqe().bp.cut_Q(Q_PAPER), E_range=(1.2, 12)
        ),
    }


@case("fitted")
def boson_peak_of_the_model() -> Any:
    b = counted().sel(E=slice(0, None)).bp.to_bqe()
    named = {
        method: b.bp.boson_peak(method)
        for method in ("lognormal", "quadratic", "gaussian")
    }
    return {
        **named,
        "flat": named["lognormal"].bp.dispersion(),
        "cut": b.bp.cut_Q((2, 8)).bp.boson_peak(),
    }


@case("fitted")
def scaling_with_the_structure_factor() -> Any:
    data = unboxed()
    b = data.bp.to_bqe()
    return {
        f"{energy:g} meV": xbp.scale_to_sq(
            b.bp.cut_E(energy, width=0.5), data.Sq, Q_PAPER
        )
        for energy in (3, 5, 10, 20)
    } | {
        "offset": b.bp.cut_E(3, width=0.5).bp.scale_to_sq(data.Sq, Q_PAPER, offset=True)
    }


@case()
def correlation_at_every_energy() -> Any:
    data = glass()
    return xbp.correlation_map(data.bp.to_bqe(), data.Sq, Q_range=Q_PAPER)


@case("fitted")
def a_product_with_the_structure_factor() -> Any:
    data = unboxed()
    return xbp.fit_bqe(data.bp.to_bqe(), data.Sq, Q_range=Q_PAPER, E_range=(0.9, 8))


@case("fitted")
def any_fit() -> Any:
    b = counted().sel(E=slice(0, None)).bp.to_bqe().bp.cut_Q((2, 8))
    return {
        "lognormal": xbp.fit(b, "lognormal", x_range=(2, 12)),
        "rows": xbp.fit(glass().bp.to_bqe(), "lognormal", "E"),
    }


@case("fitted")
def theories_side_by_side() -> Any:
    b = counted().sel(E=slice(0, None)).bp.to_bqe().bp.cut_Q((2, 8))
    models = ["lognormal", "soft_oscillators_dos", "correlated_disorder"]
    return xbp.compare_models(b, models, x_range=(2, 12)).drop_vars("residual")


@case("fitted")
def spectrum_and_heat_capacity_together() -> Any:
    row, rng = xbp.models.MODELS["einstein_modes_dos"], np.random.default_rng(7)
    sets = []
    for quantity, x, scale in (
        ("vibrational_dos", np.linspace(1, 12, 30), 1.0),
        ("heat_capacity", np.geomspace(4, 40, 20), 1 / 0.0861733),
    ):
        p = {"n_E": 0.3, "energy_E": 6 * scale, "sigma_E": 1.5 * scale}
        one = xbp.models.evaluate(row.of(quantity), x, **p)
        (name,) = map(str, one.data_vars)
        std = 0.02 * one[name] + 1e-4
        noisy = one[name] + std * rng.normal(size=x.size)
        one[f"{name}_std"] = std.assign_attrs(units=one[name].attrs["units"])
        one[name] = noisy.assign_attrs(one[name].attrs)
        sets.append(one)
    g, C = sets
    table = xbp.fit_together(g, C, model=row, scales=(None, 1))
    return table.drop_vars(["residual_1", "residual_2"])


# ---------------------------------------------------------------- corrections


def elastic() -> xr.Dataset:
    Q, E = np.linspace(0.5, 6, 40), np.arange(-20, 20.1, 0.25)
    line = xbp.models.elastic_line(Q, E, u2=0.015, resolution=1.2, scale=3.0, T=300)
    return xbp.models.with_counting_noise(line, counts=3e6, rng=5)


@case("fitted")
def the_elastic_line() -> Any:
    data = elastic()
    return {
        "debye_waller": xbp.debye_waller(data),
        "line": xbp.fit_elastic_line(data),
        "masked": xbp.mask_elastic(data, "1.2 meV"),
        "balance": xbp.detailed_balance(counted(1e7)),
    }


@case()
def resolution() -> Any:
    return {
        "convolve": xbp.convolve(model().bp.cut_Q((2, 8)), "1.5 meV"),
        "like": xbp.like(glass(), counted().sel(E=slice(-15, 15)), "1.5 meV", T=None),
        "chopper": xbp.direct_geometry_resolution(
            np.linspace(-5, 40, 10), "50 meV", moderator_to_chopper="11.6 m", chopper_to_sample="2 m",
            sample_to_detector="3 m", moderator_time="20 us", chopper_time="10 us",
        ),
    }  # fmt: skip


def dos() -> xr.Dataset:
    E = np.linspace(0.125, 39.875, 160)
    g = E**2 * np.exp(-((E / 18) ** 4))
    return xbp.new_dataset(
        "vibrational_dos",
        g / (g.sum() * 0.25),
        units="1/meV",
        coords={"E": (E, "meV")},
        temperature="300 K",
    )


@case()
def multiphonon() -> Any:
    forward = xbp.multiphonon_sqe(
        dos(), np.linspace(1, 10, 19), np.arange(-39.5, 40, 1.0), mass="63.5 u"
    )
    one = xbp.multiphonon_sqe(
        dos(), [4.0], np.arange(0.5, 40, 1.0), mass="63.5 u", part="one"
    )
    return {"forward": forward, "one": one, "mass": xbp.effective_mass("Zr46Cu46Al8")}


@case("fitted")
def multiphonon_inverse() -> Any:
    forward = xbp.multiphonon_sqe(
        dos(), np.linspace(1, 10, 37), np.arange(-44.75, 45, 0.5), mass="63.5 u"
    )
    inverse = xbp.to_vibrational_dos(
        forward, E_range=("1 meV", "40 meV"), mass="63.5 u"
    )
    corrected = xbp.correct_multiphonon(
        forward, E_range=("1 meV", "40 meV"), mass="63.5 u"
    )
    return {"inverse": inverse, "corrected": corrected}


@case()
def normalizations() -> Any:
    data = elastic()
    forward = xbp.multiphonon_sqe(
        dos(), np.linspace(1, 10, 19), np.arange(-79.5, 80, 1.0), mass="50.94 u"
    )
    return {
        "incoherent": xbp.normalize_to_sum_rule(data, "incoherent"),
        "f-sum": xbp.normalize_to_sum_rule(
            forward.bp.scale(7.0), "f-sum", mass="50.94 u", Q_range=(2, 6)
        ),
        "structure factor": xbp.normalize_to_sum_rule(
            glass().bp.scale(0.01), "structure factor", glass().Sq
        ),
        "vanadium": xbp.normalize_to_vanadium(
            data,
            data.bp.scale(2.0),
            amount="0.2 mol",
            vanadium_amount="0.1 mol",
            E_range=("-4 meV", "4 meV"),
            u2="0.0067 angstrom^2",
        ),
    }


@case()
def angles() -> Any:
    rng = np.random.default_rng(2)
    E, angle = np.arange(-20, 40, 0.5), np.arange(5.0, 130, 1.0)
    counts = rng.poisson(100, (angle.size, E.size)).astype(float)
    data = xbp.new_dataset(
        "detector_spectra",
        counts,
        statistics="unknown",
        std=np.sqrt(counts),
        units="1",
        dims=("detector", "E"),
        coords={
            "detector": np.arange(angle.size).astype(str).tolist(),
            "E": (E, "meV"),
        },
    )
    data = data.assign_coords(two_theta=("detector", angle, {"units": "degree"}))
    given = {
        "incident_energy": "50 meV",
        "angle_width": "1 deg",
        "ki_over_kf": "applied",
    }
    return {
        "map": xbp.angle_to_Q(data, "0.2 1/angstrom", **given),  # type: ignore[arg-type]
        "limits": xbp.kinematic_limits(data, incident_energy="50 meV"),
    }


# ---------------------------------------------------------------- light and heat


@case("fitted")
def raman() -> Any:
    shift = np.linspace(15, 500, 300)
    boson = np.exp(-(np.log(shift / 60.0) ** 2) / 0.5)
    data = xbp.new_dataset(
        "raman_intensity",
        boson * shift / -np.expm1(-shift * 0.12398 / 25.4),
        units="1",
        coords={"E": (shift, "1/cm")},
    )
    reduced = {
        c: xbp.to_reduced_raman(data, "295 K", c) for c in ("constant", "linear")
    }  # type: ignore[arg-type]
    lines = np.array([530.0, 532.5, 533.0, 535.0, 540.0])
    light = xr.Dataset(
        {
            "I": (
                "wavelength",
                [1.0, 9.0, 4.0, 2.0, 1.0],
                {"units": "1", "quantity": "raman_intensity"},
            )
        },
        coords={"wavelength": ("wavelength", lines, {"units": "nm"})},
    )
    return {
        **reduced,
        "shift": xbp.to_raman_shift(light, "532 nm"),
        "peak": reduced["constant"].bp.boson_peak(E_range=("25 1/cm", "200 1/cm")),
    }


@case("fitted")
def heat() -> Any:
    T = np.geomspace(2, 200, 60)
    parameters = {
        "gamma": 4e-3,
        "n_D": 0.8,
        "theta_D": 260.0,
        "n_E": 0.2,
        "theta_E": 72.0,
        "sigma_E": 15.0,
    }
    made = xbp.models.evaluate("debye_einstein", T, **parameters)
    values = made.C if isinstance(made, xr.Dataset) else made
    noise = 1 + 0.005 * np.random.default_rng(1).normal(size=T.size)
    data = xbp.new_dataset(
        "heat_capacity", np.asarray(values) * noise, std=0.005 * np.asarray(values), units="J/mol/K",
        coords={"temperature": (T, "K")},
    )  # fmt: skip
    fitted = xbp.fit_heat_capacity(data)
    return {
        "fit": fitted,
        "scan": xbp.scan_heat_capacity(data, T_ranges=[(2, 100), (2, 200)]),
        "dos": xbp.fitted_dos(fitted, np.linspace(0.5, 30, 40)),
        "reduced": xbp.reduced_heat_capacity(data, "4 mJ/mol/K^2"),
        "of g(E)": xbp.heat_capacity(dos(), [2.0, 5.0, 20.0, 100.0, 300.0]),
        "of the glass": xbp.heat_capacity(glass(), [5.0, 10.0, 50.0, 300.0]),
        "made": made,
    }


@case()
def formulas() -> Any:
    x = np.linspace(0.5, 30, 60)
    made: dict[str, Any] = {
        "lognormal": xbp.models.evaluate(
            "lognormal", x, energy="5 meV", height=1, sigma=0.5
        ),
        "hard spheres": xbp.models.hard_sphere_structure_factor(
            np.linspace(0.5, 12, 50)
        ),
        "B": xbp.models.reduced_dos([2.0, 4.0], x, energy="5 meV", width="4 meV"),
    }
    return made


# ---------------------------------------------------------------- simulations


@case("single")
def spectra_of_a_solid() -> Any:
    traj = solid()
    return {
        "sqe": traj.bp.dynamic_structure_factor(3, 0.5, E_max="20 meV", window="4 ps"),
        "self": traj.bp.dynamic_structure_factor(
            2, 0.5, E_max="20 meV", window="4 ps", part="incoherent"
        ),
        "sq": traj.bp.structure_factor(3, 0.5),
        "F": traj.bp.intermediate_scattering_function(2, 0.5, window="2 ps"),
        "currents": traj.bp.current_spectra(1.7, 0.5, E_max="20 meV", window="4 ps"),
        "partials": traj.bp.dynamic_structure_factor(
            2, 0.5, E_max="20 meV", window="4 ps", partials=True
        ),
    }


@case()
def vibrations_of_a_solid() -> Any:
    traj = solid()
    g = traj.bp.vdos(window="4 ps", partials=True)
    total = g.g.sum("element")
    # Between the two lines there is rounding alone, and a ratio of such numbers.
    on_a_line = total > 1e-6 * total.max()
    return {
        "g": g,
        "msd": traj.bp.msd(time_max="2 ps"),
        "rdf": traj.bp.radial_distribution(dr="0.1 angstrom"),
        "neutron": xbp.md.neutron_weighted_dos(g).where(on_a_line, drop=True),
    }


@case()
def real_space() -> Any:
    rdf = (
        kob_andersen()
        .isel(time=slice(None, None, 100))
        .bp.radial_distribution(dr="0.1 angstrom")
    )
    sq = rdf.bp.to_structure_factor(np.linspace(0.5, 5, 40))
    return {
        "rdf": rdf,
        "sq": sq,
        "back": sq.bp.to_radial_distribution(np.linspace(2, 8, 30)),
    }


@case("single")
def spectra_of_kob_andersen() -> Any:
    return kob_andersen().bp.dynamic_structure_factor(
        "3 1/angstrom", "0.1 1/angstrom", E_max="10 meV", window="10 ps", weights="unit"
    )


@case("fitted")
def phonons_of_kob_andersen() -> Any:
    traj = kob_andersen()
    branches = xbp.phonon_dispersion(
        traj.bp.current_spectra("1.2 1/angstrom", E_max="10 meV", window="10 ps")
    )
    return {
        "branches": branches,
        "sound": xbp.sound_velocity(branches, "0.8 1/angstrom"),
        "ioffe_regel": xbp.ioffe_regel(branches),
        "box": xbp.box_phonon(traj, window="20 ps"),
        "marked": xbp.mark_box_phonon(glass(), "1.7 meV"),
    }


@case("single")
def fields_of_kob_andersen() -> Any:
    traj = kob_andersen().isel(time=slice(0, 400))
    few = {"window": "2 ps", "E_max": "10 meV"}
    return {
        "fields": traj.bp.local_fields(
            ["coordination", "d2min", "shear_strain"], cutoff="4.6 angstrom"
        ),
        "shear": traj.bp.fluctuation_spectrum(
            "shear_strain", 2, 0.2, cutoff="4.6 angstrom", **few
        ),
    }


@case("fitted")
def which_fluctuation() -> Any:
    traj = kob_andersen()
    table = xbp.compare_fluctuations(
        traj,
        3,
        0.2,
        fields=("shear_strain", "coordination"),
        window="10 ps",
        cutoff="4.6 angstrom",
        weights="unit",
        E_max="10 meV",
    )
    return table


@case()
def embedded() -> Any:
    trees = (
        "kob_andersen",
        "CuZr",
        "SiO2",
        "ZrCuAl",
        "inverse_power",
        "kob_andersen_series",
    )
    return {"fluctuations": xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")} | {
        name: xbp.tutorial.open_datatree(name) for name in trees
    }


def stated(energy: str, std: str) -> xr.Dataset:
    return xbp.stated_energy(energy, std, reference="doi:10.1038/s41467-025-67574-y")


@case("fitted")
def a_study() -> Any:
    tree = xbp.new_study(
        {
            "md": unboxed(),
            "box": glass(),
            "ins": stated("5.5 meV", "0.4 meV"),
            "raman": stated("6 meV", "0.3 meV"),
        },
        E_range={"md": ("0.9 meV", "8 meV"), "box": ("1.2 meV", "12 meV")},
        Q_range={"md": Q_PAPER, "box": Q_PAPER},
    )
    return xbp.study.compare(tree)


# ---------------------------------------------------------------- measured files


@case("fitted", "ins/V_ARCS_Ei120_iqe.h5")
def vanadium_arcs() -> Any:
    data = shared("ins/V_ARCS_Ei120_iqe.h5")
    g = data.bp.to_vibrational_dos(
        "300 K", ("10 meV", "45 meV"), composition="V", multiple_scattering=0.2
    )
    return {
        "file": data,
        "u2": data.bp.debye_waller(),
        "balance": data.bp.detailed_balance(E_range=("16 meV", "30 meV")),
        "G": data.bp.to_gdos(T="300 K", u2="0.00659 angstrom^2")
        .bp.cut_Q((4, 10))
        .bp.boson_peak("quadratic", E_range=(16, 25.5)),
        "dos": g,
    }


@case("fitted", "ins/Al_ARCS_Ei80_iqe.h5")
def aluminium_arcs() -> Any:
    data = shared("ins/Al_ARCS_Ei80_iqe.h5")
    return {
        "file": data,
        "balance": data.bp.detailed_balance(
            E_range=("16 meV", "30 meV"), Q_range=(4, 10)
        ),
        "line": data.bp.fit_elastic_line(Q_range=(3, 6)),
    }


@case("double", "ins/MAR21335_Ei60meV.nxs")
def aluminium_mari() -> Any:
    data = shared("ins/MAR21335_Ei60meV.nxs")
    return {
        "file": data,
        "map": data.bp.angle_to_Q("0.1 1/angstrom"),
        "limits": data.bp.kinematic_limits(),
    }


@case("double", "ins/benzene_290_360_inc.nxspe")
def benzene() -> Any:
    sample, can = (
        shared("ins/benzene_290_360_inc.nxspe", T="290 K"),
        shared("ins/empty_360_inc.nxspe", T="290 K"),
    )
    less = sample.bp.subtract(can, scale=0.92, scale_std=0.03)
    return {"file": sample, "less": less, "map": less.bp.angle_to_Q("0.05 1/angstrom")}


@case("double", "ins/MAR11001_test.nxspe")
def nxspe_variants() -> Any:
    return {
        name: shared(f"ins/{name}.nxspe")
        for name in ("MAR11001_test", "nxspe_version1_0")
    }


@case("double", "sqw/Rb_liq_tot.sqw")
def liquids() -> Any:
    rb, ge = shared("sqw/Rb_liq_tot.sqw"), shared("sqw/Ge_liq_coh.sqw")
    return {
        "Rb": rb,
        "Ge": ge,
        "sq": ge.bp.integrate_E(),
        "silica": shared("static/SiO2_NIMROD.mint01", composition="SiO2"),
    }


@case("fitted", "raman/ae0202.txt")
def raman_files() -> Any:
    of = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
    found = {}
    for name in ("ae0202", "BD1469"):
        found[name] = (
            shared(f"raman/{name}.txt", **of)
            .bp.to_reduced_raman(T="295 K")
            .bp.boson_peak()
        )
    data = shared("raman/labram_wn.txt")
    return found | {
        c: data.bp.to_reduced_raman(T="295 K", coupling=c).bp.boson_peak()
        for c in ("constant", "linear")
    }


@case("fitted", "cp/HC_test_data.Dat")
def heat_capacity_files() -> Any:
    data = shared("cp/HC_test_data.Dat")
    molar = xbp.to_molar(data, "atoms", mass="7.76 mg", molar_mass="100 g/mol", atoms=1)
    table = shared(
        "cp/example_data.csv",
        quantity="heat_capacity",
        units="J/mol/K",
        coordinate_units="K",
        amount="formula units",
    )
    return {"file": data, "molar": molar, "csv": table}


@case("single", "md/zr46cu46al8_trajectory.nc")
def the_shared_trajectory() -> Any:
    traj = xbp.md.open_trajectory(SHARED / "md" / "zr46cu46al8_trajectory.nc").isel(
        time=slice(0, 600)
    )
    return {
        "g": traj.bp.vdos(window="4 ps"),
        "sqe": traj.bp.dynamic_structure_factor(
            "1.2 1/angstrom", E_max="30 meV", window="4 ps"
        ),
        "frames": traj.isel(time=[0, -1], atom=slice(0, 5)),
    }


@case("double", "md/KA_LJ.dump")
def configurations() -> Any:
    ka = xbp.md.open_trajectory(
        SHARED / "md" / "KA_LJ.dump",
        units="lj",
        lj=xbp.md.LennardJones(sigma="3.4 angstrom", epsilon="10 meV", mass="40 u"),
        elements=["Ar", "Ne"],
        timestep="2 fs",
    )
    return {"ka": ka.isel(atom=slice(0, 5))}
