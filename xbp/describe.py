"""What data are, what can be done with them next, and what a table of results says in one line."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.errors import QuantityError
from xbp.pint_data import unwrap
from xbp.schema import COORDINATES, QUANTITIES, RESULTS, Quantity
from xbp.status import OK
from xbp.units import with_error

__all__ = ["describe", "describe_html"]

#: Methods of ``.bp`` that take a quantity, in the order of the chain.
NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "dynamic_structure_factor": (
        "to_gdos", "to_bqe", "cut_E", "cut_Q", "subtract", "mask_elastic", "debye_waller", "to_vibrational_dos",
        "convolve", "plot.map",
    ),
    "detector_spectra": ("angle_to_Q", "kinematic_limits", "subtract"),
    "generalized_dos": ("to_bqe", "to_sqe", "cut_E", "cut_Q", "plot.map"),
    "reduced_dos": (
        "boson_peak", "cut_E", "cut_Q", "scale_to_sq", "correlation_map", "to_sqe", "plot.map", "plot.cut",
    ),
    "vibrational_dos": ("to_bqe", "heat_capacity", "multiphonon_sqe", "fit", "plot.cut"),
    "static_structure_factor": ("to_radial_distribution", "plot.cut"),
    "interference_function": ("scale", "plot.cut"),
    "intermediate_scattering_function": ("plot.cut",),
    "radial_distribution": ("to_structure_factor", "plot.cut"),
    "mean_square_displacement": ("plot.cut",),
    "current_spectrum": ("phonon_dispersion", "cut_Q", "plot.map"),
    "normalized_fluctuation_spectrum": ("boson_peak", "cut_E", "correlation_map", "scale_to_sq", "plot.map"),
    "fluctuation_spectrum": ("cut_E", "cut_Q", "plot.map"),
    "local_fluctuation_spectrum": ("boson_peak", "plot.cut"),
    "energy_resolution": ("plot.cut",),
    "raman_intensity": ("to_reduced_raman", "to_raman_shift", "plot.cut"),
    "heat_capacity": ("to_molar", "reduced_heat_capacity", "fit_heat_capacity", "plot.cut"),
    "reduced_heat_capacity": ("plot.cut",),
    "trajectory": (
        "structure_factor", "dynamic_structure_factor", "vdos", "msd", "radial_distribution", "box_phonon",
        "current_spectra", "compare_fluctuations",
    ),
}  # fmt: skip
#: Which of Q and E a method needs, and that it takes nothing more or less.
_OVER: Final[Mapping[str, str]] = {
    "cut_E": "E", "boson_peak": "E", "convolve": "E", "mask_elastic": "E", "to_vibrational_dos": "E", "cut_Q": "Q",
    "correlation_map": "QE", "to_sqe": "QE", "plot.map": "QE",
}  # fmt: skip
#: Methods that cannot be called without saying more.
_ASKS: Final = frozenset(
    {
        "cut_E", "cut_Q", "scale_to_sq", "correlation_map", "subtract", "angle_to_Q", "convolve", "mask_elastic",
        "heat_capacity", "fit", "to_molar", "to_raman_shift", "to_radial_distribution", "to_structure_factor", "scale",
        "structure_factor", "dynamic_structure_factor", "current_spectra", "compare_fluctuations",
        "to_vibrational_dos", "multiphonon_sqe",
    }
)  # fmt: skip
#: One and a half times 3R, in J/mol/K: anharmonic solids and liquids stay below.
_MOST_HEAT: Final = 37.4
#: Quantities whose reduction needs the Bose factor.
_NEEDS_T: Final = ("dynamic_structure_factor", "raman_intensity")


def describe(data: xr.DataArray | xr.Dataset) -> str:
    """Say what data are, what they can do next, and what is missing; of a table of results, what it says.

    This is what ``data.bp`` prints.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Anything. What dask holds is not computed.

    Returns
    -------
    str
        A few lines.

    Raises
    ------
    QuantityError
        If they are neither.

    Examples
    --------
    >>> import xbp
    >>> b = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()
    >>> print(describe(b.B))
    B(Q,E) in angstrom**2/meV**2: Q 169 (0.153 to 8.58 1/angstrom), E 146 (0 to 60 meV)
      temperature 300 K, u2 0.0135 angstrom**2, box_phonon 1.72 meV, statistics classical
      next: .bp.boson_peak() .bp.cut_E(…) .bp.cut_Q(…) .bp.correlation_map(…) .bp.to_sqe() .bp.plot.map()
      missing: standard deviations (a DataArray has none: use the Dataset)
    >>> print(describe(b.bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(1.2, 8))))
    boson peak 2.5842 ± 0.0063 meV (reduced chi2 364)
    """
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise QuantityError(
            f"got a {type(data).__name__}",
            reason="xbp works on labelled data, an xarray.DataArray or xarray.Dataset",
            fix="make one with xbp.new_dataset(quantity, values, units=..., coords=...)",
        )
    plain = unwrap(data)[0]
    result = plain.attrs.get("quantity") if isinstance(plain, xr.Dataset) else None
    if result in RESULTS:
        if any(v.chunks is not None for v in plain.variables.values()):
            return f"{_title(result)}: not computed yet; .compute() does"
        return _SENTENCES[result](plain)
    signals = [plain] if isinstance(plain, xr.DataArray) else list(plain.data_vars.values())
    known = [v for v in signals if v.attrs.get("quantity") in QUANTITIES and not str(v.name).endswith("_std")]
    if plain.attrs.get("quantity") == "trajectory":
        return _trajectory(plain)
    if not known:
        return (
            "no quantity is named, so nothing can be done with these data\n"
            f"  missing: data.attrs['quantity'], one of {', '.join(QUANTITIES)}"
        )
    return "\n".join(_signal(v, plain, first=v is known[0]) for v in known)


def describe_html(data: xr.DataArray | xr.Dataset) -> str:
    """Give `describe` to a notebook.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        As for `describe`.

    Returns
    -------
    str
        HTML, with everything that came out of the data escaped.

    Examples
    --------
    >>> import xarray as xr
    >>> print(describe_html(xr.DataArray([1.0], dims="E"))[:40])
    <div><b>no quantity is named, so nothing
    """
    first, *others = html.escape(describe(data)).split("\n")
    return f"<div><b>{first}</b>{''.join(f'<br>{line}' for line in others)}</div>"


def _title(result: str) -> str:
    return result.replace("_", " ")


def _units(variable: xr.DataArray) -> str:
    units = str(variable.attrs.get("units", "?"))
    return "" if units == "1" else f" {units}"


def _signal(value: xr.DataArray, source: xr.DataArray | xr.Dataset, *, first: bool) -> str:
    row = QUANTITIES[value.attrs["quantity"]]
    axes = []
    for dim in value.dims:
        text = f"{dim} {value.sizes[dim]}"
        if dim in value.coords and value.sizes[dim] and value[dim].dtype.kind in "fiu":
            text += f" ({float(value[dim][0]):.3g} to {float(value[dim][-1]):.3g}{_units(value[dim])})"
        axes.append(text)
    units = value.attrs.get("units")
    name = row.label if isinstance(source, xr.DataArray) else f"{value.name}: {row.label}"
    lines = [f"{name}{f' in {units}' if units not in (None, '1') else ''}: {', '.join(axes) or 'one number'}"]
    about = [
        f"{key} {float(c):.3g}{_units(c)}"
        for key, c in value.coords.items()
        if c.ndim == 0 and c.dtype.kind in "fiu" and c.chunks is None
    ]
    about += [f"{key} {value.attrs[key]}" for key in ("statistics",) if key in value.attrs]
    if about and first:
        lines.append(f"  {', '.join(about)}")
    lines.append("  next: " + " ".join(_call(method) for method in NEXT[row.name] if _takes(method, value)))
    if row.name == "heat_capacity" and value.attrs.get("amount"):
        lines[0] += f" per mole of {value.attrs['amount']}"
        most = float(value.max()) if value.attrs["amount"] == "atoms" and value.chunks is None else 0.0
        if most > _MOST_HEAT:
            lines.append(
                f"  beware: it reaches {most:.3g}{_units(value)}, {most / 24.94:.1f} times 3R: mass, molar mass or "
                "number of atoms may be another"
            )
    lines += [f"  missing: {text}" for text in _missing(value, source, row)]
    return "\n".join(lines)


def _call(method: str) -> str:
    return f".bp.{method}({'…' if method in _ASKS else ''})"


def _takes(method: str, value: xr.DataArray) -> bool:
    """Whether the data have the dimensions that a method works on."""
    if method == "scale_to_sq":
        return "Q" in value.dims and "E" not in value.dims
    if method == "to_molar":
        return "amount" not in value.attrs
    if method == "plot.cut":
        return not {"Q", "E"} <= set(value.dims)
    return set(_OVER.get(method, "")) <= set(value.dims)


def _missing(value: xr.DataArray, source: xr.DataArray | xr.Dataset, row: Quantity) -> list[str]:
    name = "data" if isinstance(source, xr.DataArray) else f"data['{value.name}']"
    missing = []
    if "units" not in value.attrs:
        missing.append(f"units ({name}.attrs['units'] = '{row.units}')")
    for dim in value.dims:
        if dim not in COORDINATES:
            continue
        if dim not in value.coords:
            missing.append(f"the coordinate {dim}")
        elif "units" not in value[dim].attrs:
            missing.append(f"units of {dim} (data['{dim}'].attrs['units'] = '{COORDINATES[str(dim)][0]}')")
    if row.name in _NEEDS_T and "temperature" not in value.coords:
        missing.append("the temperature (T= of the next call)")
    if row.name == "dynamic_structure_factor" and "statistics" not in value.attrs:
        missing.append(f"statistics ({name}.attrs['statistics'] = 'quantum' if measured, 'classical' if of MD)")
    if row.name == "interference_function":
        missing.append(
            "<b>^2, for S(Q) (xarray.open_dataset(path, engine='total_scattering', b_mean_squared='... barn'))"
        )
    if isinstance(source, xr.DataArray):
        missing.append("standard deviations (a DataArray has none: use the Dataset)")
    elif f"{value.name}_std" not in source:
        missing.append(f"standard deviations (a variable '{value.name}_std'); every point weighs alike")
    return missing


def _trajectory(traj: xr.Dataset) -> str:
    frames, atoms = traj.sizes.get("time", 0), traj.sizes.get("atom", 0)
    lines = [f"trajectory: {atoms} atoms, {frames} frames"]
    if "time" in traj.coords and frames > 1:
        step = float(traj.time[1] - traj.time[0])
        lines[0] += f" {step:.4g}{_units(traj.time)} apart, {step * frames:.4g}{_units(traj.time)} in all"
    if "element" in traj.coords:
        names, counts = np.unique(traj.element.values, return_counts=True)
        lines.append("  " + ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True)))
    lines.append("  next: " + " ".join(_call(method) for method in NEXT["trajectory"]))
    if "velocity" not in traj:
        lines.append("  missing: velocities, without which there are no vdos, current_spectra, box_phonon")
    if "temperature" not in traj.coords:
        lines.append("  missing: the temperature (T= of the next call)")
    return "\n".join(lines)


def _number(table: xr.Dataset, name: str, at: Mapping[str, Any] | None = None) -> str:
    """Write one number of a table, with its error where it has one, and its units."""
    value = table[name] if at is None else table[name].isel(at)
    std = table.get(f"{name}_std")
    if not np.isfinite(float(value)):
        return "not found"
    if std is None or not np.isfinite(float(std if at is None else std.isel(at))):
        return f"{float(value):.4g}{_units(value)}"
    return f"{with_error(float(value), float(std if at is None else std.isel(at)))}{_units(value)}"


def _statuses(status: xr.DataArray) -> str:
    names, counts = np.unique(status.values, return_counts=True)
    return ", ".join(f"{c} {n}" for n, c in zip(names, counts, strict=True) if n != OK)


def _chi2(table: xr.Dataset) -> str:
    """Name a chi-squared that the counting errors do not explain."""
    if "chi2_reduced" not in table or not float(table.chi2_reduced) > 2:
        return ""
    return f" (reduced chi2 {_short(float(table.chi2_reduced))})"


def _short(number: float) -> str:
    """Write a number of any size in two or three figures, without powers of ten where one can."""
    return f"{number:.0f}" if 10 <= abs(number) < 1e5 else f"{number:.2g}"


def _of_many(table: xr.Dataset, name: str, status: str, what: str) -> str:
    """Sum up an array of fits."""
    good = table[name].where(table[status] == OK)
    n = int(good.notnull().sum())
    text = f"{what} found in {n} of {good.size} fits"
    if n:
        text += f": median {float(good.median()):.3g}, {float(good.min()):.3g} to {float(good.max()):.3g}{_units(good)}"
    rest = _statuses(table[status])
    return text + (f"; the others: {rest}" if rest else "")


def _boson_peak(table: xr.Dataset) -> str:
    if table.energy.ndim:
        return _of_many(table, "energy", "status", "boson peak")
    if str(table.status.values) != OK:
        return f"no boson peak: {table.status.values}"
    return f"boson peak {_number(table, 'energy')}{_chi2(table)}"


def _dispersion(table: xr.Dataset) -> str:
    if table.mean_energy.ndim:
        return f"dispersion of {table.mean_energy.size} sets of peaks"
    if int(table.n_points) < 2:
        return f"dispersion: {int(table.n_points)} peaks, too few"
    slope, std, units = float(table.slope), float(table.slope_std), _units(table.slope)
    # Peaks scatter more than their errors say where the model is not quite the data's.
    energy = f"boson peak {with_error(float(table.mean_energy), float(table.scatter))}{_units(table.mean_energy)}"
    flat = abs(slope) < 2 * std
    moves = f"dispersionless within {2 * std:.2g}{units}" if flat else f"slope {with_error(slope, std)}{units}"
    return f"{energy} at {int(table.n_points)} Q, {moves}"


def _scale_to_sq(table: xr.Dataset) -> str:
    if table.pearson_r.ndim:
        r = table.pearson_r
        return f"{r.size} cuts against S(Q): Pearson r from {float(r.min()):.2f} to {float(r.max()):.2f}"
    at = f" at {float(table.E):.3g}{_units(table.E)}" if "E" in table.coords and table.E.ndim == 0 else ""
    reach = f"{float(table.Q_min):.3g} to {float(table.Q_max):.3g}{_units(table.Q_min)}"
    return (
        f"the cut{at} against S(Q): Pearson r {float(table.pearson_r):.2f}, Spearman {float(table.spearman_r):.2f} "
        f"over {int(table.n_points)} Q, {reach}{_chi2(table)}"
    )


def _correlation_map(table: xr.Dataset) -> str:
    r = table.pearson_r
    if r.dims != ("E",) or not bool(r.notnull().any()):
        return f"correlation with S(Q) over {', '.join(map(str, r.dims))}"
    best = r.idxmax("E")
    beyond = r.E[(best < r.E) & (r < 0)]
    falls = f", below 0 from {float(beyond[0]):.3g}{_units(r.E)}" if beyond.size else ""
    return f"correlation with S(Q): r is highest, {float(r.max()):.2f}, at {float(best):.3g}{_units(r.E)}{falls}"


def _detailed_balance(table: xr.Dataset) -> str:
    if table.implied_temperature.ndim:
        return f"detailed balance of {table.implied_temperature.size} spectra"
    said = _number(table, "implied_temperature")
    return f"detailed balance: {'no temperature' if said == 'not found' else f'the data say {said}'}"


def _debye_waller(table: xr.Dataset) -> str:
    if table.u2.ndim:
        return _of_many(table, "u2", "status", "u2")
    said = str(table.status.values)
    return f"u2 per axis {_number(table, 'u2')}" if said == OK else f"no u2: {said}"


def _phonons(table: xr.Dataset) -> str:
    return "\n".join(
        _of_many(table.sel(branch=b), "energy", "status", f"{b} phonon") for b in np.atleast_1d(table.branch.values)
    )


def _box_phonon(table: xr.Dataset) -> str:
    said = str(table.status.values)
    if said != OK:
        return f"no box phonon: {said}"
    return f"first transverse phonon of the box {_number(table, 'energy')} at Q {float(table.Q):.3g}{_units(table.Q)}"


def _fit(table: xr.Dataset) -> str:
    if table.status.ndim:
        good = int((table.status == OK).sum())
        rest = _statuses(table.status)
        return f"{table.attrs.get('model', 'fit')}: {good} of {table.status.size} fits are ok{rest and '; ' + rest}"
    if str(table.status.values) != OK:
        return f"{table.attrs.get('model', 'fit')}: {table.status.values}"
    names = [str(n) for n in table.data_vars if f"{n}_std" in table]
    return f"{table.attrs.get('model', 'fit')}: " + ", ".join(f"{n} {_number(table, n)}" for n in names) + _chi2(table)


def _heat_capacity(table: xr.Dataset) -> str:
    if table.status.ndim or str(table.status.values) != OK:
        return _fit(table)
    peak = _number(table, "energy") if str(table.peak_status.values) == OK else str(table.peak_status.values)
    return f"Einstein modes about {_number(table, 'energy_E')}, maximum of g/E2: {peak}{_chi2(table)}"


def _sound_velocity(table: xr.Dataset) -> str:
    each = [f"{b} {_number(table, 'velocity', {'branch': i})}" for i, b in enumerate(table.branch.values)]
    return f"sound: {', '.join(each)}; Debye energy {_number(table, 'debye_energy')}"


def _ioffe_regel(table: xr.Dataset) -> str:
    each = [f"{b} {_number(table, 'energy', {'branch': i})}" for i, b in enumerate(table.branch.values)]
    return f"Ioffe-Regel limit: {', '.join(each)}"


def _fluctuations(table: xr.Dataset) -> str:
    lines = [f"fluctuations beside a boson peak at {_number(table, 'E_BP')}"]
    for i, name in enumerate(table.field.values):
        peak, r = _number(table, "chi_energy", {"field": i}), _number(table, "r_at_boson_peak", {"field": i})
        lines.append(f"  {name}: maximum of chi(E) {peak}; r with S(Q) there {r}")
    return "\n".join(lines)


def _thermodynamics(table: xr.Dataset) -> str:
    last = table.isel(time=-1)
    reach = f"{table.sizes['time']} rows over {float(last.time):.4g}{_units(table.time)}"
    return f"thermodynamics: {reach}, ends at {float(last.temperature):.4g}{_units(table.temperature)}"


def _glass_transition(table: xr.Dataset) -> str:
    said = str(table.status.values)
    return f"glass transition at {_number(table, 'Tg')}" if said == OK else f"no glass transition: {said}"


def _kinematic_limits(table: xr.Dataset) -> str:
    low, high = float(table.Q_min.min()), float(table.Q_max.max())
    return f"the instrument reaches Q from {low:.3g} to {high:.3g}{_units(table.Q_min)}"


def _compare(table: xr.Dataset) -> str:
    first = f"{int(table.n_energies)} boson-peak energies"
    if int(table.n_energies) < 2:
        first += ": nothing to compare"
    else:
        first += f": largest discrepancy {100 * float(table.discrepancy):.3g} %"
    if int(table.degrees_of_freedom) > 0:
        first += (
            f", mean {_number(table, 'mean_energy')}, chi2 {float(table.chi2):.3g} with "
            f"{int(table.degrees_of_freedom)} degrees of freedom (p {float(table.p_value):.2g})"
        )
    lines = [first]
    for i, name in enumerate(table.leaf.values):
        status = str(table.status.values[i])
        left_out = "" if int(table.compared[i]) else " (not compared)"
        misfit = f", reduced chi2 {float(table.chi2_reduced[i]):.0f}" if float(table.chi2_reduced[i]) > 2 else ""
        said = f"{_number(table, 'energy', {'leaf': i})}{misfit}" if status == OK else status
        lines.append(f"  {name}: {said}{left_out}")
    return "\n".join(lines)


def _neutron_weighted(table: xr.Dataset) -> str:
    R = table.correction
    return f"true over neutron-weighted density of states: {float(R.min()):.3g} to {float(R.max()):.3g}"


_SENTENCES: Final[Mapping[str, Callable[[xr.Dataset], str]]] = {
    "boson_peak": _boson_peak,
    "dispersion": _dispersion,
    "scale_to_sq": _scale_to_sq,
    "correlation_map": _correlation_map,
    "detailed_balance": _detailed_balance,
    "debye_waller": _debye_waller,
    "phonon_dispersion": _phonons,
    "box_phonon": _box_phonon,
    "fit": _fit,
    "fit_heat_capacity": _heat_capacity,
    "sound_velocity": _sound_velocity,
    "ioffe_regel": _ioffe_regel,
    "compare_fluctuations": _fluctuations,
    "thermodynamics": _thermodynamics,
    "glass_transition": _glass_transition,
    "kinematic_limits": _kinematic_limits,
    "neutron_weighted_dos": _neutron_weighted,
    "compare": _compare,
}
