"""What is written has the units that the format has, whatever those of the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp

CELSIUS = {"units": "degC"}


def in_celsius(ds: xr.Dataset) -> xr.Dataset:
    """Return data at 17 degC, which are at 290.15 K."""
    return ds.assign_coords(temperature=xr.Variable((), 17.0, CELSIUS))


@pytest.fixture
def detectors() -> xr.Dataset:
    """Spectra of two detectors, their angles in radians and distances in mm."""
    ds = xbp.new_dataset(
        "detector_spectra",
        np.ones((2, 4)),
        std=np.full((2, 4), 0.1),
        units="1/meV",
        coords={"detector": ([0, 1], "1"), "E": ([0.5, 1.5, 2.5, 3.5], "meV")},
        statistics="quantum",
    )
    radians, metres = {"units": "rad"}, {"units": "mm"}
    return in_celsius(ds).assign_coords(
        two_theta=("detector", np.radians([30.0, 60.0]), radians),
        azimuth=("detector", np.radians([10.0, -20.0]), radians),
        distance=("detector", [4000.0, 4500.0], metres),
        incident_energy=((), 20.0, {"units": "meV"}),
    )


def nxspe(ds: xr.Dataset, folder: Path) -> xr.Dataset:
    ds.bp.to_nxspe(folder / "a.nxspe")
    return xbp.open_dataset(folder / "a.nxspe")


def spe(ds: xr.Dataset, folder: Path) -> xr.Dataset:
    ds.bp.to_spe(folder / "a.spe", folder / "a.phx")
    return xbp.open_dataset(
        folder / "a.spe",
        detectors=folder / "a.phx",
        incident_energy="20 meV",
        T="290.15 K",
    )


@pytest.mark.parametrize("through", [nxspe, spe])
def test_angles_and_distances(
    detectors: xr.Dataset,
    tmp_path: Path,
    through: Callable[[xr.Dataset, Path], xr.Dataset],
) -> None:
    back = through(detectors, tmp_path)
    np.testing.assert_allclose(back.two_theta, [30, 60], rtol=1e-12)
    np.testing.assert_allclose(back.azimuth, [10, -20], rtol=1e-12)
    if "distance" in back.coords:
        np.testing.assert_allclose(back.distance, [4, 4.5], rtol=1e-12)
    assert float(back.temperature) == pytest.approx(290.15, abs=1e-9)


@pytest.fixture
def map_() -> xr.Dataset:
    """A map at 17 degC."""
    ds = xbp.new_dataset(
        "S(Q,E)",
        np.ones((2, 3)),
        std=np.full((2, 3), 0.1),
        units="1/meV",
        coords={"Q": ([1.0, 2.0], "1/angstrom"), "E": ([1.0, 2.0, 3.0], "meV")},
        statistics="quantum",
        temperature="300 K",
    )
    return in_celsius(ds)


def test_a_temperature_in_an_isotropic_map(map_: xr.Dataset, tmp_path: Path) -> None:
    map_.bp.to_sqw(tmp_path / "a.sqw")
    back = xbp.open_dataset(tmp_path / "a.sqw")
    assert float(back.temperature) == pytest.approx(290.15, abs=1e-9)


def test_a_temperature_in_scipp(map_: xr.Dataset, tmp_path: Path) -> None:
    pytest.importorskip("scipp")
    data = map_.bp.to_scipp()
    data.save_hdf5(tmp_path / "a.hdf5")
    for back in (xbp.from_scipp(data), xbp.open_dataset(tmp_path / "a.hdf5")):
        assert float(back.temperature) == pytest.approx(290.15, abs=1e-9)
        assert back.temperature.attrs["units"] == "K"
