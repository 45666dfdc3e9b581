"""Each kind of file, looked at: the facts of its own reader, in sentences and blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmexport.check.module import inspect_module_reference
from pmexport.check.reference import inspect_reference
from pmexport.engine.sidecar import inspect_engine
from pmexport.format.facts import inspect_onnx
from pmexport.format.file import ModelFile, open_model
from pmexport.format.metadata import guess_told_here, order_is_guessed
from pmexport.format.names import OP_DOMAIN
from pmexport.inspect.found import Block, Inspection, Item
from pmexport.runtimes.ort_format import inspect_ort
from pmexport.trt.report import engine_lines
from posemamba.text import plural, size_text

if TYPE_CHECKING:
    from posemamba.checkpoint.read import Checkpoint

_PARTS = {"STEblocks": "Spatial block", "TTEblocks": "Temporal block"}
_BEFORE, _AFTER, _OUTSIDE = "Embedding", "Head", "Embedding, norms and head"


def look_at_onnx(path: str | os.PathLike[str]) -> Inspection:
    """An ONNX model: ours, rewritten by ``pmexport optimize`` or ONNX Runtime, or anybody's."""
    path = Path(path)
    model = open_model(path)
    facts = inspect_onnx(model)
    kind = "optimised ONNX model" if model.is_optimized else "ONNX model"
    return Inspection(kind, facts, tuple(_onnx_sentences(model, facts)), _onnx_blocks(model))


def _onnx_sentences(model: ModelFile, facts: Mapping[str, Any]) -> Iterable[str]:
    said = facts["metadata"].get
    what = _network(said)
    size = size_text(facts["file"]["bytes"])
    target = ", rewritten for a GPU" if model.is_optimized else ""
    yield f"{model.path.name} is an ONNX model of {what}{target}, {size}."
    batch, frames, most = model.batch, model.frames, model.most_frames
    if most is not None:
        length = f"any length up to {plural(most, 'frame')}" if frames is None else (
            plural(frames, "frame")
        )  # fmt: skip
        clips = "any number of clips" if batch is None else plural(batch, "clip")
        yield f"It takes {clips} of {length}, {model.channels} values per joint."
    total, own = facts["nodes"]["total"], len(model.own_nodes)
    kinds = ", ".join(sorted(model.own_operators)) or "none of ours: it runs anywhere"
    yield f"{plural(total, 'node')}, {own} of this project's operators ({kinds})."
    yield _precision_sentence(facts, model.is_optimized)
    if said("checkpoint"):
        yield f"It was exported from {said('checkpoint')} by pmexport {said('tool_version')}."
    if order_is_guessed(facts["metadata"]):
        yield (
            f"Scan order {said('scan_order')}: a guess of the export. Only poses of the original "
            "code can tell: 'pmexport check --reference'."
        )
    elif said("scan_order"):
        source = said("scan_order_source")
        yield f"Scan order {said('scan_order')}, told by {source or 'whoever exported it'}."


def _network(said: Callable[[str], Any]) -> str:
    """What metadata say it is."""
    if said("module"):
        return f"{said('module')}, a network of your own"
    return f"PoseMamba {said('variant')}" if said("variant") else "a network that says no size"


def _precision_sentence(facts: Mapping[str, Any], optimized: bool) -> str:
    half, nodes = facts["fp16"]["nodes"], facts["fp16"]["of"]
    products, of = facts["fp16"]["products"], facts["fp16"]["of_products"]
    if not half:
        return "It computes in fp32 throughout."
    inside = " Inside a fused node norms, sums and the scan's state stay fp32." * optimized
    summing = facts["fp16"]["half_sums"]
    if summing:
        inside += f" {plural(summing, 'scan')} may also sum over the states in fp16 (fp16-sums)."
    return (
        f"{half} of {plural(nodes, 'computing node')} work on fp16, {products} of the {of} with "
        f"the products and scans; the rest stays fp32.{inside}"
    )


def _onnx_blocks(model: ModelFile) -> tuple[Block, ...]:
    """The nodes in their order; what names no block belongs to the one before it."""
    rows, place = [], _BEFORE
    for node in model.nodes:
        place = _AFTER if node.name.startswith("head") else _place(node.name) or place
        value = model.values.get(node.outputs[0])
        shape = () if value is None else value.shape
        detail = " x ".join("?" if size is None else str(size) for size in shape)
        kind = node.kind.removeprefix(f"{OP_DOMAIN}:")
        rows.append((place, Item(node.name, kind, model.computes_in(node) or "", detail)))
    return tuple(
        Block(title, tuple(item for _, item in group))
        for title, group in groupby(rows, key=lambda row: row[0])
    )


def _place(name: str) -> str:
    """``Spatial block 3`` for a node of ``STEblocks.3``; empty where the name tells none."""
    part, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    return f"{_PARTS[part]} {number}" if part in _PARTS and number.isdigit() else ""


def look_at_checkpoint(path: str | os.PathLike[str], weights: str | None = None) -> Inspection:
    """Weights, as the authors' trainer or ours writes them."""
    path = Path(path)
    from pmexport.exporting.describe import inspect_checkpoint
    from posemamba.checkpoint.read import read_checkpoint  # needs PyTorch, other kinds do not

    with guess_told_here():
        checkpoint = read_checkpoint(path, weights=weights)
    facts = inspect_checkpoint(checkpoint)
    blocks = _weight_blocks(checkpoint)
    return Inspection("checkpoint", facts, tuple(_checkpoint_sentences(path, facts)), blocks)


def _weight_blocks(checkpoint: Checkpoint) -> tuple[Block, ...]:
    """Tensors by block of the network, in the order clips pass them."""
    found: dict[str, dict[str, Any]] = {}
    for name, tensor in checkpoint.state.items():
        found.setdefault(_place(name) or _OUTSIDE, {})[name] = tensor

    def turn(title: str) -> tuple[int, str]:
        number = title.rpartition(" ")[2]
        return (int(number) if number.isdigit() else -1, title)

    return tuple(
        Block(
            title,
            tuple(
                Item(name, " x ".join(map(str, tensor.shape)) or "1", "", f"{tensor.numel():,}")
                for name, tensor in found[title].items()
            ),
            f"{sum(tensor.numel() for tensor in found[title].values()):,} parameters",
        )
        for title in sorted(found, key=turn)
    )


def _checkpoint_sentences(path: Path, facts: Mapping[str, Any]) -> Iterable[str]:
    config, order = facts["config"], facts["scan_order"]
    yield (
        f"{path.name} is a checkpoint of PoseMamba {facts['variant']}: "
        f"{plural(2 * config['depth'], 'block')} of {plural(config['d_model'], 'channel')}, "
        f"{facts['parameters']:,} parameters."
    )
    yield f"It was trained on clips of {plural(config['frames'], 'frame')}."
    if facts["epoch"] is not None:
        best = f", {facts['min_loss_mm']} mm at best" if facts["min_loss_mm"] else ""
        yield f"Epoch {facts['epoch']}{best}."
    if order["guessed"]:
        yield (
            f"Scan order {order['name']}: a guess, nothing in or beside the file tells it. Parity "
            "with PyTorch cannot see a wrong one: ask 'posemamba which-scan'."
        )
    else:
        yield f"Scan order {order['name']}, told by {order['source']}."
    ops = [name for name, answer in facts["ops"].items() if answer == "yes"]
    yield f"It can be exported with --ops {', '.join(ops) or 'nothing of ours'}."


def look_at_reference(path: str | os.PathLike[str]) -> Inspection:
    """Inputs and the poses somebody trusts, or the outputs of a network of one's own."""
    path = Path(path)
    own = inspect_module_reference(path)
    if own is not None:
        return _module_reference(path, own)
    facts = inspect_reference(path)
    runs, origin = facts["runs"], facts["from"]
    made = (
        f"PyTorch {origin['torch']} made the poses from {origin['checkpoint']}, scan order "
        f"{origin['scan_order']}"
        if origin
        else "The poses are a user's own"
    )
    sentences = (
        f"{path.name} is a reference: {plural(len(runs), 'run')}, together "
        f"{plural(facts['frames'], 'frame')}, each with the poses expected.",
        f"{made}.",
        "Hold a model against it with 'pmexport check M.onnx --reference "
        f"{path.name}': neither PyTorch nor the checkpoint is needed.",
    )
    items = tuple(
        Item(name, f"{run['batch']} x {run['frames']} x 17") for name, run in runs.items()
    )
    return Inspection("reference", facts, sentences, (Block("Runs", items),))


def _module_reference(path: Path, facts: Mapping[str, Any]) -> Inspection:
    sentences = (
        f"{path.name} is a reference of 'pmexport export-module': "
        f"{plural(len(facts['runs']), 'run')}, each with PyTorch's outputs.",
        f"Hold its model against it with 'pmexport check M.onnx --reference {path.name}'.",
    )
    items = tuple(
        Item(name or "as traced", ", ".join(f"{key} {size}" for key, size in run.items()))
        for name, run in facts["runs"].items()
    )
    return Inspection("reference", facts, sentences, (Block("Runs", items),))


def look_at_engine(path: str | os.PathLike[str]) -> Inspection:
    """An engine and the sidecar beside it."""
    path = Path(path)
    facts = inspect_engine(path)
    lines = (*engine_lines(facts), f"Plugin: {facts['plugin_here']}")
    items = tuple(
        Item(row["group"], f"{plural(row['layers'], 'layer')}", row["dtype"], row["reason"] or "")
        for row in facts["precision"]["groups"]
    )
    return Inspection("engine", facts, lines, (Block("Layers", items),), details={})


def look_at_sidecar(path: str | os.PathLike[str]) -> Inspection:
    """The sidecar itself: its engine is looked at."""
    path = Path(path)
    return look_at_engine(path.with_name(path.name[: -len(".json")]))


def look_at_ort(path: str | os.PathLike[str]) -> Inspection:
    """A model in ONNX Runtime's own format."""
    path = Path(path)
    facts = inspect_ort(path)
    said = facts["metadata"].get
    what = f"PoseMamba {said('variant')}" if said("variant") else "a network that says no size"
    sentences = (
        f"{path.name} is a model of {what} in ONNX Runtime's own format, "
        f"{size_text(facts['file']['bytes'])}.",
        "Only ONNX Runtime reads it, on the kind of device it was optimised for. 'pmexport check' "
        "and 'bench' take the ONNX file it was made from.",
    )
    rows = [
        Item(name, value["type"], "", " x ".join(map(str, value["shape"])))
        for side in ("inputs", "outputs")
        for name, value in facts[side].items()
    ]
    return Inspection("ORT-format model", facts, sentences, (Block("Ends", tuple(rows)),))
