"""The accessor ``.bp`` on DataArray and Dataset: one-line delegates, no science.

The functions accept both, so one class serves both: a DataArray gives values alone, a Dataset
carries the standard deviations along.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import xarray as xr

from xbp import io, md, peaks, plot, reduction
from xbp.md.density import Precision
from xbp.md.mixing import Normalization
from xbp.md.pair_distribution import Window
from xbp.md.plan import Taper
from xbp.md.spectra import Part
from xbp.models.factors import Convention
from xbp.peaks.fits import Method
from xbp.units import Frequency

__all__ = ["BosonPeakAccessor", "PlotAccessor"]

Data = Any  # what goes in comes out: a DataArray or a Dataset


@xr.register_dataarray_accessor("bp")  # type: ignore[no-untyped-call]
@xr.register_dataset_accessor("bp")  # type: ignore[no-untyped-call]
class BosonPeakAccessor:
    """Boson-peak analysis of labelled data; every method is a function of the same name in xbp."""

    def __init__(self, data: xr.DataArray | xr.Dataset) -> None:
        self._data: Any = data

    def to_gdos(
        self, T: Any = None, u2: Any = None, *, u2_total: Any = None, msd: Any = None, B_iso: Any = None
    ) -> Data:
        """See `xbp.to_gdos`: G(Q,E) from S(Q,E)."""
        return reduction.to_gdos(self._data, T, u2, u2_total=u2_total, msd=msd, B_iso=B_iso)

    def to_bqe(
        self, T: Any = None, u2: Any = None, *, u2_total: Any = None, msd: Any = None, B_iso: Any = None
    ) -> Data:
        """See `xbp.to_bqe`: B(Q,E) from S(Q,E) or G(Q,E)."""
        return reduction.to_bqe(self._data, T, u2, u2_total=u2_total, msd=msd, B_iso=B_iso)

    def to_sqe(
        self, T: Any = None, u2: Any = None, *, u2_total: Any = None, msd: Any = None, B_iso: Any = None
    ) -> Data:
        """See `xbp.to_sqe`: S(Q,E) from G(Q,E) or B(Q,E)."""
        return reduction.to_sqe(self._data, T, u2, u2_total=u2_total, msd=msd, B_iso=B_iso)

    def to_convention(
        self,
        convention: Convention,
        T: Any = None,
        u2: Any = None,
        *,
        u2_total: Any = None,
        msd: Any = None,
        B_iso: Any = None,
    ) -> Data:
        """See `xbp.to_convention`: the reduction of another publication."""
        return reduction.to_convention(self._data, convention, T, u2, u2_total=u2_total, msd=msd, B_iso=B_iso)

    def cut_E(self, E: Any, width: Any = None) -> Data:
        """See `xbp.cut_E`: a cut at constant energy."""
        return reduction.cut_E(self._data, E, width)

    def cut_Q(self, Q: Any, width: Any = None) -> Data:
        """See `xbp.cut_Q`: a cut at constant momentum transfer."""
        return reduction.cut_Q(self._data, Q, width)

    def rebin(self, E: Any = None, Q: Any = None, *, given: Literal["edges", "centres"] = "edges") -> Data:
        """See `xbp.rebin`: other bins, the same integral."""
        return reduction.rebin(self._data, E, Q, given=given)

    def convert(
        self,
        E: str | None = None,
        Q: str | None = None,
        temperature: str | None = None,
        *,
        frequency: Frequency | None = None,
    ) -> Data:
        """See `xbp.convert`: other units of the coordinates, densities rescaled."""
        return reduction.convert(self._data, E, Q, temperature, frequency=frequency)

    def subtract(self, background: xr.DataArray | xr.Dataset, scale: Any = 1.0) -> Data:
        """See `xbp.subtract`: data − scale · background."""
        return reduction.subtract(self._data, background, scale)

    def scale(self, factor: Any) -> Data:
        """See `xbp.scale`: the signal times a factor."""
        return reduction.scale(self._data, factor)

    def detailed_balance(self, E_range: Any = None, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.detailed_balance`: S(−E)/S(E), and the temperature it implies."""
        return reduction.detailed_balance(self._data, E_range, Q_range)

    def debye_waller(self, E_range: Any = None, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.debye_waller`: u² from the elastic line."""
        return reduction.debye_waller(self._data, E_range, Q_range)

    def boson_peak(self, method: Method = "lognormal", E_range: Any = None) -> xr.Dataset:
        """See `xbp.boson_peak`: position, height and width of the peak."""
        return peaks.boson_peak(self._data, method, E_range)

    def dispersion(self, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.dispersion`: whether the peak energy depends on Q."""
        return peaks.dispersion(self._data, Q_range)

    def scale_to_sq(self, sq: xr.DataArray | xr.Dataset, Q_range: Any = None, *, offset: bool = False) -> xr.Dataset:
        """See `xbp.scale_to_sq`: S(Q) scaled to a cut, and their correlation."""
        return peaks.scale_to_sq(self._data, sq, Q_range, offset=offset)

    def correlation_map(self, sq: xr.DataArray | xr.Dataset, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.correlation_map`: the correlation with S(Q) at every energy."""
        return peaks.correlation_map(self._data, sq, Q_range)

    def structure_factor(
        self,
        Q_max: Any,
        dQ: Any = "0.05 1/angstrom",
        *,
        weights: Any = "neutron",
        partials: bool = False,
        normalization: Normalization = "ashcroft-langreth",
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        precision: Precision = "single",
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.md.structure_factor`: S(Q) of a trajectory."""
        return md.structure_factor(
            self._data,
            Q_max,
            dQ,
            weights=weights,
            partials=partials,
            normalization=normalization,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            precision=precision,
            progress=progress,
        )

    def dynamic_structure_factor(
        self,
        Q_max: Any,
        dQ: Any = "0.05 1/angstrom",
        *,
        E_max: Any = None,
        dE: Any = None,
        window: Any = None,
        resolution: Any = None,
        weights: Any = "neutron",
        part: Part = "coherent",
        partials: bool = False,
        normalization: Normalization = "ashcroft-langreth",
        taper: Taper = "hann",
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        origin_step: int | None = None,
        precision: Precision = "single",
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.md.dynamic_structure_factor`: S(Q,E) of a trajectory."""
        return md.dynamic_structure_factor(
            self._data,
            Q_max,
            dQ,
            E_max=E_max,
            dE=dE,
            window=window,
            resolution=resolution,
            weights=weights,
            part=part,
            partials=partials,
            normalization=normalization,
            taper=taper,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            origin_step=origin_step,
            precision=precision,
            progress=progress,
        )

    def intermediate_scattering_function(
        self,
        Q_max: Any,
        dQ: Any = "0.05 1/angstrom",
        *,
        time_max: Any = None,
        window: Any = None,
        resolution: Any = None,
        weights: Any = "neutron",
        part: Part = "coherent",
        partials: bool = False,
        normalization: Normalization = "ashcroft-langreth",
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        origin_step: int | None = None,
        precision: Precision = "single",
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.md.intermediate_scattering_function`: F(Q,t) of a trajectory."""
        return md.intermediate_scattering_function(
            self._data,
            Q_max,
            dQ,
            time_max=time_max,
            window=window,
            resolution=resolution,
            weights=weights,
            part=part,
            partials=partials,
            normalization=normalization,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            origin_step=origin_step,
            precision=precision,
            progress=progress,
        )

    def current_spectra(
        self,
        Q_max: Any,
        dQ: Any = "0.05 1/angstrom",
        *,
        E_max: Any = None,
        dE: Any = None,
        window: Any = None,
        resolution: Any = None,
        weights: Any = "unit",
        taper: Taper = "hann",
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        precision: Precision = "single",
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.md.current_spectra`: C_L and C_T of a trajectory."""
        return md.current_spectra(
            self._data,
            Q_max,
            dQ,
            E_max=E_max,
            dE=dE,
            window=window,
            resolution=resolution,
            weights=weights,
            taper=taper,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            precision=precision,
            progress=progress,
        )

    def vdos(
        self,
        *,
        E_max: Any = None,
        dE: Any = None,
        window: Any = None,
        resolution: Any = None,
        weights: Any = "mass",
        partials: bool = False,
        taper: Literal["hann", "boxcar"] = "hann",
        T: Any = None,
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.md.vdos`: the vibrational density of states of a trajectory."""
        return md.vdos(
            self._data,
            E_max=E_max,
            dE=dE,
            window=window,
            resolution=resolution,
            weights=weights,
            partials=partials,
            taper=taper,
            T=T,
            progress=progress,
        )

    def msd(
        self, *, time_max: Any = None, window: Any = None, partials: bool = False, T: Any = None, progress: bool = False
    ) -> xr.Dataset:
        """See `xbp.md.msd`: the mean-square displacement in a trajectory, and u²."""
        return md.msd(self._data, time_max=time_max, window=window, partials=partials, T=T, progress=progress)

    def radial_distribution(
        self,
        r_max: Any = None,
        dr: Any = "0.02 angstrom",
        *,
        partials: bool = False,
        T: Any = None,
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.md.radial_distribution`: g(r) of a trajectory."""
        return md.radial_distribution(self._data, r_max, dr, partials=partials, T=T, progress=progress)

    def to_structure_factor(self, Q: Any, *, number_density: Any = None, window: Window = "lorch") -> Data:
        """See `xbp.md.to_structure_factor`: S(Q) from g(r)."""
        return md.to_structure_factor(self._data, Q, number_density=number_density, window=window)

    def to_radial_distribution(self, r: Any, *, number_density: Any, window: Window = "lorch") -> Data:
        """See `xbp.md.to_radial_distribution`: g(r) from S(Q)."""
        return md.to_radial_distribution(self._data, r, number_density=number_density, window=window)

    def phonon_dispersion(self, E_range: Any = None) -> xr.Dataset:
        """See `xbp.phonon_dispersion`: phonon branches in current spectra."""
        return peaks.phonon_dispersion(self._data, E_range)

    def box_phonon(self, window: Any = "20 ps", *, progress: bool = False) -> xr.Dataset:
        """See `xbp.box_phonon`: the first transverse phonon of a simulated box."""
        return peaks.box_phonon(self._data, window, progress=progress)

    def mark_box_phonon(self, phonon: Any) -> Data:
        """See `xbp.mark_box_phonon`: mark spectra with the first phonon of the simulated box."""
        return peaks.mark_box_phonon(self._data, phonon)

    def to_netcdf(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """See `xbp.to_netcdf`: archive to a file that reads back identical."""
        io.to_netcdf(self._data, path, overwrite=overwrite)

    @property
    def plot(self) -> PlotAccessor:
        """The figures: ``.bp.plot.map()``, ``.cut()``, ``.peak()``, ``.scaling()``, ``.correlation()``."""
        return PlotAccessor(self._data)


class PlotAccessor:
    """Figures of one data set; every method is a function of the same name in `xbp.plot`."""

    def __init__(self, data: xr.DataArray | xr.Dataset) -> None:
        self._data: Any = data

    def map(self, sq: xr.DataArray | xr.Dataset | None = None, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.map`: B(Q,E) in colours, S(Q) laid over it."""
        return plot.map(self._data, sq, ax, **kwargs)

    def cut(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.cut`: a cut with its error bars."""
        return plot.cut(self._data, ax, **kwargs)

    def peak(self, peak: xr.Dataset | None = None, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.peak`: a spectrum with its fitted peak."""
        return plot.peak(self._data, peak, ax, **kwargs)

    def scaling(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.scaling`: a cut beside the scaled S(Q)."""
        return plot.scaling(self._data, ax, **kwargs)

    def correlation(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.correlation`: correlation with S(Q) against energy."""
        return plot.correlation(self._data, ax, **kwargs)
