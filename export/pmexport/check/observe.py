"""Look inside a run: what each module gives in PyTorch, and the same tensors in ONNX Runtime.

Hooks do not change what PyTorch computes. More outputs may change what ONNX Runtime does: it fuses
less, and where it computes fp16 nodes in fp32, as on the CPU, it rounds at every tensor that
somebody looks at. So the poses of an observed run are always returned beside what was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from pmexport.check.points import STEPS, X_PROJ, Point, split_block
from pmexport.format.file import ModelFile
from pmexport.format.names import CPU_PROVIDER, INPUT_NAME
from pmexport.passes.outputs import with_outputs
from pmexport.runtimes.base import FloatArray
from pmexport.runtimes.session import open_session

if TYPE_CHECKING:
    from torch import Tensor, nn

    from posemamba.model.network import PoseMamba

Seen = dict[Point, FloatArray]
Note = Callable[[Point, "Tensor"], None]


def torch_points(network: PoseMamba, keypoints_2d: FloatArray) -> dict[Point, tuple[int, ...]]:
    """Every point of a network in the order it is computed, with its shape."""
    shapes: dict[Point, tuple[int, ...]] = {}

    def note(point: Point, tensor: Tensor) -> None:
        shapes[point] = tuple(tensor.shape)

    _run(network, keypoints_2d, note)
    return shapes


def torch_values(
    network: PoseMamba, keypoints_2d: FloatArray, points: Collection[Point]
) -> tuple[FloatArray, Seen]:
    """The poses, and what the network gives at some points, float32."""
    seen: Seen = {}

    def note(point: Point, tensor: Tensor) -> None:
        if point in points:
            seen[point] = tensor.detach().float().numpy().copy()

    return _run(network, keypoints_2d, note), seen


def _run(network: PoseMamba, keypoints_2d: FloatArray, note: Note) -> FloatArray:
    """Run with hooks; ``note`` is called with each point and its tensor."""
    import torch
    from torch.nn import functional as F

    calls: Counter[str] = Counter()

    def after(name: str, module: nn.Module, output: Tensor) -> None:
        call, calls[name] = calls[name], calls[name] + 1
        note(Point(name, call=call), output)
        owner, _, last = name.rpartition(".")
        if last == "act" and owner.endswith("op") and call == 0:
            weight = network.get_submodule(owner).x_proj_weight
            assert isinstance(weight, torch.Tensor)
            note(Point(owner, X_PROJ), F.linear(output, weight.flatten(0, 1)))

    def before(name: str, given: Tensor) -> None:
        block, inner = split_block(name)
        owner, step = STEPS[inner]
        note(Point(f"{block}.{owner}".rstrip("."), step), given)

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            block, inner = split_block(name)
            leaf = not list(module.children()) and any(True for _ in module.parameters(False))
            if leaf or inner in ("op.act", "mlp.act") or (block and not inner):
                hook = module.register_forward_hook(
                    lambda module, _given, output, name=name: after(name, module, output)
                )
                hooks.callback(hook.remove)
            if block and inner in STEPS:
                hook = module.register_forward_pre_hook(
                    lambda _module, given, name=name: before(name, given[0])
                )
                hooks.callback(hook.remove)
        with torch.inference_mode():
            poses: FloatArray = network(torch.from_numpy(keypoints_2d)).numpy()
    return poses


def ort_values(
    model: ModelFile,
    keypoints_2d: FloatArray,
    values: Mapping[Point, Sequence[str]],
    *,
    threads: int | None = None,
    providers: Sequence[Any] = (CPU_PROVIDER,),
    poses: bool = True,
) -> tuple[FloatArray | None, Seen]:
    """The poses, and what ONNX Runtime gives at some points, float32.

    Args:
        values: as :func:`pmexport.check.points.values_of`.
        poses: False to run no further than the points; the poses are None then.

    Raises:
        InputError: the model does not load.
    """
    names = list(dict.fromkeys(name for each in values.values() for name in each))
    data = with_outputs(model, names, keep_own=poses)
    session = open_session(model, threads, list(providers), data, any_outputs=True)
    wanted = [output.name for output in session.get_outputs()]
    got = dict(zip(wanted, session.run(wanted, {INPUT_NAME: keypoints_2d}), strict=True))
    seen = {
        point: np.concatenate([got[name].astype(np.float32) for name in each], axis=-1)
        for point, each in values.items()
    }
    own = model.proto.graph.output[0].name
    return got.get(own) if poses else None, seen
