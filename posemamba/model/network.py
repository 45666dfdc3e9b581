"""PoseMamba (AAAI 2025, arXiv 2408.03540): 2D keypoints of a clip in, 3D poses out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.blocks import SCAN_BACKENDS, PoseMambaBlock, ScanBackend, SpatioTemporalScan
from posemamba.model.forks import Bones, StepBias
from posemamba.text import plural


class PoseMamba(nn.Module):
    """The network of the paper's figure 2; parameter names are the authors'.

    Args:
        config: sizes and scan order.
        scan: how the scan is computed, see :data:`posemamba.model.blocks.ScanBackend`.

    Example:
        >>> model = PoseMamba(PoseMambaConfig.from_variant("S")).eval()
        >>> poses_3d = model(torch.zeros(1, 243, 17, 2))  # (1, 243, 17, 3)
    """

    def __init__(self, config: PoseMambaConfig, *, scan: ScanBackend = "fused") -> None:
        super().__init__()
        self.config = config
        width = config.d_model
        self.Spatial_patch_to_embedding = nn.Linear(config.embedded, width)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, config.joints, width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, config.frames, width))
        rates = [float(r) for r in torch.linspace(0, config.drop_path, config.depth)]
        self.bones = Bones() if config.bones else None
        self.msm = StepBias(config) if config.step_bias else None
        self.STEblocks = nn.ModuleList(PoseMambaBlock(config, rate, self.msm) for rate in rates)
        self.TTEblocks = nn.ModuleList(PoseMambaBlock(config, rate) for rate in rates)
        self.Spatial_norm = nn.LayerNorm(width, eps=1e-6)
        self.Temporal_norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))
        self.set_scan(scan)

    def set_scan(self, scan: ScanBackend) -> PoseMamba:
        """Choose how every block computes its scan; returns self.

        Raises:
            InputError: not one of :data:`posemamba.model.blocks.SCAN_BACKENDS`.
        """
        if scan not in SCAN_BACKENDS:
            raise InputError(f"unknown scan '{scan}': use one of {', '.join(SCAN_BACKENDS)}")
        for module in self.modules():
            if isinstance(module, SpatioTemporalScan):
                module.scan = scan
        return self

    def set_official_limb_gradient(self, official: bool) -> PoseMamba:
        """Choose what the backward pass of the limb sum does; returns self.

        True: as the authors' kernel, which drops the gradient through the gather, so that a joint
        learns nothing from the neighbours that read it. False: the true gradient. The forward pass
        is the same.

        Raises:
            InputError: a fork's network, which the authors' kernel does not run.
        """
        if official and not self.config.is_papers:
            raise InputError("the official limb gradient is of the paper's networks, not of forks'")
        for module in self.modules():
            if isinstance(module, SpatioTemporalScan):
                module.official_limb_gradient = official
        return self

    def forward(self, keypoints_2d: Tensor) -> Tensor:
        """Lift clips.

        Args:
            keypoints_2d: (batch, frames, joints, config.channels), x and y normalised by image
                width, see :func:`posemamba.pose.preprocess.normalize_2d`. Any number of frames up
                to ``config.frames``.

        Returns:
            (batch, frames, joints, 3), in units of half the image width as the labels are.

        Raises:
            InputError: another shape.
        """
        self._check_input(keypoints_2d)
        if self.bones is not None:
            keypoints_2d = self.bones(keypoints_2d)
        x = self.Spatial_patch_to_embedding(keypoints_2d)  # (batch, frames, joints, d_model)
        x = x + self.Spatial_pos_embed[:, None]  # (1, 1, joints, d_model)
        temporal = self.Temporal_pos_embed[:, : x.shape[1], None]  # (1, frames, 1, d_model)
        for index, (spatial_block, temporal_block) in enumerate(
            zip(self.STEblocks, self.TTEblocks, strict=True)
        ):
            x = self.Spatial_norm(spatial_block(x))
            if index == 0:
                x = x + temporal
            x = self.Temporal_norm(temporal_block(x))
        poses_3d: Tensor = self.head(x)
        return poses_3d

    def _check_input(self, keypoints_2d: Tensor) -> None:
        shape = tuple(keypoints_2d.shape)
        joints, most, channels = self.config.joints, self.config.frames, self.config.channels
        if len(shape) != 4 or shape[2:] != (joints, channels):
            raise InputError(
                f"keypoints_2d has shape {shape}: it must be (batch, frames, {joints}, {channels})"
            )
        if not 1 <= shape[1] <= most:
            raise InputError(
                f"keypoints_2d has {plural(shape[1], 'frame')}: this model takes 1 to {most}; "
                "split longer sequences into clips"
            )
