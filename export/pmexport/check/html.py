"""A check as one HTML file that needs nothing else: errors by joint and time, poses over poses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pmexport.check.html_data import report_data
from pmexport.check.run import CheckOutcome

_PAGE = Path(__file__).parent / "report_page.html"
_PLACE = "@DATA@"


def html_report(outcome: CheckOutcome, found: Sequence[str]) -> str:
    """The page.

    Args:
        found: lines of what ``--bisect`` found; none without it.
    """
    data = {**report_data(outcome), "bisect": "\n".join(found) or None}
    # A name in the data may hold the end of a script; JSON may write its first character so.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return _PAGE.read_text(encoding="utf-8").replace(_PLACE, text)
