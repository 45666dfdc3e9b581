"""What ``serve`` may be told."""

from __future__ import annotations

import argparse
from typing import Any

from posemamba_runtime.cli.words import BACKENDS, choice, count, named, number
from posemamba_runtime.keypoints.layouts import LAYOUTS, layout_name
from posemamba_runtime.keypoints.reader import parse_size

LOOPBACK = "127.0.0.1"


def add_serve(commands: Any) -> None:  # noqa: ANN401 (argparse's own type has no public name)
    """Add the command ``serve``."""
    serve: argparse.ArgumentParser = commands.add_parser(
        "serve",
        allow_abbrev=False,
        help="many cameras at once, through WebSockets",
        description="Lift the keypoints of many cameras, on Ray Serve.",
    )
    serve.add_argument("model", metavar="MODEL", help="an ONNX model, an engine, or 'demo'")
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
        type=_port,
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
    group.add_argument(
        "--window",
        type=count("a window"),
        default=0,
        metavar="N",
        help="frames the network sees at once  [the model's]",
    )
    group.add_argument(
        "--hop",
        type=count("a hop"),
        default=0,
        metavar="N",
        help="frames from one pose to the next  [what this machine keeps up with, measured]",
    )
    group.add_argument(
        "--size",
        type=named(parse_size),
        metavar="WxH",
        help="pixels of the cameras' images, where they do not tell",
    )
    group.add_argument(
        "--layout",
        type=named(layout_name),
        metavar="NAME",
        help=f"order of the joints where unknown: {', '.join(LAYOUTS)}",
    )
    group.add_argument(
        "--height-m",
        type=number("a height", 0.3, 3, "metres"),
        default=0,
        metavar="H",
        help="the people's height: poses in metres",
    )
    group.add_argument(
        "--backend",
        type=choice("backend", BACKENDS),
        default="auto",
        metavar="B",
        help=f"{', '.join(BACKENDS)}  [auto]",
    )
    group.add_argument(
        "--threads",
        type=count("a number of threads"),
        default=0,
        metavar="N",
        help="on the CPU  [the runtime's choice]",
    )


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"'{text[:20]}' is no port: give a number from 1 to 65535")
    return int(text)
