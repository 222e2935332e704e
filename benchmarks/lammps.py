"""Steps per second of LAMMPS with its own choices and with those of `make_glass`.

``python -m benchmarks.lammps [potential]``: Zr46Cu46Al8 by the file of its potential
(ZrCuAl2011.eam.alloy), without one Cu50Zr50 by the one that lammps ships. The choices
take turns, on one core, and the shortest times count.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xbp.md.lammps import worker
from xbp.md.lammps.job import choose_system, make_job, shipped_potential

SKINS = (0.4, 0.6, 0.8, 1.2)
STEPS, TURNS, N_ATOMS = 100, 5, 4000


def started(job: dict[str, Any], file: Path, kelvin: float, suffix: str, skin: float):
    """Return a LAMMPS with a dense liquid, or a glass, that runs."""
    lmp = worker.load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    worker._set_up(lmp.command, "", 3)
    rng = np.random.default_rng(0)
    cells = int(np.ceil(N_ATOMS ** (1 / 3)))
    grid = rng.permutation(np.indices([cells] * 3).reshape(3, -1).T)[:N_ATOMS]
    place = (grid + 0.5) * (job["sides"][0] / cells)
    kinds = rng.permutation(np.repeat(np.arange(len(job["counts"])) + 1, job["counts"]))
    worker._make_atoms(lmp, job, job["sides"], kinds.tolist(), place)
    worker._set_pace(lmp.command, {"suffix": suffix, "skin": skin})
    worker._set_forces(
        lmp.command, Path(), {**job, "potential": {"file": str(file.resolve())}}
    )
    for line in (
        "timestep 0.002", "minimize 1e-6 1e-6 100 1000", "reset_timestep 0",
        f"velocity all create {2 * kelvin} 1", "thermo 10",
        f"fix ensemble all nvt temp {kelvin} {kelvin} 0.2",
        "fix momentum all momentum 100 linear 1 1 1", "run 200 post no",
    ):  # fmt: skip
        lmp.command(line)
    return lmp


def main(arguments: Sequence[str] = ()) -> None:
    """Print steps per second at the temperatures of the liquid and of the glass."""
    own = len(arguments) > 0
    file = Path(arguments[0]) if own else shipped_potential("CuZr_mm.eam.fs")
    system = choose_system("ZrCuAl" if own else "CuZr", None, file)
    asked = {
        "n_atoms": N_ATOMS, "melt": None, "temperature": None, "timestep": None,
        "cooling_rate": "1e12 K/s", "potential": file, "rng": 1,
        "time_between_frames": "20 fs", "melt_time": "1 ps", "relax_time": "1 ps",
        "collect_time": "1 ps",
    }  # fmt: skip
    job = make_job(system, asked)
    choices = [("off", 2.0), ("opt", 2.0), *(("opt", skin) for skin in SKINS)]
    for kelvin in (system.melt, system.final):
        runs = [started(job, file, kelvin, *choice) for choice in choices]
        shortest = np.full(len(runs), np.inf)
        for _ in range(TURNS):
            for number, lmp in enumerate(runs):
                begin = time.perf_counter()
                lmp.command(f"run {STEPS} post no")
                seconds = time.perf_counter() - begin
                shortest[number] = min(shortest[number], seconds)
        for (suffix, skin), seconds in zip(choices, shortest, strict=True):
            print(
                f"{system.name}, {N_ATOMS} atoms, {kelvin:g} K, suffix {suffix}, skin "
                f"{skin} angstrom: {STEPS / seconds:.0f} steps/s, "
                f"{shortest[0] / seconds:.2f}x"
            )
        for lmp in runs:
            lmp.close()


if __name__ == "__main__":
    main(sys.argv[1:])
