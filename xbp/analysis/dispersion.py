"""How energies depend on Q: of the boson peak, and of phonons at small Q."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.analysis.phonons import Window
from xbp.core import constants
from xbp.core.common_errors import (
    SOURCE,
    carries_common_errors,
    errors_apart,
    with_common,
)
from xbp.core.conditions import dimension_of
from xbp.core.data import is_lazy, require_dims, require_over, unwrap
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import select_range
from xbp.core.guards import require_fraction, require_positive
from xbp.core.independence import contrast_independence, independence
from xbp.core.operation import operation
from xbp.core.signal import Signal, map_over, result_table, table_signal
from xbp.core.status import FIT_LABELS, Diagnostic, Status, diagnosed
from xbp.core.units import convert_factor, format_unit, parse_unit
from xbp.models.dimension import debye_velocity, debye_wave_number

__all__ = ["dispersion", "ioffe_regel", "sound_velocity"]


@operation(
    takes="boson_peak",
    gives="dispersion",
    step=41,
    when=lambda table: "Q" in table.energy.dims,
)
def dispersion(
    peak: xr.Dataset, Q_range: Any = None, *, significance: float = 0.01
) -> xr.Dataset:
    r"""Test whether the peak energy depends on Q.

    .. math:: \bar E = \frac{\sum E_i/\sigma_i^2}{\sum 1/\sigma_i^2}, \qquad
              \chi^2_{red} = \frac{1}{n-1}\sum \frac{(E_i-\bar E)^2}{\sigma_i^2}

    and the weighted straight line E(Q) = a + slope · Q. σ is of each Q alone. What all
    have in common, Δᵢⱼ of the factor j (``energy_std_common``), is a further parameter:
    χ² is the smallest of :math:`\sum (E_i - a - \sum_j z_j\Delta_{ij})^2/\sigma_i^2 +
    \sum z_j^2`.

    Parameters
    ----------
    peak : xarray.Dataset
        What `boson_peak` returned, over Q and any leftover dimensions. Fits whose
        status is not "ok" are left out.
    Q_range : pair of scalars with units, optional
        Momentum transfers to use.
    significance : float
        ``p_value`` below which the energies scatter by more than their errors.

    Returns
    -------
    xarray.Dataset
        ``mean_energy``, ``slope`` (energy per unit of Q), each with ``_std`` from the
        errors of the fits, taken as independent but for ``Q_independence`` and
        ``energy_std_common``; what all Q have in common (``Q_common``) is in the error
        of the mean alone, and where the energies scatter by more than their errors,
        that of the slope is that of the scatter;
        ``chi2_reduced`` of "constant" and ``p_value``, the chance of a larger one if
        the energy is constant; ``scatter``, the standard deviation of the energies;
        ``Q_min``, ``Q_max`` and ``n_points`` used, which `Q_range` may reach beyond.
        NaN where fewer than three fits can be used.

    Raises
    ------
    QuantityError
        If this is not a table of peaks over Q.
    RangeError
        If `significance` is not between 0 and 1.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.models.dynamic_structure_factor([3, 4, 5, 6], range(1, 20), energy=5.5,
    ...     width=6, T=300, u2=0.01)
    >>> peaks = S.bp.to_bqe().bp.boson_peak(E_range=("2 meV", "12 meV"))
    >>> flat = peaks.bp.dispersion(Q_range=("2.1 1/angstrom", "8.5 1/angstrom"))
    >>> f"{float(flat.mean_energy):.2f} +- {float(flat.scatter):.2f}"
    '5.50 +- 0.00'
    """
    significance = require_fraction(significance, "significance")
    plain, rewrap = unwrap(peak)
    signal = table_signal(plain, "boson_peak", "energy", rewrap)
    energy = signal.value
    require_dims(
        energy,
        "Q",
        "dispersion",
        fix="pass the table of B(Q,E).bp.boson_peak(), not of a cut",
        error=QuantityError,
    )
    used = (plain["status"] == Status.OK) & xr.DataArray(
        select_range(plain, "Q", Q_range, name="Q_range"), dims="Q"
    )
    one = xr.ones_like(plain["Q"], dtype=float)
    fs = [find(energy, "Q") for find in (independence, contrast_independence)]
    own, shared = errors_apart(plain, "energy")
    nothing = {"": xr.zeros_like(energy.variable)}
    rows = list((shared or nothing).values())
    numbers, moved = map_over(
        _line,
        energy.where(used),
        own,
        plain["Q"].astype(float),
        *(one if f is None else xr.DataArray(f) for f in fs),
        xr.Variable.concat(rows, SOURCE),  # type: ignore[no-untyped-call]
        dims=("Q", SOURCE),
        gives=[["_number"], ["_number", SOURCE]],
        sizes={"_number": 10},
        each=True,
        significance=significance,
    )
    units = energy.attrs["units"]
    slope_units = format_unit(
        parse_unit(units) / parse_unit(plain["Q"].attrs["units"], like="1/angstrom")
    )
    names = {
        "mean_energy": (units, "weighted mean energy of the boson peak"),
        "mean_energy_std": ("", ""),
        "slope": (slope_units, "slope of the energy against Q"),
        "slope_std": ("", ""),
        "chi2_reduced": ("1", "reduced chi-squared of one energy at every Q"),
        "p_value": ("1", "chance of a larger chi-squared if the energy is constant"),
        "scatter": (units, "standard deviation of the energies about their mean"),
        "Q_min": (plain["Q"].attrs["units"], "lowest Q used"),
        "Q_max": (plain["Q"].attrs["units"], "highest Q used"),
        "n_points": ("1", "number of peaks used"),
    }
    columns = {
        name: (numbers.isel(_number=i, drop=True), *label)
        for i, (name, label) in enumerate(names.items())
    }
    answer: xr.Dataset = result_table(
        signal,
        columns,
        quantity="dispersion",
        operation="dispersion",
        arguments={"Q_range": Q_range},
        attrs=diagnosed({}, *_scattered(columns["p_value"][0], significance)),
    )
    if not shared:
        return answer
    bare, rewrap = unwrap(answer)
    errors = {}
    for i, name in ((0, "mean_energy"), (2, "slope")):
        each = moved.isel(_number=i, drop=True).variable
        parts = {source: each.isel({SOURCE: j}) for j, source in enumerate(shared)}
        errors[name] = bare.variables[f"{name}_std"], parts
    table: xr.Dataset = rewrap(with_common(bare, errors))
    return table


def _scattered(p_value: xr.DataArray, significance: float) -> Iterator[Diagnostic]:
    """Yield a diagnostic if energies scatter more than their errors (not for dask)."""
    if not is_lazy(p_value) and bool((p_value < significance).any()):
        yield Diagnostic(
            "scattered_energies",
            "warning",
            "the energies scatter by more than their errors; slope_std includes this",
        )


def _line(
    energy: np.ndarray,
    std: np.ndarray,
    q: np.ndarray,
    held: np.ndarray,
    contrast: np.ndarray,
    shared: np.ndarray,
    *,
    significance: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of the table, and what moves them in common.

    `held` and `contrast` are f of the bins, and `shared` (n, factors) the errors that
    they have in common.
    """
    ok = np.isfinite(energy) & np.isfinite(std) & (std > 0)
    n = int(ok.sum())
    # Bins with errors in common are independent where they are compared.
    independent = float(np.minimum(contrast, 1.0)[ok].sum())
    moved = np.full((10, shared.shape[1]), np.nan)
    if n < 3 or independent <= 2:
        return np.array([np.nan] * 9 + [n]), moved
    e, s, x = energy[ok], std[ok], q[ok]
    w, of_mean = np.sqrt(contrast[ok]) / s, held[ok] / s**2
    mean = float(np.average(e, weights=w**2))
    shared = shared[ok]
    chi2 = _misfit_of_constant(e - mean, w, shared)
    p_value = scipy.special.gammaincc((independent - 1) / 2, chi2 / 2)
    line, covariance = np.polyfit(x, e, 1, w=w, cov="unscaled")
    slope_std = np.sqrt(covariance[0, 0])
    if p_value < significance:
        left = (w**2 * (e - np.polyval(line, x)) ** 2).sum() / (independent - 2)
        slope_std *= max(1.0, np.sqrt(left))
    moved[0] = np.average(shared, axis=0, weights=w**2)
    moved[2] = np.polyfit(x, shared, 1, w=w)[0]
    return np.array([
        mean, 1 / np.sqrt(of_mean.sum()), line[0], slope_std,
        chi2 / (independent - 1), p_value, e.std(ddof=1), x.min(), x.max(), n,
    ]), moved  # fmt: skip


def _misfit_of_constant(y: np.ndarray, weight: np.ndarray, shared: np.ndarray) -> float:
    """Return χ² of the best sum of a constant and of errors in common (n, factors)."""
    n, factors = shared.shape
    rows = np.zeros((n + factors, 1 + factors))
    rows[:n] = weight[:, None] * np.column_stack([np.ones(n), shared])
    rows[n:, 1:] = np.eye(factors)
    given = np.concatenate([weight * y, np.zeros(factors)])
    best = np.linalg.lstsq(rows, given)[0]
    return float(((given - rows @ best) ** 2).sum())


@operation(takes="phonon_dispersion", gives="sound_velocity", step=52)
@carries_common_errors()
def sound_velocity(branches: xr.Dataset, Q_max: Any = "0.5 1/angstrom") -> xr.Dataset:
    r"""Find the sound velocities of a solid from the beginning of its phonon branches.

    .. math:: E = \hbar Q (v + b Q^2), \quad \frac{3}{v_D^3} = \frac{1}{v_L^3} +
        \frac{2}{v_T^3}, \quad
              E_D = \hbar v_D (6\pi^2 n)^{1/3}

    In a plane of atoms 2/v_D² = 1/v_L² + 1/v_T² and E_D = ħ v_D (4πn)^{1/2}, with n
    atoms per area.

    Parameters
    ----------
    branches : xarray.Dataset
        What `phonon_dispersion` returned.
    Q_max : scalar with units
        Largest wave vector that is used (bare: the unit of Q): the branches bend down
        as b Q³ only at small Q.

    Returns
    -------
    xarray.Dataset
        ``velocity`` (m/s) over ``branch``, its ``_std`` scaled by the scatter about the
        curve where that is larger than the errors; ``n_points``; ``status``;
        ``debye_velocity`` (m/s) and, where the branches are of a trajectory,
        ``debye_energy`` (meV), each with ``_std``. NaN for fewer than three points.

    Raises
    ------
    QuantityError, RangeError
        If these are no branches, or none is as low as `Q_max`.

    References
    ----------
    P. Debye, Ann. Phys. 344, 789 (1912), doi:10.1002/andp.19123441404.

    Examples
    --------
    >>> import xbp
    >>> chain = xbp.md.models.harmonic_chain(
    ...     40, 4000, spacing="2.5 angstrom", energy_max="20 meV", T="50 K",
    ...     mass="60 u", time_step="20 fs", rng=1)
    >>> currents = chain.bp.current_spectra(0.5, 0.01, window="20 ps")
    >>> branches = currents.bp.phonon_dispersion()
    >>> v = branches.bp.sound_velocity("0.3 1/angstrom").sel(branch="longitudinal")
    >>> expected = 100 * 20 / 0.6582119569 * 2.5 / 2  # ω_max a/2
    >>> abs(float(v.velocity) / expected - 1) < 0.02
    True
    """
    signal = _read(branches)
    Q = signal.value["Q"]
    to_angstrom = convert_factor(Q.attrs["units"], "1/angstrom", name="Q")
    to_mev = convert_factor(signal.units, "meV", name="energy", energy=True)
    used = Q.values <= require_positive(Q_max, "Q_max", Q.attrs["units"])
    if not used.any():
        raise RangeError(
            f"Q_max={Q_max} is below the smallest wave vector, {float(Q[0]):.4g} "
            f"{Q.attrs['units']}",
            fix="raise Q_max=, or simulate a larger box",
        )
    q = Q.values[used] * to_angstrom
    f = independence(signal.value, "Q")
    parts = np.ones(q.size) if f is None else f.values[used]
    rows, statuses = [], []
    for branch in signal.value["branch"].values:
        one = branches.sel(branch=branch).isel(Q=used)
        fine = (one.status == Status.OK).values
        energy, std = (
            one.energy.values[fine] * to_mev,
            one.energy_std.values[fine] * to_mev,
        )
        velocity, error = _initial_slope(q[fine], energy, std, parts[fine])
        rows.append((velocity * 100, error * 100, int(fine.sum())))
        statuses.append(Status.OK if np.isfinite(velocity) else Status.TOO_FEW)
    velocity, error, count = np.array(rows).T
    variables: dict[str, tuple[Any, str, str]] = {}
    over = functools.partial(_over_branches, signal)
    variables["velocity"] = (over(velocity), "m/s", "velocity of sound")
    variables["velocity_std"] = (
        over(error),
        "m/s",
        "standard deviation of velocity of sound",
    )
    variables["n_points"] = (over(count), "1", "number of wave vectors used")
    variables["status"] = (over(np.array(statuses)), "", FIT_LABELS["status"])
    by_name = dict(
        zip(
            signal.value["branch"].values.tolist(),
            zip(velocity, error, strict=True),
            strict=True,
        )
    )
    (v_l, e_l), (v_t, e_t) = by_name["longitudinal"], by_name["transverse"]
    d = dimension_of(branches)
    v_d, relative = debye_velocity(v_l, v_t, d, (e_l, e_t))
    results = [("debye_velocity", v_d, "m/s", "mean velocity of sound after Debye")]
    if "number_density" in branches.attrs:
        wave = debye_wave_number(branches.attrs["number_density"], d)
        results.append(
            ("debye_energy", constants.HBAR * v_d / 100 * wave, "meV", "Debye energy")
        )
    for name, value, units, text in results:
        variables[name] = (xr.DataArray(value), units, text)
        variables[f"{name}_std"] = (xr.DataArray(value * relative), "", "")
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="sound_velocity",
        operation="sound_velocity",
        arguments={"Q_max": Q_max},
    )
    return answer


def _read(branches: xr.Dataset) -> Signal:
    signal = table_signal(branches, "phonon_dispersion", "energy")
    fix = "pass the whole table of .bp.phonon_dispersion()"
    wanted = "branches are over branch and Q"
    require_over(signal.value, ("branch", "Q"), wanted, fix=fix, error=QuantityError)
    return signal


def _over_branches(signal: Signal, values: Any) -> xr.DataArray:
    """Label numbers with the branches."""
    return xr.DataArray(
        values, dims="branch", coords={"branch": signal.value["branch"].variable}
    )


def _initial_slope(
    q: np.ndarray, energy: np.ndarray, std: np.ndarray, parts: np.ndarray
) -> tuple[float, float]:
    """Return v and its std in Å/ps; bins represent `parts` of independent ones."""
    if parts.sum() < 3 * (1 - 1e-9):
        return np.nan, np.nan
    slope = energy / (constants.HBAR * q)
    error = std / np.sqrt(parts) / (constants.HBAR * q)
    design = np.stack([np.ones(q.size), q**2], axis=1) / error[:, None]
    found, *_ = np.linalg.lstsq(design, slope / error, rcond=None)
    covariance = np.linalg.inv(design.T @ design)
    rest = float((((slope / error) - design @ found) ** 2).sum()) / (parts.sum() - 2)
    return float(found[0]), float(np.sqrt(covariance[0, 0] * max(1.0, rest)))


@operation(takes="phonon_dispersion", gives="ioffe_regel", step=53)
@carries_common_errors()
def ioffe_regel(branches: xr.Dataset) -> xr.Dataset:
    r"""Find the energies above which phonons live for less than half of a period.

    .. math:: \Gamma(E) = E/\pi

    with Γ the full width at half maximum, interpolated linearly in Q at the first
    crossing.

    Parameters
    ----------
    branches : xarray.Dataset
        What `phonon_dispersion` returned. The window of the spectra (1.44 h/window
        wide) is taken off the widths where it is known; a diagnostic reports where it
        is wider than the phonon, or still in the widths.

    Returns
    -------
    xarray.Dataset
        ``energy`` (units of the branches) with ``_std`` from the errors of the two fits
        beside the crossing, and the wave vector ``Q_crossing``, over ``branch``;
        ``status`` "ok", or "no crossing" and NaN where the widths do not cross.

    Raises
    ------
    QuantityError
        If these are no branches.

    References
    ----------
    H. Shintani & H. Tanaka, Nat. Mater. 7, 870 (2008), doi:10.1038/nmat2293.

    Examples
    --------
    >>> import xbp
    >>> q = np.array([0.2, 0.4, 0.6])
    >>> table = xr.Dataset(
    ...     {"energy": (("branch", "Q"), [[2, 4, 6]] * 2, {"units": "meV"}),
    ...      "energy_std": (("branch", "Q"), np.full((2, 3), 0.1)),
    ...      "width": (("branch", "Q"), np.array([[1, 4, 9]] * 2) / np.pi),
    ...      "width_std": (("branch", "Q"), np.full((2, 3), 0.1)),
    ...      "status": (("branch", "Q"), [["ok"] * 3] * 2)},
    ...     coords={"branch": ["longitudinal", "transverse"],
    ...             "Q": ("Q", q, {"units": "1/angstrom"})},
    ...     attrs={"quantity": "phonon_dispersion"})
    >>> table.bp.ioffe_regel().energy.values
    array([4., 4.])
    """
    signal = _read(branches)
    rows, statuses = [], []
    for branch in signal.value["branch"].values:
        one = branches.sel(branch=branch)
        found = _crossing(
            *(one[n].values[(one.status == Status.OK).values] for n in ("Q", *_COLUMNS))
        )
        rows.append(found)
        statuses.append(Status.OK if np.isfinite(found[0]) else Status.NO_CROSSING)
    energy, std, q = np.array(rows).T
    over = functools.partial(_over_branches, signal)
    text = "energy at which the width is E/π"
    variables: dict[str, tuple[Any, str, str]] = {
        "energy": (over(energy), signal.units, text),
        "energy_std": (over(std), "", ""),
        "Q_crossing": (over(q), signal.value["Q"].attrs["units"], "wave vector there"),
        "status": (over(np.array(statuses)), "", "whether the widths cross"),
    }
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="ioffe_regel",
        operation="ioffe_regel",
        arguments={},
        attrs=diagnosed(branches.attrs, *_window_doubts(branches, energy)),
    )
    return answer


def _window_doubts(branches: xr.Dataset, energy: np.ndarray) -> list[Diagnostic]:
    """Return where the window of the spectra hides how long the phonons live."""
    units = branches.energy.attrs["units"]
    window = Window.of(branches, units)
    if window is None:
        text = "widths of simulated spectra include the broadening by the time window"
        return [Diagnostic("window_in_widths", "info", text)]
    short = window.fwhm > energy / np.pi
    if not short.any():
        return []
    names = " and ".join(branches.branch.values[short])
    return [
        Diagnostic(
            "short_window",
            "warning",
            f"a window of {window.time:.4g} ps broadens by {window.fwhm:.2g} {units}, "
            f"more than the width of the {names} phonon at the Ioffe-Regel limit",
            "use longer windows",
        )
    ]


_COLUMNS = ("energy", "energy_std", "width", "width_std")


def _crossing(
    q: np.ndarray,
    energy: np.ndarray,
    energy_std: np.ndarray,
    width: np.ndarray,
    width_std: np.ndarray,
) -> tuple[float, float, float]:
    """Return the energy where πΓ − E first becomes positive, its std, and Q there."""
    excess = np.pi * width - energy
    if excess.size < 2 or excess[0] >= 0 or (excess < 0).all():
        return np.nan, np.nan, np.nan
    right = int(np.argmax(excess >= 0))
    left = right - 1
    part = -excess[left] / (excess[right] - excess[left])
    at = energy[left] + part * (energy[right] - energy[left])
    # To first order the crossing moves by the error of the excess over its slope, and
    # with the branch itself.
    slope = (energy[right] - energy[left]) / (excess[right] - excess[left])
    noise = np.hypot((1 + slope) * energy_std, slope * np.pi * width_std)
    std = np.hypot((1 - part) * noise[left], part * noise[right])
    return float(at), float(std), float(q[left] + part * (q[right] - q[left]))
