"""Whether two signals may be combined: measured in the same way, not twice the same."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xbp.core.common_errors import fingerprint
from xbp.core.conditions import dimension_of
from xbp.core.data import is_lazy, require_common_dims, require_dims
from xbp.core.errors import QuantityError, XbpError, shown
from xbp.core.grid import interpolate
from xbp.core.numbers import percent
from xbp.core.schema import COORDINATES
from xbp.core.signal import Signal
from xbp.core.status import Diagnostic
from xbp.core.units import convert_factor
from xbp.reduction.sample import SAMPLE_LABELS, numbers_of, sample_labels

__all__ = [
    "SUBTRACTED",
    "all_subtracted",
    "another_sample",
    "is_the_same",
    "measured",
    "off_scale",
    "other_conditions",
    "oversubtracted",
    "require_comparable",
    "structure_factor_at",
    "wrong_limit",
]

#: The attribute with the names of measurements whose errors are in a difference.
SUBTRACTED = "subtracted"
#: The attribute with the name of the measurement that was cut or rebinned, and that of
#: the numbers this gave: others, put in their place, are not of that measurement.
MEASUREMENT = "measurement"


def require_comparable(data: xr.DataArray, other: xr.DataArray, what: str) -> None:
    """Refuse two signals that were measured or reduced in different ways."""
    if (found := dimension_of(other)) != dimension_of(data):
        raise QuantityError(f"{what} is {found}-dimensional, the data are not")
    for key in ("statistics", "convention", "ki_over_kf", "geometry"):
        mine, its = (x.attrs.get(key) for x in (data, other))
        if mine is not None and its is not None and mine != its:
            raise QuantityError(
                f"{what} has {key} {its!r}, the data {mine!r}",
                fix="reduce both in the same way",
            )


def structure_factor_at(signal: Signal, sq: Signal) -> xr.DataArray:
    """Return S(Q), a pure number, at the Q of the data; NaN where it is unknown."""
    require_dims(sq.value, "Q", "S(Q)")
    require_common_dims(sq.value, signal.value, "sq")
    Q = signal.value["Q"]
    per_q = convert_factor(
        Q.attrs["units"], sq.value["Q"].attrs["units"], name="coordinate 'Q'"
    )
    known, _ = interpolate(sq.value, None, "Q", Q.values * per_q)
    return known * convert_factor(sq.units, "1", name="S(Q)")


def all_subtracted(signal: Signal, background: Signal, factor: xr.Variable) -> str:
    """Return what has been subtracted, this background too, or raise an error.

    Errors of one measurement that enters twice add as they are, not as squares. In a
    difference those of what both share cancel: there the error is not too small.
    """
    own, its = (
        {str(name) for name in str(one.value.attrs.get(SUBTRACTED, "")).split()}
        for one in (signal, background)
    )
    this = _measurement(background.value)
    if _apart(signal, background):
        this = _name(background.value)
    if this in own or (own & its and bool((factor < 0).any())):
        raise QuantityError(
            "this background, or one that both share, was subtracted already",
            fix="subtract it once, with the sum of both scale=, or drop its errors",
        )
    return " ".join(sorted({*own, *its, this}))


def measured(signal: Signal, value: xr.DataArray | xr.Variable) -> dict[str, str]:
    """Return the attribute by which new values of a signal are known as its own."""
    if signal.std is None:
        return {}
    return {MEASUREMENT: f"{_measurement(signal.value)} {_name(value)}"}


def _measurement(value: xr.DataArray) -> str:
    """Return the name of the measured quantity, also for cuts and rebins of it."""
    first, _, numbers = str(value.attrs.get(MEASUREMENT, "")).partition(" ")
    own = _name(value)
    return first if numbers == own else own


def _name(value: xr.DataArray | xr.Variable) -> str:
    return fingerprint("background", value).split()[-1]


def _apart(signal: Signal, other: Signal) -> bool:
    """Return whether two signals are means over intervals that share nothing."""
    for name in ("Q", "E"):
        own, its = _place(signal, name), _place(other, name)
        if own is None or its is None:
            continue
        low, high = max(own[0][0], its[0][0]), min(own[0][1], its[0][1])
        if low > high or (low == high and own[0].tolist() != its[0].tolist()):
            return True
    return False


def is_the_same(signal: Signal, other: Signal) -> bool:
    """Return whether two signals are the same numbers, with the same errors."""
    pairs = (signal.value, other.value), (signal.std, other.std)
    return all(
        mine is None or its is None or _name(mine) == _name(its) for mine, its in pairs
    )


def other_conditions(signal: Signal, background: Signal) -> list[Diagnostic]:
    """Return a diagnostic if the background was measured or cut elsewhere."""
    places = []
    for name in ("Q", "E", "two_theta", "temperature", "incident_energy"):
        own, its = _place(signal, name), _place(background, name)
        if own is None or its is None or np.allclose(own[0], its[0], rtol=0.01):
            continue
        ours, theirs = (
            " to ".join(f"{end:.4g}" for end in dict.fromkeys(ends))
            for ends in (own[0], its[0])
        )
        places.append(f"{name} {theirs} {own[1]}, the data {ours}")
    text = f"the background has {'; '.join(places)}"
    return [Diagnostic("background_elsewhere", "warning", text)] if places else []


def oversubtracted(
    signal: Signal,
    difference: xr.Variable,
    variance: xr.Variable | None,
    most: float,
) -> list[Diagnostic]:
    """Return a diagnostic if a difference is negative beyond its errors.

    Parameters
    ----------
    signal : Signal
        The data before; if they are negative beyond their errors too, there is none.
    difference, variance : xarray.Variable
        What is left, and the square of its error. Without one, the mean of the data is
        compared with that of the difference.
    most : float
        Share of the bins that may be negative by more than three std.
    """
    before, after = signal.value.variable, difference.transpose(*signal.value.dims)
    if is_lazy(before) or is_lazy(after):
        return []
    if variance is None or signal.std is None:
        if not np.nanmean(before.values) > 0 > np.nanmean(after.values):
            return []
        text = "the mean of the difference is negative"
    else:
        stds = signal.std.variable, variance**0.5
        was, share = (
            _share_below(one.values, std.transpose(*one.dims).values)
            for one, std in zip((before, after), stds, strict=True)
        )
        if was > most or not share > most:
            return []
        text = (
            f"{percent(share)} of the bins are negative by more than three standard "
            "deviations"
        )
    return [
        Diagnostic(
            "oversubtracted",
            "warning",
            f"{text}: too much may have been subtracted",
            "use a smaller scale=, or mask those bins, unless another sample was "
            "subtracted",
        )
    ]


def _share_below(value: np.ndarray, std: np.ndarray) -> float:
    """Return the share of bins more than three standard deviations below zero."""
    known = np.isfinite(value) & (std > 0)
    return float((value < -3 * std)[known].mean()) if known.any() else 0.0


def _place(signal: Signal, name: str) -> tuple[np.ndarray, str] | None:
    """Return both limits of a scalar coordinate, or itself twice, and its unit."""
    axis, bounds = signal.value.coords.get(name), f"{name}_bnds"
    if axis is None or axis.ndim or not isinstance(axis.attrs.get("units"), str):
        return None
    ends = np.full(2, float(axis))
    if isinstance(signal.source, xr.Dataset) and bounds in signal.source.variables:
        ends = signal.source.variables[bounds].values.astype(float)
    units = COORDINATES[name][0]
    factor = convert_factor(axis.attrs["units"], units, name=name, energy=name == "E")
    return (ends * factor, units) if ends.shape == (2,) else None


def another_sample(signal: Signal, sq: Signal) -> str | None:
    """Return a sentence if S(Q) is of another sample than the data; else None.

    Compositions decide if both have one, then the names of the samples, then the files.
    """
    ours, theirs = sample_labels(signal), sample_labels(sq)
    for name in SAMPLE_LABELS:
        if name not in ours or name not in theirs:
            continue
        left, right = shown(str(theirs[name])), shown(str(ours[name]))
        if name == "composition":
            if _same_parts(str(theirs[name]), str(ours[name])):
                return None
        elif theirs[name] == ours[name]:
            return None
        what = name if name in ("composition", "source") else "sample"
        return f"the {what} of S(Q) is {left}, that of the data {right}"
    return None


def _same_parts(left: str, right: str) -> bool:
    """Return whether two compositions agree, to 0.01 in the part of each element."""

    def parts(text: str) -> dict[str, float]:
        try:
            numbers = numbers_of(text)
        except XbpError:  # not a formula but a name
            return {text: 1.0}
        return {s: number / sum(numbers.values()) for s, number in numbers.items()}

    a, b = parts(left), parts(right)
    return all(abs(a.get(s, 0.0) - b.get(s, 0.0)) < 0.01 for s in {*a, *b})


def off_scale(sq: xr.DataArray) -> str | None:
    """Return a sentence if what is called S(Q) does not tend to 1.

    It tends to 0, as F(Q) does, or is on an arbitrary scale.

    Examples
    --------
    >>> Sq = xr.DataArray(np.linspace(0.0, 8.0, 20), dims="Q", attrs={"units": "1"})
    >>> off_scale(Sq)[:45]
    'S(Q) is 6.1 on average over its upper half, a'
    >>> off_scale(Sq / 6) is None
    True
    """
    level = wrong_limit(sq)
    if level is None:
        return None
    start = f"S(Q) is {level:.2g} on average over its upper half, "
    if abs(level) <= 0.2 and float(sq.min()) < 0:
        return f"{start}and negative elsewhere, as F(Q) = S(Q) - 1 is"
    return f"{start}and does not tend to 1: its scale is arbitrary"


@np.errstate(over="ignore", invalid="ignore")  # a mean that overflows is of no scale
def wrong_limit(
    sq: xr.DataArray, limits: tuple[float, float] = (0.6, 1.6)
) -> float | None:
    """Return the mean of S(Q) over its upper half if it is outside `limits`.

    None also if it is not known: for dask, or fewer than ten points.
    """
    if is_lazy(sq) or sq.sizes.get("Q", 0) < 10:
        return None
    upper = sq.variable.isel(Q=slice(sq.sizes["Q"] // 2, None)).values
    known = upper[~np.isnan(upper)]
    level = float(known.mean() if known.size else np.nan) * convert_factor(
        sq.attrs["units"], "1"
    )
    inside = limits[0] < level < limits[1]
    return None if inside or not np.isfinite(level) else level
