"""Weights of other networks, told by the names of their tensors.

Somebody who passes the wrong file is helped by its name, not by a list of missing keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Network and two patterns that both occur among its keys. The first that fits counts.
_SIGNATURES: tuple[tuple[str, str, str], ...] = (
    ("GraphConditionedPoseMamba", r"graph_mixer\.", r"blocks\.\d+\."),
    ("MixSTE", r"STEblocks\.\d+\.attn\.", r"TTEblocks\.\d+\.attn\."),
    ("PoseFormer", r"Spatial_blocks\.", r"weighted_mean"),
    ("PoseFormerV2", r"Joint_embedding|Freq_embedding", r"blocks\.\d+\.attn\."),
    ("MotionBERT", r"temp_embed", r"blocks_(?:st|ts)\."),
    ("MotionAGFormer", r"joints_embed", r"layers\.\d+\."),
    ("MHFormer", r"embedding_1\.", r"Transformer(?:_hypothesis)?\."),
    ("VideoPose3D", r"expand_conv\.", r"layers_conv\.\d+\."),
    ("HRNet", r"stage2\.\d+\.branches\.", r"transition1\."),
    ("ViTPose", r"patch_embed\.", r"keypoint_head\.|head\.deconv"),
    ("RTMPose", r"backbone\.stem\.", r"head\.(?:cls_x|gau)"),
    ("YOLO", r"model\.\d+\.conv\.weight", r"model\.\d+\.(?:bn|m)\."),
    ("ResNet", r"layer1\.0\.conv1\.weight", r"(?:^|\.)bn1\."),
    ("VMamba", r"layers\.\d+\.blocks\.\d+\.op\.", r"patch_embed\."),
    ("a Mamba language model", r"layers\.\d+\.mixer\.A_log", r"embedding"),
    ("Vision Mamba", r"layers\.\d+\.mixer\.", r"patch_embed\."),
    ("an FSDP shard", r"_flat_param", r"_flat_param"),
)


def name_network(keys: Iterable[str]) -> str | None:
    """The network whose tensors have such names; None where the table knows none."""
    text = "\n".join(keys)
    for name, first, second in _SIGNATURES:
        if re.search(first, text, re.MULTILINE) and re.search(second, text, re.MULTILINE):
            return name
    if re.search(r"num_batches_tracked$", text, re.MULTILINE):
        return "a convolutional network with batch norm"
    return None
