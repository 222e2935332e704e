"""How strongly the modes of a box move the atoms at each Q, binned in E."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from xbp.md.lattice.modes import (
    Springs,
    amplitudes,
    bloch_modes,
    squared,
    wave_vectors,
)
from xbp.md.lattice.strain import field_amplitudes
from xbp.models.dimension import transverse_branches

__all__ = ["Bins", "box_displacements", "mode_strengths"]

#: Bytes of the waves of one chunk of wave vectors.
_CHUNK = 2**28


@dataclass(frozen=True)
class Bins:
    """Bins of Q and E.

    Attributes
    ----------
    Q : numpy.ndarray, shape (n_Q + 1,)
        Edges of the shells, 1/Å.
    E : numpy.ndarray, shape (n_E + 1,)
        Edges, meV.
    most : int or None
        Largest number of wave vectors of a shell that are used at each k.
    """

    Q: np.ndarray
    E: np.ndarray
    most: int | None


def mode_strengths(
    springs: Springs,
    k: np.ndarray,
    energy: np.ndarray,
    vectors: np.ndarray,
    groups: np.ndarray,
    bins: Bins,
    bonds: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    r"""Sum over the modes at one wave vector k, in bins of Q = |k + G| and E.

    .. math:: W_{ab}(Q,E) = \frac{1}{N} \sum_s \mathrm{Re}\,
              \langle F_{as} F_{bs}^* \rangle_{|\mathbf Q|=Q}\, \delta(E - E_s), \quad
              F_{as} = \sum_{j\in a} \frac{\hat{\mathbf Q}\cdot\mathbf e_{sj}}
              {\sqrt{m_j}} e^{-i\mathbf G\cdot\mathbf r_j}

    Summed over all modes it is Σ_{j∈a} 1/(N m_j) for a = b and 0 otherwise, at every Q:
    the f-sum rule.

    Parameters
    ----------
    springs : Springs
    k : numpy.ndarray, shape (3,)
        1/Å.
    energy, vectors
        From `bloch_modes`.
    groups : numpy.ndarray, shape (n_groups, n_atoms)
        1 for the atoms of each group, 0 for others.
    bins : Bins
    bonds : (first, second, weight) or None
        Bonds that define the strain, see `field_amplitudes`.
    rng : numpy.random.Generator
        Draws the wave vectors of a shell.

    Returns
    -------
    dict of numpy.ndarray
        ``strength`` (W) and ``transverse_strength`` (the mean over the
        directions across Q), shape (n_pairs, n_Q, n_E), 1/u/meV; ``field_strength``,
        shape (2, n_Q, n_E), 1/Å²/u/meV: that of the volumetric strain and that of the
        shear strain, summed over components; ``count``, shape (n_Q,): wave vectors
        k + G in each shell, whether drawn or not. Empty shells have 0.
    """
    d = springs.dimension
    G, shell, count = wave_vectors(springs.cell, k, bins.Q, bins.most, rng, d)
    n_Q, n_E = bins.Q.size - 1, bins.E.size - 1
    a, b = np.triu_indices(len(groups))
    names = {"strength": a.size, "transverse_strength": a.size}
    if bonds is not None:
        names["field_strength"] = 2
    across = transverse_branches(d)
    found = {name: np.zeros((rows, n_Q, n_E)) for name, rows in names.items()}
    used = np.bincount(shell, minlength=n_Q)
    to_bins = _indicator(np.searchsorted(bins.E, energy, side="right") - 1, n_E)
    scale = 1 / (springs.n_atoms * np.diff(bins.E))
    waves = 9 if bonds is not None else 0
    each = vectors.itemsize * max(1, energy.size) * (3 * len(groups) + 1 + waves)
    step = max(1, int(_CHUNK // each))
    for begin in range(0, shell.size, step):
        part = slice(begin, begin + step)
        own, inverse = np.unique(shell[part], return_inverse=True)
        average = _indicator(inverse, own.size).T / used[own][:, None]

        def add(name: str, row: int, power: np.ndarray) -> None:
            found[name][row, own] += ((average @ power) @ to_bins) * scale  # noqa: B023

        F = amplitudes(springs, vectors, G[part], groups)
        Q = k + G[part]
        direction = Q[:, :d] / np.linalg.norm(Q, axis=1, keepdims=True)
        along = np.einsum("qc,acqs->aqs", direction, F).astype(vectors.dtype)
        for row, (i, j) in enumerate(zip(a, b, strict=True)):
            power = _product(along[i], along[j])
            whole = sum(_product(F[i, axis], F[j, axis]) for axis in range(d))
            add("strength", row, power)
            add("transverse_strength", row, (whole - power) / across)
        if bonds is not None:
            strain = field_amplitudes(springs, vectors, k, G[part], bonds)
            mean = np.trace(strain) / d
            volumetric = _product(mean, mean)
            whole = sum(_product(one, one) for row in strain for one in row)
            add("field_strength", 0, volumetric)
            add("field_strength", 1, whole - d * volumetric)
    return {**found, "count": count}


def box_displacements(springs: Springs, elements: np.ndarray, n_k: int) -> Any:
    """Return the modes of one box, at k = 0, of which u² of a plane is made.

    ``box_mode_energy`` and ``box_displacement_share``, repeated over k so that glasses
    can be joined.
    """
    energy, vectors = bloch_modes(springs, np.zeros(3))
    assert vectors is not None
    groups = np.unique(elements)[:, None] == elements
    share = (groups / springs.mass) @ squared(vectors, springs.dimension)
    found = {
        "box_mode_energy": (("mode",), energy, {"units": "meV"}),
        "box_displacement_share": (("species", "mode"), share, {"units": "1/u"}),
    }
    return {
        name: (("k", *dims), np.tile(a, (n_k, *(1,) * a.ndim)), units)
        for name, (dims, a, units) in found.items()
    }


def _product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Re(one · other*)."""
    return np.asarray(one.real * other.real + one.imag * other.imag)


def _indicator(index: np.ndarray, size: int) -> scipy.sparse.csr_array:
    """Return the matrix that sums rows into bins, without those outside all bins."""
    inside = np.flatnonzero((index >= 0) & (index < size))
    return scipy.sparse.csr_array(
        (np.ones(inside.size), (inside, index[inside])), shape=(index.size, size)
    )
