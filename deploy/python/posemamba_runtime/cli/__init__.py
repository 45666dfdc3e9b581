"""``python -m posemamba_runtime``: parse, call, print. NumPy and the native library; no torch."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from posemamba_runtime.ending import end_at_sigterm

BAD_REQUEST = 2
INTERRUPTED = 130


PROGRAM = "python -m posemamba_runtime"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; None: the process' own.
        program: what its messages call it, where another command passes its words on.

    Returns:
        0 for success; 1 where some recordings of an archive failed; 2 where the request or an input
        was wrong, told in one line on standard error; 130 after Ctrl-C.
    """
    from posemamba_runtime.cli.arguments import parser, refuse_shut_output, refuse_without_ray
    from posemamba_runtime.errors import Error

    is_shut = sys.stdout is None
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the process
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names are bytes, not always text
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = parser(program).parse_args(argv)
        if is_shut and arguments.command == "lift":
            refuse_shut_output(arguments)
        if arguments.command == "serve":
            from posemamba_runtime.cli.serve import serve

            serve(arguments)
            return 0
        end_at_sigterm()
        if arguments.ray is not None:
            from posemamba_runtime.cli.archive import archive

            return archive(arguments)
        refuse_without_ray(arguments)
        if arguments.live or arguments.udp or arguments.vmc:
            from posemamba_runtime.cli.live import live

            live(arguments)
        else:
            from posemamba_runtime.cli.lift import lift

            lift(arguments)
    except Error as error:
        sys.stderr.write(f"Error: {' '.join(str(error).split())}\n")
        return BAD_REQUEST
    except OSError as error:
        _drop_unwritten()
        if isinstance(error, BrokenPipeError):  # the reader of our output has gone, as 'head' does
            return 0
        sys.stderr.write(f"Error: {_told(error)}\n")
        return BAD_REQUEST
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return INTERRUPTED
    return 0


def _drop_unwritten() -> None:
    """Of an output that takes no more: what is buffered would be tried again, and complained of
    with an exit code of Python's own, at the very end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(error: OSError) -> str:
    """The system's reason; standard output has no name, and fails with none."""
    if error.filename:
        return f"'{error.filename}': {error.strerror}; check the path"
    if error.errno in _FULL:
        return f"the output cannot be written ({error.strerror}): send it elsewhere"
    return error.strerror or str(error)
