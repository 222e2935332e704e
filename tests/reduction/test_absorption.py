"""g(E)/E² from absorption: exact for every coupling, on every axis."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, UnitsError, XbpError

NU = np.linspace(0.0, 3, 61)
B = np.exp(-(np.log(np.maximum(NU, 0.01) / 1.1) ** 2) / 0.5)
COUPLINGS: list[tuple[Any, Any]] = [
    ("constant", 1.0),
    ("linear", NU),
    ((2, "0.2 1/THz^2"), 2 + 0.2 * NU**2),
    ((2, 0.2), 2 + 0.2 * NU**2),
    (lambda nu: 1 + nu, 1 + NU),
]


def film(coupling: Any = 1.0, **more: Any) -> xr.Dataset:
    given: dict[str, Any] = {"units": "1/cm", "coords": {"E": (NU, "THz")}} | more
    return xbp.new_dataset("absorption", B * NU**2 * coupling, **given)


@pytest.mark.parametrize(("coupling", "C"), COUPLINGS, ids=range(5))
def test_every_coupling_is_divided_out(coupling: Any, C: Any) -> None:
    found = film(C).bp.to_reduced_absorption(coupling)
    np.testing.assert_allclose(found.B, B[1:], rtol=1e-12)
    assert found.B.attrs["quantity"] == "reduced_dos"


def test_the_maximum_on_any_axis_and_lazily() -> None:
    want = film().bp.to_reduced_absorption().bp.boson_peak()
    assert float(want.energy) == pytest.approx(1.1, rel=1e-6)
    other = film().bp.convert(E="1/cm").chunk().bp.to_reduced_absorption()
    assert other.B.chunks is not None
    peak = other.compute().bp.boson_peak()
    assert float(peak.energy) == pytest.approx(1.1e12 / 2.99792458e10, rel=1e-6)


@pytest.mark.parametrize("axis", ["1/cm", "meV", "GHz"])
def test_the_coupling_has_units_of_its_own(axis: str) -> None:
    """B of A + Bν² in 1/THz², whatever the axis of the data."""
    found = film(2 + 0.2 * NU**2).bp.convert(E=axis)
    found = found.bp.to_reduced_absorption((2, "0.2 1/THz^2"))
    np.testing.assert_allclose(found.B / found.B.max(), B[1:] / B.max(), rtol=1e-7)
    with pytest.raises(
        UnitsError, match=r"'1/THz', which does not convert to '1/THz\*\*2'"
    ):
        film().bp.to_reduced_absorption((2, "0.2 1/THz"))


def test_an_absorbance_and_the_error_of_the_thickness(tmp_path: Path) -> None:
    given = {"units": "1", "std": 0.01 * B + 1e-3}
    found = film(**given).bp.to_reduced_absorption(
        thickness="20 um", thickness_std="1 um"
    )
    np.testing.assert_allclose(found.B, B[1:] * math.log(10) / 20e-4, rtol=1e-12)
    np.testing.assert_allclose(found.B_std_common[0], -0.05 * found.B, rtol=1e-12)
    found.bp.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.nc"), found)


def test_wrong_input_is_refused() -> None:
    bare = film(units="1")
    with pytest.raises(QuantityError, match="thickness"):
        bare.bp.to_reduced_absorption()
    with pytest.raises(XbpError, match="thickness"):
        film().bp.to_reduced_absorption(thickness="20 um")
    with pytest.raises(UnitsError):
        bare.bp.to_reduced_absorption(thickness="20 THz")
    with pytest.raises(QuantityError, match="is not a C_IR"):
        film().bp.to_reduced_absorption("quadratic")
    with pytest.raises(QuantityError, match="C_IR"):
        film().bp.to_reduced_absorption(lambda nu: nu - 1)
    with pytest.raises(CoordinateError):
        film().isel(E=3).bp.to_reduced_absorption()


def test_it_is_a_leaf_of_a_study() -> None:
    leaves = {
        "far infrared": film().bp.to_reduced_absorption(),
        "stated": xbp.stated_energy("4.6 meV", "0.3 meV", reference="this work"),
    }
    table = xbp.new_study(leaves).bp.compare()
    energy = table.energy.sel(leaf="far infrared")
    assert float(energy) == pytest.approx(1.1 * 4.135667696, rel=1e-6)


@pytest.mark.slow
def test_a_study_has_it_beside_neutrons(tmp_path: Path) -> None:
    E = np.linspace(0.5, 25, 100)
    neutrons = xbp.new_dataset(
        "reduced_dos",
        np.exp(-(np.log(E / 5.5) ** 2) / 0.5),
        std=np.full(E.size, 0.02),
        units="1",
        coords={"E": (E, "meV")},
    )
    far_infrared = film(std=0.02 * B * NU**2 + 1e-4).bp.to_reduced_absorption()
    study = xbp.new_study({"ins": neutrons, "far infrared": far_infrared})
    table = study.bp.compare()
    assert table.status.values.tolist() == ["ok", "ok"]
    energy = float(table.energy.sel(leaf="far infrared"))
    assert energy == pytest.approx(1.1 * 4.135667696, rel=0.01)
    study.bp.report(tmp_path / "study.html")
    assert ", infrared" in (tmp_path / "study.html").read_text()
