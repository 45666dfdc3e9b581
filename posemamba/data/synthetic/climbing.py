"""Five climbing clips of the wheel ``holosoma-retargeting`` 0.1.0: 53 joints to the 17.

The wheel is read as an archive; nothing of it is imported, run or copied into this package. Its
metadata claims Apache-2.0 for the whole; it holds no licence file, and nothing says who recorded
the clips. That claim is written into every clip set made of them (:data:`ORIGIN`). The wheel's two
OMOMO files, research data, are never opened.

Each clip is (frames, 53, 3) float32: joint positions in metres, z up, of a rigid skeleton. The
names of the 53 are the package's table for its format "mocap".

The rate is not written anywhere. It is taken as 120 a second:

- the package's own reader keeps every fourth frame, and its viewer and its converter take what it
  writes as 30 a second;
- a body's centre of mass falls no faster than gravity lets it. Over 17 frames the fastest descent
  is 4.5e-4 m a frame squared, which at 9.81 m/s^2 allows 147 frames a second at most: not 240, the
  next usual rate. Nobody is in the air for long enough to measure more.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posemamba.data.synthetic.humanoid import RATE, Motion
from posemamba.errors import InputError
from posemamba.files.input import DAMAGED_ZIP, require_no_device
from posemamba.skeleton import JOINT_NAMES

Array = npt.NDArray[np.float64]
Folder = Path | zipfile.Path

GET = "pip download --no-deps holosoma-retargeting==0.1.0"
ORIGIN = (
    "holosoma-retargeting 0.1.0, demo_data/climb (its metadata claims Apache-2.0, without a "
    "licence file or a word on who recorded it)"
)
SOURCE_RATE = 120.0
"""Frames a second of the source, inferred."""


@dataclass(frozen=True)
class Recording:
    """A file of the wheel.

    Attributes:
        number: of the sequence.
        frames: as the file's name tells them; both ends are in the file.
        sha256: of the file.
    """

    number: int
    frames: tuple[int, int]
    sha256: str

    @property
    def name(self) -> str:
        return f"climb_{self.number}"

    @property
    def path(self) -> str:
        """From the wheel's root."""
        sequence = f"mocap_climb_seq_{self.number}"
        first, last = self.frames
        file = f"{sequence}_joint_positions_f{first}-{last}.npy"
        return f"holosoma_retargeting/demo_data/climb/{sequence}/{file}"


RECORDINGS = (
    Recording(0, (900, 3700), "0d10253c34f26148c40e96261033b7e5955bcd5d784b76a02be8847aa2b75d8d"),
    Recording(1, (0, 2422), "5ad287c1a0f288c615bc56032887fa8f21cf5d027d4d906001387db862750a7f"),
    Recording(2, (100, 3110), "fb33fb51393fc1408876f91ef2dfd2a0e1944b148c54a275f9a5a0965dca253a"),
    Recording(3, (200, 2600), "6c9f16cd72bd8e87b8b4d69b3d11370d56f5160af2882215baf45464d6bd0843"),
    Recording(4, (0, 2303), "503c423d5aeaff9805316a62c47ec1dd99f8cb5668fdc041510398e29d846984"),
)
HELD_OUT_CLIMBS = ("climb_4",)
"""Another body (limbs up to 12 mm longer or shorter) on lower boxes, much of it on all fours."""

#: Source joint of each of the 17 that is one: a row of (frames, 53, 3). Nose and head are not.
SOURCE_JOINTS: dict[str, tuple[str, int]] = {
    "root": ("Hips", 0),  # exactly between the two "UpLeg"
    "right_hip": ("RightUpLeg", 47),
    "right_knee": ("RightLeg", 48),
    "right_ankle": ("RightFoot", 49),
    "left_hip": ("LeftUpLeg", 43),
    "left_knee": ("LeftLeg", 44),
    "left_ankle": ("LeftFoot", 45),
    "belly": ("Spine1", 2),
    "neck": ("Neck", 3),
    "left_shoulder": ("LeftArm", 6),
    "left_elbow": ("LeftForeArm", 7),
    "left_wrist": ("LeftHand", 8),
    "right_shoulder": ("RightArm", 25),
    "right_elbow": ("RightForeArm", 26),
    "right_wrist": ("RightHand", 27),
}
_NECK, _SKULL, _LEFT_ARM, _RIGHT_ARM = 3, 4, 6, 25
HEAD_TOP = 0.15
"""Metres from the source's "Head", the skull's base, to its top, on along the neck: standing, that
makes 1.78 m, the height that the package gives its climber."""
NOSE = 0.10
"""Metres from the skull's base forward to the nose, as far as the bundled humanoid's nose is in
front of its neck."""


def read_climbs(wheel_or_folder: str | os.PathLike[str]) -> list[Motion]:
    """The five clips at :data:`~posemamba.data.synthetic.humanoid.RATE`.

    Args:
        wheel_or_folder: the wheel, or a folder it was unpacked to.

    Raises:
        InputError: not that wheel, or a clip that differs from the one known by its SHA-256.
    """
    wheel_or_folder = Path(wheel_or_folder)
    if not wheel_or_folder.exists():
        raise InputError(f"{wheel_or_folder}: no such file; get it with '{GET}'")
    require_no_device(wheel_or_folder)
    if wheel_or_folder.is_dir():
        return [_read(wheel_or_folder, recording) for recording in RECORDINGS]
    try:
        with zipfile.ZipFile(wheel_or_folder) as wheel:
            return [_read(zipfile.Path(wheel), recording) for recording in RECORDINGS]
    except DAMAGED_ZIP:
        raise InputError(f"{wheel_or_folder}: not a wheel, or damaged; '{GET}'") from None


def _read(root: Folder, recording: Recording) -> Motion:
    file = root / recording.path
    if not file.is_file():
        raise InputError(
            f"{root}: not holosoma-retargeting 0.1.0, for {recording.path} is missing; '{GET}'"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from None
    found = hashlib.sha256(content).hexdigest()
    if found != recording.sha256:
        raise InputError(
            f"{file}: SHA-256 {found[:16]}... is not {recording.sha256[:16]}... of "
            f"holosoma-retargeting 0.1.0; '{GET}'"
        )
    source = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float64)
    return Motion(recording.name, retarget(_resample(source)), False, ORIGIN)


def retarget(source: Array) -> Array:
    """(frames, 53, 3) metres, z up, to (frames, 17, 3) metres, y up.

    The head has no joint past its base, so its turn is not known: the face looks where the
    shoulders do, at a right angle to the neck.
    """
    up = _unit(source[:, _SKULL] - source[:, _NECK])
    right = source[:, _RIGHT_ARM] - source[:, _LEFT_ARM]
    points = {name: source[:, row] for name, (_, row) in SOURCE_JOINTS.items()}
    points["nose"] = source[:, _SKULL] + NOSE * _unit(np.cross(up, right))
    points["head"] = source[:, _SKULL] + HEAD_TOP * up
    joints = np.stack([points[name] for name in JOINT_NAMES], axis=1)
    upright: Array = joints[..., [0, 2, 1]] * np.array([1.0, 1.0, -1.0])  # still right-handed
    return upright


def _resample(source: Array) -> Array:
    """From the source's rate to ours, linear between frames 8 ms apart: that shortens a turning
    bone by 1.2 mm at the most."""
    times = np.arange(int((len(source) - 1) * RATE / SOURCE_RATE) + 1) * SOURCE_RATE / RATE
    low = np.minimum(times.astype(int), len(source) - 2)
    part = (times - low)[:, None, None]
    mixed: Array = source[low] * (1 - part) + source[low + 1] * part
    return mixed


def _unit(vectors: Array) -> Array:
    """(frames, 3) at length one."""
    scaled: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled
