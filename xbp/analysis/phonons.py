"""Phonon branches in current spectra, and the first phonon of a simulated box."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import lazy_loader
import numpy as np
import xarray as xr

from xbp import md
from xbp.analysis.windowed import Window
from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.errors import QuantityError, RangeError
from xbp.core.grid import select_range
from xbp.core.independence import independence
from xbp.core.operation import operation
from xbp.core.pint_data import Data
from xbp.core.signal import read, result_table, table_signal
from xbp.core.status import AT_EDGE, FAILED, NO_DATA, OK, TOO_FEW
from xbp.core.units import magnitude
from xbp.md.plan import asked_frames
from xbp.md.trajectory import Trajectory, read_trajectory
from xbp.models.lineshapes import damped_oscillator_current

if TYPE_CHECKING:
    import lmfit
else:
    lmfit = lazy_loader.load("lmfit")

__all__ = ["box_phonon", "mark_box_phonon", "phonon_dispersion"]

_BRANCHES = {"longitudinal": "C_L", "transverse": "C_T"}
#: A window that resolves this part of the energy of a phonon tells it well.
_WELL_BELOW = 1 / 3
#: Fewest frames of a window that is advised.
_FEWEST = 8
_NUMBERS = ("energy", "energy_std", "width", "width_std")


@operation(takes="current_spectrum", gives="phonon_dispersion", step=10)
def phonon_dispersion(data: xr.Dataset, E_range: Any = None) -> xr.Dataset:
    r"""Find the phonon branches in longitudinal and transverse current spectra.

    At every Q the spectrum is fitted by that of a damped harmonic oscillator,

    .. math:: C(E) = A \frac{2}{\pi} \frac{\Gamma E^2}{(E^2 - E_0^2)^2 + \Gamma^2 E^2}

    as the window of the simulated spectrum shows it, so that Γ is that of the phonon
    alone. Every bin weighs alike: no branch has exactly this shape, and weights by
    small errors of its wings would place its top. The errors are from the scatter about
    the fit and, where the number of wave vectors and windows is known, from how few
    waves are seen: FWHM/√(5.5 N) of the energy and FWHM/√(2N) of the width, with N the
    waves times the multiples of h/window that the line spans, in all windows. Bins that
    share counts (``E_independence``) are fractions of an independent one.

    Parameters
    ----------
    data : xarray.Dataset
        ``C_L`` and ``C_T`` over Q and E, from `current_spectra`.
    E_range : pair of scalars with units, optional
        Energies to fit (bare: the unit of E).

    Returns
    -------
    xarray.Dataset
        ``energy`` E₀ and ``width`` Γ (FWHM, that of the window taken off; it is in it
        where the spectra were rebinned in E, have no ``attrs["window"]``, or were
        computed with `resolution`), each with ``_std``, over ``branch``
        ("longitudinal", "transverse") and Q; ``status``, NaN where it is not "ok". Γ is
        0 where the line is no wider than the window.

    Raises
    ------
    QuantityError
        If these are no current spectra.
    RangeError
        If `E_range` holds no data.

    References
    ----------
    B. Fåk & B. Dorner, Physica B 234, 1107 (1997), doi:10.1016/S0921-4526(97)00121-X.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     100, 800, cell=10, energy="8 meV", T=300, mass=40, time_step="25 fs", seed=1)
    >>> branches = solid.bp.current_spectra(1, 0.25, window="5 ps", E_max=20).bp.phonon_dispersion()
    >>> bool((abs(branches.energy - 8) < 0.2).all())
    True
    """
    if not isinstance(data, xr.Dataset) or not set(_BRANCHES.values()) <= set(
        data.data_vars
    ):
        raise QuantityError(
            "these are no current spectra",
            reason="C_L and C_T over Q and E are needed",
            fix="traj.bp.current_spectra(Q_max).bp.phonon_dispersion()",
        )
    fits, statuses = [], []
    window, polarizations = None, {"C_L": 1, "C_T": 2}
    for name in _BRANCHES.values():
        signal = read(
            data[[n for n in (name, f"{name}_std") if n in data]], "current_spectrum"
        )
        inside = select_range(signal.source, "E", E_range, name="E_range") & (
            signal.value["E"].values > 0
        )
        E = signal.value["E"].values[inside]
        value = signal.value.transpose("Q", "E").values[:, inside]
        window = Window.of(data, signal.value["E"].attrs["units"])
        if window is not None and not window.holds(E):
            window = None
        f = independence(signal.value, "E")
        parts = np.ones(E.size) if f is None else f.values[inside]
        rows = [_fit(E, row, window, parts) for row in value]
        numbers = np.array([numbers for numbers, _ in rows])
        if window is not None and "n_wavevectors" in data.coords:
            # Waves of Q and −Q are one.
            n_waves = polarizations[name] * data["n_wavevectors"].values / 2
            chance = window.sampling_errors(numbers[:, 2], n_waves)
            numbers[:, [1, 3]] = np.hypot(numbers[:, [1, 3]], np.stack(chance, axis=1))
        fits.append(numbers)
        statuses.append([status for _, status in rows])
    table = np.moveaxis(np.array(fits), -1, 0)
    coords = {"branch": list(_BRANCHES), "Q": signal.value["Q"]}
    units = signal.value["E"].attrs["units"]
    with_window = "" if window is not None else ", with that of the window"
    labels = {
        "energy": "energy of the phonon",
        "width": f"full width at half maximum of the phonon{with_window}",
    }
    kept = ("number_density", *(("window", "segments") if window is not None else ()))
    variables: dict[str, tuple[Any, str, str]] = {}
    for name, numbers in zip(_NUMBERS, table, strict=True):
        base = name.removesuffix("_std")
        array = xr.DataArray(numbers, dims=("branch", "Q"), coords=coords)
        text = labels[base] if base == name else f"standard deviation of {labels[base]}"
        variables[name] = (array, units, text)
    status = xr.DataArray(np.array(statuses), dims=("branch", "Q"), coords=coords)
    variables["status"] = (status, "", "whether the fit can be used")
    answer: xr.Dataset = result_table(
        signal, variables, quantity="phonon_dispersion", operation="phonon_dispersion", arguments={"E_range": E_range},
        attrs={key: data.attrs[key] for key in kept if key in data.attrs},
    )  # fmt: skip
    return answer


def _fit(
    E: np.ndarray, C: np.ndarray, window: Window | None, parts: np.ndarray
) -> tuple[list[float], str]:
    """Fit one spectrum: the numbers of `_NUMBERS`, NaN unless the status is ok.

    `parts` is the fraction of an independent bin that each bin represents.
    """
    nothing = [np.nan] * len(_NUMBERS)
    x, y = E[np.isfinite(C)], C[np.isfinite(C)]
    independent = float(parts[np.isfinite(C)].sum())
    if x.size == 0 or y.max() <= 0:
        return nothing, NO_DATA
    if x.size < 5 or independent < 5 * (1 - 1e-9):
        return nothing, TOO_FEW
    top = int(np.argmax(y))
    if top in (0, x.size - 1):
        return nothing, AT_EDGE
    high = x[y > y[top] / 2]
    width = max(float(high[-1] - high[0]), float(x[1] - x[0]))
    shape: Callable[..., np.ndarray] = (
        damped_oscillator_current if window is None else window.oscillator_current
    )
    model = lmfit.Model(shape, independent_vars=["E"])
    # Scaled to 1: the least squares of numbers far from it stop early.
    parameters = model.make_params(
        area={"value": width * np.pi / 2, "min": 0},
        energy={"value": x[top], "min": 0},
        # Within its window a line may have no width of its own, which noise makes a
        # negative one.
        width={"value": width, "min": 0 if window is None else -np.inf},
    )
    found = model.fit(y / y[top], parameters, E=x)
    energy, gamma = found.params["energy"], found.params["width"]
    if (
        not found.success
        or not found.errorbars
        or energy.stderr is None
        or gamma.stderr is None
    ):
        return nothing, FAILED
    # In the first or the last bin there is no line to be seen.
    if not x[1] <= energy.value <= x[-2]:
        return nothing, AT_EDGE
    # Bins that share what was measured scatter less than independent ones.
    wider = np.sqrt((x.size - 3) / (independent - 3))
    return [
        energy.value,
        energy.stderr * wider,
        max(gamma.value, 0.0),
        gamma.stderr * wider,
    ], OK


@operation(
    takes="trajectory",
    gives="box_phonon",
    step=6,
    when=lambda traj: "velocity" in traj and traj.sizes["time"] > 1,
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
        A trajectory with velocities.
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
        smallest wave vector; ``status``. The errors are mostly those of few waves seen
        for a short time (`phonon_dispersion`). ``attrs["window"]`` and
        ``attrs["segments"]`` tell the windows, ``attrs["beware"]`` where they are too
        short.

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
    >>> solid = xbp.md.models.einstein_solid(
    ...     100, 1600, cell=10, energy="8 meV", T=300, mass=40, time_step="25 fs", seed=1)
    >>> round(float(solid.bp.box_phonon().energy))
    8
    """
    trajectory = read_trajectory(data)
    trajectory.require_velocity()
    _require_window(trajectory, window)
    smallest = (
        float(
            np.linalg.norm(
                2 * np.pi * np.linalg.inv(trajectory.mean_cell), axis=0
            ).min()
        )
        * 1.001
    )
    currents = md.current_spectra(
        data, smallest, smallest, window=window, progress=progress
    )
    branches = phonon_dispersion(currents)
    first = branches.sel(branch="transverse", drop=True).isel(Q=0)
    first.attrs["quantity"] = "box_phonon"
    used = Window.of(first, "meV")
    assert used is not None
    # Of a phonon that is not found a longer window may find it.
    if not used.fwhm < _WELL_BELOW * float(first.energy):
        found = np.isfinite(first.energy)
        part = (
            f", {100 * used.fwhm / float(first.energy):.0f} % of the energy"
            if found
            else ""
        )
        first.attrs["beware"] = (
            f"the window of {used.time:.4g} ps resolves {used.fwhm:.2g} meV{part}: a "
            "longer one, of a longer "
            "trajectory if need be, tells the phonon better"
        )
    return first


def _require_window(trajectory: Trajectory, window: Any) -> None:
    """Refuse a window that does not fit.

    Here the longest that does is best, not that which gives the most.
    """
    length, n, step = (
        int(asked_frames(trajectory, window)),
        trajectory.n_frames,
        trajectory.time_step,
    )
    # Two that overlap by half take one and a half.
    twice = int(n / 1.5) // 2 * 2
    if length <= n or twice < _FEWEST:
        return
    fitting = Window(twice * step, "hann", constants.PLANCK / (twice * step), 2)
    raise RangeError(
        f"the window of {length * step:.6g} ps ({length} frames) is longer than the "
        "trajectory",
        reason=f"that is {n} frames, {n * step:.6g} ps; the longer the window, the "
        "sharper the line (1.44 h/window)",
        fix=f"window='{fitting.time:.4g} ps' is the longest that fits twice (half "
        "overlapping), and resolves "
        f"{fitting.fwhm:.2g} meV; a trajectory of {1.5 * length * step:.4g} ps holds "
        f"two of {length * step:.4g} ps",
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
        If `phonon` is no positive energy.

    Examples
    --------
    >>> import xbp
    >>> marked = xbp.tutorial.open_dataset("zr46cu46al8_md").bp.mark_box_phonon("0.416 THz")
    >>> round(float(marked.box_phonon), 2), marked.box_phonon.attrs["units"]
    (1.72, 'meV')
    """
    signal = read(data)
    if "E" not in signal.value.dims:
        raise QuantityError(
            f"'{signal.value.name}' is over {signal.value.dims}",
            reason="a phonon is marked on energies",
            fix="mark S(Q,E) before it is cut",
        )
    given = phonon
    if isinstance(phonon, xr.Dataset):
        found = table_signal(phonon, "box_phonon", "energy").value
        if str(phonon.status.values) != OK:
            raise QuantityError(
                f"no phonon was found: {phonon.status.values}",
                reason="there is no energy to mark",
                fix="leave it out",
            )
        given = f"{float(found):.10g} {found.attrs['units']}"
    units = signal.value["E"].attrs["units"]
    energy = magnitude(given, units, name="phonon", energy=True)
    if energy <= 0:
        raise RangeError(
            f"phonon={phonon}", reason="its energy is positive", fix="phonon='1.7 meV'"
        )
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
