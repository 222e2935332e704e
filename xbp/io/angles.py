"""Spectra of detectors at their angles.

S(2θ,E) as reductions of direct and indirect geometry leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.construct import new_dataset
from xbp.core.schema import COORDINATES
from xbp.io.measured import measured

__all__ = ["KI_OVER_KF", "angle_dataset", "with_fixed_energy"]

#: Whether the spectra were multiplied by k_i/k_f, so that S is left of the cross
#: section.
KI_OVER_KF: Final = {True: "applied", False: "not applied"}

_ANGLES = {
    "two_theta": ("degree", COORDINATES["two_theta"][1]),
    "two_theta_width": ("degree", "width of the detector in scattering angle"),
    "azimuth": ("degree", "azimuthal angle"),
    "azimuth_width": ("degree", "width of the detector in azimuthal angle"),
    "distance": ("m", "distance from the sample"),
}


def masked_rows(values: np.ndarray, std: np.ndarray | None) -> np.ndarray:
    """Tell which detectors hold nothing.

    Zeros without an error, NaN or sentinels in every bin.
    """
    seen, errors = measured(values, std)
    empty = np.isnan(seen) | (seen == 0)
    if errors is not None:
        empty &= ~((seen == 0) & (errors > 0))
    return np.asarray(empty.all(axis=1))


def angle_dataset(
    values: np.ndarray,
    std: np.ndarray | None,
    *,
    detector: np.ndarray,
    angles: Mapping[str, np.ndarray],
    E_edges: np.ndarray | None = None,
    E: np.ndarray | None = None,
    incident_energy: float | np.ndarray | None = None,
    final_energy: float | np.ndarray | None = None,
    geometry: str | None = None,
    temperature: Any = None,
    ki_over_kf: bool | None = None,
    units: str = "1/meV",
    attrs: Mapping[str, str | int],
) -> xr.Dataset:
    """Label spectra over detectors and energy transfer.

    Parameters
    ----------
    values, std : numpy.ndarray, shape (n_detector, n_E)
        Spectra per meV, and their standard deviations, as `measured` takes them.
    detector : numpy.ndarray of int, shape (n_detector,)
        What the detectors are called.
    angles : mapping of str to numpy.ndarray, shape (n_detector,)
        ``two_theta`` (degrees, NaN where not known) and any of ``two_theta_width``,
        ``azimuth``, ``azimuth_width`` (degrees) and ``distance`` (m).
    E_edges, E : numpy.ndarray, shape (n_E + 1,) or (n_E,)
        Bin edges or centres in meV.
    incident_energy, final_energy : float or numpy.ndarray, shape (n_detector,),
    optional
        The fixed energy in meV, of direct or of indirect geometry.
    geometry : {"direct", "indirect"}, optional
        Where it is known without the energy.
    temperature : scalar with units, optional
        Of the sample.
    ki_over_kf : bool, optional
        Whether k_i/k_f is applied; None where that is not known.
    units : str
        Of the spectra.
    attrs : mapping
        Of the Dataset.

    Returns
    -------
    xarray.Dataset
        ``S(detector, E)``, with the angles and ``masked`` as coordinates of the
        detectors. Masked detectors, and bins that were not measured, are NaN.
    """
    masked = masked_rows(values, std) | np.isnan(angles["two_theta"])
    values, std = measured(values, std, mask=masked[:, np.newaxis])
    centres = (E_edges[1:] + E_edges[:-1]) / 2 if E_edges is not None else E
    ds = new_dataset(
        "detector_spectra",
        values,
        std=std,
        units=units,
        coords={"detector": (detector, "1"), "E": (centres, "meV")},
        edges=None if E_edges is None else {"E": E_edges},
        temperature=temperature,
        statistics="quantum",
        attrs=attrs,
    )
    if ki_over_kf is not None:
        ds.S.attrs["ki_over_kf"] = KI_OVER_KF[ki_over_kf]
    labels = {"long_name": "detector", "units": "1"}
    ds = ds.assign_coords(detector=("detector", detector.astype(np.int64), labels))
    for name, (units, long_name) in _ANGLES.items():
        if name in angles:
            labels = {"units": units, "long_name": long_name}
            ds = ds.assign_coords(
                {name: ("detector", np.asarray(angles[name], dtype=float), labels)}
            )
    ds = ds.assign_coords(
        masked=("detector", masked, {"long_name": "detectors without data"})
    )
    return with_fixed_energy(
        ds,
        incident_energy=incident_energy,
        final_energy=final_energy,
        geometry=geometry,
    )


def with_fixed_energy(
    ds: xr.Dataset,
    *,
    incident_energy: float | np.ndarray | None = None,
    final_energy: float | np.ndarray | None = None,
    geometry: str | None = None,
) -> xr.Dataset:
    """Give data the energy that the instrument fixes, and the geometry that follows from which it is.

    Energies of the detectors that are all the same become one.
    """
    for kind, energy in (("direct", incident_energy), ("indirect", final_energy)):
        if energy is None:
            continue
        geometry = kind
        values = np.unique(np.asarray(energy)[np.isfinite(energy)])
        one = values.size == 1
        units, long_name = COORDINATES[FIXED_ENERGY[kind]]
        own = ((), values[0]) if one else ("detector", np.asarray(energy, dtype=float))
        ds = ds.assign_coords(
            {FIXED_ENERGY[kind]: (*own, {"units": units, "long_name": long_name})}
        )
    if geometry is not None:
        ds.S.attrs["geometry"] = geometry
    return ds
