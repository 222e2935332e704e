"""The chain of the main job, and the reduction of 36 million points against plain xarray (asv-style)."""

from __future__ import annotations

import dask.array
import numpy as np
import scipy.constants
import xarray as xr

import xbp

K_B = scipy.constants.k / scipy.constants.e * 1e3
Q_RANGE = (2.1, 8.4)


def large_map() -> xr.DataArray:
    """Return S over temperature × Q × E, 10 × 1200 × 3000 = 36 million points."""
    T, Q, E = (
        np.linspace(50, 500, 10),
        np.linspace(0.5, 12, 1200),
        np.arange(0.05, 150, 0.05)[:3000],
    )
    values = np.random.default_rng(0).random((T.size, Q.size, E.size))
    coords = {"temperature": (T, "K"), "Q": (Q, "1/angstrom"), "E": (E, "meV")}
    ds = xbp.new_dataset(
        "dynamic_structure_factor",
        values,
        units="1/meV",
        coords=coords,
        statistics="quantum",
    )
    return ds.S.assign_coords(u2=((), 0.01, {"units": "angstrom**2"}))


def plain_xarray(S: xr.DataArray) -> xr.DataArray:
    """Reduce as a scientist would write Eq. 1 down, G first, then B = G/E²."""
    G = (
        np.exp(S.Q**2 * S.u2)
        * S.E
        / S.Q**2
        * (1 - np.exp(-S.E / (K_B * S.temperature)))
        * S
    )
    return G / S.E**2


class LargeReduction:
    """S → G → B on 36 million points."""

    timeout = 300

    def setup(self) -> None:
        """Make the map."""
        self.S = large_map()

    def time_one_step(self) -> None:
        """B straight from S."""
        self.S.bp.to_bqe()

    def time_two_steps(self) -> None:
        """S → G → B, chained."""
        self.S.bp.to_gdos().bp.to_bqe()

    def time_plain_xarray(self) -> None:
        """Reduce in plain xarray, the peer."""
        plain_xarray(self.S)

    def peakmem_one_step(self) -> None:
        """Memory of B straight from S."""
        self.S.bp.to_bqe()

    def peakmem_two_steps(self) -> None:
        """Memory of S → G → B, chained."""
        self.S.bp.to_gdos().bp.to_bqe()

    def peakmem_plain_xarray(self) -> None:
        """Memory of the peer."""
        plain_xarray(self.S)


class LazyReduction:
    """S → G → B on 10^8 points in dask chunks of two million."""

    def setup(self) -> None:
        """Make the map."""
        shape, chunks = (10, 2500, 4000), (1, 500, 4000)
        values = dask.array.random.default_rng(0).random(shape, chunks=chunks)
        units = {"units": "1/meV", "quantity": "dynamic_structure_factor"}
        self.S = xr.DataArray(
            values,
            {
                "temperature": (
                    "temperature",
                    np.linspace(50, 500, 10),
                    {"units": "K"},
                ),
                "Q": ("Q", np.linspace(0.5, 12, 2500), {"units": "1/angstrom"}),
                "E": ("E", 0.05 * np.arange(1, 4001), {"units": "meV"}),
                "u2": ((), 0.01, {"units": "angstrom**2"}),
            },
            ("temperature", "Q", "E"),
            name="S",
            attrs={**units, "statistics": "quantum"},
        )

    def time_two_steps(self) -> None:
        """S → G → B, chained, and what of it fits into memory."""
        self.S.bp.to_gdos().bp.to_bqe().max().compute()


class Rebinning:
    """10^5 spectra of 200 energies with errors onto bins of 1 meV."""

    def setup(self) -> None:
        """Make the spectra."""
        values = np.random.default_rng(0).random((100_000, 200))
        self.data = xbp.new_dataset(
            "dynamic_structure_factor",
            values,
            units="1/meV",
            std=np.full(values.shape, 0.1),
            coords={
                "detector": (np.arange(100_000), "1"),
                "E": (np.linspace(-10, 60, 200), "meV"),
            },
            statistics="quantum",
        )

    def time_rebin(self) -> None:
        """Rebin."""
        self.data.bp.rebin(E="1 meV")


class Chain:
    """S → G → B → cut → peak → scale on a 300 × 150 map with standard deviations."""

    def setup(self) -> None:
        """Make the map."""
        S = xbp.models.dynamic_structure_factor(
            np.linspace(1, 9, 300),
            np.linspace(0.2, 30, 150),
            energy=5.5,
            width=6,
            T=300,
            u2=0.012,
        )
        self.S = xbp.models.with_counting_noise(S, counts=1e4, rng=0)
        self.sq = xbp.models.hard_sphere_structure_factor(np.linspace(0.5, 10, 200))
        self.time_chain()

    def time_chain(self) -> None:
        """Run the chain."""
        b = self.S.bp.to_gdos().bp.to_bqe()
        peak = b.bp.cut_Q(Q_RANGE).bp.boson_peak(E_range=(1.5, 15))
        b.bp.cut_E(peak.energy, width=0.5).bp.scale_to_sq(self.sq, Q_RANGE)

    def time_peak_at_every_q(self) -> None:
        """Fit the peak at each of the 300 Q."""
        self.S.bp.to_bqe().bp.boson_peak(E_range=(1.5, 15))
