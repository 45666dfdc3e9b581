"""Engines are built once, found again, and a miss says what is new."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from trt_machine import gpu

from pmexport.trt.cache import MAX_AGE_DAYS, EngineCache, cache_key

Trt = Callable[..., Result]
FP16 = ("--onnx", "tiny.fp16.onnx", "--cache", "kept")


def cache_line(result: Result) -> str:
    return next(line.strip() for line in result.stdout.splitlines() if "cache: " in line)


def entries() -> list[Path]:
    return list(Path("kept/entries").iterdir())


def test_hit_gives_the_same_engine_under_another_name(
    fake: Path, here: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_line(trt(*FP16)) == "cache: miss, it is empty (kept)"
    monkeypatch.setenv("FAKE_TENSORRT", "crash")  # nothing is built from now on
    result = trt(*FP16, "-o", "again.engine")
    assert cache_line(result).startswith("cache: hit, built 20")
    assert Path("again.engine").read_bytes() == Path("tiny.fp16.engine").read_bytes()
    first, second = (json.loads(Path(f"{name}.engine.json").read_text())
                     for name in ("tiny.fp16", "again"))  # fmt: skip
    assert second["engine"].pop("file") == "again.engine"
    assert first["engine"].pop("file") == "tiny.fp16.engine"
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (("--batch", "2"), "profiles"),
        (("--frames", "9", "--workspace", "1G"), "profiles, workspace"),
        (("--optimization-level", "1"), "optimization level"),
        (("--hardware-compat", "ampere+"), "hardware compatibility"),
        (("--version-compat",), "version compatibility"),
        (("--strip-weights",), "stripped weights"),
        (
            ("--backend", "tensorrt-rtx", "--target", "sm86"),
            "backend, gpu, target, tensorrt version",
        ),
        (("--onnx", "tiny.fp32.onnx"), "onnx, precision"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_miss_names_what_changed(
    arguments: tuple[str, ...], changed: str, fake: Path, trt: Trt
) -> None:
    trt(*FP16)
    line = cache_line(trt(*FP16, *arguments))
    assert line.startswith("cache: miss, changed since the nearest of 20")
    assert line.endswith(f": {changed} (kept)")
    assert len(entries()) == 2


def test_another_plugin_or_gpu_is_a_miss(
    fake: Path, trt: Trt, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt(*FP16)
    fake.write_text(fake.read_text() + " ")
    assert cache_line(trt(*FP16)).endswith(": plugin (kept)")
    gpu(monkeypatch, "sm87", "Orin Nano")
    assert cache_line(trt(*FP16)).endswith(": gpu (kept)")


def test_the_nearest_is_named(fake: Path, trt: Trt) -> None:
    trt(*FP16, "--workspace", "1G", "--batch", "2", "--optimization-level", "1")
    trt(*FP16)
    line = cache_line(trt(*FP16, "--workspace", "2G"))
    assert line.endswith(": workspace (kept)")


@pytest.mark.parametrize("harm", ["flipped", "cut", "no sidecar"])
def test_damaged_engines_are_built_again(harm: str, fake: Path, trt: Trt) -> None:
    trt(*FP16)
    (entry,) = entries()
    engine = entry / "engine"
    good = engine.read_bytes()
    if harm == "flipped":
        engine.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    elif harm == "cut":
        engine.write_bytes(good[:-1])
    else:
        (entry / "sidecar.json").unlink()
    line = cache_line(trt(*FP16))
    assert line == "cache: the engine kept there was damaged and is built again (kept)"
    assert engine.read_bytes() == good
    assert "hit" in cache_line(trt(*FP16))


def test_user_cache_is_the_default(fake: Path, here: Path, trt: Trt) -> None:
    trt("--onnx", "tiny.fp16.onnx")
    assert len(list((here / "xdg/pmexport/engines/entries").iterdir())) == 1
    trt("--onnx", "tiny.fp16.onnx", "--no-cache", "--batch", "2")
    assert len(list((here / "xdg/pmexport/engines/entries").iterdir())) == 1


def test_two_processes_build_one_engine_once(fake: Path, here: Path) -> None:
    code = (
        "from pmexport.engine import gpu; from pmexport.__main__ import main;"
        "gpu._first_gpu = lambda: ('sm87', 'Orin'); main()"
    )
    command = [sys.executable, "-c", code, "trt", *FP16]
    processes = [
        subprocess.Popen([*command, "-o", f"{n}.engine"], stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    lines = "".join(process.communicate(timeout=60)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert lines.count("cache: miss") == 1
    assert lines.count("cache: hit") == 1


def put(cache: EngineCache, name: str, size: int, age_days: float = 0.0) -> str:
    """An entry of ``size`` bytes, last used so many days ago."""
    fields = {"name": name}
    key = cache_key(fields)
    source = cache.folder / "source"
    source.write_bytes(b"x" * size)
    cache.store(key, fields, source, json.dumps({"created": name}))
    used = time.time() - age_days * 86400
    os.utime(cache.folder / "entries" / key / "fields.json", (used, used))
    return key


def test_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c", limit_bytes=10_000)
    old, middle = put(cache, "old", 4000, 2.0), put(cache, "middle", 4000, 1.0)
    new = put(cache, "new", 4000)
    left = {path.name for path in (tmp_path / "c" / "entries").iterdir()}
    assert left == {middle, new}
    assert old not in left


def test_old_entries_go(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    recent = put(cache, "recent", 10, MAX_AGE_DAYS - 1.0)
    put(cache, "ancient", 10, MAX_AGE_DAYS + 1.0)
    assert cache.prune() == 1
    assert [path.name for path in (tmp_path / "c" / "entries").iterdir()] == [recent]


def test_entries_in_use_stay(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    key = put(cache, "ancient", 10, MAX_AGE_DAYS + 1.0)
    with cache.locked(key):
        assert EngineCache(tmp_path / "c").prune() == 0
    assert cache.prune() == 1


def test_what_was_just_stored_stays_whatever_its_size(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c", limit_bytes=10)
    key = put(cache, "large", 1000)
    assert [path.name for path in (tmp_path / "c" / "entries").iterdir()] == [key]


def test_waiting_is_told(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "c")
    code = (
        "import sys, time; from pathlib import Path; from pmexport.trt.cache import EngineCache\n"
        "with EngineCache(Path(sys.argv[1])).locked('ab'):\n"
        "    print('held', flush=True); time.sleep(0.5)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "c")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    told = []
    with cache.locked("ab", lambda: told.append("waiting")):
        assert holder.wait(5) == 0
    assert told == ["waiting"]
    holder.stdout.close()
