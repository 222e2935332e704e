"""Lazily read frames and what is known of the atoms, put in the data model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.optional import require
from xbp.md.labels import positive
from xbp.md.lazy import Found
from xbp.md.models import new_trajectory
from xbp.md.weights import atomic_mass

__all__ = ["CHUNK_BYTES", "assemble", "element_of_mass", "masses_of"]

#: Positions and velocities of a chunk take about this much memory.
CHUNK_BYTES = 8 * 2**20


def element_of_mass(mass: float, *, within: float = 0.05) -> str | None:
    """Return the element whose mass this is to `within` u.

    None where there is none, or more than one.

    Examples
    --------
    >>> element_of_mass(63.55), element_of_mass(100.0)
    ('Cu', None)
    """
    elements = require(
        "periodictable", "masses are looked up in it", "neutron"
    ).elements
    found = [
        e.symbol
        for e in elements
        if e.number > 0 and abs(float(e.mass) - mass) <= within
    ]
    return found[0] if len(found) == 1 else None


def masses_of(
    path: Path,
    element: np.ndarray,
    given: Mapping[str, Any] | None,
    known: np.ndarray | None,
    *,
    tolerance: float = 0.25,
) -> np.ndarray:
    """Return the mass of every atom.

    As given for its symbol, else as in the file, else the element's.

    Parameters
    ----------
    path : Path
    element : numpy.ndarray of str, shape (n_atoms,)
    given : mapping of symbol to scalar with units, optional
        Bare: u.
    known : numpy.ndarray, shape (n_atoms,), or None
        Of the file, u; 0 or NaN where it has none.
    tolerance : float
        Relative; masses in the file that differ more from those of the elements
        contradict them.

    Raises
    ------
    QuantityError
        If masses and elements contradict, or a mass is not known.

    Examples
    --------
    >>> masses_of(Path("a"), np.array(["Cu", "Zr"]), None, np.array([0.0, 91.0])).round(1).tolist()
    [63.5, 91.0]
    """
    symbols, index = np.unique(element, return_inverse=True)
    unknown = [name for name in given or {} if name not in symbols]
    if unknown:
        raise QuantityError(
            f"masses= names {unknown[0]!r}",
            reason=f"the elements of {path} are {', '.join(symbols)}",
            fix="use these names, as in elements=",
        )
    by_symbol = {
        s: positive(given[s], "u", f"mass of {s}")
        for s in symbols.tolist()
        if given and s in given
    }
    own = (
        np.full(element.size, np.nan)
        if known is None
        else np.asarray(known, dtype=float)
    )
    own = np.where(np.isfinite(own) & (own > 0), own, np.nan)
    mass = np.empty(element.size)
    for number, symbol in enumerate(symbols.tolist()):
        atoms = index == number
        if symbol in by_symbol:
            mass[atoms] = by_symbol[symbol]
            continue
        try:
            standard = atomic_mass(symbol)
        except QuantityError as error:
            # A name of the user's own; its mass must be in the file.
            if np.isnan(own[atoms]).any():
                raise QuantityError(
                    error.summary,
                    reason=f"{path} uses this name for an atom, and gives no mass for "
                    "it",
                    fix=error.fix,
                ) from None
            standard = None
        here = own[atoms]
        if standard is not None:
            wrong = np.abs(here - standard) > tolerance * standard
            if wrong.any():
                raise QuantityError(
                    f"the mass of {symbol} in {path} is {here[wrong][0]:g} u, but the "
                    f"element has {standard:g} u",
                    reason="elements and masses contradict each other",
                    fix=f"correct elements=, or masses={{'{symbol}': "
                    f"'{here[wrong][0]:g} u'}} if it is right",
                )
            here = np.where(np.isnan(here), standard, here)
        mass[atoms] = here
    return mass


def assemble(found: Found, mass: np.ndarray, chunk_frames: int | None) -> xr.Dataset:
    """Put lazily read frames in the data model."""
    lazy, cells = found.lazy, found.cells
    per_frame = lazy.n_atoms * 24 * (2 if lazy.has_velocity else 1)
    position, velocity = lazy.arrays(chunk_frames or max(1, CHUNK_BYTES // per_frame))
    constant = np.allclose(cells, cells[0], rtol=1e-9, atol=0)
    ds = new_trajectory(
        position, time=found.time, cell=cells[0] if constant else cells, velocity=velocity,
        element=found.element, mass=mass,
    )  # fmt: skip
    if found.periodic is not None:
        ds.attrs["periodic"] = found.periodic
    return ds
