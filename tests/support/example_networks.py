"""The networks of ``export/examples``."""

from __future__ import annotations

from places import ROOT

FOLDER = ROOT / "export" / "examples"
#: Arguments of ``export-module`` for each network of ``export/examples``, as its file says.
EXAMPLES = {
    "language_model": ("--input", "tokens=2x24:int64", "--dynamic", "batch:8=tokens:0",
                       "--dynamic", "length:512=tokens:1"),
    "vim": ("--input", "image=2x3x32x32", "--dynamic", "batch:8=image:0"),
    "vmamba": ("--input", "image=2x3x32x32", "--dynamic", "batch:8=image:0"),
    "hgmamba": ("--input", "keypoints=2x9x17x2", "--dynamic", "batch:8=keypoints:0",
                "--dynamic", "frames:81=keypoints:1"),
}  # fmt: skip
