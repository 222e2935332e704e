"""S(2θ,E) → S(Q,E), by the exact overlap of curved cells and bins; limits of Q."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import FIXED_ENERGY, resolve_fixed_energy
from xbp.core.errors import CoordinateError, QuantityError, RangeError
from xbp.core.grid import bin_limits, is_pair
from xbp.core.guards import choose, require_dims, require_number, require_positive
from xbp.core.independence import collapsed, independence_name, independence_variable
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.schema import COORDINATES
from xbp.core.signal import read, result_table
from xbp.core.units import convert_factor
from xbp.reduction.bins import is_width, new_edges
from xbp.reduction.kinematics import momentum_transfer, overlap_sums, wave_numbers

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
        degrees). Widths in files are of no use if several detectors were added up.
    ki_over_kf : {"applied", "not applied"}, optional
        Whether the data were multiplied by kᵢ/k_f, if they do not record it. If not,
        they are multiplied, at the centre of each bin of E.
    variance : {"exact", "shared"}
        "exact": σ² = Σ a_c² σ_c²/(Σ a_c)², right for each bin; neighbors that share a
        cell are correlated, and ``Q_independence`` is the part of an independent bin
        that each represents, so that cuts and fits over Q have the right errors too.
        "shared": σ² = Σ a_c A_c σ_c²/(Σ a_c)², A_c the whole cell: the sum over all
        bins keeps the total variance, while a single bin is too uncertain.

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
        If the data are not S(2θ,E), or do not record whether kᵢ/k_f was applied.

    References
    ----------
    Mantid's SofQWNormalisedPolygon does the same with straight-sided quadrilaterals: O.
    Arnold et al., Nucl. Instrum. Methods A 764, 156 (2014),
    doi:10.1016/j.nima.2014.07.029.

    Examples
    --------
    >>> import numpy as np
    >>> import xbp
    >>> flat = xbp.new_dataset(
    ...     "detector_spectra", np.ones((3, 4)), units="1/meV",
    ...     coords={"detector": ([1, 2, 3], "1"), "E": ([0.5, 1.5, 2.5, 3.5], "meV")})
    >>> angles = ("detector", [30.0, 60.0, 90.0], {"units": "degree"})
    >>> flat = flat.assign_coords(two_theta=angles)
    >>> S = angle_to_Q(flat, 1, incident_energy="20 meV", ki_over_kf="applied").S
    >>> S.sel(E=0.5).values
    array([1., 1., 1., 1., 1.])
    """
    signal = read(data, "detector_spectra")
    value = signal.value
    choose(variance, Variance, "variance")
    apply = _is_to_be_applied(value, ki_over_kf)
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    require_dims(value, ("detector", "E"), "angle_to_Q", error=CoordinateError)
    to_mev = convert_factor(
        value.E.attrs["units"], "meV", name="coordinate 'E'", energy=True
    )
    lower, upper = bin_limits(signal.source, "E")
    e_edges = np.append(lower, upper[-1]) * to_mev
    if not np.allclose(
        lower[1:], upper[:-1], rtol=0, atol=1e-9 * (upper - lower).min()
    ):
        raise CoordinateError(
            "the bins of E have gaps", fix="drop wrong bounds: data.drop_vars('E_bnds')"
        )
    limits = _angle_limits(value, angle_width)
    each = np.broadcast_to(fixed.values, (value.sizes["detector"],))
    limits = np.where(np.isfinite(each), limits, np.nan)
    known = np.isfinite(limits).all(axis=0)
    if not known.any():
        raise CoordinateError("no detector has an angle and a fixed energy")
    energies = np.unique(each[known])
    # The largest Q is at the highest k_i or k_f, or where the other neutrons stop.
    stop = -1.0 if geometry == "indirect" else 1.0
    reach = max(
        float(np.nanmax(momentum_transfer(possible, one, widest, geometry)))
        for one in energies
        for widest in [limits[1][known].max()]
        for possible in [stop * np.minimum(stop * e_edges, one)]
    )
    q_edges = _edges(Q, reach)
    centres = (e_edges[1:] + e_edges[:-1]) / 2
    lead: list[str] = [str(d) for d in value.dims if d not in ("detector", "E")]
    order = (*lead, "detector", "E")
    # Q is symmetric in k_i and k_f: indirect geometry is direct geometry with the sign
    # of E turned.
    turn = slice(None, None, 1 if geometry == "direct" else -1)
    value, std = value.transpose(*order), signal.std
    std = None if std is None else std.transpose(*order)
    sums: Any = 0.0
    for one in energies:
        # One energy for all, mostly; else the detectors of each.
        some = slice(None) if energies.size == 1 else np.flatnonzero(each == one)
        mine = {"detector": some, "E": turn}
        ki, kf = wave_numbers(centres, float(one), geometry)
        ratio = np.where(kf > 0, ki / np.where(kf > 0, kf, 1.0), np.nan)
        part = overlap_sums(
            value.isel(mine),
            None if std is None else std.isel(mine),
            limits[:, some],
            e_edges if geometry == "direct" else -e_edges[::-1],
            float(one),
            q_edges,
            (ratio if apply else np.ones(centres.size))[turn],
        )
        sums = sums + part[..., turn]
    # Slivers are rounding.
    area = np.diff(q_edges)[:, np.newaxis] * np.diff(e_edges)
    covered = sums[1] > 1e-9 * area
    total = np.where(covered, sums[1], np.nan)
    own = value.coords.variables
    coords = {str(n): c for n, c in own.items() if "detector" not in c.dims}
    coords |= collapsed(value, "detector")
    if energies.size == 1:
        labels = dict(
            zip(
                ("units", "long_name"), COORDINATES[FIXED_ENERGY[geometry]], strict=True
            )
        )
        coords.setdefault(FIXED_ENERGY[geometry], xr.Variable((), energies[0], labels))
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
    >>> angles = ("3 degree", "135 degree")
    >>> limits = kinematic_limits(S, angles, incident_energy="60 meV")
    >>> limits.Q_max.sel(E=0, method="nearest").item()
    9.94...
    """
    signal = read(data)
    value = signal.value
    require_dims(value, "E", "kinematic_limits", error=CoordinateError)
    geometry, fixed = resolve_fixed_energy(
        value, incident_energy=incident_energy, final_energy=final_energy
    )
    energies = np.unique(fixed.values[np.isfinite(fixed.values)])
    if two_theta is None and "two_theta" in value.coords:
        angles = _degrees(value, "two_theta")
        two_theta = (np.nanmin(angles), np.nanmax(angles))
    given = (0.0, 180.0) if two_theta is None else two_theta
    ends = given if is_pair(given) else (given, given)
    low, high = (
        require_number(end, "two_theta", "degree", least=0, most=180) for end in ends
    )
    if low > high:
        raise RangeError(
            f"two_theta runs from {low:g} to {high:g} degrees",
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


def _energy_text(energies: np.ndarray) -> str:
    """Write a fixed energy, or how many there are, for the history."""
    if energies.size == 1:
        return f"{energies[0]:.10g} meV"
    return f"{energies.size} from {energies[0]:.10g} to {energies[-1]:.10g} meV"


def _angle_limits(value: xr.DataArray, angle_width: Any) -> np.ndarray:
    """Return the limits of each detector in 2θ, (2, n_detector), in degrees."""
    angles = _degrees(value, "two_theta")
    if isinstance(angle_width, str) and angle_width == "neighbors":
        distinct = np.unique(angles[np.isfinite(angles)])
        if distinct.size < 2:
            raise CoordinateError(
                f"{distinct.size} angle in all: no neighbor from which a detector's "
                "width follows",
                fix="angle_width='1 degree', or 'detector' for data with "
                "two_theta_width",
            )
        middle = (distinct[1:] + distinct[:-1]) / 2
        first, last = 2 * distinct[0] - middle[0], 2 * distinct[-1] - middle[-1]
        edges = np.concatenate([[first], middle, [last]])
        at = np.minimum(np.searchsorted(distinct, angles), distinct.size - 1)
        limits = np.where(
            np.isfinite(angles), np.stack([edges[at], edges[at + 1]]), np.nan
        )
    else:
        width: Any
        if isinstance(angle_width, str) and angle_width == "detector":
            width = _degrees(value, "two_theta_width")
        else:
            width = require_positive(
                angle_width, "angle_width", "degree", error=CoordinateError
            )
        if not np.all((width > 0) | np.isnan(angles)):
            raise CoordinateError("two_theta_width of a detector is not positive")
        limits = np.stack([angles - width / 2, angles + width / 2])
    return np.clip(limits, 0.0, 180.0)


def _degrees(value: xr.DataArray, name: str) -> np.ndarray:
    if name not in value.coords or value[name].dims != ("detector",):
        raise CoordinateError(
            f"the detectors of '{value.name}' have no '{name}', from which Q follows",
            fix=f"data = data.assign_coords({name}=('detector', values, {{'units': "
            "'degree'}))",
        )
    factor = convert_factor(
        value[name].attrs.get("units", "1"), "degree", name=f"coordinate '{name}'"
    )
    degrees: np.ndarray = value[name].values.astype(float) * factor
    if ((degrees < 0) | (degrees > 180)).any():
        raise CoordinateError(
            f"'{name}' ranges from {np.nanmin(degrees):g} to {np.nanmax(degrees):g} "
            "degrees; a scattering angle is between 0 and 180"
        )
    return degrees


def _edges(Q: Any, reach: float) -> np.ndarray:
    """Return the edges of bins of Q: as given, or of one width from 0 on."""
    limits = np.zeros(1), np.array([reach])
    if is_width(Q):
        width = require_positive(Q, "Q", "1/angstrom")
        # As many whole bins as hold the data.
        limits = np.zeros(1), np.array([np.ceil(reach / width) * width])
        Q = f"{width!r} 1/angstrom"
    edges = new_edges("Q", Q, "edges", *limits, "1/angstrom")
    if edges[0] < 0:
        raise RangeError(f"the bins of Q begin at {edges[0]:g}; Q is a magnitude")
    return edges


def _is_to_be_applied(value: xr.DataArray, given: str | None) -> bool:
    """Whether the data are still to be multiplied by kᵢ/k_f."""
    if given is not None:
        choose(given, KiOverKf, "ki_over_kf")
    carried = value.attrs.get("ki_over_kf")
    if given is not None and carried is not None and given != carried:
        raise QuantityError(f"ki_over_kf={given!r} contradicts the data: {carried!r}")
    if given is None and carried is None:
        raise QuantityError(
            "the data do not record whether they were multiplied by kᵢ/k_f",
            reason="without it they are a cross section, not S",
            fix="angle_to_Q(..., ki_over_kf='applied') or 'not applied'",
        )
    return choose(given or carried, KiOverKf, "ki_over_kf") == "not applied"
