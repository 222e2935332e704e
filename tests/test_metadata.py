"""The files that tell others what xbp is agree with pyproject.toml."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[1]
if not (ROOT / ".ci").is_dir():
    pytest.skip("not in a clone", allow_module_level=True)


@pytest.fixture(scope="module")
def metadata() -> ModuleType:
    spec = importlib.util.spec_from_file_location("metadata", ROOT / ".ci/metadata.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_of_metadata_agree(metadata: ModuleType) -> None:
    assert metadata.problems() == []


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("CITATION.cff", "version: ", "version: 9", "has version 9"),
        ("recipe/recipe.yaml", "scipy >=1.15", "scipy >=1", "scipy >=1"),
        ("codemeta.json", "xbp", "xpb", "codemeta.json is old"),
    ],
)
def test_a_file_that_differs_is_found(
    metadata: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str, old: str, new: str, said: str,
) -> None:  # fmt: skip
    for one in (
        "pyproject.toml",
        "CITATION.cff",
        "CHANGELOG.md",
        "codemeta.json",
        "recipe/recipe.yaml",
        "xbp/core/errors.py",
    ):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / one).read_text()
        (tmp_path / one).write_text(text.replace(old, new) if one == name else text)
    monkeypatch.setattr(metadata, "ROOT", tmp_path)
    assert said in "\n".join(metadata.problems())


def test_a_release_needs_names_a_date_and_its_tag(metadata: ModuleType) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not in a clone")
    version = metadata.project()["version"]
    assert any("the tag is v0" in line for line in metadata.unreleasable("v0"))
    left = [line for line in metadata.unreleasable(f"v{version}") if "is left" in line]
    # The address and the authors, each in one place.
    assert {line.partition(":")[0] for line in left} <= {
        "CITATION.cff",
        "pyproject.toml",
    }


def test_workflows_name_what_there_is() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    texts = [p.read_text() for p in (ROOT / ".github/workflows").glob("*.yml")]
    texts += [(ROOT / name).read_text() for name in ("environment.yml", "pixi.toml")]
    for text in texts:
        for path in re.findall(r"(?:docs|tests|\.ci)/[\w/]+\.(?:py|sh)", text):
            assert (ROOT / path).exists(), path
        for extras in re.findall(r"\.\[([\w,]+)\]", text):
            for extra in extras.split(","):
                assert re.search(rf"^{extra} = \[", pyproject, re.M), extra
