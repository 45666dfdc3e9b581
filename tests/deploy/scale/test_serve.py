"""``serve`` on Ray: cameras whose replica is killed come back; nothing is mixed or out of order.

The same scenario runs with 64 cameras and for minutes in `benchmarks/scale/run.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

from benchmarks.scale import cameras

CAMERAS, RATE, WINDOW = 6, 10.0, 9
MOST_S = 240.0
"""A machine with other work takes longer to start a replica and to lift: events count, no times."""
POSES = 3 * WINDOW
"""Of a camera and a connection: past the two windows that `judge` passes over at its start."""


def enough(one: cameras.Seen) -> bool:
    """Whether a camera has seen poses of the connection that it has now."""
    return sum(row[0] == one.connections for row in one.poses) >= POSES


def test_a_replica_that_is_killed_is_replaced(model: Path) -> None:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    seen = [cameras.Seen() for _ in range(CAMERAS)]

    async def until_seen(connections: list[int]) -> None:
        while not all(
            one.connections >= least and enough(one)
            for one, least in zip(seen, connections, strict=True)
        ):
            await asyncio.sleep(0.2)

    async def run() -> int:
        running = asyncio.ensure_future(cameras.run_cameras(port, seen, RATE, MOST_S))
        await asyncio.wait_for(until_seen([1] * CAMERAS), MOST_S / 2)
        back = [one.connections + 1 for one in seen]
        killed = await cameras.killing(port, 0.0)
        await asyncio.wait_for(until_seen(back), MOST_S / 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return killed

    words = ("--cameras", str(CAMERAS), "--threads", "1", "--window", str(WINDOW), "--hop", "2")
    with cameras.server(model, port, *words, "--max-latency-ms", "5000") as health:
        killed = asyncio.run(run())
        assert killed == health["process"]
        assert cameras.health(port)["process"] != killed
    assert all(one.connections >= 2 for one in seen), "every camera came back"
    assert all({row[0] for row in one.poses} >= {1, one.connections} for one in seen)
    judged = cameras.judge(model, WINDOW, seen)
    assert judged.out_of_order == judged.wrong == sum(one.strangers for one in seen) == 0
    assert judged.compared > CAMERAS * 10
