"""Harmonic heat capacities and their densities of states, on plain arrays.

Temperatures and characteristic temperatures are in K, energies in meV, heat capacities
in J/mol/K for 3 N_A modes (a mole of atoms); n = 1 is this number of modes.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy

from xbp.core import constants

__all__ = [
    "EINSTEIN_MAXIMUM",
    "debye_dos",
    "debye_einstein",
    "debye_heat_capacity",
    "dos_halves",
    "dos_maximum",
    "dos_weights",
    "einstein_heat_capacity",
    "fit_starts",
    "gaussian_dos",
    "gaussian_einstein_heat_capacity",
    "gaussian_nodes",
    "legendre_rule",
    "mode_heat_capacity",
]

#: θ_E/T where C_E/T³ is largest: the root of x = 5 tanh(x/2).
EINSTEIN_MAXIMUM = 4.928119358


@functools.cache
def legendre_rule(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of Gauss and Legendre's rule on [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return nodes, weights


def mode_heat_capacity(x: np.ndarray) -> np.ndarray:
    """Return x² eˣ/(eˣ − 1)², the heat capacity of one oscillator over k_B; 1 at x = 0.

    Parameters
    ----------
    x : numpy.ndarray
        ħω/k_BT, not negative.

    Examples
    --------
    >>> mode_heat_capacity(np.array([0.0, 1.0, 1e4])).round(6)
    array([1.      , 0.920674, 0.      ])
    """
    # With sinh it is even in x, and nothing overflows before the answer is 0.
    half = np.clip(np.asarray(x, dtype=float) / 2, 1e-300, 350.0)
    return np.asarray((half / np.sinh(half)) ** 2)


def einstein_heat_capacity(T: np.ndarray, theta: float) -> np.ndarray:
    """Return 3R (θ/T)² e^(θ/T)/(e^(θ/T) − 1)².

    Parameters
    ----------
    T : numpy.ndarray
        Temperatures in K, positive.
    theta : float
        Einstein temperature in K.

    Returns
    -------
    numpy.ndarray
        In J/mol/K.

    References
    ----------
    A. Einstein, Ann. Phys. 327, 180 (1907), doi:10.1002/andp.19063270110.

    Examples
    --------
    >>> einstein_heat_capacity(np.array([1e6]), 72.0).round(3)
    array([24.943])
    """
    return np.asarray(3 * scipy.constants.R * mode_heat_capacity(theta / T))


def debye_heat_capacity(T: np.ndarray, theta: Any) -> np.ndarray:
    r"""Return the Debye heat capacity.

    .. math:: C_D = 9R\left(\frac{T}{\theta_D}\right)^3\int_0^{\theta_D/T}
              \frac{\zeta^4e^\zeta}{(e^\zeta-1)^2}\,d\zeta

    Parameters
    ----------
    T : numpy.ndarray
        Temperatures in K, positive.
    theta : float
        Debye temperature in K.

    Returns
    -------
    numpy.ndarray
        In J/mol/K.

    References
    ----------
    P. Debye, Ann. Phys. 344, 789 (1912), doi:10.1002/andp.19123441404.

    Examples
    --------
    The law of T³, 12π⁴R/5 (T/θ)³:

    >>> C = debye_heat_capacity(np.array([1.0]), 300.0)
    >>> bool(np.isclose(C, 12 * np.pi**4 / 5 * scipy.constants.R / 300**3, rtol=1e-12))
    True
    """
    x = theta / np.asarray(T, dtype=float)
    # Beyond ζ = 60 the integrand is negligible.
    upper = np.minimum(x, 60.0)[..., None]
    nodes, weights = legendre_rule(64)
    zeta = upper * (nodes + 1) / 2
    integral = (
        (zeta**2 * mode_heat_capacity(zeta) * weights).sum(axis=-1) * upper[..., 0] / 2
    )
    return np.asarray(9 * scipy.constants.R * integral / x**3)


def gaussian_einstein_heat_capacity(
    T: np.ndarray, theta: float, sigma: float
) -> np.ndarray:
    r"""Return the heat capacity of Einstein oscillators of Gaussian-distributed θ.

    .. math:: \int_0^\infty C_E(T; \theta)\,\chi(\theta)\,d\theta, \quad
              \chi \propto e^{-(\theta-\theta_E)^2/2\sigma_E^2}\;(\theta>0), \quad
              \int_0^\infty\chi\,d\theta = 1

    Parameters
    ----------
    T : numpy.ndarray
        Temperatures in K, positive.
    theta, sigma : float
        Mean and standard deviation of the Gaussian, in K, before it is cut at 0.

    Returns
    -------
    numpy.ndarray
        In J/mol/K.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Methods.

    Examples
    --------
    >>> T = np.array([5.0, 20.0])
    >>> bool(np.allclose(gaussian_einstein_heat_capacity(T, 72, 1e-6),
    ...     einstein_heat_capacity(T, 72)))
    True
    """
    mean, spread, u, chi, _ = gaussian_nodes(theta, sigma)
    oscillators = mode_heat_capacity(
        (mean + spread * u) / np.asarray(T, dtype=float)[..., None]
    )
    found = np.einsum("...n,...n->...", oscillators, chi)
    return np.asarray(3 * scipy.constants.R * found)


def gaussian_nodes(theta: Any, sigma: Any) -> tuple[np.ndarray, ...]:
    """Return mean, σ, and nodes of a Gaussian on θ > 0: (θ − mean)/σ and weights.

    And its density at 0 over σ, where it begins there. Nodes are the last dimension.
    """
    mean, spread = (np.asarray(a, dtype=float)[..., None] for a in (theta, sigma))
    spread = np.maximum(np.abs(spread), 1e-9 * np.abs(mean))
    # Beyond 8 standard deviations a Gaussian is 0 in double precision.
    low = np.maximum(-8.0, -mean / spread)
    nodes, weights = legendre_rule(96)
    u = low + (8.0 - low) * (nodes + 1) / 2
    chi = weights * np.exp(-(u**2) / 2)
    total = chi.sum(axis=-1, keepdims=True)
    first = np.exp(-(low**2) / 2) / (total * (8.0 - low) / 2)
    return mean, spread, u, chi / total, np.where(low > -8.0, first, 0.0)[..., 0]


def debye_einstein(
    T: np.ndarray,
    gamma: float,
    n_D: float,
    theta_D: float,
    n_E: float,
    theta_E: float,
    sigma_E: float,
) -> np.ndarray:
    """Return γT + n_D C_D + n_E ∫ C_E χ dθ.

    It assumes harmonic phonons, to which other modes and electrons add.

    Parameters
    ----------
    T : numpy.ndarray
        Temperatures in K, positive.
    gamma : float
        Coefficient of the electronic (or two-level) linear term, in J/mol/K².
    n_D, n_E : float
        Numbers of Debye and of Einstein modes, in units of 3 N_A.
    theta_D, theta_E, sigma_E : float
        In K, as for `debye_heat_capacity` and `gaussian_einstein_heat_capacity`.

    Returns
    -------
    numpy.ndarray
        In J/mol/K.

    Examples
    --------
    >>> bool(np.isclose(debye_einstein(np.array([1e5]), 0, 0.8, 250, 0.2, 72, 20)[0],
    ...     3 * scipy.constants.R))
    True
    """
    lattice = n_D * debye_heat_capacity(
        T, theta_D
    ) + n_E * gaussian_einstein_heat_capacity(T, theta_E, sigma_E)
    return np.asarray(gamma * T + lattice)


def debye_dos(E: np.ndarray, theta: float) -> np.ndarray:
    """Return 3E²/E_D³ up to E_D = k_Bθ, of unit area.

    Parameters
    ----------
    E : numpy.ndarray
        Energies in meV.
    theta : float
        Debye temperature in K.

    Returns
    -------
    numpy.ndarray
        In 1/meV.
    """
    cutoff = constants.BOLTZMANN_MEV * theta
    return np.where(
        (E >= 0) & (cutoff >= E), 3 * np.asarray(E, dtype=float) ** 2 / cutoff**3, 0.0
    )


def gaussian_dos(E: np.ndarray, theta: float, sigma: float) -> np.ndarray:
    """Return χ(E/k_B)/k_B, the Gaussian on E > 0, of unit area.

    Parameters
    ----------
    E : numpy.ndarray
        Energies in meV.
    theta, sigma : float
        In K, as for `gaussian_einstein_heat_capacity`.

    Returns
    -------
    numpy.ndarray
        In 1/meV.
    """
    mean = constants.BOLTZMANN_MEV * theta
    width = constants.BOLTZMANN_MEV * np.abs(sigma)
    inside = (1 + scipy.special.erf(mean / (width * math.sqrt(2)))) / 2
    shape = np.exp(-((np.asarray(E, dtype=float) - mean) ** 2) / (2 * width**2))
    return np.where(E > 0, shape / (width * math.sqrt(2 * math.pi) * inside), 0.0)


def dos_maximum(mean: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return where a Gaussian over E² is largest, [Ē + √(Ē² − 8σ²)]/2.

    NaN where σ > Ē/2√2 and it falls everywhere.

    Parameters
    ----------
    mean, sigma : numpy.ndarray
        Ē and σ of the Gaussian, in one unit.

    Examples
    --------
    >>> dos_maximum(np.array([6.0, 6.0]), np.array([1.0, 3.0])).round(4)
    array([5.6458,    nan])
    """
    inside = (
        np.asarray(mean, dtype=float) ** 2 - 8 * np.asarray(sigma, dtype=float) ** 2
    )
    return np.where(inside >= 0, (mean + np.sqrt(np.maximum(inside, 0.0))) / 2, np.nan)


def dos_weights(
    E: np.ndarray,
    T: np.ndarray,
    dimension: int = 3,
    kernel: Callable[[np.ndarray], np.ndarray] = mode_heat_capacity,
    half: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Return the matrix W with ∫ g k(E/k_BT) dE = W g for g(E) on a grid.

    g/E^(d−1) is taken as linear between the points, and as constant below the first one
    (Debye's law) and in the last half bin: a Debye one is exact on any grid.

    Parameters
    ----------
    E : numpy.ndarray, shape (n,)
        Ascending positive energies in meV.
    T : numpy.ndarray, shape (m,)
        Temperatures in K, positive; infinity gives the weights of ∫ g dE.
    dimension : int
        d: 3, or 2 of a plane of atoms.
    kernel : callable
        k: by default the heat capacity of a mode, so that C(T)/dR = W g.
    half : numpy.ndarray, shape (n,), or 0
        Half the widths of bins in meV, over which g is a mean.

    Returns
    -------
    numpy.ndarray, shape (m, n)
        In meV.
    """
    below, above = dos_halves(E, T, dimension, kernel, half)
    return np.asarray(below + above)


def dos_halves(
    E: np.ndarray,
    T: np.ndarray,
    dimension: int,
    kernel: Callable[[np.ndarray], np.ndarray],
    half: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return what g at each energy adds to ∫ g k dE below it, and above it.

    Their sum is `dos_weights`, which has the parameters.
    """
    nodes, weights = legendre_rule(4)
    # Below the first point in eight steps: C at low temperature comes from there alone.
    end = E[-1:] + np.broadcast_to(half, E.shape)[-1:]
    edges = np.concatenate([np.linspace(0, E[0], 9)[:-1], E, end])
    steps = np.diff(edges)
    at = (edges[:-1, None] + steps[:, None] * (nodes + 1) / 2).ravel()
    area = (steps[:, None] * weights / 2).ravel()
    first = at < E[0]
    right = np.where(first, 0, np.clip(np.searchsorted(E, at), 0, E.size - 1))
    left = np.maximum(right - 1, 0)
    gap = np.where(right > left, E[right] - E[left], 1.0)
    t = np.where(first, 1.0, np.minimum((at - E[left]) / gap, 1.0))
    with np.errstate(divide="ignore"):
        kT = constants.BOLTZMANN_MEV * np.asarray(T, dtype=float)
        each = kernel(at / kT[:, None]) * (area * at ** (dimension - 1))
    below, above = np.zeros((2, each.shape[0], E.size))
    np.add.at(above.T, left, (each * (1 - t)).T)
    np.add.at(below.T, right, (each * t).T)
    # The mean of E^(d−1) over a bin.
    debye = E ** (dimension - 1) + (dimension - 1) * (dimension - 2) * half**2 / 6
    return below / debye, above / debye


def fit_starts(
    T: np.ndarray,
    C: np.ndarray,
    said: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> list[dict[str, float]]:
    """Search where to start fits of `debye_einstein`, the two best places.

    On a grid of θ_D, θ_E, σ_E; the other parameters are linear and not negative. The
    places differ in σ_E/θ_E: few wide modes and more narrow ones describe much the
    same.

    Parameters
    ----------
    T, C : numpy.ndarray
        Temperatures in K and heat capacities in J/mol/K; values that are not positive
        are left out.
    said : mapping of str to float, optional
        Parameters that are known.
    bounds : mapping of str to pair of float, optional
        Limits of the three temperatures.

    Returns
    -------
    list of dict of str to float
        The parameters that are not known.

    Examples
    --------
    >>> T = np.geomspace(2, 300, 40)
    >>> found = fit_starts(T, debye_einstein(T, 0.0, 0.8, 260.0, 0.2, 72.0, 15.0))
    >>> 60 < found[0]["theta_E"] < 90
    True
    """
    known, limits = dict(said or {}), dict(bounds or {})
    # Noise takes the lowest points of a measurement below zero.
    usable = (T > 0) & (C > 1e-300)
    T, C = T[usable], C[usable]
    if T.size == 0:
        names = ("gamma", "n_D", "theta_D", "n_E", "theta_E", "sigma_E")
        return [{name: 1.0 for name in names if name not in known}]
    top = EINSTEIN_MAXIMUM * float(T[np.argmax(C / T**3)])
    grids = {
        "theta_D": np.geomspace(max(80.0, T[-1] / 10), 900.0, 60),
        "theta_E": np.unique(
            np.concatenate([np.geomspace(25.0, 200.0, 16), [np.clip(top, 10.0, 400.0)]])
        ),
        "sigma_E": np.array([0.1, 0.2, 0.3, 0.4, 0.5]),
    }

    def candidates(name: str, scale: float = 1.0) -> np.ndarray:
        if name in known:
            return np.array([known[name]])
        return np.unique(np.clip(grids[name] * scale, *limits.get(name, (0.0, np.inf))))

    debyes = candidates("theta_D")
    einsteins = [
        (theta, sigma)
        for theta in candidates("theta_E")
        for sigma in candidates("sigma_E", theta)
    ]
    shape = functools.partial(_shape_at, T.astype(float).tobytes())
    # Shapes over (Einstein modes, Debye phonons, T), relative to every point.
    shapes = {
        "gamma": (T / C)[None, None],
        "n_D": np.stack([shape(debye_heat_capacity, theta) for theta in debyes])[None]
        / C,
        "n_E": np.stack(
            [shape(gaussian_einstein_heat_capacity, *one) for one in einsteins]
        )[:, None] / C,
    }  # fmt: skip
    rest = np.ones((len(einsteins), debyes.size, T.size))
    for name in known.keys() & shapes.keys():
        rest -= known[name] * shapes[name]
    linear = [name for name in shapes if name not in known]
    misfit = _least_misfit([shapes[name] for name in linear], rest)
    # Einstein modes beyond the end of Debye's describe much the same, but are not a
    # boson peak: they must fit ten times better.
    beyond = debyes <= np.array([[theta] for theta, _ in einsteins])
    misfit = np.where(beyond, 100 * misfit, misfit)
    relative = np.array([round(sigma / theta, 6) for theta, sigma in einsteins])
    found = []
    for one in np.unique(relative):
        own = np.where(relative[:, None] == one, misfit, np.inf)
        i, j = np.unravel_index(np.argmin(own), own.shape)
        place = dict(zip(("theta_E", "sigma_E"), map(float, einsteins[i]), strict=True))
        place["theta_D"] = float(debyes[j])
        if linear:
            columns = [np.broadcast_to(shapes[n], rest.shape)[i, j] for n in linear]
            amounts, _ = scipy.optimize.nnls(np.stack(columns, axis=1), rest[i, j])
            place |= dict(zip(linear, map(float, amounts), strict=True))
        found.append((float(own[i, j]), place))
    found.sort(key=lambda one: one[0])
    # A part that the search left out entirely would start at its bound.
    return [
        {
            name: max(v, 1e-2) if name.startswith("n_") else v
            for name, v in place.items()
            if name not in known
        }
        for _, place in found[:2]
    ]


@functools.lru_cache(maxsize=256)
def _shape_at(
    T: bytes, function: Callable[..., np.ndarray], *parameters: float
) -> np.ndarray:
    """Return a function at temperatures; many samples have the same ones."""
    return function(np.frombuffer(T), *parameters)


def _least_misfit(shapes: Sequence[np.ndarray], rest: np.ndarray) -> np.ndarray:
    """Return the least |rest − Σ aᵢ shapeᵢ|² for amounts a ≥ 0, over the last axis.

    It is that of some of the shapes with no limits on their amounts: all choices of
    them are tried.
    """
    norms = [np.sqrt((shape**2).sum(axis=-1, keepdims=True)) for shape in shapes]
    units = [
        shape / np.where(n > 0, n, 1) for shape, n in zip(shapes, norms, strict=True)
    ]
    size, n = (rest**2).sum(axis=-1), len(shapes)
    along, gram = np.empty((*size.shape, n)), np.empty((*size.shape, n, n))
    for i, one in enumerate(units):
        along[..., i] = np.einsum("...k,...k", one, rest)
        for j, other in enumerate(units):
            gram[..., i, j] = np.einsum("...k,...k", one, other)
    # Of shapes that are proportional any amounts will do.
    gram += 1e-13 * np.eye(n)
    least = size
    for some in (c for k in range(n) for c in itertools.combinations(range(n), k + 1)):
        G, b = gram[..., some, :][..., some], along[..., some]
        a = np.linalg.solve(G, b[..., None])[..., 0]
        left = size - (a * b).sum(axis=-1)
        least = np.where((a >= 0).all(axis=-1) & (left < least), left, least)
    return np.asarray(least)
