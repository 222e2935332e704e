"""The numbers of the boson peaks of many spectra, without their labels."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from xbp.analysis.checks import modes_below
from xbp.analysis.sides import edges_of, judge_sides, peak_ranges, sides_are_fitted
from xbp.analysis.simulated import BoxLimits, excess_over, judge_maximum
from xbp.core.independence import merged_bins, width_of_merged
from xbp.core.status import Status, statuses
from xbp.core.threads import in_threads
from xbp.fitting.peak import fit_shape, numbers_of
from xbp.fitting.sampled import sampled_std
from xbp.fitting.shapes import SHAPES, Method

__all__ = ["EXCESS", "columns_of", "fit_spectra"]

# Spectra that are treated at once, which need some 50 arrays of their size.
_CHUNK = 1000

#: Columns about the excess of a simulated spectrum, with their long names.
EXCESS = (
    ("excess_energy", "", "energy where the data are highest"),
    ("excess", "1", "largest ratio to the Debye level"),
    ("excess_std", "", ""),
    ("excess_low", "", "lowest energy of the excess"),
    ("excess_high", "", "highest energy of the excess"),
)


def columns_of(method: Method) -> tuple[str, ...]:
    """Return the columns of `fit_spectra`; the last two are those of `edges_of`."""
    return (*numbers_of(method), "modes_below", "edge", "edge_energy")


def fit_spectra(
    B: np.ndarray,
    std: np.ndarray,
    box: np.ndarray,
    sound: np.ndarray,
    part: np.ndarray,
    covered: np.ndarray,
    fwhm: np.ndarray,
    n_modes: np.ndarray,
    *,
    E: np.ndarray,
    half: np.ndarray,
    inside: np.ndarray,
    dimension: int,
    area: float,
    **how: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit spectra (…, k): `columns_of`, the statuses, and `EXCESS`."""
    arrays = [np.asarray(a) for a in (B, std, part, covered)]
    outer = np.broadcast_shapes(
        *(a.shape[:-1] for a in arrays), *map(np.shape, (box, sound, fwhm, n_modes))
    )
    # Counts and single precision are fitted as any other numbers.
    rows, known, parts, seen = (
        np.broadcast_to(a, (*outer, E.size)).reshape(-1, E.size).astype(float)
        for a in arrays
    )
    boxes, sounds, widths, modes = (
        np.broadcast_to(a, outer).ravel() for a in (box, sound, fwhm, n_modes)
    )
    parts, mean, std_of, _ = merged_bins(parts, rows, inside)
    E, inside, rows, seen = mean(E), mean(inside) > 0.5, mean(rows), mean(seen)
    known = std_of(known)
    # Bins that were put together are as wide as all of them.
    half = width_of_merged(half, mean, std_of)
    sampled = (modes > 0).any()
    if sampled:
        known = sampled_std(E, rows, known, modes, dimension - 1, area)
    every = (rows, known, parts, seen, boxes, sounds, widths)
    fit_piece = functools.partial(
        _fit_rows, known=bool(np.ndim(std) or sampled), E=E, half=half, inside=inside,
        dimension=dimension, **how,
    )  # fmt: skip
    pieces = in_threads(
        lambda i: fit_piece(*(a[i : i + _CHUNK] for a in every)),
        range(0, max(len(rows), 1), _CHUNK),
    )
    numbers, status, excess = map(np.concatenate, zip(*pieces, strict=True))
    return (
        numbers.reshape(*outer, -1),
        statuses(status).reshape(outer),
        excess.reshape(*outer, len(EXCESS)),
    )


def _fit_rows(
    rows: np.ndarray,
    std: np.ndarray,
    parts: np.ndarray,
    seen: np.ndarray,
    boxes: np.ndarray,
    sounds: np.ndarray,
    widths: np.ndarray,
    *,
    known: bool,
    E: np.ndarray,
    half: np.ndarray,
    inside: np.ndarray,
    dimension: int,
    method: Method,
    highest: float,
    chosen_range: bool,
    limits: BoxLimits,
    reach: float,
    edge_width: float,
    filter_end: float,
    simulated: bool,
    level: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Do what `_fit_spectra` does for rows (m, k) of independent bins."""
    given = std if known else None
    errors: Any = std if known else [None] * len(rows)
    floors = np.nan_to_num(boxes)[:, None]
    sought = np.broadcast_to(inside, rows.shape)
    chosen = sought.copy()
    nearest = 1 + limits.box_margin
    if not chosen_range:
        sought = inside & (floors * nearest <= E) & (highest >= E)
        low, high = peak_ranges(E, rows, given, sought, SHAPES[method].depth)
        with np.errstate(invalid="ignore"):
            further = ((high / low) ** ((reach - 1) / 2))[:, None]
            begins, ends = low[:, None] / further, high[:, None] * further
            chosen = sought & (begins <= E) & (ends >= E)
    numbers, status = fit_shape(E, rows, given, chosen, method, parts, half)
    none = (np.isfinite(rows) & sought).any(axis=1) & ~chosen.any(axis=1)
    status[none] = Status.NO_MAXIMUM.code
    before = status.copy()
    names = numbers_of(method)
    column = dict(zip(names, numbers.T, strict=True))
    ok = Status.OK.code
    if simulated:
        # The same without the bins of the box's phonon.
        above = chosen & (floors < E)
        again, of_again = numbers, status
        if (above != chosen).any():
            again, of_again = fit_shape(E, rows, given, above, method, parts, half)
        second = dict(zip(names, again.T, strict=True))
        for i in np.flatnonzero(status == ok).tolist():
            first, other = (
                (one["energy"][i], one["energy_std"][i]) for one in (column, second)
            )
            other = other if of_again[i] == ok else (np.nan, np.nan)
            status[i] = judge_maximum(
                E, rows[i], errors[i], first, other, boxes[i], widths[i],
                column["high"][i], limits,
            ).code  # fmt: skip
    near = column["energy"] < nearest * boxes
    status[(status == ok) & near] = Status.BOX_PHONON.code
    doubtful = status == ok
    if method == "lognormal" and filter_end == 0:
        doubtful &= ~sides_are_fitted(
            E, chosen & np.isfinite(rows), column, edge_width, known=known
        )
    some = np.flatnonzero(doubtful)
    if some.size:
        status[some] = judge_sides(
            E,
            rows[some],
            std[some] if known else None,
            column["energy"][some],
            column["low"][some],
            column["high"][some],
            edge_width,
            filter_end,
        )
    status[(status == ok) & sounds] = Status.LONGITUDINAL.code
    numbers[status != before, :-3] = np.nan
    seen = np.where(seen >= 0.5, rows, np.nan)
    below = modes_below(seen, column["energy"], E=E, dimension=dimension)
    at_edge = np.flatnonzero(status == Status.AT_EDGE.code)
    edges = np.full((len(rows), 2), np.nan)
    edges[at_edge] = edges_of(
        E,
        rows[at_edge],
        column["low"][at_edge],
        column["high"][at_edge],
        edge_width,
    )
    excess = np.full((len(rows), len(EXCESS)), np.nan)
    for i in range(len(rows)) if simulated or not np.isnan(level) else ():
        row = np.where(inside, rows[i], np.nan)
        excess[i] = excess_over(
            E, row, errors[i], level, boxes[i], widths[i], highest, limits
        )
    return np.column_stack([numbers, below, edges]), status, excess
