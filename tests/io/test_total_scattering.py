from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import (
    FileFormatError,
    QuantityError,
    RangeError,
    UnitsError,
    XbpError,
)

GUDRUN = """\
# NIMROD00001122.mint01
# 3mm SiO2 flat plate
#     1  5
   0.0000000E+00  0.0000000E+00  0.0000000E+00
   0.2500000E-01 -0.2000000E+00  0.3000000E-03
   0.7500000E-01  0.0000000E+00  0.2000000E-03
   0.1250000E+00  0.1000000E+00  0.1000000E-03
   0.1750000E+00  0.0000000E+00  0.0000000E+00
"""
NOMAD = "#S 1 glass\n#L  Q  S(Q)  dS(Q)\n0.5 0.1 0.01\n1.0 1.2 0.02\n1.5 0.9 0.03\n"


def opened(tmp_path: Path, text: str, **options: object) -> xr.Dataset:
    path = tmp_path / "a.txt"
    path.write_text(text)
    return xr.open_dataset(path, engine="total_scattering", **options)


def test_gudrun_is_an_interference_function(tmp_path: Path) -> None:
    ds = opened(tmp_path, GUDRUN)
    nan = np.nan
    np.testing.assert_array_equal(ds.Q, [0, 0.025, 0.075, 0.125, 0.175])
    np.testing.assert_array_equal(ds.FQ, [nan, -0.2, 0, 0.1, nan])
    np.testing.assert_array_equal(ds.FQ_std, [nan, 3e-4, 2e-4, 1e-4, nan])
    assert (ds.FQ.attrs["quantity"], ds.FQ.attrs["units"]) == (
        "interference_function",
        "b",
    )
    assert ds.attrs["title"] == "3mm SiO2 flat plate"
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.txt"), ds)
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "a.txt"), ds)


def test_it_becomes_sq_with_the_mean_scattering_length(tmp_path: Path) -> None:
    ds = opened(tmp_path, GUDRUN, b_mean_squared="40 fm^2", T="300 K")  # 0.4 barn
    np.testing.assert_allclose(ds.Sq, [np.nan, 0.5, 1, 1.25, np.nan], rtol=1e-12)
    np.testing.assert_allclose(ds.Sq_std[1:4], [7.5e-4, 5e-4, 2.5e-4], rtol=1e-12)
    assert (ds.Sq.attrs["quantity"], ds.Sq.attrs["units"], float(ds.temperature)) == (
        "static_structure_factor",
        "1",
        300,
    )
    np.testing.assert_allclose(
        opened(tmp_path, GUDRUN, units="1", b_mean_squared=0.4).Sq, ds.Sq
    )
    for bad in (0, "-1 barn", "nan"):
        with pytest.raises((RangeError, UnitsError)):
            opened(tmp_path, GUDRUN, b_mean_squared=bad)
    with pytest.raises(UnitsError):
        opened(tmp_path, GUDRUN, b_mean_squared="3 meV")


@pytest.mark.parametrize("text", [NOMAD, NOMAD.replace("0.5 0.1", "3\n0.5 0.1")])
def test_nomad_is_sq(tmp_path: Path, text: str) -> None:
    ds = opened(tmp_path, text)
    np.testing.assert_array_equal(ds.Sq, [0.1, 1.2, 0.9])
    np.testing.assert_array_equal(ds.Sq_std, [0.01, 0.02, 0.03])
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.txt"), ds)
    with pytest.raises(RangeError, match="is normalised"):
        opened(tmp_path, text, b_mean_squared="1 barn")


@pytest.mark.parametrize(
    "text",
    [
        GUDRUN.replace("0.1250000E+00", "0.0100000E+00"), GUDRUN.replace("0.1000000E+00", "********"), GUDRUN[:-20], GUDRUN[:-48],
        GUDRUN[: GUDRUN.index("   0.0")], NOMAD.replace("1.0 1.2", "1.2"),
        "# a.mint01\n0 0 0\n1 0 0\n", NOMAD.replace("1.5", "nan"), NOMAD.replace("#L", "L"),
    ],
    ids=range(9),
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(XbpError):
        opened(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [("1.2 0.02", "1.2 -1"), ("1.2 0.02", "nan 0.02"), ("1.2 0.02", "-1e30 0")],
)
def test_what_was_not_measured_is_nan(tmp_path: Path, old: str, new: str) -> None:
    assert old in NOMAD
    ds = opened(tmp_path, NOMAD.replace(old, new))
    np.testing.assert_array_equal(ds.Sq, [0.1, np.nan, 0.9])
    np.testing.assert_array_equal(ds.Sq_std, [0.01, np.nan, 0.03])


def test_errors_that_are_0_throughout_are_none(tmp_path: Path) -> None:
    ds = opened(
        tmp_path, NOMAD.replace("0.01", "0").replace("0.02", "0").replace("0.03", "0")
    )
    np.testing.assert_array_equal(ds.Sq, [0.1, 1.2, 0.9])
    assert "Sq_std" not in ds


TABLE = "0.0 -0.5\n1.0 -0.4\n2.0 0.3\n4.0 -0.1\n"


def test_other_text_needs_its_kind(tmp_path: Path) -> None:
    with pytest.raises(QuantityError, match="kind="):
        opened(tmp_path, TABLE)
    one = opened(tmp_path, TABLE, kind="S(Q)-1").Sq
    np.testing.assert_allclose(one, [0.5, 0.6, 1.3, 0.9])
    reduced = opened(tmp_path, TABLE, kind="Q[S(Q)-1]").Sq
    np.testing.assert_allclose(reduced, [np.nan, 0.6, 1.15, 0.975])
    F = opened(tmp_path, TABLE, kind="F(Q)").FQ
    np.testing.assert_allclose(F, [-0.5, -0.4, 0.3, -0.1])
    assert F.attrs["units"] == "b"
    given = {"kind": "F(Q)", "b_mean_squared": "2 barn"}
    np.testing.assert_allclose(opened(tmp_path, TABLE, **given).Sq[0], 0.75)
    with pytest.raises(QuantityError, match="composition="):
        opened(tmp_path, TABLE, kind="F(Q)", per="formula unit")
    unit = opened(tmp_path, TABLE, kind="F(Q)", per="formula unit", composition="SiO2")
    assert float(unit.Sq[0]) == pytest.approx(1 - 0.5 / 3 / 0.27591, abs=1e-3)
    with pytest.raises(RangeError, match=r"minimum is -0\.5"):
        opened(tmp_path, TABLE, kind="S(Q)")
    with pytest.raises(QuantityError, match="leave kind= out"):
        opened(tmp_path, "# Q S(Q)\n" + TABLE.replace("-", ""), kind="S(Q)-1")


def test_pdfgetn(tmp_path: Path) -> None:
    """Text before the table, and four columns of which the last is the error."""
    text = "[History]\nrun 1 2 3\n##### start data\n#S 1 - PDF from PDFgetN\n#L Q S dQ dS\n"
    rows = "1.0 0.5 0.0 0.01\n2.0 1.4 0.0 0.02\n3.0 1.1 0.0 0.03\n"
    ds = opened(tmp_path, text + rows, kind="S(Q)")
    np.testing.assert_array_equal(ds.Sq_std, [0.01, 0.02, 0.03])
    with pytest.raises(FileFormatError, match="columns"):
        opened(tmp_path, rows, kind="S(Q)")


@pytest.mark.parametrize(("output", "rows"), [("sq", TABLE), ("fq", TABLE)])
def test_pdfgetx3_names_what_it_writes(tmp_path: Path, output: str, rows: str) -> None:
    """Its F(Q) is Q[S(Q) - 1], not that of Gudrun; G(r) and intensities are refused."""
    header = f"[DEFAULT]\nversion = pdfgetx3 1.2\noutputtype = {output}\nmode = xray\n"
    header += "#### start data\n\n#S 1\n#L Q(Å^{-1})  F\n"
    rows = rows.replace("-0.5", "0.1").replace("-", "" if output == "sq" else "-")
    (tmp_path / "a.txt").write_text(header + rows)
    Sq = xbp.open_dataset(tmp_path / "a.txt").Sq
    known = [0.1, 0.4, 0.3, 0.1] if output == "sq" else [np.nan, 0.6, 1.15, 0.975]
    np.testing.assert_allclose(Sq, known)
    for other in ("gr", "iq"):
        text = header.replace(f"outputtype = {output}", f"outputtype = {other}")
        (tmp_path / "b.txt").write_text(text + rows)
        with pytest.raises(FileFormatError, match=f"it is '{other}' of PDFgetX3"):
            xbp.open_dataset(tmp_path / "b.txt")


def test_a_title_below_the_number_of_rows(tmp_path: Path) -> None:
    """As RMCProfile and StoG write them."""
    Sq = opened(tmp_path, "  4\nglass at 300 K\n" + TABLE, kind="S(Q)-1").Sq
    np.testing.assert_allclose(Sq, [0.5, 0.6, 1.3, 0.9])


def test_silica(shared_data: Path) -> None:
    path = shared_data / "static" / "SiO2_NIMROD.mint01"
    ds = xbp.open_dataset(path)
    table = np.loadtxt(path)
    zero = (table[:, 1] == 0) & (table[:, 2] == 0)
    assert zero[0]
    assert zero[-1]
    np.testing.assert_array_equal(ds.Q, table[:, 0])
    np.testing.assert_array_equal(ds.FQ, np.where(zero, np.nan, table[:, 1]))
    np.testing.assert_array_equal(ds.FQ_std, np.where(zero, np.nan, table[:, 2]))
    assert abs(float(ds.FQ.sel(Q=slice(40, None)).mean())) < 0.003  # F(Q) → 0
    glass = xbp.open_dataset(path, composition="SiO2").Sq
    assert float(glass.min()) == pytest.approx(0.0738, abs=5e-4)
    with pytest.raises(RangeError, match=r"falls to -7.5(.|\n)*at least 0.2556 b"):
        xbp.open_dataset(path, engine="total_scattering", b_mean_squared="0.03 barn")
    # b of Si and O in fm (Sears 1992): S(0) is positive and S(Q) has the glass's first sharp peak near 1.5.
    sq = xr.open_dataset(
        path,
        engine="total_scattering",
        b_mean_squared=f"{((4.1491 + 2 * 5.803) / 3) ** 2} fm^2",
    ).Sq
    assert float(sq.min()) > 0
    assert float(sq.sel(Q=slice(0.5, 2)).idxmax()) == pytest.approx(1.53, abs=0.08)


def test_units_of_no_interference_function(tmp_path: Path) -> None:
    with pytest.raises(UnitsError, match="units='K'"):
        opened(tmp_path, GUDRUN, units="K")


def test_the_composition_gives_the_mean_scattering_length(tmp_path: Path) -> None:
    b_mean = (4.1491 + 2 * 5.803) / 3  # Si, O in fm (Sears 1992)
    ds = opened(tmp_path, GUDRUN, composition="SiO2")
    np.testing.assert_allclose(
        ds.Sq,
        opened(tmp_path, GUDRUN, b_mean_squared=f"{b_mean**2} fm^2").Sq,
        rtol=3e-3,
    )
    xr.testing.assert_equal(ds, opened(tmp_path, GUDRUN, composition={"O": 4, "Si": 2}))
    xr.testing.assert_identical(
        ds,
        xbp.open_dataset(
            tmp_path / "a.txt", engine="total_scattering", composition="SiO2"
        ),
    )
    said = json.loads(ds.Sq.attrs["history"])
    assert (said["operation"], said["arguments"]["composition"]) == (
        "open_total_scattering",
        "SiO2",
    )
    assert said["arguments"]["b_mean_squared"].startswith("0.2759")
    assert ds.attrs["composition"] == "SiO2"
    assert "Sq" in opened(
        tmp_path, GUDRUN.replace("-0.2", "-20.0"), units="fm^2", composition="SiO2"
    )
    for wrong in ({"b_mean_squared": 1}, {"units": "1"}):
        with pytest.raises(QuantityError, match="composition='SiO2'"):
            opened(tmp_path, GUDRUN, composition="SiO2", **wrong)
    with pytest.raises(QuantityError, match="Xq"):
        opened(tmp_path, GUDRUN, composition="XqO2")
    with pytest.raises(QuantityError, match="0 within the digits"):
        opened(tmp_path, GUDRUN, composition="Ti68Zr32")


def test_a_mean_scattering_length_that_is_too_small_is_refused(tmp_path: Path) -> None:
    # F(Q) falls to -0.2 barn, with a standard deviation of 3e-4.
    with pytest.raises(
        RangeError, match=r"b_mean_squared=0.05 b is too small(.|\n)*at least 0.2 b"
    ):
        opened(tmp_path, GUDRUN, b_mean_squared="0.05 barn")
    assert float(opened(tmp_path, GUDRUN, b_mean_squared="0.2 barn").Sq.min()) == 0
    # Noise, and the few percent to which scales are known, are let pass.
    assert float(opened(tmp_path, GUDRUN, b_mean_squared="0.195 barn").Sq.min()) < 0
    assert (
        float(
            opened(
                tmp_path,
                GUDRUN.replace("0.3000000E-03", "0.3"),
                b_mean_squared="0.1 barn",
            ).Sq.min()
        )
        == -1
    )


def test_faber_and_ziman_may_be_negative_where_scattering_lengths_differ(
    tmp_path: Path,
) -> None:
    # TiZr: b of -3.438 and 7.16 fm give 1 - <b^2>/<b>^2 = -7.7; F(Q) may fall to -31.3 fm^2.
    ok = GUDRUN.replace("-0.2000000E+00", "-0.3000000E+00")
    assert float(opened(tmp_path, ok, composition="TiZr").Sq.min()) == pytest.approx(
        1 - 30 / 3.591, abs=1e-3
    )
    with pytest.raises(RangeError, match=r"composition='TiZr'(.|\n)*at least 0.4 b"):
        opened(
            tmp_path,
            GUDRUN.replace("-0.2000000E+00", "-0.4000000E+00"),
            composition="TiZr",
        )
    with pytest.raises(RangeError, match="composition="):
        opened(tmp_path, ok, b_mean_squared="0.0359 barn")


@pytest.mark.parametrize("unit", [" [1/nm]", " in nm-1", " nm^-1"])
def test_the_unit_in_the_label_of_mcstas(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.qSq"
    path.write_text(f"# column_q 1{unit}\n# column_Sq 2\n5 0.5\n10 1.5\n")
    np.testing.assert_allclose(xbp.open_dataset(path).Q, [0.5, 1])


@pytest.mark.parametrize("header", ["# column_q 1 [deg]\n# column_Sq 2", "# column_q 1\n# column_Sq 2 minus 1", "# column_q 1\n# column_Sq 2 barn",
                                    "# column_q 1\n# column_Sq 2\n# q in nm-1"])  # fmt: skip
def test_labels_that_contradict(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.qSq").write_text(f"{header}\n5 0.5\n10 1.5\n")
    with pytest.raises(XbpError):
        xbp.open_dataset(tmp_path / "a.qSq")


def test_rows_taken_out_at_the_beginning(tmp_path: Path) -> None:
    """Users cut the lowest Q off; a row that is missing elsewhere is damage."""
    text = GUDRUN.replace("0.1000000E+00", "-.1000000E+00")
    rows = text.splitlines(keepends=True)
    whole = opened(tmp_path, text)
    for n in (1, 2):
        part = opened(tmp_path, "".join(rows[:3] + rows[3 + n :]))
        xr.testing.assert_equal(part.FQ, whole.FQ[n:])
    for lost in (rows[:-1], rows[:4] + rows[5:]):
        with pytest.raises(FileFormatError, match="not as announced"):
            opened(tmp_path, "".join(lost))


@pytest.mark.parametrize("end", ["mdcs01", "mgor01", "msubw01"])
def test_other_files_of_gudrun_are_named(tmp_path: Path, end: str) -> None:
    text = GUDRUN.replace("mint01", end)
    path = tmp_path / "a.txt"
    path.write_text(text)
    labels = {"quantity": "F(Q)", "units": "barn", "coordinate_units": "1/angstrom"}
    for options in ({}, labels):
        with pytest.raises(FileFormatError, match=rf"Gudrun's \.{end}, whose F\(Q\)"):
            xbp.open_dataset(path, **options)
    forced = opened(tmp_path, text, kind="F(Q)")
    np.testing.assert_array_equal(forced.FQ[1:4], [-0.2, 0, 0.1])
