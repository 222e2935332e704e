"""S(Q), g(r) and the transforms between them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError, UnitsError, XbpError
from xbp.md import models, new_trajectory
from xbp.md.wavevectors import allowed_wavevectors

B = {"Zr": 7.16, "Cu": 7.718}


def partial_sums(
    traj: xr.Dataset, Q_max: float, dQ: float
) -> tuple[dict[tuple[str, str], np.ndarray], dict[str, int]]:
    shells = allowed_wavevectors(traj.cell.values, Q_max, dQ)
    Q = shells.hkl @ (2 * np.pi * np.linalg.inv(traj.cell.values).T)
    phase = np.exp(1j * traj.position.values @ Q.T)
    rho = {s: phase[:, traj.element.values == s].sum(axis=1) for s in ("Cu", "Zr")}
    found = {}
    for pair in (("Cu", "Cu"), ("Cu", "Zr"), ("Zr", "Zr")):
        product = (rho[pair[0]] * rho[pair[1]].conj()).real.mean(axis=0)
        found[pair] = np.array(
            [product[shells.shell == i].mean() for i in range(shells.Q.size)]
        )
    return found, {s: int((traj.element.values == s).sum()) for s in rho}


@pytest.mark.slow
@pytest.mark.parametrize(
    "normalization", ["number", "ashcroft-langreth", "faber-ziman"]
)
def test_partials_in_every_normalization(small: xr.Dataset, normalization: str) -> None:
    sums, n = partial_sums(small, 4, 0.5)
    total_n = sum(n.values())
    c = {s: n[s] / total_n for s in n}
    found = small.bp.structure_factor(
        4, 0.5, partials=True, normalization=normalization, precision="double"
    ).Sq
    for (a, b), value in sums.items():
        al = value / np.sqrt(n[a] * n[b])
        exact = {
            "number": value / total_n,
            "ashcroft-langreth": al,
            "faber-ziman": 1 + (al - (a == b)) / np.sqrt(c[a] * c[b]),
        }[normalization]
        np.testing.assert_allclose(
            found.sel(pair=f"{a}-{b}").values, exact, rtol=1e-6, atol=1e-8
        )


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["ashcroft-langreth", "faber-ziman"])
@pytest.mark.parametrize("weights", ["neutron", "unit", "xray"])
def test_partials_add_up_to_the_total(
    small: xr.Dataset, normalization: str, weights: str
) -> None:
    arguments = {
        "weights": weights,
        "normalization": normalization,
        "precision": "double",
    }
    parts = small.bp.structure_factor(4, 0.5, partials=True, **arguments).Sq
    total = small.bp.structure_factor(4, 0.5, **arguments).Sq
    np.testing.assert_allclose(
        (parts * parts.weight).sum("pair").values, total.values, rtol=1e-6, atol=1e-8
    )
    if normalization == "faber-ziman":
        np.testing.assert_allclose(parts.weight.sum("pair").values, 1, rtol=1e-12)
        al = small.bp.structure_factor(
            4, 0.5, **{**arguments, "normalization": "ashcroft-langreth"}
        ).Sq
        if weights == "neutron":
            b = np.array([B[e] for e in small.element.values])
            affine = (al - 1) * (b**2).mean() / b.mean() ** 2 + 1
            np.testing.assert_allclose(total.values, affine.values, rtol=1e-6)


@pytest.mark.slow
def test_S_of_Q_is_F_at_time_zero(small: xr.Dataset) -> None:
    F = small.bp.intermediate_scattering_function(
        4, 0.5, window="1.2 ps", precision="double"
    ).F
    Sq = small.bp.structure_factor(4, 0.5, precision="double").Sq
    np.testing.assert_allclose(Sq.values, F.isel(time=0).values, rtol=1e-7)


def test_the_std_of_independent_frames_is_right() -> None:
    """Frames that know nothing of each other: pulls of S(Q) = 1 have mean 0 and variance 1."""
    rng = np.random.default_rng(0)
    traj = new_trajectory(
        12 * rng.random((200, 60, 3)), time=np.arange(200), cell=12 * np.eye(3)
    )
    s = traj.bp.structure_factor(4, 0.1, weights="unit")
    pull = (s.Sq - 1) / s.Sq_std
    assert abs(float(pull.mean())) < 0.5
    assert 0.7 < float(pull.std()) < 1.6  # Student's t of ten blocks has 1.13


def test_one_frame_has_a_structure_and_no_std(small: xr.Dataset) -> None:
    one = small.isel(time=slice(3, 4))
    assert list(one.bp.structure_factor(4, 0.5).data_vars) == ["Sq"]
    assert list(one.bp.radial_distribution(3, 0.5).data_vars) == ["rdf"]


def brute_force_pairs(
    traj: xr.Dataset, edges: np.ndarray, a: str, b: str
) -> np.ndarray:
    cell, n = traj.cell.values, np.arange(-2, 3)
    images = np.stack(np.meshgrid(n, n, n, indexing="ij"), -1).reshape(-1, 3) @ cell
    counts = np.zeros(edges.size - 1)
    for r in traj.position.values:
        r = (r @ np.linalg.inv(cell) % 1) @ cell
        d = np.linalg.norm(r[None, :, None] - r[:, None, None] + images, axis=-1)
        mask = (traj.element.values == a)[:, None] & (traj.element.values == b)
        found = d[mask]
        counts += np.histogram(found[found > 1e-9], edges)[0]
    return counts / traj.sizes["time"]


@pytest.mark.slow
def test_radial_distribution_is_a_count_of_pairs(small: xr.Dataset) -> None:
    traj = small.isel(time=slice(0, 4))
    found = traj.bp.radial_distribution("6 angstrom", "0.3 angstrom", partials=True)
    edges = np.arange(21) * 0.3
    volume = abs(np.linalg.det(traj.cell.values))
    n = {s: int((traj.element.values == s).sum()) for s in ("Cu", "Zr")}
    for pair in found.pair.values.tolist():
        a, b = pair.split("-")
        others = n[b] - (a == b)
        exact = (
            brute_force_pairs(traj, edges, a, b)
            * volume
            / (n[a] * others * 4 / 3 * np.pi * np.diff(edges**3))
        )
        np.testing.assert_allclose(found.rdf.sel(pair=pair).values, exact, rtol=1e-9)
    total = traj.bp.radial_distribution("6 angstrom", "0.3 angstrom").rdf
    assert (
        float(abs((found.rdf * found.weight).sum("pair") - total).max()) < 0.1
    )  # N² against N(N−1)
    assert found.attrs["number_density"] == pytest.approx(40 / volume)


@pytest.mark.slow
def test_transforms_undo_each_other() -> None:
    """g(r) of hard spheres' kind → S(Q) → g(r), on grids that hold all of it."""
    r = np.arange(0.01, 40, 0.02)
    g = 1 + np.exp(-(((r - 3) / 0.6) ** 2)) - np.exp(-((r / 1.5) ** 2))
    data = xr.DataArray(
        g,
        dims="r",
        coords={"r": ("r", r, {"units": "angstrom"})},
        attrs={"units": "1", "quantity": "radial_distribution"},
    )
    Q = np.arange(0.01, 25, 0.02)
    sq = data.bp.to_structure_factor(
        Q, number_density="0.05 1/angstrom^3", window="none"
    )
    # The transform of the second Gaussian alone is one in closed form.
    hole = data.copy(data=1 - np.exp(-((r / 1.5) ** 2))).bp.to_structure_factor(
        Q, number_density=0.05, window="none"
    )
    exact = 1 - 0.05 * (np.sqrt(np.pi) * 1.5) ** 3 * np.exp(-((Q * 1.5 / 2) ** 2))
    np.testing.assert_allclose(hole.values, exact, atol=5e-5)
    back = sq.bp.to_radial_distribution(
        r[100:300], number_density="50 1/nm^3", window="none"
    )
    np.testing.assert_allclose(back.values, g[100:300], atol=2e-3)
    faded = data.bp.to_structure_factor(Q, number_density=0.05)
    assert float(abs(faded - sq).max()) < 0.1
    assert float(abs(faded - sq).max()) > 1e-4
    in_nm = data.assign_coords(r=("r", r / 10, {"units": "nm"}))
    np.testing.assert_allclose(
        in_nm.bp.to_structure_factor(Q, number_density=0.05, window="none").values,
        sq.values,
    )


@pytest.mark.slow
def test_transform_of_a_trajectory_is_its_structure_factor() -> None:
    gas = models.ideal_gas(400, 30, cell=16, T=300, mass=40, time_step=1.0, rng=3)
    g = gas.bp.radial_distribution()
    sq = g.bp.to_structure_factor(np.arange(3, 8, 0.5))
    np.testing.assert_allclose(sq.Sq.values, 1, atol=0.15)
    assert (sq.Sq_std.values > 0).all()
    pull = (sq.Sq - 1) / sq.Sq_std
    assert float(abs(pull).max()) < 4.5


def test_transforms_refuse_what_has_none(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match=r"needs g\(r\), not S\(Q\)"):
        glass.Sq.bp.to_structure_factor([1.0], number_density=0.05)
    with pytest.raises(QuantityError, match="window='hann'"):
        glass.Sq.bp.to_radial_distribution([1.0], number_density=0.05, window="hann")
    with pytest.raises(QuantityError, match="contains NaN"):
        glass.Sq.where(abs(glass.Q - 3) > 1).bp.to_radial_distribution(
            [1.0], number_density=0.05
        )
    for bad in ([], [0.0, 1.0], [2.0, 1.0]):
        with pytest.raises(RangeError, match="ascending positive"):
            glass.Sq.bp.to_radial_distribution(bad, number_density=0.05)
    for odd in (["a"], [[1.0]], object()):
        with pytest.raises(XbpError):
            glass.Sq.bp.to_radial_distribution(odd, number_density=0.05)
    g = glass.Sq.bp.to_radial_distribution([1.0, 2.0], number_density=0.05)
    np.testing.assert_array_equal(g, glass.Sq.bp.to_radial_distribution(
        xr.DataArray([0.1, 0.2], dims="r", attrs={"units": "nm"}), number_density=0.05))  # fmt: skip
    up_to = g.bp.to_structure_factor("8 1/angstrom")
    assert (up_to.sizes["Q"], float(up_to.Q[-1])) == (160, pytest.approx(8.0))
    with pytest.raises(
        UnitsError, match="'meV', which does not convert to '1/angstrom'"
    ):
        g.bp.to_structure_factor("8 meV")
    with pytest.raises(QuantityError, match=r"number_density=0\.06.*0\.05"):
        g.bp.to_structure_factor([1.0], number_density="0.06 1/angstrom^3")
    with pytest.raises(RangeError, match="positive"):
        g.bp.to_structure_factor([1.0], number_density=-1)
    scaled = glass.Sq.bp.scale(2.1)
    with pytest.raises(
        QuantityError, match=r"does not tend to 1[\s\S]*sq\.bp\.scale\(0\.4"
    ):
        scaled.bp.to_radial_distribution([1.0], number_density=0.05)
    with pytest.raises(QuantityError, match=r"F\(Q\)[\s\S]*add 1"):
        (glass.Sq - 1).assign_attrs(glass.Sq.attrs).bp.to_radial_distribution(
            [1.0], number_density=0.05
        )
    carried = glass.Sq.assign_attrs(V_rho=0.05).bp.to_radial_distribution([1.0, 2.0])
    np.testing.assert_array_equal(carried, g)
    del g.attrs["number_density"]
    with pytest.raises(QuantityError, match="number_density= is missing"):
        g.bp.to_structure_factor([1.0])


@pytest.mark.slow
def test_shared_glass_has_its_first_maximum(shared_data: object) -> None:
    traj = xbp.md.open_trajectory(f"{shared_data}/md/zr46cu46al8_trajectory.nc").isel(
        time=slice(None, None, 100)
    )
    Sq = traj.bp.structure_factor(4.0).Sq
    assert float(Sq.Q[Sq.argmax("Q")]) == pytest.approx(2.75, abs=0.06)


def test_a_wrong_density_or_scale_is_seen_below_the_first_shell() -> None:
    """g(r) is 0 where no two atoms are; with another density it is 1 - ρ_true/ρ there, which tells the true one."""
    Q = np.arange(0.05, 30, 0.05)
    sq = xbp.models.hard_sphere_structure_factor(
        Q, diameter="2.8 angstrom", packing_fraction=0.4
    ).Sq
    density = 6 * 0.4 / np.pi / 2.8**3
    right = sq.bp.to_radial_distribution("10 angstrom", number_density=density)
    assert not right.bp.diagnostics()
    for factor in (0.5, 3.0):
        (doubt,) = sq.bp.to_radial_distribution(
            "10 angstrom", number_density=factor * density
        ).bp.diagnostics()
        assert doubt.code == "core_not_empty"
        level = float(doubt.message.split()[2].strip(","))
        assert level == pytest.approx(1 - 1 / factor, abs=0.05)
        fitting = float(doubt.fix.split("=")[1].split()[0])
        assert fitting == pytest.approx(density, rel=0.05)


def test_ends_that_were_not_measured_are_left_out_and_gaps_are_not() -> None:
    Q = np.arange(0.05, 20, 0.05)
    sq = xbp.models.hard_sphere_structure_factor(Q).Sq
    whole = sq.isel(Q=slice(3, -5)).bp.to_radial_distribution(8, number_density=0.05)
    ends = sq.where((Q[2] < sq.Q) & (Q[-5] > sq.Q)).bp.to_radial_distribution(
        8, number_density=0.05
    )
    np.testing.assert_array_equal(ends, whole)
    with pytest.raises(QuantityError, match="contains NaN"):
        sq.where(abs(sq.Q - 5) > 0.2).bp.to_radial_distribution(8, number_density=0.05)


def test_the_hard_core_of_a_simulation_is_no_doubt() -> None:
    rng = np.random.default_rng(1)
    sites = 3.0 * np.stack(np.meshgrid(*[np.arange(4)] * 3), -1).reshape(-1, 3)
    frames = sites + 0.1 * rng.standard_normal((20, 64, 3))
    traj = new_trajectory(frames, time=np.arange(20.0), cell=12 * np.eye(3))
    g = traj.bp.radial_distribution("5 angstrom", "0.1 angstrom")
    assert float(g.rdf_std.sel(r=1, method="nearest")) == 0
    assert "standard deviation" not in repr(g.bp)


def test_bins_that_share_counts_are_not_taken_as_independent() -> None:
    Q = np.arange(0.05, 25, 0.05)
    sq = xbp.new_dataset(
        "static_structure_factor",
        1 + 0.5 * np.sin(2.5 * Q) * np.exp(-0.1 * Q),
        std=np.full(Q.size, 0.01),
        units="1",
        coords={"Q": (Q, "1/angstrom")},
    )
    whole, parts = (
        data.bp.to_radial_distribution([3.0, 6.0], number_density=0.05).rdf_std
        for data in (sq, sq.bp.rebin(Q="0.01 1/angstrom"))
    )
    np.testing.assert_allclose(parts, whole, rtol=0.02)


@pytest.mark.slow
def test_every_S_of_Q_states_the_smallest_wave_vector_of_its_box() -> None:
    """2π/L of a cube; of a skew cell a sum of reciprocal vectors; of an open side none."""
    gas = models.ideal_gas(30, 60, cell=12, T=300, mass=40, time_step=0.05, rng=1)
    Sq = gas.bp.structure_factor(2, 0.5, weights="unit")
    smallest = 2 * np.pi / 12
    assert float(Sq.box_Q_min) == pytest.approx(smallest)
    assert "box_Q_min 0.5236 1/angstrom" in repr(Sq.bp)
    assert "box_Q_min 0.5236 1/angstrom" in repr(Sq.Sq.bp)
    S = gas.bp.dynamic_structure_factor(2, 0.5, window="1 ps", weights="unit")
    few = S.bp.to_bqe().bp.cut_E((1, 3))
    assert float(few.box_Q_min) == pytest.approx(smallest)
    a = np.array([[12.0, 0, 0], [11.0, 12, 0], [0, 0, 10]])
    skew = gas.assign(cell=(("vector", "xyz"), a, {"units": "angstrom"}))
    hkl = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3), axis=-1).reshape(-1, 3)
    Q = np.linalg.norm(2 * np.pi * hkl @ np.linalg.inv(a).T, axis=1)
    found = skew.bp.structure_factor(2, 0.5, weights="unit").box_Q_min
    assert float(found) == pytest.approx(Q[Q > 0].min())
    film = gas.assign(
        cell=(("vector", "xyz"), np.diag([12.0, 10, 60]), {"units": "angstrom"})
    )
    film = film.assign_attrs(periodic="110")
    found = film.bp.structure_factor(2, 0.5, weights="unit").box_Q_min
    assert float(found) == pytest.approx(smallest)
