"""The dynamical matrix of one configuration, in a process of its own.

``python -m xbp.md.lammps.harmonic_worker FOLDER`` reads ``job.json`` and
``positions.f64`` there, takes the atoms to the nearest minimum of their energy, and
leaves ``matrix0.bin`` and ``matrix1.bin`` (of two steps) and ``minimum.json``.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from xbp.md.lammps.worker import load_lammps, set_pair

__all__ = ["main"]


def main(folder: Path) -> int:
    """Run the job of a folder; print an error as JSON and return 1 where it fails."""
    job: dict[str, Any] = json.loads((folder / "job.json").read_text())
    try:
        lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
        x, y, z = job["side"]
        for line in (
            "units metal",
            "atom_style atomic",
            # Without sorting, rows of the matrix are in the order of the ids.
            "atom_modify map array sort 0 0",
            "boundary p p p",
            f"region box block 0 {x} 0 {y} 0 {z}",
            f"create_box {len(job['masses'])} box",
        ):
            lmp.command(line)
        positions = np.fromfile(folder / "positions.f64")
        n = positions.size // 3
        lmp.create_atoms(n, list(range(1, n + 1)), job["types"], positions.tolist())
        for kind, mass in enumerate(job["masses"], start=1):
            lmp.command(f"mass {kind} {mass}")
        set_pair(lmp.command, folder, job)
        lmp.command("thermo_style custom step pe fmax")
        # Conjugate gradients alone stop at saddles, and inertia alone takes long over
        # the last digits.
        for style in ("fire", "cg"):
            lmp.command(f"min_style {style}")
            lmp.command("minimize 0 1e-9 20000 200000")
        largest = float(lmp.get_thermo("fmax"))
        with contextlib.chdir(folder):  # a path may hold blanks and quotes
            for number, step in enumerate(job["steps"]):
                lmp.command(
                    f"dynamical_matrix all regular {step!r} file matrix{number}.bin "
                    "binary yes"
                )
    except Exception as error:  # LAMMPS raises plain exceptions for whatever it meets
        print(json.dumps({"error": f"{error}"}), flush=True)
        return 1
    (folder / "minimum.json").write_text(json.dumps({"fmax": largest}))
    print(json.dumps({"finished": True}), flush=True)
    lmp.close()
    return 0
