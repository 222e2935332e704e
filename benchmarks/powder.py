"""S(2θ,E) to S(Q,E): in memory, and streamed through dask (asv-style)."""

from __future__ import annotations

import dask.array
import numpy as np
import xarray as xr

import xbp  # noqa: F401  # registers .bp


def spectra(n_detector: int, n_energy: int, chunk: int | None = None) -> xr.Dataset:
    """Return noise over detectors from 3 to 135 degrees.

    Of dask chunks of detectors where `chunk` says so.
    """
    values = (
        np.random.default_rng(0).random((n_detector, n_energy))
        if chunk is None
        else dask.array.random.default_rng(0).random(
            (n_detector, n_energy), chunks=(chunk, -1)
        )
    )
    attrs = {"units": "1/meV", "quantity": "detector_spectra", "ki_over_kf": "applied"}
    return xr.Dataset(
        dict.fromkeys(("S", "S_std"), (("detector", "E"), values, attrs)),
        coords={
            "E": ("E", np.linspace(-60, 55, n_energy), {"units": "meV"}),
            "two_theta": (
                "detector",
                np.linspace(3, 135, n_detector),
                {"units": "degree"},
            ),
            "incident_energy": ((), 60.0, {"units": "meV"}),
        },
    )


class Powder:
    """400 detectors of 2000 energies; the bar is 0.2 s."""

    def setup(self) -> None:
        """Make the spectra."""
        self.data = spectra(400, 2000)

    def time_angle_to_q(self) -> None:
        """Onto bins of 0.05 1/angstrom."""
        self.data.bp.angle_to_Q(0.05)


class Streamed:
    """10^5 detectors of 200 energies through dask, in chunks of 5000."""

    timeout = 300

    def setup(self) -> None:
        """Make the spectra."""
        self.data = spectra(100_000, 200, chunk=5000)

    def time_angle_to_q(self) -> None:
        """Onto bins of 0.05 1/angstrom."""
        self.data.bp.angle_to_Q(0.05).compute()

    def peakmem_angle_to_q(self) -> None:
        """Memory of it."""
        self.data.bp.angle_to_Q(0.05).compute()
