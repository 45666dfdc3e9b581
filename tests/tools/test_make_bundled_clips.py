"""``tools/make_bundled_clips.py``: the same input gives the same bytes, wrong input one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import make_bundled_clips as script
import numpy as np
from click.testing import CliRunner
from places import ROOT

from posemamba.pose.clips import bundled_clips, load_clips

EXCERPT = ROOT / "tests/data/pose2sim_excerpt"


def test_script_remakes_the_first_frames(tmp_path: Path) -> None:
    """The excerpt's two frames show every joint, so later frames do not matter to them."""
    wheel = tmp_path / "excerpt.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in sorted(EXCERPT.rglob("*")):
            archive.write(path, path.relative_to(EXCERPT))
    outputs = []
    for source in (EXCERPT, EXCERPT, wheel):
        output = tmp_path / f"{len(outputs)}.npz"
        result = CliRunner().invoke(script.main, [str(source), "-o", str(output)])
        assert result.exit_code == 0, result.output
        outputs.append(output.read_bytes())
    assert len(set(outputs)) == 1, "the same input must give the same bytes"
    (clip,) = load_clips(tmp_path / "0.npz").values()
    np.testing.assert_allclose(clip, bundled_clips()["balancing_cam1"][:2], atol=3e-7)


def test_script_reads_the_image_size() -> None:
    calibration = EXCERPT / "Pose2Sim/Demo/calibration/Calib.qca.txt"
    assert script.image_sizes(calibration.read_text()) == [(1088, 1920)]


def test_script_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"PK not a wheel")
    for source, words in ((tmp_path, "not pose2sim 0.4.0"), (tmp_path / "x.whl", "not a wheel")):
        result = CliRunner().invoke(script.main, [str(source), "-o", str(tmp_path / "o.npz")])
        assert result.exit_code != 0
        assert words in result.output
    assert not (tmp_path / "o.npz").exists()
