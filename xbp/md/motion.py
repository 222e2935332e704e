"""Motion of the centre of mass and of the cell, removed in one place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy

from xbp.core.diagnostic import Diagnostic, diagnosed

__all__ = [
    "AFFINE",
    "cell_rate",
    "contains_affine",
    "motion_attrs",
    "motion_of_centre",
    "resting_hops",
]

#: What was done about the motion of the cell, by whether velocities contain it.
AFFINE = {True: "taken off", False: "not in the velocities", None: "unknown"}


def resting_hops(
    hops: np.ndarray, share: np.ndarray, reach: float = 0.45
) -> tuple[np.ndarray, np.ndarray]:
    r"""Split displacements between frames into the centre of mass's and the rest.

    .. math:: \mathbf c = \sum_j m_j \Delta\mathbf s_j \Big/ \sum_j m_j

    Parameters
    ----------
    hops : numpy.ndarray, shape (n, 3, n_atoms)
        Displacements in units of the cell vectors, wrapped or not: every atom goes to
        its nearest image in the frame of the centre of mass, which may itself move by
        any part of the cell.
    share : numpy.ndarray, shape (n_atoms,)
        Masses, of sum 1.
    reach : float
        Displacements in that frame beyond which the nearest image may be another than
        the one that the atom went to.

    Returns
    -------
    hops : numpy.ndarray, shape (n, 3, n_atoms)
        In the frame of the centre of mass.
    centre : numpy.ndarray, shape (n, 3)
        Of it; NaN where atoms move further than `reach`, so that it is not known.

    Examples
    --------
    >>> hops = np.array([[[0.30, -0.68]] * 3])
    >>> hops, centre = resting_hops(hops, np.array([0.5, 0.5]))
    >>> centre[0].round(3), hops[0, 0].round(3)
    (array([0.31, 0.31, 0.31]), array([-0.01,  0.01]))
    """
    hops = hops - np.round(hops)
    about = np.zeros((*hops.shape[:2], 1))
    if np.abs(hops).max(initial=0.0) > reach / 2:
        # The mean angle knows no faces.
        about = np.angle(np.exp(2j * np.pi * hops) @ share)[..., None] / (2 * np.pi)
        hops -= about
        hops -= np.round(hops)
    centre = (hops @ share)[..., None]
    known = np.abs(hops).max(axis=(1, 2), initial=0.0) <= reach
    hops -= centre
    return hops, np.where(known[:, None], (about + centre)[..., 0], np.nan)


def motion_of_centre(scaled: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the displacement of the centre of mass since the first frame, in cells."""
    n_frames, _, n_atoms = scaled.shape
    centre = np.zeros((n_frames, 3))
    chunk = max(1, 2**18 // (3 * n_atoms))  # they stay in the processor's cache
    for first in range(0, n_frames - 1, chunk):
        part = scaled[first : first + chunk + 1]
        centre[first + 1 : first + len(part)] = resting_hops(
            np.diff(part, axis=0), share
        )[1]
    return np.asarray(np.cumsum(centre, axis=0))


def cell_rate(cell: np.ndarray, time: np.ndarray) -> np.ndarray | None:
    """Return the rate of the cell vectors, Å/ps, (n_frames, 3, 3); None if constant."""
    if (
        cell.ndim == 2
        or len(cell) < 3
        or np.ptp(cell, axis=0).max() <= 1e-9 * np.abs(cell).max()
    ):
        return None
    return np.asarray(scipy.interpolate.CubicSpline(time, cell, axis=0)(time, 1))


def contains_affine(
    velocity: np.ndarray,
    affine: np.ndarray,
    share: np.ndarray,
    *,
    uncertainty: float = 0.2,
) -> bool | None:
    r"""Return whether velocities contain the motion of the cell.

    .. math:: \alpha = \sum_j m_j \mathbf v_j\cdot\mathbf a_j \Big/ \sum_j m_j a_j^2

    Parameters
    ----------
    velocity, affine : numpy.ndarray, shape (n_frames, 3, n_atoms)
        v and a.
    share : numpy.ndarray, shape (n_atoms,)
        Masses, of any sum.
    uncertainty : float
        Standard deviation of α beyond which thermal motion hides the affine one.

    Returns
    -------
    bool or None
        Whether α is nearer to 1 than to 0; None where it is too uncertain.
    """
    along = np.einsum("tcj,tcj->tj", velocity, affine) * share
    square = float(np.einsum("tcj,tcj,j->", affine, affine, share))
    alpha = float(along.sum()) / square
    # The scatter of atoms and frames about the affine motion.
    rest = along - alpha * np.einsum("tcj,tcj->tj", affine, affine) * share
    return alpha > 0.5 if np.sqrt((rest**2).sum()) / square <= uncertainty else None


def motion_attrs(
    drift: np.ndarray,
    window: float,
    affine: str | None,
    attrs: Mapping[str, Any] = {},
    *,
    least: float = 0.1,
) -> dict[str, str]:
    """Record what was done about the motion of centre of mass and cell.

    Parameters
    ----------
    drift : numpy.ndarray, shape (3,)
        Mean velocity of the centre of mass, Å/ps; NaN where it is not known.
    window : float
        Time over which motion is seen, ps.
    affine : str or None
        What was done about the motion of the cell; None where it does not move.
    attrs : mapping
        Which may hold diagnostics already.
    least : float
        Å; a drift by less within the window is taken off without a word.

    Returns
    -------
    dict
        Attributes to set: ``center_of_mass`` and ``affine_motion``, and what is to be
        known.
    """
    doubts = []
    way = float(np.linalg.norm(drift)) * window
    known = bool(np.isfinite(way))
    if not known:
        doubts.append(
            Diagnostic(
                "drift_unknown",
                "warning",
                "atoms move by half the cell between frames: the centre-of-mass "
                "motion is unknown and was not removed",
                "write frames more often",
            )
        )
    elif way > least:
        doubts.append(
            Diagnostic(
                "drift",
                "info",
                f"the centre of mass moves {way:.3g} angstrom in "
                f"{window:.4g} ps; the drift was removed",
            )
        )
    if affine == AFFINE[None]:
        doubts.append(
            Diagnostic(
                "affine_motion",
                "warning",
                "the cell changes; thermal motion hides whether the velocities include "
                "this, so it was not removed",
                "simulate at constant volume",
            )
        )
    found = {} if affine is None else {"affine_motion": affine}
    found["center_of_mass"] = "at rest" if known else "as in the trajectory"
    return {**found, **diagnosed(attrs, *doubts)}
