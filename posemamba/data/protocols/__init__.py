"""Evaluation as the field does it, for anything that lifts clips."""

from posemamba.data.protocols.h36m import H36MReport, evaluate_h36m
from posemamba.data.protocols.mpi import MpiReport, evaluate_3dhp

__all__ = ["H36MReport", "MpiReport", "evaluate_3dhp", "evaluate_h36m"]
