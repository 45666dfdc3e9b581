"""Options that ``lift`` and ``serve`` share, each in one place."""

from __future__ import annotations

import argparse

from posemamba_runtime.cli.words import BACKENDS, choice, count, named, number
from posemamba_runtime.keypoints.layouts import LAYOUTS, layout_name
from posemamba_runtime.keypoints.reader import parse_size

_TALLEST_M = 3.0


def add_layout(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--layout",
        type=named(layout_name),
        metavar="NAME",
        help=f"order of the joints where unknown: {', '.join(LAYOUTS)}",
    )


def add_size(group: argparse._ArgumentGroup, whose: str) -> None:
    """``whose``: what has the size, and who may leave it to be said."""
    group.add_argument("--size", type=named(parse_size), metavar="WxH", help=f"pixels of {whose}")


def add_height(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--height-m",
        type=number("a height", 0.3, _TALLEST_M, "metres"),
        default=0,
        metavar="H",
        help="the people's height: poses in metres",
    )


def add_window_and_hop(group: argparse._ArgumentGroup, hop: str) -> None:
    """``hop``: what it is of this command, and what it is left out."""
    group.add_argument(
        "--window",
        type=count("a window"),
        default=0,
        metavar="N",
        help="frames the network sees at once  [the model's]",
    )
    group.add_argument("--hop", type=count("a hop"), default=0, metavar="N", help=hop)


def add_backend(group: argparse._ArgumentGroup) -> None:
    """What runs the model, and on how many threads."""
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
    group.add_argument(
        "--tf32",
        action="store_true",
        help="onnxruntime-cuda: let float32 products round their inputs to 10 bits",
    )
