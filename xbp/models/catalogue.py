"""The models by name: as functions, as lmfit Models, as labelled data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import lazy_loader
import numpy as np

from xbp.core import constants
from xbp.core.conditions import given_axis
from xbp.core.construct import new_dataset
from xbp.core.errors import QuantityError, UnitsError
from xbp.core.guards import choose
from xbp.core.schema import QUANTITIES, labels
from xbp.core.signal import extend_history
from xbp.core.units import (
    convert_factor,
    magnitude,
    parse_unit,
    swap_unit,
)
from xbp.models.debye_einstein import (
    debye_dos,
    debye_einstein,
    gaussian_dos,
    start_of_fit,
)
from xbp.models.factors import thermal_factor
from xbp.models.lineshapes import damped_oscillator_current, gaussian, lognormal
from xbp.models.model import Model, parameter_units
from xbp.models.theories import THEORIES

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = [
    "LARGEST",
    "MODELS",
    "evaluate",
    "find_model",
    "guess_gaussian",
    "lmfit_model",
]


def lognormal_scattering(
    E: np.ndarray, energy: float, height: float, sigma: float, T: float
) -> np.ndarray:
    """Return E ⟨n⟩⁻¹ f(E) for a log-normal f: S_BP at one Q; E in meV, T in K."""
    return np.asarray(
        lognormal(E, energy, height, sigma)
        / thermal_factor(E, np.asarray(T), "quantum")
    )


def damped_oscillator(
    E: np.ndarray, area: float, energy: float, width: float
) -> np.ndarray:
    """Return (2A/π) Γ/[(E² − E₀²)² + Γ²E²], C/E² of a damped harmonic oscillator."""
    # At E = 0 it is finite, and the current over E² is 0/0.
    E = np.where(E == 0, 1e-9 * energy, E)
    return np.asarray(damped_oscillator_current(E, area, energy, width) / E**2)


def debye_gaussian_dos(
    E: np.ndarray,
    n_D: float,
    energy_D: float,
    n_E: float,
    energy_E: float,
    sigma_E: float,
) -> np.ndarray:
    """Return n_D 3E²/E_D³ (E < E_D) + n_E χ(E), χ a Gaussian: g of `debye_einstein`."""
    k = constants.BOLTZMANN_MEV
    return np.asarray(
        n_D * debye_dos(E, energy_D / k)
        + n_E * gaussian_dos(E, energy_E / k, sigma_E / k)
    )


def _top(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Return position and height of the highest point, and a width."""
    i = int(np.argmax(y))
    above = x[y >= y[i] - np.ptp(y) / 2]
    return float(x[i]), float(y[i]), max(float(np.ptp(above)), float(np.ptp(x)) / 20)


def _guess_lognormal(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    top, height, width = _top(x, y)
    energy = max(
        top, 1e-3 * width
    )  # data that are highest at x = 0, or below it, start just above
    return {
        "energy": energy,
        "height": height,
        "sigma": float(np.clip(width / energy / 2, 0.1, 1)),
    }


def guess_gaussian(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return where to start a fit of a Gaussian."""
    energy, height, width = _top(x, y)
    return {"energy": energy, "height": height, "sigma": width / 2.4}


def _guess_scattering(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    start = _guess_lognormal(x, y)
    return start | {"height": start["height"] / max(start["energy"], 1.0), "T": 300.0}


def _guess_oscillator(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    energy, height, width = _top(x, y * x**2)
    return {"area": height * width * 1.5, "energy": energy, "width": width}


def _guess_dos(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    # Debye phonons end where g falls the most from three points to the next three.
    fall = (
        np.convolve(y, [1, 1, 1, -1, -1, -1], mode="valid")
        if y.size >= 6
        else np.zeros(1)
    )
    edge = float(x[min(int(np.argmin(fall)) + 3, x.size - 1)])
    below = (x > 0) & (x < edge)
    upper = below & (x > 0.6 * edge)
    level = (
        float(np.median(y[upper] / x[upper] ** 2))
        if upper.any()
        else float(np.median(y)) / edge**2
    )
    rest = np.convolve(
        np.where(below, y - level * x**2, 0.0), np.ones(3) / 3, mode="same"
    )
    energy, height, width = _top(x, rest)
    return {
        "n_D": level * edge**3 / 3, "energy_D": edge, "n_E": height * width,
        "energy_E": max(energy, x[-1] / 20),
        "sigma_E": width / 2.4,
    }  # fmt: skip


#: Largest parameter: powers of a larger one overflow.
LARGEST: Final = 1e60
#: Units of what the values of a spectrum are in powers of.
_SCALES = ("meV", "THz", "s", "1/cm", "angstrom", "barn", "radian", "steradian", "mol")

_ROWS = (
    Model(
        "lognormal",
        lognormal,
        "reduced_dos",
        {"energy": "x", "height": "y", "sigma": "1"},
        about="a Gaussian of ln E with its maximum at energy (Malinovsky & Sokolov, "
        "Solid State Commun. 57, 757)",
        positive=("energy", "sigma"),
        guess=_guess_lognormal,
    ),
    Model(
        "gaussian",
        gaussian,
        "reduced_dos",
        {"energy": "x", "height": "y", "sigma": "x"},
        about="a Gaussian of E with its maximum at energy",
        positive=("sigma",),
        meaning={
            "sigma": "standard deviation of E",
        },
        guess=guess_gaussian,
    ),
    Model(
        "lognormal_scattering",
        lognormal_scattering,
        "dynamic_structure_factor",
        {"energy": "x", "height": "y/x", "sigma": "1", "T": "K"},
        about="E ⟨n⟩⁻¹ f(E) of a log-normal f: the boson peak in S(Q,E) at one Q "
        "(Li et al., Nat. Commun. 2025, Eq. 3)",
        positive=("energy", "sigma", "T"),
        meaning={
            "height": "value of the log-normal at its maximum",
        },
        guess=_guess_scattering,
        x_units="meV",
    ),
    Model(
        "damped_oscillator",
        damped_oscillator,
        "dynamic_structure_factor",
        {"area": "x*x*x*y", "energy": "x", "width": "x"},
        about="S(E) of a damped harmonic oscillator, classical (Fåk & Dorner, Physica "
        "B 234, 1107)",
        positive=("energy", "width"),
        meaning={
            "area": "∫E²S dE over E > 0",
            "energy": "energy of the oscillator without damping",
        },
        guess=_guess_oscillator,
    ),
    Model(
        "damped_oscillator_current",
        damped_oscillator_current,
        "current_spectrum",
        {"area": "x*y", "energy": "x", "width": "x"},
        about="current spectrum of a damped harmonic oscillator, E² times its S(E) "
        "(Fåk & Dorner, Physica B 234, 1107)",
        positive=("energy", "width"),
        meaning={
            "area": "∫C dE over E > 0",
            "energy": "energy of the oscillator without damping",
        },
        guess=lambda x, y: _guess_oscillator(x, y / np.where(x == 0, np.inf, x) ** 2),
    ),
    Model(
        "debye_gaussian_dos",
        debye_gaussian_dos,
        "vibrational_dos",
        {"n_D": "x*y", "energy_D": "x", "n_E": "x*y", "energy_E": "x", "sigma_E": "x"},
        about="g(E) of Debye phonons up to energy_D and a Gaussian of Einstein modes "
        "(Li et al., Nat. Commun. 2025, Methods)",
        positive=("energy_D", "energy_E", "sigma_E"),
        guess=_guess_dos,
        edge="energy_D",
        area=("n_D", "n_E"),
    ),
    Model(
        "debye_einstein",
        debye_einstein,
        "heat_capacity",
        {
            "gamma": "y/x",
            "n_D": "1",
            "theta_D": "x",
            "n_E": "1",
            "theta_E": "x",
            "sigma_E": "x",
        },
        about="heat capacity γT of electrons, of Debye phonons and of a Gaussian of "
        "Einstein modes (Li et al., Nat. Commun. 2025, Methods)",
        positive=("theta_D", "theta_E", "sigma_E"),
        meaning={
            "sigma_E": "spread of the temperatures of the Einstein modes",
        },
        guess=start_of_fit,
        relative=True,
        x_units="K",
        y_units="J/mol/K",
        zero=("sigma_E",),
        scale=("gamma", "n_D", "n_E"),
    ),
    *THEORIES,
)
#: Every model by its name; its function documents it.
MODELS: Final = {row.name: replace(row, vectorized=True) for row in _ROWS}


def find_model(name: str | Model) -> Model:
    """Return the model of a name; refuse an unknown one."""
    if isinstance(name, Model):
        return name
    why = "pass one of them, or an lmfit.Model or a function of your own"
    return MODELS[choose(name, MODELS, "model", reason=why)]


def lmfit_model(name: str | Model) -> Any:
    """Return a model as an `lmfit.Model`, to combine with others and fit with lmfit.

    Parameters
    ----------
    name : str or Model
        One of `MODELS`. Those with constants of nature have units of their own: E in
        meV, T in K, C in J/mol/K; their table shows which.

    Returns
    -------
    lmfit.Model
        Its first argument is the independent variable; positive parameters have that
        bound.

    Raises
    ------
    QuantityError
        If the model is unknown.

    Examples
    --------
    >>> lmfit_model("lognormal").param_names
    ['energy', 'height', 'sigma']
    """
    row = find_model(name)
    model = lmfit.Model(row.function, name=row.name)
    for parameter in row.positive:
        model.set_param_hint(parameter, min=0.0)
    for parameter, limit in row.below.items():
        model.set_param_hint(parameter, max=limit)
    for parameter, value in row.held.items():
        model.set_param_hint(parameter, value=value, vary=False)
    return model


def evaluate(
    name: str | Model, x: Any, *, units: str | None = None, **parameters: Any
) -> Any:
    """Return a model as labelled data.

    Parameters
    ----------
    name : str or Model
        One of `MODELS`, or made of them.
    x : 1-D array, or DataArray with units
        Ascending energies (bare: meV), or temperatures (bare: K) of a heat capacity.
    units : str, optional
        Units of the values; by default those of the vocabulary, per unit of the axis
        for a density, and "1" for the reduced density of states.
    **parameters : scalars with units
        Every parameter of the model; a bare number is in the units of the axis and the
        values.

    Returns
    -------
    xarray.Dataset
        The model's quantity over E or temperature.

    Raises
    ------
    QuantityError
        If the model is unknown; a parameter is missing, unknown, or outside its
        limits; or the model is not finite somewhere.
    CoordinateError
        If `x` is not an ascending row of real numbers.
    UnitsError
        If a parameter, or the values, have the wrong units.

    Examples
    --------
    >>> B = evaluate("lognormal", [2.0, 5.5, 9.0], energy="1.33 THz", height=2.0,
    ...     sigma=0.5)
    >>> round(float(B.B.sel(E=5.5)), 3)
    2.0
    """
    row = find_model(name)
    parameters = {**row.held, **parameters}
    if set(parameters) != set(row.parameters):
        raise QuantityError(
            f"{row.name} needs the parameters {', '.join(row.parameters)} and no "
            f"other; given: {', '.join(parameters) or 'none'}"
        )
    quantity = QUANTITIES[row.quantity]
    dim = quantity.dims[-1]
    axis, x_units = given_axis(x, dim)
    along_E = (
        swap_unit(quantity.units, "meV", x_units)[0]
        if quantity.is_density
        else quantity.units
    )
    plain = "1" if row.quantity == "reduced_dos" else along_E
    y_units = units or row.y_units or plain
    if row.y_units is None:
        _require_scale(y_units)
    own_x = row.x_units or x_units
    own_y = row.y_units or y_units
    own = parameter_units(row, own_x, own_y)
    bare = parameter_units(row, x_units, y_units)
    values = {
        p: magnitude(
            value,
            own[p],
            name=p,
            default=bare[p],
            energy=row.parameters[p] == "x" and dim == "E",
        )
        for p, value in parameters.items()
    }
    _require_limits(row, values, own)
    factor = convert_factor(x_units, own_x, name=dim, energy=dim == "E")
    try:
        with np.errstate(all="ignore"):  # NaN is refused below
            y = row.function(axis * factor, **values) * convert_factor(
                own_y, y_units, name="units"
            )
    except ArithmeticError:
        y = np.full(axis.size, np.nan)
    if not np.isfinite(y).all():
        at = float(axis[np.argmin(np.isfinite(y))])
        raise QuantityError(
            f"{row.name} is not finite at {dim}={at:g} {x_units} with "
            f"{', '.join(f'{p}={value:g} {own[p]}' for p, value in values.items())}",
        )
    coords = {dim: (axis, x_units)}
    ds = new_dataset(
        row.quantity, y, units=y_units, coords=coords, statistics="unknown"
    )
    arguments = {p: f"{values[p]:.10g} {own[p]}" for p in values}
    history = extend_history(None, f"models.evaluate({row.name})", arguments)
    if row.area and parse_unit(own[row.area[0]]).is_compatible_with("1"):
        # On the scale of the model 1 is all modes, and its own area is what its
        # parameters say.
        area = sum(values[p] for p in row.area) * convert_factor(own[row.area[0]], "1")
        ds = ds.assign_coords(area=((), area, labels("area") | {"units": "1"}))
        ds[quantity.variable].attrs |= {"area": 1.0, "area_of": "all modes"}
    ds[quantity.variable].attrs["origin"] = "model"
    ds[quantity.variable].attrs["history"] = ds.attrs["history"] = history
    return ds


def _require_limits(
    row: Model, values: dict[str, float], units: dict[str, str]
) -> None:
    """Refuse parameters outside the limits of a model, such as a negative width."""
    for name, value in values.items():
        low, high = -LARGEST, row.below.get(name, LARGEST)
        if name in row.positive:
            low = 0.0 if name in row.zero else 1 / LARGEST
        if not low <= value <= high or value == row.below.get(name):
            raise QuantityError(
                f"{name}={value:g} {units[name]}".removesuffix(" 1")
                + f" of {row.name} must be between {low:g} and {high:g}",
            )


def _require_scale(units: str) -> None:
    """Refuse units that a spectrum cannot have, whatever its scale."""
    for unit in parse_unit(units, name="units")._units:
        if not any(parse_unit(unit).is_compatible_with(known) for known in _SCALES):
            raise UnitsError(
                f"units={units!r} contain '{unit}', which no spectrum has",
                fix="units='1' where the scale is arbitrary",
            )
