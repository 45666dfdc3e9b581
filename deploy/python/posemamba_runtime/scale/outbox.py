"""Messages from the lifting thread to a client, bounded: nobody's slowness fills the memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from starlette.websockets import WebSocket

_MOST = 256
_REMEMBERED = 4096  # people of whom a watcher saw a pose
_WATCHED_EVERY_S = 1 / 15  # a person sees no more


class Outbox:
    """One connection's; made on its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._texts: asyncio.Queue[str] = asyncio.Queue()
        self.full = asyncio.Event()

    def put(self, messages: Sequence[dict[str, Any]]) -> None:
        """Called on any thread; in order."""
        texts = [json.dumps(message) for message in messages]
        try:
            self._loop.call_soon_threadsafe(self._accept, texts)
        except RuntimeError:
            return  # the loop has ended, and the client with it

    def _accept(self, texts: list[str]) -> None:
        if self._texts.qsize() + len(texts) > _MOST:
            self.full.set()
            return
        for text in texts:
            self._texts.put_nowait(text)

    async def send_to(self, socket: WebSocket) -> None:
        """Hand everything to the client until the task is cancelled."""
        while True:
            await socket.send_text(await self._texts.get())


class Watcher:
    """Somebody who looks at some cameras; what they cannot take they miss."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.cameras: frozenset[str] = frozenset()
        self._last: dict[tuple[str, int], float] = {}

    def show(self, message: dict[str, Any]) -> None:
        """A pose, if it is of a chosen camera and not too soon after the last."""
        if message["camera"] not in self.cameras or "joints" not in message:
            return
        key, now = (message["camera"], message["person"]), time.monotonic()
        if now - self._last.get(key, 0.0) < _WATCHED_EVERY_S:
            return
        if len(self._last) >= _REMEMBERED:  # people come and go for days
            self._last.clear()
        self._last[key] = now
        self.outbox.put([message])

    def choose(self, cameras: frozenset[str]) -> None:
        """Look at these from now on."""
        self.cameras = cameras
        self._last.clear()
