"""Mamba-1 for any network: the scan, and the blocks others built on it.

Written from the papers, with the parameter names and signatures of the authors' code, so that their
weights load and their networks run without their packages.
"""

from posemamba.mamba.block import Mamba
from posemamba.mamba.selective_scan import plain_pytorch, selective_scan_fn
from posemamba.mamba.ss2d import SS2D

__all__ = ["SS2D", "Mamba", "plain_pytorch", "selective_scan_fn"]
