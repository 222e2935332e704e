"""Constants of nature in xbp's units, from CODATA through `scipy.constants`.

They are computed when first asked for, as `scipy.constants` takes a tenth of the time
of ``import xbp``. So ask for them by ``constants.PLANCK`` within functions, not by name
at the top of a module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import scipy

#: From `scipy.constants` (SI) to each of them.
_FROM_SI: Final[Mapping[str, Callable[[Any], float]]] = {
    # u Å²/ps²/K
    "BOLTZMANN": lambda c: c.k / c.atomic_mass * 1e-4,
    # meV/K
    "BOLTZMANN_MEV": lambda c: c.k / c.e * 1e3,
    # meV ps
    "HBAR": lambda c: c.hbar / c.e * 1e15,
    # meV Å²: ħ²/2m of the neutron
    "HBAR2_OVER_2M": lambda c: c.hbar**2 / (2 * c.m_n) / c.e * 1e3 * 1e20,
    # meV Å²: ħ²/2u
    "HBAR2_OVER_2U": lambda c: c.hbar**2 / (2 * c.atomic_mass) / c.e * 1e3 * 1e20,
    # meV: ħ√(eV/Å²/u), of the eigenvalues of a dynamical matrix
    "HBAR_ROOT_EV_PER_U": lambda c: (
        c.hbar * (c.e / c.atomic_mass) ** 0.5 * 1e10 / c.e * 1e3
    ),
    # meV ps
    "PLANCK": lambda c: c.h / c.e * 1e15,
}


def __getattr__(name: str) -> float:
    if name not in _FROM_SI:
        raise AttributeError(f"module 'xbp.core.constants' has no attribute {name!r}")
    value: float = globals().setdefault(name, float(_FROM_SI[name](scipy.constants)))
    return value
