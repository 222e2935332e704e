"""What is doubtful about reduced data, as diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.status import NO_SCATTERING, OK

__all__ = ["dos_doubts", "with_doubts"]


def with_doubts(data: Any, name: str | None, *found: Diagnostic) -> Any:
    """Add diagnostics to a variable of a Dataset, or to a DataArray, in place."""
    target = data[name] if isinstance(data, xr.Dataset) and name in data else data
    target.attrs |= diagnosed(target.attrs, *found)
    return data


def dos_doubts(ds: xr.Dataset) -> Iterator[Diagnostic]:
    """Doubt a g(E) by its status, by what was not measured and by its ends."""
    g, status = ds["g"], ds["status"]
    if any(v.chunks is not None for v in ds.variables.values()):
        return
    units = str(g["E"].attrs["units"])
    if bool((status == NO_SCATTERING).any()):
        high = float(ds["highest_phonon"].max())
        end = f"{high:.4g} {units}" if np.isfinite(high) else "the highest phonon"
        yield Diagnostic(
            "background_in_multiple_scattering",
            "warning",
            "a background beyond E_range was taken for multiple scattering",
            f"end E_range at {end} and cut the data where the background begins, or "
            "pass multiple_scattering=0.2",
        )
    elif bool((status != OK).any()):
        yield Diagnostic(
            "no_dos",
            "warning",
            f"g(E) was not found in {int((status != OK).sum())} of {status.size} fits",
            "E_range should contain all phonons (or pass initial_dos=) and no "
            "background; for a liquid mask the quasi-elastic line, .bp.mask_elastic(…)",
        )
    if float(ds["extended"].max()) > 0.1:
        yield Diagnostic(
            "extended_area",
            "warning",
            f"{100 * float(ds['extended'].max()):.2g} % of the area of g(E) was not "
            "measured but extended below E_range: u2 and the scale depend on it",
        )
    C = ds["multiple_scattering"]
    # In a sample that scatters a tenth, neutrons scattered twice are a part of those
    # that met several phonons.
    if bool((C < 0).any()) or bool((C > 0.5).any()):
        what = "negative" if bool((C < 0).any()) else "large"
        yield Diagnostic(
            "multiple_scattering",
            "warning",
            f"the multiple scattering is {what}, {float(C.min()):.3g} to "
            f"{float(C.max()):.3g}: too much or too little background was subtracted",
            "cut the data where the background begins, or pass multiple_scattering=0.2",
        )
    if g.dims != ("E",) or not bool(g.notnull().any()):
        return
    if float(g.idxmax("E")) < 0.08 * float(g.E[-1]):
        yield Diagnostic(
            "elastic_line_in_dos",
            "warning",
            f"g(E) is highest at its low end, {float(g.idxmax('E')):.3g} {units}: it "
            "may contain an elastic line",
            "begin E_range higher, or .bp.mask_elastic(…) S(Q,E) first",
        )
    known = g[g.notnull().values]
    tenth = known.sizes["E"] // 10
    if tenth and not bool(ds["highest_phonon"].notnull().any()):
        ends = known[known.sizes["E"] % tenth :].values.reshape(-1, tenth).mean(axis=1)
        # A law of E² rises as well: what rises again has fallen before.
        if ends[-1] > 1.5 * ends[-2] and ends[:-2].max() > ends[-2]:
            yield Diagnostic(
                "rises_at_end",
                "warning",
                f"g(E) rises again to its end, {float(g.E[-1]):.4g} {units}, as by a "
                "background, which spoils u2 and the area",
                "end E_range at the highest phonon",
            )
