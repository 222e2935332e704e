"""What the pages say of the embedded glasses in two dimensions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from xbp import tutorial
from xbp.models.dimension import debye_level

EDGES = np.arange(0, 12.01, 0.2)


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return tutorial.open_datatree("kob_andersen_2d")


@pytest.mark.slow
def test_every_part_is_in_two_dimensions(tree: xr.DataTree) -> None:
    for node in tree.subtree:
        if not node.children:
            ds = node.to_dataset()
            parts = [ds.attrs, *(v.attrs for v in ds.data_vars.values())]
            assert any(attrs.get("dimension") == 2 for attrs in parts), node.path
    traj = tree["trajectory"].to_dataset()
    assert np.ptp(traj.position[..., 2].values) == 0
    assert not traj.velocity[..., 2].values.any()


@pytest.mark.slow
def test_the_excess_of_g_over_e(tree: xr.DataTree) -> None:
    glass = tree["spectra"].to_dataset()
    np.testing.assert_allclose(glass.velocity, [1664, 675], atol=0.5)
    energy = float(glass.debye_energy)
    assert energy == pytest.approx(6.65, abs=0.01)
    level = debye_level(energy, 2)
    g = glass[["g", "g_std"]].bp.rebin(E=EDGES).bp.to_bqe()
    ratio, std = ((g[name] / level).values[:5] for name in ("B", "B_std"))
    np.testing.assert_allclose(ratio, [1.13, 1.36, 1.46, 1.36, 1.30], atol=0.006)
    np.testing.assert_allclose(std, [0.16, 0.11, 0.08, 0.07, 0.06], atol=0.006)
    peak = g.bp.boson_peak(E_range=(0.1, 3))
    assert str(peak.status.values) == "no maximum"
    each = [
        tree[f"glass_{n}/dos"].to_dataset().g.isel(E=slice(115)) for n in (1, 2, 3, 4)
    ]
    mean = xr.concat(each, "glass", join="override").mean("glass")
    np.testing.assert_allclose(mean, glass.g.isel(E=slice(115)), rtol=1e-5)


def test_shear_does_not_disperse(tree: xr.DataTree) -> None:
    C_T = tree["currents/C_T"].to_dataset(name="C_T").bp.rebin(E=EDGES).C_T
    band = (C_T / C_T.E**2).sel(E=slice(0.1, 6), Q=slice(0.4, 1.5)).idxmax("E")
    strain = tree["shear_strain"].to_dataset().bp.rebin(E=EDGES).Omega
    strain = strain.sel(Q=slice(0.4, None)).idxmax("E")
    for found in (band, strain):
        assert 0.49 < float(found.min()) <= float(found.max()) < 0.71
    phonon = tree["md"].box_phonon
    assert float(phonon) == pytest.approx(0.39, abs=0.005)
