"""Prints the lowest versions that pyproject.toml allows, as constraints for pip."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())[
    "project"
]
requirements = [
    *project["dependencies"],
    *(r for extra in project["optional-dependencies"].values() for r in extra),
]
for requirement in sorted(set(requirements)):
    # An extra among the brackets is no part of a constraint; a requirement without a
    # bound constrains nothing.
    match = re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement)
    if match:
        print(f"{match[1]}=={match[2]}")
