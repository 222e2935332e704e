"""From the angles of detectors to Q.

S(2θ,E) → S(Q,E) by the exact overlap of curved cells and bins.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import FIXED_ENERGY, resolve_fixed_energy
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits, is_pair
from xbp.core.independence import collapsed, independence_name, independence_variable
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.schema import COORDINATES
from xbp.core.signal import read, result_table
from xbp.core.units import convert_factor, magnitude
from xbp.reduction.bins import new_edges
from xbp.reduction.kinematics import momentum_transfer, wave_numbers
from xbp.reduction.overlap import overlap_sums

__all__ = ["angle_to_Q", "kinematic_limits"]

KiOverKf = Literal["applied", "not applied"]
Variance = Literal["exact", "shared"]


@operation(takes="detector_spectra", gives="dynamic_structure_factor", step=1)
@carries_common_errors(linear=True)
def angle_to_Q(
    data: Data,
    Q: Any,
    *,
    incident_energy: Any = None,
    final_energy: Any = None,
    angle_width: Any = "neighbors",
    ki_over_kf: KiOverKf | None = None,
    variance: Variance = "exact",
) -> Data:
    """Bring spectra of detectors onto bins of Q, weighted by exact overlap.

    Each detector covers a range of 2θ, and with a bin of E a cell in the (Q, E) plane
    between the curves Q² = kᵢ² + k_f² − 2 kᵢ k_f cos 2θ of its two limits, kᵢ² = k_f² +
    E/2.0721 with kᵢ fixed (direct geometry) or k_f fixed (indirect geometry). A bin of
    Q and E becomes the mean

        S(Q, E) = Σ_c a_c S_c / Σ_c a_c,   a_c the area that cell c and the bin share,

    which is exact for the curved cells, so that Σ S(Q,E) Σ_c a_c = Σ_c S_c A_c wherever
    the bins cover the cells. Bins of E stay as they are. Masked cells are left out;
    bins that no cell reaches, and those beyond the kinematic limits, are NaN.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``S(detector, E)`` with the coordinate ``two_theta`` over the detectors, as
        `open_dataset` gives it. Dask arrays are worked on chunk by chunk of detectors.
    Q : scalar or 1-D array with units
        Width of the bins, from Q = 0 on as far as the data reach; or their edges. Bare
        numbers are in 1/angstrom.
    incident_energy, final_energy : scalar with units, optional
        The energy that the instrument fixes, where the data do not carry it: of the
        incident neutrons (direct geometry) or of the scattered ones (indirect); a bare
        number is in meV. Data may carry one energy for each detector.
    angle_width : {"neighbors", "detector"} or scalar with units
        How far in 2θ a detector reaches: halfway to the next angles on both sides; its
        own ``two_theta_width`` about ``two_theta``; or one width for all (bare:
        degrees). The widths in files are of no use where several detectors were added
        up to a ring or an arc.
    ki_over_kf : {"applied", "not applied"}, optional
        Whether the data were multiplied by kᵢ/k_f, where they do not say. If not they
        are, at the centre of each bin of E.
    variance : {"exact", "shared"}
        "exact": σ² = Σ a_c² σ_c²/(Σ a_c)², right for each bin; neighbors that share a
        cell are correlated, and ``Q_independence`` says which part of an independent
        bin each holds, so that cuts and fits over Q have the right errors too.
        "shared": σ² = Σ a_c A_c σ_c²/(Σ a_c)², A_c the whole cell: each cell's variance
        is dealt out in proportion, so that the sum over all bins keeps the total
        variance, while a single bin comes out too uncertain.

    Returns
    -------
    same type as `data`
        ``S(Q, E)``, with the bins of Q as CF bounds in a Dataset,
        ``attrs["ki_over_kf"]`` "applied".

    Raises
    ------
    CoordinateError
        If the angles or the fixed energy are missing or contradictory.
    RangeError
        If the bins are not ascending or not positive.
    QuantityError
        If the data are no S(2θ,E), or do not say whether kᵢ/k_f is applied.

    References
    ----------
    Mantid's SofQWNormalisedPolygon weights alike, by quadrilaterals with straight
    sides: O. Arnold et al., Nucl. Instrum. Methods A 764, 156 (2014),
    doi:10.1016/j.nima.2014.07.029.

    Examples
    --------
    >>> import numpy as np
    >>> import xbp
    >>> flat = xbp.new_dataset(
    ...     "detector_spectra", np.ones((3, 4)), units="1/meV",
    ...     coords={"detector": ([1, 2, 3], "1"), "E": ([0.5, 1.5, 2.5, 3.5], "meV")})
    >>> flat = flat.assign_coords(two_theta=("detector", [30.0, 60.0, 90.0], {"units": "degree"}))
    >>> angle_to_Q(flat, 1, incident_energy="20 meV", ki_over_kf="applied").S.sel(E=0.5).values
    array([1., 1., 1., 1., 1.])
    """
    signal = read(data, "detector_spectra")
    _require_choices(ki_over_kf, variance)
    value = signal.value
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    if not {"detector", "E"} <= set(value.dims) or "two_theta" not in value.coords:
        raise CoordinateError(
            f"'{value.name}' over {tuple(value.dims)} has no angles",
            reason="S(2θ,E) has the dimensions detector and E, and two_theta over the "
            "detectors",
            fix="data = data.assign_coords(two_theta=('detector', angles, {'units': "
            "'degree'}))",
        )
    to_mev = convert_factor(
        value.E.attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    lower, upper = bin_limits(signal.source, "E")
    e_edges = np.append(lower, upper[-1]) * to_mev
    if not np.allclose(
        lower[1:], upper[:-1], rtol=0, atol=1e-9 * (upper - lower).min()
    ):
        raise CoordinateError(
            "the bins of E have gaps",
            reason="cells must touch",
            fix="drop the bounds 'E_bnds'",
        )
    limits = _angle_limits(value, angle_width)
    each = np.broadcast_to(fixed.values, (value.sizes["detector"],))
    limits = np.where(np.isfinite(each), limits, np.nan)
    known = np.isfinite(limits).all(axis=0)
    if not known.any():
        raise CoordinateError(
            "no detector has an angle",
            reason="none has a place in Q",
            fix="look at two_theta",
        )
    energies = np.unique(each[known])
    # The largest Q is at the highest k_i or k_f, or where the neutrons of the other
    # stop.
    reach = max(
        float(
            np.nanmax(
                momentum_transfer(
                    _possible(e_edges, one, geometry),
                    one,
                    limits[1][known].max(),
                    geometry,
                )
            )
        )
        for one in energies
    )
    q_edges = _edges(Q, reach)
    apply = _is_to_be_applied(value, ki_over_kf)
    centres = (e_edges[1:] + e_edges[:-1]) / 2
    lead: list[str] = [str(d) for d in value.dims if d not in ("detector", "E")]
    order = (*lead, "detector", "E")
    # Q is symmetric in k_i and k_f: indirect geometry is direct geometry with the sign
    # of E turned.
    turn = slice(None, None, 1 if geometry == "direct" else -1)
    sums: Any = 0.0
    for one in energies:
        # One energy for all, mostly; else the detectors of each.
        mine = slice(None) if energies.size == 1 else np.flatnonzero(each == one)
        spectra = value.transpose(*order).isel(detector=mine, E=turn)
        std = (
            None
            if signal.std is None
            else signal.std.transpose(*order).isel(detector=mine, E=turn)
        )
        factor = (
            _ki_over_kf(centres, float(one), geometry)
            if apply
            else np.ones(centres.size)
        )
        edges = e_edges if geometry == "direct" else -e_edges[::-1]
        part = overlap_sums(
            spectra, std, limits[:, mine], edges, float(one), q_edges, factor[turn]
        )
        sums = sums + part[..., turn]
    # A sliver of rounding is no measurement.
    area = np.diff(q_edges)[:, np.newaxis] * np.diff(e_edges)
    covered = sums[1] > 1e-9 * area
    total = np.where(covered, sums[1], np.nan)
    coords = {
        str(name): c.variable
        for name, c in value.coords.items()
        if "detector" not in c.dims
    }
    if energies.size == 1:
        units, long_name = COORDINATES[FIXED_ENERGY[geometry]]
        own = xr.Variable((), energies[0], {"units": units, "long_name": long_name})
        coords.setdefault(FIXED_ENERGY[geometry], own)
    coords |= collapsed(value, "detector")
    labels = {"units": "1/angstrom", "long_name": COORDINATES["Q"][1]}
    coords["Q"] = xr.Variable("Q", (q_edges[1:] + q_edges[:-1]) / 2, labels)
    answer = xr.DataArray(
        sums[0] / total, dims=(*lead, "Q", "E"), coords=coords, name=value.name
    )
    if variance == "exact":
        held = np.where(sums[3] > 0, sums[2] / np.where(sums[3] > 0, sums[3], 1.0), 1.0)
        answer = answer.assign_coords(
            {independence_name("Q"): independence_variable(answer.dims, held, "Q")}
        )
    out: Data = signal.answer(
        answer,
        None
        if signal.std is None
        else answer.copy(data=np.sqrt(sums[2 if variance == "exact" else 3]) / total),
        operation="angle_to_Q",
        arguments={
            "Q": f"{q_edges.size - 1} bins from {q_edges[0]:.10g} to "
            f"{q_edges[-1]:.10g} 1/angstrom",
            FIXED_ENERGY[geometry]: _energy_text(energies),
            "angle_width": str(angle_width),
            "ki_over_kf": ki_over_kf,
            "variance": variance,
        },
        quantity="dynamic_structure_factor",
        attrs={"ki_over_kf": "applied", "geometry": geometry},
        bounds={
            "Q": xr.Variable(
                ("Q", "bnds"), np.stack([q_edges[:-1], q_edges[1:]], axis=-1)
            )
        },
    )
    return out


@operation(
    takes="signal", gives="kinematic_limits", step=2, suggested="detector_spectra"
)
def kinematic_limits(
    data: xr.DataArray | xr.Dataset,
    two_theta: Any = None,
    *,
    incident_energy: Any = None,
    final_energy: Any = None,
) -> xr.Dataset:
    """Find the range of Q that an instrument reaches at each energy transfer.

    Q² = kᵢ² + k_f² − 2 kᵢ k_f cos 2θ, at the smallest and the largest scattering angle,
    with kᵢ fixed (direct geometry) or k_f fixed (indirect geometry).

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any signal over E.
    two_theta : scalar or pair of scalars with units, optional
        Smallest and largest scattering angle (bare: degrees), or one angle; by default
        those of the data's detectors, or 0 and 180 degrees.
    incident_energy, final_energy : scalar with units, optional
        As for `angle_to_Q`.

    Returns
    -------
    xarray.Dataset
        ``Q_min`` and ``Q_max`` over E in 1/angstrom, NaN where a neutron cannot have
        the energy transfer. Where detectors have energies of their own, the limits of
        them all.

    Raises
    ------
    CoordinateError
        If the fixed energy is missing or contradictory.
    RangeError
        If there are more than two angles, or they do not ascend between 0 and 180
        degrees.

    Examples
    --------
    >>> import xbp
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md").S
    >>> limits = kinematic_limits(S, ("3 degree", "135 degree"), incident_energy="60 meV")
    >>> limits.Q_max.sel(E=0, method="nearest").item()
    9.94...
    """
    signal = read(data)
    value = signal.value
    if "E" not in value.dims:
        raise CoordinateError(
            f"'{value.name}' has no dimension 'E'",
            reason="the limits are over E",
            fix="pass spectra, before any cut",
        )
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    energies = np.unique(fixed.values[np.isfinite(fixed.values)])
    if two_theta is None and "two_theta" in value.coords:
        angles = _degrees(value, "two_theta")
        two_theta = (np.nanmin(angles), np.nanmax(angles))
    given = (0.0, 180.0) if two_theta is None else two_theta
    if (
        not is_pair(given)
        and not isinstance(given, str)
        and np.ndim(getattr(given, "magnitude", given))
    ):
        raise RangeError(
            f"two_theta={two_theta!r} is no pair of angles",
            reason="the limits are those of the smallest and the largest",
            fix="two_theta=('3 degree', '135 degree')",
        )
    low, high = (
        magnitude(angle, "degree", name="two_theta")
        for angle in (given if is_pair(given) else (given, given))
    )
    if not 0 <= low <= high <= 180:
        raise RangeError(
            f"two_theta runs from {low:g} to {high:g} degrees",
            reason="scattering angles ascend between 0 and 180 degrees",
            fix="two_theta=('3 degree', '135 degree')",
        )
    energy = value.E.values * convert_factor(
        value.E.attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    limits = {
        name: xr.DataArray(
            combine.reduce(
                momentum_transfer(energy, energies[:, np.newaxis], angle, geometry),
                axis=0,
            ),
            dims="E",
            coords={"E": value.E},
        )
        for name, angle, combine in (("Q_min", low, np.fmin), ("Q_max", high, np.fmax))
    }
    table: xr.Dataset = result_table(
        signal,
        {
            "Q_min": (limits["Q_min"], "1/angstrom", "smallest Q that is reached"),
            "Q_max": (limits["Q_max"], "1/angstrom", "largest Q that is reached"),
        },
        quantity="kinematic_limits",
        operation="kinematic_limits",
        arguments={
            "two_theta": f"{low:g} to {high:g} degree",
            FIXED_ENERGY[geometry]: _energy_text(energies),
        },
    )
    return table


def _require_choices(ki_over_kf: str | None, variance: str) -> None:
    if ki_over_kf not in (None, "applied", "not applied") or variance not in (
        "exact",
        "shared",
    ):
        raise QuantityError(
            f"ki_over_kf={ki_over_kf!r}, variance={variance!r} are not known",
            reason="each is one of two",
            fix="'applied' or 'not applied'; 'exact' or 'shared'",
        )


def _possible(energy: np.ndarray, fixed: float, geometry: str) -> np.ndarray:
    """Return energy transfers with those that no neutron can have moved to the limit."""
    limits = (None, fixed) if geometry == "direct" else (-fixed, None)
    possible: np.ndarray = np.clip(energy, *limits)
    return possible


def _energy_text(energies: np.ndarray) -> str:
    """Write a fixed energy, or how many there are, for the history."""
    if energies.size == 1:
        return f"{energies[0]:.10g} meV"
    return f"{energies.size} from {energies[0]:.10g} to {energies[-1]:.10g} meV"


def _angle_limits(value: xr.DataArray, angle_width: Any) -> np.ndarray:
    """Return the lower and upper limit of each detector in 2θ, (2, n_detector), in degrees."""
    angles = _degrees(value, "two_theta")
    if isinstance(angle_width, str) and angle_width == "neighbors":
        distinct = np.unique(angles[np.isfinite(angles)])
        if distinct.size < 2:
            raise CoordinateError(
                f"there {'is one angle' if distinct.size else 'are no angles'}",
                reason="no neighbor says how far a detector reaches",
                fix="angle_width='1 degree', or 'detector' where the data carry "
                "two_theta_width",
            )
        middle = (distinct[1:] + distinct[:-1]) / 2
        edges = np.concatenate(
            [[2 * distinct[0] - middle[0]], middle, [2 * distinct[-1] - middle[-1]]]
        )
        at = np.minimum(np.searchsorted(distinct, angles), distinct.size - 1)
        limits = np.where(
            np.isfinite(angles), np.stack([edges[at], edges[at + 1]]), np.nan
        )
    else:
        own = isinstance(angle_width, str) and angle_width == "detector"
        width = (
            _degrees(value, "two_theta_width")
            if own
            else magnitude(angle_width, "degree", name="angle_width")
        )
        if not np.all((np.asarray(width) > 0) | np.isnan(angles)):
            raise CoordinateError(
                "the width of a detector in 2θ is not positive",
                reason="it would cover nothing",
                fix="angle_width='neighbors', or a width with units",
            )
        limits = np.stack([angles - width / 2, angles + width / 2])
    return np.clip(limits, 0.0, 180.0)


def _degrees(value: xr.DataArray, name: str) -> np.ndarray:
    if name not in value.coords or value[name].dims != ("detector",):
        raise CoordinateError(
            f"the detectors have no '{name}'",
            reason="their place in Q follows from it",
            fix=f"data = data.assign_coords({name}=('detector', values, {{'units': "
            "'degree'}))",
        )
    factor = convert_factor(
        value[name].attrs.get("units", "1"), "degree", name=f"coordinate '{name}'"
    )
    degrees: np.ndarray = value[name].values.astype(float) * factor
    if ((degrees < 0) | (degrees > 180)).any():
        raise CoordinateError(
            f"'{name}' reaches from {np.nanmin(degrees):g} to {np.nanmax(degrees):g} "
            "degrees",
            reason="a scattering angle is between 0 and 180 degrees",
            fix="give the polar angle, not the angle of a goniometer",
        )
    return degrees


def _edges(Q: Any, reach: float) -> np.ndarray:
    if isinstance(Q, str) or np.ndim(getattr(Q, "magnitude", Q)) == 0:
        width = magnitude(Q, "1/angstrom", name="Q")
        # As many whole bins as hold the data; one that is no width is refused where all
        # are.
        end = np.ceil(reach / width) * width if width > 0 else reach
        return new_edges(
            "Q",
            f"{width!r} 1/angstrom",
            "edges",
            np.zeros(1),
            np.array([end]),
            "1/angstrom",
        )
    edges = new_edges("Q", Q, "edges", np.zeros(1), np.array([reach]), "1/angstrom")
    if edges[0] < 0:
        raise RangeError(
            f"the bins of Q begin at {edges[0]:g}",
            reason="Q is a magnitude",
            fix="begin at 0",
        )
    return edges


def _is_to_be_applied(value: xr.DataArray, given: str | None) -> bool:
    """Tell whether kᵢ/k_f is still to be applied."""
    said = value.attrs.get("ki_over_kf")
    if len({said, given} - {None}) != 1:
        raise QuantityError(
            f"ki_over_kf={given!r}, and the data say {said!r}",
            reason="spectra that were not multiplied by kᵢ/k_f are a cross section, "
            "not S",
            fix="angle_to_Q(..., ki_over_kf='applied') or 'not applied'; leave it out "
            "where the data say it",
        )
    return (given or said) == "not applied"


def _ki_over_kf(energy: np.ndarray, fixed: float, geometry: str) -> np.ndarray:
    """Return kᵢ/k_f over E; NaN where the neutron stops."""
    ki, kf = wave_numbers(energy, fixed, geometry)
    return np.where(kf > 0, ki / np.where(kf > 0, kf, 1.0), np.nan)
