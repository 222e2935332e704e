"""Second derivatives of the energy that a user has: arrays, and LAMMPS's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy
import xarray as xr

from xbp.core.data import require_finite
from xbp.core.errors import FileFormatError, QuantityError, UnitsError, shown
from xbp.core.guards import choose
from xbp.core.status import Diagnostic
from xbp.core.units import convert_factor, parse_unit, split_quantity

__all__ = ["open_dynamical_matrix", "second_derivatives_given", "sum_rule_broken"]

Style = Literal["regular", "eskm"]
LammpsUnits = Literal["metal", "real"]

#: Units of ``dynamical_matrix regular`` by those of the run; eskm is in 10 J/mol/Å²
#: over g/mol, whatever these are.
_REGULAR = {
    "metal": "eV/angstrom**2/u",
    "real": "kcal/mol/angstrom**2/(g/mol)",
}
_DERIVATIVES, _WEIGHTED = "eV/angstrom**2", "eV/angstrom**2/u"


def open_dynamical_matrix(
    path: Any, style: Style, units: LammpsUnits = "metal"
) -> xr.DataArray:
    r"""Open the text that LAMMPS's command ``dynamical_matrix`` writes.

    Parameters
    ----------
    path : path-like
        The file, of all atoms of the box in the order of their ids.
    style : {"regular", "eskm"}
        The style of the command: in units of the run, or in 10 J/mol/Å² over g/mol,
        which is 1/ps².
    units : {"metal", "real"}
        The command ``units`` of the run, for "regular".

    Returns
    -------
    xarray.DataArray
        The dynamical matrix ∂²U/∂r_i∂r_j/√(m_i m_j) over ``row`` and ``column``, of x,
        y, z of the first atom, then of the second, with its units: pass it as the
        matrix of `harmonic_vdos` or `new_force_constants`.

    Raises
    ------
    FileFormatError
        If the file is not a table of three columns with 9N² finite numbers.

    References
    ----------
    LAMMPS documentation, command dynamical_matrix; src/PHONON/dynamical_matrix.cpp.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("1 0 0\n0 2 0\n0 0 3", file=file, flush=True)
    ...     D = open_dynamical_matrix(file.name, "eskm")
    >>> D.values.diagonal(), D.attrs["units"]
    (array([1., 2., 3.]), '1/ps**2')
    """
    choose(style, Style, "style")
    choose(units, LammpsUnits, "units")
    where = Path(path)
    try:
        numbers = np.loadtxt(where, dtype=float, ndmin=2)
    except (OSError, ValueError) as error:
        problem = str(error).splitlines()[0]
        raise FileFormatError(
            f"'{where.name}' is not a text file of dynamical_matrix: {problem}"
        ) from error
    side = round(numbers.size**0.5)
    if numbers.shape[1] != 3 or side * side != numbers.size or side % 3:
        raise FileFormatError(
            f"'{where.name}' has {numbers.shape[0]} rows of {numbers.shape[1]} "
            "numbers, not the 3N² rows of three of dynamical_matrix"
        )
    if not np.isfinite(numbers).all():
        raise FileFormatError(f"'{where.name}' has numbers that are not finite")
    labels = {
        "units": "1/ps**2" if style == "eskm" else _REGULAR[units],
        "long_name": "dynamical matrix",
    }
    matrix = numbers.reshape(side, side)
    return xr.DataArray(matrix, dims=("row", "column"), attrs=labels)


def second_derivatives_given(
    matrix: Any,
    mass: np.ndarray,
    units: str | None,
    mass_weighted: bool | None,
    symmetric: float,
) -> Any:
    """Return ∂²U/∂r_i∂r_j in eV/Å² from a matrix of a user, symmetric.

    Parameters
    ----------
    matrix : array_like, DataArray or sparse array, shape (3 n_atoms, 3 n_atoms)
    mass : numpy.ndarray, shape (n_atoms,)
        u.
    units : str, optional
        Units, where a DataArray does not have them; by default eV/Å².
    mass_weighted : bool, optional
        Whether it is divided by √(m_i m_j); by default its units decide.
    symmetric : float
        By how much it may differ from its transpose, over the largest element.

    Raises
    ------
    QuantityError, UnitsError
        If it is not real, finite, square and symmetric, or its units are neither those
        of a second derivative nor those over mass.
    """
    n = 3 * mass.size
    own = None
    if not scipy.sparse.issparse(matrix) and not isinstance(matrix, str):
        matrix, own = split_quantity(matrix, "matrix")
    if not scipy.sparse.issparse(matrix):
        matrix = require_finite(getattr(matrix, "values", matrix), "matrix")
    found = units or own or _DERIVATIVES
    if own is not None and units is not None and parse_unit(own) != parse_unit(units):
        raise UnitsError(f"units={units!r}, but matrix= is in '{own}'")
    sparse = scipy.sparse.csr_array(matrix)
    if sparse.dtype.kind not in "fiu":
        raise QuantityError(f"matrix= has the type {sparse.dtype}, not real numbers")
    sparse = sparse.astype(float)
    if sparse.shape != (n, n):
        raise QuantityError(
            f"matrix= has the shape {sparse.shape}, and there are {mass.size} atoms",
            fix=f"pass one frame, and a matrix of shape ({n}, {n})",
        )
    if not np.isfinite(sparse.data).all():
        raise QuantityError("matrix= has elements that are not finite")
    apart, largest = abs(sparse - sparse.T).max(), abs(sparse).max()
    if apart > symmetric * largest:
        raise QuantityError(
            f"matrix= differs from its transpose by {apart / largest:.2g} of its "
            "largest element",
            fix="pass (matrix + matrix.T) / 2, or raise symmetric=",
        )
    unit = parse_unit(found, like=_DERIVATIVES)
    fits = {
        weighted: unit.is_compatible_with(parse_unit(wanted))
        for weighted, wanted in ((False, _DERIVATIVES), (True, _WEIGHTED))
    }
    over_mass = fits[True] if mass_weighted is None else mass_weighted
    if not fits[over_mass]:
        raise UnitsError(
            f"units={shown(found)} of matrix= are not those of "
            + ("∂²U/∂r∂r over mass" if over_mass else "∂²U/∂r∂r"),
            fix=f"units='{_WEIGHTED if over_mass else _DERIVATIVES}'",
        )
    factor = convert_factor(
        found, _WEIGHTED if over_mass else _DERIVATIVES, name="units"
    )
    sparse = (sparse + sparse.T) * (factor / 2)
    if over_mass:
        root = scipy.sparse.diags_array(np.repeat(np.sqrt(mass), 3))
        sparse = root @ sparse @ root
    return sparse


def sum_rule_broken(violation: float, fix: str) -> Diagnostic:
    """Return the diagnostic of derivatives that do not add up to 0 for each atom."""
    text = (
        f"the force constants of an atom add up to {100 * violation:.2g} % of the "
        "largest, not to 0; the diagonal was corrected"
    )
    return Diagnostic("acoustic_sum_rule", "warning", text, fix)
