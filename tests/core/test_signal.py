from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.schema import QUANTITIES, find_quantity
from xbp.errors import CoordinateError, QuantityError, UnitsError, XbpError

COORDS = {"Q": ([1.0, 2.0], "1/angstrom"), "E": ([1.0, 2.0, 3.0], "meV")}


def make(**changes: object) -> xr.Dataset:
    arguments: dict[str, object] = {
        "units": "1/meV",
        "coords": COORDS,
        "statistics": "quantum",
        "temperature": 300,
    }
    return xbp.new_dataset(
        "dynamic_structure_factor", np.ones((2, 3)), **(arguments | changes)
    )  # type: ignore[arg-type]


def test_new_dataset_follows_the_model() -> None:
    ds = make(std=np.full((2, 3), 0.1), edges={"E": [0.5, 1.5, 2.5, 3.5]})
    assert set(ds.variables) == {"S", "S_std", "Q", "E", "E_bnds", "temperature"}
    assert ds.S.attrs["ancillary_variables"] == "S_std"
    assert ds.E.attrs["bounds"] == "E_bnds"
    assert ds.attrs["Conventions"] == "CF-1.11"
    assert ds.temperature.attrs["units"] == "K"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"units": "per meV"}, "not a unit"), ({"statistics": "boltzmann"}, "statistics='boltzmann'"),
        ({"temperature": -1}, "positive"), ({"temperature": "3 meV"}, "convert to 'K'"),
        ({"coords": COORDS | {"E": ([1.0, 3.0, 2.0], "meV")}}, "not ascending"),
        ({"coords": COORDS | {"E": ([1.0, 2.0, 2.0], "meV")}}, "duplicates"),
        ({"coords": COORDS | {"E": ([1.0, np.nan, 2.0], "meV")}}, "not finite"),
        ({"coords": COORDS | {"E": ([1.0, 2.0, 3.0], "1/angstrom")}}, "does not convert to 'meV'"),
        ({"coords": COORDS | {"Q": ([-1.0, 2.0], "1/angstrom")}}, "magnitude"),
        ({"coords": COORDS | {"Q": ([1.0, 2.0], "meV")}}, "does not convert"),
    ],
    ids=str,
)  # fmt: skip
def test_new_dataset_refuses(changes: dict[str, object], says: str) -> None:
    with pytest.raises(XbpError, match=says):
        make(**changes)


def test_unknown_quantity_and_other_types() -> None:
    with pytest.raises(QuantityError, match="quantity='intensity'"):
        xbp.new_dataset("intensity", [1.0], units="1", coords={"E": ([1.0], "meV")})
    with pytest.raises(QuantityError, match="got an ndarray"):
        xbp.to_gdos(np.ones(3))  # type: ignore[type-var]


@pytest.mark.parametrize("dim", ["Q", "E"])
def test_missing_units_say_how_to_add_them(dim: str) -> None:
    ds = make()
    del ds[dim].attrs["units"]
    with pytest.raises(UnitsError, match=f"coordinate '{dim}' has no units") as caught:
        ds.bp.to_bqe(u2=0)
    assert "attrs['units'] = " in caught.value.fix
    ds = make()
    del ds.S.attrs["units"]
    with pytest.raises(UnitsError, match="'S' has no units"):
        ds.bp.to_bqe(u2=0)


@pytest.mark.parametrize("dtype", [complex, str, object, bool])
def test_only_real_numbers(dtype: type) -> None:
    ds = make()
    ds["S"] = ds.S.astype(dtype).assign_attrs(ds.S.attrs)
    with pytest.raises(QuantityError, match="type"):
        ds.bp.to_bqe(u2=0)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_other_real_numbers_work(dtype: type) -> None:
    ds = make()
    ds["S"] = ds.S.astype(dtype).assign_attrs(ds.S.attrs)
    np.testing.assert_allclose(
        ds.bp.to_bqe(u2=0).B, make().bp.to_bqe(u2=0).B, rtol=1e-6
    )


def test_empty_and_coordless() -> None:
    with pytest.raises(QuantityError, match="empty"):
        make().isel(E=slice(0, 0)).bp.to_bqe(u2=0)
    with pytest.raises(CoordinateError, match="has no coordinate"):
        make().drop_vars("E").bp.to_bqe(u2=0)


def test_a_signal_is_found_or_asked_for(glass: xr.Dataset) -> None:
    assert "G" in glass.bp.to_gdos()  # S(Q) and g(E) are companions
    assert glass[["Sq", "Sq_std"]].bp.cut_Q((2, 3)).Sq.ndim == 0
    two = glass.assign(S2=glass.S)
    with pytest.raises(QuantityError, match="has 2 variables") as caught:
        two.bp.to_gdos()
    assert "data[['S', 'S_std']]" in caught.value.fix
    with pytest.raises(QuantityError, match="has no variable"):
        xr.Dataset({"a": ("x", [1.0])}).bp.to_gdos()
    with pytest.raises(QuantityError, match="has no attrs"):
        xr.DataArray([1.0], dims="E").bp.to_gdos()


@pytest.mark.slow
def test_a_table_of_results_is_no_signal(glass: xr.Dataset) -> None:
    peaks = glass.bp.to_bqe().bp.boson_peak(E_range=(1.2, 12))
    for name in (
        "correlation_map",
        "scale_to_sq",
        "detailed_balance",
        "debye_waller",
        "dispersion",
        "boson_peak",
    ):
        with pytest.raises(QuantityError, match=name):
            peaks.assign_attrs(quantity=name).bp.rebin(E="1 meV")


def test_std_must_fit(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="'S_std' has dimensions"):
        glass.assign(S_std=glass.S_std.isel(Q=0)).bp.to_gdos()
    wrong = glass.copy()
    wrong["S_std"] = glass.S_std.assign_attrs(units="K")
    with pytest.raises(UnitsError, match="'S_std'"):
        wrong.bp.to_gdos()
    per_ev = glass.copy()
    per_ev["S_std"] = (glass.S_std * 1000).assign_attrs(units="1/eV")
    np.testing.assert_allclose(
        per_ev.bp.to_gdos().G_std, glass.bp.to_gdos().G_std, rtol=1e-12
    )


def test_history_gains_one_line_per_operation(glass: xr.Dataset) -> None:
    b = glass.bp.to_gdos().bp.to_bqe().bp.cut_E("3 meV", width="0.5 meV")
    before = len(glass.S.attrs["history"].splitlines())
    lines = [json.loads(line) for line in b.B.attrs["history"].splitlines()][before:]
    assert [line["operation"] for line in lines] == ["to_gdos", "to_bqe", "cut_E"]
    assert lines[0]["arguments"] == {
        "T": "300 K",
        "u2": f"{float(glass.u2):.10g} angstrom**2",
    }
    assert lines[2]["arguments"] == {"E": ["2.75 meV", "3.25 meV"]}
    assert {line["xbp"] for line in lines} == {xbp.__version__}
    assert b.attrs["history"] == b.B.attrs["history"]
    fit = b.bp.scale_to_sq(glass.Sq, Q_range=(2.1, "8.5 1/angstrom"))
    last = json.loads(fit.attrs["history"].splitlines()[-1])
    assert last["operation"] == "scale_to_sq"
    assert last["arguments"]["Q_range"] == [2.1, "8.5 1/angstrom"]


def test_what_the_user_noted_stays_and_what_describes_the_numbers_goes(
    glass: xr.Dataset,
) -> None:
    glass.S.attrs |= {"sample": "rod 3", "valid_max": 1.0, "standard_name": "counts"}
    B = glass.bp.to_bqe().bp.cut_E(3, width=1).B
    assert B.attrs["sample"] == "rod 3"
    assert not {"valid_max", "standard_name"} & set(B.attrs)


def test_errors_survive_pickling_between_workers() -> None:
    import pickle

    error = UnitsError("a", reason="b", fix="c")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert isinstance(error, ValueError)


def test_conventions_stay_with_the_data(model: xr.Dataset) -> None:
    G = model.bp.to_gdos().bp.scale(2).bp.rebin(E="1 meV")
    assert G.G.attrs["convention"] == "E*n*S/Q^2"
    assert G.G.attrs["statistics"] == "quantum"
    del G.G.attrs["convention"]
    with pytest.raises(QuantityError, match=r"attrs\['convention'\]"):
        G.bp.to_sqe()


def test_a_known_quantity_is_told_the_way_and_not_another_name(
    glass: xr.Dataset,
) -> None:
    with pytest.raises(QuantityError, match=r"data\.bp\.to_bqe\(\)") as caught:
        glass.S.bp.boson_peak()
    assert "attrs['quantity'] =" not in str(caught.value)
    with pytest.raises(QuantityError, match=r"to_bqe\(\)"):
        glass[["S", "S_std"]].bp.boson_peak()
    with pytest.raises(QuantityError, match=r"S\(Q\)") as caught:
        glass.Sq.bp.boson_peak()
    assert "attrs['quantity'] =" not in str(caught.value)


@pytest.mark.parametrize(
    ("density", "axis"),
    [
        ("1/meV", "THz"),
        ("1/THz", "meV"),
        ("1/meV", "1/cm"),
        ("barn/sr/meV", "THz"),
        ("cm", "meV"),
    ],
)
def test_a_density_is_per_unit_of_its_axis(density: str, axis: str) -> None:
    coords = COORDS | {"E": ([1.0, 2.0, 3.0], axis)}
    with pytest.raises(UnitsError, match="per unit of its axis") as caught:
        make(units=density, coords=coords)
    assert "multiply the values" in caught.value.fix
    make(units="1", coords=coords)
    make(units=f"1/({axis})", coords=coords)


def test_the_fix_of_a_density_is_right() -> None:
    E, S = np.array([1.0, 2.0, 3.0]), np.ones((2, 3))
    with pytest.raises(
        UnitsError, match=r"multiply the values by 4\.13567 and set units='1/THz'"
    ):
        make(coords=COORDS | {"E": (E, "THz")})
    one = xbp.new_dataset(
        "dynamic_structure_factor",
        S * 4.13567,
        statistics="unknown",
        units="1/THz",
        coords=COORDS | {"E": (E, "THz")},
    )
    other = make(coords=COORDS | {"E": (E * 4.13567, "meV")})
    np.testing.assert_allclose(one.bp.convert(E="meV").S, other.S, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("S(Q,E)", "dynamic_structure_factor"),
        ("S(q, ω)", "dynamic_structure_factor"),
        ("g(E)", "vibrational_dos"),
        ("C_p(T)", "heat_capacity"),
        ("heat_capacity", "heat_capacity"),
    ],
)
def test_a_quantity_is_known_by_its_symbol(given: str, name: str) -> None:
    assert find_quantity(given).name == name


@pytest.mark.parametrize("given", ["S(Q E)", "dynamicstructure_factor", "S(Q,E"])
def test_a_wrong_quantity_is_answered_with_the_nearest(given: str) -> None:
    with pytest.raises(QuantityError, match="'dynamic_structure_factor', which is S"):
        find_quantity(given)
    with pytest.raises(QuantityError, match=r"'I\(E\)', 'α\(E\)'"):
        find_quantity(3)
    for row in QUANTITIES.values():
        assert find_quantity(row.label) is row  # as that error advises


AXES = {"Q": ([1.0, 2.0], "1/angstrom"), "E": ([1.0, 2.0], "meV")}


def test_statistics_are_asked_for() -> None:
    with pytest.raises(QuantityError, match=r"statistics= is missing\n.*\n.*'quantum'"):
        xbp.new_dataset("S(Q,E)", np.ones((2, 2)), units="1/meV", coords=AXES)
    made = xbp.new_dataset(
        "S(Q,E)", np.ones((2, 2)), units="1/meV", coords=AXES, statistics="unknown"
    )
    assert "statistics" not in made.S.attrs
    with pytest.raises(QuantityError, match="statistics"):
        made.bp.to_gdos(T="300 K", u2=0)


@pytest.mark.parametrize("bare", [[1.0, 2.0], np.array([1.0, 2.0]), ([1.0, 2.0],)])
def test_bare_coordinates_are_named(bare: Any) -> None:
    said = (
        r"coordinate 'E' is given as .*, which has no units\n.*'E': \(values, 'meV'\)"
    )
    with pytest.raises(CoordinateError, match=said):
        xbp.new_dataset("g(E)", np.ones(2), units="1/meV", coords={"E": bare})


def test_errors_write_quantities_as_users_do(glass: xr.Dataset) -> None:
    for call, words in (
        (lambda: xbp.excess_dos(glass.S, 1), "'S' is S(Q,E); g(E) is needed"),
        (lambda: glass.S.bp.excess_dos(1), ".bp.excess_dos() needs g(E), not S(Q,E)"),
        (lambda: xbp.at_temperature(glass[["g"]], 300), "are S(Q,E); it has 'g': g(E)"),
    ):
        with pytest.raises(QuantityError) as caught:
            call()
        assert words in caught.value.summary
