"""Absurd values of every keyword of every reader and writer: refused in the family of errors, or harmless."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_fuzz import FORMATS, map_, spectra

import xbp
from xbp.errors import XbpError
from xbp.io import FORMATS as READERS

RAMAN = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
ABSURD: list[Any] = [
    float("nan"), float("inf"), None, "abc", "", np.array([1.0, 2.0]), np.array(["a", "b"]), [], {}, (), object(), -1, 0, 1e300,
    True, b"x", 1 + 2j, xr.DataArray([1.0, 2.0]), ["meV"], {"a": 1}, "nan meV", "-1 K",
]  # fmt: skip


def text(path: Path) -> None:
    path.write_text("# Raman shift (cm-1)  I\n10 1.5 0.1\n20 2.5 0.1\n30 2.0 0.1\n")


def jcamp(path: Path) -> None:
    path.write_text(
        "##TITLE=glass\n##JCAMP-DX=4.24\n##DATA TYPE=RAMAN SPECTRUM\n##XUNITS=1/CM\n##YUNITS=COUNTS\n##FIRSTX=20\n"
        "##LASTX=26\n##NPOINTS=4\n##XYDATA=(X++(Y..Y))\n20 1 2\n24 3 4\n##END=\n"
    )


def labspec(path: Path) -> None:
    path.write_text(
        "#Acq. time (s)=\t30\n#Instrument=\tLabRAM\n#Spectro (cm-1)=\t290\n30\t3\n20\t2\n10\t1\n"
    )


def ppms(path: Path) -> None:
    path.write_text(
        "[Header]\nBYAPP,HeatCapacity,3.9\nINFO,7.76,MASS:Sample Mass (mg)\n[Data]\n"
        "Sample Temp (Kelvin),Samp HC (uJ/K),Samp HC Err (uJ/K)\n4.0,2.0,0.1\n2.0,1.0,0.1\n"
    )


FILES = FORMATS | {
    "text": text,
    "jcamp": jcamp,
    "labspec": labspec,
    "ppms": ppms,
    "netcdf": lambda path: map_().bp.to_netcdf(path),
}


def options_of(kind: str) -> list[str]:
    engine = "columns" if kind == "text" else kind
    (reader,) = (
        r.open for r in READERS if r.open.__module__.rpartition(".")[2] == engine
    )
    return [
        name
        for name, p in inspect.signature(reader).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_of_readers(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.file"
    FILES[kind](path)
    base: dict[str, Any] = RAMAN if kind == "text" else {}
    raw = []
    for name in {*options_of(kind), "T", "engine", "drop_variables", "unknown"}:
        for value in ABSURD:
            for open_ in (xbp.open_dataset, xr.open_dataset):
                if open_ is xr.open_dataset and (
                    name in ("engine", "unknown") or kind == "netcdf"
                ):
                    continue
                options = base | {name: value}
                if open_ is xr.open_dataset:
                    options["engine"] = "columns" if kind == "text" else kind
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("error")
                        open_(path, **options).close()
                except XbpError:
                    pass
                except Exception as error:
                    if open_ is xr.open_dataset and name not in options_of(kind):
                        continue  # xarray's own
                    raw.append(f"{open_.__module__} {name}={value!r}: {error!r:.100}")
    assert not raw, "\n".join(raw)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["to_netcdf", "to_columns", "to_csv", "to_sqw", "to_nxspe", "to_dataframe"]
)
def test_of_writers(tmp_path: Path, name: str) -> None:
    data = spectra() if name == "to_nxspe" else map_()
    if name == "to_columns":
        data = data.isel(Q=1)
    write = getattr(xbp.io, name)
    raw = []
    for keyword in list(inspect.signature(write).parameters)[1:]:
        for i, value in enumerate(ABSURD):
            options = {"path": tmp_path / f"{keyword}{i}", keyword: value}
            if name == "to_dataframe":
                del options["path"]
            elif keyword == "path" and isinstance(value, str | bytes) and value:
                continue  # a file in the working directory
            try:
                write(data, **options)
            except XbpError:
                pass
            except Exception as error:
                raw.append(f"{keyword}={value!r}: {error!r:.100}")
    assert not raw, "\n".join(raw)
