"""The package as `cmake --install` lays it out."""

from __future__ import annotations

from pathlib import Path

import pytest
from native_build import build_folder, install


@pytest.fixture(scope="session")
def build() -> Path:
    return build_folder()


@pytest.fixture(scope="session")
def prefix(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(build, tmp_path_factory.mktemp("installed") / "usr")
