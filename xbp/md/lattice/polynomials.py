"""g(E) of boxes that are too large for an eigensolver."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import xarray as xr

from xbp.core.guards import (
    RNG,
    require_memory,
    require_number,
    require_positive,
    require_seed,
    require_whole,
)
from xbp.core.operation import operation
from xbp.core.schema import labels
from xbp.core.signal import label_std
from xbp.md.chebyshev import bin_coefficients, number_of_moments
from xbp.md.lattice.dos import dos_attributes, with_bins
from xbp.md.lattice.force_constants import read_force_constants
from xbp.md.lattice.job import highest_energy, packed_job, springs_arrays
from xbp.md.lattice.labels import begin_result, finish_result
from xbp.md.lattice.run import run_wavevectors
from xbp.md.lattice.sampling import Sampled
from xbp.reduction.dos_area import area_attributes

__all__ = ["kernel_polynomial_vdos"]


@operation(takes="force_constants", gives="vibrational_dos", step=2)
def kernel_polynomial_vdos(
    data: xr.Dataset,
    out: str | os.PathLike[str] | None = None,
    n_wavevectors: int = 8,
    *,
    dE: Any = "0.2 meV",
    resolution: Any = "0.2 meV",
    n_vectors: int = 8,
    inner: float = 0.5,
    rng: RNG = 1,
    processes: int = 1,
    progress: bool = False,
    overwrite: bool = False,
) -> xr.Dataset:
    r"""Compute g(E) of a large glass at many wave vectors, without finding its modes.

    The number of modes in a bin is the trace of a function of the dynamical matrix D.
    It is expanded in Chebyshev polynomials, and the trace is estimated by random
    vectors v, whose elements have magnitude 1:

    .. math:: g(E) = \frac{1}{3N} \Big\langle \sum_s \delta_\sigma(E - E_s)
              \Big\rangle_k, \quad \mathrm{tr}\, f(D) = \sum_n f_n \langle v | T_n(x) |
              v\rangle, \quad x = 2 (\hbar^2 D / E_{max}^2) - 1

    Time and memory grow with the number of atoms, not with its cube and square as for
    `bloch_modes`: use it beyond about 3000 atoms.

    Parameters
    ----------
    data : xarray.Dataset
        From `force_constants`.
    out : path-like, optional
        The netCDF file to make. Finished k are kept beside it in ``<out>.run``; if a
        run is interrupted, the same call continues it. None: the result is only
        returned.
    n_wavevectors : int
        Number of wave vectors k, drawn at random; every fourth from a sphere about Γ.
    dE : scalar with units
        Width of the bins (bare: meV).
    resolution : scalar with units
        Full width at half maximum of the Gaussian as which each mode is drawn (bare:
        meV), the same at every E. Time is inversely proportional to it.
    n_vectors : int
        Number of random vectors at each k.
    inner : float
        Radius of the sphere about Γ, in units of the largest that fits into the zone.
    rng : int, numpy.random.Generator or None
        Of the random numbers. A run is continued only if it is an int.
    processes : int
        Number of processes; they share the wave vectors.
    progress : bool
        Whether to show a progress bar.
    overwrite : bool
        Replace `out`, and discard an unfinished run.

    Returns
    -------
    xarray.Dataset
        ``g`` (1/meV) over E, of unit area, with ``g_std``, the scatter between wave
        vectors, and at least the counting error of the modes in a bin; the coordinate
        ``resolution_fwhm``. ``.bp.to_bqe()`` makes g(E)/E².

    Raises
    ------
    QuantityError, RangeError, UnitsError
        If an argument is invalid, or the glass has imaginary modes.
    FileFormatError
        If `out` exists or cannot be written.
    SimulationError
        If a process fails, or an unfinished run belongs to a different call.

    References
    ----------
    A. Weiße et al., Rev. Mod. Phys. 78, 275 (2006), doi:10.1103/RevModPhys.78.275;
    here with a Gaussian of constant width in E instead of a kernel.

    Examples
    --------
    >>> import numpy as np, xbp
    >>> pair = xbp.md.new_trajectory(
    ...     [[[0.0, 0, 0], [2.0, 0, 0]]], time=[0.0], cell=10 * np.eye(3),
    ...     mass=[40, 40], element=["Ar", "Ar"])
    >>> spring = np.kron([[1.0, -1.0], [-1.0, 1.0]], np.eye(3))
    >>> phi = xbp.md.lattice.new_force_constants(spring, pair)
    >>> g = phi.bp.kernel_polynomial_vdos(n_wavevectors=4, n_vectors=64).g
    >>> top = g.sel(E=slice(10, 20))  # half of the modes, at 14.5 meV
    >>> round(float(top.sum() * 0.2), 1), round(float(top.idxmax()), 1)
    (0.5, 14.5)
    """
    trajectory, springs = read_force_constants(data)
    width = require_positive(dE, "dE", "meV", energy=True)
    fwhm = require_positive(resolution, "resolution", "meV", energy=True)
    sigma = fwhm / np.sqrt(8 * np.log(2))
    E_max, vectors = highest_energy(springs), require_whole(n_vectors, "n_vectors")
    count = number_of_moments(E_max, sigma)
    rows, bins = 3.0 * trajectory.n_atoms, float((E_max + 3 * sigma) / width) + 2
    what = f"resolution={fwhm:g} meV"
    require_memory(vectors * (count + 3 * rows), f"n_vectors={vectors}, {what}")
    require_memory(4 * bins * max(count, 2 * bins), f"dE={width:g} meV, {what}")
    job, inputs = packed_job(
        {
            "n_wavevectors": require_whole(n_wavevectors, "n_wavevectors"),
            "k": None,
            "inner": require_number(inner, "inner", above=0, most=1),
            "rng": require_seed(rng),
            "E_max": E_max,
            "n_moments": count,
            "n_vectors": vectors,
        },
        springs_arrays(springs),
    )
    edges = np.arange(int(bins)) * width

    def collect(parts: list[dict[str, Any]]) -> xr.Dataset:
        sampling = xr.Dataset(
            {
                "stratum": ("k", [int(part["stratum"]) for part in parts]),
                "stratum_share": ("k", [float(part["share"]) for part in parts]),
                "glass": ("k", [0] * len(parts)),
            }
        ).assign_attrs(data.attrs)
        sampled = Sampled(sampling)
        shares = bin_coefficients(edges, sigma, count, E_max) @ np.stack(
            [part["moments"] for part in parts], axis=1
        )
        mean, std, _ = sampled.mean(shares.T)
        # Modes that a bin of one k holds, and the error of their number over all k.
        modes = springs.n_modes
        weight = float((sampled.weights[0] ** 2).sum())
        least = np.sqrt(weight * np.fmax(mean, 1 / modes) / modes)
        ds = with_bins(begin_result(data, trajectory), edges)
        ds = ds.assign_coords(resolution_fwhm=((), fwhm, labels("resolution_fwhm")))
        attrs = dos_attributes(area_attributes(float(mean.sum()), "all modes"))
        ds["g"] = ("E", mean / width, attrs)
        ds["g_std"] = ("E", np.fmax(std, least) / width)
        label_std(ds, "g")
        given = {"dE": f"{width:g} meV", "resolution": f"{fwhm:g} meV"}
        given |= {"n_vectors": job["n_vectors"], "rng": job["rng"]}
        return finish_result(ds, sampling, "kernel_polynomial_vdos", given)

    return run_wavevectors(
        job,
        inputs,
        collect,
        out=out,
        processes=processes,
        progress=progress,
        overwrite=overwrite,
    )
