"""64-bit Arm on another machine: Debian's cross compilers, and QEMU to run what they make."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from native_build import missing_tools, pip_download, run
from places import ROOT

TOOLS = ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64")
APT = "apt-get install gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user"
TOOLCHAIN = ROOT / "cmake" / "aarch64-linux-gnu.cmake"
_LIBRARIES = Path("/usr/aarch64-linux-gnu/lib")
#: One processor of an Orin's kind. ONNX Runtime reads this file when it is loaded, and QEMU 7 shows
#: programs the host's, in which it finds no Arm processor.
_CPU = """processor\t: {number}
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd42
CPU revision\t: 1

"""


def absent() -> list[str]:
    """The tools this machine lacks."""
    return missing_tools(*TOOLS)


def system_root(folder: Path) -> Path:
    """A folder that QEMU shows programs as their system."""
    (folder / "proc").mkdir(parents=True)
    cpus = "".join(_CPU.format(number=number) for number in range(os.cpu_count() or 1))
    (folder / "proc" / "cpuinfo").write_text(cpus)
    (folder / "lib").symlink_to(_LIBRARIES)
    return folder


def cross_build() -> Path:
    """Build the preset; its folder."""
    run("cmake", "--preset", "aarch64", cwd=ROOT)
    run("cmake", "--build", "--preset", "aarch64", "-j2", cwd=ROOT)
    return ROOT / "build" / "aarch64"


def onnx_runtime(folder: Path) -> Path:
    """Folder of ``libonnxruntime.so.*`` out of the wheel for 64-bit Arm, of the tested version."""
    (line,) = (
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line.startswith("onnxruntime==")
    )
    platforms = (f"--platform=manylinux_2_{minor}_aarch64" for minor in (28, 27, 17))
    wheel = pip_download(line.split(";")[0].strip(), folder, *platforms)
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if Path(name).name.startswith("libonnxruntime.so"):
                archive.extract(name, folder)
    return folder / "onnxruntime" / "capi"
