"""The scale of S(Q,E): by vanadium, in barn, or by a sum rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NoReturn

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors, fingerprint
from xbp.core.conditions import check_statistics, resolve_temperature, resolve_u2
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits, interpolate, select_range
from xbp.core.independence import std_along
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import (
    convert_factor,
    format_unit,
    magnitude,
    parse_unit,
    split_quantity,
)
from xbp.reduction.arithmetic import convert, require_alike
from xbp.reduction.composition import mass_of, resolve_mass
from xbp.reduction.integrate import mirrored, one_sided, require_elastic
from xbp.reduction.multiphonon import energies, require_choice
from xbp.reduction.recoil import spread_over_Q, with_recoil_inside
from xbp.reduction.sample import another_sample, coherent_part, sample_mass
from xbp.reduction.sign import REVERSED_BELOW, require_sign

__all__ = ["Rule", "normalize_to_sum_rule", "normalize_to_vanadium"]

Rule = Literal["incoherent", "structure factor", "f-sum"]

#: Incoherent cross section of vanadium in barn (V. F. Sears, Neutron News 3(3), 26
#: (1992)).
_VANADIUM: Final = 5.08


@operation(takes="dynamic_structure_factor")
@carries_common_errors()
@np.errstate(
    over="ignore", invalid="ignore"
)  # sums that overflow are infinite, and told
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

    with σ_V = 5.08 barn. Both must have been measured and reduced alike: the same
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
        u² of the vanadium per axis, where it does not carry it; 0.0067 angstrom² at 300
        K.

    Returns
    -------
    same type as `data`
        In barn/sr over the unit of E. ``attrs["normalization_std"]`` is the relative
        error of the factor by counting, where the standard deviation of the vanadium is
        known: it is common to all bins, and to all that one vanadium normalizes, and
        ``S_std_common`` keeps it apart.

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
    >>> line = xbp.models.elastic_line(np.linspace(1, 8, 40), np.linspace(-4, 4, 81), u2=0.0067, resolution="1 meV")
    >>> S = line.bp.normalize_to_vanadium(
    ...     line, amount="0.1 mol", vanadium_amount="0.1 mol", E_range=(-4, 4), u2="0.0067 angstrom^2")
    >>> S.S.attrs["units"], round(float(S.S.isel(Q=0).sum("E") * 0.1 * np.exp(0.0067)), 4)
    ('b/meV/sr', 0.4043)
    """
    signal, other = (
        read(data, "dynamic_structure_factor"),
        read(vanadium, "dynamic_structure_factor"),
    )
    for side in (signal, other):
        energies(side.value)
    require_alike(signal, other, "the vanadium")
    if other.value["E"].attrs["units"] != signal.value["E"].attrs["units"]:
        # ∫ dE is taken in the units of the data, in which both are densities.
        source: Any = other.source
        other = read(
            convert(source, E=signal.value["E"].attrs["units"]),
            "dynamic_structure_factor",
        )
    if E_range is None:
        raise RangeError(
            "E_range= is missing",
            reason="the part of the vanadium's spectrum that is its elastic line is a "
            "choice",
            fix="E_range=('-5 meV', '5 meV'), twice the resolution or so to each side",
        )
    displacement = resolve_u2(other.value, u2=u2)
    moles, moles_v = (
        _moles(amount, "amount", composition),
        _moles(vanadium_amount, "vanadium_amount", {"V": 1.0}),
    )
    line, line_std, weight = _moment(other, E_range, Q_range, None)
    to_angstrom = convert_factor(
        other.value["Q"].attrs["units"], "1/angstrom", name="coordinate 'Q'"
    )
    undo = np.exp((other.value["Q"] * to_angstrom) ** 2 * displacement)
    strength = (weight * undo * line).sum("Q") / weight.sum("Q")
    if strength.ndim or not float(strength) > 0:
        raise RangeError(
            f"the vanadium's elastic line is {strength.values} over "
            f"{dict(strength.sizes)}",
            reason="one vanadium measurement with a positive line is needed",
            fix="choose one: vanadium.isel(...); look at E_range",
        )
    error = None
    if line_std is not None:
        error = float(
            ((weight * undo * line_std) ** 2).sum("Q") ** 0.5
            / weight.sum("Q")
            / strength
        )
    in_units = convert_factor(other.units, signal.units, name="the vanadium")
    factor = xr.DataArray(
        moles_v / moles * _VANADIUM / (4 * np.pi) / (float(strength) * in_units)
    )
    e_units = format_unit(
        parse_unit("barn/steradian") / parse_unit(signal.value["E"].attrs["units"])
    )
    answer: Data = _scaled(
        signal, factor, e_units, "normalize_to_vanadium",
        {"normalization_std": error, "normalization": "by vanadium, times "
                                                      f"{_written(factor)}", "beware": None},
        {"amount": amount, "vanadium_amount": vanadium_amount, "composition": composition, "E_range": E_range,
         "Q_range": Q_range, "u2": f"{float(displacement):.10g} "
                                   "angstrom**2", "factor": float(factor)},
        {} if error is None else {fingerprint("vanadium", f"{float(strength):.9g}"): xr.DataArray(error)},
    )  # fmt: skip
    return answer


@operation(takes="dynamic_structure_factor")
@carries_common_errors()
@np.errstate(
    over="ignore", invalid="ignore"
)  # sums that overflow are infinite, and told
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
    so take it wide.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) in any units. Data over E ≥ 0 alone, as from `fold`, count twice as
        detailed balance has it.
    rule : {"incoherent", "structure factor", "f-sum"}
        The f-sum needs no elastic line, but knows nothing of background either, which
        it weights by E. It holds for coherent and incoherent scattering.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q) for ``"structure factor"``, interpolated onto the Q of the data.
    T : scalar with units, optional
        Temperature (bare: K), where it is needed and the data do not carry it.
    E_range : pair of scalars with units, optional
        Energies to integrate over; by default all.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use.
    mass, composition
        M for the f-sum: of several elements, or of a molecule, the effective mass
        (`effective_mass`), 2.49 u of D₂O. By default that of ``attrs["composition"]``,
        or the ``weight`` (g/mol) that the data carry, as from a ``.sqw`` file, where it
        is the mass of one element (to 0.1 %, and the cross sections of the file its own
        to 10 %).
    most_missing : float, optional
        How much of the f-sum of an ideal gas of mass M may lie beyond E_range at a Q,
        as a part of it (``xbp.reduction.recoil``); Q with more are left out.
    most_spread : float, optional
        Above this relative spread over Q, `diagnostics` lists it.
    reversed_below : float, optional
        As for `to_gdos`, of the f-sum: data whose E has the other sign are refused.
        None: not looked at.

    Returns
    -------
    same type as `data`
        In one over the unit of E. ``attrs["normalization"]`` says by which rule, factor
        and mass; ``attrs["normalization_std"]`` is the relative error of the factor by
        counting: it is common to all bins, and ``S_std_common`` keeps it apart.
        ``attrs["normalization_spread"]`` is the relative standard deviation of the
        factors that single Q give, weighted as they count, and
        ``attrs["normalization_Q"]`` the Q that were used. ``attrs["beware"]`` says
        where the incoherent rule was applied to what scatters coherently, or S(Q) is of
        another sample.

    Raises
    ------
    RangeError
        If no bin of Q holds the whole range of E, or the sum is not positive; if E = 0
        is not in the range of a rule of ∫S dE, or nothing of E ≥ 0 in that of the
        f-sum.
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
    >>> g = xbp.new_dataset("vibrational_dos", E**2, units="1", coords={"E": (E, "meV")}, temperature="300 K")
    >>> S = g.bp.multiphonon_sqe(np.arange(1.0, 5.0), composition="V")
    >>> for rule, mass in (("incoherent", None), ("f-sum", "50.9415 u")):
    ...     back = S.bp.scale(40).bp.normalize_to_sum_rule(rule, mass=mass)
    ...     print(round(float((back.S / S.S).mean()), 2))
    1.0
    1.0
    """
    require_choice("rule", rule, "incoherent", "structure factor", "f-sum")
    signal = read(data, "dynamic_structure_factor")
    if "Q" not in signal.value.dims:
        raise RangeError(
            f"'{signal.value.name}' has no dimension 'Q' (it has "
            f"{tuple(signal.value.dims)})",
            reason="the rule holds at each Q, and the f-sum grows with Q²",
            fix="normalize S(Q,E) first, then cut: "
            "data.bp.normalize_to_sum_rule(...).bp.cut_Q(...)",
        )
    energies(signal.value)
    atomic, whence = (
        sample_mass(signal, mass, composition)
        if rule == "f-sum"
        else (resolve_mass(mass, composition), None)
    )
    if (atomic is None) == (rule == "f-sum") or (sq is None) == (
        rule == "structure factor"
    ):
        raise QuantityError(
            f"rule={rule!r} with mass={mass!r}, composition={composition!r} and "
            f"{'no ' * (sq is None)}S(Q)",
            reason="the f-sum rule needs the mass, the structure factor S(Q), the "
            "incoherent one neither",
            fix="rule='f-sum', mass='50.94 u', or rule='structure factor', sq=sq, or "
            "rule='incoherent'",
        )
    q = signal.value["Q"]
    q_in = q.values * convert_factor(
        q.attrs["units"], "1/angstrom", name="coordinate 'Q'"
    )
    right = xr.DataArray(np.ones(q.size), dims="Q")
    factor_of_e: xr.DataArray | None = None
    if rule == "f-sum" or one_sided(signal.value):
        factor_of_e = _both_sides(signal, T, rule)
    if rule == "f-sum" and signal.value.attrs.get("statistics") == "quantum":
        require_sign(
            signal.value,
            signal.std,
            resolve_temperature(signal.value, T),
            reversed_below,
        )
    if atomic is not None:
        right = xr.DataArray(constants.HBAR2_OVER_2U / atomic * q_in**2, dims="Q")
    if sq is not None:
        other = read(sq, "static_structure_factor")
        if "Q" not in other.value.dims or not set(other.value.dims) <= set(
            signal.value.dims
        ):
            raise RangeError(
                f"S(Q) is over {other.value.dims}",
                reason="each spectrum is normalized by one S(Q)",
                fix="choose one: sq.isel(...)",
            )
        per_q = convert_factor(
            q.attrs["units"], other.value["Q"].attrs["units"], name="coordinate 'Q'"
        )
        known, _ = interpolate(other.value, None, "Q", q.values * per_q)
        right = known.drop_vars(list(known.coords)) * convert_factor(
            other.units, "1", name="S(Q)"
        )
        right = right.where(abs(right) < np.inf)
    if rule != "f-sum":
        _require_line(signal, E_range)
    left, left_std, weight = _moment(signal, E_range, Q_range, factor_of_e)
    weight = weight.where(right.notnull(), 0.0)
    if rule == "f-sum" and atomic is not None:
        weight = with_recoil_inside(
            signal, weight, atomic, T, E_range, q_in, most_missing
        )
    total = (weight * left).sum("Q")
    if not (weight.sum("Q") > 0).all() or not (total > 0).all():
        raise RangeError(
            "the sum over E and Q is not positive",
            reason="there is no intensity, or S(Q) is not known where it was measured",
            fix="look at E_range and Q_range, and at the background",
        )
    error = None
    if left_std is not None:
        error = ((weight * left_std) ** 2).sum("Q") ** 0.5 / total
    factor = (weight * right.where(weight > 0, 0.0)).sum("Q") / total
    if not ((factor > 0) & (factor < np.inf)).all():
        raise RangeError(
            f"the factor is {_written(factor)}",
            reason="sums over E and Q are beyond what a number holds, or S(Q) is not "
            "positive",
            fix="scale the data first, data.bp.scale(1e-6), and see that S(Q) tends "
            "to 1",
        )
    spread = spread_over_Q(right / left.where(left != 0), weight * left, factor)
    used_q = q.values[(weight > 0).any([d for d in weight.dims if d != "Q"]).values]
    coherent = coherent_part(signal) if rule == "incoherent" else None
    beware = (
        coherent
        and f"normalized by ∫S dE = 1, but {coherent}: then ∫S dE is S(Q), which "
        "needs its sq="
    )
    if sq is not None:
        beware = another_sample(signal, other)
    classical = (
        " of classical data"
        if rule == "f-sum" and signal.value.attrs["statistics"] == "classical"
        else ""
    )
    attrs = {
        "energy_zero": "used by normalize_to_sum_rule",
        "normalization_std": None if error is None else float(error.max()),
        "normalization": f"by the {rule} rule{classical}, times {_written(factor)}"
        + (f", M = {atomic:.6g} u ({whence})" if atomic is not None else ""),
        "normalization_spread": spread,
        "normalization_Q": f"{used_q[0]:.6g} to {used_q[-1]:.6g} {q.attrs['units']}",
        "beware": beware,
    }
    if spread > most_spread:
        attrs |= diagnosed(
            signal.value.attrs,
            Diagnostic(
                "sum_rule_spread", "warning",
                f"the {rule} factors of single Q scatter by {100 * spread:.3g} % "
                "about the common factor",
                "check background, multiple scattering and E_range, or narrow Q_range",
            ),
        )  # fmt: skip
    units = format_unit(parse_unit(signal.value["E"].attrs["units"]) ** -1)
    used = {
        "rule": rule, "E_range": E_range, "Q_range": Q_range, "mass": None if atomic is None else f"{atomic:.10g} "
                                                                                                  "u",
        "composition": composition, "T": T, "factor": factor.values.tolist(),
    }  # fmt: skip
    errors = (
        {}
        if error is None
        else {
            fingerprint(
                "sum rule", *(f"{one:.9g}" for one in factor.values.ravel())
            ): error
        }
    )
    answer: Data = _scaled(
        signal, factor, units, "normalize_to_sum_rule", attrs, used, errors
    )
    return answer


def _written(factor: xr.DataArray) -> str:
    low, high = float(factor.min()), float(factor.max())
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def _moment(
    signal: Signal, E_range: Any, Q_range: Any, by_energy: xr.DataArray | None
) -> tuple[xr.DataArray, xr.DataArray | None, xr.DataArray]:
    """Return ∫S dE (times a function of E) and its std over Q, and the width of the bins of Q where it is whole."""
    value = signal.value
    energies(value)
    if "Q" not in value.dims:
        raise RangeError(
            f"'{value.name}' has no dimension 'Q'",
            reason="the sums are over E and Q",
            fix="pass S(Q,E) before a cut",
        )
    window = select_range(signal.source, "E", E_range, name="E_range")
    if by_energy is not None:
        window &= value["E"].values >= 0
    lower, upper = bin_limits(signal.source, "E")
    units = value["E"].attrs["units"]
    if not window.any():
        reach = f"{lower[0]:.4g} to {upper[-1]:.4g} {units}"
        raise RangeError(
            f"{'the data' if E_range is None else f'E_range={E_range!r}'} hold no "
            "energy" + (" E ≥ 0" if by_energy is not None else ""),
            reason=f"the data reach from {reach}, and the side of energy gain follows "
            "from that of loss",
            fix="pass S(Q,E) with E ≥ 0 in it, and an E_range that holds a part of "
            "that",
        )
    measure = xr.DataArray(upper - lower, dims="E")
    if by_energy is not None:
        measure = measure * by_energy
    bare = [c for c in value.coords if {"Q", "E"} & set(value[c].dims)]
    part, measure = value.drop_vars(bare).isel(E=window), measure.isel(E=window)
    # A bin that overflowed holds no number.
    whole = (abs(part) < np.inf).all("E").compute()
    q_lower, q_upper = bin_limits(signal.source, "Q")
    chosen = np.where(
        select_range(signal.source, "Q", Q_range, name="Q_range"),
        q_upper - q_lower,
        0.0,
    )
    weight = whole * xr.DataArray(chosen, dims="Q")
    if not (weight.sum("Q") > 0).all():
        _refuse_parts(part, value["E"].values[window], weight, units)
    left = (part * measure).sum("E").where(whole, 0.0).compute()
    if signal.std is None:
        return left, None, weight
    std = std_along(signal.std, "Q", "E").drop_vars(bare).isel(E=window)
    return (
        left,
        (((std * measure) ** 2).sum("E") ** 0.5).where(whole, 0.0).compute(),
        weight,
    )


def _require_line(signal: Signal, E_range: Any) -> None:
    """Refuse to take an integral without the elastic line for that of all."""
    window = select_range(signal.source, "E", E_range, name="E_range")
    lower, upper = bin_limits(signal.source, "E")
    if window.any():
        require_elastic(lower[window], upper[window], signal.value["E"].attrs["units"])


def _refuse_parts(
    part: xr.DataArray, E: np.ndarray, weight: xr.DataArray, units: str
) -> NoReturn:
    """Say how much is known at the best Q, and of how many maps nothing is whole."""
    lost = ~(weight.sum("Q") > 0)
    known = (
        (abs(part) < np.inf)
        .where(lost, False)
        .transpose("E", ...)
        .values.reshape(E.size, -1)
    )
    best = known[:, int(known.sum(axis=0).argmax())]
    where = (
        f", from {E[best][0]:.4g} to {E[best][-1]:.4g} {units}" if best.any() else ""
    )
    of = (
        f" in {int(lost.sum())} of {lost.size} maps over {tuple(lost.dims)}"
        if lost.ndim
        else ""
    )
    raise RangeError(
        f"no bin of Q holds all of the range of E, {E[0]:.4g} to {E[-1]:.4g} "
        f"{units}{of}",
        reason=f"at best {best.sum()} of {E.size} bins hold a number{where}, and a "
        "sum over a part would pass for the "
        "whole",
        fix="narrow E_range to what was measured, or widen Q_range; ∫S dE before "
        "mask_elastic" + ("; leave such a map out, data.isel(...)" if of else ""),
    )


def _both_sides(signal: Signal, T: Any, rule: Rule) -> xr.DataArray:
    """Return what S at E ≥ 0 is multiplied by, so that its integral is that over both signs."""
    value = signal.value
    to_mev = energies(value)
    E = xr.DataArray(value["E"].values * to_mev, dims="E")
    quantum = check_statistics(value.attrs.get("statistics")) == "quantum"
    x: Any = 0.0 * E
    if quantum or rule == "f-sum":
        x = (E / (constants.BOLTZMANN_MEV * resolve_temperature(value, T))).clip(
            min=0.0
        )
    if rule == "f-sum":
        return xr.DataArray(E * (-np.expm1(-x) if quantum else x))
    lower, upper = bin_limits(signal.source, "E")
    return xr.DataArray(
        1
        + np.exp(-x) * xr.DataArray(mirrored(lower, upper) / (upper - lower), dims="E")
    )


def _moles(
    given: Any, name: str, composition: str | Mapping[str, float] | None
) -> float:
    """Return an amount in moles; of atoms where it is a mass."""
    _, units = split_quantity(given, name)
    if units is not None and parse_unit(units).is_compatible_with("g"):
        if composition is None:
            raise QuantityError(
                f"{name}={given!r} is a mass",
                reason="how many atoms it is follows from the composition",
                fix=f"composition='Zr46Cu46Al8', or {name}='0.1 mol'",
            )
        moles = magnitude(given, "g", name=name) / mass_of(composition)
    else:
        moles = magnitude(given, "mol", name=name, default="1")
    if not moles > 0:
        raise QuantityError(
            f"{name} is {moles:g} mol",
            reason="something was in the beam",
            fix="give it as '0.1 mol'",
        )
    return float(moles)


def _scaled(
    signal: Signal, factor: xr.DataArray, units: str, operation: str, attrs: dict[str, Any], used: dict[str, Any],
    errors: Mapping[str, xr.DataArray],
) -> Any:  # fmt: skip
    """Multiply by a factor, whose relative errors all bins share."""
    order = signal.value.dims
    plain = factor.drop_vars(list(factor.coords)).variable
    value = signal.value.copy(
        data=(signal.value.variable * plain).transpose(*order).data
    )
    std = (
        None
        if signal.std is None
        else signal.std.copy(data=(signal.std.variable * plain).transpose(*order).data)
    )
    common = {
        source: value.variable * error.variable for source, error in errors.items()
    }
    return signal.answer(
        value,
        std,
        operation=operation,
        arguments=used,
        units=units,
        attrs=attrs,
        common=common,
    )
