"""Option types and number formats of the exporter's command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from posemamba.text import suggestion

if TYPE_CHECKING:
    _Count = click.ParamType[int | None]
    _Number = click.ParamType[float]
else:  # click 8.1 has no generic ParamType
    _Count = _Number = click.ParamType


class CountOrDynamic(_Count):
    """``dynamic`` (None) or a whole number from 1."""

    name = "count"

    def __init__(self, most: int | None = None, what: str = "") -> None:
        self.most = most
        self.what = what

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "[dynamic|N]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        if isinstance(value, int):
            return value
        text = str(value).strip().casefold()
        if text == "dynamic":
            return None
        try:
            count = int(text)
        except ValueError:
            near = suggestion(text, ["dynamic"]) if text.isalpha() else ""
            self.fail(f"'{value}' is neither 'dynamic' nor a whole number{near}", param, ctx)
        if count < 1:
            self.fail(f"{count} is too small: use 'dynamic' or a number from 1", param, ctx)
        if self.most is not None and count > self.most:
            self.fail(f"{count} is too large: {self.what} at most {self.most}", param, ctx)
        return count


class Positive(_Number):
    """A finite number above zero."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(str(value))
        except ValueError:
            self.fail(f"'{value}' is not a number", param, ctx)
        if not 0.0 < number < float("inf"):
            self.fail(f"{value} is not a finite number above zero", param, ctx)
        return number


def size_text(size: int) -> str:
    """``37.9 MB``; megabytes are 10**6 bytes, as file managers and download pages count."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
