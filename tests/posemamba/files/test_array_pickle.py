"""Pickles of arrays: read whatever the protocol, and nothing in them is run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_set_files import human36m, save_object_npz, save_pickle

from posemamba.errors import InputError
from posemamba.files.array_pickle import load_array_pickle, load_object_array


def same(a: Any, b: Any) -> bool:
    if isinstance(b, np.ndarray) and b.dtype == object:
        b = b.tolist() if b.shape else b.item()
    if isinstance(b, dict):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(np.array_equal(a, b))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_arrays_are_read(tmp_path: Path, protocol: int) -> None:
    content = {
        "set": human36m(),
        "types": [
            np.arange(6).astype(t).reshape(2, 3)
            for t in ("i1", "u2", "<i4", ">i8", "f2", "f4", ">f8", "?")
        ],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "names": np.array(["a", "bcd"]),
        "objects": np.array(["x", "yz"], dtype=object),
        "empty": np.zeros((0, 17, 3)),
        "numbers": (np.float32(1.5), np.int64(-3), np.bool_(True)),
    }
    assert same(load_array_pickle(save_pickle(tmp_path / "p.pkl", content, protocol)), content)


def test_names_of_numpy_1_are_known(tmp_path: Path) -> None:
    """The files in the wild were written by NumPy 1, whose module has another name."""
    content = save_pickle(tmp_path / "p.pkl", human36m(), 2).read_bytes()
    assert b"numpy._core" in content
    old = content.replace(b"numpy._core", b"numpy.core")
    (tmp_path / "old.pkl").write_bytes(old)
    assert same(load_array_pickle(tmp_path / "old.pkl"), human36m())


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "ran")


def test_nothing_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for number, content in enumerate(
        (Runs(mark), {"train": Runs(mark)}, [np.array([Runs(mark)], dtype=object)])
    ):
        path = save_pickle(tmp_path / f"{number}.pkl", content)
        with pytest.raises(InputError, match="nothing was run"):
            load_array_pickle(path)
    path = save_object_npz(tmp_path / "x.npz", {"TS1": Runs(mark)})
    with pytest.raises(InputError, match="nothing was run"):
        load_object_array(path, "data")
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.",  # raw memory
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\ntNI8\nI8\nI0\ntb.",  # fields
        b"c_codecs\nencode\n(S'a'\nS'zip'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nfromfile\n.",
    ],
)
def test_other_names_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.pkl").write_bytes(content)
    with pytest.raises(InputError, match="refused"):
        load_array_pickle(tmp_path / "p.pkl")


def test_every_truncation_is_one_error(tmp_path: Path) -> None:
    content = save_pickle(tmp_path / "p.pkl", human36m()).read_bytes()
    for length in range(0, len(content), max(1, len(content) // 200)):
        (tmp_path / "cut.pkl").write_bytes(content[:length])
        with pytest.raises(InputError, match="truncated"):
            load_array_pickle(tmp_path / "cut.pkl")
