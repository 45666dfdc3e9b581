"""What is known of an engine, as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pmexport.trt.gpu_code import kernels_for
from posemamba.text import plural, size_text, table

_WITNESSES = {
    "onnx": "the ONNX model's types",
    "network": "the types of the network TensorRT parsed; it is strongly typed, the builder keeps "
    "to them",
    "engine": "the types of the network TensorRT parsed, and the opened engine",
}


def engine_lines(sidecar: Mapping[str, Any]) -> list[str]:
    """The engine, its origin, its sizes and its precision; the last line is the verdict."""
    engine, onnx, plugin = sidecar["engine"], sidecar["onnx"], sidecar["plugin"]
    trt, precision, model = sidecar["tensorrt"], sidecar["precision"], sidecar["model"]
    return [
        f"Engine: {engine['file']} ({size_text(engine['bytes'])}), {trt['flavour']} "
        f"{trt['version']}, for {', '.join(sidecar['targets'])}",
        f"  from {onnx['file']} ({size_text(onnx['bytes'])}; the plan is "
        f"{engine['bytes'] / onnx['bytes']:.2f} times that), {model['variant']}, scan order "
        f"{model['scan_order']}",
        f"  graph: {_graph(sidecar)}",
        f"  plugin: {plugin['file']}, version {plugin['version']}, "
        f"{plural(precision['plugin_layers'], 'plugin layer')}, "
        f"{kernels_for(plugin['gpu_code'])}",
        *(f"  {kind}: {_tensors(sidecar[kind])}" for kind in ("inputs", "outputs")),
        *(
            f"  profile {index}: batch {_range(one['batch'])}, frames {_range(one['frames'])}"
            for index, one in enumerate(sidecar["profiles"])
        ),
        *precision_lines(precision),
    ]


def _graph(sidecar: Mapping[str, Any]) -> str:
    """Which nodes TensorRT was given; sidecars of older tools do not say, and knew one kind."""
    graph = sidecar.get("graph", {"form": "as exported", "reason": ""})
    return f"{graph['form']} ({graph['reason']})" if graph["reason"] else str(graph["form"])


def precision_lines(precision: Mapping[str, Any]) -> list[str]:
    """The table of layers, the shares, the reasons and the verdict."""
    rows = [
        (
            row["group"],
            row["dtype"],
            str(row["layers"]),
            _gmac(row["macs"]),
            _gmac(row["macs_fp16"]),
        )
        for row in precision["groups"]
    ]
    sizes, engine = precision["sizes"], precision["engine"]
    opened = (
        f"the engine was opened: {engine['fp16']} of its {plural(engine['layers'], 'layer')}, "
        "fused ones, work on fp16"
        if engine["opened"]
        else f"the engine itself was not opened ({engine['why']})"
    )
    return [
        table(("layers", "gives", "number", "GMAC", "in fp16"), rows),
        f"  fp16: {100 * precision['layer_share_fp16']:.1f} % of "
        f"{plural(precision['layers'], 'layer')}, {100 * precision['mac_share_fp16']:.1f} % of "
        f"{precision['gmac']:.2f} GMAC (batch "
        f"{sizes['batch']}, {plural(sizes['frames'], 'frame')})",
        *_reasons(precision["groups"]),
        f"  known from: {_WITNESSES[precision['witness']]}; {opened}",
        *(f"  {problem}" for problem in precision["problems"][:5]),
        *_more(precision["problems"]),
        f"Precision: {precision['asked']} asked, {precision['got']} got",
    ]


def _reasons(groups: list[Mapping[str, Any]]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for row in groups:
        if row["reason"]:
            by_reason.setdefault(row["reason"], []).append(row["group"].split(" ")[0])
    return [
        f"  kept fp32, {reason}: {', '.join(dict.fromkeys(names))}"
        for reason, names in by_reason.items()
    ]


def _more(problems: list[str]) -> list[str]:
    return [f"  and {len(problems) - 5} more like it"] if len(problems) > 5 else []


def _gmac(macs: int) -> str:
    return f"{macs / 1e9:.3f}" if macs else "-"


def _tensors(tensors: list[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{one['name']} {one['dtype']} ({', '.join(str(size) for size in one['shape'])})"
        for one in tensors
    )


def _range(sizes: Mapping[str, int]) -> str:
    return ":".join(str(sizes[key]) for key in ("min", "opt", "max"))
