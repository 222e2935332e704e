"""Recipes: the same chain as in Python, checked first, with files at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp import recipe
from xbp.core.errors import ArgumentsError, FileFormatError, RangeError, XbpError


@pytest.fixture(scope="module")
def measured() -> xr.Dataset:
    """A glass at 280 K with its elastic line, over both signs of E, and errors."""
    Q, E = np.arange(1, 6, 0.5), np.arange(-15, 15.1, 0.5)
    options = {"energy": "5 meV", "width": "4 meV", "T": "280 K"}
    one = xbp.models.dynamic_structure_factor(Q, E, u2="0.01 angstrom^2", **options)
    line = xbp.models.elastic_line(Q, E, u2="0.01 angstrom^2", resolution="1 meV")
    S = (one.S + 50 * float(one.S.max()) * line.S).assign_attrs(one.S.attrs)
    Sq = xr.DataArray(
        1 + 0.5 * np.cos(Q), {"Q": one.Q}, name="Sq",
        attrs={"quantity": "static_structure_factor", "units": "1"},
    )  # fmt: skip
    errors = {"S_std": 0.01 * S, "Sq_std": 0.1 * Sq}
    return one.drop_vars("u2").assign(S=S, Sq=Sq, **errors)


def written(measured: xr.Dataset, folder: Path, steps: str) -> Path:
    measured.bp.to_netcdf(folder / "s.nc")
    path = folder / "chain.toml"
    path.write_text(f'[data.glass]\npath = "s.nc"\n{steps}')
    return path


@pytest.mark.slow
def test_every_step_of_the_chain_in_python(
    measured: xr.Dataset, tmp_path: Path
) -> None:
    """The line is masked, both sides folded, and u² taken from the line."""
    steps = """
    [[step]]
    do = "debye_waller"
    name = "line"

    [[step]]
    on = "glass"
    do = "mask_elastic"
    resolution = "1 meV"
    widths = 1.5

    [[step]]
    do = "fold"

    [[step]]
    do = "to_bqe"
    u2 = "@line.u2"
    u2_std = "@line.u2_std"
    name = "b"

    [[step]]
    do = "scale_to_sq"
    sq = "@glass.Sq"
    name = "scaled"
    """
    done = recipe.run(written(measured, tmp_path, steps)).results
    line = measured.bp.debye_waller()
    folded = measured.bp.mask_elastic("1 meV", widths=1.5).bp.fold()
    b = folded.bp.to_bqe(u2=line.u2, u2_std=line.u2_std)
    np.testing.assert_array_equal(done["b"].B, b.B)
    # S(Q) comes with its errors.
    scaled = b.bp.scale_to_sq(measured[["Sq", "Sq_std"]])
    np.testing.assert_array_equal(done["scaled"].scale_std, scaled.scale_std)


@pytest.mark.slow
def test_figures_are_steps_too(measured: xr.Dataset, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    step = '[[step]]\ndo = "plot.map"\nE_range = [1, 9]\nfigure = "map.svg"\n'
    done = recipe.run(written(measured, tmp_path, step))
    assert done.files == [tmp_path / "map.svg"]
    assert b"<svg" in (tmp_path / "map.svg").read_bytes()
    path = tmp_path / "chain.toml"
    path.write_text('[data.glass]\npath = "s.nc"\n[[step]]\ndo = "plot.map"\n')
    with pytest.raises(ArgumentsError, match="no file for its figure"):
        recipe.run(path)


FIRST = '[[step]]\ndo = "to_gdos"\nu2 = 0.01\nsave = "g.nc"\n'
FIRST += 'figure = "g.png"\n[[step]]\n'
TABLE = 'do = "kinematic_limits"\nincident_energy = "60 meV"\nfigure = "k.png"\n'


@pytest.mark.parametrize(
    ("steps", "kind", "said"),
    [
        # While it computes, and while it draws what has no figure.
        (f"{FIRST}do = 'cut_E'\nE = '90 meV'\n", RangeError, "step 2, cut_E: "),
        (f"{FIRST}on = 'glass'\n{TABLE}", XbpError, "step 2, kinematic_limits: no fig"),
        (
            f"{FIRST}do = 'to_csv'\npath = 'g.nc'\n",
            ArgumentsError,
            "another step writes",
        ),
        (f"{FIRST}do = 'diagnostics'\nsave = 'd.csv'\n", ArgumentsError, "is a list"),
        (f"{FIRST}do = 'cut_E'\nE = 5\nsave = 'old.nc'\n", FileFormatError, "exists"),
    ],
)
def test_a_recipe_that_fails_leaves_no_files(
    measured: xr.Dataset, tmp_path: Path, steps: str, kind: type[XbpError], said: str
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "old.nc").write_text("precious")
    path = written(measured, tmp_path, steps)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind, match=said):
        recipe.run(path)
    assert sorted(tmp_path.iterdir()) == before
