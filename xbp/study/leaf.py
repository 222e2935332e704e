"""A leaf of a study: what it may be, and the checks that hold it to the data model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import xarray as xr

from xbp.analysis.boson_peak import boson_peak
from xbp.core.errors import QuantityError, RangeError, XbpError
from xbp.core.grid import interval
from xbp.core.operation import RESULTS
from xbp.core.schema import quantity_name, require_units
from xbp.core.signal import read
from xbp.core.status import OK, STATUSES
from xbp.core.units import convert_factor
from xbp.fitting.peak import Method
from xbp.reduction import convert, cut_Q, to_bqe
from xbp.reduction.dos_area import area_of_all_modes

#: Numbers of a table of results that are drawn, or told beside the energy, where they
#: are known.
_NUMBERS = (
    "E_low", "E_high", "temperature_low", "temperature_high", "chi2_reduced", "relative_residual", "box_phonon",
    "debye_level", "systematic", "systematic_E", "modes_below", "width",
)  # fmt: skip

__all__ = ["OPTION", "Leaf", "leaves_of"]

_SPECTRA = (
    "dynamic_structure_factor",
    "generalized_dos",
    "reduced_dos",
    "vibrational_dos",
)
#: Where the options of a leaf stand: in the attributes of its Dataset, so that a file
#: keeps them.
OPTION = "study_"


@dataclass(frozen=True)
class Leaf:
    """One leaf of a study.

    Attributes
    ----------
    name : str
        Its path in the tree, without the first slash.
    data : xarray.Dataset
        What stands there.
    kind : str
        The quantity of its signal or of its table of results; "stated" for an energy
        that was told.
    """

    name: str
    data: xr.Dataset
    kind: str

    def option(self, name: str) -> Any:
        """Return what `new_study` was told of this leaf, or None."""
        return self.data.attrs.get(OPTION + name)

    @property
    def source(self) -> str:
        """Return where the data are from, as their reader or maker said it.

        "" where that is not known.
        """
        known = (
            self.data.attrs.get("source"),
            *(v.attrs.get("source") for v in self.data.data_vars.values()),
        )
        return next((str(said) for said in known if isinstance(said, str)), "")

    def spectrum(self) -> xr.Dataset | None:
        """Return B(E) over meV; None of a table of results, which has no spectrum."""
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
        """Return the boson peak of the spectrum, or the table that stands here."""
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
    """Say in every error which leaf it is of."""
    try:
        yield
    except XbpError as error:
        raise type(error)(
            f"leaf {leaf!r}: {error.summary}", reason=error.reason, fix=error.fix
        ) from error


def leaves_of(study: Any) -> list[Leaf]:
    """Return the leaves of a study, each held to the data model.

    Raises
    ------
    XbpError
        If it is no study, or one of the leaves is no leaf; the message names it.
    """
    if not isinstance(study, xr.DataTree) or quantity_name(study) != "study":
        raise QuantityError(
            "got "
            f"{'another tree' if isinstance(study, xr.DataTree) else 'a ' + type(study).__name__}",
            reason="this needs a study, a DataTree whose leaves are held to the data "
            "model",
            fix="xbp.new_study({'ins': ..., 'raman': ...}), or xbp.open_study(path)",
        )
    return [Leaf(name, ds, _kind(name, ds)) for name, ds in _walk(study, "")]


def _walk(node: xr.DataTree, above: str) -> Iterator[tuple[str, xr.Dataset]]:
    """Give the leaves in the order in which they were put in."""
    for name, child in node.children.items():
        if child.is_leaf:
            # What an upper node holds would come down to its leaves, and nothing stands
            # there in a study.
            yield above + name, child.to_dataset()
        yield from _walk(child, f"{above}{name}/")


def _kind(name: str, ds: xr.Dataset) -> str:
    """Tell what a leaf is, or say what is wrong with it."""
    with _naming(name):
        table = quantity_name(ds)
        if isinstance(table, str) and table in RESULTS:
            return _kind_of_table(table, ds)
        if any(quantity_name(v) == "heat_capacity" for v in ds.data_vars.values()):
            raise QuantityError(
                "it is a heat capacity",
                reason="its boson peak is that of the modes fitted to it",
                fix="pass data.bp.fit_heat_capacity(), which keeps the data too",
            )
        signal = read(ds, *_SPECTRA)
        if set(signal.value.dims) - {"Q"} != {"E"}:
            raise RangeError(
                f"'{signal.value.name}' has the dimensions {tuple(signal.value.dims)}",
                reason="a leaf holds one spectrum, over E, or Q and E",
                fix="make a leaf of each: {'raman/a': data.isel(sample=0), 'raman/b': "
                "data.isel(sample=1)}",
            )
        ranges = {key: ds.attrs.get(OPTION + key) for key in ("E_range", "Q_range")}
        if ("Q" in signal.value.dims) != (ranges["Q_range"] is not None):
            raise RangeError(
                f"it {'has' if 'Q' in signal.value.dims else 'has no'} dimension Q, "
                "and Q_range is "
                f"{'not given' if ranges['Q_range'] is None else 'given'}",
                reason="B(Q,E) is averaged over the range of Q that is named",
                fix=f"xbp.new_study(..., Q_range={{'{name}': ('2.1 1/angstrom', '8.5 "
                "1/angstrom')})",
            )
        for key, limits in ranges.items():
            if limits is not None:
                interval(limits, ds, key[0], name=key)
        method = ds.attrs.get(OPTION + "method", "lognormal")
        if not isinstance(method, str) or method not in get_args(Method):
            raise QuantityError(
                f"method={method!r} is not known",
                reason=f"xbp fits {', '.join(map(repr, get_args(Method)))}",
                fix="choose one of them",
            )
        if "box_phonon" in ds.coords and ds["box_phonon"].ndim:
            raise QuantityError(
                f"'box_phonon' is over {ds['box_phonon'].dims}",
                reason="a box has one",
                fix="choose one: data.isel(...)",
            )
        if (
            OPTION + "debye_energy" in ds.attrs
            and signal.quantity.name != "vibrational_dos"
        ):
            raise QuantityError(
                f"debye_energy is given for a {signal.quantity.name!r}",
                reason="its scale is arbitrary, or that of another quantity, and has "
                "no Debye level",
                fix="give it for a leaf that is g(E)",
            )
        if OPTION + "debye_energy" in ds.attrs:
            area_of_all_modes(signal)
        _check_numbers(ds)
        return signal.quantity.name


def _kind_of_table(table: str, ds: xr.Dataset) -> str:
    if table not in ("boson_peak", "fit_heat_capacity"):
        raise QuantityError(
            f"it is the table of results of .bp.{table}()",
            reason="a leaf is a spectrum, or a table with the energy of a boson peak",
            fix="pass what .bp.boson_peak() or .bp.fit_heat_capacity() returned, or "
            "the spectrum itself",
        )
    for option in ("E_range", "Q_range", "method", "debye_energy"):
        if OPTION + option in ds.attrs:
            raise QuantityError(
                f"{option} is given for a table of results",
                reason="nothing is fitted to it",
                fix="leave it out",
            )
    heat = table == "fit_heat_capacity"
    status = "peak_status" if heat else "status"
    needed = [
        "energy",
        "energy_std",
        status,
        *(["energy_E", "energy_E_std", "status"] if heat else []),
    ]
    others = [key for key in _NUMBERS if key in ds.variables]
    for key in needed:
        if (
            key not in ds
            or ds[key].ndim
            or (ds[key].dtype.kind not in ("OUST" if "status" in key else "fiu"))
        ):
            raise QuantityError(
                f"'{key}' is "
                f"{'missing' if key not in ds else f'over {ds[key].dims}, of type {ds[key].dtype}'}",
                reason="a leaf has one energy, with a standard deviation and a status",
                fix="choose one fit, table.isel(...), and pass the whole table",
            )
        if "status" not in key:
            convert_factor(
                require_units(ds[key], f"'{key}'", "meV"),
                "meV",
                name=f"'{key}'",
                energy=True,
            )
        elif str(ds[key].values) not in STATUSES:
            raise QuantityError(
                f"'{key}' is {str(ds[key].values)[:40]!r}",
                reason="it is none that a fit has",
                fix="fit again",
            )
    if heat:
        _require_whole_fit(ds)
    for key in others:
        if (
            ds[key].ndim
            or ds[key].dtype.kind not in "fiu"
            or "units" not in ds[key].attrs
        ):
            raise QuantityError(
                f"'{key}' is no number with units",
                reason="a leaf has one peak",
                fix="fit again",
            )
    if (
        any(float(ds[key]) < 0 for key in needed if "status" not in key)
        or float(ds["energy"]) == 0
    ):
        raise QuantityError(
            "an energy, or its std, is negative or zero",
            reason="it is not",
            fix="fit again",
        )
    if str(ds[status].values) == OK and not np.isfinite(float(ds["energy"])):
        raise QuantityError(
            "its status is 'ok' and its energy is none",
            reason="one of them is wrong",
            fix="fit again",
        )
    _check_numbers(ds)
    return "stated" if not heat and str(ds.attrs.get("method")) == "stated" else table


def _require_whole_fit(ds: xr.Dataset) -> None:
    """Refuse a fitted heat capacity that its g(E) cannot be computed from."""
    numbers = [
        f"{name}{end}"
        for name in ("n_D", "theta_D", "n_E", "theta_E", "sigma_E")
        for end in ("", "_std")
    ]
    broken = [
        key
        for key in numbers
        if key not in ds or ds[key].ndim or ds[key].dtype.kind not in "fiu"
    ]
    square = ("parameter", "other_parameter")
    known = (
        "correlation" in ds
        and ds["correlation"].dims == square
        and set(square) <= set(ds.coords)
    )
    if not known or any(
        not set(numbers[::2]) <= set(ds[dim].values.tolist()) for dim in square
    ):
        broken.append("correlation")
    if not broken and str(ds["status"].values) == OK:
        positive = ("theta_D", "theta_E", "sigma_E", "energy_E")
        broken = [key for key in positive if not 0 < float(ds[key]) < np.inf]
    if broken:
        raise QuantityError(
            f"'{broken[0]}' is missing, no positive number, or is not of one fit",
            reason="g(E) is computed from all parameters and their correlation",
            fix="pass the whole table that .bp.fit_heat_capacity() returned",
        )


def _check_numbers(ds: xr.Dataset) -> None:
    for option in ("systematic", "debye_energy"):
        value = ds.attrs.get(OPTION + option, 1.0)
        if (
            not isinstance(value, int | float | np.number)
            or not 0 < float(value) < np.inf
        ):
            raise QuantityError(
                f"{option} is {value!r}",
                reason="it is a positive number in meV",
                fix="'0.3 meV'",
            )
