"""What the parameters of the named models mean, and how their units are written."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MEANINGS", "Powers", "powers_of", "units_rule"]

#: Powers of the symbols in the units of a parameter.
Powers = dict[str, int]

#: By name, where a name means the same in all models; models state the others.
MEANINGS: Final = {
    "A_4": "factor of E⁴ in g(E)",
    "T": "temperature",
    "area": "∫g dE over all energies",
    "area_star": "A of g(E); the plateau is 4A/πE_*",
    "damping": "width of a wave of q_D over its energy, D q_D/v",
    "disorder": "γ/γ_c: variance of the shear modulus, over that where it is unstable",
    "energy": "energy at which g/E² is highest",
    "energy_0": "energy of the resonators",
    "energy_1": "energy at which the rise is half done",
    "energy_2": "energy at which the fall is half done",
    "energy_4": "energy at which quasilocalised modes are as many as phonons",
    "energy_D": "Debye energy, ħ v_D q_D",
    "energy_E": "mean energy of the Einstein modes",
    "energy_R": "energy at which the Rayleigh width E⁴/E_R³ equals E",
    "energy_T": "ħ v_T q_D of transverse sound at low energy",
    "energy_b": "E_b: forces stop the softening of oscillators below it",
    "energy_c": "energy over which the flank falls by e",
    "energy_s": "πħ v_T/λ of a string of the mean length λ",
    "energy_star": "E_*: forces decide the oscillators below it",
    "exponent": "power of E of the quasilocalised modes in g(E)",
    "gamma": "γ of γT, the heat capacity of electrons",
    "height": "value at the maximum",
    "level": "g/E² of the phonons, 3/E_D³ of unit area",
    "n_D": "number of Debye phonons, as a part of all modes",
    "n_E": "number of Einstein modes, as a part of all modes",
    "power": "power of E below the flank",
    "power_1": "power of E in the rise",
    "power_2": "power of E in the fall",
    "sigma": "standard deviation of ln E",
    "sigma_E": "spread of the energies of the Einstein modes",
    "slope": "g/E of the oscillators at high energy",
    "softening": "part of c² at high energy that the resonators take off at low energy",
    "theta_D": "Debye temperature",
    "theta_E": "mean temperature of the Einstein modes, E/k_B",
    "velocity_ratio": "v_L/v_T",
    "weight": "power of the length by which a string counts",
    "width": "full width at half height",
    "width_0": "full width of the resonance",
}


def powers_of(rule: str) -> Powers:
    """Return the power of each symbol in the units of a parameter."""
    found: Powers = {}
    for sign, symbol in re.findall(r"([*/]?)(\w)", rule):
        found[symbol] = found.get(symbol, 0) + (-1 if sign == "/" else 1)
    return {symbol: power for symbol, power in found.items() if power and symbol != "1"}


def units_rule(powers: Powers) -> str:
    """Write units of a parameter.

    Examples
    --------
    >>> units_rule(powers_of("x*y/x")), units_rule(powers_of("1/x/x")), units_rule({})
    ('y', '1/x/x', '1')
    """
    above = [s for s, power in powers.items() for _ in range(power)]
    below = [f"/{s}" for s, power in powers.items() for _ in range(-power)]
    return "*".join(above or ["1"]) + "".join(below)
