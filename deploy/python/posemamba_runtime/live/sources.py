"""Where live frames come from: lines of standard input, or UDP datagrams."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any, BinaryIO

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.keypoints.errors import InputError, problem
from posemamba_runtime.keypoints.source import MAX_LINE, parse_json

_LARGEST_DATAGRAM = 65_535

Item = Any
"""A document, or the InputError of one that cannot be read: a stream goes on after it."""


def lines(stream: BinaryIO) -> Iterator[Item]:
    """A document a line, as it comes.

    Raises:
        InputError: a line that is too long, after which nothing can be told apart.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise problem("standard input", f"line {number} is over {MAX_LINE >> 20} MiB: stopped")
        if line.strip():
            yield _document(line, f"line {number}")


def datagrams(host: str, port: int) -> Iterator[Item]:
    """A document a datagram, or several, a line each; until the process is stopped.

    Raises:
        BadArgument: the address cannot be listened to.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[
            0
        ]
        listening = socket.socket(family, kind, protocol)
        listening.bind(address)
    except OSError as error:
        raise BadArgument(
            f"--udp {host}:{port} cannot be listened to ({error.strerror}): choose another port"
        ) from None
    with closing(listening):
        number = 0
        while True:
            content, _ = listening.recvfrom(_LARGEST_DATAGRAM)
            number += 1
            for line in content.splitlines():
                if line.strip():
                    yield _document(line, f"datagram {number}")


def _document(line: bytes, place: str) -> Item:
    try:
        return parse_json(line, place)
    except InputError as error:
        return error
