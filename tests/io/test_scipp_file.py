from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import test_fuzz
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, UnitsError

scipp = pytest.importorskip("scipp")


def foreign() -> object:
    """S(Q,E) as other programs have it: edges of E, a mask, variances."""
    E = scipp.linspace("energy_transfer", -1.0, 2.0, 4, unit="meV")
    S = scipp.array(dims=["Q", "energy_transfer"], values=np.ones((2, 3)), variances=4 * np.ones((2, 3)), unit="1/meV")  # fmt: skip
    Q = scipp.array(dims=["Q"], values=[5.0, 10.0], unit="1/nm")
    mask = scipp.array(dims=["Q"], values=[True, False])
    return scipp.DataArray(S, coords={"energy_transfer": E, "Q": Q}, masks={"bad": mask})  # fmt: skip


def test_what_xbp_wrote_is_identical(tmp_path: Path) -> None:
    test_fuzz.scipp_file(tmp_path / "a.h5")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.h5"), test_fuzz.map_())


@pytest.mark.slow
def test_of_other_programs(tmp_path: Path) -> None:
    data = foreign()
    data.save_hdf5(tmp_path / "a.h5")
    with pytest.raises(QuantityError, match="quantity"):
        xbp.open_dataset(tmp_path / "a.h5")
    named = {
        "quantity": "dynamic_structure_factor",
        "T": "5 K",
        "statistics": "quantum",
    }
    ds = xbp.open_dataset(tmp_path / "a.h5", **named)
    assert ds.S[0].isnull().all()
    np.testing.assert_array_equal(ds.S_std[1], [2, 2, 2])
    np.testing.assert_array_equal(ds.E_bnds[:, 0], [-1, 0, 1])
    assert (float(ds.temperature), ds.Q.attrs["units"]) == (5, "1/nm")
    scipp.Dataset({"a": data, "b": 2.0 * data}).save_hdf5(tmp_path / "b.h5")
    with pytest.raises(QuantityError, match="one of 'a', 'b'"):
        xbp.open_dataset(tmp_path / "b.h5", **named)
    assert float(xbp.open_dataset(tmp_path / "b.h5", name="b", **named).S[1, 0]) == 2
    with pytest.raises(QuantityError, match="name="):
        xbp.open_dataset(tmp_path / "a.h5", name="a", **named)
    data.data.save_hdf5(tmp_path / "c.h5")
    with pytest.raises(FileFormatError, match="not DataArray"):
        xbp.open_dataset(tmp_path / "c.h5", **named)


def test_absurd_sizes(tmp_path: Path) -> None:
    test_fuzz.scipp_file(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["data/values"]
        file["data"].create_dataset(
            "values", shape=(10**6, 10**6), chunks=(1000, 1000), dtype=float
        )
    with pytest.raises(FileFormatError, match="claims"):
        xbp.open_dataset(tmp_path / "a.h5")


def test_temperatures_of_scipp(tmp_path: Path) -> None:
    """Its files lose the zero of °C, so that only T= mends it; °F has a factor too."""
    data, path, what = foreign(), tmp_path / "a.h5", "dynamic_structure_factor"

    def opened(unit: str, **options: str) -> xr.Dataset:
        data.coords["temperature"] = scipp.scalar(20.0, unit=unit)  # type: ignore[attr-defined]
        data.save_hdf5(path)  # type: ignore[attr-defined]
        return xbp.open_dataset(path, quantity=what, **options)

    lost = opened("degC")
    assert (float(lost.temperature), lost.temperature.attrs["units"]) == (20, "K")
    given = opened("degC", T="20 degC")
    assert (float(given.temperature), given.temperature.attrs["units"]) == (293.15, "K")
    with pytest.raises(UnitsError):
        opened("degF")
    data.coords["temperature"] = scipp.scalar(20.0, unit="degC")  # type: ignore[attr-defined]
    inside = xbp.from_scipp(data, what)
    assert inside.temperature.attrs["units"] == "degC"
    assert float(xbp.from_scipp(data, what, T="9 K").temperature) == 9
