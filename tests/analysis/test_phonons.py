from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
import xarray as xr

from xbp.analysis.phonons import Window, _fit
from xbp.core import constants
from xbp.errors import QuantityError, RangeError
from xbp.md.window import cosines
from xbp.models.lineshapes import damped_oscillator_current, damped_oscillator_integral

E = np.arange(0, 30, 0.2)


def currents(energies: dict[str, list[float]], width: float = 1.0) -> xr.Dataset:
    Q = np.arange(1, 4) / 10.0
    ds = xr.Dataset(
        coords={"Q": ("Q", Q, {"units": "1/angstrom"}), "E": ("E", E, {"units": "meV"})}
    )
    for name, places in energies.items():
        rows = [damped_oscillator_current(E, 3e-5, place, width) for place in places]
        ds[name] = (
            ("Q", "E"),
            np.array(rows),
            {"units": "angstrom**2/ps**2/meV", "quantity": "current_spectrum"},
        )
    return ds


KNOWN = {"C_L": [4.0, 8.0, 12.0], "C_T": [2.0, 4.1, 6.3]}


def test_branches_come_back() -> None:
    found = currents(KNOWN, 1.3).bp.phonon_dispersion()
    np.testing.assert_allclose(
        found.energy.sel(branch="longitudinal"), KNOWN["C_L"], rtol=1e-6
    )
    np.testing.assert_allclose(
        found.energy.sel(branch="transverse"), KNOWN["C_T"], rtol=1e-6
    )
    np.testing.assert_allclose(found.width, 1.3, rtol=1e-5)
    assert (found.status == "ok").all()
    assert found.energy.attrs["units"] == "meV"


def test_lines_as_narrow_as_their_bins_come_back() -> None:
    """At the centres of the bins the widths are 15 % and more too large."""
    centres, half = np.arange(0.75, 30, 1.5), 0.75
    fine = centres[:, None] + half * ((np.arange(200) + 0.5) / 100 - 1)
    data = currents(KNOWN).isel(E=slice(0, centres.size)).assign_coords(
        E=("E", centres, {"units": "meV", "bounds": "E_bnds"}),
        E_bnds=(("E", "bnds"), np.stack([centres - half, centres + half], axis=1)),
    )  # fmt: skip
    for name, places in KNOWN.items():
        data[name].values[:] = [
            damped_oscillator_current(fine, 3e-5, place, 1.3).mean(axis=1)
            for place in places
        ]
    found = data.bp.phonon_dispersion().sel(branch="longitudinal")
    np.testing.assert_allclose(found.energy, KNOWN["C_L"], rtol=5e-3)
    np.testing.assert_allclose(found.width, 1.3, rtol=0.02)


def test_branches_in_other_units_are_the_same() -> None:
    data = currents(KNOWN)
    in_thz = data.assign_coords(E=("E", E / 4.135667696923859, {"units": "THz"}))
    found = in_thz.bp.phonon_dispersion(E_range=("0.2 meV", "29 meV"))
    np.testing.assert_allclose(
        found.energy * 4.135667696923859, data.bp.phonon_dispersion().energy, rtol=1e-6
    )


@pytest.mark.slow
def test_errors_of_branches_are_those_of_the_scatter() -> None:
    rng = np.random.default_rng(0)
    clean = currents(KNOWN)
    pulls = []
    for _ in range(60):
        noisy = clean.copy()
        for name in ("C_L", "C_T"):
            noisy[name] = clean[name] + 0.03 * float(
                clean[name].max()
            ) * rng.standard_normal(clean[name].shape)
        found = noisy.bp.phonon_dispersion()
        truth = np.array([KNOWN["C_L"], KNOWN["C_T"]])
        pulls.append(((found.energy - truth) / found.energy_std).values.ravel())
    assert abs(np.mean(pulls)) < 0.2
    assert np.std(pulls) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("shared", [1, 2], ids=["own bins", "bins in pairs"])
def test_errors_of_branches_follow_those_of_the_data(shared: int) -> None:
    """Noise that grows with the line is larger than the scatter of the whole range."""
    rng = np.random.default_rng(3)
    draws = 200
    line = damped_oscillator_current(E, 3e-5, 6.3, 1.5)
    std = 0.08 * line
    chance = rng.standard_normal((2, draws, E.size // shared)).repeat(shared, axis=2)
    label = {"units": "angstrom**2/ps**2/meV", "quantity": "current_spectrum"}
    data = xr.Dataset(
        {
            "C_L": (("Q", "E"), line + std * chance[0], label),
            "C_T": (("Q", "E"), line + std * chance[1], label),
        },
        coords={
            "Q": ("Q", 0.1 + np.arange(draws) * 1e-3, {"units": "1/angstrom"}),
            "E": ("E", E, {"units": "meV"}),
            "E_independence": ("E", np.full(E.size, 1 / shared)),
        },
    )
    for name in ("C_L", "C_T"):
        data[f"{name}_std"] = (("Q", "E"), np.tile(std, (draws, 1)), label)
    found = data.bp.phonon_dispersion()
    for name, truth in (("energy", 6.3), ("width", 1.5)):
        pulls = (found[name] - truth) / found[f"{name}_std"]
        assert abs(float(pulls.mean())) < 0.2
        assert float(pulls.std()) == pytest.approx(1, abs=0.15)


def test_no_branch_has_a_status() -> None:
    data = currents(KNOWN)
    data["C_L"][0] = np.nan
    data["C_L"][1] = E  # rises to the edge
    data["C_T"][2] = 0.0
    found = data.bp.phonon_dispersion()
    assert found.status.values.tolist() == [
        ["no data", "maximum at edge", "ok"],
        ["ok", "ok", "no data"],
    ]
    assert np.isnan(found.energy.values[found.status.values != "ok"]).all()
    assert f"1 of 6 spectra at the end of the data, {E[-1]:.3g} meV" in repr(found.bp)
    few = currents(KNOWN).bp.phonon_dispersion(E_range=("3.7 meV", "4.3 meV"))
    assert few.status.values[0, 0] == "too few points"
    with pytest.raises(RangeError, match="E_range"):
        data.bp.phonon_dispersion(E_range=(100, 200))


def test_other_data_have_no_branches(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match=r"needs C\(Q,E\)"):
        glass.bp.phonon_dispersion()


PLANCK = 4.135667696923859  # meV ps


def seen_through(
    window: float, energy: float, width: float, taper: str = "hann", top: float = 25.0
) -> xr.DataArray:
    """The current spectrum of an oscillator in windows, from its correlation in steps of 5 fs."""
    step = 0.005
    t = step * np.arange(round(window / step))
    g, hbar = width / 2, PLANCK / 2 / np.pi
    omega = np.emath.sqrt(energy**2 - g**2)
    correlation = (
        np.exp(-g * t / hbar)
        * (np.cos(omega * t / hbar) - g / omega * np.sin(omega * t / hbar))
    ).real
    h = np.sin(np.pi * t / window) ** 2 if taper == "hann" else np.ones(t.size)
    weight = np.correlate(h, h, "full")[t.size - 1 :] / (h**2).sum()
    at = np.arange(int(top * window / PLANCK)) * PLANCK / window
    spectrum = correlation * weight @ cosines(at, step, np.ones(t.size))
    return xr.DataArray(
        spectrum, dims="E", coords={"E": ("E", at, {"units": "meV"})},
        attrs={"units": "angstrom**2/ps**2/meV", "quantity": "current_spectrum"},
    )  # fmt: skip


@pytest.mark.parametrize("taper", ["hann", "boxcar"])
@pytest.mark.parametrize(
    ("energy", "width"), [(3.0, 0.0), (3.0, 0.8), (5.0, 9.0), (2.0, 7.0)]
)
def test_the_shape_in_a_window_is_that_of_the_tapered_correlation(
    taper: str, energy: float, width: float
) -> None:
    own = seen_through(8, energy, width, taper)
    window = Window(8.0, taper, PLANCK / 8, 1)
    shape = window.oscillator_current(own.E.values, 0.5, energy, width)
    np.testing.assert_allclose(shape[1:], own[1:], rtol=0, atol=5e-3 * float(own.max()))
    assert window.resolves(own.E.values)
    assert not window.resolves(own.E.values + 0.1)


def test_tails_in_a_boxcar_window_are_those_of_its_integral() -> None:
    """(2A/π) ∫ (1 − t/T) C(t) cos Et dt from 0 to T, of exponentials, by hand."""
    energy, width, step = 0.93, 0.1, 0.2
    window, E = Window(PLANCK / step, "boxcar", step, 1), step * np.arange(1, 40)
    T, omega, expected = 2 * np.pi / step, np.sqrt(energy**2 - width**2 / 4), 0.0
    for w in (omega, -omega):
        for other in (E, -E):
            s = width / 2 - 1j * (w + other)
            integral = 1 / s - (1 - np.exp(-s * T)) / (s**2 * T)
            expected = expected + ((1 + 0.5j * width / w) * integral).real / 4
    found = window.oscillator_current(E, 3.0, energy, width)
    np.testing.assert_allclose(found[:12], 3 * 2 / np.pi * expected[:12], rtol=1e-3)


def test_a_critically_damped_line_in_joules() -> None:
    E = 0.2 * np.arange(1, 40)
    spectra = [
        unit
        * Window(20.0, "hann", 0.2 * unit, 1).oscillator_current(
            E * unit, 1.0, 3.0 * unit, 6.0 * unit
        )
        for unit in (1.0, 1e-22)
    ]
    np.testing.assert_allclose(*spectra, rtol=1e-6)


def test_a_window_without_end_changes_nothing() -> None:
    window = Window(400.0, "hann", PLANCK / 400, 1)
    E = window.step * np.arange(1, 3000)
    plain = damped_oscillator_current(E, 2.0, 5.0, 1.0)
    np.testing.assert_allclose(
        window.oscillator_current(E, 2.0, 5.0, 1.0), plain, atol=2e-3 * plain.max()
    )


@pytest.mark.slow
@pytest.mark.parametrize("window", [4.0, 6.0, 20.0])
def test_the_width_of_the_window_is_taken_off(window: float) -> None:
    data = seen_through(window, 3.0, 0.8).expand_dims(Q=1)
    data = data.assign_coords(
        Q=("Q", [0.3], {"units": "1/angstrom"}), n_wavevectors=("Q", [12])
    )
    ds = xr.Dataset(
        {"C_L": data, "C_T": data},
        attrs={"window": f"{window:g} ps, hann", "segments": 5},
    )
    found = ds.bp.phonon_dispersion()
    np.testing.assert_allclose(found.energy, 3.0, atol=0.01)
    np.testing.assert_allclose(found.width, 0.8, atol=0.02)
    assert "window" not in found.width.attrs["long_name"]
    # Twice as many waves are transverse: their errors are smaller by the root of it.
    ratio = found.energy_std.sel(branch="longitudinal") / found.energy_std.sel(
        branch="transverse"
    )
    np.testing.assert_allclose(ratio, np.sqrt(2), rtol=0.02)
    in_thz = ds.assign_coords(
        E=("E", ds.E.values / PLANCK, {"units": "THz"})
    ).bp.phonon_dispersion()
    np.testing.assert_allclose(in_thz.width * PLANCK, found.width, rtol=1e-3)
    # Without its attribute, or off its energies, the window is in the width, and that is said.
    for other in (
        ds.drop_attrs(deep=False),
        ds.assign_coords(E=("E", ds.E.values + 0.05, {"units": "meV"})),
    ):
        plain = other.bp.phonon_dispersion()
        assert float(plain.width[0, 0]) > (0.8 if window > 10 else 1.0)
        assert plain.width.attrs["long_name"].endswith("with that of the window")
        assert "window" not in plain.attrs


@pytest.mark.slow
def test_errors_are_those_of_few_waves_for_a_short_time() -> None:
    """Thermal waves of a known spectrum, in windows, as few as a box has."""
    rng = np.random.default_rng(2)
    step, n, n_waves, window = 0.02, 2000, 6, 10.0
    length = round(window / step)
    freq = PLANCK * np.fft.rfftfreq(4 * n, step)
    amplitude = np.sqrt(damped_oscillator_current(freq, 1.0, 1.7, 0.35))
    taper = np.hanning(length + 1)[:length]
    powers = []
    for _ in range(80):
        noise = rng.standard_normal((n_waves, freq.size)) + 1j * rng.standard_normal(
            (n_waves, freq.size)
        )
        waves = np.fft.irfft(amplitude * noise, axis=1)[:, :n]
        parts = [
            waves[:, a : a + length] * taper
            for a in range(0, n - length + 1, length // 2)
        ]
        power = np.mean(
            [abs(np.fft.rfft(part, axis=1)) ** 2 for part in parts], axis=(0, 1)
        )
        powers.append(power)
    E = np.arange(power.size) * PLANCK / window
    Q = 0.15 + 1e-3 * np.arange(80)
    one = xr.DataArray(
        powers, dims=("Q", "E"),
        coords={"Q": ("Q", Q, {"units": "1/angstrom"}), "E": ("E", E, {"units": "meV"})},
        attrs={"units": "angstrom**2/ps**2/meV", "quantity": "current_spectrum"},
    ).assign_coords(n_wavevectors=("Q", np.full(80, n_waves)))  # fmt: skip
    ds = xr.Dataset(
        {"C_L": one, "C_T": one},
        attrs={"window": "10 ps, hann", "segments": len(parts)},
    )
    found = ds.bp.phonon_dispersion().sel(branch="transverse")
    for values in (
        (found.energy - 1.7) / found.energy_std,
        (found.width - 0.35) / found.width_std,
    ):
        assert abs(values.mean()) < 0.5
        assert 0.5 < values.std() < 1.4


def test_energies_that_share_counts_give_larger_errors() -> None:
    data = currents(KNOWN)
    rng = np.random.default_rng(1)
    for name in KNOWN:
        scale = 0.02 * float(data[name].max())
        data[name] += scale * rng.standard_normal(data[name].shape)
    alone = data.bp.phonon_dispersion()
    part = ("E", np.full(E.size, 0.25), {"units": "1"})
    shared = data.assign_coords(E_independence=part).bp.phonon_dispersion()
    n = E.size - 1  # above zero
    wider = np.sqrt((n - 3) / (n / 4 - 3))
    for name in ("energy_std", "width_std"):
        np.testing.assert_allclose(shared[name], wider * alone[name], rtol=1e-9)
    np.testing.assert_array_equal(shared.energy, alone.energy)
    few = data.assign_coords(E_independence=("E", np.full(E.size, 0.02)))
    assert (few.bp.phonon_dispersion().status == "too few points").all()


def test_errors_of_lines_without_noise_are_those_of_few_waves() -> None:
    """σ/√N of N = waves times bins that the line spans, in all segments; ±Q are one."""
    step, width, segments = 0.2, 1.0, 5
    time = constants.PLANCK / step
    window = Window(time, "hann", step, segments)
    data = currents(KNOWN)
    for name, places in KNOWN.items():
        rows = [window.oscillator_current(E, 3e-5, place, width) for place in places]
        data[name] = data[name].copy(data=np.array(rows))
    data.attrs |= {"window": f"{time:.12g} ps, hann", "segments": segments}
    waves = np.array([6, 12, 8])
    found = data.assign_coords(n_wavevectors=("Q", waves)).bp.phonon_dispersion()
    np.testing.assert_allclose(found.width, width, rtol=1e-3)
    seen = np.hypot(width, 1.44 * step)
    for branch, polarizations in (("longitudinal", 1), ("transverse", 2)):
        N = polarizations * waves / 2 * segments * seen / step
        expected = seen / np.sqrt(8 * np.log(2)) / np.sqrt(N)
        np.testing.assert_allclose(
            found.energy_std.sel(branch=branch), expected, rtol=0.02
        )


def test_a_top_in_the_first_or_last_bin_is_at_an_edge() -> None:
    E = np.arange(12.0)
    C = np.exp(-((E - np.array([[0.0], [1.0], [10.0], [11.0]])) ** 2) / 8)
    _, status = _fit(E, 0 * E, C, None, None, np.ones(12))
    assert [str(s) == "maximum at edge" for s in status] == [True, False, False, True]


@pytest.mark.parametrize("scale", [1e-170, 1e30])
def test_branches_do_not_depend_on_the_unit_of_the_spectra(scale: float) -> None:
    """Not even where the squares of their values vanish."""
    data = currents(KNOWN)
    found, same = ((data * by).bp.phonon_dispersion() for by in (1.0, scale))
    np.testing.assert_allclose(same.energy, found.energy, rtol=1e-9)
    np.testing.assert_allclose(same.width, found.width, rtol=1e-7)


@pytest.mark.parametrize(("energy", "status"), [(1.8, "maximum at edge"), (2.2, "ok")])
def test_a_line_within_the_first_bin_is_at_an_edge(energy: float, status: str) -> None:
    """Of bins at 1, 2, … the second is higher than the first for both lines."""
    E = np.arange(1.0, 20.0)
    line = damped_oscillator_current(E, 1.0, energy, 2.0)
    assert line.argmax() == 1
    numbers, found = _fit(E, 0 * E, line[None], None, None, np.ones(E.size))
    assert found[0] == status
    assert np.isfinite(numbers[0, 0]) == (status == "ok")


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.1, 0.2, 0.5, 1.0, 4.0])
def test_pulls_of_lines_in_bins(width: float) -> None:
    """In bins of 1 meV: at their centres the pulls of widths were 2 to 13 wide."""
    rng, half = np.random.default_rng(3), np.full(40, 0.5)
    E = np.arange(0.5, 40)
    energy = rng.uniform(12, 13, 300)
    within = (np.arange(200) + 0.5) / 200 - 0.5
    fine = (E[:, None] + within).ravel()
    lines = damped_oscillator_current(fine, 1.0, energy[:, None], width)
    C = lines.reshape(300, 40, -1).mean(axis=2)
    C /= C.max(axis=1, keepdims=True)
    C += 0.02 * rng.standard_normal(C.shape)
    std = np.full(C.shape, 0.02)
    numbers, status = _fit(E, half, C, std, None, np.ones(40))
    ok = status == "ok"
    assert ok.mean() > 0.55
    for at, true in ((0, energy[ok]), (2, width)):
        pulls = (numbers[ok, at] - true) / numbers[ok, at + 1]
        assert np.sqrt((pulls**2).mean()) < 1.15
        assert abs(pulls.mean()) < 0.5


def test_the_integral_of_a_line_is_that_of_its_curve() -> None:
    E = np.linspace(0.0, 12.0, 240001)
    for energy, width in ((5.0, 2.0), (5.0, 0.01), (3.0, 8.0), (4.0, 8.0)):
        curve = damped_oscillator_current(E, 1.3, energy, width)
        ends = damped_oscillator_integral(np.array([0.0, 12.0]), 1.3, energy, width)
        assert np.diff(ends)[0] == pytest.approx(
            scipy.integrate.trapezoid(curve, E), rel=1e-6
        )
