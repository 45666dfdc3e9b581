"""An account without a name has no home, as in containers: told, and no folder called '~'."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from pmexport.doctor.scrub import Scrubber
from pmexport.trt.cache import default_folder
from posemamba.errors import InputError
from posemamba_runtime.cli.cache import cache_path
from posemamba_runtime.detectors.video import DETECTORS, python_of
from posemamba_runtime.errors import Missing
from posemamba_runtime.file_names import cache_folder

TOLD = "no home folder is known: set HOME or XDG_CACHE_HOME"


@pytest.fixture(autouse=True)
def nameless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of such an account."""

    def unknown(_: int) -> None:
        raise KeyError("no such account")

    for name in ("HOME", "XDG_CACHE_HOME", "POSEMAMBA_DETECTOR_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_told(nameless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match=TOLD):
        cache_folder()
    with pytest.raises(Missing, match=TOLD):
        cache_path("demo", Path(__file__), ".onnx")
    with pytest.raises(InputError, match=f"{TOLD}, or name a folder with --cache"):
        default_folder()
    monkeypatch.setattr("posemamba_runtime.detectors.video.find_spec", lambda _: None)
    with pytest.raises(Missing, match=f"mediapipe is not installed, and {TOLD}"):
        python_of(DETECTORS["mediapipe"], None)
    assert not [*nameless.iterdir()]


def test_a_cache_needs_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/kept")
    assert default_folder() == Path("/kept/pmexport/engines")
    assert cache_path("demo", Path(__file__), ".onnx").parent == Path("/kept/posemamba")


def test_a_bundle_needs_no_home() -> None:
    assert Scrubber.of_this_machine().text("/home/somebody/x") == "~/x"
