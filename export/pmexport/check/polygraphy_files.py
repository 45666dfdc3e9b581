"""Polygraphy's files, so that runs move between ``pmexport check`` and ``polygraphy run``.

Inputs are what ``--load-inputs`` reads there, poses what ``--load-outputs`` and ``--save-outputs``
do: JSON with arrays in it, written and read by Polygraphy itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pmexport.check.cases import Case
from pmexport.format.names import INPUT_NAME, OUTPUT_NAME
from pmexport.runtimes.base import FloatArray, Lift
from posemamba.errors import InputError
from posemamba.files.input import require_file
from posemamba.files.output import replacing
from posemamba.text import plural, printable, problem

if TYPE_CHECKING:
    from polygraphy.comparator import IterationResult

_LEAST_LIMIT = 64 << 20
"""Bytes that a file of results may have, however short the clips are."""
_BYTES_A_NUMBER = 64
"""Far more than the base64 of a pose's coordinate, for other outputs and runners beside it."""
_MAKE = "'polygraphy run M --load-inputs IN.json --save-outputs {}', with IN.json of --save-inputs"


def save_inputs(path: str | os.PathLike[str], cases: Sequence[Case]) -> None:
    """Write the keypoints of every run, in order.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    from polygraphy.json import save_json

    feeds = [{INPUT_NAME: case.keypoints_2d} for case in cases]
    with _silent(), replacing(path) as partial, partial.open("w", encoding="utf-8") as stream:
        save_json(feeds, stream)


def save_poses(path: str | os.PathLike[str], poses: Sequence[FloatArray], runner: str) -> None:
    """Write the poses of every run, in order, as the results of one runner.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    from polygraphy.comparator import RunResults

    results = RunResults()
    results.add([{OUTPUT_NAME: each} for each in poses], runner_name=runner)
    with _silent(), replacing(path) as partial, partial.open("w", encoding="utf-8") as stream:
        results.save(stream)


def read_poses(path: str | os.PathLike[str], cases: Sequence[Case]) -> dict[str, Lift]:
    """What each runner of a file gave for some inputs, as runtimes that can be asked for these.

    Args:
        cases: the inputs, in the order in which they were run.

    Raises:
        InputError: no such file, or its poses are not of these inputs.
    """
    path = Path(path)
    require_file(path, f"write it with {_MAKE.format(path.name)}")
    numbers = sum(case.keypoints_2d.size for case in cases)
    if path.stat().st_size > max(_LEAST_LIMIT, _BYTES_A_NUMBER * numbers):
        raise problem(path, f"holds more than poses of this check: {_MAKE.format(path.name)}")
    found: dict[str, Lift] = {}
    for name, iterations in _results(path):
        runner = printable(name, 60)
        if len(iterations) != len(cases):
            raise problem(
                path, f"'{runner}' has {plural(len(iterations), 'run')}, this check {len(cases)}: "
                f"write it with {_MAKE.format(path.name)}"
            )  # fmt: skip
        if runner in found:
            raise problem(path, f"names runner '{runner}' twice: give them names of their own")
        poses = [_poses(path, runner, iteration) for iteration in iterations]
        found[runner] = _known(cases, poses)
    if not found:
        raise problem(path, f"holds no runner's outputs: write it with {_MAKE.format(path.name)}")
    return found


@contextmanager
def _silent() -> Iterator[None]:
    """Polygraphy tells of each file, and of each error before it raises."""
    from polygraphy.logger import G_LOGGER

    with G_LOGGER.verbosity(G_LOGGER.CRITICAL + 1):
        yield


def _results(path: Path) -> list[tuple[str, list[Any]]]:
    from polygraphy.comparator import IterationResult, RunResults

    try:
        with _silent(), path.open(encoding="utf-8") as stream:
            found = [(str(name), list(runs)) for name, runs in RunResults.load(stream).items()]
    except OSError as error:
        raise problem(path, f"cannot be read ({error.strerror or error})") from None
    except Exception:  # JSON, base64, NumPy and Polygraphy have each their own
        raise _no_results(path) from None
    if not all(isinstance(each, IterationResult) for _, runs in found for each in runs):
        raise _no_results(path)
    return found


def _no_results(path: Path) -> InputError:
    return problem(path, f"is not what Polygraphy saves: write it with {_MAKE.format(path.name)}")


def _poses(path: Path, runner: str, iteration: IterationResult) -> FloatArray:
    if OUTPUT_NAME not in iteration:
        held = ", ".join(f"'{printable(name, 30)}'" for name in iteration) or "nothing"
        raise problem(path, f"'{runner}' gave no '{OUTPUT_NAME}', it gave {held}: run that model")
    values = np.asarray(iteration[OUTPUT_NAME])
    if values.dtype.kind != "f":
        raise problem(path, f"'{OUTPUT_NAME}' of '{runner}' is of type {values.dtype}, not float")
    return values.astype(np.float32)


def _known(cases: Sequence[Case], poses: Sequence[FloatArray]) -> Lift:
    """A runtime that knows its answers."""

    def key(keypoints_2d: FloatArray) -> tuple[tuple[int, ...], bytes]:
        return keypoints_2d.shape, keypoints_2d.tobytes()

    answers = {key(c.keypoints_2d): given for c, given in zip(cases, poses, strict=True)}
    return lambda keypoints_2d: answers[key(keypoints_2d)]
