from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, UnitsError

E_EDGES, Q_EDGES = np.linspace(-4, 6, 6), np.linspace(0, 2, 5)
KIKF = b"Algorithm: CorrectKiKf v1\nParameters:\n  Name: EMode, Value: Direct, Default?: Yes\n  Name: EFixed, Value: 12\n"


def write(path: Path, kind: str = "angle", **changes: object) -> Path:
    """A small file as SaveNexus writes it: spectra 5 to 8 (6 of two detectors, 7 of none), or a map over Q and E."""
    values = np.random.default_rng(0).random((4, 5)) + 0.1
    parts: dict[str, object] = {
        "workspace/values": values, "workspace/errors": values / 10, "workspace/axis1": E_EDGES,
        "workspace/axis2": [5.0, 6.0, 7.0, 8.0] if kind == "angle" else Q_EDGES,
        "logs/Ei/value": [12.0], "logs/run_number/value": [b"77"], "logs/run_start/value": [b"2016-04-11T15:00:00"],
        "logs/run_end/value": [b"2016-04-11T16:00:00"], "logs/T_sample/value": [290.0, 6.0, 5.0, 4.0, 100.0],
        "logs/T_sample/time": [0.0, 3600.0, 5000.0, 7200.0, 9000.0], "title": [b"Al pellets  "],
        "instrument/name": [b"MARI"], "sample/name": [b" "], "process/MantidAlgorithm_3/data": [KIKF],
    }  # fmt: skip
    if kind == "angle":
        parts |= {
            "instrument/detector/detector_count": [1, 2, 0, 1], "instrument/detector/detector_index": [0, 1, 3, 3],
            "instrument/detector/detector_list": [40, 10, 20, 30],
            "instrument/physical_detectors/detector_number": [10, 20, 30, 40],
            "instrument/physical_detectors/polar_angle": [10.0, 14.0, 90.0, 5.0],
            "instrument/physical_detectors/distance": [4.0, 5.0, 6.0, 7.0],
        }  # fmt: skip
    parts |= changes
    with h5py.File(path, "w") as file:
        entry = file.create_group("mantid_workspace_1")
        for name, value in parts.items():
            if value is not None:
                entry[name] = value
        axes = {
            "axis1": (b"DeltaE", {"distribution": b"1"}),
            "axis2": (b"spectraNumber", {}),
        }
        if kind == "map":
            axes["axis2"] = (b"MomentumTransfer", {})
        if kind == "turned":
            axes = {
                "axis1": (b"MomentumTransfer", {"distribution": b"1"}),
                "axis2": (b"DeltaE", {}),
            }
        for name, (units, attrs) in axes.items():
            if f"workspace/{name}" in entry:
                entry[f"workspace/{name}"].attrs.update(
                    {"units": np.bytes_(units)} | attrs
                )
        if "logs/T_sample/time" in entry:
            entry["logs/T_sample/time"].attrs["start"] = np.bytes_(
                b"2016-04-11T14:00:00"
            )
    return path


def test_an_axis_of_angles(tmp_path: Path) -> None:
    """ConvertSpectrumAxis leaves angles in the place of numbers; signed ones are turned."""
    path = write(tmp_path / "a.nxs")
    for axis in ([30.0, -20.0, 10.0, 40.0], [5.0, 15.0, 25.0, 35.0, 45.0]):
        with h5py.File(path, "a") as file:
            space = file["mantid_workspace_1/workspace"]
            del space["axis2"]
            space["axis2"] = axis
            space["axis2"].attrs["units"] = np.bytes_(b"Degrees")
        ds = xbp.open_dataset(path)
        expected = np.abs(axis) if len(axis) == 4 else [10, 20, 30, 40]
        np.testing.assert_array_equal(ds.two_theta, expected)
        assert ds.detector.values.tolist() == [0, 1, 2, 3]


def test_counts_at_points(tmp_path: Path) -> None:
    """Bins are as wide as even points are apart; uneven ones are refused."""
    points = (E_EDGES[1:] + E_EDGES[:-1]) / 2
    path = write(tmp_path / "a.nxs", **{"workspace/axis1": points})
    np.testing.assert_array_equal(xbp.open_dataset(path).E, points)
    values = xbp.open_dataset(path).S
    with h5py.File(path, "a") as file:
        axis = file["mantid_workspace_1/workspace/axis1"]
        axis.attrs["distribution"] = np.bytes_(b"0")
    np.testing.assert_allclose(xbp.open_dataset(path).S, values / 2)
    with h5py.File(path, "a") as file:
        file["mantid_workspace_1/workspace/axis1"][-1] = 7.0
    with pytest.raises(FileFormatError, match="uneven points"):
        xbp.open_dataset(path)


def test_spectra_over_angle(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxs")
    ds = xbp.open_dataset(path)
    with h5py.File(path) as file:
        values = file["mantid_workspace_1/workspace/values"][()]
    np.testing.assert_array_equal(ds.two_theta, [5, 12, np.nan, 90])
    np.testing.assert_array_equal(ds.distance, [7, 4.5, np.nan, 6])
    assert ds.masked.values.tolist() == [False, False, True, False]
    seen = [0, 1, 3]
    np.testing.assert_array_equal(ds.S[seen], values[seen])
    np.testing.assert_array_equal(ds.S_std[seen], values[seen] / 10)
    assert ds.S[2].isnull().all()
    np.testing.assert_array_equal(ds.detector, [5, 6, 7, 8])
    np.testing.assert_array_equal(ds.E_bnds[:, 1], E_EDGES[1:])
    assert (float(ds.incident_energy), float(ds.temperature)) == (12, 5)
    assert ds.S.attrs["ki_over_kf"] == "applied"
    assert ds.attrs["title"] == "Al pellets"
    assert (ds.attrs["instrument"], ds.attrs["run_number"]) == ("MARI", 77)
    assert "sample" not in ds.attrs
    xr.testing.assert_identical(xr.open_dataset(path, engine="mantid"), ds)


@pytest.mark.parametrize("edges", [True, False])
def test_maps_over_q(tmp_path: Path, edges: bool) -> None:
    values = np.random.default_rng(0).random((4, 5)) + 0.1
    values[0, :3], values[2, 3], values[3, 4] = (
        0,
        0,
        np.nan,
    )  # not covered; nothing counted; not covered
    errors = np.nan_to_num(values / 10)
    axis = Q_EDGES if edges else (Q_EDGES[1:] + Q_EDGES[:-1]) / 2
    parts = {
        "workspace/values": values,
        "workspace/errors": errors,
        "workspace/axis2": axis,
    }
    ds = xbp.open_dataset(write(tmp_path / "a.nxs", "map", **parts))
    expected = values.copy()
    expected[0, :3] = np.nan
    np.testing.assert_array_equal(ds.S, expected)
    assert ds.S[2, 3] == 0
    assert ds.S.dims == ("Q", "E")
    np.testing.assert_allclose(ds.Q, (Q_EDGES[1:] + Q_EDGES[:-1]) / 2)
    assert (ds.S.attrs["quantity"], ds.Q.attrs["units"]) == (
        "dynamic_structure_factor",
        "1/angstrom",
    )
    assert ("Q_bnds" in ds.coords) == edges
    assert (float(ds.temperature), float(ds.incident_energy)) == (5, 12)
    turned = {
        name: value.T for name, value in parts.items() if name != "workspace/axis2"
    }
    turned |= {"workspace/axis1": axis, "workspace/axis2": E_EDGES}
    xr.testing.assert_identical(
        xbp.open_dataset(write(tmp_path / "a.nxs", "turned", **turned)), ds
    )


def test_older_and_newer_files(tmp_path: Path) -> None:
    positions = [[7.0, 5.0, 0.0], [4.0, 10.0, 90.0], [5.0, 14.0, 0.0], [6.0, 90.0, 0.0]]
    bare = {
        f"instrument/physical_detectors/{n}": None
        for n in ("detector_number", "polar_angle", "distance")
    }
    path = write(
        tmp_path / "a.nxs",
        **bare,
        **{"instrument/detector/detector_positions": positions},
    )
    np.testing.assert_array_equal(xbp.open_dataset(path).two_theta, [5, 12, np.nan, 90])
    own_bins = np.tile(E_EDGES, (4, 1))
    xr.testing.assert_equal(
        xbp.open_dataset(write(tmp_path / "b.nxs", **{"workspace/axis1": own_bins})),
        xbp.open_dataset(path),
    )


def test_counts_are_divided_by_their_bins(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxs")
    density = xbp.open_dataset(path)
    with h5py.File(path, "a") as file:
        file["mantid_workspace_1/workspace/axis1"].attrs["distribution"] = b"0"
    np.testing.assert_allclose(xbp.open_dataset(path).S, density.S / 2)
    np.testing.assert_allclose(xbp.open_dataset(path).S_std, density.S_std / 2)


@pytest.mark.slow
def test_temperatures(tmp_path: Path) -> None:
    other = write(
        tmp_path / "a.nxs",
        **{"logs/Sensor3/value": [4.0], "logs/T_sample/value": [0.0] * 5},
    )
    assert "temperature" not in xbp.open_dataset(other).coords
    assert float(xr.open_dataset(other, engine="mantid", T="80 K").temperature) == 80
    assert (
        float(
            xr.open_dataset(
                other, engine="mantid", temperature_log="Sensor3"
            ).temperature
        )
        == 4
    )
    with pytest.raises(FileFormatError, match="no log 'nowhere'"):
        xr.open_dataset(other, engine="mantid", temperature_log="nowhere")
    with h5py.File(other, "a") as file:
        file["mantid_workspace_1/logs/Sensor3/value"].attrs["units"] = np.bytes_(
            b"degC"
        )
    assert (
        float(
            xr.open_dataset(
                other, engine="mantid", temperature_log="Sensor3"
            ).temperature
        )
        == 277.15
    )
    two = write(tmp_path / "b.nxs", **{"logs/SampleTemp/value": [4.0]})
    assert "temperature" not in xbp.open_dataset(two).coords


def test_without_a_record_nothing_is_known_of_the_scale(tmp_path: Path) -> None:
    assert (
        "ki_over_kf"
        not in xbp.open_dataset(
            write(tmp_path / "a.nxs", **{"process/MantidAlgorithm_3/data": None})
        ).S.attrs
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace/errors": np.ones((4, 4))}, {"workspace/errors": -np.ones((4, 5))}, {"workspace/axis1": E_EDGES[::-1]},
        {"workspace/axis1": np.arange(4.0)}, {"workspace/axis2": [1.0, 2.0]}, {"workspace/axis2": [1.5, 2.0, 3.0, 4.0]},
        {"workspace/axis1": np.arange(24.0).reshape(4, 6)}, {"workspace/values": np.ones(5)},
        {"instrument/detector/detector_count": [1, 2, 0, 9]}, {"instrument/detector/detector_index": [0, -1, 3, 3]},
        {"instrument/detector/detector_list": [1.0]}, {"instrument/physical_detectors/polar_angle": [1.0, 2.0, 3.0, 999.0]},
        {"logs/Ei/value": [1.0, 2.0]}, {"workspace/axis1": [np.nan, 1, 2, 3, 4, 5]},
    ],
    ids=str,
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(FileFormatError):
        xbp.open_dataset(write(tmp_path / "a.nxs", **changes))


def test_other_workspaces_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        file["mantid_workspace_1/workspace/axis1"].attrs["units"] = np.bytes_(b"TOF")
    with pytest.raises(FileFormatError, match="'TOF'"):
        xbp.open_dataset(path)


def test_one_of_several_workspaces_by_name(tmp_path: Path) -> None:
    """By the names of a group, else of the entries; tables and events are no choice."""
    path = write(tmp_path / "a.nxs")
    alone = xbp.open_dataset(path)
    with h5py.File(path, "a") as file:
        file.create_group("mantid_workspace_2/table_workspace")
        file.move("mantid_workspace_1", "mantid_workspace_3")
    xr.testing.assert_identical(xbp.open_dataset(path), alone)
    with h5py.File(path, "a") as file:
        for entry, factor in (
            ("mantid_workspace_12", 2.0),
            ("mantid_workspace_7", 3.0),
        ):
            file.copy("mantid_workspace_3", entry)
            file[f"{entry}/workspace/values"][...] *= factor
            file[f"{entry}/logs/T_sample/value"][...] *= factor
    names = "'mantid_workspace_3', 'mantid_workspace_7', 'mantid_workspace_12'"
    with pytest.raises(
        QuantityError, match=f"name= is needed: one of {names}"
    ) as caught:
        xbp.open_dataset(path)
    assert "a.nxs" in str(caught.value)
    seen = xbp.open_dataset(path, name="mantid_workspace_12")
    np.testing.assert_array_equal(seen.S, 2 * alone.S)
    assert float(seen.temperature) == 2 * float(alone.temperature)
    with h5py.File(path, "a") as file:
        for entry, name in (("3", "red"), ("7", "sqw"), ("12", "can")):
            file[f"mantid_workspace_{entry}/workspace_name"] = [name.encode()]
    with pytest.raises(QuantityError, match="one of 'red', 'sqw', 'can'"):
        xbp.open_dataset(path)
    by_name = xbp.open_dataset(path, name="sqw")
    np.testing.assert_array_equal(by_name.S, 3 * alone.S)
    with pytest.raises(QuantityError, match="name='cann' is not one of"):
        xbp.open_dataset(path, name="cann")


@pytest.mark.slow
def test_aluminium_on_mari(shared_data: Path) -> None:
    path = shared_data / "ins" / "MAR21335_Ei60meV.nxs"
    ds = xbp.open_dataset(path)
    with h5py.File(path) as file:
        entry = file["mantid_workspace_1"]
        values, errors = entry["workspace/values"][()], entry["workspace/errors"][()]
        positions = entry["instrument/detector/detector_positions"][()]
        first = entry["instrument/detector/detector_index"][()]
        log = entry["logs/t_sample/value"][()][-300:]
    np.testing.assert_array_equal(ds.S, values)
    np.testing.assert_array_equal(ds.S_std, errors)
    np.testing.assert_allclose(ds.two_theta, positions[first, 1], atol=1e-9)
    assert not ds.masked.any()
    assert ds.sizes["detector"] == 285
    assert float(ds.incident_energy) == pytest.approx(59.37064727)
    assert float(ds.temperature) == pytest.approx(np.median(log), abs=0.02)
    assert (float(ds.E_bnds[0, 0]), float(ds.E_bnds[-1, 1])) == pytest.approx(
        (-30, 58.2)
    )
    assert ds.S.attrs["ki_over_kf"] == "applied"
    assert ds.attrs["run_number"] == 21335


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"logs/T_sample/value": [10.0, 300.0], "logs/T_sample/time": None},
        {"sample/T_sample/value": [300.0]},
        {"logs/T_sample/value": [290.0, 10.0, 300.0, 10.0, 300.0]},
    ],
)
def test_temperatures_that_contradict_one_another(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = write(tmp_path / "a.nxs", **changes)
    with pytest.raises(FileFormatError, match="300"):
        xbp.open_dataset(path)
    assert float(xbp.open_dataset(path, T="10 K").temperature) == 10
    # The median, if that is meant.
    assert xbp.open_dataset(path, temperature_spread=100).temperature > 4
    same = write(tmp_path / "b.nxs", **{"sample/T_sample/value": [5.0]})
    assert float(xbp.open_dataset(same).temperature) == 5


@pytest.mark.slow
def test_final_energies_agree_within_their_digits(tmp_path: Path) -> None:
    """1.84 and 1.845 meV are one energy, rounded; 1.83 is another."""
    for given, known in ((1.84, 1.845), (1.85, 1.845), (1.83, None), (1.8444, None)):
        text = f"A;string;deltaE-mode;indirect|A;double;Efixed;{given}|B;double;Efixed;1.845|"
        path = write(
            tmp_path / "a.nxs",
            **{
                "instrument_parameter_map/data": [text.encode()],
                "logs/Ei/value": None,
                "workspace/axis1": np.linspace(-1, 1, 6),
            },
        )
        if known is None:
            with pytest.raises(FileFormatError, match="several final energies"):
                xbp.open_dataset(path)
        else:
            assert float(xbp.open_dataset(path).final_energy) == known
        path.unlink()


@pytest.mark.parametrize("stated", ["true", "True", "1", 1])
def test_a_distribution_may_be_stated_as_true(tmp_path: Path, stated: object) -> None:
    path = write(tmp_path / "a.nxs")
    plain = xbp.open_dataset(path)
    with h5py.File(path, "a") as file:
        file["mantid_workspace_1/workspace/axis1"].attrs["distribution"] = stated
    np.testing.assert_array_equal(xbp.open_dataset(path).S, plain.S)


def test_an_unclear_distribution_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        file["mantid_workspace_1/workspace/axis1"].attrs["distribution"] = "maybe"
    with pytest.raises(FileFormatError, match="maybe"):
        xbp.open_dataset(path)


def test_units_that_the_file_declares(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nxs")
    plain = xbp.open_dataset(path)
    stated = {
        "instrument/physical_detectors/polar_angle": ("radian", np.radians),
        "instrument/physical_detectors/distance": ("mm", lambda x: 1000 * x),
        "logs/Ei/value": ("eV", lambda x: x / 1000),
    }
    with h5py.File(path, "a") as file:
        for name, (units, turned) in stated.items():
            node = file[f"mantid_workspace_1/{name}"]
            node[...] = turned(node[()])
            node.attrs["units"] = np.bytes_(units.encode())
    ds = xbp.open_dataset(path)
    for name in ("two_theta", "distance", "incident_energy"):
        np.testing.assert_allclose(ds[name], plain[name])
    with h5py.File(path, "a") as file:
        file["mantid_workspace_1/logs/Ei/value"].attrs["units"] = "K"
    with pytest.raises(UnitsError, match="Ei"):
        xbp.open_dataset(path)


@pytest.mark.parametrize("name", ["Logarithm", "ApplyDetailedBalance", "ComputeIncoherentDOS"])  # fmt: skip
def test_other_quantities_are_refused(tmp_path: Path, name: str) -> None:
    last = {"process/MantidAlgorithm_4/data": [f"Algorithm: {name} v1".encode()]}
    saved = {"process/MantidAlgorithm_5/data": [b"Algorithm: SaveNexus v1"]}
    with pytest.raises(FileFormatError, match="not S"):
        xbp.open_dataset(write(tmp_path / "a.nxs", **last, **saved))
    later = {"process/MantidAlgorithm_5/data": [b"Algorithm: Divide v1"]}
    xbp.open_dataset(write(tmp_path / "a.nxs", **last, **later))
