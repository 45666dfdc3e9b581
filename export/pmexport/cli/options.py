"""What several commands share: option types, options, reports as files."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import click

from pmexport.format.limits import MAX_THREADS
from pmexport.format.names import ENGINE_SUFFIX
from pmexport.format.options import DEFAULT_OPSET, Precision
from pmexport.runtimes.registry import RUNTIMES
from posemamba.cli.options import ScanOrderType
from posemamba.cli.tool import FilePath, NearChoice, OptionType, Whole
from posemamba.text import suggestion

Command = TypeVar("Command", bound=Callable[..., Any])


class CountOrDynamic(OptionType[int | None]):
    """``dynamic`` (None) or a whole number from 1 to ``most``; ``what`` says why no more."""

    name = "count"

    def __init__(self, most: int, what: str) -> None:
        self.most = most
        self.what = what

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "[dynamic|N]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        if isinstance(value, int):
            return value
        text = str(value).strip().casefold()
        if text == "dynamic":
            return None
        try:
            count = int(text)
        except ValueError:
            near = suggestion(text, ["dynamic"]) if text.isalpha() else ""
            self.fail(f"'{value}' is neither 'dynamic' nor a whole number{near}", param, ctx)
        if count < 1:
            self.fail(f"{count} is too small: use 'dynamic' or a number from 1", param, ctx)
        if count > self.most:
            self.fail(f"{count} is too large: {self.what} at most {self.most}", param, ctx)
        return count


class Positive(OptionType[float]):
    """A finite number above zero."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(str(value))
        except ValueError:
            self.fail(f"'{value}' is not a number", param, ctx)
        if not 0.0 < number < float("inf"):
            self.fail(f"{value} is not a finite number above zero", param, ctx)
        return number


class OnnxPath(FilePath):
    """A path; an engine is told from an ONNX model here, for no reader of ONNX knows TensorRT."""

    def convert(
        self,
        value: str | PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() == ENGINE_SUFFIX:
            from pmexport.engine.sidecar import refuse_engine

            refuse_engine(path)
        return path


PATH = FilePath()
THREADS = Whole(1, MAX_THREADS)
MODEL = click.argument("model", type=OnnxPath())
MODEL_OR_ENGINE = click.argument("model", type=PATH)
CHECKPOINT = click.option(
    "--ckpt",
    "checkpoint",
    required=True,
    type=PATH,
    help="Checkpoint file or unpacked folder; or demo.",
)
SCAN_ORDER = click.option(
    "--scan-order",
    type=ScanOrderType(),
    default="auto",
    show_default=True,
    help="Scan order, where the checkpoint does not tell it; also an official name, or FILE.yaml "
    "with a table.",
)
OPSET = click.option(
    "--opset", type=int, default=DEFAULT_OPSET, show_default=True, help="ONNX operator set."
)
KEEP = click.option(
    "--keep", type=PATH, help="YAML list of modules that stay fp32 in an fp16 model."
)
JSON_REPORT = click.option(
    "--json", "json_path", type=PATH, help="Write the report there, ending in .json."
)


TF32 = click.option(
    "--tf32", is_flag=True, help="Let float32 products on a GPU round their inputs to 10 bits."
)


def runtime_option(text: str) -> Callable[[Command], Command]:
    """``--runtime``, as often as wanted."""
    return click.option(
        "--runtime",
        "runtimes",
        type=NearChoice(tuple(RUNTIMES)),
        multiple=True,
        help=f"{text}  [default: ort-cpu; of an engine, its own]",
    )


def one_precision(precision: Precision | None, fp32: bool, fp16: bool) -> Precision | None:
    """What ``--precision``, ``--fp32`` and ``--fp16`` say together.

    Raises:
        click.UsageError: two of them contradict each other.
    """
    said: dict[str, Precision] = {}
    if fp32:
        said["--fp32"] = "fp32"
    if fp16:
        said["--fp16"] = "fp16"
    if precision is not None:
        said[f"--precision {precision}"] = precision
    if len(set(said.values())) > 1:
        raise click.UsageError(f"{' and '.join(said)} are both given: choose one, a file each")
    return next(iter(said.values()), None)


def kept(path: Path | None) -> tuple[str, ...]:
    """The entries of ``--keep``; none without it."""
    if path is None:
        return ()
    from pmexport.format.keep import read_keep

    return read_keep(path)


def named(choice: str) -> str | None:
    """None for ``auto``."""
    return None if choice == "auto" else choice


def write_text(path: Path, text: str) -> None:
    """Write a report, whole or not at all."""
    from posemamba.files.output import replacing

    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")  # it may name any file
