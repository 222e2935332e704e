"""Plain XYZ: CP2K's positions, velocities and cells, LAMMPS's dump xyz, and others."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from xbp.errors import FileFormatError, QuantityError, UnitsError, XbpError
from xbp.md import open_trajectory

from .test_formats import POSITIONS, SPEED
from .test_open import written

#: Å/ps in a bohr per atomic unit of time, 2.1876912633e6 m/s.
ATOMIC = 21876.912633


def xyz(
    vectors: list[list[list[float]]],
    comment: str = " i = {n}, time = {fs:.3f}, E = -1.5",
) -> str:
    text = ""
    for frame, rows in enumerate(vectors):
        text += f"  2\n{comment.format(n=40 * frame, fs=20.0 * frame)}\n"
        for name, row in zip(("Cu", "Zr"), rows, strict=True):
            text += f" {name} " + " ".join(f"{x:.12f}" for x in row) + "\n"
    return text


SPEEDS = (np.array([SPEED] * 3) / ATOMIC).tolist()


@pytest.mark.parametrize("packed", [True, False])
def test_positions_velocities_and_cells_of_cp2k(tmp_path: Path, packed: bool) -> None:
    raw = xyz(POSITIONS).encode()
    path = written(tmp_path, gzip.compress(raw) if packed else raw, "a-pos-1.xyz")
    speeds = written(tmp_path, xyz(SPEEDS), "a-vel-1.xyz")
    traj = open_trajectory(
        path, velocities=speeds, cell=["1 nm", 11, 12], chunk_frames=2
    )
    np.testing.assert_allclose(traj.position.values, POSITIONS)
    np.testing.assert_allclose(traj.velocity.values, [SPEED] * 3, atol=1e-6)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]))
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    cells = "#   Step   Time [fs]       Ax [Angstrom]   Ay [Angstrom] …\n"
    for n in range(3):
        cells += f"{40 * n} {20 * n} {10 + 0.01 * n} 0 0 0 11 0 0 0 12 1320\n"
    moving = open_trajectory(path, cell=written(tmp_path, cells, "a-1.cell"))
    np.testing.assert_allclose(moving.cell.values[:, 0, 0], [10, 10.01, 10.02])
    assert "velocity" not in moving
    part = written(tmp_path, cells.replace("\n40 ", "\n41 "), "b-1.cell")
    with pytest.raises(FileFormatError, match="no cell of step 40"):
        open_trajectory(path, cell=part)


def test_what_plain_xyz_lacks_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, xyz(POSITIONS), "a.xyz")
    with pytest.raises(QuantityError, match="has no cell"):
        open_trajectory(path)
    other = written(tmp_path, xyz(POSITIONS, "by hand"), "b.xyz")
    with pytest.raises(UnitsError, match=r"has no cell; .* time between its frames"):
        open_trajectory(other)
    told = {"cell": 12, "time_between_frames": "20 fs"}
    traj = open_trajectory(other, **told)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    numbers = written(tmp_path, other.read_text().replace("Cu", "29"), "c.xyz")
    numbers.write_text(numbers.read_text().replace("Zr", "40"))
    assert open_trajectory(numbers, **told).element.values.tolist() == ["Cu", "Zr"]
    for options, says in (
        ({"velocities": tmp_path / "no"}, "does not exist"),
        ({"velocities": other}, "is not a file of CP2K"),
        ({"units": "metal"}, "units='metal' is not used"),
        ({"cell": 12, "time_between_frames": "1 ps"}, "contradicts"),
        ({"timestep": "1 fs"}, "timestep=1 fs contradicts"),
    ):
        with pytest.raises(XbpError, match=says):
            open_trajectory(path, **{"cell": 12, **options})
    late = written(tmp_path, xyz(SPEEDS).replace("i = 80", "i = 81"), "late.xyz")
    with pytest.raises(FileFormatError, match="no velocities of step 80"):
        open_trajectory(path, cell=12, velocities=late)
    swapped = xyz(SPEEDS).replace("Cu", "Al")
    mixed = written(tmp_path, swapped, "mixed.xyz")
    with pytest.raises(FileFormatError, match="other atoms"):
        open_trajectory(path, cell=12, velocities=mixed)


def test_dump_xyz_of_lammps(tmp_path: Path) -> None:
    text = xyz(POSITIONS, "Atoms. Timestep: {n}")
    text = text.replace("Cu", "1").replace("Zr", "2")
    path = written(tmp_path, text, "a.xyz")
    told = {"units": "metal", "cell": 12, "elements": ["Cu", "Zr"]}
    traj = open_trajectory(path, timestep="0.5 fs", **told)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    with pytest.raises(UnitsError, match="does not state its units"):
        open_trajectory(path, cell=12)


@pytest.mark.parametrize(
    ("units", "energy", "force"),
    [
        ("", 2.0, 0.5),
        ("energy-unit=hartree force-unit=hartree/bohr", 54.4227724919, 25.7110337),
        ("energy_unit=meV forces_unit=meV/nm", 2e-3, 5e-5),
        ("energy-unit=hartree", 54.4227724919, None),
        ("energy-unit=nonsense force-unit=eV/angstrom", None, 0.5),
    ],
)
def test_declared_units_of_energies_and_forces(
    tmp_path: Path, units: str, energy: float | None, force: float | None
) -> None:
    """They are converted; what is of unknown units is left out."""
    comment = 'Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:force:R:3'
    rows = "Cu 0 0 0 0.5 0 0\nCu 4 4 4 -0.5 0 0\n"
    path = written(tmp_path, f"2\n{comment} energy=2.0 {units}\n{rows}", "a.xyz")
    traj = open_trajectory(path)
    for name, value in (("energy", energy), ("force", force)):
        assert (name in traj) == (value is not None)
        if value is not None:
            found = traj[name].values.reshape(-1)[0]
            np.testing.assert_allclose(found, value, rtol=1e-8)


@pytest.mark.parametrize(
    ("part", "contents"), [("vel", "velocities"), ("frc", "forces")]
)
def test_other_files_of_cp2k_are_not_positions(
    tmp_path: Path, part: str, contents: str
) -> None:
    """Their comments are those of positions: their names tell, or how small they are."""
    path = written(tmp_path, xyz(SPEEDS), f"a-{part}-1.xyz")
    with pytest.raises(FileFormatError, match=f"{contents} of CP2K, not positions"):
        open_trajectory(path, cell=12)
    positions = written(tmp_path, xyz(POSITIONS), "a-pos-1.xyz")
    wrong = positions if part == "vel" else path
    with pytest.raises(FileFormatError, match="of CP2K, not velocities"):
        open_trajectory(positions, velocities=wrong, cell=12)


@pytest.mark.parametrize(
    ("scale", "opens"), [(1.0, True), (0.1, False), (1 / 9, False)]
)
def test_what_fills_no_room_is_not_positions(
    tmp_path: Path, scale: float, opens: bool
) -> None:
    """Velocities, positions in nm and fractional ones lie too close together."""
    grid = np.mgrid[:3, :3, :3].reshape(3, -1).T * 3.0 * scale
    rows = "".join(f"Cu {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in grid)
    path = written(tmp_path, f"27\n i = 0, time = 0.0, E = -1.5\n{rows}", "a.xyz")
    if opens:
        np.testing.assert_allclose(open_trajectory(path, cell=9).position[0], grid)
        return
    with pytest.raises(FileFormatError, match="these are not positions in angstrom"):
        open_trajectory(path, cell=9)


@pytest.mark.parametrize(
    ("cut", "opens"), [(1, True), (2, False), (6, False), (14, False), (17, False)]
)
def test_a_last_line_without_its_end(tmp_path: Path, cut: int, opens: bool) -> None:
    """It is whole where its last number is as long as those of the other rows."""
    path = written(tmp_path, xyz(POSITIONS)[:-cut], "a.xyz")
    if opens:
        traj = open_trajectory(path, cell=12)
        np.testing.assert_allclose(traj.position, POSITIONS)
        return
    with pytest.raises(FileFormatError, match="it is cut short in frame 2"):
        open_trajectory(path, cell=12)


def test_a_last_number_of_free_length(tmp_path: Path) -> None:
    """Of %g it is whole if it has as many digits as most."""
    text = "2\nby hand\nCu 0.1 0 1.23456\nZr 5 5 {}\n"
    path = written(tmp_path, 2 * text.format("12.3456"), "a.xyz")
    path.write_text(path.read_text().rstrip("\n"))
    options = {"cell": 20, "time_between_frames": "1 ps"}
    assert open_trajectory(path, **options).position.values[1, 1, 2] == 12.3456
    path.write_text(path.read_text()[:-1])
    with pytest.raises(FileFormatError, match="end its last line"):
        open_trajectory(path, **options)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.yaml", "---\ncreator: LAMMPS\n", "YAML dump of LAMMPS.*\n.*dump custom"),
        ("a.arc", " 1 one\n 1 O 0.1 0.2 0.3 1 2\n", "XYZ of TINKER"),
        ("a.dump", "\ufeffITEM: TIMESTEP\n0\n", "byte order mark"),
        ("a.dump", "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ENTRIES\n1\n", "a local dump"),
        ("a.dump", "ITEM: TIMESTEP\n0\nITEM: DIMENSION\n3\n", "a grid dump"),
        (
            "a.dump",
            "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS pp pp pp\n"
            "0 1\n0\n0 1\nITEM: ATOMS id type x y z\n1 1 0 0 0\n",
            "its box has rows of 2 and 1 numbers",
        ),
        ("a.xyz", "PK\x03\x04", "a zip archive"),
        ("a.xtc", "\0\0\x07" + chr(0xCB), "an XTC of GROMACS: it names no atoms"),
        ("a.tpr", "\0\0\0-\0\0\0,VERSION 2020", "a TPR of GROMACS, a topology"),
    ],
)
def test_what_is_not_read_is_named(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    raw = text.encode("latin-1" if "\0" in text else "utf-8")
    with pytest.raises(FileFormatError, match=says):
        open_trajectory(written(tmp_path, raw, name))


@pytest.mark.parametrize(
    "lattice",
    [
        "Lattice='9 0 0 0 9 0 0 0 9'",
        'Lattice = "9 0 0 0 9 0 0 0 9"',
        "Lattice=[[9, 0, 0], [0, 9, 0], [0, 0, 9]] pbc=[T, T, T]",
    ],
)
def test_spellings_of_extended_xyz(tmp_path: Path, lattice: str) -> None:
    text = f"1\n{lattice} Properties=species:S:1:pos:R:3\nCu 1 2 3\n"
    traj = open_trajectory(written(tmp_path, text, "a.xyz"))
    np.testing.assert_array_equal(traj.cell, 9 * np.eye(3))
    np.testing.assert_array_equal(traj.position[0, 0], [1, 2, 3])


def test_a_data_file_that_is_cut(tmp_path: Path) -> None:
    text = (
        "cut, units = metal\n\n3 atoms\n1 atom types\n\n0 9 xlo xhi\n0 9 ylo yhi\n"
        "0 9 zlo zhi\n\nMasses\n\n1 63.546\n\nAtoms # atomic\n\n"
        "1 1 1.00e+00 1.00e+00 1.50e+00\n2 1 3.00e+00 3.00e+00 3.00e+00\n"
        "3 1 5.00e+00 5.00e+00 5.25e+00"
    )
    traj = open_trajectory(written(tmp_path, text, "a.data"))
    assert traj.position.values[0, 2, 2] == 5.25
    with pytest.raises(FileFormatError, match="its last line is cut short"):
        open_trajectory(written(tmp_path, text[:-1], "a.data"))
