"""What a hostile reader found: each once gave a wrong number, a foreign error, or changed the caller's data."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pint_xarray  # noqa: F401  # registers .pint
import pytest
import xarray as xr

import xbp
from xbp.errors import (
    CoordinateError,
    FileFormatError,
    QuantityError,
    RangeError,
    UnitsError,
    XbpError,
)

K = {"units": "K"}


@pytest.mark.parametrize("units", ["degC", "celsius", "degree_Celsius", "°C"])
def test_celsius_in_every_spelling(model: xr.Dataset, units: str) -> None:
    celsius = model.assign_coords(temperature=((), 26.85, {"units": units}))
    np.testing.assert_allclose(celsius.bp.to_bqe().B, model.bp.to_bqe().B, rtol=1e-12)
    np.testing.assert_allclose(celsius.bp.convert(temperature="K").temperature, 300)


def test_fahrenheit(model: xr.Dataset) -> None:
    bare = model.drop_vars("temperature")
    np.testing.assert_allclose(
        bare.bp.to_bqe(T="80.33 degF").B, model.bp.to_bqe().B, rtol=1e-9
    )


def test_a_scale_with_an_offset_is_no_target(model: xr.Dataset) -> None:
    with pytest.raises(UnitsError, match="kelvin"):
        model.bp.convert(temperature="degC")
    assert float(model.bp.convert(temperature="mK").temperature) == pytest.approx(3e5)


def test_the_same_numbers_in_other_units_are_another_grid(model: xr.Dataset) -> None:
    b = model.bp.to_bqe()
    relabelled = b.copy()
    relabelled.E.attrs["units"] = "THz"
    with pytest.raises(CoordinateError, match="do not match"):
        b.bp.subtract(relabelled)
    in_nm = model.bp.convert(Q="1/nm")
    assert float(abs(model.bp.subtract(in_nm).S).max()) == 0


def test_classical_is_not_subtracted_from_quantum(model: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="statistics 'classical'"):
        model.S.bp.subtract(model.S.assign_attrs(statistics="classical"))
    with pytest.raises(QuantityError, match="convention"):
        model.bp.to_gdos().bp.subtract(model.bp.to_convention("S*E/Q"))


def test_sq_in_percent(glass: xr.Dataset) -> None:
    cut = glass.bp.to_bqe().bp.cut_E(3, width=0.5)
    percent = (glass.Sq * 100).assign_attrs(glass.Sq.attrs, units="percent")
    assert float(cut.bp.scale_to_sq(percent).scale) == pytest.approx(
        float(cut.B.bp.scale_to_sq(glass.Sq).scale), rel=0.5
    )
    xr.testing.assert_allclose(
        cut.bp.scale_to_sq(percent).scale, cut.bp.scale_to_sq(glass.Sq[:]).scale
    )


def test_one_point_of_sq_is_not_spread_over_its_neighbours(glass: xr.Dataset) -> None:
    cut = glass.bp.to_bqe().bp.cut_E(3, width=0.5)
    one = xbp.new_dataset(
        "static_structure_factor", [1.0], units="1", coords={"Q": ([3.0], "1/angstrom")}
    )
    with pytest.raises(RangeError):
        cut.bp.scale_to_sq(one)


def test_labels_of_samples_must_match(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()[["B", "B_std"]].bp.cut_E(3, width=0.5)
    two = xr.concat([b, b], dim=xr.Variable("sample", ["a", "b"]))
    sq = xr.concat([glass.Sq, glass.Sq], dim=xr.Variable("sample", ["b", "a"]))
    with pytest.raises(CoordinateError, match="'sample' coordinates do not match"):
        two.bp.scale_to_sq(sq)
    with pytest.raises(CoordinateError, match="'sample' coordinates do not match"):
        two.bp.subtract(two.assign_coords(sample=["b", "a"]))


@pytest.mark.parametrize(
    "attr",
    [
        {"scale_factor": 2.0},
        {"add_offset": 1.0},
        {"missing_value": 0},
        {"_FillValue": 1.0},
        {"a": [1, "b"]},
        {"a": [True]},
        {"a/b": 1},
        {"a": 2**70},
    ],
    ids=str,
)
def test_an_archive_that_would_not_read_back_identical_is_not_made(
    glass: xr.Dataset, tmp_path: Path, attr: dict[str, object]
) -> None:
    glass.S.attrs.update(attr)
    with pytest.raises(XbpError):
        glass.bp.to_netcdf(tmp_path / "glass.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_unfaithful_values_are_noticed(glass: xr.Dataset, tmp_path: Path) -> None:
    odd = glass.assign(note=("n", np.array([1.0 + 2j])))
    with pytest.raises(FileFormatError):
        odd.bp.to_netcdf(tmp_path / "glass.nc")
    # xarray would decode these numbers as dates.
    dates = glass.assign(day=("n", [1.0, 2.0], {"units": "days since 2000-01-01"}))
    with pytest.raises(FileFormatError, match="read back changed"):
        dates.bp.to_netcdf(tmp_path / "glass.nc")
    with pytest.raises(FileFormatError, match="folder"):
        glass.bp.to_netcdf(tmp_path, overwrite=True)
    with pytest.raises(FileFormatError):
        glass.bp.to_netcdf(None)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_replaced_file_keeps_its_mode_and_a_link_stays_one(
    glass: xr.Dataset, tmp_path: Path
) -> None:
    path, link = tmp_path / "glass.nc", tmp_path / "link.nc"
    glass.bp.to_netcdf(path)
    path.chmod(0o600)
    link.symlink_to(path)
    glass.bp.scale(2).bp.to_netcdf(link, overwrite=True)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    with xr.open_dataset(path) as back:
        np.testing.assert_array_equal(back.S, 2 * glass.S)


@pytest.mark.parametrize(
    "path", [None, 5, "x" * 5000, "a\0b"], ids=["none", "number", "long", "nul"]
)
def test_paths_that_are_none(path: object) -> None:
    with pytest.raises(FileFormatError):
        xbp.open_dataset(path)  # type: ignore[arg-type]


def test_every_dimension_needs_a_coordinate() -> None:
    with pytest.raises(CoordinateError, match="'Q' has no coordinate") as refused:
        xbp.new_dataset(
            "B(Q,E)", np.ones((2, 3)), units="1", dims=("Q", "E"),
            coords={"E": ([1.0, 2.0, 3.0], "meV")},
        )  # fmt: skip
    assert "(values, '1/angstrom')" in refused.value.fix


def test_new_dataset_strips_nothing_silently() -> None:
    coords = {"Q": ([1.0, 2.0], "1/angstrom"), "E": ([1.0, 2.0], "meV")}
    masked = np.ma.MaskedArray(np.ones((2, 2)), mask=[[True, False], [False, False]])
    assert np.isnan(
        xbp.new_dataset("reduced_dos", masked, units="1", coords=coords).B[0, 0]
    )
    for values in (
        xr.DataArray(np.ones((2, 2)), dims=("E", "Q")),
        xbp.core.units.registry().Quantity(np.ones((2, 2)), "1/eV"),
    ):
        with pytest.raises(QuantityError, match="would be lost"):
            xbp.new_dataset("reduced_dos", values, units="1", coords=coords)
    for bad in (
        {"std": -np.ones((2, 2))},
        {"edges": {"E": [0.0, 1.0]}},
        {"edges": {"E": [3.0, 2.0, 1.0]}},
        {"edges": {"x": [1.0, 2.0]}},
        {"std": np.ones(2)},
        {"dims": ("Q",)},
    ):
        with pytest.raises(XbpError):
            xbp.new_dataset(
                "reduced_dos", np.ones((2, 2)), units="1", coords=coords, **bad
            )  # type: ignore[arg-type]
    with pytest.raises(QuantityError, match="is not an array"):
        xbp.new_dataset("reduced_dos", [[1.0], [1.0, 2.0]], units="1", coords=coords)


@pytest.mark.parametrize(
    "points", [np.ones((2, 2)), ["a", "b", "c"], np.arange(3) * 1j, "abc", np.zeros(3, "M8[s]"), [True, False, True]], ids=range(6)
)  # fmt: skip
def test_points_that_are_none(points: object) -> None:
    with pytest.raises(CoordinateError, match="coordinate 'E' has the shape"):
        xbp.new_dataset(
            "vibrational_dos", np.ones(3), units="1/meV", coords={"E": (points, "meV")}
        )


def test_negative_std_is_refused(glass: xr.Dataset) -> None:
    wrong = glass.assign(S_std=-glass.S_std)
    with pytest.raises(QuantityError, match="negative"):
        wrong.bp.scale(2)
    lazy = wrong.chunk(Q=5).bp.scale(2)
    with pytest.raises(QuantityError, match="'S_std' is negative in"):
        lazy.compute()


def test_std_made_by_arithmetic_is_still_a_std(glass: xr.Dataset) -> None:
    b = glass.bp.to_bqe()
    b["B_std"] = abs(b.B) * 0.05  # carries B's attributes, quantity included
    assert "G_std" in b.bp.to_gdos()


@pytest.mark.parametrize("T", ["1_000 K", "1 0 K", "1e K", "300K K"])
def test_numbers_are_not_read_in_part(model: xr.Dataset, T: str) -> None:
    with pytest.raises(UnitsError):
        model.drop_vars("temperature").bp.to_bqe(T=T)


@pytest.mark.parametrize(
    ("where", "fix"),
    [
        ("S", "data['S'].attrs['units'] = '1/meV', or '1' on an arbitrary scale"),
        ("S_std", "data['S_std'].attrs['units'] = '1/meV'"),
        ("E", "data['E'].attrs['units'] = 'meV'"),
        ("u2", "data['u2'].attrs['units'] = 'angstrom**2'"),
        ("temperature", "data['temperature'].attrs['units'] = 'K'"),
    ],
)
def test_the_fix_of_missing_units_is_theirs(
    model: xr.Dataset, where: str, fix: str
) -> None:
    data = xbp.models.with_counting_noise(model, counts=1e4, rng=0)
    del data[where].attrs["units"]
    with pytest.raises(UnitsError, match="has no units") as refused:
        data.bp.to_bqe()
    assert refused.value.fix == fix
    exec(fix.partition(",")[0], {"data": data})
    data.bp.to_bqe()


def test_messages_name_what_was_given(model: xr.Dataset) -> None:
    with pytest.raises(UnitsError, match="T='300 meV' is in 'meV', which does not"):
        model.bp.to_bqe(T="300 meV")
    with pytest.raises(UnitsError, match="T='3e K' is not a number followed by a unit"):
        model.bp.to_bqe(T="3e K")
    with pytest.raises(QuantityError, match=r"needs .* not g_ex"):
        model.S.assign_attrs(quantity="excess_dos").bp.to_gdos()
    with pytest.raises(FileFormatError) as refused:
        xbp.open_dataset("a" * 5000)
    assert len(str(refused.value)) < 400
    sq = xbp.models.hard_sphere_structure_factor(model.Q.values[:2])
    with pytest.raises(RangeError, match=r"known at 2 Q"):
        model.bp.to_bqe().bp.cut_E(3, width=1).bp.scale_to_sq(sq)


def test_u2_over_other_dimensions(model: xr.Dataset) -> None:
    bare = model.S.drop_vars("u2")
    for dims, coords in ((("s",), {}), (("Q",), {"Q": bare.Q + 1}), (("E",), {})):
        size = bare.sizes.get(dims[0], 2)
        with pytest.raises(QuantityError, match="has dimensions"):
            bare.bp.to_bqe(
                u2=xr.DataArray(
                    np.full(size, 0.01),
                    dims=dims,
                    coords=coords,
                    attrs={"units": "angstrom**2"},
                )
            )
    two = xr.concat([bare, bare], dim="sample")
    u2 = xr.DataArray([0.0, 0.012], dims="sample", attrs={"units": "angstrom**2"})
    np.testing.assert_allclose(
        two.bp.to_bqe(u2=u2).isel(sample=1), model.S.bp.to_bqe(), rtol=1e-12
    )


@pytest.mark.slow
def test_inputs_stay_as_they_are(model: xr.Dataset, glass: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e4, rng=0)
    b = noisy.bp.to_bqe()
    sq = xbp.models.hard_sphere_structure_factor(model.Q)
    before = [x.copy(deep=True) for x in (noisy, b, sq, glass)]
    b.bp.to_bqe()
    b.bp.rebin(E="1 meV")
    b.bp.convert(E="THz")
    b.B.bp.convert(Q="1/nm")
    peaks = b.bp.boson_peak(E_range=(1, 15))
    peaks.bp.dispersion()
    b.bp.cut_E(5, width=1).bp.scale_to_sq(sq)
    b.bp.correlation_map(sq)
    noisy.bp.detailed_balance(E_range=(2, 18))
    noisy.drop_vars("u2").bp.debye_waller()
    noisy.bp.debye_waller()
    glass.bp.scale(2)
    for now, then in zip((noisy, b, sq, glass), before, strict=True):
        xr.testing.assert_identical(now, then)
        for name in now.variables:
            assert now[name].attrs == then[name].attrs


def test_nothing_to_do_is_said(glass: xr.Dataset) -> None:
    with pytest.raises(RangeError, match="neither"):
        glass.bp.rebin()
    with pytest.raises(UnitsError, match="needs units"):
        glass.bp.convert()
    with pytest.raises(UnitsError, match="needs units"):
        glass.bp.convert(E=["THz"])  # type: ignore[arg-type]
    with pytest.raises(RangeError, match="E='1e-12 meV' must be between"):
        glass.bp.rebin(E="1e-12 meV")


def test_pint_datasets_carry_no_second_unit(glass: xr.Dataset) -> None:
    wrapped = glass.pint.quantify()
    G = wrapped.bp.to_gdos()
    assert all("units" not in v.attrs for v in G.variables.values())


@pytest.mark.parametrize(
    "bounds",
    [np.array([["a", "b"]] * 80), np.ones(80), np.ones((80, 3))],
    ids=["text", "flat", "triple"],
)
def test_odd_bounds(model: xr.Dataset, bounds: np.ndarray) -> None:
    dims = ("E", "bnds")[: bounds.ndim]
    odd = model.assign_coords(E_bnds=(dims, bounds))
    odd.E.attrs["bounds"] = "E_bnds"
    with pytest.raises(CoordinateError, match="bounds"):
        odd.bp.cut_E(5, width=1)


def test_overlapping_bounds(model: xr.Dataset) -> None:
    wide = np.stack([model.E.values - 2, model.E.values + 2], axis=1)
    with pytest.raises(CoordinateError, match="overlap"):
        model.assign_coords(E_bnds=(("E", "bnds"), wide)).bp.cut_E(5, width=1)


@pytest.mark.parametrize("units", [None, 5, ["K"]], ids=str)
@pytest.mark.parametrize("where", ["temperature", "u2", "S_std", "S", "E"])
def test_units_that_are_no_text(model: xr.Dataset, where: str, units: object) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=100, rng=0)
    noisy[where].attrs["units"] = units
    with pytest.raises(UnitsError):
        noisy.bp.to_bqe()


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble])
def test_other_precisions(unmarked: xr.Dataset, dtype: type) -> None:
    b = unmarked.bp.to_bqe()
    other = b.copy()
    scale = 1e5  # B would underflow in half precision
    other["B"] = (b.B * scale).astype(dtype).assign_attrs(b.B.attrs)
    peak = other.B.bp.cut_Q((2, 8)).bp.boson_peak(E_range=(1.2, 12))
    reference = b.B.bp.cut_Q((2, 8)).bp.boson_peak(E_range=(1.2, 12))
    assert float(peak.energy) == pytest.approx(float(reference.energy), rel=1e-2)


@pytest.mark.slow
def test_infinities_and_huge_numbers_do_not_warn(model: xr.Dataset) -> None:
    odd = xbp.models.with_counting_noise(model, counts=100, rng=0)
    odd.S[3, 4] = np.inf
    odd.S[5, 6] = -np.inf
    odd.S_std[7, 60] = np.nan
    odd.bp.debye_waller()
    odd.bp.detailed_balance(E_range=(2, 18))
    odd.bp.to_bqe().bp.boson_peak(E_range=(1, 15))
    nothing = odd.assign(S_std=odd.S_std * np.nan)
    assert (nothing.bp.to_bqe().bp.boson_peak().status == "no maximum").all() or (
        nothing.bp.to_bqe().bp.boson_peak().status == "no data"
    ).all()


def test_a_seed_that_once_broke_the_fit() -> None:
    y = np.random.default_rng(1934).normal(0, 1, 20)
    ds = xbp.new_dataset(
        "reduced_dos",
        y,
        units="1",
        std=np.ones(20),
        coords={"E": (np.linspace(0.25, 20, 20), "meV")},
    )
    for method in ("lognormal", "gaussian", "quadratic"):
        assert str(ds.bp.boson_peak(method, E_range=(1, 15)).status.values) != "ok"


def test_peaks_in_other_units_are_not_drawn(model: xr.Dataset) -> None:
    b = model.bp.to_bqe()
    other = b.bp.convert(E="THz").bp.boson_peak(E_range=("1 meV", "15 meV"))
    with pytest.raises(UnitsError, match="'THz', the data in 'meV'"):
        b.bp.plot.map(peak=other)
    with pytest.raises(UnitsError, match="'THz', the data in 'meV'"):
        b.isel(Q=0, drop=True).bp.plot.peak(other.isel(Q=0, drop=True))


def test_models_refuse_nonsense() -> None:
    Q, E = [1.0, 2.0], np.linspace(-2, 2, 9)
    for bad in (
        {"resolution": "-1 meV"},
        {"resolution": "1 1/angstrom"},
        {"u2": -1},
        {"scale": float("nan")},
    ):
        with pytest.raises(XbpError):
            xbp.models.elastic_line(Q, E, **({"u2": 0.01, "resolution": "1 meV"} | bad))  # type: ignore[arg-type]
    line = xbp.models.elastic_line(Q, E, u2=0.01, resolution="1 meV")
    for counts in (0, -1, np.inf, 1e30):
        with pytest.raises(XbpError, match="counts"):
            xbp.models.with_counting_noise(line, counts=counts, rng=0)
    with pytest.raises(QuantityError):
        xbp.models.with_counting_noise(line.bp.scale(0), counts=10, rng=0)


def test_samples_have_names() -> None:
    E, values = (np.arange(1.0, 10.0), "meV"), np.ones((2, 9))
    for names in (["A", "B"], ("A", "B"), np.array(["A", "B"])):
        ds = xbp.new_dataset(
            "reduced_dos", values, units="1", coords={"sample": names, "E": E}
        )
        assert ds.sample.values.tolist() == ["A", "B"]
        assert "units" not in ds.sample.attrs
        assert ds.bp.boson_peak().sample.values.tolist() == ["A", "B"]
    for wrong in ([1, 2], "AB", None, [["A", "B"]], 5):
        with pytest.raises(CoordinateError, match="or names"):
            xbp.new_dataset(
                "reduced_dos", values, units="1", coords={"sample": wrong, "E": E}
            )
    with pytest.raises(CoordinateError):
        xbp.new_dataset(
            "reduced_dos",
            np.ones((2, 9)),
            units="1",
            coords={"temperature": ["A", "B"], "E": E},
        )


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("plot.map", {}),
        ("plot.map", {"E_range": (1, 2)}),
        ("plot.peak", {"E_range": (1, 2)}),
        ("scan_boson_peak", {"E_ranges": [(1, 2)]}),
        ("scan_boson_peak", {"methods": xr.DataArray("lognormal")}),
        ("fit", {"model": "gaussian", "dim": xr.DataArray([1.0, 2.0], dims="x")}),
        ("fit", {"model": "gaussian", "dim": 0}),
    ],
)
def test_data_without_the_axis(method: str, arguments: dict[str, object]) -> None:
    """Each once raised a KeyError, TypeError or ValueError of its own."""
    T = np.arange(2.0, 50)
    C = xbp.new_dataset(
        "heat_capacity", T**2, units="J/(mol K)", coords={"temperature": (T, "K")}
    )
    of = C.bp.plot if method.startswith("plot.") else C.bp
    with pytest.raises(XbpError):
        getattr(of, method.removeprefix("plot."))(**arguments)


def test_a_map_of_what_has_no_Q() -> None:
    g = xbp.new_dataset(
        "vibrational_dos", [1.0, 2.0], units="1", coords={"E": ([1.0, 2.0], "meV")}
    )
    with pytest.raises(RangeError, match="a map needs E"):
        g.bp.plot.map()


def test_long_rows_of_numbers_are_shortened_and_the_wrong_one_is_named() -> None:
    sq = xbp.tutorial.open_dataset("zr46cu46al8_md").Sq
    r = np.linspace(0, 8, 401)
    for given in (
        r,
        list(r),
        r.tolist(),
        xr.DataArray(r, dims="r", attrs={"units": "angstrom"}),
    ):
        with pytest.raises(
            RangeError, match="must be ascending positive numbers"
        ) as told:
            sq.bp.to_radial_distribution(given, number_density=0.057)
        assert len(told.value.summary) < 200
        assert "np." not in told.value.summary
        assert told.value.summary.endswith("; r[0] is 0")
        assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)
    with pytest.raises(RangeError) as told:
        sq.bp.to_radial_distribution([1, 2.5, 2.25], number_density=0.057)
    assert "r=[1, 2.5, 2.25] must be ascending" in told.value.summary
    assert told.value.summary.endswith("; r[2] is 2.25")
    with pytest.raises(RangeError) as told:
        sq.bp.to_radial_distribution([1, np.nan], number_density=0.057)
    assert told.value.summary.endswith("; r[1] is nan")
    with pytest.raises(RangeError, match="width= is missing") as told:
        xbp.tutorial.open_dataset("zr46cu46al8_md").bp.cut_E(np.linspace(0, 5, 200))
    assert len(str(told.value)) < 300
