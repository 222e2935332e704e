"""One file of each format, written by hand: what is read is what stands in it."""

from __future__ import annotations

import gzip
import re
import struct
import warnings
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from xbp.errors import FileFormatError, QuantityError, UnitsError, XbpError
from xbp.md import convert, open_trajectory

from .test_open import CELL, METAL, SCALED, STYLES, VELOCITY, dump, written

#: Å/ps in ASE's unit of velocity, √(eV/u).
ASE = np.sqrt(1.602176634e-19 / 1.66053906660e-27) * 1e-2

# --- DL_POLY's HISTORY ------------------------------------------------------------------------------------------------


def history(
    level: int = 2,
    times: bool = True,
    steps: tuple[int, ...] = (1, 11, 21),
    imcon: int = 2,
) -> str:
    text = f"title of it\n{level:10d}{imcon:10d}{2:10d}\n"
    for frame, step in enumerate(steps):
        last = f"{0.005 * step:12.6f}" if times else ""
        text += f"timestep{step:10d}{2:10d}{level:10d}{imcon:10d}{0.005:12.6f}{last}\n"
        text += f"{10 - 0.001 * frame:12.4f}{0:12.4f}{0:12.4f}\n{0:12.4f}{10:12.4f}{0:12.4f}\n{0:12.4f}{0:12.4f}{10:12.4f}\n"
        for name, mass, atom in (("Cl-", 35.453, 2), ("K+", 39.0983, 1)):
            text += f"{name:8s}{atom:10d}{mass:12.6f}{0:12.6f}{0:12.6f}\n"
            rows = [(atom, 0.01 * frame, -2.5), (1.5, -2.25, atom), (99.0, 98.0, 97.0)]
            text += "".join(
                "".join(f"{x:20.8E}" for x in row) + "\n" for row in rows[: 1 + level]
            )
    return text


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_history(tmp_path: Path, times: bool, packed: bool) -> None:
    raw = history(times=times).encode()
    traj = open_trajectory(
        written(tmp_path, gzip.compress(raw) if packed else raw, "HISTORY"),
        chunk_frames=1,
    )
    np.testing.assert_allclose(traj.time.values, [0.005, 0.055, 0.105])
    assert traj.element.values.tolist() == ["K", "Cl"]
    assert traj.mass.values.tolist() == [39.0983, 35.453]
    np.testing.assert_allclose(
        traj.position.values[1], [[1, 0.01, -2.5], [2, 0.01, -2.5]]
    )
    np.testing.assert_allclose(
        traj.velocity.values[2], [[1.5, -2.25, 1], [1.5, -2.25, 2]]
    )
    np.testing.assert_allclose(traj.cell.values[:, 0, 0], [10, 9.999, 9.998])
    assert traj.attrs["periodic"] == "111"


def test_history_without_velocities_and_in_a_slab(tmp_path: Path) -> None:
    slab = open_trajectory(written(tmp_path, history(level=0, imcon=6)))
    assert "velocity" not in slab
    assert slab.attrs["periodic"] == "110"
    for imcon in (4, 5, 7):
        with pytest.raises(FileFormatError, match=f"imcon = {imcon}"):
            open_trajectory(written(tmp_path, history(imcon=imcon)))
    rows = history(imcon=2).splitlines(keepends=True)
    del rows[3:6]  # the first cell
    with pytest.raises(FileFormatError, match=r"imcon = 2\) declares a cell"):
        open_trajectory(written(tmp_path, "".join(rows)))


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("n_atoms", [1, 2])
def test_a_history_without_boundaries_asks_for_the_cell(
    tmp_path: Path, level: int, n_atoms: int
) -> None:
    """DL_POLY 4 writes the cell vectors nevertheless; without, atoms follow at once."""
    with_vectors = history(level=level, imcon=0)
    rows = [r for r in with_vectors.splitlines() if not re.match(r" +\d+\.\d{4} ", r)]
    if n_atoms == 1:  # fewer lines than the cell vectors would have
        rows = [
            r
            for n, r in enumerate(rows)
            if n < 2 or (n - 2) % (5 + 2 * level) < 3 + level
        ]
        rows = [re.sub(r"(timestep +\d+ +)2", r"\g<1>1", row) for row in rows]
    path = written(tmp_path, "\n".join(rows) + "\n", "HISTORY")
    with pytest.raises(
        QuantityError, match=r"HISTORY has no cell\n.*cell='20 angstrom'"
    ):
        open_trajectory(path)
    traj = open_trajectory(path, cell="10 angstrom")
    assert traj.attrs["periodic"] == "000"
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 10, 10]))
    whole = open_trajectory(written(tmp_path, with_vectors, "WHOLE"))
    atoms = slice(2 - n_atoms, None)
    for name in ("position", "time", *(["velocity"] if level else [])):
        wanted = whole.isel(atom=atoms)[name].values
        np.testing.assert_array_equal(traj[name].values, wanted)


def test_times_of_a_history_agree_with_its_steps(tmp_path: Path) -> None:
    text = history()
    first = re.findall(r"timestep.*", text)[-1]
    words = first.split()
    wrong = " ".join([*words[:6], str(1000 * float(words[6]))])
    with pytest.raises(FileFormatError, match="contradict its steps"):
        open_trajectory(written(tmp_path, text.replace(first, wrong)))


def test_history_keeps_uneven_times(tmp_path: Path) -> None:
    traj = open_trajectory(written(tmp_path, history(steps=(1, 2, 4, 8))))
    np.testing.assert_allclose(traj.time.values, [0.005, 0.01, 0.02, 0.04])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timestep": "1 fs"}, "timestep=0.001 ps contradicts"),
        ({"time_between_frames": "1 ps"}, "time_between_frames=1 ps contradicts"),
        ({"units": "metal"}, "units='metal' is not used"),
        ({"lj": "argon"}, "lj='argon' is not used"),
        ({"elements": {"Na+": "Na"}}, "elements= names 'Na[+]'"),
        ({"elements": {"K+": "Na", "Cl-": "Cl"}}, "mass of Na .* 39.0983 u"),
        ({"topology": "x.pdb"}, "topology='x.pdb' is not used"),
    ],
)
def test_what_contradicts_a_history_is_refused(
    tmp_path: Path, options: dict[str, object], says: str
) -> None:
    with pytest.raises(QuantityError, match=says):
        open_trajectory(written(tmp_path, history()), **options)
    same = {
        "timestep": "5 fs",
        "time_between_frames": "0.05 ps",
        "elements": {"K+": "K", "Cl-": "Cl"},
    }
    assert open_trajectory(
        tmp_path / "a.lammpstrj", **same
    ).element.values.tolist() == ["K", "Cl"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("timestep        11", "timestep        xx", "frame 1 .*\n.*xx"),
        (
            "timestep        11         2",
            "timestep        11         3",
            "frame 1: atoms, levels, imcon changed",
        ),
        ("9.9980", "0.0000", "volume of 0"),
        ("9.9980", "   nan", "volume of nan"),
    ],
)
def test_damaged_history(tmp_path: Path, old: str, new: str, says: str) -> None:
    text = history()
    assert old in text
    with pytest.raises(FileFormatError, match=says):
        open_trajectory(written(tmp_path, text.replace(old, new)))
    with pytest.raises(FileFormatError, match="cut short in frame 2"):
        open_trajectory(written(tmp_path, text[:-80]))
    assert (
        open_trajectory(written(tmp_path, text[:-80]), truncated="drop").sizes["time"]
        == 2
    )


# --- VASP's XDATCAR ---------------------------------------------------------------------------------------------------

HEADER = "  a system\n  2.0\n 5 0 0\n 0 5 0\n 0 1 5\n  Cu Zr\n  1 1\n"
FRACTIONS = np.array(
    [[[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], [[0.101, 0.2, 0.3], [0.4, 0.5, 0.6]]]
)


def rows(frame: int) -> str:
    return "".join(
        "".join(f"{x:12.8f}" for x in row) + "\n" for row in FRACTIONS[frame]
    )


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "Direct configuration=     1\n" + rows(0) + "Direct configuration=     2\n" + rows(1),
        HEADER + "\n" + rows(0) + "\n" + rows(1),
        HEADER + "\n" + rows(0) + "\n" + rows(1) + "\n\n",
        HEADER + "Konfig=     1\n" + rows(0) + "Konfig=     2\n" + rows(1),
        HEADER + "Direct configuration=     1\n" + rows(0) + HEADER + "Direct configuration=     2\n" + rows(1),
        HEADER.replace("  a system", "").replace("2.0", "-1000", 1) + "\n" + rows(0) + HEADER + "\n" + rows(1),
        HEADER + "Cartesian configuration= 1\n"
        + "".join(" ".join(map(str, r)) + "\n" for r in (FRACTIONS[0] @ [[5, 0, 0], [0, 5, 0], [0, 1, 5]]).tolist())
        + "Direct configuration=     2\n" + rows(1),
    ],
)  # fmt: skip
def test_xdatcar(tmp_path: Path, text: str) -> None:
    traj = open_trajectory(
        written(tmp_path, text, "any name"), time_between_frames="2 fs"
    )
    cell = 2 * np.array([[5.0, 0, 0], [0, 5, 0], [0, 1, 5]])
    np.testing.assert_allclose(traj.position.values, FRACTIONS @ cell, atol=1e-12)
    np.testing.assert_allclose(traj.cell.values, cell, atol=1e-12)
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    np.testing.assert_allclose(traj.time.values, [0, 0.002])
    with pytest.raises(UnitsError, match="time_between_frames"):
        open_trajectory(tmp_path / "any name")


def test_lengths_that_leave_no_room_for_atoms(tmp_path: Path) -> None:
    """In nm the cell is 1000 times too small, and every energy and Q is wrong."""
    text = HEADER.replace("2.0", "0.1", 1) + "\n" + rows(0) + "\n" + rows(1)
    path = written(tmp_path, text)
    with pytest.raises(FileFormatError, match="per atom"):
        open_trajectory(path, time_between_frames="2 fs")
    told = {"time_between_frames": "2 fs", "densest": "1e-6 angstrom^3"}
    assert open_trajectory(path, **told).sizes["time"] == 2


def test_xdatcar_whose_cell_changes_or_that_has_no_names(tmp_path: Path) -> None:
    second = HEADER.replace("2.0", "2.002")
    text = (
        HEADER
        + "Direct configuration= 1\n"
        + rows(0)
        + second
        + "Direct configuration= 2\n"
        + rows(1)
    )
    traj = open_trajectory(written(tmp_path, text), time_between_frames="2 fs")
    np.testing.assert_allclose(traj.cell.values[:, 0, 0], [10, 10.01])
    np.testing.assert_allclose(
        traj.position.values[1, 0], 1.001 * np.array([1.01, 2.6, 3])
    )
    bare = HEADER.replace("  Cu Zr\n", "") + "\n" + rows(0) + "\n" + rows(1)
    named = open_trajectory(
        written(tmp_path, bare), time_between_frames="2 fs", elements=["Al", "Ni"]
    )
    assert named.element.values.tolist() == ["Al", "Ni"]
    for options, says in (
        ({}, "elements .*are unknown"),
        ({"elements": ["Al"]}, "does not name 2"),
        ({"elements": ["Al", "Ni"], "timestep": 1}, "timestep=1 is not used"),
        ({"elements": ["Al", "Ni"], "units": "real"}, "units='real' is not used"),
    ):
        with pytest.raises(QuantityError, match=says):
            open_trajectory(
                written(tmp_path, bare), time_between_frames="2 fs", **options
            )
    with pytest.raises(FileFormatError, match="cut short in frame 1"):
        open_trajectory(
            written(tmp_path, bare[:-40]),
            time_between_frames="2 fs",
            elements=["Al", "Ni"],
        )


def numbered(*numbers: object) -> str:
    return HEADER + "".join(
        f"Direct configuration= {n}\n" + rows(i % 2) for i, n in enumerate(numbers)
    )


@pytest.mark.parametrize(
    "numbers", [(1, 2, 4, 8), (1, 2, 1, 2), (1, 1), (3, 2), (1, 2, "******", 5)]
)
def test_xdatcar_whose_frames_are_not_equally_spaced(
    tmp_path: Path, numbers: tuple[object, ...]
) -> None:
    path = written(tmp_path, numbered(*numbers))
    with pytest.raises(
        QuantityError,
        match=r"time_between_frames= contradicts .*: frame \d follows frame \d",
    ):
        open_trajectory(path, time_between_frames="2 fs")
    assert (
        open_trajectory(path, time_between_frames="2 fs", frames=slice(0, 1)).sizes[
            "time"
        ]
        == 1
    )


@pytest.mark.parametrize(
    "numbers",
    [(1, 2, 3), (10, 20, 30), (999999, "******", "******"), ("", "", ""), (4, "", 6)],
)
def test_xdatcar_whose_frames_are_equally_spaced(
    tmp_path: Path, numbers: tuple[object, ...]
) -> None:
    traj = open_trajectory(
        written(tmp_path, numbered(*numbers)), time_between_frames="2 fs"
    )
    np.testing.assert_allclose(traj.time.values, [0, 0.002, 0.004])
    part = open_trajectory(
        written(tmp_path, numbered(1, 2, 4)),
        time_between_frames="2 fs",
        frames=slice(0, 2),
    )
    assert part.sizes["time"] == 2


# --- extended XYZ -----------------------------------------------------------------------------------------------------

LATTICE = 'Lattice="10 0 0 0 10 0 0 0 10"'
POSITIONS = [
    [[1, 2, 3], [4, 5, 6]],
    [[1.01, 2, 3], [4, 5, 6]],
    [[1.02, 2, 3], [4, 5, 6]],
]
SPEED = [[0.5, 0, 0], [0, -0.25, 0]]


def xyz(
    comment: str,
    column: str = "",
    factor: float = 1.0,
    masses: bool = False,
    n: int = 3,
) -> str:
    text = ""
    for frame in range(n):
        properties = (
            "Properties=species:S:1:pos:R:3"
            + ":mass:R:1" * masses
            + (f":{column}:R:3" if column else "")
        )
        text += f"2\n{comment.format(n=frame, fs=20.0 * frame, log=2**frame)} {LATTICE} {properties}\n"
        for name, mass, r, v in zip(
            ("Cu", "Zr"), (63.546, 91.224), POSITIONS[frame], SPEED, strict=True
        ):
            scale = factor * (mass if column == "momenta" else 1)
            text += " ".join([name, *map(str, r), *([str(mass)] * masses)])
            text += (
                " " + " ".join(repr(float(x * scale)) for x in v) if column else ""
            ) + "\n"
    return text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "options"),
    [
        (xyz('Time={fs} pbc="T T T"', "vel", 1e-3, masses=True), {}),
        (
            xyz('Time={fs} pbc="T T T"', "vel", 1e-3),
            {"units": "real", "time_between_frames": "20 fs"},
        ),
        (xyz("Timestep={n} Time={fs}", "vel", 1e-3), {"units": "real"}),
        (xyz("Timestep={n}", "velo"), {"units": "metal", "timestep": "20 fs"}),
        (xyz("", "velocities"), {"units": "metal", "time_between_frames": "20 fs"}),
        (xyz("", "momenta", 1 / ASE), {"time_between_frames": "20 fs"}),
        (xyz("step={n}", "momenta", 1 / ASE, masses=True), {"timestep": "20 fs"}),
    ],
)
def test_velocities_of_extended_xyz_are_those_of_their_producer(
    tmp_path: Path, text: str, options: dict[str, str]
) -> None:
    traj = open_trajectory(written(tmp_path, text, "a.xyz"), **options)
    np.testing.assert_allclose(traj.position.values, POSITIONS)
    np.testing.assert_allclose(traj.velocity.values, [SPEED] * 3, rtol=1e-5)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    packed = open_trajectory(
        written(tmp_path, gzip.compress(text.encode()), "b"), **options
    )
    np.testing.assert_array_equal(packed.velocity.values, traj.velocity.values)


@pytest.mark.parametrize(
    ("text", "options", "error", "says"),
    [
        (
            xyz("", "vel"),
            {"time_between_frames": "20 fs"},
            UnitsError,
            "units of the column vel",
        ),
        (
            xyz("Time={fs}", "vel", 1e-3),
            {"units": "metal"},
            QuantityError,
            "units='metal' is not used",
        ),
        (
            xyz("Time={fs}", "vel", 1e-3),
            {"time_between_frames": "1 ps"},
            QuantityError,
            "contradicts",
        ),
        (
            xyz("Time={fs}", "vel", 1e-3),
            {"timestep": "1 fs"},
            QuantityError,
            "timestep=.*1 fs.* is not used",
        ),
        (xyz("Time={fs}", "vel", 1.0), {}, QuantityError, "velocities .* K"),
        (xyz("time={fs}"), {}, UnitsError, "time"),
        (xyz(""), {}, UnitsError, "time between its frames"),
        (
            xyz("", "momenta"),
            {"units": "metal", "time_between_frames": 1},
            QuantityError,
            "units='metal' is not used",
        ),
        (
            xyz("step={log}"),
            {"time_between_frames": "20 fs"},
            QuantityError,
            "not equally spaced",
        ),
        (
            xyz("time={log}"),
            {"time_between_frames": "20 fs"},
            QuantityError,
            "not equally spaced",
        ),
        (
            xyz("config_type=liquid"),
            {"time_between_frames": "1 ps"},
            FileFormatError,
            "config_type= but no time",
        ),
        (
            xyz("energy_weight=2"),
            {"time_between_frames": "1 ps"},
            FileFormatError,
            "energy_weight= but no time",
        ),
        (
            xyz("weight=2 config_type=a"),
            {"timestep": "1 fs"},
            FileFormatError,
            "set of configurations",
        ),
        (
            xyz("").replace("1.02 2", "6.0 7"),
            {"time_between_frames": "1 fs"},
            QuantityError,
            "atoms move by",
        ),
        (
            xyz("").replace("Cu", "A"),
            {"time_between_frames": "1 fs"},
            QuantityError,
            "'A' is not an element",
        ),
        (
            xyz("", masses=True),
            {"time_between_frames": 1, "elements": {"Cu": "Al"}},
            QuantityError,
            "mass of Al",
        ),
        (
            xyz("", n=2) + xyz("").replace("10 0 0 0 10", "10 0 0 10 0"),
            {},
            FileFormatError,
            "frame 2.*volume of 0",
        ),
        (
            xyz("").replace("10 0 0 0 10", "nan 0 0 0 10"),
            {},
            FileFormatError,
            "volume of nan",
        ),
        (
            xyz("").replace("10 0 0 0 10", "10 0 0 10"),
            {},
            FileFormatError,
            "nine numbers",
        ),
        (xyz("") + "0\n\n", {}, FileFormatError, "frame 3: it begins with '0'"),
        (xyz("").replace("pos:R:3", "pos:R:2"), {}, FileFormatError, "no positions"),
    ],
)
def test_extended_xyz_that_is_not_known_is_asked_or_refused(
    tmp_path: Path,
    text: str,
    options: dict[str, object],
    error: type[XbpError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        open_trajectory(written(tmp_path, text), **options)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (xyz("Time={fs} time_unit=fs vel_unit=Å/fs", "vel", 1e-3), {}),
        (xyz("time={fs} time_units=fs velocity_unit=nm/ps", "vel", 0.1), {}),
        (xyz("units=real time={fs}", "vel", 1e-3), {}),
        (xyz("units=Metal step={n}", "vel"), {"timestep": "20 fs"}),
        (xyz("time={fs} time_unit=fs units=ase", "momenta", 1 / ASE), {}),
        (xyz("units=real time={fs} time_unit=fs", "vel", 1e-3), {"units": "real"}),
        (xyz("time_fs={fs} vel_unit=Å/ps", "vel"), {"time_between_frames": "20 fs"}),
        (xyz('time="{fs} fs" vel_unit=Å/ps', "vel"), {}),
        (xyz('"time (fs)"={fs}fs velocity_units=Å/ps', "vel"), {}),
    ],
)  # fmt: skip
def test_units_that_a_comment_declares(
    tmp_path: Path, text: str, options: dict[str, str]
) -> None:
    traj = open_trajectory(written(tmp_path, text, "a.xyz"), **options)
    np.testing.assert_allclose(traj.position.values, POSITIONS)
    np.testing.assert_allclose(traj.velocity.values, [SPEED] * 3, rtol=1e-5)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])


def test_lengths_that_a_comment_declares(tmp_path: Path) -> None:
    text = xyz("time={fs} time_unit=fs length_unit=nm")
    traj = open_trajectory(written(tmp_path, text, "a.xyz"))
    np.testing.assert_allclose(traj.position.values, 10 * np.array(POSITIONS))
    np.testing.assert_allclose(traj.cell.values, 100 * np.eye(3))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (xyz("time={fs} time_unit=days_of_rain"), {}),
        (xyz("time={fs} time_unit=Å"), {}),
        (xyz("Time={fs} time_unit=ps", "vel", 1e-3), {}),
        (xyz("units=furlongs step={n}", "vel"), {"timestep": "20 fs"}),
        (xyz("units=metal step={n}", "vel"), {"timestep": "20 fs", "units": "real"}),
        (xyz("time_unit=fs time={fs}", "vel"), {"units": "metal"}),
        (xyz("units=metal time={fs} time_unit=fs", "vel"), {}),
        (xyz("time_unit=fs time={fs}"), {"time_between_frames": "20 ps"}),
        (xyz("units=metal step={n}", "momenta"), {"timestep": "20 fs"}),
        (xyz("time_fs={fs}"), {"time_between_frames": "20 ps"}),
        (xyz("time={fs}fs"), {"time_between_frames": "20 ps"}),
        (xyz("lattice_unit=nm time_fs={fs}"), {}),
        (xyz("coords=fractional time_fs={fs}"), {}),
        (xyz("time={fs} time_unit=fs").replace("time_unit=fs", "time_unit=ps", 1), {}),
    ],
)  # fmt: skip
def test_units_that_are_unknown_or_contradict_are_refused(
    tmp_path: Path, text: str, options: dict[str, str]
) -> None:
    with pytest.raises(XbpError):
        open_trajectory(written(tmp_path, text, "a.xyz"), **options)


def test_log_spaced_frames_keep_their_times(tmp_path: Path) -> None:
    traj = open_trajectory(written(tmp_path, xyz("step={log}")), timestep="10 fs")
    np.testing.assert_allclose(traj.time.values, [0.01, 0.02, 0.04])
    one = open_trajectory(written(tmp_path, xyz("config_type=a")), frames=slice(1, 2))
    assert one.sizes["time"] == 1


def test_ids_of_extended_xyz_sort_its_atoms(tmp_path: Path) -> None:
    def frame(atoms: list[tuple[str, float, int]], n: int) -> str:
        head = f'2\nStep={n} Origin="1 1 1" pbc="T T F" {LATTICE} Properties=species:S:1:pos:R:3:id:I:1\n'
        return head + "".join(f"{name} {x} 2 3 {i}\n" for name, x, i in atoms)

    text = frame([("Cu", 1, 1), ("Zr", 5, 2)], 0) + frame(
        [("Zr", 5.01, 2), ("Cu", 1.01, 1)], 1
    )
    traj = open_trajectory(written(tmp_path, text), timestep="20 fs")
    np.testing.assert_allclose(traj.position.values[..., 0], [[0, 4], [0.01, 4.01]])
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    assert traj.attrs["periodic"] == "110"


# --- LAMMPS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "length", "time", "speed"),
    [
        ("si", 1e-10, 1e-12, 1e2),
        ("cgs", 1e-8, 1e-12, 1e4),
        ("micro", 1e-4, 1e-6, 1e2),
        ("nano", 1e-1, 1e-3, 1e2),
        ("electron", 1 / 0.529177210544, 1e3, 1.03275e-3 / 0.529177210544),
        ("real", 1.0, 1e3, 1e-3),
        ("metal", 1.0, 1.0, 1.0),
    ],
)
def test_every_style_of_units(
    tmp_path: Path, units: str, length: float, time: float, speed: float
) -> None:
    """What one Å, ps and Å/ps is in each, from LAMMPS's page of units."""
    origin = np.array([-4.0, 1.0, 2.5])
    text = ""
    for n in range(2):
        text += f"ITEM: TIME\n{0.02 * n * time!r}\nITEM: TIMESTEP\n{n}\nITEM: NUMBER OF ATOMS\n6\n"
        text += "ITEM: BOX BOUNDS pp pp pp\n" + "".join(
            f"{o * length!r} {(o + 10) * length!r}\n" for o in origin.tolist()
        )
        text += "ITEM: ATOMS id element xu yu zu vx vy vz\n"
        for i in range(6):
            r, v = (SCALED[n, i] @ CELL + origin) * length, VELOCITY[n, i] * speed
            text += f"{i + 1} Cu " + " ".join(repr(float(x)) for x in (*r, *v)) + "\n"
    traj = open_trajectory(written(tmp_path, text), units=units)
    np.testing.assert_allclose(
        traj.position.values, SCALED[:2] @ CELL, rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(traj.velocity.values, VELOCITY[:2], rtol=1e-6)
    np.testing.assert_allclose(traj.time.values, [0, 0.02])
    np.testing.assert_allclose(traj.cell.values, 10 * np.eye(3), rtol=1e-9)


def test_a_data_file_and_a_dump_have_one_origin(tmp_path: Path) -> None:
    text = (
        "LAMMPS data file via write_data, version 1, timestep = 0, units = real\n\n2 atoms\n2 atom types\n\n"
        "-4 6 xlo xhi\n1 11 ylo yhi\n2.5 12.5 zlo zhi\n1 0.5 -2 xy xz yz\n\nMasses\n\n1 63.546 # Cu\n2 91.224\n\n"
        "Atoms # charge\n\n2 1 0.3 1 2 3 1 0 -1\n1 2 -0.3 4 5 6 0 0 0\n\nVelocities\n\n1 0.001 0 0\n2 0 0.002 0\n"
    )
    traj = open_trajectory(written(tmp_path, text, "a.data"))
    assert traj.element.values.tolist() == ["Zr", "Cu"]
    np.testing.assert_allclose(
        traj.cell.values, [[10, 0, 0], [1, 10, 0], [0.5, -2, 10]]
    )
    np.testing.assert_allclose(
        traj.position.values[0], [[8, 4, 3.5], [5 + 10 - 0.5, 1 + 2, 0.5 - 10]]
    )
    np.testing.assert_allclose(traj.velocity.values[0], [[1, 0, 0], [0, 2, 0]])
    for options, error, says in (
        ({"units": "metal"}, UnitsError, "units='metal'.*states 'real'"),
        ({"timestep": "1 fs"}, QuantityError, "timestep='1 fs' is not used"),
        (
            {"time_between_frames": "1 fs"},
            QuantityError,
            "time_between_frames='1 fs' is not used",
        ),
        ({"elements": ["Zr", "Cu"]}, QuantityError, "mass of"),
        ({"lj": "argon"}, UnitsError, "lj='argon' is only for units='lj', not 'real'"),
    ):
        with pytest.raises(error, match=says):
            open_trajectory(tmp_path / "a.data", **options)
    for old, new, says in (
        ("2 91.224", "2 100", "type 2 has the mass 100"),
        ("# charge", "# exotic", "'exotic'"),
        ("\n1 2 -0.3 4 5 6 0 0 0", "", "1 rows in Atoms"),
        ("2 1 0.3 1", "1 1 0.3 1", "twice"),
        ("2.5 12.5 zlo", "2.5 x zlo", "'x'"),
        ("2.5 12.5 zlo", "2.5 2.5 zlo", "the cell has the sides"),
        ("1 0.001", "3 0.001", "velocities are those of other atoms"),
    ):
        assert old in text
        damaged = written(tmp_path, text.replace(old, new))
        with pytest.raises(XbpError, match=says):
            open_trajectory(damaged)


def test_a_data_file_of_reduced_units_and_labels(tmp_path: Path) -> None:
    text = (
        "by hand\n\n1 atoms\n1 atom types\n\n0 2 xlo xhi\n0 2 ylo yhi\n0 2 zlo zhi\n\n"
        "Atom Type Labels\n\n1 Ar\n\nMasses\n\nAr 1.0\n\nAtoms # atomic\n\n1 Ar 1 0.5 0.25\n"
    )
    traj = open_trajectory(written(tmp_path, text), units="lj", lj="argon")
    np.testing.assert_allclose(traj.position.values[0, 0], [3.4, 1.7, 0.85])
    assert traj.mass.values.tolist() == [39.948]
    assert traj.element.values.tolist() == ["Ar"]


# --- through ASE and MDAnalysis ---------------------------------------------------------------------------------------


def castep(n: int) -> str:
    """Hartree's atomic units; frames 1 fs apart."""
    text = " BEGIN header\n\n END header\n\n"
    for frame in range(n):
        text += f"   {41.341373336 * frame:22.16E}\n   -1.0 -1.0 1.0E-03  <-- E\n   9.5E-04  <-- T\n"
        text += "".join(
            "   " + " ".join(f"{20.0 * (i == j):.8E}" for j in range(3)) + "  <-- h\n"
            for i in range(3)
        )
        for tag, vectors in (
            ("R", [[1 + 1e-3 * frame, 2, 3], [4, 5, 6]]),
            ("V", [[1e-4, 0, 0], [0, 2e-4, 0]]),
        ):
            for atom, row in enumerate(vectors):
                text += (
                    f" Cu {atom + 1:8d}   "
                    + " ".join(f"{x:.8E}" for x in row)
                    + f"  <-- {tag}\n"
                )
        text += (
            "".join(f" Cu {atom + 1:8d}   0.0 0.0 0.0  <-- F\n" for atom in range(2))
            + "\n"
        )
    return text


def test_castep_md_states_its_times(tmp_path: Path) -> None:
    pytest.importorskip("ase")
    traj = open_trajectory(written(tmp_path, castep(3), "a.md"))
    np.testing.assert_allclose(traj.time.values, [0, 1e-3, 2e-3], rtol=1e-4)
    np.testing.assert_allclose(
        traj.velocity.values[1], [[2.1876913, 0, 0], [0, 4.3753826, 0]], rtol=1e-5
    )
    np.testing.assert_allclose(
        traj.position.values[0, 0], 0.52917721 * np.array([1, 2, 3]), rtol=1e-6
    )
    with pytest.raises(QuantityError, match=r"time_between_frames=20 fs contradicts"):
        open_trajectory(tmp_path / "a.md", time_between_frames="20 fs")


VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling><parameters><separator name="ionic"><i name="POTIM">2.0</i></separator></parameters>
 <kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
 <atominfo><atoms>2</atoms><types>2</types>
 <array name="atoms"><set><rc><c>Cu</c><c>1</c></rc><rc><c>Zr</c><c>2</c></rc></set></array></atominfo>
 <structure name="initialpos"><crystal><varray name="basis"><v>10 0 0</v><v>0 10 0</v><v>0 0 10</v></varray></crystal>
 <varray name="positions"><v>0.1 0.2 0.3</v><v>0.4 0.5 0.6</v></varray></structure>
 CALCULATIONS
</modeling>"""
CALCULATION = """<calculation><scstep><energy><i name="e_fr_energy">-1</i><i name="e_wo_entrp">-1</i>
 <i name="e_0_energy">-1</i></energy></scstep><structure><crystal><varray name="basis"><v>10 0 0</v><v>0 10 0</v>
 <v>0 0 10</v></varray></crystal><varray name="positions"><v>X 0.2 0.3</v><v>0.4 0.5 0.6</v></varray></structure>
 <varray name="forces"><v>0 0 0</v><v>0 0 0</v></varray><energy><i name="e_fr_energy">-1</i>
 <i name="e_wo_entrp">-1</i><i name="e_0_energy">-1</i></energy></calculation>"""
OUTCAR = (
    " vasp.5.4.4\n   VRHFIN =Cu: d10 p1\n POTCAR:    PAW_PBE Cu 22Jun2005\n   VRHFIN =Zr: 4s4p5s4d\n"
    " POTCAR:    PAW_PBE Zr_sv 04Jan2005\n   POTCAR:    PAW_PBE Cu 22Jun2005\n   POTCAR:    PAW_PBE Zr_sv 04Jan2005\n"
    "   ions per type =               1   1\n   NKPTS =      1\n   ISPIN  =      1\n"
)
OUTCAR_STEP = (
    "----------------------------------------- Iteration    1(   1)  ---------------------------------------\n"
    "      direct lattice vectors                 reciprocal lattice vectors\n"
    "    10.000000000  0.000000000  0.000000000     0.1  0.000000000  0.000000000\n"
    "     0.000000000 10.000000000  0.000000000     0.000000000  0.1  0.000000000\n"
    "     0.000000000  0.000000000 10.000000000     0.000000000  0.000000000  0.1\n\n"
    " POSITION                                       TOTAL-FORCE (eV/Angst)\n"
    " -----------------------------------------------------------------------------------\n"
    "      X      2.00000      3.00000         0.000000      0.000000      0.000000\n"
    "      4.00000      5.00000      6.00000         0.000000      0.000000      0.000000\n"
    " -----------------------------------------------------------------------------------\n"
    "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  ---------------------------------------------------\n"
    "  free  energy   TOTEN  =        -1.0 eV\n\n  energy  without entropy=       -1.0  energy(sigma->0) =       -1.0\n"
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vasprun.xml", VASPRUN.replace("CALCULATIONS", "".join(CALCULATION.replace("X", x) for x in ("0.1", "0.101", "0.102")))),
        ("OUTCAR", OUTCAR + "".join(OUTCAR_STEP.replace("X", x) for x in ("1.00000", "1.01000", "1.02000"))),
    ],
)  # fmt: skip
def test_vasp_through_ase(tmp_path: Path, name: str, text: str) -> None:
    pytest.importorskip("ase")
    traj = open_trajectory(written(tmp_path, text, name), time_between_frames="2 fs")
    np.testing.assert_allclose(
        traj.position.values[..., 0], [[1, 4], [1.01, 4], [1.02, 4]]
    )
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    np.testing.assert_allclose(traj.cell.values, 10 * np.eye(3))
    for given in ({"timestep": "2 fs"}, {"units": "real"}, {"lj": "argon"}):
        with pytest.raises(QuantityError, match=rf"{next(iter(given))}=.* is not used"):
            open_trajectory(tmp_path / name, time_between_frames="2 fs", **given)
    with pytest.raises(UnitsError, match="time_between_frames"):
        open_trajectory(tmp_path / name)


def test_a_poscar_and_what_ase_makes_wrong(tmp_path: Path) -> None:
    pytest.importorskip("ase")
    poscar = "x\n1.0\n10 0 0\n0 10 0\n0 0 10\nCu\n2\nDirect\n0.1 0.2 0.3\n0.4 0.5 0.6\n\n0.001 0 0\n0 0.002 0\n"
    traj = open_trajectory(written(tmp_path, poscar, "POSCAR"))
    np.testing.assert_allclose(
        traj.velocity.values[0], [[1, 0, 0], [0, 2, 0]], rtol=1e-6
    )
    config = "title\n 1 1 1\n 10 0 0\n 0 10 0\n 0 0 10\nK+ 1\n 1 2 3\n 1 0.5 0.25\n"
    gro = "t= 1.5\n 1\n    1CU      CU    1   0.126   1.624   1.679  0.1227 -0.0580  0.0434\n   1.8   1.8   1.8\n"
    pdb = "CRYST1   10.000   11.000   12.000  90.00  90.00  90.00 P 1\n" + "".join(
        f"MODEL     {n}\nATOM      1  CA  MOL     1       1.0{n}0   2.000   3.000  1.00  0.00            \nENDMDL\n"
        for n in (1, 2)
    )
    for name, text in (
        ("CONFIG", config),
        ("a.gro", gro),
        ("a.pdb", pdb + "END\n"),
        ("a.xyz", "1\nno cell\nCu 0 0 0\n"),
    ):
        path = written(tmp_path, text, name)
        with pytest.raises(XbpError, match=rf"{name}|volume 0"):
            open_trajectory(path, time_between_frames=1)


@pytest.mark.filterwarnings("ignore")
def test_names_that_are_no_elements_are_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("MDAnalysis")
    pdb = "".join(
        f"MODEL     {n}\nCRYST1   10.000   11.000   12.000  90.00  90.00  90.00 P 1           1\nATOM      1  CA  MOL A   1       1.0{n}0   2.000   3.000  1.00  0.00\n"
        f"ATOM      2  CB  MOL A   1       4.000   5.000   6.000  1.00  0.00\nENDMDL\n"
        for n in (1, 2)
    )
    path = written(tmp_path, pdb + "END\n", "a.pdb")
    with pytest.raises(UnitsError, match="time_between_frames"):
        open_trajectory(path, topology=path)
    with pytest.raises(QuantityError, match="unknown for atoms called CA, CB"):
        open_trajectory(path, topology=path, time_between_frames="20 fs")
    traj = open_trajectory(
        path,
        topology=path,
        time_between_frames="20 fs",
        elements={"CA": "C", "CB": "C"},
    )
    np.testing.assert_allclose(traj.position.values[:, 0, 0], [1.01, 1.02], atol=1e-6)
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]))
    gro = "t= 1.5\n 2\n" + "".join(
        f"    1MOL     {n}    {i}   0.126   1.624   1.679  0.1227 -0.0580  0.0434\n"
        for i, n in ((1, "Cu"), (2, "Zr"))
    )
    path = written(tmp_path, gro + "   1.8   1.8   1.8\n", "a.gro")
    one = open_trajectory(path, topology=path)
    assert one.element.values.tolist() == ["Cu", "Zr"]
    np.testing.assert_allclose(
        one.velocity.values[0, 0], [1.227, -0.58, 0.434], rtol=1e-4
    )
    np.testing.assert_allclose(
        one.position.values[0, 0], [1.26, 16.24, 16.79], rtol=1e-5
    )


def dcd(title: bytes, every: int = 10, delta: float = 0.002) -> bytes:
    """As LAMMPS and CHARMM write it: header, titles, number of atoms; for each frame the cell, x, y and z."""

    def record(data: bytes) -> bytes:
        return struct.pack("<i", len(data)) + data + struct.pack("<i", len(data))

    control = [3, 5 * every, every, 3 * every, 0, 0, 0, 0, 0]
    out = record(
        b"CORD"
        + struct.pack("<9i", *control)
        + struct.pack("<f", delta)
        + struct.pack("<10i", 1, *[0] * 8, 24)
    )
    out += record(struct.pack("<i", 1) + title.ljust(80)) + record(struct.pack("<i", 2))
    for frame in range(3):
        out += record(struct.pack("<6d", 10, 90, 10, 90, 90, 10))
        for axis in range(3):
            out += record(
                struct.pack("<2f", (1 + 0.01 * frame, 2, 3)[axis], (4, 5, 6)[axis])
            )
    return out


DATA = (
    "by hand\n\n2 atoms\n2 atom types\n\n0 10 xlo xhi\n0 10 ylo yhi\n0 10 zlo zhi\n\nMasses\n\n1 63.546\n2 91.224\n\n"
    "Atoms # atomic\n\n2 2 4 5 6\n1 1 1 2 3\n"
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "title", [b"Written by LAMMPS", b"REMARKS CHARMM", b"Created by another program"]
)
def test_the_time_in_the_header_of_a_dcd_is_not_believed(
    tmp_path: Path, title: bytes
) -> None:
    pytest.importorskip("MDAnalysis")
    path, top = (
        written(tmp_path, dcd(title), "a.dcd"),
        written(tmp_path, DATA, "top.data"),
    )
    told = {
        "topology": top,
        "elements": ["Cu", "Zr"],
        **({"units": "metal"} if b"LAMMPS" in title else {}),
    }
    with pytest.raises(UnitsError, match="time"):
        open_trajectory(path, **told)
    if b"another" in title:
        with pytest.raises(QuantityError, match="timestep='2 fs' is not used"):
            open_trajectory(path, timestep="2 fs", **told)
    else:
        counted = open_trajectory(path, timestep="2 fs", **told)
        np.testing.assert_allclose(counted.time.values, [0.1, 0.12, 0.14])
        with pytest.raises(
            QuantityError, match=r"time_between_frames=30 fs contradicts"
        ):
            open_trajectory(path, timestep="2 fs", time_between_frames="30 fs", **told)
    traj = open_trajectory(path, time_between_frames="20 fs", **told)
    np.testing.assert_allclose(np.diff(traj.time.values), 0.02)
    np.testing.assert_allclose(
        traj.position.values[..., 0], [[1, 4], [1.01, 4], [1.02, 4]], rtol=1e-6
    )
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    # Masses are in u where the units are known, and show the elements.
    unnamed = {**told, "elements": None}
    if b"LAMMPS" in title:
        found = open_trajectory(path, time_between_frames="20 fs", **unnamed)
        assert found.element.values.tolist() == ["Cu", "Zr"]
    else:
        with pytest.raises(QuantityError, match=r"elements .* unknown"):
            open_trajectory(path, time_between_frames="20 fs", **unnamed)
    for changed, error, says in (
        ({"elements": ["Zr", "Cu"]}, QuantityError, "mass of Cu"),
        ({"units": "lj"}, UnitsError, "lj=None"),
    ):
        with pytest.raises(error, match=says):
            open_trajectory(path, time_between_frames="20 fs", **{**told, **changed})
    reduced = {**told, "units": "lj", "lj": "argon", "masses": {"Cu": 60, "Zr": 90}}
    scaled = open_trajectory(path, time_between_frames="20 fs", **reduced)
    assert scaled.position.values[0, 0, 0] == pytest.approx(3.4)
    assert scaled.cell.values[0, 0] == pytest.approx(34)


def test_a_dcd_opens_and_reads_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("MDAnalysis")
    path, top = (
        written(tmp_path, dcd(b"REMARKS CHARMM"), "a.dcd"),
        written(tmp_path, DATA, "top.data"),
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        traj = open_trajectory(
            path, topology=top, elements=["Cu", "Zr"], timestep="2 fs", chunk_frames=1
        )
        assert traj.position.compute().shape == (3, 2, 3)
    assert [str(one.message) for one in said] == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("timed", [True, False])
def test_ambers_netcdf(tmp_path: Path, timed: bool) -> None:
    pytest.importorskip("MDAnalysis")
    with netCDF4.Dataset(
        tmp_path / "a.ncdf", "w", format="NETCDF3_64BIT_OFFSET"
    ) as file:
        file.setncatts(
            {
                "Conventions": "AMBER",
                "ConventionVersion": "1.0",
                "program": "by hand",
                "programVersion": "1",
            }
        )
        for name, size in (
            ("frame", None),
            ("spatial", 3),
            ("atom", 2),
            ("cell_spatial", 3),
            ("cell_angular", 3),
        ):
            file.createDimension(name, size)
        file.createDimension("label", 5)
        shapes = {"coordinates": ("angstrom", "atom", "spatial"), "velocities": ("angstrom/picosecond", "atom", "spatial"),
                  "cell_lengths": ("angstrom", "cell_spatial"), "cell_angles": ("degree", "cell_angular")}  # fmt: skip
        values = {"coordinates": POSITIONS, "velocities": np.array([SPEED] * 3) / 20.455,
                  "cell_lengths": [[10, 11, 12]] * 3, "cell_angles": [[90] * 3] * 3}  # fmt: skip
        for name, (units, *dims) in shapes.items():
            variable = file.createVariable(
                name,
                "f4" if name in ("coordinates", "velocities") else "f8",
                ("frame", *dims),
            )
            variable.units = units
            if name == "velocities":
                variable.scale_factor = 20.455
            variable.set_auto_scale(False)
            variable[:] = values[name]
        if timed:
            variable = file.createVariable("time", "f4", ("frame",))
            variable.units = "picosecond"
            variable[:] = [0, 0.02, 0.04]
    told = {"topology": written(tmp_path, DATA, "top.data"), "elements": ["Cu", "Zr"]}
    if not timed:
        with pytest.raises(UnitsError, match="time"):
            open_trajectory(tmp_path / "a.ncdf", **told)
        told["time_between_frames"] = "20 fs"
    traj = open_trajectory(tmp_path / "a.ncdf", **told)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04], atol=1e-7)
    np.testing.assert_allclose(traj.position.values, POSITIONS, rtol=1e-6)
    np.testing.assert_allclose(traj.velocity.values, [SPEED] * 3, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_ambers_text_has_no_time(tmp_path: Path) -> None:
    pytest.importorskip("MDAnalysis")
    text = "title\n"
    for frame in POSITIONS:
        text += (
            "".join(f"{x:8.3f}" for x in np.ravel(frame))
            + "\n"
            + "".join(f"{x:8.3f}" for x in (10, 11, 12))
            + "\n"
        )
    path = written(tmp_path, text, "a.mdcrd")
    told = {"topology": written(tmp_path, DATA, "top.data"), "elements": ["Cu", "Zr"]}
    with pytest.raises(UnitsError, match="time"):
        open_trajectory(path, **told)
    traj = open_trajectory(path, time_between_frames="20 fs", **told)
    np.testing.assert_allclose(traj.position.values, POSITIONS, atol=1e-6)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])


@pytest.mark.filterwarnings("ignore")
def test_one_atom_of_mass_0_does_not_discard_the_others(tmp_path: Path) -> None:
    pytest.importorskip("MDAnalysis")
    path, top = (
        written(tmp_path, dcd(b"REMARKS CHARMM"), "a.dcd"),
        written(tmp_path, DATA.replace("63.546", "0"), "t.data"),
    )
    traj = open_trajectory(
        path,
        topology=top,
        elements=["Cu", "Zr"],
        time_between_frames="20 fs",
        masses=None,
    )
    np.testing.assert_allclose(traj.mass.values, [63.546, 91.224], atol=1e-3)
    heavy = written(
        tmp_path, DATA.replace("63.546", "0").replace("91.224", "96"), "h.data"
    )
    traj = open_trajectory(
        path, topology=heavy, elements=["Cu", "Zr"], time_between_frames="20 fs"
    )
    np.testing.assert_allclose(traj.mass.values, [63.546, 96.0], atol=1e-3)


# --- what contradicts a dump ------------------------------------------------------------------------------------------


def timed(steps: list[int], times: list[float], **columns: str) -> str:
    text = dump(
        SCALED[: len(steps)],
        VELOCITY,
        columns.get("columns", STYLES["element"]),
        steps=1,
    )
    parts = text.split("ITEM: TIMESTEP\n")[1:]
    out = ""
    for part, step, time in zip(parts, steps, times, strict=True):
        out += (
            f"ITEM: TIME\n{time!r}\nITEM: TIMESTEP\n{step}\n" + part.split("\n", 1)[1]
        )
    return out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timestep": "1 fs"}, "timestep=1 fs contradicts"),
        ({"time_between_frames": "10 fs"}, "time_between_frames=10 fs contradicts"),
        ({"units": "metal", "timestep": "2 fs", "time_between_frames": "40 fs"}, "time_between_frames=40 fs contradicts"),
        ({"topology": "a.pdb"}, "topology='a.pdb' is not used"),
        ({"lj": "argon"}, "lj='argon' is only for units='lj', not 'metal'"),
        ({"masses": {"Al": 27}}, "masses= has the unknown key 'Al'"),
    ],
)  # fmt: skip
def test_what_contradicts_a_dump_is_refused(
    tmp_path: Path, options: dict[str, object], says: str
) -> None:
    path = written(tmp_path, timed([0, 10, 20], [0.0, 0.02, 0.04]))
    with pytest.raises(XbpError, match=says):
        open_trajectory(path, **{"units": "metal", **options})
    agreed = open_trajectory(
        path, units="metal", timestep="2 fs", time_between_frames="20 fs"
    )
    np.testing.assert_allclose(agreed.time.values, [0, 0.02, 0.04])


def test_elements_that_contradict_the_dump_are_refused(tmp_path: Path) -> None:
    both = "id type element mass xu yu zu vx vy vz"
    text = dump(SCALED, VELOCITY, "id type element xu yu zu vx vy vz")
    with pytest.raises(QuantityError, match=r"elements=.* contradicts"):
        open_trajectory(written(tmp_path, text), elements=["Cu", "Zr"], **METAL)
    assert (
        open_trajectory(
            tmp_path / "a.lammpstrj", elements=["Zr", "Cu"], **METAL
        ).element.values[0]
        == "Zr"
    )
    # LAMMPS writes C where its input names no elements.
    unnamed = text.replace(" Zr ", " C ").replace(" Cu ", " C ")
    with pytest.raises(QuantityError, match=r"elements .*are unknown"):
        open_trajectory(written(tmp_path, unnamed), **METAL)
    assert (
        open_trajectory(
            tmp_path / "a.lammpstrj", elements=["Zr", "Cu"], **METAL
        ).element.values[1]
        == "Cu"
    )
    heavy = (
        text.replace("type element xu", "type element mass xu")
        .replace(" Zr ", " Zr 91.2 ")
        .replace(" Cu ", " Cu 91.2 ")
    )
    assert both in heavy
    with pytest.raises(QuantityError, match=r"mass of Cu .* 91.2 u"):
        open_trajectory(written(tmp_path, heavy), **METAL)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"units": "real"}, "K"), ({"timestep": "0.02 fs"}, "atoms move by")],
)
def test_units_and_steps_that_no_motion_fits_are_refused(
    tmp_path: Path, options: dict[str, str], says: str
) -> None:
    path = written(tmp_path, dump(SCALED, VELOCITY, STYLES["element"]))
    with pytest.raises(QuantityError, match=says):
        open_trajectory(path, **{**METAL, **options})


def test_frames_of_no_motion_are_refused_and_open_one_by_one(tmp_path: Path) -> None:
    jumps = np.random.default_rng(8).random((4, 6, 3))
    path = written(tmp_path, dump(jumps, VELOCITY, "id element xu yu zu"))
    with pytest.raises(QuantityError, match=r"after frame 0 .* atoms move by"):
        open_trajectory(path, **METAL)
    assert open_trajectory(path, frames=slice(2, 3), **METAL).sizes["time"] == 1
    assert open_trajectory(path, hottest="1e9 K", **METAL).sizes["time"] == 4


def test_glasses_that_have_nothing_in_common_are_no_motion(tmp_path: Path) -> None:
    """Unrelated configurations a picosecond apart: slow enough for a gas, and too far for atoms that collide."""
    rng = np.random.default_rng(4)
    text = ""
    for frame in range(3):
        text += f"200\n{LATTICE.replace('10', '16')} Properties=species:S:1:pos:R:3 number={frame}\n"
        text += "".join(
            f"Cu {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in 16 * rng.random((200, 3))
        )
    path = written(tmp_path, text)
    with pytest.raises(
        QuantityError,
        match=r"after frame 0 .* atoms move by \d.\d+ angstrom in 1 ps",
    ):
        open_trajectory(path, time_between_frames="1 ps")
    assert open_trajectory(path, time_between_frames="1 ns").sizes["time"] == 3


@pytest.mark.slow
def test_energies_and_forces_of_learned_potentials(tmp_path: Path) -> None:
    """Beside the frames, in the order of the atoms, also after netCDF and in part."""
    text, rng = "", np.random.default_rng(1)
    forces = rng.normal(size=(3, 2, 3)).round(6)
    for frame, (r, f) in enumerate(zip(POSITIONS, forces, strict=True)):
        head = "Properties=species:S:1:pos:R:3:id:I:1:forces:R:3:MACE_forces:R:3"
        text += f"2\n{LATTICE} {head} energy={-7.5 - frame} MACE_energy={-8 - frame}\n"
        for i in (1, 0) if frame == 1 else (0, 1):
            row = [*r[i], i + 1, *f[i], *(2 * f[i])]
            text += " ".join(map(str, ["Cu", *row])) + "\n"
    path = written(tmp_path, text)
    traj = open_trajectory(path, time_between_frames="2 fs")
    assert traj.energy.values.tolist() == [-7.5, -8.5, -9.5]
    assert traj.mace_energy.values.tolist() == [-8, -9, -10]
    np.testing.assert_array_equal(traj.force, forces)
    np.testing.assert_array_equal(traj.mace_force, 2 * forces)
    assert (traj.energy.attrs["units"], traj.force.attrs["units"]) == (
        "eV",
        "eV/angstrom",
    )
    convert(path, tmp_path / "a.nc", time_between_frames="2 fs")
    with open_trajectory(tmp_path / "a.nc") as kept:
        np.testing.assert_array_equal(kept.force, forces)
        np.testing.assert_array_equal(kept.energy, traj.energy)
    last = open_trajectory(path, time_between_frames="2 fs", frames=slice(1, None, 2))
    np.testing.assert_array_equal(last.force, forces[1:2])
    assert last.energy.values.tolist() == [-8.5]
    # Of LAMMPS's units real, energies would be in kcal/mol.
    other = open_trajectory(path, time_between_frames="2 fs", units="real")
    assert not {"energy", "force"} & set(other.variables)
    path.write_text(text.replace(str(forces[2, 1, 1]), "nan"))
    with pytest.raises(FileFormatError, match="frame 2 "):
        open_trajectory(path, time_between_frames="2 fs").force.compute()


def test_energies_and_forces_of_ase(tmp_path: Path) -> None:
    calculator = pytest.importorskip("ase.calculators.singlepoint")
    ase = pytest.importorskip("ase")
    images = []
    for frame, r in enumerate(POSITIONS):
        atoms = ase.Atoms("Cu2", positions=r, cell=[10, 10, 10], pbc=True)
        results = {"energy": -1.5 * frame, "forces": np.array(r) / 100}
        atoms.calc = calculator.SinglePointCalculator(atoms, **results)
        images.append(atoms)
    traj = open_trajectory(images, time_between_frames="2 fs")
    assert traj.energy.values.tolist() == [0, -1.5, -3]
    np.testing.assert_array_equal(traj.force, np.array(POSITIONS) / 100)
    images[1].calc = None
    bare = open_trajectory(images, time_between_frames="2 fs")
    assert not {"energy", "force"} & set(bare.variables)


def test_labels_of_training_data_in_a_file_of_ase(tmp_path: Path) -> None:
    ase, ase_io = pytest.importorskip("ase"), pytest.importorskip("ase.io")
    images = [
        ase.Atoms("CuZr", positions=r, cell=10 * np.eye(3), pbc=True) for r in POSITIONS
    ]
    ase_io.write(tmp_path / "a.traj", images)
    assert (
        open_trajectory(tmp_path / "a.traj", time_between_frames="20 fs").sizes["time"]
        == 3
    )
    for image in images:
        image.info["config_type"] = "liquid"
    ase_io.write(tmp_path / "b.traj", images)
    with pytest.raises(FileFormatError, match="config_type"):
        open_trajectory(tmp_path / "b.traj", time_between_frames="20 fs")


def test_log_spaced_steps_stay_so(tmp_path: Path) -> None:
    text = dump(SCALED, VELOCITY, STYLES["element"], steps=1)
    for old, new in ((4, 8), (3, 4)):
        text = text.replace(f"TIMESTEP\n{old}\n", f"TIMESTEP\n{new}\n")
    path = written(tmp_path, text)
    assert open_trajectory(
        path, **{**METAL, "timestep": "20 fs"}
    ).time.values.tolist() == [0, 0.02, 0.04, 0.08, 0.16]
    with pytest.raises(QuantityError, match="not equally spaced"):
        open_trajectory(path, units="metal", time_between_frames="20 fs")


@pytest.mark.slow
def test_a_trajectory_with_labels_takes_nothing_else(tmp_path: Path) -> None:
    source = written(tmp_path, dump(SCALED, VELOCITY, STYLES["element"]))
    open_trajectory(source, temperature="300 K", **METAL).compute().to_netcdf(
        tmp_path / "a.nc"
    )
    for given in ({"units": "metal"}, {"elements": ["Zr"]}, {"masses": {"Zr": 90}}, {"timestep": "2 fs"}, {"lj": "argon"},
                  {"time_between_frames": "20 fs"}, {"topology": "a.pdb"}):  # fmt: skip
        with pytest.raises(QuantityError, match=rf"{next(iter(given))}=.* is not used"):
            open_trajectory(tmp_path / "a.nc", **given)
    with pytest.raises(XbpError, match="temperature=310 K contradicts"):
        open_trajectory(tmp_path / "a.nc", temperature="310 K")
    assert (
        float(open_trajectory(tmp_path / "a.nc", temperature="300 K").temperature)
        == 300
    )


# --- cut short --------------------------------------------------------------------------------------------------------


def by_mdanalysis(path: Path) -> bytes:
    mda = pytest.importorskip("MDAnalysis")
    universe = mda.Universe.empty(2, trajectory=True, velocities=path.suffix == ".trr")
    with mda.Writer(str(path), 2) as writer:
        for frame, place in enumerate(POSITIONS):
            universe.atoms.positions = np.array(place, dtype="f4")
            universe.dimensions = [10, 11, 12, 90, 90, 90]
            universe.trajectory.ts.frame = frame
            universe.trajectory.ts.time = 0.02 * frame
            writer.write(universe.atoms)
    return path.read_bytes()


def amber_text() -> bytes:
    frames = [*("".join(f"{x:8.3f}" for x in np.ravel(r)) for r in POSITIONS)]
    return (
        "title\n" + "".join(f"{r}\n  10.000  11.000  12.000\n" for r in frames)
    ).encode()


def models() -> bytes:
    return (
        "".join(
            f"MODEL     {n}\nCRYST1   10.000   11.000   12.000  90.00  90.00  90.00 P 1           1\n"
            f"ATOM      1 CU   MOL A   1       1.0{n}0   2.000   3.000  1.00  0.00          CU\n"
            "ATOM      2 ZR   MOL A   1       4.000   5.000   6.000  1.00  0.00          ZR\nENDMDL\n"
            for n in range(3)
        )
        + "END\n"
    ).encode()


def of_vasp(name: str) -> bytes:
    steps = ("0.1", "0.101", "0.102")
    if name == "OUTCAR":
        return (
            OUTCAR
            + "".join(OUTCAR_STEP.replace("X", f"{10 * float(x):.5f}") for x in steps)
        ).encode()
    return VASPRUN.replace(
        "CALCULATIONS", "".join(CALCULATION.replace("X", x) for x in steps)
    ).encode()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    ["a.dcd", "a.xtc", "a.trr", "a.mdcrd", "a.pdb", "a.md", "vasprun.xml", "OUTCAR",
     "HISTORY", "XDATCAR", "a.xyz", "a.lammpstrj", "gpumd.xyz.gz"],
)  # fmt: skip
def test_a_file_that_is_cut_short_is_refused_or_dropped_when_asked(
    tmp_path: Path, name: str
) -> None:
    """Whatever the format: never fewer frames without a word."""
    told: dict[str, object] = {}
    if name in ("a.dcd", "a.xtc", "a.trr", "a.mdcrd"):
        told = {
            "topology": written(tmp_path, DATA, "top.data"),
            "elements": ["Cu", "Zr"],
        }
    if name in ("a.dcd", "a.mdcrd", "a.pdb", "vasprun.xml", "OUTCAR", "XDATCAR"):
        told["time_between_frames"] = "20 fs"
    if name == "a.lammpstrj":
        told = dict(METAL)
    if name == "a.pdb":
        told["topology"] = written(tmp_path, models(), "top.pdb")
    raw = {
        "a.dcd": lambda: dcd(b"REMARKS CHARMM"),
        "a.xtc": lambda: by_mdanalysis(tmp_path / "w.xtc"),
        "a.trr": lambda: by_mdanalysis(tmp_path / "w.trr"),
        "a.mdcrd": amber_text,
        "a.pdb": models,
        "a.md": lambda: castep(3).encode(),
        "vasprun.xml": lambda: of_vasp("vasprun.xml"),
        "OUTCAR": lambda: of_vasp("OUTCAR"),
        "HISTORY": lambda: history().encode(),
        "XDATCAR": lambda: numbered(1, 2, 3).encode(),
        "a.xyz": lambda: xyz("Time={fs}", "vel", 1e-3).encode(),
        "a.lammpstrj": lambda: dump(SCALED[:3], VELOCITY, STYLES["element"]).encode(),
        "gpumd.xyz.gz": lambda: gzip.compress(
            xyz('Time={fs} pbc="T T T"', "vel", 1e-3).encode(), mtime=0
        ),
    }[name]()
    whole = open_trajectory(written(tmp_path, raw, name), **told).compute()
    assert whole.sizes["time"] == 3
    for part in (0.97, 0.85):
        path = written(tmp_path, raw[: int(part * len(raw))], name)
        for lock in tmp_path.glob(".*offsets*"):
            lock.unlink()
        with pytest.raises(FileFormatError, match=rf"{name}"):
            open_trajectory(path, **told).compute()
        dropped = open_trajectory(path, truncated="drop", **told)
        # Where only what follows the atoms is missing, the last frame is whole.
        n = dropped.sizes["time"]
        assert 1 <= n <= 3
        np.testing.assert_array_equal(
            dropped.position.values, whole.position.values[:n]
        )


def test_a_history_with_fewer_frames_than_it_declares(tmp_path: Path) -> None:
    lines = history().splitlines(keepends=True)
    lines[1] = lines[1].rstrip() + f"{4:21d}{60:21d}\n"
    path = written(tmp_path, "".join(lines))
    with pytest.raises(FileFormatError, match="3 frames, its header declares 4"):
        open_trajectory(path)
    assert open_trajectory(path, truncated="drop").sizes["time"] == 3
    lines[1] = lines[1].replace("  4", "  3")
    assert open_trajectory(written(tmp_path, "".join(lines))).sizes["time"] == 3


def test_units_that_change_within_a_dump_are_refused(tmp_path: Path) -> None:
    parts = dump(SCALED[:2], VELOCITY, STYLES["element"]).split("ITEM: TIMESTEP")
    text = "ITEM: UNITS\nmetal\nITEM: TIMESTEP" + parts[1]
    text += "ITEM: UNITS\nreal\nITEM: TIMESTEP" + parts[2]
    with pytest.raises(FileFormatError, match=r"frame 1: .*units real.*units metal"):
        open_trajectory(written(tmp_path, text), timestep="2 fs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timestep", np.nan), ("timestep", 1e308), ("timestep", [1, 2]), ("timestep", np.ones(2)), ("timestep", ""),
        ("timestep", {}), ("time_between_frames", np.inf), ("units", ["metal"]), ("units", np.array(["metal"])),
        ("units", 3), ("elements", [1, 2]), ("elements", "CuZr"), ("elements", {1: None, 2: "Zr"}),
        ("elements", ["Cu"]), ("elements", ["Cu", "Zr", 3]), ("masses", {"Cu": [1, 2]}), ("masses", {"Cu": None}),
        ("masses", {3: 1}), ("lj", np.ones(2)), ("lj", ["argon"]), ("frames", slice(9, 3)), ("frames", slice(10**30, None)),
        ("frames", slice(np.nan)), ("truncated", ["drop"]), ("truncated", np.ones(2)), ("chunk_frames", np.ones(2)),
        ("temperature", [300, 301]), ("temperature", np.nan), ("hottest", np.nan), ("hottest", "1 meV"), ("topology", 3),
        ("topology", "nowhere"),
    ],
)  # fmt: skip
def test_absurd_arguments_are_refused(tmp_path: Path, name: str, value: object) -> None:
    path = written(tmp_path, dump(SCALED, VELOCITY, STYLES["xu"]))
    told = {**METAL, "elements": ["Cu", "Zr"], name: value}
    with pytest.raises(XbpError, match=rf"{name}|is not a path"):
        open_trajectory(path, **told)


def test_scaled_positions_beyond_the_box_are_refused(tmp_path: Path) -> None:
    rows = "1 1 {0} 0.2 0.3\n2 2 0.4 0.5 0.6\n"
    head = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n"
    head += "0 10\n0 10\n0 10\nITEM: ATOMS id type xs ys zs\n"
    options = {"units": "metal", "elements": ["Cu", "Zr"]}
    ok = open_trajectory(written(tmp_path, head + rows.format(1.01)), **options)
    assert float(ok.position[0, 0, 0]) == pytest.approx(10.1)
    with pytest.raises(FileFormatError, match="xs is not scaled"):
        open_trajectory(written(tmp_path, head + rows.format(7.5)), **options)
