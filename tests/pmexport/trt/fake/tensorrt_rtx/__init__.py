"""TensorRT-RTX in the same disguise."""

from tensorrt import *  # noqa: F403
from tensorrt import Builder as _Builder

__version__ = "1.7.1"


class Builder(_Builder):
    plan_start = b"vtrt"
