"""Names, masses and elements of atoms that a trajectory leaves to another file."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from xbp.core.errors import QuantityError, require, shown
from xbp.md.given import SITE, Given
from xbp.md.lammps_data import data_topology, element_of_mass, is_data_file
from xbp.md.source import open_source, reading, require_file
from xbp.md.weights import atomic_mass

__all__ = [
    "Topology",
    "elements_of",
    "open_universe",
    "read_topology",
    "symbols_by_number",
]

_PURPOSE: Final = "read this format"
_opening: Final = threading.Lock()


class Topology(NamedTuple):
    """Atoms in the order of the trajectory.

    Attributes
    ----------
    names : numpy.ndarray of str, shape (n_atoms,)
        Names, or numbers of types.
    masses : numpy.ndarray, shape (n_atoms,), or None
        u; 0 or NaN where they are not known.
    symbols : numpy.ndarray of str, shape (n_atoms,), or None
        What the file calls elements.
    types : numpy.ndarray of str, shape (n_atoms,), or None
        Types of a force field.
    weigh : bool
        Whether masses are in u, and so show what element an atom is.
    """

    names: np.ndarray
    masses: np.ndarray | None = None
    symbols: np.ndarray | None = None
    types: np.ndarray | None = None
    weigh: bool = True


def open_universe(*files: str, n_atoms: int | None = None, **options: Any) -> Any:
    """Open files with MDAnalysis: a topology, and a trajectory of its atoms.

    With `n_atoms` the trajectory has no topology.
    """
    mda = require("MDAnalysis", _PURPOSE, "formats")
    # Filters of warnings belong to the process, tasks run in several threads.
    with _opening, warnings.catch_warnings():
        # MDAnalysis announces a change of its own interface for every DCD.
        warnings.simplefilter("ignore", DeprecationWarning)
        if n_atoms is not None:
            return mda.Universe.empty(n_atoms).load_new(*files, **options)
        # Elements and masses that are not in the file are not guessed.
        return mda.Universe(*files, to_guess=(), **options)


def read_topology(given: Given) -> Topology | None:
    """Read the topology that is given; None without one.

    Raises
    ------
    FileFormatError
        If it does not exist, or cannot be read.
    """
    if given.topology is None:
        return None
    path = Path(given.topology)
    require_file(path.is_file(), path, "it does not exist", fix="correct topology=")
    source = open_source(path)
    if is_data_file(source.read(0, 4096)):
        names, masses, in_u = data_topology(source, given)
        return Topology(names, masses, weigh=in_u)
    with (
        reading(path, "check topology=", "is not a topology that MDAnalysis reads"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of attributes that it lacks
        return topology_of(open_universe(str(path)).atoms)


def topology_of(atoms: Any) -> Topology:
    """Return what an AtomGroup of MDAnalysis knows of its atoms.

    Raises
    ------
    QuantityError
        If it has no elements, types or names.
    """

    def texts(name: str) -> np.ndarray | None:
        found = np.asarray(getattr(atoms, name, ()), dtype=str)
        return found if found.size and any(map(str.strip, found.tolist())) else None

    masses = np.asarray(atoms.masses, float) if hasattr(atoms, "masses") else None
    symbols, types, names = map(texts, ("elements", "types", "names"))
    labels = next((a for a in (names, types, symbols) if a is not None), None)
    if labels is None:
        raise QuantityError("the topology has no elements, types or names of atoms")
    return Topology(labels, masses, symbols, types)


def elements_of(given: Given, topology: Topology | None, n_atoms: int) -> np.ndarray:
    """Return the elements of atoms: given, of the file, by mass, or by name.

    Parameters
    ----------
    given : Given
        Its elements are by name or type, or one for each atom.
    topology : Topology or None
    n_atoms : int
        Of the trajectory.

    Raises
    ------
    QuantityError
        If some are not known; all their names are in the error.

    Examples
    --------
    >>> names = np.array(["OW", "HW1", "NA", "Cu"])
    >>> masses = np.array([16.0, 1.008, 22.99, 0.0])
    >>> elements_of(Given(Path("a")), Topology(names, masses), 4).tolist()
    ['O', 'H', 'Na', 'Cu']
    """
    elements = given.elements
    each = not isinstance(elements, Mapping) and elements is not None
    if topology is None:
        if each and len(elements or ()) == n_atoms:
            return np.array(list(elements or ()), dtype=str)
        raise QuantityError(
            f"{given.path} does not name its {n_atoms} atoms",
            fix="pass topology=, a file with names, or elements=, one for each atom",
        )
    size = topology.names.size
    require_file(
        size == n_atoms,
        given.path,
        f"it has {n_atoms} atoms, topology={str(given.topology)!r} has {size}",
        fix="use the topology of the same atoms",
    )
    if each and len(elements or ()) == n_atoms and not _are_types(topology.names):
        return np.array(list(elements or ()), dtype=str)
    found = np.full(size, "", dtype="U16")
    for labels in (topology.names, topology.symbols):
        if labels is not None:
            for label in filter(_is_element, np.unique(labels).tolist()):
                found[labels == label] = label
    if topology.masses is not None and topology.weigh:
        lacking = np.isin(found, [""])
        if topology.symbols is None or lacking.any():
            for mass in np.unique(topology.masses[np.isfinite(topology.masses)]):
                here = lacking & (topology.masses == mass)
                found[here] = element_of_mass(float(mass)) if here.any() else ""
    mapping = dict(elements) if isinstance(elements, Mapping) else {}
    if each:
        mapping = dict(enumerate(elements or (), start=1))
    for name, symbol in mapping.items():
        where = topology.names == str(name)
        if topology.types is not None:
            where |= topology.types == str(name)
        if not where.any() and not each:
            raise QuantityError(
                f"elements= names {shown(name)}; the atoms of "
                f"{given.topology or given.path} are called {_listed(topology.names)}"
            )
        found[where] = symbol
    unknown = np.unique(topology.names[found == ""]).tolist()
    if unknown:
        asked = ", ".join(f"{name!r}: …" for name in unknown[:4])
        raise QuantityError(
            f"the elements of {given.path} are unknown for atoms called "
            f"{_listed(np.array(unknown))}",
            fix=f"elements={{{asked}}}; {SITE!r} for a site without mass",
        )
    return found


def symbols_by_number(numbers: np.ndarray) -> np.ndarray:
    """Return the symbols of atomic numbers; other numbers stay.

    Examples
    --------
    >>> symbols_by_number(np.array([29, 40])).tolist()
    ['Cu', 'Zr']
    """
    table = require("periodictable", "name elements by number", "md").elements
    known = {str(e.number): e.symbol for e in table if e.number}
    unique, index = np.unique(numbers.astype(str), return_inverse=True)
    symbols = [known.get(number, number) for number in unique.tolist()]
    return np.array(symbols, dtype=str)[index]


def _are_types(names: np.ndarray) -> bool:
    return all(name.isdigit() for name in np.unique(names).tolist())


def _is_element(symbol: str) -> bool:
    try:
        return symbol[:1].isupper() and atomic_mass(symbol) > 0
    except QuantityError:
        return False


def _listed(names: np.ndarray, most: int = 8) -> str:
    unique = np.unique(names).tolist()
    return ", ".join(unique[:most]) + (", …" if len(unique) > most else "")
