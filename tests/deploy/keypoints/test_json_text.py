"""JSON that cannot be read, wherever it stands: alone, on a line, in a later document."""

from __future__ import annotations

from pathlib import Path

import pytest

from posemamba_runtime.keypoints import read
from posemamba_runtime.keypoints.errors import InputError

FRAME = b'{"frame": 0, "people": []}\n'
SPREAD = b'{"frame":\n0, "people": []}\n'  # over several lines, which no reader of lines takes
PLACES = {"alone": b"", "on a line": FRAME, "in a later document": SPREAD}
WRONG: dict[str, tuple[bytes, str]] = {
    "a key twice": (b'{"frame": 1, "people": [], "people": []}', "has 'people' twice"),
    "a frame twice by its name": (b'{"1.jpg": {}, "2.jpg": {}, "1.jpg": {}}', "has '1.jpg' twice"),
    "a key twice within": (b'{"people": [{"keypoints": [], "keypoints": []}]}', "has 'keypoints'"),
    "nested without end": (b'{"frame": 1, "people": ' + b"[" * 100_000, "nested too deeply"),
    "5000 digits": (b'{"frame": ' + b"1" * 5000 + b"}", "number that cannot be read"),
    "Latin-1": (b'{"image": "caf\xe9", "people": []}', "not UTF-8, it has byte 0xe9"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_told_in_a_line(case: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    path.write_bytes(PLACES[place] + WRONG[case][0])
    with pytest.raises(InputError) as told:
        read(path, size=(640, 480))
    said = str(told.value)
    assert WRONG[case][1] in said
    assert "k.json" in said
    assert "\n" not in said


def test_objects_may_share_keys(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    points = ", ".join(f"[{100 + 7 * j}, {80 + 11 * j}, 0.9]" for j in range(17))
    person = f'{{"keypoints": [{points}]}}'
    path.write_text(f'[{{"people": [{person}]}}, {{"people": [{person}]}}]')
    assert len(read(path, size=(640, 480)).tracks) == 1
