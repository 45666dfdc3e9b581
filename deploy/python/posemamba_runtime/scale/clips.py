"""A whole clip by HTTP: the bytes of a recording in, its poses as JSON out."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
from pathlib import Path

from posemamba_runtime import outputs
from posemamba_runtime.errors import Error
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.reader import read
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.recordings import LiftOptions, lift_recording
from posemamba_runtime.scale.options import ServeOptions
from posemamba_runtime.text import counted

LARGEST_BYTES = 64 << 20
_WAITING = 4
_NAME = "clip"


class Busy(Exception):
    """As many clips wait as may."""


class Clips:
    """Lifts one clip at a time, beside the cameras; with a lifter of its own, opened when needed.

    The cameras' hub alone steps theirs: a clip's windows in its batches would delay them.
    """

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._lifter: Lifter | None = None
        self._turn = threading.Lock()
        self._room = threading.Semaphore(_WAITING)

    def lift(self, content: bytes, size: tuple[int, int] | None, rate: float | None) -> bytes:
        """The JSON that ``lift -o OUT.json`` writes.

        Raises:
            Busy: others wait already.
            Error: the clip cannot be read or lifted, in one line.
        """
        if not self._room.acquire(blocking=False):
            raise Busy(f"{counted(_WAITING, 'clip')} wait already: send it again in a while")
        try:
            with self._turn:
                return self._lift(content, size, rate)
        finally:
            self._room.release()

    def _lift(self, content: bytes, size: tuple[int, int] | None, rate: float | None) -> bytes:
        options = self._options
        if self._lifter is None:
            self._lifter = Lifter(
                options.model, options.backend, threads=options.threads, tf32=options.tf32
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _NAME
            path.write_bytes(content)
            try:
                recording = read(path, size=size or options.size, layout=options.layout, rate=rate)
            except Error as error:  # without the name of a file that nobody knows
                raise InputError(str(error).replace(str(path), _NAME)) from None
            lifting = LiftOptions(height_m=options.height_m)
            recording = dataclasses.replace(recording, source=_NAME)
            lifted = lift_recording(self._lifter, recording, lifting)
            written = Path(folder) / "poses.json"
            outputs.write(written, lifted.motion)
            return written.read_bytes()
