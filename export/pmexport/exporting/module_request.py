"""What ``pmexport export-module`` was asked for: a network, its inputs, which sizes are free."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pmexport.ops.stand_ins import PACKAGES
from posemamba.errors import InputError
from posemamba.text import one_line, suggestion

if TYPE_CHECKING:
    from torch import nn

TYPES = ("float32", "int64", "int32", "bool")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST_ELEMENTS = 2**28  # of one input: a gibibyte


@dataclass(frozen=True)
class InputSpec:
    """One input: its name, the shape it is traced with, and its type, one of :data:`TYPES`."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class FreeSize:
    """A size that is left open.

    Attributes:
        symbol: what the ONNX model calls it.
        places: inputs and axes that have it.
        most: its largest value; None for any.
    """

    symbol: str
    places: tuple[tuple[str, int], ...]
    most: int | None = None


def parse_inputs(texts: Sequence[str]) -> tuple[InputSpec, ...]:
    """``x=2x48x32`` or ``tokens=1,16:int64``, as often as there are inputs.

    Raises:
        InputError: none, a name twice, or no sizes.
    """
    if not texts:
        raise InputError("give --input NAME=SHAPE of every input, such as --input x=2x48x32")
    specs = []
    for text in texts:
        name, found, rest = text.partition("=")
        sizes, _, dtype = rest.partition(":")
        numbers = re.split("[x,]", sizes) if sizes else []
        if not found or not _NAME.fullmatch(name) or not all(n.isdecimal() for n in numbers):
            raise InputError(
                f"--input '{text}': it is NAME=SHAPE or NAME=SHAPE:TYPE, such as x=2x48x32 or "
                "tokens=1x16:int64"
            )
        shape = tuple(int(number) for number in numbers)
        elements = 1
        for size in shape:
            elements *= size
        if not 1 <= elements <= _MOST_ELEMENTS:
            raise InputError(f"--input '{text}': {elements:,} numbers, use 1 to {_MOST_ELEMENTS:,}")
        if dtype and dtype not in TYPES:
            raise InputError(f"--input '{text}': type '{dtype}'{suggestion(dtype, TYPES)}")
        specs.append(InputSpec(name, shape, dtype or "float32"))
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"--input {twice} is given twice: name each input once")
    return tuple(specs)


def parse_dynamic(texts: Sequence[str], inputs: Sequence[InputSpec]) -> tuple[FreeSize, ...]:
    """``batch=x:0``, or ``length:512=x:1,mask:1`` for one of at most 512 that two inputs share.

    Raises:
        InputError: an input or axis that is not there, one that is named twice, or sizes of one
            name that differ.
    """
    known = {spec.name: spec for spec in inputs}
    found: list[FreeSize] = []
    taken: set[tuple[str, int]] = set()
    for text in texts:
        left, equals, right = text.partition("=")
        symbol, colon, most = left.partition(":")
        parts = [re.fullmatch(r"(\w+):(\d+)", part) for part in right.split(",")]
        if not equals or not _NAME.fullmatch(symbol) or (colon and not most.isdecimal()):
            raise InputError(
                f"--dynamic '{text}': it is NAME=INPUT:AXIS or NAME:MOST=INPUT:AXIS,..., such as "
                "batch=x:0"
            )
        places = []
        for part in parts:
            if part is None or part[1] not in known:
                raise InputError(
                    f"--dynamic '{text}': after the = comes INPUT:AXIS with an input of --input: "
                    f"{', '.join(known)}"
                )
            place = (part[1], int(part[2]))
            axes = len(known[place[0]].shape)
            if place[1] >= axes:
                raise InputError(f"--dynamic '{text}': {place[0]} has axes 0 to {axes - 1}")
            if place in taken:
                raise InputError(f"--dynamic '{text}': {place[0]}:{place[1]} is named twice")
            taken.add(place)
            places.append(place)
        limit = int(most) if most else None
        sizes = {known[name].shape[axis] for name, axis in places}
        if len(sizes) > 1 or symbol in {size.symbol for size in found}:
            raise InputError(
                f"--dynamic '{text}': one name is one size, in one --dynamic: these are "
                f"{', '.join(map(str, sorted(sizes)))}"
            )
        if limit is not None and limit < max(2, *sizes):
            raise InputError(f"--dynamic '{text}': at most {limit}, but --input has {max(sizes)}")
        found.append(FreeSize(symbol, tuple(places), limit))
    return tuple(found)


@contextmanager
def importable_here() -> Iterator[None]:
    """Within, modules of the working directory can be imported, as ``python -m`` has it."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def build_network(factory: str) -> nn.Module:
    """Call ``package.module:name`` or ``file.py:name``: a function, a class, or a network itself.

    Raises:
        InputError: it cannot be imported or called, or gives no ``torch.nn.Module``.
    """
    from torch import nn

    where, colon, name = factory.rpartition(":")
    if not colon or not where or not name:
        raise InputError(
            f"'{factory}' is not MODULE:NAME, such as mynet.models:build or mynet.py:build"
        )
    try:
        found: object = _module(where)
        for part in name.split("."):
            if not hasattr(found, part):
                public = [each for each in vars(found) if not each.startswith("_")]
                raise InputError(f"'{where}' has no '{part}'{suggestion(part, public)}")
            found = getattr(found, part)
        if not isinstance(found, nn.Module) and not callable(found):
            raise InputError(
                f"'{factory}' is of type {type(found).__name__}: name a function or a class that "
                "gives a torch.nn.Module"
            )
        made = found if isinstance(found, nn.Module) else found()
    except InputError:
        raise
    except Exception as error:  # whatever a user's code raises
        said = f"{type(error).__name__}: {one_line(error)[:200]}"
        stand_in = " (a stand-in is imported, which holds Mamba-1 alone)"
        theirs = any(package in said for package in PACKAGES)
        raise InputError(
            f"'{factory}' cannot be built: {said}{stand_in if theirs else ''}"
        ) from None
    if not isinstance(made, nn.Module):
        raise InputError(f"'{factory}' gives {type(made).__name__}, not a torch.nn.Module")
    return made


def _module(where: str) -> ModuleType:
    if not where.endswith(".py"):
        return importlib.import_module(where)
    path = Path(where)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError(f"'{where}' does not exist: name a Python file, or a module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # as an import of it would: dataclasses and pickle look there
    spec.loader.exec_module(module)
    return module
