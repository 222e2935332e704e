"""Calls that newcomers get wrong: the message names the argument and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import xbp
from xbp.errors import FileFormatError, QuantityError, RangeError, UnitsError, XbpError

CALLS: dict[str, tuple[Callable[[xr.Dataset], Any], type[XbpError], str]] = {
    "an energy as temperature": (
        lambda b: b.bp.to_sqe("25 meV"),
        UnitsError,
        "fix:  pass T in K",
    ),
    "words in place of a number": (
        lambda b: b.bp.to_sqe("room"),
        UnitsError,
        "like '5.5 K'",
    ),
    "words for Q": (
        lambda b: b.bp.cut_Q(("low", "high")),
        UnitsError,
        "like '5.5 1/angstrom'",
    ),
    "words for u2": (
        lambda b: b.drop_vars("u2").bp.to_sqe(u2="small"),
        UnitsError,
        r"like '5.5 angstrom\*\*2'",
    ),
    "words for a factor": (
        lambda b: b.bp.scale("two"),
        UnitsError,
        "factor='two' is not a number$",
    ),
    "data of the kind that a method gives": (
        lambda b: b.bp.to_sqe().bp.angle_to_Q("0.1 1/angstrom"),
        QuantityError,
        r"data\['S'\] is a 'dynamic_structure_factor' already",
    ),
    "several numbers": (
        lambda b: b.bp.mask_elastic([1.0, 2.0], centre=[1, 2]),
        XbpError,
        "fix:  pass one number, such as|has shape",
    ),
    "two limits as two arguments": (
        lambda b: b.bp.cut_Q(2, 8),
        RangeError,
        r"Q with width=8 \(-2 to 6\)(.|\n)*Q=\(low, high\)",
    ),
    "dimensions of other names": (
        lambda b: b.rename(Q="q").bp.cut_Q((2, 8)),
        RangeError,
        r"data.rename\({'q': 'Q'}\)",
    ),
    "an energy of another name": (
        lambda b: b.rename(E="omega").bp.cut_E(5, width=1),
        RangeError,
        r"data.rename\({'omega': 'E'}\)",
    ),
    "a unit in small letters": (
        lambda b: b.assign_coords(E=b.E.assign_attrs(units="mev")).bp.cut_Q((2, 8)),
        UnitsError,
        "did you mean 'meV'",
    ),
    "no units": (
        lambda _: xbp.new_dataset("g(E)", [1.0], units=None, coords={"E": ([1], "K")}),  # type: ignore[arg-type]
        UnitsError,
        "it is None, not text",
    ),
    "a number to subtract": (
        lambda b: b.bp.subtract(3.0),
        QuantityError,
        "background=3.0 must be a DataArray or Dataset",
    ),
    "no S(Q)": (
        lambda b: b.bp.fit_bqe(None),
        QuantityError,
        "sq=None must be a DataArray or Dataset",
    ),
    "a model of another quantity": (
        lambda b: b.bp.cut_Q((2, 8)).bp.fit("debye_einstein"),
        QuantityError,
        r"model of C_p\(T\); 'B' is over E",
    ),
    "no model": (
        lambda b: b.bp.cut_Q((2, 8)).bp.fit(None),
        QuantityError,
        "model=None is not a model name",
    ),
    "part of a quantity": (
        lambda _: xbp.new_dataset("Raman", [1.0], units="1", coords={"E": ([1], "K")}),
        QuantityError,
        "'raman_intensity'",
    ),
    "part of a tutorial": (
        lambda _: xbp.tutorial.open_dataset("bmg"),
        FileFormatError,
        "fix:  name='bmg_lrmecs'",
    ),
}


@pytest.fixture(scope="module")
def b() -> xr.Dataset:
    return xbp.tutorial.open_dataset("zr46cu46al8_md").bp.to_bqe()


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_call_says_what_to_do(b: xr.Dataset, call: str) -> None:
    wrong, error, says = CALLS[call]
    with pytest.raises(error, match=says):
        wrong(b)


def test_the_name_of_a_function_that_does_not_exist() -> None:
    with pytest.raises(
        AttributeError, match="xbp has no 'to_Bqe'; the nearest: to_bqe"
    ):
        xbp.to_Bqe  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        xbp.zzzz  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("open_file", [xbp.open_dataset, xbp.md.open_trajectory])
def test_a_folder_and_nothing_are_no_files(
    tmp_path: Path, open_file: Callable[..., Any]
) -> None:
    with pytest.raises(FileFormatError, match=r"is a folder(.|\n)*name a file in it"):
        open_file(tmp_path)
    with pytest.raises(FileFormatError, match=r"path='sample.nxspe'"):
        open_file(None)


def test_an_empty_file_is_not_to_be_typed_in(tmp_path: Path) -> None:
    path = tmp_path / "empty.dat"
    path.touch()
    with pytest.raises(FileFormatError, match=r"it is empty\n.*copy it again"):
        xbp.open_dataset(path)


def test_a_spectrum_over_shifts_needs_no_laser() -> None:
    raman = xbp.tutorial.open_dataset("silicates_raman")
    with pytest.raises(XbpError, match="E is the Raman shift already"):
        raman.bp.to_raman_shift("532 nm")
