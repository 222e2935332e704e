"""What a signal or a trajectory is, what it lacks, and what can be done with it."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from xbp.core.operation import next_steps
from xbp.core.schema import COORDINATES, QUANTITIES, Quantity, symbol_of
from xbp.summary.remarks import of_the_sample, remarks, units_of

__all__ = ["signal_lines", "trajectory_lines"]

#: Quantities of a simulation in which the first phonon of its box makes a peak.
_WITH_A_BOX: Final = (
    "dynamic_structure_factor",
    "generalized_dos",
    "reduced_dos",
    "vibrational_dos",
)
#: Quantities whose reduction needs the Bose factor.
_NEEDS_T: Final = ("dynamic_structure_factor", "raman_intensity")


def signal_lines(
    value: xr.DataArray, source: xr.DataArray | xr.Dataset, *, first: bool
) -> str:
    """Describe one signal.

    What it shares with the others of a Dataset only where it is the first.
    """
    row = QUANTITIES[value.attrs["quantity"]]
    axes = []
    for dim in value.dims:
        text = f"{dim} {value.sizes[dim]}"
        if dim in value.coords and value.sizes[dim] and value[dim].dtype.kind in "fiu":
            text += (
                f" ({float(value[dim][0]):.3g} to "
                f"{float(value[dim][-1]):.3g}{units_of(value[dim])})"
            )
        axes.append(text)
    units = value.attrs.get("units")
    symbol = symbol_of(value)
    name = symbol if isinstance(source, xr.DataArray) else f"{value.name}: {symbol}"
    lines = [
        f"{name}{f' in {units}' if units not in (None, '1') else ''}: "
        f"{', '.join(axes) or 'one number'}"
    ]
    about = [
        f"{key} "
        f"{float(c):.3g}{units_of(c)}{' from ' + str(c.attrs['source']) if 'source' in c.attrs else ''}"
        for key, c in value.coords.items()
        if c.ndim == 0 and c.dtype.kind in "fiu" and c.chunks is None
    ]
    about += [
        f"{key} {value.attrs[key]}" for key in ("statistics",) if key in value.attrs
    ]
    if about and first:
        lines.append(f"  {', '.join(about)}")
    lines.append("  next: " + " ".join(next_steps(value, row.name)))
    if row.name == "heat_capacity":
        lines[1:1] = of_the_sample(value)
        if isinstance(value.attrs.get("amount"), str):
            lines[0] += f" per mole of {value.attrs['amount']}"
    lines += remarks(value, source, first=first)
    lines += [f"  missing: {text}" for text in _missing(value, source, row)]
    return "\n".join(lines)


def _missing(
    value: xr.DataArray, source: xr.DataArray | xr.Dataset, row: Quantity
) -> list[str]:
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
            missing.append(
                f"units of {dim} (data['{dim}'].attrs['units'] = "
                f"'{COORDINATES[str(dim)][0]}')"
            )
    if row.name in _NEEDS_T and "temperature" not in value.coords:
        missing.append(
            f"the temperature (T= of the next call{_from_both_sides(value)})"
        )
    if row.name == "dynamic_structure_factor" and "u2" not in value.coords:
        missing.append(
            "u2 of the Debye-Waller factor (u2= of the next call; .bp.debye_waller() "
            "or "
            ".bp.to_vibrational_dos(…) finds it; of a liquid u2='0 angstrom^2')"
        )
    if row.name == "dynamic_structure_factor" and "statistics" not in value.attrs:
        missing.append(
            f"statistics ({name}.attrs['statistics'] = 'quantum' if measured, "
            "'classical' if of MD)"
        )
    if (
        row.name == "heat_capacity"
        and "mol" in str(value.attrs.get("units"))
        and "amount" not in value.attrs
    ):
        missing.append(
            f"per mole of what ({name}.attrs['amount'] = 'atoms', or 'formula units')"
        )
    simulated = row.name in _WITH_A_BOX and value.attrs.get("statistics") == "classical"
    if simulated and "E" in value.dims and "box_phonon" not in value.coords:
        missing.append(
            "the first phonon of the box, which is no boson peak "
            "(.bp.mark_box_phonon(traj.bp.box_phonon()))"
        )
    if row.name == "interference_function":
        missing.append(
            "<b>^2, for S(Q) (xbp.open_dataset(path, composition='SiO2', or whatever "
            "it is))"
        )
    if isinstance(source, xr.DataArray):
        missing.append("standard deviations (a DataArray has none: use the Dataset)")
    elif f"{value.name}_std" not in source:
        alike = (
            "every point has the same relative error"
            if row.name == "heat_capacity"
            else "every point weighs alike"
        )
        if source.attrs.get("segments") == 1:
            missing.append(
                "standard deviations: "
                f"{_one_window(str(source.attrs.get('window', '')))}; {alike}"
            )
        else:
            missing.append(
                f"standard deviations (a variable '{value.name}_std'); {alike}"
            )
    return missing


def _one_window(window: str) -> str:
    """Say why spectra of a simulation have no scatter, and what gives them one."""
    time = window.partition(",")[0]
    half = (
        f"{float(time.removesuffix(' ps')) / 2:.4g} ps"
        if time.endswith(" ps")
        else "5 ps"
    )
    return (
        f"one window of {time} fits into the trajectory, and the scatter of two or "
        f"more tells them (window='{half}', "
        "or more frames)"
    )


def _from_both_sides(value: xr.DataArray) -> str:
    """Say how a measurement of both signs of E tells its temperature, and when it does not."""
    measured = (
        value.attrs.get("quantity") == "dynamic_structure_factor"
        and value.attrs.get("statistics") != "classical"
    )
    if (
        not measured
        or "E" not in value.dims
        or not float(value["E"][0]) < 0 < float(value["E"][-1])
    ):
        return ""
    return (
        "; .bp.detailed_balance() estimates it, to be trusted where its reduced "
        "chi2 is near 1"
    )


def trajectory_lines(traj: xr.Dataset) -> str:
    """Describe a trajectory."""
    has = "velocity" in traj
    frames, atoms = traj.sizes.get("time", 0), traj.sizes.get("atom", 0)
    lines = [f"trajectory: {atoms} atoms, {frames} frame{'s' * (frames != 1)}"]
    if "time" in traj.coords and frames > 1:
        step = float(traj.time[1] - traj.time[0])
        lines[0] += (
            f" {step:.4g}{units_of(traj.time)} apart, "
            f"{step * frames:.4g}{units_of(traj.time)} in all"
        )
    if "element" in traj.coords:
        names, counts = np.unique(traj.element.values, return_counts=True)
        lines.append(
            "  " + ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True))
        )
    lines.append("  next: " + " ".join(next_steps(traj, "trajectory")))
    if frames == 1:
        return "\n".join(
            [
                *lines,
                "  one frame: what is made of motion, spectra and displacements, "
                "needs more",
            ]
        )
    if not has:
        lines.append(
            "  missing: velocities, without which there are no current_spectra and "
            "box_phonon, and vdos takes "
            "differences of positions"
        )
    if "temperature" not in traj.coords:
        told = ", or what the velocities tell" if has else ""
        lines.append(f"  missing: the temperature (T= of the next call{told})")
    return "\n".join(lines)
