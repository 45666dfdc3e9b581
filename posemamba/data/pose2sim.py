"""The one real trial that a package registry carries: pose2sim 0.4.0's balancing person.

Four calibrated cameras at 60 Hz, 100 frames, OpenPose BODY_25B detections (BSD-3-Clause, see
``assets/ATTRIBUTION.md``). Nothing is imported or run: the wheel is read as an archive.

Two references in 3D, neither of which is optical motion capture:

- ``triangulated``: the detections of all four cameras, triangulated here, gaps interpolated.
- ``trc``: ``Balancing_for_IK.trc`` of the wheel. Its 21 "markers" are BODY_25B's keypoints by name
  and order, so it is pose2sim's own triangulation of such detections, low-pass filtered: a second
  opinion on the triangulation, no independent truth.

Joints: the limbs and the nose are the detector's. The root is the mean of the hips, the belly the
middle between that and the neck, neck and head are BODY_25B's "upper neck" and "head top": not the
places Human3.6M's markers have, which lie some centimetres off.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from posemamba.data.clip_set import ClipSet
from posemamba.data.multiview import Camera, triangulate
from posemamba.errors import InputError
from posemamba.files.input import DAMAGED_ZIP, require_no_device
from posemamba.pose.keypoints import detections_to_h36m, get_format
from posemamba.pose.metrics import mpjpe, p_mpjpe
from posemamba.pose.preprocess import normalize_2d
from posemamba.skeleton import JOINT_NAMES, ROOT
from posemamba.text import plural
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.keypoints import read

Array = npt.NDArray[np.float64]

ORIGIN = "pose2sim 0.4.0, Pose2Sim/Demo (BSD-3-Clause)"

MIN_CONFIDENCE = 0.2
"""Below this, wrists jump by a third of the image and back, and camera 4, which sees the person
from behind, reports noses it cannot see."""

MAX_ERROR = 15.0
"""Pixels of mean reprojection error within which views agree: pose2sim's own default."""

_QUALISYS_SUBPIXELS = 64.0  # intrinsic parameters are in 64ths of a pixel
_DEMO = "Pose2Sim/Demo"
_FLIP = np.diag([1.0, -1.0, -1.0])  # Qualisys' cameras look along -z, y up

# The .trc file's names of the BODY_25B joints that Human3.6M's are made of.
_TRC_NAMES = {
    **{"Neck": "upper_neck", "Head": "head_top", "Nose": "nose"},
    **{
        f"{side[0].upper()}{part}": f"{side}_{part.lower()}"
        for side in ("right", "left")
        for part in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist")
    },
}


@dataclass(frozen=True)
class Trial:
    """The trial as clip sets of four clips, one per camera.

    Attributes:
        triangulated, trc: the same keypoints with the two references, named
            ``balancing/<camera>/0``.
        figures: ``reprojection_px`` of the triangulation (mean), ``missing_percent`` of its joints
            that were interpolated, and between the references the root-relative ``mpjpe_mm`` and
            ``p_mpjpe_mm``.
    """

    triangulated: ClipSet
    trc: ClipSet
    figures: Mapping[str, float]


def read_trial(wheel_or_folder: str | os.PathLike[str]) -> Trial:
    """Build the clip sets from the wheel, or from a folder it was unpacked to.

    Raises:
        InputError: not pose2sim 0.4.0, or a part of it that cannot be read.
    """
    wheel_or_folder = Path(wheel_or_folder)
    if not wheel_or_folder.exists():
        raise InputError(
            f"{wheel_or_folder}: no such file; get it with 'pip download --no-deps pose2sim==0.4.0'"
        )
    require_no_device(wheel_or_folder)
    with demo_folder(wheel_or_folder) as demo:
        return _trial(demo)


@contextmanager
def demo_folder(wheel_or_folder: str | os.PathLike[str]) -> Iterator[Path]:
    """The demonstration trial in pose2sim 0.4.0, unpacked while the block runs.

    Raises:
        InputError: it is not there.
    """
    wheel_or_folder = Path(wheel_or_folder)
    if wheel_or_folder.is_dir():
        yield _demo(wheel_or_folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(wheel_or_folder) as wheel:
                inside = [name for name in wheel.namelist() if name.startswith(f"{_DEMO}/")]
                wheel.extractall(folder, inside)
        except DAMAGED_ZIP:
            raise InputError(f"{wheel_or_folder}: not a wheel; download it again") from None
        yield _demo(Path(folder), wheel_or_folder)


def read_people(demo: str | os.PathLike[str], sizes: Sequence[tuple[int, int]]) -> Array:
    """The largest person before each camera, as the runtime's reader and tracker find them.

    Args:
        sizes: width and height of each camera's image.

    Returns:
        (cameras, frames, 25, 3) pixels and confidence, which is 0 where nothing was found.

    Raises:
        InputError: a folder that cannot be read, or a camera that loses the person for long.
    """
    demo = Path(demo)
    people = []
    for number, size in enumerate(sizes, 1):
        folder = demo / "pose" / f"cam{number}_json"
        try:
            recording = read(
                folder, size=size, layout="body25b", min_confidence=0.0, person="largest"
            )
        except BadArgument as error:
            raise InputError(str(error)) from None
        (track,) = recording.tracks
        if len(track.frames) != recording.summary.frames:
            raise InputError(
                f"{folder}: the person is in {len(track.frames)} of "
                f"{plural(recording.summary.frames, 'frame')}; give frames that show them"
            )
        people.append(np.nan_to_num(track.values.astype(np.float64)))
    if len({len(track) for track in people}) > 1:
        counts = ", ".join(str(len(track)) for track in people)
        raise InputError(
            f"{demo / 'pose'}: the cameras' numbers of frames differ ({counts}); give one trial's"
        )
    return np.stack(people)


def _demo(root: Path, said: Path | None = None) -> Path:
    demo = root / _DEMO
    if not (demo / "calibration" / "Calib.qca.txt").is_file():
        raise InputError(f"{said or root}: not pose2sim 0.4.0; {_DEMO}/calibration is missing")
    return demo


def read_cameras(file: str | os.PathLike[str]) -> list[Camera]:
    """Cameras of a Qualisys calibration file (XML; millimetres, 64ths of a pixel).

    Raises:
        InputError: another format.
    """
    file = Path(file)
    try:
        found = [
            _camera(entry)
            for entry in ElementTree.fromstring(file.read_text("utf-8")).iter("camera")
        ]
    except (ElementTree.ParseError, AttributeError, KeyError, ValueError) as error:
        lacking = f"it lacks {error}" if isinstance(error, KeyError) else "or damaged"
        raise InputError(f"{file}: not a Qualisys calibration, {lacking}") from None
    if len(found) < 2:
        raise InputError(f"{file}: {plural(len(found), 'camera')}; two or more are needed")
    return found


def read_trc(file: str | os.PathLike[str]) -> dict[str, Array]:
    """Point name to (frames, 3) metres, y up, of a .trc file.

    Raises:
        InputError: another format, or another unit.
    """
    file = Path(file)
    lines = file.read_text("utf-8").splitlines()
    try:
        header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
        names = [name for name in lines[3].split("\t")[2:] if name]
        rows = [line.split("\t")[2:] for line in lines[5:] if line.strip()]
        values = np.array([[float(cell) for cell in row if cell] for row in rows])
        points = values.reshape(len(rows), len(names), 3)
    except (IndexError, ValueError):
        raise InputError(f"{file}: not a .trc file, or damaged") from None
    if header.get("Units") != "m" or not np.isfinite(points).all() or not len(points):
        raise InputError(f"{file}: expected finite metres, found unit '{header.get('Units')}'")
    return {name: points[:, index] for index, name in enumerate(names)}


def to_h36m_3d(points: Mapping[str, Array]) -> Array:
    """BODY_25B joints by name, each (frames, 3), to Human3.6M's (frames, 17, 3).

    Raises:
        InputError: a joint that is needed is absent.
    """
    rule = get_format("body25b")
    if absent := [name for name in rule.used if name not in points]:
        raise InputError(f"no point for {', '.join(absent)}: not a BODY_25B set")
    joints = [
        np.sum([weight * points[name] for name, weight in rule.weights(joint)[0].items()], axis=0)
        for joint in JOINT_NAMES
    ]
    return np.stack(joints, axis=1)


def _trial(demo: Path) -> Trial:
    cameras = read_cameras(demo / "calibration" / "Calib.qca.txt")
    people = read_people(demo, [(camera.width, camera.height) for camera in cameras])
    world, figures = _triangulated(cameras, people)
    trc = read_trc(demo / "opensim" / "Balancing_for_IK.trc")
    # The file's axes are the room's turned: y up, where the room has z up.
    named = {joint: trc[name][:, [2, 0, 1]] for name, joint in _TRC_NAMES.items() if name in trc}
    reference = to_h36m_3d(named)
    if reference.shape != world.shape:
        raise InputError(
            f"{demo}: {plural(len(reference), 'frame')} in Balancing_for_IK.trc, {len(world)} of "
            "detections"
        )
    relative = [1000.0 * (pose - pose[:, ROOT : ROOT + 1]) for pose in (world, reference)]
    figures["mpjpe_mm"] = mpjpe(*relative)
    figures["p_mpjpe_mm"] = p_mpjpe(*relative)
    return Trial(_filmed(cameras, people, world), _filmed(cameras, people, reference), figures)


def triangulate_joints(
    cameras: Sequence[Camera], people: Array, names: Sequence[str]
) -> tuple[Array, Array, Array]:
    """Some joints of a person in the room.

    Args:
        people: (views, frames, joints, 3) of :func:`read_people`.
        names: of joints of BODY_25B.

    Returns:
        what was seen of them (views, frames, names, 3), in pixels; where they are
        (frames, names, 3) in metres, NaN where no two cameras agree; the reprojection errors.
    """
    places = [get_format("body25b").joints.index(name) for name in names]
    seen = people[:, :, places]
    views, frames, joints, _ = seen.shape
    points, errors = triangulate(
        cameras,
        seen[..., :2].reshape(views, -1, 2),
        seen[..., 2].reshape(views, -1),
        min_confidence=MIN_CONFIDENCE,
        max_error=MAX_ERROR,
    )
    return seen, points.reshape(frames, joints, 3), errors


def _triangulated(cameras: list[Camera], people: Array) -> tuple[Array, dict[str, float]]:
    """Human3.6M joints in the room (frames, 17, 3), metres, z up; and figures of quality."""
    rule = get_format("body25b")
    _, tracks, errors = triangulate_joints(cameras, people, rule.used)
    figures = {
        "reprojection_px": float(np.nanmean(errors)),
        "missing_percent": float(np.isnan(errors).mean() * 100),
    }
    filled = {name: _filled(tracks[:, index], name) for index, name in enumerate(rule.used)}
    return to_h36m_3d(filled), figures


def _filled(track: Array, name: str) -> Array:
    """(frames, 3) with NaN frames interpolated, held before the first and after the last."""
    known = np.isfinite(track[:, 0])
    if not known.any():
        raise InputError(f"no two cameras agree on '{name}' in any frame: wrong calibration?")
    times = np.arange(len(track))
    return np.stack([np.interp(times, times[known], track[known, axis]) for axis in range(3)], 1)


def _filmed(cameras: list[Camera], people: Array, world: Array) -> ClipSet:
    """One clip a camera: its detections, and the poses in its own frame."""
    keypoints, poses, scales, names = [], [], [], []
    for camera, person in zip(cameras, people, strict=True):
        pixels = detections_to_h36m(person, "body25b", min_confidence=MIN_CONFIDENCE)
        keypoints.append(normalize_2d(pixels, camera.width, camera.height))
        seen = camera.to_camera(world)  # (frames, 17, 3)
        per_metre = 2.0 * camera.focal / camera.width / float(seen[:, ROOT, 2].mean())
        poses.append((seen - seen[:, ROOT : ROOT + 1]) * per_metre)
        scales.append(1000.0 / per_metre)
        names.append(f"balancing/{camera.name}/0")
    return ClipSet(
        np.stack(keypoints).astype(np.float32),
        np.stack(poses).astype(np.float32),
        np.array(scales, np.float32),
        tuple(names),
        ORIGIN,
    )


def _camera(entry: ElementTree.Element) -> Camera:
    video, turn, inside = (
        entry.find(name).attrib  # type: ignore[union-attr]  # absent: AttributeError, caught
        for name in ("fov_video", "transform", "intrinsic")
    )
    left, top = float(video["left"]), float(video["top"])
    focal_u, focal_v, centre_u, centre_v = (
        float(inside[name]) / _QUALISYS_SUBPIXELS
        for name in ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV")
    )
    names = (
        *("radialDistortion1", "radialDistortion2"),
        *("tangentalDistortion1", "tangentalDistortion2"),
    )
    rotation = np.array([[float(turn[f"r{i}{j}"]) for j in (1, 2, 3)] for i in (1, 2, 3)])
    return Camera(
        entry.attrib["serial"],
        int(float(video["right"]) - left) + 1,
        int(float(video["bottom"]) - top) + 1,
        np.array(
            [[focal_u, 0.0, centre_u - left], [0.0, focal_v, centre_v - top], [0.0, 0.0, 1.0]]
        ),
        np.array([float(inside[name]) for name in names]),
        _FLIP @ rotation,
        np.array([float(turn[axis]) for axis in "xyz"]) / 1000.0,
    )
