"""The embedded measured glasses: what their tables say, and where they come from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.data import make_silicates_raman
from xbp.data.make_bmg_lrmecs import table

SHARED = Path(
    os.environ.get("XBP_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
)
FILES = [SHARED / "ins" / f"{n}_LRMECS_Ei78.nxspe" for n in ("bmg", "vanadium")]

LIGHT = [SHARED / "raman" / name for name in ("ae0202.txt", "BD1469.txt")]


@pytest.fixture(scope="module")
def measured() -> xr.Dataset:
    return xbp.tutorial.open_dataset("bmg_lrmecs")


def test_its_structure_factor_is_that_of_a_metallic_glass(measured: xr.Dataset) -> None:
    Sq = measured.Sq.dropna("Q")
    assert 2.7 < float(Sq.Q[Sq.sel(Q=slice(2, 4)).argmax("Q") + 7]) < 3.1
    assert float(Sq.sel(Q=slice(5.6, 8.4)).mean()) == pytest.approx(1, abs=1e-6)


def test_its_correlation_with_the_structure_factor(measured: xr.Dataset) -> None:
    """Zero up to 13 meV within errors, negative at 20 to 40; the line makes it 0.26."""
    sq = measured[["Sq", "Sq_std"]]
    r = measured.bp.to_bqe().bp.correlation_map(sq, Q_range=(2.1, 8.5))
    low, high = (r.sel(E=slice(*ends)) for ends in ((7, 13), (21, 35)))
    assert (abs(low.pearson_r) < 1.1 * low.pearson_r_std).all()
    assert (high.pearson_r < -1.8 * high.pearson_r_std).all()
    whole = measured.assign(
        S=(measured.S + measured.line).assign_attrs(measured.S.attrs)
    )
    with_line = whole.bp.to_bqe().bp.correlation_map(sq, Q_range=(2.1, 8.5))
    assert float(with_line.pearson_r.sel(E=7)) == pytest.approx(0.26, abs=0.01)


def test_the_line_ends_at_13_mev(measured: xr.Dataset) -> None:
    part = (measured.line / (measured.S + measured.line)).sel(Q=slice(2.1, 8.5))
    assert float(part.sel(E=7).max()) > 0.3
    assert float(part.sel(E=11).max()) < 0.3
    assert float(abs(part.sel(E=slice(15, None))).max()) == 0


@pytest.mark.slow
@pytest.mark.skipif(not FILES[0].is_file(), reason="the raw spectra are not here")
def test_the_script_makes_the_table(measured: xr.Dataset) -> None:
    made = table(*map(str, FILES))
    for name in ("S", "S_std", "line", "Sq", "Sq_std"):
        np.testing.assert_allclose(made[name], measured[name], rtol=1e-5, atol=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(not FILES[0].is_file(), reason="the raw spectra are not here")
def test_the_page_on_backgrounds(
    measured: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code runs, and gives what its table has, beside the embedded data."""
    page = Path(__file__).parents[1] / "docs" / "howto" / "background.md"
    text = (page.parent / "background.md").read_text()
    monkeypatch.chdir(FILES[0].parent)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(block, names)
    c = names["phonons"].Q_independent
    mean = names["coarse"].S.sel(Q=slice(2.1, 8.5)).mean("Q")
    shares = (c / mean).sel(E=[7, 9, 11, 13, 15, 21, 25, 31]).values.round(2)
    for share in shares:
        assert f"| {share:.2f}(" in text
    assert str(names["peak"].status.values) == "maximum at edge"
    line_off = names["coarse"].bp.to_bqe(u2=measured.u2)
    sq = measured[["Sq", "Sq_std"]]
    r, by_hand = (
        b.bp.correlation_map(sq, Q_range=(2.1, 8.5)).pearson_r.sel(E=slice(7, 32))
        for b in (line_off, measured.bp.to_bqe())
    )
    np.testing.assert_allclose(r, by_hand, atol=0.04)
    assert all(one.severity == "info" for one in names["r"].bp.diagnostics())
    low = names["r"].sel(E=slice(7, 18))
    assert (abs(low.pearson_r) < 1.1 * low.pearson_r_std).all()


@pytest.mark.slow
@pytest.mark.skipif(not FILES[0].is_file(), reason="the raw spectra are not here")
def test_what_goes_with_the_elastic_line() -> None:
    """Of the table of the page on backgrounds; ⟨Q²⟩ of the rows over Q² for its own."""
    glass, vanadium = (
        xbp.open_dataset(file).bp.angle_to_Q("0.2 1/angstrom") for file in FILES
    )
    line: dict[str, Any] = {"E_range": ("-5 meV", "6 meV"), "Q_range": (0.8, 2.4)}
    baseline = ("15 meV", "40 meV")
    own = glass.bp.subtract_elastic(Q_range=(0, "1 1/angstrom"))
    cases = {
        "2.1 %": own,
        "10 %": glass.bp.subtract_elastic(vanadium, **line),
        "-0.6 %": glass.bp.subtract_elastic(vanadium, **line, baseline=baseline),
    }
    for share, data in cases.items():
        said = {d.code: d.message for d in data.bp.diagnostics()}["inelastic_lost"]
        assert said.startswith(f"{share} of the inelastic")
    mean = float(own.inelastic_lost.sel(Q=slice(2.1, 8.5)).mean())
    assert mean == pytest.approx(0.044, abs=5e-4)


def test_raman_spectra_of_silicate_glasses() -> None:
    """Both peak near 7.9 meV for a constant coupling, and at lower energy for another."""
    light = xbp.tutorial.open_dataset("silicates_raman")
    constant, linear = (
        light.bp.to_reduced_raman(coupling=coupling).bp.convert(E="meV")
        for coupling in ("constant", "linear")
    )
    peak = constant.bp.boson_peak(E_range=(3.5, 20))
    assert (peak.status == "ok").all()
    np.testing.assert_allclose(peak.energy, 7.9, atol=0.1)
    low, high = (linear.B.sel(E=at, method="nearest") for at in (4, 7.9))
    assert (low > high).all()
    assert "rampy" in light.attrs["source"]


@pytest.mark.skipif(not LIGHT[0].is_file(), reason="the measured spectra are not here")
def test_the_script_makes_the_table_of_raman_spectra() -> None:
    made = make_silicates_raman.table(*map(str, LIGHT))
    xr.testing.assert_allclose(made, xbp.tutorial.open_dataset("silicates_raman"))
