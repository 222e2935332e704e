"""Media whose elastic constants fluctuate in space, on plain arrays."""

from __future__ import annotations

import numpy as np
import scipy

from xbp.models.medium import branch_integral, medium_dos

__all__ = [
    "critical_disorder",
    "elastic_self_energy",
    "fluctuating_elasticity",
    "fluctuating_elasticity_dos",
    "heterogeneous_elasticity_dos",
]

#: How Σ enters c_L² and how χ_L enters Σ, with λ or with the bulk modulus constant.
_CONSTANT = {"lambda": (2.0, 1.0), "bulk": (4 / 3, 2 / 3)}

#: Steps of the iteration before Newton's.
_LEADING = 8


def elastic_self_energy(
    E: np.ndarray | float,
    gamma: float,
    c2_T: float,
    c2_L: float | None = None,
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
    gamma : float
        γ, in the fourth power of the unit of E.
    c2_T, c2_L : float
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
    energies = np.maximum(np.asarray(E, dtype=float), 0.0)
    into_L, from_L = _CONSTANT[constant]

    def new(x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        found = _response(x, c2_T - sigma)
        if c2_L is not None:
            found = found + from_L * _response(x, c2_L - into_L * sigma)
        return np.asarray(gamma * found)

    static = _static(gamma, c2_T, c2_L, into_L, from_L)
    if np.isnan(static):
        return np.full(energies.shape, np.nan + 0j)
    # The iteration converges to the one solution that absorbs, but slowly near band
    # edges; a few of its steps lead Newton's method there.
    x = energies.ravel()
    sigma = np.full(x.shape, static + 0.1j * c2_T)
    for _ in range(_LEADING):
        sigma = (sigma + new(x, sigma)) / 2
    found, at = sigma.copy(), np.arange(x.size)
    for _ in range(60):  # ten suffice except next to the instability
        step = -1e-6 * np.abs(c2_T - sigma)
        value = sigma - new(x, sigma)
        slope = (sigma + step - new(x, sigma + step) - value) / step
        change = value / slope
        end = sigma - change
        # A step is cut where it would leave the half plane of waves that die out. The
        # last, after which the next would be rounding, ends at its edge: there are the
        # waves that do not.
        cut = np.where(
            end.imag < 0, 0.9 * sigma.imag / np.maximum(change.imag, 1e-300), 1.0
        )
        near = np.abs(change) <= 1e-10 * c2_T
        last = end.real + 1j * np.maximum(end.imag, 0.0)
        sigma = np.where(near, last, sigma - np.minimum(np.abs(cut), 1.0) * change)
        found[at] = sigma
        x, sigma, at = x[~near], sigma[~near], at[~near]
        if not at.size:
            break
    return found.reshape(energies.shape)


def _response(E: np.ndarray, c2: np.ndarray) -> np.ndarray:
    """Return ∫3κ⁴/(c²κ² − E²) dκ over 0…1."""
    return np.asarray((1 + 3 * E**2 * branch_integral(E, c2)) / c2)


def _static(
    gamma: float, c2_T: float, c2_L: float | None, into_L: float, from_L: float
) -> float:
    """Return Σ at E = 0; NaN if it does not exist."""
    if not gamma >= 0:
        return float("nan")
    sigma = 0.0
    for _ in range(100):  # the function is concave: the steps do not pass the root
        T = c2_T - sigma
        L = np.inf if c2_L is None else c2_L - into_L * sigma
        slope = 1 - gamma * (1 / T**2 + from_L * into_L / L**2)
        change = (gamma * (1 / T + from_L / L) - sigma) / slope if slope > 0 else np.inf
        if not change < min(T, L):
            return float("nan")
        sigma += change
        if abs(change) < 1e-15 * c2_T:
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
    r2 = velocity_ratio**2
    gamma = disorder / (1 + 2 / r2**2)
    sigma0 = gamma * (1 + 1 / r2)
    x, T0, L0 = np.asarray(E, dtype=float) / energy_T, 1 + sigma0, r2 + 2 * sigma0
    sigma = elastic_self_energy(x, gamma if disorder < 1 else np.nan, T0, L0)
    return np.asarray(area / energy_T * medium_dos(x, T0 - sigma, L0 - 2 * sigma))
