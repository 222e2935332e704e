"""The weight of each atom: scattering length, form factor, mass, or a number.

Correlations of the elements add up to totals and partials in each published
normalization.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from xbp.core.data import require_finite, require_values
from xbp.core.errors import QuantityError, shown
from xbp.core.guards import choose, not_used, require_keys
from xbp.core.units import is_one_of
from xbp.md.trajectory import Block, Trajectory
from xbp.reduction.sample import scatterer, table_entry

__all__ = [
    "Constant",
    "Mixing",
    "Normalization",
    "OfSpectra",
    "Weighting",
    "atomic_mass",
    "check_normalization",
    "groups_of",
    "joined",
    "mix_rows",
    "neutron_cross_sections",
    "neutron_table",
    "power_weights",
    "weighting",
    "xray_form_factor",
]

Normalization = Literal["ashcroft-langreth", "faber-ziman", "number"]
#: Of spectra and F(Q,t); Faber and Ziman's is of S(Q).
OfSpectra = Literal["ashcroft-langreth", "number"]


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
    """

    channels: np.ndarray
    labels: tuple[str, ...]
    factors: np.ndarray
    norm: Any
    mean: Any


@dataclass(frozen=True)
class Constant:
    """Weights of atoms that do not change in time, or times each velocity component."""

    channels: np.ndarray
    velocity: bool = False

    def __call__(self, block: Block) -> Iterator[np.ndarray]:
        """Give the weights of every frame of a block, shape (n_weights, n_atoms)."""
        if self.velocity:
            return (self.channels * v for v in block.split_velocities()[0])
        return itertools.repeat(self.channels)


def groups_of(
    trajectory: Trajectory, by_element: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the names of the elements, which each atom is, and their numbers.

    Not by element, all atoms are one group without a name.
    """
    if not by_element:
        n = trajectory.n_atoms
        return np.array([""]), np.zeros(n, dtype=int), np.array([n])
    return np.unique(trajectory.elements(), return_inverse=True, return_counts=True)


def neutron_table(
    elements: np.ndarray, b: Mapping[str, Any] | None = None
) -> dict[str, tuple[complex, float]]:
    """Return coherent scattering lengths (fm) and incoherent cross sections (fm²).

    Natural abundance; isotopes as ``"D"`` or ``"58-Ni"``. σ_inc is the tabulated one,
    which includes the isotopes' and the spins' share; an average over isotopes would
    not. `b` as for `scatterer`, of these elements.

    Raises
    ------
    QuantityError
        If the table has no value for an element, or none that is valid at all energies,
        and `b` has none; if `b` names another element.

    Examples
    --------
    >>> table = neutron_table(np.array(["Zr", "Cu"]))
    >>> {k: (round(b, 3), round(s, 2)) for k, (b, s) in table.items()}
    {'Cu': (7.718, 55.0), 'Zr': (7.16, 2.0)}
    """
    symbols = np.unique(elements).tolist()
    given = require_keys(b, "b", symbols)
    found = {s: scatterer(s, given, instead="weights='unit'") for s in symbols}
    # 1 barn is 100 fm².
    return {symbol: (one.b, 100 * one.incoherent) for symbol, one in found.items()}


def neutron_cross_sections(
    elements: np.ndarray, b: Mapping[str, Any] | None = None
) -> np.ndarray:
    """Return σ = 4π|b|² + σ_inc of every atom, fm²."""
    table = neutron_table(elements, b)
    sigma = {s: 4 * np.pi * abs(b) ** 2 + inc for s, (b, inc) in table.items()}
    return np.array([sigma[symbol] for symbol in elements.tolist()])


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
            f"periodictable has no X-ray form factor for '{symbol}'",
            fix="weights=array with one number for each atom",
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
        Scattering lengths in place of the tabulated ones, see `scatterer`; for complex
        ones pairs count by Re(b_j b_k*).

    Raises
    ------
    QuantityError
        If the weights are not known, do not fit the atoms, or an element has none.
    """
    _require_neutrons(weights, b)
    names = ("neutron", "xray", "unit", "mass")
    name = choose(weights, names, "weights") if isinstance(weights, str) else "array"
    # Of the elements the factors, of each atom the rest.
    own = np.ones(trajectory.n_atoms)
    if name == "mass":
        own = trajectory.masses()
    elif name == "array":
        own = _user_weights(trajectory, weights)
    symbols, index, _ = groups_of(trajectory, by_element or name in ("neutron", "xray"))
    factors: np.ndarray = np.ones(len(symbols))
    power = 2 if squared else 1
    if name == "neutron":
        table = neutron_table(symbols, b).values()
        factors = np.array([s / (4 * np.pi) if squared else b for b, s in table])
    elif name == "xray":
        factors = np.stack([xray_form_factor(s, Q) ** power for s in symbols])
    groups = np.where(index == np.arange(len(symbols))[:, None], own, 0.0)
    squares = factors if squared else np.abs(factors) ** 2
    norm = np.tensordot((groups**2).sum(axis=1), squares, axes=1)
    if not np.all(norm > 0):
        raise QuantityError(
            f"weights={name!r} are zero for all atoms: nothing scatters"
            f"{' incoherently' if squared else ''}",
            fix="weights='unit'",
        )
    mean = np.tensordot(groups.sum(axis=1), factors, axes=1) / trajectory.n_atoms
    mean = np.abs(mean) if np.iscomplexobj(mean) else mean
    channels = groups**power
    # What depends on Q, or is complex, comes in with the correlations of the elements.
    if not by_element and name != "xray" and not np.iscomplexobj(factors):
        channels, factors = (factors[:, None] * channels).sum(axis=0)[None], np.ones(1)
        symbols = symbols[:0]
    return Weighting(channels, tuple(symbols.tolist()), factors, norm, mean)


def power_weights(trajectory: Trajectory, weights: Any, b: Any) -> np.ndarray:
    """Return how the power of each atom's velocity counts in a density of states."""
    _require_neutrons(weights, b)
    if not isinstance(weights, str):
        values = _user_weights(trajectory, weights)
        require_values(values, "the weight", least=0, error=QuantityError)
        return values
    name: str = choose(weights, ("mass", "unit", "neutron"), "weights")
    if name == "neutron":
        return neutron_cross_sections(trajectory.elements(), b)
    return trajectory.masses() if name == "mass" else np.ones(trajectory.n_atoms)


def _require_neutrons(weights: Any, b: Any) -> None:
    """Refuse scattering lengths where no neutrons scatter."""
    if not is_one_of(weights, "neutron"):
        not_used(f"weights={shown(weights)} are not 'neutron'", b=b)


def _user_weights(trajectory: Trajectory, weights: Any) -> np.ndarray:
    """Check one number for each atom."""
    values = require_finite(getattr(weights, "values", weights), "weights")
    if values.shape != (trajectory.n_atoms,) or not values.any():
        raise QuantityError(
            f"weights={shown(weights)}, of shape {values.shape}, must be one number "
            f"for each of the {trajectory.n_atoms} atoms, not all zero",
            fix="weights=array over the atoms, or 'neutron', 'xray', 'unit', 'mass'",
        )
    return values


def atomic_mass(symbol: str) -> float:
    """Return the standard atomic mass of an element or isotope, in u.

    Examples
    --------
    >>> round(atomic_mass("Cu"), 2)
    63.55
    """
    return float(table_entry(symbol).mass)


@dataclass(frozen=True)
class Mixing:
    """Answers are ``mix`` times the rows of correlations, plus ``offset``.

    Attributes
    ----------
    mix : numpy.ndarray, shape (n_out, n_rows, n_Q or 1)
    offset : numpy.ndarray, shape (n_out, n_Q or 1)
        Zero but for Faber and Ziman's.
    share : numpy.ndarray, shape (n_out,) or (n_out, n_Q)
        By which the partials add up to the total.
    labels : tuple of str
        Of the partials: pairs of elements, or elements where atoms correlate with
        themselves.
    """

    mix: np.ndarray
    offset: np.ndarray
    share: np.ndarray
    labels: tuple[str, ...]

    def mixed(self, rows: np.ndarray) -> np.ndarray:
        """Mix rows over (segment, row, Q, …)."""
        mix = np.broadcast_to(self.mix, (*self.mix.shape[:2], rows.shape[2]))
        return np.asarray(np.einsum("orq,srq...->soq...", mix, rows, optimize=True))


def check_normalization(
    normalization: Any, *, partials: bool, static: bool
) -> Normalization:
    """Return a normalization that has a meaning for what is asked."""
    meant = {"ashcroft-langreth": True, "faber-ziman": static, "number": partials}
    names = [name for name, has_meaning in meant.items() if has_meaning]
    reason = "faber-ziman is for S(Q), number for partials"
    name: Normalization = choose(normalization, names, "normalization", reason=reason)
    return name


def mix_rows(
    weighting: Weighting,
    partials: bool,
    normalization: Normalization,
    self_part: bool,
    n_atoms: int,
) -> Mixing:
    r"""Return how the sums ⟨Re ρ_a ρ_b*⟩ (a ≤ b) of unit weights add up.

    .. math:: S^{number}_{ab} = \frac{\langle\rho_a\rho_b^*\rangle}{N}, \quad
              S^{AL}_{ab} = \frac{\langle\rho_a\rho_b^*\rangle}{\sqrt{N_aN_b}}, \quad
              A^{FZ}_{ab} = 1 + \frac{S^{AL}_{ab} - \delta_{ab}}{\sqrt{c_ac_b}}

    and the totals I/N⟨w²⟩ (Ashcroft and Langreth) and (I/N − ⟨w²⟩ + ⟨w⟩²)/⟨w⟩² (Faber
    and Ziman), with I = Σ_ab w_a w_b ⟨ρ_a ρ_b*⟩.

    References
    ----------
    D. A. Keen, J. Appl. Cryst. 34, 172 (2001), doi:10.1107/S0021889800019993, which
    compares them.
    """
    factors, names = weighting.factors, weighting.labels
    factors = factors if factors.ndim == 2 else factors[:, None]
    square = np.reshape(weighting.norm, (1, -1))
    mean = np.reshape(weighting.mean, (1, -1))
    counts = np.count_nonzero(weighting.channels, axis=1).astype(float)
    if self_part:
        a = b = np.arange(len(counts))
        weight = factors
    else:
        a, b = np.triu_indices(len(counts))
        if names:
            names = tuple(f"{names[i]}-{names[j]}" for i, j in zip(a, b, strict=True))
        twice = np.where(a == b, 1, 2)[:, None]
        weight = np.real(factors[a] * np.conj(factors[b])) * twice
    products = counts[a] * counts[b]
    total, constant = weight / square, np.zeros((1, 1))
    divisor, offset = np.sqrt(products), np.zeros(len(a))
    share = total * divisor[:, None]
    if normalization == "faber-ziman":
        total, constant = weight / (n_atoms * mean**2), 1 - square / (n_atoms * mean**2)
        divisor, offset = products / n_atoms, 1 - (a == b) * n_atoms / np.sqrt(products)
        share = total * divisor[:, None]
    elif normalization == "number":
        divisor, share = np.full(len(a), float(n_atoms)), weight
    if not partials:
        return Mixing(total[None], constant, np.ones(1), ())
    rows = np.eye(len(a))[:, :, None] / divisor[:, None, None]
    if share.shape[1] == 1:
        share = share[:, 0]
    return Mixing(rows, offset[:, None], share, names)


def joined(
    parts: tuple[Mixing, Mixing], shares: tuple[Any, Any], *, absolute: bool
) -> Mixing:
    """Return the sum of two parts, each of which counts by its share.

    Rows of correlations of the second follow those of the first. Partials of both stay
    apart; if they are `absolute`, they add up to the total without the shares.
    """
    if not parts[0].labels:
        mix = np.concatenate(
            [share * part.mix for part, share in zip(parts, shares, strict=True)],
            axis=1,
        )
        return Mixing(mix, parts[0].offset, np.ones(1), ())
    sizes = [part.mix.shape[:2] for part in parts]
    mix = np.zeros((*np.sum(sizes, axis=0), 1))
    (n_out, n_rows), _ = sizes
    mix[:n_out, :n_rows], mix[n_out:, n_rows:] = (part.mix for part in parts)
    weights = [
        part.share * (1.0 if absolute else share)
        for part, share in zip(parts, shares, strict=True)
    ]
    return Mixing(
        mix,
        np.concatenate([part.offset for part in parts]),
        np.concatenate(weights),
        parts[0].labels + parts[1].labels,
    )
