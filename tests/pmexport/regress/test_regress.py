"""One report of checkpoints, precisions and runtimes: what passes, what fails, what got worse."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pmexport.bench.measure import Effort
from pmexport.bench.verdict import Sample
from pmexport.cli.main import cli
from pmexport.format.environment import environment
from pmexport.regress import run as regress
from pmexport.regress.compare import changes, read_cells, refuse_incomparable
from pmexport.regress.report import regress_lines, regress_markdown
from pmexport.regress.run import Cell, RegressReport, RegressRequest
from posemamba.errors import InputError

QUICK = ("--seconds", "0.05", "--threads", "1", "--frames", "3")


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["regress", *arguments, *QUICK])
    assert result.exit_code == code, result.output
    assert result.stderr == ""
    return result.stdout


def test_two_checkpoints_two_precisions_two_runtimes(here: Path) -> None:
    before = {path.name for path in here.iterdir()}
    shutil.copy("tiny.pth.tr", "other.pth.tr")
    runtimes = ("--runtime", "ort-cpu", "--runtime", "torch")
    output = run("tiny.pth.tr", "other.pth.tr", *runtimes, "--json", "r.json", "--markdown", "r.md")
    assert output.splitlines()[-1] == "Regress: passed, 8 cells, 0 failed"
    report = json.loads((here / "r.json").read_text())
    assert report["passed"] is True
    keys = {(c["checkpoint"], c["precision"], c["runtime"]) for c in report["cells"]}
    assert len(keys) == 8
    for cell in report["cells"]:
        most = 0.01 if cell["precision"] == "fp32" or cell["runtime"] == "torch" else 0.5
        assert 0 <= cell["mpjpe_mm"] < most
        assert cell["p95_ms"] >= cell["sample"]["median"] > 0
    page = (here / "r.md").read_text()
    assert page.startswith("# Regression report")
    assert page.count("| pass |") == 8
    after = {path.name for path in here.iterdir()}
    assert after - before == {"other.pth.tr", "r.json", "r.md"}


def test_a_cell_that_fails_is_a_row_and_an_exit_code(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One precision cannot be exported; the other is done all the same."""
    whole = regress.export_onnx

    def fail(model: Any, output: Path, options: Any, **more: Any) -> Any:
        if options.precision == "fp16":
            raise InputError("no half of it")
        return whole(model, output, options, **more)

    monkeypatch.setattr(regress, "export_onnx", fail)
    output = run("tiny.pth.tr", "--json", "r.json", code=1)
    assert "tiny.pth.tr fp16 ort-cpu: no half of it" in output
    assert output.splitlines()[-1] == "Regress: FAILED, 2 cells, 1 failed"
    passed = {
        c["precision"]: c["passed"] for c in json.loads((here / "r.json").read_text())["cells"]
    }
    assert passed == {"fp32": True, "fp16": False}


STEADY = Sample(median=10.0, best=9.9, mad=0.01, runs=99, spread=0.01)
CELL = Cell("a.pth", "S", "fp32", "ort-cpu", True, 0.002, 1e-6, STEADY, 10.5, 900.0)
MACHINE = {"machine": "x86_64", "gpu": None, "system": "x", "versions": {}, "date": "today"}


def report(*cells: Cell, frames: int | None = None) -> RegressReport:
    return RegressReport(list(cells), frames, MACHINE)


def against(old: RegressReport, new: RegressReport, folder: Path) -> list[tuple[str, bool]]:
    path = folder / "old.json"
    path.write_text(json.dumps(old.to_dict()), encoding="utf-8")
    return [(change.line, change.worse) for change in changes(read_cells(path), new)]


@pytest.mark.parametrize(
    ("change", "words", "worse"),
    [
        ({}, "no change", False),
        ({"sample": replace(STEADY, median=11.0, best=10.9)}, "slower", True),
        ({"sample": replace(STEADY, median=9.0, best=8.9)}, "faster", False),
        ({"mpjpe_mm": 0.0025}, "no change", False),
        ({"mpjpe_mm": 0.004}, "drift grew from 0.0020 to 0.0040 mm", True),
        ({"mpjpe_mm": 0.0001}, "no change", False),
        ({"passed": False, "failure": "NaN"}, "fails now: NaN", True),
        ({"runtime": "torch"}, "new", False),
    ],
)
def test_what_changed(change: dict[str, Any], words: str, worse: bool, tmp_path: Path) -> None:
    found = against(report(CELL), report(replace(CELL, **change)), tmp_path)
    assert words in found[0][0]
    assert any(bad for _, bad in found) is worse


def test_what_is_gone_and_what_passes_again(tmp_path: Path) -> None:
    old = report(replace(CELL, passed=False, failure="NaN"), replace(CELL, runtime="torch"))
    assert against(old, report(CELL), tmp_path) == [
        ("Compare: a.pth fp32 ort-cpu: passes now", False),
        ("Compare: a.pth fp32 torch: gone", False),
    ]


def test_other_machines_and_lengths_are_refused(tmp_path: Path) -> None:
    """Before the work, which takes minutes; a comparison of nothing would pass, too."""
    here = environment(1)
    asked = RegressRequest((Path("x/a.pth"),), ("fp32",), ("ort-cpu",), Effort(), 27, 1)
    for change, words in (
        ({}, None),
        ({"frames": 243}, "243 frames, this at 27"),
        ({"environment": here | {"machine": "vax"}}, "machine vax"),
        ({"environment": here | {"threads": 2}}, "give --threads as there"),
        ({"cells": [replace(CELL, runtime="torch")]}, "other cells"),
        ({"cells": [replace(CELL, checkpoint="b.pth")]}, "other cells"),
        ({"cells": []}, "other cells"),
    ):
        old = replace(RegressReport([CELL], 27, here), **change)
        (tmp_path / "old.json").write_text(json.dumps(old.to_dict()), encoding="utf-8")
        cells = read_cells(tmp_path / "old.json")
        if words is None:
            refuse_incomparable(cells, asked)
            continue
        with pytest.raises(InputError, match=words):
            refuse_incomparable(cells, asked)


@pytest.mark.parametrize(
    "change",
    [{"passed": "yes"}, {"mpjpe_mm": "x"}, {"mpjpe_mm": float("nan")}, {"sample": {"median": 1}},
     {"sample": asdict(STEADY) | {"spread": "wide"}}, {"sample": asdict(STEADY) | {"waited": 3}},
     {"sample": asdict(STEADY) | {"runs": float("inf")}}, {"sample": asdict(STEADY) | {"x": 1}}],
)  # fmt: skip
def test_cells_that_are_none(change: dict[str, Any], tmp_path: Path) -> None:
    whole = report(CELL).to_dict()
    whole["cells"][0] |= change
    (tmp_path / "old.json").write_text(json.dumps(whole))
    with pytest.raises(InputError, match="no report of 'pmexport regress'"):
        read_cells(tmp_path / "old.json")


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"cells": [{}]}', '{"cells": 3}', "null", '{"cells": [], "frames": 1}']
)
def test_reports_that_are_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(content)
    with pytest.raises(InputError, match="no report of 'pmexport regress'"):
        read_cells(tmp_path / "old.json")


def test_people_read_the_same(tmp_path: Path) -> None:
    found = report(CELL, replace(CELL, passed=False, failure="NaN", sample=None, mpjpe_mm=None))
    lines = regress_lines(found, [])
    assert lines[-1] == "Regress: FAILED, 2 cells, 1 failed"
    assert "FAIL" in lines[0]
    assert "| FAIL |" in regress_markdown(found, [])
    assert asdict(found)["cells"][0]["mpjpe_mm"] == 0.002
