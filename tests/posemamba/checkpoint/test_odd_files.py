"""Files that other trainers, hubs and broken downloads leave: the right weights, or what it is."""

from __future__ import annotations

import argparse
import bz2
import collections
import datetime
import io
import lzma
import pickle
import sys
import tarfile
import types
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from places import GOLDEN, TINY
from right_weights import RIGHT, ZEROS, State, assert_right
from torch import Tensor, nn

from posemamba.checkpoint.containers import read_weight_file
from posemamba.checkpoint.read import read_checkpoint
from posemamba.checkpoint.weight_sets import find_weight_sets
from posemamba.errors import InputError

LIST = [value.clone() for value in RIGHT.values()]
IN_PROJ = "STEblocks.0.op.in_proj.weight"


class EasyDict(dict):  # type: ignore[type-arg]
    """Pickles as the package's: a dictionary with its items as attributes too."""

    def __init__(self, **items: object) -> None:
        super().__init__(items)
        self.__dict__.update(items)


@pytest.fixture(autouse=True)
def easydict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name that the package pickles by; whoever reads the file has no such module."""
    module = types.ModuleType("easydict")
    monkeypatch.setattr(EasyDict, "__module__", "easydict")
    module.EasyDict = EasyDict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easydict", module)


def array(tensor: Tensor, kind: str, order: str = "C") -> Any:
    return np.array(tensor.numpy(), dtype=kind, order=order)  # type: ignore[call-overload]


#: Around the same weights.
WHOLE: dict[str, Any] = {
    "torch_ema": {"model": ZEROS, "ema": {"decay": 0.9, "shadow_params": LIST,
                                          "collected_params": list(ZEROS.values())}},
    "averaged parameters": {"model": ZEROS, "ema": [nn.Parameter(value) for value in LIST]},
    "an average and its backup": {"model": ZEROS, "ema": {"backup": ZEROS, "shadow": RIGHT}},
    "ModelEMA": {"model": ZEROS, "modelEMA": RIGHT},
    "EMAModel": {"EMAModel": RIGHT, "model": ZEROS},
    "polyak": {"params": ZEROS, "params_polyak": RIGHT},
    "a list of nobody's": {"model": RIGHT, "parameters": list(ZEROS.values())},
    "counters of an average": RIGHT | {"decay": torch.tensor(0.99), "num_updates": torch.tensor(3)},
    "an optimizer's lists": {"model": RIGHT, "optimizer": {"exp_avg": list(ZEROS.values())}},
    "an optimizer's names": {"model": RIGHT, "exp_avg": ZEROS, "exp_avg_sq": ZEROS},
    "DeepSpeed": {"module": RIGHT, "ds_config": {}, "dp_world_size": 1},
    "Namespace": {"model": RIGHT, "args": argparse.Namespace(lr=0.1, depth=[1, 2])},
    "SimpleNamespace": {"model": RIGHT, "args": types.SimpleNamespace(lr=0.1)},
    "paths and dates": {"model": RIGHT, "at": [Path("runs/1"), datetime.datetime(2026, 1, 1)]},
    "defaultdict": {"model": RIGHT, "log": collections.defaultdict(list, loss=[0.1])},
    "arrays in the log": {"model": RIGHT, "log": [np.zeros((2, 3)), np.arange(4)]},
    "weights as arrays": {"model": {key: array(value, "<f4") for key, value in RIGHT.items()}},
    "Fortran's arrays": {key: array(value, "<f4", "F") for key, value in RIGHT.items()},
    "big-endian arrays": {key: array(value, ">f4") for key, value in RIGHT.items()},
    "views of one tensor": dict(zip(RIGHT, torch.cat([value.flatten() for value in LIST]).split(
        [value.numel() for value in LIST]), strict=True)),
    "transposed views": {key: value.T.contiguous().T if value.ndim == 2 else value
                         for key, value in RIGHT.items()},
}  # fmt: skip
WHOLE["views of one tensor"] = {
    key: flat.view(RIGHT[key].shape) for key, flat in WHOLE["views of one tensor"].items()
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_weights_are_found(name: str, tmp_path: Path) -> None:
    torch.save(WHOLE[name], tmp_path / "w.pth")
    assert_right(tmp_path / "w.pth")


def test_settings_are_found(tmp_path: Path) -> None:
    """Apart from the rest: its class has its name only while a test runs."""
    torch.save({"model": RIGHT, "args": EasyDict(lr=1, sub=EasyDict(a=[1]))}, tmp_path / "w.pth")
    assert_right(tmp_path / "w.pth")


def test_no_class_of_settings_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"model": RIGHT, "args": argparse.Namespace(a=1), "e": EasyDict(a=1)},
               tmp_path / "w.pth")  # fmt: skip

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a class named in the file was made")

    for kind in (argparse.Namespace, EasyDict):
        monkeypatch.setattr(kind, "__init__", refuse)
        monkeypatch.setattr(kind, "__setstate__", refuse, raising=False)
    assert_right(tmp_path / "w.pth")


def test_a_learned_number_is_no_counter(tmp_path: Path) -> None:
    torch.save(RIGHT | {"pose_scale": torch.tensor(2.0)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="unexpected key 'pose_scale'"):
        read_checkpoint(tmp_path / "w.pth")


def test_sets_and_keys_that_are_settings_are_told(tmp_path: Path) -> None:
    torch.save({"model": RIGHT, "args": {Path("a"), Path("b")}}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="its settings hold a set or a dictionary of paths"):
        read_checkpoint(tmp_path / "w.pth")


def test_bones_are_told_by_a_list_of_averages_too(tmp_path: Path) -> None:
    """Their buffer is no parameter: a list lacks it, the set beside it has it."""
    path = GOLDEN / "forks" / "bones_4dir_5ch.pth.tr"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = read_checkpoint(path)
        stored = find_weight_sets(read_weight_file(path).content)[0].tensors
        lists = [value for key, value in stored.items() if key != "joint_to_limb"]
        torch.save({"model": stored, "ema": {"shadow_params": lists}}, tmp_path / "w.pth")
        found = read_checkpoint(tmp_path / "w.pth")
    assert found.config.bones
    assert (found.config.bones, found.config.channels) == (
        alone.config.bones,
        alone.config.channels,
    )


def test_a_shared_tensor_stands_once_in_a_list_of_parameters(tmp_path: Path) -> None:
    """As in a fork's checkpoint: one step bias under two names, and a buffer between."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = read_checkpoint(GOLDEN / "forks" / "jointdelta_4dir_2ch.pth.tr").state
    shared = state["msm.bias"]
    stored = {key: shared if key.endswith("msm.bias") else value for key, value in state.items()}
    stored["joint_to_limb"] = torch.zeros(17, 16)
    own = {id(value): value for key, value in stored.items() if key != "joint_to_limb"}
    twice = [2 * value for value in own.values()]
    torch.save({"model": stored, "ema": {"shadow_params": twice}}, tmp_path / "w.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_checkpoint(tmp_path / "w.pth").state
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], 2 * state[key]) for key in state)


# --- folders and archives -------------------------------------------------------------------------


def in_folder(names: dict[str, Any]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        for name, content in names.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (folder / name).write_bytes(content)
            elif name.endswith(".safetensors"):
                safetensors.torch.save_file(content, folder / name)
            else:
                torch.save(content, folder / name)
        return folder

    return build


def tarred(suffix: str, compress: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(TINY, "release/best.pth.tr")
            left = tarfile.TarInfo("release/._best.pth.tr")  # what macOS adds
            left.size = 3
            archive.addfile(left, io.BytesIO(b"mac"))
        (folder / f"w.tar{suffix}").write_bytes(compress(stream.getvalue()))
        return folder / f"w.tar{suffix}"

    return build


OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(1.0)}}}
PLACES: dict[str, Callable[[Path], Path]] = {
    "a hub's folder": in_folder({"pytorch_model.bin": RIGHT, "config.json": b"{}"}),
    "Accelerate": in_folder({"model.safetensors": RIGHT, "optimizer.bin": OPTIMIZER,
                             "scheduler.bin": {}, "random_states_0.pkl": b"x"}),
    "DeepSpeed": in_folder({
        "latest": b"global_step9",
        "global_step9/mp_rank_00_model_states.pt": {"module": RIGHT},
        "global_step9/zero_pp_rank_0_mp_rank_00_optim_states.pt": OPTIMIZER,
    }),
    "macOS leftovers": in_folder({"run/best.pth": RIGHT, "run/._best.pth": b"x",
                                  "__MACOSX/run/best.pth": b"x"}),
    "tar": tarred("", bytes),
    "bzip2": tarred(".bz2", bz2.compress),
    "xz": tarred(".xz", lzma.compress),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_the_weights_in_it_are_read(name: str, tmp_path: Path) -> None:
    assert_right(PLACES[name](tmp_path))


def test_a_zip_of_weights_and_settings_is_no_program(tmp_path: Path) -> None:
    torch.save(RIGHT, tmp_path / "best.pth")
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(tmp_path / "best.pth", "models/best.pth")
        archive.writestr("models/config.json", "{}")
        archive.writestr("run/constants.pkl", "x")
    assert_right(tmp_path / "w.zip")


def test_a_config_above_the_file_counts(tmp_path: Path) -> None:
    made = in_folder({"checkpoints/best.bin": RIGHT, "config.yaml": b"scan_order: bs-bt\n"})
    assert read_checkpoint(made(tmp_path)).config.scan_order == "bs-bt"


def test_a_config_in_the_folder_counts(tmp_path: Path) -> None:
    folder = in_folder({"S/best.pth": RIGHT, "S/config.yaml": b"scan_order: bs-bt\n"})(tmp_path)
    found = read_checkpoint(folder)
    assert found.config.scan_order == "bs-bt"
    assert found.path == tmp_path / "S" / "best.pth"


def zip_of(records: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return stream.getvalue()


def script(folder: Path) -> Path:
    torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(folder / "w.pt"))
    return folder / "w.pt"


def unpacked_script(folder: Path) -> Path:
    with zipfile.ZipFile(script(folder)) as archive:
        archive.extractall(folder / "unpacked")
    (folder / "w.pt").unlink()
    return folder / "unpacked"


def program(folder: Path) -> Path:
    exported = torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),))
    torch.export.save(exported, folder / "w.pt2")
    return folder / "w.pt2"


SHARDS = in_folder({"a-00001-of-00002.safetensors": dict(list(RIGHT.items())[::2])})
ODD_PLACES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "two ranks": (in_folder({"mp_rank_00_model_states.pt": RIGHT, "mp_rank_01_x.pt": RIGHT}),
                  "2 files of weights: pass one of 'mp_rank_00_model_states.pt'"),
    "an optimizer alone": (in_folder({"optimizer.bin": OPTIMIZER}), "an optimizer's: pass"),
    "one shard": (lambda folder: SHARDS(folder) / "a-00001-of-00002.safetensors",
                  "shard 1 of 2, pass their index or folder: missing key"),
    "TorchScript": (script, "a TorchScript archive"),
    "TorchScript, unpacked": (unpacked_script, "a TorchScript archive"),
    "torch.export": (program, "a program of torch.export"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_PLACES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_it_is_is_said(name: str, tmp_path: Path) -> None:
    build, says = ODD_PLACES[name]
    with pytest.raises(InputError, match=says) as caught:
        read_checkpoint(build(tmp_path))
    assert str(caught.value).isprintable()


BYTES: dict[str, tuple[bytes, str]] = {
    "a server's answer": (b"404: Not Found", "a text that begins with '404: Not Found'"),
    "a drive's answer": ("Google Drive - à vérifier".encode(), "a text that begins with 'Google"),
    "base64": (b"UEsDBAAACAgAAAAAAAAAAAAAAAAA" * 99, "a text that begins with 'UEsDB"),
    "zeros": (bytes(5000), "zero bytes"),
    "GGML": (b"lmgg" + bytes(99), "GGML"),
    "Zstandard": (b"\x28\xb5\x2f\xfd" + bytes(99), "a Zstandard archive"),
    "Flax": (b"\x81\xa6params" + bytes(99), "msgpack"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + bytes(99), "TensorFlow Lite"),
    "TensorRT": (b"ftrt" + bytes(99), "a TensorRT engine"),
    "Keras": (zip_of({"config.json": b"{}", "model.weights.h5": b""}), "a Keras archive"),
    "PyTorch 0.1": (zip_of({"sys_info": b"", "pickle": b"", "tensors": b""}), "PyTorch 0.1"),
    "a zip of an ONNX model": (zip_of({"S/m.onnx": b""}), "an archive of an ONNX model"),
    "zip of shards": (zip_of({"m.index.json": b"", "a.bin": b"", "b.bin": b""}), "pass the folder"),
    "pickle": (pickle.dumps({"a": 1}, 2), "a pickle that torch.save did not write"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", BYTES)
def test_what_the_bytes_are_is_said(name: str, suffix: str, tmp_path: Path) -> None:
    data, says = BYTES[name]
    if suffix == ".safetensors" and name in ("Keras", "PyTorch 0.1", "zip of shards", "pickle",
                                             "a zip of an ONNX model"):  # fmt: skip
        suffix = ""  # of these the suffix says that they are no zip and no pickle
    (tmp_path / f"w{suffix}").write_bytes(data)
    with pytest.raises(InputError, match=says):
        read_checkpoint(tmp_path / f"w{suffix}")


def zeros(*names: str) -> State:
    return {name: torch.zeros(2) for name in names}


def weird(key: str, change: Callable[[Tensor], Tensor]) -> State:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's, that sparse tensors are young
        return RIGHT | {key: change(RIGHT[key])}


SAVED: dict[str, tuple[Any, str]] = {
    "a list without names": ({"ema": {"shadow_params": LIST}},
                             "88 tensors in a list, 'ema/shadow_params', without names"),
    "ZeRO-3": ({"module": {key: torch.empty(0) for key in RIGHT}}, "zero_to_fp32"),
    "optimizer": ({"optimizer": OPTIMIZER}, "an optimizer's: pass the file of the weights"),
    "sparse": (weird(IN_PROJ, Tensor.to_sparse_csr), "save it as to_dense"),
    "int8": (weird(IN_PROJ, Tensor.char), "a quantised network, pass the one it was made from"),
    "float8": (weird(IN_PROJ, lambda t: t.to(torch.float8_e4m3fn)), "a quantised network"),
    "meta": (weird(IN_PROJ, lambda t: t.to("meta")), "saved without its numbers"),
    "array of objects": ({"model": RIGHT, "x": np.array([{}], dtype=object)}, "refused.*'O8'"),
    "a rotation head": (RIGHT | {"head_rot.1.weight": torch.zeros(6, 32)}, "delete 'head_rot.*'"),
    "another convolution": (
        {key.replace("conv2d", "conv_dw"): value for key, value in RIGHT.items()},
        "unexpected key .*conv_dw.* it is of ASGM-Pose's two convolutions",
    ),
    "MixSTE": (zeros("STEblocks.0.attn.qkv.weight", "TTEblocks.0.attn.qkv.weight"), "MixSTE or a"),
    "STCFormer": (zeros("stcformer.stc_block.0.norm.weight"), "those of STCFormer"),
    "PoseFormerV2": (zeros("Freq_embedding.weight", "blocks.0.attn.qkv.weight",
                           "Spatial_blocks.0.norm1.weight", "weighted_mean.weight"),
                     "those of PoseFormerV2"),
    "HGMamba": (zeros("layers.0.mamba.forward_backward_mamba.in_proj.weight"), "HGMamba"),
    "SemGCN": (zeros("gconv_input.0.gconv.W", "gconv_output.W"), "SemGCN"),
    "GraFormer": (zeros("gconv_input.weight", "atten_layers.0.norm.weight"), "GraFormer"),
    "SimpleBaseline": (zeros("w1.weight", "linear_stages.0.w1.weight"), "SimpleBaseline"),
    "a transformer": (zeros("visual.blocks.0.attn.in_proj_weight"), "those of a transformer"),
    "Mamba-1": (zeros("ssm.0.A_log", "ssm.0.x_proj.weight"), "export-module"),
    "Mamba-2": (zeros("ssm.0.A_log", "ssm.0.dt_bias"), "Mamba-2"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAVED)
def test_what_was_saved_is_said(name: str, tmp_path: Path) -> None:
    content, says = SAVED[name]
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=says):
        read_checkpoint(tmp_path / "w.pth")
