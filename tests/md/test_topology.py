"""Elements of atoms that another file names: by symbol, mass, name, or as told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbp.errors import FileFormatError, QuantityError
from xbp.md import open_trajectory
from xbp.md.given import Given
from xbp.md.topology import Topology, elements_of, topology_of

from .test_formats import DATA, POSITIONS, by_mdanalysis, dcd
from .test_open import written

GRO = (
    "water\n 2\n    1SOL  {:>5}    1   0.100   0.200   0.300\n"
    "    1SOL  {:>5}    2   0.400   0.500   0.600\n   1.0   1.1   1.2\n"
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["xtc", "trr"])
def test_gromacs_with_names_of_atoms(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("MDAnalysis")
    path = tmp_path / f"a.{kind}"
    by_mdanalysis(path)
    top = written(tmp_path, GRO.format("OW", "HW1"), "a.gro")
    with pytest.raises(QuantityError, match="atoms called HW1, OW"):
        open_trajectory(path, topology=top)
    told = {"topology": top, "elements": {"OW": "O", "HW1": "H"}}
    traj = open_trajectory(path, **told)
    np.testing.assert_allclose(traj.position.values, POSITIONS, atol=0.01)
    assert traj.element.values.tolist() == ["O", "H"]
    assert traj.mass.values.round(1).tolist() == [16.0, 1.0]
    with pytest.raises(QuantityError, match="elements= names 'CW'"):
        open_trajectory(path, topology=top, elements={"CW": "C"})
    named = written(tmp_path, GRO.format("Cu", "Zr"), "b.gro")
    assert open_trajectory(path, topology=named).element.values.tolist() == ["Cu", "Zr"]
    few = written(tmp_path, "x\n 1\n" + GRO.format("Cu", "Zr").split("\n")[2] + "\n 1 1 1\n", "c.gro")  # fmt: skip
    with pytest.raises(FileFormatError, match="number of atoms"):
        open_trajectory(path, topology=few)


class Atoms:
    """What MDAnalysis has of a TPR: the atomic number −1 is DUMMY."""

    elements = np.array(["DUMMY", "DUMMY", "N", "DUMMY"], dtype=object)
    types = np.array(["opls_135", "opls_140", "opls_900", "C3"], dtype=object)
    names = np.array(["CA", "HA", "NA", "C33"], dtype=object)
    masses = np.array([12.011, 1.008, 14.0067, 15.035])


def test_a_tpr_without_elements_has_masses() -> None:
    """DUMMY is no element; a united atom of 15.035 u is none either, and is asked for."""
    topology = topology_of(Atoms)
    with pytest.raises(QuantityError, match="atoms called C33"):
        elements_of(Given(Path("a")), topology, 4)
    for key in ("C33", "C3"):
        given = Given(Path("a"), elements={key: "C"})
        assert elements_of(given, topology, 4).tolist() == ["C", "H", "N", "C"]


def test_symbols_masses_and_names_in_this_order() -> None:
    names = np.array(["NA", "CO", "Cu", "n"])
    masses = np.array([22.98977, 12.011, 63.5, 0.0])
    given, told = Given(Path("a")), Given(Path("a"), elements={"n": "N"})
    with pytest.raises(QuantityError, match=r"atoms called n\s"):
        elements_of(given, Topology(names, masses), 4)
    assert elements_of(told, Topology(names, masses), 4).tolist() == ["Na", "C", "Cu", "N"]  # fmt: skip
    with pytest.raises(QuantityError, match="called CO, NA"):
        elements_of(told, Topology(names, masses, weigh=False), 4)


@pytest.mark.filterwarnings("ignore")
def test_data_of_lammps_as_topology(tmp_path: Path) -> None:
    pytest.importorskip("MDAnalysis")
    path = written(tmp_path, dcd(b"Written by LAMMPS"), "a.dcd")
    text = DATA.replace("by hand", "LAMMPS data file via write_data, units = metal")
    charges = text.replace("Atoms # atomic\n\n2 2 4", "Atoms\n\n2 2 -0.5 4")
    charges = charges.replace("\n1 1 1 2", "\n1 1 0.5 1 2")
    assert charges.count("0.5") == 2
    for content, options in ((text, {}), (charges, {"atom_style": "charge"})):
        top = written(tmp_path, content, "a.data")
        told = {"topology": top, "units": "metal", "timestep": "2 fs"}
        traj = open_trajectory(path, **told, **options)
        assert traj.element.values.tolist() == ["Cu", "Zr"]
        assert traj.mass.values.tolist() == [63.546, 91.224]
    for style, says in (
        (None, "6 columns .atom_style: not stated"),
        ("full", "6 columns .atom_style: 'full'"),
        ("fool", "atom_style='fool' is not one of"),
    ):
        with pytest.raises(QuantityError, match=says):
            open_trajectory(path, **told, atom_style=style)
    stated = written(tmp_path, text, "b.data")
    with pytest.raises(QuantityError, match="atom_style='charge' contradicts"):
        open_trajectory(path, **{**told, "topology": stated}, atom_style="charge")


def test_hybrid_atoms_of_lammps(tmp_path: Path) -> None:
    text = DATA.replace("# atomic", "# hybrid").replace(
        "2 2 4 5 6", "2 2 4 5 6 0.5 7 1 0 0"
    )
    path = written(tmp_path, text.replace("1 1 1 2 3", "1 1 1 2 3 0.5 7 0 0 -1"))
    told = {"units": "metal", "elements": ["Cu", "Zr"]}
    traj = open_trajectory(path, atom_style="hybrid charge molecular", **told)
    np.testing.assert_allclose(traj.position.values[0], [[1, 2, -7], [14, 5, 6]])
    with pytest.raises(QuantityError, match="10 columns"):
        open_trajectory(path, **told)


@pytest.mark.filterwarnings("ignore")
def test_formats_that_are_named_and_options_of_their_readers(tmp_path: Path) -> None:
    pytest.importorskip("MDAnalysis")
    path = written(tmp_path, dcd(b"REMARKS CHARMM"), "a.trajectory")
    top = written(tmp_path, DATA, "t.data")
    told = {"topology": top, "elements": ["Cu", "Zr"], "timestep": "2 fs"}
    traj = open_trajectory(path, format="DCD", **told)
    np.testing.assert_allclose(traj.position.values, POSITIONS, atol=1e-6)
    with pytest.raises(FileFormatError, match="MDAnalysis"):
        open_trajectory(path, format="XTC", **told)
    options = {"reader_options": {"convert_units": False}}
    plain = open_trajectory(path, format="DCD", **told, **options)
    np.testing.assert_array_equal(plain.position.values, traj.position.values)
    dump = written(tmp_path, DATA, "b.data")
    with pytest.raises(FileFormatError, match=r"b\.data"):
        open_trajectory(dump, format="lammps-dump", units="metal", timestep="2 fs")
    with pytest.raises(QuantityError, match=r"reader_options=.* is not used"):
        open_trajectory(dump, units="metal", **options)
