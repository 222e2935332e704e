"""Planes of atoms: trajectories in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from xbp.core.errors import QuantityError
from xbp.core.guards import choose

__all__ = [
    "Dimension",
    "Frame",
    "dimension_attribute",
    "images_along",
    "require_in_plane",
]

Dimension = Literal[2, 3]
#: Positions and velocities of the atoms, shape (..., n_atoms, 3); without, None.
Frame = tuple[Any, Any]
#: What single precision rounds, relative to what it rounds.
_ROUNDING: Final = 1e-6


def dimension_attribute(ends: Sequence[Frame], given: Any = None) -> dict[str, int]:
    """Return ``attrs["dimension"]`` as given, or 2 if the atoms are in a plane.

    They are if in the first and the last frame all have one z and no v_z, and differ in
    x and in y.

    Parameters
    ----------
    ends : sequence of Frame
        The first and the last frame; none if they are not known.
    given : {2, 3}, optional

    Raises
    ------
    QuantityError
        If 2 is given and z moves.

    Examples
    --------
    >>> triangle = np.array([[0.0, 0, 5], [1, 0, 5], [0, 1, 5]])
    >>> dimension_attribute([(triangle, None)]), dimension_attribute([(triangle, 0.1
    ...     + triangle)]), dimension_attribute([(triangle[:2], None)])
    ({'dimension': 2}, {}, {})
    """
    if given is not None:
        given = choose(given, Dimension, "dimension")
        for frame, which in zip(ends, ("first", "last"), strict=False):
            if given == 2:
                require_in_plane(*frame, f"the {which} frame")
        return {"dimension": given}
    flat = bool(ends) and all(_is_flat(*frame) for frame in ends)
    wide = (np.ptp(np.asarray(r, float), axis=0)[:2].min() > 0 for r, _ in ends)
    flat = flat and all(wide)
    return {"dimension": 2} if flat else {}


def images_along(cell: np.ndarray, dimension: int) -> np.ndarray:
    """Return along which cell vectors atoms have images: not across a plane.

    Examples
    --------
    >>> images_along(np.diag([8.0, 8.0, 0.2]), 2).tolist()
    [True, True, False]
    """
    across = np.abs(cell[:, 2]).argmax()
    return np.asarray((np.arange(3) != across) | (dimension == 3))


def _is_flat(position: Any, velocity: Any) -> bool:
    """Whether atoms have one z and no v_z, but for rounding; None is not looked at."""
    flat = True
    if position is not None:
        spread = np.ptp(np.asarray(position, dtype=float), axis=-2)
        flat = bool((spread[..., 2] <= _ROUNDING * spread.max(axis=-1)).all())
    if velocity is not None:
        speed = np.abs(np.asarray(velocity))
        flat &= bool(speed[..., 2].max() <= _ROUNDING * speed.max())
    return flat


def require_in_plane(position: Any, velocity: Any, frame: str) -> None:
    """Refuse frames of a plane whose atoms leave it.

    Raises
    ------
    QuantityError
        If they differ in z, or have a v_z.
    """
    if not _is_flat(position, velocity):
        raise QuantityError(
            f"dimension=2, but atoms leave their plane in {frame}",
            fix="dimension=3, also for a rippled sheet",
        )
