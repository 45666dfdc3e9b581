"""Requests that cannot succeed: one line, exit code 2, nothing written, TensorRT not started."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner
from trt_machine import gpu

from pmexport.cli.main import cli
from pmexport.format.file import ModelFile, Node
from pmexport.format.operators import SCANS
from pmexport.trt import build, checks
from pmexport.trt.build import Outcome
from pmexport.trt.checks import check_plugin
from posemamba.errors import InputError

ONNX = ("--onnx", "tiny.fp16.onnx")
CKPT = ("--ckpt", "inputs/tiny.pth.tr")
RTX = (*ONNX, "--backend", "tensorrt-rtx")

#: name -> (arguments, words the line must hold)
REQUESTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "nothing to build from": ((), ("several", "tiny.fp16.onnx", "tiny.fp32.onnx")),
    "both to build from": ((*ONNX, *CKPT), ("--ckpt or --onnx", "both")),
    "both precisions": ((*ONNX, "--fp16", "--fp32"), ("--fp32 and --fp16", "choose one")),
    "cache and no cache": ((*ONNX, "--cache", "c", "--no-cache"), ("choose one",)),
    "fp16 of an fp32 model": (
        ("--onnx", "tiny.fp32.onnx", "--fp16"), ("is fp32", "pmexport onnx --precision fp16")),
    "fp32 of an fp16 model": (
        (*ONNX, "--fp32"), ("is fp16", "pmexport onnx --precision fp32")),
    "backend typo": ((*ONNX, "--backend", "tensorrt-xrt"), ("did you mean 'tensorrt-rtx'",)),
    "target typo": ((*RTX, "--target", "sm68"), ("'sm68' is no GPU architecture", "sm86")),
    "target twice": ((*RTX, "--target", "sm86,8.6"), ("sm86 twice",)),
    "current among others": ((*RTX, "--target", "sm86,current"), ("stands alone",)),
    "Orin for RTX": (
        (*RTX, "--target", "sm87"), ("Jetson Orin", "--backend tensorrt has it")),
    "H100 for RTX": ((*RTX, "--target", "sm86,sm90"), ("sm90", "--backend tensorrt has it")),
    "another GPU for TensorRT": (
        (*ONNX, "--backend", "tensorrt", "--target", "sm89"),
        ("here sm87", "or use --backend tensorrt-rtx")),
    "several GPUs for TensorRT": (
        (*ONNX, "--backend", "tensorrt", "--target", "sm86,sm87"), ("here sm87",)),
    "batch out of order": ((*ONNX, "--batch", "4:1:8"), ("must ascend", "1:4:8")),
    "frames out of order": ((*ONNX, "--frames", "27:9:1"), ("must ascend", "1:9:27")),
    "batch 0": ((*ONNX, "--batch", "0:1:2"), ("begin at 1",)),
    "batch of a word": ((*ONNX, "--batch", "few"), ("--batch 'few'", "min:opt:max")),
    "batch of two numbers": ((*ONNX, "--batch", "1:8"), ("--batch '1:8'", "min:opt:max")),
    "frames beyond the embedding": (
        (*ONNX, "--frames", "1:27:243"), ("1:27:243", "position embedding has 27 frames")),
    "frames beyond the checkpoint's": (
        (*CKPT, "--frames", "243"), ("position embedding has 27 frames",)),
    "profiles that do not pair": (
        (*ONNX, "--batch", "1", "--batch", "2", "--frames", "1", "--frames", "2", "--frames", "3"),
        ("2 times", "3")),
    "the same profile twice": ((*ONNX, "--batch", "1", "--batch", "1:1:1"), ("the same",)),
    "too many elements": (
        (*ONNX, "--batch", "1:1:100000"), ("100000", "elements", "smaller --batch")),
    "workspace of a word": ((*ONNX, "--workspace", "much"), ("'much' is not a size",)),
    "workspace of 20 digits": (
        (*ONNX, "--workspace", "99999999999999999999GB"), ("too large", "1000GB")),
    "workspace beyond numbers": ((*ONNX, "--workspace", "9" * 500), ("too large", "1000GB")),
    "workspace of nothing": ((*ONNX, "--workspace", "0"), ("too small",)),
    "optimization level 6": ((*ONNX, "--optimization-level", "6"), ("6", "at most 5")),
    "hardware typo": ((*ONNX, "--hardware-compat", "amper"), ("did you mean 'ampere+'",)),
    "timing cache for RTX": (
        (*RTX, "--target", "sm86", "--timing-cache", "t"), ("--timing-cache", "does nothing")),
    "hardware for RTX": (
        (*RTX, "--target", "sm86", "--hardware-compat", "ampere+"), ("--target instead",)),
    "versions for RTX": (
        (*RTX, "--target", "sm86", "--version-compat"), ("--version-compat", "lean runtime")),
    "no weights without the GPU": (
        (*RTX, "--target", "sm86", "--strip-weights"), ("--strip-weights", "needs the GPU")),
    "timing cache is a folder": ((*ONNX, "--timing-cache", "inputs"), ("inputs", "directory")),
    "timing cache nowhere": ((*ONNX, "--timing-cache", "no/t"), ("no", "mkdir")),
    "timing cache is the model": (
        (*ONNX, "--timing-cache", "./tiny.fp16.onnx"), ("is the model or the engine",)),
    "timing cache is the engine": (
        (*ONNX, "-o", "e.engine", "--timing-cache", "e.engine"), ("is the model or the engine",)),
    "timing cache is a pipe": ((*ONNX, "--timing-cache", "pipe"), ("pipe", "no regular file")),
    "scan order of a model": (
        (*ONNX, "--scan-order", "bs-bt"), ("--scan-order bs-bt", "the order is in the model")),
    "batch beyond the kernels": (
        (*CKPT, "--batch", "1:1:2147483648"), ("2147483648", "elements", "smaller --batch")),
    "model missing": (("--onnx", "gone.onnx"), ("gone.onnx", "does not exist")),
    "model is a checkpoint": (("--onnx", "inputs/tiny.pth.tr"), ("not an ONNX model",)),
    "model of somebody else": (
        ("--onnx", "inputs/foreign.onnx"), ("inputs/foreign.onnx", "written by 'pytorch'")),
    "model without metadata": (("--onnx", "inputs/bare.onnx"), ("no metadata 'config'",)),
    "model of a newer tool": (("--onnx", "inputs/newer.onnx"), ("schema version 2",)),
    "model of standard operators": (("--onnx", "inputs/standard.onnx"), ("--ops fused",)),
    "an operator without an fp16 rule": (
        ("--onnx", "inputs/softmax.onnx", "--fp16"), ("Softmax", "fp16 has no rule")),
    "an operator the plugin lacks": (
        ("--onnx", "inputs/tomorrow.onnx"), ("posemamba:ScanOfTomorrow",)),
    "another plugin version in the model": (
        ("--onnx", "inputs/version3.onnx"), ("version '3' of the plugin", "has versions 1 and 2")),
    "model without types": (("--onnx", "inputs/untyped.onnx"), ("does not say the type",)),
    "batch of a fixed model": (
        ("--onnx", "inputs/fixed.onnx", "--batch", "1:1:8"), ("fixed to 1", "--batch dynamic")),
    "checkpoint missing": (("--ckpt", "gone.pth"), ("gone.pth",)),
    "output is no engine": ((*ONNX, "-o", "m.plan"), ("m.plan", ".engine")),
    "output is a folder": ((*ONNX, "-o", "folder.engine"), ("folder.engine", "directory")),
    "output nowhere": ((*ONNX, "-o", "no/m.engine"), ("no", "mkdir")),
    "output in proc": ((*ONNX, "-o", "/proc/m.engine"), ("/proc",)),
    "cache in proc": ((*ONNX, "--cache", "/proc/c"), ("/proc/c", "--no-cache")),
}  # fmt: skip


@pytest.fixture(scope="module")
def broken(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models nobody should build."""
    folder = tmp_path_factory.mktemp("broken")

    def save(name: str, change: Callable[[onnx.ModelProto], None]) -> None:
        model = onnx.load(models / "tiny.fp16.onnx")
        change(model)
        onnx.save(model, folder / f"{name}.onnx")

    def scan(model: onnx.ModelProto) -> onnx.NodeProto:
        return next(node for node in model.graph.node if node.domain == "posemamba")

    def foreign(model: onnx.ModelProto) -> None:
        model.producer_name = "pytorch"

    def bare(model: onnx.ModelProto) -> None:
        del model.metadata_props[:]

    def newer(model: onnx.ModelProto) -> None:
        entry = next(e for e in model.metadata_props if e.key == "posemamba.schema_version")
        entry.value = "2"

    def standard(model: onnx.ModelProto) -> None:
        next(e for e in model.metadata_props if e.key == "posemamba.ops").value = "standard"

    def softmax(model: onnx.ModelProto) -> None:
        next(node for node in model.graph.node if node.op_type == "Gelu").op_type = "Softmax"

    def tomorrow(model: onnx.ModelProto) -> None:
        scan(model).op_type = "ScanOfTomorrow"

    def version3(model: onnx.ModelProto) -> None:
        next(a for a in scan(model).attribute if a.name == "plugin_version").s = b"3"

    def untyped(model: onnx.ModelProto) -> None:
        del model.graph.value_info[:]

    def fixed(model: onnx.ModelProto) -> None:
        dimension = model.graph.input[0].type.tensor_type.shape.dim[0]
        dimension.Clear()
        dimension.dim_value = 1

    for change in (foreign, bare, newer, standard, softmax, tomorrow, version3, untyped, fixed):
        save(change.__name__, change)
    return folder


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def refused(
    fake: Path, here: Path, broken: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Run a command that must be refused without a build."""
    for path in broken.iterdir():
        (here / "inputs" / path.name).symlink_to(path)
    (here / "folder.engine").mkdir()
    os.mkfifo(here / "pipe")

    def run(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
        before = tree(here)
        specs = []
        real = build.run_worker

        def counted(backend: object, spec: dict, *more: object) -> object:
            specs.append(spec)
            return real(backend, spec, *more)

        monkeypatch.setattr(build, "run_worker", counted)
        monkeypatch.setattr("pmexport.trt.job.run_worker", counted)
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 2, result.output
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        assert "not expected" not in lines[0], "an exception nobody thought of"
        for word in words:
            assert word in lines[0]
        assert [spec for spec in specs if spec["onnx"] is not None] == [], "work was begun"
        assert tree(here) - {"xdg"} == before - {"xdg"}

    return run


@pytest.mark.parametrize("name", REQUESTS)
def test_refuses(name: str, refused: Callable[..., None]) -> None:
    arguments, words = REQUESTS[name]
    refused(("trt", *arguments), words)


def test_no_gpu_for_current(refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, None)
    refused(("trt", *ONNX), ("no GPU is found", "--target sm86"))
    refused(("trt", *ONNX, "--target", "sm87"), ("here none",))


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("tensorrt", ("tensorrt is not installed", "JetPack")),
        ("tensorrt-rtx", ("not installed", "'.[tensorrt-rtx]'")),
    ],
)
def test_backend_not_installed(
    backend: str,
    words: tuple[str, ...],
    refused: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pmexport.trt.backends.installed_version", lambda backend: None)
    gpu(monkeypatch, "sm86")
    refused(("trt", *ONNX, "--backend", backend), words)


def test_the_versions_that_the_models_nodes_want() -> None:
    """A library of before version 2 builds what wants version 1, and nothing else."""

    def check(version: str, *has: str) -> None:
        nodes = (Node("n", "SelectiveScan", "posemamba", (), (), version),)
        creators = [{"name": name, "version": each} for name in SCANS for each in has]
        model = ModelFile(Path("m.onnx"), None, {}, nodes, {})
        check_plugin(Outcome(version="10.3", creators=creators), Path("p.so"), model)

    check("1", "1")
    check("2", "1", "2")
    words = "'p.so' has version 1 of SelectiveScan, the model needs version 2: use the library"
    with pytest.raises(InputError, match=words):
        check("2", "1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("no TensorRT plugin library", "POSEMAMBA_TRT_LIB")),
        ("no library", ("cannot be loaded", "Unable to load library")),
        ("{}", ("holds no plugin of namespace 'posemamba'",)),
        (json.dumps({"CrossSelectiveScan": "1"}), ("lacks SelectiveScan",)),
        (
            json.dumps({"CrossSelectiveScan": "2", "SelectiveScan": "2"}),
            ("has version 2", "needs version 1"),
        ),
    ],
    ids=["missing", "broken", "empty", "incomplete", "another version"],
)
def test_plugin_library(
    content: str | None, words: tuple[str, ...], fake: Path, refused: Callable[..., None]
) -> None:
    fake.unlink() if content is None else fake.write_text(content)
    refused(("trt", *ONNX), words)


def test_full_disk(refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    nearly = shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda folder: nearly)
    refused(("trt", *ONNX), ("has 1 MB left", "may need 17"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("plan", ("is not the file its sidecar describes",)),
        ("no sidecar", ("e.engine.json' does not exist", "copy both")),
        ("no JSON", ("is not JSON",)),
        ("a key twice", ("is not JSON (it has 'schema_version' 2 times)",)),
        ("no schema", ("is no sidecar of an engine (targets",)),
        ("newer", ("schema version 2", "update pmexport")),
        ("plugin", ("needs version 3 of the plugin", "has versions 1 and 2")),
        ("no engine", ("'e.engine' does not exist", "pmexport trt")),
    ],
)
def test_inspect_refuses_what_does_not_belong_together(
    change: str, words: tuple[str, ...], refused: Callable[..., None], here: Path
) -> None:
    assert CliRunner().invoke(cli, ["trt", *ONNX, "-o", "e.engine", "--no-cache"]).exit_code == 0
    path = here / "e.engine.json"
    known = json.loads(path.read_text())
    if change == "plan":
        (here / "e.engine").write_bytes(b"another plan")
    elif change == "no sidecar":
        path.unlink()
    elif change == "no JSON":
        path.write_text("{")
    elif change == "a key twice":
        path.write_text('{"schema_version": 1, ' + json.dumps(known)[1:])
    elif change == "no engine":
        (here / "e.engine").unlink()
    else:
        if change == "newer":
            known["schema_version"] = 2
        elif change == "plugin":
            known["plugin"]["version"] = "3"
        else:
            known["targets"] = ["an Orin"]
        path.write_text(json.dumps(known))
    refused(("inspect", "e.engine"), words)
    refused(("check", "e.engine", *CKPT), words)


def test_optimize_of_an_engine_names_its_model(refused: Callable[..., None], here: Path) -> None:
    assert CliRunner().invoke(cli, ["trt", *ONNX, "-o", "e.engine", "--no-cache"]).exit_code == 0
    refused(("optimize", "e.engine"), ("is a TensorRT engine", "tiny.fp16.onnx"))
