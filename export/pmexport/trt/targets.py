"""GPU architectures by name, such as ``sm86``, and that of the GPU in this machine."""

from __future__ import annotations

import ctypes
import re
from functools import cache

from posemamba.errors import InputError
from posemamba.text import suggestion

#: What people know each architecture by.
ARCHITECTURES: dict[str, str] = {
    "sm75": "Turing: RTX 20, T4",
    "sm80": "Ampere: A100",
    "sm86": "Ampere: RTX 30, A40",
    "sm87": "Ampere: Jetson Orin",
    "sm89": "Ada: RTX 40, L4",
    "sm90": "Hopper: H100",
    "sm100": "Blackwell: B200",
    "sm103": "Blackwell: B300",
    "sm110": "Blackwell: Jetson Thor",
    "sm120": "Blackwell: RTX 50",
    "sm121": "Blackwell: GB10",
}
CURRENT = "current"

_SPELLING = re.compile(r"^(?:sm_?)?(\d{1,2})\.?(\d)$")


def parse_targets(text: str) -> tuple[str, ...]:
    """``sm86,sm89`` (also ``86``, ``8.6``, ``sm_86``) as names in ascending order, or ``current``.

    Raises:
        InputError: an unknown architecture, one named twice, or ``current`` beside others.
    """
    names: list[str] = []
    for part in text.split(","):
        word = part.strip().casefold()
        match = _SPELLING.match(word)
        name = f"sm{match[1]}{match[2]}" if match else word
        if name != CURRENT and name not in ARCHITECTURES:
            known = [*ARCHITECTURES, CURRENT]
            raise InputError(f"--target '{part.strip()}' is no GPU architecture"
                             f"{suggestion(name, known)}")  # fmt: skip
        if name in names:
            raise InputError(f"--target names {name} twice: name it once")
        names.append(name)
    if CURRENT in names and len(names) > 1:
        raise InputError("--target current stands alone: name it, or a list of architectures")
    return tuple(sorted(names, key=architecture_number))


def architecture_number(name: str) -> int:
    """86 for ``sm86``; 0 for ``current``."""
    return int(name.removeprefix("sm")) if name != CURRENT else 0


def current_architecture() -> str | None:
    """The first GPU of this machine, such as ``sm87``; None without one."""
    return _first_gpu()[0]


def current_name() -> str:
    """Name of the first GPU; empty without one."""
    return _first_gpu()[1]


@cache
def _first_gpu() -> tuple[str | None, str]:
    """Architecture and name, from the CUDA driver: it is there wherever a GPU can be used."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None, ""
    device, value, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    if driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return None, ""
    digits = []
    for attribute in (75, 76):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
        if driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device) != 0:
            return None, ""
        digits.append(str(value.value))
    if driver.cuDeviceGetName(name, len(name), device) != 0:
        return None, ""
    return f"sm{''.join(digits)}", name.value.decode(errors="replace")
