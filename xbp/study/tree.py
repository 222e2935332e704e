"""Studies: experiments, simulation and models in one tree, checked leaf by leaf."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.construct import as_dataset
from xbp.core.errors import FileFormatError, QuantityError, RangeError, XbpError, shown
from xbp.core.grid import interval
from xbp.core.guards import require_keys, require_kind, require_number, require_positive
from xbp.core.operation import operation
from xbp.core.schema import (
    DATASET_LABELS,
    quantity_name,
    require_units,
)
from xbp.core.signal import extend_history
from xbp.core.status import FIT_LABELS, Status
from xbp.fitting.shapes import Method
from xbp.io.netcdf import open_tree, tree_to_netcdf
from xbp.study.leaf import OPTION, leaves_of
from xbp.summary import describe_tree

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
        Its standard deviation (bare: meV); without one, the energy is left out of χ².
    reference : str
        Where the energy was published, such as a DOI; for your own result, how it was
        measured.

    Returns
    -------
    xarray.Dataset
        ``energy`` and ``energy_std`` in meV, as in the table that `boson_peak` returns.

    Raises
    ------
    QuantityError
        If the energy is not positive and finite, the std is negative, or the reference
        is missing.

    Examples
    --------
    >>> stated_energy("44.4 1/cm", "2 1/cm", reference="doi:...").energy.round(2).item()
    5.5
    """
    in_mev: dict[str, Any] = {"units": "meV", "energy": True, "error": QuantityError}
    number = require_positive(energy, "energy", **in_mev)
    error = np.nan
    if std is not None:
        error = require_number(std, "std", least=0, **in_mev)
    if not isinstance(reference, str) or not reference.strip():
        raise QuantityError(
            f"reference={reference!r} must name the source of the number",
            fix="reference='doi:...', or reference='this work, IN5, 2024'",
        )
    given = {"energy": energy, "std": std, "reference": reference}
    columns = {
        "energy": (number, {"units": "meV", "long_name": FIT_LABELS["energy"]}),
        "energy_std": (
            error,
            {"units": "meV", "long_name": "standard deviation of the energy"},
        ),
        "status": (Status.OK, {"long_name": "whether the energy can be used"}),
    }
    return xr.Dataset(
        {name: ((), *column) for name, column in columns.items()},
        attrs={
            **DATASET_LABELS,
            "quantity": "boson_peak",
            "method": "stated",
            "reference": reference,
            "history": extend_history(None, "stated_energy", given),
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
    r"""Collect experiments, simulation and models in one tree.

    Parameters
    ----------
    leaves : mapping of str to xarray.Dataset or DataArray
        The data sets by name, such as ``"ins"``, ``"raman"``, ``"heat_capacity"``,
        ``"md"`` or ``"model"``, or in groups, such as ``"raman/532 nm"``. Each is
        S(Q,E), G(Q,E) or B(Q,E) (the data must contain T and u² if they are needed to
        compute B), B(E) such as a reduced Raman spectrum, g(E), a table from
        `boson_peak` or `fit_heat_capacity`, or a `stated_energy`. Each leaf has one
        spectrum; pass a series as several leaves.
    title : str, optional
        Title of the study.
    E_range : mapping of str to pair of scalars with units, optional
        By leaf, the energy range in which `boson_peak` fits (bare: the units of the
        leaf's E); by default it searches for the peak.
    Q_range : mapping of str to pair of scalars with units, optional
        By leaf, the momentum transfers over which B(Q,E) is averaged (bare: the units
        of the leaf's Q). Every leaf with a dimension Q needs one.
    method : mapping of str to str, optional
        By leaf, the shape that `boson_peak` fits; by default "lognormal".
    systematic : mapping of str to scalar with units, optional
        By leaf, a systematic error of the energy, such as that from the choice of the
        fit range (bare: meV).
    debye_energy : mapping of str to scalar with units, optional
        By leaf, the Debye energy (bare: meV), from which figures draw the Debye level
        ∫g dE · 3/E_D³. The leaf must be a g(E), and its area must be in
        ``attrs["area"]`` or be 1 or 3.

    Returns
    -------
    xarray.DataTree
        One leaf for each name. ``attrs["quantity"]`` of the root is "study"; options
        are stored in the attributes of their leaf. Compare the leaves with
        ``.bp.compare()`` and draw them with ``.bp.plot()``.

    Raises
    ------
    QuantityError
        If `leaves` is empty, if a leaf is of another kind, or if an option is given
        for a leaf that it does not apply to.
    RangeError
        If a leaf is not a single spectrum, or a range does not match its data.
    XbpError
        If a leaf does not follow the data model in another way.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> E = np.linspace(1, 20, 80)
    >>> B = xbp.models.evaluate("lognormal", E, energy="5.5 meV", height=2, sigma=0.6)
    >>> raman = stated_energy("6 meV", "0.4 meV", reference="doi:...")
    >>> study = new_study({"ins": B, "raman": raman}, E_range={"ins": (2, 12)})
    >>> sorted(study.children)
    ['ins', 'raman']
    """
    require_kind(leaves, Mapping, "leaves", "a mapping of names to data")
    if not leaves:
        raise QuantityError(
            "a study needs at least one leaf", fix="xbp.new_study({'ins': b_of_E})"
        )
    options = {
        "E_range": E_range,
        "Q_range": Q_range,
        "method": method,
        "systematic": systematic,
        "debye_energy": debye_energy,
    }
    by_leaf = {name: require_keys(v, name, leaves) for name, v in options.items()}
    nodes: dict[str, xr.Dataset] = {}
    for name, data in leaves.items():
        _check_name(name, list(leaves))
        own = {option: v[name] for option, v in by_leaf.items() if name in v}
        nodes[name] = _as_leaf(name, data, own)
    attrs = {
        **DATASET_LABELS,
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
    longest = 60  # letters: a figure has no room for more
    parts = name.split("/") if isinstance(name, str) else [""]
    fits = all(
        re.match(r"\w", part) and part == part.strip() and part.isprintable()
        for part in parts
    )
    if not fits or not unicodedata.is_normalized("NFC", name) or len(name) > longest:
        raise QuantityError(
            f"{shown(name)} is not a valid leaf name",
            reason="a name begins with a letter or a digit, has up to "
            f"{longest} characters, and may have slashes between words",
            fix="'ins', or 'raman/532 nm'",
        )
    for other in names:
        if isinstance(other, str) and name.startswith(f"{other}/"):
            raise QuantityError(
                f"{other!r} cannot be both a leaf and the group of the leaf {name!r}",
                fix=f"rename the leaf {other!r}, for example to '{other}/all'",
            )


def _as_leaf(name: str, data: Any, options: Mapping[str, Any]) -> xr.Dataset:
    """Return the Dataset of a leaf, with its options as attributes."""
    wanted = "labelled data, or a table of results"
    require_kind(data, (xr.DataArray, xr.Dataset), f"the leaf {name!r}", wanted)
    ds = as_dataset(data).copy()
    ds.attrs = DATASET_LABELS | {
        key: value for key, value in ds.attrs.items() if not str(key).startswith(OPTION)
    }
    for option, value in options.items():
        kept = value
        if option in ("systematic", "debye_energy"):
            kept = require_positive(
                value, f"{option} of {name!r}", "meV", energy=True, error=QuantityError
            )
        elif option != "method":
            dim, of = option[0], f"{option} of {name!r}"
            if dim not in ds.coords or ds[dim].dims != (dim,):
                raise RangeError(
                    f"{option} is given for {name!r}, which has no dimension {dim!r}",
                    fix=f"leave it out, or pass data over {dim}",
                )
            expected = "meV" if dim == "E" else "1/angstrom"
            units = require_units(ds[dim], f"coordinate '{dim}' of {name!r}", expected)
            ends = interval(value, ds, dim, name=of)
            kept = [f"{end:.12g} {units}" for end in ends]
        ds.attrs[OPTION + option] = kept
    return ds


@operation(takes="study", where="study")
def to_netcdf(
    study: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Archive a study to netCDF-4, a group for each leaf.

    ``xbp.open_study(path)`` and ``xarray.open_datatree(path)`` give back the identical
    tree.

    Parameters
    ----------
    study : xarray.DataTree
        From `new_study`.
    path : path-like
        The file to write.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    QuantityError
        If `study` is not a study, or if an attribute cannot be stored in netCDF.
    FileFormatError
        If the file exists and `overwrite` is False, or if it cannot be written such
        that it reads back identically.
    """
    leaves_of(study)
    tree_to_netcdf(study, path, overwrite=overwrite)


def open_study(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read a study written by `to_netcdf` into memory.

    Parameters
    ----------
    path : path-like
        A netCDF file with one group per leaf.

    Returns
    -------
    xarray.DataTree
        The study; every leaf has been checked.

    Raises
    ------
    FileFormatError
        If the file does not contain a study.
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
            f"{path} contains no study",
            fix="xbp.open_dataset(path) opens other files",
        )
    leaves_of(tree)
    return tree


def summary(study: xr.DataTree) -> str:
    """Describe a tree in a few lines, as shown by ``print(tree.bp)``.

    Parameters
    ----------
    study : xarray.DataTree
        Any tree.

    Returns
    -------
    str

    Examples
    --------
    >>> leaf = stated_energy("5.5 meV", reference="doi:...")
    >>> print(summary(new_study({"ins": leaf})))
    study: 1 leaf
      ins: stated
      next: .bp.compare() .bp.plot() .bp.report() .bp.to_netcdf()
    """
    if quantity_name(study) != "study" and (study.children or study.data_vars):
        return describe_tree(study)
    try:
        leaves = leaves_of(study)
    except XbpError as error:
        return f"invalid study: {error.summary}\n  {error.fix}"
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
