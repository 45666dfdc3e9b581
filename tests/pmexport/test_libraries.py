"""Where the native libraries are found, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pmexport import custom_op_library, libraries, tensorrt_plugin_library
from pmexport.libraries import custom_op_providers, plugin_architectures
from posemamba.errors import InputError

LIBRARIES = [
    (custom_op_library, "POSEMAMBA_ORT_LIB", "libposemamba_ort.so"),
    (tensorrt_plugin_library, "POSEMAMBA_TRT_LIB", "libposemamba_trt.so"),
]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An import from a checkout's root: sources without libraries, the package installed."""
    sources, site = tmp_path / "checkout" / "pmexport", tmp_path / "site"
    sources.mkdir(parents=True)
    (site / "pmexport-9.9.dist-info").mkdir(parents=True)
    (site / "pmexport-9.9.dist-info" / "METADATA").write_text("Name: pmexport\nVersion: 9.9\n")
    for _, variable, name in LIBRARIES:
        monkeypatch.delenv(variable, raising=False)
        (site / "pmexport" / "lib").mkdir(parents=True, exist_ok=True)
        (site / "pmexport" / "lib" / name).write_text("installed")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(libraries, "__file__", str(sources / "libraries.py"))
    return tmp_path


@pytest.mark.parametrize(("ask", "variable", "name"), LIBRARIES)
def test_the_first_place_that_has_it(
    ask: Callable[[], str],
    variable: str,
    name: str,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = checkout / "site" / "pmexport" / "lib" / name
    assert ask() == str(installed)
    monkeypatch.setenv(variable, "")  # as good as unset
    assert ask() == str(installed)
    beside = checkout / "checkout" / "pmexport" / "lib" / name
    beside.parent.mkdir()
    beside.write_text("built in place")
    assert ask() == str(beside)
    named = checkout / "mine.so"
    named.write_text("named")
    monkeypatch.setenv(variable, str(named))
    assert ask() == str(named)
    named.unlink()  # who names a library wants that one
    with pytest.raises(InputError, match=rf"mine\.so.*pip install.*{variable}"):
        ask()


@pytest.mark.parametrize(("ask", "variable", "name"), LIBRARIES)
def test_a_library_that_is_nowhere(
    ask: Callable[[], str], variable: str, name: str, checkout: Path
) -> None:
    (checkout / "site" / "pmexport" / "lib" / name).unlink()
    with pytest.raises(InputError, match=rf"checkout/pmexport/lib/{name}.*{variable}"):
        ask()


def test_a_library_that_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "libposemamba_ort.so"
    path.write_text("no library")
    monkeypatch.setenv("POSEMAMBA_ORT_LIB", str(path))
    with pytest.raises(InputError, match=r"cannot be asked what it has.*pip install"):
        custom_op_providers()
    assert plugin_architectures(path) is None
