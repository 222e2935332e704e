from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import test_fuzz

import xbp
from xbp.errors import FileFormatError

HBAR = 0.6582119569  # meV ps


def written(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    test_fuzz.mdmc(tmp_path / "a.xml")
    text = (tmp_path / "a.xml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "a.xml").write_text(text)
    return tmp_path / "a.xml"


def test_values_and_units(tmp_path: Path) -> None:
    """S of 1 is 0.1 ps; an omega of 1 is 10 rad/ps."""
    ds = xbp.open_dataset(written(tmp_path), T="120 K", statistics="classical")
    S = np.add.outer(np.arange(1, 4), np.arange(4)) + 1.0
    np.testing.assert_allclose(ds.S, S * 0.1 / HBAR)
    np.testing.assert_allclose(ds.S_std[0], 0.1 * np.arange(1, 5) * 0.1 / HBAR)
    np.testing.assert_allclose(ds.E, np.arange(4) / 10 * 10 * HBAR)
    np.testing.assert_array_equal(ds.Q, [1.5, 2.5, 3.5])
    assert (ds.S.attrs["units"], ds.S.attrs["statistics"]) == ("1/meV", "classical")
    assert ds.attrs["comment"] == "argon"
    assert "statistics" not in xbp.open_dataset(written(tmp_path)).S.attrs


def test_other_units_order_and_gaps(tmp_path: Path) -> None:
    reference = xbp.open_dataset(written(tmp_path))
    lines = written(tmp_path).read_text().split("\n")
    rows = lines[2:-1]
    (tmp_path / "a.xml").write_text("\n".join([*lines[:2], *rows[::-1], lines[-1]]))
    np.testing.assert_array_equal(xbp.open_dataset(tmp_path / "a.xml").S, reference.S)
    ps = xbp.open_dataset(written(tmp_path, ("0.1ps", "ps"), ("1/[10^-13 s]", "1/ps"), ("AA^-1", "1/nm")))  # fmt: skip
    np.testing.assert_allclose(ps.S, reference.S * 10)
    np.testing.assert_allclose(ps.E, reference.E / 10)
    np.testing.assert_allclose(ps.Q, reference.Q / 10)
    gap = xbp.open_dataset(written(tmp_path, ('S="2" error="0.1"', 'S="no data" error="no data"')))  # fmt: skip
    assert bool(gap.S[0, 0].isnull())
    assert int(gap.S.isnull().sum()) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('n-q-points="3"', 'n-q-points="4"'),
        ('n-q-points="3"', 'n-q-points="x"'),
        ('omega="0.1" q="1.5"', 'omega="0.1" q="2.5"'),
        ('S="2"', 'S="two"'),
        ('S="2" ', ""),
        ("0.1ps", "0.1"),
        ("0.1ps", "meV"),
        ("1/[10^-13 s]", "meV"),
        ("AA^-1", "AA^-2"),
        ("</s-q-omega>", ""),
        ("<s-q-omega ", '<!DOCTYPE x [<!ENTITY a "b">]><s-q-omega '),
    ],
)
def test_refused(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(FileFormatError):
        xbp.open_dataset(written(tmp_path, (old, new)))


def test_logarithms_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ("<s-q-omega", '<s-q-omega S-value-log="true"'))
    with pytest.raises(FileFormatError, match="its S are logarithms"):
        xbp.open_dataset(path)
    path = written(tmp_path, ("<s-q-omega", '<s-q-omega S-value-log="false"'))
    assert xbp.open_dataset(path).S.shape == (3, 4)
