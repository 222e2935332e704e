"""Data every test may use: the embedded glass, models with known answers, measured files where present."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import sys

# Each worker computes with one thread: with more, they wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xbp

# On a server the same examples each time: a find there would be of the day, not of the change.
settings.register_profile(
    "xbp",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("xbp")

#: Examples in docstrings that simulate a glass, fit much, or import much: CI runs them.
SLOW_EXAMPLES = (
    "xbp.analysis.dispersion.sound_velocity",
    "xbp.analysis.fluctuations.compare_fluctuations",
    "xbp.analysis.together.fit_together",
    "xbp.md.fluctuations.fluctuation_spectrum",
    "xbp.md.lammps.glass.collect",
    "xbp.md.lammps.glass.make_glass",
    "xbp.md.lattice.force_constants.force_constants",
    "xbp.md.lattice.spectra.bloch_fluctuations",
    "xbp.plot.explorer.explore",
)
#: Files whose tests take the longest, and share nothing with those of other files.
LONGEST = ("test_notebooks.py", "test_cluster.py", "test_lammps.py")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep thousands of collected tests out of every later garbage collection.

    Hypothesis looks for the referrers of its random numbers when it first uses them. It
    finds none among frozen objects, and warns; so that is done before.
    """
    given(st.none())(lambda _: None)()
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in SLOW_EXAMPLES:
            item.add_marker(pytest.mark.slow)
    # The longest tests begin first, so that no worker waits for another at the end.
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skip a test of an extra that is not installed.

    An installed package that cannot be imported is an error.
    """
    try:
        return (yield)
    except xbp.errors.MissingDependencyError as error:
        cause = error.__cause__
        missing = (isinstance(cause, ModuleNotFoundError) and cause.name) or "?"
        if str(error).startswith(missing.partition(".")[0]):
            pytest.skip(str(error).partition("\n")[0])
        raise


BROWSERS = (os.environ.get("XBP_BROWSER", ""), "chromium", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium; skips without one, unless XBP_BROWSER says that there is one."""
    api = pytest.importorskip("playwright.sync_api")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    with api.sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox"]
            )
        except api.Error as error:
            if os.environ.get("XBP_BROWSER"):
                raise
            pytest.skip(f"no browser: {error}")
        yield opened
        opened.close()


KNOWN = {"energy": "5.5 meV", "width": "6 meV", "T": "300 K", "u2": "0.012 angstrom^2"}


@pytest.fixture(autouse=True)
def _no_figures_left() -> Iterator[None]:
    """Close what a test drew: of more than twenty open figures matplotlib warns, in whichever test comes next."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@functools.cache
def embedded(name: str) -> xr.Dataset:
    """Read a data set once: tests get copies, twenty times faster than the file."""
    return xbp.tutorial.open_dataset(name).load()


@pytest.fixture
def glass() -> xr.Dataset:
    return embedded("zr46cu46al8_md").copy(deep=True)


@pytest.fixture
def unboxed() -> xr.Dataset:
    """Spectra of glasses without a box: an excess, but no peak that passes the test."""
    return embedded("zr46cu46al8").copy(deep=True)


@pytest.fixture
def peaked() -> xr.Dataset:
    """S(Q,E), S(Q) and g(E) with a boson peak at 2.7 meV, on the grid of the glass."""
    return _peaked().copy(deep=True)


@functools.cache
def _peaked() -> xr.Dataset:
    unboxed = embedded("zr46cu46al8")
    E = unboxed.E.values
    S = xbp.models.dynamic_structure_factor(
        unboxed.Q.values[30:], E, energy=2.7, width=4, T=300, u2=0.0138
    )
    S = xbp.models.with_counting_noise(S, counts=1e4, rng=0).bp.scale(2.5e-5)
    B = xbp.models.evaluate("lognormal", E, energy=2.7, height=1, sigma=0.7).B
    g = B.values * E**2
    scale = 1 / float(np.trapezoid(g, E))
    dos = xbp.new_dataset(
        "vibrational_dos", scale * g, std=0.02 * scale * g, units="1/meV",
        coords={"E": (E, "meV")},
    )  # fmt: skip
    return S.assign(g=dos.g, g_std=dos.g_std, Sq=unboxed.Sq)


@pytest.fixture
def unmarked(glass: xr.Dataset) -> xr.Dataset:
    """The glass in a box, of which nobody says that it is a simulation: a maximum that the shape misses."""
    for name in ("S", "Sq", "g"):
        for key in ("origin", "n_atoms"):
            del glass[name].attrs[key]
    return glass.drop_vars("resolution_fwhm")


@pytest.fixture
def model() -> xr.Dataset:
    """S(Q,E) of Eq. 3 with `KNOWN` answers, on both sides of E = 0 and without E = 0 itself."""
    return xbp.models.dynamic_structure_factor(
        np.linspace(1.5, 8.5, 36), np.arange(-19.75, 20, 0.5), **KNOWN
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of measured files, which are no part of the repository."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("XBP_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the measured files are not here (XBP_SHARED_DATA)")
    return folder
