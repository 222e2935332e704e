"""A leaf (one data set) of a study: what it can be, and how it is checked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xbp.analysis.boson_peak import boson_peak
from xbp.core.data import require_over
from xbp.core.errors import QuantityError, RangeError, XbpError, kind_of
from xbp.core.grid import interval
from xbp.core.guards import choose, not_used, require_positive
from xbp.core.operation import RESULTS
from xbp.core.schema import quantity_name, require_units
from xbp.core.signal import read
from xbp.core.status import Status
from xbp.core.units import convert_factor
from xbp.fitting.shapes import Method
from xbp.reduction import convert, cut_Q, to_bqe
from xbp.reduction.dos_area import area_of_all_modes

__all__ = ["OPTION", "Leaf", "leaves_of"]

_SPECTRA = (
    "dynamic_structure_factor",
    "generalized_dos",
    "reduced_dos",
    "vibrational_dos",
)
#: Prefix of the attributes that keep the options of a leaf, also in a file.
OPTION = "study_"


@dataclass(frozen=True)
class Leaf:
    """One leaf of a study.

    Attributes
    ----------
    name : str
        Its path in the tree, without the leading slash.
    data : xarray.Dataset
        Its data.
    kind : str
        The quantity of its signal or of its table of results; "stated" for an energy
        from the literature.
    """

    name: str
    data: xr.Dataset
    kind: str

    def option(self, name: str) -> Any:
        """Return an option that was passed to `new_study` for this leaf, or None."""
        return self.data.attrs.get(OPTION + name)

    @property
    def source(self) -> str:
        """Return the source of the data; "" if it is not known."""
        known = (
            self.data.attrs.get("source"),
            *(v.attrs.get("source") for v in self.data.data_vars.values()),
        )
        return next((text for text in known if isinstance(text, str)), "")

    def spectrum(self) -> xr.Dataset | None:
        """Return B(E) with E in meV; None for a table of results."""
        if self.kind not in _SPECTRA:
            return None
        with _naming(self.name):
            b: xr.Dataset = (
                self.data if self.kind == "reduced_dos" else to_bqe(self.data)
            )
            if self.option("Q_range") is not None:
                b = cut_Q(b, tuple(self.option("Q_range")))
            in_mev: xr.Dataset = convert(b, E="meV")
            return in_mev

    def peak(self, spectrum: xr.Dataset | None) -> xr.Dataset:
        """Return the boson peak fitted to the spectrum, or the table of the leaf."""
        if spectrum is None:
            return self.data
        limits = self.option("E_range")
        with _naming(self.name):
            return boson_peak(
                spectrum,
                self.option("method") or "lognormal",
                None if limits is None else tuple(limits),
            )


@contextlib.contextmanager
def _naming(leaf: str) -> Iterator[None]:
    """Add the name of the leaf to every error."""
    try:
        yield
    except XbpError as error:
        raise type(error)(
            f"leaf {leaf!r}: {error.summary}", reason=error.reason, fix=error.fix
        ) from error


def leaves_of(study: Any) -> list[Leaf]:
    """Check and return the leaves of a study.

    Raises
    ------
    XbpError
        If `study` is not a study, or if one of its leaves is not valid; the message
        names the leaf.
    """
    if not isinstance(study, xr.DataTree) or quantity_name(study) != "study":
        other = isinstance(study, xr.DataTree)
        raise QuantityError(
            f"got {'another tree' if other else kind_of(study)}, not a study",
            fix="xbp.new_study({'ins': ..., 'raman': ...}), or xbp.open_study(path)",
        )
    return [Leaf(name, ds, _kind(name, ds)) for name, ds in _walk(study, "")]


def _walk(node: xr.DataTree, above: str) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield the leaves in the order in which they were added."""
    for name, child in node.children.items():
        if child.is_leaf:
            yield above + name, child.to_dataset()
        yield from _walk(child, f"{above}{name}/")


def _kind(name: str, ds: xr.Dataset) -> str:
    """Return the kind of a leaf, or raise an error if it is not valid."""
    with _naming(name):
        for option in ("systematic", "debye_energy"):
            if OPTION + option in ds.attrs:
                value = ds.attrs[OPTION + option]
                require_positive(value, option, "meV", error=QuantityError)
        table = quantity_name(ds)
        if isinstance(table, str) and table in RESULTS:
            return _kind_of_table(table, ds)
        if any(quantity_name(v) == "heat_capacity" for v in ds.data_vars.values()):
            raise QuantityError(
                "it is a heat capacity, not yet fitted",
                fix="pass data.bp.fit_heat_capacity()",
            )
        signal = read(ds, *_SPECTRA)
        wanted = "a leaf contains one spectrum, over E, or Q and E"
        fix = "make a leaf of each: {'raman/a': data.isel(sample=0), ...}"
        require_over(signal.value, "E", wanted, may="Q", fix=fix)
        ranges = {key: ds.attrs.get(OPTION + key) for key in ("E_range", "Q_range")}
        if "Q" in signal.value.dims and ranges["Q_range"] is None:
            raise RangeError(
                "it has a dimension Q, but Q_range is missing",
                fix=f"xbp.new_study(..., Q_range={{'{name}': ('2.1 1/angstrom', "
                "'8.5 1/angstrom')})",
            )
        if "Q" not in signal.value.dims:
            not_used("the data have no dimension Q", Q_range=ranges["Q_range"])
        for key, limits in ranges.items():
            if limits is not None:
                interval(limits, ds, key[0], name=key)
        choose(ds.attrs.get(OPTION + "method", "lognormal"), Method, "method")
        if "box_phonon" in ds.coords:
            require_over(
                ds["box_phonon"], (), "a box has one first phonon", error=QuantityError
            )
        if OPTION + "debye_energy" in ds.attrs:
            if signal.quantity.name != "vibrational_dos":
                not_used(
                    "the data are not g(E)",
                    debye_energy=ds.attrs[OPTION + "debye_energy"],
                )
            area_of_all_modes(signal)
        return signal.quantity.name


def _kind_of_table(table: str, ds: xr.Dataset) -> str:
    if table not in ("boson_peak", "fit_heat_capacity"):
        raise QuantityError(
            f"a table of .bp.{table}() has no energy of a boson peak",
            fix="pass the spectrum, or a table of .bp.boson_peak() or "
            ".bp.fit_heat_capacity()",
        )
    options = ("E_range", "Q_range", "method", "debye_energy")
    given = {option: ds.attrs.get(OPTION + option) for option in options}
    not_used("a table of results is not fitted again", **given)
    heat = table == "fit_heat_capacity"
    main, *others = ("peak_status", "status") if heat else ("status",)
    for key in (main, *others):
        if key not in ds or ds[key].ndim:
            raise _not_one_fit(key)
        choose(str(ds[key].values), [*map(str, Status)], f"'{key}'")
    energies = ["energy", "energy_std", *(["energy_E", "energy_E_std"] if heat else [])]
    for key in energies:
        if _number(ds, key, "meV") < 0 or (key == "energy" and ds[key] == 0):
            raise QuantityError(
                f"'{key}' is {float(ds[key])}, not positive", fix="fit again"
            )
    for key in _NUMBERS:
        if key in ds.variables:
            _number(ds, key)
    if heat:
        _require_whole_fit(ds)
    if str(ds[main].values) == Status.OK and not np.isfinite(float(ds["energy"])):
        raise QuantityError(
            f"the status is 'ok', but the energy is {float(ds['energy'])}",
            fix="fit again",
        )
    return "stated" if not heat and str(ds.attrs.get("method")) == "stated" else table


#: Numbers of a table that are drawn, or shown beside the energy.
_NUMBERS = (
    "E_low", "E_high", "temperature_low", "temperature_high", "chi2_reduced",
    "relative_residual", "box_phonon", "debye_level", "systematic", "systematic_E",
    "modes_below", "width",
)  # fmt: skip


def _number(ds: xr.Dataset, key: str, units: str | None = None) -> float:
    """Return one number of a table; raise an error if it is an array or lacks units."""
    column = ds.get(key, ds.coords.get(key))
    if (
        column is None
        or column.ndim
        or column.dtype.kind not in "fiu"
        or (units is None and "units" not in column.attrs)
    ):
        raise _not_one_fit(key)
    if units is not None:
        own = require_units(column, f"'{key}'", units)
        convert_factor(own, units, name=f"'{key}'", energy=True)
    return float(column)


def _not_one_fit(key: str) -> QuantityError:
    return QuantityError(
        f"'{key}' is missing, or is not one value with units",
        fix="choose one fit, table.isel(...), and pass the whole table",
    )


def _require_whole_fit(ds: xr.Dataset) -> None:
    """Raise an error if a fitted heat capacity lacks what is needed to compute g(E)."""
    names = ("n_D", "theta_D", "n_E", "theta_E", "sigma_E")
    for name in names:
        for key in (name, f"{name}_std"):
            _number(ds, key)
    square = ("parameter", "other_parameter")
    complete = "correlation" in ds and ds["correlation"].dims == square
    if not complete or any(set(names) - set(ds[dim].values.tolist()) for dim in square):
        raise QuantityError(
            "'correlation' of the parameters is missing or incomplete",
            fix="pass the whole table that .bp.fit_heat_capacity() returned",
        )
    if str(ds["status"].values) == Status.OK:
        for key in ("theta_D", "theta_E", "sigma_E", "energy_E"):
            require_positive(float(ds[key]), f"'{key}'", error=QuantityError)
