"""MDANSE and nMoldyn: the same functions in HDF5 and in classic netCDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import test_fuzz
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, XbpError

#: ħ in meV ps.
HBAR = 0.6582119569


def mda(path: Path, **parts: tuple[Any, str, str]) -> Path:
    """A file of MDANSE with variables: values, units, axis; names with _ for punctuation."""
    names = {"Sqf": "s(q,f)_total", "Fqt": "f(q,t)_total"}
    with h5py.File(path, "w") as file:
        for name, (values, units, axis) in parts.items():
            node = file.create_dataset(names.get(name, name), data=values)
            node.attrs.update({"units": units, "axis": axis})
    return path


def test_densities_keep_their_integral(tmp_path: Path) -> None:
    test_fuzz.mdanse(tmp_path / "a.mda")
    g = xbp.open_dataset(tmp_path / "a.mda").g
    np.testing.assert_allclose(g.E, np.arange(5) * HBAR)
    np.testing.assert_allclose(g, np.arange(5.0) ** 2 / HBAR)
    assert g.attrs["units"] == "1/meV"
    ds = xbp.open_dataset(tmp_path / "a.mda", part="H", T="300 K")
    np.testing.assert_allclose(ds.g, g / 2)
    assert (ds.attrs["part"], ds.attrs["weights"]) == ("H", "atomic_weight")
    test_fuzz.nmoldyn(tmp_path / "a.nc")
    S = xbp.open_dataset(tmp_path / "a.nc").S
    np.testing.assert_allclose(S.Q, [0.5, 1.5, 2.5])
    np.testing.assert_allclose(S.E, np.arange(5) * HBAR)
    np.testing.assert_allclose(S, np.random.default_rng(0).random((3, 5)) / HBAR)
    assert S.attrs["statistics"] == "classical"


def nmoldyn_2(
    path: Path, *, units: str | None = None, **parts: tuple[Any, Any]
) -> Path:
    """A file of nMoldyn 2 (ScatteringFunctionFFT), which names no units."""
    own = {} if units is None else {"units": units}
    ds = xr.Dataset(parts, attrs={"title": "Dynamic Structure Factor"})
    ds["q"] = "Q", [5.0, 15.0], own
    ds.to_netcdf(path, format="NETCDF3_CLASSIC", unlimited_dims=["Q"], engine="scipy")
    return path


def test_nmoldyn_2_is_in_the_units_of_mmtk(tmp_path: Path) -> None:
    """dsf = Δt/2 FFT(F), as nMoldyn writes it: the integral over both signs of E is πF(Q, 0)."""
    dt, n = 0.02, 400
    t = np.arange(n) * dt
    F = np.stack([3 * np.exp(-0.5 * (t / 0.3) ** 2), np.exp(-0.5 * (t / 0.2) ** 2)])
    even = np.concatenate([F, F[:, -2:0:-1]], axis=1)
    dsf = 0.5 * dt * np.fft.fft(even).real[:, :n]
    frequency = np.arange(n) / (2 * n * dt)
    path = nmoldyn_2(
        tmp_path / "a.nc", dsf=(("Q", "FREQUENCY"), dsf), frequency=("FREQUENCY", frequency),
    )  # fmt: skip
    S = xbp.open_dataset(path, T="300 K").S
    np.testing.assert_allclose(S.Q, [0.5, 1.5])
    np.testing.assert_allclose(S.E, frequency * 2 * np.pi * HBAR)
    assert S.attrs["statistics"] == "classical"
    half = S.integrate("E")
    np.testing.assert_allclose(half, np.pi / 2 * F[:, 0], rtol=5e-3)
    same = xbp.open_dataset(path, T="300 K", frequency_units="THz").S
    np.testing.assert_array_equal(same, S)
    with pytest.raises(FileFormatError, match="contradicts"):
        xbp.open_dataset(path, frequency_units="rad/ps")
    path = nmoldyn_2(tmp_path / "b.nc", sf=(("Q", "TIME"), F), time=("TIME", t))
    ds = xbp.open_dataset(path)
    np.testing.assert_allclose(ds.F, F)
    np.testing.assert_allclose(ds.time, t)
    np.testing.assert_allclose(ds.Q, [0.5, 1.5])
    assert ds.time.attrs["units"] == "ps"
    stated = nmoldyn_2(tmp_path / "c.nc", units="1/angstrom", sf=(("Q", "TIME"), F), time=("TIME", t))  # fmt: skip
    assert xbp.open_dataset(stated).Q.values[0] == 5.0


def test_what_is_asked(tmp_path: Path) -> None:
    path = mda(tmp_path / "a.mda", omega=([0.0, 1.0], "", "index"), dos_total=([1.0, 2.0], "au", "omega"))  # fmt: skip
    with pytest.raises(QuantityError, match="frequency_units='THz'"):
        xbp.open_dataset(path)
    g = xbp.open_dataset(path, frequency_units="THz").g
    np.testing.assert_allclose(g.E, [0, 4.135667696])
    np.testing.assert_allclose(g, [1 / 4.135667696, 2 / 4.135667696])
    test_fuzz.mdanse(tmp_path / "b.mda")
    with pytest.raises(FileFormatError, match="contradicts"):
        xbp.open_dataset(tmp_path / "b.mda", frequency_units="THz")
    with pytest.raises(QuantityError, match="one of 'H', 'total'"):
        xbp.open_dataset(tmp_path / "b.mda", part="Zr")
    with pytest.raises(QuantityError, match="function="):
        xbp.open_dataset(tmp_path / "b.mda", function="mean_square_displacement")


@pytest.mark.slow
def test_other_functions_and_axes(tmp_path: Path) -> None:
    """S is the first there is; E on both sides, q in inv_nm, the axis romega, squares in nm2."""
    omega, t = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.arange(3.0)
    path = mda(
        tmp_path / "a.h5", q=([1.0, 2.0], "inv_nm", "index"), omega=(omega, "rad/ps", "index"), romega=(omega[2:], "rad/ps", "index"),
        time=(t, "ps", "index"), Sqf=(np.ones((2, 5)), "nm2/ps", "q|omega"), Fqt=(np.ones((2, 3)), "au", "k|time"),
        msd_total=(t, "nm2", "time"), dos_total=(t, "au", "romega"), dos_H=(omega**2, "au", "omega"), dos_O=(omega, "au", "omega"),
    )  # fmt: skip
    S = xbp.open_dataset(path).S
    assert S.dims == ("Q", "E")
    np.testing.assert_allclose(S.Q, [0.1, 0.2])
    np.testing.assert_allclose(S.E, omega * HBAR)
    F = xbp.open_dataset(path, function="intermediate_scattering_function").F
    assert F.dims == ("Q", "time")
    assert F.time.attrs["units"] == "ps"
    msd = xbp.open_dataset(path, function="mean_square_displacement").msd
    np.testing.assert_allclose(msd, [0, 100, 200])
    assert msd.attrs["units"] == "angstrom**2"
    dos = {"function": "vibrational_dos"}
    np.testing.assert_allclose(xbp.open_dataset(path, **dos).g, t / HBAR)
    np.testing.assert_allclose(xbp.open_dataset(path, part="H", **dos).E, t * HBAR)
    with pytest.raises(FileFormatError, match="positive and negative"):
        xbp.open_dataset(path, part="O", **dos)


@pytest.mark.parametrize(
    "parts",
    [
        {"dos_total": ([1.0, 2.0], "au", "omega")},
        {"omega": ([0.0, 1.0, 2.0], "rad/ps", "index"), "dos_total": ([1.0, 2.0], "au", "omega")},
        {"omega": ([0.0, 1.0], "rad/ps", "index"), "dos_total": (["a", "b"], "au", "omega")},
        {"omega": ([1.0, 0.0], "rad/ps", "index"), "dos_total": ([1.0, 2.0], "au", "omega")},
        {"omega": ([0.0, 1.0], "rad", "index"), "dos_total": ([1.0, 2.0], "au", "omega")},
        {"time": ([0.0, 1.0], "ps", "index"), "dos_total": ([1.0, 2.0], "au", "time")},
    ],
)  # fmt: skip
def test_damaged(tmp_path: Path, parts: dict[str, Any]) -> None:
    with pytest.raises(XbpError):
        xbp.open_dataset(mda(tmp_path / "a.mda", **parts))


def test_other_classic_netcdf_is_as_it_was(tmp_path: Path) -> None:
    xr.Dataset({"Sqw": ("x", [1.0, 2.0])}).to_netcdf(tmp_path / "a.nc", format="NETCDF3_CLASSIC")  # fmt: skip
    with xbp.open_dataset(tmp_path / "a.nc") as ds:
        assert list(ds.variables) == ["Sqw"]
    with pytest.raises(FileFormatError, match="no variable such as"):
        xr.open_dataset(tmp_path / "a.nc", engine="nmoldyn")
