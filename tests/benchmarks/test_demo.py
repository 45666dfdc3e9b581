"""The GPU's recipe of the demonstration networks, end to end on the CPU with tiny ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from climbing_wheel import write_wheel
from places import ROOT

from benchmarks.demo import back as demo_back
from benchmarks.demo import networks as demo_networks
from benchmarks.demo import run as demo_run
from benchmarks.demo import sets as demo_sets
from benchmarks.demo.back import finished
from benchmarks.demo.networks import NETWORKS, SETTINGS, stages
from benchmarks.demo.pieces import cut, join, light_state
from benchmarks.demo.run import Call
from posemamba.checkpoint.read import load_checkpoint, read_checkpoint
from posemamba.data.clip_set import ClipSet, load_clip_set
from posemamba.errors import InputError
from posemamba.training.config import train_config
from posemamba.training.start import read_start

TINY = ("--depth", "1", "--d-model", "8", "--steps", "4", "--batch", "2",
        "--save-every", "2", "--scan", "chunked")  # fmt: skip


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Tiny networks on stand-ins for both wheels."""
    monkeypatch.setattr(demo_sets, "FRAMES", 18)
    from_nothing = {
        name: dataclasses.replace(
            network,
            settings={**network.settings, "init": None, "frames": 6 if name == "L_27" else 9},
        )
        for name, network in NETWORKS.items()
    }
    for module in (demo_run, demo_networks):
        monkeypatch.setattr(module, "NETWORKS", from_nothing)
    swing = np.random.default_rng(0).normal(0, 0.2, (1, 30, 17, 3)).astype(np.float32)
    real = ClipSet(swing[..., :2].copy(), swing, np.ones(1, np.float32), ("real/0/0",), "real")
    trial = SimpleNamespace(triangulated=real)
    monkeypatch.setattr(demo_sets, "read_trial", lambda _: trial)
    wheel = write_wheel(tmp_path / "climb.whl", monkeypatch)
    networks = ("S", "S_pybullet")
    return Call(wheel, wheel, tmp_path / "out", networks, 60.0, None, 16, 2, TINY, "cpu",
                tmp_path / "out" / "back")  # fmt: skip


def make_sets(call: Call) -> None:
    demo_sets.make_sets(call.out / "data", call.climb, call.real, call.clips, call.held_out)


def invoke(call: Call, *more: str, code: int = 0) -> str:
    arguments = ("--climb", call.climb, "--real", call.real, "--out", call.out, "--networks",
                 ",".join(call.networks), "--minutes", call.minutes, "--clips", call.clips,
                 "--held-out", call.held_out, "--extra", " ".join(call.extra), "--device",
                 call.device, *more)  # fmt: skip
    result = CliRunner().invoke(demo_run.main, [str(word) for word in arguments])
    assert result.exit_code == code, result.output
    return str(result.output)


@pytest.fixture
def drift_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """S's and L's exports are checked; the others' would be the same half a minute again."""
    drift = demo_run.drift

    def of_one(call: Call, name: str, weights: Path) -> list[tuple[str, Path]]:
        return drift(call, name, weights) if name in ("S", "L") else []

    monkeypatch.setattr(demo_run, "drift", of_one)


@pytest.mark.slow
@pytest.mark.usefixtures("drift_of_one")
def test_from_motions_to_cards(call: Call) -> None:
    assert "S: finished" in invoke(call)
    for name, path in call.sets.items():
        origin = load_clip_set(path).origin
        climbs = name in ("train_climbs", "fit", "val_climbs")
        assert ("metadata claims Apache-2.0" in origin) == climbs, name
    reports = {}
    for name in call.networks:
        card = call.out / name / "card"
        reports[name] = report = json.loads((card / "report.json").read_text())
        assert set(report["results"]["trained"]) == set(demo_run.HELD_OUT)
        assert report["model"]["file"] == f"demo_{name}.safetensors"
        text = (card / "MODEL_CARD.md").read_text()
        assert "| bundled before |" in text
        assert "metadata claims Apache-2.0" in text
    assert set(reports["S"]["precision"]) == {"fp32", "fp16"}
    assert reports["S"]["precision"]["fp32"]["ort-cpu"]["max_abs"] < 1e-3
    # Each card shows the other, with the very figures of the other's own card.
    for one, other, title in (
        ("S", "S_pybullet", "without the climbs"),
        ("S_pybullet", "S", "with the climbs"),
    ):
        assert reports[one]["results"][title] == reports[other]["results"]["trained"]
    back = {file.name for file in (call.out / "back").iterdir()}
    assert back == {"cards.tar.gz", "demo_S.safetensors", "demo_S_pybullet.safetensors"}
    with tarfile.open(call.out / "back" / "cards.tar.gz") as archive:
        assert {"S/MODEL_CARD.md", "S/report.json", "S/curves.svg", "S/train.log"} <= set(
            archive.getnames()
        )


@pytest.mark.slow
def test_an_unfinished_network_goes_on_elsewhere(call: Call) -> None:
    """Killed before its time is over, brought back in pieces, resumed on a bare machine."""
    call = dataclasses.replace(call, networks=("L_27",))
    make_sets(call)
    endless = tuple("1000000" if word == "4" else word for word in call.extra)
    here = dataclasses.replace(call, extra=endless, this_call=0.25)
    state = call.run("L_27") / demo_run.STATE
    for _ in range(20):  # a busy machine may not come to the first save in a quarter of a minute
        demo_run.train(here)
        if state.exists():
            break
    assert state.exists()
    assert finished(call.out, "L_27") is None
    demo_run.measure(here, "L_27")  # what is not finished has no card yet
    assert not (call.out / "L_27" / "card").exists()
    demo_back.pack(here.out, here.back, here.networks)
    back = call.out / "back"
    assert {file.name for file in back.iterdir()} == {"cards.tar.gz", "L_27.state.0"}

    there = dataclasses.replace(here, out=call.out.with_name("bare"), this_call=None)
    shutil.copytree(call.out / "data", there.out / "data")
    demo_back.unpack(there.out, back, there.networks)
    before, after = (load_checkpoint(c.run("L_27") / demo_run.STATE) for c in (call, there))
    for name, value in before.state_dict().items():
        assert torch.equal(value, after.state_dict()[name]), name
    steps = torch.load(state, weights_only=True)["step"]
    # Its moments are gone, its step and clock are not: with no minutes left it ends at once.
    finish = dataclasses.replace(there, minutes=0.001)
    demo_run.train(finish)
    assert finished(finish.out, "L_27") == there.out / "L_27" / "demo_L_27.safetensors"
    log = (finish.run("L_27") / "log.csv").read_text().splitlines()
    assert log[-1].startswith(f"{steps},")


def test_pieces(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5
    files = cut(content, tmp_path, "x.state", size=500)
    assert [file.stat().st_size for file in files] == [500, 500, 280]
    assert join(tmp_path, "x.state") == content
    assert join(tmp_path, "y.state") is None
    files[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"of x.state only x.state.0, x.state.2"):
        join(tmp_path, "x.state")
    with pytest.raises(ValueError, match="26 pieces"):
        cut(content, tmp_path, "x.state", size=50)


def test_a_state_is_a_third_without_its_moments(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(10000))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.ones(10000)
    optimizer.step()
    path = tmp_path / "last.pth.tr"
    torch.save({"model_pos": {"w": weight.data}, "optimizer": optimizer.state_dict()}, path)
    light = light_state(path)
    assert len(light) < 0.4 * path.stat().st_size


def test_unknown_networks_are_one_line(call: Call) -> None:
    other = dataclasses.replace(call, networks=("S", "XL"))
    assert "no network 'XL': use S, S_pybullet, streaming, L" in invoke(other, code=2)
    assert not call.out.exists()


def test_a_network_that_fails_is_named(call: Call) -> None:
    make_sets(call)
    wrong = dataclasses.replace(call, networks=("S",), extra=("--depth", "0"))
    assert "says why S failed" in invoke(wrong, code=2)
    assert "depth is 0" in (call.out / "S" / "train.log").read_text()


@pytest.mark.slow
def test_a_network_that_fails_leaves_the_others_whole(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def measure(_: Call, name: str) -> None:
        measured.append(name)
        if name == "S":
            raise RuntimeError("the GPU is lost")

    monkeypatch.setattr(demo_run, "measure", measure)
    assert "RuntimeError: the GPU is lost" in invoke(call, code=2)
    assert measured == ["S", "S_pybullet"]
    assert (call.back / "demo_S.safetensors").exists()


def test_networks_have_gpus_of_their_own(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that CUDA_VISIBLE_DEVICES leaves, in turn."""
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    monkeypatch.setattr(demo_run, "_command", lambda *_: [sys.executable, "-c", show])
    monkeypatch.setattr(demo_run, "write_facts", lambda *_: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    names = ("S", "S_pybullet", "streaming")
    demo_run.train(dataclasses.replace(call, networks=names))
    told = [(call.out / name / "train.log").read_text().strip() for name in names]
    assert told == ["2", "5", "2"]


def test_a_script_told_to_end_packs_first(call: Call, tmp_path: Path) -> None:
    """A caller's time limit ends it: what is there comes back, and no training goes on alone."""
    pid = tmp_path / "pid"
    script = tmp_path / "ended.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.append({str(ROOT)!r})\n"
        "from benchmarks.demo import run as demo_run\n"
        "demo_run.make_sets = demo_run.write_facts = lambda *_: None\n"
        'sleep = \'import os, sys, time; open(sys.argv[1], "w").write(str(os.getpid()));'
        " time.sleep(600)'\n"
        f"demo_run._command = lambda *_: [sys.executable, '-c', sleep, {str(pid)!r}]\n"
        "demo_run.main()\n"
    )
    options = ["--climb", "x", "--real", "x", "--networks", "S", "--device", "cpu"]
    command = [sys.executable, str(script), "--out", str(call.out), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (pid.exists() and pid.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert "told to end (SIGTERM)" in process.communicate()[1]
    assert (call.back / "cards.tar.gz").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_network_goes_on_from_another(call: Call) -> None:
    """By its settings, or by --init; the card names the file."""
    weights = Path(__file__).resolve()
    given = dataclasses.replace(call, init={"L": weights})
    for name, start in (("L", str(weights)), ("S", None)):
        command = demo_run._command(given, name)
        assert (command[command.index("--init") + 1] if "--init" in command else None) == start
    assert "--init 'L': give NAME=PATH" in invoke(call, "--init", "L", code=2)


def test_cards_name_what_a_network_goes_on_from() -> None:
    demo = read_checkpoint("demo")
    named = f"demo, SHA-256 {demo.sha256} ({demo.training})"
    assert demo_run._named("demo", 243) == named
    done = ", its temporal embedding interpolated from 243 to 81 frames"
    assert demo_run._named("demo", 81) == named + done
    assert demo_run._named(None, 243) == "nothing"


def test_networks_are_trained_after_what_they_go_on_from() -> None:
    assert stages(("L", "S", "L_27")) == [["S", "L_27"], ["L"]]
    assert stages(("L", "S")) == [["L", "S"]]


def test_a_network_without_what_it_goes_on_from_is_refused(call: Call) -> None:
    alone = dataclasses.replace(call, networks=("L",))
    said = invoke(alone, code=2)
    assert "L goes on from L_27, which" in said
    assert "with --init L=CKPT" in said
    assert not call.out.exists()


def test_nothing_goes_on_from_what_is_unfinished(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would begin with the seed's weights, and nobody would know."""
    monkeypatch.setattr(demo_run, "write_facts", lambda *_: None)
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(demo_run, "_command", lambda *_: sleep)
    both = dataclasses.replace(call, networks=("L", "L_27"), this_call=0.01)
    demo_run.train(both)
    assert capsys.readouterr().out == "L_27: unfinished\nL: not begun\n"
    with pytest.raises(InputError, match="L goes on from L_27, which"):
        demo_run.train_side_by_side(both, ["L"], None)


@pytest.mark.slow
@pytest.mark.usefixtures("drift_of_one")
def test_two_stages_and_their_card_elsewhere(call: Call) -> None:
    """The second goes on from the first's weights; what comes back is enough for the card."""
    call = dataclasses.replace(call, networks=("L", "L_27"))
    said = invoke(call)
    assert said.index("L_27: finished") < said.index("L: finished")
    first = call.out / "L_27" / "demo_L_27.safetensors"
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    here = json.loads((call.out / "L" / "card" / "report.json").read_text())
    assert here["training"]["goes on from"] == (
        f"{first.name}, SHA-256 {digest} (4 steps of 2 clips, seed 0)"
        ", its temporal embedding interpolated from 6 to 9 frames"
    )
    sibling = json.loads((call.out / "L_27" / "card" / "report.json").read_text())
    assert here["results"]["first stage, 27 frames"] == sibling["results"]["trained"]

    # As if a GPU had been there, whose drift cannot be measured again.
    check = call.out / "L" / "L.fp16.json"
    content = json.loads(check.read_text())
    content["runtimes"]["torch-cuda"] = {"max_abs": 0.5, "mpjpe_mm": 0.25}
    check.write_text(json.dumps(content))
    (call.out / "L" / "facts.json").write_text(json.dumps({"hardware": "one GPU"}))
    demo_back.pack(call.out, call.back, call.networks)
    there = dataclasses.replace(
        call, out=call.out.with_name("bare"), back=call.out / "again", networks=("L",)
    )
    shutil.copytree(call.out / "data", there.out / "data")
    invoke(there, "--state", str(call.back))
    found = json.loads((there.out / "L" / "card" / "report.json").read_text())
    for part in ("model", "results", "real", "sets"):
        assert found[part] == here[part], part
    steps = {name: here["training"][name] for name in ("steps", "epochs", "minutes")}
    assert found["training"] == steps | {"hardware": "one GPU"}
    assert set(found["precision"]["fp16"]) == {"torch-cuda", "ort-cpu"}
    assert found["precision"]["fp16"]["torch-cuda"] == {"max_abs": 0.5, "mpjpe_mm": 0.25}

    # A machine that has the first stage alone: the second goes on from that.
    later = dataclasses.replace(there, out=call.out.with_name("later"))
    shutil.copytree(call.out / "data", later.out / "data")
    demo_back.unpack(later.out, call.back, ["L_27"])
    demo_run.train(later)
    facts = json.loads((later.out / "L" / "facts.json").read_text())
    assert facts["goes on from"] == here["training"]["goes on from"]


def test_what_there_is_is_packed_while_it_trains(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine may be taken away without a word."""
    monkeypatch.setattr(demo_run, "PACK_EVERY_S", 0.1)
    here = dataclasses.replace(call, networks=("S",))
    (here.out / "S" / "run").mkdir(parents=True)
    waits = (
        "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.05)"
    )
    archive = str(here.back / demo_back.ARCHIVE)
    monkeypatch.setattr(demo_run, "_command", lambda *_: [sys.executable, "-c", waits, archive])
    monkeypatch.setattr(demo_run, "write_facts", lambda *_: None)
    demo_run.train(here)  # ends because it was packed


def test_the_recipes_are_runs_that_posemamba_train_takes(tmp_path: Path) -> None:
    """Their networks fit what they go on from."""
    for name, network in NETWORKS.items():
        settings = {option.replace("-", "_"): value for option, value in
                    (SETTINGS | dict(network.settings)).items()}  # fmt: skip
        settings["batch_size"] = settings.pop("batch")
        config = train_config(**settings)
        if config.init is not None:
            assert read_start(config.init, config.model_config()).origins, name
