"""The same frames and wave vectors through dynasor: totals, partials, currents, self part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import constants

import xbp
from xbp.md.wavevectors import allowed_wavevectors

dynasor = pytest.importorskip("dynasor")
acfs = pytest.importorskip("dynasor.tools.acfs")

pytestmark = pytest.mark.slow

H = constants.h / constants.e * 1e15
N_FRAMES, STEP, Q_MAX, DQ = 40, 0.05, 2.5, 0.25
MOVING = ("position", "velocity")


@pytest.fixture(scope="module")
def traj() -> xr.Dataset:
    rng = np.random.default_rng(11)
    n = 60
    cell = np.diag([11.0, 10.0, 9.5])
    # The centre of mass is at rest: xbp takes its motion off, dynasor does not.
    steps, velocity = (
        0.08 * rng.standard_normal((N_FRAMES, n, 3)),
        rng.standard_normal((N_FRAMES, n, 3)),
    )
    steps -= steps.mean(axis=1, keepdims=True)
    velocity -= velocity.mean(axis=1, keepdims=True)
    return xbp.md.new_trajectory(
        rng.random((n, 3)) @ cell + np.cumsum(steps, axis=0),
        time=STEP * np.arange(N_FRAMES),
        cell=cell,
        velocity=velocity,
        element=["Zr" if i % 3 else "Cu" for i in range(n)],
        mass=np.ones(n),
    )


def theirs(traj: xr.Dataset, path: Path) -> Any:
    """The same frames, opened by dynasor."""
    lines = []
    for frame in range(traj.sizes["time"]):
        lines += [
            "ITEM: TIMESTEP",
            str(frame),
            "ITEM: NUMBER OF ATOMS",
            str(traj.sizes["atom"]),
        ]
        lines += [
            "ITEM: BOX BOUNDS pp pp pp",
            *(f"0.0 {side}" for side in np.diag(traj.cell.values)),
        ]
        lines += ["ITEM: ATOMS id xu yu zu vx vy vz"]
        table = np.concatenate(
            [traj.position.values[frame], traj.velocity.values[frame] / 1000], axis=1
        )
        # Sixteen digits: the file must not decide the comparison.
        lines += [
            f"{j + 1} " + " ".join(f"{x:.16g}" for x in row)
            for j, row in enumerate(table)
        ]
    path.write_text("\n".join(lines) + "\n")
    return dynasor.Trajectory(
        str(path),
        trajectory_format="lammps_internal",
        atomic_indices={
            s: np.flatnonzero(traj.element.values == s) for s in ("Cu", "Zr")
        },
        length_unit="Angstrom",
        time_unit="fs",
    )


@pytest.fixture(scope="module")
def sample(traj: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> object:
    """All correlations by dynasor, averaged over every pair of frames."""
    opened = theirs(traj, Path(tmp_path_factory.mktemp("dynasor"), "a.lammpstrj"))
    shells = allowed_wavevectors(traj.cell.values, Q_MAX, DQ)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(traj.cell.values).T)
    return dynasor.compute_dynamic_structure_factors(
        opened,
        Q,
        dt=1000 * STEP,
        window_size=N_FRAMES - 1,
        calculate_currents=True,
        calculate_incoherent=True,
    )


def in_shells(values: np.ndarray, traj: xr.Dataset) -> np.ndarray:
    shells = allowed_wavevectors(traj.cell.values, Q_MAX, DQ)
    return np.stack(
        [values[shells.shell == i].mean(axis=0) for i in range(shells.Q.size)]
    )


ARGUMENTS = {
    "window": f"{N_FRAMES * STEP} ps",
    "precision": "double",
    "time_max": f"{(N_FRAMES - 1) * STEP} ps",
}


def agree(own: np.ndarray, peer: np.ndarray) -> None:
    """Equal to 1e-6, where the correlation of some 1e3 wave vectors does not happen to vanish."""
    np.testing.assert_allclose(own, peer, rtol=1e-6, atol=1e-7 * np.abs(peer).max())


def test_total(traj: xr.Dataset, sample: object) -> None:
    F = traj.bp.intermediate_scattering_function(
        Q_MAX, DQ, weights="unit", **ARGUMENTS
    ).F
    agree(F.values, in_shells(sample["Fqt_coh"], traj))  # type: ignore[index]


def test_a_plane(traj: xr.Dataset, tmp_path: Path) -> None:
    position, velocity = (traj[name].values[:5].copy() for name in MOVING)
    position[..., 2], velocity[..., 2] = 2.0, 0.0
    plane = xbp.md.new_trajectory(
        position, time=traj.time[:5], cell=np.diag([11.0, 10.0, 4.0]),
        velocity=velocity, element=traj.element, mass=traj.mass,
    )  # fmt: skip
    assert plane.attrs["dimension"] == 2
    own = plane.bp.structure_factor(Q_MAX, DQ, weights="unit", precision="double")
    waves = 2 * np.pi / plane.cell.values.diagonal()[:2]
    most = np.ceil(Q_MAX / waves).astype(int)
    h, k = np.mgrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1]
    Q = np.stack([h.ravel() * waves[0], k.ravel() * waves[1], 0 * h.ravel()], axis=1)
    length = np.linalg.norm(Q, axis=1)
    shell = (length / DQ).astype(int)
    opened = theirs(plane, tmp_path / "plane.lammpstrj")
    # As above: dynasor compiles what it has not used yet, for seconds.
    peer = dynasor.compute_dynamic_structure_factors(
        opened, Q, dt=1000 * STEP, window_size=4, calculate_currents=True,
        calculate_incoherent=True,
    ).Fqt_coh  # fmt: skip
    whole = {"window": f"{5 * STEP} ps", "time_max": f"{4 * STEP} ps"}
    F = plane.bp.intermediate_scattering_function(
        Q_MAX, DQ, weights="unit", precision="double", **whole
    ).F
    for index, low in enumerate(own.Q_bnds.values[:, 0]):
        ring = (shell == round(low / DQ)) & (length > 0)
        S = peer[ring, 0].mean()
        assert float(own.Sq[index]) == pytest.approx(S, rel=1e-6)
        agree(F[index].values, peer[ring].mean(axis=0))


def test_partials(traj: xr.Dataset, sample: object) -> None:
    F = traj.bp.intermediate_scattering_function(
        Q_MAX, DQ, weights="unit", partials=True, normalization="number", **ARGUMENTS
    ).F
    for pair in ("Cu-Cu", "Cu-Zr", "Zr-Zr"):
        peer = in_shells(sample[f"Fqt_coh_{pair.replace('-', '_')}"], traj)  # type: ignore[index]
        # dynasor counts both orders of a pair of unlike atoms.
        agree(F.sel(pair=pair).values * (2 if pair == "Cu-Zr" else 1), peer)


def test_self_part(traj: xr.Dataset, sample: object) -> None:
    F = traj.bp.intermediate_scattering_function(
        Q_MAX, DQ, weights="unit", part="incoherent", origin_step=1, **ARGUMENTS
    ).F
    agree(F.values, in_shells(sample["Fqt_incoh"], traj))  # type: ignore[index]


def test_their_objects(traj: xr.Dataset, sample: Any, tmp_path: Path) -> None:
    """S(Q,E) of dynasor has F(Q,0) as its integral; partials add up to the total."""
    kind = "intermediate_scattering_function"
    S, F = xbp.from_dynasor(sample).S, xbp.from_dynasor(sample, kind).F
    np.testing.assert_allclose(F.time, STEP * np.arange(N_FRAMES), rtol=1e-9)
    norms = np.linalg.norm(sample.q_points, axis=1)
    lowest = np.isclose(norms, norms.min())
    np.testing.assert_allclose(F[0], sample.Fqt_coh[lowest].mean(axis=0))
    area = (2 * S.sum("E") - S.isel(E=0)) * float(S.E[1] - S.E[0])
    np.testing.assert_allclose(area, F.isel(time=0), rtol=1e-3)
    pairs = xbp.from_dynasor(sample, kind, partials=True).F
    np.testing.assert_allclose((pairs * pairs.weight).sum("pair"), F, atol=1e-12)
    pytest.importorskip("ase.io").write(tmp_path / "a.traj", traj.bp.to_ase()[:3])
    opened = dynasor.Trajectory(
        str(tmp_path / "a.traj"), "ase", atomic_indices="read_from_trajectory"
    )
    back = xbp.from_dynasor(opened, time_between_frames=f"{STEP} ps")
    for name in MOVING:
        np.testing.assert_allclose(back[name], traj[name][:3], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["C_L", "C_T"])
def test_currents(traj: xr.Dataset, sample: object, name: str) -> None:
    found = traj.bp.current_spectra(
        Q_MAX,
        DQ,
        taper="boxcar",
        window=ARGUMENTS["window"],
        precision="double",
        folding=None,
    )[name]
    peer = in_shells(sample[{"C_L": "Clqt", "C_T": "Ctqt"}[name]], traj) * 1e6  # type: ignore[index]
    lag = np.arange(N_FRAMES)
    even = 2 * np.cos(2 * np.pi * np.outer(lag * STEP, found.E.values) / H)
    even[0] = 1
    agree(found.values, (peer * (1 - lag / N_FRAMES)) @ even * STEP / H)


def test_density_of_states_is_that_of_its_autocorrelations(traj: xr.Dataset) -> None:
    mass = np.where(traj.element.values == "Zr", 91.22, 63.55)
    weighted = traj.assign(mass=("atom", mass, {"units": "u"}))
    g = weighted.bp.vdos(window=ARGUMENTS["window"], taper="boxcar", folding=None).g
    v = (
        traj.velocity.values
        - np.einsum("tjc,j->tc", traj.velocity.values, mass)[:, None] / mass.sum()
    )
    v = v.transpose(1, 2, 0)
    acf = np.zeros(N_FRAMES)
    for m, atom in zip(mass, v, strict=True):
        for signal in atom:
            # dynasor's is normalized at zero.
            acf += m * (signal**2).mean() * acfs.compute_acf(signal, delta_t=STEP)[1]
    lag = np.arange(N_FRAMES)
    even = 2 * np.cos(2 * np.pi * np.outer(lag * STEP, g.E.values) / H)
    even[0] = 1
    agree(g.values, 2 * (acf / acf[0] * (1 - lag / N_FRAMES)) @ even * STEP / H)
