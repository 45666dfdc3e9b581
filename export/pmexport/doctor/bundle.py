"""``pmexport doctor --bundle``: what an issue needs, in one archive, without names and secrets."""

from __future__ import annotations

import os
import zipfile
from importlib import metadata
from pathlib import Path

from pmexport.doctor.diagnose import Diagnosis
from pmexport.doctor.report import doctor_lines
from pmexport.doctor.scrub import Scrubber
from posemamba.files.output import replacing
from posemamba.text import json_text

#: Variables that change what this project does; no other is written.
VARIABLES = (
    *("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PYTHONPATH", "VIRTUAL_ENV"),
    *("XDG_CACHE_HOME", "CUDA_HOME", "CUDA_MODULE_LOADING"),
)
_OURS = "POSEMAMBA_"
_STAMP = (1980, 1, 1, 0, 0, 0)  # the earliest an archive can say: when it was made names a person
_ABOUT = """What 'pmexport doctor --bundle' wrote for an issue report.

doctor.txt       what the doctor says
doctor.json      the same for programs
packages.txt     installed Python packages and their versions
environment.txt  the environment variables that matter here, no others

Home folders became ~, account names <user>, host names <host>, addresses <address>, and what looks
like a secret <secret>. Look into it before you send it: no list of patterns knows every secret.
"""


def write_bundle(path: str | os.PathLike[str], diagnosis: Diagnosis) -> None:
    """Write the archive, whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    path = Path(path)
    clean = Scrubber.of_this_machine()
    texts = {
        "about.txt": _ABOUT,
        "doctor.txt": clean.text("\n".join(doctor_lines(diagnosis))) + "\n",
        "doctor.json": json_text(clean.values(diagnosis.to_dict())) + "\n",
        "packages.txt": clean.text("\n".join(_packages())) + "\n",
        "environment.txt": clean.text("\n".join(_environment())) + "\n",
    }
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), text)


def _packages() -> list[str]:
    found = {
        str(each.metadata["Name"]): each.version
        for each in metadata.distributions()
        if each.metadata["Name"]
    }
    return [f"{name} {version}" for name, version in sorted(found.items(), key=str)]


def _environment() -> list[str]:
    return [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name in VARIABLES or name.startswith(_OURS)
    ]
