"""How a command is told to end."""

from __future__ import annotations

import signal
import threading


def end_at_sigterm() -> None:
    """Service managers and ``timeout`` send it: it ends as Ctrl-C does, nothing half-written.

    Another thread than the main one may set no handler, and sets none.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
