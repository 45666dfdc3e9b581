"""One run of the ablation: so many steps from a seed, then the errors on held-out clips.

Two rows of one seed differ in what the row says and nothing else: training draws weights, order,
cuts, mirrors and stochastic depth from the seed and the step's number.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from posemamba.ablation.settings import Settings
from posemamba.ablation.table import FULL, Cell
from posemamba.data.clip_set import load_clip_set
from posemamba.evaluation.clip_sets import clip_errors
from posemamba.model.device import pick_device
from posemamba.model.lift import as_lift
from posemamba.training.clip_checks import check_batches, check_training, check_validation
from posemamba.training.config import TrainConfig, train_config
from posemamba.training.devices import check_device
from posemamba.training.run import Run


def run_cell(cell: Cell, settings: Settings) -> dict[str, Any]:
    """Train, measure.

    Returns:
        ``figures`` (validation set -> metric -> mm), the last mean training ``loss``, and
        ``seconds`` for all of it.

    Raises:
        InputError: clips shorter than the network or fewer than a batch, a device or scan that is
            not there, or a loss that is no longer finite.
    """
    start = time.perf_counter()
    config = _config(cell, settings)
    device = pick_device(settings.device)
    train = [load_clip_set(Path(path)) for path in settings.data]
    vals = {name: load_clip_set(Path(path)) for name, path in settings.val.items()}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, train, None, Path(folder), device)
        result = run.train()
    lift = as_lift(run.model.eval())
    figures = {name: clip_errors(lift, clips) for name, clips in vals.items()}
    return {"figures": figures, "loss": result.loss, "seconds": time.perf_counter() - start}


def check_settings(settings: Settings) -> None:
    """Refuse, before anything is written, what every run would refuse.

    Raises:
        InputError: as :func:`run_cell`, but for the loss; the files are named.
    """
    # The orders and weights of a table's rows are always right.
    config = _config(Cell(FULL, (), 0), settings)
    check_device(config, pick_device(settings.device))
    train = [load_clip_set(Path(path)) for path in settings.data]
    for path, clips in zip(settings.data, train, strict=True):
        check_training(clips, config.frames, f"'{path}'")
    check_batches(train, config)
    for path in settings.val.values():
        check_validation(load_clip_set(Path(path)), f"'{path}'")


def _config(cell: Cell, settings: Settings) -> TrainConfig:
    return train_config(
        depth=settings.depth,
        d_model=settings.d_model,
        frames=settings.frames,
        scan_order=cell.scan_order,
        scan=settings.scan,
        steps=settings.steps,
        epochs=settings.steps,  # an epoch has at least a step, so it is the steps that end the run
        batch_size=settings.batch,
        learning_rate=settings.learning_rate,
        schedule="cosine",
        cuda_graph=settings.cuda_graph,
        save_every=settings.steps,
        seed=cell.seed,
        **dict.fromkeys(cell.off, 0.0),
    )
