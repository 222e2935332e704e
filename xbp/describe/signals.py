"""What a signal or a trajectory is, what it lacks, and what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import xarray as xr

from xbp.schema import COORDINATES, QUANTITIES, Quantity, symbol_of
from xbp.status import NO_SCATTERING, OK
from xbp.units import with_error

__all__ = ["ASKS", "NEXT", "signal_lines", "trajectory_lines", "units_of"]

#: Methods of ``.bp`` that take a quantity, in the order of the chain.
NEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "dynamic_structure_factor": (
        "to_gdos", "to_bqe", "cut_E", "cut_Q", "integrate_E", "subtract", "fit_elastic_line", "mask_elastic",
        "detailed_balance", "debye_waller", "to_vibrational_dos", "convolve", "fit", "plot.map", "plot.cut",
    ),
    "detector_spectra": ("angle_to_Q", "kinematic_limits", "subtract"),
    "generalized_dos": ("to_bqe", "to_sqe", "cut_E", "cut_Q", "plot.map", "plot.cut"),
    "reduced_dos": (
        "boson_peak", "scan_boson_peak", "cut_E", "cut_Q", "scale_to_sq", "correlation_map", "to_sqe", "plot.map",
        "plot.cut",
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
    "static_fluctuation": ("plot.cut",),
    "local_fluctuation_spectrum": ("boson_peak", "plot.cut"),
    "energy_resolution": ("plot.cut",),
    "raman_intensity": ("to_reduced_raman", "to_raman_shift", "plot.cut"),
    "heat_capacity": (
        "to_molar", "reduced_heat_capacity", "fit_heat_capacity", "scan_heat_capacity", "plot.heat_capacity",
        "plot.cut",
    ),
    "reduced_heat_capacity": ("fit", "plot.cut"),
    "trajectory": (
        "structure_factor", "dynamic_structure_factor", "vdos", "msd", "radial_distribution", "box_phonon",
        "current_spectra", "local_fields", "compare_fluctuations",
    ),
}  # fmt: skip
#: Which of Q and E a method needs, and that it takes nothing more or less.
_OVER: Final[Mapping[str, str]] = {
    "cut_E": "E", "boson_peak": "E", "scan_boson_peak": "E", "convolve": "E", "mask_elastic": "E",
    "fit_elastic_line": "E", "to_bqe": "E", "detailed_balance": "E", "heat_capacity": "E", "cut_Q": "Q",
    "to_gdos": "QE", "debye_waller": "QE", "to_vibrational_dos": "QE", "integrate_E": "QE", "correlation_map": "QE",
    "to_sqe": "QE", "plot.map": "QE",
}  # fmt: skip
#: Methods that cannot be called without saying more.
ASKS: Final = frozenset(
    {
        "cut_E", "cut_Q", "scale_to_sq", "correlation_map", "subtract", "angle_to_Q", "convolve", "mask_elastic",
        "heat_capacity", "fit", "to_molar", "to_raman_shift", "to_radial_distribution", "to_structure_factor", "scale",
        "structure_factor", "dynamic_structure_factor", "current_spectra", "local_fields", "compare_fluctuations",
        "to_vibrational_dos", "multiphonon_sqe",
    }
)  # fmt: skip
#: What one frame is enough for, and what needs velocities.
_OF_ONE_FRAME: Final = frozenset({"structure_factor", "radial_distribution", "local_fields"})
_OF_VELOCITIES: Final = frozenset({"vdos", "box_phonon", "current_spectra"})
#: A density of states rises from nothing: one that is highest below this part of its range is something else's.
_LOW_END: Final = 0.08
#: One and a half times 3R, in J/mol/K: anharmonic solids and liquids stay below.
_MOST_HEAT: Final = 37.4
#: What to do where no g(E) was found.
_MENDS: Final[Mapping[str, str]] = {
    "no data": ": E_range= and Q_range= hold no number, or nothing is beyond E_range= to fit multiple scattering in",
    "fit failed": ": no positive area is left, as where a background was taken off twice, or Q is too high for u2, "
    "or in a liquid, whose quasi-elastic line is no phonons: .bp.mask_elastic(…) it as far as it reaches, or go on "
    "with .bp.to_bqe(u2='0 angstrom^2')",
    "not converged": ": the multiphonons grow from step to step; end Q_range= lower, or take the background off",
    NO_SCATTERING: ": a background beyond E_range= was taken for it, until nothing was left; "
    "end E_range= at the highest phonon",
}
#: Part of the area of g(E) that may stand in for what was not measured without a word.
_MUCH_EXTENDED = 0.1
#: Twice scattered neutrons are a part of those that met several phonons, in a sample that scatters a tenth.
_MUCH_SCATTERING = 0.5
#: How many comments of a file are shown, and how much of each.
_FEW: Final = 5
_WIDE: Final = 140
#: From here on a mean is over the whole interval but for rounding.
_WHOLE = 0.9995
#: A number that stands for none is far below those that are measured, and in this part of the bins.
_FAR_BELOW, _MANY = 1e-4, 0.05
#: Two sides of thousands of bins that are one have a chi-squared of one.
_MOST_DISAGREEMENT = 2.0
#: Quantities of a simulation in which the first phonon of its box makes a peak.
_WITH_A_BOX: Final = ("dynamic_structure_factor", "generalized_dos", "reduced_dos", "vibrational_dos")
#: Quantities whose reduction needs the Bose factor.
_NEEDS_T: Final = ("dynamic_structure_factor", "raman_intensity")


def units_of(variable: xr.DataArray) -> str:
    """Write units after a number; nothing where it is pure."""
    units = str(variable.attrs.get("units", "(no units)"))
    return "" if units == "1" else f" {units}"


def signal_lines(value: xr.DataArray, source: xr.DataArray | xr.Dataset, *, first: bool) -> str:
    """Describe one signal; what it shares with the others of a Dataset only where it is the first."""
    row = QUANTITIES[value.attrs["quantity"]]
    axes = []
    for dim in value.dims:
        text = f"{dim} {value.sizes[dim]}"
        if dim in value.coords and value.sizes[dim] and value[dim].dtype.kind in "fiu":
            text += f" ({float(value[dim][0]):.3g} to {float(value[dim][-1]):.3g}{units_of(value[dim])})"
        axes.append(text)
    units = value.attrs.get("units")
    symbol = symbol_of(value)
    name = symbol if isinstance(source, xr.DataArray) else f"{value.name}: {symbol}"
    lines = [f"{name}{f' in {units}' if units not in (None, '1') else ''}: {', '.join(axes) or 'one number'}"]
    about = [
        f"{key} {float(c):.3g}{units_of(c)}{' from ' + str(c.attrs['source']) if 'source' in c.attrs else ''}"
        for key, c in value.coords.items()
        if c.ndim == 0 and c.dtype.kind in "fiu" and c.chunks is None
    ]
    about += [f"{key} {value.attrs[key]}" for key in ("statistics",) if key in value.attrs]
    if about and first:
        lines.append(f"  {', '.join(about)}")
    lines.append("  next: " + " ".join(_call(method) for method in NEXT[row.name] if _takes(method, value)))
    sample = [
        f"{said} {value.attrs[key]}"
        for key, said in (("sample_mass", "mass"), ("molar_mass", "molar mass"), ("atoms_per_formula", "atoms"))
        if key in value.attrs
    ]  # fmt: skip
    if row.name == "heat_capacity":
        told = [f"  of the sample: {', '.join(sample)}"] if sample else []
        lines[1:1] = told + _comments(value)
    if row.name == "vibrational_dos" and value.dims == ("E",) and value.chunks is None and value.notnull().any():
        at, end = float(value.idxmax("E")), float(value.E[-1])
        if at < _LOW_END * end:
            lines.append(
                f"  beware: it is highest at {at:.3g}{units_of(value.E)}, its low end: an elastic line may be in it, "
                "which .bp.mask_elastic(...) of S(Q,E) takes out, or E_range="
            )
    if row.name == "heat_capacity" and isinstance(value.attrs.get("amount"), str):
        lines[0] += f" per mole of {value.attrs['amount']}"
        most = float(value.max()) if value.attrs["amount"] == "atoms" and value.chunks is None else 0.0
        if most > _MOST_HEAT:
            lines.append(
                f"  beware: it reaches {most:.3g}{units_of(value)}, {most / 24.94:.1f} times 3R: mass, molar mass or "
                "number of atoms may be another"
            )
    lines += _of_the_inversion(value, source)
    if row.name == "dynamic_structure_factor" and value.chunks is None:
        lines += _of_a_filler(value)
    lines += _of_the_scale(value)
    if first and isinstance(source, xr.Dataset):
        lines += _of_the_errors(value, source)
    lines += [f"  missing: {text}" for text in _missing(value, source, row)]
    return "\n".join(lines)


def _of_the_inversion(value: xr.DataArray, source: xr.DataArray | xr.Dataset) -> list[str]:
    """Tell whether g(E) was found, with what, and how much of it was not measured."""
    lines = []
    status = value.coords.get("status")
    if status is not None and status.chunks is None and status.dtype.kind in "OU":
        for said, count in zip(*np.unique(status.values.astype(str), return_counts=True), strict=True):
            if said != OK:
                where = f" in {count} of {status.size}" if status.ndim else ""
                mend = _MENDS.get(str(said), "")
                lines.append(f"  status: {said}{where}, so it is NaN{mend}{_range_to_try(str(said), source)}")
    if not isinstance(source, xr.Dataset) or "extended" not in source or source["extended"].chunks is not None:
        return lines
    part = source["extended"]
    if {"multiple_scattering", "orders", "E_low"} <= set(source.data_vars) and bool(part.notnull().any()):
        lines += _of_the_phonons(source)
    if float(part.max()) > _MUCH_EXTENDED:
        lines.append(
            f"  beware: {100 * float(part.max()):.2g} % of the area was not measured but stands in for what is below "
            "E_range (below=): u2 and the scale depend on it"
        )
    return lines


def _of_a_filler(value: xr.DataArray) -> list[str]:
    """Tell of one number, far below all others, that many bins hold."""
    known = value.values[np.isfinite(value.values) & (value.values != 0)]
    lowest = float(known.min()) if known.size else 0.0
    same = int((known == lowest).sum())
    if not 0 < lowest < _FAR_BELOW * float(known.max()) or same < _MANY * value.size:
        return []
    return [
        f"  beware: {100 * same / value.size:.2g} % of the bins hold one number, {lowest:.8g}, the lowest: a filler of "
        "what was not measured? filler= of engine='sqw', or data.where(...), makes it NaN"
    ]


def _of_the_scale(value: xr.DataArray) -> list[str]:
    """Tell how data were normalized, what was wrong with that, and where an integral was not measured throughout."""
    said, wrong = value.attrs.get("normalization"), value.attrs.get("beware")
    lines = [f"  normalization: {said}"] if isinstance(said, str) else []
    lines += [f"  beware: {wrong}"] if isinstance(wrong, str) else []
    integral = value.attrs["quantity"] == "static_structure_factor" and str(said).startswith("∫")
    lost = int(value.isnull().sum()) if value.chunks is None and integral else 0
    if lost:
        lines.append(
            f"  NaN in {lost} of {value.size} points, where these energies were not measured throughout: a narrower "
            "E_range= of .bp.integrate_E(…) holds more of them"
        )
    return lines


def _range_to_try(said: str, source: xr.DataArray | xr.Dataset) -> str:
    """Write the E_range that leaves multiple scattering to be fitted."""
    if said != NO_SCATTERING or not isinstance(source, xr.Dataset) or "highest_phonon" not in source:
        return ""
    low, high, units = float(source.E_low), float(source.highest_phonon.max()), source.highest_phonon.attrs["units"]
    if not np.isfinite(high):
        return ", and cut the data where background takes over; or give it, multiple_scattering=0.2"
    further = f"{1.4 * high:.3g}"
    return (
        f", E_range=('{low:.4g} {units}', '{high:.4g} {units}'), and cut the data "
        f"where background takes over, as data.sel(E=slice(None, {further})); or give it, multiple_scattering=0.2"
    )


def _of_the_phonons(source: xr.Dataset) -> list[str]:
    """Tell what was taken off g(E), and how well u2 is known from it."""
    u2 = source["u2"]
    said = f"found over {float(source.E_low):.4g} to {float(source.E_high):.4g}{units_of(source.E_low)}"
    if "u2_std" in source and bool(source.u2_std.notnull().any()):
        number = with_error(float(u2), float(source.u2_std)) if u2.ndim == 0 else _span(u2)
        counting = " (by counting; E_range, below and C move it by more)" if u2.ndim == 0 else ""
        said += f" with u2 {number}{units_of(u2)}{counting}"
    C = source["multiple_scattering"]
    many = f"up to {int(source.orders.max())} phonons at once taken off"
    with_c = f"and multiple scattering, C {_span(C)}" if bool((C != 0).any()) else "but no multiple scattering (C 0)"
    lines = [f"  {said}; {many}, {with_c}"]
    part = source["extended"]
    if bool((part > 0).any()):
        lines.append(
            f"  below {float(source.E_low):.4g}{units_of(source.E_low)} a Debye law, E^2, stands in: "
            f"{_span(100 * part)} % of the area; g is NaN there"
        )
    if bool((C < 0).any()):
        lines.append(
            "  beware: C below 0 is no scattering: too much background was taken off, or E_range ends too high"
        )
    if bool((C > _MUCH_SCATTERING).any()):
        lines.append(
            "  beware: so large a C holds a background: cut the data where it takes over, or see what "
            "multiple_scattering=0.2 gives"
        )
    return lines


def _span(numbers: xr.DataArray) -> str:
    """Write one number, or from which to which they go."""
    low, high = f"{float(numbers.min()):.3g}", f"{float(numbers.max()):.3g}"
    return low if low == high else f"{low} to {high}"


def _comments(value: xr.DataArray) -> list[str]:
    """Quote what the instrument wrote into the file, as far as a person reads on."""
    said = str(value.attrs.get("comments", "")).splitlines()
    lines = [f"  the file says: {text if len(text) <= _WIDE else text[: _WIDE - 1] + '…'}" for text in said[:_FEW]]
    return lines + ([f"  ... and more in attrs['comments'] ({len(said)} lines)"] if len(said) > _FEW else [])


def _of_the_errors(value: xr.DataArray, source: xr.Dataset) -> list[str]:
    """Tell of bins without an error, of means over a part, and of two sides that were folded though they disagree."""
    lines = []
    std = source.get(f"{value.name}_std")
    if std is not None and std.chunks is None and value.chunks is None and std.dims == value.dims:
        sure = int(((std.values == 0) & np.isfinite(value.values)).sum())
        if sure:
            lines.append(
                f"  standard deviation 0 in {100 * sure / max(int(value.count()), 1):.3g} % of the bins that hold "
                "numbers, as where nothing was counted: means take them in, weighted fits leave them out; rebin first"
            )
    part = source.get("coverage")
    if part is not None and part.chunks is None and bool((part > 0).any()) and float(part.min()) < _WHOLE:
        low, high = (100 * float(end) for end in (part.where(part > 0).min(), part.max()))
        lines.append(
            f"  means of {low:.3g} to {high:.3g} % of the interval cut, which is not measured throughout: not the same "
            "bins along the curve (data.coverage); a narrower interval holds more of them"
        )
    chi2 = source.get("fold_chi2")
    if chi2 is not None and chi2.chunks is None and float(chi2.max()) > _MOST_DISAGREEMENT:
        lines.append(
            f"  beware: energy gain and loss, folded, disagree (reduced chi2 {float(chi2.max()):.2g}): a background, "
            "another temperature, or errors that are too small; .bp.detailed_balance() before .bp.fold() shows where"
        )
    return lines


def _call(method: str) -> str:
    return f".bp.{method}({'…' if method in ASKS else ''})"


def _takes(method: str, value: xr.DataArray) -> bool:
    """Whether the data have the dimensions that a method works on."""
    if method == "scale_to_sq":
        return "Q" in value.dims and "E" not in value.dims
    if method == "to_structure_factor":
        return value.attrs.get("dimensions") != 2
    if method == "to_molar":
        return "amount" not in value.attrs
    if method in ("reduced_heat_capacity", "fit_heat_capacity", "scan_heat_capacity", "plot.heat_capacity"):
        return "mol" in str(value.attrs.get("units"))
    if method == "plot.cut":
        return value.ndim > 0 and not {"Q", "E"} <= set(value.dims)
    if method == "to_bqe" and value.attrs["quantity"] == "dynamic_structure_factor":
        return {"Q", "E"} <= set(value.dims)
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
        missing.append(f"the temperature (T= of the next call{_from_both_sides(value)})")
    if row.name == "dynamic_structure_factor" and "u2" not in value.coords:
        missing.append(
            "u2 of the Debye-Waller factor (u2= of the next call; .bp.debye_waller() or "
            ".bp.to_vibrational_dos(…) finds it; of a liquid u2='0 angstrom^2')"
        )
    if row.name == "dynamic_structure_factor" and "statistics" not in value.attrs:
        missing.append(f"statistics ({name}.attrs['statistics'] = 'quantum' if measured, 'classical' if of MD)")
    if row.name == "heat_capacity" and "mol" in str(value.attrs.get("units")) and "amount" not in value.attrs:
        missing.append(f"per mole of what ({name}.attrs['amount'] = 'atoms', or 'formula units')")
    simulated = row.name in _WITH_A_BOX and value.attrs.get("statistics") == "classical"
    if simulated and "E" in value.dims and "box_phonon" not in value.coords:
        missing.append(
            "the first phonon of the box, which is no boson peak (.bp.mark_box_phonon(traj.bp.box_phonon()))"
        )
    if row.name == "interference_function":
        missing.append("<b>^2, for S(Q) (xbp.open_dataset(path, composition='SiO2', or whatever it is))")
    if isinstance(source, xr.DataArray):
        missing.append("standard deviations (a DataArray has none: use the Dataset)")
    elif f"{value.name}_std" not in source:
        alike = "every point has the same relative error" if row.name == "heat_capacity" else "every point weighs alike"
        missing.append(f"standard deviations (a variable '{value.name}_std'); {alike}")
    return missing


def _from_both_sides(value: xr.DataArray) -> str:
    """Say how a measurement of both signs of E tells its temperature, and when it does not."""
    measured = (
        value.attrs.get("quantity") == "dynamic_structure_factor" and value.attrs.get("statistics") != "classical"
    )
    if not measured or "E" not in value.dims or not float(value["E"][0]) < 0 < float(value["E"][-1]):
        return ""
    return "; .bp.detailed_balance() estimates it, to be trusted where its reduced chi2 is near 1"


def trajectory_lines(traj: xr.Dataset) -> str:
    """Describe a trajectory."""
    has = "velocity" in traj
    frames, atoms = traj.sizes.get("time", 0), traj.sizes.get("atom", 0)
    lines = [f"trajectory: {atoms} atoms, {frames} frame{'s' * (frames != 1)}"]
    if "time" in traj.coords and frames > 1:
        step = float(traj.time[1] - traj.time[0])
        lines[0] += f" {step:.4g}{units_of(traj.time)} apart, {step * frames:.4g}{units_of(traj.time)} in all"
    if "element" in traj.coords:
        names, counts = np.unique(traj.element.values, return_counts=True)
        lines.append("  " + ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True)))
    able = [m for m in NEXT["trajectory"] if (frames > 1 or m in _OF_ONE_FRAME) and (has or m not in _OF_VELOCITIES)]
    lines.append("  next: " + " ".join(_call(method) for method in able))
    if frames == 1:
        return "\n".join([*lines, "  one frame: what is made of motion, spectra and displacements, needs more"])
    if not has:
        lines.append("  missing: velocities, without which there are no vdos, current_spectra, box_phonon")
    if "temperature" not in traj.coords:
        told = ", or what the velocities tell" if has else ""
        lines.append(f"  missing: the temperature (T= of the next call{told})")
    return "\n".join(lines)
