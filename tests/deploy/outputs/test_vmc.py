"""VMC received by python-osc over loopback: bones, positions, pace and delay."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from motions import STANDING, poses, walked
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_server import BlockingOSCUDPServer

from posemamba_runtime.errors import BadArgument
from posemamba_runtime.outputs.vmc import PORT, VmcSender, packet, parse_address

Array = npt.NDArray[Any]

FLOAT32 = 1e-5  # metres, over chains of five bones
ETHERNET = 1472  # bytes of a datagram that is not split on the way

#: Bone to its parent in Unity's humanoid, and the joint where it begins.
HUMANOID = {
    "Hips": (None, 0),
    "Spine": ("Hips", 0),
    "Chest": ("Spine", 7),
    "Neck": ("Chest", 8),
    "Head": ("Neck", 9),
    "LeftShoulder": ("Chest", 8),
    "LeftUpperArm": ("LeftShoulder", 11),
    "LeftLowerArm": ("LeftUpperArm", 12),
    "RightShoulder": ("Chest", 8),
    "RightUpperArm": ("RightShoulder", 14),
    "RightLowerArm": ("RightUpperArm", 15),
    "LeftUpperLeg": ("Hips", 4),
    "LeftLowerLeg": ("LeftUpperLeg", 5),
    "RightUpperLeg": ("Hips", 1),
    "RightLowerLeg": ("RightUpperLeg", 2),
}


@dataclass
class Heard:
    """What a receiver got: messages in order, each with the time it came."""

    port: int = 0
    messages: list[tuple[float, str, tuple[Any, ...]]] = field(default_factory=list)

    def of(self, address: str) -> list[tuple[Any, ...]]:
        return [arguments for _, name, arguments in self.messages if name == address]

    def wait(self, address: str, count: int) -> None:
        end = time.monotonic() + 10
        while len(self.of(address)) < count:
            assert time.monotonic() < end, f"{len(self.of(address))} of {count} {address}"
            time.sleep(0.005)


@pytest.fixture
def heard() -> Iterator[Heard]:
    notes = Heard()
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(
        lambda address, *arguments: notes.messages.append((time.monotonic(), address, arguments))
    )
    with BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher) as server:
        notes.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield notes
        server.shutdown()
        thread.join()


def unity(points: Array) -> Array:
    """Camera axes to Unity's: the person's right is +x, y up, z towards the camera."""
    return np.stack([-points[..., 0], -points[..., 1], -points[..., 2]], axis=-1)


def turned(quaternion: Array, vector: Array) -> Array:
    """x, y, z, w applied to a vector; one formula in right- and left-handed axes."""
    axis, w = quaternion[:3], quaternion[3]
    across = 2 * np.cross(axis, vector)
    return vector + w * across + np.cross(axis, across)


def product(a: Array, b: Array) -> Array:
    """Hamilton's product of x, y, z, w."""
    xyz = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(xyz, a[3] * b[3] - a[:3] @ b[:3])


def avatar(bones: list[tuple[Any, ...]]) -> dict[int, Array]:
    """Joint to its place: local positions and rotations joined as a receiver joins them."""
    told = {name: np.array(values) for name, *values in bones}
    assert set(told) == set(HUMANOID)
    places: dict[str, tuple[Array, Array]] = {}
    joints = {}
    for name, (parent, joint) in HUMANOID.items():  # parents come first
        place, turn = told[name][:3], told[name][3:]
        if parent is not None:
            at, facing = places[parent]
            place, turn = at + turned(facing, place), product(facing, turn)
        places[name] = place, turn
        if joint in joints:
            np.testing.assert_allclose(joints[joint], place, atol=FLOAT32)
        joints[joint] = place
    return joints


@pytest.mark.parametrize("units", ["m", "mm"])
def test_bones_are_where_the_joints_are(units: str, heard: Heard) -> None:
    sent = poses(20)
    scale = 1000.0 if units == "mm" else 1.0
    with VmcSender("127.0.0.1", heard.port, units=units) as sender:
        for index, pose in enumerate(sent):
            sender.send(pose * scale, index / 30)
    heard.wait("/VMC/Ext/Bone/Pos", 15 * 20)
    every = heard.of("/VMC/Ext/Bone/Pos")
    for index, pose in enumerate(sent):
        joints = avatar(every[15 * index : 15 * index + 15])
        hips = joints[0]
        place = unity(pose.astype(np.float64))
        for joint, at in joints.items():
            np.testing.assert_allclose(at - hips, place[joint] - place[0], atol=FLOAT32)
        lowest = min(place[3, 1], place[6, 1])
        np.testing.assert_allclose(hips, [0, 0.08 - lowest, 0], atol=FLOAT32)
    assert heard.of("/VMC/Ext/OK") == [(1,)] * 20
    assert heard.of("/VMC/Ext/Root/Pos") == [("root", 0, 0, 0, 0, 0, 0, 1)] * 20
    np.testing.assert_allclose(
        [t for (t,) in heard.of("/VMC/Ext/T")], np.arange(20) / 30, atol=1e-6
    )


def test_a_person_at_rest_leaves_the_avatar_alone(heard: Heard) -> None:
    """A T-pose facing the camera: no rotations, the left arm at Unity's -x."""
    rest = STANDING.copy()
    for joint, parent in ((7, 0), (8, 7)):
        rest[joint] = rest[parent] - [0, 0.24, 0]
    rest[1], rest[4] = [-0.12, 0, 0], [0.12, 0, 0]
    for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
        rest[knee], rest[ankle] = rest[hip] + [0, 0.44, 0], rest[hip] + [0, 0.86, 0]
    for side, chain in ((1, (11, 12, 13)), (-1, (14, 15, 16))):
        for reach, joint in zip((0.17, 0.45, 0.7), chain, strict=True):
            rest[joint] = rest[8] + [side * reach, 0, 0]
    rest[9] = rest[8] + [0, -0.1 * np.cos(np.pi / 6), -0.1 * np.sin(np.pi / 6)]
    rest[10] = rest[9] + [0, -0.12, 0]
    with VmcSender("127.0.0.1", heard.port) as sender:
        sender.send(rest, 0.0)
    heard.wait("/VMC/Ext/Bone/Pos", 15)
    for _, *values in heard.of("/VMC/Ext/Bone/Pos"):
        np.testing.assert_allclose(np.abs(values[3:]), [0, 0, 0, 1], atol=1e-6)
    joints = avatar(heard.of("/VMC/Ext/Bone/Pos"))
    assert joints[12][0] < -0.4 < 0.4 < joints[15][0]


def test_the_avatar_walks_with_a_trajectory(heard: Heard) -> None:
    places = walked(10)
    with VmcSender("127.0.0.1", heard.port) as sender:
        for index, (pose, place) in enumerate(zip(poses(10), places, strict=True)):
            sender.send(pose, index / 30, place)
    heard.wait("/VMC/Ext/Bone/Pos", 150)
    hips = np.array([b[1:4] for b in heard.of("/VMC/Ext/Bone/Pos") if b[0] == "Hips"])
    moved = unity((places - places[0]).astype(np.float64))
    np.testing.assert_allclose(hips[:, [0, 2]], moved[:, [0, 2]], atol=FLOAT32)


@pytest.mark.alone
def test_pace_and_delay(heard: Heard) -> None:
    """Poses are received as they are sent; the delay is told once a second."""
    frames, rate = 45, 30.0
    pose = poses(1)[0]
    sent = []
    with VmcSender("127.0.0.1", heard.port, delay_frames=4, delay_ms=133.333) as sender:
        start = time.monotonic()
        for index in range(frames):
            time.sleep(max(0.0, start + index / rate - time.monotonic()))
            sent.append(time.monotonic())
            sender.send(pose, index / rate)
    heard.wait("/VMC/Ext/T", frames)
    came = [at for at, address, _ in heard.messages if address == "/VMC/Ext/T"]
    assert np.median(np.subtract(came, sent)) < 0.02  # a busy machine; 1 ms on an idle one
    assert (frames - 1) / (came[-1] - came[0]) == pytest.approx(rate, rel=0.1)
    told = [json.loads(text) for (text,) in heard.of("/VMC/Ext/Opt")]
    assert told == [{"posemamba": {"delay_frames": 4, "delay_ms": 133.3}}] * 2  # at 0 s and 1 s


def test_one_datagram_that_fits_an_ethernet_frame() -> None:
    datagram = packet(poses(1)[0].astype(np.float64), 1e6, np.zeros(3))
    assert len(datagram) <= ETHERNET
    bundle = OscBundle(datagram)
    assert bundle.num_contents == 18
    assert OscBundle.dgram_is_bundle(datagram)


ADDRESSES = {
    "localhost": ("localhost", PORT),
    "10.0.0.7:5000": ("10.0.0.7", 5000),
    "::1": ("::1", PORT),
    "[::1]:5000": ("::1", 5000),
    "[::1]": ("::1", PORT),
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text: str) -> None:
    assert parse_address(text) == ADDRESSES[text]


@pytest.mark.parametrize("text", ["", ":5000", "host:", "host:x", "host:0", "host:65536", "[::1]x"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(BadArgument, match="HOST:PORT"):
        parse_address(text)


def test_what_cannot_be_sent() -> None:
    with pytest.raises(BadArgument, match="--height-m"):
        VmcSender("127.0.0.1", units="network")
    with pytest.raises(BadArgument, match="cannot be found"):
        VmcSender("no such host")
    with VmcSender("127.0.0.1", 9) as sender:
        for pose in (np.zeros((16, 3)), np.full((17, 3), np.nan)):
            with pytest.raises(BadArgument, match="finite"):
                sender.send(pose, 0.0)


def test_nobody_listening_is_no_failure() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with VmcSender("127.0.0.1", port) as sender:
        for index in range(3):  # the second would hear of the first's fate on a connected socket
            sender.send(poses(1)[0], index / 30)
