"""The model card of the demonstration checkpoint: fixed text, numbers from the report alone.

A report is the JSON that ``tools/demo_report.py`` writes; :func:`render` turns it into Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posemamba.errors import InputError
from posemamba.text import markdown_table

SCHEMA = 1
METRICS = {"mpjpe_mm": "MPJPE", "p_mpjpe_mm": "P-MPJPE", "mpjve_mm": "MPJVE"}

_INTRODUCTION = (
    "PoseMamba (AAAI 2025, arXiv 2408.03540) lifts a clip of 2D human keypoints (17 joints of "
    "Human3.6M, normalised by the image's width) to root-relative 3D poses. This checkpoint shows "
    "that the training code of this project trains and gives examples and parity checks weights "
    "that mean something."
)
_LIMITS = (
    "**No accuracy on Human3.6M, MPI-INF-3DHP or any other benchmark may be concluded from this "
    "card.** The data are a few minutes of motion of the skeletons below seen by synthetic "
    "cameras; neither those sets nor the authors' weights were used. The network has seen no real "
    "2D detector, no clothes, no body shape of a real person but those. Do not use it to judge a "
    "person, for medical or safety decisions, or as a baseline of the paper's model."
)
_DATA = (
    "What the clip sets are made of, as the sources claim it, and which of them. Motion capture "
    "was filmed by random synthetic cameras; 2D noise and lost joints were drawn in training "
    "(docs/guide/data.md). The weights are Apache-2.0, as the project."
)


def render(report: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        report: of ``tools/demo_report.py``.

    Raises:
        InputError: a report of another schema, or one that lacks a part.
    """
    if report.get("schema") != SCHEMA:
        raise InputError(
            f"the report has schema {report.get('schema')!r}, this code writes cards of {SCHEMA}: "
            "make the report again with tools/demo_report.py"
        )
    try:
        return "\n\n".join(_parts(report)) + "\n"
    except KeyError as error:
        raise InputError(
            f"the report lacks {error}: make it again with tools/demo_report.py"
        ) from None


def _parts(report: Mapping[str, Any]) -> list[str]:
    model, sets = report["model"], report["sets"]
    parts = [
        f"# {model['file']}",
        _INTRODUCTION,
        _facts(
            {
                "size": f"{model['variant']}: depth {model['depth']}, d_model {model['d_model']}, "
                f"{model['frames']} frames, scan order {model['scan_order']}",
                "parameters": f"{model['parameters']:,}",
                "file": f"{model['bytes']:,} bytes, SHA-256 `{model['sha256']}`",
            }
        ),
        "## What it is not for",
        _LIMITS,
        "## Data and licences",
        _DATA,
        _facts(_origins(sets)),
        "The clip sets:",
        _facts({name: _describe_set(entry) for name, entry in sets.items()}),
        "## Training",
        _facts(report["training"]),
    ]
    if report.get("curves"):
        parts.append(f"![loss and validation error over the steps]({report['curves']})")
    parts.append("## Held-out error")
    for name in report["results"][next(iter(report["results"]))]:
        grid = [
            (method, *(f"{figures[name][metric]:.1f}" for metric in METRICS))
            for method, figures in report["results"].items()
        ]
        parts += [f"**{name}**, mm (MPJVE in mm a frame)", markdown_table(_header(), grid)]
    if report.get("real"):
        parts += _real(report["real"])
    if report.get("precision"):
        parts += _precision(report["precision"])
    environment = ", ".join(f"{key} {value}" for key, value in report["environment"].items())
    parts.append(f"Figures measured with: {environment}.")
    return parts


def _header() -> tuple[str, ...]:
    return ("", *METRICS.values())


def _real(real: Mapping[str, Any]) -> list[str]:
    grid = [
        (method, *(f"{figures[name]:.1f}" for name in real["names"]))
        for method, figures in real["p_mpjpe_mm"].items()
    ]
    return [
        "## Smoke test on a real clip",
        "One person balancing, 2D from OpenPose, the reference triangulated from four cameras' "
        "detections, not measured by a motion-capture system: P-MPJPE in mm, each frame aligned by "
        "a similarity. One subject and one trial, with a reference good to about 1 cm: no "
        "benchmark.",
        markdown_table(("", *real["names"]), grid),
    ]


def _precision(precision: Mapping[str, Any]) -> list[str]:
    """``pmexport check`` of an export, by precision and runtime."""
    grid = [
        (name, runtime, f"{figures['max_abs']:.1e}", f"{figures['mpjpe_mm']:.3f}")
        for name, runtimes in precision.items()
        for runtime, figures in runtimes.items()
    ]
    return [
        "## Drift of the exported model",
        "Against PyTorch in float32, on real clips, as `pmexport check` tells it: the largest "
        "difference of a coordinate, in units, and the mean joint drift in mm.",
        markdown_table(("precision", "runtime", "units", "mm"), grid),
    ]


def _origins(sets: Mapping[str, Any]) -> dict[str, list[str]]:
    """Origin to the names of the sets that hold something of it."""
    found: dict[str, list[str]] = {}
    for name, entry in sets.items():
        for origin in entry["origin"].split("; "):
            found.setdefault(origin or "origin not recorded", []).append(name)
    return found


def _facts(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {_plain(value)}" for name, value in facts.items())


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_plain(item) for item in value)
    return str(value)


def _describe_set(entry: Mapping[str, Any]) -> str:
    return (
        f"{entry['clips']:,} clips of {entry['frames']} frames (`{entry['file']}`, SHA-256 "
        f"`{entry['sha256'][:16]}...`)"
    )
