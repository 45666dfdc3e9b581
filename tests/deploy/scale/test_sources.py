"""What counts as a recording in a folder, a list and a table."""

from __future__ import annotations

import json
from pathlib import Path

import keypoint_files as files
import pytest

from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.scale.sources import Item, find, table_bytes

FRAME = json.dumps(files.openpose_frame(files.film("body25", 1)[0]))


def fill(folder: Path, *names: str, text: str = "[]") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def names(source: object) -> list[str]:
    return [item.name for item in find(str(source)).items]


def test_a_file_is_a_recording(tmp_path: Path) -> None:
    fill(tmp_path, "b/two.ndjson", "one.json", "b/c/three.npz", ".hidden/x.json", ".y.json")
    fill(tmp_path, "readme.md", "film.mp4")
    found = find(str(tmp_path))
    assert [item.name for item in found.items] == ["b/c/three.npz", "b/two.ndjson", "one.json"]
    assert found.passed_over == 2
    assert found.items[2] == Item("one.json", str(tmp_path / "one.json"))


def test_a_folder_of_frames_is_one_recording(tmp_path: Path) -> None:
    fill(tmp_path, "cam1/f_0001.json", "cam1/f_0002.json", "cam2/f_1.json", "cam2/f_2.json",
         text=FRAME)  # fmt: skip
    fill(tmp_path, "labels/v_1.txt", "labels/v_2.txt", text="0 0.5 0.5")
    fill(tmp_path, "walk.json")
    assert names(tmp_path) == ["cam1", "cam2", "labels", "walk.json"]
    assert names(tmp_path / "cam1") == ["cam1"]


def test_a_damaged_first_frame_hides_no_folder_of_frames(tmp_path: Path) -> None:
    fill(tmp_path, "cam/f_1.json", text='{"peop')
    fill(tmp_path, "cam/f_2.json", "cam/f_3.json", text=FRAME)
    assert names(tmp_path) == ["cam"]


def test_a_list_is_named_below_what_its_paths_share(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tmp_path}/a/one.json\n\n{tmp_path}/b/../b/two.json\n", encoding="utf-8")
    assert names(f"@{listed}") == ["a/one.json", "b/two.json"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "lists no recording"), ("a.json\n./a.json\n", "twice"), (b"\xff\xfe\x00", "UTF-8")],
)
def test_lists_that_are_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    listed = tmp_path / "list.txt"
    listed.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=says):
        find(f"@{listed}")


@pytest.mark.parametrize("kept", [True, False])
def test_a_table_holds_recordings_or_their_paths(tmp_path: Path, kept: bool) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"path": ["/d/a.json", "/d/s/b.json", "/d/c.json"]}
    columns |= {"bytes": [b"A", b"B", b"C"]} if kept else {}
    table = tmp_path / "t.parquet"
    parquet.write_table(arrow.table(columns), table, row_group_size=2)
    found = find(str(table)).items
    assert [item.name for item in found] == ["a.json", "s/b.json", "c.json"]
    if not kept:
        assert [item.source for item in found] == columns["path"]
        return
    rows = [item.row for item in found]
    assert rows == [(0, 0), (0, 1), (1, 0)]
    assert [table_bytes(str(table), *row) for row in rows if row] == [b"A", b"B", b"C"]


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"file": ["a"]}, "'path'"), ({"path": ["a", None]}, "without a name"),
     ({"path": ["a/../b", "b"]}, "twice")],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path: Path, columns: dict[str, list[str]], says: str) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=says):
        find(str(tmp_path / "t.parquet"))


def test_what_is_no_archive(tmp_path: Path) -> None:
    fill(tmp_path, "one.json", "bad.parquet", "none/readme.md")
    for source, says in (("one.json", "is one file"), ("bad.parquet", "no Parquet"),
                         ("none", "no recording"), ("absent", "no such file")):  # fmt: skip
        with pytest.raises(InputError, match=says):
            find(str(tmp_path / source))
