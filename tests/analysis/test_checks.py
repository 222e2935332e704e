"""What a filter, the beginning of the data or a sound wave makes is no boson peak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.special import erf

import xbp
from xbp.analysis.checks import _part_below, first_maximum, modes_below
from xbp.errors import QuantityError, XbpError
from xbp.fitting.shapes import Method
from xbp.models.lineshapes import lognormal

NUMBERS = (
    "energy",
    "energy_std",
    "height",
    "height_std",
    "width",
    "width_std",
    "relative_residual",
)
RANGES = (None, ("25 1/cm", "150 1/cm"))
UNCHECKED = "longitudinal_phonon_unchecked"


def doubts(table: xr.Dataset) -> list[str]:
    """Return the codes of diagnostics, without those of the shape and place of a peak."""
    others = {"poor_fit", "maximum_at_edge"}
    return [d.code for d in table.bp.diagnostics() if d.code not in others]


def raman(path: Path, coupling: str) -> xr.Dataset:
    columns = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
    spectrum = xbp.open_dataset(
        path, **({} if path.name.startswith("labram") else columns)
    )
    return spectrum.bp.to_reduced_raman(T="295 K", coupling=coupling)


def assert_refused(peak: xr.Dataset, status: str) -> None:
    assert str(peak.status.values) == status
    for name in NUMBERS:
        assert np.isnan(peak[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lognormal", "quadratic", "gaussian"])
@pytest.mark.parametrize("limits", RANGES)
@pytest.mark.parametrize(
    ("name", "coupling"),
    [
        ("ac9025.txt", "linear"),
        ("VG175_.txt", "constant"),
        ("VG175_.txt", "linear"),
        ("PST_WiICV532_Z050OP02_075_800msx10.txt", "constant"),
        ("PST_WiICV532_Z050OP02_075_800msx10.txt", "linear"),
    ],
)
def test_the_edge_of_a_filter_in_a_measured_spectrum_is_no_peak(
    shared_data: Path,
    name: str,
    coupling: str,
    limits: tuple[str, str] | None,
    method: str,
) -> None:
    peak = raman(shared_data / "doors" / name, coupling).bp.boson_peak(method, limits)
    assert_refused(peak, str(peak.status.values))
    assert peak.status != "ok"


@pytest.mark.parametrize(
    ("name", "coupling", "method", "energy", "std"),
    [
        ("raman/ae0202.txt", "constant", "lognormal", 63.52, 1.87),
        ("raman/ae0202.txt", "constant", "quadratic", 60.90, 1.06),
        ("raman/BD1469.txt", "constant", "lognormal", 65.48, 1.28),
        ("raman/BD1469.txt", "constant", "quadratic", 66.97, 1.18),
        ("raman/labram_wn.txt", "constant", "lognormal", 65.71, 6.11),
        ("raman/labram_wn.txt", "linear", "lognormal", 62.72, 5.38),
        ("doors/ac9025.txt", "constant", "lognormal", 55.87, 3.03),
    ],
)
def test_measured_boson_peaks_stay(
    shared_data: Path,
    name: str,
    coupling: str,
    method: Method,
    energy: float,
    std: float,
) -> None:
    peak = raman(shared_data / name, coupling).bp.boson_peak(method)
    assert str(peak.status.values) == "ok"
    assert (float(peak.energy), float(peak.energy_std)) == (
        pytest.approx(energy, abs=0.01),
        pytest.approx(std, abs=0.01),
    )


def through_filter(
    edge: float, width: float, step: float, dark: float, coupling: str
) -> xr.Dataset:
    """Return B of fluorescence seen through a filter that opens at `edge`."""
    E = np.arange(8.0, 400, step)
    light = (
        1000 * np.exp(-E / 300) * 0.5 * (1 + erf((E - edge) / (np.sqrt(2) * width)))
        + dark
    )
    counts = np.random.default_rng(3).poisson(light).astype(float)
    spectrum = xbp.new_dataset(
        "raman_intensity",
        counts,
        units="1",
        coords={"E": (E, "1/cm")},
        temperature="295 K",
    )
    return spectrum.bp.to_reduced_raman(coupling=coupling)


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["constant", "linear"])
@pytest.mark.parametrize("dark", [0.0, 20.0, 200.0])
@pytest.mark.parametrize("step", [0.7, 2.0, 4.8])
@pytest.mark.parametrize(("edge", "width"), [(30, 1.0), (50, 4.0), (90, 5.0)])
def test_edges_of_other_filters(
    edge: float, width: float, step: float, dark: float, coupling: str
) -> None:
    b = through_filter(edge, width, step, dark, coupling)
    for limits in (
        None,
        ("10 1/cm", "200 1/cm"),
        (f"{edge - 2 * width} 1/cm", "200 1/cm"),
    ):
        assert str(b.bp.boson_peak(E_range=limits).status.values) != "ok"


def wing_through_notch(
    width: float, wing: float, power: float, coupling: str, band: float = 50.0
) -> xr.Dataset:
    """Return B of a band beside a Rayleigh wing, behind a notch filter up to 10 1/cm."""
    E = np.arange(2.0, 300, 1.0)
    thermal = E / (1 - np.exp(-E / (295 * 0.69503)))
    light = np.exp(-(np.log(E / band) ** 2) / 0.5) * thermal / band
    light += wing * (10 / E) ** power
    light *= 0.5 * (1 + erf((E - 10) / (np.sqrt(2) * width)))
    counts = np.random.default_rng(3).poisson(1e4 * light).astype(float)
    spectrum = xbp.new_dataset(
        "raman_intensity",
        counts,
        units="1",
        coords={"E": (E, "1/cm")},
        temperature="295 K",
    )
    return spectrum.bp.to_reduced_raman(coupling=coupling)


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["constant", "linear"])
@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("wing", [1.0, 3.0, 10.0])
@pytest.mark.parametrize("width", [0.5, 1.0, 2.0, 2.5])
def test_a_notch_filter_on_a_rayleigh_wing_is_no_peak(
    width: float, wing: float, power: float, coupling: str
) -> None:
    b = wing_through_notch(width, wing, power, coupling)
    for method in ("lognormal", "quadratic", "gaussian"):
        peak = b.bp.boson_peak(method)
        if str(peak.status.values) == "ok":
            assert float(peak.energy) > 32, method


def test_where_a_filter_may_end_is_an_argument() -> None:
    b = wing_through_notch(2.0, 3.0, 2.0, "linear")
    assert_refused(b.bp.boson_peak(), "steep edge")
    assert_refused(b.bp.boson_peak(filter_end="5 meV"), "steep edge")
    assert float(b.bp.boson_peak(filter_end=0).energy) == pytest.approx(11, abs=0.5)
    # Only light passes filters, and it is an attribute that says so.
    b.B.attrs.pop("history")
    assert_refused(b.bp.boson_peak(), "steep edge")
    del b.B.attrs["probe"]
    assert str(b.bp.boson_peak().status.values) == "ok"
    low = wing_through_notch(0.5, 0.0, 1.0, "constant", band=30.0)
    assert float(low.bp.boson_peak().energy) == pytest.approx(30, abs=1)


@pytest.mark.slow
def test_the_limit_of_an_edge_is_an_argument() -> None:
    b = through_filter(50, 4.0, 2.0, 20.0, "constant")
    assert_refused(b.bp.boson_peak(), "steep edge")
    loose = b.bp.boson_peak(edge_width=0)
    assert str(loose.status.values) == "ok"
    assert 50 < float(loose.energy) < 100
    assert (
        str(b.bp.scan_boson_peak(methods=["lognormal"]).status.values) == "steep edge"
    )
    assert (
        str(b.bp.scan_boson_peak(methods=["lognormal"], edge_width=0).status.values)
        == "ok"
    )
    with pytest.raises(QuantityError, match="edge_width=-1"):
        b.bp.boson_peak(edge_width=-1)


def test_data_that_begin_at_the_top_do_not_hold_the_peak() -> None:
    def peak_from(first: float, limits: tuple[float, float] | None) -> xr.Dataset:
        E = np.arange(first, 25, 0.05)
        b = xbp.new_dataset("reduced_dos", lognormal(E, 5.5, 1.0, 0.6), units="1", std=np.full(E.size, 1e-3),
                            coords={"E": (E, "meV")})  # fmt: skip
        return b.bp.boson_peak(E_range=limits)

    for limits in (None, (2, 15)):
        assert_refused(peak_from(4.6, limits), "maximum at edge")
        assert float(peak_from(4.0, limits).energy) == pytest.approx(5.5, abs=0.01)
    # A range that begins at the top, of data that do not, is the user's.
    assert float(peak_from(1.0, (4.6, 15)).energy) == pytest.approx(5.5, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.4, 0.6, 0.9])
@pytest.mark.parametrize("begin", [0.3, 2.0])
@pytest.mark.parametrize("elastic", [0.0, 5.0])
def test_boson_peaks_of_any_width_are_no_edges(
    sigma: float, begin: float, elastic: float
) -> None:
    E = np.arange(begin, 30, 0.3)
    shape = lognormal(E, 5.5, 1.0, sigma) + elastic * np.exp(-((E / 1.0) ** 2))
    draws = shape + 0.01 * np.random.default_rng(0).standard_normal((100, E.size))
    b = xbp.new_dataset("reduced_dos", draws, units="1", std=np.full(draws.shape, 0.01),
                        coords={"run": (np.arange(100), "1"), "E": (E, "meV")})  # fmt: skip
    for data in (b, b.B):
        assert (data.bp.boson_peak(E_range=(2, 15)).status == "ok").all()


@pytest.mark.slow
def test_the_longitudinal_phonon_is_told_by_the_sq_of_the_data(
    unmarked: xr.Dataset,
) -> None:
    glass = unmarked
    b = glass.bp.to_bqe()
    peaks = b.bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    half = float(first_maximum(glass.Sq)) / 2
    assert half == pytest.approx(1.36, abs=0.02)
    low = peaks.sel(Q=slice(0, half))
    assert (low.status == "longitudinal phonon").sum() > 4
    assert (low.status != "ok").all()
    for name in NUMBERS:
        assert low[name].isnull().all()
    assert UNCHECKED not in doubts(peaks)
    bare = b[["B", "B_std"]].bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    assert UNCHECKED in doubts(bare)
    assert "longitudinal" in repr(bare.bp)
    seen = slice(2.1, 8.5)
    xr.testing.assert_equal(peaks.energy.sel(Q=seen), bare.energy.sel(Q=seen))
    assert (bare.status.sel(Q=slice(0, half)) == "ok").sum() == (
        low.status == "longitudinal phonon"
    ).sum()


@pytest.mark.slow
def test_up_to_where_sound_is_doubted_is_an_argument(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()[["B", "B_std"]]
    cut = b.bp.cut_Q((2.1, 8.5))
    assert doubts(cut.bp.boson_peak(E_range=(1.2, 12))) == []
    found = cut.bp.boson_peak(E_range=(1.2, 12), sound_below="10 1/angstrom")
    assert doubts(found) == ["longitudinal_phonon_unchecked"]
    above = b.sel(Q=slice(2.1, None))
    assert doubts(above.bp.boson_peak(E_range=(1.2, 12))) == []


@pytest.mark.parametrize("value", [None, "abc", np.nan, -1, 1e400, [1, 2]])
@pytest.mark.parametrize("name", ["edge_width", "sound_below"])
def test_absurd_limits_are_refused(glass: xr.Dataset, name: str, value: object) -> None:
    with pytest.raises(XbpError, match=name):
        glass.bp.to_bqe().bp.boson_peak(**{name: value})


@pytest.mark.slow
def test_the_sq_of_the_argument_in_other_units(unmarked: xr.Dataset) -> None:
    glass = unmarked[["S", "S_std", "Sq", "Sq_std"]]
    b = glass.bp.to_bqe()
    carried = b.bp.boson_peak(E_range=("1.2 meV", "12 meV"))
    bare = b[["B", "B_std"]]
    given = bare.bp.boson_peak(
        E_range=("1.2 meV", "12 meV"), sq=glass.Sq.bp.convert(Q="1/nm")
    )
    assert (carried.status == given.status).all()
    assert UNCHECKED not in doubts(given)
    # One that does not hold its first maximum tells nothing.
    late = bare.bp.boson_peak(
        E_range=("1.2 meV", "12 meV"), sq=glass.Sq.sel(Q=slice(3.5, None))
    )
    assert UNCHECKED in doubts(late)
    with pytest.raises(QuantityError):
        b.bp.boson_peak(sq=b.B)


def test_the_first_maximum_is_no_ripple_and_not_the_highest() -> None:
    Q = np.arange(0.3, 12, 0.05)
    silica = (
        1
        - np.exp(-Q)
        + 0.6 * np.exp(-(((Q - 1.5) / 0.3) ** 2))
        + np.exp(-(((Q - 5.2) / 0.7) ** 2))
    )
    noisy = silica + 0.01 * np.random.default_rng(1).standard_normal((20, Q.size))
    sq = xbp.new_dataset(
        "static_structure_factor",
        noisy,
        units="1",
        coords={"run": (np.arange(20), "1"), "Q": (Q, "1/angstrom")},
    )
    np.testing.assert_allclose(first_maximum(sq), 1.5, atol=0.15)
    assert first_maximum(sq).dims == ("run",)


STATUSES_OF_A_PEAK = {
    "steep edge": lambda: through_filter(
        50, 4.0, 2.0, 20.0, "constant"
    ).bp.boson_peak(),
    "maximum at edge": lambda: _lognormal_from(4.6).bp.boson_peak(E_range=(2, 15)),
    "no maximum": lambda: _of(1 / np.arange(1.0, 25, 0.25)).bp.boson_peak(),
    "no data": lambda: _of(np.full(96, np.nan)).bp.boson_peak(),
    "box phonon": lambda: (
        _lognormal_from(1.0)
        .assign_coords(box_phonon=((), 5.0, {"units": "meV"}))
        .bp.boson_peak(E_range=(2, 15))
    ),
}


def _of(values: np.ndarray) -> xr.Dataset:
    E = np.arange(1.0, 25, 0.25)
    return xbp.new_dataset(
        "reduced_dos",
        values,
        units="1",
        std=np.full(E.size, 1e-3),
        coords={"E": (E, "meV")},
    )


def _lognormal_from(first: float) -> xr.Dataset:
    E = np.arange(first, 25, 0.05)
    return xbp.new_dataset("reduced_dos", lognormal(E, 5.5, 1.0, 0.6), units="1", std=np.full(E.size, 1e-3),
                           coords={"E": (E, "meV")})  # fmt: skip


@pytest.mark.parametrize("status", list(STATUSES_OF_A_PEAK))
def test_a_status_leaves_no_number(status: str) -> None:
    table = STATUSES_OF_A_PEAK[status]()
    assert str(table.status.values) == status
    kept = {"E_low", "E_high", "n_points"}
    for name, column in table.data_vars.items():
        if column.dtype.kind == "f" and name not in kept:
            assert np.isnan(column).all(), name


def test_the_part_of_the_modes_below_an_energy_needs_their_end() -> None:
    x = np.arange(1.0, 21.0)
    ended, going_on = np.where(x <= 15, 1.0, 0.0), np.ones(20)
    part = _part_below(x, np.stack([ended, going_on]), np.array([5.0, 5.0]))
    np.testing.assert_allclose(part, [1 / 3, np.nan])
    # The last three bins show whether it has ended.
    ended[-3] = 0.9
    (part,) = _part_below(x, ended[None], np.array([5.0]))
    assert np.isnan(part)


def test_seven_bins_tell_the_part_of_the_modes_below_an_energy() -> None:
    """g = E² B of 1, 4, 9, 4 and three zeros: 14 of 18 lie up to 3."""
    E = np.arange(1.0, 8.0)
    B = np.array([1.0, 4, 9, 4, 0, 0, 0]) / E**2
    assert modes_below(B[None], np.array([3.0]), E=E)[0] == pytest.approx(14 / 18)
    assert np.isnan(modes_below(B[None, 1:], np.array([3.0]), E=E[1:])[0])


def test_a_wrong_bin_of_one_spectrum_changes_no_other() -> None:
    """g of 12 equal bins: a third lies up to 4; of 8 a half. One of the 12 is wrong."""
    E = np.arange(1.0, 19.0)
    g = np.where(np.array([12.0, 8.0])[:, None] >= E, 1.0, 0.0)
    g[0, 7] = 1000.0
    found = modes_below(g / E**2, np.array([4.0, 4.0]), E=E)
    np.testing.assert_allclose(found, [4 / 12, 4 / 8])
