"""What holds of every reader: errors of 0 throughout are none, and axes may descend."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import raman_files
import test_mantid_ascii
import xarray as xr
from test_fuzz import FORMATS, OPTIONS, map_, spectra

import xbp
from xbp.errors import CoordinateError, FileFormatError

Text = Callable[[str], str]


def edited(path: Path, change: Text) -> None:
    text = path.read_text()
    path.write_text(change(text))
    assert path.read_text() != text


def of_hdf5(path: Path, change: Callable[[Any, Any], Any], **parts: Any) -> None:
    """Change data sets, each found by the end of its path, with its argument."""
    seen = set()
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        for name in names:
            end = name.rpartition("/")[2].replace(" ", "_")
            end = name.split("/")[-2] if end == "bin_boundaries" else end
            if end in parts and isinstance(file[name], h5py.Dataset):
                file[name][...] = change(file[name][()], parts[end])
                seen.add(end)
    assert seen == set(parts)


def last_column(text: str, zero: str = "0") -> str:
    """Text with the last number of every row of three or more numbers as 0."""
    return re.sub(
        r"(?m)^((?: *[-+.\dEe]+[ ,]+){1,}) *[-+.\dEe]+$", rf"\g<1>{zero}", text
    )


def turned_rows(text: str) -> str:
    """Text with the rows of its longest tables in the opposite order."""
    rows = text.splitlines()
    is_row = [bool(re.fullmatch(r"\s*[-+.\d][-+.\dEe\s,;]*", row)) for row in rows]
    blocks = list(re.finditer("1+", "".join(str(int(one)) for one in is_row)))
    longest = max(len(block[0]) for block in blocks)
    for block in blocks:
        if len(block[0]) == longest:
            part = slice(*block.span())
            rows[part] = rows[part][::-1]
    return "\n".join(rows) + "\n"


def zero_hdf5(*names: str) -> Callable[[Path], None]:
    return lambda path: of_hdf5(path, lambda v, _: 0 * v, **dict.fromkeys(names))


def zero_spe(text: str) -> str:
    head, *blocks = text.split("### Errors\n")
    return head + "".join(
        "### Errors\n" + re.sub(r"\d(?=[\d.])|[1-9]", "0", b.partition("\n")[0])
        + "\n" + b.partition("\n")[2] for b in blocks
    )  # fmt: skip


def foreign(text: str) -> str:
    """Columns without the header of xbp, of which every error is read as it is."""
    return "".join(row for row in text.splitlines(True) if row[0] != "#")


def foreign_scipp(path: Path, *, zero: bool = False, down: str | None = None) -> None:
    """Data of scipp that xbp did not label."""
    scipp = pytest.importorskip("scipp")
    array = map_().bp.to_scipp().drop_coords("xbp")
    if zero:
        array.variances = 0 * array.variances
    if down:
        pieces = [array[down, i : i + 1] for i in range(array.sizes[down])]
        array = scipp.concat(pieces[::-1], down)
    array.save_hdf5(path)


#: How the errors of each good file become 0: of all formats that have errors.
ZERO: dict[str, Callable[[Path], None]] = {
    "nxspe": zero_hdf5("error"),
    "mantid": zero_hdf5("errors"),
    "histogram": zero_hdf5("errors"),
    "lamp": zero_hdf5("errors"),
    "scipp_file": lambda path: foreign_scipp(path, zero=True),
    "dave": lambda path: edited(path, last_column),
    "total_scattering": lambda path: edited(path, last_column),
    "columns": lambda path: edited(path, lambda t: last_column(foreign(t))),
    "mantid_ascii": lambda path: edited(
        path, lambda t: re.sub(r"(?m)^(.+,.+),[\d.]+$", r"\1,0", t)
    ),
    "inx": lambda path: edited(
        path, lambda t: re.sub(r"\d\.\d{4}e[-+]\d\d$", "0.0000e+00", t, flags=re.M)
    ),
    "spe": lambda path: edited(path, zero_spe),
    "ppms": lambda path: edited(path, lambda t: t.replace(",0.01,", ",0,")),
    "mdmc": lambda path: edited(
        path, lambda t: re.sub(r'error="[\d.]+"', 'error="0"', t)
    ),
}


#: What the files that xbp did not write leave open.
FOREIGN: dict[str, dict[str, Any]] = {
    "columns": {
        "quantity": "dynamic_structure_factor",
        "units": "1/meV",
        "coordinate_units": "meV",
    },
    "scipp_file": {"quantity": "dynamic_structure_factor"},
}


def errors_of(ds: xr.Dataset) -> list[str]:
    return [str(name) for name in ds.variables if str(name).endswith("_std")]


@pytest.mark.slow
def test_all_formats_with_errors_are_here(tmp_path: Path) -> None:
    for kind, make in FORMATS.items():
        make(tmp_path / kind)
        ds = xbp.open_dataset(tmp_path / kind, **OPTIONS.get(kind, {}))
        assert (kind in ZERO) == bool(errors_of(ds)), kind


@pytest.mark.parametrize("kind", ZERO)
def test_errors_of_0_throughout_are_none(kind: str, tmp_path: Path) -> None:
    FORMATS[kind](tmp_path / "file")
    before = xbp.open_dataset(tmp_path / "file", **OPTIONS.get(kind, {}))
    ZERO[kind](tmp_path / "file")
    ds = xbp.open_dataset(tmp_path / "file", **FOREIGN.get(kind, OPTIONS.get(kind, {})))
    assert errors_of(ds) == []
    name = str(next(iter(before.data_vars)))
    known = before[name].notnull() & ds[name].notnull()
    np.testing.assert_array_equal(ds[name].where(known), before[name].where(known))
    assert bool(known.any())
    assert "ancillary_variables" not in ds[name].attrs


def reversed_axis(values: Any, axis: int) -> Any:
    return np.flip(values, axis)


def h5(**parts: int) -> Callable[[Path], None]:
    return lambda path: of_hdf5(path, reversed_axis, **parts)


def turned_words(*starts: str) -> Text:
    """Text with the order of numbers reversed in the lines behind those that begin so."""

    def change(text: str) -> str:
        rows = text.splitlines()
        for i, row in enumerate(rows[:-1]):
            if row.startswith(starts):
                rows[i + 1] = " ".join(rows[i + 1].split()[::-1])
        return "\n".join(rows) + "\n"

    return change


def sqw_E(text: str) -> str:
    rows = turned_words("# vector of w")(text).splitlines()
    first = next(i for i, row in enumerate(rows) if row.startswith("# matrix")) + 1
    rows[first:-1] = [" ".join(row.split()[::-1]) for row in rows[first:-1]]
    return "\n".join(rows) + "\n"


def sqw_Q(text: str) -> str:
    rows = turned_words("# vector of q")(text).splitlines()
    first = next(i for i, row in enumerate(rows) if row.startswith("# matrix")) + 1
    rows[first:-1] = rows[first:-1][::-1]
    return "\n".join(rows) + "\n"


def spe_E(text: str) -> str:
    """Numbers in columns of ten characters."""
    rows, behind = text.splitlines(), ""
    for i, row in enumerate(rows):
        if behind.startswith("###") and "Phi Grid" not in behind:
            rows[i] = "".join(re.findall(".{10}", row)[::-1])
        behind = row
    return "\n".join(rows) + "\n"


def dave_Q(text: str) -> str:
    head, *groups = text.split("# Group ")
    rows = head.splitlines()
    rows[-3:] = rows[-3:][::-1]
    return "\n".join([*rows, ""]) + "".join("# Group " + g for g in groups[::-1])


def inx_E(text: str) -> str:
    blocks = [b.splitlines() for b in re.split(r"(?m)^(?=   10    1    2 )", text)[1:]]
    return "\n".join("\n".join([*b[:4], *b[:3:-1]]) for b in blocks) + "\n"


def inx_Q(text: str) -> str:
    blocks = re.split(r"(?m)^(?=   10    1    2 )", text)[1:]
    return "".join(blocks[::-1])


def jcamp_E(text: str) -> str:
    """The same points from 42 to 20 1/cm; three in a line."""
    y = [" ".join(str(21 - 3 * i - j) for j in range(3)) for i in range(4)]
    rows = [f"{84 - 12 * i} {line}" for i, line in enumerate(y)]
    head, _, _ = text.partition("40 10 11 12")
    for old, new in (("FIRSTX=20", "FIRSTX=42"), ("LASTX=42", "LASTX=20"), ("FIRSTY=20", "FIRSTY=42")):  # fmt: skip
        head = head.replace(old, new)
    return head + "\n".join([*rows, "##END="]) + "\n"


def euphonic_E(text: str) -> str:
    content = json.loads(text)
    for name in ("x_data", "y_data"):
        content[name] = content[name][::-1]
    return json.dumps(content, indent=4)


def mdmc_rows(text: str) -> str:
    head, *rows = re.split(r"(?=<SQomega)", text)
    end = "</s-q-omega>"
    return head + "\n".join(row.replace(end, "").strip() for row in rows[::-1]) + "\n" + end  # fmt: skip


def nmoldyn(*dims: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with xr.open_dataset(path) as file:
            ds = file.load()
        path.unlink()
        step = {dim: slice(None, None, -1) for dim in dims}
        ds.isel(step).to_netcdf(path, format="NETCDF3_CLASSIC")

    return change


def text(change: Text) -> Callable[[Path], None]:
    return lambda path: edited(path, change)


#: How each axis of each good file is turned; Raman files are written from turned arrays.
TURNED: dict[tuple[str, str], Callable[[Path], None]] = {
    ("nxspe", "E"): h5(energy=0, data=1, error=1),
    ("mantid", "E"): h5(axis1=0, values=1, errors=1),
    ("histogram", "E"): h5(energy=0, data=1, errors=1),
    ("histogram", "Q"): h5(Q=0, data=0, errors=0),
    ("lamp", "E"): h5(X=0, DATA=1, errors=1),
    ("lamp", "Q"): h5(Y=0, DATA=0, errors=0),
    ("mdanse", "E"): h5(omega=0, dos_total=0, dos_H=0),
    ("nmoldyn", "E"): nmoldyn("NFREQUENCIES"),
    ("nmoldyn", "Q"): nmoldyn("NQVALUES"),
    ("dave", "E"): text(turned_rows),
    ("dave", "Q"): text(dave_Q),
    ("sqw", "E"): text(sqw_E),
    ("sqw", "Q"): text(sqw_Q),
    ("total_scattering", "Q"): text(turned_rows),
    ("columns", "E"): text(turned_rows),
    ("mantid_ascii", "E"): text(test_mantid_ascii.turned),
    ("jcamp", "E"): text(jcamp_E),
    ("ppms", "temperature"): text(turned_rows),
    ("labspec", "E"): text(turned_rows),
    ("inx", "E"): text(inx_E),
    ("inx", "Q"): text(inx_Q),
    ("spe", "E"): text(spe_E),
    ("euphonic", "E"): text(euphonic_E),
    ("mdmc", "E, Q"): text(mdmc_rows),
}
RAMAN = {
    *("labspec6", "labspec_xml", "spc", "wdf", "opus", "rruff", "bwtek", "witec"),
    "renishaw_text",
}
#: Those that are refused.
ASCENDING = {
    *(
        (kind, axis)
        for kind in ("histogram", "nmoldyn", "dave", "sqw")
        for axis in "EQ"
    ),
    *((kind, "E") for kind in ("nxspe", "mantid", "spe", "mdanse", "euphonic")),
    ("lamp", "Q"),
    ("total_scattering", "Q"),
}


def test_all_formats_have_an_axis_here() -> None:
    assert {kind for kind, _ in TURNED} | RAMAN | {"scipp_file"} == set(FORMATS)


@pytest.mark.parametrize(
    ("kind", "axis"),
    [*TURNED, *((k, "E") for k in sorted(RAMAN)), *(("scipp_file", d) for d in "EQ")],
)
def test_descending_axes(
    kind: str, axis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They open as those that ascend, or are refused."""
    path, options = tmp_path / "file", FOREIGN.get(kind, OPTIONS.get(kind, {}))
    FORMATS[kind](path)
    if kind == "scipp_file":
        foreign_scipp(path)
    if kind == "columns":
        edited(path, foreign)
    right = xbp.open_dataset(path, **options).load()
    if kind == "scipp_file":
        foreign_scipp(path, down=axis)
    elif kind in RAMAN:
        for name in "EI":
            monkeypatch.setattr(raman_files, name, getattr(raman_files, name)[::-1])
        ys = ([raman_files.I],) if kind in ("spc", "wdf") else ()
        getattr(raman_files, kind)(path, *ys)
    else:
        TURNED[kind, axis](path)
    if (kind, axis) in ASCENDING:
        with pytest.raises((FileFormatError, CoordinateError), match="ascend"):
            xbp.open_dataset(path, **options)
        return
    turned = xbp.open_dataset(path, **options)
    assert set(turned.variables) == set(right.variables)
    for name in right.variables:
        np.testing.assert_allclose(turned[name], right[name], rtol=1e-12, err_msg=name)


class Recorded(dict[str, Any]):
    """An algorithm of Mantid, and the workspace that it makes: its properties."""

    initialize = execute = lambda self: None
    setProperty = dict.__setitem__
    value = property(lambda self: self)

    def setChild(self, _: bool) -> None: ...

    def getProperty(self, name: str) -> Any:
        assert name == "OutputWorkspace"
        return self


@pytest.fixture
def mantid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mantid is not on PyPI."""
    api = ModuleType("mantid.api")
    maker = SimpleNamespace(createUnmanaged=lambda name: Recorded(name=name))
    api.AlgorithmManager = maker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mantid", ModuleType("mantid"))
    monkeypatch.setitem(sys.modules, "mantid.api", api)


def from_recorded(made: Any) -> xr.Dataset:
    """S(Q,E) of a recorded CreateWorkspace; values per meV over Q in 1/angstrom."""
    assert (made["name"], made["UnitX"], made["Distribution"]) == ("CreateWorkspace", "DeltaE", True)  # fmt: skip
    assert made["VerticalAxisUnit"] == "MomentumTransfer"
    E, value, std = (
        np.reshape(made[name], (made["NSpec"], -1))
        for name in ("DataX", "DataY", "DataE")
    )
    Q = np.array(made["VerticalAxisValues"], dtype=float)
    assert (E[0] == E).all()
    return xbp.new_dataset(
        "dynamic_structure_factor",
        value,
        units="1/meV",
        std=std,
        statistics="quantum",
        coords={"Q": (Q, "1/angstrom"), "E": (E[0], "meV")},
    )


def written(name: str, ds: xr.Dataset, path: Path) -> xr.Dataset | None:
    """Write data and open what was written; None if only a table for people is made."""
    write = getattr(ds.bp, name)
    if name == "to_mantid":  # recorded, as Mantid's CreateWorkspace would have it
        return from_recorded(write())
    if name in ("to_scipp", "to_dataframe", "to_csv"):
        made = write(path) if name == "to_csv" else write()
        return xbp.from_scipp(made) if name == "to_scipp" else None
    if name == "to_euphonic":
        return xbp.from_euphonic(write())
    where = path.with_suffix({"to_netcdf": ".nc", "to_zarr": ".zarr"}.get(name, ".txt"))
    if name == "to_spe":
        write(where, path.with_suffix(".phx"))
        options = {"incident_energy": "12 meV", "detectors": path.with_suffix(".phx")}
        return xbp.open_dataset(where, **options)
    write(where)
    return xbp.open_dataset(where)


@pytest.mark.slow
@pytest.mark.usefixtures("mantid")
@pytest.mark.parametrize("name", [one for one in xbp.io.__all__ if one[:3] == "to_"])
def test_writers_and_descending_axes(name: str, tmp_path: Path) -> None:
    """What ascends comes back as it was; what descends, too, or it is refused."""
    extra = {"to_euphonic": "euphonic", "to_scipp": "scipp", "to_zarr": "zarr"}
    pytest.importorskip(extra.get(name, "xbp"))
    of_detectors = name in ("to_nxspe", "to_spe")
    ds = spectra().isel(detector=[0, 1, 2]) if of_detectors else map_()
    if name == "to_columns":
        ds = ds.isel(Q=1)
    if name == "to_euphonic":
        pytest.skip("Euphonic's own types")
    back = written(name, ds, tmp_path / "up")
    if name == "to_sqw":  # which has no errors
        assert back is not None
        xr.testing.assert_equal(back, ds.drop_vars("S_std"))
    elif name == "to_spe":  # in columns of ten characters
        assert back is not None
        np.testing.assert_allclose(back.S, ds.S, rtol=1e-3)
    elif name == "to_mantid":
        assert back is not None
        for one in ("S", "S_std", "Q", "E"):
            np.testing.assert_allclose(back[one], ds[one], rtol=1e-12, err_msg=one)
            assert back[one].attrs["units"] == ds[one].attrs["units"]
    elif back is not None:
        back.attrs.pop("source", None)
        xr.testing.assert_identical(back, ds)
    for dim in set(ds.dims) & {"E", "Q"}:
        turned = ds.isel({dim: slice(None, None, -1)})
        if name in ("to_netcdf", "to_zarr"):
            back = written(name, turned, tmp_path / f"down{dim}")
            xr.testing.assert_identical(back, turned)
        else:
            with pytest.raises(CoordinateError, match="not ascending"):
                written(name, turned, tmp_path / f"down{dim}")


#: Texts that say how many rows they have.
COUNTED = ("dave", "sqw", "inx", "spe", "rruff", "jcamp", "total_scattering")
VARIANTS: dict[str, Callable[[bytes], bytes]] = {
    "no line end": lambda text: text.rstrip(b"\n"),
    "end of a DOS file": lambda text: text + b"\x1a",
    "exponents of Fortran": lambda text: re.sub(rb"(?<=\d)[eE](?=[-+]\d)", b"D", text),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", COUNTED)
def test_variants_of_text(kind: str, variant: str, tmp_path: Path) -> None:
    """They open with the same numbers; a last number that was cut does not."""
    path, options = tmp_path / "file", OPTIONS.get(kind, {})
    FORMATS[kind](path)
    wanted = xbp.open_dataset(path, **options).load()
    path.write_bytes(VARIANTS[variant](path.read_bytes()))
    if variant == "no line end" and kind in ("rruff", "sqw"):
        # Of ##END= and of whole numbers nobody can say.
        with pytest.raises(FileFormatError, match="its last line is not complete"):
            xbp.open_dataset(path, **options)
        return
    xr.testing.assert_equal(xbp.open_dataset(path, **options), wanted)
    if variant == "no line end" and kind != "jcamp":
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(FileFormatError):
            xbp.open_dataset(path, **options)


def test_a_last_row_that_is_shorter_and_not_ended(tmp_path: Path) -> None:
    """Columns of ten characters that touch: exponents of three digits on Windows."""

    def rows(numbers: np.ndarray) -> list[str]:
        words = [re.sub(r"(?<=e[-+])", "0", f"{x:.3e}").upper() for x in numbers]
        return ["".join(words[i : i + 8]) for i in range(0, len(words), 8)]

    S = np.linspace(1, 2.8, 10)
    parts = {"Phi Grid": [10, 14], "Energy Grid": np.arange(1.0, 12.0), "S(Phi,w)": S, "Errors": S / 10}  # fmt: skip
    lines = ["    1   10"]
    for title, numbers in parts.items():
        lines += [f"### {title}", *rows(np.asarray(numbers))]
    (tmp_path / "a.spe").write_text("\n".join(lines))
    ds = xbp.open_dataset(tmp_path / "a.spe", **OPTIONS["spe"])
    np.testing.assert_allclose(ds.S[0], S, rtol=1e-12)
    np.testing.assert_allclose(ds.S_std[0], S / 10, rtol=1e-12)
    (tmp_path / "a.spe").write_text("\n".join(lines)[:-1])
    with pytest.raises(FileFormatError, match="last line"):
        xbp.open_dataset(tmp_path / "a.spe", **OPTIONS["spe"])
