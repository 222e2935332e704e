"""A text of another format is never read as columns; numbers that may be another function, or two numbers, are refused."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, RangeError, UnitsError, XbpError

ROWS = "1.0 2.5\n2.0 3.5\n3.0 4.5\n"
ROWS_3 = "1.0 2.5 0.1\n2.0 3.5 0.2\n3.0 4.5 0.3\n"
RAMAN = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
SQ = {
    "quantity": "static_structure_factor",
    "units": "1",
    "coordinate_units": "1/angstrom",
}
RDF = {"quantity": "radial_distribution", "units": "1", "coordinate_units": "angstrom"}
FQ = {
    "quantity": "interference_function",
    "units": "barn",
    "coordinate_units": "1/angstrom",
}
SQE = {"quantity": "dynamic_structure_factor", "units": "1/meV", "coordinate_units": "meV"}  # fmt: skip
HEAT = {"quantity": "heat_capacity", "units": "J/mol/K", "coordinate_units": "K"}

TEXTS = {
    "JCAMP-DX": "##TITLE=t\n##JCAMP-DX=4.24\n##XFACTOR=2\n##YFACTOR=3\n##XYDATA=(X++(Y..Y))\n1.0 2 3\n5.0 4 5\n##END=\n",
    "INX": "    7    1    2    0    0    0    0    3\na title\n 1.0000 13.088  2.5133    0.000   1.0 0\n 0.0 4.0 0.0\n" + ROWS_3,
    "SPE": "   2   2\n### Phi Grid\n 1.0 2.0 3.0\n### Energy Grid\n 1.0 2.0 3.0\n### S(Phi,w) 1\n 1.0 2.0\n### Errors\n 0.1 0.2\n",
    "CIF": "data_glass\nloop_\n_pd_meas_2theta_scan\n_pd_meas_counts_total\n" + ROWS,
    "HTML": "<html><body><pre>\n" + ROWS + "</pre></body></html>\n",
    "XML": '<?xml version="1.0"?>\n<data>\n' + ROWS + "</data>\n",
    "JSON": '{"x": [\n' + ROWS + "]}\n",
    "JSON array": "[\n" + ROWS + "]\n",
    "RTF": "{\\rtf1\n" + ROWS + "}\n",
    "LAMMPS log": "LAMMPS (29 Aug 2024)\nStep Temp\n" + ROWS + "Loop time of 1.0 on 1 procs\n",
    "LAMMPS thermo": "units metal\n   Step          Temp          PotEng\n" + ROWS_3,
    "LAMMPS fix": "# Time-averaged data for fix 1\n# TimeStep v_x\n" + ROWS,
    "LAMMPS data": "glass\n\n2 atoms\n\n0.0 10.0 xlo xhi\n\nMasses\n\n" + ROWS,
    "GSAS": "glass\nBANK 1 3 3 CONST 100.00 2.00 0 0 FXYE\n" + ROWS_3,
    "gnuplot": "set terminal png\n$data << EOD\n" + ROWS + "EOD\nplot $data\n",
    "PPMS": "[Header]\nBYAPP, VSM,1.0\n[Data]\n" + ROWS,
    "XYZ": "3\na glass\nSi 1 2 3\nO 1 2 3\nO 1 2 4\n" + ROWS,
    "POSCAR": "glass\n1.0\n5 0 0\n0 5 0\n0 0 5\nSi O\n1 2\nDirect\n0.1 0.2 0.3\n0.2 0.3 0.4\n0.5 0.5 0.5\n",
    "reflections": "# column_h 1\n# column_F2 2\n" + ROWS,
    "PostScript": "%!PS-Adobe\n" + ROWS,
    "XML fragment": "<data>\n" + ROWS + "</data>\n",
    "detectors": "3\n" + "1 2 3 4 5\n" * 3,
    "LabSpec without its header": "#Acq. time (s)=\t30\n#Laser=\t532\n" + ROWS,
    "sqw without its first line": "# vector of q in Angstroem-1\n# vector of w in meV\n" + ROWS,
    "sqw matrix": "# Sqw data file\n# matrix of S(q,w)\n" + ROWS,
    "McStas with one label": "# column_q 1\n" + ROWS,
}  # fmt: skip


def refused(
    path: Path, text: str, options: dict[str, object], kind: type[XbpError]
) -> XbpError:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(kind):
        xbp.open_dataset(path, **options)
    with pytest.raises(kind) as caught:
        xr.open_dataset(path, engine="columns", **options)
    return caught.value


@pytest.mark.parametrize("name", TEXTS)
def test_a_known_format_is_never_columns(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXTS[name])
    with pytest.raises(FileFormatError, match=r"it (is|looks like) "):
        xr.open_dataset(path, engine="columns", **RAMAN)
    with pytest.raises(XbpError):
        xbp.open_dataset(path, **RAMAN)


@pytest.mark.parametrize(
    "head",
    [
        "<u^2> and <E> at T",
        "<E> S",
        "[1] A. Author, 1999",
        "set temperature 300",
        "# from data.sqw",
        "# Step of the run",
        "The html page",
    ],
)
def test_a_table_below_words_of_other_formats(tmp_path: Path, head: str) -> None:
    (tmp_path / "a.txt").write_text(f"{head}\n{ROWS}")
    np.testing.assert_array_equal(
        xr.open_dataset(tmp_path / "a.txt", engine="columns", **RAMAN).I,
        [2.5, 3.5, 4.5],
    )


def test_the_interference_function_of_gudrun_is_no_structure_factor(
    tmp_path: Path,
) -> None:
    text = "# A0001.mint01\n# glass\n" + curve(lambda Q: 0.02 * (s(Q) - 1))
    refused(tmp_path / "a.txt", text, SQ, XbpError)
    np.testing.assert_allclose(
        xr.open_dataset(tmp_path / "a.txt", engine="columns", **FQ).FQ[0],
        0.02 * (s(np.array(0.5)) - 1),
        atol=1e-6,
    )


def test_measured_files_of_known_formats(shared_data: Path) -> None:
    for name in (
        "Fe4_2K.spe",
        "In20_2p5_350K__tt_cr.txt",
        "xyy_two_per_line.jdx",
        "Well_Ar.xml",
        "euphonic_dos.json",
    ):
        with pytest.raises(FileFormatError):
            xr.open_dataset(shared_data / "doors" / name, engine="columns", **RAMAN)


@pytest.mark.slow
def test_header_rows_of_rruff_are_kept(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "doors" / "rruff.txt", **RAMAN)
    names = ("sample", "rruff_names", "rruff_rruffid", "rruff_ideal_chemistry")
    said = [ds.attrs[name] for name in names]
    assert said == ["Coesite", "Coesite", "R070565", "SiO_2_"]
    assert ds.sizes["E"] == 2360
    np.testing.assert_array_equal(
        [ds.E[0], ds.I[0], ds.E[-1], ds.I[-1]], [20, 63.534, 1199.5, 0.834]
    )


PDFGETX = "[DEFAULT]\n\nversion = pdfgetx3 2.1.1\n\n#### start data\n\n#S 1\n#L r($\\AA$)  G($\\AA^{-2}$)\n"


def curve(function: object, start: float = 0.5, stop: float = 20.0) -> str:
    x = np.arange(start, stop, 0.05)
    return "".join(f"{a:.2f} {b:.6f}\n" for a, b in zip(x, function(x), strict=True))  # type: ignore[operator]


def g(r: np.ndarray) -> np.ndarray:
    return np.where(r < 2, 0.0, 1 + np.sin(4 * r) * np.exp(-r / 3))


def test_a_reduced_distribution_is_no_g_of_r(tmp_path: Path) -> None:
    """G(r) = 4πρr[g(r) − 1] in 1/Å², told by its header or by its numbers."""
    bare = curve(lambda r: 4 * np.pi * 0.05 * r * (g(r) - 1))
    refused(tmp_path / "a.gr", PDFGETX + bare, RDF, FileFormatError)
    assert "has a mean of -0.003" in str(
        refused(tmp_path / "b.gr", bare, RDF, RangeError)
    )
    for other in (
        lambda r: g(r) - 1,
        lambda r: 4 * np.pi * 0.05 * r * g(r),
        lambda r: 4 * np.pi * 0.05 * r**2 * g(r),
    ):
        refused(tmp_path / "c.gr", curve(other), RDF, RangeError)
    (tmp_path / "d.gr").write_text("# r(A) g(r)\n" + curve(g))
    ds = xbp.open_dataset(tmp_path / "d.gr", **RDF)
    np.testing.assert_allclose(ds.rdf, g(ds.r.values), atol=1e-6)
    (tmp_path / "e.gr").write_text(curve(lambda r: 1e-3 * r, stop=2.0))
    assert xbp.open_dataset(tmp_path / "e.gr", **RDF, tail=None).sizes == {"r": 30}


def s(Q: np.ndarray) -> np.ndarray:
    return 1 + np.sin(3 * Q) / (3 * Q) * (1 - np.exp(-Q)) - np.exp(-(Q**2))


@pytest.mark.parametrize(
    "other", [lambda Q: s(Q) - 1, lambda Q: Q * (s(Q) - 1), lambda Q: 0.3 * (s(Q) - 1)]
)
def test_another_function_is_no_structure_factor(tmp_path: Path, other: object) -> None:
    assert "S(Q) falls to" in str(
        refused(tmp_path / "a.txt", curve(other), SQ, RangeError)
    )
    (tmp_path / "b.txt").write_text(curve(other))
    assert float(xbp.open_dataset(tmp_path / "b.txt", **SQ, lowest=-2).Sq.min()) < -0.05
    assert float(xbp.open_dataset(tmp_path / "b.txt", **FQ).FQ.min()) < -0.05


def test_a_structure_factor_is_one_and_no_interference_function(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("# Q S(Q)\n" + curve(s))
    ds = xbp.open_dataset(tmp_path / "a.txt")
    np.testing.assert_allclose(ds.Sq, s(ds.Q.values), atol=1e-6)
    refused(tmp_path / "b.txt", curve(s), FQ, RangeError)
    for title in ("# Q (1/A)  S(Q)-1", "# Q Q[S(Q)-1]", "# Q F(Q)"):
        # Positive throughout, so that the title alone shows it.
        refused(
            tmp_path / "c.txt",
            f"{title}\n" + curve(lambda Q: s(Q) + 1),
            SQ,
            FileFormatError,
        )
        with pytest.raises(FileFormatError):
            xbp.open_dataset(tmp_path / "c.txt")
    (tmp_path / "d.txt").write_text("# Q S(Q)\n" + curve(lambda Q: s(Q) - 1))
    with pytest.raises(RangeError, match="S\\(Q\\) falls to"):
        xbp.open_dataset(tmp_path / "d.txt")


def test_partial_columns_of_dynamics_are_no_errors(tmp_path: Path) -> None:
    for title in (
        "# Frequency[cm^-1] DOS PDOS",
        "Energy,Zr,Cu",
        "# E S Monitor",
        "# E S variance",
        "# E S err(%)",
        "# E S rel_err",
        "# Sigma = 0.05",
        "@ s1 legend",
    ):
        mark = "," if "," in title else " "
        text = f"{title}\n" + ROWS_3.replace(" ", mark)
        options = {
            "quantity": "vibrational_dos",
            "units": "1",
            "coordinate_units": "1/cm",
        }
        refused(tmp_path / "a.txt", text, options, QuantityError)
        (tmp_path / "b.txt").write_text(text)
        ds = xbp.open_dataset(tmp_path / "b.txt", **options, has_std=False)
        assert list(ds.data_vars) == ["g"]
        np.testing.assert_array_equal(ds.g, [2.5, 3.5, 4.5])
    for title in (
        "# E S dS",
        "@ s1 legend\n@TYPE xydy",
        "# X , Y , E",
        "# E (1/cm) g(E) error",
        "# measured at ILL",
        "Energy,Zr,ErrZr",
        "# E S esd",
    ):
        (tmp_path / "c.txt").write_text(f"{title}\n" + ROWS_3)
        np.testing.assert_array_equal(
            xbp.open_dataset(tmp_path / "c.txt", **options).g_std, [0.1, 0.2, 0.3]
        )


@pytest.mark.parametrize(
    ("title", "options"),
    [
        ("Q ($\\AA^{-1}$)  F ($\\AA^{-1}$)", FQ), ("T (K)  C (mJ/mol/K)", HEAT), ("T/K\tC/mJ mol-1 K-1", HEAT), ("Wavelength\tIntensity", RAMAN), ("T (C)  C (J/mol/K)", HEAT), ("Wavelength (nm)  I", RAMAN), ("Raman shift (meV)  I (counts)", RAMAN),
        ("E (cm-1)  S", SQE), ("E [1/cm]  S", SQE), ("E_cm-1  S", SQE), ("E, cm-1  S", SQE), ("E (THz)  S", SQE), ("shift (THz)  I", RAMAN), ("Q / nm-1  S(Q)", SQ), ("T (mK)  C", HEAT),
        ("Q (nm-1)  S(Q)", SQ), ("r (nm)  g(r)", RDF),
    ],
)  # fmt: skip
def test_titles_in_other_units_than_given(
    tmp_path: Path, title: str, options: dict[str, object]
) -> None:
    refused(tmp_path / "a.txt", f"# {title}\n{ROWS}", options, UnitsError)


def test_titles_in_the_units_given(tmp_path: Path) -> None:
    for title, options in (
        ("T (K),C (J/mol/K)", HEAT),
        ("Q (A^-1) S(Q)", SQ),
        ("Q (Å⁻¹) S (arb. units)", SQ),
        ("shift (cm-1) I (a.u.)", RAMAN),
    ):
        (tmp_path / "a.txt").write_text(f"{title}\n{ROWS}", encoding="utf-8")
        assert (
            xbp.open_dataset(tmp_path / "a.txt", **options).sizes[
                next(iter(xbp.open_dataset(tmp_path / "a.txt", **options).dims))
            ]
            == 3
        )


def test_a_labspec_axis_in_wavelengths_is_no_shift(tmp_path: Path) -> None:
    head = "#Acq. time (s)=\t30\n#Instrument=\tLabRAM\n#AxisUnit[1]=\tnm\n"
    refused(tmp_path / "a.txt", head + ROWS.replace(" ", "\t"), RAMAN, UnitsError)
    (tmp_path / "b.txt").write_text(head.replace("\tnm", "\t1/cm") + ROWS)
    np.testing.assert_array_equal(
        xr.open_dataset(tmp_path / "b.txt", engine="columns", **RAMAN).I,
        [2.5, 3.5, 4.5],
    )


@pytest.mark.parametrize(
    "text",
    [
        "100,12,5\n101,12,7\n102,13,1\n", "100,1,234\n101,1,236\n102,2,001\n", "20.5,1,234\n21.5,1,236\n", "20.5 1 234\n21.5 1 236\n",
    ],
)  # fmt: skip
def test_three_whole_numbers_that_may_be_two(tmp_path: Path, text: str) -> None:
    assert "has_std" in str(refused(tmp_path / "a.txt", text, RAMAN, FileFormatError))
    ds = xbp.open_dataset(tmp_path / "a.txt", **RAMAN, has_std=True)
    assert float(ds.I_std[0]) == float(
        text.replace(" ", ",").split("\n")[0].split(",")[2]
    )


@pytest.mark.parametrize(
    "text",
    [
        "998 5\n999 6\n1'000 7\n1'001 8\n", "998 5\n999 6\n1\u00a0000 7\n1\u00a0001 8\n", "998 5\n999 6\n1\u202f000 7\n",
        "1.5 5\n2.5 6\n1.0-100 7\n", "1.0-100 5\n1.5 6\n2.5 7\n", "***** 5\n2.5 6\n3.5 7\n", "1.5 5\n2.5 6\n#DIV/0! 7\n", "1.5(2) 5\n2.5 6\n3.5 7\n",
        "1 5\n2 inf\n3 7\n", "1 5\n2 6\n3 -Infinity\n", "1 5 0.1\n2 6 inf\n3 7 0.1\n", "1 5\n2 6\ninf 7\n", "1 5\n2 1e200\n3 7\n", "1 5\n2 1e999\n3 7\n",
        "1x10^2 5\n2 6\n3 7\n", "NaN(ind) 5\n2 6\n3 7\n", "1 5\n2 6\n? 7\n", "1 5\n2 6\n<3 7\n", "1 5\n2 6\n0x3 7\n", "1,5\n2,6\nNA,7\n", "12:30 5\n2 6\n3 7\n",
    ],
)  # fmt: skip
def test_no_row_is_dropped_and_none_is_infinite(tmp_path: Path, text: str) -> None:
    refused(tmp_path / "a.txt", text, RAMAN, FileFormatError)


def test_two_runs_over_the_same_temperatures(tmp_path: Path) -> None:
    refused(
        tmp_path / "a.txt",
        "1 5\n2 6\n3 7\n# second sample\n1.5 50\n2.5 60\n3.5 70\n",
        HEAT,
        FileFormatError,
    )
    (tmp_path / "b.txt").write_text("3 7\n2 6\n1 5\n# further down\n0.9 4\n0.5 3\n")
    np.testing.assert_array_equal(
        xbp.open_dataset(tmp_path / "b.txt", **HEAT).C, [3, 4, 5, 6, 7]
    )


def test_infinite_numbers_are_not_written(tmp_path: Path) -> None:
    ds = xbp.new_dataset(
        "raman_intensity", [1.0, np.inf], units="1", coords={"E": ([1.0, 2.0], "1/cm")}
    )
    with pytest.raises(QuantityError, match="infinite"):
        ds.bp.to_columns(tmp_path / "a.txt")


def test_the_structure_factor_of_silica_opens_by_its_header(shared_data: Path) -> None:
    ds = xbp.open_dataset(shared_data / "doors" / "SiO2_liq.qSq")
    assert (list(ds.data_vars), ds.Q.attrs["units"], ds.sizes["Q"]) == (
        ["Sq"],
        "1/angstrom",
        2467,
    )
    np.testing.assert_array_equal(
        [ds.Q[0], ds.Sq[0], ds.Q[-1], ds.Sq[-1]], [0.65, 0.183653, 49.97096, 0.999222]
    )
    xr.testing.assert_equal(
        xbp.open_dataset(shared_data / "doors" / "SiO2_liq.qSq", **SQ).Sq, ds.Sq
    )


def test_columns_by_the_header_of_mcstas(tmp_path: Path) -> None:
    (tmp_path / "a.qSq").write_text("# column_Sq 1\n# column_q 3\n0.5 9 1\n1.5 9 2\n")
    ds = xbp.open_dataset(tmp_path / "a.qSq")
    np.testing.assert_array_equal([ds.Q, ds.Sq], [[1, 2], [0.5, 1.5]])
    (tmp_path / "a.qSq").write_text("# column_Sq 1\n# column_q 4\n0.5 9 1\n1.5 9 2\n")
    with pytest.raises(FileFormatError, match="column 4, but there are 3"):
        xbp.open_dataset(tmp_path / "a.qSq")
    (tmp_path / "b.qSq").write_text("# column_Sq 1\n# column_q 2\n0.5 1\n1.5 2\n")
    with pytest.raises(FileFormatError, match="columns 1 and 2"):
        xr.open_dataset(tmp_path / "b.qSq", engine="columns", **SQ)
    np.testing.assert_array_equal(xbp.open_dataset(tmp_path / "b.qSq").Q, [1, 2])


def test_total_scattering_on_another_scale_is_no_structure_factor(
    shared_data: Path,
) -> None:
    path = shared_data / "doors" / "SofQ_NaNO3_230C.dat"
    with pytest.raises(FileFormatError):
        xbp.open_dataset(path)
    with pytest.raises(RangeError, match=r"S\(Q\) falls to -2\.211"):
        xbp.open_dataset(path, **SQ)


@pytest.mark.parametrize(
    ("title", "options"),
    [
        ("2theta  counts", RAMAN), ("2theta  S", SQ), ("2θ  S(Q)", SQ), ("d (A)  S(Q)", SQ), ("Q  ln S", SQ), ("ln Q  S(Q)", SQ),
        ("Raman shift  log10(Intensity)", RAMAN), ("Raman shift (cm-1)  log(I)", RAMAN), ("shift  ln(I)", RAMAN),
        ("Wavenumber (cm-1)\tTransmittance", RAMAN), ("Wavenumber\tAbsorbance", RAMAN), ("Wavenumber\tReflectance", RAMAN),
        ("Absolute wavenumber (cm-1) Intensity", RAMAN), ("Absolute wavenumber\tI", RAMAN), ("abs. wavenumber,I", RAMAN),
        ("shift  I (dB)", RAMAN), ("shift  I (%)", RAMAN), ("shift  percent", RAMAN), ("shift  sqrt(I)", RAMAN), ("shift  dI/dE", RAMAN),
        ("Q  I", RAMAN), ("T  I", RAMAN), ("time  I", RAMAN), ("E  S(Q)", SQ), ("Q  F(Q,t)", SQ), ("Q^2  S", SQ), ("Q  1/S(Q)", SQ),
        ("E  S(Q,E)", {"quantity": "vibrational_dos", "units": "1", "coordinate_units": "meV"}),
        ("T^2  C", HEAT), ("1/T  C", HEAT), ("T (K)  C/T", HEAT), ("T,C/T3", HEAT), ("T,C/T^3", HEAT), ("log T C", HEAT), ("1000/T C", HEAT),
        ("-E S", SQE), ("neutron energy gain (meV),S", SQE), ("Ef-Ei S", SQE), ("E (micro-eV) S", SQE), ("E (meV) S (10^3/meV)", SQE),
        ("Intensity,Raman shift (cm-1)", RAMAN), ("S(E) (1/meV),E (meV)", SQE), ("S(E) E", SQE), ("C (J/mol/K),T (K)", HEAT), ("Cp T", HEAT), ("S(Q) Q (1/A)", SQ), ("E  Cp", HEAT), ("r  S(Q)", SQ), ("r  F(Q)", RDF | {"tail": None}),
        # Factors, ratios and powers, also in a line with single blanks.
        ("E  S*1000", SQE), ("E S * 1000", SQE), ("E 1000 S", SQE), ("E  S x 10^3", SQE), ("E  S×10", SQE), ("E S x1000", SQE), ("E  S (x 1000)", SQE), ("E  S (1e3)", SQE),
        ("E  S/n", SQE), ("shift I/(n+1)", RAMAN), ("shift I/[n(w)+1]", RAMAN), ("E  I/E", RAMAN), ("shift chi''", RAMAN), ("E  chi''", SQE), ("shift susceptibility", RAMAN), ("shift I (Bose corrected)", RAMAN),
        ("Q  Q*S", SQ), ("Q Q S(Q)-1", SQ), ("Q (1/A) S(Q) - 1", SQ), ("Q  S(Q)/2", SQ), ("Q  S(Q)+1", SQ), ("Q  S(Q) (barn)", SQ), ("r  g(r) (1/A^3)", RDF | {"tail": None}),
        ("T  C (3R)", HEAT), ("T (K) C (3R)", HEAT), ("T C/3R", HEAT), ("T C / 3 R", HEAT), ("T  C (kB)", HEAT), ("T  C (k_B)", HEAT), ("T  C (NkB)", HEAT), ("T  C (kB per atom)", HEAT), ("T  C (R)", HEAT), ("T2 C", HEAT), ("T²  C", HEAT), ("T3,C", HEAT),
        ("T (K) C (mJ/mol K)", HEAT), ("T  C (mJ/mol.K)", HEAT), ("T  C (mJ/mol-K)", HEAT), ("T  C (mJ/g-at K)", HEAT), ("T (K) Molar Cp (mJ/mol/K)", HEAT), ("T  C in mJ/mol/K", HEAT), ("T  C [1000 J/mol/K]", HEAT),
        ("T/Tc  C", HEAT), ("E/K  S", SQE), ("E (K)  S", SQE), ("E/E0  S", SQE), ("freq_THz  S", SQE), ("E eV  S", SQE), ("E (ev)  S", SQE), ("E (kelvin)  S", SQE), ("E (J)  S", SQE), ("w (rad/ps)  S", SQE), ("E (meV)  S (1/eV)", SQE), ("E (meV) g (states/eV)", SQE | {"quantity": "vibrational_dos"}),
    ],
)  # fmt: skip
def test_titles_of_another_quantity_or_a_function(
    tmp_path: Path, title: str, options: dict[str, object]
) -> None:
    refused(tmp_path / "a.txt", f"# {title}\n{ROWS}", options, XbpError)
    ds = xbp.open_dataset(tmp_path / "a.txt", **options, check_titles=False)
    np.testing.assert_array_equal(next(iter(ds.data_vars.values())), [2.5, 3.5, 4.5])


@pytest.mark.parametrize(
    ("title", "options"),
    [
        ("Raman shift (cm-1)\tIntensity (counts)", RAMAN), ("Raman shift Intensity", RAMAN), ("X  Y", RAMAN), ("E  I_exp", RAMAN),
        ("wavenumber  logger", RAMAN), ("freq.  I", RAMAN), ("Q (A^-1)  S", SQ), ("k  S(k)", SQ), ("K  C", HEAT), ("T/K  Cp", HEAT),
        ("Temperature [K]  Heat capacity [J/mol/K]", HEAT), ("r [A]  g(r)", RDF | {"tail": None}),
        ("E [meV]  VDOS", {"quantity": "vibrational_dos", "units": "1", "coordinate_units": "meV"}),
        ("E (meV)  DOS", {"quantity": "generalized_dos", "units": "1", "coordinate_units": "meV"}),
        ("E (milli-eV) S (1/meV)", SQE), ("E (transfer, meV) S", SQE), ("E (mev) S", SQE), ("Ei-Ef S", SQE), ("sample C", HEAT),
        ("neutron energy loss (meV),S", SQE), ("E  S(Q,w)", {"quantity": "dynamic_structure_factor", "units": "1", "coordinate_units": "meV"}),
        ("shift (cm-1)  I (295 K, 532 nm)", RAMAN), ("shift  I_VV", RAMAN), ("shift  I(HV)", RAMAN), ("shift  counts/s", RAMAN), ("shift  counts/monitor", RAMAN), ("shift  I/I0", RAMAN), ("shift  I/a.u.", RAMAN), ("shift  I (arb. units)", RAMAN), ("shift  sample-can", RAMAN),
        ("Raman shift / cm-1 Intensity / a.u.", RAMAN), ("shift  300K", RAMAN), ("shift  run 1234", RAMAN), ("shift  x=0.2", RAMAN), ("shift  I (10^3 counts)", RAMAN), ("Wavenumber (1/CM)\tI", RAMAN), ("shift  I (1)", RAMAN), ("shift Zr46Cu46Al8", RAMAN),
        ("T  C (J/mol K)", HEAT), ("T  C (J/mol-K)", HEAT), ("T  C (J/mol.K)", HEAT), ("T  C (J/g-at K)", HEAT), ("T  C in J/mol/K", HEAT), ("T_K  C", HEAT), ("T (K) Molar Cp (J/mol/K)", HEAT), ("T  C/J mol-1 K-1", HEAT), ("T/K  C_p/(J/mol/K)", HEAT), ("T (Kelvin)  C", HEAT), ("T (K)  C(T)", HEAT), ("T  C (0 T)", HEAT),
        ("T  C/T^3", {"quantity": "reduced_heat_capacity", "units": "J/mol/K^4", "coordinate_units": "K"}), ("E  g(E)/E^2", {"quantity": "reduced_dos", "units": "1", "coordinate_units": "meV"}),
        ("t  F(Q,t)/F(Q,0)", {"quantity": "intermediate_scattering_function", "units": "1", "coordinate_units": "ps"}), ("t  <u^2> (A^2)", {"quantity": "mean_square_displacement", "units": "angstrom^2", "coordinate_units": "ps"}),
        ("T  Cp (J/mol$\\cdot$K)", HEAT), ("T  Cp (Jmol-1K-1)", HEAT), ("T(K)  Cp(J/(mol.K))", HEAT), ("T  Cp, J/(mol K)", HEAT), ("wavenumber_cm-1  intensity_au", RAMAN), ("shift  Glass #12 - polished", RAMAN),
        ("shift  B2O3 glass, VV+VH", RAMAN), ("shift  VV-4/3VH", RAMAN), ("shift  counts/600s", RAMAN), ("Q  S_exp(Q)", SQ), ("Q  S(Q), MD", SQ), ("Q  S(Q) (RMC)", SQ), ("shift  Na2O-3SiO2", RAMAN), ("shift  I (5 acc.)", RAMAN),
        ("E (meV)  S (1/(meV))", SQE), ("E (MEV)  S", SQE), ("E_meV  S", SQE), ("E (meV)  g (states/meV/atom)", SQE | {"quantity": "vibrational_dos"}), ("E (meV)  g (states per meV)", SQE | {"quantity": "vibrational_dos"}), ("Q (inverse angstrom)  S", SQ), ("Q (Ang^-1)  S(Q)", SQ), ("Q  S(Q) (298 K)", SQ),
    ],
)  # fmt: skip
def test_titles_of_the_quantity(
    tmp_path: Path, title: str, options: dict[str, object]
) -> None:
    (tmp_path / "a.txt").write_text(f"# {title}\n{ROWS}", encoding="utf-8")
    ds = xbp.open_dataset(tmp_path / "a.txt", **options)
    np.testing.assert_array_equal(next(iter(ds.data_vars.values())), [2.5, 3.5, 4.5])


OPERATIONS = [
    "{}*1000", "1000*{}", "{} x 1000", "{}x1000", "{}·10", "1000{}", "10^3 {}", "{}/1000", "{}/n", "{}/(n+1)", "{}/E", "{}/Q^2", "Q*{}",
    "{}^2", "{}²", "{}+1", "{} - 1", "log {}", "ln({})", "√{}", "1/{}", "{}'", "{}''", "d{}/dE", "{} (×1000)", "{} (1e3)", "{} [%]", "{}(dB)",
    "-{}", "{} (1000)", "{} [milli]", "{}_log", "∫{}dE", "int {} dE",
]  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_in_titles(tmp_path: Path, operation: str) -> None:
    path = tmp_path / "a.txt"
    for axis, value, options in (
        ("E (meV)", "S(Q,E)", SQE),
        ("T", "Cp", HEAT),
        ("Q", "S(Q)", SQ),
        ("E", "g(E)", SQE | {"quantity": "vibrational_dos"}),
        ("shift", "I", RAMAN),
    ):
        for blank in ("\t", "  ", " "):
            title = f"# {axis}{blank}{operation.format(value)}\n"
            path.write_text(title + ROWS, encoding="utf-8")
            with pytest.raises(XbpError):
                xbp.open_dataset(path, **options)


@pytest.mark.parametrize(
    ("remark", "options"),
    [
        ("energy in THz", SQE), ("# E axis: THz", SQE), ("# energy transfer units: ueV", SQE), ("# Q in 1/nm", SQ), ("temperature in mK", HEAT),
        ("heat capacity in mJ/mol/K", HEAT), ("# Cp is in mJ/mol/K", HEAT), ("# C: J/g/K * 1", HEAT | {"units": "mJ/g/K"}), ("# multiplied by 1000", HEAT), ("# scaled by 10^3", SQ),
        ("# y = log10(I)", RAMAN), ("# values are log10 of counts", RAMAN), ("# S in 1/eV", SQE),
    ],
)  # fmt: skip
def test_remarks_that_contradict(
    tmp_path: Path, remark: str, options: dict[str, object]
) -> None:
    refused(tmp_path / "a.txt", f"{remark}\n# measured\n{ROWS}", options, XbpError)
    xbp.open_dataset(tmp_path / "a.txt", **options, check_titles=False)


@pytest.mark.parametrize(
    ("remark", "options"),
    [
        ("energy in meV", SQE), ("# E = 5 meV", SQE), ("# Q in 1/nm", SQE), ("# Q = 2 1/A", SQ), ("# T: 300 K", HEAT), ("T in kelvin", HEAT), ("# scaled by 10^3", RAMAN),
        ("heat capacity in J/mol/K", HEAT), ("# the log of the run", RAMAN), ("# laser in nm: 532", RAMAN), ("# time in ps", SQE), ("# x axis: wavenumber in cm-1", RAMAN), ("# S in meV-1", SQE),
    ],
)  # fmt: skip
def test_remarks_that_agree(
    tmp_path: Path, remark: str, options: dict[str, object]
) -> None:
    (tmp_path / "a.txt").write_text(f"{remark}\n# measured\n{ROWS}")
    xbp.open_dataset(tmp_path / "a.txt", **options)


@pytest.mark.parametrize(
    "title",
    ["err(%)", "err (%)", "rel. err", "2 sigma", "dS/S", "dS*10", "dS (1/eV)", "variance", "U(k=2)", "err (10^-3)", "+/- %"],
)  # fmt: skip
def test_errors_on_another_scale(tmp_path: Path, title: str) -> None:
    for blank in ("  ", " "):
        text = f"# E (meV){blank}S (1/meV){blank}{title}\n{ROWS_3}"
        options = SQE | {"has_std": True}
        refused(tmp_path / "a.txt", text, options, XbpError)
    ds = xbp.open_dataset(tmp_path / "a.txt", **options, check_titles=False)
    assert "S_std" in ds
    assert "S_std" not in xbp.open_dataset(tmp_path / "a.txt", **SQE, has_std=False)


@pytest.mark.parametrize("title", ["err", "dS", "+/-", "±", "std (1/meV)", "error bar", "S_err", "sigma"])  # fmt: skip
def test_errors_on_the_scale_of_the_values(tmp_path: Path, title: str) -> None:
    (tmp_path / "a.txt").write_text(f"# E (meV)  S (1/meV)  {title}\n{ROWS_3}")
    assert "S_std" in xbp.open_dataset(tmp_path / "a.txt", **SQE)


@pytest.mark.parametrize("amplitude", [0.04, 0.01])
def test_a_small_s_of_q_minus_one_is_no_structure_factor(
    tmp_path: Path, amplitude: float
) -> None:
    """Never below -0.05, but it tends to 0."""
    text = curve(lambda Q: amplitude * np.sin(2 * Q))
    refused(tmp_path / "a.txt", text, SQ, RangeError)
    assert xbp.open_dataset(tmp_path / "a.txt", **SQ, tail=None).Sq.max() < 0.05
    (tmp_path / "b.txt").write_text("# Q S(Q)\n" + text)
    with pytest.raises(RangeError, match="tail"):
        xbp.open_dataset(tmp_path / "b.txt")
    # At small Q alone S(Q) is small, and not negative.
    (tmp_path / "c.txt").write_text(curve(lambda Q: 0.02 + 0.01 * Q**2, stop=1.5))
    assert xbp.open_dataset(tmp_path / "c.txt", **SQ).sizes["Q"] == 20


@pytest.mark.parametrize(
    "text",
    ["10 2 600.0\n20 2 710.5\n", "900 5 0.5\n1 050.5 6\n", "1 000 5.5\n1 010 6.5\n",
     "10 1 050.5\n20 2 710.5\n30 4 710.5\n"],
)  # fmt: skip
def test_thousands_parted_by_blanks(tmp_path: Path, text: str) -> None:
    refused(tmp_path / "a.txt", text, RAMAN, FileFormatError)


@pytest.mark.slow
def test_a_long_table_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{i % 997}.5 {i % 7}.25 0.125\n" for i in range(400_000)))
    begin = time.process_time()
    with pytest.raises(XbpError):
        xbp.open_dataset(path, **RAMAN)
    assert time.process_time() - begin < 4  # 1 s on an idle core, once 8 s
