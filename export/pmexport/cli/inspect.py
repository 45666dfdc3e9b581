"""``pmexport inspect`` and ``pmexport doctor``: parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pmexport.cli.options import PATH, write_text
from posemamba.cli.options import WEIGHTS
from posemamba.cli.tool import CHECK_FAILED
from posemamba.text import json_text


@click.command()
@click.argument("file", type=PATH)
@WEIGHTS
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", "html_path", type=PATH, help="Write one page of it, ending in .html.")
def inspect(file: Path, weights: str | None, as_json: bool, html_path: Path | None) -> None:
    """Show what is in FILE: an ONNX model, an engine, a checkpoint or a reference."""
    from pmexport.inspect.found import text_of
    from pmexport.inspect.kinds import inspect_file
    from posemamba.files.output import check_file

    if html_path is not None:
        check_file(html_path, suffix=".html", inputs=[file])
    found = inspect_file(file, weights)
    click.echo(json_text(found.to_dict()) if as_json else text_of(found))
    if html_path is not None:
        from pmexport.inspect.page import page_of

        write_text(html_path, page_of(found, file.name))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--bundle", "bundle_path", type=PATH,
              help="Also write a .zip for an issue, without names and secrets.")  # fmt: skip
def doctor(as_json: bool, bundle_path: Path | None) -> None:
    """Show what this machine has and lacks, and try the operators."""
    from pmexport.doctor.diagnose import diagnose
    from pmexport.doctor.report import doctor_lines
    from posemamba.files.output import check_file

    if bundle_path is not None:
        check_file(bundle_path, suffix=".zip")
    diagnosis = diagnose()
    text = json_text(diagnosis.to_dict()) if as_json else "\n".join(
        doctor_lines(diagnosis)
    )  # fmt: skip
    click.echo(text)
    if bundle_path is not None:
        from pmexport.doctor.bundle import write_bundle

        write_bundle(bundle_path, diagnosis)
        click.echo(f"Bundle: {bundle_path}: look into it before you send it", err=True)
    if not diagnosis.ok:
        sys.exit(CHECK_FAILED)
