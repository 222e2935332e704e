"""A measured or computed signal on its way through an operation.

Every public function reads its input here and writes its answer here, so that pint,
standard deviations, companions, units and history are dealt with once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import xarray as xr

from xbp.core.common_errors import with_common
from xbp.core.covariance import SHARED, without_shared
from xbp.core.data import is_lazy, require_columns, unwrap
from xbp.core.errors import QuantityError, kind_of, with_article
from xbp.core.history import extend_history
from xbp.core.independence import require_not_negative, with_one_count
from xbp.core.operation import RESULTS, call_of, step_to
from xbp.core.schema import (
    DATASET_LABELS,
    QUANTITIES,
    Quantity,
    of_atoms,
    quantity_name,
    require_units,
    symbols,
    validate,
)
from xbp.core.status import diagnosed, name_reason, poor_fits
from xbp.core.units import convert_factor

__all__ = [
    "Signal",
    "extend_history",
    "map_over",
    "over_spectra",
    "read",
    "result_table",
    "table_signal",
]

T = TypeVar("T")

#: Attributes of the numbers as they are: an operation sets or drops them.
_OF_THE_NUMBERS = {
    "units", "quantity", "long_name", "standard_name", "ancillary_variables", "history",
    "valid_min", "valid_max", "valid_range", "actual_range",
}  # fmt: skip
#: Attributes that tables of results keep.
_OF_THE_SAMPLE = ("origin", "dimension")
#: Precisions that linear algebra lacks, taken to double.
_ODD_FLOATS = (np.float16, np.longdouble)


@dataclass(frozen=True)
class Signal:
    """The variable an operation works on, stripped to plain arrays.

    Attributes
    ----------
    value : xarray.DataArray
        The values, with units in attrs.
    std : xarray.DataArray or None
        Their standard deviations, in the same units, never 0: bins without counts have
        that of one count (`xbp.core.independence`). None for a DataArray, which has
        none, and where they are 0 throughout.
    quantity : Quantity
        What it is.
    source : xarray.DataArray or xarray.Dataset
        What the user passed, without pint.
    rewrap : callable
        Puts the answer in the kind the user passed.
    """

    value: xr.DataArray
    std: xr.DataArray | None
    quantity: Quantity
    source: xr.DataArray | xr.Dataset
    rewrap: Callable[[Any], Any]

    @property
    def units(self) -> str:
        """Units of the values."""
        return str(self.value.attrs["units"])

    def both(self, function: Callable[[xr.DataArray], T]) -> tuple[T, T | None]:
        """Apply a function to the values, and to the standard deviations if known."""
        return function(self.value), None if self.std is None else function(self.std)

    def answer(
        self,
        value: xr.DataArray | xr.Variable,
        std: xr.DataArray | xr.Variable | None,
        *,
        operation: str,
        arguments: Mapping[str, Any],
        units: str | None = None,
        quantity: str | None = None,
        attrs: Mapping[str, Any] | None = None,
        coords: Mapping[str, xr.Variable] | None = None,
        bounds: Mapping[str, Any] | None = None,
        common: Mapping[str, xr.Variable] | None = None,
        grid: Mapping[Hashable, xr.Variable] | None = None,
    ) -> Any:
        """Label an answer and give it back in the kind that was passed.

        Units, quantity and history are set anew: nothing that xarray carried through
        the arithmetic survives. A Variable is on the grid of the signal, in any order
        of its dimensions, unless `grid` has the coordinates that are left, those of the
        signal but for some; `coords` are scalar or further ones to add or replace.
        In a Dataset, companions that share the answer's grid stay, and `bounds`, pairs
        of lower and upper limits, become the CF bounds of changed coordinates. `std`
        belongs to each bin alone; errors of factors that bins share are `common`,
        signed, by the names of the factors (`xbp.core.common_errors`).
        """
        row = QUANTITIES[quantity or self.quantity.name]
        name = row.variable if quantity else str(self.value.name or row.variable)
        own = self.value.attrs
        labels = {
            "units": units or own["units"],
            "quantity": row.name,
            "long_name": row.label,
            **{key: own[key] for key in own if key not in _OF_THE_NUMBERS},
            **(attrs or {}),
            "history": extend_history(own.get("history"), operation, arguments),
        }
        place = self.value if isinstance(value, xr.Variable) else value
        at = dict(grid or place.coords.variables)
        if coords and not SHARED.keys().isdisjoint(coords):
            at = without_shared(at, coords)
        at |= coords or {}
        # An index stays with its coordinate.
        indexes = {dim: index for dim, index in place.xindexes.items()
                   if at.get(dim) is place.coords.variables[dim]}  # fmt: skip
        known = {k: v for k, v in labels.items() if v is not None}
        if grid is None and isinstance(value, xr.Variable):
            value = value.transpose(*self.value.dims)
        variable = xr.Variable(value.dims, value.data, known)
        if isinstance(self.source, xr.DataArray):
            answer = _together({name: variable}, at, self, indexes, bounds or {})
            return self.rewrap(answer[name])
        variables = {name: variable}
        if std is not None:
            errors = std.transpose(*value.dims)
            about = {
                "units": labels["units"],
                "long_name": f"standard deviation of {labels['long_name'] or name}",
            }
            variables[f"{name}_std"] = xr.Variable(errors.dims, errors.data, about)
            variable.attrs["ancillary_variables"] = f"{name}_std"
        own_names = {str(self.value.name), f"{self.value.name}_std", *variables}
        for companion in (n for n in self.source.data_vars if n not in own_names):
            if _fits(self.source[companion], variable, at):
                variables[str(companion)] = self.source[companion].variable
        ds = _together(variables, at, self, indexes, bounds or {})
        if std is not None and common:
            ds = with_common(ds, {name: (ds.variables[f"{name}_std"], common)})
        ds.attrs = {**self.source.attrs, "history": labels["history"]}
        for key, label in DATASET_LABELS.items():
            ds.attrs.setdefault(key, label)
        return self.rewrap(ds)


def _together(
    variables: Mapping[Any, xr.Variable],
    coords: Mapping[Any, xr.Variable],
    signal: Signal,
    indexes: Mapping[Any, Any],
    bounds: Mapping[str, Any],
) -> xr.Dataset:
    """Put variables and coordinates together, which are on one grid.

    Coordinates have the labels of the signal and their CF bounds; a DataArray has none,
    since they have a dimension more. `xarray.Dataset` would align all first.
    """
    own, known = signal.value.coords.variables, signal.source.coords.variables
    out: dict[Hashable, xr.Variable] = dict(coords)
    for name, variable in coords.items():
        attrs = dict(variable.attrs or own.get(name, variable).attrs)
        limits = f"{name}_bnds"
        if isinstance(signal.source, xr.Dataset) and name in bounds:
            attrs["bounds"] = limits
            pair = np.stack(bounds[name], axis=-1)
            out[limits] = xr.Variable((*variable.dims, "bnds"), pair)
        elif (
            "bounds" in attrs
            and limits in known
            and variable.sizes.get(name) == signal.source.sizes.get(name)
        ):
            out[limits] = known[limits]
        if attrs.get("bounds", "") not in ("", *out):
            del attrs["bounds"]
        if attrs != variable.attrs:
            out[name] = variable.copy(deep=False)
            out[name].attrs = attrs
    new = {
        dim: xr.indexes.PandasIndex.from_variables({dim: variable}, options={})
        for dim, variable in out.items()
        if variable.dims == (dim,) and dim not in indexes
    }
    every = xr.Coordinates({**out, **variables}, indexes={**indexes, **new})
    return every.to_dataset().reset_coords(list(variables))


def _fits(
    companion: xr.DataArray, answer: xr.Variable, at: Mapping[Any, xr.Variable]
) -> bool:
    """Whether a companion variable is on the grid of the answer."""
    own = companion.coords.variables
    return all(
        dim in answer.dims
        and answer.sizes[dim] == size
        and (dim not in own or np.array_equal(at[dim].values, own[dim].values))
        for dim, size in companion.sizes.items()
    )


def read(data: xr.DataArray | xr.Dataset, *expected: str) -> Signal:
    """Find the signal in data, and check it against the data model.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        A DataArray is its own signal, without standard deviation. In a Dataset the
        signal is the one variable whose ``attrs["quantity"]`` is expected; S(Q) and
        g(E) beside a map are its companions, and the signal only if they are alone.
    *expected : str
        Quantities that are accepted; all if none is named.

    Returns
    -------
    Signal

    Raises
    ------
    QuantityError
        If not exactly one variable fits; otherwise as for
        `xbp.core.schema.validate`.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> read(glass, "dynamic_structure_factor").units
    '1/meV'
    """
    plain, rewrap = unwrap(data)
    if isinstance(plain, xr.DataArray):
        if plain.dtype in _ODD_FLOATS:
            plain = plain.astype(float)
        return Signal(plain, None, validate(plain, *expected), plain, rewrap)

    table = str(plain.attrs.get("quantity"))
    if table == "local_fields":
        raise of_atoms(" and ".join(f"'{name}'" for name in plain.data_vars))
    if table in RESULTS:
        raise QuantityError(
            f"this is the table of .bp.{table}(), not a signal "
            f"({symbols(*expected) if expected else 'such as S, G or B'})",
            fix="pass the data it was made from; for other units, convert those first",
        )
    # A standard deviation made by arithmetic has its variable's attributes, quantity
    # included.
    quantities = {
        str(name): str(plain.variables[name].attrs["quantity"])
        for name in plain.data_vars
        if "quantity" in plain.variables[name].attrs
    }
    found = [
        name
        for name, quantity in quantities.items()
        if quantity in (expected or QUANTITIES)
        and not (name.endswith("_std") and name[:-4] in plain.data_vars)
    ]
    found = [n for n in found if not QUANTITIES[quantities[n]].is_companion] or found
    if len(found) != 1:
        needed = symbols(*expected) if expected else "a known quantity"
        known = {q: symbols(q) for q in quantities.values() if q in QUANTITIES}
        named = ", ".join(f"'{n}': {known.get(q, q)}" for n, q in quantities.items())
        if found:
            fix = f"pass one of them: data[['{found[0]}', '{found[0]}_std']]"
        elif any(quantity in QUANTITIES for quantity in quantities.values()):
            steps = (
                step_to(quantity, expected, plain[name])
                for name, quantity in quantities.items()
            )
            fix = next(filter(None, steps), "")
        else:
            example = (expected or tuple(QUANTITIES))[0]
            fix = f"data['name'].attrs['quantity'] = '{example}'"
        raise QuantityError(
            f"the Dataset has {len(found) or 'no'} variables that are {needed}; it has "
            f"{named or 'none'}",
            fix=fix,
        )
    value = plain[found[0]]
    if value.dtype in _ODD_FLOATS:
        value = value.astype(float)
    quantity = validate(value, *expected, owner=f"data[{found[0]!r}]")
    std = std_of(plain, value)
    if std is not None and (is_lazy(std) or not (std.values > 0).all()):
        std = with_one_count(value, std)
    return Signal(value, std, quantity, plain, rewrap)


def as_stored(signal: Signal) -> Signal:
    """Return a signal with its errors as given: a bin without counts keeps its 0."""
    if not isinstance(signal.source, xr.Dataset):
        return signal
    return dataclasses.replace(signal, std=std_of(signal.source, signal.value))


def std_of(ds: xr.Dataset, value: xr.DataArray) -> xr.DataArray | None:
    name = f"{value.name}_std"
    if name not in ds:
        return None
    std = ds[name]
    if set(std.dims) != set(value.dims):
        raise QuantityError(
            f"'{name}' has dimensions {std.dims}, but '{value.name}' {value.dims}",
            fix=f"data['{name}'].broadcast_like(data['{value.name}'])",
        )
    units = require_units(std, f"'{name}'", value.attrs["units"])
    factor = convert_factor(units, value.attrs["units"], name=f"'{name}'")
    # Those of dask are checked in `with_one_count`. Without a negative one or NaN, the
    # lowest is found without memory for a mask.
    if not is_lazy(std) and std.size and not std.values.min() >= 0:
        require_not_negative(std.values, name)
    if std.dims != value.dims:
        std = std.transpose(*value.dims)
    if std.dtype in _ODD_FLOATS:
        std = std.astype(float)
    return std if factor == 1 else std * factor


def table_signal(
    table: xr.Dataset,
    quantity: str,
    variable: str,
    rewrap: Callable[[Any], Any] = lambda answer: answer,
    *,
    needs: Sequence[str] = (),
) -> Signal:
    """Read one column of a table of results, which must also have those of `needs`.

    Raises
    ------
    QuantityError
        If it is another table, no table, or one that lacks a column.
    """
    given = quantity_name(table) if isinstance(table, xr.Dataset) else None
    if given != quantity:
        found = with_article(repr(given)) if given else kind_of(table)
        raise QuantityError(
            f"the table of .bp.{quantity}() is needed, not {found}",
            fix=f"chain them: data.bp.{call_of(quantity)}.bp...",
        )
    require_columns(table, (variable, *needs), quantity)
    value = table[variable].copy()
    kept = ("history", "dimension")
    value.attrs |= {key: table.attrs[key] for key in kept if key in table.attrs}
    dims, units = tuple(map(str, value.dims)), value.attrs.get("units", "1")
    row = Quantity(quantity, variable, variable, dims, units)
    return Signal(value, table.get(f"{variable}_std"), row, table, rewrap)


def result_table(
    signal: Signal,
    variables: Mapping[str, tuple[Any, str, str]],
    *,
    quantity: str,
    operation: str,
    arguments: Mapping[str, Any],
    attrs: Mapping[str, Any] | None = None,
    coords: Mapping[Hashable, xr.Variable] | None = None,
) -> Any:
    """Build a table of results from (array, units, long_name) of each variable.

    Those of ``<name>_std`` follow from its value if they are "". Variables have the
    coordinates of the signal, and `coords`.
    """
    # All are on one grid, so their variables are put together without aligning them.
    data: dict[Hashable, xr.Variable] = {}
    found: dict[Hashable, xr.Variable] = {**(coords or {})}
    for name, (array, units, long_name) in variables.items():
        # Counts come out of the fits among floats.
        values = array.data.astype(int) if name == "n_points" else array.data
        if not long_name and name.endswith("_std"):
            _, units, long_name = variables[name.removesuffix("_std")]
            long_name = f"standard deviation of {long_name}"
        labels = {"long_name": long_name} | ({"units": units} if units else {})
        if f"{name}_std" in variables:
            labels["ancillary_variables"] = f"{name}_std"
        data[name] = xr.Variable(array.dims, values, labels)
        if isinstance(array, xr.DataArray):
            found |= array.coords.variables
    dims = {dim for variable in data.values() for dim in variable.dims}
    for key, coordinate in signal.value.coords.variables.items():
        if set(coordinate.dims) <= dims:
            labelled = found.get(key, coordinate).copy(deep=False)
            labelled.attrs = dict(coordinate.attrs)
            found[key] = labelled
    name_reason(data)
    # A coordinate of the data that a result is named after (u2) gives way to it.
    kept = {key: c for key, c in found.items() if key not in data}
    ds = _together(data, kept, signal, {}, {})
    ds.attrs = {
        **DATASET_LABELS,
        "quantity": quantity,
        **{k: v for k, v in signal.source.attrs.items() if k == "source"},
        **{k: v for k, v in signal.value.attrs.items() if k in _OF_THE_SAMPLE},
        **(attrs or {}),
        "history": extend_history(
            signal.value.attrs.get("history"), operation, arguments
        ),
    }
    ds.attrs |= diagnosed(ds.attrs, *poor_fits(ds))
    return signal.rewrap(ds)


def map_over(
    function: Callable[..., Any],
    *arrays: Any,
    dims: str | Sequence[str],
    gives: Sequence[Sequence[str]] = ((),),
    dtypes: Sequence[Any] | None = None,
    sizes: Mapping[str, int] | None = None,
    each: bool = False,
    **arguments: Any,
) -> Any:
    """Apply a function of plain arrays to labelled ones, dask's chunk by chunk.

    The function works along `dims`, which its arrays have last, as far as they have
    them; each answer has the dimensions `gives` (of lengths `sizes`) besides the
    others, and with `each` it is called once for each of these. Variables, which are
    faster, must be on one grid.
    """
    along = (dims,) if isinstance(dims, str) else dims
    core = [[d for d in along if d in getattr(a, "dims", ())] for a in arrays]
    return xr.apply_ufunc(
        function, *arrays, kwargs=arguments, input_core_dims=core,
        output_core_dims=[list(own) for own in gives], vectorize=each,
        dask="parallelized", output_dtypes=dtypes or [float] * len(gives),
        dask_gufunc_kwargs={"output_sizes": sizes or {}, "allow_rechunk": True},
    )  # fmt: skip


def over_spectra(
    function: Callable[..., Any],
    *arrays: Any,
    core: Sequence[str] = ("E",),
    gives: Sequence[Sequence[str]] = ((),),
    sizes: Mapping[str, int] | None = None,
    types: Sequence[Any] | None = None,
    **arguments: Any,
) -> Any:
    """Apply a function of plain arrays to each spectrum or map, of dask arrays lazily.

    As `map_over` with `each`, of DataArrays; their coordinates over `core` are left
    out, and None is passed as a 0-d NaN.
    """
    given = [xr.DataArray(np.nan if a is None else a) for a in arrays]
    given = [
        a.drop_vars([c for c in a.coords if {*core} & {*a[c].dims}]) for a in given
    ]
    return map_over(
        function, *given, dims=core, gives=gives, dtypes=types, sizes=sizes, each=True,
        **arguments,
    )  # fmt: skip


def is_computed(value: xr.DataArray | xr.Dataset) -> bool:
    """Whether a signal, or a table of its fit, comes from a formula, without noise.

    Examples
    --------
    >>> import xbp
    >>> B = xbp.models.evaluate("gaussian", [1, 2], energy="2 meV", height=1, sigma=1).B
    >>> is_computed(B), is_computed(B.drop_attrs())
    (True, False)
    """
    return bool(value.attrs.get("origin") == "model")


def label_std(ds: xr.Dataset, name: str) -> None:
    """Give ``<name>_std`` its attributes and name it in ``ancillary_variables``."""
    attrs = ds.variables[name].attrs
    ds.variables[f"{name}_std"].attrs = {
        "units": attrs["units"],
        "long_name": f"standard deviation of {attrs.get('long_name', name)}",
    }
    attrs["ancillary_variables"] = f"{name}_std"
