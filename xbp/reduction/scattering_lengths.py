"""Neutron scattering lengths of elements.

One look-up, which refuses what one number does not describe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from xbp.core.errors import QuantityError
from xbp.core.optional import require
from xbp.core.units import magnitude

__all__ = ["Scatterer", "scatterer", "table_entry"]

#: Energies between which neutrons are used for vibrations, meV.
_THERMAL = (5.0, 100.0)


class Scatterer(NamedTuple):
    """What neutrons see of an element.

    Bound coherent b in fm, incoherent cross section in barn, mass in u.
    """

    b: complex
    incoherent: float
    mass: float

    @property
    def sigma(self) -> float:
        """Whole scattering cross section 4π|b|² + σ_inc, barn (100 fm²)."""
        return 4 * np.pi * abs(self.b) ** 2 / 100 + self.incoherent


def scatterer(
    symbol: str,
    b: Mapping[str, Any] | None = None,
    *,
    imaginary: float = 0.01,
    variation: float = 0.1,
    instead: str = "",
) -> Scatterer:
    """Look up what neutrons see of an element.

    Parameters
    ----------
    symbol : str
        An element of natural abundance, or an isotope as ``"D"`` or ``"58-Ni"``.
    b : mapping of symbol to number, optional
        Coherent scattering lengths (bare: fm; may be complex) in place of the tabulated
        ones; or pairs of one and the incoherent cross section (bare: barn), which else
        is the tabulated one.
    imaginary : float
        Largest share of (Im b)² in |b|² that is neglected: boron has 0.2 %, boron-10 97
        %.
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
        If it is no element, has no tabulated value, or b is complex or depends on the
        energy and is not given.
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
    >>> round(scatterer("Gd", {"Gd": 9.5 - 13.82j}).sigma - 151, 1)  # without the incoherent part
    35.3
    """
    entry = table_entry(symbol, instead)
    neutron: Any = getattr(entry, "neutron", None)
    known = (
        neutron is not None
        and neutron.b_c is not None
        and neutron.incoherent is not None
    )
    if b is not None and symbol in b:
        value, incoherent = _given(symbol, b[symbol])
        if incoherent is None and not known:
            raise QuantityError(
                f"there is no incoherent cross section for '{symbol}'",
                reason="b= contains only the coherent scattering length",
                fix=f"b={{'{symbol}': (b in fm, incoherent cross section in barn)}}",
            )
        return Scatterer(
            value,
            float(neutron.incoherent) if incoherent is None else incoherent,
            float(entry.mass),
        )
    ask = f"b={{'{symbol}': ...}} in fm, complex if needed" + (
        f", or {instead}" if instead else ""
    )
    if not known:
        raise QuantityError(
            f"there is no neutron scattering length for '{symbol}'",
            reason="the table of periodictable has none",
            fix=ask,
        )
    length = complex(neutron.b_c_complex)
    share = length.imag**2 / max(abs(length) ** 2, 1e-300)
    if (
        neutron.is_energy_dependent
        or share > imaginary
        or _variation(neutron) > variation
    ):
        raise QuantityError(
            f"the scattering length of '{symbol}' depends on the neutron energy or is "
            "complex "
            f"({length.real:.4g}{length.imag:+.4g}i fm at 25 meV)",
            reason="one real number cannot describe a resonance or a strong absorber",
            fix=ask,
        )
    return Scatterer(
        float(np.real(neutron.b_c)), float(neutron.incoherent), float(entry.mass)
    )


def _given(symbol: str, value: Any) -> tuple[complex, float | None]:
    """Read b, or a pair of b and σ_inc."""
    pair = (
        value if isinstance(value, tuple | list) and len(value) == 2 else (value, None)
    )
    if isinstance(pair[0], complex | np.complexfloating):
        length = complex(pair[0])
    else:
        length = magnitude(pair[0], "fm", name=f"b of {symbol}")
    incoherent = (
        None
        if pair[1] is None
        else magnitude(pair[1], "barn", name=f"incoherent cross section of {symbol}")
    )
    if not np.isfinite(length) or (incoherent is not None and not incoherent >= 0):
        raise QuantityError(
            f"b of '{symbol}' is {value!r}",
            reason="it must be a finite number, or a pair (finite number, cross "
            "section ≥ 0)",
            fix=f"b={{'{symbol}': 9.5 - 13.8j}} in fm",
        )
    # A number without imaginary part is real, whatever its type.
    return (
        length.real if isinstance(length, complex) and length.imag == 0 else length
    ), incoherent


def _variation(neutron: Any) -> float:
    """Return by how much |b|² changes over thermal energies, relative to its mean, where that is tabulated."""
    if neutron.nsf_table is None:
        return 0.0
    # 81.804 meV Å² is h²/2m.
    wavelengths = np.sqrt(81.804 / np.geomspace(*_THERMAL, 25))
    square = np.abs(np.asarray(neutron.scattering_by_wavelength(wavelengths)[0])) ** 2
    return float(np.ptp(square) / square.mean())


def table_entry(symbol: str, instead: str = "") -> Any:
    """Return the row of an element or isotope in periodictable.

    Without that, name what to give instead.

    Raises
    ------
    QuantityError
        If it is no element.
    """
    periodictable = require(
        "periodictable",
        "masses and scattering lengths are looked up in it",
        "neutron",
        instead,
    )
    try:
        return periodictable.elements.isotope(symbol)
    except ValueError:
        raise QuantityError(
            f"'{symbol}' is not an element",
            reason="masses, scattering lengths and form factors are tabulated for "
            "elements and isotopes",
            fix="specify elements: elements={1: 'Zr', …} or masses={'A': '40 u'} when "
            "opening, weights='unit' after",
        ) from None
