"""Strain of every atom beside OVITO's, and the price of six fields' Ω(Q,E) beside one S(Q,E)."""

from __future__ import annotations

import os
import time
import warnings

import numpy as np
import xarray as xr

# One core each; OVITO reads this when it is imported.
os.environ["OVITO_THREAD_COUNT"] = "1"

from benchmarks.md import N_ATOMS, vibrating
from benchmarks.process import best
from xbp.md.fields import FieldMaker
from xbp.md.trajectory import read_trajectory

CUTOFF = 3.8
NAMES = (
    "deformation_gradient",
    "volumetric_strain",
    "shear_strain",
    "von_mises_strain",
)
SIX = [
    "coordination",
    "neighbor_distance",
    "d2min",
    "volumetric_strain",
    "shear_strain",
    "von_mises_strain",
]


def own_seconds(
    traj: xr.Dataset, names: tuple[str, ...]
) -> tuple[float, dict[str, np.ndarray]]:
    """Return seconds per frame of the strain tensor, and the answer for the last frame."""
    trajectory = read_trajectory(traj)
    given = {"cutoff": CUTOFF, "reference": "first"}
    maker = FieldMaker.make(trajectory, names, given)
    block = trajectory.block(0, trajectory.n_frames)
    seconds = best(lambda: maker(block), repeat=3) / trajectory.n_frames
    return seconds, {name: values[-1] for name, values in maker(block).items()}


def peer_seconds(traj: xr.Dataset, *, nonaffine: bool) -> tuple[float, np.ndarray]:
    """Return OVITO's seconds per frame, and its von Mises strain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ovito.data import DataCollection, Particles, SimulationCell
        from ovito.modifiers import AtomicStrainModifier
        from ovito.pipeline import StaticSource

    def collection(position: np.ndarray) -> DataCollection:
        made, particles = DataCollection(), Particles(count=len(position))
        particles.create_property("Position", data=position)
        made.objects.append(particles)
        box = SimulationCell(pbc=(True, True, True))
        box[:, :3] = traj.cell.values.T
        made.objects.append(box)
        return made

    modifier = AtomicStrainModifier(
        cutoff=CUTOFF, output_strain_tensors=True, output_deformation_gradients=True,
        output_nonaffine_squared_displacements=nonaffine,
    )  # fmt: skip
    modifier.reference = StaticSource(data=collection(traj.position.values[0]))
    frames = [collection(p) for p in traj.position.values]
    start = time.perf_counter()
    for frame in frames:
        frame.apply(modifier)
    seconds = (time.perf_counter() - start) / len(frames)
    return seconds, np.asarray(frames[-1].particles["Shear Strain"])


def main() -> None:
    """Print both."""
    traj = vibrating(20, N_ATOMS).compute()
    for names, nonaffine in ((NAMES, False), ((*NAMES, "d2min"), True)):
        own, fields = own_seconds(traj, names)
        peer, theirs = peer_seconds(traj, nonaffine=nonaffine)
        error = float(np.abs(fields["von_mises_strain"] - theirs).max())
        print(
            f"strain{' and D2min' if nonaffine else ''} of {N_ATOMS} atoms: "
            f"{1e3 * own:.2f} ms per frame, "
            f"OVITO {1e3 * peer:.1f} ms, one core each: {peer / own:.0f}x (bar 15x), "
            f"largest difference {error:.0e}"
        )
    traj = vibrating(1000, N_ATOMS)
    start = time.perf_counter()
    traj.bp.dynamic_structure_factor(4, 0.05, window="5 ps", weights="unit")
    one = time.perf_counter() - start
    start = time.perf_counter()
    traj.bp.fluctuation_spectrum(SIX, 4, 0.05, window="5 ps", cutoff=CUTOFF)
    six = time.perf_counter() - start
    print(
        f"six fields' spectra, ten components, Q <= 4: {six:.1f} s; one S(Q,E): "
        f"{one:.1f} s; {six / one:.1f}x"
    )


if __name__ == "__main__":
    main()
