"""PoseMamba arranged for inference on a GPU.

The same function as :class:`posemamba.model.network.PoseMamba` in eval mode: matrix products in
float16 or float32, the scan and every norm in float32 inside, the residual stream in float32.
Activations keep channels last from end to end. In float16 the sizes of the paper take the fused
path, three or four launches per block (:mod:`posemamba.native.fused_ops`). Anything else takes five
matrix products, the scan and four fused ops per block (:mod:`posemamba.native.block_ops`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.blocks import PoseMambaBlock
from posemamba.model.forks import ScanWeights, Visit, fused_scan, split_walks
from posemamba.model.network import PoseMamba
from posemamba.native import block_ops, fused_ops, packing, whole_block

_Norm = tuple[Tensor, Tensor, float]


def _norm(layer: nn.Module) -> _Norm:
    assert isinstance(layer, nn.LayerNorm)
    return layer.weight.detach().float(), layer.bias.detach().float(), layer.eps


class _Scan:
    """Parameters and walks of one block's scan and of the convolution before it."""

    def __init__(self, block: PoseMambaBlock, half_sums: bool) -> None:
        op = block.op
        inner = op.out_norm.normalized_shape[0]
        directions = len(op.dt_projs_bias)
        self.inner = inner
        self.taps = packing.taps(op.conv2d.weight.detach().float()).contiguous()
        self.conv_bias = op.conv2d.bias.detach().float()  # type: ignore[union-attr]
        rates = -torch.exp(op.A_logs.detach().float())
        self.weights = ScanWeights(
            op.dt_projs_weight.detach().float(),  # (K, inner, R)
            op.dt_projs_bias.detach().float(),  # (K, inner)
            torch.unflatten(rates, 0, (directions, inner)).contiguous(),
            op.Ds.detach().float().view(directions, inner),
        )
        self.d_state = op.d_state
        self.half_sums = half_sums
        self.walk = (op.d_state, op.dt_rank, *op.walk.lists())
        self.visits = [visit for visit in op.visits if isinstance(visit, Visit)]
        self.msm = op.msm
        gated = any(visit.walk.gated for visit in self.visits)
        self.gate = op.bfs_gate.detach().float() if gated else None

    def cross(self, u: Tensor, x_dbl: Tensor) -> Tensor:
        """All directions and their sum: (batch, frames, joints, inner)."""
        weights, total = self.weights, None
        if self.msm is not None:
            x_dbl, wider = self.msm.extend(x_dbl, weights.dt_weight)
            weights = weights._replace(dt_weight=wider)
        for visit, part, own in split_walks(self.visits, x_dbl, weights):
            y = fused_scan(visit, u, part, own, self.d_state, half_sums=self.half_sums)
            if visit.walk.gated and self.gate is not None:
                y = y * self.gate.to(y.dtype)
            total = y if total is None else total + y
        assert total is not None  # an order has a direction
        return total


class _Block:
    """Weights of one block for the composed path."""

    def __init__(self, block: PoseMambaBlock, dtype: torch.dtype, half_sums: bool) -> None:
        op, mlp = block.op, block.mlp
        self.scan = _Scan(block, half_sums)
        with torch.no_grad():
            self.in_proj = op.in_proj.weight.to(dtype)
            self.x_proj = op.x_proj_weight.flatten(0, 1).to(dtype)  # (K * (R + 2N), inner)
            self.out_proj = op.out_proj.weight.to(dtype)
            self.fc1 = (mlp.fc1.weight.to(dtype), mlp.fc1.bias.to(dtype))
            self.fc2 = (mlp.fc2.weight.to(dtype), mlp.fc2.bias.to(dtype))
        self.out_norm = _norm(op.out_norm)
        self.norm2 = _norm(block.norm2)

    def mix(self, x: Tensor) -> Tensor:
        """The scan branch: (batch, frames, joints, d_model) to the same."""
        scan = self.scan
        xz = F.linear(x, self.in_proj)  # (batch, frames, joints, 2 * inner)
        u = block_ops.conv_silu(xz[..., : scan.inner], scan.taps, scan.conv_bias)
        x_dbl = F.linear(u, self.x_proj)  # (batch, frames, joints, K * (R + 2N))
        y = scan.cross(u, x_dbl)
        gated: Tensor = block_ops.gated_norm(y, xz[..., scan.inner :], *self.out_norm)
        return F.linear(gated, self.out_proj)

    def feed_forward(self, x: Tensor) -> Tensor:
        return F.linear(F.gelu(F.linear(x, *self.fc1)), *self.fc2)


class _Network:
    """What both paths hold of a network: float32 parameters outside the blocks."""

    def __init__(self, model: PoseMamba) -> None:
        self.bones = model.bones
        embedding = model.Spatial_patch_to_embedding
        self.embedding = (embedding.weight.detach().float(), embedding.bias.detach().float())
        self.joint_position = model.Spatial_pos_embed.detach().float()[0]  # (joints, d_model)
        self.frame_position = model.Temporal_pos_embed.detach().float()[0]  # (frames, d_model)
        pairs = zip(model.STEblocks, model.TTEblocks, strict=True)
        modules = [block for pair in pairs for block in pair]
        self.modules = [block for block in modules if isinstance(block, PoseMambaBlock)]
        self.shared = (_norm(model.Spatial_norm), _norm(model.Temporal_norm))
        # The norm that reads the stream before each block, and the head's at the end.
        head_norm, head = model.head
        assert isinstance(head, nn.Linear)
        self.norms = [_norm(block.norm) for block in self.modules] + [_norm(head_norm)]
        self.head = (head.weight.detach().float(), head.bias.detach().float())


class _ComposedPath:
    """Matrix products of the library, ours around them: float32, and sizes not compiled in."""

    def __init__(self, model: PoseMamba, dtype: torch.dtype, half_sums: bool) -> None:
        self.net = _Network(model)
        self.dtype = dtype
        self.blocks = [_Block(block, dtype, half_sums) for block in self.net.modules]

    def __call__(self, keypoints_2d: Tensor) -> Tensor:
        net = self.net
        if net.bones is not None:
            keypoints_2d = net.bones(keypoints_2d)
        stream = F.linear(keypoints_2d, *net.embedding) + net.joint_position
        x = self._normalise(stream, net.norms[0])
        for index, block in enumerate(self.blocks):
            gamma, beta, epsilon = block.norm2
            stream, x = block_ops.add_norm(
                stream, block.mix(x), None, None, gamma, beta, 0.0, epsilon
            )
            shared_gamma, shared_beta, shared_epsilon = net.shared[index % 2]
            gamma, beta, epsilon = net.norms[index + 1]
            norms = (shared_gamma, shared_beta, gamma, beta, shared_epsilon, epsilon)
            stream, x = block_ops.add_norm(stream, block.feed_forward(x), *norms)
            if index == 0:  # the temporal position enters once, after the first spatial block
                stream = stream + net.frame_position[: stream.shape[1], None]
                x = self._normalise(stream, net.norms[1])
        return F.linear(x.float(), *net.head)

    def _normalise(self, stream: Tensor, norm: _Norm) -> Tensor:
        gamma, beta, epsilon = norm
        return F.layer_norm(stream, stream.shape[-1:], gamma, beta, epsilon).to(self.dtype)


class _FusedPath:
    """Three launches per block; float16 at :data:`posemamba.native.packing.WIDTHS`."""

    def __init__(self, model: PoseMamba, half_sums: bool) -> None:
        net = self.net = _Network(model)
        pack = packing.pack_weight
        self.scans = [_Scan(block, half_sums) for block in net.modules]
        with torch.no_grad():
            self.projections = [pack(b.op.x_proj_weight.flatten(0, 1)) for b in net.modules]
            in_projs = [pack(block.op.in_proj.weight) for block in net.modules]
            self.vectors = [
                packing.TailVectors(
                    *_norm(block.op.out_norm)[:2],
                    *packing.skips(scan.weights[3], block.op.walk.limb_mask),
                    *_norm(block.norm2)[:2],
                    *net.shared[index % 2][:2],
                    *net.norms[index + 1][:2],
                    block.mlp.fc1.bias.float(),
                    block.mlp.fc2.bias.float(),
                ).pack()
                for index, (block, scan) in enumerate(zip(net.modules, self.scans, strict=True))
            ]
            self.matrices = [
                [pack(m.weight) for m in (block.op.out_proj, block.mlp.fc1, block.mlp.fc2)]
                for block in net.modules
            ]
            self.first_norm = torch.stack(net.norms[0][:2])  # (2, d_model)
        #: What each norm's rows are multiplied by: the blocks' in_proj, then the head.
        self.nexts = [[in_proj] for in_proj in in_projs] + [list(net.head)]
        self.epsilons = [
            [
                float(block.op.out_norm.eps),
                float(block.norm2.eps),
                net.shared[index % 2][2],
                net.norms[index + 1][2],
            ]
            for index, block in enumerate(net.modules)
        ]

    @staticmethod
    def takes(config: PoseMambaConfig, dtype: torch.dtype) -> bool:
        """Whether the kernels are compiled for such a network."""
        if not config.is_papers:
            return False
        hidden = config.mlp_ratio * config.d_model
        columns = config.walk.directions * (config.dt_rank + 2 * config.d_state)
        return dtype == torch.float16 and packing.fits(
            config.d_model, config.d_inner, hidden, columns
        )

    def __call__(self, keypoints_2d: Tensor) -> Tensor:
        net = self.net
        stream, xz = fused_ops.embed(
            keypoints_2d.contiguous(),
            *net.embedding,
            net.joint_position,
            self.first_norm,
            self.nexts[0],
            net.norms[0][2],
        )
        poses_3d: Tensor = stream.new_empty((*stream.shape[:-1], len(net.head[1])))
        last = len(self.scans) - 1
        for index, scan in enumerate(self.scans):
            whole_block.block(
                xz,  # (batch, frames, joints, 2 * inner): what is scanned, then the gate
                stream,
                poses_3d if index == last else None,
                [scan.taps, scan.conv_bias, self.projections[index]],
                scan.weights,
                self.vectors[index],
                self.matrices[index],
                self.nexts[index + 1],
                # the temporal position enters once, after the first spatial block
                net.frame_position if index == 0 else None,
                self.epsilons[index],
                *scan.walk,
                scan.half_sums,
            )
        return poses_3d


class PoseMambaInference:
    """A frozen copy of a network that runs the fused ops.

    Args:
        model: the network; its weights are copied, on the device they are on.
        dtype: of the matrix products and activations, float32 or float16.
        fused: False for the composed path also where the fused one could run, to compare them.
        half_sums: of float16: a scan's sums over its states may be float16 too, the precision
            ``fp16-sums`` of ``pmexport``. One direction is then off by 5e-4 instead of 2e-4 of its
            values. Kernels without such sums make them in float32, for version 2 of the scan all.

    Raises:
        InputError: another dtype, or ``half_sums`` of float32.
    """

    def __init__(
        self,
        model: PoseMamba,
        dtype: torch.dtype = torch.float16,
        *,
        fused: bool = True,
        half_sums: bool = False,
    ) -> None:
        if dtype not in (torch.float32, torch.float16):
            raise InputError(f"inference runs in float32 or float16, not {dtype}")
        if half_sums and dtype != torch.float16:
            raise InputError(f"half_sums is for float16, not {dtype}: leave it out")
        self.config = model.config
        self.dtype = dtype
        self._path: _FusedPath | _ComposedPath
        if fused and _FusedPath.takes(model.config, dtype):
            self._path = _FusedPath(model, half_sums)
        else:
            self._path = _ComposedPath(model, dtype, half_sums)

    @torch.no_grad()
    def __call__(self, keypoints_2d: Tensor) -> Tensor:
        """Lift clips: float32 (batch, frames, joints, channels) to (batch, frames, joints, 3)."""
        return self._path(keypoints_2d)


def capture(lift: Callable[[Tensor], Tensor], keypoints_2d: Tensor) -> Callable[[Tensor], Tensor]:
    """Record a CUDA graph of ``lift`` for inputs of one shape.

    Args:
        lift: e.g. a :class:`PoseMambaInference`.
        keypoints_2d: an input of the shape to record, on a CUDA device.

    Returns:
        A function of the same meaning; its output is overwritten by the next call.
    """
    static_input = keypoints_2d.clone()
    side = torch.cuda.Stream(keypoints_2d.device)  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # library handles and workspaces are made outside the graph
        for _ in range(3):
            lift(static_input)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        static_output = lift(static_input)

    return _Recording(graph, static_input, static_output, lift)


@dataclass(frozen=True)
class _Recording:
    """A CUDA graph, and everything whose memory it uses.

    Attributes:
        lift: what was recorded; the graph reads its weights where they are.
    """

    graph: torch.cuda.CUDAGraph
    static_input: Tensor
    static_output: Tensor
    lift: Callable[[Tensor], Tensor]

    def __call__(self, keypoints_2d: Tensor) -> Tensor:
        self.static_input.copy_(keypoints_2d)
        self.graph.replay()
        return self.static_output
