"""Spectra of planted fields, of fields of ones, and of strains by two ways."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core import constants
from xbp.errors import CoordinateError, QuantityError, UnitsError
from xbp.md import new_trajectory

ARGUMENTS = {"window": "0.5 ps", "precision": "double", "folding": None}


def field(values: np.ndarray, units: str = "1", name: str = "X") -> xr.DataArray:
    dims = ("time", "atom", *(f"component_{i}" for i in range(values.ndim - 2)))
    return xr.DataArray(values, dims=dims, name=name, attrs={"units": units})


@pytest.mark.slow
def test_a_planted_wave_has_its_peak_and_nothing_else() -> None:
    side, n_frames, step = 12.0, 256, 0.02
    n = np.arange(6)
    sites = (
        2.0 * np.stack(np.meshgrid(n, n, n, indexing="ij"), axis=-1).reshape(-1, 3)
        + 0.3
    )
    time = step * np.arange(n_frames)
    k = 2 * np.pi / side * np.array([2, 1, 0])
    window = 64 * step
    energy = 9 * constants.PLANCK / window
    wave = np.cos(sites @ k - 2 * np.pi * energy / constants.PLANCK * time[:, None])
    traj = new_trajectory(
        np.broadcast_to(sites, (n_frames, *sites.shape)),
        time=time,
        cell=side * np.eye(3),
    )
    found = traj.bp.fluctuation_spectrum(
        field(wave), 1.5, 0.1, window=f"{window} ps", precision="double"
    )
    q, e = np.unravel_index(np.argmax(found.phi.values), found.phi.shape)
    assert found.Q_bnds[q, 0] < np.linalg.norm(k) <= found.Q_bnds[q, 1]
    assert float(found.E[e]) == pytest.approx(energy)
    # The shell holds 24 vectors, of which ±k carry N/4 each.
    assert float(found.phi_Q[q]) == pytest.approx(
        216 / 4 * 2 / float(found.n_wavevectors[q])
    )
    assert float(found.phi_Q.drop_isel(Q=q).max()) < 1e-12
    outside = np.abs(found.E - energy) > 2.5 * constants.PLANCK / window
    assert float(found.phi.isel(Q=q)[outside].max()) < 1e-6 * float(found.phi.max())
    # Every atom alone swings at that energy, with mean square 1/2.
    assert float(found.chi.E[found.chi.argmax("E")]) == pytest.approx(energy)
    assert float(found.variance) == pytest.approx(0.5)


@pytest.mark.slow
def test_a_field_of_ones_is_the_dynamic_structure_factor(small: xr.Dataset) -> None:
    ones = field(np.ones((24, 40)))
    found = small.bp.fluctuation_spectrum(
        ones, 4, 0.5, subtract_mean=False, **(ARGUMENTS | {"window": "0.3 ps"})
    )
    sqe = small.bp.dynamic_structure_factor(
        4, 0.5, weights="unit", **(ARGUMENTS | {"window": "0.3 ps"})
    )
    np.testing.assert_allclose(found.phi, sqe.S, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.phi_std, sqe.S_std, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.phi_Q, sqe.Sq, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.Omega, sqe.S / sqe.Sq, rtol=1e-12, atol=1e-15)
    assert found.Omega.dims == ("Q", "E")
    with pytest.raises(QuantityError, match="'X' does not fluctuate"):
        small.bp.fluctuation_spectrum(ones, 4, 0.5, **ARGUMENTS)


@pytest.mark.slow
def test_the_integral_over_energy_is_the_value_at_time_zero(small: xr.Dataset) -> None:
    values = np.random.default_rng(1).standard_normal((24, 40))
    found = small.bp.fluctuation_spectrum(
        field(values, "angstrom"), 4, 0.5, **ARGUMENTS
    )
    weight = np.full(found.E.size, 2.0)
    weight[[0, -1]] = 1  # E = 0, and the last, h/2Δt, which both signs share
    dE = float(found.E[1] - found.E[0])
    for spectrum, whole in ((found.phi, found.phi_Q), (found.chi, found.variance)):
        np.testing.assert_allclose((spectrum * weight).sum("E") * dE, whole, rtol=1e-10)
    np.testing.assert_allclose((found.Omega * weight).sum("E") * dE, 1, rtol=1e-10)
    assert found.phi.attrs["units"] == "angstrom**2/meV"
    assert found.phi_Q.attrs["units"] == "angstrom**2"
    assert found.Omega.attrs["units"] == "1/meV"


@pytest.mark.slow
def test_phi_by_the_double_sum(small: xr.Dataset) -> None:
    values = np.random.default_rng(2).standard_normal((24, 40, 3))
    found = small.bp.fluctuation_spectrum(
        field(values),
        2,
        2,
        window="1.2 ps",
        taper="boxcar",
        precision="double",
        folding=None,
    )
    deviation = values - values.mean(axis=0)
    inverse = 2 * np.pi * np.linalg.inv(small.cell.values).T
    n = np.arange(-4, 5)
    hkl = np.stack(np.meshgrid(n, n, n, indexing="ij"), axis=-1).reshape(-1, 3)
    Q = hkl @ inverse
    length = np.linalg.norm(Q, axis=1)
    Q = Q[(length > 0) & (length <= 2)]
    total = 0.0
    for t in range(24):
        r = small.position.values[t]
        phase = np.exp(1j * (r[:, None] - r) @ Q.T).real.mean(axis=-1)
        total += np.einsum("ja,ka,jk->", deviation[t], deviation[t], phase) / 40 / 24
    assert found.phi_Q.item() == pytest.approx(total, rel=1e-8)
    assert found.variance.item() == pytest.approx(
        (deviation**2).sum() / 24 / 40, rel=1e-12
    )


@pytest.mark.slow
def test_names_and_arrays_agree_and_share_a_pass(small: xr.Dataset) -> None:
    solid = small.assign(
        position=small.position.isel(time=0)
        + 0.1 * (small.position - small.position.isel(time=0))
    )
    names = ["coordination", "d2min", "shear_strain", "von_mises_strain"]
    local = solid.bp.local_fields(names, cutoff=4)
    tree = solid.bp.fluctuation_spectrum(
        [*names, *(local[n].rename(f"{n}_array") for n in names)],
        4,
        0.5,
        cutoff=4,
        **ARGUMENTS,
    )
    assert list(tree.children) == [*names, *(f"{n}_array" for n in names)]
    for name in names:
        one, other = tree[name].to_dataset(), tree[f"{name}_array"].to_dataset()
        for variable in one.data_vars:
            np.testing.assert_allclose(
                one[variable], other[variable], rtol=1e-9, atol=1e-12
            )
        alone = solid.bp.fluctuation_spectrum(name, 4, 0.5, cutoff=4, **ARGUMENTS)
        np.testing.assert_allclose(alone.phi, one.phi, rtol=1e-9)
        assert '"cutoff": "4 angstrom"' in one.attrs["history"]
    assert tree["d2min"].phi.attrs["units"] == "angstrom**4/meV"
    # The shear tensor's five components are not the scalar's one.
    assert not np.allclose(
        tree["shear_strain"].Omega, tree["von_mises_strain"].Omega, rtol=0.05
    )


@pytest.mark.slow
def test_dask_equals_numpy_and_reduced_dos_methods_apply(small: xr.Dataset) -> None:
    values = np.random.default_rng(3).standard_normal((24, 40))
    a = small.bp.fluctuation_spectrum(field(values), 4, 0.5, **ARGUMENTS)
    lazy = small.chunk(time=5)
    b = lazy.bp.fluctuation_spectrum(field(values).chunk(time=7), 4, 0.5, **ARGUMENTS)
    for name in a.data_vars:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-12, atol=1e-15)
    peaks = a.bp.boson_peak()
    assert peaks.energy.sizes == {"Q": a.sizes["Q"]}
    sq = small.bp.structure_factor(4, 0.5, weights="unit")
    assert a.bp.correlation_map(sq).pearson_r.dims == ("E",)


@pytest.mark.slow
def test_units_of_the_field_scale_phi_alone(small: xr.Dataset) -> None:
    values = np.random.default_rng(4).standard_normal((24, 40))
    a = small.bp.fluctuation_spectrum(field(values, "angstrom"), 4, 0.5, **ARGUMENTS)
    b = small.bp.fluctuation_spectrum(field(values / 10, "nm"), 4, 0.5, **ARGUMENTS)
    np.testing.assert_allclose(a.phi, b.phi * 100, rtol=1e-9)
    np.testing.assert_allclose(a.Omega, b.Omega, rtol=1e-9)
    assert b.phi.attrs["units"] == "nm**2/meV"


def test_what_is_no_field_is_refused(small: xr.Dataset) -> None:
    values = np.random.default_rng(5).standard_normal((24, 40))

    def spectrum(given: object) -> object:
        return small.bp.fluctuation_spectrum(given, 4, 0.5, **ARGUMENTS)

    with pytest.raises(UnitsError, match="'X' has no units"):
        spectrum(xr.DataArray(values, dims=("time", "atom"), name="X"))
    with pytest.raises(CoordinateError, match="has 20 times and 40 atoms"):
        spectrum(field(values[:20]))
    with pytest.raises(QuantityError, match="dimensions \\('frame', 'atom'\\)"):
        spectrum(field(values).rename(time="frame"))
    with pytest.raises(CoordinateError, match="differ from those of the trajectory"):
        spectrum(field(values).assign_coords(time=small.time + 0.1))
    with pytest.raises(QuantityError, match=r"field=.*labelled numbers"):
        spectrum([values])
    with pytest.raises(QuantityError, match="fields='shear' is not one of"):
        spectrum("shear")
    with pytest.raises(QuantityError, match="named 'X'"):
        spectrum([field(values), field(values)])
    values[3, 4] = np.nan
    with pytest.raises(QuantityError, match="is nan at atom 4 in frame 3"):
        spectrum(field(values))


def test_xarray_draws_a_local_field_and_no_other_quantity_is_offered_for_it() -> None:
    traj = xbp.md.models.einstein_solid(
        60, 4, cell=8, energy="8 meV", T=300, mass=40, time_step="25 fs", rng=1
    )
    fields = traj.bp.local_fields("coordination", cutoff=4)
    for field in (
        fields,
        fields.coordination,
        fields.coordination.mean("atom", keep_attrs=True),
    ):
        for tried in (
            field.bp.plot.cut,
            field.bp.boson_peak,
            lambda of=field: of.bp.cut_Q((1, 2)),
        ):
            with pytest.raises(QuantityError, match=r"local.field") as refused:
                tried()
            assert "attrs" not in refused.value.fix
    for draw in (
        fields.coordination.plot.hist,
        fields.coordination.plot,
        fields.coordination.mean("atom").plot,
    ):
        plt.figure()
        draw()
    plt.close("all")
    # Nor is what is known to be a result to be called something else.
    energy = xr.DataArray(
        [1.0], dims="E", attrs={"quantity": "boson_peak", "units": "meV"}
    )
    with pytest.raises(QuantityError, match="'boson_peak'") as refused:
        energy.bp.plot.cut()
    assert "attrs" not in refused.value.fix
