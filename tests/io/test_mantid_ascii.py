"""SaveAscii of Mantid, as its writer lays it out: one text for each of its separators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import xbp
from xbp.errors import FileFormatError, QuantityError, XbpError

X = np.array([-0.5, 0.5, 1.5, 2.5])
Y = np.array([[1.25, 4, 9.5, 3], [2, 7.5, 6, 1], [0.5, 0, 8, 2.25]])
STD = np.array([[0.5, 0.25, 1, 0.125], [1, 2, 0.75, 0.5], [0.25, 0.125, 2, 1]])
LABELS = {"quantity": "S(Q,E)", "units": "1", "coordinate_units": "meV"}
OPTIONS = {**LABELS, "Q": [0.75, 0.5, 1.0], "T": "300 K"}


def saved(
    *, mark: str = ",", behind: str = "", logs: str = "", dx: bool = False, n: int = 3
) -> str:
    dx_title = f" {mark} DX" if dx else ""
    rows = [*logs.splitlines(), f"# X {mark} Y {mark} E{dx_title}"]
    for number in range(n):
        rows.append(str(number + 5) + (f" {mark} {behind}" if behind else ""))
        for row in zip(X, Y[number], STD[number], strict=True):
            rows.append(mark.join(f"{one:g}" for one in (*row, *([0.0] if dx else []))))
    return "\n".join(rows) + "\n"


def good_file(path: Path) -> None:
    path.write_text(saved())


@pytest.mark.parametrize(
    "text",
    [
        saved(),
        saved(mark="\t"),
        saved(mark=" "),
        saved(mark=" ", behind="0.55"),
        saved(mark=";", behind="0.55 ; 31.25"),
        saved(behind="5.5e-01"),
        saved(dx=True),
        saved(logs="# Ei, 12.5, meV\n# run_title, a glass,\n"),
        saved(mark=":").replace("# X", "! X"),
    ],
)
def test_every_layout_has_the_numbers_of_the_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.txt").write_text(text)
    ds = xbp.open_dataset(tmp_path / "run.txt", **OPTIONS)
    order = [1, 0, 2]
    np.testing.assert_array_equal(ds.Q, [0.5, 0.75, 1.0])
    np.testing.assert_array_equal(ds.E, X)
    np.testing.assert_array_equal(ds.S, Y[order])
    np.testing.assert_array_equal(ds.S_std, STD[order])
    assert float(ds.temperature) == 300
    assert (ds.E.attrs["units"], ds.Q.attrs["units"]) == ("meV", "1/angstrom")


def test_one_spectrum_of_them(tmp_path: Path) -> None:
    good_file(tmp_path / "run.txt")
    labels = {"quantity": "g(E)", "units": "1/THz", "coordinate_units": "THz"}
    ds = xbp.open_dataset(tmp_path / "run.txt", **labels, spectrum=6)
    np.testing.assert_array_equal(ds.g, Y[1])
    assert (ds.g.attrs["units"], ds.E.attrs["units"]) == ("1/THz", "THz")
    with pytest.raises(QuantityError, match="3 spectra; vibrational_dos is over E"):
        xbp.open_dataset(tmp_path / "run.txt", **labels)
    for wrong in (4, 5.5):
        with pytest.raises(QuantityError, match=r"\[5, 6, 7\]"):
            xbp.open_dataset(tmp_path / "run.txt", **labels, spectrum=wrong)
    with pytest.raises(QuantityError, match="Q="):
        xbp.open_dataset(tmp_path / "run.txt", **labels, spectrum=6, Q=[1])


def test_what_the_text_does_not_say_is_asked(tmp_path: Path) -> None:
    good_file(tmp_path / "run.txt")
    with pytest.raises(QuantityError, match="quantity=None, units=None"):
        xbp.open_dataset(tmp_path / "run.txt")
    with pytest.raises(QuantityError, match="does not state Q of its spectra 5 to 7"):
        xbp.open_dataset(tmp_path / "run.txt", **LABELS)
    with pytest.raises(QuantityError, match="2 values"):
        xbp.open_dataset(tmp_path / "run.txt", **LABELS, Q=[1, 2])
    in_nm = xbp.open_dataset(
        tmp_path / "run.txt", **LABELS, Q=["3 1/nm", 0.4, "0.6 1/angstrom"]
    )
    np.testing.assert_allclose(in_nm.Q, [0.3, 0.4, 0.6])


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("2.5,2.25,1\n", "", "different X"),
        ("2.5,2.25,1\n", "2.6,2.25,1\n", "different X"),
        ("1.5,8,2\n", "1.5,8\n", "3 numbers"),
        ("1.5,8,2\n", "1.5,inf,2\n", "run.txt"),
        ("1.5,8,2\n", "1.5,eight,2\n", "run.txt"),
        ("1.5,", "-1.5,", "not in order"),
        ("\n6\n", "\n6\n7\n", "spectrum 6 has no rows"),
    ],
)
def test_damage(tmp_path: Path, old: str, new: str, match: str) -> None:
    assert old in saved()
    (tmp_path / "run.txt").write_text(saved().replace(old, new))
    with pytest.raises(XbpError, match=match):
        xbp.open_dataset(tmp_path / "run.txt", **OPTIONS)


def test_a_descending_x_is_turned(tmp_path: Path) -> None:
    good_file(tmp_path / "run.txt")
    right = xbp.open_dataset(tmp_path / "run.txt", **OPTIONS)
    (tmp_path / "run.txt").write_text(turned(saved()))
    xbp_down = xbp.open_dataset(tmp_path / "run.txt", **OPTIONS)
    np.testing.assert_array_equal(xbp_down.S, right.S)
    np.testing.assert_array_equal(xbp_down.E, right.E)


def turned(text: str) -> str:
    """Rows of every spectrum from the last to the first."""
    rows = text.splitlines()
    for first in range(2, len(rows), len(X) + 1):
        rows[first : first + len(X)] = rows[first : first + len(X)][::-1]
    return "\n".join(rows) + "\n"


def test_it_is_never_columns(tmp_path: Path) -> None:
    (tmp_path / "run.txt").write_text(saved(n=1))
    with pytest.raises(FileFormatError, match="SaveAscii text of Mantid"):
        xbp.open_dataset(tmp_path / "run.txt", engine="columns", **LABELS)
    ds = xbp.open_dataset(
        tmp_path / "run.txt", quantity="g(E)", units="1/meV", coordinate_units="meV"
    )
    np.testing.assert_array_equal(ds.g, Y[0])
