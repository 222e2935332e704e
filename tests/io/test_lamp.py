from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import test_fuzz

import xbp
from xbp.errors import FileFormatError, QuantityError, UnitsError


def good(tmp_path: Path, **changes: Any) -> Path:
    """A file of LAMP with other parts, labels (X_label) or source."""
    path = tmp_path / "a.hdf"
    test_fuzz.lamp(path)
    with h5py.File(path, "a") as file:
        data = file["entry1/data1"]
        for name, value in changes.items():
            if name == "SOURCE":
                file.attrs[name] = np.array([value])
            elif name.endswith("_label"):
                data[name[0]].attrs["long_name"] = np.array([value])
            else:
                labels = dict(data[name].attrs)
                del data[name]
                data[name] = value
                data[name].attrs.update(labels)
    return path


def test_a_map_over_Q(tmp_path: Path) -> None:
    ds = xbp.open_dataset(good(tmp_path))
    values = np.random.default_rng(0).random((3, 5))
    assert bool(ds.S[0, 0].isnull() & ds.S_std[0, 0].isnull())
    np.testing.assert_array_equal(ds.S[1:], values[1:])
    np.testing.assert_array_equal(ds.S_std[1:], values[1:] / 10)
    assert (ds.S.attrs["units"], ds.attrs["title"]) == ("1", "water")
    assert float(ds.temperature) == 293.349
    assert float(ds.incident_energy) == pytest.approx(81.804 / 9, rel=1e-4)
    assert ds.S.attrs["geometry"] == "direct"


def test_axes(tmp_path: Path) -> None:
    """In any order, in other units, over angles; their units asked for if there are none."""
    reference = xbp.open_dataset(good(tmp_path))
    values, std = reference.S.fillna(0).values, reference.S_std.fillna(-1).values
    turned = good(
        tmp_path, DATA=values.T, errors=std.T, X=[1.0, 1.5, 2.0], Y=np.linspace(-2, 2, 5),
        X_label=b"Wavevector Transfer (A!U-1!N)", Y_label=b"Energy Transfer (meV)",
    )  # fmt: skip
    np.testing.assert_array_equal(xbp.open_dataset(turned).S, reference.S)
    descending = good(tmp_path, X=np.linspace(2, -2, 5))
    np.testing.assert_array_equal(xbp.open_dataset(descending).S, reference.S[:, ::-1])
    micro = xbp.open_dataset(good(tmp_path, X_label=b"Energy (\xb5eV)".replace(b"\xb5", b"u")))  # fmt: skip
    np.testing.assert_allclose(micro.E, reference.E / 1000)
    np.testing.assert_allclose(micro.S, reference.S * 1000)
    angles = xbp.open_dataset(good(tmp_path, Y_label=b"Scattering Angle (degrees)"))
    np.testing.assert_array_equal(angles.two_theta, [1, 1.5, 2])
    bare = good(tmp_path, X_label=b"X", Y_label=b"Y")
    with pytest.raises(QuantityError, match="y_units= and x_units="):
        xbp.open_dataset(bare)
    asked = xbp.open_dataset(bare, x_units="meV", y_units="1/nm")
    np.testing.assert_allclose(asked.Q, reference.Q / 10)
    assert "two_theta" in xbp.open_dataset(bare, x_units="meV", y_units="degree").coords
    with pytest.raises(UnitsError, match="x_units"):
        xbp.open_dataset(bare, x_units="K", y_units="1/nm")
    with pytest.raises(QuantityError, match="x_units="):
        xbp.open_dataset(good(tmp_path), x_units="ueV")


def test_temperature_and_energy(tmp_path: Path) -> None:
    """A 0 is not recorded; two values that differ are none."""
    other = test_fuzz.PARAMETERS.replace("(Sample) temperature  =      293", "(Sample) temperature  =      100")  # fmt: skip
    zero = test_fuzz.PARAMETERS.replace("293.349", "0.00000").replace("3.00000", "0.0")
    for text in (other, zero):
        path = good(tmp_path, PARAMETERS=np.array([text.encode()]))
        assert "temperature" not in xbp.open_dataset(path).coords
        assert float(xbp.open_dataset(path, T="5 K").temperature) == 5
    assert "incident_energy" not in xbp.open_dataset(path).coords
    unknown = good(tmp_path, SOURCE=b"?", Y_label=b"Angle (deg)")
    with pytest.raises(FileFormatError, match="geometry="):
        xbp.open_dataset(unknown)
    assert float(xbp.open_dataset(unknown, final_energy="9 meV").final_energy) == 9


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"X_label": b"Time-of-flight (microsec)"}, "reduce it"),
        ({"X_label": b"Time channels"}, "reduce it"),
        ({"Y_label": b"Energy (meV)"}, "both of its axes"),
        ({"X": [0.0, 1.0, 2.0]}, "unlike its axes"),
        ({"X": [0.0, 1.0, 1.0, 2.0, 3.0]}, "neither ascending nor descending"),
        ({"X": [6.5, 7.0, 7.5, 8.0, 8.5]}, "the other sign .positive=."),
        ({"errors": -np.ones((3, 5))}, "no bin was measured"),
        ({"errors": np.ones((2, 5))}, "cannot reshape"),
    ],
)
def test_refused(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    if 8.5 in changes.get("X", []):
        changes = changes | {"Y": [2.5, 3.0, 3.5]}
    with pytest.raises(FileFormatError, match=match):
        xbp.open_dataset(good(tmp_path, **changes))
