"""Methods of ``.bp`` on trajectories and what is computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import xarray as xr

from xbp import analysis, md
from xbp.analysis.fluctuations import PAPER_FIELDS
from xbp.md.density import Precision
from xbp.md.mixing import Normalization
from xbp.md.pair_distribution import Window
from xbp.md.plan import Taper
from xbp.md.spectra import Part

__all__ = ["TrajectoryMethods"]

Data = Any  # what goes in comes out: a DataArray or a Dataset


class TrajectoryMethods:
    """One-line delegates to `xbp.md`."""

    _data: Any

    def structure_factor(
        self,
        Q_max: Any,
        dQ: Any = "0.05 1/angstrom",
        *,
        weights: Any = "neutron",
        b: Any = None,
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
            b=b,
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
        b: Any = None,
        part: Part = "coherent",
        partials: bool = False,
        normalization: Normalization = "ashcroft-langreth",
        taper: Taper = "hann",
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        origin_step: int | None = None,
        precision: Precision = "single",
        folding: float | None = 0.3,
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
            b=b,
            part=part,
            partials=partials,
            normalization=normalization,
            taper=taper,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            origin_step=origin_step,
            precision=precision,
            folding=folding,
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
        b: Any = None,
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
            b=b,
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
        b: Any = None,
        taper: Taper = "hann",
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        precision: Precision = "single",
        folding: float | None = 0.3,
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
            b=b,
            taper=taper,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            precision=precision,
            folding=folding,
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
        b: Any = None,
        partials: bool = False,
        taper: Literal["hann", "boxcar"] = "hann",
        T: Any = None,
        folding: float | None = 0.1,
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
            b=b,
            partials=partials,
            taper=taper,
            T=T,
            folding=folding,
            progress=progress,
        )

    def neutron_weighted_dos(
        self,
        *,
        Q: Any = None,
        u2: Any = None,
        b: Any = None,
        area_tolerance: float = 0.1,
    ) -> xr.Dataset:
        """See `xbp.md.neutron_weighted_dos`.

        Partial densities of states as neutrons weigh them.
        """
        return md.neutron_weighted_dos(
            self._data, Q=Q, u2=u2, b=b, area_tolerance=area_tolerance
        )

    def correct_neutron_weighting(
        self,
        partials: xr.Dataset | xr.DataArray,
        *,
        Q: Any = None,
        u2: Any = None,
        b: Any = None,
    ) -> Data:
        """See `xbp.md.correct_neutron_weighting`.

        a measured density of states, every element counted alike.
        """
        return md.correct_neutron_weighting(self._data, partials, Q=Q, u2=u2, b=b)

    def msd(
        self,
        *,
        time_max: Any = None,
        window: Any = None,
        partials: bool = False,
        T: Any = None,
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.md.msd`: the mean-square displacement in a trajectory, and u²."""
        return md.msd(
            self._data,
            time_max=time_max,
            window=window,
            partials=partials,
            T=T,
            progress=progress,
        )

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
        return md.radial_distribution(
            self._data, r_max, dr, partials=partials, T=T, progress=progress
        )

    def to_structure_factor(
        self, Q: Any, *, number_density: Any = None, window: Window = "lorch"
    ) -> Data:
        """See `xbp.md.to_structure_factor`: S(Q) from g(r)."""
        return md.to_structure_factor(
            self._data, Q, number_density=number_density, window=window
        )

    def to_radial_distribution(
        self, r: Any, *, number_density: Any = None, window: Window = "lorch"
    ) -> Data:
        """See `xbp.md.to_radial_distribution`: g(r) from S(Q)."""
        return md.to_radial_distribution(
            self._data, r, number_density=number_density, window=window
        )

    def box_phonon(
        self, window: Any = "20 ps", *, progress: bool = False
    ) -> xr.Dataset:
        """See `xbp.box_phonon`: the first transverse phonon of a simulated box."""
        return analysis.box_phonon(self._data, window, progress=progress)

    def local_fields(
        self,
        fields: str | Sequence[str],
        *,
        cutoff: Any = None,
        reference: Any = "mean",
    ) -> xr.Dataset:
        """See `xbp.md.local_fields`: what every atom sees of its neighbors."""
        return md.local_fields(self._data, fields, cutoff=cutoff, reference=reference)

    def fluctuation_spectrum(
        self,
        field: str | xr.DataArray | Sequence[str | xr.DataArray],
        Q_max: Any,
        dQ: Any = "0.05 1/angstrom",
        *,
        cutoff: Any = None,
        reference: Any = "mean",
        subtract_mean: bool = True,
        E_max: Any = None,
        dE: Any = None,
        window: Any = None,
        resolution: Any = None,
        taper: Taper = "hann",
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        precision: Precision = "single",
        folding: float | None = 0.2,
        progress: bool = False,
    ) -> Any:
        """See `xbp.md.fluctuation_spectrum`.

        φ(Q,E), Ω(Q,E) and χ(E) of a local field.
        """
        return md.fluctuation_spectrum(
            self._data,
            field,
            Q_max,
            dQ,
            cutoff=cutoff,
            reference=reference,
            subtract_mean=subtract_mean,
            E_max=E_max,
            dE=dE,
            window=window,
            resolution=resolution,
            taper=taper,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            precision=precision,
            folding=folding,
            progress=progress,
        )

    def compare_fluctuations(
        self,
        Q_max: Any,
        dQ: Any = "0.05 1/angstrom",
        *,
        fields: str | xr.DataArray | Sequence[str | xr.DataArray] = PAPER_FIELDS,
        cutoff: Any = None,
        reference: Any = "mean",
        weights: Any = "neutron",
        energy: Any = None,
        E_range: Any = ("1 meV", "12 meV"),
        Q_range: Any = None,
        E_max: Any = "60 meV",
        window: Any = None,
        T: Any = None,
        max_wavevectors_per_shell: int | None = None,
        progress: bool = False,
    ) -> xr.Dataset:
        """See `xbp.compare_fluctuations`.

        Which local field has the fingerprints of the boson peak.
        """
        return analysis.compare_fluctuations(
            self._data,
            Q_max,
            dQ,
            fields=fields,
            cutoff=cutoff,
            reference=reference,
            weights=weights,
            energy=energy,
            E_range=E_range,
            Q_range=Q_range,
            E_max=E_max,
            window=window,
            T=T,
            max_wavevectors_per_shell=max_wavevectors_per_shell,
            progress=progress,
        )
