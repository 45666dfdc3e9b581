"""What ``posemamba``'s commands give as JSON is of the committed schemas, all of them."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import click
import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner
from data_set_files import human36m, mpi_test, save_object_npz, save_pickle
from places import ROOT
from places import TINY as GOLDEN

from posemamba.cli.main import cli
from posemamba.data.clip_set import ClipSet, save_clip_set

FOLDER = ROOT / "posemamba" / "schemas"
SCHEMAS = {path.name.removesuffix(".schema.json"): path for path in FOLDER.glob("*.json")}
CKPT = ("--ckpt", "tiny.pth.tr")
EVALUATE = ("evaluate", *CKPT, "--json", "OUT", "--data")

#: Command lines by schema; ``OUT`` stands for a file's name, without it the report is printed.
CASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "table": (
        ("table", "--json"),
        ("table", *CKPT, "--mpi", "mpi.npz", "--json"),
    ),
    "which-scan": (
        ("which-scan", *CKPT, "--reference", "set.npz", "--json"),
        ("which-scan", *CKPT, "--reference", "far.npz", "--json"),
    ),
    "evaluate-clips": ((*EVALUATE, "set.npz"), (*EVALUATE, "set.npz", "--flip")),
    "evaluate-h36m": ((*EVALUATE, "h36m.pkl", "--protocol", "h36m"),),
    "evaluate-3dhp": ((*EVALUATE, "mpi.npz", "--protocol", "3dhp"),),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    poses = np.random.default_rng(0).normal(size=(2, 9, 17, 3)).astype(np.float32)
    keypoints, millimetres = poses[..., :2] * 0.1, np.full(2, 1000.0, np.float32)
    save_clip_set(tmp_path / "set.npz", ClipSet(keypoints, poses, millimetres, ("a", "b")))
    # Beyond float32 once it is subtracted: no order is a finite number away.
    far = np.full(poses.shape, 3e38, np.float64) * 1e10
    np.savez(tmp_path / "far.npz", keypoints_2d=keypoints, poses_3d=far)
    save_pickle(tmp_path / "h36m.pkl", human36m())
    save_object_npz(tmp_path / "mpi.npz", mpi_test())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCHEMAS[name].read_text(encoding="utf-8"))
    return found


def problems(value: object, name: str) -> list[str]:
    return [
        error.message for error in jsonschema.Draft202012Validator(schema(name)).iter_errors(value)
    ]


def no_constant(word: str) -> float:
    raise AssertionError(f"{word} is no JSON")


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_reports_are_of_their_schema(here: Path, name: str) -> None:
    for case in CASES[name]:
        done = CliRunner().invoke(cli, ["r.json" if word == "OUT" else word for word in case])
        assert done.exit_code in (0, 1), done.output
        text = (here / "r.json").read_text() if "OUT" in case else done.stdout
        report = json.loads(text, parse_constant=no_constant)
        assert problems(report, name) == []
        for key in schema(name)["required"]:
            less = copy.deepcopy(report)
            del less[key]
            assert problems(less, name), f"without {key} it is of the schema all the same"
        assert problems(report | {"schema": 2}, name)


def test_every_command_with_the_option_is_in_the_table() -> None:
    with_json: set[str] = set()

    def look(group: click.Group) -> None:
        for name, command in group.commands.items():
            if isinstance(command, click.Group):
                look(command)
            elif any(isinstance(p, click.Option) and "--json" in p.opts for p in command.params):
                with_json.add(name)

    look(cli)
    assert with_json == {case[0] for cases in CASES.values() for case in cases}
    assert set(SCHEMAS) == set(CASES)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas_with_a_version(name: str) -> None:
    found = schema(name)
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["$id"] == f"urn:posemamba:posemamba:{name}:1"
    assert found["properties"]["schema"] == {"const": 1}
    assert found["description"]
