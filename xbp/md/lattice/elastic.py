"""Elastic constants of a glass at rest, and the velocities of its long waves."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.errors import QuantityError, SimulationError
from xbp.core.guards import require_number
from xbp.core.operation import operation
from xbp.core.signal import extend_history
from xbp.core.units import convert_factor
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.labels import glass_attributes
from xbp.md.lattice.modes import Springs
from xbp.models.dimension import debye_velocity, debye_wave_number

__all__ = [
    "deviatoric_stress",
    "elastic_constants",
    "isotropic_moduli",
    "long_waves",
    "non_affine_displacements",
    "stiffness",
]


@operation(takes="force_constants", gives="elastic_constants", step=3)
def elastic_constants(data: xr.Dataset, *, tolerance: float = 1e-6) -> xr.Dataset:
    r"""Compute the elastic constants of a glass from its force constants.

    In a uniform strain the atoms of a glass do not move uniformly: they are led to a
    new minimum, which makes the glass softer. With the bonds r_ij and the second
    derivatives Φ of the energy, V the volume of the box,

    .. math:: A_{\alpha\beta\gamma\lambda} = -\frac{1}{2V} \sum_{ij}
              \Phi_{ij}^{\alpha\beta} r_{ij}^\gamma r_{ij}^\lambda
              - \frac{1}{V} \sum_{ij} \Xi_i^{\alpha\gamma} \cdot \Phi^{-1}_{ij} \cdot
              \Xi_j^{\beta\lambda}, \quad
              \Xi_i^{\beta\lambda} = \sum_j \Phi_{ij}^{\cdot\beta} r_{ij}^\lambda

    the second term, the non-affine part, symmetrized in γ and λ. A long wave along n
    has ρc² as the eigenvalues of :math:`A_{\alpha\beta\gamma\lambda} n_\gamma
    n_\lambda`, and the elastic constants, those of stress and strain also under
    pressure, are

    .. math:: C_{\alpha\gamma\beta\lambda} = A_{\alpha\beta\gamma\lambda} +
              A_{\beta\gamma\alpha\lambda} - A_{\beta\lambda\alpha\gamma}

    The moduli are those of the isotropic solid with the same
    :math:`C_{\alpha\alpha\beta\beta}` and :math:`C_{\alpha\beta\alpha\beta}` (Voigt's
    means).

    Parameters
    ----------
    data : xarray.Dataset
        From `force_constants`.
    tolerance : float
        Largest force that the non-affine displacements may leave, as a fraction of that
        before them.

    Returns
    -------
    xarray.Dataset
        ``stiffness`` (GPa; of a plane N/m) over ``voigt`` and ``voigt_other`` (xx, yy,
        zz, yz, xz, xy); ``bulk_modulus`` and ``shear_modulus``; ``affine_stiffness``,
        ``affine_bulk_modulus`` and ``affine_shear_modulus``, what they were if all
        atoms moved uniformly; ``longitudinal_velocity``, ``transverse_velocity`` and
        ``debye_velocity`` (m/s), ``debye_energy`` (meV); and ``deviatoric_stress``
        over the same axes as stiffness: by how much the stress at rest differs from a
        pressure.

    Raises
    ------
    QuantityError, UnitsError
        If data are not force constants, the glass is not at a minimum of its energy, or
        it is elastically unstable.
    SimulationError
        If the non-affine displacements are not found.

    Notes
    -----
    The constants of one box are those of its atoms, and have no error of their own;
    those of several glasses scatter.

    References
    ----------
    M. Born and K. Huang, Dynamical Theory of Crystal Lattices (1954), for the method of
    long waves; J. F. Lutsko, J. Appl. Phys. 65, 2991 (1989), doi:10.1063/1.342716, and
    A. Lemaître and C. Maloney, J. Stat. Phys. 123, 415 (2006),
    doi:10.1007/s10955-005-9015-5, for the non-affine part. The equations here were
    derived from the first.

    Examples
    --------
    An fcc crystal (a = 4 Å) of springs of 1 eV/Å² has 2k/a, k/a and k/a:

    >>> import numpy as np, xbp
    >>> corners = 4.0 * np.array(list(np.ndindex(3, 3, 3)))[:, None]
    >>> base = np.array([(0, 0, 0), (2, 2, 0), (2, 0, 2), (0, 2, 2)])
    >>> at = (corners + base).reshape(-1, 3)
    >>> bond = at[:, None] - at
    >>> bond -= 12 * np.round(bond / 12)
    >>> near = abs(np.linalg.norm(bond, axis=2) - 8**0.5) < 0.1
    >>> unit = np.where(near[..., None], bond / 8**0.5, 0)
    >>> matrix = -np.einsum("ija,ijb->iajb", unit, unit)
    >>> every = np.arange(108)
    >>> matrix[every, :, every, :] = -matrix.sum(axis=2)
    >>> crystal = xbp.md.new_trajectory(
    ...     at[None], time=[0.0], cell=12 * np.eye(3), mass=[40] * 108,
    ...     element=["Ar"] * 108)
    >>> phi = xbp.md.lattice.new_force_constants(matrix.reshape(324, 324), crystal)
    >>> found = phi.bp.elastic_constants()
    >>> found.stiffness.values[0, :2].round(2), round(160.2177 / 4, 2)  # GPa
    (array([80.11, 40.05]), 40.05)
    """
    precise = require_number(tolerance, "tolerance", above=0, most=0.01)
    trajectory, springs = read_force_constants(data)
    size = trajectory.n_atoms / trajectory.density
    d = springs.dimension
    units = "N/m" if d == 2 else "GPa"
    unit = convert_factor(f"eV/angstrom**{d}", units, name="stiffness") / size
    affine, relaxed = long_waves(springs, precise)
    ds = xr.Dataset(coords={"voigt": _names(d), "voigt_other": _names(d)})

    def add(name: str, value: Any, of: str, what: str) -> None:
        dims = ("voigt", "voigt_other")[: np.ndim(value)]
        ds[name] = (dims, value, {"units": of, "long_name": what})

    for prefix, text, part in (
        ("affine_", "affine ", affine),
        ("", "", affine + relaxed),
    ):
        tensor = stiffness(part) * unit
        bulk, shear = isotropic_moduli(tensor)
        add(f"{prefix}stiffness", _voigt(tensor), units, f"{text}stiffness")
        add(f"{prefix}bulk_modulus", bulk, units, f"{text}bulk modulus")
        add(f"{prefix}shear_modulus", shear, units, f"{text}shear modulus")
    stress = deviatoric_stress(affine + relaxed) * unit
    pairs = _PAIRS[d]
    add("deviatoric_stress", stress[tuple(zip(*pairs, strict=True))], units, "stress")
    # From eV/u to m²/s².
    squared = (100 * constants.HBAR_ROOT_EV_PER_U / constants.HBAR) ** 2
    squared /= unit * float(springs.mass.sum())
    waves = np.array([bulk + 2 * shear * (d - 1) / d, shear])
    if not (waves > 0).all():
        raise QuantityError(
            f"the glass is elastically unstable: its bulk modulus is {bulk:.3g} "
            f"{units}, its shear modulus {shear:.3g} {units}",
            fix="use a larger or a more slowly cooled glass",
        )
    v_l, v_t = np.sqrt(squared * waves)
    v_d, _ = debye_velocity(float(v_l), float(v_t), d)
    wave = debye_wave_number(trajectory.density, d)
    add("longitudinal_velocity", v_l, "m/s", "longitudinal velocity of sound")
    add("transverse_velocity", v_t, "m/s", "transverse velocity of sound")
    add("debye_velocity", v_d, "m/s", "mean velocity of sound after Debye")
    add("debye_energy", constants.HBAR * v_d / 100 * wave, "meV", "Debye energy")
    ds.attrs = {
        **glass_attributes(data, trajectory),
        "quantity": "elastic_constants",
        "history": extend_history(
            data.attrs.get("history"), "elastic_constants", {"tolerance": precise}
        ),
    }
    return ds


def long_waves(
    springs: Springs, tolerance: float = 1e-6
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return the coefficients A of long waves, times the volume of the box.

    Parameters
    ----------
    springs : Springs
    tolerance : float
        As for `elastic_constants`.

    Returns
    -------
    affine, relaxed : numpy.ndarray, shape (d, d, d, d)
        The two terms of A over α, β, γ and λ, eV: ρc²V of a wave along n has the matrix
        :math:`\sum A_{\alpha\beta\gamma\lambda} n_\gamma n_\lambda`.

    Raises
    ------
    QuantityError
        If the energy falls along some displacement.
    SimulationError
        If the displacements are not found.
    """
    n, d = springs.n_atoms, springs.dimension
    bond = springs.bond[:, :d]
    affine = -np.einsum("pab,pg,pl->abgl", springs.block, bond, bond) / 2
    force = _forces(springs, tolerance).reshape(n * d, d * d)
    moved = non_affine_displacements(springs, tolerance).reshape(n * d, d * d)
    # Over α, γ, β and λ.
    relaxed = (force.T @ moved).reshape(d, d, d, d).transpose(0, 2, 1, 3)
    return affine, (relaxed + relaxed.swapaxes(2, 3)) / 2


def _forces(springs: Springs, tolerance: float) -> np.ndarray:
    """Return Ξ, the gradient of the energy of each atom per strain βλ, eV/Å."""
    n, d = springs.n_atoms, springs.dimension
    force = np.zeros((n, d, d, d))  # over atom, direction, β and λ
    single = springs.block[..., None] * springs.bond[:, None, None, :d]
    np.add.at(force, springs.first, single)
    # Where the forces of all bonds of an atom cancel by symmetry, rounding is left.
    size = np.linalg.norm(force, axis=(0, 1))
    force[:, :, size <= tolerance * np.linalg.norm(single)] = 0
    return force


def non_affine_displacements(springs: Springs, tolerance: float) -> np.ndarray:
    """Return how far atoms move besides the strain, the whole being at rest.

    Parameters
    ----------
    springs, tolerance
        As for `long_waves`.

    Returns
    -------
    numpy.ndarray, shape (n_atoms, d, d, d)
        Å, over atom, direction, β and λ of a strain ∂u_β/∂r_λ = 1.

    Raises
    ------
    QuantityError, SimulationError
        As for `long_waves`.
    """
    n, d = springs.n_atoms, springs.dimension
    force = -_forces(springs, tolerance).reshape(n * d, d * d)
    order = np.lexsort((springs.second, springs.first))
    begin = np.searchsorted(springs.first[order], np.arange(n + 1))
    own = (springs.block[order], springs.second[order], begin)
    matrix = scipy.sparse.bsr_array(own, shape=(n * d,) * 2).tocsr()
    top = float(abs(matrix).max())
    # The stiffness of the whole being moved is 0: with that of a spring instead of it,
    # the matrix can be inverted, and the answer is the same.
    whole = np.tile(np.eye(d), (n, 1)) / np.sqrt(n)
    held = scipy.sparse.linalg.LinearOperator(
        matrix.shape,
        matvec=lambda x: matrix @ x + top * (whole @ (whole.T @ x)),
        dtype=float,
    )
    if n > 2:
        (least,) = scipy.sparse.linalg.eigsh(
            held, k=1, which="SA", tol=1e-3, return_eigenvectors=False,
            v0=np.random.default_rng(0).normal(size=n * d),
        )  # fmt: skip
        if least < -1e-9 * top:
            raise QuantityError(
                "the glass is not at a minimum of its energy (lowest second "
                f"derivative {least:.3g} eV/angstrom**2)",
                fix="find it: xbp.md.lattice.force_constants(glass, system)",
            )
    found = np.zeros_like(force)
    size = np.linalg.norm(force)
    for column in range(force.shape[1]):
        if not force[:, column].any():
            continue
        found[:, column], missed = scipy.sparse.linalg.cg(
            held, force[:, column], rtol=tolerance, atol=tolerance * size / n
        )
        if missed:
            raise SimulationError(
                f"the displacements of the atoms did not converge in {missed} steps",
                fix="raise tolerance=",
            )
    return found.reshape(n, d, d, d)


def stiffness(waves: np.ndarray) -> np.ndarray:
    """Return C over α, γ, β and λ from A over α, β, γ and λ, in the same units."""
    first = np.einsum("abgl->agbl", waves)
    second = np.einsum("bgal->agbl", waves)
    third = np.einsum("blag->agbl", waves)
    tensor = first + second - third
    return np.asarray((tensor + tensor.transpose(2, 3, 0, 1)) / 2)


def isotropic_moduli(tensor: np.ndarray) -> tuple[float, float]:
    """Return bulk and shear modulus of the isotropic solid nearest to a stiffness.

    Examples
    --------
    >>> one = np.eye(3)
    >>> pairs = np.einsum("ab,gl->agbl", one, one) + np.einsum("al,gb->agbl", one, one)
    >>> isotropic_moduli(5 * np.einsum("ag,bl->agbl", one, one) + 3 * pairs)  # λ, μ
    (7.0, 3.0)
    """
    d = tensor.shape[0]
    volume = float(np.einsum("aabb", tensor))
    shape = float(np.einsum("abab", tensor))
    return volume / d**2, (shape - volume / d) / ((d - 1) * (d + 2))


def deviatoric_stress(waves: np.ndarray) -> np.ndarray:
    r"""Return the stress less its mean, shape (d, d), from A.

    A and the same with its pairs of indices exchanged differ by
    :math:`\delta_{\alpha\beta}\sigma_{\gamma\lambda} -
    \delta_{\gamma\lambda}\sigma_{\alpha\beta}` (Born and Huang, §27).
    """
    d = waves.shape[0]
    trace = np.einsum("aagl->gl", waves - waves.transpose(2, 3, 0, 1)) / d
    return np.asarray(trace - np.trace(trace) / d * np.eye(d))


#: Pairs of axes in Voigt's order.
_PAIRS = {
    3: [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)],
    2: [(0, 0), (1, 1), (0, 1)],
}


def _names(d: int) -> list[str]:
    return ["xyz"[i] + "xyz"[j] for i, j in _PAIRS[d]]


def _voigt(tensor: np.ndarray) -> np.ndarray:
    pairs = _PAIRS[tensor.shape[0]]
    return np.array([[tensor[(*one, *other)] for other in pairs] for one in pairs])
