from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, XbpError

Q_EDGES, E_EDGES = np.linspace(0, 3, 4), np.linspace(-4, 6, 6)


def write(path: Path, **changes: object) -> Path:
    """A small file as the histogram package writes it; each change replaces or (None) drops a part."""
    rng = np.random.default_rng(0)
    data = rng.random((3, 5))
    data[0, :2] = np.nan
    parts: dict[str, object] = {
        "data": data, "errors": data / 100, "Q": Q_EDGES, "E": E_EDGES,
        "Q_unit": b"1e+10*m**-1", "E_unit": b"1.60218e-22*m**2*kg*s**-2",
    } | changes  # fmt: skip
    with h5py.File(path, "w") as file:
        group = file.create_group("iqe")
        for name in ("data", "errors"):
            if parts[name] is not None:
                group[name] = parts[name]
                group[name].attrs["unit"] = np.bytes_(b"1")
        for i, (axis, key) in enumerate({"Q": "Q", "energy": "E"}.items()):
            node = group.create_group(f"grid/{axis}")
            if parts[key] is not None:
                node["bin boundaries"] = parts[key]
            if parts[f"{key}_unit"] is not None:
                node.attrs["unit"] = np.bytes_(parts[f"{key}_unit"])
            node.attrs["index"] = i
    return path


def test_values_axes_errors_and_bounds(tmp_path: Path) -> None:
    path = write(tmp_path / "v.h5")
    ds = xbp.open_dataset(path)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(ds.S, file["iqe/data"])
        np.testing.assert_array_equal(ds.S_std, np.sqrt(file["iqe/errors"]))
    np.testing.assert_allclose(ds.E, (E_EDGES[1:] + E_EDGES[:-1]) / 2)
    np.testing.assert_array_equal(
        ds.Q_bnds, np.stack([Q_EDGES[:-1], Q_EDGES[1:]], axis=1)
    )
    assert (ds.Q.attrs["units"], ds.E.attrs["units"]) == ("1/angstrom", "meV")
    assert ds.S.attrs["statistics"] == "quantum"
    xr.testing.assert_identical(xr.open_dataset(path, engine="histogram"), ds)


def test_the_first_version_of_histogram(tmp_path: Path) -> None:
    """Arrays are in groups, and texts are lists of letters."""
    path = write(tmp_path / "v.h5")
    wanted = xbp.open_dataset(path).load()
    with h5py.File(path, "r+") as file:
        for name in ("data", "errors"):
            array = file[f"iqe/{name}"][:]
            del file[f"iqe/{name}"]
            file[f"iqe/{name}/storage"] = array
            file[f"iqe/{name}"].attrs["unit"] = 1
        for axis in ("Q", "energy"):
            attrs = file[f"iqe/grid/{axis}"].attrs
            attrs["unit"] = np.array(list(attrs["unit"].decode()), dtype="S1")
    xr.testing.assert_identical(xbp.open_dataset(path), wanted)
    with h5py.File(path, "r+") as file:
        del file["iqe/errors/storage"]
    with pytest.raises(FileFormatError, match="errors/storage"):
        xbp.open_dataset(path)
    with h5py.File(path, "r+") as file:
        file["iqe/grid/Q"].attrs["unit"] = np.array([b"m"] * 300)
    with pytest.raises(FileFormatError, match="short text"):
        xbp.open_dataset(path)


def test_the_energy_may_be_called_E(tmp_path: Path) -> None:
    """multiphonon calls the axis E; sums of steps leave -6.9e-14 where 0 is meant."""
    path = write(
        tmp_path / "v.h5", E=np.array([-3.0, -1.0, 1.0 - 1.4e-13, 3.0, 5.0, 7.0])
    )
    expected = xbp.open_dataset(path)
    assert expected.E.values[1] == 0
    with h5py.File(path, "a") as file:
        file.move("iqe/grid/energy", "iqe/grid/E")
    xr.testing.assert_identical(xbp.open_dataset(path), expected)


def test_errors_may_be_standard_deviations(tmp_path: Path) -> None:
    path = write(tmp_path / "v.h5")
    ds = xr.open_dataset(path, engine="histogram", errors="std")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(ds.S_std, file["iqe/errors"])
    with pytest.raises(XbpError, match="errors='sigma'"):
        xr.open_dataset(path, engine="histogram", errors="sigma")


def test_other_units_are_converted(tmp_path: Path) -> None:
    ds = xbp.open_dataset(
        write(
            tmp_path / "v.h5",
            Q_unit=b"m**-1",
            E_unit=b"joule",
            Q=Q_EDGES * 1e10,
            E=E_EDGES * 1.602176634e-22,
        )
    )
    np.testing.assert_allclose(ds.E, (E_EDGES[1:] + E_EDGES[:-1]) / 2, rtol=1e-12)
    np.testing.assert_allclose(ds.Q, (Q_EDGES[1:] + Q_EDGES[:-1]) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": None}, {"data": np.zeros((3, 4))}, {"errors": np.zeros((2, 5))}, {"errors": -np.ones((3, 5))},
        {"Q": None}, {"Q": Q_EDGES[::-1]}, {"E": np.zeros(6)}, {"E": np.array([np.nan, 1, 2, 3, 4, 5])},
        {"E_unit": None}, {"E_unit": b"kelvin"}, {"Q_unit": b"import os"}, {"data": np.array([[b"x"] * 5] * 3)},
        {"Q": np.zeros((2, 2))},
    ],
    ids=str,
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(FileFormatError):
        xbp.open_dataset(write(tmp_path / "v.h5", **changes))


def test_absurd_shapes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "v.h5", data=None)
    with h5py.File(path, "a") as file:
        file["iqe"].create_dataset(
            "data", shape=(10**6, 10**6), dtype="f8", chunks=(1000, 1000)
        )
    with pytest.raises(FileFormatError, match="shape"):
        xbp.open_dataset(path)
    path = write(tmp_path / "w.h5", errors=None)
    with h5py.File(path, "a") as file:
        file["iqe"].create_dataset("errors", shape=(3, 5), dtype="f8", chunks=(3, 5))
    with pytest.raises(FileFormatError, match="never written"):
        xbp.open_dataset(path)


def test_declarations_that_contradict(tmp_path: Path) -> None:
    path = write(tmp_path / "v.h5")
    with h5py.File(path, "a") as file:
        file["iqe/errors"].attrs["unit"] = "percent"
    with pytest.raises(FileFormatError, match="errors are in"):
        xbp.open_dataset(path)


def test_one_of_several_histograms_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    alone = xbp.open_dataset(path)
    with h5py.File(path, "a") as file:
        file.copy("iqe", "can")
        file["can/data"][...] *= 2
    with pytest.raises(QuantityError, match=r"a\.h5.* one of 'can', 'iqe'"):
        xbp.open_dataset(path)
    np.testing.assert_array_equal(xbp.open_dataset(path, name="can").S, 2 * alone.S)
    xr.testing.assert_identical(xbp.open_dataset(path, name="iqe"), alone)


@pytest.mark.parametrize("title", ["DOS", "initdos", "sum of IQE over axis Q"])
def test_a_histogram_over_energy_alone(tmp_path: Path, title: str) -> None:
    """multiphonon's sums of S(Q,E) over Q have the layout of its g(E)."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file[f"{title}/data"], file[f"{title}/errors"] = [1.0, 4.0], [0.01, 0.04]
        file[f"{title}/grid/E/bin boundaries"] = [0.0, 1.0, 2.0]
        file[f"{title}/grid/E"].attrs["unit"] = "1.60218e-22*J"
    if "dos" in title.lower():
        np.testing.assert_array_equal(xbp.open_dataset(path).g, [1, 4])
    else:
        with pytest.raises(QuantityError, match="may be a g"):
            xbp.open_dataset(path)
    ds = xbp.open_dataset(path, quantity="dynamic_structure_factor")
    np.testing.assert_array_equal(ds.S_std, [0.1, 0.2])
    assert (ds.S.dims, ds.S.attrs["statistics"]) == (("E",), "quantum")
    np.testing.assert_array_equal(
        xbp.open_dataset(path, quantity="vibrational_dos").g, [1, 4]
    )


def test_a_map_is_not_a_density_of_states(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="it is a map over"):
        xbp.open_dataset(write(tmp_path / "a.h5"), quantity="vibrational_dos")
