"""``.parquet``: a row per person and frame; a folder of such files reads as one table.

``poses_3d`` holds 51 numbers, x, y and z of the 17 joints; ``keypoints_2d`` 34, ``root_estimate`` 3
and ``filled`` 17 truths. What a file says of itself is JSON under ``posemamba`` in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.labels import facts
from posemamba_runtime.skeleton import JOINT_NAMES

_METADATA = b"posemamba"


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """As the module's description says."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    def column(values: list[npt.NDArray[Any]], kind: Any) -> Any:  # noqa: ANN401 (Arrow's types)
        return arrow.array(np.concatenate(values), kind)

    def lists(values: list[npt.NDArray[Any]], kind: Any) -> Any:  # noqa: ANN401
        whole = np.concatenate(values)
        flat = whole.reshape(len(whole), -1)
        return arrow.FixedSizeListArray.from_arrays(
            arrow.array(flat.ravel(), kind), list_size=flat.shape[1]
        )

    single = arrow.float32()
    roots = [
        np.full((len(track.frames), 3), np.nan) if track.root is None else track.root
        for track in tracks
    ]
    rows = sum(len(track.frames) for track in tracks)
    table = arrow.table(
        {
            "recording": arrow.array([motion.source] * rows, arrow.string()).dictionary_encode(),
            "person": column([np.full(len(t.frames), t.person) for t in tracks], arrow.int64()),
            "frame": column([track.frames for track in tracks], arrow.int64()),
            "timestamp": column([track.timestamps for track in tracks], arrow.float64()),
            "poses_3d": lists([t.poses_3d.astype(np.float32) for t in tracks], single),
            "filled": lists([track.filled for track in tracks], arrow.bool_()),
            "keypoints_2d": lists([t.keypoints_2d.astype(np.float32) for t in tracks], single),
            "root_estimate": lists([root.astype(np.float32) for root in roots], single),
        }
    )
    said = {**facts(motion), "joint_names": JOINT_NAMES}
    metadata = {_METADATA: json.dumps(said).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")
