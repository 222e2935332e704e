"""The rows of the table of shared/data/doors: each file beside its own numbers.

These are read from the raw file by h5py, scipy, numpy or as plain text, or are those
that the table itself gives.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr

import xbp
from xbp.core.units import magnitude
from xbp.errors import MissingDependencyError, XbpError

#: ħ in meV ps.
HBAR = 0.6582119569
RAMAN = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
SHIFT = {"coordinate_units": "1/cm"}
LIMITS = ("25 1/cm", "150 1/cm")
METAL = {"units": "metal", "timestep": "2 fs", "elements": ["Cu", "Zr"]}
Check = Callable[[Path, xr.Dataset], None]
same = np.testing.assert_array_equal
near = np.testing.assert_allclose


@dataclass(frozen=True)
class Row:
    """What opens a file, and what it must give.

    Attributes
    ----------
    name : str
        Of the file, or a pattern of one.
    check : callable
        The file and what it was opened as → assertions; the raw file is read there.
    options : dict
        With which it opens; values that are paths are in the same folder.
    asked : tuple of str
        Arguments without all of which it is refused, by their names in one message.
    refused : tuple of (options, pattern of the message)
    """

    name: str
    check: Check | None = None
    options: dict[str, Any] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    refused: tuple[tuple[dict[str, Any], str], ...] = ()


def opened(path: Path, options: dict[str, Any]) -> xr.Dataset:
    """Open spectra, or else a trajectory."""
    moves = ("topology", "timestep", "time_between_frames", "masses")
    names = ("HISTORY", "XDATCAR_blank_lines")
    suffixes = (".dcd", ".data", ".bz2", ".xz", ".xyz", ".gz")
    found = {k: path.parent / v if k == "topology" else v for k, v in options.items()}
    if set(moves) & set(found) or path.name in names or path.suffix in suffixes:
        return xbp.md.open_trajectory(path, **found)
    return xbp.open_dataset(path, **found)


def refusal(path: Path, options: dict[str, Any]) -> str:
    """Return the message of the error that refuses to open a file."""
    with pytest.raises(XbpError) as caught:
        opened(path, options)
    if isinstance(caught.value, MissingDependencyError):
        raise caught.value  # skips the test
    return str(caught.value)


def hdf5(path: Path, *names: str) -> Iterator[Any]:
    """Yield datasets of a file, by their paths or the ends of these."""
    with h5py.File(path) as file:
        for name in names:
            yield file[name][()]


def numbers(text: str) -> np.ndarray:
    """Return the rows of numbers of a text, the first columns of each."""
    lines = (re.split(r"[,\s]+", line.strip()) for line in text.split("\n"))
    rows = [
        line for line in lines if re.match(r"^[-+.\d]+(?:e[-+]?\d+)?$", line[0], re.I)
    ]
    return np.array([row[:2] for row in rows], dtype=float)


def require_Q(ds: xr.Dataset, angle: float, E: float, expected: float) -> None:
    """The Q of one detector and one energy, where xbp puts it."""
    names = ["final_energy", "incident_energy", "temperature"]
    kept = {n: ds[n] for n in names if n in ds.coords}
    one = xbp.new_dataset(
        "detector_spectra",
        np.ones((3, 3)),
        std=np.ones((3, 3)),
        units="1/meV",
        coords={"detector": ([0, 1, 2], "1"), "E": ([E - 1e-4, E, E + 1e-4], "meV")},
        statistics="quantum",
    ).assign_coords(
        two_theta=("detector", angle + np.array([-0.01, 0, 0.01]), {"units": "degree"}),
        **kept,
    )
    one.S.attrs |= {"geometry": ds.S.attrs["geometry"], "ki_over_kf": "applied"}
    S = one.bp.angle_to_Q("0.001 1/angstrom").S
    seen = S.Q.values[S.notnull().any("E")]
    assert seen.mean() == pytest.approx(expected, abs=0.005)


def indirect(path: Path, ds: xr.Dataset) -> None:
    S, std, E, angle = hdf5(path, *(f"sample/data/{n}" for n in ("data", "error", "energy", "polar")))  # fmt: skip
    same(ds.S, S)
    same(ds.S_std, std)
    same(ds.E_bnds[:, 0], E[:-1])
    same(ds.two_theta, angle)
    assert (float(ds.final_energy), ds.S.attrs["geometry"]) == (1.845, "indirect")
    assert float(ds.temperature) == 200
    require_Q(ds, 100, 1.2, 1.66)


def iris(path: Path, ds: xr.Dataset) -> None:
    assert (float(ds.final_energy), ds.S.attrs["geometry"]) == (1.845, "indirect")
    S, std, edges = mantid_arrays(path)
    kept = ~ds.masked.values
    near(ds.S.values[kept], S[kept], rtol=1e-14)
    near(ds.S_std.values[kept], std[kept], rtol=1e-14)
    near(ds.E_bnds[:, 0], edges[:-1], rtol=1e-14)
    require_Q(ds, 100, 0.4, 1.521)
    require_Q(ds, 100, -0.4, 1.364)


def mantid_arrays(path: Path) -> Iterator[Any]:
    """Yield values, errors and edges of the axis: per unit of it, a distribution."""
    return hdf5(path, *(f"mantid_workspace_1/workspace/{n}" for n in ("values", "errors", "axis1")))  # fmt: skip


def bats(path: Path, ds: xr.Dataset) -> None:
    S, std, edges = mantid_arrays(path)
    seen = np.isfinite(ds.S.values)
    same(ds.S.values[seen], S[seen])
    same(ds.S_std.values[seen], std[seen])
    assert not S[~seen].any()
    same(ds.E_bnds[:, 0], edges[:-1])
    (log,) = hdf5(path, "mantid_workspace_1/logs/sample.temperature/value")
    assert float(ds.temperature) == pytest.approx(np.mean(log), abs=0.05)
    assert float(ds.temperature) == pytest.approx(308.7, abs=0.05)
    assert (float(ds.final_energy), ds.S.attrs["geometry"]) == (2.082, "indirect")


def let(path: Path, ds: xr.Dataset) -> None:
    parts = [f"w1/data/{n}" for n in ("data", "error", "energy", "polar")]
    S, std, E, angle, flag = hdf5(path, *parts, "w1/NXSPE_info/ki_over_kf_scaling")
    same(ds.S, S)
    same(ds.S_std, std)
    same(ds.E, E)
    same(ds.two_theta, angle)
    assert flag.dtype == bool
    assert flag.item()
    assert ds.S.attrs["ki_over_kf"] == "applied"
    assert (float(ds.incident_energy), ds.S.attrs["geometry"]) == (3.7, "direct")


def multiphonon_map(path: Path, ds: xr.Dataset) -> None:
    with h5py.File(path) as file:
        (node,) = file.values()
        E, Q = (node[f"grid/{n}/bin boundaries"][()] for n in "EQ")
        data, variances = node["data"][()], node["errors"][()]
    seen = np.isfinite(ds.S.values)
    same(ds.S.transpose("Q", "E").values[seen], data[seen])
    near(ds.S_std.transpose("Q", "E").values[seen], np.sqrt(variances[seen]))
    assert not (np.isfinite(data) & (variances > 0))[~seen].any()
    near(ds.E_bnds[:, 0], E[:-1], atol=1e-9)
    near(ds.Q_bnds[:, 0], Q[:-1], atol=1e-9)
    assert 0 in ds.E
    assert not ((ds.E != 0) & (abs(ds.E) < 1e-9)).any()


def multiphonon_dos(path: Path, ds: xr.Dataset) -> None:
    data, variances, edges = hdf5(path, "DOS/data", "DOS/errors", "DOS/grid/E/bin boundaries")  # fmt: skip
    same(ds.g, data)
    near(ds.g_std, np.sqrt(variances))
    near(ds.E_bnds[:, 0], edges[:-1], atol=1e-9)
    if path.name.startswith("XYZ2"):
        # Summed over the bins as they are 0.0158; xbp extends g to E = 0.
        S = ds.bp.multiphonon_sqe([1.0], T="300 K", mass="79.452 u")
        assert float(S.u2) == pytest.approx(0.0158, rel=0.015)


def indium(path: Path, ds: xr.Dataset) -> None:
    lines = path.read_text().split("\n")
    for block in range(9):
        at = 210 * block
        assert lines[at].split()[-1] == "206"
        assert lines[at + 2].split()[1:4] == ["13.088", "2.5133", "0.000"]
        table = np.array([line.split() for line in lines[at + 4 : at + 210]], float)
        same(ds.E, table[:, 0])
        same(ds.S[block], table[:, 1])
        same(ds.S_std[block], table[:, 2])
    near(ds.Q, INDIUM_Q)
    assert (float(ds.incident_energy), float(ds.temperature)) == (13.088, 350)
    index = opened(path, {"group": "index", "energy_units": "meV"})
    same(index.detector, np.arange(1, 10))
    assert "temperature" not in index.coords  # 0.000 is not recorded


INDIUM_Q = [0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 3.4, 3.9]


def spe(path: Path, ds: xr.Dataset) -> None:
    blocks = re.split(r"###.*\n", path.read_text())
    width = {True: 12, False: 11}
    phi, E, *others = (
        np.array(
            [
                float(line[k : k + w])
                for line in block.splitlines()
                for w in (width[number < 2],)
                for k in range(0, len(line.rstrip()), w)
            ]
        )
        for number, block in enumerate(blocks[1:])
    )
    assert phi.size == E.size == 17
    same(ds.E_bnds, np.stack([E[:-1], E[1:]], axis=1))
    same(ds.S, others[::2])
    same(ds.S_std, others[1::2])
    same(ds.two_theta, (phi[1:] + phi[:-1]) / 2)
    assert [d.code for d in ds.bp.diagnostics()] == ["angles_count"]
    assert (float(ds.final_energy), float(ds.temperature)) == (1.84, 2)


def lamp(path: Path, ds: xr.Dataset) -> None:
    data, errors, E, Q = hdf5(path, *(f"entry1/data1/{n}" for n in ("DATA", "errors", "X", "Y")))  # fmt: skip
    assert (errors == -1).sum() == int(ds.S.isnull().sum()) == 130
    same(ds.S.values[errors >= 0], data[errors >= 0])
    same(ds.S_std.values[errors >= 0], errors[errors >= 0])
    same(ds.E, E)
    same(ds.Q, Q)
    assert float(ds.temperature) == 293.349
    assert float(ds.incident_energy) == pytest.approx(81.804 / 25, rel=1e-4)


def mdanse(path: Path, ds: xr.Dataset) -> None:
    g, omega = hdf5(path, "dos_total", "omega")
    near(ds.E, HBAR * omega, rtol=1e-8)
    near(ds.g, g / HBAR, rtol=1e-8)


def nmoldyn(path: Path, ds: xr.Dataset) -> None:
    names = ("Sqw-total", "angular_frequency", "q")
    with scipy.io.netcdf_file(path, mmap=False) as file:
        S, omega, q = (file.variables[n].data.astype(float) for n in names)
    near(ds.Q, q / 10)  # 1/nm
    near(ds.E, HBAR * omega, rtol=1e-8)
    near(ds.S, S / HBAR, rtol=1e-8)
    assert ds.S.attrs["statistics"] == "classical"


def euphonic_dos(path: Path, ds: xr.Dataset) -> None:
    raw = json.loads(path.read_text())
    assert raw["x_data_unit"] == "millielectron_volt"
    same(ds.g, raw["y_data"])
    same(ds.E_bnds[:, 0], raw["x_data"][:-1])
    assert (ds.sizes["E"], ds.g.attrs["units"]) == (309, "1/meV")


def argon(path: Path, ds: xr.Dataset) -> None:
    root = ElementTree.parse(path).getroot()
    assert [root.get(f"{n}-unit") for n in ("S", "omega", "q")] == [
        "0.1ps",
        "1/[10^-13 s]",
        "AA^-1",
    ]
    points = [
        {k: float("nan" if v == "no data" else v) for k, v in p.items()}
        for p in root.iter("SQomega")
    ]
    assert ds.S.size == len(points) == 370
    for p in points:
        i = int(np.abs(ds.Q.values - p["q"]).argmin())
        j = int(np.abs(ds.E.values - 10 * HBAR * p["omega"]).argmin())
        found = float(ds.Q[i]), float(ds.E[j]), float(ds.S[i, j]), float(ds.S_std[i, j])
        scaled = 0.1 * p["S"] / HBAR, 0.1 * p.get("error", np.nan) / HBAR
        near(found, (p["q"], 10 * HBAR * p["omega"], *scaled), rtol=1e-9)


def silica(path: Path, ds: xr.Dataset) -> None:
    raw = np.loadtxt(path)
    same(ds.Sq, raw[:, 1])
    same(ds.Q, raw[:, 0])


def ybco(path: Path, ds: xr.Dataset) -> None:
    lines = path.read_bytes().decode("latin-1").splitlines()
    at = lines.index("[Data]")
    titles = lines[at + 1].split(",")
    words = [line.split(",") for line in lines[at + 2 :] if line.split(",")[1] == ""]
    T, C, addenda, total = (
        np.array([float(row[place]) for row in words])
        for place in (
            titles.index(next(t for t in titles if t.startswith(start)))
            for start in ("Sample Temp", "Samp HC (", "Addenda HC (", "Total HC (")
        )
    )
    order = np.argsort(T, kind="stable")
    same(ds.temperature, T[order])
    same(ds.C, C[order])
    near(C, (total - addenda) * 666.22 / 8.45, rtol=2e-3)
    assert (ds.C.attrs["units"], ds.C.attrs["amount"]) == ("mJ/K/mol", "formula units")
    near(ds.bp.to_molar("atoms").C, C[order] * 1e-3 / 13)
    assert float(ds.C.sel(temperature=1.9923649)) == pytest.approx(34.165, abs=1e-3)


def two_per_line(path: Path, ds: xr.Dataset) -> None:
    table = path.read_text().split("(X++(Y..Y))\n")[1].split("##END")[0].splitlines()
    same(ds.I, [float(word) for line in table for word in line.split()[1:]])
    same(ds.E, np.arange(20, 319, 2))
    assert list(ds.data_vars) == ["I"]


def no_peak(*ranges: tuple[str, str] | None) -> Check:
    """Return a check that no boson peak is found, with linear coupling as well."""

    def check(path: Path, ds: xr.Dataset) -> None:
        columns(path, ds)
        couplings = ["linear"] if path.name == "ac9025.txt" else ["constant", "linear"]
        for coupling in couplings:
            B = ds.bp.to_reduced_raman(T="295 K", coupling=coupling)
            for limits in ranges:
                peak = B.bp.boson_peak("lognormal", limits)
                assert str(peak.status.values) != "ok"
                assert np.isnan(peak.energy)
                assert np.isnan(peak.energy_std)

    return check


def columns(path: Path, ds: xr.Dataset) -> None:
    raw = numbers(path.read_text("latin-1"))
    raw = raw[np.argsort(raw[:, 0], kind="stable")]
    same(ds.E, raw[:, 0])
    same(ds.I, raw[:, 1])


def rruff(path: Path, ds: xr.Dataset) -> None:
    columns(path, ds)
    assert (ds.attrs["sample"], ds.attrs["rruff_rruffid"]) == ("Coesite", "R070565")


def beside(tolerance: float) -> Check:
    """Return a check against the text that the program wrote beside the file."""

    def check(path: Path, ds: xr.Dataset) -> None:
        raw = np.loadtxt(path.with_suffix(".txt"))
        raw = raw[np.argsort(raw[:, 0])]
        if path.suffix == ".spc":  # WiRE interpolates on an even axis
            near(ds.I, np.interp(ds.E, *raw.T), rtol=1e-4)
            near(ds.E[[0, -1]], raw[[0, -1], 0], atol=0.1)
            return
        near(ds.E, raw[:, 0], atol=tolerance)
        near(ds.I, raw[:, 1], atol=tolerance)

    return check


def opus(path: Path, ds: xr.Dataset) -> None:
    # Bytes of the file: 4096 single-precision numbers from the last wavenumber on.
    place = path.read_bytes().find(np.array(ds.I[::-1], "<f4").tobytes())
    forward = path.read_bytes().find(np.array(ds.I, "<f4").tobytes())
    assert max(place, forward) > 0
    near(ds.E[[0, -1]], [51.892564645936, 4000.660966687866])
    near(np.diff(ds.E), np.diff(ds.E)[0])
    assert ds.sizes == {"E": 4096}
    assert float(ds.I.max()) == pytest.approx(0.07590587437)


def dump(path: Path) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return steps, bounds and sorted rows of a LAMMPS dump."""
    unpack = {".bz2": bz2.decompress, ".xz": lzma.decompress, ".gz": gzip.decompress}
    text = unpack[path.suffix](path.read_bytes()).decode()
    frames = []
    for part in text.split("ITEM: TIMESTEP\n")[1:]:
        lines = part.split("\n")
        rows = np.array([line.split() for line in lines[8:] if line], dtype=float)
        bounds = np.array([line.split() for line in lines[4:7]], dtype=float)
        frames.append((int(lines[0]), bounds, rows[np.argsort(rows[:, 0])]))
    return frames


def packed(path: Path, ds: xr.Dataset) -> None:
    for i, (step, bounds, rows) in enumerate(dump(path)):
        assert float(ds.time[i]) == pytest.approx(0.002 * step)
        unwrapped = rows[:, 2:5] + rows[:, 5:8] * np.diff(bounds)[:, 0]
        near(ds.position[i], unwrapped - bounds[:, 0], atol=1e-9)
        near(ds.velocity[i], rows[:, 8:11])
    assert ds.sizes["time"] == 20
    assert np.diff(ds.time) == pytest.approx(0.02)
    same(ds.element, np.array(["", "Cu", "Zr"])[rows[:, 1].astype(int)])


def slab(path: Path, ds: xr.Dataset) -> None:
    assert ds.attrs["dimension"] == 2
    frames = dump(path)
    sigma = 3.4
    near(ds.position[0], sigma * (frames[0][2][:, 2:5] - frames[0][1][:, 0]), atol=1e-4)
    # Energies of two components each: the argon of the options has ε/k_B = 119.8 K.
    v = np.array([rows[:, 5:7] for _, _, rows in frames[:1]])
    kelvin = (v - v.mean(axis=1, keepdims=True)).var(axis=(0, 1)).mean() * 119.8
    fields = ds.isel(time=[0]).bp.local_fields("coordination", cutoff="5 angstrom")
    assert float(fields.coordination.mean()) == pytest.approx(5.79, abs=0.02)
    u = ds.velocity[0].values
    assert not u[:, 2].any()
    mean = (39.948 * (u - u.mean(axis=0)) ** 2).sum() / (2 * (len(u) - 1))
    assert mean / 0.831446 == pytest.approx(kelvin, rel=2e-2)


def dcd(path: Path, ds: xr.Dataset) -> None:
    raw = np.fromfile(path, "<i4", count=21)
    assert raw[1] == int.from_bytes(b"CORD", "little")
    assert (raw[2], raw[4]) == (20, 10)  # frames, MD steps between them
    near(np.diff(ds.time), 0.02)
    words = np.fromfile(path, "<i4")
    at = 0
    for _ in range(3):  # control, title, number of atoms
        at += words[at] // 4 + 2
    size = 12 + 2 + 3 * (256 + 2)  # a cell, three records of f4
    frames = words[at:].reshape(20, size)[:, 14:].reshape(20, 3, 258)[:, :, 1:-1]
    raw = np.ascontiguousarray(frames).view("<f4").transpose(0, 2, 1)
    same(ds.position, raw)
    first = dump(path.with_suffix(".lammpstrj.xz"))[0][2]
    same(ds.element, np.array(["", "Cu", "Zr"])[first[:, 1].astype(int)])


def data_file(path: Path, ds: xr.Dataset) -> None:
    lines = path.read_text().split("\n")
    low, high = map(float, lines[5].split()[:2])
    at = lines.index("Atoms # atomic") + 2
    rows = np.array([line.split() for line in lines[at : at + 256]], dtype=float)
    rows = rows[np.argsort(rows[:, 0])]
    near(ds.position[0], rows[:, 2:5] - low + rows[:, 5:8] * (high - low), atol=1e-9)
    at = lines.index("Velocities") + 2
    speeds = np.array([line.split() for line in lines[at : at + 256]], dtype=float)
    near(ds.velocity[0], speeds[np.argsort(speeds[:, 0]), 1:])
    same(ds.element, np.array(["", "Cu", "Zr"])[rows[:, 1].astype(int)])


def gpumd(path: Path, ds: xr.Dataset) -> None:
    lines = path.read_text().split("\n")
    for i in range(5):
        at = 258 * i
        fs = float(lines[at + 1].split("=")[1].split()[0])
        rows = np.array([line.split()[1:] for line in lines[at + 2 : at + 258]], float)
        assert float(ds.time[i]) == pytest.approx(fs / 1000)
        near(ds.position[i], rows[:, :3], atol=1e-12)
        near(ds.velocity[i], 1000 * rows[:, 4:7])  # Å/fs
    same(ds.element, [line.split()[0] for line in lines[2:258]])


def history(path: Path, ds: xr.Dataset) -> None:
    frames = re.split(r"timestep.*\n", path.read_text())[1:]
    for i, frame in enumerate(frames):
        lines = frame.split("\n")
        cell = np.array([line.split() for line in lines[:3]], dtype=float)
        r, v = (
            np.array([lines[3 + 4 * j + k].split() for j in range(216)], dtype=float)
            for k in (1, 2)
        )
        near(ds.cell[i], cell, atol=1e-9)
        near(ds.position[i], r)
        near(ds.velocity[i], v)
    near(ds.time, [0.005, 0.055, 0.105])
    near(ds.velocity[0, 0], [1.109902, -1.500265, 4.752252], atol=1e-6)
    near(ds.cell[[0, -1], 0, 0], [18.680, 16.544], atol=5e-4)
    kinetic = float((ds.mass.values[:, None] * ds.velocity.values[0] ** 2).sum())
    assert kinetic / (3 * 216 * 0.83144626) == pytest.approx(292.4, abs=0.1)


def xdatcar(path: Path, ds: xr.Dataset) -> None:
    head, *frames = re.split(r"\n *\n", path.read_text().strip("\n"))
    cell = np.array([line.split() for line in head.split("\n")[2:5]], dtype=float)
    near(ds.cell, cell)
    assert len(frames) == ds.sizes["time"] == 57
    for i, frame in enumerate(frames):
        parts = np.array(frame.split(), dtype=float).reshape(-1, 3)
        off = ds.position[i].values @ np.linalg.inv(cell) - parts
        near(off, np.round(off), atol=1e-7)  # unwrapped, or as they are
    near(parts.shape, (210, 3))
    assert "".join(ds.element.values[[0, 137, 138, 157, 158, 209]]) == "OOMoMoBiBi"
    near(ds.position[0, 0].values @ np.linalg.inv(cell), [0.97394282, 0.18250263, 0.47413241])  # fmt: skip


PER_FORMULA = {"per": "formula unit", "composition": "NaNO3"}
SCATTERING = {"engine": "total_scattering"}
BELOW = r"minimum is -2\.211"
ARGON = {"units": "lj", "lj": "argon", "timestep": 0.005}
ROWS = [
    Row("indirect_Ef1.845.nxspe", indirect),
    Row("IRS21360_graphite002_ipg.nxs", iris),
    Row("inst_let_ei3p7_240_120.nxspe", let),
    Row("XYZ2-iqe-Ei_20.h5", multiphonon_map),
    Row("graphite-Ei_30-iqe.h5", multiphonon_map),
    Row("XYZ2-initdos-Ei_80.h5", multiphonon_dos),
    Row("getdos2.h5", multiphonon_dos),
    Row(
        "In20_2p5_350K__tt_cr.txt",
        indium,
        {"group": "index", "energy_units": "meV", "Q": INDIUM_Q, "T": "350 K"},
        asked=("group", "energy_units", "T"),
    ),
    Row(
        "Fe4_2K.spe",
        spe,
        {"final_energy": "1.84 meV", "T": "2 K"},
        asked=("incident_energy", "final_energy"),
    ),
    Row("H2O_293K_5A.hdf", lamp),
    Row("super_dos.mda", mdanse),
    Row("nMOLDYN_DCSF_water.nc", nmoldyn, {"T": "300 K"}),
    Row("euphonic_dos.json", euphonic_dos),
    Row(
        "CaHgO2_300K_bose_sqw.json",
        refused=(({"powder": True}, "path or one direction"), ({}, "path or one")),
    ),
    Row("Well_Ar.xml", argon, {"statistics": "classical"}),
    Row("PureD2O_BATS.nxs", bats),
    Row(
        "SofQ_NaNO3_230C.dat",
        options=SCATTERING,
        asked=("kind",),
        refused=(
            (SCATTERING | {"kind": "S(Q)"}, BELOW),
            (SCATTERING | {"kind": "S(Q)-1"}, BELOW),
            (SCATTERING | {"kind": "F(Q)", "composition": "NaNO3"}, BELOW),
            (SCATTERING | {"kind": "F(Q)"} | PER_FORMULA, r"-0\.4422 b per atom"),
        ),
    ),
    Row("SiO2_liq.qSq", silica),
    Row("ybco.dat", ybco),
    Row("addenda.dat", refused=(({}, r"is an addenda file .*\n.*of the sample"),)),
    Row("xyy_two_per_line.jdx", two_per_line),
    Row("ac9025.txt", no_peak(None), RAMAN, asked=tuple(RAMAN)),
    Row("VG175_.txt", no_peak(None, LIMITS), SHIFT, asked=tuple(SHIFT)),
    Row("rruff.txt", rruff),
    Row("nCal_Qontor785_z005H12_100_1x3s.txt", columns, SHIFT, asked=tuple(SHIFT)),
    Row("nCal_Qontor785_z005H12_100_1x3s.spc", beside(1e-4)),
    Row("nCal_Qontor785_z005H12_100_1x3s.wdf", beside(1e-6)),
    Row("test_opus.0", opus),
    Row("PST10_iR785_OP01_8000msx8.l6s", beside(0.006)),
    Row("PST10_iR785_OP01_8000msx8.txt", columns, RAMAN, asked=tuple(RAMAN)),
    Row(
        "PST_WiICV532_Z050OP02_075_800msx10.txt",
        no_peak(None, LIMITS),
        RAMAN,
        asked=tuple(RAMAN),
    ),
    Row(
        "cuzr_256_20frames.dcd",
        dcd,
        {"topology": "cuzr_256.data", "units": "metal", "time_between_frames": "20 fs"},
        asked=("units", "time_between_frames"),
    ),
    Row("cuzr_256.data", data_file),
    Row("cuzr_256_20frames.lammpstrj.bz2", packed, METAL, asked=tuple(METAL)),
    Row("cuzr_256_20frames.lammpstrj.xz", packed, METAL, asked=tuple(METAL)),
    Row("cuzr_256_5frames_gpumd.xyz", gpumd),
    Row(
        "lj_2d_slab_20frames.lammpstrj.gz",
        slab,
        ARGON | {"elements": ["A", "B"]},
        asked=("units", "elements", "timestep"),
    ),
    Row("HISTORY", history),
    Row(
        "XDATCAR_blank_lines",
        xdatcar,
        {"time_between_frames": "20 fs"},
        asked=("time_between_frames",),
    ),
]


@pytest.fixture
def doors(shared_data: Path) -> Path:
    return shared_data / "doors"


def rows(having: str) -> list[Any]:
    return [pytest.param(r, id=r.name) for r in ROWS if getattr(r, having)]


@pytest.mark.parametrize("row", rows("check"))
def test_opens_right(doors: Path, row: Row) -> None:
    assert row.check is not None
    row.check(doors / row.name, opened(doors / row.name, row.options))


@pytest.mark.parametrize("row", rows("asked"))
def test_asks_for_what_the_file_does_not_contain(doors: Path, row: Row) -> None:
    """By the names of arguments, all of them at once."""
    given = {k: v for k, v in row.options.items() if k in ("engine", "topology", "lj")}
    given = {} if "lj" in given else given
    said = refusal(doors / row.name, given)
    assert [name for name in row.asked if f"{name}=" not in said] == []


@pytest.mark.parametrize("row", rows("refused"))
def test_is_refused(doors: Path, row: Row) -> None:
    for options, pattern in row.refused:
        said = refusal(doors / row.name, options)
        assert re.search(pattern, said)
        assert len(said.split("\n")) <= 3
        assert "damaged" not in said


def test_every_row_of_the_table(doors: Path) -> None:
    """Every file is a row here, and every row of the table has its files here."""
    names = {row.name for row in ROWS}
    assert names == {path.name for path in doors.iterdir()} - {"README.md"}
    table = (doors / "README.md").read_text(encoding="utf-8").split("\n|")
    made = ("DeltaE_in", "Samp HC")  # with the next tests
    for line in table[2:]:
        written = re.findall(r"`([^`]+)`", line.split("|")[0])
        if any(word in line.split("|")[0] for word in made):
            continue
        stems = [re.escape(name).replace("…", ".*") for name in written]
        stems = [re.sub("\u200b", "", stem) for stem in stems]
        missing = [s for s in stems if not any(re.search(s, name) for name in names)]
        assert missing == []


@pytest.mark.slow
def test_mantid_over_other_units(doors: Path, tmp_path: Path) -> None:
    """The row of a file to be made: the axis and the values are per unit of it."""
    whole = doors / "IRS21360_graphite002_ipg.nxs"
    expected, before = xbp.open_dataset(whole), 1.0
    path = tmp_path / "a.nxs"
    path.write_bytes(whole.read_bytes())
    for unit, per in (("Wavenumber", "1 1/cm"), ("Frequency", "1 GHz")):
        factor = magnitude(per, "meV", name="E", energy=True) / before
        with h5py.File(path, "r+") as file:
            node = file["mantid_workspace_1/workspace"]
            node["axis1"].attrs["units"] = np.bytes_(f"DeltaE_in{unit}")
            node["axis1"][...] = node["axis1"][()] / factor
            for name in ("values", "errors"):
                node[name][...] = node[name][()] * factor
        before *= factor
        found = xbp.open_dataset(path)
        for name in ("S", "S_std", "E"):
            near(found[name], expected[name], rtol=1e-9)


@pytest.mark.parametrize("lost", ["�J/K", "?J/K", "J/K"])
def test_a_lost_micro(shared_data: Path, tmp_path: Path, lost: str) -> None:
    """The row of a file to be made: never 10⁶ wrong."""
    lines = (shared_data / "cp" / "HC_test_data.Dat").read_bytes().split(b"\n")
    lines = lines[:60]
    path, whole = tmp_path / "a.dat", tmp_path / "whole.dat"
    whole.write_bytes(b"\n".join([*lines, b""]))
    mangled = whole.read_bytes().replace(
        b"Samp HC (\xb5J/K", f"Samp HC ({lost}".encode()
    )
    path.write_bytes(mangled)
    assert path.read_bytes() != whole.read_bytes()
    expected = xbp.open_dataset(whole).C
    found = xbp.open_dataset(path).C
    near(found * magnitude(f"1 {found.attrs['units']}", "uJ/K", name="C"), expected)
