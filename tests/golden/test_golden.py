"""Every public function gives the numbers that were written down: a change of structure changes none of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import golden_cases
import pytest
from golden_cases import CASES, Case
from golden_table import TABLE, differences, write_down

import xbp

WRITTEN = json.loads(TABLE.read_text())
#: Public names without numbers of their own, or that run another program for minutes.
ELSEWHERE = {
    "accessor", "bp", "errors", "md", "models", "plot", "study", "tutorial", "Diagnostic", "diagnostics", "describe",
    "cooling_series", "size_series", "glass_spectra", "instrument_resolution", "to_columns", "to_csv", "to_dataframe",
    "to_netcdf", "to_nxspe", "to_scipp", "from_scipp", "from_ase", "from_dynasor", "from_mdanalysis", "from_pandas", "from_euphonic", "from_mantid", "from_phonopy", "label", "to_ase", "to_euphonic", "to_mantid", "to_mdanalysis", "to_zarr", "to_spe", "to_sqw", "open_study",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_numbers_are_those_written_down(case: Case) -> None:
    if case.needs is not None and not case.needs.exists():
        pytest.skip("the measured files are not here (XBP_SHARED_DATA)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        now = write_down(case.make())
    assert not differences(WRITTEN[case.name]["result"], now, case.kind)


def test_every_public_function_of_data_has_a_case() -> None:
    used = Path(golden_cases.__file__).read_text()
    missing = [
        name for name in xbp.__all__ if name not in ELSEWHERE and f"{name}(" not in used
    ]
    assert not missing


def test_a_change_is_seen() -> None:
    name, case = next((n, c) for n, c in CASES.items() if c.kind == "double")
    old = WRITTEN[name]["result"]
    variable = next(v for v in old if "values" in old[v])
    new = json.loads(json.dumps(old))
    new[variable]["values"][0] = (new[variable]["values"][0] or 1.0) * (1 + 1e-9)
    assert differences(old, new, case.kind)
