"""The comparison of fields tells what the separate steps tell, and draws it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.analysis.fluctuations import _row, _together
from xbp.errors import QuantityError

ARGUMENTS = {"window": "2.5 ps", "E_max": "40 meV"}
RANGES = {
    "E_range": ("3 meV", "14 meV"),
    "Q_range": ("1.2 1/angstrom", "3.5 1/angstrom"),
}


@pytest.fixture(scope="module")
def solid() -> xr.Dataset:
    """A cubic crystal of independent oscillators at 8 meV."""
    n = np.arange(5)
    sites = 2.5 * np.stack(np.meshgrid(n, n, n, indexing="ij"), axis=-1).reshape(-1, 3)
    moving = xbp.md.models.einstein_solid(
        125,
        400,
        cell=12.5,
        energy="8 meV",
        T=300,
        mass=60,
        time_step="25 fs",
        element="Cu",
        rng=1,
    )
    return moving.assign(
        position=moving.position
        - moving.position.mean("time")
        + xr.DataArray(sites, dims=("atom", "xyz"))
    )


@pytest.fixture(scope="module")
def table(solid: xr.Dataset) -> xr.Dataset:
    return xbp.compare_fluctuations(
        solid,
        4,
        0.2,
        fields=["volumetric_strain", "shear_strain"],
        cutoff=3,
        energy="8 meV",
        box_phonon="3 meV",
        **ARGUMENTS,
        **RANGES,
    )


@pytest.mark.slow
def test_every_column_is_that_of_its_own_step(
    solid: xr.Dataset, table: xr.Dataset
) -> None:
    sqe = solid.bp.dynamic_structure_factor(4, 0.2, **ARGUMENTS)
    for name in ("volumetric_strain", "shear_strain"):
        own = solid.bp.fluctuation_spectrum(name, 4, 0.2, cutoff=3, **ARGUMENTS)
        omega, row = own[["Omega", "Omega_std"]], table.sel(field=name)
        # Fields are transformed together there, in single precision.
        small = 1e-9 * float(own.Omega.max())
        np.testing.assert_allclose(row.Omega, own.Omega, rtol=1e-6, atol=small)
        local = own[["chi", "chi_std"]].bp.boson_peak(E_range=RANGES["E_range"])
        assert float(row.chi_energy) == pytest.approx(float(local.energy), rel=1e-6)
        assert str(row.chi_status.values) == str(local.status.values) == "ok"
        flat = omega.bp.boson_peak(E_range=RANGES["E_range"]).bp.dispersion(
            RANGES["Q_range"]
        )
        assert float(row.mean_energy) == pytest.approx(
            float(flat.mean_energy), rel=1e-5
        )
        assert float(row.slope) == pytest.approx(float(flat.slope), abs=1e-5)
        assert int(row.n_peaks) == int(flat.n_points)
        assert int(row.n_Q) == int(sqe.sel(Q=slice(1.2, 3.5)).sizes["Q"])
        r = omega.bp.correlation_map(sqe.Sq, RANGES["Q_range"]).pearson_r
        # Where there is nothing but rounding, r is that of the rounding.
        seen = own.Omega.max("Q") > 1e-4 * own.Omega.max()
        np.testing.assert_allclose(row.pearson_r[seen], r[seen], atol=1e-5)
        assert seen.sum() > 5
        assert float(row.r_at_boson_peak) == pytest.approx(
            float(r.interp(E=8)), abs=1e-5
        )
    # The oscillators know one energy only.
    assert table.chi_energy.values == pytest.approx([8, 8], abs=0.2)
    np.testing.assert_allclose(table.Sq, sqe.Sq, rtol=1e-6)
    np.testing.assert_allclose(table.B, sqe.bp.to_bqe().B, rtol=1e-6)
    assert set(table.phonon_energy.branch.values) == {"longitudinal", "transverse"}
    assert (
        '"operation": "compare_fluctuations"' in table.attrs["history"].splitlines()[-1]
    )


@pytest.mark.slow
def test_the_boson_peak_is_found_where_it_is_not_said(solid: xr.Dataset) -> None:
    found = solid.bp.compare_fluctuations(
        4, 0.5, fields=["shear_strain"], cutoff=3, box_phonon=0, **ARGUMENTS, **RANGES
    )
    assert float(found.E_BP) == pytest.approx(8, abs=0.3)
    assert found.E_BP_status.item() == "ok"
    assert repr(found.bp).startswith("compare fluctuations: E_BP ")


@pytest.mark.slow
def test_without_a_boson_peak_the_spectra_are_kept(solid: xr.Dataset) -> None:
    given = {
        "fields": ["shear_strain"],
        "cutoff": 3,
        "E_range": (1, 5),
        "window": "5 ps",
        "E_max": "40 meV",
    }
    found = solid.bp.compare_fluctuations(4, 0.5, **given)
    assert found.E_BP_status.item() not in ("ok", "given")
    assert np.isnan(found.E_BP)
    assert np.isnan(found.r_at_boson_peak).all()
    assert np.isnan(found.r_at_boson_peak_std).all()
    assert found.E_BP_status.item() in repr(found.bp)
    # The analysis goes on from the table.
    at_8 = solid.bp.compare_fluctuations(4, 0.5, energy="8 meV", **given)
    np.testing.assert_allclose(
        found.pearson_r.interp(E=8), at_8.r_at_boson_peak, atol=1e-9
    )
    assert float(
        found.B.bp.cut_Q((1.2, 3.5)).bp.boson_peak(E_range=(3, 14), box_phonon=0).energy
    ) == pytest.approx(8, abs=0.3)
    xr.testing.assert_identical(found.Omega.drop_attrs(), at_8.Omega.drop_attrs())
    assert "E_BP 8 meV" in repr(at_8.bp)
    figure = found.bp.plot.fluctuations()
    scales = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    of_b, of_omega = (ax.get_xlabel() for ax in scales)
    assert of_b.startswith("$B(Q,E)$")
    assert of_omega == r"$\Omega(Q,E)$ (meV$^{-1}$), shear strain"
    found.bp.plot.field_correlations().figure.draw_without_rendering()
    plt.close("all")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"energy": 50}, "is beyond the spectra"),
        ({"Q_range": (1.2, 4.5)}, "reaches beyond the data"),
        ({"energy": 8, "Q_range": (7, 9)}, "no data in"),
        ({"energy": 8, "Q_range": (1.2, 1.5)}, "known at 1 Q within"),
        ({"E_range": (50, 60)}, "no data in"),
        ({"weights": "none"}, "weights"),
        ({"fields": ["coordinatio"]}, "fields='coordinatio'"),
        ({"T": -3}, "T"),
    ],
)
def test_arguments_are_refused_before_anything_is_computed(
    solid: xr.Dataset, wrong: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computed(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("a spectrum was computed")

    for module in ("fluctuations", "spectra"):
        monkeypatch.setattr(f"xbp.md.{module}.summarize", computed)
    with pytest.raises(xbp.errors.XbpError, match=said):
        solid.bp.compare_fluctuations(
            4, 0.5, **{"fields": "shear_strain", "cutoff": 3, **ARGUMENTS, **wrong}
        )


@pytest.mark.slow
def test_the_table_is_archived(table: xr.Dataset, tmp_path: Path) -> None:
    table.bp.to_netcdf(tmp_path / "table.nc")
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "table.nc"), table)


@pytest.mark.slow
def test_figures(table: xr.Dataset) -> None:
    figure = table.bp.plot.fluctuations(E_range=(1, 20))
    maps = [ax for ax in figure.axes if ax.collections and not ax.get_label()]
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    r = float(table.r_at_boson_peak.sel(field="shear_strain"))
    assert bars[2].get_xlabel() == (
        f"$\\Omega(Q,E)$ (meV$^{{-1}}$), shear strain: $r$ = {r:.2f}".replace("-", "−")
    ).replace("^{−1}", "^{-1}")
    drawn = maps[2].collections[0].get_array().reshape(-1, table.sizes["Q"])
    inside = (table.E >= 1) & (table.E <= 20)
    np.testing.assert_array_equal(
        drawn, table.Omega.sel(field="shear_strain").values[:, inside].T
    )
    others = [ax for ax in figure.axes if ax not in maps and ax not in bars]
    laid_over = [ax.lines[-1] for ax in others if ax.lines]
    assert len(laid_over) == 3
    np.testing.assert_array_equal(laid_over[0].get_ydata(), table.Sq)
    assert maps[0].get_ylabel() == "$E$ (meV)"
    figure.draw_without_rendering()
    named = [
        [text.get_text() for text in ax.get_legend().get_texts()]
        for ax in figure.axes
        if ax.get_legend() is not None
    ]
    assert named == [
        ["$S(Q)$", "given $E$", "first phonon of the box"],
        ["longitudinal phonons"],
        ["transverse phonons"],
    ]
    assert all(ax.get_xlabel() == "$Q$ (Å$^{-1}$)" for ax in maps)
    assert len(bars) == 3
    assert len({ax.xaxis.label.get_size() for ax in bars}) == 1
    found = (
        table.assign(E_BP_status="ok").drop_vars("phonon_energy").bp.plot.fluctuations()
    )
    named = [ax.get_legend() for ax in found.axes if ax.get_legend() is not None]
    assert [text.get_text() for text in named[0].get_texts()] == [
        "$S(Q)$",
        r"$E_\mathrm{BP}$",
        "first phonon of the box",
    ]
    assert len(named) == 1
    # Of four panels the first column is two deep.
    four = xr.concat(
        [table, table.isel(field=[0]).assign_coords(field=["d2min"])],
        "field",
        data_vars="minimal",
    )
    four = four.assign(E_BP=table.E_BP.copy(data=3.0)).bp.plot.fluctuations()
    # To four times the boson peak: above it the maps of a soft glass are empty.
    assert four.axes[0].get_ylim()[1] == pytest.approx(12, abs=float(table.E[1]))
    low = [ax.get_xlabel() for ax in four.axes if ax.collections and not ax.get_label()]
    assert low == ["", "", "$Q$ (Å$^{-1}$)", "$Q$ (Å$^{-1}$)"]
    ax = table.bp.plot.field_correlations()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "$B(Q,E)$",
        "volumetric strain",
        "shear strain",
        "first phonon of the box",
    ]
    (drawn,) = (line for line in ax.lines if line.get_label() == "shear strain")
    np.testing.assert_array_equal(
        drawn.get_ydata(), table.pearson_r.sel(field="shear_strain")[1:]
    )
    with pytest.raises(QuantityError, match="compare_fluctuations"):
        xbp.plot.fluctuations(xr.Dataset())
    plt.close("all")


def test_ranges_that_are_none_are_refused(solid: xr.Dataset) -> None:
    for wrong in ({"Q_range": 5}, {"Q_range": (8, 9)}, {"E_range": (8, 1)}):
        with pytest.raises(xbp.errors.XbpError):
            solid.bp.compare_fluctuations(
                4, 0.5, fields="shear_strain", cutoff=3, energy=8, **ARGUMENTS, **wrong
            )
    with pytest.raises(QuantityError, match="fields=5"):
        solid.bp.local_fields(5)


@pytest.mark.slow
def test_the_phonon_of_the_box_is_drawn_and_one_field_is_a_curve(
    table: xr.Dataset,
) -> None:
    assert float(table.box_phonon) == 3
    figure = table.bp.plot.fluctuations()
    for ax in figure.axes[:3]:
        assert "first phonon of the box" in [line.get_label() for line in ax.lines]
    assert table.chi.bp.plot.cut().get_ylabel().startswith("$χ(E)$")
    plt.close("all")


def test_the_edges_of_maxima_name_their_fields() -> None:
    E, Q = np.arange(0.5, 20, 0.5), np.arange(1.0, 5.0, 0.25)
    axes = {"Q": ("Q", Q, {"units": "1/angstrom"}), "E": ("E", E, {"units": "meV"})}
    S = 1 + np.exp(-((Q - 3) ** 2))
    rows = {}
    for field, energy in (("low", 2.0), ("inside", 8.0), ("also low", 2.0)):
        chi = np.exp(-(np.log(E / energy) ** 2) / 0.5)
        spectrum = xr.Dataset(
            {
                "Omega": (("Q", "E"), S[:, None] * chi),
                "chi": ("E", chi),
                "variance": 1.0,
            },
            axes,
        )
        for name, quantity in (
            ("Omega", "normalized_fluctuation_spectrum"),
            ("chi", "local_fluctuation_spectrum"),
        ):
            spectrum[name].attrs |= {"quantity": quantity, "units": "1/meV"}
        sqe = xr.Dataset({"Sq": ("Q", S)}, {"Q": axes["Q"]})
        sqe.Sq.attrs |= {"quantity": "static_structure_factor", "units": "1"}
        rows[field] = _row(spectrum, sqe, 8.0, (4, 15), None, 20.0)
    (found,) = (d for d in _together([], rows) if d.code == "maximum_at_edge")
    assert found.message == (
        "low, also low: the values are largest at the beginning of E_range, 4 meV"
    )


@pytest.mark.slow
@pytest.mark.parametrize(("fields", "grid"), [(1, (1, 2)), (5, (2, 3)), (6, (2, 4))])
def test_few_places_of_the_figure_are_empty(fields: int, grid: tuple[int, int]) -> None:
    table = xbp.tutorial.open_dataset("zr46cu46al8_fluctuations")
    figure = table.isel(field=slice(0, fields)).bp.plot.fluctuations()
    shown = figure.axes[0].get_subplotspec().get_topmost_subplotspec()
    assert shown.get_gridspec().get_geometry() == grid
