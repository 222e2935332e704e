"""Spectra of Bloch modes: sum rules, the primitive cell, g(E) at Γ, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from tests.md.lattice.crystals import A, M, fcc, primitive, second_derivatives
from xbp.core import constants
from xbp.core.operation import next_steps
from xbp.errors import (
    CoordinateError,
    FileFormatError,
    QuantityError,
    RangeError,
    SimulationError,
)
from xbp.md import lattice


def rest(
    mass: np.ndarray | float = M, symbols: tuple[str, ...] = ("Ar",)
) -> xr.Dataset:
    position, cell = fcc(3)
    elements = np.array([symbols[i % len(symbols)] for i in range(108)])
    masses = np.broadcast_to(mass, 108)
    return xbp.md.new_trajectory(
        position[None], time=[0.0], cell=cell, element=elements, mass=masses
    )


def springs(configuration: xr.Dataset) -> xr.Dataset:
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell)
    return lattice.new_force_constants(matrix, configuration)


@pytest.fixture(scope="module")
def alloy() -> xr.Dataset:
    """Return a crystal of springs with two elements of different masses at random."""
    rng = np.random.default_rng(3)
    heavy = rng.random(108) < 0.5
    mass = np.where(heavy, 91.2, 27.0)
    one = rest(mass).assign_coords(element=("atom", np.where(heavy, "Zr", "Al")))
    return springs(one)


@pytest.fixture(scope="module")
def modes(alloy: xr.Dataset) -> xr.Dataset:
    return alloy.bp.bloch_modes(
        n_wavevectors=8, Q_max=5, dQ=0.25, dE="1 meV", strain=True, cutoff=3.4,
        precision="double", max_wavevectors_per_shell=6,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("T", [5.0, 300.0])
def test_f_sum_with_debye_waller_factors(modes: xr.Dataset, T: float) -> None:
    """∫E S dE over both sides is Σ w² e^{−Q²u²} ħ²Q²/2m, at every Q."""
    sqe = modes.bp.bloch_structure_factor(T, weights="neutron")
    E, Q = sqe.E, sqe.Q
    # Detailed balance gives the side E < 0.
    both = 1 - np.exp(-E / (constants.BOLTZMANN_MEV * T))
    found = (sqe.S * E * both).sum("E") * 1.0
    table = xbp.md.weights.neutron_table(np.array(["Al", "Zr"]))
    b2 = np.array([table[s][0].real ** 2 for s in ("Al", "Zr")])
    element = modes["element"].values
    counts = np.array([(element == s).sum() for s in ("Al", "Zr")])
    u2 = own_u2(modes, T)
    recoil = constants.HBAR2_OVER_2U / np.array([27.0, 91.2])
    damping = np.exp(-(Q.values[:, None] ** 2) * u2)
    wanted = Q**2 * ((counts * b2 * recoil * damping).sum(1) / (counts @ b2))
    seen = np.isfinite(found)
    assert seen.sum() >= 18
    # The strengths are kept in single precision.
    np.testing.assert_allclose(found[seen], wanted[seen], rtol=2e-6)
    mean = (counts * b2 * u2).sum() / (counts @ b2)
    assert float(sqe.u2) == pytest.approx(mean, rel=1e-10)


def own_u2(modes: xr.Dataset, T: float) -> np.ndarray:
    """Return u² of Al and Zr by a sum over all modes, one after the other."""
    stratum, share = modes.stratum.values, modes.stratum_share.values
    weight = share / np.array([(stratum == s).sum() for s in stratum])
    weight /= weight.sum()
    found = []
    for species, mass in (("Al", 27.0), ("Zr", 91.2)):
        n = (modes["element"] == species).sum()
        total = 0.0
        for i in range(modes.sizes["k"]):
            E = modes.mode_energy.values[i]
            e2 = modes.species_share.sel(species=species).values[i]
            own = constants.HBAR2_OVER_2U / mass * e2 / E
            total += weight[i] * (own / np.tanh(E / (2 * 0.0861733326 * T))).sum()
        found.append(total / (3 * float(n)))
    return np.array(found)


@pytest.mark.slow
def test_b_depends_neither_on_temperature_nor_on_statistics(modes: xr.Dataset) -> None:
    kinds = [
        {"T": 10.0, "statistics": "quantum"},
        {"T": 300.0, "statistics": "quantum"},
        {"T": 300.0, "statistics": "classical"},
    ]
    several = [
        modes.bp.bloch_structure_factor(debye_waller=False, **kind).bp.to_bqe().B
        for kind in kinds
    ]
    np.testing.assert_allclose(several[1], several[0], rtol=1e-10)
    np.testing.assert_allclose(several[2], several[0], rtol=1e-10)


def test_partials_add_up_to_the_total(modes: xr.Dataset) -> None:
    total = modes.bp.bloch_structure_factor(100)
    partial = modes.bp.bloch_structure_factor(100, partials=True)
    assert partial.pair.values.tolist() == ["Al-Al", "Al-Zr", "Zr-Zr"]
    for name in ("S", "Sq"):
        added = (partial[name] * partial.weight).sum("pair", skipna=False)
        np.testing.assert_allclose(
            added.transpose(*total[name].dims), total[name], rtol=1e-10, atol=1e-12
        )


@pytest.mark.slow
def test_complex_scattering_lengths_of_modes(alloy: xr.Dataset) -> None:
    """Pairs count by Re(b_a b_b*), u² by |b|²; without b= the element is refused."""
    wanted = {"n_wavevectors": 4, "Q_max": 4, "dQ": 0.5, "dE": "2 meV"}
    made = alloy.assign_coords(
        element=("atom", np.where(alloy.element == "Zr", "Gd", "Al"))
    ).bp.bloch_modes(max_wavevectors_per_shell=4, **wanted)
    with pytest.raises(QuantityError, match="Gd"):
        made.bp.bloch_structure_factor(20, weights="neutron")
    b = {"Al": 3.449, "Gd": 9.5 - 13.8j}
    found = made.bp.bloch_structure_factor(20, weights="neutron", b=b)
    number = made.bp.bloch_structure_factor(
        20, weights="unit", partials=True, normalization="number"
    )
    assert number.pair.values.tolist() == ["Al-Al", "Al-Gd", "Gd-Gd"]
    n_Gd = int((made.element == "Gd").sum())
    square = (n_Gd * (9.5**2 + 13.8**2) + (108 - n_Gd) * 3.449**2) / 108
    pairs = np.array([3.449**2, 2 * 9.5 * 3.449, 9.5**2 + 13.8**2]) / square
    for name in ("S", "Sq"):
        exact = np.tensordot(pairs, number[name].values, axes=1)
        np.testing.assert_allclose(found[name].values, exact, rtol=1e-6)
    own = own_u2(made.assign_coords(element=alloy.element, species=["Al", "Zr"]), 20)
    share = n_Gd * (9.5**2 + 13.8**2) / (108 * square)
    assert float(found.u2) == pytest.approx((1 - share) * own[0] + share * own[1])


def test_scattering_of_the_primitive_cell() -> None:
    """One k of the box, against the three modes that have each wave vector."""
    k = [[0.21, -0.4, 0.13]]
    one = springs(rest()).bp.bloch_modes(
        k=k, Q_max=3, dQ=0.5, dE="1 meV", precision="double",
        max_wavevectors_per_shell=None,
    )  # fmt: skip
    sqe = one.bp.bloch_structure_factor(300, weights="unit", debye_waller=False)
    reciprocal = 2 * np.pi / (3 * A)
    steps = np.stack(np.meshgrid(*[np.arange(-7, 8)] * 3, indexing="ij"), -1)
    Q = (np.array(k) + steps.reshape(-1, 3)) * reciprocal
    length = np.linalg.norm(Q, axis=1)
    for shell in range(1, 6):
        some = Q[(length >= 0.5 * shell) & (length < 0.5 * (shell + 1))]
        wanted = np.zeros(sqe.sizes["E"])
        for q in some:
            energy, e = primitive(q)
            weight = (q @ e) ** 2 / (q @ q) / M
            np.add.at(wanted, np.floor(energy).astype(int), weight / len(some))
        E, T, centre = sqe.E.values, 300.0, float(sqe.Q[shell])
        occupied = 1 / (1 - np.exp(-E / (constants.BOLTZMANN_MEV * T)))
        wanted *= constants.HBAR2_OVER_2U * centre**2 / E * occupied
        np.testing.assert_allclose(sqe.S[shell], wanted, rtol=2e-6, atol=1e-12)


def test_currents_are_tied_to_the_density(modes: xr.Dataset) -> None:
    currents = modes.bp.bloch_currents(200)
    sqe = modes.bp.bloch_structure_factor(
        200, weights="unit", statistics="classical", debye_waller=False
    )
    wanted = (sqe.E / constants.HBAR / sqe.Q) ** 2 * sqe.S
    np.testing.assert_allclose(currents.C_L, wanted.transpose("Q", "E"), rtol=1e-10)
    # The areas are those of the velocities: k_BT/m of each direction, over both sides.
    speed = constants.BOLTZMANN * 200 * (1 / modes.mass).mean()
    for name in ("C_L", "C_T"):
        area = 2 * currents[name].sum("E").values[1:]
        np.testing.assert_allclose(area, float(speed), rtol=2e-6)
    assert currents.attrs["number_density"] == pytest.approx(4 / A**3)


def test_strain_spectra_are_normalized(modes: xr.Dataset) -> None:
    for field in ("volumetric_strain", "shear_strain"):
        found = modes.bp.bloch_fluctuations(field, T=50)
        area = 2 * found.Omega.sum("E").values[1:]
        np.testing.assert_allclose(area, 1, rtol=1e-6)
        doubled = modes.bp.bloch_fluctuations(field, T=100).phi
        np.testing.assert_allclose(doubled, 2 * found.phi, rtol=1e-10)
    with pytest.raises(QuantityError, match="field"):
        modes.bp.bloch_fluctuations("coordination")


def test_g_at_gamma_is_that_of_the_box(alloy: xr.Dataset) -> None:
    gamma = alloy.bp.bloch_modes(k=[[0, 0, 0]], Q_max=None, precision="double")
    first = alloy["first"].values, alloy["second"].values
    matrix = np.zeros((108, 3, 108, 3))
    root = np.sqrt(alloy["mass"].values)
    weight = (
        alloy["force_constant"].values
        / (root[first[0]] * root[first[1]])[:, None, None]
    )
    np.add.at(matrix, (first[0], slice(None), first[1], slice(None)), weight)
    squares = np.linalg.eigvalsh(matrix.reshape(324, 324))[3:]
    energy = constants.HBAR_ROOT_EV_PER_U * np.sqrt(squares)
    np.testing.assert_allclose(gamma.mode_energy[0, 3:], energy, rtol=1e-8)
    g = gamma.bp.bloch_vdos("1 meV").g
    counts = np.histogram(energy, np.arange(g.size + 1))[0]
    np.testing.assert_allclose(g, counts / 321, atol=1e-12)


def test_partial_densities_of_states_add_up(modes: xr.Dataset) -> None:
    total, partial = (modes.bp.bloch_vdos("2 meV", partials=p) for p in (False, True))
    np.testing.assert_allclose(partial.g.sum("element"), total.g, atol=1e-12)
    assert total.g.attrs["area"] == pytest.approx(1)
    shares = partial.g.sum("E") * 2
    element = modes["element"].values
    for symbol in ("Al", "Zr"):
        assert float(shares.sel(element=symbol)) == pytest.approx(
            np.mean(element == symbol), rel=1e-10
        )
    ratio = total.participation_ratio
    assert (ratio[np.isfinite(ratio)] <= 1).all()


@pytest.mark.slow
def test_debye_level_is_that_of_the_sound_velocities() -> None:
    """g/E² of long waves is 3/E_D³, with the velocities of the springs."""
    phi = springs(rest())
    long = phi.bp.bloch_modes(n_wavevectors=60, Q_max=None, inner=0.6, rng=5)
    inside = long.isel(k=long.stratum.values == 1)
    # In the sphere about Γ all of the lowest modes lie within it.
    radius = 0.6 * np.pi / (3 * A)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    speed = np.stack([primitive(1e-3 * d)[0] / 1e-3 for d in directions])  # meV Å
    n = 4 / A**3
    level = (1 / speed**3).mean(axis=0).sum() / (2 * np.pi**2 * 3 * n)
    top = 0.9 * radius * speed.min()
    # Modes below `top` in the sphere, per volume of the zone.
    energy = inside.mode_energy.values
    share = float(inside.stratum_share[0])
    found = share * (energy < top).sum(axis=1).mean() / 324
    counted = share * np.sqrt((energy < top).sum()) / 324 / inside.sizes["k"]
    assert abs(found - level * top**3 / 3) < 3 * counted + 0.02 * found


@pytest.mark.slow
def test_a_run_goes_on_where_it_was_killed(tmp_path: Path, alloy: xr.Dataset) -> None:
    out = tmp_path / "modes.nc"
    arguments = {"Q_max": 2, "dQ": 0.5, "dE": "1 meV"}
    whole = alloy.bp.bloch_modes(n_wavevectors=3, **arguments)
    found = alloy.bp.bloch_modes(out, 3, **arguments)
    xr.testing.assert_identical(found.drop_attrs(), whole.drop_attrs())
    opened = xbp.open_dataset(out)
    xr.testing.assert_identical(opened.bp.bloch_vdos(), whole.bp.bloch_vdos())
    with pytest.raises(FileFormatError, match="exists"):
        alloy.bp.bloch_modes(out, 3, **arguments)
    out.unlink()
    # A run that is stopped leaves two k.
    folder = tmp_path / "modes.nc.run"
    with pytest.raises(KeyboardInterrupt):
        interrupted(alloy, out, arguments)
    assert sorted(p.name for p in folder.glob("k*.npz")) == ["k0000.npz", "k0001.npz"]
    before = (folder / "k0000.npz").stat().st_mtime_ns
    with pytest.raises(SimulationError, match="unfinished"):
        alloy.bp.bloch_modes(out, 4, **arguments)
    assert (folder / "k0000.npz").stat().st_mtime_ns == before
    again = alloy.bp.bloch_modes(out, 3, **arguments)
    xr.testing.assert_identical(again.drop_attrs(), whole.drop_attrs())
    assert not folder.exists()


def interrupted(phi: xr.Dataset, out: Path, arguments: dict[str, object]) -> None:
    """Stop a run after two wave vectors, as Ctrl-C does."""
    original = lattice.run.mode_strengths
    calls = []

    def stopping(*args: object) -> object:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return original(*args)

    lattice.run.mode_strengths = stopping
    try:
        phi.bp.bloch_modes(out, 3, **arguments)
    finally:
        lattice.run.mode_strengths = original


@pytest.mark.slow
def test_processes_give_the_same(alloy: xr.Dataset) -> None:
    one, two = (
        alloy.bp.bloch_modes(
            n_wavevectors=3, Q_max=1, dQ=0.5, precision="double", processes=n
        )
        for n in (1, 2)
    )
    xr.testing.assert_allclose(two, one, rtol=1e-6)


@pytest.mark.slow
def test_errors_are_those_of_other_draws() -> None:
    """The scatter of g(E) over seeds is what `g_std` says."""
    phi = springs(rest())
    many = [
        phi.bp.bloch_modes(n_wavevectors=12, Q_max=None, rng=s).bp.bloch_vdos("3 meV")
        for s in range(20)
    ]
    values = np.array([one.g.values for one in many])
    stated = np.array([one.g_std.values for one in many])
    seen = values.mean(axis=0) > 1e-3
    ratio = values.std(axis=0, ddof=1)[seen] / np.sqrt((stated**2).mean(axis=0))[seen]
    # Never too small; the modes of a crystal are more even than the count says.
    assert (ratio < 1.3).all()


@pytest.mark.slow
def test_jackknife_of_a_mean_is_its_error(modes: xr.Dataset) -> None:
    table = lattice.jackknife(modes, lambda m: m.bp.bloch_vdos("4 meV"))
    few = [
        modes.isel(k=[i for i in range(8) if i != out]).bp.bloch_vdos("4 meV").g.values
        for out in range(8)
    ]
    stratum = modes.stratum.values
    variance = 0.0
    for part in (0, 1):
        some = np.array(few)[stratum == part]
        n = len(some)
        variance = variance + (n - 1) / n * ((some - some.mean(axis=0)) ** 2).sum(0)
    np.testing.assert_allclose(table.g_std, np.sqrt(variance), rtol=1e-10)
    one = modes.isel(k=[0])
    with pytest.raises(QuantityError, match="one wave vector"):
        lattice.jackknife(one, lambda m: m.bp.bloch_vdos())


def test_parts_of_the_zone_with_as_many_wave_vectors_are_told_apart(
    modes: xr.Dataset,
) -> None:
    """The scatter of two inner and two outer k is within each part, not between."""
    stratum = modes.stratum.values
    few = [*np.flatnonzero(stratum == 1)[:2], *np.flatnonzero(stratum == 0)[:2]]
    four = modes.isel(k=few)
    table = lattice.jackknife(four, lambda m: m.bp.bloch_vdos("4 meV"))
    left_out = [
        four.isel(k=[i for i in range(4) if i != out]).bp.bloch_vdos("4 meV").g.values
        for out in range(4)
    ]
    variance = sum(
        0.5 * ((pair - pair.mean(axis=0)) ** 2).sum(axis=0)
        for pair in (np.stack(left_out[:2]), np.stack(left_out[2:]))
    )
    np.testing.assert_allclose(table.g_std, np.sqrt(variance), rtol=1e-10)


def test_next_steps_are_those_the_modes_allow(alloy: xr.Dataset) -> None:
    energies = alloy.bp.bloch_modes(n_wavevectors=1, Q_max=None)
    assert next_steps(energies, "bloch_modes") == [".bp.bloch_vdos()"]
    full = alloy.bp.bloch_modes(n_wavevectors=1, Q_max=1)
    assert ".bp.bloch_fluctuations(…)" not in next_steps(full, "bloch_modes")


def test_replicates_have_the_bins_of_all(alloy: xr.Dataset) -> None:
    """The highest mode is at one k alone: without it g(E) keeps its axis."""
    modes = alloy.bp.bloch_modes(n_wavevectors=4, Q_max=None)
    energy = modes.mode_energy.values
    energy[2] *= 1.3
    modes.attrs["highest_energy"] = float(energy.max())
    table = lattice.jackknife(modes, lambda m: m.bp.bloch_vdos("1 meV"))
    assert table.g_std.sizes == table.g.sizes
    assert float(table.g_std[-1]) > 0


@pytest.mark.slow
def test_jackknife_of_a_table_has_no_other_errors(modes: xr.Dataset) -> None:
    """Columns without units pass, and errors in common are those of the scatter."""

    def peak(m: xr.Dataset) -> xr.Dataset:
        B = m.bp.bloch_structure_factor(300).bp.to_bqe()
        return B.bp.fit_bqe(B.Sq, "free", Q_range=(2, 5))

    table = lattice.jackknife(modes, peak)
    assert "holds_std" in table
    fitted = modes.bp.bloch_vdos("2 meV").bp.to_bqe().bp.boson_peak(E_range=(2, 30))
    fitted["energy_std_common"] = ("source", [0.1])
    found = lattice.jackknife(modes, lambda m: fitted)
    assert not [n for n in found.variables if "common" in str(n) or n == "source"]


@pytest.mark.slow
def test_several_glasses_count_alike(alloy: xr.Dataset) -> None:
    # The same springs in other places stand for other glasses.
    draws = [
        alloy.assign(position=alloy.position + 0.01 * n).bp.bloch_modes(
            n_wavevectors=n, Q_max=2, dQ=0.5, dE="1 meV", rng=n
        )
        for n in (2, 5, 3)
    ]
    joined = lattice.join_modes(*draws)
    assert joined.glass.values.tolist() == [0] * 2 + [1] * 5 + [2] * 3
    g = joined.bp.bloch_vdos("5 meV")
    each = np.array([one.bp.bloch_vdos("5 meV").g.values for one in draws])
    np.testing.assert_allclose(g.g, each.mean(axis=0), rtol=1e-10)
    table = lattice.jackknife(joined, lambda m: m.bp.bloch_vdos("5 meV"))
    spread = each.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(table.g_std, spread, rtol=1e-8, atol=1e-15)
    one, two = (
        alloy.bp.bloch_modes(n_wavevectors=2, Q_max=2, dQ=0.5, dE="1 meV", rng=n)
        for n in (1, 2)
    )
    same = lattice.join_modes(one, two, same_glass=True)
    assert np.unique(same.glass).size == 1
    # Counted twice, modes would have errors that are too small.
    other = draws[0]
    for modes, kind in (
        ((one, one), True),
        ((one, one), False),
        ((one, two), False),
        ((other, one, two), False),
    ):
        with pytest.raises(CoordinateError, match="twice"):
            lattice.join_modes(*modes, same_glass=kind)
    with pytest.raises(CoordinateError, match="different glasses"):
        lattice.join_modes(*draws, same_glass=True)
    with pytest.raises(QuantityError):
        lattice.join_modes(3)
    other = alloy.bp.bloch_modes(n_wavevectors=1, Q_max=1, dQ=0.5)
    with pytest.raises(CoordinateError):
        lattice.join_modes(draws[0], other)


@pytest.mark.slow
def test_modes_up_to_an_energy_have_no_u2(alloy: xr.Dataset) -> None:
    few = alloy.bp.bloch_modes(n_wavevectors=2, Q_max=2, dQ=0.5, E_max="8 meV")
    with pytest.raises(RangeError, match="u2"):
        few.bp.bloch_structure_factor(300)
    strained = alloy.bp.bloch_modes(
        n_wavevectors=1, Q_max=1, dQ=0.5, E_max="8 meV", strain=True, cutoff=3.4
    )
    with pytest.raises(RangeError, match="E_max"):
        strained.bp.bloch_fluctuations("shear_strain")
    part = few.bp.bloch_structure_factor(300, debye_waller=False)
    whole = alloy.bp.bloch_modes(n_wavevectors=2, Q_max=2, dQ=0.5)
    wanted = whole.bp.bloch_structure_factor(300, debye_waller=False)
    np.testing.assert_allclose(
        part.S, wanted.S.isel(E=slice(part.sizes["E"])), rtol=2e-3, atol=1e-7
    )
    g = few.bp.bloch_vdos("1 meV").g
    assert g.attrs["area"] == "unknown"
    with pytest.raises(RangeError, match="wider"):
        few.bp.bloch_vdos("9 meV")


def test_imaginary_modes_are_left_out_and_listed(alloy: xr.Dataset) -> None:
    soft = alloy.copy(deep=True)
    first, second = soft["first"].values, soft["second"].values
    block = soft["force_constant"].values
    # The springs of one atom push it away from its place.
    block[((first == 7) | (second == 7)) & (first != second)] *= -1
    total = np.zeros((soft.sizes["atom"], 3, 3))
    np.add.at(total, first, block)
    block[first == second] -= total[first[first == second]]
    refused = soft.bp.bloch_modes(n_wavevectors=2, Q_max=None)
    with pytest.raises(RangeError, match="imaginary"):
        refused.bp.bloch_vdos("1 meV")
    found = soft.bp.bloch_modes(n_wavevectors=2, Q_max=None, most_imaginary=0.02)
    codes = [one.code for one in found.bp.diagnostics()]
    assert "imaginary_modes" in codes
    n = int((found.mode_energy < -0.1).sum())
    assert n >= 2
    g = found.bp.bloch_vdos("1 meV")
    assert float(g.g.sum()) < 1
    assert "imaginary_modes" in [one.code for one in g.bp.diagnostics()]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"n_wavevectors": 0}, RangeError),
        ({"Q_max": -1}, RangeError),
        ({"dQ": "1 meV"}, xbp.errors.UnitsError),
        ({"precision": "half"}, QuantityError),
        ({"inner": 2}, RangeError),
        ({"k": [0, 0, 0]}, QuantityError),
        ({"k": [[0, 0, np.nan]]}, QuantityError),
        ({"Q_max": None, "strain": True}, QuantityError),
        ({"strain": "yes"}, QuantityError),
        ({"rng": -1}, RangeError),
        ({"max_wavevectors_per_shell": 0}, RangeError),
        ({"processes": 0}, RangeError),
        ({"cutoff": 3}, QuantityError),
    ],
)
def test_wrong_arguments(
    alloy: xr.Dataset, change: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        alloy.bp.bloch_modes(**change)


def test_wrong_matrices() -> None:
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell).toarray()
    with pytest.raises(QuantityError, match="shape"):
        lattice.new_force_constants(matrix[:-3, :-3], rest())
    lopsided = matrix.copy()
    lopsided[0, 5] += 1
    with pytest.raises(QuantityError, match="transpose"):
        lattice.new_force_constants(lopsided, rest())
    matrix[0, 0] = np.nan
    with pytest.raises(QuantityError, match="finite"):
        lattice.new_force_constants(matrix, rest())


def test_what_is_no_box_and_no_matrix() -> None:
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell)
    with pytest.raises(QuantityError, match="leave their plane"):
        lattice.new_force_constants(matrix, rest().assign_attrs(dimension=2))
    with pytest.raises(RangeError, match="open"):
        lattice.new_force_constants(matrix, rest().assign_attrs(periodic="110"))
    for wrong in ("abc", matrix * 1j, matrix.toarray() * 1j, matrix * 0):
        with pytest.raises(QuantityError):
            lattice.new_force_constants(wrong, rest())


@pytest.mark.slow
def test_no_modes_below_an_energy_and_a_glass_at_a_maximum(alloy: xr.Dataset) -> None:
    few = alloy.bp.bloch_modes(k=[[0.3, 0.2, 0.1]], Q_max=2, dQ=0.5, E_max="0.01 meV")
    assert few.sizes["mode"] == 0
    assert float(few.strength.sum()) == 0
    top = alloy.assign(force_constant=-alloy["force_constant"])
    top["force_constant"].attrs = alloy["force_constant"].attrs
    with pytest.raises(RangeError, match=r"minimum|imaginary"):
        top.bp.bloch_modes(n_wavevectors=1, Q_max=2, dQ=0.5).bp.bloch_vdos()


def test_what_is_no_modes_and_no_function(alloy: xr.Dataset) -> None:
    modes = alloy.bp.bloch_modes(n_wavevectors=2, Q_max=None)
    for wrong in (3, lambda m: 3):
        with pytest.raises(QuantityError, match="function"):
            lattice.jackknife(modes, wrong)
    with pytest.raises(QuantityError, match="no modes"):
        modes.assign(mode_energy=modes.mode_energy * np.nan).bp.bloch_vdos()
    with pytest.raises(QuantityError, match="no modes"):
        modes.drop_attrs().assign_attrs(quantity="bloch_modes").bp.bloch_vdos()


def test_units_and_masses_of_a_matrix() -> None:
    position, cell = fcc(3)
    matrix = second_derivatives(position, cell)
    plain = springs(rest())
    other = lattice.new_force_constants(
        matrix * 1000 / M, rest(), units="meV/angstrom**2/u", mass_weighted=True
    )
    np.testing.assert_allclose(
        other["force_constant"], plain["force_constant"], atol=1e-9
    )


@pytest.mark.slow
def test_what_all_q_have_in_common(alloy: xr.Dataset) -> None:
    """The scatter of ratios between Q, over many draws of k, is what is stated."""
    many = [
        alloy.bp.bloch_modes(
            n_wavevectors=6,
            Q_max=5,
            dQ=0.5,
            dE="4 meV",
            rng=s,
            max_wavevectors_per_shell=8,
        ).bp.bloch_structure_factor(300)
        for s in range(12)
    ]
    S = np.array([one.S.sel(Q=slice(2, 5)).values for one in many])
    stated = np.array([
        (one.S_std * (1 - one.Q_common) ** 0.5).sel(Q=slice(2, 5)).values
        for one in many
    ])  # fmt: skip
    full = (S > 0).all(axis=(0, 1))
    ratio = (S / S.mean(axis=1, keepdims=True))[:, :, full]
    found = np.sqrt((ratio.std(axis=0, ddof=1) ** 2).mean())
    relative = (stated / S.mean(axis=1, keepdims=True))[:, :, full]
    assert found / np.sqrt((relative**2).mean()) == pytest.approx(1, abs=0.4)


def test_shells_are_labelled_by_their_mean_q(alloy: xr.Dataset) -> None:
    """One k leaves one vector in the first shell: Q is its length, not the centre."""
    k = np.array([[0.21, 0.0, 0.0]])
    modes = alloy.bp.bloch_modes(k=k, Q_max=1.5, dQ=0.25)
    cell = alloy.cell.values
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    n = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3), axis=-1).reshape(-1, 3)
    length = np.linalg.norm((n + k) @ reciprocal, axis=1)
    for (low, high), Q in zip(modes.Q_bnds.values, modes.Q.values, strict=True):
        inside = length[(low <= length) & (length < high)]
        expected = inside.mean() if inside.size else (low + high) / 2
        assert pytest.approx(expected) == Q
