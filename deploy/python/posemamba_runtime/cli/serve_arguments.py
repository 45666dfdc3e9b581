"""What ``serve`` may be told."""

from __future__ import annotations

import argparse
from typing import Any

from posemamba_runtime.cli.common_arguments import (
    add_backend,
    add_height,
    add_layout,
    add_size,
    add_window_and_hop,
)
from posemamba_runtime.cli.words import count, file_name, number, port

LOOPBACK = "127.0.0.1"


def add_serve(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command ``serve``."""
    serve = commands.add_parser(
        "serve",
        allow_abbrev=False,
        help="many cameras at once, through WebSockets",
        description="Lift the keypoints of many cameras, on Ray Serve.",
    )
    serve.add_argument(
        "model", type=file_name, metavar="MODEL", help="an ONNX model, an engine, or 'demo'"
    )
    _listening(serve.add_argument_group("listening"))
    _load(serve.add_argument_group("load"))
    _lifting(serve.add_argument_group("lifting"))


def _listening(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help=f"to listen on; another than this machine's own needs --token-file  [{LOOPBACK}]",
    )
    group.add_argument(
        "--port",
        type=port,
        default=8765,
        metavar="N",
        help="[8765]",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        help="a file whose first line every client must say",
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const="",
        default="",
        metavar="ADDRESS",
        help="Ray to run on: HOST:PORT, or 'auto'  [one of its own, here]",
    )


def _load(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--cameras",
        type=count("a number of cameras"),
        default=16,
        metavar="N",
        help="at once, on each replica; more are refused  [16]",
    )
    group.add_argument(
        "--rate",
        type=number("a rate", 0.001, 1000, "frames a second"),
        default=30.0,
        metavar="N",
        help="frames a second of each camera  [30]",
    )
    group.add_argument(
        "--queue",
        type=count("a queue"),
        default=256,
        metavar="N",
        help="frames that may wait, of all cameras; more are refused  [256]",
    )
    group.add_argument(
        "--max-latency-ms",
        type=number("a latency", 1, 60_000, "milliseconds"),
        default=500.0,
        metavar="MS",
        help="a frame that has waited longer is passed over  [500]",
    )
    group.add_argument(
        "--replicas",
        type=count("a number of replicas"),
        default=1,
        metavar="N",
        help="processes with a lifter each  [1]",
    )


def _lifting(group: argparse._ArgumentGroup) -> None:
    add_window_and_hop(
        group, "frames from one pose to the next  [what this machine keeps up with, measured]"
    )
    add_size(group, "the cameras' images, where they do not tell")
    add_layout(group)
    add_height(group)
    add_backend(group)
