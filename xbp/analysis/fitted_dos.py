"""The density of states that a fit of the heat capacity means."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.core.grid import given_axis
from xbp.core.operation import operation
from xbp.core.schema import COORDINATES, require_units
from xbp.core.signal import label_std, result_table, table_signal
from xbp.core.units import convert_factor
from xbp.models.debye_einstein import debye_dos, gaussian_dos
from xbp.reduction.dos_area import area_attributes, area_coordinate

__all__ = ["fitted_dos"]

_NAMES = ("n_D", "theta_D", "n_E", "theta_E", "sigma_E")


@operation(takes="fit_heat_capacity", gives="vibrational_dos", step=41)
def fitted_dos(data: xr.Dataset, E: Any) -> xr.Dataset:
    r"""Return the density of states that a fit of the heat capacity means.

    .. math:: g(E) = n_D\,\frac{3E^2}{(k_B\theta_D)^3}\Big|_{E<k_B\theta_D} +
    n_E\,\frac{\chi(E/k_B)}{k_B}

    Parameters
    ----------
    data : xarray.Dataset
        The table that `fit_heat_capacity` returned, over any dimensions.
    E : 1-D array, or DataArray with units
        Ascending energies; bare ones are in meV.

    Returns
    -------
    xarray.Dataset
        ``vibrational_dos`` g(E) in 1/meV over 3 N_A modes, so that ∫ g dE = n_D + n_E,
        the coordinate ``area``; ``g_std`` from the errors of the parameters and their
        correlations. NaN where the fit has no number.

    Raises
    ------
    QuantityError
        If `data` is another table.
    CoordinateError, UnitsError
        If the energies are not ascending, or no energies.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 80), gamma=0, n_D=0.8, theta_D=260, n_E=0.2,
    ...                         theta_E=72, sigma_E=15)
    >>> g = C.bp.fit_heat_capacity(fixed={"gamma": 0}).bp.fitted_dos(np.linspace(0, 30, 301))
    >>> round(float(g.g.integrate("E")), 2)
    1.0
    """
    signal = table_signal(data, "fit_heat_capacity", "theta_E")
    axis, units = given_axis(E, "E")
    grid = xr.Variable("E", axis, {"units": units, "long_name": COORDINATES["E"][1]})
    mev = axis * convert_factor(units, "meV", name="E", energy=True)
    names = list(_NAMES)
    correlation = data["correlation"].sel(parameter=names, other_parameter=names)
    if correlation.chunks is not None:
        correlation = correlation.chunk({"parameter": -1, "other_parameter": -1})
    value, std = xr.apply_ufunc(
        _dos_one,
        *(
            _in_own_units(data[f"{name}{suffix}"])
            for suffix in ("", "_std")
            for name in names
        ),
        correlation,
        kwargs={"E": mev},
        input_core_dims=[[]] * (2 * len(names)) + [["parameter", "other_parameter"]],
        output_core_dims=[["E"], ["E"]],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float, float],
        dask_gufunc_kwargs={"output_sizes": {"E": mev.size}},
    )
    area = area_coordinate(_in_own_units(data["n_D"]) + _in_own_units(data["n_E"]))
    table: xr.Dataset = result_table(
        signal,
        {
            "g": (value.assign_coords(E=grid, area=area), "1/meV", "g(E)"),
            "g_std": (std, "1/meV", ""),
        },
        quantity="vibrational_dos",
        operation="fitted_dos",
        arguments={"E": f"{mev[0]:.10g} to {mev[-1]:.10g} meV"},
    )
    history, amount = table.attrs.pop("history"), data.attrs.get("amount")
    del table.attrs["quantity"]
    table["g"].attrs |= {
        "quantity": "vibrational_dos",
        **area_attributes(1.0, "all modes"),
        "origin": "model",
        **({"amount": amount} if amount in ("atoms", "formula units") else {}),
        "history": history,
    }
    table.attrs["history"] = history
    label_std(table, "g")
    return table


def _in_own_units(column: xr.DataArray) -> xr.DataArray:
    """Return a column in the units that the formula is written in, whatever the user turned it into."""
    own = "K" if str(column.name).partition("_")[0] in ("theta", "sigma") else "1"
    return column * convert_factor(
        require_units(column, f"'{column.name}'", own), own, name=f"'{column.name}'"
    )


def _dos_one(*numbers: Any, E: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return g and its std from (n_D, θ_D, n_E, θ_E, σ_E), their stds and correlations."""
    p, s, correlation = (
        np.array(numbers[:5], dtype=float),
        np.array(numbers[5:10], dtype=float),
        numbers[10],
    )
    if not np.isfinite(p).all():
        return np.full(E.size, np.nan), np.full(E.size, np.nan)

    def g(
        n_D: float, theta_D: float, n_E: float, theta_E: float, sigma_E: float
    ) -> np.ndarray:
        return n_D * debye_dos(E, theta_D) + n_E * gaussian_dos(E, theta_E, sigma_E)

    gradient = np.zeros((5, E.size))
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-4 * abs(p[i])
        # The Debye edge is a step: at fixed shape only its height moves, as the bins
        # next to it would tell nothing.
        if i == 1:
            gradient[i] = -3 * p[0] * debye_dos(E, p[1]) / p[1]
        elif step[i] > 0:
            gradient[i] = (g(*(p + step)) - g(*(p - step))) / (2 * step[i])
    scaled = gradient * s[:, None]
    variance = np.einsum("ie,ij,je->e", scaled, correlation, scaled)
    return g(*p), np.sqrt(np.maximum(variance, 0.0))
