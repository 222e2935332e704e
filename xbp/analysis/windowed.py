"""The window of a simulated spectrum.

How wide it makes a line, what shape, and how well it tells its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
import xarray as xr

from xbp.core import constants
from xbp.core.units import convert_factor
from xbp.md.plan import make_taper

__all__ = ["Window"]

#: Full width at half maximum of a line of no width of its own, in units of h/window.
_FWHM = {"hann": 1.44, "boxcar": 0.886}
#: A FWHM in standard deviations.
_SIGMAS = float(np.sqrt(8 * np.log(2)))


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
        How many; 0 where the data do not say.
    """

    time: float
    taper: str
    step: float
    segments: int

    @classmethod
    def of(cls, data: xr.Dataset, units: str) -> Window | None:
        """Read it from the attributes of spectra or of what was found in them.

        None where they have none.
        """
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

    def holds(self, E: np.ndarray) -> bool:
        """Tell whether energies are those of its spectra, multiples of h/window."""
        parts = E / self.step
        return bool(np.allclose(parts, np.rint(parts), rtol=0, atol=1e-3))

    def oscillator_current(
        self, E: np.ndarray, area: float, energy: float, width: float
    ) -> np.ndarray:
        """Return what it makes of the current spectrum of a damped oscillator (`damped_oscillator_current`).

        The correlation of the current, exp(−Γt/2ħ) [cos Ωt − Γ/(2ħΩ) sin Ωt] with (ħΩ)²
        = E₀² − Γ²/4, is multiplied by that of the taper, as the computed one was.
        """
        k = np.rint(E / self.step).astype(int)
        # Four times as fine as the energies ask for.
        n = 4 * (int(k.max()) + 1)
        t = np.arange(n) * (2 * np.pi / self.step / n)  # t/ħ
        shape = make_taper(self.taper, n)
        weight = (
            scipy.signal.fftconvolve(shape, shape[::-1])[n - 1 :] / (shape**2).sum()
        )
        omega = np.sqrt(complex(energy**2 - width**2 / 4)) or 1e-9 * self.step
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
        spectrum = 2 * np.fft.rfft(correlation).real - correlation[0] - t[1] * cusp / 6
        return np.asarray(2 * area * spectrum[k] / (n * self.step))

    def sampling_errors(
        self, width: np.ndarray, n_waves: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the errors that chance gives the place and the width of a line, seen in few waves for a short time.

        A spectrum of thermal motion is a sum of N independent squares of amplitudes, N
        being the waves times the bins that the line spans in every segment: its
        centroid scatters by σ/√N. The width of a least-squares fit scatters by √(6/πN) Γ
        for a Lorentzian, whose bins scatter by their own height, and by √(0.7/N) times
        that of the window for the window's own shape, nearly a Gaussian.

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
        return seen / _SIGMAS / np.sqrt(N), of_width
