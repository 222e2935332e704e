"""Densities of states of sound waves, by what theories say of their velocities."""

from __future__ import annotations

import numpy as np

from xbp.core import constants
from xbp.models.debye_einstein import debye_dos, gaussian_dos
from xbp.models.medium import (
    damped_modulus,
    generalized_debye_dos,
    medium_dos,
    resonant_modulus,
)

__all__ = [
    "damped_phonons_dos",
    "debye_phonons_dos",
    "einstein_modes_dos",
    "rayleigh_line_dos",
    "rayleigh_modulus_dos",
    "resonant_phonons_dos",
]


def debye_phonons_dos(E: np.ndarray, n_D: float, energy_D: float) -> np.ndarray:
    """Return n_D 3E²/E_D³ up to E_D; g/E² is constant up to there: no maximum.

    It assumes an elastic continuum without disorder, in which waves have one velocity.
    """
    return np.asarray(n_D * debye_dos(E, energy_D / constants.BOLTZMANN_MEV))


def einstein_modes_dos(
    E: np.ndarray, n_E: float, energy_E: float, sigma_E: float
) -> np.ndarray:
    """Return n_E χ(E), a Gaussian on E > 0: Einstein modes about one energy.

    It assumes that groups of atoms vibrate alone, with energies that scatter about one.
    """
    k = constants.BOLTZMANN_MEV
    return np.asarray(n_E * gaussian_dos(E, energy_E / k, sigma_E / k))


def damped_phonons_dos(
    E: np.ndarray, area: float, energy_T: float, damping: float, velocity_ratio: float
) -> np.ndarray:
    """Return g(E) of `damped_modulus`, Γ_D = damping · c₀ for each branch: no maximum.

    It assumes an isotropic medium whose waves diffuse, Γ = Dq²; energy_T = ħ v_T q_D,
    velocity_ratio = v_L/v_T.
    """
    T = damped_modulus(E, energy_T, damping * energy_T)
    energy_L = velocity_ratio * energy_T
    L = damped_modulus(E, energy_L, damping * energy_L)
    return np.asarray(area * medium_dos(E, T, L))


def resonant_phonons_dos(
    E: np.ndarray,
    area: float,
    energy_T: float,
    energy_0: float,
    softening: float,
    width_0: float,
    velocity_ratio: float,
) -> np.ndarray:
    """Return g(E) of `resonant_modulus`, of sound without that of the resonators.

    It assumes resonators of one energy that couple to transverse and longitudinal waves
    equally; energy_T = ħ v_T q_D above their energy, velocity_ratio = v_L/v_T.
    """
    T = resonant_modulus(E, energy_T, energy_0, softening, width_0)
    return np.asarray(area * medium_dos(E, T, T * velocity_ratio**2))


def _rayleigh_dos(
    E: np.ndarray,
    area: float,
    energy_T: float,
    energy_R: float,
    ratio: float,
    form: str,
) -> np.ndarray:
    x = np.where(np.asarray(E) > 0, E, 1e-9 * energy_T)
    width = x**4 / energy_R**3
    found = generalized_debye_dos(
        x, energy_T, width, energy_T * ratio, width, form=form
    )
    return np.asarray(area * found * (np.asarray(E) > 0))


def rayleigh_modulus_dos(
    E: np.ndarray, area: float, energy_T: float, energy_R: float, velocity_ratio: float
) -> np.ndarray:
    """Return `generalized_debye_dos` in the form "modulus" for Γ = E⁴/E_R³.

    It assumes that damped sound is all there is, and holds below the Ioffe–Regel limit.
    """
    return _rayleigh_dos(E, area, energy_T, energy_R, velocity_ratio, "modulus")


def rayleigh_line_dos(
    E: np.ndarray, area: float, energy_T: float, energy_R: float, velocity_ratio: float
) -> np.ndarray:
    """Return `generalized_debye_dos` in the form "line" for Γ = E⁴/E_R³.

    It assumes that damped sound is all there is, and holds below the Ioffe–Regel limit.
    """
    return _rayleigh_dos(E, area, energy_T, energy_R, velocity_ratio, "line")
