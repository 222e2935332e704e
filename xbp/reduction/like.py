"""A simulation on the grid of an experiment: quantum, broadened, rebinned, masked."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import resolve_temperature
from xbp.core.errors import QuantityError, RangeError, TemperatureError
from xbp.core.grid import bin_limits, overlap, rebinned, renamed
from xbp.core.guards import choose, require_dims, require_fraction, require_number
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor
from xbp.models.factors import thermal_factor
from xbp.models.lineshapes import FWHM_PER_SIGMA
from xbp.reduction.arithmetic import convert
from xbp.reduction.resolution import Width, broaden, resolution_text, sigma_at

__all__ = ["like", "to_quantum"]


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
    statistics = signal.value.attrs.get("statistics")
    if statistics != "classical":
        raise QuantityError(
            f"'{signal.value.name}' has the statistics {statistics!r}; only a "
            "classical S(Q,E) lacks detailed balance",
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
    coverage: float = 0.5,
    T_tolerance: float = 0.01,
    tail: float = 1e-3,
) -> Data:
    """Bring a simulated S(Q,E) onto the grid and resolution of an experiment.

    A classical S(Q,E) gets detailed balance (`to_quantum`), is broadened by the
    resolution (as by `convolve`) into the experiment's bins of E, averaged over its
    bins of Q, and is NaN where the experiment is, and at energies beyond it.

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
        experiment's, the factor is in ``attrs["scale_factor"]``. By default the
        simulation's own units are kept.
    coverage : float
        Part of a bin of Q that the shells of the simulation must cover; other bins are
        NaN.
    T_tolerance : float
        Relative difference of the two temperatures that is allowed.
    tail : float
        As for `convolve`.

    Returns
    -------
    same type as `data`
        On the experiment's Q and E, in their units: ready for
        ``experiment.bp.subtract(...)`` or one figure.

    Raises
    ------
    TemperatureError
        If the temperatures differ by more than `T_tolerance`, or that of the
        simulation is not known.
    QuantityError
        If one of them is not an S(Q,E).
    RangeError
        If they have no bins in common, or the width is not positive.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> experiment = xbp.models.dynamic_structure_factor(
    ...     np.arange(2.5, 8, 0.25), np.arange(-20, 20.1, 0.5), energy="5.5 meV",
    ...     width="6 meV", T="300 K", u2="0.012 angstrom^2")
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> md = glass.bp.like(experiment, "1.5 meV", scale="fit")
    >>> md.S.shape == experiment.S.shape
    True
    """
    if scale is not None:
        choose(scale, ("fit",), "scale")
    tail = require_number(tail, "tail", above=0, below=1)
    coverage = require_fraction(coverage, "coverage")
    T_tolerance = require_fraction(T_tolerance, "T_tolerance")
    measured: Signal = read(experiment, "dynamic_structure_factor")
    if {*measured.value.dims} != {"Q", "E"}:
        raise RangeError(
            f"the experiment has the dimensions {tuple(measured.value.dims)}, and must "
            "be one map over Q and E",
            fix="choose one element of every other dimension: experiment.isel(...)",
        )
    simulated = read(data, "dynamic_structure_factor")
    require_dims(simulated.value, ("Q", "E"), "like")
    quantum: Any = data
    if simulated.value.attrs.get("statistics") == "classical":
        quantum = to_quantum(data, T)
    _require_same_temperature(read(quantum).value, measured.value, T, T_tolerance)
    E, Q = measured.value["E"], measured.value["Q"]
    units = E.attrs["units"]
    signal = read(convert(quantum, E=units, Q=Q.attrs["units"]))
    value = signal.value
    sigma = sigma_at(value, resolution, width)
    new_bins = {dim: bin_limits(measured.source, dim) for dim in ("E", "Q")}
    at_new = np.interp(E.values, value["E"].values, sigma)
    broad, std, shared = broaden(
        value, signal.std, bin_limits(signal.source, "E"), sigma, new_bins["E"], at_new,
        tail,
    )  # fmt: skip
    others = value.coords.to_dataset().drop_dims(("Q", "E")).variables
    coords: dict[Any, Any] = {"Q": value["Q"], "E": E, **shared, **others}
    old_bins = bin_limits(signal.source, "Q")
    low, high = new_bins["Q"]
    part = overlap(*old_bins, low[:, np.newaxis], high[:, np.newaxis])
    weights = xr.Variable(("_new", "Q"), part)
    wide = xr.DataArray(broad, coords)
    mean, std, kept = rebinned(
        wide,
        None if std is None else xr.DataArray(std, coords),
        weights,
        "Q",
        old_bins[1] - old_bins[0],
    )
    covered: Any = xr.dot(np.isfinite(wide.variable).astype(float), weights, dim="Q")
    enough = renamed(covered >= coverage * xr.Variable("_new", high - low), "Q")
    seen = enough & measured.value.variable.notnull()
    dims = [d for d in value.dims if d not in ("Q", "E")] + [*measured.value.dims]
    mean = mean.where(seen)  # type: ignore[no-untyped-call]
    out = xr.DataArray(mean, {**kept, "Q": Q, "E": E}, name=value.name)
    out = out.transpose(*dims)
    if not bool(out.notnull().any()):
        raise RangeError(
            "the simulation and the experiment have no bin in common",
            reason=f"in E the one ranges from {value.E.values[0]:g} to "
            f"{value.E.values[-1]:g} {units}, the other from {E.values[0]:g} to "
            f"{E.values[-1]:g}",
            fix="simulate as far as the experiment reaches, in Q and E",
        )
    factor = 1.0
    if scale:
        factor = _factor(out, measured, FWHM_PER_SIGMA * float(sigma.max()))
    if std is not None:
        std = std.where(seen).transpose(*dims) * factor  # type: ignore[no-untyped-call]
    answer: Data = signal.answer(
        out * factor,
        std,
        operation="like",
        arguments={
            "resolution": resolution_text(value, resolution, sigma),
            "width": width,
            "scale": scale,
            "factor": f"{factor:.10g}" if scale else None,
            "onto": f"{Q.size} x {E.size} bins of Q and E",
        },
        units=measured.units if scale else signal.units,
        attrs={"scale_factor": factor if scale else None},
        bounds={
            dim: xr.Variable((dim, "bnds"), np.stack(limits, axis=-1))
            for dim, limits in new_bins.items()
        },
    )
    return answer


def _require_same_temperature(
    simulated: xr.DataArray, measured: xr.DataArray, T: Any, tolerance: float
) -> None:
    if "temperature" not in measured.coords:
        return
    kelvin, other = resolve_temperature(measured), resolve_temperature(simulated, T)
    if bool((abs(kelvin - other) > tolerance * kelvin).any()):
        raise TemperatureError(
            f"the simulation is at {float(other.min()):g} K, the experiment at "
            f"{float(kelvin.min()):g} K",
            reason="their intensities differ by more than the temperature factor",
            fix="simulate at that temperature; T_tolerance= allows a difference",
        )


def _factor(simulated: xr.DataArray, measured: Signal, beyond: float) -> float:
    """Fit one factor to the sums over the bins beyond the elastic line.

    Sums, since a bin of one count and σ = 1 would outweigh others in least squares.
    """
    if {*simulated.dims} != {"Q", "E"}:
        raise RangeError(
            f"one factor is fitted to one map, not to {tuple(simulated.dims)}",
            fix="choose one element of every other dimension: data.isel(...)",
        )
    both = simulated.notnull() & measured.value.notnull()
    both &= abs(measured.value["E"]) > beyond
    above, below = (float(x.where(both).sum()) for x in (measured.value, simulated))
    if not (above > 0 and below > 0 and np.isfinite(above / below)):
        raise RangeError(
            "no factor can be fitted: beyond one FWHM of the elastic line they share "
            "no bin with positive numbers",
            fix="leave scale= out",
        )
    return above / below
