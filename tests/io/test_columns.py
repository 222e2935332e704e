from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import (
    CoordinateError,
    FileFormatError,
    QuantityError,
    TemperatureError,
    UnitsError,
    XbpError,
)
from xbp.io.columns import open_columns

DOS = {"quantity": "vibrational_dos", "units": "1/THz", "coordinate_units": "THz"}


def opened(tmp_path: Path, text: str | bytes, **options: object) -> xr.Dataset:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return xr.open_dataset(path, engine="columns", **(DOS | options))


@pytest.mark.parametrize(
    "text",
    [
        "1 0.5 0.1\n2 0.25 0.2\n4 0 0.3\n", "1,0.5,0.1\r\n2,0.25,0.2\r\n4,0,0.3\r\n", "1;0.5;0.1\n2; 0.25; 0.2\n4;0;0.3",
        "4\t0\t0.3\n2\t0.25\t0.2\n1\t0.5\t0.1", "# 5 6\nX 50\nE G dG\n#7 8\n\n1 5d-1 .1\n2. 2.5E-1 +0.2\n4 0 0.3\n\n##### end 3",
        "Å µ\n1 0.5 0.1\n2 0.25 0.2\n4 0 0.3\n".encode("latin-1"),
    ],
    ids=range(6),
)  # fmt: skip
def test_every_way_to_write_a_table(tmp_path: Path, text: str | bytes) -> None:
    ds = opened(tmp_path, text)
    np.testing.assert_array_equal(ds.E, [1, 2, 4])
    np.testing.assert_array_equal(ds.g, [0.5, 0.25, 0])
    np.testing.assert_array_equal(ds.g_std, [0.1, 0.2, 0.3])
    assert (ds.g.attrs["units"], ds.E.attrs["units"], ds.g.attrs["quantity"]) == (
        "1/THz",
        "THz",
        "vibrational_dos",
    )


def test_two_columns_and_other_coordinates(tmp_path: Path) -> None:
    options = {"quantity": "heat_capacity", "units": "J/mol/K", "coordinate_units": "K"}
    ds = opened(tmp_path, "1 2\n3 4\n", **options)
    np.testing.assert_array_equal(ds.temperature, [1, 3])
    assert list(ds.data_vars) == ["C"]
    cut = opened(tmp_path, "1 2\n3 4\n", quantity="dynamic_structure_factor", units="1", coordinate="Q",
                 coordinate_units="1/nm", T=5, statistics="quantum")  # fmt: skip
    assert (cut.S.dims, cut.Q.attrs["units"], float(cut.temperature)) == (
        ("Q",),
        "1/nm",
        5,
    )


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"quantity": None}, QuantityError), ({"units": None}, QuantityError), ({"coordinate_units": None}, QuantityError),
        ({"quantity": "dos"}, QuantityError), ({"units": "furlongs of"}, UnitsError), ({"coordinate_units": "K"}, UnitsError),
        ({"coordinate": "detector"}, CoordinateError), ({"T": "-1 K"}, XbpError), ({"statistics": "bosonic"}, XbpError),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_said_is_not_guessed(
    tmp_path: Path, options: dict[str, object], kind: type[XbpError]
) -> None:
    with pytest.raises(kind):
        opened(tmp_path, "1 2\n3 4\n", **options)


@pytest.mark.parametrize(
    "text", ["", "a b\n", "1 2\n", "1 2 3 4\n5 6 7 8\n", "1\n2\n3\n"]
)
def test_no_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(FileFormatError, match=r"no rows|one row"):
        opened(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["1 2\n1 3\n", "1 2\n3 4\n2 5\n", "nan 1\n2 3\n", "1 2 -1\n2 3 1\n"]
)
def test_no_coordinate(tmp_path: Path, text: str) -> None:
    with pytest.raises((CoordinateError, QuantityError)):
        opened(tmp_path, text)


def test_open_dataset_says_what_to_add(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 2\n3 4\n")
    with pytest.raises(FileFormatError, match="quantity='raman_intensity'"):
        xbp.open_dataset(tmp_path / "a.txt")


def test_what_is_written_reads_back_identical(
    tmp_path: Path, glass: xr.Dataset, model: xr.Dataset
) -> None:
    b = glass.bp.to_bqe()
    noisy = xbp.models.with_counting_noise(model, counts=1e3, rng=0).bp.rebin(E="2 meV")
    noisy.S.attrs["number"] = np.float64(0.1)
    cuts = {
        "B": b.bp.cut_Q((2, 8)), "B at E": b.bp.cut_E(3, width=0.5), "S": noisy.bp.cut_Q((2, 8)),
        "Sq": glass[["Sq", "Sq_std"]], "S without errors": model.bp.cut_Q((2, 3)),
    }  # fmt: skip
    for i, (kind, cut) in enumerate(cuts.items()):
        name = kind.split()[0]
        alone = cut[[n for n in cut.data_vars if str(n).removesuffix("_std") == name]]
        alone.bp.to_columns(tmp_path / f"{i}.txt")
        xr.testing.assert_identical(xbp.open_dataset(tmp_path / f"{i}.txt"), alone)
        assert np.loadtxt(tmp_path / f"{i}.txt").shape == (
            cut.sizes[next(iter(alone.dims))],
            len(alone.data_vars) + 1,
        )
    some = b.B.bp.cut_Q((2, 8)).where(b.E > 1)
    some.bp.to_columns(tmp_path / "array.txt")
    xr.testing.assert_identical(xr.open_dataset(tmp_path / "array.txt").B, some)


def test_words_that_contradict_a_file_of_xbp_are_refused(
    tmp_path: Path, glass: xr.Dataset
) -> None:
    cut = glass.bp.to_bqe().bp.cut_Q((2, 8))[["B", "B_std"]]
    cut.bp.to_columns(tmp_path / "a.txt")
    for told in (
        {"quantity": "raman_intensity"},
        {"units": "1"},
        {"coordinate_units": "1/cm"},
        {"coordinate": "Q"},
        {"statistics": "quantum"},
    ):
        with pytest.raises(QuantityError, match=next(iter(told))):
            xbp.open_dataset(tmp_path / "a.txt", **told)
    xr.testing.assert_identical(
        xbp.open_dataset(
            tmp_path / "a.txt", quantity="reduced_dos", coordinate_units="meV"
        ),
        cut,
    )
    with pytest.raises(TemperatureError, match="contradicts"):
        xr.open_dataset(tmp_path / "a.txt", engine="columns", T=5)


@pytest.mark.parametrize("Q_runs_first", [True, False])
def test_the_fix_reads_a_map_in_three_columns(
    tmp_path: Path, Q_runs_first: bool
) -> None:
    Q, E = np.meshgrid([1.0, 2.0, 3.0], [5.0, 6.0], indexing="ij")
    S = 10 * Q + E
    if Q_runs_first:
        Q, E, S = Q.T, E.T, S.T
    path = tmp_path / "map.txt"
    table = np.c_[Q.ravel(), E.ravel(), S.ravel()]
    np.savetxt(path, table, header="Q(1/A) E(meV) S")
    with pytest.raises(CoordinateError, match="3 by 2 points") as caught:
        open_columns(path, quantity="S(Q,E)", units="1", coordinate_units="meV")
    call = re.search(r"np\.loadtxt.*reshape\(.*?\)", str(caught.value))
    assert call
    said = eval(call[0], {"np": np, "path": path})
    np.testing.assert_array_equal(said, S)


def test_errors_that_bins_share_are_kept(tmp_path: Path, glass: xr.Dataset) -> None:
    cut = (
        glass.bp.subtract(glass, scale=0.1, scale_std=0.05).bp.to_bqe().bp.cut_Q((2, 8))
    )
    alone = cut.drop_vars(["g", "g_std"])
    assert alone.B_std_common.dims == ("source", "E")
    cut.bp.to_columns(tmp_path / "a.txt")
    xr.testing.assert_identical(xbp.open_dataset(tmp_path / "a.txt"), alone)


def test_what_has_no_place_in_columns_is_refused(
    tmp_path: Path, glass: xr.Dataset
) -> None:
    with pytest.raises(QuantityError, match="one dimension"):
        glass.bp.to_columns(tmp_path / "a.txt")
    glass.Sq.bp.to_columns(tmp_path / "a.txt")
    with pytest.raises(FileFormatError, match="exists"):
        glass.Sq.bp.to_columns(tmp_path / "a.txt")


def test_damaged_headers_are_named(tmp_path: Path, glass: xr.Dataset) -> None:
    path = tmp_path / "a.txt"
    glass[["Sq", "Sq_std"]].bp.to_columns(path)
    whole = path.read_text()
    for old, new in (
        ('"columns"', '"column"'), ('["Q", "Sq", "Sq_std"]', '["Q"]'), ('"coords": {', '"coords": 3, "x": {'), ("{", "[" * 10**5),
        ('"attrs": {', '"attrs": 7, "x": {'), ('"static_structure_factor"', '"other"'), ("\n0", "\nx"),
    ):  # fmt: skip
        assert old in whole
        path.write_text(whole.replace(old, new, 1))
        with pytest.raises(XbpError):
            xbp.open_dataset(path)


def test_the_dos_of_vanadium(shared_data: Path) -> None:
    ds = xr.open_dataset(
        shared_data / "ins" / "V-dos.dat", engine="columns", **(DOS | {"units": "1"})
    )
    table = np.loadtxt(shared_data / "ins" / "V-dos.dat")
    np.testing.assert_array_equal(ds.E, table[:, 0])
    np.testing.assert_array_equal(ds.g, table[:, 1])
    in_mev = ds.bp.convert(E="meV").g
    peaks = [
        float(in_mev.sel(E=slice(*limits)).idxmax()) for limits in ((15, 23), (24, 32))
    ]
    assert peaks == pytest.approx([19.2, 27.2], abs=0.5)


# Rows, the first in ascending order, whether it descends in the file.
TABLES = {
    "raman/ae0202.txt": ("raman_intensity", "1/cm"),
    "raman/BD1469.txt": ("raman_intensity", "1/cm"),
    "raman/LS4.txt": ("raman_intensity", "1/cm"),
    "raman/labram_wn.txt": ("raman_intensity", "1/cm"),
    "cp/example_data.csv": ("heat_capacity", "K"),
}


@pytest.mark.parametrize("name", TABLES)
def test_other_tables(shared_data: Path, name: str) -> None:
    quantity, units = TABLES[name]
    path = shared_data / name
    rows = []
    for line in path.read_bytes().decode("latin-1").replace(",", " ").splitlines():
        try:
            x, y = map(float, line.split())
        except ValueError:
            continue
        rows.append((x, y))
    try:
        ds = xr.open_dataset(
            path, engine="columns", quantity=quantity, units="1", coordinate_units=units
        )
    except CoordinateError:
        steps = np.diff([x for x, _ in rows])
        assert (steps <= 0).any()
        assert (steps >= 0).any()
        return
    assert len(rows) - ds[(quantity == "raman_intensity" and "I") or "C"].size in (
        0,
        1,
        2,
    )
    by_x = dict(rows)
    for x, y in zip(
        ds[next(iter(ds.dims))].values, ds[next(iter(ds.data_vars))].values, strict=True
    ):
        assert by_x[x] == y


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,000 5\n2,000 6\n", "decimal points"), ("1,5,2\n2,5,3,5\n", "line 2"), ("0,5,2,5\n1,5,3,5\n", "no rows"),
        ("1 2 3\n2 3\n3 4 5\n4 5 6\n", "3 tables"), ("1 2 .1\n2 3 .1\n3 4", "2 tables"), ("1 2\n2 3\nother\n3 4\n5 6\n", "2 tables"),
        ("1 2.55\n2 3.75\n3 412.2", "'3 412.2' is cut short"), ("1 1_000\n2 3\n", "line 1: '1 1_000'"), ("1 1e999\n2 3\n", "too large"),
    ],
)  # fmt: skip
def test_what_could_be_read_wrongly_is_not_read(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(FileFormatError, match=says):
        opened(tmp_path, text)


# Each once lost rows at an end of the table without a word; after it, the line that is named.
CUT = [
    ("1 10\n2 20\n3 30\n4 40 x\n5 50 x\n", "line 4: '4 40 x'"), ("0 5 1\n1 10\n2 20\n3 30\n", "2 tables.* starting at lines 1 and 2"),
    ("1 10.\n2 20\n3 30\n4 1,5\n5 2,5\n", "line 4: '4 1,5'"), ("1 10\n2 20\n3 30\n4 ", "line 4: '4'"), ("1 10\n2 20\n3 30\n4", "line 4: '4'"),
    ("1 10.5\n2 20.5\n3.0 3.5e", "line 3: '3.0 3.5e'"), ("1 10\n2 20\n3 30\n-", "'-' is cut short"),
    ("1 10\n2 20\n3.5e", "'3.5e' is cut short"), ("\u2013 1\n\u20131 10\n1 20\n2 30\n", "line 2"), ("\x965 1\n1 20\n2 30\n", "line 1"),
    ("0 x\n1 10\n2 20\n", "line 1: '0 x'"), (",5\n1,10\n2,20\n", "line 1: ',5'"), ("1_000 3\n1 10\n2 20\n", "line 1"), ("4\n1 10\n2 20\n3 30\n", "line 1: '4'"),
    ("1 10\n2 x\n3 30\n", "line 2: '2 x'"), ("1 10\n2 20\n+3 \n", "line 3"), ("0,1,x\n1 10\n2 20\n", "line 1"), ("1 10\n2 20\nEND", "'END' is cut short"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), CUT)
def test_no_row_is_lost_at_an_end_of_the_table(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(FileFormatError, match=says):
        opened(tmp_path, text)


def test_the_minus_sign_of_typography(tmp_path: Path) -> None:
    ds = opened(tmp_path, "\u22122 \u22121e\u22121 0.5\n\u22121 1 0.5\n1 2 0.5\n")
    np.testing.assert_array_equal(ds.E, [-2, -1, 1])
    np.testing.assert_array_equal(ds.g, [-0.1, 1, 2])


@pytest.mark.parametrize("word", ["NA", "--", "NaN", "n/a", "null", "#N/A"])
def test_a_value_that_is_missing_is_nan(tmp_path: Path, word: str) -> None:
    for text in (
        f"0 {word}\n1 10\n2 20\n3 30\n4 {word}\n",
        f"0 {word}\n1 10.5\n2 20.5\n3 30.5\n4 {word}",
    ):
        ds = opened(tmp_path, text)
        np.testing.assert_array_equal(ds.E, [0, 1, 2, 3, 4])
        np.testing.assert_array_equal(np.isnan(ds.g), [True, False, False, False, True])


def test_what_may_stand_around_a_table(tmp_path: Path) -> None:
    """Headers and footers of measured files: dates, times, ratios, a number of rows, lines of titles."""
    head = "14/01/10\n05.10.2021 10:38\n10:38:02\n2021-10-05\nshift counts\n3D\n--- ---\nNA\n"
    for text in (
        f"{head}1 10\n2 20\n1/2 plate\tnot fitted\nShift 9.00\n\n",
        f"2\n{head}1 10\n2 20\n",
        "1 10\n2 20\n \n ",
    ):
        np.testing.assert_array_equal(opened(tmp_path, text).g, [10, 20])


def test_commas_part_numbers(tmp_path: Path) -> None:
    """1,10,5 could be 1 and 10,5: it is asked."""
    with pytest.raises(FileFormatError, match="has_std"):
        opened(tmp_path, "1,10,5\n2,20,5\n")
    ds = opened(tmp_path, "1,10,5\n2,20,5\n", has_std=True)
    np.testing.assert_array_equal(ds.g, [10, 20])
    np.testing.assert_array_equal(ds.g_std, [5, 5])


HEAT = {"quantity": "heat_capacity", "units": "J/mol/K", "coordinate_units": "K"}
RAMAN = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        (HEAT | {"coordinate_units": None}, "coordinate_units='K'"), (RAMAN | {"coordinate_units": None}, "coordinate_units='1/cm'"),
        (RAMAN | {"coordinate_units": None, "coordinate": "wavelength"}, "coordinate_units='nm'"),
        (HEAT | {"units": None}, "units='J/mol/K'; '1' if arbitrary"), (HEAT | {"units": "J/mol"}, "units='J/mol/K'"),
        (HEAT | {"units": "K"}, "units='J/mol/K'"), (HEAT | {"coordinate_units": "meV"}, "coordinate_units='K'"),
        (RAMAN | {"coordinate_units": "nm"}, "coordinate_units='1/cm'"),
        (HEAT | {"quantity": "static_structure_factor", "units": "meV", "coordinate_units": "1/nm"}, "units='1'"),
        (HEAT | {"amount": "atom"}, "'atoms', 'formula units'"),
    ],
)  # fmt: skip
def test_the_fix_names_the_argument(
    tmp_path: Path, options: dict[str, object], fix: str
) -> None:
    with pytest.raises(XbpError) as caught:
        opened(tmp_path, "1 2\n3 4\n", **options)
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    "units", ["J/mol/K", "mJ/g/K", "uJ/K", "cal/mol/K", "1", "J mol-1 K-1"]
)
def test_units_of_a_heat_capacity(tmp_path: Path, units: str) -> None:
    opened(tmp_path, "1 2\n3 4\n", **(HEAT | {"units": units}))


def test_units_are_written_in_one_way(tmp_path: Path) -> None:
    ds = opened(tmp_path, "1 2\n3 4\n", **(RAMAN | {"coordinate_units": "cm-1"}))
    assert ds.E.attrs["units"] == "1/cm"
    np.testing.assert_array_equal(ds.E, [1, 3])


def test_what_a_mole_is_of(tmp_path: Path) -> None:
    ds = opened(tmp_path, "1 2\n3 4\n", **HEAT, amount="formula units")
    assert ds.C.attrs["amount"] == "formula units"
    np.testing.assert_allclose(ds.bp.to_molar("atoms", atoms=2).C, [1, 2])
    assert "amount" not in opened(tmp_path, "1 2\n3 4\n", **HEAT).C.attrs
    for options in (HEAT | {"units": "uJ/K"}, HEAT | {"units": "1"}, DOS):
        with pytest.raises(QuantityError, match="amount='atoms' needs"):
            opened(tmp_path, "1 2\n3 4\n", **options, amount="atoms")


def test_what_stands_within_a_table(tmp_path: Path) -> None:
    for text in (
        "1 2\n# half\n\n2 3\n4 5.25\n",
        "1 2.0\n2 3\n4 5.25",
        "1, 2\n2, 3,\n4, 5.25\n",
    ):
        ds = opened(tmp_path, text)
        np.testing.assert_array_equal(ds.E, [1, 2, 4])
        np.testing.assert_array_equal(ds.g, [2, 3, 5.25])


def test_keywords_of_other_types(tmp_path: Path) -> None:
    for options in ({"quantity": ["a"]}, {"coordinate": ["E"]}, {"units": ["a"]}):
        with pytest.raises(XbpError):
            opened(tmp_path, "1 2\n2 3\n", **options)
    heat = {"quantity": "heat_capacity", "units": "J/mol/K", "coordinate_units": "K"}
    with pytest.raises(QuantityError, match="temperature=300 is not used"):
        opened(tmp_path, "1 2\n2 3\n", T=300, **heat)
    with pytest.raises(TemperatureError, match="absolute zero"):
        opened(tmp_path, "-1 2\n2 3\n", **heat)


@pytest.mark.parametrize("marker", ["-1e30", "1e30", "9.96921e36", "-9999", "-999.25", "-32768"])  # fmt: skip
def test_sentinels_are_missing_values(tmp_path: Path, marker: str) -> None:
    (tmp_path / "a.txt").write_text(f"1.0 10.5 0.1\n2.0 {marker} 0.1\n3.0 -2.5 0.1\n")
    g = xbp.open_dataset(tmp_path / "a.txt", **DOS)
    np.testing.assert_array_equal(g.g, [10.5, np.nan, -2.5])
    np.testing.assert_array_equal(g.g_std, [0.1, np.nan, 0.1])


def test_a_low_value_among_others_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1.0 -9990\n2.0 -9999\n3.0 -2.5\n")
    g = xbp.open_dataset(tmp_path / "a.txt", **DOS).g
    np.testing.assert_array_equal(g, [-9990, -9999, -2.5])


@pytest.mark.parametrize("units", [[1], 1, None, {"a": 1}, True, "furlong", "K"])
def test_units_in_the_header_of_xbp(
    tmp_path: Path, glass: xr.Dataset, units: object
) -> None:
    path = tmp_path / "a.txt"
    glass[["Sq", "Sq_std"]].bp.to_columns(path)
    first, *lines = path.read_text().splitlines()
    mark, _, text = first.partition("{")
    header = json.loads("{" + text)
    header["dataset"]["coords"]["Q"]["attrs"]["units"] = units
    path.write_text("\n".join([mark + json.dumps(header), *lines, ""]))
    with pytest.raises(XbpError):
        xbp.open_dataset(path)


@pytest.mark.parametrize(
    "title",
    ["f (THz) g", "f (THz) VDOS (ps)", "angular frequency (THz) g", "E (meV) S(E)",
     "E (meV)  THz DOS", "E (meV)  E g(E)", "E (meV)  E² g(E)"],
)  # fmt: skip
def test_titles_of_another_axis_or_quantity(tmp_path: Path, title: str) -> None:
    """f in THz was read as E in meV, and S(E) as g(E)."""
    path = tmp_path / "table.dat"
    path.write_text(f"# {title}\n1 2\n2 3\n3 4\n4 5\n")
    options = {"quantity": "vibrational_dos", "units": "1/meV"}
    with pytest.raises(XbpError, match=r"title|header"):
        xbp.open_dataset(path, coordinate_units="meV", **options)


@pytest.mark.parametrize(
    "text",
    [
        "E; g\n0,5; 12\n1,0; 13,25\n1,5; -14\n", "0,5\t12\n1,0\t13,25\n1,5\t-14\n", "0,5 12,000\n1 13,25\n1,5 \u221214\n",
        "0.5 12 # first\n1 13.25 ! noisy\n1.5 -14 // last\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_decimal_commas_remarks_and_wide_letters(
    tmp_path: Path, text: str, encoding: str
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(FileFormatError, match="is a table of numbers"):
        xbp.open_dataset(path)
    ds = xbp.open_dataset(path, **DOS)
    np.testing.assert_array_equal(ds.E, [0.5, 1, 1.5])
    np.testing.assert_array_equal(ds.g, [12, 13.25, -14])


def test_wide_letters_without_their_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("0.5 12\n1.0 13\n".encode("utf-16-be"))
    with pytest.raises(FileFormatError, match="UTF-16 without a byte order mark"):
        xbp.open_dataset(path)


@pytest.mark.parametrize(
    "text",
    ["0.1 1\n0.4 2\n0.9 3\n1.6 4\n", "5 1.5\n9 2.1\n7 2.2\n3 2.9\n", "3 4\n9 3\n7 2\n5 1\n"],
)  # fmt: skip
def test_exchanged_columns(tmp_path: Path, text: str) -> None:
    """Only the second column can be an axis: it is even, or runs one way alone."""
    with pytest.raises(CoordinateError, match="exchanged"):
        opened(tmp_path, text)
    # A thermometer scatters, and a heat capacity may rise evenly.
    options = {"quantity": "heat_capacity", "units": "J/K/mol", "coordinate_units": "K"}
    assert opened(tmp_path, text, **options).C.size == 4


@pytest.mark.parametrize("header", ["# E (meV)  B (1/meV^2)  dB", "E B(E) dB(E)"])
def test_a_d_before_the_letter_of_the_values_is_their_error(
    header: str, tmp_path: Path
) -> None:
    path = tmp_path / "b.txt"
    path.write_text(f"{header}\n" + "".join(f"{E} {E**2} 0.{E}\n" for E in range(1, 6)))
    options = {"quantity": "B(E)", "units": "1/meV^2", "coordinate_units": "meV"}
    ds = xbp.open_dataset(path, **options)
    np.testing.assert_allclose(ds.B_std, np.arange(1, 6) / 10)
    # Beside another letter, or above the values, it is decibels.
    for wrong in ("E S dB", "E dB error", "E B(E) dB(dB)"):
        path.write_text(path.read_text().replace(header, wrong))
        with pytest.raises(XbpError, match="factor or function"):
            xbp.open_dataset(path, **options)
        path.write_text(path.read_text().replace(wrong, header))


@pytest.mark.parametrize(
    "header",
    [",E,g", "Unnamed: 0,E,g", "No. E g", "# Index; E; g", "Pixel,Raman_Shift,I"],
)
def test_a_column_that_counts_rows_is_not_the_axis(tmp_path: Path, header: str) -> None:
    """pandas writes its index first, and instruments the pixel."""
    mark = next((one for one in ";," if one in header), " ")
    rows = [mark.join(row) for row in (("0", "0.5", "1.25"), ("1", "1.0", "2.5"))]
    path = tmp_path / "a.csv"
    path.write_text("\n".join([header, *rows, ""]))
    labels = {"quantity": "g(E)", "units": "1/meV", "coordinate_units": "meV"}
    with pytest.raises(FileFormatError, match="the first column has the title"):
        xbp.open_dataset(path, **labels)
    path.write_text("\n".join(["E g dg", *rows, ""]).replace(mark, " "))
    np.testing.assert_array_equal(xbp.open_dataset(path, **labels).E, [0, 1])


def test_the_axis_of_ocean_optics(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        "XAxis mode: Wavelengths\n>>>>>Begin Spectral Data<<<<<\n530.1\t1\n530.2\t2\n"
    )
    labels = {"quantity": "raman_intensity", "units": "1"}
    with pytest.raises(UnitsError, match="title of the E column, 'Wavelength'"):
        xbp.open_dataset(path, coordinate_units="1/cm", **labels)
    ds = xbp.open_dataset(
        path, coordinate="wavelength", coordinate_units="nm", **labels
    )
    np.testing.assert_array_equal(ds.wavelength, [530.1, 530.2])


def test_the_axis_of_grace(tmp_path: Path) -> None:
    """gmx rdf writes r in nm, in the label of the axis."""
    path = tmp_path / "rdf.xvg"
    path.write_text('@    xaxis  label "r (nm)"\n@TYPE xy\n0.1 0.8\n0.2 1.1\n0.3 1.0\n')
    labels = {"quantity": "g(r)", "units": "1"}
    with pytest.raises(UnitsError, match="coordinate_units='angstrom' contradicts"):
        xbp.open_dataset(path, coordinate_units="angstrom", **labels)
    rdf = xbp.open_dataset(path, coordinate_units="nm", **labels).rdf
    np.testing.assert_array_equal(rdf.r, [0.1, 0.2, 0.3])
    path.write_text(path.read_text().replace("r (nm)", "pairs (all)"))
    xbp.open_dataset(path, coordinate_units="nm", **labels)


def test_half_a_scattering_vector(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("# sin(theta)/lambda S\n0.1 0.8\n0.2 1.1\n0.3 1.0\n")
    labels = {"quantity": "S(Q)", "units": "1", "coordinate_units": "1/angstrom"}
    with pytest.raises(FileFormatError, match="which is Q/4π"):
        xbp.open_dataset(path, **labels)
