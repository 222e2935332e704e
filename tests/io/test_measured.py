"""In every neutron reader: densities are converted with their axis, and what was not measured is NaN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.constants
import xarray as xr

import xbp
from xbp.errors import UnitsError, XbpError

# One unit of each axis in meV, from CODATA.
MEV = scipy.constants.e * 1e-3
UNITS = {
    "meV": 1.0,
    "1/cm": scipy.constants.h * scipy.constants.c * 100 / MEV,
    "GHz": scipy.constants.h * 1e9 / MEV,
    "ueV": 1e-3,
    "THz": scipy.constants.h * 1e12 / MEV,
}
N_Q, N_E = 3, 6
EDGES = np.array(
    [-2.0, -1.2, -0.4, 0.4, 1.2, 2.0, 2.8]
)  # meV, of one width so that points know it
S = np.random.default_rng(2).random((N_Q, N_E)) + 0.5
STD = S / 20


def h5(
    path: Path, parts: dict[str, object], attrs: dict[str, dict[str, object]]
) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in parts.items():
            file[name] = value
        for name, given in attrs.items():
            file[name].attrs.update(
                {
                    key: np.bytes_(v) if isinstance(v, str) else v
                    for key, v in given.items()
                }
            )
    return path


def mantid(
    path: Path, unit: str, values: np.ndarray, std: np.ndarray, *, turned: bool = False
) -> Path:
    label = {
        "meV": "DeltaE",
        "1/cm": "DeltaE_inWavenumber",
        "GHz": "DeltaE_inFrequency",
    }[unit]
    E, Q = EDGES / UNITS[unit], np.array([0.5, 1.0, 1.5, 2.0])
    w = "mantid_workspace_1/workspace"
    first, second = (
        ("MomentumTransfer", label) if turned else (label, "MomentumTransfer")
    )
    parts = {
        f"{w}/values": values.T if turned else values, f"{w}/errors": std.T if turned else std,
        f"{w}/axis1": Q if turned else E, f"{w}/axis2": E if turned else Q,
    }  # fmt: skip
    return h5(
        path,
        parts,
        {
            f"{w}/axis1": {"units": first, "distribution": "1"},
            f"{w}/axis2": {"units": second},
        },
    )


def mantid_spectra(path: Path, unit: str, values: np.ndarray, std: np.ndarray) -> Path:
    label = {
        "meV": "DeltaE",
        "1/cm": "DeltaE_inWavenumber",
        "GHz": "DeltaE_inFrequency",
    }[unit]
    w = "mantid_workspace_1"
    parts = {
        f"{w}/workspace/values": values, f"{w}/workspace/errors": std, f"{w}/workspace/axis1": EDGES / UNITS[unit],
        f"{w}/workspace/axis2": np.arange(1.0, 4), f"{w}/instrument/name": [b"TOSCA"],
        f"{w}/instrument/detector/detector_count": [1, 1, 1], f"{w}/instrument/detector/detector_index": [0, 1, 2],
        f"{w}/instrument/detector/detector_list": [1, 2, 3],
        f"{w}/instrument/detector/detector_positions": [[1.0, a, 0.0] for a in (30, 60, 100)],
    }  # fmt: skip
    axes = {
        f"{w}/workspace/axis1": {"units": label, "distribution": "1"},
        f"{w}/workspace/axis2": {"units": "spectraNumber"},
    }
    return h5(path, parts, axes)


def nxspe(
    path: Path, unit: str, values: np.ndarray, std: np.ndarray, units: str | None = None
) -> Path:
    parts = {
        "w/data/data": values, "w/data/error": std, "w/data/energy": EDGES / UNITS[unit], "w/data/polar": [30.0, 60.0, 100.0],
        "w/NXSPE_info/ki_over_kf_scaling": True,
    }  # fmt: skip
    return h5(
        path,
        parts,
        {"w/data/energy": {"units": unit}}
        | ({"w/data/data": {"units": units}} if units else {}),
    )


def histogram(
    path: Path, unit: str, values: np.ndarray, std: np.ndarray, units: str = "1"
) -> Path:
    variance = np.where(std < 0, -1.0, std**2)
    parts = {
        "i/data": values,
        "i/errors": variance,
        "i/grid/Q/bin boundaries": [0.5, 1.0, 1.5, 2.0],
    }
    parts |= {"i/grid/E/bin boundaries": EDGES / UNITS[unit]}
    name = {
        "meV": "1.602176634e-22*m**2*kg*s**-2",
        "ueV": "1.602176634e-25*m**2*kg*s**-2",
    }[unit]
    attrs = {
        "i/data": {"unit": units},
        "i/grid/Q": {"unit": "1e+10*m**-1", "index": 0},
        "i/grid/E": {"unit": name, "index": 1},
    }
    return h5(path, parts, attrs)


def dave(path: Path, unit: str, values: np.ndarray, std: np.ndarray) -> Path:
    centres = (EDGES[1:] + EDGES[:-1]) / 2 / UNITS[unit]
    name = {"meV": "meV", "ueV": "micro eV"}[unit]
    rows = [
        "# n",
        str(N_E),
        "# m",
        str(N_Q),
        f"# E ({name})",
        *map(repr, centres.tolist()),
        "# Q (1/Angstrom)",
        "1",
        "2",
        "3",
    ]
    for i in range(N_Q):
        rows += [
            f"# Group {i}",
            *(
                f"{v!r} {s!r}"
                for v, s in zip(values[i].tolist(), std[i].tolist(), strict=True)
            ),
        ]
    path.write_text("\n".join(rows) + "\n")
    return path


def sqw(path: Path, unit: str, values: np.ndarray, std: np.ndarray) -> Path:
    centres = (EDGES[1:] + EDGES[:-1]) / 2 / UNITS[unit]
    rows = [
        "# Sqw data file",
        "# vector of q in Angstroem-1",
        "1 2 3",
        f"# vector of w in {unit}",
    ]
    rows += [
        " ".join(map(repr, centres.tolist())),
        "# matrix of S(q,w)",
        *(" ".join(map(repr, row.tolist())) for row in values),
    ]
    path.write_text("\n".join([*rows, "# end of Sqw data"]) + "\n")
    return path


READERS: dict[str, tuple[Callable[..., Path], tuple[str, ...]]] = {
    "mantid": (mantid, ("meV", "1/cm", "GHz")),
    "mantid, E first": (lambda *a: mantid(*a, turned=True), ("meV", "1/cm", "GHz")),
    "mantid, spectra": (mantid_spectra, ("meV", "1/cm", "GHz")),
    "nxspe": (nxspe, ("meV", "ueV", "1/cm", "THz")),
    "histogram": (histogram, ("meV", "ueV")),
    "dave": (dave, ("meV", "ueV")),
    "sqw": (sqw, ("meV", "THz", "1/cm", "ueV")),
}


@pytest.mark.parametrize(
    ("kind", "unit"),
    [(kind, unit) for kind, (_, units) in READERS.items() for unit in units],
)
def test_the_integral_does_not_depend_on_the_unit_of_the_axis(
    tmp_path: Path, kind: str, unit: str
) -> None:
    ds = xbp.open_dataset(READERS[kind][0](tmp_path / "a", unit, S, STD))
    np.testing.assert_allclose(
        ds.E, (EDGES[1:] + EDGES[:-1]) / 2, rtol=1e-9, atol=1e-12
    )
    # In the file: per unit of its axis. Sums over bins, in the units of the file and in meV.
    in_file = (S * 0.8 / UNITS[unit]).sum(axis=1)
    np.testing.assert_allclose((ds.S * 0.8).sum("E"), in_file, rtol=1e-6)
    if "S_std" in ds:
        np.testing.assert_allclose(ds.S_std / ds.S, STD / S, rtol=1e-9)


@pytest.mark.parametrize("units", ["1/meV", "1/eV", "1/THz", "barn/meV", "barn/sr/eV"])
def test_units_that_a_file_says_are_kept(tmp_path: Path, units: str) -> None:
    factor = {"meV": 1.0, "eV": 1e3, "THz": UNITS["THz"]}[units.rpartition("/")[2]]
    ds = xbp.open_dataset(nxspe(tmp_path / "a", "THz", S, STD, units))
    np.testing.assert_allclose(ds.S, S / factor, rtol=1e-12)
    assert xbp.core.units.parse_unit(ds.S.attrs["units"]) == xbp.core.units.parse_unit(
        units.rpartition("/")[0] + "/meV"
    )


@pytest.mark.slow
def test_mantid_of_mari_in_other_units(shared_data: Path, tmp_path: Path) -> None:
    whole = shared_data / "ins" / "MAR21335_Ei60meV.nxs"
    for label, unit in (("DeltaE_inWavenumber", "1/cm"), ("DeltaE_inFrequency", "GHz")):
        path = tmp_path / f"{label}.nxs"
        path.write_bytes(whole.read_bytes())
        with h5py.File(path, "a") as file:
            space = file["mantid_workspace_1/workspace"]
            space["axis1"].attrs["units"] = np.bytes_(label.encode())
            expected = (space["values"][()] * np.diff(space["axis1"])).sum(axis=1)
            edges = space["axis1"][()] * UNITS[unit]
        ds = xbp.open_dataset(path)
        found = (ds.S.fillna(0) * np.diff(edges)).sum("E")
        np.testing.assert_allclose(
            found[~ds.masked], expected[~ds.masked.values], rtol=1e-6
        )


# What stands in a file for what was not measured; text cannot hold them all.
NOT_MEASURED = [
    (np.nan, 0.1),
    (np.inf, 0.1),
    (-np.inf, 0.1),
    (-1e30, 0.0),
    (1e30, 0.1),
    (1.0, -1.0),
    (1.0, np.inf),
    (1.0, np.nan),
]


@pytest.mark.parametrize(("value", "error"), NOT_MEASURED)
@pytest.mark.parametrize("kind", [k for k in READERS if k != "sqw"])
def test_what_was_not_measured_is_nan(
    tmp_path: Path, kind: str, value: float, error: float
) -> None:
    values, std = S.copy(), STD.copy()
    values[1, 2], std[1, 2] = value, error
    std[2, 3] = 0.0  # beside others: a bin without counts, which stays
    ds = xbp.open_dataset(READERS[kind][0](tmp_path / "a", "meV", values, std))
    hidden = np.zeros(S.shape, dtype=bool)
    hidden[1, 2] = True
    np.testing.assert_array_equal(ds.S.isnull(), hidden)
    np.testing.assert_array_equal(ds.S_std.isnull(), hidden)
    assert float(ds.S_std[2, 3]) == 0
    np.testing.assert_allclose(ds.S.values[~hidden], S[~hidden])


@pytest.mark.parametrize("token", ["inf", "-Infinity", "1e999"])
def test_an_infinity_in_sqw_is_refused(tmp_path: Path, token: str) -> None:
    path = sqw(tmp_path / "a", "meV", S, STD)
    text = path.read_text()
    path.write_text(text.replace(repr(float(S[1, 2])), token))
    assert token in path.read_text()
    with pytest.raises(XbpError):
        xbp.open_dataset(path)
    path.write_text(text.replace(repr(float(S[1, 2])), "-1e30"))
    assert np.isnan(xbp.open_dataset(path).S[1, 2])


@pytest.mark.parametrize("kind", [k for k in READERS if k != "sqw"])
def test_errors_that_are_0_throughout_are_none(tmp_path: Path, kind: str) -> None:
    ds = xbp.open_dataset(READERS[kind][0](tmp_path / "a", "meV", S, np.zeros_like(S)))
    assert "S_std" not in ds
    assert "ancillary_variables" not in ds.S.attrs
    np.testing.assert_allclose(ds.S, S)


@pytest.mark.parametrize("kind", READERS)
def test_a_file_without_a_measured_bin_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(XbpError):
        xbp.open_dataset(
            READERS[kind][0](
                tmp_path / "a", "meV", np.full_like(S, -1e30), np.zeros_like(S)
            )
        )


def test_units_of_the_header_of_sqw(tmp_path: Path) -> None:
    path = sqw(tmp_path / "a", "meV", S, STD)
    text = path.read_text()
    path.write_text(text.replace("in Angstroem-1", "in nm-1"))
    np.testing.assert_allclose(xbp.open_dataset(path).Q, [0.1, 0.2, 0.3])
    for wrong in ("in kelvin", "in rad/ps"):
        path.write_text(text.replace("in meV", wrong))
        with pytest.raises(XbpError):
            xbp.open_dataset(path)


def test_a_density_is_per_unit_of_its_axis_wherever_it_comes_from(
    tmp_path: Path,
) -> None:
    data = xbp.new_dataset(
        "dynamic_structure_factor", S, units="1/THz", std=STD,
        coords={"Q": ([1.0, 2, 3], "1/angstrom"), "E": (np.arange(6.0), "THz")}, temperature=5, statistics="quantum",
    )  # fmt: skip
    data.to_netcdf(tmp_path / "right.nc", engine="netcdf4")
    with xbp.open_dataset(tmp_path / "right.nc") as right:
        there = right.bp.convert(E="meV")
        np.testing.assert_allclose(
            there.S.sum("E") * UNITS["THz"], S.sum(axis=1), rtol=1e-12
        )
    data.E.attrs["units"] = "meV"
    data.to_netcdf(tmp_path / "foreign.nc", engine="netcdf4")
    with (
        xbp.open_dataset(tmp_path / "foreign.nc") as foreign,
        pytest.raises(UnitsError, match="1/THz"),
    ):
        foreign.bp.convert(E="THz")


def test_scipp_objects() -> None:
    scipp = pytest.importorskip("scipp")

    def made(unit: str, values: np.ndarray, variances: np.ndarray | None) -> xr.Dataset:
        coords = {
            "Q": scipp.array(dims=["Q"], values=[1.0, 2, 3], unit="1/angstrom"),
            "E": scipp.array(dims=["E"], values=EDGES, unit="meV"),
        }
        body = scipp.array(
            dims=["Q", "E"], values=values, variances=variances, unit=unit
        )
        return xbp.from_scipp(
            scipp.DataArray(body, coords=coords), "dynamic_structure_factor", T="5 K"
        )

    values, variances = S.copy(), STD**2
    values[0, 0], values[0, 1], variances[0, 2], variances[0, 3] = np.inf, -1e30, -1, 0
    ds = made("1/meV", values, variances)
    assert ds.S.isnull().values.nonzero()[1].tolist() == [0, 1, 2]
    assert float(ds.S_std[0, 3]) == 0
    assert "S_std" not in made("1/meV", S, np.zeros_like(S))
    with pytest.raises(UnitsError):
        made("1/THz", S, STD**2)
