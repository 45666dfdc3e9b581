# ruff: noqa: ANN001, ANN201, ANN204 (as untyped as the original)
"""PyCUDA's driver module on the host: what it cannot do, it raises."""

import fake_device


class Stream:
    handle = None  # of one that could not be made

    def __init__(self):
        fake_device.call("Stream")
        self.handle = fake_device.stream()

    def __del__(self):
        if self.handle is not None:
            del fake_device.STREAMS[self.handle]

    def synchronize(self):
        fake_device.call("synchronize")
        fake_device.wait(self.handle)


class DeviceAllocation:
    """Memory that goes with its object."""

    _address = None  # of what could not be had

    def __init__(self, size):
        self._address = fake_device.malloc(size)

    def __int__(self):
        return self._address

    def __del__(self):
        if self._address is not None:
            fake_device.free(self._address)


def mem_alloc(size):
    fake_device.call("mem_alloc")
    return DeviceAllocation(size)


def memcpy_htod_async(dest, src, stream):
    fake_device.call("memcpy_htod_async")
    assert dest in fake_device.LIVE
    fake_device.copy(stream.handle, dest, src.ctypes.data, src.nbytes)


def memcpy_dtoh_async(dest, src, stream):
    fake_device.call("memcpy_dtoh_async")
    assert src in fake_device.LIVE
    fake_device.copy(stream.handle, dest.ctypes.data, src, dest.nbytes)
