"""mamba-ssm's language model: embedding, a stack of residual blocks, a norm and a head.

Names, parameters and signatures are those of ``mamba_ssm.models`` (Gu and Dao, arXiv 2312.00752),
so that its checkpoints load. Mamba-1 layers alone, without attention between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posemamba.errors import InputError
from posemamba.mamba.block import Mamba
from posemamba.mamba.norms import RMSNorm
from posemamba.mamba.residual import Block


@dataclass
class MambaConfig:
    """Sizes and parts of a :class:`MambaLMHeadModel`."""

    d_model: int = 2560
    d_intermediate: int = 0  # of a gated MLP behind every mixer; 0: none
    n_layer: int = 64
    vocab_size: int = 50277
    ssm_cfg: dict[str, Any] = field(default_factory=dict)  # of every Mamba; "layer" its generation
    attn_layer_idx: list[int] = field(default_factory=list)
    attn_cfg: dict[str, Any] = field(default_factory=dict)
    rms_norm: bool = True
    residual_in_fp32: bool = True
    fused_add_norm: bool = True
    pad_vocab_size_multiple: int = 8
    tie_embeddings: bool = True


class CausalLMOutput(NamedTuple):
    """What :class:`MambaLMHeadModel` gives."""

    logits: Tensor


class GatedMLP(nn.Module):
    """``fc2(half of fc1(x) * activation(other half))``; its hidden size is rounded up."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int | None = None,
        out_features: int | None = None,
        activation: Callable[[Tensor], Tensor] = F.silu,
        bias: bool = False,
        multiple_of: int = 128,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        wanted = int(8 * in_features / 3) if hidden_features is None else hidden_features
        hidden = -(-wanted // multiple_of) * multiple_of
        outputs = in_features if out_features is None else out_features
        self.activation = activation
        self.fc1 = nn.Linear(in_features, 2 * hidden, bias=bias, device=device, dtype=dtype)
        self.fc2 = nn.Linear(hidden, outputs, bias=bias, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        y, gate = self.fc1(x).chunk(2, dim=-1)
        output: Tensor = self.fc2(y * self.activation(gate))
        return output


def create_block(
    d_model: int,
    d_intermediate: int = 0,
    ssm_cfg: dict[str, Any] | None = None,
    attn_layer_idx: list[int] | None = None,
    attn_cfg: dict[str, Any] | None = None,
    norm_epsilon: float = 1e-5,
    rms_norm: bool = False,
    residual_in_fp32: bool = False,
    fused_add_norm: bool = False,
    layer_idx: int | None = None,
) -> Block:
    """One layer of the stack.

    Raises:
        InputError: it is an attention layer, or of another generation of Mamba.
    """
    options = dict(ssm_cfg or {})
    generation = options.pop("layer", "Mamba1")
    if generation != "Mamba1":
        raise InputError(f"ssm_cfg: layer '{generation}' is not Mamba-1, which alone is supported")
    if attn_cfg and layer_idx in (attn_layer_idx or []):
        raise InputError(f"layer {layer_idx} is attention: Mamba-1 layers alone are supported")
    return Block(
        d_model,
        partial(Mamba, layer_idx=layer_idx, **options),
        partial(GatedMLP, hidden_features=d_intermediate) if d_intermediate else nn.Identity,
        partial(RMSNorm if rms_norm else nn.LayerNorm, eps=norm_epsilon),
        fused_add_norm,
        residual_in_fp32,
    )


class MixerModel(nn.Module):
    """Embedding, layers and the last norm.

    Args:
        initializer_cfg, fused_add_norm: taken and without effect on what is computed.
    """

    def __init__(
        self,
        d_model: int,
        n_layer: int,
        d_intermediate: int = 0,
        vocab_size: int = 50277,
        ssm_cfg: dict[str, Any] | None = None,
        attn_layer_idx: list[int] | None = None,
        attn_cfg: dict[str, Any] | None = None,
        norm_epsilon: float = 1e-5,
        rms_norm: bool = False,
        initializer_cfg: dict[str, Any] | None = None,
        fused_add_norm: bool = False,
        residual_in_fp32: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.residual_in_fp32 = residual_in_fp32
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.layers = nn.ModuleList(
            create_block(
                d_model, d_intermediate, ssm_cfg, attn_layer_idx, attn_cfg, norm_epsilon, rms_norm,
                residual_in_fp32, fused_add_norm, layer_idx,
            )
            for layer_idx in range(n_layer)
        )  # fmt: skip
        self.norm_f = (RMSNorm if rms_norm else nn.LayerNorm)(d_model, eps=norm_epsilon)
        self.to(device=device, dtype=dtype)

    def forward(
        self, input_ids: Tensor, inference_params: object | None = None, **mixer_options: object
    ) -> Tensor:
        """(batch, L) whole numbers to (batch, L, d_model)."""
        if inference_params is not None:
            mixer_options = {"inference_params": inference_params, **mixer_options}
        hidden, residual = self.embedding(input_ids), None
        for layer in self.layers:
            hidden, residual = layer(hidden, residual, **mixer_options)
        total = hidden if residual is None else hidden + residual
        output: Tensor = self.norm_f(total.to(self.norm_f.weight.dtype))
        return output


class MambaLMHeadModel(nn.Module):
    """:class:`MixerModel` and a head, whose weight is the embedding's where they are tied."""

    def __init__(
        self,
        config: MambaConfig,
        initializer_cfg: dict[str, Any] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        multiple = config.pad_vocab_size_multiple
        vocabulary = -(-config.vocab_size // multiple) * multiple
        self.backbone = MixerModel(
            config.d_model, config.n_layer, config.d_intermediate, vocabulary, config.ssm_cfg,
            config.attn_layer_idx, config.attn_cfg, rms_norm=config.rms_norm,
            initializer_cfg=initializer_cfg, fused_add_norm=config.fused_add_norm,
            residual_in_fp32=config.residual_in_fp32,
        )  # fmt: skip
        self.lm_head = nn.Linear(config.d_model, vocabulary, bias=False)
        if config.tie_embeddings:
            self.lm_head.weight = self.backbone.embedding.weight
        self.to(device=device, dtype=dtype)

    @classmethod
    def from_pretrained(cls, name: str, **_options: object) -> NoReturn:
        """Refused: nothing is fetched."""
        raise InputError(
            f"MambaLMHeadModel: the weights of '{name}' are not fetched here: build it from a "
            "MambaConfig and load them from a file"
        )

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        inference_params: object | None = None,
        num_last_tokens: int = 0,
        **mixer_options: object,
    ) -> CausalLMOutput:
        """(batch, L) whole numbers to logits (batch, L or num_last_tokens, vocabulary).

        ``position_ids`` is taken and without effect: there are no positions.
        """
        hidden = self.backbone(input_ids, inference_params, **mixer_options)
        return CausalLMOutput(self.lm_head(hidden[:, -num_last_tokens:]))
