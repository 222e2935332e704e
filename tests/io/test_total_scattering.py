from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, RangeError, UnitsError, XbpError

GUDRUN = """\
# NIMROD00001122.mint01
# 3mm SiO2 flat plate
#     1  5
   0.0000000E+00  0.0000000E+00  0.0000000E+00
   0.2500000E-01 -0.2000000E+00  0.3000000E-03
   0.7500000E-01  0.0000000E+00  0.2000000E-03
   0.1250000E+00  0.1000000E+00  0.1000000E-03
   0.1750000E+00  0.0000000E+00  0.0000000E+00
"""
NOMAD = "#S 1 glass\n#L  Q  S(Q)  dS(Q)\n0.5 0.1 0.01\n1.0 1.2 0.02\n1.5 0.9 0.03\n"


def opened(tmp_path: Path, text: str, **options: object) -> xr.Dataset:
    path = tmp_path / "a.txt"
    path.write_text(text)
    return xr.open_dataset(path, engine="total_scattering", **options)


def test_gudrun_is_an_interference_function(tmp_path: Path) -> None:
    ds = opened(tmp_path, GUDRUN)
    nan = np.nan
    np.testing.assert_array_equal(ds.Q, [0, 0.025, 0.075, 0.125, 0.175])
    np.testing.assert_array_equal(ds.FQ, [nan, -0.2, 0, 0.1, nan])
    np.testing.assert_array_equal(ds.FQ_std, [nan, 3e-4, 2e-4, 1e-4, nan])
    assert (ds.FQ.attrs["quantity"], ds.FQ.attrs["units"]) == ("interference_function", "b")
    assert ds.attrs["title"] == "3mm SiO2 flat plate"
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.txt"), ds)
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "a.txt"), ds)


def test_it_becomes_sq_with_the_mean_scattering_length(tmp_path: Path) -> None:
    ds = opened(tmp_path, GUDRUN, b_mean_squared="40 fm^2", T="300 K")  # 0.4 barn
    np.testing.assert_allclose(ds.Sq, [np.nan, 0.5, 1, 1.25, np.nan], rtol=1e-12)
    np.testing.assert_allclose(ds.Sq_std[1:4], [7.5e-4, 5e-4, 2.5e-4], rtol=1e-12)
    assert (ds.Sq.attrs["quantity"], ds.Sq.attrs["units"], float(ds.temperature)) == (
        "static_structure_factor",
        "1",
        300,
    )
    np.testing.assert_allclose(opened(tmp_path, GUDRUN, units="1", b_mean_squared=0.4).Sq, ds.Sq)
    for bad in (0, "-1 barn", "nan"):
        with pytest.raises((RangeError, UnitsError)):
            opened(tmp_path, GUDRUN, b_mean_squared=bad)
    with pytest.raises(UnitsError):
        opened(tmp_path, GUDRUN, b_mean_squared="3 meV")


@pytest.mark.parametrize("text", [NOMAD, NOMAD.replace("0.5 0.1", "3\n0.5 0.1")])
def test_nomad_is_sq(tmp_path: Path, text: str) -> None:
    ds = opened(tmp_path, text)
    np.testing.assert_array_equal(ds.Sq, [0.1, 1.2, 0.9])
    np.testing.assert_array_equal(ds.Sq_std, [0.01, 0.02, 0.03])
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.txt"), ds)
    with pytest.raises(RangeError, match="is normalised"):
        opened(tmp_path, text, b_mean_squared="1 barn")


@pytest.mark.parametrize(
    "text",
    [
        GUDRUN.replace("0.1250000E+00", "0.0100000E+00"), GUDRUN.replace("0.1000000E+00", "********"), GUDRUN[:-20], GUDRUN[:-48],
        GUDRUN.replace("  0.1000000E-03", " -0.1000000E-03"), GUDRUN[: GUDRUN.index("   0.0")], NOMAD.replace("1.0 1.2", "1.2"),
        "# a.mint01\n0 0 0\n1 0 0\n", NOMAD.replace("1.5", "nan"), NOMAD.replace("#L", "L"),
    ],
    ids=range(10),
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(XbpError):
        opened(tmp_path, text)


def test_other_text_is_declined(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no comment names"):
        opened(tmp_path, "1 2 3\n4 5 6\n")


def test_silica(shared_data: Path) -> None:
    path = shared_data / "static" / "SiO2_NIMROD.mint01"
    ds = xbp.open_dataset(path)
    table = np.loadtxt(path)
    zero = (table[:, 1] == 0) & (table[:, 2] == 0)
    assert zero[0]
    assert zero[-1]
    np.testing.assert_array_equal(ds.Q, table[:, 0])
    np.testing.assert_array_equal(ds.FQ, np.where(zero, np.nan, table[:, 1]))
    np.testing.assert_array_equal(ds.FQ_std, np.where(zero, np.nan, table[:, 2]))
    assert abs(float(ds.FQ.sel(Q=slice(40, None)).mean())) < 0.003  # F(Q) → 0
    # b of Si and O in fm (Sears 1992): S(0) is positive and S(Q) has the glass's first sharp peak near 1.5.
    sq = xr.open_dataset(path, engine="total_scattering", b_mean_squared=f"{((4.1491 + 2 * 5.803) / 3) ** 2} fm^2").Sq
    assert float(sq.min()) > 0
    assert float(sq.sel(Q=slice(0.5, 2)).idxmax()) == pytest.approx(1.53, abs=0.08)


def test_units_of_no_interference_function(tmp_path: Path) -> None:
    with pytest.raises(UnitsError, match="units='K'"):
        opened(tmp_path, GUDRUN, units="K")
