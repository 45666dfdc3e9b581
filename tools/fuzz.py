"""Damaged input into every reader of keypoints and every parser of the C++ library, and a report.

    python tools/fuzz.py --seconds 600 -o reports/2026-11-30-fuzz.md

A reader gets damaged files of one format after the other, until its time is over: it has to give a
recording that holds together, or one line. The C++ targets of ``deploy/cpp/fuzz`` are built with
clang and run by libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer. What breaks one is
kept in ``build/fuzz``, and the exit code is 1. ``.ci/fuzz`` runs it from a clean checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "build" / "fuzz"
CPP_TARGETS = ("fuzz_metadata", "fuzz_push")
sys.path.insert(0, str(ROOT / "tests" / "support"))

from keypoint_damage import (  # noqa: E402
    ARCHIVES,
    DOCUMENTS,
    SIZE,
    damage_archive,
    damaged,
    damaged_bytes,
    outcome,
    write_document,
)


@dataclass(frozen=True)
class Row:
    """What came of one target.

    Attributes:
        read: inputs that were taken in spite of the damage; None where that is not counted.
        slowest: seconds of the slowest input.
        findings: the files that broke it.
    """

    name: str
    seconds: float
    inputs: int
    read: int | None
    slowest: float
    findings: tuple[str, ...]


def readers() -> dict[str, Callable[[Path, random.Random], Path]]:
    """Name to what writes a damaged input into a folder."""

    def document(name: str) -> Callable[[Path, random.Random], Path]:
        def write(folder: Path, rng: random.Random) -> Path:
            half = rng.random() < 0.5
            path = write_document(
                name, damaged(DOCUMENTS[name], rng) if half else DOCUMENTS[name], folder
            )
            if not half:
                path.write_bytes(damaged_bytes(path.read_bytes(), rng))
            return path

        return write

    def archive(name: str) -> Callable[[Path, random.Random], Path]:
        def write(folder: Path, rng: random.Random) -> Path:
            ARCHIVES[name](folder / "k.npz")
            damage_archive(folder / "k.npz", rng)
            return folder / "k.npz"

        return write

    return {
        **{name: document(name) for name in DOCUMENTS},
        **{name: archive(name) for name in ARCHIVES},
        "label files": _labels,
        "folder of frames": _folder,
    }


def _labels(folder: Path, rng: random.Random) -> Path:
    cells = ("0", "1", "0.5", "-1", "nan", "inf", "1e9", "x", "")
    for frame in range(rng.randint(1, 4)):
        rows = [
            " ".join(rng.choice(cells) if rng.random() < 0.1 else "0.5" for _ in range(length))
            for length in rng.choices((56, 57, 58, 39, 5, 12), k=rng.randint(0, 3))
        ]
        (folder / f"v_{frame}.txt").write_text("\n".join("0" + row[3:] for row in rows))
    return folder


def _folder(folder: Path, rng: random.Random) -> Path:
    for number in range(4):
        document = DOCUMENTS["openpose"]
        name = rng.choice(("{}.json", "f_{:03d}.json", "{}_x{}.json", "17000000.{}.json"))
        content = json.dumps(damaged(document, rng) if number == 2 else document)
        (folder / name.format(number, number)).write_text(content)
    return folder


def fuzz_reader(
    name: str, write: Callable[[Path, random.Random], Path], seconds: float, seed: int
) -> Row:
    """One reader, until its time is over."""
    inputs = taken = 0
    slowest, findings = 0.0, []
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            path = write(folder, random.Random(f"{seed} {name} {inputs}"))
            began = time.monotonic()
            try:
                taken += outcome(path, size=SIZE) is not None
            except Exception:  # whatever it is, it is a finding
                findings.append(_keep(name, inputs, path))
            slowest = max(slowest, time.monotonic() - began)
        inputs += 1
    return Row(name, time.monotonic() - start, inputs, taken, slowest, tuple(findings))


def _keep(name: str, number: int, path: Path) -> str:
    """The input and its traceback in :data:`KEPT`."""
    kept = KEPT / f"{name.replace(' ', '-')}-{number}"
    kept.mkdir(parents=True, exist_ok=True)
    for file in [path] if path.is_file() else path.iterdir():
        (kept / file.name).write_bytes(file.read_bytes())
    (kept / "traceback.txt").write_text(traceback.format_exc())
    return kept.name


def build_cpp() -> Path:
    """The folder with the C++ targets."""
    folder = ROOT / "build" / "runtime-tests" / "fuzz"
    options = (
        *("-DCMAKE_CXX_COMPILER=clang++", "-DCMAKE_C_COMPILER=clang"),
        *("-DPOSEMAMBA_RUNTIME_TESTS=OFF", "-DPOSEMAMBA_RUNTIME_FUZZ=ON"),
    )
    source = ROOT / "deploy" / "cpp"
    subprocess.run(["cmake", "-S", source, "-B", folder, *options], check=True)
    subprocess.run(["cmake", "--build", folder, "-j2", "--target", *CPP_TARGETS], check=True)
    return folder / "fuzz"


def fuzz_cpp(program: Path, seconds: float, seed: int) -> Row:
    """One libFuzzer target."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        start = time.monotonic()
        done = subprocess.run(
            [
                *(program, f"-max_total_time={seconds:.0f}", "-max_len=4096", f"-seed={seed}"),
                *("-print_final_stats=1", f"-artifact_prefix={KEPT}/{program.name}-", corpus),
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        took = time.monotonic() - start
    inputs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    slowest = re.search(r"slowest_unit_time_sec:\s*(\d+)", done.stderr)
    findings = re.findall(rf"Test unit written to .*?({program.name}-\S+)", done.stderr)
    if done.returncode != 0 and not findings:
        raise SystemExit(f"{program}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return Row(
        program.name,
        took,
        int(inputs[1]) if inputs else 0,
        None,
        float(slowest[1]) if slowest else 0.0,
        tuple(findings),
    )


def report(rows: Sequence[Row], left_out: Sequence[str], asked: float, seed: int) -> str:
    """Markdown."""
    found = sum(len(row.findings) for row in rows)
    day = datetime.now(timezone.utc).date().isoformat()
    lines = [
        f"# Fuzzing every reader, {day}",
        "",
        f"`python tools/fuzz.py --seconds {asked:g} --seed {seed}` on {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}. Each target had {asked:g} "
        "seconds of wall time, one after the other; the rows say what each really took, on a "
        "machine that may have had other work. A finding is an input that is neither read nor "
        "refused in one line; C++ targets run under AddressSanitizer and "
        "UndefinedBehaviorSanitizer.",
        "",
        *([f"Not in this run: {', '.join(left_out)}.", ""] if left_out else []),
        f"**{found} finding{'' if found == 1 else 's'}.**",
        "",
        "| target | seconds | inputs | read all the same | slowest input, s | findings |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        read = "" if row.read is None else f"{row.read:,}"
        lines.append(
            f"| {row.name} | {row.seconds:.0f} | {row.inputs:,} | {read} | {row.slowest:.2f} | "
            f"{', '.join(row.findings) or 'none'} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="for each target  [600]")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="targets  [all]")
    parser.add_argument("-o", "--output", type=Path, help="the report  [standard output]")
    arguments = parser.parse_args()
    python = readers()
    # libFuzzer counts what its parent once held as its own, and a reader may hold much.
    wanted = arguments.only or [*CPP_TARGETS, *python]
    if unknown := set(wanted) - {*python, *CPP_TARGETS}:
        parser.error(f"no target {sorted(unknown)}: use {', '.join([*python, *CPP_TARGETS])}")
    rows = []
    programs = build_cpp() if set(wanted) & set(CPP_TARGETS) else None
    for name in wanted:
        if programs is not None and name in CPP_TARGETS:
            rows.append(fuzz_cpp(programs / name, arguments.seconds, arguments.seed))
        else:
            rows.append(fuzz_reader(name, python[name], arguments.seconds, arguments.seed))
        sys.stderr.write(f"{rows[-1]}\n")
    left_out = [name for name in (*python, *CPP_TARGETS) if name not in wanted]
    text = report(rows, left_out, arguments.seconds, arguments.seed)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        arguments.output.write_text(text, encoding="utf-8")
    return 1 if any(row.findings for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
