"""Compile every CUDA kernel for every GPU we support: registers and spills; 1 where a scan spills.

    python -m benchmarks.kernels.resources                 (the report, of all architectures)
    python -m benchmarks.kernels.resources --only sm_90a   (compile these first, no report)

Needs nvcc, no GPU. What has been compiled is kept in ``build/kernel-resources.json`` by the text of
the source and of all our headers in it: a second run compiles what has changed since. Writes
``reports/2026-11-30-kernel-resources.json``, and the table of it beside.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from posemamba.files.output import replacing

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "trt_plugins/kernels"
INCLUDES = (ROOT / "trt_plugins/include", KERNELS)
KEPT = ROOT / "build/kernel-resources.json"
REPORT = ROOT / "reports/2026-11-30-kernel-resources.json"
#: Products of whole warpgroups are in Hopper's code alone, which is for nothing else (sm_90a).
ARCHITECTURES = ("sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "sm_100", "sm_110", "sm_120")
#: A kernel that has no code on an architecture is an entry that returns.
MOST_REGISTERS_OF_NOTHING = 10
#: Both of version 2. In batches of rank 16: a few words once a tile, and two blocks a
#: multiprocessor. Of any state: one word, on sm_120, where the compiler keeps to 48 registers.
KNOWN = (
    "cross_scan<16, 2, 64, 4, 2; fp16, 16, TableWalk>",
    "indexed::scan<LaneGroup<32, 8>, fp16>",
)
_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>.*?)' for.*?(?P<spill>\d+) bytes spill stores, "
    r"(?P<reload>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """A kernel on one architecture.

    Attributes:
        source: below ``kernels/cuda``.
        kernel: its name, mangled until it is in a report.
        spill: bytes of stores and loads, together.
    """

    source: str
    architecture: str
    kernel: str
    registers: int
    spill: int

    @property
    def scans(self) -> bool:
        return self.source.startswith("scan/")


@dataclass(frozen=True)
class Job:
    source: Path
    architecture: str

    @property
    def key(self) -> str:
        text = hashlib.sha256(" ".join(flags(self.architecture)).encode())
        for path in sorted(closure(self.source)):
            text.update(path.read_bytes())
        return f"{self.source.relative_to(KERNELS / 'cuda')} {self.architecture} {text.hexdigest()}"


@cache
def closure(source: Path) -> frozenset[Path]:
    """A file and those of ours that it includes, directly or not."""
    found, new = {source}, [source]
    while new:
        for name in _INCLUDE.findall(new.pop().read_text(encoding="utf-8")):
            path = next((base / name for base in INCLUDES if (base / name).is_file()), None)
            if path is not None and path not in found:
                found.add(path)
                new.append(path)
    return frozenset(found)


def flags(architecture: str) -> list[str]:
    """Those of CMakeLists.txt that make a difference."""
    warpgroups = ["-DPOSEMAMBA_WARPGROUPS"] if architecture == "sm_90a" else []
    return ["-std=c++17", "-O3", "-cubin", f"-arch={architecture}", "-Xptxas=-v", *warpgroups]


def compiled(job: Job) -> list[Entry]:
    """Every kernel of a source file."""
    command = ["nvcc", *flags(job.architecture), *(f"-I{path}" for path in INCLUDES)]
    with tempfile.TemporaryDirectory() as folder:
        command += [str(job.source), "-o", str(Path(folder) / "kernels.cubin")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{job.source} does not compile for {job.architecture}:\n{done.stderr}")
    return [
        Entry(
            str(job.source.relative_to(KERNELS / "cuda")),
            job.architecture,
            found["name"],
            int(found["registers"]),
            int(found["spill"]) + int(found["reload"]),
        )
        for found in _ENTRY.finditer(done.stderr)
    ]


def all_compiled(jobs: list[Job], workers: int) -> Iterator[Entry]:
    """What is kept, then the rest, which is kept as it comes."""
    kept: dict[str, list[dict[str, Any]]] = {}
    if KEPT.is_file():
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
    keys = {job.key: job for job in jobs}
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(compiled, job): key for key, job in keys.items() if key not in kept}
        for done in tqdm(as_completed(running), total=len(running), disable=None):
            kept[running[done]] = [asdict(entry) for entry in done.result()]
            with replacing(KEPT) as partial:
                partial.write_text(json.dumps(kept), encoding="utf-8")
    for key in keys:
        yield from (Entry(**entry) for entry in kept[key])


def readable(mangled: list[str]) -> list[str]:
    """Demangled and shortened: ``cross_scan<16, 2, 64, 4, 2; fp16, 8>``."""
    out = subprocess.run(
        ["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True
    ).stdout
    names = []
    for line in out.splitlines():
        name = re.sub(r"posemamba::cuda::|\(anonymous namespace\)::|^void ", "", line)
        name = re.sub(r"\([^()]*\)$", "", name).replace("_kernel", "")
        name = name.replace("__half", "fp16").replace("float", "fp32")
        name = re.sub(r"(lane_channel|split_channel|backward)::", "", name)
        name = re.sub(r"<Config<([^>]*)> ?>", r"<\1>", name)
        names.append(re.sub(r"Config<([^>]*)>,", r"\1;", name))
    return names


def named(entries: list[Entry]) -> list[Entry]:
    """With readable names, sorted; without those that have no code on their architecture."""
    names = dict(zip(each := sorted({e.kernel for e in entries}), readable(each), strict=True))
    most: dict[str, int] = {}
    for entry in entries:
        most[entry.kernel] = max(most.get(entry.kernel, 0), entry.registers)
    real = [
        entry
        for entry in entries
        if entry.registers > MOST_REGISTERS_OF_NOTHING
        or most[entry.kernel] <= MOST_REGISTERS_OF_NOTHING
    ]
    return sorted(
        (Entry(**(asdict(entry) | {"kernel": names[entry.kernel]})) for entry in real),
        key=lambda entry: (entry.kernel, ARCHITECTURES.index(entry.architecture)),
    )


def spilled_scans(entries: list[Entry]) -> list[str]:
    """All but those that are known to."""
    return [
        f"{e.kernel} for {e.architecture}: {e.spill}"
        for e in entries
        if e.spill and e.scans and e.kernel not in KNOWN
    ]


def markdown(entries: list[Entry]) -> str:
    rows: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        rows.setdefault(entry.kernel, {})[entry.architecture] = entry
    spills = {
        kernel: [f"{e.spill} on {e.architecture}" for e in found.values() if e.spill]
        for kernel, found in rows.items()
    }
    told = [f"- `{kernel}`: {', '.join(where)}" for kernel, where in spills.items() if where]
    scans = spilled_scans(entries)
    known = " and ".join(f"`{kernel}`" for kernel in KNOWN)
    lines = [
        "| kernel | " + " | ".join(ARCHITECTURES) + " |",
        "|---" * (1 + len(ARCHITECTURES)) + "|",
    ]
    for kernel, found in rows.items():
        cells = [
            f"{found[a].registers}{'*' if found[a].spill else ''}" if a in found else "-"
            for a in ARCHITECTURES
        ]
        lines.append(f"| `{kernel}` | {' | '.join(cells)} |")
    return TEMPLATE.format(
        scans=f"No scan spills on any of them but {known}, of version 2."
        if not scans
        else f"Scans that spill, in bytes: {'; '.join(scans)}.",
        spills="\n".join(told) or "Nothing.",
        table="\n".join(lines),
    )


TEMPLATE = """\
# Registers and spills of the CUDA kernels, 2026-11-30

Registers a thread, CUDA 13.0 (`benchmarks/kernels/resources.py`); `pip install` builds for 8.0, 8.7
and 9.0, with PTX for the last. For source lines in Nsight Compute build with
`-DCMAKE_CUDA_FLAGS=-lineinfo`; it more than doubles the libraries.

{scans}

Names of scans are `<states, channels per lane, channels, producer warps, blocks per SM; type, dt
rank>`, rank 0 standing for any; of `block_tail` `<d_model, warps, positions>`; of
`conv_proj_prepared` `<channels, positions of a thread>`; of `lane_channel` `<type, dt rank,
channels, threads, tiles longer; whether d_inner is 32 dt ranks>`; of `split_channel` `<dt rank,
states per lane, channels, warps in turn, steps of a turn, tile, stages, converter warps; whether
sums are float16>`. A `-`: no code for that architecture; `*`: spills, below.

{table}

## Spilled

Bytes of stores and loads together. Nothing but Hopper's code (sm_90a) has been run.

{spills}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="architectures to compile for, without a report")
    parser.add_argument("--jobs", type=int, default=1, help="compilers at once")
    options = parser.parse_args()
    architectures = options.only.split(",") if options.only else ARCHITECTURES
    jobs = [
        Job(source, architecture)
        for architecture in architectures
        for source in sorted((KERNELS / "cuda").rglob("*.cu"))
    ]
    entries = named(list(all_compiled(jobs, options.jobs)))
    if not options.only:
        with replacing(REPORT) as partial:
            rows = [json.dumps(asdict(entry)) for entry in entries]
            partial.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
        with replacing(REPORT.with_suffix(".md")) as partial:
            partial.write_text(markdown(entries), encoding="utf-8")
    for scan in spilled_scans(entries):
        sys.stderr.write(f"spilled bytes: {scan}\n")
    return 1 if spilled_scans(entries) else 0


if __name__ == "__main__":
    sys.exit(main())
