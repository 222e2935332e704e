"""Trajectories as objects of other packages, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import (
    CoordinateError,
    FileFormatError,
    QuantityError,
    UnitsError,
    XbpError,
)
from xbp.md import open_trajectory

from .conftest import walk

CELL = np.array([[10.0, 0, 0], [1.0, 11, 0], [0.5, -1, 12]])
STEP = {"time_between_frames": "50 fs"}


@pytest.fixture
def traj() -> xr.Dataset:
    return walk(4, 6, cell=CELL).assign_attrs(periodic="110")


def test_atoms_of_ase_and_back(traj: xr.Dataset) -> None:
    pytest.importorskip("ase")
    images = traj.bp.to_ase()
    assert images[0].get_chemical_symbols() == traj.element.values.tolist()
    kinetic = sum(image.get_kinetic_energy() for image in images) / 4
    exact = 0.5 * float((traj.mass * (traj.velocity**2).sum("xyz")).sum("atom").mean())
    # 1 u Å²/ps² is 1.0364e-4 eV.
    assert kinetic == pytest.approx(exact * 1.03642697e-4, rel=1e-6)
    back = open_trajectory(images, temperature="300 K", **STEP)
    for name in ("position", "velocity", "cell", "mass", "time"):
        np.testing.assert_allclose(back[name], traj[name], atol=1e-12, rtol=1e-12)
    assert back.element.values.tolist() == traj.element.values.tolist()
    assert back.attrs["periodic"] == "110"
    one = open_trajectory(images[1])
    np.testing.assert_allclose(one.position[0], traj.position[1], atol=1e-12)
    assert open_trajectory(tuple(images), frames=slice(1, 3), **STEP).sizes["time"] == 2
    bare = images[0].copy()
    bare.set_cell(None)
    bare.symbols[0] = "X"
    with pytest.raises(UnitsError, match="time"):
        open_trajectory(images)
    with pytest.raises(UnitsError, match=r"has no cell; the elements .* called X"):
        open_trajectory(bare)
    assert float(open_trajectory(bare, cell=20, elements={"X": "Zr"}).cell[0, 0]) == 20
    for options in ({"units": "metal"}, {"topology": "a"}, {"timestep": 1}):
        with pytest.raises(QuantityError, match="is not used: ASE Atoms"):
            open_trajectory(images, **STEP, **options)


def test_atoms_of_other_frames_are_refused(tmp_path: Path, traj: xr.Dataset) -> None:
    """With forces too, which are read beside the positions."""
    calculator = pytest.importorskip("ase.calculators.singlepoint")
    ase_io = pytest.importorskip("ase.io")
    images = traj.bp.to_ase()
    images[2] = images[2][:3]
    images[3].symbols[0] = "Xe"
    for image in images:
        image.calc = calculator.SinglePointCalculator(image, forces=image.positions)
    ase_io.write(tmp_path / "a.traj", images)
    for given in (images, tmp_path / "a.traj"):
        with pytest.raises(
            FileFormatError, match="frame 2: n_atoms changed from 6 to 3"
        ):
            open_trajectory(given, **STEP)
        some = open_trajectory(given, frames=slice(1, None, 2), **STEP)
        for name in ("position", "force"):
            with pytest.raises(FileFormatError, match="atoms of the first frame"):
                some[name].compute()


def test_local_fields_are_columns_of_extended_xyz(tmp_path: Path) -> None:
    ase_io = pytest.importorskip("ase.io")
    solid = xbp.md.models.einstein_solid(
        60, 4, cell=8, energy="8 meV", T=300, mass=40, time_step="25 fs", rng=1
    )
    fields = solid.bp.local_fields(["coordination", "shear_strain"], cutoff=4)
    ase_io.write(tmp_path / "fields.extxyz", solid.bp.to_ase(fields))
    back = ase_io.read(tmp_path / "fields.extxyz", ":")
    assert len(back) == 4
    for image, number, shear in zip(
        back, fields.coordination.values, fields.shear_strain.values, strict=True
    ):
        np.testing.assert_array_equal(image.arrays["coordination"], number)
        np.testing.assert_allclose(
            image.arrays["shear_strain"], shear.reshape(60, 9), atol=1e-7
        )
    with pytest.raises(CoordinateError, match="'time'"):
        solid.bp.to_ase(fields.isel(time=slice(2)))
    with pytest.raises(QuantityError, match="not time and atom"):
        solid.bp.to_ase(fields.mean("time"))
    with pytest.raises(QuantityError, match="must be a Dataset"):
        solid.bp.to_ase(fields.coordination)


def test_a_universe_of_mdanalysis_and_back(traj: xr.Dataset, tmp_path: Path) -> None:
    mda = pytest.importorskip("MDAnalysis")
    universe = traj.bp.to_mdanalysis()
    assert universe.trajectory.dt == pytest.approx(0.05)
    assert universe.atoms.masses.tolist() == traj.mass.values.tolist()
    back = open_trajectory(universe, chunk_frames=2)
    np.testing.assert_array_equal(back.time, traj.time)
    with pytest.raises(QuantityError, match="contradicts"):
        open_trajectory(universe, time_between_frames="1 ps")
    later = traj.assign_coords(time=traj.time + 7.0).bp.to_mdanalysis()
    np.testing.assert_array_equal(open_trajectory(later).time, traj.time + 7.0)
    for name in ("position", "velocity", "cell", "mass", "time"):
        np.testing.assert_allclose(back[name], traj[name], atol=2e-5)
    assert back.element.values.tolist() == traj.element.values.tolist()
    assert universe.trajectory.frame == 0
    other = universe.copy().load_new(universe.trajectory.coordinate_array, order="fac")
    with pytest.raises(UnitsError, match="time"):  # as of any array in memory
        open_trajectory(other)
    with mda.Writer(str(tmp_path / "a.trr"), 6) as writer:
        for _ in universe.trajectory:
            writer.write(universe.atoms)
    universe.load_new(str(tmp_path / "a.trr"))
    timed = open_trajectory(universe)
    np.testing.assert_allclose(timed.time, traj.time, atol=1e-6)
    np.testing.assert_allclose(timed.velocity, traj.velocity, atol=1e-3)


class Theirs:
    """What a Trajectory of dynasor has: frames in Å and Å/fs, by species."""

    frame_step = 1

    def __init__(self, traj: xr.Dataset) -> None:
        names = traj.element.values
        self.cell, self.n_atoms, self.traj = CELL, names.size, traj
        self.atomic_indices = {s: np.flatnonzero(names == s).tolist() for s in ("Zr", "Cu")}  # fmt: skip

    def __iter__(self) -> Iterator[SimpleNamespace]:
        for r, v in zip(
            self.traj.position.values, self.traj.velocity.values, strict=True
        ):
            by_type = [{s: a[i] for s, i in self.atomic_indices.items()} for a in (r, v / 1e3)]  # fmt: skip
            yield SimpleNamespace(
                positions_by_type=by_type[0], velocities_by_type=by_type[1]
            )


def test_a_trajectory_of_dynasor(traj: xr.Dataset) -> None:
    """A stand-in; `tests/reference` opens one of theirs."""
    back = xbp.from_dynasor(Theirs(traj), **STEP)
    np.testing.assert_allclose(back.position, traj.position)
    np.testing.assert_allclose(back.velocity, traj.velocity)
    assert back.element.values.tolist() == traj.element.values.tolist()
    with pytest.raises(UnitsError, match="time"):
        open_trajectory(Theirs(traj))


def test_a_sample_of_dynasor() -> None:
    """A stand-in; `tests/reference` compares one of theirs."""
    sample = SimpleNamespace(
        available_correlation_functions=["Fqt_coh", "Fqt_coh_A_A", "Fqt_coh_A_B", "Sqw_coh"],
        q_points=np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 2.0, 0]]), time=[0.0, 50.0], omega=[0.0, 0.01],
        Fqt_coh=[[1, 0.5], [3, 0.5], [5, 0.25]], Fqt_coh_A_A=[[1, 0], [1, 0], [1, 0]], Fqt_coh_A_B=[[2, 4]] * 3,
        Sqw_coh=[[2.0, 1], [4, 1], [6, 1]],
    )  # fmt: skip
    F = xbp.from_dynasor(sample, "intermediate_scattering_function", T=300).F
    np.testing.assert_allclose(F, [[2, 0.5], [5, 0.25]])
    np.testing.assert_allclose(F.Q, [1, 2])
    np.testing.assert_allclose(F.time, [0, 0.05])
    S = xbp.from_dynasor(sample).S
    # ħ × 0.01/fs, and fs/2πħ.
    np.testing.assert_allclose(S.E, [0, 6.582119569])
    np.testing.assert_allclose(S[:, 0], np.array([3, 6]) * 1e-3 / 4.135667696)
    assert S.attrs["statistics"] == "classical"
    pairs = xbp.from_dynasor(
        sample, "intermediate_scattering_function", partials=True
    ).F
    assert pairs.pair.values.tolist() == ["A-A", "A-B"]
    np.testing.assert_allclose(pairs[1], [[1, 2]] * 2)
    assert pairs.weight.values.tolist() == [1, 2]
    for wrong, options, says in (
        (3, {}, "not an object of dynasor"),
        (sample, {"quantity": "Sq"}, "quantity='Sq'"),
        (sample, {"elements": {"A": "Cu"}}, "elements=.* is not used"),
        (sample, {"part": "incoherent"}, "the Sample has no"),
        (sample, {"part": "total"}, "part='total' is not one of"),
    ):
        with pytest.raises(QuantityError, match=says):
            xbp.from_dynasor(wrong, **options)


@pytest.mark.parametrize("data", [[], [1, 2], 3, None, {"a": 1}, object()])
def test_what_is_neither_path_nor_atoms(data: Any) -> None:
    with pytest.raises(XbpError, match="path"):
        open_trajectory(data)


def test_names_that_ase_does_not_know() -> None:
    pytest.importorskip("ase")
    glass = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=[0])
    with pytest.raises(QuantityError, match="ASE does not know the element"):
        glass.bp.to_ase()
