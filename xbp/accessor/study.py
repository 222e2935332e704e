"""Methods of ``.bp`` on a DataTree: a study."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from typing import Any

import xarray as xr

from xbp import study
from xbp.accessor.kinds import held_to_their_calls
from xbp.study.compare import EinsteinOr

__all__ = ["StudyAccessor"]


@xr.register_datatree_accessor("bp")  # type: ignore[no-untyped-call]
@held_to_their_calls
class StudyAccessor:
    """A study; every method is a function of the same name in `xbp.study`."""

    def __init__(self, tree: xr.DataTree) -> None:
        self._tree = tree

    def __repr__(self) -> str:
        return study.summary(self._tree)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"

    def compare(
        self, among: Sequence[str] | None = None, *, heat_capacity: EinsteinOr = "peak"
    ) -> xr.Dataset:
        """See `xbp.study.compare`: the boson-peak energies side by side."""
        return study.compare(self._tree, among, heat_capacity=heat_capacity)

    def plot(
        self,
        among: Sequence[str] | None = None,
        *,
        heat_capacity: EinsteinOr = "peak",
        figure: Any = None,
    ) -> Any:
        """See `xbp.study.plot`.

        Every leaf with its peak, and all on one reduced axis.
        """
        return study.plot(self._tree, among, heat_capacity=heat_capacity, figure=figure)

    def report(
        self,
        path: str | os.PathLike[str],
        *,
        among: Sequence[str] | None = None,
        heat_capacity: EinsteinOr = "peak",
        overwrite: bool = False,
    ) -> None:
        """See `xbp.study.report`: one self-contained HTML page."""
        study.report(
            self._tree,
            path,
            among=among,
            heat_capacity=heat_capacity,
            overwrite=overwrite,
        )

    def to_netcdf(
        self, path: str | os.PathLike[str], *, overwrite: bool = False
    ) -> None:
        """See `xbp.study.to_netcdf`: archive to a file that reads back identical."""
        study.to_netcdf(self._tree, path, overwrite=overwrite)
