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
    return xbp.models.evaluate("lognormal", np.linspace(1, 20, 80), energy="5.5 meV", height=2, sigma=0.6)


def test_every_method_is_a_function_of_the_same_name_and_arguments() -> None:
    for name, method in inspect.getmembers(StudyAccessor, inspect.isfunction):
        if not name.startswith("_"):
            own = list(inspect.signature(method).parameters.values())[1:]
            function = list(inspect.signature(getattr(xbp.study, name)).parameters.values())[1:]
            assert [(p.name, p.default, p.kind) for p in own] == [(p.name, p.default, p.kind) for p in function]


def test_panels(b: xr.Dataset, glass: xr.Dataset) -> None:
    study = xbp.new_study(
        {"ins": b, "dos": glass[["g", "g_std"]], "said": xbp.stated_energy("6 meV", "0.4 meV", reference="a")},
        E_range={"dos": (1.2, 20)},
        debye_energy={"dos": "22 meV"},
    )
    figure = study.bp.plot()
    assert [ax.get_title().split("\n")[0] for ax in figure.axes[:2]] == ["ins", "dos"]
    assert len(figure.axes) == 4
    level = next(line for line in figure.axes[1].lines if line.get_label() == "Debye level")
    area = float(glass.g.integrate("E"))
    assert level.get_ydata()[0] == pytest.approx(3 * area / 22**3, rel=0.01)
    # On the reduced axis every curve is 1 at 1.
    curves = figure.axes[3].lines
    assert len(curves) == 2
    for line in curves:
        x, y = line.get_data()
        known = np.isfinite(y)
        assert np.interp(1.0, x[known], y[known]) == pytest.approx(1.0, rel=0.02)
    assert figure.axes[0].get_title() == "ins\n$E_\\mathrm{BP}$ = 5.5 meV\nrms residual below 0.01 %"
    given = plt.figure()
    assert study.bp.plot(figure=given) is given
    plt.close("all")


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
    assert of_fit.get_ylabel().startswith("$B(E)$")
    colours = [c.lines[0].get_color() for c in energies.containers]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    plt.close(figure)


def test_the_page_bewares_of_what_is_not_one_energy(tmp_path: Path) -> None:
    said = {str(i): xbp.stated_energy(e, 0.1, reference="a") for i, e in enumerate((5.0, 6.0))}
    xbp.new_study(said, systematic={"0": "0.2 meV"}).bp.report(tmp_path / "report.html")
    text = " ".join(Page((tmp_path / "report.html").read_text(encoding="utf-8")).words)
    assert "these are not one energy" in text
    assert "systematic (meV)" in text
    assert "stated energy" in text


def test_the_page_holds_everything_and_fetches_nothing(b: xr.Dataset, tmp_path: Path) -> None:
    study = xbp.new_study({"ins": b, "raman": xbp.stated_energy("6 meV", "0.4 meV", reference="doi:10/x")})
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


def test_what_strangers_write_is_text(b: xr.Dataset, tmp_path: Path) -> None:
    b = b.assign_attrs(
        {EVIL: EVIL, "title": EVIL, "history": f"{EVIL}\n" + '{"operation": {"a": 1}, "arguments": [], "xbp": 1}'}
    )
    b.B.attrs["history"] = "\n".join([EVIL] * 3 + ["[" * 3000])
    name = "a" + EVIL.replace("/", "\\")
    study = xbp.new_study({name: b, "汉字 $": b, "x": xbp.stated_energy("6 meV", reference=EVIL)}, title=EVIL)
    study.bp.report(tmp_path / "report.html")
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(content)
    assert "script" not in page.tags
    assert "<script" not in content
    assert EVIL in " ".join(page.words)
    assert len(re.findall("<h3>", content)) == 3


def test_the_command(b: xr.Dataset, tmp_path: Path) -> None:
    path, out = tmp_path / "study.nc", tmp_path / "report.html"
    said = xbp.stated_energy("6 meV", "0.4 meV", reference="a")
    xbp.new_study({"ins": b, "raman": said, "md": said}).bp.to_netcdf(path)
    run = CliRunner().invoke(main, ["report", str(path), "-o", str(out), "--among", "ins", "--among", "raman"])
    assert run.exit_code == 0, run.output
    assert out.stat().st_size > 10_000
    again = CliRunner().invoke(main, ["report", str(path), "-o", str(out)])
    assert again.exit_code == 1
    assert "exists" in again.output
    for bad in (tmp_path / "nowhere.nc", out):
        run = CliRunner().invoke(main, ["report", str(bad), "-o", str(tmp_path / "x.html")])
        assert run.exit_code == 1
        assert "Traceback" not in run.output
    assert not (tmp_path / "x.html").exists()


def test_the_page_does_not_replace_the_study(tmp_path: Path) -> None:
    path = tmp_path / "s.nc"
    xbp.new_study({"ins": xbp.stated_energy("5.5 meV", reference="x")}).bp.to_netcdf(path)
    before = path.read_bytes()
    result = CliRunner().invoke(main, ["report", str(path), "-o", str(path), "--overwrite"])
    assert result.exit_code == 2
    assert "replace the study" in result.output
    assert path.read_bytes() == before
