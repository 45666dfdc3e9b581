"""From request to engine with a TensorRT that builds nothing: files, reports, failures, Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from trt_machine import gpu

from pmexport.cli.main import cli
from pmexport.engine.sidecar import schema_problem

Trt = Callable[..., Result]
FP16 = ("--onnx", "tiny.fp16.onnx")


def sidecar(name: str = "tiny.fp16.engine") -> dict:
    return json.loads(Path(f"{name}.json").read_text())


def plan(name: str = "tiny.fp16.engine") -> dict:
    return json.loads(Path(name).read_bytes()[4:])


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()
                  if path.is_file() and not path.is_symlink())  # fmt: skip


def test_writes_a_plain_plan_and_its_sidecar(fake: Path, here: Path, trt: Trt) -> None:
    output = trt(*FP16, "--no-cache").stdout
    assert leftovers(here) == ["tiny.fp16.engine", "tiny.fp16.engine.json"]
    known = sidecar()
    assert schema_problem(known) is None
    assert known["engine"]["sha256"] == hashlib.sha256(
        Path("tiny.fp16.engine").read_bytes()).hexdigest()  # fmt: skip
    assert known["onnx"]["sha256"] == hashlib.sha256(
        Path("tiny.fp16.onnx").read_bytes()).hexdigest()  # fmt: skip
    assert known["plugin"]["sha256"] == hashlib.sha256(fake.read_bytes()).hexdigest()
    assert known["tensorrt"] == {"flavour": "tensorrt", "version": "10.3.0"}
    assert known["targets"] == ["sm87"]
    assert known["inputs"][0] == {
        "name": "keypoints_2d", "dtype": "fp32", "shape": [-1, -1, 17, 2]
    }  # fmt: skip
    assert len(known["model"]["joint_names"]) == 17
    assert "half the image width" in known["model"]["units"]
    assert known["precision"]["got"] == "fp16"
    assert known["precision"]["plugin_layers"] == 4
    assert known["precision"]["witness"] == "engine"
    assert "Precision: fp16 asked, fp16 got" in output.splitlines()
    assert "4 plugin layers" in output


def test_another_checkpoints_engine_stays(fake: Path, here: Path, trt: Trt) -> None:
    trt(*FP16, "--no-cache")
    trt(*FP16, "--no-cache")  # its own is replaced
    known = sidecar()
    known["model"]["checkpoint_sha256"] = "0" * 64
    Path("tiny.fp16.engine.json").write_text(json.dumps(known), encoding="utf-8")
    line = trt(*FP16, "--no-cache", code=2).output
    assert "tiny.fp16.engine: was built from other weights, 'tiny.pth.tr'" in line
    assert "-o" in line
    trt(*FP16, "--no-cache", "-o", "tiny.fp16.engine")


def test_settings_reach_the_builder(fake: Path, here: Path, trt: Trt) -> None:
    Path("times").write_bytes(b"old")
    trt(*FP16, "--no-cache", "--workspace", "512M", "--optimization-level", "4", "--timing-cache",
        "times", "--hardware-compat", "ampere+", "--version-compat", "--strip-weights",
        "--batch", "1", "--batch", "1:2:4", "--frames", "9:27:27")  # fmt: skip
    built = plan()
    assert built["flags"] == ["REFIT", "STRIP_PLAN", "VERSION_COMPATIBLE"]  # TF32 is off
    assert built["settings"] == {"WORKSPACE": 512_000_000}
    assert built["level"] == 4
    assert built["hardware"] == 1
    assert built["profiles"] == [
        ["keypoints_2d", [[1, 9, 17, 2], [1, 27, 17, 2], [1, 27, 17, 2]]],
        ["keypoints_2d", [[1, 9, 17, 2], [2, 27, 17, 2], [4, 27, 17, 2]]],
    ]
    assert Path("times").read_bytes() == b"old+timings"
    options = sidecar()["options"]
    assert options == {
        "workspace_bytes": 512_000_000, "optimization_level": 4, "hardware_compat": "ampere+",
        "version_compat": True, "strip_weights": True, "tf32": False,
    }  # fmt: skip
    assert sidecar()["precision"]["engine"]["opened"] is False  # it has no weights


def test_tf32_reaches_the_builder_and_is_told(fake: Path, here: Path, trt: Trt) -> None:
    """TensorRT's own default is on; an engine with it is another engine, cached or not."""
    build = ("--onnx", "tiny.fp32.onnx", "--fp32")
    engine = "tiny.fp32.engine"
    trt(*build)
    assert "TF32" not in plan(engine)["flags"]
    trt(*build, "--tf32")
    assert "TF32" in plan(engine)["flags"]
    assert sidecar(engine)["options"]["tf32"] is True
    assert "--noTF32" not in trt(*build, "--tf32", "--dry-run").stdout
    line = trt(*FP16, "--tf32", code=2).output
    assert "--tf32 rounds the inputs of float32 products, this engine is fp16" in line
    assert "--fp32" in line


def test_rtx_builds_for_several_gpus_without_one(
    fake: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, None)
    output = trt(*FP16, "--target", "sm120,8.6,89", "--no-cache").stdout
    assert plan()["targets"] == {"0": "SM86", "1": "SM89", "2": "SM120"}
    known = sidecar()
    assert known["targets"] == ["sm86", "sm89", "sm120"]
    assert known["tensorrt"]["flavour"] == "tensorrt-rtx"
    assert known["precision"]["witness"] == "network"
    assert known["precision"]["engine"] == {"opened": False, "why": "no GPU here that it is for"}
    assert "the engine itself was not opened" in output


def test_from_a_checkpoint(fake: Path, here: Path, trt: Trt) -> None:
    output = trt("--ckpt", "inputs/tiny.pth.tr", "--fp16", "--no-cache").stdout
    assert output.startswith(
        "Checkpoint: inputs/tiny.pth.tr: custom (2 x 2 blocks of 32), 27 frames"
    )
    assert leftovers(here) == ["tiny.fp16.engine", "tiny.fp16.engine.json"]
    same = Path("tiny.fp16.onnx").read_bytes()
    assert sidecar()["onnx"]["sha256"] == hashlib.sha256(same).hexdigest()
    assert sidecar()["model"]["checkpoint"] == "tiny.pth.tr"


def test_fp32_has_no_fp16(fake: Path, trt: Trt) -> None:
    trt("--onnx", "tiny.fp32.onnx", "--fp32", "--no-cache")
    precision = sidecar("tiny.fp32.engine")["precision"]
    assert (precision["got"], precision["layer_share_fp16"]) == ("fp32", 0.0)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("retype", "is fp16 in the ONNX model and fp32 in TensorRT"),
        ("engine-fp32", "0 of the engine's 130 layers in fp16, fp16 was asked"),
    ],
)
def test_precision_not_got_is_exit_1(
    words: str, text: str, fake: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TENSORRT", words)
    result = trt(*FP16, code=1)
    assert text in result.stdout
    assert "Precision: fp16 asked, mixed got" in result.stdout
    assert sidecar()["precision"]["problems"]
    monkeypatch.delenv("FAKE_TENSORRT")
    assert "cache: miss, it is empty" in trt(*FP16).stdout  # such an engine is not kept


@pytest.mark.parametrize("words", ["", "eleven"])
def test_inspectors_of_both_majors_are_read(
    words: str, fake: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TENSORRT", words)
    trt(*FP16)
    engine = sidecar()["precision"]["engine"]
    assert engine == {"opened": True, "layers": 130, "fp16": plan()["half"],
                      "fp32": 130 - plan()["half"]}  # fmt: skip


def test_engine_that_cannot_be_opened_is_told(
    fake: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TENSORRT", "closed")
    assert "TensorRT cannot open it here: no such device" in trt(*FP16).stdout
    assert sidecar()["precision"]["witness"] == "network"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("crash", "tensorrt: its process was ended by SIGABRT (terminate called"),
        ("refuse", "TensorRT cannot build the engine: no tactics to implement"),
        ("no-plugin-layers", "made 0 plugin layers of 4 nodes of ours"),
    ],
)
def test_failures_are_one_line_and_leave_nothing(
    words: str, text: str, fake: Path, here: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_TENSORRT", words)
    Path("tiny.fp16.engine").write_text("the engine of before")
    result = trt(*FP16, "--timing-cache", "times", code=2)
    assert len(result.stderr.splitlines()) == 1
    assert text in result.stderr
    assert leftovers(here) == ["tiny.fp16.engine"]
    assert Path("tiny.fp16.engine").read_text() == "the engine of before"


def test_warnings_are_shown(fake: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TENSORRT", "warn")
    assert trt(*FP16).stderr == "Warning: tensorrt: the weights are doubtful\n"


def test_timing_cache_of_another_gpu(fake: Path, here: Path, trt: Trt) -> None:
    Path("times").write_bytes(b"other")
    result = trt(*FP16, "--timing-cache", "times", code=2)
    assert "is of another TensorRT or GPU" in result.stderr
    assert leftovers(here) == ["times"]


def test_full_disk_while_writing(fake: Path, here: Path) -> None:
    """A limit on the size of files fails a write as a full disk does."""
    code = (
        "import resource; from pmexport.engine import gpu; from pmexport.__main__ import main;"
        "gpu._first_gpu = lambda: ('sm87', 'Orin');"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "trt", *FP16, "--no-cache"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "File too large" in done.stderr
    assert leftovers(here) == []


@pytest.mark.parametrize(
    ("words", "patience"),
    [("slow", 60.0), ("deaf", 1.0)],  # one stops when it is asked, the other must be ended
)
def test_ctrl_c_stops_the_builder_and_leaves_nothing(
    words: str, patience: float, fake: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (  # a shell that starts tests in the background has them ignore the signal
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from pmexport.engine import gpu; from pmexport.trt import build;"
        "from pmexport.__main__ import main;"
        "gpu._first_gpu = lambda: ('sm87', 'Orin');"
        f"build._PATIENCE_SECONDS = {patience}; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, "trt", *FP16],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FAKE_TENSORRT": words},
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "cache: miss" in line:
            break
    time.sleep(0.7)  # the worker is in its first steps
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors == "Error: interrupted\n"
    assert leftovers(here) == []


def test_inspect_reads_the_sidecar(fake: Path, here: Path, trt: Trt) -> None:
    trt(*FP16)
    text = CliRunner().invoke(cli, ["inspect", "tiny.fp16.engine"])
    assert text.exit_code == 0, text.output
    assert "Precision: fp16 asked, fp16 got" in text.stdout
    assert f"Plugin: '{fake}' is the one it was built with" in text.stdout
    fake.write_text('{"CrossSelectiveScan": "1", "SelectiveScan": "1" }')
    told = json.loads(CliRunner().invoke(cli, ["inspect", "tiny.fp16.engine", "--json"]).stdout)
    assert "another build of the same version" in told["plugin_here"]
    assert {**told, "path": 0, "plugin_here": 0} == {**sidecar(), "path": 0, "plugin_here": 0}


def test_no_torch_is_needed_for_an_onnx_model(fake: Path, here: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from pmexport.engine import gpu;"
        "gpu._first_gpu = lambda: ('sm87', 'Orin');"
        "from pmexport.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "trt", *FP16], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_dry_run_prints_a_line_that_builds_the_same(
    here: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TensorRT, a plugin or a GPU."""
    gpu(monkeypatch, None)
    monkeypatch.setenv("POSEMAMBA_TRT_LIB", "/opt/pm/libposemamba_trt.so")
    options = ("--dry-run", "--workspace", "1GiB", "--frames", "27")
    optimize, line = trt(*FP16, *options).stdout.splitlines()
    assert optimize == "pmexport optimize tiny.fp16.onnx -o tiny.fp16.cuda.onnx"
    assert line.split() == [
        "trtexec", "--onnx=tiny.fp16.cuda.onnx", "--saveEngine=tiny.fp16.engine",
        "--staticPlugins=/opt/pm/libposemamba_trt.so", "--minShapes=keypoints_2d:1x27x17x2",
        "--optShapes=keypoints_2d:1x27x17x2", "--maxShapes=keypoints_2d:8x27x17x2", "--noTF32",
        "--profilingVerbosity=detailed", "--skipInference", "--stronglyTyped",
        f"--memPoolSize=workspace:{2**30}B",
    ]  # fmt: skip
    lines = trt(
        "--ckpt", "inputs/tiny.pth.tr", "--fp16", "--dry-run", "--target", "sm89,sm86"
    ).stdout
    first, second, third = lines.splitlines()
    assert first == "pmexport onnx --ckpt inputs/tiny.pth.tr --precision fp16 -o tiny.fp16.onnx"
    assert second == optimize
    assert third.startswith("tensorrt_rtx --onnx=tiny.fp16.cuda.onnx ")
    assert third.endswith(" --computeCapabilities=86,89")
    assert leftovers(here) == []
