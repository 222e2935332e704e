"""Files of others, opened: numbers read from the raw files by hand. Neutrons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, RangeError

#: ħ in meV ps.
HBAR = 0.6582119569


@pytest.fixture
def doors(shared_data: Path) -> Path:
    return shared_data / "doors"


def Q_at(ds: xr.Dataset, angle: float, E: float) -> float:
    """Return Q where k_i, k_f and the angle put it, in 1/angstrom."""
    fixed = "final_energy" if "final_energy" in ds.coords else "incident_energy"
    other = float(ds[fixed]) + (E if fixed == "final_energy" else -E)
    k, m = (np.sqrt(e / 2.0721) for e in (float(ds[fixed]), other))
    return float(np.sqrt(k * k + m * m - 2 * k * m * np.cos(np.radians(angle))))


def test_indirect_geometry(doors: Path) -> None:
    ds = xbp.open_dataset(doors / "indirect_Ef1.845.nxspe")
    assert (float(ds.final_energy), ds.S.attrs["geometry"]) == (1.845, "indirect")
    assert Q_at(ds, 100, 1.2) == pytest.approx(1.66, abs=0.005)
    iris = xbp.open_dataset(doors / "IRS21360_graphite002_ipg.nxs")
    assert float(iris.final_energy) == 1.845
    assert [round(Q_at(iris, 100, E), 3) for E in (0.4, -0.4)] == [1.521, 1.364]


def test_a_flag_of_nexus(doors: Path) -> None:
    ds = xbp.open_dataset(doors / "inst_let_ei3p7_240_120.nxspe")
    assert ds.S.attrs["ki_over_kf"] == "applied"
    assert float(ds.incident_energy) == 3.7


@pytest.mark.parametrize("name", ["XYZ2-iqe-Ei_20.h5", "graphite-Ei_30-iqe.h5"])
def test_multiphonon_maps(doors: Path, name: str) -> None:
    ds = xbp.open_dataset(doors / name)
    with h5py.File(doors / name) as file:
        (group,) = file.values()
        edges, data = group["grid/E/bin boundaries"][()], group["data"][()]
    np.testing.assert_allclose(ds.E_bnds[:, 0], edges[:-1], atol=1e-9)
    seen = np.isfinite(ds.S.values)
    np.testing.assert_array_equal(ds.S.values[seen], data.reshape(seen.shape)[seen])
    assert 0 in ds.E
    assert not ((ds.E != 0) & (abs(ds.E) < 1e-9)).any()


def test_multiphonon_densities(doors: Path) -> None:
    g = xbp.open_dataset(doors / "XYZ2-initdos-Ei_80.h5")
    assert (g.g.dims, "g_std" in g) == (("E",), True)
    # Summed over the bins as they are 0.0158; here g is extended to E = 0.
    S = g.bp.multiphonon_sqe([1.0], T="300 K", mass="79.452 u")
    assert float(S.u2) == pytest.approx(0.0158, rel=0.015)
    assert xbp.open_dataset(doors / "getdos2.h5").g.sizes == {"E": 101}


def test_inx(doors: Path) -> None:
    path = doors / "In20_2p5_350K__tt_cr.txt"
    with pytest.raises(QuantityError, match=r"group=(.|\n)*energy_units=(.|\n)*T="):
        xbp.open_dataset(path)
    Q = [0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 3.4, 3.9]
    ds = xbp.open_dataset(path, group="index", energy_units="meV", Q=Q, T="350 K")
    lines = path.read_text().split("\n")
    table = np.array([line.split() for line in lines[4 + 210 * 8 : 210 * 9]], float)
    np.testing.assert_array_equal(ds.E, table[:, 0])
    np.testing.assert_array_equal(ds.S[8], table[:, 1])
    np.testing.assert_array_equal(ds.S_std[8], table[:, 2])
    assert float(ds.S[0, 0]) == -5.36548e-03
    assert (ds.sizes["Q"], float(ds.incident_energy)) == (9, 13.088)
    index = xbp.open_dataset(path, group="index", energy_units="meV")
    assert index.detector.values.tolist() == list(range(1, 10))
    assert "temperature" not in index.coords


def test_spe(doors: Path) -> None:
    path = doors / "Fe4_2K.spe"
    with pytest.raises(QuantityError, match=r"incident_energy= or final_energy="):
        xbp.open_dataset(path)
    ds = xbp.open_dataset(path, final_energy="1.84 meV", T="2 K")
    np.testing.assert_array_equal(ds.S[0, :3], [-9.647e-8, 4.291e-7, 0])
    np.testing.assert_array_equal(ds.S[0, 6:8], [4.710e-8, -5.183e-8])
    np.testing.assert_array_equal(ds.S_std[1, :2], [1.767e-7, 2.339e-7])
    np.testing.assert_array_equal(ds.E_bnds[0], [-0.6968, -0.6932])
    np.testing.assert_array_equal(ds.two_theta, 13.5 + np.arange(16))
    assert [d.code for d in ds.bp.diagnostics()] == ["angles_count"]


def test_lamp(doors: Path) -> None:
    ds = xbp.open_dataset(doors / "H2O_293K_5A.hdf")
    with h5py.File(doors / "H2O_293K_5A.hdf") as file:
        data, errors, E, Q = (file[f"entry1/data1/{n}"][()] for n in ("DATA", "errors", "X", "Y"))  # fmt: skip
    assert (errors == -1).sum() == int(ds.S.isnull().sum()) == 130
    np.testing.assert_array_equal(ds.S.values[errors >= 0], data[errors >= 0])
    np.testing.assert_array_equal(ds.S_std.values[errors >= 0], errors[errors >= 0])
    np.testing.assert_array_equal(ds.E, E)
    np.testing.assert_array_equal(ds.Q, Q)
    assert float(ds.temperature) == 293.349
    assert float(ds.incident_energy) == pytest.approx(81.804 / 25, rel=1e-4)


def test_mdanse_and_nmoldyn(doors: Path) -> None:
    g = xbp.open_dataset(doors / "super_dos.mda").g
    assert float(g.E[1]) == pytest.approx(0.12553817 * HBAR, rel=1e-6)
    assert float(g[0]) == pytest.approx(1.61188219e-06 / HBAR, rel=1e-6)
    S = xbp.open_dataset(doors / "nMOLDYN_DCSF_water.nc", T="300 K").S
    with scipy.io.netcdf_file(doors / "nMOLDYN_DCSF_water.nc", mmap=False) as file:
        raw, omega = (file.variables[n].data.astype(float) for n in ("Sqw-total", "angular_frequency"))  # fmt: skip
    assert float(S.Q[0]) == pytest.approx(0.16)
    np.testing.assert_allclose(S.integrate("E"), np.trapezoid(raw, omega))


def test_euphonic(doors: Path) -> None:
    g = xbp.open_dataset(doors / "euphonic_dos.json").g
    assert (g.sizes["E"], float(g.E[0]), g.attrs["units"]) == (309, 0.25, "1/meV")
    with pytest.raises(FileFormatError, match="path or one direction") as caught:
        xbp.open_dataset(doors / "CaHgO2_300K_bose_sqw.json", powder=True)
    assert "damaged" not in str(caught.value)


def test_mdmc(doors: Path) -> None:
    ds = xbp.open_dataset(doors / "Well_Ar.xml", statistics="classical")
    assert ds.S.sizes == {"Q": 10, "E": 37}
    assert float(ds.S[0, 0]) == pytest.approx(0.0694 / HBAR)
    assert float(ds.S[2, 1]) == pytest.approx(0.0424 / HBAR)
    assert float(ds.S_std[0, 0]) == pytest.approx(0.0027 / HBAR)
    assert float(ds.E[1]) == pytest.approx(0.2 * HBAR)


def test_a_log_with_a_dot(doors: Path) -> None:
    ds = xbp.open_dataset(doors / "PureD2O_BATS.nxs")
    assert float(ds.temperature) == pytest.approx(308.7, abs=0.05)


def test_total_scattering(doors: Path) -> None:
    path, engine = doors / "SofQ_NaNO3_230C.dat", {"engine": "total_scattering"}
    with pytest.raises(QuantityError, match="kind="):
        xbp.open_dataset(path, **engine)
    refused: list[dict[str, Any]] = [
        {"kind": "S(Q)"},
        {"kind": "S(Q)-1"},
        {"kind": "F(Q)", "composition": "NaNO3"},
    ]
    for options in refused:
        with pytest.raises(RangeError, match=r"minimum is -2\.211"):
            xbp.open_dataset(path, **options, **engine)
    per = {"per": "formula unit", "composition": "NaNO3"}
    with pytest.raises(RangeError, match=r"minimum is -0\.4422 b per atom"):
        xbp.open_dataset(path, kind="F(Q)", **per, **engine)
    Sq = xbp.open_dataset(doors / "SiO2_liq.qSq").Sq
    assert (float(Sq.Q[0]), float(Sq[0])) == (0.65, 0.183653)


def test_every_file_of_the_doors_is_in_a_test(doors: Path) -> None:
    """Its README has a row for each; the rows of a kind are tested with that kind."""
    folder = Path(__file__).parent.parent
    texts = "".join(
        path.read_text(encoding="utf-8")
        for path in folder.rglob("test_*.py")
        if path.name not in ("test_fuzz_files.py", "fuzz_files.py")
    )
    names = {path.name for path in doors.iterdir()} - {"README.md"}
    assert [n for n in sorted(names) if Path(n).stem not in texts] == []
