"""What is known of a sample: composition, scattering lengths, mass, density, S(Q)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.conditions import dimension_of, resolve
from xbp.core.data import require_finite
from xbp.core.errors import QuantityError, XbpError, require, shown
from xbp.core.guards import (
    at_most_one,
    require_agreement,
    require_given,
    require_mass,
    require_number,
    require_positive,
)
from xbp.core.signal import Signal
from xbp.core.units import magnitude, parse_unit, split_quantity

__all__ = [
    "SAMPLE_LABELS",
    "Atoms",
    "Scatterer",
    "atoms_of",
    "coherent_part",
    "effective_mass",
    "mass_of",
    "mass_or_u2",
    "mean_scattering_lengths",
    "moles_of",
    "numbers_of",
    "resolve_mass",
    "sample_attribute",
    "sample_density",
    "sample_labels",
    "sample_mass",
    "scatterer",
    "table_entry",
]

#: Attributes that identify a sample.
SAMPLE_LABELS: Final = ("composition", "sample", "sample_name", "source")


class Scatterer(NamedTuple):
    """Bound coherent b in fm, incoherent cross section in barn, mass in u."""

    b: complex
    incoherent: float
    mass: float

    @property
    def sigma(self) -> float:
        """Whole scattering cross section 4π|b|² + σ_inc, barn (100 fm²)."""
        return 4 * np.pi * abs(self.b) ** 2 / 100 + self.incoherent


class Atoms(NamedTuple):
    """The atoms of one element: number, mass in u, σ in barn and coherent b in fm."""

    number: float
    mass: float
    sigma: float
    b: complex


def scatterer(
    symbol: str,
    b: Mapping[str, Any] | None = None,
    *,
    imaginary: float = 0.01,
    variation: float = 0.1,
    instead: str = "",
) -> Scatterer:
    """Look up the neutron scattering length, cross section and mass of an element.

    Parameters
    ----------
    symbol : str
        An element of natural abundance, or an isotope as ``"D"`` or ``"58-Ni"``.
    b : mapping of symbol to number, optional
        Coherent scattering lengths (bare: fm; may be complex) in place of the tabulated
        ones; or pairs of one and the incoherent cross section (bare: barn), which is
        tabulated otherwise.
    imaginary : float
        Largest share of (Im b)² in |b|² that is neglected: boron has 0.2 %.
    variation : float
        Largest change of |b|² between 5 and 100 meV, relative to its mean, that is
        neglected.
    instead : str
        What else a caller could give, for messages.

    Returns
    -------
    Scatterer

    Raises
    ------
    QuantityError
        If it is not an element, has no tabulated value, or b is complex or depends on
        the energy and is not given.
    MissingDependencyError
        Without periodictable, the extra `neutron`.

    References
    ----------
    V. F. Sears, Neutron News 3(3), 26 (1992); J. E. Lynn & P. A. Seeger, At. Data Nucl.
    Data Tables 44, 191 (1990), as periodictable tabulates them.

    Examples
    --------
    >>> found = scatterer("Zr")
    >>> found.b, round(found.sigma, 2)
    (7.16, 6.46)
    """
    entry = table_entry(symbol, instead)
    neutron: Any = getattr(entry, "neutron", None)
    known = neutron is not None and None not in (neutron.b_c, neutron.incoherent)
    ask = f"b={{'{symbol}': (b in fm, incoherent cross section in barn)}}"
    ask += f", or {instead}" if instead else ""
    given = None if b is None else b.get(symbol)
    length, incoherent = (None, None) if given is None else _lengths(symbol, given)
    if not known and (length is None or incoherent is None):
        what = "scattering length" if length is None else "incoherent cross section"
        raise QuantityError(
            f"periodictable has no neutron {what} for '{symbol}'", fix=ask
        )
    if incoherent is None:
        incoherent = float(neutron.incoherent)
    if length is None:
        length = complex(neutron.b_c_complex)
        share = length.imag**2 / max(abs(length) ** 2, 1e-300)
        resonant = neutron.is_energy_dependent or _variation(neutron) > variation
        if resonant or share > imaginary:
            raise QuantityError(
                f"the scattering length of '{symbol}' depends on the neutron energy or "
                f"is complex ({length.real:.4g}{length.imag:+.4g}i fm at 25 meV)",
                fix=ask,
            )
        length = float(np.real(neutron.b_c))
    return Scatterer(length, incoherent, float(entry.mass))


def _lengths(symbol: str, value: Any) -> tuple[complex, float | None]:
    """Read b, or a pair of b and σ_inc."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    first, incoherent = value if is_pair else (value, None)
    name = f"b of '{symbol}'"
    if incoherent is not None:
        incoherent = require_number(
            incoherent, name, "barn", least=0, error=QuantityError
        )
    if not isinstance(first, complex | np.complexfloating):
        return magnitude(first, "fm", name=name), incoherent
    require_finite([first.real, first.imag], name)
    return complex(first) if first.imag else float(first.real), incoherent


def _variation(neutron: Any) -> float:
    """Return the change of a tabulated |b|² from 5 to 100 meV, relative to its mean."""
    if neutron.nsf_table is None:
        return 0.0
    # 81.804 meV Å² is h²/2m.
    wavelengths = np.sqrt(81.804 / np.geomspace(5.0, 100.0, 25))
    square = np.abs(np.asarray(neutron.scattering_by_wavelength(wavelengths)[0])) ** 2
    return float(np.ptp(square) / square.mean())


def table_entry(symbol: str, instead: str = "") -> Any:
    """Return the row of an element or isotope in periodictable.

    Raises
    ------
    QuantityError
        If it is not an element.
    MissingDependencyError
        Without periodictable; it names what to give `instead`.
    """
    periodictable = require(
        "periodictable", "look up masses and scattering lengths", "neutron",
        instead,
    )  # fmt: skip
    try:
        return periodictable.elements.isotope(symbol)
    except ValueError:
        raise QuantityError(
            f"'{symbol}' is not an element",
            fix="elements={1: 'Zr', …} or masses={'A': '40 u'} when opening; "
            "weights='unit' for spectra of a model glass",
        ) from None


def effective_mass(
    composition: str | Mapping[str, float], *, b: Mapping[str, Any] | None = None
) -> xr.DataArray:
    r"""Return the mass that makes one phonon spectrum of a compound's, for neutrons.

    .. math:: M = \frac{\sum_i c_i\sigma_i}{\sum_i c_i\sigma_i/M_i}, \quad \sigma_i =
              4\pi |b_i|^2 + \sigma_{inc,i}

    Parameters
    ----------
    composition : str or mapping of str to float
        ``"Zr46Cu46Al8"`` or ``{"Zr": 46, "Cu": 46, "Al": 8}``, in atoms; D for
        deuterium.
    b : mapping of symbol to number, optional
        Coherent scattering lengths (bare: fm; may be complex) in place of the tabulated
        ones; or pairs of one and the incoherent cross section (bare: barn), which is
        tabulated otherwise.

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
    inverse = sum(a.number * a.sigma / a.mass for a in atoms)
    value = sum(a.number * a.sigma for a in atoms) / inverse
    return xr.DataArray(value, attrs={"units": "u", "long_name": "effective mass"})


def mean_scattering_lengths(
    composition: str | Mapping[str, float], b: Mapping[str, Any] | None = None
) -> tuple[float, float]:
    """Return |⟨b⟩|² and ⟨|b|²⟩ of the coherent scattering lengths, fm².

    Parameters and errors are those of `effective_mass`.

    Examples
    --------
    >>> [round(value, 3) for value in mean_scattering_lengths("SiO2")]
    [27.591, 28.198]
    """
    atoms = atoms_of(composition, b).values()
    number = sum(a.number for a in atoms)
    mean = sum(a.number * a.b for a in atoms) / number
    return abs(mean) ** 2, sum(a.number * abs(a.b) ** 2 for a in atoms) / number


def atoms_of(
    composition: str | Mapping[str, float], b: Mapping[str, Any] | None = None
) -> dict[str, Atoms]:
    """Return the atoms of each element; `b` as for `scatterer`."""
    instead = "b_mean_squared= or mass= for composition="
    found = {}
    for symbol, count in numbers_of(composition).items():
        entry = scatterer(symbol, b, instead=instead)
        found[symbol] = Atoms(count, entry.mass, entry.sigma, entry.b)
    _refuse_isotope(composition)
    return found


def mass_of(composition: str | Mapping[str, float]) -> float:
    """Return the mean mass of an atom, u."""
    numbers = numbers_of(composition)
    _refuse_isotope(composition)
    total = sum(float(table_entry(s).mass) * n for s, n in numbers.items())
    return total / sum(numbers.values())


def _refuse_isotope(composition: str | Mapping[str, float]) -> None:
    """Refuse a text such as Ni58, which may be an isotope."""
    numbers = numbers_of(composition)
    symbol, count = next(iter(numbers.items()))
    if isinstance(composition, str) and len(numbers) == 1 and symbol not in "HDT":
        entry = table_entry(symbol)
        if count in getattr(entry, "isotopes", ()) and entry[int(count)].abundance:
            raise QuantityError(
                f"composition={shown(composition)} may be an isotope",
                fix=f"composition={{'{count:g}-{symbol}': 1}}, or {symbol!r}",
            )


def numbers_of(composition: str | Mapping[str, float]) -> dict[str, float]:
    """Return the number of atoms of each element, which are not looked up."""
    text = composition.replace(" ", "") if isinstance(composition, str) else ""
    part = r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?"
    numbers: dict[str, float] = {}
    if re.search(r"\d\.\d+[HDT]2O", text):
        raise QuantityError(f"composition={shown(composition)} may be a hydrate")
    if text and not re.sub(part, "", text):
        for symbol, count in re.findall(part, text):
            numbers[symbol] = numbers.get(symbol, 0.0) + float(count or 1)
    elif isinstance(composition, Mapping):
        numbers = {
            str(symbol): magnitude(count, "1", name=str(symbol))
            for symbol, count in composition.items()
        }
    if not (numbers and all(0 < count < np.inf for count in numbers.values())):
        raise QuantityError(
            f"composition={shown(composition)} is not a formula",
            fix="composition='Zr46Cu46Al8'",
        )
    return numbers


def resolve_mass(
    mass: Any, composition: str | Mapping[str, float] | None
) -> float | None:
    """Return the mass of an atom in u from one of both arguments, or None."""
    at_most_one(mass=mass, composition=composition)
    if composition is not None:
        return float(effective_mass(composition))
    return None if mass is None else require_mass(mass)


def mass_or_u2(
    value: xr.DataArray,
    *,
    mass: Any,
    composition: str | Mapping[str, float] | None,
    u2: Any,
) -> tuple[float, xr.DataArray]:
    """Return ħ²/2M in meV angstrom² and u² in angstrom², which set 2W.

    NaN for the one that follows from the other.
    """
    at_most_one(mass=mass, composition=composition, u2=u2)
    atomic = resolve_mass(mass, composition)
    if atomic is not None:
        return constants.HBAR2_OVER_2U / atomic, xr.DataArray(np.nan)
    if u2 is None and "u2" not in value.coords:
        raise QuantityError(
            "none of mass=, composition=, u2= is given",
            fix="composition='V', mass='50.94 u' or u2='0.0066 angstrom^2'",
        )
    return np.nan, resolve(value, "u2", u2=u2)


def sample_attribute(signal: Signal, name: str) -> Any:
    """Return an attribute of the variable, or else of its Dataset."""
    return signal.value.attrs.get(name, signal.source.attrs.get(name))


def _carried_number(signal: Signal, name: str) -> float | None:
    """Return a finite number ≥ 0 from an attribute."""
    value = sample_attribute(signal, name)
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if real and np.isfinite(value) and value >= 0 else None


def sample_mass(
    signal: Signal,
    mass: Any,
    composition: str | Mapping[str, float] | None,
    *,
    same: float = 0.01,
) -> tuple[float | None, str | None]:
    """Return the mass in u and its origin: the arguments, or else the data.

    The data have the effective mass of ``attrs["composition"]``, or the ``weight``
    (g/mol) if it is that of one element, not of a molecule. A molecule's effective mass
    is never above its weight; that of several elements is not compared with it.

    Parameters
    ----------
    signal : Signal
        Data that may carry ``composition``, ``weight``, ``sigma_coh``, ``sigma_inc``.
    mass, composition
        As for `resolve_mass`.
    same : float
        Largest relative difference of a given mass from the weight of the data.
    """
    given = resolve_mass(mass, composition)
    weight = _carried_number(signal, "weight")
    if given is None:
        carried = sample_attribute(signal, "composition")
        with contextlib.suppress(XbpError):
            if isinstance(carried, str):
                return resolve_mass(None, carried), "attrs['composition']"
        if weight is None:
            return None, None
        if _is_of_one_element(signal, weight):
            return weight, "weight in the file"
        raise QuantityError(
            f"weight={weight:.6g} g/mol of the data is not that of one element",
            fix="composition='D2O' or mass='2.49 u'",
        )
    name = "mass" if composition is None else "composition"
    atoms = 1.0
    if weight is not None and composition is not None:
        atoms = max(1.0, np.round(weight / given))  # of a molecule of one element
    if weight is not None and abs(atoms * given - weight) > same * weight:
        several = composition is not None and len(numbers_of(composition)) > 1
        molecule = mass is not None and given < weight
        if not several and (not molecule or _is_of_one_element(signal, weight)):
            value = mass if composition is None else composition
            raise QuantityError(
                f"{name}={value} ({given:.6g} u) contradicts the data, which have "
                f"weight={weight:.6g} g/mol",
                fix=f"leave {name}= out, or remove attrs['weight']",
            )
    return given, f"{name}="


def _is_of_one_element(signal: Signal, weight: float) -> bool:
    """Return whether a molar mass is an element's, as far as cross sections show.

    The weight in a file is exact to 0.1 %, its cross sections agree with those of other
    tables to 10 %.
    """
    sigma = [_carried_number(signal, name) for name in ("sigma_coh", "sigma_inc")]
    periodictable = require(
        "periodictable", "look up masses", "neutron",
        "mass='26.98 u' or composition='Al'",
    )  # fmt: skip
    for element in periodictable.elements:
        if element.number >= 1 and abs(element.mass - weight) <= 1e-3 * weight:
            table = [element.neutron.coherent, element.neutron.incoherent]
            if None in (*sigma, *table):
                return True
            known: float = sum(one or 0.0 for one in sigma)
            return bool(abs(known / sum(table) - 1) < 0.1)
    return False


def sample_density(
    signal: Signal, number_density: Any, *, same: float = 0.01
) -> tuple[float, str]:
    """Return atoms per angstrom³, in a plane per angstrom², and their origin."""
    names = ("number_density", "V_rho")  # the second is that of `.sqw`
    carried = {name: _carried_number(signal, name) for name in names}
    name, known = next(((n, v) for n, v in carried.items() if v), ("", None))
    if number_density is None:
        fix = "number_density='0.057 1/angstrom^3'"
        require_given(fix, error=QuantityError, number_density=known)
        assert known is not None
        return known, f"attrs['{name}']"
    units = f"1/angstrom**{dimension_of(signal.value)}"
    given = require_positive(number_density, "number_density", units)
    if known is not None:
        require_agreement(
            given, known, "number_density", units,
            source=f"attrs['{name}']", tolerance=same,
        )  # fmt: skip
    return given, "number_density="


def coherent_part(signal: Signal) -> str | None:
    """Return a clause if most of the scattering is known to be coherent."""
    names = ("sigma_coh", "sigma_inc")
    coherent, incoherent = (_carried_number(signal, name) for name in names)
    if coherent is not None and incoherent is not None and coherent > incoherent:
        part = 100 * coherent / (coherent + incoherent)
        return f"{part:.2g} % of the scattering is coherent (sigma_coh, sigma_inc)"
    if sample_attribute(signal, "part") == "coherent":
        return "it is the coherent part of a simulation"
    return None


def sample_labels(signal: Signal) -> dict[str, Any]:
    """Return the attributes that identify the sample of a signal."""
    found = {name: sample_attribute(signal, name) for name in SAMPLE_LABELS}
    return {name: label for name, label in found.items() if label is not None}


def moles_of(
    given: Any, name: str, composition: str | Mapping[str, float] | None
) -> float:
    """Return an amount in moles; of atoms if it is a mass."""
    _, units = split_quantity(given, name, "g")
    if units is None or not parse_unit(units).is_compatible_with("g"):
        moles = magnitude(given, "mol", name=name, default="1")
        return require_positive(moles, name, error=QuantityError)
    if composition is None:
        raise QuantityError(
            f"{name}={given!r} is a mass, which needs the composition",
            fix=f"composition='Zr46Cu46Al8', or {name}='0.1 mol'",
        )
    return require_positive(given, name, "g", error=QuantityError) / mass_of(
        composition
    )
