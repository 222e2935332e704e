"""Media whose elastic constants fluctuate in space, on plain arrays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import scipy

from xbp.models.guesses import search
from xbp.models.medium import (
    Values,
    branch_integral,
    branch_slope,
    medium_dos,
    strain_integral,
)
from xbp.models.model import Model
from xbp.models.phonons import PHONONS, RATIO, VELOCITY_RATIO

__all__ = [
    "MODELS",
    "critical_disorder",
    "elastic_self_energy",
    "fluctuating_elasticity",
    "fluctuating_elasticity_dos",
    "heterogeneous_elasticity_dos",
    "heterogeneous_elasticity_slopes",
]

#: How Σ enters c_L² and how χ_L enters Σ, with λ or with the bulk modulus constant.
_CONSTANT = {"lambda": (2.0, 1.0), "bulk": (4 / 3, 2 / 3)}

#: Steps of the iteration before Newton's.
_LEADING = 8


def elastic_self_energy(
    E: Values,
    gamma: Values,
    c2_T: Values,
    c2_L: Values | None = None,
    *,
    constant: str = "lambda",
) -> np.ndarray:
    r"""Return Σ(E) of a medium whose shear modulus fluctuates in space.

    .. math:: \Sigma = \gamma\left[b\,\bar\chi_L + \bar\chi_T\right],
        \quad \bar\chi_a = \int_0^1 \frac{3\kappa^4\,\mathrm{d}\kappa}
        {c_a^2\kappa^2 - E^2}, \quad c_T^2 = c_{T0}^2 - \Sigma,
        \ c_L^2 = c_{L0}^2 - a\Sigma

    The self-consistent Born approximation for Gaussian fluctuations of variance ∝ γ,
    with a = 2 and b = 1 for a constant Lamé's λ, a = 4/3 and b = 2/3 for a constant
    bulk modulus. Scalar waves have no L. The width of a wave, −E Im c²/Re c², grows as
    E⁴ at low energy (Rayleigh's law).

    Parameters
    ----------
    E : array_like
        Energies, not negative.
    gamma : array_like
        γ, in the fourth power of the unit of E.
    c2_T, c2_L : array_like
        (ħ v q_D)² of the medium without fluctuations, in the square of that unit;
        without `c2_L` scalar waves.
    constant : {"lambda", "bulk"}
        Which modulus does not fluctuate.

    Returns
    -------
    numpy.ndarray
        Complex, Im Σ ≥ 0; NaN where γ is negative, or the medium unstable
        (`critical_disorder`).

    References
    ----------
    W. Schirmacher, EPL 73, 892 (2006); W. Schirmacher, G. Ruocco and T. Scopigno, Phys.
    Rev. Lett. 98, 025501 (2007), doi:10.1103/PhysRevLett.98.025501 (the equations from
    memory; with a constant bulk modulus derived); W. Schirmacher and G. Ruocco,
    arXiv:2009.05970 (scalar model). Prefactors of γ and the largest wave number differ
    between papers.

    Examples
    --------
    >>> sigma = elastic_self_energy(np.array([1e-6]), 0.16, 1.0)
    >>> sigma.real.round(6)
    array([0.2])
    """
    static = _static(gamma, c2_T, c2_L, *_CONSTANT[constant])
    return _self_energy(E, static, gamma, c2_T, c2_L, *_CONSTANT[constant])


def _self_energy(
    E: Any,
    static: Any,
    gamma: Any,
    c2_T: Any,
    c2_L: Any,
    into_L: float,
    from_L: float,
) -> np.ndarray:
    """Return Σ(E) from Σ(0): a is `into_L`, b is `from_L`."""
    given = (E, static, gamma, c2_T, np.inf if c2_L is None else c2_L)
    x, static, gamma, T, L = np.broadcast_arrays(*given)
    shape, stable = x.shape, np.flatnonzero(np.isfinite(static))
    x, static, gamma, T, L = (
        np.asarray(a, dtype=float).ravel()[stable] for a in (x, static, gamma, T, L)
    )
    x, found = np.maximum(x, 0.0), np.full(shape, np.nan + 0j).ravel()

    def new(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the right side of the equation, and its derivative."""
        value, slope = strain_integral(x, T - sigma)
        if c2_L is not None:
            other, bend = strain_integral(x, L - into_L * sigma)
            value, slope = value + from_L * other, slope + from_L * into_L * bend
        return np.asarray(gamma * value), np.asarray(-gamma * slope)

    # The iteration converges to the one solution that absorbs, but slowly near band
    # edges; a few of its steps lead Newton's method there.
    sigma = static + 0.1j * T
    for _ in range(_LEADING):
        sigma = (sigma + new(sigma)[0]) / 2
    found[stable] = sigma
    for _ in range(60):  # ten suffice except next to the instability
        value, slope = new(sigma)
        change = (sigma - value) / (1 - slope)
        end = sigma - change
        # A step is cut where it would leave the half plane of waves that die out. The
        # last, after which the next would be rounding, ends at its edge: there are the
        # waves that do not.
        cut = np.where(
            end.imag < 0, 0.9 * sigma.imag / np.maximum(change.imag, 1e-300), 1.0
        )
        near = np.abs(change) <= 1e-10 * T
        last = end.real + 1j * np.maximum(end.imag, 0.0)
        sigma = np.where(near, last, sigma - np.minimum(np.abs(cut), 1.0) * change)
        found[stable] = sigma
        x, gamma, T, L = (a[~near] for a in (x, gamma, T, L))
        sigma, stable = sigma[~near], stable[~near]
        if not stable.size:
            break
    return found.reshape(shape)


def _static(
    gamma: Values, c2_T: Values, c2_L: Values | None, into_L: float, from_L: float
) -> np.ndarray:
    """Return Σ at E = 0; NaN if it does not exist."""
    gamma, T0 = (np.asarray(a, dtype=float) for a in (gamma, c2_T))
    L0 = np.asarray(np.inf if c2_L is None else c2_L, dtype=float)
    sigma = np.where(gamma >= 0, 0.0 * (T0 + gamma), np.nan)
    for _ in range(100):  # the function is concave: the steps do not pass the root
        T, L = T0 - sigma, L0 - into_L * sigma
        slope = 1 - gamma * (1 / T**2 + from_L * into_L / L**2)
        slope = np.where(slope > 0, slope, np.nan)
        change = (gamma * (1 / T + from_L / L) - sigma) / slope
        sigma = np.where(change < np.minimum(T, L), sigma + change, np.nan)
        if not (np.abs(change) >= 1e-15 * T0).any():
            break
    return sigma


def critical_disorder(
    c2_T: float, c2_L: float | None = None, *, constant: str = "lambda"
) -> float:
    """Return the γ of `elastic_self_energy` at which the medium becomes unstable.

    Examples
    --------
    >>> round(critical_disorder(1.0), 6), round(critical_disorder(1.0, 4.0), 6)
    (0.25, 0.21479)
    """
    if c2_L is None:
        return c2_T**2 / 4
    into_L, from_L = _CONSTANT[constant]

    def gamma(sigma: float) -> float:
        return -sigma / (1 / (c2_T - sigma) + from_L / (c2_L - into_L * sigma))

    end = min(c2_T, c2_L / into_L)
    found = scipy.optimize.minimize_scalar(
        gamma, bounds=(0.0, end * (1 - 1e-9)), options={"xatol": 1e-10 * end}
    )
    return float(-found.fun)


def fluctuating_elasticity(
    E: np.ndarray, energy_D: float, disorder: float
) -> np.ndarray:
    r"""Return the complex stiffness of a medium with a fluctuating elastic constant.

    .. math:: s(E) = 1 - \gamma \int_0^1
        3\kappa^2\,\mathrm{d}\kappa\,\frac{\kappa^2}{\kappa^2 s(E) - \epsilon^2 - i0},
              \qquad \epsilon = E/E_D

    This is the self-consistent Born approximation for scalar waves, with s the squared
    sound velocity over that without fluctuations, wave numbers κ up to Debye's, and γ
    the relative variance of the elastic constant. At E → 0, s = [1 + √(1 − 4γ)]/2;
    beyond γ = 1/4 the medium is unstable. The width of a wave of energy E is −E Im s/Re
    s, and grows as E⁴ (Rayleigh's law) at low energy.

    Parameters
    ----------
    E : numpy.ndarray
        Energies, not negative.
    energy_D : float
        Debye energy of the medium without fluctuations, in the unit of E.
    disorder : float
        γ, at least 0 and below 1/4.

    Returns
    -------
    numpy.ndarray
        Complex s(E), with Im s ≤ 0; NaN where `disorder` is out of range.

    References
    ----------
    W. Schirmacher and G. Ruocco, Heterogeneous elasticity: the tale of the boson peak,
    arXiv:2009.05970 (scalar model); W. Schirmacher, G. Ruocco and T. Scopigno, Phys.
    Rev. Lett. 98, 025501 (2007), doi:10.1103/PhysRevLett.98.025501 (the same with
    longitudinal and transverse waves).

    Examples
    --------
    >>> fluctuating_elasticity(np.array([1e-6]), 1.0, 0.16).real.round(6)
    array([0.8])
    """
    x = np.maximum(np.asarray(E, dtype=float), 0.0) / energy_D
    return np.asarray(1 - elastic_self_energy(x, disorder, 1.0))


def fluctuating_elasticity_dos(
    E: np.ndarray, area: float, energy_D: float, disorder: float
) -> np.ndarray:
    r"""Return the density of states of a medium with a fluctuating elastic constant.

    .. math:: g(E) = A\,\frac{2E}{\pi E_D^2}\,\mathrm{Im}\int_0^1
        \frac{3\kappa^2\,\mathrm{d}\kappa}
              {\kappa^2 s(E) - (E/E_D)^2 - i0}

    It assumes scalar waves in an elastic continuum whose stiffness has Gaussian
    fluctuations, uncorrelated beyond the Debye wave number, and no modes besides waves.

    Parameters
    ----------
    E : numpy.ndarray
        Energies; the value at E ≤ 0 is 0.
    area : float
        A = ∫g dE, in the unit of g times that of E.
    energy_D, disorder : float
        As for `fluctuating_elasticity`, which gives s(E).

    Returns
    -------
    numpy.ndarray
        At low energy Debye's 3AE²/(E_D³ s(0)^{3/2}), at γ = 0 up to E_D.

    References
    ----------
    As for `fluctuating_elasticity`.

    Examples
    --------
    >>> E = np.linspace(0, 2, 4001)
    >>> round(float(np.trapezoid(fluctuating_elasticity_dos(E, 1.0, 1.0, 0.2), E)), 3)
    1.0
    """
    x = np.asarray(E, dtype=float) / energy_D
    s = fluctuating_elasticity(x, 1.0, disorder)
    return np.asarray(area / energy_D * medium_dos(x, s))


def heterogeneous_elasticity_dos(
    E: np.ndarray, area: float, energy_T: float, disorder: float, velocity_ratio: float
) -> np.ndarray:
    r"""Return g(E) of sound in a medium whose shear modulus fluctuates.

    It assumes an isotropic elastic continuum with Gaussian fluctuations of the shear
    modulus at constant Lamé's λ, uncorrelated beyond the Debye wave number, and no
    modes besides waves. Its parameters are those of the medium with fluctuations, as
    they are measured: with r = v_L/v_T,

    .. math:: \Sigma(0) = \gamma\,(1 + r^{-2})/c_T^2, \qquad
              \gamma_c = c_T^4/(1 + 2r^{-4}), \qquad \text{disorder} = \gamma/\gamma_c

    Parameters
    ----------
    E : numpy.ndarray
        Energies; the value at E ≤ 0 is 0.
    area : float
        ∫g dE, in the unit of g times that of E.
    energy_T : float
        c_T = ħ v_T q_D of the transverse sound velocity at E → 0, in the unit of E.
    disorder : float
        γ/γ_c for these velocities, at least 0 and below 1, where the medium becomes
        unstable.
    velocity_ratio : float
        r, of the sound velocities at E → 0.

    Returns
    -------
    numpy.ndarray
        Debye's at disorder 0. g/E² has a maximum, if a flat one at small disorder.

    References
    ----------
    As for `elastic_self_energy`; γ_c for given velocities is derived.

    Examples
    --------
    >>> E = np.array([0.01, 0.1])
    >>> (heterogeneous_elasticity_dos(E, 1.0, 1.0, 0.9, 2.0) / E**2).round(3)
    array([2.139, 4.213])
    """
    x = np.asarray(E, dtype=float) / energy_T
    T, L, _ = _softened(x, disorder, velocity_ratio)
    return np.asarray(area / energy_T * medium_dos(x, T, L))


def _softened(
    x: np.ndarray, disorder: Any, velocity_ratio: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return c_T², c_L² and γ of the same, in units of c_T² at E → 0."""
    r2 = np.square(velocity_ratio)
    gamma = np.asarray(disorder / (1 + 2 / r2**2))
    sigma0 = gamma * (1 + 1 / r2)
    T0, L0 = 1 + sigma0, r2 + 2 * sigma0
    static = np.where(np.less(disorder, 1), sigma0, np.nan)
    sigma = _self_energy(x, static, gamma, T0, L0, *_CONSTANT["lambda"])
    return T0 - sigma, L0 - 2 * sigma, gamma


def heterogeneous_elasticity_slopes(
    E: np.ndarray, area: Any, energy_T: Any, disorder: Any, velocity_ratio: Any
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return `heterogeneous_elasticity_dos` with its derivatives by the parameters.

    .. math:: \left[1 + \gamma(\bar\chi_T' + 2\bar\chi_L')\right]
        \mathrm{d}\Delta = \mathrm{d}\Sigma(0) - \mathrm{d}_\Delta
        \left[\gamma(\bar\chi_T + \bar\chi_L)\right], \qquad
        \Delta = \Sigma(0) - \Sigma

    with the right side at constant Δ; χ' is the derivative by c², and functions of x =
    E/c_T follow from it, as they are homogeneous in x and c.

    Parameters
    ----------
    E : numpy.ndarray, shape (k,)
        Energies.
    area, energy_T, disorder, velocity_ratio : array_like, shape (m, 1)
        As for `heterogeneous_elasticity_dos`.

    Returns
    -------
    value : numpy.ndarray, shape (m, k)
    slopes : numpy.ndarray, shape (4, m, k)
    """
    x, r2 = np.maximum(E, 0.0) / energy_T, np.square(velocity_ratio)
    T, L, gamma = _softened(x, disorder, velocity_ratio)
    (chi_T, by_T), (chi_L, by_L) = strain_integral(x, T), strain_integral(x, L)
    J_T, J_L = branch_integral(x, T), branch_integral(x, L)
    slope_T, slope_L = branch_slope(x, T, J_T), branch_slope(x, L, J_L)
    follows = 1 + gamma * (by_T + 2 * by_L)
    # Δ by ln x, γ and r², of which γ depends on r² too.
    by_x = 2 * gamma * (chi_T + T * by_T + chi_L + L * by_L) / follows
    by_gamma = (1 + 1 / r2 - chi_T - chi_L) / follows
    share = 1 / (1 + 2 / r2**2)
    by_r2 = by_gamma * disorder * 4 * r2 / (r2**2 + 2) ** 2
    by_r2 = by_r2 - gamma * (1 / r2**2 + by_L) / follows

    def density(of_L: np.ndarray, of_T: np.ndarray) -> np.ndarray:
        return np.asarray(2 * x / np.pi * (of_L + 2 * of_T).imag)

    def moved(by: np.ndarray) -> np.ndarray:
        return density(2 * slope_L * by, slope_T * by)

    D = density(J_L, J_T)
    stretched = density(-2 * (J_L + L * slope_L), -2 * (J_T + T * slope_T))
    slopes = [
        -(2 * D + stretched + moved(by_x)) / energy_T,
        share * moved(by_gamma),
        2 * velocity_ratio * (density(slope_L, 0 * slope_T) + moved(by_r2)),
    ]
    scale = area / energy_T
    every = [D / energy_T, *(scale * one for one in slopes)]
    return np.maximum(scale * D, 0.0), np.stack(np.broadcast_arrays(*every))


def _guess_elasticity(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {
        "area": float(np.trapezoid(y, x)),
        "energy_D": 1.2 * float(x[np.argmax(y)]),
        "disorder": 0.15,
    }


#: The named models of these formulas.
MODELS: Final = (
    Model(
        "fluctuating_elasticity_dos",
        fluctuating_elasticity_dos,
        "vibrational_dos",
        {"area": "x*y", "energy_D": "x", "disorder": "1"},
        about="scalar waves in a medium whose elastic constant fluctuates, in the "
        "self-consistent Born approximation: Debye's law at low energy, Γ ∝ E⁴, "
        "unstable beyond disorder = 1/4 (Schirmacher, Ruocco & Scopigno, PRL 98, "
        "025501; Schirmacher & Ruocco, arXiv:2009.05970)",
        positive=("area", "energy_D", "disorder"),
        meaning={
            "energy_D": "Debye energy of the medium without fluctuations",
            "disorder": "γ: relative variance of the stiffness, unstable from 1/4",
        },
        guess=_guess_elasticity,
        below={"disorder": 0.25},
        zero=(
            "area",
            "disorder",
        ),
        area=("area",),
        example={"area": 1.0, "energy_D": 22.0, "disorder": 0.2},
    ),
    Model(
        "heterogeneous_elasticity_dos",
        heterogeneous_elasticity_dos,
        "vibrational_dos",
        {**PHONONS, "disorder": "1", "velocity_ratio": "1"},
        about="transverse and longitudinal waves in a medium whose shear modulus "
        "fluctuates, for its sound velocities at low energy, unstable beyond disorder "
        "= 1 (Schirmacher, Ruocco & Scopigno, PRL 98, 025501)",
        positive=("area", "energy_T", "disorder", "velocity_ratio"),
        guess=search(
            heterogeneous_elasticity_dos,
            "area",
            n_starts=2,
            energy_T=(0.25, 0.4, 0.6, 1.0, 2.0),
            disorder=(0.3, 0.7, 0.9),
            velocity_ratio=(VELOCITY_RATIO,),
        ),
        below={"disorder": 1.0},
        zero=(
            "area",
            "disorder",
        ),
        area=("area",),
        held=RATIO,
        example={"area": 1.0, "energy_T": 18.0, "disorder": 0.8},
    ),
)
