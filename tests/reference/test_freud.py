"""The same planes through freud: g(r)."""

from __future__ import annotations

import numpy as np
import pytest

from xbp.md import new_trajectory

freud = pytest.importorskip("freud")


@pytest.mark.parametrize("thickness", [1.0, 40.0])
def test_g_of_r_in_a_plane(thickness: float) -> None:
    """Equal but for one pair a bin: freud has distances in single precision."""
    n, sides, bins, r_max = 400, np.array([30.0, 40.0]), 70, 14.0
    position = np.zeros((1, n, 3))
    position[0, :, :2] = np.random.default_rng(3).random((n, 2)) * sides
    plane = new_trajectory(position, time=[0.0], cell=np.diag([*sides, thickness]))
    table = plane.bp.radial_distribution(r_max, r_max / bins)
    assert table.attrs["number_density"] == pytest.approx(n / sides.prod())
    own = table.rdf
    peer = freud.density.RDF(bins, r_max, normalization_mode="finite_size")
    centred = position[0] - [*(sides / 2), 0]
    peer.compute((freud.box.Box(*sides), centred))
    area = np.pi * np.diff(np.asarray(peer.bin_edges) ** 2)
    pair = 2 / (n * (n - 1) / sides.prod() * area)
    assert (abs(own.values - peer.rdf) < 1.01 * pair).all()
    assert (abs(own.values - peer.rdf) < 0.01 * pair).mean() > 0.9
