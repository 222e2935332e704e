"""The boson peak of B(Q,E) or B(E), over all remaining dimensions at once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.checks import (
    EDGE_WIDTH,
    FILTER_END,
    SEARCH_BELOW,
    SOUND_BELOW,
    highest_Q,
    longitudinal_below,
)
from xbp.analysis.doubts import add_peak_doubts, name_edges, shape_in_errors
from xbp.analysis.simulated import BOX_LIMITS, Box, BoxLimits
from xbp.analysis.spectra import EXCESS, columns_of, fit_spectra
from xbp.core.common_errors import carries_common_errors, fingerprint, with_common
from xbp.core.conditions import dimension_of
from xbp.core.data import columns, is_lazy, require_dims, unwrap
from xbp.core.errors import QuantityError, RangeError, shown
from xbp.core.grid import select_range
from xbp.core.guards import choose, require_number, require_positive
from xbp.core.history import range_used
from xbp.core.independence import collapsed, independence, std_along
from xbp.core.operation import operation
from xbp.core.signal import map_over, read, result_table
from xbp.core.status import FIT_LABELS, Status, diagnosed
from xbp.core.units import convert_factor
from xbp.fitting.other_shapes import OTHERS
from xbp.fitting.over_bins import halves_of_bins
from xbp.fitting.peak import MISFIT, off_by_shape
from xbp.fitting.shapes import SHAPES, Method
from xbp.models.model import units_by_rule

__all__ = ["SIGNALS", "boson_peak", "fit_peaks"]


SIGNALS = (
    "reduced_dos",
    "excess_dos",
    "generalized_dos",
    "normalized_fluctuation_spectrum",
    "fluctuation_spectrum",
    "local_fluctuation_spectrum",
)


@operation(
    takes=SIGNALS,
    gives="boson_peak",
    over="E",
    step=12,
    suggested=(
        "reduced_dos",
        "excess_dos",
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
    box_phonon: Any = None,
    debye_level: Any = None,
    search_below: Any = SEARCH_BELOW,
    above_box: float = 1.5,
    box_margin: float = 0.15,
    significance: float = 2.0,
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
        the top (bins above 0.8 of the maximum and their neighbours), with the energy
        and the height of a polynomial through them: right for a peak of any shape,
        where a parabola alone is 8 % too high for a log-normal with σ = 0.6, but with
        2.5 times its std, which contains what the bins leave open of the shape;
        ``gaussian``: a Gaussian on a straight background.
    E_range : pair of scalars with units, optional
        Energies to fit. By default the most prominent interior maximum below
        `search_below`,
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
    box_phonon : xarray.Dataset or scalar with units, optional
        For simulated data (``attrs["origin"]`` is "simulation"): the lowest phonon of
        the box (bare: the unit of E), or what `box_phonon` returned, or 0 if no box
        sets one; by default the coordinate ``box_phonon``, which `mark_box_phonon`
        sets.
    debye_level : scalar with units, optional
        Level expected from sound alone (bare: the units of the data): 3/E_D³ for
        g(E)/E², 2/E_D² for g(E)/E of a plane.
    search_below : scalar with units
        Upper limit of the search without `E_range`, and of ``excess_energy`` (bare: the
        unit of E). Boson peaks are at a few meV, and what Raman spectra show above this
        are bands of groups of atoms.
    above_box : float
        Multiple of the lowest phonon of the box, 1 or more, below which a maximum of
        simulated data is its line.
    box_margin : float
        A maximum is that phonon, whatever the data, if it is less than this part above
        it: windows of 10 ps make a line that is some 0.6 meV wide at 2 meV.
    significance : float
        Standard deviations of the differences that decide about simulated data (see
        ``status``).

    Returns
    -------
    xarray.Dataset
        NaN wherever ``status`` is not "ok".

        - ``energy`` of the maximum of the curve, ``height`` there, ``width`` (full
          width at half maximum), each with ``_std``. Of ``gaussian`` they are those of
          the Gaussian above its background, whose centre is not where Gaussian and
          background together are highest.
        - ``E_low``, ``E_high``, ``n_points``: the range fitted.
        - ``chi2_reduced`` where the data have errors, and ``relative_residual``, the
          rms of what the fit leaves of the points over the height, which distinguishes
          a good fit from a poor one without errors; of ``quadratic``, of a quartic.
        - ``modes_below``: which part of the area of E² B (in a plane E B) lies below
          the peak, 0.3 to 0.7 % in the glasses that xbp brings, 15 % or more at the
          van Hove singularity of a crystal. Of B alone, not of Raman scattering; NaN
          where the data end before g(E) does, at 20 % of its largest: that of the
          measured part is larger. Bins ten times the median of the seven about them,
          and means over Q of less than half the interval, are left out.
        - ``excess_energy`` of simulated data: the energy above `above_box` E₁ and E₁ +
          FWHM (see below) where means of three bins are highest. With `debye_level`
          also ``excess``, the ratio of that mean to the level, with ``_std`` (without
          the error of the level), and ``excess_low`` to ``excess_high``, the range
          where the ratio exceeds 1 by `significance` std.
        - ``status``:

          - "no data" (without a range: none below `search_below`), "too few points",
            "no maximum", "fit failed".
          - "maximum at edge", of the range or of the data; a diagnostic names it. Data
            that begin less than `edge_width` below a maximum give it, whatever the
            range.
          - "steep edge", as of a filter near the laser line: a low side that rises from
            0.2 to 0.8 of its height within less than `edge_width`, from a level below
            half of the top or from the first bins, and is more than twice as steep as
            the high side.
          - "longitudinal phonon": see `sq`.
          - "box phonon": in data that `mark_box_phonon` has marked, a maximum less than
            `box_margin` above that phonon. Without `E_range` the peak is searched above
            it, whereas a given range is fitted as it is.
          - of simulated data (``attrs["origin"]``) "ok" is a maximum above `above_box`
            E₁ and E₁ + FWHM, with the lowest phonon of the box E₁ and the coordinate
            ``resolution_fwhm``; a fit to the bins above E₁ alone gives the same energy
            within `significance` std, and it exceeds the level on both sides by as
            many. Otherwise it is a "box phonon" (too low) or "plateau", or "box
            unknown" if E₁, "errors unknown" if the standard deviations are not known.

        About the standard deviations:

        - Where the data have the bounds of their bins, curves are averaged over these.
          Bins are taken as independent, and those that share counts
          (``E_independence``, as after `rebin`) are fitted as the independent bins they
          came from. The error of a bin of a simulated trajectory is at least the
          counting error of its modes.
        - Those of ``lognormal`` also contain how far the three numbers move for other
          shapes: an exponent λ of ((E/E_BP)^λ − 1)/λ in place of the logarithm (1: a
          Gaussian) and a term of fourth order (1/8: a Lorentzian). Both are as the
          points show them; where noise hides them, 0 ± 1.5 and 0 ± 1/4. For a true
          log-normal, the error of the energy is some 2.4 times its scatter. Along Q
          both are as the points of all spectra show them, and common to these: they
          are in ``energy_std_common``, and neither average out in means over Q nor
          scatter from Q to Q.
        - If chance gives such a ``chi2_reduced``, or such a smooth residual, in less
          than one of 40 cases (without errors: compared with the noise, one of 6), they
          include how far the three numbers are from those of the points themselves (the
          maximum of the curve plus a cubic in ln E through its residuals, and where
          that sum falls to half), along Q as one error common to all spectra in
          ``energy_std_common``; above 10 the rest is multiplied by √χ². That of the
          width of ``quadratic``, which lies outside its points, always includes this.

    Raises
    ------
    RangeError
        If `E_range` contains no data, or the data have no dimension E.
    QuantityError
        If the method is unknown, `sq` is not an S(Q), or `edge_width`, `box_margin` or
        `significance` is not a number ≥ 0, or `above_box` not one ≥ 1.

    References
    ----------
    V. K. Malinovsky and A. P. Sokolov, Solid State Commun. 57, 757 (1986),
    doi:10.1016/0038-1098(86)90854-9 (log-normal shape).

    Examples
    --------
    >>> import xbp
    >>> S = xbp.models.dynamic_structure_factor([3, 4, 5], range(1, 20), energy=5.5,
    ...     width=6, T=300, u2=0.01)
    >>> peak = S.bp.to_bqe().bp.cut_Q((3, 5)).bp.boson_peak(E_range=("2 meV", "12 meV"))
    >>> str(peak.status.values), round(float(peak.energy), 1)
    ('ok', 5.5)
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")  # a simulation
    >>> str(glass[["g", "g_std"]].bp.to_bqe().bp.boson_peak().status.values)
    'no maximum'
    """
    return fit_peaks(
        data,
        method,
        E_range,
        sq=sq,
        edge_width=edge_width,
        filter_end=filter_end,
        sound_below=sound_below,
        box_phonon=box_phonon,
        debye_level=debye_level,
        search_below=search_below,
        limits=BoxLimits.of(above_box, box_margin, significance),
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
    box_phonon: Any = None,
    debye_level: Any = None,
    search_below: Any = SEARCH_BELOW,
    limits: BoxLimits = BOX_LIMITS,
) -> xr.Dataset:
    """Do what `boson_peak` does; a range it finds is `reach` times as wide in ln E."""
    choose(method, SHAPES, "method")
    names, further = columns_of(method), SHAPES[method].further
    edge_width = require_number(edge_width, "edge_width", least=0, error=QuantityError)
    signal = read(data, *SIGNALS)
    value, name = signal.value, signal.quantity.name
    require_dims(
        value, "E", "a boson peak", fix="pass B(Q,E), or B(E) of .bp.cut_Q(...)"
    )
    axis = value.coords.variables["E"]
    positive, units = axis.values > 0, axis.attrs["units"]
    in_range = select_range(signal.source, "E", E_range, name="E_range") & positive
    if not in_range.any():
        where = "the data have" if E_range is None else f"E_range={shown(E_range)} has"
        raise RangeError(f"{where} no energies above zero, where the boson peak is")
    E = axis.values.astype(float)[positive]
    to_mev = convert_factor(units, "meV", name="coordinate 'E'", energy=True)
    box = Box.of(value, box_phonon, to_mev)
    highest = require_number(search_below, "search_below", units, above=0, energy=True)
    level = np.nan
    if debye_level is not None:
        level = require_positive(debye_level, "debye_level", signal.units)
    # Light sees C(E) g(E), whose area is not that of the modes, through filters.
    if is_light := value.attrs.get("probe") == "light":
        wanted: Any = {"least": 0, "energy": True}
        filter_end = require_number(filter_end, "filter_end", units, **wanted)
    at_Q = highest_Q(signal)
    below, doubts = longitudinal_below(signal, sq, at_Q, sound_below)
    sound = False if below is None or at_Q is None else (at_Q < below).variable
    std, f = None, independence(value, "E")
    if signal.std is not None:
        std = std_along(signal.std, "E").variable.isel(E=positive)
    with_modes = name == "reduced_dos" and "probe" not in value.attrs
    covered: Any = 1.0
    half = halves_of_bins(signal.source, "E")[positive]
    if isinstance(signal.source, xr.Dataset) and "coverage" in signal.source:
        coverage = signal.source.variables["coverage"]
        if set(coverage.dims) <= set(value.dims):
            covered = coverage.isel(E=positive, missing_dims="ignore")
    numbers, status, excess = map_over(
        fit_spectra,
        value.variable.isel(E=positive),
        np.nan if std is None else std,
        box.phonon,
        sound,
        1.0 if f is None else f.isel(E=positive),
        covered,
        box.fwhm,
        box.n_modes,
        dims="E",
        gives=[["_number"], [], ["_excess"]],
        dtypes=[float, "<U19", float],
        sizes={"_number": len(names), "_excess": len(EXCESS)},
        simulated=box.simulated,
        dimension=dimension_of(value),
        area=box.area,
        level=level,
        E=E,
        half=half,
        inside=in_range[positive],
        method=method,
        highest=highest,
        chosen_range=E_range is not None,
        limits=limits,
        reach=reach,
        edge_width=edge_width if name == "reduced_dos" else 0.0,
        filter_end=filter_end if is_light else 0.0,
    )
    labels = {
        "energy": (units, FIT_LABELS["energy"]),
        "height": (signal.units, "height of the boson peak"),
        "width": (units, "full width at half maximum of the boson peak"),
        "chi2_reduced": ("1", FIT_LABELS["chi2_reduced"]),
        "relative_residual": ("1", "rms residual of the fit over the height"),
        "E_low": (units, FIT_LABELS["E_low"]),
        "E_high": (units, FIT_LABELS["E_high"]),
        "n_points": ("1", "number of bins fitted"),
        "modes_below": ("1", FIT_LABELS["modes_below"]),
    }
    own_units = units_by_rule(
        {n: c.rule for n, c in further.items()}, units, signal.units
    )
    labels |= {n: (own_units[n], column.label) for n, column in further.items()}
    # Without known errors χ² has no scale to be judged by.
    left_out = {*(f"{name}_off" for name in MISFIT), *OTHERS, "edge", "edge_energy"}
    left_out |= {"chi2_reduced"} if std is None else set()
    left_out |= set() if with_modes else {"modes_below"}
    variables: dict[str, tuple[Any, str, str]] = {}
    for column, array in zip(names, columns(numbers), strict=True):
        column = {"low": "E_low", "high": "E_high"}.get(column, column)
        if column not in left_out:
            variables[column] = (array, *labels.get(column, ("", "")))
    if box.simulated or debye_level is not None:
        known = EXCESS if debye_level is not None else EXCESS[:1]
        for (column, own, text), array in zip(known, columns(excess), strict=False):
            label = ("", "") if not text else (own or units, text)
            variables[column] = (array, *label)
    variables["status"] = (status, "", FIT_LABELS["status"])
    low, high = (variables[f"E_{end}"][0] for end in ("low", "high"))
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="boson_peak",
        operation="boson_peak",
        arguments={
            "method": method,
            **range_used("E_range", E_range, low, high, str(units)),
            **({} if edge_width == EDGE_WIDTH else {"edge_width": edge_width}),
            **({} if search_below == SEARCH_BELOW else {"search_below": search_below}),
            **({} if limits == BOX_LIMITS else asdict(limits)),
        },
        attrs={"method": method, "signal": name, **diagnosed(value.attrs, *doubts)},
        coords=dict(collapsed(value, "E").items()),
    )
    plain, rewrap = unwrap(add_peak_doubts(answer))
    at = numbers[..., names.index("edge") :]
    edges = name_edges(status, at.data, value, chosen=E_range is not None)
    plain.attrs |= diagnosed(plain.attrs, *edges)
    plain = _with_shapes(plain, numbers, value, method, modes=box.n_modes)
    table: xr.Dataset = rewrap(plain)
    return table


def _with_shapes(
    table: xr.Dataset,
    numbers: xr.Variable,
    value: xr.DataArray,
    method: Method,
    *,
    modes: Any,
) -> xr.Dataset:
    """Put into a table of peaks how far the shape may have moved them.

    Along Q one shape misses all spectra in like manner, of which all of them tell.
    """
    along = ["Q"] if "Q" in value.dims else []
    at, part = "", None
    if along:
        at, part = fingerprint("", value), independence(table["energy"], "Q")
        if np.any(modes > 0):  # all spectra show the same modes
            ok = table.variables["status"] == Status.OK
            part = ok / ok.sum("Q")
    labels = [f"{one} of {method}{at}" for one in ("misfit", *SHAPES[method].orders)]
    off = map_over(
        off_by_shape,
        numbers,
        1.0 if part is None else part,
        dims=(*along, "_number"),
        gives=[[*along, "_value", "_off"]],
        sizes={"_value": len(MISFIT), "_off": len(labels)},
        method=method,
        pooled=bool(along),
    ).transpose(*table["status"].dims, ...)
    squares = columns((off**2).sum("_off"))
    errors: dict[str, tuple[xr.Variable, dict[str, xr.Variable]]] = {}
    whole = {}
    for i, name in enumerate(MISFIT):
        own, parts = table.variables[f"{name}_std"], columns(off.isel(_value=i))
        whole[f"{name}_std"] = own.copy(data=(own.data**2 + squares[i].data) ** 0.5)
        felt = {
            label: one
            for label, one in zip(labels, parts, strict=True)
            if is_lazy(one) or one.data.any()
        }
        errors |= {name: (own, felt)} if felt else {}
    table = with_common(table, errors) if along else table.assign(whole)
    shift, std = squares[0].data ** 0.5, table["energy_std"]
    doubts = shape_in_errors(table["status"], shift, std, method)
    table.attrs |= diagnosed(table.attrs, *doubts)
    return table
