"""The C++ library's tables of keypoint layouts and skeleton, from the Python package's.

    python tools/make_keypoint_table.py [--to FILE]

A test runs this script again and compares.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from pmexport.format.metadata import NORMALISATION, SCHEMA_VERSION
from posemamba.pose.preprocess import MIRROR, MOST_NORMALISED
from posemamba_runtime.keypoints.layouts import LAYOUTS, Layout
from posemamba_runtime.skeleton import JOINT_NAMES, NUM_JOINTS

DEFAULT = Path(__file__).resolve().parents[1] / "deploy/cpp/src/formats/keypoint_table.inc"

HEAD = """\
// Made by tools/make_keypoint_table.py from posemamba_runtime.keypoints.layouts,
// posemamba_runtime.skeleton, posemamba.pose.preprocess and pmexport.format.metadata. Do not edit:
// a test makes it again and compares.
// clang-format off
"""


def table() -> str:
    """The text of the file."""
    lines = [
        HEAD + f"constexpr int kJoints = {NUM_JOINTS};",
        f"constexpr int kSchemaVersion = {SCHEMA_VERSION};",
        "constexpr const char* kNormalisation =",
        f'    "{NORMALISATION}";',
        "// Normalised coordinates lie around -2 to 2; what is beyond this is another unit.",
        f"constexpr double kMostNormalised = {MOST_NORMALISED};",
        "constexpr std::array<const char*, kJoints> kJointNames = {{",
        *(f'    "{name}",' for name in JOINT_NAMES),
        "}};",
        "// The joint that each joint becomes in a mirror.",
        "constexpr std::array<int, kJoints> kMirror = {{" + _joined(MIRROR) + "}};",
        "",
    ]
    for name, source in LAYOUTS.items():
        lines += _format(name, source)
    lines += ["constexpr KeypointFormat kFormats[] = {"]
    for name, source in LAYOUTS.items():
        used = len(source.used)
        lines.append(
            f'    {{"{name}", "{source.title}", {len(source.joints)}, {used}, k_{name}_used, '
            f"k_{name}_names, k_{name}_terms, std::size(k_{name}_terms), "
            f"{_stand_ins(name, source)}}},"
        )
    return "\n".join([*lines, "};", "// clang-format on", ""])


def _format(name: str, source: Layout) -> list[str]:
    used = source.used
    terms = []
    for joint, joint_name in enumerate(JOINT_NAMES):
        for axis, weights in enumerate(source.weights(joint_name)):
            for other, weight in weights.items():
                terms.append(f"    {{{joint}, {axis}, {used.index(other)}, {weight!r}}},")
    lines = [
        f"constexpr int k_{name}_used[] = {{{_joined(source.used_places)}}};",
        f"constexpr const char* k_{name}_names[] = {{",
        *(f'    "{joint}",' for joint in used),
        "};",
        f"constexpr Term k_{name}_terms[] = {{  // joint, axis, place among the used, weight",
        *terms,
        "};",
    ]
    if source.stand_ins:
        lines += [
            f"constexpr StandIn k_{name}_stand_ins[] = {{  // joint, how many others, the others",
            *(
                f"    {{{used.index(joint)}, {len(others)}, "
                f"{{{_joined(used.index(other) for other in others)}}}}},"
                for joint, others in source.stand_ins.items()
                if joint in used
            ),
            "};",
        ]
    return [*lines, ""]


def _stand_ins(name: str, source: Layout) -> str:
    table_name = f"k_{name}_stand_ins"
    return f"{table_name}, std::size({table_name})" if source.stand_ins else "nullptr, 0"


def _joined(numbers: Iterable[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=DEFAULT, help="file to write")
    parser.parse_args().to.write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    main()
