"""Writes codemeta.json from pyproject.toml and CITATION.cff, and checks metadata.

Without arguments codemeta.json is written. ``--check`` fails if it is not what would be
written, or if CITATION.cff, CHANGELOG.md or the conda recipe differ from pyproject.toml.
``--release TAG`` also fails while a placeholder is left, or if the tag is not the version.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PLACEHOLDER = "REPLACE" + "-ME"


def project() -> dict[str, Any]:
    """Return the table [project] of pyproject.toml, with the version."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = re.search(
        r'^VERSION.*= "(.+)"$', (ROOT / "xbp/core/errors.py").read_text(), re.M
    )
    assert found is not None
    return {**table["project"], "version": found[1]}


def codemeta() -> str:
    """Return the text of codemeta.json; what has no value yet is left out."""
    mine = project()
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    people = [
        {
            "@type": "Person",
            "givenName": a["given-names"],
            "familyName": a["family-names"],
        }
        if "family-names" in a
        else {"@type": "Organization", "name": a["name"]}
        for a in cited["authors"]
    ]
    article = cited["references"][0]
    meta = {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": mine["name"],
        "alternateName": "xbp",
        "description": mine["description"],
        "version": mine["version"],
        "license": f"https://spdx.org/licenses/{mine['license']}",
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python {mine['requires-python']}",
        "operatingSystem": ["Linux", "macOS"],
        "keywords": mine["keywords"],
        "softwareRequirements": mine["dependencies"],
        "codeRepository": mine["urls"]["Repository"],
        "author": people,
        "identifier": cited.get("doi"),
        "referencePublication": {
            "@type": "ScholarlyArticle",
            "name": article["title"],
            "@id": f"https://doi.org/{article['doi']}",
        },
    }
    known = {k: v for k, v in meta.items() if v and PLACEHOLDER not in str(v)}
    return json.dumps(known, indent=2, ensure_ascii=False) + "\n"


def problems() -> list[str]:
    """Return where the files of metadata differ from pyproject.toml."""
    mine, wrong = project(), []
    if (ROOT / "codemeta.json").read_text() != codemeta():
        wrong.append("codemeta.json is old; run python .ci/metadata.py")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    recipe = yaml.safe_load((ROOT / "recipe/recipe.yaml").read_text())
    versions = {
        "CITATION.cff": str(cited["version"]),
        "recipe/recipe.yaml": recipe["context"]["version"],
    }
    for name, version in versions.items():
        if version != mine["version"]:
            wrong.append(f"{name} has version {version}, not {mine['version']}")
    if f"## [{mine['version']}]" not in (ROOT / "CHANGELOG.md").read_text():
        wrong.append(f"CHANGELOG.md has no section [{mine['version']}]")
    needed = {f"python {mine['requires-python']}"} | {
        re.sub(r"(?=[<>=])", " ", r, count=1).lower() for r in mine["dependencies"]
    }
    if different := needed ^ set(recipe["requirements"]["run"]):
        wrong.append(f"recipe/recipe.yaml, run: {', '.join(sorted(different))}")
    return wrong


def unreleasable(tag: str) -> list[str]:
    """Return why a release of this name cannot be made."""
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    wrong = [
        f"{name}: {PLACEHOLDER} is left"
        for name in files
        if PLACEHOLDER.encode() in (ROOT / name).read_bytes()
    ]
    version = project()["version"]
    if tag != f"v{version}":
        wrong.append(f"the tag is {tag}, the version {version}")
    if f"## [{version}] - unreleased" in (ROOT / "CHANGELOG.md").read_text():
        wrong.append(f"CHANGELOG.md: section [{version}] has no date")
    return wrong


def main(arguments: list[str]) -> None:
    """Write, or check."""
    if not arguments:
        (ROOT / "codemeta.json").write_text(codemeta())
        return
    wrong = problems()
    if arguments[0] == "--release":
        wrong += unreleasable(arguments[1])
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main(sys.argv[1:])
