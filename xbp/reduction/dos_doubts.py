"""Diagnostics of a g(E) found from measured S(Q,E)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from xbp.core.data import is_lazy
from xbp.core.numbers import percent
from xbp.core.status import Diagnostic, Status

__all__ = ["dos_doubts"]


def dos_doubts(ds: xr.Dataset) -> Iterator[Diagnostic]:
    """Doubt a g(E) by its status, by what was not measured and by its ends."""
    g, status = ds["g"], ds["status"]
    if any(is_lazy(v) for v in ds.variables.values()):
        return
    units = str(g["E"].attrs["units"])

    def doubt(code: str, message: str, fix: str = "") -> Diagnostic:
        return Diagnostic(code, "warning", message, fix)

    if bool((status == Status.NO_SCATTERING).any()):
        high = float(ds["highest_phonon"].max())
        end = f"{high:.4g} {units}" if np.isfinite(high) else "the highest phonon"
        yield doubt(
            "background_in_multiple_scattering",
            "background was taken for multiple scattering",
            f"end E_range at {end}, or pass multiple_scattering=0.2",
        )
    elif bool((status != Status.OK).any()):
        yield doubt(
            "no_dos",
            f"no g(E) in {int((status != Status.OK).sum())} of {status.size} fits",
            "E_range must contain all phonons and no quasi-elastic line (of a liquid)",
        )
    if "g_std" in ds and bool((ds["half_difference"] > 0).any()):
        yield Diagnostic(
            "spectra_differ",
            "info",
            "g(E) of the two halves of the spectra differs by "
            f"{percent(float(ds['half_difference'].max()))} of its maximum more "
            "than counting errors explain; g_std includes this",
            "check the background and each spectrum",
        )
    if "g_std_common" in ds and bool(ds["g_std_common"].any()):
        own, other, std = (
            float(ds[name].mean()) for name in ("u2", "u2_of_Q", "u2_of_Q_std")
        )
        modes = f", the modes give {own:.3g}" if np.isfinite(own) else ""
        yield Diagnostic(
            "displacement_differs",
            "info",
            f"the Q dependence gives u² = {other:.3g} ± {std:.1g} angstrom²{modes}; "
            "g_std includes the difference",
            "check the fixed energy, the background, mass and T",
        )
    extended = float(ds["extended"].max())
    if extended > 0.1:
        yield doubt(
            "extended_area",
            f"{percent(extended)} of the area of g(E) is extrapolated below E_range",
        )
    C = ds["multiple_scattering"]
    # In a sample that scatters a tenth, neutrons scattered twice are a part of those
    # that met several phonons.
    if bool((C < 0).any()) or bool((C > 0.5).any()):
        what = "negative" if bool((C < 0).any()) else "large"
        yield doubt(
            "multiple_scattering",
            f"the multiple scattering is {what}, {float(C.min()):.3g} to "
            f"{float(C.max()):.3g}: check the background that was subtracted",
            "cut the data, or pass multiple_scattering=0.2",
        )
    if g.dims != ("E",) or not bool(g.notnull().any()):
        return
    if float(g.idxmax("E")) < 0.08 * float(g.E[-1]):
        yield doubt(
            "elastic_line_in_dos",
            f"g(E) is highest at its low end, {float(g.idxmax('E')):.3g} {units}: an "
            "elastic line?",
            "raise the start of E_range",
        )
    known = g[g.notnull().values]
    tenth = known.sizes["E"] // 10
    if tenth and not bool(ds["highest_phonon"].notnull().any()):
        ends = known[known.sizes["E"] % tenth :].values.reshape(-1, tenth).mean(axis=1)
        # A law of E² rises as well: what rises again has fallen before.
        if ends[-1] > 1.5 * ends[-2] and ends[:-2].max() > ends[-2]:
            yield doubt(
                "rises_at_end",
                f"g(E) rises at its end, {float(g.E[-1]):.4g} {units}: a background?",
                "end E_range at the highest phonon",
            )
