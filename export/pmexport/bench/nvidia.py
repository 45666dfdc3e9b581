"""Meters of NVIDIA's desktop and data-centre GPUs: NVML, else ``nvidia-smi``."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

from pmexport.bench.meters import INTERVAL_S, Reading

THROTTLE_REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "heat, by software",
    0x40: "heat, by hardware",
    0x80: "power brake",
}
"""Bits of NVML's clocks event reasons that mean slower than wanted; idle and set clocks do not."""

#: Fields of ``nvidia-smi``, the newest names first: readings of an instant, older drivers' means.
_FIELDS = (
    "power.draw.instant,clocks.sm,temperature.gpu,memory.used,clocks_event_reasons.active",
    "power.draw,clocks.sm,temperature.gpu,memory.used,clocks_throttle_reasons.active",
)


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """What of a mask means slower than wanted."""
    return tuple(text for bit, text in THROTTLE_REASONS.items() if bits & bit)


def device_id() -> str:
    """UUID or number of the GPU that CUDA calls the first: the driver counts in another order."""
    with suppress(ImportError, RuntimeError, AssertionError, AttributeError):
        import torch

        if torch.cuda.is_available():
            return f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    return first if first.isdigit() or first.startswith("GPU-") else "0"


class Nvml:
    """The driver's own library, through the package ``nvidia-ml-py``."""

    name = "nvml"
    scope = "the GPU's board"
    measures_host = False
    notes: tuple[str, ...] = ()

    def __init__(self, library: ModuleType, device: object) -> None:
        self._nvml = library
        self._device = device

    @classmethod
    def find(cls) -> Nvml | None:
        """Ready to be read; None without the package, a driver or a GPU that says its power."""
        try:
            import pynvml

            pynvml.nvmlInit()
            which = device_id()
            by_number, by_uuid = pynvml.nvmlDeviceGetHandleByIndex, pynvml.nvmlDeviceGetHandleByUUID
            device = by_number(int(which)) if which.isdigit() else by_uuid(which)
            pynvml.nvmlDeviceGetPowerUsage(device)
        except Exception:  # the package's own classes, or no package
            return None
        return cls(pynvml, device)

    def readings(self, stop: threading.Event) -> Iterator[Reading]:
        while not stop.wait(INTERVAL_S):
            yield self._read()

    def energy_j(self) -> float | None:
        joules: float | None = None
        with suppress(self._nvml.NVMLError):  # from Volta on
            joules = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device) / 1e3
        return joules

    def _read(self) -> Reading:
        nvml, device = self._nvml, self._device
        values: dict[str, Any] = {}
        for key, ask in (
            ("power_w", lambda: nvml.nvmlDeviceGetPowerUsage(device) / 1e3),
            ("clock_mhz", lambda: float(nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM))),
            ("temperature_c", lambda: float(nvml.nvmlDeviceGetTemperature(device, 0))),
            ("memory_mib", lambda: nvml.nvmlDeviceGetMemoryInfo(device).used / 2**20),
            ("throttled", lambda: throttle_reasons(
                nvml.nvmlDeviceGetCurrentClocksThrottleReasons(device))),
        ):  # fmt: skip
            with suppress(nvml.NVMLError):  # what this GPU does not tell
                values[key] = ask()
        return Reading(**values)


class NvidiaSmi:
    """The driver's tool, printing a line every now and then."""

    name = "nvidia-smi"
    scope = "the GPU's board"
    measures_host = False
    notes: tuple[str, ...] = ()

    def __init__(self, fields: str, device: str) -> None:
        self._command = ["nvidia-smi", "-i", device, f"--query-gpu={fields}",
                         "--format=csv,noheader,nounits"]  # fmt: skip

    @classmethod
    def find(cls) -> NvidiaSmi | None:
        """Ready to be read; None without the tool or a GPU that says its power."""
        if shutil.which("nvidia-smi") is None:
            return None
        for fields in _FIELDS:
            meter = cls(fields, device_id())
            line = meter._once()
            if line is not None and parse_smi(line).power_w is not None:
                return meter
        return None

    def readings(self, stop: threading.Event) -> Iterator[Reading]:
        command = [*self._command, "-lms", f"{1e3 * INTERVAL_S:.0f}"]
        yield from (parse_smi(line) for line in printed_lines(command, stop))

    def energy_j(self) -> float | None:
        return None

    def _once(self) -> str | None:
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                self._command, capture_output=True, text=True, timeout=20, check=True
            )
            return done.stdout.strip() or None
        return None


def parse_smi(line: str) -> Reading:
    """A line of the fields above; what is ``[N/A]`` stays None."""
    cells = [cell.strip() for cell in line.split(",")]
    numbers: list[float | None] = []
    for cell in cells[:4]:
        try:
            numbers.append(float(cell))
        except ValueError:
            numbers.append(None)
    bits = 0
    with suppress(ValueError, IndexError):
        bits = int(cells[4], 16)
    power, clock, heat, memory = (*numbers, None, None, None, None)[:4]
    return Reading(power, clock, heat, throttle_reasons(bits), memory)


def printed_lines(command: list[str], stop: threading.Event) -> Iterator[str]:
    """Lines of a tool that prints until it is ended."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:

        def end() -> None:
            stop.wait()
            process.terminate()

        threading.Thread(target=end, daemon=True).start()
        assert process.stdout is not None
        yield from process.stdout
        stop.set()  # it ended of itself
