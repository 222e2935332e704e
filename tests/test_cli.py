"""What the command line shows, and chains of calls in a TOML file."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xbp
import xbp.demo
from xbp.cli import main


@pytest.fixture(scope="module")
def S() -> xr.Dataset:
    """A map with a peak in B(Q,E), and S(Q)."""
    E, Q = np.linspace(0.5, 20, 40), np.linspace(1, 6, 12)
    values = np.ones((12, 1)) * np.exp(-(((E - 5) / 3) ** 2)) + 0.1
    return xbp.new_dataset(
        "S(Q,E)", values, std=0.02 * values, units="1/meV", statistics="quantum",
        coords={"Q": (Q, "1/angstrom"), "E": (E, "meV")}, temperature="300 K",
    )  # fmt: skip


@pytest.fixture
def file(S: xr.Dataset, tmp_path: Path) -> Path:
    Sq = xr.DataArray(
        np.linspace(0.5, 2, 12),
        {"Q": S.Q},
        "Q",
        attrs={"quantity": "static_structure_factor", "units": "1"},
    )
    S.assign(Sq=Sq).bp.to_netcdf(tmp_path / "s.nc")
    return tmp_path / "s.nc"


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    return result.exit_code, result.output


def test_help_shows_whole_summaries() -> None:
    code, text = call("--help")
    assert code == 0
    assert "..." not in text.partition("Commands:")[2]
    whole = " ".join(text.split())
    assert "STUDY as one self-contained HTML page." in whole
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_table_of_the_demo_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    glass = xbp.tutorial.open_dataset("zr46cu46al8")
    study = xbp.demo.Study(
        glass=glass, b=glass, spectrum=glass, dos_peak=None, of_each_glass={}, peak=None,
        of_each_range=dict.fromkeys(xbp.demo.RANGES), peaks=xr.Dataset({"status": ("Q", ["ok"])}),
        shapes={}, cuts={}, correlation=None,
    )  # fmt: skip
    monkeypatch.setattr(
        xbp.demo, "_peak", lambda peak: "no maximum; highest at 12.10 meV"
    )
    monkeypatch.setattr(
        xbp.demo, "_excess", lambda peak: "12.29 ± 0.12, from 11.1 to 17.7 meV"
    )
    monkeypatch.setattr(xbp.demo, "_of", lambda *_: -0.99)
    assert max(map(len, xbp.demo.table(study).splitlines())) <= 80


def test_info_of_a_file(file: Path) -> None:
    code, text = call("info", file)
    assert code == 0
    assert text.startswith("S: S(Q,E) in 1/meV: Q 12 (1 to 6 1/angstrom)")
    code, text = call("info", file, "--json")
    facts = json.loads(text)
    (signal,) = (one for one in facts["signals"] if one["name"] == "S")
    assert signal["dims"]["E"] == {
        "size": 40,
        "first": 0.5,
        "last": 20.0,
        "units": "meV",
    }
    assert signal["scalars"]["temperature"] == {"value": 300.0, "units": "K"}
    assert (signal["has_std"], signal["statistics"]) == (True, "quantum")
    assert ".bp.to_bqe(…)" in signal["next"] or ".bp.to_bqe()" in signal["next"]
    assert facts["diagnostics"] == []


def test_info_takes_options_of_the_reader(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text("1 0.5\n2 0.7\n3 0.2\n")
    asked = ("-o", "units=1/meV", "-o", "coordinate_units=meV")
    code, text = call("info", tmp_path / "g.txt", "-o", "quantity=g(E)", *asked)
    assert code == 0, text
    assert "g(E) in 1/meV: E 3" in text
    for wrong in ("quantity", "path=other.txt"):
        assert call("info", tmp_path / "g.txt", "-o", wrong)[0] == 2
    code, text = call("info", tmp_path / "none.nc")
    assert (code, "does not exist" in text) == (1, True)


def test_errors_advise_what_is_typed_in_a_shell(tmp_path: Path) -> None:
    """What is advised is typed, until the file opens."""
    table = tmp_path / "my table.txt"
    table.write_text("E S e\n0.5 1 0.1\n1.0 2 0.1\n1.5 3 0.1\n2 2.5 0.1\n")
    code, text = call("info", table)
    advice = text.partition("fix:")[2].partition(", or")[0]
    name, command, file, *options = shlex.split(advice)
    assert (code, name, command, file) == (1, "xbp", "info", str(table))
    assert "-o quantity=raman_intensity -o units=1" in text
    code, text = call("info", table, *options)
    assert (code, text[:7], "deviations" in text) == (0, "I: I(E)", False), text
    code, text = call("info", table, *options, "-o", "has_std=false")
    assert (code, "missing: standard deviations" in text) == (0, True), text
    table.write_text("hello\n")
    assert "fix:  in Python: " in call("info", table)[1]
    table.write_text("ITEM: TIMESTEP\n0\n")
    assert f"xbp convert '{table}' glass.nc" in call("info", table)[1]


RECIPE = """
[data.glass]
path = "s.nc"

[[step]]
do = "to_bqe"
u2 = "0.01 angstrom^2"
name = "B"
save = "b.nc"

[[step]]
do = "cut_Q"
Q = ["2 1/angstrom", "5 1/angstrom"]

[[step]]
do = "boson_peak"
E_range = ["1 meV", "12 meV"]
name = "peak"
save = "peak.csv"
figure = "peak.png"

[[step]]
on = "B"
do = "correlation_map"
sq = "@glass.Sq"
Q_range = ["2 1/angstrom", "5 1/angstrom"]
"""


@pytest.mark.slow
def test_a_recipe_is_the_chain(file: Path) -> None:
    pytest.importorskip("matplotlib")
    recipe = file.with_name("chain.toml")
    recipe.write_text(RECIPE)
    code, text = call("run", recipe, "--json")
    assert code == 0, text
    done = json.loads(text)
    assert [Path(name).name for name in done["files"]] == [
        "b.nc",
        "peak.csv",
        "peak.png",
    ]
    assert list(done["results"]) == ["B", "step 2", "peak", "step 4"]
    glass = xbp.open_dataset(file)
    b = glass.bp.to_bqe(u2="0.01 angstrom^2")
    peak = b.bp.cut_Q(("2 1/angstrom", "5 1/angstrom")).bp.boson_peak(
        E_range=("1 meV", "12 meV")
    )
    assert done["results"]["peak"]["values"]["energy"] == {
        "value": float(peak.energy),
        "units": "meV",
    }
    # Arguments are recorded.
    with xbp.open_dataset(file.with_name("b.nc")) as saved:
        np.testing.assert_array_equal(saved.B, b.B)
        assert "0.01 angstrom" in saved.attrs["history"]
    assert file.with_name("peak.png").read_bytes()[1:4] == b"PNG"
    code, text = call("run", recipe)
    assert code == 1
    assert "step 1, to_bqe" in text
    assert "--overwrite" in text
    code, text = call("run", recipe, "--overwrite")
    assert code == 0
    assert "peak: boson peak: " in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('do = "to_bqe"', 'do = "to_bqq"', "step 1, to_bqq: do='to_bqq' is not one of"),
        ('do = "to_bqe"', "", "step 1: it has no method"),
        ("u2 =", "u3 =", "step 1, to_bqe: 'u3' is not a key of this step"),
        ('do = "cut_Q"', 'do = "cut_Q"\nfigrue = "a.png"', "fix:  figure = …"),
        ('do = "cut_Q"', 'do = "cut_Q"\nsave = "a.xlsx"', "save = 'a.nc'"),
        ('do = "cut_Q"', 'do = "cut_Q"\nfigure = "a.xyz"', "does not end in .png"),
        (
            'Q = ["2 1/angstrom", "5 1/angstrom"]',
            "",
            "missing a required argument: 'Q'",
        ),
        ("@glass.Sq", "@glass.Sqq", "fix:  @='Sq'"),
        ("@glass.Sq", "@glas.Sq", "@='glas' is not one of 'glass', 'B'"),
        ("[data.glass]", "[dat.glass]", "chain.toml: table='dat'"),
        ('path = "s.nc"', "", "[data.glass] has no path"),
        ("[data.glass]", "[data.glass", "is not valid TOML"),
        ('on = "B"', 'on = "C"', "on='C' is not one of"),
        ("u2 =", "self =", "'self' is not a key of this step"),
        ("u2 =", "save = 5\nu2 =", "save = 5 is not the name of a file"),
        ('name = "B"', 'name = "glass"', "the name 'glass' is used twice"),
        ("[data.glass]", "step = [1]\n[data.glass]", "step 1 is not a table"),
        ('"s.nc"', '"tutorial:bmg_lrmecs"\nT = "9 K"', "embedded data have no T"),
        ("u2 =", "overwrite = true\nu2 =", "cannot pass overwrite="),
    ],
)
def test_a_wrong_recipe_is_refused(file: Path, old: str, new: str, said: str) -> None:
    recipe = file.with_name("chain.toml")
    text = RECIPE.replace('save = "b.nc"', "").replace(
        'save = "peak.csv"\nfigure = "peak.png"', ""
    )
    assert old in text
    changed = text.replace(old, new)
    if "step = [" in new:
        changed = changed.partition("[[step]]")[0]
    recipe.write_text(changed)
    code, answer = call("run", recipe)
    assert code == 1
    assert said in answer


def test_a_recipe_that_stops_shows_what_was_found_before(file: Path) -> None:
    recipe = file.with_name("chain.toml")
    wrong = (
        '\n[[step]]\non = "B"\ndo = "cut_Q"\nQ = ["90 1/angstrom", "99 1/angstrom"]\n'
    )
    recipe.write_text(RECIPE.replace('save = "b.nc"', "") + wrong)
    code, answer = call("run", recipe)
    assert code == 1
    assert answer.startswith("B: ")
    assert "next:" not in answer


@pytest.mark.slow
def test_methods_that_write_do_it_as_save_does(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the recipe, and over a file only where its reader says so."""
    monkeypatch.chdir(file.parent)
    folder = file.parent / "recipes"
    folder.mkdir()
    recipe = folder / "chain.toml"
    step = '[[step]]\ndo = "to_netcdf"\npath = "copy.nc"\n'
    recipe.write_text(f'[data.glass]\npath = "../s.nc"\n\n{step}')
    written = folder / "copy.nc"
    written.write_text("precious")
    code, text = call("run", recipe)
    assert (code, "exists" in text) == (1, True)
    assert written.read_text() == "precious"
    code, text = call("run", recipe, "--overwrite")
    assert (code, f"wrote {written}" in text) == (0, True)
    xr.testing.assert_identical(xbp.open_dataset(written).S, xbp.open_dataset(file).S)


@pytest.mark.slow
def test_explore_writes_a_page(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("bokeh")
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    page = file.with_name("map.html")
    given = ("--bqe", "--u2", "0.01 angstrom^2", "--out", page)
    code, text = call("explore", file, *given)
    assert code == 0, text
    assert shown == [page.resolve().as_uri()]
    assert "B(Q,E)" in page.read_text()
    assert call("explore", file, *given, "--no-browser")[0] == 1  # it exists
    assert call("explore", file, "--u2", "1 angstrom^2")[0] == 2
    assert len(shown) == 1
