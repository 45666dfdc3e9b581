"""``posemamba plot``: pictures that hold what they should, one line for what cannot be drawn."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from places import TINY as GOLDEN

from posemamba.checkpoint.read import load_checkpoint
from posemamba.cli.main import cli
from posemamba.model.lift import lift_clip
from posemamba.pose.clips import bundled_clips

CKPT = ("--ckpt", "tiny.pth.tr")
BLUE, ORANGE, GREY = (0, 114, 178), (213, 94, 0), (176, 176, 176)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    name, clip = next(iter(bundled_clips().items()))
    np.savez(tmp_path / "clips.npz", **{name: clip, "short": clip[:3]})
    poses = np.zeros((2, 6, 17, 3), dtype=np.float32)
    poses[..., 0] = np.linspace(0, 1, 17)
    np.savez(
        tmp_path / "set.npz",
        keypoints_2d=np.stack([clip[:6], clip[6:12]]),
        poses_3d=poses,
        mm_per_unit=np.full(2, 1000, dtype=np.float32),
        names=np.array(["walk/a/0", "walk/b/0"]),
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["plot", *arguments])
    assert result.exit_code == code, result.output
    return str(result.stdout if code == 0 else result.stderr)


def colours(path: str) -> set[tuple[int, int, int]]:
    return set(Image.open(path).convert("RGB").get_flattened_data())


def test_skeletons_are_drawn_in_their_colours() -> None:
    assert "balancing_cam1, saved as a.png" in invoke("skeleton", *CKPT, "-o", "a.png")
    found = colours("a.png")
    assert {BLUE, ORANGE} <= found


def test_truth_of_a_clip_set_is_drawn_in_grey() -> None:
    invoke("skeleton", *CKPT, "--inputs", "set.npz", "--clip", "walk/b/0", "-o", "truth.svg")
    text = Path("truth.svg").read_text()
    assert text.count("#b0b0b0") > 16  # a path a bone and frame; the grid has it too
    invoke("skeleton", *CKPT, "--inputs", "clips.npz", "--clip", "short", "-o", "plain.svg")
    assert text.count("#b0b0b0") > Path("plain.svg").read_text().count("#b0b0b0") + 16


def test_svg_is_the_same_file_each_time() -> None:
    for name in ("a.svg", "b.svg"):
        invoke("skeleton", *CKPT, "--frames", "0,5", "-o", name)
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


def test_animation_has_every_frame() -> None:
    arguments = ("--inputs", "set.npz", "--fps", "20", "-o", "walk.gif")
    invoke("skeleton", *CKPT, *arguments)
    with Image.open("walk.gif") as animation:
        assert animation.n_frames == 6
        assert animation.info["duration"] == 50


@pytest.mark.parametrize("block", ["STE0", "tte1"])
def test_scan_maps_are_drawn(block: str) -> None:
    arguments = ("--inputs", "clips.npz", "--clip", "short", "--block", block, "-o", "maps.svg")
    output = invoke("scan-maps", *CKPT, *arguments)
    assert f"scan maps of {block[:3].upper()} {block[3:]} for short" in output
    assert Path("maps.svg").read_text().count("<image") >= 6  # four directions and two sums


def test_clips_longer_than_the_network_are_cut_and_joined() -> None:
    model = load_checkpoint("tiny.pth.tr")
    clip = next(iter(bundled_clips().values()))
    assert len(clip) > model.config.frames
    poses = lift_clip(model, clip)
    assert poses.shape == (len(clip), 17, 3)
    alone = lift_clip(model, clip[: model.config.frames])
    # The first clip's frames are its own; only the last two clips overlap. Batched GEMMs may
    # round otherwise than single ones: 1e-5 of values near 1.
    np.testing.assert_allclose(poses[: len(alone)], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("skeleton", "--frames", "1,x"), "'1,x' is no list such as 0,40,80"),
        (("skeleton", "--frames", "0,100"), "cannot draw frames [0, 100] of 100"),
        (("skeleton", "--clip", "balancing_cam9"), "did you mean 'balancing_cam"),
        (("skeleton", "--inputs", "gone.npz"), "gone.npz: no such file"),
        (("skeleton", "--inputs", "tiny.pth.tr"), "tiny.pth.tr"),
        (("skeleton", "--scan-order", "fs"), "'fs' is not a choice"),
        (("skeleton", "--fps", "0"), "0"),
        (("scan-maps", "--block", "MTE0"), "'MTE0' names no block"),
        (("scan-maps", "--block", "STE"), "'STE' names no block"),
        (("scan-maps", "--block", "STE2"), "block STE 2 does not exist"),
        (("pictures",), "no command 'pictures'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_requests_are_one_line_and_write_nothing(
    here: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = sorted(here.iterdir())
    line = invoke(*arguments, *CKPT, "-o", "out.png", code=2)
    assert message in line
    assert line.count("\n") == 1
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize("target", ["out.xyz", "nowhere/out.png", "."])
def test_bad_targets(here: Path, target: str) -> None:
    before = sorted(here.iterdir())
    line = invoke("skeleton", *CKPT, "--frames", "0", "-o", target, code=2)
    assert line.count("\n") == 1
    assert sorted(here.iterdir()) == before


def test_an_animation_of_chosen_frames_is_refused() -> None:
    line = invoke("skeleton", *CKPT, "--frames", "0", "-o", "a.gif", code=2)
    assert "an animation shows every frame" in line
    assert not Path("a.gif").exists()


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for command in ("skeleton", "scan-maps"):
        line = invoke(command, *CKPT, "-o", "a.png", code=2)
        assert "pip install '.[plot]'" in line
        assert line.count("\n") == 1
