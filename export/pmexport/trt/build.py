"""Drive the worker: start it, follow it, stop it, and make its failures one line."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pmexport.engine.gpu import current_architecture
from pmexport.trt.backends import Backend, library_folder, unversioned_links
from pmexport.trt.options import HARDWARE_LEVELS, Options
from posemamba.errors import InputError
from posemamba.text import one_line
from posemamba_runtime.file_names import temporary_name

_PATIENCE_SECONDS = 3.0
"""How long a cancelled worker may take to reach its next step; then it is killed. TensorRT-RTX was
seen to go 10 s without asking. Nothing is left of it either way: its plan has a temporary name."""

#: Called with every event of the worker.
OnEvent = Callable[[Mapping[str, Any]], None]

IDLE: dict[str, Any] = {"plugin": None, "onnx": None, "plan": None, "timing_cache": None}


@dataclass
class Outcome:
    """What a worker reported.

    Attributes:
        version: of TensorRT.
        creators: the plugin's, ``name`` and ``version`` each.
        network: as :func:`pmexport.trt.worker.describe`; None if nothing was parsed.
        size_bytes: of the plan.
        engine: as :func:`pmexport.trt.worker.inspect_engine`; None if it was not tried.
        seconds: wall-clock seconds, and ``cpu_seconds``: user and system time of the worker.
    """

    version: str = "unknown"
    creators: list[dict[str, str]] = field(default_factory=list)
    network: dict[str, Any] | None = None
    size_bytes: int = 0
    engine: dict[str, Any] | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    cancelled: bool = False
    failure: str | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Remember an event."""
        kind = event["event"]
        fields = {key: value for key, value in event.items() if key != "event"}
        if kind == "version":
            self.version = fields["version"]
        elif kind == "plugin":
            self.creators = fields["creators"]
        elif kind == "network":
            self.network = fields
        elif kind == "plan":
            self.size_bytes = fields["size_bytes"]
        elif kind == "engine":
            self.engine = fields
        elif kind == "cancelled":
            self.cancelled = True
        elif kind == "failure":
            self.failure = fields["text"]


def run_worker(
    backend: Backend, spec: Mapping[str, Any], on_event: OnEvent | None = None
) -> Outcome:
    """Run a request in a process of its own.

    Args:
        spec: see :func:`pmexport.trt.worker.run`.
        on_event: told of every event, for progress.

    Raises:
        InputError: TensorRT refused it, failed, or ended its process.
        KeyboardInterrupt: the user interrupted; the worker has ended by then.
    """
    outcome = Outcome()
    start, cpu_start = time.perf_counter(), _children_cpu()
    with _environment(backend) as environment, tempfile.TemporaryFile() as noise:
        # A session of its own: Ctrl-C reaches us, and we end the worker in order.
        with subprocess.Popen(
            [sys.executable, "-m", "pmexport.trt.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            env=environment,
            start_new_session=True,
        ) as process:
            try:
                _follow(process, {**spec, "module": backend.module}, outcome, on_event)
                code = process.wait()
            except BaseException:
                _stop(process)
                raise
        outcome.seconds = time.perf_counter() - start
        outcome.cpu_seconds = _children_cpu() - cpu_start
        if outcome.failure is not None:
            raise InputError(f"{backend.name}: {_short(outcome.failure)}")
        if outcome.cancelled:
            raise InputError(f"{backend.name}: its process was told to stop: run it again")
        if code != 0:
            raise InputError(f"{backend.name}: {_ending(code)}{_last_words(noise)}")
    return outcome


def probe(backend: Backend, plugin: str | None) -> Outcome:
    """Version of an installed TensorRT and the creators of a plugin library loaded into it.

    Raises:
        InputError: as :func:`run_worker`.
    """
    return run_worker(backend, IDLE | {"plugin": plugin})


def _follow(
    process: subprocess.Popen[bytes],
    spec: Mapping[str, Any],
    outcome: Outcome,
    on_event: OnEvent | None,
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):  # it ended at once; its exit code says more
        process.stdin.write(json.dumps(spec).encode())
        process.stdin.close()
    for line in process.stdout:
        event = json.loads(line)
        outcome.take(event)
        if on_event is not None:
            on_event(event)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the worker to stop at its next step, and insist if it does not."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()


@contextmanager
def _environment(backend: Backend) -> Iterator[dict[str, str]]:
    """The worker's environment; TensorRT-RTX gets a private folder of library names it lacks."""
    environment = dict(os.environ)
    folder = library_folder(backend)
    links = unversioned_links(folder) if folder is not None else {}
    if not links:
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="pmexport-trt-") as private:
        for name, library in links.items():
            Path(private, name).symlink_to(library)
        paths = [private, environment.get("LD_LIBRARY_PATH", "")]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(path for path in paths if path)
        yield environment


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= 400 else f"{line[:397]}..."


def _ending(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    with suppress(ValueError):
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process was ended by signal {-code}"


def _last_words(noise: IO[bytes]) -> str:
    noise.seek(0)
    lines = [line for line in noise.read().decode(errors="replace").splitlines() if line.strip()]
    return f" ({_short(lines[-1])})" if lines else ""


def worker_spec(
    backend: Backend,
    plugin: Path,
    onnx: Path,
    plan: Path,
    targets: Sequence[str],
    options: Options,
    profiles: Sequence[Mapping[str, Mapping[str, Sequence[int]]]],
) -> dict[str, Any]:
    """What the worker is told to build one engine.

    Args:
        plan: where it writes.
        profiles: by input, the ``min``, ``opt`` and ``max`` shapes.
    """
    timing = None if options.timing_cache is None else options.timing_cache.absolute()
    level = options.hardware_compat
    return {
        "plugin": str(plugin.absolute()),
        "onnx": str(onnx.absolute()),
        "plan": str(plan),
        "profiles": list(profiles),
        "workspace": options.workspace,
        "optimization_level": options.optimization_level,
        "hardware_compat": None if level is None else HARDWARE_LEVELS[level][0],
        "version_compat": options.version_compat,
        "strip_weights": options.strip_weights,
        "tf32": options.tf32,
        "cross_builds": backend.cross_builds,
        "targets": list(targets),
        "timing_cache": None if timing is None else str(timing),
        "timing_cache_out": None
        if timing is None
        else str(timing.with_name(temporary_name(timing.name))),
        "open_engine": current_architecture() in targets and not options.strip_weights,
    }
