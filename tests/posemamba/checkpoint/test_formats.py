"""Every form a good checkpoint comes in loads to the same weights."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from places import GOLDEN as GOLDEN_FOLDER
from torch import Tensor

from posemamba.checkpoint.read import load_checkpoint, read_checkpoint
from posemamba.checkpoint.save import save_checkpoint
from posemamba.config import PoseMambaConfig
from posemamba.errors import InputError
from posemamba.model.network import PoseMamba

GOLDEN = GOLDEN_FOLDER / "official_tiny.pth.tr"
GOLDEN_SHA256 = "b8da1891c96300f55f8891da58da40891963dd2f3aa55180f20f59864ef7f2c0"


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(read_checkpoint(GOLDEN).state)


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_official_file_loads_unchanged() -> None:
    checkpoint = read_checkpoint(GOLDEN)
    assert checkpoint.config == PoseMambaConfig(d_model=32, depth=2, frames=27)
    assert checkpoint.sha256 == GOLDEN_SHA256
    assert checkpoint.path == GOLDEN
    assert checkpoint.epoch == 120
    assert checkpoint.min_loss == pytest.approx(38.1)
    assert checkpoint.scan_order_source == "the default"
    assert all(t.dtype == torch.float32 and t.is_contiguous() for t in checkpoint.state.values())
    assert not any(key.startswith("module.") for key in checkpoint.state)


@pytest.mark.parametrize(
    ("order", "file"),
    [
        ("global-local", "official_tiny_io.npz"),
        ("bidirectional", "official_tiny_v2_io.npz"),
        ("fs-ft", "official_tiny_v2_fs_ft_io.npz"),
        ("fs-bt", "official_tiny_v2_fs_bt_io.npz"),
        ("bs-ft", "official_tiny_v2_bs_ft_io.npz"),
        ("bs-bt", "official_tiny_v2_bs_bt_io.npz"),
    ],
)
def test_loaded_model_gives_the_official_output(order: str, file: str) -> None:
    model = load_checkpoint(GOLDEN, scan_order=order).set_scan("reference")
    assert not model.training
    assert model.config.scan_order == order
    golden = np.load(GOLDEN_FOLDER / file)
    with torch.no_grad():
        poses_3d = model(torch.from_numpy(golden["keypoints_2d"]))
    # The bound for fp32; the golden outputs come from an fp64 scan.
    assert np.abs(poses_3d.numpy() - golden["poses_3d"]).max() < 2e-5


# --- containers ---------------------------------------------------------------------------------


def wrapped(state: dict[str, Tensor]) -> dict[str, object]:
    return {"epoch": 3, "lr": 1e-4, "optimizer": None, "model_pos": state, "min_loss": 40.5}


@pytest.mark.parametrize("name", ["best.bin", "best.pth", "best.pth.tr", "best.pt", "no_suffix"])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("bare", [False, True], ids=["model_pos", "bare"])
def test_torch_files(
    name: str, legacy: bool, bare: bool, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / name
    torch.save(state if bare else wrapped(state), path, _use_new_zipfile_serialization=not legacy)
    checkpoint = read_checkpoint(path)
    assert_same(checkpoint.state, state)
    assert checkpoint.epoch == (None if bare else 3)
    assert checkpoint.min_loss == (None if bare else 40.5)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrapper", ["model_pos", "model", "state_dict"])
def test_prefixes_and_wrappers(
    prefix: str, wrapper: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "x.pth"
    torch.save({wrapper: {prefix + key: value for key, value in state.items()}}, path)
    assert_same(read_checkpoint(path).state, state)


def test_keys_a_profiler_left_are_ignored(state: dict[str, Tensor], tmp_path: Path) -> None:
    counted = state | {"total_ops": torch.zeros(1), "STEblocks.0.op.total_params": torch.zeros(1)}
    torch.save(counted, tmp_path / "x.pth")
    assert_same(read_checkpoint(tmp_path / "x.pth").state, state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_float_types_become_float32(
    dtype: torch.dtype, suffix: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / f"x{suffix}"
    stored = {key: value.to(dtype) for key, value in state.items()}
    if suffix == ".pth":
        torch.save(stored, path)
    else:
        safetensors.torch.save_file(stored, path)
    assert_same(read_checkpoint(path).state, {key: value.float() for key, value in stored.items()})


def test_zip_that_was_compressed_again(state: dict[str, Tensor], tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(GOLDEN) as source,
        zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for record in source.namelist():
            target.writestr(record, source.read(record))
    assert_same(read_checkpoint(tmp_path / "x.zip").state, state)


# --- unpacked folders ---------------------------------------------------------------------------


def as_is(folder: Path) -> Path:
    return folder / "official_tiny.pth"


def one_level_up(folder: Path) -> Path:
    return folder


def two_levels_up(folder: Path) -> Path:
    return folder.parent


def without_hidden_files(folder: Path) -> Path:
    for hidden in folder.rglob(".*"):
        if hidden.is_file():
            hidden.unlink()
    (folder / "official_tiny.pth" / "version").unlink()
    return folder


def with_mac_leftovers(folder: Path) -> Path:
    (folder / "__MACOSX" / "official_tiny.pth").mkdir(parents=True)
    (folder / "__MACOSX" / "official_tiny.pth" / "data.pkl").write_bytes(b"resource fork")
    (folder / "official_tiny.pth" / "data" / ".DS_Store").write_bytes(b"x")
    (folder / "official_tiny.pth" / "data" / "sub").mkdir()
    return folder


@pytest.mark.parametrize(
    "arrange", [as_is, one_level_up, two_levels_up, without_hidden_files, with_mac_leftovers]
)
def test_unpacked_folder(
    arrange: Callable[[Path], Path], state: dict[str, Tensor], tmp_path: Path
) -> None:
    folder = tmp_path / "given" / "x"
    with zipfile.ZipFile(GOLDEN) as archive:
        archive.extractall(folder)
    path = arrange(folder)
    before = sorted(tmp_path.rglob("*"))
    checkpoint = read_checkpoint(path)
    assert_same(checkpoint.state, state)
    assert checkpoint.min_loss == pytest.approx(38.1)
    assert len(checkpoint.sha256) == 64
    assert checkpoint.sha256 == read_checkpoint(path).sha256
    assert sorted(tmp_path.rglob("*")) == before, "reading wrote something"


def test_the_hash_of_a_folder_depends_on_its_weights(tmp_path: Path) -> None:
    with zipfile.ZipFile(GOLDEN) as archive:
        archive.extractall(tmp_path)
    first = read_checkpoint(tmp_path).sha256
    record = tmp_path / "official_tiny.pth" / "data" / "0"
    record.write_bytes(record.read_bytes()[:-4] + b"\0\0\0\0")
    assert read_checkpoint(tmp_path).sha256 != first


# --- NumPy scalars ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        np.float64(38.125),
        np.float32(38.125),
        np.float16(38.125),
        np.int64(-3),
        np.int32(7),
        np.uint8(200),
        np.array(2.5, dtype=">f8")[()],
    ],
    ids=lambda value: str(value.dtype),
)
@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_scalars_of_both_numpy_generations(
    value: np.generic, module: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    """Old and new NumPy write another module name; the file must not depend on which is here."""
    buffer = io.BytesIO()
    torch.save({"model_pos": state, "min_loss": value}, buffer)
    with (
        zipfile.ZipFile(buffer) as source,
        zipfile.ZipFile(tmp_path / "x.pth", "w") as target,
    ):
        for record in source.namelist():
            data = source.read(record)
            if record.endswith("data.pkl"):
                here = f"c{value.__reduce__()[0].__module__}\n".encode()
                assert here in data
                data = data.replace(here, f"c{module}\n".encode())
            target.writestr(record, data)
    assert read_checkpoint(tmp_path / "x.pth").min_loss == float(value)


def test_numpy_bool_is_no_loss(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({"model_pos": state, "min_loss": np.bool_(True)}, tmp_path / "x.pth")
    assert read_checkpoint(tmp_path / "x.pth").min_loss is None


# --- safetensors --------------------------------------------------------------------------------


def test_save_and_load_again(tmp_path: Path) -> None:
    limbs = tuple(reversed(range(17)))
    config = PoseMambaConfig(
        d_model=16, depth=1, frames=9, scan_order="bs-bt", limb_index=limbs, drop_path=0.1
    )
    model = PoseMamba(config)
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"an older file")
    save_checkpoint(model, path, {"note": "untrained"})
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]
    checkpoint = read_checkpoint(path)
    assert checkpoint.config == config
    assert checkpoint.scan_order_source == "the safetensors header"
    assert_same(checkpoint.state, model.state_dict())
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata()["note"] == "untrained"
        assert json.loads(file.metadata()["config"])["scan_order"] == "bs-bt"


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    model = load_checkpoint(GOLDEN)
    path = tmp_path / "same.safetensors"
    written = set()
    for _ in range(8):  # safetensors alone would order the header at random each time
        save_checkpoint(model, path, {"note": "one", "training": "two", "licence": "three"})
        written.add(path.read_bytes())
    assert len(written) == 1
    assert load_checkpoint(path).config == model.config


@pytest.mark.parametrize(
    ("name", "metadata", "says"),
    [
        ("m.pth", None, "end the name in .safetensors"),
        ("m.safetensors", {"config": "mine"}, "reserved"),
        ("absent/m.safetensors", None, "does not exist"),
        ("folder.safetensors", None, "is a directory"),
    ],
)
def test_save_refuses(
    name: str, metadata: dict[str, str] | None, says: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    model = PoseMamba(PoseMambaConfig(d_model=16, depth=1, frames=9))
    with pytest.raises(InputError, match=says) as caught:
        save_checkpoint(model, tmp_path / name, metadata)
    assert Path(name).name in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.safetensors"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"scan_order": "sideways"}, "unknown scan order 'sideways'"),
        ({"limb_index": [0, 1]}, "limb_index"),
        ({"limb_index": "abc"}, "limb_index"),
        ({"drop_path": 7}, "drop_path"),
    ],
)
def test_a_header_that_no_network_fits(
    config: dict[str, object], says: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(state, path, {"config": json.dumps(config)})
    with pytest.raises(InputError, match=says) as caught:
        read_checkpoint(path)
    assert "x.safetensors: " in str(caught.value)


@pytest.mark.parametrize("text", ["not JSON", "[1]", "{}", "[" * 100_000])
def test_a_header_of_somebody_else(text: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file(state, path, {"config": text})
    assert read_checkpoint(path).scan_order_source == "the default"
