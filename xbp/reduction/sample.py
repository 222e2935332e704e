"""What data carry about their sample.

Its mass, whether it scatters coherently, and whether it is another's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.errors import QuantityError, RangeError, XbpError
from xbp.core.optional import require
from xbp.core.signal import Signal
from xbp.core.units import convert_factor, magnitude
from xbp.reduction.composition import numbers_of, resolve_mass

__all__ = [
    "another_sample",
    "coherent_part",
    "off_scale",
    "said_of_sample",
    "sample_density",
    "sample_labels",
    "sample_mass",
    "wrong_limit",
]

#: Molar masses and number densities are written with three or four digits.
_SAME: Final = 0.01
#: The weight in a file is that of an element to its digits, and its cross sections are
#: to those of other tables.
_DIGITS: Final = 0.001
_SAME_SIGMA: Final = 0.1


#: Parts of atoms closer than this are one composition.
_SAME_PART: Final = 0.01
#: Attributes that name a sample, and those that tell of it.
_NAMES: Final = ("sample", "sample_name")
_LABELS: Final = ("composition", *_NAMES, "source")
_WIDE: Final = 60
#: An S(Q) of so many points whose upper half is so near to 0, or as far from 1 as this,
#: is no S(Q).
_ENOUGH, _NEAR_0, _LOW, _HIGH = 10, 0.2, 0.6, 1.6


def said_of_sample(signal: Signal, name: str) -> Any:
    """Return an attribute of the variable, or else of the Dataset it stands in."""
    return signal.value.attrs.get(name, signal.source.attrs.get(name))


def sample_mass(
    signal: Signal, mass: Any, composition: str | Mapping[str, float] | None
) -> tuple[float | None, str | None]:
    """Return the mass in u and whence it is.

    The arguments, or else what the data carry.

    That is the effective mass of ``attrs["composition"]``, or the ``weight`` (g/mol)
    where it is that of one element: of a molecule it is not the mass that a sum rule is
    of. Of a molecule no effective mass is above its weight. The effective mass of
    several elements is no mean of their masses, and is not compared with it.

    Raises
    ------
    QuantityError
        As for `resolve_mass`; if the mass that is given contradicts that of the file,
        or the weight in the file may be that of a molecule and nothing else is known.
    """
    given = resolve_mass(mass, composition)
    weight = _number(said_of_sample(signal, "weight"))
    if given is None:
        carried = said_of_sample(signal, "composition")
        with contextlib.suppress(XbpError):
            if isinstance(carried, str):
                return resolve_mass(None, carried), "attrs['composition']"
        if weight is None:
            return None, None
        if _is_of_one_element(signal, weight):
            return weight, "weight in the file"
        raise QuantityError(
            f"weight={weight:.6g} g/mol of the data is not recognised as the mass of "
            "one element",
            reason="the f-sum rule needs the effective mass, Σcσ/Σ(cσ/M): 2.49 u of "
            "D2O, whose weight is 20.03 g/mol",
            fix="composition='D2O', or mass='2.49 u'",
        )
    comparable = composition is None or len(numbers_of(composition)) == 1
    # So many atoms has a molecule of one element.
    atoms = (
        max(1.0, np.round(weight / given))
        if weight is not None and composition is not None
        else 1.0
    )
    below = (
        mass is not None
        and weight is not None
        and given < weight
        and not _is_of_one_element(signal, weight)
    )
    if (
        weight is not None
        and comparable
        and not below
        and abs(atoms * given - weight) > _SAME * weight
    ):
        raise QuantityError(
            f"{'mass' if composition is None else 'composition'}={mass if composition is None else composition!r} "
            "is "
            f"{given:.6g} u, and the data carry weight={weight:.6g} g/mol",
            reason="the sample has one mass; the file's may be that of a molecule, "
            "where an atom's is needed",
            fix="leave the argument out, or take the other off: del "
            "data.attrs['weight'], data.S.attrs['weight']",
        )
    return given, "mass=" if composition is None else "composition="


def _is_of_one_element(signal: Signal, weight: float) -> bool:
    """Tell whether a molar mass is that of an element, and the cross sections of the data are its own where known."""
    sigma = [
        _number(said_of_sample(signal, name)) for name in ("sigma_coh", "sigma_inc")
    ]
    periodictable = require(
        "periodictable", "whether the weight in the file is that of an atom is looked "
                         "up in it", "neutron",
        "mass='26.98 u' or composition='Al'",
    )  # fmt: skip
    for element in periodictable.elements:
        if element.number < 1 or abs(element.mass - weight) > _DIGITS * weight:
            continue
        table = element.neutron
        if None in sigma or table.coherent is None or table.incoherent is None:
            return True
        known = sum(map(float, filter(None, sigma)))
        return bool(abs(known / (table.coherent + table.incoherent) - 1) < _SAME_SIGMA)
    return False


def sample_density(signal: Signal, number_density: Any) -> tuple[float, str]:
    """Return atoms per angstrom³ and whence.

    The argument, or else what the data carry (the second is that of `.sqw`).

    Raises
    ------
    QuantityError
        If there is none, or the one that is given differs from that of the data by more
        than a hundredth.
    RangeError
        If it is not positive.
    """
    carried = {
        name: _number(said_of_sample(signal, name))
        for name in ("number_density", "V_rho")
    }
    name, known = next(
        ((name, number) for name, number in carried.items() if number), ("", None)
    )
    if number_density is None:
        if known is None:
            raise QuantityError(
                "the number density is not known",
                reason="neither g(r) nor S(Q) tells it, and the data carry none",
                fix="number_density='0.057 1/angstrom^3'",
            )
        return known, f"attrs['{name}']"
    given = magnitude(number_density, "1/angstrom**3", name="number_density")
    if not given > 0:
        raise RangeError(
            f"number_density={number_density!r}",
            reason="it must be positive",
            fix="give it like number_density='0.057 1/angstrom^3'",
        )
    if known is not None and abs(given - known) > _SAME * known:
        raise QuantityError(
            f"number_density={number_density!r}, and the data carry "
            f"{name}={known:.6g} 1/angstrom^3",
            reason="the sample has one density",
            fix="leave the argument out, or take the other off: "
            f"data.attrs.pop('{name}', None), of the variable too",
        )
    return given, "number_density="


def coherent_part(signal: Signal) -> str | None:
    """Say how it is known that the scattering is coherent for the most part.

    None where it is not known, or not so.
    """
    coherent, incoherent = (
        _number(said_of_sample(signal, name)) for name in ("sigma_coh", "sigma_inc")
    )
    if coherent is not None and incoherent is not None and coherent > incoherent:
        return (
            f"{100 * coherent / (coherent + incoherent):.2g} % of the scattering "
            "is coherent (sigma_coh, sigma_inc)"
        )
    if signal.value.attrs.get("part") == "coherent":
        return "it is the coherent part of a simulation"
    return None


def sample_labels(signal: Signal) -> dict[str, Any]:
    """Return what tells of the sample, for a variable that goes on without the attributes of its Dataset."""
    return {
        name: said
        for name in _LABELS
        if (said := said_of_sample(signal, name)) is not None
    }


def another_sample(signal: Signal, sq: Signal) -> str | None:
    """Say that S(Q) is of another sample than the data, as far as both carry what tells; None where nothing does.

    Compositions decide where both have one, then the names of the samples, then the
    files they are from.
    """
    both = {
        name: (str(said_of_sample(sq, name)), str(said_of_sample(signal, name)))
        for name in _LABELS
        if said_of_sample(sq, name) is not None
        and said_of_sample(signal, name) is not None
    }
    if "composition" in both:
        left, right = both["composition"]
        same = _alike(_parts(left), _parts(right))
        return (
            None if same else f"S(Q) is of the composition {left}, the data of {right}"
        )
    for name in _NAMES:
        if name in both:
            left, right = both[name]
            return (
                None
                if left == right
                else f"S(Q) is of the sample '{left:.{_WIDE}}', the data of "
                f"'{right:.{_WIDE}}'"
            )
    left, right = both.get("source", ("", ""))
    if left == right:
        return None
    return (
        f"S(Q) is from another source ({left:.{_WIDE}}) than the data "
        f"({right:.{_WIDE}}): of one sample? "
        "attrs['composition'] of both says so"
    )


def off_scale(sq: xr.DataArray) -> str | None:
    """Say that what is called S(Q) does not tend to 1.

    It tends to 0, as F(Q) does, or is on an arbitrary scale.

    Examples
    --------
    >>> Sq = xr.DataArray(np.linspace(0.0, 8.0, 20), dims="Q", attrs={"units": "1"})
    >>> off_scale(Sq)[:45]
    'S(Q) is 6.1 on average over its upper half, a'
    >>> off_scale(Sq / 6) is None
    True
    """
    level = wrong_limit(sq)
    if level is None:
        return None
    said = f"S(Q) is {level:.2g} on average over its upper half, "
    if abs(level) <= _NEAR_0 and float(sq.min()) < 0:
        return (
            f"{said}and negative elsewhere, as F(Q) = S(Q) - 1 is: "
            "with that the scale means nothing, the correlation is the same"
        )
    return (
        f"{said}and does not tend to 1: its scale, and that of what is fitted with "
        "it, are arbitrary; "
        "the correlation is the same"
    )


@np.errstate(
    over="ignore", invalid="ignore"
)  # a mean that overflows is of no known scale
def wrong_limit(sq: xr.DataArray) -> float | None:
    """Return the mean of S(Q) over its upper half where that is not near 1.

    None too where it is not known.
    """
    if sq.chunks is not None or sq.sizes.get("Q", 0) < _ENOUGH:
        return None
    level = float(sq.isel(Q=slice(sq.sizes["Q"] // 2, None)).mean()) * convert_factor(
        sq.attrs["units"], "1"
    )
    return None if not np.isfinite(level) or _LOW < level < _HIGH else level


def _parts(composition: str) -> dict[str, float]:
    """Return the part of the atoms that each element has.

    What is no formula is a name.
    """
    try:
        numbers = numbers_of(composition)
    except XbpError:
        return {composition: 1.0}
    return {
        symbol: number / sum(numbers.values()) for symbol, number in numbers.items()
    }


def _alike(left: dict[str, float], right: dict[str, float]) -> bool:
    return all(
        abs(left.get(symbol, 0.0) - right.get(symbol, 0.0)) < _SAME_PART
        for symbol in {*left, *right}
    )


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if known and np.isfinite(value) and value >= 0 else None
