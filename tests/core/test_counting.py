"""Bins without counts are measured zeros with the error of one count, and errors of 0 throughout are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.independence import one_count_std


def counted(counts: np.ndarray, per_count: float = 0.5) -> xr.Dataset:
    """B(E) as counted: y = per_count · counts with σ = √N, which is 0 of no counts."""
    coords: dict = {"E": (np.arange(counts.shape[-1]) + 0.5, "meV")}
    if counts.ndim == 2:
        coords = {"draw": [str(i) for i in range(counts.shape[0])]} | coords
    return xbp.new_dataset(
        "reduced_dos", per_count * counts, std=per_count * np.sqrt(counts), units="1", coords=coords,
        edges={"E": np.arange(counts.shape[-1] + 1.0)},
    )  # fmt: skip


def test_one_count_is_found_from_the_neighbours() -> None:
    counts = np.random.default_rng(0).poisson(0.8, 200)
    std = one_count_std(0.5 * counts, 0.5 * np.sqrt(counts))
    np.testing.assert_allclose(std, 0.5 * np.sqrt(np.maximum(counts, 1)))
    # What is not 0 counts, and has no error, has that of its neighbours.
    np.testing.assert_allclose(
        one_count_std(np.array([9.9, 10.0, 10.1]), np.array([0.1, 0.0, 0.1])),
        0.1,
        rtol=0.02,
    )
    # A background below the counts, and a row that was never counted.
    below = one_count_std(
        np.array([[0.9, -0.1, 0.9], [0.0, 0.0, 0.0]]),
        np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
    )
    np.testing.assert_allclose(below, 1.0)
    np.testing.assert_array_equal(
        one_count_std(np.array([1.0, np.nan, 2.0]), np.array([1.0, 0.0, 1.0])),
        [1, 0, 1],
    )
    np.testing.assert_allclose(
        one_count_std(np.array([[2.0], [0.0]]), np.array([[2.0], [0.0]]), axis=0), 2.0
    )


def test_means_keep_the_zeros_and_have_their_error() -> None:
    counts = np.random.default_rng(1).poisson(0.5, (400, 50))
    data = counted(counts)
    assert (data.B_std == 0).mean() > 0.5
    cut = data.bp.cut_E((5, 45))
    np.testing.assert_allclose(cut.B, 0.5 * counts[:, 5:45].mean(axis=1))
    np.testing.assert_allclose(
        cut.B_std, 0.5 * np.sqrt(np.maximum(counts[:, 5:45], 1).sum(axis=1)) / 40
    )
    coarse = data.bp.rebin(E="10 meV")
    np.testing.assert_allclose(coarse.B, 0.5 * counts.reshape(400, 5, 10).mean(axis=-1))
    assert (coarse.B_std > 0).all()


def test_weighted_fits_take_the_zeros_in() -> None:
    counts = np.random.default_rng(2).poisson(0.7, 400)
    flat = counted(counts).bp.fit(lambda E, level=1.0: level + 0 * E)
    assert int(flat.n_points) == 400
    # Without the bins that have no counts every point would be 0.5 at least, 0.5 being one count.
    assert float(flat.level) == pytest.approx(0.35, rel=0.3)
    lazily = counted(counts).chunk().bp.fit(lambda E, level=1.0: level + 0 * E)
    np.testing.assert_allclose(lazily.level, flat.level)


@pytest.mark.parametrize("lazily", [False, True])
def test_operations_write_the_error_that_they_took(lazily: bool) -> None:
    data = counted(np.array([4, 0, 1, 9]))
    scaled = (data.chunk() if lazily else data).bp.scale(2)
    np.testing.assert_allclose(scaled.B_std, [2, 1, 1, 3])
    np.testing.assert_array_equal(data.B_std, [1, 0, 0.5, 1.5])


@pytest.mark.parametrize("chunks", [{"E": 10}, {"E": 20, "draw": 3}, {"E": 1}])
def test_chunks_without_counts_have_the_error_of_one(chunks: dict[str, int]) -> None:
    counts = np.random.default_rng(2).poisson(30 * np.exp(-np.arange(40) / 4), (6, 40))
    counts[:, 20:] = 0
    whole = counted(counts)
    lazy = whole.chunk(chunks)
    for one in (lambda ds: ds.bp.scale(2), lambda ds: ds.bp.cut_E((15, 40))):
        out = one(lazy)
        assert out.B_std.chunks
        both = [ds[["B", "B_std"]].compute() for ds in (out, one(whole))]
        xr.testing.assert_allclose(*both)
    assert (lazy.bp.scale(2).compute().B_std > 0).all()


def test_errors_of_zero_throughout_are_none() -> None:
    E = np.linspace(1, 20, 60)
    B = xbp.models.evaluate("lognormal", E, energy="5.5 meV", height=2, sigma=0.6).B
    B = B + 0.01 * np.random.default_rng(0).standard_normal(60)
    B.attrs = {"quantity": "reduced_dos", "units": "1"}
    ds = B.to_dataset(name="B").assign(B_std=xr.zeros_like(B).assign_attrs(units="1"))
    peak, alone = ds.bp.boson_peak(E_range=(1, 15)), B.bp.boson_peak(E_range=(1, 15))
    assert "chi2_reduced" not in peak
    for name in ("energy", "energy_std", "height_std"):
        np.testing.assert_allclose(peak[name], alone[name])
    assert "B_std" not in ds.bp.cut_E((2, 4))


def test_measured_means_where_little_was_counted(shared_data: Path) -> None:
    """Of LRMECS spectra 6.8 % of the bins have the error 0: left out, the mean at 50 to 60 meV is 62 % too high."""
    glass = xbp.open_dataset(shared_data / "ins" / "bmg_LRMECS_Ei78.nxspe")
    window = (glass.E > 50) & (glass.E < 60)
    part = glass.S.isel(E=window.values)
    without = part.where(glass.S_std.isel(E=window.values) > 0)
    mean = float(part.mean())
    assert float(without.mean()) > 1.3 * mean
    E_range = tuple(float(end) for end in (part.E[0] - 0.25, part.E[-1] + 0.25))
    cut = glass.bp.cut_E(E_range)
    assert float(cut.S.mean()) == pytest.approx(mean, rel=0.05)
    assert (cut.S_std > 0).sum() == cut.S.notnull().sum()


@pytest.mark.slow
def test_whole_numbers_are_errors_too() -> None:
    axis = {"E": ([1.0, 2, 3], "1/cm")}
    for std in (np.array([2, 3, 4]), np.array([2, 0, 4], dtype=np.int16)):
        whole, real = (
            xbp.new_dataset(
                "raman_intensity",
                np.array([4, 9, 16]),
                coords=axis,
                units="1",
                std=numbers,
            )
            for numbers in (std, std.astype(float))
        )
        for data in (whole, whole.chunk()):
            cut, expected = data.bp.cut_E((1, 3)), real.bp.cut_E((1, 3))
            np.testing.assert_allclose([cut.I, cut.I_std], [expected.I, expected.I_std])
