"""S(Q,E), F(Q,t) and currents against double sums and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
import xarray as xr

import xbp
from xbp.core import constants
from xbp.errors import QuantityError
from xbp.md import models, new_trajectory, run
from xbp.md.wavevectors import allowed_wavevectors

H = scipy.constants.h / scipy.constants.e * 1e15  # meV ps
HBAR = H / (2 * np.pi)
B = {"Zr": 7.16, "Cu": 7.718}


def double_sum(
    traj: xr.Dataset,
    Q_max: float,
    dQ: float,
    wj: np.ndarray,
    wk: np.ndarray,
    n_lags: int,
) -> np.ndarray:
    """Σ_jk w_j w_k ⟨exp iQ·(r_j(t0+t) − r_k(t0))⟩ over all t0 and allowed ±Q, by the definition."""
    cell = traj.cell.values
    shells = allowed_wavevectors(cell, Q_max, dQ)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(cell).T)
    phase = np.exp(1j * traj.position.values @ Q.T)
    left, right = np.einsum("j,tjq->tq", wj, phase), np.einsum("j,tjq->tq", wk, phase)
    n = len(phase)
    lags = [
        (left[lag:] * right[: n - lag].conj()).mean(axis=0).real
        for lag in range(n_lags)
    ]
    swapped = [
        (right[lag:] * left[: n - lag].conj()).mean(axis=0).real
        for lag in range(n_lags)
    ]
    both = (np.array(lags) + np.array(swapped)) / 2
    return np.stack(
        [both[:, shells.shell == s].mean(axis=1) for s in range(shells.Q.size)]
    )


WHOLE = {"window": "1.2 ps", "precision": "double"}


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["unit", "neutron", "mass", "array"])
def test_F_is_the_double_sum(small: xr.Dataset, weights: str) -> None:
    w = {
        "unit": np.ones(40),
        "neutron": np.vectorize(B.get)(small.element.values),
        "mass": small.mass.values,
        "array": np.linspace(-1, 2, 40),
    }[weights]
    given = w if weights == "array" else weights
    F = small.bp.intermediate_scattering_function(
        4, 0.5, time_max="1.1 ps", weights=given, **WHOLE
    ).F
    exact = double_sum(small, 4, 0.5, w, w, 23) / (w**2).sum()
    np.testing.assert_allclose(F.values, exact, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(F.time.values, 0.05 * np.arange(23))


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["number", "ashcroft-langreth"])
def test_partials_are_the_double_sums_and_add_up(
    small: xr.Dataset, normalization: str
) -> None:
    F = small.bp.intermediate_scattering_function(
        4, 0.5, time_max="1.1 ps", partials=True, normalization=normalization, **WHOLE
    ).F
    assert F.pair.values.tolist() == ["Cu-Cu", "Cu-Zr", "Zr-Zr"]
    masks = {s: (small.element.values == s).astype(float) for s in ("Cu", "Zr")}
    for pair in F.pair.values.tolist():
        a, b = (masks[s] for s in pair.split("-"))
        divisor = 40 if normalization == "number" else np.sqrt(a.sum() * b.sum())
        np.testing.assert_allclose(
            F.sel(pair=pair).values,
            double_sum(small, 4, 0.5, a, b, 23) / divisor,
            rtol=1e-6,
            atol=1e-7,
        )
    total = (F * F.weight).sum("pair")
    whole = small.bp.intermediate_scattering_function(
        4, 0.5, time_max="1.1 ps", **WHOLE
    ).F
    if normalization == "number":  # I/N, in fm²
        total = total / np.mean([B[e] ** 2 for e in small.element.values])
    np.testing.assert_allclose(total.values, whole.values, rtol=1e-6, atol=1e-8)


def test_xray_totals_are_sums_with_form_factors(small: xr.Dataset) -> None:
    periodictable = pytest.importorskip("periodictable")
    F = small.bp.intermediate_scattering_function(4, 0.5, weights="xray", **WHOLE).F
    parts = small.bp.intermediate_scattering_function(
        4, 0.5, partials=True, normalization="number", **WHOLE
    ).F
    f = {s: periodictable.elements.symbol(s).xray.f0(F.Q.values) for s in ("Cu", "Zr")}
    top = sum(
        parts.sel(pair=f"{a}-{b}").values
        * (f[a] * f[b] * (1 if a == b else 2))[:, None]
        for a, b in (("Cu", "Cu"), ("Cu", "Zr"), ("Zr", "Zr"))
    )
    share = (small.element == "Zr").mean().item()
    norm = share * f["Zr"] ** 2 + (1 - share) * f["Cu"] ** 2
    np.testing.assert_allclose(F.values, top / norm[:, None], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["unit", "neutron"])
def test_the_self_part_is_its_sum(small: xr.Dataset, weights: str) -> None:
    sigma = {"Zr": 0.02, "Cu": 0.55}
    w2 = (
        np.ones(40)
        if weights == "unit"
        else np.vectorize(sigma.get)(small.element.values)
    )
    found = small.bp.intermediate_scattering_function(
        4,
        0.5,
        time_max="1.1 ps",
        weights=weights,
        part="incoherent",
        origin_step=1,
        **WHOLE,
    )
    shells = allowed_wavevectors(small.cell.values, 4, 0.5)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(small.cell.values).T)
    phase = np.exp(1j * small.position.values @ Q.T)
    lags = [
        np.einsum("j,tjq->q", w2, phase[n:] * phase[: 24 - n].conj()).real / (24 - n)
        for n in range(23)
    ]
    exact = (
        np.stack(
            [
                np.array(lags)[:, shells.shell == s].mean(axis=1)
                for s in range(shells.Q.size)
            ]
        )
        / w2.sum()
    )
    np.testing.assert_allclose(found.F.values, exact, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.F.isel(time=0).values, 1, rtol=1e-9)


def test_S_is_the_transform_of_F_and_integrates_to_Sq(small: xr.Dataset) -> None:
    F = small.bp.intermediate_scattering_function(
        4, 0.5, time_max="1.15 ps", weights="unit", **WHOLE
    ).F
    s = small.bp.dynamic_structure_factor(
        4,
        0.5,
        weights="unit",
        taper="boxcar",
        resolution="3 meV",
        folding=None,
        **WHOLE,
    )
    t = F.time.values
    # A boxcar's autocorrelation is a triangle; a Gaussian of FWHM w in E is one of σ_t = ħ/σ_E in t.
    sigma = 3 / np.sqrt(8 * np.log(2))
    lag = F.values * (1 - np.arange(24) / 24) * np.exp(-((t * sigma / HBAR) ** 2) / 2)
    even = 2 * np.cos(np.outer(s.E.values, t) / HBAR)
    even[:, 0] = 1
    np.testing.assert_allclose(
        s.S.values, lag @ even.T * 0.05 / H, rtol=1e-6, atol=1e-9
    )
    both_sides = 2 * s.S.sum("E") - s.S.isel(E=0) - s.S.isel(E=-1)
    np.testing.assert_allclose(
        (both_sides * (s.E[1] - s.E[0])).values, s.Sq.values, rtol=1e-9
    )


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 8])
def test_hann_segments_are_welchs(
    small: xr.Dataset, tasks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        run, "_MIN_TASKS", tasks
    )  # all segments in one task, or each in its own
    s = small.bp.dynamic_structure_factor(
        4, 0.5, weights="unit", window="0.4 ps", precision="double"
    )
    shells = allowed_wavevectors(small.cell.values, 4, 0.5)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(small.cell.values).T)
    rho = np.exp(1j * small.position.values @ Q.T).sum(axis=1)
    taper = np.sin(np.pi * np.arange(8) / 8) ** 2
    each = []
    for start in (0, 4, 8, 12, 16):
        power = np.abs(np.fft.fft(taper[:, None] * rho[start : start + 8], axis=0)) ** 2
        power = (power + power[-np.arange(8)])[:5] / 2
        each.append(
            [power[:, shells.shell == i].mean(axis=1) for i in range(shells.Q.size)]
        )
    values = np.array(each) * 0.05 / (H * (taper**2).sum() * 40)
    np.testing.assert_allclose(s.S.values, values.mean(axis=0), rtol=1e-6, atol=1e-9)
    overlap = ((taper[4:] * taper[:4]).sum() / (taper**2).sum()) ** 2
    assert overlap == pytest.approx(1 / 36, rel=1e-9)
    std = run.Moments.of({"S": values}).std("S", overlap)
    np.testing.assert_allclose(s.S_std.values, std, rtol=1e-5, atol=1e-9)


@pytest.mark.slow
def test_currents_are_projections(small: xr.Dataset) -> None:
    found = small.bp.current_spectra(4, 0.5, weights="mass", taper="boxcar", **WHOLE)
    shells = allowed_wavevectors(small.cell.values, 4, 0.5)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(small.cell.values).T)
    direction = Q / np.linalg.norm(Q, axis=1)[:, None]
    phase = np.exp(1j * small.position.values @ Q.T)
    j = np.einsum("j,tjc,tjq->tqc", small.mass.values, small.velocity.values, phase)
    along = np.einsum("tqc,qc->tq", j, direction)
    across = j - along[..., None] * direction
    norm = (small.mass.values**2).sum()
    for name, parts, share in (("C_L", along[..., None], 1.0), ("C_T", across, 0.5)):
        power = np.zeros((24, len(Q)))
        for c in range(parts.shape[-1]):
            spectrum = np.abs(np.fft.fft(parts[..., c], axis=0)) ** 2
            power += share * (spectrum + spectrum[-np.arange(24)]) / 2
        exact = np.stack(
            [power[:13, shells.shell == s].mean(axis=1) for s in range(shells.Q.size)]
        )
        np.testing.assert_allclose(
            found[name].values, exact * 0.05 / (H * 24 * norm), rtol=1e-6, atol=1e-9
        )
    assert found.C_L.attrs["units"] == "angstrom**2/meV/ps**2"


@pytest.mark.slow
def test_an_ideal_gas_is_gaussian() -> None:
    gas = models.ideal_gas(
        300, 1000, cell=14, T="300 K", mass="40 u", time_step="20 fs", rng=4
    )
    v = np.sqrt(constants.BOLTZMANN * 300 / 40)
    for part in ("coherent", "incoherent"):
        s = gas.bp.dynamic_structure_factor(
            4, 0.25, window="5 ps", weights="unit", part=part, E_max=20
        ).isel(Q=slice(4, None))
        width = HBAR * s.Q * v
        exact = np.exp(-(s.E**2) / (2 * width**2)) / (np.sqrt(2 * np.pi) * width)
        inside = exact > 0.02
        if part == "coherent":
            pull = ((s.S - exact) / s.S_std).where(inside)
            assert abs(float(pull.mean())) < 0.5
            assert 0.5 < float(pull.std()) < 1.6
            np.testing.assert_allclose(s.Sq.values, 1, atol=5 * float(s.Sq_std.max()))
        else:
            # Shells have a width, velocities are a sample; there is no other noise in it.
            xr.testing.assert_allclose(
                s.S.where(inside), exact.where(inside).transpose("Q", "E"), rtol=0.12
            )
            np.testing.assert_allclose(s.Sq.values, 1, rtol=1e-9)


@pytest.mark.slow
def test_independent_oscillators_have_their_self_part() -> None:
    solid = models.einstein_solid(
        2000,
        120,
        cell=30,
        energy="8 meV",
        T="300 K",
        mass="60 u",
        time_step="20 fs",
        rng=2,
    )
    F = solid.bp.intermediate_scattering_function(
        4,
        0.5,
        window="2.4 ps",
        weights="unit",
        part="incoherent",
        max_wavevectors_per_shell=100,
    ).F
    omega = 8 / HBAR
    u2 = constants.BOLTZMANN * 300 / 60 / omega**2
    exact = np.exp(-(F.Q**2) * u2 * (1 - np.cos(omega * F.time)))
    assert float(exact.min()) < 0.6
    np.testing.assert_allclose(F.values, exact.transpose(*F.dims).values, rtol=0.02)


@pytest.mark.slow
def test_the_chain_has_its_phonon_where_theory_has_it() -> None:
    n, a = 64, 3.0
    chain = models.harmonic_chain(
        n,
        4000,
        spacing=a,
        energy_max="20 meV",
        T="5 K",
        mass="40 u",
        time_step="25 fs",
        rng=5,
    )
    # Along the chain only: the cell is so narrow that no other wave vector is as short.
    s = chain.bp.dynamic_structure_factor(
        0.9, 2 * np.pi / (n * a), window="20 ps", weights="unit", E_max=25
    )
    E0 = 20 * np.abs(np.sin(s.Q * a / 2))
    for i in range(1, s.sizes["Q"]):
        spectrum = s.S.isel(Q=i, E=slice(2, None))
        assert float(spectrum.E[spectrum.argmax("E")]) == pytest.approx(
            float(E0[i]), abs=0.21
        )
    # The weight of the line, Q² k_BT/2mΩ² on each side, within the scatter of the one amplitude it has.
    omega = E0 / HBAR
    weight = (s.S * (s.E[1] - s.E[0])).isel(E=slice(2, None)).sum("E") / (
        s.Q**2 * constants.BOLTZMANN * 5 / (2 * 40 * omega**2)
    )
    assert float(weight.isel(Q=slice(1, None)).mean()) == pytest.approx(1, abs=0.35)


@pytest.mark.slow
def test_continuity_ties_the_longitudinal_current_to_the_density() -> None:
    gas = models.ideal_gas(
        100, 800, cell=14, T="300 K", mass="40 u", time_step="10 fs", rng=4
    )
    arguments = {
        "window": "8 ps", "weights": "unit", "E_max": 8, "precision": "double",
        "max_wavevectors_per_shell": 30,
    }  # fmt: skip
    s = gas.bp.dynamic_structure_factor(3, 0.25, **arguments)
    c = gas.bp.current_spectra(3, 0.25, **arguments)
    ratio = (c.C_L / ((s.E / HBAR) ** 2 / s.Q**2 * s.S)).isel(
        Q=slice(6, None), E=slice(5, None)
    )
    np.testing.assert_allclose(ratio.values, 1, atol=0.1)
    assert float(ratio.mean()) == pytest.approx(1, abs=0.02)
    transverse = (c.C_T / c.C_L).isel(Q=slice(6, None), E=slice(5, 9))
    assert (
        float(np.abs(transverse - 1).mean()) > 0.1
    )  # which a mix-up of the two would not pass


def test_a_breathing_and_shearing_cell_keeps_its_wave_vectors(
    small: xr.Dataset,
) -> None:
    """In NPT the scaled coordinates decide: an affine change of cell and atoms changes nothing."""
    swing = 0.02 * np.sin(2 * np.pi * np.arange(24) / 24)[:, None, None]
    change = np.eye(3) + swing * np.array([[1, 0.4, 0], [0, -1, 0], [0, 0.3, 0.5]])
    moved = small.copy()
    moved["cell"] = (
        ("time", "vector", "xyz"),
        small.cell.values @ change,
        {"units": "angstrom"},
    )
    moved["position"] = small.position.copy(data=small.position.values @ change)
    a = small.bp.intermediate_scattering_function(3, 0.5, weights="unit", **WHOLE)
    b = moved.bp.intermediate_scattering_function(3, 0.5, weights="unit", **WHOLE)
    np.testing.assert_allclose(a.Q.values, b.Q.values)
    np.testing.assert_allclose(a.F.values, b.F.values, rtol=1e-6, atol=1e-8)


def test_wrapped_positions_give_the_same(small: xr.Dataset) -> None:
    scaled = small.position.values @ np.linalg.inv(small.cell.values)
    wrapped = small.assign(
        position=small.position.copy(data=(scaled % 1) @ small.cell.values)
    )
    a = small.bp.dynamic_structure_factor(3, 0.5, **WHOLE)
    b = wrapped.bp.dynamic_structure_factor(3, 0.5, **WHOLE)
    np.testing.assert_allclose(a.S.values, b.S.values, rtol=1e-7, atol=1e-10)
    assert float(a.u2) == pytest.approx(float(b.u2), rel=1e-9)


@pytest.mark.parametrize(
    ("length", "time"), [("nm", "fs"), ("angstrom", "ns"), ("m", "s")]
)
def test_units_of_the_trajectory_and_the_arguments_do_not_matter(
    small: xr.Dataset, length: str, time: str
) -> None:
    to_length = {"nm": 0.1, "angstrom": 1.0, "m": 1e-10}[length]
    to_time = {"fs": 1e3, "ns": 1e-3, "s": 1e-12}[time]
    other = small.copy()
    other["position"] = (
        small.position.dims,
        small.position.values * to_length,
        {"units": length},
    )
    other["cell"] = (small.cell.dims, small.cell.values * to_length, {"units": length})
    other["velocity"] = (
        small.velocity.dims,
        small.velocity.values * to_length / to_time,
        {"units": f"{length}/{time}"},
    )
    other = other.assign_coords(
        time=("time", small.time.values * to_time, {"units": time})
    )
    a = small.bp.current_spectra(
        "4 1/angstrom", "0.5 1/angstrom", window="1.2 ps", E_max="20 meV"
    )
    b = other.bp.current_spectra(
        "40 1/nm", "5 1/nm", window="1200 fs", E_max="4.83598 THz"
    )
    np.testing.assert_allclose(a.C_T.values, b.C_T.values[:, : a.sizes["E"]], rtol=1e-4)
    assert b.E.attrs["units"] == "meV"


def test_the_answer_goes_down_the_chain(small: xr.Dataset) -> None:
    s = small.bp.dynamic_structure_factor(4, 0.5, window="0.4 ps")
    assert s.S.attrs["statistics"] == "classical"
    assert float(s.temperature) == 300
    b = s.bp.to_gdos().bp.to_bqe()
    assert b.B_std.shape == b.B.shape
    moving = {"E": slice(1, None)}  # on the way over G, B(E=0) is not known
    xr.testing.assert_allclose(b.B.isel(moving), s.bp.to_bqe().B.isel(moving))
    assert '"operation": "dynamic_structure_factor"' in b.B.attrs["history"]


def test_a_result_is_archived_identical(small: xr.Dataset, tmp_path: object) -> None:
    s = small.bp.dynamic_structure_factor(4, 0.5, window="0.4 ps", partials=True)
    s.bp.to_netcdf(f"{tmp_path}/s.nc")
    with xr.open_dataset(f"{tmp_path}/s.nc") as back:
        assert back.identical(s)


@pytest.mark.slow
def test_temperature_is_told_by_the_velocities() -> None:
    gas = models.ideal_gas(
        4000, 8, cell=40, T="250 K", mass="40 u", time_step="20 fs", rng=4
    )
    s = gas.drop_vars("temperature").bp.structure_factor(0.5, 0.1)
    assert float(s.temperature) == pytest.approx(250, rel=0.03)
    assert (
        "temperature"
        not in gas.drop_vars(["temperature", "velocity"])
        .bp.structure_factor(0.5, 0.1)
        .coords
    )
    with pytest.raises(xbp.errors.TemperatureError, match="contradicts"):
        gas.bp.structure_factor(0.5, 0.1, T="300 K")


def test_one_window_has_no_std(small: xr.Dataset) -> None:
    assert "S_std" not in small.bp.dynamic_structure_factor(3, 0.5, **WHOLE)


def test_progress_is_shown_when_asked_for(
    small: xr.Dataset,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr("xbp.md.run._TASK_BYTES", 1)
    small.bp.dynamic_structure_factor(3, 0.5, window="0.4 ps", progress=True)
    assert "xbp, tasks: 5" in capsys.readouterr().err
    small.bp.dynamic_structure_factor(3, 0.5, window="0.4 ps")
    assert capsys.readouterr().err == ""


def test_new_trajectory_is_one() -> None:
    traj = new_trajectory(
        np.zeros((2, 1, 3)), time=[0, 1], cell=np.eye(3), mass=[1.0], element=["H"]
    )
    assert traj.attrs["quantity"] == "trajectory"
    assert traj.element.dims == ("atom",)


@pytest.mark.slow
def test_complex_scattering_lengths_weigh_pairs_by_their_product(
    small: xr.Dataset,
) -> None:
    traj = small.assign_coords(
        element=("atom", np.where(small.element == "Zr", "Gd", "Cu"))
    )
    given = {"Gd": 9.5 - 13.8j}
    for call, window in (
        (traj.bp.structure_factor, {}),
        (traj.bp.dynamic_structure_factor, {"window": "0.6 ps"}),
        (traj.bp.intermediate_scattering_function, {"window": "0.6 ps"}),
    ):
        with pytest.raises(QuantityError, match="Gd"):
            call(2, 0.5, **window)
    with pytest.raises(QuantityError, match="Gd"):
        traj.bp.vdos(window="0.6 ps", weights="neutron")
    b = np.where(traj.element == "Gd", given["Gd"], 7.718)
    shells = allowed_wavevectors(small.cell.values, 2, 0.5)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(small.cell.values).T)
    rho = np.einsum(
        "j,tjq->tq", b, np.exp(1j * np.einsum("tjc,qc->tjq", small.position.values, Q))
    )
    # −Q counts too: there the density of complex weights is not the conjugate.
    back = np.einsum(
        "j,tjq->tq", b, np.exp(-1j * np.einsum("tjc,qc->tjq", small.position.values, Q))
    )
    power = ((np.abs(rho) ** 2 + np.abs(back) ** 2) / 2).mean(axis=0) / (
        np.abs(b) ** 2
    ).sum()
    exact = np.bincount(shells.shell, power) / np.bincount(shells.shell)
    found = traj.bp.structure_factor(2, 0.5, b=given, precision="double")
    np.testing.assert_allclose(found.Sq, exact, rtol=1e-6)
    parts = traj.bp.structure_factor(2, 0.5, b=given, precision="double", partials=True)
    np.testing.assert_allclose((parts.Sq * parts.weight).sum("pair"), exact, rtol=1e-6)
    fz = traj.bp.structure_factor(
        2, 0.5, b=given, precision="double", normalization="faber-ziman"
    )
    square, mean = (np.abs(b) ** 2).mean(), abs(b.mean()) ** 2
    np.testing.assert_allclose(fz.Sq, 1 + (exact - 1) * square / mean, rtol=1e-6)
    # In time the unit-weight sums of pairs add up in the same way.
    real = traj.assign_coords(
        element=("atom", np.where(traj.element == "Gd", "Zr", "Cu"))
    )
    n = {symbol: int((traj.element == symbol).sum()) for symbol in ("Cu", "Gd")}
    weigh = {"Cu-Cu": 7.718**2, "Cu-Gd": 2 * 7.718 * 9.5, "Gd-Gd": 9.5**2 + 13.8**2}
    pairs = np.array(list(weigh.values())) * len(b) / (np.abs(b) ** 2).sum()
    assert n["Cu"] * n["Gd"] > 0
    for name, call in (
        ("S", "dynamic_structure_factor"),
        ("F", "intermediate_scattering_function"),
    ):
        asked = {"window": "0.6 ps", "precision": "double", "folding": None}
        asked = asked if name == "S" else {"window": "0.6 ps", "precision": "double"}
        total = getattr(traj.bp, call)(2, 0.5, b=given, **asked)[name]
        number = getattr(real.bp, call)(
            2, 0.5, weights="unit", partials=True, normalization="number", **asked
        )[name]
        assert number.pair.values.tolist() == ["Cu-Cu", "Cu-Zr", "Zr-Zr"]
        np.testing.assert_allclose(
            total.values,
            np.tensordot(pairs, number.values, axes=1),
            rtol=1e-6,
            atol=1e-9 * float(abs(total).max()),
        )
    with pytest.raises(QuantityError, match="complex"):
        traj.bp.current_spectra(2, 0.5, window="0.6 ps", weights="neutron", b=given)
    with pytest.raises(QuantityError, match="b="):
        traj.bp.structure_factor(2, 0.5, b=given, weights="unit")
