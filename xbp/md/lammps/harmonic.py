"""Vibrations of a glass without its motion.

The dynamical matrix of the inherent structure.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.errors import SimulationError
from xbp.core.guards import choose, require_positive
from xbp.core.schema import CONVENTIONS, QUANTITIES, SCHEMA_VERSION
from xbp.core.signal import extend_history, label_std
from xbp.core.status import Diagnostic, diagnosed
from xbp.md.lammps.runs import run_worker
from xbp.md.lammps.systems import (
    Configuration,
    System,
    choose_system,
    potential_job,
    read_configuration,
)
from xbp.reduction.dos_area import area_attributes

__all__ = [
    "dynamical_matrix",
    "harmonic_vdos",
    "kernel_polynomial_vdos",
    "minimum_and_matrix",
    "normal_modes",
]

Method = Literal["modes", "kernel polynomial"]


def harmonic_vdos(
    configuration: xr.Dataset,
    system: str | System,
    *,
    potential: Any = None,
    dE: Any = "0.5 meV",
    method: Method | None = None,
    step: Any = "0.01 angstrom",
    agreement: float = 0.01,
    seed: int = 1,
    most_modes: int = 3000,
) -> xr.Dataset:
    r"""Compute g(E) of the harmonic vibrations about the inherent structure of a glass.

    The energy is minimised at constant cell; the second derivatives there, by finite
    differences, make the dynamical matrix, whose eigenvalues are the squares of the
    frequencies.

    Parameters
    ----------
    configuration : xarray.Dataset
        A trajectory of one frame in an orthogonal cell, such as
        ``glass.isel(time=[-1])``.
    system, potential
        As for `make_glass`.
    dE : scalar with units
        Width of the bins (bare: meV).
    method : {"modes", "kernel polynomial"}, optional
        All modes by an eigensolver, by default up to `most_modes` atoms, or an
        expansion of g in Chebyshev polynomials by random vectors.
    step : scalar with units
        By which atoms are moved (bare: angstrom), and half of it: see
        `dynamical_matrix`.
    agreement : float
        Part of the largest second derivative by which those of the two steps may differ
        without a diagnostic.
    seed : int
        Of the random vectors.
    most_modes : int
        Atoms up to which all modes are found by default.

    Returns
    -------
    xarray.Dataset
        ``g`` (1/meV) over E, of unit area if no mode is imaginary, with ``_std`` (the
        counting error √n of the modes in a bin, or the scatter of the random vectors).
        Imaginary modes are no part of it; they, and second derivatives that depend on
        the step, are listed by ``.bp.diagnostics()``. With the modes also
        ``mode_energy`` (meV; negative where the frequency is imaginary) and
        ``participation_ratio`` over ``mode``.

    Raises
    ------
    QuantityError, RangeError
        If the configuration is not one frame in an orthogonal cell.
    SimulationError
        If LAMMPS fails, or no minimum is reached.

    References
    ----------
    W. Schirmacher, Theory of Liquids and Other Disordered Media (2015), ch. 6; A. Weiße
    et al., Rev. Mod. Phys. 78, 275 (2006), doi:10.1103/RevModPhys.78.275 (kernel
    polynomials, eqs. 25–42, Jackson's kernel 71).
    """
    width = require_positive(dE, "dE", "meV", energy=True)
    _, matrix, doubts = minimum_and_matrix(
        configuration, system, potential, step, agreement
    )
    default = "modes" if matrix.shape[0] <= 3 * most_modes else "kernel polynomial"
    chosen: Method = choose(method or default, Method, "method")
    highest = scipy.sparse.linalg.eigsh(
        matrix, k=1, which="LA", return_eigenvectors=False, tol=1e-4
    )
    top = float(highest[0])
    n_bins = int(constants.HBAR_ROOT_EV_PER_U * np.sqrt(top) * 1.02 / width) + 1
    edges = np.arange(n_bins + 1) * width
    ds = xr.Dataset()
    if chosen == "modes":
        energy, ratio = normal_modes(matrix)
        # Three of the modes are translations of the whole.
        moving = np.sort(np.argsort(np.abs(energy))[3:])
        energy, ratio = energy[moving], ratio[moving]
        count = np.histogram(energy, edges)[0]
        g, std = count / energy.size / width, np.sqrt(count) / energy.size / width
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
        inside = edges[:-1, None] + (np.arange(10) + 0.5) / 10 * width
        fine = kernel_polynomial_vdos(matrix, inside.ravel(), top, seed)
        g, std = (values.reshape(inside.shape).mean(axis=1) for values in fine)
    arguments = {"dE": f"{width:g} meV", "method": chosen, "step": step}
    before = configuration.attrs.get("history")
    row = QUANTITIES["vibrational_dos"]
    history = {"history": extend_history(before, "harmonic_vdos", arguments)}
    labels = {
        "units": "1/meV",
        "quantity": row.name,
        "long_name": row.label,
        "statistics": "classical",
        # Modes with an imaginary frequency are no part of g, nor of its area.
        **area_attributes(float(g.sum() * width), "all modes"),
        **diagnosed({}, *doubts),
        **history,
    }
    ds["g"] = ("E", g, labels)
    ds["g_std"] = ("E", std)
    label_std(ds, "g")
    energies = {"units": "meV", "long_name": "energy", "bounds": "E_bnds"}
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)
    middle = ("E", bounds.mean(axis=1), energies)
    ds = ds.assign_coords(E=middle, E_bnds=(("E", "bnds"), bounds))
    ds.attrs = {"Conventions": CONVENTIONS, "xbp_schema": SCHEMA_VERSION, **history}
    return ds


def dynamical_matrix(
    configuration: xr.Dataset,
    system: str | System,
    *,
    potential: Any = None,
    step: Any = "0.01 angstrom",
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

    Returns
    -------
    scipy.sparse.csr_array, shape (3 n_atoms, 3 n_atoms)
        eV/Å²/u, symmetric; the coordinates of an atom follow one another.

    Raises
    ------
    XbpError
        As for `harmonic_vdos`.
    """
    return minimum_and_matrix(configuration, system, potential, step, np.inf)[1]


def minimum_and_matrix(
    configuration: xr.Dataset,
    system: str | System,
    potential: Any,
    step: Any,
    agreement: float,
) -> tuple[Configuration, Any, list[Diagnostic]]:
    """Find the inherent structure of a configuration, and its dynamical matrix.

    The matrix is made with one step and compared with that of half of it: a diagnostic
    records where the two differ by more than `agreement` of the largest element.

    Parameters
    ----------
    configuration, system, potential, step, agreement
        As for `harmonic_vdos`.

    Returns
    -------
    minimum : Configuration
        In the order of the atoms of `configuration`.
    matrix : scipy.sparse.csr_array, shape (3 n_atoms, 3 n_atoms)
        As from `dynamical_matrix`.
    doubts : list of Diagnostic
    """
    first_step = require_positive(step, "step", "angstrom")
    steps = (first_step, first_step / 2)
    chosen = choose_system(system, None, potential)
    start = read_configuration(configuration, chosen)
    n = start.position.size
    forces, file = potential_job(chosen, potential, start.species)
    job = {"side": start.sides, "types": start.types.tolist(), **forces, "steps": steps}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start.position.ravel().tofile(folder / "positions.f64")
        (folder / "job.json").write_text(json.dumps(job))
        if file is not None:
            shutil.copyfile(file, folder / forces["potential"]["file"])
        run_worker("harmonic", folder, 1, chosen.name)
        largest = json.loads((folder / "minimum.json").read_text())["fmax"]
        if largest > 1e-3:  # eV/Å: there the forces of a glass at rest are below 1e-5
            raise SimulationError(
                "the configuration did not come to rest: the largest force is "
                f"{largest:.2g} eV/angstrom",
                fix="pass a glass, relaxed at low temperature",
            )
        files = [folder / f"matrix{number}.bin" for number in range(2)]
        if any(file.stat().st_size != 8 * n * n for file in files):
            raise SimulationError(
                f"disk full: the dynamical matrix needs {16e-9 * n * n:.3g} GB in "
                f"{folder.parent}",
                fix="set TMPDIR to another folder",
            )
        dense, other = (
            np.memmap(file, dtype=float, mode="r", shape=(n, n)) for file in files
        )
        # A block of rows at a time: the file is dense, the matrix is not.
        rows = max(3, 2**25 // n)
        parts, largest, at, top = [], 0.0, (0, 0), 0.0
        for first in range(0, n, rows):
            part = np.asarray(dense[first : first + rows])
            parts.append(scipy.sparse.csr_array(part))
            apart = np.abs(part - other[first : first + rows])
            top = max(top, float(np.abs(part).max()))
            if apart.max() > largest:
                largest, most = float(apart.max()), int(apart.argmax())
                at = ((first + most // n) // 3, most % n // 3)
        rest = np.fromfile(folder / "minimum.f64").reshape(-1, 3)
    matrix, doubts = scipy.sparse.vstack(parts, format="csr"), []
    if largest > agreement * top:
        text = (
            f"second derivatives from steps of {steps[0]:g} and {steps[1]:g} angstrom "
            f"differ by up to {100 * largest / top:.2g} % of the largest, for atoms "
            f"{at[0]} and {at[1]}: the force is discontinuous"
        )
        fix = "use a larger step=, or a potential that vanishes smoothly"
        doubts.append(Diagnostic("second_derivatives", "warning", text, fix))
    return replace(start, position=rest, velocity=None), (matrix + matrix.T) / 2, doubts


def normal_modes(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    r"""Find all modes of a dynamical matrix.

    Parameters
    ----------
    matrix : sparse array, shape (3 n_atoms, 3 n_atoms)
        From `dynamical_matrix`.

    Returns
    -------
    energy : numpy.ndarray, shape (3 n_atoms,)
        ħω in meV, ascending; −ħ|ω| where ω is imaginary.
    participation_ratio : numpy.ndarray, shape (3 n_atoms,)
        (Σ|e_i|²)² / (N Σ|e_i|⁴): 1 where all atoms move equally, 1/N for one alone.

    References
    ----------
    R. J. Bell & P. Dean, Discuss. Faraday Soc. 50, 55 (1970), doi:10.1039/DF9705000055.
    """
    square, vectors = scipy.linalg.eigh(
        matrix.toarray(), overwrite_a=True, check_finite=False
    )
    weight = (vectors.reshape(-1, 3, square.size) ** 2).sum(axis=1)
    ratio = 1 / (weight.shape[0] * (weight**2).sum(axis=0))
    energy = constants.HBAR_ROOT_EV_PER_U * np.sign(square) * np.sqrt(np.abs(square))
    return energy, ratio


def kernel_polynomial_vdos(
    matrix: Any,
    energy: np.ndarray,
    top: float,
    seed: int,
    *,
    n_vectors: int = 24,
    n_moments: int = 2000,
) -> tuple[np.ndarray, np.ndarray]:
    """Expand g(E) of a dynamical matrix in Chebyshev polynomials, by random vectors.

    Parameters
    ----------
    matrix : sparse array, shape (n, n)
    energy : numpy.ndarray
        Where g is wanted, meV.
    top : float
        The largest eigenvalue.
    seed : int
    n_vectors, n_moments : int
        Random vectors, and moments M.

    Returns
    -------
    numpy.ndarray, numpy.ndarray
        g (1/meV) and the standard deviation of its mean over the vectors. Eigenvalues
        are resolved to about π top/2M.
    """
    n = matrix.shape[0]
    # A margin on both sides: the polynomials grow without bound outside [−1, 1].
    half = 0.505 * top
    centre = 0.5 * top
    vectors = np.random.default_rng(seed).choice([-1.0, 1.0], size=(n, n_vectors))
    moments = np.empty((n_moments, n_vectors))
    before, now = vectors, (matrix @ vectors - centre * vectors) / half
    first = (now * vectors).sum(axis=0)
    moments[0], moments[1] = n, first
    for m in range(1, n_moments // 2):
        # T_2m and T_2m+1 from products of T_m and T_m+1.
        moments[2 * m] = 2 * (now * now).sum(axis=0) - n
        following = 2 * (matrix @ now - centre * now) / half - before
        moments[2 * m + 1] = 2 * (following * now).sum(axis=0) - first
        before, now = now, following
    k = np.arange(n_moments)
    angle = np.pi / (n_moments + 1)
    jackson = (
        (n_moments - k + 1) * np.cos(angle * k) + np.sin(angle * k) / np.tan(angle)
    ) / (n_moments + 1)
    square = (energy / constants.HBAR_ROOT_EV_PER_U) ** 2
    x = np.clip((square - centre) / half, -1 + 1e-9, 1 - 1e-9)
    waves = np.cos(np.outer(np.arccos(x), k)) * jackson * np.where(k == 0, 1, 2)
    density = waves @ moments / (n * np.pi * half * np.sqrt(1 - x**2))[:, None]
    g = density * (2 * energy / constants.HBAR_ROOT_EV_PER_U**2)[:, None]
    return g.mean(axis=1), g.std(axis=1, ddof=1) / np.sqrt(n_vectors)
