"""An engine of a network of one's own, from the ONNX model of ``pmexport export-module``.

Its free sizes make one profile: from 1 to their largest value, tuned for the shape it was exported
with. The sidecar tells the origin and the sizes; what the numbers mean only the owner knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmexport.engine.sidecar import sidecar_path
from pmexport.format.environment import timestamp, tool_version
from pmexport.format.file import ModelFile
from pmexport.format.files import file_sha256
from pmexport.format.names import OP_DOMAIN
from pmexport.libraries import tensorrt_plugin_library
from pmexport.trt.backends import Backend, choose_backend
from pmexport.trt.build import OnEvent, Outcome, probe, run_worker, worker_spec
from pmexport.trt.checks import check_disk, check_options, check_output, check_plugin
from pmexport.trt.request import TrtRequest
from pmexport.trt.source import plugin_version
from pmexport.trt.targets import parse_targets
from posemamba.errors import InputError
from posemamba.files.output import replacing
from posemamba.text import json_text, plural, size_text

MODULE_SCHEMA = 1
Sizes = dict[str, dict[str, list[int]]]


def build_module_engine(request: TrtRequest, source: ModelFile, on_event: OnEvent) -> list[str]:
    """Write an engine and its sidecar, each whole or not at all.

    Returns:
        lines for people.

    Raises:
        InputError: an option that only a PoseMamba has a use for, or TensorRT fails.
    """
    _refuse_idle_options(request, source)
    targets = parse_targets(request.targets)
    backend, targets = choose_backend(request.backend, targets)
    check_options(request.options, backend, targets)
    plugin = Path(tensorrt_plugin_library())
    output = request.output or Path(f"{source.path.stem}.engine")
    check_output(output, request.inputs, request.options.timing_cache)
    check_disk(output.absolute().parent, source.size_bytes)
    probed = probe(backend, str(plugin))
    check_plugin(probed, plugin, source)
    sizes = profile_of(source)
    with replacing(sidecar_path(output)) as sidecar_file, replacing(output) as plan:
        spec = worker_spec(
            backend, plugin, source.path, plan.absolute(), targets, request.options, [sizes]
        )
        outcome = run_worker(backend, spec, on_event)
        network = outcome.network
        if network is None or network["plugin_layers"] != len(source.own_nodes):
            raise InputError(
                f"{backend.name} did not make a plugin layer of each of "
                f"{plural(len(source.own_nodes), 'scan node')}: the plugin library does not fit "
                "the model"
            )
        sidecar = _sidecar(source, backend, outcome, plugin, targets, sizes)
        sidecar["engine"] = {
            "file": output.name, "sha256": file_sha256(plan), "bytes": plan.stat().st_size,
        }  # fmt: skip
        sidecar_file.write_text(json_text(sidecar) + "\n", encoding="utf-8")
    return [
        f"Engine: {output} ({size_text(output.stat().st_size)}), {backend.name} "
        f"{outcome.version}, for {', '.join(targets)}, "
        f"{plural(network['plugin_layers'], 'plugin layer')}, {outcome.seconds:.1f} s",
        *(
            f"  {name}: {' to '.join('x'.join(map(str, shapes[end])) for end in ('min', 'max'))}"
            for name, shapes in sizes.items()
        ),
    ]


def profile_of(source: ModelFile) -> Sizes:
    """By input, the ``min``, ``opt`` and ``max`` shapes."""
    found: Sizes = {}
    for name, said in source.metadata["inputs"].items():
        opt = [int(size) for size in said["shape"]]
        low, high = list(opt), list(opt)
        for axis, size in said["dynamic"].items():
            low[int(axis)] = 1
            high[int(axis)] = int(size["most"] or opt[int(axis)])
        found[name] = {"min": low, "opt": opt, "max": high}
    return found


def _refuse_idle_options(request: TrtRequest, source: ModelFile) -> None:
    given = {
        "--batch": request.batch or None,
        "--frames": request.frames or None,
        f"--precision {request.precision}": request.precision not in (None, "fp32") or None,
        "--tf32": request.options.tf32 or None,
    }
    source.refuse_options(
        given, " in fp32: its sizes are those of 'pmexport export-module --dynamic'"
    )
    if not source.own_nodes:
        raise InputError(
            f"'{source.path}' was exported with --ops standard, whose scan takes one step at a "
            "time: it is for checking; export with --ops generic for TensorRT"
        )


def _sidecar(
    source: ModelFile,
    backend: Backend,
    outcome: Outcome,
    plugin: Path,
    targets: tuple[str, ...],
    sizes: Sizes,
) -> dict[str, Any]:
    network: Mapping[str, Any] = outcome.network or {}
    return {
        "module_schema_version": MODULE_SCHEMA,
        "module": source.module,
        "created": timestamp(),
        "tool": {"name": "pmexport", "version": tool_version()},
        "onnx": {"file": source.path.name, "sha256": source.whole_sha256},
        "plugin": {
            "file": plugin.name,
            "sha256": file_sha256(plugin),
            "version": plugin_version(source),
            "namespace": OP_DOMAIN,
        },
        "tensorrt": {"flavour": backend.name, "version": outcome.version},
        "targets": list(targets),
        "inputs": network["inputs"],
        "outputs": network["outputs"],
        "profiles": [sizes],
    }
