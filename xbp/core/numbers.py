"""Numbers as text: with their errors, as percentages, as ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["advised", "percent", "span", "with_error"]


def with_error(value: float, std: float) -> str:
    """Write a number and its error with two figures of the error.

    Without an error the number has four figures.

    Examples
    --------
    >>> no = float("nan")
    >>> with_error(2.3587, 0.1021), with_error(4401.3, 8.2), with_error(1.845, no)
    ('2.36 ± 0.10', '4401.3 ± 8.2', '1.845')
    >>> with_error(0.02, 1234.0), with_error(2.3587, 1e-12), with_error(1.2e-9, 3e-11)
    ('0 ± 1200', '2.359', '(1.200 ± 0.030)e−09')
    """
    # A fit to numbers without noise has an error of rounding, which nobody reads.
    if not 1e-6 * abs(value) < std < math.inf:
        return f"{value:.4g}".replace("-", "−")
    size = max(abs(value), std)
    if not 1e-4 <= size < 1e6:
        power = math.floor(math.log10(size))
        scaled = with_error(value / 10.0**power, std / 10.0**power)
        return f"({scaled})e{power:+03d}".replace("-", "−")
    digits = 1 - math.floor(math.log10(std))
    written = [f"{round(x, digits):.{max(digits, 0)}f}" for x in (value, std)]
    return " ± ".join(written).replace("-", "−")


def advised(value: float, way: int, digits: int = 3) -> str:
    """Write a limit that users can type, rounded to the side on which it is kept.

    Parameters
    ----------
    value : float
    way : {-1, 1}
        1: rounded up, for what must be as large; −1: rounded down.
    digits : int

    Examples
    --------
    >>> advised(1.2341, 1), advised(1.2349, -1), advised(0.02, 1), advised(4321.0, -1)
    ('1.24', '1.23', '0.02', '4320')
    """
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    unit = digits - 1 - math.floor(math.log10(abs(value)))
    scaled = value * 10.0**unit
    whole = round(scaled)
    if abs(whole - scaled) > 1e-9 * abs(scaled):
        whole = math.ceil(scaled) if way > 0 else math.floor(scaled)
    return f"{whole / 10.0**unit:.{digits + 2}g}"


def percent(part: float) -> str:
    """Write a part of a whole with two figures.

    Examples
    --------
    >>> percent(0.0312), percent(-0.006), percent(1.0), percent(1e-14)
    ('3.1 %', '-0.6 %', '100 %', 'below 0.01 %')
    """
    if abs(part) >= 0.995:
        return f"{100 * part:.0f} %"
    return f"{100 * part:.2g} %" if abs(part) > 1e-4 else "below 0.01 %"


def span(values: Any, units: str = "", digits: int = 10) -> str:
    """Write a number, or the lowest and the highest of several.

    Examples
    --------
    >>> span(np.array([2.0, 8.5]), "meV"), span(np.array(300.0), "K")
    ('2...8.5 meV', '300 K')
    """
    array = np.asarray(getattr(values, "values", values))
    low, high = (f"{float(end):.{digits}g}" for end in (array.min(), array.max()))
    return f"{low if low == high else f'{low}...{high}'} {units}".rstrip()
