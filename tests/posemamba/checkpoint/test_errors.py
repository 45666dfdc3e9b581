"""Bad checkpoints: each is one line that names the file, and nothing in it is ever executed."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from places import TINY as GOLDEN
from torch import Tensor

from posemamba.checkpoint.read import read_checkpoint
from posemamba.errors import InputError

MAX_LINE = 400

State = dict[str, Any]
Case = tuple[Callable[[Path], Path], str]
CASES: dict[str, Case] = {}


def case(name: str, says: str, build: Callable[[Path], Path]) -> None:
    """Register a bad checkpoint: ``build`` writes it into a folder, the error contains ``says``."""
    assert name not in CASES
    CASES[name] = (build, says)


def golden_state() -> State:
    return dict(read_checkpoint(GOLDEN).state)


def saved(content: object, name: str = "bad.pth", **options: bool) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        torch.save(content, folder / name, **options)
        return folder / name

    return build


def written(data: bytes, name: str = "bad.pth.tr") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return build


def changed(change: Callable[[State], object]) -> Callable[[Path], Path]:
    """The golden weights after ``change`` edited their state dict in place."""

    def build(folder: Path) -> Path:
        state = golden_state()
        change(state)
        return saved({"model_pos": state, "epoch": 1})(folder)

    return build


def replaced(key: str, edit: Callable[[Tensor], object]) -> Callable[[Path], Path]:
    return changed(lambda state: state.update({key: edit(state[key].clone())}))


def every(pattern: str, edit: Callable[[Tensor], Tensor]) -> Callable[[Path], Path]:
    return changed(
        lambda state: state.update({k: edit(v) for k, v in state.items() if k.endswith(pattern)})
    )


def filled(value: float) -> Callable[[Tensor], Tensor]:
    def edit(tensor: Tensor) -> Tensor:
        tensor.view(-1)[3] = value
        return tensor

    return edit


# --- damaged bytes ------------------------------------------------------------------------------

ZIP = GOLDEN.read_bytes()


def legacy_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save({"model_pos": golden_state()}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


LEGACY = legacy_bytes()
SAFE = safetensors.torch.save(golden_state())

for cut in (1, 4, 30, 100, 5000, 60_000, 200_000, len(ZIP) - 2000, len(ZIP) - 1):
    case(f"zip cut at {cut}", ": ", written(ZIP[:cut]))
# Its length differs from run to run (storage keys are addresses), so it names no case.
for cut in (1, 2, 20, 150, 3000, 9000, 60_000, -3):
    case(f"legacy cut at {cut}", ": ", written(LEGACY[:cut]))
for cut in (4, 8, 100, 5000, 60_000, len(SAFE) - 1):
    case(f"safetensors cut at {cut}", "safetensors", written(SAFE[:cut], "bad.safetensors"))
for seed in range(8):
    noise = np.random.default_rng(seed)
    case(f"random bytes {seed}", ": ", written(noise.bytes(4096)))
    case(f"pickle then random bytes {seed}", ": ", written(b"\x80\x02" + noise.bytes(4096)))
    patch = bytearray(ZIP)
    where = int(noise.integers(0, len(ZIP) - 64))
    patch[where : where + 64] = noise.bytes(64)
    case(f"zip with 64 bytes overwritten {seed}", ": ", written(bytes(patch)))
case("empty file", "is empty", written(b""))
case("empty safetensors", "is empty", written(b"", "bad.safetensors"))
case("zero bytes", "not a checkpoint", written(bytes(4096)))
case("text", "not a checkpoint", written(b"epoch 3, loss 38.1\n" * 50))
case("JPEG", "JPEG", written(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(500)))
case("HTML of a failed download", "HTML", written(b"<!DOCTYPE html><html>quota</html>"))
case("git LFS pointer", "git lfs pull", written(b"version https://git-lfs.github.com/spec/v1\n"))
case("gzip", "truncated or corrupt archive", written(b"\x1f\x8b\x08" + bytes(100)))
case("tar", "truncated or corrupt archive", written(bytes(257) + b"ustar" + bytes(600)))
case("plain pickle", ": ", written(pickle.dumps({"model_pos": {}}, protocol=4)))
case(
    "safetensors header too long",
    "safetensors",
    written((1 << 40).to_bytes(8, "little") + b"{}", "bad.safetensors"),
)


def zip_of(folder: Path, records: dict[str, bytes], name: str = "bad.pth") -> Path:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for record, data in records.items():
            archive.writestr(record, data)
    return folder / name


def golden_records() -> dict[str, bytes]:
    with zipfile.ZipFile(GOLDEN) as archive:
        return {
            n.replace("official_tiny.pth", "archive"): archive.read(n) for n in archive.namelist()
        }


def without_record(folder: Path) -> Path:
    records = golden_records()
    del records["archive/data/7"]
    return zip_of(folder, records)


def shortened_record(folder: Path) -> Path:
    records = golden_records()
    return zip_of(folder, records | {"archive/data/6": records["archive/data/6"][:-4]})


case("zip of a broken file", "no known format", lambda f: zip_of(f, {"S/best.pth.tr": b"x"}))
case("zip of pictures", "archive of no checkpoint", lambda f: zip_of(f, {"S/a.png": b"x"}))
case(
    "zip of two",
    "several checkpoints",
    lambda f: zip_of(f, {"a.pth": b"x", "b/c.safetensors": b"y"}),
)
case("npz", "NumPy archive", lambda f: zip_of(f, {"x.npy": b"\x93NUMPY"}, "bad.npz"))
case("zip without a tensor record", "data/7", without_record)
case("zip with a short tensor record", ": ", shortened_record)
case("zip with an empty data.pkl", ": ", lambda f: zip_of(f, {"archive/data.pkl": b""}))

# --- paths --------------------------------------------------------------------------------------


def unpacked(folder: Path, records: dict[str, bytes], name: str = "bad") -> Path:
    for record, data in records.items():
        file = folder / name / record
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder / name


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "bad.pth")
    return folder / "bad.pth"


def symlink_loop(folder: Path) -> Path:
    (folder / "bad.pth").symlink_to(folder / "bad.pth")
    return folder / "bad.pth"


def unpacked_without(folder: Path) -> Path:
    records = golden_records()
    del records["archive/data/7"]
    return unpacked(folder, records)


def two_unpacked(folder: Path) -> Path:
    return unpacked(folder, {"S/data.pkl": b"", "B/data.pkl": b""})


def misspelt(folder: Path) -> Path:
    shutil.copy(GOLDEN, folder / "best_epoch.bin")
    return folder / "bets_epoch.bin"


case("nonexistent", "no such file", lambda folder: folder / "bad.pth")
case("nonexistent folder", "nor its folder", lambda folder: folder / "nowhere" / "bad.pth")
case("misspelt", "did you mean 'best_epoch.bin'", misspelt)
case("below a file", "no such file", lambda folder: written(b"x", "f")(folder) / "bad.pth")
case("NUL in the path", "no such file", lambda folder: folder / "bad\0.pth")
case("newline in the path", "no such file", lambda folder: folder / "bad\nname.pth")
case("name too long", "cannot be read", lambda folder: folder / ("n" * 5000))
case("symlink loop", "no such file", symlink_loop)
case("fifo", "not a regular file", fifo)
case("empty folder", "folder without weights", lambda folder: folder)
case(
    "folder of files",
    "2 files of weights: pass one of 'x.bin', 'y/z.pth'",
    lambda f: unpacked(f, {"x.bin": b"x", "y/z.pth": b"x"}),
)
case("two unpacked checkpoints", "holds 2 unpacked", two_unpacked)
case("unpacked without a tensor file", "data/7", unpacked_without)
case("unpacked with an empty data.pkl", ": ", lambda f: unpacked(f, {"data.pkl": b""}))
case(
    "data.pkl of an unpacked folder",
    "pass the folder",
    lambda f: unpacked(f, golden_records()) / "archive" / "data.pkl",
)

# --- wrong content ------------------------------------------------------------------------------

OP = "STEblocks.1.op."
resnet = {f"layer{n}.conv.weight": torch.zeros(8, 8, 3, 3) for n in range(50)}

case("list", "holds a list", saved([torch.zeros(2)]))
case("tensor", "holds a Tensor", saved(torch.zeros(2)))
case("empty dict", "no weights", saved({}))
case("no weights", "it has 'epoch' (int), 'lr' (float)", saved({"epoch": 3, "lr": 0.1}))
case("model_pos is a list", "'model_pos' (list)", saved({"model_pos": [1]}))
case("empty model_pos", "'model_pos' (dict)", saved({"model_pos": {}}))
case("another network", "not a PoseMamba checkpoint: no key 'STEblocks.0.op.*'", saved(resnet))
case("an integer key", "of type int, not a name", changed(lambda s: s.update({3: torch.zeros(1)})))
case("int64", "torch.int64", replaced("head.1.bias", lambda t: t.long()))
case("bool", "torch.bool", replaced(OP + "Ds", lambda t: t > 0))
case("complex", "torch.complex64", replaced(OP + "Ds", lambda t: t + 0j))
case("sparse", "torch.sparse_coo", replaced("head.1.weight", lambda t: t.to_sparse()))
case("NaN", f"'{OP}A_logs' of shape (256, 16)", replaced(OP + "A_logs", filled(float("nan"))))
case("Inf", "NaN or Inf in 3 of its 3", replaced("head.1.bias", lambda t: t / 0))
case(
    "float64 beyond float32",
    "NaN or Inf in 1 of its 32",
    replaced("head.0.bias", lambda t: filled(1e300)(t.double())),
)
case(
    "missing key",
    "missing key 'head.1.weight': expected shape (3, 32), found none",
    changed(lambda s: s.pop("head.1.weight")),
)
case(
    "missing position embedding",
    "missing key 'Spatial_pos_embed': expected shape (1, 17, 32), found none",
    changed(lambda s: s.pop("Spatial_pos_embed")),
)
case(
    "renamed key",
    "'head.1.wieght' looks like it",
    changed(lambda s: s.update({"head.1.wieght": s.pop("head.1.weight")})),
)
case(
    "unexpected key",
    "unexpected key 'extra.weight' of shape (3,)",
    changed(lambda s: s.update({"extra.weight": torch.zeros(3)})),
)
case(
    "unexpected key with control characters",
    "unexpected key",
    changed(lambda s: s.update({"a\nb\x1b[31m" + "k" * 900: torch.zeros(3)})),
)
case(
    "key twice",
    "twice",
    changed(lambda s: s.update({"module.head.1.bias": torch.zeros(3)})),
)
case(
    "misshapen",
    f"key '{OP}in_proj.weight' has shape (32, 128), expected (128, 32)",
    replaced(OP + "in_proj.weight", lambda t: t.T),
)
case("misshapen scalar", "has shape (), expected (3,)", replaced("head.1.bias", torch.sum))
case("two problems", "(and 1 more problem)", changed(lambda s: [s.pop(k) for k in list(s)[-2:]]))
case(
    "16 joints",
    "'Spatial_pos_embed' has shape (1, 16, 32), expected (1, 17, 32)",
    replaced("Spatial_pos_embed", lambda t: t[:, :16]),
)
case(
    "244 frames",
    "'Temporal_pos_embed' has shape (1, 244, 32), expected (1, 243, 32)",
    replaced("Temporal_pos_embed", lambda t: torch.zeros(1, 244, 32)),
)
case(
    "no frames",
    "has shape (1, 0, 32), expected (1, 243, 32)",
    replaced("Temporal_pos_embed", lambda t: t[:, :0]),
)
case(
    "2-D embedding",
    "has shape (27, 32), expected (1, 243, 32)",
    replaced("Temporal_pos_embed", lambda t: t[0]),
)
case(
    "3 directions",
    "has 3 directions: no order of the table has as many",
    changed(
        lambda s: s.update(
            {k: v[:3] for k, v in s.items() if "x_proj_weight" in k or "dt_projs" in k}
        )
    ),
)
case(
    "wrong dt_rank",
    "has shape (4, 64, 3), expected (4, 64, 2): dt_rank",
    every("dt_projs_weight", lambda t: torch.zeros(4, 64, 3)),
)
case(
    "MLP of odd width",
    "mlp.fc1.weight",
    changed(
        lambda s: s.update(
            {k: v[:33] for k, v in s.items() if "fc1" in k}
            | {k: v[:, :33] for k, v in s.items() if "fc2.weight" in k}
        )
    ),
)
case(
    "6 input channels",
    "has shape (32, 6), expected (32, 2): the input has 2 to 5 channels, x and y first",
    replaced("Spatial_patch_to_embedding.weight", lambda t: torch.zeros(32, 6)),
)
case(
    "block numbers with a gap",
    "missing keys 'STEblocks.1.*'",
    changed(
        lambda s: [
            s.update({k.replace(".1.", ".2.", 1): s.pop(k)}) for k in list(s) if "blocks.1." in k
        ]
    ),
)
case(
    "TTE blocks absent",
    "missing keys 'TTEblocks.0.*'",
    changed(lambda s: [s.pop(k) for k in list(s) if k.startswith("TTE")]),
)
case(
    "forged huge shape",
    "more than 1,073,741,824 parameters",
    changed(
        lambda s: s.update(
            {k: torch.zeros(1).expand(1 << 22, 1 << 20) for k in s if k.endswith("A_logs")}
        )
    ),
)

# --- the tests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_bad_checkpoint_is_one_line(name: str, tmp_path: Path) -> None:
    build, says = CASES[name]
    folder = tmp_path / "given"
    folder.mkdir()
    path = build(folder)

    with pytest.raises(InputError) as caught:
        read_checkpoint(path)

    line = str(caught.value)
    assert says in line
    assert line.isprintable(), "a control character or line break"
    assert len(line) < MAX_LINE
    assert "".join(c if c.isprintable() else "?" for c in path.name)[-80:] in line


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 45


def test_unreadable_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads everything, so the operating system's refusal is played."""

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"official_tiny\.pth\.tr: cannot be read: Permission"):
        read_checkpoint(GOLDEN)
