"""Fits of one curve to plain data, for every combination of their other dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.independence import collapsed, independence, std_along, times_held
from xbp.core.status import OK, STATUSES, TOO_FEW
from xbp.fitting.one_fit import N_OTHERS, Guess, fit_one
from xbp.fitting.parameters import Choices, parameters_of

__all__ = ["Fitted", "fit_everywhere"]


@dataclass(frozen=True)
class Fitted:
    """Parameters (…, parameter), their stds, correlations (…, parameter, parameter), and the rest over (…)."""

    values: xr.DataArray
    stds: xr.DataArray
    correlation: xr.DataArray
    limiting: xr.DataArray
    chi2_reduced: xr.DataArray
    relative_residual: xr.DataArray
    low: xr.DataArray
    high: xr.DataArray
    n_points: xr.DataArray
    status: xr.DataArray

    def columns(
        self,
        names: list[str],
        units: Mapping[str, str],
        x: tuple[str, str],
        known: bool,
    ) -> dict[str, tuple[Any, str, str]]:
        """Return the columns of a table of results.

        `x` is the dimension fitted along and its units.
        """
        table: dict[str, tuple[Any, str, str]] = {}
        for i, name in enumerate(names):
            for suffix, array in (("", self.values), ("_std", self.stds)):
                label = (
                    f"standard deviation of {name}" if suffix else f"parameter {name}"
                )
                table[f"{name}{suffix}"] = (
                    array.isel(parameter=i, drop=True),
                    units.get(name, ""),
                    label,
                )
        labels = {"parameter": names, "other_parameter": names}
        table["correlation"] = (
            self.correlation.assign_coords(labels),
            "1",
            "correlation of the parameters",
        )
        if known:
            # Without known errors χ² has no scale to be judged by.
            table["chi2_reduced"] = (
                self.chi2_reduced,
                "1",
                "reduced chi-squared of the fit",
            )
        table["relative_residual"] = (
            self.relative_residual,
            "1",
            "rms residual of the fit over the data",
        )
        table[f"{x[0]}_low"] = (self.low, x[1], f"lowest {x[0]} fitted")
        table[f"{x[0]}_high"] = (self.high, x[1], f"highest {x[0]} fitted")
        table["n_points"] = (self.n_points, "1", "number of points fitted")
        table["status"] = (self.status, "", "whether the fit can be used")
        limiting = xr.apply_ufunc(
            lambda places: np.array([*names, ""])[places.astype(int)],
            self.limiting,
            dask="parallelized",
            output_dtypes=[f"<U{max(map(len, names))}"],
        )
        table["limiting_parameter"] = (
            limiting,
            "",
            "parameter at its bound, or undetermined",
        )
        return table


def fit_everywhere(
    value: xr.DataArray,
    std: xr.DataArray | None,
    dim: str,
    x: np.ndarray,
    model: Any,
    chosen: Choices,
    *,
    guess: Guess,
    relative: bool = False,
    edge: str | None = None,
) -> Fitted:
    """Fit an lmfit Model along one dimension of plain data, for every combination of the others.

    Parameters
    ----------
    value, std : xarray.DataArray
        Data, and their standard deviation or None.
    dim : str
        Dimension to fit along.
    x : numpy.ndarray
        The coordinate there.
    model : lmfit.Model
        The model.
    chosen : Choices
        What the user said of its parameters.
    guess : callable
        (x, y) → where to start.
    relative : bool
        Residuals are relative to each point, not to the largest, and weigh so where
        there is no std.
    edge : str, optional
        The parameter at whose x the model has a step.

    Returns
    -------
    Fitted
    """
    n = len(parameters_of(model))
    independent = None if std is None else std_along(std, dim)
    packed, code = xr.apply_ufunc(
        fit_one,
        value,
        np.nan if independent is None else independent,
        kwargs={
            "x": x,
            "model": model,
            "chosen": chosen,
            "guess": guess,
            "relative": relative,
            "edge": edge,
        },
        input_core_dims=[[dim], [] if std is None else [dim]],
        output_core_dims=[["_number"], []],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float, int],
        dask_gufunc_kwargs={
            "output_sizes": {"_number": 2 * n + n * n + N_OTHERS},
            "allow_rechunk": True,
        },
    )
    numbers = packed.drop_vars(
        [c for c in packed.coords if c not in packed.dims and packed[c].ndim]
    )
    numbers = numbers.assign_coords(collapsed(value, dim))

    def part(first: int, last: int) -> xr.DataArray:
        piece: xr.DataArray = numbers.isel(_number=slice(first, last)).rename(
            _number="parameter"
        )
        return piece

    square = [
        part(2 * n + i * n, 2 * n + (i + 1) * n).rename(parameter="other_parameter")
        for i in range(n)
    ]
    limiting, chi2, residual, low, high, count = (
        numbers.isel(_number=i) for i in range(-N_OTHERS, 0)
    )
    correlation = xr.concat(square, dim="parameter").transpose(
        ..., "parameter", "other_parameter"
    )
    values, stds = part(0, n), part(n, 2 * n)
    f = independence(value, dim)
    if f is not None:
        # Bins that share what was measured count as the independent ones that they
        # hold.
        at = xr.DataArray(x, dims=dim)
        used = value.notnull() & (at >= low) & (at <= high)
        used = used if std is None else used & std.notnull()
        factor, enough = times_held(f, used, dim, n - len(chosen.fixed))
        refused = (code == STATUSES.index(OK)) & ~enough
        code = code.where(~refused, STATUSES.index(TOO_FEW)).astype(code.dtype)
        values, stds, correlation, chi2, residual = (
            each.where(~refused)
            for each in (
                values,
                stds if std is not None else stds * factor**0.5,
                correlation,
                chi2 * factor,
                residual,
            )
        )
    status = xr.apply_ufunc(
        lambda codes: np.array(STATUSES)[codes],
        code,
        dask="parallelized",
        output_dtypes=["<U18"],
    )
    return Fitted(
        values, stds, correlation, limiting, chi2, residual, low, high, count, status
    )
