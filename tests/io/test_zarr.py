"""Zarr stores: identical when read back, replaced only where they are stores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError

pytest.importorskip("zarr")
GLASS = xbp.tutorial.open_dataset("zr46cu46al8_md").isel(Q=slice(3), E=slice(8))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dataset", "array", "table", "samples", "trajectory"])
def test_data_read_back_identical(tmp_path: Path, kind: str) -> None:
    B = GLASS.bp.to_bqe()
    data = {
        "dataset": B,
        "array": B.B,
        "table": B.isel(Q=0).bp.boson_peak(),
        "samples": xr.concat([GLASS, GLASS], xr.Variable("sample", ["A", "B"]), data_vars="all", coords="minimal", compat="override"),
        "trajectory": xbp.md.models.ideal_gas(5, 3, cell=10, T=300, mass=40, time_step=0.02, rng=1),
    }[kind]  # fmt: skip
    path = tmp_path / "a.zarr"
    data.bp.to_zarr(path)
    back = xbp.open_dataset(path).load()
    wanted = data.to_dataset() if isinstance(data, xr.DataArray) else data
    if kind == "array":
        wanted = wanted.assign_attrs(back.attrs)
    assert back.identical(wanted)
    if kind == "trajectory":
        xr.testing.assert_allclose(xbp.md.open_trajectory(path).position, data.position)


def test_what_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    GLASS.bp.to_zarr(path)
    with pytest.raises(FileFormatError, match="exists"):
        GLASS.bp.to_zarr(path)
    (2 * GLASS.S).assign_attrs(GLASS.S.attrs).bp.to_zarr(path, overwrite=True)
    np.testing.assert_allclose(xbp.open_dataset(path).S, 2 * GLASS.S)
    (path / "thesis.tex").write_text("years")
    with pytest.raises(FileFormatError, match="thesis"):
        GLASS.bp.to_zarr(path, overwrite=True)
    assert (path / "thesis.tex").read_text() == "years"
    with pytest.raises(FileFormatError, match=r"does not end in \.zarr"):
        GLASS.bp.to_zarr(tmp_path / "b")
    with pytest.raises(QuantityError, match="engine='nxspe' is not used"):
        xbp.open_dataset(path, engine="nxspe")
    (tmp_path / "c.zarr").mkdir()
    with pytest.raises(FileFormatError, match=r"c\.zarr cannot be read as Zarr"):
        xbp.open_dataset(tmp_path / "c.zarr")
    with pytest.raises(QuantityError, match="attribute 'note'"):
        GLASS.assign_attrs(note=None).bp.to_zarr(tmp_path / "d.zarr")
    assert not (tmp_path / "d.zarr").exists()
