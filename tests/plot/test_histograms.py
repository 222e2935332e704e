"""Distributions of the local fields of atoms."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError


@pytest.fixture(scope="module")
def fields() -> xr.Dataset:
    traj = xbp.md.models.einstein_solid(
        60, 4, cell=8, energy="8 meV", T=300, mass=40, time_step="25 fs", rng=1
    ).assign_coords(element=("atom", ["Cu"] * 20 + ["Zr"] * 40))
    names = ["coordination", "neighbor_distance", "shear_strain"]
    made: xr.Dataset = traj.bp.local_fields(names, cutoff=4).compute()
    return made


def heights(ax: plt.Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        p.get_label(): (p.get_data().values, p.get_data().edges) for p in ax.patches
    }


def test_the_default_figure_of_a_field_is_its_distribution(fields: xr.Dataset) -> None:
    ax = fields.bp.plot()
    drawn = heights(ax)
    assert [*drawn] == ["Cu", "Zr"]
    number = fields.coordination.values
    for name, atoms in (("Cu", slice(20)), ("Zr", slice(20, None))):
        found, edges = drawn[name]
        # Whole numbers have a bin each, so that the heights are parts of the atoms.
        assert (edges % 1 == 0.5).all()
        for part, low in zip(found, edges, strict=False):
            assert part == pytest.approx((number[:, atoms] == low + 0.5).mean())
    assert ax.get_xlabel() == "number of neighbors"
    one = fields.coordination.bp.plot.histogram()
    np.testing.assert_array_equal(heights(one)["Cu"][0], drawn["Cu"][0])


def test_fields_with_units_and_tensors(fields: xr.Dataset) -> None:
    ax = fields.bp.plot("neighbor_distance", bins=30)
    assert ax.get_xlabel() == "mean distance of the neighbors (Å)"
    assert ax.get_ylabel() == "part of the atoms (Å$^{-1}$)"
    found, edges = heights(ax)["Zr"]
    assert found.size == 30
    assert (found * np.diff(edges)).sum() == pytest.approx(1)
    tensor = heights(fields.bp.plot.histogram("shear_strain"))
    assert [*tensor] == ["diagonal components", "other components"]
    mean = fields.coordination.mean("atom", keep_attrs=True)
    assert len(heights(mean.bp.plot())) == 1


def test_what_has_no_distribution_is_refused(fields: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match=r"field='d2min' is not one of"):
        fields.bp.plot("d2min")
    with pytest.raises(QuantityError, match="every value of 'coordination' is NaN"):
        (fields.coordination * np.nan).assign_attrs(fields.coordination.attrs).bp.plot()
    with pytest.raises(QuantityError, match="'Sq' is not a local field"):
        xbp.tutorial.open_dataset("zr46cu46al8_md").Sq.bp.plot.histogram()
    assert ".bp.plot()" in repr(fields.bp)
