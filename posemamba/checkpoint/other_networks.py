"""Weights of other networks, told by the names of their tensors.

Somebody who passes the wrong file is helped by its name, not by a list of missing keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Network and two patterns that both occur among its keys. The first that fits counts.
_SIGNATURES: tuple[tuple[str, str, str], ...] = (
    ("GraphConditionedPoseMamba", r"graph_mixer\.", r"blocks\.\d+\."),
    ("MixSTE or a network built on it", r"STEblocks\.\d+\.attn\.", r"TTEblocks\.\d+\.attn\."),
    ("PoseFormerV2", r"Joint_embedding|Freq_embedding", r"blocks\.\d+\.attn\."),
    ("PoseFormer", r"Spatial_blocks\.", r"weighted_mean"),
    ("STCFormer", r"(?:^|\.)stc_?(?:former|block)", r"(?:^|\.)stc_?(?:former|block)"),
    ("HGMamba", r"forward_backward_mamba\.", r"forward_backward_mamba\."),
    ("MotionBERT", r"temp_embed", r"blocks_(?:st|ts)\."),
    ("MotionAGFormer or a network built like it", r"joints_embed", r"layers\.\d+\."),
    ("MHFormer", r"embedding_1\.", r"Transformer(?:_hypothesis)?\."),
    ("VideoPose3D", r"expand_conv\.", r"layers_conv\.\d+\."),
    ("GraFormer", r"gconv_input\.", r"atten_layers\.\d+\."),
    ("SemGCN or a network built on it", r"gconv_input\.", r"gconv_(?:layers|output)"),
    ("SimpleBaseline", r"linear_stages\.\d+\.", r"(?:^|\.)w1\.weight"),
    ("HRNet", r"stage2\.\d+\.branches\.", r"transition1\."),
    ("ViTPose", r"patch_embed\.", r"keypoint_head\.|head\.deconv"),
    ("RTMPose", r"backbone\.stem\.", r"head\.(?:cls_x|gau)"),
    ("YOLO", r"model\.\d+\.conv\.weight", r"model\.\d+\.(?:bn|m)\."),
    ("ResNet", r"layer1\.0\.conv1\.weight", r"(?:^|\.)bn1\."),
    ("VMamba", r"layers\.\d+\.blocks\.\d+\.op\.", r"patch_embed\."),
    ("a Mamba language model", r"layers\.\d+\.mixer\.A_log", r"embedding"),
    ("Vision Mamba", r"layers\.\d+\.mixer\.", r"patch_embed\."),
    ("an FSDP shard", r"_flat_param", r"_flat_param"),
    ("a network of Mamba-1 blocks, which 'pmexport export-module' exports", r"\.A_log$",
     r"\.x_proj\.weight$"),
    ("a network of Mamba-2 blocks", r"\.A_log$", r"\.dt_bias$"),
    ("a transformer", r"attn|attention", r"qkv|in_proj_weight|c_attn|q_proj|query"),
)  # fmt: skip
#: What optimizers keep of each parameter.
_OF_OPTIMIZERS = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg",
                  "step", "sum", "acc_delta", "exp_inf"}  # fmt: skip


def name_network(keys: Iterable[str]) -> str | None:
    """Whose tensors have such names, as in "those of HRNet"; None where the table knows none."""
    names = list(keys)
    text = "\n".join(names)
    for name, first, second in _SIGNATURES:
        if re.search(first, text, re.MULTILINE) and re.search(second, text, re.MULTILINE):
            return f"those of {name}"
    if re.search(r"num_batches_tracked$", text, re.MULTILINE):
        return "those of a convolutional network with batch norm"
    if names and _OF_OPTIMIZERS.issuperset(names):
        return "an optimizer's: pass the file of the weights, which trainers write beside it"
    return None
