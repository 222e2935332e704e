"""Theories of the boson peak compared on one spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.data import unwrap
from xbp.core.errors import QuantityError
from xbp.core.guards import (
    require_keys,
    require_kind,
    require_mass,
    require_number,
    require_positive,
)
from xbp.core.operation import operation
from xbp.core.schema import symbol_of
from xbp.core.signal import read, result_table
from xbp.core.status import FIT_LABELS, Diagnostic, Status, diagnosed
from xbp.core.units import convert_factor, magnitude, parse_unit, split_quantity
from xbp.fitting.fit import fit
from xbp.fitting.over_bins import halves_of_bins, mean_of_model
from xbp.fitting.sampled import with_counting
from xbp.models.catalogue import find_model
from xbp.models.harmonic import displacement_temperature
from xbp.models.model import Model

__all__ = ["as_energy", "compare_models", "energies_of", "maximum_of"]

#: What the data can be; the models are of the first.
SIGNALS = (
    "vibrational_dos",
    "reduced_dos",
    "dynamic_structure_factor",
    "heat_capacity",
    "reduced_heat_capacity",
)
#: Energies of the search for a maximum of g/E², and the relative depth on both of its
#: sides that is more than rounding.
_SEARCHED, _DEPTH = 600, 1e-6
#: k_BT of heat capacities to the energies that decide them.
_THERMAL = (2.0, 6.0)
#: Step of derivatives, in standard deviations of the parameters.
_STEP = 0.1


@operation(
    takes=SIGNALS,
    gives="compare_models",
)
@carries_common_errors()
def compare_models(
    data: xr.DataArray | xr.Dataset,
    models: Sequence[str | Model],
    *,
    x_range: Any = None,
    fixed: Mapping[str, Any] | None = None,
    start: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    number_density: Any = None,
    mass: Any = None,
    T: Any = None,
    alike_below: float = 2.0,
) -> xr.Dataset:
    r"""Fit several models to the same points and compare them.

    .. math:: \mathrm{AIC} = \chi^2 + 2k, \qquad \mathrm{BIC} = \chi^2 + k \ln N

    N points, k parameters that are fitted. Without errors of the data N ln(rms²) stands
    for χ², the size of the noise being one more parameter. Of two models, that with a
    BIC lower by 2 to 6 is favoured, by more than 10 strongly.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        g(E), B(E) or B(Q,E) (also of a Raman spectrum), S(Q,E), C_p(T) or C_p/T³, with
        any further dimensions. Errors of simulated spectra are as in `fit`.
    models : sequence of str or Model
        Models to compare, such as ["lognormal", "soft_oscillators_dos"];
        ``print([*xbp.models.MODELS])`` lists their names. Sums and products are models
        too, and so are your own `Model` objects. Models of g(E) or of B(E) are fitted
        as the quantity of the data (``Model.of``).
    x_range : pair of scalars with units, optional
        Range of E or T to fit.
    fixed : mapping of str to scalar with units, optional
        Parameters that other measurements fix, in every model that has them: areas,
        energies, and these also as temperatures, as sound velocities v, which mean
        ħ v q_D, or as u² (such as "0.01 angstrom^2"), which means the Debye energy of a
        solid that has this u², without an excess.
    start, bounds : mapping, optional
        As for `fit`, of every model that has the parameter.
    number_density : scalar with units, optional
        Atoms per volume, for q_D = (6π²n)^(1/3); needed for velocities.
    mass, T : scalars with units, optional
        Mean mass of the atoms (bare: u) and temperature (bare: K) of u²; needed for it.
    alike_below : float
        Models of one spectrum whose BIC is above the lowest by less than this are named
        by a diagnostic: it does not distinguish them.

    Returns
    -------
    xarray.Dataset
        Over ``model``: ``status`` and ``limiting_parameter`` as of `fit` (a fit that a
        bound or a degeneracy decides is not ok, and all its numbers are NaN);
        ``chi2_reduced`` where errors are known, ``relative_residual``, ``AIC``, ``BIC``
        and ``delta_BIC`` above the best; ``n_parameters``; ``E_BP`` with its std, where
        the fitted g/E² has its maximum within the energies fitted, and
        ``E_BP_status``, "no maximum" if it has none, and the status of the fit where
        that is not ok; every parameter with its std (0
        where fixed, NaN in models without it). ``fitted`` and ``residual`` over E or T,
        in units of the errors (or of their rms), beside the points ``measured``.

    Raises
    ------
    QuantityError
        If no or the same models are given, a parameter is not in any of them, or a
        velocity comes without `number_density`.
    RangeError
        If `alike_below` is negative.

    Notes
    -----
    Parameters that only occur together (an area and the energies of phonons that end
    beyond the data) are "undetermined": fix one of them.

    References
    ----------
    H. Akaike, IEEE Trans. Autom. Control 19, 716 (1974); G. Schwarz, Ann. Stat. 6, 461
    (1978).

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.linspace(0.5, 15, 60)
    >>> g = xbp.models.evaluate("stringlets_dos", E, area=0.2, energy_s=20)
    >>> table = g.bp.compare_models(["stringlets_dos", "soft_oscillators_dos"])
    >>> float(table.delta_BIC[0]), round(float(table.E_BP[0]), 3)
    (0.0, 5.0)
    """
    require_kind(models, (list, tuple), "models", "a list of names or Models")
    alike_below = require_number(alike_below, "alike_below", least=0)
    rows = [find_model(model) for model in models]
    names = [row.name for row in rows]
    if not names or len(set(names)) < len(names):
        raise QuantityError(
            f"models={names} must be one or more different models",
            fix="models=['lognormal', 'soft_oscillators_dos'], or others of "
            "xbp.models.MODELS",
        )
    plain, rewrap = unwrap(data)
    signal = with_counting(read(plain, *SIGNALS))
    own = [row.of(signal.quantity.name) for row in rows]
    along = "E" if "E" in signal.value.dims else "temperature"
    known = list(dict.fromkeys(name for row in own for name in row.parameters))
    given = {
        argument: require_keys(values, argument, known)
        for argument, values in (("fixed", fixed), ("start", start), ("bounds", bounds))
    }
    known_of_sample = {"number_density": number_density, "mass": mass, "T": T}
    energies = energies_of(own)
    for argument in ("fixed", "start"):
        given[argument] |= {
            name: as_energy(value, name, **known_of_sample)
            for name, value in given[argument].items()
            if name in energies
        }
    tables = []
    for row in own:
        each = {
            argument: {n: v for n, v in values.items() if n in row.parameters}
            for argument, values in given.items()
        }
        tables.append(fit(signal.source, row, along, x_range=x_range, **each).compute())
    columns = _quality(tables, own, along)
    columns |= _peaks(tables, rows, along)
    columns |= _parameters(tables, own)
    columns |= _curves(tables, own, signal, along)
    answer: xr.Dataset = result_table(
        signal,
        columns,
        quantity="compare_models",
        operation="compare_models",
        arguments={"models": names, "x_range": x_range, **given},
        attrs=_of_signal(signal),
        coords={"model": xr.Variable("model", names)},
    )
    answer.attrs |= diagnosed(answer.attrs, *_doubts(answer, alike_below))
    return rewrap(answer)  # type: ignore[no-any-return]


def energies_of(rows: Sequence[Model]) -> set[str]:
    """Return the parameters that are energies."""
    return {n for row in rows for n, rule in row.parameters.items() if rule == "x"}


def as_energy(
    value: Any, name: str, number_density: Any, mass: Any = None, T: Any = None
) -> Any:
    """Return a velocity, u² or temperature as an energy in meV, others as they are.

    Parameters
    ----------
    value : scalar with units
        A velocity v means ħ v q_D; u² the Debye energy that has it; a temperature k_BT.
    name : str
        For errors.
    number_density, mass, T : scalars with units, or None
        Needed for the first, and for the second.
    """
    number, units = split_quantity(value, name)
    if units is None:
        return value
    unit = parse_unit(units)
    if unit.is_compatible_with("m/s"):
        if number_density is None:
            raise QuantityError(
                f"{name}={value} is a velocity, and needs number_density",
                fix="number_density='0.06 1/angstrom^3'",
            )
        n = require_positive(number_density, "number_density", "1/angstrom**3")
        velocity = float(number) * convert_factor(units, "angstrom/ps")
        energy = constants.HBAR * velocity * float(np.cbrt(6 * np.pi**2 * n))
    elif unit.is_compatible_with("angstrom**2"):
        if mass is None or T is None:
            raise QuantityError(
                f"{name}={value} is u², and needs mass and T",
                fix="mass='73 u', T='300 K'",
            )
        u2 = float(number) * convert_factor(units, "angstrom**2")
        own = np.array([u2]), np.array([require_positive(T, "T", "K")])
        theta = displacement_temperature(*own, require_mass(mass))
        energy = constants.BOLTZMANN_MEV * float(theta[0])
        if not 0 < energy < np.inf:
            raise QuantityError(
                f"no Debye solid has {name}={value} at T={T}: the zero-point motion "
                "alone is larger"
            )
    elif unit.is_compatible_with("K"):
        energy = constants.BOLTZMANN_MEV * magnitude(value, "K", name=name)
    else:
        return value
    return f"{energy!r} meV"


def _of_signal(signal: Any) -> dict[str, Any]:
    """Return what figures need to know of the data."""
    gamma = {key: v for key, v in signal.value.attrs.items() if key == "gamma"}
    return {"signal": signal.quantity.name, **gamma}


def _stacked(tables: list[xr.Dataset], name: str) -> xr.Variable:
    """Return one column of all tables over the models."""
    dims = ("model", *tables[0]["status"].dims)
    return xr.Variable(dims, np.stack([table[name].values for table in tables]))


def _quality(
    tables: list[xr.Dataset], rows: list[Model], along: str
) -> dict[str, tuple[Any, str, str]]:
    count, residual = (
        _stacked(tables, name) for name in ("n_points", "relative_residual")
    )
    free = np.stack(
        [sum((table[f"{n}_std"].values > 0).astype(int) for n in row.parameters)
         for table, row in zip(tables, rows, strict=True)]
    )  # fmt: skip
    known = "chi2_reduced" in tables[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        if known:
            chi2 = _stacked(tables, "chi2_reduced") * (count - free)
        else:
            # The residuals of exact data are rounding.
            chi2 = count * np.log(np.maximum(residual, np.finfo(float).eps) ** 2)
        k = free + (not known)
        bic = chi2 + k * np.log(count)
    bic = xr.Variable(count.dims, bic.values)
    best = np.nanmin(np.where(np.isnan(bic.values), np.inf, bic.values), axis=0)
    columns = {
        "status": (_stacked(tables, "status"), "", FIT_LABELS["status"]),
        "limiting_parameter": (
            _stacked(tables, "limiting_parameter"),
            "",
            FIT_LABELS["limiting_parameter"],
        ),
    }
    if known:
        label = FIT_LABELS["chi2_reduced"]
        columns["chi2_reduced"] = (_stacked(tables, "chi2_reduced"), "1", label)
    k = np.where(np.isnan(bic.values), np.nan, k)
    return columns | {
        "relative_residual": (residual, "1", FIT_LABELS["relative_residual"]),
        "n_points": (count, "1", "number of points fitted"),
        "n_parameters": (xr.Variable(count.dims, k), "1", "number of parameters"),
        "AIC": (chi2 + 2 * k, "1", "Akaike's information criterion"),
        "BIC": (bic, "1", FIT_LABELS["BIC"]),
        "delta_BIC": (bic - best, "1", "BIC above that of the best model"),
        **{
            f"{along}_{end}": (
                _stacked(tables, f"{along}_{end}"),
                str(tables[0][f"{along}_{end}"].attrs["units"]),
                f"{word} {along} fitted",
            )
            for end, word in (("low", "lowest"), ("high", "highest"))
        },
    }


def _peaks(
    tables: list[xr.Dataset], rows: list[Model], along: str
) -> dict[str, tuple[Any, str, str]]:
    """Return where each fitted g/E² has its maximum, with the error of that."""
    status = _stacked(tables, "status")
    energy, std = np.full(status.shape, np.nan), np.full(status.shape, np.nan)
    # Of a fit that is not ok, its own status; of a model without a g(E), no data.
    found = np.where(status.values == Status.OK, Status.NO_DATA, status.values)
    found = found.astype("<U24")
    factor, units = 1.0, str(tables[0][f"{along}_low"].attrs["units"])
    ends = (1.0, 1.0)
    if along == "temperature":
        factor, units, ends = constants.BOLTZMANN_MEV, "meV", _THERMAL
    for at in zip(*np.nonzero(status.values == Status.OK), strict=True):
        table, row = tables[at[0]], rows[at[0]]
        if row.quantity not in ("vibrational_dos", "reduced_dos"):
            continue
        one = table.isel(dict(zip(table["status"].dims, at[1:], strict=True)))
        low, high = (
            float(one[f"{along}_{end}"]) * f
            for end, f in zip(("low", "high"), ends, strict=True)
        )
        names = list(row.parameters)
        values, stds = (
            {name: float(one[f"{name}{end}"]) for name in names} for end in ("", "_std")
        )
        matrix = one["correlation"].sel(parameter=names, other_parameter=names).values
        *numbers, found[at] = maximum_of(row, values, stds, matrix, low, high)
        energy[at], std[at] = (number * factor for number in numbers)
    label = "maximum of g/E² of the model"
    return {
        "E_BP": (xr.Variable(status.dims, energy), units, label),
        "E_BP_std": (xr.Variable(status.dims, std), "", ""),
        "E_BP_status": (
            xr.Variable(status.dims, found),
            "",
            "whether the model has a maximum there",
        ),
    }


def maximum_of(
    row: Model,
    values: dict[str, float],
    stds: Mapping[str, float],
    correlation: np.ndarray,
    low: float,
    high: float,
) -> tuple[float, float, Status]:
    """Return where g/E² of a model is highest between two energies, its std and status.

    Parameters
    ----------
    row : Model
        Of g(E) or of g/E².
    values, stds : mapping of str to float
        Its parameters, and their standard deviations, 0 where they are fixed.
    correlation : numpy.ndarray, shape (n_parameters, n_parameters)
        Of the parameters.
    low, high : float
        In the units of the parameters.
    """
    model = row.of("reduced_dos")
    x = np.geomspace(max(low, 1e-3 * high), high, _SEARCHED)
    energy = _maximum(model, x, values)
    free = [i for i, name in enumerate(row.parameters) if stds[name] > 0]
    names = list(row.parameters)
    slopes = np.array(
        [_slope(model, x, values, names[i], stds[names[i]]) for i in free]
    )
    std = float(np.sqrt(slopes @ correlation[np.ix_(free, free)] @ slopes))
    none = np.isnan(energy)
    return energy, std, Status.NO_MAXIMUM if none else Status.OK


def _maximum(model: Model, x: np.ndarray, p: Mapping[str, float]) -> float:
    """Return where a model is highest between its ends; NaN where it has no maximum."""
    with np.errstate(all="ignore"):
        y = model.function(x, **p)
    inner = np.flatnonzero((y[1:-1] > y[:-2]) & (y[1:-1] >= y[2:])) + 1
    beside = np.array([max(y[: i + 1].min(), y[i:].min()) for i in inner])
    inner = inner[y[inner] - beside > _DEPTH * y[inner]] if inner.size else inner
    if not inner.size:
        return float("nan")
    i = int(inner[np.argmax(y[inner])])
    u = np.log(x[i - 1 : i + 2])
    a, b, _ = np.polyfit(u - u[1], y[i - 1 : i + 2] / y[i], 2)
    return float(x[i] * np.exp(-b / (2 * a))) if a < 0 else float(x[i])


def _slope(
    model: Model, x: np.ndarray, p: dict[str, float], name: str, std: float
) -> float:
    """Return the change of the maximum per standard deviation of a parameter."""
    up, down = (
        _maximum(model, x, p | {name: p[name] + sign * _STEP * std}) for sign in (1, -1)
    )
    return (up - down) / (2 * _STEP)


def _parameters(
    tables: list[xr.Dataset], rows: list[Model]
) -> dict[str, tuple[Any, str, str]]:
    """Return a column of each parameter, for the models that have it."""
    shape, dims = tables[0]["status"].shape, ("model", *tables[0]["status"].dims)
    columns: dict[str, tuple[Any, str, str]] = {}
    for i, (table, row) in enumerate(zip(tables, rows, strict=True)):
        for name in row.parameters:
            units = str(table[name].attrs.get("units", ""))
            column = name
            if columns.get(name, (None, units))[1] != units:
                column = f"{name}_{row.name}"
            if column not in columns:
                for end, label in (("", row.meaning[name] or name), ("_std", "")):
                    empty = np.full((len(tables), *shape), np.nan)
                    unit = units if label else ""
                    columns[f"{column}{end}"] = (xr.Variable(dims, empty), unit, label)
            for end in ("", "_std"):
                columns[f"{column}{end}"][0].values[i] = table[f"{name}{end}"].values
    return columns


def _curves(
    tables: list[xr.Dataset], rows: list[Model], signal: Any, along: str
) -> dict[str, tuple[Any, str, str]]:
    """Return the data, the curves within the range fitted, and what they leave."""
    others = tables[0]["status"].dims
    value = signal.value.transpose(*others, along)
    units = str(value.attrs["units"])
    std = None if signal.std is None else signal.std.transpose(*others, along)
    axis, half = value[along], halves_of_bins(signal.source, along)
    curves = np.full((len(rows), *value.shape), np.nan)
    for i, (table, row) in enumerate(zip(tables, rows, strict=True)):
        x_units, y_units = str(axis.attrs["units"]), row.y_units or units
        own = row.x_units or x_units
        scale = convert_factor(x_units, own, energy=along == "E", name=along)
        x = axis.values * scale
        factor = convert_factor(y_units, units, name="the model")
        for at in np.ndindex(value.shape[:-1]):
            one = table.isel(dict(zip(others, at, strict=True)))
            low, high = float(one[f"{along}_low"]), float(one[f"{along}_high"])
            inside = (x >= low * (1 - 1e-12)) & (x <= high * (1 + 1e-12))
            if one["status"].item() == Status.OK and inside.any():
                p = {name: float(one[name]) for name in row.parameters}
                means = mean_of_model(row, x[inside], half[inside] * scale, p)
                curves[(i, *at, inside)] = means * factor
    left = value.values - curves
    with np.errstate(all="ignore"):
        if std is None:
            seen = np.isfinite(left)
            squares = np.where(seen, left**2, 0.0).sum(axis=-1, keepdims=True)
            error = np.sqrt(squares / seen.sum(axis=-1, keepdims=True))
        else:
            error = np.where(std.values > 0, std.values, np.nan)
        residual = left / error
    dims = ("model", *value.dims)
    columns = {"measured": (value.variable, units, symbol_of(value))}
    if std is not None:
        columns["measured_std"] = (std.variable, "", "")
    return columns | {
        "fitted": (xr.Variable(dims, curves), units, "fitted curve"),
        "residual": (xr.Variable(dims, residual), "1", "residual over its error"),
    }


def _doubts(table: xr.Dataset, alike_below: float) -> list[Diagnostic]:
    """Return which models the data do not tell apart, of one spectrum."""
    if table["status"].ndim > 1:
        return []
    near = table["delta_BIC"].values < alike_below
    names = [str(name) for name in table["model"].values[near]]
    if len(names) < 2:
        return []
    return [
        Diagnostic(
            "models_alike",
            "info",
            f"BIC does not distinguish {', '.join(names)} (difference below "
            f"{alike_below:g})",
            "more points or smaller errors, or fix a parameter by a measurement",
        )
    ]
