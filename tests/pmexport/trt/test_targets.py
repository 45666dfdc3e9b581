"""GPU names, what runs where, and which TensorRT is taken."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from pmexport.trt import backends, targets
from pmexport.trt.backends import BACKENDS, choose_backend
from pmexport.trt.fatbin import GpuCode, gpu_code
from pmexport.trt.targets import parse_targets
from posemamba.errors import InputError
from posemamba.native.library import library_path


@pytest.mark.parametrize("text", ["sm86,sm120", "8.6, 12.0", "SM_120,86", "sm120,8.6"])
def test_spellings(text: str) -> None:
    assert parse_targets(text) == ("sm86", "sm120")


@pytest.mark.parametrize("text", ["", "sm", "sm86,", "sm1000", "86a", "rtx4090"])
def test_no_architectures(text: str) -> None:
    with pytest.raises(InputError, match="no GPU architecture"):
        parse_targets(text)


@pytest.mark.parametrize(
    ("here", "installed", "wanted", "asked", "taken"),
    [
        ("sm87", {"tensorrt"}, "auto", "current", ("tensorrt", "sm87")),
        ("sm89", {"tensorrt", "tensorrt-rtx"}, "auto", "current", ("tensorrt", "sm89")),
        ("sm89", {"tensorrt-rtx"}, "auto", "current", ("tensorrt-rtx", "sm89")),
        ("sm89", {"tensorrt", "tensorrt-rtx"}, "auto", "sm89", ("tensorrt", "sm89")),
        ("sm89", {"tensorrt", "tensorrt-rtx"}, "auto", "sm86", ("tensorrt-rtx", "sm86")),
        ("sm90", {"tensorrt", "tensorrt-rtx"}, "tensorrt-rtx", "sm86", ("tensorrt-rtx", "sm86")),
        (None, {"tensorrt-rtx"}, "auto", "sm86", ("tensorrt-rtx", "sm86")),
    ],
)
def test_choice(
    here: str | None,
    installed: set[str],
    wanted: str,
    asked: str,
    taken: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets, "_first_gpu", lambda: (here, ""))
    monkeypatch.setattr(
        backends, "installed_version", lambda one: "1" if one.name in installed else None
    )
    backend, names = choose_backend(wanted, parse_targets(asked))
    assert (backend.name, *names) == taken


def test_every_target_has_a_backend() -> None:
    had = {target for backend in BACKENDS.values() for target in backend.targets}
    assert had == set(targets.ARCHITECTURES)


class Driver(SimpleNamespace):
    """A CUDA driver with one GPU; calls named in ``failing`` return an error."""

    def __init__(self, failing: str = "") -> None:
        super().__init__(failing=failing)

    def _code(self, name: str) -> int:
        return 100 if name == self.failing else 0

    def cuInit(self, flags: int) -> int:
        return self._code("cuInit")

    def cuDeviceGet(self, device: object, index: int) -> int:
        return self._code("cuDeviceGet")

    def cuDeviceGetAttribute(self, value: ctypes.Array, attribute: int, device: object) -> int:
        value._obj.value = {75: 8, 76: 7}[attribute]  # type: ignore[attr-defined]
        return self._code("cuDeviceGetAttribute")

    def cuDeviceGetName(self, name: ctypes.Array, length: int, device: object) -> int:
        name.value = b"Orin"
        return self._code("cuDeviceGetName")


@pytest.mark.parametrize(
    ("driver", "gpu"),
    [
        (Driver(), ("sm87", "Orin")),
        (Driver("cuInit"), (None, "")),
        (Driver("cuDeviceGet"), (None, "")),
        (Driver("cuDeviceGetAttribute"), (None, "")),
        (Driver("cuDeviceGetName"), (None, "")),
        (None, (None, "")),
    ],
)
def test_the_driver_is_asked(
    driver: Driver | None, gpu: tuple[str | None, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> Driver:
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr(targets.ctypes, "CDLL", load)
    assert targets._first_gpu.__wrapped__() == gpu


@pytest.mark.parametrize(
    ("cubins", "ptx", "runs"),
    [
        ((86,), (), {"sm86", "sm89"}),
        ((80,), (), {"sm80", "sm86", "sm89"}),
        ((87,), (), {"sm87"}),  # Tegra's is its own
        ((86, 87), (), {"sm86", "sm87", "sm89"}),
        ((120,), (), {"sm120", "sm121"}),
        ((), (90,), {"sm90", "sm100", "sm103", "sm110", "sm120", "sm121"}),
        ((75,), (75,), set(targets.ARCHITECTURES)),
    ],
)
def test_what_runs_where(cubins: tuple[int, ...], ptx: tuple[int, ...], runs: set[str]) -> None:
    code = GpuCode(cubins, ptx)
    assert {target for target in targets.ARCHITECTURES if code.runs_on(target)} == runs


def library(*code: tuple[int, int]) -> bytes:
    """An ELF file whose ``.nv_fatbin`` holds pieces of a kind (1 PTX, 2 compiled) and a number."""
    pieces = b"".join(
        struct.pack("<HHIQ", kind, 0x101, 64, 32).ljust(28, b"\0")
        + struct.pack("<I", number).ljust(64 - 28 + 32, b"\0")
        for kind, number in code
    )
    section = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(pieces)) + pieces
    section = section + bytes(8) + section  # two of them, with padding between
    names = b"\0.nv_fatbin\0.shstrtab\0"
    table = 64 + len(section) + len(names)
    header = b"\x7fELF\x02\x01".ljust(0x28, b"\0") + struct.pack("<Q", table)
    header = header.ljust(0x3A, b"\0") + struct.pack("<HHH", 64, 3, 2)

    def row(name: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQ", name, 1, 0, 0, offset, size).ljust(64, b"\0")

    rows = (
        row(0, 0, 0)
        + row(1, 64, len(section))
        + row(names.index(b".shstrtab"), 64 + len(section), len(names))
    )
    return header.ljust(64, b"\0") + section + names + rows


def test_gpu_code_of_a_library(tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(library((2, 120), (2, 86), (1, 90)))
    assert gpu_code(path) == GpuCode(cubins=(86, 120), ptx=(90,))
    assert GpuCode((86, 120), (90,)).names() == ["sm86", "sm120", "ptx90"]


def test_gpu_code_of_a_library_without_any() -> None:
    assert gpu_code(library_path()) is None


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + b"\xff" * 90])
def test_gpu_code_of_what_is_no_library(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(data)
    assert gpu_code(path) is None
