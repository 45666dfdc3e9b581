"""What counts as a recording in a folder, a list and a table."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import keypoint_files as files
import pyarrow as arrow
import pyarrow.parquet as parquet
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


def test_a_folder_is_looked_into_once(tmp_path: Path) -> None:
    """Links in circles, and a second name for a folder; one to elsewhere is followed."""
    fill(tmp_path, "in/m/one.json", "in/m/b/two.json", "store/three.json")
    (tmp_path / "in/m/b/loop").symlink_to(tmp_path / "in/m")
    (tmp_path / "in/again").symlink_to(tmp_path / "in")
    (tmp_path / "in/a").symlink_to(tmp_path / "in/m/b")
    (tmp_path / "in/n").symlink_to(tmp_path / "store")
    found = find(str(tmp_path / "in"))
    assert [item.name for item in found.items] == ["m/b/two.json", "m/one.json", "n/three.json"]
    assert found.passed_over == 3


def test_pipes_are_passed_over_and_dead_links_fail_by_name(tmp_path: Path) -> None:
    fill(tmp_path, "one.json")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nothing")
    found = find(str(tmp_path))
    assert [item.name for item in found.items] == ["gone.json", "one.json"]
    assert found.passed_over == 1


def test_a_list_is_named_below_what_its_paths_share(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{tmp_path}/a/one.json\n\n{tmp_path}/b/../b/two.json\n", encoding="utf-8")
    assert names(f"@{listed}") == ["a/one.json", "b/two.json"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "lists no recording"),
        ("\n \n", "lists no recording"),
        ("a.json\n./a.json\n", "twice"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_lists_that_are_refused(tmp_path: Path, text: str | bytes, says: str) -> None:
    listed = tmp_path / "list.txt"
    listed.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=says):
        find(f"@{listed}")


def test_a_list_of_another_editor(tmp_path: Path) -> None:
    """A mark of its encoding, other line ends, and names that hold what could be one."""
    listed = tmp_path / "list.txt"
    listed.write_bytes("\ufeffa.json\r\nb\u2028c.json\r\n\r\n".encode())
    assert [item.source for item in find(f"@{listed}").items] == ["a.json", "b\u2028c.json"]


def test_a_long_list_with_one_name_twice_is_refused_at_once(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{n}.json\n" for n in (*range(30_000), 7)), encoding="utf-8")
    before = time.process_time()
    with pytest.raises(InputError, match="twice"):
        find(f"@{listed}")
    assert time.process_time() - before < 5  # 0.3 s; a count for each name took minutes


@pytest.mark.parametrize("kept", [True, False])
def test_a_table_holds_recordings_or_their_paths(tmp_path: Path, kept: bool) -> None:
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


def test_a_folder_of_tables_is_one(tmp_path: Path) -> None:
    """As Spark, Ray and others write it."""
    fill(tmp_path, "_SUCCESS")
    for part, rows in enumerate((["/d/a.json", "/d/b.json"], ["/d/s/c.json"])):
        table = arrow.table({"path": rows, "bytes": [row.encode() for row in rows]})
        parquet.write_table(table, tmp_path / f"part-{part}.parquet")
    found = find(str(tmp_path))
    assert [item.name for item in found.items] == ["a.json", "b.json", "s/c.json"]
    assert found.passed_over == 1
    contents = [table_bytes(item.source, *item.row) for item in found.items if item.row]
    assert contents == [b"/d/a.json", b"/d/b.json", b"/d/s/c.json"]


def test_a_row_group_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow reads whole groups; a group for every row took hours of an archive of one group."""
    table = tmp_path / "t.parquet"
    parquet.write_table(arrow.table({"path": list("abc"), "bytes": [b"a", b"b", b"c"]}), table)
    reads = []

    class Counted(parquet.ParquetFile):  # type: ignore[misc, name-defined]
        def read_row_group(self, *words: Any, **named: Any) -> Any:
            reads.append(words)
            return super().read_row_group(*words, **named)

    monkeypatch.setattr(parquet, "ParquetFile", Counted)
    assert [table_bytes(str(table), 0, row) for row in (0, 1, 2)] == [b"a", b"b", b"c"]
    assert len(reads) == 1
    parquet.write_table(arrow.table({"path": ["a"], "bytes": [b"new"]}), table)
    assert table_bytes(str(table), 0, 0) == b"new"


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"file": ["a"]}, "'path'"), ({"path": ["a", None]}, "without a name"),
     ({"path": []}, "holds no recording"), ({"path": [1, 2]}, "without a name"),
     ({"path": ["a\0b"]}, "without a name"), ({"path": ["a/../b", "b"]}, "twice")],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path: Path, columns: dict[str, list[Any]], says: str) -> None:
    parquet.write_table(arrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=says):
        find(str(tmp_path / "t.parquet"))


def test_what_is_no_archive(tmp_path: Path) -> None:
    fill(tmp_path, "one.json", "bad.parquet", "none/readme.md")
    for source, says in (("one.json", "is one file"), ("bad.parquet", "no Parquet"),
                         ("none", "no recording"), ("absent", "no such file")):  # fmt: skip
        with pytest.raises(InputError, match=says):
            find(str(tmp_path / source))
