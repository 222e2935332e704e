"""Check that total-scattering data can be the function they are labelled as.

S(Q), F(Q) or g(r).
"""

from __future__ import annotations

import numpy as np

from xbp.core.errors import RangeError

__all__ = ["require_normalization"]

#: An S(Q) below its limit by more standard deviations than this is not noise.
_SIGMAS = 5.0


def require_normalization(
    name: str,
    quantity: str,
    values: np.ndarray,
    std: np.ndarray | None,
    *,
    lowest: float | None = -0.05,
    tail: tuple[float, float] | None = (0.5, 2.0),
) -> None:
    r"""Refuse values that cannot be the labelled function.

    S(Q) is a normalised intensity and never negative, whereas S(Q) − 1, F(Q) and Q[S(Q)
    − 1] are. g(r) tends to 1, whereas g(r) − 1 and G(r) tend to 0, and T(r) and the
    radial distribution function grow. F(Q) oscillates about 0.

    Parameters
    ----------
    name : str
        Name of the file, for the message.
    quantity : str
        Name in the vocabulary; only these three are checked.
    values, std : numpy.ndarray
        Over an ascending axis; NaN are left out.
    lowest : float, optional
        S(Q) may fall to it, or below it by up to five standard deviations. None: no
        limit.
    tail : pair of float, optional
        Bounds on the mean of g(r) over the upper third of its points, and on that of an
        S(Q) that is negative somewhere, unless `lowest` allows less than -0.05, as for
        partial S(Q). None: no limit.

    Raises
    ------
    RangeError
        If a value is impossible for the function.

    Examples
    --------
    >>> require_normalization("a.txt", "static_structure_factor", np.array([-0.9, 0.5, 0.1]), None)
    Traceback (most recent call last):
        ...
    xbp.core.errors.RangeError: ...
    """
    known = np.isfinite(values)
    if not known.any():
        return
    numbers = values[known]
    upper = numbers[-max(1, numbers.size // 3) :]
    if quantity == "static_structure_factor" and lowest is not None:
        error = np.zeros_like(numbers) if std is None else np.nan_to_num(std[known])
        if (numbers + _SIGMAS * error < lowest).any():
            raise RangeError(
                f"{name}: S(Q) falls to {numbers.min():.4g}, but cannot be negative",
                reason="S(Q) is a normalised intensity; the data may be S(Q) - 1, "
                "F(Q) or Q[S(Q) - 1]",
                fix="convert the data to S(Q); quantity='interference_function' for "
                "an F(Q) that tends to 0; "
                f"lowest={np.floor(numbers.min() * 10) / 10:.1f} for a partial S(Q), "
                "or for scattering lengths of "
                "both signs",
            )
    mean = float(upper.mean())
    if (
        quantity == "static_structure_factor"
        and tail is not None
        and lowest is not None
        and -0.05 <= lowest <= numbers.min() < 0  # a lower one is for partial S(Q)
        and not tail[0] <= mean <= tail[1]
    ):
        raise RangeError(
            f"{name}: S(Q) has a mean of {mean:.4g} over the upper third of Q, and is "
            "negative elsewhere",
            reason="S(Q) tends to 1; S(Q) - 1 and F(Q) tend to 0",
            fix="convert the data to S(Q); tail=None for a partial S(Q), or if Q ends "
            "before S(Q) reaches 1",
        )
    if (
        quantity == "radial_distribution"
        and tail is not None
        and not tail[0] <= mean <= tail[1]
    ):
        raise RangeError(
            f"{name}: g(r) has a mean of {mean:.4g} over the upper third of r",
            reason="g(r) tends to 1; g(r) - 1 and G(r) = 4πρr[g(r) - 1] tend to 0; "
            "the RDF 4πρr²g(r) grows",
            fix="convert the data to g(r); tail=None if r ends before g(r) reaches 1",
        )
    if (
        quantity == "interference_function"
        and numbers.min() >= 0
        and float(upper.std()) < mean / 4
    ):
        raise RangeError(
            f"{name}: F(Q) is nowhere negative, and has a mean of {mean:.4g} over the "
            "upper third of Q",
            reason="F(Q) oscillates about 0; S(Q) tends to 1",
            fix="quantity='static_structure_factor', or subtract the level at high Q",
        )
