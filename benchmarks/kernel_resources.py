"""Compile every CUDA kernel for every GPU we support and tabulate registers; 1 where one spills.

Needs nvcc, no GPU. Writes the table of docs/design/kernels.md's "Resources" to standard output.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "trt_plugins/kernels"
ARCHITECTURES = ("sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_110", "sm_120")
_ENTRY = re.compile(
    r"Compiling entry function '(?P<name>.*?)' for.*?(?P<spill>\d+) bytes spill stores, "
    r"(?P<reload>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers",
    re.DOTALL,
)


def report(source: Path, architecture: str) -> list[tuple[str, int, int]]:
    """(mangled kernel, registers, bytes spilled) of each kernel in a source file."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["nvcc", "-std=c++17", "-O3", f"-arch={architecture}", "-Xptxas=-v"]
        command += [f"-I{ROOT / 'trt_plugins/include'}", f"-I{KERNELS}"]
        command += ["-c", str(source), "-o", str(Path(folder) / "kernels.o")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{source.name} does not compile for {architecture}:\n{done.stderr}")
    return [
        (found["name"], int(found["registers"]), int(found["spill"]) + int(found["reload"]))
        for found in _ENTRY.finditer(done.stderr)
    ]


def readable(mangled: list[str]) -> list[str]:
    """Demangled and shortened: ``cross_scan<16, 2, 64, 4, 2; fp16, 8>``."""
    out = subprocess.run(["c++filt", *mangled], capture_output=True, text=True, check=True).stdout
    names = []
    for line in out.splitlines():
        name = re.sub(r"posemamba::cuda::|\(anonymous namespace\)::|^void ", "", line)
        name = re.sub(r"\([^()]*\)$", "", name).replace("_kernel", "")
        name = name.replace("__half", "fp16").replace("float", "fp32")
        name = re.sub(r"(lane_channel|split_channel|backward)::", "", name)
        name = re.sub(r"<Config<([^>]*)> ?>", r"<\1>", name)
        names.append(re.sub(r"Config<([^>]*)>,", r"\1;", name))
    return names


def main() -> int:
    sources = sorted((KERNELS / "cuda").rglob("*.cu"))
    jobs = [(source, architecture) for source in sources for architecture in ARCHITECTURES]
    registers: dict[str, dict[str, int]] = {}
    spilled: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda job: report(*job), jobs)
        progress = tqdm(results, total=len(jobs), disable=None)
        for (_, architecture), kernels in zip(jobs, progress, strict=True):
            for name, count, spill in kernels:
                registers.setdefault(name, {})[architecture] = count
                if spill:
                    spilled.append(f"{name} for {architecture}: {spill} bytes")
    rows = sorted(zip(readable(list(registers)), registers.values(), strict=True))
    lines = [
        "| kernel | " + " | ".join(ARCHITECTURES) + " |",
        "|---" * (1 + len(ARCHITECTURES)) + "|",
    ]
    for name, counts in rows:
        cells = (str(counts.get(architecture, "-")) for architecture in ARCHITECTURES)
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    sys.stdout.write("\n".join(lines) + "\n")
    if spilled:
        sys.stderr.write("registers spilled:\n" + "\n".join(spilled) + "\n")
    return 1 if spilled else 0


if __name__ == "__main__":
    sys.exit(main())
