"""Trajectories of every format come out the same, or are refused by name."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.errors import (
    CoordinateError,
    FileFormatError,
    MissingDependencyError,
    QuantityError,
    RangeError,
    UnitsError,
)
from xbp.md import LennardJones, open_trajectory
from xbp.md.styles import ARGON

CELL = np.array([[10.0, 0, 0], [2.0, 9.0, 0], [-3.0, 1.0, 12.0]])
ORIGIN = np.array([-4.0, 1.0, 2.5])
STYLES = {
    "xu": "id type xu yu zu vx vy vz",
    "x+i": "type id x y z ix iy iz vx vy vz",
    "xs+i": "id type xs ys zs ix iy iz vx vy vz",
    "xsu": "id vx vy vz type xsu ysu zsu",
    "element": "id element xu yu zu vx vy vz",
}


def dump(
    scaled: np.ndarray,
    velocity: np.ndarray,
    columns: str,
    *,
    cell: np.ndarray = CELL,
    seed: int = 0,
    steps: int = 10,
) -> str:
    """Write frames as LAMMPS does, atoms shuffled; `scaled` are unwrapped."""
    rng, out = np.random.default_rng(seed), io.StringIO()
    xy, xz, yz = cell[1, 0], cell[2, 0], cell[2, 1]
    high = ORIGIN + np.diag(cell)
    bounds = [
        (ORIGIN[0] + min(0, xy, xz, xy + xz), high[0] + max(0, xy, xz, xy + xz), xy),
        (ORIGIN[1] + min(0, yz), high[1] + max(0, yz), xz),
        (ORIGIN[2], high[2], yz),
    ]
    for frame in range(len(scaled)):
        image = np.floor(scaled[frame])
        inside = scaled[frame] - image
        values = {
            "id": 7 + np.arange(scaled.shape[1]),
            "type": 1 + np.arange(scaled.shape[1]) % 2,
            "element": np.array(["Zr", "Cu"])[np.arange(scaled.shape[1]) % 2],
        }
        for c, axis in enumerate("xyz"):
            values |= {
                f"{axis}u": (scaled[frame] @ cell + ORIGIN)[:, c],
                axis: (inside @ cell + ORIGIN)[:, c],
                f"{axis}s": inside[:, c],
                f"{axis}su": scaled[frame][:, c],
                f"i{axis}": image[:, c].astype(int),
                f"v{axis}": velocity[frame][:, c],
            }
        out.write(
            f"ITEM: TIMESTEP\n{frame * steps}\nITEM: NUMBER OF ATOMS\n{scaled.shape[1]}\n"
        )
        out.write(
            "ITEM: BOX BOUNDS xy xz yz pp pp pp\n"
            + "".join(
                f"{a!r} {b!r} {t!r}\n"
                for a, b, t in map(tuple, np.array(bounds).tolist())
            )
        )
        out.write(f"ITEM: ATOMS {columns}\n")
        for j in rng.permutation(scaled.shape[1]):
            out.write(" ".join(str(values[c][j]) for c in columns.split()) + " \n")
    return out.getvalue()


def motion(
    rng: np.random.Generator, n: int, atoms: int
) -> tuple[np.ndarray, np.ndarray]:
    """Unwrapped positions in units of the cell, and velocities in Å/ps, of atoms that fly for n frames of 20 fs."""
    velocity = 3 * rng.standard_normal((1, atoms, 3)) * np.ones((n, 1, 1))
    start = rng.uniform(-1.5, 2.5, (1, atoms, 3))
    return start + 0.02 * np.arange(n)[:, None, None] * velocity @ np.linalg.inv(
        CELL
    ), velocity


RNG = np.random.default_rng(1)
SCALED, VELOCITY = motion(RNG, 5, 6)
METAL = {"units": "metal", "timestep": "2 fs"}


def written(folder: Path, text: str | bytes, name: str = "a.lammpstrj") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_every_style_of_columns_reads_back(
    tmp_path: Path, style: str, chunk: int
) -> None:
    elements = None if style == "element" else ["Zr", "Cu"]
    path = written(tmp_path, dump(SCALED, VELOCITY, STYLES[style]))
    traj = open_trajectory(
        path, elements=elements, chunk_frames=chunk, temperature="300 K", **METAL
    )
    assert traj.position.chunks is not None
    np.testing.assert_allclose(traj.position.values, SCALED @ CELL, atol=1e-12)
    np.testing.assert_allclose(traj.velocity.values, VELOCITY, atol=1e-15)
    np.testing.assert_allclose(traj.cell.values, CELL, atol=1e-14)
    np.testing.assert_allclose(traj.time.values, 0.02 * np.arange(5))
    assert traj.element.values.tolist() == ["Zr", "Cu"] * 3
    assert traj.mass.values[:2].round(2).tolist() == [91.22, 63.55]
    assert float(traj.temperature) == 300


@pytest.mark.slow
def test_tasks_do_not_each_carry_the_index_of_the_file(tmp_path: Path) -> None:
    def largest(n: int) -> int:
        text = dump(
            np.tile(SCALED, (n, 1, 1)), np.tile(VELOCITY, (n, 1, 1)), STYLES["xu"]
        )
        traj = open_trajectory(
            written(tmp_path, text), elements=["Zr", "Cu"], chunk_frames=5, **METAL
        )
        graph = dict(traj.position.__dask_graph__())
        # One node may hold the index; the next largest is what grows with the number of tasks.
        return sorted(len(cloudpickle.dumps(node)) for node in graph.values())[-2]

    assert largest(40) < largest(4) + 100


@pytest.mark.slow
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from(sorted(STYLES)),
    st.integers(0, 99),
)
def test_any_frames_read_back(
    tmp_path_factory: pytest.TempPathFactory, n: int, atoms: int, style: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scaled, velocity = motion(rng, n, atoms)
    path = written(
        tmp_path_factory.mktemp("dump"),
        dump(scaled, velocity, STYLES[style], seed=seed),
    )
    elements = None if style == "element" else {1: "Zr", 2: "Cu"}
    traj = open_trajectory(path, elements=elements, **METAL)
    np.testing.assert_allclose(traj.position.values, scaled @ CELL, atol=1e-11)
    np.testing.assert_allclose(traj.velocity.values, velocity)


@pytest.mark.slow
def test_wrapped_positions_without_images_have_the_same_spectra(tmp_path: Path) -> None:
    scaled = RNG.random((1, 6, 3)) + 0.01 * np.cumsum(
        RNG.standard_normal((30, 6, 3)), axis=0
    )
    still = np.zeros_like(scaled)
    a = open_trajectory(
        written(tmp_path, dump(scaled, still, "id type xu yu zu")),
        elements=["Zr", "Cu"],
        **METAL,
    )
    b = open_trajectory(
        written(tmp_path, dump(scaled, still, "id type x y z"), "b"),
        elements=["Zr", "Cu"],
        **METAL,
    )
    assert "velocity" not in a
    arguments = {"window": "0.2 ps", "precision": "double"}
    one, two = (t.bp.dynamic_structure_factor(3, 0.5, **arguments) for t in (a, b))
    np.testing.assert_allclose(one.S.values, two.S.values, rtol=1e-6)
    assert float(one.u2) == pytest.approx(float(two.u2))


@pytest.mark.parametrize(
    ("units", "speed", "time"), [("metal", 1.0, 1.0), ("real", 1e3, 1e-3)]
)
def test_lammps_units_and_times_that_the_dump_writes(
    tmp_path: Path, units: str, speed: float, time: float
) -> None:
    text = dump(SCALED, VELOCITY / speed, STYLES["element"])
    parts = text.split("ITEM: TIMESTEP\n")[1:]
    timed = "".join(
        f"ITEM: TIME\n{0.02 / time * n}\nITEM: TIMESTEP\n{part}"
        for n, part in enumerate(parts)
    )
    traj = open_trajectory(written(tmp_path, f"ITEM: UNITS\n{units}\n" + timed))
    np.testing.assert_allclose(traj.position.values, SCALED @ CELL, atol=1e-12)
    np.testing.assert_allclose(traj.velocity.values, VELOCITY)
    np.testing.assert_allclose(traj.time.values, 0.02 * np.arange(5))


def test_reduced_units_become_those_of_argon(tmp_path: Path) -> None:
    path = written(tmp_path, dump(SCALED, VELOCITY, STYLES["xu"]))
    traj = open_trajectory(
        path, units="lj", lj="argon", timestep=0.005, elements=["A", "B"]
    )
    np.testing.assert_allclose(traj.position.values, SCALED @ CELL * 3.4, atol=1e-12)
    # τ = σ √(m/ε) = 2.15 ps: A. Rahman's, with k_B/u = 8314.46 m²/s²/K.
    tau = 3.4e-10 * np.sqrt(39.948 / (8314.46 * 120)) * 1e12
    assert ARGON.time == pytest.approx(tau, rel=1e-5)
    np.testing.assert_allclose(traj.velocity.values, VELOCITY * 3.4 / tau, rtol=1e-5)
    np.testing.assert_allclose(
        traj.time.values, np.arange(5) * 10 * 0.005 * tau, rtol=1e-5
    )
    text = open_trajectory(
        path, units="lj", lj="argon", timestep="0.005", elements=["A", "B"]
    )
    np.testing.assert_array_equal(text.time, traj.time)
    assert set(traj.mass.values) == {39.948}
    same = LennardJones(sigma="0.34 nm", epsilon="10.34 meV", mass="39.948 u")
    assert same.time == pytest.approx(ARGON.time, rel=1e-3)
    explicit = open_trajectory(
        path,
        units="lj",
        lj=same,
        timestep="10 fs",
        elements=["A", "B"],
        masses={"B": "20 u"},
    )
    np.testing.assert_allclose(explicit.time.values, np.arange(5) * 0.1)
    assert explicit.mass.values[:2].tolist() == [39.948, 20.0]


def test_gzip_and_windows_line_ends(tmp_path: Path) -> None:
    text = dump(SCALED, VELOCITY, STYLES["element"])
    plain = open_trajectory(written(tmp_path, text), **METAL)
    packed = open_trajectory(
        written(tmp_path, gzip.compress(text.encode()), "a.gz"), **METAL
    )
    windows = open_trajectory(
        written(tmp_path, text.replace("\n", "\r\n"), "w"), **METAL
    )
    for other in (packed, windows):
        np.testing.assert_array_equal(plain.position.values, other.position.values)


def test_a_general_cell_with_its_origin(tmp_path: Path) -> None:
    text = dump(SCALED[:1], VELOCITY[:1], STYLES["element"])
    start, stop = text.index("ITEM: BOX"), text.index("ITEM: ATOMS")
    rows = "".join(
        " ".join(map(str, [*row, o])) + "\n"
        for row, o in zip(CELL.tolist(), ORIGIN.tolist(), strict=True)
    )
    traj = open_trajectory(
        written(
            tmp_path,
            text[:start] + "ITEM: BOX BOUNDS abc origin\n" + rows + text[stop:],
        ),
        **METAL,
    )
    np.testing.assert_allclose(traj.position.values, SCALED[:1] @ CELL, atol=1e-12)


def test_two_columns_of_positions_agree(tmp_path: Path) -> None:
    text = dump(SCALED[:2], VELOCITY[:2], "id element x y z xs ys zs")
    one = dump(SCALED[:2], VELOCITY[:2], "id element x y z")
    traj = open_trajectory(written(tmp_path, text), **METAL)
    other = open_trajectory(written(tmp_path, one, "b.lammpstrj"), **METAL)
    np.testing.assert_allclose(traj.position, other.position, atol=1e-4)
    wrong = dump(SCALED[:2], VELOCITY[:2], "id element xu yu zu xs ys zs")
    places = [line.split() for line in wrong.splitlines()]
    lines = [
        " ".join([*words[:5], "0.5", *words[6:]])
        if len(words) == 8
        else " ".join(words)
        for words in places
    ]
    with pytest.raises(FileFormatError, match="xu and xs contradict"):
        open_trajectory(written(tmp_path, "\n".join(lines) + "\n"), **METAL)


def test_a_moving_origin_is_taken_out(tmp_path: Path) -> None:
    """Under a barostat LAMMPS moves the bounds; positions are counted from the cell's corner."""
    shift = dump(SCALED[:1], VELOCITY[:1], "id element xs ys zs")
    traj = open_trajectory(written(tmp_path, shift), **METAL)
    assert (traj.position.values @ np.linalg.inv(CELL) >= -1e-12).all()


ONE = dump(SCALED[:1], VELOCITY[:1], STYLES["element"])
TWO = dump(SCALED[:2], VELOCITY[:2], STYLES["element"])


@pytest.mark.parametrize(
    ("text", "options", "error", "says"),
    [
        ("", {}, FileFormatError, "is empty|ASE"),
        (TWO, {"units": None}, UnitsError, "does not state its units"),
        ("ITEM: UNITS\nreal\n" + TWO, {}, UnitsError, "units='metal'.*states 'real'"),
        (
            "ITEM: UNITS\nreal\n" + TWO.replace("TIMESTEP", "STEP"),
            {},
            FileFormatError,
            "'ITEM: STEP'",
        ),
        (TWO, {"timestep": None}, UnitsError, "time between its frames"),
        (TWO, {"units": "lj"}, UnitsError, "σ, ε and m"),
        (TWO, {"elements": ["Zr"]}, QuantityError, "no column type"),
        (
            dump(SCALED, VELOCITY, STYLES["xu"]),
            {},
            QuantityError,
            "elements .*are unknown",
        ),
        (
            dump(SCALED, VELOCITY, STYLES["xu"]),
            {"elements": {1: "Zr"}},
            QuantityError,
            "elements= does not name 2",
        ),
        (
            dump(SCALED, VELOCITY, STYLES["xu"]),
            {"elements": ["Zr", "Qq"]},
            QuantityError,
            "'Qq' is not an element",
        ),
        (
            TWO[:-60],
            {},
            FileFormatError,
            "cut short: its last frame has 5 of 6 atoms|cut short",
        ),
        (TWO[: TWO.rindex("BOX")], {}, FileFormatError, "cut short in frame 1"),
        (TWO.rstrip()[:-3], {}, FileFormatError, "cut short"),
        (
            TWO.replace("ATOMS\n6", "ATOMS\n5", 1),
            {},
            FileFormatError,
            "frame 1: .*not an item",
        ),
        (TWO + ONE, {}, QuantityError, "must increase; frame 2"),
        (
            TWO.replace("xu yu zu vx", "xu yu zu vw", 1),
            {},
            FileFormatError,
            "frame 1 has velocities, frame 0 has none",
        ),
        (ONE.replace("xu yu zu", "fx fy fz"), {}, FileFormatError, "has the columns"),
        (
            ONE.replace("ATOMS\n6", f"ATOMS\n{10**12}"),
            {},
            FileFormatError,
            "cut short in frame 0",
        ),
        (ONE.replace("ATOMS id", "ATOMS xu", 1), {}, FileFormatError, "columns repeat"),
        (TWO, {"frames": slice(5, 9)}, FileFormatError, "frames=.* selects none"),
        (TWO, {"truncated": "keep"}, QuantityError, "truncated='keep'"),
        (TWO, {"chunk_frames": 0}, RangeError, "chunk_frames=0"),
        ("just some text\n", {}, FileFormatError, "not a trajectory"),
        (b"\x1f\x8b\x08\x00garbage", {}, FileFormatError, "cannot be unpacked"),
        (
            b"\x89HDF\r\n\x1a\nnothing",
            {"units": None, "timestep": None},
            FileFormatError,
            "cannot be read",
        ),
    ],
)
def test_what_cannot_be_opened_is_refused(
    tmp_path: Path,
    text: str | bytes,
    options: dict[str, object],
    error: type[Exception],
    says: str,
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(error, match=says):
        open_trajectory(path, **{**METAL, **options})


@pytest.mark.slow
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("frames", 20, "frames=20"), ("frames", [0, 1], r"frames=\[0, 1\]"), ("frames", 0, "frames=0"),
        ("frames", slice("a"), r"frames=slice\(None, 'a', None\)"), ("frames", slice(0, 2, 0), "zero"),
        ("chunk_frames", "a", "chunk_frames='a'"), ("chunk_frames", 1.5, "chunk_frames=1.5"),
        ("chunk_frames", -1, "chunk_frames=-1"), ("chunk_frames", True, "chunk_frames=True"),
        ("masses", 3, "masses=3"), ("masses", [3], r"masses=\[3\]"), ("elements", 3, "elements=3"),
    ],
)  # fmt: skip
def test_arguments_of_another_kind_are_refused(
    tmp_path: Path, name: str, value: object, says: str, labelled: bool
) -> None:
    path = written(tmp_path, TWO)
    told: dict[str, object] = METAL
    if labelled:
        open_trajectory(path, **METAL).compute().to_netcdf(tmp_path / "a.nc")
        path, told = tmp_path / "a.nc", {}
    with pytest.raises((QuantityError, RangeError), match=says):
        open_trajectory(path, **{**told, name: value})
    assert (
        open_trajectory(
            path, frames=slice(np.int64(1)), chunk_frames=np.int64(1), **told
        ).sizes["time"]
        == 1
    )


@pytest.mark.parametrize("path", [3, None, b"a.lammpstrj", "x" * 300])
def test_what_is_not_a_path_is_refused(path: object) -> None:
    with pytest.raises(FileFormatError, match="is not a path"):
        open_trajectory(path)


def test_all_that_a_dump_does_not_tell_is_asked_for_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, dump(SCALED, VELOCITY, STYLES["xu"]))
    with pytest.raises(UnitsError, match="its units, elements, time step") as caught:
        open_trajectory(path)
    assert caught.value.fix.endswith(
        "units='metal', elements={1: 'Zr', 2: 'Cu'}, timestep='2 fs'"
    )
    with pytest.raises(UnitsError, match="its σ, ε and m, elements, time step"):
        open_trajectory(path, units="lj")


def test_a_dense_dump_is_asked_for_lennard_jones_units(tmp_path: Path) -> None:
    """One atom per cube of the unit of length: more than in any solid in Å."""
    cell = CELL * (SCALED.shape[1] / np.linalg.det(CELL)) ** (1 / 3)
    path = written(tmp_path, dump(SCALED, VELOCITY, STYLES["xu"], cell=cell))
    with pytest.raises(UnitsError, match="its units, σ, ε and m, elements") as caught:
        open_trajectory(path)
    assert "units='lj', lj='argon', elements={1: 'A', 2: 'B'}" in caught.value.fix
    assert "timestep=0.005" in caught.value.fix
    advised = {"elements": {1: "A", 2: "B"}, "timestep": 0.005}
    traj = open_trajectory(path, units="lj", lj="argon", **advised)
    assert traj.element.values.tolist() == ["A", "B"] * 3


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\n8 Cu", "\n99 Cu", "not contain the atoms"),
        ("\n8 Cu", "\n7 Cu", "id 7 occurs twice"),
        ("\n8 Cu", "\n8 Zr", "not contain the atoms"),
        ("\n8 Cu", "\n8 Cu word", "cannot be read"),
        ("\n8 Cu", "\neight Cu", "cannot be read"),
    ],
)
def test_a_damaged_frame_is_named_when_it_is_read(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    second = TWO[len(ONE) :]
    assert old in second
    traj = open_trajectory(
        written(tmp_path, ONE + second.replace(old, new, 1)), chunk_frames=1, **METAL
    )
    np.testing.assert_allclose(
        traj.position.isel(time=0).values, SCALED[0] @ CELL, atol=1e-12
    )
    with pytest.raises(FileFormatError, match=rf"frame 1 \(step 10\).*{says}"):
        traj.position.compute()


def test_a_truncated_last_frame_is_dropped_when_told(tmp_path: Path) -> None:
    traj = open_trajectory(written(tmp_path, TWO[:-60]), truncated="drop", **METAL)
    assert traj.sizes["time"] == 1
    with pytest.raises(FileFormatError, match=r"a\.lammpstrj"):
        open_trajectory(written(tmp_path, ONE[:-60]), truncated="drop", **METAL)
    cut = gzip.compress(TWO.encode())[:-12]
    with pytest.raises(FileFormatError, match="cannot be unpacked"):
        open_trajectory(written(tmp_path, cut, "c.gz"), **METAL)


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not exist"):
        open_trajectory(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileFormatError, match="is a folder"):
        open_trajectory(tmp_path / "folder")


def test_extended_xyz_through_ase(tmp_path: Path) -> None:
    ase = pytest.importorskip("ase")
    ase_io = pytest.importorskip("ase.io")
    images = []
    for r, v in zip(SCALED, VELOCITY, strict=True):
        atoms = ase.Atoms("ZrCuZrCuZrCu", positions=r @ CELL, cell=CELL, pbc=True)
        atoms.set_velocities(v / (1000 * ase.units.fs))
        images.append(atoms)
    ase_io.write(tmp_path / "a.xyz", images, format="extxyz")
    traj = open_trajectory(
        tmp_path / "a.xyz", time_between_frames="20 fs", chunk_frames=2
    )
    np.testing.assert_allclose(traj.position.values, SCALED @ CELL, atol=1e-6)
    np.testing.assert_allclose(traj.velocity.values, VELOCITY, atol=1e-6)
    np.testing.assert_allclose(traj.time.values, 0.02 * np.arange(5))
    with pytest.raises(UnitsError, match="time between its frames"):
        open_trajectory(tmp_path / "a.xyz")
    text = (tmp_path / "a.xyz").read_text()
    with pytest.raises(FileFormatError, match="cut short in frame 4"):
        open_trajectory(
            written(tmp_path, text[: text.rindex("Cu")], "cut.xyz"),
            time_between_frames=1,
        )
    ase_io.write(tmp_path / "a.traj", images)
    other = open_trajectory(tmp_path / "a.traj", time_between_frames="20 fs")
    np.testing.assert_allclose(other.position.values, traj.position.values, atol=1e-6)
    mixed = [*images[:2], images[2][:4]]
    ase_io.write(tmp_path / "mixed.xyz", mixed, format="extxyz")
    with pytest.raises(FileFormatError, match="frame 2: n_atoms changed"):
        open_trajectory(tmp_path / "mixed.xyz", time_between_frames=1).compute()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_mdanalysis_reads(tmp_path: Path) -> None:
    mda = pytest.importorskip("MDAnalysis")
    universe = mda.Universe.empty(6, trajectory=True, velocities=True)
    universe.add_TopologyAttr("elements", ["Zr", "Cu"] * 3)
    universe.add_TopologyAttr("names", ["Zr", "Cu"] * 3)
    universe.dimensions = [10, 10, 12, 90, 90, 90]
    universe.atoms.positions = np.abs(SCALED[0])
    universe.atoms.write(str(tmp_path / "top.pdb"))
    with mda.Writer(str(tmp_path / "a.trr"), n_atoms=6) as writer:
        for number in range(5):
            universe.atoms.positions = SCALED[number]
            universe.atoms.velocities = VELOCITY[number]
            universe.trajectory.ts.time = 0.02 * number
            writer.write(universe)
    traj = open_trajectory(
        tmp_path / "a.trr", topology=tmp_path / "top.pdb", chunk_frames=2
    )
    np.testing.assert_allclose(traj.position.values, SCALED, atol=1e-4)
    np.testing.assert_allclose(traj.velocity.values, VELOCITY, atol=1e-4)
    np.testing.assert_allclose(traj.time.values, 0.02 * np.arange(5), atol=1e-6)
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 10, 12]), atol=1e-5)
    assert traj.element.values.tolist() == ["Zr", "Cu"] * 3
    with pytest.raises(FileFormatError, match="does not exist"):
        open_trajectory(tmp_path / "a.trr", topology=tmp_path / "nowhere.pdb")
    with mda.Writer(str(tmp_path / "a.xtc"), n_atoms=6) as writer:
        for number in range(5):
            universe.atoms.positions = SCALED[number]
            universe.trajectory.ts.time = 1000 + 0.02 * number**2
            writer.write(universe)
    uneven = open_trajectory(tmp_path / "a.xtc", topology=tmp_path / "top.pdb")
    np.testing.assert_allclose(
        uneven.time.values, 1000 + 0.02 * np.arange(5) ** 2, atol=1e-4
    )
    np.testing.assert_allclose(uneven.position.values, SCALED, atol=6e-3)
    with pytest.raises(CoordinateError, match="not equally spaced"):
        uneven.bp.vdos(window="0.1 ps")
    with pytest.raises(QuantityError, match="contradicts"):
        open_trajectory(
            tmp_path / "a.xtc",
            topology=tmp_path / "top.pdb",
            time_between_frames="20 fs",
        )


@pytest.mark.slow
def test_shared_files(shared_data: Path) -> None:
    folder = shared_data / "md"
    glass = open_trajectory(
        folder / "KA_LJ.dump",
        units="lj",
        lj="argon",
        elements=["A", "B"],
        timestep=0.005,
    )
    assert glass.sizes["atom"] == 1000
    assert glass.cell.values[0, 0] == pytest.approx(9.41036 * 3.4)
    density = 1000 / 9.41036**3
    assert density == pytest.approx(1.2, abs=0.01)
    sheared = open_trajectory(
        folder / "affine_shear_2d_0.01.lammpstrj",
        units="metal",
        elements={1: "Cu", 2: "Zr"},
    )
    assert sheared.cell.values[1, 0] / sheared.cell.values[1, 1] == pytest.approx(
        0.01, rel=1e-6
    )
    silica = open_trajectory(folder / "SiO2_glass_3000_atoms.xyz")
    peak = silica.bp.radial_distribution(4, 0.05, partials=True).rdf.sel(pair="O-Si")
    assert float(peak.r[peak.argmax("r")]) == pytest.approx(1.62, abs=0.03)
    own = open_trajectory(folder / "zr46cu46al8_trajectory.nc")
    assert own.position.chunks[0][0] == 100
    assert (
        xbp.md.open_trajectory(
            folder / "zr46cu46al8_trajectory.nc", frames=slice(0, 10)
        ).sizes["time"]
        == 10
    )


@pytest.mark.slow
def test_a_spectrum_is_no_trajectory(tmp_path: Path, glass: xr.Dataset) -> None:
    glass.bp.to_netcdf(tmp_path / "s.nc")
    with pytest.raises(FileFormatError, match="not a trajectory"):
        open_trajectory(tmp_path / "s.nc")


def test_a_lammps_data_file(tmp_path: Path) -> None:
    text = """made by hand

3 atoms
2 atom types

0 10 xlo xhi
0 11 ylo yhi
0 12 zlo zhi

Masses

1 91.224
2 63.546

Atoms # atomic

2 2 1.0 2.0 3.0 0 0 1
1 1 4.0 5.0 6.0 0 0 0
3 1 7.0 8.0 9.0 0 0 0

Velocities

1 0.5 0.0 0.0
2 0.0 -1.0 0.0
3 0.0 0.0 2.0
"""
    path = written(tmp_path, text, "glass.data")
    traj = open_trajectory(path, units="metal").compute()
    assert traj.element.values.tolist() == ["Zr", "Cu", "Zr"]
    np.testing.assert_allclose(
        traj.position.values[0], [[4, 5, 6], [1, 2, 15], [7, 8, 9]]
    )
    np.testing.assert_allclose(
        traj.velocity.values[0], [[0.5, 0, 0], [0, -1, 0], [0, 0, 2]], rtol=1e-6
    )
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]))
    with pytest.raises(QuantityError, match=r"mass of Al .* 91.224 u"):
        open_trajectory(path, units="metal", elements=["Al", "Si"])
    named = open_trajectory(
        path, units="metal", elements=["Al", "Si"], masses={"Al": "91 u", "Si": "63 u"}
    )
    assert named.element.values.tolist() == ["Al", "Si", "Al"]
    assert named.mass.values.tolist() == [91, 63, 91]
    with pytest.raises(UnitsError, match="does not state its units"):
        open_trajectory(path)
    with pytest.raises(QuantityError, match="'A'"):
        open_trajectory(path, units="metal", elements=["A", "B"])


@pytest.mark.parametrize(
    ("sides", "periodic"),
    [("pp pp pp", "111"), ("pp pp ss", "110"), ("ff mm pp", "001")],
)
def test_which_sides_repeat_is_recorded(
    tmp_path: Path, sides: str, periodic: str
) -> None:
    path = written(
        tmp_path, dump(SCALED, VELOCITY, STYLES["element"]).replace("pp pp pp", sides)
    )
    assert open_trajectory(path, **METAL).attrs["periodic"] == periodic
    assert (
        "periodic"
        not in open_trajectory(
            written(tmp_path, path.read_text().replace(" " + sides, "")), **METAL
        ).attrs
    )


def test_boundaries_that_change_are_refused(tmp_path: Path) -> None:
    text = dump(SCALED, VELOCITY, STYLES["element"])
    at = text.rindex("pp pp pp")
    with pytest.raises(FileFormatError, match=r"frame 4.*110"):
        open_trajectory(
            written(tmp_path, text[:at] + "pp pp ss" + text[at + 8 :]), **METAL
        )


@pytest.mark.slow
def test_a_plane_of_atoms_has_two_dimensions(tmp_path: Path, shared_data: Path) -> None:
    flat = SCALED * [1, 1, 0]
    cell = np.diag([10.0, 9, 3])
    VELOCITY = np.zeros_like(flat)
    plane = open_trajectory(
        written(tmp_path, dump(flat, VELOCITY, STYLES["element"], cell=cell)), **METAL
    )
    assert plane.attrs["dimension"] == 2
    flat[-1, 2, 2] = 0.01
    bent = written(tmp_path, dump(flat, VELOCITY, STYLES["element"], cell=cell), "bent")
    assert "dimension" not in open_trajectory(bent, **METAL).attrs
    slab = shared_data / "doors" / "lj_2d_slab_20frames.lammpstrj.gz"
    opened = open_trajectory(
        slab, units="lj", lj="argon", timestep=0.005, elements=["A", "B"]
    )
    assert (opened.attrs["dimension"], opened.attrs["periodic"]) == (2, "111")
    plane.compute().to_netcdf(tmp_path / "plane.nc")
    assert open_trajectory(tmp_path / "plane.nc").attrs["dimension"] == 2
    del plane.attrs["dimension"]
    plane.compute().to_netcdf(tmp_path / "bare.nc")
    assert open_trajectory(tmp_path / "bare.nc").attrs["dimension"] == 2


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        ({"units": "lj"}, "lj='argon', elements={1: 'A', 2: 'B'}, timestep=0.005 (in"),
        ({"units": "lj", "lj": "argon", "elements": "AB"}, "timestep=0.005 (in τ)"),
        ({"units": "lj", "lj": "argon", "timestep": 0.005}, "['A', 'B'] by type"),
        ({"units": "metal"}, "elements={1: 'Zr', 2: 'Cu'}, timestep='2 fs'"),
    ],
)
def test_examples_are_in_the_units_of_the_file(
    tmp_path: Path, options: dict[str, Any], fix: str
) -> None:
    path = written(tmp_path, dump(SCALED, VELOCITY, STYLES["xu"]))
    if "elements" in options:
        options = options | {"elements": ["A", "B"]}
    with pytest.raises(xbp.errors.XbpError) as refused:
        open_trajectory(path, **options)
    assert fix in refused.value.fix


def test_lengths_in_sigma_that_are_called_angstrom_are_refused(tmp_path: Path) -> None:
    """Lennard-Jones glasses have 0.8 to 1.2 atoms per cube of σ, no solid 0.6 per Å³."""
    rows = np.random.default_rng(2).random((64, 3)) * 4
    atoms = "\n".join(f"{i + 1} 1 {x} {y} {z}" for i, (x, y, z) in enumerate(rows))
    path = tmp_path / "lj.dump"
    path.write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n64\n"
        "ITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
        f"ITEM: ATOMS id type x y z\n{atoms}\n"
    )
    told = {"units": "metal", "timestep": "2 fs", "elements": ["Cu"]}
    with pytest.raises(FileFormatError, match="1 angstrom³ per atom"):
        xbp.md.open_trajectory(path, **told)
    traj = xbp.md.open_trajectory(path, **told, densest="0.5 angstrom^3")
    assert traj.sizes["atom"] == 64


@pytest.mark.parametrize("name", ["kob_andersen.nc", "glass.dump"])
def test_without_dask_it_says_what_to_install(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    if name.endswith(".nc"):
        traj = xbp.md.models.einstein_solid(
            8, 8, cell=12, energy="8 meV", T=300, mass=40, time_step="50 fs", rng=1
        )
        xbp.to_netcdf(traj, path)
    else:
        path.write_text(
            "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\n"
            "ITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
            "ITEM: ATOMS id type x y z\n1 1 1 1 1\n"
        )
    monkeypatch.delitem(sys.modules, "xbp.md.lazy", raising=False)
    monkeypatch.setitem(sys.modules, "dask.highlevelgraph", None)  # type: ignore[arg-type]
    told = {} if name.endswith(".nc") else {
        "units": "metal", "timestep": "2 fs", "elements": ["Cu"]
    }  # fmt: skip
    with pytest.raises(MissingDependencyError, match="dask is needed to open"):
        xbp.md.open_trajectory(path, **told)
