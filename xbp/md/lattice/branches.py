"""g(E) of a glass as that of longitudinal and of transverse waves."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import choose, require_positive
from xbp.core.numbers import advised
from xbp.core.operation import operation
from xbp.core.signal import label_std
from xbp.md.lattice.dos import Counted, dos_attributes, with_bins
from xbp.md.lattice.labels import begin_result, finish_result
from xbp.md.lattice.sampling import Sampled, read_modes
from xbp.md.trajectory import Trajectory
from xbp.models.dimension import debye_wave_number, transverse_branches
from xbp.reduction.dos_area import area_attributes

__all__ = ["bloch_branches"]

Source = Literal["modes", "currents"]


def _scatter(modes: xr.Dataset) -> bool:
    return "strength" in modes


@operation(takes="bloch_modes", gives="vibrational_dos", step=3.5, when=_scatter)
def bloch_branches(
    data: xr.Dataset, dE: Any = "0.3 meV", *, source: Source = "modes"
) -> xr.Dataset:
    r"""Split g(E) of a glass into that of longitudinal and of transverse waves.

    The currents of plane waves below the Debye wave number, atoms being weighted by the
    roots of their masses, have

    .. math:: g_L(E) = \frac{1}{3N} \Big\langle \frac{1}{N_Q} \sum_{Q<q_D} \sum_s
              \Big| \sum_j \hat{\mathbf Q}\cdot\mathbf e_{sj}
              e^{-i\mathbf G\cdot\mathbf r_j} \Big|^2 \delta(E - E_s) \Big\rangle_k

    and g_T is the same with the two directions across Q. Of an elastic medium these are
    the two terms of `medium_dos`, and their sum is g(E). In a glass plane waves are no
    complete set, and the sum of these is near g(E), not equal to it: from the modes,
    g(E) itself is divided, in each bin, as the squares of the amplitudes of its
    eigenvectors at Q < q_D are. A wave in which light and heavy atoms move equally is
    seen at other Q too, with 1 - ⟨√m⟩²/⟨m⟩ of it (2 % in Zr46Cu46Al8), a third of which
    is longitudinal.

    Parameters
    ----------
    data : xarray.Dataset
        From `bloch_modes`, with Q up to the Debye wave number at least.
    dE : scalar with units
        Width of the bins (bare: meV), a multiple of that of the modes.
    source : {"modes", "currents"}
        Whether g(E) itself is divided, or currents are added up.

    Returns
    -------
    xarray.Dataset
        ``g`` (1/meV) over ``branch`` ("longitudinal", "transverse") and E, with
        ``g_std`` as from `bloch_vdos`. From modes the two add up to g(E) of
        `bloch_vdos`; from currents to the sum of the currents, which has the same area,
        1.

    Raises
    ------
    QuantityError, UnitsError, RangeError
        If an argument is invalid, the modes were computed without Q, or not up to the
        Debye wave number, or atoms of one element have different masses.

    References
    ----------
    Idea: H. Mizuno and E. Minamitani, arXiv:2601.19118 (abstract); derived.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> modes = phi.bp.bloch_modes(n_wavevectors=2, Q_max=2, dQ=0.5)
    >>> g = modes.bp.bloch_branches("0.5 meV").g
    >>> g.dims, g.branch.values.tolist()
    (('branch', 'E'), ['longitudinal', 'transverse'])
    """
    trajectory = read_modes(data, "strength", "transverse_strength")
    chosen: Source = choose(source, Source, "source")
    width = require_positive(dE, "dE", "meV", energy=True)
    bounds = data["E_bnds"].values
    own = float(bounds[0, 1] - bounds[0, 0])
    several = round(width / own)
    if several < 1 or abs(several * own - width) > 1e-9 * width:
        raise RangeError(
            f"dE={width:g} meV is not a multiple of the bins of the modes, {own:g} meV",
            fix=f"dE='{max(several, 1) * own:g} meV'",
        )
    counted, sampled = Counted(data, width), Sampled(data)
    n_bins = counted.edges.size - 1
    sums, number = _below_debye(data, trajectory)
    # Bins of the modes into those of g.
    padded = np.zeros((*sums.shape[:2], n_bins * several))
    most = min(sums.shape[2], padded.shape[2])
    padded[..., :most] = sums[..., :most]
    sums = padded.reshape(*sums.shape[:2], n_bins, several).sum(axis=-1) / several
    weights = sampled.weights
    parts = np.einsum("rk,kbe->rbe", weights, sums)
    parts /= (weights @ number)[:, None, None] * trajectory.dimension
    if chosen == "modes":
        counts = counted.histogram(np.ones(data["mode_energy"].shape))
        g = weights @ (counts * counted.scale[:, None])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = parts / parts.sum(axis=1, keepdims=True)
        parts = np.where(g[:, None] > 0, share * g[:, None], 0.0)
    value, std = parts[0], sampled.std(parts[1:])
    least = sampled.relative_std(data["mode_energy"].values, counted.edges)
    one = float((weights[0] * counted.scale).max())
    ds = begin_result(data, trajectory)
    ds = with_bins(ds.drop_vars(list(ds.coords.keys() - {"box_phonon"})), counted.edges)
    area = None if "E_max" in data.attrs else float(value.sum() * width)
    attrs = dos_attributes(area_attributes(area, "modes of a branch"))
    ds = ds.assign_coords(branch=["longitudinal", "transverse"])
    ds["g"] = (("branch", "E"), value, attrs)
    ds["g_std"] = (("branch", "E"), np.fmax(np.fmax(std, value * least), one))
    label_std(ds, "g")
    return finish_result(
        ds, data, "bloch_branches", {"dE": f"{width:g} meV", "source": chosen}
    )


def _below_debye(
    data: xr.Dataset, trajectory: Trajectory
) -> tuple[np.ndarray, np.ndarray]:
    """Return the currents of each k summed over Q < q_D, and how many Q these are.

    Shapes (k, 2, E), 1/meV, with the branches' numbers of directions, and (k,).
    """
    d, elements = trajectory.dimension, trajectory.elements()
    names = np.unique(elements)
    mass = trajectory.masses()
    masses = [np.unique(mass[elements == name]) for name in names]
    if any(own.size > 1 for own in masses):
        raise QuantityError(
            "atoms of one element have different masses",
            fix="name each mass as its own element",
        )
    end = debye_wave_number(trajectory.density, d)
    low, high = data["Q_bnds"].values.T
    if high[-1] < end:
        raise RangeError(
            f"the modes have Q up to {high[-1]:.4g} 1/angstrom, less than the Debye "
            f"wave number, {end:.4g} 1/angstrom",
            fix=f"bloch_modes(Q_max={advised(end, 1)})",
        )
    # The shell that q_D is in counts by its part within.
    inside = np.clip((end**d - low**d) / (high**d - low**d), 0.0, 1.0)
    count = data["n_wavevectors"].transpose("k", "Q").values * inside
    mass = np.concatenate(masses)
    a, b = np.triu_indices(names.size)
    factor = np.where(a == b, 1.0, 2.0) * np.sqrt(mass[a] * mass[b])
    found = []
    for name, directions in (
        ("strength", 1),
        ("transverse_strength", transverse_branches(d)),
    ):
        rows = data[name].transpose("k", "pair", "Q", "E").values.astype(float)
        found.append(directions * np.einsum("p,kq,kpqe->ke", factor, count, rows))
    return np.stack(found, axis=1), count.sum(axis=1)
