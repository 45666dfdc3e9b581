"""Long recordings cut into clips, rows worked out by hand."""

from __future__ import annotations

import pytest

from posemamba.data.windows import centred_rows, clip_rows, recordings
from posemamba.errors import InputError


def test_windows() -> None:
    sources = ["a"] * 7 + ["b"] * 3 + ["c"] * 5
    assert recordings(sources) == [("a", 0, 7), ("b", 7, 10), ("c", 10, 15)]
    rows = clip_rows(sources, 5, 2)
    assert rows[:, 0].tolist() == [0, 2, 7, 10]
    assert rows[2].tolist() == [7, 7, 8, 8, 9]  # floor(i * 3 / 5)
    assert centred_rows(4, 3).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert centred_rows(3, 4)[:, 1].tolist() == [0, 1, 2]
    for bad in ((0, 1), (1, 0)):
        with pytest.raises(InputError, match="at least 1"):
            clip_rows(sources, *bad)
    with pytest.raises(InputError, match="one name per frame"):
        clip_rows([], 5, 2)
    with pytest.raises(InputError, match="at least 1"):
        centred_rows(0, 3)
