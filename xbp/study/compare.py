"""Whether everything known about a glass agrees on one energy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core.errors import QuantityError
from xbp.core.guards import choose
from xbp.core.operation import operation
from xbp.core.schema import DATASET_LABELS
from xbp.core.signal import extend_history, is_computed, read
from xbp.core.status import (
    FIT_LABELS,
    POOR_CHI2,
    POOR_RESIDUAL,
    Diagnostic,
    Status,
    diagnosed,
)
from xbp.core.units import convert_factor
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
    r"""Compare the boson-peak energies of a study.

    .. math:: \Delta = \frac{E_\max - E_\min}{E_\max}, \qquad
              \bar E = \frac{1^T C^{-1} E}{1^T C^{-1} 1}, \qquad
              \chi^2 = (E - \bar E)^T C^{-1} (E - \bar E)

    C is the covariance of the energies: σ_i² on the diagonal and, off the diagonal, the
    errors that two leaves share, such as that of a common temperature
    (``energy_std_common`` in their tables). Without shared errors, the mean is weighted
    by 1/σ_i².

    Δ is the largest discrepancy: 11 % for the 5.5, 6.0 and 6.2 meV of neutrons, Raman
    scattering and heat capacity in the reference. It is the largest difference divided
    by the largest energy (divided by the mean it would be 12 %, by the smallest 13 %).

    Parameters
    ----------
    study : xarray.DataTree
        From `new_study`.
    among : sequence of str, optional
        The leaves from which spread, discrepancy, mean and χ² are computed; by default
        all of them. The table lists every leaf in any case.
    heat_capacity : {"peak", "einstein"}
        Which energy of a fitted heat capacity is compared: the maximum of its g/E², as
        for every other leaf, or the mean energy of its Einstein modes, k_Bθ_E, as in
        the reference.

    Returns
    -------
    xarray.Dataset
        Over ``leaf``: ``energy`` in meV; ``energy_std`` = √(b² statistical² +
        systematic²), with ``statistical_std`` of the fit (NaN for a model, which is not
        a measurement), ``systematic_std`` as given to `new_study` or found by
        `scan_boson_peak` or `scan_heat_capacity` (otherwise 0), and b² the
        reduced chi-squared of the fit if that is above 1 (Birge's ratio; above 10 the
        fit has multiplied its error by it); ``status`` of
        the peak (if not "ok", ``energy`` is NaN); ``kind`` of the leaf; ``method``;
        ``E_low`` and ``E_high`` of the range fitted, or ``temperature_low`` and
        ``temperature_high``; ``chi2_reduced`` and ``relative_residual`` of the fit;
        ``modes_below`` and ``width`` of the peak; ``source`` of the leaf, or "";
        ``box_phonon``, the first phonon of a simulated box; for a heat capacity, both
        energies, ``dos_peak`` and ``einstein_energy``, with stds; ``compared``, 1 for
        the leaves from which the totals are computed. Totals: ``n_energies`` compared;
        ``spread`` = E_max − E_min; ``discrepancy`` with its std; ``mean_energy`` with
        its std, times √(χ²/ν) if that is above 1, as the Particle Data Group does;
        ``chi2``, ``degrees_of_freedom`` and ``p_value`` of the
        hypothesis that all energies are equal, from the leaves with an error (NaN if
        there are fewer than two).

    Raises
    ------
    QuantityError
        If `study` is not a study, or `among` names a leaf that it does not have.
    XbpError
        If a leaf does not follow the data model.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Fig. 2; R. T.
    Birge, Phys. Rev. 40, 207 (1932), doi:10.1103/PhysRev.40.207.

    Examples
    --------
    >>> from xbp.study import new_study, stated_energy
    >>> given = {"ins": "5.5 meV", "raman": "6.0 meV", "heat_capacity": "6.2 meV"}
    >>> study = new_study(
    ...     {name: stated_energy(value, "0.4 meV", reference="doi:...")
    ...      for name, value in given.items()})
    >>> table = study.bp.compare()
    >>> round(float(table.discrepancy), 3), round(float(table.p_value), 2)
    (0.113, 0.44)
    """
    leaves = leaves_of(study)
    choose(heat_capacity, EinsteinOr, "heat_capacity")
    names = [leaf.name for leaf in leaves]
    chosen: list[Any] = names if among is None else [among]
    if isinstance(among, Iterable) and not isinstance(among, str):
        chosen = list(among)
    for name in chosen:
        choose(name, names, "among")
    if not chosen:
        raise QuantityError("among= is empty", fix=f"among={names}")
    rows = [_row(leaf, heat_capacity) for leaf in leaves]
    columns: dict[str, Any] = {}
    for key, (label, units) in _COLUMNS.items():
        attrs = {"long_name": label} | ({"units": units} if units else {})
        columns[key] = ("leaf", np.array([row[key] for row in rows]), attrs)
    columns["energy"][2]["ancillary_variables"] = "energy_std"
    energy, std = columns["energy"][1], columns["energy_std"][1]
    inside = np.array([name in chosen for name in names]) & np.isfinite(energy)
    compared = {"long_name": "whether spread, mean and chi2 are computed from it"}
    columns["compared"] = ("leaf", inside.astype(np.int8), compared)
    shared = _shared([row for row, in_ in zip(rows, inside, strict=True) if in_])
    found = _totals(energy[inside], std[inside], shared)
    for key, (label, units) in _TOTALS.items():
        columns[key] = ((), found[key], {"long_name": label, "units": units})
    for key in ("discrepancy", "mean_energy"):
        columns[key][2]["ancillary_variables"] = f"{key}_std"
    given = {"among": None if among is None else chosen, "heat_capacity": heat_capacity}
    return xr.Dataset(
        columns,
        coords={"leaf": ("leaf", names, {"long_name": "leaf of the study"})},
        attrs={
            **DATASET_LABELS,
            "quantity": "compare",
            "heat_capacity": heat_capacity,
            **diagnosed({}, *_doubts(columns, names)),
            "history": extend_history(study.attrs.get("history"), "compare", given),
        },
    )


def _doubts(columns: dict[str, Any], names: list[str]) -> Iterator[Diagnostic]:
    """Yield diagnostics: energies that differ or share a source, errors too small."""
    column = {key: np.asarray(value[1]) for key, value in columns.items()}
    compared = column["compared"].astype(bool)
    if float(column["p_value"]) < 0.01:
        yield Diagnostic(
            "energies_differ",
            "warning",
            "the energies do not agree within their errors",
        )
    sources = np.where(compared, column["source"], "").tolist()
    for source in dict.fromkeys(filter(None, sources)):
        same = [name for name, own in zip(names, sources, strict=True) if own == source]
        if len(same) > 1:
            yield Diagnostic(
                "same_source",
                "warning",
                f"{', '.join(same)} are of one source ({source:.60}), counted "
                f"{len(same)} times",
                "pass among=[...] with one of them",
            )
    fitted = compared & (column["kind"] != "stated")
    ok = column["status"] == Status.OK
    kinds: tuple[tuple[Literal["info", "warning"], str, Any, str, str], ...] = (
        (
            "warning",
            "narrow_peak",
            ok & (column["width"] < 0.3 * column["energy"]),
            "narrower than 0.3 of the energy: a van Hove singularity?",
            "",
        ),
        (
            "warning",
            "many_modes_below",
            ok & (column["modes_below"] > 0.1),
            "over 10 % of all modes are below: a van Hove singularity?",
            "",
        ),
        (
            "warning",
            "poor_fit",
            ok & (column["chi2_reduced"] > POOR_CHI2)
            | ok
            & (column["relative_residual"] > POOR_RESIDUAL)
            & np.isnan(column["chi2_reduced"]),
            "poor fit: the fit range matters more than the error",
            "",
        ),
        (
            "info",
            "no_systematic_error",
            fitted & (column["systematic_std"] == 0),
            "no systematic error",
            "scan_boson_peak(), scan_heat_capacity(), or systematic=",
        ),
        (
            "info",
            "no_error",
            compared & ~np.isfinite(column["energy_std"]),
            "no error, so left out of mean and chi2",
            "",
        ),
    )
    for severity, code, lacking, text, fix in kinds:
        which = [name for name, lacks in zip(names, lacking, strict=True) if lacks]
        if which:
            yield Diagnostic(code, severity, f"{', '.join(which)}: {text}", fix)


#: Long name and units.
_COLUMNS = {
    "energy": (FIT_LABELS["energy"], "meV"),
    "energy_std": ("standard deviation, systematic included", "meV"),
    "statistical_std": ("statistical standard deviation", "meV"),
    "systematic_std": ("systematic error of energy", "meV"),
    "status": ("whether energy can be used", ""),
    "kind": ("what the leaf is", ""),
    "method": ("shape that was fitted", ""),
    "E_low": (FIT_LABELS["E_low"], "meV"),
    "E_high": (FIT_LABELS["E_high"], "meV"),
    "temperature_low": ("lowest temperature fitted", "K"),
    "temperature_high": ("highest temperature fitted", "K"),
    "chi2_reduced": (FIT_LABELS["chi2_reduced"], "1"),
    "relative_residual": (FIT_LABELS["relative_residual"], "1"),
    "width": ("full width at half maximum of the peak", "meV"),
    "source": ("where the leaf is from", ""),
    "modes_below": (FIT_LABELS["modes_below"], "1"),
    "box_phonon": ("first transverse phonon of the box", "meV"),
    "dos_peak": ("maximum of the fitted g/E²", "meV"),
    "dos_peak_std": ("standard deviation of dos_peak", "meV"),
    "einstein_energy": (
        "mean energy of the Einstein modes",
        "meV",
    ),
    "einstein_energy_std": (
        "standard deviation of einstein_energy",
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
    "p_value": ("probability of a larger chi2", "1"),
}


def _row(leaf: Leaf, heat_capacity: EinsteinOr) -> dict[str, Any]:
    """Return the row of one leaf."""
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
    if heat and str(table["peak_status"].values) in (
        Status.UNPHYSICAL,
        Status.NO_EXCESS,
    ):
        # Neither of its energies has a meaning.
        status = str(table["peak_status"].values)
    energy, statistical = mev(key), mev(f"{key}_std")
    if status != Status.OK or not np.isfinite(energy):
        energy, statistical = np.nan, np.nan
    if is_computed(table if spectrum is None else read(spectrum, "reduced_dos").value):
        # How far a shape misses a formula is not an error of an energy.
        statistical = np.nan
    # As given for the leaf, or else as a scan of ranges and shapes found it.
    found = mev("systematic_E" if key == "energy_E" else "systematic")
    systematic = float(
        leaf.option("systematic") or (found if np.isfinite(found) else 0.0)
    )
    chi2 = float(table["chi2_reduced"]) if "chi2_reduced" in table else np.nan
    # Above that limit the fit has done it.
    birge = np.sqrt(chi2) if 1 < chi2 <= POOR_CHI2 else 1.0
    model = {
        "stated": "stated",
        "fit_heat_capacity": "maximum of g/E2" if key == "energy" else "Einstein modes",
    }
    factors = table.get(f"{key}_std_common")
    common = {}
    if factors is not None and np.isfinite(energy):
        for one in factors.transpose("source"):
            common[str(one["source"].item())] = energy / float(table[key]) * float(one)
    shared = sum(one**2 for one in common.values())
    widened = np.sqrt(birge**2 * max(statistical**2 - shared, 0.0) + shared)
    return {
        "common": common,
        "energy": energy,
        "energy_std": _error(widened, systematic) if np.isfinite(energy) else np.nan,
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
    """Add independent errors in quadrature; NaN for none."""
    known = [part for part in parts if part > 0]
    return float(np.hypot.reduce(known)) if known else np.nan


def _shared(rows: list[dict[str, Any]]) -> np.ndarray:
    """Return the off-diagonal covariance of energies from the factors they share."""
    sources = sorted({source for row in rows for source in row["common"]})
    effects = np.array([[row["common"].get(s, 0.0) for s in sources] for row in rows])
    covariance = effects @ effects.T if effects.size else np.zeros((len(rows),) * 2)
    np.fill_diagonal(covariance, 0.0)
    return covariance


@np.errstate(all="ignore")  # energies whose squares overflow give NaN
def _totals(energy: np.ndarray, std: np.ndarray, shared: np.ndarray) -> dict[str, Any]:
    """Return spread, discrepancy, mean and χ² of energies; NaN if there are too few."""
    out: dict[str, Any] = dict.fromkeys(_TOTALS, np.nan) | {"n_energies": energy.size}
    covariance = shared + np.diag(std**2)
    if energy.size >= 2:
        low, high = int(np.argmin(energy)), int(np.argmax(energy))
        ratio = energy[low] / energy[high]
        out["spread"], out["discrepancy"] = energy[high] - energy[low], 1 - ratio
        slope = np.zeros(energy.size)
        slope[low], slope[high] = 1 / energy[high], -ratio / energy[high]
        known = slope != 0
        part = slope[known] @ covariance[np.ix_(known, known)] @ slope[known]
        out["discrepancy_std"] = np.sqrt(part)
    known = np.isfinite(std**2) & (std > 0)
    energy, covariance = energy[known], covariance[np.ix_(known, known)]
    out["degrees_of_freedom"] = max(energy.size - 1, 0)
    if energy.size:
        inverse = np.linalg.pinv(covariance, hermitian=True)
        weight = inverse.sum(axis=0)
        mean = out["mean_energy"] = (weight @ energy) / weight.sum()
        out["mean_energy_std"] = 1 / np.sqrt(weight.sum())
    if energy.size >= 2:
        out["chi2"] = float((energy - mean) @ inverse @ (energy - mean))
        birge = max(out["chi2"] / out["degrees_of_freedom"], 1.0)
        out["mean_energy_std"] *= np.sqrt(birge)
        out["p_value"] = float(scipy.special.chdtrc(energy.size - 1, out["chi2"]))
    return out
