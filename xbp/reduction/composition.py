"""What neutrons see of a chemical composition: effective mass and cross section."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.units import magnitude
from xbp.reduction.scattering_lengths import scatterer, table_entry

__all__ = [
    "Atoms",
    "atoms_of",
    "effective_mass",
    "mass_of",
    "mean_scattering_lengths",
    "numbers_of",
    "resolve_mass",
]

_PART = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")


class Atoms(NamedTuple):
    """The atoms of one element in a composition.

    How many, their mass in u, σ in barn and coherent b in fm.
    """

    number: float
    mass: float
    sigma: float
    b: complex


def effective_mass(
    composition: str | Mapping[str, float], *, b: Mapping[str, Any] | None = None
) -> xr.DataArray:
    r"""Return the mass that makes one phonon spectrum of a compound's, as neutrons see it.

    .. math:: M = \frac{\sum_i c_i\sigma_i}{\sum_i c_i\sigma_i/M_i}, \quad \sigma_i =
    4\pi |b_i|^2 + \sigma_{inc,i}

    Parameters
    ----------
    composition : str or mapping of str to float
        ``"Zr46Cu46Al8"`` or ``{"Zr": 46, "Cu": 46, "Al": 8}``, in atoms; D for
        deuterium.
    b : mapping of symbol to number, optional
        Coherent scattering lengths (bare: fm; complex where they are), where the
        tabulated ones do not hold; a pair with the incoherent cross section (bare:
        barn), which else is the tabulated one.

    Returns
    -------
    xarray.DataArray
        M in u, a scalar.

    Raises
    ------
    QuantityError
        If the composition cannot be read, the table has no cross section of an element,
        or its b depends on the energy or is complex (Gd, Sm, Eu, Cd, …) and is not
        given.
    MissingDependencyError
        Without periodictable, the extra `neutron`.

    References
    ----------
    V. F. Sears, Neutron News 3(3), 26 (1992), as periodictable tabulates and updates
    it.

    Examples
    --------
    >>> round(float(effective_mass("Zr46Cu46Al8")), 2)
    71.31
    """
    atoms = atoms_of(composition, b).values()
    value = sum(a.number * a.sigma for a in atoms) / sum(
        a.number * a.sigma / a.mass for a in atoms
    )
    return xr.DataArray(value, attrs={"units": "u", "long_name": "effective mass"})


def mean_scattering_lengths(
    composition: str | Mapping[str, float], b: Mapping[str, Any] | None = None
) -> tuple[float, float]:
    """Return |⟨b⟩|² and ⟨|b|²⟩ of the coherent scattering lengths, fm².

    Parameters
    ----------
    composition, b
        As for `effective_mass`.

    Raises
    ------
    QuantityError, MissingDependencyError
        As for `effective_mass`.

    Examples
    --------
    >>> [round(value, 3) for value in mean_scattering_lengths("SiO2")]
    [27.591, 28.198]
    """
    atoms = atoms_of(composition, b).values()
    number = sum(a.number for a in atoms)
    mean, square = (
        sum(a.number * a.b for a in atoms) / number,
        sum(a.number * abs(a.b) ** 2 for a in atoms) / number,
    )
    return abs(mean) ** 2, square


def atoms_of(
    composition: str | Mapping[str, float], b: Mapping[str, Any] | None = None
) -> dict[str, Atoms]:
    """Return the atoms of each element; `b` as for `scatterer`."""
    found = {}
    for symbol, count in numbers_of(composition).items():
        entry = scatterer(
            symbol,
            b,
            instead="b_mean_squared='0.28 barn' or mass='26.98 u' for composition=",
        )
        found[symbol] = Atoms(count, entry.mass, entry.sigma, entry.b)
    return found


def mass_of(composition: str | Mapping[str, float]) -> float:
    """Return the mean mass of an atom, u."""
    numbers = numbers_of(composition)
    return sum(
        count * float(table_entry(s).mass) for s, count in numbers.items()
    ) / sum(numbers.values())


def numbers_of(composition: str | Mapping[str, float]) -> dict[str, float]:
    """Return the number of atoms of each element, without looking any of them up."""
    text = composition.replace(" ", "") if isinstance(composition, str) else ""
    if text and _PART.sub("", text) == "":
        numbers: dict[str, float] = {}
        for symbol, count in _PART.findall(text):
            numbers[symbol] = numbers.get(symbol, 0.0) + float(count or 1)
    elif isinstance(composition, Mapping) and composition:
        numbers = {
            str(symbol): magnitude(count, "1", name=str(symbol))
            for symbol, count in composition.items()
        }
    else:
        numbers = {}
    if not numbers or min(numbers.values()) <= 0:
        raise QuantityError(
            f"composition={composition!r} cannot be read",
            reason="it is element symbols, each followed by its number of atoms",
            fix="composition='Zr46Cu46Al8', or {'Zr': 46, 'Cu': 46, 'Al': 8}",
        )
    return numbers


def resolve_mass(
    mass: Any, composition: str | Mapping[str, float] | None
) -> float | None:
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
        raise QuantityError(
            f"mass is {value:g} u", reason="atoms have mass", fix="mass='50.94 u'"
        )
    return value
