"""What the doctor says of TensorRT: its flavours, the plugin library, what can be built here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pmexport.engine.gpu import current_architecture
from pmexport.libraries import tensorrt_plugin_library
from pmexport.trt.backends import BACKENDS, Backend, installed_version, library_folder
from pmexport.trt.backends import unversioned_links as links_of
from pmexport.trt.build import probe
from pmexport.trt.gpu_code import gpu_code, kernels_for
from posemamba.errors import InputError

PLUGIN = "plugin"


def flavours() -> dict[str, dict[str, Any]]:
    """By name: both flavours, and ``plugin``.

    An installed flavour is started in a process of its own and given the plugin library, which
    shows whether both work together; that takes about a second.
    """
    plugin = _plugin()
    path = plugin["path"] if plugin["found"] else None
    return {
        **{name: _flavour(backend, path) for name, backend in BACKENDS.items()},
        PLUGIN: plugin,
    }


def _plugin() -> dict[str, Any]:
    try:
        path = Path(tensorrt_plugin_library())
    except InputError as error:
        return {"path": None, "found": False, "problem": str(error), "gpu_code": None}
    code = gpu_code(path)
    return {
        "path": str(path),
        "found": True,
        "problem": None,
        "gpu_code": None if code is None else code.names(),
    }


def _flavour(backend: Backend, plugin: str | None) -> dict[str, Any]:
    version = installed_version(backend)
    here = current_architecture()
    targets = list(backend.targets) if backend.cross_builds else [here] if here else []
    found: dict[str, Any] = {
        "version": version,
        "targets": targets if version else [],
        "plugin_loads": None,
        "problem": None,
        "library_links": [],
    }
    if version is None:
        return found
    folder = library_folder(backend)
    found["library_links"] = list(links_of(folder)) if folder is not None else []
    try:
        outcome = probe(backend, plugin)
    except InputError as error:
        return found | {"plugin_loads": False if plugin else None, "problem": str(error)}
    return found | {"version": outcome.version, "plugin_loads": bool(plugin) or None}


def flavour_lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The same for people."""
    lines = []
    for name, backend in BACKENDS.items():
        row = found[name]
        if row["version"] is None:
            lines.append(f"  {name}: not installed ({backend.install})")
            continue
        targets = ", ".join(row["targets"]) or "nothing here, it needs its GPU"
        lines.append(f"  {name}: {row['version']}, builds for {targets}{_state(row)}")
        if row["library_links"]:
            lines.append(
                f"    its package lacks {', '.join(row['library_links'])}: links in a temporary "
                "folder stand in while an engine is built"
            )
    plugin = found[PLUGIN]
    lines.append(
        f"  TensorRT plugin: {plugin['path']}, {kernels_for(plugin['gpu_code'])}"
        if plugin["found"]
        else f"  TensorRT plugin: {plugin['problem']}"
    )
    return lines


def _state(row: Mapping[str, Any]) -> str:
    if row["problem"]:
        return f"; does not work: {row['problem']}"
    return "; the plugin loads" if row["plugin_loads"] else ""
