"""Options that several commands share; their limits and choices are the library's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from posemamba.cli.tool import FilePath, NearChoice, OptionType, Whole
from posemamba.config import MAX_FRAMES, VARIANTS
from posemamba.errors import InputError
from posemamba.scan_order import SCAN_ORDERS, get_scan_order, is_known_scan

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


class ScanOrderType(NearChoice):
    """``auto``, a name of the table, an official name, or a YAML file; gives the order's name."""

    def __init__(self) -> None:
        super().__init__(("auto", *SCAN_ORDERS))

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if text.lower() == "auto":
            return "auto"
        if Path(text).suffix.lower() in (".yaml", ".yml"):
            from posemamba.checkpoint.official_config import read_scan_order_file

            return read_scan_order_file(text)
        try:
            return get_scan_order(text).name
        except InputError as error:
            if is_known_scan(text):  # and not supported: the reason is better than a near miss
                self.fail(str(error), param, ctx)
            return super().convert(value, param, ctx)


class ImageSizeType(OptionType[tuple[int, int]]):
    """``1920x1080``."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        from posemamba_runtime.keypoints.errors import InputError as Refused
        from posemamba_runtime.keypoints.reader import parse_size

        try:
            return parse_size(str(value))
        except Refused as error:
            self.fail(str(error), param, ctx)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How keypoint files are read: three options, one argument ``reading`` of the command."""

    @click.option(
        "--format",
        "file_format",
        metavar="NAME",
        help="Format of the keypoints, as 'pmexport lift' names it; else looked at.",
    )
    @click.option(
        "--size",
        type=ImageSizeType(),
        metavar="WxH",
        help="Pixels of the image, where the file does not tell.",
    )
    @click.option("--layout", metavar="NAME", help="Order of the joints, where unknown.")
    @wraps(command)
    def with_reading(
        *given: Any,
        file_format: str | None,
        size: tuple[int, int] | None,
        layout: str | None,
        **options: Any,
    ) -> object:
        from posemamba.pose.clips import DEFAULT_READING, Reading

        reading = Reading(file_format, size, layout)
        if reading != DEFAULT_READING and options.get("inputs", True) is None:
            raise click.UsageError("--format, --size and --layout are for --inputs: give it too")
        return command(*given, reading=reading, **options)

    return with_reading


PATH = FilePath()
FRAMES = Whole(1, MAX_FRAMES)
SEED = Whole(0, 2**63 - 1)
SIZE = NearChoice(tuple(VARIANTS))
DEVICE: Option = click.option("--device", default="cpu", show_default=True,
                              help="cpu, cuda or cuda:N.")  # fmt: skip
SCAN_ORDER: Option = click.option(
    "--scan-order", type=ScanOrderType(), default="auto", show_default=True,
    callback=lambda _context, _option, order: None if order == "auto" else order,
    help="Where the checkpoint does not tell; also an official name, or FILE.yaml with a table.",
)  # fmt: skip
WEIGHTS: Option = click.option(
    "--weights", metavar="averaged|raw|NAME",
    help="Which weights, of a checkpoint that holds several sets.",
)  # fmt: skip
COUNTED_FRAMES: Option = click.option(
    "--frames", type=FRAMES, default=MAX_FRAMES, show_default=True,
    help="Frames of the clip that the GMAC are of.",
)  # fmt: skip
