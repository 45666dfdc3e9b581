"""The owner's outputs tell the scan order; orders and weights that do not fit are refused."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from fork_cases import CASES, FORKS, TOLERANCE
from places import GOLDEN, TINY

from posemamba.checkpoint.read import read_checkpoint
from posemamba.checkpoint.which_scan import TOLERANCE as TOLERANCE_OF_ANSWERS
from posemamba.checkpoint.which_scan import WhichScan, which_scan
from posemamba.cli.main import cli
from posemamba.cli.options import ScanOrderType
from posemamba.errors import InputError
from posemamba.scan_order import get_scan_order, own_scan_order

OFFICIAL = FORKS / "official_4dir_2ch.pth.tr"


@pytest.mark.parametrize("name", CASES)
def test_names_the_scan_of_every_fork(name: str) -> None:
    case = CASES[name]
    found = which_scan(case.checkpoint, case.outputs)
    assert found.best == get_scan_order(case.scan).name
    assert found.max_abs[found.best] < TOLERANCE


@pytest.mark.parametrize("scan", ["v2", "v2_bs_bt", "v2_bs_ft", "v2_fs_bt", "v2_fs_ft"])
def test_names_the_scan_of_a_network_that_hardly_tells(scan: str) -> None:
    """Orders of these weights are 5e-4 apart, and the right one is at 6e-7."""
    found = which_scan(TINY, GOLDEN / f"official_tiny_{scan}_io.npz")
    assert found.best == get_scan_order(scan).name


def test_an_order_that_the_table_lacks_is_not_called_the_nearest(tmp_path: Path) -> None:
    orders = ("frame-major-flipped", "joint-major-flipped", "frame-major", "joint-major-flipped")
    own = {"directions": [{"order": order} for order in orders]}
    with np.load(GOLDEN / "official_tiny_v2_io.npz") as golden:
        clip = golden["keypoints_2d"]
    model = read_checkpoint(TINY, scan_order=own_scan_order(own).name).build()
    with torch.inference_mode():
        poses = model(torch.from_numpy(clip)).numpy()
    np.savez(tmp_path / "io.npz", keypoints_2d=clip, poses_3d=poses)
    found = which_scan(TINY, tmp_path / "io.npz")
    assert min(found.max_abs.values()) < TOLERANCE_OF_ANSWERS
    assert found.best is None
    assert "an order of its own" in found.verdict


def reference(path: Path, **arrays: object) -> Path:
    with np.load(CASES["official_4dir_2ch_v31d"].outputs) as golden:
        np.savez(path, **{**golden, **arrays})
    return path


def test_says_that_none_fits(tmp_path: Path) -> None:
    path = reference(tmp_path / "io.npz", poses_3d=np.zeros((2, 9, 17, 3), np.float32))
    done = CliRunner().invoke(
        cli, ["which-scan", "--ckpt", str(OFFICIAL), "--reference", str(path), "--json"],
        standalone_mode=False,
    )  # fmt: skip
    assert isinstance(done.exception, SystemExit)
    assert done.exception.code == 1
    report = json.loads(done.output)
    assert report["best"] is None
    assert set(report["max_abs"]) >= {"global-local", "v31d", "bfs"}
    assert "none fits" in which_scan(OFFICIAL, path).verdict


def test_several_that_fit_are_no_answer(tmp_path: Path) -> None:
    """Within one frame, joint by joint is frame by frame."""
    clip = np.load(CASES["official_4dir_2ch_v31d"].outputs)["keypoints_2d"][:, :1]
    model = read_checkpoint(OFFICIAL, scan_order="v32d").build()
    with torch.inference_mode():
        poses = model(torch.from_numpy(clip)).numpy()
    found = which_scan(OFFICIAL, reference(tmp_path / "io.npz", keypoints_2d=clip, poses_3d=poses))
    assert found.best is None
    assert {"v32d", "bidirectional"} <= set(found.fits)
    assert "more frames" in found.verdict


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"poses_3d": np.zeros((2, 9, 17, 2), np.float32)}, "poses_3d has shape"),
        ({"keypoints_2d": np.zeros((2, 9, 17, 3), np.float32)}, "17, 2"),
        ({"keypoints_2d": np.full((2, 9, 17, 2), np.nan)}, "NaN"),
        ({"keypoints_2d": np.zeros(3)}, r"of shape \(3,\)"),
        ({"poses_3d": np.array(["a"])}, "must be floats"),
        ({"poses_3d": np.array([None])}, "no .npz file of plain arrays"),
    ],
)
def test_bad_references_are_one_line(arrays: dict[str, Any], why: str, tmp_path: Path) -> None:
    path = reference(tmp_path / "io.npz", **arrays)
    with pytest.raises(InputError, match=why) as caught:
        which_scan(OFFICIAL, path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "io.npz").write_text("keypoints")
    with pytest.raises(InputError, match=r"no \.npz file"):
        which_scan(OFFICIAL, tmp_path / "io.npz")


# --- which checkpoints have which orders ---------------------------------------------------------


def test_eight_directions_tell_their_order_and_refuse_others() -> None:
    path = FORKS / "fused_8dir_2ch.pth.tr"
    read = read_checkpoint(path)
    assert read.config.scan_order == "fused-bfs"
    assert not read.scan_order_guessed
    with pytest.raises(InputError, match=r"has 8 directions, scan order bfs .* has 4: use one of"):
        read_checkpoint(path, scan_order="bfs")
    with pytest.raises(InputError, match=r"has 4 directions, scan order fused-bfs .* has 8"):
        read_checkpoint(OFFICIAL, scan_order="v2_fused_bfs")


def test_a_number_of_directions_that_no_order_of_the_table_has_fits_none() -> None:
    assert WhichScan({}).fits == []
    assert "none fits" in WhichScan({}).verdict


def test_the_graph_network_is_named() -> None:
    with pytest.raises(InputError, match="those of GraphConditionedPoseMamba"):
        read_checkpoint(FORKS / "graph_2dir_3ch.pth.tr")


def test_other_bones_are_refused(tmp_path: Path) -> None:
    content = torch.load(FORKS / "bones_4dir_5ch.pth.tr", weights_only=False)
    state = content["model_pos"]
    state["module.joint_to_limb"] = state["module.joint_to_limb"].flip(0)
    torch.save(state, tmp_path / "bones.pth")
    with pytest.raises(InputError, match=r"joint_to_limb.* other bones"):
        read_checkpoint(tmp_path / "bones.pth")


@pytest.mark.parametrize(
    ("stated", "channels", "bones", "warns"),
    [(None, 3, True, False), (3, 3, True, False), (5, 5, False, False), (2, 3, True, True)],
)
def test_a_config_says_which_channels_are_the_inputs(
    stated: int | None, channels: int, bones: bool, warns: bool, tmp_path: Path
) -> None:
    """The buffer suggests bones; a network of five channels that holds it unused has none."""
    shutil.copy(FORKS / "bones_4dir_5ch.pth.tr", tmp_path / "bones.pth.tr")
    if stated is not None:
        (tmp_path / "config.yaml").write_text(f"input_channels: {stated}\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = read_checkpoint(tmp_path / "bones.pth.tr", scan_order="global-local").config
    assert (config.channels, config.bones) == (channels, bones)
    said = [str(one.message) for one in caught]
    assert any("channels 2, but the weights have 3" in text for text in said) == warns


def test_copies_of_the_step_bias_must_agree(tmp_path: Path) -> None:
    content = torch.load(FORKS / "jointdelta_4dir_2ch.pth.tr", weights_only=False)
    state = content["model_pos"]
    state["module.STEblocks.1.op.msm.bias"] = state["module.STEblocks.1.op.msm.bias"] + 1
    torch.save(state, tmp_path / "bias.pth")
    with pytest.raises(InputError, match=r"STEblocks\.1\.op\.msm\.bias' differs"):
        read_checkpoint(tmp_path / "bias.pth")


# --- --scan-order ---------------------------------------------------------------------------------


def option(value: str | Path) -> str:
    """What a command is given for ``--scan-order value``."""
    return ScanOrderType().convert(str(value), None, None)


def test_the_option_takes_names_and_tables(tmp_path: Path) -> None:
    assert [option(name) for name in ("AUTO", "v2_bfs_first", "V3")] == [
        "auto", "bfs-first", "bidirectional"
    ]  # fmt: skip
    table = tmp_path / "order.yaml"
    table.write_text(f"directions:\n{4 * '- {order: frame-major}'}".replace("}-", "}\n-") + "\n")
    model = read_checkpoint(OFFICIAL, scan_order=option(table)).build()
    golden = np.load(CASES["official_4dir_2ch_v31d"].outputs)
    with torch.inference_mode():
        poses = model(torch.from_numpy(golden["keypoints_2d"])).numpy()
    assert np.abs(poses - golden["poses_3d"]).max() < TOLERANCE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("directions: 3", "'directions' must be a list"),
        ("directions: [{order: spiral}]", "order is spiral: use one of frame-major"),
        ("[1, 2]", "not a config"),
        ("a: [", "not valid YAML"),
        (None, "cannot be read"),
    ],
)
def test_bad_tables_name_their_file(text: str | None, why: str, tmp_path: Path) -> None:
    table = tmp_path / "order.yaml"
    if text is not None:
        table.write_text(text)
    with pytest.raises(InputError, match=why) as caught:
        option(table)
    assert str(caught.value).startswith(str(table))
    assert "\n" not in str(caught.value)


def test_unsupported_names_are_refused_in_one_sentence() -> None:
    with pytest.raises(click.BadParameter, match="'v2_oact' is of a block with a GELU"):
        option("v2_oact")
