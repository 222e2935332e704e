from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, UnitsError
from xbp.io.ppms import PpmsBackend, open_ppms

HEADER = """[Header]
TITLE,
BYAPP,HeatCapacity,3.9.11,1.7
INFO,7.76,MASS:Sample Mass (mg)
INFO,{molar},MOLWGHT:Formula Weight (g/mole)
INFO,3,ATOMS:Atoms per Formula Unit
[Data]
"""
COLUMNS = (
    "Time Stamp (Seconds),Comment (),System Status (Code),Sample Temp (Kelvin),Samp HC ({u}),Samp HC Err ({u}),"
    "Addenda HC ({u}),Addenda HC Err ({u}),Field (Oersted),Last ()\n"
)
ROWS = [
    "1.5,Error: no helium;\n",
    "2.5,,1857,300.5,30,3,9,0.9,1000,0\n",
    "3.5,CALFILE: C:\\a|b,,,,,,,,\n",
    "4.5,,1857,2.5,1,0.3,5,0.5,1000,0\n",
    "5.5,,1857,2.5,3,0.4,7,0.5,1000,0\n",
]


def write(
    path: Path,
    rows: list[str] = ROWS,
    units: str = "µJ/K",
    molar: str = "",
    columns: str = COLUMNS,
) -> Path:
    path.write_bytes(
        (HEADER.format(molar=molar) + columns.format(u=units) + "".join(rows)).encode(
            "latin-1"
        )
    )
    return path


def test_values_and_units(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat")
    ds = xbp.open_dataset(path)
    np.testing.assert_array_equal(ds.temperature, [2.5, 300.5])
    # The two points at one temperature are averaged.
    np.testing.assert_allclose(ds.C, [2, 30])
    # 1 and 3 scatter by more than their errors of 0.3 and 0.4.
    np.testing.assert_allclose(ds.C_std, [1, 3])
    np.testing.assert_allclose(ds.addenda, [6, 9])
    assert (
        ds.C.attrs["units"],
        ds.temperature.attrs["units"],
        ds.field.attrs["units"],
    ) == ("uJ/K", "K", "Oe")
    assert ds.C.attrs["sample_mass"] == "7.76 mg"
    xr.testing.assert_identical(xr.open_dataset(path, engine=PpmsBackend), ds)
    ds.bp.to_netcdf(tmp_path / "a.nc")
    with xbp.open_dataset(tmp_path / "a.nc") as back:
        xr.testing.assert_identical(back, ds)


def test_per_mole(tmp_path: Path) -> None:
    with pytest.raises(QuantityError, match="molar mass"):
        xbp.open_dataset(write(tmp_path / "a.dat")).bp.to_molar("atoms")
    ds = xbp.open_dataset(write(tmp_path / "b.dat", molar="60")).bp.to_molar("atoms")
    np.testing.assert_allclose(ds.C, np.array([2, 30]) * 1e-6 / 7.76e-3 * 60 / 3)
    other = open_ppms(
        write(tmp_path / "b.dat", molar="60"), mass="15.52 mg"
    ).bp.to_molar("atoms")
    np.testing.assert_allclose(other.C, ds.C / 2)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("mJ/mole-K", "mJ/K/mol"), ("J/mole-K", "J/K/mol"), ("mJ/gm-K", "mJ/K/g"), ("mJ/K", "mJ/K"), ("mJ/mole/K", "mJ/K/mol"),
        ("µJ/g-K", "uJ/K/g"), ("J/mol K", "J/K/mol"), ("mJ/(mol K)", "mJ/K/mol"), ("J / mole-K", "J/K/mol"), ("J/K-mol", "J/K/mol"),
        ("J/kg-K", "J/K/kg"),
    ],
)  # fmt: skip
def test_units_as_the_program_writes_them(
    tmp_path: Path, written: str, read: str
) -> None:
    ds = xbp.open_dataset(write(tmp_path / "a.dat", units=written))
    assert ds.C.attrs["units"].replace("/g/K", "/K/g") == read


@pytest.mark.parametrize(
    "rows",
    [
        [], ["1.5,only a comment\n"], [*ROWS, "6.5,,1857,3.5,4\n"], [*ROWS, "6.5\n"], [*ROWS, "6.5,\n"], [*ROWS, "6.5,,18"],
        [*ROWS, "6.5,,1857,3.5,4,0.1,5,0.5,1000,0,7\n"], [*ROWS, "6.5,,1857,,4,0.1,5,0.5,1000,0\n"],
        [*ROWS, "6.5,,1857,warm,4,0.1,5,0.5,1000,0\n"], [*ROWS, "6.5,,1857,nan,4,0.1,5,0.5,1000,0\n"],
        [*ROWS, "6.5,,1857,3.5,4,-0.1,5,0.5,1000,0\n"],
    ],
    ids=lambda rows: rows[-1] if rows else "none",
)  # fmt: skip
def test_ragged_and_truncated_rows(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(xbp.errors.XbpError):
        xbp.open_dataset(write(tmp_path / "a.dat", rows))


def test_damaged_headers(tmp_path: Path) -> None:
    for columns in (
        COLUMNS.replace("Sample Temp", "Temp"), COLUMNS.replace("Samp HC (", "HC ("), COLUMNS.replace("Field (Oersted)", "Samp HC ({u})"),
        COLUMNS.replace("Samp HC Err ({u})", "Samp HC Err (mJ/K)"), COLUMNS.replace("Samp HC ({u})", "Samp HC (?J/K)"), "",
    ):  # fmt: skip
        with pytest.raises(FileFormatError):
            xbp.open_dataset(write(tmp_path / "a.dat", columns=columns))
    (tmp_path / "b.dat").write_text("1,2\n")
    with pytest.raises(FileFormatError, match=r"\[Header\]"):
        open_ppms(tmp_path / "b.dat")


@pytest.mark.slow
def test_cut_anywhere_it_never_reads_a_wrong_column(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.dat").read_bytes()
    full = xbp.open_dataset(tmp_path / "a.dat")
    for cut in range(len(whole)):
        (tmp_path / "b.dat").write_bytes(whole[:cut])
        try:
            ds = xbp.open_dataset(tmp_path / "b.dat")
        except FileFormatError:
            continue
        assert set(ds.temperature.values) <= set(full.temperature.values)
        assert set(ds.C.values) <= {1.0, 2.0, 30.0}


def test_measured_file(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "cp" / "HC_test_data.Dat")
    assert ds.sizes["temperature"] == 356
    assert ds.C.attrs["units"] == "uJ/K"
    assert float(ds.temperature[0]) == pytest.approx(1.9936, abs=1e-3)
    hottest = ds.isel(temperature=-1)
    assert float(hottest.temperature) == pytest.approx(302.62869)
    assert float(hottest.C) == pytest.approx(8478.6208)
    assert float(hottest.addenda) == pytest.approx(9235.8689)
    with pytest.raises(QuantityError, match="molar mass"):
        ds.bp.to_molar("atoms")
    molar = ds.bp.to_molar("formula units", molar_mass="100 g/mol")
    assert float(molar.C[-1]) == pytest.approx(8478.6208e-6 / 7.76e-3 * 100)


def test_values_that_no_instrument_writes(tmp_path: Path) -> None:
    for row in (
        "2.5,,1857,-3.5,4,0.1",
        "2.5,,1857,3.5,1e300,0.1",
        "2.5,,1857,3.5,4,1e200",
        "2.5,,1857,3.5,1_0,0.1",
    ):
        with pytest.raises(FileFormatError):
            open_ppms(write(tmp_path / "a.dat", [row + ",5,0.5,1000,0\n"]))
    with pytest.raises(FileFormatError, match="field larger"):
        open_ppms(write(tmp_path / "a.dat", [*ROWS, "1" * 200_000 + "\n"]))


def test_a_short_row_where_there_are_no_comments(tmp_path: Path) -> None:
    columns = "Sample Temp (Kelvin),Samp HC ({u}),Samp HC Err ({u})\n"
    with pytest.raises(FileFormatError, match="line 10 has 2 fields"):
        open_ppms(write(tmp_path / "a.dat", ["2,1,0.1\n", "3,1\n"], columns=columns))


@pytest.mark.parametrize(
    ("old", "new"),
    [("Samp HC ({u})", "Samp HC"), ("Samp HC ({u})", "Samp HC (J)"), ("Kelvin", "meV")],
)
def test_columns_in_units_of_something_else(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(FileFormatError, match="is not in units of"):
        open_ppms(write(tmp_path / "a.dat", columns=COLUMNS.replace(old, new)))


def test_the_mass_is_in_the_units_it_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat")
    spaced = path.read_bytes().replace(b",7.76,MASS:", b", 7.76 , MASS: ")
    path.write_bytes(spaced.replace(b"(mg)", b"(g)"))
    assert open_ppms(path).C.attrs["sample_mass"] == "7.76 g"
    assert open_ppms(path, mass="0.002 g").C.attrs["sample_mass"] == "2 mg"
    with pytest.raises(UnitsError, match="mass"):
        open_ppms(path, mass="5 K")


@pytest.mark.parametrize("mass", [-1, 0, "-7.76 mg", "0 g"])
def test_a_mass_that_is_none_is_refused(tmp_path: Path, mass: object) -> None:
    with pytest.raises(QuantityError, match="mass="):
        open_ppms(write(tmp_path / "a.dat"), mass=mass)


def test_a_header_that_contradicts_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat")
    once = path.read_bytes()
    row = b"INFO,7.76,MASS:Sample Mass (mg)\n"
    path.write_bytes(once.replace(row, row + row + b"INFO,,MASS:Sample Mass (mg)\n"))
    assert open_ppms(path).C.attrs["sample_mass"] == "7.76 mg"
    path.write_bytes(once.replace(row, row + b"INFO,8.1,MASS:Sample Mass (mg)\n"))
    with pytest.raises(
        FileFormatError, match=r"sample mass as 7\.76 mg and as 8\.1 mg"
    ) as caught:
        xbp.open_dataset(path)
    assert "mass='8.1 mg'" in str(caught.value)
    assert open_ppms(path, mass=8.1).C.attrs["sample_mass"] == "8.1 mg"
    path.write_bytes(once.replace(b"INFO,3,", b"INFO,4,ATOMS:Atoms\nINFO,3,"))
    with pytest.raises(FileFormatError, match="atoms per formula as 4 and as 3"):
        xbp.open_dataset(path)


def test_what_the_program_said_is_kept(tmp_path: Path) -> None:
    rows = [
        *ROWS,
        "6.5,Warning: at 3 Oe; with 2,\n",
        "6.5,Warning: at 4.5 Oe; with 1e-3,\n",
        '7.5,"late, but good",1857,9,3,0.4,7,0.5,1000,0\n',
    ]
    ds = xbp.open_dataset(write(tmp_path / "a.dat", rows))
    assert ds.C.attrs["comments"].splitlines() == [
        "Error: no helium;", "CALFILE: C:\\a|b", "Warning: at 3 Oe; with 2 (2 rows, the first of them)",
        "late, but good",
    ]  # fmt: skip
    said = repr(ds.bp)
    assert "\n  comment in the file: Error: no helium;\n" in said
    assert "more in attrs" not in said
    assert (
        "comments" not in xbp.open_dataset(write(tmp_path / "b.dat", ROWS[1:2])).C.attrs
    )
    many = [f"1.5,{'x' * i},\n" for i in range(1, 500)]
    ds = xbp.open_dataset(write(tmp_path / "c.dat", many + ROWS))
    assert ds.C.attrs["comments"].endswith("... and 471 more kinds")
    assert "... and 26 more in attrs['comments']" in repr(ds.bp)
    ds.bp.to_netcdf(tmp_path / "c.nc")
    with xbp.open_dataset(tmp_path / "c.nc") as back:
        xr.testing.assert_identical(back, ds)


def test_warnings_of_the_measured_file(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "cp" / "HC_test_data.Dat")
    assert ds.C.attrs["comments"].splitlines()[:2] == [
        "Error: Warning: Current field is 999.96234 Oe; (3 rows, the first of them)",
        "Error: but addenda was obtained at -0.34084937 Oe. (3 rows)",
    ]
    assert "Current field is 999.96234 Oe" in repr(ds.bp)
    assert "Current field is 999.96234 Oe" in repr(
        ds.bp.to_molar("formula units", molar_mass="100 g/mol").bp
    )


FULL = "Time Stamp (Seconds),Comment (),Sample Temp (Kelvin),Samp HC ({s}),Samp HC Err ({s}),Addenda HC ({a}),Addenda HC Err ({a}),Total HC ({t}),Total HC Err ({t})\n"
#: Sample, addenda and total in µJ/K; the fourth lacks a total.
MICRO = [
    "1,,2.0,0.5,0.01,1.0,0.01,1.5,0.01\n",
    "2,,3.0,1.5,0.01,2.0,0.01,3.5,0.01\n",
    "3,,4.0,4.0,0.01,3.0,0.01,7.0,0.01\n",
    "4,,5.0,5.0,0.01,3.0,0.01,,\n",
]
UJ = "µJ/K"


def full(
    path: Path,
    s: str,
    a: str = UJ,
    t: str = UJ,
    rows: list[str] = MICRO,
    molar: str = "60",
    encoding: str = "utf-8",
) -> Path:
    text = HEADER.format(molar=molar) + FULL.format(s=s, a=a, t=t) + "".join(rows)
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("lost", ["\ufffdJ/K", "?J/K", "J/K", "ÂµJ/K", "æJ/K", "Î¼J/K"])
def test_a_prefix_that_was_lost(tmp_path: Path, lost: str) -> None:
    """Of the sample alone, Total − Addenda shows it; of all columns it is asked."""
    ds = xbp.open_dataset(full(tmp_path / "a.dat", lost))
    assert ds.C.attrs["units"] == "uJ/K"
    np.testing.assert_array_equal(ds.C, [0.5, 1.5, 4, 5])
    readable = lost in ("ÂµJ/K", "Î¼J/K")
    assert [d.code for d in ds.bp.diagnostics()] == (
        [] if readable else ["lost_prefix"]
    )
    path = full(tmp_path / "b.dat", lost, lost, lost)
    if not readable:
        with pytest.raises(FileFormatError, match="units of 'Samp HC'") as caught:
            xbp.open_dataset(path)
        assert "units='uJ/K'" in caught.value.fix
        ds = xbp.open_dataset(path, units="uJ/K")
    assert (ds.C.attrs["units"], ds.addenda.attrs["units"]) == ("uJ/K", "uJ/K")
    molar = ds.bp.to_molar("formula units")
    np.testing.assert_allclose(molar.C[0], 0.5e-6 * 60 / 7.76e-3)


@pytest.mark.parametrize(
    ("written", "own"), [("µJ/K", "uJ/K"), ("mJ/mole-K", "mJ/K/mol")]
)
def test_units_that_contradict_the_header(
    tmp_path: Path, written: str, own: str
) -> None:
    path = write(tmp_path / "a.dat", units=written)
    for units in ("mJ/K", "kg"):
        with pytest.raises(UnitsError, match=f"units='{units}' contradicts") as caught:
            xbp.open_dataset(path, units=units)
        assert f"in '{own}'" in caught.value.reason
    with pytest.raises(UnitsError, match="not a unit"):
        xbp.open_dataset(path, units="nonsense")
    assert xbp.open_dataset(path, units=own).C.attrs["units"] == own


def test_lost_prefixes_of_the_addenda_follow_from_a_sample_per_mole(
    tmp_path: Path,
) -> None:
    per_mole = 60 / 7.76  # mJ/mol/K of 1 µJ/K
    rows = [
        f"{i},,{i}.0,{n * per_mole:.6f},0.1,1.0,0.01,{1.0 + n},0.01\n"
        for i, n in ((2, 0.5), (3, 1.5), (4, 4.0))
    ]
    ds = xbp.open_dataset(full(tmp_path / "a.dat", "mJ/mole-K", "?J/K", "?J/K", rows))
    assert (ds.C.attrs["units"], ds.addenda.attrs["units"], ds.C.attrs["amount"]) == (
        "mJ/K/mol",
        "uJ/K",
        "formula units",
    )
    np.testing.assert_allclose(
        ds.bp.to_molar("atoms").C,
        np.array([0.5, 1.5, 4.0]) * per_mole * 1e-3 / 3,
        rtol=1e-5,
    )
    of_atoms = [
        row.replace(f"{n * per_mole:.6f}", f"{n * per_mole / 3:.6f}")
        for row, n in zip(rows, (0.5, 1.5, 4.0), strict=True)
    ]
    assert (
        xbp.open_dataset(full(tmp_path / "b.dat", "mJ/mole-K", rows=of_atoms)).C.attrs[
            "amount"
        ]
        == "atoms"
    )
    without_mass = full(tmp_path / "c.dat", "mJ/mole-K", "?J/K", "?J/K", rows, molar="")
    with pytest.raises(FileFormatError, match="Addenda HC"):
        xbp.open_dataset(without_mass)
    assert "amount" not in xbp.open_dataset(without_mass, units="uJ/K").C.attrs
    assert (
        xbp.open_dataset(without_mass, units="uJ/K", amount="atoms").C.attrs["amount"]
        == "atoms"
    )
    with pytest.raises(QuantityError, match="amount='atoms'"):
        xbp.open_dataset(tmp_path / "a.dat", amount="atoms")


def test_a_sample_that_is_not_total_less_addenda(tmp_path: Path) -> None:
    for units in ("mJ/K", "nJ/K", "mJ/mole-K", "mJ/gm-K"):
        with pytest.raises(FileFormatError, match="times Total HC"):
            xbp.open_dataset(full(tmp_path / "a.dat", units))
    assert (
        xbp.open_dataset(tmp_path / "a.dat", consistency=None).C.attrs["units"]
        == "mJ/g/K"
    )
    assert (
        xbp.open_dataset(full(tmp_path / "a.dat", UJ, encoding="latin-1")).C.attrs[
            "units"
        ]
        == "uJ/K"
    )


def test_the_mass_of_data_per_mole_is_the_headers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat", units="mJ/mole-K", molar="60")
    with pytest.raises(QuantityError, match=r"mass=4 mg.*7\.76 mg"):
        open_ppms(path, mass="4 mg")
    assert open_ppms(path, mass="7.76 mg").C.attrs["sample_mass"] == "7.76 mg"


def test_a_mass_without_units_is_not_taken_for_milligrams(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dat", molar="60")
    path.write_bytes(
        path.read_bytes()
        .replace(b"Mass (mg)", b"Mass")
        .replace(b"Weight (g/mole)", b"Weight")
    )
    ds = open_ppms(path)
    assert "sample_mass" not in ds.C.attrs
    assert "molar_mass" not in ds.C.attrs
    with pytest.raises(QuantityError, match="molar mass"):
        ds.bp.to_molar("atoms")


def test_of_what_a_mole_is_has_to_be_said(tmp_path: Path) -> None:
    ds = open_ppms(write(tmp_path / "a.dat", units="mJ/mole-K", molar="60"))
    with pytest.raises(QuantityError, match=r"'amount'\] is missing") as caught:
        ds.bp.to_molar("atoms")
    assert "amount='formula units'" in caught.value.fix
    np.testing.assert_allclose(
        ds.bp.to_molar("atoms", amount="formula units").C, [2e-3 / 3, 30e-3 / 3]
    )
    np.testing.assert_allclose(ds.bp.to_molar("atoms", amount="atoms").C, [2e-3, 30e-3])
    said = ds.bp.to_molar("atoms", amount="atoms")
    with pytest.raises(QuantityError, match="amount='formula units'"):
        said.bp.to_molar("atoms", amount="formula units")
    with pytest.raises(QuantityError, match="amount='atoms' is not used"):
        open_ppms(write(tmp_path / "b.dat", molar="60")).bp.to_molar(
            "atoms", amount="atoms"
        )


def test_files_of_a_superconductor_and_of_its_addenda(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "doors" / "ybco.dat")
    row = ds.C.sel(temperature=1.9923649)
    assert (float(row), ds.C.attrs["units"], ds.C.attrs["amount"]) == (
        34.165258,
        "mJ/K/mol",
        "formula units",
    )
    assert (
        pytest.approx(34.165258, rel=1e-4) == (0.62740355 - 0.19406856) * 666.22 / 8.45
    )
    assert float(ds.bp.to_molar("atoms").C.sel(temperature=1.9923649)) == pytest.approx(
        34.165258e-3 / 13
    )
    with pytest.raises(FileFormatError, match="is an addenda file"):
        xbp.open_dataset(shared_data / "doors" / "addenda.dat")


@pytest.mark.slow
@pytest.mark.parametrize("mangled", [b"?", b"\xef\xbf\xbd", b""])
def test_a_measured_file_without_its_micro(
    shared_data: Path, tmp_path: Path, mangled: bytes
) -> None:
    whole = (shared_data / "cp" / "HC_test_data.Dat").read_bytes()
    (tmp_path / "a.dat").write_bytes(whole.replace(b"\xb5", mangled))
    with pytest.raises(FileFormatError, match="with an unreadable prefix"):
        xbp.open_dataset(tmp_path / "a.dat")
    ds = xbp.open_dataset(tmp_path / "a.dat", units="uJ/K")
    np.testing.assert_array_equal(
        ds.C, xbp.open_dataset(shared_data / "cp" / "HC_test_data.Dat").C
    )
    (tmp_path / "a.dat").write_bytes(
        whole.replace(b"Samp HC (\xb5", b"Samp HC (" + mangled).replace(
            b"Samp HC Err (\xb5", b"Samp HC Err (" + mangled
        )
    )
    decided = xbp.open_dataset(tmp_path / "a.dat")
    assert decided.C.attrs["units"] == "uJ/K"


def test_the_error_of_a_mean_covers_the_scatter(tmp_path: Path) -> None:
    rows = [f"1,,1857,2.5,{C},0.001,5,0.5,1000,0\n" for C in (1, 3)]
    ds = xbp.open_dataset(write(tmp_path / "a.dat", rows))
    assert (float(ds.C[0]), float(ds.C_std[0])) == pytest.approx((2, 1))
    assert float(ds.addenda_std[0]) == pytest.approx(0.5 / np.sqrt(2))
    close = [f"1,,1857,2.5,{C},0.5,5,0.5,1000,0\n" for C in (1, 1.01)]
    ds = xbp.open_dataset(write(tmp_path / "b.dat", close))
    assert float(ds.C_std[0]) == pytest.approx(0.5 / np.sqrt(2))


def test_each_field_is_a_heat_capacity_of_its_own(tmp_path: Path) -> None:
    rows = [
        f"1,,1857,{T},{C},0.1,5,0.5,{H},0\n"
        for T, C, H in ((2.5, 1, 1), (2.5, 100, 90000), (3.5, 2, -1), (3.6, 200, 89995))
    ]
    path = write(tmp_path / "a.dat", rows)
    with pytest.raises(QuantityError, match="field="):
        xbp.open_dataset(path)
    np.testing.assert_array_equal(xbp.open_dataset(path, field=0).C, [1, 2])
    for field in ("9 T", "90 kOe", 9e4):
        ds = xbp.open_dataset(path, field=field)
        np.testing.assert_array_equal(ds.C, [100, 200])
        np.testing.assert_array_equal(ds.temperature, [2.5, 3.6])
    with pytest.raises(QuantityError, match="5 T"):
        xbp.open_dataset(path, field="5 T")
    ds = xbp.open_dataset(path, field_spread="10 T")
    np.testing.assert_array_equal(ds.C, [50.5, 2, 200])


@pytest.mark.parametrize("of", ["mole-K", "gm-K"])
def test_a_lost_prefix_of_a_heat_capacity_per_mole_or_gram(
    tmp_path: Path, of: str
) -> None:
    """Of µJ/mole-K a re-encoded file keeps ?J/mole-K: read as J it is 1e6 wrong."""
    per = {"mole-K": 60 / 7.76e-3, "gm-K": 1 / 7.76e-3}[of]
    rows = [
        f"{i},,{i}.0,{n * per:.6f},0.1,1.0,0.01,{1.0 + n},0.01\n"
        for i, n in ((2, 0.5), (3, 1.5), (4, 4.0))
    ]
    ds = xbp.open_dataset(full(tmp_path / "a.dat", f"?J/{of}", rows=rows))
    assert ds.C.attrs["units"] == {"mole-K": "uJ/K/mol", "gm-K": "uJ/g/K"}[of]
    path = write(tmp_path / "b.dat", units=f"?J/{of}")
    with pytest.raises(FileFormatError, match="unreadable prefix") as caught:
        xbp.open_dataset(path)
    units = caught.value.fix.split("'")[1]
    own = xbp.open_dataset(path, units=units)
    assert (own.C.attrs["units"], own.addenda.attrs["units"]) == (units, units)
    with pytest.raises(UnitsError, match="contradicts"):
        xbp.open_dataset(path, units="uJ/K")


def test_points_closer_than_the_temperature_rise_are_repeats(tmp_path: Path) -> None:
    columns = COLUMNS.replace("Field (Oersted)", "Temp Rise (Kelvin)")
    rows = [
        f"1,,1857,{T},{C},0.1,5,0.5,{rise},0\n"
        for T, C, rise in ((2.0, 1, 0.04), (2.004, 2, 0.04), (2.006, 3, 0.04), (2.02, 9, 0.04), (50.0, 7, 1), (50.1, 9, 1))
    ]  # fmt: skip
    path = write(tmp_path / "a.dat", rows, columns=columns)
    assert xbp.open_dataset(path).sizes["temperature"] == 6
    ds = xbp.open_dataset(path, repeats=0.2)
    np.testing.assert_allclose(ds.temperature, [2.01 / 3 + 4 / 3, 2.02, 50.05])
    np.testing.assert_allclose(ds.C, [2, 9, 8])
    np.testing.assert_allclose(ds.C_std, [3**-0.5, 0.1, 1])
    assert ds.temperature_rise.attrs["units"] == "K"
    with pytest.raises(QuantityError, match="repeats="):
        xbp.open_dataset(write(tmp_path / "b.dat"), repeats=0.2)


def test_repeats_of_a_measured_file(shared_data: Path) -> None:
    """Three shots at each temperature, but for a few."""
    path = shared_data / "doors" / "ybco.dat"
    ds = xbp.open_dataset(path, repeats=0.2)
    shots = [34.165258, 34.106237, 34.218162]
    assert float(ds.C[0]) == pytest.approx(np.mean(shots))
    assert float(ds.temperature[0]) == pytest.approx(1.9926072, abs=1e-6)
    assert ds.sizes["temperature"] < xbp.open_dataset(path).sizes["temperature"] / 2.5


def test_further_commas_at_the_end_of_rows(tmp_path: Path) -> None:
    wanted = xbp.open_dataset(write(tmp_path / "a.dat"))
    rows = [row.replace("\n", ",,,\n") if row[0] != "1" else row for row in ROWS]
    path = write(tmp_path / "b.dat", rows)
    xr.testing.assert_equal(xbp.open_dataset(path), wanted)
    rows[1] = rows[1].replace(",,,\n", ",,7,\n")
    with pytest.raises(FileFormatError, match="line 10 has 13 fields"):
        xbp.open_dataset(write(path, rows))


@pytest.mark.parametrize("units", ["mJ/mole-K", "J/g-K", "µJ/K"])
def test_all_columns_in_one_unit(tmp_path: Path, units: str) -> None:
    """Total − Addenda is the sample, whatever a mole or the mass is."""
    columns = COLUMNS.replace("Last ()", "Total HC ({u})")
    rows = [f"1,,1857,{T},{3 * T},0.1,{T},0.1,0,{4 * T}\n" for T in (2.0, 3.0, 5.0)]
    ds = xbp.open_dataset(write(tmp_path / "a.dat", rows, units, "50", columns))
    np.testing.assert_allclose(ds.C, [6, 9, 15])
    assert "amount" not in ds.C.attrs
    rows[1] = rows[1].replace(",12.0\n", ",24.0\n")
    rows[2] = rows[2].replace(",20.0\n", ",40.0\n")
    with pytest.raises(FileFormatError, match="times Total HC - Addenda HC"):
        xbp.open_dataset(write(tmp_path / "b.dat", rows, units, "50", columns))
