"""PoseMamba arranged for inference on a GPU.

The same function as :class:`posemamba.model.PoseMamba` in eval mode: matrix products in float16 or
float32, the scan and every norm in float32 inside, the residual stream in float32. Activations keep
channels last from end to end, and each block is four matrix products, the scan and five fused ops.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posemamba import block_ops, ops
from posemamba.blocks import PoseMambaBlock
from posemamba.errors import InputError
from posemamba.model import PoseMamba

_Norm = tuple[Tensor, Tensor, float]


def _norm(layer: nn.Module) -> _Norm:
    assert isinstance(layer, nn.LayerNorm)
    return layer.weight.detach().float(), layer.bias.detach().float(), layer.eps


class _Block:
    """Weights of one block, laid out and typed as the fused ops read them."""

    def __init__(self, block: PoseMambaBlock, dtype: torch.dtype) -> None:
        op = block.op
        self.op = op
        inner = op.out_norm.normalized_shape[0]
        directions = op.table.directions
        with torch.no_grad():
            self.in_proj = op.in_proj.weight.to(dtype)
            self.taps = op.conv2d.weight.float().reshape(inner, 9).t().contiguous()  # (9, inner)
            self.conv_bias = op.conv2d.bias.float()  # type: ignore[union-attr]
            self.x_proj = op.x_proj_weight.flatten(0, 1).to(dtype)  # (K * (R + 2N), inner)
            self.dt_weight = op.dt_projs_weight.float()
            self.dt_bias = op.dt_projs_bias.float()
            rates = -torch.exp(op.A_logs.float())
            self.rates = torch.unflatten(rates, 0, (directions, inner)).contiguous()
            self.skip = op.Ds.float().view(directions, inner)
            self.out_proj = op.out_proj.weight.to(dtype)
            self.fc1 = (block.mlp.fc1.weight.to(dtype), block.mlp.fc1.bias.to(dtype))
            self.fc2 = (block.mlp.fc2.weight.to(dtype), block.mlp.fc2.bias.to(dtype))
        self.out_norm = _norm(op.out_norm)
        self.norm2 = _norm(block.norm2)

    def mix(self, x: Tensor) -> Tensor:
        """The scan branch: (batch, frames, joints, d_model) to the same."""
        op = self.op
        inner = self.skip.shape[1]
        xz = F.linear(x, self.in_proj)  # (batch, frames, joints, 2 * inner)
        u = block_ops.conv_silu(xz[..., :inner], self.taps, self.conv_bias)
        y = ops.cross_selective_scan(
            u,
            F.linear(u, self.x_proj),  # (batch, frames, joints, K * (R + 2N))
            self.dt_weight,
            self.dt_bias,
            self.rates,
            self.skip,
            op.d_state,
            op.dt_rank,
            list(op.table.order),
            list(op.table.reverse),
            list(op.table.limb_mask),
            list(op.limb_index),
        )
        gated: Tensor = block_ops.gated_norm(y, xz[..., inner:], *self.out_norm)
        return F.linear(gated, self.out_proj)

    def mlp(self, x: Tensor) -> Tensor:
        return F.linear(F.gelu(F.linear(x, *self.fc1)), *self.fc2)


class PoseMambaInference:
    """A frozen copy of a network that runs the fused ops.

    Args:
        model: the network; its weights are copied, on the device they are on.
        dtype: of the matrix products and activations, float32 or float16.

    Raises:
        InputError: another dtype.
    """

    def __init__(self, model: PoseMamba, dtype: torch.dtype = torch.float16) -> None:
        if dtype not in (torch.float32, torch.float16):
            raise InputError(f"inference runs in float32 or float16, not {dtype}")
        self.config = model.config
        self.dtype = dtype
        embedding = model.Spatial_patch_to_embedding
        self._embed = (embedding.weight.detach().float(), embedding.bias.detach().float())
        self._spatial_position = model.Spatial_pos_embed.detach().float()[:, None]
        self._temporal_position = model.Temporal_pos_embed.detach().float()[:, :, None]
        pairs = zip(model.STEblocks, model.TTEblocks, strict=True)
        modules = [block for pair in pairs for block in pair if isinstance(block, PoseMambaBlock)]
        self._blocks = [_Block(block, dtype) for block in modules]
        self._shared = (_norm(model.Spatial_norm), _norm(model.Temporal_norm))
        # The norm that reads the stream before each block, and the head's at the end.
        head_norm, head = model.head
        assert isinstance(head, nn.Linear)
        self._norms = [_norm(block.norm) for block in modules] + [_norm(head_norm)]
        self._head = (head.weight.detach().float(), head.bias.detach().float())

    @torch.no_grad()
    def __call__(self, keypoints_2d: Tensor) -> Tensor:
        """Lift clips: float32 (batch, frames, joints, 2) to float32 (batch, frames, joints, 3)."""
        stream = F.linear(keypoints_2d, *self._embed) + self._spatial_position
        x = self._normalise(stream, self._norms[0])
        for index, block in enumerate(self._blocks):
            gamma, beta, epsilon = block.norm2
            stream, x = block_ops.add_norm(
                stream, block.mix(x), None, None, gamma, beta, 0.0, epsilon
            )
            shared_gamma, shared_beta, shared_epsilon = self._shared[index % 2]
            gamma, beta, epsilon = self._norms[index + 1]
            stream, x = block_ops.add_norm(
                stream,
                block.mlp(x),
                shared_gamma,
                shared_beta,
                gamma,
                beta,
                shared_epsilon,
                epsilon,
            )
            if index == 0:  # the temporal position enters once, after the first spatial block
                stream = stream + self._temporal_position[:, : stream.shape[1]]
                x = self._normalise(stream, self._norms[1])
        return F.linear(x.float(), *self._head)

    def _normalise(self, stream: Tensor, norm: _Norm) -> Tensor:
        gamma, beta, epsilon = norm
        return F.layer_norm(stream, stream.shape[-1:], gamma, beta, epsilon).to(self.dtype)


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

    def replay(keypoints: Tensor) -> Tensor:
        static_input.copy_(keypoints)
        graph.replay()
        return static_output

    return replay
