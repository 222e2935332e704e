from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import (
    CoordinateError,
    FileFormatError,
    QuantityError,
    TemperatureError,
    UnitsError,
)

E_EDGES = np.linspace(-4, 6, 6)


def write(path: Path, **changes: object) -> Path:
    """A small file as Mantid writes it: detector 1 is masked, 2 has no angles; a change of None drops a part."""
    data = np.random.default_rng(0).random((4, 5))
    data[1], data[2], data[3, 4] = np.nan, 0, -1e30
    error = np.where(data > 0, 0.1, 0)
    parts: dict[str, object] = {
        "data/data": data, "data/error": error, "data/energy": E_EDGES, "data/polar": [10.0, 20.0, 40.0],
        "data/polar_width": [1.0, 2.0, 4.0], "data/distance": [4.0, 4.0, 4.5], "NXSPE_info/fixed_energy": [12.0],
        "NXSPE_info/psi": [np.nan], "NXSPE_info/ki_over_kf_scaling": [1], "instrument/name": [b"MARI"],
        "instrument/run_number": [77], "sample/temperature": None,
    } | changes  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, value in parts.items():
            file.require_group(f"aluminium/{name.rpartition('/')[0]}")
            if value is not None:
                file[f"aluminium/{name}"] = value
        if parts["data/energy"] is not None:
            file["aluminium/data/energy"].attrs["units"] = np.bytes_(b"meV")
    return path


def test_values_axes_and_masks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxspe")
    ds = xbp.open_dataset(path)
    with h5py.File(path) as file:
        data = file["aluminium/data/data"][()]
    np.testing.assert_array_equal(ds.S[0], data[0])
    np.testing.assert_array_equal(ds.S[3], [*data[3, :4], np.nan])
    np.testing.assert_array_equal(ds.S_std[3], [0.1] * 4 + [np.nan])
    assert ds.masked.values.tolist() == [False, True, True, False]
    assert ds.S[1:3].isnull().all()
    np.testing.assert_array_equal(ds.two_theta, [10, 20, np.nan, 40])
    np.testing.assert_array_equal(ds.two_theta_width, [1, 2, np.nan, 4])
    np.testing.assert_array_equal(ds.distance, [4, 4, np.nan, 4.5])
    np.testing.assert_array_equal(
        ds.E_bnds, np.stack([E_EDGES[:-1], E_EDGES[1:]], axis=1)
    )
    assert (ds.E.attrs["units"], ds.two_theta.attrs["units"], ds.S.attrs["units"]) == (
        "meV",
        "degree",
        "1/meV",
    )
    assert (float(ds.incident_energy), ds.incident_energy.attrs["units"]) == (
        12.0,
        "meV",
    )
    assert ds.S.attrs["ki_over_kf"] == "applied"
    assert (ds.attrs["instrument"], ds.attrs["run_number"], ds.attrs["title"]) == (
        "MARI",
        77,
        "aluminium",
    )
    assert "psi" not in ds.coords
    assert "temperature" not in ds.coords
    xr.testing.assert_identical(xr.open_dataset(path, engine="nxspe"), ds)


def test_what_the_file_does_not_say_is_said_by_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxspe")
    assert float(xr.open_dataset(path, engine="nxspe", T="290 K").temperature) == 290
    warm = write(
        tmp_path / "b.nxspe", **{"sample/temperature": [5.0], "NXSPE_info/psi": [30.0]}
    )
    assert float(xbp.open_dataset(warm).temperature) == 5
    assert float(xbp.open_dataset(warm).psi) == 30
    with pytest.raises(TemperatureError):
        xr.open_dataset(path, engine="nxspe", T=-1)


def test_the_scale_of_the_cross_section_is_recorded(tmp_path: Path) -> None:
    for number, path in ((0, tmp_path / "a.nxspe"), (None, tmp_path / "b.nxspe")):
        write(
            path,
            **{"NXSPE_info/ki_over_kf_scaling": None if number is None else [number]},
        )
    assert xbp.open_dataset(tmp_path / "a.nxspe").S.attrs["ki_over_kf"] == "not applied"
    assert "ki_over_kf" not in xbp.open_dataset(tmp_path / "b.nxspe").S.attrs


@pytest.mark.parametrize("flag", [True, np.True_, [True], 1, [1.0]])
def test_the_flag_may_be_a_boolean(tmp_path: Path, flag: object) -> None:
    """NeXus prescribes NX_BOOLEAN, which HDF5 keeps as an enumeration; Mantid writes an integer."""
    path = write(tmp_path / "a.nxspe", **{"NXSPE_info/ki_over_kf_scaling": flag})
    assert xbp.open_dataset(path).S.attrs["ki_over_kf"] == "applied"
    wrong = write(tmp_path / "b.nxspe", **{"NXSPE_info/ki_over_kf_scaling": [2]})
    with pytest.raises(FileFormatError, match="ki_over_kf_scaling"):
        xbp.open_dataset(wrong)


def test_a_file_of_horace(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "doors" / "inst_let_ei3p7_240_120.nxspe")
    assert ds.S.attrs["ki_over_kf"] == "applied"
    assert (ds.attrs["instrument"], float(ds.incident_energy)) == ("LET", 3.7)


def test_energies_may_be_centres_in_other_units(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.nxspe", **{"data/energy": (E_EDGES[1:] + E_EDGES[:-1]) / 2e3}
    )
    with h5py.File(path, "a") as file:
        file["aluminium/data/energy"].attrs["units"] = np.bytes_(b"eV")
    ds = xbp.open_dataset(path)
    np.testing.assert_allclose(ds.E, (E_EDGES[1:] + E_EDGES[:-1]) / 2)
    assert "E_bnds" not in ds.coords


def test_a_zero_that_was_measured_is_a_zero(tmp_path: Path) -> None:
    data = np.zeros((3, 5))
    ds = xbp.open_dataset(
        write(tmp_path / "a.nxspe", **{"data/data": data, "data/error": data + 0.5})
    )
    assert not ds.masked.any()
    assert (ds.S == 0).all()


def test_it_goes_to_netcdf_and_back(tmp_path: Path) -> None:
    ds = xbp.open_dataset(write(tmp_path / "a.nxspe"))
    ds.bp.to_netcdf(tmp_path / "a.nc")
    with xbp.open_dataset(tmp_path / "a.nc") as back:
        xr.testing.assert_identical(back, ds)


@pytest.mark.parametrize(
    "changes",
    [
        {"data/data": None}, {"data/error": np.zeros((4, 4))}, {"data/error": -np.ones((4, 5))},
        {"data/polar": [1.0]}, {"data/polar": [1.0, 2.0, 181.0]}, {"data/distance": [1.0] * 5},
        {"data/energy": E_EDGES[::-1]}, {"data/energy": np.arange(4.0)}, {"data/energy": [np.nan, 1, 2, 3, 4, 5]},
        {"NXSPE_info/fixed_energy": [5.0]}, {"NXSPE_info/fixed_energy": [3.0, 4.0]}, {"data/data": [[b"x"] * 5] * 4},
        {"NXSPE_info/fixed_energy": [b"high"]}, {"data/data": np.zeros(5)}, {"sample/temperature": [-3.0]},
    ],
    ids=str,
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(xbp.errors.XbpError):
        xbp.open_dataset(write(tmp_path / "a.nxspe", **changes))


def test_absurd_shapes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxspe", **{"data/data": None})
    with h5py.File(path, "a") as file:
        file["aluminium/data"].create_dataset(
            "data", shape=(10**6, 10**6), dtype="f8", chunks=(1000, 1000)
        )
    with pytest.raises(FileFormatError, match="'data'"):
        xbp.open_dataset(path)


# Rows without angles, masked with angles, with sentinels, and the first and last energy bin edge.
SHARED = {
    "MAR11001_test": (0, 33, 12.97283725, (-1.0, 10.0)),
    "benzene_290_360_inc": (37, 37, 3.6, (-2.88, 2.88)),
    "empty_360_inc": (37, 37, 3.6, (-2.88, 2.88)),
    "nxspe_version1_0": (0, 2, 800.0, (0.0, 150.0)),
}


@pytest.mark.parametrize("name", SHARED)
def test_measured_files(shared_data: Path, name: str) -> None:
    without_angles, masked, incident, limits = SHARED[name]
    path = shared_data / "ins" / f"{name}.nxspe"
    ds = xbp.open_dataset(path)
    with h5py.File(path) as file:
        (entry,) = file.values()
        data, error, polar = (
            entry["data"][part][()] for part in ("data", "error", "polar")
        )
    assert int(ds.two_theta.isnull().sum()) == without_angles
    assert int(ds.masked.sum()) == masked
    assert float(ds.incident_energy) == pytest.approx(incident, abs=1e-8)
    assert (float(ds.E_bnds[0, 0]), float(ds.E_bnds[-1, 1])) == pytest.approx(limits)
    assert ds.S.attrs["ki_over_kf"] == "applied"
    np.testing.assert_array_equal(ds.two_theta.dropna("detector"), polar)
    seen = ~ds.masked.values
    np.testing.assert_array_equal(
        ds.S[seen], np.where(data[seen] == -1e30, np.nan, data[seen])
    )
    np.testing.assert_array_equal(
        ds.S_std[seen], np.where(data[seen] == -1e30, np.nan, error[seen])
    )
    assert float(ds.S.min()) > -1e29


def test_the_angles_of_let_are_those_of_its_energy_window(shared_data: Path) -> None:
    """Fewer angles than spectra: bins beyond the window move steadily with angle if they are matched rightly."""
    ds = xbp.open_dataset(shared_data / "ins" / "benzene_290_360_inc.nxspe").isel(
        detector=slice(31, 243)
    )
    assert (ds.two_theta.diff("detector") > 0).all()
    assert not ds.masked.any()
    measured = ds.S.notnull().sum("E")
    assert (measured[:30].diff("detector") > 0).all()


def again(ds: xr.Dataset, folder: Path) -> xr.Dataset:
    folder.mkdir()
    path = folder / str(ds.attrs["source"]).split()[-1]
    ds.bp.to_nxspe(path)
    return xbp.open_dataset(path)


def test_what_is_written_reads_back_identical(tmp_path: Path) -> None:
    ds = xbp.open_dataset(
        write(
            tmp_path / "a.nxspe",
            **{"sample/temperature": [5.0], "NXSPE_info/psi": [30.0]},
        )
    )
    xr.testing.assert_identical(again(ds, tmp_path / "b"), ds)
    ds.S.attrs["ki_over_kf"] = "not applied"
    ds.S.attrs["units"] = ds.S_std.attrs["units"] = "b/meV"
    ds.attrs["title"] = "a_b"
    xr.testing.assert_identical(again(ds, tmp_path / "c"), ds)


def test_other_units_are_converted(tmp_path: Path) -> None:
    ds = xbp.open_dataset(write(tmp_path / "a.nxspe"))
    back = again(ds.bp.convert(E="THz").transpose("E", "detector", ...), tmp_path / "b")
    for name in ("S", "S_std", "E_bnds"):
        np.testing.assert_allclose(back[name], ds[name], rtol=1e-12)


def test_mantid_finds_its_way(tmp_path: Path) -> None:
    """The parts Mantid's LoadNXSPE opens: classes, definition, as many rows of angles as spectra with a detector."""
    ds = xbp.open_dataset(write(tmp_path / "a.nxspe"))
    ds.bp.to_nxspe(tmp_path / "b.nxspe")
    with h5py.File(tmp_path / "b.nxspe") as file:
        entry = file["aluminium"]
        assert entry.attrs["NX_class"] == b"NXentry"
        assert entry["definition"][0] == b"NXSPE"
        assert entry["data"].attrs["NX_class"] == b"NXdata"
        np.testing.assert_array_equal(entry["data/polar"], [10, 20, 40])
        np.testing.assert_array_equal(entry["data/data"][2], 0)
        assert np.isnan(entry["data/data"][1]).all()
        np.testing.assert_array_equal(entry["data/error"][1:3], 0)
        assert entry["NXSPE_info/ki_over_kf_scaling"][0] == 1


def test_what_the_format_cannot_hold_is_refused(
    tmp_path: Path, glass: xr.Dataset
) -> None:
    ds = xbp.open_dataset(write(tmp_path / "a.nxspe"))
    with pytest.raises(QuantityError):
        glass.bp.to_nxspe(tmp_path / "b.nxspe")
    for bad in (ds.S, ds[["S"]], ds.expand_dims(sample=2)):
        with pytest.raises(QuantityError):
            bad.bp.to_nxspe(tmp_path / "b.nxspe")
    for bad in (
        ds.drop_vars("incident_energy"),
        ds.drop_vars("two_theta"),
        ds.assign(S=ds.S.fillna(1.0)),
    ):
        with pytest.raises(CoordinateError):
            bad.bp.to_nxspe(tmp_path / "b.nxspe")
    fine = ds.bp.rebin(E=float(ds.E.diff("E")[0]) / 4)
    for shared, name in (
        (ds.bp.scale(1, 0.2), "S_std_common"),
        (fine, "E_independence"),
    ):
        with pytest.raises(QuantityError, match=name):
            shared.bp.to_nxspe(tmp_path / "b.nxspe")
    with pytest.raises(FileFormatError, match="exists"):
        ds.bp.to_nxspe(tmp_path / "a.nxspe")
    assert [p.name for p in tmp_path.iterdir()] == ["a.nxspe"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_measured_files_are_written_back(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    ds = xbp.open_dataset(shared_data / "ins" / f"{name}.nxspe")
    xr.testing.assert_identical(again(ds, tmp_path / "b"), ds)


@pytest.mark.slow
def test_a_mantid_workspace_becomes_nxspe(shared_data: Path, tmp_path: Path) -> None:
    ds = xbp.open_dataset(shared_data / "ins" / "MAR21335_Ei60meV.nxs")
    ds.bp.to_nxspe(tmp_path / "a.nxspe")
    back = xbp.open_dataset(tmp_path / "a.nxspe")
    for name in ("S", "S_std", "E", "two_theta", "temperature", "incident_energy"):
        np.testing.assert_array_equal(back[name], ds[name])
    assert back.attrs["run_number"] == 21335


def test_units_of_the_detectors_and_of_the_sample(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxspe", **{"sample/temperature": [20.0], "NXSPE_info/psi": [0.5]})  # fmt: skip
    plain = xbp.open_dataset(path)
    stated = {
        "data/polar": ("radians", np.radians),
        "data/polar_width": ("Degrees", np.asarray),
        "data/distance": ("mm", lambda x: 1000 * x),
        "NXSPE_info/psi": ("rad", np.radians),
        "sample/temperature": ("degC", lambda x: x - 273.15),
    }
    with h5py.File(path, "a") as file:
        for name, (units, turned) in stated.items():
            node = file[f"aluminium/{name}"]
            node[...] = turned(node[()])
            node.attrs["units"] = np.bytes_(units.encode())
    ds = xbp.open_dataset(path)
    for name in ("two_theta", "two_theta_width", "distance", "psi", "temperature"):
        np.testing.assert_allclose(ds[name], plain[name], rtol=1e-12)


@pytest.mark.slow
def test_angles_without_units_may_be_radians(tmp_path: Path) -> None:
    polar = [10.0, 20.0, 40.0]
    path = write(tmp_path / "a.nxspe", **{"data/polar": np.radians(polar), "data/polar_width": [0.1] * 3})  # fmt: skip
    with pytest.raises(QuantityError, match="angle_units="):
        xbp.open_dataset(path)
    ds = xbp.open_dataset(path, angle_units="rad")
    np.testing.assert_allclose(ds.two_theta[[0, 1, 3]], polar)
    np.testing.assert_allclose(ds.two_theta_width[0], np.degrees(0.1))
    small = xbp.open_dataset(path, angle_units="degree")
    np.testing.assert_allclose(small.two_theta[[0, 1, 3]], np.radians(polar))
    with pytest.raises(QuantityError):
        xbp.open_dataset(path, angle_units="grad")
    small.bp.to_nxspe(tmp_path / "b.nxspe")
    back = xbp.open_dataset(tmp_path / "b.nxspe")
    np.testing.assert_array_equal(back.two_theta, small.two_theta)
    with pytest.raises(QuantityError, match="angle_units="):
        xbp.open_dataset(tmp_path / "b.nxspe", angle_units="rad")
    # Beyond π they are degrees; and zero is zero.
    for angles in ([10.0, 20.0, 40.0], [0.0, 0.0, 0.0]):
        write(path, **{"data/polar": angles})
        assert float(xbp.open_dataset(path).two_theta[0]) == angles[0]


@pytest.mark.parametrize("name", ["data/polar", "data/distance", "NXSPE_info/psi", "sample/temperature"])  # fmt: skip
@pytest.mark.parametrize("units", ["furlong_of_light", "barn"])
def test_other_units_are_refused(tmp_path: Path, name: str, units: str) -> None:
    path = write(tmp_path / "a.nxspe", **{"sample/temperature": [20.0], "NXSPE_info/psi": [0.5]})  # fmt: skip
    with h5py.File(path, "a") as file:
        file[f"aluminium/{name}"].attrs["units"] = units
    with pytest.raises(UnitsError):
        xbp.open_dataset(path)


@pytest.mark.parametrize("name", ["distance", "polar", "polar_width", "azimuthal"])
def test_infinite_places_of_detectors_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.nxspe", **{f"data/{name}": [10.0, np.inf, 40.0]})
    with pytest.raises(FileFormatError):
        xbp.open_dataset(path)


def test_infinite_fixed_energies_are_refused(tmp_path: Path) -> None:
    energies = {"NXSPE_info/fixed_energy": [12.0, np.inf, 12.0]}
    with pytest.raises(FileFormatError, match="infinite"):
        xbp.open_dataset(write(tmp_path / "a.nxspe", **energies))


def test_declarations_that_contradict(tmp_path: Path) -> None:
    def change(name: str, key: str, value: object) -> Path:
        path = write(tmp_path / "a.nxspe")
        with h5py.File(path, "a") as file:
            file[f"aluminium/{name}"].attrs[key] = value
        return path

    for units in ("%", "1/eV"):
        with pytest.raises(FileFormatError, match="errors are in"):
            xbp.open_dataset(change("data/error", "units", units))
    xbp.open_dataset(change("data/error", "units", "1/meV"))
    for key in ("scale_factor", "scaling_factor", "add_offset"):
        with pytest.raises(FileFormatError, match=key):
            xbp.open_dataset(change("data/data", key, 1000.0))
    path = change("data/data", "scale_factor", 1.0)
    xbp.open_dataset(path)
    with h5py.File(path, "a") as file:
        file.copy("aluminium", "second")
    with pytest.raises(QuantityError, match=r"name= .* 'aluminium', 'second'"):
        xbp.open_dataset(path)
    with h5py.File(path, "a") as file:
        file["second/data/data"][...] *= 2
    one, other = (xbp.open_dataset(path, name=n) for n in ("aluminium", "second"))
    np.testing.assert_array_equal(other.S, 2 * one.S)
    with pytest.raises(QuantityError, match="'second'"):
        xbp.open_dataset(path, name="secnd")


@pytest.mark.parametrize("label", ["variance", "Variances of the counts", "error^2"])
def test_errors_that_are_called_variances(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "a.nxspe")
    with h5py.File(path, "a") as file:
        file["aluminium/data/error"].attrs["long_name"] = "standard deviation"
    xbp.open_dataset(path)
    with h5py.File(path, "a") as file:
        file["aluminium/data/error"].attrs["long_name"] = label
    with pytest.raises(FileFormatError, match="not standard deviations"):
        xbp.open_dataset(path)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e25])
def test_odd_values_and_names_come_back(tmp_path: Path, n: int, scale: float) -> None:
    """σ of 0, a detector without counts, one spectrum, one bin, the name of the sample."""
    rng = np.random.default_rng(n)
    for n_E in (1, 4):
        S = scale * rng.random((n, n_E))
        std = 0.1 * S
        if n_E > 1:
            S[0, 1], std[0, 0] = np.nan, 0
        if n > 1:
            S[-1], std[1] = np.nan, 0
        std[np.isnan(S)] = np.nan
        ds = xbp.new_dataset(
            "detector_spectra",
            S,
            std=std,
            units="1/meV",
            coords={
                "detector": (np.arange(n), "1"),
                "E": (np.linspace(0.5, n_E - 0.5, n_E), "meV"),
            },
            edges={"E": np.linspace(0, n_E, n_E + 1)},
            temperature="290.15 K",
            statistics="quantum",
            attrs={"sample": "Zr₄₆Cu₄₆Al₈ «glaß» 試料"},
        )
        ds = ds.assign_coords(
            two_theta=("detector", np.linspace(10, 60, n), {"units": "degree"}),
            incident_energy=((), 12.34567, {"units": "meV"}),
        )
        ds.bp.to_nxspe(tmp_path / "a.nxspe", overwrite=True)
        back = xbp.open_dataset(tmp_path / "a.nxspe")
        np.testing.assert_array_equal(back.S.values, S)
        np.testing.assert_array_equal(back.S_std.values, std)
        assert back.attrs["sample"] == ds.attrs["sample"]
        assert float(back.temperature) == 290.15
