"""Rows of the table of trajectory formats in docs/files.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from xbp.io.guide import Guide
from xbp.md.open import FORMATS

__all__ = ["FILES", "TrajectoryFile"]

#: What the examples do with a trajectory of any length, and with particles that are no
#: elements.
_STATIC: Final = 'structure_factor("5 1/angstrom")'
_OF_PARTICLES: Final = 'structure_factor("5 1/angstrom", weights="unit")'


def _guide(
    producer: str,
    reads: str,
    call: str,
    *asks: str,
    extra: str = "md",
    then: str = _STATIC,
) -> Guide:
    example = f"traj = xbp.md.open_trajectory({call})\ntraj.bp.{then}"
    return Guide("trajectories", producer, reads, example, asks, extra)


_DUMP: Final = '"run.dump", units="metal", timestep="2 fs", elements=["Cu", "Zr"]'
#: By the name of the format, the argument `format`; all of `xbp.md.open.FORMATS`.
_GUIDES: Final[Mapping[str, Guide]] = {
    "lammps-dump": _guide(
        "LAMMPS `dump`, also `.gz`, `.bz2`, `.xz`, `.zst`",
        "positions, velocities, cell, masses, planes of atoms; step numbers become "
        "times",
        _DUMP,
        "units",
        "elements",
        "timestep",
    ),
    "extxyz": _guide(
        "ASE, GPUMD, LAMMPS, learned potentials",
        "positions, velocities, cell, times where the comment has them; energies and "
        "forces",
        '"run.xyz", time_between_frames="20 fs"',
        "time_between_frames",
        "units",
    ),
    "xyz": _guide(
        "CP2K, LAMMPS, many others",
        "positions, and velocities of a second file (`velocities=`); no cell",
        '"run.xyz", cell="12.4 angstrom", time_between_frames="1 fs"',
        "cell",
        "time_between_frames",
        "units",
    ),
    "lammps-data": _guide(
        "LAMMPS `write_data`",
        "one configuration with velocities; also as `topology=` of a trajectory",
        '"glass.data", units="metal"',
        "units",
        "atom_style",
        "elements",
    ),
    "dl-poly": _guide(
        "DL_POLY `HISTORY`",
        "positions, velocities, cell, times, by content",
        '"HISTORY"',
        "elements",
        "cell",
    ),
    "xdatcar": _guide(
        "VASP `XDATCAR`",
        "positions and cell of every frame",
        '"XDATCAR", time_between_frames="2 fs"',
        "time_between_frames",
    ),
    "amber-netcdf": _guide(
        "AMBER, LAMMPS, ASE: `.nc`",
        "positions, velocities, cell, times; elements of `topology=`",
        '"run.nc", topology="run.prmtop"',
        "elements",
        "topology",
    ),
    "gsd": _guide(
        "HOOMD-blue",
        "positions, velocities, cell; the units of a simulation are its own",
        '"run.gsd", units="lj", lj="argon", timestep=0.005',
        "units",
        "lj",
        "timestep",
        extra="gsd",
        then=_OF_PARTICLES,
    ),
    "tng": _guide(
        "GROMACS",
        "positions, velocities, cell, times; elements by the names and masses that "
        "`mdrun` writes",
        '"run.tng"',
        "elements",
        extra="tng",
    ),
    "h5md": _guide(
        "H5MD: LAMMPS, GROMACS, ESPResSo, pyh5md",
        "positions, velocities, cell, times in the units of the file",
        '"run.h5"',
        "units",
        "elements",
        "group",
    ),
    "mdanse": _guide(
        "MDANSE: `.mdt`", "positions, velocities, cell, times", '"run.mdt"', "elements"
    ),
}


@dataclass(frozen=True)
class TrajectoryFile:
    """A format of trajectories, for the table.

    Attributes
    ----------
    name : str
        For readers of the table.
    engine : str
        Name for the argument `format`; empty without one.
    options : tuple of str
        Arguments that apply, besides those that are asked for.
    guide : Guide
        The rest of its row.
    """

    name: str
    engine: str
    options: tuple[str, ...]
    guide: Guide


#: Formats read by xbp itself, and through other libraries.
FILES: Final = (
    *(
        TrajectoryFile(
            kind.text.partition(",")[0],
            kind.name,
            kind.arguments or (),
            _GUIDES[kind.name],
        )
        for kind in FORMATS
    ),
    TrajectoryFile(
        "XTC, TRR, DCD and others, with a topology",
        "",
        (),
        _guide(
            "GROMACS, NAMD, CHARMM, LAMMPS",
            "what MDAnalysis reads",
            '"run.xtc", topology="run.tpr"',
            "topology",
            "elements",
            "units",
            "time_between_frames",
            extra="formats",
        ),
    ),
    TrajectoryFile(
        "ASE `.traj`, `vasprun.xml`, OUTCAR, CASTEP `.md`",
        "",
        (),
        _guide(
            "ASE, VASP, CASTEP",
            "what ASE reads with all frames",
            '"run.traj", time_between_frames="5 fs"',
            "time_between_frames",
            extra="formats",
        ),
    ),
    TrajectoryFile(
        "NetCDF and Zarr of xbp",
        "",
        (),
        _guide("xbp (`xbp.md.convert`)", "everything, lazily", '"run.nc"'),
    ),
)
