"""Files that the build makes: beside the sources, else where the package is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_DISTRIBUTION = "pmexport"


def built_file(package: Path, name: str) -> Path:
    """A file that the build puts into a package.

    In a checkout's root the source folder hides the installed package but has no built files.

    Args:
        package: folder of the package in use.
        name: of the file in the package's folder, such as ``lib/libposemamba_kernels.so``.

    Returns:
        The file beside the sources; where there is none, the installed one; where there is neither,
        the place beside the sources.
    """
    if (package / name).is_file():
        return package / name
    try:
        installed = Path(str(distribution(_DISTRIBUTION).locate_file(f"{package.name}/{name}")))
    except PackageNotFoundError:
        return package / name
    return installed if installed.is_file() else package / name
