"""S(Q,E) → G(Q,E) → B(Q,E) and back: one separable factor in every convention."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.condition_errors import ERRORS, needed_conditions
from xbp.core.conditions import (
    dimension_of,
    resolve,
    statistics_of,
    temperature_coordinate,
)
from xbp.core.data import Data, require_dims
from xbp.core.errors import CoordinateError, QuantityError
from xbp.core.guards import choose
from xbp.core.numbers import span
from xbp.core.operation import operation
from xbp.core.schema import per_unit
from xbp.core.signal import read
from xbp.core.status import Diagnostic, diagnosed
from xbp.core.units import times_powers
from xbp.models.dimension import REDUCED
from xbp.models.factors import CONVENTIONS, GAIN_INFORMS, Convention
from xbp.reduction.conventions import (
    FORMS,
    GDOS,
    NO_Q,
    common_of_conditions,
    form_factors,
    with_factors,
)
from xbp.reduction.dos_area import real_modes
from xbp.reduction.sign import REVERSED_BELOW, with_right_sign

__all__ = ["leave_temperature", "to_bqe", "to_convention", "to_gdos", "to_sqe"]

_KINDS = ("dynamic_structure_factor", "generalized_dos", "reduced_dos")
#: These differ by powers of E alone.
_BY_POWERS = (GDOS, *REDUCED.values())


@operation(
    takes=_KINDS,
    gives="generalized_dos",
    over="QE",
    step=10,
    suggested="dynamic_structure_factor",
    needs=("temperature", "u2", "statistics"),
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
    detailed balance, so that G(−E) = G(E) is a free test of measured data. Below E =
    −3 k_BT the answer is NaN: ⟨n⟩ grows as e^(−x) there and amplifies the background of
    a cold sample, by 10²⁵ and more; `fold` leaves out the same energies.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E) with ``attrs["statistics"]``, or B(Q,E); any further dimensions.
    T : scalar with units, optional
        Temperature (bare: K), where the data do not carry it.
    u2 : scalar or array with units, or table of `debye_waller`, optional
        Mean-square displacement **per axis** (bare: inverse square of the data's Q
        unit), where the data do not carry it; the elastic line falls as exp(−Q²u²).
        The error in a table comes with it.
    u2_total, msd, B_iso : scalar or array with units, optional
        The same displacement in other conventions, instead of `u2`: ⟨u²⟩ = 3u²,
        ``⟨|r(t)−r(0)|²⟩`` = 6u², B = 8π²u².
    reversed_below : float, optional
        (S(E) − S(−E))/(S(E) + S(−E)) is k tanh(E/2k_BT), fitted from the elastic line
        to 3 k_BT. By five standard deviations, k below this (−1: E reversed), or beyond
        ±1/2 in classical data, is refused; k outside 1/2 to 2 is a diagnostic.
    T_std, u2_std : scalar or array with units, optional
        Standard deviations of T (bare: K) and of u² per axis (bare: as `u2`), where
        neither the data nor `u2` carry the coordinates ``temperature_std`` and
        ``u2_std``. Each is one error that all bins share: ``G_std_common`` keeps it
        apart. Without them T and u² are taken as exact.

    Returns
    -------
    same type as `data`
        G(Q,E), in E·S/Q² of the data's own units (angstrom² for S in 1/meV); a Dataset
        with ``G_std``. NaN at Q = 0, and for quantum data below −3 k_BT, which
        ``attrs["energy_gain"]`` records.

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
    return _reform(
        data, GDOS, "to_gdos", T, reversed_below, T_std=T_std, u2_std=u2_std, u2=u2,
        u2_total=u2_total, msd=msd, B_iso=B_iso,
    )  # fmt: skip


@operation(
    takes=(*_KINDS, "vibrational_dos"),
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
    r"""Return the reduced density of states B(Q,E) = G(Q,E)/E², in a plane G/\|E\|.

    .. math:: B(Q,E) = -e^{Q^2u^2} \frac{\mathrm{expm1}(-E/k_BT)}{E\,Q^2} S(Q,E)

    From S(Q,E) it is evaluated in one step and at E = 0 is exp(Q²u²) S/(Q²k_BT), in a
    plane of atoms, where Debye's g ∝ E, 0. From G(Q,E) that bin is 0/0 and NaN.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S(Q,E), or G(Q,E) or G(E), or g(E) (giving g(E)/E², or g(E)/E).
    T, u2, u2_total, msd, B_iso, T_std, u2_std, reversed_below
        As for `to_gdos`; not needed from G or g. Energies E < 0 of a g(E), imaginary
        modes, are left out, which `diagnostics` lists.

    Returns
    -------
    same type as `data`
        B, in the units of G/E² (G/E); a Dataset with ``B_std``. NaN below −3 k_BT as
        for `to_gdos`.

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
    return _reform(
        data, "reduced_dos", "to_bqe", T, reversed_below, T_std=T_std, u2_std=u2_std,
        u2=u2, u2_total=u2_total, msd=msd, B_iso=B_iso,
    )  # fmt: skip


@operation(
    takes=_KINDS,
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

    At a temperature other than that of the data, the vibrations are taken as harmonic:
    B stays, ⟨n⟩ and u² are those of the new temperature.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        G(Q,E) or B(Q,E) in any of the conventions, with ``attrs["statistics"]`` saying
        whether quantum or classical S is meant.
    T : scalar with units, optional
        Temperature of S (bare: K); by default that of the data. If it is another one,
        `diagnostics` lists it as ``harmonic``.
    u2, u2_total, msd, B_iso, T_std, u2_std
        As for `to_gdos`; data made by xbp carry them. At another temperature u² stays
        unless it is given.

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
    given = any(one is not None for one in (u2, u2_total, msd, B_iso))
    return _reform(
        leave_temperature(data, T, u2_stays=not given), None, "to_sqe", T, None,
        T_std=T_std, u2_std=u2_std, u2=u2, u2_total=u2_total, msd=msd, B_iso=B_iso,
    )  # fmt: skip


def leave_temperature(data: Data, T: Any, *, u2_stays: bool) -> Data:
    """Take their temperature off data that are wanted at another, and record it.

    Raises
    ------
    TemperatureError, CoordinateError
        If `T` is not positive, or the data are over several temperatures.
    """
    value = read(data, *_KINDS).value
    if T is None or "temperature" not in value.coords:
        return data
    own, new = resolve(value, "temperature").variable, temperature_coordinate(T)
    if np.allclose(own, new, rtol=1e-6, atol=0):
        return data
    if "temperature" in value.dims:
        raise CoordinateError(
            f"'{value.name}' has {own.size} temperatures; one is needed",
            fix="data.isel(temperature=0)",
        )
    text = f"converted from {span(own, 'K')} to {span(new, 'K')} as harmonic vibrations"
    note = Diagnostic("harmonic", "info", f"{text}: B(Q,E) does not change")
    gone = ["temperature", "temperature_std", *([] if u2_stays else ["u2", "u2_std"])]
    out: Any = data.drop_vars(gone, errors="ignore")
    labels = diagnosed(value.attrs, note)
    if isinstance(out, xr.DataArray):
        noted: Any = out.assign_attrs(labels)
    else:
        name = str(value.name)
        noted = out.assign({name: out[name].assign_attrs(labels)})
    answer: Data = noted
    return answer


@operation(
    takes=_KINDS,
    gives="reduced_dos",
    over="E",
    step=11,
    suggested="dynamic_structure_factor",
    when=lambda s: "Q" not in s.coords,
    suggests=repr(NO_Q),
    needs=("temperature", "statistics"),
)
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
    convention : {"S*E/Q", "S*n/(E*Q)", "E*n*S/Q^2", "n*S/(E*Q^2)", "n*S/Q^2", "n*S/E"}
        n is ⟨n⟩ = 1 − exp(−E/k_BT). The first two carry no Debye–Waller factor; the
        next are `to_gdos` and `to_bqe`, in space and in a plane, which do. The last is
        for an S(E) without Q: it has the shape of g(E)/E² if S(E) is a sum over the
        same Q at every E, and phonons are scattered once.
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
    >>> summed = S.sum("Q", keep_attrs=True)
    >>> summed.bp.to_convention("n*S/E").attrs["units"]
    '1/meV**2'
    """
    choose(convention, CONVENTIONS, "convention")
    return _reform(
        data, convention, "to_convention", T, reversed_below, T_std=T_std,
        u2_std=u2_std, u2=u2, u2_total=u2_total, msd=msd, B_iso=B_iso,
    )  # fmt: skip


def _reform(
    data: Data,
    wanted: Convention | Literal["reduced_dos"] | None,
    operation: str,
    T: Any,
    reversed_below: float | None,
    *,
    T_std: Any,
    u2_std: Any,
    **u2: Any,
) -> Data:
    """Multiply by factor(target)/factor(source); S itself (None) has the factor 1."""
    signal = read(data, *_KINDS, "vibrational_dos")
    of_modes = signal.quantity.name == "vibrational_dos"
    reduced = REDUCED[dimension_of(signal.value)]
    target = reduced if wanted == "reduced_dos" else wanted
    signal = real_modes(signal) if of_modes else signal
    value = signal.value
    kind = signal.quantity.name
    source: Any = None
    if of_modes and target != reduced:
        raise QuantityError(
            f"'{value.name}' is g(E): it has no Q and cannot become G(Q,E)",
            fix="g.bp.to_bqe() gives g(E)/E^2",
        )
    if of_modes:
        source = GDOS
    elif kind != "dynamic_structure_factor":
        given: Any = value.attrs.get("convention")
        source = given if isinstance(given, str) else "none"
        if source not in CONVENTIONS or FORMS[source][0] != kind:
            own = GDOS if kind == "generalized_dos" else reduced
            raise QuantityError(
                f"attrs['convention'] = {given!r} does not fit '{value.name}'",
                fix=f"data.attrs['convention'] = '{own}', if that is right",
            )
    (_, e_old, q_old), (quantity, e_new, q_new) = FORMS[source], FORMS[target]
    arguments: dict[str, Any] = {}
    if operation == "to_convention":
        arguments["convention"] = target
    # g(E)/E² is not reduced from S(Q,E), so it has none of these conventions.
    attrs: dict[str, Any] = {"convention": None if of_modes else target}
    needed: set[str] = set()
    factors: tuple[xr.Variable, ...] = ()
    # Neither T nor u² need be known.
    by_powers = of_modes or {source, target} <= {*_BY_POWERS}
    reduces = source != target and not by_powers
    by_n = [c is not None and "n" in c for c in (source, target)]
    if reduces:
        dims = ("E", "Q") if "Q" in f"{source}{target}" else ("E",)
        fix = "reduce first, then cut: data.bp.to_gdos(...).bp.cut_Q(...)"
        if "Q" not in value.coords:
            fix = (
                f"data.bp.to_convention({NO_Q!r}) has the shape of g(E)/E^2, if it is "
                "a sum over the same Q at every E"
            )
        require_dims(value, dims, operation, error=CoordinateError, fix=fix)
        if any(by_n):
            statistics_of(value)  # refused if missing
            needed.add("temperature")
        if "Q^2" in f"{source}{target}":
            needed.add("u2")
    elif source != target:
        require_dims(value, "E", operation, error=CoordinateError)
        e, power = np.abs(value["E"].values.astype(float)), e_new - e_old
        multiplied = (
            e**power if power > 0 else 1 / np.where(e == 0, np.nan, e) ** -power
        )
        factors = (xr.Variable("E", multiplied),)
    coords, errors, doubts = needed_conditions(
        signal, needed, {"temperature": ({"T": T}, T_std), "u2": (u2, u2_std)}
    )
    common: dict[str, xr.Variable] = {}
    if reduces:
        factors = form_factors(value, source, target, coords)
        for name, coordinate in coords.items():
            label = "T" if name == "temperature" else name
            arguments[label] = span(coordinate, coordinate.attrs["units"])
        E = value.coords.variables["E"]
        if by_n == [False, True] and E.values[0] < 0:
            kelvin = xr.DataArray(coords["temperature"])
            if source is None:
                value, found = with_right_sign(
                    value, signal.std, kelvin, reversed_below
                )
                doubts += found
            kT = constants.BOLTZMANN_MEV * kelvin.values / per_unit(value, "E")
            limit = -GAIN_INFORMS * kT
            if value.attrs["statistics"] == "quantum" and E.values[0] < np.max(limit):
                gain = f"NaN below {span(limit, E.attrs['units'], 3)} (3 k_BT)"
                attrs["energy_gain"] = arguments["energy_gain"] = gain
        arguments |= {ERRORS[n]: span(e, e.attrs["units"]) for n, e in errors.items()}
        if doubts:
            attrs |= diagnosed(value.attrs, *doubts)
        if errors and signal.std is not None:
            common = common_of_conditions(value, source, target, coords, errors)
        coords |= {f"{name}_std": error for name, error in errors.items()}
    if target is None:
        attrs["energy_zero"] = f"used by {operation}"
    own_coords, std = value.coords.variables, signal.std
    answer: Data = signal.answer(
        with_factors(value.variable, factors),
        None if std is None else with_factors(std.variable, [abs(f) for f in factors]),
        operation=operation,
        arguments=arguments,
        units=times_powers(
            value.attrs["units"],
            *(own_coords[d].attrs["units"] if d in own_coords else "1" for d in "EQ"),
            e_new - e_old,
            q_new - q_old,
        ),
        quantity=quantity,
        attrs=attrs,
        coords=coords,
        common=common,
    )
    return answer
