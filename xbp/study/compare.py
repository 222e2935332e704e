"""Whether all that is known of a glass means one energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.operation import operation
from xbp.core.schema import CONVENTIONS, SCHEMA_VERSION
from xbp.core.signal import extend_history, is_computed, read
from xbp.core.status import NO_EXCESS, OK, UNPHYSICAL
from xbp.core.units import convert_factor, is_one_of
from xbp.study.leaf import Leaf, leaves_of

__all__ = ["EinsteinOr", "compare"]

EinsteinOr = Literal["peak", "einstein"]


@operation(takes="study", where="study")
def compare(
    study: xr.DataTree,
    among: Sequence[str] | None = None,
    *,
    heat_capacity: EinsteinOr = "peak",
) -> xr.Dataset:
    r"""Lay the boson-peak energies of a study side by side.

    .. math:: \Delta = \frac{E_\max - E_\min}{E_\max}, \qquad
              \bar E = \frac{\sum E_i/\sigma_i^2}{\sum 1/\sigma_i^2}, \qquad
              \chi^2 = \sum \frac{(E_i - \bar E)^2}{\sigma_i^2}

    Δ is the largest discrepancy: 11 % for the 5.5, 6.0 and 6.2 meV of neutrons, Raman
    scattering and heat capacity in the reference, which is the largest difference over
    the largest energy (over the mean it would be 12 %, over the smallest 13 %).

    Parameters
    ----------
    study : xarray.DataTree
        From `new_study`.
    among : sequence of str, optional
        The leaves that spread, discrepancy, mean and χ² are of; by default all. Every
        leaf is in the table.
    heat_capacity : {"peak", "einstein"}
        Which energy stands for a fit of the heat capacity: the maximum of its g/E², as
        for every other leaf, or the mean energy of its Einstein modes k_Bθ_E, which the
        reference compares.

    Returns
    -------
    xarray.Dataset
        Over ``leaf``: ``energy`` in meV; ``energy_std`` = √(b² statistical² +
        systematic²), with ``statistical_std`` of the fit (NaN of a model, in which
        nothing was measured), ``systematic_std`` as `new_study` was told it, or as
        `scan_boson_peak` or `scan_heat_capacity` found it (0 where neither did), and b²
        the fit's reduced chi-squared where that is above 1 (Birge's ratio: the shape
        misses the data by more than counting explains, and so may the energy);
        ``status`` of the peak, ``energy`` being NaN wherever it is not "ok" ("box
        phonon" for one); ``kind`` of the leaf; ``method``; ``E_low`` and ``E_high`` of
        the range fitted, or ``temperature_low`` and ``temperature_high``;
        ``chi2_reduced`` and ``relative_residual`` of the fit; ``modes_below`` and
        ``width`` of the peak; ``source`` of the leaf, "" where it is not known;
        ``box_phonon``, the first phonon of a simulated box; of a heat capacity both its
        energies, ``dos_peak`` and ``einstein_energy``, with stds; ``compared``, 1 for
        the leaves with an energy that the rest is of. In all: ``n_energies`` compared;
        ``spread`` = E_max − E_min; ``discrepancy`` with its std; ``mean_energy``
        (weighted) with its std, times √(χ²/ν) where that is above 1, as the Particle
        Data Group has it; ``chi2``, ``degrees_of_freedom`` and ``p_value`` of "all one
        energy", from the leaves with an error (NaN where these are fewer than two).

    Raises
    ------
    QuantityError
        If it is no study, or `among` names no leaf of it.
    XbpError
        If a leaf does not follow the data model.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Fig. 2; R. T.
    Birge, Phys. Rev. 40, 207 (1932), doi:10.1103/PhysRev.40.207.

    Examples
    --------
    >>> from xbp.study import new_study, stated_energy
    >>> said = {"ins": "5.5 meV", "raman": "6.0 meV", "heat_capacity": "6.2 meV"}
    >>> study = new_study({k: stated_energy(v, "0.4 meV", reference="doi:...") for k, v in said.items()})
    >>> table = study.bp.compare()
    >>> round(float(table.discrepancy), 3), round(float(table.p_value), 2)
    (0.113, 0.44)
    """
    leaves = leaves_of(study)
    if not is_one_of(heat_capacity, *get_args(EinsteinOr)):
        raise QuantityError(
            f"heat_capacity={heat_capacity!r} is not known",
            reason="a fit of the heat capacity has two energies",
            fix="'peak' (maximum of g/E²) or 'einstein' (mean of the Einstein modes)",
        )
    names = [leaf.name for leaf in leaves]
    chosen = (
        names
        if among is None
        else [among]
        if isinstance(among, str) or not hasattr(among, "__iter__")
        else among
    )
    chosen = list(chosen)
    unknown = [name for name in chosen if name not in names]
    if unknown or not chosen:
        raise QuantityError(
            f"among names {unknown[0]!r}" if unknown else "among is empty",
            reason=f"the leaves are {', '.join(map(repr, names))}",
            fix="choose among them",
        )
    rows = [_row(leaf, heat_capacity) for leaf in leaves]
    columns: dict[str, Any] = {}
    for key, (label, units) in _COLUMNS.items():
        attrs = {"long_name": label} | ({"units": units} if units else {})
        columns[key] = ("leaf", np.array([row[key] for row in rows]), attrs)
    columns["energy"][2]["ancillary_variables"] = "energy_std"
    inside = np.array([name in chosen for name in names]) & np.isfinite(
        columns["energy"][1]
    )
    columns["compared"] = (
        "leaf",
        inside.astype(np.int8),
        {"long_name": "whether spread, mean and chi2 are of it"},
    )
    found = _together(columns["energy"][1][inside], columns["energy_std"][1][inside])
    for key, (label, units) in _TOTALS.items():
        columns[key] = ((), found[key], {"long_name": label, "units": units})
    for key in ("discrepancy", "mean_energy"):
        columns[key][2]["ancillary_variables"] = f"{key}_std"
    said = {"among": None if among is None else chosen, "heat_capacity": heat_capacity}
    return xr.Dataset(
        columns,
        coords={"leaf": ("leaf", names, {"long_name": "leaf of the study"})},
        attrs={
            "Conventions": CONVENTIONS,
            "xbp_schema": SCHEMA_VERSION,
            "quantity": "compare",
            "heat_capacity": heat_capacity,
            "history": extend_history(study.attrs.get("history"), "compare", said),
        },
    )


#: Long name and units.
_COLUMNS = {
    "energy": ("energy of the boson peak", "meV"),
    "energy_std": ("standard deviation of energy, systematic included", "meV"),
    "statistical_std": ("statistical standard deviation of energy", "meV"),
    "systematic_std": ("systematic error of energy", "meV"),
    "status": ("whether energy can be used", ""),
    "kind": ("what the leaf is", ""),
    "method": ("shape that was fitted", ""),
    "E_low": ("lowest energy fitted", "meV"),
    "E_high": ("highest energy fitted", "meV"),
    "temperature_low": ("lowest temperature fitted", "K"),
    "temperature_high": ("highest temperature fitted", "K"),
    "chi2_reduced": ("reduced chi-squared of the fit", "1"),
    "relative_residual": ("rms residual of the fit over the data", "1"),
    "width": ("full width at half maximum of the peak", "meV"),
    "source": ("where the leaf is from", ""),
    "modes_below": ("part of the area of E² B below the peak", "1"),
    "box_phonon": ("first transverse phonon of the simulated box", "meV"),
    "dos_peak": ("maximum of g/E² of a fitted heat capacity", "meV"),
    "dos_peak_std": ("standard deviation of dos_peak, that of a scan included", "meV"),
    "einstein_energy": (
        "mean energy of the Einstein modes of a fitted heat capacity",
        "meV",
    ),
    "einstein_energy_std": (
        "standard deviation of einstein_energy, that of a scan included",
        "meV",
    ),
}
_TOTALS = {
    "n_energies": ("number of energies compared", "1"),
    "spread": ("largest difference of two energies", "meV"),
    "discrepancy": ("largest difference over the largest energy", "1"),
    "discrepancy_std": ("standard deviation of discrepancy", "1"),
    "mean_energy": ("weighted mean of the energies", "meV"),
    "mean_energy_std": ("standard deviation of mean_energy", "meV"),
    "chi2": ("chi-squared of all being one energy", "1"),
    "degrees_of_freedom": ("degrees of freedom of chi2", "1"),
    "p_value": ("probability of a larger chi2 if all are one energy", "1"),
}


def _row(leaf: Leaf, heat_capacity: EinsteinOr) -> dict[str, Any]:
    """Return what the table says of one leaf."""
    spectrum = leaf.spectrum()
    table = leaf.peak(spectrum)

    def mev(name: str) -> float:
        if name not in table.variables:
            return np.nan
        return float(table[name]) * convert_factor(
            table[name].attrs["units"], "meV", name=f"'{name}'", energy=True
        )

    heat = leaf.kind == "fit_heat_capacity"
    key = "energy_E" if heat and heat_capacity == "einstein" else "energy"
    status = str(table["peak_status" if heat and key == "energy" else "status"].values)
    if heat and str(table["peak_status"].values) in (UNPHYSICAL, NO_EXCESS):
        status = str(
            table["peak_status"].values
        )  # neither of its energies means anything
    energy, statistical = mev(key), mev(f"{key}_std")
    if status != OK or not np.isfinite(energy):
        energy, statistical = np.nan, np.nan
    if is_computed(table if spectrum is None else read(spectrum, "reduced_dos").value):
        # nothing was measured: how far a shape misses a formula is no error of an
        # energy
        statistical = np.nan
    # What was said of the leaf, or else what a scan of ranges and shapes found.
    found = mev("systematic_E" if key == "energy_E" else "systematic")
    systematic = float(
        leaf.option("systematic") or (found if np.isfinite(found) else 0.0)
    )
    chi2 = float(table["chi2_reduced"]) if "chi2_reduced" in table else np.nan
    birge = np.sqrt(chi2) if chi2 > 1 else 1.0
    model = {
        "stated": "stated",
        "fit_heat_capacity": "maximum of g/E2" if key == "energy" else "Einstein modes",
    }
    return {
        "energy": energy,
        "energy_std": _error(birge * statistical, systematic)
        if np.isfinite(energy)
        else np.nan,
        "statistical_std": statistical,
        "systematic_std": systematic,
        "status": status,
        "kind": leaf.kind,
        "method": model.get(leaf.kind, str(table.attrs.get("method", ""))),
        "E_low": mev("E_low"),
        "E_high": mev("E_high"),
        "temperature_low": float(table.get("temperature_low", np.nan)),
        "temperature_high": float(table.get("temperature_high", np.nan)),
        "chi2_reduced": chi2,
        "relative_residual": float(table.get("relative_residual", np.nan)),
        "width": mev("width"),
        "source": leaf.source,
        "modes_below": float(table.get("modes_below", np.nan)),
        "box_phonon": mev("box_phonon"),
        "dos_peak": mev("energy") if heat else np.nan,
        "dos_peak_std": _error(birge * mev("energy_std"), mev("systematic"))
        if heat
        else np.nan,
        "einstein_energy": mev("energy_E"),
        "einstein_energy_std": _error(birge * mev("energy_E_std"), mev("systematic_E")),
    }


def _error(*parts: float) -> float:
    """Return independent errors together; NaN where there is none."""
    known = [part for part in parts if part > 0]
    return float(np.hypot.reduce(known)) if known else np.nan


@np.errstate(
    all="ignore"
)  # of errors or energies that are no numbers when squared, nothing is said: NaN
def _together(energy: np.ndarray, std: np.ndarray) -> dict[str, Any]:
    """Return spread, discrepancy, mean and χ² of energies.

    NaN where there are too few.
    """
    known = np.isfinite(energy)
    energy, std = energy[known], std[known]
    out: dict[str, Any] = dict.fromkeys(_TOTALS, np.nan) | {"n_energies": energy.size}
    if energy.size >= 2:
        low, high = int(np.argmin(energy)), int(np.argmax(energy))
        ratio = energy[low] / energy[high]
        out["spread"], out["discrepancy"] = energy[high] - energy[low], 1 - ratio
        out["discrepancy_std"] = ratio * np.hypot(
            std[low] / energy[low], std[high] / energy[high]
        )
    weighed = np.isfinite(std) & (std > 0)
    energy, std = energy[weighed], std[weighed]
    out["degrees_of_freedom"] = max(energy.size - 1, 0)
    if energy.size:
        weight = 1 / std**2
        out["mean_energy"], out["mean_energy_std"] = (
            (weight @ energy) / weight.sum(),
            1 / np.sqrt(weight.sum()),
        )
    if energy.size >= 2:
        out["chi2"] = float((weight * (energy - out["mean_energy"]) ** 2).sum())
        out["mean_energy_std"] *= np.sqrt(
            max(out["chi2"] / out["degrees_of_freedom"], 1.0)
        )
        out["p_value"] = float(scipy.special.chdtrc(energy.size - 1, out["chi2"]))
    return out
