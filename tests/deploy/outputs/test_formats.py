"""What every format shares: the table, the refusals, all files or none."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from motions import motion, track
from places import ROOT

from posemamba_runtime.errors import BadArgument, Missing
from posemamba_runtime.motion import Motion
from posemamba_runtime.outputs import FORMATS, check_target, formats, write

SUFFIXES = sorted(FORMATS)
METRIC = [suffix for suffix in SUFFIXES if FORMATS[suffix].metric]

MOTIONS: dict[str, Motion] = {
    "base": motion(),
    "one frame": motion(1),
    "two frames": motion(2),
    "three persons": motion(people=3),
    "a gap": motion(gap=True),
    "a trajectory": motion(root=True),
    "three, gaps, trajectories": motion(people=3, root=True, gap=True),
    "millimetres": motion(units="mm", root=True),
    "no image size": dataclasses.replace(motion(), size=None),
    "no keypoint found": dataclasses.replace(
        motion(),
        size=None,
        tracks=(dataclasses.replace(track(40), keypoints_2d=np.full((40, 17, 2), np.nan)),),
    ),
    "a pose without size": dataclasses.replace(
        motion(), tracks=(dataclasses.replace(track(3), poses_3d=np.zeros((3, 17, 3))),)
    ),
    "ids far apart": dataclasses.replace(
        motion(), tracks=(track(9, 0), dataclasses.replace(track(9, 1), person=1003))
    ),
    "odd names": dataclasses.replace(motion(), source="a\tb\n</script>\u2028é", model='"<&'),
    "no names": dataclasses.replace(motion(), source="", model=""),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", MOTIONS)
def test_every_format_takes_every_motion(name: str, suffix: str, tmp_path: Path) -> None:
    given = MOTIONS[name]
    paths = write(tmp_path / f"walk{suffix}", given)
    apart = FORMATS[suffix].one_person
    assert paths[0] == tmp_path / f"walk{suffix}"
    assert [path.name for path in paths[1:]] == [
        f"walk-person{one.person}{suffix}" for one in given.tracks[1:] if apart
    ]
    assert sorted(tmp_path.iterdir()) == sorted(paths), "nothing else is left there"
    assert all(path.stat().st_size > 100 for path in paths)


def test_numpy_alone_is_imported() -> None:
    """The package must start on a machine with nothing else; formats load what they need."""
    code = (
        "import sys, posemamba_runtime.outputs as o, posemamba_runtime.outputs.vmc\n"
        "import posemamba_runtime.viewer\n"
        "heavy = {'PIL', 'ezc3d', 'c3d', 'torch', 'onnx', 'matplotlib', 'posemamba', 'pmexport'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one(there: bool, tmp_path: Path) -> None:
    """As ``open(path, "w")`` has it: what the link leads to is written, there or not."""
    (tmp_path / "far").mkdir()
    if there:
        (tmp_path / "far" / "walk.csv").write_text("old")
    link = tmp_path / "walk.csv"
    link.symlink_to("far/walk.csv")
    write(link, motion())
    assert link.is_symlink()
    assert (tmp_path / "far" / "walk.csv").read_text().startswith("person,")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "walk.csv", "walk.csv"]


@pytest.mark.parametrize(
    ("leads_to", "says"), [("o.csv", "a link that leads to itself"), ("no/o.csv", "does not exist")]
)
def test_a_link_to_nowhere(leads_to: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "o.csv").symlink_to(leads_to)
    with pytest.raises(BadArgument, match=says):
        write(tmp_path / "o.csv", motion())
    assert (tmp_path / "o.csv").is_symlink()


UNKNOWN = {
    "out.trcc": "did you mean '.trc'?",
    "out.jsn": "did you mean '.json'?",
    "out.htm": "did you mean '.html'?",
    "out.xyz": "known: .npz, .json",
    "out": "has no ending",
    "out.npz.gz": "ends in '.gz'",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_ending(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadArgument) as caught:
        write(tmp_path / name, motion())
    assert UNKNOWN[name] in str(caught.value)
    assert one_line(str(caught.value))
    assert name in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_endings_in_capitals(tmp_path: Path) -> None:
    assert write(tmp_path / "OUT.CSV", motion()) == [tmp_path / "OUT.CSV"]


@pytest.mark.parametrize("suffix", METRIC)
def test_lengths_of_unknown_size_are_refused(suffix: str, tmp_path: Path) -> None:
    for refuse in (
        lambda: write(tmp_path / f"o{suffix}", motion(units="network")),
        lambda: check_target(tmp_path / f"o{suffix}", "network"),
    ):
        with pytest.raises(BadArgument, match=r"--height-m 1\.75"):
            refuse()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", sorted(set(SUFFIXES) - set(METRIC)))
def test_other_formats_take_network_units(suffix: str, tmp_path: Path) -> None:
    assert write(tmp_path / f"o{suffix}", motion(units="network", people=2))


WRONG: dict[str, tuple[Motion, str]] = {
    "nobody": (dataclasses.replace(motion(), tracks=()), "shows nobody"),
    "unit": (dataclasses.replace(motion(), units="cm"), "unit 'cm': use one of m, mm, network"),
    "rate 0": (dataclasses.replace(motion(), rate=0.0), "positive rate"),
    "rate NaN": (dataclasses.replace(motion(), rate=float("nan")), "positive rate"),
    "no frames": (dataclasses.replace(motion(), tracks=(track(0),)), "person 0 has no frames"),
    "same id": (dataclasses.replace(motion(), tracks=(track(4), track(4))), "[0, 0]"),
    **{
        what: (
            dataclasses.replace(motion(), tracks=(dataclasses.replace(track(4), **changed),)),
            says,
        )
        for what, changed, says in (
            ("frames go back", {"frames": np.array([0, 2, 1, 3])}, "must ascend"),
            ("times stand", {"timestamps": np.zeros(4)}, "must ascend"),
            ("NaN pose", {"poses_3d": np.full((4, 17, 3), np.nan)}, "poses_3d has values"),
            ("inf root", {"root": np.full((4, 3), np.inf)}, "root has values"),
            ("16 joints", {"poses_3d": np.zeros((4, 16, 3))}, "(4, 16, 3), it must be (4, 17, 3)"),
            ("short filled", {"filled": np.zeros((3, 17), bool)}, "filled is (3, 17)"),
        )
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_motions_that_cannot_be(name: str, tmp_path: Path) -> None:
    given, says = WRONG[name]
    for suffix in SUFFIXES:
        with pytest.raises(BadArgument) as caught:
            write(tmp_path / f"o{suffix}", given)
        assert says in str(caught.value)
        assert one_line(str(caught.value))
    assert not list(tmp_path.iterdir())


def test_sparse_numbers_do_not_fill_the_disk(tmp_path: Path) -> None:
    """Frames numbered by a clock: formats that hold every frame refuse, the others do not mind."""
    far = dataclasses.replace(track(2), frames=np.array([0, 1_600_000_000]))
    given = dataclasses.replace(motion(), tracks=(far,))
    for suffix in SUFFIXES:
        if suffix in (".trc", ".bvh", ".c3d", ".gif"):
            with pytest.raises(BadArgument, match=r"numbered 0 to 1600000000"):
                write(tmp_path / f"o{suffix}", given)
        else:
            write(tmp_path / f"o{suffix}", given)


def test_a_gif_of_an_hour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"too many for a \.gif"):
        write(tmp_path / "o.gif", motion(5000))


PLACES = {
    "no folder": ("missing/o.csv", "create it first"),
    "file as folder": ("file.txt/o.csv", "is a file"),
    "a folder": ("folder.csv", "is a folder"),
    "a pipe": ("pipe.csv", "is a pipe or a device"),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_that_take_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("kept")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    before = sorted(tmp_path.rglob("*"))
    place, says = PLACES[name]
    with pytest.raises(BadArgument) as caught:
        write(tmp_path / place, motion())
    assert says in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_cannot_be_written(suffix: str) -> None:
    """/proc takes no files, from root either; that is said before the work too."""
    place = Path(f"/proc/self/o{suffix}")
    for refuse in (lambda: write(place, motion()), lambda: check_target(place)):
        with pytest.raises(BadArgument, match="cannot be written") as caught:
            refuse()
        assert one_line(str(caught.value))


def test_the_longest_name(tmp_path: Path) -> None:
    place = tmp_path / f"{'a' * 251}.csv"  # the temporary name beside it would be longer
    write(place, motion())
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("length", [252, 300])
def test_a_name_that_is_too_long(length: int, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="cannot be written"):
        write(tmp_path / f"{'a' * length}.csv", motion())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_files_or_none(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that fails on the last person leaves every older file as it was."""
    given = motion(people=2)
    paths = write(tmp_path / f"o{suffix}", given)
    for path in paths:
        path.write_bytes(b"old")
    module = sys.modules[f"posemamba_runtime.outputs.{FORMATS[suffix].module}"]
    real, calls = module.write, []

    def failing(path: Path, *rest: object) -> None:
        calls.append(path)
        real(path, *rest)
        if len(calls) == len(paths):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write", failing)
    with pytest.raises(BadArgument, match="No space left"):
        write(tmp_path / f"o{suffix}", given)
    assert [path.read_bytes() for path in paths] == [b"old"] * len(paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if FORMATS[s].needs])
def test_a_package_that_is_missing(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(Missing, match=r"pip install (ezc3d|pillow|pyarrow)$"):
        check_target(Path(f"o{suffix}"))


def test_the_table_has_a_page() -> None:
    """docs/reference/outputs.md tells about each format."""
    page = (ROOT / "docs" / "reference" / "outputs.md").read_text(encoding="utf-8")
    assert not [suffix for suffix in FORMATS if f"`{suffix}`" not in page]


def one_line(text: str) -> bool:
    return "\n" not in text and not text.endswith(".")
