"""Files from strangers, damaged: every reader refuses with a sentence, or gives data that follow the model."""

from __future__ import annotations

import importlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import raman_files
import xarray as xr
from apart import Case, apart, tried
from memory import forget_peak, peak_memory

import xbp
from xbp.core.schema import validate
from xbp.errors import FileFormatError, XbpError
from xbp.io.geometry import angle_dataset

E_EDGES = np.linspace(-4, 6, 6)


def spectra() -> xr.Dataset:
    values = np.random.default_rng(0).random((4, 5))
    values[1] = np.nan
    return angle_dataset(
        values, values / 10, detector=np.arange(4), angles={"two_theta": np.array([10.0, 20.0, 30.0, np.nan])}, E=E_EDGES,
        incident_energy=12.0, temperature=5.0, ki_over_kf=True, attrs={"title": "aluminium", "run_number": 7, "instrument": "MARI"},
    )  # fmt: skip


def map_() -> xr.Dataset:
    values = np.random.default_rng(0).random((3, 5))
    return xbp.new_dataset(
        "dynamic_structure_factor", values, units="1/meV", std=values / 10, statistics="quantum", temperature=5,
        coords={"Q": ([1.0, 2.0, 3.0], "1/angstrom"), "E": ((E_EDGES[1:] + E_EDGES[:-1]) / 2, "meV")},
    )  # fmt: skip


def mantid(path: Path) -> None:
    values = np.random.default_rng(0).random((4, 5))
    parts = {
        "workspace/values": values, "workspace/errors": values / 10, "workspace/axis1": E_EDGES, "workspace/axis2": np.arange(4.0),
        "logs/Ei/value": [12.0], "logs/T_sample/value": [5.0, 6.0], "instrument/name": [b"MARI"], "title": [b"Al"],
        "instrument/detector/detector_count": [1, 1, 1, 1], "instrument/detector/detector_index": [0, 1, 2, 3],
        "instrument/detector/detector_list": [1, 2, 3, 4], "instrument/physical_detectors/detector_number": [1, 2, 3, 4],
        "instrument/physical_detectors/polar_angle": [5.0, 10.0, 14.0, 90.0],
        "instrument/physical_detectors/distance": [4.0, 4.0, 4.0, 4.0],
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, part in parts.items():
            file[f"mantid_workspace_1/{name}"] = part
        for axis, units in (("axis1", b"DeltaE"), ("axis2", b"spectraNumber")):
            file[f"mantid_workspace_1/workspace/{axis}"].attrs["units"] = np.bytes_(
                units
            )
        file["mantid_workspace_1/workspace/axis1"].attrs["distribution"] = np.bytes_(
            b"1"
        )


def histogram(path: Path) -> None:
    values = np.random.default_rng(0).random((3, 5))
    with h5py.File(path, "w") as file:
        group = file.create_group("iqe")
        group["data"], group["errors"] = values, values / 100
        for i, (axis, edges, unit) in enumerate(
            (("Q", np.arange(4.0), b"angstrom**-1"), ("energy", E_EDGES, b"meV"))
        ):
            node = group.create_group(f"grid/{axis}")
            node["bin boundaries"] = edges
            node.attrs["unit"] = np.bytes_(unit)
            node.attrs["index"] = i


def dave(path: Path) -> None:
    rows = [
        "# Number of energies",
        "5",
        "# Number of q",
        "3",
        "# E (meV)",
        *map(str, range(5)),
        "# q (1/Angstroms)",
        "1.0",
        "2.0",
        "3.0",
    ]
    for i in range(3):
        rows += [f"# Group {i}", *(f"{1.5 + j} 0.{j}" for j in range(5))]
    path.write_text("\n".join(rows) + "\n")


def gudrun(path: Path) -> None:
    rows = [
        "# A00001122.mint01",
        "# a glass",
        "#     1  40",
        *(f" {0.05 * i:.3E} {0.2 * np.sin(i):.6E} 1.0E-03" for i in range(1, 41)),
    ]
    path.write_text("\n".join(rows) + "\n")


def jcamp(path: Path) -> None:
    rows = ["##TITLE=t", "##JCAMP-DX=4.24", "##DATA TYPE=RAMAN SPECTRUM", "##XUNITS=1/CM", "##YUNITS=COUNTS", "##XFACTOR=0.5",
            "##YFACTOR=2.0", "##FIRSTX=20", "##LASTX=42", "##NPOINTS=12", "##FIRSTY=20", "##XYDATA=(X++(Y..Y))"]  # fmt: skip
    rows += [
        f"{40 + 12 * i} " + " ".join(str(10 + 3 * i + j) for j in range(3))
        for i in range(4)
    ]
    path.write_text("\n".join([*rows, "##END="]) + "\n")


def ppms(path: Path) -> None:
    rows = ["[Header]", "BYAPP,HeatCapacity,3.9.11,1.7", "INFO,7.76,MASS:Sample Mass (mg)", "INFO,60,MOLWGHT:Formula Weight (g/mole)",
            "INFO,3,ATOMS:Atoms per Formula Unit", "[Data]",
            "Sample Temp (Kelvin),Samp HC (µJ/K),Samp HC Err (µJ/K),Addenda HC (µJ/K),Total HC (µJ/K),Field (Oersted)"]  # fmt: skip
    rows += [
        f"{2 + i}.5,{0.5 + i},0.01,{1 + i}.25,{1.75 + 2 * i},0.5" for i in range(8)
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def labspec(path: Path) -> None:
    rows = [
        "#Acq. time (s)=\t30",
        "#Instrument=\tLabRAM",
        "#Spectro (cm-¹)=\t290",
        *(f"{100 - 5 * i}\t{200 + i}.5" for i in range(12)),
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def inx(path: Path) -> None:
    rows = []
    for i in range(3):
        rows += [
            "   10    1    2    0    0    0    0    5",
            "a glass",
            f" {1.0 + i:.4f}  13.088  2.5133  350.000   1.0 0",
            " 0.0 4.0 0.0",
        ]
        rows += [f"{j - 2.5:15.5f}{1.5 + i + j:13.5e}{0.1 + j / 10:12.4e}" for j in range(5)]  # fmt: skip
    path.write_text("\n".join(rows) + "\n")


def spe(path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["       3       5", "### Phi Grid", "".join(f"{x:10.3f}" for x in (10, 14, 18, 22)), "### Energy Grid",
            "".join(f"{e:10.3E}" for e in E_EDGES)]  # fmt: skip
    for _ in range(3):
        spectrum = rng.standard_normal(5)
        for name, values in (("S(Phi,w)", spectrum), ("Errors", abs(spectrum) / 10)):
            rows += [f"### {name}", "".join(f"{x:10.3E}" for x in values)]
    path.write_text("\n".join(rows) + "\n")


PARAMETERS = """ 0)  Run time [min]                  =      1.00000
 11) Sample   temperature [K]        =      293.349
 21) Wavelength   (angstroms)        =      3.00000
 (Sample) temperature  =      293.349
 (Sample) regulation_temperature  =      293.004
"""


def lamp(path: Path) -> None:
    values = np.random.default_rng(0).random((3, 5))
    std = values / 10
    values[0, 0], std[0, 0] = 0, -1
    with h5py.File(path, "w") as file:
        file.attrs["SOURCE"] = np.array([b"IN5"])
        data = file.create_group("entry1/data1")
        data["DATA"], data["errors"] = values, std
        data["X"], data["Y"] = np.linspace(-2, 2, 5), [1.0, 1.5, 2.0]
        data["PARAMETERS"] = np.array([PARAMETERS.encode()])
        for name, label in (
            ("DATA", b"water"),
            ("X", b" Energy Transfer (meV)"),
            ("Y", b"Wavevector Transfer (A!U-1!N)"),
        ):
            data[name].attrs["long_name"] = np.array([label])  # fmt: skip


def mdanse(path: Path) -> None:
    omega = np.arange(5.0)
    parts = {
        "omega": (omega, "rad/ps", "index"), "time": (omega, "ps", "index"), "dos_total": (omega**2, "au", "omega"),
        "dos_H": (omega**2 / 2, "au", "omega"), "vacf_total": (omega, "nm2/ps2", "time"),
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, (values, units, axis) in parts.items():
            file[name] = values
            file[name].attrs.update({"units": units, "axis": axis, "varname": name})
        file["metadata/inputs/weights"] = [b'"atomic_weight"']
        file["metadata/task_name"] = [b"DensityOfStates"]


def nmoldyn(path: Path) -> None:
    S, axes = np.random.default_rng(0).random((3, 5)), ("NQVALUES", "NFREQUENCIES")
    xr.Dataset(
        {
            "q": (axes[0], [5.0, 15.0, 25.0], {"units": "nm^-1"}),
            "frequency": (axes[1], np.arange(5) / 2 / np.pi, {"units": "THz"}),
            "angular_frequency": (axes[1], np.arange(5.0), {"units": "rad ps-1"}),
            "Sqw-total": (axes, S, {"units": "unitless"}),
            "Sqw-OO": (axes, S / 2, {"units": "unitless"}),
        }
    ).to_netcdf(path, format="NETCDF3_CLASSIC")


def euphonic(path: Path) -> None:
    content = {
        "__euphonic_class__": "Spectrum1D", "__euphonic_version__": "1.4.0", "x_data": list(range(0, 60, 6)),
        "x_data_unit": "millielectron_volt", "y_data": [0.02 * i**2 for i in range(9)], "y_data_unit": "1 / millielectron_volt",
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=4))


def mdmc(path: Path) -> None:
    rows = [f'<SQomega S="{1 + q + w}" error="0.{w + 1}" omega="{w / 10}" q="{q}.5"/>' for w in range(4) for q in range(1, 4)]  # fmt: skip
    head = '<s-q-omega S-unit="0.1ps" n-omega-points="4" n-q-points="3" omega-unit="1/[10^-13 s]" q-unit="AA^-1">'
    path.write_text(
        "\n".join([head, "<description>argon</description>", *rows, "</s-q-omega>"])
    )


def scipp_file(path: Path) -> None:
    pytest.importorskip("scipp")
    map_().bp.to_scipp().save_hdf5(path)


#: One good file of every format, by the engine that reads it.
FORMATS: dict[str, Callable[[Path], None]] = {
    "nxspe": lambda path: spectra().bp.to_nxspe(path),
    "mantid": mantid,
    "histogram": histogram,
    "dave": dave,
    "sqw": lambda path: map_().bp.to_sqw(path),
    "total_scattering": gudrun,
    "columns": lambda path: map_().isel(Q=1).bp.to_columns(path),
    "jcamp": jcamp,
    "ppms": ppms,
    "labspec": labspec,
    "labspec6": raman_files.labspec6,
    "labspec_xml": raman_files.labspec_xml,
    "spc": raman_files.spc,
    "wdf": raman_files.wdf,
    "opus": raman_files.opus,
    "rruff": raman_files.rruff,
    "bwtek": raman_files.bwtek,
    "witec": raman_files.witec,
    "renishaw_text": raman_files.renishaw_text,
    "inx": inx,
    "spe": spe,
    "lamp": lamp,
    "mdanse": mdanse,
    "nmoldyn": nmoldyn,
    "euphonic": euphonic,
    "mdmc": mdmc,
    "scipp_file": scipp_file,
}
#: What those files do not tell.
OPTIONS: dict[str, dict[str, Any]] = {
    "inx": {"group": "Q", "energy_units": "meV"},
    "spe": {"incident_energy": "12 meV"},
    "renishaw_text": {"coordinate_units": "1/cm"},
}
#: Formats whose files do not say where they end, so that whole rows can be missing.
ENDLESS = {"ppms", "labspec", "bwtek", "witec", "renishaw_text"}
CONTENT = {entry.engine: entry.content for entry in xbp.io.FORMATS}
for engine in CONTENT.keys() - FORMATS.keys() - {"netcdf4"}:
    its_test = importlib.import_module(f"test_{engine}")
    FORMATS[engine] = its_test.good_file
    OPTIONS[engine] = getattr(its_test, "OPTIONS", {})
    if getattr(its_test, "ENDLESS", False):
        ENDLESS.add(engine)


@pytest.fixture
def _small_and_quick() -> Iterator[None]:
    """Neither much memory nor much time, whatever a file claims."""
    linux = Path("/proc/self/clear_refs").exists()
    if linux:
        forget_peak()
        before = peak_memory()
    begin = time.perf_counter()
    yield
    assert time.perf_counter() - begin < 60
    if linux:
        assert peak_memory() - before < 2**27


def follows_the_model(ds: xr.Dataset) -> bool:
    name = next(str(n) for n in ds.data_vars if not str(n).endswith("_std"))
    validate(ds[name])
    return not bool(np.isinf(ds[name]).any())


def shape_of(path: Path, kind: str = "") -> list[int]:
    """Return the shape of the data in a file, which follow the model."""
    ds = xbp.open_dataset(path, **OPTIONS.get(kind, {}))
    assert follows_the_model(ds)
    return list(next(iter(ds.data_vars.values())).shape)


def damaged(kind: str, folder: str) -> Iterator[Case]:
    """Yield the openings of a good file, of parts of it, and with bytes flipped."""
    path, options = Path(folder), OPTIONS.get(kind, {})
    FORMATS[kind](path / "whole")
    whole = (path / "whole").read_bytes()
    yield "whole", lambda: shape_of(path / "whole", kind)
    for part in range(10):
        start = whole[: len(whole) * part // 10]
        if kind in ENDLESS and start.endswith(b"\n"):
            continue
        (path / "part").write_bytes(start)
        yield f"part {part}", lambda: shape_of(path / "part", kind)
        yield (
            f"part {part} by its engine",
            lambda: str(xr.open_dataset(path / "part", engine=kind, **options)),
        )
    rng = random.Random(0)
    for i in range(80):
        flipped = bytearray(whole)
        for _ in range(rng.choice([1, 1, 3, 10])):
            flipped[rng.randrange(len(whole))] ^= rng.randrange(1, 256)
        (path / "part").write_bytes(flipped)
        yield f"flipped {i}", lambda: shape_of(path / "part", kind)


def of_kinds(
    cases: Callable[[str, str], Iterator[Case]], kinds: Iterable[str], folder: str
) -> Iterator[Case]:
    """Yield the cases of several kinds, each in a folder of its own."""
    for i, kind in enumerate(kinds):
        own = Path(folder) / str(i)
        own.mkdir()
        for name, case in cases(kind, str(own)):
            yield f"{kind}: {name}", case


def of_kind(said: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return what became of the cases of one kind."""
    start = f"{kind}: "
    return {k.removeprefix(start): v for k, v in said.items() if k.startswith(start)}


def all_damaged(folder: str) -> Iterator[Case]:
    yield from of_kinds(damaged, [k for k in FORMATS if CONTENT[k] != "text"], folder)


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what became of damaged files that libraries in C read, in one process."""
    return apart(all_damaged, str(tmp_path_factory.mktemp("damaged")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_truncated_and_flipped(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    # Readers of text do not end the process.
    if CONTENT[kind] == "text":
        said = {name: tried(case) for name, case in damaged(kind, str(tmp_path))}
    else:
        said = of_kind(request.getfixturevalue("binaries"), kind)
    shape = said.pop("whole")
    assert isinstance(shape, list)
    assert said["part 2"] == "refused"
    for name, row in said.items():
        if name.startswith("part"):
            # Behind the spectrum of LabSpec are parameters: these can be missing.
            if kind == "labspec6" and said[name.partition(" by")[0]] == shape:
                continue
            assert row == "refused" or ("engine" in name and "raw: OSError" in row), (
                name
            )
        else:
            assert row in ("refused", shape), (name, row)
    assert "refused" in [row for name, row in said.items() if "flipped" in name]


@pytest.mark.slow
@pytest.mark.usefixtures("_small_and_quick")
@pytest.mark.parametrize("kind", [k for k in FORMATS if CONTENT[k] == "text"])
def test_text_truncated_anywhere(tmp_path: Path, kind: str) -> None:
    """A number that is cut short is a number all the same, and must not pass for one."""
    FORMATS[kind](tmp_path / "whole")
    whole, options = (tmp_path / "whole").read_bytes(), OPTIONS.get(kind, {})
    reference = xbp.open_dataset(tmp_path / "whole", **options)
    for end in range(len(whole) - 60, len(whole)):
        if kind in ENDLESS and whole[:end].endswith(b"\n"):
            continue
        (tmp_path / "whole").write_bytes(whole[:end])
        try:
            ds = xr.open_dataset(tmp_path / "whole", engine=kind, **options)
        except XbpError:
            continue
        xr.testing.assert_identical(
            ds, reference
        )  # nothing but the last comment was lost


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_the_name_does_not_matter(tmp_path: Path, kind: str) -> None:
    name = "a.nc" if CONTENT[kind] == "text" else "a.txt"
    options = OPTIONS.get(kind, {})
    FORMATS[kind](tmp_path / name)
    ds = xbp.open_dataset(tmp_path / name, **options)
    by_engine = xr.open_dataset(tmp_path / name, engine=kind, **options)
    xr.testing.assert_identical(ds, by_engine)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_reader_takes_the_files_of_another(tmp_path: Path, kind: str) -> None:
    FORMATS[kind](tmp_path / "file")
    for other in FORMATS:
        if (
            other == kind or other == "columns"
        ):  # a table of columns is one, whoever wrote it
            continue
        with pytest.raises((XbpError, OSError)):
            xr.open_dataset(tmp_path / "file", engine=other)


@pytest.mark.slow
@pytest.mark.usefixtures("_small_and_quick")
@pytest.mark.parametrize(
    ("kind", "name"),
    [("nxspe", "data/data"), ("mantid", "workspace/values"), ("histogram", "data")],
)
@pytest.mark.parametrize("chunks", [None, (1000, 1000)], ids=["contiguous", "chunked"])
def test_absurd_shapes(
    tmp_path: Path, kind: str, name: str, chunks: tuple[int, int] | None
) -> None:
    FORMATS[kind](tmp_path / "file")
    with h5py.File(tmp_path / "file", "a") as file:
        (group,) = file.values()
        del group[name]
        group.create_dataset(name, shape=(10**6, 10**6), dtype="f8", chunks=chunks)
    with pytest.raises(FileFormatError):
        xbp.open_dataset(tmp_path / "file")


@pytest.mark.slow
@pytest.mark.usefixtures("_small_and_quick")
def test_a_bomb_of_zeros(tmp_path: Path) -> None:
    FORMATS["nxspe"](tmp_path / "file")
    with h5py.File(tmp_path / "file", "a") as file:
        data = file["aluminium/data"]
        for name in ("data", "error"):
            del data[name]
            node = data.create_dataset(
                name,
                shape=(2**14, 2**13),
                dtype="f8",
                chunks=(2**10, 2**10),
                compression="gzip",
            )
            for i in range(2):  # two chunks of the 128, the rest to be filled in
                node[i * 2**10 : (i + 1) * 2**10, : 2**10] = 0.0
    with pytest.raises(FileFormatError, match="claims"):
        xbp.open_dataset(tmp_path / "file")


@pytest.mark.usefixtures("_small_and_quick")
@pytest.mark.parametrize(
    ("kind", "old", "new"), [("dave", "\n5\n", "\n500000000000\n"), ("dave", "\n3\n", "\n30000000\n"), ("total_scattering", "  40", "  400000000000")]
)  # fmt: skip
def test_absurd_counts_in_text(tmp_path: Path, kind: str, old: str, new: str) -> None:
    FORMATS[kind](tmp_path / "file")
    text = (tmp_path / "file").read_text()
    assert old in text
    (tmp_path / "file").write_text(text.replace(old, new, 1))
    with pytest.raises(FileFormatError):
        xbp.open_dataset(tmp_path / "file")


def measured_damaged(name: str, folder: str) -> Iterator[Case]:
    whole = Path(name).read_bytes()
    path = Path(folder) / "part"
    for part in range(10):
        path.write_bytes(whole[: len(whole) * part // 10])
        yield f"part {part}", lambda: shape_of(path)
    rng = random.Random(1)
    for i in range(30):
        flipped = bytearray(whole)
        for _ in range(20):
            # Half of them where the structure is, at the beginning.
            at = rng.randrange(
                len(whole) if rng.random() < 0.5 else min(len(whole), 20000)
            )
            flipped[at] ^= rng.randrange(1, 256)
        path.write_bytes(flipped)
        yield f"flipped {i}", lambda: shape_of(path)


MEASURED_TEXT = ("sqw/Rb_liq_tot.sqw", "static/SiO2_NIMROD.mint01")
MEASURED = (
    "ins/MAR11001_test.nxspe",
    "ins/nxspe_version1_0.nxspe",
    "ins/MAR21335_Ei60meV.nxs",
    "ins/V_ARCS_Ei120_iqe.h5",
    *MEASURED_TEXT,
)


def all_measured(folder: str, *names: str) -> Iterator[Case]:
    yield from of_kinds(measured_damaged, names, folder)


@pytest.fixture(scope="module")
def measured(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    names = [str(shared_data / name) for name in MEASURED if name not in MEASURED_TEXT]
    return apart(all_measured, str(tmp_path_factory.mktemp("measured")), *names)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_measured_files_damaged(
    shared_data: Path, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    path = str(shared_data / name)
    if name in MEASURED_TEXT:
        said = {case: tried(one) for case, one in measured_damaged(path, str(tmp_path))}
    else:
        said = of_kind(request.getfixturevalue("measured"), path)
    assert len(said) == 40
    for case, row in said.items():
        assert row == "refused" or ("flipped" in case and isinstance(row, list)), row


def table(path: Path) -> None:
    rows = [
        "# E (meV)  S (1/meV)  error",
        *(f"{0.5 + i} {2.5 + i * i} 0.{i + 1}" for i in range(9)),
    ]
    path.write_text("\n".join(rows) + "\n")


def phonons(path: Path) -> None:
    path.write_text(
        "# Tetrahedron method\n"
        + "".join(f"{-0.5 + i:.2f},{0.1 * i + 0.2:.3f}\n" for i in range(9))
    )


TEXTS: dict[str, tuple[Callable[[Path], None], dict[str, str]]] = {
    **{kind: (make, OPTIONS.get(kind, {})) for kind, make in FORMATS.items() if CONTENT[kind] == "text" and kind != "columns"},
    "table": (table, {"quantity": "dynamic_structure_factor", "units": "1/meV", "coordinate_units": "meV"}),
    "phonons": (phonons, {"quantity": "vibrational_dos", "units": "1/THz", "coordinate_units": "THz"}),
}  # fmt: skip
#: What programs, encodings and hands put in the place of a number or of units.
TOKENS = (
    "inf", "-inf", "Infinity", "1e999", "-1e300", "1e101", "nan", "NaN(ind)", "1.#INF", "1e-400", "\u22121.5", "\u20131.5", "1,5", "1.234,5", "1 234",
    "1\u00a0234", "1'234", "1_000", "0x1F", "1d2", "1.0-100", "****", "--", "", "-", "None", "#DIV/0!", "1e", "e5", "1/2", "12:30", "\ufffd", "?J/K",
    "(J/K)", "(\ufffdJ/K)", "µ", "\u0661\u0662", "1.5(2)", "±", "∞", "True", "[1]", "{", "<a>", "##", "\t", ";",
)  # fmt: skip
_WORD = r"[^\s,;]+"


@pytest.mark.slow
@pytest.mark.usefixtures("_small_and_quick")
@pytest.mark.parametrize("kind", TEXTS)
def test_tokens_in_text(tmp_path: Path, kind: str) -> None:
    """Refused, or the same data but for the one number: nothing infinite, shifted, dropped or scaled."""
    write, options = TEXTS[kind]
    write(tmp_path / "whole")
    whole = (tmp_path / "whole").read_text(encoding="utf-8")
    reference = xbp.open_dataset(tmp_path / "whole", **options).load()
    words = list(re.finditer(_WORD, whole))
    rng = random.Random(kind)
    opened = 0
    for token in TOKENS * 2:
        word = rng.choice(words)
        if token == "##" and options:
            continue  # a row of a table may be commented out
        if token in ("1,5", "1.234,5") and kind == "euphonic":
            continue  # two numbers in JSON: edges become points
        (tmp_path / "part").write_text(
            whole[: word.start()] + token + whole[word.end() :], encoding="utf-8"
        )
        try:
            ds = xbp.open_dataset(tmp_path / "part", **options).load()
        except XbpError:
            continue
        opened += 1
        assert follows_the_model(ds), (word, token)
        assert same_but_for_one_number(ds, reference), (word, token, ds, reference)
    assert opened < 2 * len(TOKENS)


def same_but_for_one_number(ds: xr.Dataset, reference: xr.Dataset) -> bool:
    """Tell whether at most one number differs, or is NaN, with units and sizes as they were.

    A column whose title was changed may be missing, but for the first.
    """
    if set(ds.sizes.items()) != set(reference.sizes.items()) or next(iter(ds)) != next(
        iter(reference)
    ):
        return False
    new = 0
    for name, found in ds.variables.items():
        if found.attrs.get("units") != reference[name].attrs.get("units"):
            return False
        if found.dtype.kind in "fiu":
            known = Counter(reference[name].values.ravel().tolist())
            new += sum(
                (
                    Counter(v for v in found.values.ravel().tolist() if v == v) - known
                ).values()
            )
    return new <= 1
