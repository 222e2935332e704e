"""The boson peak of B(Q,E) or B(E), over any leftover dimensions at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.doubts import add_peak_doubts
from xbp.analysis.edges import EDGE_WIDTH, FILTER_END, judge_sides
from xbp.analysis.first_maximum import first_maximum
from xbp.core.common_errors import carries_common_errors
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import range_used, select_range
from xbp.core.guards import choose, require_number
from xbp.core.independence import collapsed, independence, std_along, times_held
from xbp.core.operation import operation
from xbp.core.schema import quantity_name, require_units
from xbp.core.signal import Signal, read, result_table
from xbp.core.status import (
    BOX_PHONON,
    LONGITUDINAL,
    NO_DATA,
    NO_MAXIMUM,
    OK,
    STATUSES,
    TOO_FEW,
)
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.fitting.peak import Method, PeakFit, fit_peak
from xbp.fitting.search import peak_range

__all__ = ["boson_peak", "fit_peaks"]

# A maximum less than this part above the first transverse phonon of a simulated box is
# that phonon, or below all phonons: windows of 10 ps make a line that is some 0.6 meV
# wide at 2 meV.
_NEAR = 0.15

# Where no range is given, in meV: boson peaks lie at a few, and what Raman spectra show
# above this are bands of groups of atoms.
_HIGHEST = 30.0

# Which part of its way down each side of the peak is fitted, where no range is given: a
# parabola is the top's only, and on a side that falls little half the way leads far
# from it; of a Gaussian on a background both are to be told.
_DEPTH = {"lognormal": 0.5, "gaussian": 0.8, "quadratic": 0.25}

# Where g(E) ends above this part of its largest, the data do not hold all modes, and no
# part of them can be told.
_ENDED = 0.2
# Means over Q of less than this part of the interval are of its corner alone, where a
# detector ends; and a bin is no phonon's that is this many times the median of itself
# and the six nearest, of which three may be such.
_COVERED, _OUTLYING, _NEAREST = 0.5, 10.0, 7

#: Default of `sound_below`.
SOUND_BELOW = "2 1/angstrom"

_SIGNALS = (
    "reduced_dos",
    "generalized_dos",
    "normalized_fluctuation_spectrum",
    "fluctuation_spectrum",
    "local_fluctuation_spectrum",
)
#: Of each shape.
_N_PARAMETERS = {"lognormal": 3, "quadratic": 3, "gaussian": 5}
# Of these, what is seen at small Q is the longitudinal phonon.
_OF_DENSITY = ("reduced_dos", "generalized_dos")
_NUMBERS = (
    "energy", "energy_std", "height", "height_std", "width", "width_std", "chi2_reduced",
    "relative_residual", "background", "background_slope", "low", "high", "n_points",
)  # fmt: skip


@operation(
    takes=(
        "reduced_dos",
        "generalized_dos",
        "normalized_fluctuation_spectrum",
        "fluctuation_spectrum",
        "local_fluctuation_spectrum",
    ),
    gives="boson_peak",
    over="E",
    step=12,
    suggested=(
        "reduced_dos",
        "normalized_fluctuation_spectrum",
        "local_fluctuation_spectrum",
    ),
)
@carries_common_errors()
def boson_peak(
    data: xr.DataArray | xr.Dataset,
    method: Method = "lognormal",
    E_range: Any = None,
    *,
    sq: xr.DataArray | xr.Dataset | None = None,
    edge_width: float = EDGE_WIDTH,
    filter_end: Any = FILTER_END,
    sound_below: Any = SOUND_BELOW,
) -> xr.Dataset:
    r"""Find position, height and width of the boson peak.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        B(Q,E) or B(E) (or G, or Ω, φ or χ of a local field, to find a maximum in it);
        one fit for every combination of the dimensions other than E. A Dataset's std
        weighs the points and sets the scale of the errors; without one, the scatter
        about the fit sets it.
    method : {"lognormal", "quadratic", "gaussian"}
        ``lognormal``: height · exp(−ln²(E/E_BP)/2σ²); ``quadratic``: a parabola through
        the top (bins above 0.8 of the maximum and their neighbours), some 8 % too high
        for a log-normal with σ = 0.6; its std includes the difference from a parabola
        in ln E, as far as the points prefer that; ``gaussian``: a Gaussian on a
        straight background.
    E_range : pair of scalars with units, optional
        Energies to fit. By default the most prominent interior maximum below 30 meV,
        half way down both its sides (of ``quadratic`` a quarter of the way, of
        ``gaussian`` four fifths, so that its background is seen), found in each
        spectrum. The result depends on this range, and on the shape if it does not
        match that of the peak: quote both with every value. `scan_boson_peak`
        quantifies this.
    sq : xarray.DataArray or xarray.Dataset, optional
        S(Q), for B(Q,E) and G(Q,E), and cuts of them: below half of its first maximum a
        spectrum shows the longitudinal phonon (a cut over an interval where all of it
        lies below). By default the S(Q) in the data; without one this is not checked,
        and a diagnostic reports it.
    edge_width : float
        Least extent in ln E of the low side of a peak of B (see ``status``); 0 turns
        these checks off.
    filter_end : scalar with units
        Raman spectra: energy up to which a notch or edge filter may reach (bare: the
        unit of E). Below it the low side must extend over three times `edge_width`.
    sound_below : scalar with units
        Without S(Q), the diagnostic concerns spectra at Q below this (bare: the unit of
        Q), a cut by its upper limit. The first maximum of no solid is above twice it:
        atoms would be less than 2 angstrom apart.

    Returns
    -------
    xarray.Dataset
        ``energy`` of the maximum of the curve, ``height`` there, ``width`` (full width
        at half maximum), each with ``_std``. Of ``gaussian`` they are those of the
        Gaussian above its background, whose centre is not where Gaussian and background
        together are highest. ``chi2_reduced`` where the data have errors;
        ``relative_residual``, the rms of what the fit leaves of the points over the
        height, which tells a good fit from a poor one where they have none;
        ``modes_below``, which part of the area of E² B, as of g(E), lies below the
        peak: 0.3 to 0.7 % in the glasses that xbp brings, 15 % or more at the van Hove
        singularity of a crystal (of B alone, not of Raman scattering; NaN where the
        data end before g(E) does, at 20 % of its largest: the part of what was measured
        is more than that of all modes. Bins ten times the median of the seven about
        them, and means over Q of less than half the interval, are left out); the range
        fitted, ``E_low``, ``E_high``, ``n_points``; ``status``, which is "ok", "no
        data", "too few points", "no maximum", "maximum at edge", "fit failed", "box
        phonon", "steep edge" or "longitudinal phonon", with values NaN wherever it is
        not "ok"; without a range, "no data" means none below 30 meV. A "steep edge", as
        caused by filters near the laser line, is a low side that rises from 0.2 to 0.8
        of its height within less than `edge_width`, from a level below half of the top
        or from the first bins, and is more than twice as steep as the high side. Data
        that begin less than `edge_width` below a maximum give "maximum at edge",
        whatever the fit range. In data that `mark_box_phonon` has marked, a maximum
        that is not 15 % above that phonon is not reported as the boson peak; without
        `E_range` the peak is searched above that phonon, whereas a given range is
        fitted as it is. Bins are taken as independent, and those that share counts
        (``E_independence``, as after `rebin`) as fractions of an independent bin. If
        ``chi2_reduced`` is well above 1, the peak does not have the fitted shape, and
        the result depends more on the range than on the std.

    Raises
    ------
    RangeError
        If `E_range` holds no data, or the data have no dimension E.
    QuantityError
        If the method is unknown, `sq` is not an S(Q), or `edge_width` is not a number ≥
        0.

    References
    ----------
    V. K. Malinovsky and A. P. Sokolov, Solid State Commun. 57, 757 (1986),
    doi:10.1016/0038-1098(86)90854-9 (log-normal shape).

    Examples
    --------
    >>> import xbp
    >>> B = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> peak = B.bp.cut_Q(("2.1 1/angstrom", "8.5 1/angstrom")).bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    >>> str(peak.status.values), round(float(peak.energy), 1)
    ('ok', 2.3)
    """
    return fit_peaks(
        data,
        method,
        E_range,
        sq=sq,
        edge_width=edge_width,
        filter_end=filter_end,
        sound_below=sound_below,
    )


def fit_peaks(
    data: xr.DataArray | xr.Dataset,
    method: Method,
    E_range: Any,
    reach: float = 1.0,
    *,
    sq: xr.DataArray | xr.Dataset | None = None,
    edge_width: float = EDGE_WIDTH,
    filter_end: Any = FILTER_END,
    sound_below: Any = SOUND_BELOW,
) -> xr.Dataset:
    """Do what `boson_peak` says, over `reach` times the range it finds where none is given (in ln E)."""
    choose(method, Method, "method")
    edge_width = require_number(edge_width, "edge_width", least=0, error=QuantityError)
    signal = read(data, *_SIGNALS)
    value = signal.value
    if "E" not in value.dims:
        raise RangeError(
            f"'{value.name}' has no dimension 'E' (it has {tuple(value.dims)})",
            reason="a peak is sought along E",
            fix="pass B(Q,E), or B(E) from .bp.cut_Q(...)",
        )
    positive = value["E"].values > 0
    in_range = select_range(signal.source, "E", E_range, name="E_range") & positive
    if not in_range.any():
        raise RangeError(
            f"E_range={E_range!r} holds no energy above zero",
            reason="the boson peak is sought on the side of energy loss",
            fix="give positive energies",
        )
    E = value["E"].values.astype(float)[positive]
    box: Any = 0.0
    if "box_phonon" in value.coords:
        mark = value.coords["box_phonon"]
        units = require_units(mark, "coordinate 'box_phonon'", "meV")
        # Of a series of boxes each has its own.
        box = mark.fillna(0.0) * convert_factor(
            units, value["E"].attrs["units"], name="'box_phonon'", energy=True
        )
    # Counts and single precision are fitted as any other numbers.
    independent = None if signal.std is None else std_along(signal.std, "E")
    spectra = value.isel(E=positive).astype(float)
    stds = None if independent is None else independent.isel(E=positive).astype(float)
    has_std = stds is not None
    to_mev = convert_factor(
        value["E"].attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    highest = None if E_range is not None else _HIGHEST / to_mev
    # Light sees C(E) g(E), whose area is not that of the modes, through filters.
    is_light = value.attrs.get("probe") == "light"
    at_Q = _highest_Q(signal)
    below, doubts = _longitudinal_below(signal, sq, at_Q, sound_below)
    numbers, code = xr.apply_ufunc(
        _fit_one,
        spectra,
        stds if has_std else np.nan,
        box,
        False if below is None or at_Q is None else at_Q < below,
        kwargs={
            "E": E,
            "inside": in_range[positive],
            "method": method,
            "highest": highest,
            "reach": reach,
            "edge_width": edge_width if signal.quantity.name == "reduced_dos" else 0.0,
            "filter_end": require_number(
                filter_end,
                "filter_end",
                value["E"].attrs["units"],
                least=0,
                energy=True,
            )
            if is_light
            else 0.0,
        },
        input_core_dims=[["E"], ["E"] if has_std else [], [], []],
        output_core_dims=[["_number"], []],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float, int],
        dask_gufunc_kwargs={
            "output_sizes": {"_number": len(_NUMBERS)},
            "allow_rechunk": True,
        },
    )
    numbers, code = _of_independent_bins(
        spectra, stds, numbers, code, _N_PARAMETERS[method]
    )
    shared = collapsed(spectra, "E")
    numbers = numbers.assign_coords(shared) if shared else numbers
    status = xr.apply_ufunc(
        lambda codes: np.array(STATUSES)[codes],
        code,
        dask="parallelized",
        output_dtypes=["<U19"],
    )
    units = value["E"].attrs["units"]
    slope_units = format_unit(parse_unit(signal.units) / parse_unit(units))
    labels = {
        "energy": (units, "energy of the boson peak"),
        "height": (signal.units, "height of the boson peak"),
        "width": (units, "full width at half maximum of the boson peak"),
        "chi2_reduced": ("1", "reduced chi-squared of the fit"),
        "relative_residual": ("1", "rms residual of the fit over the height"),
        "background": (signal.units, "background at E = 0"),
        "background_slope": (slope_units, "slope of the background"),
        "low": (units, "lowest energy fitted"),
        "high": (units, "highest energy fitted"),
        "n_points": ("1", "number of bins fitted"),
    }
    variables: dict[str, tuple[Any, str, str]] = {}
    for i, name in enumerate(_NUMBERS):
        if name.startswith("background") and method != "gaussian":
            continue
        base = name.removesuffix("_std")
        unit, label = labels[base]
        label = label if base == name else f"standard deviation of {label}"
        variables[{"low": "E_low", "high": "E_high"}.get(name, name)] = (
            numbers.isel(_number=i, drop=True),
            unit,
            label,
        )
    if not has_std:
        # Without known errors χ² has no scale to be judged by.
        del variables["chi2_reduced"]
    if signal.quantity.name == "reduced_dos" and not is_light:
        coverage = (
            signal.source.get("coverage")
            if isinstance(signal.source, xr.Dataset)
            else None
        )
        below = _modes_below(value, coverage, variables["energy"][0])
        variables["modes_below"] = (
            below,
            "1",
            "part of the area of E² B below the peak",
        )
    variables["status"] = (status, "", "whether the fit can be used")
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="boson_peak",
        operation="boson_peak",
        arguments={
            "method": method,
            **range_used(
                "E_range",
                E_range,
                variables["E_low"][0],
                variables["E_high"][0],
                str(units),
            ),
            **({} if edge_width == EDGE_WIDTH else {"edge_width": edge_width}),
        },
        attrs={
            "method": method,
            "signal": signal.quantity.name,
            **diagnosed(value.attrs, *doubts),
        },
    )
    return add_peak_doubts(answer)


def _of_independent_bins(
    spectra: xr.DataArray,
    stds: xr.DataArray | None,
    numbers: xr.DataArray,
    code: xr.DataArray,
    n_parameters: int,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Count independent bins in χ², and in errors that come of the scatter, where bins share what was measured."""
    f = independence(spectra, "E")
    if f is None:
        return numbers, code
    column = {
        name: numbers.isel(_number=i, drop=True) for i, name in enumerate(_NUMBERS)
    }
    used = (
        spectra.notnull()
        & (spectra["E"] >= column["low"])
        & (spectra["E"] <= column["high"])
    )
    if stds is not None:
        used &= stds.notnull()
    factor, enough = times_held(f, used, "E", n_parameters)
    column["chi2_reduced"] = column["chi2_reduced"] * factor
    if stds is None:
        column |= {
            name: column[name] * factor**0.5 for name in column if name.endswith("_std")
        }
    found = xr.concat([column[name] for name in _NUMBERS], "_number").transpose(
        *numbers.dims
    )
    refused = (code == STATUSES.index(OK)) & ~enough
    kept = xr.DataArray(
        [name in ("low", "high", "n_points") for name in _NUMBERS], dims="_number"
    )
    return found.where(~refused | kept), code.where(
        ~refused, STATUSES.index(TOO_FEW)
    ).astype(code.dtype)


def _highest_Q(signal: Signal) -> xr.DataArray | None:
    """Return Q of each spectrum of B(Q,E) or G(Q,E), of a cut over an interval its upper limit."""
    value = signal.value
    if (
        signal.quantity.name not in _OF_DENSITY
        or "Q" not in value.coords
        or "units" not in value["Q"].attrs
    ):
        return None
    Q: xr.DataArray = value["Q"].drop_vars(
        [name for name in value["Q"].coords if name not in value["Q"].dims]
    )
    if "Q" in Q.dims:
        return Q  # a bin of a map is where its centre is
    bounds = (
        signal.source.get("Q_bnds") if isinstance(signal.source, xr.Dataset) else None
    )
    if bounds is not None and set(bounds.dims) == {*Q.dims, "bnds"}:
        return Q.copy(data=bounds.max("bnds").transpose(*Q.dims).data)
    return Q


def _longitudinal_below(
    signal: Signal, sq: Any, at_Q: xr.DataArray | None, sound_below: Any
) -> tuple[xr.DataArray | None, list[Diagnostic]]:
    """Return half the Q of the first maximum of S(Q), or a doubt where it is unknown."""
    if at_Q is None:
        return None, []
    units = signal.value["Q"].attrs["units"]
    limit = require_number(sound_below, "sound_below", units, least=0)
    given = _carried(signal.source) if sq is None else sq
    if given is not None:
        place = first_maximum(given, units)
        # Of one that dask has not computed this is not known yet; below NaN there is
        # nothing.
        if place.chunks is not None or bool(place.notnull().any()):
            return place / 2, []
    if float(at_Q.min()) > limit:
        return None, []
    why = (
        "the data have no S(Q)"
        if given is None
        else "S(Q) does not include its first maximum"
    )
    return None, [
        Diagnostic(
            "longitudinal_phonon_unchecked",
            "info",
            f"{why}: at small Q the longitudinal phonon cannot be distinguished from "
            "the boson peak",
            "boson_peak(sq=...), with an S(Q) that includes its first maximum",
        )
    ]


def _carried(source: xr.DataArray | xr.Dataset) -> xr.DataArray | None:
    """Return the S(Q) that stands beside the signal in a Dataset."""
    if not isinstance(source, xr.Dataset):
        return None
    found = [
        variable
        for name, variable in source.data_vars.items()
        if quantity_name(variable) == "static_structure_factor"
        and not str(name).endswith("_std")
        and "Q" in variable.dims
    ]
    return found[0] if len(found) == 1 else None


def _modes_below(
    B: xr.DataArray, coverage: xr.DataArray | None, energy: xr.DataArray
) -> xr.DataArray:
    """Return which part of all modes lies below the peak, where the data hold them all."""
    if coverage is not None and set(coverage.dims) <= set(B.dims):
        B = B.where(coverage >= _COVERED)
    below: xr.DataArray = xr.apply_ufunc(
        _part_below,
        B,
        energy,
        kwargs={"E": B["E"].values.astype(float)},
        input_core_dims=[["E"], []],
        vectorize=True,
        dask="parallelized",
        output_dtypes=[float],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return below


def _part_below(B: np.ndarray, energy: float, *, E: np.ndarray) -> float:
    """Return the part of the area of E² B below an energy.

    NaN where E² B has not ended within the data.

    What was measured is then a part of the modes: the part of it below the peak is more
    than that of all modes, and tells nothing of a crystal.
    """
    usable = np.isfinite(B) & (E > 0)
    if usable.sum() < _NEAREST or not np.isfinite(energy):
        return np.nan
    x = E[usable]
    g = x**2 * B[usable]
    first = np.clip(np.arange(x.size) - _NEAREST // 2, 0, x.size - _NEAREST)
    usual = np.median(np.lib.stride_tricks.sliding_window_view(g, _NEAREST), axis=-1)[
        first
    ]
    # About zero, beyond all phonons, noise is many times its median, and does no harm.
    kept = np.abs(g) <= np.maximum(_OUTLYING * np.abs(usual), _ENDED * usual.max())
    if kept.sum() < _NEAREST:
        return np.nan
    x, g = x[kept], g[kept]
    if not g[-3:].mean() < _ENDED * g.max():
        return np.nan
    modes = g * np.gradient(x)
    return float(modes[x <= energy].sum() / modes.sum())


def _fit_one(
    B: np.ndarray,
    std: np.ndarray,
    box: float,
    sound: bool,
    *,
    E: np.ndarray,
    inside: np.ndarray,
    method: Method,
    highest: float | None,
    reach: float,
    edge_width: float,
    filter_end: float,
) -> tuple[np.ndarray, int]:
    known = std if std.ndim else None
    fit: PeakFit
    if not np.isfinite(B[inside]).any():
        fit = PeakFit(NO_DATA)
    elif highest is not None:
        sought = inside & (box * (1 + _NEAR) <= E) & (highest >= E)
        limits = peak_range(
            E[sought],
            B[sought],
            None if known is None else known[sought],
            _DEPTH[method],
        )
        if limits is None:
            fit = PeakFit(NO_MAXIMUM if np.isfinite(B[sought]).any() else NO_DATA)
        else:
            further = (limits[1] / limits[0]) ** ((reach - 1) / 2)
            part = sought & (limits[0] / further <= E) & (limits[1] * further >= E)
            fit = fit_peak(
                E[part], B[part], None if known is None else known[part], method
            )
    else:
        fit = fit_peak(
            E[inside], B[inside], None if known is None else known[inside], method
        )
    status = fit.status
    if status == OK and fit.energy < (1 + _NEAR) * box:
        status = BOX_PHONON
    if status == OK:
        status = judge_sides(
            E, B, known, fit.energy, fit.low, fit.high, edge_width, filter_end
        )
    if status == OK and sound:
        status = LONGITUDINAL
    if status != fit.status:
        fit = PeakFit(status, low=fit.low, high=fit.high, n_points=fit.n_points)
    assert fit.status == OK or np.isnan(fit.energy)
    return np.array([float(getattr(fit, name)) for name in _NUMBERS]), STATUSES.index(
        fit.status
    )
