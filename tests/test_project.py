"""Promises about the project as a whole."""

import tomllib
from pathlib import Path

import toonlab

PROJECT = Path(__file__).resolve().parents[1]


def requirements() -> list[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [requirement for group in groups for requirement in group]


def test_every_dependency_has_an_upper_bound() -> None:
    for requirement in requirements():
        assert "<" in requirement or "==" in requirement, requirement


def test_every_direct_dependency_is_pinned_for_make() -> None:
    lines = (PROJECT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    pinned = {line.split("==")[0] for line in lines if "==" in line}
    for requirement in requirements():
        name = requirement.split(">")[0].split("=")[0].lower().replace("_", "-")
        assert name in pinned, name


def test_changelog_knows_this_version() -> None:
    assert f"## {toonlab.__version__}" in (PROJECT / "CHANGELOG.md").read_text()


def test_outputs_are_ignored_but_there() -> None:
    assert (PROJECT / "outputs" / ".gitkeep").exists()
    assert "outputs/*" in (PROJECT / ".gitignore").read_text()
