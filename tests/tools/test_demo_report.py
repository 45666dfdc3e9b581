"""``tools/demo_report.py``: measured figures, and a card whose numbers are the report's."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import demo_report
import pytest
from click.testing import CliRunner
from demo_card import render
from places import ROOT
from places import TINY as GOLDEN
from swings import swings

from posemamba.checkpoint.bundled import NAMES, demo_checkpoint
from posemamba.checkpoint.read import load_checkpoint
from posemamba.data.clip_set import ClipSet, save_clip_set
from posemamba.evaluation.clip_sets import clip_errors
from posemamba.model.lift import as_lift

FRAMES = 30  # more than the golden checkpoint's 27: clips are cut


def clips(seed: int, count: int) -> ClipSet:
    """The first set is of others, the rest are ours."""
    origin = "our own swings (Apache-2.0)" if seed else "swings of others (zlib licence)"
    return swings(seed, count, FRAMES, origin)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(GOLDEN, tmp_path / "tiny.pth.tr")
    for seed, (name, count) in enumerate((("train", 6), ("val_a", 2), ("val_b", 2), ("real", 1))):
        save_clip_set(tmp_path / f"{name}.npz", clips(seed, count))
    (tmp_path / "log.csv").write_text(
        "step,epoch,learning_rate,loss,seconds,val_mpjpe_mm\n"
        "10,0.5,2e-4,2.0,60.0,210.0\n20,1.0,1e-4,1.5,90.0,\n"
    )
    digest = hashlib.sha256((tmp_path / "tiny.pth.tr").read_bytes()).hexdigest()
    for name, sha256, runtimes in (
        ("fp16", digest, {"ort-cpu": {"max_abs": 2.5e-3, "mpjpe_mm": 0.125, "runs": 3}}),
        ("gpu", digest, {"torch-cuda": {"max_abs": 0.5, "mpjpe_mm": 0.75}}),
        ("other", "0" * 64, {"torch-cuda": {"max_abs": 0.5, "mpjpe_mm": 0.75}}),
        ("none", digest, {"ort-cpu": {"max_abs": None, "mpjpe_mm": None}}),
    ):
        content = {"checkpoint": {"sha256": sha256}, "runtimes": runtimes}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "training.json").write_text(json.dumps({"seed": 54321, "hardware": "one GPU"}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


USUAL = ("--ckpt", "tiny.pth.tr", "--train", "train.npz", "--val", "val_a.npz", "--val",
         "val_b.npz", "--real", "real.npz", "--log", "log.csv", "--training", "training.json",
         "--beside", "before=tiny.pth.tr", "--check", "fp16=fp16.json", "--out",
         "card")  # fmt: skip


def invoke(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(demo_report.main, arguments)
    assert result.exit_code == code, result.output
    return str(result.stdout if code == 0 else result.stderr)


def test_report_and_card(here: Path) -> None:
    invoke(*USUAL)
    report = json.loads(Path("card/report.json").read_text())
    methods = [
        "trained",
        "before",
        "untrained",
        "linear, 27 frames",
        "linear, one frame",
        "mean pose",
    ]
    assert list(report["results"]) == methods
    measured = clip_errors(as_lift(load_checkpoint("tiny.pth.tr")), clips(1, 2))
    assert report["results"]["trained"]["val_a"] == measured
    assert report["results"]["before"]["val_a"] == measured  # the same file
    assert set(report["results"]["mean pose"]) == {"val_a", "val_b"}  # never the training set
    assert list(report["real"]["p_mpjpe_mm"]) == methods
    card = Path("card/MODEL_CARD.md").read_text()
    for text in (
        "No accuracy on Human3.6M", "- swings of others (zlib licence): train\n", "54,321",
        "- our own swings (Apache-2.0): val_a, val_b, real\n", "one GPU",
        "| fp16 | ort-cpu | 2.5e-03 | 0.125 |",
        "- steps: 20\n- epochs: 1\n- minutes: 1.5\n",
        f"| trained | {measured['mpjpe_mm']:.1f} | {measured['p_mpjpe_mm']:.1f} | "
        f"{measured['mpjve_mm']:.1f} |", report["model"]["sha256"], "curves.svg",
    ):  # fmt: skip
        assert text in card
    assert Path("card/curves.svg").read_text().count("val_mpjpe_mm") >= 1


def test_numbers_of_the_card_come_from_the_report(here: Path) -> None:
    invoke(*USUAL)
    report = json.loads(Path("card/report.json").read_text())
    report["results"]["trained"]["val_b"]["mpjpe_mm"] = 12345.6
    Path("card/report.json").write_text(json.dumps(report))
    invoke("--card-only", "--out", "card")
    assert "| trained | 12345.6 |" in Path("card/MODEL_CARD.md").read_text()


def test_drift_measured_elsewhere_is_added(here: Path) -> None:
    """At once, or to a report that stands; a runtime keeps its figures where none are given."""
    invoke(*USUAL, "--check", "fp16=gpu.json")
    at_once = Path("card/report.json").read_text()
    assert "| fp16 | torch-cuda | 5.0e-01 | 0.750 |" in Path("card/MODEL_CARD.md").read_text()
    invoke(*USUAL)
    invoke("--card-only", "--out", "card", "--check", "fp16=gpu.json", "--check", "fp32=gpu.json")
    added = json.loads(Path("card/report.json").read_text())
    assert added["precision"].pop("fp32") == {"torch-cuda": {"max_abs": 0.5, "mpjpe_mm": 0.75}}
    assert added == json.loads(at_once)
    card = Path("card/MODEL_CARD.md").read_text()
    for row in ("fp16 | ort-cpu", "fp16 | torch-cuda", "fp32 | torch-cuda"):
        assert f"| {row} |" in card
    refused = invoke("--card-only", "--out", "card", "--check", "fp16=other.json", code=2)
    assert f"other.json: is of the checkpoint with SHA-256 {'0' * 64}, not " in refused
    assert Path("card/MODEL_CARD.md").read_text() == card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "card"), "--ckpt, --train and at least one --val are needed"),
        (("--card-only", "--out", "nowhere"), "report.json: cannot be read"),
        ((*USUAL, "--training", "log.csv"), "log.csv: cannot be read as JSON"),
        ((*USUAL, "--log", "training.json"), "no rows under a 'step' column"),
        ((*USUAL, "--log", "gone.csv"), "gone.csv: cannot be read"),
        ((*USUAL, "--ckpt", "gone.pth"), "gone.pth"),
        ((*USUAL, "--val", "gone.npz"), "gone.npz"),
        ((*USUAL, "--beside", "gone.pth"), "--beside 'gone.pth': give NAME=PATH"),
        ((*USUAL, "--beside", "old=gone.pth"), "gone.pth"),
        ((*USUAL, "--check", "fp16=training.json"), "training.json: not a report of"),
        ((*USUAL, "--check", "fp16=other.json"), "other.json: is of the checkpoint"),
        ((*USUAL, "--check", "fp16=none.json"), "the check in ort-cpu came to no figures"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_wrong_requests(here: Path, arguments: tuple[str, ...], message: str) -> None:
    line = invoke(*arguments, code=2)
    assert message in line
    assert line.count("\n") == 1
    assert not Path("card/MODEL_CARD.md").exists()


def test_reports_of_another_schema_or_with_holes_are_refused(here: Path) -> None:
    folder = Path("card")
    folder.mkdir()
    for content, message in (
        ({"schema": 99}, "schema 99"),
        ({"schema": 1, "model": {}}, "lacks 'sets'"),
    ):
        (folder / "report.json").write_text(json.dumps(content))
        assert message in invoke("--card-only", "--out", "card", code=2)


def test_logs_with_text_in_them_are_refused(here: Path) -> None:
    Path("log.csv").write_text("step,loss\n0,1.0\n1,high\n")
    assert "line 3 holds something that is no number" in invoke(*USUAL, code=2)


CARDS = sorted(folder.name for folder in (ROOT / "reports").glob("demo_*"))


@pytest.mark.parametrize("name", CARDS)
def test_committed_cards_are_those_of_their_reports(name: str) -> None:
    """Nobody has written into a card."""
    folder = ROOT / "reports" / name
    report = json.loads((folder / "report.json").read_text())
    assert (folder / "MODEL_CARD.md").read_text() == render(report)
    assert report["model"]["file"] == f"{name}.safetensors"


@pytest.mark.parametrize("network", sorted(set(NAMES.values())))
def test_cards_of_bundled_networks_are_of_the_files(network: str) -> None:
    checkpoint = demo_checkpoint(network)
    assert checkpoint.stem in CARDS
    report = json.loads((ROOT / "reports" / checkpoint.stem / "report.json").read_text())
    assert report["model"]["sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
