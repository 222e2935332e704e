"""What each atom counts.

Scattering lengths, form factors, masses, numbers of the user's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.md.trajectory import Block, Trajectory
from xbp.reduction.scattering_lengths import scatterer, table_entry

__all__ = [
    "Constant",
    "Weighting",
    "atomic_mass",
    "neutron_cross_sections",
    "neutron_table",
    "require_neutrons",
    "user_weights",
    "weighting",
    "xray_form_factor",
]

_TABLE_FIX = (
    "pass weights=array with one number for each atom, or relabel the "
    "atoms: traj.assign_coords(element=...)"
)


@dataclass(frozen=True)
class Weighting:
    """How the correlations of some weights are put together to what was asked for.

    Attributes
    ----------
    channels : numpy.ndarray, shape (n_weights, n_atoms)
        Weights whose densities are computed: one for all atoms, or one for the atoms of
        each element.
    labels : tuple of str
        Elements, where there is one channel for each; empty otherwise.
    factors : numpy.ndarray, shape (n_weights,) or (n_weights, n_Q)
        By which each channel counts in the total: scattering lengths, form factors, or
        ones.
    norm : float or numpy.ndarray, shape (n_Q,)
        N⟨w²⟩: totals are divided by it.
    mean : float or numpy.ndarray, shape (n_Q,)
        ⟨w⟩, or its absolute value.
    name : str
        For history.
    """

    channels: np.ndarray
    labels: tuple[str, ...]
    factors: np.ndarray
    norm: Any
    mean: Any
    name: str


@dataclass(frozen=True)
class Constant:
    """Weights of the atoms that do not change in time.

    With `velocity`, times each component of it.
    """

    channels: np.ndarray
    velocity: bool = False

    def __call__(self, block: Block) -> Iterator[np.ndarray]:
        """Give the weights of every frame of a block, shape (n_weights, n_atoms)."""
        if self.velocity:
            return (self.channels * v for v in block.thermal_velocities())
        return itertools.repeat(self.channels)


def neutron_table(
    elements: np.ndarray, b: Mapping[str, Any] | None = None
) -> dict[str, tuple[complex, float]]:
    """Look up the coherent scattering length (fm) and incoherent cross section (fm²) of elements.

    Natural abundance; isotopes as ``"D"`` or ``"58-Ni"``. σ_inc is the tabulated one,
    which holds the isotopes' and the spins' share; an average over isotopes would not.
    `b` as for `scatterer`.

    Raises
    ------
    QuantityError
        If the table has no value for an element, or none that holds at all energies,
        and `b` has none.

    Examples
    --------
    >>> {k: (round(b, 3), round(s, 2)) for k, (b, s) in neutron_table(np.array(["Zr", "Cu"])).items()}
    {'Cu': (7.718, 55.0), 'Zr': (7.16, 2.0)}
    """
    found = {
        s: scatterer(s, b, instead="weights='unit'")
        for s in np.unique(elements).tolist()
    }
    # 1 barn is 100 fm².
    return {symbol: (one.b, 100 * one.incoherent) for symbol, one in found.items()}


def require_neutrons(weights: Any, b: Mapping[str, Any] | None) -> None:
    """Refuse scattering lengths that no neutron would see."""
    if b is not None and not (isinstance(weights, str) and weights == "neutron"):
        raise QuantityError(
            "b= is given with "
            f"weights={weights if isinstance(weights, str) else 'array'!r}",
            reason="scattering lengths apply only to neutron weights",
            fix="weights='neutron', or leave b= out",
        )


def neutron_cross_sections(
    elements: np.ndarray, b: Mapping[str, Any] | None = None
) -> np.ndarray:
    """Return σ = 4π|b|² + σ_inc of every atom, fm²."""
    symbols, index = np.unique(elements, return_inverse=True)
    table = neutron_table(symbols, b)
    sigma = np.array(
        [4 * np.pi * abs(table[s][0]) ** 2 + table[s][1] for s in symbols.tolist()]
    )
    return np.asarray(sigma[index])


def xray_form_factor(symbol: str, Q: np.ndarray) -> np.ndarray:
    """Evaluate the X-ray form factor f(Q) of a neutral atom, in electrons; Q in 1/Å.

    References
    ----------
    Waasmaier & Kirfel, Acta Cryst. A51, 416 (1995), as periodictable tabulates it.

    Examples
    --------
    >>> xray_form_factor("Cu", np.array([0.0])).round(1)
    array([29.])
    """
    entry = table_entry(symbol)
    try:
        return np.asarray(entry.xray.f0(Q), dtype=float)
    except Exception as error:  # the table raises whatever its look-up raises
        raise QuantityError(
            f"there is no X-ray form factor for '{symbol}'",
            reason=f"periodictable: {error}",
            fix=_TABLE_FIX,
        ) from error


def weighting(
    trajectory: Trajectory,
    weights: Any,
    Q: np.ndarray,
    *,
    by_element: bool,
    squared: bool,
    b: Mapping[str, Any] | None = None,
) -> Weighting:
    """Make the weights of a trajectory's atoms.

    Parameters
    ----------
    trajectory : Trajectory
    weights : {"neutron", "xray", "unit", "mass"} or array_like, shape (n_atoms,)
        ``neutron``: coherent scattering lengths (`squared`: incoherent cross sections
        over 4π).
    Q : numpy.ndarray, shape (n_Q,)
        Where form factors are evaluated, 1/Å.
    by_element : bool
        One channel for each element; with ``"xray"`` there always is, since form
        factors depend on Q.
    squared : bool
        The weights are those of single atoms' own correlations, w_j² in place of w_j
        w_k.
    b : mapping of symbol to number, optional
        Scattering lengths in place of the tabulated ones, see `scatterer`; complex ones
        weigh pairs by Re(b_j b_k*).

    Returns
    -------
    Weighting

    Raises
    ------
    QuantityError
        If the weights are not known, do not fit the atoms, or an element has none.
    """
    name = weights if isinstance(weights, str) else "array"
    if name not in ("neutron", "xray", "unit", "mass", "array"):
        raise QuantityError(
            f"weights={weights!r} are not known",
            reason="they are 'neutron', 'xray', 'unit', 'mass', or one number for "
            "each atom",
            fix="weights='neutron'",
        )
    require_neutrons(weights, b)
    if name in ("neutron", "xray") or (name == "unit" and by_element):
        return _by_element(
            trajectory, name, Q, by_element=by_element, squared=squared, b=b
        )
    if name == "unit":
        per_atom = np.ones(trajectory.n_atoms)
    else:
        per_atom = (
            trajectory.masses() if name == "mass" else user_weights(trajectory, weights)
        )
    weight = per_atom**2 if squared else per_atom
    norm, mean = float((per_atom**2).sum()), float(per_atom.mean())
    if not by_element:
        return Weighting(weight[None], (), np.ones(1), norm, mean, name)
    element = trajectory.elements()
    symbols = np.unique(element)
    channels = np.stack([np.where(element == s, weight, 0.0) for s in symbols])
    return Weighting(
        channels, tuple(symbols.tolist()), np.ones(len(symbols)), norm, mean, name
    )


def _by_element(
    trajectory: Trajectory,
    name: str,
    Q: np.ndarray,
    *,
    by_element: bool,
    squared: bool,
    b: Mapping[str, Any] | None,
) -> Weighting:
    element = trajectory.elements()
    symbols, index, counts = np.unique(element, return_inverse=True, return_counts=True)
    factors: np.ndarray
    if name == "neutron":
        table = neutron_table(symbols, b)
        factors = np.array(
            [table[s][1] / (4 * np.pi) if squared else table[s][0] for s in symbols]
        )
    elif name == "xray":
        factors = np.stack(
            [xray_form_factor(s, Q) ** (2 if squared else 1) for s in symbols]
        )
    else:
        factors = np.ones(len(symbols))
    norm = np.tensordot(counts, factors if squared else np.abs(factors) ** 2, axes=1)
    if not np.all(norm > 0):
        raise QuantityError(
            f"weights={name!r} are zero for all of {', '.join(symbols)}",
            reason="nothing scatters" + (" incoherently" if squared else ""),
            fix="weights='unit'",
        )
    mean = np.tensordot(counts, factors, axes=1) / trajectory.n_atoms
    if np.iscomplexobj(mean):
        mean = np.abs(mean)
    # What depends on Q, or is complex, comes in with the correlations of the elements.
    if by_element or name == "xray" or np.iscomplexobj(factors):
        masks = (element == symbols[:, None]).astype(float)
        return Weighting(masks, tuple(symbols.tolist()), factors, norm, mean, name)
    return Weighting(factors[index][None], (), np.ones(1), norm, mean, name)


def atomic_mass(symbol: str) -> float:
    """Return the standard atomic mass of an element or isotope, in u.

    Raises
    ------
    QuantityError
        If it is no element.

    Examples
    --------
    >>> round(atomic_mass("Cu"), 2)
    63.55
    """
    return float(table_entry(symbol).mass)


def user_weights(trajectory: Trajectory, weights: Any) -> np.ndarray:
    """Return one number for each atom as given, or say what is wrong with them."""
    values = np.asarray(
        weights.values if isinstance(weights, xr.DataArray) else weights
    )
    if (
        values.shape != (trajectory.n_atoms,)
        or values.dtype.kind not in "fiu"
        or not np.isfinite(values).all()
    ):
        raise QuantityError(
            f"weights have the shape {values.shape} and type {values.dtype}",
            reason="they are one finite real number for each of the "
            f"{trajectory.n_atoms} atoms",
            fix="weights=array over the atoms, or 'neutron', 'xray', 'unit'",
        )
    if not values.any():
        raise QuantityError(
            "all weights are zero",
            reason="nothing scatters",
            fix="give some that are not",
        )
    return values.astype(float)
