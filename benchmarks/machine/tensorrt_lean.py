"""TensorRT's lean runtime on a GPU, as far as it goes without an engine; nothing is timed.

Each step prints one line of JSON: ``step``, ``ok`` and what came of it. A step runs in a process of
its own, so that one that ends its process is told too. With an engine of ``pmexport trt
--version-compat`` given, it is opened and run as well.

    python -m benchmarks.machine.tensorrt_lean --site FOLDER [--plugin LIBRARY] [E.engine]

``--site`` is where ``pip install --no-deps --target FOLDER tensorrt-lean-cu13-libs
tensorrt-lean-cu13-bindings cuda-bindings cuda-pathfinder`` put its packages. ``gpu_trt.sh lean``
does all of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE = "tensorrt_lean_bindings"
ROOT = Path(__file__).resolve().parents[2]


def gpu(_: list[str]) -> dict[str, Any]:
    from pmexport.engine.gpu import current_architecture, current_name

    return {"ok": current_architecture() is not None, "gpu": current_name(),
            "architecture": current_architecture()}  # fmt: skip


def imported(_: list[str]) -> dict[str, Any]:
    from pmexport.engine.module import load_module

    module = load_module(MODULE)
    return {"ok": module.lean, "version": module.version, "file": str(module.trt.__file__)}


def plugin(_: list[str]) -> dict[str, Any]:
    from pmexport.engine.module import load_module
    from pmexport.format.operators import OPERATORS
    from pmexport.libraries import tensorrt_plugin_library

    library = tensorrt_plugin_library()
    creators = load_module(MODULE).plugins(library)
    names = {creator["name"] for creator in creators}
    return {"ok": names == set(OPERATORS), "creators": creators}


def memory(_: list[str]) -> dict[str, Any]:
    """A copy to the device and back, and the same recorded as a CUDA graph."""
    import numpy as np

    from pmexport.runtimes.cuda_memory import open_memory

    device = open_memory(cuda_graph=True)
    there, back = np.arange(512, dtype=np.float32), np.zeros(512, np.float32)
    address = device.allocate(there.nbytes)

    def work() -> None:
        device.upload(address, there)
        device.download(back, address)

    work()
    device.synchronize()
    ok, graph_ok = bool(np.array_equal(there, back)), None
    if device.records:
        replay = device.record(work)
        there += 1
        replay()
        device.synchronize()
        graph_ok = bool(np.array_equal(there, back))
    return {"ok": ok and graph_ok is not False, "through": device.name, "graph": graph_ok}


def broken(given: list[str]) -> dict[str, Any]:
    """A plan of nothing, given to TensorRT itself: it must refuse it and go on."""
    from pmexport.engine.module import load_module

    module = load_module(MODULE)
    memory(given)  # a CUDA context, without which TensorRT's runtime is a null pointer
    runtime = module.trt.Runtime(module.log.native)
    module.log.begin()
    engine = runtime.deserialize_cuda_engine(b"ftrt" + bytes(4096))
    return {"ok": engine is None, "said": module.log.first}


def engine(given: list[str]) -> dict[str, Any]:
    """An engine through the runtime of ``check`` and ``bench``."""
    import numpy as np

    from pmexport.engine.file import open_engine
    from pmexport.runtimes.tensorrt import TensorRt
    from posemamba.errors import InputError

    if not given:
        return {"ok": None, "why": "no engine given"}
    file = open_engine(Path(given[0]))
    first = file.profiles[0]
    shape = (first["batch"]["opt"], first["frames"]["opt"], 17, file.channels)
    keypoints = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    try:
        poses = TensorRt().load(file)(keypoints)
    except InputError as error:
        return {"ok": False, "why": str(error)}
    return {"ok": bool(np.isfinite(poses).all()), "shape": list(poses.shape)}


STEPS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    step.__name__: step for step in (gpu, imported, plugin, memory, broken, engine)
}


def main() -> int:
    """Run every step in a process of its own; 0 where none failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, help="folder of the lean runtime's packages")
    parser.add_argument("--plugin", type=Path, help="plugin library [default: the installed one]")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("engine", nargs="*", help="version-compatible engine")
    given = parser.parse_args()
    if given.step:
        try:
            told = STEPS[given.step](given.engine)
        except Exception as error:  # whatever it is, it is this step's result
            told = {"ok": False, "why": f"{type(error).__name__}: {error}"}
        print(json.dumps({"step": given.step, **told}), flush=True)  # noqa: T201
        return 0 if told["ok"] is not False else 1
    environment = dict(os.environ)
    paths = [given.site, ROOT / "export", ROOT / "deploy" / "python", ROOT]
    told_paths = [str(path) for path in paths if path is not None]
    environment["PYTHONPATH"] = os.pathsep.join([*told_paths, environment.get("PYTHONPATH", "")])
    if given.plugin is not None:
        environment["POSEMAMBA_TRT_LIB"] = str(given.plugin)
    failed = 0
    for name in STEPS:
        command = [sys.executable, str(Path(__file__)), "--step", name, *given.engine]
        done = subprocess.run(command, env=environment, check=False)
        if done.returncode < 0:
            why = f"its process was ended by signal {-done.returncode}"
            print(json.dumps({"step": name, "ok": False, "why": why}), flush=True)  # noqa: T201
        failed += done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
