"""The clip container: what loads, what is refused and how, the bundled clips."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import keypoint_files as files
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT

from posemamba.data.clip_set import ClipSet, save_clip_set
from posemamba.errors import InputError
from posemamba.pose.clips import Reading, bundled_clips, load_clips, save_clips
from posemamba.pose.keypoints import detections_to_h36m
from posemamba.pose.preprocess import normalize_2d

TESTS = ROOT / "tests"
EXCERPT = TESTS / "data/pose2sim_excerpt"
GOOD = np.random.default_rng(1).uniform(-0.9, 0.9, (4, 17, 2)).astype(np.float32)
SAME = 3e-7  # float32 through pixels of a canvas and back


def saved(tmp_path: Path, **arrays: npt.ArrayLike) -> Path:
    path = tmp_path / "clips.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def changed(index: tuple[int, ...], value: float) -> npt.NDArray[np.float32]:
    values = GOOD.copy()
    values[index] = value
    return values


def test_one_array_of_several_clips(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (3, 5, 17, 2))
    clips = load_clips(saved(tmp_path, keypoints_2d=values))
    assert list(clips) == ["keypoints_2d[0]", "keypoints_2d[1]", "keypoints_2d[2]"]
    np.testing.assert_allclose(clips["keypoints_2d[1]"], values[1], atol=SAME)


def test_several_arrays_of_any_float(tmp_path: Path) -> None:
    clips = load_clips(
        saved(tmp_path, walk=GOOD, run=np.repeat(GOOD[:3], 3, axis=0).astype(np.float16))
    )
    assert {name: clip.shape for name, clip in clips.items()} == {
        "walk": (4, 17, 2),
        "run": (9, 17, 2),
    }
    assert all(clip.dtype == np.float32 for clip in clips.values())


def test_a_clip_set_has_keypoints_too(tmp_path: Path) -> None:
    """What 'posemamba data' makes to train on; its poses are left out."""
    values = np.random.default_rng(0).uniform(-1, 1, (2, 5, 17, 2)).astype(np.float32)
    poses = np.zeros((2, 5, 17, 3), np.float32)
    made = ClipSet(values, poses, np.ones(2, np.float32), ("walk/0/0", "run/0/0"), "somebody")
    save_clip_set(tmp_path / "val.npz", made)
    clips = load_clips(tmp_path / "val.npz")
    assert list(clips) == ["keypoints_2d[0]", "keypoints_2d[1]"]
    np.testing.assert_allclose(clips["keypoints_2d[1]"], values[1], atol=SAME)


def test_pixels_with_the_image_size(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 1080, (4, 17, 2))
    clips = load_clips(saved(tmp_path, a=pixels, width=1920, height=1080))
    np.testing.assert_allclose(clips["a"], normalize_2d(pixels, 1920, 1080), atol=SAME)


def test_gaps_are_filled_as_lift_fills_them(tmp_path: Path) -> None:
    clip = load_clips(saved(tmp_path, a=changed((1, 2, 0), np.nan)))["a"]
    np.testing.assert_allclose(clip[1, 2], (GOOD[0, 2] + GOOD[2, 2]) / 2, atol=SAME)


@pytest.mark.parametrize("layout", ["coco17", "body25b", "halpe26"])
def test_a_detectors_file(layout: str, tmp_path: Path) -> None:
    film = files.film(layout, 12)
    path = tmp_path / "k.jsonl"
    path.write_text(files.lines(film))
    reading = Reading(size=(files.WIDTH, files.HEIGHT))
    for name, clip in load_clips(path, reading).items():
        points = film[:, int(name.removeprefix("person "))]
        expected = normalize_2d(detections_to_h36m(points, layout), files.WIDTH, files.HEIGHT)
        np.testing.assert_allclose(clip, expected, atol=SAME)
    with pytest.raises(InputError, match="give --size WxH"):
        load_clips(path)


def test_somebody_away_for_long_is_two_clips(tmp_path: Path) -> None:
    film = files.film("coco17", 60)
    numbers = [*range(20), *range(80, 120)]
    lines = [
        json.dumps({"frame": n, "person": 3, "keypoints": points[0].tolist()})
        for n, points in zip(numbers, film, strict=True)
    ]
    path = tmp_path / "k.jsonl"
    path.write_text("\n".join(lines))
    clips = load_clips(path, Reading(size=(files.WIDTH, files.HEIGHT)))
    lengths = {name: len(clip) for name, clip in clips.items()}
    assert lengths == {"person 3 from 0": 20, "person 3 from 80": 40}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    save_clips(tmp_path / "c.npz", {"walk": GOOD})
    np.testing.assert_allclose(load_clips(tmp_path / "c.npz")["walk"], GOOD, atol=SAME)


NOBODY = np.full((4, 17, 2), np.nan)
BAD_ARRAYS: dict[str, tuple[dict[str, npt.ArrayLike], str]] = {
    "16 joints": ({"a": np.zeros((4, 16, 2))}, "'a' has 16 joints: expected the 17"),
    "1 coordinate": ({"a": np.zeros((4, 17, 1))}, "1 values a joint: expected x and y"),
    "no frames": ({"a": np.zeros((0, 17, 2))}, "at least one frame"),
    "no frames in clips": ({"a": np.zeros((2, 0, 17, 2))}, "at least one frame"),
    "no clips": ({"a": np.zeros((0, 9, 17, 2))}, "at least one frame"),
    "2 dimensions": ({"a": np.zeros((17, 2))}, r"shape \(17, 2\): expected \(frames, 17, 2\)"),
    "scalar": ({"seconds": 60}, r"'seconds' has shape \(\)"),
    "NaN": ({"a": NOBODY}, "every keypoint of every frame"),
    "one joint never": ({"a": np.where(np.arange(17)[:, None] == 9, np.nan, GOOD)}, "nose not fou"),
    "pixels": ({"a": changed((1, 2, 0), 612.5)}, "reaches 612|give --size|unit"),
    "integers": ({"a": (GOOD * 900 + 950).astype(np.int64)}, "give --size WxH"),
    "complex": ({"a": GOOD.astype(np.complex64)}, "is damaged, or no numbers"),
    "text": ({"a": GOOD.astype("U8")}, "type <U8: save numbers as float32"),
    "truth values": ({"a": GOOD.astype(bool)}, "type bool: save numbers as float32"),
    "wrong size": ({"a": GOOD + 900, "width": 8, "height": 8}, "far outside an image of 8x8"),
    "width alone": ({"a": GOOD, "width": 1920}, "holds only 'width': give both"),
    "zero width": ({"a": GOOD, "width": 0, "height": 10}, "0 x 10 is no width and height"),
    "two heights": ({"a": GOOD, "width": 9, "height": [1, 2]}, "'height' is no number"),
    "only the size": ({"width": 9, "height": 9}, "holds no keypoints"),
    "empty": ({}, "unpack it and name what is in it"),
    "second array bad": ({"a": GOOD, "b": np.zeros((4, 15, 2))}, "'b' has 15 joints"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_array_is_one_line(tmp_path: Path, case: str) -> None:
    arrays, words = BAD_ARRAYS[case]
    refused(saved(tmp_path, **arrays), words)


def refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        load_clips(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def npz_bytes() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=GOOD)
    return buffer.getvalue()


def member(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def npy(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty file": (lambda: b"", "is empty"),
    "text": (lambda: b"frame,x,y\n", "is not an .npz file"),
    "pickle": (lambda: pickle.dumps({"a": 1}), "is a pickle, .* never loaded"),
    "npy": (lambda: npy("{}"), "single .npy array"),
    "half a zip": (lambda: npz_bytes()[: len(npz_bytes()) // 2], "damaged or cut short"),
    "zip's tail lost": (lambda: npz_bytes()[:-5], "damaged or cut short"),
    "no npy in the zip": (lambda: member("notes.txt", b"hello"), "is a zip of other files"),
    "cut npy": (lambda: member("a.npy", npy("{'descr': '<f4'")), "damaged"),
    "npy of the moon": (
        lambda: member(
            "a.npy",
            npy("{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 17, 2), }"),
        ),
        "damaged",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_one_line(tmp_path: Path, case: str) -> None:
    content, words = BAD_FILES[case]
    path = tmp_path / "bad.npz"
    path.write_bytes(content())
    refused(path, words)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    refused(tmp_path / "none.npz", "no such file")
    refused(tmp_path, "no .json or .txt file in it")


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_nothing_runs(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    refused(saved(tmp_path, keypoints_2d=trap), "holds Python objects, which are never loaded")
    assert not sprung.exists()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_damaged_bytes_load_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, place: int, change: int, cut: bool
) -> None:
    """Nothing but an InputError comes out of a file with one byte changed, or cut anywhere."""
    content = bytearray(npz_bytes())
    place %= len(content)
    if cut:
        del content[place:]
    else:
        content[place] ^= change
    path = tmp_path_factory.getbasetemp() / "fuzz.npz"
    path.write_bytes(content)
    try:
        for clip in load_clips(path).values():
            assert clip.dtype == np.float32
            assert clip.shape[1:] == (17, 2)
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 (both outcomes are right)


def test_bundled_clips_are_what_the_network_takes(tmp_path: Path) -> None:
    clips = bundled_clips()
    assert list(clips) == [f"balancing_cam{camera}" for camera in (1, 2, 3, 4)]
    for clip in clips.values():
        assert clip.shape == (100, 17, 2)
        assert clip.dtype == np.float32
        assert np.abs(clip[..., 0]).max() < 1.0
        assert np.abs(clip[..., 1]).max() < 1920 / 1088
        # Even the standing foot moves by a pixel, 0.002; a joint that was lost would not at all.
        assert clip.std(axis=0).min() > 0.002
    path = saved(tmp_path, **clips)
    again = load_clips(path)
    assert list(again) == list(clips)
    for name, clip in clips.items():
        np.testing.assert_allclose(again[name], clip, atol=SAME)


def test_bundled_clips_carry_their_licence() -> None:
    assets = TESTS.parent / "posemamba/assets"
    notice = (assets / "ATTRIBUTION.md").read_text()
    assert (EXCERPT / "LICENSE").read_text() in notice
    assert (assets / "pose2sim_balancing.npz").stat().st_size < 200_000
