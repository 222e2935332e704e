"""Damaged files of every format, many of them: ``python tests/io/fuzz_files.py --n 1000 --seed 18``.

Each file is a good one with a few changes: bytes, lines and numbers of text; data sets, attributes, types, shapes, scales
and links of HDF5. Which, follows from the seed and the number of the file. They are opened in batches, each in a process
of its own, so that a crash, a hang or too much memory is that of one file and is told. A reader refuses with an error of
xbp, or gives data without infinities, whose coordinates are finite and whose errors are known only where values are.

Of the measured files in the folder ``XBP_SHARED_DATA``, if there is one, those up to 400 kB are damaged, too.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import lzma
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from test_fuzz import FORMATS, OPTIONS, map_

import xbp
from xbp.errors import XbpError

METAL: dict[str, Any] = {
    "units": "metal",
    "timestep": "2 fs",
    "elements": {1: "Cu", 2: "Zr"},
}
LARGEST_SEED = 400_000
#: What a file may take: seconds of the processor, and bytes of address space beyond those of the libraries.
SECONDS, BYTES = 60, 6 * 2**30


def walk() -> np.ndarray:
    """Return positions of six atoms in four frames that move by little: (4, 6, 3)."""
    rng = np.random.default_rng(0)
    return (
        1
        + 7 * rng.random((6, 3))
        + 0.02 * rng.standard_normal((4, 6, 3)).cumsum(axis=0)
    )


def dump() -> str:
    frames = []
    for step, atoms in enumerate(walk()):
        rows = [
            f"{i + 1} {i % 2 + 1} {x:.4f} {y:.4f} {z:.4f}"
            for i, (x, y, z) in enumerate(atoms)
        ]
        frames += [
            "ITEM: TIMESTEP", str(10 * step), "ITEM: NUMBER OF ATOMS", "6", "ITEM: BOX BOUNDS pp pp pp",
            *["0.0 9.0"] * 3, "ITEM: ATOMS id type x y z", *rows,
        ]  # fmt: skip
    return "\n".join(frames) + "\n"


def extxyz() -> str:
    frames = []
    for step, atoms in enumerate(walk()):
        rows = [
            f"{'CuZr'[2 * (i % 2) :][:2]} {x:.4f} {y:.4f} {z:.4f}"
            for i, (x, y, z) in enumerate(atoms)
        ]
        frames += [
            "6",
            f'Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 frame={step}',
            *rows,
        ]
    return "\n".join(frames) + "\n"


def gas() -> xr.Dataset:
    return xbp.md.models.ideal_gas(6, 5, cell=10, T=300, mass=40, time_step=0.02, rng=1)


def text(content: Callable[[], str]) -> Callable[[Path], None]:
    return lambda path: path.write_text(content()) and None  # type: ignore[func-returns-value]


def packed(pack: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(pack(dump().encode())) and None  # type: ignore[func-returns-value]


def ppms() -> str:
    header = """[Header]
TITLE,
BYAPP,HeatCapacity,3.9.11,1.7
INFO,7.76,MASS:Sample Mass (mg)
INFO,60,MOLWGHT:Formula Weight (g/mole)
INFO,3,ATOMS:Atoms per Formula Unit
[Data]
Time Stamp (Seconds),Comment (),System Status (Code),Sample Temp (Kelvin),Samp HC (µJ/K),Samp HC Err (µJ/K),"""
    columns = "Addenda HC (µJ/K),Addenda HC Err (µJ/K),Field (Oersted)"
    rows = [
        f"{T},,1857,{T},{0.01 * T**2},{0.001 * T**2},{0.002 * T},0.01,1000"
        for T in range(2, 40)
    ]
    return header + "\n".join([columns, *rows]) + "\n"


def jcamp() -> str:
    rows = [
        f"{20 + 10 * i} "
        + " ".join(str(1000 + 37 * (5 * i + k) % 900) for k in range(5))
        for i in range(20)
    ]
    return "\n".join(
        [
            "##TITLE=glass", "##JCAMP-DX=4.24", "##DATA TYPE=RAMAN SPECTRUM", "##XUNITS=1/CM", "##YUNITS=ARBITRARY UNITS",
            "##FIRSTX=20", "##LASTX=218", "##NPOINTS=100", "##XFACTOR=1", "##YFACTOR=1", "##DELTAX=2", "##FIRSTY=1000",
            "##XYDATA=(X++(Y..Y))", *rows, "##END=",
        ]
    ) + "\n"  # fmt: skip


def study(path: Path) -> None:
    cut = map_().isel(Q=1)
    xbp.new_study(
        {"one": cut, "two": xbp.stated_energy("5.5 meV", "0.4 meV", reference="x")}
    ).bp.to_netcdf(path)


def netcdf(path: Path) -> None:
    map_().bp.to_netcdf(path)


OPENERS: dict[str, Callable[[Path, dict[str, Any]], Any]] = {
    "data": lambda path, options: xbp.open_dataset(path, **options).load(),
    "trajectory": lambda path, options: xbp.md.open_trajectory(path, **options).load(),
    "study": lambda path, options: xbp.open_study(path, **options),
}
#: name: (what writes a good one, how it is opened, with which arguments)
SEEDS: dict[str, tuple[Callable[[Path], None], str, dict[str, Any]]] = {
    **{name: (make, "data", OPTIONS.get(name, {})) for name, make in FORMATS.items()},
    "netcdf": (netcdf, "data", {}),
    "study": (study, "study", {}),
    "ppms": (text(ppms), "data", {}),
    "jcamp": (text(jcamp), "data", {}),
    "dump": (text(dump), "trajectory", METAL),
    "dump.gz": (packed(gzip.compress), "trajectory", METAL),
    "dump.bz2": (packed(bz2.compress), "trajectory", METAL),
    "dump.xz": (packed(lzma.compress), "trajectory", METAL),
    "extxyz": (text(extxyz), "trajectory", {"time_between_frames": "20 fs"}),
    "trajectory.nc": (lambda path: gas().to_netcdf(path), "trajectory", {}),
}
_MEASURED = ("doors", "ins", "raman", "cp", "sqw", "static")
_TRAJECTORIES = {
    "HISTORY": {}, "XDATCAR_blank_lines": {"time_between_frames": "10 fs"}, "cuzr_256.data": {"units": "metal"},
    "cuzr_256_20frames.dcd": {"time_between_frames": "20 fs", "topology": "cuzr_256.data"},
    "cuzr_256_20frames.lammpstrj.bz2": METAL, "cuzr_256_20frames.lammpstrj.xz": METAL, "cuzr_256_5frames_gpumd.xyz": {},
    "lj_2d_slab_20frames.lammpstrj.gz": {"units": "lj", "lj": "argon", "timestep": "0.005"},
}  # fmt: skip
#: Labels of tables, by the folder or the name.
_RAMAN = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
_LABELS = {
    "raman/ae0202.txt": _RAMAN, "raman/BD1469.txt": _RAMAN, "raman/LS4.txt": _RAMAN, "doors/ac9025.txt": _RAMAN, "doors/VG175_.txt": _RAMAN,
    "doors/rruff.txt": _RAMAN, "doors/PST10_iR785_OP01_8000msx8.txt": _RAMAN,
    "cp/example_data.csv": {"quantity": "heat_capacity", "units": "J/mol/K", "coordinate_units": "K"},
    "ins/V-dos.dat": {"quantity": "vibrational_dos", "units": "1", "coordinate_units": "THz"},
}  # fmt: skip


def all_seeds() -> dict[str, tuple[Callable[[Path], None], str, dict[str, Any]]]:
    """Return the good files: those made here, and the measured ones."""
    found = dict(SEEDS)
    shared = os.environ.get("XBP_SHARED_DATA")
    for folder in _MEASURED if shared else ():
        for path in sorted(Path(str(shared), folder).glob("*")):
            if (
                path.is_file()
                and path.suffix != ".md"
                and path.stat().st_size <= LARGEST_SEED
            ):
                name = f"{folder}/{path.name}"
                options = dict(_TRAJECTORIES.get(path.name, _LABELS.get(name, {})))
                if "topology" in options:
                    options["topology"] = str(path.with_name(options["topology"]))
                kind = "trajectory" if path.name in _TRAJECTORIES else "data"
                copy = path.read_bytes

                def write(to: Path, read: Callable[[], bytes] = copy) -> None:
                    to.write_bytes(read())

                found[name] = (write, kind, options)
    return found


TOKENS = (
    "inf", "-inf", "nan", "1e400", "-1", "0", "999999999999999999999", "1e-400", "", "********", "1.0.0", "--", "0x1F",
    "١٢", "1,5", "True", "1e5e5", "\x00", "99999999", "THz", "degC", "(%)", "[1/nm]", "log10(", "units=", "*1000", "/", "''", "μ",
)  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def damage_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, lines or numbers."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        if not out:
            break
        match rng.randrange(8):
            case 0:
                out[rng.randrange(len(out))] = rng.randrange(256)
            case 1:
                del out[rng.randrange(len(out)) :]
            case 2:
                at = rng.randrange(len(out))
                out[at:at] = bytes(
                    rng.randrange(256) for _ in range(rng.choice((1, 4, 300)))
                )
            case 3:
                at = rng.randrange(len(out))
                del out[at : at + rng.choice((1, 8, 100))]
            case 4 | 5:
                numbers = list(_NUMBER.finditer(bytes(out[:200_000])))
                if numbers:
                    one = rng.choice(numbers)
                    out[one.start() : one.end()] = rng.choice(TOKENS).encode()
            case 6:
                lines = bytes(out).split(b"\n")
                i, k = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[i] = rng.choice(
                    (
                        lines[k],
                        b"",
                        lines[i] + b" " + lines[k],
                        lines[i][: len(lines[i]) // 2],
                    )
                )
                out = bytearray(b"\n".join(lines))
            case 7:
                out = bytearray(
                    bytes(out).replace(b"\n", rng.choice((b"\r", b"\r\n", b"\n\n")))
                )
    return bytes(out)


def damage_hdf5(path: Path, rng: random.Random) -> None:
    """Change a data set, an attribute or a link."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = rng.choice(names)
            item = file.get(name)
            if item is None:
                continue
            if item.attrs and rng.random() < 0.3:
                _damage_attribute(item, rng)
            else:
                _damage_item(file, name, names, rng)


def _damage_attribute(item: Any, rng: random.Random) -> None:
    key = rng.choice(list(item.attrs))
    choices: tuple[Any, ...] = (
        np.inf, np.nan, -1, 10**12, "", "nonsense", np.zeros((3, 3)), np.array([], dtype=float), b"\xff\xfe",
        np.array([b"a", b"b"]), h5py.Empty("f"), np.bool_(True), "1/furlong", item.ref, "degC", "%", "log10(counts)", "rad", [1], "J",
    )  # fmt: skip
    if rng.random() < 0.2:
        key = rng.choice(("units", "unit", "scale_factor", "add_offset"))
    item.attrs.pop(key, None)
    if rng.random() < 0.8:
        item.attrs[key] = rng.choice(choices)


def _damage_item(file: Any, name: str, names: list[str], rng: random.Random) -> None:
    item = file[name]
    old = (
        item[()]
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu"
        else None
    )
    kind = rng.randrange(10)
    if kind < 4 and old is not None and np.size(old):
        # In place, so that scales and attributes stay.
        new = np.array(old, dtype=item.dtype)
        extreme = (
            (np.inf, -np.inf, np.nan, 1e300, -1.0, 0.0)
            if item.dtype.kind == "f"
            else (0, 1, np.iinfo(item.dtype).max)
        )
        flat = new.reshape(-1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flat[
                rng.randrange(flat.size) : None
                if rng.random() < 0.2
                else rng.randrange(flat.size) + 1
            ] = rng.choice(extreme)
        item[...] = new
        return
    attrs = dict(item.attrs) if isinstance(item, h5py.Dataset) else {}
    del file[name]
    other = "/" + rng.choice(names)
    match rng.randrange(11):
        case 0:
            return
        case 1:
            file[name] = h5py.SoftLink(rng.choice((other, f"/{name}", "/nowhere")))
        case 2:
            file[name] = h5py.ExternalLink(
                rng.choice(("missing.h5", "/dev/zero", "/etc/passwd")), "/"
            )
        case 3:
            file.create_group(name)
        case 4:
            file[name] = np.array([b"x"] * 4)
        case 5:
            file.create_dataset(name, shape=(), dtype=h5py.string_dtype(), data="12")
        case 6:
            enum = h5py.enum_dtype({"A": 0, "B": 1}, basetype="i1")
            file.create_dataset(name, data=np.zeros(5, dtype="i1"), dtype=enum)
        case 7:
            file[name] = np.zeros(3, dtype=[("a", "f8"), ("b", "i4")])
        case 8:
            shape = rng.choice(((10**9,), (10**6, 10**6), (0,), (1, 1, 1, 1)))
            file.create_dataset(
                name,
                shape=shape,
                dtype="f8",
                chunks=tuple(min(n, 64) or 1 for n in shape),
            )
        case 9:
            file.create_dataset(name, data=h5py.Empty("f8"))
        case 10:
            file.create_dataset(
                name,
                data=np.arange(7.0) if old is None else np.asarray(old, dtype="f4").T,
            )
    if rng.random() < 0.5 and isinstance(file.get(name), h5py.Dataset):
        for key, value in attrs.items():
            try:
                file[name].attrs[key] = value
            except (TypeError, OSError, ValueError):
                continue


def make(number: int, seed: int, folder: Path) -> tuple[str, str, dict[str, Any], Path]:
    """Write the damaged file of a number, and return its seed, how it is opened, and where it is."""
    rng = random.Random(f"{seed} {number}")
    seeds = all_seeds()
    name = list(seeds)[number % len(seeds)]
    write, kind, options = seeds[name]
    path = folder / f"f{number}{Path(name).suffix}"
    write(path)
    if path.read_bytes()[:8] == b"\x89HDF\r\n\x1a\n" and rng.random() < 0.8:
        damage_hdf5(path, rng)
    else:
        path.write_bytes(damage_bytes(path.read_bytes(), rng))
    return name, kind, options, path


def wrong_with(ds: Any) -> str | None:
    """Say what no reader may give: infinities, coordinates without a place, errors of what is not known."""
    if isinstance(ds, xr.DataTree):
        return next(
            filter(None, (wrong_with(node.to_dataset()) for node in ds.leaves)), None
        )
    for name, variable in ds.variables.items():
        if variable.dtype.kind != "f":
            continue
        if bool(np.isinf(variable.values).any()):
            return f"'{name}' holds infinity"
        if name in ds.dims and not bool(np.isfinite(variable.values).all()):
            return f"coordinate '{name}' holds NaN"
        if str(name).endswith("_std"):
            value = ds.get(str(name).removesuffix("_std"))
            if value is not None and value.shape == variable.shape:
                if bool(
                    (
                        np.isnan(value.values)
                        & np.isfinite(variable.values)
                        & (variable.values != 0)
                    ).any()
                ):
                    return f"'{name}' is known where the value is not"
                if bool((variable.values < 0).any()):
                    return f"'{name}' is negative"
    return None


def child(first: int, last: int, seed: int) -> None:
    """Open the files of these numbers, and print a line before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    with tempfile.TemporaryDirectory() as place:
        for number in range(first, last):
            print(json.dumps({"begin": number}), flush=True)
            row: dict[str, Any] = {"end": number}
            try:
                name, kind, options, path = make(number, seed, Path(place))
                row["file"] = name
            except Exception as error:
                print(
                    json.dumps(
                        row
                        | {
                            "said": "not made",
                            "why": f"{type(error).__name__}: {error}"[:200],
                        }
                    ),
                    flush=True,
                )
                continue
            begin = time.process_time()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    found = OPENERS[kind](path, options)
                fault = wrong_with(found)
                row |= (
                    {"said": "opened"}
                    if fault is None
                    else {"said": "wrong", "why": fault}
                )
            except XbpError as error:
                row |= {"said": "refused", "why": error.summary[:100]}
            except BaseException as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                row |= {
                    "said": "raw error",
                    "why": f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"[
                        :300
                    ],
                }
            row["seconds"] = round(time.process_time() - begin, 1)
            path.unlink(missing_ok=True)
            print(json.dumps(row), flush=True)


def run(
    numbers: range, seed: int, batch: int = 50, seconds: float = 600
) -> list[dict[str, Any]]:
    """Open the files of these numbers in batches, and return a row for each: what became of it."""
    rows: list[dict[str, Any]] = []
    first = numbers.start
    while first < numbers.stop:
        last = min(first + batch, numbers.stop)
        command = [
            sys.executable,
            __file__,
            "--child",
            str(first),
            str(last),
            "--seed",
            str(seed),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            begun, ended = first - 1, first - 1
            timer = time.monotonic()
            signal.signal(signal.SIGALRM, lambda *_: process.kill())
            signal.alarm(int(seconds))
            for line in process.stdout:
                row = json.loads(line) if line.startswith("{") else {}
                if "begin" in row:
                    begun = row["begin"]
                if "end" in row:
                    ended = row["end"]
                    rows.append(row)
                signal.alarm(int(seconds))
            signal.alarm(0)
            process.wait()
        if begun < first:
            raise RuntimeError(f"no file was tried: {command} did not start")
        if ended < last - 1:
            said = "hang" if process.returncode == -signal.SIGKILL else "crash"
            name = list(all_seeds())[begun % len(all_seeds())]
            why = f"ended with {process.returncode} after {time.monotonic() - timer:.0f} s"
            rows.append({"end": begun, "file": name, "said": said, "why": why})
            ended = begun
        first = ended + 1
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Damaged files of every format.")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--child", nargs=2, type=int)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.seed)
        return
    rows = run(range(options.first, options.first + options.n), options.seed)
    for said in dict.fromkeys(row["said"] for row in rows):
        print(said, sum(row["said"] == said for row in rows))
    for row in rows:
        if row["said"] not in ("opened", "refused") or row.get("seconds", 0) > SECONDS:
            print(json.dumps(row))


if __name__ == "__main__":
    main()
