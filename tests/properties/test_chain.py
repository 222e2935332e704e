"""The same chain in other units, kinds and dimensions gives the same answer."""

from __future__ import annotations

import numpy as np
import pint
import pint_xarray  # noqa: F401  # registers .pint
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xbp

E_UNITS = ("meV", "THz", "1/cm", "ueV", "eV", "GHz")
Q_UNITS = ("1/angstrom", "1/nm", "1/pm")


def make(energy: float, width: float, T: float, u2: float, seed: int) -> xr.Dataset:
    S = xbp.models.dynamic_structure_factor(
        np.linspace(2, 8, 12),
        np.arange(0.5, 16, 0.5),
        energy=energy,
        width=width,
        T=T,
        u2=u2,
    )
    return xbp.models.with_counting_noise(S, counts=1e5, rng=seed)


def chain(S: xr.Dataset | xr.DataArray) -> dict[str, float]:
    """S → G → B → cut → peak → scaling; every number in canonical units."""
    b = S.bp.to_gdos().bp.to_bqe()
    spectrum = b.bp.cut_Q(("2.2 1/angstrom", "7.5 1/angstrom"))
    peak = spectrum.bp.boson_peak(E_range=("1.2 meV", "14 meV"))
    sq = xbp.models.hard_sphere_structure_factor(np.linspace(1, 9, 81))
    cut = b.bp.cut_E("5 meV", width="1 meV")
    fit = cut.bp.scale_to_sq(sq, Q_range=("2.2 1/angstrom", "7.5 1/angstrom"))
    answer = {}
    for table, names in (
        (peak, ("energy", "height", "width")),
        (fit, ("scale", "pearson_r")),
    ):
        for name in names:
            value = table[name]
            units = value.attrs.get("units") or (
                f"{value.data.units:C}" if hasattr(value.data, "units") else "1"
            )
            answer[name] = float(
                getattr(value.data, "magnitude", value.data)
            ) * to_canonical(units)
    assert str(peak.status.values) == "ok"
    return answer


def to_canonical(units: str) -> float:
    """Factor to meV and angstrom, energies and frequencies being one."""
    parsed, factor = xbp.core.units.parse_unit(units), 1.0
    for token, power in parsed._units.items():
        unit = f"{token}"
        for target, energy in (("angstrom", False), ("meV", True)):
            try:
                factor *= (
                    xbp.core.units.convert_factor(unit, target, energy=energy) ** power
                )
                break
            except xbp.errors.UnitsError:
                continue
        else:
            # 1/cm is a wavenumber on the energy axis: cm^-2 is not area there.
            raise AssertionError(unit)
    return factor


same = {"rel": 1e-6}


@pytest.mark.slow
@settings(max_examples=15)
@given(
    st.floats(3.5, 6.5), st.floats(3, 8), st.floats(50, 600), st.floats(0, 0.03), st.integers(0, 99),
    st.sampled_from([u for u in E_UNITS if u != "1/cm"]), st.sampled_from(Q_UNITS),
)  # fmt: skip
def test_units_do_not_matter(
    energy: float,
    width: float,
    T: float,
    u2: float,
    seed: int,
    e_unit: str,
    q_unit: str,
) -> None:
    S = make(energy, width, T, u2, seed)
    assert chain(S.bp.convert(E=e_unit, Q=q_unit)) == pytest.approx(chain(S), **same)


def test_wavenumbers_too() -> None:
    S = make(5, 5, 300, 0.01, 0)
    b = (
        S.bp.convert(E="1/cm")
        .bp.to_bqe()
        .bp.cut_Q((2.2, 7.5))
        .bp.boson_peak(E_range=("1.2 meV", "14 meV"))
    )
    reference = (
        S.bp.to_bqe().bp.cut_Q((2.2, 7.5)).bp.boson_peak(E_range=("1.2 meV", "14 meV"))
    )
    per = 8.065543937
    assert b.energy.attrs["units"] == "1/cm"
    assert float(b.energy) == pytest.approx(float(reference.energy) * per, rel=1e-6)
    assert float(b.energy_std) == pytest.approx(
        float(reference.energy_std) * per, rel=1e-5
    )
    assert float(b.height) == pytest.approx(float(reference.height) / per**2, rel=1e-6)


ENERGIES = st.sampled_from(
    [u for u in E_UNITS if u != "1/cm"]
)  # cm² would be read as an area below


@pytest.mark.slow
@given(
    ENERGIES,
    ENERGIES,
    st.sampled_from(Q_UNITS),
    st.sampled_from(["1/meV", "1", "1/eV"]),
)
def test_conversion_commutes_with_the_reduction(
    one: str, other: str, q_unit: str, s_unit: str
) -> None:
    S = make(5, 5, 300, 0.01, 0)
    S.S.attrs["units"] = S.S_std.attrs["units"] = s_unit
    S = S.bp.convert(E=one)
    early, late = (
        S.bp.convert(E=other, Q=q_unit).bp.to_bqe(),
        S.bp.to_bqe().bp.convert(E=other, Q=q_unit),
    )
    for name in ("B", "B_std"):
        got, expected = (
            x[name].values * to_canonical(x[name].attrs["units"]) for x in (early, late)
        )
        np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.slow
@settings(max_examples=8)
@given(st.floats(3.5, 6.5), st.integers(0, 99), st.sampled_from(["data", "index"]))
def test_pint_in_pint_out(energy: float, seed: int, kind: str) -> None:
    S = make(energy, 6, 300, 0.01, seed)
    if kind == "index":
        wrapped = S.pint.quantify()
    else:
        ureg = pint.UnitRegistry()
        wrapped = S.assign(
            {
                n: S[n].copy(data=ureg.Quantity(S[n].values, "1/meV"))
                for n in ("S", "S_std")
            }
        )
        for name in ("S", "S_std"):
            del wrapped[name].attrs["units"]
    G = wrapped.bp.to_gdos()
    assert hasattr(G.G.data, "magnitude")
    np.testing.assert_allclose(
        G.G.data.to("angstrom**2").magnitude, S.bp.to_gdos().G.values, rtol=1e-12
    )
    assert chain(wrapped) == pytest.approx(chain(S), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [{"Q": 5}, {"E": 7}, {"Q": 4, "E": 9}, {}])
def test_dask_equals_numpy(chunks: dict[str, int]) -> None:
    S = make(5, 6, 300, 0.01, 3)
    lazy = S.chunk(chunks or -1)
    for step in ("to_gdos", "to_bqe"):
        out = getattr(lazy.bp, step)()
        assert all(v.chunks is not None for v in out.data_vars.values())
        xr.testing.assert_allclose(out.compute(), getattr(S.bp, step)(), rtol=1e-12)
    assert chain(lazy) == pytest.approx(chain(S), rel=1e-9)
    b, lazy_b = S.bp.to_bqe(), lazy.bp.to_bqe()
    sq = xbp.models.hard_sphere_structure_factor(np.linspace(1, 9, 81))
    pairs = [
        (lazy_b.bp.boson_peak(E_range=(1, 14)), b.bp.boson_peak(E_range=(1, 14))),
        (
            lazy_b.bp.boson_peak(E_range=(1, 14)).bp.dispersion(),
            b.bp.boson_peak(E_range=(1, 14)).bp.dispersion(),
        ),
        (lazy_b.bp.correlation_map(sq), b.bp.correlation_map(sq)),
        (
            lazy_b.bp.cut_E(5, width=1).bp.scale_to_sq(sq),
            b.bp.cut_E(5, width=1).bp.scale_to_sq(sq),
        ),
        (lazy_b.bp.rebin(E="1 meV"), b.bp.rebin(E="1 meV")),
        (lazy_b.bp.scale(3).bp.subtract(lazy_b), b.bp.scale(2)),
        (lazy.bp.convert(E="THz"), S.bp.convert(E="THz")),
    ]
    for got, expected in pairs:
        found = got.compute().drop_vars("B_std", errors="ignore")
        if "source" in found.dims and "source" not in expected.dims:
            # What is not computed yet may have a common error; here it has none.
            common = [n for n in found if str(n).endswith("_std_common")]
            assert all(not found[name].any() for name in common)
            found = found.drop_vars([*common, "source"])
        elif "source" in found.coords:
            # Factors are named after values, or where these are not known after tasks.
            found = found.assign_coords(source=expected.source)
        xr.testing.assert_allclose(
            found, expected.drop_vars("B_std", errors="ignore"), rtol=1e-9
        )


def test_further_dimensions_broadcast() -> None:
    many = [
        make(e, 6, 300, 0.01, s).drop_vars("temperature")
        for s, e in enumerate((4.0, 5.0, 6.0))
    ]
    stack = xr.concat(many, dim="sample").assign_coords(
        temperature=((), 300.0, {"units": "K"})
    )
    scan = xr.concat([stack, stack], dim="run").transpose("E", "run", "Q", "sample")
    peak = scan.bp.to_bqe().bp.cut_Q((2.2, 7.5)).bp.boson_peak(E_range=(1.2, 14))
    assert set(peak.energy.dims) == {"run", "sample"}
    for i, single in enumerate(many):
        alone = (
            single.bp.to_bqe(T=300)
            .bp.cut_Q((2.2, 7.5))
            .bp.boson_peak(E_range=(1.2, 14))
        )
        np.testing.assert_allclose(
            peak.energy.isel(sample=i), float(alone.energy), rtol=1e-9
        )


@pytest.mark.slow
def test_a_temperature_scan_runs_the_whole_chain() -> None:
    scan = xr.concat(
        [make(5, 6, T, 0.01, 0) for T in (100.0, 200.0, 300.0)], dim="temperature"
    )
    b = scan.bp.to_bqe()
    assert b.sizes["temperature"] == 3
    peak = b.bp.cut_Q((2.2, 7.5)).bp.boson_peak(E_range=(1.2, 14))
    np.testing.assert_allclose(peak.energy, 5, atol=0.1)
    sq = xbp.models.hard_sphere_structure_factor(np.linspace(1, 9, 81))
    fit = b.bp.cut_E(peak.energy, width="1 meV").bp.scale_to_sq(sq)
    assert fit.scale.dims == ("temperature",)
    assert (fit.pearson_r > 0.99).all()
    flat = b.bp.boson_peak(E_range=(1.2, 14)).bp.dispersion()
    assert flat.mean_energy.dims == ("temperature",)


@pytest.mark.slow
@given(
    st.lists(st.floats(0.1, 1.0), min_size=2, max_size=12),
    st.lists(st.floats(0.1, 1.0), min_size=1, max_size=8),
)
def test_rebinning_keeps_the_integral_for_any_bins(
    old: list[float], new: list[float]
) -> None:
    edges = np.concatenate([[0.0], np.cumsum(old)])
    targets = np.concatenate([[0.0], np.cumsum(new)]) * edges[-1] / np.sum(new)
    targets[-1] = edges[-1]
    values = np.cos(np.arange(len(old))) + 2
    S = xbp.new_dataset(
        "dynamic_structure_factor", values, statistics="unknown", units="1/meV", std=values,
        coords={"E": ((edges[1:] + edges[:-1]) / 2, "meV")}, edges={"E": edges},
    )  # fmt: skip
    R = S.bp.rebin(E=targets)
    assert float((R.S * np.diff(targets)).sum()) == pytest.approx(
        float((values * np.diff(edges)).sum()), rel=1e-9
    )
