from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.core.operation import OPERATIONS, RESULTS, Operation, step_to
from xbp.core.schema import COORDINATES, QUANTITIES
from xbp.errors import QuantityError, XbpError

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
    "convolve": {"resolution": "1 meV"},
    "correct_neutron_weighting": {"partials": example("vibrational_dos")},
    "correlation_map": {"sq": example("static_structure_factor")},
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
    for one in OPERATIONS.values()
    if one.where == "data"
    and not {"trajectory", *one.takes} & {"table"}
    and not {*one.takes} & {"trajectory", *RESULTS}
    and not one.name.startswith(("to_nxspe", "to_sqw", "to_columns", "to_csv"))
]


@pytest.mark.parametrize("one", OPERATIONS.values(), ids=lambda one: one.path)
def test_operations_are_public_functions(one: Operation) -> None:
    assert operator.attrgetter(one.path.removeprefix("xbp."))(xbp) is one.function
    known = {*QUANTITIES, *RESULTS, "signal", "table", "study"}
    assert {*one.takes, *one.suggested} <= known
    assert one.gives is None or one.gives in known


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
            for words in ("this needs", "could mean", "density of states", "needs a '")
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
