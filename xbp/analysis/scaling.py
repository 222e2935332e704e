"""Whether the intensity of the boson peak follows the static structure factor."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import interpolate, select_range
from xbp.core.guards import require_dims, require_flag, require_positive
from xbp.core.independence import independence, independence_name
from xbp.core.operation import operation
from xbp.core.schema import require_same_grid, require_units, symbol_of
from xbp.core.signal import Signal, read, result_table
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.core import minimum
from xbp.reduction.sample import another_sample, off_scale

__all__ = ["correlation_error", "correlation_map", "scale_to_sq"]


_SIGNALS = (
    "reduced_dos",
    "generalized_dos",
    "dynamic_structure_factor",
    "normalized_fluctuation_spectrum",
    "fluctuation_spectrum",
)


@operation(
    takes=(
        "reduced_dos",
        "generalized_dos",
        "dynamic_structure_factor",
        "normalized_fluctuation_spectrum",
        "fluctuation_spectrum",
    ),
    gives="scale_to_sq",
    over="Q",
    step=30,
    suggested=("reduced_dos", "normalized_fluctuation_spectrum"),
    when=lambda cut: "E" not in cut.dims,
)
@carries_common_errors()
def scale_to_sq(
    cut: xr.DataArray | xr.Dataset,
    sq: xr.DataArray | xr.Dataset,
    Q_range: Any = None,
    *,
    offset: bool = False,
    box: Any = None,
) -> xr.Dataset:
    r"""Scale the static structure factor to a cut at constant energy.

    Fit of cut(Q) = A·S(Q) (+ c), minimising

    .. math:: \chi^2 = \sum_Q \frac{[B(Q) - A\,S(Q) - c]^2}{\sigma_B^2 + A^2\sigma_S^2}

    S(Q) is interpolated linearly onto the Q of the cut, its std with it; Q bins are
    taken as independent, and those that share what was measured (``Q_independence``) as
    fractions of one.

    Parameters
    ----------
    cut : xarray.DataArray or xarray.Dataset
        B at constant energy, over Q and any leftover dimensions; of ``B(Q,E)``, every
        energy.
    sq : xarray.DataArray or xarray.Dataset
        S(Q) (``static_structure_factor``), dimensionless. Proportionality, and so
        `scale`, depends on its normalisation, S(Q) → 1 at large Q being meant; the
        correlation does not.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use; by default all where both are known.
    offset : bool
        Fit a constant c as well.
    box : scalar with units, optional
        Side L of the simulated box (bare: Å): a range of Q has at most range/(2π/L)
        independent points of it.

    Returns
    -------
    xarray.Dataset
        ``scale`` A with ``scale_std`` (units of the cut); with `offset` also ``offset``
        and its std; ``pearson_r`` and ``spearman_r`` between cut and S(Q), with
        ``pearson_r_std`` of ``n_effective`` independent points (`correlation_map`);
        ``chi2_reduced`` where standard deviations are known; ``Q_min``, ``Q_max``,
        ``n_points`` used; the ``cut`` and the scaled curve ``scaled_structure_factor``
        over Q with their std. NaN where fewer than three points (four with `offset`)
        can be used. Diagnostics report where `sq` and the cut carry compositions,
        names of samples or files that differ, or `sq` tends to 0 as F(Q) does.

    Raises
    ------
    RangeError
        If the Q ranges do not overlap, or hold too few points.
    QuantityError
        If `sq` is no S(Q).

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 2 and Fig.
    3.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> cut = glass.bp.to_bqe().bp.cut_E("3.3 meV", width="0.5 meV")
    >>> fit = cut.bp.scale_to_sq(glass.Sq, Q_range=("2.1 1/angstrom", "8.5 1/angstrom"))
    >>> round(float(fit.pearson_r), 2)
    0.97
    """
    signal, other, used, doubts = _pair(cut, sq, Q_range)
    value, std = signal.value, signal.std
    curve, curve_std = _interpolated(other, value["Q"])
    offset = require_flag(offset, "offset")
    _require_enough(value, curve, used, 4 if offset else 3, Q_range)
    value, curve = value.where(used), curve.where(used)
    each = xr.ones_like(value["Q"], dtype=float).drop_vars(
        independence_name("Q"), errors="ignore"
    )
    parts, variances = [], []
    for values, error in ((value, std), (curve, curve_std)):
        f = independence(values if error is None else error, "Q")
        parts.append(
            each
            if f is None
            else each.copy(data=f)
            if f.dims == ("Q",)
            else xr.DataArray(f)
        )
        bare = values if error is None else error
        bare = bare.drop_vars(independence_name("Q"), errors="ignore")
        variances.append(xr.zeros_like(bare) if error is None else bare**2)
    known = std is not None or curve_std is not None
    numbers = xr.apply_ufunc(
        _fit_scale,
        value,
        curve,
        *variances,
        *parts,
        kwargs={"offset": offset, "known": known},
        input_core_dims=[["Q"]] * 6,
        output_core_dims=[["_number"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"_number": 6}, "allow_rechunk": True},
    )
    A, A_std, c, c_std, chi2, count = (
        numbers.isel(_number=i, drop=True) for i in range(6)
    )
    units = signal.units
    scaled = A * curve + c
    variables: dict[str, tuple[Any, str, str]] = {
        "scale": (A, units, "factor of S(Q)"),
        "scale_std": (A_std, units, "standard deviation of the factor"),
        **_correlation_columns(value, curve, box, "with S(Q)"),
        "n_points": (count, "1", "number of Q bins used"),
        "cut": (value, units, str(value.attrs.get("long_name", value.name))),
        "scaled_structure_factor": (scaled, units, "S(Q) scaled to the cut"),
    }
    if offset:
        variables["offset"] = (c, units, "constant added to the scaled S(Q)")
        variables["offset_std"] = (c_std, units, "standard deviation of the constant")
    if std is not None:
        variables["cut_std"] = (std.where(used), units, "standard deviation of the cut")
    if curve_std is not None:
        error = abs(A) * curve_std.where(used)
        label = "standard deviation of the scaled S(Q)"
        variables["scaled_structure_factor_std"] = (error, units, label)
    if known:
        variables["chi2_reduced"] = (
            chi2,
            "1",
            "reduced chi-squared of the scaled S(Q)",
        )
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="scale_to_sq",
        operation="scale_to_sq",
        arguments={"Q_range": Q_range, "offset": offset, "box": box},
        attrs={"signal": signal.quantity.name, **doubts},
    )
    return answer


def _correlation_columns(
    value: xr.DataArray, curve: xr.DataArray, box: Any, of: str
) -> dict[str, tuple[Any, str, str]]:
    """Return the columns about r that both tables have."""
    pearson, spearman, n_effective = xr.apply_ufunc(
        _statistics,
        value,
        curve,
        input_core_dims=[["Q"], ["Q"]],
        output_core_dims=[[], [], []],
        dask="parallelized",
        output_dtypes=[float] * 3,
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    both = value.notnull() & curve.notnull()
    at, q_units = value["Q"].where(both), value["Q"].attrs["units"]
    if box is not None:
        # The wave vectors of a box are 2π/L apart.
        side = require_positive(box, "box", "angstrom")
        per_angstrom = convert_factor(q_units, "1/angstrom", name="coordinate 'Q'")
        most = (at.max("Q") - at.min("Q")) * per_angstrom * side / (2 * np.pi)
        n_effective = n_effective.clip(max=most.clip(min=2.0))
    std = correlation_error(pearson, n_effective)
    return {
        "pearson_r": (pearson, "1", f"linear correlation {of}"),
        "pearson_r_std": (std, "1", "sampling error of r"),
        "spearman_r": (spearman, "1", f"rank correlation {of}"),
        "Q_min": (at.min("Q"), q_units, "lowest Q used"),
        "Q_max": (at.max("Q"), q_units, "highest Q used"),
        "n_points": (both.sum("Q"), "1", "number of Q bins used"),
        "n_effective": (n_effective, "1", "number of independent Q"),
    }


@operation(
    takes=(
        "reduced_dos",
        "generalized_dos",
        "dynamic_structure_factor",
        "normalized_fluctuation_spectrum",
        "fluctuation_spectrum",
    ),
    gives="correlation_map",
    over="QE",
    step=31,
    suggested=("reduced_dos", "normalized_fluctuation_spectrum"),
)
@carries_common_errors()
def correlation_map(
    data: xr.DataArray | xr.Dataset,
    sq: xr.DataArray | xr.Dataset,
    Q_range: Any = None,
    *,
    box: Any = None,
) -> xr.Dataset:
    r"""Correlate B(Q,E) with S(Q) at every energy: the paper's Fig. 3 as one curve.

    .. math:: r(E) = \frac{\sum_Q (B-\bar B)(S-\bar S)}{\sqrt{\sum_Q (B-\bar B)^2 \sum_Q
        (S-\bar S)^2}}

    High at the boson peak and gone elsewhere, where its intensity follows S(Q).

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        B(Q,E) over Q, E and any leftover dimensions. Rebin it in E first, where the
        bins are noisy: noise lowers ``|r|``.
    sq, Q_range, box
        As for `scale_to_sq`.

    Returns
    -------
    xarray.Dataset
        ``pearson_r`` and ``spearman_r`` over E (and leftover dimensions), with
        ``n_points``, ``Q_min`` and ``Q_max`` used, which `Q_range` may reach beyond;
        NaN where fewer than three Q bins are known. ``pearson_r_std`` is the sampling
        error of r, (1 − ρ²)/√(n − 3.5) with ρ² = r² t²/(t² + 4), t² = r² (n − 2)/(1 −
        r²), for n = ``n_effective`` independent points, NaN if they are fewer than
        eight: autocorrelated curves have fewer of them than bins, n_eff = n/(1 + 2 Σ
        ρ_B(l) ρ_S(l)), the sum over lags up to the first zero of the product, and at
        most range/(2π/L) of a simulated `box`. ``highest_r`` is the largest running
        median of r over five bins (above 1.15 times ``box_phonon`` where that is
        marked), and ``highest_r_energy`` is
        where: a single noisy bin does not count. Diagnostics as from `scale_to_sq`.

    Raises
    ------
    RangeError, QuantityError
        As for `scale_to_sq`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Fig. 3; for
    n_eff G. V. Bayley and J. M. Hammersley, Suppl. J. R. Stat. Soc. 8, 184 (1946),
    doi:10.2307/2983560.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> r = glass.bp.to_bqe().bp.correlation_map(glass.Sq, Q_range=(2.1, 8.5))
    >>> [round(float(r.pearson_r.sel(E=E, method="nearest")), 1) for E in (3, 10, 25)]
    [1.0, 0.6, -0.4]
    """
    signal, other, used, doubts = _pair(data, sq, Q_range)
    value = signal.value
    require_dims(
        value, "E", "correlation_map", fix="B(Q,E); for one cut, .bp.scale_to_sq(sq)"
    )
    curve, _ = _interpolated(other, value["Q"])
    _require_enough(value, curve, used, 3, Q_range)
    variables = _correlation_columns(
        value.where(used), curve.where(used), box, f"of {symbol_of(value)} with S(Q)"
    )
    highest, where = _highest(variables["pearson_r"][0])
    variables["highest_r"] = (highest, "1", "highest running median of r")
    variables["highest_r_energy"] = (where, value["E"].attrs["units"], "its energy")
    answer: xr.Dataset = result_table(
        signal, variables, quantity="correlation_map", operation="correlation_map",
        arguments={"Q_range": Q_range, "box": box},
        attrs={"signal": signal.quantity.name, **doubts},
    )  # fmt: skip
    return answer


def _highest(r: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the highest running median of r over five bins, and its energy."""
    if "box_phonon" in r.coords:
        # At the phonon of the box, and below it, r is that of the box.
        mark = r.coords["box_phonon"]
        units = require_units(mark, "coordinate 'box_phonon'", "meV")
        factor = convert_factor(units, r["E"].attrs["units"], energy=True)
        above = r.where(~(r["E"] <= 1.15 * factor * mark))
        r = above.where(above.notnull().any("E"), r)
    E = r["E"].values.astype(float)

    def of_curves(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        edge = [(0, 0)] * (values.ndim - 1) + [(2, 2)]
        padded = np.pad(values, edge, constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=-1)
        known = np.isfinite(windows).sum(axis=-1) > 2
        ordered = np.where(known[..., None], windows, -np.inf)
        median = np.where(known, np.nanmedian(ordered, axis=-1), -np.inf)
        highest = median.max(axis=-1)
        found = np.isfinite(highest)
        return (
            np.where(found, highest, np.nan),
            np.where(found, E[median.argmax(axis=-1)], np.nan),
        )

    highest, where = xr.apply_ufunc(
        of_curves,
        r,
        input_core_dims=[["E"]],
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[float, float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return highest, where


def _pair(
    data: xr.DataArray | xr.Dataset, sq: xr.DataArray | xr.Dataset, Q_range: Any
) -> tuple[Signal, Signal, xr.DataArray, dict[str, str]]:
    """Read both signals, the mask of the Q bins to use, and doubts about the pair."""
    signal = read(data, *_SIGNALS)
    other = read(sq, "static_structure_factor")
    if not parse_unit(other.units).dimensionless:
        raise QuantityError(
            f"S(Q) is in '{other.units}', not dimensionless", fix="sq.bp.scale(...)"
        )
    require_dims(signal.value, "Q", "scale_to_sq", fix="B.bp.cut_E(E, width=...)")
    require_dims(other.value, "Q", "scale_to_sq", fix="pass the whole S(Q)")
    shared = tuple(d for d in other.value.dims if d != "Q" and d in signal.value.dims)
    require_same_grid(signal.value, other.value, shared)
    mask = select_range(signal.source, "Q", Q_range, name="Q_range")
    used = xr.DataArray(mask, dims="Q", coords={"Q": signal.value["Q"].variable})
    found = {
        "another_sample": another_sample(signal, other),
        "sq_limit": off_scale(other.value),
    }
    doubts = [Diagnostic(code, "warning", text) for code, text in found.items() if text]
    return signal, other, used, diagnosed(signal.value.attrs, *doubts)


def _interpolated(
    sq: Signal, Q: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Interpolate S(Q) and its std linearly onto other Q; NaN outside its range."""
    # S(Q) may be in percent.
    to_one = convert_factor(sq.units, "1", name="S(Q)")
    units, at = Q.attrs["units"], Q.values
    own = sq.value["Q"].values * convert_factor(
        sq.value["Q"].attrs["units"], units, name="Q of S(Q)"
    )
    slack = 1e-9 * (own[-1] - own[0])
    if at[-1] < own[0] - slack or at[0] > own[-1] + slack:
        raise RangeError(
            f"S(Q) extends from {own[0]:g} to {own[-1]:g}, the data from {at[0]:g} to "
            f"{at[-1]:g} {units}: they do not overlap",
            fix="check the units of both Q coordinates",
        )
    keep = {*sq.value.dims, independence_name("Q")}
    bare = [
        None
        if array is None
        else array.assign_coords(Q=own).drop_vars(set(array.coords) - keep)
        for array in (sq.value, sq.std)
    ]
    assert bare[0] is not None
    curve, curve_std = interpolate(bare[0], bare[1], "Q", at)
    on_cut = {"Q": Q.variable}
    curve_std = None if curve_std is None else curve_std.assign_coords(on_cut) * to_one
    return curve.assign_coords(on_cut) * to_one, curve_std


def _require_enough(
    value: xr.DataArray,
    curve: xr.DataArray,
    used: xr.DataArray,
    n_min: int,
    Q_range: Any,
) -> None:
    count = int((used & curve.notnull().any([d for d in curve.dims if d != "Q"])).sum())
    if count < n_min:
        Q = value["Q"]
        raise RangeError(
            f"Q_range={Q_range} leaves {count} Q bins where S(Q) is known; {n_min} are "
            "needed",
            reason=f"the data extend from {float(Q[0]):g} to {float(Q[-1]):g} "
            f"{Q.attrs['units']}",
        )


@np.errstate(invalid="ignore", divide="ignore", over="ignore")
def _statistics(
    x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Pearson's and Spearman's r and the number of independent points.

    NaN for fewer than three points where both are known.
    """
    x, y = np.broadcast_arrays(x, y)
    both = np.isfinite(x) & np.isfinite(y)
    n = both.sum(axis=-1, keepdims=True)

    def deviations(a: np.ndarray) -> np.ndarray:
        known = np.where(both, a, 0.0)
        return np.where(both, known - known.sum(axis=-1, keepdims=True) / n, 0.0)

    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        norm = (a**2).sum(axis=-1) * (b**2).sum(axis=-1)
        return np.where(n[..., 0] >= 3, (a * b).sum(axis=-1) / np.sqrt(norm), np.nan)

    dx, dy = deviations(x), deviations(y)
    ranks = [
        scipy.stats.rankdata(np.where(both, a, np.nan), axis=-1, nan_policy="omit")
        for a in (x, y)
    ]
    product = _autocorrelation(dx) * _autocorrelation(dy)
    # Up to the first lag at which the product is no longer above zero; lag 0 counts
    # once.
    counted = np.cumprod(product > 0, axis=-1) * product
    points = n[..., 0] / (2 * counted.sum(axis=-1) - 1)
    points = np.clip(points, 2.0, np.maximum(n[..., 0], 2.0))
    return (
        correlation(dx, dy),
        correlation(deviations(ranks[0]), deviations(ranks[1])),
        np.where(n[..., 0] >= 3, points, np.nan),
    )


def _autocorrelation(away: np.ndarray) -> np.ndarray:
    """Return the autocorrelation of deviations from the mean, over all lags."""
    n = away.shape[-1]
    lagged = np.fft.irfft(np.abs(np.fft.rfft(away, 2 * n)) ** 2, 2 * n)[..., :n]
    return np.asarray(lagged / lagged[..., :1])


@np.errstate(all="ignore")
def _fit_scale(
    cut: np.ndarray,
    curve: np.ndarray,
    cut_variance: np.ndarray,
    curve_variance: np.ndarray,
    cut_part: np.ndarray,
    curve_part: np.ndarray,
    *,
    offset: bool,
    known: bool,
) -> np.ndarray:
    """Return A, its std, c (0 without `offset`), its std, χ²_red, number of points.

    Bins represent a part of an independent one.
    """
    ok = np.isfinite(cut) & np.isfinite(curve)
    if known:
        total = cut_variance + curve_variance
        ok &= np.isfinite(total) & (total > 0)
    n = int(ok.sum())
    nothing = np.array([np.nan] * 5 + [n])
    if n < (4 if offset else 3):
        return nothing
    b, s, cut_part, curve_part = cut[ok], curve[ok], cut_part[ok], curve_part[ok]
    vb, vs = cut_variance[ok] / cut_part, curve_variance[ok] / curve_part
    if not (s * s).sum() > 0:
        return nothing
    start = np.array([float((b * s).sum() / (s * s).sum()), 0.0][: 1 + offset])

    def variance(A: float) -> Any:
        return vb + A**2 * vs if known else 1.0

    def residual(p: np.ndarray) -> np.ndarray:
        left = b - p[0] * s - (p[1] if offset else 0.0)
        return np.asarray(left / np.sqrt(variance(p[0])))

    limits = np.full(start.size, np.inf)
    size = float(np.sqrt(np.mean(b**2 / variance(start[0]))))
    if not np.isfinite(size):
        return nothing
    found = minimum(residual, start, -limits, limits, size=size or 1.0, known=known)
    if found is None or found.vague.any():
        return nothing
    values, stds = found.values, np.sqrt(np.diag(found.covariance))
    part = cut_part
    if known:
        own = vb * cut_part + values[0] ** 2 * vs * curve_part
        part = own / variance(values[0])
    free = float(part.sum()) - start.size
    if not free > 0:
        return nothing
    if not known:
        stds = stds * np.sqrt((n - start.size) / free)
    c, c_std = (values[1], stds[1]) if offset else (0.0, np.nan)
    chi2 = float((found.residual**2).sum()) / free
    return np.array([values[0], stds[0], c, c_std, chi2, n])


def correlation_error(r: xr.DataArray, n_effective: xr.DataArray) -> xr.DataArray:
    r"""Return the sampling error of Pearson's r of n independent points.

    .. math:: \sigma_r = \frac{1 - \rho^2}{\sqrt{n - 3.5}}, \quad \rho^2 = r^2
        \frac{t^2}{t^2 + 4}, \quad t^2 = r^2 \frac{n - 2}{1 - r^2}

    The shrunk ρ² keeps a large r that arose by chance from having a small error; 4 and
    3.5 give pulls of width 1 ± 0.15 for unrelated and related curves. It is at most 1,
    and NaN for fewer than eight points, where pulls are up to 1.8 wide.

    Examples
    --------
    >>> r = xr.DataArray([0.0, 0.5, 0.9])
    >>> correlation_error(r, xr.full_like(r, 20)).values.round(3)
    array([0.246, 0.209, 0.057])
    """
    t2 = r**2 * (n_effective - 2)
    shrunk = r**2 * t2 / (t2 + 4 * (1 - r**2))
    enough = n_effective.where(n_effective >= 8)
    return ((1 - shrunk) / (enough - 3.5) ** 0.5).clip(max=1.0)
