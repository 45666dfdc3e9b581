"""The viewer: a motion as one HTML page that needs nothing else, not even a server."""

from posemamba_runtime.viewer.page import page

__all__ = ["page"]
