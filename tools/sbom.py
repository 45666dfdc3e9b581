"""What our wheels hold that is not ours, as a CycloneDX document.

Every row of :data:`PARTS` names a part, its licence (SPDX) and the files of a wheel it is in; a
wheel gets the rows whose files it has. Packages that pip installs beside ours are not in the wheel,
so not here.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6

ROOT = Path(__file__).parents[1]


def _asked(*command: str, pattern: str) -> str:
    """The first match of a pattern in what a program prints."""
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(pattern, said)
    return found[1] if found else "unknown"


@dataclass(frozen=True)
class Part:
    """Somebody else's work inside a wheel.

    Attributes:
        licence: an SPDX expression.
        files: where it is, as patterns of names in the wheel.
        cuda: only where the build has CUDA.
    """

    name: str
    version: Callable[[], str]
    licence: str
    url: str
    files: tuple[str, ...]
    cuda: bool = False


PARTS = (
    Part(
        "libstdc++ and libgcc",
        lambda: _asked("c++", "-dumpfullversion", pattern=r"([0-9.]+)"),
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "https://gcc.gnu.org/onlinedocs/libstdc++/manual/license.html",
        ("*.so",),
    ),
    Part(
        "CUDA runtime (static)",
        lambda: _asked("nvcc", "--version", pattern=r"release ([0-9.]+)"),
        "LicenseRef-NVIDIA-CUDA-Toolkit-EULA",
        "https://docs.nvidia.com/cuda/eula/",
        ("*/libposemamba_cuda.so", "*/libposemamba_ort.so", "*/libposemamba_trt.so"),
        cuda=True,
    ),
    Part(
        "TensorRT interface headers",
        lambda: "10 and 11",
        "Apache-2.0",
        "https://github.com/NVIDIA/TensorRT",
        ("*/libposemamba_trt.so",),
        cuda=True,
    ),
    Part(
        "Pose2Sim demonstration trial",
        lambda: "0.4.0",
        "BSD-3-Clause",
        "https://github.com/perfanalytics/pose2sim",
        ("posemamba/assets/pose2sim_balancing.npz",),
    ),
    Part(
        "Bullet motion clips",
        lambda: "3.2.7",
        "Zlib",
        "https://github.com/bulletphysics/bullet3",
        ("posemamba/assets/pybullet_motions.npz",),
    ),
)


def parts_of(names: Collection[str], cuda: bool) -> list[tuple[Part, list[str]]]:
    """The parts a wheel of these files holds, each with its files."""
    rows = []
    for part in PARTS:
        inside = sorted(
            name for name in names if any(fnmatch.fnmatch(name, form) for form in part.files)
        )
        if inside and (cuda or not part.cuda):
            rows.append((part, inside))
    return rows


def document(name: str, version: str, names: Collection[str], cuda: bool) -> str:
    """The CycloneDX 1.6 JSON of one wheel.

    Args:
        name, version: the distribution's.
        names: the files in the wheel.
        cuda: whether it holds code for GPUs.
    """
    licences = LicenseFactory()
    bom = Bom()
    ours = Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        licenses=[licences.make_from_string("Apache-2.0")],
        bom_ref=f"{name}@{version}",
    )
    bom.metadata.component = ours
    parts = []
    for part, inside in parts_of(names, cuda):
        reference = ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(part.url))
        parts.append(
            Component(
                name=part.name,
                version=part.version(),
                type=ComponentType.DATA if inside[0].endswith(".npz") else ComponentType.LIBRARY,
                licenses=[licences.make_from_string(part.licence)],
                external_references=[reference],
                properties=[Property(name="posemamba:file", value=file) for file in inside],
                bom_ref=part.name,
            )
        )
    bom.components.update(parts)
    bom.register_dependency(ours, parts)
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text + "\n"
