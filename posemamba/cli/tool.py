"""What the command-line tools share: one-line errors, exit codes, near-miss correction.

Nothing here imports torch, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

import click

from posemamba.errors import Caution, InputError
from posemamba.text import one_line, suggestion
from posemamba_runtime.ending import end_at_sigterm

#: The exit codes every command keeps to.
SUCCESS, CHECK_FAILED, BAD_REQUEST, INTERRUPTED = 0, 1, 2, 130
#: Packages that an extra of ours brings, by the name that is imported.
EXTRAS = {"torch": "export", "onnxscript": "export", "onnx_ir": "export", "matplotlib": "plot",
          "polygraphy": "polygraphy"}  # fmt: skip

CLOSED_PIPE = 141
"""As of a program that died writing to one (128 + SIGPIPE): nobody reads the output any more."""

TRACEBACK_VARIABLE = "POSEMAMBA_TRACEBACK"


def describe(error: BaseException) -> str:
    """The line a user reads for an exception."""
    if isinstance(error, click.ClickException):
        return one_line(error.format_message())
    if isinstance(error, OSError) and error.strerror:
        if error.filename:
            return one_line(f"'{error.filename}': {error.strerror}")
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EPIPE):
            return one_line(f"the output cannot be written ({error.strerror}): send it elsewhere")
        return one_line(error.strerror)
    if isinstance(error, MemoryError):
        return "not enough memory: use a smaller --batch or --frames"
    if isinstance(error, InputError):
        return one_line(error)
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        if extra := EXTRAS.get(package):
            return f"{package} is not installed, and this needs it: pip install '.[{extra}]'"
    return one_line(
        f"{type(error).__name__}: {str(error).strip() or 'no message'} "
        f"(not expected: set {TRACEBACK_VARIABLE}=1 to see where, and report it)"
    )


def fail(message: str, code: int) -> NoReturn:
    """Print ``Error: message`` on stderr and leave with ``code``."""
    click.echo(_painted("Error: ", "red") + message, err=True)
    sys.exit(code)


def _painted(text: str, colour: str) -> str:
    """Text in a colour; click itself takes it away where no terminal reads."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, fg=colour)


def _drop_unwritten() -> None:
    """Of an output that takes no more: what is buffered would be tried again, and complained of
    with an exit code of Python's own, at the very end."""
    try:
        if sys.stdout is not None:  # closed by whoever started the process
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: compiled modules that are being imported make an ImportError of
    it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


class Tool(click.Group):
    """A command group that never shows a traceback and keeps to the exit codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:  # noqa: ANN401 (as click's)
        """As :meth:`click.Group.main`; without ``standalone_mode`` errors reach the caller."""
        run = partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        end_at_sigterm()
        try:
            code: object = run()
        except _PipeClosed:
            _drop_unwritten()
            sys.exit(CLOSED_PIPE)
        except (click.Abort, _Interrupted):
            fail("interrupted", INTERRUPTED)
        except Exception as error:
            if _is_interrupt(error):
                fail("interrupted", INTERRUPTED)
            if os.environ.get(TRACEBACK_VARIABLE):
                raise
            _drop_unwritten()
            fail(describe(error), BAD_REQUEST)
        sys.exit(code if isinstance(code, int) else SUCCESS)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def invoke(self, ctx: click.Context) -> object:
        cautions: list[str] = []
        try:
            with warnings.catch_warnings():
                warnings.showwarning = partial(_show_warning, cautions)
                if not sys.warnoptions:  # ours are for users; those of torch and onnx are not
                    warnings.simplefilter("ignore")
                    warnings.filterwarnings("default", module=r"(posemamba|pmexport)(\.|$)")
                result = super().invoke(ctx)
            _say(cautions)
            return result
        except SystemExit:  # a command that ends with a code of its own has done its work
            _say(cautions)
            raise
        except KeyboardInterrupt:  # before click turns it into Abort and an empty line on stderr
            raise _Interrupted from None
        except BrokenPipeError:  # before click makes it exit code 1, which is a failed check
            raise _PipeClosed from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with the whole first line of its help: click's own cuts in mid-sentence."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, one_line((command.help or "").partition("\n\n")[0]))
            for name, command in found
            if command is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            raise click.UsageError(f"no command '{args[0]}'{suggestion(args[0], known)}")
        return super().resolve_command(ctx, args)


def _show_warning(
    cautions: list[str], message: Warning | str, *_place: object, **_more: object
) -> None:
    """Print a warning, or keep it for the end where it is of the result."""
    if isinstance(message, Caution):
        cautions.append(one_line(message))
    else:
        _say([one_line(message)])


def _say(messages: list[str]) -> None:
    for message in messages:
        click.echo(_painted("Warning: ", "yellow") + message, err=True)


class _Interrupted(Exception):
    """Ctrl-C while a command ran."""


class _PipeClosed(Exception):
    """Whoever read the output has gone."""


if TYPE_CHECKING:
    OptionType = click.ParamType
    _Choice = click.Choice[str]
else:  # click 8.1 has neither a generic ParamType nor a generic Choice
    _T = TypeVar("_T")

    class OptionType(click.ParamType, Generic[_T]):
        pass

    _Choice = click.Choice


class NearChoice(_Choice):
    """A choice, case-insensitive, that corrects a near miss."""

    def __init__(self, choices: Sequence[str]) -> None:
        super().__init__(choices, case_sensitive=False)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter:
            hint = suggestion(str(value), list(self.choices))
            self.fail(f"'{value}' is not a choice{hint}", param, ctx)


class Whole(click.IntRange):
    """A whole number, whose limits help and messages tell in words."""

    name = "integer"

    def convert(
        self,
        value: Any,  # noqa: ANN401 (what click hands over)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        number = click.INT.convert(value, param, ctx)
        return int(_within(self, number, param, ctx))

    def _describe_range(self) -> str:
        return _limits(self.min, self.max)


class Decimal(click.FloatRange):
    """A number, whose limits help and messages tell in words."""

    name = "number"

    def convert(
        self,
        value: Any,  # noqa: ANN401 (what click hands over)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        number = click.FLOAT.convert(value, param, ctx)
        return _within(self, number, param, ctx)

    def _describe_range(self) -> str:
        return _limits(self.min, self.max, "above" if self.min_open else "from")


_TOLD = 1_000_000


def _limits(low: float | None, high: float | None, word: str = "from") -> str:
    """``1 to 243``, ``from 1``; a limit that nobody comes near is left to the message."""
    if high is None or high >= _TOLD:
        return "" if low is None else f"{word} {low:g}"
    return f"{low:g} to {high:g}"


def _within(
    kind: Whole | Decimal, number: float, param: click.Parameter | None, ctx: click.Context | None
) -> float:
    low, high = kind.min, kind.max
    if low is not None and (number <= low if kind.min_open else number < low):
        fix = f"above {low:g}" if kind.min_open else f"{low:g} or more"
        kind.fail(f"{number} is too small: use {fix}", param, ctx)
    if high is not None and number > high:
        kind.fail(f"{number} is too large: use at most {high}", param, ctx)
    if number != number:  # nan, which no limit refuses
        kind.fail(f"{number} is not a number", param, ctx)
    return number


class Renamed(click.Option):
    """An option that still answers to what it was called before, unseen in the help."""

    def __init__(self, *names: Any, former: Sequence[str] = (), **more: Any) -> None:
        super().__init__(*names, **more)
        self.former = list(former)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ANN401 (click's own)
        shown = self.opts
        self.opts = [*shown, *self.former]
        super().add_to_parser(parser, ctx)
        self.opts = shown


class FilePath(click.Path):
    """A file or folder of this machine."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        if not os.fspath(value):  # as a path it would be the working directory
            self.fail("the name is empty: name a file", param, ctx)
        if "://" in os.fspath(value):  # as a path it would lose a slash, and be told without it
            self.fail(f"'{value}' is an address: download the file and name it", param, ctx)
        return super().convert(value, param, ctx)
