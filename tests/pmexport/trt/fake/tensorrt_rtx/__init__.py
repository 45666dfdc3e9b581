"""TensorRT-RTX in the same disguise."""

from tensorrt import *  # noqa: F403

__version__ = "1.7.1"
