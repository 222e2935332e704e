"""Figures of what a measurement says of itself: temperatures by detailed balance, the elastic line against Q²."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.numbers import with_error
from xbp.errors import QuantityError, RangeError


@pytest.fixture
def measured() -> xr.Dataset:
    """Phonons at 300 K and an elastic line over them, with counting noise."""
    Q, E = np.linspace(1, 8, 30), np.arange(-19.75, 20, 0.5)
    options: dict[str, Any] = {
        "energy": "5 meV",
        "width": "6 meV",
        "T": "300 K",
        "u2": "0.01 angstrom^2",
    }
    S = xbp.models.dynamic_structure_factor(Q, E, **options)
    line = xbp.models.elastic_line(
        Q,
        E,
        u2="0.01 angstrom^2",
        resolution="1.5 meV",
        scale=100 * float(S.S.max()),
        T="300 K",
    )
    both = S.assign(S=(S.S + line.S.values).assign_attrs(S.S.attrs))
    return xbp.models.with_counting_noise(both, counts=1e7, rng=1)


def test_temperatures_of_detailed_balance(measured: xr.Dataset) -> None:
    table = measured.bp.detailed_balance(E_range=("4 meV", "18 meV"))
    ax = table.bp.plot.detailed_balance(figsize=(3.4, 2.6))
    points = ax.containers[0]
    np.testing.assert_allclose(
        points[0].get_xydata(), np.stack([table.E, table.temperature_at_E], axis=1)
    )
    first = points[2][0].get_segments()[0][:, 1]
    assert np.ptp(first) == pytest.approx(2 * float(table.temperature_at_E_std[0]))
    one = next(line for line in ax.lines if line.get_label().startswith("all: "))
    np.testing.assert_allclose(one.get_ydata(), float(table.implied_temperature))
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert np.ptp(band) == pytest.approx(2 * float(table.implied_temperature_std))
    carried = next(line for line in ax.lines if line.get_label() == "that of the data")
    assert list(carried.get_ydata()) == [300, 300]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$E$ (meV)", "$T$ implied (K)")
    assert (
        f"$T$ = {with_error(float(table.implied_temperature), float(table.implied_temperature_std))} K"
        in ax.get_title()
    )
    low, high = ax.get_ylim()
    assert (
        low
        < float(table.temperature_at_E.min())
        < float(table.temperature_at_E.max())
        < high
    )
    with pytest.raises(RangeError, match="run"):
        xr.concat(
            [measured, measured], dim="run"
        ).bp.detailed_balance().bp.plot.detailed_balance()
    with pytest.raises(QuantityError):
        measured.bp.plot.detailed_balance()


@pytest.mark.slow
def test_no_temperature_is_said_in_the_figure(measured: xr.Dataset) -> None:
    """A background of energy gain: near the line temperatures run off; title, legend and band say one thing."""
    more = measured.assign(
        S=(measured.S + 0.05 * measured.S.sel(E=15.25) * (measured.E < 0)).assign_attrs(
            measured.S.attrs
        )
    )
    table = more.bp.detailed_balance(E_range=("4 meV", "18 meV"))
    assert float(table.chi2_reduced) > 10
    far = table.assign(
        temperature_at_E=table.temperature_at_E.where(table.E > 5, 4000.0).assign_attrs(
            units="K"
        )
    )
    ax = far.bp.plot.detailed_balance()
    number = with_error(float(table.implied_temperature), 25.0)
    wide = far.assign(
        implied_temperature_std=(far.implied_temperature_std * 0 + 25.0).assign_attrs(
            units="K"
        )
    )
    ax = wide.bp.plot.detailed_balance()
    assert ax.get_title().startswith(f"$T$ = {number} K (poor: $")
    assert f"all: {number} K" in [
        text.get_text() for text in ax.get_legend().get_texts()
    ]
    assert np.ptp(ax.collections[0].get_paths()[0].vertices[:, 1]) == pytest.approx(
        50.0
    )
    assert "no temperature" not in ax.get_title()
    assert "up to 4000 K beyond the axis" in ax.get_title()
    assert ax.get_ylim()[1] < 2000
    hot = measured.assign(
        S=(measured.S * np.where(measured.E < 0, 5, 1)).assign_attrs(measured.S.attrs)
    )
    none = hot.bp.detailed_balance(E_range=("4 meV", "18 meV"))
    assert none.bp.plot.detailed_balance().get_title() == "no temperature"


@pytest.mark.slow
def test_the_elastic_line_against_q_squared(measured: xr.Dataset) -> None:
    table = measured.bp.debye_waller(Q_range=(2, 7))
    ax = table.bp.plot.debye_waller(figsize=(3.4, 2.6), ms=5)
    used, others = ax.containers
    inside = (table.Q >= 2) & (table.Q <= 7)
    x, y = used[0].get_xydata().T
    np.testing.assert_allclose(x, table.Q[inside] ** 2)
    np.testing.assert_allclose(
        np.diff(y), np.diff(np.log(table.elastic_intensity[inside]))
    )
    assert used[0].get_color() != others[0].get_color()
    assert len(others[0].get_xdata()) == int((~inside).sum())
    error = (table.elastic_intensity_std / table.elastic_intensity)[inside]
    assert np.ptp(used[2][0].get_segments()[3][:, 1]) == pytest.approx(
        2 * float(error[3]), rel=1e-6
    )
    fitted = ax.lines[-1].get_xydata()
    assert -np.diff(fitted[:, 1]) / np.diff(fitted[:, 0]) == pytest.approx(
        float(table.u2)
    )
    # The line goes through the points: what is left has no weighted mean.
    left = y + float(table.u2) * x
    assert np.average(left, weights=error.values**-2) == pytest.approx(0, abs=1e-9)
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "$Q^2$ (Å$^{-2}$)",
        "$\\ln\\,S_\\mathrm{el}(Q)/S_\\mathrm{el}(0)$",
    )
    larger = max(float(table.u2_std), float(table.u2_systematic))
    assert ax.get_title().startswith(
        f"$u^2$ = {with_error(float(table.u2), larger)} Å$^{{2}}$ (by "
    )
    bare = measured.S.bp.debye_waller().bp.plot.debye_waller()
    assert "chi" not in bare.get_title()
    with pytest.raises(RangeError, match="run"):
        xr.concat(
            [measured, measured], dim="run"
        ).bp.debye_waller().bp.plot.debye_waller()
    bragg = measured.assign(
        S=(measured.S * (1 + 30 * (np.arange(30) % 7 == 0))[:, None]).assign_attrs(
            measured.S.attrs
        )
    )
    none = bragg.bp.debye_waller().bp.plot.debye_waller()
    assert none.get_title() == "no $u^2$: not a Debye-Waller decay"
    assert len(none.lines) == 1
    assert "max" in none.get_ylabel()


@pytest.mark.slow
def test_a_table_names_its_own_figure(measured: xr.Dataset, glass: xr.Dataset) -> None:
    for name in ("debye_waller", "detailed_balance"):
        table = getattr(measured.bp, name)()
        with pytest.raises(
            QuantityError, match=rf"table.bp.plot.{name}\(\) draws such a table"
        ):
            table.bp.plot.cut()
        assert f"next: .bp.plot.{name}()" in repr(table.bp)
    with pytest.raises(QuantityError, match=r"table.bp.plot.peak\(\) draws"):
        glass.bp.to_bqe().bp.boson_peak(E_range=(1.2, 12)).bp.plot.cut()
