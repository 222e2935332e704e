from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.history import extend_history
from xbp.core.operation import (
    RESULTS,
    Operation,
    all_operations,
    find_operation,
    operation,
    step_to,
)
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.errors import QuantityError, RangeError, XbpError

SIGNALS = [name for name in QUANTITIES if name != "trajectory"]


def example(name: str) -> xr.DataArray:
    """Make numbers that are one of the quantities, and mean nothing."""
    row = QUANTITIES[name]
    grids = {
        "Q": np.arange(1.0, 6.0, 0.25),
        "E": np.arange(0.5, 10.0, 0.25),
        "detector": np.arange(12),
    }
    coords = {
        d: (
            d,
            grids.get(d, np.arange(1.0, 9.0)),
            {"units": COORDINATES.get(d, ("1",))[0]},
        )
        for d in row.dims
    }
    shape = [np.size(coords[d][1]) for d in row.dims]
    values = np.random.default_rng(0).uniform(1, 2, shape)
    attrs = {"quantity": name, "units": row.units, "statistics": "quantum"}
    if name in ("generalized_dos", "reduced_dos"):
        attrs["convention"] = "E*n*S/Q^2" if name[0] == "g" else "n*S/(E*Q^2)"
    if name == "detector_spectra":
        angles = ("detector", np.linspace(10, 100, 12), {"units": "degree"})
        coords["two_theta"] = angles  # type: ignore[assignment]
    data = xr.DataArray(values, coords, row.dims, row.variable, attrs)
    if "temperature" in row.dims:
        return data
    return data.assign_coords(
        temperature=((), 300.0, {"units": "K"}),
        u2=((), 0.01, {"units": "angstrom**2"}),
    )


#: What operations need besides data.
ARGUMENTS: dict[str, Any] = {
    "angle_to_Q": {"Q": 0.5, "incident_energy": 30},
    "compare_models": {"models": ["gaussian"]},
    "fit_together": {"model": "lognormal"},
    "convolve": {"resolution": "1 meV"},
    "correct_neutron_weighting": {"partials": example("vibrational_dos")},
    "correlation_map": {"sq": example("static_structure_factor")},
    "excess_dos": {"debye_energy": "8 meV"},
    "harmonic_thermodynamics": {"temperature": [5.0], "area": 1},
    "fit_bqe": {"sq": example("static_structure_factor")},
    "cut_E": {"E": 3.0, "width": 1.0},
    "cut_Q": {"Q": 3.0, "width": 1.0},
    "fit": {"model": lambda x, a: a + 0 * x, "start": {"a": 1.0}},
    "heat_capacity": {"temperature": [5.0, 10.0]},
    "kinematic_limits": {"incident_energy": 30},
    "like": {"experiment": example("dynamic_structure_factor"), "resolution": "1 meV"},
    "mark_box_phonon": {"phonon": 1.5},
    "mask_elastic": {"resolution": "1 meV"},
    "multiphonon_sqe": {"Q": [1.0, 2.0]},
    "normalize_to_sum_rule": {"rule": "f-sum", "mass": "50 u"},
    "normalize_to_vanadium": {
        "vanadium": example("dynamic_structure_factor"),
        "amount": 1,
        "vanadium_amount": 1,
    },
    "rebin": {"E": 1.0},
    "scale": {"factor": 2.0},
    "scale_to_sq": {"sq": example("static_structure_factor")},
    "shift_E": {"by": 0.1},
    "at_temperature": {"T": 200},
    "subtract_elastic": {"Q_range": (1, 2), "E_range": (0.5, 1)},
    "to_convention": {"convention": "S*E/Q"},
    "to_molar": {"per": "atoms", "mass": "1 mg", "molar_mass": "60 g/mol"},
    "to_radial_distribution": {
        "r": [1.0, 2.0, 3.0],
        "number_density": "0.05 1/angstrom^3",
    },
    "to_raman_shift": {"laser": "532 nm"},
    "to_structure_factor": {
        "Q": [1.0, 2.0, 3.0],
        "number_density": "0.05 1/angstrom^3",
    },
}
OF_SIGNALS = [
    one
    for one in all_operations()
    if one.where == "data"
    and not {"trajectory", *one.takes} & {"table"}
    and not {*one.takes} & {"trajectory", *RESULTS}
    and not one.name.startswith(
        ("to_nxspe", "to_spe", "to_sqw", "to_columns", "to_csv")
    )
]


@pytest.mark.parametrize("one", all_operations(), ids=lambda one: one.path)
def test_operations_are_public_functions(one: Operation) -> None:
    assert operator.attrgetter(one.path.removeprefix("xbp."))(xbp) is one.function
    known = {*QUANTITIES, *RESULTS, "signal", "table", "study"}
    assert {*one.takes, *one.suggested} <= known
    assert one.gives is None or one.gives in known


@pytest.mark.slow
@pytest.mark.parametrize("one", OF_SIGNALS, ids=lambda one: one.name)
def test_an_operation_takes_what_it_names_and_nothing_else(one: Operation) -> None:
    for name in SIGNALS:
        data = example(name)
        if one.name == "phonon_dispersion":
            data = xr.Dataset({"C_L": data, "C_T": data.rename("C_T")})  # type: ignore[assignment]
        if one.name == "scale_to_sq" and "E" in data.dims:
            data = data.isel(E=3)
        arguments = ARGUMENTS.get(one.name, {})
        if one.name in ("subtract",):
            arguments = {"background": data}
        named = name in one.takes or "signal" in one.takes
        try:
            one.function(data, **arguments)
        except QuantityError as error:
            text = str(error)
        except XbpError:
            text = "" if named else "refuses it for another reason"
        else:
            text = "" if named else "takes it"
        refused = any(
            words in text
            for words in (
                " is needed",
                "() is needed",
                "variables that are",
                "has no Q",
                "needs a '",
            )
        )
        assert refused != named, f"{one.name} of {name}: {text}"


def test_ways_from_one_quantity_to_another() -> None:
    assert step_to("trajectory", ("dispersion",)) is None
    way = step_to("dynamic_structure_factor", ("static_structure_factor",))
    assert way == "data.bp.integrate_E() gives a 'static_structure_factor'"
    assert "to_bqe().bp.boson_peak()" in str(step_to("vibrational_dos", ["boson_peak"]))
    assert "composition=" in str(
        step_to("interference_function", ["static_structure_factor"])
    )


#: A history that would have steered some operation once.
TRAPS = "\n".join(
    extend_history(None, step, {"part": "coherent", "Q": ["1 1/angstrom", "2 1/angstrom"]})
    for step in ("models.evaluate(debye)", "to_reduced_raman", "fold", "cut_Q")
)  # fmt: skip


def with_history(data: Any) -> Any:
    data = data.copy()
    for part in (data, *getattr(data, "data_vars", {}).values()):
        part.attrs = part.attrs | {"history": TRAPS}
    return data


def without_history(data: Any) -> Any:
    if not isinstance(data, xr.DataArray | xr.Dataset):
        return data
    data = data.copy()
    for part in (data, *getattr(data, "data_vars", {}).values()):
        part.attrs.pop("history", None)
    return data


def outcome(one: Operation, data: Any, **arguments: Any) -> Any:
    try:
        return without_history(one.function(data, **arguments))
    except XbpError as error:
        return str(error)


def assert_same(one: Operation, data: Any, **arguments: Any) -> None:
    plain = outcome(one, without_history(data), **arguments)
    steered = outcome(one, with_history(data), **arguments)
    if isinstance(plain, xr.DataArray | xr.Dataset):
        xr.testing.assert_identical(plain, steered)
    elif not callable(getattr(plain, "to_html", None)):
        assert plain == steered


@pytest.mark.slow
@pytest.mark.parametrize("one", OF_SIGNALS, ids=lambda one: one.name)
def test_no_history_steers_an_operation_on_a_signal(one: Operation) -> None:
    for name in SIGNALS if "signal" in one.takes else one.takes:
        data = example(name).to_dataset()
        variable = example(name).name
        data[f"{variable}_std"] = 0.1 * data[variable].drop_attrs()
        data[f"{variable}_std"].attrs["units"] = data[variable].attrs["units"]
        if one.name == "phonon_dispersion":
            data = data.rename(C="C_L").assign(C_T=data.C)
        arguments = {"background": data} if one.name == "subtract" else {}
        assert_same(one, data, **(ARGUMENTS.get(one.name, {}) | arguments))


OF_TRAJECTORIES: dict[str, dict[str, Any]] = {
    "structure_factor": {"Q_max": 2}, "dynamic_structure_factor": {"Q_max": 1.5}, "vdos": {}, "msd": {},
    "intermediate_scattering_function": {"Q_max": 1.5}, "current_spectra": {"Q_max": 1.5},
    "radial_distribution": {}, "box_phonon": {},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_TRAJECTORIES)
def test_no_history_steers_an_operation_on_a_trajectory(name: str) -> None:
    atoms = {"cell": 12, "T": 300, "mass": 40, "time_step": 0.05, "rng": 1}
    gas = xbp.md.models.ideal_gas(20, 100, **atoms)
    window = {} if name in ("structure_factor", "radial_distribution", "msd") else {"window": "2 ps"}  # fmt: skip
    weights = {"weights": "unit"} if "weights" in find_operation("data", name).signature.parameters else {}  # fmt: skip
    if name == "vdos":
        weights = {"weights": "mass"}
    assert_same(
        find_operation("data", name), gas, **window, **weights, **OF_TRAJECTORIES[name]
    )


@pytest.mark.slow
def test_no_history_steers_an_operation_on_a_table(glass: xr.Dataset) -> None:
    peaks = glass.bp.to_bqe().bp.rebin(Q=2.0).bp.boson_peak(E_range=(1.2, 8))
    assert_same(find_operation("data", "dispersion"), peaks)
    C = glass.bp.heat_capacity(np.linspace(2, 40, 40)).bp.fit_heat_capacity()
    assert_same(find_operation("data", "fitted_dos"), C, E=np.linspace(0.1, 20, 50))


@pytest.mark.parametrize("size", [1 << 50, 1 << 62])
def test_an_array_that_no_memory_holds_is_an_error_with_the_arguments(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """One place for all operations; what else is a ValueError stays one."""
    monkeypatch.setattr("xbp.core.operation._REGISTERED", {})

    @operation(takes="signal")
    def spread(data: object, n: int) -> object:
        if n < 0:
            raise ValueError("another")
        return np.zeros((n, 8))

    with pytest.raises(RangeError, match=f"spread\\(n={size}\\) needs more memory"):
        spread(None, size)
    with pytest.raises(ValueError, match="another"):
        spread(None, -1)
