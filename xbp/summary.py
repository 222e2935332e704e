"""Data, results and trees described as text: values, statuses, diagnostics, next steps.

Nothing is computed here, and lazy dask arrays are not computed either.
"""

from __future__ import annotations

import html
import re
from collections.abc import Hashable, Iterator
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.common_errors import SOURCE, common_errors
from xbp.core.data import is_lazy, unwrap
from xbp.core.numbers import with_error
from xbp.core.operation import RESULTS, kinds_of, next_steps, steps_after
from xbp.core.schema import QUANTITIES, quantity_name, symbol_of
from xbp.core.status import Status, diagnostics
from xbp.missing import missing

__all__ = ["describe", "describe_html", "describe_tree"]

#: What to do about a fit that has a status.
_ADVICE: Final[dict[str, str]] = {
    Status.NO_DATA: "no point in the range has a value and an error; widen the range",
    Status.TOO_FEW: "fewer points than parameters; widen the range, or fix some",
    Status.NO_MAXIMUM: "within their errors the values rise or fall throughout the "
    "range, or the curve is too broad for it; a wider range may show both sides",
    Status.FAILED: "pass start= or fixed=, or fit another range",
    Status.BOX_UNKNOWN: "pass box_phonon=, which traj.bp.box_phonon() finds",
    Status.NO_SOUND: "longitudinal and transverse lines have one energy: atoms that "
    "vibrate on their own, whose box sets no phonon; boson_peak(box_phonon=0)",
    Status.ERRORS_UNKNOWN: "a simulated maximum is tested with standard deviations; "
    "pass the Dataset in place of its variable",
}
#: Attributes of a signal that are printed with it.
_ATTRIBUTES: Final = {
    "normalization": "normalization",
    "ki_over_kf": "kᵢ/k_f",
    "energy_gain": "energy gain",
    "sample_mass": "mass",
    "molar_mass": "molar mass",
    "atoms_per_formula": "atoms",
}


def describe(data: xr.DataArray | xr.Dataset) -> str:
    """Describe data: their values or axes, what is missing, and possible next steps.

    This is what ``print(data.bp)`` shows.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Any data. Lazy dask arrays are not computed.

    Returns
    -------
    str
        A few lines.

    Raises
    ------
    QuantityError
        If `data` is neither of them.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> print(describe(glass.Sq.drop_vars(["box_phonon", "resolution_fwhm", "u2"])))
    S(Q): Q 169 (0.1527 to 8.575 1/angstrom)
      temperature 300 K, box_Q_min 0.1527 1/angstrom, statistics classical
      next: .bp.to_radial_distribution(…) .bp.fit(…) .bp.plot.cut()
      missing: standard deviations (a DataArray has none: use the Dataset)
    """
    plain = unwrap(data)[0]
    kinds = kinds_of(plain)
    if "trajectory" in kinds:
        lines = list(_of_a_trajectory(plain))
    elif "local_fields" in kinds:
        lines = list(_of_local_fields(plain))
    elif "force_constants" in kinds and "force_constant" in plain:
        lines = list(_of_force_constants(plain.sizes))
    elif "bloch_modes" in kinds and "mode_energy" in plain:
        lines = list(_of_bloch_modes(plain))
    elif isinstance(plain, xr.Dataset) and not {*kinds}.isdisjoint(RESULTS):
        lines = list(_of_a_table(plain, next(iter(kinds))))
    else:
        lines = list(_of_signals(plain))
    if _is_plane(plain):
        lines[0] += "; in two dimensions"
    return "\n".join([*lines, *(f"  {doubt}" for doubt in diagnostics(plain))])


def _is_plane(data: xr.DataArray | xr.Dataset) -> bool:
    parts = [data, *data.data_vars.values()] if isinstance(data, xr.Dataset) else [data]
    return any(part.attrs.get("dimension") == 2 for part in parts)


def describe_html(data: xr.DataArray | xr.Dataset) -> str:
    """Return `describe` as HTML for a notebook, with all text from the data escaped.

    Examples
    --------
    >>> print(describe_html(xr.DataArray([1.0], dims="E"))[:33])
    <div><b>the data have no quantity
    """
    first, *others = html.escape(describe(data)).split("\n")
    return f"<div><b>{first}</b>{''.join(f'<br>{line}' for line in others)}</div>"


def describe_tree(tree: xr.DataTree) -> str:
    """Describe a tree that is not a study, and how to get the data sets in it.

    Examples
    --------
    >>> import xbp
    >>> print(describe_tree(xbp.tutorial.open_datatree("CuZr")["transition"]))
    glass transition: Tg 919 ± 19 K
      as a Dataset: tree["transition"].to_dataset().bp
    """
    path = tree.path.strip("/")
    at = f'tree["{path}"]' if path else "tree"
    if not tree.children:
        return f"{describe(tree.to_dataset())}\n  as a Dataset: {at}.to_dataset().bp"
    fields = all("field" in node.attrs for node in tree.children.values())
    what = "fluctuation spectra, one of each field" if fields else "data sets"
    first = next(iter(tree.children))
    return (
        f"a tree of {what}: {', '.join(tree.children)}\n"
        f'  next: choose one, {at}["{first}"].to_dataset().bp'
    )


# Tables of results


def _of_a_table(table: xr.Dataset, result: str) -> Iterator[str]:
    """Describe a table: its columns in `RESULTS`, or those with errors, and its fit."""
    title = str(table.attrs.get("model", result.replace("_", " ")))
    if any(is_lazy(v) for v in table.variables.values()):
        yield f"{title}: not computed yet; call .compute()"
        return
    known = [name for name in RESULTS[result] if name in table]
    columns = known or [str(n) for n in table.data_vars if f"{n}_std" in table]
    single = [name for name in columns if not table[name].ndim]
    status = _status(table)
    found = [f"{_called(table, name)} {_value(table, name)}" for name in single]
    if status not in ("", Status.OK):
        found = [status]
    yield f"{title}: {', '.join(found) or _sizes(table, columns)}{_quality(table)}"
    if status in _ADVICE:
        yield f"  {_ADVICE[status]}"
    for name in columns:
        if table[name].ndim:
            yield from _of_many(table, name)
    if "status" in table.variables and table["status"].ndim:
        names, counts = np.unique(table["status"].values, return_counts=True)
        many = ", ".join(f"{c} {n}" for n, c in zip(names, counts, strict=True))
        yield f"  status: {many}"
    try:
        steps = steps_after(table)
    except (AttributeError, KeyError):  # a part of a table
        steps = ()
    if steps:
        yield f"  next: {' '.join(steps)}"


def _status(table: xr.Dataset) -> str:
    """Return the status of a single fit, with the parameter that limits it."""
    own = "E_BP_status" if "E_BP_status" in table else "status"
    if own not in table.variables or table[own].ndim:
        return ""
    status = str(table[own].values)
    if own != "status":
        return "" if np.isfinite(float(table["E_BP"])) else status
    limiting = table.get("limiting_parameter")
    if limiting is None or not str(limiting.values) or status == Status.OK:
        return status
    return f"{status} ({limiting.values})"


def _called(table: xr.Dataset, name: str) -> str:
    """Name a column; if the axis is not E, "energy" is the position of the maximum."""
    if name == "energy" and table.attrs.get("quantity") == "fit":
        return name if "E_low" in table.variables else "maximum at"
    return name.replace("_", " ") if len(name) > 4 else name


def _value(table: xr.Dataset, name: str, at: dict[Hashable, int] | None = None) -> str:
    """Format a value with its units, and its error by where it comes from."""
    one = table if at is None else table.isel(at, missing_dims="ignore")
    value = float(one[name])
    if not np.isfinite(value):
        own = "peak" if name == "energy" else name.removesuffix("_energy")
        status = one.get(f"{own}_status", one.get("status"))
        why = "" if status is None or status.ndim else str(status.values)
        return "not found" if why in ("", Status.OK) else f"not found ({why})"
    std = one.get(f"{name}_std")
    text = with_error(value, np.nan if std is None else float(std))
    systematic = {
        "energy": "systematic",
        "energy_E": "systematic_E",
        "u2": "u2_systematic",
    }
    further = one.get(systematic.get(name, ""))
    if further is not None and float(further) > 0:
        text += f" ± {float(further):.2g} (systematic)"
    return f"{text}{_units(table[name])}{_of_factors(one, name)}"


def _of_factors(one: xr.Dataset, name: str) -> str:
    """Name the part of an error that is of factors, such as the scale of a can."""
    common = common_errors(one, name)
    if common is None:
        return ""
    size, std = float(np.sqrt((common**2).sum())), float(one[f"{name}_std"])
    # One that changes no digit of the error is not named.
    if not size > 0 or f"{std:.2g}" == f"{max(std**2 - size**2, 0.0) ** 0.5:.2g}":
        return ""
    labels = common[SOURCE].where(common != 0, drop=True) if SOURCE in one else ()
    # The name of a factor ends with a digest of what it is of.
    names = [re.sub(r" [0-9a-f]{10}$", "", str(label.item())) for label in labels]
    return f" (including {size:.2g} from {', '.join(names) or 'common factors'})"


def _of_many(table: xr.Dataset, name: str) -> Iterator[str]:
    """Describe a column with dimensions: one line for each label, or its range."""
    column = table[name]
    if column.ndim == 1 and (labels := _labels(column)):
        found = [_value(table, name, {column.dims[0]: i}) for i in range(len(labels))]
        if not column.notnull().any() and len({*found}) == 1 < len(found):
            yield f"  {_called(table, name)}: {found[0]}, for each of {len(found)}"
            return
        for label, text in zip(labels, found, strict=True):
            yield f"  {label}: {_called(table, name)} {text}"
        return
    good = (
        column.where(table["status"] == Status.OK)
        if _has_status(table, column)
        else column
    )
    n = int(good.notnull().sum())
    text = f"  {_called(table, name)}: {n} of {column.size} found"
    if n:
        text += (
            f", median {_short(good.median())}, {_short(good.min())} to "
            f"{_short(good.max())}{_units(column)}"
        )
    yield text


def _has_status(table: xr.Dataset, column: xr.DataArray) -> bool:
    return "status" in table.variables and {*table["status"].dims} <= {*column.dims}


def _labels(column: xr.DataArray) -> list[str]:
    """Return the labels of a dimension if they are names, at most twenty; else none."""
    coordinate = column.coords.get(column.dims[0])
    if coordinate is None or coordinate.dtype.kind not in "OU" or column.size > 20:
        return []
    return [str(label) for label in coordinate.values]


def _sizes(data: xr.DataArray | xr.Dataset, columns: list[str]) -> str:
    dims = {d: data.sizes[d] for c in columns for d in data[c].dims}
    return ", ".join(f"{dim} {size}" for dim, size in dims.items()) or "no columns"


def _quality(table: xr.Dataset) -> str:
    """Format the fitted range and the quality of the fit."""
    text = []
    for name in table.variables:
        axis = str(name).removesuffix("_low")
        if f"{axis}_low" == name and f"{axis}_high" in table.variables:
            low, high = table[f"{axis}_low"], table[f"{axis}_high"]
            one = not low.ndim and not high.ndim and bool(low.notnull())
            if one and not str(name).startswith("scan_"):
                ends = f"{_short(low)} to {_short(high)}{_units(high)}"
                own = f"{_value(table, axis)} from " if axis in table.data_vars else ""
                text.append(f"{axis} {own}{ends}")
    if "n_points" in table and not table["n_points"].ndim and table["n_points"] > 0:
        text.append(f"{int(table['n_points'])} points")
    measure = "chi2_reduced" if "chi2_reduced" in table else "relative_residual"
    label = {"chi2_reduced": "reduced chi2", "relative_residual": "rms residual"}
    if measure in table and not table[measure].ndim and table[measure].notnull():
        text.append(f"{label[measure]} {_short(table[measure])}")
    return f" ({', '.join(text)})" if text else ""


# Signals, trajectories and fields


def _of_signals(data: xr.DataArray | xr.Dataset) -> Iterator[str]:
    variables = [data] if isinstance(data, xr.DataArray) else data.data_vars.values()
    known = [
        variable
        for variable in variables
        if quantity_name(variable) in QUANTITIES
        and not str(variable.name).endswith("_std")
    ]
    if not known:
        yield "the data have no quantity, so no operation applies to them"
        yield f"  missing: data.attrs['quantity'], one of {', '.join(QUANTITIES)}"
    for variable in known:
        yield from _of_a_signal(variable, data, first=variable is known[0])


def _of_a_signal(
    value: xr.DataArray, source: xr.DataArray | xr.Dataset, *, first: bool
) -> Iterator[str]:
    """Describe a signal; what all signals share is written only for the first."""
    quantity = str(value.attrs["quantity"])
    symbol = symbol_of(value)
    name = symbol if isinstance(source, xr.DataArray) else f"{value.name}: {symbol}"
    units = _units(value).replace("(no units)", "").strip()
    per = f" per mole of {value.attrs['amount']}" if _has_amount(value) else ""
    axes = ", ".join(_axis(value, dim) for dim in value.dims) or "one number"
    yield f"{name}{f' in {units}' if units else ''}: {axes}{per}"
    about = [
        f"{key} {_short(c)}{_units(c)}"
        + (f" from {c.attrs['source']}" if "source" in c.attrs else "")
        for key, c in value.coords.items()
        if c.ndim == 0 and c.dtype.kind in "fiu" and not is_lazy(c)
    ]
    about += [f"statistics {s}" for s in [value.attrs.get("statistics")] if s]
    if about and first:
        yield f"  {', '.join(about)}"
    for key, label in _ATTRIBUTES.items():
        if isinstance(value.attrs.get(key), str):
            yield f"  {label}: {value.attrs[key]}"
    comments = str(value.attrs.get("comments", "")).splitlines()
    yield from (f"  comment in the file: {text[:140]}" for text in comments[:5])
    if len(comments) > 5:
        yield f"  ... and {len(comments) - 5} more in attrs['comments']"
    for key in ("status", "u2_status"):
        status = value.coords.get(key)
        if status is not None and not is_lazy(status) and status.dtype.kind in "OU":
            others = [str(s) for s in np.unique(status.values) if str(s) != Status.OK]
            if others:
                yield f"  {key}: {', '.join(others)}"
    yield f"  next: {' '.join(next_steps(value, quantity))}"
    yield from (f"  missing: {text}" for text in missing(value, source))


def _has_amount(value: xr.DataArray) -> bool:
    return value.attrs.get("quantity") == "heat_capacity" and isinstance(
        value.attrs.get("amount"), str
    )


def _axis(value: xr.DataArray, dim: Hashable) -> str:
    text = f"{dim} {value.sizes[dim]}"
    if dim in value.coords and value.sizes[dim] and value[dim].dtype.kind in "fiu":
        axis = value[dim]
        text += f" ({_short(axis[0])} to {_short(axis[-1])}{_units(axis)})"
    return text


def _of_a_trajectory(traj: xr.Dataset) -> Iterator[str]:
    has = "velocity" in traj
    frames, atoms = traj.sizes.get("time", 0), traj.sizes.get("atom", 0)
    first = f"trajectory: {atoms} atoms, {frames} frame{'s' * (frames != 1)}"
    if "time" in traj.coords and frames > 1:
        step, units = float(traj.time[1] - traj.time[0]), _units(traj.time)
        first += f" {step:.4g}{units} apart, {step * frames:.4g}{units} in all"
    yield first
    if "element" in traj.coords:
        names, counts = np.unique(traj.element.values, return_counts=True)
        pairs = zip(names, counts, strict=True)
        yield "  " + ", ".join(f"{name} {count}" for name, count in pairs)
    yield f"  next: {' '.join(next_steps(traj, 'trajectory'))}"
    if frames == 1:
        yield "  one frame: spectra and displacements need more"
    elif not has:
        yield "  missing: velocities; differences of positions are used instead"
    if frames > 1 and "temperature" not in traj.coords:
        or_else = ", or that of the velocities" if has else ""
        yield f"  missing: the temperature (T= of the next call{or_else})"


def _of_local_fields(fields: xr.Dataset | xr.DataArray) -> Iterator[str]:
    whole = isinstance(fields, xr.Dataset)
    names = [str(n) for n in (fields.data_vars if whole else [fields.name])]
    sizes = ", ".join(f"{dim} {size}" for dim, size in fields.sizes.items())
    yield f"local fields of the atoms, {', '.join(names)}: {sizes}"
    known = {k: fields.attrs[k] for k in ("cutoff", "reference") if k in fields.attrs}
    how = [f"{key} {value}" for key, value in known.items()]
    if how:
        yield f"  {', '.join(how)}"
    chosen = repr(names[0]) if len(names) == 1 else str(names)
    steps = f"fluctuation_spectrum({chosen}, …) traj.bp.compare_fluctuations(…)"
    yield f"  next: .bp.plot() traj.bp.{steps} traj.bp.to_ase(fields)"


def _of_force_constants(sizes: Any) -> Iterator[str]:
    text = f"{sizes['atom']} atoms at rest, {sizes['pair']} pairs"
    yield f"force constants: {text}"
    yield "  next: .bp.bloch_modes()"


def _of_bloch_modes(modes: Any) -> Iterator[str]:
    glasses = np.unique(modes["glass"].values).size
    energy = modes["mode_energy"].values
    lowest, highest = np.nanmin(energy), np.nanmax(energy)
    yield (
        f"modes at {modes.sizes['k']} wave vectors of {glasses} "
        f"glass{'es' * (glasses > 1)} of {modes.sizes['atom']} atoms, "
        f"{_short(lowest)} to {_short(highest)} meV"
    )
    if "Q" in modes.sizes:
        Q = modes["Q_bnds"].values
        yield f"  strengths up to Q {_short(Q.max())} 1/angstrom"
    else:
        yield "  energies alone: pass Q_max= to bloch_modes for S(Q,E)"
    yield f"  next: {' '.join(next_steps(modes, 'bloch_modes'))}"


def _units(variable: xr.DataArray) -> str:
    """Format units to follow a number; empty if it is dimensionless."""
    units = str(variable.attrs.get("units", ""))
    return "" if units in ("", "1") else f" {units}"


def _short(number: Any) -> str:
    """Format a number with four figures, without an exponent if possible."""
    value = float(number)
    large = 1e4 <= abs(value) < 1e6
    return (f"{value:.0f}" if large else f"{value:.4g}").replace("-", "−", 1)
