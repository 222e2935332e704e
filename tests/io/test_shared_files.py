"""Every measured file of the three folders opens, or refuses with a sentence; none is left out of the tests of its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import xbp
from xbp.errors import FileFormatError

#: Dimensions and shape, temperature (K) or None, of what opens without a further word.
FILES = {
    "ins/Al_ARCS_Ei80_iqe.h5": ({"Q": 120, "E": 149}, None),
    "ins/V_ARCS_Ei120_iqe.h5": ({"Q": 300, "E": 149}, None),
    "ins/bmg_LRMECS_Ei78.nxspe": ({"detector": 127, "E": 221}, 300.0),
    "ins/vanadium_LRMECS_Ei78.nxspe": ({"detector": 127, "E": 221}, 300.0),
    "ins/MAR11001_test.nxspe": ({"detector": 285, "E": 110}, None),
    "ins/MAR21335_Ei60meV.nxs": ({"detector": 285, "E": 294}, 4.72),
    "ins/benzene_290_360_inc.nxspe": ({"detector": 249, "E": 320}, None),
    "ins/empty_360_inc.nxspe": ({"detector": 249, "E": 320}, None),
    "ins/nxspe_version1_0.nxspe": ({"detector": 5, "E": 30}, None),
    "sqw/Ge_liq_coh.sqw": ({"Q": 100, "E": 1209}, 1350.0),
    "sqw/Rb_liq_tot.sqw": ({"Q": 100, "E": 100}, 350.0),
    "static/SiO2_NIMROD.mint01": ({"Q": 1002}, None),
}
#: Those that need a word, and what the refusal names.
REFUSED = {"ins/V-dos.dat": "units"}


def test_no_file_is_left_out(shared_data: Path) -> None:
    found = {
        f"{folder}/{path.name}"
        for folder in ("ins", "sqw", "static")
        for path in (shared_data / folder).iterdir()
    }
    assert found == set(FILES) | set(REFUSED)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_it_opens(shared_data: Path, name: str) -> None:
    sizes, temperature = FILES[name]
    ds = xbp.open_dataset(shared_data / name)
    signal = next(v for v in ds.data_vars.values() if "quantity" in v.attrs)
    assert dict(signal.sizes) == sizes
    for dim in set(signal.dims) - {"detector"}:
        assert ds[dim].attrs["units"] == {"Q": "1/angstrom", "E": "meV"}[str(dim)]
        assert (np.diff(ds[dim]) > 0).all()
    if temperature is None:
        assert "temperature" not in ds.coords
    else:
        assert float(ds.temperature) == pytest.approx(temperature, abs=0.3)


@pytest.mark.parametrize("name", REFUSED)
def test_it_refuses_with_a_sentence(shared_data: Path, name: str) -> None:
    with pytest.raises(FileFormatError, match=REFUSED[name]):
        xbp.open_dataset(shared_data / name)
