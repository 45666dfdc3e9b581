"""Outputs: every refusal in one voice, before any work, and nothing half-written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from posemamba.errors import InputError
from posemamba.files.output import (
    check_distinct,
    check_file,
    check_folder,
    check_takes_files,
    replacing,
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.npz").write_text("old")
    (tmp_path / "link.npz").symlink_to("file.npz")
    (tmp_path / "loop.npz").symlink_to("loop.npz")
    (tmp_path / "lost.npz").symlink_to("gone/a.npz")
    os.mkfifo(tmp_path / "pipe.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("new")


REFUSALS = [
    ("folder", "'folder' is a directory: name another file"),
    ("pipe.npz", "'pipe.npz' is a pipe or a device: name another file"),
    ("gone/a.npz", "'gone/a.npz': its folder 'gone' does not exist: create it with 'mkdir -p'"),
    ("loop.npz", "'loop.npz' is a link that leads to itself: remove it, or name another"),
    (f"{'a' * 252}.npz", r"has 256 bytes, a file's has at most 255: name a shorter one"),
    ("file.npz/a.npz", "'file.npz/a.npz': its folder 'file.npz' is a file: name another folder"),
]


@pytest.mark.parametrize("act", [write, check_file], ids=["replacing", "check_file"])
@pytest.mark.parametrize(("name", "message"), REFUSALS)
def test_the_same_words_before_the_work_and_after_it(
    here: Path, act: Callable[[Path], None], name: str, message: str
) -> None:
    before = sorted(here.rglob("*"))
    with pytest.raises(InputError, match=message):
        act(Path(name))
    assert sorted(here.rglob("*")) == before


def test_a_folder_that_takes_no_file_is_refused() -> None:
    with pytest.raises(InputError, match=r"'/proc/a.npz': its folder '/proc' cannot be written"):
        check_file(Path("/proc/a.npz"))


@pytest.mark.parametrize("name", ["file.npz", "link.npz", "./folder/../file.npz"])
def test_an_input_is_not_overwritten_by_whatever_name(here: Path, name: str) -> None:
    with pytest.raises(InputError, match="is the input: writing there would overwrite it"):
        check_file(Path(name), inputs=[Path("gone.npz"), here / "file.npz"])
    check_file(Path("other.npz"), inputs=[here / "file.npz"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.json", r"'a\.json' must end in '\.npz'"),
        ("a", r"'a' must end in '\.npz'"),
        ("folder", r"'folder' is a directory: name another file, such as 'folder/M\.npz'"),
    ],
)
def test_another_ending_is_refused(here: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_file(Path(name), suffix=".npz")
    check_file(Path("A.NPZ"), suffix=".npz")


def test_a_missing_folder_can_be_made_unless_it_must_be_there(here: Path) -> None:
    check_folder(Path("new/deep"), ("a.json",))
    assert not Path("new").exists()
    with pytest.raises(InputError, match="output folder 'new/deep' does not exist"):
        check_takes_files(Path("new/deep"))
    with pytest.raises(InputError, match=r"pipe\.npz' is a pipe or a device"):
        check_folder(here, ("a.json", "pipe.npz"))


def test_an_error_leaves_the_old_file_and_no_other(here: Path) -> None:
    before = sorted(here.rglob("*"))

    def write_half() -> None:
        with replacing(here / "file.npz") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert sorted(here.rglob("*")) == before
    assert (here / "file.npz").read_text() == "old"
    write(here / "file.npz")
    assert (here / "file.npz").read_text() == "new"


def test_a_link_stays_one(here: Path) -> None:
    """As ``open(path, "w")`` has it: what the link leads to is written, there or not."""
    write(here / "link.npz")
    assert (here / "link.npz").is_symlink()
    assert (here / "file.npz").read_text() == "new"
    (here / "file.npz").unlink()
    check_file(here / "link.npz")
    write(here / "link.npz")
    assert (here / "file.npz").read_text() == "new"
    for act in (write, check_file):
        with pytest.raises(InputError, match=r"lost.npz': its folder '.*gone' does not exist"):
            act(here / "lost.npz")


def test_two_outputs_of_one_name(here: Path) -> None:
    check_distinct({"--json": Path("a"), "--csv": None, "--svg": Path("b")})
    with pytest.raises(InputError, match="--json and --svg both name 'a': name two"):
        check_distinct({"--json": Path("a"), "--csv": None, "--svg": Path("./a")})


@pytest.mark.parametrize("letter", ["a", "\u00e9"])  # one byte, and two
def test_the_longest_name(letter: str, here: Path) -> None:
    """The temporary name beside it would be longer than a name may be."""
    name = letter * (251 // len(letter.encode()))
    place = here / f"{name}.npz"
    with replacing(place) as temporary:
        assert temporary.suffix == ".npz"
        temporary.write_text("new")
    assert place.read_text() == "new"
    assert [path for path in here.iterdir() if path.name.startswith(".")] == []


def test_what_was_told_is_not_hidden_by_what_is_left(here: Path) -> None:
    """Where the folder has gone there is nothing to remove, and the first reason counts."""

    def lose_the_folder() -> None:
        with replacing(here / "going" / "a.npz") as temporary:
            (here / "going").rmdir()
            (here / "going").write_text("a file")
            temporary.write_text("new")

    (here / "going").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        lose_the_folder()
