"""A server without Ray: who may talk to it, what it says, clips, numbers, and its page.

``POSEMAMBA_SCREENSHOTS`` names a folder that gets the page's picture, to be looked at.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from benchmarks.scale.archive import make_archive
from benchmarks.scale.cameras import PERIOD, SIZE, movement
from posemamba_runtime.cli import main
from posemamba_runtime.errors import BadArgument
from posemamba_runtime.scale.options import ServeOptions
from posemamba_runtime.scale.server import Server, listening

TOKEN = "a-token-of-more-than-sixteen-letters"
Q = f"size={SIZE[0]}x{SIZE[1]}"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(model: Path, **changed: Any) -> Iterator[ServeOptions]:
    options = ServeOptions(
        model=str(model), backend="onnxruntime-cpu", threads=1, tf32=False,
        host="127.0.0.1", port=free_port(), token="", cameras=4, rate=30.0, queue=500,
        max_latency_ms=60_000, window=9, hop=1,
        size=None, layout=None, height_m=0.0,
    )  # fmt: skip
    options = dataclasses.replace(options, **changed)
    server = Server(options)
    try:
        yield options
    finally:
        server.close()


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[ServeOptions]:
    with serving(model) as options:
        yield options


def camera(options: ServeOptions, name: str, query: str = Q, **more: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{options.port}/cameras/{name}?{query}", **more)


def frame(number: int, who: int = 0) -> str:
    keypoints = movement(who)[number % PERIOD].ravel().tolist()
    return json.dumps({"frame": number, "people": [{"id": 0, "keypoints": keypoints}]})


def flood(client: ClientConnection, end: float) -> None:
    for number in itertools.count():
        client.send(frame(number))
        assert time.monotonic() < end, "it was never let go"


def ask(options: ServeOptions, path: str, body: bytes | None = None,
        **headers: str) -> tuple[int, bytes]:  # fmt: skip
    request = urllib.request.Request(f"http://127.0.0.1:{options.port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_frames_in_poses_out(served: ServeOptions) -> None:
    with camera(served, "door") as client:
        for number in range(12):
            client.send(frame(number))
        got = [json.loads(client.recv(30)) for _ in range(12)]
        assert [message["frame"] for message in got] == list(range(12))
        assert {message["camera"] for message in got} == {"door"}
        assert json.loads(ask(served, "/health")[1])["cameras"] == ["door"]
    with camera(served, "door") as client:  # the name is free again, the stream a new one
        client.send(frame(0))
        assert json.loads(client.recv(30))["frame"] == 0


def test_what_is_wrong_is_said_and_the_camera_goes_on(served: ServeOptions) -> None:
    with camera(served, "door") as client:
        client.send("{")
        assert "is not JSON" in json.loads(client.recv(30))["refused"]
        client.send(b"\xff\xfe")
        assert "is not JSON" in json.loads(client.recv(30))["refused"]
        client.send('{"frame": 1, "people": [], "people": []}')
        assert "has a key twice" in json.loads(client.recv(30))["refused"]
        client.send('{"frame": 1, "people": 3}')
        assert json.loads(client.recv(30))["refused"]
        for number in ("NaN", '"x"', "[[]]", "true"):
            client.send(f'{{"frame": {number}, "people": 3}}')
            assert json.loads(client.recv(30), parse_constant=pytest.fail)["frame"] is None
        client.send(frame(2))
        assert json.loads(client.recv(30))["frame"] == 2


@pytest.mark.parametrize(
    ("name", "query", "says"),
    [("door", "size=9", "as 1920x1080"), ("door", "rate=0", "frames a second"),
     ("x" * 65, Q, "1 to 64"), ("%07", Q, "printable")],
)  # fmt: skip
def test_cameras_that_are_turned_away(
    served: ServeOptions, name: str, query: str, says: str
) -> None:
    with camera(served, name, query) as client:
        assert says in json.loads(client.recv(30))["refused"]


def test_no_more_cameras_than_told_and_one_of_a_name(served: ServeOptions) -> None:
    with camera(served, "a"), camera(served, "b"), camera(served, "c"), camera(served, "d") as last:
        last.send(frame(0))
        last.recv(30)  # all four are in
        with camera(served, "e") as fifth:
            assert "4 cameras connected" in json.loads(fifth.recv(30))["refused"]
        with camera(served, "d") as again:
            assert "another connection has taken" in json.loads(last.recv(30))["refused"]
            again.send(frame(0))
            assert json.loads(again.recv(30))["frame"] == 0
            last.send(frame(1))
            assert "another connection has taken" in json.loads(last.recv(30))["refused"]


def test_who_comes_from_elsewhere_stays_out(served: ServeOptions) -> None:
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"},
                    {"Host": "[::1"}, {"Origin": "http://[::1"}):  # fmt: skip
        status, body = ask(served, "/metrics", **headers)
        assert status == 401, headers
        assert json.loads(body)["refused"]
    with pytest.raises(InvalidStatus, match="401"):
        camera(served, "door", origin="http://evil.example")


def test_a_token_is_asked_for_everywhere(model: Path) -> None:
    with serving(model, token=TOKEN) as options:
        for path in ("/", "/metrics", "/metrics?token=wrong"):
            assert ask(options, path)[0] == 401, path
        assert ask(options, "/clips", b"[]")[0] == 401
        assert ask(options, "/health")[0] == 200, "balancers ask without one"
        assert ask(options, f"/metrics?token={TOKEN}")[0] == 200
        assert ask(options, "/metrics", Authorization=f"Bearer {TOKEN}")[0] == 200
        with pytest.raises(InvalidStatus, match="401"):
            camera(options, "door")
        with camera(options, "door", f"{Q}&token={TOKEN}") as client:
            client.send(frame(0))
            assert json.loads(client.recv(30))["frame"] == 0


def test_a_clip_is_lifted_as_lift_does(
    served: ServeOptions, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_archive(Path(), 1, 20)
    content = Path("day0/r00000.json").read_bytes()
    status, body = ask(served, f"/clips?{Q}&rate=30", content)
    assert status == 200, body
    words = [str(model), "day0/r00000.json", "-o", "o.json", "--size", "1280x720", "--rate", "30"]
    assert main(["lift", *words]) == 0
    one, other = json.loads(body), json.loads(Path("o.json").read_text("utf-8"))
    for told in (one, other):
        del told["source"], told["model"]
    assert one == other

    status, body = ask(served, f"/clips?{Q}", b"[{")
    assert (status, json.loads(body)["refused"][:17]) == (422, "clip: breaks off ")
    assert ask(served, "/clips?size=3", content)[0] == 422


def test_a_reader_that_does_not_read_is_let_go(model: Path) -> None:
    """Poses wait for their client up to a limit; the memory of the others is not its to fill."""
    with (
        serving(model, queue=4000) as options,
        camera(options, "slow", max_queue=1) as client,
        pytest.raises(ConnectionClosed),
    ):
        flood(client, time.monotonic() + 60)


def test_prometheus_reads_the_numbers(served: ServeOptions) -> None:
    lines = ask(served, "/metrics")[1].decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(values["posemamba_frames_total"]) >= float(values["posemamba_poses_total"]) > 0
    assert "process_resident_memory_bytes" in values


def test_the_page_shows_chosen_cameras(model: Path, tmp_path: Path) -> None:
    names = [f"cam{number}" for number in range(6)]
    with chromium() as page, serving(model, token=TOKEN, cameras=6) as options:
        query = f"{Q}&token={TOKEN}"
        clients = [camera(options, name, query) for name in names]
        page.screen(1280, 800)
        page.send("Page.navigate", url=f"http://127.0.0.1:{options.port}/?token={TOKEN}")
        page.wait_for("window.live && window.live.state().length === 6")
        shown = "window.live.state().filter(one => one.shown)"
        page.wait_for(f"{shown}.length === 4")
        page.evaluate(
            "[...document.querySelectorAll('#cameras input')].slice(3).forEach(box => box.click())"
        )
        page.wait_for(f"{shown}.map(one => one.name).join() === 'cam0,cam1,cam2,cam4,cam5'")
        for number in range(120):
            for who, client in enumerate(clients):
                client.send(frame(number, who))
            if page.evaluate(f"{shown}.every(one => one.count > 2)"):
                break
        page.wait_for(f"{shown}.every(one => one.count > 2)")
        assert page.evaluate("window.live.state()[3].count") == 0, "not chosen, not sent"
        picture = page.screenshot()
        if folder := os.environ.get("POSEMAMBA_SCREENSHOTS"):
            (Path(folder) / "live.png").write_bytes(picture)
        for client in clients:
            client.close()
        page.wait_for("window.live.state().length === 0")
        assert page.complaints == []
        assert len(page.requests) == 1, "the page itself"


def test_ports_and_addresses_that_are_refused() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(BadArgument, match=f"127.0.0.1:{port} cannot be listened to"):
            listening("127.0.0.1", port)
    with pytest.raises(BadArgument, match="cannot be listened to"):
        listening("no.such.host.invalid", 1)


WORDS = {
    "another machine": (["--host", "0.0.0.0"], "give --token-file"),
    "no token file": (["--host", "0.0.0.0", "--token-file", "none"], "cannot be read"),
    "a short token": (["--token-file", "short"], "16 plain characters"),
    "no port": (["--port", "70000"], "no port"),
    "a hop of 0": (["--hop", "0"], "whole number from 1"),
    "a latency of 0": (["--max-latency-ms", "0"], "not a latency"),
    "a misspelt option": (["--replica", "2"], "did you mean '--replicas'?"),
    "no model": (["--port", "9"], "no such model"),
    "no ONNX": ([], "is empty"),
}


@pytest.mark.parametrize("case", WORDS)
def test_words_that_are_refused(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.onnx").write_bytes(b"")
    Path("short").write_text("secret\n", encoding="utf-8")
    words, says = WORDS[case]
    assert main(["serve", "none" if case == "no model" else "m.onnx", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ")
    assert told.count("\n") == 1
    assert says in told
