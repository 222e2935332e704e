"""Vibrations of a glass in the harmonic approximation.

The dynamical matrix of the inherent structure.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import dimension_of
from xbp.core.data import require_finite
from xbp.core.errors import QuantityError, SimulationError
from xbp.core.guards import (
    RNG,
    choose,
    not_used,
    require_flag,
    require_mass,
    require_number,
    require_positive,
    require_seed,
)
from xbp.core.schema import DATASET_LABELS, QUANTITIES
from xbp.core.signal import extend_history, label_std
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, split_quantity
from xbp.md.chebyshev import (
    bin_coefficients,
    mode_moments,
    number_of_moments,
)
from xbp.md.lammps.hessian import second_derivatives_given, sum_rule_broken
from xbp.md.lammps.job import (
    Configuration,
    choose_system,
    potential_job,
    read_configuration,
)
from xbp.md.lammps.runs import run_worker
from xbp.md.lammps.systems import System
from xbp.md.plane import Dimension
from xbp.md.trajectory import read_trajectory
from xbp.reduction.dos_area import area_attributes, area_coordinate

__all__ = [
    "dynamical_matrix",
    "harmonic_vdos",
    "minimum_and_matrix",
    "normal_modes",
    "require_same",
]

Method = Literal["modes", "kernel polynomial"]


def harmonic_vdos(
    configuration: xr.Dataset | None = None,
    system: str | System | None = None,
    *,
    matrix: Any = None,
    masses: Any = None,
    units: str | None = None,
    potential: Any = None,
    dE: Any = "0.5 meV",
    directions: bool = False,
    method: Method | None = None,
    step: Any = "0.01 angstrom",
    agreement: float = 0.01,
    symmetric: float = 1e-6,
    rng: RNG = 1,
    most_modes: int = 3000,
) -> xr.Dataset:
    r"""Compute g(E) of the harmonic vibrations about the inherent structure of a glass.

    The energy is minimised at constant cell; the second derivatives there, by finite
    differences, make the dynamical matrix, whose eigenvalues are the squares of the
    frequencies. Or the second derivatives of any other program are given as `matrix`.

    Parameters
    ----------
    configuration : xarray.Dataset, optional
        A trajectory of one frame in an orthogonal cell, such as
        ``glass.isel(time=[-1])``; with `matrix` only its masses are used.
    system, potential
        As for `make_glass`; not with `matrix`.
    matrix : array_like, DataArray or sparse array, shape (3 n_atoms, 3 n_atoms)
        ∂²U/∂r_i∂r_j at the minimum, with rows and columns ordered x, y, z of the first
        atom, then of the second; or divided by √(m_i m_j), as its units tell; or such
        as `open_dynamical_matrix` returns. Of a plane (`configuration`), what moves
        atoms out of it is left out.
    masses : array_like, shape (n_atoms,)
        For `matrix` without `configuration` (bare: u).
    units : str, optional
        Of `matrix`, where it does not carry them: by default ``"eV/angstrom**2"``;
        ``"eV/angstrom**2/u"`` or ``"1/ps**2"`` of a dynamical matrix.
    dE : scalar with units
        Width of the bins (bare: meV).
    directions : bool
        The motion along x, y and z, as by `vdos`: Σ_j e_jα² of each mode, along
        ``direction``. Needs the modes.
    method : {"modes", "kernel polynomial"}, optional
        All modes by an eigensolver, by default up to `most_modes` atoms, or an
        expansion of g in Chebyshev polynomials by random vectors.
    step : scalar with units
        By which atoms are moved (bare: angstrom), and half of it: see
        `dynamical_matrix`.
    agreement : float
        By how much the second derivatives of the two steps may differ: the sum of the
        absolute differences over what one atom feels, relative to the largest such sum
        of the derivatives. More is refused.
    symmetric : float
        By how much `matrix` may differ from its transpose, over the largest element;
        their mean is used.
    rng : int, numpy.random.Generator or None
        Of the random vectors.
    most_modes : int
        Atoms up to which all modes are found by default.

    Returns
    -------
    xarray.Dataset
        ``g`` (1/meV) over E, of unit area if no mode is imaginary, with ``_std`` (the
        counting error √n of the modes in a bin, or the scatter of the random vectors).
        Imaginary modes are no part of it; they, and a matrix whose rows do not add up
        to 0 (the acoustic sum rule, imposed on its diagonal) are listed by
        ``.bp.diagnostics()``. With the modes also
        ``mode_energy`` (meV; negative where the frequency is imaginary) and
        ``participation_ratio`` over ``mode``.

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If the configuration is not one frame in an orthogonal cell; if the matrix is
        not symmetric, in other units, or its masses are missing.
    SimulationError
        If LAMMPS fails, no minimum is reached, or the second derivatives depend on the
        step.

    References
    ----------
    W. Schirmacher, Theory of Liquids and Other Disordered Media (2015), ch. 6; A. Weiße
    et al., Rev. Mod. Phys. 78, 275 (2006), doi:10.1103/RevModPhys.78.275 (polynomials;
    here with a Gaussian of constant width in E instead of a kernel).
    """
    width = require_positive(dE, "dE", "meV", energy=True)
    seed = require_seed(rng)
    # Before the derivatives are computed, which may take hours.
    by_axis = require_flag(directions, "directions")
    if method is not None:
        choose(method, Method, "method")
    if matrix is not None:
        not_used("matrix= is given", system=system, potential=potential)
        mass = _masses_given(configuration, masses)
        second = second_derivatives_given(matrix, mass, units, None, symmetric)
        second, doubts = _at_rest(second)
    else:
        not_used("matrix= is not given", masses=masses, units=units)
        if configuration is None or system is None:
            raise QuantityError(
                "a configuration and its system are needed, or matrix=",
                fix="harmonic_vdos(glass, 'kob_andersen'), or matrix=, masses=",
            )
        _, second, mass = minimum_and_matrix(
            configuration, system, potential, step, agreement
        )
        doubts = []
    d = 3 if configuration is None else dimension_of(configuration)
    matrix = weighted(second, mass, d)
    few = by_axis or mass.size <= most_modes
    default = "modes" if few else "kernel polynomial"
    chosen: Method = choose(method or default, Method, "method")
    if by_axis:
        choose(chosen, ("modes",), "method", reason="directions=True needs them")
    highest = scipy.sparse.linalg.eigsh(
        matrix, k=1, which="LA", return_eigenvectors=False, tol=1e-4
    )
    E_max = constants.HBAR_ROOT_EV_PER_U * float(np.sqrt(highest[0])) * 1.02
    n_bins = int(E_max / width) + 1
    edges = np.arange(n_bins + 1) * width
    ds = xr.Dataset()
    arguments = {"dE": f"{width:g} meV", "method": chosen, "step": step}
    if chosen == "modes":
        energy, vectors = _modes(matrix)
        # As many modes as there are dimensions are translations of the whole.
        moving = np.sort(np.argsort(np.abs(energy))[d:])
        energy, vectors = energy[moving], vectors[:, moving]
        ratio = _participation_ratio(vectors, d)
        shares = np.ones((1, energy.size))
        if by_axis:
            shares = (vectors.reshape(-1, d, energy.size) ** 2).sum(axis=0)
        count, squares = (
            np.stack([np.histogram(energy, edges, weights=row)[0] for row in weights])
            for weights in (shares, shares**2)
        )
        g, std = (n / energy.size / width for n in (count, np.sqrt(squares)))
        g, std = (part if by_axis else part[0] for part in (g, std))
        if energy.min() < 0:
            text = (
                f"{int((energy < 0).sum())} of {energy.size} modes are imaginary, the "
                f"lowest at {energy.min():.3g} meV, and left out of g(E)"
            )
            fix = "relax the configuration further, or change step="
            doubts.append(Diagnostic("imaginary_modes", "warning", text, fix))
        mode = {"units": "meV", "long_name": "energy of the mode"}
        share = {"units": "1", "long_name": "participation ratio"}
        ds["mode_energy"] = ("mode", energy, mode)
        ds["participation_ratio"] = ("mode", ratio, share)
    else:
        g, std = _by_polynomials(matrix, mass, edges, E_max, seed, d)
        arguments["rng"] = seed
    before = None if configuration is None else configuration.attrs.get("history")
    row = QUANTITIES["vibrational_dos"]
    history = {"history": extend_history(before, "harmonic_vdos", arguments)}
    labels = {
        "units": "1/meV",
        "quantity": row.name,
        "long_name": row.label,
        "statistics": "classical",
        **({"dimension": 2} if d == 2 else {}),
        # Modes with an imaginary frequency are no part of g, nor of its area.
        **({} if by_axis else area_attributes(float(g.sum() * width), "all modes")),
        **diagnosed({}, *doubts),
        **history,
    }
    dims = ("direction", "E") if by_axis else ("E",)
    ds["g"] = (dims, g, labels)
    ds["g_std"] = (dims, std)
    if by_axis:
        ds = ds.assign_coords(direction=list("xyz"[:d]))
        ds = ds.assign_coords(area=area_coordinate(ds["g"].sum("E") * width))
    label_std(ds, "g")
    energies = {"units": "meV", "long_name": "energy", "bounds": "E_bnds"}
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)
    middle = ("E", bounds.mean(axis=1), energies)
    ds = ds.assign_coords(E=middle, E_bnds=(("E", "bnds"), bounds))
    ds.attrs = {**DATASET_LABELS, **history}
    return ds


def _masses_given(configuration: xr.Dataset | None, masses: Any) -> np.ndarray:
    """Return the masses of the atoms of a matrix, u."""
    if (configuration is None) == (masses is None):
        raise QuantityError(
            "matrix= needs the mass of each atom, from masses= or a configuration, not "
            "from both",
            fix="masses=[63.5, 91.2, ...]",
        )
    if configuration is not None:
        return read_trajectory(configuration).masses()
    number, units = split_quantity(masses, "masses", "u")
    mass = require_finite(getattr(number, "values", number), "masses")
    mass = np.atleast_1d(mass) * convert_factor(units or "u", "u", name="masses")
    for one in np.unique(mass):
        require_mass(float(one), "masses")
    return mass


def _at_rest(matrix: Any, *, allowed: float = 0.01) -> tuple[Any, list[Diagnostic]]:
    """Impose the acoustic sum rule on the diagonal of second derivatives."""
    n = matrix.shape[0] // 3
    whole = scipy.sparse.csr_array(np.tile(np.eye(3), (n, 1)))
    rest = (matrix @ whole).toarray().reshape(n, 3, 3)
    rest = (rest + rest.transpose(0, 2, 1)) / 2
    apart = scipy.sparse.coo_array(matrix)
    if not apart.data[apart.coords[0] // 3 != apart.coords[1] // 3].any():
        raise QuantityError(
            "matrix= has no second derivatives of two different atoms, so all modes "
            "would have zero energy",
            fix="pass the whole matrix, not its diagonal",
        )
    violation = float(np.abs(rest).max() / abs(matrix).max())
    blocks = scipy.sparse.block_diag(list(rest), format="csr")
    doubts = []
    if violation > allowed:
        fix = "check the order of the atoms, the units and the accuracy of the forces"
        doubts = [sum_rule_broken(violation, fix)]
    return scipy.sparse.csr_array(matrix - blocks), doubts


def dynamical_matrix(
    configuration: xr.Dataset,
    system: str | System,
    *,
    potential: Any = None,
    step: Any = "0.01 angstrom",
    agreement: float = 0.01,
) -> Any:
    """Compute the dynamical matrix ∂²U/∂r_i∂r_j / √(m_i m_j) of the inherent structure.

    Parameters
    ----------
    configuration, system, potential
        As for `harmonic_vdos`.
    step : scalar with units
        By which atoms are moved to either side (bare: angstrom). Forces of a table jump
        at its cutoff, by 1e-4 eV/angstrom or so: over a step of 1e-4 angstrom that is a
        false stiffness of 0.5 eV/angstrom², over 0.01 one that no mode shows.
    agreement : float
        As for `harmonic_vdos`.

    Returns
    -------
    scipy.sparse.csr_array, shape (3 n_atoms, 3 n_atoms)
        eV/Å²/u, symmetric; the coordinates of an atom follow one another. Of a plane
        (2 n_atoms, 2 n_atoms).

    Raises
    ------
    XbpError
        As for `harmonic_vdos`.
    """
    _, matrix, mass = minimum_and_matrix(
        configuration, system, potential, step, agreement
    )
    return weighted(matrix, mass, dimension_of(configuration))


def minimum_and_matrix(
    configuration: xr.Dataset,
    system: str | System,
    potential: Any,
    step: Any,
    agreement: float,
) -> tuple[Configuration, Any, np.ndarray]:
    """Find the inherent structure of a configuration, and its second derivatives.

    They are computed with one step and compared with those of half of it.

    Parameters
    ----------
    configuration, system, potential, step, agreement
        As for `harmonic_vdos`.

    Returns
    -------
    minimum : Configuration
        In the order of the atoms of `configuration`.
    matrix : scipy.sparse.csr_array, shape (3 n_atoms, 3 n_atoms)
        ∂²U/∂r_i∂r_j, eV/Å², symmetric.
    mass : numpy.ndarray, shape (n_atoms,)
        u.

    Raises
    ------
    SimulationError
        If the two differ by more than `agreement`.
    """
    first_step = require_positive(step, "step", "angstrom")
    agreement = require_number(agreement, "agreement", least=0)
    steps = (first_step, first_step / 2)
    chosen = choose_system(system, None, potential)
    start = read_configuration(configuration, chosen)
    forces, file = potential_job(chosen, potential, start.species)
    job = {"side": start.sides, "types": start.types.tolist(), **forces, "steps": steps}
    job["dimension"] = chosen.dimension
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start.position.ravel().tofile(folder / "positions.f64")
        (folder / "job.json").write_text(json.dumps(job))
        if file is not None:
            shutil.copyfile(file, folder / forces["potential"]["file"])
        run_worker("harmonic", folder, 1, chosen.name)
        found = json.loads((folder / "found.json").read_text())
        if found["fmax"] > 1e-3:  # eV/Å: in a glass at rest they are below 1e-5
            raise SimulationError(
                f"no minimum was reached: the largest force is {found['fmax']:.2g} "
                "eV/angstrom",
                fix="pass a glass relaxed at low temperature",
            )
        matrix = scipy.sparse.load_npz(folder / "matrix.npz")
        rest = np.fromfile(folder / "minimum.f64").reshape(-1, 3)
    minimum = replace(start, position=rest, velocity=None)
    mass = np.array(forces["masses"])[start.types - 1]
    require_same(found["apart"], found["where"], steps, agreement)
    return minimum, matrix, mass


def weighted(matrix: Any, mass: np.ndarray, dimension: int = 3) -> Any:
    """Divide second derivatives by √(m_i m_j); of a plane, those in it."""
    root = scipy.sparse.diags_array(np.repeat(mass**-0.5, 3))
    kept = np.arange(3 * mass.size).reshape(-1, 3)[:, :dimension].ravel()
    return (root @ matrix @ root).tocsr()[kept][:, kept]


def require_same(
    apart: float, where: Sequence[int], steps: tuple[float, float], agreement: float
) -> None:
    """Refuse second derivatives that depend on the step."""
    if apart > agreement:
        raise SimulationError(
            f"second derivatives from steps of {steps[0]:g} and {steps[1]:g} angstrom "
            f"differ by up to {apart:.2g} of the largest, for atoms {where[0]} and "
            f"{where[1]}",
            reason="the force jumps, for example at a cutoff, or changes strongly "
            "within a step",
            fix="use a potential that vanishes smoothly, or another step=; up to "
            f"agreement={agreement:g} is accepted",
        )


def normal_modes(
    matrix: Any, dimension: Dimension = 3
) -> tuple[np.ndarray, np.ndarray]:
    r"""Find all modes of a dynamical matrix.

    Parameters
    ----------
    matrix : sparse array, shape (d n_atoms, d n_atoms)
        From `dynamical_matrix`.
    dimension : {2, 3}
        d: 2 of a plane.

    Returns
    -------
    energy : numpy.ndarray, shape (d n_atoms,)
        ħω in meV, ascending; −ħ|ω| where ω is imaginary.
    participation_ratio : numpy.ndarray, shape (d n_atoms,)
        (Σ|e_i|²)² / (N Σ|e_i|⁴): 1 where all atoms move equally, 1/N for one alone.

    References
    ----------
    R. J. Bell & P. Dean, Discuss. Faraday Soc. 50, 55 (1970), doi:10.1039/DF9705000055.
    """
    energy, vectors = _modes(matrix)
    return energy, _participation_ratio(vectors, dimension)


def _modes(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return energies in meV, ascending, and vectors, (d n_atoms, n_modes)."""
    square, vectors = scipy.linalg.eigh(
        matrix.toarray(), overwrite_a=True, check_finite=False
    )
    energy = constants.HBAR_ROOT_EV_PER_U * np.sign(square) * np.sqrt(np.abs(square))
    return energy, vectors


def _participation_ratio(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Return (Σ|e_i|²)² / (N Σ|e_i|⁴) of normalised modes."""
    weight = (vectors.reshape(-1, dimension, vectors.shape[1]) ** 2).sum(axis=1)
    return np.asarray(1 / (weight.shape[0] * (weight**2).sum(axis=0)))


def _by_polynomials(
    matrix: Any,
    mass: np.ndarray,
    edges: np.ndarray,
    E_max: float,
    seed: int,
    dimension: int,
    *,
    n_vectors: int = 24,
) -> tuple[np.ndarray, np.ndarray]:
    """Return g in bins from random vectors, and the error of their mean.

    A mode is drawn as a Gaussian of half the width of a bin (FWHM).
    """
    width = edges[1] - edges[0]
    sigma = width / 2 / np.sqrt(8 * np.log(2))
    count, n = number_of_moments(E_max, sigma), matrix.shape[0]
    rng = np.random.default_rng(seed)
    vectors = rng.choice([-1.0, 1.0], size=(n, n_vectors))
    # As many modes as there are dimensions are translations of the whole.
    whole = np.kron(np.sqrt(mass / mass.sum())[:, None], np.eye(dimension))
    vectors -= whole @ (whole.T @ vectors)
    moments = mode_moments(lambda v: matrix @ v, vectors, count, E_max)
    share = (
        bin_coefficients(edges, sigma, count, E_max) @ (moments / moments[0]) / width
    )
    return share.mean(axis=1), share.std(axis=1, ddof=1) / np.sqrt(n_vectors)
