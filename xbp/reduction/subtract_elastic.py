"""The elastic line taken off S(Q,E), with a shape that was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.data import Data, is_lazy, refuse_where, require_common_dims, require_dims
from xbp.core.errors import QuantityError, RangeError, shown
from xbp.core.grid import bin_limits, require_same_grid, select_range
from xbp.core.independence import (
    difference_independence,
    independence_name,
    std_along,
)
from xbp.core.numbers import percent
from xbp.core.operation import operation
from xbp.core.signal import Signal, over_spectra, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.reduction.comparable import is_the_same, require_comparable
from xbp.reduction.elastic import elastic_line_bins, line_profile

__all__ = ["line_shape", "subtract_elastic"]


@operation(takes="dynamic_structure_factor", over="QE")
@carries_common_errors()
def subtract_elastic(
    data: Data,
    reference: xr.DataArray | xr.Dataset | None = None,
    E_range: Any = None,
    *,
    Q_range: Any = None,
    baseline: Any = None,
) -> Data:
    r"""Subtract the elastic line, with a shape that was measured.

    .. math:: S'(Q,E) = S(Q,E) - A(Q)\,\frac{l(E)}{\int_{el} l\,dE}, \quad
              A(Q) = \int_{el} S(Q,E)\,dE, \quad
              l(E) = \frac{\sum_k S_r(Q_k,E)}{\sum_k A_r(Q_k)}

    The shape l is that of the rows Q_k of a reference: vanadium, or the sample itself
    at small Q, where it has the least inelastic scattering. At each Q it is scaled to
    the elastic bins, which are NaN afterwards: nothing is left in them to be known.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) with its elastic line.
    reference : xarray.DataArray or xarray.Dataset, optional
        S(Q,E) measured at the same resolution, on the same E, in any units. By default
        the data themselves; those of their rows that make the shape are NaN afterwards.
    E_range : pair of scalars with units, optional
        The elastic bins; by default those of at least half of the maximum.
    Q_range : pair of scalars with units, optional
        Rows of the reference to use. By default all; of the data themselves it must be
        given.
    baseline : pair of scalars with units, optional
        Range of E > 0 where the reference has no line, but inelastic scattering and
        background: the mean there is taken off l, which is 0 from there on, to either
        side.

    Returns
    -------
    same type as `data`
        S′(Q,E), with the coordinate ``inelastic_lost`` over Q: the fraction of the
        inelastic intensity that was subtracted with the line, since l contains that of
        its rows: the slope of S_r/A_r over Q² times ⟨Q_k²⟩, over the slope of S/A times
        Q². Of rows of the data themselves it is ⟨Q_k²⟩/Q². `diagnostics` lists its mean
        over all Q, weighted by their inelastic intensity A Q². The error of
        A(Q), which all E share, is in ``E_independence``; that of l(E), which all Q
        share, in ``Q_independence``; those of ∫l dE and of the baseline, which all bins
        share, in ``S_std_common``.

    Raises
    ------
    CoordinateError
        If the reference is on other energies, or over a dimension that the data lack.
    QuantityError
        If it was measured or reduced in another way, or is the data and `Q_range` is
        missing.
    RangeError
        If the data have no elastic line, or no row was measured in all of E_range.

    References
    ----------
    G. L. Squires, Introduction to the Theory of Thermal Neutron Scattering (1978), ch.
    3: elastic and one-phonon scattering, whose ratio goes as Q².

    Examples
    --------
    >>> import numpy as np, xbp
    >>> Q, E = np.arange(0.5, 8, 0.25), np.arange(-20, 20.1, 0.5)
    >>> line = xbp.models.elastic_line(Q, E, u2="0.01 angstrom^2", resolution="2 meV")
    >>> left = line.S.bp.subtract_elastic(Q_range=(0, 1))
    >>> bool(abs(left).max() < 1e-12), bool(left.sel(E=0).isnull().all())
    (True, True)
    """
    signal = read(data, "dynamic_structure_factor")
    value = signal.value
    other = signal if reference is None else read(reference, "dynamic_structure_factor")
    for one, what in ((value, "the data"), (other.value, "the reference")):
        require_dims(one, ("Q", "E"), what, fix="pass S(Q,E) before it was cut")
    require_common_dims(other.value, value, "the reference")
    require_same_grid(value, other.value, ("E",))
    require_comparable(value, other.value, "the reference")
    itself = reference is None or is_the_same(signal, other)
    if itself and Q_range is None:
        raise QuantityError(
            "the reference is the data themselves, and Q_range= is missing",
            fix="Q_range=(0, '1 1/angstrom'), or reference=vanadium",
        )
    elastic, low, high = _elastic_bins(signal, E_range)
    rows = select_range(other.source, "Q", Q_range, name="Q_range")
    steps = _widths(signal, "E")
    line, line_std, inelastic, relative, base_std = _shape(
        other, rows, elastic, steps, baseline
    )
    here = {"E": np.flatnonzero(elastic.values)}
    within = steps.isel(here)
    total = (value.variable.isel(here) * within).sum("E", skipna=False)
    norm = (line * steps).isel(here).sum("E")
    scale = total / norm
    kept: Any = ~elastic & ~xr.Variable("Q", rows) if itself else ~elastic
    left = (value.variable - scale * line).where(kept).transpose(*value.dims)
    lost, notes = _lost(signal, inelastic / norm, steps, elastic, kept)
    coords = {"inelastic_lost": lost}
    std, common = None, {}
    if signal.std is not None:
        alone = std_along(signal.std, "E").variable.isel(here)
        variance = ((alone * within) ** 2).sum("E", skipna=False)
        by_A = variance * (line / norm) ** 2
        by_line = (scale * line_std) ** 2
        own = signal.std.variable**2
        std = ((own + by_A + by_line) ** 0.5).where(kept).transpose(*value.dims)
        grid = value.copy(data=left.data)
        apart = {
            "E": (own + by_line, by_A, steps * abs(line)),
            "Q": (own + by_A, by_line, _widths(signal, "Q") * abs(total)),
        }
        for dim, (each, shared, size) in apart.items():
            f = _independence(grid, each, shared, size, dim)
            coords |= {} if f is None else {independence_name(dim): f}
        parts = {
            "elastic line": -scale * line * relative,
            "baseline of the line": scale * base_std * (line != 0),
        }
        common = {
            fingerprint(name, other.value, elastic): (0 * left + part).where(kept, 0.0)
            for name, part in parts.items()
            if baseline is not None or name == "elastic line"
        }
    units = value["E"].attrs["units"]
    answer: Data = signal.answer(
        left,
        std,
        operation="subtract_elastic",
        arguments={
            "reference": None if itself else str(other.value.name),
            "E_range": f"{low:.10g} to {high:.10g} {units}",
            "Q_range": Q_range,
            "baseline": baseline,
        },
        attrs=diagnosed(value.attrs, *notes),
        coords=coords,
        common=common,
    )
    return answer


def line_shape(
    S: np.ndarray,
    std: np.ndarray,
    *,
    Q: np.ndarray,
    widths: np.ndarray,
    steps: np.ndarray,
    elastic: np.ndarray,
    rows: np.ndarray,
    base: np.ndarray,
    inside: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the shape of an elastic line, for one unit of elastic intensity.

    Parameters
    ----------
    S, std : numpy.ndarray, shape (n_Q, n_E)
        The reference and its standard deviations; NaN where unknown.
    Q, widths : numpy.ndarray, shape (n_Q,)
        Centres and widths of the bins.
    steps : numpy.ndarray, shape (n_E,)
        Widths of the bins of E.
    elastic, base, inside : numpy.ndarray of bool, shape (n_E,)
        Elastic bins, bins of the baseline, and bins where the line is not 0.
    rows : numpy.ndarray of bool, shape (n_Q,)
        Rows that make the shape.

    Returns
    -------
    line, line_std, inelastic : numpy.ndarray, shape (n_E,)
        The shape, its errors and the inelastic part of it.
    relative, base_std : numpy.ndarray, shape ()
        Relative error of the elastic intensity, and error of the baseline.
    """
    A = (S[:, elastic] * steps[elastic]).sum(axis=1)
    good = A > 0
    seen = np.isfinite(S) & good[:, None]
    value, A = np.where(seen, S, 0.0), np.where(good, A, 0.0)
    error = np.where(seen & np.isfinite(std), std, 0.0)
    weight = seen * (widths * rows)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        norm = (weight * A[:, None]).sum(axis=0)
        line = (weight * value).sum(axis=0) / norm
        line_std = np.sqrt(((weight * error) ** 2).sum(axis=0)) / norm
        in_line = error[:, elastic] * steps[elastic] * (widths * rows)[:, None]
        relative = np.sqrt((in_line**2).sum()) / (widths * rows * A).sum()
        square = (weight * A[:, None]).T @ Q**2 / norm
        slope, _ = inelastic_slope(
            S, std, Q=Q, widths=widths, steps=steps, elastic=elastic
        )
        share = steps * base / (steps * base).sum() if base.any() else 0.0 * steps
    base_std = np.sqrt(((share * np.nan_to_num(line_std)) ** 2).sum())
    flat = [part - share @ np.nan_to_num(part) for part in (line, slope * square)]
    line, inelastic = (np.where(inside, part, 0.0) for part in flat)
    return line, np.where(inside, line_std, 0.0), inelastic, relative, base_std


def inelastic_slope(
    S: np.ndarray,
    std: np.ndarray,
    *,
    Q: np.ndarray,
    widths: np.ndarray,
    steps: np.ndarray,
    elastic: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the slope of S(Q,E)/A(Q) over Q² at each E, and its standard deviation.

    The elastic part of S/A is the same at all Q, that by one phonon goes as Q². Rows
    weigh by their elastic intensity A. Parameters as for `line_shape`.
    """
    A = (S[:, elastic] * steps[elastic]).sum(axis=1)
    good = A > 0
    seen = np.isfinite(S) & good[:, None]
    over = np.where(good, A, 1.0)[:, None]
    trust = seen * (widths * np.where(good, A, 0.0))[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        x = Q[:, None] ** 2 - (trust * Q[:, None] ** 2).sum(axis=0) / trust.sum(axis=0)
        gain = trust * x / (trust * x**2).sum(axis=0)
        slope = (gain * np.where(seen, S, 0.0) / over).sum(axis=0)
        error = (gain * np.where(seen, std, 0.0) / over) ** 2
    return slope, np.sqrt(error.sum(axis=0))


def _shape(
    other: Signal,
    rows: np.ndarray,
    elastic: xr.Variable,
    steps: xr.Variable,
    baseline: Any,
) -> tuple[Any, ...]:
    """Find the shape of the line of a reference, of dask arrays lazily."""
    E = other.value["E"].values
    base = np.zeros(E.size, dtype=bool)
    inside = ~base
    if baseline is not None:
        base = select_range(other.source, "E", baseline, name="baseline")
        if (base & elastic.values).any() or not (E[base] > 0).all():
            raise RangeError(
                f"baseline={shown(baseline)} must be above the elastic bins, which end "
                f"at {E[elastic.values][-1]:g} {other.value['E'].attrs['units']}"
            )
        inside = np.abs(E) < E[base][0]
    std = None if other.std is None else std_along(other.std, "Q", "E")
    found = over_spectra(
        line_shape, other.value, std, core=("Q", "E"),
        gives=[("E",), ("E",), ("E",), (), ()],
        Q=other.value["Q"].values, widths=_widths(other, "Q").values,
        steps=steps.values, elastic=elastic.values, rows=rows, base=base, inside=inside,
    )  # fmt: skip
    parts: Any = tuple(part.variable for part in found)
    refuse_where(
        xr.DataArray(parts[3]).isnull(),
        lambda: (
            "no row of the reference in Q_range has elastic intensity in all of E_range"
        ),
        fix="widen Q_range, or narrow E_range",
        error=RangeError,
    )
    return tuple(parts)


def _elastic_bins(signal: Signal, E_range: Any) -> tuple[xr.Variable, float, float]:
    """Return which bins of E are elastic, and from where to where they reach."""
    lower, upper = bin_limits(signal.source, "E")
    if E_range is None:
        found = elastic_line_bins(signal.value["E"].values, line_profile(signal))
        assert found is not None  # line_profile has refused data without a line
        chosen = np.zeros(lower.size, dtype=bool)
        chosen[found[1] : found[2] + 1] = True
    else:
        chosen = select_range(signal.source, "E", E_range, name="E_range")
        low, high = lower[chosen][0], upper[chosen][-1]
        if not low <= 0 <= high:
            raise RangeError(
                f"E_range, {low:g} to {high:g} {signal.value['E'].attrs['units']}, "
                "must contain E = 0, the elastic line",
                fix="E_range=('-2 meV', '2 meV')",
            )
    return xr.Variable("E", chosen), lower[chosen][0], upper[chosen][-1]


def _widths(signal: Signal, dim: str) -> xr.Variable:
    lower, upper = bin_limits(signal.source, dim)
    return xr.Variable(dim, upper - lower)


def _lost(
    signal: Signal, inelastic: Any, steps: xr.Variable, elastic: Any, kept: Any
) -> tuple[xr.Variable, list[Diagnostic]]:
    """Return the fraction of the inelastic intensity in the line over Q, and of all."""
    value = signal.value
    std = None if signal.std is None else std_along(signal.std, "Q")
    slope, error = (
        part.variable
        for part in over_spectra(
            inelastic_slope, value, std, core=("Q", "E"), gives=[("E",), ("E",)],
            Q=value["Q"].values, widths=_widths(signal, "Q").values,
            steps=steps.values, elastic=elastic.values,
        )
    )  # fmt: skip
    # Bins without counts or errors far from the line would add noise alone.
    trust: Any = steps if std is None else steps / (error**2).where(error > 0)
    used = ~elastic & np.isfinite(slope) & np.isfinite(inelastic)
    if std is not None:
        used = used & (error > 0)
    sums: list[Any] = [
        (trust * part).where(used, 0.0).sum("E") for part in (inelastic, slope)
    ]
    taken, all_ = sums
    Q2: Any = xr.Variable("Q", value["Q"].values.astype(float)) ** 2
    seen: Any = (Q2 > 0) & kept.any("E")
    ratio: Any = taken / all_.where(all_ > 0)
    lost: Any = (ratio / Q2.where(Q2 > 0)).where(seen)
    lost.attrs = {
        "units": "1",
        "long_name": "part of the inelastic intensity subtracted with the elastic line",
    }
    if is_lazy(lost) or lost.ndim > 1:
        return lost, []
    here = {"E": np.flatnonzero(elastic.values)}
    total = (value.variable.isel(here) * steps.isel(here)).sum("E", skipna=False)
    by_Q: Any = np.fmax(total, 0.0) * Q2
    text = (
        f"{percent(float((lost * by_Q).sum() / by_Q.sum()))} of the inelastic "
        "intensity was subtracted with the elastic line"
    )
    return lost, [Diagnostic("inelastic_lost", "info", text)]


def _independence(
    grid: xr.DataArray, each: Any, shared: Any, size: Any, dim: str
) -> xr.Variable | None:
    """Return f along a dimension, of errors of each bin and of one that goes as `size`.

    That of all bins together is right, and that of a part of them not too small.
    """
    if not is_lazy(shared) and not bool((shared > 0).any()):
        return None
    weight = np.fmax(size, 1e-12 * size.max())
    std = xr.DataArray(each**0.5)
    return difference_independence(grid, std, xr.DataArray(0.0), shared, dim, weight)
