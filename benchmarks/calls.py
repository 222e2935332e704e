"""Count what one S → G → B enters: functions of xbp, and parses of units.

Run ``python -m benchmarks.calls`` in the repository; ``--all`` lists every call.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import xarray as xr

import xbp
from xbp.core.units import parse_unit

HERE = str(Path(xbp.__file__).parent)


def sample_map() -> xr.Dataset:
    """Return S(Q,E) with standard deviations, 30 × 40."""
    S = xbp.models.dynamic_structure_factor(
        np.linspace(1, 9, 30), np.linspace(0.2, 30, 40), energy=5.5, width=6,
        T=300, u2=0.012,
    )  # fmt: skip
    return xbp.models.with_counting_noise(S, counts=1e4, rng=0)


def calls_of(function: Any, *args: Any) -> Counter[str]:
    """Count the calls into functions of xbp, by file and name."""
    counted: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        # Lambdas, comprehensions and generators are part of the function around them.
        if (
            event == "call"
            and code.co_filename.startswith(HERE)
            and not code.co_name.startswith("<")
        ):
            file = Path(code.co_filename).relative_to(HERE)
            counted[f"{file}:{code.co_qualname}"] += 1

    sys.setprofile(profile)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
    return counted


def chain(S: xr.Dataset) -> None:
    """Run S → G → B."""
    S.bp.to_gdos().bp.to_bqe()


def main() -> None:
    """Print the counts of a second run, when caches are filled."""
    S = sample_map()
    chain(S)
    counted = calls_of(chain, S)
    parses = counted[f"core/units.py:{parse_unit.__qualname__}"]
    print(
        f"S -> G -> B: {sum(counted.values())} calls of {len(counted)} functions of "
        f"xbp; {parses} of parse_unit"
    )
    if "--all" in sys.argv:
        for name, n in counted.most_common():
            print(f"{n:4d}  {name}")


if __name__ == "__main__":
    main()
