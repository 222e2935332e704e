"""Imaginary modes, E < 0, are left out of g(E) and listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp

E = np.arange(-2.5, 30, 1.0)
G = np.where(E < 0, 0.01, E**2 / 9000)


def dos() -> xr.Dataset:
    return xbp.new_dataset(
        "vibrational_dos", G, std=0.1 * G, units="1/meV", coords={"E": (E, "meV")}, edges={"E": np.arange(-3.0, 31)}, temperature="300 K"
    )  # fmt: skip


OPERATIONS = {
    "to_bqe": lambda g: g.bp.to_bqe(), "heat_capacity": lambda g: g.bp.heat_capacity([5.0, 300.0], area=1),
    "multiphonon_sqe": lambda g: g.bp.multiphonon_sqe([1.0, 2.0], mass="60 u", area=1),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_leave_them_out_and_list_them(name: str, tmp_path: Path) -> None:
    answer = OPERATIONS[name](dos())
    # Without the diagnostic the same as of the modes above zero alone.
    alone = OPERATIONS[name](dos().isel(E=slice(3, None)))
    assert alone.bp.diagnostics() == []
    for part in answer.data_vars:
        np.testing.assert_array_equal(answer[part], alone[part])
    (found,) = answer.bp.diagnostics()
    part = 0.03 / G.sum()
    assert found.code == "imaginary_modes"
    assert f"{100 * part:.3g} % of the modes" in found.message
    assert "down to -2.5 meV" in found.message
    if name == "to_bqe":
        assert float(answer.E[0]) == 0.5
        np.testing.assert_array_equal(answer.E_bnds[0], [0, 1])
        answer.bp.to_netcdf(tmp_path / "a.nc")
        with xbp.open_dataset(tmp_path / "a.nc") as back:
            assert back.bp.diagnostics() == [found]


def test_empty_bins_below_zero_are_no_modes() -> None:
    g = dos()
    g["g"] = g.g.where(g.E > 0, 0.0)
    assert g.bp.to_bqe().bp.diagnostics() == []


def test_a_file_of_lattice_dynamics(tmp_path: Path) -> None:
    rows = "".join(f"{e:.4f} {g:.8f}\n" for e, g in zip(E, G, strict=True))
    (tmp_path / "total_dos.dat").write_text("# Tetrahedron method\n" + rows)
    g = xbp.open_dataset(
        tmp_path / "total_dos.dat",
        quantity="vibrational_dos",
        units="1/THz",
        coordinate_units="THz",
    )
    assert [d.code for d in g.bp.diagnostics()] == ["imaginary_modes"]
    B = g.bp.to_bqe()
    assert float(B.E[0]) == 0.5
    assert [d.code for d in B.bp.diagnostics()] == ["imaginary_modes"]
