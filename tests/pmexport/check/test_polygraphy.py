"""Runs that move between ``pmexport check`` and Polygraphy: its own runner and comparator judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner, Result
from polygraphy.backend.onnxrt import OnnxrtRunner
from polygraphy.comparator import Comparator, RunResults, SimpleCompareFunc
from polygraphy.json import load_json
from polygraphy.logger import G_LOGGER

from pmexport import custom_op_library
from pmexport.cli.main import cli

CHECK = ("check", "tiny.onnx", "--ckpt", "tiny.pth.tr", "--threads", "1")
SAVE = ("--save-inputs", "in.json", "--save-outputs", "want.json")


def run(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def saved(exports: Path) -> Path:
    """``in.json`` and ``want.json`` of a check, and ``got.json`` of Polygraphy's runner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(exports)
        run(*CHECK, *SAVE)
        options = ort.SessionOptions()
        options.register_custom_ops_library(custom_op_library())
        session = ort.InferenceSession("tiny.onnx", options, providers=["CPUExecutionProvider"])
        with G_LOGGER.verbosity(G_LOGGER.CRITICAL):
            got = Comparator.run([OnnxrtRunner(session)], data_loader=load_json("in.json"))
        got.save("got.json")
    return exports


@pytest.fixture(autouse=True)
def in_folder(saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(saved)
    return saved


def judged(bound: float) -> bool:
    """What Polygraphy's comparator says of its runner's poses and ours."""
    both = RunResults([*RunResults.load("want.json").items(), *RunResults.load("got.json").items()])
    absolute = SimpleCompareFunc(atol=bound, rtol=0.0)
    with G_LOGGER.verbosity(G_LOGGER.CRITICAL + 1):
        return bool(Comparator.compare_accuracy(both, compare_func=absolute))


def test_polygraphy_judges_our_poses(in_folder: Path) -> None:
    """Within the tolerance of ``check``; not within less than the two differ."""
    (want,) = RunResults.load("want.json").values()
    (got,) = RunResults.load("got.json").values()
    apart = [np.abs(w["poses_3d"] - g["poses_3d"]).max() for w, g in zip(want, got, strict=True)]
    assert 0 < max(apart) < 1e-4
    assert judged(1e-4)
    assert not judged(float(max(apart)) / 2)


def test_we_judge_polygraphys_poses(in_folder: Path) -> None:
    """The table is that of a check which ran the model itself."""
    run(*CHECK, "--json", "own.json")
    done = run(*CHECK, "--load-outputs", "got.json", "--json", "theirs.json", "--report", "r.html")
    assert "onnxrt-runner" in Path("r.html").read_text()
    assert "onnxrt" in done.output
    (own,) = json.loads(Path("own.json").read_text())["runtimes"].values()
    ((name, theirs),) = json.loads(Path("theirs.json").read_text())["runtimes"].items()
    assert name.startswith("onnxrt-runner")
    assert theirs == own


def test_a_reference_needs_no_pytorch(in_folder: Path) -> None:
    (want,) = RunResults.load("want.json").values()
    arrays = {f"poses_3d_{i:02}": each["poses_3d"] for i, each in enumerate(want)}
    arrays |= {
        f"keypoints_2d_{i:02}": x["keypoints_2d"] for i, x in enumerate(load_json("in.json"))
    }
    np.savez("mine.npz", **arrays)  # type: ignore[arg-type]
    done = run("check", "tiny.onnx", "--reference", "mine.npz", "--load-outputs", "got.json")
    assert "Check: passed" in done.output


def test_wrong_poses_fail(in_folder: Path) -> None:
    results = RunResults.load("got.json")
    ((name, runs),) = results.items()
    moved = {"poses_3d": runs[3]["poses_3d"] + np.float32(0.5)}
    runs[3].update(moved)
    results.save("moved.json")
    done = run(*CHECK, "--load-outputs", "moved.json", code=1)
    assert "Check: FAILED" in done.output
    assert name[:20] in done.output


def changed(**outputs: Any) -> RunResults:
    results = RunResults()
    results.add([outputs], runner_name="trt-runner")
    return results


#: What is in the file -> words of the line.
WRONG: dict[str, tuple[Any, tuple[str, ...]]] = {
    "text": ("no JSON", ("is not what Polygraphy saves", "--save-outputs wrong.json")),
    "other JSON": ("{}", ("is not what Polygraphy saves",)),
    "no runs": (
        '{"polygraphy_class": "RunResults", "lst": [["r", [null]]]}',
        ("is not what Polygraphy saves",),
    ),
    "inputs": (None, ("is not what Polygraphy saves",)),
    "nobody": (RunResults(), ("holds no runner's outputs",)),
    "few": (
        changed(poses_3d=np.zeros((1, 1, 17, 3), np.float32)),
        ("'trt-runner' has 1 run, this check 18", "--load-inputs IN.json"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_none(in_folder: Path, name: str) -> None:
    held, words = WRONG[name]
    if held is None:
        held = Path("in.json").read_text()
    if isinstance(held, str):
        Path("wrong.json").write_text(held)
    else:
        held.save("wrong.json")
    done = run(*CHECK, "--load-outputs", "wrong.json", code=2)
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: wrong.json: ")
    for piece in words:
        assert piece in line


def test_another_output_is_named(in_folder: Path) -> None:
    results = RunResults.load("got.json")
    ((name, runs),) = results.items()
    other = RunResults()
    other.add([{"output": each["poses_3d"]} for each in runs], runner_name=name)
    other.save("wrong.json")
    done = run(*CHECK, "--load-outputs", "wrong.json", code=2)
    assert "gave no 'poses_3d', it gave 'output'" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--load-outputs", "got.json", "--runtime", "torch"), ("--runtime", "got.json")),
        (("--load-outputs", "got.json", "--bisect"), ("--bisect", "got.json")),
        (("--load-outputs", "gone.json"), ("gone.json", "no such file", "polygraphy run")),
        (("--load-outputs", "got.json", "--json", "got.json"), ("'got.json' is the input",)),
        (("--save-inputs", "a.npz"), ("'a.npz' must end in '.json'",)),
        (("--save-inputs", "a.json", "--save-outputs", "a.json"), ("--save-outputs", "two files")),
        (("--save-outputs", "a.json", "--json", "./a.json"), ("--json", "two files")),
        (("--save-outputs", "no/a.json"), ("'no' does not exist",)),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense(
    in_folder: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    before = set(in_folder.iterdir())
    done = run(*CHECK, *options, code=2)
    (line,) = done.stderr.splitlines()
    for piece in words:
        assert piece in line
    assert set(in_folder.iterdir()) == before
