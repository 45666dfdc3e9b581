"""What fixes a training run, from keywords or a YAML file; the authors' names are understood."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posemamba.checkpoint.official_config import config_scan_order, read_official_config
from posemamba.config import MAX_D_MODEL, MAX_DEPTH, MAX_FRAMES, VARIANTS, PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.blocks import SCAN_BACKENDS
from posemamba.skeleton import NUM_JOINTS
from posemamba.training.choices import AMP_TYPES, SCHEDULES
from posemamba.training.losses import PoseLoss

FINAL_RATE = 0.01
"""Where the cosine schedule ends, over the learning rate."""
_MOST = 1e30
"""With 1e6 at most for the weight decay, which AdamW multiplies the rate with, all of a step's
factors fit float32: what is too much ends as a loss of nan, not as an error inside PyTorch."""

#: The authors' names for what we call otherwise.
_OFFICIAL_NAMES = {"maxlen": "frames", "n_frames": "frames", "dim_feat": "d_model"}
#: Loss terms of MotionBERT that the authors' files carry with weight 0, and inputs we do not have.
_MUST_BE_OFF = (
    "lambda_lv", "lambda_lg", "lambda_a", "lambda_av", "train_2d", "synthetic", "mask_ratio",
    "mask_T_ratio", "noise_path", "dropout", "attn_drop_rate",
)  # fmt: skip
#: What does not change the weights, is given by the data, or is fixed in this network.
_SAID_ELSEWHERE = (
    "backbone", "checkpoint_frequency", "clip_len", "data_root", "data_stride", "dt_file",
    "finetune", "gt_2d", "hidden_dim", "no_conf", "no_eval", "num_heads",
    "partial_train", "pretrain_3d_curriculum", "root_rel", "rootrel", "sample_stride",
    "subset_list", "att_fuse", "dim_rep", "forward_type",
)  # fmt: skip

AUTO = "auto"
SCANS = (AUTO, *SCAN_BACKENDS)

#: What every network here has; files that state another value ask for another network.
_FIXED = {"num_joints": NUM_JOINTS, "mlp_ratio": 2}


@dataclass(frozen=True)
class TrainConfig:
    """A run. Defaults are the authors'.

    Attributes:
        variant: ``S``, ``B``, ``L`` or ``X``; depth and d_model, where given, take its place.
        frames: of a training clip, and rows of the temporal position embedding.
        scan_order: a name of :data:`posemamba.scan_order.SCAN_ORDERS`.
        init: checkpoint to start from, instead of the seed's weights: of the same network, or of
            another number of frames, see :func:`posemamba.training.start.read_start`.
        init_weights: which set of ``init``, where it holds several.
        branch_scale: factor of each residual branch's last layer in the seed's weights. Below 1 a
            deep network begins near its embedding, and does not settle for the mean pose.
        drop_path: stochastic depth of the last pair of blocks.
        scan: a differentiable back end, or ``auto`` for the device's, see
            :func:`posemamba.training.devices.choose_scan`.
        official_limb_gradient: drop the gradient through the limb gather, as the authors' code.
        epochs: passes over the clips. steps: fewer optimizer steps in all. minutes: less time.
        batch_size: clips of an optimizer step, over all devices and accumulated passes.
        accumulate: passes that make a step.
        learning_rate, weight_decay: of AdamW.
        schedule: ``exponential``, times ``lr_decay`` per epoch; or ``cosine`` over the whole run.
        warmup: first steps over which the rate of the schedule rises from 0, linearly.
        flip: mirror clips with probability one half.
        noise: standard deviation added to keypoints, in their unit.
        drop_joints: share of keypoints that stay where they were some frames before.
        jitter: standard deviation added to keypoints, most of it lasting some frames, more at a
            limb's end; a share of the person's extent in the image.
        offset: as ``jitter``, the same for all frames of a clip and alike for all joints.
        swap_sides: share of spans in which legs, or arms, are taken for the other side's.
        lose_limbs: share of longer spans in which half a limb stays where it was.
        clip_norm: largest gradient norm, or None.
        ema: decay of a running average of the weights, which validation and the final weights
            then use; or None.
        amp: matrix products in half precision; the scan stays in float32.
        cuda_graph: capture the step; same kernels, no launch gaps.
        val_every: epochs between validations; the end is validated whatever it is.
        save_every: steps between checkpoints a run can be resumed from.
        seed: of weights, order, augmentation and stochastic depth.

    Raises:
        InputError: a value that no run can have.
    """

    variant: str = "S"
    depth: int | None = None
    d_model: int | None = None
    frames: int = MAX_FRAMES
    scan_order: str = "global-local"
    init: str | None = None
    init_weights: str | None = None
    branch_scale: float = 1.0
    drop_path: float = 0.2
    scan: str = AUTO
    official_limb_gradient: bool = False
    epochs: int = 120
    steps: int | None = None
    minutes: float | None = None
    batch_size: int = 4
    accumulate: int = 1
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    lr_decay: float = 0.99
    schedule: str = "exponential"
    warmup: int = 0
    flip: bool = True
    noise: float = 0.0
    drop_joints: float = 0.0
    jitter: float = 0.0
    offset: float = 0.0
    swap_sides: float = 0.0
    lose_limbs: float = 0.0
    clip_norm: float | None = None
    ema: float | None = None
    amp: str = "none"
    cuda_graph: bool = False
    val_every: int = 1
    save_every: int = 1000
    seed: int = 0
    lambda_3d: float = 1.0
    lambda_3d_velocity: float = 20.0
    lambda_diff: float = 0.5
    lambda_scale: float = 0.5

    def __post_init__(self) -> None:
        for name, most in (("depth", MAX_DEPTH), ("d_model", MAX_D_MODEL)):
            value = getattr(self, name)
            _require(value is None or 1 <= value <= most, self, name, f"from 1 to {most}")
        self.model_config()
        for name in ("epochs", "batch_size", "accumulate", "val_every", "save_every"):
            value = getattr(self, name)
            _require(isinstance(value, int) and value >= 1, self, name, "a whole number from 1")
        warmup = self.warmup
        _require(type(warmup) is int and warmup >= 0, self, "warmup", "a whole number from 0")
        for name in ("steps", "minutes", "clip_norm"):
            value = getattr(self, name)
            _require(value is None or 0 < value < math.inf, self, name, "above 0 and finite")
        for name in ("noise", "lambda_3d", "lambda_3d_velocity", "lambda_diff", "lambda_scale"):
            _require(0 <= getattr(self, name) <= _MOST, self, name, f"from 0 to {_MOST:g}")
        _require(
            0 < self.learning_rate <= _MOST, self, "learning_rate", f"above 0, at most {_MOST:g}"
        )
        _require(0 <= self.weight_decay <= 1e6, self, "weight_decay", "from 0 to 1e6")
        _require(0 < self.lr_decay <= 1, self, "lr_decay", "above 0, at most 1")
        for name in ("drop_joints", "jitter", "offset", "swap_sides", "lose_limbs"):
            _require(0 <= getattr(self, name) < 1, self, name, "from 0, below 1")
        _require(0 <= self.branch_scale <= 1, self, "branch_scale", "from 0 to 1")
        if self.init is not None and self.branch_scale != 1:
            raise InputError("branch_scale is of the seed's weights: leave it or init out")
        if self.init is None and self.init_weights is not None:
            raise InputError("init_weights (--weights) is for init: give that too, or leave it out")
        _require(self.ema is None or 0 < self.ema < 1, self, "ema", "between 0 and 1")
        seed = self.seed
        _require(type(seed) is int and 0 <= seed < 2**31, self, "seed", "from 0 to 2147483647")
        for name, choices in (("scan", SCANS), ("amp", AMP_TYPES), ("schedule", SCHEDULES)):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"unknown {name} '{value}': use one of {', '.join(choices)}")
        if self.batch_size % self.accumulate:
            raise InputError(
                f"batch_size {self.batch_size} cannot be split into accumulate {self.accumulate}"
            )
        if self.lambda_3d == self.lambda_3d_velocity == self.lambda_scale == 0:
            raise InputError("every loss that looks at the target has weight 0: nothing to learn")
        if self.cuda_graph and self.amp == "fp16":
            raise InputError("cuda_graph with amp fp16: the loss scaler reads the GPU; use bf16")

    def model_config(self) -> PoseMambaConfig:
        """The network to train.

        Raises:
            InputError: no such variant, or sizes that no network has.
        """
        if self.variant.upper() not in VARIANTS:
            raise InputError(f"unknown variant '{self.variant}': use {', '.join(VARIANTS)}")
        depth, d_model = VARIANTS[self.variant.upper()]
        return PoseMambaConfig(
            d_model=d_model if self.d_model is None else self.d_model,
            depth=depth if self.depth is None else self.depth,
            frames=self.frames,
            drop_path=self.drop_path,
            scan_order=self.scan_order,
        )

    def loss(self) -> PoseLoss:
        return PoseLoss(
            self.lambda_3d, self.lambda_3d_velocity, self.lambda_diff, self.lambda_scale
        )


def _require(fine: bool, config: TrainConfig, name: str, wanted: str) -> None:
    if not fine:
        raise InputError(f"{name} is {getattr(config, name)!r}: it must be {wanted}")


def read_train_config(path: str | os.PathLike[str], **overrides: Any) -> TrainConfig:
    """Read a YAML file, ours or the authors'; ``overrides`` that are not None go first.

    Raises:
        InputError: unreadable, a name that means nothing here, a value of the wrong type, or an
            official option that this trainer does not have.
    """
    path = Path(path)
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    values: dict[str, Any] = {}
    raw = read_official_config(path)
    for key, value in raw.items():
        name = _OFFICIAL_NAMES.get(key, key)
        if name in fields:
            if name == "noise" and value is False:  # the authors' switch for noise we do not have
                value = 0.0
            values[name] = _typed(path, key, value, str(fields[name].type))
        elif key in _MUST_BE_OFF:
            if value not in (None, 0, 0.0, False, ""):
                raise InputError(f"'{path}': {key} {value!r} is not supported; set it to 0")
        elif key in _FIXED:
            if value not in (None, _FIXED[key]):
                raise InputError(
                    f"'{path}': {key} {value!r} is not supported; it is {_FIXED[key]} here"
                )
        elif key not in _SAID_ELSEWHERE:
            raise InputError(f"'{path}': nothing here is called '{key}'")
    try:
        order = config_scan_order(raw)
        if order is not None:
            values["scan_order"] = order
        return TrainConfig(**values | _given(overrides))
    except InputError as error:
        raise InputError(f"'{path}': {error}") from None


def train_config(**overrides: Any) -> TrainConfig:
    """A configuration of the keywords that are not None."""
    return TrainConfig(**_given(overrides))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _typed(path: Path, key: str, value: object, wanted: str) -> bool | int | float | str | None:
    if value is None and "None" in wanted:
        return None
    kind = wanted.split(" ")[0]
    if kind == "float" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind == "float" and isinstance(value, str):  # YAML 1.1 reads 2e-4 as a string
        try:
            return float(value)
        except ValueError:
            pass
    right = {"int": int, "bool": bool, "str": str}.get(kind)
    if isinstance(value, int | str) and type(value) is right:
        return value
    raise InputError(f"'{path}': {key} is {value!r}, not {kind}")
