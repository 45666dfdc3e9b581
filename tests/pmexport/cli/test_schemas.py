"""What ``--json`` gives is of the committed schemas, for every command that has the option; and
whoever reads it through a pipe gets nothing else."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import jsonschema
import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner
from example_networks import EXAMPLES
from example_networks import FOLDER as NETWORKS
from places import ROOT

from pmexport.bench.meters import Conditions
from pmexport.cli.main import cli
from pmexport.libraries import custom_op_library

FOLDER = ROOT / "export" / "pmexport" / "schemas"
SCHEMAS = {path.name.removesuffix(".schema.json"): path for path in FOLDER.glob("*.json")}
QUICK = ("--seconds", "0.02", "--threads", "1", "--frames", "3")
BENCH = ("bench", "tiny.onnx", "--warmup", "0.01", *QUICK)

#: Command lines by schema; ``OUT`` stands for a report's name, without it the report is printed.
CASES: dict[str, tuple[tuple[str, ...], ...]] = {
    "check": (
        ("check", "tiny.onnx", "--ckpt", "tiny.pth.tr", "--threads", "1", "--json", "OUT"),
        ("check", "tiny.onnx", "--reference", "mine.npz", "--threads", "1", "--json", "OUT"),
    ),
    "bench": (
        (*BENCH, "--layers", "--gate", "p95=1e9,drops=100", "--json", "OUT"),
        (*BENCH, "--compare", "old.json", "--json", "OUT"),
        (*BENCH, "--runtime", "torch", "--ckpt", "tiny.pth.tr", "--json", "OUT"),
    ),
    "prediction": (("bench", "tiny.onnx", "--predict", "orin-nano", "--json", "OUT"),),
    "regress": (
        ("regress", "tiny.pth.tr", "--precision", "fp32", *QUICK, "--json", "OUT"),
        ("regress", "tiny.pth.tr", "--precision", "fp32", *QUICK, "--compare", "cells.json",
         "--json", "OUT"),
    ),
    "export-module": (
        ("export-module", "vim.py:build", *EXAMPLES["vim"], "-o", "vim.onnx", "--json", "OUT"),
    ),
    "inspect-onnx": (("inspect", "tiny.onnx", "--json"), ("inspect", "cuda.onnx", "--json")),
    "inspect-checkpoint": (("inspect", "tiny.pth.tr", "--json"), ("inspect", "demo", "--json")),
    "inspect-reference": (("inspect", "mine.npz", "--json"),),
    "inspect-ort": (("inspect", "tiny.ort", "--json"),),
    "doctor": (("doctor", "--json"),),
}  # fmt: skip
#: Codes of commands that find fault with what they were given, as these may.
FINDINGS = (0, 1)


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCHEMAS[name].read_text(encoding="utf-8"))
    return found


def problems(value: object, name: str) -> list[str]:
    errors = jsonschema.Draft202012Validator(schema(name)).iter_errors(value)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


@pytest.fixture(scope="module")
def made(exports: Path) -> Path:
    """The other files that the cases need, beside the exports."""
    clip = np.zeros((1, 5, 17, 2), np.float32)
    np.savez(exports / "mine.npz", keypoints_2d=clip, poses_3d=np.zeros((1, 5, 17, 3), np.float32))
    run = CliRunner().invoke
    shutil.copy(NETWORKS / "vim.py", exports)
    model = str(exports / "tiny.onnx")
    run(cli, ["optimize", model, "-o", str(exports / "cuda.onnx")])
    run(cli, ["bench", model, *BENCH[2:], "--json", str(exports / "old.json")])
    weights = str(exports / "tiny.pth.tr")
    cells = str(exports / "cells.json")
    run(cli, ["regress", weights, "--precision", "fp32", *QUICK, "--json", cells])
    options = ort.SessionOptions()
    options.register_custom_ops_library(custom_op_library())
    options.optimized_model_filepath = str(exports / "tiny.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return exports


@pytest.mark.parametrize("name", CASES)
def test_reports_are_of_their_schema(made: Path, here: Path, name: str) -> None:
    for case in CASES[name]:
        arguments = ["r.json" if word == "OUT" else word for word in case]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code in FINDINGS, result.output
        quiet = [line for line in result.stderr.splitlines() if not line.startswith("Warning: ")]
        assert quiet == []
        assert "\x1b" not in result.stdout
        assert "\r" not in result.stdout
        printed = "OUT" not in case
        text = result.stdout if printed else (here / "r.json").read_text(encoding="utf-8")
        report = json.loads(text)
        assert problems(report, name) == []
        for key in schema(name)["required"]:
            less = copy.deepcopy(report)
            del less[key]
            assert problems(less, name), f"without {key} it is of the schema all the same"
        assert problems(report | {"schema": 2}, name)


def test_every_command_with_the_option_is_in_the_table() -> None:
    with_json = {
        name
        for name, command in cli.commands.items()
        if any(isinstance(p, click.Option) and "--json" in p.opts for p in command.params)
    }
    assert with_json == {case[0] for cases in CASES.values() for case in cases}
    assert set(SCHEMAS) == set(CASES)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas_with_a_version(name: str) -> None:
    found = schema(name)
    jsonschema.Draft202012Validator.check_schema(found)
    assert found["$id"] == f"urn:posemamba:pmexport:{name}:1"
    assert found["properties"]["schema"] == {"const": 1}
    assert found["description"]


def test_a_gpus_conditions_are_of_the_schema() -> None:
    """No GPU is here: what a meter would have said, against its part of the schema."""
    row = schema("bench")["properties"]["runtimes"]["additionalProperties"]["properties"]
    seen = Conditions(
        meter="nvml", scope="the GPU's board", seconds=3.0, samples=60, power_w=312.4,
        most_power_w=330.0, energy_j=937.2, energy_from="counter", clock_mhz=(1755.0, 1980.0),
        temperature_c=61.0, throttled=("power cap",), memory_mib=900.0, notes=(),
    )  # fmt: skip
    said = json.loads(json.dumps(asdict(seen)))
    jsonschema.validate(said, row["conditions"])
    jsonschema.validate(None, row["conditions"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(said | {"meter": "a lamp"}, row["conditions"])


def test_an_unknown_field_is_no_report_of_bench(made: Path) -> None:
    report = json.loads((made / "old.json").read_text(encoding="utf-8"))
    assert problems(report, "bench") == []
    assert problems(report | {"speed": 1}, "bench")
    report["runtimes"]["ort-cpu"]["total"]["median"] = "fast"
    assert problems(report, "bench")
