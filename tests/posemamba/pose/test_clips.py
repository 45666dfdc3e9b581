"""The clip container: what loads, what is refused and how, the bundled clips."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT

from posemamba.errors import InputError
from posemamba.pose.clips import bundled_clips, load_clips
from posemamba.pose.preprocess import normalize_2d

TESTS = ROOT / "tests"
EXCERPT = TESTS / "data/pose2sim_excerpt"
GOOD = np.zeros((4, 17, 2), dtype=np.float32)


def saved(tmp_path: Path, **arrays: npt.ArrayLike) -> Path:
    path = tmp_path / "clips.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_one_array_of_several_clips(tmp_path: Path) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (3, 5, 17, 2))
    clips = load_clips(saved(tmp_path, keypoints_2d=values))
    assert list(clips) == ["keypoints_2d[0]", "keypoints_2d[1]", "keypoints_2d[2]"]
    np.testing.assert_array_equal(clips["keypoints_2d[1]"], values[1].astype(np.float32))


def test_several_arrays_of_any_float(tmp_path: Path) -> None:
    clips = load_clips(saved(tmp_path, walk=GOOD, run=np.ones((9, 17, 2), dtype=np.float16)))
    assert {name: clip.shape for name, clip in clips.items()} == {
        "walk": (4, 17, 2),
        "run": (9, 17, 2),
    }
    assert all(clip.dtype == np.float32 for clip in clips.values())


def test_pixels_with_the_image_size(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 1080, (4, 17, 2))
    clips = load_clips(saved(tmp_path, a=pixels, width=1920, height=1080))
    expected = normalize_2d(pixels, 1920, 1080).astype(np.float32)
    np.testing.assert_array_equal(clips["a"], expected)


def changed(index: tuple[int, ...], value: float) -> npt.NDArray[np.float32]:
    values = GOOD.copy()
    values[index] = value
    return values


BAD_ARRAYS: dict[str, tuple[dict[str, npt.ArrayLike], str]] = {
    "16 joints": ({"a": np.zeros((4, 16, 2))}, r"'a' has 16 joints; .*to_h36m"),
    "confidence": ({"a": np.zeros((4, 17, 3))}, r"3 values per joint.*\[\.\.\., :2\]"),
    "1 coordinate": ({"a": np.zeros((4, 17, 1))}, r"1 value per joint; expected 2"),
    "no frames": ({"a": np.zeros((0, 17, 2))}, "0 frames; give at least 1"),
    "no frames in clips": ({"a": np.zeros((2, 0, 17, 2))}, "0 frames"),
    "no clips": ({"a": np.zeros((0, 9, 17, 2))}, "0 clips"),
    "2 dimensions": ({"a": np.zeros((17, 2))}, r"shape \(17, 2\); expected \(frames, 17, 2\)"),
    "scalar": ({"fps": 60}, r"'fps' has shape \(\)"),
    "NaN": ({"a": changed((1, 2, 0), np.nan)}, "1 NaN or infinite value; fill gaps"),
    "infinity": ({"a": changed((1, 2, 0), np.inf)}, "1 NaN or infinite"),
    "pixels": ({"a": changed((1, 2, 0), 612.5)}, "reaches 612.5 .*'width' and 'height'"),
    "integers": ({"a": GOOD.astype(np.int64)}, "type int64, as pixels are"),
    "complex": ({"a": GOOD.astype(np.complex64)}, "type complex64; save it as float32"),
    "text": ({"a": GOOD.astype("U8")}, "type <U8; save it as float32"),
    "truth values": ({"a": GOOD.astype(bool)}, "type bool; save it as float32"),
    "wrong size": ({"a": GOOD + 900, "width": 8, "height": 8}, "'width' and 'height' are its"),
    "width alone": ({"a": GOOD, "width": 1920}, "holds only 'width'; give both"),
    "zero width": ({"a": GOOD, "width": 0, "height": 10}, "'width' is 0; give one positive"),
    "two heights": ({"a": GOOD, "width": 9, "height": [1, 2]}, r"array of shape \(2,\)"),
    "only the size": ({"width": 9, "height": 9}, "holds no arrays"),
    "empty": ({}, "holds no arrays; save one as keypoints_2d"),
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
    "empty file": (lambda: b"", "is not an .npz file"),
    "text": (lambda: b"frame,x,y\n", "is not an .npz file"),
    "pickle": (lambda: pickle.dumps({"a": 1}), "is not an .npz file"),
    "npy": (lambda: npy("{}"), "single .npy array"),
    "half a zip": (lambda: npz_bytes()[: len(npz_bytes()) // 2], "damaged or cut short"),
    "zip's tail lost": (lambda: npz_bytes()[:-5], "damaged or cut short"),
    "no npy in the zip": (lambda: member("notes.txt", b"hello"), "'notes.txt' is not an array"),
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
    refused(tmp_path, "is a directory")


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_pickled_objects_are_refused_and_nothing_runs(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    refused(saved(tmp_path, keypoints_2d=trap), "pickled Python objects, which are never loaded")
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
    assert {k: v.tobytes() for k, v in load_clips(path).items()} == {
        k: v.tobytes() for k, v in clips.items()
    }


def test_bundled_clips_carry_their_licence() -> None:
    assets = TESTS.parent / "posemamba/assets"
    notice = (assets / "ATTRIBUTION.md").read_text()
    assert (EXCERPT / "LICENSE").read_text() in notice
    assert (assets / "pose2sim_balancing.npz").stat().st_size < 200_000
