"""What a model says about itself."""

from __future__ import annotations

import json

import pytest

from pmexport.format.metadata import build_metadata, parse_metadata
from pmexport.format.names import PREFIX
from pmexport.format.options import ExportOptions
from posemamba import InputError, PoseMambaConfig

CONFIG = PoseMambaConfig.from_variant("L", scan_order="bs-ft")


def test_round_trip() -> None:
    source = {"checkpoint": "best.pth", "checkpoint_sha256": "ab" * 32}
    options = ExportOptions(frames=81, precision="fp16")
    written = build_metadata(CONFIG, options, 9_450_499, source)
    assert list(written) == sorted(written)
    assert all(isinstance(text, str) for text in written.values())
    found = parse_metadata(written | {"somebody": "else's"})
    assert PoseMambaConfig(**found["config"] | {"limb_index": CONFIG.limb_index}) == CONFIG
    expected = {
        "variant": "L",
        "scan_order": "bs-ft",
        "parameters": 9_450_499,
        "frames": "81",
        "max_frames": 81,
        "batch": "dynamic",
        "ops": "fused",
        "precision": "fp16",
        "schema_version": 1,
        **source,
    }
    assert {key: found[key] for key in expected} == expected
    assert len(found["joint_names"]) == 17
    assert "image_width" in found["normalisation"]
    assert "image width" in found["units"]


def test_free_frames_end_where_the_network_does() -> None:
    found = parse_metadata(build_metadata(CONFIG, ExportOptions(), 1))
    assert (found["frames"], found["max_frames"]) == ("dynamic", 243)


def test_the_exporters_own_keys_are_not_overwritten() -> None:
    with pytest.raises(InputError, match="'variant'"):
        build_metadata(CONFIG, ExportOptions(), 1, {"variant": "XXL"})


def test_damaged_entry_is_named() -> None:
    with pytest.raises(InputError, match=r"posemamba\.config.*\{\"d_model.*export the model again"):
        parse_metadata({f"{PREFIX}config": '{"d_model"'})


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *(("max_frames", text) for text in ("null", '"many"', "1.5", "-5", "0", "244", "true")),
        ("max_frames", "9" * 5000),  # more digits than Python turns into a number
        ("config", "[" * 100_000),  # deeper than Python's stack
        ("config", "[]"),
        ("config", '{"frames": 9, "frames": 27}'),
        ("parameters", '"few"'),
        ("joint_names", "5"),
        ("joint_names", '["root"]'),
        ("schema_version", "null"),
    ],
    ids=lambda text: text[:10],
)
def test_entry_of_another_kind_is_named(key: str, text: str) -> None:
    with pytest.raises(InputError, match=rf"posemamba\.{key}.*export the model again"):
        parse_metadata({PREFIX + key: text})


def test_newer_schema_is_refused() -> None:
    written = build_metadata(CONFIG, ExportOptions(), 1)
    written[f"{PREFIX}schema_version"] = json.dumps(2)
    with pytest.raises(InputError, match=r"schema version 2.*update pmexport"):
        parse_metadata(written)


def test_no_metadata_is_no_error() -> None:
    assert parse_metadata({}) == {}
