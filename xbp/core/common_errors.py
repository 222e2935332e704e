"""Errors common to many bins: those of a factor, of vanadium, of T or of u².

They do not average out and are kept separately.

Beside ``<name>_std``, the total, ``<name>_std_common`` contains one signed component
for each common factor along the dimension ``source``: ∂value/∂factor times the standard
deviation of the factor. std² = independent² + Σ common².
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
import xarray as xr

from xbp.core.data import is_lazy, unwrap
from xbp.core.errors import XbpError
from xbp.core.operation import CARRIER, COMMON
from xbp.core.status import Status
from xbp.core.units import convert_factor

__all__ = [
    "SOURCE",
    "carries_common_errors",
    "common_errors",
    "common_name",
    "errors_apart",
    "fingerprint",
    "with_common",
]

F = TypeVar("F", bound=Callable[..., Any])

#: Dimension of the components, and coordinate with the names of the factors.
SOURCE: Final = "source"


def common_name(name: object) -> str:
    """Return the name of the variable with the common errors of another."""
    return f"{name}{COMMON}"


def fingerprint(label: str, *parts: Any) -> str:
    """Name a factor after its origin and value, so that it has one name wherever used.

    Parameters
    ----------
    label : str
        What the factor is.
    *parts : xarray.DataArray, xarray.Variable or anything that prints itself
        Origin and value. An array is known by its shape and its values to six digits,
        one of more than 10⁶ values by a block in its middle: of a lazy array no more
        has to be computed. An array has the same name when it is lazy and in memory.

    Examples
    --------
    >>> names = [fingerprint("scale of can", factor) for factor in (0.9, 0.9, 0.8)]
    >>> names[0] == names[1] != names[2]
    True
    >>> fingerprint("factor", np.array([0.9])) == fingerprint("factor", np.array([0.9]))
    True
    """
    digest = hashlib.blake2b(digest_size=5)
    for part in parts:
        data = getattr(part, "variable", part)
        data = data.data if isinstance(data, xr.Variable) else data
        if hasattr(data, "shape"):
            digest.update(repr(tuple(data.shape)).encode() + _content(data))
        else:
            digest.update(str(data).encode())
    return f"{label} {digest.hexdigest()}"


def _content(data: Any, *, most: int = 1_000_000, side: int = 16) -> bytes:
    """Return all values, or those of a block in the middle if they are more than 10⁶.

    Measured values have noise, so that no other measurement has the same block.
    """
    middle = tuple(
        slice((n - side) // 2, (n + side) // 2) if n > side else slice(None)
        for n in data.shape
    )
    for block in (data[middle], data) if data.size > most else (data,):
        if hasattr(block, "__dask_graph__"):
            block = block.compute(scheduler="synchronous")
        values = np.ravel(block)
        # Where all values are one, or masked, the others decide.
        if values.size < data.size and np.unique(values).size > 1:
            break
    if values.dtype.kind not in "fiub":
        return repr(values.tolist()).encode()
    known = np.isfinite(values)
    every = bool(known.all())
    finite = values if every else values[known]
    ends = finite.min(initial=0), finite.max(initial=0)
    unit = max(abs(float(end)) for end in ends)
    filled = values if every else np.where(known, values, 2.0 * unit)
    digits = np.empty(values.shape, np.float32)
    # Sums in another order differ in the last digits. A zero has no sign.
    np.divide(filled, unit or 1.0, out=digits, casting="same_kind")
    digits += 0.0
    return f"{unit:.6g}".encode() + digits.tobytes()


def with_common(
    ds: xr.Dataset,
    errors: Mapping[str, tuple[xr.Variable, Mapping[str, xr.Variable]]],
) -> xr.Dataset:
    """Give variables their standard deviations and their common errors.

    Parameters
    ----------
    ds : xarray.Dataset
        With each of the variables and its ``<name>_std``, whose attributes stay.
    errors : mapping of str to pair of xarray.Variable and mapping
        By the names of the variables: the part of the standard deviation that belongs
        to each bin alone, and signed components by the names of their factors.
    """
    known = ds[SOURCE].values.tolist() if SOURCE in ds.coords else []
    every = (source for _, components in errors.values() for source in components)
    names = list(dict.fromkeys([*known, *every]))
    new: dict[str, xr.Variable] = {}
    for name, (independent, components) in errors.items():
        value = ds.variables[name]
        zeros = xr.zeros_like(value)
        parts = {
            source: (part + zeros).transpose(*value.dims)
            for source, part in components.items()
        }
        variance: Any = sum((part**2 for part in parts.values()), independent**2)
        std = (variance**0.5).transpose(*value.dims)
        attrs = ds.variables[f"{name}_std"].attrs
        new[f"{name}_std"] = xr.Variable(value.dims, std.data, attrs)
        if not parts:
            continue
        # Variables of one table may depend on different factors.
        rows = [parts.get(source, zeros) for source in names]
        own = xr.Variable.concat(rows, SOURCE)  # type: ignore[no-untyped-call]
        own.attrs = {
            "units": str(value.attrs.get("units", "1")),
            "long_name": f"signed errors of {value.attrs.get('long_name', name)} "
            "that bins share, by factor",
        }
        new[common_name(name)] = own
    out = ds.drop_vars([common_name(name) for name in errors], errors="ignore")
    if names and names != known:
        if known:
            out = out.reindex({SOURCE: names}, fill_value=0.0)
        new[SOURCE] = xr.Variable(SOURCE, names)
    return out.assign(new)


def _carries(data: Any) -> bool:
    return isinstance(data, xr.Dataset) and any(
        str(name).endswith(COMMON) for name in data.variables
    )


def common_errors(ds: xr.Dataset, name: str) -> xr.DataArray | None:
    """Return the components of a variable, in its units; None if it has none.

    Raises
    ------
    UnitsError
        If those of the file do not convert to them.
    """
    key = common_name(name)
    return ds[key] * _factor(ds, key, name) if key in ds else None


def _factor(ds: xr.Dataset, key: str, name: str) -> float:
    """Return what turns a variable into the units of another, if both have some."""
    own, target = (ds.variables[one].attrs.get("units") for one in (key, name))
    if None in (own, target) or own == target:
        return 1.0
    return convert_factor(str(own), str(target), name=f"'{key}'")


def errors_apart(
    ds: xr.Dataset, name: str
) -> tuple[xr.Variable, dict[str, xr.Variable]]:
    """Return the independent error of a variable, and its components by factor."""
    split = _Split(ds)
    parts = {s: own[name] for s, own in split.components.items() if name in own}
    return split.bare.variables[f"{name}_std"], parts


class _Split:
    """A Dataset with the independent errors alone, and the components by source."""

    def __init__(self, data: xr.Dataset) -> None:
        commons = [str(n) for n in data.data_vars if str(n).endswith(COMMON)]
        self.bare = data.drop_vars([*commons, SOURCE], errors="ignore")
        self.components: dict[str, dict[str, xr.Variable]] = {}
        for key in commons:
            name = key.removesuffix(COMMON)
            there = {name, f"{name}_std"} <= {*data.variables}
            if not there or SOURCE not in data[key].dims:
                continue
            common = data[key] * _factor(data, key, name)
            std = data.variables[f"{name}_std"] * _factor(data, f"{name}_std", name)
            left: Any = std**2 - (common.variable**2).sum(SOURCE)
            # What is left of two variances that are equal is rounding.
            left = left.where(left > 1e-12 * std**2, left * 0.0) ** 0.5
            left = left.transpose(*std.dims)
            units = {k: v for k, v in data[name].attrs.items() if k == "units"}
            attrs = data[f"{name}_std"].attrs | units
            self.bare[f"{name}_std"] = xr.Variable(std.dims, left.data, attrs)
            sources = common[SOURCE].values.tolist() if SOURCE in common.coords else []
            for i, source in enumerate(sources):
                part = common.variable.isel({SOURCE: i})
                self.components.setdefault(str(source), {})[name] = part

    def moved(self, source: str, by: float) -> xr.Dataset:
        """Return the data for a factor that is `by` standard deviations larger."""
        changed = {}
        for name, component in self.components.get(source, {}).items():
            value = self.bare[name].variable
            data = (value + by * component).transpose(*value.dims).data
            changed[name] = xr.Variable(value.dims, data, value.attrs)
        return self.bare.assign(changed)


def carries_common_errors(*, linear: bool = False) -> Callable[[F], F]:
    """Mark the function of an operation through which common errors are carried.

    The operation itself receives only the independent errors. The component of a factor
    is the result for data with that factor one standard deviation larger, minus the
    result for the data as they are. It is signed, so that a factor common to two data
    sets remains correlated. Data without common errors need no extra computation.

    Parameters
    ----------
    linear : bool
        Whether values of the answer are linear in the input values: one step is then
        exact. Otherwise half the difference between steps to both sides is used.
    """

    def mark(function: F) -> F:
        function.__dict__[CARRIER] = functools.partial(_carried, function, linear)
        return function

    return mark


def _carried(
    function: Callable[..., Any], linear: bool, /, *args: Any, **kwargs: Any
) -> Any:
    """Call a function for data with common errors, and give its answer theirs."""
    given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
    opened = {key: unwrap(data) for key, data in given.items() if _carries(data)}
    splits = {key: _Split(plain) for key, (plain, _) in opened.items()}

    def call(take: Callable[[_Split], xr.Dataset]) -> Any:
        now = {**given, **{key: take(split) for key, split in splits.items()}}
        args = [now.pop(key) for key in list(now) if isinstance(key, int)]
        return unwrap(function(*args, **now))

    base, rewrap = call(lambda split: split.bare)
    rewrap = opened[0][1] if 0 in opened else rewrap
    if not isinstance(base, xr.Dataset):
        return rewrap(base)
    sources = dict.fromkeys(s for split in splits.values() for s in split.components)
    if not sources:
        return rewrap(base)
    names = [
        str(n)
        for n in base.data_vars
        if f"{n}_std" in base and base[n].dtype.kind == "f"
    ]
    own = _Split(base)
    out = own.bare
    found: dict[str, dict[str, xr.Variable]] = {name: {} for name in names}
    unknown: Any = False
    for source in sources:
        response, lost = _response(call, out, source, names, linear)
        unknown = unknown | lost
        for name, part in response.items():
            found[name][source] = part
    for source, parts in own.components.items():
        for name, part in parts.items():
            found[name][source] = found[name].get(source, 0.0) + part
    felt: dict[str, tuple[xr.Variable, dict[str, xr.Variable]]] = {}
    for name in names:
        std = own.bare[f"{name}_std"].variable
        # Smaller components are rounding; dask arrays are not computed to see it.
        parts = {
            source: part
            for source, part in found[name].items()
            if is_lazy(part)
            or bool((abs(part) > 1e-6 * std.transpose(*part.dims)).any())
        }
        if parts:
            felt[name] = std, parts
    out = with_common(out, felt)
    if SOURCE in out.coords:
        there = {*out[SOURCE].values.tolist()}
        order = [s for s in {**sources, **own.components} if s in there]
        out = out.sel({SOURCE: order})
    if not isinstance(unknown, bool) and "status" in out and bool(unknown.any()):
        lost = unknown & (out["status"] == Status.OK)
        for n, v in out.data_vars.items():
            if v.dtype.kind == "f" and {*lost.dims} <= {*v.dims}:
                out = out.assign({n: v.where(~lost)})
        out["status"] = out["status"].astype("<U32").where(~lost, Status.UNDETERMINED)
    out.attrs = base.attrs
    return rewrap(out)


def _response(
    call: Callable[[Callable[[_Split], xr.Dataset]], Any],
    base: xr.Dataset,
    source: str,
    names: list[str],
    linear: bool,
) -> tuple[dict[str, xr.Variable], Any]:
    """Return the effect of one standard deviation of a factor, and where it is unknown.

    Where a full step gives no result, as when a fit fails, smaller ones are tried.
    """
    found: dict[str, Any] = {}
    unknown: Any = False
    refused: XbpError | None = None
    for step in (1.0, 0.1, 0.01):
        sides: list[tuple[float, Any]] = []
        for by in (step,) if linear else (step, -step):
            try:
                move = functools.partial(_Split.moved, source=source, by=by)
                sides.append((by, call(move)[0]))
            except XbpError as error:
                refused = error
        if not sides:
            continue
        unknown = False
        for name in names:
            here = base[name].variable
            differences = [
                (side[name].variable.transpose(*here.dims) - here) / by
                for by, side in sides
                if name in side and side[name].sizes == base[name].sizes
            ]
            if not differences:
                continue
            mean: Any = sum(differences) / len(differences)
            for one in differences:  # where the other side has no answer
                mean = mean.fillna(one)
            found[name] = found[name].fillna(mean) if name in found else mean
            if (
                not is_lazy(found[name])
                and "status" in base
                and base["status"].dims == here.dims
            ):
                known = here.notnull() & base[f"{name}_std"].variable.notnull()
                unknown = unknown | xr.DataArray(known & found[name].isnull())
        if isinstance(unknown, bool) or not bool(unknown.any()):
            break
    if not found and refused is not None:
        raise refused
    # Bins that are NaN have no component.
    return {
        name: part.fillna(0.0).where(base[name].variable.notnull())
        for name, part in found.items()
    }, unknown
