from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, RangeError, XbpError

TEXT = """\
# Sqw data file for Isotropic_Sqw
# liquid X: total scattering
# by nobody
#
# Physical parameters:
# V_rho       0.0103 atom density per Angs^3
# weight      85.47  in [g/mol]
# sigma_coh   6.32   coherent scattering cross section in [barn]
# Temperature 350    in [K]
# v_sound     1300   in [m/s]
# v_sound     2700   velocity of sound from the MD simulation in [m/s]
# classical   0      experimental, contains Bose factor
#
# q axis values
# vector of m values in Angstroem-1
 0.5 1.0
# w axis values
# vector of n values in meV
 0 1 2.5
# sqw values (one line per q axis value)
 1 2 3
 4 5 6
# end of Sqw file
"""


def opened(tmp_path: Path, text: str, **options: object) -> xr.Dataset:
    path = tmp_path / "a.txt"
    path.write_text(text)
    return xr.open_dataset(path, engine="sqw", **options)


def test_values_axes_and_header(tmp_path: Path) -> None:
    ds = opened(tmp_path, TEXT)
    np.testing.assert_array_equal(ds.S, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(ds.Q, [0.5, 1])
    np.testing.assert_array_equal(ds.E, [0, 1, 2.5])
    assert (ds.Q.attrs["units"], ds.E.attrs["units"], ds.S.attrs["units"]) == (
        "1/angstrom",
        "meV",
        "1/meV",
    )
    assert (float(ds.temperature), ds.S.attrs["statistics"]) == (350, "quantum")
    assert {k: ds.attrs.get(k) for k in ("V_rho", "weight", "sigma_coh", "v_sound", "density")} == {
        "V_rho": 0.0103, "weight": 85.47, "sigma_coh": 6.32, "v_sound": 1300, "density": None}  # fmt: skip
    assert ds.attrs["comment"] == "liquid X: total scattering\nby nobody"
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.txt"), ds)
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "a.txt"), ds)


def test_statistics_come_from_the_header_alone(tmp_path: Path) -> None:
    assert (
        opened(tmp_path, TEXT.replace("classical   0", "classical   1")).S.attrs[
            "statistics"
        ]
        == "classical"
    )
    bare = "".join(
        line
        for line in TEXT.splitlines(True)
        if "classical" not in line and "Temp" not in line
    )
    ds = opened(tmp_path, bare)
    assert "statistics" not in ds.S.attrs
    assert "temperature" not in ds.coords
    assert float(opened(tmp_path, bare, T="20 degC").temperature) == 293.15


@pytest.mark.parametrize(
    ("line", "kelvin"),
    [
        ("Temperature 77 in [degC]", 350.15), ("Temperature 77 [K]", 77), ("T: 77 K", 77), ("Temperature 77", 77), ("Temperature 77 K of the sample", 77),
        ("Temperature 77 degrees Celsius of the sample", 350.15), ("Temperature 77 Celsius", 350.15),
        ("Temperature 350 in K", 350), ("Temperature 350 of the sample in the furnace", 350), ("T 77 [ °C ] at the sample", 350.15),
        ("Temperature 350 in [K]\n# T 350 [K]", 350), ("Temperature 77 [degC]\n# T 350.15", 350.15),
    ],
)  # fmt: skip
def test_the_units_of_the_temperature_are_read(
    tmp_path: Path, line: str, kelvin: float
) -> None:
    text = TEXT.replace("Temperature 350    in [K]", line)
    assert float(opened(tmp_path, text).temperature) == pytest.approx(kelvin)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Temperature 77 in [C]", r"'Temperature 77 in \[C\]'"), ("Temperature 77 meV", "'Temperature 77 meV'"),
        ("Temperature 77 deg C", "'C'"), ("Temperature 77 in C at the sample", "'C'"),
        ("Temperature 77 [warm]", "warm"), ("Temperature 350 [K]\n# Temperature 77 [K]", r"these are 350 K and 77 K"),
        ("Temperature 350 [K]\n# T 350 [degC]", r"these are 350 K and 623.15 K"),
    ],
)  # fmt: skip
def test_a_temperature_that_is_in_doubt_is_refused(
    tmp_path: Path, line: str, says: str
) -> None:
    text = TEXT.replace("Temperature 350    in [K]", line)
    with pytest.raises(FileFormatError, match=says):
        opened(tmp_path, text)
    assert float(opened(tmp_path, text, T="77 degC").temperature) == pytest.approx(
        350.15
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" 4 5 6\n", ""), (" 4 5 6", " 4 5 six"), ("# vector of n values in meV\n", "#\n1\n#\n"), ("0.5 1.0", "1.0 0.5"),
        ("0 1 2.5", "0 nan 2.5"), ("classical   0", "classical   3"), ("# Sqw", "# some"), ("# Temperature 350", "# Temperature -3"),
        (" 0.5 1.0\n", " 0.5 1.0 1.5\n"),
    ],
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, old: str, new: str) -> None:
    assert old in TEXT
    with pytest.raises(XbpError):
        opened(tmp_path, TEXT.replace(old, new))


@pytest.mark.slow
def test_what_is_written_reads_back_exactly(tmp_path: Path, glass: xr.Dataset) -> None:
    glass.attrs |= {"sigma_coh": 6.3, "comment": "first\nsecond"}
    glass.bp.to_sqw(tmp_path / "a.sqw")
    back = xbp.open_dataset(tmp_path / "a.sqw")
    for name in ("S", "Q", "E", "temperature"):
        np.testing.assert_array_equal(back[name], glass[name])
    assert back.S.attrs["statistics"] == "classical"
    assert (back.attrs["sigma_coh"], back.attrs["comment"]) == (6.3, "first\nsecond")
    back.bp.to_sqw(tmp_path / "a.sqw", overwrite=True)
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.sqw"), back)


def test_other_units_are_converted(tmp_path: Path, glass: xr.Dataset) -> None:
    glass.S.bp.convert(E="THz", Q="1/nm").transpose("E", "Q").bp.to_sqw(
        tmp_path / "a.sqw"
    )
    back = xbp.open_dataset(tmp_path / "a.sqw")
    np.testing.assert_allclose(back.S, glass.S, rtol=1e-12)
    np.testing.assert_allclose(back.E, glass.E, rtol=1e-12)
    np.testing.assert_allclose(back.Q, glass.Q, rtol=1e-12)


@pytest.mark.slow
def test_what_the_format_cannot_hold_is_refused(
    tmp_path: Path, glass: xr.Dataset
) -> None:
    silent = glass.copy(deep=True)
    del silent.S.attrs["statistics"]
    for bad in (
        glass.S.where(glass.Q > 1),
        glass.S.expand_dims(sample=2),
        silent.S,
        glass.bp.to_bqe(),
    ):
        with pytest.raises(QuantityError):
            bad.bp.to_sqw(tmp_path / "a.sqw")
    assert list(tmp_path.iterdir()) == []
    glass.bp.to_sqw(tmp_path / "a.sqw")
    with pytest.raises(FileFormatError, match="exists"):
        glass.bp.to_sqw(tmp_path / "a.sqw")


# Shape, last Q and E, temperature, statistics, S at [20, 30].
SHARED = {
    "Rb_liq_tot": ((100, 100), 350.0, "quantum"),
    "Ge_liq_coh": ((100, 1209), 1350.0, "classical"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_liquids(shared_data: Path, tmp_path: Path, name: str) -> None:
    shape, temperature, statistics = SHARED[name]
    path = shared_data / "sqw" / f"{name}.sqw"
    ds = xbp.open_dataset(path)
    rows = [
        line.split()
        for line in path.read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert ds.S.shape == shape == (len(rows[0]), len(rows[1]))
    np.testing.assert_array_equal(ds.Q, np.array(rows[0], dtype=float))
    np.testing.assert_array_equal(ds.E, np.array(rows[1], dtype=float))
    np.testing.assert_array_equal(ds.S[20], np.array(rows[22], dtype=float))
    assert (float(ds.temperature), ds.S.attrs["statistics"]) == (
        temperature,
        statistics,
    )
    ds.bp.to_sqw(tmp_path / path.name)
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / path.name), ds)


def test_sound_in_liquid_rubidium(shared_data: Path) -> None:
    """The ridge of ω²S/q² lies near the sound velocity of the header at low q, and bends below it further up."""
    ds = xbp.open_dataset(shared_data / "sqw" / "Rb_liq_tot.sqw")
    assert ds.attrs["v_sound"] == 1300
    ridge = (ds.S * ds.E**2 / ds.Q**2).sel(Q=slice(0.3, 1.0)).idxmax("E")
    velocity = (
        151.9267 * ridge / ridge.Q
    )  # m/s from meV and 1/angstrom: 1 meV angstrom / hbar
    low = velocity.sel(Q=slice(0.3, 0.7))
    assert low.size == 8
    # Sound in liquid metals is faster there than in the hydrodynamic limit.
    assert float(low.mean()) == pytest.approx(1300, rel=0.15)
    assert float(velocity.sel(Q=slice(0.9, 1.0)).mean()) < 0.75 * 1300


@pytest.mark.slow
@pytest.mark.parametrize(("name", "T"), [("Rb_liq_tot", 350.0), ("Ge_liq_coh", 1350.0)])
def test_the_flag_chooses_the_thermal_factor(
    shared_data: Path, name: str, T: float
) -> None:
    """B = ⟨n⟩S/(E Q²) with ⟨n⟩ = 1 − e^{−x} of the measured liquid, x of the simulated one."""
    ds = xbp.open_dataset(shared_data / "sqw" / f"{name}.sqw")
    b = ds.bp.to_bqe(u2=0).B.isel(E=slice(1, None))
    E = b.E
    x = E / (8.617333262e-2 * T)
    n = x if name.startswith("Ge") else 1 - np.exp(-x)
    np.testing.assert_allclose(
        b, (n * ds.S / (E * ds.Q**2)).transpose("Q", "E"), rtol=1e-9
    )
    if name.startswith("Rb"):
        with pytest.raises(XbpError, match="quantum"):
            ds.bp.to_quantum()
    else:
        both = ds.bp.to_quantum().S
        assert both.sizes["E"] == 2 * ds.sizes["E"] - 1
        ratio = (both.sel(E=both.E < 0)[:, ::-1].values / both.sel(E=both.E > 0)).where(
            ds.S.isel(E=slice(1, None)) > 0
        )
        np.testing.assert_allclose(
            ratio, np.broadcast_to(np.exp(-x), ratio.shape), rtol=1e-9
        )


FILLED = TEXT.replace(" 1 2 3\n 4 5 6", " 1 2 7.4999997e-07\n 4 7.4999997e-07 6e-7")


def test_a_repeated_lowest_value_is_a_diagnostic_until_it_is_named(
    tmp_path: Path,
) -> None:
    text = FILLED.replace("6e-7", "6e-4")
    plain = opened(tmp_path, text)
    assert plain.S.notnull().all()
    assert "history" not in plain.S.attrs
    (found,) = plain.bp.diagnostics()
    assert found.code == "repeated_lowest"
    assert "33 % of the bins are 7.4999997e-07" in found.message
    ds = opened(tmp_path, text, filler=7.5e-7)
    np.testing.assert_array_equal(ds.S, [[1, 2, np.nan], [4, np.nan, 6e-4]])
    said = json.loads(ds.S.attrs["history"])["arguments"]
    assert said == {"filler": "7.5e-07 1/meV", "bins": "2 of 6 made NaN"}
    assert ds.bp.diagnostics() == []
    xr.testing.assert_identical(
        ds, xbp.open_dataset(tmp_path / "a.txt", engine="sqw", filler="7.5e-7 1/meV")
    )


def test_what_is_smaller_than_the_filler_is_kept(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        opened(tmp_path, FILLED, filler=7.5e-7).S[1], [4, np.nan, 6e-7]
    )
    with pytest.raises(
        RangeError,
        match=r"filler=1e-06 is in none(.|\n)*lowest number of the file is 6e-07, in 1 bins",
    ):
        opened(tmp_path, FILLED, filler=1e-6)
    with pytest.raises(XbpError):
        opened(tmp_path, FILLED, filler="1 K")


@pytest.mark.slow
def test_the_filler_of_liquid_rubidium(shared_data: Path) -> None:
    path = shared_data / "sqw" / "Rb_liq_tot.sqw"
    assert "30 % of the bins are 7.4999997e-07" in repr(xbp.open_dataset(path).bp)
    ds = xbp.open_dataset(path, engine="sqw", filler=7.5e-7)
    assert int(ds.S.isnull().sum()) == 3023
    assert float(ds.S.min()) > 3e-4
    for other in (
        "sqw/Ge_liq_coh.sqw",
        "md/zr46cu46al8_sqe.nc",
        "ins/V_ARCS_Ei120_iqe.h5",
    ):
        assert "lowest value" not in repr(xbp.open_dataset(shared_data / other).bp)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["inf", "-Infinity", "1e200"])
def test_an_infinite_number_is_refused(
    tmp_path: Path, glass: xr.Dataset, word: str
) -> None:
    glass[["S"]].bp.to_sqw(tmp_path / "a.sqw")
    lines = (tmp_path / "a.sqw").read_text().splitlines()
    lines[-2] = f"{word} {lines[-2].partition(' ')[2]}"
    (tmp_path / "a.sqw").write_text("\n".join(lines) + "\n")
    with pytest.raises(FileFormatError, match=r"large|inf"):
        xbp.open_dataset(tmp_path / "a.sqw")


def test_q_in_another_unit_is_refused(tmp_path: Path) -> None:
    """Once "in Angs" was no unit, and passed for 1/angstrom."""
    for word in ("Angs", "Angstroem", "Å"):
        with pytest.raises(FileFormatError, match="1/angstrom"):
            opened(tmp_path, TEXT.replace("Angstroem-1", word))
    for word in ("Angs-1", "1/Angs", "AA^-1", "Å-1", "A-1"):
        np.testing.assert_array_equal(
            opened(tmp_path, TEXT.replace("Angstroem-1", word)).Q, [0.5, 1]
        )


@pytest.mark.parametrize("word", ["inf", "nan", "2", "-1"])
def test_classical_is_zero_or_one(tmp_path: Path, word: str) -> None:
    with pytest.raises(FileFormatError, match="classical"):
        opened(tmp_path, TEXT.replace("classical   0", f"classical   {word}"))


def test_a_negative_filler_is_asked(tmp_path: Path) -> None:
    text = TEXT.replace(" 1 2 3\n 4 5 6", " 1 2 -999\n 4 -999 6")
    with pytest.raises(RangeError, match="filler=-999"):
        opened(tmp_path, text)
    np.testing.assert_array_equal(
        opened(tmp_path, text, filler=-999).S, [[1, 2, np.nan], [4, np.nan, 6]]
    )
    assert float(opened(tmp_path, text, filler=False).S.min()) == -999
    noise = TEXT.replace(" 1 2 3\n 4 5 6", " 1 2 -0.01\n 4 -0.01 0")
    assert float(opened(tmp_path, noise).S.min()) == -0.01
    for word in ("inf", "-999 x"):
        with pytest.raises(FileFormatError):
            opened(tmp_path, TEXT.replace(" 0 1 2.5", f" 0 1 {word}"))


@pytest.mark.parametrize("axis", [
    "w axis values in THz\n# vector of n values", "vector of n values (THz)", "omega/THz", "w, THz", "energy in Terahertz",
    "w in meV (THz)", "w in GHz\n# vector of n values in meV", "w in Kelvin", "w in kJ/mol", "w in ps-1",
])  # fmt: skip
def test_units_anywhere_above_an_axis(tmp_path: Path, axis: str) -> None:
    text = TEXT.replace("w axis values\n# vector of n values in meV", axis)
    if "meV" in axis or "THz" not in axis.replace("Terahertz", "THz"):
        with pytest.raises(FileFormatError):
            opened(tmp_path, text)
        return
    ds = opened(tmp_path, text)
    np.testing.assert_allclose(ds.E, np.array([0, 1, 2.5]) * 4.135667696, rtol=1e-9)
    np.testing.assert_allclose(ds.S[0] * 4.135667696, [1, 2, 3], rtol=1e-9)


@pytest.mark.parametrize(("axis", "scale"), [
    ("q (nm-1)", 0.1), ("q/nm-1", 0.1), ("q in rlu", None), ("q in 2pi/a", None), ("q in A-1 or 1/nm", None),
    ("at 10 K\n# q in 1/Angs", 1),
])  # fmt: skip
def test_units_of_q(tmp_path: Path, axis: str, scale: float | None) -> None:
    text = TEXT.replace("q axis values\n# vector of m values in Angstroem-1", axis)
    if scale is None:
        with pytest.raises(FileFormatError):
            opened(tmp_path, text)
        return
    np.testing.assert_allclose(opened(tmp_path, text).Q, [0.5 * scale, scale])


@pytest.mark.parametrize(
    ("comment", "factor"),
    [("S(q,w) [1/eV]", 1e-3), ("S(q,w) in meV^-1", 1), ("S(q,w) [1/THz]", 1 / 4.135667696), ("sqw, one line per q (2x3)", 1),
     ("log10 S(q,w)", None), ("ln(S)", None), ("S in 1/eV or 1/meV", None)],
)  # fmt: skip
def test_units_of_the_matrix(
    tmp_path: Path, comment: str, factor: float | None
) -> None:
    text = TEXT.replace("sqw values (one line per q axis value)", comment)
    if factor is None:
        with pytest.raises(FileFormatError, match="matrix"):
            opened(tmp_path, text)
        return
    np.testing.assert_allclose(
        opened(tmp_path, text).S[0], np.array([1, 2, 3]) * factor, rtol=1e-9
    )


@pytest.mark.parametrize("axis", ["w axis values, micro-eV", "w in micro eV"])
def test_a_prefix_apart_from_its_unit(tmp_path: Path, axis: str) -> None:
    text = TEXT.replace("vector of n values in meV", axis)
    np.testing.assert_allclose(opened(tmp_path, text).E, [0, 1e-3, 2.5e-3])


def test_contradicting_statistics_are_refused(tmp_path: Path) -> None:
    text = TEXT.replace("# v_sound     1300   in [m/s]", "# classical 1")
    with pytest.raises(FileFormatError, match="0 and 1"):
        opened(tmp_path, text)


@pytest.mark.parametrize(
    "rows", ["1 4\n 2 5\n 3 6", "1 2\n 3 4\n 5 6", "1 2 3 4\n 5 6"]
)
def test_a_transposed_matrix_is_refused(tmp_path: Path, rows: str) -> None:
    with pytest.raises(FileFormatError, match="one per q"):
        opened(tmp_path, TEXT.replace("1 2 3\n 4 5 6", rows))


@pytest.mark.parametrize("rows", ["1 2 3 4 5 6", "1 2\n 3\n 4 5\n 6"])
def test_rows_on_one_line_or_several(tmp_path: Path, rows: str) -> None:
    text = TEXT.replace("1 2 3\n 4 5 6", rows)
    np.testing.assert_array_equal(opened(tmp_path, text).S, [[1, 2, 3], [4, 5, 6]])


def test_units_of_the_parameters(tmp_path: Path) -> None:
    plain = opened(tmp_path, TEXT).attrs
    changed = {
        "V_rho       0.0103 atom density per Angs^3": "V_rho 10.3 atom density per nm^3",
        "weight      85.47  in [g/mol]": "weight 0.08547 in [kg/mol]",
        "sigma_coh   6.32 ": "sigma_coh 632 in [fm^2]",
        "v_sound     1300   in [m/s]": "v_sound 1.3 in [km/s]",
    }
    text = TEXT
    for old, new in changed.items():
        assert old in text
        text = text.replace(old, new)
    attrs = opened(tmp_path, text).attrs
    for name in ("V_rho", "weight", "sigma_coh", "v_sound"):
        assert attrs[name] == pytest.approx(plain[name])
    with pytest.raises(FileFormatError, match="weight"):
        opened(tmp_path, TEXT.replace("in [g/mol]", "in [meV]"))


@pytest.mark.parametrize("comment", ["w axis values, energy gain", "-w axis values"])
def test_energies_of_the_other_sign(tmp_path: Path, comment: str) -> None:
    with pytest.raises(FileFormatError, match="sign"):
        opened(tmp_path, TEXT.replace("w axis values", comment))


@pytest.mark.parametrize("comment", ["sqw*1000", "chi''(q,w)", "S(q,w)/n(w)", "sqw times 1000"])  # fmt: skip
def test_another_matrix(tmp_path: Path, comment: str) -> None:
    with pytest.raises(FileFormatError, match="matrix"):
        opened(tmp_path, TEXT.replace("sqw values", comment))


def test_a_symmetrised_map_is_not_quantum(tmp_path: Path) -> None:
    text = TEXT.replace("# by nobody", "# symmetrised in energy")
    with pytest.raises(FileFormatError, match="contradicts"):
        opened(tmp_path, text)
    classical = text.replace("classical   0", "classical   1")
    assert opened(tmp_path, classical).S.attrs["statistics"] == "classical"
    for words in ("not symmetrised", "unsymmetrised", "symmetrised: no"):
        opened(tmp_path, TEXT.replace("by nobody", words))
