"""A Ray to work on: one of this process' own, or one that runs."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from posemamba_runtime import _library
from posemamba_runtime.errors import BadArgument, Missing
from posemamba_runtime.scale import require
from posemamba_runtime.text import counted, printable

_STORE_BYTES = 256 << 20
"""Of a Ray of our own: recordings travel by name, so little is stored."""

_ANSWER_S = 5.0

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Ray, joined or started, and left when the block ends.

    Args:
        address: ``HOST:PORT`` of a cluster's head, ``auto`` for the one that runs on this machine,
            or empty: one is started here and ends with the block.

    Raises:
        Missing: Ray is not installed.
        BadArgument: nobody answers there.
    """
    if address.startswith("ray://"):
        raise BadArgument(
            f"--ray {printable(address, 60)}: Ray Data needs the driver inside the cluster: run "
            "this command on one of its machines with --ray auto"
        )
    if address not in ("", "auto"):
        _require_answer(address)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    ray = require.ray()
    own = {"include_dashboard": False, "object_store_memory": _STORE_BYTES} if not address else {}
    try:
        with silence():
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **own,
            )
    except (ConnectionError, ValueError, TimeoutError, RuntimeError) as error:
        where = f"--ray {printable(address, 60)}" if address else "Ray on this machine"
        raise Missing(
            f"{where}: no Ray answers ({printable(error, 160)}): start one with 'ray start --head'"
        ) from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        with silence():
            ray.shutdown()


def _require_answer(address: str) -> None:
    """Ray itself tries a wrong address for minutes.

    Raises:
        BadArgument: no address, or nobody answers there.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise BadArgument(
            f"--ray {printable(address, 60)}: give HOST:PORT, 'auto', or nothing for a Ray here"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise BadArgument(
            f"--ray {printable(address, 60)}: nobody answers ({printable(error, 80)}): start a Ray "
            "there with 'ray start --head'"
        ) from None


@contextmanager
def silence() -> Iterator[None]:
    """Keep Ray's native part off standard error; what goes wrong is raised all the same."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def total(ray: ModuleType, resource: str) -> int:
    """Whole CPUs or GPUs of the cluster."""
    return int(ray.cluster_resources().get(resource, 0))


def needs_of(model: str, backend: str, threads: int) -> dict[str, int]:
    """What a process with a lifter takes of a machine, in Ray's words."""
    gpu = backend == "onnxruntime-cuda" or "tensorrt" in _library.family(model, backend)
    return {"num_cpus": threads, "num_gpus": 1} if gpu else {"num_cpus": threads}


def room_for(ray: ModuleType, needs: dict[str, int]) -> int:
    """How many such processes the cluster holds.

    Raises:
        Missing: not one.
    """
    room = total(ray, "CPU") // needs["num_cpus"]
    if "num_gpus" in needs:
        room = min(room, total(ray, "GPU"))
    if room == 0:
        what = "a GPU" if "num_gpus" in needs else counted(needs["num_cpus"], "core")
        raise Missing(f"the cluster has no room for a process that needs {what}")
    return room
