"""The clip sets of the demonstration networks: what they are trained, fitted and measured on."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np

from posemamba.data.clip_set import save_clip_set
from posemamba.data.pose2sim import read_trial
from posemamba.data.synthetic.cameras import CAMERAS
from posemamba.data.synthetic.climbing import HELD_OUT_CLIMBS, read_climbs
from posemamba.data.synthetic.humanoid import Motion
from posemamba.data.synthetic.motion_clips import bundled_motions, make_clips, split_motions

FRAMES = 243
#: Clip set: motions, whether the held-out ones, cameras, whether the held-out ones, seed. Seeds of
#: the first three held-out sets are those of the first demonstrations, whose errors they repeat.
SOURCES: dict[str, tuple[str, bool, str, bool, int]] = {
    "train_varied": ("pybullet", False, "varied", False, 10),
    "train_centred": ("pybullet", False, "centred", False, 15),
    "train_climbs": ("climbs", False, "varied", False, 11),
    "fit": ("both", False, "varied", False, 12),
    "val_motions": ("pybullet", True, "centred", False, 1),
    "val_cameras": ("pybullet", False, "centred", True, 2),
    "val_both": ("pybullet", True, "centred", True, 3),
    "val_varied": ("pybullet", True, "varied", True, 13),
    "val_climbs": ("climbs", True, "varied", True, 14),
}
HELD_OUT = tuple(name for name in SOURCES if name.startswith("val_"))
REAL = "pose2sim"
#: Parts of ``--clips``: half of pybullet's before each kind of camera, and a quarter as many climbs
#: (tools/data_trial.py found that mix to help). Baselines are fitted on an eighth, ``fit``.
SHARES = {"train_varied": 2, "train_centred": 2, "train_climbs": 4, "fit": 8}


def set_paths(folder: Path) -> dict[str, Path]:
    """The file of each clip set, by its name."""
    return {name: folder / f"{name}.npz" for name in (*SOURCES, REAL)}


def make_sets(folder: Path, climb: Path, real: Path, clips: int, held_out: int) -> None:
    """The clip sets that are missing, each in a process of its own."""
    missing = {name: path for name, path in set_paths(folder).items() if not path.exists()}
    if not missing:
        return
    motions = {
        "pybullet": split_motions(bundled_motions()),
        "climbs": split_motions(read_climbs(climb), HELD_OUT_CLIMBS),
    }
    motions["both"] = (motions["pybullet"][0] + motions["climbs"][0], [])
    folder.mkdir(parents=True, exist_ok=True)
    if (path := missing.pop(REAL, None)) is not None:
        save_clip_set(path, read_trial(real).triangulated)
    counts = {name: clips // SHARES[name] if name in SHARES else held_out for name in missing}
    with multiprocessing.get_context("fork").Pool() as pool:
        pool.map(partial(_make, motions, counts, folder), missing, chunksize=1)
        pool.close()  # leaving the block would end workers by the signal that packs results
        pool.join()


def clip_count(path: Path) -> int:
    """Of a clip set, without reading its clips."""
    with np.load(path, allow_pickle=False) as arrays:
        return len(arrays["names"])


def _make(
    motions: dict[str, tuple[list[Motion], list[Motion]]],
    counts: dict[str, int],
    folder: Path,
    name: str,
) -> None:
    source, held, cameras, other, seed = SOURCES[name]
    filmed = CAMERAS[cameras][other]
    clips = make_clips(motions[source][held], filmed, counts[name], FRAMES, seed)
    save_clip_set(set_paths(folder)[name], clips)
