"""Types of the words on a command line; each tells in one line what it wants."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from typing import TypeVar

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.text import nearest, printable

T = TypeVar("T")

BACKENDS = (
    *("auto", "onnxruntime-cpu", "onnxruntime-cuda"),
    *("tensorrt", "tensorrt-lean", "tensorrt-rtx"),
)

_MOST_FRAMES = 1_000_000


def named(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of names whose own message is the whole message."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except BadArgument as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def choice(what: str, known: tuple[str, ...]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text.casefold() in known:
            return text.casefold()
        near = nearest(text, known)
        raise argparse.ArgumentTypeError(
            f"no {what} '{printable(text, 20)}'{near}: use one of {', '.join(known)}"
        )

    return convert


def number(what: str, least: float, most: float, unit: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"'{printable(text, 20)}' is not {what}: give {unit}, {least:g} to {most:g}"
            )
        return value

    return convert


def count(what: str) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,7}", text) or not 1 <= int(text) <= _MOST_FRAMES:
            raise argparse.ArgumentTypeError(
                f"'{printable(text, 20)}' is not {what}: give a whole number from 1"
            )
        return int(text)

    return convert


def file_name(text: str) -> str:
    if not text:  # as a path it would be the working directory
        raise argparse.ArgumentTypeError("the name is empty: name a file")
    return text


def port(text: str) -> int:
    number = _port(text)
    if number is None:
        raise argparse.ArgumentTypeError(
            f"'{printable(text, 20)}' is no port: give a number from 1 to 65535"
        )
    return number


def address(text: str) -> tuple[str, int]:
    host, _, last = text.rpartition(":")
    number = _port(last)
    if number is None:
        raise argparse.ArgumentTypeError(
            f"'{printable(text, 40)}' is no port: give a number from 1 to 65535, or HOST:PORT"
        )
    return host or "127.0.0.1", number


def _port(text: str) -> int | None:
    found = int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0
    return found if 0 < found < 65536 else None
