"""TensorRT's public headers, for a machine that has no TensorRT: what the plugins compile against.

    python tools/trt_headers.py [--to FOLDER]

Takes them (TensorRT 10.14, Apache-2.0) out of a wheel that ships them, downloaded with pip and
checked against its SHA-256; nothing is installed. CMake finds them in the default folder,
``build/tensorrt-headers``. Where they are there already, nothing happens. Exit code 1, with one
line, if they cannot be had: the package then builds without ``libposemamba_trt.so``.

Uses the standard library alone, for it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "kernel-lens==2.0.1"
SHA256 = "07cc714e8b5e7f34b672f7c7fad93febe7c747be5837ba276b1527370134ffe0"
PREFIX = "kernel_lens/include/tensorrt/"
HEADER = "NvInferRuntime.h"
DEFAULT = Path(__file__).resolve().parents[1] / "build" / "tensorrt-headers"
TIMEOUT_S = 120


class Unavailable(Exception):
    """Why there are no headers, as the end of a sentence."""


def download(folder: Path) -> Path:
    """The wheel, as pip is configured to get it.

    Raises:
        Unavailable: pip could not get it, or it is not the file this script knows.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder)]
    try:
        done = subprocess.run(
            [*command, REQUIREMENT], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip did not get {REQUIREMENT} in {TIMEOUT_S} s") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"pip could not get {REQUIREMENT} ({reason})")
    (wheel,) = folder.glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        raise Unavailable(f"{wheel.name} has SHA-256 {found}, expected {SHA256}")
    return wheel


def extract(wheel: Path, to: Path) -> None:
    """Put the wheel's TensorRT headers into ``to``, all or none."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        ready = Path(folder) / "headers"
        ready.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.startswith(PREFIX) and name.endswith(".h"):
                    (ready / Path(name).name).write_bytes(archive.read(name))
        if not (ready / HEADER).is_file():
            raise Unavailable(f"{wheel.name} holds no {PREFIX}{HEADER}")
        shutil.rmtree(to, ignore_errors=True)
        ready.rename(to)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=DEFAULT, metavar="FOLDER")
    to: Path = parser.parse_args().to
    if (to / HEADER).is_file():
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            extract(download(Path(folder)), to)
    except (Unavailable, OSError) as error:
        sys.stderr.write(f"TensorRT headers: {error}; the plugins will not be built\n")
        return 1
    sys.stderr.write(f"TensorRT headers: {to}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
