"""What is done to a measurement before it is reduced: one-line delegates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import xarray as xr

from xbp import analysis, reduction
from xbp.models.multiphonon import Below
from xbp.reduction.detailed_balance import Weights
from xbp.reduction.multiphonon import Part
from xbp.reduction.normalize import Rule
from xbp.reduction.resolution import Width
from xbp.reduction.sign import REVERSED_BELOW

__all__ = ["CorrectionMethods"]

Data = Any  # what goes in comes out: a DataArray or a Dataset


class CorrectionMethods:
    """Corrections of measured spectra.

    Every method is a function of the same name in xbp.
    """

    _data: Any

    def subtract(
        self,
        background: xr.DataArray | xr.Dataset,
        scale: Any = 1.0,
        *,
        scale_std: Any = 0.0,
    ) -> Data:
        """See `xbp.subtract`: data − scale · background."""
        return reduction.subtract(self._data, background, scale, scale_std=scale_std)

    def mask_elastic(
        self, resolution: Any, widths: float = 2.0, *, centre: Any = 0.0
    ) -> Data:
        """See `xbp.mask_elastic`: the elastic line, by its resolution, made NaN."""
        return reduction.mask_elastic(self._data, resolution, widths, centre=centre)

    def fit_elastic_line(self, E_range: Any = None, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.fit_elastic_line`.

        Where the elastic line stands, and how wide it is.
        """
        return analysis.fit_elastic_line(self._data, E_range, Q_range)

    def shift_E(self, by: Any) -> Data:
        """See `xbp.shift_E`: E = 0 moved to where the elastic line stands."""
        return reduction.shift_E(self._data, by)

    def normalize_to_vanadium(
        self,
        vanadium: xr.DataArray | xr.Dataset,
        *,
        amount: Any,
        vanadium_amount: Any,
        composition: str | Mapping[str, float] | None = None,
        E_range: Any = None,
        Q_range: Any = None,
        u2: Any = None,
    ) -> Data:
        """See `xbp.normalize_to_vanadium`: an absolute scale, in barn/sr."""
        return reduction.normalize_to_vanadium(
            self._data,
            vanadium,
            amount=amount,
            vanadium_amount=vanadium_amount,
            composition=composition,
            E_range=E_range,
            Q_range=Q_range,
            u2=u2,
        )

    def normalize_to_sum_rule(
        self,
        rule: Rule,
        sq: xr.DataArray | xr.Dataset | None = None,
        T: Any = None,
        *,
        E_range: Any = None,
        Q_range: Any = None,
        mass: Any = None,
        composition: str | Mapping[str, float] | None = None,
        most_missing: float = 0.01,
        most_spread: float = 0.1,
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.normalize_to_sum_rule`: the scale that ∫S dE or the f-sum gives."""
        return reduction.normalize_to_sum_rule(
            self._data,
            rule,
            sq,
            T,
            E_range=E_range,
            Q_range=Q_range,
            mass=mass,
            composition=composition,
            most_missing=most_missing,
            most_spread=most_spread,
            reversed_below=reversed_below,
        )

    def fold(
        self,
        T: Any = None,
        *,
        weights: Weights = "variance",
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.fold`: energy gain folded onto energy loss."""
        return reduction.fold(
            self._data, T, weights=weights, reversed_below=reversed_below
        )

    def detailed_balance(self, E_range: Any = None, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.detailed_balance`: S(−E)/S(E), and the temperature it implies."""
        return reduction.detailed_balance(self._data, E_range, Q_range)

    def multiphonon_sqe(
        self,
        Q: Any,
        E: Any = None,
        T: Any = None,
        *,
        mass: Any = None,
        composition: str | Mapping[str, float] | None = None,
        u2: Any = None,
        orders: int | None = None,
        tolerance: float = 1e-6,
        below: Below = "debye",
        part: Part = "all",
        area: float | None = None,
        n_atoms: float | None = None,
        area_tolerance: float = 0.01,
    ) -> Data:
        """See `xbp.multiphonon_sqe`: S(Q,E) of g(E), with all its phonons."""
        return reduction.multiphonon_sqe(
            self._data,
            Q,
            E,
            T,
            mass=mass,
            composition=composition,
            u2=u2,
            orders=orders,
            tolerance=tolerance,
            below=below,
            part=part,
            area=area,
            n_atoms=n_atoms,
            area_tolerance=area_tolerance,
        )

    def to_vibrational_dos(
        self,
        T: Any = None,
        E_range: Any = None,
        Q_range: Any = None,
        *,
        mass: Any = None,
        composition: str | Mapping[str, float] | None = None,
        u2: Any = None,
        multiple_scattering: float | Literal["fit"] = 0.0,
        below: Below = "debye",
        tolerance: float = 1e-4,
        initial_dos: xr.DataArray | xr.Dataset | None = None,
        join_range: Any = None,
        end: float = 0.25,
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.to_vibrational_dos`.

        g(E) from S(Q,E), multiphonons taken off self-consistently.
        """
        return reduction.to_vibrational_dos(
            self._data,
            T,
            E_range,
            Q_range,
            mass=mass,
            composition=composition,
            u2=u2,
            multiple_scattering=multiple_scattering,
            below=below,
            tolerance=tolerance,
            initial_dos=initial_dos,
            join_range=join_range,
            end=end,
            reversed_below=reversed_below,
        )

    def correct_multiphonon(
        self,
        T: Any = None,
        E_range: Any = None,
        Q_range: Any = None,
        *,
        mass: Any = None,
        composition: str | Mapping[str, float] | None = None,
        u2: Any = None,
        multiple_scattering: float | Literal["fit"] = 0.0,
        below: Below = "debye",
        tolerance: float = 1e-4,
        initial_dos: xr.DataArray | xr.Dataset | None = None,
        join_range: Any = None,
        end: float = 0.25,
        reversed_below: float | None = REVERSED_BELOW,
    ) -> Data:
        """See `xbp.correct_multiphonon`: S(Q,E) without its multiphonon part."""
        return reduction.correct_multiphonon(
            self._data,
            T,
            E_range,
            Q_range,
            mass=mass,
            composition=composition,
            u2=u2,
            multiple_scattering=multiple_scattering,
            below=below,
            tolerance=tolerance,
            initial_dos=initial_dos,
            join_range=join_range,
            end=end,
            reversed_below=reversed_below,
        )

    def debye_waller(self, E_range: Any = None, Q_range: Any = None) -> xr.Dataset:
        """See `xbp.debye_waller`: u² from the elastic line."""
        return reduction.debye_waller(self._data, E_range, Q_range)

    def convolve(self, resolution: Any, *, width: Width = "fwhm") -> Data:
        """See `xbp.convolve`: a model or simulation broadened by the resolution."""
        return reduction.convolve(self._data, resolution, width=width)

    def to_quantum(self, T: Any = None) -> Data:
        """See `xbp.to_quantum`: detailed balance for a classical S(Q,E)."""
        return reduction.to_quantum(self._data, T)

    def like(
        self,
        experiment: xr.DataArray | xr.Dataset,
        resolution: Any,
        *,
        width: Width = "fwhm",
        T: Any = None,
        scale: Literal["fit"] | None = None,
    ) -> Data:
        """See `xbp.like`: a simulation on the grid of an experiment."""
        return reduction.like(
            self._data, experiment, resolution, width=width, T=T, scale=scale
        )
