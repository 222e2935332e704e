"""Damaged HDF5 and netCDF files are opened in a process of their own.

Their C libraries may end the process, or spoil its memory for whatever comes later.
"""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

#: A name, and what is tried: it returns what JSON can carry.
Case = tuple[str, Callable[[], Any]]


def apart(cases: Callable[..., Iterable[Case]], *arguments: str) -> dict[str, Any]:
    """Try all cases of a generator of a test module in one process: what became of each.

    A case that an error of xbp refuses gives "refused"; any other error is "raw: …". A
    process that ends early is a failure that names the case.
    """
    command = [sys.executable, __file__, inspect.getfile(cases), cases.__name__]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    rows = [json.loads(x) for x in done.stdout.splitlines() if x.startswith("[")]
    assert done.returncode == 0, (
        f"{rows[-1:]} is last before {done.returncode}: {done.stderr[-2000:]}"
    )
    return dict(row for row in rows if len(row) == 2)


def opened(*paths: str) -> Iterator[Case]:
    """Yield the opening of files as data and as a study: what is infinite, if anything."""
    import numpy as np
    import xarray as xr

    import xbp

    def attempt(open_: Callable[[str], Any], path: str) -> str:
        ds = open_(path)
        ds = ds.to_dataset() if isinstance(ds, xr.DataTree) else ds.load()
        infinite = [
            name
            for name, v in ds.data_vars.items()
            if v.dtype.kind == "f" and np.isinf(v).any() and "quantity" in v.attrs
        ]
        return f"infinite {infinite}" if infinite else "opened"

    for path in paths:
        yield f"data {Path(path).name}", partial(attempt, xbp.open_dataset, path)
        yield f"study {Path(path).name}", partial(attempt, xbp.open_study, path)


def tried(case: Callable[[], Any]) -> Any:
    """Return what a case gives, or what became of it."""
    from xbp.errors import XbpError

    try:
        return case()
    except XbpError:
        return "refused"
    except BaseException as error:
        return f"raw: {type(error).__name__}: {error}"


if __name__ == "__main__":
    module, name, *rest = sys.argv[1:]
    sys.path[:0] = [str(Path(module).parent), str(Path(__file__).parent)]
    warnings.simplefilter("ignore")
    for case, attempt in getattr(importlib.import_module(Path(module).stem), name)(
        *rest
    ):
        print(json.dumps([case]), flush=True)
        print(json.dumps([case, tried(attempt)]), flush=True)
    # Not ru_maxrss, which begins with that of the process that started this one.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    kilobytes = next((int(n.split()[1]) for n in lines if n.startswith("VmHWM")), 0)
    assert kilobytes < 2**20, f"{kilobytes} kB of memory"
