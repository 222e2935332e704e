"""Spectra as objects of other packages: Euphonic, phonopy, Mantid."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.data import require_over
from xbp.core.errors import (
    MissingDependencyError,
    QuantityError,
    XbpError,
    kind_of,
    with_article,
)
from xbp.core.grid import bin_limits
from xbp.core.operation import operation
from xbp.core.signal import as_stored, read
from xbp.core.units import parse_unit
from xbp.io.euphonic import open_euphonic
from xbp.io.geometry import require_own_errors
from xbp.io.mantid import open_mantid
from xbp.io.nxspe import to_nxspe
from xbp.reduction.arithmetic import convert

__all__ = [
    "from_euphonic",
    "from_mantid",
    "from_phonopy",
    "to_euphonic",
    "to_mantid",
]


_MAPS: Final = ("detector_spectra", "dynamic_structure_factor")
_SPECTRA: Final = ("vibrational_dos", "dynamic_structure_factor")


@contextlib.contextmanager
def _file_of(kind: str) -> Iterator[Path]:
    """Yield the path of a file that is read at once and removed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, kind)
        try:
            with contextlib.redirect_stdout(None):  # Euphonic says where it writes
                yield path
        except XbpError as error:
            raise type(error)(
                error.summary.replace(str(path), f"the {path.stem}"),
                reason=error.reason,
                fix=error.fix,
            ) from None


def from_euphonic(spectrum: Any, **options: Any) -> xr.Dataset:
    """Make labelled data of a spectrum of Euphonic.

    Parameters
    ----------
    spectrum : euphonic.Spectrum1D, Spectrum1DCollection or Spectrum2D
        Known by its method ``to_json_file``.
    **options
        As for files of Euphonic: `powder` and `T` of a Spectrum2D, `line` of a
        collection, `quantity` of a weighted Spectrum1D.

    Returns
    -------
    xarray.Dataset
        ``g(E)``, ``S(E)`` or ``S(Q,E)``, in the units of the object.

    Raises
    ------
    QuantityError
        If it is not a spectrum of Euphonic, or an argument is missing.
    FileFormatError
        If it is a map along a path, or in one direction.

    Examples
    --------
    >>> import euphonic, xbp  # doctest: +SKIP
    >>> dos = euphonic.Spectrum1D.from_json_file("dos.json")  # doctest: +SKIP
    >>> xbp.from_euphonic(dos).g  # doctest: +SKIP
    """
    kind = type(spectrum).__name__
    if not hasattr(spectrum, "to_json_file"):
        raise QuantityError(f"{with_article(kind)} is not a spectrum of Euphonic")
    with _file_of(f"{kind}.json") as path:
        spectrum.to_json_file(str(path))
        ds = open_euphonic(path, **options)
    return ds.assign_attrs(source=f"Euphonic {kind}")


def from_mantid(workspace: Any, **options: Any) -> xr.Dataset:
    """Make labelled data of a workspace of Mantid in memory.

    Mantid writes it to a file, which is read as any of its files is, so that angles,
    fixed energy, temperature and masks are those of the workspace.

    Parameters
    ----------
    workspace : mantid.api.MatrixWorkspace
        Spectra over energy transfer, or a map over Q and energy transfer.
    **options
        As for files of Mantid: `T`, `geometry`, `incident_energy`, ….

    Returns
    -------
    xarray.Dataset
        As of a file.

    Raises
    ------
    MissingDependencyError
        If Mantid is not there; it is installed from its own channel.
    QuantityError
        If it is not a workspace.
    FileFormatError
        As for files of Mantid.

    Examples
    --------
    >>> import xbp  # doctest: +SKIP
    >>> xbp.from_mantid(mtd["reduced"], T="290 K").S  # doctest: +SKIP
    """
    if not hasattr(workspace, "getNumberHistograms"):
        kind = kind_of(workspace)
        raise QuantityError(f"{kind} is not a MatrixWorkspace of Mantid")
    with _file_of("workspace.nxs") as path:
        given = {"InputWorkspace": workspace, "Filename": str(path)}
        _run("SaveNexusProcessed", given, "SaveNexus and xbp.open_dataset")
        return open_mantid(path, **options).load()


def _run(name: str, given: dict[str, Any], instead: str) -> Any:
    """Run an algorithm of Mantid, unseen by the user's workspaces.

    Raises
    ------
    MissingDependencyError
        If Mantid is not there.
    """
    try:
        algorithms = importlib.import_module("mantid.api")
    except ImportError:
        raise MissingDependencyError(
            "Mantid is not installed",
            fix=f"conda install -c mantid mantid; or {instead}",
        ) from None
    algorithm = algorithms.AlgorithmManager.createUnmanaged(name)
    algorithm.initialize()
    algorithm.setChild(True)
    for key, value in given.items():
        algorithm.setProperty(key, value)
    algorithm.execute()
    return algorithm


@operation(takes=_MAPS)
def to_mantid(data: xr.Dataset) -> Any:
    """Make a workspace of Mantid of S(2θ,E) or S(Q,E), with errors.

    Mantid loads S(2θ,E) from an NXSPE file, with the angles and the fixed energy as its
    instrument; S(Q,E) becomes spectra over Q. In S(Q,E) the temperature and other
    attributes stay behind.

    Parameters
    ----------
    data : xarray.Dataset
        ``S(detector, E)`` as `to_nxspe` takes it, or ``S(Q, E)`` with or without
        errors.

    Returns
    -------
    mantid.api.MatrixWorkspace
        Its values are per meV (a distribution).

    Raises
    ------
    MissingDependencyError
        If Mantid is not there; it is installed from its own channel.
    QuantityError
        If the data have further dimensions, or bins share errors (``S_std_common``).

    Examples
    --------
    >>> import xbp  # doctest: +SKIP
    >>> S = xbp.tutorial.open_dataset("zr46cu46al8_md")  # doctest: +SKIP
    >>> workspace = S.bp.to_mantid()  # doctest: +SKIP
    """
    signal = as_stored(read(data, *_MAPS))
    instead = "data.bp.to_nxspe(path) and LoadNXSPE"
    if signal.quantity.name == "detector_spectra":
        with _file_of("spectra.nxspe") as path:
            to_nxspe(data, path)
            done = _run(
                "LoadNXSPE",
                {"Filename": str(path), "OutputWorkspace": "xbp"},
                instead,
            )
            return done.getProperty("OutputWorkspace").value
    signal = as_stored(read(convert(data, E="meV", Q="1/angstrom")))
    value, std = _over(signal, "Q", "E")
    if std is not None:
        require_own_errors(signal, "a workspace")
    done = _run(
        "CreateWorkspace",
        {
            "DataX": np.tile(_points(signal, "E"), len(value)).tolist(),
            "DataY": value.ravel().tolist(),
            "DataE": [] if std is None else std.ravel().tolist(),
            "NSpec": len(value),
            "UnitX": "DeltaE",
            "VerticalAxisUnit": "MomentumTransfer",
            "VerticalAxisValues": [str(Q) for Q in _points(signal, "Q", edges=False)],
            "Distribution": True,
            "OutputWorkspace": "xbp",
        },
        instead,
    )
    return done.getProperty("OutputWorkspace").value


def _over(signal: Any, *dims: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return values and errors over some dimensions, and no others."""
    wanted = f"{' and '.join(dims)} are needed"
    require_over(signal.value, dims, wanted, error=QuantityError)
    std = None if signal.std is None else signal.std.transpose(*dims).values
    return signal.value.transpose(*dims).values.astype(float), std


def _points(signal: Any, dim: str, *, edges: bool = True) -> np.ndarray:
    """Return the edges of bins that touch, else their centres."""
    centres = signal.value[dim].values.astype(float)
    if not edges or f"{dim}_bnds" not in signal.source.coords:
        return np.asarray(centres)
    lower, upper = bin_limits(signal.source, dim)
    touch = np.array_equal(lower[1:], upper[:-1])
    return np.append(lower, upper[-1]) if touch else np.asarray(centres)


@operation(takes=_SPECTRA)
def to_euphonic(data: xr.DataArray | xr.Dataset) -> Any:
    """Make a spectrum of Euphonic of g(E), or of S(Q,E) of a powder or glass.

    Euphonic has neither errors nor temperatures: these stay behind.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        ``g(E)``, ``S(E)`` or ``S(Q, E)``.

    Returns
    -------
    euphonic.Spectrum1D or euphonic.Spectrum2D
        In the units of the data, over bin edges if the data have them.
        ``xbp.from_euphonic(there, powder=True)`` gives the values back.

    Raises
    ------
    MissingDependencyError
        If Euphonic is not installed (it is under the GPL).
    QuantityError
        If the data have further dimensions.

    Examples
    --------
    >>> import xbp  # doctest: +SKIP
    >>> g = xbp.tutorial.open_dataset("zr46cu46al8_md").g  # doctest: +SKIP
    >>> g.bp.to_euphonic().plot()  # doctest: +SKIP
    """
    signal = as_stored(read(data, *_SPECTRA))
    try:
        euphonic = importlib.import_module("euphonic")
    except ImportError:
        raise MissingDependencyError(
            "Euphonic is not installed", fix="pip install euphonic"
        ) from None
    dims = ("Q", "E") if "Q" in signal.value.dims else ("E",)
    value, _ = _over(signal, *dims)
    parts: dict[str, Any] = {}
    for axis, dim in zip("xy", dims, strict=False):
        parts[f"{axis}_data"] = _points(signal, dim)
        parts[f"{axis}_data_unit"] = _unit(signal.value[dim].attrs["units"])
    last = "xyz"[len(dims)]
    parts |= {f"{last}_data": value, f"{last}_data_unit": _unit(signal.units)}
    kind = "Spectrum2D" if len(dims) == 2 else "Spectrum1D"
    return getattr(euphonic, kind).from_dict(parts)


def _unit(units: str) -> str:
    """Return units in the full names of pint, which Euphonic uses too."""
    return str(parse_unit(units))


def from_phonopy(phonon: Any) -> xr.Dataset:
    """Make g(E) of the density of states that phonopy has computed.

    Parameters
    ----------
    phonon : phonopy.Phonopy, or its TotalDos
        After ``run_total_dos``. Its force constants become Bloch spectra by
        `xbp.md.lattice.from_phonopy`.

    Returns
    -------
    xarray.Dataset
        ``g`` (1/THz) over E (THz); its area is the number of modes of the primitive
        cell. Imaginary modes are at E < 0, as in phonopy.

    Raises
    ------
    QuantityError
        If it has no density of states.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> dos = SimpleNamespace(frequency_points=[0.0, 1.0, 2.0], dos=[0.0, 3.0, 0.0])
    >>> from_phonopy(SimpleNamespace(total_dos=dos)).g.attrs["units"]
    '1/THz'
    """
    dos = getattr(phonon, "total_dos", phonon)
    if not hasattr(dos, "frequency_points") or not hasattr(dos, "dos"):
        raise QuantityError(
            f"{type(phonon).__name__} has no density of states",
            fix="phonon.run_mesh(…); phonon.run_total_dos()",
        )
    ds = new_dataset(
        "vibrational_dos",
        np.asarray(dos.dos, dtype=float),
        units="1/THz",
        coords={"E": (np.asarray(dos.frequency_points, dtype=float), "THz")},
        attrs={"source": "phonopy"},
    )
    primitive = getattr(phonon, "primitive", None)
    if primitive is not None:
        ds.g.attrs |= {"area": 3.0 * len(primitive), "area_of": "all modes"}
    return ds
