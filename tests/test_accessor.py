from __future__ import annotations

import inspect
import operator
import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr

import xbp
from xbp.accessor import BosonPeakAccessor, PlotAccessor, StudyAccessor
from xbp.core.operation import all_operations, find_operation
from xbp.errors import ArgumentsError, QuantityError, XbpError

METHODS = [
    n
    for n, m in inspect.getmembers(BosonPeakAccessor, inspect.isfunction)
    if not n.startswith("_")
]


def test_the_accessors_have_every_operation_and_no_other_method() -> None:
    figures = [n for n in vars(PlotAccessor) if not n.startswith("_")]
    of_studies = [n for n in vars(StudyAccessor) if not n.startswith("_")]
    assert {("data", n) for n in METHODS} | {("plot", n) for n in figures} | {
        ("study", n) for n in of_studies
    } == {(one.where, one.name) for one in all_operations()}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_function_of_the_same_name_and_arguments(name: str) -> None:
    method = list(
        inspect.signature(getattr(BosonPeakAccessor, name)).parameters.values()
    )[1:]
    public = operator.attrgetter(
        find_operation("data", name).path.removeprefix("xbp.")
    )(xbp)
    function = list(inspect.signature(public).parameters.values())[1:]
    assert [(p.name, p.default, p.kind) for p in method] == [
        (p.name, p.default, p.kind) for p in function
    ]


@pytest.mark.parametrize(
    "name", [n for n in dir(PlotAccessor) if not n.startswith("_")]
)
def test_every_figure_too(name: str) -> None:
    method = list(inspect.signature(getattr(PlotAccessor, name)).parameters.values())[
        1:
    ]
    function = list(inspect.signature(getattr(xbp.plot, name)).parameters.values())[1:]
    assert [p.name for p in method] == [p.name for p in function]


@pytest.mark.parametrize("accessor", [BosonPeakAccessor, PlotAccessor, StudyAccessor])
def test_help_on_a_method_explains_every_argument_of_it(accessor: type) -> None:
    for name, method in inspect.getmembers(accessor, inspect.isfunction):
        if name.startswith("_"):
            continue
        text = inspect.getdoc(method) or ""
        assert "Same as `xbp." in text, name
        for argument in list(inspect.signature(method).parameters.values())[1:]:
            assert re.search(rf"^[\w, *]*\b{argument.name}\b", text, re.MULTILINE), (
                name,
                argument.name,
            )
        assert not re.search(r"^(data|trajectory|study) : ", text, re.MULTILINE), name
        assert ">>>" not in text  # tested where they stand


def test_what_goes_in_comes_out(glass: xr.Dataset) -> None:
    assert isinstance(glass.bp.to_bqe(), xr.Dataset)
    assert isinstance(glass.S.bp.to_bqe(), xr.DataArray)
    xr.testing.assert_allclose(glass.S.bp.to_bqe(), glass.bp.to_bqe().B)
    assert {"to_gdos", "boson_peak", "cut_E", "scale_to_sq"} <= set(METHODS)


OF_TRAJECTORIES = [one.name for one in all_operations() if one.takes == ("trajectory",)]


@pytest.mark.parametrize("name", OF_TRAJECTORIES)
def test_methods_of_trajectories_say_so_without_arguments(
    name: str, glass: xr.Dataset
) -> None:
    for data in (glass, glass.S, glass.S.drop_attrs()):
        with pytest.raises(
            QuantityError, match=rf"\.bp\.{name}\(\) needs a trajectory"
        ):
            getattr(data.bp, name)()


def test_what_was_wanted_is_named(glass: xr.Dataset) -> None:
    S = glass[["S"]]
    for name in ("structure_factor", "to_structure_factor", "to_radial_distribution"):
        with pytest.raises(QuantityError, match=r"data\.bp\.integrate_E\(\)"):
            getattr(S.bp, name)()
    with pytest.raises(QuantityError, match=r"data\.bp\.to_vibrational_dos"):
        S.bp.vdos()
    with pytest.raises(
        QuantityError, match=r"data\['Sq'\] is a 'static_structure_factor' already"
    ):
        glass.bp.structure_factor("8 1/angstrom")
    with pytest.raises(QuantityError, match="are a 'static_structure_factor' already"):
        glass.Sq.bp.structure_factor()
    with pytest.raises(TypeError, match="'r'"):  # for these data it is
        glass.Sq.bp.to_radial_distribution()


def test_dir_lists_what_is_for_the_data(glass: xr.Dataset) -> None:
    listed = set(dir(glass.S.bp))
    assert {"to_bqe", "cut_Q", "integrate_E", "plot", "to_netcdf"} <= listed
    assert not listed & {*OF_TRAJECTORIES, "to_radial_distribution", "dispersion"}
    assert "to_radial_distribution" in dir(glass.Sq.bp)
    assert "neutron_weighted_dos" in dir(glass.g.bp)
    trajectory = xbp.md.models.ideal_gas(
        4, 3, cell=12, T=300, mass=40, time_step=0.05, rng=1
    )
    public = {name for name in dir(trajectory.bp) if not name.startswith("_")}
    assert public == {*OF_TRAJECTORIES, "to_netcdf", "to_zarr", "diagnostics"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda glass: glass.Sq.bp.to_radial_distribution(), r"missing a required argument: 'r'(.|\n)*to_radial_distribution\(r, \*"),
        (lambda glass: glass.bp.to_bqe().bp.scan_boson_peak(E_range=(1, 12)), r"E_range(.|\n)*did you mean E_ranges="),
        (lambda glass: glass.bp.cut_E(), "missing a required argument: 'E'"),
        (lambda glass: glass.bp.compare_models(), "'models'(.|\n)*such as .*lognormal"),
        (lambda glass: glass.bp.fit(), "'model'(.|\n)*such as \"lognormal\""),
        (lambda glass: glass.bp.fit_together(), "'model'(.|\n)*such as \"soft_osc"),
        (lambda glass: xbp.new_dataset("C_p(T)", [1.0], units="J/K", coords={"temperature": ([2], "K")}).bp.to_molar(), "'per'(.|\n)*formula units"),
        (lambda glass: glass.bp.to_gdos("300 K", "0.01 angstrom^2", 3), "too many positional arguments"),
        (lambda glass: xbp.new_study({"a": xbp.stated_energy("5 meV", reference="x")}).bp.report(), "'path'"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_fit_is_told_how_to_call(
    glass: xr.Dataset, call: Callable[[xr.Dataset], object], said: str
) -> None:
    with pytest.raises(ArgumentsError, match=said) as caught:
        call(glass)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, XbpError)


@pytest.mark.parametrize(
    ("look", "near"),
    [
        (lambda glass: glass.bp.to_nexus, ".bp.to_nxspe"),
        (lambda glass: glass.bp.cutE, ".bp.cut_E"),
        (lambda glass: glass.bp.map, ".bp.plot.map"),
        (lambda glass: glass.S.bp.plot.boson_peek, ".bp.boson_peak"),
        (lambda glass: glass.bp.xyz, "print(data.bp)"),
        (lambda glass: xr.DataTree().bp.reprot, ".bp.report"),
    ],
)
def test_an_unknown_method_is_answered_with_the_nearest(
    glass: xr.Dataset, look: Callable[[xr.Dataset], object], near: str
) -> None:
    with pytest.raises(AttributeError) as caught:
        look(glass)
    assert near in str(caught.value)


def test_an_error_of_types_within_a_method_is_its_own(
    glass: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("of the function")

    monkeypatch.setattr("xbp.reduction.gdos.read", broken)
    with pytest.raises(TypeError, match=r"^of the function$"):
        glass.bp.to_gdos()


def test_wrong_kinds_are_shown_a_way(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match=r"to_bqe\(\)\.bp\.boson_peak\(\) gives"):
        glass[["S"]].bp.dispersion()
    table = glass.bp.to_bqe().bp.cut_Q((2.1, 8.5)).bp.boson_peak(E_range=(1.2, 8))
    with pytest.raises(QuantityError, match=r"cut_E\(\) needs a signal.*'boson_peak'"):
        table.bp.cut_E(3)
    assert "to_csv" in dir(table.bp)
    assert "cut_E" not in dir(table.bp)


@pytest.mark.slow
def test_the_generated_files_are_current() -> None:
    """`python .ci/make_stub.py` writes it anew after a change of a signature."""
    path = Path(xbp.__file__).parent.parent / ".ci" / "make_stub.py"
    if not path.exists():
        pytest.skip("not in a clone")
    made = runpy.run_path(str(path))
    for target, text in made["generated"]().items():
        current = target.read_text() == text
        assert current, f"{target.name} is old: python .ci/make_stub.py"


def test_the_typed_accessor_is_the_same(glass: xr.Dataset) -> None:
    assert isinstance(xbp.bp(glass), BosonPeakAccessor)
    assert isinstance(xbp.bp(xr.DataTree()), StudyAccessor)
