"""The meter of a Jetson: ``tegrastats``, with what ``nvpmodel`` and ``jetson_clocks`` say.

All three print text for people, which differs from one JetPack to the next. The parsers take what
they know and leave the rest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress

from pmexport.bench.meters import INTERVAL_S, Reading
from pmexport.bench.nvidia import printed_lines

#: Rails that together are the whole module, the first row that a line has: Orin Nano and NX, AGX
#: Orin, AGX Xavier, and the older names of JetPack 4.
RAILS = (
    ("VDD_IN",),
    ("VIN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
    ("POM_5V_IN",),
)
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/\d+(?:mW)?")
_GPU_CLOCK = re.compile(r"\bGR3D_FREQ \d+%(?:@\[?(\d+))?")
_MEMORY = re.compile(r"\bRAM (\d+)/\d+MB")
_HEAT = re.compile(r"\b(?:gpu|GPU)@(-?[\d.]+)C")
_MODE = re.compile(r"NV Power Mode: *(\S+)")
_CLOCK = re.compile(
    r"^(cpu\d+|GPU|EMC)\b.*?MinFreq=(\d+) .*?MaxFreq=(\d+)(?:.*?FreqOverride=(\d))?", re.MULTILINE
)


class Tegrastats:
    """The module's own power rails, printed line after line."""

    name = "tegrastats"
    measures_host = True

    def __init__(self, scope: str, notes: tuple[str, ...]) -> None:
        self.scope = scope
        self.notes = notes

    @classmethod
    def find(cls) -> Tegrastats | None:
        """Ready to be read; None on what is no Jetson."""
        if shutil.which("tegrastats") is None:
            return None
        mode = parse_nvpmodel(_output("nvpmodel", "-q"))
        floating = floating_clocks(_output("jetson_clocks", "--show"))
        return cls("the whole module", jetson_notes(mode, floating))

    def readings(self, stop: threading.Event) -> Iterator[Reading]:
        command = ["tegrastats", "--interval", f"{1e3 * INTERVAL_S:.0f}"]
        yield from (parse_tegrastats(line) for line in printed_lines(command, stop))

    def energy_j(self) -> float | None:
        return None


def parse_tegrastats(line: str) -> Reading:
    """One line; power is the sum of the rails that make the module."""
    watts = {name: float(milliwatts) / 1e3 for name, milliwatts in _RAIL.findall(line)}
    rails = next((row for row in RAILS if set(row) <= set(watts)), ())
    clock, memory, heat = (pattern.search(line) for pattern in (_GPU_CLOCK, _MEMORY, _HEAT))
    return Reading(
        power_w=sum(watts[name] for name in rails) if rails else None,
        clock_mhz=float(clock[1]) if clock and clock[1] else None,
        temperature_c=float(heat[1]) if heat else None,
        memory_mib=float(memory[1]) if memory else None,
    )


def parse_nvpmodel(text: str | None) -> str | None:
    """The power mode, such as ``MAXN``."""
    found = _MODE.search(text or "")
    return found[1] if found else None


def floating_clocks(text: str | None) -> list[str] | None:
    """Clocks that are free to move, of ``jetson_clocks --show``; None where it does not say."""
    rows = _CLOCK.findall(text or "")
    if not rows:
        return None
    loose = [name for name, least, most, pinned in rows if least != most and pinned != "1"]
    return [name for name in loose if not name.startswith("cpu")] + (
        ["CPU"] if any(name.startswith("cpu") for name in loose) else []
    )


def jetson_notes(mode: str | None, floating: list[str] | None) -> tuple[str, ...]:
    """What a reader has to know of the state the module was measured in."""
    said = f"power mode {mode or 'unknown: see nvpmodel -q'}"
    if floating is None:
        return (said, "WARNING: nothing says whether clocks float: run 'sudo jetson_clocks' first")
    if floating:
        names = " and ".join(floating)
        return (said, f"WARNING: the clocks of {names} float: run 'sudo jetson_clocks', and again")
    return (said, "clocks fixed")


def _output(*command: str) -> str | None:
    """What a tool prints; None where it is missing or fails, as without root's rights."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout
    return None
