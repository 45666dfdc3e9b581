"""The commands end to end on the golden checkpoint: files, output, exit codes, start-up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import keypoint_files as files
import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from places import TINY as GOLDEN

from pmexport.cli.main import cli as pmexport
from pmexport.format.file import open_model
from posemamba.checkpoint import read as checkpoint
from posemamba.cli.main import cli as posemamba
from posemamba.model.counts import count_table

HEAVY = ("torch", "onnx", "onnxruntime", "onnxscript", "matplotlib", "numpy", "tqdm")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden checkpoint and its usual exports, unchecked, made once."""
    folder = tmp_path_factory.mktemp("exports")
    shutil.copy(GOLDEN, folder / "tiny.pth.tr")
    for name, *options in (
        ("fused", "--ops", "fused"),
        ("generic", "--ops", "generic"),
        ("standard", "--ops", "standard"),
        ("half", "--precision", "fp16"),
    ):
        target = str(folder / f"{name}.onnx")
        invoke("onnx", "--ckpt", str(GOLDEN), *options, "-o", target, "--no-check")
    return folder


def invoke(*arguments: str, code: int = 0) -> str:
    if arguments[0] == "check":  # on such small models two threads only wait for each other
        arguments += ("--threads", "1")
    result = CliRunner().invoke(pmexport, arguments)
    assert result.exit_code == code, result.output
    if code == 0:
        assert result.stderr == ""
    return str(result.stdout)


def shell(*arguments: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A tool as a user starts it, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def test_export_says_what_it_did_and_what_is_next(here: Path) -> None:
    output = invoke("onnx", "--ckpt", "tiny.pth.tr", "-o", "m.onnx")
    lines = output.splitlines()
    assert lines[0].startswith("Checkpoint: tiny.pth.tr: custom (2 x 2 blocks of 32), 27 frames")
    assert lines[1].startswith("WARNING: scan order global-local is a guess")
    success = next(line for line in lines if line.startswith("ONNX: "))
    assert success.startswith("ONNX: success in ")
    assert "saved as m.onnx (" in success
    assert ", 4 scan nodes of " in success
    assert "Check: passed" in lines
    row = next(line for line in lines if line.startswith("ort-cpu"))
    assert row.endswith("pass")
    start = lines.index("Next:")
    commands = [line.strip() for line in lines[start + 1 :]]
    assert commands == [
        "pmexport bench m.onnx",
        "pmexport inspect m.onnx",
    ]
    assert {path.suffix for path in here.iterdir()} == {".onnx", ".npz", ".tr"}  # nothing left over


def test_default_name_carries_the_precision(here: Path) -> None:
    invoke("onnx", "--ckpt", "tiny.pth.tr", "--precision", "fp16", "--no-check")
    assert (here / "tiny.fp16.onnx").is_file()


@pytest.mark.parametrize("name", ["fused", "generic", "standard", "half"])
def test_usual_exports_pass_their_check(here: Path, name: str) -> None:
    assert "Check: passed" in invoke("check", f"{name}.onnx", "--ckpt", "tiny.pth.tr")


@pytest.mark.parametrize(
    "options",
    [
        ("--frames", "9"),
        ("--frames", "27", "--batch", "2", "--precision", "fp16"),
        ("--scan-order", "bidirectional", "--ops", "generic"),
        ("--scan-order", "BS-BT", "--opset", "18"),
    ],
    ids=" ".join,
)
def test_other_exports_pass_their_check(here: Path, options: tuple[str, ...]) -> None:
    output = invoke("onnx", "--ckpt", "tiny.pth.tr", *options, "-o", "m.onnx")
    assert "Check: passed" in output


def test_node_counts_by_type(here: Path) -> None:
    """Four blocks, one scan each, and nothing that betrays an unfolded constant or a loop."""
    counts = {
        ops: Counter(node.op_type for node in onnx.load(here / f"{ops}.onnx").graph.node)
        for ops in ("fused", "generic", "standard")
    }
    for ops, scan in (
        ("fused", "CrossSelectiveScan"),
        ("generic", "SelectiveScan"),
        ("standard", "Scan"),
    ):
        assert counts[ops][scan] == 4, counts[ops]
    fused = counts["fused"]
    assert fused["Conv"] == 4
    assert fused["Erf"] + fused["Gelu"] == 4
    # Four norms a block (norm, norm2, out_norm and the shared one after it), one in the head.
    assert fused["LayerNormalization"] == 17
    assert fused["Exp"] + fused["Loop"] + fused["If"] + fused["Identity"] == 0


def test_check_on_a_detectors_keypoints(here: Path) -> None:
    film = files.film("body25", 30)
    (here / "mine.jsonl").write_text(files.lines(film))
    size = f"{files.WIDTH}x{files.HEIGHT}"
    words = ["check", "fused.onnx", "--ckpt", "tiny.pth.tr", "--inputs", "mine.jsonl"]
    invoke(*words, "--size", size, "--json", "r.json")
    report = json.loads((here / "r.json").read_text())
    names = [row["name"] for row in report["runtimes"]["ort-cpu"]["clips"]]
    assert any(name.startswith("person 0[") for name in names)


def test_check_json(here: Path) -> None:
    usual_threads = torch.get_num_threads()
    rng = np.random.default_rng(0)
    np.savez(here / "mine.npz", walk=rng.uniform(-0.5, 0.5, (40, 17, 2)).astype(np.float32))
    arguments = ["check", "fused.onnx", "--ckpt", "tiny.pth.tr", "--inputs", "mine.npz"]
    invoke(
        *arguments,
        "--runtime",
        "ort-cpu",
        "--runtime",
        "torch",
        "--threads",
        "1",
        "--json",
        "r.json",
    )
    assert torch.get_num_threads() == usual_threads
    report = json.loads((here / "r.json").read_text())
    assert report["schema"] == 1
    assert report["passed"] is True
    assert set(report["runtimes"]) == {"ort-cpu", "torch"}
    assert report["checkpoint"]["sha256"] == checkpoint.read_checkpoint("tiny.pth.tr").sha256
    assert report["tolerances"] == {"max_abs": 1e-4, "mpjpe_mm": 0.01}
    assert report["baseline"]["scan"] == "fused"
    assert report["baseline"]["threads"] == 1
    for runtime in report["runtimes"].values():
        assert 0.0 <= runtime["p99_abs"] <= runtime["max_abs"] <= 1e-4
        assert runtime["mpjpe_mm"] <= 0.01
        assert len(runtime["per_joint_mm"]) == 17
        assert {clip["frames"] for clip in runtime["clips"]} == {1, 9, 27}
        assert {clip["batch"] for clip in runtime["clips"]} == {1, 2}
        assert any(clip["name"].startswith("walk[") for clip in runtime["clips"])


def test_check_prints_every_joint_on_request(here: Path) -> None:
    arguments = ("check", "fused.onnx", "--ckpt", "tiny.pth.tr")
    assert "\nleft_wrist " not in invoke(*arguments)
    assert "\nleft_wrist " in invoke(*arguments, "--per-joint")


def test_tolerance_can_be_tightened_until_it_fails(here: Path) -> None:
    arguments = ("check", "half.onnx", "--ckpt", "tiny.pth.tr")
    output = invoke(*arguments)
    smallest = output.split("the smallest that passes: ")[1].splitlines()[0].split()
    invoke(*arguments, *smallest)
    tighter = [*smallest[:-1], f"{float(smallest[-1]) * 0.5:.3e}"]
    assert "Check: FAILED" in invoke(*arguments, *tighter, code=1)


def test_failed_check_leaves_a_report(here: Path) -> None:
    arguments = ("check", "fused.onnx", "--ckpt", "tiny.pth.tr", "--scan-order", "bidirectional")
    invoke(*arguments, "--json", "r.json", code=1)
    report = json.loads((here / "r.json").read_text())
    assert report["passed"] is False
    assert report["runtimes"]["ort-cpu"]["mpjpe_mm"] > 1.0


def test_model_that_differs_is_found_though_both_files_are_fine(here: Path) -> None:
    """``--any-ckpt`` skips the comparison of hashes, never that of numbers."""
    content = torch.load(GOLDEN, weights_only=False)
    key = "module.STEblocks.1.op.x_proj_weight"
    content["model_pos"][key][0, 3, 5] += 0.1
    torch.save(content, here / "other.pth.tr")
    invoke("onnx", "--ckpt", "other.pth.tr", "-o", "m.onnx")
    arguments = ("check", "m.onnx", "--ckpt", "tiny.pth.tr")
    invoke(*arguments, code=2)
    invoke(*arguments, "--any-ckpt", code=1)


def test_inspect_json(here: Path) -> None:
    assert json.loads(invoke("inspect", "fused.onnx", "--json"))
    assert "CrossSelectiveScan" in invoke("inspect", "fused.onnx")


def test_folder_as_checkpoint(here: Path) -> None:
    shutil.unpack_archive(here / "tiny.pth.tr", here / "unpacked", "zip")
    invoke("onnx", "--ckpt", "unpacked", "--no-check")
    assert (here / "unpacked.fp32.onnx").is_file()


def test_count_shows_both_ways_of_counting() -> None:
    result = CliRunner().invoke(posemamba, ["count"])
    assert result.exit_code == 0
    for text in ("1,470,211", "4,742,659", "9,450,499", "33,318,915"):
        assert text in result.stdout
    for text in ("0.860 M", "3.358 M", "6.714 M", "26.535 M", "3.587", "109.909"):
        assert text in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines()[1:5]] == list("SBLX")
    assert len(count_table()) == 4


def test_init_says_untrained_and_is_reproducible(here: Path) -> None:
    arguments = ["init", "--variant", "s", "--frames", "27", "--seed", "7", "-o"]
    for name in ("a.safetensors", "b.safetensors"):
        result = CliRunner().invoke(posemamba, [*arguments, name])
        assert result.exit_code == 0, result.output
        assert "UNTRAINED" in result.stdout
    one, two = (checkpoint.read_checkpoint(f"{name}.safetensors") for name in "ab")
    assert one.state.keys() == two.state.keys()
    assert all(torch.equal(one.state[key], two.state[key]) for key in one.state)
    assert (one.config.variant, one.config.frames) == ("S", 27)
    assert b"UNTRAINED" in (here / "a.safetensors").read_bytes()[:2000]


@pytest.mark.parametrize("package", ["pmexport", "posemamba"])
def test_help_is_quick(package: str, tmp_path: Path) -> None:
    """No heavy import, and so well under the second that importing torch alone takes."""
    code = (
        f"import sys; from {package}.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit as done: assert not done.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Exit codes" in done.stdout
    assert time.perf_counter() - start < 2.0  # 0.2 s on a free machine; CI is shared


@pytest.mark.parametrize("package", ["pmexport", "posemamba"])
def test_without_arguments_there_is_help(package: str, tmp_path: Path) -> None:
    done = shell(package, cwd=tmp_path)
    assert done.stdout.startswith("Usage: ")
    assert done.stderr == ""


def test_in_a_pipe_there_are_no_bars_and_no_colours(here: Path) -> None:
    done = shell("pmexport", "onnx", "--ckpt", "tiny.pth.tr", "-o", "m.onnx", cwd=here)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert "Check: passed" in done.stdout


def test_errors_of_a_real_process_are_one_line(here: Path) -> None:
    done = shell("pmexport", "onnx", "--ckpt", "gone.pth", "-o", "m.onnx", cwd=here, code=2)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Error: gone.pth: ")
    done = shell("pmexport", "check", "tiny.pth.tr", "--ckpt", "tiny.pth.tr", cwd=here, code=2)
    assert done.stderr.count("\n") == 1


#: The end of every writer's work, and of a command that writes nothing.
WHERE = {
    "doctor": "import pmexport.doctor.diagnose as d; d.diagnose = end",
    **dict.fromkeys(
        ("onnx --ckpt tiny.pth.tr --no-check -o m.onnx", "optimize fused.onnx -o m.onnx",
         "inspect fused.onnx --html m.html", "triton fused.onnx -o ."),
        "pathlib.Path.replace = pathlib.Path.rename = end",
    ),
}  # fmt: skip


@pytest.mark.parametrize("stop", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("command", WHERE)
def test_told_to_end_it_says_one_line_and_leaves_nothing(
    here: Path, command: str, stop: str
) -> None:
    code = (
        "import os, pathlib, signal\n"
        f"def end(*_): os.kill(os.getpid(), signal.{stop})\n"
        f"{WHERE[command]}\n"
        "from pmexport.cli.main import cli\n"
        f"cli({command.split()!r})"
    )
    before = sorted(here.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "Error: interrupted"
    assert sorted(here.iterdir()) == before


def test_an_interrupt_that_became_an_error_of_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pybind11 makes it while a module initialises."""

    def explode() -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr("pmexport.doctor.diagnose.diagnose", explode)
    result = CliRunner().invoke(pmexport, ["doctor"])
    assert (result.exit_code, result.stderr) == (130, "Error: interrupted\n")


def test_unexpected_errors_are_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode() -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("pmexport.doctor.diagnose.diagnose", explode)
    result = CliRunner().invoke(pmexport, ["doctor"])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "RuntimeError: first line second line" in result.stderr
    monkeypatch.setenv("POSEMAMBA_TRACEBACK", "1")
    assert isinstance(CliRunner().invoke(pmexport, ["doctor"]).exception, RuntimeError)


def test_names_that_are_no_utf8(here: Path) -> None:
    weights, model = os.fsdecode(b"n\xff.pth.tr"), os.fsdecode(b"n\xff.onnx")
    shutil.copy("tiny.pth.tr", weights)
    result = CliRunner().invoke(pmexport, ["onnx", "--ckpt", weights, "-o", model])
    assert (result.exit_code, result.stderr) == (0, "")
    assert b"saved as n\xff.onnx" in result.stdout_bytes
    assert open_model(Path(model)).metadata["checkpoint"] == "n\N{REPLACEMENT CHARACTER}.pth.tr"
    invoke("check", model, "--ckpt", weights, "--threads", "1", "--json", "r.json")
    invoke("bench", model, "--seconds", "0.05", "--warmup", "0.01", "--markdown", "r.md")
    (here / "r.md").read_text(encoding="utf-8")
    invoke("optimize", model, "--threads", "1")
    invoke("inspect", model)
    build = ("trt", "--onnx", model, "--dry-run", "--backend", "tensorrt-rtx", "--target", "sm86")
    refusal = CliRunner().invoke(pmexport, build)
    assert refusal.exit_code == 2
    assert "UTF-8, as TensorRT wants names: rename the file" in refusal.stderr
