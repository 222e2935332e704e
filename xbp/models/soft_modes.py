"""Densities of states of modes that are no sound waves, on plain arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import scipy

from xbp.models.debye_einstein import legendre_rule
from xbp.models.guesses import SPREAD, search
from xbp.models.medium import jammed_modulus
from xbp.models.model import Model

__all__ = [
    "MODELS",
    "gaussian_soft_oscillators_dos",
    "jamming_dos",
    "quartic_dos",
    "quasilocalized_dos",
    "soft_oscillators_dos",
    "soft_potential_dos",
    "soft_potential_tail",
    "stringlets_dos",
]


def quasilocalized_dos(
    E: np.ndarray, level: float, energy_4: float, exponent: float
) -> np.ndarray:
    r"""Return Debye phonons and the tail of quasilocalised modes, ∝ E⁴.

    .. math:: g(E) = A_D E^2\left[1 + (E/E_4)^{\beta-2}\right]

    It assumes that the quasilocalised modes add to the phonons and that E is well below
    their own peak. **It has no maximum**: g/E² rises for ever. It describes the foot of
    a boson peak, never its position.

    Parameters
    ----------
    E : numpy.ndarray
        Energies; the value at E ≤ 0 is 0.
    level : float
        A_D = 3/E_D³ for a g of unit area.
    energy_4 : float
        E₄, in the unit of E, where there are as many quasilocalised modes as phonons;
        A₄ = A_D/E₄² for β = 4.
    exponent : float
        β, 4 by default. Fits that reach below the first sound mode of a simulated box
        find less.

    References
    ----------
    Additivity and tail: A. Moriel, E. Lerner and E. Bouchbinder, Phys. Rev. Res. 6,
    023053 (2024), doi:10.1103/PhysRevResearch.6.023053 (abstract); equation from
    memory. Exponent: arXiv:2206.05270 (abstract).

    Examples
    --------
    >>> quasilocalized_dos(np.array([1.0, 2.0]), 1.0, 2.0, 4.0)
    array([1.25, 8.  ])
    """
    E = np.maximum(np.asarray(E, dtype=float), 0.0)
    return np.asarray(level * E**2 * (1 + (E / energy_4) ** (exponent - 2)))


def quartic_dos(E: np.ndarray, A_4: float) -> np.ndarray:
    """Return A₄E⁴, quasilocalised modes alone, well below their peak; no maximum.

    It assumes soft spots in which anharmonicity leaves no mode at E = 0.
    """
    return np.asarray(A_4 * np.maximum(np.asarray(E, dtype=float), 0.0) ** 4)


def stringlets_dos(
    E: np.ndarray, area: float, energy_s: float, weight: float
) -> np.ndarray:
    r"""Return g(E) of strings of exponentially distributed lengths.

    .. math:: g(E) = A\,\frac{E_s^{m+1}}{m!\,E^{m+2}}\,e^{-E_s/E}, \qquad
              E_s = \frac{\pi\hbar v_T}{\lambda}

    It assumes that localised strings of length l vibrate in their fundamental mode, of
    energy πħv_T/l, that their lengths have the mean λ, and that a string counts as l^m.
    g/E² has its maximum at E_s/(4 + m), and Debye phonons added to it do not move that.
    Below it g vanishes faster than any power, not as E⁴.

    Parameters
    ----------
    E : numpy.ndarray
        Energies; the value at E ≤ 0 is 0.
    area : float
        A = ∫g dE, the fraction of modes in strings.
    energy_s : float
        E_s, in the unit of E.
    weight : float
        m, 0 by default: every string is one mode.

    References
    ----------
    Idea: C. Jiang, M. Baggioli and J. F. Douglas, J. Chem. Phys. 160, 214505 (2024),
    doi:10.1063/5.0210057 (abstract). Equation derived; m in the paper is not known.

    Examples
    --------
    >>> stringlets_dos(np.array([0.5]), 1.0, 1.0, 0.0).round(6)
    array([0.541341])
    """
    E = np.asarray(E, dtype=float)
    u = np.where(E > 0, energy_s / np.where(E > 0, E, 1.0), np.inf)
    finite = np.where(u < 700, u, 700.0)
    shape = finite ** (weight + 2) * np.exp(-finite) * (u < 700)
    return np.asarray(area / energy_s / scipy.special.gamma(weight + 1) * shape)


def soft_potential_tail(E: np.ndarray, density: float, energy_W: float) -> np.ndarray:
    r"""Return g(E) of vibrations in soft potentials, (P_s/8W)(E/W)⁴.

    It assumes potentials W[D₁x + D₂x² + x⁴] whose D₁ and D₂ are equally frequent near
    0, each vibrating in its deepest minimum. It is the high-energy part, from 1.5 W on;
    below W there are tunnelling states, C ∝ T. **It has no maximum.**

    Parameters
    ----------
    E : numpy.ndarray
        Energies.
    density : float
        P_s, per unit of D₁ and of D₂.
    energy_W : float
        W, in the unit of E: about 1.8 to 2 k_B T at the minimum of C/T³.

    References
    ----------
    U. Buchenau et al., Phys. Rev. B 46, 2798 (1992); from memory, 1/8 derived.
    """
    return np.asarray(density / (8 * energy_W) * (np.asarray(E) / energy_W) ** 4)


def soft_potential_dos(E: np.ndarray, slope: float, energy_b: float) -> np.ndarray:
    r"""Return the density of states of quasi-local modes stabilised by interaction.

    .. math:: g(E) = C E\,\frac{6}{\pi}\left(\frac{E}{E_b}\right)^3
              \int_0^1 \frac{\mathrm{d}t}{1 + (E/E_b)^6\,t^2(3 - 2t^2)^2}

    It assumes oscillators kx²/2 + Ax⁴/4 − fx of mass M, every stiffness k > 0 being
    equally frequent, that feel random forces f of a Lorentzian distribution of half
    width δf, and vibrate about where these have moved them. E_b = ħ√(3/M) A^{1/6}
    δf^{1/3}. What was C E everywhere becomes (6C/π) E⁴/E_b³ for E ≪ E_b and stays C E
    for E ≫ E_b; g/E² has its maximum, the boson peak, at 0.935 E_b.

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


def soft_oscillators_dos(E: np.ndarray, slope: float, energy_star: float) -> np.ndarray:
    r"""Return g(E) of soft oscillators made stable by interaction, k through 0.

    .. math:: g(E) = C E\,\frac{4}{3\pi}\left(\frac{E}{E_*}\right)^3
        \int_0^1 \frac{\mathrm{d}t}{1 + (E/E_*)^6\,t^2(1-t^2)^2}, \qquad
        E_*^6 = \hbar^6\,\frac{2A\,\delta\!f^2}{M^3}

    It assumes the oscillators of `soft_potential_dos`, but that the stiffness k is
    equally frequent on both sides of 0, so that there are double wells too, in whose
    deepest minimum the oscillator is. For E ≪ E_* it is ∝ E⁴, for E ≫ E_* it is C E;
    g/E² has its maximum at 1.520219 E_*.

    Parameters
    ----------
    E : numpy.ndarray
        Energies; the value at E ≤ 0 is 0.
    slope : float
        C, in the unit of g over that of E.
    energy_star : float
        E_*, in the unit of E.

    References
    ----------
    Idea: V. L. Gurevich, D. A. Parshin and H. R. Schober, Phys. Rev. B 67, 094203
    (2003), doi:10.1103/PhysRevB.67.094203 (abstract). Equation derived, and checked
    with oscillators drawn at random.

    Examples
    --------
    >>> E = np.array([1e3])
    >>> (soft_oscillators_dos(E, 2.0, 1.0) / E).round(3)
    array([2.])
    """
    return _soft_oscillators(E, slope, energy_star, 4 / (3 * np.pi), _lorentzian)


def gaussian_soft_oscillators_dos(
    E: np.ndarray, slope: float, energy_star: float
) -> np.ndarray:
    r"""Return g(E) of soft oscillators made stable by forces of Gaussian distribution.

    .. math:: g(E) = C E\,\frac23\sqrt{\frac2\pi}\left(\frac{E}{E_*}\right)^3
        \int_0^1 e^{-\frac12 (E/E_*)^6\,t^2(1-t^2)^2}\,\mathrm{d}t

    It assumes what `soft_oscillators_dos` does, but forces of a Gaussian distribution
    of standard deviation δf. g/E² has its maximum at 1.487052 E_*.

    Parameters
    ----------
    E, slope, energy_star
        As for `soft_oscillators_dos`.

    References
    ----------
    As for `soft_oscillators_dos`; derived.

    Examples
    --------
    >>> E = np.array([1e3])
    >>> (gaussian_soft_oscillators_dos(E, 2.0, 1.0) / E).round(3)
    array([2.])
    """
    scale = 2 / 3 * np.sqrt(2 / np.pi)
    return _soft_oscillators(E, slope, energy_star, scale, _gaussian, most=32.0)


def _lorentzian(force: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + force**2))


def _gaussian(force: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.minimum(force**2, 1400.0) / 2))


def _soft_oscillators(
    E: np.ndarray,
    slope: float,
    energy_star: float,
    scale: float,
    density: Callable[[np.ndarray], np.ndarray],
    most: float = np.inf,
) -> np.ndarray:
    """Return C E · scale · z ∫ density(z t(1 − t²)) dt over 0…1, z = (E/E_*)³."""
    E = np.maximum(np.asarray(E, dtype=float), 0.0)
    z = (E / energy_star)[..., None] ** 3
    nodes, weights = legendre_rule(48)
    # Peaks at t = 0 and 1, as wide as 1/z and 1/2z: each half in a sinh of its own.
    total: np.ndarray | float = 0.0
    for factor in (1.0, 2.0):
        stretch = np.maximum(factor * z, 1e-3)
        # With larger forces there is nothing left of a Gaussian.
        reach = np.arcsinh(np.minimum(stretch / 2, most))
        u = reach * (nodes + 1) / 2
        s = np.sinh(u) / stretch
        t = s if factor == 1.0 else 1 - s
        inside = np.cosh(u) / stretch * density(z * t * (1 - t**2))
        total = total + (inside * weights).sum(axis=-1) * reach[..., 0] / 2
    return np.asarray(slope * E * scale * z[..., 0] * total)


def jamming_dos(
    E: np.ndarray, area_star: float, energy_0: float, energy_star: float
) -> np.ndarray:
    r"""Return g(E) of the anomalous modes of weakly connected springs near jamming.

    .. math:: g(E) = A\,\frac{4E}{\pi E_*^2}\,\mathrm{Im}\,\frac{k_0}{2k(E)}
              = A\,\frac{4E}{\pi E_*^2}\,\frac{s}{1 + s^2}\ (E_0 < E),
              \qquad s = \frac{\sqrt{E^2 - E_0^2}}{E_*}

    It assumes few contacts above the least that is rigid. Without compression E₀ = E_*:
    g is 0 up to there, then a plateau, and g/E² has its maximum at 1.224745 E_*; under
    compression E₀ < E_*, g ∝ E² between them, and the maximum tends to
    (E₀E_*/√2)^(1/2). The modes above the plateau, and phonons, are not in it.

    Parameters
    ----------
    E : numpy.ndarray
        Energies; the value below E₀ is 0.
    area_star : float
        A, in the unit of g times that of E: the plateau is 4A/πE_*.
    energy_0, energy_star : float
        E₀ and E_*, in the unit of E, E₀ ≤ E_*.

    References
    ----------
    As for `jammed_modulus`.

    Examples
    --------
    >>> jamming_dos(np.array([0.5, 2.0]), 1.0, 1.0, 1.0).round(4)
    array([0.    , 1.1027])
    """
    E = np.maximum(np.asarray(E, dtype=float), 0.0)
    loss = (1 / jammed_modulus(E, energy_0, energy_star)).imag / 2
    return np.asarray(area_star * 4 / np.pi * E / energy_star**2 * loss)


def _guess_soft_potential(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    # g/E rises to its plateau, half of which it has reached at 0.7 E_b.
    per_energy = y / np.where(x > 0, x, np.inf)
    plateau = float(np.median(per_energy[x.size // 2 :]))
    rising = x[(x > 0) & (per_energy < plateau / 2)]
    return {
        "slope": plateau,
        "energy_b": float(rising[-1] if rising.size else x[0]) / 0.7,
    }


#: The named models of these formulas.
MODELS: Final = (
    Model(
        "quartic_dos",
        quartic_dos,
        "vibrational_dos",
        {"A_4": "y/x/x/x/x"},
        about="A₄E⁴ of quasilocalised modes far below their peak; no maximum (Moriel, "
        "Lerner & Bouchbinder, Phys. Rev. Res. 6, 023053)",
        positive=("A_4",),
        zero=("A_4",),
        guess=search(quartic_dos, "A_4"),
        example={"A_4": 1e-06},
    ),
    Model(
        "quasilocalized_dos",
        quasilocalized_dos,
        "vibrational_dos",
        {"level": "y/x/x", "energy_4": "x", "exponent": "1"},
        about="Debye phonons and an E⁴ tail of quasilocalised modes, equal at "
        "energy_4; no maximum (Moriel, Lerner & Bouchbinder, Phys. Rev. Res. 6, "
        "023053)",
        positive=("level", "energy_4", "exponent"),
        guess=search(
            quasilocalized_dos,
            "level",
            energy_4=(0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0),
            exponent=(4.0,),
        ),
        held={"exponent": 4.0},
        example={"level": 0.0002, "energy_4": 9.0},
    ),
    Model(
        "stringlets_dos",
        stringlets_dos,
        "vibrational_dos",
        {"area": "x*y", "energy_s": "x", "weight": "1"},
        about="strings of exponentially distributed lengths, maximum of g/E² at "
        "energy_s/(4 + weight) (derived; idea: Jiang, Baggioli & Douglas, J. Chem. "
        "Phys. 160, 214505)",
        positive=("area", "energy_s", "weight"),
        zero=(
            "area",
            "weight",
        ),
        guess=search(
            stringlets_dos,
            "area",
            energy_s=(0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0),
            weight=(0.0,),
        ),
        area=("area",),
        held={"weight": 0.0},
        example={"area": 0.1, "energy_s": 20.0},
    ),
    Model(
        "soft_potential_dos",
        soft_potential_dos,
        "vibrational_dos",
        {"slope": "y/x", "energy_b": "x"},
        about="quasi-local modes made stable by anharmonicity under random forces: E⁴ "
        "at low and E at high energy, maximum of g/E² at 0.935 energy_b (Gurevich, "
        "Parshin & Schober, PRB 67, 094203)",
        positive=(
            "slope",
            "energy_b",
        ),
        zero=("slope",),
        guess=_guess_soft_potential,
        example={"slope": 0.01, "energy_b": 5.0},
    ),
    Model(
        "soft_oscillators_dos",
        soft_oscillators_dos,
        "vibrational_dos",
        {"slope": "y/x", "energy_star": "x"},
        about="the same with stiffnesses on both sides of 0, maximum of g/E² at "
        "1.520219 energy_star (derived; Gurevich, Parshin & Schober, PRB 67, 094203)",
        positive=(
            "slope",
            "energy_star",
        ),
        zero=("slope",),
        guess=search(soft_oscillators_dos, "slope", energy_star=SPREAD),
        example={"slope": 0.01, "energy_star": 4.0},
    ),
    Model(
        "gaussian_soft_oscillators_dos",
        gaussian_soft_oscillators_dos,
        "vibrational_dos",
        {"slope": "y/x", "energy_star": "x"},
        about="the same with forces of a Gaussian distribution, maximum of g/E² at "
        "1.487052 energy_star (derived; Gurevich, Parshin & Schober, PRB 67, 094203)",
        positive=("slope", "energy_star"),
        zero=("slope",),
        guess=search(gaussian_soft_oscillators_dos, "slope", energy_star=SPREAD),
        example={"slope": 0.01, "energy_star": 4.0},
    ),
    Model(
        "jamming_dos",
        jamming_dos,
        "vibrational_dos",
        {"area_star": "x*y", "energy_0": "x", "energy_star": "x"},
        about="anomalous modes near jamming, E² from energy_0 to a plateau from "
        "energy_star (derived; idea: Wyart, EPL 89, 64001; DeGiuli et al., Soft Matter "
        "10, 5628)",
        positive=("area_star", "energy_0", "energy_star"),
        zero=("area_star",),
        meaning={
            "energy_0": "E₀: onset of the anomalous modes",
            "energy_star": "E_*: onset of the plateau",
        },
        guess=search(
            jamming_dos,
            "area_star",
            energy_0=(0.02, 0.05, 0.1, 0.2, 0.4),
            energy_star=(0.1, 0.2, 0.4, 0.8),
        ),
        edge="energy_0",
        example={"area_star": 0.3, "energy_0": 1.7, "energy_star": 7.0},
    ),
)
