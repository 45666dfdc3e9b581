"""The authors' YAML files are understood, and what cannot be a run is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from posemamba.errors import InputError
from posemamba.training.config import TrainConfig, read_train_config

# S at 243 frames in the names of the authors' files, which are those of MotionBERT.
OFFICIAL = """\
train_2d: False
no_eval: False
finetune: False
partial_train: null
epochs: 120
checkpoint_frequency: 30
batch_size: 4
dropout: 0.0
learning_rate: 0.0002
weight_decay: 0.01
lr_decay: 0.99
backbone: PoseMamba
maxlen: 243
dim_feat: 64
mlp_ratio: 2
depth: 10
dim_rep: 512
num_heads: 8
att_fuse: True
data_root: data/motion3d/MB3D_f243s81/H36M-SH
subset_list: [H36M-SH]
dt_file: h36m_sh_conf_cam_source_final.pkl
clip_len: 243
data_stride: 81
rootrel: True
sample_stride: 1
num_joints: 17
no_conf: True
gt_2d: False
lambda_3d: 1.0
lambda_3d_velocity: 20.0
lambda_scale: 0.5
lambda_lv: 0.0
lambda_lg: 0.0
lambda_a: 0.0
lambda_av: 0.0
lambda_diff: 0.5
synthetic: False
flip: True
mask_ratio: 0.
mask_T_ratio: 0.
noise: False
"""


def read(folder: Path, text: str, **overrides: object) -> TrainConfig:
    file = folder / "run.yaml"
    file.write_text(text)
    return read_train_config(file, **overrides)


def test_official_file(tmp_path: Path) -> None:
    config = read(tmp_path, OFFICIAL)
    assert config == TrainConfig(depth=10, d_model=64)  # the defaults are the authors'


def test_options_go_before_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, OFFICIAL, batch_size=16, epochs=None)
    assert (config.batch_size, config.epochs) == (16, 120)


def test_our_names_and_number_spellings(tmp_path: Path) -> None:
    text = "learning_rate: 2e-4\nframes: 27\nn_frames: 27\nforward_type: v2\nema: 0.999\n"
    config = read(tmp_path, text)
    assert (config.learning_rate, config.frames, config.ema) == (2e-4, 27, 0.999)
    assert config.scan_order == "bidirectional"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lerning_rate: 0.1", "lerning_rate"),
        ("lambda_lv: 0.5", "lambda_lv 0.5 is not supported"),
        ("mask_ratio: 0.1", "mask_ratio"),
        ("dropout: 0.1", "dropout"),
        ("noise: True", "noise"),
        ("epochs: 1.5", "epochs is 1.5, not int"),
        ("epochs: 0", "epochs"),
        ("batch_size: four", "batch_size is 'four', not int"),
        ("batch_size: 4\naccumulate: 3", "accumulate 3"),
        ("learning_rate: -1", "learning_rate"),
        ("learning_rate: .nan", "learning_rate"),
        ("weight_decay: .inf", "weight_decay"),
        ("lr_decay: 1.1", "lr_decay"),
        ("flip: 1", "flip is 1, not bool"),
        ("maxlen: 0", "frames"),
        ("maxlen: 300", "frames"),
        ("variant: Q", "variant"),
        ("depth: 0", "depth is 0: it must be from 1 to 100"),
        ("dim_feat: 0", "d_model is 0: it must be from 1 to 4096"),
        ("depth: 101", "depth"),
        ("d_model: 4097", "d_model"),
        ("minutes: .inf", "minutes"),
        ("branch_scale: 1.5", "branch_scale is 1.5: it must be from 0 to 1"),
        ("branch_scale: .nan", "branch_scale"),
        ("branch_scale: 0.1\ninit: demo", "branch_scale is of the seed's weights"),
        ("val_every: 0", "val_every is 0: it must be a whole number from 1"),
        ("warmup: -1", "warmup is -1: it must be a whole number from 0"),
        ("warmup: 0.5", "warmup is 0.5, not int"),
        ("minutes: .nan", "minutes"),
        ("clip_norm: .inf", "clip_norm"),
        ("noise: 1e39", "noise is 1e+39: it must be from 0 to 1e+30"),
        ("jitter: -0.1", "jitter is -0.1: it must be from 0, below 1"),
        ("offset: 1", "offset is 1.0"),
        ("swap_sides: .nan", "swap_sides"),
        ("lose_limbs: true", "lose_limbs is True, not float"),
        ("learning_rate: 1e300", "learning_rate is 1e+300: it must be above 0, at most 1e+30"),
        ("weight_decay: 1e300", "weight_decay"),
        ("amp: fp8", "amp"),
        ("schedule: linear", "schedule"),
        ("scan: fast", "scan"),
        ("scan_order: spiral", "spiral"),
        ("forward_type: v9", "v9"),
        ("ema: 1.0", "ema"),
        ("seed: -1", "seed"),
        ("drop_path: 1.0", "drop_path"),
        ("cuda_graph: True\namp: fp16", "bf16"),
        ("num_joints: 16", "num_joints"),
        ("mlp_ratio: 4", "mlp_ratio"),
        ("lambda_3d: 0\nlambda_3d_velocity: 0\nlambda_scale: 0", "nothing to learn"),
        ("[1, 2]", "mapping"),
        ("a: [", "not valid YAML"),
    ],
)
def test_what_no_run_can_have(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert words in message
    assert "run.yaml" in message
    assert "\n" not in message
