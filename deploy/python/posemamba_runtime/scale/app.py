"""The addresses of a server: ``/cameras/NAME`` and ``/watch`` by WebSocket, the rest by HTTP."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from posemamba_runtime.errors import Error
from posemamba_runtime.keypoints.errors import InputError
from posemamba_runtime.keypoints.source import decoded
from posemamba_runtime.scale.access import why_refused
from posemamba_runtime.scale.clips import LARGEST_BYTES, Busy, Clips
from posemamba_runtime.scale.hub import TAKEN, Camera, Hub, refusal
from posemamba_runtime.scale.metrics import Metrics
from posemamba_runtime.scale.options import ServeOptions
from posemamba_runtime.scale.outbox import Outbox, Watcher
from posemamba_runtime.scale.page import live_page
from posemamba_runtime.text import printable

_POLICY = 1008  # of RFC 6455: refused for what the client did
_LIST_EVERY_S = 1.0
_LONGEST_NAME = 64
_PATIENCE_S = 2.0
_SIZE = re.compile(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})")
_FASTEST = 1000


Health = Callable[[], dict[str, Any]]
"""What the server does, in words and numbers; raises Error where it does it no more."""


def make_app(options: ServeOptions, hub: Hub, metrics: Metrics, health: Health) -> Starlette:
    """The application of one replica."""
    app = _App(options, hub, metrics, health)
    return Starlette(
        routes=[
            WebSocketRoute("/cameras/{name}", app.camera),
            WebSocketRoute("/watch", app.watch),
            Route("/", app.guarded(app.page)),
            Route("/clips", app.guarded(app.clip), methods=["POST"]),
            Route("/metrics", app.guarded(app.metrics)),
            Route("/health", app.health),
        ]
    )


class _App:
    def __init__(self, options: ServeOptions, hub: Hub, metrics: Metrics, health: Health) -> None:
        self._options = options
        self._hub = hub
        self._metrics = metrics
        self._health = health
        self._clips = Clips(options)
        self._watchers: set[Watcher] = set()

    def guarded(
        self, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """An address for those who may."""

        async def checked(request: Request) -> Response:
            why = why_refused(request, self._options.token)
            return _sentence(401, why) if why else await answer(request)

        return checked

    async def camera(self, socket: WebSocket) -> None:
        """Frames of one camera as text, poses and refusals back."""
        if not await self._let_in(socket):
            return
        name = socket.path_params["name"]
        try:
            outbox = Outbox()
            camera = self._open(name, socket, outbox)
        except Error as error:
            await _say_and_close(socket, refusal(printable(name, 80), None, str(error)))
            return
        try:
            async with _sending(outbox, socket):
                await self._read(camera, socket, outbox)
        finally:
            self._hub.close(camera)

    def _open(self, name: str, socket: WebSocket, outbox: Outbox) -> Camera:
        if not name.isprintable() or len(name) > _LONGEST_NAME:
            raise InputError(f"a camera's name has 1 to {_LONGEST_NAME} printable characters")
        size, rate = _shape(socket)

        def sink(messages: list[dict[str, Any]]) -> None:
            outbox.put(messages)
            for watcher in tuple(self._watchers):
                for message in messages:
                    watcher.show(message)

        return self._hub.open(name, self._options.intake(size, rate), sink)

    async def _read(self, camera: Camera, socket: WebSocket, outbox: Outbox) -> None:
        async for text in _texts(socket):
            if camera.closed or outbox.full.is_set():
                why = TAKEN if camera.closed else "its poses are not read: 256 wait"
                await _say_and_close(socket, refusal(camera.name, None, why))
                return
            try:
                document = decoded(text)
            except (ValueError, RecursionError):
                why = "is not JSON, or has a key twice: send one frame a message"
                outbox.put([refusal(camera.name, None, why)])
                continue
            why = self._hub.submit(camera, document)
            if why:
                frame = document.get("frame") if isinstance(document, dict) else None
                outbox.put([refusal(camera.name, frame, why)])

    async def watch(self, socket: WebSocket) -> None:
        """``{"watch": [names]}`` in; the cameras' names each second, and poses of those, out."""
        if not await self._let_in(socket):
            return
        watcher = Watcher(Outbox())
        self._watchers.add(watcher)
        try:
            async with _sending(watcher.outbox, socket):
                listing = asyncio.ensure_future(self._list(watcher))
                try:
                    async for text in _texts(socket):
                        watcher.choose(_chosen(text))
                finally:
                    listing.cancel()
        finally:
            self._watchers.discard(watcher)

    async def _list(self, watcher: Watcher) -> None:
        while True:
            watcher.outbox.put([{"cameras": self._hub.cameras}])
            await asyncio.sleep(_LIST_EVERY_S)

    async def _let_in(self, socket: WebSocket) -> bool:
        why = why_refused(socket, self._options.token)
        if why:
            await socket.send_denial_response(_sentence(401, why))
            return False
        await socket.accept()
        return True

    async def clip(self, request: Request) -> Response:
        """A recording's bytes in, poses out."""
        content = bytearray()
        async for block in request.stream():
            content += block
            if len(content) > LARGEST_BYTES:
                return _sentence(413, f"the clip is over {LARGEST_BYTES >> 20} MiB: cut it")
        try:
            size, rate = _shape(request)
            made = await run_in_threadpool(self._clips.lift, bytes(content), size, rate)
        except Busy as busy:
            return _sentence(503, str(busy))
        except Error as error:
            return _sentence(422, str(error))
        return Response(made, media_type="application/json")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(live_page())

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(self._metrics.text())

    async def health(self, request: Request) -> Response:
        try:
            return JSONResponse(self._health())
        except Error as error:
            return _sentence(503, str(error))


@asynccontextmanager
async def _sending(outbox: Outbox, socket: WebSocket) -> AsyncIterator[None]:
    task = asyncio.ensure_future(outbox.send_to(socket))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await task


async def _texts(socket: WebSocket) -> AsyncIterator[str]:
    """What a client sends until it leaves; bytes are text in UTF-8."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        yield message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")


async def _say_and_close(socket: WebSocket, message: dict[str, Any]) -> None:
    async def say() -> None:
        await socket.send_text(json.dumps(message))
        await socket.close(_POLICY, "refused: the last message says why")

    with suppress(WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
        await asyncio.wait_for(say(), _PATIENCE_S)  # who does not read is cut off


def _chosen(text: str) -> frozenset[str]:
    try:
        names = json.loads(text)["watch"]
        return frozenset(name for name in names if isinstance(name, str))
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()


def _shape(connection: HTTPConnection) -> tuple[tuple[int, int] | None, float | None]:
    """``?size=WxH&rate=N`` of an address.

    Raises:
        InputError: a value that is none.
    """
    query = connection.query_params
    size = _SIZE.fullmatch(query["size"]) if "size" in query else None
    if "size" in query and size is None:
        raise InputError(
            f"?size={printable(query['size'], 20)}: give width and height in pixels as 1920x1080"
        )
    rate = _number(query["rate"]) if "rate" in query else None
    if rate is not None and not 0 < rate <= _FASTEST:
        raise InputError(
            f"?rate={printable(query['rate'], 20)}: give frames a second, above 0 and up to "
            f"{_FASTEST}"
        )
    return size and (int(size[1]), int(size[2])), rate


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _sentence(status: int, why: str) -> JSONResponse:
    return JSONResponse({"refused": why}, status)
