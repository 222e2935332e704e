"""Spectra of Euphonic, phonopy and Mantid as objects: stand-ins of their interfaces, as far as xbp calls them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_fuzz
import xarray as xr
from test_mantid import write

import xbp
from xbp.errors import MissingDependencyError, QuantityError


class Spectrum1D:
    """Euphonic is under the GPL, and not installed with the tests: its method writes a recorded file."""

    def to_json_file(self, path: str) -> None:
        test_fuzz.euphonic(Path(path))


def test_a_spectrum_of_euphonic(tmp_path: Path) -> None:
    test_fuzz.euphonic(tmp_path / "a.json")
    there = xbp.from_euphonic(Spectrum1D())
    wanted = xbp.open_dataset(tmp_path / "a.json")
    xr.testing.assert_equal(there, wanted)
    assert there.attrs["source"] == "Euphonic Spectrum1D"
    with pytest.raises(QuantityError, match="is not a spectrum of Euphonic"):
        xbp.from_euphonic([1, 2])


class Algorithm:
    """SaveNexusProcessed, recorded: it copies the file that it would write."""

    def __init__(self, recorded: Path) -> None:
        self.recorded, self.given = recorded, dict[str, Any]()

    def initialize(self) -> None: ...

    def setChild(self, _: bool) -> None: ...

    def setProperty(self, name: str, value: Any) -> None:
        self.given[name] = value

    def execute(self) -> None:
        assert self.given["InputWorkspace"].getNumberHistograms() == 3
        shutil.copy(self.recorded, self.given["Filename"])


def test_a_workspace_of_mantid(tmp_path: Path, monkeypatch: Any) -> None:
    """Mantid is not on PyPI: a stand-in of the three calls that are made."""
    workspace = SimpleNamespace(getNumberHistograms=lambda: 3)
    with pytest.raises(MissingDependencyError, match="Mantid"):
        xbp.from_mantid(workspace)
    recorded = write(tmp_path / "a.nxs")
    api, maker = ModuleType("mantid.api"), SimpleNamespace()
    maker.createUnmanaged = lambda name: {"SaveNexusProcessed": Algorithm(recorded)}[
        name
    ]
    api.AlgorithmManager = maker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mantid", ModuleType("mantid"))
    monkeypatch.setitem(sys.modules, "mantid.api", api)
    told = {"T": "300 K", "incident_energy": "50 meV"}
    there = xbp.from_mantid(workspace, **told)
    wanted = xbp.open_dataset(recorded, **told)
    xr.testing.assert_equal(there, wanted)
    with pytest.raises(QuantityError, match="not a MatrixWorkspace"):
        xbp.from_mantid(3)


def test_a_density_of_states_of_phonopy() -> None:
    E = np.linspace(-0.5, 8, 18)
    dos = SimpleNamespace(frequency_points=E, dos=np.where(E > 0, 0.75, 0.0))
    phonon = SimpleNamespace(total_dos=dos, primitive=["Cu", "Zr"])
    g = xbp.from_phonopy(phonon).g
    np.testing.assert_array_equal(g, dos.dos)
    assert (g.attrs["units"], g.E.attrs["units"], g.attrs["area"]) == (
        "1/THz",
        "THz",
        6,
    )
    assert "area" not in xbp.from_phonopy(dos).g.attrs
    with pytest.raises(QuantityError, match="no density of states"):
        xbp.from_phonopy(SimpleNamespace(total_dos=None))
