"""Theories of the boson peak, and forms that experimentalists fit, as named models."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from xbp.models.disorder import fluctuating_elasticity_dos, heterogeneous_elasticity_dos
from xbp.models.lineshapes import (
    bi_hill,
    correlated_disorder,
    exponential_flank,
    gaussian_disorder,
)
from xbp.models.model import Guess, Model
from xbp.models.phonons import (
    damped_phonons_dos,
    debye_phonons_dos,
    einstein_modes_dos,
    rayleigh_line_dos,
    rayleigh_modulus_dos,
    resonant_phonons_dos,
)
from xbp.models.soft_modes import (
    gaussian_soft_oscillators_dos,
    jamming_dos,
    quartic_dos,
    quasilocalized_dos,
    soft_oscillators_dos,
    soft_potential_dos,
    stringlets_dos,
)

__all__ = ["THEORIES"]

#: v_L/v_T of many glasses.
_VELOCITY_RATIO: Final = 2.0
#: Points on which starts are compared.
_SEARCHED: Final = 60
_SPREAD: Final = (0.1, 0.2, 0.35, 0.6, 1.0, 1.7)


def _search(
    function: Callable[..., np.ndarray],
    scale: str,
    n_starts: int = 1,
    **grids: Sequence[float],
) -> Guess:
    """Return a guess: the best points of a grid; energies in parts of x[-1]."""

    def guess(x: np.ndarray, y: np.ndarray) -> Sequence[Mapping[str, float]]:
        step = max(x.size // _SEARCHED, 1)
        x, y = x[::step], y[::step]
        found = []
        for values in itertools.product(*grids.values()):
            p = dict(zip(grids, map(float, values), strict=True))
            p = {
                n: v * x[-1] if "energy" in n or "width" in n else v
                for n, v in p.items()
            }
            curve = function(x, **{scale: 1.0}, **p)
            size = float(curve @ curve)
            amount = max(float(curve @ y) / size, 0.0) if size > 0 else 0.0
            misfit = float(np.sum((y - amount * curve) ** 2))
            misfit = misfit if np.isfinite(misfit) else np.inf
            found.append((misfit, {scale: amount or 1.0, **p}))
        found.sort(key=lambda one: one[0])
        return [p for _, p in found[:n_starts]]

    return guess


def _guess_soft_potential(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    # g/E rises to its plateau, half of which it has reached at 0.7 E_b.
    per_energy = y / np.where(x > 0, x, np.inf)
    plateau = float(np.median(per_energy[x.size // 2 :]))
    rising = x[(x > 0) & (per_energy < plateau / 2)]
    return {
        "slope": plateau,
        "energy_b": float(rising[-1] if rising.size else x[0]) / 0.7,
    }


def _guess_elasticity(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return {
        "area": float(np.trapezoid(y, x)),
        "energy_D": 1.2 * float(x[np.argmax(y)]),
        "disorder": 0.15,
    }


_RATIO = {"velocity_ratio": _VELOCITY_RATIO}
_PHONONS = {"area": "x*y", "energy_T": "x"}

THEORIES: Final = (
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
        guess=_search(debye_phonons_dos, "n_D", energy_D=(0.3, 0.5, 0.7, 0.9, 1.5)),
        edge="energy_D",
        area=("n_D",),
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
    ),
    Model(
        "quartic_dos",
        quartic_dos,
        "vibrational_dos",
        {"A_4": "y/x/x/x/x"},
        about="A₄E⁴ of quasilocalised modes far below their peak; no maximum (Moriel, "
        "Lerner & Bouchbinder, Phys. Rev. Res. 6, 023053)",
        positive=("A_4",),
        zero=("A_4",),
        guess=_search(quartic_dos, "A_4"),
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
        guess=_search(
            quasilocalized_dos,
            "level",
            energy_4=(0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0),
            exponent=(4.0,),
        ),
        held={"exponent": 4.0},
    ),
    Model(
        "damped_phonons_dos",
        damped_phonons_dos,
        "vibrational_dos",
        {**_PHONONS, "damping": "1", "velocity_ratio": "1"},
        about="phonons of width Γ = Dq², damping = D q_D/v; no maximum (Baggioli & "
        "Zaccone, PRL 122, 145501; refuted as a boson peak: PRL 127, 179601)",
        positive=("area", "energy_T", "damping", "velocity_ratio"),
        zero=(
            "area",
            "damping",
        ),
        guess=_search(
            damped_phonons_dos,
            "area",
            energy_T=(0.2, 0.4, 0.7, 1.0, 1.6, 3.0),
            damping=(0.03, 0.3, 1.0),
            velocity_ratio=(_VELOCITY_RATIO,),
        ),
        area=("area",),
        held=_RATIO,
    ),
    Model(
        "resonant_phonons_dos",
        resonant_phonons_dos,
        "vibrational_dos",
        {
            **_PHONONS,
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
        guess=_search(
            resonant_phonons_dos,
            "area",
            n_starts=2,
            energy_T=(0.6, 1.2, 3.0),
            energy_0=(0.05, 0.1, 0.2, 0.3, 0.45, 0.7),
            softening=(0.1, 0.3),
            width_0=(0.05, 0.2),
            velocity_ratio=(_VELOCITY_RATIO,),
        ),
        area=("area",),
        held=_RATIO,
    ),
    Model(
        "rayleigh_modulus_dos",
        rayleigh_modulus_dos,
        "vibrational_dos",
        {**_PHONONS, "energy_R": "x", "velocity_ratio": "1"},
        about="generalised Debye relation for Γ = E⁴/energy_R³, of an absorbing medium "
        "(derived; cf. Flenner & Szamel, arXiv:2504.15878)",
        positive=("area", "energy_T", "energy_R", "velocity_ratio"),
        zero=("area",),
        guess=_search(
            rayleigh_modulus_dos,
            "area",
            energy_T=(0.4, 0.7, 1.2, 3.0),
            energy_R=(0.1, 0.2, 0.4, 0.8, 1.6),
            velocity_ratio=(_VELOCITY_RATIO,),
        ),
        held=_RATIO,
    ),
    Model(
        "rayleigh_line_dos",
        rayleigh_line_dos,
        "vibrational_dos",
        {**_PHONONS, "energy_R": "x", "velocity_ratio": "1"},
        about="generalised Debye relation for Γ = E⁴/energy_R³, of lines of that width "
        "(derived; cf. Flenner & Szamel, arXiv:2504.15878)",
        positive=("area", "energy_T", "energy_R", "velocity_ratio"),
        zero=("area",),
        guess=_search(
            rayleigh_line_dos,
            "area",
            energy_T=(0.4, 0.7, 1.2, 3.0),
            energy_R=(0.1, 0.2, 0.4, 0.8, 1.6),
            velocity_ratio=(_VELOCITY_RATIO,),
        ),
        held=_RATIO,
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
        guess=_search(
            stringlets_dos,
            "area",
            energy_s=(0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0),
            weight=(0.0,),
        ),
        area=("area",),
        held={"weight": 0.0},
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
        guess=_search(soft_oscillators_dos, "slope", energy_star=_SPREAD),
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
        guess=_search(gaussian_soft_oscillators_dos, "slope", energy_star=_SPREAD),
    ),
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
    ),
    Model(
        "heterogeneous_elasticity_dos",
        heterogeneous_elasticity_dos,
        "vibrational_dos",
        {**_PHONONS, "disorder": "1", "velocity_ratio": "1"},
        about="transverse and longitudinal waves in a medium whose shear modulus "
        "fluctuates, for its sound velocities at low energy, unstable beyond disorder "
        "= 1 (Schirmacher, Ruocco & Scopigno, PRL 98, 025501)",
        positive=("area", "energy_T", "disorder", "velocity_ratio"),
        guess=_search(
            heterogeneous_elasticity_dos,
            "area",
            n_starts=2,
            energy_T=(0.25, 0.4, 0.6, 1.0, 2.0),
            disorder=(0.3, 0.7, 0.9),
            velocity_ratio=(_VELOCITY_RATIO,),
        ),
        below={"disorder": 1.0},
        zero=(
            "area",
            "disorder",
        ),
        area=("area",),
        held=_RATIO,
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
        guess=_search(
            jamming_dos,
            "area_star",
            energy_0=(0.02, 0.05, 0.1, 0.2, 0.4),
            energy_star=(0.1, 0.2, 0.4, 0.8),
        ),
        edge="energy_0",
    ),
    Model(
        "correlated_disorder",
        correlated_disorder,
        "reduced_dos",
        {"energy": "x", "height": "y"},
        about="E²/(E² + E₀²)², disorder of exponential correlation, maximum at energy "
        "(from memory: Martin & Brenig; Malinovsky & Sokolov)",
        positive=("energy",),
        guess=_search(correlated_disorder, "height", energy=_SPREAD),
    ),
    Model(
        "gaussian_disorder",
        gaussian_disorder,
        "reduced_dos",
        {"energy": "x", "height": "y"},
        about="E² exp(−E²/E₀²), disorder of Gaussian correlation, maximum at energy "
        "(from memory)",
        positive=("energy",),
        guess=_search(gaussian_disorder, "height", energy=_SPREAD),
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
        guess=_search(
            exponential_flank,
            "height",
            energy_c=(0.05, 0.1, 0.2, 0.4, 1.0),
            power=(0.2, 1.0, 3.0),
        ),
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
        guess=_search(
            bi_hill,
            "height",
            energy_1=(0.1, 0.2, 0.4),
            power_1=(1.5, 3.0),
            energy_2=(0.15, 0.3, 0.6),
            power_2=(2.0, 4.0),
        ),
    ),
)
