"""Errors common to many bins: of a factor, of vanadium, of T or u².

They do not average out and are kept separately.

Beside ``<name>_std``, the total, ``<name>_std_common`` contains one signed component
for each common factor along the dimension ``source``, ∂value/∂factor times the factor's
standard deviation. std² = independent² + Σ common².
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np
import xarray as xr

from xbp.core.errors import XbpError
from xbp.core.pint_data import unwrap
from xbp.core.status import OK, UNDETERMINED

__all__ = [
    "SOURCE",
    "carries_common_errors",
    "common_name",
    "fingerprint",
    "with_common",
]

P = ParamSpec("P")
R = TypeVar("R")

#: Dimension of the components, and coordinate with the names of the factors.
SOURCE = "source"
#: Fractions of a component to try if the full step gives no result, for example because
#: a fit fails.
_STEPS = (1.0, 0.1, 0.01)
#: Relative remainder of a difference of two variances that are equal up to rounding.
_LOST = 1e-12
#: A component below this fraction of the independent error is rounding.
_ROUNDING = 1e-6


def common_name(name: object) -> str:
    """Return the name of the variable with the common errors of another."""
    return f"{name}_std_common"


def fingerprint(label: str, *parts: Any) -> str:
    """Name a factor after its origin and value, so that it has the same name wherever it is used.

    Parameters
    ----------
    label : str
        What the factor is.
    *parts : xarray.DataArray, xarray.Variable or anything that prints itself
        Origin and value. For dask arrays their name is used instead of the values.

    Examples
    --------
    >>> fingerprint("scale of can", 0.9) == fingerprint("scale of can", 0.9) != fingerprint("scale of can", 0.8)
    True
    """
    digest = hashlib.blake2b(digest_size=5)
    for part in parts:
        data = getattr(part, "variable", part)
        data = getattr(data, "data", data)
        if isinstance(data, np.ndarray):
            digest.update(repr((data.shape, str(data.dtype))).encode())
            digest.update(np.ascontiguousarray(data).tobytes())
        else:
            digest.update(str(getattr(data, "name", data)).encode())
    return f"{label} {digest.hexdigest()}"


def with_common(
    ds: xr.Dataset,
    name: str,
    independent: xr.Variable,
    components: Mapping[str, xr.Variable],
) -> xr.Dataset:
    """Give a variable its standard deviation and its common errors.

    Parameters
    ----------
    ds : xarray.Dataset
        With the variable `name` and ``<name>_std``, whose attributes stay.
    independent : xarray.Variable
        The part of the standard deviation that belongs to each bin alone.
    components : mapping of str to xarray.Variable
        Signed components by the names of their factors.
    """
    dims = ds[name].dims
    parts = {key: _on(part, ds[name]) for key, part in components.items()}
    variance: Any = independent**2
    for part in parts.values():
        variance = variance + part**2
    std = (variance**0.5).transpose(*dims)
    out = ds.drop_vars(common_name(name), errors="ignore")
    out[f"{name}_std"] = xr.Variable(dims, std.data, ds[f"{name}_std"].attrs)
    if parts:
        stacked: Any = xr.concat(
            [xr.DataArray(part) for part in parts.values()], SOURCE
        ).variable
        labels = {
            "units": str(ds[name].attrs.get("units", "1")),
            "long_name": f"signed errors of {ds[name].attrs.get('long_name', name)} "
            "that bins share, by factor",
        }
        own = xr.DataArray(
            stacked.data, dims=stacked.dims, coords={SOURCE: list(parts)}, attrs=labels
        )
        # Variables of one table may rest on different factors.
        if SOURCE in out.coords:
            names = list(dict.fromkeys([*out[SOURCE].values.tolist(), *parts]))
            out = out.reindex({SOURCE: names}, fill_value=0.0)
            own = own.reindex({SOURCE: names}, fill_value=0.0)
        out[common_name(name)] = own
    return out


def _on(part: xr.Variable, like: xr.DataArray) -> xr.Variable:
    full: xr.Variable = (part + xr.zeros_like(like.variable)).transpose(*like.dims)
    return full


def _carries(data: Any) -> bool:
    return isinstance(data, xr.Dataset) and any(
        str(name).endswith("_std_common") for name in data.data_vars
    )


class _Split:
    """A Dataset with the independent part of its errors alone, and the components by source."""

    def __init__(self, data: xr.Dataset) -> None:
        self.bare = data
        self.components: dict[str, dict[str, xr.Variable]] = {}
        for key in [str(n) for n in data.data_vars if str(n).endswith("_std_common")]:
            name = key.removesuffix("_std_common")
            common = data[key]
            if (
                name not in data
                or f"{name}_std" not in data
                or SOURCE not in common.dims
            ):
                continue
            total: Any = data[f"{name}_std"].variable ** 2
            left = total - (common.variable**2).sum(SOURCE)
            std = (left.where(left > _LOST * total, left * 0.0) ** 0.5).transpose(
                *data[f"{name}_std"].dims
            )
            std.attrs = data[f"{name}_std"].attrs
            self.bare = self.bare.assign({f"{name}_std": std})
            for i, source in enumerate(
                common[SOURCE].values.tolist() if SOURCE in common.coords else []
            ):
                self.components.setdefault(str(source), {})[name] = (
                    common.variable.isel({SOURCE: i})
                )
        self.bare = self.bare.drop_vars(
            [n for n in self.bare.data_vars if str(n).endswith("_std_common")]
        )
        self.bare = self.bare.drop_vars(SOURCE, errors="ignore")

    def moved(self, source: str, by: float) -> xr.Dataset:
        """Return the data as they would be if a factor were `by` standard deviations larger."""
        changed = {}
        for name, component in self.components.get(source, {}).items():
            value = self.bare[name]
            data = (value.variable + by * component).transpose(*value.dims).data
            changed[name] = xr.Variable(value.dims, data, value.attrs)
        return self.bare.assign(changed)


def carries_common_errors(
    *, linear: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Propagate common errors through an operation.

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

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            if not any(map(_carries, args)) and not any(map(_carries, kwargs.values())):
                return function(*args, **kwargs)
            answer: R = _carried(function, linear, args, kwargs)
            return answer

        return wrapped

    return decorate


def _carried(
    function: Callable[..., Any],
    linear: bool,
    args: Iterable[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    splits: dict[Any, _Split] = {}
    wraps: list[Callable[[Any], Any]] = []
    for key, given in (*enumerate(args), *kwargs.items()):
        if _carries(given):
            plain, rewrap = unwrap(given)
            splits[key] = _Split(plain)
            wraps.append(rewrap)

    def call(take: Callable[[_Split], xr.Dataset]) -> Any:
        some = [
            take(splits[i]) if i in splits else given for i, given in enumerate(args)
        ]
        named = {
            k: take(splits[k]) if k in splits else given for k, given in kwargs.items()
        }
        return unwrap(function(*some, **named))

    base, own_wrap = call(lambda split: split.bare)
    rewrap = wraps[0] if 0 in splits else own_wrap
    if not isinstance(base, xr.Dataset):
        return rewrap(base)
    sources = list(
        dict.fromkeys(
            source for split in splits.values() for source in split.components
        )
    )
    names = [
        str(n)
        for n in base.data_vars
        if f"{n}_std" in base and base[n].dtype.kind == "f"
    ]
    own = _Split(base)
    found: dict[str, dict[str, xr.Variable]] = {name: {} for name in names}
    unknown: Any = False
    for source in sources:
        response, lost = _response(call, own.bare, source, names, linear)
        unknown = unknown | lost
        for name, part in response.items():
            found[name][source] = part
    for source, parts in own.components.items():
        for name, part in parts.items():
            before = found[name].get(source)
            found[name][source] = part if before is None else before + part
    out = own.bare
    for name in names:
        std = own.bare[f"{name}_std"].variable
        felt = {
            source: part for source, part in found[name].items() if _is_felt(part, std)
        }
        if felt:
            out = with_common(out, name, std, felt)
    if SOURCE in out.coords:
        there = set(out[SOURCE].values.tolist())
        out = out.sel(
            {
                SOURCE: [
                    name
                    for name in dict.fromkeys([*sources, *own.components])
                    if name in there
                ]
            }
        )
    if not isinstance(unknown, bool) and "status" in out and bool(unknown.any()):
        lost = unknown & (out["status"] == OK)
        numbers = [
            n
            for n, v in out.data_vars.items()
            if v.dtype.kind == "f" and set(lost.dims) <= set(v.dims)
        ]
        out = out.assign({n: out[n].where(~lost) for n in numbers})
        out["status"] = out["status"].astype("<U32").where(~lost, UNDETERMINED)
    out.attrs = base.attrs
    return rewrap(out)


def _is_felt(part: Any, std: Any) -> bool:
    """Return whether a component is more than rounding.

    Dask arrays are not computed.
    """
    return part.chunks is not None or bool(
        (abs(part) > _ROUNDING * std.transpose(*part.dims)).any()
    )


def _response(
    call: Callable[[Callable[[_Split], xr.Dataset]], Any],
    base: xr.Dataset,
    source: str,
    names: list[str],
    linear: bool,
) -> tuple[dict[str, xr.Variable], Any]:
    """Return the effect of one standard deviation of a factor on the result, and where it is unknown."""
    found: dict[str, Any] = {}
    unknown: Any = False
    for step in _STEPS:
        steps = (step,) if linear else (step, -step)
        sides: list[tuple[float, Any]] = []
        refused: XbpError | None = None
        for by in steps:
            try:
                sides.append(
                    (by, call(functools.partial(_Split.moved, source=source, by=by))[0])
                )
            except XbpError as error:  # such data are refused: try a smaller step
                refused = error
        if not sides and step == _STEPS[-1] and refused is not None:
            raise refused
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
            mean: Any = differences[0]
            if len(differences) == 2:
                mean = (differences[0] + differences[1]) / 2
                for one in differences:  # where the other side has no answer
                    mean = mean.fillna(one)
            found[name] = found[name].fillna(mean) if name in found else mean
            if (
                found[name].chunks is None
                and "status" in base
                and base["status"].dims == here.dims
            ):
                lost = (
                    here.notnull()
                    & base[f"{name}_std"].variable.notnull()
                    & found[name].isnull()
                )
                unknown = unknown | xr.DataArray(lost)
        if isinstance(unknown, bool) or not bool(unknown.any()):
            break
    # Bins that are NaN have no component.
    return {
        name: part.fillna(0.0).where(base[name].variable.notnull())
        for name, part in found.items()
    }, unknown
