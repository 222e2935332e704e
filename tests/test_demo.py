"""The command line as a user meets it, and the README's code as it stands."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import xbp
import xbp.demo
from xbp.cli import main
from xbp.errors import FileFormatError

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_demo_leaves_table_archive_and_figure(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    assert re.search(r"B\(E\) +no maximum; highest at 2\.\d", result.output)
    assert re.search(r"1500 atoms, b +no maximum; highest at 1\.7", result.output)
    assert re.search(r"10000 atoms, a +2\.25 ± 0\.28 meV \(ok\)", result.output)
    assert re.search(r"r +0\.99 +0\.99 +0\.98 +0\.9\d", result.output)
    assert re.search(r"1\.5 to 8 +meV +no maximum; highest at", result.output)
    with xr.open_dataset(tmp_path / "new" / "zr46cu46al8.nc") as archive:
        assert {"G", "B", "B_std", "Sq", "g"} <= set(archive.data_vars)
    picture = plt.imread(tmp_path / "new" / "demo.png")
    assert picture.shape[1] > 1000
    assert np.unique(picture.reshape(-1, picture.shape[-1]), axis=0).shape[0] > 100


@pytest.fixture
def _quick_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the demo writes is looked at, not what it finds: that is found once, and the table left out."""
    monkeypatch.setattr("xbp.demo.analyse", ANALYSE)
    monkeypatch.setattr("xbp.demo.table", lambda study: "a table")


ANALYSE = functools.cache(xbp.demo.analyse)


@pytest.mark.slow
@pytest.mark.usefixtures("_quick_demo")
def test_a_second_demo_replaces_the_first(tmp_path: Path) -> None:
    first = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert first.exit_code == 0, first.output
    before = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    assert set(before) == {"zr46cu46al8.nc", "demo.png"}
    again = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert again.exit_code == 0, again.output
    # New files in the place of the old ones, and nothing of what they were written to.
    after = {path.name: path.stat().st_ino for path in tmp_path.iterdir()}
    assert set(after) == set(before)
    assert all(after[name] != before[name] for name in after)


@pytest.mark.slow
@pytest.mark.usefixtures("_quick_demo")
@pytest.mark.parametrize("name", ["zr46cu46al8.nc", "demo.png"])
def test_a_demo_replaces_nothing_of_others(
    tmp_path: Path, glass: xr.Dataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    for make in (
        lambda: path.write_text("precious"), lambda: glass.bp.to_netcdf(path, overwrite=True),
        lambda: plt.imsave(path, np.ones((2, 2)), format="png"), lambda: (path.unlink(), path.mkdir()),
    ):  # fmt: skip
        make()
        content = path.read_bytes() if path.is_file() else b""
        refused = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
        assert refused.exit_code == 1
        assert "xbp demo did not write it" in refused.output
        assert "--overwrite" in refused.output
        assert [p.name for p in tmp_path.iterdir()] == [name]
        assert content == (path.read_bytes() if path.is_file() else b"")
    path.rmdir()
    path.write_text("precious")
    done = CliRunner().invoke(main, ["demo", "--out", str(tmp_path), "--overwrite"])
    assert done.exit_code == 0, done.output
    assert path.read_bytes()[:1] != b"p"
    # A figure that breaks off leaves the one that was there.
    whole = (tmp_path / "demo.png").read_bytes()

    class Broken:
        def savefig(self, path: str, **_: object) -> None:
            Path(path).write_bytes(b"half")
            raise OSError("no room")

    monkeypatch.setattr("xbp.demo.draw", lambda _: Broken())
    assert CliRunner().invoke(main, ["demo", "--out", str(tmp_path)]).exit_code == 1
    assert (tmp_path / "demo.png").read_bytes() == whole
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_name_is_not_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, ["demo", "--out", ""])
    assert refused.exit_code == 2
    assert "empty" in refused.output
    assert not list(tmp_path.iterdir())


def test_an_element_is_given_to_a_type_or_a_name(tmp_path: Path) -> None:
    for given in ("=Zr", "x=", "1"):
        refused = CliRunner().invoke(
            main, ["convert", "f", str(tmp_path / "x.nc"), "--element", given]
        )
        assert refused.exit_code == 2
        assert f"'{given}' is not like 1=Zr" in refused.output


def test_errors_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, *, overwrite: bool) -> str:
        raise FileFormatError("no room", reason="the disk is full", fix="make some")

    monkeypatch.setattr("xbp.demo.run", fail)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "no room" in result.output
    assert "fix:  make some" in result.output
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_the_shell_is_told_what_to_type_in_a_shell(tmp_path: Path) -> None:
    shell = CliRunner()
    (tmp_path / "file").write_text("x")
    refused = shell.invoke(main, ["demo", "--out", str(tmp_path / "file" / "deeper")])
    assert refused.exit_code == 1
    assert "Not a directory" in refused.output
    missing = shell.invoke(
        main, ["report", str(tmp_path / "none.nc"), "-o", str(tmp_path / "r.html")]
    )
    assert "does not exist" in missing.output
    assert "PosixPath" not in missing.output
    xbp.new_study({"ins": xbp.stated_energy("5.5 meV", reference="mine")}).bp.to_netcdf(
        tmp_path / "study.nc"
    )
    (tmp_path / "r.html").write_text("kept")
    exists = shell.invoke(
        main, ["report", str(tmp_path / "study.nc"), "-o", str(tmp_path / "r.html")]
    )
    assert "--overwrite" in exists.output
    assert (tmp_path / "r.html").read_text() == "kept"


def test_version() -> None:
    assert xbp.__version__ in CliRunner().invoke(main, ["--version"]).output


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*non-interactive")
def test_the_readme_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = README.read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    (printed,) = re.findall(r"^```text\n(.*?)^```$", text, re.S | re.M)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out == printed
    from_arrays = block.partition("counts =")[2].splitlines()
    assert len([line for line in from_arrays if line]) <= 15
    plt.close("all")
    assert (tmp_path / "peak.png").exists()


@pytest.mark.slow
def test_import_loads_nothing_heavy() -> None:
    code = "import sys, xbp; print([m for m in ('matplotlib', 'lmfit', 'dask.array', 'scipy.optimize', 'scipy.stats') if type(sys.modules.get(m)).__name__ == 'module'])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"


def test_unknown_tutorial_data() -> None:
    with pytest.raises(FileFormatError, match="name='zr'"):
        xbp.tutorial.open_dataset("zr")
