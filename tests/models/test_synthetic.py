from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest
import scipy.integrate
import xarray as xr

import xbp
from xbp.core.history import parse_history
from xbp.errors import QuantityError, RangeError, UnitsError

Q, E = np.linspace(1.5, 8.5, 36), np.arange(-19.75, 20, 0.5)


def test_eq_2() -> None:
    sq = xbp.models.hard_sphere_structure_factor(Q)
    B = xbp.models.reduced_dos(
        Q,
        E,
        energy="5 meV",
        width="4 meV",
        scale="2 angstrom^2/meV^2",
        shape="gaussian",
        structure_factor=sq,
    ).B
    f = np.exp(-((np.abs(E) - 5) ** 2) * 4 * np.log(2) / 4**2)
    np.testing.assert_allclose(B.values, 2 * sq.Sq.values[:, None] * f, rtol=1e-12)


@pytest.mark.parametrize("shape", ["lognormal", "gaussian"])
def test_width_is_the_full_width_at_half_maximum(shape: str) -> None:
    fine = np.linspace(0.001, 30, 300001)
    B = xbp.models.reduced_dos([3.0, 4.0], fine, energy=6, width=5, shape=shape).B.isel(
        Q=0
    )
    above = fine[B.values >= B.values.max() / 2]
    assert above[-1] - above[0] == pytest.approx(5, abs=1e-3)
    assert fine[int(B.values.argmax())] == pytest.approx(6, abs=1e-3)


def test_eq_3_is_the_inverse_of_the_reduction() -> None:
    S = xbp.models.dynamic_structure_factor(Q, E, energy=5, width=4, T=300, u2=0.01)
    B = xbp.models.reduced_dos(Q, E, energy=5, width=4).B
    np.testing.assert_allclose(S.bp.to_bqe().B.values, B.values, rtol=1e-12)
    kT = 0.08617333262 * 300
    by_hand = (
        E
        * Q[:, None] ** 2
        * np.exp(-(Q[:, None] ** 2) * 0.01)
        / (1 - np.exp(-E / kT))
        * B.values
    )
    np.testing.assert_allclose(S.S.values, by_hand, rtol=1e-9)


@pytest.mark.parametrize("statistics", ["quantum", "classical"])
def test_detailed_balance_or_evenness(statistics: str) -> None:
    S = xbp.models.dynamic_structure_factor(
        Q, E, energy=5, width=4, T=100, u2=0.01, statistics=statistics
    ).S
    kT = 0.08617333262 * 100
    ratio = S.values[:, ::-1] / S.values
    expected = np.exp(-E / kT) if statistics == "quantum" else np.ones(E.size)
    np.testing.assert_allclose(ratio, np.broadcast_to(expected, ratio.shape), rtol=1e-8)


def test_other_axes_give_the_same_density() -> None:
    reference = xbp.models.dynamic_structure_factor(
        Q, E, energy="5 meV", width="4 meV", T=300, u2="0.01 angstrom^2"
    )
    thz = 0.2417989242084918
    other = xbp.models.dynamic_structure_factor(
        xr.DataArray(Q * 10, dims="Q", attrs={"units": "1/nm"}), xr.DataArray(E * thz, dims="E", attrs={"units": "THz"}),
        energy="5 meV", width="4 meV", T="26.85 degC", u2="1e-4 nm^2",
    )  # fmt: skip
    assert other.S.attrs["units"] == "1/THz"
    np.testing.assert_allclose(
        other.S.values, reference.bp.convert(E="THz").S.values, rtol=1e-9
    )


def test_percus_yevick() -> None:
    """Compressibility limit S(0) = (1−η)⁴/(1+2η)², S(∞) = 1, and the direct correlation function by quadrature."""
    for eta in (0.1, 0.3, 0.5):
        sq = xbp.models.hard_sphere_structure_factor(
            [1e-6, 3.0, 500.0], diameter="2.6 angstrom", packing_fraction=eta
        ).Sq
        assert float(sq[0]) == pytest.approx(
            (1 - eta) ** 4 / (1 + 2 * eta) ** 2, rel=1e-6
        )
        a, b = (
            (1 + 2 * eta) ** 2 / (1 - eta) ** 4,
            -6 * eta * (1 + eta / 2) ** 2 / (1 - eta) ** 4,
        )
        x = 3.0 * 2.6

        def integrand(s, a=a, b=b, eta=eta, x=x):
            return -(a + b * s + eta * a / 2 * s**3) * s * np.sin(x * s) / x

        c = scipy.integrate.quad(integrand, 0, 1)[0]
        assert float(sq[1]) == pytest.approx(1 / (1 - 24 * eta * c), rel=1e-9)
        assert float(sq[2]) == pytest.approx(1, abs=5e-3)


def test_elastic_line_has_the_fwhm_and_decay_it_says() -> None:
    fine = np.linspace(-5, 5, 10001)
    line = xbp.models.elastic_line(
        [1.0, 3.0], fine, u2="0.01 angstrom^2", resolution="1 meV", scale=2
    ).S
    above = fine[line.isel(Q=0).values >= float(line.isel(Q=0).max()) / 2]
    assert above[-1] - above[0] == pytest.approx(1, abs=2e-3)
    np.testing.assert_allclose(
        line.integrate("E"), 2 * np.exp(-np.array([1, 9]) * 0.01), rtol=1e-6
    )


@pytest.mark.slow
def test_counting_noise_is_poisson() -> None:
    S = xbp.models.dynamic_structure_factor(Q, E, energy=5, width=4, T=300, u2=0.01)
    draws = [xbp.models.with_counting_noise(S, counts=400, rng=s) for s in range(300)]
    stack = np.stack([d.S.values for d in draws])
    # The mean of N draws is off by std/√N; in a few thousand bins up to 5 of these.
    pull = (stack.mean(0) - S.S.values) / (draws[0].S_std.values / np.sqrt(300))
    assert np.abs(pull).max() < 5
    np.testing.assert_allclose(
        stack.std(0).mean() / draws[0].S_std.values.mean(), 1, rtol=0.01
    )
    at = np.unravel_index(S.S.values.argmax(), S.S.shape)
    assert (S.S.values / draws[0].S_std.values)[at] ** 2 == pytest.approx(400)
    assert not np.array_equal(stack[0], stack[1])
    np.testing.assert_array_equal(
        xbp.models.with_counting_noise(S, counts=400, rng=0).S.values, stack[0]
    )


def test_bad_calls() -> None:
    with pytest.raises(RangeError, match="packing_fraction"):
        xbp.models.hard_sphere_structure_factor(Q, packing_fraction=0.7)
    with pytest.raises(RangeError, match="must be positive"):
        xbp.models.reduced_dos(Q, E, energy="-5 meV", width=4)
    with pytest.raises(UnitsError, match="energy"):
        xbp.models.reduced_dos(Q, E, energy="5 K", width=4)
    with pytest.raises(QuantityError, match="shape="):
        xbp.models.reduced_dos(Q, E, energy=5, width=4, shape="voigt")
    with pytest.raises(RangeError, match="the Q grid of structure_factor"):
        xbp.models.reduced_dos(
            Q,
            E,
            energy=5,
            width=4,
            structure_factor=xbp.models.hard_sphere_structure_factor(Q[1:]),
        )
    S = xbp.models.dynamic_structure_factor(Q, E, energy=5, width=4, T=300, u2=0.01)
    with pytest.raises(QuantityError, match="neither negative"):
        xbp.models.with_counting_noise(S.bp.scale(-1), counts=10, rng=0)


def test_a_line_may_be_empty_or_rigid_but_not_sharp() -> None:
    Q, E = [1.0, 2.0], np.linspace(-4, 4, 81)
    good = {"u2": "0.01 angstrom^2", "resolution": "1 meV"}
    rigid = xbp.models.elastic_line(Q, E, **{**good, "u2": 0}).S
    np.testing.assert_allclose(rigid[1], rigid[0])
    assert float(rigid[0].integrate("E")) == pytest.approx(1, abs=1e-4)
    assert (xbp.models.elastic_line(Q, E, **good, scale=0).S == 0).all()
    for bad in ({"resolution": 0}, {"resolution": -1}, {"u2": -1e-6}, {"scale": -1}):
        with pytest.raises(RangeError):
            xbp.models.elastic_line(Q, E, **{**good, **bad})


def test_a_line_in_other_units_is_the_same_density() -> None:
    thz = 0.2417989242084918
    E = np.linspace(-4, 4, 41)
    here = xbp.models.elastic_line([1.0, 2.0], E, u2="0.01 angstrom^2", resolution=1)
    there = xbp.models.elastic_line(
        xr.DataArray([10.0, 20.0], dims="Q", attrs={"units": "1/nm"}),
        xr.DataArray(E * thz, dims="E", attrs={"units": "THz"}),
        u2=1e-4,
        resolution=thz,
    )
    np.testing.assert_allclose(there.S * thz, here.S, rtol=1e-12)
    assert there.S.attrs["units"] == "1/THz"


def test_a_resolution_in_other_units_than_E() -> None:
    E = xr.DataArray(np.linspace(-1, 1, 41), dims="E", attrs={"units": "THz"})
    here = xbp.models.elastic_line([1.0], E, u2=0.01, resolution="2 meV")
    there = xbp.models.elastic_line(
        [1.0], E, u2=0.01, resolution=2 * 0.2417989242084918
    )
    xr.testing.assert_allclose(here.S, there.S)


def test_random_numbers_follow_from_rng_and_can_be_repeated() -> None:
    """An int repeats a call; None and a Generator record one that does."""
    line = xbp.models.elastic_line([1.0], E, u2=0.01, resolution="1 meV")

    def noisy(rng: object) -> xr.DataArray:
        return xbp.models.with_counting_noise(line, counts=100, rng=rng).S

    assert noisy(5).equals(noisy(5))
    generator = np.random.default_rng(5)
    drawn = [noisy(None), noisy(None), noisy(generator), noisy(generator)]
    assert noisy(np.random.default_rng(5)).equals(drawn[2])
    for one, other in itertools.combinations(drawn, 2):
        assert not one.equals(other)
    for one in drawn:
        step = parse_history(one.attrs)[-1]
        assert noisy(step.arguments["rng"]).equals(one)


def test_public_functions_take_rng_as_a_keyword_as_spec_7_asks() -> None:
    packages = (xbp, xbp.models, xbp.md.models, xbp.md.lattice, xbp.md.lammps)
    public = [getattr(p, n) for p in packages for n in p.__all__]
    takes = set()
    for function in filter(inspect.isfunction, public):
        parameters = inspect.signature(function).parameters
        assert not {"seed", "random_state", "random_seed"} & set(parameters), function
        if "rng" in parameters:
            assert parameters["rng"].kind == inspect.Parameter.KEYWORD_ONLY
            takes.add(function.__name__)
    assert {"bloch_modes", "ideal_gas", "make_glass", "with_counting_noise"} <= takes


@pytest.mark.parametrize("rng", ["a", 1.5, -1, True, np.random.RandomState(1)])
def test_an_rng_of_another_type_is_refused(rng: object) -> None:
    line = xbp.models.elastic_line([1.0], E, u2=0.01, resolution="1 meV")
    with pytest.raises(RangeError, match=r"rng=.*\n.*Generator or None"):
        xbp.models.with_counting_noise(line, counts=100, rng=rng)


def test_counts_that_are_no_number_are_refused() -> None:
    line = xbp.models.elastic_line([1.0], E, u2=0.01, resolution="1 meV")
    with pytest.raises(UnitsError, match="counts"):
        xbp.models.with_counting_noise(line, counts="a", rng=1)
