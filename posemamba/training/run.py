"""A training run: from clips to a checkpoint, interruptible at any step.

A step's randomness (order, cuts, mirrors, noise, stochastic depth) is drawn from the seed and the
step's number, never from where a generator happens to stand. So a run that was killed and resumed
ends with the weights of one that was not.
"""

from __future__ import annotations

import csv
import io
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from posemamba.checkpoint.save import DATA_KEY, TRAINING_KEY, save_checkpoint
from posemamba.data.clip_set import ClipSet
from posemamba.errors import InputError
from posemamba.evaluation.clip_sets import clip_errors
from posemamba.files.output import check_folder, replacing
from posemamba.model.lift import as_lift
from posemamba.model.network import PoseMamba
from posemamba.text import plural
from posemamba.training.batches import ClipBatches
from posemamba.training.clip_checks import check_validation
from posemamba.training.config import FINAL_RATE, TrainConfig
from posemamba.training.devices import check_device, choose_scan
from posemamba.training.processes import Processes
from posemamba.training.start import read_start, scale_branches
from posemamba.training.state import load_state, save_state
from posemamba.training.stepper import Stepper

STATE, WEIGHTS, LOG = "last.pth.tr", "final.safetensors", "log.csv"
#: The first losses are told step by step. They are waited for, so that these steps can be timed.
_TOLD_AT_ONCE = 3
_LOG_FIELDS = ("step", "epoch", "learning_rate", "loss", "seconds", "val_mpjpe_mm")


def check_run_folder(folder: str | os.PathLike[str], *, resume: bool) -> None:
    """Refuse a folder that a run could not write, or must not.

    Raises:
        InputError: not a folder, not writable, or an earlier run that is not to be resumed.
    """
    folder = Path(folder)
    check_folder(folder, (STATE, WEIGHTS, LOG))
    for name in (STATE, WEIGHTS):
        if not resume and (folder / name).exists():
            raise InputError(
                f"'{folder}' holds a run ({name}): go on with --resume, or name another folder "
                "with -o"
            )


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step.

    Attributes:
        step: of ``steps``.
        loss: mean since the last one told; None between, for asking makes a GPU wait.
        val_mpjpe_mm: where clips were validated on after an epoch.
    """

    step: int
    steps: int
    loss: float | None = None
    val_mpjpe_mm: float | None = None


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    steps: int
    loss: float
    val_mpjpe_mm: float | None
    seconds: float
    weights: Path


class Run:
    """A run in a folder: ``last.pth.tr`` to resume from, ``log.csv``, ``final.safetensors``.

    Args:
        folder: made when there is something to write.
        on_step: called after each step, for a progress bar.
    """

    def __init__(
        self,
        config: TrainConfig,
        train: Sequence[ClipSet],
        val: ClipSet | None,
        folder: str | os.PathLike[str],
        device: torch.device,
        processes: Processes | None = None,
        on_step: Callable[[Progress], Any] = lambda _: None,
    ) -> None:
        self.config, self.val, self.folder, self.device = config, val, Path(folder), device
        self.processes = processes or Processes()
        if config.cuda_graph and self.processes.count > 1:
            raise InputError("cuda_graph is for one process: leave it out under torchrun")
        check_device(config, device)
        if val is not None:
            check_validation(val, "the validation set")
        # Before the network, which may take long to build: wrong clips are refused here.
        self.batches = ClipBatches(train, config, device, self.processes.rank, self.processes.count)
        origins = {part or "not recorded" for clips in train for part in clips.origin.split("; ")}
        self._clips = [clips.sha256 for clips in train]
        start = None
        if config.init is not None:
            start = read_start(config.init, config.model_config(), config.init_weights)
        self.on_step = on_step
        if device.type == "cuda":  # TF32 products; what must be float32, the scan, is no product
            torch.set_float32_matmul_precision("high")
        torch.manual_seed(config.seed)
        model = PoseMamba(config.model_config(), scan=choose_scan(config, device))
        self._origins = sorted(origins | set(() if start is None else start.origins))
        self._begun = "" if start is None else f", from {start.note}"
        if start is None:
            scale_branches(model, config.branch_scale)
        else:
            model.load_state_dict(start.state)
        self.model = model.set_official_limb_gradient(config.official_limb_gradient).to(device)
        network: nn.Module = self.processes.wrap(self.model, device)
        self.stepper = Stepper(network, self.model, config)
        self.step = 0
        self.rows: list[dict[str, object]] = []
        self._loss, self._last_rate = math.nan, config.learning_rate  # as last logged, last used
        self._before = 0.0  # seconds of the runs this one goes on from

    @property
    def steps(self) -> int:
        whole = self.config.epochs * self.batches.steps_per_epoch
        return min(whole, self.config.steps or whole)

    def resume(self) -> None:
        """Go on where the folder's checkpoint stands.

        Raises:
            InputError: as :func:`posemamba.training.state.load_state`, or the file that the run
                went on from holds other weights now.
        """
        content = load_state(self.folder / STATE, self.config, self._clips)
        if content.get("begun", self._begun) != self._begun:
            raise InputError(
                f"'{self.folder / STATE}' did not begin with the weights that "
                f"'{self.config.init}' holds now: put the former file back"
            )
        self.model.load_state_dict(content["model_pos"])
        self.stepper.load_optimizer(content["optimizer"])
        self.stepper.scaler.load_state_dict(content["scaler"])
        for average, value in zip(self.stepper.average or [], content["average"], strict=True):
            average.copy_(value)
        self.step = int(content["step"])
        self.rows = list(content["log"])
        self._loss, self._last_rate = float(content["loss"]), float(content["lr"])
        self._before = float(content["seconds"])

    def train(self) -> RunResult:
        """Train to the end.

        Raises:
            InputError: the loss is no longer a number, the folder cannot be written, or the time
                is too short for a step.
        """
        start = time.perf_counter()
        self.model.train()
        recent: list[torch.Tensor] = []
        while self.step < self.steps:
            elapsed = self._before + time.perf_counter() - start
            progress = self._progress(elapsed)
            if progress >= 1.0:
                break
            self._last_rate = rate = self._rate(progress)
            recent.append(self._one_step(rate))
            self.step += 1
            ends_epoch = self.step % self.batches.steps_per_epoch == 0
            saves = self.step % self.config.save_every == 0
            told = Progress(self.step, self.steps)
            if self.step < self.steps and (ends_epoch or saves):  # the end is _finish's
                self._loss = self._mean(recent)
                recent = []
                epoch = self.step // self.batches.steps_per_epoch
                validates = ends_epoch and epoch % self.config.val_every == 0
                val_mpjpe = self._validate() if validates else None
                elapsed = self._before + time.perf_counter() - start
                self._log(rate, self._loss, elapsed, val_mpjpe)
                if saves:
                    self._save(elapsed)
                told = Progress(self.step, self.steps, self._loss, val_mpjpe)
            elif len(recent) <= _TOLD_AT_ONCE:
                told = Progress(self.step, self.steps, float(recent[-1]))
            self.on_step(told)
        return self._finish(recent, self._before + time.perf_counter() - start)

    def _one_step(self, rate: float) -> torch.Tensor:
        config = self.config
        torch.manual_seed(
            (config.seed << 32) + self.step * self.processes.count + self.processes.rank
        )
        keypoints_2d, poses_3d = self.batches.batch(self.step)
        parts = zip(
            keypoints_2d.chunk(config.accumulate), poses_3d.chunk(config.accumulate), strict=True
        )
        return self.stepper.step(list(parts), rate).detach().clone()

    def _progress(self, elapsed: float) -> float:
        """Share of the run that is done: of its steps, or of its time where that ends sooner."""
        done = self.step / self.steps
        if self.config.minutes is not None:
            done = max(done, self.processes.agree(elapsed) / (60.0 * self.config.minutes))
        return done

    def _rate(self, progress: float) -> float:
        rate = self._scheduled(progress)
        if self.step < self.config.warmup:
            rate *= (self.step + 1) / self.config.warmup
        return rate

    def _scheduled(self, progress: float) -> float:
        config = self.config
        if config.schedule == "exponential":
            epoch = self.step // self.batches.steps_per_epoch
            return config.learning_rate * config.lr_decay**epoch
        half = 0.5 * (1.0 + math.cos(math.pi * progress))
        return config.learning_rate * (FINAL_RATE + (1.0 - FINAL_RATE) * half)

    def _mean(self, losses: Sequence[torch.Tensor]) -> float:
        mean = float(self.processes.mean(torch.stack(list(losses)).mean()))
        if not math.isfinite(mean):
            raise InputError(
                f"the loss is {mean} at step {self.step}: use a smaller --learning-rate"
            )
        return mean

    def _validate(self) -> float | None:
        if self.val is None or not self.processes.leads:
            return None
        self.model.eval()
        with self.stepper.averaged():
            error = clip_errors(as_lift(self.model), self.val)["mpjpe_mm"]
        self.model.train()
        return error

    def _log(self, rate: float, loss: float, elapsed: float, val_mpjpe: float | None) -> None:
        epoch = self.step / self.batches.steps_per_epoch
        values = (self.step, round(epoch, 3), rate, loss, round(elapsed, 2), val_mpjpe)
        self.rows.append(dict(zip(_LOG_FIELDS, values, strict=True)))
        if not self.processes.leads:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, _LOG_FIELDS)
        writer.writeheader()
        writer.writerows(self.rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / LOG) as temporary:
            temporary.write_text(text.getvalue())

    def _save(self, elapsed: float) -> None:
        if not self.processes.leads:
            return
        vals = [float(str(row["val_mpjpe_mm"])) for row in self.rows if row["val_mpjpe_mm"]]
        content = {
            "epoch": self.step // self.batches.steps_per_epoch,
            "lr": self._last_rate,
            "loss": self._loss,
            "optimizer": self.stepper.optimizer.state_dict(),
            "model_pos": self.model.state_dict(),
            "min_loss": min(vals, default=math.inf),
            "scaler": self.stepper.scaler.state_dict(),
            "average": self.stepper.average or [],
            "step": self.step,
            "log": self.rows,
            "clips": self._clips,
            "begun": self._begun,
            "seconds": elapsed,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        save_state(self.folder / STATE, content, self.config)

    def _finish(self, recent: Sequence[torch.Tensor], seconds: float) -> RunResult:
        if self.step == 0:
            raise InputError(
                f"{self.config.minutes:g} minutes are over before the first step: allow more"
            )
        if recent:
            self._loss = self._mean(recent)
        self._save(seconds)
        val = self._validate()
        path = self.folder / WEIGHTS
        if self.processes.leads:
            self._log(self._last_rate, self._loss, seconds, val)
            steps, clips = plural(self.step, "step"), plural(self.config.batch_size, "clip")
            note = f"{steps} of {clips}, seed {self.config.seed}{self._begun}"
            with self.stepper.averaged():
                # Whoever passes the weights on should know what they were made of.
                data = "; ".join(self._origins)
                save_checkpoint(self.model, path, metadata={TRAINING_KEY: note, DATA_KEY: data})
        return RunResult(self.step, self._loss, val, seconds, path)
