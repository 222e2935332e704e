"""Spectra as objects of other packages: Euphonic, phonopy, Mantid."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.construct import new_dataset
from xbp.core.errors import MissingDependencyError, QuantityError, XbpError
from xbp.io.euphonic import open_euphonic
from xbp.io.mantid import open_mantid

__all__ = ["from_euphonic", "from_mantid", "from_phonopy"]


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
        If it is no spectrum of Euphonic, or something is to be given.
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
        raise QuantityError(f"{kind} is not a spectrum of Euphonic")
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
        If it is no workspace.
    FileFormatError
        As for files of Mantid.

    Examples
    --------
    >>> import xbp  # doctest: +SKIP
    >>> xbp.from_mantid(mtd["reduced"], T="290 K").S  # doctest: +SKIP
    """
    if not hasattr(workspace, "getNumberHistograms"):
        kind = type(workspace).__name__
        raise QuantityError(f"{kind} is not a MatrixWorkspace of Mantid")
    try:
        algorithms = importlib.import_module("mantid.api")
    except ImportError:
        raise MissingDependencyError(
            "Mantid, which writes its workspace, is not installed",
            fix="conda install -c mantid mantid, or SaveNexus and xbp.open_dataset",
        ) from None
    with _file_of("workspace.nxs") as path:
        writer = algorithms.AlgorithmManager.createUnmanaged("SaveNexusProcessed")
        writer.initialize()
        writer.setChild(True)
        writer.setProperty("InputWorkspace", workspace)
        writer.setProperty("Filename", str(path))
        writer.execute()
        return open_mantid(path, **options).load()


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
