"""The command line: what may be said, and one line for what may not."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from posemamba_runtime.cli.common_arguments import (
    add_backend,
    add_height,
    add_layout,
    add_size,
    add_window_and_hop,
)
from posemamba_runtime.cli.serve_arguments import add_serve
from posemamba_runtime.cli.words import address, choice, count, file_name, named, number
from posemamba_runtime.detectors.video import DETECTORS
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.formats import FORMAT_NAMES
from posemamba_runtime.keypoints.reader import MIN_CONFIDENCE, format_name
from posemamba_runtime.keypoints.tracks import parse_person
from posemamba_runtime.outputs import FORMATS
from posemamba_runtime.outputs.vmc import parse_address
from posemamba_runtime.text import nearest, printable

POLICIES = ("blend", "last", "center")
UNITS = ("m", "mm")


class _Parser(argparse.ArgumentParser):
    """Errors are exceptions of one line, with the near miss where there is one."""

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401 (argparse's type has no flush)
        """As argparse does, which takes a help that could not be written for one that was."""
        stream = file or sys.stderr
        stream.write(message)
        stream.flush()

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (\S+)", message)
        if unknown:
            option = unknown.group(1).split("=")[0]
            message = (
                f"no option '{printable(option, 40)}'{nearest(option, self._options())}"
                if option.startswith("-")
                else f"'{printable(option, 40)}' is one word too many: leave it out"
            )
        raise InputError(f"{message}; see '{self.prog} --help'")

    def _options(self) -> list[str]:
        parsers = [self]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
        return [option for parser in parsers for option in parser._option_string_actions]


def parser(program: str) -> argparse.ArgumentParser:
    """The parser of the command that messages call ``program``."""
    root = _Parser(prog=program, allow_abbrev=False)
    commands = root.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    lift = commands.add_parser(
        "lift",
        allow_abbrev=False,
        help="2D keypoints to 3D poses",
        description="Lift a recording of 2D keypoints, or a live stream of them, to 3D.",
    )
    lift.add_argument(
        "model", type=file_name, metavar="MODEL", help="an ONNX model, an engine, or 'demo'"
    )
    lift.add_argument(
        "keypoints",
        type=file_name,
        metavar="KEYPOINTS",
        nargs="?",
        help="what a 2D detector wrote, '-' for a frame of JSON a line, or a video with --detector",
    )
    lift.add_argument(
        "-o",
        "--output",
        type=file_name,
        metavar="OUT",
        help="file to write, its ending says the format; '-' for JSON lines",
    )
    _reading(lift.add_argument_group("reading"))
    _detecting(lift.add_argument_group("a video"))
    _lifting(lift.add_argument_group("lifting"))
    _living(lift.add_argument_group("live"))
    _archiving(lift.add_argument_group("archives"))
    add_serve(commands)
    return root


def _reading(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format",
        type=named(format_name),
        metavar="NAME",
        help=f"{', '.join(FORMAT_NAMES)}  [default: looked at]",
    )
    add_layout(group)
    add_size(group, "the image, where the file does not tell")
    group.add_argument(
        "--rate",
        "--fps",
        type=number("a rate", 0.001, 10_000, "frames a second"),
        metavar="N",
        help="frames a second, where the file does not tell  [30]",
    )
    group.add_argument(
        "--min-confidence",
        type=number("a confidence", 0, 0.999, "a share"),
        default=MIN_CONFIDENCE,
        metavar="C",
        help=f"keypoints below it were not found  [{MIN_CONFIDENCE}]",
    )
    group.add_argument(
        "--person",
        type=named(parse_person),
        default="all",
        metavar="WHO",
        help="all, largest, or an id  [all]",
    )
    group.add_argument("--clip", metavar="NAME", help="the clip of an .npz that holds several")


def _detecting(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--detector",
        type=choice("detector", tuple(DETECTORS)),
        metavar="NAME",
        help=f"KEYPOINTS is a video: {', '.join(DETECTORS)}",
    )
    group.add_argument(
        "--detector-python",
        metavar="PATH",
        help="the Python that has the detector  [looked for]",
    )


def _lifting(group: argparse._ArgumentGroup) -> None:
    add_height(group)
    group.add_argument(
        "--units", type=choice("unit", UNITS), metavar="U", help="m or mm, with --height-m  [m]"
    )
    group.add_argument(
        "--root", action="store_true", help="estimate where the pelvis is before the camera too"
    )
    group.add_argument(
        "--focal",
        type=number("a focal length", 1, 1e6, "pixels"),
        metavar="PX",
        help="focal length in pixels, for --root  [assumed]",
    )
    group.add_argument(
        "--smoothing",
        type=number("a smoothing", 0, 1000, "a beta of 0 or more"),
        default=0.0,
        metavar="BETA",
        help="of a One-Euro filter  [none]",
    )
    group.add_argument("--flip", action="store_true", help="average with the mirrored clip")
    add_window_and_hop(group, "frames between windows  [3/4 of a window where blended, else 1]")
    group.add_argument(
        "--policy",
        type=choice("policy", POLICIES),
        metavar="P",
        help="the frame of a window that is taken: blend, last or center  [blend]",
    )
    add_backend(group)


def _living(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--live",
        action="store_true",
        help="a pose out for every frame in, as JSON lines on standard output",
    )
    group.add_argument(
        "--udp",
        type=address,
        metavar="[HOST:]PORT",
        help="live from datagrams of JSON instead of standard input",
    )
    group.add_argument(
        "--vmc",
        type=named(parse_address),
        metavar="HOST[:PORT]",
        help="live to an avatar, one person; lines then only with -o -",
    )
    group.add_argument(
        "--latency-ms",
        type=number("a latency", 0.1, 60_000, "milliseconds"),
        metavar="MS",
        help="choose the window and the delay for this budget",
    )


def _archiving(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="KEYPOINTS is a folder of recordings, @LIST or Parquet, OUT a folder: lift all of "
        "them on Ray, here or where ADDRESS says (HOST:PORT, or 'auto')",
    )
    group.add_argument(
        "--to",
        type=choice("output format", tuple(suffix[1:] for suffix in FORMATS)),
        metavar="F",
        help="format of the files in OUT: npz, json, parquet, ...  [npz]",
    )
    group.add_argument(
        "--workers",
        type=count("a number of processes"),
        metavar="N",
        help="processes, each with --threads cores [1] or a GPU  [all that there are]",
    )


def refuse_without_ray(arguments: argparse.Namespace) -> None:
    """Refuse the options of archives where there is none.

    Raises:
        InputError: names the option.
    """
    for option in ("to", "workers"):
        if getattr(arguments, option) is not None:
            raise InputError(f"--{option} is for archives: give --ray, or leave it out")


def refuse_shut_output(arguments: argparse.Namespace) -> None:
    """Refuse poses for standard output where the process has none.

    Raises:
        InputError: says where else they can go.
    """
    lines_alone = (arguments.live or arguments.udp) and not arguments.vmc
    if arguments.output == "-" or (arguments.output is None and lines_alone):
        raise InputError("standard output is closed, and poses go there: name a file with -o")
