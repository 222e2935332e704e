"""Densities of states of isotropic media with complex sound velocities.

Most theories of the boson peak say how the squared sound velocities depend on energy;
the density of states then follows by one formula, `medium_dos`. Squared velocities are
given as squared energies, c² = (ħ v q_D)² for the Debye wave number q_D, so that all
numbers are energies of one unit. With time as exp(−iωt), damping is Im c² < 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Values",
    "branch_integral",
    "branch_slope",
    "damped_modulus",
    "generalized_debye_dos",
    "jammed_modulus",
    "medium_dos",
    "resonant_modulus",
    "strain_integral",
]

Array = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
Values = npt.NDArray[Any] | Sequence[float] | complex


def branch_integral(Z: Values, c2: Values) -> ComplexArray:
    r"""Return the integral of the response of one branch up to the Debye wave number.

    .. math:: J = \int_0^1 \frac{\kappa^2\,\mathrm{d}\kappa}{c^2\kappa^2 - Z^2}
              = \frac{1}{c^2} + \frac{Z}{2c^3}
                \left(\ln\frac{c - Z}{c + Z} + i\pi\right)

    Parameters
    ----------
    Z : array_like
        Energies; complex (Im Z ≥ 0) where the line of a phonon has a width.
    c2 : array_like
        c² in the square of that unit; Im c² ≤ 0.

    Returns
    -------
    numpy.ndarray
        In the unit of 1/c².
    """
    square = _absorbing(c2)
    with np.errstate(invalid="ignore"):  # an unstable medium has no c²
        z = np.asarray(Z) / np.sqrt(square)
        step = np.log((1 - z) / (1 + z)) + 1j * np.pi
        return np.asarray((1 + z / 2 * step) / square)


def branch_slope(E: Values, c2: Values, J: ComplexArray) -> ComplexArray:
    r"""Return ∂J/∂c² of a J of `branch_integral`.

    .. math:: \frac{\partial J}{\partial c^2} = \frac{1}{2c^2}
              \left(\frac{1}{c^2 - E^2} - 3J\right)

    At the edge c = E of an undamped band, where J has a pole in c², its mean over both
    sides.

    Examples
    --------
    >>> E, step = np.array([0.5]), 1e-4
    >>> low, high = (branch_integral(E, 1 + way * step) for way in (-1, 1))
    >>> J = branch_integral(E, 1.0)
    >>> bool(np.isclose(branch_slope(E, 1.0, J), (high - low) / (2 * step)))
    True
    """
    square = _absorbing(c2)
    apart = square - np.square(np.asarray(E))
    near = np.abs(apart) < 1e-12 * np.abs(square)
    pole = np.where(near, 0.0, 1 / np.where(near, 1.0, apart))
    return np.asarray((pole - 3 * J) / (2 * square))


def strain_integral(E: Values, c2: Values) -> tuple[ComplexArray, ComplexArray]:
    r"""Return the response of one branch to strains, and its derivative by c².

    .. math:: \bar\chi = \int_0^1 \frac{3\kappa^4\,\mathrm{d}\kappa}
              {c^2\kappa^2 - E^2} = \frac{1 + 3E^2J}{c^2}

    J is `branch_integral`.

    Parameters
    ----------
    E : array_like
        Energies.
    c2 : array_like
        c² in the square of that unit; Im c² ≤ 0.

    Returns
    -------
    value, derivative : numpy.ndarray
        In the units of 1/c² and of 1/c⁴.

    Examples
    --------
    At rest it is 1/c²:

    >>> value, derivative = strain_integral(0.0, 4.0)
    >>> value.real.round(6), derivative.real.round(6)
    (np.float64(0.25), np.float64(-0.0625))
    """
    E2, square = np.square(np.asarray(E)), _absorbing(c2)
    J = branch_integral(E, square)
    value = (1 + 3 * E2 * J) / square
    by_c2 = (3 * E2 * branch_slope(E, square, J) - value) / square
    return np.asarray(value), np.asarray(by_c2)


def _plane_integral(E: Values, c2: Values) -> ComplexArray:
    """Return ∫κ dκ/(c²κ² − E²) over 0…1, as `branch_integral` in a plane."""
    square = _absorbing(c2)
    E2 = np.square(np.where(np.asarray(E) > 0, E, 1.0))
    step = np.log(square - E2) - np.log(E2) + 1j * np.pi
    return np.asarray(step / (2 * square))


def _absorbing(c2: Values) -> ComplexArray:
    """Return c² with Im c² < 0: rounding must not choose the root of a growing wave."""
    given = np.asarray(c2, dtype=complex)
    least = -1e-14 * np.abs(given)
    return np.asarray(given.real + 1j * np.minimum(given.imag, least))


def medium_dos(
    E: Values,
    c2_T: Values,
    c2_L: Values | None = None,
    *,
    dimension: int = 3,
) -> Array:
    r"""Return the density of states of a medium, of unit area.

    .. math:: g(E) = \frac{2E}{\pi}\,\mathrm{Im}\left[J(c_L) + 2J(c_T)\right], \qquad
              g_\mathrm{plane}(E) = \frac{2E}{\pi}\,
              \mathrm{Im}\left[J_2(c_L) + J_2(c_T)\right]

    J is `branch_integral`, and J₂ the same with κ dκ. For real c² this is Debye's
    density of states, 3E²/c³ (2E/c²) up to c for each branch; for any causal c² the
    area is 1.

    Parameters
    ----------
    E : array_like
        Energies; the value at E ≤ 0 is 0.
    c2_T, c2_L : array_like
        Squared velocities (ħ v q_D)² of transverse and longitudinal waves at E. Without
        `c2_L` all waves are of one branch.
    dimension : {3, 2}
        In space q_D = (6π²n)^(1/3); in a plane q_D = (4πn)^(1/2), with one transverse
        branch.

    Returns
    -------
    numpy.ndarray
        In the inverse of the unit of E.

    Notes
    -----
    Derived from the response of a continuum, and checked by quadrature; the integrand
    is the spectrum of a current, as in `damped_oscillator_current`.

    Examples
    --------
    >>> E = np.array([0.1, 0.5, 1.5])
    >>> medium_dos(E, 1.0).round(4), medium_dos(E, 1.0, dimension=2).round(4)
    (array([0.03, 0.75, 0.  ]), array([0.2, 1. , 0. ]))
    """
    x = np.maximum(np.asarray(E, dtype=float), 0.0)
    integral = branch_integral if dimension == 3 else _plane_integral
    # g ∝ E Im J, and Im J of one branch alone counts for all of them.
    share = integral(x, c2_T).imag * dimension
    if c2_L is not None:
        share = share / dimension * (dimension - 1) + integral(x, c2_L).imag
    return np.asarray(2 * x / np.pi * np.maximum(share, 0.0))


def damped_modulus(E: Values, energy: float, width: float) -> ComplexArray:
    r"""Return c² of sound whose width grows with the square of its wave number.

    .. math:: c^2(E) = c_0^2 - iE\,\Gamma_D

    Phonons of energy c₀κ have the width Γ_D κ² (full width; in other words ħDq²).

    **There is no boson peak**: g/E² falls monotonically from its value at E → 0, for
    any damping; only a medium with a zone boundary has a maximum, the damped
    singularity of van Hove. That refutes the peaks first published for this model.

    Parameters
    ----------
    E : array_like
        Energies.
    energy, width : float
        c₀ = ħ v q_D and Γ_D = ħ D q_D², in the unit of E.

    References
    ----------
    Idea: M. Baggioli and A. Zaccone, Phys. Rev. Lett. 122, 145501 (2019),
    doi:10.1103/PhysRevLett.122.145501. Refutation: Shvaika et al., Phys. Rev. Lett.
    127, 179601 (2021), doi:10.1103/PhysRevLett.127.179601. The closed form is derived.
    """
    return np.asarray(energy**2 - 1j * np.asarray(E) * width)


def resonant_modulus(
    E: Values, energy: float, energy_0: float, softening: float, width: float
) -> ComplexArray:
    r"""Return c² of sound that drives resonators of one energy.

    .. math:: c^2(E) = c_\infty^2
              \left[1 - \frac{s E_0^2}{E_0^2 - E^2 - iE\,\Gamma}\right]

    Sound and resonators repel each other: above a band that is almost flat, at
    E₀√(1−s), sound has its velocity c_∞; below it c_∞√(1−s). The resonators' own
    density of states is not part of that of the medium.

    Parameters
    ----------
    E : array_like
        Energies.
    energy : float
        c_∞ = ħ v q_D at high energy, in the unit of E.
    energy_0, width : float
        E₀ and Γ of the resonators, in the unit of E.
    softening : float
        s, at least 0 and below 1.

    Notes
    -----
    The generic equation of its kind, derived; not compared with the equations of
    Baggioli and Cui, arXiv:2606.01593, from whose abstract the idea is.
    """
    x = np.asarray(E, dtype=float)
    response = energy_0**2 / (energy_0**2 - x**2 - 1j * x * width)
    return np.asarray(energy**2 * (1 - softening * response))


def jammed_modulus(E: Values, energy_0: float, energy_star: float) -> ComplexArray:
    r"""Return the complex stiffness of weakly connected springs near jamming.

    .. math:: \frac{k(E)}{k_0} = \tfrac12
              \left[1 + \frac{\sqrt{E_0^2 - E^2}}{E_*}\right]

    Above the onset E₀ the root is −i√(E²−E₀²). E_* grows with the number of contacts
    above the least that is rigid; compression brings E₀ from E_* down to 0.

    Parameters
    ----------
    E : array_like
        Energies.
    energy_0, energy_star : float
        E₀ and E_*, in the unit of E; 0 ≤ E₀ ≤ E_*.

    Notes
    -----
    Leading order of the effective medium for the bonds, derived; it has the scaling of
    M. Wyart, EPL 89, 64001 (2010), and E. DeGiuli et al., Soft Matter 10, 5628 (2014),
    arXiv:1401.6563, not necessarily their prefactors.
    """
    inside = energy_0**2 - np.square(np.asarray(E, dtype=float)) + 0j
    root = np.where(inside.real < 0, -1j * np.sqrt(-inside), np.sqrt(inside))
    return np.asarray((1 + root / energy_star) / 2)


def generalized_debye_dos(
    E: Values,
    energy_T: Values,
    width_T: Values,
    energy_L: Values | None = None,
    width_L: Values = 0.0,
    *,
    form: str = "modulus",
) -> Array:
    r"""Return the phonon part of g(E) from measured sound velocities and widths.

    .. math:: \text{modulus: } c^2 = c_0^2\left(1 - \frac{i\Gamma}{E}\right);
              \qquad \text{line: } J(Z),\ Z^2 = E^2 + iE\,\Gamma

    In the first form the medium absorbs, and Rayleigh's Γ ∝ E⁴ gives an excess over
    Debye's law that is also ∝ E⁴; in the second each phonon is a line of width Γ, and
    there is hardly any excess. Measured velocities and widths need not be causal
    together: the area then is not 1, and tells so.

    Parameters
    ----------
    E : array_like
        Energies, positive.
    energy_T, energy_L : array_like
        ħ v(E) q_D of transverse and longitudinal phonons, in the unit of E; without
        `energy_L` all phonons are transverse.
    width_T, width_L : array_like
        Full widths Γ(E), in the unit of E.
    form : {"modulus", "line"}
        Which of the two relations.

    Returns
    -------
    numpy.ndarray
        In the inverse of the unit of E; valid below the Ioffe–Regel limit, and without
        modes that are no phonons.

    References
    ----------
    Both derived; that there are two, and that they differ near the boson peak, is said
    by E. Flenner and G. Szamel, arXiv:2504.15878, whose equations were not compared.
    """
    x = np.asarray(E, dtype=float)

    def share(energy: Values, width: Values) -> Array:
        c2, loss = np.square(np.asarray(energy)), 1j * np.asarray(width) / x
        if form == "modulus":
            return branch_integral(x, c2 * (1 - loss)).imag
        return branch_integral(x * np.sqrt(1 + loss), c2).imag

    first = share(energy_T, width_T)
    other = first if energy_L is None else share(energy_L, width_L)
    return np.asarray(2 * x / np.pi * (other + 2 * first))
