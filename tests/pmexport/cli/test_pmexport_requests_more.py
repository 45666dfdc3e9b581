"""Altered models, sizes no machine has, odd file names, options nobody reads: one line, code 2."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result
from places import TINY as GOLDEN

from pmexport.cli.main import cli
from pmexport.format.metadata import parse_metadata
from pmexport.runtimes.base import read_onnx

CKPT = ("--ckpt", "tiny.pth.tr")
TRT = ("--dry-run", "--backend", "tensorrt-rtx", "--target", "sm86")
READERS = (
    ("inspect", "odd.onnx"),
    ("check", "odd.onnx", *CKPT),
    ("bench", "odd.onnx"),
    ("optimize", "odd.onnx", "-o", "new.onnx"),
    ("trt", "--onnx", "odd.onnx", *TRT),
)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("more")
    shutil.copy(GOLDEN, folder / "tiny.pth.tr")
    arguments = ["onnx", "--ckpt", str(GOLDEN), "-o", str(folder / "tiny.onnx"), "--no-check"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    return folder


@pytest.fixture
def refused(here: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Run a command that must be refused, and must change no file."""

    def run(arguments: tuple[str, ...], *words: str) -> None:
        before = contents(here)
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 2, result.output
        (line,) = result.stderr.splitlines()
        assert line.startswith("Error: ")
        assert "not expected" not in line, "an exception nobody thought of"
        for word in words:
            assert word in line
        assert contents(here) == before
        assert capfd.readouterr().err == "", "a native library wrote past Python"

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def weight(model: onnx.ModelProto) -> onnx.TensorProto:
    """The first constant with many numbers."""
    return next(t for t in model.graph.initializer if len(t.raw_data) > 1000)


def without_outputs(model: onnx.ModelProto) -> None:
    del model.graph.node[3].output[:]


def without_constants(model: onnx.ModelProto) -> None:
    del model.graph.initializer[:]


def without_one_constant(model: onnx.ModelProto) -> None:
    model.graph.initializer.remove(weight(model))


def type_of_the_future(model: onnx.ModelProto) -> None:
    model.graph.value_info[5].type.tensor_type.elem_type = 99


def constant_of_the_future(model: onnx.ModelProto) -> None:
    weight(model).data_type = 99


def kept_elsewhere(model: onnx.ModelProto, place: str) -> None:
    tensor = weight(model)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", place


def kept_above(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "../../../../etc/passwd")


def kept_at_the_root(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "/etc/passwd")


def kept_nowhere(model: onnx.ModelProto) -> None:
    kept_elsewhere(model, "")


def shortened(model: onnx.ModelProto) -> None:
    weight(model).raw_data = weight(model).raw_data[:-8]


def enlarged(model: onnx.ModelProto) -> None:
    weight(model).dims[0] = 2**40


def negative(model: onnx.ModelProto) -> None:
    weight(model).dims[0] = -5


def of_a_batch(model: onnx.ModelProto, size: int) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = size


def of_a_huge_batch(model: onnx.ModelProto) -> None:
    of_a_batch(model, 10**12)


def of_no_batch(model: onnx.ModelProto) -> None:
    of_a_batch(model, 0)


def with_a_lost_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "other"


ALTERED: dict[Callable[[onnx.ModelProto], None], str] = {
    without_outputs: "has no outputs",
    without_constants: "which nothing before it gives",
    without_one_constant: "which nothing before it gives",
    type_of_the_future: "has type 99",
    constant_of_the_future: "has type 99",
    kept_above: "'../../../../etc/passwd'",
    kept_at_the_root: "'/etc/passwd'",
    kept_nowhere: "no file in the model's folder",
    shortened: "bytes, not",
    enlarged: "bytes, not",
    negative: "has size -5",
    of_a_huge_batch: "batch 1000000000000",
    of_no_batch: "batch 0",
    with_a_lost_output: "nothing gives its output 'other'",
}


@pytest.mark.parametrize("change", ALTERED, ids=lambda change: str(change.__name__))
def test_an_altered_model_is_refused_by_every_command(
    change: Callable[[onnx.ModelProto], None], here: Path, refused: Callable[..., None]
) -> None:
    model = onnx.load(here / "tiny.onnx")
    change(model)
    (here / "odd.onnx").write_bytes(model.SerializeToString())
    for arguments in READERS:
        refused(arguments, "odd.onnx", ALTERED[change])


def test_metadata_of_another_kind_is_refused_by_every_command(
    here: Path, refused: Callable[..., None]
) -> None:
    model = onnx.load(here / "tiny.onnx")
    next(e for e in model.metadata_props if e.key == "posemamba.max_frames").value = "1000000"
    onnx.save(model, here / "odd.onnx")
    for arguments in READERS:
        refused(arguments, "odd.onnx", "max_frames", "1000000")


@pytest.mark.parametrize("place", [".", "..", "/"])
def test_optimize_takes_no_folder(place: str, refused: Callable[..., None]) -> None:
    refused(("optimize", place), f"'{place}' is a directory")


@pytest.mark.parametrize("part", ["attribute", "input"])
def test_optimize_refuses_nodes_without_their_parts(
    part: str, here: Path, refused: Callable[..., None]
) -> None:
    model = onnx.load(here / "tiny.onnx")
    for node in model.graph.node:
        del getattr(node, part)[1 if part == "input" else 0 :]
    onnx.save(model, here / "odd.onnx")
    refused(("optimize", "odd.onnx"), "'odd.onnx'", "export it again")


@pytest.mark.parametrize("failing", ["original", "rewritten"])
def test_what_was_at_the_output_of_optimize_stays(
    failing: str, here: Path, refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "out.onnx").write_bytes(b"an earlier result")
    if failing == "original":  # an attribute onnxruntime needs; the rewrite itself does not look
        model = onnx.load(here / "tiny.onnx")
        del next(n for n in model.graph.node if n.domain == "posemamba").attribute[:]
        onnx.save(model, here / "tiny.onnx")
    else:
        monkeypatch.setattr("pmexport.check.optimize._serialised", lambda model: b"no model")
    refused(("optimize", "tiny.onnx", "-o", "out.onnx", "--threads", "1"), "'tiny.onnx'")


SIZES = {
    "batch of 23 digits": (("onnx", *CKPT, "--batch", "9" * 23), ("--batch", "9" * 23)),
    "batch beyond 32 bits": (("onnx", *CKPT, "--batch", "2147483648"), ("2147483648",)),
    "batch beyond memory": (("onnx", *CKPT, "--batch", "1000000000"), ("1000000000",)),
    "batch beyond the kernels": (
        ("onnx", *CKPT, "--batch", "50000000"), ("--batch 50000000", "elements", "smaller")),
    "batch of a bench": (("bench", "tiny.onnx", "--batch", "63161283"), ("63161283", "smaller")),
    "batch of an engine": (
        ("trt", *CKPT, "--batch", "1:1:2147483648", *TRT), ("2147483648", "smaller --batch")),
    "threads of check": (("check", "tiny.onnx", *CKPT, "--threads", "9" * 11), ("1024",)),
    "threads of bench": (("bench", "tiny.onnx", "--threads", "100000"), ("100000", "1024")),
    "threads of optimize": (("optimize", "tiny.onnx", "--threads", "1025"), ("1025", "1024")),
    "runs": (("bench", "tiny.onnx", "--runs", "9" * 20), ("--runs",)),
    "frames": (("bench", "tiny.onnx", "--frames", "9" * 20), ("--frames",)),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_sizes_have_an_end(name: str, refused: Callable[..., None]) -> None:
    arguments, words = SIZES[name]
    refused(arguments, *words)


@pytest.mark.parametrize(
    ("option", "reader"),
    [
        (("--ckpt", "nofile"), "torch"),
        (("--precision", "fp16"), "torch-cuda"),
        (("--no-cuda-graph",), "ort-cuda"),
        (("--optimize", "off"), "ort-cuda"),
        (("--tf32",), "ort-cuda"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bench_refuses_an_option_no_runtime_reads(
    option: tuple[str, ...], reader: str, refused: Callable[..., None]
) -> None:
    refused(("bench", "tiny.onnx", *option), *option, f"add --runtime {reader}")


def test_names_that_are_no_utf8(here: Path, refused: Callable[..., None]) -> None:
    weights, model = os.fsdecode(b"n\xff.pth.tr"), os.fsdecode(b"n\xff.onnx")
    shutil.copy("tiny.pth.tr", weights)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        return result

    assert b"saved as n\xff.onnx" in run("onnx", "--ckpt", weights, "-o", model).stdout_bytes
    entries = {e.key: e.value for e in read_onnx(Path(model)).metadata_props}
    assert parse_metadata(entries)["checkpoint"] == "n\N{REPLACEMENT CHARACTER}.pth.tr"
    run("check", model, "--ckpt", weights, "--threads", "1", "--json", "r.json")
    run("bench", model, "--seconds", "0.05", "--warmup", "0.01", "--markdown", "r.md")
    (here / "r.md").read_text(encoding="utf-8")
    run("optimize", model, "--threads", "1")
    run("inspect", model)
    refused(("trt", "--onnx", model, *TRT), "UTF-8", "rename the file")
