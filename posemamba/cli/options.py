"""Options that several commands share; their limits and choices are the library's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from posemamba.cli.tool import FilePath, NearChoice, Whole
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
COUNTED_FRAMES: Option = click.option(
    "--frames", type=FRAMES, default=MAX_FRAMES, show_default=True,
    help="Frames of the clip that the GMAC are of.",
)  # fmt: skip
