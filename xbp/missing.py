"""What data lack for the operations that can follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import xarray as xr

from xbp.core.conditions import FIXED_ENERGY
from xbp.core.data import renamed
from xbp.core.errors import nearest
from xbp.core.operation import next_operations
from xbp.core.schema import COORDINATES, QUANTITIES

__all__ = ["missing"]

#: Spectra in which the first phonon of a simulated box is a maximum.
_OF_A_BOX: Final = (
    "dynamic_structure_factor",
    "generalized_dos",
    "reduced_dos",
    "vibrational_dos",
)


def missing(value: xr.DataArray, source: xr.DataArray | xr.Dataset) -> Iterator[str]:
    """Yield what a signal lacks for the operations on it, one line for each.

    Parameters
    ----------
    value : xarray.DataArray
        The signal.
    source : xarray.DataArray or xarray.Dataset
        What it is in.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> print(*missing(glass.S.drop_vars("temperature"), glass))
    the temperature (T= of xbp.open_dataset or .bp.to_gdos)
    """
    row = QUANTITIES[value.attrs["quantity"]]
    name = "data" if isinstance(source, xr.DataArray) else f"data['{value.name}']"
    if "units" not in value.attrs:
        yield f"units ({name}.attrs['units'] = '{row.units}')"
    for needed in row.dims:
        if needed not in value.dims and (fix := renamed(value, needed)):
            yield f"the dimension {needed} ({fix})"
    for dim in value.dims:
        if dim in COORDINATES and dim not in value.coords:
            yield f"the coordinate {dim}"
        elif dim in COORDINATES and "units" not in value[dim].attrs:
            units = COORDINATES[str(dim)][0]
            yield f"units of {dim} (data['{dim}'].attrs['units'] = '{units}')"
    yield from _needed(value, name)
    molar = "mol" in str(value.attrs.get("units"))
    if row.name == "heat_capacity" and molar and "amount" not in value.attrs:
        yield f"per mole of what ({name}.attrs['amount'] = 'atoms' or 'formula units')"
    simulated = value.attrs.get("statistics") == "classical" and "E" in value.dims
    if simulated and row.name in _OF_A_BOX and "box_phonon" not in value.coords:
        yield (
            "the first phonon of the box, which is not a boson peak "
            "(.bp.mark_box_phonon(traj.bp.box_phonon()))"
        )
    if row.name == "interference_function":
        yield "<b>^2, for S(Q) (xbp.open_dataset(path, composition='SiO2'))"
    if isinstance(source, xr.DataArray):
        yield "standard deviations (a DataArray has none: use the Dataset)"
    elif f"{value.name}_std" not in source:
        one = source.attrs.get("segments") == 1
        window = str(source.attrs.get("window", "")).partition(",")[0]
        yield "standard deviations" + (
            f": only one window of {window} fits into the trajectory"
            if one
            else f" (a variable '{value.name}_std'{_misspelt(value, source)}); every "
            "point has the same weight"
        )


def _misspelt(value: xr.DataArray, source: xr.Dataset) -> str:
    """Return which variable may be meant as the standard deviation."""
    others = [str(n) for n, v in source.data_vars.items() if v.dims == value.dims]
    wanted = f"{value.name}_std"
    found = nearest(wanted, others, cutoff=0.75)
    return f": data.rename({found[0]}='{wanted}')" if found else ""


def _needed(value: xr.DataArray, name: str) -> Iterator[str]:
    """Yield what the suggested operations ask for and a signal does not carry."""
    asked: dict[str, str] = {}
    for one in next_operations(value, str(value.attrs["quantity"])):
        for need in one.needs:
            asked.setdefault(need, f".bp.{one.method}")
    carried = {*value.coords, *value.attrs}
    carried |= {"fixed_energy"} if carried & {*FIXED_ENERGY.values()} else set()
    carried |= {"sample"} if "u2" in carried or "u2" in asked else set()
    texts = {
        "temperature": "the temperature (T= of xbp.open_dataset or {}{also})",
        "u2": "u2 of the Debye-Waller factor (u2= of {}; .bp.debye_waller() finds it; "
        "u2='0 angstrom^2' for a liquid)",
        "statistics": f"statistics ({name}.attrs['statistics'] = 'quantum' or "
        "'classical' (MD))",
        "two_theta": "the scattering angles (a coordinate 'two_theta' over detector)",
        "fixed_energy": "the fixed energy (incident_energy= or final_energy= of {})",
        "ki_over_kf": "whether kᵢ/k_f was applied (ki_over_kf= of {})",
        "sample": "the sample (composition=, mass= or u2= of {})",
    }
    also = "; .bp.detailed_balance() estimates it" if _may_balance(value) else ""
    for need, method in asked.items():
        if need not in carried:
            yield texts[need].format(method, also=also)


def _may_balance(value: xr.DataArray) -> bool:
    """Whether S(Q,E) has both signs of E, and may be quantum."""
    axis = value.coords.get("E")
    return (
        value.attrs["quantity"] == "dynamic_structure_factor"
        and value.attrs.get("statistics") != "classical"
        and axis is not None
        and axis.ndim == 1
        and axis.size > 0
        and float(axis[0]) < 0 < float(axis[-1])
    )
