"""Power, clocks and energy: the arithmetic, the parsers on text as the tools print it, stand-ins.

No GPU is needed, and none was seen: the lines follow the tools' documentation."""

from __future__ import annotations

import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from pmexport.bench import jetson, meters, nvidia
from pmexport.bench.find_meter import find_meter
from pmexport.bench.meters import Reading, Watch


class Steady:
    """A meter of so many readings, and perhaps a counter."""

    name, scope, measures_host = "steady", "a lamp", False
    notes = ("clocks fixed",)

    def __init__(self, readings: list[Reading], joules: list[float] | None = None) -> None:
        self._readings = readings
        self._joules = iter(joules or [])
        self.done = threading.Event()

    def readings(self, stop: threading.Event) -> Iterator[Reading]:
        yield from self._readings
        self.done.set()
        stop.wait(5)

    def energy_j(self) -> float | None:
        return next(self._joules, None)


def watch(meter: Steady, seconds: float) -> meters.Conditions:
    clock = iter((10.0, 10.0 + seconds))
    with Watch(meter, lambda: next(clock)) as watching:
        assert meter.done.wait(5)
    return watching.conditions()


SEEN = [
    Reading(100.0, 1980.0, 40.0, (), 500.0),
    Reading(200.0, 1500.0, 60.0, ("power cap",), 700.0),
    Reading(300.0, None, None, ("power cap", "power brake"), None),
]


def test_energy_is_mean_power_times_time() -> None:
    found = watch(Steady(SEEN), 4.0)
    assert (found.power_w, found.most_power_w) == (200.0, 300.0)
    assert (found.energy_j, found.energy_from) == (800.0, "samples")
    assert found.clock_mhz == (1500.0, 1980.0)
    assert (found.temperature_c, found.memory_mib) == (60.0, 700.0)
    assert found.throttled == ("power brake", "power cap")
    assert found.energy_mj(runs=10, frames=4) == pytest.approx(20_000.0)


def test_a_counter_is_believed_before_samples() -> None:
    found = watch(Steady(SEEN, [1000.0, 1100.0]), 2.0)
    assert (found.energy_j, found.energy_from) == (100.0, "counter")
    assert found.power_w == 200.0


def test_a_counter_that_stands_still_is_not() -> None:
    assert watch(Steady(SEEN, [1000.0, 1000.0]), 2.0).energy_from == "samples"


def test_a_moment_has_no_energy() -> None:
    assert watch(Steady(SEEN), 0.9).energy_mj(1, 1) is None


def test_a_meter_that_says_nothing() -> None:
    found = watch(Steady([Reading()]), 2.0)
    assert found.power_w is None
    assert found.energy_j is None
    assert found.energy_from is None
    assert found.clock_mhz is None


# As tegrastats prints on the modules named, one line each; watts are the sum of the whole's rails.
ORIN_NX = (
    "11-29-2026 21:00:00 RAM 2345/15523MB (lfb 4x4MB) SWAP 0/7762MB (cached 0MB) CPU [12%@1190,"
    "3%@1190,off,off] EMC_FREQ 1%@3199 GR3D_FREQ 87%@[918] NVDEC off NVJPG off VIC off OFA off APE "
    "174 cpu@49.2C soc2@48.1C soc0@47.4C gpu@51.5C tj@51.5C soc1@48C VDD_IN 14880mW/9000mW "
    "VDD_CPU_GPU_CV 8211mW/4000mW VDD_SOC 2311mW/1900mW"
)
AGX_ORIN = (
    "RAM 4722/62841MB (lfb 13000x4MB) SWAP 0/31420MB (cached 0MB) CPU [0%@2201,0%@2201] EMC_FREQ "
    "0%@3199 GR3D_FREQ 99%@[1300,1300] VIC_FREQ 729 APE 174 CPU@47.1C Tboard@37C GPU@55.25C "
    "tj@55.25C VDD_GPU_SOC 22104mW/20000mW VDD_CPU_CV 2407mW/2400mW VIN_SYS_5V0 5540mW/5400mW "
    "VDDQ_VDD2_1V8AO 1208mW/1100mW"
)
XAVIER = (
    "RAM 2000/31920MB (lfb 6800x4MB) CPU [2%@1190,off] EMC_FREQ 0%@1600 GR3D_FREQ 12%@670 APE 150 "
    "AO@33C GPU@34.5C GPU 1500/1400 CPU 600/500 SOC 1800/1700 CV 0/0 VDDRQ 300/300 SYS5V 2400/2300"
)
OLD_NANO = (
    "RAM 900/3964MB CPU [5%@1479] GR3D_FREQ 0% PLL@30C CPU@33C GPU@31C POM_5V_IN 2100/2000 "
    "POM_5V_GPU 40/40"
)


@pytest.mark.parametrize(
    ("line", "reading"),
    [
        (ORIN_NX, Reading(14.88, 918.0, 51.5, (), 2345.0)),
        (AGX_ORIN, Reading(22.104 + 2.407 + 5.540, 1300.0, 55.25, (), 4722.0)),
        (XAVIER, Reading(6.6, 670.0, 34.5, (), 2000.0)),
        (OLD_NANO, Reading(2.1, None, 31.0, (), 900.0)),
        ("", Reading()),
        ("nonsense VDD_IN soon", Reading()),
    ],
    ids=["Orin NX", "AGX Orin", "Xavier", "Nano", "empty", "nonsense"],
)
def test_tegrastats(line: str, reading: Reading) -> None:
    found = jetson.parse_tegrastats(line)
    assert found == reading or found.power_w == pytest.approx(reading.power_w)
    assert (found.clock_mhz, found.temperature_c, found.memory_mib) == (
        reading.clock_mhz, reading.temperature_c, reading.memory_mib)  # fmt: skip


CLOCKS = """SOC family:tegra234  Machine:NVIDIA Jetson AGX Orin Developer Kit
Online CPUs: 0-1
cpu0: Online=1 Governor=schedutil MinFreq={cpu} MaxFreq=2201600 CurrentFreq=2201600 WFI=1
cpu1: Online=1 Governor=schedutil MinFreq={cpu} MaxFreq=2201600 CurrentFreq=1190400 WFI=1
GPU MinFreq={gpu} MaxFreq=1300500000 CurrentFreq=1300500000
EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=3199000000 FreqOverride={emc}
FAN Dynamic Speed control=nvfancontrol hwmon0_pwm1=66
NV Power Mode: MAXN
"""


@pytest.mark.parametrize(
    ("cpu", "gpu", "emc", "floating"),
    [
        (2201600, 1300500000, 1, []),
        (729600, 1300500000, 1, ["CPU"]),
        (2201600, 306000000, 1, ["GPU"]),
        (729600, 306000000, 0, ["GPU", "EMC", "CPU"]),
    ],
)
def test_clocks_that_float_are_named(cpu: int, gpu: int, emc: int, floating: list[str]) -> None:
    text = CLOCKS.format(cpu=cpu, gpu=gpu, emc=emc)
    assert jetson.floating_clocks(text) == floating
    notes = jetson.jetson_notes(jetson.parse_nvpmodel(text), floating)
    assert notes[0] == "power mode MAXN"
    assert notes[1].startswith("WARNING: the clocks of ") == bool(floating)


def test_clocks_nobody_tells_are_a_warning_too() -> None:
    assert jetson.floating_clocks("Please run as root") is None
    assert jetson.parse_nvpmodel(None) is None
    mode, clocks = jetson.jetson_notes(None, None)
    assert "unknown" in mode
    assert clocks.startswith("WARNING: nothing says whether clocks float")


@pytest.mark.parametrize(
    ("line", "reading"),
    [
        ("312.45, 1980, 51, 4096, 0x0000000000000004",
         Reading(312.45, 1980.0, 51.0, ("power cap",), 4096.0)),
        ("70.1, 345, 30, 12, 0x0000000000000001", Reading(70.1, 345.0, 30.0, (), 12.0)),
        ("[N/A], [N/A], 51, 4096, [N/A]", Reading(None, None, 51.0, (), 4096.0)),
        ("", Reading()),
        ("No devices were found", Reading()),
        ("200.0, 1410, 83, 1024, 0x0000000000000068",
         Reading(200.0, 1410.0, 83.0,
                 ("hardware slowdown", "heat, by software", "heat, by hardware"), 1024.0)),
    ],
)  # fmt: skip
def test_nvidia_smi(line: str, reading: Reading) -> None:
    assert nvidia.parse_smi(line) == reading


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


SMI = """for word in "$@"; do case $word in
  *power.draw.instant*) echo 'Field "power.draw.instant" is not a valid field'; exit 2;; esac; done
echo "150.5, 1980, 44, 900, 0x0000000000000000"
case "$*" in *-lms*) while sleep 0.02; do echo "149.5, 1980, 45, 900, 0x4"; done;; esac"""


def no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


def test_the_drivers_tool_is_read_where_nvml_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older driver, which does not know the newest field."""
    no_nvml(monkeypatch)
    tool(tmp_path, "nvidia-smi", SMI)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    meter = find_meter()
    assert meter is not None
    assert meter.name == "nvidia-smi"
    with Watch(meter) as watching:
        time.sleep(0.3)
    found = watching.conditions()
    assert found.samples >= 2
    assert found.power_w == pytest.approx(150.0, abs=0.5)
    assert found.throttled == ("power cap",)


def test_a_jetson_is_known_by_its_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_nvml(monkeypatch)
    tool(tmp_path, "tegrastats", f"while true; do echo '{ORIN_NX}'; sleep 0.02; done")
    tool(tmp_path, "nvpmodel", "echo 'NV Power Mode: 25W'; echo 1")
    tool(tmp_path, "jetson_clocks", "echo 'Error: run as root' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    meter = find_meter()
    assert meter is not None
    assert (meter.name, meter.measures_host) == ("tegrastats", True)
    with Watch(meter) as watching:
        time.sleep(0.3)
    found = watching.conditions()
    assert found.power_w == pytest.approx(14.88)
    assert found.notes[0] == "power mode 25W"
    assert found.notes[1].startswith("WARNING")


class FakeNvml:
    """As ``pynvml`` is called; one of its questions has no answer on this GPU."""

    NVML_CLOCK_SM = 1

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        self.joules = iter((5_000.0, 9_000.0))

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"device {index}"

    def nvmlDeviceGetPowerUsage(self, device: str) -> int:
        assert device == "device 0"
        return 250_000

    def nvmlDeviceGetTotalEnergyConsumption(self, _: str) -> float:
        return next(self.joules)

    def nvmlDeviceGetClockInfo(self, _: str, kind: int) -> int:
        return 1980 if kind == self.NVML_CLOCK_SM else 0

    def nvmlDeviceGetTemperature(self, _: str, __: int) -> int:
        raise self.NVMLError

    def nvmlDeviceGetMemoryInfo(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(used=3 * 2**20)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _: str) -> int:
        return 0x1 | 0x80

    nvmlDeviceGetHandleByUUID = nvmlDeviceGetHandleByIndex


def test_nvml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.setattr(nvidia, "device_id", lambda: "0")
    monkeypatch.setenv("PATH", str(tmp_path))
    meter = find_meter()
    assert meter is not None
    assert meter.name == "nvml"
    with Watch(meter) as watching:
        time.sleep(0.3)
    found = watching.conditions()
    assert (found.energy_j, found.energy_from) == (4.0, "counter")
    assert (found.power_w, found.clock_mhz) == (250.0, (1980.0, 1980.0))
    assert found.temperature_c is None
    assert found.throttled == ("power brake",)


def test_nothing_to_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_nvml(monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_meter() is None
    tool(tmp_path, "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    assert find_meter() is None


def test_the_real_library_is_called_as_it_wants() -> None:
    """Every function the meter asks for is in the package."""
    asked = [name for name in dir(FakeNvml) if name.startswith("nvml")]
    assert len(asked) == 9
    assert [name for name in asked if not callable(getattr(pynvml, name, None))] == []


@pytest.mark.parametrize(
    ("visible", "which"), [("2,3", "2"), ("GPU-abc,1", "GPU-abc"), ("", "0"), ("MIG-1", "0")]
)
def test_which_gpu(visible: str, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert nvidia.device_id() == which
