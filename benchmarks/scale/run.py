"""Archives on Ray Data and cameras on Ray Serve, measured on one machine; a dated report.

    python -m benchmarks.scale.run            # half an hour on two cores
    python -m benchmarks.scale.run --quick    # two minutes, to see that it runs: no figures

Writes ``reports/DATE-ray-scale.json`` and ``.md``. Clients and server share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import environment
from benchmarks.scale import archive, cameras

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "data" / "golden" / "official_tiny.pth.tr"
PORT = 8791
CAMERAS, RATE, WINDOW = 64, 30.0, 27
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    recordings: int
    long_recordings: int
    long_frames: int
    seconds: float
    poses: int


FULL = Sizes(recordings=2000, long_recordings=40, long_frames=900, seconds=60, poses=100_000)
QUICK = Sizes(recordings=60, long_recordings=4, long_frames=200, seconds=8, poses=300)


def killed(models: dict[str, Path], sizes: Sizes, work: Path) -> dict[str, Any]:
    """2,000 small recordings on two nodes; an actor and then the driver are killed."""
    source, output, alone = work / "small", work / "small-out", work / "small-alone"
    archive.make_archive(source, sizes.recordings, 30)
    survived = archive.kill_and_resume(models["tiny"], source, output, sizes.recordings)
    archive.one_process(models["tiny"], source, alone, threads=1)
    lines = (output / "_lifted.jsonl").read_text("utf-8").splitlines()
    one, other = archive.outputs(output), archive.outputs(alone)
    return {
        "recordings": sizes.recordings,
        "done_when_actor_killed": survived.actor_killed_at,
        "done_when_driver_killed": survived.before_kill,
        "exit_code": survived.code,
        "outputs": len(one),
        "outputs_that_differ": sum(one.get(name) != content for name, content in other.items()),
        "outputs_too_many": len(one.keys() - other.keys()),
        "ledger_lines": len(lines),
    }


def pace(models: dict[str, Path], sizes: Sizes, work: Path) -> dict[str, Any]:
    """Clips a second of realistic length: one process, and Ray on the same cores."""
    source = work / "long"
    archive.make_archive(source, sizes.long_recordings, sizes.long_frames)
    model = models["streaming"]
    seconds: dict[str, float] = {}
    for threads in sorted({1, CORES}):
        name = f"one process, {threads} threads"
        seconds[name] = archive.one_process(model, source, work / name, threads)
    rates = {name: sizes.long_recordings / value for name, value in seconds.items()}
    for workers in sorted({1, CORES}):
        output = work / _ray(workers)
        command = archive.lift_command(model, source, output, "--workers", str(workers), "--ray")
        seconds[_ray(workers)], rates[_ray(workers)] = archive.steady(command, output)
    best = max(rate for name, rate in rates.items() if name.startswith("one"))
    return {
        "recordings": sizes.long_recordings,
        "frames": sizes.long_frames,
        "seconds_with_start": seconds,
        "clips_a_second_without_start": rates,
        "overhead_percent_same_cores": 100 * (1 - rates[_ray(CORES)] / best),
        "overhead_percent_one_core": 100 * (1 - rates[_ray(1)] / rates["one process, 1 threads"]),
    }


def _ray(workers: int) -> str:
    return f"ray, {workers} processes of 1 thread"


def _serve(
    model: Path,
    seconds: Callable[[int], float],
    *words: str,
    kill: bool = False,
    judged: int = CAMERAS,
) -> dict[str, Any]:
    """64 cameras at 30 frames a second; ``seconds`` of the hop that was chosen.

    The poses of ``judged`` cameras are held against a lifter of each camera alone.
    """
    told = ("--cameras", str(CAMERAS), "--threads", "1", "--window", str(WINDOW), *words)
    with cameras.server(model, PORT, *told) as health:
        length = seconds(int(health["hop"]))
        memory: list[float] = []

        seen = [cameras.Seen() for _ in range(CAMERAS)]

        async def run() -> None:
            watching = asyncio.ensure_future(_watch(memory))
            killing = asyncio.ensure_future(cameras.killing(PORT, length / 2)) if kill else None
            await cameras.run_cameras(PORT, seen, RATE, length)
            watching.cancel()
            if killing is not None:
                await killing

        asyncio.run(run())
    delays = np.concatenate([one.delays for one in seen]) * 1e3
    sent, refused = sum(one.sent for one in seen), sum(len(one.refused) for one in seen)
    return {
        "hop": health["hop"],
        "window_ms": health["window_ms"],
        "seconds": length,
        "sent": sent,
        "refused": refused,
        "refused_percent": 100 * refused / max(sent, 1),
        "poses_a_second": len(delays) / length,
        "p50_ms": float(np.percentile(delays, 50)) if len(delays) else None,
        "p99_ms": float(np.percentile(delays, 99)) if len(delays) else None,
        "connections": sum(one.connections for one in seen),
        "poses_of_other_cameras": sum(one.strangers for one in seen),
        "cameras_judged": judged,
        **asdict(cameras.judge(model, WINDOW, seen[:judged])),
        "sentences": sorted(set().union(*(one.sentences for one in seen))),
        "memory_mb": [round(value / 1e6, 1) for value in memory],
    }


async def _watch(memory: list[float]) -> None:
    """The server's memory, every five seconds; a server that was killed tells nothing."""
    while True:
        await asyncio.sleep(5)
        with suppress(OSError):
            told = await asyncio.to_thread(cameras.metrics, PORT)
            memory.append(told["process_resident_memory_bytes"])


def streaming(models: dict[str, Path], sizes: Sizes, work: Path) -> dict[str, Any]:
    """The bundled streaming network, a pose as often as this machine keeps up with."""
    words = ("--max-latency-ms", "1000")
    return _serve(models["streaming"], lambda hop: sizes.seconds, *words, judged=4)


def many_poses(models: dict[str, Path], sizes: Sizes, work: Path) -> dict[str, Any]:
    """A tiny network for 100,000 poses, each compared; the replica is killed half-way."""
    return _serve(
        models["tiny"],
        lambda hop: 10 + sizes.poses * hop / (CAMERAS * RATE),
        "--max-latency-ms", "1000", kill=True,
    )  # fmt: skip


def overload(models: dict[str, Path], sizes: Sizes, work: Path) -> dict[str, Any]:
    """A pose for every frame, several times what the machine can do."""
    return _serve(models["tiny"], lambda hop: sizes.seconds, "--hop", "1")


PARTS: dict[str, Callable[[dict[str, Path], Sizes, Path], dict[str, Any]]] = {
    part.__name__: part for part in (killed, pace, streaming, many_poses, overload)
}


def export(work: Path) -> dict[str, Path]:
    """The networks as ONNX files."""
    made = {"tiny": str(TINY), "streaming": "demo-streaming"}
    for name, checkpoint in made.items():
        words = ["-o", f"{work / name}.onnx", "--no-check"]
        command = [sys.executable, "-m", "pmexport", "onnx", "--ckpt", checkpoint, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {name: work / f"{name}.onnx" for name in made}


def markdown(report: dict[str, Any]) -> str:
    """The report's text: a list per part, in the order measured."""
    told = report["environment"]
    lines = [
        "# Archives and cameras on Ray",
        "",
        f"Measured {told['date']} on {told['cores']} cores of {told['processor']}, load "
        f"{report['load_before']:.1f} before; clients and server share them. Command: "
        f"`python -m benchmarks.scale.run`.{' Quick: no figures.' if report['quick'] else ''}",
    ]
    for name, part in report["parts"].items():
        lines += ["", f"## {name}", "", PARTS[name].__doc__ or "", ""]
        lines += [f"- {key}: {_shown(value)}" for key, value in part.items()]
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_shown(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(inner) for inner in value) or "none"
    return f"{value:,.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, to see that it runs")
    parser.add_argument("--only", choices=tuple(PARTS), action="append", help="some parts")
    parser.add_argument("--out", type=Path, default=ROOT / "reports", help="folder of the report")
    asked = parser.parse_args()
    report: dict[str, Any] = {
        "environment": environment(),
        "load_before": os.getloadavg()[0],
        "quick": asked.quick,
        "parts": {},
    }
    work = Path(tempfile.mkdtemp())
    try:
        models = export(work)
        for name in asked.only or PARTS:
            report["parts"][name] = PARTS[name](models, QUICK if asked.quick else FULL, work)
            sys.stdout.write(f"{name}: {json.dumps(report['parts'][name])}\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    stem = asked.out / f"{report['environment']['date']}-ray-scale"
    stem.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
