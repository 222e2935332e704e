"""The wing of the elastic line in the correlation with S(Q)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp

Q_RANGE = ("2.1 1/angstrom", "7.9 1/angstrom")


@pytest.fixture(scope="module")
def sq() -> xr.DataArray:
    found: xr.DataArray = xbp.tutorial.open_dataset("zr46cu46al8_md").Sq
    return found


@pytest.fixture(scope="module")
def measured(sq: xr.DataArray) -> xr.Dataset:
    """Phonons that do not follow S(Q), and an elastic line that does."""
    Q, E = np.linspace(1, 8, 70), np.arange(-15, 20.01, 0.25)
    phonons = xbp.models.dynamic_structure_factor(
        Q, E, energy="5 meV", width="4 meV", T="280 K", u2="0.01 angstrom^2"
    )
    over_Q = phonons.Q**2 * np.exp(-0.01 * phonons.Q**2) * (1 + 0.03 * np.cos(5 * Q))
    line = xbp.models.elastic_line(
        Q, E, u2="0.01 angstrom^2", resolution="1 meV", scale=100
    )
    scale = line.S.max() / phonons.S.max()
    elastic = line.S * sq.interp(Q=Q).values[:, np.newaxis] / scale * 100
    S = over_Q * phonons.S.mean("Q") / 10 + elastic
    S = S.transpose("Q", "E").assign_attrs(phonons.S.attrs)
    return phonons.assign(S=S)


def codes(table: xr.Dataset) -> list[str]:
    return [one.code for one in table.bp.diagnostics()]


def test_a_cut_in_the_wing_is_doubted_by_the_resolution(
    measured: xr.Dataset, sq: xr.DataArray
) -> None:
    b = measured.bp.mask_elastic("1 meV", widths=1).bp.fold().bp.to_bqe()
    assert float(b.resolution_fwhm) == 1.0
    cut = b.bp.cut_E("1.6 meV", width="0.5 meV")
    found = cut.bp.scale_to_sq(sq, Q_range=Q_RANGE)
    assert float(found.pearson_r) > 0.8  # of the line alone
    (doubt,) = found.bp.diagnostics()
    assert doubt.code == "elastic_wing"
    assert (
        "cut at 1.35 to 1.85 meV is within 2 resolution widths (2 meV)" in doubt.message
    )
    for widths in (1, 0.5, 0):
        sure = cut.bp.scale_to_sq(sq, Q_range=Q_RANGE, elastic_widths=widths)
        assert codes(sure) == []
    # Another unit of the cut, and no bounds, are no way round.
    thz = b.bp.convert(E="THz").bp.cut_E("1.6 meV", width="0.5 meV")
    assert codes(thz.bp.scale_to_sq(sq, Q_range=Q_RANGE)) == ["elastic_wing"]
    assert codes(cut.B.bp.scale_to_sq(sq, Q_range=Q_RANGE)) == ["elastic_wing"]
    far = b.bp.cut_E("5 meV", width="0.5 meV").bp.scale_to_sq(sq, Q_range=Q_RANGE)
    assert codes(far) == []


def test_the_highest_r_of_a_map_may_be_that_of_the_line(
    measured: xr.Dataset, sq: xr.DataArray
) -> None:
    one = measured.bp.mask_elastic("1 meV", widths=1).bp.fold().bp.to_bqe()
    found = one.bp.correlation_map(sq, Q_range=Q_RANGE)
    assert "within 2 resolution widths (2 meV)" in found.bp.diagnostics()[0].message
    # Without the resolution it shows in the mean over Q, which falls from its first bin.
    bare = one.drop_vars("resolution_fwhm").bp.correlation_map(sq, Q_range=Q_RANGE)
    assert "still falls from its first bin" in bare.bp.diagnostics()[0].message
    whole = measured.bp.to_bqe().sel(E=slice(0, None))
    assert codes(whole.bp.correlation_map(sq, Q_range=Q_RANGE)) == ["elastic_wing"]
    masked = measured.bp.mask_elastic("1 meV", widths=2.5).bp.fold().bp.to_bqe()
    assert codes(masked.bp.correlation_map(sq, Q_range=Q_RANGE)) == []


def test_a_simulated_glass_beyond_its_line_is_not_doubted(sq: xr.DataArray) -> None:
    b = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    assert codes(b.bp.correlation_map(sq, Q_range=Q_RANGE)) == []
    cut = b.bp.cut_E("3 meV", width="0.5 meV")
    assert codes(cut.bp.scale_to_sq(sq, Q_range=Q_RANGE)) == []


def test_a_mask_keeps_the_resolution_that_data_have(measured: xr.Dataset) -> None:
    of_Q = xr.DataArray(
        np.linspace(1, 1.5, 70), coords={"Q": measured.Q}, attrs={"units": "meV"}
    )
    masked = measured.bp.mask_elastic(of_Q)
    np.testing.assert_array_equal(masked.resolution_fwhm, of_Q)
    again = masked.bp.mask_elastic("2 meV")
    np.testing.assert_array_equal(again.resolution_fwhm, of_Q)


def test_a_range_where_eq_2_holds_may_be_that_of_the_line(
    measured: xr.Dataset, sq: xr.DataArray
) -> None:
    def fit_bqe(widths: float, **given: Any) -> xr.Dataset:
        b = measured.bp.mask_elastic("1 meV", widths=widths).bp.fold().bp.to_bqe()
        b["B_std"] = abs(b.B).assign_attrs(units=b.B.attrs["units"])
        return b.bp.fit_bqe(sq, "free", Q_range=Q_RANGE, **given)

    (doubt,) = fit_bqe(1).bp.diagnostics()
    assert doubt.code == "elastic_wing"
    assert doubt.message.startswith(
        "Eq. 2 holds from 1.25 meV, within 2 resolution widths (2 meV) of E = 0"
    )
    (doubt,) = fit_bqe(1, elastic_widths=0.5).bp.diagnostics()
    assert "Eq. 2 holds from 1.25 meV, where the mean over Q still" in doubt.message
    beyond = fit_bqe(2.5)
    assert beyond.E_holds_low > 2
    assert codes(beyond) == []
