"""Resolution of an instrument, and a simulation brought to that of an experiment."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import resolve, statistics_of
from xbp.core.data import (
    Data,
    require_dims,
    require_over,
    require_values,
    unwrap,
    weighted_sum,
)
from xbp.core.errors import CoordinateError, QuantityError, RangeError, TemperatureError
from xbp.core.grid import bin_limits, interpolate, overlap, rebinned, renamed
from xbp.core.guards import (
    choose,
    not_used,
    require_flag,
    require_fraction,
    require_number,
)
from xbp.core.independence import independence_name, mixed_independence, std_along
from xbp.core.numbers import span
from xbp.core.operation import operation
from xbp.core.schema import per_unit, require_units
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, magnitude
from xbp.models.factors import thermal_factor
from xbp.models.lineshapes import FWHM_PER_SIGMA
from xbp.reduction.arithmetic import convert
from xbp.reduction.comparable import require_comparable
from xbp.reduction.sign import REVERSED_BELOW, with_right_sign
from xbp.reduction.temperature import at_temperature

__all__ = ["convolve", "like", "to_quantum"]

Width = Literal["fwhm", "sigma"]


@operation(takes="signal", over="E", step=29, suggested="dynamic_structure_factor")
@carries_common_errors(linear=True)
def convolve(
    data: Data, resolution: Any, *, width: Width = "fwhm", tail: float = 1e-3
) -> Data:
    """Broaden a model or a simulation by the resolution of an instrument.

    The content of each bin is spread by a Gaussian of the width at its energy, and each
    bin receives the part that falls between its edges: ∫ dE is kept within the range of
    the data. Data are never deconvolved. Standard deviations follow as of independent
    bins; the bins of the answer are correlated over the width, and ``E_independence``
    is the part of an independent bin that each represents.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E. S(Q,E) on E ≥ 0 alone is first given its other side by
        `to_quantum`, or its elastic line would lose half.
    resolution : scalar with units, or DataArray over E
        The width of the Gaussian (bare: the unit of E); an array is interpolated, and
        must reach as far as the data.
    width : {"fwhm", "sigma"}
        What `resolution` is. A curve of quantity ``energy_resolution`` is a FWHM.
    tail : float
        Part of the kernel of a bin that may lie beyond the data or in NaN bins; bins
        with more are NaN.

    Returns
    -------
    same type as `data`

    Raises
    ------
    RangeError
        If the width is not positive, or the curve does not reach as far as the data.
    QuantityError, UnitsError, CoordinateError
        If the resolution is not an energy, is over another dimension, its energies are
        not ascending, or it is of another geometry than the data.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> line = xbp.models.elastic_line(
    ...     [1.0], np.arange(-10, 10.05, 0.1), u2="0 angstrom^2", resolution="0.6 meV")
    >>> broad = line.S.bp.convolve("0.8 meV").dropna("E")
    >>> variance = float((broad * broad.E**2).sum() / broad.sum())
    >>> round(2.3548 * variance**0.5, 2)  # 0.6 and 0.8 make 1.0
    1.0
    """
    signal = read(data)
    require_dims(signal.value, "E", "convolve", fix="convolve before the cut")
    tail = require_number(tail, "tail", above=0, below=1)
    bins = bin_limits(signal.source, "E")
    sigma = _sigma_at(signal.value, resolution, width)
    value, std, shared = _broaden(signal, bins, sigma, bins, sigma, tail)
    answer: Data = signal.answer(
        value,
        std,
        operation="convolve",
        arguments={"resolution": _written(signal.value, sigma), "width": width},
        coords=shared,
    )
    return answer


def _broaden(
    signal: Signal,
    bins: tuple[np.ndarray, np.ndarray],
    sigma: np.ndarray,
    new_bins: tuple[np.ndarray, np.ndarray],
    new_sigma: np.ndarray,
    tail: float,
) -> tuple[xr.Variable, xr.Variable | None, dict[str, xr.Variable]]:
    """Spread every bin by its Gaussian over new bins, along E.

    Parameters
    ----------
    signal : Signal
        Densities over E.
    bins, new_bins : pair of numpy.ndarray
        Lower and upper edges; all in the unit of E.
    sigma : numpy.ndarray, shape (n,)
        Gaussian widths at the centres of the bins.
    new_sigma : numpy.ndarray, shape (m,)
        Widths at the new bins.
    tail : float
        Part of the kernel of a new bin that may lie where nothing is known.

    Returns
    -------
    value, std : xarray.Variable
        Over the new bins.
    shared : dict
        The coordinate ``E_independence`` of the new bins, where there are standard
        deviations.
    """
    value, std, ndtr = signal.value, signal.std, scipy.special.ndtr
    E = value["E"].values.astype(float)
    low, high = (edge[:, np.newaxis] for edge in new_bins)
    share = ndtr((high - E) / sigma) - ndtr((low - E) / sigma)
    kernel = xr.Variable(("_new", "E"), share * (bins[1] - bins[0]) / (high - low))
    middle = (new_bins[0] + new_bins[1]) / 2
    first, last = ((end - middle) / new_sigma for end in (bins[0][0], bins[1][-1]))
    inside = ndtr(last) - ndtr(first)
    valid = value.variable.notnull()
    missing = weighted_sum((~valid).astype(float), kernel, "E")
    known = (missing < tail) & xr.Variable("_new", 1 - inside < tail)

    def spread(array: Any, power: int) -> xr.Variable:
        filled = array.where(valid, 0.0) ** power
        total = weighted_sum(filled, kernel**power, "E").where(known)
        return renamed(total ** (1 / power), "E")

    broad = spread(value.variable, 1)
    if std is None:
        return broad, None, {}
    shares = kernel * xr.Variable("_new", new_bins[1] - new_bins[0])
    f = mixed_independence(value, std, shares, bins[1] - bins[0], "E")
    shared = {} if f is None else {independence_name("E"): renamed(f, "E")}
    return broad, spread(std_along(std, "E").variable, 2), shared


def _sigma_at(value: xr.DataArray, resolution: Any, width: Width) -> np.ndarray:
    """Return the Gaussian σ at the energies of data, in their units."""
    choose(width, Width, "width")
    E, units = value["E"].values.astype(float), value["E"].attrs["units"]
    if isinstance(resolution, xr.DataArray) and resolution.ndim:
        curve = unwrap(resolution)[0]
        if curve.attrs.get("quantity") == "energy_resolution" and width != "fwhm":
            raise QuantityError(
                "the resolution curve is a FWHM, not σ", fix="width='fwhm'"
            )
        require_comparable(value, curve, "the resolution")
        wide = _curve_at(E, units, curve)
    else:
        number = magnitude(resolution, units, name="resolution", energy=True)
        wide = np.full(E.shape, number)
    require_values(wide, "the resolution", units, above=0, below=np.inf)
    return np.asarray(wide / FWHM_PER_SIGMA if width == "fwhm" else wide)


def _written(value: xr.DataArray, sigma: np.ndarray) -> str:
    """Describe a resolution for the history: FWHM, from least to largest."""
    return f"FWHM {span(sigma * FWHM_PER_SIGMA, value['E'].attrs['units'])}"


def _curve_at(E: np.ndarray, units: str, curve: xr.DataArray) -> np.ndarray:
    if curve.dims != ("E",) or "E" not in curve.coords:
        raise QuantityError(
            f"the resolution has dimensions {curve.dims}; it must be a curve over E",
            fix="xr.DataArray(fwhm, {'E': ('E', energies)}), with units of both",
        )
    factors = [
        convert_factor(require_units(x, name, "meV"), units, name=name, energy=True)
        for x, name in (
            (curve.E, "coordinate 'E' of the resolution"),
            (curve, "the resolution"),
        )
    ]
    own = curve.E.values.astype(float) * factors[0]
    if not np.isfinite(own).all() or (np.diff(own) <= 0).any():
        raise CoordinateError(
            "the energies of the resolution are not ascending numbers",
            fix="resolution.sortby('E').drop_duplicates('E')",
        )
    # Widths change slowly: half a bin beyond the curve its last value is used.
    step = float(np.diff(own).max()) / 2 if own.size > 1 else 0.0
    if E[0] < own[0] - step or E[-1] > own[-1] + step:
        raise RangeError(
            f"the resolution is known from {own[0]:g} to {own[-1]:g} {units}, "
            f"the data range from {E[0]:g} to {E[-1]:g}",
            fix="cut the data: data.sel(E=slice(...))",
        )
    values = curve.assign_coords(E=own).drop_attrs(deep=False)
    at = interpolate(values, None, "E", np.clip(E, own[0], own[-1]))[0]
    return np.asarray(at.values * factors[1])


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
    statistics_of(signal.value, "classical", "leave it as it is")
    value, kelvin = signal.value, resolve(signal.value, "temperature", T=T)
    value, _ = with_right_sign(value, signal.std, kelvin, REVERSED_BELOW)
    lower, upper = bin_limits(signal.source, "E")
    E = value["E"].variable
    # The bin about E = 0 is its own image.
    first = int(E.values[0] == 0)
    image = np.arange(first, E.size if E.values[0] >= 0 else first)[::-1]
    order = np.append(image, np.arange(E.size))
    sign = np.where(np.arange(order.size) < image.size, -1.0, 1.0)
    both = xr.Variable("E", E.values[order] * sign, E.attrs)
    mev = both * per_unit(value, "E")
    factor = xr.apply_ufunc(
        lambda e, t: (
            thermal_factor(e, t, "classical") / thermal_factor(e, t, "quantum")
        ),
        mev,
        kelvin.variable,
    )

    def with_gain(part: xr.DataArray) -> xr.DataArray:
        both_sides = part.isel(E=order).assign_coords(E=both)
        return xr.DataArray(both_sides * factor)

    std = None if signal.std is None else with_gain(signal.std)
    answer: Data = signal.answer(
        with_gain(value).assign_coords(temperature=kelvin),
        std,
        operation="to_quantum",
        arguments={"T": T},
        attrs={"statistics": "quantum", "energy_zero": "used by to_quantum"},
        bounds={
            "E": (
                np.append(-upper[image], lower),
                np.append(-lower[image], upper),
            )
        },
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
    harmonic: bool = False,
    u2: Any = None,
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
    harmonic : bool
        Whether to take a simulation at another temperature to that of the experiment as
        harmonic vibrations (`at_temperature`).
    u2 : scalar with units, optional
        For `harmonic`: the mean-square displacement per axis at the temperature of the
        experiment; by default it stays.
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
        If the temperatures differ by more than `T_tolerance`, `harmonic` apart, or that
        of the simulation is not known.
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
    simulated: Signal = read(data, "dynamic_structure_factor")
    require_dims(simulated.value, ("Q", "E"), "like")
    for one in (measured, simulated) if scale else (measured,):
        wanted = "one map over Q and E is needed"
        require_over(one.value, ("Q", "E"), wanted)
    quantum: Any = data
    if simulated.value.attrs.get("statistics") == "classical":
        quantum = to_quantum(data, T)
    if require_flag(harmonic, "harmonic"):
        kelvin = resolve(measured.value, "temperature")
        own = resolve(read(quantum).value, "temperature", T=T).variable
        quantum = at_temperature(quantum.assign_coords(temperature=own), kelvin, u2)
    else:
        not_used("harmonic=True is not set", u2=u2)
    _require_same_temperature(read(quantum).value, measured.value, T, T_tolerance)
    E, Q = measured.value["E"], measured.value["Q"]
    units = E.attrs["units"]
    signal = read(convert(quantum, E=units, Q=Q.attrs["units"]))
    value = signal.value
    sigma = _sigma_at(value, resolution, width)
    new_bins = {dim: bin_limits(measured.source, dim) for dim in ("E", "Q")}
    at_new = np.interp(E.values, value["E"].values, sigma)
    broad, std, shared = _broaden(
        signal, bin_limits(signal.source, "E"), sigma, new_bins["E"], at_new, tail
    )
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
    covered = weighted_sum(np.isfinite(wide.variable).astype(float), weights, "Q")
    enough = renamed(covered >= coverage * xr.Variable("_new", high - low), "Q")
    seen = enough & measured.value.variable.notnull()
    dims = [d for d in value.dims if d not in ("Q", "E")] + [*measured.value.dims]
    mean = mean.where(seen)  # type: ignore[no-untyped-call]
    out = xr.DataArray(mean, {**kept, "Q": Q, "E": E}, name=value.name)
    out = out.transpose(*dims)
    if not bool(out.notnull().any()):
        raise RangeError("the simulation and the experiment have no bin in common")
    factor = 1.0
    if scale:
        factor = _common_factor(out, measured, FWHM_PER_SIGMA * float(sigma.max()))
    if std is not None:
        std = std.where(seen).transpose(*dims) * factor  # type: ignore[no-untyped-call]
    answer: Data = signal.answer(
        out * factor,
        std,
        operation="like",
        arguments={
            "resolution": _written(value, sigma),
            "width": width,
            "scale": scale,
            "factor": f"{factor:.10g}" if scale else None,
            "onto": f"{Q.size} x {E.size} bins of Q and E",
        },
        units=measured.units if scale else signal.units,
        attrs={"scale_factor": factor if scale else None},
        bounds=new_bins,
    )
    return answer


def _require_same_temperature(
    simulated: xr.DataArray, measured: xr.DataArray, T: Any, tolerance: float
) -> None:
    if "temperature" not in measured.coords:
        return
    kelvin = resolve(measured, "temperature")
    other = resolve(simulated, "temperature", T=T)
    if bool((abs(kelvin - other) > tolerance * kelvin).any()):
        raise TemperatureError(
            f"the simulation is at {float(other.min()):g} K, the experiment at "
            f"{float(kelvin.min()):g} K",
            fix="harmonic=True exchanges the Bose factors; or raise T_tolerance=",
        )


def _common_factor(simulated: xr.DataArray, measured: Signal, beyond: float) -> float:
    """Fit one factor to the sums over the bins beyond the elastic line.

    Sums, since a bin of one count and σ = 1 would outweigh others in least squares.
    """
    both = simulated.notnull() & measured.value.notnull()
    both &= abs(measured.value["E"]) > beyond
    above, below = (float(x.where(both).sum()) for x in (measured.value, simulated))
    if not (above > 0 and below > 0 and np.isfinite(above / below)):
        raise RangeError(
            "no scale can be fitted: simulation and experiment share no positive "
            "values beyond one FWHM"
        )
    return above / below
