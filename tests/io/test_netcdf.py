from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pint
import pytest
import xarray as xr
from apart import Case, apart

import xbp
from xbp.errors import FileFormatError, QuantityError


def products(glass: xr.Dataset, model: xr.Dataset) -> dict[str, xr.Dataset]:
    b = glass.bp.to_bqe()
    edges = xbp.models.with_counting_noise(model, counts=1e4, rng=0).bp.rebin(
        E="2 meV", Q=0.5
    )
    return {
        "glass": glass,
        "B": b,
        "rebinned": edges,
        "cut": b.bp.cut_E(3, width=0.5),
        "peaks": b.bp.boson_peak(E_range=(1.2, 12)),
        "dispersion": b.bp.boson_peak(E_range=(1.2, 12)).bp.dispersion(),
        "scaling": b.bp.cut_E(3, width=0.5).bp.scale_to_sq(glass.Sq),
        "correlation": b.bp.correlation_map(glass.Sq),
        "balance": model.bp.detailed_balance(E_range=(2, 18)),
    }


@pytest.mark.slow
def test_what_xbp_makes_reads_back_identical(
    glass: xr.Dataset, model: xr.Dataset, tmp_path: Path
) -> None:
    for name, ds in products(glass, model).items():
        ds.bp.to_netcdf(tmp_path / f"{name}.nc")
        with xr.open_dataset(tmp_path / f"{name}.nc") as back:
            xr.testing.assert_identical(back, ds)
            assert back.attrs.keys() == ds.attrs.keys()
            assert back.attrs.get("history") == ds.attrs.get("history")
        with xbp.open_dataset(tmp_path / f"{name}.nc") as back:
            xr.testing.assert_identical(back, ds)


def test_a_dataarray_reads_back_identical(glass: xr.Dataset, tmp_path: Path) -> None:
    B = glass.S.bp.to_bqe()
    B.bp.to_netcdf(tmp_path / "b.nc")
    with xr.open_dataarray(tmp_path / "b.nc") as back:
        xr.testing.assert_identical(back, B)


@pytest.mark.slow
def test_dask_and_pint_are_written_as_plain_numbers(
    glass: xr.Dataset, tmp_path: Path
) -> None:
    glass.chunk(Q=50).bp.to_netcdf(tmp_path / "dask.nc")
    with xr.open_dataset(tmp_path / "dask.nc") as back:
        xr.testing.assert_identical(back, glass)
    ureg = pint.UnitRegistry()
    quantified = glass.S.copy(data=ureg.Quantity(glass.S.values, "1/meV"))
    del quantified.attrs["units"]
    quantified.bp.to_netcdf(tmp_path / "pint.nc")
    with xr.open_dataset(tmp_path / "pint.nc") as back:
        np.testing.assert_array_equal(back.S, glass.S)
        assert xbp.core.units.parse_unit(
            back.S.attrs["units"]
        ) == xbp.core.units.parse_unit("1/meV")


@pytest.mark.slow
def test_an_existing_file_is_replaced_only_on_request(
    glass: xr.Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "glass.nc"
    glass.bp.to_netcdf(path)
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match="exists"):
        glass.bp.to_bqe().bp.to_netcdf(path)
    assert path.read_bytes() == before
    glass.bp.to_bqe().bp.to_netcdf(path, overwrite=True)
    with xr.open_dataset(path) as back:
        assert "B" in back


@pytest.mark.slow
def test_a_file_may_replace_the_one_it_was_read_from(
    glass: xr.Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "glass.nc"
    glass.bp.to_netcdf(path)
    with xr.open_dataset(path) as lazy:
        lazy.bp.scale(2).bp.to_netcdf(path, overwrite=True)
    with xr.open_dataset(path) as back:
        np.testing.assert_array_equal(back.S, 2 * glass.S)


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_interrupted_write_loses_nothing(
    glass: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    path = tmp_path / "glass.nc"
    if overwrite:
        glass.bp.to_netcdf(path)
    before = sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir())

    def half(self: xr.Dataset, target: str, **kwargs: object) -> None:
        Path(target).write_bytes(b"\x89HDF half a file")
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.Dataset, "to_netcdf", half)
    with pytest.raises(KeyboardInterrupt):
        xbp.to_netcdf(glass, path, overwrite=overwrite)
    assert sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir()) == before


def test_a_file_made_meanwhile_is_not_lost(
    glass: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "glass.nc"
    original = xr.Dataset.to_netcdf

    def slow(self: xr.Dataset, target: str, **kwargs: object) -> None:
        original(self, target, **kwargs)  # type: ignore[call-overload]
        path.write_text("somebody else's")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", slow)
    with pytest.raises(FileFormatError, match="exists"):
        xbp.to_netcdf(glass, path)
    assert path.read_text() == "somebody else's"
    assert [p.name for p in tmp_path.iterdir()] == ["glass.nc"]


def test_missing_folder(glass: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not exist"):
        glass.bp.to_netcdf(tmp_path / "nowhere" / "glass.nc")


@pytest.mark.parametrize("value", [True, None, {"a": 1}, 1j, [None]], ids=str)
def test_attributes_that_netcdf_cannot_hold(
    glass: xr.Dataset, tmp_path: Path, value: object
) -> None:
    glass.S.attrs["note"] = value
    with pytest.raises(QuantityError, match="attribute 'note' of 'S'"):
        glass.bp.to_netcdf(tmp_path / "glass.nc")
    assert not list(tmp_path.iterdir())


def test_coordinates_have_no_fill_value(glass: xr.Dataset, tmp_path: Path) -> None:
    glass.bp.to_netcdf(tmp_path / "glass.nc")
    with netCDF4.Dataset(tmp_path / "glass.nc") as file:
        for name in ("Q", "E", "temperature", "u2"):
            assert "_FillValue" not in file[name].ncattrs()
        assert file.Conventions == "CF-1.11"
        assert file.xbp_schema == "1"


@pytest.mark.slow
def test_cf_compliance(glass: xr.Dataset, model: xr.Dataset, tmp_path: Path) -> None:
    """No error by the public checker, on every kind of product."""
    runner = pytest.importorskip("compliance_checker.runner")
    runner.CheckSuite.load_all_available_checkers()
    for name, ds in products(glass, model).items():
        path, report = tmp_path / f"{name}.nc", tmp_path / f"{name}.txt"
        ds.bp.to_netcdf(path)
        _, broken = runner.ComplianceChecker.run_checker(
            str(path),
            ["cf:1.11"],
            0,
            "strict",
            output_filename=str(report),
            output_format="text",
        )
        text = report.read_text()
        assert not broken, text
        errors = (
            text.split("Errors")[1].split("Warnings")[0] if "Errors" in text else ""
        )
        assert "*" not in errors, f"{name}:\n{text}"


@pytest.mark.slow
def test_an_infinite_signal_is_neither_written_nor_read(
    glass: xr.Dataset, tmp_path: Path
) -> None:
    infinite = glass.copy(deep=True)
    infinite.S[3, 4] = np.inf
    with pytest.raises(QuantityError, match="'S' is infinite in 1 "):
        infinite.bp.to_netcdf(tmp_path / "a.nc")
    assert not list(tmp_path.iterdir())
    infinite.to_netcdf(tmp_path / "b.nc", engine="netcdf4")
    with pytest.raises(FileFormatError, match="infinite"):
        xbp.open_dataset(tmp_path / "b.nc")


@pytest.mark.slow
def test_infinite_coordinates_and_negative_errors(
    glass: xr.Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "a.nc"
    for name, value in (("Q", np.inf), ("temperature", np.inf), ("S_std", -1.0)):
        glass[["S", "S_std"]].bp.to_netcdf(path, overwrite=True)
        with h5py.File(path, "a") as file:
            file[name][(0,) * file[name].ndim] = value
        with pytest.raises(FileFormatError, match=f"'{name}' is "):
            xbp.open_dataset(path)
        bad = glass[["S", "S_std"]].load().copy(deep=True)
        if name == "S_std":
            bad[name][0, 0] = value
            with pytest.raises(QuantityError, match="negative"):
                bad.bp.to_netcdf(path, overwrite=True)


@pytest.mark.slow
def test_a_frame_of_a_trajectory_is_stored_together(tmp_path: Path) -> None:
    r = np.zeros((20, 3000, 3)) + np.arange(20)[:, None, None]
    traj = xbp.md.new_trajectory(
        r, time=0.5 * np.arange(20), cell=40.0 * np.eye(3), element=["Cu"] * 3000
    )
    traj.bp.to_netcdf(tmp_path / "a.nc")
    with h5py.File(tmp_path / "a.nc") as file:
        assert file["position"].chunks == (14, 3000, 3)
    assert (xbp.md.open_trajectory(tmp_path / "a.nc").position.values == r).all()


def test_infinite_positions_of_a_trajectory(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    xbp.md.models.ideal_gas(
        6, 5, cell=10, T=300, mass=40, time_step=0.02, rng=1
    ).to_netcdf(path)
    with h5py.File(path, "a") as file:
        file["position"][1, 0, 0] = np.inf
    for open_ in (xbp.open_dataset, xbp.md.open_trajectory):
        with pytest.raises(FileFormatError, match="'position' is infinite"):
            open_(path)


@pytest.mark.slow
def test_an_axis_that_is_nan_or_has_no_units(tmp_path: Path, glass: xr.Dataset) -> None:
    for change in ("nan", "units"):
        path = tmp_path / f"{change}.nc"
        glass.bp.to_netcdf(path)
        with h5py.File(path, "a") as file:
            if change == "nan":
                file["Q"][3] = np.nan
            else:
                file["Q"].attrs["units"] = 1
        with pytest.raises(FileFormatError, match="'Q'"):
            xbp.open_dataset(path)


def reopened(path: str) -> Iterator[Case]:
    """Yield the opening of a file of which an earlier one, but not the last, is closed."""

    def attempt() -> str:
        first, second = (xbp.md.open_trajectory(path) for _ in range(2))
        del first
        gc.collect()
        for _ in range(5):
            xbp.md.open_trajectory(path)
            gc.collect()
        return "".join(second.element.values)

    yield "reopened", attempt


@pytest.mark.slow
def test_a_file_is_opened_again_while_an_older_opening_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell of a notebook that opens a trajectory, run three times: HDF5 then read memory that it had freed."""
    monkeypatch.setenv("MALLOC_PERTURB_", "85")  # such memory holds nonsense at once
    traj = xbp.tutorial.open_dataset("kob_andersen_trajectory").isel(atom=[0, 1])
    # Whether it happens depends on the order of the texts in the file.
    ordered = traj.drop_vars("xyz").assign_coords(xyz=traj.xyz)
    ordered.to_netcdf(tmp_path / "a.nc", encoding={"position": {}, "velocity": {}})
    found = apart(reopened, str(tmp_path / "a.nc"))
    assert found == {"reopened": "".join(traj.element.values)}


@pytest.mark.slow
@pytest.mark.parametrize("of", ["map", "one axis", "array"])
def test_attributes_of_nxdata(tmp_path: Path, glass: xr.Dataset, of: str) -> None:
    """h5web and silx draw the signal; in xbp the data are identical."""
    data = {"map": glass, "one axis": glass[["g", "g_std"]], "array": glass.S}[of]
    name, axes = ("g", ["E"]) if of == "one axis" else ("S", list(glass.S.dims))
    path = tmp_path / "a.nc"
    with pytest.raises(QuantityError, match="nexus='no' must be True or False"):
        data.bp.to_netcdf(path, nexus="no")
    data.bp.to_netcdf(path, nexus=True)
    with h5py.File(path) as file:
        # Texts, not bytes or lists, which silx shows as such.
        assert [file.attrs[key] for key in ("NX_class", "signal")] == ["NXdata", name]
        for key, text in glass[name].attrs.items():
            assert file[name].attrs[key] == text
        assert np.atleast_1d(file.attrs["axes"]).astype(str).tolist() == axes
        assert file[name].shape == tuple(file[axis].size for axis in axes)
        # The rule FIELDNAME_errors, by which both draw error bars.
        std, errors = (file.get(f"{name}_{kind}") for kind in ("std", "errors"))
        assert (errors is None) == (of == "array")
        assert errors == std
    with xbp.open_dataset(path) as back:
        wanted = data if isinstance(data, xr.Dataset) else back.S
        assert back.identical(wanted) if of != "array" else back.S.identical(data)
        back.load().bp.to_netcdf(tmp_path / "b.nc")
    with xr.open_dataset(tmp_path / "b.nc") as plain:
        assert "NX_class" not in plain.attrs
