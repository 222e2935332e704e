"""The pages of the documentation: their code runs, their figures and links exist, the reference is complete."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import xbp
from xbp.core.schema import QUANTITIES
from xbp.md.fields import FIELDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    p for p in DOCS.rglob("*.md") if not {"_build", "gallery"} & set(p.parts)
)
OTHER_TESTS = "".join(
    p.read_text()
    for p in Path(__file__).parent.rglob("test_*.py")
    if p != Path(__file__)
)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.S | re.M)
#: Pages whose code another test runs with the files it needs.
RUN_ELSEWHERE = {
    page.name
    for page in PAGES
    if re.search(rf'/ "{page.name}"\)?\.read_text', OTHER_TESTS)
}
WITH_CODE = [
    p for p in PAGES if BLOCK.search(p.read_text()) and p.name not in RUN_ELSEWHERE
]
#: What a page asks for that would take minutes, and what the test asks for in its place.
SMALLER = {
    "n_atoms=4000": "n_atoms=200",
    'cooling_rate="1e12 K/s"': 'cooling_rate="1e14 K/s"',
    "progress=True": "progress=False",
    "sound_velocity()": 'sound_velocity("3 1/angstrom")',
    '"8.6 1/angstrom"': '"3 1/angstrom", cutoff="4.5 angstrom"',
    '("2.1 1/angstrom", "8.5 1/angstrom")': '("1 1/angstrom", "2.5 1/angstrom")',
    # Independent oscillators have no sound.
    "mark_box_phonon(phonon)": 'mark_box_phonon("3 meV")',
}
TRAJECTORY_PAGES = {
    "md.md",
    "md_spectra.md",
    "fluctuations.md",
    "glasses.md",
    "resolution.md",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*non-interactive")
@pytest.mark.parametrize("page", WITH_CODE, ids=lambda p: p.stem)
def test_every_block_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"xbp": xbp, "np": np, "__name__": "page"}
    if page.name in TRAJECTORY_PAGES:
        names["traj"] = xbp.md.models.einstein_solid(
            32, 1100, cell=8, energy="6 meV", T=300, mass=60, time_step="20 fs", rng=1
        ).assign_coords(element=("atom", ["Cu"] * 32))
    blocks = BLOCK.findall(page.read_text())
    if "distributed" in "".join(blocks):
        # In a process of its own: what is left of a cluster would be asked to compute the pages after it.
        command = [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::ResourceWarning",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            "\n".join(blocks),
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr
        return
    for block in blocks:
        if page.name in TRAJECTORY_PAGES:
            for large, small in SMALLER.items():
                block = block.replace(large, small)
        exec(compile(block, page.name, "exec"), names)
    plt.close("all")


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda p: p.stem
)
def test_figures_and_links_lead_somewhere(page: Path) -> None:
    made = {"figures", "api", "cli_help"}  # pages that docs/conf.py makes
    for link in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
        path = link.partition("#")[0]
        if not path or "://" in link or made & set(Path(path).with_suffix("").parts):
            continue
        in_tutorial = ROOT / "notebooks" / Path(path).name
        assert (page.parent / path).exists() or (
            "tutorial" in path and in_tutorial.exists()
        ), link


def pages_module() -> ModuleType:
    pytest.importorskip("nbformat")
    spec = importlib.util.spec_from_file_location("pages", DOCS / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_is_in_the_reference() -> None:
    made = pages_module()
    listed: set[str] = set()
    module = ""
    for line in "\n".join(made.reference_pages().values()).splitlines():
        if found := re.match(r"\.\. currentmodule:: (.*)", line):
            module = found[1]
        elif found := re.match(r"   ([\w.]+)$|\.\. py:data:: ([\w.]+)$", line):
            listed.add(f"{module}.{found[1] or found[2]}")
    for package in (
        xbp,
        xbp.md,
        xbp.md.lammps,
        xbp.md.models,
        xbp.models,
        xbp.plot,
        xbp.tutorial,
        xbp.errors,
    ):
        for name in package.__all__:
            if not isinstance(getattr(package, name), ModuleType):
                assert f"{package.__name__}.{name}" in listed
    methods = [
        n
        for n in dir(xbp.accessor.BosonPeakAccessor)
        if not n.startswith("_") and n != "plot"
    ]
    assert {f"xarray.Dataset.bp.{n}" for n in methods} <= listed


def test_the_table_of_models_has_every_model() -> None:
    page = pages_module().reference_pages()["xbp.models"]
    assert re.findall(r"^   \* - ``(\w+)``$", page, re.M) == list(xbp.models.MODELS)
    for row in xbp.models.MODELS.values():
        assert row.about in page
        assert "\n" not in row.about


def test_every_equation_of_a_docstring_is_on_the_page_of_equations() -> None:
    rows = [
        line.split(" | ")
        for line in (DOCS / "reference" / "equations.md").read_text().splitlines()
    ]
    named = set(
        re.findall(
            r"`([^`]+)`", " ".join(cells[-2] for cells in rows if len(cells) > 2)
        )
    )
    modules = {"md": xbp.md, "md.lattice": xbp.md.lattice, "models": xbp.models}
    public = {n: getattr(xbp, n) for n in xbp.__all__} | {
        f"{m}.{n}": getattr(module, n)
        for m, module in modules.items()
        for n in dir(module)
    }
    missing = [
        name for name, thing in public.items()
        if not name.startswith("_") and callable(thing) and ".. math::" in (thing.__doc__ or "") and name not in named
    ]  # fmt: skip
    assert not missing
    wrong = [name for name in named if not name.startswith('"') and "=" not in name and name not in public
             and not hasattr(xbp.md.models, name.rpartition(".")[2]) and name not in ("compare", "md.lammps.glass_transition")]  # fmt: skip
    assert not wrong


def choices(kind: Any) -> set[str]:
    """Return the words that an annotation allows, also in a sequence of them."""
    if isinstance(kind, str):
        return {kind}
    return set().union(*map(choices, typing.get_args(kind)))


def test_choices_that_a_docstring_lists_are_those_of_the_signature() -> None:
    wrong = []
    for module in (xbp, xbp.md, xbp.md.lattice, xbp.models):
        for name in dir(module):
            public = getattr(module, name)
            function = inspect.unwrap(public) if callable(public) else None
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            kinds = typing.get_type_hints(function)
            listed = re.findall(
                r"^ {4}(\w+) : [^\n{]*\{([^}]*)\}", function.__doc__ or "", re.M
            )
            wrong += [
                f"{name}({argument}=): {{{words}}} in its docstring, "
                f"{sorted(known)} in its annotation: make them equal"
                for argument, words in listed
                if (known := choices(kinds.get(argument)))
                and known != set(re.findall(r'"([^"]+)"', words))
            ]
    assert not wrong, "\n".join(wrong)


def test_every_field_is_in_its_docstring_and_on_the_page() -> None:
    page = DOCS / "fluctuations.md"
    texts = [xbp.md.local_fields.__doc__ or "", page.read_text()]
    for name in FIELDS:
        assert all(f"`{name}`" in text for text in texts), (
            f"{name} is missing in the docstring of local_fields or in {page}"
        )


def test_every_figure_is_shown_somewhere() -> None:
    text = "".join(p.read_text() for p in [ROOT / "README.md", *PAGES])
    for image in (DOCS / "images").iterdir():
        shown = image.name.replace("_narrow.", ".")
        assert f"images/{shown}" in text, f"{image.name} is on no page"


def test_the_table_of_the_data_model_is_that_of_the_code() -> None:
    text = (DOCS / "reference" / "data_model.md").read_text()
    rows = re.findall(
        r"^\| `(\w+)`[^|]* \| ([^|]*) \| ([^|]*) \| `([^`]*)`[^|]*\|$", text, re.M
    )
    assert [name for name, *_ in rows] == list(QUANTITIES)
    for name, symbol, dims, units in rows:
        row = QUANTITIES[name]
        assert symbol.startswith(row.label), name
        assert tuple(dims.split(", ")) == row.dims, name
        assert units == row.units, name


@pytest.mark.slow
def test_the_table_of_the_data_model_is_what_trajectories_give() -> None:
    traj = xbp.md.models.einstein_solid(
        32,
        40,
        cell=8,
        energy="6 meV",
        T=300,
        mass=60,
        time_step="20 fs",
        rng=1,
        element="Cu",
    )
    made = [
        traj.bp.dynamic_structure_factor(2, 1, window="0.2 ps"),
        traj.bp.intermediate_scattering_function(2, 1, window="0.2 ps"),
        traj.bp.current_spectra(2, 1, window="0.2 ps"),
        traj.bp.vdos(window="0.2 ps"),
        traj.bp.msd(window="0.2 ps"),
        traj.bp.radial_distribution(3),
        traj.bp.fluctuation_spectrum("shear_strain", 2, 1, window="0.2 ps", cutoff=4.5),
    ]
    for variable in (
        v for ds in made for v in ds.data_vars.values() if "quantity" in v.attrs
    ):
        assert (
            variable.attrs["units"] == QUANTITIES[variable.attrs["quantity"]].units
        ), variable.name


def test_no_link_is_without_words() -> None:
    for page in PAGES:
        assert "[](" not in page.read_text(), page.name


def test_the_package_of_trajectories_shows_its_public_names_alone() -> None:
    assert set(dir(xbp.md)) == {*xbp.md.__all__}


def test_every_page_has_a_place_in_the_order_of_the_site() -> None:
    placed: set[Path] = set()
    for page in PAGES:
        for names in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.S):
            for name in (n for n in names.splitlines() if n and n[0] != ":"):
                placed.add((page.parent / name).resolve())
    notebooks = {
        DOCS / "tutorial" / p.stem for p in (ROOT / "notebooks").glob("*.ipynb")
    }
    pages = {p.with_suffix("") for p in PAGES} - {DOCS / "index"}
    assert not {str(p.relative_to(DOCS)) for p in (pages | notebooks) - placed}


def test_no_page_is_longer_than_2500_words() -> None:
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
        words = [word for word in text.split() if re.search(r"\w", word)]
        assert len(words) <= 2500, page.name


def test_every_guide_shows_its_figure() -> None:
    for page in (DOCS / "howto").glob("*.md"):
        if page.name != "index.md":
            assert re.search(r"!\[[^\]]+\]\(\.\./images/", page.read_text()), page.name


def test_every_notebook_ends_with_two_exercises() -> None:
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        last = "".join(json.loads(path.read_text())["cells"][-1]["source"])
        assert last.startswith("## Exercises\n\n1. "), path.name
        assert "\n2. " in last, path.name


def test_binder_opens_a_notebook_once_the_address_is_known() -> None:
    pages = pages_module()
    binder, unknown = pages.binder, f"https://github.com/{pages.PLACEHOLDER}"
    assert binder(unknown, "1_the_chain.ipynb") == ""
    assert binder("https://github.com/them/xbp/", "1_the_chain.ipynb") == (
        "https://mybinder.org/v2/gh/them/xbp/HEAD?labpath=notebooks%2F1_the_chain.ipynb"
    )
