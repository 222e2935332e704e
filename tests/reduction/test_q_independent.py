"""What does not depend on Q: exact beside one-phonon scattering, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError, RangeError
from xbp.reduction.q_independent import constant_part

Q, E = np.arange(1.5, 8.51, 0.1), np.arange(1.5, 16.1, 0.5)
SQ = xbp.models.hard_sphere_structure_factor(Q).Sq


@pytest.fixture(scope="module")
def one_phonon() -> xr.DataArray:
    shape = {"energy": 5.5, "width": 6, "T": 300, "u2": 0.012}
    return xbp.models.dynamic_structure_factor(Q, E, **shape).S


def with_flat(S: xr.DataArray, part: float) -> xr.Dataset:
    both = (S + part * S.mean("Q")).transpose("Q", "E")
    return both.assign_attrs(S.attrs).to_dataset(name="S")


@pytest.mark.parametrize(("part", "r"), [(0.1, 0.96), (0.3, 0.63)])
def test_a_flat_part_hides_the_likeness_with_s_of_q(
    one_phonon: xr.DataArray, part: float, r: float
) -> None:
    """It lowers r from 1.00, while E_BP stays; without it both are as they were."""
    data = with_flat(one_phonon, part)

    def likeness(S: xr.Dataset) -> float:
        return float(S.bp.to_bqe().bp.cut_E(5.5, 0.5).bp.scale_to_sq(SQ).pearson_r)

    assert likeness(data) == pytest.approx(r, abs=0.007)
    b = data.bp.to_bqe().bp.cut_Q((1.5, 8.5))
    assert float(b.bp.boson_peak().energy) == pytest.approx(5.5, abs=1e-6)
    alone = data.bp.subtract_Q_independent()
    assert likeness(alone) > 0.999
    found = data.bp.subtract_Q_independent(sq=SQ)
    assert likeness(found) == pytest.approx(1, abs=1e-12)
    flat = part * one_phonon.mean("Q")
    np.testing.assert_allclose(found.Q_independent, flat, rtol=1e-9)
    # Without S(Q) its peaks are left over, and the error shows it.
    error = abs(alone.Q_independent - flat)
    assert (error < 1.5 * alone.Q_independent_std).all()


def test_errors_are_those_of_repeated_measurements(one_phonon: xr.DataArray) -> None:
    data = with_flat(one_phonon, 0.3)
    exact = data.bp.subtract_Q_independent(sq=SQ)
    many = xbp.models.with_counting_noise(data.expand_dims(run=12), counts=1e5, rng=1)
    found = many.bp.subtract_Q_independent(sq=SQ)
    mean, true = (one.bp.cut_Q((1.5, 8.5)) for one in (found, exact))
    for pull in (
        (found.Q_independent - exact.Q_independent) / found.Q_independent_std,
        (found.S - exact.S) / found.S_std,
        (mean.S - true.S) / mean.S_std,
    ):
        assert float(pull.std()) == pytest.approx(0.95, abs=0.15)


def test_cuts_of_the_density_of_states_know_what_the_data_and_c_share(
    one_phonon: xr.DataArray,
) -> None:
    """c is found from the data: where 1/Q² weighs as the fit does, both errors cancel."""
    data = with_flat(one_phonon, 0.3)
    exact = data.bp.subtract_Q_independent(sq=SQ).bp.to_bqe()
    noisy = xbp.models.with_counting_noise(data.expand_dims(run=12), counts=1e5, rng=1)
    many = noisy.bp.subtract_Q_independent(sq=SQ).bp.to_bqe()
    for Q_range in ((1.5, 8.5), (2.1, 8.5), (4, 8.5), (1.5, 3)):
        found, want = (B.bp.cut_Q(Q_range) for B in (many, exact))
        pull = (found.B - want.B) / found.B_std
        assert float(pull.std()) == pytest.approx(1.0, abs=0.2)
    # New bins are such means, and know c as the old did.
    for grid in ({"Q": "0.5 1/angstrom"}, {"E": "1.5 meV"}):
        coarse = many.bp.rebin(**grid).bp.cut_Q((2.5, 8.0))
        want = exact.bp.rebin(**grid).bp.cut_Q((2.5, 8.0))
        assert float(((coarse.B - want.B) / coarse.B_std).std()) == pytest.approx(
            1.0, abs=0.2
        )


@pytest.mark.parametrize(
    "grid", [{"E": 1.0}, {"E": 0.25}, {"E": 0.7}, {"Q": 0.4}, {"Q": 0.1}]
)
def test_a_cut_has_the_same_error_before_and_after_rebinning(
    grid: dict[str, float],
) -> None:
    """Both are linear; with c and the data taken apart, it was larger."""
    S = xbp.models.dynamic_structure_factor(
        np.linspace(1.5, 8.5, 36), np.arange(-19.75, 20, 0.5), energy=5.5, width=6,
        T=300, u2=0.012,
    )  # fmt: skip
    data = xbp.models.with_counting_noise(S, counts=1e6, rng=3)
    left = data.bp.subtract_Q_independent(u2=0.012)
    cut, on_E = left.bp.cut_Q((2, 8)), {k: v for k, v in grid.items() if k == "E"}
    before = cut.bp.rebin(**on_E) if on_E else cut
    after = left.bp.rebin(**grid).bp.cut_Q((2, 8))
    ratio = (after.S_std / before.S_std).dropna("E")
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-9 if on_E else 0.02)


@pytest.mark.slow
def test_lazy_data_other_units_and_a_file(
    one_phonon: xr.DataArray, tmp_path: Path
) -> None:
    data = xbp.models.with_counting_noise(with_flat(one_phonon, 0.3), counts=1e5, rng=1)
    found = data.bp.subtract_Q_independent()
    lazy = data.chunk({"E": 5}).bp.subtract_Q_independent()
    assert lazy.S.chunks is not None
    xr.testing.assert_allclose(lazy.compute().drop_attrs(), found.drop_attrs())
    other = data.bp.convert(Q="1/nm").bp.subtract_Q_independent(sq=SQ)
    want = data.bp.subtract_Q_independent(sq=SQ)
    np.testing.assert_allclose(other.Q_independent, want.Q_independent, rtol=1e-9)
    found.bp.to_netcdf(tmp_path / "a.nc")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.nc"), found)


def test_an_error_of_u2_is_common(one_phonon: xr.DataArray) -> None:
    std = xr.Variable((), 0.001, {"units": "angstrom**2"})
    data = xbp.models.with_counting_noise(
        with_flat(one_phonon, 0.3), counts=1e5, rng=1
    ).assign_coords(u2_std=std)
    found = data.bp.subtract_Q_independent()
    bare = data.drop_vars("u2_std")
    step = bare.assign_coords(u2=data.u2 + 0.001).bp.subtract_Q_independent().S
    change = step - bare.bp.subtract_Q_independent().S
    np.testing.assert_allclose(found.S_std_common[0], change, rtol=0.1)


def test_what_cannot_be_told_apart_is_refused(one_phonon: xr.DataArray) -> None:
    data = with_flat(one_phonon, 0.1)
    with pytest.raises(QuantityError, match="u2 is not known"):
        data.drop_vars("u2").bp.subtract_Q_independent()
    with pytest.raises(RangeError, match="enough Q"):
        data.bp.subtract_Q_independent(Q_range=(2, 2.1))
    with pytest.raises(RangeError, match="no value at any Q"):
        data.bp.subtract_Q_independent(sq=SQ.assign_coords(Q=SQ.Q + 20))


def test_a_law_that_does_not_hold_shows_in_the_error(one_phonon: xr.DataArray) -> None:
    steep = (one_phonon / SQ * one_phonon.Q**2).assign_attrs(one_phonon.attrs)
    found = steep.bp.subtract_Q_independent()
    assert (abs(found.Q_independent) < 3 * found.Q_independent_std).all()


def test_points_that_are_not_fitted_have_no_part_in_it() -> None:
    x, nan = np.linspace(1, 4, 6), np.array(np.nan)
    y = np.where(x > 3.5, 99.0, 2 * x**2 + 5)
    c, std, gain = constant_part(
        y,
        0.1 * np.ones(6),
        np.array(0.0),
        nan,
        Q=x,
        weights=np.where(x > 3.5, 0.0, 1.0),
    )
    assert c == pytest.approx(5)
    assert std == pytest.approx(0.1 * np.sqrt((gain**2).sum()))
    assert gain[-1] == 0
