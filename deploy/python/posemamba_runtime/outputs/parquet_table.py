"""``.parquet``: a row per person and frame; a folder of such files reads as one table.

``poses_3d`` holds 51 numbers, x, y and z of the 17 joints; ``keypoints_2d`` 34, ``root_estimate`` 3
and ``filled`` 17 truths. What a file says of itself is JSON under ``posemamba`` in its metadata.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from posemamba_runtime import long_arrays
from posemamba_runtime.motion import Motion, Track
from posemamba_runtime.outputs.labels import facts
from posemamba_runtime.skeleton import JOINT_NAMES

if TYPE_CHECKING:
    from pyarrow import Array, DataType, Table

_METADATA = b"posemamba"
_GROUP = 16_384
"""Rows written at a time, which readers take at a time."""


def write(path: Path, motion: Motion, tracks: Sequence[Track]) -> None:
    """As the module's description says."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    def lists(values: npt.NDArray[Any], kind: DataType) -> Array:
        return arrow.FixedSizeListArray.from_arrays(
            arrow.array(values.ravel(), kind), list_size=math.prod(values.shape[1:])
        )

    def table(track: Track, rows: slice) -> Table:
        poses, single = track.poses_3d[rows], arrow.float32()
        count = len(poses)
        root = np.full((count, 3), np.nan) if track.root is None else track.root[rows]
        columns = {
            "recording": arrow.array([motion.source] * count, arrow.string()).dictionary_encode(),
            "person": arrow.array(np.full(count, track.person), arrow.int64()),
            "frame": arrow.array(track.frames[rows], arrow.int64()),
            "timestamp": arrow.array(track.timestamps[rows], arrow.float64()),
            "poses_3d": lists(poses.astype(np.float32), single),
            "filled": lists(track.filled[rows], arrow.bool_()),
            "keypoints_2d": lists(track.keypoints_2d[rows].astype(np.float32), single),
            "root_estimate": lists(root.astype(np.float32), single),
        }
        return arrow.table(columns).replace_schema_metadata(metadata)

    said = {**facts(motion), "joint_names": JOINT_NAMES}
    metadata = {_METADATA: json.dumps(said).encode()}
    schema = table(tracks[0], slice(0, 0)).schema
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for track in tracks:
            for rows in long_arrays.pieces(
                track.poses_3d, track.keypoints_2d, track.filled, rows=_GROUP
            ):
                writer.write_table(table(track, rows))
