"""The figure and the page of a study, of friends and of strangers."""

from __future__ import annotations

import inspect
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xbp
from xbp.accessor import StudyAccessor
from xbp.cli import main
from xbp.errors import FileFormatError

EVIL = "<script>alert('$x_{$')</script>"


class Page(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]
        assert not any(key.startswith("on") for key, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def b() -> xr.Dataset:
    return xbp.models.evaluate(
        "lognormal", np.linspace(1, 20, 80), energy="5.5 meV", height=2, sigma=0.6
    )


def test_every_method_is_a_function_of_the_same_name_and_arguments() -> None:
    for name, method in inspect.getmembers(StudyAccessor, inspect.isfunction):
        if not name.startswith("_"):
            own = list(inspect.signature(method).parameters.values())[1:]
            function = list(
                inspect.signature(getattr(xbp.study, name)).parameters.values()
            )[1:]
            assert [(p.name, p.default, p.kind) for p in own] == [
                (p.name, p.default, p.kind) for p in function
            ]


@pytest.mark.slow
def test_panels(b: xr.Dataset, peaked: xr.Dataset) -> None:
    study = xbp.new_study(
        {
            "ins": b,
            "dos": peaked[["g", "g_std"]],
            "said": xbp.stated_energy("6 meV", "0.4 meV", reference="a"),
        },
        E_range={"dos": (0.9, 8)},
        debye_energy={"dos": "22 meV"},
    )
    figure = study.bp.plot()
    assert [ax.get_title().split("\n")[0] for ax in figure.axes[:2]] == ["ins", "dos"]
    assert len(figure.axes) == 4
    level = next(
        line for line in figure.axes[1].lines if line.get_label() == "Debye level"
    )
    area = float(peaked.g.integrate("E"))
    assert level.get_ydata()[0] == pytest.approx(3 * area / 22**3, rel=0.01)
    # On the reduced axis every curve is 1 at 1.
    curves = figure.axes[3].lines
    assert len(curves) == 2
    for line in curves:
        x, y = line.get_data()
        known = np.isfinite(y)
        assert np.interp(1.0, x[known], y[known]) == pytest.approx(1.0, rel=0.02)
    assert (
        figure.axes[0].get_title()
        == "ins\n$E_\\mathrm{BP}$ = 5.5 meV\nrms residual below 0.01 %"
    )
    given = plt.figure()
    assert study.bp.plot(figure=given) is given
    plt.close("all")


@pytest.mark.slow
def test_a_heat_capacity_shows_its_data_and_grey_is_what_is_not_compared() -> None:
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 80), gamma="4 mJ/mol/K^2", n_D=0.8, theta_D=260,
                            n_E=0.2, theta_E=72, sigma_E=15)  # fmt: skip
    fit = C.bp.fit_heat_capacity(("3 K", "100 K"))
    study = xbp.new_study(
        {"cp": fit, "said": xbp.stated_energy("6 meV", "0.4 meV", reference="a"),
         "old": xbp.stated_energy("3 meV", "0.4 meV", reference="b"), "bare": fit.drop_vars("C").drop_dims("temperature")}
    )  # fmt: skip
    table = study.bp.compare(["cp", "said"])
    assert table.compared.values.tolist() == [1, 1, 0, 0]
    assert float(table.temperature_low[0]) == float(fit.temperature_low)
    figure = study.bp.plot(["cp", "said"])
    data, of_fit, energies, _ = figure.axes
    assert data.get_ylabel().startswith(r"$(C_p-\gamma T)/T^3$")
    assert data.get_title() == "cp\nmaximum of $g/E^2$: 5.609 meV"
    assert of_fit.get_ylabel().startswith("$g(E)/E^2$")
    colours = [c.lines[0].get_color() for c in energies.containers]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    plt.close(figure)


@pytest.mark.slow
def test_the_page_warns_of_energies_that_disagree(tmp_path: Path) -> None:
    said = {
        str(i): xbp.stated_energy(e, 0.1, reference="a")
        for i, e in enumerate((5.0, 6.0))
    }
    xbp.new_study(said, systematic={"0": "0.2 meV"}).bp.report(tmp_path / "report.html")
    text = " ".join(Page((tmp_path / "report.html").read_text(encoding="utf-8")).words)
    assert "do not agree within their errors" in text
    assert "systematic (meV)" in text
    assert "stated energy" in text


@pytest.mark.slow
def test_the_page_holds_everything_and_fetches_nothing(
    b: xr.Dataset, tmp_path: Path
) -> None:
    study = xbp.new_study(
        {"ins": b, "raman": xbp.stated_energy("6 meV", "0.4 meV", reference="doi:10/x")}
    )
    study.bp.report(tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    text = " ".join(page.words)
    for words in (
        "ins",
        "raman",
        "doi:10/x",
        "5.5",
        "models.evaluate(lognormal)",
        "stated_energy",
        "compare",
        "8.3",
    ):
        assert words in text, words
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert len(page.links) == 1
    with pytest.raises(FileFormatError, match="exists"):
        study.bp.report(tmp_path / "report.html")
    assert not plt.get_fignums()


@pytest.mark.slow
def test_what_strangers_write_is_text(b: xr.Dataset, tmp_path: Path) -> None:
    b = b.assign_attrs(
        {
            EVIL: EVIL,
            "title": EVIL,
            "history": f"{EVIL}\n"
            + '{"operation": {"a": 1}, "arguments": [], "xbp": 1}',
        }
    )
    b.B.attrs["history"] = "\n".join([EVIL] * 3 + ["[" * 3000])
    name = "a" + EVIL.replace("/", "\\")
    study = xbp.new_study(
        {name: b, "汉字 $": b, "x": xbp.stated_energy("6 meV", reference=EVIL)},
        title=EVIL,
    )
    study.bp.report(tmp_path / "report.html")
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(content)
    assert "script" not in page.tags
    assert "<script" not in content
    assert EVIL in " ".join(page.words)
    assert len(re.findall("<h3>", content)) == 3


@pytest.mark.slow
def test_the_command(b: xr.Dataset, tmp_path: Path) -> None:
    path, out = tmp_path / "study.nc", tmp_path / "report.html"
    said = xbp.stated_energy("6 meV", "0.4 meV", reference="a")
    xbp.new_study({"ins": b, "raman": said, "md": said}).bp.to_netcdf(path)
    run = CliRunner().invoke(
        main,
        ["report", str(path), "-o", str(out), "--among", "ins", "--among", "raman"],
    )
    assert run.exit_code == 0, run.output
    assert out.stat().st_size > 10_000
    again = CliRunner().invoke(main, ["report", str(path), "-o", str(out)])
    assert again.exit_code == 1
    assert "exists" in again.output
    for bad in (tmp_path / "nowhere.nc", out):
        run = CliRunner().invoke(
            main, ["report", str(bad), "-o", str(tmp_path / "x.html")]
        )
        assert run.exit_code == 1
        assert "Traceback" not in run.output
    assert not (tmp_path / "x.html").exists()


def test_the_page_does_not_replace_the_study(tmp_path: Path) -> None:
    path = tmp_path / "s.nc"
    xbp.new_study({"ins": xbp.stated_energy("5.5 meV", reference="x")}).bp.to_netcdf(
        path
    )
    before = path.read_bytes()
    result = CliRunner().invoke(
        main, ["report", str(path), "-o", str(path), "--overwrite"]
    )
    assert result.exit_code == 2
    assert "replace the study" in result.output
    assert path.read_bytes() == before


@pytest.mark.slow
def test_what_is_a_formula_and_what_is_stated_is_marked(
    b: xr.Dataset, peaked: xr.Dataset
) -> None:
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 80), gamma="4 mJ/mol/K^2", n_D=0.8, theta_D=260,
                            n_E=0.2, theta_E=72, sigma_E=15)  # fmt: skip
    study = xbp.new_study(
        {"b": b, "md": peaked, "cp": C.bp.fit_heat_capacity(), "far": xbp.stated_energy("500 meV", reference="a"),
         "said": xbp.stated_energy("6 meV", "0.4 meV", reference="a")},
        Q_range={"md": (2.1, 8.5)}, E_range={"md": (0.9, 8)}, systematic={"md": "0.7 meV", "said": "0.3 meV"},
    )  # fmt: skip
    table = study.bp.compare()
    model, md, cp, _, reduced = study.bp.plot().axes
    styles = {line.get_label(): line.get_linestyle() for line in reduced.lines}
    assert styles == {"b (model)": "--", "md": "-", "cp (fit to $C_p$)": "--"}
    for ax in (model, md):
        mark = next(line for line in ax.lines if line.get_label() == "said (stated)")
        assert set(mark.get_xdata()) == {6.0}
        band = next(patch for patch in ax.patches if patch.get_x() < 6)
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(
            (5.5, 6.5)
        )  # √(0.4² + 0.3²)
        assert not any("far" in str(line.get_label()) for line in ax.lines)
    assert not any("stated" in str(line.get_label()) for line in cp.lines)
    # A panel says the error that the table says, not that of the fit alone.
    row = table.sel(leaf="md")
    assert float(row.statistical_std) < 0.3 < 0.7 < float(row.energy_std)
    assert md.get_title().split("\n")[1] == "$E_\\mathrm{BP}$ = 2.70 ± 0.70 meV"


@pytest.mark.slow
def test_many_stated_energies_are_marked_and_not_named(b: xr.Dataset) -> None:
    said = {str(i): xbp.stated_energy(5 + 0.1 * i, reference="a") for i in range(5)}
    ax = xbp.new_study({"b": b, **said}).bp.plot().axes[0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "stated energies"
    ]
    marks = {line.get_xdata()[0] for line in ax.lines if len(line.get_xdata()) == 2}
    assert {5.0, 5.1, 5.2, 5.3, 5.4} <= {round(float(x), 6) for x in marks}


@pytest.mark.slow
def test_the_page_says_what_was_used(
    glass: xr.Dataset, peaked: xr.Dataset, tmp_path: Path
) -> None:
    """Ranges that were found, options of a reader, and which leaves are not compared."""
    table = tmp_path / "raman.txt"
    shift = np.linspace(10, 300, 150)
    shape = np.exp(-(np.log(shift / 48) ** 2) / 0.7)
    np.savetxt(
        table, np.column_stack([shift, shape * shift * (1 / np.expm1(shift / 205) + 1)])
    )
    raman = xr.open_dataset(
        table,
        engine="columns",
        quantity="raman_intensity",
        units="1",
        coordinate_units="1/cm",
        T="295 K",
    ).bp.to_reduced_raman()
    C = xbp.models.evaluate("debye_einstein", np.geomspace(2, 300, 80), gamma="4 mJ/mol/K^2", n_D=0.8, theta_D=260,
                            n_E=0.2, theta_E=72, sigma_E=15)  # fmt: skip
    leaves = {"raman": raman, "cp": C.bp.fit_heat_capacity(), "md": peaked}
    leaves["dos"] = glass[["g", "g_std"]]  # its maximum is the phonon of the box
    study = xbp.new_study(leaves, Q_range={"md": (2.1, 8.5)}, E_range={"md": (0.9, 8)})
    study.bp.report(tmp_path / "report.html", among=["raman", "cp"])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    words = " ".join(page.words)
    row = study.bp.compare(["raman", "cp"]).sel(leaf="raman")
    reach = f"{float(row.E_low):.6g} meV to {float(row.E_high):.6g} meV"
    assert f"E_range = {reach}, E_range_chosen = automatically" in words
    assert (
        "quantity = raman_intensity, units = 1, coordinate = E, coordinate_units = 1/cm, T = 295 K"
        in words
    )
    assert (
        "T_range = 2 K to 300 K, T_range_chosen = automatically, start = guessed from the data"
        in words
    )
    grey = [line for line in text.split("<tr") if line.startswith(' class="faint"')]
    assert [">md<" in grey[0], ">dos<" in grey[1], len(grey)] == [True, True, 2]
    assert "no: left out" in grey[0]
    assert "no: it has no energy" in grey[1]
    assert 'data-title="E_BP (meV)"' in grey[0]
    # Both energies of a heat capacity, the second named; a spectrum of light is called so.
    assert re.search(r"maximum of g/E²|k B θ E", words)
    assert "B(E), Raman" in words


@pytest.mark.slow
def test_a_panel_with_nothing_to_show_is_left_out(b: xr.Dataset) -> None:
    scan, said = (
        b.bp.scan_boson_peak(),
        xbp.stated_energy("6 meV", "0.4 meV", reference="a"),
    )
    (energies,) = xbp.new_study({"raman": scan, "said": said}).bp.plot().axes
    assert {text.get_text() for text in energies.get_yticklabels()} == {"raman", "said"}
    # A curve without numbers is named by its status, and a curve without a peak has no place on the reduced axis.
    (energies,) = (
        xbp.new_study({"empty": b.where(b.E < 0), "said": said}).bp.plot().axes
    )
    assert [text.get_text() for text in energies.texts] == ["no data"]
    far = b.assign_coords(E=b.E.assign_attrs(b.E.attrs) + 60)
    curve, _ = (
        xbp.new_study({"far": far.isel(E=slice(20, None)), "said": said}).bp.plot().axes
    )
    seen = curve.containers[0].lines[0].get_xdata()
    assert np.sum((seen > curve.get_xlim()[0]) & (seen < curve.get_xlim()[1])) > 10
