"""A study: its leaves, its file, and what strangers may put into it."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pint_xarray  # noqa: F401  # registers .pint
import pytest
import xarray as xr
from apart import apart, opened

import xbp
from xbp.errors import FileFormatError, QuantityError, RangeError, UnitsError, XbpError


@pytest.fixture
def fit() -> xr.Dataset:
    C = xbp.models.evaluate(
        "debye_einstein",
        np.geomspace(2, 300, 60),
        gamma="4 mJ/mol/K^2",
        n_D=0.8,
        theta_D="260 K",
        n_E=0.2,
        theta_E="71.95 K",
        sigma_E="15 K",
    )
    return C.bp.fit_heat_capacity()


@pytest.fixture
def b() -> xr.Dataset:
    return xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 80), energy="6 meV", height=2, sigma=0.6
    )


@pytest.fixture
def study(glass: xr.Dataset, fit: xr.Dataset, b: xr.Dataset) -> xr.DataTree:
    return xbp.new_study(
        {
            "raman/532 nm": b.bp.convert(E="1/cm"),
            "heat_capacity": fit,
            "md": glass,
            "md_dos": glass[["g", "g_std"]],
            "literature": xbp.stated_energy("5.5 meV", "0.4 meV", reference="doi:..."),
        },
        title="a glass",
        E_range={"md": ("1.2 meV", "20 meV")},
        Q_range={"md": ("2.1 1/angstrom", "8.5 1/angstrom")},
        method={"md_dos": "quadratic"},
        systematic={"md": "0.1 THz"},
        debye_energy={"md_dos": "22 meV"},
    )


@pytest.mark.slow
def test_the_leaves_are_what_was_given(study: xr.DataTree, glass: xr.Dataset) -> None:
    assert study["md"].S.identical(glass.S)
    assert study["md"].attrs["study_E_range"] == ["1.2 meV", "20 meV"]
    assert study["md"].attrs["study_systematic"] == pytest.approx(0.41357, rel=1e-4)
    assert {
        line.split(":")[0].strip() for line in repr(study.bp).splitlines()[1:6]
    } == {
        "raman/532 nm",
        "heat_capacity",
        "md",
        "md_dos",
        "literature",
    }
    assert "<pre>" in study.bp._repr_html_()
    assert "invalid study" in repr(xr.DataTree().bp)


@pytest.mark.slow
def test_a_file_gives_back_the_identical_tree(
    study: xr.DataTree, tmp_path: Path
) -> None:
    path = tmp_path / "study.nc"
    study.bp.to_netcdf(path)
    assert xbp.open_study(path).identical(study)
    with xr.open_datatree(path) as plain:
        assert plain.identical(study)
    with pytest.raises(FileFormatError, match="exists"):
        study.bp.to_netcdf(path)
    study.bp.to_netcdf(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["study.nc"]
    xr.testing.assert_identical(xbp.open_study(path).bp.compare(), study.bp.compare())


@pytest.mark.slow
def test_a_study_that_netcdf_cannot_keep_is_not_written(
    study: xr.DataTree, tmp_path: Path
) -> None:
    study["md"].attrs["note"] = {"a": 1}
    with pytest.raises(QuantityError, match="netCDF"):
        study.bp.to_netcdf(tmp_path / "study.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_pint_and_dask_come_in(glass: xr.Dataset) -> None:
    said = {"Q_range": {"md": (2.1, 8.5)}, "E_range": {"md": (1.2, 20)}}
    plain = xbp.new_study({"md": glass}, **said)  # type: ignore[arg-type]
    for data in (glass.pint.quantify(), glass.chunk({"Q": 50})):
        other = xbp.new_study({"md": data}, **said)  # type: ignore[arg-type]
        np.testing.assert_allclose(
            other.bp.compare().energy, plain.bp.compare().energy, rtol=1e-12
        )


@pytest.mark.slow
def test_a_dask_study_is_written(glass: xr.Dataset, tmp_path: Path) -> None:
    study = xbp.new_study({"md": glass.chunk({"Q": 50})}, Q_range={"md": (2.1, 8.5)})
    study.bp.to_netcdf(tmp_path / "study.nc")
    assert xbp.open_study(tmp_path / "study.nc")["md"].S.identical(glass.S)


@pytest.mark.parametrize("leaves", [{}, None, [1], "ins"])
def test_no_leaves(leaves: object) -> None:
    with pytest.raises(QuantityError):
        xbp.new_study(leaves)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "/", "a//b", "a/", "..", 5, "a\nb", " "])
def test_names_that_are_none(name: object, b: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="leaf name"):
        xbp.new_study({name: b})  # type: ignore[dict-item]


def test_a_leaf_on_a_leaf(b: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="both a leaf and the group"):
        xbp.new_study({"raman": b, "raman/2": b})


@pytest.mark.slow
def test_leaves_that_are_none(
    glass: xr.Dataset, b: xr.Dataset, fit: xr.Dataset
) -> None:
    bare = b.copy(deep=True)
    del bare.B.attrs["units"]
    two = xr.concat([b, b], dim="sample")
    nan = b.assign_coords(E=b.E.where(b.E > 3))
    nan.E.attrs = b.E.attrs
    for leaf, kind, said in (
        (np.ones(3), QuantityError, "array"),
        (bare, UnitsError, "units"),
        (two, RangeError, "one spectrum"),
        (nan, XbpError, "finite"),
        (b.isel(E=slice(None, None, -1)), XbpError, "ascending"),
        (b.isel(E=slice(0, 0)), XbpError, "empty"),
        (glass, RangeError, "Q_range"),
        (glass.Sq, QuantityError, "leaf 'x'"),
        (
            glass.bp.to_bqe().bp.boson_peak(E_range=(1.2, 12)),
            QuantityError,
            "status",
        ),
        (fit.drop_vars("peak_status"), QuantityError, "missing"),
        (
            fit.assign(energy_std=((), -1.0, {"units": "meV"})),
            QuantityError,
            "energy_std",
        ),
        (fit.assign(energy=((), 5.0)), UnitsError, "units"),
        (fit.assign(energy=((), 5.0, {"units": "K"})), UnitsError, "energy"),
        (fit.drop_vars("theta_D"), QuantityError, "theta_D"),
        (fit.drop_vars("correlation"), QuantityError, "correlation"),
        (fit.isel(parameter=slice(0, 3)), QuantityError, "correlation"),
        (fit.assign(debye_level=("x", [1.0, 2.0])), QuantityError, "debye_level"),
        (fit.assign(status=((), "fine")), QuantityError, "fine"),
        (
            glass.bp.to_bqe().bp.cut_E(3, width=0.5).bp.scale_to_sq(glass.Sq),
            QuantityError,
            "scale_to_sq",
        ),
    ):
        with pytest.raises(kind, match=said):
            xbp.new_study({"x": leaf})


@pytest.mark.slow
def test_options_that_are_none(
    b: xr.Dataset, glass: xr.Dataset, fit: xr.Dataset
) -> None:
    for options in (
        {"E_range": {"y": (1, 2)}},
        {"E_range": (1, 2)},
        {"E_range": {"x": (5, 2)}},
        {"E_range": {"x": ("5 K", "6 K")}},
        {"E_range": {"x": (100, 200)}},
        {"E_range": {"x": 3}},
        {"Q_range": {"x": (1, 2)}},
        {"method": {"x": "best"}},
        {"method": {"x": None}},
        {"systematic": {"x": "-1 meV"}},
        {"systematic": {"x": "1 K"}},
        {"systematic": {"x": float("nan")}},
        {"debye_energy": {"x": "22 meV"}},
    ):
        with pytest.raises(XbpError):
            xbp.new_study({"x": b}, **options)  # type: ignore[arg-type]
    with pytest.raises(XbpError, match="is not used"):
        xbp.new_study({"x": fit}, method={"x": "gaussian"})


@pytest.mark.parametrize(
    ("energy", "std", "reference"),
    [("0 meV", None, "a"), ("-1 meV", None, "a"), ("nan meV", None, "a"), ("5 meV", "-1 meV", "a"), ("5 meV", None, ""),
     ("5 K", None, "a"), ("5 meV", None, None), ("5 meV", "1 K", "a")],
)  # fmt: skip
def test_energies_that_are_none(
    energy: str, std: str | None, reference: object
) -> None:
    with pytest.raises(XbpError):
        xbp.stated_energy(energy, std, reference=reference)  # type: ignore[arg-type]


def test_methods_of_a_study_refuse_other_trees(tmp_path: Path) -> None:
    tree = xbp.tutorial.open_datatree("CuZr")
    for call in (
        tree.bp.compare,
        tree.bp.plot,
        lambda: tree.bp.to_netcdf(tmp_path / "a.nc"),
        lambda: tree.bp.report(tmp_path / "a"),
    ):
        with pytest.raises(QuantityError, match="another tree"):
            call()
    with pytest.raises(QuantityError, match="got a Dataset"):
        xbp.study.compare(xr.Dataset())  # type: ignore[arg-type]


@pytest.mark.slow
def test_files_that_hold_no_study(
    study: xr.DataTree, glass: xr.Dataset, tmp_path: Path
) -> None:
    study.bp.to_netcdf(tmp_path / "study.nc")
    content = (tmp_path / "study.nc").read_bytes()
    half = content[: len(content) // 2]
    for i, damaged in enumerate((b"", b"text", content[:-100], content[:3000], half)):
        (tmp_path / f"broken{i}.nc").write_bytes(damaged)
    said = apart(opened, *map(str, tmp_path.glob("broken*")))
    assert len(said) == 10
    assert set(said.values()) == {"refused"}
    glass.bp.to_netcdf(tmp_path / "other.nc")
    with pytest.raises(FileFormatError, match="no study"):
        xbp.open_study(tmp_path / "other.nc")
    for path in (tmp_path / "nowhere.nc", tmp_path, None, "a\0b"):
        with pytest.raises(FileFormatError):
            xbp.open_study(path)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_file_that_claims_to_be_huge(study: xr.DataTree, tmp_path: Path) -> None:
    path = tmp_path / "study.nc"
    study.bp.to_netcdf(path)
    with h5py.File(path, "a") as file:
        file.create_dataset("raman/bomb", shape=(2**40,), dtype="f8", chunks=(2**20,))
    with pytest.raises(FileFormatError, match="GB"):
        xbp.open_study(path)


@pytest.mark.slow
def test_a_changed_file_is_held_to_the_data_model(
    study: xr.DataTree, tmp_path: Path
) -> None:
    path = tmp_path / "study.nc"
    for group, attribute, value in (
        ("md", "study_E_range", ["1 meV", "x"]),
        ("md", "study_E_range", "1"),
        ("md", "study_Q_range", 5.0),
        ("md", "study_method", "worst"),
        ("md", "study_systematic", -1.0),
        ("md", "study_systematic", "much"),
        ("md_dos", "study_debye_energy", [1.0, 2.0]),
        ("literature/energy", "units", "K"),
        ("literature", "quantity", "dispersion"),
    ):
        study.bp.to_netcdf(path, overwrite=True)
        with h5py.File(path, "a") as file:
            file[group].attrs[attribute] = value
        with pytest.raises(XbpError):
            xbp.open_study(path)


@pytest.mark.slow
def test_a_tree_changed_by_hand(study: xr.DataTree) -> None:
    study["more"] = xr.DataTree(xr.Dataset({"a": ("x", [1.0])}))
    with pytest.raises(QuantityError, match="leaf 'more'"):
        study.bp.compare()


def test_errors_name_their_leaf(glass: xr.Dataset, b: xr.Dataset) -> None:
    said = {"Q_range": {"md": (2.1, 8.5)}}
    cold = b.assign_coords(E=(b.E - 100).assign_attrs(b.E.attrs))
    for study in (
        xbp.new_study({"md": glass.drop_vars("temperature")}, **said),  # type: ignore[arg-type]
        xbp.new_study({"md": glass.drop_vars("u2")}, **said),  # type: ignore[arg-type]
        xbp.new_study({"md": glass.where(glass.Q > 9)}, **said),  # type: ignore[arg-type]
        xbp.new_study({"md": cold}),
    ):
        for call in (study.bp.compare, study.bp.plot):
            with pytest.raises(XbpError, match="leaf 'md'"):
                call()


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [np.full(80, np.nan), np.zeros(80), -np.ones(80), np.arange(80.0)],
    ids=str,
)
def test_a_leaf_without_a_peak_is_drawn_and_reported(
    values: np.ndarray, b: xr.Dataset, tmp_path: Path
) -> None:
    study = xbp.new_study(
        {"x": b.assign(B=b.B.copy(data=values)), "one": b.isel(E=[3])}
    )
    table = study.bp.compare()
    assert "ok" not in table.status.values
    assert table.energy.isnull().all()
    study.bp.report(tmp_path / "report.html")
    assert str(table.status.values[0]) in (tmp_path / "report.html").read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
def test_too_many_leaves_for_a_figure() -> None:
    said = xbp.stated_energy("5 meV", reference="a")
    study = xbp.new_study({f"leaf{i}": said for i in range(101)})
    with pytest.raises(QuantityError, match="101 leaves"):
        study.bp.plot()
    for among in (5, [["leaf1"]]):
        with pytest.raises(QuantityError, match="among"):
            study.bp.compare(among)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    study = xbp.new_study(
        {"ins": xbp.stated_energy("5.5 meV", "0.4 meV", reference="doi:...")}
    )
    study.bp.to_netcdf(tmp_path / "s.nc")
    with pytest.raises(FileFormatError, match=r"xbp\.open_study") as caught:
        xbp.open_dataset(tmp_path / "s.nc")
    assert "is a study" in str(caught.value)
    with pytest.raises(FileFormatError, match="does not exist") as caught:
        xbp.open_study(tmp_path / "none.nc")
    assert str(caught.value).count("fix:") == 1
    back = xbp.open_study(tmp_path / "s.nc")
    (tmp_path / "s.nc").unlink()  # what was opened is in memory
    assert float(back["ins"].energy) == 5.5
    with h5py.File(tmp_path / "s.nc", "w") as file:
        file.attrs["xbp_schema"] = "1"
        file.create_group("a")["b"] = file["/"]
    with pytest.raises(FileFormatError, match="in several places"):
        xbp.open_study(tmp_path / "s.nc")
    os.symlink(tmp_path / "circle", tmp_path / "circle")
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path / "circle",
        tmp_path / "pipe",
        tmp_path / ("a" * 300),
        "/proc/none.nc",
    ):
        with pytest.raises(FileFormatError):
            study.bp.to_netcdf(path, overwrite=True)
    study.bp.to_netcdf(tmp_path / ("a" * 250))
    assert not list(tmp_path.glob(".xbp*"))


@pytest.mark.parametrize("option", ["E_range", "systematic"])
def test_options_are_by_leaf(option: str) -> None:
    b = xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 80), energy="5.5 meV", height=2, sigma=0.6
    )
    for given in ([1, 2], slice(1, 2), np.array([1, 2]), "a"):
        with pytest.raises(QuantityError, match="a dict with keys"):
            xbp.new_study({"ins": b}, **{option: given})


def test_quantities_that_are_no_text() -> None:
    b = xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 80), energy="5.5 meV", height=2, sigma=0.6
    )
    peak = b.bp.boson_peak()
    for data in (peak, b.B):
        data = data.assign_attrs(quantity=np.array(["a", "b"]))
        with pytest.raises(QuantityError):
            xbp.new_study(
                {"ins": data.to_dataset() if isinstance(data, xr.DataArray) else data}
            ).bp.compare()
    with pytest.raises(QuantityError, match="the energy is nan"):
        xbp.new_study({"ins": peak.assign(energy=peak.energy * np.nan)})
    with pytest.raises(QuantityError, match="up to 60 characters"):
        xbp.new_study({"a" * 61: b})
    with pytest.raises(QuantityError, match="figure is a str"):
        xbp.new_study({"ins": b}).bp.plot(figure="a")
    b.B.attrs["history"] = np.array(["a", "b"])
    assert "boson_peak" in b.bp.boson_peak().attrs["history"]
