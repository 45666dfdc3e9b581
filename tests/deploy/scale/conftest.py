"""Without Ray its tests are left out, unless POSEMAMBA_REQUIRE_RAY=1 asks for them."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

from places import ROOT

sys.path.append(str(ROOT))  # benchmarks/scale: the scenarios, which it runs long

_NEED_RAY = ["test_cluster.py", "test_hub.py", "test_server.py", "test_serve.py"]
_REQUIRED = os.environ.get("POSEMAMBA_REQUIRE_RAY") == "1"
collect_ignore = [] if _REQUIRED or find_spec("ray") else _NEED_RAY
