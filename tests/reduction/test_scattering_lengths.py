from __future__ import annotations

import numpy as np
import pytest

import xbp
from xbp.errors import QuantityError
from xbp.reduction.sample import _variation, mean_scattering_lengths, scatterer

pytest.importorskip("periodictable")


@pytest.mark.parametrize(
    "symbol",
    [
        "Gd",
        "157-Gd",
        "Sm",
        "149-Sm",
        "Eu",
        "Cd",
        "113-Cd",
        "10-B",
        "6-Li",
        "3-He",
        "176-Lu",
        "167-Er",
    ],
)
def test_a_resonance_or_strong_absorber_is_refused_unless_its_b_is_given(
    symbol: str,
) -> None:
    with pytest.raises(QuantityError, match=f"'{symbol}'") as refused:
        scatterer(symbol)
    assert "b=" in str(refused.value)
    assert scatterer(symbol, {symbol: (3 - 4j, 2.0)}).sigma == pytest.approx(
        4 * np.pi * 25 / 100 + 2
    )


@pytest.mark.parametrize(
    ("symbol", "sigma"),
    [("Zr", 6.46), ("Cu", 8.03), ("Al", 1.503), ("V", 5.10), ("B", 5.24), ("Li", 1.37), ("Dy", 90.3), ("Ir", 14.1),
     ("Hg", 26.8), ("In", 2.62), ("Ag", 4.99), ("Rh", 4.6), ("D", 7.64), ("Er", 8.7), ("Lu", 7.2)],
)  # fmt: skip
def test_others_scatter_as_tabulated(symbol: str, sigma: float) -> None:
    # The tabulated total cross sections, which are not what σ is computed from.
    assert scatterer(symbol).sigma == pytest.approx(sigma, rel=0.02)


def test_a_complex_b_enters_means_and_masses_by_its_absolute_value() -> None:
    b = {"Gd": 9.5 - 13.82j}
    mean, square = mean_scattering_lengths("GdAl", b)
    assert square == pytest.approx((9.5**2 + 13.82**2 + 3.449**2) / 2)
    assert mean == pytest.approx(((9.5 + 3.449) ** 2 + 13.82**2) / 4)
    sigma = {
        "Gd": 4 * np.pi * (9.5**2 + 13.82**2) / 100 + 151,
        "Al": 4 * np.pi * 3.449**2 / 100 + 0.0082,
    }
    exact = sum(sigma.values()) / (sigma["Gd"] / 157.25 + sigma["Al"] / 26.98)
    assert float(xbp.effective_mass("GdAl", b=b)) == pytest.approx(exact, rel=1e-3)
    with pytest.raises(QuantityError, match="Gd"):
        xbp.effective_mass("GdAl")


@pytest.mark.parametrize("b", ["nonsense fm", np.nan, (1.0, -1.0), "3 meV"])
def test_a_b_that_is_none_is_refused(b: object) -> None:
    with pytest.raises(xbp.errors.XbpError):
        scatterer("Gd", {"Gd": b})


def test_the_change_of_b_is_that_of_its_square() -> None:
    import periodictable

    for symbol in ("Sm", "Gd", "Cd", "Er"):
        neutron = getattr(periodictable, symbol).neutron
        at = np.sqrt(81.804 / np.geomspace(5, 100, 25))
        b = np.abs(neutron.scattering_by_wavelength(at)[0])
        own = (b.max() ** 2 - b.min() ** 2) / (b**2).mean()
        assert _variation(neutron) == pytest.approx(own, rel=1e-12)
    assert _variation(periodictable.Ni.neutron) == 0.0
