"""``serve`` on Ray: cameras whose replica is killed come back; nothing is mixed or out of order.

The same scenario runs with 64 cameras and for minutes in `benchmarks/scale/run.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from benchmarks.scale import cameras

CAMERAS, RATE, SECONDS, WINDOW = 6, 10.0, 30.0, 9


def test_a_replica_that_is_killed_is_replaced(model: Path) -> None:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])

    async def run() -> tuple[list[cameras.Seen], int]:
        killed = asyncio.ensure_future(cameras.killing(port, SECONDS / 3))
        return await cameras.run_cameras(port, CAMERAS, RATE, SECONDS), await killed

    words = ("--cameras", str(CAMERAS), "--threads", "1", "--window", str(WINDOW), "--hop", "2")
    with cameras.server(model, port, *words, "--max-latency-ms", "5000") as health:
        seen, killed = asyncio.run(run())
        assert killed == health["process"]
        assert cameras.health(port)["process"] != killed
    assert all(one.connections >= 2 for one in seen), "every camera came back"
    assert all({row[0] for row in one.poses} >= {1, one.connections} for one in seen)
    judged = cameras.judge(model, WINDOW, seen)
    assert judged.out_of_order == judged.wrong == sum(one.strangers for one in seen) == 0
    assert judged.compared > CAMERAS * 10
