"""`xbp.open_dataset(path, T=)`: the temperature that a file does not say, or says wrongly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, TemperatureError


def test_the_temperature_of_a_file_is_overruled(
    tmp_path: Path, model: xr.Dataset
) -> None:
    for data in (model, model.drop_vars("temperature")):
        data.bp.to_netcdf(tmp_path / "data.nc", overwrite=True)
        with xbp.open_dataset(tmp_path / "data.nc", T="17 degC") as opened:
            assert float(opened.temperature) == pytest.approx(290.15)
            assert opened.temperature.attrs["units"] == "K"
    with pytest.raises(TemperatureError):
        xbp.open_dataset(tmp_path / "data.nc", T=-1)


def test_an_axis_of_temperatures_is_not(tmp_path: Path) -> None:
    C = xbp.new_dataset(
        "heat_capacity",
        np.ones(3),
        units="J/mol/K",
        coords={"temperature": ([1.0, 2.0, 3.0], "K")},
    )
    C.bp.to_netcdf(tmp_path / "data.nc")
    with pytest.raises(CoordinateError, match="T=5 K contradicts"):
        xbp.open_dataset(tmp_path / "data.nc", T="5 K")


@pytest.mark.slow
def test_data_reduced_at_one_temperature_have_no_other(
    tmp_path: Path, model: xr.Dataset
) -> None:
    for n, reduced in enumerate((model.bp.to_gdos(), model.bp.to_bqe())):
        path = tmp_path / f"{n}.nc"
        reduced.bp.to_netcdf(path)
        with pytest.raises(TemperatureError, match="contradicts"):
            xbp.open_dataset(path, T="100 K")
        with xbp.open_dataset(path, T="300 K") as opened:
            assert float(opened.temperature) == 300
