"""The energies of measured glasses in docs/raman_and_heat_capacity.md are those found."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

import xbp

PAGE = Path(__file__).parents[1] / "docs" / "raman_and_heat_capacity.md"


def energy(table: xr.Dataset) -> str:
    return f"{float(table.energy):.1f} ± {float(table.energy_std):.1f}"


@pytest.mark.slow
def test_energies_of_measured_glasses(shared_data: Path) -> None:
    text = " ".join(PAGE.read_text().split())
    columns = {"quantity": "raman_intensity", "units": "1", "coordinate_units": "1/cm"}
    found = []
    for name in ("ae0202.txt", "BD1469.txt"):
        spectrum = xbp.open_dataset(shared_data / "raman" / name, **columns)
        b = spectrum.bp.to_reduced_raman(T="295 K")
        tables = [
            b.bp.boson_peak(),
            b.bp.boson_peak(E_range=("25 1/cm", "150 1/cm")),
            b.bp.boson_peak("quadratic"),
        ]
        scan = b.bp.scan_boson_peak()
        found.append(list(map(energy, tables)))
        n_ok = int((scan.scan_status == "ok").sum())
        assert f"{energy(scan)} ± {float(scan.systematic):.2g}" in text
        assert f"{n_ok} of" in text
    (first, second, third), (other, wider, top) = found
    assert f"the log-normal gave {first} and {other} cm⁻¹" in text
    assert f"over 25–150 cm⁻¹ {second} and {wider} (" in text
    assert f'`"quadratic"`, {third} and {top}.' in text
    lines = xbp.open_dataset(shared_data / "raman" / "labram_wn.txt")
    constant, linear = (
        energy(lines.bp.to_reduced_raman(T="295 K", coupling=c).bp.boson_peak())
        for c in ("constant", "linear")
    )
    assert f"gave {constant} and, with the linear coupling, {linear} cm⁻¹" in text
