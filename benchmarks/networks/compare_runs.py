"""What ``pmexport bench --compare`` says of one program measured many times, while others work.

A tiny network is measured `--count` times: with nobody else, beside one program that works and
rests by turns, and beside four. Every measurement is then held against every other, both ways, as
it is and with its times made longer or shorter, with the yardstick and without. One program twice
that is called slower or faster is a wrong answer, as is a slower one that is called faster.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.environment import environment
from pmexport.bench.measure import Effort, HostBound
from pmexport.bench.timed import time_bound
from pmexport.bench.verdict import Sample, compare_samples
from pmexport.bench.yardstick import small_product
from pmexport.check.cases import bounce
from pmexport.exporting.export import export_onnx
from pmexport.format.options import ExportOptions
from pmexport.runtimes.base import Lift, RuntimeOptions
from pmexport.runtimes.ort_cpu import OrtCpu
from posemamba import PoseMamba, PoseMambaConfig
from posemamba.pose.clips import bundled_clips
from posemamba.text import markdown_table

OTHERS = {"alone": 0, "beside one": 1, "beside four": 4}
FACTORS = (1.0, 1.05, 1.1, 1 / 1.1, 1.2, 2.0)
FRAMES = 9
MOST_PHASE_S = 3.0


def by_turns() -> None:
    """Work and rest, each for up to three seconds, for ever."""
    while True:
        end = time.monotonic() + random.uniform(0.0, MOST_PHASE_S)
        while time.monotonic() < end:
            small_product()
        time.sleep(random.uniform(0.0, MOST_PHASE_S))


@contextlib.contextmanager
def other_programs(count: int) -> Iterator[None]:
    words = [sys.executable, "-m", "benchmarks.networks.compare_runs", "--by-turns"]
    started = [subprocess.Popen(words) for _ in range(count)]
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def tiny_network() -> Lift:
    config = PoseMambaConfig(d_model=64, depth=2, frames=FRAMES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.onnx"
        export_onnx(PoseMamba(config).eval(), path, ExportOptions())
        return OrtCpu(RuntimeOptions(threads=1)).load(path)


def measured(lift: Lift, count: int, seconds: float, name: str) -> list[Sample]:
    clip = bounce(next(iter(bundled_clips().values())), FRAMES)[None]
    effort = Effort(0.1, seconds)
    return [
        time_bound(lambda: HostBound(lift, clip), 1, FRAMES, effort).sample
        for _ in tqdm(range(count), desc=name, disable=not sys.stderr.isatty())
    ]


def scaled(sample: Sample, factor: float) -> Sample:
    """As if the program took so many times as long on the same machine."""
    assert sample.spread is not None
    return replace(
        sample,
        median=factor * sample.median,
        best=factor * sample.best,
        mad=factor * sample.mad,
        spread=factor * sample.spread,
    )


def verdicts(samples: Sequence[Sample], factor: float, yardstick: bool = True) -> Counter[str]:
    """What is said of every ordered pair, the second one's program so many times as long."""
    if not yardstick:
        samples = [replace(each, yardstick=None) for each in samples]
    later = [scaled(each, factor) for each in samples]
    pairs = itertools.permutations(range(len(samples)), 2)
    return Counter(compare_samples("", samples[i], later[j]).verdict for i, j in pairs)


def verdict_table(runs: dict[str, list[Sample]]) -> str:
    header = ("measured", "time", "yardstick", "no change", "slower", "faster", "cannot tell")
    rows = []
    for name, samples in runs.items():
        for factor, held in itertools.product(FACTORS, (False, True)):
            said = verdicts(samples, factor, held)
            row = [name, f"x {factor:.3g}", "yes" if held else "no"]
            rows.append([*row, *(f"{said[column]:,}" for column in header[3:])])
    return markdown_table(header, rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="measurements a row")
    parser.add_argument("--seconds", type=float, default=0.6, help="of a measurement")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--by-turns", action="store_true", help="be one of the other programs")
    options = parser.parse_args()
    if options.by_turns:
        by_turns()
    lift = tiny_network()
    runs = {}
    for name, count in OTHERS.items():
        with other_programs(count):
            runs[name] = measured(lift, options.count, options.seconds, name)
    sys.stdout.write(verdict_table(runs) + "\n")
    if options.json is not None:
        rows = {name: [asdict(each) for each in samples] for name, samples in runs.items()}
        record = {"environment": environment(), "seconds": options.seconds, "samples": rows}
        options.json.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
