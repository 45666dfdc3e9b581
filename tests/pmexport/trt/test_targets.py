"""GPU names, and which TensorRT is taken."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from pmexport.engine import gpu as gpu_module
from pmexport.trt import backends, targets
from pmexport.trt.backends import BACKENDS, choose_backend
from pmexport.trt.targets import parse_targets
from posemamba.errors import InputError


@pytest.mark.parametrize("text", ["sm86,sm120", "8.6, 12.0", "SM_120,86", "sm120,8.6"])
def test_spellings(text: str) -> None:
    assert parse_targets(text) == ("sm86", "sm120")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("orin", "sm87"),
        ("Jetson Orin Nano", "sm87"),
        ("agx-orin", "sm87"),
        ("thor", "sm110"),
        ("RTX 4090", "sm89"),
        ("rtx4070-ti-super", "sm89"),
        ("GeForce RTX 3090 Ti", "sm86"),
        ("rtx5090", "sm120"),
        ("NVIDIA A100", "sm80"),
        ("h100", "sm90"),
        ("t4", "sm75"),
        ("rtx6000ada", "sm89"),
        ("b200", "sm100"),
        ("dgx-spark", "sm121"),
        ("rtx4090,orin", "sm87,sm89"),
        ("rtx4090,rtx4080,sm86", "sm86,sm89"),
        ("sm89,rtx4090", "sm89"),
    ],
)
def test_gpus_by_name(text: str, names: str) -> None:
    assert parse_targets(text) == tuple(names.split(","))


def test_every_gpu_has_a_known_architecture() -> None:
    assert {sm for _, sm in targets.DEVICES} == set(targets.ARCHITECTURES)


@pytest.mark.parametrize("text", ["", "sm", "sm86,", "sm1000", "86a", "gtx1080", "xavier", "orion"])
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
    monkeypatch.setattr(gpu_module, "_first_gpu", lambda: (here, ""))
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

    monkeypatch.setattr(gpu_module.ctypes, "CDLL", load)
    assert gpu_module._first_gpu.__wrapped__() == gpu
