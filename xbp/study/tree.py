"""The study: a DataTree of experiments, simulation and models, held to the data model leaf by leaf."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.errors import FileFormatError, QuantityError, RangeError, XbpError
from xbp.core.grid import interval
from xbp.core.operation import operation
from xbp.core.pint_data import unwrap
from xbp.core.schema import (
    CONVENTIONS,
    QUANTITIES,
    SCHEMA_VERSION,
    quantity_name,
    require_units,
)
from xbp.core.signal import extend_history
from xbp.core.status import OK
from xbp.core.units import magnitude
from xbp.fitting.peak import Method
from xbp.io.netcdf import open_tree, tree_to_netcdf
from xbp.study.leaf import OPTION, leaves_of
from xbp.summary import describe_tree

#: Longer names leave a figure no room, and netCDF has none for 256 letters.
_LONGEST_NAME = 60

__all__ = ["new_study", "open_study", "stated_energy", "summary", "to_netcdf"]


def stated_energy(
    energy: Any, std: Any = None, *, reference: str | None = None
) -> xr.Dataset:
    """Return a boson-peak energy from the literature, as a leaf of a study.

    Parameters
    ----------
    energy : scalar with units
        E_BP (bare: meV).
    std : scalar with units, optional
        Its standard deviation (bare: meV); without one it takes no part in χ².
    reference : str
        Where it is stated, such as a DOI; of an energy of your own, what it was
        measured with.

    Returns
    -------
    xarray.Dataset
        ``energy`` and ``energy_std`` in meV, as in the table that `boson_peak` returns.

    Raises
    ------
    QuantityError
        If the energy is not positive and finite, the std is negative, or there is no
        reference.

    Examples
    --------
    >>> stated_energy("44.4 1/cm", "2 1/cm", reference="doi:...").energy.round(2).item()
    5.5
    """
    number = magnitude(energy, "meV", name="energy", energy=True)
    error = np.nan if std is None else magnitude(std, "meV", name="std", energy=True)
    if not (np.isfinite(number) and number > 0) or error < 0 or np.isinf(error):
        raise QuantityError(
            f"energy={energy}, std={std}",
            reason="an energy is positive and finite, its standard deviation not "
            "negative",
            fix="stated_energy('5.5 meV', '0.4 meV', reference='doi:...')",
        )
    if not isinstance(reference, str) or not reference.strip():
        raise QuantityError(
            f"reference={reference!r}",
            reason="a number that comes without its data names its source",
            fix="reference='doi:...', or reference='this work, IN5, 2024'",
        )
    said = {"energy": energy, "std": std, "reference": reference}
    return xr.Dataset(
        {
            "energy": (
                (),
                number,
                {"units": "meV", "long_name": "energy of the boson peak"},
            ),
            "energy_std": (
                (),
                error,
                {"units": "meV", "long_name": "standard deviation of the energy"},
            ),
            "status": ((), OK, {"long_name": "whether the energy can be used"}),
        },
        attrs={
            "Conventions": CONVENTIONS,
            "xbp_schema": SCHEMA_VERSION,
            "quantity": "boson_peak",
            "method": "stated",
            "reference": reference,
            "history": extend_history(None, "stated_energy", said),
        },
    )


def new_study(
    leaves: Mapping[str, xr.Dataset | xr.DataArray],
    *,
    title: str | None = None,
    E_range: Mapping[str, Any] | None = None,
    Q_range: Mapping[str, Any] | None = None,
    method: Mapping[str, Method] | None = None,
    systematic: Mapping[str, Any] | None = None,
    debye_energy: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    r"""Lay experiments, simulation and models side by side, as one tree.

    Parameters
    ----------
    leaves : mapping of str to xarray.Dataset or DataArray
        What is known, by names such as ``"ins"``, ``"raman"``, ``"heat_capacity"``,
        ``"md"``, ``"model"``, or in groups, ``"raman/532 nm"``. Each is S(Q,E), G(Q,E)
        or B(Q,E) (T and u² on the data, where the way to B needs them), B(E) such as a
        reduced Raman spectrum, g(E), a table of `boson_peak` or `fit_heat_capacity`, or
        a `stated_energy`. Each holds one spectrum: a series is several leaves.
    title : str, optional
        What the study is of.
    E_range : mapping of str to pair of scalars with units, optional
        By leaf, the energies in which `boson_peak` fits (bare: the units of the leaf's
        E); by default it searches.
    Q_range : mapping of str to pair of scalars with units, optional
        By leaf, the momentum transfers over which B(Q,E) is averaged (bare: the units
        of the leaf's Q). Every leaf with a dimension Q needs one.
    method : mapping of str to str, optional
        By leaf, the shape that `boson_peak` fits; by default "lognormal".
    systematic : mapping of str to scalar with units, optional
        By leaf, an error of the energy beside the statistical one, such as that from
        the choice of range (bare: meV).
    debye_energy : mapping of str to scalar with units, optional
        By leaf, which must be a g(E), the Debye energy (bare: meV), for the Debye level
        ∫g dE · 3/E_D³ of the figures. g says which area it has (``attrs["area"]``), or
        has one of 1 or 3.

    Returns
    -------
    xarray.DataTree
        A leaf for each name; ``attrs["quantity"]`` of the root is "study", options are
        in the attributes of their leaf. Compare with ``.bp.compare()``, draw with
        ``.bp.plot()``.

    Raises
    ------
    QuantityError
        If there is no leaf, one is none of these, or an option names a leaf that it
        cannot be of.
    RangeError
        If a leaf has no single spectrum, or a range is no range of its data.
    XbpError
        If a leaf does not follow the data model otherwise.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> B = xbp.models.evaluate("lognormal", np.linspace(1, 20, 80), energy="5.5 meV", height=2, sigma=0.6)
    >>> study = new_study({"ins": B, "raman": stated_energy("6 meV", "0.4 meV", reference="doi:...")},
    ...                   E_range={"ins": ("2 meV", "12 meV")})
    >>> sorted(study.children)
    ['ins', 'raman']
    """
    if not isinstance(leaves, Mapping) or not leaves:
        raise QuantityError(
            f"leaves={leaves!r}"
            if not isinstance(leaves, Mapping)
            else "there are no leaves",
            reason="a study lays data side by side, by name",
            fix="xbp.new_study({'ins': b_of_neutrons, 'raman': b_of_raman})",
        )
    options: dict[str, Mapping[str, Any]] = {
        name: {} if given is None else given
        for name, given in (
            ("E_range", E_range), ("Q_range", Q_range), ("method", method), ("systematic", systematic),
            ("debye_energy", debye_energy),
        )
    }  # fmt: skip
    for option, by_leaf in options.items():
        if not isinstance(by_leaf, Mapping):
            raise QuantityError(
                f"{option}={by_leaf!r}",
                reason="options are given by leaf",
                fix=f"{option}={{{next(iter(leaves))!r}: ...}}",
            )
        for name in by_leaf:
            if name not in leaves:
                raise QuantityError(
                    f"{option} names the leaf {name!r}",
                    reason="options are given by leaf, and these are "
                    f"{', '.join(map(repr, leaves))}",
                    fix=f"{option}={{{next(iter(leaves))!r}: ...}}",
                )
    nodes: dict[str, xr.Dataset] = {}
    for name, data in leaves.items():
        _check_name(name, list(leaves))
        nodes[name] = _as_leaf(
            name,
            data,
            {o: by_leaf[name] for o, by_leaf in options.items() if name in by_leaf},
        )
    attrs = {
        "Conventions": CONVENTIONS,
        "xbp_schema": SCHEMA_VERSION,
        "quantity": "study",
    }
    if title is not None:
        attrs["title"] = str(title)
    attrs["history"] = extend_history(None, "new_study", {"leaves": ", ".join(nodes)})
    tree = xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=attrs)} | {f"/{name}": ds for name, ds in nodes.items()}
    )
    leaves_of(tree)
    return tree


def _check_name(name: Any, names: list[Any]) -> None:
    parts = name.split("/") if isinstance(name, str) else [""]
    # What netCDF takes for a name.
    fits = all(
        re.match(r"\w", part) and part == part.strip() and part.isprintable()
        for part in parts
    )
    if (
        not fits
        or not unicodedata.is_normalized("NFC", name)
        or len(name) > _LONGEST_NAME
    ):
        raise QuantityError(
            f"the leaf is called {str(name)[: 2 * _LONGEST_NAME]!r}",
            reason="a name is a word that begins with a letter or a digit, or such "
            "words with slashes between them, "
            f"of up to {_LONGEST_NAME} letters in all",
            fix="'ins', or 'raman/532 nm'",
        )
    above = [
        other
        for other in names
        if isinstance(other, str) and name.startswith(f"{other}/")
    ]
    if above:
        raise QuantityError(
            f"the leaf {name!r} would hang on the leaf {above[0]!r}",
            reason="a group holds leaves and no data of its own",
            fix=f"call the other one '{above[0]}/all', or the like",
        )


def _as_leaf(name: str, data: Any, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the Dataset of a leaf, what is said of it in its attributes."""
    if not isinstance(data, xr.DataArray | xr.Dataset):
        raise QuantityError(
            f"the leaf {name!r} is a {type(data).__name__}",
            reason="it is labelled data, or a table of results",
            fix="xbp.new_dataset(...), or xbp.stated_energy('5.5 meV', '0.4 meV', "
            "reference='doi:...')",
        )
    plain: Any = unwrap(data)[0]
    if isinstance(plain, xr.DataArray):
        row = QUANTITIES.get(str(quantity_name(plain)))
        plain = plain.to_dataset(name=plain.name or (row.variable if row else "data"))
    ds: xr.Dataset = plain.copy()
    ds.attrs = {"Conventions": CONVENTIONS, "xbp_schema": SCHEMA_VERSION} | {
        key: value for key, value in ds.attrs.items() if not str(key).startswith(OPTION)
    }
    for option, value in options.items():
        if option in ("systematic", "debye_energy"):
            number = magnitude(value, "meV", name=f"{option} of {name!r}", energy=True)
            if not (np.isfinite(number) and number > 0):
                raise QuantityError(
                    f"{option} of {name!r} is {value}",
                    reason="it is positive",
                    fix="'0.3 meV'",
                )
            ds.attrs[OPTION + option] = number
        elif option == "method":
            ds.attrs[OPTION + option] = value
        else:
            dim = option[0]
            if dim not in ds.coords or ds[dim].dims != (dim,):
                raise RangeError(
                    f"{option} is given for {name!r}, which has no dimension {dim!r}",
                    reason="it is a range of that dimension",
                    fix=f"leave it out, or pass data over {dim}",
                )
            units = require_units(
                ds[dim],
                f"coordinate '{dim}' of {name!r}",
                "meV" if dim == "E" else "1/angstrom",
            )
            ends = interval(value, ds, dim, name=f"{option} of {name!r}")
            ds.attrs[OPTION + option] = [f"{end:.12g} {units}" for end in ends]
    return ds


@operation(takes="study", where="study")
def to_netcdf(
    study: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Archive a study to netCDF-4, a group for each leaf.

    ``xbp.open_study(path)`` and ``xarray.open_datatree(path)`` give back the identical
    tree. The file is written beside its place and renamed once it is complete.

    Parameters
    ----------
    study : xarray.DataTree
        From `new_study`.
    path : path-like
        Where to.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        If it is no study, or an attribute cannot be stored in netCDF.
    FileFormatError
        If the file exists and `overwrite` is not given, or it cannot be written so that
        it reads back identical.
    """
    leaves_of(study)
    tree_to_netcdf(study, path, overwrite=overwrite)


def open_study(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a study that `to_netcdf` wrote, into memory.

    Parameters
    ----------
    path : path-like
        A netCDF file with a group for each leaf.

    Returns
    -------
    xarray.DataTree
        Every leaf held to the data model.

    Raises
    ------
    FileFormatError
        If it is no such file.
    XbpError
        If a leaf does not follow the data model.

    Examples
    --------
    >>> import tempfile
    >>> study = new_study({"ins": stated_energy("5.5 meV", reference="doi:...")})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study.bp.to_netcdf(f"{folder}/study.nc")
    ...     open_study(f"{folder}/study.nc").identical(study)
    True
    """
    tree = open_tree(path)
    if quantity_name(tree) != "study":
        raise FileFormatError(
            f"{path} holds no study",
            reason="its root does not say so",
            fix="xbp.open_dataset(path) opens other files; a study is made by "
            "xbp.new_study({...})",
        )
    leaves_of(tree)
    return tree


def summary(study: xr.DataTree) -> str:
    """Say in a few lines what a tree holds and what can be done with it.

    This is what ``tree.bp`` prints.

    Parameters
    ----------
    study : xarray.DataTree
        Any tree.

    Returns
    -------
    str

    Examples
    --------
    >>> print(summary(new_study({"ins": stated_energy("5.5 meV", reference="doi:...")})))
    study: 1 leaf
      ins: stated
      next: .bp.compare() .bp.plot() .bp.report() .bp.to_netcdf()
    """
    if quantity_name(study) != "study" and (study.children or study.data_vars):
        return describe_tree(study)
    try:
        leaves = leaves_of(study)
    except XbpError as error:
        return f"no study: {error.summary}\n  {error.fix}"
    title = study.attrs.get(
        "title", f"{len(leaves)} {'leaf' if len(leaves) == 1 else 'leaves'}"
    )
    lines = [f"  {leaf.name}: {leaf.kind.replace('_', ' ')}" for leaf in leaves]
    return "\n".join(
        [
            f"study: {title}",
            *lines,
            "  next: .bp.compare() .bp.plot() .bp.report() .bp.to_netcdf()",
        ]
    )
