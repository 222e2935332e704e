"""The first phonon of a simulated box."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xbp import md
from xbp.analysis.phonons import Window, phonon_dispersion
from xbp.analysis.simulated import energy_of_phonon
from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.data import Data, require_dims
from xbp.core.errors import QuantityError, RangeError
from xbp.core.guards import require_positive
from xbp.core.operation import operation
from xbp.core.signal import read
from xbp.core.status import Diagnostic, Status, diagnosed, diagnostics
from xbp.md.trajectory import Trajectory, read_trajectory
from xbp.md.window import asked_frames

__all__ = ["box_phonon", "mark_box_phonon"]


@operation(
    takes="trajectory",
    gives="box_phonon",
    step=6,
    when=lambda traj: traj.sizes.get("time", 0) > 1,
)
def box_phonon(
    data: xr.Dataset, window: Any = "20 ps", *, progress: bool = False
) -> xr.Dataset:
    """Find the first transverse phonon that a simulated box allows.

    Waves longer than the box do not exist in it. The longest transverse one, of energy
    ħ c_T 2π/L, makes a sharp maximum of its own in B(E), below the boson peak: see
    `mark_box_phonon`.

    Parameters
    ----------
    data : xarray.Dataset
        A trajectory, best with velocities (see `current_spectra`).
    window : scalar with units
        Length of the segments (bare: ps): the longer, the sharper the line. It resolves
        1.44 h/window, 0.3 meV at 20 ps, which should be well below the energy of the
        phonon.
    progress : bool
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        ``energy`` and ``width`` (meV) with ``_std``, of the transverse branch at the
        smallest wave vector; ``status``, as from `phonon_dispersion`, or "no sound"
        where the longitudinal line is not above the transverse one by two standard
        deviations, as that of sound is in every stable isotropic solid: of atoms that
        vibrate independently both have one energy, and the box sets none. The errors
        are mostly those of few waves seen for a short time. ``attrs["window"]`` and
        ``attrs["segments"]`` describe the windows; a diagnostic reports windows that
        are too short.

    Raises
    ------
    RangeError
        If the window is longer than the trajectory.
    XbpError
        As for `current_spectra`.

    References
    ----------
    H. Shintani & H. Tanaka, Nat. Mater. 7, 870 (2008), doi:10.1038/nmat2293 (the
    transverse branch and the boson peak).

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(  # without waves
    ...     100, 1600, cell=10, energy="8 meV", T=300, mass=40, time_step="25 fs",
    ...     rng=1)
    >>> str(solid.bp.box_phonon().status.values)
    'no sound'
    """
    trajectory = read_trajectory(data)
    _require_window(trajectory, window)
    waves = np.linalg.norm(2 * np.pi * np.linalg.inv(trajectory.mean_cell), axis=0)
    smallest = 1.001 * float(waves[trajectory.repeats].min(initial=np.inf))
    currents = md.current_spectra(
        data, smallest, smallest, window=window, progress=progress
    )
    branches = phonon_dispersion(currents)
    first = branches.sel(branch="transverse", drop=True).isel(Q=0)
    first.attrs["quantity"] = "box_phonon"
    if first["status"] != Status.AT_EDGE:
        others = [d for d in diagnostics(first) if d.code != "maximum_at_edge"]
        first.attrs.pop("diagnostics", None)
        first.attrs |= diagnosed({}, *others)
    used = Window.of(first, "meV")
    assert used is not None
    # The window should resolve a third of the energy. A longer one may find a phonon
    # that was not found.
    if not used.fwhm < float(first.energy) / 3:
        part = used.fwhm / float(first.energy)
        said = f", {part:.0%} of the energy" if np.isfinite(part) else ""
        doubt = Diagnostic(
            "short_window",
            "warning",
            f"the window of {used.time:.4g} ps broadens by {used.fwhm:.2g} meV{said}",
            "use a longer window, or trajectory",
        )
        first.attrs |= diagnosed(first.attrs, doubt)
    if not _is_sound(branches.isel(Q=0)):
        first["status"] = first["status"].copy(data=str(Status.NO_SOUND))
        for name in ("energy", "energy_std", "width", "width_std"):
            first[name] = first[name].where(False)
    return first


def _is_sound(lines: xr.Dataset) -> bool:
    """Return whether the longitudinal line is above the transverse one.

    True where one of them was not found, so that they cannot be compared.
    """
    if not (lines["status"] == Status.OK).all():
        return True
    energy, std = (lines[name].sel(branch="longitudinal") for name in _LINE)
    low, low_std = (lines[name].sel(branch="transverse") for name in _LINE)
    return bool(energy - low > 2 * np.hypot(std, low_std))


_LINE = ("energy", "energy_std")


def _require_window(trajectory: Trajectory, window: Any) -> None:
    """Refuse a window that does not fit, and name the longest that does."""
    length = int(asked_frames(trajectory, window))
    n, step = trajectory.n_frames, trajectory.time_step
    # Two that overlap by half take one and a half.
    twice = int(n / 1.5) // 2 * 2
    if length <= n or twice < 8:
        return
    time = twice * step
    fwhm = Window(time, "hann", constants.PLANCK / time, 2).fwhm
    raise RangeError(
        f"window={length * step:.6g} ps ({length} frames) is longer than the "
        f"trajectory of {n * step:.6g} ps ({n} frames)",
        fix=f"window='{time:.4g} ps', which fits twice and resolves {fwhm:.2g} meV, or "
        f"a trajectory of {1.5 * length * step:.4g} ps",
    )


@operation(takes="signal")
@carries_common_errors(linear=True)
def mark_box_phonon(data: Data, phonon: Any) -> Data:
    """Mark spectra of a simulation with the first transverse phonon of its box.

    Figures show it, and `boson_peak` searches above it and does not take it for the
    boson peak.

    Parameters
    ----------
    data : xarray.DataArray or xarray.Dataset
        S, G or B over E, or a density of states.
    phonon : xarray.Dataset or scalar with units
        What `box_phonon` returned, or an energy (bare: the unit of E).

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        The data with the scalar coordinate ``box_phonon``, in the unit of E.

    Raises
    ------
    QuantityError
        If `data` have no energies, or no phonon was found.
    UnitsError, RangeError
        If `phonon` is not a positive energy.

    Examples
    --------
    >>> import xbp
    >>> glass = xbp.tutorial.open_dataset("zr46cu46al8_md")
    >>> marked = glass.bp.mark_box_phonon("0.416 THz")
    >>> round(float(marked.box_phonon), 2), marked.box_phonon.attrs["units"]
    (1.72, 'meV')
    """
    signal = read(data)
    require_dims(signal.value, "E", "mark_box_phonon", error=QuantityError)
    units = signal.value["E"].attrs["units"]
    given = energy_of_phonon(phonon, "phonon")
    energy = require_positive(given, "phonon", units, energy=True)
    label = {
        "units": units,
        "long_name": "first transverse phonon of the simulated box",
    }
    marked = signal.value.assign_coords(box_phonon=xr.Variable((), energy, label))
    answer: Data = signal.answer(
        marked,
        signal.std,
        operation="mark_box_phonon",
        arguments={"phonon": f"{energy:.10g} {units}"},
    )
    return answer
