"""How the correlations of elements add up to totals and partials, in each published normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from xbp.core.errors import QuantityError
from xbp.md.weights import Weighting

__all__ = ["Mixing", "Normalization", "check_normalization", "mix_rows"]

Normalization = Literal["ashcroft-langreth", "faber-ziman", "number"]


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


def check_normalization(normalization: str, *, partials: bool, static: bool) -> None:
    """Refuse a normalization that is not known, or has no meaning for what is asked."""
    if normalization not in get_args(Normalization):
        raise QuantityError(
            f"normalization={normalization!r} is not known",
            reason="authors differ in what they divide by",
            fix=f"one of {', '.join(repr(n) for n in get_args(Normalization))}",
        )
    if normalization == "faber-ziman" and not static:
        raise QuantityError(
            "normalization='faber-ziman' has no dynamic form",
            reason="it takes the self part away, which is a constant in S(Q) only",
            fix="normalization='ashcroft-langreth'; S(Q) in the other: "
            ".bp.structure_factor(...)",
        )
    if normalization == "number" and not partials:
        raise QuantityError(
            "normalization='number' is of partials",
            reason="the total would be left in units of the weights",
            fix="partials=True, or normalization='ashcroft-langreth'",
        )


def mix_rows(
    weighting: Weighting,
    partials: bool,
    normalization: str,
    self_part: bool,
    n_atoms: int,
) -> Mixing:
    r"""Tell how the sums ⟨Re ρ_a ρ_b*⟩ (a ≤ b) of unit weights add up.

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
    factors = (
        weighting.factors if weighting.factors.ndim == 2 else weighting.factors[:, None]
    )
    square, mean = (
        np.reshape(weighting.norm, (1, -1)),
        np.reshape(weighting.mean, (1, -1)),
    )
    counts = np.array(
        [np.count_nonzero(channel) for channel in weighting.channels], dtype=float
    )
    names = weighting.labels
    if self_part:
        a = b = np.arange(len(counts))
        weight = factors
    else:
        a, b = np.triu_indices(len(counts))
        names = (
            tuple(f"{names[i]}-{names[j]}" for i, j in zip(a, b, strict=True))
            if names
            else ()
        )
        weight = (
            np.real(factors[a] * np.conj(factors[b])) * np.where(a == b, 1, 2)[:, None]
        )
    if normalization == "faber-ziman":
        to_fz = square / (n_atoms * mean**2)
        total, constant = weight / (n_atoms * mean**2), 1 - to_fz
        both = counts[a] * counts[b] / n_atoms**2
        divisor, offset = n_atoms * both, 1 - (a == b) / np.sqrt(both)
        share = weight * both[:, None] / mean**2
    else:
        total, constant = weight / square, np.zeros((1, 1))
        divisor = (
            np.full(len(a), float(n_atoms))
            if normalization == "number"
            else np.sqrt(counts[a] * counts[b])
        )
        offset = np.zeros(len(a))
        share = (weight / n_atoms if normalization == "number" else total) * divisor[
            :, None
        ]
    if not partials:
        return Mixing(total[None], constant, np.ones(1), ())
    rows = np.eye(len(a))[:, :, None] / divisor[:, None, None]
    return Mixing(
        rows, offset[:, None], share if share.shape[1] > 1 else share[:, 0], names
    )
