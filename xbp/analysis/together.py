"""One model fitted to several data sets of one glass, such as C_p and g(E)."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.model_comparison import as_energy, energies_of, maximum_of
from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.data import unwrap
from xbp.core.errors import QuantityError
from xbp.core.grid import select_range
from xbp.core.guards import require_keys, require_kind, require_positive
from xbp.core.independence import independence, merged_bins, std_along, width_of_merged
from xbp.core.operation import operation
from xbp.core.signal import Signal, read, result_table
from xbp.core.status import FIT_LABELS, Status
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.fitting.fit import choices, named_curve
from xbp.fitting.many import Column, fit_everywhere
from xbp.fitting.over_bins import halves_of_bins, mean_of_model
from xbp.fitting.problem import Choices, Curve
from xbp.fitting.sampled import with_counting
from xbp.models.catalogue import find_model
from xbp.models.model import Model, parameter_units
from xbp.models.parameters import powers_of
from xbp.reduction.arithmetic import convert

__all__ = ["fit_together"]

SIGNALS = ("vibrational_dos", "reduced_dos", "heat_capacity", "reduced_heat_capacity")
#: Units of the values of the model of unit area, in each quantity.
_UNITS = {
    "vibrational_dos": "1/meV",
    "reduced_dos": "1/meV**3",
    "heat_capacity": "J/mol/K",
    "reduced_heat_capacity": "J/mol/K**4",
}


@dataclass(frozen=True)
class _Set:
    """One data set, in meV or K, and the model in its quantity.

    Attributes
    ----------
    row : Model
    x, y, std, half : numpy.ndarray, shape (n,)
        `half` is half the width of each bin, 0 of points.
    units : str
        Of y.
    powers : dict of str to float
        The factor from a parameter of g(E) in meV to that of `row`.
    electronic : numpy.ndarray, shape (n,)
        What γ = 1 J/mol/K² adds.
    """

    row: Model
    x: np.ndarray
    y: np.ndarray
    std: np.ndarray
    half: np.ndarray
    units: str
    powers: dict[str, float]
    electronic: np.ndarray

    def curve(self, p: Mapping[str, float], scale: float) -> np.ndarray:
        """Return the curve for parameters of g(E) in meV."""
        own = {name: p[name] * factor for name, factor in self.powers.items()}
        lattice = mean_of_model(self.row, self.x, self.half, own)
        return np.asarray(scale * (lattice + p["gamma"] * self.electronic))


@operation(takes=SIGNALS, gives="fit_together")
@carries_common_errors()
def fit_together(
    data: xr.DataArray | xr.Dataset,
    *others: xr.DataArray | xr.Dataset,
    model: str | Model,
    scales: Sequence[float | None] | None = None,
    E_range: Any = None,
    T_range: Any = None,
    start: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    number_density: Any = None,
    mass: Any = None,
    T: Any = None,
) -> xr.Dataset:
    r"""Fit one model of g(E) to several measurements of one glass at once.

    .. math:: \chi^2 = \sum_i \sum_n \left[\frac{y_{in} - s_i\,m_i(x_{in};
              \theta)}{\sigma_{in}}\right]^2

    The parameters θ are those of g(E), and the same for all: m_i is g(E), g/E², the
    heat capacity or C/T³ that follows from them (``Model.of``).

    Parameters
    ----------
    data, *others : xarray.DataArray or xarray.Dataset
        g(E), B(E) (also of a Raman spectrum), C_p(T) per mole of atoms or C_p/T³, each
        of one dimension and with errors, which weigh them against each other; those of
        simulated spectra are as in `fit`.
    model : str or Model
        A name of `xbp.models.MODELS`, such as "soft_oscillators_dos", or a Model made
        of them, of g(E) or of g/E².
    scales : sequence of float or None, optional
        The scale s of each data set; None for one that is fitted. By default 1 of a
        heat capacity, and fitted of a spectrum. One at least must be a number, or areas
        of the model and scales are not known apart.
    E_range, T_range : pair of scalars with units, optional
        Range of the energies of all spectra, and of the temperatures of all heat
        capacities.
    start, fixed, bounds : mapping, optional
        As for `compare_models`. ``gamma`` (J/mol/K²) is that of γT in the heat
        capacity, 0 unless it has a start, bounds or another value.
    number_density, mass, T : scalars with units, optional
        As for `compare_models`.

    Returns
    -------
    xarray.Dataset
        Every parameter, in meV and 1/meV, with its ``_std``; ``scale_1``, … of the data
        sets; ``correlation``, ``status``, ``limiting_parameter`` and ``chi2_reduced``
        as from `fit`; ``BIC``; ``E_BP``, its std and ``E_BP_status`` as from
        `compare_models`, within the energies of the spectra; ``chi2_per_point`` over
        ``data_set``: if one is far above 1, this data set does not agree with the
        model, or with the others. Of each data set ``measured_1``, ``measured_1_std``,
        ``fitted_1`` and ``residual_1`` over ``x_1``, ….

    Raises
    ------
    QuantityError
        If fewer than two data sets are given, or the same twice, one has no errors or
        several dimensions, the model is not one of g(E), or no scale is given.
    RangeError, UnitsError
        If a range contains no data, or units do not fit.

    Notes
    -----
    C_p is taken as C_V: at low temperature they do not differ.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> both = xbp.models.MODELS["debye_phonons_dos"] + (
    ...     xbp.models.MODELS["stringlets_dos"])
    >>> E, T = np.linspace(1, 12, 40), np.geomspace(2, 30, 30)
    >>> true = {"n_D": 0.8, "energy_D": 25.0, "area": 0.2, "energy_s": 18.0}
    >>> g = xbp.models.evaluate(both, E, **true)
    >>> g["g_std"] = (0.02 * g.g).assign_attrs(g.g.attrs)
    >>> kelvin = true | {"energy_D": 25 / 0.0861733, "energy_s": 18 / 0.0861733}
    >>> C = xbp.models.evaluate(both.of("heat_capacity"), T, **kelvin)
    >>> C["C_std"] = (0.01 * C.C).assign_attrs(C.C.attrs)
    >>> table = g.bp.scale(5).bp.fit_together(C, model=both)
    >>> str(table.status.values), round(float(table.scale_1), 3), round(
    ...     float(table.energy_s), 2)
    ('ok', 5.0, 18.0)
    """
    row = find_model(model)
    if row.quantity not in ("vibrational_dos", "reduced_dos"):
        raise QuantityError(f"{row.name} is a model of {row.quantity}, not of g(E)")
    row = row.of("vibrational_dos")
    plain, rewrap = unwrap(data)
    given = [plain, *others]
    signals = [_plain(one) for one in given]
    if len(given) < 2:
        raise QuantityError(
            "a joint fit needs at least two data sets; one is given",
            fix="g.bp.fit_together(C, …)",
        )
    sets = [_read(one, row, E_range, T_range) for one in signals]
    for one, other in itertools.combinations(sets, 2):
        if _are_the_same(one, other):
            raise QuantityError("the same data are given twice")
    names = [*row.parameters, "gamma", *(f"scale_{i + 1}" for i in range(len(sets)))]
    units = _units(row, sets)
    held = row.held | {"gamma": 0.0} | _scales(scales, sets)
    sample = {"number_density": number_density, "mass": mass, "T": T}
    chosen = _chosen(
        names, units, held, energies_of([row]), sample, start, fixed, bounds
    )
    columns, coords = _fit(row, sets, names, units, chosen)
    found = {name: float(columns[name][0]) for name in names}
    curves = _curves(sets, found) if np.isfinite(found[names[0]]) else [
        np.full(one.x.size, np.nan) for one in sets
    ]  # fmt: skip
    table: dict[str, Any] = dict(columns)
    for name, meaning in row.meaning.items():
        array, unit, label = columns[name]
        table[name] = (array, unit, meaning or label)
    table |= _quality(columns, names, sets, curves)
    table |= _maximum(row, table, sets)
    for i, (one, curve) in enumerate(zip(sets, curves, strict=True), start=1):
        coords[f"x_{i}"], points = _points(i, one, curve)
        table |= points
    coords["data_set"] = xr.Variable(
        "data_set", [str(signal.value.name or one.row.quantity)
                     for signal, one in zip(signals, sets, strict=True)]
    )  # fmt: skip
    answer: xr.Dataset = result_table(
        signals[0],
        table,
        quantity="fit_together",
        operation="fit_together",
        arguments={
            "model": row.name, "scales": scales, "E_range": E_range,
            "T_range": T_range, "start": start, "fixed": fixed, "bounds": bounds,
        },
        attrs={"model": row.name},
        coords=coords,
    )  # fmt: skip
    return rewrap(answer)  # type: ignore[no-any-return]


def _units(row: Model, sets: Sequence[_Set]) -> dict[str, str]:
    """Return the units of all parameters."""
    units = parameter_units(row, "meV", "1/meV") | {"gamma": "J/mol/K**2"}
    for i, one in enumerate(sets, start=1):
        ratio = parse_unit(one.units) / parse_unit(_UNITS[one.row.quantity])
        units[f"scale_{i}"] = format_unit(ratio)
    return units


def _chosen(
    names: list[str],
    units: Mapping[str, str],
    held: Mapping[str, float],
    energies: set[str],
    sample: Mapping[str, Any],
    start: Mapping[str, Any] | None,
    fixed: Mapping[str, Any] | None,
    bounds: Mapping[str, Any] | None,
) -> Choices:
    """Return what the user chose; `held` are values of what they did not free."""

    def in_mev(values: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            n: as_energy(value, n, **sample) if n in energies else value
            for n, value in require_keys(values, "start and fixed", names).items()
        }

    chosen = choices(names, units, in_mev(start), in_mev(fixed), bounds, None)
    free = {*chosen.start, *chosen.bounds}
    for name, value in held.items():
        if name not in free:
            chosen.fixed.setdefault(name, value)
    return chosen


def _curves(sets: Sequence[_Set], p: Mapping[str, float]) -> list[np.ndarray]:
    """Return the curve of each data set, for parameters of g(E) in meV and scales."""
    return [one.curve(p, p[f"scale_{i}"]) for i, one in enumerate(sets, start=1)]


def _fit(
    row: Model,
    sets: Sequence[_Set],
    names: list[str],
    units: Mapping[str, str],
    chosen: Choices,
) -> tuple[dict[str, Column], dict[Hashable, xr.Variable]]:
    """Fit all points at once: columns and coordinates as of `fit_everywhere`."""

    def function(at: np.ndarray, *values: float) -> np.ndarray:
        p = dict(zip(names, values, strict=True))
        every = np.concatenate(_curves(sets, p))
        return np.asarray(every[np.round(at).astype(int)])

    y, std = (np.concatenate([getattr(s, n) for s in sets]) for n in ("y", "std"))
    known = chosen.start | chosen.fixed
    starts = [_scaled(one, sets, known) for one in _starts(row, sets)]
    limits = dict(named_curve(row).limits)
    limits |= {n: (0.0, np.inf) for n in names if n not in row.parameters}
    columns, coords, _ = fit_everywhere(
        xr.DataArray(y, dims="point"),
        xr.DataArray(std, dims="point"),
        "point",
        np.arange(y.size, dtype=float),
        Curve(names, lambda x, y: starts, lambda: function, limits=limits),
        chosen,
        {**units, "point": "1"},
    )
    for name in ("point_low", "point_high"):
        del columns[name]
    return columns, coords


def _quality(
    columns: Mapping[str, Column],
    names: Sequence[str],
    sets: Sequence[_Set],
    curves: Sequence[np.ndarray],
) -> dict[str, Column]:
    """Return BIC, and χ² per point of each data set."""
    left = [(s.y - f) / s.std for s, f in zip(sets, curves, strict=True)]
    chi2 = float(sum((r**2).sum() for r in left))
    free = sum(float(columns[f"{name}_std"][0]) > 0 for name in names)
    per_point = np.array([float(np.mean(r**2)) for r in left])
    bic = chi2 + free * np.log(sum(one.y.size for one in sets))
    return {
        "BIC": (xr.Variable((), bic), "1", FIT_LABELS["BIC"]),
        "chi2_per_point": (
            xr.Variable("data_set", per_point),
            "1",
            "mean squared residual over its error",
        ),
    }


def _points(
    i: int, one: _Set, curve: np.ndarray
) -> tuple[xr.Variable, dict[str, Column]]:
    """Return the axis of data set i, its points, and the curve through them."""
    dim = f"x_{i}"
    kelvin = one.row.quantity in ("heat_capacity", "reduced_heat_capacity")
    axis = {"units": "K" if kelvin else "meV", "long_name": one.row.quantity}
    columns = {
        f"measured_{i}": (one.y, one.units, "points fitted"),
        f"measured_{i}_std": (one.std, "", ""),
        f"fitted_{i}": (curve, one.units, "fitted curve"),
        f"residual_{i}": ((one.y - curve) / one.std, "1", "residual over its error"),
    }
    return xr.Variable(dim, one.x, axis), {
        name: (xr.Variable(dim, values), unit, text)
        for name, (values, unit, text) in columns.items()
    }


def _plain(data: xr.DataArray | xr.Dataset) -> Signal:
    """Return one data set, its energies in meV."""
    require_kind(data, (xr.DataArray, xr.Dataset), "data", "a DataArray or Dataset")
    signal = read(data, *SIGNALS)
    if "E" not in signal.value.dims:
        return signal
    source: Any = signal.source
    return with_counting(read(convert(source, E="meV"), *SIGNALS))


def _read(signal: Signal, row: Model, E_range: Any, T_range: Any) -> _Set:
    """Return one data set within its range, and the model in its quantity."""
    value, name = signal.value, signal.quantity.name
    if value.ndim != 1:
        raise QuantityError(
            f"'{value.name}' has the dimensions {', '.join(map(str, value.dims))}; a "
            "joint fit needs one",
            fix="select one spectrum, such as cut_Q gives",
        )
    if signal.std is None:
        raise QuantityError(
            f"'{value.name}' has no errors, by which data sets are weighted",
            fix=f"data['{value.name}_std'] = …",
        )
    if signal.source.attrs.get("amount", value.attrs.get("amount")) == "formula units":
        raise QuantityError(
            "the heat capacity is per mole of formula units",
            fix="C.bp.to_molar('atoms', atoms=…)",
        )
    (along,) = value.dims
    own = row.of(name)
    thermal = along == "temperature"
    mask = select_range(
        signal.source, str(along), T_range if thermal else E_range,
        name="T_range" if thermal else "E_range",
    )  # fmt: skip
    mask &= np.isfinite(value.values) & (signal.std.values > 0)
    if not mask.any():
        raise QuantityError(f"'{value.name}' has no values with errors in the range")
    parts = independence(value, str(along))
    part = np.ones(value.size) if parts is None else parts.values
    std = std_along(signal.std, str(along)).values[mask]
    part, mean, error, _ = merged_bins(part[mask], value.values[mask])
    half = halves_of_bins(signal.source, str(along))[mask]
    half = width_of_merged(half, mean, error)
    units = signal.units
    if thermal and not parse_unit(units).is_compatible_with(_UNITS[name]):
        raise QuantityError(
            f"'{value.name}' is in {units}, not per mole", fix="C.bp.to_molar('atoms')"
        )
    factor = convert_factor(units, _UNITS[name]) if thermal else 1.0
    x = mean(value[along].values[mask].astype(float))
    per = 1 / constants.BOLTZMANN_MEV if thermal else 1.0
    powers = {
        n: per ** powers_of(rule).get("x", 0) for n, rule in own.parameters.items()
    }
    electronic = np.zeros(x.size)
    if thermal:
        electronic = x if name == "heat_capacity" else x**-2.0
    return _Set(
        own, x, factor * mean(value.values[mask]), factor * error(std) / np.sqrt(part),
        half, _UNITS[name] if thermal else units, powers, electronic,
    )  # fmt: skip


def _are_the_same(one: _Set, other: _Set) -> bool:
    """Return whether both are one measurement, also on another scale or over a power.

    So are g and g/E², C and C/T³: where they have the same x, the ratio of their values
    is a power of it, which noise of their own would not leave.
    """
    x, i, j = np.intersect1d(one.x, other.x, return_indices=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.stack([np.log(x), np.log(np.abs(one.y[i] / other.y[j]))])
    powers = powers[:, np.isfinite(powers).all(axis=0)]
    if one.electronic.any() != other.electronic.any() or powers.shape[1] < 4:
        return np.array_equal(one.x, other.x) and np.array_equal(one.y, other.y)
    log_x, log_ratio = powers
    left = np.polyval(np.polyfit(log_x, log_ratio, 1), log_x) - log_ratio
    return bool(np.abs(left).max() < 1e-9)


def _scales(
    scales: Sequence[float | None] | None, sets: Sequence[_Set]
) -> dict[str, float]:
    """Return the scales that are not fitted."""
    default = [1.0 if one.electronic.any() else None for one in sets]
    several = scales if isinstance(scales, Iterable) else [scales]
    given = list(default if scales is None else several)
    if len(given) != len(sets):
        raise QuantityError(
            f"scales={given} must have one entry for each of {len(sets)} data sets"
        )
    held = {
        f"scale_{i}": require_positive(value, f"scale {i}", "1")
        for i, value in enumerate(given, start=1)
        if value is not None
    }
    if not held:
        raise QuantityError(
            "the area of the model and all scales of the data cannot be fitted at once",
            fix="scales=(1, None) if the first data set is on an absolute scale",
        )
    return held


def _starts(row: Model, sets: Sequence[_Set]) -> list[dict[str, float]]:
    """Return the starts that each data set suggests, as of g(E) in meV."""
    found = []
    for one in sets:
        guess = one.row.guess(one.x, one.y)
        for p in [guess] if isinstance(guess, Mapping) else guess:
            found.append({n: p[n] / factor for n, factor in one.powers.items()})
    return found


def _scaled(
    start: Mapping[str, float], sets: Sequence[_Set], known: Mapping[str, float]
) -> dict[str, float]:
    """Return a start with amounts as of the data whose scale is known."""
    p = {"gamma": 0.0, **start, **known}
    scale_of = sets[0].row.scale

    def amount(one: _Set, factor: float) -> float:
        shape = one.curve(p, factor) / one.std
        size = float(shape @ shape)
        return max(float(shape @ (one.y / one.std)) / size, 1e-9) if size > 0 else 1.0

    absolute = [
        amount(one, known[f"scale_{i}"])
        for i, one in enumerate(sets, start=1)
        if f"scale_{i}" in known
    ]
    for name in scale_of:
        if name not in known:
            p[name] *= float(np.median(absolute))
    for i, one in enumerate(sets, start=1):
        p.setdefault(f"scale_{i}", amount(one, 1.0))
    return p


def _maximum(
    row: Model, table: Mapping[str, Any], sets: Sequence[_Set]
) -> dict[str, tuple[Any, str, str]]:
    """Return where the fitted g/E² is highest, within the energies of the spectra."""
    spectra = [one.x for one in sets if not one.electronic.any()]
    thermal = [one.x * constants.BOLTZMANN_MEV for one in sets if one.electronic.any()]
    x = np.concatenate(spectra or [2 * one for one in thermal])
    names = list(row.parameters)
    values = {name: float(table[name][0]) for name in names}
    stds = {name: float(table[f"{name}_std"][0]) for name in names}
    matrix = np.asarray(table["correlation"][0])[: len(names), : len(names)]
    status = Status(str(np.asarray(table["status"][0])))
    found = (np.nan, np.nan, status)
    if status == Status.OK:
        found = maximum_of(row, values, stds, matrix, float(x.min()), float(x.max()))
    return {
        "E_BP": (xr.Variable((), found[0]), "meV", "maximum of g/E² of the model"),
        "E_BP_std": (xr.Variable((), found[1]), "", ""),
        "E_BP_status": (
            xr.Variable((), np.array(str(found[2]), dtype="<U24")),
            "",
            "whether the model has a maximum there",
        ),
    }
