"""The scale of S(Q,E): by vanadium, in barn, or by a sum rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.conditions import resolve, statistics_of
from xbp.core.data import Data, require_dims, require_some
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits, select_range
from xbp.core.guards import choose, require_fraction, require_given, require_number
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.schema import per_unit
from xbp.core.signal import Signal, read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.reduction.arithmetic import convert
from xbp.reduction.comparable import (
    another_sample,
    require_comparable,
    structure_factor_at,
)
from xbp.reduction.f_sum import momenta, require_fallen_sum, with_recoil_inside
from xbp.reduction.fold import mirrored, one_sided, refuse_parts, require_elastic
from xbp.reduction.sample import (
    coherent_part,
    moles_of,
    resolve_mass,
    sample_mass,
)
from xbp.reduction.sign import REVERSED_BELOW, with_right_sign

__all__ = ["Rule", "normalize_to_sum_rule", "normalize_to_vanadium"]

Rule = Literal["incoherent", "structure factor", "f-sum"]
_TAKEN = {
    "incoherent": "no sq=, mass= or composition=",
    "structure factor": "sq=, and no mass= or composition=",
    "f-sum": "mass= or composition=, and no sq=",
}


@operation(takes="dynamic_structure_factor")
@carries_common_errors()
@np.errstate(over="ignore", invalid="ignore")  # sums that overflow are refused
def normalize_to_vanadium(
    data: Data,
    vanadium: xr.DataArray | xr.Dataset,
    *,
    amount: Any,
    vanadium_amount: Any,
    composition: str | Mapping[str, float] | None = None,
    E_range: Any = None,
    Q_range: Any = None,
    u2: Any = None,
) -> Data:
    r"""Bring S(Q,E) to an absolute scale by the elastic line of vanadium.

    .. math:: \frac{k_i}{k_f}\frac{d^2\sigma}{d\Omega\,dE} =
        I(Q,E)\,\frac{N_V}{N}\,\frac{\sigma_V}{4\pi}\Big/
              \left\langle e^{Q^2u_V^2}\int_{line} I_V(Q,E)\,dE\right\rangle_Q

    with σ_V = 5.08 barn, the incoherent cross section of vanadium (Sears, Neutron News
    3(3), 26 (1992)). Both must have been measured and reduced equally: the same
    incident energy, monitor and kᵢ/k_f. Absorption and self-shielding of either are not
    corrected for, nor the vanadium's phonons under its line.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) of the sample, in any units.
    vanadium : xarray.DataArray or xarray.Dataset
        S(Q,E) of the vanadium, in units that convert to those of the data, on a grid of
        its own.
    amount, vanadium_amount : scalar with units
        What was in the beam: moles, or masses. The answer is per atom or per formula
        unit, as the moles of the sample are counted; for a mass of it, per atom.
    composition : str or mapping, optional
        Of the sample, ``"Zr46Cu46Al8"``; needed where its amount is a mass.
    E_range : pair of scalars with units
        The elastic line of the vanadium.
    Q_range : pair of scalars with units, optional
        Momentum transfers to average it over; by default all where the whole line was
        measured.
    u2 : scalar with units, optional
        u² of the vanadium per axis, if it does not carry it; 0.0067 angstrom² at 300 K.

    Returns
    -------
    same type as `data`
        In barn/sr over the unit of E. ``attrs["normalization_std"]`` is the relative
        error of the factor by counting, where the standard deviation of the vanadium is
        known: it is common to all bins, and to all that one vanadium normalizes, and
        is kept in ``S_std_common``.

    Raises
    ------
    QuantityError
        If the two were reduced differently, or an amount is not positive.
    RangeError
        If no bin of Q holds the whole line.
    UnitsError
        If the amounts are neither moles nor masses.

    References
    ----------
    G. Xu, Z. Xu and J. M. Tranquada, Rev. Sci. Instrum. 84, 083906 (2013),
    doi:10.1063/1.4818323.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line(np.linspace(1, 8, 40), np.linspace(-4, 4, 81),
    ...     u2=0.0067, resolution="1 meV")
    >>> S = line.bp.normalize_to_vanadium(
    ...     line, amount="0.1 mol", vanadium_amount="0.1 mol", E_range=(-4, 4),
    ...     u2="0.0067 angstrom^2")
    >>> S.S.attrs["units"], round(float(S.S.isel(Q=0).sum("E") * 0.1 * np.exp(0.0067)),
    ...     4)
    ('b/meV/sr', 0.4043)
    """
    signal = read(data, "dynamic_structure_factor")
    other = read(vanadium, "dynamic_structure_factor")
    units = _energy_units(signal)
    require_comparable(signal.value, other.value, "the vanadium")
    if _energy_units(other) != units:
        # ∫ dE is taken in the units of the data, in which both are densities.
        source: Any = other.source
        other = read(convert(source, E=units), "dynamic_structure_factor")
    require_given("E_range=('-5 meV', '5 meV'), the elastic line", E_range=E_range)
    displacement = resolve(other.value, "u2", u2=u2)
    moles = moles_of(amount, "amount", composition)
    moles_v = moles_of(vanadium_amount, "vanadium_amount", {"V": 1.0})
    line, line_std, weight = _moment(other, E_range, Q_range, None)
    weight = weight / weight.sum("Q")
    undo = weight * np.exp(momenta(other) ** 2 * displacement)
    strength = (undo * line).sum("Q")
    if strength.ndim or not float(strength) > 0:
        raise RangeError(
            f"the elastic intensity of vanadium is {strength.values}; one positive "
            "value is needed",
            fix="vanadium.isel(...); check E_range",
        )
    error, errors = None, {}
    if line_std is not None:
        error = float(((undo * line_std) ** 2).sum("Q") ** 0.5 / strength)
        name = fingerprint("vanadium", f"{float(strength):.9g}")
        errors = {name: xr.DataArray(error)}
    in_units = convert_factor(other.units, signal.units, name="the vanadium")
    factor = xr.DataArray(
        moles_v / moles * 5.08 / (4 * np.pi) / (float(strength) * in_units)
    )
    answer: Data = _scaled(
        signal,
        factor,
        errors,
        units=format_unit(parse_unit("barn/steradian") / parse_unit(units)),
        operation="normalize_to_vanadium",
        attrs={
            "normalization_std": error,
            "normalization": f"by vanadium, times {_written(factor)}",
        },
        arguments={
            "amount": amount, "vanadium_amount": vanadium_amount,
            "composition": composition, "E_range": E_range, "Q_range": Q_range,
            "u2": f"{float(displacement):.10g} angstrom**2", "factor": float(factor),
        },
    )  # fmt: skip
    return answer


@operation(takes="dynamic_structure_factor")
@carries_common_errors()
@np.errstate(over="ignore", invalid="ignore")  # sums that overflow are refused
def normalize_to_sum_rule(
    data: Data,
    rule: Rule,
    sq: xr.DataArray | xr.Dataset | None = None,
    T: Any = None,
    *,
    E_range: Any = None,
    Q_range: Any = None,
    mass: Any = None,
    composition: str | Mapping[str, float] | None = None,
    most_missing: float = 0.01,
    end: float = 0.15,
    most_spread: float = 0.1,
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    r"""Bring S(Q,E) to the scale that a sum rule gives it; one factor for all Q.

    .. math:: \int S\,dE = 1\ \text{(incoherent)},\quad \int S\,dE = S(Q),\quad
              \int_0^\infty E\,(1-e^{-E/k_BT})\,S\,dE = \frac{\hbar^2Q^2}{2M}\
              \text{(f-sum)}

    For classical data, whose first moment is 0, 1 − e^(−x) becomes x = E/k_BT as
    everywhere: the f-sum rule is then that of the second moment, ∫E² S dE = k_BT ħ²Q²/M
    over both signs, and its factor is that after `to_quantum`.

    The factor is Σ_Q of the right side over Σ_Q of the left, weighted by the width of
    the bins, over those bins of Q where all of E_range was measured and, for the f-sum,
    into which recoil and width of the atoms fit. What lies outside E_range is missing,
    so take it wide; an f-sum that has not ended there is refused.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) in any units. Data over E ≥ 0 alone, as from `fold`, count twice as
        detailed balance has it.
    rule : {"incoherent", "structure factor", "f-sum"}
        The f-sum needs no elastic line, but weights background by E. It holds for
        coherent and incoherent scattering.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q) for ``"structure factor"``, interpolated onto the Q of the data.
    T : scalar with units, optional
        Temperature (bare: K), if it is needed and the data do not carry it.
    E_range : pair of scalars with units, optional
        Energies to integrate over; by default all.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use.
    mass, composition
        M for the f-sum: of several elements, or of a molecule, the effective mass
        (`effective_mass`), 2.49 u of D₂O. By default that of ``attrs["composition"]``,
        or the ``weight`` (g/mol) of the data, as from a ``.sqw`` file, if it is the
        mass of one element (to 0.1 %, and the cross sections of the file its own to 10
        %).
    most_missing : float, optional
        Largest fraction of the f-sum of an ideal gas of mass M
        (``models.factors.beyond_range``) that may lie beyond E_range at a Q; Q with
        more are left out; 1 admits all.
    end : float, optional
        The f-sum is not complete if E (1 − e^(−x)) S, summed over Q, is above this
        fraction of its maximum at the end of E_range: in the mean over the last 5 % of
        the energies, and at least three bins. The range then ends inside the phonons
        (one phonon is as g(E)), or multiphonons or a background lie beyond.
    most_spread : float, optional
        Above this relative spread over Q, `diagnostics` lists it.
    reversed_below : float, optional
        As for `to_gdos`, for the f-sum: data whose E has the other sign are refused.
        None: no check.

    Returns
    -------
    same type as `data`
        In one over the unit of E. ``attrs["normalization"]`` states rule, factor and
        mass; ``attrs["normalization_std"]`` is the relative error of the factor by
        counting: it is common to all bins, and is kept in ``S_std_common``.
        ``attrs["normalization_spread"]`` is the relative standard deviation of the
        factors of single Q, with the same weights (missing for a single Q), and
        ``attrs["normalization_Q"]`` the Q used. `diagnostics` lists a spread above
        `most_spread`, a factor from a single Q, the incoherent rule applied to coherent
        scattering, and S(Q) of another sample.

    Raises
    ------
    RangeError
        If no bin of Q holds the whole range of E, or the sum is not positive; if the
        f-sum goes on beyond the range; if E = 0 is not in the range of a rule of
        ∫S dE, or nothing of E ≥ 0 in that of the f-sum.
    QuantityError
        If the mass or S(Q) is missing, or is not used by the rule; if the mass
        contradicts the ``weight`` that the data carry, or follows from it alone, which
        may be that of a molecule.

    References
    ----------
    G. Placzek, Phys. Rev. 86, 377 (1952), doi:10.1103/PhysRev.86.377; of classical data
    J.-P. Hansen & I. R. McDonald, Theory of Simple Liquids, 4th ed. (2013), section
    7.4.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.arange(1.0, 31)
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E,
    ...     "meV")}, temperature="300 K")
    >>> S = g.bp.multiphonon_sqe(np.arange(1.0, 5.0), composition="V", area=1)
    >>> for rule, mass in (("incoherent", None), ("f-sum", "50.9415 u")):
    ...     back = S.bp.scale(40).bp.normalize_to_sum_rule(rule, mass=mass)
    ...     print(round(float((back.S / S.S).mean()), 2))
    1.0
    1.0
    """
    rule = choose(rule, Rule, "rule")
    require_number(most_missing, "most_missing", above=0, most=1)
    require_number(most_spread, "most_spread", above=0)
    end = require_fraction(end, "end")
    signal = read(data, "dynamic_structure_factor")
    value = signal.value
    e_units, q_in = _energy_units(signal), momenta(signal)
    f_sum, classical = rule == "f-sum", value.attrs.get("statistics") == "classical"
    atomic, origin = resolve_mass(mass, composition), None
    if f_sum:
        atomic, origin = sample_mass(signal, mass, composition)
    if (atomic is None) == f_sum or (sq is None) == (rule == "structure factor"):
        raise QuantityError(
            f"rule={rule!r} takes {_TAKEN[rule]}",
            fix="rule='f-sum', mass='50.94 u', or rule='structure factor', sq=sq",
        )
    by_energy = _both_sides(signal, T, rule) if f_sum or one_sided(value) else None
    doubts = []

    def doubt(code: str, *text: str) -> None:
        doubts.append(Diagnostic(code, "warning", *text))

    right = xr.DataArray(np.ones(q_in.size), dims="Q")
    if atomic is not None:
        right = constants.HBAR2_OVER_2U / atomic * q_in**2
        if not classical:
            kelvin = resolve(value, "temperature", T=T)
            value, _ = with_right_sign(value, signal.std, kelvin, reversed_below)
            signal = dataclasses.replace(signal, value=value)
    if sq is not None:
        other = read(sq, "static_structure_factor")
        right = structure_factor_at(signal, other)
        right = right.drop_vars(list(right.coords)).where(abs(right) < np.inf)
        if (found := another_sample(signal, other)) is not None:
            doubt("another_sample", found, "pass S(Q) of the same sample")
    if not f_sum:
        window = select_range(signal.source, "E", E_range, name="E_range")
        lower, upper = (edge[window] for edge in bin_limits(signal.source, "E"))
        require_elastic(lower, upper, e_units)
    left, left_std, weight = _moment(signal, E_range, Q_range, by_energy)
    weight = weight.where(right.notnull(), 0.0)
    if atomic is not None:
        weight = with_recoil_inside(signal, weight, atomic, T, E_range, most_missing)
        if by_energy is not None:
            require_fallen_sum(signal, by_energy, weight, E_range, end)
    total = (weight * left).sum("Q")
    if not (weight.sum("Q") > 0).all() or not (total > 0).all():
        fix = "check E_range, Q_range and the background"
        raise RangeError("the sum over E and Q is not positive", fix=fix)
    factor = (weight * right).sum("Q") / total
    if not ((factor > 0) & (factor < np.inf)).all():
        raise RangeError(
            f"the factor is {_written(factor)}: sums overflow, or S(Q) is not positive",
            fix="data.bp.scale(1e-6) first",
        )
    error, errors = None, {}
    if left_std is not None:
        error = ((weight * left_std) ** 2).sum("Q") ** 0.5 / total
        label = (f"{one:.9g}" for one in factor.values.ravel())
        errors = {fingerprint("sum rule", *label): error}
    used = (weight > 0).any([d for d in weight.dims if d != "Q"])
    used_q, q_units = value["Q"].values[used.values], value["Q"].attrs["units"]
    spread = _scatter(left, right, weight / total, factor)
    if np.isnan(spread):
        message = f"the {rule} factor comes from a single Q"
        doubt("sum_rule_one_Q", message, "widen Q_range or E_range")
    if spread > most_spread:
        message = f"the {rule} factors of each Q scatter by {100 * spread:.3g} %"
        doubt("sum_rule_spread", message, "check the background and the ranges")
    if rule == "incoherent" and (coherent := coherent_part(signal)) is not None:
        message = f"normalized by ∫S dE = 1, but {coherent}: then ∫S dE is S(Q)"
        doubt("coherent_scattering", message, "rule='structure factor', sq=sq")
    kind = " of classical data" if f_sum and classical else ""
    mass_used = None if atomic is None else f"{atomic:.10g} u"
    answer: Data = _scaled(
        signal,
        factor,
        errors,
        units=format_unit(parse_unit(e_units) ** -1),
        operation="normalize_to_sum_rule",
        attrs={
            "energy_zero": "used by normalize_to_sum_rule",
            "normalization_std": None if error is None else float(error.max()),
            "normalization": f"by the {rule} rule{kind}, times {_written(factor)}"
            + (f", M = {atomic:.6g} u ({origin})" if atomic is not None else ""),
            "normalization_spread": None if np.isnan(spread) else spread,
            "normalization_Q": f"{used_q[0]:.6g} to {used_q[-1]:.6g} {q_units}",
            **diagnosed(value.attrs, *doubts),
        },
        arguments={
            "rule": rule, "E_range": E_range, "Q_range": Q_range, "mass": mass_used,
            "composition": composition, "T": T, "factor": factor.values.tolist(),
        },
    )  # fmt: skip
    return answer


def _scatter(
    left: xr.DataArray, right: xr.DataArray, weight: xr.DataArray, factor: xr.DataArray
) -> float:
    """Return the relative scatter of the factors of single Q; NaN if there is one Q."""
    if bool(((weight > 0).sum("Q") == 1).any()):
        return np.nan
    share = weight * left
    single = (right / left.where(left != 0)).where(share > 0, factor)
    return float((share * (single / factor - 1) ** 2).sum("Q").max() ** 0.5)


def _energy_units(signal: Signal) -> str:
    """Return the units of E; refuse data without E or Q."""
    fix = "normalize S(Q,E) first, then cut"
    require_dims(signal.value, ("Q", "E"), "a sum over E at each Q", fix=fix)
    return str(signal.value["E"].attrs["units"])


def _written(factor: xr.DataArray) -> str:
    low, high = float(factor.min()), float(factor.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _moment(
    signal: Signal, E_range: Any, Q_range: Any, by_energy: xr.DataArray | None
) -> tuple[xr.DataArray, xr.DataArray | None, xr.DataArray]:
    """Return ∫S dE (times a function of E) and its std over Q, and weights of Q.

    The weight of a Q is the width of its bin if all of the range was measured, else 0.
    """
    value = signal.value
    window = select_range(signal.source, "E", E_range, name="E_range")
    lower, upper = bin_limits(signal.source, "E")
    units, measure = value["E"].attrs["units"], xr.DataArray(upper - lower, dims="E")
    if by_energy is not None:
        window, measure = window & (value["E"].values >= 0), measure * by_energy
    require_some(window, "energy E ≥ 0 in E_range", (lower[0], upper[-1]), units)
    foreign = [c for c in value.coords if {"Q", "E"} & set(value[c].dims)]
    part, measure = value.drop_vars(foreign).isel(E=window), measure.isel(E=window)
    whole = (abs(part) < np.inf).all("E").compute()  # a bin that overflowed is unknown
    q_lower, q_upper = bin_limits(signal.source, "Q")
    in_Q = select_range(signal.source, "Q", Q_range, name="Q_range")
    weight = whole * xr.DataArray(np.where(in_Q, q_upper - q_lower, 0.0), dims="Q")
    if not (weight.sum("Q") > 0).all():
        lost = ~(weight.sum("Q") > 0)
        refuse_parts(part, value["E"].values[window], units, lost)
    left = (part * measure).sum("E").where(whole, 0.0).compute()
    if signal.std is None:
        return left, None, weight
    std = std_along(signal.std, "Q", "E").drop_vars(foreign).isel(E=window)
    variance = ((std * measure) ** 2).sum("E")
    return left, (variance**0.5).where(whole, 0.0).compute(), weight


def _both_sides(signal: Signal, T: Any, rule: Rule) -> xr.DataArray:
    """Return the factor of S at E ≥ 0 that makes its integral that over both signs."""
    value = signal.value
    E = xr.DataArray(value["E"].values * per_unit(value, "E"), dims="E")
    quantum = statistics_of(value) == "quantum"
    x: Any = 0.0 * E
    if quantum or rule == "f-sum":
        kT = constants.BOLTZMANN_MEV * resolve(value, "temperature", T=T)
        x = (E / kT).clip(min=0.0)
    if rule == "f-sum":
        return xr.DataArray(E * (-np.expm1(-x) if quantum else x))
    lower, upper = bin_limits(signal.source, "E")
    mirror = xr.DataArray(mirrored(lower, upper) / (upper - lower), dims="E")
    return xr.DataArray(1 + np.exp(-x) * mirror)


def _scaled(
    signal: Signal,
    factor: xr.DataArray,
    errors: Mapping[str, xr.DataArray],
    **labels: Any,
) -> Any:
    """Multiply by a factor, whose relative errors all bins share."""
    value, std = signal.both(lambda part: part.variable * factor.variable)
    common = {name: value * error.variable for name, error in errors.items()}
    return signal.answer(value, std, common=common, **labels)
