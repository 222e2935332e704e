"""How far each atom of a glass vibrates, and how its surroundings are sheared."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.conditions import temperature_coordinate
from xbp.core.errors import RangeError
from xbp.core.grid import is_pair
from xbp.core.guards import (
    RNG,
    choose,
    require_memory,
    require_number,
    require_seed,
    require_whole,
)
from xbp.core.operation import operation
from xbp.core.signal import extend_history, label_std
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.job import highest_energy, strain_bonds
from xbp.md.lattice.labels import glass_attributes
from xbp.md.lattice.modes import (
    Springs,
    bloch_modes,
    draw_wavevector,
    participation_ratio,
    squared,
)
from xbp.md.lattice.sampling import (
    Sampled,
    at_rest,
    imaginary_modes,
    require_stable,
    squared_amplitudes,
)
from xbp.md.lattice.strain import strain_operators

__all__ = ["vibration_map"]

Statistics = Literal["quantum", "classical"]

#: Modes whose strains are computed together.
_CHUNK = 256


@operation(takes="force_constants", gives="vibration_map", step=5)
def vibration_map(
    data: xr.Dataset,
    T: Any,
    *,
    E_range: Any = None,
    n_wavevectors: int = 4,
    statistics: Statistics = "quantum",
    cutoff: Any = None,
    rng: RNG = 1,
) -> xr.Dataset:
    r"""Map u² and the strains of the vibrations of a glass, and compare the maps.

    .. math:: u_j^2 = \frac13 \Big\langle \sum_s \frac{|\mathbf e_{sj}|^2}{m_j}
              \frac{\hbar^2}{2E_s}\coth\frac{E_s}{2k_BT} \Big\rangle_k, \qquad
              \gamma_j^2 = \Big\langle \sum_s
              \mathrm{dev}\,\boldsymbol\epsilon_{sj} : \mathrm{dev}\,
              \boldsymbol\epsilon^*_{sj}\,
              \frac{\hbar^2}{2E_s}\coth\frac{E_s}{2k_BT} \Big\rangle_k

    with the strain ε of the neighbors of an atom, linear in the displacements, as in
    `bloch_fluctuations`; classically :math:`k_BT/E_s` is in place of the half coth.

    Parameters
    ----------
    data : xarray.Dataset
        From `force_constants`.
    T : scalar with units
        Temperature (bare: K).
    E_range : pair of scalars with units, optional
        Only the modes of these energies (bare: meV), such as those of the boson peak;
        by default all.
    n_wavevectors : int
        Number of wave vectors, drawn as in `bloch_modes`. In a plane, where u² grows
        without limit as k → 0, it is that of the modes at k = 0, as in one box.
    statistics : {"quantum", "classical"}
        Statistics of the occupation of the modes.
    cutoff : scalar with units, or mapping, optional
        Cutoff of the neighbors that define the strain, as for `local_fields`.
    rng : int, numpy.random.Generator or None
        Of the random numbers that draw k.

    Returns
    -------
    xarray.Dataset
        Over ``atom``: ``u2`` (Å², per axis), ``shear_strain`` and
        ``volumetric_strain`` (mean squares), each with ``_std``, the scatter between
        wave vectors, and ``position``. ``shear_overlap`` and ``volumetric_overlap``,
        with their std, are the correlations of u² with these maps, each over its mean
        for atoms of the same element; their errors come from octants of the box left
        out in turn.

    Raises
    ------
    QuantityError, RangeError, TemperatureError, UnitsError
        If an argument is invalid, the range contains no mode, modes are imaginary (see
        `bloch_modes`), or the matrix would not fit in memory.

    Notes
    -----
    All 3N modes are found at each wave vector: half a minute for 1500 atoms.

    References
    ----------
    Strain: M. L. Falk and J. S. Langer, Phys. Rev. E 57, 7192 (1998),
    doi:10.1103/PhysRevE.57.7192. The means are of harmonic oscillators.

    Examples
    --------
    Two atoms on a spring, each of which has half of its motion:

    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> found = phi.bp.vibration_map(
    ...     "300 K", n_wavevectors=1, cutoff=3.0, statistics="classical")
    >>> found.u2.round(5).values, round(8.617333e-5 * 300 / 4, 5)
    (array([0.00646, 0.00646]), 0.00646)
    """
    trajectory, springs = read_force_constants(data)
    chosen: Statistics = choose(statistics, Statistics, "statistics")
    kelvin = float(temperature_coordinate(T).values)
    low, high = _range(E_range)
    n = require_whole(n_wavevectors, "n_wavevectors")
    seed = require_seed(rng)
    require_memory(
        4 * springs.n_modes**2, f"{springs.n_modes} modes", fix="use a smaller box"
    )
    bonds = tuple(strain_bonds(trajectory, springs, cutoff).values())
    highest, ratio = highest_energy(springs), 0.0
    d, found, places, energies = springs.dimension, [], [], []
    for index in range(n if d == 3 else 1):
        k, stratum, share = np.zeros(3), 0, 1.0
        if d == 3:
            k, stratum, share = draw_wavevector(springs.cell, index, seed, 0.5)
        energy, vectors = bloch_modes(springs, k, dtype=np.complex64)
        assert vectors is not None
        imaginary = (energy < 0) & ~at_rest(energy, highest)
        ratio = participation_ratio(vectors[:, imaginary], d).max(initial=ratio)
        energies.append(energy)
        amplitude = squared_amplitudes(energy, highest, kelvin, chosen)
        amplitude[(energy < low) | (energy > high)] = 0.0
        found.append(_mean_squares(springs, k, vectors, amplitude, bonds))
        places.append((stratum, share))
    require_stable(np.array(energies), highest, ratio)
    maps = np.array(found)
    if not maps[:, 0].any():
        raise RangeError(
            f"no mode has an energy from {low:g} to {high:g} meV",
            fix="widen E_range=, or raise n_wavevectors=",
        )
    strata, shares = zip(*places, strict=True)
    sampled = Sampled(
        xr.Dataset(
            {"stratum": ("k", list(strata)), "stratum_share": ("k", list(shares)),
             "glass": ("k", [0] * len(places))}
        )
    )  # fmt: skip
    means, stds, _ = sampled.mean(maps)
    ds = xr.Dataset(coords={"element": ("atom", trajectory.elements())})
    ds = ds.assign_coords(temperature=temperature_coordinate(T))
    of_range = "" if E_range is None else f" of modes from {low:g} to {high:g} meV"
    for name, text, units, mean, std in zip(
        ("u2", "shear_strain", "volumetric_strain"),
        ("mean-square displacement per axis", "mean-square shear strain",
         "mean-square volumetric strain"),
        ("angstrom**2", "1", "1"), means, stds, strict=True,
    ):  # fmt: skip
        ds[name] = ("atom", mean, {"units": units, "long_name": text + of_range})
        ds[f"{name}_std"] = ("atom", std)
        label_std(ds, name)
    label = {"units": "angstrom", "long_name": "position at rest"}
    ds["position"] = (("atom", "xyz"), springs.position, label)
    for row, name in ((1, "shear"), (2, "volumetric")):
        r, std = _overlap(means[0], means[row], springs, trajectory.elements())
        text = f"correlation of u² with the {name} strain"
        ds[f"{name}_overlap"] = ((), r, {"units": "1", "long_name": text})
        ds[f"{name}_overlap_std"] = ((), std, {"units": "1"})
    arguments = {"T": f"{kelvin:g} K", "n_wavevectors": len(places), "rng": seed}
    if E_range is not None:
        arguments["E_range"] = f"{low:g} to {high:g} meV"
    ds.attrs = {
        **glass_attributes(
            data, trajectory, *imaginary_modes(np.array(energies), highest)
        ),
        "quantity": "vibration_map",
        "history": extend_history(
            data.attrs.get("history"),
            "vibration_map",
            {**arguments, "statistics": chosen},
        ),
    }
    return ds


def _range(E_range: Any) -> tuple[float, float]:
    """Return the ends of a range of energies, meV."""
    if E_range is None:
        return -np.inf, np.inf
    if not is_pair(E_range):
        raise RangeError(f"E_range={E_range!r} is not a pair", fix="('1 meV', '5 meV')")
    low, high = (require_number(E, "E_range", "meV", energy=True) for E in E_range)
    if not low < high:
        raise RangeError(f"E_range={low:g} to {high:g} meV must be ascending")
    return low, high


def _mean_squares(
    springs: Springs,
    k: np.ndarray,
    vectors: np.ndarray,
    amplitude: np.ndarray,
    bonds: Any,
) -> np.ndarray:
    """Return u² and the squares of both strains of every atom, shape (3, n_atoms)."""
    n, d = springs.n_atoms, springs.dimension
    found = np.zeros((3, n))
    operators = [
        one.astype(vectors.dtype) for one in strain_operators(springs, k, bonds)
    ]
    some = np.flatnonzero(amplitude)
    for begin in range(0, some.size, _CHUNK):
        part = some[begin : begin + _CHUNK]
        own, factor = vectors[:, part], amplitude[part]
        found[0] += squared(own, d) @ factor / springs.mass / d
        by_atom = own.reshape(n, d, part.size)
        gradient = np.array(
            [[one @ by_atom[:, a] for one in operators] for a in range(d)]
        )
        strain = (gradient + gradient.swapaxes(0, 1)) / 2
        mean = np.abs(np.trace(strain) / d) ** 2
        whole = (np.abs(strain) ** 2).sum(axis=(0, 1))
        found[1] += (whole - d * mean) @ factor
        found[2] += mean @ factor
    return found


def _overlap(
    one: np.ndarray, other: np.ndarray, springs: Springs, elements: np.ndarray
) -> tuple[float, float]:
    """Return the correlation of two maps, over the means of elements, and its std."""
    pairs = np.array([one, other])
    for name in np.unique(elements):
        own = elements == name
        pairs[:, own] /= pairs[:, own].mean(axis=1, keepdims=True)
    half = (springs.position @ np.linalg.inv(springs.cell)) % 1.0 < 0.5
    octant = half[:, : springs.dimension] @ 2 ** np.arange(springs.dimension)

    def correlation(some: np.ndarray) -> float:
        if some.sum() < 3:
            return np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.corrcoef(pairs[:, some])[0, 1])

    parts = np.unique(octant)
    few = np.array([correlation(octant != part) for part in parts])
    std = np.sqrt((parts.size - 1) * few.var()) if parts.size > 2 else np.nan
    return correlation(np.ones(one.size, dtype=bool)), float(std)
