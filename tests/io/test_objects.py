"""Spectra of Euphonic, phonopy and Mantid as objects: stand-ins of their interfaces, as far as xbp calls them."""

from __future__ import annotations

import json
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


class Euphonic(ModuleType):
    """Its two spectra keep what they are made of, and write it as Euphonic does."""

    class Spectrum1D:
        def __init__(self, parts: dict[str, Any]) -> None:
            self.parts = parts

        @classmethod
        def from_dict(cls, parts: dict[str, Any]) -> Any:
            return cls(parts)

        def to_json_file(self, path: str) -> None:
            plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.parts.items()}  # fmt: skip
            name = type(self).__name__
            Path(path).write_text(json.dumps({"__euphonic_class__": name, **plain}))

    class Spectrum2D(Spectrum1D): ...


def test_spectra_for_euphonic(monkeypatch: Any, glass: xr.Dataset) -> None:
    """Real Euphonic 2.1 gives the same (run by hand)."""
    with pytest.raises(MissingDependencyError, match="Euphonic"):
        glass.g.bp.to_euphonic()
    monkeypatch.setitem(sys.modules, "euphonic", Euphonic("euphonic"))
    there = glass.g.bp.to_euphonic()
    assert there.parts["x_data_unit"] == "millielectron_volt"
    back = xbp.from_euphonic(there).g
    np.testing.assert_array_equal(back, glass.g)
    np.testing.assert_array_equal(back.E, glass.E)
    S = glass[["S", "S_std"]]
    there = S.bp.to_euphonic()
    assert type(there).__name__ == "Spectrum2D"
    back = xbp.from_euphonic(there, powder=True).S
    np.testing.assert_array_equal(back, S.S.transpose(*back.dims))
    with pytest.raises(QuantityError, match="has dimensions"):
        xr.concat([S, S], "sample").bp.to_euphonic()


def test_workspaces_for_mantid(
    monkeypatch: Any, glass: xr.Dataset, tmp_path: Path
) -> None:
    given: dict[str, Any] = {}

    class Recorded:
        def __init__(self, name: str) -> None:
            given["name"] = name

        initialize = execute = lambda self: None
        setChild = lambda self, _: None  # noqa: E731

        def setProperty(self, name: str, value: Any) -> None:
            given[name] = value
            if name == "Filename":
                shutil.copy(value, tmp_path / "a.nxspe")

        def getProperty(self, name: str) -> Any:
            assert name == "OutputWorkspace"
            return SimpleNamespace(value=given)

    api = ModuleType("mantid.api")
    api.AlgorithmManager = SimpleNamespace(createUnmanaged=Recorded)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mantid", ModuleType("mantid"))
    monkeypatch.setitem(sys.modules, "mantid.api", api)
    S = glass[["S", "S_std"]].isel(Q=slice(20, 23)).bp.convert(E="THz")
    made = S.bp.to_mantid()
    assert (made["name"], made["NSpec"], made["UnitX"]) == ("CreateWorkspace", 3, "DeltaE")  # fmt: skip
    wanted = glass.isel(Q=slice(20, 23))
    np.testing.assert_allclose(made["DataY"], wanted.S.values.ravel())
    np.testing.assert_allclose(made["DataE"], wanted.S_std.values.ravel())
    np.testing.assert_allclose(made["DataX"][: wanted.E.size], wanted.E, atol=1e-12)
    assert [float(Q) for Q in made["VerticalAxisValues"]] == wanted.Q.values.tolist()
    shared = S.assign(S_std_common=(("source", *S.S.dims), [S.S_std.values]))
    shared = shared.assign_coords(source=["T"])
    shared["S_std_common"].attrs["units"] = S.S.attrs["units"]
    with pytest.raises(QuantityError, match="S_std_common"):
        shared.bp.to_mantid()
    recorded = write(tmp_path / "a.nxs")
    spectra = xbp.open_dataset(recorded, T="300 K", incident_energy="50 meV")
    assert spectra.bp.to_mantid()["name"] == "LoadNXSPE"
    back = xbp.open_dataset(tmp_path / "a.nxspe", T="300 K")
    np.testing.assert_array_equal(back.S, spectra.S)
