"""Heat capacities of samples, per mole of atoms or of formula units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import dimension_of, stated
from xbp.core.data import Data, is_lazy
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import choose, not_used, require_agreement, require_number
from xbp.core.operation import operation
from xbp.core.signal import Signal, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, parse_unit
from xbp.models.dimension import mode_count
from xbp.reduction.sample import mass_of, numbers_of

__all__ = ["Amount", "to_molar"]

Amount = Literal["atoms", "formula units"]  # of which there is a mole
#: Numbers about the sample that `to_molar` needs: attributes, units, what they are.
_SAMPLE: Final = {
    "mass": ("sample_mass", "mg", "mass of the sample"),
    "molar_mass": ("molar_mass", "g/mol", "molar mass of a formula unit"),
    "atoms": ("atoms_per_formula", "1", "number of atoms in a formula unit"),
}


@operation(takes="heat_capacity", step=16, when=lambda C: "amount" not in C.attrs)
@carries_common_errors(linear=True)
def to_molar(
    data: Data,
    per: Amount,
    *,
    mass: Any = None,
    molar_mass: Any = None,
    atoms: Any = None,
    amount: Amount | None = None,
    composition: str | Mapping[str, float] | None = None,
) -> Data:
    r"""Return the heat capacity per mole.

    .. math:: C_m = C\,\frac{M}{m}\quad\text{(per mole of formula units)}, \quad C_m/N
              \text{ (per mole of atoms)}

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``heat_capacity`` of the whole sample (such as uJ/K), per mass (J/g/K), or per
        mole; over temperature and any further dimensions.
    per : {"atoms", "formula units"}
        What the answer is a mole of.
    mass : scalar with units, or DataArray, optional
        Sample mass m (bare: mg), if the data are of the whole sample; by default
        ``C.attrs["sample_mass"]``. Of several samples in one table, a DataArray over
        their dimension, with units; so the next two.
    molar_mass : scalar with units, or DataArray, optional
        Molar mass M of a formula unit (bare: g/mol); by default
        ``C.attrs["molar_mass"]``. With the mean atomic mass of an alloy and ``atoms=1``
        a formula unit is an atom.
    atoms : number or DataArray, optional
        Atoms N in a formula unit, if needed; by default
        ``C.attrs["atoms_per_formula"]``.
    amount : {"atoms", "formula units"}, optional
        What data per mole are a mole of; by default ``C.attrs["amount"]``.
    composition : str or mapping of str to float, optional
        The formula unit, from which M and N follow: ``"Zr46Cu46Al8"`` has 100 atoms. M
        of the file may differ by 0.5 %, N not.

    Returns
    -------
    same type as `data`
        In J/mol/K, with `per` as ``attrs["amount"]``; a Dataset with its std, which
        does not include the errors of m and M.

    Raises
    ------
    QuantityError
        If m, M, N or `amount` is needed and not known, contradicts the file's or the
        composition, or is not positive.
    UnitsError
        If the units are not those of a heat capacity.

    Examples
    --------
    >>> import xbp
    >>> C = xbp.new_dataset("heat_capacity", [8478.6], units="uJ/K",
    ...     coords={"temperature": ([300.0], "K")})
    >>> molar = C.bp.to_molar("atoms", mass="7.76 mg", molar_mass="60 g/mol", atoms=3)
    >>> round(float(molar.C[0]), 2), molar.C.attrs["amount"]
    (21.85, 'atoms')
    >>> glass = C.bp.to_molar("atoms", mass="25 mg", composition="Zr46Cu46Al8")
    >>> round(float(glass.C[0]), 2)
    24.88
    """
    per = choose(per, Amount, "per", reason="the result is per mole of these")
    signal = read(data, "heat_capacity")
    given = {"mass": mass, "molar_mass": molar_mass, "atoms": atoms}
    formula: dict[str, float] = {}
    if composition is not None:
        count = sum(numbers_of(composition).values())
        formula = {"molar_mass": mass_of(composition) * count, "atoms": count}
    used: dict[str, Any] = {}

    def known(name: str) -> Any:
        used[name] = _of_sample(signal, name, given[name], formula.get(name))
        return used[name]

    unit = parse_unit(signal.units)
    own: str = "formula units"
    if unit.is_compatible_with("J/mol/K"):
        factor = convert_factor(signal.units, "J/mol/K")
        own = stated(signal.value, "amount", amount, Amount, "the data are per mole")
    elif unit.is_compatible_with("J/g/K"):
        factor = convert_factor(signal.units, "J/g/K") * known("molar_mass")
    elif unit.is_compatible_with("J/K"):
        factor = convert_factor(signal.units, "J/K")
        factor *= known("molar_mass") / (known("mass") * 1e-3)
    else:
        raise UnitsError(f"'{signal.units}' is not a unit of heat capacity")
    if used:
        not_used(f"the data are in '{signal.units}', not per mole", amount=amount)
    if own != per:
        factor *= 1 / known("atoms") if per == "atoms" else known("atoms")
    answer: Data = signal.answer(
        *signal.both(lambda part: part * factor),
        operation="to_molar",
        arguments={"per": per, "composition": composition}
        | {name: _stated(number, _SAMPLE[name][1]) for name, number in used.items()},
        units="J/K/mol",
        attrs={"amount": per, **_above_classical(signal.value, factor, per)},
    )
    return answer


def _above_classical(C: xr.DataArray, factor: Any, per: str | None) -> dict[str, str]:
    """Doubt a C above 1.5 times 3R per atom; anharmonic solids are below."""
    if per != "atoms" or is_lazy(C):
        return {}
    d = dimension_of(C)
    ratio = float((C * factor).max()) / mode_count(scipy.constants.R, d)
    if not ratio > 1.5:
        return {}
    text = f"C reaches {ratio:.2g} times {d}R per mole of atoms"
    fix = "check mass, molar_mass, atoms and the units"
    return diagnosed(C.attrs, Diagnostic("above_3R", "warning", text, fix))


def _stated(number: Any, units: str) -> str:
    return f"{', '.join(f'{value:.10g}' for value in np.ravel(number))} {units}"


def _of_sample(signal: Signal, name: str, given: Any, formula: float | None) -> Any:
    """Return a number from the argument, the attribute or the formula; they agree."""
    attribute, units, what = _SAMPLE[name]
    carried = signal.value.attrs.get(attribute)
    values = [_each(x, signal, name) for x in (given, carried) if x is not None]
    if len(values) == 2:
        for one in np.ravel(values[0]).tolist():
            require_agreement(
                one, values[1], name, units, source="the file", tolerance=1e-9
            )
    tolerance = 0.005 if name == "molar_mass" else 1e-9
    for one in np.ravel(values[0]).tolist() if values else ():
        if formula is not None and not np.isclose(one, formula, rtol=tolerance):
            unit = "" if units == "1" else f" {units}"
            raise QuantityError(
                f"composition= has the {what} {formula:.6g}{unit}, but "
                f"{f'{name}=' if given is not None else 'the data'} {one:.6g}{unit}",
                fix="composition= of the same formula unit, or leave it out",
            )
    if not values and formula is None:
        ask = f"pass {name}= or set attrs['{attribute}']"
        ask += "" if name == "mass" else ", or composition='SiO2'"
        raise QuantityError(f"the {what} is not known", fix=ask)
    return values[0] if values else formula


def _each(given: Any, signal: Signal, name: str) -> Any:
    """Return a number, or one for each sample of a table."""
    units = _SAMPLE[name][1]
    limits: Any = {"least": 1e-150, "most": 1e150, "error": QuantityError}
    if not isinstance(given, xr.DataArray) or not given.ndim:
        return require_number(given, name, units, **limits)
    wanted = set(signal.value.dims) - {"temperature"}
    if given.ndim > 1 or not set(given.dims) <= wanted:
        raise QuantityError(
            f"{name} has dimensions {tuple(given.dims)}, the samples "
            f"{tuple(sorted(map(str, wanted)))}",
            fix=f"{name}= one number, or one for each sample",
        )
    own = given.attrs.get("units", units)
    numbers = [
        require_number(f"{number!r} {own}", name, units, **limits)
        for number in given.values.tolist()
    ]
    return xr.DataArray(numbers, dims=given.dims, coords=given.coords)
