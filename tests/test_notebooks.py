"""Every notebook runs from top to bottom, warnings being errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def run(path: Path, folder: Path) -> Any:
    notebook = nbformat.read(path, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), (
        "notebooks are kept without their output"
    )
    strict = nbformat.v4.new_code_cell(
        "%matplotlib inline\nimport warnings\nwarnings.simplefilter('error')\nimport xbp  # registers .bp"
    )
    notebook.cells.insert(0, strict)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "default"
)  # those of the kernel's own machinery; the notebook has its own filter
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XBP_SHARED_DATA", raising=False)
    notebook = run(path, tmp_path)
    if folder := os.environ.get(
        "XBP_EXECUTED_NOTEBOOKS"
    ):  # from where docs/conf.py takes them
        del notebook.cells[0]
        nbformat.write(notebook, Path(folder) / path.name)
