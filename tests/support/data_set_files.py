"""Small files in exactly the layouts of the field's data sets, with made-up content."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

CAMERAS = ("54138969", "55011271", "58860488", "60457274")


def human36m(seed: int = 0) -> dict[str, dict[str, Any]]:
    """The dictionary that h36m_sh_conf_cam_source_final.pkl is a pickle of.

    Test recordings of 9, 7 and 12 frames, one of them left out by the protocol; poses are spread as
    people's are. Names and types as in the file: lists of names, float arrays, one NumPy scalar a
    frame in ``2.5d_factor``.
    """
    rng = np.random.default_rng(seed)
    recordings = {
        "train": [("s_01_act_02_subact_01_ca_01", 0, 9), ("s_05_act_03_subact_02_ca_04", 3, 14)],
        "test": [
            ("s_09_act_02_subact_01_ca_01", 0, 9),
            ("s_09_act_05_subact_02_ca_02", 1, 7),
            ("s_11_act_03_subact_02_ca_03", 2, 12),
            ("s_11_act_02_subact_02_ca_04", 3, 8),
        ],
    }
    content: dict[str, dict[str, Any]] = {}
    for name, parts in recordings.items():
        total = sum(count for _, _, count in parts)
        pose = rng.normal(0, 120, (total, 17, 3)) + np.array([500.0, 500.0, 0.0])
        content[name] = {
            "joint_2d": (pose[..., :2] + rng.normal(0, 5, (total, 17, 2))).astype(np.float32),
            "confidence": rng.uniform(0.5, 1, (total, 17)).astype(np.float32),
            "joint3d_image": pose,
            "camera_name": [CAMERAS[camera] for _, camera, count in parts for _ in range(count)],
            "source": [source for source, _, count in parts for _ in range(count)],
            "action": [
                f"Action {source[9:11]}" for source, _, count in parts for _ in range(count)
            ],
        }
        if name == "test":
            factor = rng.uniform(3.5, 5.5, total)
            content[name]["2.5d_factor"] = list(factor)  # NumPy scalars
            content[name]["joints_2.5d_image"] = pose * factor[:, None, None] + rng.normal(
                0, 20, (total, 17, 3)
            )
    return content


def save_pickle(path: Path, content: object, protocol: int = 4) -> Path:
    with path.open("wb") as stream:
        pickle.dump(content, stream, protocol=protocol)
    return path


def mpi_test(seed: int = 1) -> dict[str, dict[str, Any]]:
    """The dictionary in data_test_3dhp.npz: three sequences, some frames not valid."""
    rng = np.random.default_rng(seed)
    content = {}
    for name, n, (width, height) in (
        ("TS1", 9, (2048, 2048)),
        ("TS5", 6, (1920, 1080)),
        ("TS6", 4, (1920, 1080)),
    ):
        content[name] = {
            "data_2d": rng.normal(0, 150, (n, 17, 2)) + np.array([width / 2, height / 2]),
            "data_3d": rng.normal(0, 100, (n, 17, 3)) + np.array([100.0, 200.0, 3000.0]),
            "valid": (np.arange(n) % 4 != 2).astype(np.float64),
        }
    return content


def mpi_train(seed: int = 2) -> dict[str, list[dict[str, Any]]]:
    """The dictionary in data_train_3dhp.npz."""
    rng = np.random.default_rng(seed)
    return {
        f"S{subject} Seq1": [
            {
                camera: {
                    "data_2d": rng.normal(1024, 150, (n, 17, 2)),
                    "data_3d": rng.normal(0, 300, (n, 17, 3)) + np.array([0.0, 0.0, 3000.0]),
                }
                for camera in ("0", "8")
            }
        ]
        for subject, n in ((1, 40), (2, 20))
    }


def save_object_npz(path: Path, content: object) -> Path:
    with path.open("wb") as stream:
        np.savez_compressed(stream, data=np.array(content, dtype=object))
    return path
