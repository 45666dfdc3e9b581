"""A step of a lifter that goes on for hours: one window without a pose must not end it."""

from __future__ import annotations

from posemamba_runtime.errors import BackendFailed
from posemamba_runtime.lifter import Lifter


def lift_due(lifter: Lifter) -> tuple[int, str]:
    """Lift what is due.

    A window for which the network gives NaN or infinity has no pose and is not due again. A back
    end that has failed keeps what was due, and fails once more.

    Returns:
        Windows of the step that went through, and what is to be said of windows without a pose: ""
        if there were none. Then the step that lifted them failed, and does not say how many it was.

    Raises:
        BackendFailed: it has failed twice.
    """
    try:
        return lifter.step(), ""
    except BackendFailed as error:
        return lifter.step(), str(error)
