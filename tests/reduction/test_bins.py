from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, RangeError, UnitsError


@pytest.fixture
def ramp() -> xr.Dataset:
    """B = Q + 10 E on bins of width 1, std 1 everywhere."""
    Q, E = np.arange(1.0, 6.0), np.arange(1.0, 11.0)
    return xbp.new_dataset(
        "reduced_dos", Q[:, None] + 10 * E, units="angstrom^2/meV^2", std=np.ones((5, 10)),
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")},
        edges={"Q": np.arange(0.5, 6.0), "E": np.arange(0.5, 11.0)},
    )  # fmt: skip


def test_cut_weighs_by_overlap(ramp: xr.Dataset) -> None:
    cut = ramp.bp.cut_E(("2 meV", "4.25 meV"))
    weights = np.array([0.5, 1.0, 0.75])
    np.testing.assert_allclose(
        cut.B, ramp.Q + 10 * (weights @ [2, 3, 4]) / weights.sum()
    )
    np.testing.assert_allclose(cut.B_std, np.sqrt((weights**2).sum()) / weights.sum())
    assert float(cut.E) == 3.125
    np.testing.assert_allclose(cut.E_bnds, [2, 4.25])


def test_cut_in_other_units_and_forms_is_the_same(ramp: xr.Dataset) -> None:
    reference = ramp.bp.cut_E("3 meV", width="1.5 meV")
    thz = 0.2417989242084918
    for E, width in (
        (3, 1.5),
        (f"{3 * thz} THz", "1500 ueV"),
        (xr.DataArray(3.0, attrs={"units": "meV"}), 1.5),
    ):
        xr.testing.assert_allclose(ramp.bp.cut_E(E, width=width), reference)
    xr.testing.assert_allclose(ramp.bp.cut_E((2.25, "3.75 meV")), reference)
    xr.testing.assert_allclose(ramp.bp.cut_E(slice(2.25, 3.75)), reference)


def test_nan_bins_are_left_out(ramp: xr.Dataset) -> None:
    ramp.B[0, 2] = np.nan
    ramp.B[1, 1:4] = np.nan
    cut = ramp.bp.cut_E((1.5, 4.5))
    assert float(cut.B[0]) == pytest.approx(1 + 10 * 3)  # mean of E = 2 and 4
    assert float(cut.B_std[0]) == pytest.approx(np.sqrt(2) / 2)
    assert np.isnan(cut.B[1])
    assert float(cut.B[2]) == pytest.approx(3 + 10 * 3)


@pytest.mark.parametrize(
    ("E", "width", "error", "says"),
    [
        ((9, 12), None, RangeError, "reaches beyond the data"), ((20, 30), None, RangeError, "no data in E"),
        ((4, 2), None, RangeError, "lower limit"), ((3, 3), None, RangeError, "lower limit"),
        ("3 K", 1, UnitsError, "does not convert to 'meV'"), (3, None, RangeError, "width= is missing"),
        (3, 0, RangeError, "width=0"), ((2, 4), 1, QuantityError, "width=1"),
        (float("nan"), 1, UnitsError, "nan"),
    ],
    ids=str,
)  # fmt: skip
def test_bad_intervals(
    ramp: xr.Dataset, E: object, width: object, error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        ramp.bp.cut_E(E, width=width)


def test_an_interval_of_nothing_but_nan_is_an_error(ramp: xr.Dataset) -> None:
    ramp.B[:, 3] = np.nan
    with pytest.raises(RangeError, match="are NaN"):
        ramp.bp.cut_E(4, width=0.5)


def test_cut_twice_is_an_error(ramp: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="dimension 'E'"):
        ramp.bp.cut_E(3, width=1).bp.cut_E(3, width=1)


def test_every_sample_at_its_own_energy(ramp: xr.Dataset) -> None:
    both = xr.concat([ramp, ramp], dim="sample")
    centre = xr.DataArray([3.0, 5.0], dims="sample", attrs={"units": "meV"})
    cut = both.bp.cut_E(centre, width=1)
    for i, E in enumerate((3.0, 5.0)):
        np.testing.assert_allclose(cut.B.isel(sample=i), ramp.B.sel(E=E))
    with pytest.raises(RangeError, match="not finite in 1 of 2"):
        both.bp.cut_E(centre.where(centre > 4), width=1)


def test_companions_on_the_same_grid_stay(glass: xr.Dataset) -> None:
    assert set(glass.bp.to_bqe().data_vars) == {
        "B",
        "B_std",
        "Sq",
        "Sq_std",
        "g",
        "g_std",
    }
    assert set(glass.bp.to_bqe().bp.cut_E(3, width=1).data_vars) == {
        "B",
        "B_std",
        "Sq",
        "Sq_std",
    }
    assert set(glass.bp.to_bqe().bp.cut_Q((2, 4)).data_vars) == {
        "B",
        "B_std",
        "g",
        "g_std",
    }


def integral(data: xr.DataArray, bounds: xr.DataArray) -> xr.DataArray:
    return (data * (bounds[:, 1] - bounds[:, 0])).sum(bounds.dims[0])


def test_rebin_keeps_the_integral(ramp: xr.Dataset) -> None:
    edges = np.array([0.5, 1.25, 2.0, 4.75, 10.5])
    new = ramp.bp.rebin(E=edges)
    np.testing.assert_allclose(
        integral(new.B, new.E_bnds), integral(ramp.B, ramp.E_bnds), rtol=1e-12
    )
    np.testing.assert_allclose(new.E_bnds, np.stack([edges[:-1], edges[1:]], axis=1))


def test_rebin_variance_is_that_of_the_weighted_mean(ramp: xr.Dataset) -> None:
    new = ramp.bp.rebin(E=[0.5, 2.0])
    np.testing.assert_allclose(new.B_std, np.sqrt(1.0**2 + 0.5**2) / 1.5)


def test_rebin_by_width_by_centres_and_in_other_units(ramp: xr.Dataset) -> None:
    by_width = ramp.bp.rebin(E="2 meV", Q=2.5)
    assert dict(by_width.B.sizes) == {"Q": 2, "E": 5}
    xr.testing.assert_allclose(
        ramp.bp.rebin(E=[1.5, 3.5, 5.5, 7.5, 9.5], Q=2.5, given="centres"), by_width
    )
    in_thz = xr.DataArray(
        np.arange(0.5, 11, 2) * 0.2417989242084918, dims="x", attrs={"units": "THz"}
    )
    xr.testing.assert_allclose(ramp.bp.rebin(E=in_thz, Q=2.5), by_width)


@pytest.mark.parametrize(
    "E",
    [
        [1, 0.5, 2],
        [1, 1, 2],
        [0.0, 5.0],
        [5, 20],
        0,
        -1,
        50,
        [1],
        ["a", "b"],
        [[1, 2], [3, 4]],
    ],
)
def test_bad_new_bins(ramp: xr.Dataset, E: object) -> None:
    with pytest.raises((RangeError, UnitsError)):
        ramp.bp.rebin(E=E)


def test_new_bins_over_nan_are_nan(ramp: xr.Dataset) -> None:
    ramp.B[:, :4] = np.nan
    new = ramp.bp.rebin(E=[0.5, 2.5, 4.5, 6.5])
    assert new.B.isnull().sum("Q").values.tolist() == [5, 5, 0]


def test_stale_bounds_are_noticed(ramp: xr.Dataset) -> None:
    with pytest.raises(CoordinateError, match="do not enclose"):
        ramp.assign_coords(E=("E", ramp.E.values * 2, ramp.E.attrs)).bp.cut_E(
            4, width=1
        )


def test_uneven_bins_have_their_edges_halfway() -> None:
    E = np.array([1.0, 2.0, 4.0, 8.0])
    B = xbp.new_dataset(
        "reduced_dos", [1.0, 2.0, 3.0, 4.0], units="1", coords={"E": (E, "meV")}
    )
    # Bins reach 0.5–1.5–3–6–10: of 3..6 all is the third.
    assert float(B.bp.cut_E((3, 6)).B) == 3.0
    assert float(B.bp.cut_E((1.5, 6)).B) == pytest.approx((1.5 * 2 + 3 * 3) / 4.5)


def test_points_that_were_not_reached_at_all_are_no_means_of_a_part(
    ramp: xr.Dataset,
) -> None:
    ramp.B[:2] = np.nan
    cut = ramp.bp.cut_E((3, 8))
    np.testing.assert_allclose(cut.coverage, [0, 0, 1, 1, 1])
    assert not cut.bp.diagnostics()


def test_a_mean_over_a_part_says_over_which(ramp: xr.Dataset) -> None:
    holes = ramp.copy(deep=True)
    holes.B[:2, 5:] = np.nan  # Q of 1 and 2 were not reached above 5 meV
    cut = holes.bp.cut_Q((1, 4))
    np.testing.assert_allclose(
        cut.coverage, np.repeat([1.0, 0.5], 5)
    )  # 1.5 of 3, bins of 1 and 2 being cut at 1 and 2.5
    assert cut.coverage.attrs["units"] == "1"
    (doubt,) = cut.bp.diagnostics()
    assert doubt.code == "partial_coverage"
    assert "of Q, and not the same part at every E" in doubt.message
    assert (doubt.severity, "50 to 100 %" in doubt.message) == ("warning", True)
    missing = ramp.copy(deep=True)
    missing.B[:2] = np.nan
    (doubt,) = missing.bp.cut_Q((1, 4)).bp.diagnostics()
    assert (doubt.severity, "not the same" in doubt.message) == ("info", False)
    assert "coverage" not in ramp.bp.cut_Q((1, 4))
    assert "coverage" not in holes.bp.cut_Q((3, 5))
    np.testing.assert_allclose(holes.bp.cut_E((3, 8)).coverage, [0.5, 0.5, 1, 1, 1])
    np.testing.assert_allclose(cut.bp.cut_E((3, 8)).get("coverage", 1.0), 1.0)
    row = ramp.copy(deep=True)
    row.B[:, 0] = np.nan  # as of B from G at E = 0: nothing there, everything elsewhere
    alone = row.bp.cut_Q((1, 4))
    np.testing.assert_array_equal(alone.coverage, alone.B.notnull())
    assert float(alone.coverage[0]) == 0
    lazy = holes.chunk({"E": 4}).bp.cut_Q((1, 4))
    assert lazy.coverage.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), cut)
    assert not lazy.bp.diagnostics()  # nothing of dask is computed for it
    holes.B[:] = holes.B.where(holes.E > 2)
    (doubt,) = holes.bp.cut_Q((1, 4)).bp.diagnostics()
    assert "50 to 100 %" in doubt.message


@pytest.mark.slow
def test_what_is_infinite_was_not_measured(ramp: xr.Dataset) -> None:
    missing, infinite = ramp.copy(deep=True), ramp.copy(deep=True)
    missing.B[:2, 5:] = np.nan
    infinite.B[0, 5:], infinite.B[1, 5:] = np.inf, -np.inf
    for data in (infinite, infinite.chunk({"E": 4})):
        xr.testing.assert_allclose(
            data.bp.cut_Q((1, 4)).compute(), missing.bp.cut_Q((1, 4))
        )
        xr.testing.assert_allclose(
            data.bp.cut_E((3, 8)).compute(), missing.bp.cut_E((3, 8))
        )
        xr.testing.assert_allclose(
            data.bp.rebin(E="2 meV").compute(), missing.bp.rebin(E="2 meV")
        )


def test_new_bins_that_reach_into_a_mask_are_counted_or_left_out() -> None:
    """The mean of the far part of a bin on a flank is not that of the bin."""
    Q, E = np.linspace(1, 6, 10), np.arange(-20, 20.01, 0.2)
    S = xbp.models.dynamic_structure_factor(
        Q, E, energy="5 meV", width="4 meV", T="280 K", u2="0.01 angstrom^2"
    )
    masked = S.bp.mask_elastic("1 meV", widths=2)
    edges = np.arange(0.5, 15.01, 1.0)
    whole, some = S.bp.rebin(E=edges), masked.bp.rebin(E=edges)
    first = {"E": 1}  # from 1.5 to 2.5 meV, masked up to 2.1
    ratio = (some.S / whole.S).isel(first)
    assert (ratio > 1.9).all()
    (doubt,) = some.bp.diagnostics()
    assert doubt.code == "partial_bins"
    assert "10 of 130 bins of E are means over 40 % of their width" in doubt.message
    # What it says to type leaves them out, and nothing else.
    kept = masked.bp.rebin(E=edges, least_coverage=1)
    assert kept.bp.diagnostics() == []
    assert kept.S.isel(E=slice(2)).isnull().all()
    np.testing.assert_array_equal(kept.S[:, 2:], some.S[:, 2:])
    np.testing.assert_array_equal(
        masked.bp.rebin(E=edges, least_coverage=0.4).S, some.S
    )
    lazy = masked.chunk(Q=3).bp.rebin(E=edges, least_coverage=1)
    np.testing.assert_allclose(lazy.S, kept.S, rtol=1e-12)
    with pytest.raises(RangeError, match="least_coverage=2 must be between 0 and 1"):
        masked.bp.rebin(E=edges, least_coverage=2)
    assert S.bp.rebin(E=edges).bp.diagnostics() == []


def test_one_row_with_most_of_the_variance_is_named() -> None:
    Q, E = np.linspace(1, 5, 9), np.arange(1.0, 8.0)
    std = np.full((9, 7), 0.1)
    data = {"units": "1", "coords": {"Q": (Q, "1/angstrom"), "E": (E, "meV")}}
    even = xbp.new_dataset("reduced_dos", np.ones((9, 7)), std=std, **data)
    assert even.bp.cut_Q((1, 5)).bp.diagnostics() == []
    std[2] = 1.0
    odd = xbp.new_dataset("reduced_dos", np.ones((9, 7)), std=std, **data)
    (doubt,) = odd.bp.cut_Q((1, 5)).bp.diagnostics()
    assert doubt.code == "dominant_bin"
    # 1 beside six times 0.01 and two half bins at the ends: 1/1.065
    assert doubt.message.startswith("94 % of the variance of the mean over Q")
    assert "Q = 2 1/angstrom" in doubt.message
    assert odd.bp.cut_Q((2.5, 5)).bp.diagnostics() == []
    assert odd.bp.cut_Q((1.8, 2.2)).bp.diagnostics() == []  # of one bin alone
    assert odd.B.bp.cut_Q((1, 5)).bp.diagnostics() == []  # no errors


def test_edges_may_each_have_a_unit(ramp: xr.Dataset) -> None:
    by_meV = ramp.bp.rebin(E=[0.5, 2.5, 4.5, 8.5])
    mixed = ["0.5 meV", 2.5, xr.DataArray(4500.0, attrs={"units": "ueV"}), "8.5 meV"]
    xr.testing.assert_allclose(ramp.bp.rebin(E=mixed), by_meV)
