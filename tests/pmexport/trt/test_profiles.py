"""Optimization profiles from the command line, and the command of TensorRT's own tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmexport.cli.trt import Size
from pmexport.trt.backends import BACKENDS
from pmexport.trt.options import Options
from pmexport.trt.profiles import Profile, Range, build_profiles, parse_range
from pmexport.trt.trtexec import trtexec_line

FULL = Range(1, 243, 243)


def test_default_takes_any_clip_tuned_for_the_longest() -> None:
    assert build_profiles((), (), max_frames=243) == (Profile(Range(1, 1, 8), FULL),)


def test_fixed_sizes_are_the_default() -> None:
    (profile,) = build_profiles((), (), max_frames=27, fixed_batch=2, fixed_frames=27)
    assert profile == Profile(Range(2, 2, 2), Range(27, 27, 27))


def test_profiles_pair_in_order() -> None:
    profiles = build_profiles(("1", "8"), ("1:27:81", "243"), max_frames=243)
    assert profiles == (
        Profile(Range(1, 1, 1), Range(1, 27, 81)),
        Profile(Range(8, 8, 8), Range(243, 243, 243)),
    )


@pytest.mark.parametrize("single", ["batch", "frames"])
def test_one_range_goes_with_all_of_the_other(single: str) -> None:
    batch = ("2",) if single == "batch" else ("2", "4")
    frames = ("9",) if single == "frames" else ("9", "27")
    assert len(build_profiles(batch, frames, max_frames=243)) == 2


def test_range_text() -> None:
    assert str(parse_range("1:2:4", "--batch")) == "1:2:4"
    assert str(parse_range("8", "--batch")) == "8"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 2**20),
        ("512M", 512_000_000),
        ("2GiB", 2**31),
        ("1.5g", 1_500_000_000),
        ("64KB", 64_000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


def test_every_option_has_its_flag() -> None:
    profiles = build_profiles((), (), max_frames=243)
    options = Options(
        workspace=2**20,
        hardware_compat="same-compute-capability",
        version_compat=True,
        strip_weights=True,
        optimization_level=2,
        timing_cache=Path("t"),
    )
    line = trtexec_line(
        BACKENDS["tensorrt"], Path("L.onnx"), Path("L e.engine"), "/opt/p.so", ("sm87",), profiles,
        17, options,
    )  # fmt: skip
    assert "'--saveEngine=L e.engine'" in line
    for word in ("--hardwareCompatibilityLevel=sameComputeCapability", "--versionCompatible",
                 "--stripWeights", "--refit", "--builderOptimizationLevel=2", "--stronglyTyped",
                 "--timingCacheFile=t", "--memPoolSize=workspace:1048576B"):  # fmt: skip
        assert word in line.split()
