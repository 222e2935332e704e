"""Whether the intensity of the boson peak follows the static structure factor."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.pair import SIGNALS, Pair
from xbp.analysis.wing import wing_of_cut, wing_of_map
from xbp.core.common_errors import carries_common_errors
from xbp.core.data import columns, is_lazy, require_dims
from xbp.core.guards import require_flag, require_number
from xbp.core.operation import operation
from xbp.core.schema import require_units, symbol_of
from xbp.core.signal import map_over, result_table
from xbp.core.status import Status
from xbp.core.units import convert_factor
from xbp.fitting.core import solve

__all__ = ["correlation_map", "scale_to_sq"]


@operation(
    takes=SIGNALS,
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
    elastic_widths: float = 2.0,
) -> xr.Dataset:
    r"""Scale the static structure factor to a cut at constant energy.

    Fit of cut(Q) = A·S(Q) (+ c), minimising

    .. math:: \chi^2 = \sum_Q \frac{[B(Q) - A\,S(Q) - c]^2}{\sigma_B^2 + A^2\sigma_S^2}

    S(Q) is interpolated linearly onto the Q of the cut, its std with it; Q bins are
    taken as independent, those that share what was measured (``Q_independence``) as
    fractions of one, and errors common to all Q (``Q_common``) as errors of A.

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
    elastic_widths : float
        How many resolution widths (FWHM, coordinate ``resolution_fwhm``) the elastic
        line reaches to each side, as `widths` of `mask_elastic`: a cut that overlaps it
        gets a diagnostic, since the line follows S(Q) by itself.

    Returns
    -------
    xarray.Dataset
        ``scale`` A with ``scale_std`` (units of the cut); with `offset` also ``offset``
        and its std; ``pearson_r`` and ``spearman_r`` between cut and S(Q), with
        ``pearson_r_std`` of ``n_effective`` independent points (`correlation_map`);
        ``chi2_reduced`` where standard deviations are known; ``Q_min``, ``Q_max``,
        ``n_points`` used; the ``cut`` and the scaled curve ``scaled_structure_factor``
        over Q with their std, and their ``ratio`` (with that of the cut; with `offset`
        over A·S + c), which r alone does not tell; ``ratio_rms``, the rms of B/(A·S) −
        1 without weights; ``scale_status``: "ok", or why `scale` is NaN, "no data",
        "too few points" (fewer than three, four with `offset`) or "undetermined". r is
        NaN for fewer than three points. Diagnostics report where the error of r is not
        known, `sq` and the cut carry compositions, names of samples or files that
        differ, or `sq` tends to 0 as F(Q) does.

    Raises
    ------
    RangeError
        If the Q ranges do not overlap, or hold too few points.
    QuantityError
        If `sq` is not an S(Q).

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 2, Fig. 3.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8")
    >>> cut = glass.bp.to_bqe().bp.cut_E("3.3 meV", width="0.5 meV")
    >>> fit = cut.bp.scale_to_sq(glass.Sq, Q_range=("2.1 1/angstrom", "8.5 1/angstrom"))
    >>> round(float(fit.pearson_r), 2)
    0.98
    """
    widths = require_number(elastic_widths, "elastic_widths", least=0)
    pair = Pair(cut, sq, Q_range, 4 if require_flag(offset, "offset") else 3)
    signal, units = pair.signal, pair.signal.units
    known = pair.std is not None or pair.curve_std is not None
    numbers, scaled, scaled_std, status = map_over(
        _fit_scale, *pair.arrays, *pair.parts, dims="Q",
        gives=[["_number"], ["Q"], ["Q"], []], sizes={"_number": 6}, used=pair.used,
        dtypes=[float, float, float, "<U24"], offset=offset, known=known,
    )  # fmt: skip
    A, A_std, c, c_std, chi2, count = columns(numbers)
    long_name = str(signal.value.attrs.get("long_name", signal.value.name))
    variables: dict[str, tuple[Any, str, str]] = {
        "scale": (A, units, "factor of S(Q)"),
        "scale_std": (pair.with_common(A_std, A), "", ""),
        **pair.correlation(box, "with S(Q)"),
        "n_points": (count, "1", "number of Q bins used"),
        "cut": (pair.inside(signal.value), units, long_name),
        "scaled_structure_factor": (scaled, units, "scaled S(Q)"),
        "scale_status": (status, "", "whether the scale can be used"),
    }
    variables["ratio"] = (pair.inside(signal.value) / scaled, "1", "cut/(A·S(Q))")
    if pair.std is not None:
        variables["ratio_std"] = (pair.inside(pair.std) / abs(scaled), "", "")
    if offset:
        variables["offset"] = (c, units, "constant added to the scaled S(Q)")
        variables["offset_std"] = (c_std, "", "")
    if pair.std is not None:
        variables["cut_std"] = (pair.inside(pair.std), "", "")
    if pair.curve_std is not None:
        variables["scaled_structure_factor_std"] = (scaled_std, "", "")
    if known:
        variables["chi2_reduced"] = (chi2, "1", "reduced chi-squared of A·S(Q)")
    answer: xr.Dataset = result_table(
        signal, variables, quantity="scale_to_sq", operation="scale_to_sq",
        arguments={"Q_range": Q_range, "offset": offset, "box": box},
        attrs={"signal": signal.quantity.name}
        | pair.doubts_about(variables, *wing_of_cut(signal, widths)),
        coords=pair.coords,
    )  # fmt: skip
    return answer


@operation(
    takes=SIGNALS,
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
    elastic_widths: float = 2.0,
) -> xr.Dataset:
    r"""Correlate B(Q,E) with S(Q) at every energy: the paper's Fig. 3 as one curve.

    .. math:: r(E) = \frac{\sum_Q (B-\bar B)(S-\bar S)}{\sqrt{\sum_Q (B-\bar B)^2 \sum_Q
        (S-\bar S)^2}}

    An r that is high at a maximum of B(E) and as high below it does not show a boson
    peak: one-phonon scattering from long sound waves follows Q² S(Q) too (`fit_bqe`).

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        B(Q,E) over Q, E and any leftover dimensions. Rebin it in E first, where the
        bins are noisy: noise lowers ``|r|``.
    sq, Q_range, box
        As for `scale_to_sq`.
    elastic_widths : float
        As for `scale_to_sq`, of ``highest_r_energy``. Where no resolution is known, a
        mean over Q that falls from its first bin up to there is taken as the line.

    Returns
    -------
    xarray.Dataset
        ``pearson_r`` and ``spearman_r`` over E (and leftover dimensions), and
        ``ratio_rms`` with ``_std``, the rms over Q of B/(A·S) − 1 with A by least
        squares, which r does not tell (`fit_bqe`); with ``n_points``, ``Q_min`` and
        ``Q_max`` used, which `Q_range` may reach beyond; NaN where fewer than three Q
        bins are known. ``pearson_r_std`` is the sampling error of r, (1 − ρ²)/√(n −
        3.5) with ρ² = r² t²/(t² + 4), t² = r² (n − 2)/(1 − r²), for n = ``n_effective``
        independent points, NaN if they are fewer than eight: autocorrelated curves have
        fewer of them than bins, n_eff = n/(1 + 2 Σ ρ_B(l) ρ_S(l)), the sum over lags up
        to the first zero of the product, and at most range/(2π/L) of a simulated `box`.
        ``highest_r`` is the largest running median of r over five bins (above 1.15
        times ``box_phonon`` where that is marked), and ``highest_r_energy`` is where: a
        single noisy bin does not count. Diagnostics as from `scale_to_sq`.

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
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8")
    >>> r = glass.bp.to_bqe().bp.correlation_map(glass.Sq, Q_range=(2.1, 8.5))
    >>> [round(float(r.pearson_r.sel(E=E, method="nearest")), 1) for E in (3, 10, 25)]
    [1.0, 0.8, -0.7]
    """
    widths = require_number(elastic_widths, "elastic_widths", least=0)
    pair = Pair(data, sq, Q_range, 3)
    signal, value = pair.signal, pair.signal.value
    require_dims(
        value, "E", "correlation_map", fix="B(Q,E); for one cut, .bp.scale_to_sq(sq)"
    )
    variables = pair.correlation(box, f"of {symbol_of(value)} with S(Q)")
    highest, where = _highest(variables["pearson_r"][0], value)
    variables["highest_r"] = (highest, "1", "highest running median of r")
    variables["highest_r_energy"] = (where, value["E"].attrs["units"], "its energy")
    single = not where.ndim and not is_lazy(where)
    wing = wing_of_map(signal, pair.used, float(where), widths) if single else []
    answer: xr.Dataset = result_table(
        signal, variables, quantity="correlation_map", operation="correlation_map",
        arguments={"Q_range": Q_range, "box": box},
        attrs={"signal": signal.quantity.name} | pair.doubts_about(variables, *wing),
        coords=pair.coords,
    )  # fmt: skip
    return answer


def _highest(r: xr.Variable, value: xr.DataArray) -> tuple[xr.Variable, xr.Variable]:
    """Return the highest running median of r over five bins, and its energy."""
    E, floor = value["E"].values.astype(float), 0.0
    if "box_phonon" in value.coords:
        # At the phonon of the box, and below it, r is that of the box.
        mark = value.coords["box_phonon"]
        units = require_units(mark, "coordinate 'box_phonon'", "meV")
        factor = convert_factor(units, value["E"].attrs["units"], energy=True)
        floor = 1.15 * factor * mark.variable

    def of_curves(r: np.ndarray, floor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        above = np.where(np.asarray(floor)[..., None] >= E, np.nan, r)
        seen = np.isfinite(above).any(axis=-1, keepdims=True)
        values = np.where(seen, above, r)
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

    highest, where = map_over(of_curves, r, floor, dims="E", gives=[(), ()])
    return highest, where


@np.errstate(all="ignore")
def _fit_scale(
    cut: np.ndarray,
    curve: np.ndarray,
    cut_std: np.ndarray,
    curve_std: np.ndarray,
    cut_part: np.ndarray,
    curve_part: np.ndarray,
    *,
    used: np.ndarray,
    offset: bool,
    known: bool,
) -> tuple[np.ndarray, ...]:
    """Return A, its std, c (or 0), its std, χ²_red, n; A·S + c, its std; the status."""
    arrays = np.broadcast_arrays(cut, curve, cut_std, curve_std, cut_part, curve_part)
    outer, k, n = arrays[0].shape[:-1], arrays[0].shape[-1], 1 + offset
    b, s, b_std, s_std, fb, fs = (a.reshape(-1, k).astype(float) for a in arrays)
    b, s, b_std, s_std = (np.where(used, a, np.nan) for a in (b, s, b_std, s_std))
    whole = (s, s_std)
    # Where only one has errors, those of the other are 0.
    vb = b_std**2 if np.ndim(cut_std) else 0.0 * fb
    vs = s_std**2 if np.ndim(curve_std) else 0.0 * fs
    ok = np.isfinite(b) & np.isfinite(s)
    if known:
        ok &= np.isfinite(vb + vs) & (vb + vs > 0)
    b, s, vb, vs = (np.where(ok, a, 0.0) for a in (b, s, vb / fb, vs / fs))
    count = ok.sum(axis=1)
    numbers = np.full((len(b), 6), np.nan)
    numbers[:, 5] = count

    def variance(A: np.ndarray, vb: np.ndarray, vs: np.ndarray) -> Any:
        total = vb + A[:, None] ** 2 * vs
        return np.where(total > 0, total, 1.0) if known else np.ones_like(total)

    A = (b * s).sum(axis=1) / (s * s).sum(axis=1)
    target = b / np.sqrt(variance(A, vb, vs))
    rows = np.flatnonzero((count > n + 1) & np.isfinite(target).all(axis=1))

    def shape(p: np.ndarray, *own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the target less the residuals [b − A·s − c]/√(v_b + A² v_s)."""
        target, b, s, vb, vs = own
        V = variance(p[:, 0], vb, vs)
        left, root = b - p[:, :1] * s - (p[:, 1:] if offset else 0.0), np.sqrt(V)
        slopes = [s / root + left * p[:, :1] * vs / (V * root), 1 / root]
        return target - left / root, np.stack(slopes[:n])

    target, b, s, vb, vs, fb, fs, ok, A = (
        a[rows] for a in (target, b, s, vb, vs, fb, fs, ok, A)
    )
    start = np.stack([A, np.zeros_like(A)][:n], axis=1)
    found = solve(shape, target, ok * 1.0, start, target, b, s, vb, vs, known=known)
    A = found.values[:, 0]
    # Bins with errors in common are whole ones where they are compared.
    part, of_curve = np.minimum(fb, 1), np.minimum(fs, 1)
    if known:
        part = (vb * part + A[:, None] ** 2 * vs * of_curve) / variance(A, vb, vs)
    free = np.where(ok, part, 0.0).sum(axis=1) - n
    chi2, _, stds = found.errors(free, known)
    good = found.converged & ~found.vague.any(axis=1) & (free > 0)
    columns = [A, stds[:, 0], found.values[:, 1] if offset else 0.0 * A]
    columns += [stds[:, 1] if offset else np.nan * A, chi2]
    numbers[rows[good], :5] = np.stack(columns, axis=1)[good]
    status = np.where(count > n + 1, Status.UNDETERMINED, Status.TOO_FEW)
    status = np.where(count == 0, Status.NO_DATA, status).astype("<U24")
    status[rows[free <= 0]] = Status.TOO_FEW
    status[rows[good]] = Status.OK
    A, c = numbers[:, :1], numbers[:, 2:3]
    curves = (A * whole[0] + c, np.abs(A) * whole[1])
    return (
        numbers.reshape(*outer, 6),
        *(a.reshape(*outer, k) for a in curves),
        status.reshape(outer),
    )
