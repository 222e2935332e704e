"""Fourier transforms between g(r) and S(Q)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.diagnostic import Diagnostic, diagnosed
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import bin_limits
from xbp.core.guards import choose, require_memory, require_positive, shown
from xbp.core.operation import operation
from xbp.core.signal import Signal, read
from xbp.core.units import convert_factor, split_quantity
from xbp.reduction.arithmetic import wrong_limit
from xbp.reduction.sample import sample_density

__all__ = ["to_radial_distribution", "to_structure_factor"]

Damping = Literal["lorch", "none"]


@operation(
    takes="radial_distribution",
    gives="static_structure_factor",
    step=10,
    when=lambda rdf: rdf.attrs.get("dimensions") != 2,
)
@carries_common_errors(linear=True)
def to_structure_factor(
    data: xr.Dataset, Q: Any, *, number_density: Any = None, window: Damping = "lorch"
) -> Any:
    r"""Transform g(r) to S(Q).

    .. math:: S(Q) = 1 + \rho \int_0^{r_{max}} 4\pi r^2 (g(r) - 1) \frac{\sin Qr}{Qr}
              W(r)\,\mathrm{d}r

    with W = sin(πr/r_max)/(πr/r_max) for ``window="lorch"``. For partials this is Faber
    and Ziman's.

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        g(r) (``radial_distribution``).
    Q : array_like, shape (n,), or scalar with units
        Where to, ascending and positive (bare: 1/angstrom); one number: up to there in
        steps of 0.05 1/angstrom.
    number_density : scalar with units, optional
        Atoms per volume (bare: 1/angstrom³); by default that of the data, as for
        `to_radial_distribution`.
    window : {"lorch", "none"}
        Fading at r_max, which broadens, or an end that rings.

    Returns
    -------
    xarray.Dataset
        ``Sq``, with ``Sq_std`` where the data have a std; bins are taken as
        independent.

    Raises
    ------
    XbpError
        If the data are not g(r) or contain NaN, or no density is known.

    References
    ----------
    E. Lorch, J. Phys. C 2, 229 (1969), doi:10.1088/0022-3719/2/2/305.

    Examples
    --------
    >>> import xbp
    >>> gas = xbp.md.models.ideal_gas(
    ...     500, 20, cell=20, T=300, mass=40, time_step=1, seed=1)
    >>> g = gas.bp.radial_distribution(8)
    >>> g.bp.to_structure_factor([2.0, 4.0]).Sq.round(0).values
    array([1., 1.])
    """
    signal = read(data, "radial_distribution")
    if signal.value.attrs.get("dimensions") == 2:
        raise QuantityError(
            "this g(r) is that of a plane of atoms, and the transform that of three "
            "dimensions",
            fix="traj.bp.structure_factor(Q_max) gives the S(Q) of the plane",
        )
    density, source = sample_density(signal, number_density)
    points = _points("Q", "1/angstrom", Q, step=0.05)
    value, std = _transform(signal, "r", points, window, density)
    return signal.answer(
        value, std,
        operation="to_structure_factor", units="1", quantity="static_structure_factor",
        attrs={"number_density": density},
        arguments=_recorded("Q", points, window, density, source),
    )  # fmt: skip


@operation(takes="static_structure_factor", gives="radial_distribution", step=10)
@carries_common_errors(linear=True)
def to_radial_distribution(
    data: xr.Dataset, r: Any, *, number_density: Any = None, window: Damping = "lorch"
) -> Any:
    r"""Transform S(Q) to g(r).

    .. math:: g(r) = 1 + \frac{1}{(2\pi)^3\rho}
              \int_0^{Q_{max}} 4\pi Q^2 (S(Q) - 1) \frac{\sin Qr}{Qr} W(Q)\,\mathrm{d}Q

    Parameters
    ----------
    data : xarray.Dataset or xarray.DataArray
        S(Q) (``static_structure_factor``) that tends to 1; of Faber and Ziman where
        there are several elements. It is integrated over the bins it has: what is
        missing below the first counts as 1.
    r : array_like, shape (n,), or scalar with units
        Where to, ascending and positive (bare: angstrom); one number: up to there in
        steps of 0.02 angstrom.
    number_density : scalar with units, optional
        Atoms per volume (bare: 1/angstrom³); by default ``attrs["number_density"]``, or
        ``attrs["V_rho"]`` as from a ``.sqw`` file.
    window : {"lorch", "none"}
        As for `to_structure_factor`, at Q_max.

    Returns
    -------
    xarray.Dataset
        ``rdf``, with ``rdf_std`` where the data have a std. A diagnostic records where
        it is not 0 below the first shell, as with a wrong density or a wrong ⟨b⟩².

    Raises
    ------
    XbpError
        If the data are not S(Q), contain NaN but at the ends, which are left out, or do
        not tend to 1; if no density is known, or one that contradicts the argument.

    References
    ----------
    E. Lorch, J. Phys. C 2, 229 (1969), doi:10.1088/0022-3719/2/2/305.

    Examples
    --------
    >>> import xbp
    >>> Sq = xbp.tutorial.open_dataset("zr46cu46al8_md").Sq
    >>> g = Sq.bp.to_radial_distribution(
    ...     [1.0, 2.8, 3.8], number_density="0.0574 1/angstrom^3")
    >>> bool(g[1] > 2 > 1 > g[2] > g[0])
    True
    """
    signal = read(data, "static_structure_factor")
    if (level := wrong_limit(signal.value)) is not None:
        fix = "(sq + 1).assign_attrs(sq.attrs) if this is F(Q) = S(Q) - 1: add 1"
        if level > 0.2:  # F(Q) ends near 0
            fix = (
                f"sq.bp.scale({1 / level:.3g}), or for S(Q,E) before its integral "
                "data.bp.normalize_to_sum_rule('f-sum', mass=...)"
            )
        raise QuantityError(
            f"'{signal.value.name}' is {level:.2g} on average over its upper half of "
            "Q, and does not tend to 1",
            fix=fix,
        )
    density, source = sample_density(signal, number_density)
    points = _points("r", "angstrom", r, step=0.02)
    factor = 1 / ((2 * np.pi) ** 3 * density)
    signal = _measured(signal)
    value, std = _transform(signal, "Q", points, window, factor)
    return signal.answer(
        value, std,
        operation="to_radial_distribution", units="1", quantity="radial_distribution",
        attrs={"number_density": density, **_below_the_first_shell(value, density)},
        arguments=_recorded("r", points, window, density, source),
    )  # fmt: skip


def _transform(
    signal: Signal, dim: str, at: xr.DataArray, window: Any, factor: float
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return 1 + factor ∫ 4πx² (f − 1) sin(xy)/(xy) dx; bins are independent."""
    value, std = signal.value, signal.std
    units = "angstrom" if dim == "r" else "1/angstrom"
    to_units = convert_factor(value[dim].attrs["units"], units, name=f"'{dim}'")
    source = signal.source if isinstance(signal.source, xr.Dataset) else value
    lower, upper = (limits * to_units for limits in bin_limits(source, dim))
    x = value[dim].values * to_units
    if not bool(np.isfinite(value).all()):
        raise QuantityError(
            f"'{value.name}' holds NaN, and the transform needs every bin",
            fix=f"value.dropna('{dim}'), or value.interpolate_na('{dim}')",
        )
    require_memory(2.0 * at.size * x.size, f"the transform to {at.size} points")
    fading: Damping = choose(window, Damping, "window")
    damping = np.sinc(x / upper[-1]) if fading == "lorch" else 1.0
    kernel = np.sinc(np.outer(at.values, x) / np.pi)
    kernel = kernel * (damping * (upper**3 - lower**3) * 4 / 3 * np.pi)
    matrix = xr.DataArray(kernel, dims=("__at", dim))
    integral = xr.dot(value.drop_vars(dim) - 1, matrix, dim=dim)
    name = str(at.name)
    value = (1 + factor * integral).rename(__at=name)
    value = value.assign_coords({name: (name, at.values, at.attrs)})
    if std is not None:
        spread = xr.dot(std.drop_vars(dim) ** 2, matrix**2, dim=dim) ** 0.5
        std = (factor * spread).rename(__at=name)
    return value, std


def _points(dim: str, units: str, given: Any, *, step: float) -> xr.DataArray:
    """Return where a transform is wanted: points, or equal steps up to one number."""
    try:
        single = (
            isinstance(given, str) or np.ndim(getattr(given, "magnitude", given)) == 0
        )
    except ValueError:  # rows of different lengths
        single = False
    if single:
        end = require_positive(given, dim, units)
        require_memory(end / step, f"steps of {step:g} {units} up to {dim}={end:.4g}")
        points = np.arange(1, int(end / step * (1 + 1e-9)) + 1) * step
        factor = 1.0
    else:
        plain, own = given, None
        if not isinstance(given, list | tuple):
            plain, own = split_quantity(given, dim)
        try:
            points = np.asarray(getattr(plain, "values", plain), dtype=float)
        except (TypeError, ValueError):
            points = np.empty(0)
        factor = convert_factor(own or units, units, name=dim)
    ascending = points.ndim == 1 and points.size and (np.diff(points) > 0).all()
    if not (ascending and points[0] > 0 and np.isfinite(points[-1])):
        raise RangeError(
            f"{dim}={shown(given)} must be ascending positive numbers"
            + _first_wrong(dim, points),
            fix=f"{dim}=np.arange(0.1, 20, 0.05), in {units}, or {dim}='20 {units}' "
            "for all up to there",
        )
    return xr.DataArray(points * factor, dims="__at", name=dim, attrs={"units": units})


def _first_wrong(dim: str, points: np.ndarray) -> str:
    """Name the first point of a curve that is not positive or not above the last."""
    if points.ndim != 1 or points.size == 0:
        return ""
    wrong = np.flatnonzero(~(np.diff(points, prepend=0.0) > 0))
    at = int(wrong[0]) if wrong.size else -1
    return f"; {dim}[{at}] is {points[at]:g}"


def _recorded(
    dim: str, points: xr.DataArray, window: str, density: float, source: str
) -> dict[str, str]:
    low, high = float(points[0]), float(points[-1])
    return {
        dim: f"{low:g} … {high:g} ({points.size})",
        "window": window,
        "number_density": f"{density:.10g} 1/angstrom**3 ({source})",
    }


def _measured(signal: Signal) -> Signal:
    """Leave out the ends of S(Q) that were not measured, as Gudrun fills them.

    Gaps within are another matter.
    """
    value = signal.value
    if value.chunks is not None:
        return signal
    known = value.notnull().all([d for d in value.dims if d != "Q"]).values
    if not known.any() or known.all():
        return signal
    first, last = np.flatnonzero(known)[[0, -1]]
    return read(signal.source.isel(Q=slice(first, last + 1)), "static_structure_factor")


def _below_the_first_shell(rdf: xr.DataArray, density: float) -> dict[str, str]:
    """Return the diagnostic that g(r) is not near 0 where no two atoms are.

    Between 0.3 and 0.7 of the first shell it is within 0.2, whatever the end of S(Q)
    rings; with another density it is 1 − ρ_true/ρ there.
    """
    if rdf.ndim != 1 or rdf.chunks is not None:
        return {}
    shell = float(rdf.idxmax())
    inside = rdf.sel(r=slice(0.3 * shell, 0.7 * shell))
    if not inside.size or abs(level := float(inside.mean())) < 0.2:
        return {}
    return diagnosed({}, Diagnostic(
        "core_not_empty", "warning",
        f"g(r) is {level:.2g}, not 0, from {float(inside.r[0]):.2g} to "
        f"{float(inside.r[-1]):.2g} angstrom, below the first shell: number_density="
        f"{density:.4g} 1/angstrom^3 or the scale of S(Q) is wrong",
        f"number_density={density * (1 - level):.2g} would fit this S(Q)",
    ))  # fmt: skip
