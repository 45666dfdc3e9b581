"""An archive through Ray Data: recordings to actors, what became of them to the ledger."""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from posemamba_runtime.errors import BackendFailed, BadArgument
from posemamba_runtime.file_names import printable_name
from posemamba_runtime.scale import cluster, require
from posemamba_runtime.scale.ledger import Entry, Ledger, opened
from posemamba_runtime.scale.sources import Item
from posemamba_runtime.scale.worker import FAILED, LIFTED, STOP, THERE, Job, Remarks, Worker
from posemamba_runtime.text import printable

_STAGING = ".lifting"
_BATCH = 16
"""Recordings of one task at most. What Ray spends on a task is spread over them; a process that
dies takes the rest of its batch to another one."""

_ROUNDS = 8  # batches each actor gets at least, so that all end at about the same time


@dataclass
class Outcome:
    """What became of an archive.

    Attributes:
        lifted, there: recordings lifted now, and found lifted already.
        failed: one line for each recording that could not be.
        poses: of those lifted now.
        remarks: recordings with remarks, which the ledger tells.
    """

    lifted: int = 0
    there: int = 0
    failed: list[str] = field(default_factory=list)
    poses: int = 0
    remarks: int = 0


def lift_archive(
    job: Job,
    items: Sequence[Item],
    *,
    address: str,
    workers: int | None,
    remarks: Remarks,
    progress: Callable[[int, int], None],
) -> Outcome:
    """Lift what is not there yet; a recording that fails stops no other.

    Args:
        job: its ``staging`` is chosen here.
        address: as :func:`posemamba_runtime.scale.cluster.connected` takes it.
        workers: actors; None: as many as the cluster has room for.
        remarks: of a recording, for the ledger.
        progress: called with the recordings that are done, and all.

    Raises:
        Missing: no Ray, or no machine with what an actor needs.
        BadArgument: the folder cannot be written, or another run writes to it.
        BackendFailed: Ray gave up, or the model cannot be opened on a machine.
    """
    with cluster.connected(address) as ray:
        needs = cluster.needs_of(job.model, job.backend, job.threads)
        room = cluster.room_for(ray, needs)
        if workers is not None and workers > room:
            raise BadArgument(f"--workers {workers}: the cluster has room for {room}")
        folder = Path(job.output)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadArgument(f"'{folder}' cannot be made ({error.strerror})") from None
        with opened(folder) as ledger, _staging(folder) as staging:
            rows = [_row(item, ledger.entries.get(item.name)) for item in items]
            given = (replace(job, staging=str(staging)), remarks)
            try:
                answers = _answers(rows, given, workers or room, needs)
                return _collect(items, answers, ledger, progress)
            except ray.exceptions.RayError as error:
                raise BackendFailed(f"Ray gave up: {printable(_first_line(error), 200)}") from None


def _collect(
    items: Sequence[Item],
    answers: Iterable[tuple[str, Entry]],
    ledger: Ledger,
    progress: Callable[[int, int], None],
) -> Outcome:
    outcome = Outcome()
    pending = {item.name: item for item in items}
    for status, entry in answers:
        if status == STOP:
            raise BackendFailed(entry.failed)
        if pending.pop(entry.recording, None) is None:
            continue  # a batch that was answered twice
        _note(outcome, ledger, status, entry)
        progress(len(items) - len(pending), len(items))
    for item in pending.values():
        why = f"'{printable_name(item.source)}': Ray lost it: start the command again"
        lost = Entry(item.name, failed=why)
        _note(outcome, ledger, FAILED, lost)
    return outcome


def _note(outcome: Outcome, ledger: Ledger, status: str, entry: Entry) -> None:
    if status == THERE:
        outcome.there += 1
        return
    ledger.add(entry)
    if status == LIFTED:
        outcome.lifted += 1
        outcome.poses += entry.poses
        outcome.remarks += bool(entry.notes)
    else:
        outcome.failed.append(entry.failed)


def _row(item: Item, known: Entry | None) -> dict[str, str]:
    return {
        "item": json.dumps(asdict(item)),
        "known": json.dumps(None if known is None else asdict(known)),
    }


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder of this run; what a killed run has left is removed with it."""
    place = folder / _STAGING
    shutil.rmtree(place, ignore_errors=True)
    mine = place / uuid.uuid4().hex
    try:
        mine.mkdir(parents=True)
    except OSError as error:
        raise BadArgument(f"'{folder}' cannot be written ({error.strerror})") from None
    try:
        yield mine
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _answers(
    rows: list[dict[str, str]], given: tuple[Job, Remarks], count: int, needs: dict[str, int]
) -> Iterator[tuple[str, Entry]]:
    data = require.ray("data")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    size = min(_BATCH, max(1, len(rows) // (count * _ROUNDS)))
    lifted = data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
        Worker,
        fn_constructor_args=given,
        batch_size=size,
        compute=data.ActorPoolStrategy(size=count),
        **needs,
    )
    for answer in lifted.iter_rows():
        yield answer["status"], Entry(**json.loads(answer["entry"]))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
