"""Force constants of phonopy, through what it calls them: a stand-in, as it is not installed with the tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import QuantityError

PAIR = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.diag([1.0, 2.0, 3.0]))


def phonon(**changes: Any) -> SimpleNamespace:
    cell = SimpleNamespace(
        cell=10 * np.eye(3),
        scaled_positions=[[0, 0, 0], [0.2, 0, 0]],
        symbols=["Cu", "Zr"],
        masses=[63.546, 91.224],
    )
    blocks = PAIR.reshape(2, 3, 2, 3).transpose(0, 2, 1, 3)
    made = {"supercell": cell, "force_constants": blocks, "calculator": None}
    return SimpleNamespace(**(made | changes))


def test_force_constants_of_phonopy() -> None:
    found = xbp.md.lattice.from_phonopy(phonon())
    rest = xbp.md.new_trajectory(
        [[[0.0, 0, 0], [2.0, 0, 0]]],
        time=[0.0],
        cell=10 * np.eye(3),
        mass=[63.546, 91.224],
        element=["Cu", "Zr"],
    )
    wanted = xbp.md.lattice.new_force_constants(PAIR, rest)
    xr.testing.assert_allclose(found, wanted)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"force_constants": None}, "has no force constants"),
        ({"calculator": "qe"}, "calculator='qe' has other units"),
        ({"force_constants": np.zeros((1, 2, 3, 3))}, "shape .1, 2, 3, 3."),
        ({"force_constants": np.ones((2, 2, 3, 3)) * np.arange(3)}, "transpose"),
    ],
)
def test_what_is_not_known_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(QuantityError, match=says):
        xbp.md.lattice.from_phonopy(phonon(**changes))
