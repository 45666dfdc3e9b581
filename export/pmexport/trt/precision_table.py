"""What share of an engine is fp16, layer by layer, and why the rest is not.

Three witnesses, the later the better: the ONNX model's types; the network TensorRT's parser made of
them, which is strongly typed, so the builder may not change them; and the engine itself, where a
GPU that it runs on is here to open it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pmexport.format.file import ModelFile, Node
from pmexport.format.macs import Shapes, concrete_shapes, half_macs, node_macs
from pmexport.format.names import OP_DOMAIN
from pmexport.format.operators import ADD_NORM, FUSED, FUSED_IN_TWO
from pmexport.passes.fp16_rules import RULES, SINGLE_SCOPES, Rule, is_kept
from posemamba.text import plural

HALF, SINGLE = "fp16", "fp32"
_BLOCK = re.compile(r"^(STE|TTE)blocks\.\d+\.")
_COUNTER = re.compile(r"_\d+$")
_FUSED = {*FUSED, *FUSED_IN_TWO}

#: Why a layer is fp32 in an fp16 model; ``docs/reference/onnx.md`` has the measurements.
REASONS: dict[str, str] = {
    "boundary": "first and last layer: a pixel or a pose rounded to 11 bits is off too far",
    "norm": "sums of squares",
    "residual": "residual stream: every block adds to it",
    "inside": "inside alone, with fp16 in and out: constants, state and sums",
    "sums": "; the scan's sums over its states may be fp16",
    "block": "inside alone: norms, taps, scan, sums and the residual stream; its products are fp16",
    "follows": "moves fp32 values, computes nothing",
    "rule": "kept fp32 by rule",
    "keep": "kept fp32 by the keep list",
}


@dataclass(frozen=True)
class Layer:
    """A node of the model that gives floating-point numbers; casts are left out.

    Attributes:
        name: of the ONNX node.
        group: what it is, with the block's number left out, such as ``op.in_proj.x MatMul``.
        dtype: of its output, by the best witness.
        macs: multiply-accumulates at the first profile's tuned-for size.
        macs_fp16: those of them computed in fp16.
        reason: why it is fp32 or computes in fp32; empty for fp16, None if nobody can say.
    """

    name: str
    group: str
    dtype: str
    macs: int
    macs_fp16: int
    reason: str | None


@dataclass(frozen=True)
class PrecisionTable:
    """All layers, and what was asked.

    Attributes:
        asked: ``fp16``, ``fp16-sums`` or ``fp32``.
        witness: ``onnx``, ``network`` or ``engine``.
        sizes: ``batch`` and ``frames`` the MACs are of.
        problems: what was asked and not got, one line each; none if all is well.
    """

    asked: str
    witness: str
    sizes: Mapping[str, int]
    layers: tuple[Layer, ...]
    problems: tuple[str, ...]

    @property
    def got(self) -> str:
        """What was asked if it was got, else ``mixed``."""
        return self.asked if not self.problems else "mixed"

    @property
    def layer_share(self) -> float:
        """Share of layers that give fp16."""
        return sum(layer.dtype == HALF for layer in self.layers) / len(self.layers)

    @property
    def mac_share(self) -> float:
        """Share of multiply-accumulates done in fp16; the scans' are fp32 inside."""
        return sum(one.macs_fp16 for one in self.layers) / sum(one.macs for one in self.layers)

    def groups(self) -> list[dict[str, Any]]:
        """Layers summed by group and type, in the network's order."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for layer in self.layers:
            row = rows.setdefault(
                (layer.group, layer.dtype),
                {"group": layer.group, "dtype": layer.dtype, "layers": 0, "macs": 0,
                 "macs_fp16": 0, "reason": layer.reason},
            )  # fmt: skip
            row["layers"] += 1
            row["macs"] += layer.macs
            row["macs_fp16"] += layer.macs_fp16
        return list(rows.values())

    def to_dict(self) -> dict[str, Any]:
        """As the sidecar holds it, ``engine`` and ``plugin_layers`` aside."""
        return {
            "asked": self.asked,
            "got": self.got,
            "witness": self.witness,
            "sizes": dict(self.sizes),
            "layers": len(self.layers),
            "layer_share_fp16": round(self.layer_share, 4),
            "mac_share_fp16": round(self.mac_share, 4),
            "gmac": round(sum(layer.macs for layer in self.layers) / 1e9, 6),
            "problems": list(self.problems),
            "groups": self.groups(),
            "by_layer": {layer.name: layer.dtype for layer in self.layers},
        }


def precision_table(
    source: ModelFile,
    asked: str,
    sizes: Mapping[str, int],
    network: Mapping[str, str] | None = None,
    engine: Mapping[str, Any] | None = None,
) -> PrecisionTable:
    """Judge a model by its types and what TensorRT made of them.

    Args:
        sizes: ``batch`` and ``frames`` to count MACs of.
        network: type of every tensor of the network TensorRT parsed, by name.
        engine: as :func:`pmexport.trt.worker.inspect_engine` counted; None if it was not opened.
    """
    layers, problems = [], []
    shapes = concrete_shapes(source, sizes)
    for node in source.nodes:
        stated = _stated(node, source)
        if stated not in (HALF, SINGLE) or node.op_type == "Cast":
            continue
        dtype = stated
        for output in node.outputs if network is not None else ():
            said = source.values[output].dtype
            found = _parsed(node, output, network or {}, said)
            if found != said:
                problems.append(
                    f"'{node.name}' is {said} in the ONNX model and {found} in TensorRT"
                )
                dtype = found
        layer = _layer(node, source, asked, dtype, shapes)
        if layer.reason is None:
            problems.append(f"'{node.name}' ({node.op_type}) is {dtype}, {asked} was asked")
        layers.append(layer)
    if asked != SINGLE and not any(layer.dtype == HALF for layer in layers):
        problems.append(f"no layer is fp16, {asked} was asked")
    if asked == "fp16-sums" and not any(node.half_sums for node in source.nodes):
        problems.append(f"no scan may sum in fp16, {asked} was asked")
    witness = "onnx" if network is None else "network"
    if engine is not None:
        witness = "engine"
        # An engine fused into fewer layers than there are plugins hides what is inside of them.
        telling = asked == SINGLE or engine["layers"] >= len(source.own_nodes)
        if telling and (engine["fp16"] > 0) != (asked != SINGLE):
            problems.append(
                f"{engine['fp16']} of the engine's {plural(engine['layers'], 'layer')} in fp16, "
                f"{asked} was asked"
            )
    return PrecisionTable(asked, witness, dict(sizes), tuple(layers), tuple(problems))


def _stated(node: Node, source: ModelFile) -> str:
    """What a node gives by the ONNX model, the float32 stream beside it left out."""
    first = source.values[node.outputs[0]].dtype
    if node.op_type in _FUSED:
        return source.computes_in(node) or first
    return source.values[node.outputs[1]].dtype if node.op_type == ADD_NORM else first


def _parsed(node: Node, output: str, network: Mapping[str, str], stated: str) -> str:
    """Type of a node's output in TensorRT's network.

    The parser computes what depends on constants alone, so nodes that only move values may be gone.
    """
    gone = stated if RULES.get(node.op_type) is Rule.MOVE else "missing"
    return network.get(output, gone)


def _layer(node: Node, source: ModelFile, asked: str, dtype: str, shapes: Shapes) -> Layer:
    macs = node_macs(node, shapes)
    half = 0 if dtype != HALF else half_macs(node, shapes) if node.domain == OP_DOMAIN else macs
    return Layer(node.name, _group(node), dtype, macs, half, _reason(node, source, asked, dtype))


def _group(node: Node) -> str:
    """``op.in_proj.x MatMul`` for ``STEblocks.3.op.in_proj.x.MatMul``."""
    name = _COUNTER.sub("", _BLOCK.sub("", node.name))
    scope = name.removesuffix(f".{node.op_type}")
    if scope in ("Add", "Mul", "Transpose"):  # of the block or the network itself
        scope = "residual" if scope == "Add" else scope
    return f"{scope} {node.op_type}" if scope != node.op_type else scope


def _reason(node: Node, source: ModelFile, asked: str, dtype: str) -> str | None:
    """Why a layer is not computed in what was asked; empty if it is, None if there is no reason."""
    if asked == SINGLE:
        return "" if dtype == SINGLE else None
    kept = is_kept(node.name, source.metadata.get("keep_fp32", ()))
    if node.domain == OP_DOMAIN:
        if dtype != HALF:
            return REASONS["keep"] if kept else None
        inside = REASONS["block" if node.op_type in _FUSED else "inside"]
        return inside + REASONS["sums"] * node.half_sums
    if dtype == HALF:
        return ""
    if kept:
        return REASONS["keep"]
    if SINGLE_SCOPES.search(node.name):
        return REASONS["boundary"]
    rule = RULES.get(node.op_type)
    if rule is Rule.SINGLE:
        return REASONS["norm"] if node.op_type == "LayerNormalization" else REASONS["rule"]
    if rule is Rule.WIDEST and _reads_single(node, source):
        return REASONS["residual"]
    if rule is Rule.MOVE and _reads_single(node, source):
        return REASONS["follows"]
    return None


def _reads_single(node: Node, source: ModelFile) -> bool:
    return any(name in source.values and source.values[name].dtype == SINGLE
               for name in node.inputs)  # fmt: skip
