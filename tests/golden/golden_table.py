"""What a result is written down as, and when two of them are the same.

    python tests/golden/golden_table.py           # show what differs from the table
    python tests/golden/golden_table.py --write   # make the table anew

A result becomes a few numbers for each of its variables: enough that no change of the values goes unseen, few enough
to be read in a diff.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

TABLE = Path(__file__).with_name("golden.json")
#: How many values of an array stand in the table, spread evenly over it.
SHOWN = 8
#: Relative agreement of what is computed in double precision, and of densities of trajectories in single.
TOLERANCES = {"double": 1e-10, "single": 1e-5}
#: A fitted number agrees to this part of its standard deviation; the standard deviation to this part of itself.
FITTED, FITTED_STD = 1e-5, 1e-4

Entry = dict[str, Any]


def flatten(result: Any, prefix: str = "") -> dict[str, Any]:
    """Take a result apart into arrays by name."""
    if isinstance(result, xr.DataTree):
        result = {
            node.path: node.to_dataset() for node in result.subtree if node.has_data
        }
    if isinstance(result, xr.Dataset):
        # Factors of common errors are named after every digit of what they belong to.
        own = {
            name: variable
            for name, variable in result.variables.items()
            if name != "source"
        }
        return {
            f"{prefix}{name}": variable
            for name, variable in sorted(own.items(), key=str)
        }
    if isinstance(result, xr.DataArray):
        return {f"{prefix}{result.name or 'value'}": result.variable}
    if isinstance(result, Mapping):
        return {
            key: value
            for name, part in result.items()
            for key, value in flatten(part, f"{prefix}{name}/").items()
        }
    return {prefix.rstrip("/") or "value": result}


def entry(value: Any) -> Entry | str:
    """Write one array down."""
    units = value.attrs.get("units", "") if hasattr(value, "attrs") else ""
    array = np.asarray(value)
    if array.dtype.kind in "OUSTMm":
        words = [str(word) for word in array.ravel()]
        return {
            "shape": list(array.shape),
            "words": sorted(set(words))[:SHOWN],
            "first": words[:SHOWN],
        }
    flat = array.astype(float).ravel()
    known = flat[np.isfinite(flat)]
    shown = (
        flat[np.unique(np.linspace(0, flat.size - 1, SHOWN).astype(int))]
        if flat.size
        else flat
    )
    return {
        "shape": list(array.shape),
        "units": str(units),
        "finite": int(known.size),
        "mean": float(known.mean()) if known.size else None,
        "rms": float(np.sqrt((known**2).mean())) if known.size else None,
        "values": [
            float(number) if math.isfinite(number) else None for number in shown
        ],
    }


def write_down(result: Any) -> dict[str, Entry | str]:
    """Write a result down, variable by variable."""
    return {name: entry(value) for name, value in flatten(result).items()}


def differences(old: Mapping[str, Any], new: Mapping[str, Any], kind: str) -> list[str]:
    """Say in what a result differs from the one written down."""
    said = [f"{name}: gone" for name in old if name not in new] + [
        f"{name}: new" for name in new if name not in old
    ]
    for name in old:
        if name not in new:
            continue
        mine, its = old[name], new[name]
        fixed = {
            key: value
            for key, value in mine.items()
            if key not in ("mean", "rms", "values")
        }
        other = {key: its.get(key) for key in fixed}
        if fixed != other:
            said.append(f"{name}: {fixed} became {other}")
            continue
        if "values" in mine:
            said += _numbers(name, old, new, kind)
    return said


def _numbers(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], kind: str
) -> list[str]:
    mine, its = (
        np.array([*one[name]["values"], one[name]["mean"], one[name]["rms"]], float)
        for one in (old, new)
    )
    # Numbers that are small beside the others are what is left of sums of larger ones:
    # their last digits differ from one processor to the next.
    size = max(old[name]["rms"] or 0.0, 1e-300)
    allowed = TOLERANCES.get(kind, 1e-10) * np.maximum(abs(mine), size)
    if name.endswith(
        "_std"
    ):  # differences of finite steps: other processors round otherwise
        allowed *= 10
    if kind == "fitted" and f"{name}_std" in old:
        error = old[f"{name}_std"]
        std = np.array([*error["values"], error["rms"], error["rms"]], float)
        allowed = np.maximum(allowed, FITTED * np.nan_to_num(std))
    elif kind == "fitted":
        allowed = np.maximum(allowed, FITTED_STD * np.maximum(abs(mine), 0.1 * size))
    apart = ~((abs(mine - its) <= allowed) | (np.isnan(mine) & np.isnan(its)))
    if not apart.any():
        return []
    at = int(np.argmax(np.where(apart, abs(mine - its), -1)))
    return [
        f"{name}: {mine[at]:.8g} became {its[at]:.8g} ({int(apart.sum())} of {apart.size} numbers)"
    ]


def _a_line_each(table: Mapping[str, Any]) -> str:
    """Write the table with a line for every variable, so that a diff shows which changed."""
    blocks = []
    for name, one in table.items():
        lines = [
            f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in one["result"].items()
        ]
        blocks.append(
            f'{json.dumps(name)}: {{"kind": {json.dumps(one["kind"])}, "result": {{\n'
            + ",\n".join(lines)
            + "}}"
        )
    return "{" + ",\n".join(blocks) + "}\n"


def main() -> None:
    """Compare with the table, or write it."""
    from golden_cases import CASES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only", default="", help="names that begin with this")
    arguments = parser.parse_args()
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    for name, case in CASES.items():
        if not name.startswith(arguments.only):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                now = {"kind": case.kind, "result": write_down(case.make())}
        except Exception as error:  # a case that is refused now is a difference to be read, not the end
            now = {
                "kind": case.kind,
                "refused": f"{type(error).__name__}: {str(error).splitlines()[0]}",
            }
        before = table.get(name)
        if before is None:
            print(f"{name}: new")
        elif "refused" in before or "refused" in now:
            if before.get("refused") != now.get("refused"):
                print(
                    f"{name}: {before.get('refused', 'a result')} became {now.get('refused', 'a result')}"
                )
        else:
            for line in differences(before["result"], now["result"], case.kind):
                print(f"{name}: {line}")
        table[name] = now
    if arguments.write:
        kept = {name: table[name] for name in CASES if name in table}
        TABLE.write_text(_a_line_each(kept))


if __name__ == "__main__":
    main()
