"""Series of glasses: how the boson peak depends on cooling rate and size."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xbp import md, reduction
from xbp.analysis.boson_peak import boson_peak
from xbp.analysis.box import box_phonon, mark_box_phonon
from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import require_positive, require_whole
from xbp.core.schema import COORDINATES, DATASET_LABELS
from xbp.core.signal import extend_history, label_std
from xbp.core.status import FIT_LABELS, Status
from xbp.core.units import magnitude
from xbp.io.publish import make_folder
from xbp.md.lammps.systems import System

__all__ = ["cooling_series", "glass_spectra", "size_series"]


def glass_spectra(
    traj: xr.Dataset,
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    E_max: Any = None,
    window: Any = None,
    weights: Any = "unit",
    E_range: Any = None,
    Q_range: Any = None,
) -> xr.Dataset:
    """Compute the quantities by which the glasses of a series are compared.

    These are S(Q,E), S(Q), g(E) and the boson peak.

    Parameters
    ----------
    traj : xarray.Dataset
        A trajectory with velocities.
    Q_max, dQ, E_max, window, weights
        As for `dynamic_structure_factor`.
    E_range, Q_range : pair of scalars with units, optional
        Energy range in which the peak is fitted (by default it is searched for), and
        the momentum transfers over which B(Q,E) is averaged (by default all).

    Returns
    -------
    xarray.Dataset
        ``S``, ``Sq``, ``g``, each with ``_std``; ``E_BP`` (meV) with ``_std`` and
        ``status``, the maximum of B(E); the coordinate ``box_phonon``, if it was found.
        Q are the centres of shells of width dQ, the same for boxes of every size;
        shells without wave vectors are NaN.

    Raises
    ------
    XbpError
        As for `dynamic_structure_factor`.
    """
    width = require_positive(dQ, "dQ", "1/angstrom")
    sqe = md.dynamic_structure_factor(
        traj, Q_max, dQ, E_max=E_max, window=window, weights=weights
    )
    g = md.vdos(traj, E_max=E_max, window=window)
    # A large box swings slowly: what resolves its spectra resolves its phonon.
    longest = float(traj.time[-1] - traj.time[0]) / 2
    wanted = (
        20.0 if window is None else max(20.0, require_positive(window, "window", "ps"))
    )
    phonon = box_phonon(traj, window=f"{min(wanted, longest):g} ps")
    if str(phonon.status.values) == Status.OK:
        sqe = mark_box_phonon(sqe, phonon)
    b = reduction.to_bqe(sqe)
    all_Q = (float(sqe.Q_bnds.min()), float(sqe.Q_bnds.max()))
    cut = reduction.cut_Q(b, all_Q if Q_range is None else Q_range)
    peak = boson_peak(cut, E_range=E_range)
    ds = sqe.assign(g=g.g.variable)
    if "g_std" in g:
        ds["g_std"] = g.g_std.variable
    label = {"units": "meV", "long_name": FIT_LABELS["energy"]}
    ds["E_BP"], ds["E_BP_std"] = ((), float(peak.energy), label), float(peak.energy_std)
    label_std(ds, "E_BP")
    ds["status"] = ((), str(peak.status.values))
    return _on_shells(ds, width, require_positive(Q_max, "Q_max", "1/angstrom"))


def _on_shells(ds: xr.Dataset, width: float, top: float) -> xr.Dataset:
    """Put a Dataset on the centres of all shells; those without vectors are NaN."""
    place = np.round(ds.Q_bnds.values[:, 0] / width).astype(int)
    attrs = {key: value for key, value in ds.Q.attrs.items() if key != "bounds"}
    centres = (np.arange(int(np.ceil(top / width - 1e-9))) + 0.5) * width
    moved = ds.drop_vars(["Q_bnds", "n_wavevectors"]).assign_coords(
        Q=("Q", centres[place], attrs)
    )
    return moved.reindex(Q=xr.Variable("Q", centres, attrs))


def cooling_series(
    system: str | System,
    cooling_rates: Sequence[Any],
    folder: str | os.PathLike[str],
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    progress: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Make glasses of one system at several cooling rates, and compare them.

    Parameters
    ----------
    system : str or System
        As for `make_glass`.
    cooling_rates : sequence of scalars with units
        Cooling rates of the quenches.
    folder : path-like
        Folder of the trajectories. Existing ones are used again, and unfinished ones
        are continued.
    Q_max, dQ
        As for `glass_spectra`.
    progress : bool
        Show progress bars.
    **options
        ``E_max``, ``window``, ``weights``, ``E_range`` and ``Q_range`` as for
        `glass_spectra`, and further arguments of `make_glass`.

    Returns
    -------
    xarray.Dataset
        As from `glass_spectra`, over the dimension ``cooling_rate`` (K/s).

    Raises
    ------
    QuantityError
        If a file in the folder belongs to another glass.
    XbpError
        As for `make_glass`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Supplementary
    Figs. S2–S4.
    """
    rates = list(
        dict.fromkeys(magnitude(r, "K/s", name="cooling_rates") for r in cooling_rates)
    )
    axis = xr.Variable(
        "cooling_rate", rates, {"units": "K/s", "long_name": "cooling rate"}
    )
    glasses = [{"cooling_rate": f"{rate!r} K/s"} for rate in rates]
    return _series(
        "cooling_series", system, axis, glasses, folder, (Q_max, dQ), progress, options
    )


def size_series(
    system: str | System,
    n_atoms: Sequence[int],
    folder: str | os.PathLike[str],
    Q_max: Any,
    dQ: Any = "0.05 1/angstrom",
    *,
    progress: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Make glasses of one system in boxes of several sizes, and compare them.

    Parameters
    ----------
    system : str or System
        As for `make_glass`.
    n_atoms : sequence of int
        Numbers of atoms.
    folder, Q_max, dQ, progress, **options
        As for `cooling_series`.

    Returns
    -------
    xarray.Dataset
        As from `glass_spectra`, over the dimension ``n_atoms``.

    Raises
    ------
    XbpError
        As for `cooling_series`.

    References
    ----------
    X. Y. Li et al., Nat. Commun. (2025), doi:10.1038/s41467-025-67574-y, Supplementary
    Figs. S2–S4.
    """
    sizes = list(dict.fromkeys(float(require_whole(n, "n_atoms")) for n in n_atoms))
    axis = xr.Variable("n_atoms", sizes, {"units": "1", "long_name": "number of atoms"})
    glasses = [{"n_atoms": int(n)} for n in sizes]
    return _series(
        "size_series", system, axis, glasses, folder, (Q_max, dQ), progress, options
    )


def _series(
    operation: str,
    system: str | System,
    axis: xr.Variable,
    glasses: Sequence[Mapping[str, Any]],
    folder: str | os.PathLike[str],
    Q: tuple[Any, Any],
    progress: bool,
    options: Mapping[str, Any],
) -> xr.Dataset:
    dim = str(axis.dims[0])
    if not glasses:
        raise RangeError(f"no {dim} is given", fix="pass one or more")
    asked = inspect.signature(glass_spectra).parameters.values()
    analysis = {
        p.name: options.get(p.name, p.default)
        for p in asked
        if p.kind is p.KEYWORD_ONLY
    }
    making = {key: v for key, v in options.items() if key not in analysis}
    where = make_folder(folder)
    name = system if isinstance(system, str) else system.name
    # Where one box has no phonon that could be fitted, its mark is NaN.
    labels = {"units": "meV", "long_name": COORDINATES["box_phonon"][1]}
    found = []
    for value, own in zip(axis.values.tolist(), glasses, strict=True):
        path = where / f"{name}_{dim}_{value:g}.nc"
        if path.exists():
            traj = md.open_trajectory(path)
            size = dim == "n_atoms"
            kept = float(traj.sizes["atom"] if size else traj.cooling_rate)
            if not np.isclose(kept, value):
                raise QuantityError(
                    f"{path} has {dim}={kept:g}, not {value:g}", fix="move the file"
                )
        else:
            glass = {**making, **own}
            traj = md.lammps.make_glass(system, path, progress=progress, **glass)
        with traj:
            ds = glass_spectra(traj, *Q, **analysis)
        ds = ds.drop_vars("cooling_rate", errors="ignore")
        if "box_phonon" not in ds.coords:
            ds = ds.assign_coords(box_phonon=xr.Variable((), np.nan, labels))
        found.append(ds)
    table = xr.concat(
        found, dim=axis, combine_attrs="drop_conflicts", join="exact",
        coords="different", compat="equals",
    )  # fmt: skip
    arguments = {"system": name, dim: axis.values.tolist(), **analysis}
    table.attrs = {
        **DATASET_LABELS,
        "history": extend_history(None, operation, arguments),
    }
    return table.sortby(dim)
