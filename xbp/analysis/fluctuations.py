"""Which local fluctuation has both features of the boson peak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from xbp import md, reduction
from xbp.analysis.boson_peak import boson_peak
from xbp.analysis.dispersion import dispersion
from xbp.analysis.pair import correlation_error, few_independent
from xbp.analysis.phonons import phonon_dispersion
from xbp.analysis.scaling import correlation_map
from xbp.analysis.simulated import energy_of_phonon
from xbp.core import constants
from xbp.core.errors import RangeError
from xbp.core.grid import select_range
from xbp.core.guards import require_number, require_positive
from xbp.core.operation import operation
from xbp.core.schema import DATASET_LABELS, labels
from xbp.core.signal import extend_history
from xbp.core.status import Diagnostic, Status, diagnosed, diagnostics
from xbp.md.plan import Plan
from xbp.md.trajectory import read_trajectory, sample_temperature
from xbp.md.window import Window

__all__ = ["PAPER_FIELDS", "compare_fluctuations"]

#: The paper's five.
PAPER_FIELDS = (
    "coordination",
    "neighbor_distance",
    "d2min",
    "volumetric_strain",
    "shear_strain",
)
#: Phonon branches are sought up to this wave vector, 1/Å: they end at the first
#: maximum of S(Q).
_BRANCHES_TO = 2.0


@operation(
    takes="trajectory",
    gives="compare_fluctuations",
    step=9,
    when=lambda traj: traj.sizes.get("time", 0) > 1,
)
def compare_fluctuations(
    data: xr.Dataset,
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    fields: str | xr.DataArray | Sequence[str | xr.DataArray] = PAPER_FIELDS,
    cutoff: Any = None,
    reference: Any = "mean",
    weights: Any = "neutron",
    energy: Any = None,
    E_range: Any = ("1 meV", "12 meV"),
    Q_range: Any = None,
    box_phonon: Any = None,
    E_max: Any = None,
    window: Any = None,
    T: Any = None,
    max_wavevectors_per_shell: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Compare the spectra of local fields with S(Q) and with the boson peak.

    The boson peak does not disperse, and its intensity follows S(Q). For each field:
    has χ(E) a maximum, has Ω(Q,E) one at the same energy at every Q, and does its
    intensity follow S(Q) there?

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory; with velocities, the phonon branches are found too.
    Q_max, dQ, window, T, max_wavevectors_per_shell, progress
        As for `dynamic_structure_factor`.
    E_max : scalar with units, optional
        Largest energy (bare: meV); by default 60 meV, or what the frames resolve.
    fields, cutoff, reference
        As for `fluctuation_spectrum`; the paper's five fields by default.
    weights
        Of S(Q,E) and S(Q), as for `dynamic_structure_factor`.
    energy : scalar with units, optional
        Where the correlations with S(Q) are compared (bare: meV). By default the
        maximum of B(E) over `Q_range`, fitted over `E_range`.
    E_range : pair of scalars with units
        Energies in which the peaks are fitted by log-normal curves.
    Q_range : pair of scalars with units, optional
        Momentum transfers over which peaks and correlations are compared.
    box_phonon : xarray.Dataset or scalar with units, optional
        Lowest phonon of the box, or what `box_phonon` returned, as for `boson_peak`,
        without which ``E_BP_status`` is "box unknown". The table has it as a
        coordinate, and the figures mark it.

    Returns
    -------
    xarray.Dataset
        Over ``field``: ``chi_energy``, the maximum of χ(E), with ``chi_status``;
        ``mean_energy``, ``scatter`` and ``slope`` of the maxima of Ω(Q,E), found at
        ``n_peaks`` of ``n_Q`` wave vectors; ``r_at_boson_peak``, Pearson's r of Ω(Q,
        E_BP) with S(Q); most with ``_std``. Over field and E ``pearson_r`` and ``chi``
        (of unit area); over field, Q and E ``Omega``. Also ``B`` and ``Sq`` of the
        trajectory, the scalar ``E_BP`` with ``E_BP_status`` ("ok", "given", or why B(E)
        has no peak), and ``phonon_energy`` over ``branch`` and ``Q_branch``. Energies
        of peaks are NaN where no peak was found, and so is ``r_at_boson_peak`` where
        B(E) has none: see ``pearson_r``.

    Raises
    ------
    XbpError
        As for `fluctuation_spectrum`, `boson_peak` and `correlation_map`, before
        anything is computed.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Fig. 4.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     100, 400, cell=12, energy="8 meV", T=300, mass=40, time_step="25 fs",
    ...     element="Cu", rng=1)
    >>> table = xbp.compare_fluctuations(
    ...     solid, 4, 0.5, cutoff=4.5, window="2.5 ps",
    ...     fields=["coordination", "shear_strain"], energy="8 meV", E_range=(4, 12))
    >>> table.pearson_r.dims, table.chi_energy.sel(field="shear_strain").round().item()
    (('field', 'E'), 8.0)
    """
    trajectory = read_trajectory(data)
    if E_max is None:
        E_max = min(60.0, constants.PLANCK / (2 * trajectory.time_step))
    common = {
        "E_max": E_max, "window": window, "T": T,
        "max_wavevectors_per_shell": max_wavevectors_per_shell,
        "progress": progress,
    }  # fmt: skip
    _rehearse(
        data,
        Q_max,
        dQ,
        weights,
        energy,
        E_range,
        Q_range,
        box_phonon,
        E_max,
        window,
        T,
        max_wavevectors_per_shell,
    )
    chosen = [fields] if isinstance(fields, str | xr.DataArray) else list(fields)
    # Before S(Q,E): an invalid field is refused at once.
    spectra = md.fluctuation_spectrum(
        data, chosen, Q_max, dQ, cutoff=cutoff, reference=reference, **common
    )
    assert isinstance(spectra, xr.DataTree)
    sqe = md.dynamic_structure_factor(data, Q_max, dQ, weights=weights, **common)
    b = reduction.to_bqe(sqe)
    at, status, edges = _energy_compared(b, energy, E_range, Q_range, box_phonon)
    box = float(np.linalg.norm(trajectory.mean_cell, axis=-1).min())
    rows = {
        name: _row(node.to_dataset(), sqe, at, E_range, Q_range, box)
        for name, node in spectra.children.items()
    }
    table = xr.concat(
        list(rows.values()),
        dim=xr.Variable("field", list(rows)),
        combine_attrs="override",
    )
    own = correlation_map(
        b, sqe[["Sq", "Sq_std"]] if "Sq_std" in sqe else sqe.Sq, Q_range, box=box
    )
    table["B"] = b.B.drop_attrs(deep=False).assign_attrs(
        {k: v for k, v in b.B.attrs.items() if k != "ancillary_variables"}
    )
    table["Sq"] = sqe.Sq.drop_attrs(deep=False).assign_attrs(
        units="1", quantity="static_structure_factor", long_name="S(Q)"
    )
    table["r_of_B"] = own.pearson_r
    table["E_BP"] = (
        (),
        at,
        {"units": "meV", "long_name": "energy at which the correlations are compared"},
    )
    table["E_BP_status"] = (
        (),
        status,
        {"long_name": "whether that is the maximum of B(E), or given"},
    )
    if trajectory.velocity is not None:
        top = min(require_positive(Q_max, "Q_max", "1/angstrom"), _BRANCHES_TO)
        currents = md.current_spectra(
            data,
            top,
            dQ,
            window=window,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            progress=progress,
        )
        table["phonon_energy"] = phonon_dispersion(currents).energy.drop_vars(
            ["n_wavevectors", "temperature"], errors="ignore"
        ).rename(Q="Q_branch")  # fmt: skip
    first = next(iter(spectra.children.values())).to_dataset()
    arguments = {
        "fields": list(rows),
        "weights": weights if isinstance(weights, str) else "array",
        "energy": f"{at:.6g} meV" if np.isfinite(at) else None,
        "E_range": E_range, "Q_range": Q_range,
    }  # fmt: skip
    table.attrs = {
        **DATASET_LABELS,
        "quantity": "compare_fluctuations",
        "window": first.attrs["window"],
        "history": extend_history(
            first.attrs["history"], "compare_fluctuations", arguments
        ),
        **diagnosed({}, *_together(edges, rows)),
    }  # fmt: skip
    if box_phonon is not None:
        given = energy_of_phonon(box_phonon, "box_phonon")
        lowest = require_number(given, "box_phonon", "meV", least=0, energy=True)
        table = table.assign_coords(box_phonon=((), lowest, labels("box_phonon")))
    return table


def _rehearse(
    data: xr.Dataset,
    Q_max: Any,
    dQ: Any,
    weights: Any,
    energy: Any,
    E_range: Any,
    Q_range: Any,
    box_phonon: Any,
    E_max: Any,
    window: Any,
    T: Any,
    max_per_shell: int | None,
) -> None:
    """Take spectra of ones through all that is done with the computed ones.

    Arguments that do not fit raise here.
    """
    trajectory = read_trajectory(data)
    given = {
        "Q_max": Q_max, "dQ": dQ, "weights": weights, "window": window, "E_max": E_max,
        "max_wavevectors_per_shell": max_per_shell, "precision": "single",
        "taper": "hann",
    }  # fmt: skip
    frames = Window.make(trajectory, given)
    plan, energies = Plan.make(trajectory, given, frames.length), frames.energies
    ones = np.ones((plan.shells.Q.size, energies.size))
    labels = {
        "units": "1/meV",
        "quantity": "dynamic_structure_factor",
        "statistics": "classical",
    }
    probe = xr.Dataset(
        {"S": (("Q", "E"), ones, labels)},
        coords={**plan.coordinates(), "E": ("E", energies)},
    )
    probe["Sq"] = (
        "Q",
        ones[:, 0],
        {"units": "1", "quantity": "static_structure_factor"},
    )
    probe["S"].attrs["origin"] = "simulation"
    probe["Q"].attrs["units"], probe["E"].attrs["units"] = "1/angstrom", "meV"
    # That of the velocities is measured with the spectra; here any will do.
    temperature = sample_temperature(
        trajectory, T, (300.0, None) if trajectory.has_thermometer else None
    )
    if temperature is not None:
        probe = probe.assign_coords(temperature=temperature)
    probe = probe.assign_coords(u2=xr.Variable((), 0.0, {"units": "angstrom**2"}))
    b = reduction.to_bqe(probe)
    _energy_compared(b, energy, E_range, Q_range, box_phonon)
    boson_peak(b.isel(Q=0), E_range=E_range)
    select_range(b, "Q", Q_range, name="Q_range")
    correlation_map(b, probe.Sq, Q_range)


def _energy_compared(
    b: xr.Dataset, energy: Any, E_range: Any, Q_range: Any, box_phonon: Any
) -> tuple[float, str, list[Diagnostic]]:
    """Return the energy at which fields are compared, meV, its status, and its edge."""
    E = b.E.values
    if energy is not None:
        at = require_positive(energy, "energy", "meV", energy=True)
        if not E[0] <= at <= E[-1]:
            raise RangeError(
                f"energy={at:g} meV is beyond the spectra",
                reason=f"they end at {E[-1]:g} meV",
                fix="raise E_max=",
            )
        return at, Status.GIVEN, []
    whole = Q_range if Q_range is not None else (float(b.Q[0]), float(b.Q[-1]))
    cut = reduction.cut_Q(b, whole)
    peak = boson_peak(cut, E_range=E_range, box_phonon=box_phonon)
    return float(peak.energy), str(peak.status.values), _edges_of(peak)


def _edges_of(peak: xr.Dataset) -> list[Diagnostic]:
    return [one for one in diagnostics(peak) if one.code == "maximum_at_edge"]


def _together(
    of_B: list[Diagnostic], rows: Mapping[str, xr.Dataset]
) -> Iterator[Diagnostic]:
    """Return one diagnostic of each code, which names what it is of."""
    found: dict[str, dict[str, Diagnostic]] = {}
    for name, doubts in [
        ("B(E)", of_B),
        *((n, diagnostics(r)) for n, r in rows.items()),
    ]:
        for one in doubts:
            found.setdefault(one.code, {})[name] = one
    for own in found.values():
        names: dict[str, list[str]] = {}
        for name, one in own.items():
            names.setdefault(one.message, []).append(name)
        parts = [f"{', '.join(those)}: {text}" for text, those in names.items()]
        yield replace(one, message="; ".join(parts))


def _row(
    spectrum: xr.Dataset,
    sqe: xr.Dataset,
    at: float,
    E_range: Any,
    Q_range: Any,
    box: Any,
) -> xr.Dataset:
    """Return what is found of one field."""
    omega = spectrum[[n for n in ("Omega", "Omega_std") if n in spectrum]]
    chi = spectrum[[n for n in ("chi", "chi_std") if n in spectrum]]
    local = boson_peak(chi, E_range=E_range)
    peaks = boson_peak(omega, E_range=E_range)
    inside = peaks.isel(Q=select_range(peaks, "Q", Q_range, name="Q_range"))
    flat = dispersion(peaks, Q_range)
    r = correlation_map(omega, sqe[["Sq"]], Q_range, box=box)
    here = np.interp(at, spectrum.E.values, r.pearson_r.values)  # NaN at NaN
    n_effective = np.interp(at, spectrum.E.values, r.n_effective.values)
    here_std = correlation_error(here, n_effective)
    doubts = few_independent(xr.Variable((), here), xr.Variable((), n_effective))
    doubts += _edges_of(local)
    row = xr.Dataset(
        {
            "chi_energy": ((), float(local.energy)),
            "chi_energy_std": ((), float(local.energy_std)),
            "chi_status": ((), str(local.status.values)),
            "mean_energy": ((), float(flat.mean_energy)),
            "mean_energy_std": ((), float(flat.mean_energy_std)),
            "scatter": ((), float(flat.scatter)),
            "slope": ((), float(flat.slope)),
            "slope_std": ((), float(flat.slope_std)),
            "n_peaks": ((), int((inside.status == Status.OK).sum())),
            "n_Q": ((), int(inside.sizes["Q"])),
            "r_at_boson_peak": ((), float(here)),
            "r_at_boson_peak_std": ((), float(here_std)),
            "pearson_r": ("E", r.pearson_r.values),
            "chi": ("E", (spectrum.chi / spectrum.variance).values),
            "Omega": (("Q", "E"), spectrum.Omega.values),
        },
        coords={"Q": spectrum.Q.variable, "E": spectrum.E.variable},
        attrs=diagnosed({}, *doubts),
    )
    for name, (units, text) in _LABELS.items():
        row[name].attrs = {"units": units, "long_name": text}
        if f"{name}_std" in row:
            row[name].attrs["ancillary_variables"] = f"{name}_std"
            row[f"{name}_std"].attrs = {
                "units": units,
                "long_name": f"standard deviation of {text}",
            }
    row["Omega"].attrs["quantity"] = "normalized_fluctuation_spectrum"
    row["chi"].attrs["quantity"] = "local_fluctuation_spectrum"
    return row


_LABELS = {
    "chi_energy": ("meV", "energy of the maximum of χ(E)"),
    "mean_energy": ("meV", "weighted mean energy of the maxima of Ω(Q,E)"),
    "scatter": ("meV", "standard deviation of these energies over Q"),
    "slope": ("angstrom*meV", "slope of these energies against Q"),
    "n_peaks": ("1", "wave vectors at which Ω(Q,E) has a maximum"),
    "n_Q": ("1", "wave vectors compared"),
    "r_at_boson_peak": ("1", "linear correlation of Ω(Q, E_BP) with S(Q)"),
    "pearson_r": ("1", "linear correlation of Ω(Q,E) with S(Q)"),
    "chi": ("1/meV", "χ(E) over its integral on both sides"),
    "Omega": ("1/meV", "Ω(Q,E)"),
}
