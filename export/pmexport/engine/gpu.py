"""The GPU in this machine, as the CUDA driver names it."""

from __future__ import annotations

import ctypes
from functools import cache


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
