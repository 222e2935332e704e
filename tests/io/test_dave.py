from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, XbpError

# The words as DAVE, Mantid and others write them.
HEADERS = {
    "DAVE": ("Number of energy transfer values", "Number of Q transfer values", "energy transfer (micro-eV) Values:", "Q transfer (1/Angstroms) Values:"),
    "Mantid": ("Number of Energy transfer values", "Number of q values", "Energy transfer (meV) values", "q (1/Angstroms) values"),
    "Mantid micro": ("Number of Energy transfer values", "Number of q values", "Energy transfer (micro eV) values", "q (1/Angstroms) values"),
    "odd": ("n", "m", "x (µeV)", "y (Å^-1)"),
}  # fmt: skip
E, Q = [-20.0, -5.0, 1.5, 10.0], [0.25, 1.75]
S = np.array([[1.0, 2.5, 3.0, 4.0], [5.0, 6.0, -1e30, 8.0]])


def text(
    kind: str = "DAVE",
    e: list[float] = E,
    q: list[float] = Q,
    s: np.ndarray = S,
    errors: object = None,
) -> str:
    std = np.abs(s) / 10 if errors is None else errors * np.ones_like(s)  # type: ignore[operator]
    first, second, third, fourth = HEADERS[kind]
    rows = [
        f"# {first}",
        str(len(E)),
        f"# {second}",
        str(len(Q)),
        f"# {third}",
        *map(str, e),
        f"# {fourth}",
        *map(str, q),
    ]
    for i, row in enumerate(s):
        rows += [
            f"# Group {i}",
            *(f"{value} {error}" for value, error in zip(row, std[i], strict=True)),
        ]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("kind", HEADERS)
def test_every_wording_opens(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text(kind).encode("latin-1"))
    ds = xbp.open_dataset(path)
    factor = 1 if kind == "Mantid" else 1e-3
    np.testing.assert_allclose(ds.E, np.multiply(E, factor), rtol=1e-15)
    np.testing.assert_array_equal(ds.Q, Q)
    # Values are per unit of the energies: of a file in µeV they become 1000 times larger per meV.
    expected = np.where(S < -1e29, np.nan, S) / factor
    np.testing.assert_allclose(ds.S, expected, rtol=1e-15)
    np.testing.assert_allclose(ds.S_std, np.abs(expected) / 10, rtol=1e-15)
    assert (ds.E.attrs["units"], ds.Q.attrs["units"], ds.S.attrs["units"]) == (
        "meV",
        "1/angstrom",
        "1",
    )
    xr.testing.assert_identical(xr.open_dataset(path), ds)
    assert float(xr.open_dataset(path, engine="dave", T="100 K").temperature) == 100


def test_angles_are_angles(tmp_path: Path) -> None:
    path = tmp_path / "a.grp"
    path.write_text(
        text()
        .replace("Q transfer (1/Angstroms)", "angle (degrees)")
        .replace("0.25", "25.0")
    )
    ds = xbp.open_dataset(path)
    assert ds.S.attrs["quantity"] == "detector_spectra"
    np.testing.assert_array_equal(ds.two_theta, [25, 1.75])


@pytest.mark.parametrize(
    "content",
    [
        text().replace("micro-eV", "GHz"), text().replace("1/Angstroms", ""), text(e=E[::-1]), text(q=[1.0, 1.0]),
        text(e=E[:3]), text(q=[*Q, 3.0]), text(s=S[:1]), text(errors=-1.0), text()[: len(text()) // 2],
        text().replace("2.5", "two"), text().replace("\n4\n", "\n400000000000\n", 1), text(e=[np.nan, *E[1:]]),
        text() + "1 2\n",
    ],
    ids=range(13),
)  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.grp"
    path.write_text(content)
    with pytest.raises(XbpError):
        xbp.open_dataset(path)
    with pytest.raises(XbpError):
        xr.open_dataset(path, engine="dave")


def test_binary_files_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.grp"
    path.write_bytes(text().encode() + b"\x00")
    with pytest.raises(FileFormatError, match="binary"):
        xr.open_dataset(path, engine="dave")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Q transfer (1/Ang", "Q^2 (1/Ang"), ("Q transfer (1/Ang", "Q (degrees) (1/Ang"), ("energy transfer (mic", "energy gain (mic"),
        ("energy transfer (mic", "energy (meV) (mic"), ("# Group 0", "# Group 0 log10(S)"), ("# Group 0", "# Group 0, error in percent"), ("# Group 1", "# Group 1 * 1000"),
    ],
)  # fmt: skip
def test_comments_that_contradict(tmp_path: Path, old: str, new: str) -> None:
    assert old in text()
    (tmp_path / "a.txt").write_text(text().replace(old, new))
    with pytest.raises(FileFormatError):
        xbp.open_dataset(tmp_path / "a.txt")
