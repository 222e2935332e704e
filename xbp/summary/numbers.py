"""How numbers, ranges and the quality of fits are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.format import percent, with_error
from xbp.core.status import FAILED, NO_DATA, OK, POOR_CHI2, POOR_RESIDUAL, TOO_FEW
from xbp.summary.remarks import units_of

__all__ = [
    "UNLIKELY",
    "called",
    "fit",
    "is_poor",
    "mend_of_fit",
    "number",
    "of_many",
    "quality",
    "reach",
    "short",
    "statuses",
]

#: A chi-squared with less of a chance than this says that something else is the case.
UNLIKELY = 0.01
#: What to do about a fit that names no parameter.
_MENDS: Final = {
    NO_DATA: "no point in the range has a number and an error above 0: see the data, "
    "or widen the range",
    TOO_FEW: "the range holds fewer points than there are parameters and one more: "
    "widen it, or hold some, fixed={…}",
    FAILED: "it did not converge: start={…} nearer, fixed={…}, or fit another range",
}


def number(table: xr.Dataset, name: str, at: Mapping[str, Any] | None = None) -> str:
    """Write one number of a table, with its error where it has one, and its units."""
    value = table[name] if at is None else table[name].isel(at)
    std = table.get(f"{name}_std")
    if not np.isfinite(float(value)):
        return "not found"
    error = np.nan if std is None else float(std if at is None else std.isel(at))
    return f"{with_error(float(value), error)}{units_of(value)}"


def statuses(status: xr.DataArray) -> str:
    """Count what is said of the fits that are not "ok"."""
    names, counts = np.unique(status.values, return_counts=True)
    return ", ".join(f"{c} {n}" for n, c in zip(names, counts, strict=True) if n != OK)


def reach(table: xr.Dataset, axis: str) -> str:
    """Say over which range was fitted."""
    low, high = table[f"{axis}_low"], table[f"{axis}_high"]
    return f"fitted over {float(low):.3g} to {float(high):.3g}{units_of(high)}"


def quality(table: xr.Dataset) -> str:
    """Say over which range was fitted, and how well.

    By chi-squared, or by the residual where no errors are known.
    """
    ends = [
        str(n)
        for n in table.variables
        if str(n).endswith("_low") and not str(n).startswith("scan_")
    ]
    said = [reach(table, end.removesuffix("_low")) for end in ends]
    if "chi2_reduced" in table:
        said.append(f"reduced chi2 {short(float(table.chi2_reduced))}")
    elif "relative_residual" in table:
        said.append(f"rms residual {percent(float(table.relative_residual))}")
    text = f" ({', '.join(said)})" if said else ""
    return text + ("\n  beware: the curve has not the shape of the data; the range "
                   "fitted decides more than the error"
                   if is_poor(table) else "")  # fmt: skip


def is_poor(table: xr.Dataset) -> bool:
    """Tell whether the curve of a fit has not the shape of its data, so that its errors say too little."""
    chi2 = float(table.get("chi2_reduced", np.nan))
    return chi2 > POOR_CHI2 or (
        np.isnan(chi2) and float(table.get("relative_residual", 0.0)) > POOR_RESIDUAL
    )


def short(number: float) -> str:
    """Write a number of any size in two or three figures, without powers of ten where one can."""
    return f"{number:.0f}" if 10 <= abs(number) < 1e5 else f"{number:.2g}"


def of_many(table: xr.Dataset, name: str, status: str, what: str) -> str:
    """Sum up an array of fits."""
    good = table[name].where(table[status] == OK)
    n = int(good.notnull().sum())
    text = f"{what} found in {n} of {good.size} fits"
    if n:
        text += (
            f": median {float(good.median()):.3g}, {float(good.min()):.3g} to "
            f"{float(good.max()):.3g}{units_of(good)}"
        )
    rest = statuses(table[status])
    return (
        text + (f"; the others: {rest}" if rest else "") + _poor_of_many(table, status)
    )


def _poor_of_many(table: xr.Dataset, status: str) -> str:
    """Say how many of the fits that are ok have a curve without the shape of their data."""
    ok = table[status] == OK
    measure, most = (
        ("chi2_reduced", POOR_CHI2)
        if "chi2_reduced" in table
        else ("relative_residual", POOR_RESIDUAL)
    )
    if measure not in table or table[measure].dims != ok.dims:
        return ""
    poor = int((ok & (table[measure] > most)).sum())
    if not poor:
        return ""
    how = (
        f"reduced chi2 above {most:.0f}"
        if measure == "chi2_reduced"
        else f"rms residual above {percent(most)}"
    )
    return (
        f"\n  beware: the curve has not the shape of the data in {poor} of "
        f"{int(ok.sum())} ({how})"
    )


def fit(table: xr.Dataset) -> str:
    """Say what a fit of any model found, or why it found nothing and what to do about it."""
    model = table.attrs.get("model", "fit")
    if table.status.ndim:
        good = int((table.status == OK).sum())
        rest = statuses(table.status)
        return (
            f"{model}: {good} of {table.status.size} fits are ok{rest and '; ' + rest}"
            + _poor_of_many(table, "status")
        )
    if str(table.status.values) != OK:
        limiting = (
            str(table.limiting_parameter.values)
            if "limiting_parameter" in table
            else ""
        )
        mend = mend_of_fit(table)
        return f"{model}: {table.status.values}{limiting and f' ({limiting})'}" + (
            mend and f"\n  {mend}"
        )
    names = [str(n) for n in table.data_vars if f"{n}_std" in table]
    return (
        f"{model}: "
        + ", ".join(f"{called(table, n)} {number(table, n)}" for n in names)
        + quality(table)
    )


def called(table: xr.Dataset, parameter: str) -> str:
    """Say what a parameter of a fit is.

    Over another axis than E, as C/T³ over T, a shape's "energy" is no energy.
    """
    return (
        "maximum at"
        if parameter == "energy" and "E_low" not in table.variables
        else parameter
    )


def mend_of_fit(table: xr.Dataset) -> str:
    """Say what to do about a fit whose status is not "ok"; nothing where it is."""
    limiting = (
        str(table.limiting_parameter.values) if "limiting_parameter" in table else ""
    )
    if limiting:
        return (
            f"hold it, fixed={{'{limiting}': …}}, start nearer, or fit a range "
            "that tells more"
        )
    return _MENDS.get(str(table.status.values), "")
