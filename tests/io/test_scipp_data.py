from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import MissingDependencyError, QuantityError, XbpError


def test_it_is_optional(monkeypatch: pytest.MonkeyPatch, glass: xr.Dataset) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipp", None)
    for call in (lambda: xbp.to_scipp(glass), lambda: xbp.from_scipp(glass)):
        with pytest.raises(MissingDependencyError, match=r"xarray-bosonpeak\[scipp\]"):
            call()


@pytest.fixture
def sc() -> object:
    return pytest.importorskip("scipp")


@pytest.mark.slow
def test_there_and_back_is_identical(
    sc: object, glass: xr.Dataset, model: xr.Dataset
) -> None:
    signals = [
        glass[["S", "S_std"]], glass.bp.to_bqe()[["B", "B_std"]], glass.S, glass[["g", "g_std"]],
        model[["S"]], glass.bp.convert(E="THz", Q="1/nm")[["S", "S_std"]],
        glass.bp.to_bqe()[["B", "B_std"]].bp.cut_Q((2, 8)), glass.bp.rebin(E=[1, 2, 4, 9.3])[["S", "S_std"]],
        glass[["S", "S_std"]].isel(Q=[0, 1, 2, 7, 8]),
    ]  # fmt: skip
    for signal in signals:
        xr.testing.assert_identical(xbp.from_scipp(signal.bp.to_scipp()), signal)


def test_variances_edges_and_units(sc: object, glass: xr.Dataset) -> None:
    there = glass.bp.to_scipp()
    np.testing.assert_array_equal(there.variances, glass.S_std.values**2)
    assert there.sizes == {"Q": 169, "E": 146}
    assert there.coords.is_edges("Q")
    assert str(there.unit) == "1/meV"
    np.testing.assert_array_equal(
        there.coords["Q"].values, np.append(glass.Q_bnds[:, 0], glass.Q_bnds[-1, 1])
    )
    assert float(there.coords["temperature"].value) == 300


def test_what_was_done_in_scipp_is_seen(sc: object, glass: xr.Dataset) -> None:
    there = glass.bp.to_scipp()
    per_ev = xbp.from_scipp(there.to(unit="1/eV"))
    assert per_ev.S.attrs["units"] == "1/eV"
    np.testing.assert_allclose(per_ev.S, glass.S * 1000, rtol=1e-12)
    np.testing.assert_allclose(
        xbp.from_scipp(there * 2.0).S_std, 2 * glass.S_std, rtol=1e-12
    )
    there.masks["bad"] = there.coords["E"] > sc.scalar(30.0, unit="meV")  # type: ignore[attr-defined]
    back = xbp.from_scipp(there)
    assert back.S.sel(E=slice(31, None)).isnull().all()
    assert back.S.sel(E=slice(None, 29)).notnull().all()


def test_of_others(sc: object) -> None:
    there = sc.DataArray(  # type: ignore[attr-defined]
        sc.ones(
            dims=["Q", "energy_transfer"],
            shape=[2, 3],
            with_variances=True,
            unit="counts",
        ),  # type: ignore[attr-defined]
        coords={
            "Q": sc.array(dims=["Q"], values=[1.0, 2.0], unit="1/angstrom"),  # type: ignore[attr-defined]
            "energy_transfer": sc.array(
                dims=["energy_transfer"], values=[0.0, 1, 3, 4], unit="meV"
            ),  # type: ignore[attr-defined]
        },
    )
    ds = xbp.from_scipp(
        there, "dynamic_structure_factor", T="10 K", statistics="quantum"
    )
    np.testing.assert_array_equal(ds.E, [0.5, 2.0, 3.5])
    np.testing.assert_array_equal(ds.E_bnds[1], [1, 3])
    assert (float(ds.temperature), ds.S.attrs["statistics"], ds.Q.attrs["units"]) == (
        10,
        "quantum",
        "1/angstrom",
    )
    ds.bp.cut_E((0, 3))
    with pytest.raises(QuantityError, match="quantity"):
        xbp.from_scipp(there)
    with pytest.raises(QuantityError, match="dense"):
        xbp.from_scipp(5)
    with pytest.raises(XbpError):
        xbp.from_scipp(there, "vibrational_dos" * 2)
    there.coords["xbp"] = sc.scalar("{")  # type: ignore[attr-defined]
    with pytest.raises(QuantityError, match="to_scipp"):
        xbp.from_scipp(there)


def test_dask_is_computed(sc: object, glass: xr.Dataset) -> None:
    xr.testing.assert_identical(
        xbp.from_scipp(glass[["S", "S_std"]].chunk().bp.to_scipp()),
        glass[["S", "S_std"]],
    )


def test_a_dataset_of_scipp(glass: xr.Dataset) -> None:
    scipp = pytest.importorskip("scipp")
    S, g = (glass[[name, f"{name}_std"]] for name in ("S", "g"))
    several = {"map": S.bp.to_scipp(), "dos": g.bp.to_scipp()}
    one = scipp.Dataset({"dos": several["dos"]})
    np.testing.assert_array_equal(xbp.from_scipp(one).g, g.g)
    both = scipp.Dataset({"a": several["dos"], "b": 2.0 * several["dos"]})
    np.testing.assert_array_equal(xbp.from_scipp(both, name="b").g, 2 * g.g)
    with pytest.raises(QuantityError, match="name= is needed: one of 'a', 'b'"):
        xbp.from_scipp(both)
    with pytest.raises(QuantityError, match="name="):
        xbp.from_scipp(several["map"], name="map")


def test_axes_of_another_program_may_descend() -> None:
    """Edges, points, values, variances and masks are turned round together."""
    scipp = pytest.importorskip("scipp")
    values = np.arange(1.0, 4.0)
    for edges in ([4.0, 2, 1, 0], [3.0, 2, 1]):
        body = scipp.array(dims=["E"], values=values, variances=values, unit="1/meV")
        axis = scipp.array(dims=["E"], values=edges, unit="meV")
        data = scipp.DataArray(body, coords={"E": axis})
        data.masks["bad"] = scipp.array(dims=["E"], values=[True, False, False])
        ds = xbp.from_scipp(data, "vibrational_dos")
        np.testing.assert_array_equal(ds.g.values, [3, 2, np.nan])
        np.testing.assert_allclose(ds.g_std.values, [3**0.5, 2**0.5, np.nan])
        if len(edges) == 4:
            np.testing.assert_array_equal(ds.E_bnds.values, [[0, 1], [1, 2], [2, 4]])
        assert (np.diff(ds.E) > 0).all()


def test_a_list_of_events_is_no_spectrum() -> None:
    scipp = pytest.importorskip("scipp")
    energies = scipp.arange("event", 5.0, unit="meV")
    events = scipp.ones(dims=["event"], shape=[5], unit="counts")
    data = scipp.DataArray(events, coords={"energy_transfer": energies})
    with pytest.raises(QuantityError, match=r"list of events\n.*hist"):
        xbp.from_scipp(data, "dynamic_structure_factor", statistics="quantum")


@pytest.mark.parametrize("std", [1e-200, 1e200])
def test_errors_whose_squares_are_not_numbers_are_refused(std: float) -> None:
    """A variance would be 0, as of an exact value, or infinite."""
    pytest.importorskip("scipp")
    ds = xbp.new_dataset(
        "vibrational_dos",
        [1.0, 2.0],
        std=[std, 1.0],
        units="1/meV",
        coords={"E": ([1.0, 2.0], "meV")},
    )
    with pytest.raises(QuantityError, match="too large or small to square"):
        ds.bp.to_scipp()
