from __future__ import annotations

import inspect

import pytest
import xarray as xr

import xbp
from xbp.accessor import BosonPeakAccessor, PlotAccessor

METHODS = [n for n, m in inspect.getmembers(BosonPeakAccessor, inspect.isfunction) if not n.startswith("_")]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_function_of_the_same_name_and_arguments(name: str) -> None:
    method = list(inspect.signature(getattr(BosonPeakAccessor, name)).parameters.values())[1:]
    function = list(inspect.signature(getattr(xbp if hasattr(xbp, name) else xbp.md, name)).parameters.values())[1:]
    assert [(p.name, p.default, p.kind) for p in method] == [(p.name, p.default, p.kind) for p in function]


@pytest.mark.parametrize("name", [n for n in dir(PlotAccessor) if not n.startswith("_")])
def test_every_figure_too(name: str) -> None:
    method = list(inspect.signature(getattr(PlotAccessor, name)).parameters.values())[1:]
    function = list(inspect.signature(getattr(xbp.plot, name)).parameters.values())[1:]
    passed_on = {"E_range", "peak", "add_colorbar"} if name == "map" else set()
    assert [p.name for p in method] == [p.name for p in function if p.name not in passed_on]


def test_what_goes_in_comes_out(glass: xr.Dataset) -> None:
    assert isinstance(glass.bp.to_bqe(), xr.Dataset)
    assert isinstance(glass.S.bp.to_bqe(), xr.DataArray)
    xr.testing.assert_allclose(glass.S.bp.to_bqe(), glass.bp.to_bqe().B)
    assert {"to_gdos", "boson_peak", "cut_E", "scale_to_sq"} <= set(METHODS)
