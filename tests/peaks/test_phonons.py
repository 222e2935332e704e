from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError
from xbp.md import new_trajectory
from xbp.models.lineshapes import damped_oscillator_current

E = np.arange(0, 30, 0.2)


def currents(energies: dict[str, list[float]], width: float = 1.0) -> xr.Dataset:
    Q = np.arange(1, 4) / 10.0
    ds = xr.Dataset(coords={"Q": ("Q", Q, {"units": "1/angstrom"}), "E": ("E", E, {"units": "meV"})})
    for name, places in energies.items():
        rows = [damped_oscillator_current(E, 3e-5, place, width) for place in places]
        ds[name] = (("Q", "E"), np.array(rows), {"units": "angstrom**2/ps**2/meV", "quantity": "current_spectrum"})
    return ds


KNOWN = {"C_L": [4.0, 8.0, 12.0], "C_T": [2.0, 4.1, 6.3]}


def test_branches_come_back() -> None:
    found = currents(KNOWN, 1.3).bp.phonon_dispersion()
    np.testing.assert_allclose(found.energy.sel(branch="longitudinal"), KNOWN["C_L"], rtol=1e-6)
    np.testing.assert_allclose(found.energy.sel(branch="transverse"), KNOWN["C_T"], rtol=1e-6)
    np.testing.assert_allclose(found.width, 1.3, rtol=1e-5)
    assert (found.status == "ok").all()
    assert found.energy.attrs["units"] == "meV"


def test_branches_in_other_units_are_the_same() -> None:
    data = currents(KNOWN)
    in_thz = data.assign_coords(E=("E", E / 4.135667696923859, {"units": "THz"}))
    found = in_thz.bp.phonon_dispersion(E_range=("0.2 meV", "29 meV"))
    np.testing.assert_allclose(found.energy * 4.135667696923859, data.bp.phonon_dispersion().energy, rtol=1e-6)


def test_errors_of_branches_are_those_of_the_scatter() -> None:
    rng = np.random.default_rng(0)
    clean = currents(KNOWN)
    pulls = []
    for _ in range(60):
        noisy = clean.copy()
        for name in ("C_L", "C_T"):
            noisy[name] = clean[name] + 0.03 * float(clean[name].max()) * rng.standard_normal(clean[name].shape)
        found = noisy.bp.phonon_dispersion()
        truth = np.array([KNOWN["C_L"], KNOWN["C_T"]])
        pulls.append(((found.energy - truth) / found.energy_std).values.ravel())
    assert abs(np.mean(pulls)) < 0.2
    assert np.std(pulls) == pytest.approx(1, abs=0.2)


def test_no_branch_has_a_status() -> None:
    data = currents(KNOWN)
    data["C_L"][0] = np.nan
    data["C_L"][1] = E  # rises to the edge
    data["C_T"][2] = 0.0
    found = data.bp.phonon_dispersion()
    assert found.status.values.tolist() == [["no data", "maximum at edge", "ok"], ["ok", "ok", "no data"]]
    assert np.isnan(found.energy.values[found.status.values != "ok"]).all()
    few = currents(KNOWN).bp.phonon_dispersion(E_range=("3.7 meV", "4.3 meV"))
    assert few.status.values[0, 0] == "too few points"
    with pytest.raises(RangeError, match="E_range"):
        data.bp.phonon_dispersion(E_range=(100, 200))


def test_other_data_have_no_branches(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="no current spectra"):
        glass.bp.phonon_dispersion()


def test_the_first_phonon_of_a_box_is_found() -> None:
    """One transverse wave of known energy along x, in a box twice as long as it is wide."""
    pytest.importorskip("dask")
    rng = np.random.default_rng(0)
    side, omega, t = 20.0, 2 * np.pi * 1.7 / 4.135667696923859, 0.02 * np.arange(3000)
    place = rng.random((400, 3)) * [side, side / 2, side / 2]
    wave = np.sin(2 * np.pi * place[:, 0] / side)
    position = np.repeat(place[None], t.size, axis=0)
    velocity = np.zeros_like(position)
    position[..., 1] += 0.05 * np.cos(omega * t)[:, None] * wave
    velocity[..., 1] = -0.05 * omega * np.sin(omega * t)[:, None] * wave
    traj = new_trajectory(position, time=t, cell=np.diag([side, side / 2, side / 2]), velocity=velocity)
    found = traj.bp.box_phonon()
    assert float(found.Q) == pytest.approx(2 * np.pi / side)
    assert float(found.energy) == pytest.approx(1.7, abs=0.05)


def test_the_box_phonon_is_not_taken_for_the_boson_peak() -> None:
    E = np.arange(0.2, 15, 0.2)
    sharp = 30 * np.exp(-(((E - 1.8) / 0.3) ** 2))
    broad = 6 * np.exp(-(np.log(E / 5.0) ** 2) / 0.5)
    B = xr.DataArray(
        sharp + broad, dims="E", coords={"E": ("E", E, {"units": "meV"})},
        attrs={"units": "angstrom**2/meV**2", "quantity": "reduced_dos"},
    )  # fmt: skip
    assert float(B.bp.boson_peak().energy) == pytest.approx(1.8, abs=0.1)
    for value, units in ((1.8, "meV"), (1.8 / 4.135667696923859, "THz")):
        marked = B.assign_coords(box_phonon=((), value, {"units": units}))
        peak = marked.bp.boson_peak()
        assert peak.status.item() == "ok"
        assert float(peak.energy) == pytest.approx(5.0, abs=0.6)
        assert marked.bp.boson_peak(E_range=(1, 3)).status.item() == "box phonon"
        assert np.isnan(marked.bp.boson_peak(E_range=(1, 3)).energy.item())
    assert xbp.boson_peak(B, E_range=(1, 3)).status.item() == "ok"
