"""Whether the intensity of the boson peak follows the static structure factor."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.analysis.sampling import correlation_error, independent_points
from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import interpolate, select_range
from xbp.core.guards import require_flag
from xbp.core.independence import independence, independence_name
from xbp.core.operation import operation
from xbp.core.schema import require_same_grid, require_units, symbol_of
from xbp.core.signal import Signal, read, result_table
from xbp.core.units import convert_factor, parse_unit
from xbp.fitting.least_squares import minimum
from xbp.reduction.sample import another_sample, off_scale

__all__ = ["correlation_map", "scale_to_sq"]

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
    the part of one that each holds.

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
        Side L of the simulated box (bare: Å): a range of Q holds at most range/(2π/L)
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
        can be used. ``attrs["beware"]`` says where `sq` and the cut carry compositions,
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
    signal, other, used, beware = _pair(cut, sq, Q_range)
    value, std = signal.value, signal.std
    curve, curve_std = _interpolated(other, value["Q"])
    offset = require_flag(offset, "offset")
    n_min = 4 if offset else 3
    _require_enough(value, curve, used, n_min, Q_range)
    nan = xr.DataArray(np.nan)
    value, curve = value.where(used), curve.where(used)
    held = [independence(part, "Q") for part in (value, curve_std)]
    parts = [xr.DataArray(1.0) if f is None else xr.DataArray(f) for f in held]
    curve_std = (
        None
        if curve_std is None
        else curve_std.drop_vars(independence_name("Q"), errors="ignore")
    )
    numbers = xr.apply_ufunc(
        _fit_scale,
        value,
        nan if std is None else std,
        curve,
        nan if curve_std is None else curve_std,
        *parts,
        kwargs={"offset": offset},
        input_core_dims=[
            ["Q"],
            [] if std is None else ["Q"],
            ["Q"],
            [] if curve_std is None else ["Q"],
            *([] if f is None else ["Q"] for f in held),
        ],
        output_core_dims=[["_number"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"output_sizes": {"_number": 6}, "allow_rechunk": True},
    )
    A, A_std, c, c_std, chi2, count = (
        numbers.isel(_number=i, drop=True) for i in range(6)
    )
    pearson, spearman = _correlations(value, curve)
    n_effective = independent_points(value, curve, box)
    scaled = A * curve if not offset else A * curve + c
    at = value["Q"].where(used & value.notnull() & curve.notnull())
    units, q_units = signal.units, value["Q"].attrs["units"]
    variables: dict[str, tuple[Any, str, str]] = {
        "scale": (A, units, "factor of S(Q)"),
        "scale_std": (A_std, units, "standard deviation of the factor"),
        "pearson_r": (pearson, "1", "linear correlation with S(Q)"),
        "pearson_r_std": (
            correlation_error(pearson, n_effective),
            "1",
            "sampling error of r",
        ),
        "spearman_r": (spearman, "1", "rank correlation with S(Q)"),
        "Q_min": (at.min("Q"), q_units, "lowest Q used"),
        "Q_max": (at.max("Q"), q_units, "highest Q used"),
        "n_points": (count, "1", "number of Q bins used"),
        "n_effective": (n_effective, "1", "number of independent Q"),
        "cut": (value, units, str(value.attrs.get("long_name", value.name))),
        "scaled_structure_factor": (scaled, units, "S(Q) scaled to the cut"),
    }
    if offset:
        variables["offset"] = (c, units, "constant added to the scaled S(Q)")
        variables["offset_std"] = (c_std, units, "standard deviation of the constant")
    if std is not None:
        variables["cut_std"] = (std.where(used), units, "standard deviation of the cut")
    if curve_std is not None:
        variables["scaled_structure_factor_std"] = (
            abs(A) * curve_std.where(used),
            units,
            "from the std of S(Q)",
        )
    if std is not None or curve_std is not None:
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
        attrs={"signal": signal.quantity.name, **beware},
    )
    return answer


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
        NaN where fewer than three Q bins hold numbers. ``pearson_r_std`` is the sampling
        error of r, (1 − ρ²)/√(n − 3.5) with ρ² = r² t²/(t² + 4), t² = r² (n − 2)/(1 −
        r²), for n = ``n_effective`` independent points: autocorrelated curves have
        fewer of them than bins, n_eff = n/(1 + 2 Σ ρ_B(l) ρ_S(l)), the sum over lags
        up to the first zero of the product, and at most range/(2π/L) of a simulated
        `box`. ``highest_r`` is the largest running median of r over five bins (above
        1.15 times ``box_phonon`` where that is marked), and ``highest_r_energy`` is
        where: a single noisy bin does not count. ``attrs["beware"]`` as from `scale_to_sq`.

    Raises
    ------
    RangeError, QuantityError
        As for `scale_to_sq`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Fig. 3.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> r = glass.bp.to_bqe().bp.correlation_map(glass.Sq, Q_range=("2.1 1/angstrom", "8.5 1/angstrom"))
    >>> [round(float(r.pearson_r.sel(E=E, method="nearest")), 1) for E in (3, 10, 25)]
    [1.0, 0.6, -0.4]
    """
    signal, other, used, beware = _pair(data, sq, Q_range)
    value = signal.value
    if "E" not in value.dims:
        raise RangeError(
            f"'{value.name}' has no dimension 'E' (it has {tuple(value.dims)})",
            reason="the correlation is followed over E",
            fix="pass B(Q,E); for one cut, .bp.scale_to_sq(sq) tells r too",
        )
    curve, _ = _interpolated(other, value["Q"])
    _require_enough(value, curve, used, 3, Q_range)
    masked = value.where(used)
    pearson, spearman = _correlations(masked, curve.where(used))
    n_effective = independent_points(masked, curve.where(used), box)
    count = (masked.notnull() & curve.notnull()).sum("Q")
    q_units = value["Q"].attrs["units"]
    at = value["Q"].where(masked.notnull() & curve.notnull())
    what = symbol_of(value)
    variables = {
        "pearson_r": (pearson, "1", f"linear correlation of {what} with S(Q)"),
        "pearson_r_std": (
            correlation_error(pearson, n_effective),
            "1",
            "sampling error of r",
        ),
        "spearman_r": (spearman, "1", f"rank correlation of {what} with S(Q)"),
        "Q_min": (at.min("Q"), q_units, "lowest Q used"),
        "Q_max": (at.max("Q"), q_units, "highest Q used"),
        "n_points": (count, "1", "number of Q bins used"),
        "n_effective": (n_effective, "1", "number of independent Q"),
    }
    highest, where = _highest(pearson)
    variables["highest_r"] = (highest, "1", "highest running median of r")
    variables["highest_r_energy"] = (where, value["E"].attrs["units"], "its energy")
    answer: xr.Dataset = result_table(
        signal, variables, quantity="correlation_map", operation="correlation_map",
        arguments={"Q_range": Q_range, "box": box},
        attrs={"signal": signal.quantity.name, **beware},
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
    """Read both signals, the mask of the Q bins asked for, and what is to be said of the two being compared."""
    signal = read(data, *_SIGNALS)
    other = read(sq, "static_structure_factor")
    if not parse_unit(other.units).dimensionless:
        raise QuantityError(
            f"S(Q) is in '{other.units}'",
            reason="a static structure factor is a pure number",
            fix="normalise it, sq.bp.scale(...), so that S(Q) tends to 1",
        )
    if "Q" not in signal.value.dims:
        raise RangeError(
            f"'{signal.value.name}' has no dimension 'Q' (it has "
            f"{tuple(signal.value.dims)})",
            reason="it is compared with S(Q) over Q",
            fix="cut at constant energy: B.bp.cut_E(E, width=...)",
        )
    if "Q" not in other.value.dims:
        raise RangeError(
            f"S(Q) is over {other.value.dims}",
            reason="it is a curve over Q",
            fix="pass all of it",
        )
    shared = tuple(d for d in other.value.dims if d != "Q" and d in signal.value.dims)
    require_same_grid(signal.value, other.value, shared)
    mask = select_range(signal.source, "Q", Q_range, name="Q_range")
    wrong = [
        said for said in (another_sample(signal, other), off_scale(other.value)) if said
    ]
    beware = {"beware": "; ".join(wrong)} if wrong else {}
    return (
        signal,
        other,
        xr.DataArray(mask, dims="Q", coords={"Q": signal.value["Q"].variable}),
        beware,
    )


def _interpolated(
    sq: Signal, Q: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Interpolate S(Q) and its std linearly onto other Q.

    NaN outside, never extrapolated.
    """
    # S(Q) may come in percent.
    to_one = convert_factor(sq.units, "1", name="S(Q)")
    own = sq.value["Q"].values * convert_factor(
        sq.value["Q"].attrs["units"], Q.attrs["units"], name="Q of S(Q)"
    )
    at = Q.values
    slack = 1e-9 * (own[-1] - own[0])
    if at[-1] < own[0] - slack or at[0] > own[-1] + slack:
        raise RangeError(
            f"S(Q) reaches from {own[0]:g} to {own[-1]:g}, the data from {at[0]:g} to "
            f"{at[-1]:g} {Q.attrs['units']}",
            reason="their Q ranges do not overlap",
            fix="check the units of the Q coordinates, or bring an S(Q) of that range",
        )
    keep = [
        c for c in sq.value.coords if c in sq.value.dims or c == independence_name("Q")
    ]
    curve, curve_std = interpolate(
        sq.value.assign_coords(Q=own).drop_vars(
            [c for c in sq.value.coords if c not in keep]
        ),
        None
        if sq.std is None
        else sq.std.assign_coords(Q=own).drop_vars(
            [c for c in sq.std.coords if c not in keep]
        ),
        "Q",
        at,
    )
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
            f"only {count} Q bins are left to compare with S(Q) (Q_range={Q_range})",
            reason=f"at least {n_min} are needed; the data reach from {float(Q[0]):g} "
            f"to {float(Q[-1]):g} "
            f"{Q.attrs['units']}",
            fix="widen Q_range, or bring an S(Q) that covers it",
        )


def _correlations(
    value: xr.DataArray, curve: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """Pearson's and Spearman's r along Q over the points both hold, NaN for fewer than three."""
    answer = xr.apply_ufunc(
        _pearson_and_spearman,
        value,
        curve,
        input_core_dims=[["Q"], ["Q"]],
        output_core_dims=[[], []],
        dask="parallelized",
        output_dtypes=[float, float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return answer[0], answer[1]


def _pearson_and_spearman(
    x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.broadcast_arrays(x, y)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(both, x, np.nan), np.where(both, y, np.nan)
    ranks = [scipy.stats.rankdata(a, axis=-1, nan_policy="omit") for a in (x, y)]
    return _pearson(x, y, both), _pearson(ranks[0], ranks[1], both)


def _pearson(x: np.ndarray, y: np.ndarray, both: np.ndarray) -> np.ndarray:
    count = both.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        dx, dy = (
            np.where(
                both,
                a - np.where(both, a, 0.0).sum(axis=-1, keepdims=True) / count,
                0.0,
            )
            for a in (x, y)
        )
        r = (dx * dy).sum(axis=-1) / np.sqrt(
            (dx**2).sum(axis=-1) * (dy**2).sum(axis=-1)
        )
    return np.where(count[..., 0] >= 3, r, np.nan)


@np.errstate(all="ignore")
def _fit_scale(
    cut: np.ndarray,
    cut_std: np.ndarray,
    curve: np.ndarray,
    curve_std: np.ndarray,
    cut_part: np.ndarray,
    curve_part: np.ndarray,
    *,
    offset: bool,
) -> np.ndarray:
    """Return A, its std, c, its std, χ²_red, number of points.

    Of bins that hold a part of an independent one each.
    """
    known = bool(cut_std.ndim or curve_std.ndim)
    variance_cut = cut_std**2 if cut_std.ndim else np.zeros(cut.shape)
    variance_curve = curve_std**2 if curve_std.ndim else np.zeros(cut.shape)
    ok = np.isfinite(cut) & np.isfinite(curve)
    if known:
        total = variance_cut + variance_curve
        ok &= np.isfinite(total) & (total > 0)
    n = int(ok.sum())
    if n < (4 if offset else 3):
        return np.array([np.nan] * 5 + [n])
    b, s = cut[ok], curve[ok]
    parts = [np.broadcast_to(part, cut.shape)[ok] for part in (cut_part, curve_part)]
    vb, vs = variance_cut[ok] / parts[0], variance_curve[ok] / parts[1]
    if not (s * s).sum() > 0:
        return np.array([np.nan] * 5 + [n])
    start = np.array([float((b * s).sum() / (s * s).sum()), 0.0][: 1 + offset])

    def residual(p: np.ndarray) -> np.ndarray:
        weight = 1 / np.sqrt(vb + p[0] ** 2 * vs) if known else 1.0
        return np.asarray((b - p[0] * s - (p[1] if offset else 0.0)) * weight)

    limits = np.full(start.size, np.inf)
    size = float(np.sqrt(np.mean(b**2 / (vb + start[0] ** 2 * vs if known else 1.0))))
    found = (
        minimum(residual, start, -limits, limits, size=size or 1.0, known=known)
        if np.isfinite(size)
        else None
    )
    if found is None or found.vague.any():
        return np.array([np.nan] * 5 + [n])
    values, stds = found.values, np.sqrt(np.diag(found.covariance))
    part = (
        (vb * parts[0] + values[0] ** 2 * vs * parts[1]) / (vb + values[0] ** 2 * vs)
        if known
        else parts[0]
    )
    independent = float(part.sum())
    if not independent > start.size:
        return np.array([np.nan] * 5 + [n])
    if not known:
        stds = stds * np.sqrt((n - start.size) / (independent - start.size))
    c, c_std = (values[1], stds[1]) if offset else (0.0, np.nan)
    chi2 = float((found.residual**2).sum()) / (independent - start.size)
    return np.array([values[0], stds[0], c, c_std, chi2, n])
