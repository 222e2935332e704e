"""The elastic line is masked, and what is masked stays so."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import xbp
from xbp.errors import QuantityError, RangeError, UnitsError, XbpError
from xbp.reduction.elastic import _integral, elastic_reach, width_at_half_maximum


@pytest.fixture
def sqe_with_line() -> xr.Dataset:
    Q, E = np.linspace(0.5, 8, 16), np.linspace(-20, 20, 81)
    data = xbp.models.dynamic_structure_factor(
        Q, E, energy="5 meV", width="4 meV", T="280 K", u2="0.01 angstrom^2"
    )
    line = xbp.models.elastic_line(Q, E, u2="0.01 angstrom^2", resolution="2 meV")
    return data.assign(S=(data.S + line.S.values).assign_attrs(data.S.attrs))


def test_bins_that_reach_into_the_mask(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(
        model, counts=100, rng=0
    )  # bins of 0.5 meV, edges at multiples of it
    masked = noisy.bp.mask_elastic("0.6 meV", widths=2)
    gone = masked.S.isnull().all("Q")
    np.testing.assert_array_equal(
        masked.E[gone], [-1.25, -0.75, -0.25, 0.25, 0.75, 1.25]
    )
    assert (masked.S_std.isnull() == masked.S.isnull()).all()
    np.testing.assert_array_equal(masked.S.where(~gone), noisy.S.where(~gone))
    exact = noisy.bp.mask_elastic(
        "0.5 meV", widths=2
    )  # edges on the mask's own do not reach in
    np.testing.assert_array_equal(
        exact.E[exact.S.isnull().all("Q")], [-0.75, -0.25, 0.25, 0.75]
    )
    off = noisy.bp.mask_elastic("0.5 meV", widths=1, centre="1 meV")
    np.testing.assert_array_equal(off.E[off.S.isnull().all("Q")], [0.75, 1.25])
    assert "0.6 meV FWHM" in masked.S.attrs["history"]


def test_nothing_fills_it_again(model: xr.Dataset) -> None:
    b = model.bp.mask_elastic("1 meV").bp.to_bqe()
    assert b.B.sel(E=slice(-2, 2)).isnull().all()
    assert b.bp.cut_Q((2, 8)).B.sel(E=slice(-2, 2)).isnull().all()
    assert float(
        b.bp.cut_Q((2, 8)).bp.boson_peak(E_range=(2, 15)).energy
    ) == pytest.approx(5.5, rel=0.02)


def test_a_resolution_for_every_detector_or_energy(model: xr.Dataset) -> None:
    by_q = xr.DataArray(
        np.linspace(0.3, 3, model.sizes["Q"]),
        dims="Q",
        coords={"Q": model.Q},
        attrs={"units": "meV"},
    )
    masked = model.bp.mask_elastic(by_q, widths=1)
    assert masked.S.dims == model.S.dims
    count = masked.S.isnull().sum("E")
    assert (count.diff("Q") >= 0).all()
    assert int(count[0]) == 2
    assert int(count[-1]) == 12
    # FWHM falls with E, as of a chopper spectrometer: the mask ends where |E| meets it.
    by_e = (1.5 - 0.05 * abs(model.E)).assign_attrs(units="meV")
    np.testing.assert_array_equal(
        model.E[model.bp.mask_elastic(by_e, 1).S.isnull().all("Q")],
        model.E[abs(model.E) - 0.25 < by_e],
    )
    lazy = model.chunk({"Q": 5}).bp.mask_elastic(by_q, widths=1)
    assert lazy.S.chunks is not None
    xr.testing.assert_identical(lazy.S.compute(), masked.S)


@pytest.mark.slow
@given(
    unit=st.sampled_from(["THz", "1/cm", "eV"]),
    widths=st.floats(0.3, 5),
    fwhm=st.floats(0.3, 2),
)
def test_units_do_not_matter(unit: str, widths: float, fwhm: float) -> None:
    line = xbp.models.elastic_line(
        [1.0], np.linspace(-12, 12, 97), u2=0.01, resolution="1 meV"
    )
    here = line.bp.mask_elastic(f"{fwhm} meV", widths)
    there = line.bp.convert(E=unit).bp.mask_elastic(f"{fwhm} meV", widths)
    np.testing.assert_array_equal(here.S.isnull(), there.S.isnull())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"resolution": "0 meV"}, QuantityError), ({"resolution": "-1 meV"}, QuantityError),
        ({"resolution": "1 K"}, UnitsError), ({"resolution": np.nan}, UnitsError), ({"resolution": "x"}, UnitsError),
        ({"resolution": "1 meV", "widths": 0}, QuantityError), ({"resolution": "100 meV"}, RangeError),
        ({"resolution": "0.1 meV", "centre": "50 meV"}, RangeError), ({"resolution": [1, 2]}, XbpError),
        ({"resolution": xr.DataArray([1.0, 2.0], dims="x")}, QuantityError),
        ({"resolution": xr.DataArray(np.ones(36), dims="Q", coords={"Q": np.arange(36.0)})}, XbpError),
    ],
    ids=str,
)  # fmt: skip
def test_refusals(model: xr.Dataset, arguments: dict[str, object], error: type) -> None:
    with pytest.raises(error):
        model.bp.mask_elastic(**arguments)


def test_after_a_cut_there_is_no_line(model: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="before the cut"):
        model.bp.cut_E(5, width=1).bp.mask_elastic("1 meV")


@pytest.mark.slow
def test_lines_of_dask_and_pint_move_and_mask(sqe_with_line: xr.Dataset) -> None:
    line = sqe_with_line.bp.fit_elastic_line(Q_range=(1, 6))
    lazy = sqe_with_line.chunk().bp.fit_elastic_line(Q_range=(1, 6))
    for say in (
        lambda one: sqe_with_line.bp.shift_E(one.energy),
        lambda one: sqe_with_line.bp.mask_elastic(one.fwhm, 1, centre=one.energy),
    ):
        xr.testing.assert_allclose(say(lazy), say(line))


def test_a_scale_found_with_energies_does_not_move(sqe_with_line: xr.Dataset) -> None:
    scaled = sqe_with_line.bp.normalize_to_sum_rule("f-sum", composition="V")
    with pytest.raises(QuantityError, match=r"used by normalize_to_sum_rule"):
        scaled.bp.shift_E("0.5 meV")


@pytest.mark.parametrize("kind", [float, int])
def test_a_mask_for_each_bin_is_in_its_own_unit_or_that_of_E(
    model: xr.Dataset, kind: type
) -> None:
    """2 meV for every Q, as numbers of two types and in other units, mask the same."""
    same = model.bp.mask_elastic("2 meV", widths=1).S.isnull()
    bare = xr.DataArray(
        np.full(model.sizes["Q"], 2, dtype=kind), dims="Q", coords={"Q": model.Q}
    )
    np.testing.assert_array_equal(
        model.bp.mask_elastic(bare, widths=1).S.isnull(), same
    )
    other = (bare * 0.2417989242084918).assign_attrs(units="THz")
    np.testing.assert_array_equal(
        model.bp.mask_elastic(other, widths=1).S.isnull(), same
    )
    in_thz = model.bp.convert(E="THz")
    np.testing.assert_array_equal(
        in_thz.bp.mask_elastic(bare.assign_attrs(units="meV"), widths=1).S.isnull(),
        same,
    )


@pytest.mark.parametrize("argument", ["resolution", "centre"])
def test_a_mask_of_other_dimensions_types_or_without_a_place_is_refused(
    model: xr.Dataset, argument: str
) -> None:
    ones = xr.DataArray(
        np.ones(model.sizes["Q"]),
        dims="Q",
        coords={"Q": model.Q},
        attrs={"units": "meV"},
    )
    holes = ones.where(ones.Q > 2).assign_attrs(units="meV")
    for bad in (
        ones.rename(Q="detector"),
        ones.astype(complex),
        ones.astype(str),
        holes,
    ):
        given = {"resolution": "1 meV", argument: bad}
        with pytest.raises(QuantityError):
            model.bp.mask_elastic(**given)


def test_a_line_at_the_first_bin_is_half_seen() -> None:
    """Its width is from the first bin to the half height on the other side."""
    E = np.arange(4.0)
    width = width_at_half_maximum(E, np.array([2.0, 1.5, 0.5, 0.1]))
    assert width == pytest.approx(1.5)


def test_bounds_of_bins_move_with_their_energies() -> None:
    E = np.arange(-3.0, 4.0)
    data = xbp.new_dataset(
        "dynamic_structure_factor",
        np.exp(-(E**2)),
        statistics="unknown",
        units="1/meV",
        coords={"E": (E, "meV")},
    )
    wide = data.bp.rebin(E=np.array([-3.5, -1.5, 0.5, 1.5, 3.5]))
    moved = wide.bp.shift_E(by="0.25 meV")
    np.testing.assert_allclose(moved.E, wide.E - 0.25)
    np.testing.assert_allclose(moved.E_bnds, wide.E_bnds - 0.25)


def test_the_end_of_a_line() -> None:
    """Half a line counts as a whole one; where nothing is left, no line has an end."""
    E = np.arange(-3.0, 3.1, 0.25)
    line = np.maximum(1 - abs(E) / 0.5, 0)
    assert elastic_reach(E, line) == pytest.approx(1.0)
    assert elastic_reach(E[E >= 0], line[E >= 0]) == pytest.approx(1.0)
    assert elastic_reach(E, np.zeros(E.size)) == 0.0
    assert np.isnan(width_at_half_maximum(E, np.zeros(E.size)))


def test_data_without_the_energy_of_a_line_have_none(
    sqe_with_line: xr.Dataset,
) -> None:
    after = sqe_with_line.sel(E=slice(0.4, None))  # the first bin is 0.25 to 0.75 meV
    hole = sqe_with_line.assign(
        S=sqe_with_line.S.where(sqe_with_line.E != 0).assign_attrs(
            sqe_with_line.S.attrs
        )
    )
    for data in (after, hole):
        with pytest.raises(RangeError, match="no elastic line"):
            data.bp.fit_elastic_line()


def test_a_line_without_error_is_no_point() -> None:
    value, std = (xr.DataArray(np.ones((3, 4)), dims=("Q", "E")) for _ in range(2))
    std[1] = 0.0
    every = xr.DataArray(np.ones(3, dtype=bool), dims="Q")
    widths = np.array([0.5, 0.5, 1.0, 1.0])
    total, error, usable = _integral(value, std, widths, np.arange(4) > 0, every)
    np.testing.assert_allclose(total, 2.5)
    np.testing.assert_allclose(error, [1.5, 0, 1.5])
    assert usable.values.tolist() == [True, False, True]
