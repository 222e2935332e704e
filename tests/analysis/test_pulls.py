"""Pulls of fitted numbers: (fit − truth)/std has mean 0 and width 1 over draws of noise of known size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import xarray as xr
from samples import vibrations

import xbp
from xbp.core import constants
from xbp.models.lineshapes import FWHM_PER_SIGMA, gaussian, lognormal

E = np.arange(0.25, 25, 0.5)
N = 300
RUN = (np.arange(N), "1")


def assert_pulls(
    table: xr.Dataset, truth: dict[str, float], *, least: float = 0.85
) -> None:
    """Hold the pulls to mean 0 ± 0.15 and width 1 ± 0.15; `least` is lower where an error is known to be wide."""
    status = (
        table["status"]
        if "status" in table
        else xr.zeros_like(next(iter(table.data_vars.values()))).astype(str)
    )
    used = (status == "ok") if "status" in table else xr.ones_like(status, dtype=bool)
    assert float(used.mean()) > 0.9
    for name, true in truth.items():
        pulls = ((table[name] - true) / table[f"{name}_std"]).values[used.values]
        assert abs(pulls.mean()) < 0.15, (name, pulls.mean())
        assert least < pulls.std() < 1.15, (name, pulls.std())


def draws(
    quantity: str,
    dim: str,
    x: np.ndarray,
    units: str,
    shape: np.ndarray,
    noise: float,
    seed: int = 7,
) -> xr.Dataset:
    values = shape + noise * np.random.default_rng(seed).standard_normal((N, x.size))
    return xbp.new_dataset(
        quantity,
        values,
        units="1",
        statistics="unknown",
        std=np.full(values.shape, noise),
        coords={"run": RUN, dim: (x, units)},
    )


SHAPES = {
    "lognormal": (lognormal(E, 5.5, 1.0, 0.6), {"energy": 5.5, "height": 1.0, "width": 2 * 5.5 * np.sinh(0.3 * FWHM_PER_SIGMA)}),
    "quadratic": (1 - ((E - 7) / 12) ** 2, {"energy": 7.0, "height": 1.0, "width": 2 * 12 * np.sqrt(0.5)}),
    "gaussian": (
        gaussian(E, 8.0, 1.0, 2.0) + 0.2 + 0.01 * E,
        {"energy": 8.0, "height": 1.0, "width": 2 * FWHM_PER_SIGMA},
    ),
}  # fmt: skip


#: Least widths of pulls: the errors of these contain the shapes that noise hides.
WITH_SHAPE = {"lognormal": 0.3, "quadratic": 0.75, "gaussian": 0.85}


def in_bins(curve: Callable[[np.ndarray], np.ndarray], width: float) -> xr.Dataset:
    """Return draws of the means of a curve over bins of a width, with their bounds."""
    edges = np.arange(0.6, 14, width)
    low, high = edges[:-1], edges[1:]
    fine = low[:, None] + np.linspace(0, 1, 401)[1::2] * (high - low)[:, None]
    means = curve(fine).mean(axis=1)
    data = draws("reduced_dos", "E", (low + high) / 2, "meV", means, 0.02)
    data["E"].attrs["bounds"] = "E_bnds"
    return data.assign_coords(E_bnds=(("E", "bnds"), np.stack([low, high], axis=-1)))


@pytest.mark.parametrize("width", [0.7, 1.4])
@pytest.mark.parametrize(
    ("method", "curve", "fwhm"),
    [
        ("lognormal", lambda E: lognormal(E, 4.0, 1.0, 0.3), 8 * np.sinh(0.15 * FWHM_PER_SIGMA)),
        ("gaussian", lambda E: gaussian(E, 4.0, 1.0, 1.2) + 0.1, 1.2 * FWHM_PER_SIGMA),
    ],
)  # fmt: skip
def test_bins_of_half_a_peaks_width(
    method: str, curve: Callable[[np.ndarray], np.ndarray], fwhm: float, width: float
) -> None:
    """The curve at the centres of bins was 2.4 std too low, and 1.9 std too wide."""
    limits = (1, 9) if method == "lognormal" else (0.7, 13)
    peak = in_bins(curve, width).bp.boson_peak(method, limits)
    truth = {"energy": 4.0, "height": 1.0, "width": fwhm}
    assert_pulls(peak, truth, least=WITH_SHAPE[method])
    assert float(peak.chi2_reduced.mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("limits", [None, (2, 14)], ids=["automatic", "range"])
@pytest.mark.parametrize(("method", "noise"), [
    ("lognormal", 0.01), ("lognormal", 0.03), ("quadratic", 0.005), ("quadratic", 0.01),
    ("gaussian", 0.01), ("gaussian", 0.02),
])  # fmt: skip
def test_boson_peak(
    method: str, noise: float, limits: tuple[float, float] | None
) -> None:
    shape, truth = SHAPES[method]
    assert_pulls(
        draws("reduced_dos", "E", E, "meV", shape, noise).bp.boson_peak(method, limits),
        truth,
        least=WITH_SHAPE[method],
    )


@pytest.mark.parametrize("limits", [None, (2, 14)], ids=["automatic", "range"])
@pytest.mark.parametrize("noise", [0.001, 0.01, 0.03])
def test_the_top_of_a_lognormal_without_its_shape(
    noise: float, limits: tuple[float, float] | None
) -> None:
    """A parabola alone is 8 % too high."""
    peak = draws(
        "reduced_dos", "E", E, "meV", SHAPES["lognormal"][0], noise
    ).bp.boson_peak("quadratic", limits)
    for name, true in (("energy", 5.5), ("height", 1.0)):
        pulls = (peak[name] - true) / peak[f"{name}_std"]
        assert abs(float(pulls.mean())) < 0.2, name
        assert 0.75 < float(pulls.std()) < 1.15, name


#: Tops that no shape of `boson_peak` has, with their energies.
OTHERS = {
    "gaussian": (lambda E: gaussian(E, 7.0, 1.0, 2.5), 7.0),
    "gamma": (lambda E: (E / 6) ** 3 * np.exp(3 * (1 - E / 6)), 6.0),
    "lorentz": (lambda E: 1 / (1 + ((E - 7) / 3) ** 2), 7.0),
    "oscillator": (lambda E: 9 * E**2 / ((E**2 - 25) ** 2 + 9 * E**2), 5.0),
}


@pytest.mark.parametrize("width", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("name", OTHERS)
def test_tops_of_other_shapes(name: str, width: float) -> None:
    """`quadratic` has no shape; the errors of the log-normal contain what it misses.

    Where noise hid the shape these errors did not contain it: pulls were up to 2.3.
    """
    at = np.arange(width, 24, width)
    curve, top = OTHERS[name]
    shifts = {}
    for noise in (0.01, 0.03, 0.1):
        data = draws("reduced_dos", "E", at, "meV", curve(at), noise)
        for method in ("lognormal", "quadratic") if noise == 0.01 else ("lognormal",):
            peak = data.bp.boson_peak(method)
            assert (peak.status == "ok").mean() > 0.5
            pulls = (peak.energy - top) / peak.energy_std
            shifts[method, noise] = float((peak.energy - top).mean()) / top
            size = float((pulls**2).mean()) ** 0.5
            assert 0.2 < size < 1.15, (method, noise)
            if method == "quadratic":
                assert abs(float(pulls.mean())) < 0.4
                assert float(pulls.std()) < 1.2
            else:
                high = (peak.height - 1) / peak.height_std
                assert float((high**2).mean()) ** 0.5 < 1.3, noise
    # The shift itself does not depend on the noise.
    if name != "oscillator":
        assert -0.075 < shifts["lognormal", 0.1] < -0.035
        assert abs(shifts["lognormal", 0.1] - shifts["lognormal", 0.01]) < 0.01


@pytest.mark.parametrize("binned", [False, True], ids=["points", "means"])
@pytest.mark.parametrize("over", [0, 2], ids=["C/E²", "C"])
@pytest.mark.parametrize(
    ("energy", "damping"), [(5.0, 3.0), (5.0, 4.0), (7.0, 3.0), (7.0, 5.0)]
)
def test_tops_of_damped_oscillators_in_bins_of_a_third_of_their_width(
    energy: float, damping: float, over: int, binned: bool
) -> None:
    """What bins of 1 meV leave open of the shape is the error, however little the noise.

    The difference of two quartics was taken for it: pulls were up to 2.8 (energy) and
    4.4 (height), because these two may err alike.
    """

    def curve(E: np.ndarray) -> np.ndarray:
        return E**over / ((E**2 - energy**2) ** 2 + (damping * E) ** 2)

    top = energy if over else np.sqrt(energy**2 - damping**2 / 2)
    centre = np.arange(1.0, 24)
    places, part = np.polynomial.legendre.leggauss(20)
    fine = centre[:, None] + (places / 2 if binned else np.zeros(20))
    means = curve(fine) @ part / 2 / curve(np.array(top))
    for noise in (0.001, 0.003):
        data = draws("reduced_dos", "E", centre, "meV", means, noise)
        if binned:
            data["E"].attrs["bounds"] = "E_bnds"
            ends = np.stack([centre - 0.5, centre + 0.5], axis=-1)
            data = data.assign_coords(E_bnds=(("E", "bnds"), ends))
        peak = data.bp.boson_peak("quadratic")
        assert (peak.status == "ok").all()
        for name, true in (("energy", top), ("height", 1.0)):
            pulls = (peak[name] - true) / peak[f"{name}_std"]
            assert float((pulls**2).mean()) ** 0.5 < 1.15, (name, noise)


def test_fit() -> None:
    b = draws("reduced_dos", "E", E, "meV", lognormal(E, 5.5, 1.0, 0.6), 0.01)
    assert_pulls(
        b.bp.fit("lognormal", x_range=(1, 20)),
        {"energy": 5.5, "height": 1.0, "sigma": 0.6},
    )


def test_fit_elastic_line() -> None:
    x = np.linspace(-3, 3, 25)
    S = draws(
        "dynamic_structure_factor",
        "E",
        x,
        "meV",
        gaussian(x, 0.1, 1.0, 1.4 / FWHM_PER_SIGMA) + 0.1,
        0.01,
    )
    table = S.bp.fit_elastic_line(E_range=(-3, 3))
    # The std is the larger one of counting and of the scatter: a little too wide.
    assert_pulls(
        table, {"energy": 0.1, "height": 1.0, "fwhm": 1.4, "background": 0.1}, least=0.8
    )


@pytest.mark.slow
def test_dispersion() -> None:
    Q = np.linspace(2, 8, 7)
    noisy = lognormal(E, 5.5, 1.0, 0.6) + 0.01 * np.random.default_rng(
        3
    ).standard_normal((N, Q.size, E.size))
    b = xbp.new_dataset(
        "reduced_dos", noisy, units="1", std=np.full(noisy.shape, 0.01),
        coords={"run": RUN, "Q": (Q, "1/angstrom"), "E": (E, "meV")},
    )  # fmt: skip
    assert_pulls(
        b.bp.boson_peak(E_range=(1, 15)).bp.dispersion(),
        {"slope": 0.0, "mean_energy": 5.5},
        least=WITH_SHAPE["lognormal"],
    )


@pytest.mark.slow
def test_debye_waller() -> None:
    Q, x = np.linspace(1, 8, 15), np.linspace(-3, 3, 31)
    line = xbp.models.elastic_line(Q, x, u2="0.01 angstrom^2", resolution="1 meV")
    noisy = line.S.values + 0.004 * np.random.default_rng(2).standard_normal(
        (N, *line.S.shape)
    )
    S = xbp.new_dataset(
        "dynamic_structure_factor", noisy, statistics="unknown", units="1/meV", std=np.full(noisy.shape, 0.004),
        coords={"run": RUN, "Q": (Q, "1/angstrom"), "E": (x, "meV")},
    )  # fmt: skip
    assert_pulls(S.bp.debye_waller(E_range=(-2, 2)), {"u2": 0.01})


def test_detailed_balance() -> None:
    x = np.arange(-20, 20.5, 0.5)
    even = np.exp(-((x / 8) ** 2)) + 0.2
    shape = even * np.exp(x / (2 * 25.852))  # k_B · 300 K
    noisy = shape * (
        1 + 0.01 * np.random.default_rng(4).standard_normal((N, 4, x.size))
    )
    S = xbp.new_dataset(
        "dynamic_structure_factor", noisy, statistics="unknown", units="1/meV", std=np.broadcast_to(0.01 * shape, noisy.shape).copy(),
        coords={"run": RUN, "Q": ([2.0, 3.0, 4.0, 5.0], "1/angstrom"), "E": (x, "meV")},
    )  # fmt: skip
    assert_pulls(S.bp.detailed_balance(), {"implied_temperature": 25.852 / 0.0861733})


@pytest.mark.slow
def test_sound_velocity_and_debye_energy() -> None:
    q = np.arange(0.1, 0.5, 0.02)
    pulls = []
    rng = np.random.default_rng(6)
    debye = (3 / (4400.0**-3 + 2 * 1900.0**-3)) ** (1 / 3)
    energy = 0.6582119569 * debye / 100 * (6 * np.pi**2 * 0.06) ** (1 / 3)
    for _ in range(N):
        clean = np.stack(
            [0.6582119569 * q * v * (1 - 0.4 * q**2) for v in (44.0, 19.0)]
        )
        table = xr.Dataset(
            {
                "energy": (
                    ("branch", "Q"),
                    clean + 0.02 * rng.standard_normal(clean.shape),
                    {"units": "meV"},
                ),
                "energy_std": (
                    ("branch", "Q"),
                    np.full(clean.shape, 0.02),
                    {"units": "meV"},
                ),
                "width": (("branch", "Q"), np.full(clean.shape, 0.3), {"units": "meV"}),
                "width_std": (
                    ("branch", "Q"),
                    np.full(clean.shape, 0.02),
                    {"units": "meV"},
                ),
                "status": (("branch", "Q"), np.full(clean.shape, "ok")),
            },
            coords={
                "branch": ["longitudinal", "transverse"],
                "Q": ("Q", q, {"units": "1/angstrom"}),
            },
            attrs={"quantity": "phonon_dispersion", "number_density": 0.06},
        )
        found = table.bp.sound_velocity()
        pulls.append(
            [
                *((found.velocity - [4400.0, 1900.0]) / found.velocity_std).values,
                float((found.debye_velocity - debye) / found.debye_velocity_std),
                float((found.debye_energy - energy) / found.debye_energy_std),
            ]
        )
    # The std is never below that of the scatter, so that it is a little wide.
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.15
    assert (np.std(pulls, axis=0) > 0.8).all()
    assert (np.std(pulls, axis=0) < 1.15).all()


@pytest.mark.slow
def test_fit_heat_capacity() -> None:
    T = np.geomspace(3, 200, 40)
    truth = {
        "n_D": 0.8,
        "theta_D": 260.0,
        "n_E": 0.2,
        "theta_E": 71.95,
        "sigma_E": 15.0,
    }
    exact = xbp.models.evaluate("debye_einstein", T, gamma=0, **truth).C.values
    std = np.broadcast_to(0.005 * exact, (N, T.size)).copy()
    C = xbp.new_dataset(
        "heat_capacity", exact + std * np.random.default_rng(3).standard_normal(std.shape), units="J/mol/K", std=std,
        coords={"run": RUN, "temperature": (T, "K")},
    )  # fmt: skip
    table = C.bp.fit_heat_capacity(fixed={"gamma": 0}, start=truth)
    k = 0.0861733
    peak = k * (71.95 + np.sqrt(71.95**2 - 8 * 15**2)) / 2
    level = 3 * 0.8 / (k * 260) ** 3
    assert_pulls(
        table, {**truth, "energy_E": k * 71.95, "energy": peak, "debye_level": level}
    )


@pytest.mark.slow
def test_ioffe_regel() -> None:
    """Energies of 10 meV Å times Q, widths that reach E/π at 0.8/Å and 8 meV."""
    q = np.arange(0.3, 1.3, 0.05)
    rng = np.random.default_rng(8)
    pulls = []
    for _ in range(N):
        shape = (2, q.size)
        energy = 10 * q + 0.03 * rng.standard_normal(shape)
        width = 8 / np.pi * (q / 0.8) ** 3 + 0.03 * rng.standard_normal(shape)
        columns = {"energy": energy, "width": width}
        columns |= {f"{name}_std": np.full(shape, 0.03) for name in columns}
        table = xr.Dataset(
            {
                name: (("branch", "Q"), values, {"units": "meV"})
                for name, values in columns.items()
            },
            coords={
                "branch": ["longitudinal", "transverse"],
                "Q": ("Q", q, {"units": "1/angstrom"}),
            },
            attrs={"quantity": "phonon_dispersion"},
        )
        table["status"] = ("branch", "Q"), np.full(shape, "ok")
        found = table.bp.ioffe_regel()
        pulls += ((found.energy - 8) / found.energy_std).values.tolist()
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_every_fit_of_a_scan() -> None:
    b = draws("reduced_dos", "E", E, "meV", SHAPES["lognormal"][0], 0.01)
    scan = b.bp.scan_boson_peak(methods=["lognormal"]).isel(method=0)
    for _, one in scan.groupby("range"):
        assert (one.scan_status == "ok").mean() > 0.9
        pulls = ((one.scan_energy - 5.5) / one.scan_energy_std).where(
            one.scan_status == "ok"
        )
        assert abs(float(pulls.mean())) < 0.15
        assert WITH_SHAPE["lognormal"] < float(pulls.std()) < 1.15


@pytest.mark.slow
@pytest.mark.parametrize("counts", [300, 3000])
def test_displacement_of_a_density_of_states(counts: float) -> None:
    dos = vibrations(31, 12)
    S = dos.bp.multiphonon_sqe(
        np.arange(2.0, 10), np.arange(-10.0, 45), composition="V", tolerance=1e-9
    )
    true, S = float(S.u2), S.drop_vars("u2")
    S = xr.concat([S.where(abs(S.E) > 0.5)] * (N // 3), "run")
    noisy = xbp.models.with_counting_noise(S, counts=counts, rng=0)
    found = noisy.bp.to_vibrational_dos(E_range=(0.5, 30.5), composition="V")
    assert (found.u2_status == "ok").all()
    assert_pulls(found[["u2", "u2_std"]], {"u2": true})


def damped_solid(seed: int) -> xr.Dataset:
    """Draw atoms on springs of 8 meV with friction and noise of 10 K, exact at any step.

    Their lines have the width 3 meV, the friction times ħ.
    """
    n_frames, n, step, side, mass, kelvin = 600, 300, 0.025, 20.0, 40.0, 10.0
    rng = np.random.default_rng([19, seed])
    omega, friction = np.array([8.0, 3.0]) / 0.6582119569
    v2 = constants.BOLTZMANN * kelvin / mass
    still = np.diag([v2 / omega**2, v2])
    move = scipy.linalg.expm(np.array([[0, 1], [-(omega**2), -friction]]) * step)
    root = np.linalg.cholesky(still - move @ still @ move.T)
    state = np.empty((n_frames, 2, 3 * n))
    state[0] = np.sqrt(np.diag(still))[:, None] * rng.standard_normal((2, 3 * n))
    for frame in range(1, n_frames):
        kick = root @ rng.standard_normal((2, 3 * n))
        state[frame] = move @ state[frame - 1] + kick
    place, velocity = state.reshape(n_frames, 2, n, 3).swapaxes(0, 1)
    return xbp.md.models.new_trajectory(
        side * rng.random((n, 3)) + place, time=step * np.arange(n_frames),
        cell=side * np.eye(3), velocity=velocity, element=["Ar"] * n,
        mass=np.full(n, mass), temperature=kelvin,
    )  # fmt: skip


@pytest.mark.slow
def test_phonons_of_few_waves_seen_for_a_short_time() -> None:
    """Every shell of Q is a draw: its waves are its own."""
    pulls: dict[str, list[float]] = {"energy": [], "width": []}
    for seed in range(4):
        found = (
            damped_solid(seed)
            .bp.current_spectra(
                3, 0.05, window="5 ps", max_wavevectors_per_shell=16, E_max=30
            )
            .bp.phonon_dispersion()
        )
        ok = found.where((found.status == "ok") & (found.n_wavevectors == 16))
        for name, true in (("energy", 8), ("width", 3)):
            each = (ok[name] - true) / ok[f"{name}_std"]
            pulls[name] += each.values[np.isfinite(each)].tolist()
    for name, each in pulls.items():
        assert len(each) > 300
        # The error of a width goes with the width, so that small ones pull more.
        assert abs(np.mean(each)) < (0.2 if name == "width" else 0.15), name
        assert np.std(each) == pytest.approx(1, abs=0.15), name
