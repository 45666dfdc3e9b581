"""Lifters and streams beside processes, threads and event loops."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posemamba_runtime import BadArgument, Lifter

VALUES = np.arange(300, 334, dtype=np.float32).reshape(17, 2)
SIZE = (1920, 1080)


@pytest.fixture(scope="module")
def lifter(model: Path) -> Lifter:
    return Lifter(model, "onnxruntime-cpu")


@pytest.mark.parametrize("kind", ["Lifter", "Stream"])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_neither_copied_nor_pickled(
    copied: Callable[[Any], Any], kind: str, lifter: Lifter
) -> None:
    """A copy would close what the other still uses."""
    handle = lifter if kind == "Lifter" else lifter.stream()
    with pytest.raises(TypeError, match=f"a {kind} can be neither copied nor pickled: open it"):
        copied(handle)


def test_not_given_to_a_spawned_process(lifter: Lifter) -> None:
    process = multiprocessing.get_context("spawn").Process(target=print, args=(lifter,))
    with pytest.raises(TypeError, match="open it where it is used"):
        process.start()


#: A worker of `multiprocessing`, forked with everything open, and one of its own.
FORKED = """
import multiprocessing, sys
import numpy as np
from posemamba_runtime import BadArgument, Lifter
values = np.arange(300, 334, dtype=np.float32).reshape(17, 2)
lifter = Lifter(sys.argv[1], "onnxruntime-cpu", threads=2)
stream = lifter.stream("h36m17", (1920, 1080))
stream.push(values, 0, 0.0)
lifter.step()
expected = stream.poll().joints

def work(results):
    refused = []
    for call in (lifter.step, stream.flush, stream.poll, lambda: stream.push(values, 1, 1.0)):
        try:
            call()
        except BadArgument as error:
            refused.append(str(error))
    lifter.close()
    with Lifter(sys.argv[1], "onnxruntime-cpu", threads=2) as own:
        own_stream = own.stream("h36m17", (1920, 1080))
        own_stream.push(values, 0, 0.0)
        own.step()
        results.put((refused, own_stream.poll().joints))

fork = multiprocessing.get_context("fork")
results = fork.Queue()
workers = [fork.Process(target=work, args=(results,)) for _ in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    refused, joints = results.get(timeout=60)
    assert len(refused) == 4 and all("is a fork" in text for text in refused), refused
    np.testing.assert_array_equal(joints, expected)
for worker in workers:
    worker.join(60)
    assert worker.exitcode == 0, worker.exitcode
stream.push(values, 1, 1.0)
assert lifter.step() == 1
"""


def test_forked_workers(model: Path) -> None:
    """ONNX Runtime's threads do not follow a fork: waiting for them would never end."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(model)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_event_loop(lifter: Lifter) -> None:
    """Cameras of one loop, whose steps run in threads beside it; each gets its own poses."""

    async def camera(number: int) -> list[int]:
        stream = lifter.stream("h36m17", SIZE)
        frames: list[int] = []
        for frame in range(10):
            stream.push(VALUES + number, 100 * number + frame, frame / 30)
            await asyncio.to_thread(lifter.step)
            frames += [pose.frame for pose in stream]
        while len(frames) < 10:  # another camera's step is lifting it
            await asyncio.to_thread(lifter.step)
            frames += [pose.frame for pose in stream]
        return frames

    async def run() -> list[list[int]]:
        return await asyncio.gather(*(camera(number) for number in range(4)))

    expected = [[100 * number + frame for frame in range(10)] for number in range(4)]
    assert asyncio.run(run()) == expected


def test_threads_that_push_and_one_that_steps(lifter: Lifter) -> None:
    stream = lifter.stream("h36m17", SIZE, window=3)
    failures: list[BadArgument] = []

    def push(person: int) -> None:
        try:
            for frame in range(50):
                stream.push(VALUES + person, frame, frame / 30, person)
        except BadArgument as error:
            failures.append(error)

    threads = [threading.Thread(target=push, args=(person,)) for person in range(6)]
    for thread in threads:
        thread.start()
    found: dict[int, list[int]] = {person: [] for person in range(6)}

    def take() -> None:
        lifter.step()
        for pose in stream:
            found[pose.person].append(pose.frame)

    while any(thread.is_alive() for thread in threads):
        take()
    take()
    assert failures == []
    assert found == {person: list(range(50)) for person in range(6)}
