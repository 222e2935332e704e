"""S(Q,E) → G(Q,E) → B(Q,E) and back.

One separable factor, in every published convention.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import check_statistics, resolve_temperature, resolve_u2
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.models.factors import CONVENTIONS, GAIN_INFORMS, Convention
from xbp.reduction.imaginary import real_modes
from xbp.reduction.separable import (
    POWERS,
    common_of_conditions,
    errors_of_conditions,
    factors_of,
    has_n,
)
from xbp.reduction.sign import REVERSED_BELOW, require_sign

__all__ = ["to_bqe", "to_convention", "to_gdos", "to_sqe"]

_QUANTITY: dict[Convention, str] = {
    "E*n*S/Q^2": "generalized_dos",
    "n*S/(E*Q^2)": "reduced_dos",
    "S*E/Q": "generalized_dos",
    "S*n/(E*Q)": "reduced_dos",
}
_GDOS: Convention = "E*n*S/Q^2"
_BQE: Convention = "n*S/(E*Q^2)"


@operation(
    takes=("dynamic_structure_factor", "reduced_dos", "generalized_dos"),
    gives="generalized_dos",
    over="QE",
    step=10,
    suggested="dynamic_structure_factor",
)
@carries_common_errors(linear=True)
def to_gdos(
    data: Data,
    T: Any = None,
    u2: Any = None,
    *,
    u2_total: Any = None,
    msd: Any = None,
    B_iso: Any = None,
    T_std: Any = None,
    u2_std: Any = None,
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    r"""Return the generalized density of states G(Q,E).

    .. math:: G(Q,E) = e^{Q^2u^2} \frac{E}{Q^2} \langle n\rangle S(Q,E), \quad
              \langle n\rangle = 1 - e^{-E/k_BT}

    For classical data ⟨n⟩ becomes E/k_BT. E⟨n⟩S is even in E for data that obey
    detailed balance: G(−E) = G(E) is a free test of measured ones, as far as energy
    gain tells anything. Below E = −3 k_BT the answer is NaN, for ⟨n⟩ grows as e^(−x)
    there and makes 10²⁵ and more of the background of a cold sample; `fold` leaves the
    same out.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) (``dynamic_structure_factor``) with ``attrs["statistics"]``, or B(Q,E);
        dimensions Q and E in any order, and any further ones.
    T : scalar with units, optional
        Temperature (bare: K), where the data do not carry it.
    u2 : scalar or array with units, optional
        Mean-square displacement **per axis** (bare: inverse square of the data's Q
        unit), where the data do not carry it; the elastic line falls as exp(−Q²u²).
    u2_total, msd, B_iso : scalar or array with units, optional
        The same displacement in other conventions, instead of `u2`: ⟨u²⟩ = 3u²,
        ``⟨|r(t)−r(0)|²⟩`` = 6u², B = 8π²u².
    reversed_below : float, optional
        (S(E) − S(−E))/(S(E) + S(−E)) is k tanh(E/2k_BT) with k = 1, and −1 where the
        sign of E is reversed. Where k, fitted from the end of the elastic line to 3
        k_BT, is below this and five of its standard deviations below 0, the data are
        refused. None: not looked at.
    T_std, u2_std : scalar or array with units, optional
        Standard deviations of T (bare: K) and of u² per axis (bare: as `u2`), where the
        data do not carry the coordinates ``temperature_std`` and ``u2_std``. Each is
        one error that all bins share: ``G_std_common`` keeps it apart. Without them T
        and u² are taken as exact.

    Returns
    -------
    same type as `data`
        G(Q,E), in E·S/Q² of the data's own units (angstrom² for S in 1/meV); a Dataset
        with ``G_std``. NaN at Q = 0, and of quantum data below −3 k_BT, which
        ``history``, ``attrs["energy_gain"]`` and what is printed say where the data
        reach there.

    Raises
    ------
    TemperatureError, UnitsError, QuantityError, CoordinateError
        If T, u² or the kind of statistics is missing or contradictory, the data do not
        follow the data model, or their E has the other sign.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 1.

    Examples
    --------
    >>> import xbp
    >>> G = xbp.tutorial.open_dataset("zr46cu46al8_md").S.bp.to_gdos()
    >>> G.name, G.attrs["units"]
    ('G', 'angstrom**2')
    """
    errors = {"T_std": T_std, "u2_std": u2_std}
    return _reform(
        data,
        _GDOS,
        "to_gdos",
        reversed_below,
        T=T,
        u2=u2,
        u2_total=u2_total,
        msd=msd,
        B_iso=B_iso,
        **errors,
    )


@operation(
    takes=(
        "dynamic_structure_factor",
        "generalized_dos",
        "vibrational_dos",
        "reduced_dos",
    ),
    gives="reduced_dos",
    over="E",
    step=11,
    suggested=("dynamic_structure_factor", "generalized_dos", "vibrational_dos"),
    when=lambda s: "Q" in s.dims or s.attrs["quantity"] != "dynamic_structure_factor",
)
@carries_common_errors(linear=True)
def to_bqe(
    data: Data,
    T: Any = None,
    u2: Any = None,
    *,
    u2_total: Any = None,
    msd: Any = None,
    B_iso: Any = None,
    T_std: Any = None,
    u2_std: Any = None,
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    r"""Return the reduced density of states B(Q,E) = G(Q,E)/E².

    .. math:: B(Q,E) = -e^{Q^2u^2} \frac{\mathrm{expm1}(-E/k_BT)}{E\,Q^2} S(Q,E)

    From S(Q,E) it is evaluated in one step and finite at E = 0, where it is
    exp(Q²u²) S/(Q²k_BT). From G(Q,E) the bin at E = 0 is 0/0 and comes out NaN.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), or G(Q,E) or G(E), or g(E) (giving g(E)/E²).
    T, u2, u2_total, msd, B_iso, T_std, u2_std, reversed_below
        As for `to_gdos`; not needed from G or g. Energies E < 0 of a g(E), imaginary
        modes, are left out, which `diagnostics` lists.

    Returns
    -------
    same type as `data`
        B, in the units of G/E²; a Dataset with ``B_std``. NaN below −3 k_BT as for
        `to_gdos`.

    Raises
    ------
    XbpError
        As for `to_gdos`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 1 over E².

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").S.bp.to_bqe()
    >>> B.attrs["units"], bool(B.sel(E=0).notnull().all())
    ('angstrom**2/meV**2', True)
    """
    errors = {"T_std": T_std, "u2_std": u2_std}
    return _reform(
        data,
        _BQE,
        "to_bqe",
        reversed_below,
        T=T,
        u2=u2,
        u2_total=u2_total,
        msd=msd,
        B_iso=B_iso,
        **errors,
    )


@operation(
    takes=("generalized_dos", "reduced_dos", "dynamic_structure_factor"),
    gives="dynamic_structure_factor",
    over="QE",
    step=32,
    suggested=("generalized_dos", "reduced_dos"),
)
@carries_common_errors(linear=True)
def to_sqe(
    data: Data,
    T: Any = None,
    u2: Any = None,
    *,
    u2_total: Any = None,
    msd: Any = None,
    B_iso: Any = None,
    T_std: Any = None,
    u2_std: Any = None,
) -> Data:
    r"""Return S(Q,E) from G(Q,E) or B(Q,E): the inverse of `to_gdos` and `to_bqe`.

    .. math:: S(Q,E) = E\,Q^2 e^{-Q^2u^2} \langle n\rangle^{-1} B(Q,E)

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        G(Q,E) or B(Q,E) in any of the conventions, with ``attrs["statistics"]`` saying
        whether quantum or classical S is meant.
    T, u2, u2_total, msd, B_iso, T_std, u2_std
        As for `to_gdos`; data made by xbp carry them.

    Returns
    -------
    same type as `data`
        S(Q,E); NaN at E = 0 if it comes from G, which holds nothing there, and where G
        or B are NaN.

    Raises
    ------
    XbpError
        As for `to_gdos`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 3.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> bool(np.allclose(S, S.bp.to_bqe().bp.to_sqe(), rtol=1e-12))
    True
    """
    errors = {"T_std": T_std, "u2_std": u2_std}
    return _reform(
        data,
        None,
        "to_sqe",
        None,
        T=T,
        u2=u2,
        u2_total=u2_total,
        msd=msd,
        B_iso=B_iso,
        **errors,
    )


@operation(takes=("dynamic_structure_factor", "generalized_dos", "reduced_dos"))
@carries_common_errors(linear=True)
def to_convention(
    data: Data,
    convention: Convention,
    T: Any = None,
    u2: Any = None,
    *,
    u2_total: Any = None,
    msd: Any = None,
    B_iso: Any = None,
    T_std: Any = None,
    u2_std: Any = None,
    reversed_below: float | None = REVERSED_BELOW,
) -> Data:
    """Return S(Q,E) reduced as another publication has it.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), or any reduction of it.
    convention : {"S*E/Q", "S*n/(E*Q)", "E*n*S/Q^2", "n*S/(E*Q^2)"}
        n stands for ⟨n⟩ = 1 − exp(−E/k_BT). The first two carry no Debye–Waller factor;
        the last two are `to_gdos` and `to_bqe`, which do.
    T, u2, u2_total, msd, B_iso, T_std, u2_std, reversed_below
        As for `to_gdos`; only what the convention needs is asked for.

    Returns
    -------
    same type as `data`
        ``generalized_dos`` or ``reduced_dos`` with ``attrs["convention"]``.

    Raises
    ------
    QuantityError
        If the convention is not one of these; otherwise as for `to_gdos`.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> S.bp.to_convention("S*E/Q").attrs["units"]
    'angstrom'
    """
    if convention not in CONVENTIONS:
        raise QuantityError(
            f"convention={convention!r} is not known",
            reason=f"xbp knows {', '.join(map(repr, CONVENTIONS))}",
            fix="choose one of them; n stands for 1 - exp(-E/kT)",
        )
    errors = {"T_std": T_std, "u2_std": u2_std}
    return _reform(
        data,
        convention,
        "to_convention",
        reversed_below,
        T=T,
        u2=u2,
        u2_total=u2_total,
        msd=msd,
        B_iso=B_iso,
        **errors,
    )


def _reform(
    data: Data,
    target: Convention | None,
    operation: str,
    reversed_below: float | None,
    *,
    T: Any,
    T_std: Any,
    u2_std: Any,
    **u2: Any,
) -> Data:
    """Multiply by factor(target)/factor(source), where S itself (None) has the factor 1."""
    signal = read(
        data,
        "dynamic_structure_factor",
        "generalized_dos",
        "reduced_dos",
        "vibrational_dos",
    )
    signal = real_modes(signal)
    value = signal.value
    source = _source_convention(signal, target)
    arguments: dict[str, Any] = (
        {"convention": target} if operation == "to_convention" else {}
    )
    # g(E)/E² is no reduction of S(Q,E), so it is in none of these conventions.
    kept: dict[str, Any] = {
        "convention": None if signal.quantity.name == "vibrational_dos" else target
    }

    common: dict[str, xr.Variable] = {}
    if source == target:
        factors: list[xr.Variable] = []
        coords: dict[str, Any] = {}
    elif {source, target} == {_GDOS, _BQE} or signal.quantity.name == "vibrational_dos":
        # G and B differ by E² alone: neither T nor u² need be known.
        _require_dims(value, "E")
        power = -2 if target == _BQE else 2
        with np.errstate(divide="ignore"):
            factor = value["E"].values.astype(float) ** power
        factors = [xr.Variable("E", np.where(np.isinf(factor), np.nan, factor))]
        coords = {}
    else:
        _require_dims(value, "E", "Q")
        factors, coords, used = _via_s(value, source, target, T, u2)
        if source is None and has_n(target) and value.attrs["statistics"] == "quantum":
            require_sign(
                value, signal.std, xr.DataArray(coords["temperature"]), reversed_below
            )
        errors = errors_of_conditions(
            value, coords, {"temperature": T_std, "u2": u2_std}
        )
        used |= {f"{'T' if name == 'temperature' else name}_std": _describe(xr.DataArray(error), error.attrs["units"])
                 for name, error in errors.items()}  # fmt: skip
        if errors and signal.std is not None:
            common = common_of_conditions(value, source, target, coords, errors)
        coords |= {f"{name}_std": error for name, error in errors.items()}
        arguments |= used
        kept |= {"energy_gain": used.get("energy_gain", value.attrs.get("energy_gain"))}

    units = _target_units(signal, source, target)
    out = _multiply(value, factors).assign_coords(coords)
    std = (
        None
        if signal.std is None
        else _multiply(signal.std, [abs(factor) for factor in factors])
    )
    quantity = _QUANTITY[target] if target else "dynamic_structure_factor"
    answer: Data = signal.answer(
        out,
        std,
        operation=operation,
        arguments=arguments,
        units=units,
        quantity=quantity,
        attrs=kept,
        common=common,
    )
    return answer


def _source_convention(signal: Signal, target: Convention | None) -> Convention | None:
    name = signal.quantity.name
    if name == "dynamic_structure_factor":
        return None
    if name == "vibrational_dos":
        if target != _BQE:
            raise QuantityError(
                f"'{signal.value.name}' is a vibrational density of states",
                reason="it holds no Q and is not to be had from, or turned into, "
                "G(Q,E) by a factor",
                fix="g.bp.to_bqe() gives g(E)/E^2; pass S(Q,E) for G(Q,E)",
            )
        return _GDOS
    convention = signal.value.attrs.get("convention")
    if convention not in CONVENTIONS or _QUANTITY[convention] != name:
        raise QuantityError(
            f"'{signal.value.name}' has attrs['convention'] = {convention!r}",
            reason=f"a {name} is made from S(Q,E) in more than one way",
            fix="say which: data.attrs['convention'] = "
            f"'{_GDOS if name == 'generalized_dos' else _BQE}' (xbp's own)",
        )
    known: Convention = convention
    return known


def _require_dims(value: xr.DataArray, *dims: str) -> None:
    for dim in dims:
        if dim not in value.dims:
            raise CoordinateError(
                f"'{value.name}' has no dimension '{dim}' (it has {tuple(value.dims)})",
                reason=f"the factor depends on {dim}, and a mean over {dim} cannot be "
                "reduced afterwards",
                fix="reduce first, then cut: data.bp.to_gdos(...).bp.cut_Q(...)",
            )


def _via_s(
    value: xr.DataArray,
    source: Convention | None,
    target: Convention | None,
    T: Any,
    u2: dict[str, Any],
) -> tuple[list[xr.Variable], dict[str, Any], dict[str, Any]]:
    """Return the factors in E and in Q, the coordinates they rest on, and the arguments used."""
    involved = [c for c in (source, target) if c is not None]
    coords: dict[str, Any] = {}
    used: dict[str, Any] = {}
    temperature, displacement = xr.DataArray(0.0), xr.DataArray(0.0)
    if has_n(source) or has_n(target):
        check_statistics(value.attrs.get("statistics"))
        temperature = resolve_temperature(value, T)
        coords["temperature"] = temperature.variable
        used["T"] = _describe(temperature, "K")
    if any("Q^2" in c for c in involved):
        displacement = resolve_u2(value, **u2)
        coords["u2"] = displacement.variable
        used["u2"] = _describe(displacement, "angstrom**2")
    for name, variable in coords.items():
        variable.attrs = {
            "units": COORDINATES[name][0],
            "long_name": COORDINATES[name][1],
        }

    by_energy, by_momentum = factors_of(
        value, source, target, temperature, displacement
    )
    to_mev = convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    limit = -GAIN_INFORMS * constants.BOLTZMANN_MEV / to_mev * temperature
    quantum = value.attrs.get("statistics", "quantum") == "quantum"
    if (
        has_n(target)
        and not has_n(source)
        and quantum
        and bool((value["E"].variable < limit.variable).any())
    ):
        used["energy_gain"] = (
            f"NaN below {_describe(limit, value['E'].attrs['units'], 3)} (3 k_BT)"
        )
    return [by_energy, by_momentum], coords, used


def _describe(array: xr.DataArray, units: str, digits: int = 10) -> str:
    values = np.unique(array.values)
    span = (
        f"{values[0]:.{digits}g}"
        if values.size == 1
        else f"{values[0]:.{digits}g}...{values[-1]:.{digits}g}"
    )
    return f"{span} {units}"


def _target_units(
    signal: Signal, source: Convention | None, target: Convention | None
) -> str:
    if source == target:
        return signal.units
    unit = parse_unit(signal.units)
    if "E" in signal.value.coords:
        energy = parse_unit(signal.value["E"].attrs["units"])
        unit *= energy ** (_power(target, 0) - _power(source, 0))
    q_power = _power(target, 1) - _power(source, 1)
    if q_power:
        unit *= (
            parse_unit(signal.value["Q"].attrs["units"], like="1/angstrom") ** q_power
        )
    return format_unit(unit)


def _power(convention: Convention | None, axis: int) -> int:
    return 0 if convention is None else POWERS[convention][axis]


def _multiply(array: xr.DataArray, factors: list[xr.Variable]) -> xr.DataArray:
    """Multiply by each factor in turn, in place after the first.

    One new array, whatever its size.
    """
    out = array.variable
    for i, factor in enumerate(factors):
        if i == 0:
            out = (out * factor).transpose(*array.dims)
        else:
            out *= factor
    return xr.DataArray(out, coords=array.coords, name=array.name)
