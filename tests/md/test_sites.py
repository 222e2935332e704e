"""Virtual sites: points of a force field without mass, which are no atoms."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from xbp.errors import QuantityError
from xbp.md import open_trajectory

from .test_open import written

NAMES = ["OW", "HW1", "HW2", "MW"]
TIP4P = {"OW": "O", "HW1": "H", "HW2": "H", "MW": "virtual"}
#: Two molecules, two frames 1 fs apart, a drift of 0.01 Å along x.
WATER = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [0.09, 0.12, 0]])
R = np.array(
    [
        [*(WATER + 1 + 0.01 * n), *(WATER + np.array([5, 5, 5 + 0.01 * n]))]
        for n in (0, 1)
    ]
)


def xyz(names: list[str] = NAMES * 2) -> str:
    return "".join(
        f"8\n i = {n}, time = {n}.000, E = -1\n"
        + "".join(f"{name} {x} {y} {z}\n" for name, (x, y, z) in zip(names, r, strict=True))
        for n, r in enumerate(R)
    )  # fmt: skip


def dump() -> str:
    """Types 1 O, 2 H, 3 the site; atoms in another order in the second frame."""
    text = ""
    for n, r in enumerate(R):
        rows = [f"{j + 1} {(1, 2, 2, 3)[j % 4]} {x} {y} {z}\n" for j, (x, y, z) in enumerate(r)]  # fmt: skip
        text += f"ITEM: TIMESTEP\n{n}\nITEM: NUMBER OF ATOMS\n8\nITEM: BOX BOUNDS pp pp pp\n"
        text += "0 10\n" * 3 + "ITEM: ATOMS id type xu yu zu\n"
        text += "".join(rows[::-1] if n else rows)
    return text


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["xyz", "dump"])
def test_sites_are_left_out_if_they_are_told(
    tmp_path: Path, kind: str, packed: bool
) -> None:
    raw = (xyz() if kind == "xyz" else dump()).encode()
    path = written(tmp_path, gzip.compress(raw) if packed else raw, f"a.{kind}")
    options = {"elements": TIP4P, "cell": [10, 10, 10]}
    if kind == "dump":
        options = {
            "elements": ["O", "H", "virtual"],
            "units": "metal",
            "timestep": "1 fs",
        }
    traj = open_trajectory(path, chunk_frames=1, **options)
    assert traj.element.values.tolist() == ["O", "H", "H"] * 2
    np.testing.assert_allclose(traj.mass.values[:2], [15.999, 1.008], rtol=1e-3)
    np.testing.assert_allclose(
        traj.position.values, R.reshape(2, 2, 4, 3)[:, :, :3].reshape(2, 6, 3)
    )


def test_a_site_without_an_element_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, xyz(), "a.xyz")
    with pytest.raises(QuantityError, match="MW") as caught:
        open_trajectory(path, cell=[10, 10, 10], elements={"OW": "O"})
    assert "'virtual' for a site" in caught.value.fix
    with pytest.raises(QuantityError, match="every atom"):
        open_trajectory(
            path, cell=[10, 10, 10], elements=dict.fromkeys(NAMES, "virtual")
        )


def test_an_atom_with_a_mass_is_no_site(tmp_path: Path) -> None:
    text = dump().replace("id type xu", "id type mass xu")
    for kind, mass in (("1", 15.999), ("2", 1.008), ("3", 0)):
        for j in range(8):
            text = text.replace(f"\n{j + 1} {kind} ", f"\n{j + 1} {kind} {mass} ")
    path = written(tmp_path, text, "a.dump")
    options = {"units": "metal", "timestep": "1 fs"}
    traj = open_trajectory(path, elements=["O", "H", "virtual"], **options)
    assert traj.sizes["atom"] == 6
    with pytest.raises(QuantityError, match=r"15\.999 u"):
        open_trajectory(
            path, elements=["virtual", "H", "O"], masses={"O": 16}, **options
        )
