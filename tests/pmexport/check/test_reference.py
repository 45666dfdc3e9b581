"""Parity with poses in a file: no PyTorch, no checkpoint, and the proof of a scan order."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from places import TINY

from pmexport.check.reference import reference_path
from pmexport.cli.main import cli
from pmexport.format.names import PREFIX
from posemamba.checkpoint import load_checkpoint, read_checkpoint

Arrays = dict[str, Any]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny.onnx``, checked, with its reference, and changed copies of it; ``fixed.onnx``."""
    folder = tmp_path_factory.mktemp("references")
    (folder / "tiny.pth.tr").write_bytes(TINY.read_bytes())
    for name, *options in (
        ("tiny",),
        ("fixed", "--frames", "9", "--batch", "8", "--no-check"),
    ):
        arguments = ["onnx", "--ckpt", str(folder / "tiny.pth.tr"), *options]
        done = CliRunner().invoke(cli, [*arguments, "-o", str(folder / f"{name}.onnx")])
        assert done.exit_code == 0, done.output
    sibling(folder, "sibling")
    sibling(folder, "other", checkpoint_sha256="0" * 64)
    sibling(folder, "turned", scan_order="bidirectional")
    return folder


def sibling(folder: Path, name: str, **metadata: str) -> None:
    """A copy of ``tiny.onnx`` of another hash, with other metadata."""
    model = onnx.load(folder / "tiny.onnx")
    model.doc_string = name
    for entry in model.metadata_props:
        entry.value = metadata.get(entry.key.removeprefix(PREFIX), entry.value)
    if name == "turned":
        for node in model.graph.node:
            for attribute in node.attribute:
                if attribute.name == "order":
                    attribute.ints[:] = [1, 0, 0, 1]
    onnx.save(model, folder / f"{name}.onnx")


@pytest.fixture
def users(here: Path) -> Arrays:
    """Three clips of five frames with the checkpoint's own poses, as a user would save them."""
    keypoints = np.random.default_rng(0).uniform(-1, 1, (3, 5, 17, 2)).astype(np.float32)
    with torch.inference_mode():
        poses = load_checkpoint(TINY).set_scan("reference")(torch.from_numpy(keypoints)).numpy()
    return {"keypoints_2d": keypoints, "poses_3d": poses}


def check(*arguments: str, code: int = 0) -> tuple[str, dict[str, Any]]:
    done = CliRunner().invoke(cli, ["check", *arguments, "--threads", "1", "--json", "r.json"])
    assert done.exit_code == code, done.output
    return done.stdout, json.loads(Path("r.json").read_text(encoding="utf-8"))


BLOCKED = """
import sys
for name in ("torch", "safetensors", "onnxscript"):
    sys.modules[name] = None
sys.argv[0] = "pmexport"
from pmexport.cli.main import cli
cli()
"""


def test_it_needs_neither_torch_nor_the_checkpoint(here: Path) -> None:
    (here / "tiny.pth.tr").unlink()
    command = ["check", "tiny.onnx", "--reference", "tiny.reference.npz", "--json", "r.json"]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *command], cwd=here, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "against reference tiny.reference.npz (PyTorch " in done.stdout
    assert done.stdout.splitlines()[-1] == "Check: passed"
    report = json.loads((here / "r.json").read_text(encoding="utf-8"))
    row = report["runtimes"]["ort-cpu"]
    assert report["passed"] is True
    assert 0 <= row["p99_abs"] <= row["max_abs"] < 2e-5
    assert 0 <= row["mpjpe_mm"] < 0.01
    assert report["reference"]["checkpoint_sha256"] == read_checkpoint(TINY).sha256
    assert report["reference"]["made_by"] == "pmexport"
    assert report["checkpoint"] is None


def test_the_reference_holds_what_the_check_ran(here: Path) -> None:
    with np.load(reference_path(here / "tiny.onnx")) as held:
        pairs = [key for key in held.files if key.startswith("keypoints_2d")]
        assert len(json.loads(str(held["reference"]))["names"]) == len(pairs) > 1
        assert {held[key].shape[1] for key in pairs} == {1, 9, 27}
    assert reference_path(here / "tiny.onnx").stat().st_size < 1_000_000
    assert not reference_path(here / "fixed.onnx").exists()


def test_models_of_one_checkpoint_share_a_reference(here: Path) -> None:
    check("sibling.onnx", "--reference", "tiny.reference.npz")


@pytest.mark.parametrize("form", ["batch", "clip", "pairs", "float64"])
def test_a_users_own_poses(here: Path, users: Arrays, form: str) -> None:
    keypoints, poses = users["keypoints_2d"], users["poses_3d"]
    saved = {
        "batch": users,
        "clip": {"keypoints_2d": keypoints[0], "poses_3d": poses[0]},
        "pairs": {"keypoints_2d_a": keypoints[:2], "poses_3d_a": poses[:2],
                  "keypoints_2d_b": keypoints[2:], "poses_3d_b": poses[2:]},
        "float64": {key: array.astype(np.float64) for key, array in users.items()},
    }[form]  # fmt: skip
    np.savez(here / "mine.npz", **saved)
    output, report = check("tiny.onnx", "--reference", "mine.npz")
    assert "against reference mine.npz (your own poses)" in output
    assert report["reference"]["made_by"] == "user"
    assert len(report["runtimes"]["ort-cpu"]["clips"]) == (2 if form == "pairs" else 1)
    assert "WARNING" not in output  # this is the proof


def test_it_tells_a_wrong_scan_order_that_parity_cannot(here: Path, users: Arrays) -> None:
    np.savez(here / "mine.npz", **users)
    check("tiny.onnx", "--reference", "mine.npz")
    output, report = check("turned.onnx", "--reference", "mine.npz", code=1)
    assert "another scan order, which 'pmexport onnx --scan-order' sets" in output
    assert output.splitlines()[-1] == "Check: FAILED"
    assert report["runtimes"]["ort-cpu"]["passed"] is False


def test_one_wrong_pose_fails(here: Path, users: Arrays) -> None:
    users["poses_3d"][1, 2, 3, 0] += 1e-3
    np.savez(here / "mine.npz", **users)
    _, report = check("tiny.onnx", "--reference", "mine.npz", code=1)
    assert report["runtimes"]["ort-cpu"]["max_abs"] == pytest.approx(1e-3, rel=0.01)


def change(**arrays: Any) -> Callable[[Arrays], None]:
    return lambda held: held.update(arrays)


def nan(held: Arrays) -> None:
    held["poses_3d"][0, 1, 2, 0] = np.nan


BAD: dict[str, tuple[Callable[[Arrays], Any], tuple[str, ...]]] = {
    "no poses": (lambda held: held.pop("poses_3d"), ("'poses_3d'",)),
    "no keypoints": (lambda held: held.pop("keypoints_2d"), ("'keypoints_2d'", "'poses_3d'")),
    "nothing": (lambda held: held.clear(), ("'keypoints_2d'", "nothing")),
    "poses of other names": (
        lambda held: held.update(outputs=held.pop("poses_3d")), ("'poses_3d'",)),
    "NaN": (nan, ("poses_3d", "nan", "(0, 1, 2, 0)")),
    "frames apart": (
        lambda held: held.update(poses_3d=held["poses_3d"][:, :4]), ("(3, 4, 17, 3)", "(3, 5")),
    "batch apart": (lambda held: held.update(poses_3d=held["poses_3d"][:2]), ("(2, 5, 17, 3)",)),
    "16 joints": (lambda held: held.update(poses_3d=held["poses_3d"][:, :, :16]), ("16",)),
    "two coordinates": (lambda held: held.update(poses_3d=held["poses_3d"][..., :2]), ("17, 3",)),
    "confidence": (change(keypoints_2d=np.zeros((3, 5, 17, 3), np.float32)), ("3 channels",)),
    "no frames": (change(keypoints_2d=np.zeros((3, 0, 17, 2), np.float32),
                         poses_3d=np.zeros((3, 0, 17, 3), np.float32)), ("none of 0",)),
    "pixels": (lambda held: held.update(keypoints_2d=held["keypoints_2d"] * 500), ("pixels",)),
    "whole numbers": (change(poses_3d=np.zeros((3, 5, 17, 3), np.int64)), ("int64",)),
    "objects": (change(poses_3d=np.array([{}], dtype=object)), ("pickled",)),
    "text": (change(poses_3d=np.array("poses")), ("poses_3d",)),
    "other facts": (change(reference=np.array("{}")), ("'reference'",)),
    "too long": (change(keypoints_2d=np.zeros((1, 28, 17, 2), np.float32),
                        poses_3d=np.zeros((1, 28, 17, 3), np.float32)), ("28 frames", "27")),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_references(name: str, here: Path, users: Arrays, refused: Callable[..., None]) -> None:
    edit, words = BAD[name]
    edit(users)
    np.savez(here / "bad.npz", **users)
    refused(("check", "tiny.onnx", "--reference", "bad.npz"), "bad.npz: ", *words)


def test_files_that_are_no_reference(here: Path, refused: Callable[..., None]) -> None:
    whole = (here / "tiny.reference.npz").read_bytes()
    (here / "cut.npz").write_bytes(whole[:3000])
    (here / "text.npz").write_text("poses")
    np.save(here / "one.npy", np.zeros(3))
    for name, word in (("cut.npz", "cut short"), ("text.npz", "savez"), ("one.npy", "savez"),
                       ("gone.npz", "no such file"), (".", "directory")):  # fmt: skip
        refused(("check", "tiny.onnx", "--reference", name), name, word)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("other.onnx", "--reference", "tiny.reference.npz"), ("'tiny.pth.tr'", "--any-ckpt")),
        (("turned.onnx", "--reference", "tiny.reference.npz"), ("bidirectional", "--any-ckpt")),
        (("tiny.onnx",), ("--ckpt", "--reference")),
        (("tiny.onnx", "--reference", "tiny.reference.npz", "--ckpt", "tiny.pth.tr"), ("--ckpt",)),
        (("tiny.onnx", "--reference", "tiny.reference.npz", "--weights", "raw"), ("--weights",)),
        (("tiny.onnx", "--reference", "tiny.reference.npz", "--inputs", "c.npz"), ("--inputs",)),
        (("tiny.onnx", "--reference", "tiny.reference.npz", "--runtime", "torch"), ("--ckpt",)),
    ],
)
def test_requests_that_do_not_fit(
    arguments: tuple[str, ...], words: tuple[str, ...], refused: Callable[..., None]
) -> None:
    refused(("check", *arguments), *words)


def test_another_models_reference_can_be_insisted_on(here: Path) -> None:
    check("other.onnx", "--reference", "tiny.reference.npz", "--any-ckpt")


def test_a_fixed_batch_cuts_the_reference_or_refuses(
    here: Path, users: Arrays, refused: Callable[..., None]
) -> None:
    np.savez(here / "five.npz", **users)
    refused(("check", "fixed.onnx", "--reference", "five.npz"), "5 frames", "takes 9")
    zeros = {"keypoints_2d": np.zeros((12, 9, 17, 2), np.float32),
             "poses_3d": np.zeros((12, 9, 17, 3), np.float32)}  # fmt: skip
    np.savez(here / "twelve.npz", **zeros)
    refused(("check", "fixed.onnx", "--reference", "twelve.npz"), "12 clips", "takes 8")
    np.savez(here / "sixteen.npz", **{k: np.concatenate([v, v[:4]]) for k, v in zeros.items()})
    _, report = check("fixed.onnx", "--reference", "sixteen.npz", code=1)  # those poses are wrong
    assert [row["batch"] for row in report["runtimes"]["ort-cpu"]["clips"]] == [8, 8]


def test_an_export_does_not_replace_a_users_poses(
    here: Path, users: Arrays, refused: Callable[..., None]
) -> None:
    np.savez(here / "new.reference.npz", **users)
    refused(("onnx", "--ckpt", "tiny.pth.tr", "-o", "new.onnx"), "new.reference.npz", "-o")
