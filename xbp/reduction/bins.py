"""Cuts, rebinning, the mask of the elastic line and the zero of E."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import along
from xbp.core.data import (
    Data,
    is_lazy,
    require_dims,
    require_finite,
    require_inside,
    require_values,
)
from xbp.core.errors import QuantityError, RangeError, shown
from xbp.core.grid import bin_limits, interval, is_pair, overlap, rebinned
from xbp.core.guards import (
    choose,
    not_used,
    require_fraction,
    require_given,
    require_positive,
)
from xbp.core.numbers import span
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import magnitude
from xbp.reduction.comparable import measured
from xbp.reduction.new_bins import (
    bins_text,
    covered,
    dominant_bin,
    new_edges,
    partial_bins,
    where,
)

__all__ = ["cut_E", "cut_Q", "mask_elastic", "rebin", "shift_E"]


@operation(
    takes="signal",
    over="E",
    step=20,
    suggested=(
        "dynamic_structure_factor",
        "generalized_dos",
        "reduced_dos",
        "normalized_fluctuation_spectrum",
        "fluctuation_spectrum",
    ),
)
@carries_common_errors(linear=True)
def cut_E(data: Data, E: Any, width: Any = None) -> Data:
    """Cut at constant energy: the mean over an interval of E.

    m = Σ wᵢ xᵢ / Σ wᵢ with wᵢ the overlap of bin and interval; NaN bins are left out
    and σ² = Σ wᵢ² σᵢ²/fᵢ / (Σ wᵢ)². fᵢ is the part of an independent bin that each bin
    represents (coordinate ``E_independence``): 1, except for bins that share counts, as
    after `rebin`. Where bins are left out, the means along the curve are over different
    parts of the interval; ``coverage`` is that part.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    E : scalar with units, pair of them, or array over leftover dimensions
        Centre of the interval, with `width`; or its two limits. Bare numbers are in the
        units of the coordinate; frequencies and wavenumbers convert. An array, such as
        ``peak.energy`` over samples, cuts each at its own energy.
    width : scalar with units, optional
        Full width of the interval, where `E` is its centre.

    Returns
    -------
    same type as `data`
        Without the dimension E, which stays as a scalar coordinate (in a Dataset with
        its bounds). Where part of the interval is NaN, a Dataset has ``coverage``, the
        part of it with numbers, at every point.

    Raises
    ------
    RangeError
        If the interval reaches beyond the data, is empty, or has nothing but NaN (dask
        arrays are not computed here: NaN instead).

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> cut = B.bp.cut_E("3 meV", width="0.5 meV")
    >>> list(cut.B.dims), float(cut.E)
    (['Q'], 3.0)
    """
    return _cut(data, "E", E, width)


@operation(
    takes="signal",
    over="Q",
    step=21,
    suggested=(
        "dynamic_structure_factor",
        "generalized_dos",
        "reduced_dos",
        "current_spectrum",
        "fluctuation_spectrum",
    ),
)
@carries_common_errors(linear=True)
def cut_Q(data: Data, Q: Any, width: Any = None) -> Data:
    """Cut at constant momentum transfer: the mean over an interval of Q.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over Q.
    Q, width
        As `E` and `width` of `cut_E`.

    Returns
    -------
    same type as `data`
        Without the dimension Q, which stays as a scalar coordinate (in a Dataset with
        its bounds), and with ``coverage`` as from `cut_E`.

    Raises
    ------
    RangeError
        As for `cut_E`.

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> B.bp.cut_Q(("2.1 1/angstrom", "8.5 1/angstrom")).B.dims
    ('E',)
    """
    return _cut(data, "Q", Q, width)


def _cut(data: Data, dim: Literal["E", "Q"], where: Any, width: Any) -> Data:
    signal = read(data)
    value = signal.value
    require_dims(value, dim, f"cut_{dim}")
    own = value.coords.variables[dim].attrs
    lower, upper = bin_limits(signal.source, dim)
    low, high = _limits(signal, dim, where, width)
    leftover: tuple[Any, ...] = low.dims
    ends = float(low.values.min()), float(high.values.max())
    name: str = dim
    fix: dict[str, str] = {}
    if width is not None:
        name = f"{dim} with width={shown(width)}"
        fix = {"fix": f"limits are {dim}=(low, high)"}
    require_inside(ends, (lower[0], upper[-1]), name, own["units"], **fix)
    each = overlap(lower, upper, low.values[..., None], high.values[..., None])
    weights = xr.Variable((*leftover, dim), each)
    mean, std, coords = rebinned(value, signal.std, weights, dim)
    if not is_lazy(mean) and np.isnan(mean.data).all():
        where = f"{ends[0]:g} to {ends[1]:g} {own['units']}"
        raise RangeError(f"all data at {dim} = {where} are NaN")
    coords[dim] = xr.Variable(low.dims, (low + high).data / 2, own)
    mean = mean.transpose(*[d for d in value.dims if d != dim])
    doubts = dominant_bin(value[dim], signal.std, weights)
    answer: Data = signal.answer(
        mean,
        std,
        grid=coords,
        operation=f"cut_{dim}",
        attrs=measured(signal, mean) | diagnosed(value.attrs, *doubts),
        arguments={dim: [f"{end:.10g} {own['units']}" for end in ends]},
        bounds={dim: (low.data, high.data)},
    )
    if isinstance(answer, xr.Dataset):
        if "coverage" in answer:
            answer = answer.drop_vars("coverage")
        if is_lazy(value) or not np.isfinite(value.data).all():
            part = covered(value, weights, dim)
            _add_coverage(answer, part, str(value.name), dim)
    return answer


def _add_coverage(answer: xr.Dataset, part: xr.Variable, name: str, dim: str) -> None:
    """Add the part of the interval that has numbers, if it is not all of it."""
    lazy = is_lazy(part)
    if not lazy and float(part.min()) >= 1 - 1e-9:
        return
    part = part.transpose(*answer[name].dims)
    text = f"part of the interval of {dim} with numbers"
    part.attrs = {"units": "1", "long_name": text}
    answer["coverage"] = part
    seen: Any = part  # points of which nothing was measured are means of nothing
    least = 1.0 if lazy else float(seen.where(seen > 0).min())
    if least < 0.9995:
        most, over = float(part.max()), " and ".join(map(str, part.dims))
        uneven = most - least > 1e-9  # a mean of other Q at other E
        rest = f", and not the same part at every {over}" * uneven
        text = (
            f"the data cover {100 * least:.3g} to {100 * most:.3g} % of the interval "
            f"of {dim}{rest} (data.coverage)"
        )
        kind: Any = "warning" if uneven else "info"
        doubt = Diagnostic("partial_coverage", kind, text, "narrow the interval")
        answer[name].attrs |= diagnosed(answer[name].attrs, doubt)


def _limits(
    signal: Signal, dim: str, where: Any, width: Any
) -> tuple[xr.Variable, xr.Variable]:
    """Return the limits of an interval, in the units of the coordinate."""
    value = signal.value
    units = value.coords.variables[dim].attrs["units"]
    array = isinstance(where, xr.DataArray)
    if isinstance(where, slice) or (not array and is_pair(where)):
        not_used(f"{dim} is an interval", width=width)
        low, high = interval(where, signal.source, dim, name=dim)
        return xr.Variable((), low), xr.Variable((), high)
    require_given(f"width='0.5 {units}', or {dim}=(low, high)", width=width)
    half = require_positive(width, "width", units, energy=dim == "E") / 2
    centre = along(value, where, dim, units, energy=dim == "E")
    require_finite(centre.values, dim, error=RangeError)
    if dim in centre.dims:
        raise RangeError(
            f"{dim}= is an array over '{dim}', along which the data are cut",
            fix=f"{dim}= one value, or one for each place along another dimension",
        )
    return centre - half, centre + half


@operation(takes="signal")
@carries_common_errors(linear=True)
def rebin(
    data: Data,
    E: Any = None,
    Q: Any = None,
    *,
    given: Literal["edges", "centres"] = "edges",
    least_coverage: float = 0.0,
) -> Data:
    """Bring a signal onto coarser or other bins, keeping its integral.

    Each new bin is the mean of the old ones weighted by overlap, so that ∫ over any
    interval between new edges is kept. Where old bins are NaN the mean is over what was
    measured, and NaN where nothing was. Beside a mask it is then that of the far part
    of the bin, which on the flank of a line or a peak is another number: a diagnostic
    counts such bins, and `least_coverage` leaves them out. Each new bin has the
    standard deviation of its own mean. New bins that share an old one are correlated:
    ``E_independence`` (``Q_independence``) is the part of an independent bin that each
    represents, with which cuts, fits and further rebins have the same errors as without
    this step.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E and/or Q.
    E, Q : scalar or 1-D array with units, optional
        A scalar is the new bin width, counted from the lowest edge of the data; an
        array (list, pint quantity or DataArray; bare numbers are in the units of the
        coordinate) gives the bins.
    given : {"edges", "centres"}
        What an array gives; edges between centres are halfway.
    least_coverage : float
        Part of a new bin, from 0 to 1, that must have numbers for it to have one; 1:
        bins that reach into a mask are NaN.

    Returns
    -------
    same type as `data`
        On the new bins; a Dataset keeps their edges as CF bounds.

    Raises
    ------
    RangeError
        If the new bins are not ascending or reach beyond the data.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> S.bp.rebin(Q="0.5 1/angstrom").sizes["Q"]
    16
    """
    if E is None and Q is None:
        raise RangeError("neither E= nor Q= is given", fix="data.bp.rebin(E='0.5 meV')")
    choose(given, ("edges", "centres"), "given", error=RangeError)
    least = require_fraction(least_coverage, "least_coverage")
    signal = read(data)
    value, std = signal.value, signal.std
    arguments: dict[str, Any] = {"least_coverage": least} if least else {}
    bounds: dict[str, Any] = {}
    doubts: list[Diagnostic] = []
    for dim, bins in (("E", E), ("Q", Q)):
        if bins is None:
            continue
        require_dims(value, dim, "rebin")
        own, order = value.coords.variables[dim].attrs, value.dims
        lower, upper = bin_limits(signal.source, dim)
        edges = new_edges(dim, bins, given, lower, upper, own["units"])
        ends = edges[0], edges[-1]
        require_inside(ends, (lower[0], upper[-1]), dim, own["units"])
        low: np.ndarray = edges[:-1]
        high: np.ndarray = edges[1:]
        bounds[dim] = low, high
        each = overlap(lower, upper, low[:, None], high[:, None])
        weights = xr.Variable(("_new", dim), each)
        mean, new_std, coords = rebinned(value, std, weights, dim, upper - lower)
        lazy = is_lazy(value)
        if least if lazy else not np.isfinite(value.data).all():
            part = covered(value, weights, dim).transpose(*mean.dims)
            kept = part.data >= least - 1e-9
            mean, part = where(mean, kept), where(part, kept)
            new_std = None if new_std is None else where(new_std, kept)
            doubts += partial_bins(part, dim)
        coords[dim] = xr.Variable(dim, (low + high) / 2, own)
        value = xr.DataArray(mean.transpose(*order), coords=coords, name=value.name)
        if new_std is not None:
            std = value.copy(data=new_std.transpose(*order).data)
        arguments[dim] = bins_text(edges, own["units"])
    answer: Data = signal.answer(
        value,
        std,
        operation="rebin",
        arguments=arguments,
        attrs=measured(signal, value) | diagnosed(signal.value.attrs, *doubts),
        bounds=bounds,
    )
    return answer


@operation(takes="signal", over="E", step=25, suggested="dynamic_structure_factor")
@carries_common_errors(linear=True)
def mask_elastic(
    data: Data, resolution: Any, widths: float = 2.0, *, centre: Any = 0.0
) -> Data:
    """Mask the elastic line: bins within some resolution widths of it become NaN.

    Every bin that overlaps −widths·FWHM < E − centre < widths·FWHM is masked, and no
    later step extends the spectrum into the mask. Of a Gaussian line 1.9 % is further
    than one FWHM from its centre, and 2 in 10⁶ further than two; real lines have wings.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    resolution : scalar with units, or DataArray
        Full width at half maximum (FWHM) of the line (bare: the unit of E); an array
        over E, Q, detectors or any other dimension of the data, on its grid.
    widths : float
        Number of FWHM to each side.
    centre : scalar with units, or DataArray, optional
        Position of the line, if not at 0 (bare: the unit of E); an array as for the
        resolution. `fit_elastic_line` gives both: ``data.bp.mask_elastic(line.fwhm,
        centre=line.energy)``.

    Returns
    -------
    same type as `data`
        With NaN in the mask, in the values and their standard deviations, and with the
        resolution as the coordinate ``resolution_fwhm``, unless they have one, or it is
        over E.

    Raises
    ------
    QuantityError
        If the resolution or the centre is over a dimension that the data do not have,
        or NaN somewhere, or the resolution or `widths` is not positive.
    RangeError
        If nothing would be masked, or nothing left.
    UnitsError
        If the resolution or the centre is not an energy.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line([1.0], np.arange(-3.0, 4.0),
    ...     u2="0.01 angstrom^2", resolution="0.9 meV")
    >>> line.S.bp.mask_elastic("0.9 meV", widths=1).dropna("E").E.values
    array([-3., -2.,  2.,  3.])
    """
    signal = read(data)
    value = signal.value
    require_dims(value, "E", "the elastic line", fix="mask it before the cut")
    units = value["E"].attrs["units"]
    fwhm, at = (
        along(value, given, name, units, energy=True)
        for name, given in (("resolution", resolution), ("centre", centre))
    )
    require_finite(at.values, "the centre")
    require_finite(fwhm.values, "the resolution")
    require_values(fwhm, "the resolution", units, above=0, error=QuantityError)
    half = fwhm * require_positive(widths, "widths", error=QuantityError)
    low, high = bin_limits(signal.source, "E")
    lower, upper = (xr.Variable("E", limit) - at for limit in (low, high))
    # An edge that equals that of the mask but for rounding does not overlap it.
    slack = 1e-9 * float((upper - lower).min())
    masked = (lower < half - slack) & (upper > slack - half)
    if masked.all() or not masked.any():
        raise RangeError(
            f"the mask, {span(at, units)} ± {float(half.max()):g} {units}, "
            f"covers {'everything' if masked.all() else 'nothing'}; the bins are from "
            f"{low[0]:g} to {high[-1]:g} {units}",
            fix="check the resolution and its units",
        )

    def mask(part: xr.DataArray) -> xr.Variable:
        own: Any = part.variable
        kept: xr.Variable = own.where(~masked)
        return kept

    stated: dict[str, xr.Variable] = {}
    if "resolution_fwhm" not in value.coords and "E" not in fwhm.dims:
        long_name = COORDINATES["resolution_fwhm"][1]
        labels = {"units": units, "long_name": long_name}
        stated["resolution_fwhm"] = xr.Variable(fwhm.dims, fwhm.data, labels)
    answer: Data = signal.answer(
        *signal.both(mask),
        operation="mask_elastic",
        coords=stated,
        arguments={
            "resolution": f"{span(fwhm, units)} FWHM",
            "widths": widths,
            "centre": span(at, units),
        },
    )
    return answer


@operation(takes="signal")
@carries_common_errors(linear=True)
def shift_E(data: Data, by: Any) -> Data:
    """Move E = 0: subtract one energy from E and the bounds of its bins.

    For measured spectra whose elastic line is not at 0, before anything is derived from
    them. Values stay in their bins. Q, which depends on E too, stays as well, as do
    factors such as kᵢ/k_f: shift spectra at angles before `angle_to_Q` if the shift is
    not small beside the incident energy.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), S(E), or spectra at angles, as measured.
    by : scalar with units
        What is subtracted from E, such as the energy of `fit_elastic_line` (bare: the
        unit of E).

    Returns
    -------
    same type as `data`
        With E and its bounds, if any, moved; companions on the old E are left out.

    Raises
    ------
    QuantityError
        If the data are derived, as G and B are, or were folded or corrected with E = 0
        where it was (they have ``attrs["energy_zero"]``); or `by` is one for each Q: a
        grid has one E.
    UnitsError
        If `by` is not an energy.
    RangeError
        If it is outside the data.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line([1.0], np.arange(-3.0, 4.0),
    ...     u2="0.01 angstrom^2", resolution="2 meV")
    >>> line.bp.shift_E("0.5 meV").E.values
    array([-3.5, -2.5, -1.5, -0.5,  0.5,  1.5,  2.5])
    """
    signal = read(data)
    value = signal.value
    require_dims(value, "E", "a shift of E", fix="shift before E is cut or integrated")
    measured = signal.quantity.name in ("dynamic_structure_factor", "detector_spectra")
    zero = value.attrs.get("energy_zero", "used to derive it")
    if not measured or "energy_zero" in value.attrs:
        raise QuantityError(
            f"E of '{value.name}' cannot be shifted: E = 0 was {zero}",
            fix="shift E of the measured S(Q,E)",
        )
    E, units = value["E"], value["E"].attrs["units"]
    distance = magnitude(by, units, name="by", energy=True)
    lower, upper = bin_limits(signal.source, "E")
    require_inside((distance, distance), (lower[0], upper[-1]), "by", units)
    moved = {"E": ("E", E.values - distance, E.attrs)}
    bounded = E.attrs.get("bounds", "E_bnds") in signal.source.coords
    answer: Data = signal.answer(
        *signal.both(lambda part: part.assign_coords(moved)),
        operation="shift_E",
        arguments={"by": f"{distance:.10g} {units}"},
        bounds={"E": (lower - distance, upper - distance)} if bounded else {},
    )
    return answer
