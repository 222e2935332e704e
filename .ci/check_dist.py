"""Checks that the sdist and the wheel in a folder carry every data file of the package."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

folder = Path(sys.argv[1])
data = {f"xbp/data/{path.name}" for path in Path("xbp/data").glob("*.nc")} | {
    # Names are imported as __init__.pyi lists them.
    "xbp/py.typed",
    "xbp/plot/explorer.js",
    "xbp/plot/column.mplstyle",
    "xbp/study/report.css",
    "xbp/__init__.pyi",
    "xbp/md/__init__.pyi",
    "xbp/md/lammps/__init__.pyi",
    "xbp/accessor.pyi",
}
(sdist,) = folder.glob("*.tar.gz")
(wheel,) = folder.glob("*.whl")
with tarfile.open(sdist) as file:
    in_sdist = {name.partition("/")[2] for name in file.getnames()}
with zipfile.ZipFile(wheel) as file:
    in_wheel = set(file.namelist())
for name, found in ((sdist.name, in_sdist), (wheel.name, in_wheel)):
    if missing := data - found:
        sys.exit(f"{name} lacks {', '.join(sorted(missing))}")
print(f"{len(data)} files of data in {sdist.name} and {wheel.name}")
