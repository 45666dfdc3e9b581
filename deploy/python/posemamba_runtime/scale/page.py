"""The page of live skeletons, drawn by the viewer's own code."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from posemamba_runtime.skeleton import PARENTS, SIDES


@cache
def live_page() -> str:
    """Its HTML, with nothing to load after it."""
    viewer = resources.files("posemamba_runtime.viewer")
    here = resources.files("posemamba_runtime.scale")
    parts = {
        "style": viewer.joinpath("style.css").read_text("utf-8"),
        "body": json.dumps({"parents": PARENTS, "sides": SIDES}),
        "stage": viewer.joinpath("stage.js").read_text("utf-8"),
        "live": here.joinpath("live.js").read_text("utf-8"),
    }
    page = here.joinpath("live.html").read_text("utf-8")
    for name, part in parts.items():
        page = page.replace(f"{{{{{name}}}}}", part, 1)
    return page
