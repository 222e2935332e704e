"""Doubts about results: statuses of numbers, and diagnostics stored with the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Literal

import numpy as np
import xarray as xr

from xbp.core.data import is_lazy
from xbp.core.operation import operation

__all__ = [
    "FIT_LABELS",
    "POOR_CHI2",
    "POOR_RESIDUAL",
    "Diagnostic",
    "Status",
    "diagnosed",
    "diagnostics",
    "is_poor",
    "name_reason",
    "poor_fits",
    "statuses",
]


class Status(StrEnum):
    """The outcome of one computation among many; numbers are NaN unless it is OK.

    Computations on arrays of numbers give its `code`.
    """

    OK = "ok"
    NO_DATA = "no data"
    TOO_FEW = "too few points"
    NO_MAXIMUM = "no maximum"
    AT_EDGE = "maximum at edge"
    FAILED = "fit failed"
    BOX_PHONON = "box phonon"
    #: A maximum of a simulation whose lowest phonon is not known.
    BOX_UNKNOWN = "box unknown"
    #: A maximum of a simulation without standard deviations.
    ERRORS_UNKNOWN = "errors unknown"
    #: A simulated spectrum that does not fall on both sides of its maximum.
    PLATEAU = "plateau"
    AT_BOUND = "parameter at bound"
    #: An error as large as the number.
    UNDETERMINED = "undetermined"
    #: More modes than atoms have, or a negative γ.
    UNPHYSICAL = "unphysical"
    #: Debye phonons alone describe a heat capacity.
    NO_EXCESS = "no excess"
    #: A maximum whose low side is the edge of a filter.
    STEEP_EDGE = "steep edge"
    #: A maximum at small Q, where sound waves are seen.
    LONGITUDINAL = "longitudinal phonon"
    NO_CROSSING = "no crossing"
    NO_TEMPERATURE = "no temperature"
    NO_KINK = "no kink"
    NOT_A_DECAY = "not a Debye-Waller decay"
    NOT_CONVERGED = "not converged"
    #: The range of energies ends inside the band of all modes.
    TRUNCATED = "range truncated"
    #: S(Q,E) falls less with Q than the u² of g(E) and the mass.
    U2_DISAGREES = "disagrees with Q"
    #: u² is unknown, so that the multiphonon part, which is large, is too.
    MULTIPHONONS_UNKNOWN = "multiphonons unknown"
    #: Spectra of low and of high Q give another density of states.
    SPECTRA_DIFFER = "spectra differ"
    #: A background beyond the phonons explains all of the multiple scattering.
    NO_SCATTERING = "no multiple scattering"
    #: The longitudinal line is not above the transverse one.
    NO_SOUND = "no sound"
    #: The user gave the energy: nothing was sought.
    GIVEN = "given"

    @property
    def code(self) -> int:
        """Its number in arrays of numbers."""
        return _CODES[self]


_CODES: Final = {status: code for code, status in enumerate(Status)}


def statuses(codes: Any) -> np.ndarray:
    """Return the statuses of an array of codes.

    Examples
    --------
    >>> statuses([Status.OK.code, Status.NO_DATA.code])
    array(['ok', 'no data'], dtype='<U24')
    """
    found: np.ndarray = np.array(list(Status))[np.asarray(codes).astype(int)]
    return found


#: Long names of columns that several tables of fits have.
FIT_LABELS: Final = {
    "energy": "energy of the boson peak",
    "E_low": "lowest energy fitted",
    "E_high": "highest energy fitted",
    "modes_below": "part of the area of g(E) below the peak",
    "chi2_reduced": "reduced chi-squared of the fit",
    "relative_residual": "rms residual of the fit over the data",
    "limiting_parameter": "parameter at its bound, or undetermined",
    "BIC": "Bayesian information criterion",
    "status": "whether the fit can be used",
}
#: What a poor fit is: above this reduced chi-squared, or this rms residual where no
#: errors are known, the shape is not that of the data. A definition, not an argument,
#: so that it means the same of every fit in a table, and in comparisons of tables.
POOR_CHI2: Final = 10.0
POOR_RESIDUAL: Final = 0.05

#: The attribute of a variable, or of a table of results, that keeps them: one JSON
#: object a line.
ATTRIBUTE: Final = "diagnostics"


@dataclass(frozen=True)
class Diagnostic:
    """One doubt about a result, recorded where it was made.

    If a value would be wrong, it gets a status and is NaN instead.

    Attributes
    ----------
    code : str
        Stable name for use in scripts, such as ``"moving_frame"``.
    severity : str
        "info" or "warning": whether the user should know about it, or act on it.
    message : str
        One sentence, with the values that matter and their units.
    fix : str
        What to do about it; empty if nothing can be done.
    """

    code: str
    severity: Literal["info", "warning"]
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.severity}: {self.message}" + (
            f" (fix: {self.fix})" if self.fix else ""
        )


def diagnosed(attrs: Mapping[Any, Any], *found: Diagnostic) -> dict[str, str]:
    """Add diagnostics to those already in the attributes.

    Parameters
    ----------
    attrs : mapping
        Attributes of a variable or table.
    *found : Diagnostic
        Diagnostics to add; duplicates are skipped, and one with the same code is
        replaced.

    Returns
    -------
    dict
        The attribute to set, ``{"diagnostics": ...}``, or nothing.

    Examples
    --------
    >>> found = Diagnostic("coarse_bins", "warning", "bins of 3 meV", "rebin(E=1)")
    >>> attrs = diagnosed({}, found)
    >>> print(*diagnostics(xr.DataArray(0.0, attrs=attrs)))
    warning: bins of 3 meV (fix: rebin(E=1))
    """
    kept = {one.code: one for one in (*_parsed(attrs.get(ATTRIBUTE)), *found)}
    return (
        {
            ATTRIBUTE: "\n".join(
                json.dumps(asdict(one), ensure_ascii=False) for one in kept.values()
            )
        }
        if kept
        else {}
    )


@operation(takes=("signal", "table", "trajectory"))
def diagnostics(data: xr.DataArray | xr.Dataset) -> list[Diagnostic]:
    """List the diagnostics of data: what is doubtful, and what to do about it.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        Anything that xbp returned, or read from a file that it wrote.

    Returns
    -------
    list of Diagnostic
        In the order in which they were found; may be empty.

    Examples
    --------
    >>> import xbp
    >>> xbp.tutorial.open_dataset("zr46cu46al8_md").bp.diagnostics()
    []
    """
    texts = [data.attrs.get(ATTRIBUTE)]
    if isinstance(data, xr.Dataset):
        texts += [variable.attrs.get(ATTRIBUTE) for variable in data.variables.values()]
    return list(dict.fromkeys(one for text in texts for one in _parsed(text)))


def name_reason(columns: Mapping[Any, xr.Variable]) -> None:
    """Write the status of a single result to its NaN, as their attribute "status".

    A value that is taken out of its table then says why it is not known.
    """
    status = columns.get("status")
    if status is None or status.ndim or is_lazy(status) or status == Status.OK:
        return
    for one in columns.values():
        if one.dtype.kind == "f" and not (one.ndim or is_lazy(one)) and np.isnan(one):
            one.attrs["status"] = str(status.values)


def is_poor(table: xr.Dataset) -> bool:
    """Whether the curve of a fit misses its data, so that its errors are too small."""
    chi2 = float(table.get("chi2_reduced", np.nan))
    residual = float(table.get("relative_residual", 0.0))
    return (
        chi2 > POOR_CHI2
        or (np.isnan(chi2) and residual > POOR_RESIDUAL)
        or any(
            found.code == "poor_fit" for found in _parsed(table.attrs.get(ATTRIBUTE))
        )
    )


def poor_fits(table: xr.Dataset) -> list[Diagnostic]:
    """Return the diagnostic of fits whose curve misses the data; none for dask."""
    measure, most = "chi2_reduced", POOR_CHI2
    if measure not in table:
        measure, most = "relative_residual", POOR_RESIDUAL
    status = table.variables.get("status")
    if measure not in table or status is None or status.dtype.kind not in "OU":
        return []
    numbers = table.variables[measure]
    if is_lazy(numbers) or numbers.dims != status.dims:
        return []
    ok = status.values == Status.OK
    poor = ok & (numbers.values > most)
    if not poor.any():
        return []
    label = {"chi2_reduced": "reduced chi2", "relative_residual": "rms residual"}
    many = f" in {int(poor.sum())} of {int(ok.sum())}" if poor.ndim else ""
    return [
        Diagnostic(
            "poor_fit",
            "warning",
            f"poor fit{many} ({label[measure]} above {most:g}): the result depends on "
            "the fit range more than on the quoted error",
        )
    ]


def _parsed(text: object) -> list[Diagnostic]:
    """Read the attribute, without what another program wrote there."""
    found = []
    for line in text.splitlines() if isinstance(text, str) else ():
        try:
            one = Diagnostic(**json.loads(line))
        except (TypeError, ValueError, RecursionError):
            continue
        if all(isinstance(part, str) for part in asdict(one).values()):
            found.append(one)
    return found
