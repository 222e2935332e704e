"""Second derivatives of the energy of a glass, in the data model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, SimulationError, require, shown
from xbp.core.guards import not_used, require_number, require_positive
from xbp.core.schema import DATASET_LABELS, require_units
from xbp.core.signal import extend_history
from xbp.core.status import diagnosed
from xbp.core.units import convert_factor
from xbp.md.differences import second_derivatives
from xbp.md.lammps.harmonic import minimum_and_matrix, require_same
from xbp.md.lammps.hessian import second_derivatives_given, sum_rule_broken
from xbp.md.lammps.systems import System
from xbp.md.lattice.modes import Springs, springs_of
from xbp.md.models import new_trajectory
from xbp.md.trajectory import Trajectory, read_trajectory

__all__ = ["force_constants", "new_force_constants", "read_force_constants"]


def force_constants(
    configuration: xr.Dataset,
    system: Any,
    *,
    potential: Any = None,
    step: Any = "0.01 angstrom",
    agreement: float = 0.01,
) -> xr.Dataset:
    """Compute the force constants of the inherent structure of a glass.

    The energy is minimised at constant cell; the second derivatives at the minimum are
    finite differences of the forces. Atoms so far apart that no force depends on both
    are moved together.

    Parameters
    ----------
    configuration : xarray.Dataset
        A trajectory of one frame, such as ``glass.isel(time=[-1])``; for LAMMPS in an
        orthogonal cell.
    system : str, System, or ASE calculator
        What computes the forces: a model glass of LAMMPS, as for `make_glass`, or an
        ASE calculator, which may be any potential or machine-learned model.
    potential : path-like, optional
        As for `make_glass`.
    step : scalar with units
        Displacement of the atoms to either side (bare: angstrom); half of it is tried
        too, see `xbp.md.lammps.dynamical_matrix`.
    agreement : float
        By how much the second derivatives of the two steps may differ, as for
        `harmonic_vdos`.

    Returns
    -------
    xarray.Dataset
        ``force_constant`` (eV/angstrom²) over ``pair``, with the atoms ``first`` and
        ``second`` of each pair, in both orders; ``position`` at the minimum, ``cell``,
        ``mass`` and ``element``. The next step is ``.bp.bloch_modes(…)``.

    Raises
    ------
    QuantityError, RangeError
        If the configuration is not one frame with masses and elements, or the range of
        the forces is half of the box or more (for an embedded-atom potential it is
        twice the cutoff).
    SimulationError
        If LAMMPS fails, no minimum is reached, or the second derivatives depend on the
        step.
    MissingDependencyError
        If lammps or ASE is needed and not installed.

    References
    ----------
    A. A. Maradudin et al., Theory of Lattice Dynamics in the Harmonic Approximation,
    2nd ed. (1971).

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=[-1])
    >>> phi = force_constants(glass, "kob_andersen")
    >>> phi.force_constant.dims, phi.force_constant.attrs["units"]
    (('pair', 'xyz', 'xyz_other'), 'eV/angstrom**2')
    """
    trajectory = read_trajectory(configuration)
    if trajectory.n_frames != 1:
        raise RangeError(
            f"the configuration has {trajectory.n_frames} frames; one is needed",
            fix="glass.isel(time=[-1])",
        )
    agreement = require_number(agreement, "agreement", least=0)
    if isinstance(system, str | System):
        minimum, matrix, mass = minimum_and_matrix(
            configuration, system, potential, step, agreement
        )
        position = minimum.position
    else:
        not_used("an ASE calculator has its own potential", potential=potential)
        position, matrix = _by_calculator(
            trajectory, system, require_positive(step, "step", "angstrom"), agreement
        )
        mass = trajectory.masses()
    rest = new_trajectory(
        position[None],
        time=[0.0],
        cell=trajectory.mean_cell,
        element=trajectory.elements(),
        mass=mass,
    )
    rest.attrs["history"] = configuration.attrs.get("history", "")
    name = system if isinstance(system, str) else getattr(system, "name", "calculator")
    return _labelled(matrix, rest, "force_constants", system=name, step=step)


def new_force_constants(
    matrix: Any,
    configuration: xr.Dataset,
    *,
    units: str | None = None,
    mass_weighted: bool | None = None,
    symmetric: float = 1e-6,
) -> xr.Dataset:
    """Make force constants from a matrix of second derivatives.

    Parameters
    ----------
    matrix : array_like, DataArray or sparse array, shape (3 n_atoms, 3 n_atoms)
        ∂²U/∂r_i∂r_j, with rows and columns ordered x, y, z of the first atom, x, y, z
        of the second, and so on; or such as `open_dynamical_matrix` returns.
    configuration : xarray.Dataset
        The minimum: a trajectory of one frame with masses and elements, with the atoms
        in the order of the matrix.
    units : str, optional
        Units of the matrix, where it does not carry them: by default
        ``"eV/angstrom**2"``.
    mass_weighted : bool, optional
        Whether the matrix is the dynamical matrix, divided by √(m_i m_j); by default
        its units tell, such as ``"eV/angstrom**2/u"`` or ``"1/ps**2"``.
    symmetric : float
        By how much the matrix may differ from its transpose, as a fraction of the
        largest element; their mean is used.

    Returns
    -------
    xarray.Dataset
        As from `force_constants`.

    Raises
    ------
    QuantityError, UnitsError, RangeError
        If the matrix is not finite, has another shape or is not symmetric, or its range
        is half of the box or more.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3), mass=[1, 1],
    ...     element=["H", "H"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.diag([1.0, 0, 0]))
    >>> new_force_constants(spring, pair).sizes["pair"]
    4
    """
    trajectory = read_trajectory(configuration)
    if trajectory.n_frames != 1:
        raise QuantityError(
            f"the configuration has {trajectory.n_frames} frames",
            fix="pass one frame: glass.isel(time=[-1])",
        )
    sparse = second_derivatives_given(
        matrix, trajectory.masses(), units, mass_weighted, symmetric
    )
    return _labelled(
        sparse, configuration, "new_force_constants", mass_weighted=mass_weighted
    )


def _labelled(
    matrix: Any,
    rest: xr.Dataset,
    maker: str,
    *,
    allowed: float = 0.01,
    **arguments: Any,
) -> xr.Dataset:
    """Put a matrix and its minimum into the data model."""
    trajectory = read_trajectory(rest)
    if not trajectory.is_periodic:
        raise RangeError("the box is open along some sides", fix="use a periodic box")
    if not matrix.count_nonzero():
        raise QuantityError("all second derivatives are zero")
    position = trajectory.block(0, 1).scaled()[0].T @ trajectory.mean_cell
    springs, violation = springs_of(
        matrix, position, trajectory.mean_cell, trajectory.masses(),
        dimension=trajectory.dimension,
    )  # fmt: skip
    doubts = []
    if violation > allowed:
        fix = "use a larger step=, or more accurate forces"
        doubts.append(sum_rule_broken(violation, fix))
    ds = rest.drop_vars("velocity", errors="ignore")
    ds = ds.assign(
        first=("pair", springs.first),
        second=("pair", springs.second),
        force_constant=(
            ("pair", "xyz", "xyz_other"),
            _in_space(springs.block),
            {"units": UNITS, "long_name": "force constant"},
        ),
    )
    ds.attrs = {
        **DATASET_LABELS,
        "quantity": "force_constants",
        **({"dimension": 2} if springs.dimension == 2 else {}),
        "sum_rule_violation": violation,
        **diagnosed({}, *doubts),
        "history": extend_history(rest.attrs.get("history"), maker, arguments),
    }
    return ds


def _in_space(block: np.ndarray) -> np.ndarray:
    """Return blocks of three directions; across a plane nothing is coupled."""
    missing = 3 - block.shape[-1]
    return np.pad(block, ((0, 0), (0, missing), (0, missing)))


#: Of force constants.
UNITS = "eV/angstrom**2"


def read_force_constants(data: xr.Dataset) -> tuple[Trajectory, Springs]:
    """Return the atoms at rest, and the springs between them.

    Raises
    ------
    QuantityError, UnitsError
        If data are not force constants, all are zero, a pair has an atom that does not
        exist, or those of an atom do not add up to 0, as where pairs are missing.
    """
    trajectory = read_trajectory(data)
    missing = {"first", "second", "force_constant"} - set(data.variables)
    if missing:
        raise QuantityError(
            f"the force constants lack {', '.join(sorted(missing))}",
            fix="xbp.md.lattice.force_constants(glass, system)",
        )
    first, second = (np.asarray(data[name].values) for name in ("first", "second"))
    n = trajectory.n_atoms
    for name, atoms in (("first", first), ("second", second)):
        if atoms.dtype.kind not in "iu" or not ((atoms >= 0) & (atoms < n)).all():
            raise QuantityError(
                f"'{name}' of the force constants must be between 0 and {n - 1}"
            )
    own = require_units(data["force_constant"], "'force_constant'", UNITS)
    block = np.asarray(data["force_constant"].values, dtype=float)
    block = block * convert_factor(own, UNITS, name="'force_constant'")
    if not np.isfinite(block).all():
        raise QuantityError("'force_constant' has values that are not finite")
    block = block[:, : trajectory.dimension, : trajectory.dimension]
    if not block.any():
        raise QuantityError("all force constants are zero")
    total = np.zeros((n, *block.shape[1:]))
    np.add.at(total, first, block)
    left = float(abs(total).max() / abs(block).max())
    if left > 1e-4:  # all that were made have 0, in single precision
        raise QuantityError(
            f"the force constants of an atom add up to {100 * left:.2g} % of the "
            "largest, not to 0: pairs are missing",
            fix="pass all pairs, as xbp.md.lattice.force_constants returns them",
        )
    position = trajectory.block(0, 1).scaled()[0].T @ trajectory.mean_cell
    return trajectory, Springs(
        first, second, block, position, trajectory.mean_cell, trajectory.masses()
    )


def _by_calculator(
    trajectory: Trajectory,
    calculator: Any,
    step: float,
    agreement: float,
    *,
    at_rest: float = 1e-4,
) -> tuple[np.ndarray, Any]:
    """Find the minimum and its second derivatives by a calculator of ASE.

    `at_rest` is the largest force at a minimum, eV/Å.
    """
    ase = require("ase", "use its calculators", "formats")
    if not hasattr(calculator, "get_property"):
        raise QuantityError(
            f"system={shown(calculator)} must be a model glass or an ASE calculator"
        )
    fire = require("ase.optimize", "find the minimum", "formats").FIRE
    cell = trajectory.mean_cell
    place = trajectory.block(0, 1).scaled()[0].T @ cell
    atoms = ase.Atoms(
        trajectory.elements().tolist(), place, cell=cell, pbc=trajectory.repeats
    )
    atoms.calc = calculator
    if not fire(atoms, logfile=None).run(fmax=at_rest, steps=20000):
        largest = float(np.abs(atoms.get_forces()).max())
        raise SimulationError(
            f"no minimum was reached: the largest force is {largest:.2g} eV/angstrom",
            fix="pass a glass relaxed at low temperature",
        )
    rest = atoms.positions.copy()

    def evaluate(
        positions: Iterator[np.ndarray],
        count: int,
        take: Callable[[np.ndarray], None],
    ) -> None:
        for atoms.positions in positions:
            take(atoms.get_forces())

    steps = (step, step / 2)
    found = second_derivatives(
        evaluate, rest, cell, steps, dimension=trajectory.dimension
    )
    require_same(found.apart, found.where, steps, agreement)
    return rest, found.matrix
