"""Densities of states of sound waves, by what theories say of their velocities."""

from __future__ import annotations

from typing import Final

import numpy as np

from xbp.core import constants
from xbp.models.debye_einstein import debye_dos, gaussian_dos
from xbp.models.guesses import highest, search
from xbp.models.medium import (
    damped_modulus,
    generalized_debye_dos,
    medium_dos,
    resonant_modulus,
)
from xbp.models.model import Model

__all__ = [
    "MODELS",
    "PHONONS",
    "RATIO",
    "VELOCITY_RATIO",
    "damped_phonons_dos",
    "debye_phonons_dos",
    "einstein_modes_dos",
    "rayleigh_line_dos",
    "rayleigh_modulus_dos",
    "resonant_phonons_dos",
]

#: v_L/v_T of many glasses.
VELOCITY_RATIO: Final = 2.0
#: What the models of transverse and longitudinal waves have in common.
PHONONS: Final = {"area": "x*y", "energy_T": "x"}
RATIO: Final = {"velocity_ratio": VELOCITY_RATIO}


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


def debye_gaussian_dos(
    E: np.ndarray,
    n_D: float,
    energy_D: float,
    n_E: float,
    energy_E: float,
    sigma_E: float,
) -> np.ndarray:
    """Return n_D 3E²/E_D³ (E < E_D) + n_E χ(E), χ a Gaussian: g of `debye_einstein`.

    It assumes that the modes of the boson peak add to the phonons.
    """
    k = constants.BOLTZMANN_MEV
    return np.asarray(
        n_D * debye_dos(E, energy_D / k)
        + n_E * gaussian_dos(E, energy_E / k, sigma_E / k)
    )


def _guess_dos(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    # Debye phonons end where g falls from three points to the next three.
    fall = (
        np.convolve(y, [1, 1, 1, -1, -1, -1], mode="valid")
        if y.size >= 6
        else np.zeros(1)
    )
    deep = np.concatenate([[True], fall[1:] < fall[:-1]])
    deep &= np.concatenate([fall[:-1] <= fall[1:], [True]])
    edges = x[np.minimum(np.flatnonzero(deep) + 3, x.size - 1)]
    guesses = [_guess_below(x, y, float(edge)) for edge in edges[edges > 0]]
    if not guesses:
        return _guess_below(x, y, float(x[-1]))
    misfits = [np.sum((y - debye_gaussian_dos(x, **one)) ** 2) for one in guesses]
    return guesses[int(np.argmin(misfits))]


def _guess_below(x: np.ndarray, y: np.ndarray, edge: float) -> dict[str, float]:
    """Return the guess for Debye phonons that end at `edge`."""
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
    energy, height, width = highest(x, rest)
    return {
        "n_D": level * edge**3 / 3, "energy_D": edge, "n_E": height * width,
        "energy_E": max(energy, x[-1] / 20),
        "sigma_E": width / 2.4,
    }  # fmt: skip


#: The named models of these formulas.
MODELS: Final = (
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
        example={
            "n_D": 0.7,
            "energy_D": 24.9,
            "n_E": 0.3,
            "energy_E": 6.0,
            "sigma_E": 1.2,
        },
    ),
    Model(
        "debye_phonons_dos",
        debye_phonons_dos,
        "vibrational_dos",
        {"n_D": "x*y", "energy_D": "x"},
        about="g(E) of Debye phonons up to energy_D; no maximum (Debye, Ann. Phys. "
        "344, 789)",
        positive=(
            "n_D",
            "energy_D",
        ),
        zero=("n_D",),
        guess=search(debye_phonons_dos, "n_D", energy_D=(0.3, 0.5, 0.7, 0.9, 1.5)),
        edge="energy_D",
        area=("n_D",),
        example={"n_D": 1.0, "energy_D": 24.9},
    ),
    Model(
        "einstein_modes_dos",
        einstein_modes_dos,
        "vibrational_dos",
        {"n_E": "x*y", "energy_E": "x", "sigma_E": "x"},
        about="a Gaussian of Einstein modes on E > 0 (Li et al., Nat. Commun. 2025, "
        "Methods)",
        positive=("n_E", "energy_E", "sigma_E"),
        zero=("n_E",),
        guess=lambda x, y: {
            "n_E": float(np.trapezoid(y, x)),
            "energy_E": float(x[np.argmax(y)]) or float(x[-1]) / 20,
            "sigma_E": float(np.trapezoid(y, x)) / max(2.5 * float(y.max()), 1e-300)
            or float(x[-1]) / 20,
        },
        area=("n_E",),
        example={"n_E": 0.3, "energy_E": 6.0, "sigma_E": 1.2},
    ),
    Model(
        "damped_phonons_dos",
        damped_phonons_dos,
        "vibrational_dos",
        {**PHONONS, "damping": "1", "velocity_ratio": "1"},
        about="phonons of width Γ = Dq², damping = D q_D/v; no maximum (Baggioli & "
        "Zaccone, PRL 122, 145501; refuted as a boson peak: PRL 127, 179601)",
        positive=("area", "energy_T", "damping", "velocity_ratio"),
        zero=(
            "area",
            "damping",
        ),
        guess=search(
            damped_phonons_dos,
            "area",
            energy_T=(0.2, 0.4, 0.7, 1.0, 1.6, 3.0),
            damping=(0.03, 0.3, 1.0),
            velocity_ratio=(VELOCITY_RATIO,),
        ),
        area=("area",),
        held=RATIO,
        example={"area": 1.0, "energy_T": 20.0, "damping": 0.2},
    ),
    Model(
        "resonant_phonons_dos",
        resonant_phonons_dos,
        "vibrational_dos",
        {
            **PHONONS,
            "energy_0": "x",
            "softening": "1",
            "width_0": "x",
            "velocity_ratio": "1",
        },
        about="phonons coupled to resonators of one energy: a flat band "
        "(derived; idea: Baggioli & Cui, arXiv:2606.01593)",
        positive=(
            "area",
            "energy_T",
            "energy_0",
            "softening",
            "width_0",
            "velocity_ratio",
        ),
        below={"softening": 1.0},
        zero=(
            "area",
            "softening",
        ),
        meaning={
            "energy_T": "ħ v_T q_D of transverse sound above the resonators",
        },
        guess=search(
            resonant_phonons_dos,
            "area",
            n_starts=4,
            apart="energy_T",
            energy_T=(0.6, 0.85, 1.2, 3.0),
            energy_0=(0.05, 0.1, 0.2, 0.3, 0.45, 0.7),
            softening=(0.1, 0.3),
            width_0=(0.05, 0.2),
            velocity_ratio=(VELOCITY_RATIO,),
        ),
        area=("area",),
        held=RATIO,
        example={
            "area": 1.0,
            "energy_T": 40.0,
            "energy_0": 6.0,
            "softening": 0.2,
            "width_0": 3.0,
        },
    ),
    Model(
        "rayleigh_modulus_dos",
        rayleigh_modulus_dos,
        "vibrational_dos",
        {**PHONONS, "energy_R": "x", "velocity_ratio": "1"},
        about="generalised Debye relation for Γ = E⁴/energy_R³, of an absorbing medium "
        "(derived; cf. Flenner & Szamel, arXiv:2504.15878)",
        positive=("area", "energy_T", "energy_R", "velocity_ratio"),
        zero=("area",),
        guess=search(
            rayleigh_modulus_dos,
            "area",
            n_starts=3,
            energy_T=(0.4, 0.7, 1.2, 3.0),
            energy_R=(0.1, 0.2, 0.4, 0.8, 1.6),
            velocity_ratio=(VELOCITY_RATIO,),
        ),
        held=RATIO,
        example={"area": 1.0, "energy_T": 22.0, "energy_R": 9.0},
    ),
    Model(
        "rayleigh_line_dos",
        rayleigh_line_dos,
        "vibrational_dos",
        {**PHONONS, "energy_R": "x", "velocity_ratio": "1"},
        about="generalised Debye relation for Γ = E⁴/energy_R³, of lines of that width "
        "(derived; cf. Flenner & Szamel, arXiv:2504.15878)",
        positive=("area", "energy_T", "energy_R", "velocity_ratio"),
        zero=("area",),
        guess=search(
            rayleigh_line_dos,
            "area",
            n_starts=3,
            apart="energy_R",
            energy_T=(0.4, 0.7, 1.2, 3.0),
            energy_R=(0.1, 0.2, 0.4, 0.8, 1.6),
            velocity_ratio=(VELOCITY_RATIO,),
        ),
        held=RATIO,
        example={"area": 1.0, "energy_T": 22.0, "energy_R": 12.0},
    ),
)
