"""Parameters and multiply-accumulates of a PoseMamba, counted truly and as the paper counted.

The paper's Table 2 comes from a counter that hooks leaf modules (its figures are those of thop
0.1.1). Such a counter sees ``nn.Linear``, ``nn.Conv2d`` and ``nn.LayerNorm`` only:

* parameters: weights and biases of those modules. The raw ``nn.Parameter`` tensors are skipped:
  both position embeddings, both scan projections, the step-size bias, ``A_logs`` and ``Ds``;
* MACs: of a linear layer and a convolution without the bias, and 4 operations for each element
  that a LayerNorm reads (2, doubled because it has weights), at every call: the two norms that
  are shared over depth run once per block. The scan projections, which are einsums, and the
  scan itself are skipped; so are activations, the gate and residual additions.

Counted so, S, B, L and X give the paper's parameters and MACs to its last printed digit.

The true counts hold every parameter, and the MACs of linear layers, convolution, both scan
projections of all four directions, and the scan at 3 MAC per state (decay, input, output). Norms,
activations, the gate and the skip term ``D * u`` are left out of the true MACs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from posemamba.config import MAX_FRAMES, VARIANTS, PoseMambaConfig
from posemamba.model.state_layout import state_shapes

_LAYER_NORM_OPS = 4  # thop: 2 per element, times 2 with elementwise_affine
_SCAN_MACS_PER_STATE = 3
_KERNEL = 9  # depthwise 3x3
_RAW_PARAMETERS = ("pos_embed", "x_proj_weight", "dt_projs_weight", "dt_projs_bias", "A_logs", "Ds")


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one clip.

    Attributes:
        linear_conv: linear layers and convolutions, without biases.
        projections: ``x_proj`` and ``dt_projs`` of the four scan directions.
        scan: the selective scan at 3 MAC per state.
    """

    linear_conv: int
    projections: int
    scan: int

    @property
    def total(self) -> int:
        return self.linear_conv + self.projections + self.scan


@dataclass(frozen=True)
class Row:
    """Both counts of one size.

    Attributes:
        variant: ``S``, ``B``, ``L`` or ``X``.
        depth: pairs of blocks.
        d_model: channels.
        frames: length of the clip the MACs are of.
        parameters: every parameter of the network.
        macs: every multiply-accumulate of note, in three parts.
        paper_parameters: by the paper's way of counting.
        paper_macs: by the paper's way of counting.
    """

    variant: str
    depth: int
    d_model: int
    frames: int
    parameters: int
    macs: Macs
    paper_parameters: int
    paper_macs: int


def true_parameters(config: PoseMambaConfig) -> int:
    """Every parameter of the network; one that stands under several names counts once."""
    shapes = state_shapes(config).items()
    return sum(math.prod(shape) for key, shape in shapes if not key.endswith("op.msm.bias"))


def paper_parameters(config: PoseMambaConfig) -> int:
    """Parameters of Linear, Conv2d and LayerNorm modules alone."""
    return sum(
        math.prod(shape)
        for key, shape in state_shapes(config).items()
        if not key.endswith(_RAW_PARAMETERS)
    )


def true_macs(config: PoseMambaConfig, frames: int | None = None) -> Macs:
    """Multiply-accumulates of one clip.

    Args:
        config: the network.
        frames: length of the clip; the position embedding's length when None.
    """
    positions = (frames or config.frames) * config.joints
    blocks = 2 * config.depth
    inner, states, rank = config.d_inner, config.d_state, config.dt_rank
    directions = config.order.directions
    projections = directions * inner * ((rank + 2 * states) + rank)
    scan = directions * inner * states * _SCAN_MACS_PER_STATE
    return Macs(
        linear_conv=positions * _linear_conv_macs(config),
        projections=positions * blocks * projections,
        scan=positions * blocks * scan,
    )


def paper_macs(config: PoseMambaConfig, frames: int | None = None) -> int:
    """Multiply-accumulates of one clip as the paper's counter sees them."""
    positions = (frames or config.frames) * config.joints
    d, inner = config.d_model, config.d_inner
    # norm, norm2 and the shared norm after the block read d channels each, out_norm d_inner.
    normed = 2 * config.depth * (3 * d + inner) + d  # the last d: the head's norm
    return positions * (_linear_conv_macs(config) + _LAYER_NORM_OPS * normed)


def _linear_conv_macs(config: PoseMambaConfig) -> int:
    """MACs of linear layers and convolutions for one position (one joint of one frame)."""
    d, inner, hidden = config.d_model, config.d_inner, config.mlp_ratio * config.d_model
    block = d * 2 * inner + _KERNEL * inner + inner * d + 2 * d * hidden
    return config.embedded * d + 2 * config.depth * block + 3 * d


def count_table(frames: int = MAX_FRAMES) -> list[Row]:
    """Both counts of the paper's four sizes for clips of ``frames`` frames.

    The networks keep their position embedding of :data:`posemamba.config.MAX_FRAMES`.
    """
    rows = []
    for variant, (depth, d_model) in VARIANTS.items():
        config = PoseMambaConfig(d_model=d_model, depth=depth)
        rows.append(
            Row(
                variant=variant,
                depth=depth,
                d_model=d_model,
                frames=frames,
                parameters=true_parameters(config),
                macs=true_macs(config, frames),
                paper_parameters=paper_parameters(config),
                paper_macs=paper_macs(config, frames),
            )
        )
    return rows
