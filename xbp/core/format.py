"""Numbers as a person writes them."""

from __future__ import annotations

import math

__all__ = ["percent", "with_error"]


def with_error(value: float, std: float) -> str:
    """Write a number and its error with two figures of the error.

    Four of the number where there is no error.

    Examples
    --------
    >>> with_error(2.3587, 0.1021), with_error(4401.3, 8.2)
    ('2.36 ± 0.10', '4401.3 ± 8.2')
    >>> with_error(2.3587, float("nan")), with_error(2.3587, 1e-12)
    ('2.359', '2.359')
    """
    # A fit to numbers without noise has an error of rounding, which nobody reads.
    if not 1e-6 * abs(value) < std < math.inf:
        return f"{value:.4g}".replace("-", "−")
    digits = max(0, 1 - math.floor(math.log10(std)))
    return f"{value:.{digits}f} ± {std:.{digits}f}".replace("-", "−")


def percent(part: float) -> str:
    """Write a part of a whole with two figures.

    Examples
    --------
    >>> percent(0.0312), percent(1e-14)
    ('3.1 %', 'below 0.01 %')
    """
    return f"{100 * part:.2g} %" if part > 1e-4 else "below 0.01 %"
