from __future__ import annotations

import math

import numpy as np
import pint
import pytest
import scipy.constants as const
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.core.units import convert_factor, format_unit, magnitude, parse_unit, swap_unit
from xbp.errors import UnitsError


@pytest.mark.parametrize(
    "text",
    ["1/angstrom", "angstrom-1", "angstrom^-1", "Å^-1", "Å⁻¹", "Å**-1", "angstrom**-1"],
)
def test_notations_of_q(text: str) -> None:
    assert format_unit(parse_unit(text)) == "1/angstrom"


def test_a_is_angstrom_on_a_q_axis_and_ampere_elsewhere() -> None:
    assert format_unit(parse_unit("A^-1", like="1/angstrom")) == "1/angstrom"
    assert parse_unit("A^-1").is_compatible_with("1/ampere")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("cm-1", "1/cm"), ("J mol-1 K-1", "J/K/mol"), ("dalton", "u"), ("1", "1"), ("", "1"),
        ("Å^2", "angstrom**2"), ("µeV", "ueV"), ("μeV", "ueV"), ("m2", "m**2"),
    ],
)  # fmt: skip
def test_what_is_written_is_plain_ascii_and_reads_back(text: str, written: str) -> None:
    assert format_unit(parse_unit(text)) == written
    assert parse_unit(written).is_compatible_with(parse_unit(text))
    assert written.isascii()


@pytest.mark.parametrize(
    "text", ["mev per q", "foo", "1/", "meV**", "__import__('os')"]
)
def test_garbage_is_no_unit(text: str) -> None:
    with pytest.raises(UnitsError, match="not a unit"):
        parse_unit(text)


def test_energy_frequency_and_wavenumber() -> None:
    h, c, e = const.h, const.c, const.e
    assert convert_factor("meV", "THz", energy=True) == pytest.approx(
        1e-3 * e / h * 1e-12, rel=1e-12
    )
    assert convert_factor("meV", "1/cm", energy=True) == pytest.approx(
        1e-3 * e / (h * c) * 1e-2, rel=1e-12
    )
    # The paper's numbers: 5.5 meV = 1.330 THz = 44.36 1/cm.
    assert 5.5 * convert_factor("meV", "THz", energy=True) == pytest.approx(
        1.330, abs=5e-4
    )
    assert 5.5 * convert_factor("meV", "cm-1", energy=True) == pytest.approx(
        44.36, abs=5e-3
    )


@pytest.mark.parametrize("unit", ["rad/ps", "1/ps", "rad/fs"])
@pytest.mark.parametrize("target", ["meV", "THz"])
def test_angular_frequency_must_be_named(unit: str, target: str) -> None:
    with pytest.raises(UnitsError, match="angular and ordinary"):
        convert_factor(unit, target, energy=True)
    ordinary = convert_factor(unit, target, energy=True, frequency="ordinary")
    assert convert_factor(
        unit, target, energy=True, frequency="angular"
    ) == pytest.approx(ordinary / (2 * math.pi), rel=1e-14)


def test_one_radian_per_femtosecond_is_159_terahertz() -> None:
    assert convert_factor(
        "rad/fs", "THz", energy=True, frequency="angular"
    ) == pytest.approx(1e3 / (2 * math.pi))


def test_momentum_is_no_wavenumber_and_no_energy() -> None:
    with pytest.raises(UnitsError, match="does not convert"):
        convert_factor("meV", "1/angstrom")
    with pytest.raises(UnitsError, match="does not convert"):
        convert_factor("1/angstrom", "meV", energy=True)


def test_hertz_needs_no_name() -> None:
    assert convert_factor("GHz", "THz", energy=True) == pytest.approx(1e-3)


@pytest.mark.slow
@given(
    st.floats(1e-6, 1e6),
    st.sampled_from(["meV", "THz", "1/cm", "ueV", "J"]),
    st.sampled_from(["meV", "THz", "1/cm"]),
)
def test_there_and_back(value: float, one: str, other: str) -> None:
    assert value * convert_factor(one, other, energy=True) * convert_factor(
        other, one, energy=True
    ) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "value",
    [
        "300 K", "300", 300, 300.0, np.float32(300), np.array(300), "0.3 kK", "26.85 degC",
        pint.UnitRegistry().Quantity(300, "K"), xr.DataArray(300.0, attrs={"units": "K"}),
        xr.DataArray(pint.UnitRegistry().Quantity(np.array(300.0), "K")),
    ],
    ids=str,
)  # fmt: skip
def test_every_way_to_give_a_scalar(value: object) -> None:
    assert magnitude(value, "K", name="T") == pytest.approx(300.0)


def test_a_bare_number_is_in_the_default_unit() -> None:
    assert magnitude(2.0, "meV", name="E", default="THz", energy=True) == pytest.approx(
        2 * convert_factor("THz", "meV", energy=True)
    )


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("3 K", "'K', which does not convert to 'meV'"), ("three meV", "not a number followed by a unit"), ("3 mevv", "not a unit"),
        (float("nan"), "is nan"), (True, "not a number"), (None, "not a number"), ([1, 2], "not a number"),
        (np.array([1.0, 2.0]), "single value"), (xr.DataArray([1.0, 2.0]), "single value"), (1j, "not a number"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_scalars_name_the_argument(value: object, says: str) -> None:
    with pytest.raises(UnitsError, match=says) as caught:
        magnitude(value, "meV", name="E_BP")
    assert "E_BP" in str(caught.value)


def test_swap_unit_touches_only_its_own_token() -> None:
    assert swap_unit("angstrom**2/meV**2", "meV", "THz") == ("angstrom**2/THz**2", -2)
    assert swap_unit("barn/eV", "meV", "THz") == ("barn/eV", 0)
    assert swap_unit("1/cm**3", "1/cm", "meV") == ("meV**3", 3)


def test_pint_application_registry_is_left_alone() -> None:
    before = pint.get_application_registry()
    parse_unit("meV")
    assert pint.get_application_registry() is before
    assert parse_unit("meV")._REGISTRY is not before.get()


@pytest.mark.parametrize(
    "text",
    [
        "9**9**9**9 cm-1", "(9)**(9)**(9)**(9) m", "((((9*cm)**99*m)**99*m)**99*m)**99", "cm**(99)**(99)**(99)", "cm**-1**9999999",
        "cm**9⁹⁹⁹⁹⁹⁹⁹⁹", "m^99^99^99^99", "m*" * 20_000 + "m", "[" * 3000, "cm" + "**9" * 30, "9⁹⁹⁹⁹⁹⁹⁹⁹⁹ m",
    ],
    ids=range(11),
)  # fmt: skip
def test_a_unit_from_a_stranger_is_not_computed(text: str) -> None:
    """Pint would compute these numbers, for ever: what comes back is an error, at once, and a short one."""
    with pytest.raises(UnitsError) as caught:
        parse_unit(text)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("text", "same"),
    [("(meV*angstrom)**2", "meV^2 Å²"), ("angstrom**(1/2)", "angstrom^0.5"), ("1.0/cm", "cm-1"), ("(1/angstrom**1)**-2", "Å^2")],
)  # fmt: skip
def test_powers_that_units_have(text: str, same: str) -> None:
    assert parse_unit(text) == parse_unit(same)


def test_a_whole_number_beyond_any_other() -> None:
    with pytest.raises(UnitsError, match="T is inf"):
        magnitude(10**400, "K", name="T")


def test_a_table_in_place_of_a_number() -> None:
    """A result given whole is answered by the name of its variable, and not by all of it."""
    line = xbp.models.elastic_line(
        np.linspace(1, 8, 40), np.linspace(-4, 4, 41), u2=0.008, resolution="1 meV"
    )
    with pytest.raises(UnitsError, match=r"^msd is a Dataset(.|\n)*msd=table\.u2$"):
        line.bp.to_bqe(T="300 K", msd=line.bp.debye_waller())


@pytest.mark.parametrize("text", ["\ufffdeV", "?J/K", "§m", "me§V", "m,K", "¿eV"])
def test_characters_that_no_unit_has_are_refused(text: str) -> None:
    """Pint passes over them, and reads what is left of µeV as eV."""
    with pytest.raises(UnitsError, match="not a unit"):
        parse_unit(text)


def test_the_minus_of_typesetters_is_one() -> None:
    assert format_unit(parse_unit("Å\u22121")) == "1/angstrom"
