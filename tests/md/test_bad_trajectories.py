"""Everything that can be wrong with a trajectory or an argument gets a sentence that helps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
    XbpError,
)


def with_value(name: str, value: float) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(traj: xr.Dataset) -> xr.Dataset:
        values = traj[name].values.copy()
        values[7, 3, 1] = value
        return traj.assign({name: traj[name].copy(data=values)})

    return change


def units_of(name: str, units: object) -> Callable[[xr.Dataset], xr.Dataset]:
    def change(traj: xr.Dataset) -> xr.Dataset:
        traj = traj.copy()
        traj[name] = traj[name].copy()
        if units is None:
            del traj[name].attrs["units"]
        else:
            traj[name].attrs["units"] = units
        return traj

    return change


CELL = np.diag([7.0, 8, 9])


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            with_value("position", np.nan),
            QuantityError,
            "position of atom 3 in frame 7 is nan",
        ),
        (
            with_value("position", np.inf),
            QuantityError,
            "position of atom 3 in frame 7 is inf",
        ),
        (lambda t: t.drop_vars("position"), QuantityError, "got a Dataset without"),
        (lambda t: t.position, QuantityError, "got DataArray|'trajectory'|trajectory"),
        (lambda t: t.drop_vars("cell"), QuantityError, "needs a 'cell'"),
        (
            lambda t: t.assign(cell=t.cell * 0),
            (RangeError, UnitsError),
            "volume 0|no units",
        ),
        (
            lambda t: t.assign(cell=t.cell.copy(data=np.zeros((3, 3)))),
            RangeError,
            "volume 0",
        ),
        (
            lambda t: t.assign(cell=t.cell.copy(data=np.full((3, 3), np.nan))),
            RangeError,
            "volume nan",
        ),
        (
            lambda t: t.assign(cell=t.cell.copy(data=CELL[[0, 0, 1]])),
            RangeError,
            "volume 0",
        ),
        (
            lambda t: t.drop_vars("cell").assign(cell=t.cell.isel(vector=slice(0, 2))),
            QuantityError,
            "'cell' of three vectors",
        ),
        (units_of("position", None), UnitsError, "'position' has no units"),
        (units_of("position", "ps"), UnitsError, "'position'"),
        (units_of("cell", "K"), UnitsError, "'cell'"),
        (units_of("time", "angstrom"), UnitsError, "coordinate 'time'"),
        (units_of("time", None), UnitsError, "coordinate 'time' has no units"),
        (units_of("mass", "K"), UnitsError, "'mass'"),
        (lambda t: t.isel(time=0), QuantityError, "'position' has the shape"),
        (lambda t: t.isel(time=[0]), CoordinateError, "one frame"),
        (lambda t: t.isel(time=[]), QuantityError, "empty"),
        (lambda t: t.isel(atom=[]), QuantityError, "empty"),
        (
            lambda t: t.isel(time=slice(None, None, -1)),
            CoordinateError,
            "not ascending",
        ),
        (
            lambda t: t.isel(time=[0, 1, 1, 2, 3, 4, 5, 6, 7, 8]),
            CoordinateError,
            "has duplicates",
        ),
        (
            lambda t: t.isel(time=[*range(9), 12, *range(13, 24)]),
            CoordinateError,
            "not equally spaced: 0.2 ps after frame 8",
        ),
        (lambda t: t.drop_vars("time"), CoordinateError, "no coordinate"),
        (lambda t: t.drop_vars("element"), QuantityError, "no elements"),
        (
            lambda t: t.assign_coords(element=("atom", ["Xx"] * 40)),
            QuantityError,
            "'Xx' is not an element",
        ),
        (
            lambda t: t.assign_coords(element=("atom", ["Po"] * 40)),
            QuantityError,
            "no neutron scattering length for 'Po'",
        ),
        (
            lambda t: t.assign(mass=("atom", np.zeros(40), {"units": "u"})),
            QuantityError,
            "'mass' is 0 u",
        ),
        (
            lambda t: t.assign(mass=((), 3.0, {"units": "u"})),
            QuantityError,
            "'mass' has the shape",
        ),
        (
            lambda t: t.assign_coords(temperature=-5.0),
            (UnitsError, TemperatureError),
            "temperature",
        ),
        (
            lambda t: t.assign(position=t.position.astype(complex)),
            QuantityError,
            "type complex128",
        ),
    ],
)
def test_a_bad_trajectory_is_refused(
    small: xr.Dataset,
    change: Callable[[xr.Dataset], xr.Dataset],
    error: type[XbpError],
    says: str,
) -> None:
    with pytest.raises(error, match=says):
        change(small).bp.dynamic_structure_factor(3, 0.5, window="0.4 ps")


def test_nan_velocities_are_refused_where_they_count(small: xr.Dataset) -> None:
    bad = with_value("velocity", np.nan)(small)
    with pytest.raises(QuantityError, match="velocity of atom 3 in frame 7"):
        bad.bp.current_spectra(3, 0.5, window="0.4 ps")
    bad.bp.dynamic_structure_factor(3, 0.5, window="0.4 ps")


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"Q_max": "0.1 1/angstrom"}, RangeError, "below the smallest wave vector"),
        ({"Q_max": "3 meV"}, UnitsError, "Q_max"),
        ({"Q_max": -3}, RangeError, "Q_max=-3"),
        ({"Q_max": np.nan}, UnitsError, "Q_max is nan"),
        ({"dQ": 0}, RangeError, "dQ=0"),
        (
            {"window": "20 ps"},
            RangeError,
            "window of 20 ps .*must have 4 to 24",
        ),
        (
            {"window": "0.1 ps"},
            RangeError,
            "window of 0.1 ps has 2 frames(.|\n)*frames at most 25 fs apart",
        ),
        ({"window": "10 fs"}, RangeError, "window of 0.01 ps has 0 frames"),
        ({"window": "10 meV"}, UnitsError, "window"),
        ({"window": None, "dE": "0.01 meV"}, RangeError, "must have 4 to 24"),
        ({"dE": "5 meV"}, QuantityError, "window=.*dE="),
        ({"E_max": "100 meV"}, RangeError, "E_max='100 meV'"),
        ({"resolution": "-1 meV"}, RangeError, "resolution='-1 meV'"),
        ({"resolution": "1 ps"}, UnitsError, "resolution"),
        ({"weights": "electrons"}, QuantityError, "weights='electrons'"),
        ({"weights": np.ones(3)}, QuantityError, r"shape \(3,\)"),
        ({"weights": np.zeros(40)}, QuantityError, "not all zero"),
        ({"weights": np.full(40, np.nan)}, QuantityError, "finite"),
        ({"part": "self"}, QuantityError, "part='self'"),
        (
            {"partials": True, "normalization": "bhatia"},
            QuantityError,
            "normalization='bhatia'",
        ),
        (
            {"partials": True, "normalization": "faber-ziman"},
            QuantityError,
            "normalization='faber-ziman'",
        ),
        ({"normalization": "number"}, QuantityError, "normalization='number'"),
        ({"taper": "welch"}, QuantityError, "taper='welch'"),
        ({"precision": "half"}, QuantityError, "precision='half'"),
        ({"T": "-3 K"}, TemperatureError, "T='-3 K'"),
        ({"T": "200 K"}, TemperatureError, "contradicts"),
        ({"max_wavevectors_per_shell": 0}, RangeError, "max_wavevectors_per_shell=0"),
        (
            {"max_wavevectors_per_shell": 2.5},
            RangeError,
            "max_wavevectors_per_shell=2.5",
        ),
        ({"origin_step": 2}, QuantityError, "origin_step"),
    ],
)
def test_a_bad_argument_is_refused(
    small: xr.Dataset, arguments: dict[str, object], error: type[XbpError], says: str
) -> None:
    given = {"Q_max": 3, "dQ": 0.5, "window": "0.4 ps", **arguments}
    with pytest.raises(error, match=says):
        small.bp.dynamic_structure_factor(**given)


def test_what_scatters_nothing_incoherently(small: xr.Dataset) -> None:
    oxygen = small.assign_coords(element=("atom", ["58-Ni"] * 40))
    with pytest.raises(QuantityError, match="nothing scatters incoherently"):
        oxygen.bp.dynamic_structure_factor(3, 0.5, window="0.4 ps", part="incoherent")


def test_currents_need_weights_that_are_numbers(small: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="weights='xray'"):
        small.bp.current_spectra(3, 0.5, window="0.4 ps", weights="xray")


def test_a_spectrum_is_no_trajectory(glass: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="needs a trajectory"):
        glass.bp.structure_factor(3)


@pytest.mark.slow
def test_other_units_convert(small: xr.Dataset) -> None:
    quantified = small.copy()
    quantified["position"] = (
        small.position.dims,
        small.position.values / 10,
        {"units": "nm"},
    )
    a = small.bp.structure_factor(3, 0.5)
    b = quantified.bp.structure_factor(3, 0.5)
    np.testing.assert_allclose(a.Sq.values, b.Sq.values, rtol=1e-3)


def test_a_window_that_does_not_fit_says_which_would(small: xr.Dataset) -> None:
    with pytest.raises(RangeError) as caught:
        small.bp.msd(window="0.1 ps")
    assert "window='0.3 ps'" in caught.value.fix
    small.bp.msd(window="0.3 ps")
    with pytest.raises(RangeError) as caught:
        small.bp.msd(window="20 ps")
    assert "window='0.3 ps'" in caught.value.fix
    with pytest.raises(RangeError, match=r"\(the default\) has 0 frames"):
        small.assign_coords(time=small.time * 1000).bp.msd()


def test_a_temperature_of_velocities_is_told_as_such(small: xr.Dataset) -> None:
    moving = small.drop_vars("temperature")
    found = moving.bp.msd(window="0.4 ps")
    assert found.temperature.attrs["source"] == "velocities"
    assert f"temperature {float(found.temperature):.4g} K from velocities" in repr(
        found.bp
    )
    assert "source" not in small.bp.msd(window="0.4 ps").temperature.attrs
    assert "temperature" not in moving.isel(time=[0]).bp.structure_factor(3).coords
    for wrong in (1e5, 0.0):
        odd = moving.assign(
            velocity=(moving.velocity * wrong).assign_attrs(moving.velocity.attrs)
        )
        assert "temperature" not in odd.bp.msd(window="0.4 ps").coords
