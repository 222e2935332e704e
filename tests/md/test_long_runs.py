from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import ArgumentsError, FileFormatError, QuantityError, XbpError
from xbp.md import fields, long_runs, run
from xbp.md.block import Block
from xbp.md.run import changed_tasks, delayed


@pytest.fixture(scope="module")
def gas() -> xr.Dataset:
    return xbp.md.models.ideal_gas(
        60, 600, cell=15, T=300, mass=40, time_step="20 fs", rng=2
    )


@pytest.fixture(scope="module")
def solid() -> xr.Dataset:
    return xbp.md.models.einstein_solid(
        40, 600, cell=11, energy="8 meV", T=300, mass=40, time_step="25 fs", rng=3
    )


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trajectory that fits into a test has several tasks too."""
    monkeypatch.setattr(run, "_TASK_BYTES", 1)


SHELLS: dict[str, Any] = {"Q_max": 2, "dQ": 0.5}
CALLS: dict[str, dict[str, Any]] = {
    "dynamic_structure_factor": {**SHELLS, "window": "0.5 ps"},
    "intermediate_scattering_function": {**SHELLS, "window": "0.5 ps"},
    "structure_factor": SHELLS,
    "current_spectra": {**SHELLS, "window": "0.5 ps"},
    "radial_distribution": {"r_max": 6},
    "msd": {"window": "0.5 ps"},
    "vdos": {"window": "0.5 ps"},
}
OF_FIELD: dict[str, Any] = {
    **SHELLS, "window": "0.5 ps", "field": "volumetric_strain", "cutoff": 4.5,
}  # fmt: skip


def called(data: xr.Dataset, name: str) -> xr.Dataset:
    found: xr.Dataset = getattr(data.bp, name)(**CALLS[name])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupted_analysis_goes_on(
    name: str, gas: xr.Dataset, tmp_path: Path
) -> None:
    """As Ctrl-C, or the end of a job: some tasks are done, one fails, the rest are not."""
    whole = called(gas, name)
    done: list[int] = []

    def counted(part: Any) -> Any:
        done.append(1)
        return part

    def limited(part: Any) -> Any:
        done.append(1)
        if len(done) > 2:
            raise KeyboardInterrupt
        return part

    with dask.config.set(scheduler="synchronous"):
        with (
            pytest.raises(KeyboardInterrupt),
            changed_tasks(lambda parts, _: [delayed(limited)(p) for p in parts]),
            xbp.md.checkpoint(tmp_path),
        ):
            called(gas, name)
        done.clear()
        kept = len(list(tmp_path.rglob("*.npz")))
        with (
            changed_tasks(lambda parts, _: [delayed(counted)(p) for p in parts]),
            xbp.md.checkpoint(tmp_path),
        ):
            again = called(gas, name)
    n_tasks = len(list(tmp_path.rglob("*.npz")))
    assert 2 == kept < n_tasks
    assert len(done) == n_tasks - kept  # none is computed twice
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and f.suffix != ".npz"]
    xr.testing.assert_allclose(whole, again, rtol=1e-13)


@pytest.mark.slow
def test_other_calls_and_trajectories_do_not_meet(
    gas: xr.Dataset, tmp_path: Path
) -> None:
    other = gas.copy(deep=True)
    other["position"].values[300] += 0.5
    calls = [
        lambda: gas.bp.structure_factor(2, 0.5),
        lambda: gas.bp.structure_factor(2.5, 0.5),
        lambda: gas.bp.structure_factor(2, 0.5, max_wavevectors_per_shell=4),
        lambda: gas.isel(time=slice(0, 500)).bp.structure_factor(2, 0.5),
        lambda: other.bp.structure_factor(2, 0.5),
    ]
    for i, call in enumerate(calls):
        with xbp.md.checkpoint(tmp_path):
            found = call()
        xr.testing.assert_identical(found.Sq, call().Sq)
        assert len(list(tmp_path.iterdir())) == i + 1


@pytest.mark.slow
def test_what_a_call_subtracts_is_its_own(gas: xr.Dataset, tmp_path: Path) -> None:
    """The means of strains within 7 and 9 Å have one shape."""
    short = gas.isel(time=slice(0, 60))
    given: dict[str, Any] = {"Q_max": 1, "dQ": 0.5, "window": "0.4 ps"}
    for cutoff in (7, 9):
        with xbp.md.checkpoint(tmp_path):
            found = short.bp.fluctuation_spectrum(
                "volumetric_strain", cutoff=cutoff, **given
            )
    whole = short.bp.fluctuation_spectrum("volumetric_strain", cutoff=9, **given)
    xr.testing.assert_allclose(found, whole, rtol=1e-10)


@pytest.mark.slow
def test_a_box_that_is_open_or_a_temperature_given_is_another_call(
    gas: xr.Dataset, tmp_path: Path
) -> None:
    free = gas.assign_attrs(periodic="110")
    cold = gas.drop_vars("temperature")
    for data in (gas, free, cold):
        with xbp.md.checkpoint(tmp_path):
            found = called(data, "structure_factor")
        xr.testing.assert_allclose(found, called(data, "structure_factor"), 1e-13)


@pytest.mark.slow
def test_a_damaged_file_is_computed_again(gas: xr.Dataset, tmp_path: Path) -> None:
    with xbp.md.checkpoint(tmp_path):
        first = called(gas, "vdos")
    files = sorted(tmp_path.rglob("*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:200])
    files[1].write_bytes(b"")
    damaged = bytearray(files[2].read_bytes())
    damaged[200:260] = bytes(60)  # as after a crash of the machine
    files[2].write_bytes(damaged)
    with xbp.md.checkpoint(tmp_path):
        again = called(gas, "vdos")
    xr.testing.assert_allclose(first, again, rtol=1e-13)
    with np.load(files[0]) as file:
        assert "n" in file.files


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "folder"
    with pytest.raises(XbpError, match="cannot be made"), xbp.md.checkpoint(folder):
        pass


def test_an_answer_that_cannot_be_kept_is_refused(
    gas: xr.Dataset, tmp_path: Path
) -> None:
    with xbp.md.checkpoint(tmp_path):
        called(gas, "vdos")
    file = min(tmp_path.rglob("*.npz"))
    file.unlink()
    file.mkdir()
    said = pytest.raises(FileFormatError, match="npz cannot be written: Is a directory")
    with said, xbp.md.checkpoint(tmp_path):
        called(gas, "vdos")
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and f.suffix != ".npz"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CALLS, "fluctuation_spectrum"])
def test_every_analysis_has_an_estimate_that_reads_a_part_of_the_frames(
    name: str, solid: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of what comes before the spectra: references, means, distributions."""
    arguments = CALLS.get(name, OF_FIELD)
    read: list[int] = []
    whole = Block.scaled, Block.velocities
    for method in whole:

        def counted(
            block: Block, method: Callable[[Block], np.ndarray] = method
        ) -> np.ndarray:
            read.append(block.n_frames)
            return method(block)

        monkeypatch.setattr(Block, method.__name__, counted)
    with dask.config.set(scheduler="synchronous"):
        cost = solid.bp.estimate(name, **arguments)
        sampled = sum(read)
        read.clear()
        getattr(solid.bp, name)(**arguments)
    assert sampled < 0.4 * sum(read)
    assert 0 < cost.time < 60
    assert cost.memory >= 0
    assert f"{cost.n_tasks} tasks" in str(cost)


@pytest.mark.slow
def test_what_is_lazy_is_in_the_estimate(
    solid: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = fields.FieldMaker.__call__

    def counted(maker: fields.FieldMaker, block: Block) -> dict[str, np.ndarray]:
        made.append(block.n_frames)
        return make(maker, block)

    monkeypatch.setattr(fields.FieldMaker, "__call__", counted)
    names = ["coordination", "shear_strain"]
    cost = solid.bp.estimate("local_fields", fields=names, cutoff=4.5)
    assert made == [solid.sizes["time"]]  # few and small: in one task
    assert cost.n_tasks > 1


@pytest.mark.parametrize("n", [6, 60])
def test_the_estimate_is_the_time_of_all_tasks(n: int) -> None:
    """Two at a time of 30 ms each, with 60 ms that they share."""

    class Timed(long_runs._Survey):
        def _timed(self, parts: list[Any]) -> tuple[list[Any], float]:
            seconds = 0.06 + 0.03 * len(parts) / 2
            self.spent += seconds
            return parts, seconds

    survey = Timed(2)
    answers = survey.sampled(list(range(n)), lambda: "")
    assert survey.whole == pytest.approx(0.06 + 0.03 * n / 2)
    assert survey.n_tasks == n
    assert answers == list(range(len(answers)))
    assert len(answers) == {6: 6, 60: 16}[n]


def test_an_estimate_of_short_tasks_does_not_hang_on_one_time() -> None:
    """The first is half as long again; later ones are not."""

    class Disturbed(long_runs._Survey):
        def _timed(self, parts: list[Any]) -> tuple[list[Any], float]:
            return parts, 0.001 * len(parts) * (1.5 if len(parts) == 1 else 1)

    survey = Disturbed(1)
    survey.sampled(list(range(80)), lambda: "")
    assert survey.whole == pytest.approx(0.08, rel=0.1)


def test_an_estimate_of_something_else_is_refused(gas: xr.Dataset) -> None:
    for name in ("boson_peak", "estimate", "bloch_modes", "to_ase", "nothing"):
        with pytest.raises(QuantityError, match="no analysis of trajectories"):
            gas.bp.estimate(name)
    with pytest.raises(XbpError):
        gas.bp.estimate("structure_factor", Q_max="4 meV")
    with pytest.raises(ArgumentsError, match="Q_max"):
        gas.bp.estimate("structure_factor")
