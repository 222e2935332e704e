"""Labelled S(Q,E) and B(Q,E) with a known boson peak, and counting noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.conditions import (
    STATISTICS,
    given_axis,
    resolve,
    temperature_coordinate,
)
from xbp.core.construct import new_dataset
from xbp.core.data import require_values
from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import RNG, choose, require_number, require_positive, require_seed
from xbp.core.schema import labels, per_unit
from xbp.core.signal import extend_history, read
from xbp.core.units import (
    convert_factor,
    format_unit,
    magnitude,
    parse_unit,
    split_quantity,
)
from xbp.models.debye_einstein import legendre_rule
from xbp.models.factors import Convention, energy_factor, momentum_factor
from xbp.models.lineshapes import (
    FWHM_PER_SIGMA,
    Shape,
    gaussian,
    lognormal,
    lognormal_sigma,
)

__all__ = [
    "dynamic_structure_factor",
    "elastic_line",
    "hard_sphere_structure_factor",
    "reduced_dos",
    "with_counting_noise",
]


_BQE: Convention = "n*S/(E*Q^2)"


def hard_sphere_structure_factor(
    Q: Any, diameter: Any = "2.6 angstrom", packing_fraction: float = 0.5
) -> xr.Dataset:
    r"""Return S(Q) of a hard-sphere liquid in the Percus–Yevick approximation.

    Parameters
    ----------
    Q : 1-D array, or DataArray with units
        Momentum transfers; a bare array is in 1/angstrom.
    diameter : scalar with units
        Sphere diameter (bare: angstrom).
    packing_fraction : float
        Volume fraction η, between 0 and 0.64.

    Returns
    -------
    xarray.Dataset
        ``Sq(Q)``, dimensionless: S = 1/(1 − ρĉ(Q)).

    Raises
    ------
    RangeError
        If the packing fraction is out of range.

    References
    ----------
    Wertheim, Phys. Rev. Lett. 10, 321 (1963), doi:10.1103/PhysRevLett.10.321; Ashcroft
    and Lekner, Phys. Rev. 145, 83 (1966), doi:10.1103/PhysRev.145.83, Eq. 7.

    Examples
    --------
    >>> Sq = hard_sphere_structure_factor(np.linspace(0.5, 10, 300)).Sq
    >>> round(float(Sq.idxmax()), 1)
    2.7
    """
    # 0.64 is random close packing.
    eta = require_number(packing_fraction, "packing_fraction", above=0, below=0.64)
    q, units, in_angstrom = _axis(Q, "Q")
    x = q * in_angstrom * magnitude(diameter, "angstrom", name="diameter")
    alpha = (1 + 2 * eta) ** 2 / (1 - eta) ** 4
    beta = -6 * eta * (1 + eta / 2) ** 2 / (1 - eta) ** 4
    gamma = eta * alpha / 2
    # ∫₀¹ s² j₀(sx)(α + βs + γs³) ds; the closed form cancels badly for small x, the
    # quadrature never.
    s, w = legendre_rule(200)
    s, w = (s + 1) / 2, w / 2
    integral = (
        (alpha + beta * s + gamma * s**3) * s**2 * np.sinc(np.outer(x, s) / np.pi) * w
    ).sum(axis=1)
    return new_dataset(
        "static_structure_factor",
        1 / (1 + 24 * eta * integral),
        units="1",
        coords={"Q": (q, units)},
        attrs={"title": f"Percus-Yevick hard spheres, packing fraction {eta}"},
    )


def reduced_dos(
    Q: Any,
    E: Any,
    *,
    energy: Any,
    width: Any,
    scale: Any = "1 angstrom^2/meV^2",
    shape: Shape | Callable[[np.ndarray], np.ndarray] = "lognormal",
    structure_factor: xr.DataArray | xr.Dataset | None = None,
) -> xr.Dataset:
    r"""Return B(Q,E) of a boson peak that does not disperse and follows S(Q).

    .. math:: B_{BP}(Q,E) = A\, f(E - E_{BP})\, S(Q)

    Parameters
    ----------
    Q, E : 1-D arrays, or DataArrays with units
        Bin centres; bare arrays are in 1/angstrom and meV. B is even in E.
    energy : scalar with units
        E_BP, where f has its maximum 1 (bare: the unit of `E`).
    width : scalar with units
        Full width at half maximum of f.
    scale : scalar with units
        A; its units are those of B.
    shape : {"lognormal", "gaussian"} or callable
        f; a callable gets ``|E|`` in meV and returns f.
    structure_factor : xarray.DataArray or Dataset, optional
        S(Q) over the same Q; by default `hard_sphere_structure_factor`.

    Returns
    -------
    xarray.Dataset
        ``B(Q,E)``.

    Raises
    ------
    XbpError
        If an argument has the wrong units or range.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 2.

    Examples
    --------
    >>> B = reduced_dos(np.linspace(2, 8, 30), np.linspace(0.5, 20, 40),
    ...     energy="5.5 meV", width="6 meV").B
    >>> float(B.isel(Q=3).idxmax())
    5.5
    """
    q, q_units, _ = _axis(Q, "Q")
    e, e_units, to_mev = _axis(E, "E")
    s_of_q = _structure_factor(structure_factor, q, q_units)
    profile = _profile(shape, np.abs(e) * to_mev, energy, width, e_units)
    _, units = split_quantity(scale, "scale")
    units = units or "angstrom**2/meV**2"
    ds = new_dataset(
        "reduced_dos",
        magnitude(scale, units, name="scale") * s_of_q[:, np.newaxis] * profile,
        units=units,
        coords={"Q": (q, q_units), "E": (e, e_units)},
    )
    ds.B.attrs["convention"] = _BQE
    return _with_history(
        ds,
        "models.reduced_dos",
        {"energy": energy, "width": width, "scale": scale, "shape": shape},
    )


def dynamic_structure_factor(
    Q: Any,
    E: Any,
    *,
    energy: Any,
    width: Any,
    T: Any,
    u2: Any,
    scale: Any = "1 angstrom^2/meV^2",
    shape: Shape | Callable[[np.ndarray], np.ndarray] = "lognormal",
    structure_factor: xr.DataArray | xr.Dataset | None = None,
    statistics: str = "quantum",
) -> xr.Dataset:
    r"""Return S(Q,E) of a boson peak that does not disperse and follows S(Q).

    .. math:: S_{BP}(Q,E) = A\,E\,Q^2 e^{-Q^2u^2} \langle n\rangle^{-1} f(E-E_{BP})\,
        S(Q)

    Parameters
    ----------
    Q, E, energy, width, scale, shape, structure_factor
        As for `reduced_dos`; E may have both signs and obeys detailed balance.
    T : scalar with units
        Temperature (bare: K).
    u2 : scalar with units
        Mean-square displacement per axis (bare: inverse square of the Q unit).
    statistics : {"quantum", "classical"}
        Classical S(Q,E) is even in E, as straight from MD.

    Returns
    -------
    xarray.Dataset
        ``S(Q,E)`` with the coordinates ``temperature`` and ``u2``.

    Raises
    ------
    XbpError
        If an argument has the wrong units or range.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Eq. 3.

    Examples
    --------
    >>> S = dynamic_structure_factor(
    ...     np.linspace(2, 8, 30), np.linspace(-20, 20, 81), energy="5.5 meV",
    ...     width="6 meV",
    ...     T="300 K", u2="0.01 angstrom^2")
    >>> S.S.attrs["units"], S.bp.to_bqe().B.isel(Q=3).sel(E=slice(0,
    ...     None)).idxmax().item()
    ('1/meV', 5.5)
    """
    b = reduced_dos(
        Q, E, energy=energy, width=width, scale=scale, shape=shape,
        structure_factor=structure_factor,
    )  # fmt: skip
    B = b.B.assign_coords(temperature=temperature_coordinate(T))
    displacement = resolve(B, "u2", u2=u2)
    to_mev = per_unit(B, "E")
    statistics = choose(statistics, STATISTICS, "statistics")
    by_energy = energy_factor(
        _BQE, B.E.values * to_mev, B.temperature.values, statistics
    )
    by_momentum = momentum_factor(
        _BQE, B.Q.values * per_unit(B, "Q"), displacement.values
    )
    # From 1/meV to the density per unit of the axis that was asked for.
    unit = convert_factor(B.attrs["units"], "angstrom**2/meV**2", name="scale")
    ds = new_dataset(
        "dynamic_structure_factor",
        B.values / by_energy / by_momentum[:, np.newaxis] * to_mev * unit,
        units=format_unit(parse_unit(B.E.attrs["units"]) ** -1),
        coords={dim: (B[dim].values, B[dim].attrs["units"]) for dim in ("Q", "E")},
        temperature=T,
        statistics=statistics,
    )
    return _with_history(
        ds.assign_coords(u2=((), float(displacement), labels("u2"))),
        "models.dynamic_structure_factor",
        {
            "energy": energy, "width": width, "T": T, "u2": u2, "scale": scale,
            "shape": shape, "statistics": statistics,
        },
    )  # fmt: skip


def elastic_line(
    Q: Any, E: Any, *, u2: Any, resolution: Any, scale: float = 1.0, T: Any = None
) -> xr.Dataset:
    """Return an incoherent elastic line.

    Scale · exp(−Q²u²) times a Gaussian of unit area in E.

    Parameters
    ----------
    Q, E : 1-D arrays, or DataArrays with units
        Bin centres; bare arrays are in 1/angstrom and meV.
    u2 : scalar with units
        Mean-square displacement per axis.
    resolution : scalar with units
        Full width at half maximum (FWHM) of the Gaussian.
    scale : float
        ∫S dE at Q = 0.
    T : scalar with units, optional
        Temperature to carry along.

    Returns
    -------
    xarray.Dataset
        ``S(Q,E)`` in 1/(unit of E), statistics "quantum".

    Raises
    ------
    XbpError
        If an argument has the wrong units.

    Examples
    --------
    >>> line = elastic_line([1.0, 2.0], np.linspace(-5, 5, 201), u2="0.01 angstrom^2",
    ...     resolution="1 meV")
    >>> round(float(line.S.isel(Q=0).integrate("E")), 4)
    0.99
    """
    q, q_units, to_angstrom = _axis(Q, "Q")
    e, e_units, _ = _axis(E, "E")
    fwhm = require_positive(resolution, "resolution", e_units, energy=True)
    scale = require_number(scale, "scale", least=0)
    displacement = magnitude(u2, "angstrom**2", name="u2", default=f"({q_units})**-2")
    require_values(displacement, "u2", "angstrom^2", least=0)
    sigma = fwhm / FWHM_PER_SIGMA
    decay = scale * np.exp(-((q * to_angstrom) ** 2) * displacement)
    line = gaussian(e, 0.0, 1 / (sigma * np.sqrt(2 * np.pi)), sigma)
    ds = new_dataset(
        "dynamic_structure_factor",
        decay[:, np.newaxis] * line,
        units=format_unit(parse_unit(e_units) ** -1),
        coords={"Q": (q, q_units), "E": (e, e_units)},
        statistics="quantum",
        temperature=T,
    )
    return _with_history(
        ds,
        "models.elastic_line",
        {"u2": u2, "resolution": resolution, "scale": scale, "T": T},
    )


def with_counting_noise(data: xr.Dataset, *, counts: float, rng: RNG) -> xr.Dataset:
    """Draw counting noise on a model, as a spectrometer would have counted it.

    Every bin gets a Poisson number with the mean k·S, where k is set so that the
    strongest bin expects `counts`; values and standard deviations are divided by k
    again. The standard deviation is that of the law the number was drawn from, √(kS)/k.

    Parameters
    ----------
    data : xarray.Dataset
        A model's S(Q,E), not negative.
    counts : float
        Expected counts in the strongest bin.
    rng : int, numpy.random.Generator or None
        Of the random numbers. The same int gives the same noise; None, other noise each
        time. The history records an int with which the call can be repeated.

    Returns
    -------
    xarray.Dataset
        With ``S_std``.

    Raises
    ------
    QuantityError
        If the data are negative somewhere, `counts` is not positive.
    RangeError
        If `rng` is invalid.

    Examples
    --------
    >>> line = elastic_line([1.0, 2.0], np.linspace(-2, 2, 5), u2="0 angstrom^2",
    ...     resolution="1 meV")
    >>> noisy = with_counting_noise(line, counts=100, rng=1)
    >>> round(float((noisy.S_std / noisy.S).isel(Q=0).sel(E=0)), 1)
    0.1
    """
    counts = require_number(counts, "counts", above=0, below=1e15, error=QuantityError)
    seed = require_seed(rng)
    signal = read(data, "dynamic_structure_factor")
    expected = signal.value.values
    known = np.append(expected[np.isfinite(expected)], 0.0)
    low, high = float(known.min()), float(known.max())
    if not (low >= 0 and high > 0):
        raise QuantityError(
            f"counts={counts} must be positive, and S (from {low:g} to {high:g}) "
            "neither negative nor all 0"
        )
    scale = counts / high
    drawn = np.random.default_rng(seed).poisson(np.nan_to_num(expected) * scale) / scale
    value = signal.value.copy(data=np.where(np.isnan(expected), np.nan, drawn))
    std = signal.value.copy(data=np.sqrt(expected / scale))
    answer: xr.Dataset = signal.answer(
        value,
        std,
        operation="models.with_counting_noise",
        arguments={"counts": counts, "rng": seed},
        attrs={"origin": None},  # with noise it is like a measurement
    )
    return answer


def _axis(values: Any, dim: str) -> tuple[np.ndarray, str, float]:
    """Return bin centres, their units, and the factor to the canonical unit."""
    array, units = given_axis(values, dim)
    canonical = labels(dim)["units"]
    return array, units, convert_factor(units, canonical, name=dim, energy=dim == "E")


def _structure_factor(
    given: xr.DataArray | xr.Dataset | None, q: np.ndarray, units: str
) -> np.ndarray:
    if given is None:
        given = hard_sphere_structure_factor(
            xr.DataArray(q, dims="Q", attrs={"units": units})
        )
    sq = read(given, "static_structure_factor").value
    own = sq["Q"].values * convert_factor(sq["Q"].attrs["units"], units, name="Q")
    if own.shape != q.shape or not np.allclose(own, q, rtol=1e-9, atol=0):
        raise RangeError(
            "the Q grid of structure_factor differs from Q",
            fix="structure_factor.interp(Q=Q) first",
        )
    return np.asarray(sq.values)


def _profile(
    shape: Shape | Callable[[np.ndarray], np.ndarray],
    e_mev: np.ndarray,
    energy: Any,
    width: Any,
    units: str,
) -> np.ndarray:
    at = magnitude(energy, "meV", name="energy", default=units, energy=True)
    fwhm = magnitude(width, "meV", name="width", default=units, energy=True)
    require_values([at, fwhm], "energy and width", "meV", above=0)
    if callable(shape):
        return np.asarray(shape(e_mev), dtype=float)
    if choose(shape, Shape, "shape", reason="or pass a function") == "lognormal":
        return lognormal(e_mev, at, 1.0, lognormal_sigma(at, fwhm))
    return gaussian(e_mev, at, 1.0, fwhm / FWHM_PER_SIGMA)


def _with_history(
    ds: xr.Dataset, operation: str, arguments: dict[str, Any]
) -> xr.Dataset:
    name = next(iter(ds.data_vars))
    written = {
        k: v if isinstance(v, str | int | float) else getattr(v, "__name__", str(v))
        for k, v in arguments.items()
        if v is not None
    }
    ds[name].attrs["origin"] = "model"
    ds[name].attrs["history"] = ds.attrs["history"] = extend_history(
        None, operation, written
    )
    return ds
