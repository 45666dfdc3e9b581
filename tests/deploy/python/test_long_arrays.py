"""Arrays in temporary files: the same numbers as in memory, and none of the memory."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from posemamba_runtime import long_arrays

ROWS = 3 * long_arrays.LARGE // 8 + 5
"""Of two float32: three times what goes into a file."""


def _counted(rows: int = ROWS) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = long_arrays.empty((rows, 2), np.float32)
    for some in long_arrays.pieces(values):
        values[some] = np.arange(some.start, some.stop)[:, None]
    return values


def _in_a_file(array: npt.NDArray[Any]) -> bool:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is not None


def _resident() -> int:
    """Bytes of files that this process holds in memory."""
    status = Path("/proc/self/status").read_text()
    return sum(1024 * int(kb) for kb in re.findall(r"Rss(?:File|Shmem):\s*(\d+)", status))


def test_what_was_let_go_of_is_still_there() -> None:
    values = _counted()
    assert _in_a_file(values)
    before = _resident()
    total = float(values.sum(dtype=np.float64))  # touches all of it
    assert _resident() - before > values.nbytes // 2
    long_arrays.release(values)
    assert _resident() - before < values.nbytes // 4
    assert float(values.sum(dtype=np.float64)) == total == 2 * (ROWS * (ROWS - 1) // 2)


def test_a_copy_on_write_map_of_somebody_elses_is_never_let_go_of(tmp_path: Path) -> None:
    """There it would lose what was written."""
    np.zeros(5000, np.float32).tofile(tmp_path / "a")
    theirs = np.memmap(tmp_path / "a", np.float32, mode="c")
    theirs[:] = 7.0
    for _ in long_arrays.pieces(theirs):
        pass
    assert (theirs == 7.0).all()


def test_small_arrays_stay_in_memory() -> None:
    assert not _in_a_file(long_arrays.empty((long_arrays.LARGE - 1,), np.uint8))


def test_without_a_temporary_file_there_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    values = _counted()
    assert not _in_a_file(values)
    assert values[-1].tolist() == [ROWS - 1, ROWS - 1]


@pytest.mark.parametrize("rows", [0, 1, ROWS])
@pytest.mark.parametrize("step", [1, 7, long_arrays.ROWS, 3 * long_arrays.ROWS + 1])
def test_thinned(rows: int, step: int) -> None:
    values = _counted(rows)
    assert np.array_equal(long_arrays.thinned(values, step), values[::step])


def test_taken() -> None:
    values = _counted()
    rows = np.random.default_rng(0).permutation(ROWS)
    assert np.array_equal(long_arrays.taken(values, rows), values[rows])
    assert np.array_equal(long_arrays.taken(values, rows[:9]), values[rows[:9]])
    assert long_arrays.taken(values, np.arange(ROWS)) is values


def test_joined() -> None:
    parts = [_counted(3), _counted(), _counted(0), _counted(7)]
    assert np.array_equal(long_arrays.joined(parts), np.concatenate(parts))
    assert long_arrays.joined(parts[1:2]) is parts[1]


@pytest.mark.parametrize("size", [0, 1, long_arrays.LARGE, 5 * long_arrays.LARGE + 3])
@pytest.mark.parametrize("short", [0, 1])
def test_received(size: int, short: int) -> None:
    """What ends early is short, however much was promised."""
    content = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    got = long_arrays.received(io.BytesIO(content.tobytes()), size + short)
    assert np.array_equal(got, content)


def test_a_promise_of_much_takes_no_room() -> None:
    got = long_arrays.received(io.BytesIO(b"12"), 2**40)
    assert got.tobytes() == b"12"
