"""One fit of an lmfit Model to plain arrays, and what may be said of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xbp.core.status import (
    AT_BOUND,
    FAILED,
    NO_DATA,
    OK,
    STATUSES,
    TOO_FEW,
    UNDETERMINED,
)
from xbp.fitting.least_squares import minimum
from xbp.fitting.parameters import Choices, lmfit_parameters, parameters_of
from xbp.fitting.search import WEIGHABLE
from xbp.fitting.step_edge import minimum_at_edge

__all__ = ["N_OTHERS", "Guess", "call", "fit_one"]

# An error this many times the parameter and its start says that the data do not depend
# on it: the fit went astray.
_ASTRAY = 1e3
# One that may be zero may have a large error beside its value: so many times its start
# is none any more.
_FAR_ASTRAY = 1e6

#: Place of the limiting parameter (-1: none), reduced χ², relative residual, lowest and
#: highest x, number of points: what a row holds beside the parameters.
N_OTHERS = 6

Guess = Callable[[np.ndarray, np.ndarray], dict[str, float]]


def call(model: Any, parameters: Any, x: np.ndarray) -> np.ndarray:
    """Return a model's values.

    Each of its variables is an array of its own, whatever the function does to it.
    """
    return np.asarray(
        model.eval(parameters, **{name: x.copy() for name in model.independent_vars})
    )


@np.errstate(all="ignore")  # what overflows has a status
def fit_one(
    y: np.ndarray,
    std: np.ndarray,
    *,
    x: np.ndarray,
    model: Any,
    chosen: Choices,
    guess: Guess,
    relative: bool,
    edge: str | None,
) -> tuple[np.ndarray, int]:
    """Fit one spectrum.

    Parameters
    ----------
    y, std : numpy.ndarray, shape (n,)
        Data and their errors; a scalar where these are not known.
    x, model, chosen, guess, relative, edge
        As for `fit_everywhere`.

    Returns
    -------
    row : numpy.ndarray
        Parameters, their stds, their correlations and the `N_OTHERS`.
    status : int
        Place in `STATUSES`.
    """
    names = parameters_of(model)
    n = len(names)
    row = np.full(2 * n + n * n + N_OTHERS, np.nan)
    y, std, known = y.astype(float), std.astype(float), bool(std.ndim)
    usable = np.abs(y) < WEIGHABLE[1]
    weight = np.ones(y.size)
    smallest, largest = WEIGHABLE
    if known:
        usable &= (std > smallest) & (std < largest)
        weight = 1 / np.where(usable, std, 1.0)
    elif relative:
        usable &= (y > smallest) & (y < largest)
        weight = 1 / np.where(usable, y, 1.0)
    x, y, weight = x[usable], y[usable], weight[usable]
    row[-1], row[-N_OTHERS] = x.size, -1
    if x.size:
        row[-3:-1] = x.min(), x.max()
    free = n - len(chosen.fixed)
    if x.size <= free:
        return row, STATUSES.index(NO_DATA if x.size == 0 else TOO_FEW)
    parameters = lmfit_parameters(
        model, chosen, guess(x, y) | chosen.start | chosen.fixed
    )
    varied = [name for name in names if parameters[name].vary]
    start, low, high = (
        np.array([getattr(parameters[name], what) for name in varied])
        for what in ("value", "min", "max")
    )
    size = float(np.sqrt(np.mean((y * weight) ** 2))) or float(np.abs(weight).mean())

    def residual(values: np.ndarray) -> np.ndarray:
        for name, value in zip(varied, values, strict=True):
            parameters[name].value = value
        return np.asarray((call(model, parameters, x) - y) * weight)

    try:
        if edge in varied:
            found = minimum_at_edge(
                residual, start, low, high, edge=varied.index(edge), x=x, size=size, known=known
            )  # fmt: skip
        else:
            found = minimum(residual, start, low, high, size=size, known=known)
    except MemoryError:
        raise
    except Exception:
        # of a function that is not ours, or because it ran off to where the model
        # overflows
        found = None
    if found is None:
        return row, STATUSES.index(FAILED)
    for limits, status in ((found.at_bound, AT_BOUND), (found.vague, UNDETERMINED)):
        if limits.any():
            row[-N_OTHERS] = names.index(varied[int(np.argmax(limits))])
            return row, STATUSES.index(status)
    at = [names.index(name) for name in varied]
    stds, correlation, values = np.zeros(n), np.eye(n), np.zeros(n)
    values[:] = [chosen.fixed.get(name, np.nan) for name in names]
    values[at] = found.values
    stds[at] = np.sqrt(np.diag(found.covariance))
    correlation[np.ix_(at, at)] = found.covariance / np.outer(stds[at], stds[at])
    misfit = found.residual
    chi2 = float((misfit**2).sum() / (x.size - free))
    left = misfit / weight
    shown = y != 0
    residual_size = (
        left[shown] / y[shown] if relative else left / (np.abs(y).max() or 1.0)
    )
    numbers = [
        *values,
        *stds,
        *correlation.ravel(),
        -1,
        chi2,
        np.sqrt(np.mean(residual_size**2)),
    ]
    if not np.isfinite(numbers).all():
        return row, STATUSES.index(FAILED)
    # A guess of what may be zero says nothing of its size; one that the user made does.
    said = np.abs([chosen.start.get(name, 0.0) for name in varied])
    most = np.where(
        low >= 0,
        _ASTRAY * np.maximum(np.abs(found.values), np.abs(start)),
        _FAR_ASTRAY * said,
    )
    astray = (stds[at] > np.maximum(most, np.abs(found.values))) & (most > 0)
    if astray.any():
        row[-N_OTHERS] = names.index(varied[int(np.argmax(astray))])
        return row, STATUSES.index(UNDETERMINED)
    row[: len(numbers)] = numbers
    return row, STATUSES.index(OK)
