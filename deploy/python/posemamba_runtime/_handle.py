"""A pointer of the native library that is closed once, and never under a call that uses it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from ctypes import c_void_p

from posemamba_runtime.errors import BadArgument


class Handle:
    """Enter it around a call; several threads may be inside.

    Args:
        name: what it is, for the error after it was closed.
        pointer: what the library gave.
        close: the library's function that takes it back.
        owner: what must outlive it, and closes it first.
    """

    def __init__(
        self,
        name: str,
        pointer: c_void_p,
        close: Callable[[c_void_p], None],
        owner: Handle | None = None,
    ) -> None:
        self._name = name
        self._pointer = pointer
        self._close = close
        self._owner = owner
        self._owned: weakref.WeakSet[Handle] = weakref.WeakSet()
        self._calls = 0
        self._closed = False
        self._changed = threading.Condition()
        if owner is not None:
            owner._owned.add(self)

    def __enter__(self) -> c_void_p:
        with self._changed:
            if self._closed:
                raise BadArgument(f"the {self._name} is closed")
            self._calls += 1
        return self._pointer

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._calls -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Wait for the calls that are inside, and free it; a second time does nothing."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.wait_for(lambda: not self._calls)
        for handle in list(self._owned):
            handle.close()
        self._close(self._pointer)
