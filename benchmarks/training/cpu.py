"""Times a training step on the CPU: the fused scan with its kernels against the chunked scan.

    python -m benchmarks.training.cpu --json train.json --report train.md

Steps of both scans alternate in one process (forward, loss, backward and AdamW), so that what else
the machine does hits both alike. A ratio is the median of the ratios of neighbours. `kept` is what
the forward pass keeps for the backward pass: the sizes of all tensors it made that are alive
afterwards, each memory once.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import click
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.environment import environment
from posemamba.model.blocks import ScanBackend
from posemamba.model.network import PoseMamba
from posemamba.training.config import TrainConfig
from posemamba.training.stepper import Stepper

SCANS: tuple[ScanBackend, ...] = ("fused", "chunked")
_weak: Callable[[object], Any] = StorageWeakRef  # which has no types


class Made(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within, the memory of every operator's results is noted."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sizes: dict[Any, int] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        _types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        given = {
            _weak(leaf.untyped_storage())
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor)
        }
        results = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(results):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if _weak(storage) not in given:  # no view
                    self.sizes[_weak(storage)] = storage.nbytes()
        return results

    def alive_bytes(self) -> int:
        """What of it is still held."""
        return sum(size for storage, size in self.sizes.items() if not storage.expired())


class Case:
    """A network of one scan, with the same weights and clips as the others'."""

    def __init__(self, variant: str, frames: int, batch: int, scan: ScanBackend) -> None:
        assert scan in get_args(ScanBackend)
        config = TrainConfig(variant=variant, frames=frames, batch_size=batch, scan=scan)
        torch.manual_seed(0)
        self.model = PoseMamba(config.model_config(), scan=scan).train()
        self.stepper = Stepper(self.model, self.model, config)
        self.clips = (torch.rand(batch, frames, 17, 2) * 2 - 1, torch.rand(batch, frames, 17, 3))

    def step(self) -> float:
        """Seconds of one step."""
        start = time.perf_counter()
        self.stepper.step([self.clips], 2e-4)
        return time.perf_counter() - start

    def kept_bytes(self) -> int:
        """What autograd keeps of one forward pass."""
        with Made() as made:
            output = self.model(self.clips[0])
        kept: int = made.alive_bytes()
        del output
        return kept


def measure(variant: str, frames: int, batch: int, rounds: int) -> dict[str, Any]:
    """Both scans in turn, after one step each to warm up."""
    cases = {scan: Case(variant, frames, batch, scan) for scan in SCANS}
    kept = {scan: case.kept_bytes() for scan, case in cases.items()}
    for case in cases.values():
        case.step()
    seconds: dict[str, list[float]] = {scan: [] for scan in SCANS}
    for _ in range(rounds):
        for scan, case in cases.items():
            seconds[scan].append(case.step())
    ratios = [b / a for a, b in zip(*(seconds[scan] for scan in SCANS), strict=True)]
    return {
        "variant": variant,
        "frames": frames,
        "batch": batch,
        "seconds": {scan: [round(s, 4) for s in found] for scan, found in seconds.items()},
        "median_s": {scan: round(statistics.median(s), 4) for scan, s in seconds.items()},
        "kept_mib": {scan: round(n / 2**20, 1) for scan, n in kept.items()},
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def report(record: dict[str, Any]) -> str:
    """The page."""
    where = record["environment"]
    lines = [
        "# A training step on the CPU",
        "",
        f"{where['date']}, {where['processor']}, {record['threads']} threads, "
        f"PyTorch {where['torch']}. `benchmarks/training/cpu.py`; random clips, float32, one step",
        "is forward, loss, backward and AdamW. Steps of both scans alternate; medians.",
        *([record["note"]] if record["note"] else []),
        "",
        "| network | batch | fused, s a step | chunked, s a step | chunked / fused (range) "
        "| kept, fused | kept, chunked |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in record["rows"]:
        fused, chunked = (row["median_s"][scan] for scan in SCANS)
        kept = [f"{row['kept_mib'][scan]:,.0f} MiB" for scan in SCANS]
        spread = f"{row['ratio']:.2f} ({min(row['ratios']):.2f} to {max(row['ratios']):.2f})"
        lines.append(
            f"| {row['variant']}, {row['frames']} frames | {row['batch']} | {fused:.2f} "
            f"| {chunked:.2f} | {spread} | {kept[0]} | {kept[1]} |"
        )
    return "\n".join(lines) + "\n"


@click.command(help=__doc__)
@click.option("--variant", default="S", show_default=True)
@click.option("--frames", default=243, show_default=True)
@click.option("--batch", "batches", multiple=True, type=int, default=(1, 4), show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Steps of each scan, per batch.")
@click.option("--note", default="", help="A sentence for the page, of what else the machine did.")
@click.option("--threads", type=int, help="PyTorch's, and the kernels'.")
@click.option("--json", "json_file", type=click.Path(path_type=Path))
@click.option("--report", "page", type=click.Path(path_type=Path))
def main(
    variant: str,
    frames: int,
    batches: tuple[int, ...],
    rounds: int,
    note: str,
    threads: int | None,
    json_file: Path | None,
    page: Path | None,
) -> None:
    if threads is not None:
        torch.set_num_threads(threads)
    rows = []
    for batch in batches:
        rows.append(measure(variant, frames, batch, rounds))
        click.echo(json.dumps(rows[-1]))
    record = {
        "environment": environment(),
        "threads": torch.get_num_threads(),
        "note": note,
        "rows": rows,
    }
    if json_file is not None:
        json_file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if page is not None:
        page.write_text(report(record), encoding="utf-8")


if __name__ == "__main__":
    main()
