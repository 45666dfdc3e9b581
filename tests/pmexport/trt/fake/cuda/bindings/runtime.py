# ruff: noqa: ANN001, ANN002, ANN201, ANN202 (as untyped as the original)
"""cuda-python's runtime on the host: each call returns its error, then its results."""

import enum
import functools

import fake_device


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorUnknown = 999


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


def _told(function):
    @functools.wraps(function)
    def run(*arguments):
        try:
            fake_device.call(function.__name__)
        except fake_device.DeviceError:
            return (cudaError_t.cudaErrorUnknown, None)
        result = function(*arguments)
        return (cudaError_t.cudaSuccess,) if result is None else (cudaError_t.cudaSuccess, result)

    return run


def cudaGetErrorString(error):
    return cudaError_t.cudaSuccess, b"unknown error"


@_told
def cudaStreamCreate():
    return fake_device.stream()


@_told
def cudaStreamDestroy(stream):
    del fake_device.STREAMS[int(stream)]


@_told
def cudaMalloc(size):
    return fake_device.malloc(size)


@_told
def cudaFree(devPtr):
    fake_device.free(devPtr)


@_told
def cudaMemcpyAsync(dst, src, count, kind, stream):
    device = dst if kind == cudaMemcpyKind.cudaMemcpyHostToDevice else src
    assert int(device) in fake_device.LIVE, "the direction or the address is wrong"
    fake_device.copy(stream, dst, src, count)


@_told
def cudaStreamSynchronize(stream):
    fake_device.wait(int(stream))


@_told
def cudaStreamBeginCapture(stream, mode):
    assert not fake_device.STREAMS[stream], "a stream is captured with nothing left in it"
    fake_device.RECORDING[stream] = []


@_told
def cudaStreamEndCapture(stream):
    return tuple(fake_device.RECORDING.pop(stream))


@_told
def cudaGraphInstantiate(graph, flags):
    return graph


@_told
def cudaGraphLaunch(graphExec, stream):
    for work in graphExec:
        fake_device.queue(stream, work)


@_told
def cudaGraphDestroy(graph):
    pass


@_told
def cudaGraphExecDestroy(graphExec):
    pass
