"""The official ``config.yaml``: read whole, believed never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from posemamba.checkpoint.official_config import (
    config_fields,
    config_scan_order,
    read_official_config,
)
from posemamba.errors import InputError

# What yaml.dump makes of an EasyDict (easydict 1.13): every item twice, as item and as attribute.
DUMPED = """\
!!python/object/new:easydict.EasyDict
dictitems:
  backbone: PoseMamba
  data_root: data/motion3d/MB3D_f243s81/
  depth: 10
  dim_feat: 64
  flip: true
  learning_rate: 0.0002
  maxlen: 243
  mlp_ratio: 2
  nested: &id001 !!python/object/new:easydict.EasyDict
    dictitems:
      a: 1
    state:
      a: 1
  num_joints: 17
  partial_train: null
  subset_list: &id002
  - H36M-SH
state:
  backbone: PoseMamba
  depth: 10
  nested: *id001
  subset_list: *id002
"""


def read(text: str | bytes, folder: Path) -> dict[str, Any]:
    file = folder / "config.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_official_config(file)


def test_dump_of_an_easydict(tmp_path: Path) -> None:
    assert read(DUMPED, tmp_path) == {
        "backbone": "PoseMamba",
        "data_root": "data/motion3d/MB3D_f243s81/",
        "depth": 10,
        "dim_feat": 64,
        "flip": True,
        "learning_rate": 0.0002,
        "maxlen": 243,
        "mlp_ratio": 2,
        "nested": {"a": 1},
        "num_joints": 17,
        "partial_train": None,
        "subset_list": ["H36M-SH"],
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: !!python/tuple [1, 2]", [1, 2]),
        ("a: !!python/object/new:x.Y {state: {b: 1}}", {"b": 1}),
        ("a: !!python/object:x.Y {b: 1}", {"b": 1}),
        ("a: !mine {b: 1}", {"b": 1}),
        ("a: !mine 7", "7"),
        ("a: !!python/name:os.system ''", ""),
        ("a: 0x10", 16),
        ("a: 2025-01-01", "2025-01-01"),
        ("a: {? [1, 2] : 3}", {"tag:yaml.org,2002:seq": 3}),
    ],
)
def test_tags_mean_nothing(text: str, value: object, tmp_path: Path) -> None:
    assert read(text, tmp_path)["a"] == value


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch canary']",
        "a: !!python/object/apply:builtins.eval [\"open('canary', 'w')\"]",
        "a: !!python/object/new:subprocess.Popen {args: [[touch, canary]]}",
        "!!python/object/apply:os.system ['touch canary']: 1",
        "a: !!python/module:antigravity ''",
    ],
)
def test_nothing_is_executed(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    read(text, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.yaml"]


def test_alias_bomb_stays_small(tmp_path: Path) -> None:
    lines = ["x0: &x0 [1, 1]"] + [f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]" for n in range(1, 60)]
    assert len(read("\n".join(lines), tmp_path)) == 60  # 2 ** 60 leaves if aliases were copied


def test_alias_to_itself(tmp_path: Path) -> None:
    loop = read("a: &a [*a, 1]", tmp_path)["a"]
    assert loop[0] is loop


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a mapping"),
        ("- 1\n- 2", "not a mapping"),
        ("word", "not a mapping"),
        ("a: [1, 2", "not valid YAML"),
        ("a: *nowhere", "not valid YAML"),
        (b"a: \xff\xfe\x00", "not valid YAML"),
        (b"\x00\x01\x02", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("a: 1\nb: 2\na: 3", "it has 'a' twice, with two values"),
        ("a: {b: [1]}\na: {b: [1]}", "it has 'a' twice"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("a: " + "x" * (1 << 20), "larger than 1 MiB"),
    ],
    ids=range(12),
)
def test_bad_files_are_one_line(text: str | bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says) as caught:
        read(text, tmp_path)
    line = str(caught.value)
    assert "config.yaml: " in line
    assert line.isprintable()
    assert len(line) < 400


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_official_config(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        read_official_config(tmp_path)


def test_names_of_the_fields(tmp_path: Path) -> None:
    assert config_fields(read(DUMPED, tmp_path)) == {
        "d_model": 64,
        "depth": 10,
        "frames": 243,
        "joints": 17,
        "mlp_ratio": 2,
    }
    assert config_fields({"mlp_ratio": 2.0, "depth": "ten", "maxlen": None, "dim_feat": True}) == {
        "mlp_ratio": 2
    }
    assert config_fields({"mlp_ratio": float("nan"), "depth": float("inf")}) == {}


@pytest.mark.parametrize(
    ("raw", "order"),
    [
        ({}, None),
        ({"forward_type": "v2_plus_poselimbs"}, "global-local"),
        ({"forward_type": "v2"}, "bidirectional"),
        ({"forward_type": "v3"}, "bidirectional"),
        ({"forward_type": "v2_no32"}, "bidirectional"),
        ({"forward_type": "v31d_no32"}, "v31d"),
        ({"forward_type": "v2_bs_ft"}, "bs-ft"),
        ({"scan_order": "fs_bt", "forward_type": "v2"}, "fs-bt"),
    ],
)
def test_scan_order(raw: dict[str, Any], order: str | None) -> None:
    assert config_scan_order(raw) == order


@pytest.mark.parametrize("stated", ["v02", "v2_nozact", ["v2"], {"a": 1}, 2])
def test_unsupported_scan_order(stated: object) -> None:
    with pytest.raises(InputError, match="forward_type"):
        config_scan_order({"forward_type": stated})
