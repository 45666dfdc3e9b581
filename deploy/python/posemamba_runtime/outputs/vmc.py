"""Live poses to avatars: the VMC protocol, which is OSC messages over UDP.

Every pose is one bundle in one datagram: ``/VMC/Ext/OK`` 1, ``/VMC/Ext/T`` with the pose's seconds,
``/VMC/Ext/Root/Pos`` at the origin, and ``/VMC/Ext/Bone/Pos`` with name, local position and local
rotation x, y, z, w of each bone that 17 joints tell: no hands, feet, fingers or face. Names are
those of Unity's ``HumanBodyBones``, axes are Unity's: left-handed, y up, metres. A person who faces
the camera makes an avatar that faces +z; the person's right is +x.

The protocol knows one avatar, so one person per address; and it has no field for a delay. That is
told about once a second by ``/VMC/Ext/Opt``, a text for the receiver's scripts, as JSON:
``{"posemamba": {"delay_frames": 4, "delay_ms": 133.3}}``.

Source: the protocol's specification, versions 2.0 to 2.5.
"""

from __future__ import annotations

import json
import socket
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime.body import quaternions as quat
from posemamba_runtime.body.kinematics import rest_offsets, rotations, y_up
from posemamba_runtime.body.skeleton import ANKLES
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.motion import FloatArray
from posemamba_runtime.outputs.osc import bundle, message
from posemamba_runtime.skeleton import NUM_JOINTS, PARENTS

Array = npt.NDArray[np.float64]

PORT = 39539
"""Where receivers ("marionettes") listen by default."""

#: The joints whose turns make up each bone's. Unity has no bone from pelvis to hip: the thigh takes
#: that turn too.
BONES: dict[str, tuple[int, ...]] = {
    "Hips": (0,),
    "Spine": (7,),
    "Chest": (8,),
    "Neck": (9,),
    "Head": (10,),
    "LeftShoulder": (11,),
    "LeftUpperArm": (12,),
    "LeftLowerArm": (13,),
    "RightShoulder": (14,),
    "RightUpperArm": (15,),
    "RightLowerArm": (16,),
    "LeftUpperLeg": (4, 5),
    "LeftLowerLeg": (6,),
    "RightUpperLeg": (1, 2),
    "RightLowerLeg": (3,),
}

_METRES = {"m": 1.0, "mm": 1e-3}
_ANKLE = 0.08  # metres from the sole to the ankle, so that feet stand on the floor
_TOLD_EVERY = 1.0  # seconds between two datagrams about the delay


def parse_address(text: str) -> tuple[str, int]:
    """``HOST`` or ``HOST:PORT``; an IPv6 address with a port stands in brackets.

    Raises:
        BadArgument: no host, or a port that cannot be.
    """
    host, port = text, str(PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else rest or port
    elif text.count(":") == 1:
        host, port = text.split(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadArgument(
            f"'{text}': give a receiver as HOST or HOST:PORT, such as 127.0.0.1:{PORT}"
        )
    return host, int(port)


class VmcSender:
    """Sends one person's poses to one receiver.

    Args:
        host, port: of the receiver.
        units: "m" or "mm", of the poses to come.
        delay_frames, delay_ms: by how much poses come after their keypoints; told to the receiver.

    Raises:
        BadArgument: poses of unknown size, or a host that cannot be found.
    """

    def __init__(
        self,
        host: str,
        port: int = PORT,
        *,
        units: str = "m",
        delay_frames: int = 0,
        delay_ms: float = 0.0,
    ) -> None:
        if units not in _METRES:
            raise BadArgument(
                "avatars are moved in metres, and nobody said how tall the person is: give the "
                "height (--height-m 1.75)"
            )
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise BadArgument(f"receiver '{host}' cannot be found ({reason})") from None
        family, kind, protocol, _, address = found[0]
        self._address: tuple[Any, ...] = address
        self._socket = socket.socket(family, kind, protocol)
        self._scale = _METRES[units]
        told = {"posemamba": {"delay_frames": delay_frames, "delay_ms": round(delay_ms, 1)}}
        self._delay = message("/VMC/Ext/Opt", json.dumps(told))
        self._told = -np.inf
        self._start: Array | None = None

    def send(self, pose_3d: FloatArray, seconds: float, root: FloatArray | None = None) -> None:
        """Send one pose.

        Args:
            pose_3d: (17, 3) in the camera's axes, the pelvis at the origin.
            seconds: the pose's time, from the start of the stream.
            root: (3,) the pelvis before the camera, in the pose's unit: the avatar then walks, from
                where the first one was. Its height always comes from its lower foot.

        Raises:
            BadArgument: another shape, a value that is not finite, or a network that refuses.
        """
        if pose_3d.shape != (NUM_JOINTS, 3) or not np.isfinite(pose_3d).all():
            raise BadArgument(f"a pose of shape {pose_3d.shape}: give (17, 3) finite numbers")
        if seconds - self._told >= _TOLD_EVERY:
            self._told = seconds
            self._put(self._delay)
        self._put(packet(pose_3d.astype(np.float64) * self._scale, seconds, self._step(root)))

    def close(self) -> None:
        """Close the socket; a second time does nothing."""
        self._socket.close()

    def __enter__(self) -> VmcSender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _step(self, root: FloatArray | None) -> Array:
        """Metres from where the person was first, y up."""
        if root is None:
            return np.zeros(3)
        place = y_up(root) * self._scale
        if self._start is None:
            self._start = place
        return place - self._start

    def _put(self, datagram: bytes) -> None:
        try:
            self._socket.sendto(datagram, self._address)
        except OSError as error:
            where = f"{self._address[0]}:{self._address[1]}"
            raise BadArgument(f"nothing can be sent to {where} ({error.strerror})") from None


def packet(pose_3d: Array, seconds: float, step: Array) -> bytes:
    """One pose as a datagram.

    Args:
        pose_3d: (17, 3) metres in the camera's axes, the pelvis at the origin.
        step: (3,) metres by which the person has moved, y up; its height is not used.
    """
    local, offsets = rotations(pose_3d[None])[0], rest_offsets(pose_3d[None])
    height = _ANKLE - float(y_up(pose_3d)[list(ANKLES), 1].min())
    messages = [
        message("/VMC/Ext/OK", 1),
        message("/VMC/Ext/T", float(seconds)),
        message("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    ]
    for name, joints in BONES.items():
        turn = local[joints[-1]]
        place = offsets[PARENTS[joints[-1]]]
        if name == "Hips":
            place = np.array([step[0], height, step[2]])
        for joint in joints[:-1]:  # turns that no bone of the avatar's takes
            turn = quat.multiply(local[joint], turn)
            place = quat.rotate(local[joint], place)
        messages.append(message("/VMC/Ext/Bone/Pos", name, *_unity(place, turn)))
    return bundle(messages)


def _unity(place: Array, turn: Array) -> list[float]:
    """Position and rotation in left-handed axes: x mirrored, so turns about y and z go back."""
    (x, y, z), (w, qx, qy, qz) = place.tolist(), turn.tolist()
    return [-x, y, z, qx, -qy, -qz, w]
