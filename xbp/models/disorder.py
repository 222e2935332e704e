"""Densities of states from two theories of the boson peak, on plain arrays."""

from __future__ import annotations

import numpy as np

from xbp.models.debye_einstein import legendre_rule

__all__ = ["fluctuating_elasticity", "fluctuating_elasticity_dos", "soft_potential_dos"]


def soft_potential_dos(E: np.ndarray, slope: float, energy_b: float) -> np.ndarray:
    r"""Return the density of states of quasi-local modes stabilised by interaction.

    .. math:: g(E) = C E\,\frac{6}{\pi}\left(\frac{E}{E_b}\right)^3
              \int_0^1 \frac{\mathrm{d}t}{1 + (E/E_b)^6\,t^2(3 - 2t^2)^2}

    Oscillators kx²/2 + Ax⁴/4 − fx of mass M, every stiffness k > 0 being equally
    frequent, feel random forces f of a Lorentzian distribution of half width δf, and
    vibrate about where these have moved them. E_b = ħ√(3/M) A^{1/6} δf^{1/3}. What was
    C E everywhere becomes (6C/π) E⁴/E_b³ for E ≪ E_b and stays C E for E ≫ E_b; g/E²
    has its maximum, the boson peak, at 0.935 E_b.

    Parameters
    ----------
    E : numpy.ndarray
        Energies; the value at E ≤ 0 is 0.
    slope : float
        C, in the unit of g over that of E.
    energy_b : float
        E_b, in the unit of E.

    Returns
    -------
    numpy.ndarray
        In the unit of ``slope`` times that of E; the sound waves are not in it.

    References
    ----------
    V. L. Gurevich, D. A. Parshin and H. R. Schober, Phys. Rev. B 67, 094203 (2003),
    doi:10.1103/PhysRevB.67.094203.

    Examples
    --------
    >>> E = np.array([1e-3, 1e3])
    >>> (soft_potential_dos(E, 2.0, 1.0) / np.array([12 / np.pi * 1e-12, 2e3])).round(3)
    array([1., 1.])
    """
    E = np.asarray(E, dtype=float)
    z = np.maximum(E / energy_b, 0.0)[..., None] ** 3
    nodes, weights = legendre_rule(48)
    # With t = sinh(u)/z the peak at t = 0 is as wide as the rest.
    reach = np.arcsinh(3 * z)
    u = reach * (nodes + 1) / 2
    scale = np.where(z > 0, 3 * z, 1.0)
    t = np.sinh(u) / scale
    integrand = np.cosh(u) / scale / (1 + (z * t * (3 - 2 * t**2)) ** 2)
    integral = (integrand * weights).sum(axis=-1) * reach[..., 0] / 2
    return np.asarray(slope * np.maximum(E, 0.0) * 6 / np.pi * z[..., 0] * integral)


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
    if not 0 <= disorder < 0.25:
        return np.full(x.shape, np.nan + 0j)
    # Newton's method, from the answer for E → 0, a little absorbing.
    s = np.full(x.shape, (1 + np.sqrt(1 - 4 * disorder)) / 2 - 1e-3j)
    for _ in range(60):  # ten suffice except next to the instability
        step = 1e-6 * np.abs(s)
        value = s - 1 + disorder * _loop(x, s)[0]
        slope = (s + step - 1 + disorder * _loop(x, s + step)[0] - value) / step
        change = value / slope
        # A step is cut where it would leave the half plane of waves that die out.
        cut = np.where(
            (s - change).imag > 0, 0.5 * s.imag / np.minimum(change.imag, -1e-300), 1.0
        )
        s = s - np.minimum(np.abs(cut), 1.0) * change
    return np.asarray(s)


def _loop(x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ∫3κ⁴/(κ²s − x²) dκ and ∫3κ²/(κ²s − x²) dκ over 0…1, for Im s ≤ 0."""
    a = x / np.sqrt(s)
    # Im a ≥ 0: the pole at κ = a lies above the real axis, or just above it where s is
    # real
    a = np.where(a == 1, 1 + 1e-12j, a + 1e-300j)
    # ∫dκ/(κ² − a²) = [ln(1 − a) − ln(1 + a) + iπ]/2a, the branch that belongs to such a
    # pole.
    half = a / 2 * (np.log(1 - a) - np.log(1 + a) + 1j * np.pi)
    return 3 / s * (1 / 3 + a**2 + a**2 * half), 3 / s * (1 + half)


def fluctuating_elasticity_dos(
    E: np.ndarray, area: float, energy_D: float, disorder: float
) -> np.ndarray:
    r"""Return the density of states of a medium with a fluctuating elastic constant.

    .. math:: g(E) = A\,\frac{2E}{\pi E_D^2}\,\mathrm{Im}\int_0^1
        \frac{3\kappa^2\,\mathrm{d}\kappa}
              {\kappa^2 s(E) - (E/E_D)^2 - i0}

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
    x = np.maximum(np.asarray(E, dtype=float), 0.0) / energy_D
    s = fluctuating_elasticity(E, energy_D, disorder)
    if np.isnan(s).any():
        return np.full(x.shape, np.nan)
    # Beyond the highest mode rounding leaves numbers that are not quite 0, of either
    # sign.
    return np.asarray(
        area * 2 * x / np.pi / energy_D * np.maximum(_loop(x, s)[1].imag, 0.0)
    )
