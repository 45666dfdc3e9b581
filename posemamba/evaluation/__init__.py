"""Evaluation as the field does it, for anything that lifts clips."""

from posemamba.evaluation.human36m import H36MReport, evaluate_h36m
from posemamba.evaluation.mpi_inf_3dhp import MpiReport, evaluate_3dhp

__all__ = ["H36MReport", "MpiReport", "evaluate_3dhp", "evaluate_h36m"]
