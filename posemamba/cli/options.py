"""Options that several commands share; their limits and choices are the library's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from posemamba.cli.tool import NearChoice
from posemamba.config import MAX_FRAMES, VARIANTS
from posemamba.scan_order import SCAN_ORDERS

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

PATH = click.Path(path_type=Path)
FRAMES = click.IntRange(1, MAX_FRAMES)
SEED = click.IntRange(0, 2**63 - 1)
SIZE = NearChoice(tuple(VARIANTS))
DEVICE: Option = click.option("--device", default="cpu", show_default=True,
                              help="cpu, cuda or cuda:N.")  # fmt: skip
SCAN_ORDER: Option = click.option(
    "--scan-order", type=NearChoice(("auto", *SCAN_ORDERS)), default="auto", show_default=True,
    callback=lambda _context, _option, order: None if order == "auto" else order,
    help="Where the checkpoint does not tell.",
)  # fmt: skip
COUNTED_FRAMES: Option = click.option(
    "--frames", type=FRAMES, default=MAX_FRAMES, show_default=True,
    help="Frames of the clip that the GMAC are of.",
)  # fmt: skip
