"""What comes back from the machine that trained the demonstration networks, and goes on elsewhere.

In a folder, as few small files: ``cards.tar.gz`` with logs, facts, checks and cards;
``demo_NAME.safetensors`` of finished networks, in pieces where it is large; ``NAME.state.N`` of
unfinished ones.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.demo.pieces import cut, join, light_state
from posemamba.training.run import LOG, STATE, WEIGHTS

WHOLE = 16 * 2**20
"""Bytes of the largest file that comes back whole."""
ARCHIVE = "cards.tar.gz"
FACTS = "facts.json"
#: Checks made on another machine lie here, so that one made anew does not take their place.
ELSEWHERE = "elsewhere"


def weights_name(name: str) -> str:
    """The file that a network would be bundled by."""
    return f"demo_{name}.safetensors"


def finished(out: Path, name: str) -> Path | None:
    """The weights of a finished run, under the name they would be bundled by."""
    final, named = out / name / "run" / WEIGHTS, out / name / weights_name(name)
    if not final.exists():
        return None
    shutil.copyfile(final, named)
    return named


def pack(out: Path, back: Path, names: Sequence[str]) -> list[Path]:
    """All that must come back, in at most eight files of at most 16 MiB for one L or the rest."""
    back.mkdir(parents=True, exist_ok=True)
    for name in names:  # of an earlier call
        for file in (*back.glob(f"{name}.state.?"), *back.glob(f"{weights_name(name)}*")):
            file.unlink()
    with tarfile.open(back / ARCHIVE, "w:gz") as archive:
        for folder in sorted(path.parent for path in out.glob("*/run")):
            for pattern in ("card/*", "*.log", "*.json", f"run/{LOG}"):
                for file in sorted(folder.glob(pattern)):
                    archive.add(file, f"{folder.name}/{file.name}")
    for name in names:
        weights, state = finished(out, name), out / name / "run" / STATE
        if weights is None:
            if state.exists():
                cut(light_state(state), back, f"{name}.state")
        elif weights.stat().st_size <= WHOLE:
            shutil.copyfile(weights, back / weights.name)
        else:
            cut(weights.read_bytes(), back, weights.name)
    return sorted(back.iterdir())


def unpack(out: Path, back: Path, names: Sequence[str]) -> None:
    """What :func:`pack` wrote, for runs that are not here: they go on, or get their card.

    Raises:
        FileNotFoundError: one of a file's pieces is missing.
    """
    for name in names:
        run = out / name / "run"
        if (run / STATE).exists() or (run / WEIGHTS).exists():
            continue
        whole = back / weights_name(name)
        content, file = whole.read_bytes() if whole.exists() else join(back, whole.name), WEIGHTS
        if content is None:
            content, file = join(back, f"{name}.state"), STATE
        if content is not None:
            run.mkdir(parents=True, exist_ok=True)
            (run / file).write_bytes(content)
            _unpack_records(out / name, back / ARCHIVE, name)


def _unpack_records(folder: Path, archive: Path, name: str) -> None:
    """The log and the facts to where the run has them, checks of this network to a side."""
    places = {LOG: folder / "run" / LOG, FACTS: folder / FACTS}
    places |= {check: folder / ELSEWHERE / check for check in check_names(name)}
    with tarfile.open(archive) as records:
        for file, place in places.items():
            try:
                content = records.extractfile(f"{name}/{file}")
            except KeyError:
                continue
            if content is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())


def check_names(name: str) -> dict[str, str]:
    """Reports of ``pmexport check`` by file name; their precision."""
    return {f"{name}.{precision}.json": precision for precision in ("fp32", "fp16")}
