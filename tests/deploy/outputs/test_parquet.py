"""``.parquet``: the columns hold what ``.npz`` holds, and a folder of files is one table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from motions import motion

from posemamba_runtime.outputs import write

SAME = ("person", "timestamp", "poses_3d", "filled", "keypoints_2d", "root_estimate")
COLUMNS = {**dict(zip(SAME, SAME, strict=True)), "frame": "frames", "timestamp": "timestamps"}


def test_columns_hold_the_arrays_of_npz(tmp_path: Path) -> None:
    given = motion(people=2)
    write(tmp_path / "o.npz", given)
    write(tmp_path / "o.parquet", given)
    table = parquet.read_table(tmp_path / "o.parquet")
    with np.load(tmp_path / "o.npz") as arrays:
        for column, name in COLUMNS.items():
            values = np.array(table[column].to_pylist())
            wanted = arrays[name].reshape(values.shape).astype(values.dtype)
            # The file holds single precision, as the poses are.
            single = values.astype(np.float32), wanted.astype(np.float32)
            np.testing.assert_array_equal(*single, err_msg=column)
    said = json.loads(table.schema.metadata[b"posemamba"])
    assert (said["units"], said["rate"]) == (given.units, given.rate)
    assert table["recording"].to_pylist() == [given.source] * table.num_rows


def test_a_folder_of_files_is_one_table(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", motion())
    rows = parquet.read_table(tmp_path / "a.parquet").num_rows
    assert parquet.read_table(tmp_path).num_rows == 2 * rows
