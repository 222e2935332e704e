"""What data carry of their sample, and that an S(Q) of another is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.signal import Signal, read
from xbp.errors import QuantityError
from xbp.reduction.comparable import another_sample
from xbp.reduction.sample import (
    _variation,
    coherent_part,
    numbers_of,
    sample_density,
    sample_mass,
    scatterer,
)

FOREIGN = pytest.mark.parametrize(
    ("data", "sq", "said"),
    [
        ({"composition": "SiO2"}, {"composition": "Zr46Cu46Al8"}, "'Zr46Cu46Al8', that of the data 'SiO2'"),
        ({"composition": "SiO2"}, {"composition": "Si O2"}, None),
        ({"composition": "SiO2"}, {"composition": "O4Si2"}, None),
        ({"composition": "Zr46Cu46Al8"}, {"composition": "Zr56Cu36Al8"}, "Zr56Cu36Al8"),
        ({"composition": "glass 1"}, {"composition": "glass 2"}, "glass 2"),
        # The composition decides over the file, and is no name of a sample.
        ({"composition": "SiO2", "source": "a"}, {"composition": "SiO2", "source": "b"}, None),
        ({"composition": "SiO2"}, {"sample": "x"}, None),
        ({"sample": "x", "source": "a"}, {"sample": "y", "source": "a"}, "'y', that of the data 'x'"),
        ({"sample": "x", "source": "a"}, {"sample": "x", "source": "b"}, None),
        ({"source": "file a"}, {"source": "file b"}, r"'file b', that of the data 'file a'"),
        ({"source": "file a"}, {"source": "file a"}, None),
        ({}, {"source": "file b"}, None),
        ({"title": "one"}, {"title": "other"}, None),
    ],
    ids=str,
)  # fmt: skip


def doubts(table: xr.Dataset) -> str:
    """Return the messages about S(Q) of another sample or scale."""
    found = [
        one
        for one in table.bp.diagnostics()
        if "sq" in one.code or "sample" in one.code
    ]
    return "\n".join(one.message for one in found)


def curve(attrs: dict[str, str]) -> xr.DataArray:
    return xbp.models.hard_sphere_structure_factor(np.linspace(0.1, 9, 200)).Sq.drop_attrs(deep=False).assign_attrs(
        quantity="static_structure_factor", units="1", **attrs
    )  # fmt: skip


@pytest.mark.slow
@FOREIGN
def test_an_sq_of_another_sample_is_told(
    glass: xr.Dataset, data: dict[str, str], sq: dict[str, str], said: str | None
) -> None:
    del glass.S.attrs["composition"]
    b = glass[["S"]].drop_attrs(deep=False).assign_attrs(data).bp.to_bqe()
    other = curve(sq)
    runs: list[Callable[[], xr.Dataset]] = [
        lambda: b.bp.cut_E("3 meV", width="0.5 meV").bp.scale_to_sq(other),
        lambda: b.bp.correlation_map(other),
    ]
    for run in runs:
        table = run()
        assert bool(doubts(table)) == (said is not None)
        if said is not None:
            assert re.search(said, doubts(table))
    label = b.bp.plot.map(sq=other).figure.axes[-1].get_ylabel()
    plt.close("all")
    assert ("of another sample?" in label) == (said is not None)
    normalized = glass[["S"]].drop_attrs(deep=False).assign_attrs(data).bp.normalize_to_sum_rule(
        "structure factor", other, Q_range=(1, 8)
    )  # fmt: skip
    codes = [found.code for found in normalized.bp.diagnostics()]
    assert ("another_sample" in codes) == (said is not None)


@pytest.mark.slow
def test_files_tell_of_themselves_through_the_reduction(shared_data: Path) -> None:
    rb, ge = (
        xbp.open_dataset(shared_data / "sqw" / f"{n}.sqw")
        for n in ("Rb_liq_tot", "Ge_liq_coh")
    )
    glass = xbp.open_dataset(
        shared_data / "static" / "SiO2_NIMROD.mint01",
        engine="total_scattering",
        composition="SiO2",
    )
    b = rb.bp.to_bqe(u2="0.1 angstrom^2")
    for data in (b, b.B):
        cut = data.bp.cut_E(("2 meV", "3 meV"))
        # Its own: of the same file, and, as its author left it, on an arbitrary scale.
        own = doubts(cut.bp.scale_to_sq(rb.bp.integrate_E().Sq))
        assert "source" not in own
        assert "does not tend to 1" in own
        germanium = cut.bp.scale_to_sq(ge.bp.integrate_E().Sq)
        assert "Ge_liq_coh.sqw" in doubts(germanium)
        assert "SiO2_NIMROD" in doubts(cut.bp.scale_to_sq(glass.Sq))
    named = b.assign_attrs(composition="Rb").bp.correlation_map(glass.Sq)
    assert "'SiO2'" in doubts(named)


def test_a_column_file_of_sq_tells_of_itself(tmp_path: Path, glass: xr.Dataset) -> None:
    path = tmp_path / "other.txt"
    path.write_text(
        "".join(f"{q} {1 + 0.1 * np.sin(q)}\n" for q in np.linspace(0.1, 9, 50))
    )
    sq = xbp.open_dataset(
        path,
        engine="columns",
        quantity="static_structure_factor",
        units="1",
        coordinate_units="1/angstrom",
    ).Sq
    table = glass.assign_attrs(source="simulation").bp.to_bqe().bp.correlation_map(sq)
    assert "text file other.txt" in doubts(table)


def test_fq_is_no_sq(glass: xr.Dataset) -> None:
    b = glass[["S"]].bp.to_bqe()
    cut = b.bp.cut_E("3 meV", width="0.5 meV")
    sq = curve({})
    fq = (sq - 1).assign_attrs(units="1", quantity="interference_function").rename("FQ")
    for data in (fq, fq.to_dataset()):
        for compare in (cut.bp.scale_to_sq, b.bp.correlation_map, b.bp.plot.map):
            with pytest.raises(QuantityError, match=r"composition='SiO2'"):
                compare(data)
    plt.close("all")
    # Under a wrong name it is told by what it tends to.
    named = cut.bp.scale_to_sq(fq.assign_attrs(quantity="static_structure_factor"))
    right = cut.bp.scale_to_sq(sq)
    assert not doubts(right)
    np.testing.assert_allclose(named.pearson_r, right.pearson_r)
    assert abs(float(named.scale) / float(right.scale) - 1) > 0.3


def test_a_structure_factor_on_another_scale_is_told(glass: xr.Dataset) -> None:
    """One that tends to 8 is of an arbitrary scale; the embedded one, and one in percent, are not."""
    large = glass.Sq.copy(data=8 * glass.Sq.values)
    fit = glass.bp.to_bqe().bp.cut_E("3 meV", width="0.5 meV").bp.scale_to_sq(large)
    assert "does not tend to 1" in doubts(fit)


def test_a_simulation_tells_its_composition(glass: xr.Dataset) -> None:
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(time=slice(0, 2))
    sq = traj.bp.structure_factor("4 1/angstrom", weights="unit").Sq
    cut = glass.bp.to_bqe().bp.cut_E(("2 meV", "4 meV"))
    del cut.B.attrs["composition"]
    said = doubts(cut.assign_attrs(composition="Zr46Cu46Al8").bp.scale_to_sq(sq))
    assert "composition" in said
    assert "'A4B'" in said
    assert "'Zr46Cu46Al8'" in said
    assert not doubts(cut.assign_attrs(composition="A8B2").bp.scale_to_sq(sq))


def carrying(**attrs: object) -> Signal:
    data = xbp.new_dataset(
        "dynamic_structure_factor", np.ones((2, 3)), statistics="unknown", units="1/meV",
        coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": ([-1.0, 0.0, 1.0], "meV")},
    )  # fmt: skip
    return read(data.assign(S=data.S.assign_attrs(attrs)))


@pytest.mark.parametrize(
    ("weight", "mass", "composition", "found"),
    [
        (26.98, None, "Al", 26.98),
        (26.98, "26.98 u", None, 26.98),
        (28.01, None, "N2", 14.007),  # the molecule of one element
        (20.03, None, "D2O", 2.49),  # an effective mass is no mean
        (20.03, "2.49 u", None, 2.49),
        (50.94, None, None, 50.94),
        (None, None, None, None),
    ],
)
def test_masses_that_agree_with_the_weight_in_a_file(
    weight: float | None, mass: str | None, composition: str | None, found: float | None
) -> None:
    attrs = {} if weight is None else {"weight": weight}
    value, _ = sample_mass(carrying(**attrs), mass, composition)
    assert value == (found if found is None else pytest.approx(found, rel=2e-3))


@pytest.mark.parametrize(
    ("weight", "given"),
    [
        (26.98, {"mass": "60 u"}),
        (50.0, {"composition": "Al"}),
        (26.98, {"mass": "20 u"}),  # it is an element's, no molecule's
    ],
)
def test_masses_that_contradict_the_weight_in_a_file(
    weight: float, given: dict[str, str]
) -> None:
    given = {"mass": None, "composition": None} | given  # type: ignore[assignment]
    with pytest.raises(QuantityError, match="weight="):
        sample_mass(carrying(weight=weight), **given)


def test_the_density_is_that_of_the_data_or_the_one_that_is_passed() -> None:
    assert sample_density(carrying(number_density=0.05), None)[0] == 0.05
    assert sample_density(carrying(V_rho=0.05), "50 1/nm^3")[0] == pytest.approx(0.05)
    assert sample_density(carrying(), 0.06)[0] == 0.06
    with pytest.raises(QuantityError, match="number_density= is missing"):
        sample_density(carrying(), None)
    with pytest.raises(QuantityError, match="number_density"):
        sample_density(carrying(number_density=0.05), 0.06)


def test_the_coherent_part_is_in_percent() -> None:
    found = coherent_part(carrying(sigma_coh=4.0, sigma_inc=1.0))
    assert found is not None
    assert found.startswith("80 %")
    assert coherent_part(carrying(sigma_coh=1.0, sigma_inc=4.0)) is None


@pytest.mark.parametrize("text", ["CuSO4.5H2O", "LaCl3.7D2O", "CaSO4 .5 H2O"])
def test_a_hydrate_is_no_fraction_of_atoms(text: str) -> None:
    """CuSO4.5H2O was read as O4.5 and two H, not as ten."""
    with pytest.raises(QuantityError, match="hydrate"):
        numbers_of(text)
    assert numbers_of("SiO2.5") == {"Si": 1, "O": 2.5}


@pytest.mark.parametrize("text", ["He3", "Ni58", "Li7"])
def test_an_element_with_a_mass_number_is_an_isotope(text: str) -> None:
    """He3 was three atoms of natural helium; molecules and hydrogen stay formulas."""
    with pytest.raises(QuantityError, match="isotope"):
        xbp.effective_mass(text)
    symbol, number = re.fullmatch(r"([A-Za-z]+)(\d+)", text).groups()  # type: ignore[union-attr]
    if symbol != "He":  # the scattering length of ³He depends on the energy
        assert float(xbp.effective_mass({f"{number}-{symbol}": 1})) > 2
    for formula in ("H2", "D2", "O2", "C60", "B12", "Zr46Cu46Al8"):
        assert float(xbp.effective_mass(formula)) > 0


def test_the_change_of_a_scattering_length_is_that_of_its_square() -> None:
    table = SimpleNamespace(
        nsf_table=True,
        scattering_by_wavelength=lambda at: (np.linspace(1, 3, at.size), None),
    )
    square = np.linspace(1, 3, 25) ** 2
    assert _variation(table) == pytest.approx(8 / square.mean())


def test_an_element_without_a_table_is_what_is_given() -> None:
    found = scatterer("Po", {"Po": (4.0 + 3.0j, 0.5)})
    assert found.sigma == pytest.approx(4 * np.pi * 25 / 100 + 0.5)
    with pytest.raises(QuantityError, match="no neutron incoherent cross section"):
        scatterer("Po", {"Po": 4.0})
    with pytest.raises(QuantityError, match="no neutron scattering length"):
        scatterer("Po")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("Zr99.6Cu0.4", "Zr", True),
        ("Zr98Cu2", "Zr", False),
        ("Zr60.5Cu39.5", "Zr3Cu2", True),
        ("Zr", "Cu", False),
    ],
)
def test_traces_are_no_other_composition(left: str, right: str, same: bool) -> None:
    for one, other in ((left, right), (right, left)):
        found = another_sample(carrying(composition=one), carrying(composition=other))
        assert (found is None) == same
