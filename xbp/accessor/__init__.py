"""The accessor ``.bp`` on DataArray and Dataset: one-line delegates, no science.

The functions accept both, so one class serves both: a DataArray gives values alone, a
Dataset carries the standard deviations along.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import xarray as xr

from xbp import analysis, fitting, io, reduction
from xbp.accessor.corrections import CorrectionMethods
from xbp.accessor.docstrings import adopt_docstrings
from xbp.accessor.figures import PlotAccessor
from xbp.accessor.kinds import held_to_their_calls
from xbp.accessor.study import StudyAccessor
from xbp.accessor.trajectory import TrajectoryMethods
from xbp.core.diagnostic import Diagnostic, diagnostics
from xbp.core.units import Frequency
from xbp.fitting.peak import Method
from xbp.io.spreadsheet import Layout
from xbp.models.factors import Convention
from xbp.models.raman import Coupling, Side
from xbp.reduction.heat_capacity import Amount
from xbp.reduction.powder import KiOverKf, Variance
from xbp.reduction.sign import REVERSED_BELOW
from xbp.summary import describe, describe_html
from xbp.summary.methods import applicable

__all__ = ["BosonPeakAccessor", "PlotAccessor", "StudyAccessor", "adopt_docstrings"]

Data = Any  # what goes in comes out: a DataArray or a Dataset


@xr.register_dataarray_accessor("bp")  # type: ignore[no-untyped-call]
@xr.register_dataset_accessor("bp")  # type: ignore[no-untyped-call]
@held_to_their_calls
class BosonPeakAccessor(CorrectionMethods, TrajectoryMethods):
    """Boson-peak analysis of labelled data.

    Every method is a function of the same name in xbp.
    """

    def __init__(self, data: xr.DataArray | xr.Dataset) -> None:
        self._data: Any = data

    def __repr__(self) -> str:
        return describe(self._data)

    def __dir__(self) -> list[str]:
        return applicable(self._data, super().__dir__())

    def _repr_html_(self) -> str:
        return describe_html(self._data)

    def diagnostics(self) -> list[Diagnostic]:
        """See `xbp.diagnostics`: the diagnostics recorded with these data."""
        return diagnostics(self._data)

    def to_gdos(
        self,
        T: Any = None,
        u2: Any = None,
        *,
        u2_total: Any = None,
        msd: Any = None,
        B_iso: Any = None,
        T_std: Any = None,
        u2_std: Any = None,
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.to_gdos`: G(Q,E) from S(Q,E)."""
        return reduction.to_gdos(
            self._data,
            T,
            u2,
            u2_total=u2_total,
            msd=msd,
            B_iso=B_iso,
            T_std=T_std,
            u2_std=u2_std,
            reversed_below=reversed_below,
        )

    def to_bqe(
        self,
        T: Any = None,
        u2: Any = None,
        *,
        u2_total: Any = None,
        msd: Any = None,
        B_iso: Any = None,
        T_std: Any = None,
        u2_std: Any = None,
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.to_bqe`: B(Q,E) from S(Q,E) or G(Q,E)."""
        return reduction.to_bqe(
            self._data,
            T,
            u2,
            u2_total=u2_total,
            msd=msd,
            B_iso=B_iso,
            T_std=T_std,
            u2_std=u2_std,
            reversed_below=reversed_below,
        )

    def to_sqe(
        self, T: Any = None, u2: Any = None, *, u2_total: Any = None, msd: Any = None, B_iso: Any = None,
        T_std: Any = None, u2_std: Any = None,
    ) -> Data:  # fmt: skip
        """See `xbp.to_sqe`: S(Q,E) from G(Q,E) or B(Q,E)."""
        return reduction.to_sqe(
            self._data,
            T,
            u2,
            u2_total=u2_total,
            msd=msd,
            B_iso=B_iso,
            T_std=T_std,
            u2_std=u2_std,
        )

    def to_convention(
        self,
        convention: Convention,
        T: Any = None,
        u2: Any = None,
        *,
        u2_total: Any = None,
        msd: Any = None,
        B_iso: Any = None,
        T_std: Any = None,
        u2_std: Any = None,
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.to_convention`: the reduction of another publication."""
        return reduction.to_convention(
            self._data,
            convention,
            T,
            u2,
            u2_total=u2_total,
            msd=msd,
            B_iso=B_iso,
            T_std=T_std,
            u2_std=u2_std,
            reversed_below=reversed_below,
        )

    def to_raman_shift(self, laser: Any) -> Data:
        """See `xbp.to_raman_shift`: the shift from the laser line, from wavelengths."""
        return reduction.to_raman_shift(self._data, laser)

    def to_reduced_raman(
        self,
        T: Any = None,
        coupling: Coupling = "constant",
        *,
        side: Side = "stokes",
        laser_line: Any = None,
        baseline: Any = None,
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.to_reduced_raman`: g(E)/E² from a Raman spectrum."""
        return reduction.to_reduced_raman(
            self._data,
            T,
            coupling,
            side=side,
            laser_line=laser_line,
            baseline=baseline,
            reversed_below=reversed_below,
        )

    def to_molar(
        self,
        per: Amount | None = None,
        *,
        mass: Any = None,
        molar_mass: Any = None,
        atoms: Any = None,
        amount: Amount | None = None,
    ) -> Data:
        """See `xbp.to_molar`: heat capacity per mole of atoms or formula units."""
        return reduction.to_molar(
            self._data,
            per,
            mass=mass,
            molar_mass=molar_mass,
            atoms=atoms,
            amount=amount,
        )

    def reduced_heat_capacity(self, gamma: Any = 0.0) -> Data:
        """See `xbp.reduced_heat_capacity`: (C − γT)/T³."""
        return reduction.reduced_heat_capacity(self._data, gamma)

    def heat_capacity(
        self,
        temperature: Any,
        *,
        area: float | None = None,
        n_atoms: float | None = None,
        below: Literal["debye"] | None = None,
        area_tolerance: float = 0.01,
    ) -> Data:
        """See `xbp.heat_capacity`: the heat capacity of a density of states."""
        return reduction.heat_capacity(
            self._data,
            temperature,
            area=area,
            n_atoms=n_atoms,
            below=below,
            area_tolerance=area_tolerance,
        )

    def cut_E(self, E: Any, width: Any = None) -> Data:
        """See `xbp.cut_E`: a cut at constant energy."""
        return reduction.cut_E(self._data, E, width)

    def cut_Q(self, Q: Any, width: Any = None) -> Data:
        """See `xbp.cut_Q`: a cut at constant momentum transfer."""
        return reduction.cut_Q(self._data, Q, width)

    def integrate_E(self, E_range: Any = None, T: Any = None) -> Data:
        """See `xbp.integrate_E`: S(Q), the integral of S(Q,E) over energy."""
        return reduction.integrate_E(self._data, E_range, T)

    def rebin(
        self,
        E: Any = None,
        Q: Any = None,
        *,
        given: Literal["edges", "centres"] = "edges",
    ) -> Data:
        """See `xbp.rebin`: other bins, the same integral."""
        return reduction.rebin(self._data, E, Q, given=given)

    def angle_to_Q(
        self,
        Q: Any,
        *,
        incident_energy: Any = None,
        final_energy: Any = None,
        angle_width: Any = "neighbors",
        ki_over_kf: KiOverKf | None = None,
        variance: Variance = "exact",
    ) -> Data:
        """See `xbp.angle_to_Q`: S(Q,E) from S(2θ,E)."""
        return reduction.angle_to_Q(
            self._data,
            Q,
            incident_energy=incident_energy,
            final_energy=final_energy,
            angle_width=angle_width,
            ki_over_kf=ki_over_kf,
            variance=variance,
        )

    def kinematic_limits(
        self,
        two_theta: Any = None,
        *,
        incident_energy: Any = None,
        final_energy: Any = None,
    ) -> xr.Dataset:
        """See `xbp.kinematic_limits`: the range of Q that an instrument reaches."""
        return reduction.kinematic_limits(
            self._data,
            two_theta,
            incident_energy=incident_energy,
            final_energy=final_energy,
        )

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

    def scale(self, factor: Any, factor_std: Any = 0.0) -> Data:
        """See `xbp.scale`: the signal times a factor."""
        return reduction.scale(self._data, factor, factor_std)

    def boson_peak(
        self,
        method: Method = "lognormal",
        E_range: Any = None,
        *,
        sq: xr.DataArray | xr.Dataset | None = None,
        edge_width: float = analysis.EDGE_WIDTH,
        filter_end: Any = analysis.FILTER_END,
        sound_below: Any = analysis.SOUND_BELOW,
    ) -> xr.Dataset:
        """See `xbp.boson_peak`: position, height and width of the peak."""
        return analysis.boson_peak(
            self._data,
            method,
            E_range,
            sq=sq,
            edge_width=edge_width,
            filter_end=filter_end,
            sound_below=sound_below,
        )

    def scan_boson_peak(
        self,
        E_ranges: Sequence[Any] | None = None,
        methods: Sequence[Method] = ("lognormal", "quadratic", "gaussian"),
        *,
        sq: xr.DataArray | xr.Dataset | None = None,
        edge_width: float = analysis.EDGE_WIDTH,
        filter_end: Any = analysis.FILTER_END,
        least: float = 0.5,
    ) -> xr.Dataset:
        """See `xbp.scan_boson_peak`.

        The peak over several ranges and shapes, and its systematic error.
        """
        return analysis.scan_boson_peak(
            self._data,
            E_ranges,
            methods,
            sq=sq,
            edge_width=edge_width,
            filter_end=filter_end,
            least=least,
        )

    def fit(
        self,
        model: Any,
        dim: str | None = None,
        *,
        x_range: Any = None,
        start: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:
        """See `xbp.fit`: any model along one dimension."""
        return fitting.fit(
            self._data,
            model,
            dim,
            x_range=x_range,
            start=start,
            fixed=fixed,
            bounds=bounds,
        )

    def fit_heat_capacity(
        self,
        T_range: Any = None,
        *,
        start: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:
        """See `xbp.fit_heat_capacity`: γT, Debye phonons and Einstein modes."""
        return analysis.fit_heat_capacity(
            self._data, T_range, start=start, fixed=fixed, bounds=bounds
        )

    def scan_heat_capacity(
        self,
        T_ranges: Sequence[Any] | None = None,
        *,
        start: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        bounds: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:
        """See `xbp.scan_heat_capacity`.

        The same over several ranges of temperature, and its systematic error.
        """
        return analysis.scan_heat_capacity(
            self._data, T_ranges, start=start, fixed=fixed, bounds=bounds
        )

    def fitted_dos(self, E: Any) -> xr.Dataset:
        """See `xbp.fitted_dos`: the g(E) that a fit of the heat capacity means."""
        return analysis.fitted_dos(self._data, E)

    def dispersion(self, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.dispersion`: whether the peak energy depends on Q."""
        return analysis.dispersion(self._data, Q_range)

    def scale_to_sq(
        self,
        sq: xr.DataArray | xr.Dataset,
        Q_range: Any = None,
        *,
        offset: bool = False,
        box: Any = None,
    ) -> xr.Dataset:
        """See `xbp.scale_to_sq`: S(Q) scaled to a cut, and their correlation."""
        return analysis.scale_to_sq(self._data, sq, Q_range, offset=offset, box=box)

    def correlation_map(
        self, sq: xr.DataArray | xr.Dataset, Q_range: Any = None, *, box: Any = None
    ) -> xr.Dataset:
        """See `xbp.correlation_map`: the correlation with S(Q) at every energy."""
        return analysis.correlation_map(self._data, sq, Q_range, box=box)

    def phonon_dispersion(self, E_range: Any = None) -> xr.Dataset:
        """See `xbp.phonon_dispersion`: phonon branches in current spectra."""
        return analysis.phonon_dispersion(self._data, E_range)

    def sound_velocity(self, Q_max: Any = "0.5 1/angstrom") -> xr.Dataset:
        """See `xbp.sound_velocity`.

        Sound velocities and the Debye energy from phonon branches.
        """
        return analysis.sound_velocity(self._data, Q_max)

    def ioffe_regel(self) -> xr.Dataset:
        """See `xbp.ioffe_regel`: where phonons are as wide as their energy over π."""
        return analysis.ioffe_regel(self._data)

    def mark_box_phonon(self, phonon: Any) -> Data:
        """See `xbp.mark_box_phonon`.

        Mark spectra with the first phonon of the simulated box.
        """
        return analysis.mark_box_phonon(self._data, phonon)

    def to_netcdf(
        self, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> None:
        """See `xbp.to_netcdf`: archive to a file that reads back identical."""
        io.to_netcdf(self._data, path, overwrite=overwrite)

    def to_nxspe(
        self, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> None:
        """See `xbp.to_nxspe`: write S(2θ,E) for Mantid, Horace and PACE."""
        io.to_nxspe(self._data, path, overwrite=overwrite)

    def to_columns(
        self, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> None:
        """See `xbp.to_columns`: write a spectrum as three-column text."""
        io.to_columns(self._data, path, overwrite=overwrite)

    def to_sqw(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """See `xbp.to_sqw`: write S(q,ω) text for McStas and iFit."""
        io.to_sqw(self._data, path, overwrite=overwrite)

    def to_csv(
        self,
        path: str | os.PathLike[str],
        layout: Layout = "long",
        *,
        overwrite: bool = False,
    ) -> None:
        """See `xbp.to_csv`: write a table for Origin or Excel."""
        io.to_csv(self._data, path, layout, overwrite=overwrite)

    def to_dataframe(self, layout: Layout = "long") -> Any:
        """See `xbp.to_dataframe`: a pandas table with units in its titles."""
        return io.to_dataframe(self._data, layout)

    def to_scipp(self) -> Any:
        """See `xbp.to_scipp`: a scipp.DataArray with variances and bin edges."""
        return io.to_scipp(self._data)

    @property
    def plot(self) -> PlotAccessor:
        """The figures: ``.bp.plot.map()``, ``.cut()``, ``.peak()``, ``.scaling()``, ``.correlation()``."""
        return PlotAccessor(self._data)
