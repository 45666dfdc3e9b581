"""What decides the scan order, and what a ``config.yaml`` beside the weights may do."""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from places import TINY as GOLDEN
from torch import Tensor

from posemamba.checkpoint.read import read_checkpoint
from posemamba.checkpoint.scan_order_source import scan_order_in_name
from posemamba.errors import Caution, InputError


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(read_checkpoint(GOLDEN).state)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("posemamba_v2_bs_bt.pth.tr", "bs-bt"),
        ("B-fs-ft-243.bin", "fs-ft"),
        ("FS_BT.pth", "fs-bt"),
        ("x.bs.ft.pth", "bs-ft"),
        ("PoseMamba_bidirectional.pth", "bidirectional"),
        ("bidirectional_global_local.pth", "global-local"),
        ("v31d.pth", "v31d"),
        ("x_v2_bfs_first.pth", "bfs-first"),
        ("selfsum_poselimbs.pth", "selfsum"),
        ("bfs_4dir.pth", None),  # what a fork calls its repository, not its scan
        ("weights_v3.pth", None),
        ("weights_v2.pth", None),  # a version more often than the official name
        ("subs_bth.pth", None),
        ("obs_bt.pth", None),
        ("best_epoch.bin", None),
    ],
)
def test_scan_order_in_name(name: str, order: str | None) -> None:
    found = scan_order_in_name(name)
    assert (found and found.order) == order
    assert not (found and found.guessed)


def test_a_name_that_two_scans_share_is_a_guess(beside: Callable[[str], Path]) -> None:
    path = beside("forward_type: v2_bfs\n")
    with pytest.warns(Caution, match=r"scan order bfs is a guess.*bfs-first"):
        checkpoint = read_checkpoint(path)
    assert checkpoint.config.scan_order == "bfs"
    assert checkpoint.scan_order_guessed
    found = scan_order_in_name("x_v2_bfs.pth")
    assert found is not None
    assert (found.order, found.guessed) == ("bfs", True)


@pytest.fixture
def safe_file(state: dict[str, Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "x_fs_ft.safetensors"
    safetensors.torch.save_file(state, path, {"config": json.dumps({"scan_order": "bs-ft"})})
    return path


def test_the_argument_beats_everything(safe_file: Path) -> None:
    (safe_file.parent / "config.yaml").write_text("forward_type: v2_fs_bt\n")
    checkpoint = read_checkpoint(safe_file, scan_order="BS_BT")
    assert checkpoint.config.scan_order == "bs-bt"
    assert checkpoint.scan_order_source == "the scan_order argument"


def test_config_beats_header_and_says_so(safe_file: Path) -> None:
    (safe_file.parent / "config.yaml").write_text("forward_type: v2_fs_bt\n")
    with pytest.warns(UserWarning, match="bs-ft.*fs-bt"):
        checkpoint = read_checkpoint(safe_file)
    assert checkpoint.config.scan_order == "fs-bt"
    assert checkpoint.scan_order_source == "config.yaml beside the checkpoint"


def test_header_beats_name(safe_file: Path) -> None:
    assert read_checkpoint(safe_file).config.scan_order == "bs-ft"


def test_a_header_with_two_orders_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    two = '{"scan_order": "bs-ft", "scan_order": "fs-bt"}'
    safetensors.torch.save_file(state, path, {"config": two})
    with pytest.raises(InputError, match=r"x\.safetensors.*has 'scan_order' 2 times"):
        read_checkpoint(path)


def test_name_beats_default(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "x_fs_ft.pth")
    checkpoint = read_checkpoint(tmp_path / "x_fs_ft.pth")
    assert checkpoint.config.scan_order == "fs-ft"
    assert checkpoint.scan_order_source == "the file name"


def test_unknown_argument_is_refused() -> None:
    with pytest.raises(InputError, match="unknown scan order 'upwards'"):
        read_checkpoint(GOLDEN, scan_order="upwards")


# --- config.yaml beside -------------------------------------------------------------------------


@pytest.fixture
def beside(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "config.yaml").write_text(text)
        (tmp_path / "best_epoch.bin").write_bytes(GOLDEN.read_bytes())
        return tmp_path / "best_epoch.bin"

    return write


def test_agreeing_config_is_silent(beside: Callable[[str], Path]) -> None:
    path = beside("maxlen: 27\ndim_feat: 32\ndepth: 2\nmlp_ratio: 2\nnum_joints: 17\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", Caution)
        assert read_checkpoint(path).scan_order_source == "the default"


def test_shapes_win_over_the_config(beside: Callable[[str], Path]) -> None:
    path = beside("maxlen: 243\ndim_feat: 32\ndepth: 10\n")
    with pytest.warns(UserWarning, match="the weights are right") as caught:
        config = read_checkpoint(path).config
    assert (config.frames, config.depth) == (27, 2)
    said = [str(each.message) for each in caught if not isinstance(each.message, Caution)]
    assert any("frames 243, but the weights have 27" in line for line in said)
    assert any("depth 10, but the weights have 2" in line for line in said)
    assert all("config.yaml" in line for line in said)
    assert len(said) == 2


def test_unsupported_forward_type_is_refused(beside: Callable[[str], Path]) -> None:
    path = beside("forward_type: v2_oact\n")
    with pytest.raises(InputError, match=r"best_epoch\.bin: .*'v2_oact'.*--scan-order"):
        read_checkpoint(path)
    assert read_checkpoint(path, scan_order="bs-bt").config.scan_order == "bs-bt"


def test_broken_config_does_not_stop_the_weights(beside: Callable[[str], Path]) -> None:
    with pytest.warns(UserWarning, match=r"config\.yaml: not valid YAML.*ignored"):
        assert read_checkpoint(beside("a: [1, 2\nb: }")).config.depth == 2


def test_config_inside_an_unpacked_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(GOLDEN) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "config.yaml").write_text("scan_order: fs-bt\n")
    assert read_checkpoint(tmp_path).config.scan_order == "fs-bt"


@pytest.mark.parametrize("inside", ["best_epoch.bin", "run/best_epoch.bin", "unpacked"])
def test_config_in_an_archive(inside: str, tmp_path: Path) -> None:
    """It is the one beside the weights; one in another folder is another run's."""
    path = tmp_path / "download_bs_bt.zip"  # what is within tells more than this name
    with zipfile.ZipFile(path, "w") as archive:
        folder = inside.rpartition("/")[0]
        if inside == "unpacked":
            with zipfile.ZipFile(GOLDEN) as golden:
                for name in golden.namelist():
                    archive.writestr("unpacked/" + name.partition("/")[2], golden.read(name))
        else:
            archive.write(GOLDEN, inside)
        archive.writestr(str(Path(folder, "config.yaml")), "scan_order: fs-bt\n")
        archive.writestr("other/config.yaml", "scan_order: fs-ft\n")
    (tmp_path / "config.yaml").write_text("scan_order: bs-ft\n")
    assert read_checkpoint(path).config.scan_order == "fs-bt"


def test_a_name_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "download.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(GOLDEN, "run/x_bs_bt.pth")
    found = read_checkpoint(path)
    assert (found.config.scan_order, found.scan_order_source) == ("bs-bt", "the file name")


@pytest.mark.parametrize("told", ["config", "name"])
def test_what_a_link_leads_to(told: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    weights = run / ("x_fs_bt.pth" if told == "name" else "x.pth")
    weights.write_bytes(GOLDEN.read_bytes())
    if told == "config":
        (run / "config.yaml").write_text("scan_order: fs-bt\n")
    link = tmp_path / "best.pth"
    link.symlink_to(weights)
    assert read_checkpoint(link).config.scan_order == "fs-bt"
    (tmp_path / "config.yaml").write_text("scan_order: bs-ft\n")  # beside the link: nearer
    assert read_checkpoint(link).config.scan_order == "bs-ft"


def test_a_pickle_beside_is_never_opened(beside: Callable[[str], Path]) -> None:
    path = beside("depth: 2\n")
    (path.parent / "config.pkl").write_bytes(pickle.dumps(print))
    assert read_checkpoint(path).config.depth == 2
