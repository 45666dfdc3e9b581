"""One version, a changelog that tells of it, and workflows that would publish it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from places import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_changelog_begins_with_this_version() -> None:
    found = re.search(
        r"project\(posemamba VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()
    )
    first = re.search(r"(?m)^## ([0-9.]+), (.+)$", (ROOT / "CHANGELOG.md").read_text())
    assert found
    assert first
    assert first[1] == found[1]
    assert re.fullmatch(r"unreleased|20\d\d-\d\d-\d\d", first[2])


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow(workflow: object) -> None:
    """Of the shape GitHub's schema asks for, and every script of ours that it runs is there."""
    check = ("-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow))
    done = subprocess.run([sys.executable, *check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    text = workflow.read_text()  # type: ignore[attr-defined]
    for script in re.findall(r"(?:tools|\.ci)/[\w.]+", text):
        assert (ROOT / script).is_file(), script
    jobs = yaml.safe_load(text)["jobs"]
    for name, job in jobs.items():
        assert set([job.get("needs", [])] if isinstance(job.get("needs"), str) else
                   job.get("needs", [])) <= set(jobs), name  # fmt: skip


def test_there_are_workflows() -> None:
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "release.yml"}
