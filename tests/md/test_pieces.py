"""Boxes whose segments do not fit in memory: read in parts, the numbers are the same."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.md import block, run
from xbp.md.block import Later

N_ATOMS, WINDOW = 60, {"window": "1 ps", "T": "300 K"}
Q = {"Q_max": 2, "dQ": 0.25, "precision": "double", "weights": "unit", **WINDOW}


@pytest.fixture(scope="module")
def drifting() -> xr.Dataset:
    """Return a solid that drifts, in chunks of frames and atoms."""
    solid = xbp.md.models.einstein_solid(
        N_ATOMS, 90, cell=10, energy="8 meV", T=300, mass=40, time_step=0.05, rng=1
    )
    time = solid.time.values[:, None, None]
    moved = solid.assign(
        position=solid.position.copy(data=(solid.position + 0.3 * time).values % 10),
        velocity=solid.velocity + 0.3,
    )
    moved["velocity"].attrs = solid.velocity.attrs
    return moved.drop_vars("temperature").chunk({"time": 7, "atom": 25})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("analysis", "arguments", "moving", "lazy"),
    [
        ("dynamic_structure_factor", Q, True, True),
        ("intermediate_scattering_function", {**Q, "part": "incoherent"}, True, False),
        ("current_spectra", {**Q, "folding": None}, True, True),
        ("vdos", WINDOW, True, True),
        ("vdos", WINDOW, False, False),
        ("msd", WINDOW, False, True),
    ],
)
def test_in_parts_the_numbers_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
    drifting: xr.Dataset,
    analysis: str,
    arguments: dict[str, Any],
    moving: bool,
    lazy: bool,
) -> None:
    traj = drifting if moving else drifting.drop_vars("velocity")
    traj = traj if lazy else traj.compute()
    whole = getattr(traj.bp, analysis)(**arguments)
    largest: list[int] = []
    real = block.Block.scaled

    def watched(self: block.Block) -> np.ndarray:
        found = real(self)
        largest.append(found.nbytes)
        return found

    for module in (block, run):
        monkeypatch.setattr(module, "BLOCK_BYTES", 48 * N_ATOMS * 8)
    monkeypatch.setattr(block.Block, "scaled", watched)
    parts = getattr(traj.bp, analysis)(**arguments)
    for name in whole.data_vars:
        if whole[name].dtype.kind == "f":
            scale = float(abs(whole[name]).max())
            np.testing.assert_allclose(
                parts[name], whole[name], rtol=1e-7, atol=1e-9 * scale
            )
    assert max(largest, default=0) <= 24 * N_ATOMS * 8


def test_what_a_worker_is_sent_has_its_own_frames_only(drifting: xr.Dataset) -> None:
    position = drifting.position.data
    own = pickle.loads(pickle.dumps(Later(position[7:14], "a")))
    np.testing.assert_array_equal(own[1:3], position[8:10].compute())
    assert len(own._array.__dask_graph__()) < 0.5 * len(position.__dask_graph__())
    Later.given_up.add("a")
    with pytest.raises(InterruptedError):
        own[0:1]
    Later.given_up.remove("a")
