"""LAMMPS dumps: each axis by the convention of its column, and columns that change between frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbp.errors import FileFormatError, QuantityError
from xbp.md import open_trajectory

from .test_open import CELL, METAL, ORIGIN, SCALED, VELOCITY, dump, written

BRICK = np.diag([10.0, 9.0, 12.0])
CUZR = {**METAL, "elements": ["Zr", "Cu"]}


def by_hand(text: str, sides: np.ndarray) -> np.ndarray:
    """Parse a dump in a box without tilt: every axis is read from its own columns, as LAMMPS documents them."""
    lines, frames = iter(text.splitlines()), []
    for line in lines:
        if line.startswith("ITEM: NUMBER"):
            n = int(next(lines))
        elif line.startswith("ITEM: ATOMS"):
            names = line.split()[2:]
            atoms = [dict(zip(names, next(lines).split())) for _ in range(n)]  # noqa: B905
            atoms.sort(key=lambda atom: int(atom["id"]))
            frames.append([])
            for atom in atoms:
                place = []
                for c, axis in enumerate("xyz"):
                    low, side = ORIGIN[c], sides[c]
                    image = float(atom.get(f"i{axis}", 0))
                    if f"{axis}u" in atom:
                        value = float(atom[f"{axis}u"]) - low
                    elif f"{axis}su" in atom:
                        value = float(atom[f"{axis}su"]) * side
                    elif axis in atom:
                        value = float(atom[axis]) - low + image * side
                    else:
                        value = (float(atom[f"{axis}s"]) + image) * side
                    place.append(value)
                frames[-1].append(place)
    return np.array(frames)


@pytest.mark.parametrize(
    "columns",
    [
        "id type xs y zu",
        "id type xu ysu z",
        "zs id yu type x",
        "id type xs ysu zs vx vy vz",
        "id type x ys zu ix iy iz",
        "id type x y z iy",
    ],
)
def test_every_axis_has_a_convention_of_its_own(tmp_path: Path, columns: str) -> None:
    text = dump(SCALED, VELOCITY, columns, cell=BRICK)
    traj = open_trajectory(written(tmp_path, text), **CUZR)
    expected = by_hand(text, np.diag(BRICK))
    np.testing.assert_allclose(traj.position.values, expected, atol=1e-12)
    away = (traj.position.values - SCALED @ BRICK) / np.diag(BRICK)
    np.testing.assert_allclose(away, np.round(away), atol=1e-12)


@pytest.mark.parametrize("columns", ["xs y z", "x ys z", "xs ys z", "xsu yu zsu"])
def test_scaled_columns_beside_others_in_a_tilted_cell(
    tmp_path: Path, columns: str
) -> None:
    """xs is along the cell vector a, and x along the axis: s from both needs all three columns."""
    traj = open_trajectory(
        written(tmp_path, dump(SCALED, VELOCITY, f"id type {columns}")), **CUZR
    )
    wanted = SCALED if "u" in columns else SCALED - np.floor(SCALED)
    np.testing.assert_allclose(traj.position.values, wanted @ CELL, atol=1e-12)


@pytest.mark.parametrize("columns", ["xs y zu", "x yu zs", "xsu y zs"])
def test_unwrapped_columns_beside_others_in_a_tilted_cell_need_images(
    tmp_path: Path, columns: str
) -> None:
    whole = dump(SCALED, VELOCITY, f"id type {columns} ix iy iz")
    traj = open_trajectory(written(tmp_path, whole), **CUZR)
    np.testing.assert_allclose(traj.position.values, SCALED @ CELL, atol=1e-12)
    path = written(tmp_path, dump(SCALED, VELOCITY, f"id type {columns}"))
    with pytest.raises(
        FileFormatError, match=r"some of .* are unwrapped, in a tilted cell"
    ):
        open_trajectory(path, **CUZR)


@pytest.mark.parametrize("units", ["metal", "real"])
def test_a_step_in_femtoseconds_is_not_taken_for_picoseconds(
    tmp_path: Path, units: str
) -> None:
    """LAMMPS counts fs in real units; a bare number here is in ps, as everywhere."""
    path = written(tmp_path, dump(SCALED[:4], VELOCITY[:4], "id type xs ys zs"))
    options = {**CUZR, "units": units}
    for step in (1, 0.5):
        with pytest.raises(QuantityError, match="too long for atoms") as caught:
            open_trajectory(path, **{**options, "timestep": step})
        assert " fs'" in caught.value.fix
    stated = open_trajectory(path, **{**options, "timestep": "5 ps"}, velocities=False)
    right = open_trajectory(path, **{**options, "timestep": 0.002})
    np.testing.assert_allclose(stated.time.values, 2500 * right.time.values)
    same = open_trajectory(path, **{**options, "timestep": "2 fs"})
    np.testing.assert_allclose(right.time.values, same.time.values)


def test_columns_that_change_between_frames(tmp_path: Path) -> None:
    """As after a second `dump_modify`, or two dumps one after the other."""
    layouts = [
        "id type xu yu zu vx vy vz",
        "vz vy vx id type mass zsu ysu xsu",
        "element id x y z ix iy iz vx vy vz",
        "id type xs ys zs ix iy iz vx vy vz c_stress",
    ]
    texts = [
        dump(SCALED[:4], VELOCITY[:4], columns.replace("mass", "id").replace("c_stress", "vx"))
        .split("ITEM: TIMESTEP\n")[1 + n]
        .replace(columns.replace("mass", "id").replace("c_stress", "vx"), columns)
        for n, columns in enumerate(layouts)
    ]  # fmt: skip
    # Masses of types, as LAMMPS writes them.
    rows = texts[1].splitlines()
    at = next(n for n, row in enumerate(rows) if row.startswith("ITEM: ATOMS")) + 1
    for n in range(at, len(rows)):
        words = rows[n].split()
        words[5] = {"1": "91.224", "2": "63.546"}[words[4]]
        rows[n] = " ".join(words)
    texts[1] = "\n".join(rows) + "\n"
    text = "".join(f"ITEM: TIMESTEP\n{part}" for part in texts)
    traj = open_trajectory(written(tmp_path, text), chunk_frames=2, **CUZR)
    np.testing.assert_allclose(traj.position.values, SCALED[:4] @ CELL, atol=1e-12)
    np.testing.assert_allclose(traj.velocity.values, VELOCITY[:4], atol=1e-15)
    assert traj.element.values.tolist() == ["Zr", "Cu"] * 3
    assert traj.mass.values[:2].tolist() == [91.224, 63.546]
    part = open_trajectory(tmp_path / "a.lammpstrj", frames=slice(2, 3), **METAL)
    assert part.element.values.tolist() == ["Zr", "Cu"] * 3


def test_velocities_of_some_frames_are_refused_or_left_out(tmp_path: Path) -> None:
    text = dump(SCALED[:2], VELOCITY[:2], "id type xu yu zu vx vy vz")
    still = text.replace("vx vy vz", "fx fy fz", 1)
    path = written(tmp_path, still)
    with pytest.raises(FileFormatError, match="frame 1 has velocities, frame 0 has no"):
        open_trajectory(path, **CUZR)
    assert "velocity" not in open_trajectory(path, velocities=False, **CUZR)
    last = open_trajectory(path, frames=slice(1, None), **CUZR)
    np.testing.assert_allclose(last.velocity.values, VELOCITY[1:2], atol=1e-15)
    lost = text.replace("id type xu", "id type qu", 1)
    with pytest.raises(FileFormatError, match="has the columns id type qu"):
        open_trajectory(written(tmp_path, lost), **CUZR)
