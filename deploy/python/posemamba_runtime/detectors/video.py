"""A video's keypoints: a detector's program is started, and its lines are read as any others."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from posemamba_runtime.errors import Missing
from posemamba_runtime.file_names import cache_folder
from posemamba_runtime.keypoints.errors import InputError, problem
from posemamba_runtime.keypoints.reader import read_frames
from posemamba_runtime.keypoints.recording import Recording
from posemamba_runtime.keypoints.source import MAX_LINE, parse_json, require_readable
from posemamba_runtime.motion import Picture
from posemamba_runtime.text import counted, printable

PYTHON_VARIABLE = "POSEMAMBA_DETECTOR_PYTHON"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Detector:
    """A program beside this file.

    Attributes:
        program: its file; called with the video, it writes a frame of JSON a line.
        package: what its Python has to have, by the name it is imported under.
        requirement: the same as pip takes it.
    """

    program: str
    package: str
    requirement: str


DETECTORS = {"mediapipe": Detector("mediapipe_program.py", "mediapipe", "mediapipe==0.10.21")}

_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts")
_SHORT = 0.9  # of the frames a file claims: with fewer it broke off


def check_video(path: str) -> None:
    """Refuse what is no video, before anything is started.

    Raises:
        InputError: standard input, a folder, nothing there, or another kind of file.
    """
    if path == "-":
        raise InputError("--detector takes a video file, not standard input: name one")
    file = Path(path)
    if require_readable(file):
        raise problem(file, "is a folder: --detector takes a video, name one")
    if file.suffix.lower() not in _SUFFIXES:
        raise problem(
            file,
            f"ends in no video's ending ({', '.join(_SUFFIXES)}): leave --detector out for "
            "keypoints, or name a video",
        )
    if not file.stat().st_size:
        raise problem(file, "is empty: was the recording stopped, or the disk full?")


def python_of(detector: Detector, given: str | None) -> str:
    """The Python that has the detector's package: the one given, that of the variable, our own, or
    that of the folder where the message of the error makes one.

    Raises:
        Missing: none of these; the message holds the command that makes one.
    """
    named = given or os.environ.get(PYTHON_VARIABLE)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise Missing(f"'{named}' is no Python to run a detector with: name its executable")
        return named
    if find_spec(detector.package) is not None:
        return sys.executable
    try:
        folder = cache_folder() / "posemamba" / detector.package
    except OSError as error:
        raise Missing(f"{detector.package} is not installed, and {error.strerror}") from None
    python = folder / "bin" / "python"
    if not python.is_file():
        raise Missing(
            f"{detector.package} is not installed. It gets an environment of its own, for it wants "
            f"an older NumPy: python3 -m venv '{folder}' && '{folder}/bin/pip' install "
            f"{detector.requirement}"
        )
    return str(python)


def read_video(
    path: str,
    detector: str,
    *,
    python: str | None = None,
    progress: Progress = lambda done, total: None,
    **reading: Any,
) -> Recording:
    """Detect, and read what was detected.

    Args:
        detector: a name in :data:`DETECTORS`.
        python: the Python with the detector's package; None looks for it.
        progress: called with the frames seen so far, and about how many there are.
        reading: the options of :func:`posemamba_runtime.keypoints.read`.

    Raises:
        InputError: no video, a damaged one, or one that shows nobody.
        Missing: the detector is not installed.
    """
    check_video(path)
    chosen = DETECTORS[detector]
    program = Path(__file__).with_name(chosen.program)
    command = [python_of(chosen, python), str(program), str(Path(path).absolute())]
    with _started(command, path, progress) as lines:
        recording = read_frames(lines, path, **reading)
        return replace(recording, pictures=tuple(lines.pictures))


@contextmanager
def _started(command: list[str], path: str, progress: Progress) -> Iterator[_Lines]:
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said)
        except OSError as error:
            raise Missing(
                f"'{command[0]}' cannot be started ({error.strerror}): name a Python"
            ) from None
        try:
            yield _Lines(process, said, path, progress)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


class _Lines:
    """A detector's lines: facts, pictures and errors are taken out, frames are counted."""

    def __init__(
        self, process: subprocess.Popen[bytes], said: IO[bytes], path: str, progress: Progress
    ) -> None:
        self._process = process
        self._said = said
        self._path = path
        self._progress = progress
        self.pictures: list[Picture] = []
        self._lines = self._total = 0

    def readline(self, limit: int = MAX_LINE, /) -> bytes:
        """The next line; b"" after the last.

        Raises:
            InputError: what the detector says is wrong, or it stopped before the video's end.
            Missing: its package cannot be imported.
        """
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline(limit)).startswith(b'{"picture"'):
            told = json.loads(line)
            self.pictures.append(Picture(told["frame"], base64.b64decode(told["picture"])))
        if not line:
            self._check_end()
            return line
        if not self._lines:
            line = self._first(line)
        self._progress(self._lines, max(self._total, self._lines))
        self._lines += 1
        return line

    def _first(self, line: bytes) -> bytes:
        """The facts as the reader takes them."""
        facts = parse_json(line, f"{self._path}: the detector")
        reason = str(facts.get("error", "")) if isinstance(facts, dict) else "no facts"
        if "cannot be imported" in reason:
            raise Missing(f"{reason}: name another --detector-python")
        if reason:
            raise problem(self._path, f"{reason}: record or copy it again")
        self._total = int(facts.pop("frames", 0))
        return json.dumps(facts).encode() + b"\n"

    def _check_end(self) -> None:
        code = self._process.wait()
        if code != 0 or not self._lines:
            self._said.seek(0)
            words = self._said.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            reason = printable(words[0] if words else f"exit code {code}", 200)
            raise problem(
                self._path, f"the detector failed ({reason}): is --detector-python the right one?"
            )
        frames = self._lines - 1
        if frames < _SHORT * self._total:
            raise problem(
                self._path,
                f"breaks off after {counted(frames, 'frame')} of {self._total}: copy it again, or "
                "cut it to what plays",
            )
