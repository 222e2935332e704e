"""Imaginary modes of a density of states.

Energies below zero, which are left out of g(E).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.grid import bin_limits
from xbp.core.signal import Signal

__all__ = ["imaginary_modes", "real_modes"]


def imaginary_modes(
    value: xr.DataArray, source: xr.DataArray | xr.Dataset
) -> Diagnostic | None:
    """Report the fraction of a g(E) at E < 0, where lattice dynamics puts imaginary modes; None if there is none.

    Parameters
    ----------
    value : xarray.DataArray
        g(E), over E and any further dimensions.
    source : xarray.DataArray or xarray.Dataset
        What holds the bounds of E, where there are.

    Returns
    -------
    Diagnostic or None

    Examples
    --------
    >>> import xbp
    >>> g = xbp.new_dataset("vibrational_dos", [1.0, 2.0, 5.0], units="1/meV", coords={"E": ([-1.0, 1.0, 3.0], "meV")})
    >>> print(imaginary_modes(g.g, g).message)
    12.5 % of the modes of g(E) are imaginary (E < 0, down to -1 meV) and left out
    """
    if "E" not in value.dims:
        return None
    E = value["E"].values
    below = E < 0
    if not below.any() or below.all():
        return None
    told = "the modes of g(E) at E < 0 are imaginary"
    # What dask holds is not computed to be told.
    if value.chunks is None:
        lower, upper = bin_limits(source, "E")
        numbers = np.nan_to_num(value.transpose(..., "E").values).reshape(
            -1, E.size
        ).sum(axis=0) * (upper - lower)
        if not numbers[below].any():
            return None
        part = numbers[below].sum() / numbers.sum() if numbers.sum() else float("nan")
        lowest = E[below][np.flatnonzero(numbers[below])[0]]
        told = f"{100 * part:.3g} % of the modes of g(E) are imaginary"
        told += f" (E < 0, down to {lowest:.4g} {value['E'].attrs['units']})"
    return Diagnostic(
        "imaginary_modes",
        "warning",
        f"{told} and left out",
        "relax the structure, or converge the force constants: the remaining modes "
        "are not all those of a stable solid",
    )


def real_modes(signal: Signal) -> Signal:
    """Return a g(E) without its energies below zero, with a diagnostic.

    Any other quantity unchanged.

    Parameters
    ----------
    signal : Signal
        Of any quantity.

    Returns
    -------
    Signal

    Examples
    --------
    >>> import xbp
    >>> from xbp.core.signal import read
    >>> g = xbp.new_dataset("vibrational_dos", [1.0, 2.0, 5.0], units="1/meV", coords={"E": ([-1.0, 1.0, 3.0], "meV")})
    >>> real_modes(read(g)).value.E.values
    array([1., 3.])
    """
    value = signal.value
    if signal.quantity.name != "vibrational_dos" or "E" not in value.dims:
        return signal
    E = value["E"].values
    if E.dtype.kind not in "fiu" or not (E < 0).any() or (E < 0).all():
        return signal
    found = imaginary_modes(value, signal.source)
    kept: Any = {"E": E >= 0}
    out = value.isel(kept)
    if found is not None:
        out.attrs = {**value.attrs, **diagnosed(value.attrs, found)}
    std = None if signal.std is None else signal.std.isel(kept)
    source: Any = (
        signal.source.isel(kept) if "E" in signal.source.dims else signal.source
    )
    source = (
        source.assign({str(value.name): out}) if isinstance(source, xr.Dataset) else out
    )
    return dataclasses.replace(signal, value=out, std=std, source=source)
