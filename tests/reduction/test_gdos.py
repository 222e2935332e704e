from __future__ import annotations

import numpy as np
import pytest
import scipy.constants as const
import xarray as xr

import xbp
from xbp.core.units import convert_factor
from xbp.errors import (
    CoordinateError,
    QuantityError,
    RangeError,
    TemperatureError,
    UnitsError,
)

K_B = const.k / const.e * 1e3


def by_hand(S: xr.DataArray, T: float, u2: float) -> np.ndarray:
    """Eq. 1 as the paper prints it, on the arrays."""
    Q, E = S.Q.values[:, None], S.E.values[None, :]
    return np.exp(Q**2 * u2) * E / Q**2 * (1 - np.exp(-E / (K_B * T))) * S.values


def test_gdos_is_eq_1(model: xr.Dataset) -> None:
    G = model.S.bp.to_gdos()
    np.testing.assert_allclose(G.values, by_hand(model.S, 300.0, 0.012), rtol=1e-12)
    assert G.attrs["units"] == "angstrom**2"
    assert G.attrs["quantity"] == "generalized_dos"


def test_bqe_is_eq_1_over_e_squared(model: xr.Dataset) -> None:
    B = model.S.bp.to_bqe()
    np.testing.assert_allclose(
        B.values, by_hand(model.S, 300.0, 0.012) / model.E.values**2, rtol=1e-12
    )
    np.testing.assert_allclose(
        B.values, model.S.bp.to_gdos().bp.to_bqe().values, rtol=1e-12
    )
    assert B.attrs["units"] == "angstrom**2/meV**2"


def test_classical_data_take_the_classical_factor(model: xr.Dataset) -> None:
    classical = model.S.assign_attrs(statistics="classical")
    x = model.E.values / (K_B * 300.0)
    ratio = model.S.bp.to_gdos() / classical.bp.to_gdos(reversed_below=None)
    ratio = ratio.values
    np.testing.assert_allclose(
        ratio, np.broadcast_to((1 - np.exp(-x)) / x, ratio.shape), rtol=1e-12
    )


def test_quantum_factor_on_classical_data_is_off_as_the_design_says() -> None:
    S = xbp.models.dynamic_structure_factor(
        [2.0, 3.0],
        [3.5, 40.0],
        energy=5,
        width=6,
        T="300 K",
        u2="0 angstrom^2",
        statistics="classical",
    ).S
    wrong = S.assign_attrs(statistics="quantum").bp.to_gdos() / S.bp.to_gdos()
    np.testing.assert_allclose(wrong.isel(Q=0), [0.935, 0.509], atol=5e-4)


def test_b_is_finite_at_zero_and_has_its_limit() -> None:
    S = xbp.models.dynamic_structure_factor(
        [2.0, 3.0],
        [-0.5, 0.0, 0.5],
        energy=0.4,
        width=0.5,
        T="300 K",
        u2="0.01 angstrom^2",
        shape="gaussian",
    ).S
    B = S.bp.to_bqe()
    limit = np.exp(S.Q**2 * 0.01) * S.sel(E=0) / (S.Q**2 * K_B * 300.0)
    np.testing.assert_allclose(B.sel(E=0), limit, rtol=1e-12)
    assert S.bp.to_gdos().bp.to_bqe().sel(E=0).isnull().all()


@pytest.mark.parametrize("statistics", ["quantum", "classical"])
@pytest.mark.parametrize(
    "through",
    [["to_bqe"], ["to_gdos"], ["to_gdos", "to_bqe"], ["to_bqe", "to_gdos", "to_bqe"]],
)
def test_there_and_back_is_the_identity(
    model: xr.Dataset, statistics: str, through: list[str]
) -> None:
    S = model.S.assign_attrs(statistics=statistics)
    if statistics == "classical":
        S = S.copy(data=(S + S.values[:, ::-1]).values)
    data = S
    for step in through:
        data = getattr(data.bp, step)()
    np.testing.assert_allclose(data.bp.to_sqe().values, S.values, rtol=1e-12)
    assert data.bp.to_sqe().attrs["units"] == "1/meV"


def test_gdos_is_even_under_detailed_balance(model: xr.Dataset) -> None:
    G = model.S.bp.to_gdos()
    np.testing.assert_allclose(G.values, G.values[:, ::-1], rtol=1e-12)


@pytest.mark.parametrize(
    "convention", ["S*E/Q", "S*n/(E*Q)", "E*n*S/Q^2", "n*S/(E*Q^2)", "n*S/E"]
)
def test_every_convention_and_its_inverse(model: xr.Dataset, convention: str) -> None:
    E, Q = model.E, model.Q
    n = 1 - np.exp(-E / (K_B * 300.0))
    dw = np.exp(Q**2 * 0.012)
    expected = {
        "S*E/Q": model.S * E / Q,
        "S*n/(E*Q)": model.S * n / (E * Q),
        "E*n*S/Q^2": dw * E * n * model.S / Q**2,
        "n*S/(E*Q^2)": dw * n * model.S / (E * Q**2),
        "n*S/E": n * model.S / E,
    }[convention]
    reduced = model.bp.to_convention(convention)
    name = "G" if convention.startswith(("S*E", "E*n")) else "B"
    np.testing.assert_allclose(
        reduced[name].values, expected.transpose(*model.S.dims).values, rtol=1e-12
    )
    assert reduced[name].attrs["convention"] == convention
    np.testing.assert_allclose(reduced.bp.to_sqe().S.values, model.S.values, rtol=1e-12)
    np.testing.assert_allclose(
        reduced.bp.to_bqe().B.values, model.bp.to_bqe().B.values, rtol=1e-12
    )


def test_a_spectrum_without_q_has_one_way_to_its_boson_peak() -> None:
    E = np.arange(-20.25, 20.3, 0.5)
    exact = xbp.models.dynamic_structure_factor(
        np.linspace(1, 5, 9), E, energy="5 meV", width="5 meV", T="300 K", u2=0.01
    )
    summed = exact.S.sum("Q", keep_attrs=True).drop_vars("u2")
    for refused in (summed.bp.boson_peak, lambda: xbp.boson_peak(summed)):
        with pytest.raises(QuantityError, match=r"to_convention\('n\*S/E'\)"):
            refused()
    for refused in (summed.bp.to_bqe, summed.bp.to_gdos):
        with pytest.raises(CoordinateError, match=r"to_convention\('n\*S/E'\)"):
            refused()
    assert ".bp.to_convention('n*S/E')" in str(summed.bp)
    shape = summed.bp.to_convention("n*S/E")
    of_q = exact.bp.to_bqe().B.isel(Q=0)
    ratio = shape / of_q
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    peak = shape.bp.boson_peak(E_range=(2, 12))
    assert float(peak.energy) == pytest.approx(5, rel=1e-3)
    np.testing.assert_allclose(shape.bp.to_sqe(), summed, rtol=1e-12)
    cut = exact.bp.cut_Q((2, 3))
    with pytest.raises(CoordinateError, match="reduce first, then cut"):
        cut.bp.to_bqe()


def test_conventions_ask_only_for_what_they_need(model: xr.Dataset) -> None:
    bare = model.S.drop_vars(["temperature", "u2"])
    assert bare.bp.to_convention("S*E/Q").attrs["units"] == "angstrom"
    with pytest.raises(TemperatureError, match="not known"):
        bare.bp.to_convention("S*n/(E*Q)")
    assert bare.bp.to_convention("S*n/(E*Q)", T=300).attrs["units"] == "angstrom/meV**2"


@pytest.mark.parametrize(
    "u2",
    [
        {"u2": "0.012 angstrom^2"}, {"u2": 0.012}, {"u2": "1.2e-4 nm^2"}, {"u2_total": "0.036 angstrom^2"},
        {"msd": "0.072 angstrom^2"}, {"B_iso": f"{8 * np.pi**2 * 0.012} angstrom^2"},
        {"u2": xr.DataArray(0.012, attrs={"units": "angstrom^2"})},
    ],
    ids=str,
)  # fmt: skip
def test_u2_in_every_convention(model: xr.Dataset, u2: dict[str, object]) -> None:
    bare = model.S.drop_vars("u2")
    xr.testing.assert_allclose(bare.bp.to_gdos(**u2), model.S.bp.to_gdos(), rtol=1e-12)


def test_bare_u2_is_in_the_unit_of_q(model: xr.Dataset) -> None:
    in_nm = model.S.drop_vars("u2").bp.convert(Q="1/nm")
    np.testing.assert_allclose(
        in_nm.bp.to_gdos(u2=1.2e-4).values * 100,
        model.S.bp.to_gdos().values,
        rtol=1e-12,
    )


def test_std_takes_the_same_factor_and_is_never_negative(model: xr.Dataset) -> None:
    noisy = xbp.models.with_counting_noise(model, counts=1e4, rng=0)
    for reduced in (
        noisy.bp.to_gdos(),
        noisy.bp.to_bqe(),
        noisy.bp.to_convention("S*E/Q"),
    ):
        name = "B" if "B" in reduced else "G"
        ok = noisy.S > 0
        np.testing.assert_allclose(
            (reduced[f"{name}_std"] / abs(reduced[name])).where(ok),
            (noisy.S_std / noisy.S).where(ok),
            rtol=1e-12,
        )
        assert (reduced[f"{name}_std"] >= 0).all()
        assert reduced[f"{name}_std"].attrs["units"] == reduced[name].attrs["units"]
        assert reduced[name].attrs["ancillary_variables"] == f"{name}_std"
        assert "S" not in reduced
        assert "S_std" not in reduced


def test_temperature_from_coordinate_argument_or_scan(model: xr.Dataset) -> None:
    bare = model.S.drop_vars("temperature")
    xr.testing.assert_allclose(bare.bp.to_gdos(T="300 K"), model.S.bp.to_gdos())
    scan = xr.concat(
        [bare, bare], dim=xr.Variable("temperature", [150.0, 300.0], {"units": "K"})
    )
    G = scan.bp.to_gdos()
    assert set(G.dims) == {"temperature", "Q", "E"}
    for T in (150.0, 300.0):
        np.testing.assert_allclose(
            G.sel(temperature=T).transpose("Q", "E").values,
            by_hand(bare, T, 0.012),
            rtol=1e-12,
        )


@pytest.mark.parametrize("T", ["0 K", -5, "-300 K", float("nan"), "300 meV", "hot"])
def test_bad_temperatures(model: xr.Dataset, T: object) -> None:
    with pytest.raises((TemperatureError, UnitsError)):
        model.S.drop_vars("temperature").bp.to_gdos(T=T)


def test_two_temperatures_contradict(model: xr.Dataset) -> None:
    with pytest.raises(TemperatureError, match="290 K from T= contradicts"):
        model.bp.to_gdos(T="290 K")
    xr.testing.assert_identical(model.bp.to_gdos(T="300 K"), model.bp.to_gdos())


def test_missing_or_contradictory_conditions(model: xr.Dataset) -> None:
    with pytest.raises(QuantityError, match="u2 is not known"):
        model.S.drop_vars("u2").bp.to_gdos()
    with pytest.raises(QuantityError, match=r"only one of u2=.*msd="):
        model.S.drop_vars("u2").bp.to_gdos(u2=0.01, msd=0.06)
    with pytest.raises(QuantityError, match="contradicts"):
        model.bp.to_gdos(u2="0.02 angstrom^2")
    with pytest.raises(QuantityError, match="zero or positive"):
        model.S.drop_vars("u2").bp.to_gdos(u2=-0.01)
    no_statistics = model.S.copy()
    del no_statistics.attrs["statistics"]
    with pytest.raises(QuantityError, match="statistics"):
        no_statistics.bp.to_gdos()


def test_a_mean_over_q_is_not_reduced_afterwards(model: xr.Dataset) -> None:
    with pytest.raises(CoordinateError, match="reduce first, then cut"):
        model.bp.cut_Q((2, 5)).bp.to_gdos()


def test_g_of_e_gives_g_over_e_squared(glass: xr.Dataset) -> None:
    reduced = glass.g.bp.to_bqe()
    np.testing.assert_allclose(
        reduced.values[1:], glass.g.values[1:] / glass.E.values[1:] ** 2, rtol=1e-14
    )
    assert reduced.attrs["units"] == "1/meV**3"
    with pytest.raises(QuantityError, match=r"not g\(E\)"):
        glass.g.bp.to_gdos()


def test_q_zero_is_nan_and_nothing_else(model: xr.Dataset) -> None:
    values = np.vstack([np.ones(model.sizes["E"]), model.S.values])
    S = xbp.new_dataset(
        "dynamic_structure_factor", values, units="1/meV", statistics="quantum", temperature=300,
        coords={"Q": (np.append(0.0, model.Q), "1/angstrom"), "E": (model.E.values, "meV")},
    ).S  # fmt: skip
    G = S.bp.to_gdos(u2="0.012 angstrom^2")
    assert G.isel(Q=0).isnull().all()
    np.testing.assert_allclose(
        G.isel(Q=slice(1, None)), model.S.bp.to_gdos(), rtol=1e-12
    )


def test_input_is_left_alone(model: xr.Dataset) -> None:
    before = model.copy(deep=True)
    model.S.values.flags.writeable = False
    model.bp.to_gdos().bp.to_bqe().bp.to_sqe()
    xr.testing.assert_identical(model, before)


def test_nan_stays_nan(model: xr.Dataset) -> None:
    holes = model.copy(deep=True)
    holes.S[3, 5:9] = np.nan
    np.testing.assert_array_equal(holes.bp.to_bqe().B.isnull(), holes.S.isnull())


@pytest.mark.parametrize("unit", ["meV", "THz"])
def test_energy_gain_of_a_cold_sample_is_no_part_of_g(unit: str) -> None:
    """At 5 K 1 − e^(−x) makes 10³⁰ of a background at −30 meV; up to 3 k_BT G is even as it was."""
    E = np.arange(-29.9, 30, 0.2)
    S = xbp.models.dynamic_structure_factor(
        [2.0, 3.0], E, energy=5, width=6, T="5 K", u2="0.01 angstrom^2"
    )
    spoiled = (S.S + 0.01 * S.S.max()).assign_attrs(S.S.attrs).bp.convert(E=unit)
    left = np.arange(E.size) >= np.searchsorted(E, -3 * const.k * 5 / const.e * 1e3)
    for B in (
        spoiled.bp.to_gdos(),
        spoiled.bp.to_bqe(),
        spoiled.bp.to_convention("S*n/(E*Q)"),
    ):
        np.testing.assert_array_equal(B.notnull().all("Q"), left)
        assert "(3 k_BT)" in B.attrs["energy_gain"]
        assert B.attrs["energy_gain"] in B.attrs["history"].splitlines()[-1]
        assert "energy gain: NaN below -" in repr(B.bp)
        below = convert_factor("meV", unit, name="E", energy=True)
        number = float(B.attrs["energy_gain"].split()[2])
        assert number == pytest.approx(-1.2926 * below, rel=5e-3)
    G = S.bp.to_gdos().G.isel(Q=0)
    np.testing.assert_allclose(
        G.sel(E=slice(-1.2, 0))[::-1], G.sel(E=slice(0, 1.2)), rtol=1e-9
    )
    assert "energy gain: NaN below -1.29 meV (3 k_BT)" in repr(
        S.bp.to_gdos().bp.to_bqe().bp.cut_Q((1.5, 3.5)).bp
    )
    # Nothing is left out where nothing is multiplied, of classical data, or where the data do not reach there.
    assert spoiled.bp.to_convention("S*E/Q").notnull().all()
    assert "energy_gain" not in spoiled.bp.to_convention("S*E/Q").attrs
    assert spoiled.assign_attrs(statistics="classical").bp.to_gdos().notnull().all()
    warm = spoiled.assign_coords(temperature=((), 300.0, {"units": "K"})).bp.to_gdos()
    assert warm.notnull().all()
    assert "energy_gain" not in warm.attrs
    scan = xr.concat(
        [spoiled, spoiled.assign_coords(temperature=((), 300.0, {"units": "K"}))],
        dim="temperature",
    )
    both = scan.bp.to_gdos()
    assert both.notnull().all(("E", "Q")).values.tolist() == [False, True]
    assert "..." in both.attrs["energy_gain"]


def test_errors_of_T_and_u2_are_differences_that_stay_above_zero(
    model: xr.Dataset,
) -> None:
    """Half of T, or of u², is the largest step; the error is linear in it."""
    noisy = xbp.models.with_counting_noise(model, counts=1e4, rng=1).drop_vars(
        ["temperature", "u2"], errors="ignore"
    )

    def reduced(T: float, u2: float, **errors: float) -> xr.Dataset:
        return noisy.bp.to_bqe(T=T, u2=u2, **errors)

    own = reduced(100, 0.01).B_std
    for errors, low, high, times in (
        ({"T_std": 150.0}, (50.0, 0.01), (150.0, 0.01), 3.0),
        ({"T_std": 20.0}, (80.0, 0.01), (120.0, 0.01), 1.0),
        ({"u2_std": 0.02}, (100.0, 0.005), (100.0, 0.015), 4.0),
        ({"u2_std": 0.002}, (100.0, 0.008), (100.0, 0.012), 1.0),
    ):
        both = reduced(100, 0.01, **errors).B_std
        shared = times * (reduced(*high).B - reduced(*low).B) / 2
        loss = slice(0, None)  # as of gain, 3 k_BT differ
        np.testing.assert_allclose(
            both.sel(E=loss), np.hypot(own, shared).sel(E=loss), rtol=1e-6
        )


@pytest.mark.parametrize(
    "given",
    [
        {"T": "100 K"},
        {"u2": "0.5 angstrom^2"},
        {"msd": "0.5 angstrom^2"},
        {"T_std": "5 K"},
        {"u2_std": "0.001 angstrom^2"},
    ],
)
def test_what_a_step_does_not_need_may_not_contradict(
    model: xr.Dataset, given: dict[str, str]
) -> None:
    with pytest.raises((QuantityError, TemperatureError)):
        model.bp.to_bqe().bp.to_gdos(**given)


def test_what_a_step_does_not_need_may_agree(model: xr.Dataset) -> None:
    B = model.bp.to_bqe()
    same = B.bp.to_gdos(T="300 K", u2="0.012 angstrom^2").G
    np.testing.assert_array_equal(same, B.bp.to_gdos().G)
    with pytest.raises(QuantityError, match="not used"):
        B.drop_vars("temperature").bp.to_gdos(T="300 K")


def test_a_displacement_whose_factor_overflows_is_refused() -> None:
    """All values were NaN, without a word."""
    S = xbp.models.dynamic_structure_factor(
        [2.0, 4.0], [3.0, 6.0], energy=5, width=5, T=300, u2=0.01
    ).drop_vars("u2")
    with pytest.raises(RangeError, match="infinite above 0"):
        S.bp.to_gdos(u2="1e4 angstrom^2")


def test_the_error_of_u2_comes_with_it() -> None:
    """Of a table or an array that carries it: one error, relative Q² times that of u²."""
    Q, E = np.linspace(1, 8, 15), np.linspace(2, 9, 8)
    S = xbp.models.dynamic_structure_factor(
        Q, E, energy=5, width=6, T=300, u2=0.008
    ).drop_vars("u2")
    S = xbp.models.with_counting_noise(S, counts=1e5, rng=1)
    table = xr.Dataset(
        {"u2": 0.008, "u2_std": 0.001}, attrs={"quantity": "debye_waller"}
    )
    for name in table:
        table[name].attrs["units"] = "angstrom**2"
    table.u2.attrs["ancillary_variables"] = "u2_std"
    array = table.u2.assign_coords(u2_std=table.u2_std)
    for found in (S.bp.to_bqe(u2=table), S.bp.to_bqe(u2=array)):
        (common,) = found.B_std_common.transpose("source", ...)
        want = (0.001 * found.Q**2).broadcast_like(found.B)
        np.testing.assert_allclose(common / found.B, want, 1e-3)
        assert float(found.u2_std) == 0.001
        assert not found.bp.diagnostics()
    alone = S.bp.to_bqe(u2=table.u2)
    assert "B_std_common" not in alone
    assert [one.code for one in alone.bp.diagnostics()] == ["error_left_behind"]
    of_c = S.bp.subtract_Q_independent(u2=table)
    assert "S_std_common" in of_c
    with pytest.raises(QuantityError, match="u2_total"):
        S.bp.to_bqe(u2_total=array)


def test_a_number_with_its_error_in_brackets_is_not_a_product() -> None:
    with pytest.raises(UnitsError, match=r"0.012\(1\)"):
        xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe(u2="0.012(1) angstrom^2")


def test_the_reduced_density_of_a_plane_has_no_power_of_the_energy() -> None:
    """B = n S/Q², in the units of S times those of 1/Q²."""
    E, Q = np.array([2.0, 4.0]), np.array([[1.0], [2.0]])
    plane = xbp.new_dataset(
        "dynamic_structure_factor", np.ones((2, 2)), units="1/meV", temperature="100 K",
        statistics="quantum",
        coords={"Q": (Q[:, 0], "1/angstrom"), "E": (E, "meV")},
    )  # fmt: skip
    plane.S.attrs["dimension"] = 2
    B = plane.bp.to_bqe(u2="0 angstrom^2").B
    np.testing.assert_allclose(B, (1 - np.exp(-E / (K_B * 100))) / Q**2)
    assert convert_factor(B.attrs["units"], "angstrom^2/meV", name="B") == 1
