"""Scattering that does not depend on Q: found beside one-phonon scattering."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.condition_errors import error_of, with_its_error
from xbp.core.conditions import resolve
from xbp.core.covariance import shared_number
from xbp.core.data import Data, refuse_where, require_dims
from xbp.core.errors import RangeError
from xbp.core.grid import bin_limits, select_range
from xbp.core.independence import (
    difference_independence,
    independence_name,
    std_along,
)
from xbp.core.numbers import span
from xbp.core.operation import operation
from xbp.core.schema import per_unit
from xbp.core.signal import Signal, over_spectra, read
from xbp.reduction.comparable import structure_factor_at

__all__ = ["constant_part", "subtract_Q_independent"]


@operation(takes="dynamic_structure_factor", over="QE")
@carries_common_errors(linear=True)
def subtract_Q_independent(
    data: Data,
    u2: Any = None,
    *,
    sq: xr.DataArray | xr.Dataset | None = None,
    Q_range: Any = None,
) -> Data:
    r"""Find and subtract the part of S(Q,E) that does not depend on Q.

    .. math:: S(Q,E) = Q^2e^{-Q^2u^2}\{a(E) + d(E)[S(Q) - 1]\} + c(E)

    Multiple scattering and background depend little on Q, while one-phonon scattering
    goes as Q²: least squares over Q at each E separate them, without d(E) if S(Q)
    is not given. All of the range counts equally, so that c(E) is linear in the
    data, and no count weighs more for being low. Take the elastic line off first, and
    multiphonons where Q²u² is not small.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) without its elastic line, over a range of Q in which Q² changes much.
    u2 : scalar or array with units, or table of `debye_waller`, optional
        Mean-square displacement per axis (bare: inverse square of the data's Q unit),
        where the data do not carry it, with its error if it has one.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q), for scattering that may follow it; how far it does at each E is free.
    Q_range : pair of scalars with units, optional
        Where to fit; c(E) is subtracted at all Q.

    Returns
    -------
    same type as `data`
        S(Q,E) − c(E), with c and its standard deviation as the coordinates
        ``Q_independent`` and ``Q_independent_std`` over E. The error is that of
        counting, or of what the fit leaves, if that is more: of a law that does not
        hold, c is negative or small beside its error. All Q of an E share it:
        ``Q_independence``, and for means over Q ``Q_error_own``, ``Q_error_shared`` and
        ``Q_error_gain``, which have its covariance with the data. An error of u²
        (``u2_std``) is in ``S_std_common``. NaN at E where fewer Q were measured than a
        fit needs.

    Raises
    ------
    QuantityError
        If u² is not known.
    RangeError
        If too few Q were measured at every E.
    CoordinateError
        If S(Q) is over a dimension that the data do not have.

    References
    ----------
    V. F. Sears, Adv. Phys. 24, 1 (1975), doi:10.1080/00018737500101361 (multiple
    scattering, which is nearly isotropic).

    Examples
    --------
    >>> import numpy as np, xbp
    >>> Q, E = np.arange(1.5, 8.5, 0.05), np.arange(2.0, 20)
    >>> sq = xbp.models.hard_sphere_structure_factor(Q).Sq
    >>> S = xbp.models.dynamic_structure_factor(
    ...     Q, E, energy=5.5, width=6, T=300, u2=0.012, structure_factor=sq).S
    >>> found = (S + 10).assign_attrs(S.attrs).bp.subtract_Q_independent(sq=sq)
    >>> round(float(found.Q_independent.max()), 6), bool(np.allclose(found, S))
    (10.0, True)
    """
    signal = read(data, "dynamic_structure_factor")
    value = signal.value
    require_dims(value, ("Q", "E"), "a fit over Q", fix="before the data are cut")
    stated, u2_std = with_its_error("u2", {"u2": u2})
    displacement = resolve(value, "u2", **stated)
    chosen = select_range(signal.source, "Q", Q_range, name="Q_range")
    structure = None if sq is None else _structure(signal, sq)
    lower, upper = bin_limits(signal.source, "Q")

    def fitted(displacement: xr.DataArray) -> Any:
        std = None if signal.std is None else std_along(signal.std, "Q")
        return over_spectra(
            constant_part, value, std, displacement, structure, core=("Q",),
            gives=[(), (), ("Q",)], Q=value["Q"].values * per_unit(value, "Q"),
            weights=np.where(chosen, upper - lower, 0.0),
        )  # fmt: skip

    constant, constant_std, gain = (part.variable for part in fitted(displacement))
    refuse_where(
        xr.DataArray(constant).isnull().all(),
        lambda: "no E has enough Q to separate Q² from a constant",
        fix="widen Q_range",
        error=RangeError,
    )
    left = (value.variable - constant).transpose(*value.dims)
    labels = {
        "units": signal.units,
        "long_name": "scattering that does not depend on Q",
    }
    coords = {
        "Q_independent": _labelled(constant, labels),
        "Q_independent_std": _labelled(
            constant_std, labels | {"long_name": "standard deviation of Q_independent"}
        ),
    }
    std, common = None, {}
    if signal.std is not None:
        shared: Any = constant_std**2
        alone: Any = std_along(signal.std, "Q").variable
        # What a bin adds to c(E) it shares with it.
        covariance: Any = gain * alone**2
        variance = signal.std.variable**2 - 2 * covariance + shared
        std = np.maximum(variance, 0.0) ** 0.5
        width = xr.Variable("Q", upper - lower)
        out, none = value.copy(data=left.data), xr.DataArray(0.0)
        f = difference_independence(out, signal.std, none, shared, "Q", width)
        coords |= {} if f is None else {independence_name("Q"): f}
        coords |= shared_number(std, alone, constant_std, covariance, "Q")
        if u2_std is not None or "u2_std" in value.coords:
            error = error_of(value, "u2", displacement.variable, u2_std)
            high, low = (
                fitted((displacement + by * error).clip(min=0.0))[0].variable
                for by in (1, -1)
            )
            common[str(error.attrs["source"])] = 0.0 * left - (high - low) / 2
    answer: Data = signal.answer(
        left,
        None if std is None else std.where(left.notnull()).transpose(*value.dims),
        operation="subtract_Q_independent",
        arguments={
            "u2": span(displacement.variable, "angstrom**2"),
            "sq": None if sq is None else "given",
            "Q_range": Q_range,
        },
        coords=coords,
        common=common,
    )
    return answer


def constant_part(
    S: np.ndarray,
    std: np.ndarray,
    u2: np.ndarray,
    structure: np.ndarray,
    *,
    Q: np.ndarray,
    weights: np.ndarray,
) -> tuple[float, float, np.ndarray]:
    """Fit Q²e^(−Q²u²){a + d[S(Q) − 1]} + c to a spectrum over Q.

    Parameters
    ----------
    S, std, structure : numpy.ndarray, shape (n,) or ()
        Intensity, its standard deviation and S(Q); 0-d NaN where not known.
    u2 : numpy.ndarray, shape ()
    Q : numpy.ndarray, shape (n,)
        In the inverse root of the unit of u².
    weights : numpy.ndarray, shape (n,)
        Weights of the points; 0 where they are not fitted.

    Returns
    -------
    constant, std : float
        c and its standard deviation; NaN of too few points.
    gain : numpy.ndarray, shape (n,)
        ∂c/∂S of each point.

    Examples
    --------
    >>> Q, nan = np.linspace(1, 4, 4), np.array(np.nan)
    >>> c, std, gain = constant_part(
    ...     2 * Q**2 + 5, nan, np.array(0.0), nan, Q=Q, weights=np.ones(4))
    >>> round(c, 12), round(float(gain.sum()), 12)
    (5.0, 1.0)
    """
    one_phonon = Q**2 * np.exp(-(Q**2) * u2)
    terms = [np.ones(Q.size), one_phonon]
    if structure.ndim:
        terms.append(one_phonon * (structure - 1))
    basis = np.stack(terms, axis=1)
    used = (weights > 0) & np.isfinite(S) & np.isfinite(basis).all(axis=1)
    gain = np.zeros(Q.size)
    n, k = int(used.sum()), len(terms)
    if n <= k:
        return np.nan, np.nan, gain
    root = np.sqrt(weights[used])[:, None]
    inverse = np.linalg.pinv(root * basis[used]) * root.T
    gain[used] = inverse[0]
    fit = inverse @ S[used]
    rest = S[used] - basis[used] @ fit
    # Without errors all points have that of what the fit leaves.
    known = bool(std.ndim) and bool(np.isfinite(std[used]).all())
    variance = std[used] ** 2 if known else np.full(n, rest @ rest / (n - k))
    hat = np.eye(n) - basis[used] @ inverse
    expected = float(((hat**2) @ variance).sum())
    more = max(float(rest @ rest) / expected, 1.0) if known and expected > 0 else 1.0
    more *= _correlated(rest) if more > 1 or not known else 1.0
    return float(fit[0]), float(np.sqrt(more * (gain[used] ** 2 @ variance))), gain


def _correlated(rest: np.ndarray) -> float:
    """Return how many points err as one: 1 + 2Σρ up to the first zero of ρ."""
    total = float(rest @ rest)
    if not total > 0:
        return 1.0
    rho = np.correlate(rest, rest, mode="full")[rest.size :] / total
    zeros = np.flatnonzero(rho <= 0)
    return float(1 + 2 * rho[: zeros[0] if zeros.size else rho.size].sum())


def _structure(signal: Signal, sq: Any) -> xr.DataArray:
    """Return S(Q) at the Q of the data; NaN beyond."""
    other = read(sq, "static_structure_factor")
    known = structure_factor_at(signal, other)
    if not bool(known.notnull().any()):
        raise RangeError("S(Q) has no value at any Q of the data")
    return known


def _labelled(part: xr.Variable, labels: dict[str, str]) -> xr.Variable:
    return xr.Variable(part.dims, part.data, labels)
