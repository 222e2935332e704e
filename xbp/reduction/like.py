"""A simulation on the grid of an experiment: quantum, broadened, rebinned, masked."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import resolve_temperature
from xbp.core.errors import QuantityError, RangeError, TemperatureError
from xbp.core.grid import bin_limits, mean_over, overlap, renamed
from xbp.core.independence import (
    carried_independence,
    independence_name,
    mixed_independence,
)
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor
from xbp.models.factors import thermal_factor
from xbp.models.lineshapes import FWHM_PER_SIGMA
from xbp.reduction.arithmetic import convert
from xbp.reduction.resolution import Width, broaden, resolution_text, sigma_at

__all__ = ["like", "to_quantum"]

#: How much of a bin of the experiment the shells of a simulation must cover.
_COVERED = 0.5


@operation(takes="dynamic_structure_factor")
@carries_common_errors(linear=True)
def to_quantum(data: Data, T: Any = None) -> Data:
    r"""Give a classical S(Q,E) both sides of E and detailed balance.

    .. math:: S(Q,E) = \frac{x}{1 - e^{-x}}\,S_{cl}(Q,|E|), \quad x = E/k_BT

    the harmonic correction, exact for oscillators to first order in Q²u², and the one
    that leaves G(Q,E) as it is. It obeys detailed balance, S(−E) = e^{−x} S(E); ∫S dE
    grows a little over S(Q), by zero-point motion.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``dynamic_structure_factor`` of statistics "classical", over E ≥ 0 or both
        signs.
    T : scalar with units, optional
        Where the data do not carry it (bare: K).

    Returns
    -------
    same type as `data`
        Statistics "quantum".

    Raises
    ------
    QuantityError
        If the data are quantum already.
    TemperatureError
        If the temperature is not known, or contradicts the data's.

    References
    ----------
    P. H. Berens et al., J. Chem. Phys. 79, 2375 (1983), doi:10.1063/1.446044; J.
    Borysow, M. Moraldi & L. Frommhold, Mol. Phys. 56, 913 (1985),
    doi:10.1080/00268978500102801.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_quantum().S
    >>> ratio = S.sel(E=-10, method="nearest") / S.sel(E=10, method="nearest")
    >>> round(float(ratio.mean()), 3)  # e^{-9.93 meV / k_B 300 K}
    0.681
    """
    signal = read(data, "dynamic_structure_factor")
    said = signal.value.attrs.get("statistics")
    if said != "classical":
        raise QuantityError(
            f"'{signal.value.name}' has the statistics {said!r}",
            reason="only a classical S(Q,E) lacks detailed balance",
            fix="leave it as it is; if it is straight from MD, "
            "data['S'].attrs['statistics'] = 'classical'",
        )
    kelvin = resolve_temperature(signal.value, T)
    lower, upper = bin_limits(signal.source, "E")
    value, std = signal.value, signal.std
    if value["E"].values[0] >= 0:
        # The bin about E = 0 is its own image.
        first = int(value["E"].values[0] == 0)
        edges = [
            np.concatenate([-b[first:][::-1], a])
            for a, b in ((lower, upper), (upper, lower))
        ]
        order = np.concatenate(
            [np.arange(lower.size)[first:][::-1], np.arange(lower.size)]
        )
        sign = np.where(np.arange(order.size) < lower.size - first, -1.0, 1.0)
        E = xr.Variable("E", value["E"].values[order] * sign, value["E"].attrs)
        value = value.isel(E=order).assign_coords(E=E)
        std = None if std is None else std.isel(E=order).assign_coords(E=E)
        lower, upper = edges
    units = value["E"].attrs["units"]
    mev = value["E"].variable * convert_factor(
        units, "meV", name="coordinate 'E'", energy=True
    )
    factor = xr.apply_ufunc(
        lambda e, t: (
            thermal_factor(e, t, "classical") / thermal_factor(e, t, "quantum")
        ),
        mev,
        kelvin.variable,
    )
    out = value * factor
    answer: Data = signal.answer(
        out.transpose(*value.dims).assign_coords(
            temperature=kelvin.assign_attrs(units="K", long_name="temperature")
        ),
        None if std is None else (std * factor).transpose(*value.dims),
        operation="to_quantum",
        arguments={"T": T},
        attrs={"statistics": "quantum", "energy_zero": "used by to_quantum"},
        bounds={"E": xr.Variable(("E", "bnds"), np.stack([lower, upper], axis=-1))},
    )
    return answer


@operation(takes="dynamic_structure_factor")
@carries_common_errors(linear=True)
def like(
    data: Data,
    experiment: xr.DataArray | xr.Dataset,
    resolution: Any,
    *,
    width: Width = "fwhm",
    T: Any = None,
    scale: Literal["fit"] | None = None,
) -> Data:
    """Make of a simulated S(Q,E) what an instrument would have measured of it.

    A classical S(Q,E) gets detailed balance (`to_quantum`), is broadened by the
    resolution (as by `convolve`) into the experiment's bins of E, averaged over its
    bins of Q, and is NaN where the experiment is. Bins of Q that the shells of the
    simulation cover by less than half, and energies beyond it, are NaN.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``dynamic_structure_factor`` over Q and E, classical or quantum.
    experiment : xarray.DataArray or xarray.Dataset
        ``dynamic_structure_factor`` over Q and E, as measured: both signs of E, or one.
    resolution : scalar with units, or DataArray over E
        Its width, as for `convolve`; a curve must reach as far as the simulation on
        both sides.
    width : {"fwhm", "sigma"}
        What `resolution` is.
    T : scalar with units, optional
        Where the simulation does not carry it (bare: K). An experiment that carries
        none is taken to be at that of the simulation.
    scale : {"fit"}, optional
        ``"fit"``: times the one factor that gives it the experiment's sum over the bins
        they share, those within one FWHM of E = 0 left out; its units are the
        experiment's, the factor is in ``attrs["scale_factor"]``. By default in the
        simulation's own, per atom.

    Returns
    -------
    same type as `data`
        On the experiment's Q and E, in their units: ready for
        ``experiment.bp.subtract(...)`` or one figure.

    Raises
    ------
    TemperatureError
        If the temperatures differ by more than 1 %, or that of the simulation is not
        known.
    QuantityError
        If one of them is no S(Q,E).
    RangeError
        If they have no bins in common, or the width is not positive.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> experiment = xbp.models.dynamic_structure_factor(np.arange(2.5, 8, 0.25), np.arange(-20, 20.1, 0.5),
    ...     energy="5.5 meV", width="6 meV", T="300 K", u2="0.012 angstrom^2")
    >>> md = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.like(experiment, "1.5 meV", scale="fit")
    >>> md.S.shape == experiment.S.shape, md.S.attrs["units"] == experiment.S.attrs["units"]
    (True, True)
    """
    if scale not in (None, "fit"):
        raise QuantityError(
            f"scale={scale!r} is not known",
            reason="it is 'fit' or left out",
            fix="scale='fit'",
        )
    measured = read(experiment, "dynamic_structure_factor")
    if set(measured.value.dims) != {"Q", "E"}:
        raise RangeError(
            f"the experiment has the dimensions {tuple(measured.value.dims)}",
            reason="a simulation is laid on one map over Q and E",
            fix="choose one element of every other dimension: experiment.isel(...)",
        )
    simulated = read(data, "dynamic_structure_factor")
    if not {"Q", "E"} <= set(simulated.value.dims):
        raise RangeError(
            f"the simulation has the dimensions {tuple(simulated.value.dims)}",
            reason="it is laid on a map over Q and E",
            fix="pass S(Q,E)",
        )
    quantum = data
    if simulated.value.attrs.get("statistics") == "classical":
        quantum = to_quantum(data, T)
    _require_same_temperature(read(quantum).value, measured.value, T)
    grid = {dim: measured.value[dim] for dim in ("E", "Q")}
    signal = read(
        convert(quantum, E=grid["E"].attrs["units"], Q=grid["Q"].attrs["units"])
    )
    units = grid["E"].attrs["units"]
    sigma = sigma_at(signal.value["E"].values.astype(float), units, resolution, width)
    new_bins = bin_limits(measured.source, "E")
    centres = grid["E"].values.astype(float)
    value, std, shared = broaden(
        signal.value, signal.std, signal.value["E"].values.astype(float), bin_limits(signal.source, "E"), sigma,
        new_bins, np.interp(centres, signal.value["E"].values, sigma),
    )  # fmt: skip
    onto = {"Q": signal.value["Q"], "E": grid["E"], **shared}
    wide = xr.DataArray(value, onto | _others(signal.value))
    spread = None if std is None else xr.DataArray(std, onto | _others(signal.value))
    value, std, shared = _over_Q(
        wide, spread, bin_limits(signal.source, "Q"), bin_limits(measured.source, "Q")
    )
    seen = measured.value.variable.notnull()
    out = xr.DataArray(
        _where(value, seen),
        {"Q": grid["Q"], "E": grid["E"]} | _others(signal.value) | shared,
        name="S",
    )
    out = out.rename(signal.value.name)
    if not bool(out.notnull().any()):
        raise RangeError(
            "the simulation and the experiment have no bin in common",
            reason=f"in E the one reaches from {signal.value.E.values[0]:g} to "
            f"{signal.value.E.values[-1]:g} {units}, "
            f"the other from {centres[0]:g} to {centres[-1]:g}",
            fix="simulate as far as the experiment reaches, in Q and E",
        )
    out_std = (
        None
        if std is None
        else out.copy(data=_where(std, seen).transpose(*out.dims).data)
    )
    factor, new_units = 1.0, signal.units
    if scale == "fit":
        factor, new_units = _factor(out, measured, centres, sigma.max()), measured.units
    dims = (
        tuple(d for d in signal.value.dims if d not in ("Q", "E")) + measured.value.dims
    )
    answer: Data = signal.answer(
        (out * factor).transpose(*dims),
        None if out_std is None else (out_std * factor).transpose(*dims),
        operation="like",
        arguments={
            "resolution": resolution_text(resolution, sigma, units), "width": width, "scale": scale,
            "factor": f"{factor:.10g}" if scale else None,
            "onto": f"{grid['Q'].size} x {grid['E'].size} bins of Q and E",
        },
        units=new_units,
        attrs={"scale_factor": factor if scale else None},
        bounds={
            dim: xr.Variable((dim, "bnds"), np.stack(bin_limits(measured.source, dim), axis=-1)) for dim in ("E", "Q")
        },
    )  # fmt: skip
    return answer


def _others(value: xr.DataArray) -> dict[Any, xr.DataArray]:
    """Return the coordinates that have to do neither with Q nor with E."""
    return {name: c for name, c in value.coords.items() if not {"Q", "E"} & set(c.dims)}


def _require_same_temperature(
    simulated: xr.DataArray, measured: xr.DataArray, T: Any
) -> None:
    if "temperature" not in measured.coords:
        return
    kelvin, other = resolve_temperature(measured), resolve_temperature(simulated, T)
    if bool((abs(kelvin - other) > 0.01 * kelvin).any()):
        raise TemperatureError(
            f"the simulation is at {float(other.min()):g} K, the experiment at "
            f"{float(kelvin.min()):g} K",
            reason="their intensities differ by more than the temperature factor",
            fix="simulate at that temperature; if it does not matter, "
            "experiment.assign_coords(temperature=...)",
        )


def _over_Q(
    value: xr.DataArray,
    std: xr.DataArray | None,
    bins: tuple[np.ndarray, ...],
    new: tuple[np.ndarray, ...],
) -> tuple[xr.Variable, xr.Variable | None, dict[Any, xr.Variable]]:
    """Average over new bins of Q, NaN where the old cover them by less than half.

    And what bins share.
    """
    shared = xr.Variable(
        ("_new", "Q"), overlap(*bins, *(edge[:, np.newaxis] for edge in new))
    )
    covered = xr.dot(np.isfinite(value.variable).astype(float), shared, dim="Q")
    enough = covered >= _COVERED * xr.Variable("_new", new[1] - new[0])
    mean, spread = mean_over(value, std, shared, "Q")
    alike: dict[Any, xr.Variable] = {
        n: value.coords[n].variable for n in value.coords if n == independence_name("E")
    }
    alike |= carried_independence(
        value, std, "Q", lambda s: mean_over(value, s, shared, "Q")[1], spread
    )
    f = mixed_independence(value, std, shared, bins[1] - bins[0], "Q")
    alike |= {} if f is None else {independence_name("Q"): f}
    mean = renamed(_where(mean, enough), "Q")
    alike = {name: renamed(part, "Q") for name, part in alike.items()}
    return mean, None if spread is None else renamed(_where(spread, enough), "Q"), alike


def _where(values: xr.Variable, condition: xr.Variable) -> xr.Variable:
    kept: xr.Variable = values.where(condition)  # type: ignore[no-untyped-call]
    return kept


def _factor(
    simulated: xr.DataArray, measured: Signal, E: np.ndarray, sigma: float
) -> float:
    """Fit one factor by least squares, the elastic line left out."""
    if set(simulated.dims) != {"Q", "E"}:
        raise RangeError(
            f"the simulation has the dimensions {tuple(simulated.dims)}",
            reason="one factor is fitted to one map",
            fix="choose one element of every other dimension: data.isel(...)",
        )
    away = xr.DataArray(np.abs(E) > FWHM_PER_SIGMA * sigma, dims="E")
    both = away & simulated.notnull() & measured.value.notnull()
    # Sums, which are what counting tells of a scale: a bin of one count and σ = 1
    # cannot outweigh the others.
    above, below = (
        float(side.where(both).sum()) for side in (measured.value, simulated)
    )
    if not below > 0 or not np.isfinite(above / below) or above <= 0:
        raise RangeError(
            "no factor can be fitted",
            reason="beyond one FWHM of the elastic line they share no bin with a "
            "number",
            fix="leave scale= out",
        )
    return above / below
