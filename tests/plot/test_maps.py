"""Maps and what is drawn over them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
import xarray as xr


@pytest.mark.slow
def test_the_axis_of_a_large_structure_factor_has_its_power_of_ten(
    glass: xr.Dataset,
) -> None:
    sq = (glass.Sq * 1e8).assign_attrs(glass.Sq.attrs)
    ax = glass.bp.to_bqe().bp.plot.map(sq, E_range=(1, 20))
    (twin,) = [other for other in ax.figure.axes if "S(Q)" in other.get_ylabel()]
    plt.close(ax.figure)
    ax.figure.draw_without_rendering()
    assert twin.get_ylabel() == "$S(Q)$ (10$^{8}$)"
    assert twin.yaxis.get_offset_text().get_text() == ""
    assert twin.get_yticklabels()[1].get_text() in ("0.5", "1")
