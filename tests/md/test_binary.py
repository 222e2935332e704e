"""Trajectories in netCDF and HDF5, made here as their producers write them: what is read is what stands in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr

from xbp.errors import FileFormatError, QuantityError, UnitsError, XbpError
from xbp.md import open_trajectory

from . import tng_file
from .test_formats import DATA, POSITIONS, SPEED
from .test_open import written

#: Å/ps in ASE's unit of velocity, √(eV/u).
ASE = np.sqrt(1.602176634e-19 / 1.66053906660e-27) * 1e-2
R, V = np.array(POSITIONS), np.array([SPEED] * 3)
CUZR = {"elements": ["Cu", "Zr"]}


def amber(
    path: Path,
    variables: dict[str, tuple[Any, ...]],
    kind: Any = "NETCDF3_64BIT_DATA",
    **attributes: str,
) -> Path:
    """Write netCDF after the convention: name → (type, dimensions, values, attributes)."""
    with netCDF4.Dataset(path, "w", format=kind) as file:
        file.setncatts(
            {"Conventions": "AMBER", "ConventionVersion": "1.0", **attributes}
        )
        for name, size in (("frame", None), ("spatial", 3), ("atom", 2), ("cell_spatial", 3), ("cell_angular", 3)):  # fmt: skip
            file.createDimension(name, size)
        for name, (dtype, dims, values, attrs) in variables.items():
            variable = file.createVariable(name, dtype, dims)
            variable.setncatts(attrs)
            variable.set_auto_maskandscale(False)
            variable[:] = values
    return path


ATOMS, VECTORS = ("frame", "atom"), ("frame", "atom", "spatial")
SIDES, ANGLES = ("frame", "cell_spatial"), ("frame", "cell_angular")


def lammps(path: Path, **changes: Any) -> Path:
    """As `dump netcdf … id type x y z vx vy vz` in units real: steps of 2 fs, atoms in any order, a corner that moves."""
    corner = np.array([[-1.0, 2, 0.5], [-1.01, 2, 0.5], [-1.02, 2, 0.5]])
    order = [[0, 1], [1, 0], [0, 1]]
    r = np.stack([a[o] + c for a, o, c in zip(R, order, corner, strict=True)])
    v = np.stack([a[o] for a, o in zip(V, order, strict=True)]) * 1e-3
    length, time = changes.pop("units", ("angstrom", "femtosecond"))
    variables = {
        "time": ("f4", ("frame",), [0, 10, 20], {"units": time, "scale_factor": np.float32(2)}),
        "cell_origin": ("f8", SIDES, corner, {"units": length}),
        "cell_lengths": ("f8", SIDES, [[10, 11, 12]] * 3, {"units": length}),
        "cell_angles": ("f8", ANGLES, [[90.0] * 3] * 3, {"units": "degree"}),
        "id": ("i8", ATOMS, np.array([[1, 2], [2, 1], [1, 2]]) + 6, {}),
        "type": ("i4", ATOMS, np.array(order) + 1, {}),
        "coordinates": ("f8", VECTORS, r, {"units": length}),
        "velocities": ("f8", VECTORS, v, {"units": f"{length}/{time}"}),
    }  # fmt: skip
    return amber(path, {**variables, **changes}, program="LAMMPS")


def test_netcdf_of_lammps(tmp_path: Path) -> None:
    path = lammps(tmp_path / "a.nc")
    traj = open_trajectory(path, chunk_frames=2, **CUZR)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    np.testing.assert_allclose(traj.position.values, R, atol=1e-12)
    np.testing.assert_allclose(traj.velocity.values, V, atol=1e-12)
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]))
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    assert traj.attrs["periodic"] == "111"
    told = {"timestep": "2 fs", "units": "real", **CUZR}
    np.testing.assert_allclose(open_trajectory(path, **told).time, [0, 0.02, 0.04])
    last = open_trajectory(path, frames=slice(1, None), **CUZR)
    np.testing.assert_allclose(last.position.values, R[1:], atol=1e-12)
    for options, says in (
        ({}, "unknown for atoms called 1, 2"),
        ({**CUZR, "timestep": "1 fs"}, "timestep=1 fs contradicts"),
        ({**CUZR, "units": "metal"}, "states 'real'"),
        ({**CUZR, "cell": 9}, "cell=9 contradicts"),
        ({**CUZR, "group": "all"}, "group='all' is not used"),
        ({**CUZR, "velocities": path}, "velocities=.* is not used"),
    ):
        with pytest.raises(XbpError, match=says):
            open_trajectory(path, **options)


def test_netcdf_of_lammps_in_reduced_units_and_open_boxes(tmp_path: Path) -> None:
    path = lammps(tmp_path / "a.nc", units=("lj", "lj"))
    with pytest.raises(UnitsError, match="lj=None"):
        open_trajectory(path, **CUZR)
    traj = open_trajectory(path, lj="argon", hottest="1e9 K", **CUZR)
    np.testing.assert_allclose(traj.position.values, 3.4 * R, rtol=1e-12)
    assert traj.mass.values.tolist() == [39.948, 39.948]
    sides = ("f8", SIDES, [[10, 11, 0]] * 3, {"units": "angstrom"})
    path = lammps(tmp_path / "b.nc", cell_lengths=sides)
    with pytest.raises(QuantityError, match="open sides"):
        open_trajectory(path, **CUZR)
    assert open_trajectory(path, cell=[10, 11, 30], **CUZR).attrs["periodic"] == "110"
    with pytest.raises(QuantityError, match="cell= has the sides"):
        open_trajectory(path, cell=[10, 12, 30], **CUZR)


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF4"])
def test_netcdf_of_ase(tmp_path: Path, kind: str) -> None:
    """Atomic numbers in each frame, velocities without a unit in ASE's, and times in whatever was passed."""
    ase = pytest.importorskip("ase")
    netcdftrajectory = pytest.importorskip("ase.io.netcdftrajectory")
    path = tmp_path / "a.nc"
    with netcdftrajectory.NetCDFTrajectory(str(path), "w", netcdf_format=kind) as out:
        for r, v in zip(R, V, strict=True):
            atoms = ase.Atoms("CuZr", positions=r, cell=[10, 11, 12], pbc=True)
            atoms.set_velocities(v / ASE)
            out.write(atoms)
    with pytest.raises(UnitsError, match="time"):
        open_trajectory(path)
    traj = open_trajectory(path, time_between_frames="20 fs")
    np.testing.assert_allclose(traj.position.values, R, rtol=1e-6)
    np.testing.assert_allclose(traj.velocity.values, V, rtol=1e-5)
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]))
    assert traj.element.values.tolist() == ["Cu", "Zr"]


def test_the_directions_of_a_tilted_cell_of_ase_are_asked_for(tmp_path: Path) -> None:
    cell = np.array([[0, 7, 7], [7, 0, 7], [7, 7, 0.0]])
    sides = {"cell_lengths": ("f8", SIDES, [[7 * np.sqrt(2)] * 3] * 3, {}), "cell_angles": ("f8", ANGLES, [[60] * 3] * 3, {}),
             "coordinates": ("f8", VECTORS, R, {}), "atom_types": ("i4", ATOMS, [[29, 40]] * 3, {})}  # fmt: skip
    path = amber(tmp_path / "a.nc", sides, program="ASE")
    told = {"time_between_frames": "20 fs"}
    with pytest.raises(QuantityError, match="tilted cell"):
        open_trajectory(path, **told)
    traj = open_trajectory(path, cell=cell, **told)
    np.testing.assert_allclose(traj.cell.values, cell)
    with pytest.raises(QuantityError, match="cell= has the sides"):
        open_trajectory(path, cell=11, **told)


def test_netcdf_of_amber_and_a_tilted_cell(tmp_path: Path) -> None:
    variables = {
        "time": ("f4", ("frame",), [0, 0.02, 0.04], {"units": "picosecond"}),
        "cell_lengths": ("f8", SIDES, [[10, 11, 12]] * 3, {"units": "angstrom"}),
        "cell_angles": ("f8", ANGLES, [[90, 60, 70]] * 3, {"units": "degree"}),
        "coordinates": ("f4", VECTORS, R, {"units": "angstrom"}),
        "velocities": ("f4", VECTORS, V / 20.455, {"units": "angstrom/picosecond", "scale_factor": 20.455}),
    }  # fmt: skip
    path = amber(tmp_path / "a.nc", variables, "NETCDF3_64BIT_OFFSET", program="sander")
    with pytest.raises(QuantityError, match="does not name its 2 atoms"):
        open_trajectory(path)
    for given in (CUZR, {**CUZR, "topology": written(tmp_path, DATA, "t.data")}):
        traj = open_trajectory(path, **given)
        np.testing.assert_allclose(traj.velocity.values, V, rtol=1e-6)
        np.testing.assert_allclose(traj.position.values, R, rtol=1e-6)
        cell = traj.cell.values
        sides = np.linalg.norm(cell, axis=1)
        np.testing.assert_allclose(sides, [10, 11, 12])
        cosines = (cell / sides[:, None]) @ (cell / sides[:, None]).T
        wanted = np.cos(np.deg2rad([90, 60, 70]))
        np.testing.assert_allclose(cosines[[1, 0, 0], [2, 2, 1]], wanted, atol=1e-12)
        assert cell[0, 1] == cell[0, 2] == cell[1, 2] == 0
    with pytest.raises(QuantityError, match="time_between_frames=1 ps contradicts"):
        open_trajectory(path, time_between_frames="1 ps", **CUZR)
    with pytest.raises(QuantityError, match="time_between_frames=30 fs contradicts"):
        open_trajectory(path, time_between_frames="30 fs", **CUZR)
    del variables["time"]
    path = amber(tmp_path / "b.nc", variables)
    with pytest.raises(UnitsError, match="time_between_frames"):
        open_trajectory(path, **CUZR)
    one = open_trajectory(path, frames=slice(2, 3), **CUZR)
    np.testing.assert_allclose(one.position.values, R[2:], rtol=1e-6)


# --- HDF5 -------------------------------------------------------------------------------------------------------------


def h5md(
    path: Path, *, units: bool = True, times: Any = "listed", **changes: Any
) -> Path:
    """As MDAnalysis, GROMACS (units nm, ps) or LAMMPS (no units) write it."""
    inside = np.array([[[1.0, 2, 3], [4, 5, 6]]] * 3)
    with h5py.File(path, "w") as file:
        file.create_group("h5md").attrs["version"] = [1, 1]
        group = file.create_group(f"particles/{changes.get('name', 'all')}")
        box = group.create_group("box")
        box.attrs["dimension"] = 3
        box.attrs["boundary"] = np.array(["periodic", "periodic", "none"], dtype="S8")
        scale, per_ps = (0.1, 1.0) if units else (1.0, 1.0)
        values = {
            "position": (inside + R - R[0]) * scale,
            "velocity": V * scale * per_ps,
        }
        edges = np.array([[10.0, 11, 12]] * 3) * scale
        for name, data, unit in (
            ("position", values["position"], "nm"),
            ("velocity", values["velocity"], "nm ps-1"),
            ("box/edges", edges, "nm"),
        ):
            element = group.create_group(name)
            value = element.create_dataset("value", data=data)
            if times == "listed":
                element.create_dataset("step", data=[0, 10, 20])
                time = element.create_dataset("time", data=[0, 0.02, 0.04])
            else:
                element.create_dataset("step", data=10)
                time = element.create_dataset("time", data=0.02)
                time.attrs["offset"] = 0.1
            if units:
                value.attrs["unit"] = unit
                time.attrs["unit"] = "ps"
        group.create_group("image")["value"] = np.array([[[0, 0, 0], [0, 1, 0]]] * 3)
        if "species" in changes:
            group["species"] = changes["species"]
        if "ids" in changes:
            group.create_group("id")["value"] = changes["ids"]
    return path


def test_h5md_with_units(tmp_path: Path) -> None:
    kinds = h5py.enum_dtype({"Cu": 3, "Zr": 8}, basetype="i")
    path = h5md(tmp_path / "a.h5", species=np.array([3, 8], dtype=kinds))
    traj = open_trajectory(path)
    unwrapped = R + np.array([[0, 0, 0], [0, 11, 0]])
    np.testing.assert_allclose(traj.position.values, unwrapped)
    np.testing.assert_allclose(traj.velocity.values, V)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]))
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    assert traj.attrs["periodic"] == "110"
    even = open_trajectory(h5md(tmp_path / "b.h5", times="even"), **CUZR)
    np.testing.assert_allclose(even.time.values, [0.1, 0.12, 0.14])
    with pytest.raises(QuantityError, match="does not name its 2 atoms"):
        open_trajectory(tmp_path / "b.h5")
    with pytest.raises(UnitsError, match="units='metal' contradicts"):
        open_trajectory(path, units="metal")
    with h5py.File(path, "r+") as file:  # as of a leapfrog, half a step earlier
        file["particles/all/velocity/time"][...] = [-0.01, 0.01, 0.03]
    with pytest.raises(FileFormatError, match=r"has time -0\.01 where the pos"):
        open_trajectory(path)
    assert "velocity" not in open_trajectory(path, velocities=False)


def test_h5md_without_units_and_ids_in_any_order(tmp_path: Path) -> None:
    path = h5md(tmp_path / "a.h5", units=False, species=[1, 2], ids=[[2, 1]] * 3)
    for options, says in (
        ({}, "units=None"),
        ({"units": "metal"}, "unknown for atoms called 1, 2"),
        ({"units": "metal", **CUZR, "group": "other"}, "group='other'"),
        ({"units": "metal", **CUZR, "timestep": "1 fs"}, "timestep=1 fs contradicts"),
    ):
        with pytest.raises(XbpError, match=says):
            open_trajectory(path, **options)
    traj = open_trajectory(path, units="metal", **CUZR)
    assert traj.element.values.tolist() == ["Zr", "Cu"]
    np.testing.assert_allclose(traj.position.values[0], [[4, 16, 6], [1, 2, 3]])
    with h5py.File(path, "a") as file:
        file.copy("particles/all", "particles/other")
    with pytest.raises(QuantityError, match="several groups of particles: all, other"):
        open_trajectory(path, units="metal", **CUZR)
    assert (
        open_trajectory(path, units="metal", group="other", **CUZR).sizes["atom"] == 2
    )


def test_h5md_in_two_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    r = np.array([[[1.0, 2], [4, 7], [6, 3]], [[1.01, 2], [4, 7], [6, 3]]])
    with h5py.File(path, "w") as file:
        file.create_group("h5md")
        group = file.create_group("particles/A")
        group["position/value"] = r
        group["position/step"], group["position/time"] = 1, 0.02
        group["position/value"].attrs["unit"] = "Angstrom"
        group["position/time"].attrs["unit"] = "ps"
        group["box/edges"] = [8.0, 9.0]
        group["box"].attrs["boundary"] = "periodic"
    traj = open_trajectory(path, elements=["Cu", "Zr", "Cu"])
    assert traj.attrs["dimension"] == 2
    np.testing.assert_allclose(traj.position.values[..., :2], r)
    np.testing.assert_allclose(traj.cell.values.diagonal(), [8, 9, 1])
    np.testing.assert_allclose(traj.time.values, [0, 0.02])


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("units", [True, False])
def test_trajectories_of_mdanse(tmp_path: Path, version: int, units: bool) -> None:
    path = tmp_path / "a.mdt"
    with h5py.File(path, "w") as file:
        for name, data, unit in (
            ("configuration/coordinates", R / 10, "nm"),
            ("configuration/velocities", V / 10, "nm/ps"),
            ("unit_cell", [np.diag([1.0, 1.1, 1.2])] * 3, "nm"),
            ("time", [0, 0.02, 0.04], "ps"),
        ):
            file.create_dataset(name, data=data).attrs["units"] = unit if units else ""
        text = h5py.string_dtype()
        if version == 1:
            atoms = [["'Cu'", "'Cu_0'", "0", "False"], ["'Zr'", "'Zr_1'", "1", "False"]]
            file.create_dataset("chemical_system/atoms", data=atoms, dtype=text)
        else:
            file.create_dataset("composition/atom_types", data=["Cu", "Zr"], dtype=text)
    traj = open_trajectory(path)
    np.testing.assert_allclose(traj.position.values, R)
    np.testing.assert_allclose(traj.velocity.values, V)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]))
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    with pytest.raises(QuantityError, match="units='real' is not used"):
        open_trajectory(path, units="real")
    with h5py.File(path, "a") as file:
        del file["unit_cell"]
        file["unit_cell"] = np.zeros((3, 3, 3))
    with pytest.raises(QuantityError, match="has no cell"):
        open_trajectory(path)
    assert open_trajectory(path, cell="10 angstrom").cell.values[0, 0] == 10


def test_hdf5_that_is_no_trajectory_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = [1.0]
        file["notes"] = [2.0]
    with pytest.raises(FileFormatError, match=r"HDF5 .*entry, notes"):
        open_trajectory(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["lammps.nc", "a.h5"])
def test_damaged_binary_files_open_or_are_refused(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / name
    options: dict[str, Any] = dict(CUZR)
    if name == "a.h5":
        h5md(path, species=[1, 2])
    else:
        lammps(path)
    raw = path.read_bytes()
    for _ in range(25):
        data = bytearray(raw)
        for at in rng.integers(len(data), size=3).tolist():
            data[at] = rng.integers(256)
        path.write_bytes(bytes(data[: rng.integers(len(data) // 2, len(data) + 1)]))
        try:
            traj = open_trajectory(path, **options).compute()
        except XbpError:
            continue
        for key in ("position", "velocity", "cell", "time"):
            assert np.isfinite(traj[key].values).all()


# --- GSD and TNG ------------------------------------------------------------------------------------------------------


def gsd(path: Path, *, types: tuple[str, str] = ("Cu", "Zr"), **arrays: Any) -> Path:
    """As HOOMD-blue writes it: the origin is in the middle of a tilted cell."""
    hoomd = pytest.importorskip("gsd.hoomd")
    with hoomd.open(str(path), "w") as file:
        for n, r in enumerate(R):
            frame = hoomd.Frame()
            frame.configuration.step = 10 * n
            frame.configuration.box = [10, 11, 12, 0.1, 0, 0]
            frame.particles.N = 2
            frame.particles.types, frame.particles.typeid = list(types), [0, 1]
            frame.particles.position = r - [5.55, 5.5, 6]
            frame.particles.image = [[0, 0, 0], [0, 1, 0]]
            for name, values in arrays.items():
                setattr(frame.particles, name, values)
            file.append(frame)
    return path


def test_gsd(tmp_path: Path) -> None:
    path = gsd(tmp_path / "a.gsd", velocity=SPEED)
    told = {"units": "metal", "timestep": "2 fs"}
    traj = open_trajectory(path, chunk_frames=2, **told)
    unwrapped = R + np.array([[0, 0, 0], [1.1, 11, 0]])
    np.testing.assert_allclose(traj.position.values, unwrapped, atol=1e-6)
    np.testing.assert_allclose(traj.velocity.values, V, atol=1e-7)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    cell = [[10, 0, 0], [1.1, 11, 0], [0, 0, 12]]
    np.testing.assert_allclose(traj.cell.values, cell, atol=1e-6)
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    # Masses that the file does not have are those of the elements, not 1.
    assert traj.mass.values.round(1).tolist() == [63.5, 91.2]
    assert "velocity" not in open_trajectory(gsd(tmp_path / "b.gsd"), **told)
    assert "velocity" not in open_trajectory(path, velocities=False, **told)
    with pytest.raises(UnitsError, match="units=None"):
        open_trajectory(path)
    named = gsd(tmp_path / "c.gsd", types=("A", "X"), mass=[1, 2])
    with pytest.raises(UnitsError, match=r"atoms called A, X; .* time"):
        open_trajectory(named, units="metal")
    reduced = open_trajectory(named, units="lj", lj="argon", timestep=0.005)
    np.testing.assert_allclose(reduced.position.values, 3.4 * unwrapped, rtol=1e-6)
    np.testing.assert_allclose(reduced.mass.values, [39.948, 2 * 39.948])
    assert reduced.element.values.tolist() == ["A", "X"]
    written(tmp_path, path.read_bytes()[:300], "d.gsd")
    with pytest.raises(FileFormatError, match=r"d\.gsd"):
        open_trajectory(tmp_path / "d.gsd", **told)


@pytest.mark.parametrize("exponent", [-9, -10])
def test_tng(tmp_path: Path, exponent: int) -> None:
    """Lengths in the unit of the file; elements by its masses."""
    pytest.importorskip("pytng")
    names = [("CU1", "a"), ("ZR1", "b")]
    told: dict[str, Any] = {"names": names, "weights": [63.546, 91.224]}
    path = tng_file.write(tmp_path / "a.tng", R, V, exponent=exponent, **told)
    traj = open_trajectory(path, chunk_frames=2)
    np.testing.assert_allclose(traj.position.values, R, rtol=1e-6)
    np.testing.assert_allclose(traj.velocity.values, V, rtol=1e-6)
    np.testing.assert_allclose(traj.time.values, [0, 0.02, 0.04])
    np.testing.assert_allclose(traj.cell.values, np.diag([10, 11, 12]), rtol=1e-6)
    assert traj.element.values.tolist() == ["Cu", "Zr"]
    np.testing.assert_allclose(traj.mass.values, [63.546, 91.224], rtol=1e-6)
    assert "velocity" not in open_trajectory(path, velocities=False)
    plain = tng_file.write(tmp_path / "b.tng", R, None, packed=False, **told)
    assert open_trajectory(plain).element.values.tolist() == ["Cu", "Zr"]


def test_tng_of_several_kinds_of_molecules(tmp_path: Path) -> None:
    pytest.importorskip("pytng")
    names = [("Cu", "a"), ("Zr", "b")]
    one = tng_file.write(tmp_path / "a.tng", R, V, names=names)
    two = tng_file.write(tmp_path / "b.tng", R, V, names=names, bonds=0)
    first, second = (open_trajectory(path).compute() for path in (one, two))
    assert second.element.values.tolist() == ["Cu", "Zr"]
    xr.testing.assert_equal(first, second)


def test_tng_without_masses_asks_by_the_names_of_its_atoms(tmp_path: Path) -> None:
    pytest.importorskip("pytng")
    path = tng_file.write(tmp_path / "a.tng", R, V, names=[("OW", "a"), ("HW1", "b")])
    with pytest.raises(QuantityError, match=r"atoms called HW1, OW\n.*'HW1': …"):
        open_trajectory(path)
    traj = open_trajectory(path, elements={"OW": "O", "HW1": "H"})
    assert traj.element.values.tolist() == ["O", "H"]
    twice = tng_file.write(tmp_path / "b.tng", R, V, names=[("Cu", "a")], n=2)
    assert open_trajectory(twice).element.values.tolist() == ["Cu", "Cu"]


def test_damaged_tng(tmp_path: Path) -> None:
    pytest.importorskip("pytng")
    told: dict[str, Any] = {"names": [("Cu", ""), ("Zr", "")]}
    raw = tng_file.write(tmp_path / "a.tng", R, V, **told).read_bytes()
    wrong = bytearray(raw)
    wrong[len(raw) // 2] ^= 1
    for data in (raw[:-4], raw[:60], bytes(wrong)):
        with pytest.raises(FileFormatError, match=r"b\.tng"):
            open_trajectory(written(tmp_path, data, "b.tng"))


class Apart:
    """What pytng has of a file with velocities at other steps than positions."""

    n_atoms, n_steps = 2, 21
    block_strides: ClassVar = {"TNG_TRAJ_POSITIONS": 10, "TNG_TRAJ_VELOCITIES": 20}  # fmt: skip

    def __init__(self, path: str, mode: str) -> None:
        assert (Path(path).name, mode) == ("a.tng", "r")
        self.read_success = True

    def read_step(self, step: int) -> None:
        self.current_integrator_step, self.frame = self, step // 10

    def get_positions(self, out: np.ndarray) -> None:
        out[:] = R[self.frame] / 10

    def get_time(self) -> float:
        return 2e-14 * self.frame

    def _close(self) -> None: ...


def test_velocities_of_tng_at_other_steps(tmp_path: Path, monkeypatch: Any) -> None:
    pytng = pytest.importorskip("pytng")
    path = tng_file.write(tmp_path / "a.tng", R, V, names=[("Cu", ""), ("Zr", "")])
    monkeypatch.setattr(pytng, "TNGFileIterator", Apart)
    with pytest.raises(FileFormatError, match="every 10 steps, velocities every 20"):
        open_trajectory(path, cell=[10, 11, 12])
    traj = open_trajectory(path, cell=[10, 11, 12], velocities=False)
    np.testing.assert_allclose(traj.position.values, R, rtol=1e-6)
    assert "velocity" not in traj
