"""What numbers mean: not found, pixels, fractions, confidence; doubt is told, never swallowed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keypoint_files as files
import numpy as np
import pytest

from posemamba_runtime.keypoints import InputError, read

SIZE = (files.WIDTH, files.HEIGHT)
WRIST = 9  # left, COCO
Array = files.Array


def _yolo(path: Path, film: Array) -> Path:
    return files.dump(path, [files.yolo_frame(people) for people in film])


def _openpose(path: Path, film: Array) -> Path:
    return files.dump(path, [files.openpose_frame(people) for people in film])


def _results(path: Path, film: Array) -> Path:
    return files.dump(path, files.coco_results(film))


def _mmpose(path: Path, film: Array) -> Path:
    return files.dump(path, files.mmpose_saved(film))


def _lines(path: Path, film: Array) -> Path:
    path.write_text(files.lines(film))
    return path


def _mediapipe(path: Path, film: Array) -> Path:
    frames = [[files.mediapipe_landmarks(p) for p in people] for people in film]
    return files.dump(path, frames)


def _clips(path: Path, film: Array) -> Path:
    np.savez(path.with_suffix(".npz"), a=film[:, 0], width=SIZE[0], height=SIZE[1])
    return path.with_suffix(".npz")


def _videopose3d(path: Path, film: Array) -> Path:
    return files.write_videopose3d(path.with_suffix(".npz"), {"v": film[:, 0]})


WRITERS: dict[str, tuple[str, Callable[[Path, Array], Path]]] = {
    "yolo": ("coco17", _yolo),
    "openpose": ("coco18", _openpose),
    "coco": ("coco17", _results),
    "mmpose": ("coco17", _mmpose),
    "lines": ("coco17", _lines),
    "mediapipe": ("mediapipe33", _mediapipe),
    "clips": ("h36m17", _clips),
    "videopose3d": ("coco17", _videopose3d),
}


@pytest.mark.parametrize(
    "gap", [(0.0, 0.0), (-1.0, -1.0), (np.nan, np.nan), (0.0, 300.0), (np.inf, 5.0)]
)
@pytest.mark.parametrize("writer", WRITERS)
def test_not_found_at_every_entry(writer: str, gap: tuple[float, float], tmp_path: Path) -> None:
    """Whatever confidence is kept beside it."""
    layout, write = WRITERS[writer]
    film = files.film(layout, 10)
    film[3:6, 0, WRIST] = gap
    (track,) = read(
        write(tmp_path / "f.json", film),
        size=SIZE if writer not in ("clips", "videopose3d") else None,
    ).tracks
    expected = np.zeros(track.values.shape[:2], bool)
    expected[3:6, WRIST] = True
    assert (np.isnan(track.values).all(axis=-1) == expected).all()
    assert (np.isnan(track.values).any(axis=-1) == expected).all()


@pytest.mark.parametrize("confidence", [0.0, 0.09, np.nan])
def test_unsure_keypoints_are_not_found(confidence: float, tmp_path: Path) -> None:
    film = files.film("coco18", 10)
    frames = [files.openpose_frame(people) for people in film]
    for frame in frames[3:6]:
        frame["people"][0]["pose_keypoints_2d"][3 * WRIST + 2] = confidence
    path = files.dump(tmp_path / "f.json", frames)
    (track,) = read(path, size=SIZE).tracks
    assert np.isnan(track.values[3:6, WRIST]).all()
    if confidence == 0.09:
        (track,) = read(path, size=SIZE, min_confidence=0.05).tracks
        assert np.isfinite(track.values).all()


def test_coco_flags_are_confidences(tmp_path: Path) -> None:
    """0 not labelled, 1 hidden, 2 visible."""
    film = files.film("coco17", 4)
    document = files.coco_annotations(film)
    document["annotations"][1]["keypoints"][3 * WRIST : 3 * WRIST + 3] = [0, 0, 0]
    document["annotations"][2]["keypoints"][3 * WRIST + 2] = 1
    (track,) = read(files.dump(tmp_path / "c.json", document)).tracks
    assert np.flatnonzero(np.isnan(track.values[:, WRIST, 0])).tolist() == [1]


@pytest.mark.parametrize("writer", ["openpose", "coco", "lines", "mediapipe"])
@pytest.mark.parametrize("value", [0.0, -0.4, 3.7, 55.5])
def test_the_third_number_may_be_no_confidence(writer: str, value: float, tmp_path: Path) -> None:
    """All 0; a depth about 0; a depth in metres; a percentage."""
    layout, write = WRITERS[writer]
    path = write(tmp_path / "f.json", files.film(layout, 3))
    text = path.read_text().replace("0.8", str(value)).replace("0.95", str(value))
    path.write_text(text)
    with pytest.raises(InputError, match="leave the third number out"):
        read(path, size=SIZE)


def test_a_limit_above_everything_says_the_highest(tmp_path: Path) -> None:
    path = _openpose(tmp_path / "f.json", files.film("coco18", 3))
    with pytest.raises(
        InputError, match=r"0\.9 or more, the highest is 0\.8: lower --min-confidence"
    ):
        read(path, size=SIZE, min_confidence=0.9)


@pytest.mark.parametrize("writer", ["yolo", "openpose", "coco", "mmpose", "lines"])
def test_fractions_are_recognised(writer: str, tmp_path: Path) -> None:
    layout, write = WRITERS[writer]
    film = files.film(layout, 5)
    recording = read(write(tmp_path / "f.json", film / SIZE), size=SIZE)
    assert np.abs(recording.tracks[0].values[..., :2] - film[:, 0]).max() < files.EXACT
    assert any("fractions of the image" in note for note in recording.summary.notes)


@pytest.mark.parametrize("writer", ["yolo", "openpose", "coco", "mmpose", "lines", "mediapipe"])
def test_a_size_is_asked_for(writer: str, tmp_path: Path) -> None:
    layout, write = WRITERS[writer]
    with pytest.raises(InputError, match="--size 1920x1080"):
        read(write(tmp_path / "f.json", files.film(layout, 3)))


def test_one_frame_of_fractions_among_pixels(tmp_path: Path) -> None:
    film = files.film("coco17", 5)
    film[2] /= SIZE
    with pytest.raises(InputError, match="frame 2 look like fractions"):
        read(_yolo(tmp_path / "f.json", film), size=SIZE)


def test_points_beside_the_image_are_let_in(tmp_path: Path) -> None:
    """Detectors guess on beyond the edge."""
    film = files.film("coco17", 5)
    film[..., 0] += 1245.0 - film[..., 0].mean()
    recording = read(_yolo(tmp_path / "f.json", film), size=SIZE)
    assert recording.tracks[0].values[..., 0].max() > files.WIDTH


@pytest.mark.parametrize("size", [(320, 180), (480, 270), (200, 2000)])
def test_a_size_the_points_exceed(size: tuple[int, int], tmp_path: Path) -> None:
    film = files.film("coco17", 5)
    with pytest.raises(InputError, match="far outside an image of"):
        read(_yolo(tmp_path / "f.json", film), size=size)


def test_a_size_that_is_somewhat_exceeded_is_remarked(tmp_path: Path) -> None:
    film = files.film("coco17", 5)
    height = int(film[..., 1].max() / 1.2)  # feet below the edge
    recording = read(_yolo(tmp_path / "f.json", film), size=(files.WIDTH, height))
    assert any("lie outside the image" in note for note in recording.summary.notes)


def test_our_clips_in_pixels_and_in_fractions(tmp_path: Path) -> None:
    """The same clip three ways; two of them were lifted wrongly once."""
    film = files.film("h36m17", 5)[:, 0]
    np.savez(tmp_path / "pixels.npz", a=film)
    np.savez(tmp_path / "fractions.npz", a=film / SIZE)
    with pytest.raises(InputError, match="holds pixels and does not say the image's size"):
        read(tmp_path / "pixels.npz")
    with pytest.raises(InputError, match="all coordinates lie between 0 and 1"):
        read(tmp_path / "fractions.npz")
    recording = read(tmp_path / "pixels.npz", size=SIZE)
    assert np.abs(recording.tracks[0].values[..., :2] - film).max() < files.EXACT


@pytest.mark.parametrize(("first", "second"), [(18, 25), (25, 18), (17, 18), (26, 17)])
def test_people_of_several_kinds_name_the_file(first: int, second: int, tmp_path: Path) -> None:
    layouts = {17: "coco17", 18: "coco18", 25: "body25", 26: "halpe26"}
    for frame, count in enumerate((first, second)):
        person = files.person(layouts[count], frame)
        files.dump(tmp_path / f"f_{frame:012d}_keypoints.json", files.openpose_frame([person]))
    with pytest.raises(InputError) as caught:
        read(tmp_path, size=SIZE)
    assert f"people of {first} keypoints" in str(caught.value)
    assert f"'f_000000000001_keypoints.json' of {second}" in str(caught.value)


def test_people_without_a_body_are_left_out(tmp_path: Path) -> None:
    """OpenPose lists people of whom it found a hand alone."""
    film = files.film("body25", 3)
    for frame, people in enumerate(film):
        document = files.openpose_frame(people)
        hand = {"pose_keypoints_2d": [], "hand_left_keypoints_2d": [1, 2, 0.3] * 21}
        document["people"].insert(frame % 2, hand)
        files.dump(tmp_path / f"{frame}.json", document)
    recording = read(tmp_path, size=SIZE)
    assert recording.summary.left_out == {"people without body keypoints": 3}
    assert np.abs(recording.tracks[0].values[..., :2] - film[:, 0]).max() < files.EXACT


def test_pairs_without_confidence(tmp_path: Path) -> None:
    """18 pairs are 36 numbers, which once were read as 12 triples."""
    film = files.film("coco18", 3)
    frames = [{"people": [{"pose_keypoints_2d": p[0].ravel().tolist()}]} for p in film]
    (track,) = read(files.dump(tmp_path / "f.json", frames), size=SIZE).tracks
    assert np.abs(track.values[..., :2] - film[:, 0]).max() < files.EXACT
    assert (track.values[..., 2] == 1).all()


def test_hidden_and_apple_files_are_passed_over(tmp_path: Path) -> None:
    files.write_openpose(tmp_path, files.film("body25", 3))
    (tmp_path / "._clip_000000000001_keypoints.json").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / ".DS_Store").write_bytes(b"\x00\x01")
    assert read(tmp_path, size=SIZE).summary.frames == 3


def test_other_classes_and_categories_are_left_out(tmp_path: Path) -> None:
    film = files.film("coco17", 3)
    frames = [files.yolo_frame(people) for people in film]
    for frame in frames:
        frame.append({"name": "dog", "class": 16, "confidence": 0.9, "box": {}})
    recording = read(files.dump(tmp_path / "y.json", frames), size=SIZE)
    assert recording.summary.left_out == {"detections of other classes than person": 3}
    entries = files.coco_results(film)
    entries.append({**entries[0], "category_id": 18})
    recording = read(files.dump(tmp_path / "r.json", entries), size=SIZE)
    assert recording.summary.left_out == {"entries of other categories than person": 1}


@pytest.mark.parametrize("name", ["person", "Person", "swimmer"])
def test_categories_say_who_is_a_person(name: str, tmp_path: Path) -> None:
    document = files.coco_annotations(files.film("coco17", 3))
    document["categories"] = [{"id": 7, "name": name}]
    for entry in document["annotations"]:
        entry["category_id"] = 7
    (track,) = read(files.dump(tmp_path / "c.json", document)).tracks
    assert len(track.frames) == 3


@pytest.mark.parametrize("nothing", [None, {}, [], {"x": [], "y": [], "visible": []}])
def test_detections_without_keypoints_are_left_out(nothing: object, tmp_path: Path) -> None:
    frames = [files.yolo_frame(people) for people in files.film("coco17", 3)]
    frames[1][0]["keypoints"] = nothing
    recording = read(files.dump(tmp_path / "y.json", frames), size=SIZE)
    assert recording.summary.left_out == {"people without body keypoints": 1}
    assert np.isnan(recording.tracks[0].values[1]).all()


def test_json_in_json(tmp_path: Path) -> None:
    """``json.dump(result.to_json(), file)``."""
    text = json.dumps([files.yolo_frame(people) for people in files.film("coco17", 3)])
    assert read(files.dump(tmp_path / "y.json", text), size=SIZE).summary.frames == 3


def test_mediapipe_depth_is_never_a_confidence(tmp_path: Path) -> None:
    """Lists of x, y, z, and objects that leave visibility out."""
    film = files.film("mediapipe33", 3)
    bare = [np.column_stack([p[0] / SIZE, np.full(33, -0.3)]).tolist() for p in film]
    objects = [[{"x": x, "y": y, "z": -0.3} for x, y in (p[0] / SIZE).tolist()] for p in film]
    for index, frames in enumerate((bare, objects)):
        path = tmp_path / f"{index}.json"
        path.write_text(json.dumps(frames))
        (track,) = read(path, size=SIZE).tracks
        assert (track.values[..., 2] == 1).all()


# Remarks


def _upside_down(film: Array) -> Array:
    return np.stack([film[..., 0], files.HEIGHT - film[..., 1]], axis=-1)


def test_people_who_stand_on_their_heads_are_remarked(tmp_path: Path) -> None:
    film = files.film("coco17", 9)
    for shown, remarked in ((film, False), (_upside_down(film), True)):
        notes = read(_yolo(tmp_path / "f.json", shown), size=SIZE).summary.notes
        assert any("y has to go down" in note for note in notes) == remarked


@pytest.mark.parametrize("first", [0, 30])
def test_width_and_height_the_other_way_round(first: int, tmp_path: Path) -> None:
    """A remark where some are outside, refused where most are."""
    path = _yolo(tmp_path / "f.json", files.film("coco17", 80)[first:])
    try:
        said = " ".join(read(path, size=(720, 1280)).summary.notes)
    except InputError as error:
        said = str(error)
    assert "are width and height swapped, 1280x720?" in said


@pytest.mark.parametrize(
    ("scale", "size"), [((100 / SIZE[0], 100 / SIZE[1]), SIZE), ((1.0, 1.0), (12_800, 7_200))]
)
def test_people_in_the_corner_are_remarked(
    scale: tuple[float, float], size: tuple[int, int], tmp_path: Path
) -> None:
    """Percent of the image, and a size ten times too large."""
    path = _yolo(tmp_path / "f.json", files.film("coco17", 9) * scale)
    assert any("upper left corner" in note for note in read(path, size=size).summary.notes)


def test_a_third_number_above_1_is_remarked(tmp_path: Path) -> None:
    """Scores of MMPose's newer heads, or metres."""
    film = files.film("coco17", 3)
    points = np.concatenate(
        [film, np.broadcast_to(np.linspace(0.9, 3, 17)[:, None], (3, 1, 17, 1))], -1
    )
    text = "\n".join(json.dumps({"keypoints": people[0].tolist()}) for people in points)
    (tmp_path / "k.jsonl").write_text(text)
    assert any(
        "taken as a confidence" in note
        for note in read(tmp_path / "k.jsonl", size=SIZE).summary.notes
    )


@pytest.mark.parametrize("beside", [(-0.02, 0.5), (0.4, 1.04)])
def test_fractions_with_a_point_beyond_the_edge(
    beside: tuple[float, float], tmp_path: Path
) -> None:
    clip = files.film("h36m17", 5)[:, 0] / SIZE
    clip[2, 3] = beside
    np.savez(tmp_path / "f.npz", a=clip)
    with pytest.raises(InputError, match="nearly all coordinates lie between 0 and 1"):
        read(tmp_path / "f.npz")


def test_normalised_clips_that_exceed_the_size_that_is_given(tmp_path: Path) -> None:
    """Both axes from -1 to 1 are another unit, which a wide image shows."""
    clip = files.film("h36m17", 9)[:, 0] / SIZE * 2 - 1
    clip[..., 1] *= 1.8
    np.savez(tmp_path / "n.npz", a=clip)
    recording = read(tmp_path / "n.npz", size=SIZE)
    assert any("lie outside the image" in note for note in recording.summary.notes)


@pytest.mark.parametrize("size", [(1280,), (1280, 720, 3), "1280x720", (1280.5, 720), (1280, None)])
def test_a_size_is_two_whole_numbers(size: object, tmp_path: Path) -> None:
    path = _results(tmp_path / "k.json", files.film("coco17", 2))
    with pytest.raises(InputError, match=r"it must be \(width, height\) in whole pixels"):
        read(path, size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [SIZE, list(SIZE), np.array(SIZE)], ids=lambda s: type(s).__name__)
def test_a_size_that_the_file_says_too(size: object, tmp_path: Path) -> None:
    """However Python has it: JSON gives lists, a picture's shape an array."""
    path = files.dump(tmp_path / "c.json", files.coco_annotations(files.film("coco17", 2)))
    assert read(path, size=size).size == SIZE  # type: ignore[arg-type]
