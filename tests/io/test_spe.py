from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import test_fuzz
import xarray as xr

import xbp
from xbp.errors import CoordinateError, FileFormatError, QuantityError

EI = {"incident_energy": "12 meV", "T": "5 K"}


def good(tmp_path: Path) -> Path:
    test_fuzz.spe(tmp_path / "a.spe")
    return tmp_path / "a.spe"


def test_columns_without_blanks(tmp_path: Path) -> None:
    """In columns of 10 to 12 characters, with blanks, and on the left as by mslice."""
    ds = xbp.open_dataset(good(tmp_path), **EI)
    expected = np.random.default_rng(0).standard_normal((3, 5))
    np.testing.assert_allclose(ds.S, expected, rtol=1e-3)
    np.testing.assert_allclose(ds.S_std, abs(expected) / 10, rtol=1e-3)
    np.testing.assert_array_equal(ds.two_theta, [12, 16, 20])
    np.testing.assert_array_equal(ds.two_theta_width, [4, 4, 4])
    np.testing.assert_array_equal(ds.E_bnds[:, 0], np.linspace(-4, 6, 6)[:-1])
    assert (float(ds.incident_energy), float(ds.temperature)) == (12, 5)
    lines = good(tmp_path).read_text().split("\n")
    for write in (lambda x: f"{x:11.3E}", lambda x: f"{x:12.4f}", lambda x: f" {x:.3E}", lambda x: f"{x:<10.3E}"):  # fmt: skip
        new = []
        for line in lines:
            fields = [line[i : i + 10] for i in range(0, len(line), 10)]
            numbers = len(fields) > 2 and not line.startswith("#")
            new.append("".join(write(float(f)) for f in fields) if numbers else line)
        (tmp_path / "b.spe").write_text("\n".join(new))
        found = xbp.open_dataset(tmp_path / "b.spe", **EI)
        np.testing.assert_allclose(found.S, ds.S, atol=5e-5)


def test_what_is_asked(tmp_path: Path) -> None:
    path = good(tmp_path)
    with pytest.raises(QuantityError, match="incident_energy= or final_energy=") as error:  # fmt: skip
        xbp.open_dataset(path)
    assert "T=" in str(error.value)
    text = path.read_text()
    grid = "    10.000    14.000    18.000    22.000"
    path.write_text(text.replace(grid, " 1.0 2.0 3.0 4.0"))
    with pytest.raises(QuantityError, match="detectors="):
        xbp.open_dataset(path, **EI)
    path.write_text(text.replace(grid, " 10 11 12 13"))
    ds = xbp.open_dataset(path, **EI)
    assert [d.code for d in ds.bp.diagnostics()] == ["angles_count"]
    path.write_text(text.replace(grid, " 10 18 14 13"))
    with pytest.raises(FileFormatError, match="detectors="):
        xbp.open_dataset(path, **EI)


def test_phx_and_par(tmp_path: Path) -> None:
    path = good(tmp_path)
    phx, par = tmp_path / "a.phx", tmp_path / "a.par"
    phx.write_text("3\n10 0 5.0 0.0 1.0 2.0 1\n10 0 -7.5 90.0 1.0 2.0 2\n10 0 9 0 1 2 3\n")  # fmt: skip
    ds = xbp.open_dataset(path, detectors=phx, **EI)
    np.testing.assert_array_equal(ds.two_theta, [5, 7.5, 9])
    np.testing.assert_array_equal(ds.azimuth, [0, 270, 0])
    np.testing.assert_array_equal(ds.azimuth_width, [2, 2, 2])
    assert "distance" not in ds.coords  # what PHX has there is made up
    par.write_text("  3\n" + "4.0 5.0 -90.0 0.08 0.2 11\n" * 3)
    ds = xbp.open_dataset(path, detectors=str(par), **EI)
    np.testing.assert_array_equal(ds.distance, [4, 4, 4])
    np.testing.assert_array_equal(ds.azimuth, [90, 90, 90])
    assert float(ds.two_theta_width[0]) == pytest.approx(2 * np.degrees(np.arctan(0.01)))  # fmt: skip
    for wrong in ("4\n" + "1 2 3 4 5\n" * 4, "3\n" + "1 2 3 4 5\n" * 2, "3\n1 2 3 4\n" * 3, "3\n1 x 3 4 5\n", ""):  # fmt: skip
        par.write_text(wrong)
        with pytest.raises(FileFormatError):
            xbp.open_dataset(path, detectors=par, **EI)


def test_a_grid_of_Q(tmp_path: Path) -> None:
    path = good(tmp_path)
    path.write_text(path.read_text().replace("Phi Grid", "Q Grid").replace("(Phi", "(Q"))  # fmt: skip
    ds = xbp.open_dataset(path, T=5)
    assert ds.S.dims == ("Q", "E")
    np.testing.assert_array_equal(ds.Q, [12, 16, 20])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("       3       5", "       4       5"),
        ("       3       5", "30000000       5"),
        ("       3       5", "       3       6"),
        ("### Errors\n", ""),
        ("-4.000E+00-2.000E+00", " 4.000E+00-2.000E+00"),
        ("-4.000E+00-2.000E+00", "**********-2.000E+00"),
        ("-4.000E+00-2.000E+00", "-4.000E+00-2.000E+0"),
        ("-4.000E+00-2.000E+00", "-4.000E+00 2.00E+ 00"),
    ],
)
def test_damaged(tmp_path: Path, old: str, new: str) -> None:
    path = good(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FileFormatError):
        xbp.open_dataset(path, **EI)


def test_round_trip(tmp_path: Path) -> None:
    """Every digit with 25 characters; with 10, what has no more digits than fit."""
    ds = test_fuzz.spectra()
    with pytest.raises(CoordinateError, match="two_theta"):
        ds.bp.to_spe(tmp_path / "a.spe", tmp_path / "a.phx")
    ds = ds.isel(detector=slice(3))
    names = tmp_path / "a.spe", tmp_path / "a.phx"
    ds.bp.to_spe(*names, width=25)
    back = xbp.open_dataset(names[0], detectors=names[1], **EI)
    for name in ("S", "S_std", "E_bnds", "two_theta", "masked"):
        np.testing.assert_array_equal(back[name], ds[name], err_msg=name)
    with pytest.raises(FileFormatError, match="exists"):
        ds.bp.to_spe(*names)
    ds.bp.to_spe(*names, overwrite=True)
    assert max(map(len, names[0].read_text().split("\n"))) == 60  # 6 edges of 10
    once = xbp.open_dataset(names[0], detectors=names[1], **EI)
    np.testing.assert_allclose(once.S, ds.S, rtol=1e-6)
    once.bp.to_spe(*names, overwrite=True)
    twice = xbp.open_dataset(names[0], detectors=names[1], **EI)
    xr.testing.assert_identical(twice, once)
    with pytest.raises(QuantityError, match="without errors"):
        ds[["S"]].bp.to_spe(*names)
    close = ds.assign_coords(E=5 + ds.E * 1e-9, E_bnds=5 + ds.E_bnds * 1e-9)
    with pytest.raises(CoordinateError, match="width=25"):
        close.bp.to_spe(tmp_path / "b.spe", tmp_path / "b.phx")
