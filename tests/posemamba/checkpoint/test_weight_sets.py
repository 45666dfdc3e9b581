"""The right weights come out of whatever a trainer wrapped them in, and a choice is said."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from places import TINY
from right_weights import RIGHT, ZEROS, State, assert_right

from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import Caution, InputError

COUNTERS = {"n_averaged": torch.tensor(7), "criterion.weight": torch.ones(17)}


def prefixed(prefix: str, state: State = RIGHT) -> State:
    return {prefix + key: value for key, value in state.items()}


#: What people's files hold, all of them around the same weights.
WRAPPED: dict[str, Any] = {
    "Lightning": {"epoch": 3, "state_dict": prefixed("model."), "loops": {"x": 1}},
    "Lightning, another attribute": {"state_dict": prefixed("lifter.net.")},
    "Fabric": {"model": prefixed("_forward_module.")},
    "FSDP": {"model": prefixed("_fsdp_wrapped_module.")},
    "torch.compile": prefixed("_orig_mod."),
    "DDP over torch.compile": prefixed("module._orig_mod."),
    "torch.compile of the blocks": {
        key.replace("STEblocks.", "STEblocks._orig_mod."): value for key, value in RIGHT.items()
    },
    "activation checkpointing": {
        key.replace(".op.", "._checkpoint_wrapped_module.op."): value
        for key, value in RIGHT.items()
    },
    "AveragedModel": prefixed("module.") | COUNTERS,
    "nested": {"model": {"state_dict": RIGHT}},
    "nested deeper, in a list": {"run": {"networks": [{"weights": {"ema": RIGHT}}]}},
    "model_state_dict": {"model_state_dict": RIGHT, "optimizer_state_dict": {"state": {0: {}}}},
    "only the average": {"model_ema": RIGHT, "epoch": 1},
    "raw and average": {"model": ZEROS, "model_ema": RIGHT},
    "average first": {"ema": RIGHT, "model": ZEROS},
    "both in one dictionary": prefixed("model.", ZEROS) | prefixed("model_ema.module."),
    "Lightning with its average": {
        "state_dict": prefixed("net.", ZEROS) | prefixed("ema_model.module.")
    },
    "teacher and student": {"student": ZEROS, "teacher": RIGHT},
    "beside another network": {"detector": {"conv.weight": torch.zeros(3)}, "lifter": RIGHT},
    "with notes": RIGHT | {"note": "hello", "epoch": 3, "best": None},
    "with profiler counts": RIGHT
    | {"total_ops": torch.zeros(1), "head.total_params": torch.ones(1)},
    "auxiliary block": RIGHT | {"aux.STEblocks.0.op.A_logs": torch.zeros(4, 16)},
    "float64": {key: value.double() for key, value in RIGHT.items()},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_weights_are_found(name: str, tmp_path: Path) -> None:
    torch.save(WRAPPED[name], tmp_path / "w.ckpt")
    assert_right(tmp_path / "w.ckpt")


def test_safetensors_with_a_prefix(tmp_path: Path) -> None:
    safetensors.torch.save_file(prefixed("model."), tmp_path / "w.safetensors")
    assert_right(tmp_path / "w.safetensors")


SAID = {
    "a prefix": (prefixed("model."), "taking the keys that begin with 'model.', without it"),
    "a choice": ({"model": ZEROS, "model_ema": RIGHT},
                 "holds 2 sets of weights: taking the averaged weights 'model_ema', not 'model'"),
    "three": ({"a": ZEROS, "b": RIGHT, "c": RIGHT}, "3 sets of weights: taking the weights 'a'"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_was_taken_is_said(name: str, tmp_path: Path) -> None:
    content, says = SAID[name]
    torch.save(content, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match=says):
        read_checkpoint(tmp_path / "w.pth")


def test_of_an_official_file_the_guess_is_said_and_nothing_else() -> None:
    with pytest.warns() as said:
        read_checkpoint(TINY)
    assert [type(each.message) for each in said] == [Caution]
    assert "which-scan" in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_checkpoint(TINY, scan_order="v2")


@pytest.mark.parametrize(
    ("asked", "zeros"),
    [("averaged", False), ("raw", True), ("model", True), ("model_ema", False), (None, False)],
)
def test_weights_are_chosen(asked: str | None, zeros: bool, tmp_path: Path) -> None:
    torch.save({"model": ZEROS, "model_ema": RIGHT}, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match="2 sets"):
        state = read_checkpoint(tmp_path / "w.pth", weights=asked).state
    assert (not any(value.any() for value in state.values())) == zeros


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    torch.save({"model": ZEROS, "model_ema": RIGHT}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="has no weights 'emma': it has 'model', 'model_ema'"):
        read_checkpoint(tmp_path / "w.pth", weights="emma")


def test_our_own_run_gives_its_average(tmp_path: Path) -> None:
    content = {"model_pos": ZEROS, "average": list(RIGHT.values()), "train_config": "{}"}
    torch.save(content, tmp_path / "last.pth.tr")
    assert_right(tmp_path / "last.pth.tr")


def test_our_own_run_without_an_average(tmp_path: Path) -> None:
    torch.save({"model_pos": RIGHT, "average": [], "train_config": "{}"}, tmp_path / "last.pth.tr")
    assert_right(tmp_path / "last.pth.tr")


# --- archives and shards --------------------------------------------------------------------------


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "w.zip", "w") as archive:
        archive.write(TINY, "release/best.pth.tr")
        archive.writestr("release/README.md", "hello")
    return folder / "w.zip"


def zipped_folder(folder: Path) -> Path:
    """An unpacked checkpoint that somebody packed again, two levels down."""
    with zipfile.ZipFile(TINY) as inside, zipfile.ZipFile(folder / "w.zip", "w") as archive:
        for name in inside.namelist():
            archive.writestr(f"mine/S/{name.partition('/')[2]}", inside.read(name))
    return folder / "w.zip"


def tarred(folder: Path) -> Path:
    with tarfile.open(folder / "w.tar.gz", "w:gz") as archive:
        archive.add(TINY, "release/best.pth.tr")
    return folder / "w.tar.gz"


def gzipped(folder: Path) -> Path:
    (folder / "w.pth.gz").write_bytes(gzip.compress(TINY.read_bytes()))
    return folder / "w.pth.gz"


def safetensors_in_a_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "w.zip", "w") as archive:
        archive.writestr("w.safetensors", safetensors.torch.save(RIGHT))
    return folder / "w.zip"


def sharded(folder: Path, suffix: str = "safetensors") -> Path:
    keys = list(RIGHT)
    names = {key: f"model-{i % 3}.{suffix}" for i, key in enumerate(keys)}
    for name in set(names.values()):
        part = {key: RIGHT[key] for key in keys if names[key] == name}
        if suffix == "safetensors":
            safetensors.torch.save_file(part, folder / name)
        else:
            torch.save(part, folder / name)
    index = folder / f"model.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return index


PACKED: dict[str, Callable[[Path], Path]] = {
    "zip": zipped,
    "zip of an unpacked one": zipped_folder,
    "tar.gz": tarred,
    "gzip": gzipped,
    "safetensors in a zip": safetensors_in_a_zip,
    "shards": sharded,
    "shards of torch.save": lambda folder: sharded(folder, "bin"),
    "folder of shards": lambda folder: sharded(folder).parent,
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_checkpoints_are_read(name: str, tmp_path: Path) -> None:
    path = PACKED[name](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_checkpoint(path).state
    assert found.keys() == RIGHT.keys()
    assert all(torch.equal(found[key], RIGHT[key]) for key in RIGHT)


def test_a_shard_is_missing(tmp_path: Path) -> None:
    index = sharded(tmp_path)
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-1\.safetensors: no such file"):
        read_checkpoint(index)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "no 'weight_map'"),
        ("not json", "no 'weight_map'"),
        ('{"weight_map": {"a": "../secret.bin"}}', "'../secret.bin'"),
        ('{"weight_map": {}}', "'0 files'"),
        ('{"weight_map": []}', "no 'weight_map'"),
    ],
)
def test_bad_index(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "m.index.json").write_text(text)
    with pytest.raises(InputError, match=says.replace("..", r"\.\.")):
        read_checkpoint(tmp_path / "m.index.json")


# --- other files ----------------------------------------------------------------------------------

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 437255\n"
)
FOREIGN: dict[str, tuple[bytes, str]] = {
    "LFS pointer": (POINTER, "git lfs pull"),
    "LFS pointer after a mark": (b"\xef\xbb\xbf" + POINTER, "git lfs pull"),
    "web page": (b"<!DOCTYPE html><html><title>scan</title></html>", "web page"),
    "web page after blanks": (b"\n\n  <HTML>", "web page"),
    "XML error": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
    "JSON error": (b'{"error": "Repository not found"}', "JSON text"),
    "NumPy array": (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4'}", "NumPy array"),
    "ONNX Runtime file": (b"\x1c\x00\x00\x00ORTM" + bytes(60), "ONNX Runtime model"),
    "ONNX file": (b"\x08\x08\x12\x07pytorch\x1a\x052.13." + bytes(40), "exported from"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
    "GGUF": (b"GGUF" + bytes(40), "GGUF"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt"])
@pytest.mark.parametrize("name", FOREIGN)
def test_contents_decide_and_not_suffixes(name: str, suffix: str, tmp_path: Path) -> None:
    data, says = FOREIGN[name]
    (tmp_path / f"w{suffix}").write_bytes(data)
    with pytest.raises(InputError, match=says):
        read_checkpoint(tmp_path / f"w{suffix}")


@pytest.mark.parametrize("old", [False, True], ids=["zip", "stream"])
def test_a_torch_file_called_safetensors(old: bool, tmp_path: Path) -> None:
    state = dict(read_checkpoint(TINY).state)
    torch.save(state, tmp_path / "w.safetensors", _use_new_zipfile_serialization=not old)
    assert read_checkpoint(tmp_path / "w.safetensors").state.keys() == state.keys()


def test_sets_that_a_wrapper_tells_apart_have_names(tmp_path: Path) -> None:
    state = dict(read_checkpoint(TINY).state)
    wrapped = {f"module.{key}": value * 0 for key, value in state.items()}
    torch.save({"model_pos": state | wrapped}, tmp_path / "w.pth")
    with pytest.warns(UserWarning, match="taking the weights 'model_pos', not 'model_pos/module'"):
        assert read_checkpoint(tmp_path / "w.pth").state["head.1.bias"].any()
    chosen = read_checkpoint(tmp_path / "w.pth", weights="model_pos/module")
    assert not chosen.state["head.1.bias"].any()


def zeros(*names: str) -> State:
    return {name: torch.zeros(2) for name in names}


OTHERS: dict[str, tuple[State, str]] = {
    "MixSTE": (zeros("Spatial_pos_embed", "STEblocks.0.attn.qkv.weight", "head.1.bias",
                     "TTEblocks.0.attn.qkv.weight", "STEblocks.0.norm1.weight"), "MixSTE"),
    "PoseFormer": (zeros("Spatial_blocks.0.norm1.weight", "weighted_mean.weight"), "PoseFormer"),
    "MotionBERT": (zeros("temp_embed", "blocks_st.0.attn_s.qkv.weight"), "MotionBERT"),
    "MotionAGFormer": (zeros("joints_embed.weight", "layers.0.graph_spatial.mixer.bn1.weight"),
                       "MotionAGFormer"),
    "VideoPose3D": (zeros("expand_conv.weight", "layers_conv.0.weight"), "VideoPose3D"),
    "HRNet": (zeros("stage2.0.branches.0.0.conv1.weight", "transition1.0.0.weight"), "HRNet"),
    "YOLO": (zeros("model.0.conv.weight", "model.0.bn.weight"), "YOLO"),
    "a detector": ({"conv1.weight": torch.zeros(2),
                    "norm.num_batches_tracked": torch.tensor(3)}, "batch norm"),
    "FSDP shard": (zeros("_fsdp_wrapped_module._flat_param"), "FSDP shard"),
}  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_named(name: str, prefix: str, tmp_path: Path) -> None:
    state, says = OTHERS[name]
    torch.save({"epoch": 1, "model_pos": prefixed(prefix, state)}, tmp_path / "w.bin")
    with pytest.raises(InputError, match=f"not a PoseMamba checkpoint.*{says}") as caught:
        read_checkpoint(tmp_path / "w.bin")
    assert "rename" not in str(caught.value)


def test_the_demonstration_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_checkpoint("demo").config.variant == "S"
    assert read_checkpoint("demo-streaming").config.frames == 81
    (tmp_path / "demo").write_bytes(TINY.read_bytes())
    assert read_checkpoint("demo").config.frames == 27


def test_a_guessed_scan_order_is_called_one(tmp_path: Path) -> None:
    guessed = read_checkpoint(TINY)
    assert guessed.scan_order_guessed
    assert guessed.scan_order_source == "the default"
    assert not read_checkpoint(TINY, scan_order="bs-bt").scan_order_guessed
    assert not read_checkpoint("demo").scan_order_guessed


def test_bytes_of_archives_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posemamba.checkpoint.archives.MAX_BYTES", 1000)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.pth", bytes(100_000))
    (tmp_path / "bomb.zip").write_bytes(stream.getvalue())
    with pytest.raises(InputError, match="holds more than"):
        read_checkpoint(tmp_path / "bomb.zip")


def test_an_archive_in_an_archive_is_refused(tmp_path: Path) -> None:
    """One can hold itself, so a second one is not opened."""
    inner = zipped(tmp_path)
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(inner, "release/w.pth")
    with pytest.raises(InputError, match="is in two archives: unpack one"):
        read_checkpoint(tmp_path / "outer.zip")
