"""Methods of ``.bp.plot``."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xbp import plot

__all__ = ["PlotAccessor"]


class PlotAccessor:
    """Figures of one data set.

    Every method is a function of the same name in `xbp.plot`.
    """

    def __init__(self, data: xr.DataArray | xr.Dataset) -> None:
        self._data: Any = data

    def map(
        self, sq: xr.DataArray | xr.Dataset | None = None, ax: Any = None, **kwargs: Any
    ) -> Any:
        """See `xbp.plot.map`: B(Q,E) in colours, S(Q) laid over it."""
        return plot.map(self._data, sq, ax, **kwargs)

    def cut(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.cut`: a cut with its error bars."""
        return plot.cut(self._data, ax, **kwargs)

    def peak(
        self,
        peak: xr.Dataset | None = None,
        ax: Any = None,
        *,
        E_range: Any = None,
        **kwargs: Any,
    ) -> Any:
        """See `xbp.plot.peak`: a spectrum with its fitted peak."""
        return plot.peak(self._data, peak, ax, E_range=E_range, **kwargs)

    def fit(
        self,
        table: xr.DataArray | xr.Dataset | None = None,
        ax: Any = None,
        *,
        model: Any = None,
        parameter: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """See `xbp.plot.fit`: a spectrum with the curve fitted to it, or what many fits found."""
        return plot.fit(
            self._data, table, ax, model=model, parameter=parameter, **kwargs
        )

    def explore(
        self,
        E_width: Any = None,
        Q_width: Any = None,
        *,
        E_range: Any = None,
        Q_range: Any = None,
        **kwargs: Any,
    ) -> Any:
        """See `xbp.plot.explore`: a map in a notebook whose cuts are dragged."""
        return plot.explore(
            self._data, E_width, Q_width, E_range=E_range, Q_range=Q_range, **kwargs
        )

    def heat_capacity(
        self, fit: xr.Dataset | None = None, ax: Any = None, **kwargs: Any
    ) -> Any:
        """See `xbp.plot.heat_capacity`: (C − γT)/T³ with the curve fitted to it."""
        return plot.heat_capacity(self._data, fit, ax, **kwargs)

    def phonons(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.phonons`: energies of the phonon branches over Q."""
        return plot.phonons(self._data, ax, **kwargs)

    def detailed_balance(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.detailed_balance`: the temperature that each energy implies."""
        return plot.detailed_balance(self._data, ax, **kwargs)

    def debye_waller(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.debye_waller`: the elastic line against Q², and u² from it."""
        return plot.debye_waller(self._data, ax, **kwargs)

    def scaling(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.scaling`: a cut beside the scaled S(Q)."""
        return plot.scaling(self._data, ax, **kwargs)

    def correlation(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.correlation`: correlation with S(Q) against energy."""
        return plot.correlation(self._data, ax, **kwargs)

    def fluctuations(
        self, E_range: Any = ("1 meV", "20 meV"), *, figure: Any = None, **kwargs: Any
    ) -> Any:
        """See `xbp.plot.fluctuations`.

        Ω(Q,E) of every field compared, S(Q) laid over each.
        """
        return plot.fluctuations(self._data, E_range, figure=figure, **kwargs)

    def field_correlations(self, ax: Any = None, **kwargs: Any) -> Any:
        """See `xbp.plot.field_correlations`.

        Correlation of every field with S(Q) against energy.
        """
        return plot.field_correlations(self._data, ax, **kwargs)
