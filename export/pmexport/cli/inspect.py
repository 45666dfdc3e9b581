"""``pmexport inspect`` and ``pmexport doctor``: parse, call, print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from pmexport.cli.options import PATH
from pmexport.format.names import ENGINE_SUFFIX
from posemamba.cli.tool import CHECK_FAILED


@click.command()
@click.argument("file", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(file: Path, as_json: bool) -> None:
    """Show what is in FILE: an ONNX model, an engine, a checkpoint or a reference."""
    if file.suffix.lower() == ENGINE_SUFFIX:
        from pmexport.trt.report import inspect_text

        click.echo(inspect_text(file, as_json=as_json))
        return
    found = _found(file)
    click.echo(json.dumps(found, indent=2) if as_json else _plain(found))


def _found(file: Path) -> dict[str, Any]:
    """What the reader of a file's kind says of it; without a known ending it is an ONNX model."""
    from pmexport.exporting.request import CHECKPOINT_SUFFIXES
    from posemamba.checkpoint.bundled import bundled_checkpoint

    suffix = file.suffix.lower()
    if suffix == ".npz":
        from pmexport.check.module import inspect_module_reference
        from pmexport.check.reference import inspect_reference

        return inspect_module_reference(file) or inspect_reference(file)
    named = bundled_checkpoint(file) is not None
    if named or suffix in CHECKPOINT_SUFFIXES or (suffix != ".onnx" and file.is_dir()):
        from pmexport.exporting.describe import inspect_checkpoint

        return inspect_checkpoint(file)
    from pmexport.format.facts import inspect_onnx

    return inspect_onnx(file)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Show what this machine has and lacks, and try the operators."""
    from pmexport.doctor.diagnose import diagnose
    from pmexport.doctor.report import doctor_lines

    diagnosis = diagnose()
    text = json.dumps(diagnosis.to_dict(), indent=2) if as_json else "\n".join(
        doctor_lines(diagnosis)
    )  # fmt: skip
    click.echo(text)
    if not diagnosis.ok:
        sys.exit(CHECK_FAILED)


def _plain(values: Any, indent: str = "") -> str:  # noqa: ANN401
    """Nested dicts as indented ``name: value`` lines, small ones on one line."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            short = ", ".join(f"{key} {_scalar(inner)}" for key, inner in value.items())
            if any(isinstance(inner, dict) for inner in value.values()) or len(short) > 80:
                lines += [f"{indent}{name}:", _plain(value, indent + "  ")]
            else:
                lines.append(f"{indent}{name}: {short or '-'}")
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}")
    return "\n".join(lines)


def _scalar(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else json.dumps(value)
