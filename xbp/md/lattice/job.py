"""What a run over wave vectors depends on, in plain numbers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import scipy

from xbp.core import constants
from xbp.core.data import require_finite
from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import (
    choose,
    not_used,
    require_flag,
    require_memory,
    require_number,
    require_positive,
    require_seed,
    require_whole,
)
from xbp.md.deformation import Deformation
from xbp.md.lattice.modes import Springs
from xbp.md.neighbors import choose_cutoff
from xbp.md.reference import Reference
from xbp.md.trajectory import Trajectory

__all__ = [
    "DTYPES",
    "Precision",
    "highest_energy",
    "make_job",
    "packed_job",
    "springs_arrays",
    "strain_bonds",
]

Precision = Literal["single", "double"]
DTYPES = {"single": np.complex64, "double": np.complex128}


def make_job(
    trajectory: Trajectory, springs: Springs, given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Check the arguments of a call; return the job of a run and its input files."""
    n = springs.n_modes
    precision: Precision = choose(given["precision"], Precision, "precision")
    # The matrix, the vectors and the work space of the eigensolver.
    count = 4 * n**2 * np.dtype(DTYPES[precision]).itemsize / 8
    require_memory(count, f"a matrix of {n} x {n}", fix="use a smaller box")
    if given["k"] is None:
        count = require_whole(given["n_wavevectors"], "n_wavevectors")
        chosen = None
    else:
        chosen = require_finite(given["k"], "k")
        if chosen.ndim != 2 or chosen.shape[1:] != (3,) or not chosen.size:
            raise QuantityError(f"k= has the shape {chosen.shape}, not (n, 3)")
        count = len(chosen)
    job: dict[str, Any] = {
        "n_wavevectors": count,
        "k": None if chosen is None else chosen.tolist(),
        "inner": require_number(given["inner"], "inner", above=0, most=1),
        "rng": require_seed(given["rng"]),
        "precision": precision,
        "strain": require_flag(given["strain"], "strain"),
        "E_max": None,
        "bins": None,
    }
    if given["E_max"] is not None:
        job["E_max"] = require_positive(given["E_max"], "E_max", "meV", energy=True)
    arrays = springs_arrays(springs)
    names, index = np.unique(trajectory.elements(), return_inverse=True)
    arrays["groups"] = (index == np.arange(names.size)[:, None]).astype(float)
    if given["Q_max"] is None:
        not_used("Q_max=None finds energies only", cutoff=given["cutoff"])
        if job["strain"]:
            raise QuantityError("strain=True needs Q_max=")
    else:
        Q_max = require_positive(given["Q_max"], "Q_max", "1/angstrom")
        dQ = require_number(given["dQ"], "dQ", "1/angstrom", above=0, most=Q_max)
        dE = require_positive(given["dE"], "dE", "meV", energy=True)
        most = given["max_wavevectors_per_shell"]
        if most is not None:
            most = require_whole(most, "max_wavevectors_per_shell")
        top = job["E_max"] or highest_energy(springs)
        n_Q, n_E = int(np.ceil(Q_max / dQ - 1e-9)), int(np.ceil(top / dE - 1e-9))
        pairs = names.size * (names.size + 1)
        require_memory(
            float(count) * (pairs + 2) * n_Q * n_E,
            "the strengths",
            fix="raise dQ= or dE=",
        )
        job["bins"] = {"n_Q": n_Q, "dQ": dQ, "n_E": n_E, "dE": dE, "most": most}
    if not job["strain"]:
        not_used("without strain=True no bonds are needed", cutoff=given["cutoff"])
    else:
        arrays |= strain_bonds(trajectory, springs, given["cutoff"])
    return packed_job(job, arrays)


def springs_arrays(springs: Springs) -> dict[str, np.ndarray]:
    """Return what a run needs to know of the springs."""
    names = ("first", "second", "block", "position", "cell", "mass")
    return {name: getattr(springs, name) for name in names}


def packed_job(
    job: Mapping[str, Any], arrays: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return a job with the fingerprint of its arrays, and its input files."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    whole = {**job, "digest": digest.hexdigest()}
    return json.loads(json.dumps(whole)), {"springs.npz": stream.getvalue()}


def highest_energy(springs: Springs, *, margin: float = 1.05) -> float:
    """Return an energy above all modes, meV: a little above the highest at Γ."""
    n, d, root = springs.n_modes, springs.dimension, np.sqrt(springs.mass)
    pairs = springs.first, springs.second
    weighted = springs.block / (root[pairs[0]] * root[pairs[1]])[:, None, None]
    rows, columns = (d * atoms[:, None, None] for atoms in pairs)
    axes = np.arange(d)
    rows, columns = np.broadcast_arrays(rows + axes[:, None], columns + axes)
    flat = (weighted.ravel(), (rows.ravel(), columns.ravel()))
    matrix = scipy.sparse.csr_array(flat, shape=(n, n))
    # The same call must give the same energy, or it would not continue a run.
    start = np.random.default_rng(0).normal(size=n)
    top = scipy.sparse.linalg.eigsh(
        matrix, k=1, which="LA", v0=start, return_eigenvectors=False, tol=1e-4
    )
    if not top[0] > 0:
        raise RangeError(
            "no mode has a real energy", reason="the glass is not at a minimum"
        )
    return margin * constants.HBAR_ROOT_EV_PER_U * float(np.sqrt(top[0]))


def strain_bonds(
    trajectory: Trajectory, springs: Springs, cutoff: Any
) -> dict[str, np.ndarray]:
    """Return the bonds of the strain, see `field_amplitudes`."""
    reference = Reference.first(trajectory, "at rest")
    chosen = choose_cutoff(trajectory, cutoff)
    deformation = Deformation.since(reference, chosen)
    matrix = deformation.matrix.tocsr()
    first, second = deformation.first, deformation.second
    weight = [matrix[b * springs.n_atoms + first, second] for b in range(3)]
    return {
        "bond_first": first,
        "bond_second": second,
        "bond_weight": np.stack([np.asarray(w).ravel() for w in weight], axis=1),
    }
