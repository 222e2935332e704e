"""S(2θ,E) → S(Q,E), by the exact overlap of curved cells and bins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import FIXED_ENERGY, resolve, resolve_fixed_energy
from xbp.core.data import Data, is_lazy, require_dims, require_values
from xbp.core.errors import CoordinateError, require
from xbp.core.grid import bin_limits
from xbp.core.guards import choose, require_positive
from xbp.core.independence import collapsed, independence_name, independence_variable
from xbp.core.operation import operation
from xbp.core.schema import labels, per_unit
from xbp.core.signal import read
from xbp.core.threads import in_threads
from xbp.reduction.curves import Curves
from xbp.reduction.kinematics import (
    detector_degrees,
    energy_text,
    momentum_transfer,
)
from xbp.reduction.momenta import (
    UNREACHABLE,
    KiOverKf,
    Limits,
    Spectra,
    flux_ratio,
    flux_state,
    with_right_axis,
)
from xbp.reduction.new_bins import bins_text, is_width, new_edges
from xbp.reduction.sign import REVERSED_BELOW, SIGNIFICANCE

__all__ = ["angle_to_Q"]

Variance = Literal["exact", "shared"]


@operation(
    takes="detector_spectra",
    gives="dynamic_structure_factor",
    step=1,
    needs=("two_theta", "fixed_energy", "ki_over_kf"),
)
@carries_common_errors(linear=True)
def angle_to_Q(
    data: Data,
    Q: Any,
    *,
    incident_energy: Any = None,
    final_energy: Any = None,
    angle_width: Any = "neighbors",
    ki_over_kf: KiOverKf | None = None,
    variance: Variance = "exact",
    reversed_below: float | None = REVERSED_BELOW,
    unreachable: float = UNREACHABLE,
    significance: float = SIGNIFICANCE,
) -> Data:
    """Bring spectra of detectors onto bins of Q, weighted by exact overlap.

    Each detector covers a range of 2θ, and with a bin of E a cell in the (Q, E) plane
    between the curves Q² = kᵢ² + k_f² − 2 kᵢ k_f cos 2θ of its two limits, kᵢ² = k_f² +
    E/2.0721 with kᵢ fixed (direct geometry) or k_f fixed (indirect geometry). A bin of
    Q and E becomes the mean

        S(Q, E) = Σ_c a_c S_c / Σ_c a_c,   a_c the area that cell c and the bin share,

    which is exact for the curved cells, so that Σ S(Q,E) Σ_c a_c = Σ_c S_c A_c wherever
    the bins cover the cells. Bins of E stay as they are. Masked cells are left out;
    bins that no cell reaches, and those beyond the kinematic limits, are NaN.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``S(detector, E)`` with the coordinate ``two_theta`` over the detectors, as
        `open_dataset` gives it. Dask arrays are worked on chunk by chunk of detectors.
    Q : scalar or 1-D array with units
        Width of the bins, from Q = 0 on as far as the data reach; or their edges. Bare
        numbers are in 1/angstrom.
    incident_energy, final_energy : scalar with units, optional
        The energy that the instrument fixes, where the data do not carry it: of the
        incident neutrons (direct geometry) or of the scattered ones (indirect); a bare
        number is in meV. Data may carry one energy for each detector.
    angle_width : {"neighbors", "detector"} or scalar with units
        How far in 2θ a detector reaches: halfway to the next angles on both sides; its
        own ``two_theta_width`` about ``two_theta``; or one width for all (bare:
        degrees). Widths in files are of no use if several detectors were added up.
    ki_over_kf : {"applied", "not applied"}, optional
        Whether the data were multiplied by kᵢ/k_f, if they do not record it. If not,
        they are multiplied, at the centre of each bin of E.
    variance : {"exact", "shared"}
        "exact": σ² = Σ a_c² σ_c²/(Σ a_c)², right for each bin; neighbors that share a
        cell are correlated, and ``Q_independence`` is the part of an independent bin
        that each represents, so that cuts and fits over Q have the right errors too.
        "shared": σ² = Σ a_c A_c σ_c²/(Σ a_c)², A_c the whole cell: the sum over all
        bins keeps the total variance, while a single bin is too uncertain.
    reversed_below : float, optional
        As for `to_gdos`, if the data have T: the asymmetry of gain and loss at the same
        Q is compared with detailed balance, for both signs of E, since Q depends on it.
        The axis is reversed if the factor is below this, or if the other sign describes
        both sides better. None: no check.
    unreachable : float
        Largest part of the inelastic counts where the fixed energy allows no neutrons.
    significance : float
        Standard deviations by which either is exceeded in data that are refused.

    Returns
    -------
    same type as `data`
        ``S(Q, E)``, with the bins of Q as CF bounds in a Dataset,
        ``attrs["ki_over_kf"]`` "applied".

    Raises
    ------
    CoordinateError
        If the angles or the fixed energy are missing or contradictory, E has the other
        sign, or there are counts where the fixed energy allows no neutrons.
    RangeError
        If the bins are not ascending or not positive.
    QuantityError
        If the data are not S(2θ,E), or do not record whether kᵢ/k_f was applied.

    References
    ----------
    Mantid's SofQWNormalisedPolygon does the same with straight-sided quadrilaterals: O.
    Arnold et al., Nucl. Instrum. Methods A 764, 156 (2014),
    doi:10.1016/j.nima.2014.07.029.

    Examples
    --------
    >>> import numpy as np
    >>> import xbp
    >>> flat = xbp.new_dataset(
    ...     "detector_spectra", np.ones((3, 4)), units="1/meV", statistics="quantum",
    ...     coords={"detector": ([1, 2, 3], "1"), "E": ([0.5, 1.5, 2.5, 3.5], "meV")})
    >>> angles = ("detector", [30.0, 60.0, 90.0], {"units": "degree"})
    >>> flat = flat.assign_coords(two_theta=angles)
    >>> S = angle_to_Q(flat, 1, incident_energy="20 meV", ki_over_kf="applied").S
    >>> S.sel(E=0.5).values
    array([1., 1., 1., 1., 1.])
    """
    signal = read(data, "detector_spectra")
    value = signal.value
    choose(variance, Variance, "variance")
    applied = flux_state(value, ki_over_kf)
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    require_dims(value, ("detector", "E"), "angle_to_Q", error=CoordinateError)
    kelvin = resolve(value, "temperature") if "temperature" in value.coords else None
    limits = Limits.of(reversed_below, unreachable, significance)
    spectra = Spectra.of(signal, geometry, fixed)
    signal = with_right_axis(signal, spectra, applied, kelvin, limits)
    value = signal.value
    lower, upper = bin_limits(signal.source, "E")
    e_edges = np.append(lower, upper[-1]) * per_unit(value, "E")
    gaps = np.abs(lower[1:] - upper[:-1])
    if (gaps > 1e-9 * (upper - lower).min()).any():
        raise CoordinateError(
            "the bins of E have gaps", fix="drop wrong bounds: data.drop_vars('E_bnds')"
        )
    angles = _angle_limits(value, angle_width)
    each = np.broadcast_to(fixed.values, (value.sizes["detector"],))
    angles = np.where(np.isfinite(each), angles, np.nan)
    known = np.isfinite(angles).all(axis=0)
    if not known.any():
        raise CoordinateError("no detector has both an angle and an energy")
    energies, widest = np.unique(each[known]), angles[1][known].max()
    q_edges = _edges(Q, _highest_Q(e_edges, energies, widest, geometry))
    centres = (e_edges[1:] + e_edges[:-1]) / 2
    lead: list[str] = [str(d) for d in value.dims if d not in ("detector", "E")]
    # Q is symmetric in k_i and k_f: indirect geometry is direct geometry with the sign
    # of E turned.
    turn = slice(None, None, 1 if geometry == "direct" else -1)
    value, std = signal.both(lambda part: part.transpose(*lead, "detector", "E"))
    sums: Any = 0.0
    for one in energies:
        # One energy for all, mostly; else the detectors of each.
        some = slice(None) if energies.size == 1 else np.flatnonzero(each == one)
        mine = {"detector": some, "E": turn}
        ratio = flux_ratio(centres, float(one), geometry)
        part = overlap_sums(
            value.isel(mine),
            None if std is None else std.isel(mine),
            angles[:, some],
            e_edges if geometry == "direct" else -e_edges[::-1],
            float(one),
            q_edges,
            (ratio if applied == "not applied" else np.ones(centres.size))[turn],
        )
        sums = sums + part[..., turn]
    # Slivers are rounding.
    area = np.diff(q_edges)[:, np.newaxis] * np.diff(e_edges)
    total = np.where(sums[1] > 1e-9 * area, sums[1], np.nan)
    own = value.coords.variables
    coords = {str(n): c for n, c in own.items() if "detector" not in c.dims}
    coords |= collapsed(value, "detector")
    name = FIXED_ENERGY[geometry]
    if energies.size == 1:
        coords.setdefault(name, xr.Variable((), energies[0], labels(name)))
    coords["Q"] = xr.Variable("Q", (q_edges[1:] + q_edges[:-1]) / 2, labels("Q"))
    answer = xr.DataArray(
        sums[0] / total, dims=(*lead, "Q", "E"), coords=coords, name=value.name
    )
    if variance == "exact":
        # A bin that cells fill in part counts as a whole one in means over Q.
        held = np.where(sums[3] > 0, sums[2] / np.where(sums[3] > 0, sums[3], 1.0), 1.0)
        held = np.fmin(held * area / total, 1.0)
        f = independence_variable(answer.dims, held, "Q")
        answer = answer.assign_coords({independence_name("Q"): f})
    out_std = None
    if std is not None:
        spread = np.sqrt(sums[2 if variance == "exact" else 3]) / total
        out_std = answer.copy(data=spread)
    out: Data = signal.answer(
        answer,
        out_std,
        operation="angle_to_Q",
        arguments={
            "Q": bins_text(q_edges, "1/angstrom"),
            name: energy_text(energies),
            "angle_width": str(angle_width),
            "ki_over_kf": ki_over_kf,
            "variance": variance,
        },
        quantity="dynamic_structure_factor",
        attrs={"ki_over_kf": "applied", "geometry": geometry},
        bounds={"Q": (q_edges[:-1], q_edges[1:])},
    )
    return out


def _highest_Q(
    E: np.ndarray, energies: np.ndarray, widest: float, geometry: str
) -> float:
    """Return the largest Q: at the highest k_i or k_f, or where other neutrons stop."""
    stop = -1.0 if geometry == "indirect" else 1.0
    highest = 0.0
    for one in energies:
        reached = stop * np.minimum(stop * E, one)
        Q = momentum_transfer(reached, one, widest, geometry)
        highest = max(highest, float(np.nanmax(Q)))
    return highest


def _angle_limits(value: xr.DataArray, angle_width: Any) -> np.ndarray:
    """Return the limits of each detector in 2θ, (2, n_detector), in degrees."""
    angles = detector_degrees(value, "two_theta")
    if isinstance(angle_width, str) and angle_width == "neighbors":
        distinct = np.unique(angles[np.isfinite(angles)])
        if distinct.size < 2:
            raise CoordinateError(
                f"the width needs two different angles, not {distinct.size}",
                fix="angle_width='1 degree', or 'detector'",
            )
        middle = (distinct[1:] + distinct[:-1]) / 2
        first, last = 2 * distinct[0] - middle[0], 2 * distinct[-1] - middle[-1]
        edges = np.concatenate([[first], middle, [last]])
        at = np.minimum(np.searchsorted(distinct, angles), distinct.size - 1)
        limits = np.where(
            np.isfinite(angles), np.stack([edges[at], edges[at + 1]]), np.nan
        )
        return np.clip(limits, 0.0, 180.0)
    width: Any
    if isinstance(angle_width, str) and angle_width == "detector":
        width = detector_degrees(value, "two_theta_width")
    else:
        width = require_positive(
            angle_width, "angle_width", "degree", error=CoordinateError
        )
    wide = np.broadcast_to(width, angles.shape)[~np.isnan(angles)]
    require_values(wide, "the width in 2θ", "degrees", above=0, error=CoordinateError)
    limits = np.stack([angles - width / 2, angles + width / 2])
    return np.clip(limits, 0.0, 180.0)


def _edges(Q: Any, reach: float) -> np.ndarray:
    """Return the edges of bins of Q: as given, or of one width from 0 on."""
    if is_width(Q):
        width = require_positive(Q, "Q", "1/angstrom")
        # As many whole bins as hold the data.
        reach, Q = np.ceil(reach / width) * width, f"{width!r} 1/angstrom"
    edges = new_edges("Q", Q, "edges", np.zeros(1), np.array([reach]), "1/angstrom")
    require_values(edges, "Q", "1/angstrom", least=0)
    return edges


def overlap_sums(
    value: xr.DataArray,
    std: xr.DataArray | None,
    limits: np.ndarray,
    e_edges: np.ndarray,
    ei: float,
    q_edges: np.ndarray,
    factor: np.ndarray,
) -> Any:
    """Sum over the cells that reach into each bin of Q and E, by the area shared.

    Parameters
    ----------
    value, std : xarray.DataArray, dims (..., detector, E)
        Spectra, and their standard deviations where these are known.
    limits : numpy.ndarray, shape (2, n_detector)
        The limits of each detector in 2θ, in degrees; NaN where it has no place.
    e_edges : numpy.ndarray, shape (n_E + 1,)
        Edges of the bins of E, in meV.
    ei : float
        Incident energy in meV.
    q_edges : numpy.ndarray, shape (n_Q + 1,)
        Edges of the bins of Q, in 1/angstrom.
    factor : numpy.ndarray, shape (n_E,)
        What every spectrum is multiplied by.

    Returns
    -------
    array, shape (4, ..., n_Q, n_E)
        Σ aS, Σ a, and of cells of the area A the variances Σ a²σ² of Σ aS, and Σ aAσ²,
        which is what sums over many bins are to be given; σ = 1 where it is not known.
        Of dask arrays lazily, chunk by chunk.
    """
    geometry = (e_edges, ei, q_edges, factor)
    if not is_lazy(value):
        errors = None if std is None else std.values
        return _add_up(value.values, errors, limits, *geometry)
    why = "read spectra in chunks"
    dask, array = (require(name, why, "md") for name in ("dask", "dask.array"))
    blocks = value.chunk({d: -1 for d in value.dims if d != "detector"}).data
    stds = None
    if std is not None:
        chunks = dict(zip(value.dims, blocks.chunks, strict=True))
        stds = std.chunk(chunks).data
    shape = (4, *value.shape[:-2], q_edges.size - 1, e_edges.size - 1)
    parts = []
    first = 0
    for size in blocks.chunks[-2]:
        here = (..., slice(first, first + size), slice(None))
        part = dask.delayed(_add_up)(
            blocks[here],
            None if stds is None else stds[here],
            limits[:, first : first + size],
            *geometry,
        )
        parts.append(array.from_delayed(part, shape, dtype=float))
        first += size
    return array.stack(parts).sum(axis=0, split_every=4)


def _add_up(
    values: np.ndarray,
    std: np.ndarray | None,
    limits: np.ndarray,
    e_edges: np.ndarray,
    ei: float,
    q_edges: np.ndarray,
    factor: np.ndarray,
) -> np.ndarray:
    n_detector, n_e = values.shape[-2:]
    lead, n_q = values.shape[:-2], q_edges.size - 1
    flat = values.reshape(-1, n_detector, n_e)
    sigmas = None if std is None else std.reshape(flat.shape)
    placed = np.isfinite(limits).all(axis=0)[:, np.newaxis]
    out = np.zeros((4, flat.shape[0], n_q, n_e))
    angles, inverse = np.unique(np.where(placed.T, limits, 0.0), return_inverse=True)
    # A dozen arrays of 50 000 cells keep to the cache.
    step = max(1, 50_000 // n_detector)

    def add_up_block(first: int) -> None:
        block = slice(first, min(first + step, n_e))
        n_bins = n_q * (block.stop - first)
        scaled = flat[..., block] * factor[block]
        sigma = None if sigmas is None else sigmas[..., block] * factor[block]
        seen = np.isfinite(scaled).any(axis=0) & placed
        sums = np.zeros((4, flat.shape[0], n_bins))
        for cell, bin_, area, cell_area in _overlaps(
            Curves(angles, e_edges[first : block.stop + 1], ei),
            inverse.reshape(limits.shape),
            q_edges,
            seen,
        ):
            for i in range(flat.shape[0]):
                numbers = scaled[i].reshape(-1).take(cell)
                whole = np.isfinite(numbers)
                weight = np.where(whole, area, 0.0)
                spread = weight
                if sigma is not None:
                    errors = np.where(whole, sigma[i].reshape(-1).take(cell), 0.0)
                    spread = weight * errors**2
                for total, part in zip(
                    sums[:, i],
                    (
                        weight * np.where(whole, numbers, 0.0),
                        weight,
                        area * spread,
                        cell_area * spread,
                    ),
                    strict=True,
                ):
                    total += np.bincount(bin_, part, n_bins)
        out[..., block] = sums.reshape(4, -1, n_q, block.stop - first)

    in_threads(add_up_block, range(0, n_e, step))
    return out.reshape(4, *lead, n_q, n_e)


def _overlaps(
    curves: Curves, limits: np.ndarray, q_edges: np.ndarray, seen: np.ndarray
) -> Iterator[tuple[Any, ...]]:
    """Yield cells, the bins of (Q, E) they reach into, shared areas, areas of cells.

    Each time, every cell moves on by one bin of Q, except those that end there.
    `limits` are the two curves of each detector, (2, n_detector).
    """
    n_e, n_q = curves.width.size, q_edges.size - 1
    cell = np.flatnonzero(seen & (curves.width > 0))
    detector, energy = np.divmod(cell, n_e)
    low, high = limits[0][detector] * n_e + energy, limits[1][detector] * n_e + energy
    cell_area = curves.whole.take(high) - curves.whole.take(low)
    q = np.maximum(
        np.searchsorted(q_edges, curves.lowest.take(low), side="right") - 1, 0
    )
    last = np.minimum(
        np.searchsorted(q_edges, curves.highest.take(high), side="left"), n_q
    )
    inside = q < last
    cell, energy, low, high, q, last, cell_area = (
        a[inside] for a in (cell, energy, low, high, q, last, cell_area)
    )
    before = curves.beneath(q_edges[q], low, high, cell_area)
    while cell.size:
        up_to = curves.beneath(q_edges[q + 1], low, high, cell_area)
        yield cell, q * n_e + energy, np.maximum(up_to - before, 0.0), cell_area
        more = np.flatnonzero(q + 1 < last)
        cell, energy, low, high, q, last, cell_area, before = (
            a.take(more)
            for a in (cell, energy, low, high, q + 1, last, cell_area, up_to)
        )
