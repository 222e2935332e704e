"""A plane's spectra with a known boson peak: everything is found over B = G/E."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy.special import zeta

import xbp
from xbp.core import constants
from xbp.errors import QuantityError
from xbp.models import MODELS

#: A log-normal peak at 2 meV, and the S(Q) that it follows.
E = np.arange(0.1, 14, 0.2)
Q = np.arange(0.55, 6, 0.1)
SHAPE = np.exp(-(np.log(E / 2) ** 2) / 2 / 0.4**2)
SQ = 1 + 0.8 * np.exp(-((Q - 2.1) ** 2) / 2 / 0.2**2)
HEIGHT, T, U2 = 0.05, 20.0, 0.004


def vdos(g: np.ndarray, over: np.ndarray = E, **labels: object) -> xr.Dataset:
    ds = xbp.new_dataset(
        "vibrational_dos", g, std=0.02 * g, units="1/meV",
        coords={"E": (over, "meV")}, dimension=2,
    )  # fmt: skip
    ds.g.attrs |= labels
    return ds


@pytest.fixture(scope="module")
def sqe() -> xr.Dataset:
    """S(Q,E) whose (n/Q²) exp(Q²u²) S is 3 f(E) S(Q)."""
    bose = 1 - np.exp(-E / (constants.BOLTZMANN_MEV * T))
    waves = Q[:, None] ** 2
    S = 3 * SQ[:, None] * SHAPE * waves * np.exp(-waves * U2) / bose
    ds = xbp.new_dataset(
        "dynamic_structure_factor", S, std=0.02 * S, units="1/meV",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        temperature=T, statistics="quantum", dimension=2,
    )  # fmt: skip
    return ds.assign_coords(u2=((), U2, {"units": "angstrom**2"}))


def test_the_boson_peak_of_g_over_e() -> None:
    B = vdos(HEIGHT * E * SHAPE, origin="simulation").bp.to_bqe()
    assert B.B.attrs["units"] == "1/meV**2"
    free = B.bp.mark_box_phonon("0.3 meV")
    peak = free.bp.boson_peak(E_range=(0.5, 8), debye_level="0.02 1/meV**2")
    assert str(peak.status.values) == "ok"
    assert float(peak.energy) == pytest.approx(2)
    assert float(peak.height) == pytest.approx(HEIGHT)
    # Over three bins.
    assert float(peak.excess) == pytest.approx(HEIGHT / 0.02, rel=0.03)
    held = B.bp.mark_box_phonon("1.6 meV").bp.boson_peak(E_range=(0.5, 8))
    assert str(held.status.values) == "box phonon"


def test_scaling_with_the_structure_factor(sqe: xr.Dataset) -> None:
    B = sqe.bp.to_bqe()
    peaks = B.bp.boson_peak(E_range=(0.5, 8))
    np.testing.assert_allclose(peaks.energy, 2, rtol=1e-5)
    sq = xbp.new_dataset(
        "static_structure_factor", SQ, units="1", coords={"Q": (Q, "1/angstrom")}
    ).Sq
    fit = B.bp.cut_E(2.1, width=0.2).bp.scale_to_sq(sq, (1, 5))
    assert fit.scale.attrs["units"] == "angstrom**2/meV"
    at = int(np.argmin(abs(E - 2.1)))
    assert float(fit.scale) == pytest.approx(3 * SHAPE[at])
    np.testing.assert_allclose(fit.ratio.dropna("Q"), 1)
    whole = B.bp.fit_bqe(sq, "free", Q_range=(1, 5))
    np.testing.assert_allclose(whole.profile / whole.profile.max(), SHAPE / SHAPE.max())
    np.testing.assert_allclose(whole.ratio.dropna("Q"), 1)
    assert fit.attrs["dimension"] == whole.attrs["dimension"] == 2


def test_the_heat_capacity_of_debyes_plane_goes_as_the_square() -> None:
    """C = 24 ζ(3) R (T/θ)², far below θ."""
    fine = np.arange(0.005, 10, 0.01)
    g = vdos(2 * fine / 10**2, fine, area=1.0, area_of="all modes")
    C = g.bp.heat_capacity([1.0, 2.0])
    theta = 10 / constants.BOLTZMANN_MEV
    exact = 24 * zeta(3) * 8.314462618 / theta**2
    reduced = C.bp.reduced_heat_capacity()
    np.testing.assert_allclose(reduced.C_T3, exact, rtol=1e-4)


def test_models_of_space_do_not_fit_a_plane() -> None:
    """Debye's phonons are E² there; a shape of B has no dimension."""
    B = vdos(HEIGHT * E * SHAPE).bp.to_bqe()
    assert float(B.bp.fit("lognormal").energy) == pytest.approx(2)
    phonons = MODELS["debye_phonons_dos"].of("reduced_dos")
    for model in (phonons, MODELS["lognormal"] + phonons, "debye_gaussian_dos"):
        with pytest.raises(QuantityError, match="3 are needed"):
            B.bp.fit(model)
    with pytest.raises(QuantityError, match="3 are needed"):
        B.bp.compare_models(["lognormal", "debye_phonons_dos"])


def test_figures_name_what_they_show(sqe: xr.Dataset) -> None:
    g, space = vdos(HEIGHT * E * SHAPE), vdos(HEIGHT * E**2 * SHAPE)
    space.g.attrs["dimension"] = 3
    C = g.bp.heat_capacity([1.0, 2.0], area=1).bp.reduced_heat_capacity()
    want = [
        (g.bp.to_bqe(), "$g(E)/E$ (meV$^{-2}$)"),
        (space.bp.to_bqe(), "$g(E)/E^2$ (meV$^{-3}$)"),
        (sqe.bp.to_bqe().bp.cut_Q((1, 5)), "$B(E)$ (Å$^{2}$ meV$^{-1}$)"),
        (C, "$C_p/T^2$"),
    ]
    for data, label in want:
        _, axes = plt.subplots()
        data.bp.plot.cut(ax=axes)
        # Powers of ten aside.
        start = label.partition(" (")[0]
        assert axes.get_ylabel().startswith(start)
        assert axes.get_ylabel().endswith(label.removeprefix(start).strip(" ("))
        plt.close()


def test_the_dimension_is_shown_and_archived(tmp_path: Path) -> None:
    B = vdos(HEIGHT * E * SHAPE).bp.to_bqe()
    for data in (B, B.bp.boson_peak(E_range=(0.5, 8))):
        data.bp.to_netcdf(tmp_path / "a.nc", overwrite=True)
        assert "in two dimensions" in str(xbp.open_dataset(tmp_path / "a.nc").bp)
        assert "in two dimensions" in str(data.bp)


def test_the_dimension_is_given_and_kept() -> None:
    bare = xr.DataArray([1.0, 2.0], dims="E", coords={"E": [3.0, 4.0]})
    options = {"units": "1/meV", "coordinate_units": {"E": "meV"}}
    stated = bare.assign_attrs(dimension=2)
    for data, given in ((bare, {"dimension": 2}), (stated, {})):
        g = data.bp.label("vibrational_dos", **options, **given)
        np.testing.assert_allclose(g.bp.to_bqe().B, [1 / 3, 2 / 4])
    with pytest.raises(QuantityError, match="dimension=4"):
        bare.bp.label("vibrational_dos", **options, dimension=4)
