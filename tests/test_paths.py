"""A file may be named by a str where a Path may, in every public function that reads or writes one.

A reader that knows Paths alone fails on a str as it does on a damaged file, and blames the file.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import ROOT, TINY

import pmexport
from pmexport.format.keep import read_keep, write_keep
from pmexport.inspect.kinds import inspect_file
from posemamba.data.clip_set import ClipSet, load_clip_set, save_clip_set
from posemamba.errors import InputError
from posemamba.pose.clips import load_clips, save_clips
from posemamba_runtime.keypoints.errors import InputError as KeypointsError

PACKAGES = ("posemamba", "export/pmexport", "deploy/python/posemamba_runtime")
VERBS = re.compile(r"(load|read|save|write|inspect|look_at|open|evaluate|plot|draw|export)_")

READERS: dict[str, tuple[Any, ...]] = {
    "posemamba.checkpoint.read.read_checkpoint": (),
    "posemamba.checkpoint.containers.read_weight_file": (),
    "posemamba.data.clip_set.load_clip_set": (),
    "posemamba.data.human36m.read_human36m": (),
    "posemamba.data.human36m.read_test_split": (),
    "posemamba.data.human36m.clip_sets": (),
    "posemamba.data.mpi_inf_3dhp.read_test": (),
    "posemamba.data.mpi_inf_3dhp.read_train": (),
    "posemamba.data.pose2sim.read_trial": (),
    "posemamba.data.pose_files.read_poses": (),
    "posemamba.data.synthetic.climbing.read_climbs": (),
    "posemamba.data.synthetic.humanoid.read_motion": (),
    "posemamba.data.synthetic.motion_clips.read_motions": (),
    "posemamba.draw.plots.read_clip": (None,),
    "posemamba.files.array_pickle.load_array_pickle": (),
    "posemamba.pose.clips.load_clips": (),
    "posemamba.training.config.read_train_config": (),
    "posemamba.training.state.load_state": (None, ()),
    "pmexport.bench.compare.read_report": (),
    "pmexport.check.module.read_module_reference": (),
    "pmexport.check.polygraphy_files.read_poses": ((),),
    "pmexport.check.reference.inspect_reference": (),
    "pmexport.check.reference.read_reference": (),
    "pmexport.engine.file.open_engine": (),
    "pmexport.engine.sidecar.inspect_engine": (),
    "pmexport.engine.sidecar.read_sidecar": (),
    "pmexport.format.facts.inspect_onnx": (),
    "pmexport.format.file.open_model": (),
    "pmexport.format.keep.read_keep": (),
    "pmexport.inspect.kinds.inspect_file": (),
    "pmexport.regress.compare.read_cells": (),
    "pmexport.runtimes.files.open_runnable": (),
    "pmexport.runtimes.ort_format.inspect_ort": (),
    "posemamba_runtime.keypoints.read": (),
    "posemamba_runtime.keypoints.archive.read_archive": (),
}
"""Each with what else it wants."""


@pytest.mark.parametrize("content", [None, b"neither this nor that"], ids=["absent", "damaged"])
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_says_the_same_of_both(reader: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "some.file"
    if content is not None:
        path.write_bytes(content)
    module, name = reader.rsplit(".", 1)
    read = getattr(importlib.import_module(module), name)
    said = []
    for named in (path, str(path)):
        with pytest.raises((InputError, KeypointsError)) as told:
            read(named, *READERS[reader])
        said.append(str(told.value))
    assert said[0] == said[1]
    assert "some.file" in said[0]


def test_what_is_written_by_one_is_read_by_the_other(tmp_path: Path) -> None:
    clip = np.linspace(-0.5, 0.5, 3 * 34, dtype=np.float32).reshape(1, 3, 17, 2)
    poses, scale = np.zeros((1, 3, 17, 3), np.float32), np.ones(1, np.float32)
    clips = ClipSet(clip, poses, scale, ("a",))
    path = tmp_path / "c.npz"
    save_clip_set(str(path), clips)
    assert load_clip_set(str(path)).sha256 == load_clip_set(path).sha256 == clips.sha256
    save_clips(str(path), {"a": clip[0]})
    assert list(load_clips(str(path))) == ["a"]
    keep = tmp_path / "keep.txt"
    write_keep(str(keep), ["head.*"])
    assert read_keep(str(keep)) == read_keep(keep) == ("head.*",)
    assert inspect_file(str(TINY)) == inspect_file(TINY)


def test_requests_take_either() -> None:
    """Every request and set of options of pmexport that has a field for a file."""
    seen = 0
    for module in pkgutil.walk_packages(pmexport.__path__, "pmexport."):
        if "__main__" in module.name:
            continue
        for name, found in vars(importlib.import_module(module.name)).items():
            ours = dataclasses.is_dataclass(found) and found.__module__ == module.name
            if not ours or not name.endswith(("Request", "Options")):
                continue
            kinds = {each.name: str(each.type) for each in dataclasses.fields(found)}
            files = {field: kind for field, kind in kinds.items() if re.search(r"\bPath\b", kind)}
            given = {field: ("a/b",) if "tuple" in kind else "a/b" for field, kind in files.items()}
            request = found(**(dict.fromkeys(kinds) | given))
            for field, kind in files.items():
                wanted = (Path("a/b"),) if "tuple" in kind else Path("a/b")
                assert getattr(request, field) == wanted, f"{name}.{field}"
                seen += 1
    assert seen > 15


def test_no_public_function_wants_a_path_alone() -> None:
    """But for a ``scratch`` folder, which a caller of ours has made."""
    narrow, seen = [], 0
    for package in PACKAGES:
        for source in sorted((ROOT / package).rglob("*.py")):
            if "cli" in source.parts:  # click makes Paths
                continue
            for function in ast.parse(source.read_text()).body:
                if not isinstance(function, ast.FunctionDef) or not VERBS.match(function.name):
                    continue
                for given in (*function.args.args, *function.args.kwonlyargs):
                    wanted = "" if given.annotation is None else ast.unparse(given.annotation)
                    seen += "os.PathLike" in wanted
                    if re.match(r"Path\b", wanted) and given.arg not in ("scratch", "profile"):
                        narrow.append(f"{source.name}: {function.name}({given.arg}: {wanted})")
    assert narrow == []
    assert seen > 40
