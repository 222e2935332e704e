"""The first phonon of a box: where it is, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError
from xbp.md.models import new_trajectory


@pytest.fixture(scope="module")
def solid_box() -> xr.Dataset:
    """Waves along the longest side of the box are of 16 and of 8 meV."""
    return oscillators(100, 400)


def oscillators(n_atoms: int, n_frames: int, along_x: str = "16 meV") -> xr.Dataset:
    other, along = (
        xbp.md.models.einstein_solid(
            n_atoms, n_frames, cell=10, energy=energy, T=300, mass=40,
            time_step="25 fs", element="Cu", rng=1,
        )
        for energy in ("8 meV", along_x)
    )  # fmt: skip
    longer = xr.DataArray(np.diag([1.1, 1.0, 1.0]), dims=other.cell.dims[-2:])
    moved = {n: other[n].where(other.xyz != "x", along[n]) for n in _VECTORS}
    for name, attrs in ((n, other[n].attrs) for n in _VECTORS):
        moved[name].attrs = attrs
    cell = (other.cell * longer).assign_attrs(other.cell.attrs)
    return other.assign(moved).assign(cell=cell)


_VECTORS = ("position", "velocity")


@pytest.mark.slow
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
    traj = new_trajectory(
        position, time=t, cell=np.diag([side, side / 2, side / 2]), velocity=velocity
    )
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


@pytest.mark.slow
def test_the_box_phonon_says_what_its_window_tells(solid_box: xr.Dataset) -> None:
    short = solid_box.bp.box_phonon("2 ps")
    assert short.attrs["segments"] == 9
    assert [one.code for one in short.bp.diagnostics()] == ["short_window"]
    assert "2 ps broadens by 3 meV" in repr(short.bp)
    whole = solid_box.bp.box_phonon("10 ps")
    assert not whole.bp.diagnostics()
    # One window of few waves does not tell a part in a thousand.
    assert float(whole.energy_std) > 0.02
    assert solid_box.bp.box_phonon("5 ps").attrs["segments"] == 3


def test_a_window_that_does_not_fit_the_box_phonon(solid_box: xr.Dataset) -> None:
    with pytest.raises(RangeError) as told:
        solid_box.bp.box_phonon()
    assert "window='6.65 ps'" in told.value.fix
    assert "a trajectory of 30 ps" in told.value.fix
    assert solid_box.bp.box_phonon("6.65 ps").attrs["segments"] == 2
    with pytest.raises(RangeError, match=r"simulate .* ps or more"):
        solid_box.isel(time=slice(0, 9)).bp.box_phonon()


def test_a_window_that_resolves_half_of_the_energy_is_short() -> None:
    solid = oscillators(9, 130)
    found = solid.bp.box_phonon("2 ps")
    assert float(found.energy) == pytest.approx(8, abs=1)
    (doubt,) = found.bp.diagnostics()
    assert doubt.code == "short_window"


@pytest.mark.parametrize("window", ["2 ps", "5 ps", "10 ps"])
def test_atoms_that_vibrate_on_their_own_have_no_sound(window: str) -> None:
    found = oscillators(100, 400, along_x="8 meV").bp.box_phonon(window)
    assert found.status.item() == "no sound"
    for name in ("energy", "energy_std", "width", "width_std"):
        assert np.isnan(found[name])
    assert "box_phonon=0" in repr(found.bp)
    with pytest.raises(QuantityError, match="no sound"):
        xbp.tutorial.open_dataset("zr46cu46al8").bp.mark_box_phonon(found)


def test_sound_is_told_by_its_two_energies(solid_box: xr.Dataset) -> None:
    found = solid_box.bp.box_phonon("5 ps")
    assert found.status.item() == "ok"
    assert float(found.energy) == pytest.approx(8, abs=0.1)
