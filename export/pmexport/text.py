"""Numbers for people."""

from __future__ import annotations


def size_text(size: int) -> str:
    """``37.9 MB``; megabytes are 10**6 bytes, as file managers and download pages count."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
