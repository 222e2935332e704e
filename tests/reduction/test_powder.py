from __future__ import annotations

from pathlib import Path

import dask.array
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.errors import CoordinateError, QuantityError, RangeError, UnitsError, XbpError
from xbp.io.geometry import angle_dataset
from xbp.reduction.curves import Curves
from xbp.reduction.kinematics import momentum_transfer

EI = 60.0


def spectra(
    values: np.ndarray,
    two_theta: np.ndarray,
    edges: np.ndarray,
    std: np.ndarray | None = None,
    **options: object,
) -> xr.Dataset:
    detector = np.arange(two_theta.size)
    options = {
        "incident_energy": EI,
        "ki_over_kf": True,
        "angles": {"two_theta": two_theta},
        "attrs": {},
    } | options
    std = np.ones_like(values) if std is None else std
    return angle_dataset(values, std, detector=detector, E=edges, **options)  # type: ignore[arg-type]


def cells(ds: xr.Dataset, limits: np.ndarray) -> np.ndarray:
    """Areas of the cells between curves of constant angle, (n_detector, n_E)."""
    edges = np.append(ds.E_bnds[:, 0], ds.E_bnds[-1, 1])
    whole = Curves(limits.ravel(), edges, EI).whole.reshape(2, -1, edges.size - 1)
    return whole[1] - whole[0]


def everything(
    n_detector: int = 40, n_energy: int = 60, seed: int = 0
) -> tuple[xr.Dataset, np.ndarray]:
    """Detectors from 0 to 180 degrees, so that their cells fill all that a neutron can reach."""
    angle_edges = np.linspace(0, 180, n_detector + 1)
    values = np.random.default_rng(seed).random((n_detector, n_energy)) + 0.5
    ds = spectra(
        values,
        (angle_edges[1:] + angle_edges[:-1]) / 2,
        np.linspace(-45, 59, n_energy + 1),
    )
    return ds, np.stack([angle_edges[:-1], angle_edges[1:]])


def covered(ds: xr.Dataset, dQ: float) -> np.ndarray:
    """Area of each bin of (Q, E) that the cells cover, from the map of a function that is 1 everywhere."""
    edges = np.append(ds.E_bnds[:, 0], ds.E_bnds[-1, 1])
    q_edges = np.arange(0, 13 + dQ, dQ)
    curves = Curves(np.array([0.0, 180.0]), edges, EI)
    areas = np.zeros((q_edges.size - 1, edges.size - 1))
    for e in range(edges.size - 1):
        at = np.array([e])
        below = [
            [curves.below(np.array([q]), at + i * (edges.size - 1))[0] for q in q_edges]
            for i in (0, 1)
        ]
        areas[:, e] = np.diff(np.subtract(below[1], below[0]))
    return areas


@pytest.mark.slow
def test_the_integral_is_kept() -> None:
    ds, limits = everything()
    out = ds.bp.angle_to_Q(np.arange(0, 13.1, 0.1))
    areas = covered(ds, 0.1)[: out.sizes["Q"]]
    total = float((cells(ds, limits) * ds.S.values).sum())
    assert float(np.nansum(out.S.values * areas)) == pytest.approx(total, rel=1e-12)
    # Energy by energy too.
    each = (cells(ds, limits) * ds.S.values).sum(axis=0)
    np.testing.assert_allclose(
        np.nansum(out.S.values * areas, axis=0), each, rtol=1e-10
    )


@pytest.mark.slow
def test_the_variance_is_kept_where_it_is_shared() -> None:
    ds, limits = everything()
    ds["S_std"] = ds.S_std * (1 + ds.S)
    shared = ds.bp.angle_to_Q(np.arange(0, 13.1, 0.1), variance="shared")
    areas = covered(ds, 0.1)[: shared.sizes["Q"]]
    total = float(((cells(ds, limits) * ds.S_std.values) ** 2).sum())
    assert float(np.nansum((shared.S_std.values * areas) ** 2)) == pytest.approx(
        total, rel=1e-12
    )
    exact = ds.bp.angle_to_Q(np.arange(0, 13.1, 0.1))
    assert (
        exact.S_std <= shared.S_std * (1 + 1e-9)
    ).sum() == exact.S_std.notnull().sum()
    xr.testing.assert_equal(exact.S.drop_vars("Q_independence"), shared.S)


def test_what_is_flat_stays_flat() -> None:
    ds, _ = everything()
    out = (ds * 0 + 3).assign(S=ds.S * 0 + 3).bp.angle_to_Q("0.07 1/angstrom")
    seen = out.S.notnull()
    np.testing.assert_allclose(out.S.values[seen], 3, rtol=1e-9)
    reach = momentum_transfer(ds.E_bnds.values, EI, 180.0).max(axis=1)
    least = np.where(
        ds.E > 0,
        momentum_transfer(ds.E_bnds.values[:, 0], EI, 0.0),
        momentum_transfer(ds.E_bnds.values[:, 1], EI, 0.0),
    )
    inside = (out.Q_bnds[:, 0] < xr.DataArray(reach, dims="E")) & (
        out.Q_bnds[:, 1] > xr.DataArray(least, dims="E")
    )
    assert (seen & ~inside).sum() == 0
    assert (~seen & inside).sum() <= 3  # slivers of rounding


def clip(
    polygon: list[tuple[float, float]], axis: int, limit: float, sign: int
) -> list[tuple[float, float]]:
    """Cut a polygon at a line, Sutherland-Hodgman."""
    out = []
    for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        inside = [(p[axis] - limit) * sign >= 0 for p in (a, b)]
        if inside[0] != inside[1]:
            t = (limit - a[axis]) / (b[axis] - a[axis])
            out.append((a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])))
        if inside[1]:
            out.append(b)
    return out


def area(polygon: list[tuple[float, float]]) -> float:
    x, y = np.array(polygon or [(0.0, 0.0)]).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


@pytest.mark.slow
def test_brute_force_polygons() -> None:
    angles, edges = (
        np.array([5.0, 25.0, 32.0, 80.0]),
        np.array([-30.0, -12.0, 5.0, 31.0, 58.0]),
    )
    values = np.random.default_rng(1).random((4, 4))
    ds = spectra(values, angles, edges)
    q_edges = np.linspace(0.5, 8, 12)
    out = ds.bp.angle_to_Q(q_edges, angle_width="8 degree")
    for e in range(4):
        energy = np.linspace(edges[e], edges[e + 1], 801)
        for q in range(11):
            shares = []
            for angle in angles:
                sides = [
                    momentum_transfer(energy, EI, angle + side) for side in (-4, 4)
                ]
                outline = [
                    *zip(sides[0], energy, strict=True),
                    *zip(sides[1][::-1], energy[::-1], strict=True),
                ]
                shares.append(
                    area(clip(clip(outline, 0, q_edges[q], 1), 0, q_edges[q + 1], -1))
                )
            expected = (
                np.dot(shares, values[:, e]) / sum(shares)
                if sum(shares) > 1e-6
                else np.nan
            )
            assert float(out.S[q, e]) == pytest.approx(expected, rel=1e-5, nan_ok=True)
            spread = (
                np.linalg.norm(shares) / sum(shares) if sum(shares) > 1e-6 else np.nan
            )
            assert float(out.S_std[q, e]) == pytest.approx(
                spread, rel=1e-5, nan_ok=True
            )


@pytest.mark.slow
def test_pulls_are_one_under_poisson_counts() -> None:
    ds, _ = everything(20, 15)
    rng = np.random.default_rng(5)
    truth = 50 * ds.S.values
    expected = ds.assign(S=ds.S.copy(data=truth)).bp.angle_to_Q("0.3 1/angstrom").S
    many = xr.concat([ds.assign(S_std=ds.S_std.copy(data=np.sqrt(truth)))] * 300, "run")
    counts = rng.poisson(many.S.copy(data=50 * many.S.values)).astype(float)
    noisy = many.assign(S=many.S.copy(data=counts))
    out = noisy.bp.angle_to_Q("0.3 1/angstrom")
    pulls = ((out.S - expected) / out.S_std).transpose("run", ...).values
    spread = np.std(pulls[:, expected.notnull().values], axis=0)
    assert spread.mean() == pytest.approx(1, abs=0.01)
    assert spread.min() > 0.8
    assert spread.max() < 1.2


def test_masked_cells_are_left_out() -> None:
    ds, _ = everything(30, 10)
    ds = ds.assign(S=ds.S * 0 + 2)
    holes = ds.S.where(ds.detector % 7 != 3)
    holes[5, 4] = np.nan
    out = ds.assign(S=holes).bp.angle_to_Q("0.1 1/angstrom")
    full = ds.bp.angle_to_Q("0.1 1/angstrom")
    assert out.S.isnull().sum() > full.S.isnull().sum()
    np.testing.assert_allclose(out.S.values[out.S.notnull()], 2, rtol=1e-9)
    unknown = ds.assign_coords(two_theta=ds.two_theta.where(ds.detector != 3))
    assert (
        unknown.bp.angle_to_Q("0.1 1/angstrom", angle_width="6 degree")
        .S.notnull()
        .any()
    )


def test_widths_of_detectors() -> None:
    angles = {
        "two_theta": np.array([30.0, 60.0]),
        "two_theta_width": np.array([1.0, 20.0]),
    }
    ds = spectra(
        np.array([[1.0], [2.0]]),
        angles["two_theta"],
        np.array([-0.5, 0.5]),
        angles=angles,
    )
    own = ds.bp.angle_to_Q("0.01 1/angstrom", angle_width="detector").S
    ki = 2 * np.pi / np.sqrt(81.8042 / EI)
    for value, angle, width in ((1, 30, 1), (2, 60, 20)):
        at = own.Q[(own == value).squeeze()]
        expected = [
            2 * ki * np.sin(np.radians(angle + side * width / 2) / 2)
            for side in (-1, 1)
        ]
        np.testing.assert_allclose([at.min(), at.max()], expected, atol=0.05)
    meeting = ds.bp.angle_to_Q("0.01 1/angstrom").S
    middle = 2 * ki * np.sin(np.radians(45) / 2)
    assert float(meeting.Q[(meeting == 1).squeeze()].max()) == pytest.approx(
        middle, abs=0.03
    )
    assert float(meeting.Q[(meeting == 2).squeeze()].min()) == pytest.approx(
        middle, abs=0.03
    )


def test_the_cross_section_becomes_s() -> None:
    ds, _ = everything(30, 20)
    done = ds.bp.angle_to_Q("0.2 1/angstrom")
    kf_over_ki = np.sqrt(1 - ds.E / EI)
    raw = ds.assign(
        S=(ds.S * kf_over_ki).assign_attrs(ds.S.attrs),
        S_std=(ds.S_std * kf_over_ki).assign_attrs(ds.S_std.attrs),
    )
    raw.S.attrs["ki_over_kf"] = "not applied"
    xr.testing.assert_allclose(
        raw.bp.angle_to_Q("0.2 1/angstrom").S, done.S, rtol=1e-12
    )
    assert raw.bp.angle_to_Q("0.2 1/angstrom").S.attrs["ki_over_kf"] == "applied"
    del raw.S.attrs["ki_over_kf"]
    with pytest.raises(QuantityError, match="ki_over_kf") as caught:
        raw.bp.angle_to_Q("0.2 1/angstrom")
    assert "None" not in str(caught.value)
    xr.testing.assert_allclose(
        raw.bp.angle_to_Q("0.2 1/angstrom", ki_over_kf="not applied").S,
        done.S,
        rtol=1e-12,
    )
    with pytest.raises(QuantityError):
        ds.bp.angle_to_Q("0.2 1/angstrom", ki_over_kf="not applied")


@pytest.mark.slow
@given(
    st.sampled_from(["meV", "THz", "1/cm", "ueV"]), st.sampled_from(["degree", "rad"])
)
def test_units_do_not_matter(energy: str, angle: str) -> None:
    ds, _ = everything(12, 8)
    other = ds.bp.convert(E=energy)
    factor = {"degree": 1.0, "rad": np.pi / 180}[angle]
    other = other.assign_coords(
        two_theta=("detector", ds.two_theta.values * factor, {"units": angle})
    )
    reference = ds.bp.angle_to_Q("0.5 1/angstrom")
    back = other.bp.angle_to_Q("5 1/nm").bp.convert(E="meV")
    np.testing.assert_allclose(back.S, reference.S, rtol=1e-9)
    np.testing.assert_allclose(back.S_std, reference.S_std, rtol=1e-9)


@pytest.mark.slow
def test_dask_and_further_dimensions_give_the_same() -> None:
    ds, _ = everything(23, 12)
    two = xr.concat([ds, ds.assign(S=2 * ds.S)], xr.DataArray([5.0, 300.0], dims="temperature", attrs={"units": "K"}),
                    coords="minimal", compat="override", join="override")  # fmt: skip
    reference = ds.bp.angle_to_Q("0.2 1/angstrom")
    both = two.bp.angle_to_Q("0.2 1/angstrom")
    assert both.S.dims == ("temperature", "Q", "E")
    np.testing.assert_allclose(both.S[1], 2 * reference.S, rtol=1e-12)
    np.testing.assert_allclose(both.S[0], reference.S, rtol=1e-12)
    lazy = two.chunk(detector=5, E=4, temperature=1).bp.angle_to_Q("0.2 1/angstrom")
    assert isinstance(lazy.S.data, dask.array.Array)
    xr.testing.assert_allclose(lazy.compute(), both, rtol=1e-10)


def test_answers_are_labelled_and_kept() -> None:
    ds, _ = everything(12, 8)
    out = ds.assign_coords(temperature=((), 5.0, {"units": "K"})).bp.angle_to_Q(
        "0.5 1/angstrom"
    )
    assert (out.S.attrs["quantity"], out.S.attrs["units"]) == (
        "dynamic_structure_factor",
        "1/meV",
    )
    assert '"operation": "angle_to_Q"' in out.S.attrs["history"]
    assert (float(out.temperature), float(out.incident_energy)) == (5, EI)
    assert "two_theta" not in out.coords
    np.testing.assert_allclose(out.Q_bnds[:, 1] - out.Q_bnds[:, 0], 0.5)
    assert out.bp.to_bqe(u2=0.01).B.dims == ("Q", "E")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"Q": 0}, RangeError), ({"Q": "-1 1/angstrom"}, RangeError), ({"Q": "1 meV"}, UnitsError), ({"Q": [2, 1]}, RangeError),
        ({"Q": [-1, 1]}, RangeError), ({"Q": 1, "incident_energy": 50}, CoordinateError), ({"Q": 1, "variance": "poisson"}, QuantityError),
        ({"Q": 1, "ki_over_kf": True}, QuantityError), ({"Q": 1, "angle_width": "detector"}, CoordinateError),
        ({"Q": 1, "angle_width": 0}, CoordinateError), ({"Q": 1, "angle_width": "wide"}, XbpError), ({"Q": float("nan")}, XbpError),
    ],
    ids=str,
)  # fmt: skip
def test_bad_arguments(options: dict[str, object], kind: type[XbpError]) -> None:
    ds, _ = everything(12, 8)
    with pytest.raises(kind):
        ds.bp.angle_to_Q(**options)


def test_bad_data(glass: xr.Dataset) -> None:
    ds, _ = everything(12, 8)
    nowhere = ds.two_theta.copy(data=np.full(12, np.nan))
    for bad in (
        ds.drop_vars("incident_energy"), ds.drop_vars("two_theta"), ds.assign_coords(two_theta=nowhere),
        ds.assign_coords(two_theta=ds.two_theta + 90), ds.assign_coords(two_theta=ds.two_theta - 90), ds.isel(detector=[0]),
        ds.assign_coords(incident_energy=-ds.incident_energy), glass, ds.bp.cut_E(5, width=8),
    ):  # fmt: skip
        for array in bad.coords.values():
            array.attrs.setdefault(
                "units",
                {"two_theta": "degree", "incident_energy": "meV"}.get(
                    str(array.name), "1"
                ),
            )
        with pytest.raises(XbpError):
            bad.bp.angle_to_Q(1)


def test_limits_of_an_instrument() -> None:
    ds, _ = everything(12, 8)
    limits = ds.bp.kinematic_limits()
    np.testing.assert_allclose(limits.Q_min, momentum_transfer(ds.E.values, EI, 7.5))
    np.testing.assert_allclose(limits.Q_max, momentum_transfer(ds.E.values, EI, 172.5))
    wide = ds.S.bp.angle_to_Q(0.5).bp.kinematic_limits((0, "3.141592653589793 rad"))
    np.testing.assert_allclose(wide.Q_max, momentum_transfer(ds.E.values, EI, 180.0))
    beyond = ds.drop_vars("incident_energy").bp.kinematic_limits(
        incident_energy="20 meV"
    )
    np.testing.assert_array_equal(beyond.Q_min.isnull(), ds.E > 20)
    for bad in ((10, 5), (0, 181), (-1, 5)):
        with pytest.raises(RangeError):
            ds.bp.kinematic_limits(bad)


@pytest.mark.slow
def test_aluminium_on_mari(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "ins" / "MAR21335_Ei60meV.nxs")
    out = ds.bp.angle_to_Q("0.05 1/angstrom")
    limits = ds.bp.kinematic_limits()
    seen = out.S.notnull()
    assert ((out.Q.where(seen).max("Q") - limits.Q_max).max()) < 0.2
    assert ((limits.Q_min - out.Q.where(seen).min("Q")).max()) < 0.2
    # The Bragg peaks of aluminium, a = 4.05 angstrom: 111 and 200.
    elastic = out.bp.cut_E(0, width="2 meV").S
    for hkl in (3, 4):
        Q = 2 * np.pi / 4.05 * np.sqrt(hkl)
        near = elastic.sel(Q=slice(Q - 0.2, Q + 0.2))
        assert float(near.idxmax()) == pytest.approx(Q, abs=0.06)
    # One-phonon: E²-corrected intensity at high Q peaks near 20 and 35 meV.
    g = out.bp.to_gdos(u2=0).bp.cut_Q((6, 9)).G
    assert float(g.sel(E=slice(12, 27)).idxmax()) == pytest.approx(20, abs=3)
    assert float(g.sel(E=slice(30, 41)).idxmax()) == pytest.approx(35, abs=3)


@pytest.mark.slow
def test_benzene_less_its_can(shared_data: Path) -> None:
    sample, can = (
        xr.open_dataset(
            shared_data / "ins" / f"{name}.nxspe", engine="nxspe", T="290 K"
        )
        for name in ("benzene_290_360_inc", "empty_360_inc")
    )
    difference = sample.bp.subtract(can)
    out = difference.bp.angle_to_Q("0.1 1/angstrom")
    assert float(out.bp.cut_E(0, width="0.1 meV").S.median()) > 0
    apart = sample.bp.angle_to_Q("0.1 1/angstrom").bp.subtract(
        can.bp.angle_to_Q("0.1 1/angstrom")
    )
    both = out.S.notnull() & apart.S.notnull()
    np.testing.assert_allclose(
        out.S.values[both], apart.S.values[both], atol=1e-9 * float(abs(sample.S).max())
    )
    # The can's Bragg line hides behind the sample: a transmission below one, known to 5 %, leaves more, less certainly.
    shielded = sample.bp.subtract(can, scale=0.9, scale_std=0.05)
    np.testing.assert_allclose(shielded.S, sample.S - 0.9 * can.S)
    elastic = abs(can.E) < 0.05
    more = (shielded.S - difference.S).where(elastic)
    assert float(more.mean()) == pytest.approx(
        0.1 * float(can.S.where(elastic & sample.S.notnull()).mean()), rel=1e-6
    )
    # Of the line the can is a fifteenth, of what lies beyond 0.5 meV a hundredth.
    share = can.S.sum("detector") / sample.S.sum("detector")
    assert 0.05 < float(share.sel(E=slice(-0.05, 0.05)).mean()) < 0.1
    assert float(share.sel(E=slice(0.5, 2)).mean()) < 0.015
    not_applied = can.assign(S=can.S.assign_attrs(ki_over_kf="not applied"))
    with pytest.raises(QuantityError, match="ki_over_kf"):
        sample.bp.subtract(not_applied)


EF, C = 1.845, 2.0721248  # meV, meV Å²


def indirect(energies: object = EF, n: int = 12, **options: object) -> xr.Dataset:
    angle_edges = np.linspace(10, 160, n + 1)
    values = np.random.default_rng(3).random((n, 40)) + 0.5
    edges = np.linspace(-1.0, 3.0, 41)
    options = {"incident_energy": None, "final_energy": energies} | options
    return spectra(
        values, (angle_edges[1:] + angle_edges[:-1]) / 2, edges, values / 10, **options
    )


def by_hand(energy: float, final: float, two_theta: float) -> float:
    """Q from the vectors k_i = (k, 0) and k_f, which has the angle 2θ to it."""
    ki, kf = np.sqrt((final + energy) / C), np.sqrt(final / C)
    angle = np.radians(two_theta)
    return float(np.hypot(ki - kf * np.cos(angle), kf * np.sin(angle)))


@pytest.mark.slow
def test_indirect_geometry_has_its_own_q() -> None:
    """At 2θ = 100°, E_f = 1.845 meV and E = 1.2 meV Q is 1.66 1/angstrom; in direct geometry it were 1.18."""
    ds = indirect()
    assert ds.S.attrs["geometry"] == "indirect"
    for energy, expected in ((1.2, 1.66), (0.4, 1.521), (-0.4, 1.364)):
        assert by_hand(energy, EF, 100) == pytest.approx(expected, abs=0.005)
        row = ds.S.sel(E=energy, method="nearest")
        limits = ds.S.bp.kinematic_limits(("99.9 degree", "100.1 degree")).sel(
            E=float(row.E)
        )
        assert float(limits.Q_max + limits.Q_min) / 2 == pytest.approx(
            by_hand(float(row.E), EF, 100), abs=1e-5
        )
    # One narrow detector: what it counted lies at its Q.
    narrow = spectra(
        np.ones((1, 40)),
        np.array([100.0]),
        np.linspace(-1, 3, 41),
        incident_energy=None,
        final_energy=EF,
    )
    out = narrow.bp.angle_to_Q("0.002 1/angstrom", angle_width="0.01 degree")
    for energy in out.E.values:
        here = out.S.sel(E=energy)
        span = [by_hand(energy + side * 0.05, EF, 100) for side in (-1, 1)]
        assert (
            span[0] - 0.004
            <= float(out.Q[here.notnull()].min())
            <= float(out.Q[here.notnull()].max())
            <= span[1] + 0.004
        )


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [False, True])
def test_indirect_geometry_keeps_the_integral(lazy: bool) -> None:
    ds = indirect()
    out = (ds.chunk(detector=5) if lazy else ds).bp.angle_to_Q(0.1)
    flat = ds.copy()
    flat["S"], flat["S_std"] = xr.ones_like(ds.S), xr.ones_like(ds.S)
    np.testing.assert_allclose(flat.bp.angle_to_Q(0.1).S.fillna(1), 1, rtol=1e-12)
    # One bin of Q: the mean over the cells, each weighed by its area ∫ ΔQ dE.
    wide = ds.bp.angle_to_Q([0, 10])
    angles = np.linspace(10, 160, 13)
    edges = np.linspace(-1.0, 3.0, 41)
    for e in (0, 17, 39):
        fine = np.linspace(edges[e], edges[e + 1], 401)
        q = np.array([[by_hand(x, EF, a) for x in fine] for a in angles])
        area = np.trapezoid(np.diff(q, axis=0), fine, axis=1)
        assert float(wide.S[0, e]) == pytest.approx(
            float((area * ds.S[:, e]).sum() / area.sum()), rel=1e-5
        )
    assert float(out.final_energy) == EF
    assert out.S.attrs["geometry"] == "indirect"


def test_k_i_over_k_f_in_indirect_geometry() -> None:
    ds = indirect(ki_over_kf=False)
    ds["S"] = xr.ones_like(ds.S)
    out = ds.bp.angle_to_Q([0, 10])
    np.testing.assert_allclose(out.S[0], np.sqrt((EF + ds.E) / EF), rtol=1e-12)
    direct = indirect(final_energy=None, incident_energy=10.0, ki_over_kf=False)
    direct["S"] = xr.ones_like(direct.S)
    np.testing.assert_allclose(
        direct.bp.angle_to_Q([0, 10]).S[0], np.sqrt(10 / (10 - ds.E)), rtol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("kind", ["final_energy", "incident_energy"])
def test_an_energy_for_each_detector(kind: str, lazy: bool) -> None:
    energies = np.where(np.arange(12) < 6, 3.2, 3.9)
    options = {"final_energy": None, "incident_energy": None, kind: energies}
    ds = indirect(**options)
    assert ds[kind].dims == ("detector",)
    out = (ds.chunk(detector=4) if lazy else ds).bp.angle_to_Q(
        "0.05 1/angstrom", angle_width="12.5 degree"
    )
    weights, sums = [], []
    for energy in (3.2, 3.9):
        part = ds.isel(detector=energies == energy).drop_vars(kind)
        edges = np.append(out.Q_bnds[:, 0], out.Q_bnds[-1, 1])
        each = part.bp.angle_to_Q(edges, angle_width="12.5 degree", **{kind: energy})
        ones = part.assign(S=part.S * 0 + 1)
        fine = ones.bp.angle_to_Q(edges, angle_width="12.5 degree", **{kind: energy})
        assert (fine.S.notnull() == each.S.notnull()).all()
        weights.append(each.S.notnull())
        sums.append(each.S)
    alone = weights[0] ^ weights[1]
    expected = xr.where(weights[0], sums[0], sums[1])
    np.testing.assert_allclose(out.S.where(alone), expected.where(alone), rtol=1e-12)
    both = weights[0] & weights[1]
    low, high = np.minimum(*sums), np.maximum(*sums)
    assert bool((out.S - low).where(both, 0).min() > -1e-9)
    assert bool((high - out.S).where(both, 0).min() > -1e-9)
    limits = ds.bp.kinematic_limits()
    q = [
        momentum_transfer(ds.E.values, e, 16.25, ds.S.attrs["geometry"])
        for e in (3.2, 3.9)
    ]
    np.testing.assert_allclose(limits.Q_min, np.fmin(*q))


def test_contradictory_geometries() -> None:
    ds = indirect()
    for bad in (
        lambda: ds.bp.angle_to_Q(1, incident_energy="5 meV"),
        lambda: ds.bp.angle_to_Q(1, final_energy="5 meV"),
        lambda: ds.bp.kinematic_limits(incident_energy="5 meV"),
        lambda: ds.drop_vars("final_energy").bp.angle_to_Q(1),
        lambda: ds.drop_vars("final_energy").bp.angle_to_Q(1, incident_energy="5 meV"),
        lambda: ds.drop_vars("final_energy").bp.angle_to_Q(1, final_energy="-5 meV"),
        lambda: ds.assign_coords(
            incident_energy=((), 5.0, {"units": "meV"})
        ).bp.angle_to_Q(1),
    ):
        with pytest.raises(CoordinateError):
            bad()
    given = ds.drop_vars("final_energy").bp.angle_to_Q(1, final_energy=f"{EF} meV")
    xr.testing.assert_allclose(given, ds.bp.angle_to_Q(1))


def test_limits_of_one_angle() -> None:
    ds, _ = everything(12, 8)
    expected = momentum_transfer(ds.E.values, EI, 100.0)
    for angle in (
        "100 degree",
        100,
        (100, "100 degree"),
        xr.DataArray(100.0, attrs={"units": "degree"}),
    ):
        limits = ds.bp.kinematic_limits(angle)
        np.testing.assert_allclose(limits.Q_min, expected)
        np.testing.assert_allclose(limits.Q_max, expected)
    one = ds.isel(detector=[3])
    own = one.bp.kinematic_limits()
    np.testing.assert_allclose(
        own.Q_min, momentum_transfer(ds.E.values, EI, float(one.two_theta[0]))
    )
    np.testing.assert_array_equal(own.Q_min, own.Q_max)
    for bad in ("181 degree", (1, 2, 3), [50], "left"):
        with pytest.raises(XbpError):
            ds.bp.kinematic_limits(bad)


@pytest.mark.parametrize("gap", [0.5, 20.0])
def test_bins_of_E_with_gaps_are_refused(gap: float) -> None:
    angles, edges = np.array([30.0, 60, 90, 120]), np.linspace(-3, 3, 7)
    data = spectra(np.ones((4, 6)), angles, edges)  # the third bin ends at E = 0
    bounds = data.E_bnds.copy()
    width = float(bounds[0, 1] - bounds[0, 0])
    bounds[3:] += gap * width
    moved = data.assign_coords(E=data.E + np.where(np.arange(6) < 3, 0, gap * width))
    moved["E"].attrs = data.E.attrs
    with pytest.raises(CoordinateError, match="gaps"):
        moved.assign_coords(E_bnds=(bounds.dims, bounds.values)).bp.angle_to_Q(0.5)


def test_bins_without_a_number_or_an_error_hold_a_whole_bin() -> None:
    """Nothing is divided by their share of an independent bin."""
    data, _ = everything(n_detector=8, n_energy=6)
    name = next(iter(data.data_vars))
    value, std = data[name].copy(), data[f"{name}_std"].copy()
    value[2:5, :3], std[2:5, :3] = 0.0, 0.0
    value[:, 4], std[:, 4] = np.nan, np.nan
    S = data.assign({name: value, f"{name}_std": std}).bp.angle_to_Q(0.5).S
    assert (S.Q_independence > 0).all()
    assert (S.Q_independence.where(S.isnull(), 1.0) == 1).all()


@pytest.mark.parametrize("variance", ["exact", "shared"])
def test_errors_of_bins_narrow_in_E_are_those_of_intervals_of_Q(variance: str) -> None:
    """There a cell is an interval of Q, and it shares a length with a bin."""
    rng, ends = np.random.default_rng(3), np.arange(15.0, 126, 10)
    S, std = rng.random((11, 1)) + 0.5, rng.random((11, 1)) + 0.1
    data = spectra(S, ends[:-1] + 5, np.array([7.0, 7.00001]), std)
    edges = np.array([1.5, 2.0, 2.13, 2.6, 5.0, 7.5])
    found = data.bp.angle_to_Q(edges, variance=variance)
    Q = momentum_transfer(np.array([7.0]), EI, ends[:, None], "direct")[:, 0]
    shared = np.minimum(Q[1:, None], edges[1:]) - np.maximum(Q[:-1, None], edges[:-1])
    shared = np.maximum(shared, 0.0)
    total = shared.sum(axis=0)
    expected = (shared * S).sum(axis=0) / total
    np.testing.assert_allclose(found.S.isel(E=0), expected, rtol=1e-5)
    whole = np.diff(Q)[:, None] if variance == "shared" else shared
    error = np.sqrt((shared * whole * std**2).sum(axis=0)) / total
    np.testing.assert_allclose(found.S_std.isel(E=0), error, rtol=1e-5)


@pytest.mark.parametrize("step", [0.02, 0.1])
def test_a_cut_over_fine_bins_of_Q_has_the_error_of_its_detectors(step: float) -> None:
    ends = np.arange(5.0, 146, 2)
    data = spectra(np.ones((70, 1)), ends[:-1] + 1, np.array([7.0, 7.00001]))
    cut = data.bp.angle_to_Q(step).bp.cut_Q((2, 7))
    Q = momentum_transfer(np.array([7.0]), EI, ends[:, None], "direct")[:, 0]
    own = np.clip(Q[1:], 2, 7) - np.clip(Q[:-1], 2, 7)
    assert float(cut.S_std[0]) == pytest.approx(np.sqrt((own**2).sum()) / 5, rel=0.03)


def test_bins_of_any_size_are_filled() -> None:
    """A flat S stays flat in bins of 10⁻¹⁰ meV by 0.1 1/Å."""
    E = 1e-10 * np.arange(0.5, 4)
    flat = xbp.new_dataset(
        "detector_spectra",
        np.ones((3, 4)),
        units="1/meV",
        statistics="quantum",
        coords={"detector": ([1, 2, 3], "1"), "E": (E, "meV")},
    ).assign_coords(two_theta=("detector", [30.0, 60, 90], {"units": "degree"}))
    one = {"incident_energy": "20 meV", "ki_over_kf": "applied"}
    S = flat.bp.angle_to_Q(0.1, **one).S.sel(Q=slice(1.5, 4))
    np.testing.assert_allclose(S, 1, rtol=1e-5)
