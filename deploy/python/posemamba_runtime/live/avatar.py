"""Live poses to an avatar: one person's, of however many are seen."""

from __future__ import annotations

from posemamba_runtime.outputs.vmc import VmcSender
from posemamba_runtime.stream import Pose

_GONE_S = 1.0
"""Seconds without a pose after which the avatar follows whoever is there."""


class Avatar:
    """Takes every pose, sends those of the person it follows: the first one seen."""

    def __init__(self, sender: VmcSender) -> None:
        self._sender = sender
        self._person: int | None = None
        self._start = self._last = 0.0

    def __call__(self, pose: Pose) -> None:
        if self._person is None:
            self._person, self._start = pose.person, pose.timestamp
        elif pose.person != self._person and pose.timestamp - self._last > _GONE_S:
            self._person = pose.person
        if pose.person == self._person:
            self._last = pose.timestamp
            self._sender.send(pose.joints, pose.timestamp - self._start)
