"""Shapes of the boson peak, on plain arrays.

Their parameters are what the fits report.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from xbp.models.factors import thermal_factor
from xbp.models.guesses import SPREAD, highest, search
from xbp.models.model import Model

__all__ = [
    "FWHM_PER_SIGMA",
    "MODELS",
    "bi_hill",
    "correlated_disorder",
    "damped_oscillator_current",
    "damped_oscillator_integral",
    "exponential_flank",
    "gaussian",
    "gaussian_disorder",
    "lognormal",
    "lognormal_fwhm",
    "lognormal_sigma",
]

Shape = Literal["lognormal", "gaussian"]

#: Full width at half maximum of a Gaussian over its standard deviation, 2√(2 ln 2).
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


def lognormal(E: np.ndarray, energy: float, height: float, sigma: float) -> np.ndarray:
    """Return height · exp(−ln²(E/energy)/2σ²), whose maximum lies at `energy`.

    It assumes nothing of the glass.

    Parameters
    ----------
    E : numpy.ndarray
        Energies, in the unit of `energy`; the value at E ≤ 0 is 0.
    energy : float
        Position of the maximum (the mode; scipy's ``lognorm`` is parametrised
        otherwise).
    height : float
        Value there.
    sigma : float
        Width in ln E, dimensionless.

    Returns
    -------
    numpy.ndarray
        In the unit of `height`.

    Examples
    --------
    >>> float(lognormal(np.array(5.5), 5.5, 2.0, 0.5))
    2.0
    """
    positive = np.where(E > 0, E, np.nan)
    return np.nan_to_num(
        height * np.exp(-(np.log(positive / energy) ** 2) / (2 * sigma**2)), nan=0.0
    )


def lognormal_fwhm(energy: float, sigma: float) -> float:
    """Return the full width at half maximum of `lognormal`, 2·energy·sinh(σ√(2 ln 2)).

    Examples
    --------
    >>> round(lognormal_fwhm(5.0, lognormal_sigma(5.0, 4.0)), 12)
    4.0
    """
    return 2 * energy * math.sinh(abs(sigma) * FWHM_PER_SIGMA / 2)


def lognormal_sigma(energy: float, fwhm: float) -> float:
    """Return the σ of a `lognormal` of given position and full width."""
    return 2 * math.asinh(fwhm / (2 * energy)) / FWHM_PER_SIGMA


def gaussian(E: np.ndarray, energy: float, height: float, sigma: float) -> np.ndarray:
    """Return height · exp(−(E−energy)²/2σ²).

    It assumes nothing of the glass.

    Examples
    --------
    >>> float(gaussian(np.array(3.0), 3.0, 2.0, 1.0))
    2.0
    """
    return height * np.exp(-((E - energy) ** 2) / (2 * sigma**2))


def damped_oscillator_current(
    E: np.ndarray, area: float, energy: float, width: float
) -> np.ndarray:
    r"""Return the current spectrum of a damped harmonic oscillator.

    .. math:: C(E) = A \frac{2}{\pi} \frac{\Gamma E^2}{(E^2 - E_0^2)^2 + \Gamma^2 E^2},
              \quad \int_0^\infty C\,\mathrm{d}E = A

    It assumes one mode, whose damping does not depend on E.
    Its maximum lies at E₀ whatever the damping; its full width at half maximum is Γ.

    Parameters
    ----------
    E : numpy.ndarray
        Energies.
    area : float
        A, in the unit of C times that of E.
    energy, width : float
        E₀ and Γ, in the unit of E.

    References
    ----------
    B. Fåk & B. Dorner, Physica B 234, 1107 (1997), doi:10.1016/S0921-4526(97)00121-X,
    which gives S = C/E².

    Examples
    --------
    >>> E = np.linspace(0, 400, 400_001)
    >>> round(float(np.trapezoid(damped_oscillator_current(E, 3.0, 5.0, 1.0), E)), 2)
    3.0
    """
    numerator = area * 2 / math.pi * width * E**2
    return np.asarray(numerator / ((E**2 - energy**2) ** 2 + (width * E) ** 2))


def damped_oscillator_integral(
    E: np.ndarray, area: float, energy: float, width: float
) -> np.ndarray:
    r"""Return ∫ of `damped_oscillator_current` up to E, from a constant of its own.

    .. math:: \int C\,dE = \frac{2A}{\pi}\,\mathrm{Im}\,
              \frac{p_-\ln(E-p_-) - p_+\ln(E-p_+)}{p_+-p_-}, \quad
              p_\pm = -\frac{i\Gamma}2 \pm \sqrt{E_0^2-\frac{\Gamma^2}4}

    The mean over a bin is the difference of its ends over its width, also of a line
    much narrower than it.

    Examples
    --------
    >>> one, other = damped_oscillator_integral(np.array([0.0, 1e6]), 3.0, 5.0, 2.0)
    >>> round(float(other - one), 4)
    3.0
    """
    half = np.asarray(width) / 2
    # Where both poles are one, the root is not quite 0.
    root = np.sqrt(np.asarray(energy) ** 2 - half**2 + 0j) + 1e-9 * (half + energy)
    above, below = -1j * half + root, -1j * half - root
    parts = below * np.log(E - below) - above * np.log(E - above)
    return np.asarray(2 * np.asarray(area) / np.pi * (parts / (above - below)).imag)


def correlated_disorder(E: np.ndarray, energy: float, height: float) -> np.ndarray:
    """Return height · 4E²E₀²/(E² + E₀²)², whose maximum lies at E₀ = `energy`.

    It assumes waves that couple by disorder, whose correlation falls exponentially over
    the length R_c; E₀ = ħv/R_c (from memory: Martin & Brenig; Malinovsky & Sokolov).

    Examples
    --------
    >>> correlated_disorder(np.array([5.0, 10.0]), 5.0, 2.0)
    array([2.  , 1.28])
    """
    u = np.square(np.asarray(E, dtype=float) / energy)
    return np.asarray(4 * height * u / (1 + u) ** 2)


def gaussian_disorder(E: np.ndarray, energy: float, height: float) -> np.ndarray:
    """Return height · (E/E₀)² exp(1 − E²/E₀²), whose maximum lies at E₀ = `energy`.

    It assumes waves that couple by disorder of a Gaussian correlation (from memory).
    """
    u = np.square(np.asarray(E, dtype=float) / energy)
    return np.asarray(height * u * np.exp(1 - u))


def exponential_flank(
    E: np.ndarray, energy_c: float, height: float, power: float
) -> np.ndarray:
    """Return height · (E/E_c)^m exp(−E/E_c), m = `power`; 0 below E = 0.

    Its maximum lies at m E_c; for m = 0, the flank alone, it has **no maximum** (from
    memory: Chumakov et al., Phys. Rev. Lett. 92, 245508). It assumes nothing of the
    glass.
    """
    u = np.maximum(np.asarray(E, dtype=float) / energy_c, 0.0)
    return np.asarray(height * u**power * np.exp(-u))


def bi_hill(
    E: np.ndarray,
    height: float,
    energy_1: float,
    power_1: float,
    energy_2: float,
    power_2: float,
) -> np.ndarray:
    """Return height/{[1 + (E₁/E)^h₁][1 + (E/E₂)^h₂]}; 0 at E ≤ 0 (from memory).

    It assumes nothing of the glass.
    """
    positive = np.asarray(E) > 0
    x = np.where(positive, E, 1.0)
    rise, fall = 1 + (energy_1 / x) ** power_1, 1 + (x / energy_2) ** power_2
    return np.asarray(height * positive / (rise * fall))


def lognormal_scattering(
    E: np.ndarray, energy: float, height: float, sigma: float, T: float
) -> np.ndarray:
    """Return E ⟨n⟩⁻¹ f(E) for a log-normal f: S_BP at one Q; E in meV, T in K.

    It assumes nothing of the glass but harmonic vibrations.
    """
    return np.asarray(
        lognormal(E, energy, height, sigma)
        / thermal_factor(E, np.asarray(T), "quantum")
    )


def damped_oscillator(
    E: np.ndarray, area: float, energy: float, width: float
) -> np.ndarray:
    """Return (2A/π) Γ/[(E² − E₀²)² + Γ²E²], C/E² of a damped harmonic oscillator.

    It assumes one mode, whose damping does not depend on E.
    """
    # At E = 0 it is finite, and the current over E² is 0/0.
    E = np.where(E == 0, 1e-9 * energy, E)
    return np.asarray(damped_oscillator_current(E, area, energy, width) / E**2)


def _guess_lognormal(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    top, height, width = highest(x, y)
    energy = max(
        top, 1e-3 * width
    )  # data that are highest at x = 0, or below it, start just above
    return {
        "energy": energy,
        "height": height,
        "sigma": min(max(width / energy / 2, 0.1), 1.0),
    }


def guess_gaussian(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Return where to start a fit of a Gaussian."""
    energy, height, width = highest(x, y)
    return {"energy": energy, "height": height, "sigma": width / 2.4}


def _guess_scattering(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    # Divided by its thermal factor, a spectrum is the log-normal.
    share = lognormal_scattering(x, 1.0, 1.0, np.inf, 300.0)
    seen = np.isfinite(share) & (share > 0)
    return {**_guess_lognormal(x[seen], y[seen] / share[seen]), "T": 300.0}


def _guess_oscillator(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    energy, height, width = highest(x, y * x**2)
    return {"area": height * width * 1.5, "energy": energy, "width": width}


#: The named models of these formulas.
MODELS: Final = (
    Model(
        "lognormal",
        lognormal,
        "reduced_dos",
        {"energy": "x", "height": "y", "sigma": "1"},
        about="a Gaussian of ln E with its maximum at energy (Malinovsky & Sokolov, "
        "Solid State Commun. 57, 757)",
        positive=("energy", "sigma"),
        guess=_guess_lognormal,
        example={"energy": 5.5, "height": 2.0, "sigma": 0.6},
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
        example={"energy": 5.5, "height": 2.0, "sigma": 1.6},
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
        example={"energy": 5.5, "height": 2.0, "sigma": 0.6, "T": 300.0},
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
        example={"area": 3.0, "energy": 8.0, "width": 2.0},
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
        example={"area": 3.0, "energy": 8.0, "width": 2.0},
    ),
    Model(
        "correlated_disorder",
        correlated_disorder,
        "reduced_dos",
        {"energy": "x", "height": "y"},
        about="E²/(E² + E₀²)², disorder of exponential correlation, maximum at energy "
        "(from memory: Martin & Brenig; Malinovsky & Sokolov)",
        positive=("energy",),
        guess=search(correlated_disorder, "height", energy=SPREAD),
        example={"energy": 5.0, "height": 2.0},
    ),
    Model(
        "gaussian_disorder",
        gaussian_disorder,
        "reduced_dos",
        {"energy": "x", "height": "y"},
        about="E² exp(−E²/E₀²), disorder of Gaussian correlation, maximum at energy "
        "(from memory)",
        positive=("energy",),
        guess=search(gaussian_disorder, "height", energy=SPREAD),
        example={"energy": 5.0, "height": 2.0},
    ),
    Model(
        "exponential_flank",
        exponential_flank,
        "reduced_dos",
        {"energy_c": "x", "height": "y", "power": "1"},
        about="E^m exp(−E/energy_c), the flank above the peak, maximum at m energy_c, "
        "none for m = 0 (from memory: Chumakov et al., PRL 92, 245508)",
        positive=("energy_c", "power"),
        zero=("power",),
        guess=search(
            exponential_flank,
            "height",
            energy_c=(0.05, 0.1, 0.2, 0.4, 1.0),
            power=(0.2, 1.0, 3.0),
        ),
        example={"energy_c": 4.0, "height": 2.0, "power": 1.5},
    ),
    Model(
        "bi_hill",
        bi_hill,
        "reduced_dos",
        {
            "height": "y",
            "energy_1": "x",
            "power_1": "1",
            "energy_2": "x",
            "power_2": "1",
        },
        about="a rise with power_1 up to energy_1 and a fall with power_2 from "
        "energy_2 (from memory)",
        positive=("energy_1", "power_1", "energy_2", "power_2"),
        guess=search(
            bi_hill,
            "height",
            n_starts=4,
            energy_1=(0.1, 0.2, 0.4),
            power_1=(1.5, 3.0),
            energy_2=(0.15, 0.3, 0.6),
            power_2=(2.0, 4.0),
        ),
        example={
            "height": 2.0,
            "energy_1": 4.0,
            "power_1": 2.0,
            "energy_2": 9.0,
            "power_2": 3.0,
        },
    ),
)
