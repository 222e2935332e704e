"""What the embedded glasses show, as docs/glasses.md says it."""

from __future__ import annotations

import numpy as np
import pytest

import xbp
from xbp.data.make_model_glasses import ANALYSIS
from xbp.errors import FileFormatError

CLOSE_PACKED = ("kob_andersen", "inverse_power", "CuZr", "ZrCuAl")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CLOSE_PACKED, "SiO2"])
def test_intensity_follows_the_structure_factor_at_low_energy_only(name: str) -> None:
    spectra = xbp.tutorial.open_datatree(name)["spectra"].to_dataset()
    *_, Q_range, _ = ANALYSIS[name]
    r = spectra.bp.to_bqe().bp.correlation_map(spectra.Sq, Q_range).pearson_r
    box = float(spectra.box_phonon)
    assert float(r.interp(E=box)) > 0.9
    assert float(r.interp(E=10 * box)) < 0.3
    assert float(r.min()) < -0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", CLOSE_PACKED)
def test_shear_strain_follows_it_too_and_coordination_does_not(name: str) -> None:
    fields = xbp.tutorial.open_datatree(name)["fluctuations"]
    r = {
        str(f): float(v)
        for f, v in zip(fields.field.values, fields.r_at_boson_peak.values, strict=True)
    }
    assert r["shear_strain"] > 0.65
    assert abs(r["coordination"]) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", CLOSE_PACKED)
def test_the_maximum_is_the_phonon_of_the_box(name: str) -> None:
    spectra = xbp.tutorial.open_datatree(name)["spectra"].to_dataset()
    *_, E_range, Q_range, _ = ANALYSIS[name]
    average = spectra.bp.to_bqe().bp.cut_Q(Q_range)
    peak = average.bp.boson_peak(E_range=E_range)
    assert str(peak.status.values) in ("box phonon", "maximum at edge")
    assert spectra.status == peak.status
    assert np.isnan(float(peak.energy))
    inside = average.B.sel(E=slice(*E_range))
    assert float(inside.E[inside.argmax("E")]) == pytest.approx(
        float(spectra.box_phonon), rel=0.25
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CLOSE_PACKED, "SiO2"])
def test_harmonic_and_moving_agree_around_it(name: str) -> None:
    tree = xbp.tutorial.open_datatree(name)
    md, harmonic = tree["spectra"].to_dataset(), tree["harmonic"].to_dataset()
    box = float(md.box_phonon)
    near = harmonic.sel(E=slice(0.9 * box, 4 * box))
    g, std = (np.interp(near.E, md.E, md[v]) for v in ("g", "g_std"))
    pulls = (near.g - g) / np.hypot(near.g_std, std)
    assert float(np.abs(pulls).mean()) < 1.2


def test_a_slower_quench_takes_soft_modes_away() -> None:
    series = xbp.tutorial.open_datatree("kob_andersen_series")[
        "cooling_rate"
    ].to_dataset()
    assert series.cooling_rate.values.tolist() == [1e10, 1e11, 1e12]
    assert (series.status != "ok").all()
    assert series.E_BP.isnull().all()
    level = series.g / series.E**2
    assert (np.diff(level.sel(E=0.4, method="nearest")) > 5e-3).all()
    assert (
        float(
            level.sel(E=1.5, method="nearest").std()
            / level.sel(E=1.5, method="nearest").mean()
        )
        < 0.03
    )
    # The same again from the embedded S(Q,E), whose numbers are single.
    again = series.bp.to_bqe().bp.cut_Q((1.4, 4.2)).bp.boson_peak(E_range=(0.25, 1.5))
    assert (again.status == series.status).all()


def test_the_gap_of_the_box_moves_and_the_correlation_does_not() -> None:
    series = xbp.tutorial.open_datatree("kob_andersen_series")["n_atoms"].to_dataset()
    assert series.n_atoms.values.tolist() == [4000, 8000, 16000]
    assert (np.diff(series.box_phonon) < 0).all()
    assert (series.status != "ok").all()
    # A fit that ignores the box follows it.
    ignored = series.bp.to_bqe().bp.cut_Q((1.4, 4.2)).drop_vars("box_phonon")
    ignored.B.attrs["origin"] = "measurement"
    gap = ignored.bp.boson_peak(E_range=(0.25, 1.5)).energy
    assert (np.diff(gap) < 0).all()
    r = series.bp.to_bqe().bp.correlation_map(series.Sq, (1.4, 4.2)).pearson_r
    for E in (0.5, 2.0, 4.0, 6.0):
        assert float(np.ptp(r.interp(E=E).values)) < 0.05


def test_an_unknown_glass_is_refused() -> None:
    with pytest.raises(FileFormatError, match="name='water'"):
        xbp.tutorial.open_datatree("water")
