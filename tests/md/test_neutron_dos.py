"""What neutrons make of a density of states, and back."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError

E = np.arange(0.5, 45.0)
pytest.importorskip("periodictable")


def partials(std: float = 0.01) -> xr.Dataset:
    g = np.stack(
        [np.exp(-((E - c) ** 2) / 50) / np.sqrt(50 * np.pi) for c in (18.0, 22.0, 34.0)]
    )
    coords = {
        "element": ["Cu", "Zr", "Al"], "E": ("E", E, {"units": "meV"}), "weight": ("element", [0.46, 0.46, 0.08]),
    }  # fmt: skip
    attrs = {
        "quantity": "vibrational_dos",
        "units": "1/meV",
        "ancillary_variables": "g_std",
        "weighting": "mass",
    }
    ds = xr.Dataset({"g": (("element", "E"), g, attrs)}, coords)
    ds["g_std"] = (("element", "E"), std * g, {"units": "1/meV"})
    return ds


def test_the_weights_are_those_of_the_tables() -> None:
    p = partials()
    # Cross sections (barn) and masses (u) of Sears' table and IUPAC.
    w = np.array([0.46 * 8.03 / 63.546, 0.46 * 6.46 / 91.224, 0.08 * 1.503 / 26.982])
    want = (w / w.sum()) @ p.g.values
    np.testing.assert_allclose(p.bp.neutron_weighted_dos().g, want, rtol=2e-3)
    u2 = xr.DataArray(
        [0.01, 0.02, 0.03], {"element": p.element}, attrs={"units": "angstrom**2"}
    )
    w = w * np.exp(-25 * u2.values)
    np.testing.assert_allclose(
        p.bp.neutron_weighted_dos(Q="5 1/angstrom", u2=u2).g,
        (w / w.sum()) @ p.g.values,
        rtol=2e-3,
    )


@pytest.mark.slow
def test_there_and_back_in_other_units_and_on_another_grid() -> None:
    p = partials()
    true = xr.dot(p.g, p.weight, dim="element")
    measured = p.bp.neutron_weighted_dos()[["g", "g_std"]]
    for units in ("meV", "THz", "1/cm"):
        # A table of results carries its own quantity; the spectrum alone is what is measured.
        g = measured.g.bp.convert(E=units)
        back = g.bp.correct_neutron_weighting(p).bp.convert(E="meV")
        np.testing.assert_allclose(back, true, rtol=1e-9)
    half = measured.g.interp(E=np.arange(1.0, 44)).assign_attrs(measured.g.attrs)
    half.E.attrs["units"] = "meV"
    np.testing.assert_allclose(
        half.bp.correct_neutron_weighting(p),
        true.interp(E=np.arange(1.0, 44)),
        rtol=0.02,
    )
    wide = half.reindex(E=np.arange(1.0, 60))
    wide.E.attrs["units"] = "meV"
    assert (
        wide.fillna(1.0)
        .bp.correct_neutron_weighting(p)
        .sel(E=slice(46, None))
        .isnull()
        .all()
    )


@pytest.mark.slow
def test_errors_are_those_of_many_simulations() -> None:
    rng = np.random.default_rng(3)
    p = partials(0.05)
    said = p.bp.neutron_weighted_dos()
    noise = xr.DataArray(rng.normal(0, 1, (200, *p.g.shape)), dims=("draw", *p.g.dims))
    drawn = (p.g + noise * p.g_std).assign_attrs(p.g.attrs)
    many = drawn.bp.neutron_weighted_dos()
    inner = slice(5, 40)
    np.testing.assert_allclose(
        many.g.std("draw").sel(E=inner), said.g_std.sel(E=inner), rtol=0.2
    )
    np.testing.assert_allclose(
        many.correction.std("draw").sel(E=inner),
        said.correction_std.sel(E=inner),
        rtol=0.2,
    )
    data = xr.Dataset({"g": said.g, "g_std": 0.1 * said.g})
    data.g_std.attrs["units"] = "1/meV"
    back = data.bp.correct_neutron_weighting(p).sel(E=inner)
    relative = np.hypot(0.1, (said.correction_std / said.correction).sel(E=inner))
    np.testing.assert_allclose(back.g_std / back.g, relative, rtol=1e-9)


def test_partials_of_a_trajectory() -> None:
    solid = xbp.md.models.einstein_solid(
        60,
        400,
        cell=10,
        energy="8 meV",
        T=300,
        mass=40,
        time_step="50 fs",
        rng=1,
        element="Cu",
    )
    traj = solid.assign_coords(
        element=("atom", np.where(np.arange(60) % 3 == 0, "Zr", "Cu"))
    )
    table = traj.bp.vdos(window="10 ps", partials=True).bp.neutron_weighted_dos()
    # All atoms swing alike: no weighting changes that.
    near = table.sel(E=slice(7.5, 8.5))
    np.testing.assert_allclose(near.correction, 1, atol=0.15)
    with pytest.raises(QuantityError, match="weighted by 'neutron'"):
        traj.bp.vdos(
            window="10 ps", partials=True, weights="neutron"
        ).bp.neutron_weighted_dos()
    with pytest.raises(QuantityError, match="of all elements"):
        traj.bp.vdos(window="10 ps").bp.neutron_weighted_dos()


def test_what_does_not_fit_is_refused() -> None:
    p = partials()
    with pytest.raises(RangeError, match="only one of Q and u2"):
        p.bp.neutron_weighted_dos(Q=5)
    with pytest.raises(QuantityError, match=r"add up to 0\.92"):
        p.isel(element=[0, 1]).bp.neutron_weighted_dos()
    with pytest.raises(QuantityError, match="Xx"):
        p.assign_coords(element=["Xx", "Zr", "Al"]).bp.neutron_weighted_dos()
    with pytest.raises(RangeError, match="do not overlap in E"):
        p.g.isel(element=0).assign_coords(E=p.E + 100).bp.correct_neutron_weighting(p)
