"""What neutrons see of a chemical composition: effective mass and cross section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.errors import QuantityError
from xbp.optional import require
from xbp.units import magnitude

__all__ = ["atoms_of", "effective_mass", "resolve_mass"]

_PART = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


def effective_mass(composition: str | Mapping[str, float]) -> xr.DataArray:
    r"""Return the mass that makes one phonon spectrum of a compound's, as neutrons see it.

    .. math:: M = \frac{\sum_i c_i\sigma_i}{\sum_i c_i\sigma_i/M_i}, \quad \sigma_i = 4\pi b_i^2 + \sigma_{inc,i}

    Parameters
    ----------
    composition : str or mapping of str to float
        ``"Zr46Cu46Al8"`` or ``{"Zr": 46, "Cu": 46, "Al": 8}``, in atoms; D for deuterium.

    Returns
    -------
    xarray.DataArray
        M in u, a scalar.

    Raises
    ------
    QuantityError
        If the composition cannot be read, or the table has no cross section of an element.
    MissingDependencyError
        Without periodictable, the extra `neutron`.

    References
    ----------
    V. F. Sears, Neutron News 3(3), 26 (1992), as periodictable tabulates and updates it.

    Examples
    --------
    >>> round(float(effective_mass("Zr46Cu46Al8")), 2)
    71.31
    """
    atoms = atoms_of(composition)
    counts, mass, sigma = (np.array(column) for column in zip(*atoms.values(), strict=True))
    value = (counts * sigma).sum() / (counts * sigma / mass).sum()
    return xr.DataArray(value, attrs={"units": "u", "long_name": "effective mass"})


def atoms_of(composition: str | Mapping[str, float]) -> dict[str, tuple[float, float, float]]:
    """Return the number of atoms, the mass (u) and the scattering cross section (barn) of each element."""
    text = composition.replace(" ", "") if isinstance(composition, str) else ""
    if text and _PART.sub("", text) == "":
        numbers: dict[str, float] = {}
        for symbol, count in _PART.findall(text):
            numbers[symbol] = numbers.get(symbol, 0.0) + float(count or 1)
    elif isinstance(composition, Mapping) and composition:
        numbers = {str(symbol): magnitude(count, "1", name=str(symbol)) for symbol, count in composition.items()}
    else:
        numbers = {}
    if not numbers or min(numbers.values()) <= 0:
        raise QuantityError(
            f"composition={composition!r} cannot be read",
            reason="it is element symbols, each followed by its number of atoms",
            fix="composition='Zr46Cu46Al8', or {'Zr': 46, 'Cu': 46, 'Al': 8}",
        )
    periodictable = require(
        "periodictable", "masses and cross sections are looked up in it", "neutron", "mass='26.98 u' for composition="
    )
    found = {}
    for symbol, count in numbers.items():
        try:
            entry: Any = periodictable.elements.isotope(symbol)
        except ValueError:
            entry = None
        neutron = getattr(entry, "neutron", None)
        if neutron is None or neutron.b_c is None or neutron.incoherent is None:
            raise QuantityError(
                f"'{symbol}' of composition={composition!r} has no neutron cross section",
                reason="it is no element, or none was measured",
                fix="give the mass itself, mass='72.3 u'",
            )
        # b in fm; 100 fm² are one barn.
        sigma = 4 * np.pi * float(np.real(neutron.b_c)) ** 2 / 100 + float(neutron.incoherent)
        found[symbol] = (count, float(entry.mass), sigma)
    return found


def resolve_mass(mass: Any, composition: str | Mapping[str, float] | None) -> float | None:
    """Return the mass in u that was given one way or the other; None where neither was.

    Raises
    ------
    QuantityError
        If both are given, or the mass is not positive.
    """
    if mass is not None and composition is not None:
        raise QuantityError(
            f"mass={mass!r} and composition={composition!r} are both given",
            reason="the one follows from the other",
            fix="leave one of them out",
        )
    if composition is not None:
        return float(effective_mass(composition))
    if mass is None:
        return None
    value = magnitude(mass, "u", name="mass")
    if value <= 0:
        raise QuantityError(f"mass is {value:g} u", reason="atoms have mass", fix="mass='50.94 u'")
    return value
