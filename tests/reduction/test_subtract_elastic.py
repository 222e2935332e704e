"""The elastic line off: exact on lines of known shape, with errors that scatter shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import CoordinateError, QuantityError, RangeError
from xbp.reduction.subtract_elastic import inelastic_slope, line_shape

Q, E = np.arange(0.5, 8.0, 0.5), np.arange(-15.0, 15.1, 0.5)
U2 = 0.01


@pytest.fixture(scope="module")
def parts() -> tuple[xr.DataArray, xr.DataArray]:
    """Return elastic and inelastic scattering, both with the peaks of S(Q)."""
    shape = {"energy": 6, "width": 6, "T": 300, "u2": U2}
    S = xbp.models.dynamic_structure_factor(Q, E, **shape).S
    line = xbp.models.elastic_line(Q, E, u2=U2, resolution="2 meV").S
    Sq = xbp.models.hard_sphere_structure_factor(Q).Sq
    inelastic = S.where(abs(S.E) > 2.5, 0.0)
    elastic = line * Sq * float(30 * inelastic.max() / line.max())
    return elastic.transpose("Q", "E"), inelastic.transpose("Q", "E")


@pytest.fixture(scope="module")
def whole(parts: tuple[xr.DataArray, xr.DataArray]) -> xr.Dataset:
    elastic, inelastic = parts
    both = (elastic + inelastic).assign_attrs(inelastic.attrs)
    return both.to_dataset(name="S")


def test_vanadium_leaves_the_inelastic_scattering(
    parts: tuple[xr.DataArray, xr.DataArray], whole: xr.Dataset
) -> None:
    line = xbp.models.elastic_line(Q, E, u2=0.007, resolution="2 meV").bp.scale("5 b")
    found = whole.bp.subtract_elastic(line)
    rest = parts[1].where(abs(parts[1].E) > 1.1)
    np.testing.assert_allclose(found.S, rest, rtol=1e-9, atol=1e-10)
    assert abs(found.inelastic_lost).max() < 1e-9
    assert found.S.sel(E=0).isnull().all()


@pytest.mark.parametrize("lazy", [False, True])
def test_own_rows_take_their_part_of_the_inelastic_scattering(
    parts: tuple[xr.DataArray, xr.DataArray], whole: xr.Dataset, lazy: bool
) -> None:
    data = whole.chunk() if lazy else whole
    found = data.bp.subtract_elastic(Q_range=(0, "1 1/angstrom"))
    assert (found.S.chunks is not None) == lazy
    found = found.compute()
    assert found.S.sel(Q=slice(0, 1)).isnull().all()
    kept = found.S.notnull()
    sums = [part.where(kept).sum("E", min_count=1) for part in (found.S, parts[1])]
    np.testing.assert_allclose(found.inelastic_lost, 1 - sums[0] / sums[1], atol=1e-9)
    # ⟨Q²⟩/Q² of the rows at 0.5 and 1 1/angstrom, weighted by their elastic intensity
    A = parts[0].sel(Q=slice(0, 1)).sum("E")
    mean = float((A * A.Q**2).sum() / A.sum())
    np.testing.assert_allclose(found.inelastic_lost[2:], mean / Q[2:] ** 2, rtol=1e-9)


def test_a_baseline_keeps_the_phonons_of_vanadium(
    parts: tuple[xr.DataArray, xr.DataArray], whole: xr.Dataset
) -> None:
    line = xbp.models.elastic_line(Q, E, u2=U2, resolution="2 meV")
    flat = float(line.S.max()) * 1e-4 * line.Q**2
    other = (line.S + flat).assign_attrs(line.S.attrs)
    without, found = (
        whole.bp.subtract_elastic(other, baseline=base)
        for base in (None, ("8 meV", "14 meV"))
    )
    far = abs(found.E) > 1.1
    rest = parts[1].where(far)
    np.testing.assert_allclose(found.S, rest, rtol=1e-9, atol=1e-9)
    assert (rest - 1e-3 > without.S).any()
    assert (abs(found.inelastic_lost) < 0.05 * without.inelastic_lost).all()


@pytest.mark.slow
def test_errors_are_those_of_repeated_measurements(whole: xr.Dataset) -> None:
    """Of each bin; of means over E, where A(Q) is common; of those over Q, where l is."""
    exact = whole.bp.subtract_elastic(Q_range=(0, 1))
    many = xbp.models.with_counting_noise(whole.expand_dims(run=12), counts=1e6, rng=1)
    found = many.bp.subtract_elastic(Q_range=(0, 1))
    assert found.S.dims == ("run", "Q", "E")
    for cut in (
        lambda data: data,
        lambda data: data.bp.cut_E(("3 meV", "15 meV")),
        lambda data: data.bp.cut_Q((1.5, 7)),
    ):
        one, true = cut(found), cut(exact)
        assert float(((one.S - true.S) / one.S_std).std()) == pytest.approx(1, abs=0.15)
    assert {str(s).split(" ")[0] for s in found.source.values} == {"elastic"}


@pytest.mark.slow
def test_it_survives_a_file(whole: xr.Dataset, tmp_path: Path) -> None:
    noisy = xbp.models.with_counting_noise(whole, counts=1e6, rng=1)
    found = noisy.bp.subtract_elastic(Q_range=(0, 1), baseline=("10 meV", "15 meV"))
    found.bp.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.nc"), found)
    (note,) = found.bp.diagnostics()
    assert note.code == "inelastic_lost"


def test_units_do_not_matter(whole: xr.Dataset) -> None:
    plain = whole.bp.subtract_elastic(Q_range=(0, 1))
    other = whole.bp.convert(E="THz", Q="1/nm").bp.subtract_elastic(
        Q_range=(0, "1 1/angstrom")
    )
    back = other.bp.convert(E="meV", Q="1/angstrom")
    np.testing.assert_allclose(back.S, plain.S, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back.inelastic_lost, plain.inelastic_lost, rtol=1e-9)


def test_what_cannot_be_subtracted_is_refused(whole: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="Q_range= is missing"):
        whole.bp.subtract_elastic()
    with pytest.raises(QuantityError, match="Q_range= is missing"):
        whole.bp.subtract_elastic(whole.copy())
    with pytest.raises(CoordinateError, match="the two 'E' grids do not match"):
        whole.bp.subtract_elastic(whole.isel(E=slice(1, None)))
    with pytest.raises(RangeError, match="no elastic line"):
        whole.sel(E=slice(3, None)).bp.subtract_elastic(Q_range=(0, 1))
    with pytest.raises(RangeError, match="E = 0"):
        whole.bp.subtract_elastic(E_range=(5, 9), Q_range=(0, 1))
    with pytest.raises(RangeError, match="no row of the reference"):
        whole.where(whole.Q > 2).bp.subtract_elastic(Q_range=(0, 1))
    with pytest.raises(RangeError, match="above the elastic bins"):
        whole.bp.subtract_elastic(Q_range=(0, 1), baseline=(-5, 3))
    with pytest.raises(QuantityError, match="statistics"):
        whole.bp.subtract_elastic(whole.assign(S=whole.S.assign_attrs(statistics="classical")) * 1)  # fmt: skip


def test_the_error_of_a_baseline_is_on_the_scale_of_the_data(
    parts: tuple[xr.DataArray, xr.DataArray], whole: xr.Dataset
) -> None:
    """That of its mean, times what the line is scaled by, wherever there is a line."""
    line = xbp.models.elastic_line(Q, E, u2=U2, resolution="2 meV")
    other = (line.S + float(line.S.max()) * 1e-4 * line.Q**2).assign_attrs(line.S.attrs)
    other = other.to_dataset(name="S").assign(
        S_std=(0 * other + 0.01).assign_attrs(other.attrs)
    )
    data = whole.assign(S_std=(0.01 * whole.S + 0.01).assign_attrs(whole.S.attrs))

    def of_baseline(factor: float) -> np.ndarray:
        found = data.bp.scale(factor).bp.subtract_elastic(
            other, baseline=("8 meV", "14 meV")
        )
        (name,) = (s for s in found.source.values if s.startswith("baseline"))
        return np.asarray(found.S_std_common.sel(source=name))

    one, seven = of_baseline(1.0), of_baseline(7.0)
    assert (np.nan_to_num(one) > 0).any()
    np.testing.assert_allclose(seven, 7 * one, rtol=1e-9)


def test_a_bin_that_one_row_lacks_has_the_shape_of_the_others() -> None:
    """The intensity of a row counts only where the row was measured."""
    shape = np.array([0.0, 1.0, 4.0, 1.0, 0.0])
    S = np.array([[1.0], [3.0]]) * shape
    S[1, 3] = np.nan
    elastic = np.array([False, False, True, False, False])
    line, *_ = line_shape(
        S, 0.1 * np.ones(S.shape), Q=np.array([1.0, 2.0]), widths=np.ones(2),
        steps=np.ones(5), elastic=elastic, rows=np.ones(2, dtype=bool),
        base=shape == 0, inside=shape > 0,
    )  # fmt: skip
    np.testing.assert_allclose(line, shape / 4, atol=1e-12)


def test_bins_that_were_not_measured_leave_the_shape_as_it_is() -> None:
    rng = np.random.default_rng(2)
    shape, A = np.exp(-(E**2)), rng.uniform(1, 5, Q.size)
    S = A[:, None] * shape
    S[rng.random(S.shape) < 0.3] = np.nan
    elastic = np.abs(E) < 1.1
    S[:, elastic] = A[:, None] * shape[elastic]
    line, *_ = line_shape(
        S, 0.0 * S, Q=Q, widths=np.full(Q.size, 0.5), steps=np.full(E.size, 0.5),
        elastic=elastic, rows=np.ones(Q.size, dtype=bool), inside=np.abs(E) < 5,
        base=np.zeros(E.size, dtype=bool),
    )  # fmt: skip
    inside = np.abs(E) < 5
    expected = shape / (0.5 * shape[elastic].sum())
    np.testing.assert_allclose(line[inside], expected[inside], rtol=1e-9)


def test_errors_are_those_of_every_bin_that_is_measured(whole: xr.Dataset) -> None:
    """Each bin of a map moved by its error in turn: the answer is linear in the map."""
    few = whole.isel(Q=slice(2, 5), E=slice(20, 41)).assign(
        S_std=lambda ds: (0.1 * ds.S.max() + 0 * ds.S).assign_attrs(ds.S.attrs)
    )
    del few.S_std.attrs["quantity"]
    line = xbp.models.elastic_line(Q, E, u2=0.007, resolution="2 meV")
    line = line.isel(Q=slice(2, 5), E=slice(20, 41))
    moves = np.eye(few.sizes["E"]) * few.S_std.values.max()
    moved = few.S + xr.DataArray(moves, dims=("bin", "E"))
    found = few.bp.subtract_elastic(line)
    each = moved.assign_attrs(few.S.attrs).bp.subtract_elastic(line) - found.S
    np.testing.assert_allclose(
        found.S_std, np.sqrt((each**2).sum("bin", skipna=False)), rtol=1e-9
    )


def test_rows_weigh_by_their_width_and_elastic_intensity() -> None:
    """Against `numpy.polyfit` of rows whose ratio to the line is no parabola."""
    rng = np.random.default_rng(1)
    Q, E = np.linspace(1, 6, 9), np.arange(-3.0, 4)
    S, widths = rng.random((9, 7)) + 1, rng.random(9) + 0.5
    S[:, 3] = np.linspace(90, 4, 9)
    slope, _ = inelastic_slope(
        S, np.array(np.nan), Q=Q, widths=widths, steps=np.ones(7), elastic=E == 0
    )
    A = S[:, 3]
    for i in (0, 5):
        fit = np.polyfit(Q**2, S[:, i] / A, 1, w=np.sqrt(widths * A))
        assert slope[i] == pytest.approx(fit[0], rel=1e-9)


def test_elastic_bins_are_about_zero(whole: xr.Dataset) -> None:
    narrow = whole.bp.subtract_elastic(E_range=(-0.5, 0.5), Q_range=(0, 2))
    assert narrow.S.isnull().all("Q").sum() == 3
    with pytest.raises(RangeError, match="must contain E = 0"):
        whole.bp.subtract_elastic(E_range=(0.5, 2), Q_range=(0, 2))
