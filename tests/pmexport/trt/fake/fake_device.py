# ruff: noqa: ANN001, ANN201 (as untyped as the original)
"""A GPU of host memory: addresses that only its own calls may touch, and streams that wait.

Work queued on a stream happens when somebody waits for it, so whoever forgets to wait reads what
was there before. Words in ``FAKE_CUDA`` make a call fail, by name.
"""

import ctypes
import itertools
import os

import numpy as np

LIVE = {}  # address -> buffer
STREAMS = {}  # handle -> queued work
HANDLES = itertools.count(1000)
RECORDING = {}  # handle -> work of the graph being recorded
LOG = []  # names of calls, in order


class DeviceError(Exception):
    """What a call named in ``FAKE_CUDA`` raises."""


def call(name):
    LOG.append(name)
    if name in os.environ.get("FAKE_CUDA", "").split():
        raise DeviceError(name)


def malloc(size):
    buffer = ctypes.create_string_buffer(size)
    ctypes.memset(buffer, 0x7F, size)  # huge numbers, so that unwritten memory shows
    LIVE[ctypes.addressof(buffer)] = buffer
    return ctypes.addressof(buffer)


def free(address):
    del LIVE[int(address)]


def stream():
    handle = next(HANDLES)
    STREAMS[handle] = []
    return handle


def array(address, shape):
    """The floats at an address of ours."""
    buffer = LIVE[int(address)]
    return np.frombuffer(buffer, np.float32, int(np.prod(shape))).reshape(shape)


def queue(handle, work):
    (RECORDING if handle in RECORDING else STREAMS)[handle].append(work)


def copy(handle, target, source, size):
    queue(handle, lambda: ctypes.memmove(int(target), int(source), size))


def wait(handle):
    work, STREAMS[handle] = STREAMS[handle], []
    for each in work:
        each()
