from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import test_fuzz
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, XbpError

MEV = {"energy_units": "meV"}


def written(tmp_path: Path, *changes: tuple[str, str], times: int = -1) -> Path:
    test_fuzz.inx(tmp_path / "a.inx")
    text = (tmp_path / "a.inx").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, times)
    (tmp_path / "a.inx").write_text(text)
    return tmp_path / "a.inx"


def test_what_the_file_does_not_say_is_asked_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, ("350.000", "  0.000"))
    with pytest.raises(QuantityError) as caught:
        xbp.open_dataset(path, group="Q")
    assert all(name in str(caught.value) for name in ("group=", "energy_units=", "T="))
    assert str(caught.value).count("\n") == 2
    assert "temperature" not in xbp.open_dataset(path, group="Q", **MEV).coords
    assert float(xbp.open_dataset(path, group="Q", T="90 K", **MEV).temperature) == 90


def test_labels_are_what_the_caller_says(tmp_path: Path) -> None:
    path = written(tmp_path)
    S = xbp.open_dataset(path, group="Q", **MEV)
    np.testing.assert_array_equal(S.Q, [1, 2, 3])
    np.testing.assert_array_equal(S.E, np.arange(5) - 2.5)
    np.testing.assert_allclose(S.S[1], 2.5 + np.arange(5))
    np.testing.assert_allclose(S.S_std[1], 0.1 + np.arange(5) / 10)
    assert (float(S.temperature), float(S.incident_energy)) == (350, 13.088)
    angles = xbp.open_dataset(path, group="two_theta", **MEV)
    assert angles.S.dims == ("detector", "E")
    np.testing.assert_array_equal(angles.two_theta, [1, 2, 3])
    assert angles.S.attrs["geometry"] == "direct"
    index = xbp.open_dataset(path, group="index", Q=["3 1/nm", 0.4, "0.6 1/angstrom"], **MEV)  # fmt: skip
    np.testing.assert_allclose(index.Q, [0.3, 0.4, 0.6])
    with pytest.raises(FileFormatError, match="3 values"):
        xbp.open_dataset(path, group="index", Q=[1, 2], **MEV)
    with pytest.raises(QuantityError, match="Q="):
        xbp.open_dataset(path, group="Q", Q=[1, 2, 3], **MEV)
    with pytest.raises(FileFormatError, match="not its recorded temperatures"):
        xbp.open_dataset(path, group="temperature", T=5, **MEV)


def test_temperatures_of_the_blocks(tmp_path: Path) -> None:
    path = written(tmp_path)
    text = path.read_text()
    for i in range(3):
        text = text.replace(f" {1.0 + i:.4f}  13.088  2.5133  350.000", f" {10.0 * (i + 1):.4f}  13.088  2.5133  {10.0 * (i + 1):.3f}", 1)  # fmt: skip
    path.write_text(text)
    S = xbp.open_dataset(path, group="temperature", **MEV).S
    assert S.dims == ("temperature", "E")
    np.testing.assert_array_equal(S.temperature, [10, 20, 30])
    with pytest.raises(FileFormatError, match="10 to 30 K"):
        xbp.open_dataset(path, group="Q", **MEV)


def test_micro_electron_volts(tmp_path: Path) -> None:
    """∫S dE is that of the file; µeV are of backscattering, which fixes the final energy."""
    path = written(tmp_path)
    mev, micro = (xbp.open_dataset(path, group="Q", energy_units=u) for u in ("meV", "ueV"))  # fmt: skip
    np.testing.assert_allclose(micro.E, mev.E / 1000)
    np.testing.assert_allclose(micro.S, mev.S * 1000)
    assert not {"incident_energy", "final_energy"} & set(micro.coords)
    with pytest.raises(FileFormatError, match="geometry="):
        xbp.open_dataset(path, group="two_theta", energy_units="ueV")
    final = xbp.open_dataset(path, group="Q", energy_units="ueV", geometry="indirect")
    assert float(final.final_energy) == 13.088


def test_variants(tmp_path: Path) -> None:
    """Touching columns, channel numbers first, zero errors, blocks of other lengths, the first energy last."""
    reference = xbp.open_dataset(written(tmp_path), group="Q", **MEV)
    path = written(tmp_path)
    lines = path.read_text().split("\n")
    rows = [i for i, line in enumerate(lines) if len(line.split()) == 3 and "e" in line]
    touching = list(lines)
    for i in rows:
        E, S, std = map(float, lines[i].split())
        touching[i] = f"{E:8.3f}{-S:11.4e}{std:10.3e}"
    path.write_text("\n".join(touching))
    found = xbp.open_dataset(path, group="Q", **MEV)
    np.testing.assert_allclose(found.S, -reference.S)
    channels = list(lines)
    for n, i in enumerate(rows):
        channels[i] = f"{n % 5 + 7} {lines[i]}"
    path.write_text("\n".join(channels))
    xr.testing.assert_identical(xbp.open_dataset(path, group="Q", **MEV), reference)
    turned = list(lines)
    for k in range(3):
        block = rows[5 * k : 5 * k + 5]
        for i, j in zip(block, block[::-1], strict=True):
            turned[i] = lines[j]
    path.write_text("\n".join(turned))
    xr.testing.assert_identical(xbp.open_dataset(path, group="Q", **MEV), reference)
    short = [line for i, line in enumerate(lines) if i != rows[4]]
    short[0] = short[0].replace("    5", "    4")
    path.write_text("\n".join(short))
    found = xbp.open_dataset(path, group="Q", **MEV)
    assert found.S.isnull().sum() == 1
    assert bool(found.S[0, 4].isnull())
    zero = [line if i not in rows else f"{line[:-12]}   0.0000" for i, line in enumerate(lines)]  # fmt: skip
    path.write_text("\n".join(zero))
    assert "S_std" not in xbp.open_dataset(path, group="Q", **MEV)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("    0    5\n", "    0    6\n", "block 1"),
        ("glass\n 2.0000", "glass\n x", "not numbers"),
        ("       -0.50000", "       -0.40000", "different energies"),
        ("       -0.50000", "       -1.50000", "twice"),
        ("  1.0000e-01", "", "three or four"),
    ],
)
def test_damaged(tmp_path: Path, old: str, new: str, match: str) -> None:
    path = written(tmp_path, (old, new), times=1)
    with pytest.raises(FileFormatError, match=match):
        xbp.open_dataset(path, group="Q", **MEV)


def test_a_damaged_header_is_never_columns(tmp_path: Path) -> None:
    path = written(tmp_path, (" 0.0 4.0 0.0\n", "time of flight\n"), times=1)
    with pytest.raises(XbpError, match="INX"):
        xbp.open_dataset(path, quantity="raman_intensity", units="1", coordinate_units="1/cm")  # fmt: skip


def test_impossible_energies(tmp_path: Path) -> None:
    path = written(tmp_path, ("13.088", " 1.200"))
    with pytest.raises(FileFormatError, match=r"1.2 meV in direct"):
        xbp.open_dataset(path, group="Q", **MEV)
    S = xbp.open_dataset(path, group="Q", final_energy="3 meV", **MEV).S
    assert S.attrs["geometry"] == "indirect"


def test_energies_that_are_gains_of_the_neutron(tmp_path: Path) -> None:
    """LAMP also writes them so: beyond E_i they cannot be losses."""
    rows = [" 0. 4. .2", " 20. 9. .3", " 40. 5. .3"]
    head = [" 3 1 3 0 0 0 0 3", "YIG", " 0. 5.112 1.5708 0. 1. 0.", " 0. 4. 0."]
    path = tmp_path / "a.inx"
    path.write_text("\n".join([*head, *rows, ""]))
    with pytest.raises(FileFormatError, match=r"to 40 meV, imp.*\n.*positive='gain'"):
        xbp.open_dataset(path, group="index", energy_units="meV", T=300)
    ds = xbp.open_dataset(path, group="Q", positive="gain", **MEV)
    np.testing.assert_array_equal(ds.E, [-40, -20, 0])
    np.testing.assert_array_equal(ds.S[0], [5, 9, 4])
