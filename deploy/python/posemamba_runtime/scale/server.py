"""One replica's server: WebSockets and HTTP on a port, in a thread of its own.

Replicas on one machine listen on the same port; the system spreads connections over them, so a
camera stays with the replica it has reached. Messages reach the lifter without a proxy between.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from typing import Any

from posemamba_runtime.errors import BackendFailed, BadArgument
from posemamba_runtime.lifter import Lifter
from posemamba_runtime.scale.hub import Hub, Lifting, Limits
from posemamba_runtime.scale.metrics import Metrics
from posemamba_runtime.scale.options import ServeOptions
from posemamba_runtime.scale.pace import choose

_LARGEST_MESSAGE = 1 << 20
_RECEIVE_BYTES = 1 << 15
_READ_AHEAD = 4
"""Small buffers before the queue: a server that falls behind shall read no frames that are old."""

_START_S = 30.0


def listening(host: str, port: int) -> socket.socket:
    """A socket that others may share the port of.

    Raises:
        BadArgument: somebody else has it, or there is no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        opened.bind(address)
    except OSError as error:
        raise BadArgument(
            f"{host}:{port} cannot be listened to ({error.strerror}): choose another --host or "
            "--port"
        ) from None
    return opened


class Server:
    """A lifter, its hub, and the port they are reached on.

    Raises:
        Error: the model or the port cannot be opened.
    """

    def __init__(self, options: ServeOptions) -> None:
        import uvicorn

        from posemamba_runtime.scale.app import make_app

        self.metrics = Metrics()
        self._lifter = Lifter(
            options.model, options.backend, threads=options.threads, tf32=options.tf32
        )
        self.pace = choose(
            self._lifter,
            window=options.window,
            hop=options.hop,
            cameras=options.cameras,
            rate=options.rate,
            max_latency_ms=options.max_latency_ms,
        )
        self.hub = Hub(
            self._lifter,
            Limits(options.cameras, options.queue, self.pace.batch, options.max_latency_ms),
            Lifting(self.pace.window, self.pace.hop, options.height_m),
            self.metrics,
        )
        self._socket = listening(options.host, options.port)
        config = uvicorn.Config(
            make_app(options, self.hub, self.metrics, self.health),
            log_level="error",
            ws_max_size=_LARGEST_MESSAGE,
            ws="websockets",
            ws_max_queue=_READ_AHEAD,
            timeout_graceful_shutdown=2,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="serving", daemon=True)
        self._thread.start()
        end = time.monotonic() + _START_S
        while not self._uvicorn.started:  # then it listens
            if not self._thread.is_alive() or time.monotonic() > end:
                raise BackendFailed(f"no server on {options.host}:{options.port}")
            time.sleep(0.01)

    def _serve(self) -> None:
        asyncio.run(self._uvicorn.serve(sockets=[self._socket]))

    def health(self) -> dict[str, Any]:
        """What it does, in words and numbers.

        Raises:
            BackendFailed: it lifts no more, or listens no more.
        """
        if not self.hub.alive:
            raise BackendFailed(f"the lifting thread has ended: {self.hub.failure or 'a defect'}")
        if not self._thread.is_alive():
            raise BackendFailed("the server's thread has ended")
        return {
            "status": "ok",
            "backend": self._lifter.info.get("backend"),
            "window": self.pace.window,
            "hop": self.pace.hop,
            "window_ms": round(self.pace.window_ms, 3),
            "cameras": self.hub.cameras,
            "process": os.getpid(),
        }

    def close(self) -> None:
        """Stop listening, then lifting."""
        self._uvicorn.should_exit = True
        self._thread.join(_START_S)
        self.hub.end()
        self._lifter.close()
