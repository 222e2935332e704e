"""Phonon branches in current spectra."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import xarray as xr

from xbp.analysis.doubts import name_edges
from xbp.analysis.sides import edges_of
from xbp.core import constants
from xbp.core.common_errors import carries_common_errors
from xbp.core.conditions import dimension_of
from xbp.core.errors import QuantityError
from xbp.core.grid import select_range
from xbp.core.independence import independence
from xbp.core.operation import operation
from xbp.core.signal import read, result_table
from xbp.core.status import FIT_LABELS, Status, diagnosed
from xbp.core.units import convert_factor
from xbp.fitting.core import solve_function
from xbp.fitting.over_bins import halves_of_bins
from xbp.fitting.shapes import SIGNIFICANT
from xbp.md.window import make_taper
from xbp.models.dimension import transverse_branches
from xbp.models.lineshapes import (
    FWHM_PER_SIGMA,
    damped_oscillator_current,
    damped_oscillator_integral,
)

__all__ = ["Window", "phonon_dispersion"]


#: Full width at half maximum of a line of no width of its own, in units of h/window.
_FWHM = {"hann": 1.44, "boxcar": 0.886}


@dataclass(frozen=True)
class Window:
    """The segments that a spectrum is the mean of.

    Attributes
    ----------
    time : float
        Length of a segment, ps.
    taper : str
    step : float
        h/window in the unit of E.
    segments : int
        How many; 0 where this is unknown.
    """

    time: float
    taper: str
    step: float
    segments: int

    @classmethod
    def of(cls, data: xr.Dataset, units: str) -> Window | None:
        """Return the window in the attributes of a table, or None."""
        text, _, taper = str(data.attrs.get("window", "")).partition(", ")
        if taper not in _FWHM:
            return None
        time = float(text.removesuffix(" ps"))
        to_mev = convert_factor(units, "meV", name="coordinate 'E'", energy=True)
        return cls(
            time,
            taper,
            constants.PLANCK / time / to_mev,
            int(data.attrs.get("segments", 0)),
        )

    @property
    def fwhm(self) -> float:
        """What it resolves, in the unit of E."""
        return _FWHM[self.taper] * self.step

    def resolves(self, E: np.ndarray) -> bool:
        """Return whether energies are multiples of h/window."""
        parts = E / self.step
        return bool(np.allclose(parts, np.rint(parts), rtol=0, atol=1e-3))

    def oscillator_current(
        self, E: np.ndarray, area: Any, energy: Any, width: Any
    ) -> np.ndarray:
        """Return `damped_oscillator_current` as this window shows it.

        The correlation of the current, exp(−Γt/2ħ) [cos Ωt − Γ/(2ħΩ) sin Ωt] with (ħΩ)²
        = E₀² − Γ²/4, is multiplied by that of the taper, as the computed one was.
        Parameters of shape (m, 1) give m spectra.
        """
        k = np.rint(E / self.step).astype(int)
        # Four times as fine as the energies ask for.
        n = 4 * (int(k.max()) + 1)
        t = np.arange(n) * (2 * np.pi / self.step / n)  # t/ħ
        shape = make_taper(self.taper, n)
        weight = (
            scipy.signal.fftconvolve(shape, shape[::-1])[n - 1 :] / (shape**2).sum()
        )
        omega = np.sqrt(np.asarray(energy**2 - width**2 / 4, dtype=complex))
        omega = np.where(omega == 0, 1e-9 * self.step, omega)
        damping = 0.5j * width / omega
        # As two exponentials: of an overdamped one cos and sin would overflow.
        waves = [
            (1 + sign * damping) * np.exp((sign * 1j * omega - width / 2) * t)
            for sign in (1, -1)
        ]
        correlation = weight * (waves[0] + waves[1]).real / 2
        # The correlation has a cusp at t = 0, which steps round off: the tails of a
        # broad line would fold back.
        cusp = width + (self.step / (2 * np.pi) if self.taper == "boxcar" else 0.0)
        spectrum = 2 * np.fft.rfft(correlation).real
        spectrum -= correlation[..., :1] + t[1] * cusp / 6
        return np.asarray(2 * area * spectrum[..., k] / (n * self.step))

    def sampling_errors(
        self, width: np.ndarray, n_waves: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors of place and width of a line seen in few waves.

        A spectrum of thermal motion is a sum of N independent squares of amplitudes, N
        being the waves times the bins that the line spans in every segment: its
        centroid scatters by σ/√N. The width of a least-squares fit scatters by
        √(6/πN) Γ for a Lorentzian, whose bins scatter by their own height, and by
        √(0.7/N) times that of the window for the window's own shape, nearly a Gaussian.

        Parameters
        ----------
        width : numpy.ndarray
            Γ without the window, in the unit of E.
        n_waves : numpy.ndarray
            Independent waves.
        """
        seen = np.hypot(np.maximum(width, 0.0), self.fwhm)
        N = n_waves * max(self.segments, 1) * seen / self.step
        own = np.maximum(width, 0.0)
        of_width = np.sqrt((6 / np.pi * own**2 + 0.7 * self.fwhm**2) / N)
        return seen / FWHM_PER_SIGMA / np.sqrt(N), of_width


_BRANCHES = {"longitudinal": "C_L", "transverse": "C_T"}
_NUMBERS = ("energy", "energy_std", "width", "width_std")


@operation(takes="current_spectrum", gives="phonon_dispersion", step=10)
@carries_common_errors()
def phonon_dispersion(data: xr.Dataset, E_range: Any = None) -> xr.Dataset:
    r"""Find the phonon branches in longitudinal and transverse current spectra.

    At every Q the spectrum is fitted by that of a damped harmonic oscillator,

    .. math:: C(E) = A \frac{2}{\pi} \frac{\Gamma E^2}{(E^2 - E_0^2)^2 + \Gamma^2 E^2}

    as the window of the simulated spectrum shows it, so that Γ is that of the phonon
    alone. The fits are unweighted: no branch has exactly this shape, and the small
    errors of its wings would decide where its top is. The errors are from the scatter
    about the fit and from how few waves are seen. Where the number of wave vectors and
    windows is known, these add FWHM/√(5.5 N) to that of the energy and √(6Γ²/π +
    0.7 w²)/√N to that of the width, w being the width of the window, with N the waves
    times the multiples of h/window that the line spans, in all windows. Where the
    window is unknown or absent, the errors of C_L and C_T go through the fit,
    and the larger of both errors counts. Bins that share counts (``E_independence``)
    are fractions of an independent one.

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
        0 where the line is not wider than the window.

    Raises
    ------
    QuantityError
        If these are no current spectra.
    RangeError
        If `E_range` contains no data.

    References
    ----------
    B. Fåk & B. Dorner, Physica B 234, 1107 (1997), doi:10.1016/S0921-4526(97)00121-X.

    Examples
    --------
    >>> import xbp
    >>> solid = xbp.md.models.einstein_solid(
    ...     100, 800, cell=10, energy="8 meV", T=300, mass=40, time_step="25 fs",
    ...     rng=1)
    >>> currents = solid.bp.current_spectra(1, 0.25, window="5 ps", E_max=20)
    >>> branches = currents.bp.phonon_dispersion()
    >>> bool((abs(branches.energy - 8) < 0.2).all())
    True
    """
    names = set(data.data_vars) if isinstance(data, xr.Dataset) else set()
    if not set(_BRANCHES.values()) <= names:
        raise QuantityError(
            "phonon_dispersion needs C_L and C_T over Q and E",
            fix="traj.bp.current_spectra(Q_max).bp.phonon_dispersion()",
        )
    fits, statuses, edges = [], [], []
    window, across = None, transverse_branches(dimension_of(data))
    polarizations = {"C_L": 1, "C_T": across}
    for name in _BRANCHES.values():
        signal = read(
            data[[n for n in (name, f"{name}_std") if n in data]], "current_spectrum"
        )
        inside = select_range(signal.source, "E", E_range, name="E_range") & (
            signal.value["E"].values > 0
        )
        E = signal.value["E"].values[inside]
        spectra = signal.value.transpose("Q", "E").values
        value = spectra[:, inside]
        window = Window.of(data, signal.value["E"].attrs["units"])
        if window is not None and not window.resolves(E):
            window = None
        f = independence(signal.value, "E")
        parts = np.ones(E.size) if f is None else f.values[inside]
        std = None
        if window is None and signal.std is not None:
            std = signal.std.transpose("Q", "E").values[:, inside]
        half = np.zeros(E.size) if window else halves_of_bins(data, "E")[inside]
        numbers, status = _fit(E, half, value, std, window, parts)
        if window is not None and "n_wavevectors" in data.coords:
            # Waves of Q and −Q are one.
            n_waves = polarizations[name] * data["n_wavevectors"].values / 2
            chance = window.sampling_errors(numbers[:, 2], n_waves)
            numbers[:, [1, 3]] = np.hypot(numbers[:, [1, 3]], np.stack(chance, axis=1))
        fits.append(numbers)
        statuses.append(status)
        shown = np.where(signal.value["E"].values > 0, spectra, np.nan)
        first, last = (np.full(len(spectra), end) for end in E[[0, -1]])
        edges.append(edges_of(signal.value["E"].values, shown, first, last, 0.0))
    table = np.moveaxis(np.array(fits), -1, 0)
    coords = {"branch": list(_BRANCHES), "Q": signal.value["Q"]}
    units = signal.value["E"].attrs["units"]
    with_window = "" if window is not None else ", with that of the window"
    labels = [
        (units, "energy of the phonon"), ("", ""),
        (units, f"full width at half maximum of the phonon{with_window}"), ("", ""),
    ]  # fmt: skip
    kept = ("number_density", *(("window", "segments") if window is not None else ()))
    variables: dict[str, tuple[Any, str, str]] = {
        name: (xr.DataArray(numbers, dims=("branch", "Q"), coords=coords), *label)
        for name, numbers, label in zip(_NUMBERS, table, labels, strict=True)
    }
    said = xr.DataArray(np.array(statuses), dims=("branch", "Q"), coords=coords)
    variables["status"] = (said, "", FIT_LABELS["status"])
    answer: xr.Dataset = result_table(
        signal,
        variables,
        quantity="phonon_dispersion",
        operation="phonon_dispersion",
        arguments={"E_range": E_range},
        attrs={key: data.attrs[key] for key in kept if key in data.attrs},
    )  # fmt: skip
    doubts = name_edges(said, np.array(edges), signal.value, chosen=E_range is not None)
    answer.attrs |= diagnosed(answer.attrs, *doubts)
    return answer


@np.errstate(all="ignore")
def _fit(
    E: np.ndarray,
    half: np.ndarray,
    C: np.ndarray,
    std: np.ndarray | None,
    window: Window | None,
    parts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit spectra (m, k): `_NUMBERS` (m, 4), NaN unless ok, and the statuses (m,).

    They are means over the bins E ± half, which is 0 of points.
    `parts` is the fraction of an independent bin that each bin represents.
    """
    seen = np.isfinite(C)
    y, count, independent = np.where(seen, C, 0.0), seen.sum(axis=1), seen @ parts
    height = np.where(seen, C, -np.inf).max(axis=1, initial=-np.inf)
    unit = np.where(height > 0, height, 1.0)[:, None]
    y = y / unit
    top = np.where(seen, y, -np.inf).argmax(axis=1)
    # The first and the last bins that are known, and those beside them.
    ends = [E[np.where(seen.cumsum(axis=1) == i, 1, 0).argmax(axis=1)] for i in (1, 2)]
    back = seen[:, ::-1].cumsum(axis=1)
    ends += [E[::-1][np.where(back == i, 1, 0).argmax(axis=1)] for i in (2, 1)]
    high = seen & (y > 0.5)
    width = np.where(high, E, -np.inf).max(axis=1) - np.where(high, E, np.inf).min(
        axis=1
    )
    width = np.maximum(width, ends[1] - ends[0])
    start = np.stack([width * np.pi / 2, E[top], width], axis=1)
    # Within its window a line may have no width of its own, which noise makes a
    # negative one.
    low = np.array([0.0, 0.0, 0.0 if window is None else -np.inf])
    few = (count < 5) | (independent < 5 * (1 - 1e-9))
    edge = (E[top] == ends[0]) | (E[top] == ends[3])
    status = np.select(
        [(count == 0) | (height <= 0), few, edge],
        [Status.NO_DATA, Status.TOO_FEW, Status.AT_EDGE],
        Status.OK,
    ).astype("<U18")
    numbers = np.full((len(C), len(_NUMBERS)), np.nan)
    rows = np.flatnonzero(status == Status.OK)
    if not rows.size:
        return numbers, status
    curve = damped_oscillator_current if window is None else window.oscillator_current

    def function(p: np.ndarray) -> np.ndarray:
        own = p.T[:, :, None]
        if not np.any(half):
            return np.asarray(curve(E, *own))
        ends = (damped_oscillator_integral(E + way * half, *own) for way in (1, -1))
        upper, lower = ends
        return np.asarray((upper - lower) / (2 * half))

    found = solve_function(
        function, y[rows], seen[rows] * 1.0, start[rows], known=False, low=low
    )
    _, _, stds = found.errors(independent[rows] - 3, False)
    if std is not None:
        known = np.where(seen, std, 0.0) / unit / np.sqrt(parts)
        stds = np.fmax(stds, found.propagated(function, seen[rows], known[rows]))
    # A line without a width that is seen may lie anywhere within its bin.
    unseen = found.values[:, 2] < SIGNIFICANT * stds[:, 2]
    bin_of = np.abs(E - found.values[:, 1, None]).argmin(axis=1)
    within = np.where(unseen, half[bin_of] / np.sqrt(3), 0.0)
    stds[:, 1] = np.fmax(stds[:, 1], within)
    failed = ~found.converged | found.vague.any(axis=1) | found.at_bound.any(axis=1)
    energy = found.values[:, 1]
    # In the first or the last bin no line can be seen.
    outside = ~((ends[1][rows] <= energy) & (energy <= ends[2][rows]))
    status[rows] = np.select(
        [failed, outside], [Status.FAILED, Status.AT_EDGE], Status.OK
    )
    columns = [energy, stds[:, 1], np.maximum(found.values[:, 2], 0.0), stds[:, 2]]
    numbers[rows] = np.stack(columns, axis=1)
    numbers[status != Status.OK] = np.nan
    return numbers, status
