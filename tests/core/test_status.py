"""Doubts travel with the numbers: through operations, through files, into what is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import xarray as xr

import xbp
from xbp.core.status import ATTRIBUTE, Diagnostic, diagnosed, diagnostics

DOUBT = Diagnostic(
    "moving_frame", "warning", "the atoms drift by 1.1 angstrom/ps", "take it off"
)


@pytest.fixture
def doubtful(glass: xr.Dataset) -> xr.Dataset:
    glass["S"].attrs |= diagnosed(glass["S"].attrs, DOUBT)
    return glass


def test_they_go_through_the_chain(doubtful: xr.Dataset) -> None:
    peak = doubtful.bp.to_bqe().bp.cut_Q((2.1, 8.5))
    assert peak.bp.diagnostics() == [DOUBT] == peak.B.bp.diagnostics()


@pytest.mark.slow
def test_they_survive_a_file(doubtful: xr.Dataset, tmp_path: Path) -> None:
    doubtful.bp.to_netcdf(tmp_path / "glass.nc")
    assert diagnostics(xbp.open_dataset(tmp_path / "glass.nc")) == [DOUBT]


def test_they_are_printed(doubtful: xr.Dataset) -> None:
    assert (
        repr(doubtful.bp).splitlines()[-1]
        == "  warning: the atoms drift by 1.1 angstrom/ps (fix: take it off)"
    )


def test_a_code_stands_once() -> None:
    later = Diagnostic("moving_frame", "info", "taken off")
    attrs = diagnosed(
        diagnosed({}, DOUBT), later, Diagnostic("other", "info", "a line\nof two")
    )
    assert [d.code for d in diagnostics(xr.DataArray(0.0, attrs=attrs))] == [
        "moving_frame",
        "other",
    ]
    assert diagnosed({}) == {}


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[1]",
        '{"code": "a"}',
        '{"code": 1, "severity": "", "message": ""}',
        3,
    ],
)
def test_what_others_wrote_there_is_left_out(text: object) -> None:
    assert diagnostics(xr.DataArray(0.0, attrs={ATTRIBUTE: text})) == []


def test_every_code_is_on_the_page_of_diagnostics() -> None:
    package = Path(xbp.__file__).parent
    page = package.parent / "docs" / "reference" / "diagnostics.md"
    if not page.exists():
        pytest.skip("not in a clone")
    listed = set(re.findall(r"`(\w+)`", page.read_text()))
    found = set()
    for path in package.rglob("*.py"):
        found |= set(re.findall(r'Diagnostic\(\s*"(\w+)",', path.read_text()))
    assert found - {"coarse_bins"} <= listed  # that one is of a docstring
